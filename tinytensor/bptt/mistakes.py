"""The usual mistakes in an LSTM's backward pass, and what each of them makes of a problem.

A mistake in a formula is that formula as one gets it wrong: the pass is run with it in the place of
the right one. A mistake in the handing over is a change to the right results. In both cases out
comes a full set of wrong results, by which `compare` knows the mistake again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import permutations
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from ..dtypes import Array
from .by_hand import Backward, Forward

Formula = Callable[[Any], Any]

_PER_STEP = ("dh", "do", "dc", "di", "df", "dg", "dz")
_GATES = "ifgo"


class Suspect(NamedTuple):
    """A mistake in words, and the results of a backward pass that makes it."""

    hint: str
    results: Backward


def suspects(arguments: tuple[Any, ...], right: Backward) -> Iterator[Suspect]:
    """What each mistake makes of a problem, the most usual ones first."""
    for hint, formulas in _IN_A_FORMULA:
        yield Suspect(hint, wrong_backward(arguments, formulas))
    for hint, change in _IN_HANDING_OVER:
        yield Suspect(hint, right._replace(**change(right, arguments[0])))
    for order in _wrong_orders():
        hint = (
            f"the gates stand in the order {' '.join(order)}; torch's order, which the rows of the "
            "weights are in, is i f g o"
        )
        yield Suspect(hint, wrong_backward(arguments, {"dz": _in_order(order)}))
        yield Suspect(hint, right._replace(**_reordered(right, order)))


# -- the pass, with formulas that can be exchanged -------------------------------------------------

# s holds the values of one step under their names, "before" those of step t - 1; "later" is what
# step t + 1 has handed back, and of these two formulas the last results are dh0 and dc0.
_STEP: dict[str, Formula] = {
    "dh": lambda s: s.dy + s.dh_later,
    "do": lambda s: s.dh * s.tanh_c,
    "dc": lambda s: s.dh * s.o * (1 - s.tanh_c**2) + s.dc_later,
    "di": lambda s: s.dc * s.g,
    "df": lambda s: s.dc * s.c_before,
    "dg": lambda s: s.dc * s.i,
    "dz_i": lambda s: s.di * s.i * (1 - s.i),
    "dz_f": lambda s: s.df * s.f * (1 - s.f),
    "dz_g": lambda s: s.dg * (1 - s.g**2),
    "dz_o": lambda s: s.do * s.o * (1 - s.o),
    "dz": lambda s: np.concatenate((s.dz_i, s.dz_f, s.dz_g, s.dz_o), axis=1),
    "dh_later": lambda s: s.dz @ s.w_hh,
    "dc_later": lambda s: s.dc * s.f,
}

# Here s holds the values of all steps.
_SUMS: dict[str, Formula] = {
    "dx": lambda s: s.dz @ s.w_ih,
    "dw_ih": lambda s: _flat(s.dz).T @ _flat(s.x),
    "dw_hh": lambda s: _flat(s.dz).T @ _flat(s.h_before),
    "db": lambda s: s.dz.sum(axis=(0, 1)),
}


def wrong_backward(arguments: tuple[Any, ...], wrong: dict[str, Formula]) -> Backward:
    """`by_hand.backward`, but for the formulas given. arguments : those of `by_hand.backward`"""
    saved, w_ih, w_hh, dy, dh_last, dc_last = arguments
    x, h0, c0, i, f, g, o, c, h = saved
    formulas = {**_STEP, **_SUMS, **wrong}
    values = {
        **{"dy": dy, "x": x, "i": i, "f": f, "g": g, "o": o, "c": c, "h": h},
        "tanh_c": np.tanh(c),
        "h_before": np.concatenate((h0[None], h[:-1])),
        "c_before": np.concatenate((c0[None], c[:-1])),
        "f_before": np.roll(f, 1, axis=0),  # of step 0 what f[-1] is in Python
    }
    later = {"dh_later": dh_last, "dc_later": dc_last}
    found: list[SimpleNamespace] = []
    for t in reversed(range(len(h))):
        here = {name: value[t] for name, value in values.items()}
        s = SimpleNamespace(**here, **later, w_hh=w_hh, is_last=t == len(h) - 1, is_first=t == 0)
        for name in _STEP:
            setattr(s, name, formulas[name](s))
        later = {"dh_later": s.dh_later, "dc_later": s.dc_later}
        found.insert(0, s)
    steps = {name: np.stack([getattr(s, name) for s in found]) for name in _PER_STEP}
    whole = SimpleNamespace(**values, **steps, w_ih=w_ih)
    sums = {name: formulas[name](whole) for name in _SUMS}
    return Backward(**steps, dh0=later["dh_later"], dc0=later["dc_later"], **sums)


def _flat(array: Array) -> Array:
    """(T, N, ...) as (T N, ...)"""
    return array.reshape(-1, array.shape[-1])


# -- the mistakes ----------------------------------------------------------------------------------

_DH = "dh_t = dy_t + W_hhᵀ dz_{t+1}"
_DC = "dc_t = dh_t * o_t * (1 - tanh² c_t) + dc_{t+1} * f_{t+1}"
_SIGMOID = "σ'(z) = σ (1 - σ), with i, f and o being σ(z) already: dz_i = di * i * (1 - i)"
_TANH = "tanh'(z) = 1 - tanh² z, with g being tanh(z) already: dz_g = dg * (1 - g²)"
_SUM = "dW_ih = Σ_t dz_t x_tᵀ and dW_hh = Σ_t dz_t h_{t-1}ᵀ"
_LATER_H = f"the gradient from step t + 1 is missing in dh: {_DH}"
_LATER_C = f"the gradient from step t + 1 is missing in dc: {_DC}"


def _slope(gates: str, slope: Callable[[Any], Any]) -> dict[str, Formula]:
    """The formulas of dz with another slope for some gates, as a function of the gate's value."""

    def formula(gate: str) -> Formula:
        return lambda s: getattr(s, f"d{gate}") * slope(getattr(s, gate))

    return {f"dz_{gate}": formula(gate) for gate in gates}


