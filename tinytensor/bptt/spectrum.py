"""Singular values of the Jacobians through time: by how much a step, and many, can stretch.

For any gradient v, a step back obeys ‖v · ds_t/ds_{t-1}‖ <= σ_max ‖v‖ (and >= σ_min ‖v‖). Where
the largest singular values stay below 1 the gradient has to vanish; where some are above 1 it can
explode (Pascanu, Mikolov & Bengio 2013, section 2.1).
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import NamedTuple, SupportsIndex

import numpy as np

from ..dtypes import Array
from .scans import Scan
from .step_back import StepBack, in_walk, norms, sources, step_back

_BLOCK_BYTES = 1 << 24  # of the gradients at the gates of the Jacobians made at a time


@np.errstate(over="ignore", invalid="ignore")
def singular_values(scan: Scan, samples: Sequence[SupportsIndex] = (0,), of: str = "h") -> Array:
    """The singular values of the Jacobian of each step, falling.

    of="h" : of dh_t/dh_{t-1}, in an LSTM with c_{t-1} held still; (T, samples, P)
    of="hc" : of d(h_t, c_t)/d(h_{t-1}, c_{t-1}) in an LSTM; (T, samples, P + H)

    P is H, or the size of a projection. The step before step t of a reverse scan is t + 1. The
    first step of a sequence is taken against the state that it starts from.

    samples : which sequences of the batch

    nan where a sequence has no step, or one that is not finite. Needs the forward pass only. In
    double precision.

    Raises IndexError for a sample that there is not, ValueError for another `of`.

    Cost: T · samples singular value decompositions of matrices of this size.
    """
    places = _samples("step_singular_values", scan, samples)
    pair = _is_pair("step_singular_values", scan, of)
    maps = step_back(scan)[:, places, None]
    there = _steps_there(scan, places)
    length = len(there)
    first = _identity(maps, pair)
    size = len(first[0])
    found = np.full((length, len(places), size), np.nan)
    at_once = max(1, _BLOCK_BYTES // max(1, 8 * len(maps.w_hh) * size * len(places)))
    for begin in range(0, length, at_once):
        steps = slice(begin, begin + at_once)
        back = maps[steps](*first)
        values = _values(_state(back.dh, back.dc, pair))
        found[steps] = np.where(there[steps, :, None], values, np.nan)
    return found[::-1] if scan.reverse else found


class LagSpectrum(NamedTuple):
    """What `over_lags` finds, for lags 0, 1, ... along the first axis.

    ends (samples,) : the step t that the lags count back from
    product (lags, samples, size) : the singular values of ds_t/ds_{t-lag}, falling
    steps (lags, samples) : the product of the largest singular values of the steps in between
    measured (lags, samples) : norm of the gradient that entered at step t, as it is at step t - lag

    nan before a sequence's first step of the walk, `product` also from where it overflows.
    """

    ends: Array
    product: Array
    steps: Array
    measured: Array

    @property
    def gain(self) -> Array:
        """measured / that of lag 0: the share of the gradient that is left; nan if none entered."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.measured / self.measured[:1]


@np.errstate(over="ignore", invalid="ignore")
def over_lags(
    scan: Scan,
    samples: Sequence[SupportsIndex] = (0,),
    of: str = "h",
    end: SupportsIndex | None = None,
) -> LagSpectrum:
    """How much the steps from t - lag to t stretch a gradient together, beside what they did.

    of="h" : s = h, all paths from h_{t-lag} to h_t counted, in an LSTM those along the cell too
    of="hc" : s = (h, c) of an LSTM

        gain <= product[..., 0] = σ_max(ds_t/ds_{t-lag}) <= steps = Π σ_max(ds_k/ds_{k-1})

    The first holds for every gradient that enters, with equality for the worst; the second bound is
    Pascanu, Mikolov & Bengio 2013, eq. 6-7. For the h of an LSTM there are two exceptions: `steps`
    is no bound, but what would be if all went through W_hh and nothing along the cell (so it shows
    what the cell is worth); and a gradient that entered at c_t as well may exceed the first.

    samples : which sequences of the batch
    end : t; None for the last step of the walk that a gradient entered at, in each sequence (its
        last step where there was no backward pass: `measured` is nan then)

    Raises IndexError for a sample, or a step of it, that there is not, ValueError for another `of`.

    Cost: a singular value decomposition for each lag and sample.
    """
    places = _samples("lag_spectrum", scan, samples)
    pair = _is_pair("lag_spectrum", scan, of)
    maps = step_back(scan)
    there = _steps_there(scan, places)
    entering = _entering(scan, places)
    ends = [_end(scan, there[:, n], entering[:, n], end) for n in range(len(places))]
    tops = singular_values(scan, places, of)[..., 0]
    if scan.reverse:
        tops = tops[::-1]
    found = [
        _one_sample(maps[:, place], entering[:, n], tops[:, n], pair, ends[n], there[:, n])
        for n, place in enumerate(places)
    ]
    product, steps, measured = (_stacked(parts) for parts in zip(*found, strict=True))
    last = len(there) - 1
    times = np.array([last - t if scan.reverse else t for t in ends])
    return LagSpectrum(times, product, steps, measured)


