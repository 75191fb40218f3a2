"""One layer in one direction of a record, under the names of the formulas."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, NamedTuple, SupportsIndex

import numpy as np

from ..dtypes import Array
from . import gradients, lags, spectrum
from .gradients import CellPath, StateGradients
from .scans import GATES, Scan
from .spectrum import LagSpectrum
from .truncation import Truncation, against_full


class CellTerms(NamedTuple):
    """The terms of δc_t, each (T, N, H); their sum is `c_grad`.

    from_next : δc_{t+1} f_{t+1}, what the next cell gives back
    from_h : δh_t o_t (1 - tanh² c_t), what this step's output gives back
    immediate : what the loss itself reads of c_t
    """

    from_next: Array
    from_h: Array
    immediate: Array


class View:
    """The states, gates and gradients of one layer in one direction, arrays (T, N, H).

    h, c : the states after each step, c of an LSTM
    i, f, g, o : the (activated) gates of an LSTM; r, z, n : of a GRU
    q : of a GRU W_hn h + b_hn, which r multiplies; no gate, so without a gradient here
    h_grad, c_grad, i_grad, ... : the gradient of the loss for each: the total derivative, with all
        that comes back through later steps of this scan, through layers above and from the outside.
        At the last step of a sequence that of the last state belongs to it
    h_grad_immediate, c_grad_immediate : what of h_grad and c_grad does not come from other steps of
        this scan (and for c not from h_t): the immediate derivative of Pascanu et al. (2013)
    scan : the same as rows, with inputs and weights, see `Scan`

    A step stands at the time of its input in both directions; the batch is second whatever
    `batch_first`; after the end of a sequence all is 0. The arrays are copies, made when asked for.
    A view knows the backward passes before it was made; after another, ask for a new view.

    Raises AttributeError for what this kind of layer does not have, RuntimeError for a gradient
    when no backward pass has come here.
    """

    def __init__(self, scan: Scan) -> None:
        self.scan = scan

    @property
    def names(self) -> tuple[str, ...]:
        """What there is: the parts of the state, then the gates."""
        scan = self.scan
        return (*("h" if scan.c is None else "hc"), *GATES[scan.kind])

    def __getattr__(self, name: str) -> Array:
        if name == "scan":  # a copy in the making has none yet
            raise AttributeError(name)
        scan = self.scan
        rows = self._rows_of(name)
        if rows is None:
            known = ", ".join(self.names)
            raise AttributeError(
                f"{scan.kind}: expected one of {known}, or one of these with _grad, got {name!r}"
            )
        return scan.padded(rows)

    def __dir__(self) -> list[str]:
        names = self.names
        states = ("h", "c") if "c" in names else ("h",)
        own = [*names, *(f"{name}_grad" for name in names)]
        own += [f"{name}_grad_immediate" for name in states]
        return [*super().__dir__(), *own, *(["q"] if "q" in self.scan.gates else [])]

    def __repr__(self) -> str:
        scan = self.scan
        ran = "forward and backward" if scan.dz is not None else "forward alone"
        if scan.left_out:
            ran += ", a later pass left out"
        shape = scan.length, scan.steps.batch, scan.size
        names = ", ".join(self.names)
        if scan.h.shape[1] != scan.size:  # a projection
            names = f"h {(*shape[:2], scan.h.shape[1])}, {', '.join(self.names[1:])}"
        return f"View({scan.kind}, layer {scan.layer}, {scan.direction}: {names} {shape}; {ran})"

    def c_grad_terms(self) -> CellTerms:
        """δc_t term by term. Raises TypeError for what has no cell."""
        gradients.needs_cell("c_grad_terms", self.scan)
        states = self._states
        parts: Any = states.c_from_next, states.c_from_h, states.c_immediate
        return CellTerms(*map(self.scan.padded, parts))

    def cell_path(self) -> CellPath:
        """δc_t by the way it took: along the cells alone, or through W_hh; see `CellPath`.

        Where the loss reads the last state alone, `cell` is δc_T times the product of the forget
        gates. Raises TypeError for what has no cell.
        """
        gradients.needs_cell("cell_path", self.scan)
        return CellPath(*map(self.scan.padded, gradients.cell_path(self.scan, self._states)))

    @np.errstate(over="ignore", invalid="ignore")
    def weight_grad_steps(self, name: str, by_gate: bool = False) -> Any:
        """What each step adds to the gradient of a weight or bias: (T, *its shape).

        The sum over T is the parameter's `.grad`, to rounding, if this was its only use. Warns
        where a backward pass is left out of the record, so that it is not; see `record`.

        name : a parameter's ("weight_hh_l0", of a cell "weight_hh"), or its role ("weight_hh")
        by_gate : give a dict instead, of each gate its rows: "i" -> (T, H, ...); of a simple RNN
            the one part is "h". Views of one array
        Memory: T times the parameter's. `weight_grad_norms` needs no more than one.

        Raises KeyError for a name that there is not.
        """
        role = self._role("weight_grad_steps", name, by_gate)
        scan = self.scan
        weight = scan.weight(role)
        found = np.zeros((scan.length, *weight.shape), weight.dtype)
        for t, part in enumerate(gradients.weight_gradient(scan, role, self._projected(role))):
            found[t] = part
        return gradients.by_gate(scan, found) if by_gate else found

    @np.errstate(over="ignore", invalid="ignore")
    def weight_grad_norms(self, name: str, by_gate: bool = False) -> Any:
        """The (Frobenius) norms of these parts, (T,), or of each gate; one part in memory."""
        role = self._role("weight_grad_norms", name, by_gate)
        scan = self.scan
        names = (GATES[scan.kind] or "h") if by_gate else " "
        norms = np.zeros((len(names), scan.length))  # of squares that float32 cannot hold
        for t, part in enumerate(gradients.weight_gradient(scan, role, self._projected(role))):
            each = gradients.by_gate(scan, part[None]).values() if by_gate else [part]
            norms[:, t] = [np.linalg.norm(one.astype(np.float64)) for one in each]
        return dict(zip(names, norms, strict=True)) if by_gate else norms[0]

    def lag_matrix(self, of: str = "h") -> Array:
        """How far back what enters at each step reaches: (T, T); see `lags.lag_matrix`."""
        return lags.lag_matrix(self.scan, of)

    def step_singular_values(self, samples: Sequence[SupportsIndex] = (0,), of: str = "h") -> Array:
        """Those of each step's Jacobian: (T, samples, ·); see `spectrum.singular_values`."""
        return spectrum.singular_values(self.scan, samples, of)

    def lag_spectrum(
        self,
        samples: Sequence[SupportsIndex] = (0,),
        of: str = "h",
        end: SupportsIndex | None = None,
    ) -> LagSpectrum:
        """Those of the product of the Jacobians over each lag; see `spectrum.over_lags`."""
        return spectrum.over_lags(self.scan, samples, of, end)

    def truncation(self, lengths: Iterable[SupportsIndex] | None = None) -> Truncation:
        """The weights' gradients if they reached back less far; see `truncation.against_full`."""
        return against_full(self.scan, lengths)

    # -- how

    @cached_property
    def _states(self) -> StateGradients:
        return gradients.state_gradients(self.scan)

    @cached_property
    def _gates(self) -> dict[str, Array]:
        return gradients.gate_gradients(self.scan, self._states)

    def _rows_of(self, name: str) -> Array | None:
        """What an attribute is made from; None for one that there is not."""
        scan = self.scan
        states = {"h": scan.h} if scan.c is None else {"h": scan.h, "c": scan.c}
        if name in states:
            return states[name]
        if name in scan.gates:
            return scan.gates[name]
        stem, _, kind = name.partition("_grad")
        if stem in states and kind in ("", "_immediate"):
            found: Array | None = getattr(self._states, stem + kind)
            return found
        if stem in GATES[scan.kind] and name == f"{stem}_grad":
            return self._gates[stem]
        return None

    def _role(self, method: str, name: str, by_gate: bool) -> str:
        """The role of a parameter, of which a method is to tell the steps."""
        names = self.scan.names
        role = names.get(name, name)
        if role not in names.values():
            raise KeyError(f"{method}: expected one of {', '.join(names)}, got {name!r}")
        if not isinstance(by_gate, bool | np.bool_):
            raise TypeError(
                f"{method}: expected by_gate to be True or False, got {by_gate!r}; by_gate=True "
                "gives a dict of all gates"
            )
        if by_gate and role == "weight_hr":
            raise ValueError(f"{method}: expected a weight of gates, got weight_hr; by_gate=False")
        if self.scan.left_out:
            warnings.warn(
                f"{method}: a backward pass after one with create_graph=True is not recorded (it "
                "may be of second derivatives): the steps do not sum to .grad if it added to that; "
                "record the first derivatives in a forward pass of their own",
                stacklevel=3,
            )
        return role

    def _projected(self, role: str) -> StateGradients | None:
        return self._states if role == "weight_hr" else None
