"""The LSTM over a whole sequence, all layers and directions, as one hand-written node.

The rows of the gates are reordered from torch's i f g o to o i f g: the three sigmoids stand
together for the forward pass, and the three gates that act through the cell for the backward pass.
The sigmoid is taken as σ(z) = (1 + tanh(z / 2)) / 2 with the half folded into the weights (exact,
as it is a power of two), so that one tanh serves all four gates.

Forward, at each step, from z = W_ih x_t + W_hh h_{t-1} + b  (the first product is made for all t at
once, before the loop):

    o, i, f = σ(z)    g = tanh(z)
    c_t = f c_{t-1} + i g
    h_t = o tanh(c_t)

Backward, with dh_t the gradient that enters at output t plus W_hhᵀ dz_{t+1}, and dc_t that of c_t
(δ marks what a step adds to it):

    δc_t = dh_t · o (1 - tanh² c_t)          K_c = o (1 - tanh² c_t)
    dz_o = dh_t · K_o                        K_o = tanh(c_t) o (1 - o)
    dz_i = dc_t · K_i                        K_i = g i (1 - i)
    dz_f = dc_t · K_f                        K_f = c_{t-1} f (1 - f)
    dz_g = dc_t · K_g                        K_g = i (1 - g²)
    dc_{t-1} = dc_t · f

The K depend on no gradient, so they are computed for a block of steps at a time, into the memory
where dz will stand. The weight gradients are sums over t of outer products; they are left to one
large matrix product each, after the loop.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..autograd.kernel import kernel
from ..dtypes import Array
from .layers_kernel import Walked, backward_layers, flat, forward_layers
from .scan import layers_and_directions, lstm_cell

_BLOCK_BYTES = 1 << 18  # how much of dz is prepared at a time: about what a core's cache holds


class Saved(NamedTuple):
    """What one scan (a layer in a direction) leaves, in order of time whatever the direction.

    gates : (T, N, 4H), the activated o, i, f, g
    c : (T, N, H)
    c_before : (T, N, H), the cell that step t started from
    tanh_c : (T, N, H)
    h : (T, N, H), a part of the layer's outputs
    h0 : (N, H)
    """

    gates: Array
    c: Array
    c_before: Array
    tanh_c: Array
    h: Array
    h0: Array


def _reordered(weight: Array) -> Array:
    """Rows from i f g o to o i f g."""
    i, f, g, o = weight.reshape(4, -1, *weight.shape[1:])
    return np.concatenate((o, i, f, g))


def _restored(gradient: Array) -> Array:
    """Rows from o i f g back to i f g o."""
    o, i, f, g = gradient.reshape(4, -1, *gradient.shape[1:])
    return np.concatenate((i, f, g, o))


def _halved(rows: Array) -> Array:
    """The rows of the sigmoids, the first three quarters, halved."""
    rows[: len(rows) // 4 * 3] *= 0.5
    return rows


def _gate(array: Array, number: int) -> Array:
    """One of the four gates of (..., 4H)."""
    size = array.shape[-1] // 4
    return array[..., number * size : (number + 1) * size]


def _scan_forward(
    x: Array, state: tuple[Array, ...], weights: tuple[Array, ...], reverse: bool, h_out: Array
) -> tuple[Saved, tuple[Array, ...]]:
    """One direction of one layer: what it leaves, and its last h and c.

    x (T, N, I); state = h0, c0 (N, H) each; the outputs (T, N, H) are written into h_out.
    """
    h0, c0 = state
    steps, batch, size = h_out.shape
    w_ih, w_hh = (_halved(_reordered(w)) for w in weights[:2])
    gates = np.matmul(flat(x), w_ih.T).reshape(steps, batch, 4 * size)
    if len(weights) == 4:
        gates += _halved(_reordered(weights[2] + weights[3]))
    cells = np.empty((steps + 1, batch, size), x.dtype)
    # The cell before the first step stands before c[0], or in a reverse scan after c[T - 1].
    c, c_before = (cells[:-1], cells[1:]) if reverse else (cells[1:], cells[:-1])
    cells[-1 if reverse else 0] = c0
    tanh_c = np.empty_like(c)
    w_state = np.ascontiguousarray(w_hh.T)
    from_state = np.empty((batch, 4 * size), x.dtype)
    product = np.empty((batch, size), x.dtype)
    # From tanh to all four gates: y scale + shift. Whole blocks of memory are quicker than the
    # three sigmoids alone.
    scale, shift = np.empty_like(from_state), np.empty_like(from_state)
    scale[:, : 3 * size] = shift[:, : 3 * size] = 0.5
    scale[:, 3 * size :] = 1.0
    shift[:, 3 * size :] = 0.0
    o, i, f, g = (_gate(gates, k) for k in range(4))
    walk = zip(gates, o, i, f, g, c_before, c, tanh_c, h_out, strict=True)
    h = h0
    for z, o_t, i_t, f_t, g_t, c_old, c_t, tanh_t, h_t in reversed(list(walk)) if reverse else walk:
        np.matmul(h, w_state, out=from_state)
        z += from_state
        np.tanh(z, out=z)
        z *= scale
        z += shift
        np.multiply(f_t, c_old, out=c_t)
        np.multiply(i_t, g_t, out=product)
        c_t += product
        np.tanh(c_t, out=tanh_t)
        np.multiply(o_t, tanh_t, out=h_t)
        h = h_t
    last = 0 if reverse else -1
    return Saved(gates, c, c_before, tanh_c, h_out, h0), (h_out[last], c[last])


def _coefficients(saved: Saved, block: slice, k_z: Array, k_c: Array) -> None:
    """Write K_o, K_i, K_f, K_g of a block of steps into k_z (where dz will stand), K_c into k_c."""
    gates = saved.gates[block]
    tanh_c = saved.tanh_c[block]
    o, i, _, g = (_gate(gates, k) for k in range(4))
    k_o, k_i, k_f, k_g = (_gate(k_z, k) for k in range(4))
    np.subtract(1, gates, out=k_z)
    k_z *= gates  # s (1 - s) for the sigmoids
    k_o *= tanh_c
    k_i *= g
    k_f *= saved.c_before[block]
    np.multiply(g, g, out=k_g)
    np.subtract(1, k_g, out=k_g)
    k_g *= i
    np.multiply(tanh_c, tanh_c, out=k_c)
    np.subtract(1, k_c, out=k_c)
    k_c *= o


def _scan_backward(
    saved: Saved,
    x: Array,
    weights: tuple[Array, ...],
    dy: Array,
    d_state: tuple[Array, ...],
    reverse: bool,
    needs_x: bool,
    needs: tuple[bool, ...],
) -> tuple[Array | None, tuple[Array, ...], list[Array | None]]:
    """The gradients of one scan: of x, of its first h and c, and of its weights.

    dy (T, N, H) enters at the outputs, d_state = dh, dc (N, H) at the last state; these two are
    consumed. What is not needed is None.
    """
    dh, dc = d_state
    dz, dh, dc = _gate_gradients(saved, weights[1], dy, dh, dc, reverse)
    flat_dz = flat(dz)
    gradients: list[Array | None] = [None] * len(weights)
    if needs[0]:
        gradients[0] = _restored(np.matmul(flat_dz.T, flat(x)))
    if needs[1]:
        gradients[1] = _restored(_recurrent_gradient(dz, saved, reverse))
    if any(needs[2:]):
        gradients[2] = gradients[3] = _restored(flat_dz.sum(axis=0))
    dx = np.matmul(flat_dz, _reordered(weights[0])).reshape(x.shape) if needs_x else None
    return dx, (dh, dc), gradients


def _gate_gradients(
    saved: Saved, w_hh: Array, dy: Array, dh: Array, dc: Array, reverse: bool
) -> tuple[Array, Array, Array]:
    """The walk back through time: dz (T, N, 4H), and dh and dc of the first state (N, H)."""
    steps, batch, size = saved.h.shape
    w_back = _reordered(w_hh)
    dz = np.empty_like(saved.gates)
    per_block = max(1, _BLOCK_BYTES // max(1, dz[0].nbytes))
    k_c = np.empty((min(per_block, steps), batch, size), dz.dtype)
    product = np.empty((batch, size), dz.dtype)
    forget = _gate(saved.gates, 2)
    starts = range(0, steps, per_block)
    for start in starts if reverse else reversed(starts):
        block = slice(start, start + per_block)
        dz_block = dz[block]
        k_block = k_c[: len(dz_block)]
        _coefficients(saved, block, dz_block, k_block)
        dz_o = _gate(dz_block, 0)
        dz_ifg = dz_block[:, :, size:].reshape(len(dz_block), batch, 3, size)
        walk = list(zip(dy[block], dz_block, dz_o, dz_ifg, k_block, forget[block], strict=True))
        for dy_t, dz_t, dz_o_t, dz_ifg_t, k_t, f_t in walk if reverse else reversed(walk):
            dh += dy_t
            np.multiply(dh, k_t, out=product)
            dc += product
            dz_o_t *= dh
            dz_ifg_t *= dc[:, None]
            dc *= f_t
            np.matmul(dz_t, w_back, out=dh)
    return dz, dh, dc


def _recurrent_gradient(dz: Array, saved: Saved, reverse: bool) -> Array:
    """Σ_t dz_tᵀ h_{t-1}: (4H, H)."""
    first, later, earlier = dz[0], dz[1:], saved.h[:-1]
    if reverse:
        first, later, earlier = dz[-1], dz[:-1], saved.h[1:]
    gradient = np.matmul(first.T, saved.h0)
    if len(later):
        gradient += np.matmul(flat(later).T, flat(earlier))
    return gradient


def _grouped(weights: tuple[Any, ...], scans: int) -> list[tuple[Any, ...]]:
    """The weights of each scan."""
    each = len(weights) // scans
    return [weights[k * each : (k + 1) * each] for k in range(scans)]


def _reference(
    x: Any,
    h0: Any,
    c0: Any,
    mask: Any,
    *weights: Any,
    layers: int,
    directions: int,
) -> tuple[Any, ...]:
    grouped = _grouped(weights, layers * directions)
    output, states = layers_and_directions(
        lstm_cell, x, (h0, c0), grouped, layers, directions, mask
    )
    return (output, *states)


def _backward(
    gradients: tuple[Array | None, ...],
    saved: Walked,
    arrays: tuple[Any, ...],
    needs: tuple[bool, ...],
    layers: int,
    directions: int,
) -> list[Array | None]:
    _, h0, c0, mask, *weights = arrays
    return backward_layers(
        _scan_backward,
        saved,
        (h0, c0),
        mask,
        _grouped(tuple(weights), layers * directions),
        gradients,
        needs,
        directions,
    )


@kernel(backward=_backward, reference=_reference, outputs=("output", "h_n", "c_n"))
def lstm(
    x: Array,
    h0: Array,
    c0: Array,
    mask: Array | None,
    *weights: Array,
    layers: int,
    directions: int,
) -> tuple[tuple[Array, ...], Walked]:
    """All layers and directions of an LSTM.

    x : (T, N, I)
    h0, c0 : (layers · directions, N, H)
    mask : (layers - 1, T, N, directions · H) or None, factors between the layers
    weights : W_ih, W_hh and, unless there are none, b_ih, b_hh of each scan
    Outputs (T, N, directions · H), h_n and c_n shaped as h0.
    """
    grouped = _grouped(weights, layers * directions)
    return forward_layers(_scan_forward, x, (h0, c0), mask, grouped, directions)
