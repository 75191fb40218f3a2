"""Trigonometric and hyperbolic functions. y is the result, g its gradient, gx that of x."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autograd.primitive import primitive
from ..dtypes import Array
from .elementwise import rsqrt, where


@primitive(lambda g, x: g * cos(x), promote="float")
def sin(x: Array) -> Array:
    """y = sin x;  gx = g cos x."""
    return np.sin(x)


@primitive(lambda g, x: -g * sin(x), promote="float")
def cos(x: Array) -> Array:
    """y = cos x;  gx = -g sin x."""
    return np.cos(x)


@primitive(lambda g, y: g * (1 + y * y), promote="float")
def tan(x: Array) -> Array:
    """y = tan x;  gx = g (1 + y²)."""
    return np.tan(x)


@primitive(lambda g, x: g * rsqrt(1 - x * x), promote="float")
def asin(x: Array) -> Array:
    """y = arcsin x;  gx = g / √(1 - x²)."""
    return np.arcsin(x)


@primitive(lambda g, x: -g * rsqrt(1 - x * x), promote="float")
def acos(x: Array) -> Array:
    """y = arccos x;  gx = -g / √(1 - x²)."""
    return np.arccos(x)


@primitive(lambda g, x: g / (1 + x * x), promote="float")
def atan(x: Array) -> Array:
    """y = arctan x;  gx = g / (1 + x²)."""
    return np.arctan(x)


def _over_square(x: Any, a: Any, b: Any) -> Any:
    """x / (a² + b²), and 0 where a = b = 0."""
    square = a * a + b * b
    return x / where(square == 0, math.inf, square)


@primitive(
    lambda g, a, b: g * _over_square(b, a, b),
    lambda g, a, b: -g * _over_square(a, a, b),
    promote="float",
    tensors=(0, 1),
)
def atan2(a: Array, b: Array) -> Array:
    """y = the angle of the point (b, a), in (-π, π];  ga = g b / (a² + b²),  gb = -g a / (a² + b²).

    At the origin both are 0.
    """
    return np.arctan2(a, b)


@primitive(lambda g, x: g * cosh(x), promote="float")
def sinh(x: Array) -> Array:
    """y = sinh x;  gx = g cosh x."""
    return np.sinh(x)


@primitive(lambda g, x: g * sinh(x), promote="float")
def cosh(x: Array) -> Array:
    """y = cosh x;  gx = g sinh x."""
    return np.cosh(x)


@primitive(lambda g, x: g * rsqrt(x * x + 1), promote="float")
def asinh(x: Array) -> Array:
    """y = arsinh x;  gx = g / √(x² + 1)."""
    return np.arcsinh(x)


@primitive(lambda g, x: g * rsqrt(x * x - 1), promote="float")
def acosh(x: Array) -> Array:
    """y = arcosh x;  gx = g / √(x² - 1)."""
    return np.arccosh(x)


@primitive(lambda g, x: g / (1 - x * x), promote="float")
def atanh(x: Array) -> Array:
    """y = artanh x;  gx = g / (1 - x²)."""
    return np.arctanh(x)
