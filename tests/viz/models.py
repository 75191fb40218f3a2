"""The graphs that the golden files hold: small models, each built anew by its function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tinytensor as tt
from tinytensor import nn
from tinytensor.autograd.scope import Scope


class Drawn(NamedTuple):
    """What is given to `viz.graph`: the outputs and the keywords."""

    outputs: Any
    options: dict[str, Any]


def perceptron() -> Drawn:
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    x = tt.rand(5, 4)
    loss = ((model(x) - tt.rand(5, 1)) ** 2).mean()
    title = "A perceptron with one hidden layer"
    return Drawn({"loss": loss}, {"inputs": {"x": x}, "title": title})


def perceptron_saved() -> Drawn:
    outputs, _ = perceptron()
    return Drawn(outputs, {"show_saved": True})


def shared_operand() -> Drawn:
    x = tt.rand(3, requires_grad=True)
    return Drawn(x * x + x, {"inputs": {"x": x}})


def cell_loop() -> Drawn:
    """A learner's own loop over three steps, each of them one node."""
    cell = nn.LSTMCell(2, 3)
    h = c = tt.zeros(1, 3)
    for t in range(3):
        with Scope("step", t):
            h, c = cell(tt.rand(1, 2), (h, c))
    return Drawn(h, {"direction": "RL"})


def unrolled_lstm() -> Drawn:
    lstm = nn.LSTM(2, 3, bidirectional=True)
    x = tt.rand(2, 1, 2)
    with tt.unrolled():
        output, _ = lstm(x)
    return Drawn(output, {"inputs": {"x": x}})


def fused_lstm() -> Drawn:
    lstm = nn.LSTM(2, 3)
    x = tt.rand(4, 1, 2, requires_grad=True)
    output, (h_n, c_n) = lstm(x)
    return Drawn({"output": output, "states": {"h_n": h_n, "c_n": c_n}}, {"inputs": {"x": x}})


def second_order() -> Drawn:
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh())
    (slope,) = tt.autograd.grad(model(tt.rand(1, 2)).sum(), model[0].weight, create_graph=True)
    return Drawn({"penalty": (slope * slope).sum()}, {})


def several_outputs() -> Drawn:
    z = tt.rand(4, 3, requires_grad=True)
    a, b, c, d = z.unbind(0)
    return Drawn([(a * b + d).sum(), c], {"inputs": {"z": z}})


def folded_loop() -> Drawn:
    """A learner's own loop over eight steps with a loss in each."""
    cell, head = nn.LSTMCell(2, 3), nn.Linear(3, 1)
    h = c = tt.zeros(1, 3)
    loss = tt.zeros(())
    for _ in range(8):
        h, c = cell(tt.rand(1, 2), (h, c))
        loss = loss + (head(h) ** 2).sum()
    return Drawn({"loss": loss}, {"direction": "RL"})


def folded_parameters() -> Drawn:
    """The same, with the parameters in each of its frames."""
    outputs, options = folded_loop()
    return Drawn(outputs, {**options, "parameters": "cluster"})


def folded_gru() -> Drawn:
    gru = nn.GRU(2, 3, bidirectional=True)
    x = tt.rand(8, 1, 2, requires_grad=True)
    with tt.unrolled():
        output, _ = gru(x)
    return Drawn(output, {"inputs": {"x": x}})


GOLDEN: dict[str, Callable[[], Drawn]] = {
    function.__name__: function
    for function in (
        perceptron,
        perceptron_saved,
        shared_operand,
        cell_loop,
        unrolled_lstm,
        fused_lstm,
        second_order,
        several_outputs,
        folded_loop,
        folded_parameters,
        folded_gru,
    )
}
