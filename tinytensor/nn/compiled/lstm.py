"""The LSTM's scans with compiled loops: as `lstm_kernel`'s, without projection and dropout on h.

Products so large that BLAS is quicker are left to it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...dtypes import Array
from ..layers_kernel import State, Weights
from ..lstm_kernel import Saved, _cells, _reordered
from ..steps import Steps, memory_of_starts, recurrent_gradient
from . import loops

# The most multiplications of a product for which the loop is as quick as BLAS with its overhead.
_LARGEST_PRODUCT = 1 << 17

_UNIFORM = np.empty(0, np.int64)
_EMPTY = {np.dtype(t): (np.empty(0, t), np.empty((0, 0), t)) for t in (np.float32, np.float64)}


def scan_forward(
    x: Array, state: State, weights: Weights, reverse: bool, h_out: Array, steps: Steps
) -> tuple[Saved, State]:
    h0, c0 = state
    w_ih, w_hh, b_ih, b_hh, _, _ = weights
    rows = len(x)
    dtype = x.dtype
    no_vector, no_rows = _EMPTY[dtype]
    products = rows * w_ih.size <= _LARGEST_PRODUCT
    gates = np.empty((rows, len(w_hh)), dtype)
    if not products:
        np.matmul(x, _reordered(w_ih).T, out=gates)
    c, c_starts = _cells(c0, rows, steps, reverse)
    tanh_c = np.empty((rows, c0.shape[1]), dtype)
    h = h_out if h_out.flags.c_contiguous else np.empty(h_out.shape, dtype)
    h_starts = memory_of_starts(h_out, steps)
    last = np.array(h0, order="C"), np.array(c0, order="C")
    loops.lstm_forward(
        _plain(x) if products else no_rows,
        _plain(w_ih),
        _plain(w_hh),
        no_vector if b_ih is None else _plain(b_ih),
        no_vector if b_hh is None else _plain(b_hh),
        *last,
        gates,
        c,
        c_starts,
        tanh_c,
        h,
        no_rows if h_starts is None else h_starts,
        _sizes(steps),
        reverse,
        products,
    )
    if h is not h_out:
        h_out[...] = h
    return Saved(gates, c, c_starts, tanh_c, h_out, h_out, h0, h_starts), last


def scan_backward(
    saved: Saved,
    x: Array,
    weights: Weights,
    upstream: list[Any],
    d_last: State,
    reverse: bool,
    steps: Steps,
    needs_x: bool,
    needs: tuple[bool, ...],
) -> tuple[Array | None, State, list[Array | None]]:
    w_ih, w_hh, *_ = weights
    gates, _, c_starts, tanh_c, _, h, h0, h_starts = saved
    dz = np.empty_like(gates)
    d_last = (_plain(d_last[0]), _plain(d_last[1]))
    loops.lstm_backward(
        _plain(w_hh),
        gates,
        c_starts,
        tanh_c,
        _plain(upstream[0]),
        *d_last,
        dz,
        _sizes(steps),
        reverse,
    )
    d_ih = np.matmul(dz.T, x) if needs[0] else None
    d_hh = recurrent_gradient(dz, h, h0, h_starts, steps, reverse) if needs[1] else None
    d_bias = dz.sum(axis=0) if needs[2] or needs[3] else None
    dx = np.matmul(dz, w_ih) if needs_x else None
    return dx, d_last, [d_ih, d_hh, d_bias, d_bias, None, None]


def _plain(array: Array) -> Array:
    """The array as the loops were compiled for: contiguous, and marked writeable."""
    array = np.ascontiguousarray(array)
    return array if array.flags.writeable else array.copy()


def _sizes(steps: Steps) -> Array:
    return _UNIFORM if steps.uniform else np.array(steps.sizes, np.int64)
