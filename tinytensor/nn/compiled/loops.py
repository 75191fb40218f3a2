"""The LSTM's walks through time, compiled. Their formulas stand in `nn/lstm_kernel.py`.

How they are written follows from what the compiler makes of it. A loop becomes vector code only if
it reads and writes few arrays: as the loop starts, each that it writes is checked not to overlap
another. No array is sliced inside a walk, because a view costs as much as ten multiplications. And
all loops stand in this one file, as those kept on disk are compiled anew only when it changes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np
from numba.extending import overload

from ...dtypes import Array

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """The function in machine code, kept on disk, free of the interpreter lock while it runs.

    A product and the sum it goes into may share a rounding ("contract"); nothing is reordered.
    """
    options = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
    made: Function
    try:
        made = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # nowhere to keep it: no folder is writeable, or there is no file
        made = numba.njit(**options)(function)
    return made


# -- tanh ------------------------------------------------------------------------------------------

# The C library's tanh takes one number at a time, which would be most of the work. Here it is
#
#     tanh |x| = -e / (2 + e)    e = exp(-2 |x|) - 1, in (-1, 0]
#
# with -2 |x| = n log 2 + r, n whole and |r| <= log 2 / 2, so that
#
#     e = 2ⁿ (exp(r) - 1) + (2ⁿ - 1)
#
# where exp(r) - 1 is its Taylor series: a few roundings, no difference of near numbers, no branch
# and no table. Adding `rounder` leaves the whole number n in the last bits of a sum; they are
# shifted to where a number has its exponent.


def tanh(x: Any) -> Any:
    """tanh x, with a relative error below 2.5e-7 in float32 and 5e-16 in float64."""
    return np.tanh(x)


def _tanh_of(x: Any) -> Callable[[Any], Any]:
    return _tanh_single if x == numba.float32 else _tanh_double


overload(tanh)(_tanh_of)

_LIMIT_32 = np.float32(10)  # from where tanh is 1
_ROUNDER_32 = np.float32(1.5 * 2**23)
_LOG2_E_32 = np.float32(1 / math.log(2))
_LOG_2_32 = np.float32(0.693359375)  # so few digits that n times it is exact
_REST_32 = np.float32(math.log(2) - 0.693359375)
_HALF, _ONE, _TWO = np.float32(0.5), np.float32(1), np.float32(2)
_S3, _S4, _S5, _S6, _S7 = (np.float32(1 / math.factorial(k)) for k in range(3, 8))


def _tanh_single(x: Any) -> Any:
    size = abs(x)
    y = -_TWO * (_LIMIT_32 if size > _LIMIT_32 else size)  # NaN stays NaN
    shifted = y * _LOG2_E_32 + _ROUNDER_32
    n = shifted - _ROUNDER_32
    r = (y - n * _LOG_2_32) - n * _REST_32
    tail = _HALF + r * (_S3 + r * (_S4 + r * (_S5 + r * (_S6 + r * _S7))))
    power = np.int32((np.float32(shifted).view(np.int32) + 127) << 23).view(np.float32)
    e = power * (r + r * r * tail) + (power - _ONE)
    return math.copysign(-e / (_TWO + e), x)


_LIMIT_64 = 20.0
_ROUNDER_64 = 1.5 * 2**52
_LOG2_E_64 = 1 / math.log(2)
_LOG_2_64 = math.floor(math.log(2) * 2**32) / 2**32
_REST_64 = 1.9082149292705877e-10  # log 2 - _LOG_2_64, which float64 cannot subtract
_D3, _D4, _D5, _D6, _D7, _D8, _D9, _D10, _D11, _D12, _D13 = (
    1 / math.factorial(k) for k in range(3, 14)
)


def _tanh_double(x: Any) -> Any:
    size = abs(x)
    y = -2.0 * (_LIMIT_64 if size > _LIMIT_64 else size)
    shifted = y * _LOG2_E_64 + _ROUNDER_64
    n = shifted - _ROUNDER_64
    r = (y - n * _LOG_2_64) - n * _REST_64
    tail = _D8 + r * (_D9 + r * (_D10 + r * (_D11 + r * (_D12 + r * _D13))))
    tail = 0.5 + r * (_D3 + r * (_D4 + r * (_D5 + r * (_D6 + r * (_D7 + r * tail)))))
    power = np.int64((np.float64(shifted).view(np.int64) + 1023) << 52).view(np.float64)
    e = power * (r + r * r * tail) + (power - 1.0)
    return math.copysign(-e / (2.0 + e), x)


@compiled
def tanh_in_place(values: Array) -> None:
    """values : (n), contiguous"""
    for j in range(len(values)):
        values[j] = tanh(values[j])


# -- products --------------------------------------------------------------------------------------


@compiled
def add_product(
    out: Array, out_row: int, factors: Array, factors_row: int, count: int, rows: Array
) -> None:
    """out += factors @ rows, for `count` rows of out (M, J) and factors (M', K) from those named.

    rows : (K, J); it and out are contiguous. Quicker than to call a BLAS only while all is small.
    """
    fours = count // 4 * 4
    for m in range(0, fours, 4):
        _add_four(out, out_row + m, factors, factors_row + m, rows)
    for m in range(fours, count):
        _add_one(out, out_row + m, factors, factors_row + m, rows)


@compiled
def _add_four(out: Array, m: int, factors: Array, f: int, rows: Array) -> None:
    """Four rows of a product: what is read of `rows` serves all of them."""
    whole = len(rows) // 4 * 4
    for k in range(0, whole, 4):
        a0, a1, a2, a3 = factors[f, k], factors[f, k + 1], factors[f, k + 2], factors[f, k + 3]
        f1, f2, f3 = f + 1, f + 2, f + 3
        b0, b1, b2, b3 = factors[f1, k], factors[f1, k + 1], factors[f1, k + 2], factors[f1, k + 3]
        c0, c1, c2, c3 = factors[f2, k], factors[f2, k + 1], factors[f2, k + 2], factors[f2, k + 3]
        d0, d1, d2, d3 = factors[f3, k], factors[f3, k + 1], factors[f3, k + 2], factors[f3, k + 3]
        for j in range(rows.shape[1]):
            r0, r1, r2, r3 = rows[k, j], rows[k + 1, j], rows[k + 2, j], rows[k + 3, j]
            out[m, j] = out[m, j] + a0 * r0 + a1 * r1 + a2 * r2 + a3 * r3
            out[m + 1, j] = out[m + 1, j] + b0 * r0 + b1 * r1 + b2 * r2 + b3 * r3
            out[m + 2, j] = out[m + 2, j] + c0 * r0 + c1 * r1 + c2 * r2 + c3 * r3
            out[m + 3, j] = out[m + 3, j] + d0 * r0 + d1 * r1 + d2 * r2 + d3 * r3
    for k in range(whole, len(rows)):
        a0, b0, c0, d0 = factors[f, k], factors[f + 1, k], factors[f + 2, k], factors[f + 3, k]
        for j in range(rows.shape[1]):
            r0 = rows[k, j]
            out[m, j] += a0 * r0
            out[m + 1, j] += b0 * r0
            out[m + 2, j] += c0 * r0
            out[m + 3, j] += d0 * r0


@compiled
def _add_one(out: Array, m: int, factors: Array, f: int, rows: Array) -> None:
    """One row of a product, eight of `rows` at a time."""
    whole = len(rows) // 8 * 8
    for k in range(0, whole, 8):
        f0, f1, f2, f3 = factors[f, k], factors[f, k + 1], factors[f, k + 2], factors[f, k + 3]
        f4, f5, f6, f7 = factors[f, k + 4], factors[f, k + 5], factors[f, k + 6], factors[f, k + 7]
        for j in range(rows.shape[1]):
            r0, r1, r2, r3 = rows[k, j], rows[k + 1, j], rows[k + 2, j], rows[k + 3, j]
            r4, r5, r6, r7 = rows[k + 4, j], rows[k + 5, j], rows[k + 6, j], rows[k + 7, j]
            # two sums, as each addition of a sum waits for the one before
            first = out[m, j] + f0 * r0 + f1 * r1 + f2 * r2 + f3 * r3
            out[m, j] = first + (f4 * r4 + f5 * r5 + f6 * r6 + f7 * r7)
    for k in range(whole, len(rows)):
        f0 = factors[f, k]
        for j in range(rows.shape[1]):
            out[m, j] += f0 * rows[k, j]


# -- LSTM ------------------------------------------------------------------------------------------


@compiled
def lstm_forward(
    x: Array,
    w_ih: Array,
    w_hh: Array,
    b_ih: Array,
    b_hh: Array,
    h: Array,
    c: Array,
    gates: Array,
    c_all: Array,
    c_starts: Array,
    tanh_c: Array,
    h_out: Array,
    h_starts: Array,
    sizes: Array,
    reverse: bool,
    products: bool,
    start: int,
    end: int,
) -> None:
    """Fill gates, c_all, c_starts, tanh_c, h_out and h_starts, see `lstm_kernel.Saved`.

    b_ih, b_hh : empty where there is none
    h, c : (N, H), the first state; left is the last
    h_starts : without rows where it is not kept, and c_starts is c_all shifted by a step
    sizes : of the steps; empty where all have N
    products : whether the product with w_ih is made here; else it stands in gates
    start, end : the sequences to walk; all, where the products are made here
    """
    batch = len(h)
    size = max(0, h.shape[1])  # the compiler cannot know that no index below is negative
    bias = np.zeros(4 * size, gates.dtype)
    for j in range(len(b_ih)):
        bias[j] += b_ih[j]
    for j in range(len(b_hh)):
        bias[j] += b_hh[j]
    if products:
        gates[:] = 0
        add_product(gates, 0, x, 0, len(x), _of_inputs(w_ih))
    w_state = _of_inputs(w_hh)
    steps = len(sizes) if len(sizes) > 0 else len(gates) // batch
    before, after = 0, len(gates)
    for step in range(steps):
        there = batch
        if len(sizes) > 0:
            there = sizes[steps - 1 - step] if reverse else sizes[step]
        first = start + (after - there if reverse else before)
        before += there
        after -= there
        count = min(end, there) - start
        if count <= 0:
            continue
        if len(h_starts) > 0:
            for n in range(count):
                for j in range(size):
                    h_starts[first + n, j] = h[start + n, j]
                for j in range(size):
                    c_starts[first + n, j] = c[start + n, j]
        for n in range(count):
            for j in range(4 * size):
                gates[first + n, j] += bias[j]
        add_product(gates, first, h, start, count, w_state)
        lstm_step_forward(gates, c_all, tanh_c, h_out, first, h, c, start, count)


@compiled
def add_rows(out: Array, row: int, rows: Array, vector: Array, count: int) -> None:
    """Add `count` rows, and to each the vector, to those of out from the one named on."""
    for n in range(count):
        for j in range(out.shape[1]):
            out[row + n, j] += rows[n, j] + vector[j]


@compiled
def lstm_step_forward(
    gates: Array,
    c_all: Array,
    tanh_c: Array,
    h_out: Array,
    row: int,
    h: Array,
    c: Array,
    n: int,
    count: int,
) -> None:
    """One step of `count` sequences: from z to the gates, c, tanh c and h.

    row : the first of theirs in gates (rows, 4H), c_all, tanh_c and h_out (rows, H)
    n : the first of theirs in h, c (N, H)
    """
    size = max(0, h.shape[1])
    at_f, at_g, at_o = size, 2 * size, 3 * size
    half = gates.dtype.type(0.5)
    for _ in range(count):
        for j in range(at_g):
            gates[row, j] = half * tanh(half * gates[row, j]) + half
        for j in range(size):
            gates[row, at_g + j] = tanh(gates[row, at_g + j])
        for j in range(size):
            gates[row, at_o + j] = half * tanh(half * gates[row, at_o + j]) + half
        for j in range(size):
            fresh = gates[row, j] * gates[row, at_g + j]
            c[n, j] = gates[row, at_f + j] * c[n, j] + fresh
        for j in range(size):
            tanh_c[row, j] = tanh(c[n, j])
        for j in range(size):
            c_all[row, j] = c[n, j]
        for j in range(size):
            h[n, j] = gates[row, at_o + j] * tanh_c[row, j]
        for j in range(size):
            h_out[row, j] = h[n, j]
        row += 1
        n += 1


@compiled
def _of_inputs(weight: Array) -> Array:
    """A weight (4H, K) as (K, 4H)."""
    turned = np.empty((weight.shape[1], len(weight)), weight.dtype)
    for k in range(weight.shape[1]):
        for j in range(len(weight)):
            turned[k, j] = weight[j, k]
    return turned


@compiled
def lstm_backward(
    w_hh: Array,
    gates: Array,
    c_starts: Array,
    tanh_c: Array,
    dy: Array,
    dh: Array,
    dc: Array,
    dz: Array,
    sizes: Array,
    reverse: bool,
    start: int,
    end: int,
) -> None:
    """Fill dz (rows, 4H).

    dy : (rows, H), the gradient that enters at the outputs
    dh, dc : (N, H), those of the last state; left are those of the first
    start, end : the sequences to walk
    """
    batch = len(dh)
    size = max(0, dh.shape[1])
    steps = len(sizes) if len(sizes) > 0 else len(gates) // batch
    before, after = 0, len(gates)
    for step in range(steps):
        there = batch
        if len(sizes) > 0:
            there = sizes[step] if reverse else sizes[steps - 1 - step]
        first = start + (before if reverse else after - there)
        before += there
        after -= there
        count = min(end, there) - start
        if count <= 0:
            continue
        lstm_step_backward(gates, c_starts, tanh_c, dy, dz, first, dh, dc, start, count)
        for n in range(start, start + count):
            for j in range(size):
                dh[n, j] = 0
        add_product(dh, start, dz, first, count, w_hh)


@compiled
def lstm_step_backward(
    gates: Array,
    c_starts: Array,
    tanh_c: Array,
    dy: Array,
    dz: Array,
    row: int,
    dh: Array,
    dc: Array,
    n: int,
    count: int,
) -> None:
    """One step of `count` sequences: dz, and dc of the step before; dh comes to hold dy too.

    row, n : the first of theirs among all rows, and in dh, dc (N, H)
    """
    size = max(0, dh.shape[1])
    at_f, at_g, at_o = size, 2 * size, 3 * size
    one = gates.dtype.type(1)
    for _ in range(count):
        for j in range(size):
            dh[n, j] += dy[row, j]
        for j in range(size):
            t = tanh_c[row, j]
            dc[n, j] += dh[n, j] * gates[row, at_o + j] * (one - t * t)
        for j in range(size):
            o = gates[row, at_o + j]
            dz[row, at_o + j] = dh[n, j] * tanh_c[row, j] * o * (one - o)
        for j in range(size):
            i = gates[row, j]
            dz[row, j] = dc[n, j] * gates[row, at_g + j] * i * (one - i)
        for j in range(size):
            f = gates[row, at_f + j]
            dz[row, at_f + j] = dc[n, j] * c_starts[row, j] * f * (one - f)
        for j in range(size):
            g = gates[row, at_g + j]
            dz[row, at_g + j] = dc[n, j] * gates[row, j] * (one - g * g)
        for j in range(size):
            dc[n, j] *= gates[row, at_f + j]
        row += 1
        n += 1


@compiled
def lstm_products(
    dz: Array,
    x: Array,
    h: Array,
    h0: Array,
    reverse: bool,
    d_ih: Array,
    d_hh: Array,
    d_bias: Array,
) -> None:
    """Fill the gradients of the weights; every sequence has all steps."""
    batch, rows = len(h0), len(dz)
    d_ih[:] = 0
    d_hh[:] = 0
    d_bias[:] = 0
    for row in range(rows):
        before = row + batch if reverse else row - batch
        for k in range(dz.shape[1]):
            g = dz[row, k]
            d_bias[k] += g
            for j in range(x.shape[1]):
                d_ih[k, j] += g * x[row, j]
            if 0 <= before < rows:
                for j in range(h.shape[1]):
                    d_hh[k, j] += g * h[before, j]
            else:
                for j in range(h.shape[1]):
                    d_hh[k, j] += g * h0[row % batch, j]


# -- all layers of an LSTM -------------------------------------------------------------------------

# Where all is small, the calls from Python cost more than the walks. So here is one call for all
# layers and directions. What a scan leaves stands in one vector, scan by scan: h (rows, H), gates
# (rows, 4H), the cells with the first one (rows + N, H), tanh c (rows, H). The weights stand in one
# too: w_ih, w_hh and the biases that there are.


@compiled
def lstm_layers_forward(
    x: Array,
    weights: Array,
    biases: int,
    h: Array,
    c: Array,
    directions: int,
    saved: Array,
    inputs: Array,
) -> None:
    """Fill what all scans leave, and the outputs of all layers.

    x : (rows, I)
    biases : how many a scan has: 0, 1 (b_ih) or 2
    h, c : (layers · directions, N, H), the first states; left are the last
    inputs : (layers, rows, directions · H), the outputs of each layer, read by the next one
    """
    scans, batch, size = h.shape
    rows = len(x)
    none, no_sizes = np.empty((0, 0), x.dtype), np.empty(0, np.int64)
    at, place = 0, 0
    for k in range(scans):
        layer, reverse = k // directions, k % directions == 1
        below = x if layer == 0 else inputs[layer - 1]
        width = below.shape[1]
        w_ih = weights[at : at + 4 * size * width].reshape((4 * size, width))
        at += w_ih.size
        w_hh = weights[at : at + 4 * size * size].reshape((4 * size, size))
        at += w_hh.size
        b_ih = weights[at : at + min(biases, 1) * 4 * size]
        at += len(b_ih)
        b_hh = weights[at : at + (max(biases, 1) - 1) * 4 * size]
        at += len(b_hh)
        h_all, gates, cells, tanh_c = scan_memory(saved, place, rows, batch, size)
        place += h_all.size + gates.size + cells.size + tanh_c.size
        first, last = (rows, 0) if reverse else (0, batch)
        cells[first : first + batch] = c[k]
        c_all, c_starts = cells[last : last + rows], cells[batch - last : batch - last + rows]
        lstm_forward(
            below, w_ih, w_hh, b_ih, b_hh, h[k], c[k], gates, c_all, c_starts, tanh_c, h_all,
            none, no_sizes, reverse, True, 0, batch,
        )  # fmt: skip
        begin = k % directions * size
        for row in range(rows):
            for j in range(size):
                inputs[layer, row, begin + j] = h_all[row, j]


@compiled
def scan_memory(
    saved: Array, place: int, rows: int, batch: int, size: int
) -> tuple[Array, Array, Array, Array]:
    """h, gates, cells and tanh c of the scan whose part of the vector begins at `place`."""
    h_end = place + rows * size
    gates_end = h_end + rows * 4 * size
    cells_end = gates_end + (rows + batch) * size
    return (
        saved[place:h_end].reshape((rows, size)),
        saved[h_end:gates_end].reshape((rows, 4 * size)),
        saved[gates_end:cells_end].reshape((rows + batch, size)),
        saved[cells_end : cells_end + rows * size].reshape((rows, size)),
    )


@compiled
def lstm_layers_backward(
    x: Array,
    weights: Array,
    biases: int,
    h0: Array,
    directions: int,
    saved: Array,
    inputs: Array,
    dy: Array,
    dh: Array,
    dc: Array,
    dx: Array,
    d_weights: Array,
) -> None:
    """Fill the gradients of x and of all weights; the rest as in `lstm_layers_forward`.

    h0 : (layers · directions, N, H)
    dy : (rows, directions · H), the gradient that enters at the outputs of the last layer
    dh, dc : those of the last states; left are those of the first
    dx : without rows where it is not wanted
    """
    scans, batch, size = h0.shape
    rows = len(x)
    no_sizes = np.empty(0, np.int64)
    at, place = len(weights), len(saved)
    of_scan = (7 * rows + batch) * size  # how much of it the vector holds
    dz = np.empty((rows, 4 * size), x.dtype)
    entering = np.empty((rows, size), x.dtype)
    d_bias = np.empty(4 * size, x.dtype)
    d_below = dy
    for k in range(scans - 1, -1, -1):
        layer, reverse = k // directions, k % directions == 1
        if k % directions == directions - 1:
            d_outputs = d_below
            below = x if layer == 0 else inputs[layer - 1]
            width = below.shape[1]
            d_below = dx if layer == 0 else np.zeros((rows, width), x.dtype)
        at -= 4 * size * (width + size + biases)
        place -= of_scan
        w_hh_at = at + 4 * size * width
        bias_at = w_hh_at + 4 * size * size
        w_ih = weights[at:w_hh_at].reshape((4 * size, width))
        w_hh = weights[w_hh_at:bias_at].reshape((4 * size, size))
        h_all, gates, cells, tanh_c = scan_memory(saved, place, rows, batch, size)
        c_starts = cells[batch:] if reverse else cells[:rows]
        begin = k % directions * size
        for row in range(rows):
            for j in range(size):
                entering[row, j] = d_outputs[row, begin + j]
        lstm_backward(
            w_hh, gates, c_starts, tanh_c, entering, dh[k], dc[k], dz, no_sizes, reverse, 0, batch
        )
        d_ih = d_weights[at:w_hh_at].reshape((4 * size, width))
        d_hh = d_weights[w_hh_at:bias_at].reshape((4 * size, size))
        lstm_products(dz, below, h_all, h0[k], reverse, d_ih, d_hh, d_bias)
        for bias in range(biases):
            for j in range(4 * size):
                d_weights[bias_at + bias * 4 * size + j] = d_bias[j]
        if len(d_below) > 0:
            add_product(d_below, 0, dz, 0, rows, w_ih)
