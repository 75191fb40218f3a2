"""Operations element by element. In the formulas y is the result, g its gradient, gx that of x."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autograd.primitive import primitive
from ..dtypes import Array, numpy_dtype
from ..tensor import Tensor

# -- arithmetic


@primitive(lambda g: g, lambda g: g)
def add(a: Array, b: Array) -> Array:
    """y = a + b;  ga = g,  gb = g."""
    return np.add(a, b)


@primitive(lambda g: g, lambda g: -g)
def sub(a: Array, b: Array) -> Array:
    """y = a - b;  ga = g,  gb = -g."""
    if np.result_type(a, b) == np.bool_:
        raise ValueError("a bool tensor can't be subtracted; use a logical operation")
    return np.subtract(a, b)


@primitive(lambda g, b: g * b, lambda g, a: g * a)
def mul(a: Array, b: Array) -> Array:
    """y = a b;  ga = g b,  gb = g a."""
    return np.multiply(a, b)


@primitive(lambda g, b: g / b, lambda g, a, b: -g * ((a / b) / b), promote="float")
def div(a: Array, b: Array) -> Array:
    """y = a / b;  ga = g / b,  gb = -g a / b²."""
    return np.true_divide(a, b)


@primitive(lambda g: -g)
def neg(x: Array) -> Array:
    """y = -x;  gx = -g."""
    if x.dtype == np.bool_:
        raise ValueError("a bool tensor has no negative; use ~ for the logical not")
    return np.negative(x)


def _pow_base(g: Any, a: Any, b: Any) -> Any:
    """g b a^(b - 1), with 0 where b = 0 (so that 0^0 has slope 0)."""
    if isinstance(b, (int, float)):
        return g * (b * a ** (b - 1)) if b != 0 else zeros_like(g)
    return where(b == 0, 0.0, g * (b * a ** (b - 1)))


def _pow_exponent(g: Any, a: Any, b: Any, y: Any) -> Any:
    """g y log a, with 0 at a = 0 for an exponent that is not negative (torch's convention)."""
    if isinstance(a, (int, float)):
        slope = g * (y * _log_number(a))
        return where(b >= 0, 0.0, slope) if a == 0 else slope
    return where((a == 0) & (b >= 0), 0.0, g * (y * log(a)))


def _log_number(a: float) -> float:
    return math.log(a) if a > 0 else -math.inf if a == 0 else math.nan


@primitive(_pow_base, _pow_exponent)
def pow(a: Array, b: Array) -> Array:
    """y = a^b;  ga = g b a^(b-1),  gb = g y log a."""
    if np.result_type(a, b).kind != "f" and np.any(np.less(b, 0)):
        if isinstance(b, int):
            raise ValueError("integers to negative integer powers are not allowed")
        ones_alternate = np.where(np.equal(a, -1), 1 - 2 * (b % 2), np.equal(a, 1))
        return np.where(b < 0, ones_alternate, np.power(a, np.maximum(b, 0)))
    return np.power(a, b)


@primitive(lambda g, x: g * sign(x))
def abs(x: Array) -> Array:
    """y = |x|;  gx = g sign(x), 0 at 0."""
    return np.abs(x)


@primitive(lambda g: zeros_like(g))
def sign(x: Array) -> Array:
    """y = -1, 0 or 1 as x is (0 for what is not a number);  gx = 0."""
    if x.dtype.kind == "b":
        return x.copy()
    return (x > 0).astype(x.dtype) - (x < 0).astype(x.dtype)


@primitive(lambda g, x: g * (2 * x))
def square(x: Array) -> Array:
    """y = x²;  gx = 2 g x. The square of a bool is an int64."""
    return np.square(x.astype(np.int64) if x.dtype == np.bool_ else x)


@primitive(lambda g, y: g / (2 * y), promote="float")
def sqrt(x: Array) -> Array:
    """y = √x;  gx = g / (2 y)."""
    return np.sqrt(x)


@primitive(lambda g, y: g * y, promote="float")
def exp(x: Array) -> Array:
    """y = e^x;  gx = g y."""
    return np.exp(x)


@primitive(lambda g, x: g / x, promote="float")
def log(x: Array) -> Array:
    """y = ln x;  gx = g / x."""
    return np.log(x)


@primitive(lambda g, x: g / (1 + x), promote="float")
def log1p(x: Array) -> Array:
    """y = ln(1 + x), exact near 0;  gx = g / (1 + x)."""
    return np.log1p(x)


@primitive(lambda g, x: g * cos(x), promote="float")
def sin(x: Array) -> Array:
    """y = sin x;  gx = g cos x."""
    return np.sin(x)


@primitive(lambda g, x: -g * sin(x), promote="float")
def cos(x: Array) -> Array:
    """y = cos x;  gx = -g sin x."""
    return np.cos(x)


# -- activations


@primitive(lambda g, y: (g + g * y) * (1 - y), promote="float")
def tanh(x: Array) -> Array:
    """y = tanh x;  gx = g (1 - y²), factored to stay accurate near y = ±1."""
    return np.tanh(x)


@primitive(lambda g, y: g * (1 - y) * y, promote="float")
def sigmoid(x: Array) -> Array:
    """y = 1 / (1 + e^-x);  gx = g y (1 - y)."""
    return 1 / (1 + np.exp(-x))


@primitive(lambda g, y: where(y > 0, g, 0.0))
def relu(x: Array) -> Array:
    """y = max(x, 0);  gx = g where x > 0, else 0 (0 at the kink)."""
    return np.maximum(x, 0)


@primitive(lambda g, x, negative_slope: where(x > 0, g, g * negative_slope))
def leaky_relu(x: Array, negative_slope: float = 0.01) -> Array:
    """y = x where x > 0, else negative_slope · x;  gx likewise (the slope at the kink)."""
    return np.where(x > 0, x, x * negative_slope)


@primitive(lambda g, x, alpha: where(x > 0, g, g * alpha * exp(where(x < 0, x, 0.0))))
def elu(x: Array, alpha: float = 1.0) -> Array:
    """y = x where x > 0, else α (e^x - 1);  gx = g, or g α e^x (Clevert et al. 2015, eq. 16)."""
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


@primitive(lambda g, x: _silu_gradient(g, x, sigmoid(x)), promote="float")
def silu(x: Array) -> Array:
    """y = x σ(x);  gx = g σ(x) (1 + x (1 - σ(x)))."""
    return x / (1 + np.exp(-x))


def _silu_gradient(g: Any, x: Any, s: Any) -> Any:
    return g * (s * (1 + x * (1 - s)))


@primitive(
    lambda g, x, beta, threshold: where(x * beta > threshold, g, g * sigmoid(x * beta)),
    promote="float",
)
def softplus(x: Array, beta: float = 1.0, threshold: float = 20.0) -> Array:
    """y = ln(1 + e^(βx)) / β, and x itself where βx > threshold;  gx = g σ(βx), or g."""
    scaled = x * beta
    return np.where(scaled > threshold, x, np.log1p(np.exp(np.minimum(scaled, threshold))) / beta)


@primitive(lambda g, x: g * sigmoid(-x), promote="float")
def logsigmoid(x: Array) -> Array:
    """y = ln σ(x) = min(x, 0) - ln(1 + e^-|x|);  gx = g σ(-x)."""
    return np.asarray(np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x))), order="C")


