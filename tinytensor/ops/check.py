"""Checks that functions made of primitives share."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor


def check_tensors(name: str, *values: Any) -> None:
    """Raise TypeError for what is no Tensor."""
    for value in values:
        if not isinstance(value, Tensor):
            raise TypeError(
                f"{name}: expected a Tensor, got {type(value).__name__}; see tinytensor.tensor"
            )
