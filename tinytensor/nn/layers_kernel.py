"""Layers x directions on arrays, for every kernel that has a scan forward and a scan backward.

The twin of `scan.layers_and_directions`, which does the same in primitives: each layer reads the
outputs of the one below (times the dropout mask between them), its directions write side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..dtypes import Array

State = tuple[Array, ...]
Weights = tuple[Array, ...]


class Walked(NamedTuple):
    """What the forward walk leaves for the backward walk.

    scans : what each scan saved, in the order layer 0 forward, layer 0 reverse, layer 1 forward ...
    inputs, outputs : of each layer, (T, N, features)
    """

    scans: list[Any]
    inputs: list[Array]
    outputs: list[Array]


def flat(array: Array) -> Array:
    """(T, N, features) as the matrix (T · N, features)."""
    return array.reshape(array.shape[0] * array.shape[1], array.shape[2])


def forward_layers(
    scan_forward: Callable[..., tuple[Any, State]],
    x: Array,
    states: State,
    mask: Array | None,
    weights: Sequence[Weights],
    directions: int,
) -> tuple[tuple[Array, ...], Walked]:
    """Run all scans: ((outputs of the last layer, last states), what they leave).

    scan_forward(x, state, weights, reverse, h_out) -> (saved, last state), outputs into h_out
    """
    steps, batch, _ = x.shape
    size = states[0].shape[2]
    layers = len(weights) // directions
    walked = Walked([], [], [])
    finals = tuple(np.empty_like(part) for part in states)
    for layer in range(layers):
        h_out = np.empty((steps, batch, directions * size), x.dtype)
        for direction in range(directions):
            number = layer * directions + direction
            saved, last = scan_forward(
                x,
                tuple(part[number] for part in states),
                weights[number],
                direction == 1,
                h_out[:, :, direction * size : (direction + 1) * size],
            )
            walked.scans.append(saved)
            for final, part in zip(finals, last, strict=True):
                final[number] = part
        walked.inputs.append(x)
        walked.outputs.append(h_out)
        x = h_out if mask is None or layer == layers - 1 else h_out * mask[layer]
    # A copy: what is kept must not change when a user writes into the output.
    return (walked.outputs[-1].copy(), *finals), walked


def backward_layers(
    scan_backward: Callable[..., tuple[Array | None, State, list[Array | None]]],
    walked: Walked,
    states: State,
    mask: Array | None,
    weights: Sequence[Weights],
    gradients: Sequence[Array | None],
    needs: Sequence[bool],
    directions: int,
) -> list[Array | None]:
    """The gradients of x, the states, the mask and all weights, in this order.

    gradients : those of the outputs of `forward_layers`, None where an output was not used
    needs : for each of the results whether it is wanted
    scan_backward(saved, x, weights, dy, last state's gradient, reverse, needs_x, needs)
        -> (gradient of x, of the first state, of the weights)
    """
    g_output, *g_finals = gradients
    g_states = tuple(np.empty_like(part) for part in states)
    g_mask = np.empty_like(mask) if mask is not None and needs[1 + len(states)] else None
    size = states[0].shape[2]
    each = len(weights[0])
    first_weight = 2 + len(states)
    g_weights: list[Array | None] = [None] * (each * len(weights))
    dy = np.zeros_like(walked.outputs[-1]) if g_output is None else g_output
    dx: Array | None = None
    for layer in reversed(range(len(weights) // directions)):
        dx = None
        for direction in range(directions):
            number = layer * directions + direction
            at = number * each
            part, first, own = scan_backward(
                walked.scans[number],
                walked.inputs[layer],
                weights[number],
                dy[:, :, direction * size : (direction + 1) * size],
                tuple(
                    np.zeros_like(state[number]) if g is None else np.array(g[number], order="C")
                    for g, state in zip(g_finals, states, strict=True)
                ),
                direction == 1,
                layer > 0 or needs[0],
                tuple(needs[first_weight + at : first_weight + at + each]),
            )
            g_weights[at : at + each] = own
            for g_state, gradient in zip(g_states, first, strict=True):
                g_state[number] = gradient
            if part is not None:
                dx = part if dx is None else np.add(dx, part, out=dx)
        if layer > 0 and dx is not None:
            dy = dx if mask is None else dx * mask[layer - 1]
            if g_mask is not None:
                g_mask[layer - 1] = dx * walked.outputs[layer - 1]
    return [dx, *g_states, g_mask, *g_weights]
