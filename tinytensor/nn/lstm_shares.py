"""The walks of a large LSTM layer for shares of the batch, each on a thread of its own.

The sequences of a batch meet in the gradients of the weights alone. While a share is in a product
or in a long call of NumPy, another may go on; steps that are too short would spend more on passing
Python's lock to and fro than they gain.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from ..dtypes import Array
from ..parallel import bounds_of, on_threads, parts_of
from .layers_kernel import Weights
from .lstm_walk import Walk, walk_backward, walk_forward

_LARGE_SHARE = 5 << 19  # multiplications of a step of a share


def shares_of(batch: int, size: int, walks: int) -> list[slice]:
    """Of a batch for the threads that so many walks leave; none where steps are too short."""
    most = 4 * batch * size * size // _LARGE_SHARE
    count = min(most, math.ceil(parts_of(batch) / walks)) if most > 1 else 1
    if count == 1:
        return []
    return [slice(start, end) for start, end in bounds_of(batch, count)]


def shared_forward(arguments: Sequence[tuple[Any, ...]], shares: Sequence[slice]) -> list[Any]:
    """What `walk_forward` leaves for each of the arguments, of each share."""
    return on_threads(walk_forward, [_of_share(rows, *a) for a, rows in product(arguments, shares)])


def _of_share(
    rows: slice, x: Array, h_0: Array, c_0: Array, weights: Sequence[Weights], direction: int,
    outputs: Sequence[Array], h_n: Array, c_n: Array, recorded: bool, told: bool,
) -> tuple[Any, ...]:  # fmt: skip
    """The arguments of `walk_forward` for a share."""
    to = [output[:, rows] for output in outputs]
    return (
        x[:, rows], h_0[:, rows], c_0[:, rows], weights, direction, to, h_n[:, rows], c_n[:, rows],
        recorded, told,
    )  # fmt: skip


def shared_backward(
    walks: Sequence[Walk], arguments: Sequence[tuple[Any, ...]], shares: Sequence[slice]
) -> list[tuple[Array | None, list[Array | None]]]:
    """What `walk_backward` gives for each of the arguments, to come after the walk of a share."""
    shared: list[tuple[Any, ...]] = []
    for (weights, direction, dys, d_h, d_c, *needs), rows in product(arguments, shares):
        parts = [dy[:, rows] for dy in dys]
        walk = walks[len(shared)]
        shared.append((walk, weights, direction, parts, d_h[:, rows], d_c[:, rows], *needs))
    done = on_threads(walk_backward, shared)
    found = []
    for start in range(0, len(done), len(shares)):
        dxs, d_steps = zip(*done[start : start + len(shares)], strict=True)
        found.append((joined(dxs, 1), [_sum(each) for each in zip(*d_steps, strict=True)]))
    return found


def joined(parts: Sequence[Any], axis: int) -> Array | None:
    """Those of the shares as one; all of them may be None."""
    return None if parts[0] is None else np.concatenate(parts, axis)


def _sum(parts: Sequence[Any]) -> Array | None:
    """Those of the shares together, in the first; all of them may be None."""
    total: Array | None
    total, *others = parts
    if total is not None:
        for other in others:
            total += other
    return total
