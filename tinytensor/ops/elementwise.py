"""Operations element by element. In the formulas y is the result, g its gradient, gx that of x."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from ..autograd.primitive import primitive
from ..dtypes import FLOATING, Array, check_fits, numpy_dtype, wrapped
from ..tensor import Tensor
from .check import check_tensors

_LN_2 = math.log(2)
_LN_10 = math.log(10)

# -- arithmetic


@primitive(lambda g: g, lambda g: g)
def add(a: Array, b: Array) -> Array:
    """y = a + b;  ga = g,  gb = g."""
    return np.add(a, b)


@primitive(lambda g: g, lambda g: -g, promote="number")
def sub(a: Array, b: Array) -> Array:
    """y = a - b;  ga = g,  gb = -g. Raises RuntimeError where a or b is a bool."""
    return np.subtract(a, b)


@primitive(lambda g, b: g * b, lambda g, a: g * a)
def mul(a: Array, b: Array) -> Array:
    """y = a b;  ga = g b,  gb = g a."""
    return np.multiply(a, b)


@primitive(lambda g, factor: g * factor)
def _times_number(x: Array, factor: float) -> Array:
    """y = factor · x for the factor of an option (alpha);  gx = factor · g.

    Unlike that of `mul` its graph can be differentiated again: torch keeps no such number.
    """
    return np.multiply(x, factor)


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
    kind = np.result_type(a, b).kind
    if kind == "b":
        if not isinstance(b, bool):
            raise NotImplementedError("pow: expected numbers, got bool tensors; use .long()")
        return np.logical_or(a, not b)
    if kind not in FLOATING and np.any(np.less(b, 0)):
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


_ONES = {np.dtype(kind): np.ones((), kind) for kind in (np.float32, np.float64)}


def _one(y: Any) -> Any:
    """1, as NumPy takes it quickest beside y: beside an array an array of its type."""
    return _ONES[y.dtype] if type(y) is np.ndarray else 1


def _tanh_rule(g: Any, y: Any) -> Any:
    """g (1 - y²), factored to stay accurate near y = ±1."""
    one = _one(y)
    return g * ((one + y) * (one - y))


@primitive(_tanh_rule, promote="float")
def tanh(x: Array) -> Array:
    """y = tanh x;  gx = g (1 - y²)."""
    return np.tanh(x)


@primitive(lambda g, y: g * (_one(y) - y) * y, promote="float")
def sigmoid(x: Array) -> Array:
    """y = 1 / (1 + e^-x);  gx = g y (1 - y)."""
    return 1 / (1 + np.exp(-x))


# -- of three tensors


@primitive(
    lambda g, weight: g * (1 - weight),
    lambda g, weight: g * weight,
    lambda g, input, end: g * (end - input),
    promote=None,
    tensors=(0, 1),
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
    near_input = np.less(np.abs(weight), 0.5)
    return np.where(near_input, input + weight * way, end - way * (1 - weight))


@primitive(
    lambda g: g,
    lambda g, tensor2, value: g * (tensor2 * value),
    lambda g, tensor1, value: g * (tensor1 * value),
    tensors=(0, 1, 2),
)
def _addcmul(input: Array, tensor1: Array, tensor2: Array, value: float) -> Array:
    kind = np.result_type(input, tensor1, tensor2)
    if kind.kind == "b":
        raise NotImplementedError("addcmul: expected numbers, got bool tensors; use .long()")
    if kind.kind not in FLOATING:
        check_fits("addcmul", value, kind)
        value = wrapped(int(value), kind)
    return input + value * tensor1 * tensor2


def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Any:
    """y = input + value a b;  g to the input,  ga = g value b,  gb = g value a.

    value : a number, without its fraction where the result is whole
    """
    return _addcmul(input, tensor1, tensor2, value)


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
    check_tensors("addcdiv", input, tensor1, tensor2)
    if tensor1._array.dtype.kind not in FLOATING and tensor2._array.dtype.kind not in FLOATING:
        raise RuntimeError(
            "addcdiv: expected a floating-point tensor to divide or to divide by, got "
            f"{tensor1.dtype} and {tensor2.dtype}; use .float()"
        )
    return _addcdiv(input, tensor1, tensor2, value)


# -- choosing


def _share(g: Any, lost: Any, tied: Any) -> Any:
    """0 where the other one was chosen, half of g at a tie, else g."""
    return where(lost, 0.0, where(tied, g / 2, g))


@primitive(
    lambda g, a, b: _share(g, a < b, a == b),
    lambda g, a, b: _share(g, b < a, a == b),
    tensors=(0, 1),
)
def maximum(a: Array, b: Array) -> Array:
    """y = max(a, b);  g goes to the larger, half to each at a tie, all to each if one is NaN."""
    return np.maximum(a, b)


@primitive(
    lambda g, a, b: _share(g, b < a, a == b),
    lambda g, a, b: _share(g, a < b, a == b),
    tensors=(0, 1),
)
def minimum(a: Array, b: Array) -> Array:
    """y = min(a, b);  g goes to the smaller, half to each at a tie, all to each if one is NaN."""
    return np.minimum(a, b)


@primitive(
    lambda g, a, b: where((a >= b) | (b != b), g, 0.0),
    lambda g, a, b: where((a >= b) | (b != b), 0.0, g),
    tensors=(0, 1),
)
def fmax(a: Array, b: Array) -> Array:
    """y = max(a, b), the number where one is NaN;  g goes to what was chosen, to a at a tie."""
    return np.fmax(a, b)


@primitive(
    lambda g, a, b: where((a <= b) | (b != b), g, 0.0),
    lambda g, a, b: where((a <= b) | (b != b), 0.0, g),
    tensors=(0, 1),
)
def fmin(a: Array, b: Array) -> Array:
    """y = min(a, b), the number where one is NaN;  g goes to what was chosen, to a at a tie."""
    return np.fmin(a, b)


def _bound(name: str, x: Array, value: Any) -> Any:
    """A bound as x's type takes it. Raises where torch does: a bool, or a number out of range."""
    if isinstance(value, np.ndarray) or x.dtype.kind in FLOATING:
        return value
    if x.dtype.kind == "b":
        raise NotImplementedError(f"{name}: expected numbers, got a bool tensor; use .long()")
    check_fits(name, value, x.dtype)
    return wrapped(value, x.dtype)