@primitive(
    lambda g, x, min_val, max_val: where((x > min_val) & (x < max_val), g, 0.0),
)
def hardtanh(x: Array, min_val: float = -1.0, max_val: float = 1.0) -> Array:
    """y = x held between min_val and max_val;  gx = g strictly between them, else 0."""
    return np.minimum(np.maximum(x, x.dtype.type(min_val)), x.dtype.type(max_val))


# -- choosing


def _share(g: Any, mine: Any, other: Any) -> Any:
    """g where `mine` was chosen, half of it at a tie, else 0."""
    return where(mine > other, g, where(mine == other, g / 2, 0.0))


@primitive(lambda g, a, b: _share(g, a, b), lambda g, a, b: _share(g, b, a))
def maximum(a: Array, b: Array) -> Array:
    """y = max(a, b);  g goes to the larger, half to each at a tie."""
    return np.maximum(a, b)


@primitive(lambda g, a, b: _share(g, b, a), lambda g, a, b: _share(g, a, b))
def minimum(a: Array, b: Array) -> Array:
    """y = min(a, b);  g goes to the smaller, half to each at a tie."""
    return np.minimum(a, b)


@primitive(
    lambda g, x, low, high: where((x >= low) & (x <= high), g, 0.0),
    lambda g, x, low, high: where((x < low) & (low < high), g, 0.0),
    lambda g, x, low, high: where((x > high) | (high < low), g, 0.0),
)
def _clamp(x: Array, low: Array, high: Array) -> Array:
    """y = x held between low and high (high wins);  g goes to x there and at the bounds."""
    return np.minimum(np.maximum(x, low), high)


def clamp(input: Tensor, min: Any = None, max: Any = None) -> Any:
    """y = x held between min and max (numbers, tensors or None);  gx = g there and at the ends."""
    if min is None and max is None:
        raise RuntimeError("clamp: expected min, max or both, got neither")
    kind = input._array.dtype
    low: float = -np.inf
    high: float = np.inf
    if kind.kind != "f":
        limits = np.iinfo(np.int64 if kind.kind == "b" else kind)
        low, high = limits.min, limits.max
    return _clamp(input, low if min is None else min, high if max is None else max)


