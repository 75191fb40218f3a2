"""Elementwise operations with torch's options, and torch's second names for others."""

from __future__ import annotations

from typing import Any

from ..dtypes import FLOATING, common_dtype, of_numpy
from ..tensor import Tensor
from . import compare, rounding, trigonometry
from . import elementwise as e
from .check import check_tensors
from .making import as_number
from .sort import nonzero

# -- with options


def add(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """y = input + alpha · other;  g to the one, alpha g to the other.

    alpha : a number; a whole one where the result is whole (else RuntimeError)
    """
    return e.add(input, _scaled("add", input, other, alpha))


def sub(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """y = input - alpha · other;  g to the one, -alpha g to the other.

    alpha : as for `add`. Raises RuntimeError where an operand is a bool.
    """
    return e.sub(input, _scaled("sub", input, other, alpha))


def _scaled(name: str, input: Any, other: Any, alpha: Any) -> Any:
    """alpha · other in the type of the result. Raises where torch refuses such an alpha."""
    if type(alpha) is int and alpha == 1:
        return other
    factor = as_number(name, alpha)
    operands = (x._array if isinstance(x, Tensor) else x for x in (input, other))
    kind = common_dtype(operands)
    if isinstance(factor, bool) and kind.kind != "b":
        raise RuntimeError(f"{name}: expected a bool alpha only for bool tensors; use an int")
    if isinstance(factor, float) and kind.kind not in FLOATING:
        raise RuntimeError(
            f"{name}: expected a whole alpha for a result of {of_numpy(kind)}, got {factor}"
        )
    if not isinstance(other, Tensor):
        return other * factor
    if name == "sub" and other._array.dtype.kind == "b":
        return other  # refused there
    return e._times_number(other.to(of_numpy(kind)), bool(factor) if kind.kind == "b" else factor)


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


def where(condition: Tensor, input: Any = None, other: Any = None) -> Any:
    """y = input where the condition holds, else other;  each gets g where it was chosen.

    With the condition alone: where it holds, `nonzero(condition, as_tuple=True)`.
    """
    if input is None and other is None:
        return nonzero(condition, as_tuple=True)
    return e.where(condition, input, other)


def positive(input: Tensor) -> Tensor:
    """y = x, the tensor itself. Raises RuntimeError for a bool tensor."""
    check_tensors("positive", input)
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