def _one_sample(
    maps: StepBack, entering: Array, tops: Array, pair: bool, end: int, there: Array
) -> tuple[Array, Array, Array]:
    """The product, the steps and what was measured of one sequence, from step `end` of the walk."""
    identity = _identity(maps, pair)
    split = identity[0].shape[1]
    dh = np.vstack((identity[0], entering[end, :split]))  # the gradient goes along as one more row
    dc = None if identity[1] is None else np.vstack((identity[1], entering[end, split:]))
    lags = int(there[: end + 1].sum())
    product = np.full((lags, len(identity[0])), np.nan)
    steps, measured = np.full((2, lags), np.nan)
    stretch = 1.0
    for lag in range(lags):
        state = _state(dh, dc, pair)
        product[lag] = _values(state[:-1])
        measured[lag] = norms(state[-1])
        steps[lag] = stretch
        stretch *= tops[end - lag]
        dh, dc = maps[end - lag](dh, dc)[:2]
    return product, steps, measured


def _identity(maps: StepBack, pair: bool) -> tuple[Array, Array | None]:
    """The gradients dh (size, P) and dc (size, H) that are the rows of ds/ds."""
    outputs = maps.w_hh.shape[1]
    if maps.kind != "lstm":
        return np.eye(outputs), None
    cells = len(maps.w_hh) // 4
    rows = np.eye(outputs + cells if pair else outputs, outputs + cells)
    return rows[:, :outputs], rows[:, outputs:]


def _state(dh: Array, dc: Array | None, pair: bool) -> Array:
    """The gradients of the state s, h or the pair."""
    return dh if dc is None or not pair else np.concatenate((dh, dc), axis=-1)


def _values(matrices: Array) -> Array:
    """The singular values of (..., A, B), falling; nan of what is not finite."""
    finite = np.asarray(np.isfinite(matrices).all(axis=(-2, -1)))[..., None]
    values = np.linalg.svd(np.where(finite[..., None], matrices, 0), compute_uv=False)
    return np.where(finite, values, np.nan)


def _steps_there(scan: Scan, places: list[int]) -> Array:
    """Whether a sequence has a step: (T, samples), in the order of the walk."""
    return in_walk(scan, np.ones((len(scan.h), 1)))[:, places, 0] > 0


def _entering(scan: Scan, places: list[int]) -> Array:
    """The gradients that enter at h and c: (T, samples, P + H); nan without a backward pass."""
    sizes = scan.h.shape[1] + (0 if scan.c is None else scan.c.shape[1])
    if scan.dy is None:
        return np.full((scan.length, len(places), sizes), np.nan)
    found = sources(scan)
    return _state(found.dh, found.dc, True)[:, places]


def _end(scan: Scan, there: Array, entering: Array, end: SupportsIndex | None) -> int:
    """The step of the walk that lags count from, in one sequence."""
    steps = np.flatnonzero(there)
    if end is None:
        enters = steps[entering[steps].any(axis=1)]
        chosen = enters if len(enters) else steps
        return int(chosen[-1]) if len(chosen) else 0
    t = operator.index(end)
    place = len(there) - 1 - t if scan.reverse else t
    if place not in steps:
        raise IndexError(
            f"lag_spectrum: expected end to be a step of each sample, got {t}; "
            f"a sample has {len(steps)} steps, counted from 0"
        )
    return place


def _samples(name: str, scan: Scan, samples: Sequence[SupportsIndex]) -> list[int]:
    """Which sequences. Raises IndexError for one that there is not."""
    batch = scan.steps.batch
    if isinstance(samples, SupportsIndex):
        raise TypeError(f"{name}: expected a sequence of samples, got {samples}; pass ({samples},)")
    places = [operator.index(sample) for sample in samples]
    if not places or not all(0 <= place < batch for place in places):
        raise IndexError(
            f"{name}: expected samples of 0 ... {batch - 1}, got {places}; "
            "pass the numbers of some sequences of the batch"
        )
    return places


def _is_pair(name: str, scan: Scan, of: str) -> bool:
    """Whether the state is (h, c). Raises ValueError for another one that there is not."""
    if of == "h" or (of == "hc" and scan.c is not None):
        return of == "hc"
    cure = 'pass of="h"' if scan.c is None else 'pass "h" or "hc"'
    raise ValueError(f"{name}: expected a state of this {scan.kind}, got of={of!r}; {cure}")


def _stacked(parts: Sequence[Array]) -> Array:
    """Arrays (lags, ...) side by side, (most lags, samples, ...), the shorter filled with nan."""
    lags = max(map(len, parts))
    found = np.full((lags, len(parts), *parts[0].shape[1:]), np.nan)
    for number, part in enumerate(parts):
        found[: len(part), number] = part
    return found
