"""The cells in a loop of one's own: a step is one node, with the numbers of its operations."""

import copy
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinytensor as tt
from tinytensor import nn
from tinytensor.autograd.node import node_of
from tinytensor.utils.checkpoint import checkpoint

N, I, H, T = 3, 2, 4, 3
CELLS: dict[str, Callable[..., Any]] = {
    "lstm_cell": nn.LSTMCell,
    "gru_cell": nn.GRUCell,
    "rnn_tanh_cell": nn.RNNCell,
    "rnn_relu_cell": lambda *sizes, **options: nn.RNNCell(*sizes, nonlinearity="relu", **options),
}
each_cell = pytest.mark.parametrize("name", CELLS)


def made(name: str, dtype: Any = tt.float64, **options: Any) -> Any:
    return CELLS[name](I, H, **options).to(dtype)


def first_state(cell: Any, batch: int = N, dtype: Any = tt.float64) -> Any:
    parts = tuple(tt.randn(batch, H, dtype=dtype) for _ in cell.state_sizes)
    return parts if len(parts) == 2 else parts[0]


def parts_of(state: Any) -> tuple[Any, ...]:
    return state if isinstance(state, tuple) else (state,)


def after(cell: Any, xs: Any, state: Any = None) -> tuple[Any, ...]:
    """The parts of the state after all steps."""
    for x in xs:
        state = cell(x, state)
    return parts_of(state)


def weighted(parts: tuple[Any, ...]) -> Any:
    return sum((part * (k + part.detach().cos())).sum() for k, part in enumerate(parts, 1))


def gradients(cell: Any, xs: Any, state: Any = None) -> list[Any]:
    cell.zero_grad()
    weighted(after(cell, xs, state)).backward()
    return [p.grad.numpy().copy() for p in cell.parameters()]


def assert_close(ours: Any, theirs: Any) -> None:
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13)


# -- one node


@each_cell
def test_a_step_is_one_node(name):
    cell = made(name)
    steps = []
    state = None
    for x in tt.randn(T, N, I, dtype=tt.float64):
        state = cell(x, state)
        steps.append(node_of(parts_of(state)[0].grad_fn))
    for before, node in itertools.pairwise(steps):
        assert node.op.name == name
        assert {node_of(edge) for edge in node.edges} == {before, None}


@each_cell
@pytest.mark.parametrize("bias", [True, False])
def test_unrolled_it_is_its_operations_with_the_same_numbers(name, bias):
    cell = made(name, bias=bias)
    xs, state = tt.randn(T, N, I, dtype=tt.float64), first_state(cell)
    values = after(cell, xs, state)
    by_hand = gradients(cell, xs, state)
    with tt.unrolled():
        operations = after(cell, xs, state)
        by_rules = gradients(cell, xs, state)
    assert node_of(operations[0].grad_fn).op.name != name
    assert_close([y.detach() for y in values], [y.detach() for y in operations])
    assert_close(by_hand, by_rules)


@each_cell
def test_nothing_is_recorded_where_no_gradient_is_wanted(name):
    cell = made(name)
    x = tt.randn(N, I, dtype=tt.float64)
    with tt.no_grad():
        assert all(part.grad_fn is None for part in after(cell, [x]))
    cell.requires_grad_(False)
    assert all(part.grad_fn is None for part in after(cell, [x]))


@each_cell
@pytest.mark.parametrize("dtype", [tt.float16, tt.float32, tt.float64])
@pytest.mark.parametrize("batch", [0, 1, N])
def test_the_dtype_stays(name, dtype, batch):
    cell = made(name, dtype)
    x = tt.ones(batch, I, dtype=dtype, requires_grad=True)
    state = after(cell, [x, x])
    sum(part.sum() for part in state).backward()
    for tensor in (*state, x.grad, *(p.grad for p in cell.parameters())):
        assert tensor.dtype is dtype
    assert tuple(x.grad.shape) == (batch, I)


# -- derivatives


@each_cell
@pytest.mark.parametrize("bias", [True, False])
def test_first_and_second_derivatives_are_finite_differences(name, bias):
    cell = made(name, bias=bias)
    inputs = [tt.randn(2, 2, I, dtype=tt.float64), *parts_of(first_state(cell, 2))]
    inputs = [leaf.requires_grad_() for leaf in (*inputs, *cell.parameters())]
    count = len(cell.state_sizes)

    def run(x: Any, *rest: Any) -> Any:
        state = rest[:count]
        return after(cell, x, state if count == 2 else state[0])

    assert tt.autograd.gradcheck(run, inputs)
    assert tt.autograd.gradgradcheck(run, inputs, fast_mode=True)