@primitive(
    lambda g, x, min: where(x >= min, g, 0.0),
    lambda g, x, min: where(x < min, g, 0.0),
)
def clamp_min(x: Array, min: Array) -> Array:
    """y = max(x, min);  g goes to x there and at the bound, else to min. NaN where one is."""
    return np.maximum(x, _bound("clamp_min", x, min))


@primitive(
    lambda g, x, max: where(x <= max, g, 0.0),
    lambda g, x, max: where(x > max, g, 0.0),
)
def clamp_max(x: Array, max: Array) -> Array:
    """y = min(x, max);  g goes to x there and at the bound, else to max. NaN where one is."""
    return np.minimum(x, _bound("clamp_max", x, max))


@primitive(
    lambda g, x, low, high: where((x >= low) & (x <= high), g, 0.0),
    lambda g, x, low, high: where((x < low) & (low < high), g, 0.0),
    lambda g, x, low, high: where((x > high) | (high < low), g, 0.0),
)
def _clamp(x: Array, low: Array, high: Array) -> Array:
    if x.dtype.kind == "b":
        raise NotImplementedError("clamp: expected numbers, got a bool tensor; use .long()")
    return np.minimum(np.maximum(x, _bound("clamp", x, low)), _bound("clamp", x, high))


def _number_of(value: Any) -> Any:
    """A 0-d tensor that wants no gradient as the number that it holds; all else as it is."""
    if isinstance(value, Tensor) and value.ndim == 0 and not value.requires_grad:
        return value.item()
    return value


def clamp(input: Tensor, min: Any = None, max: Any = None) -> Any:
    """y = x held between min and max, two numbers or two tensors, one of them or neither None.

    max wins where it is below min. g goes to x where x is within the bounds or at one, else to the
    bound that y equals.
    """
    if min is None and max is None:
        raise RuntimeError("clamp: expected min, max or both, got neither")
    if max is None:
        return clamp_min(input, min)
    if min is None:
        return clamp_max(input, max)
    if isinstance(min, Tensor) != isinstance(max, Tensor):
        min, max = _number_of(min), _number_of(max)
    if isinstance(min, Tensor) != isinstance(max, Tensor):
        raise TypeError(
            "clamp: expected two numbers or two tensors for min and max, got one of each; "
            "use clamp_min and clamp_max in turn"
        )
    return _clamp(input, min, max)


@primitive(
    None,
    lambda g, condition: where(condition, g, 0.0),
    lambda g, condition: where(condition, 0.0, g),
    fixed=(0,),
)
def where(condition: Array, a: Any, b: Any) -> Array:
    """y = a where the condition holds, else b;  each gets g where it was chosen."""
    if condition.dtype != np.bool_:
        raise ValueError(f"the condition must be a bool tensor, got {condition.dtype}")
    if type(a) is int and b.dtype.kind not in FLOATING:
        check_fits("where", a, b.dtype)
    if type(b) is int and a.dtype.kind not in FLOATING:
        check_fits("where", b, a.dtype)
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
    for name, number in (("nan", nan), ("posinf", posinf), ("neginf", neginf)):
        if not (number is None or isinstance(number, (int, float))):
            kind = type(number).__name__
            raise TypeError(f"nan_to_num: expected {name} to be a number or None, got {kind}")
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
    """y = x in another type, its elements ordered as by `clone`;  gx = g in x's type."""
    return x.astype(numpy_dtype(dtype), order=order_of(x))


def order_of(x: Array) -> Literal["C", "K"]:
    """NumPy's name of the order in memory that torch gives to a copy: x's own but for gaps.

    Of an expanded tensor row by row.
    """
    steps = zip(x.shape, x.strides, strict=True)
    stretched = 0 in x.strides and any(n > 1 and step == 0 for n, step in steps)
    return "C" if stretched else "K"


@primitive(lambda g: g)
def clone(x: Array) -> Array:
    """y = x in memory of its own, whose elements lie in the order of x's;  gx = g."""
    return np.array(x, order=order_of(x))


@primitive(lambda g: g)
def contiguous(x: Array) -> Array:
    """y = x in memory of its own, row by row;  gx = g."""
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
