"""Whole parts and remainders. y is the result, g its gradient, gx that of x."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from ..autograd.primitive import primitive
from ..dtypes import FLOATING, Array
from ..tensor import Tensor
from .elementwise import zeros_like


def _refuse_bool(name: str, x: Array) -> None:
    if x.dtype.kind == "b":
        raise NotImplementedError(f"{name}: expected numbers, got a bool tensor; use .long()")


def _refuse_whole(name: str, x: Array) -> None:
    if x.dtype.kind not in FLOATING:
        raise NotImplementedError(
            f"{name}: expected a floating-point tensor, got {x.dtype}; use .float()"
        )


@primitive(lambda g: zeros_like(g))
def floor(x: Array) -> Array:
    """y = the largest whole number <= x;  gx = 0."""
    _refuse_bool("floor", x)
    return np.floor(x)


@primitive(lambda g: zeros_like(g))
def ceil(x: Array) -> Array:
    """y = the smallest whole number >= x;  gx = 0."""
    _refuse_bool("ceil", x)
    return np.ceil(x)


@primitive(lambda g: zeros_like(g))
def trunc(x: Array) -> Array:
    """y = x without its fraction, towards 0;  gx = 0."""
    _refuse_bool("trunc", x)
    return np.trunc(x)


@primitive(lambda g: g)
def frac(x: Array) -> Array:
    """y = x - trunc(x), with the sign of x;  gx = g."""
    _refuse_whole("frac", x)
    return x - np.trunc(x)


@primitive(lambda g: zeros_like(g))
def _round(x: Array, decimals: int | None = None) -> Array:
    _refuse_bool("round", x)
    if decimals is None:
        return np.rint(x) if x.dtype.kind in FLOATING else x.copy()
    _refuse_whole("round", x)
    ten_power = x.dtype.type(10.0 ** abs(decimals))
    if decimals < 0:
        return np.rint(x / ten_power) * ten_power
    return np.rint(x * ten_power) / ten_power


def round(input: Tensor, *, decimals: int | None = None) -> Tensor:
    """y = the nearest whole number, the even one of two as near;  gx = 0.

    decimals : y = x to so many decimals, to tens, hundreds ... where below 0, for floating-point
        tensors only (else NotImplementedError)
    """
    result: Tensor = _round(input, decimals)
    return result


# -- division with a remainder


def _check_division(name: str, a: Any, b: Any) -> None:
    """Raise where torch does: for bool tensors, and for whole numbers divided by 0."""
    kind = np.result_type(a, b).kind
    if kind == "b":
        raise NotImplementedError(f"{name}: expected numbers, got bool tensors; use .long()")
    if kind != "f" and np.size(a) and not np.all(b):
        raise RuntimeError(f"{name}: ZeroDivisionError: an integer was divided by 0; use .float()")


def _no_derivative(g: Any) -> NoReturn:
    raise RuntimeError(
        "floor_divide: the derivative is not implemented; use div(..., rounding_mode='floor'), "
        "whose gradient is 0"
    )


@primitive(_no_derivative, _no_derivative)
def floor_divide(a: Array, b: Array) -> Array:
    """y = ⌊a / b⌋, also of whole numbers. Asking for its derivative is an error, as in torch.

    Raises RuntimeError for a whole number divided by 0.
    """
    _check_division("floor_divide", a, b)
    return np.floor_divide(a, b)


@primitive(lambda g: zeros_like(g), lambda g: zeros_like(g))
def div_rounded(a: Array, b: Array, rounding_mode: str) -> Array:
    """y = a / b rounded down ("floor") or towards 0 ("trunc"), also of whole numbers;  ga = gb = 0.

    Raises RuntimeError for a whole number divided by 0 and for another mode.
    """
    if rounding_mode not in ("floor", "trunc"):
        raise RuntimeError(
            "div: expected rounding_mode to be one of None, 'trunc', or 'floor', "
            f"got {rounding_mode!r}"
        )
    _check_division("div", a, b)
    if rounding_mode == "floor":
        return np.floor_divide(a, b)
    if np.result_type(a, b).kind == "f":
        return np.trunc(np.true_divide(a, b))
    down = np.floor_divide(a, b)
    return down + ((down < 0) & (down * b != a))


@primitive(lambda g: g, lambda g, a, b: -g * div_rounded(a, b, "floor"))
def remainder(a: Array, b: Array) -> Array:
    """y = a - b ⌊a / b⌋, with the sign of b;  ga = g,  gb = -g ⌊a / b⌋.

    Raises RuntimeError for a whole number divided by 0.
    """
    _check_division("remainder", a, b)
    return np.remainder(a, b)
