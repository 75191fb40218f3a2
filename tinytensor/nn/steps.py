"""How the sequences of a batch lie in memory: one row for each sequence and step that there is.

The rows of step 0 come first, then those of step 1, and so on. Sequences are in order of falling
length, so that step t has the first `sizes[t]` of them, and the rows of a longer and a shorter step
belong together from the first on. A batch of equal lengths (T, N, features) is the plain case: the
same memory seen as (T · N, features). It is the layout of torch's PackedSequence.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate, pairwise, repeat
from typing import Any, NamedTuple

import numpy as np

from ..dtypes import Array
from ..parallel import matmul


class Steps(NamedTuple):
    """sizes : how many sequences each step has, never rising; batch : how many there are, N."""

    sizes: tuple[int, ...]
    batch: int

    @property
    def uniform(self) -> bool:
        """Whether there are steps and every sequence has each of them."""
        return bool(self.sizes) and self.sizes[-1] == self.batch

    @property
    def starts(self) -> list[int]:
        """The row at which each step starts, and the number of all rows."""
        return [0, *accumulate(self.sizes)]

    def split(self, *columns: Array | None) -> list[Any]:
        """For each of the arrays of rows the views of its steps, in a sequence; Nones for None."""
        if self.uniform:
            lead = (len(self.sizes), self.batch)
            return [
                repeat(None) if rows is None else rows.reshape(lead + rows.shape[1:])
                for rows in columns
            ]
        bounds = list(pairwise(self.starts))
        return [
            repeat(None) if rows is None else [rows[a:b] for a, b in bounds] for rows in columns
        ]

    def blocks(self, rows: int, reverse: bool) -> Iterator[tuple[slice, Steps]]:
        """Runs of whole steps of about so many rows, one at least: (where its rows are, its steps).

        In order of time, or the other way round.
        """
        starts = self.starts
        if starts[-1] <= rows:
            yield slice(0, starts[-1]), self
            return
        bounds = [0]
        for t in range(1, len(self.sizes) + 1):
            if starts[t] - starts[bounds[-1]] >= rows or t == len(self.sizes):
                bounds.append(t)
        pairs = list(pairwise(bounds))
        for first, end in reversed(pairs) if reverse else pairs:
            yield slice(starts[first], starts[end]), Steps(self.sizes[first:end], self.batch)

    def repeated(self, each: Array) -> Array:
        """What belongs to each sequence, at all of its steps: (..., N, F) -> (..., rows, F)."""
        ranks = np.concatenate([np.arange(0), *map(np.arange, self.sizes)])
        return each[..., ranks, :]

    def order(self, reverse: bool) -> range:
        """The steps in the order in which a scan walks them."""
        steps = len(self.sizes)
        return range(steps - 1, -1, -1) if reverse else range(steps)


def follow(rows: Array, carried: Array, count: int) -> Array:
    """From the rows of one step to those of its neighbour, which has `count`.

    Rows of sequences that have no such step are left in `carried` (N, features), those of sequences
    that begin there are taken from it.
    """
    before = len(rows)
    if count < before:
        carried[count:before] = rows[count:]
        return rows[:count]
    if count > before:
        return np.concatenate((rows, carried[before:count]))
    return rows


def memory_of_starts(rows: Array, steps: Steps, factors: Array | None = None) -> Array | None:
    """Memory for what each step starts from, to be filled by the scan that makes `rows`.

    None for a batch of equal lengths without factors of dropout: there it is the rows themselves,
    shifted by a step.
    """
    return None if steps.uniform and factors is None else np.empty(rows.shape, rows.dtype)


def recurrent_gradient(
    dz: Array, h: Array, h0: Array, starts: Array | None, steps: Steps, reverse: bool
) -> Array:
    """Σ_t dz_tᵀ h_{t-1}: the gradient of the weights that a scan's own output is multiplied by."""
    if starts is not None:
        return matmul(dz.T, starts)
    batch = steps.batch
    last = len(dz) - batch
    if reverse:
        gradient = matmul(dz[last:].T, h0)
        later, earlier = dz[:last], h[batch:]
    else:
        gradient = matmul(dz[:batch].T, h0)
        later, earlier = dz[batch:], h[:last]
    if len(later):
        gradient += matmul(later.T, earlier)
    return gradient


def bias_of(b_ih: Array | None, b_hh: Array | None) -> Array | None:
    """The sum of the biases that there are."""
    if b_ih is None or b_hh is None:
        return b_ih if b_hh is None else b_hh
    return b_ih + b_hh
