"""From sequences of unequal length, padded side by side, to rows without padding, and back."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..dtypes import Array
from ..ops import create
from ..ops.index import index_copy, index_select
from ..ops.shape import reshape
from ..tensor import Tensor, make
from .steps import Steps


class Packing(NamedTuple):
    """How padded sequences (T, N, features) and their rows in the order of `Steps` correspond.

    steps : the sizes of the steps that any sequence has
    order : (N,), the sequences by falling length
    places : (rows,), where each row stands in the padded (T · N, features)
    """

    steps: Steps
    order: Tensor
    places: Tensor

    @property
    def back(self) -> Tensor:
        """(N,), where each sequence went in the order of falling length."""
        return make(np.argsort(self.order._array))


def packing_of(name: str, lengths: Any, batch: int, limit: int, sort: bool = True) -> Packing:
    """The packing of a batch of sequences, `limit` steps of memory each.

    lengths : N whole numbers from 0 to limit: a Tensor, an array or a list
    sort : whether sequences may be reordered; else lengths that rise are a RuntimeError
    """
    sizes = _checked(name, lengths, batch, limit)
    if not sort and np.any(np.diff(sizes) > 0):
        raise RuntimeError(
            f"{name}: `lengths` array must be sorted in decreasing order when `enforce_sorted` is "
            "True; pass enforce_sorted=False"
        )
    order = np.argsort(-sizes, kind="stable") if sort else np.arange(batch)
    falling = sizes[order]
    longest = int(falling[0]) if batch else 0
    alive = np.arange(longest)[:, None] < falling
    step, rank = np.nonzero(alive)
    counts = tuple(int(count) for count in alive.sum(axis=1))
    return Packing(Steps(counts, batch), make(order), make(step * batch + order[rank]))


def _checked(name: str, lengths: Any, batch: int, limit: int) -> Array:
    try:
        array = np.asarray(lengths._array if isinstance(lengths, Tensor) else lengths)
    except ValueError:  # lists of unequal length
        array = np.array(None)
    if array.size == 0:
        array = array.astype(np.int64)
    if array.dtype.kind not in "iu" or array.ndim != 1:
        raise TypeError(
            f"{name}: expected lengths to be a list of whole numbers, one for each sequence, got "
            f"{lengths!r}"
        )
    if len(array) != batch:
        raise RuntimeError(
            f"{name}: expected one length for each of the {batch} sequences of the batch, got "
            f"{len(array)}"
        )
    if len(array) and not (0 <= array.min() and array.max() <= limit):
        wrong = array[(array < 0) | (array > limit)][0]
        raise ValueError(
            f"{name}: expected lengths from 0 to the {limit} steps of the input, got {wrong}"
        )
    return array.astype(np.int64)


def packed(x: Tensor, packing: Packing) -> Tensor:
    """The rows of padded sequences: (T, N, features) -> (rows, features). Padding is not read."""
    flat = reshape(x, (-1, *x._array.shape[2:]))
    return index_select(flat, 0, packing.places)


def padded(rows: Tensor, packing: Packing, steps: int, value: float = 0.0) -> Tensor:
    """The sequences side by side, with `value` after the end: (rows, features) -> (T, N, ...)."""
    batch = packing.steps.batch
    rest = rows._array.shape[1:]
    memory = create.full((steps * batch, *rest), value, dtype=rows.dtype)
    return reshape(index_copy(memory, 0, packing.places, rows), (steps, batch, *rest))
