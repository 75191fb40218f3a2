"""Truncated against full gradient: what a weight's gradient loses when it reaches back k2 steps."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import NamedTuple, SupportsIndex

import numpy as np

from ..dtypes import Array
from .gradients import state_gradients
from .lags import Carried, blocks, carried
from .scans import Scan
from .step_back import Sources, StepBack, in_walk, sources, step_back


class Truncation(NamedTuple):
    """The gradients of truncated backpropagation through time beside the full ones.

    lengths : the K truncation lengths k2, rising
    cosine : parameter name -> (K,), the cosine of the angle between truncated and full gradient
    ratio : parameter name -> (K,), ‖truncated‖ / ‖full‖
    gradients : parameter name -> (K, shape of the parameter), the truncated gradients
    full : parameter name -> the full gradient

    A cosine with a zero gradient, a ratio to one is nan.
    """

    lengths: tuple[int, ...]
    cosine: dict[str, Array]
    ratio: dict[str, Array]
    gradients: dict[str, Array]
    full: dict[str, Array]


@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def against_full(scan: Scan, lengths: Iterable[SupportsIndex] | None = None) -> Truncation:
    """For each length k2: the gradient of every weight when no loss flows back through more steps.

    With D_t[k] the gradient at the pre-activations of step k of what enters at step t,

        full = Σ_t Σ_{k <= t} D_t[k] ⊗ h_{k-1}        truncated = Σ_t Σ_{t - k2 < k <= t} the same

    (⊗ x_k for W_ih, ⊗ 1 for the biases). Each source t reaches back through exactly k2 steps, its
    own counted, or to the first: the window slides with t. It is what `bptt.truncated` gives with
    k1 = 1 and weights held still, h' = 1 in Williams & Peng; with k1 > 1 the later steps of a
    window reach back less far. States are those of the full forward pass. In a reverse scan "back"
    is towards the end of time. What enters is as in `lag_matrix`: losses reach this scan as
    gradients at its outputs, and what flows between layers and directions is not cut.

    lengths : integers >= 1; None for 1, 2, 4, ... up to all steps

    Returns a `Truncation`, in double precision, for the weights of this layer and direction.

    Raises RuntimeError before the backward pass has run, ValueError for a length below 1, TypeError
    for what are no whole numbers.

    Cost: as many steps back as the longest length for each step that something enters at. Memory:
    four to five times that of the record of a float32 model, and K gradients of the weights.

    Source: Williams & Peng 1990; Pascanu, Mikolov & Bengio 2013, eq. 3-4 (the sums over t and k).
    """
    entering = sources(scan)
    reaches = _lengths(lengths, len(entering.dh))
    maps = step_back(scan)
    outer = _Outer(scan)
    gradients = {name: np.zeros((len(reaches), *shape)) for name, shape in outer.shapes.items()}
    for block in blocks(maps, entering):
        flowed = _Flowed.none(maps, entering)
        steps = block
        done = 0
        for found in carried(maps, entering, block, reaches[-1]):
            flowed.add(found)
            steps = slice(found.k.start, block.stop)
            if found.lag + 1 == reaches[done]:
                outer.add(flowed, steps, gradients, done)
                done += 1
        for later in range(done, len(reaches)):
            outer.add(flowed, steps, gradients, later)
    full = {name: np.zeros((1, *shape)) for name, shape in outer.shapes.items()}
    outer.add(_Flowed.recorded(scan), slice(None), full, 0)
    return _compared(reaches, gradients, {name: parts[0] for name, parts in full.items()})


def _lengths(lengths: Iterable[SupportsIndex] | None, steps: int) -> tuple[int, ...]:
    """The lengths, rising and each once."""
    if lengths is None:
        return (*(2**k for k in range(max(steps - 1, 0).bit_length())), max(steps, 1))
    try:
        found = tuple(sorted({operator.index(length) for length in lengths}))
    except TypeError:
        raise TypeError(
            f"truncation: expected a list of whole numbers of steps, got {lengths!r}; as [1, 3]"
        ) from None
    if not found or found[0] < 1:
        raise ValueError(f"truncation: expected lengths >= 1, got {found}; count in steps")
    return found


class _Flowed(NamedTuple):
    """The gradients that have come to each step, in the order of the walk.

    da, du (T, N, gates · H) : at the pre-activations; one array but in a GRU
    dh (T, N, P) : at h, where there is a projection
    """

    da: Array
    du: Array
    dh: Array | None

    @staticmethod
    def none(maps: StepBack, entering: Sources) -> _Flowed:
        """None as yet."""
        da = np.zeros((*entering.dh.shape[:2], len(maps.w_hh)))
        du = np.zeros_like(da) if maps.kind == "gru" else da
        return _Flowed(da, du, None if maps.w_hr is None else np.zeros_like(entering.dh))

    @staticmethod
    def recorded(scan: Scan) -> _Flowed:
        """Those of the backward pass that was recorded."""
        dz, du, _, _ = scan.backward_ran()
        dh = state_gradients(scan).h
        return _Flowed(in_walk(scan, dz), in_walk(scan, du), in_walk(scan, dh))

    def add(self, found: Carried) -> None:
        """Add what a block of sources sends to the steps that it has come to."""
        self.da[found.k] += found.back.da
        if self.du is not self.da:
            self.du[found.k] += found.back.du
        if self.dh is not None:
            self.dh[found.k] += found.dh


class _Outer:
    """The sums over steps of outer products that make the gradients of a scan's weights.

    shapes : parameter name -> its shape
    """

    def __init__(self, scan: Scan) -> None:
        there = {name for name, role in scan.names.items() if scan.weights[role] is not None}
        self.roles = {name: role for name, role in scan.names.items() if name in there}
        self.shapes = {name: scan.weight(role).shape for name, role in self.roles.items()}
        self.read = {"weight_ih": in_walk(scan, scan.x), "weight_hh": in_walk(scan, scan.read())}
        if scan.c is not None and "weight_hr" in self.roles.values():
            self.read["weight_hr"] = in_walk(scan, scan.gates["o"] * np.tanh(scan.c))

    def add(self, flowed: _Flowed, steps: slice, sums: dict[str, Array], place: int) -> None:
        """Add the gradient that has come to some steps to each `sums[name][place]`."""
        for name, role in self.roles.items():
            delta = flowed.du if role.endswith("hh") else flowed.da
            if role == "weight_hr":
                assert flowed.dh is not None
                delta = flowed.dh
            rows = _rows(delta[steps])
            read = self.read.get(role)
            sums[name][place] += rows.sum(axis=0) if read is None else rows.T @ _rows(read[steps])


def _rows(array: Array) -> Array:
    """(T, N, features) as rows, (T · N, features)."""
    return array.reshape(-1, array.shape[-1])


def _compared(
    lengths: tuple[int, ...], gradients: dict[str, Array], full: dict[str, Array]
) -> Truncation:
    cosine, ratio = {}, {}
    for name, parts in gradients.items():
        rows, whole = parts.reshape(len(lengths), -1), full[name].ravel()
        norms, norm = np.linalg.norm(rows, axis=1), np.linalg.norm(whole)
        ratio[name] = norms / norm
        cosine[name] = rows @ whole / (norms * norm)
    return Truncation(lengths, cosine, ratio, gradients, full)
