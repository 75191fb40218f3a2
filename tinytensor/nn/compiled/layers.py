"""All layers and directions of a small LSTM as one compiled call each way.

For toy models the calls from Python round each scan take longer than the scans. This is the form
for the plain case alone: sequences of one length, no dropout, no projection.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ...dtypes import Array
from ..layers_kernel import State, Weights
from ..steps import Steps
from . import loops
from .lstm import _LARGEST_PRODUCT, _LARGEST_STEP, _plain


class Saved(NamedTuple):
    """What the forward pass leaves.

    weights : (all,), those of all scans one after the other
    biases : how many each scan has
    scans : (all,), what each scan leaves, see `loops`
    inputs : (layers, rows, directions · H), the outputs of each layer
    """

    weights: Array
    biases: int
    scans: Array
    inputs: Array


def forward(
    x: Array,
    states: State,
    mask: Array | None,
    weights: Sequence[Weights],
    directions: int,
    recorded: bool,
    told: bool,
) -> tuple[Array, State, Saved] | None:
    """As `lstm_layers.forward`; None for what is not plain and small, or has a mask."""
    scans, batch, size = states[0].shape
    length, _, inputs = x.shape
    rows = length * batch
    width = max(inputs, directions * size)
    is_large = rows * 4 * size * width > _LARGEST_PRODUCT or batch * size * size > _LARGEST_STEP
    if is_large or mask is not None:
        return None
    flat = []
    for w_ih, w_hh, b_ih, b_hh, w_hr, factors in weights:
        if w_hr is not None or factors is not None:
            return None
        flat += [part.ravel() for part in (w_ih, w_hh, b_ih, b_hh) if part is not None]
    h, c = (np.array(state, order="C") for state in states)
    saved = Saved(
        np.concatenate(flat),
        len(flat) // scans - 2,
        np.empty(scans * (7 * rows + batch) * size, x.dtype),
        np.empty((scans // directions, rows, directions * size), x.dtype),
    )
    loops.lstm_layers_forward(
        _rows(x), saved.weights, saved.biases, h, c, directions, saved.scans, saved.inputs
    )
    return saved.inputs[-1].copy().reshape(length, batch, -1), (h, c), saved


def backward(
    saved: Saved,
    x: Array,
    h0: Array,
    mask: Array | None,
    weights: Sequence[Weights],
    g_output: Array | None,
    g_finals: Sequence[Array | None],
    needs: tuple[bool, bool, Sequence[Sequence[bool]]],
    directions: int,
) -> tuple[Array | None, State, Array | None, list[Array | None]]:
    """As `lstm_layers.backward`, the gradients of all weights."""
    needs_x, *_ = needs
    dtype = x.dtype
    rows = _rows(x)
    shape = saved.inputs.shape[1:]
    dy = np.zeros(shape, dtype) if g_output is None else _rows(g_output)
    dh, dc = (np.zeros(h0.shape, dtype) if g is None else np.array(g, order="C") for g in g_finals)
    dx = np.zeros((len(rows) if needs_x else 0, rows.shape[1]), dtype)
    d_weights = np.empty_like(saved.weights)
    loops.lstm_layers_backward(
        rows, saved.weights, saved.biases, _plain(h0), directions, saved.scans, saved.inputs,
        dy, dh, dc, dx, d_weights,
    )  # fmt: skip
    gradients: list[Array | None] = []
    at = 0
    for group in weights:
        for weight in group:
            if weight is None:
                gradients.append(None)
            else:
                gradients.append(d_weights[at : at + weight.size].reshape(weight.shape))
                at += weight.size
    return (dx.reshape(x.shape) if needs_x else None), (dh, dc), None, gradients


def _rows(array: Array) -> Array:
    """(T, N, features) as rows."""
    return _plain(array.reshape(-1, array.shape[2]))


def tell(saved: Saved, x: Array, states: Sequence[Array], directions: int, note: Any) -> None:
    """Write what the forward pass left on a note of a record, as it stands scan by scan."""
    length, batch, inputs = x.shape
    rows = length * batch
    scans, _, size = states[0].shape
    weights: list[tuple[Array | None, ...]] = []
    parts: list[tuple[Array, ...]] = []
    at = place = 0
    for k in range(scans):
        width = inputs if k < directions else directions * size
        shapes = [(4 * size, width), (4 * size, size), *[(4 * size,)] * saved.biases]
        own: list[Array | None] = []
        for shape in shapes:
            count = math.prod(shape)
            own.append(saved.weights[at : at + count].reshape(shape))
            at += count
        weights.append((*own, *[None] * (6 - len(own))))
        h, gates, cells, tanh_c = loops.scan_memory(saved.scans, place, rows, batch, size)
        place += h.size + gates.size + cells.size + tanh_c.size
        c = cells[:rows] if k % directions else cells[batch:]
        parts.append((h, c, *gates.reshape(rows, 4, size).transpose(1, 0, 2)))
    layers = [x.reshape(rows, inputs), *saved.inputs[:-1]]
    note.forward(Steps((batch,) * length, batch), states, weights, layers, parts)
