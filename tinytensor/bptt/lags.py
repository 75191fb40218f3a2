"""How far a gradient reaches back through time: from the output t that it enters at to step k.

All sources t of a block go back together, one lag at a time: large products and the memory of one
block, instead of T backward passes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ..dtypes import Array
from .scans import Scan
from .step_back import Back, Sources, StepBack, in_walk, norms, sources, step_back

_BLOCK_BYTES = 1 << 20  # of the gradients at the gates that are carried at a time


@np.errstate(over="ignore", invalid="ignore")
def lag_matrix(scan: Scan, of: str = "h") -> Array:
    """G[t, k] = ‖dL_t/dh_k‖, norm over the features, mean over the sequences that have both steps.

    Here dL_t/dh_k = (the gradient that enters at step t) · dh_t/dh_k, all paths from h_k to h_t
    within this layer and direction counted: through W_hh and, in an LSTM, along the cell. What
    enters at step t is the gradient of its output; at the last step that of the last state (h_n)
    too, and in an LSTM what enters at its cell. Where a loss is the sum of one loss for each step,
    row t tells how far back that of step t reaches, and the sum over t, before the norm, is the
    gradient at h_k.

    of : "h", or "c" for dL_t/dc_k of an LSTM, the way from c_k by h_k included

    Returns (T, T), float64, computed in double precision whatever the dtype of the model (so that
    norms down to 1e-300 are seen): lower triangular, for a reverse scan upper triangular; 0 where
    no sequence has both steps.

    Raises RuntimeError before the backward pass has run, ValueError for another `of`.

    Cost: T² / 2 steps back for the whole batch, fewer where few steps have a loss. Memory: three to
    four times that of the record of a float32 model, and a block of some megabytes.

    Source: the terms of Pascanu, Mikolov & Bengio 2013, eq. 4-5; Hochreiter & Schmidhuber 1997,
    section 3.1 (the error that flows back by q steps).
    """
    if of not in ("h", "c") or (of == "c" and scan.c is None):
        cure = 'pass of="h"' if scan.c is None else 'pass "h" or "c"'
        raise ValueError(f"lag_matrix: expected a state of this {scan.kind}, got of={of!r}; {cure}")
    entering = sources(scan)
    maps = step_back(scan)
    there = in_walk(scan, np.ones((len(scan.h), 1)))[..., 0]
    length = len(there)
    matrix = np.zeros((length, length))
    for block in blocks(maps, entering):
        for found in carried(maps, entering, block, length):
            cell = found.back.cell
            gradient = found.dh if of == "h" or cell is None else cell
            k = np.arange(found.k.start, found.k.stop)
            matrix[k + found.lag, k] = (norms(gradient) * there[found.k]).sum(axis=1)
    if scan.reverse:
        matrix = matrix[::-1, ::-1]
    sizes = np.zeros(length)
    sizes[: len(scan.steps.sizes)] = scan.steps.sizes
    both = np.minimum(sizes[:, None], sizes)
    return matrix / np.maximum(both, 1)


class Carried(NamedTuple):
    """The gradients of a block of sources t, all the same number of steps back.

    lag, k : how far back they are; the steps that they have come to, t = k + lag
    dh (block, N, P), dc (block, N, H) or None : the gradients that have come to their h and c
    back : one step further, and the gradients at the pre-activations on the way
    """

    lag: int
    k: slice
    dh: Array
    dc: Array | None
    back: Back


def blocks(maps: StepBack, entering: Sources) -> Iterator[slice]:
    """The steps at which something enters, in blocks that begin and end with one."""
    size = max(1, _BLOCK_BYTES // max(1, 8 * len(maps.w_hh) * entering.dh.shape[1]))
    enters = np.zeros(len(entering.dh), dtype=bool)
    for part in entering:
        if part is not None:
            enters |= part.reshape(len(part), -1).any(axis=1)
    steps = np.flatnonzero(enters)
    while len(steps):
        block = steps[steps < steps[0] + size]
        yield slice(int(block[0]), int(block[-1]) + 1)
        steps = steps[len(block) :]


def carried(maps: StepBack, entering: Sources, block: slice, lags: int) -> Iterator[Carried]:
    """What enters at the steps of a block, carried back by 0, 1, ... lags - 1 steps.

    It ends early where nothing is left. Steps count in the order of the walk. A sequence that has
    no step k may leave a gradient there, at the state that it starts from; the step back from
    there turns it to zero.
    """
    dh, dc, into = (None if part is None else part[block] for part in entering)
    assert dh is not None
    for lag in range(min(lags, block.stop)):
        k = slice(max(block.start - lag, 0), block.stop - lag)
        count = k.stop - k.start
        dh, dc = dh[-count:], None if dc is None else dc[-count:]
        back = maps[k](dh, dc, into)
        yield Carried(lag, k, dh, dc, back)
        dh, dc, into = back.dh, back.dc, None
        if not dh.any() and (dc is None or not dc.any()):
            break
