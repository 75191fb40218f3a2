"""Recurrence in primitives: one step, one direction over time, layers x directions.

This is the mathematics of the recurrent layers, an operation a line. It is what `tt.unrolled()`
shows, what second derivatives are taken of, and what every kernel is held to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..autograd.scope import Scope
from ..ops.elementwise import sigmoid, tanh
from ..ops.linalg import linear
from ..ops.shape import cat, chunk, stack, unbind

State = tuple[Any, ...]
Weights = tuple[Any, ...]


def gates(x: Any, h: Any, w_ih: Any, w_hh: Any, b_ih: Any = 0.0, b_hh: Any = 0.0) -> Any:
    """z = W_ih x + b_ih + W_hh h + b_hh for a batch of rows: (N, I), (N, H) -> (N, gates · H)."""
    return linear(x, w_ih, b_ih) + linear(h, w_hh, b_hh)


def lstm_cell(x: Any, state: State, weights: Weights) -> State:
    """One step of the LSTM (Hochreiter and Schmidhuber 1997; forget gate: Gers et al. 2000).

        i = σ(z_i)   f = σ(z_f)   g = tanh(z_g)   o = σ(z_o)      z = W_ih x + b_ih + W_hh h + b_hh
        c' = f c + i g
        h' = o tanh(c')

    x (N, I); state = h, c (N, H) each; weights = W_ih (4H, I), W_hh (4H, H) and both biases (4H) or
    none, rows in the order i f g o. Returns h', c'.
    """
    h, c = state
    i, f, g, o = chunk(gates(x, h, *weights), 4, -1)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    h = sigmoid(o) * tanh(c)
    return h, c


def scan(
    cell: Callable[[Any, State, Weights], State],
    x: Any,
    state: State,
    weights: Weights,
    reverse: bool,
) -> tuple[Any, State]:
    """A cell over time, in either direction: x (T, N, I) -> outputs (T, N, H) and the last state.

    Outputs stand at the time of their input in both directions, so the last state of a reverse scan
    belongs to outputs[0].
    """
    steps = unbind(x)
    outputs: list[Any] = [None] * len(steps)
    order = range(len(steps))
    for t in reversed(order) if reverse else order:
        with Scope("step", t):
            state = cell(steps[t], state, weights)
            outputs[t] = state[0]
    return stack(outputs), state


def layers_and_directions(
    cell: Callable[[Any, State, Weights], State],
    x: Any,
    states: State,
    weights: Sequence[Weights],
    layers: int,
    directions: int,
    mask: Any = None,
) -> tuple[Any, State]:
    """The one driver of all recurrent layers: directions side by side, layers in a chain.

    x : Tensor (T, N, I)
    states : Tensors (layers · directions, N, H), one for each part of the cell's state
    weights : those of each scan: layer 0 forward, layer 0 reverse, layer 1 forward, ...
    mask : Tensor (layers - 1, T, N, directions · H) or None: factors on the outputs of all layers
        but the last (dropout)
    Returns the outputs of the last layer (T, N, directions · H), reverse after forward along the
    last dimension, and the last states, shaped as `states`.
    """
    finals: list[list[Any]] = [[] for _ in states]
    for layer in range(layers):
        with Scope("layer", layer):
            outputs = []
            for direction in range(directions):
                number = layer * directions + direction
                with Scope("direction", "reverse" if direction else "forward"):
                    start = tuple(part[number] for part in states)
                    y, state = scan(cell, x, start, weights[number], direction == 1)
                outputs.append(y)
                for collected, part in zip(finals, state, strict=True):
                    collected.append(part)
            x = outputs[0] if directions == 1 else cat(outputs, -1)
            if mask is not None and layer < layers - 1:
                x = x * mask[layer]
    return x, tuple(stack(collected) for collected in finals)