def _of_one_step(t: int) -> dict[str, Formula]:
    return {
        "dw_ih": lambda s: s.dz[t].T @ s.x[t],
        "dw_hh": lambda s: s.dz[t].T @ s.h_before[t],
        "db": lambda s: s.dz[t].sum(axis=0),
    }


def _with_product(product: Callable[[Array, Array], Any]) -> dict[str, Formula]:
    return {
        "dw_ih": lambda s: product(s.dz, s.x),
        "dw_hh": lambda s: product(s.dz, s.h_before),
    }


def _all_reshaped(dz: Array, x: Array) -> Any:
    return _flat(dz).reshape(dz.shape[2], -1) @ _flat(x)


def _steps_reshaped(dz: Array, x: Array) -> Any:
    return sum(a.reshape(a.shape[1], -1) @ b for a, b in zip(dz, x, strict=True))


def _sigma(z: Array) -> Array:
    return (1 + np.tanh(z / 2)) / 2


_IN_A_FORMULA: list[tuple[str, dict[str, Formula]]] = [
    # dh
    (_LATER_H, {"dh": lambda s: s.dy}),
    (_LATER_H, {"dh_later": lambda s: 0 * s.dh}),
    ("dh_last, which enters at the last h, is missing",
     {"dh": lambda s: s.dy + (0 if s.is_last else s.dh_later)}),
    (f"dy is missing in dh: {_DH}", {"dh": lambda s: s.dh_later}),
    (f"dy enters at every output, not at the last one alone: {_DH}",
     {"dh": lambda s: s.dh_later + (s.dy if s.is_last else 0)}),
    # do and dc, from h = o tanh(c)
    ("the tanh at the cell is missing: h_t = o_t * tanh(c_t), so do_t = dh_t * tanh(c_t)",
     {"do": lambda s: s.dh * s.c}),
    ("o_t in the place of tanh(c_t): h_t = o_t * tanh(c_t), so do_t = dh_t * tanh(c_t)",
     {"do": lambda s: s.dh * s.o}),
    (f"tanh', the slope of the tanh at the cell, is missing: {_DC}",
     {"dc": lambda s: s.dh * s.o + s.dc_later}),
    (f"tanh' at the cell is 1 - tanh² c_t, not 1 - c_t²: {_DC}",
     {"dc": lambda s: s.dh * s.o * (1 - s.c**2) + s.dc_later}),
    (f"tanh' at the cell is for what comes from h_t alone: {_DC}",
     {"dc": lambda s: (s.dh * s.o + s.dc_later) * (1 - s.tanh_c**2)}),
    (f"o_t is missing in dc: {_DC}",
     {"dc": lambda s: s.dh * (1 - s.tanh_c**2) + s.dc_later}),
    (_LATER_C, {"dc": lambda s: s.dh * s.o * (1 - s.tanh_c**2)}),
    (_LATER_C, {"dc_later": lambda s: 0 * s.dc}),
    ("dc_last, which enters at the last c, is missing",
     {"dc": lambda s: _STEP["dc"](s) - (s.dc_later if s.is_last else 0)}),
    (f"what comes from h_t is missing in dc: {_DC}", {"dc": lambda s: s.dc_later}),
    (f"f_t in the place of f_{{t+1}}: {_DC}", {"dc_later": lambda s: s.dc * s.f_before}),
    (f"f_t in the place of f_{{t+1}}: {_DC}",
     {"dc_later": lambda s: s.dc * (s.f if s.is_first else s.f_before)}),
    (f"the forget gate is missing between dc_{{t+1}} and dc_t: {_DC}",
     {"dc_later": lambda s: s.dc}),
    # the gates, from c = f c_before + i g
    ("c_t in the place of c_{t-1}: the forget gate multiplies the cell before, so "
     "df_t = dc_t * c_{t-1}", {"df": lambda s: s.dc * s.c}),
    ("c0 is missing: at the first step c_{t-1} is c0, so df_0 = dc_0 * c0",
     {"df": lambda s: s.dc * (0 if s.is_first else s.c_before)}),
    ("i and g the wrong way round: c_t = f_t * c_{t-1} + i_t * g_t, so di_t = dc_t * g_t and "
     "dg_t = dc_t * i_t", {"di": lambda s: s.dc * s.i, "dg": lambda s: s.dc * s.g}),
    ("di_t = dc_t * g_t, as i multiplies g", {"di": lambda s: s.dc * s.i}),
    ("dg_t = dc_t * i_t, as g is multiplied by i", {"dg": lambda s: s.dc * s.g}),
    # dz
    *((f"the slope of the sigmoid is missing: {_SIGMOID}", _slope(gates, lambda s: 1))
      for gates in ("ifo", *"ifo")),
    *((f"the slope of tanh in the place of the sigmoid's: {_SIGMOID}",
       _slope(gates, lambda s: 1 - s**2)) for gates in ("ifo", *"ifo")),
    *((f"the sigmoid is taken twice: {_SIGMOID}",
       _slope(gates, lambda s: _sigma(s) * (1 - _sigma(s)))) for gates in ("ifo", *"ifo")),
    (f"the slope of the tanh is missing: {_TANH}", _slope("g", lambda g: 1)),
    (f"the slope of the sigmoid in the place of tanh's: {_TANH}",
     _slope("g", lambda g: g * (1 - g))),
    (f"the tanh is taken twice: {_TANH}", _slope("g", lambda g: 1 - np.tanh(g) ** 2)),
    (f"a slope is missing at every gate: {_SIGMOID}; {_TANH}", _slope("ifgo", lambda s: 1)),
    # the sums
    ("h_t in the place of h_{t-1}: W_hh multiplies the state before, so "
     "dW_hh = Σ_t dz_t h_{t-1}ᵀ", {"dw_hh": lambda s: _flat(s.dz).T @ _flat(s.h)}),
    ("h0 is missing: at the first step h_{t-1} is h0, so dW_hh has a term dz_0 h0ᵀ",
     {"dw_hh": lambda s: _flat(s.dz[1:]).T @ _flat(s.h_before[1:])}),
    *((f"reshaped, not transposed: (N, 4H) to (4H, N) is .T; {_SUM}", _with_product(product))
      for product in (_all_reshaped, _steps_reshaped)),
    *((f"one step alone, not the sum over all of them (= in the place of +=?): {_SUM}, "
       "db = Σ_t dz_t", _of_one_step(t)) for t in (0, -1)),
    ("not summed over the batch: db = Σ_t dz_t, over the sequences too",
     {"db": lambda s: s.dz.sum(axis=0)}),
]  # fmt: skip


