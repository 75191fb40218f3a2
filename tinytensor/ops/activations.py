"""Activations element by element. y is the result, g its gradient, gx that of x."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autograd.primitive import primitive
from ..dtypes import FLOATING, Array, check_fits
from .elementwise import exp, sigmoid, tanh, where
from .special import erf, erf_of


def _refuse_whole(name: str, x: Array) -> None:
    if x.dtype.kind not in FLOATING:
        raise NotImplementedError(
            f"{name}: expected a floating-point tensor, got {x.dtype}; use .float()"
        )


def _refuse_bool(x: Array) -> None:
    if x.dtype.kind == "b":
        raise ValueError("expected numbers, got a bool tensor; use .float()")


@primitive(lambda g, y: where(y <= 0, 0.0, g))
def relu(x: Array) -> Array:
    """y = max(x, 0);  gx = 0 where x <= 0 (also at the kink), else g (also where x is NaN)."""
    _refuse_bool(x)
    return np.maximum(x, 0)


@primitive(lambda g, x, negative_slope: where(x > 0, g, g * negative_slope))
def leaky_relu(x: Array, negative_slope: float = 0.01) -> Array:
    """y = x where x > 0, else negative_slope · x;  gx likewise (the slope at the kink)."""
    _refuse_whole("leaky_relu", x)
    return np.where(x > 0, x, x * negative_slope)


@primitive(lambda g, x, alpha: where(x <= 0, g * alpha * exp(where(x < 0, x, 0.0)), g))
def elu(x: Array, alpha: float = 1.0) -> Array:
    """y = x where x > 0, else α (e^x - 1);  gx = g, or g α e^x (also at 0).

    Source: Clevert et al. 2015, eq. 16.
    """
    _refuse_whole("elu", x)
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


@primitive(lambda g, x: _silu_gradient(g, x, sigmoid(x)))
def silu(x: Array) -> Array:
    """y = x σ(x);  gx = g σ(x) (1 + x (1 - σ(x)))."""
    _refuse_whole("silu", x)
    return x / (1 + np.exp(-x))


def _silu_gradient(g: Any, x: Any, s: Any) -> Any:
    return g * (s * (1 + x * (1 - s)))


@primitive(
    lambda g, x, beta, threshold: where(x * beta > threshold, g, g * sigmoid(x * beta)),
)
def softplus(x: Array, beta: float = 1.0, threshold: float = 20.0) -> Array:
    """y = ln(1 + e^(βx)) / β, and x itself where βx > threshold;  gx = g σ(βx), or g."""
    _refuse_whole("softplus", x)
    scaled = x * beta
    return np.where(scaled > threshold, x, np.log1p(np.exp(np.minimum(scaled, threshold))) / beta)


@primitive(lambda g, x: g * sigmoid(-x))
def logsigmoid(x: Array) -> Array:
    """y = ln σ(x) = min(x, 0) - ln(1 + e^-|x|);  gx = g σ(-x)."""
    _refuse_whole("logsigmoid", x)
    return np.asarray(np.minimum(x, 0) - np.log1p(np.exp(np.minimum(x, -x))), order="C")


@primitive(
    lambda g, x, min_val, max_val: where((x <= min_val) | (x >= max_val), 0.0, g),
)
def hardtanh(x: Array, min_val: float = -1.0, max_val: float = 1.0) -> Array:
    """y = x held between min_val and max_val;  gx = 0 at and beyond them, else g."""
    _refuse_bool(x)
    if x.dtype.kind == "u" and (int(min_val) < 0 or int(max_val) < 0):
        raise RuntimeError("hardtanh: expected bounds of 0 or more for unsigned numbers")
    return np.minimum(np.maximum(x, x.dtype.type(min_val)), x.dtype.type(max_val))


_SELU_SCALE = 1.0507009873554804934193349852946
_SELU_SCALE_ALPHA = _SELU_SCALE * 1.6732632423543772848170429916717


def _selu_gradient(g: Any, x: Any) -> Any:
    below = g * (_SELU_SCALE_ALPHA * exp(where(x < 0, x, 0.0)))
    return where(x <= 0, below, g * _SELU_SCALE)


@primitive(_selu_gradient)
def selu(x: Array) -> Array:
    """y = λ x where x > 0, else λ α (e^x - 1);  gx = g λ, or g λ α e^x (also at 0).

    λ = 1.0507..., α = 1.6732... keep mean 0 and variance 1 (Klambauer et al. 2017, eq. 2 and 14).
    """
    _refuse_whole("selu", x)
    return np.where(x > 0, x * _SELU_SCALE, _SELU_SCALE_ALPHA * np.expm1(np.minimum(x, 0)))


_ROOT_HALF = math.sqrt(0.5)
_OVER_ROOT_2_PI = 1 / math.sqrt(2 * math.pi)
_ROOT_2_OVER_PI = math.sqrt(2 / math.pi)
_GELU_CUBIC = 0.044715


def _gelu_gradient(g: Any, x: Any, approximate: str) -> Any:
    if approximate == "none":
        density = exp(x * x * -0.5) * _OVER_ROOT_2_PI
        return g * ((1 + erf(x * _ROOT_HALF)) * 0.5 + x * density)
    y = tanh(_ROOT_2_OVER_PI * (x + _GELU_CUBIC * (x * x * x)))
    slope = _ROOT_2_OVER_PI * (1 + 3 * _GELU_CUBIC * (x * x))
    return g * ((1 + y) * 0.5 + x * 0.5 * ((1 - y * y) * slope))


@primitive(_gelu_gradient)
def gelu(x: Array, approximate: str = "none") -> Array:
    """y = x Φ(x), Φ the normal distribution function;  gx = g (Φ(x) + x φ(x)).

    approximate : "none", or "tanh" for y = x (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2, with the
        gradient of that. Source: Hendrycks and Gimpel 2016. Another word is a RuntimeError.
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f"approximate argument must be either none or tanh, got {approximate!r}")
    _refuse_whole("gelu", x)
    if approximate == "none":
        return x * 0.5 * (1 + erf_of(x * _ROOT_HALF))
    return x * 0.5 * (1 + np.tanh(_ROOT_2_OVER_PI * (x + _GELU_CUBIC * (x * x * x))))


