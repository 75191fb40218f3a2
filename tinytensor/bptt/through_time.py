"""The backward pass of a scan once more, from what entered it: for one that ran in primitives."""

from __future__ import annotations

from typing import Any

import numpy as np

from .scans import Scan
from .step_back import sources, step_back


@np.errstate(over="ignore", invalid="ignore")
def back_through_time(scan: Scan) -> None:
    """Write dz and du into a scan that has all else, reckoned in double precision."""
    size = len(scan.weight("weight_hh"))
    dz = scan.dz = np.zeros((len(scan.h), size), scan.h.dtype)
    du = scan.du = np.zeros_like(dz) if scan.kind == "gru" else dz
    entering = sources(scan)
    maps = step_back(scan)
    starts = scan.steps.starts
    dh: Any = 0
    dc: Any = 0
    for walked in reversed(range(scan.length)):
        t = scan.length - 1 - walked if scan.reverse else walked
        dc_in, into = (None if part is None else part[walked] for part in entering[1:])
        back = maps[walked](entering.dh[walked] + dh, None if dc_in is None else dc_in + dc, into)
        dh, dc = back.dh, back.dc
        if t < len(scan.steps.sizes):
            count = scan.steps.sizes[t]
            sequences = slice(count) if scan.order is None else scan.order[:count]
            rows = slice(starts[t], starts[t + 1])
            dz[rows] = back.da[sequences]
            du[rows] = back.du[sequences]
