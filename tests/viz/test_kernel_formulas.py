"""Every line that a kernel shows is true: done step by step, it gives the kernel's gradients."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from functools import partial
from typing import Any

import numpy as np
import pytest

import tinytensor as tt
from tests.viz import kernels_by_hand as by_hand
from tinytensor import nn
from tinytensor.autograd.kernel import Kernel
from tinytensor.autograd.node import Node
from tinytensor.autograd.trace import Visit, trace
from tinytensor.viz import formula_table as table
from tinytensor.viz.formulas import local_derivative


def gradients_at(node_name: str, outputs: list[Any], starts: list[Any]) -> tuple[Visit, list[Any]]:
    """The visit of a kernel's node and the gradients that it gave, by the number of the input."""
    visits = trace(outputs, starts)
    visit = next(visit for visit in visits if visit.node.op.name == node_name)
    found: list[Any] = [None] * len(visit.node.edges)
    for contribution in visit.contributions:
        found[contribution.number] = contribution.gx
    return visit, found


def assert_said(node: Node, *functions: Any) -> None:
    """The lines of a node stand, word for word, in the functions that do what they say."""
    source = "".join(map(inspect.getsource, functions))
    lines = local_derivative(node)
    assert lines
    for line in lines:
        assert line in source


def assert_close(found: list[Any], said: dict[str, Any], numbers: dict[str, int]) -> None:
    for name, number in numbers.items():
        np.testing.assert_allclose(
            found[number], np.reshape(said[name], found[number].shape), rtol=1e-9, atol=1e-12
        )


RECURRENT = {
    "lstm": (nn.LSTM, {}, by_hand.lstm),
    "gru": (nn.GRU, {}, by_hand.gru),
    "rnn_tanh": (nn.RNN, {}, partial(by_hand.rnn, relu=False)),
    "rnn_relu": (nn.RNN, {"nonlinearity": "relu"}, partial(by_hand.rnn, relu=True)),
}


@pytest.mark.parametrize("name", RECURRENT)
def test_the_lines_of_a_recurrent_layer(name: str, rng: np.random.Generator) -> None:
    kind, options, hand = RECURRENT[name]
    layer = kind(3, 4, dtype=tt.float64, **options)
    x = tt.randn(5, 2, 3, dtype=tt.float64, requires_grad=True)
    state = [tt.randn(1, 2, 4, dtype=tt.float64, requires_grad=True) for _ in "hc"]
    state = state if name == "lstm" else state[:1]
    output, last = layer(x, tuple(state) if name == "lstm" else state[0])
    outputs = [output, *(last if name == "lstm" else (last,))]
    starts = [tt.tensor(rng.normal(size=tuple(y.shape))) for y in outputs]
    visit, found = gradients_at(name, outputs, starts)
    dy, *finals = (start.numpy() for start in starts)
    arrays = arrays_of(layer.parameters(), x, [part.detach()[0] for part in state])
    finals = [final[0] for final in finals]
    said = hand({**arrays, "dy": dy, **dict(zip(("dh_T", "dc_T"), finals, strict=False))})
    states = ["h_0", "c_0"][: len(state)]
    place = 2 + len(state)  # x, the state, the mask, the weights
    assert_close(found, said, dict(zip(["x", *states], range(3), strict=False)))
    assert_close(found, said, {"W_ih": place, "W_hh": place + 1})
    assert_said(visit.node, hand.func if isinstance(hand, partial) else hand)


CELLS = {
    "lstm_cell": (nn.LSTMCell, {}, by_hand.lstm),
    "gru_cell": (nn.GRUCell, {}, by_hand.gru),
    "rnn_tanh_cell": (nn.RNNCell, {}, partial(by_hand.rnn, relu=False)),
    "rnn_relu_cell": (nn.RNNCell, {"nonlinearity": "relu"}, partial(by_hand.rnn, relu=True)),
}


@pytest.mark.parametrize("name", CELLS)
def test_the_lines_of_a_cell(name: str, rng: np.random.Generator) -> None:
    kind, options, hand = CELLS[name]
    cell = kind(3, 4, dtype=tt.float64, **options)
    x = tt.randn(2, 3, dtype=tt.float64, requires_grad=True)
    state = [tt.randn(2, 4, dtype=tt.float64, requires_grad=True) for _ in "hc"]
    state = state if name == "lstm_cell" else state[:1]
    after = cell(x, tuple(state) if name == "lstm_cell" else state[0])
    outputs = list(after) if name == "lstm_cell" else [after]
    starts = [tt.tensor(rng.normal(size=tuple(y.shape))) for y in outputs]
    visit, found = gradients_at(name, outputs, starts)
    arrays = arrays_of(cell.parameters(), x.reshape(1, 2, 3), [part.detach() for part in state])
    finals = dict(zip(("dh_T", "dc_T"), (start.numpy() for start in starts), strict=False))
    said = hand({**arrays, "dy": np.zeros((1, 2, 4)), **finals})
    states = ["h_0", "c_0"][: len(state)]
    numbers = dict(zip(["x", *states, "W_ih", "W_hh"], range(5), strict=False))
    assert_close(found, said, numbers)
    assert_said(visit.node, hand.func if isinstance(hand, partial) else hand)


