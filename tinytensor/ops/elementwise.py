"""Operations element by element. In the formulas y is the result, g its gradient, gx that of x."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autograd.primitive import primitive
from ..dtypes import FLOATING, Array, check_fits, numpy_dtype
from ..tensor import Tensor

_LN_2 = math.log(2)
_LN_10 = math.log(10)

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
    if np.result_type(a, b).kind not in FLOATING and np.any(np.less(b, 0)):
        if isinstance(b, int):
            raise ValueError("integers to negative integer powers are not allowed")
        ones_alternate = np.where(np.equal(a, -1), 1 - 2 * (b % 2), np.equal(a, 1))
        return np.where(b < 0, ones_alternate, np.power(a, np.maximum(b, 0)))
    return np.power(a, b)


@primitive(lambda g, x: g * sign(x))
def abs(x: Array) -> Array:
    """y = |x|;  gx = g sign(x), 0 at 0."""
    if x.dtype.kind == "b":
        raise NotImplementedError("abs: expected numbers, got a bool tensor; use .long()")
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


@primitive(lambda g, y: g * (y * y * y) * -0.5, promote="float")
def rsqrt(x: Array) -> Array:
    """y = 1 / √x;  gx = -g y³ / 2."""
    return 1 / np.sqrt(x)


@primitive(lambda g, y: -g * (y * y), promote="float")
def reciprocal(x: Array) -> Array:
    """y = 1 / x;  gx = -g y²."""
    return np.reciprocal(x)


@primitive(lambda g, y: g * y, promote="float")
def exp(x: Array) -> Array:
    """y = e^x;  gx = g y."""
    return np.exp(x)


@primitive(lambda g, y: g * y * _LN_2, promote="float")
def exp2(x: Array) -> Array:
    """y = 2^x;  gx = g y ln 2."""
    return np.exp2(x)


@primitive(lambda g, y: g * (y + 1), promote="float")
def expm1(x: Array) -> Array:
    """y = e^x - 1, exact near 0;  gx = g (y + 1)."""
    return np.expm1(x)


@primitive(lambda g, x: g / x, promote="float")
def log(x: Array) -> Array:
    """y = ln x;  gx = g / x."""
    return np.log(x)


@primitive(lambda g, x: g / (1 + x), promote="float")
def log1p(x: Array) -> Array:
    """y = ln(1 + x), exact near 0;  gx = g / (1 + x)."""
    return np.log1p(x)


@primitive(lambda g, x: g / (x * _LN_2), promote="float")
def log2(x: Array) -> Array:
    """y = log₂ x;  gx = g / (x ln 2)."""
    return np.log2(x)


@primitive(lambda g, x: g / (x * _LN_10), promote="float")
def log10(x: Array) -> Array:
    """y = log₁₀ x;  gx = g / (x ln 10)."""
    return np.log10(x)


@primitive(lambda g, y: (g + g * y) * (1 - y), promote="float")
def tanh(x: Array) -> Array:
    """y = tanh x;  gx = g (1 - y²), factored to stay accurate near y = ±1."""
    return np.tanh(x)


@primitive(lambda g, y: g * (1 - y) * y, promote="float")
def sigmoid(x: Array) -> Array:
    """y = 1 / (1 + e^-x);  gx = g y (1 - y)."""
    return 1 / (1 + np.exp(-x))


# -- of three tensors


@primitive(
    lambda g, weight: g * (1 - weight),
    lambda g, weight: g * weight,
    lambda g, input, end: g * (end - input),
    promote=None,
)
def lerp(input: Array, end: Array, weight: Array | float) -> Array:
    """y = input + weight (end - input);  g (1 - weight), g weight, g (end - input).

    All of one floating-point type; the weight may be a number. Exact at weights of 0 and 1.
    """
    if input.dtype.kind not in FLOATING:
        raise NotImplementedError(
            f"lerp: expected floating-point tensors, got {input.dtype}; use .float()"
        )
    for name, other in (("end", end), ("weight", weight)):
        if isinstance(other, np.ndarray) and other.dtype != input.dtype:
            raise ValueError(f"expected dtype {input.dtype} for `{name}`, got {other.dtype}")
    way = end - input
    return np.where(np.less(weight, 0.5), input + weight * way, end - way * (1 - weight))


def _in_type(value: float, like: Array) -> Any:
    """A Python number in the type of an array: for whole numbers without its fraction."""
    return int(value) if like.dtype.kind not in FLOATING else value


@primitive(
    lambda g: g,
    lambda g, tensor2, value: g * (tensor2 * value),
    lambda g, tensor1, value: g * (tensor1 * value),
)
def addcmul(input: Array, tensor1: Array, tensor2: Array, value: float = 1) -> Array:
    """y = input + value a b;  g to the input,  ga = g value b,  gb = g value a."""
    if np.result_type(input, tensor1, tensor2).kind == "b":
        raise NotImplementedError("addcmul: expected numbers, got bool tensors; use .long()")
    return input + _in_type(value, input) * tensor1 * tensor2


@primitive(
    lambda g: g,
    lambda g, tensor2, value: g * (value / tensor2),
    lambda g, tensor1, tensor2, value: -g * (value * tensor1 / (tensor2 * tensor2)),
)
def _addcdiv(input: Array, tensor1: Array, tensor2: Array, value: float) -> Array:
    return input + value * (tensor1 / tensor2)


def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Any:
    """y = input + value a / b;  g to the input,  ga = g value / b,  gb = -g value a / b².

    Raises RuntimeError where a and b are both whole numbers.
    """
    if tensor1._array.dtype.kind not in FLOATING and tensor2._array.dtype.kind not in FLOATING:
        raise RuntimeError(
            "addcdiv: expected a floating-point tensor to divide or to divide by, got "
            f"{tensor1.dtype} and {tensor2.dtype}; use .float()"
        )
    return _addcdiv(input, tensor1, tensor2, value)


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
    lambda g, a, b: where((a >= b) | (b != b), g, 0.0),
    lambda g, a, b: where((a >= b) | (b != b), 0.0, g),
)
def fmax(a: Array, b: Array) -> Array:
    """y = max(a, b), the number where one is NaN;  g goes to what was chosen, to a at a tie."""
    return np.fmax(a, b)


@primitive(
    lambda g, a, b: where((a <= b) | (b != b), g, 0.0),
    lambda g, a, b: where((a <= b) | (b != b), 0.0, g),
)
def fmin(a: Array, b: Array) -> Array:
    """y = min(a, b), the number where one is NaN;  g goes to what was chosen, to a at a tie."""
    return np.fmin(a, b)


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
    if kind.kind not in FLOATING:
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
    if not isinstance(value, np.ndarray):
        check_fits("masked_fill", value, x.dtype)
    return np.asarray(np.where(mask, np.asarray(value).astype(x.dtype), x), order="C")


@primitive(lambda g, x: where(x - x == 0, g, 0.0))
def nan_to_num(
    x: Array, nan: float | None = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Array:
    """y = x with other numbers for NaN and the infinities (the largest there are);  gx = g or 0."""
    if x.dtype.kind not in FLOATING:
        return x.copy()
    limits = np.finfo(x.dtype)
    return np.nan_to_num(
        x,
        nan=0.0 if nan is None else nan,
        posinf=limits.max if posinf is None else posinf,
        neginf=limits.min if neginf is None else neginf,
    )


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
