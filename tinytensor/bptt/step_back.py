"""One step back through time as a linear map of gradients, made from the gates of the step.

With dh and dc the gradients at h_t and c_t, W_hhᵀ the map of the recurrent weights, all products
element by element, the gradients at the state that the step started from are:

LSTM, with δ = dh, or W_hrᵀ dh where there is a projection

    dc_t = dc + δ o (1 - tanh² c_t)
    dz_i = dc_t g i (1 - i)
    dz_f = dc_t c_{t-1} f (1 - f)
    dz_g = dc_t i (1 - g²)
    dz_o = δ tanh(c_t) o (1 - o)
    dc_{t-1} = dc_t f
    dh_{t-1} = W_hhᵀ dz

GRU, with q = W_hn h_{t-1} + b_hn

    da_n = dh (1 - z) (1 - n²)
    da_z = dh (h_{t-1} - n) z (1 - z)
    da_r = da_n q r (1 - r)
    du = da_r, da_z, da_n r
    dh_{t-1} = dh z + W_hhᵀ du

RNN, h_t = φ(z)

    dz = dh φ'        φ' = 1 - h_t² for tanh; 1 where h_t > 0, else 0, for max(0, ·)
    dh_{t-1} = W_hhᵀ dz

Recurrent dropout multiplies each W_hhᵀ (·) by its factors. What enters at the pre-activations from
outside is added to dz, to da_z, da_n and da_r.

What multiplies a gradient depends on none, so it is computed once, for all steps, and the map takes
gradients with any axes before the features: of many steps, sequences and sources at a time.

Here and wherever it is used, all is in double precision and in the order in which the scan walks,
(T, N, features) with step 0 the first of the walk: a reverse scan is turned round first. Where a
sequence has no step, nothing goes back and nothing comes to the pre-activations.

Source: Hochreiter & Schmidhuber 1997 (the map of the LSTM; forget gate: Gers et al. 2000), Cho et
al. 2014 (GRU), Werbos 1990 (backpropagation through time).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..dtypes import Array
from .gradients import entering_last
from .scans import GATES, Scan


class Back(NamedTuple):
    """What one step back gives.

    dh (..., P), dc (..., H) or None : the gradients at the state that the step started from
    da (..., gates · H) : at the pre-activations, the side of W_ih; rows in the order of the weights
    du : the same at the side of W_hh; other than da in a GRU only
    cell (..., H) or None : dc_t, what came to c_t with what h_t gives to it
    """

    dh: Array
    dc: Array | None
    da: Array
    du: Array
    cell: Array | None


class StepBack:
    """The maps of the steps of one scan, see above.

    slopes : what the gradients are multiplied with, each (..., H) or (..., gates, H)
    factors : (..., P), of recurrent dropout, on h_{t-1} where W_hh reads it; or None

    `maps[index]` is the map of the steps and sequences chosen, `maps(dh, dc)` the step back;
    `into` (..., gates, H) is what enters at the pre-activations from outside, if anything.
    """

    def __init__(
        self,
        kind: str,
        slopes: dict[str, Array],
        w_hh: Array,
        w_hr: Array | None,
        factors: Array | None,
    ) -> None:
        self.kind = kind
        self.slopes = slopes
        self.w_hh = w_hh
        self.w_hr = w_hr
        self.factors = factors

    def __getitem__(self, index: Any) -> StepBack:
        slopes = {name: slope[index] for name, slope in self.slopes.items()}
        factors = None if self.factors is None else self.factors[index]
        return StepBack(self.kind, slopes, self.w_hh, self.w_hr, factors)

    def __call__(self, dh: Array, dc: Array | None = None, into: Array | None = None) -> Back:
        if self.kind == "gru":
            return self._gru(dh, into)
        return self._rnn(dh) if dc is None else self._lstm(dh, dc, into)

    def _lstm(self, dh: Array, dc: Array, into: Array | None) -> Back:
        slopes = self.slopes
        delta = dh if self.w_hr is None else times(dh, self.w_hr)
        dc = dc + delta * slopes["c"]
        gates = np.empty((*dc.shape[:-1], 4, dc.shape[-1]))
        np.multiply(dc[..., None, :], slopes["ifg"], out=gates[..., :3, :])
        np.multiply(delta, slopes["o"], out=gates[..., 3, :])
        if into is not None:
            gates += into
        dz = _joined(gates)
        return Back(self._through_weights(dz), dc * slopes["f"], dz, dz, dc)

    def _gru(self, dh: Array, into: Array | None) -> Back:
        slopes = self.slopes
        into_n = dh * slopes["a_n"]
        gates = np.empty((*into_n.shape[:-1], 3, into_n.shape[-1]))
        a_r, a_z, a_n = (gates[..., k, :] for k in range(3))
        a_n[...] = into_n
        np.multiply(dh, slopes["a_z"], out=a_z)
        if into is not None:
            gates[..., 1:, :] += into[..., 1:, :]
        np.multiply(a_n, slopes["a_r"], out=a_r)
        if into is not None:
            a_r += into[..., 0, :]
        du = gates.copy()
        du[..., 2, :] *= slopes["r"]
        du = _joined(du)
        return Back(dh * slopes["z"] + self._through_weights(du), None, _joined(gates), du, None)

    def _rnn(self, dh: Array) -> Back:
        dz = dh * self.slopes["h"]
        return Back(self._through_weights(dz), None, dz, dz, None)

    def _through_weights(self, du: Array) -> Array:
        dh = times(du, self.w_hh)
        return dh if self.factors is None else dh * self.factors


def step_back(scan: Scan) -> StepBack:
    """The maps of all steps of a scan, (T, N, ...) in the order of its walk."""
    gates = {name: in_walk(scan, rows) for name, rows in scan.gates.items()}
    starts = [in_walk(scan, rows) for rows in scan.starts()]
    if scan.c is not None:
        slopes = _lstm_slopes(gates, in_walk(scan, scan.c), starts[1])
    elif scan.kind == "gru":
        slopes = _gru_slopes(gates, starts[0])
    else:
        h = in_walk(scan, scan.h)
        slopes = {"h": 1 - h * h if scan.kind == "rnn_tanh" else (h > 0).astype(np.float64)}
    there = in_walk(scan, np.ones((len(scan.h), 1)))
    if not there.all():
        for slope in slopes.values():
            slope *= there if slope.ndim == 3 else there[..., None]
    w_hr = scan.weights.get("weight_hr")
    factors = None if scan.factors is None else in_walk(scan, scan.steps.repeated(scan.factors))
    return StepBack(
        scan.kind,
        slopes,
        doubled(scan.weight("weight_hh")),
        None if w_hr is None else doubled(w_hr),
        factors,
    )


def _lstm_slopes(gates: dict[str, Array], c: Array, c_start: Array) -> dict[str, Array]:
    i, f, g, o = (gates[name] for name in "ifgo")
    tanh_c = np.tanh(c)
    ifg = (g * i * (1 - i), c_start * f * (1 - f), i * (1 - g * g))
    return {
        "ifg": np.stack(ifg, axis=-2),
        "o": tanh_c * o * (1 - o),
        "c": o * (1 - tanh_c * tanh_c),
        "f": f,
    }


def _gru_slopes(gates: dict[str, Array], h_start: Array) -> dict[str, Array]:
    r, z, n, q = (gates[name] for name in "rznq")
    return {
        "a_r": q * r * (1 - r),
        "a_z": (h_start - n) * z * (1 - z),
        "a_n": (1 - z) * (1 - n * n),
        "r": r,
        "z": z,
    }


def in_walk(scan: Scan, rows: Array) -> Array:
    """Rows as (T, N, features) in the order of the walk, zeros where a sequence has no step."""
    found = doubled(scan.padded(rows))
    return found[::-1] if scan.reverse else found


class Sources(NamedTuple):
    """What enters each step of a scan from outside, in the order of its walk.

    dh (T, N, P) : at h_t, by the outputs or as the last state
    dc (T, N, H) : the same at c_t; None but in an LSTM
    into (T, N, gates, H) : at the pre-activations, from gradients of the gates; None if none do
    """

    dh: Array
    dc: Array | None
    into: Array | None


def sources(scan: Scan) -> Sources:
    """What entered in the backward pass. Raises RuntimeError before there was one."""
    _, _, dy, d_last = scan.backward_ran()
    dh = in_walk(scan, dy + entering_last(scan, d_last[0]))
    if scan.c is None:
        return Sources(dh, None, _into(scan))
    dc = entering_last(scan, d_last[1])
    if scan.dc_in is not None:
        dc += scan.dc_in
    return Sources(dh, in_walk(scan, dc), _into(scan))


def _into(scan: Scan) -> Array | None:
    if not scan.gates_in:
        return None
    parts = []
    for name in GATES[scan.kind]:
        gate = scan.gates[name]
        slope = 1 - gate * gate if name in "gn" else gate * (1 - gate)
        entered = scan.gates_in.get(name, np.zeros_like(gate))
        parts.append(in_walk(scan, entered * slope))
    return np.stack(parts, axis=-2)


def doubled(array: Array) -> Array:
    """In double precision, so that what float32 would lose is still a number."""
    return np.asarray(array, dtype=np.float64)


def norms(gradients: Array) -> Array:
    """The norm over the last axis, also of numbers whose squares are too small or too large."""
    largest = np.abs(gradients).max(axis=-1, keepdims=True, initial=0)
    scale = np.where((largest > 0) & np.isfinite(largest), largest, 1)
    scaled = gradients / scale
    norm: Array = scale[..., 0] * np.sqrt(np.einsum("...f,...f->...", scaled, scaled))
    return norm


def times(rows: Array, weight: Array) -> Array:
    """rows (..., A), weight (A, B): their product (..., B), as one product of matrices."""
    return (rows.reshape(-1, len(weight)) @ weight).reshape(*rows.shape[:-1], weight.shape[1])


def _joined(gates: Array) -> Array:
    """(..., gates, H) as (..., gates · H)."""
    return gates.reshape(*gates.shape[:-2], -1)
