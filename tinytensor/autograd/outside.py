"""What crosses the border of the graph: results outside of it, and what nodes use from there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..origins import NO_GRAD, Origins, origins_of, united
from ..tensor import Tensor
from .mode import Mode


def origins_outside(values: Iterable[Any], mode: Mode) -> Origins | None:
    """Where the result of an operation on these values came from, if it is not recorded."""
    exact = mode.recording or mode.keep is not None
    found = None
    for value in values:
        if isinstance(value, Tensor) and (value._origins is not None or value._requires_grad):
            if not exact:
                return NO_GRAD
            found = united(found, origins_of(value))
    return found


def cuts_of(values: Iterable[Any], edges: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """For each input without an edge where it was cut off, as a node keeps it."""
    cuts = [
        x._origins if edge is None and isinstance(x, Tensor) else None
        for x, edge in zip(values, edges, strict=False)
    ]
    return None if cuts.count(None) == len(cuts) else tuple(cuts)
