"""Elementwise operations with torch's options, and torch's second names for others."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor
from . import compare, rounding, trigonometry
from . import elementwise as e

# -- with options


def add(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """y = input + alpha · other;  g to the one, alpha g to the other."""
    return e.add(input, other if alpha == 1 else other * alpha)


def sub(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """y = input - alpha · other;  g to the one, -alpha g to the other."""
    return e.sub(input, other if alpha == 1 else other * alpha)


def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """y = input / other;  with a rounding_mode, "floor" or "trunc", rounded, and the gradient 0.

    Without one the result is floating-point, with one whole numbers stay whole.
    """
    if rounding_mode is None:
        return e.div(input, other)
    return rounding.div_rounded(input, other, rounding_mode)


def pow(input: Any, exponent: Any) -> Any:
    """y = input^exponent;  see the primitive `elementwise.pow`."""
    return e.pow(input, exponent)


def clamp_min(input: Tensor, min: Any) -> Any:
    """y = max(x, min);  gx = g there and at the bound. See `elementwise.clamp`."""
    return e.clamp(input, min=min)


def clamp_max(input: Tensor, max: Any) -> Any:
    """y = min(x, max);  gx = g there and at the bound. See `elementwise.clamp`."""
    return e.clamp(input, max=max)


def positive(input: Tensor) -> Tensor:
    """y = x, the tensor itself. Raises RuntimeError for a bool tensor."""
    if input._array.dtype.kind == "b":
        raise RuntimeError("positive: expected numbers, got a bool tensor; use .long()")
    return input


# -- second names

absolute = e.abs
arccos = trigonometry.acos
arccosh = trigonometry.acosh
arcsin = trigonometry.asin
arcsinh = trigonometry.asinh
arctan = trigonometry.atan
arctan2 = trigonometry.atan2
arctanh = trigonometry.atanh
clip = e.clamp
divide = div
fix = rounding.trunc
greater = compare.gt
greater_equal = compare.ge
less = compare.lt
less_equal = compare.le
multiply = e.mul
negative = e.neg
not_equal = compare.ne
subtract = sub
true_divide = e.div

SECOND_NAMES = (
    "absolute", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "clip",
    "divide", "fix", "greater", "greater_equal", "less", "less_equal", "multiply", "negative",
    "not_equal", "subtract", "true_divide",
)  # fmt: skip
