"""All layers and directions of an LSTM in the plain case, on arrays: see `lstm_walk`.

Both directions of a small layer walk as one batch, those of a large one apart, on threads if there
are some, and so do shares of a large batch (see `lstm_shares`).

The other cases (sequences of several lengths, a projection, dropout on h, states of all steps,
segments) go scan by scan, see `lstm_kernel`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..dtypes import Array
from ..parallel import at_once
from .layers_kernel import State, Weights
from .lstm_shares import joined, shared_backward, shared_forward, shares_of
from .lstm_walk import Walk, turned, walk_backward, walk_forward
from .steps import Steps

_LARGE = 1 << 22  # multiplications of a scan above which directions do not walk as one batch


class Saved(NamedTuple):
    """What the forward pass leaves.

    shares : of the batch, if they walk apart
    walks : of each layer one for all directions, or one for each, and of each share
    outputs : (T, N, directions · H), of all layers if told, or of those below a mask
    weights : a copy, if told
    """

    shares: list[slice]
    walks: list[list[Any]]
    outputs: list[Array]
    weights: list[tuple[Any, ...]]


def forward(
    x: Array,
    states: State,
    mask: Array | None,
    weights: Sequence[Weights],
    directions: int,
    recorded: bool,
    told: bool,
) -> tuple[Array, State, Saved] | None:
    """(output (T, N, directions · H), last states, what is left); None for what is not plain.

    x : (T, N, I)
    mask : None, or factors between the layers, (layers - 1, T, N, directions · H); not if told
    weights : of each scan w_ih, w_hh, b_ih, b_hh, then None and None
    recorded : whether there may be a backward pass
    told : whether `tell` may be called
    """
    h_0, c_0 = states
    if h_0.size == 0:
        return None
    for *_, w_hr, factors in weights:
        if w_hr is not None or factors is not None:
            return None
    length, batch, _ = x.shape
    size = h_0.shape[2]
    work = length * batch * weights[0][1].size
    together = 1 if work > _LARGE else directions
    h_n, c_n = np.empty(h_0.shape, h_0.dtype), np.empty(c_0.shape, c_0.dtype)
    saved = Saved(shares_of(batch, size, directions // together), [], [], [])
    for first in range(0, len(weights), directions):
        output = np.empty((length, batch, directions * size), x.dtype)
        outputs = _by_scan(output, directions)
        arguments = []
        for direction in range(0, directions, together):
            own = slice(first + direction, first + direction + together)
            arguments.append(
                (
                    x, h_0[own], c_0[own], weights[own], direction,
                    outputs[direction : direction + together], h_n[own], c_n[own], recorded, told,
                )
            )  # fmt: skip
        if saved.shares:
            saved.walks.append(shared_forward(arguments, saved.shares))
        else:
            saved.walks.append(at_once(walk_forward, arguments, work))
        x = output
        if told:
            saved.outputs.append(output)
        elif mask is not None and first + directions < len(weights):
            saved.outputs.append(output)
            x = output * mask[first // directions]
    if told:
        saved.outputs[-1] = output.copy()
        saved.weights.extend(
            tuple([None if one is None else one.copy() for one in own]) for own in weights
        )
    return output, (h_n, c_n), saved


def backward(
    saved: Saved,
    x: Array,
    h_0: Array,
    mask: Array | None,
    weights: Sequence[Weights],
    g_output: Array | None,
    g_finals: Sequence[Array | None],
    needs: tuple[bool, bool, Sequence[Sequence[bool]]],
    directions: int,
) -> tuple[Array | None, State, Array | None, list[Array | None]]:
    """The gradients of x, of the first states, of the mask and of all weights.

    needs : of x, of the mask, of each weight of each scan
    """
    needs_x, needs_mask, needs_weights = needs
    length, batch, _ = x.shape
    size = h_0.shape[2]
    work = length * batch * weights[0][1].size
    # First of the last states, then, as each walk turns its own around, of the first ones.
    dh, dc = (
        np.zeros(h_0.shape, x.dtype) if g is None else np.array(g, order="C") for g in g_finals
    )
    d_mask = np.empty_like(mask) if needs_mask and mask is not None else None
    d_weights: list[list[Array | None]] = [[] for _ in weights]
    dx: Any = g_output
    if g_output is None:
        dx = np.zeros((length, batch, directions * size), x.dtype)
    for layer in range(len(saved.walks) - 1, -1, -1):
        dys = _by_scan(dx, directions)
        walks = saved.walks[layer]
        count = len(saved.shares) or 1
        together = directions * count // len(walks)
        first = layer * directions
        arguments = []
        for direction in range(0, directions, together):
            own = slice(first + direction, first + direction + together)
            arguments.append(
                (
                    weights[own], direction, dys[direction : direction + together], dh[own],
                    dc[own], layer > 0 or needs_x, needs_weights[own],
                )
            )  # fmt: skip
        if saved.shares:
            found = shared_backward(walks, arguments, saved.shares)
        else:
            each = [(walk, *rest) for walk, rest in zip(walks, arguments, strict=True)]
            found = at_once(walk_backward, each, work)
        dx = None
        part: Any
        for part, d_steps in found:
            dx = part if dx is None else np.add(dx, part, out=dx)
            for d_step in d_steps:
                d_weights[first] = _parted(d_step, weights[first][0].shape[1], needs_weights[first])
                first += 1
        if mask is not None and layer > 0:
            if d_mask is not None:
                d_mask[layer - 1] = dx * saved.outputs[layer - 1]
            dx = dx * mask[layer - 1]
    return dx, (dh, dc), d_mask, [gradient for own in d_weights for gradient in own]


def tell(saved: Saved, x: Array, states: Sequence[Array], directions: int, note: Any) -> None:
    """Write what the forward pass left on a note of a record, scan by scan, in order of time."""
    length, batch, _ = x.shape
    parts: list[tuple[Array, ...]] = []
    for walks, output in zip(saved.walks, saved.outputs, strict=True):
        slots = _slots(walks, len(saved.shares))
        for direction, (own, h) in enumerate(zip(slots, _by_scan(output, directions), strict=True)):
            o, i, f, g, c = own.swapaxes(0, 1)
            left = c[1:], i[:-1], f[:-1], g[:-1], o[:-1]
            in_time = [turned([part], direction)[0] for part in left]
            parts.append(tuple([_rows(part) for part in (h, *in_time)]))
    layers = [_rows(part) for part in (x, *saved.outputs[:-1])]
    note.forward(Steps((batch,) * length, batch), states, saved.weights, layers, parts)


def _slots(walks: Sequence[Walk], shares: int) -> list[Array]:
    """Of each scan of a layer its cells and gates, (T + 1, 5, N, H)."""
    slots: list[Any] = [walk.slots for walk in walks]
    if shares:
        slots = [joined(slots[k : k + shares], 3) for k in range(0, len(slots), shares)]
    return [own for each in slots for own in each.transpose(2, 0, 1, 3, 4)]


def _parted(d_step: Array | None, inputs: int, needs: Sequence[bool]) -> list[Array | None]:
    """The gradients of W_ih, W_hh and the biases, which stand side by side: views."""
    parts: list[Array | None] = [None] * len(needs)
    if d_step is None:
        return parts
    if needs[0]:
        parts[0] = d_step[:, :inputs]
    if needs[1]:
        parts[1] = d_step[:, inputs:-1]
    if needs[2] or needs[3]:
        parts[2] = parts[3] = d_step[:, -1]
    return parts


def _by_scan(output: Array, directions: int) -> list[Array]:
    """The parts (T, N, H) of (T, N, directions · H)."""
    if directions == 1:
        return [output]
    size = output.shape[2] // 2
    return [output[:, :, :size], output[:, :, size:]]


def _rows(array: Array) -> Array:
    """(T, N, features) as rows."""
    return array.reshape(-1, array.shape[2])
