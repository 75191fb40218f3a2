"""The LSTM's scans with compiled loops: as `lstm_kernel`'s, without projection and dropout on h.

A walk is one compiled loop, products and all, while they are small; parts of the batch walk at once
where that is worth a thread. For larger steps the walk is in Python: BLAS makes the product of each
step, and a compiled loop the rest of it.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ... import memory
from ...dtypes import Array
from ...parallel import in_parts, matmul, parts_of
from ..blocks import in_blocks, multiply
from ..layers_kernel import State, Weights
from ..lstm_kernel import Saved, _cells, _gate
from ..steps import Steps, bias_of, memory_of_starts, recurrent_gradient
from . import loops

# All in multiplications, those of a step as N H² (its product takes four times as many).
_LARGEST_PRODUCT = 1 << 17  # for which the loop is as quick as BLAS with its overhead
_LARGEST_STEP = 1 << 17  # for which one loop is as quick as BLAS at each step
_LARGEST_PART = 1 << 19  # the same for a part, as a walk in Python has to wait for the lock
_WORTH_PARTS = 1 << 22  # of all steps together

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
    parts = _parts(c0, steps)
    in_loop = _in_loop(c0, parts)
    products = in_loop and parts == 1 and rows * w_ih.size <= _LARGEST_PRODUCT
    gates = memory.empty((rows, len(w_hh)), dtype)
    if not products:
        matmul(x, w_ih.T, gates)
    c, c_starts = _cells(c0, rows, steps, reverse)
    tanh_c = memory.empty((rows, c0.shape[1]), dtype)
    h = h_out if h_out.flags.c_contiguous else memory.empty(h_out.shape, dtype)
    h_starts = memory_of_starts(h_out, steps)
    last = np.array(h0, order="C"), np.array(c0, order="C")
    columns = gates, c, c_starts, tanh_c, h, no_rows if h_starts is None else h_starts
    if in_loop:
        walk = partial(
            loops.lstm_forward,
            _plain(x) if products else no_rows,
            _plain(w_ih),
            _plain(w_hh),
            no_vector if b_ih is None else _plain(b_ih),
            no_vector if b_hh is None else _plain(b_hh),
            *last,
            *columns,
            _sizes(steps),
            reverse,
            products,
        )
    else:
        walk = partial(_walk_forward, w_hh, bias_of(b_ih, b_hh), *last, *columns, steps, reverse)
    _run(walk, len(c0), parts)
    if h is not h_out:
        h_out[...] = h
    return Saved(gates, c, c_starts, tanh_c, h_out, h_out, h0, h_starts), last


def _walk_forward(
    w_hh: Array,
    bias: Array | None,
    h: Array,
    c: Array,
    gates: Array,
    c_all: Array,
    c_starts: Array,
    tanh_c: Array,
    h_out: Array,
    h_starts: Array,
    steps: Steps,
    reverse: bool,
    start: int,
    end: int,
) -> None:
    """As `loops.lstm_forward`, where the product with w_ih stands in the gates."""
    w_state = in_blocks(w_hh.T, end - start)
    from_h = np.empty((end - start, len(w_hh)), gates.dtype)
    added = np.zeros(len(w_hh), gates.dtype) if bias is None else bias
    starts = steps.starts
    for t in steps.order(reverse):
        count = min(end, steps.sizes[t]) - start
        if count <= 0:
            continue
        row = starts[t] + start
        h_part = h[start : start + count]
        if len(h_starts):
            h_starts[row : row + count] = h_part
            c_starts[row : row + count] = c[start : start + count]
        multiply(h_part, w_state, from_h[:count])
        loops.add_rows(gates, row, from_h, added, count)
        loops.lstm_step_forward(gates, c_all, tanh_c, h_out, row, h, c, start, count)


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
    handed: dict[str, Array] | None = None,
) -> tuple[Array | None, State, list[Array | None]]:
    w_ih, w_hh, *_ = weights
    gates, _, c_starts, tanh_c, _, h, h0, h_starts = saved
    dz = memory.empty(gates.shape, gates.dtype)
    d_last = (_plain(d_last[0]), _plain(d_last[1]))
    columns = gates, c_starts, tanh_c, _plain(upstream[0]), *d_last, dz
    parts = _parts(h0, steps)
    in_loop = _in_loop(h0, parts)
    if in_loop:
        walk = partial(loops.lstm_backward, _plain(w_hh), *columns, _sizes(steps), reverse)
    else:
        walk = partial(_walk_backward, w_hh, *columns, steps, reverse)
    _run(walk, len(h0), parts)
    if handed is not None:
        handed.update(zip("ifgo", (_gate(dz, k) for k in range(4)), strict=True))
    small = len(dz) * max(w_ih.size, w_hh.size) <= _LARGEST_PRODUCT
    if in_loop and parts == 1 and small and steps.uniform and all(needs[:2]):
        dx, *products, of_bias = _products(dz, x, h, h0, w_ih, reverse, needs_x)
        of_biases = [of_bias if needs[2] or needs[3] else None] * 2
        return dx, d_last, [*products, *of_biases, None, None]
    d_ih = matmul(dz.T, x) if needs[0] else None
    d_hh = recurrent_gradient(dz, h, h0, h_starts, steps, reverse) if needs[1] else None
    d_bias = dz.sum(axis=0) if needs[2] or needs[3] else None
    dx = matmul(dz, w_ih) if needs_x else None
    return dx, d_last, [d_ih, d_hh, d_bias, d_bias, None, None]


def _products(
    dz: Array, x: Array, h: Array, h0: Array, w_ih: Array, reverse: bool, needs_x: bool
) -> tuple[Array | None, Array, Array, Array]:
    """The gradients of x, w_ih, w_hh and the biases, by a compiled loop."""
    columns = dz.shape[1]
    d_ih = np.empty(w_ih.shape, dz.dtype)
    d_hh = np.empty((columns, h.shape[1]), dz.dtype)
    d_bias = np.empty(columns, dz.dtype)
    loops.lstm_products(dz, _plain(x), _plain(h), _plain(h0), reverse, d_ih, d_hh, d_bias)
    if not needs_x:
        return None, d_ih, d_hh, d_bias
    dx = np.zeros(x.shape, dz.dtype)
    loops.add_product(dx, 0, dz, 0, len(dz), _plain(w_ih))
    return dx, d_ih, d_hh, d_bias


def _walk_backward(
    w_hh: Array,
    gates: Array,
    c_starts: Array,
    tanh_c: Array,
    dy: Array,
    dh: Array,
    dc: Array,
    dz: Array,
    steps: Steps,
    reverse: bool,
    start: int,
    end: int,
) -> None:
    """As `loops.lstm_backward`."""
    w_back = in_blocks(w_hh, end - start)
    starts = steps.starts
    for t in steps.order(not reverse):
        count = min(end, steps.sizes[t]) - start
        if count <= 0:
            continue
        row = starts[t] + start
        loops.lstm_step_backward(gates, c_starts, tanh_c, dy, dz, row, dh, dc, start, count)
        multiply(dz[row : row + count], w_back, dh[start : start + count])


def _parts(state: Array, steps: Steps) -> int:
    """In how many parts the batch walks."""
    return (
        parts_of(len(state)) if state.size * state.shape[1] * len(steps.sizes) > _WORTH_PARTS else 1
    )


def _in_loop(state: Array, parts: int) -> bool:
    """Whether a walk is one compiled loop."""
    step = state.size * state.shape[1]
    return step <= _LARGEST_STEP if parts == 1 else step <= _LARGEST_PART * parts


def _run(walk: Any, batch: int, parts: int) -> None:
    """Let the sequences walk, all at once or in parts."""
    if parts == 1:
        walk(0, batch)
    else:
        in_parts(walk, batch)


def _plain(array: Array) -> Array:
    """The array as the loops were compiled for: contiguous, and marked writeable."""
    return array if array.flags.carray else array.copy()


def _sizes(steps: Steps) -> Array:
    return _UNIFORM if steps.uniform else np.array(steps.sizes, np.int64)
