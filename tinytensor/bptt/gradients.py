"""What follows from a recorded backward pass: the gradient at each state, gate and weight, by step.

A record holds δz, the gradient at the pre-activations z = W_ih x + b_ih + W_hh h + b_hh, and what
enters a scan from outside. The rest is the chain rule once more, from the last step to the first.
With δ before a value for the gradient of the loss by it:

LSTM    δh_t = what enters at h_t + W_hhᵀ δz_{t+1}
        δc_t = what enters at c_t + δc_{t+1} f_{t+1} + δh_t o_t (1 - tanh² c_t)
        δi = δc g     δf_t = δc_t c_{t-1}     δg = δc i     δo = δh tanh c
GRU     δh_t = what enters at h_t + δh_{t+1} z_{t+1} + W_hhᵀ δu_{t+1}
        δr = δz_n q   δz_t = δh_t (h_{t-1} - n_t)   δn = δh (1 - z)     (q, u: see `nn.gru_kernel`)
RNN     δh_t = what enters at h_t + W_hhᵀ δz_{t+1}

With a projection h = W_hr (o tanh c), W_hrᵀ δh_t stands for δh_t behind it. What a loss reads from
the last states enters at the last step of each sequence.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ..dtypes import Array
from .scans import GATES, Scan


class StateGradients(NamedTuple):
    """All (rows, features); those of c are None without a c.

    h, c : the total derivative of the loss
    h_immediate, c_immediate : what of it enters from outside of the scan, at this very step
    c_from_next : δc_{t+1} f_{t+1}, what the next cell gives back
    c_from_h : δh_t o_t (1 - tanh² c_t), what the output of this step gives back
    """

    h: Array
    h_immediate: Array
    c: Array | None
    c_immediate: Array | None
    c_from_next: Array | None
    c_from_h: Array | None


@np.errstate(over="ignore", invalid="ignore")
def state_gradients(scan: Scan) -> StateGradients:
    """The walk back through the states. Raises RuntimeError before a backward pass."""
    _, du, dy, d_last = scan.backward_ran()
    recurrent = through_weights(scan, du)
    h_immediate = dy + entering_last(scan, d_last[0])
    dh = np.empty_like(h_immediate)
    carried = np.zeros((scan.steps.batch, dh.shape[1]), dh.dtype)
    for rows, count in backwards(scan):
        dh[rows] = h_immediate[rows] + carried[:count]
        carried[:count] = recurrent[rows]
        if scan.kind == "gru":
            carried[:count] += dh[rows] * scan.gates["z"][rows]
    if scan.c is None:
        return StateGradients(dh, h_immediate, None, None, None, None)
    c_immediate = entering_last(scan, d_last[1])
    if scan.dc_in is not None:
        c_immediate += scan.dc_in
    from_h = into_cell(scan, dh)
    dc, from_next = along_cells(scan, c_immediate + from_h)
    return StateGradients(dh, h_immediate, dc, c_immediate, from_next, from_h)


@np.errstate(over="ignore", invalid="ignore")
def gate_gradients(scan: Scan, states: StateGradients) -> dict[str, Array]:
    """The gradient at each (activated) gate, (rows, H)."""
    dz, _, _, _ = scan.backward_ran()
    gates = scan.gates
    found: dict[str, Array] = {}
    if scan.c is not None and states.c is not None:
        tanh_c = np.tanh(scan.c)
        _, c_before = scan.starts()
        found = {
            "i": states.c * gates["g"],
            "f": states.c * c_before,
            "g": states.c * gates["i"],
            "o": before_projection(scan, states.h) * tanh_c,
        }
    elif scan.kind == "gru":
        (h_before,) = scan.starts()
        found = {
            "r": dz[:, 2 * scan.size :] * gates["q"],
            "z": states.h * (h_before - gates["n"]),
            "n": states.h * (1 - gates["z"]),
        }
    for name, entering in scan.gates_in.items():
        found[name] += entering
    return found


class CellPath(NamedTuple):
    """The two parts of δc_t, and how open the way was. All (T, N, H).

    cell : what came along the cells alone. It entered at some step s >= t (through c_s, or through
        h_s into c_s) and was multiplied by f_s ... f_{t+1}: Σ_s e_s f_s ··· f_{t+1}
    rest : what went through W_hh at least once. cell + rest is δc_t
    forget : the product of the forget gates from t + 1 to the end of the sequence, by which a
        gradient at the last cell is multiplied until it is at t
    """

    cell: Array
    rest: Array
    forget: Array


@np.errstate(over="ignore", invalid="ignore")
def cell_path(scan: Scan, states: StateGradients) -> CellPath:
    """δc split by the way it took; (rows, H) each. Raises TypeError for what has no cell."""
    needs_cell("cell_path", scan)
    _, du, _, _ = scan.backward_ran()
    entering = into_cell(scan, states.h_immediate)
    assert states.c_immediate is not None
    returned = np.zeros_like(states.h)
    recurrent = through_weights(scan, du)
    carried = np.zeros((scan.steps.batch, recurrent.shape[1]), recurrent.dtype)
    for rows, count in backwards(scan):
        returned[rows] = carried[:count]
        carried[:count] = recurrent[rows]
    cell, _ = along_cells(scan, states.c_immediate + entering)
    rest, _ = along_cells(scan, into_cell(scan, returned))
    _, forget = along_cells(scan, np.zeros_like(cell), np.ones_like(carried[:, :1]))
    return CellPath(cell, rest, forget)


def weight_gradient(scan: Scan, role: str, states: StateGradients | None) -> Iterator[Array]:
    """What each step adds to the gradient of a weight or bias, from step 0 on.

    states : needed for weight_hr alone
    """
    dz, du, _, _ = scan.backward_ran()
    delta = du if role in ("weight_hh", "bias_hh") else dz
    factor = None
    if role == "weight_ih":
        factor = scan.x
    elif role == "weight_hh":
        factor = scan.read()
    elif role == "weight_hr":
        assert states is not None and scan.c is not None
        delta = states.h
        factor = scan.gates["o"] * np.tanh(scan.c)
    for t in range(len(scan.steps.sizes)):
        rows = scan.step(t)
        yield delta[rows].sum(axis=0) if factor is None else delta[rows].T @ factor[rows]


def by_gate(scan: Scan, rows: Array) -> dict[str, Array]:
    """(T, G·H, ...) taken apart: gate -> (T, H, ...), views. Of a simple RNN the one part is h."""
    names = GATES[scan.kind] or "h"
    return dict(zip(names, np.split(rows, len(names), axis=1), strict=True))


# -- pieces of the walk


def backwards(scan: Scan) -> Iterator[tuple[slice, int]]:
    """The rows of each step and how many they are, from the scan's last step to its first."""
    starts = scan.steps.starts
    for t in scan.steps.order(not scan.reverse):
        yield slice(starts[t], starts[t + 1]), scan.steps.sizes[t]


