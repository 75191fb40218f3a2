"""The simple RNN over a whole sequence, all layers and directions, as one hand-written node.

Forward, at each step, from a = W_ih x_t + b_ih + b_hh  (made for all steps at once):

    h_t = φ(a + W_hh h_{t-1}),    φ = tanh or max(0, ·)

Backward, with dh_t the gradient that enters at output t plus W_hhᵀ dz_{t+1}:

    dz_t = dh_t · φ'    φ' = 1 - h_t²  for tanh,  1 where h_t > 0, else 0,  for max(0, ·)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ..dtypes import Array
from ..parallel import matmul
from .layers_kernel import Recurrence, State, Weights, sequence_kernel
from .scan import rnn_relu_cell, rnn_tanh_cell
from .steps import Steps, bias_of, follow, memory_of_starts, recurrent_gradient


class Saved(NamedTuple):
    """What one scan leaves: h (rows, H), h0 (N, H), the h that each step started from."""

    h: Array
    h0: Array
    h_starts: Array | None


def _tanh_slope(h: Array) -> Array:
    return 1 - h * h


def _relu_slope(h: Array) -> Array:
    return (h > 0).astype(h.dtype)


def _relu(z: Array, out: Array) -> Array:
    return np.maximum(z, 0, out=out)


def _scan_forward(
    activation: Callable[..., Array],
    x: Array,
    state: State,
    weights: Weights,
    reverse: bool,
    h_out: Array,
    steps: Steps,
) -> tuple[Saved, State]:
    """One direction of one layer: what it leaves, and its last h."""
    w_ih, w_hh, b_ih, b_hh, factors = weights
    (h0,) = state
    z = matmul(x, w_ih.T)
    bias = bias_of(b_ih, b_hh)
    if bias is not None:
        z += bias
    w_state = np.ascontiguousarray(w_hh.T)
    h_starts = memory_of_starts(h_out, steps, factors)
    carried = h0.copy()
    h = h0
    z_at, h_at, starts_at = steps.split(z, h_out, h_starts)
    for t in steps.order(reverse):
        h_t = h_at[t]
        h = follow(h, carried, len(h_t))
        if h_starts is not None:
            start = starts_at[t]
            np.multiply(h, 1 if factors is None else factors[: len(h)], out=start)
            h = start
        np.matmul(h, w_state, out=h_t)
        h_t += z_at[t]
        h = activation(h_t, out=h_t)
    carried[: len(h)] = h
    return Saved(h_out, h0, h_starts), (carried,)


def _scan_backward(
    slope: Callable[[Array], Array],
    saved: Saved,
    x: Array,
    weights: Weights,
    upstream: list[Any],
    d_last: State,
    reverse: bool,
    steps: Steps,
    needs_x: bool,
    needs: tuple[bool, ...],
    handed: dict[str, Array] | None = None,
) -> tuple[Array | None, State, list[Array | None]]:
    """The gradients of one scan: of x, of its first h, and of its weights."""
    w_ih, w_hh, _, _, factors = weights
    (dy,) = upstream
    (carried,) = d_last
    dz = slope(saved.h)
    dh = carried.copy()
    dy_at, dz_at = steps.split(dy, dz)
    for t in steps.order(not reverse):
        dz_t = dz_at[t]
        dh = follow(dh, carried, len(dz_t))
        dh += dy_at[t]
        dz_t *= dh
        np.matmul(dz_t, w_hh, out=dh)
        if factors is not None:
            dh *= factors[: len(dh)]
    carried[: len(dh)] = dh
    if handed is not None:
        handed["h"] = dz
    gradients: list[Array | None] = [None] * len(weights)
    if needs[0]:
        gradients[0] = matmul(dz.T, x)
    if needs[1]:
        gradients[1] = recurrent_gradient(dz, saved.h, saved.h0, saved.h_starts, steps, reverse)
    if needs[2] or needs[3]:
        gradients[2] = gradients[3] = dz.sum(axis=0)
    return (matmul(dz, w_ih) if needs_x else None), (carried,), gradients


def _all_steps(saved: Saved) -> tuple[Array, ...]:
    return (saved.h,)


def _recurrence(cell: Any, activation: Callable[..., Array], slope: Any) -> Recurrence:
    return Recurrence(
        cell,
        partial(_scan_forward, activation),
        partial(_scan_backward, slope),
        _all_steps,
        parts="h",
        gates="",
        weights=5,
    )


rnn_tanh = sequence_kernel("rnn_tanh", _recurrence(rnn_tanh_cell, np.tanh, _tanh_slope))
rnn_relu = sequence_kernel("rnn_relu", _recurrence(rnn_relu_cell, _relu, _relu_slope))
