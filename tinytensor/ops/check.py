"""Checks that functions made of primitives share."""

from __future__ import annotations

import operator
from typing import Any

from ..tensor import Tensor


def check_tensors(name: str, *values: Any) -> None:
    """Raise TypeError for what is no Tensor."""
    for value in values:
        if not isinstance(value, Tensor):
            raise TypeError(
                f"{name}: expected a Tensor, got {type(value).__name__}; see tinytensor.tensor"
            )


def as_int(what: str, value: Any, prefix: str = "") -> int:
    """A number that must be whole: an int, or what Python may use as one. Raises TypeError.

    prefix : "name: " where no primitive puts its own in front
    """
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{prefix}expected {what} to be an integer, got {value!r:.60}") from None
