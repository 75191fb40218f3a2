"""The LSTM over a whole sequence, all layers and directions, as one hand-written node.

The sigmoid is taken as σ(z) = (1 + tanh(z / 2)) / 2 with the half folded into the weights (exact,
as it is a power of two), so that one tanh serves all four gates.

Forward, at each step:

    z = W_ih x_t + W_hh h_{t-1} + b
    i, f, o = σ(z)    g = tanh(z)
    c_t = f c_{t-1} + i g
    h_t = o tanh(c_t)    (a projection multiplies that by W_hr)

W_ih x_t + b is made for all t at once, before the loop.

Backward, with dh_t the gradient that enters at output t plus W_hhᵀ dz_{t+1} (times W_hrᵀ where
there is a projection), and dc_t that of c_t (δ marks what a step adds to it):

    δc_t = dh_t · o (1 - tanh² c_t)          K_c = o (1 - tanh² c_t) = o - h tanh c_t
    dz_o = dh_t · K_o                        K_o = tanh(c_t) o (1 - o) = h (1 - o)
    dz_i = dc_t · K_i                        K_i = g i (1 - i)
    dz_f = dc_t · K_f                        K_f = c_{t-1} f (1 - f)
    dz_g = dc_t · K_g                        K_g = i (1 - g²) = i - (i g) g
    dc_{t-1} = dc_t · f

The K depend on no gradient, so they are computed for a block of steps at a time (h in them is that
before a projection). The weight gradients are sums over t of outer products; they are left to one
large matrix product each, after the loop.

Here are scans for every case. The plain one, sequences of one length without projection and dropout
on h, takes the same formulas in fewer calls: `lstm_layers`, or the compiled loops of the extra.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from .. import memory
from ..dtypes import Array
from ..parallel import matmul
from . import lstm_layers
from .blocks import in_blocks, multiply
from .compiled.choice import is_compiled, layers_or, lstm_scans
from .layers_kernel import Recurrence, State, Weights, sequence_kernel
from .lstm_memory import scale_and_shift
from .scan import lstm_cell
from .steps import Steps, bias_of, follow, memory_of_starts, recurrent_gradient

_BLOCK_BYTES = 1 << 18  # how much of dz is prepared at a time: about what a core's cache holds
_MANY = 8  # sequences from which on the short rows of one gate are too slow to pass over


class Saved(NamedTuple):
    """What one scan (a layer in a direction) leaves, in order of time whatever the direction.

    gates : (rows, 4H), the activated i, f, g, o
    c : (rows, H)
    c_starts : (rows, H), the cell that each step started from
    tanh_c : (rows, H)
    hidden : (rows, H), o tanh(c): what a projection turns into h, else h itself
    h : (rows, P), a part of the layer's outputs
    h0 : (N, P)
    h_starts : the h that each step started from, see `memory_of_starts`
    """

    gates: Array
    c: Array
    c_starts: Array
    tanh_c: Array
    hidden: Array
    h: Array
    h0: Array
    h_starts: Array | None


def _gate(array: Array, number: int) -> Array:
    """One of the four gates of (..., 4H)."""
    size = array.shape[-1] // 4
    return array[..., number * size : (number + 1) * size]


# -- forward ---------------------------------------------------------------------------------------


def _scan_forward(
    x: Array, state: State, weights: Weights, reverse: bool, h_out: Array, steps: Steps
) -> tuple[Saved, State]:
    """One direction of one layer: what it leaves, and its last h and c."""
    h0, c0 = state
    w_ih, w_hh, b_ih, b_hh, w_hr, factors = weights
    batch, size = c0.shape
    scale, shift = scale_and_shift(size, x.dtype)
    bias = bias_of(b_ih, b_hh)
    gates = memory.empty((len(x), 4 * size), x.dtype)
    c, c_starts = _cells(c0, len(x), steps, reverse)
    tanh_c = memory.empty(c.shape, c.dtype)
    h_starts = memory_of_starts(h_out, steps, factors)
    w_step = in_blocks(w_hh.T * scale, batch)
    matmul(x, w_ih.T * scale, gates)
    if bias is not None:
        gates += bias * scale
    hidden = h_out if w_hr is None else np.empty_like(c)
    from_h = from_h_room = np.empty((batch, 4 * size), x.dtype)
    i_g = i_g_room = np.empty((batch, size), x.dtype)
    columns = gates, *(_gate(gates, k) for k in range(4)), c_starts, c, tanh_c, hidden, h_out
    h, c_t = h0, c0
    last = h0.copy(), c0.copy()
    for z, i_t, f_t, g_t, o_t, c_old, c_new, tanh_t, hidden_t, h_t, start in _walk(
        steps, reverse, *columns, h_starts
    ):
        if start is not None:
            count = len(z)
            h, c_t = follow(h, last[0], count), follow(c_t, last[1], count)
            h = np.multiply(h, 1 if factors is None else factors[:count], out=start)
            c_old[...] = c_t
            from_h, i_g = from_h_room[:count], i_g_room[:count]
        multiply(h, w_step, from_h)
        z += from_h
        np.tanh(z, out=z)
        z *= scale
        z += shift
        np.multiply(f_t, c_old, out=c_new)
        np.multiply(i_t, g_t, out=i_g)
        c_new += i_g
        np.tanh(c_new, out=tanh_t)
        np.multiply(o_t, tanh_t, out=hidden_t)
        if w_hr is not None:
            np.matmul(hidden_t, w_hr.T, out=h_t)
        h, c_t = h_t, c_new
    for carried, part in zip(last, (h, c_t), strict=True):
        carried[: len(part)] = part
    return Saved(gates, c, c_starts, tanh_c, hidden, h_out, h0, h_starts), last


def _walk(steps: Steps, reverse: bool, *columns: Array | None) -> Iterator[tuple[Any, ...]]:
    """The rows of each step in all columns, in the order in which a scan walks the steps."""
    walk = zip(*steps.split(*columns), strict=False)  # what is not there repeats without end
    return reversed(list(walk)) if reverse else walk


def _cells(c0: Array, rows: int, steps: Steps, reverse: bool) -> tuple[Array, Array]:
    """Memory for c, and for what each step starts from: the same, shifted by a step, where it can.

    The cell before the first step stands before c[0], or in a reverse scan after the last.
    """
    batch, size = c0.shape
    if not steps.uniform:
        return np.empty((rows, size), c0.dtype), np.empty((rows, size), c0.dtype)
    cells = memory.empty((rows + batch, size), c0.dtype)
    if reverse:
        cells[rows:] = c0
        return cells[:rows], cells[batch:]
    cells[:batch] = c0
    return cells[batch:], cells[:rows]


# -- backward --------------------------------------------------------------------------------------


def _scan_backward(
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
    """The gradients of one scan: of x, of its first h and c, and of its weights.

    d_last is consumed.
    """
    w_ih, _, _, _, w_hr, _ = weights
    dh_all: Any = None if w_hr is None else np.empty_like(saved.h)
    dz = _gate_gradients(saved, weights, upstream, d_last, reverse, steps, dh_all)
    if handed is not None:
        handed.update(zip("ifgo", (_gate(dz, k) for k in range(4)), strict=True))
    gradients: list[Array | None] = [None] * len(weights)
    if needs[0]:
        gradients[0] = matmul(dz.T, x)
    if needs[1]:
        starts = saved.h_starts
        gradients[1] = recurrent_gradient(dz, saved.h, saved.h0, starts, steps, reverse)
    if needs[2] or needs[3]:
        gradients[2] = gradients[3] = dz.sum(axis=0)
    if needs[4]:
        gradients[4] = np.matmul(dh_all.T, saved.hidden)
    return (matmul(dz, w_ih) if needs_x else None), d_last, gradients


def _gate_gradients(
    saved: Saved,
    weights: Weights,
    upstream: list[Any],
    d_last: State,
    reverse: bool,
    steps: Steps,
    dh_all: Any,
) -> Array:
    """The walk back through time: dz (rows, 4H).

    upstream : the gradients that enter at h, c, i, f, g, o of the steps; None where none does
    d_last : those of the last h and c; left are those of the first
    dh_all : memory for dh of all steps, or None
    """
    _, w_hh, _, _, w_hr, factors = weights
    dy, dc_in, *d_gates = upstream
    size = saved.c.shape[1]
    w_back = in_blocks(w_hh, steps.batch)
    dz = memory.empty(saved.gates.shape, saved.gates.dtype)
    into_z = _gate_slopes(saved, d_gates)
    dh, dc = (part.copy() for part in d_last)
    dc_of_gates = dc[:, None]
    uniform = steps.uniform
    buffer = product = np.empty((steps.batch, size), dz.dtype)
    blocks = list(steps.blocks(_BLOCK_BYTES // max(1, dz[:1].nbytes), not reverse))
    most = max([rows.stop - rows.start for rows, _ in blocks], default=0)
    k_c_room = np.empty((most, size), dz.dtype)
    room = np.empty((2, 4, most, size), dz.dtype) if steps.batch >= _MANY else None
    for rows, block in blocks:
        gates = saved.gates[rows].reshape(-1, 4, size)
        k_z = dz_gates = dz[rows].reshape(gates.shape)
        k_c = k_c_room[: len(gates)]
        if room is not None:
            by_gate, k_z = room[:, :, : len(gates)].transpose(0, 2, 1, 3)
            by_gate[...] = gates
            gates = by_gate
        _coefficients(saved, rows, gates, k_z, k_c)
        moved = (None, None) if room is None else (k_z, dz_gates)
        columns = [dy[rows], dz[rows], k_z[:, :3], k_z[:, 3], k_c, gates[:, 1], *moved]
        columns += [None if part is None else part[rows] for part in (dc_in, into_z, dh_all)]
        for dy_t, dz_t, dz_ifg, dz_o, k_t, f_t, made, place, c_in, z_in, dh_t in _walk(
            block, not reverse, *columns
        ):
            if not uniform:
                count = len(dz_t)
                product = buffer[:count]
                dh, dc = follow(dh, d_last[0], count), follow(dc, d_last[1], count)
                dc_of_gates = dc[:, None]
            dh += dy_t
            d_hidden = dh
            if w_hr is not None:
                dh_t[...] = dh
                d_hidden = np.matmul(dh, w_hr)
            np.multiply(d_hidden, k_t, out=product)
            dc += product
            if c_in is not None:
                dc += c_in
            dz_o *= d_hidden
            dz_ifg *= dc_of_gates
            if place is not None:
                place[...] = made
            if z_in is not None:
                dz_t += z_in
            dc *= f_t
            multiply(dz_t, w_back, dh)
            if factors is not None:
                dh *= factors[: len(dh)]
    for carried, part in zip(d_last, (dh, dc), strict=True):
        carried[: len(part)] = part
    return dz


def _gate_slopes(saved: Saved, d_gates: list[Array | None]) -> Array | None:
    """What the gradients that enter at the gates i, f, g, o themselves give to dz; None if none."""
    if not [d for d in d_gates if d is not None]:
        return None
    into_z = np.zeros_like(saved.gates)
    for number, d in enumerate(d_gates):
        if d is not None:
            gate = _gate(saved.gates, number)
            slope = 1 - gate * gate if number == 2 else gate * (1 - gate)
            np.multiply(d, slope, out=_gate(into_z, number))
    return into_z


def _coefficients(saved: Saved, rows: slice, gates: Array, k_z: Array, k_c: Array) -> None:
    """Write K_i, K_f, K_g, K_o of some rows into k_z (rows, 4, H), K_c into k_c (rows, H)."""
    hidden = saved.hidden[rows]
    i, f, g, o = gates.transpose(1, 0, 2)
    k_i, k_f, k_g, k_o = k_z.transpose(1, 0, 2)
    np.subtract(1, gates, out=k_z)
    k_o *= hidden
    np.multiply(f, saved.c_starts[rows], out=k_c)
    k_f *= k_c
    np.multiply(i, g, out=k_g)
    k_i *= k_g
    k_g *= g
    np.subtract(i, k_g, out=k_g)
    np.multiply(hidden, saved.tanh_c[rows], out=k_c)
    np.subtract(o, k_c, out=k_c)


def _all_steps(saved: Saved) -> tuple[Array, ...]:
    return (saved.h, saved.c, *(_gate(saved.gates, k) for k in range(4)))


lstm = sequence_kernel(
    "lstm",
    Recurrence(
        lstm_cell,
        *lstm_scans(_scan_forward, _scan_backward),
        _all_steps,
        "hc",
        "ifgo",
        weights=6,
        all_layers=layers_or(lstm_layers),
        in_parts=is_compiled,
    ),
)