def _all(right: Backward, names: tuple[str, ...], change: Formula) -> dict[str, Any]:
    return {name: change(getattr(right, name)) for name in names}


_WEIGHTS = ("dw_ih", "dw_hh", "db")
_MEAN = "a mean in the place of a sum: a weight's gradient is the sum over all steps and sequences"

_IN_HANDING_OVER: list[tuple[str, Callable[[Backward, Forward], dict[str, Any]]]] = [
    ("the steps stand in the order of the walk, the last one first; hand them over with step 0 "
     "first", lambda right, saved: _all(right, (*_PER_STEP, "dx"), lambda a: a[::-1])),
    ("transposed: dW has the shape of W, (4H, I) and (4H, H)",
     lambda right, saved: _all(right, ("dw_ih", "dw_hh"), lambda a: a.T)),
    ("that is the gradient at z already; di is the one at i itself, before the slope: "
     "di_t = dc_t * g_t",
     lambda right, saved: dict(zip(("di", "df", "dg", "do"), np.split(right.dz, 4, 2),
                                   strict=True))),
    ("the sign is turned round", lambda right, saved: _all(right, Backward._fields, np.negative)),
    *((_MEAN, lambda right, saved, axes=axes: _all(
        right, _WEIGHTS, lambda a: a / np.prod([saved.h.shape[axis] for axis in axes])))
      for axes in ((1,), (0,), (0, 1))),
    ("all zeros: not filled in yet?",
     lambda right, saved: _all(right, Backward._fields, np.zeros_like)),
]  # fmt: skip


# -- the order of the gates ------------------------------------------------------------------------


def _wrong_orders() -> list[str]:
    orders = ["".join(order) for order in permutations(_GATES)]
    return [order for order in orders if order != _GATES]


def _in_order(order: str) -> Formula:
    return lambda s: np.concatenate([getattr(s, f"dz_{gate}") for gate in order], axis=1)


def _reordered(right: Backward, order: str) -> dict[str, Any]:
    """dz and the gradients of the weights, with their gates in another order."""

    def change(array: Array, axis: int) -> Array:
        blocks = dict(zip(_GATES, np.split(array, 4, axis), strict=True))
        return np.concatenate([blocks[gate] for gate in order], axis)

    found = {name: change(getattr(right, name), 0) for name in _WEIGHTS}
    return {**found, "dz": change(right.dz, 2)}