def through_weights(scan: Scan, du: Array) -> Array:
    """W_hhᵀ δu: what each step gives back to the h it started from."""
    back = du @ scan.weight("weight_hh")
    return back if scan.factors is None else back * scan.steps.repeated(scan.factors)


def entering_last(scan: Scan, d_last: Array) -> Array:
    """What enters at the last states, at the last step of each sequence, 0 elsewhere."""
    found = np.zeros((scan.steps.starts[-1], d_last.shape[1]), d_last.dtype)
    carried = d_last.copy()
    for rows, count in backwards(scan):
        found[rows] = carried[:count]
        carried[:count] = 0
    return found


def before_projection(scan: Scan, dh: Array) -> Array:
    """From the gradient at h to that at o tanh c."""
    projection = scan.weights.get("weight_hr")
    return dh if projection is None else dh @ projection


def into_cell(scan: Scan, dh: Array) -> Array:
    """What a gradient at h_t gives to c_t."""
    assert scan.c is not None
    tanh_c = np.tanh(scan.c)
    return before_projection(scan, dh) * scan.gates["o"] * (1 - tanh_c * tanh_c)


def along_cells(scan: Scan, entering: Array, last: Array | None = None) -> tuple[Array, Array]:
    """(sum, returned): sum_t = entering_t + returned_t, returned_t = sum_{t+1} f_{t+1}.

    last : (N, 1) or (N, H), what is returned to the last step of each sequence; 0 if left out
    """
    forget = scan.gates["f"]
    total, returned = np.empty_like(entering), np.empty_like(entering)
    carried = np.zeros((scan.steps.batch, entering.shape[1]), entering.dtype)
    if last is not None:
        carried[...] = last
    for rows, count in backwards(scan):
        returned[rows] = carried[:count]
        total[rows] = entering[rows] + returned[rows]
        carried[:count] = total[rows] * forget[rows]
    return total, returned


def needs_cell(name: str, scan: Scan) -> None:
    if scan.c is None:
        raise TypeError(f"{name}: expected an LSTM, which has cells, got {scan.kind}")