@primitive(
    None,
    lambda g, condition: where(condition, g, 0.0),
    lambda g, condition: where(condition, 0.0, g),
    fixed=(0,),
)
def where(condition: Array, a: Array, b: Array) -> Array:
    """y = a where the condition holds, else b;  each gets g where it was chosen."""
    if condition.dtype != np.bool_:
        raise ValueError(f"the condition must be a bool tensor, got {condition.dtype}")
    return np.where(condition, a, b)


@primitive(
    lambda g, mask: where(mask, 0.0, g),
    None,
    lambda g, mask, shape_value: cast(where(mask, g, 0.0), shape_value.dtype),
    fixed=(0, 1, 2),
)
def masked_fill(x: Array, mask: Array, value: Array) -> Array:
    """y = value (a number or 0-d tensor) where the mask holds, else x;  gx = g outside the mask."""
    if mask.dtype != np.bool_:
        raise ValueError(f"the mask must be a bool tensor, got {mask.dtype}")
    if np.ndim(value):
        raise ValueError(
            f"the value must be a number or 0-d tensor, got {np.ndim(value)} dimensions"
        )
    return np.asarray(np.where(mask, np.asarray(value).astype(x.dtype), x), order="C")


# -- comparing: no gradient


@primitive(None, None)
def eq(a: Array, b: Array) -> Array:
    """y = (a == b), a bool tensor."""
    return np.equal(a, b)


@primitive(None, None)
def ne(a: Array, b: Array) -> Array:
    """y = (a != b), a bool tensor."""
    return np.not_equal(a, b)


@primitive(None, None)
def lt(a: Array, b: Array) -> Array:
    """y = (a < b), a bool tensor."""
    return np.less(a, b)


@primitive(None, None)
def le(a: Array, b: Array) -> Array:
    """y = (a <= b), a bool tensor."""
    return np.less_equal(a, b)


@primitive(None, None)
def gt(a: Array, b: Array) -> Array:
    """y = (a > b), a bool tensor."""
    return np.greater(a, b)


@primitive(None, None)
def ge(a: Array, b: Array) -> Array:
    """y = (a >= b), a bool tensor."""
    return np.greater_equal(a, b)


@primitive(None)
def isnan(x: Array) -> Array:
    """y = whether x is not a number."""
    return np.isnan(x)


@primitive(None)
def isfinite(x: Array) -> Array:
    """y = whether x is neither infinite nor not a number."""
    return np.isfinite(x)


def _check_bits(*arrays: Array) -> None:
    kind = np.result_type(*arrays)
    if kind.kind == "f":
        raise ValueError(f"expected bool or integer tensors, got {kind}")


@primitive(None, None)
def bitwise_and(a: Array, b: Array) -> Array:
    """y = a & b, for bool (logical and) and integer tensors."""
    _check_bits(a, b)
    return np.bitwise_and(a, b)


@primitive(None, None)
def bitwise_or(a: Array, b: Array) -> Array:
    """y = a | b, for bool (logical or) and integer tensors."""
    _check_bits(a, b)
    return np.bitwise_or(a, b)


@primitive(None)
def bitwise_not(x: Array) -> Array:
    """y = ~x, for bool (logical not) and integer tensors."""
    if x.dtype.kind == "f":
        raise TypeError(f"bitwise_not: expected a bool or integer tensor, got {x.dtype}")
    return np.invert(x)


# -- type and copies


@primitive(lambda g, shape_x: cast(g, shape_x.dtype), promote=None)
def cast(x: Array, dtype: Any) -> Array:
    """y = x in another type;  gx = g in x's type."""
    return x.astype(numpy_dtype(dtype))


@primitive(lambda g: g)
def clone(x: Array) -> Array:
    """y = x in memory of its own;  gx = g."""
    return np.array(x, order="C")


@primitive(lambda g: zeros_like(g), lambda g: g, fixed=(0, 1))
def copy(x: Array, source: Array) -> Array:
    """y = the source, broadcast to x's shape and in x's type;  gx = 0."""
    return np.broadcast_to(source, x.shape).astype(x.dtype)


@primitive(None)
def zeros_like(x: Array) -> Array:
    """y = 0 in the shape and type of x; a constant."""
    return np.zeros(x.shape, x.dtype)


@primitive(None)
def ones_like(x: Array) -> Array:
    """y = 1 in the shape and type of x; a constant."""
    return np.ones(x.shape, x.dtype)


@primitive(None, promote=None)
def zeros_of(x: Array, shape: tuple[int, ...]) -> Array:
    """y = zeros of a shape, in the type of x."""
    return np.zeros(shape, x.dtype)
