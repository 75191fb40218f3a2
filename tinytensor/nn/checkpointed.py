"""A scan that does not keep what it computed: the walk back computes it again, piece by piece.

The sequence is cut into segments of k steps, of which only the states that they start from are
kept. The walk back takes the segments in the other order; it runs the scan over one of them once
more, goes back through it, and forgets it before the next. A scan of T steps then holds

    T / k states    and    what the scan itself keeps of k steps

besides its inputs, its outputs and their gradients, at the price of one more forward. Both parts
are equally large, and grow as √T, for k near √(T · a state's size / what is kept of a step), which
is √(T / 5) for an LSTM; the sum changes little around it.

Source: Chen, Xu, Zhang and Guestrin 2016; for recurrent networks Gruslys et al. 2016.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import accumulate
from typing import Any

import numpy as np

from ..dtypes import Array
from .steps import Steps

Scan = Callable[..., Any]
State = tuple[Array, ...]


def in_segments(forward: Scan, backward: Scan, every: int) -> tuple[Scan, Scan]:
    """The two scans of a `Recurrence`, in segments of `every` steps. What is saved is their states.

    The numbers are those of the scans themselves, the sums over time to rounding: each is the sum
    of those of the segments. There must be a step.
    """
    return partial(_forward, forward, every), partial(_backward, forward, backward, every)


def _forward(
    scan: Scan,
    every: int,
    x: Array,
    state: State,
    weights: Any,
    reverse: bool,
    h_out: Array,
    steps: Steps,
) -> tuple[list[State], State]:
    starts: list[State] = []
    for rows, part in _segments(steps, every, reverse):
        starts.append(state)
        # Nothing but the state is given a name: the rest of a segment goes before the next begins.
        state = scan(x[rows], state, weights, reverse, h_out[rows], part)[1]
    return starts, state


def _backward(
    forward: Scan,
    backward: Scan,
    every: int,
    starts: list[State],
    x: Array,
    weights: Any,
    upstream: list[Any],
    d_last: State,
    reverse: bool,
    steps: Steps,
    needs_x: bool,
    needs: tuple[bool, ...],
    handed: None = None,
) -> tuple[Array | None, State, list[Array | None]]:
    dx = np.empty(x.shape, x.dtype) if needs_x else None
    sums: list[Array | None] = [None] * len(weights)
    segments = _segments(steps, every, not reverse)
    for (rows, part), state in zip(segments, reversed(starts), strict=True):
        h = np.empty((rows.stop - rows.start, state[0].shape[1]), x.dtype)
        dx_part, d_last, gradients = backward(
            forward(x[rows], state, weights, reverse, h, part)[0],
            x[rows],
            weights,
            [None if g is None else g[rows] for g in upstream],
            d_last,
            reverse,
            part,
            needs_x,
            needs,
        )
        if dx is not None:
            dx[rows] = dx_part
        _add(sums, gradients)
    return dx, d_last, sums


def _segments(steps: Steps, every: int, reverse: bool) -> Iterator[tuple[slice, Steps]]:
    """Runs of `every` steps, the last maybe shorter: (where its rows are, its steps).

    In order of time, or the other way round.
    """
    sizes = steps.sizes
    firsts = range(0, len(sizes), every)
    bounds = [0, *accumulate(sum(sizes[t : t + every]) for t in firsts)]
    order = range(len(firsts))
    for k in reversed(order) if reverse else order:
        own = Steps(sizes[firsts[k] : firsts[k] + every], steps.batch)
        yield slice(bounds[k], bounds[k + 1]), own


def _add(sums: list[Array | None], gradients: list[Array | None]) -> None:
    """Add each gradient to its sum. The first is copied: both biases may have one array."""
    for place, gradient in enumerate(gradients):
        if gradient is None:
            continue
        total = sums[place]
        if total is None:
            sums[place] = gradient.copy()
        else:
            total += gradient