def _mish_gradient(g: Any, x: Any) -> Any:
    y = tanh(softplus(x))
    return g * (y + x * sigmoid(x) * (1 - y * y))


@primitive(_mish_gradient)
def mish(x: Array) -> Array:
    """y = x t with t = tanh(ln(1 + e^x));  gx = g (t + x σ(x) (1 - t²)).  Source: Misra 2019."""
    _refuse_whole("mish", x)
    return x * np.tanh(np.log1p(np.exp(x)))


@primitive(
    lambda g, x, weight: where(x > 0, g, g * weight),
    lambda g, x: where(x > 0, 0.0, g * x),
    tensors=(0, 1),
)
def prelu(x: Array, weight: Array) -> Array:
    """y = x where x > 0, else w x;  gx = g, or g w (also at 0),  gw = 0, or g x."""
    _refuse_whole("prelu", x)
    return np.where(x > 0, x, x * weight)


@primitive(lambda g, x: where((x > -3) & (x < 3), g / 6, 0.0))
def hardsigmoid(x: Array) -> Array:
    """y = x / 6 + 1/2 held between 0 and 1;  gx = g / 6 strictly between, 0 at the bounds."""
    _refuse_whole("hardsigmoid", x)
    return np.minimum(np.maximum(x + 3, 0), 6) / 6


@primitive(lambda g, x: where(x <= -3, 0.0, where(x < 3, g * (x / 3 + 0.5), g)))
def hardswish(x: Array) -> Array:
    """y = x · (x / 6 + 1/2 held between 0 and 1);  gx = 0 up to -3, g (x / 3 + 1/2), g from 3 on.

    Source: Howard et al. 2019, eq. for h-swish.
    """
    _refuse_whole("hardswish", x)
    return x * np.minimum(np.maximum(x + 3, 0), 6) / 6


@primitive(lambda g, x, alpha: g * exp(where(x < 0, x, 0.0) / alpha))
def celu(x: Array, alpha: float = 1.0) -> Array:
    """y = x where x > 0, else α (e^(x/α) - 1);  gx = g, or g e^(x/α) (also at 0).

    Source: Barron 2017, eq. 1. Raises RuntimeError for α = 0.
    """
    _refuse_whole("celu", x)
    if alpha == 0:
        raise RuntimeError("celu: ZeroDivisionError: alpha cannot be 0 for CELU")
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) / alpha))


@primitive(lambda g, x, lambd: where((x >= -lambd) & (x <= lambd), 0.0, g))
def hardshrink(x: Array, lambd: float = 0.5) -> Array:
    """y = 0 where -λ <= x <= λ, else x;  gx likewise."""
    _refuse_whole("hardshrink", x)
    return np.where((x >= -lambd) & (x <= lambd), x.dtype.type(0), x)


@primitive(lambda g, x, lambd: where((x >= -lambd) & (x <= lambd), 0.0, g))
def softshrink(x: Array, lambd: float = 0.5) -> Array:
    """y = x brought nearer to 0 by λ, and 0 within;  gx = 0 where -λ <= x <= λ, else g.

    Raises RuntimeError for λ < 0.
    """
    _refuse_whole("softshrink", x)
    if not lambd >= 0:
        raise RuntimeError(f"softshrink: expected lambda of 0 or more, got {lambd}")
    return np.asarray(x - np.minimum(np.maximum(x, -lambd), lambd), order="C")


@primitive(lambda g, x, threshold: where(x <= threshold, 0.0, g))
def threshold(x: Array, threshold: float, value: float) -> Array:
    """y = value where x <= threshold, else x;  gx = 0 there, else g."""
    if x.dtype.kind == "b":
        raise NotImplementedError("threshold: expected numbers, got a bool tensor; use .float()")
    check_fits("threshold", value, x.dtype)
    kind = x.dtype.type
    return np.where(x <= kind(threshold), kind(value), x)