def test_a_loss_of_one_part_of_the_state_alone_flows_through_it_alone():
    cell = made("lstm_cell")
    x, state = tt.randn(N, I, dtype=tt.float64), first_state(cell)
    for part in (0, 1):
        found = tt.autograd.grad(cell(x, state)[part].sum(), cell.weight_ih)
        with tt.unrolled():
            expected = tt.autograd.grad(cell(x, state)[part].sum(), cell.weight_ih)
        assert_close(found, expected)


@each_cell
def test_a_second_derivative_counts_a_carried_state_once(name):
    cell = made(name)
    xs = tt.randn(T, N, I, dtype=tt.float64)

    def penalty() -> Any:
        slopes = tt.autograd.grad(weighted(after(cell, xs)), cell.weight_hh, create_graph=True)
        return tt.autograd.grad(slopes[0].square().sum(), list(cell.parameters()))

    found = penalty()
    with tt.unrolled():
        assert_close(found, penalty())


@each_cell
def test_a_checkpointed_step_has_the_same_gradients(name):
    cell = made(name)
    xs, state = tt.randn(T, N, I, dtype=tt.float64), first_state(cell)
    plain = gradients(cell, xs, state)
    assert_close(gradients(checkpointed(cell), xs, state), plain)


def checkpointed(cell: Any) -> Any:
    """The cell, each call of it checkpointed."""

    class Checkpointed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = cell

        def forward(self, x: Any, state: Any) -> Any:
            return checkpoint(self.cell, x, state)

    return Checkpointed()


# -- what may be written to


@each_cell
def test_a_result_may_be_written_to(name):
    cell = made(name)
    x, state = tt.randn(N, I, dtype=tt.float64), first_state(cell)
    expected = gradients(cell, [x], state)
    cell.zero_grad()
    parts = after(cell, [x], state)
    loss = weighted(tuple(part.clone() for part in parts))
    for part in parts:
        part.mul_(3)
    loss.backward()
    assert_close([p.grad for p in cell.parameters()], expected)


@each_cell
@pytest.mark.parametrize("changed", ["x", "state", "weight_ih", "weight_hh", "bias_ih", "bias_hh"])
@pytest.mark.parametrize("wanted", ["x", "state", "weight_ih", "weight_hh", "bias_hh"])
def test_an_input_that_a_gradient_reads_may_not_be_written_to_as_in_torch(name, changed, wanted):
    torch = pytest.importorskip("torch")
    kind, options = type(made(name)).__name__, {}
    if name == "rnn_relu_cell":
        options = {"nonlinearity": "relu"}

    def refused(lib: Any) -> bool:
        cell = getattr(lib.nn, kind)(I, H, **options)
        cell.requires_grad_(False)
        inputs = {"x": lib.rand(N, I), "state": lib.rand(N, H), **dict(cell.named_parameters())}
        inputs[wanted].requires_grad_()
        state = inputs["state"]
        results = cell(inputs["x"], (state, lib.rand(N, H)) if kind == "LSTMCell" else state)
        with lib.no_grad():
            inputs[changed].mul_(2)
        try:
            parts_of(results)[0].sum().backward()
        except RuntimeError:
            return True
        return False

    assert refused(tt) == refused(torch)


def test_a_second_derivative_reads_every_input():
    cell = made("lstm_cell")
    y = cell(tt.randn(N, I, dtype=tt.float64))[0].sum()
    with tt.no_grad():
        cell.weight_hh.mul_(2)
    tt.autograd.grad(y, cell.bias_hh, retain_graph=True)
    with pytest.raises(RuntimeError, match=r"the parameter weight_hh.* modified by an inplace"):
        tt.autograd.grad(y, cell.bias_hh, create_graph=True)


# -- parameters of another kind


def test_an_attribute_may_stand_in_for_a_parameter():
    cell = made("gru_cell")
    x, state = tt.randn(N, I, dtype=tt.float64), first_state(cell)
    expected = copy.deepcopy(cell)
    with tt.no_grad():
        expected.weight_hh.mul_(2)
    doubled = cell.weight_hh * 2
    del cell.weight_hh
    cell.weight_hh = doubled
    assert_close([cell(x, state).detach()], [expected(x, state).detach()])
