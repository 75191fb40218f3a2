"""Numbers as short text: three digits, small tensors in full, large ones as statistics."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..dtypes import Array

# The most elements of a tensor that is written out.
SMALL = 6


def number(value: Any) -> str:
    """A number to three digits: 0.46, -1.2e-05, nan; 0 has no sign."""
    return f"{float(value) + 0.0:.3g}"


def in_formula(value: Any) -> str:
    """The same where it stands for a letter, so that -0.5 squared does not read -0.5²."""
    text = number(np.reshape(value, ()))
    return f"({text})" if text.startswith("-") or "e" in text else text


def is_small(shape: tuple[int, ...]) -> bool:
    """Whether a tensor of this shape is written out."""
    return 0 < math.prod(shape) <= SMALL


def written(array: Array) -> str:
    """All elements: "0.46", "[0.46, -1]", "[[1, 2], [3, 4]]"."""
    if array.ndim == 0:
        return number(array)
    return f"[{', '.join(written(part) for part in array)}]"


def described(array: Array) -> str:
    """A small tensor in full, of a large one shape, mean, standard deviation, least and largest."""
    if is_small(array.shape):
        return written(array)
    shape = "×".join(map(str, array.shape))
    return ", ".join((shape, *statistics(array)))


def statistics(array: Array) -> tuple[str, ...]:
    """Mean and standard deviation; least and largest."""
    if array.size == 0:
        return ("empty",)
    wide = array.astype(np.float64)
    with np.errstate(all="ignore"):
        mean, std = number(wide.mean()), number(wide.std())
    return f"mean {mean}, std {std}", f"min {number(wide.min())}, max {number(wide.max())}"


def norm(parts: tuple[Array | None, ...]) -> float | None:
    """√Σ x² over all elements of all tensors; None where there is no tensor."""
    found = [np.linalg.norm(part.astype(np.float64)) for part in parts if part is not None]
    return float(np.linalg.norm(found)) if found else None