def arrays_of(parameters: Any, x: Any, state: list[Any]) -> dict[str, Any]:
    names = ("W_ih", "W_hh", "b_ih", "b_hh")
    arrays = {name: p.detach().numpy() for name, p in zip(names, parameters, strict=True)}
    states = {f"{name}_0": part.numpy() for name, part in zip("hc", state, strict=False)}
    return {**arrays, **states, "x": x.detach().numpy()}


NORMS = {
    "layer_norm": (nn.LayerNorm(4, dtype=tt.float64), (1,), True, (4,)),
    "rms_norm": (nn.RMSNorm(4, eps=1e-5, dtype=tt.float64), (1,), False, (4,)),
    "batch_norm": (nn.BatchNorm1d(4, dtype=tt.float64), (0,), True, (4,)),
}


@pytest.mark.parametrize("name", NORMS)
def test_the_lines_of_a_normalisation(name: str, rng: np.random.Generator) -> None:
    layer, axes, centred, shape = NORMS[name]
    weight = rng.normal(size=shape)
    with tt.no_grad():
        layer.weight.copy_(tt.tensor(weight))
    x = tt.randn(5, 4, dtype=tt.float64, requires_grad=True)
    g = rng.normal(size=(5, 4))
    visit, found = gradients_at(name, [layer(x)], [tt.tensor(g)])
    arrays = {"x": x.detach().numpy(), "w": weight, "g": g, "ε": 1e-5}
    said = by_hand.normalised(arrays, axes, (0,), centred)
    assert_close(found, said, {"x": 0, "w": 1} | ({"b": 2} if centred else {}))
    assert_said(visit.node, by_hand.normalised)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_lines_of_cross_entropy(reduction: str, rng: np.random.Generator) -> None:
    x = tt.randn(6, 3, dtype=tt.float64, requires_grad=True)
    target = np.array([0, 2, 1, 1, 0, 2])
    loss = nn.functional.cross_entropy(x, tt.tensor(target), reduction=reduction)
    visit, found = gradients_at("cross_entropy", [loss], [tt.tensor(2.0)])
    said = by_hand.cross_entropy(x.detach().numpy(), target, 2.0, reduction == "mean")
    np.testing.assert_allclose(found[0], said, rtol=1e-9)
    assert local_derivative(visit.node) == list(table.CROSS_ENTROPY)
    assert_said(visit.node, by_hand.cross_entropy)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_lines_of_a_weighted_cross_entropy(reduction: str, rng: np.random.Generator) -> None:
    x = tt.randn(6, 3, dtype=tt.float64, requires_grad=True)
    target = np.array([0, 2, -1, 1, -1, 2])
    weight = rng.random(3) + 0.5
    loss = nn.functional.cross_entropy(
        x,
        tt.tensor(target),
        tt.tensor(weight),
        ignore_index=-1,
        label_smoothing=0.2,
        reduction=reduction,
    )
    visit, found = gradients_at("cross_entropy", [loss], [tt.tensor(2.0)])
    said = by_hand.weighted_cross_entropy(
        x.detach().numpy(), target, weight, 0.2, 2.0, reduction == "mean"
    )
    np.testing.assert_allclose(found[0], said, rtol=1e-9)
    assert local_derivative(visit.node) == list(table.CROSS_ENTROPY_WEIGHTED)
    assert_said(visit.node, by_hand.weighted_cross_entropy)


@pytest.mark.parametrize("option", ["smoothing", "ignored", "freed"])
def test_a_cross_entropy_that_is_not_known_to_be_plain(option: str) -> None:
    x = tt.randn(2, 3, requires_grad=True)
    options = {"smoothing": {"label_smoothing": 0.1}, "ignored": {"ignore_index": 1}, "freed": {}}
    loss = nn.functional.cross_entropy(x, tt.tensor([1, 0]), **options[option])
    if option == "freed":
        loss.backward()
    assert local_derivative(loss.grad_fn) == list(table.CROSS_ENTROPY_WEIGHTED)


def test_the_lines_of_ctc() -> None:
    x = tt.randn(4, 1, 3, dtype=tt.float64).log_softmax(2).requires_grad_()
    loss = nn.functional.ctc_loss(x, tt.tensor([[2, 1]]), [4], [2], reduction="sum")
    visit, found = gradients_at("ctc_loss", [loss], [tt.tensor(3.0)])
    said = by_hand.ctc(x.detach().numpy()[:, 0], [2, 1], 3.0)
    np.testing.assert_allclose(found[0][:, 0], said, rtol=1e-9)
    assert_said(visit.node, by_hand.ctc)


def test_every_kernel_of_the_library_says_what_it_does() -> None:
    names = set()
    for module in pkgutil.walk_packages(nn.__path__, "tinytensor.nn."):
        if ".compiled" not in module.name:
            found = vars(importlib.import_module(module.name)).values()
            names |= {kernel.name for kernel in found if isinstance(kernel, Kernel)}
    assert names == table.KERNELS.keys() | {"cross_entropy"}
