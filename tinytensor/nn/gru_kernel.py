"""The GRU over a whole sequence, all layers and directions, as one hand-written node.

Forward, at each step, from a = W_ih x_t + b_ih  (made for all steps at once, the hidden biases of r
and z in it) and u = W_hh h_{t-1}:

    r, z = σ(a + u)      q = u_n + b_hn      n = tanh(a_n + r q)
    h_t = n + z (h_{t-1} - n)

Backward, with dh_t the gradient that enters at output t plus what step t + 1 gives back:

    da_n = dh_t (1 - z) (1 - n²)
    da_z = dh_t (h_{t-1} - n) z (1 - z)
    da_r = da_n q r (1 - r)
    du = da_r, da_z, da_n r
    dh_{t-1} = dh_t z + W_hhᵀ du

The factors that depend on no gradient are computed first, into the memory where da will stand.
The gates are saved as r, z, n. W_ih and b_ih get their gradients from da, W_hh and b_hh from du.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..dtypes import Array
from ..parallel import matmul
from .layers_kernel import Recurrence, State, Weights, sequence_kernel
from .scan import gru_cell
from .steps import Steps, follow, memory_of_starts, recurrent_gradient


class Saved(NamedTuple):
    """What one scan leaves.

    gates : (rows, 3H), the activated r, z, n
    q : (rows, H), what r is multiplied with
    h : (rows, H), a part of the layer's outputs
    h0 : (N, H)
    h_starts : the h that each step started from, see `memory_of_starts`
    """

    gates: Array
    q: Array
    h: Array
    h0: Array
    h_starts: Array | None


def _scan_forward(
    x: Array, state: State, weights: Weights, reverse: bool, h_out: Array, steps: Steps
) -> tuple[Saved, State]:
    """One direction of one layer: what it leaves, and its last h."""
    w_ih, w_hh, b_ih, b_hh, factors = weights
    (h0,) = state
    size = h_out.shape[1]
    gates = matmul(x, w_ih.T)
    if b_ih is not None:
        gates += b_ih
    if b_hh is not None:
        gates[:, : 2 * size] += b_hh[: 2 * size]
    b_q = 0 if b_hh is None else b_hh[2 * size :]
    q = np.empty((len(gates), size), x.dtype)
    h_starts = memory_of_starts(h_out, steps)
    w_state = np.ascontiguousarray(w_hh.T)
    from_state = np.empty((steps.batch, 3 * size), x.dtype)
    carried = h0.copy()
    h = h0
    gates_at, q_at, h_at, starts_at = steps.split(gates, q, h_out, h_starts)
    for t in steps.order(reverse):
        h_t = h_at[t]
        count = len(h_t)
        h = follow(h, carried, count)
        if h_starts is not None:
            starts_at[t][...] = h
        read = h if factors is None else h * factors[:count]
        u = np.matmul(read, w_state, out=from_state[:count])
        gates_t = gates_at[t]
        r_z, n = gates_t[:, : 2 * size], gates_t[:, 2 * size :]
        r_z += u[:, : 2 * size]
        _sigmoid(r_z)
        q_t = np.add(u[:, 2 * size :], b_q, out=q_at[t])
        n += r_z[:, :size] * q_t
        np.tanh(n, out=n)
        np.subtract(h, n, out=h_t)
        h_t *= r_z[:, size:]
        h_t += n
        h = h_t
    carried[: len(h)] = h
    return Saved(gates, q, h_out, h0, h_starts), (carried,)


def _sigmoid(z: Array) -> None:
    """σ(z) = (1 + tanh(z / 2)) / 2, in place."""
    z *= 0.5
    np.tanh(z, out=z)
    z *= 0.5
    z += 0.5


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
    """The gradients of one scan: of x, of its first h, and of its weights."""
    w_ih, w_hh, _, _, factors = weights
    dy, *d_gates = upstream
    (carried,) = d_last
    size = saved.q.shape[1]
    gates = saved.gates
    r, z, n = _thirds(gates, size)
    h_before = _starts(saved, steps, reverse)
    extra = [
        None if d is None else steps.split(d * slope)[0]
        for d, slope in zip(d_gates, (r * (1 - r), z * (1 - z), 1 - n * n), strict=True)
    ]
    da = _coefficients(saved, h_before, size)
    du = np.empty_like(gates)
    dh = carried.copy()
    da_zn = da.reshape(len(da), 3, size)[:, 1:]
    da_r_at, da_z_at, da_n_at = steps.split(*_thirds(da, size))
    da_zn_at, da_rz_at, du_at = steps.split(da_zn, da[:, : 2 * size], du)
    du_rz_at, du_n_at = steps.split(du[:, : 2 * size], du[:, 2 * size :])
    dy_at, r_at, z_at = steps.split(dy, r, z)
    for t in steps.order(not reverse):
        da_r, da_n, da_zn_t, du_t = da_r_at[t], da_n_at[t], da_zn_at[t], du_at[t]
        dh = follow(dh, carried, len(du_t))
        dh += dy_at[t]
        da_zn_t *= dh[:, None]
        if extra[2] is not None:
            da_n += extra[2][t]
        if extra[1] is not None:
            da_z_at[t][...] += extra[1][t]
        da_r *= da_n
        if extra[0] is not None:
            da_r += extra[0][t]
        du_rz_at[t][...] = da_rz_at[t]
        np.multiply(da_n, r_at[t], out=du_n_at[t])
        dh *= z_at[t]
        from_gates = np.matmul(du_t, w_hh)
        if factors is not None:
            from_gates *= factors[: len(dh)]
        dh += from_gates
    carried[: len(dh)] = dh
    if handed is not None:
        handed.update(zip("rzn", _thirds(da, size), strict=True))
    gradients: list[Array | None] = [None] * len(weights)
    if needs[0]:
        gradients[0] = matmul(da.T, x)
    if needs[1]:
        read = saved.h_starts
        if factors is not None:
            read = h_before * steps.repeated(factors)
        gradients[1] = recurrent_gradient(du, saved.h, saved.h0, read, steps, reverse)
    if needs[2]:
        gradients[2] = da.sum(axis=0)
    if needs[3]:
        gradients[3] = du.sum(axis=0)
    return (matmul(da, w_ih) if needs_x else None), (carried,), gradients


def _thirds(rows: Array, size: int) -> list[Array]:
    """The parts of r, z and n of (rows, 3H)."""
    return [rows[:, k * size : (k + 1) * size] for k in range(3)]


def _coefficients(saved: Saved, h_before: Array, size: int) -> Array:
    """What da_n, dh and dh are multiplied with to make da_r, da_z, da_n, where these will stand."""
    _, z, n = _thirds(saved.gates, size)
    da = 1 - saved.gates
    k_r, k_z, k_n = _thirds(da, size)
    sigmoids = da[:, : 2 * size]
    sigmoids *= saved.gates[:, : 2 * size]
    k_r *= saved.q
    k_z *= h_before - n
    np.multiply(n, n, out=k_n)
    np.subtract(1, k_n, out=k_n)
    k_n *= 1 - z
    return da


def _starts(saved: Saved, steps: Steps, reverse: bool) -> Array:
    """The h that each step started from, (rows, H)."""
    if saved.h_starts is not None:
        return saved.h_starts
    kept = len(saved.h) - steps.batch
    if reverse:
        return np.concatenate((saved.h[steps.batch :], saved.h0))
    return np.concatenate((saved.h0, saved.h[:kept]))


def _all_steps(saved: Saved) -> tuple[Array, ...]:
    return (saved.h, *np.split(saved.gates, 3, axis=1))


gru = sequence_kernel(
    "gru",
    Recurrence(gru_cell, _scan_forward, _scan_backward, _all_steps, "h", "rzn", weights=5),
)
