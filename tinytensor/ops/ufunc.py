"""NumPy's functions on tensors: `np.tanh(t)`, `np.float64(2) * t`, `array + t`.

Each goes to the operation of the same meaning and is recorded. Arrays among the operands become
constants, copied so that a later write into them cannot change a gradient; NumPy's numbers count as
Python numbers. What has no such operation, or would leave the graph, is refused.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ..dtypes import common_dtype
from ..tensor import Tensor, bind, make
from .data import tensor

_OPERATORS: dict[Any, Any] = {
    np.add: operator.add,
    np.subtract: operator.sub,
    np.multiply: operator.mul,
    np.true_divide: operator.truediv,
    np.floor_divide: operator.floordiv,
    np.remainder: operator.mod,
    np.power: operator.pow,
    np.matmul: operator.matmul,
    np.negative: operator.neg,
    np.absolute: operator.abs,
    np.invert: operator.invert,
    np.bitwise_and: operator.and_,
    np.bitwise_or: operator.or_,
    np.bitwise_xor: operator.xor,
    np.equal: operator.eq,
    np.not_equal: operator.ne,
    np.less: operator.lt,
    np.less_equal: operator.le,
    np.greater: operator.gt,
    np.greater_equal: operator.ge,
}

# ufuncs that are methods of a tensor, under NumPy's name or under torch's
_METHODS = {
    name: name
    for name in (
        "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "square", "reciprocal",
        "sin", "cos", "tan", "sinh", "cosh", "tanh", "floor", "ceil", "trunc", "sign", "isnan",
        "isinf", "isfinite", "maximum", "minimum", "fmax", "fmin", "logical_and", "logical_or",
        "logical_xor", "logical_not",
    )
} | {
    "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arctan2": "atan2", "arcsinh": "asinh",
    "arccosh": "acosh", "arctanh": "atanh", "rint": "round", "fabs": "abs",
}  # fmt: skip


def _array_ufunc(self: Tensor, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
    """What NumPy calls when one of its functions meets a tensor.

    Raises TypeError for out=, where= and the like, for reduce, at, outer ..., and for a function
    that tensors don't have.
    """
    name = ufunc.__name__
    if method != "__call__":
        raise TypeError(
            f"np.{name}.{method}: expected an array, got a Tensor; use its own methods (sum, ...), "
            "or .detach().numpy()"
        )
    if options:
        raise TypeError(
            f"np.{name}: expected no {', '.join(options)}= with a Tensor, whose graph it would "
            "leave; write a new tensor (array = array + t), or use .detach().numpy()"
        )
    operands = [_operand(value) for value in inputs]
    apply = _OPERATORS.get(ufunc)
    if apply is not None:
        return apply(*operands)
    bound = getattr(Tensor, _METHODS.get(name, "no such method"), None)
    if bound is None:
        raise TypeError(
            f"np.{name}: expected a function that tensors have too, got {name}; use "
            ".detach().numpy() to leave the graph"
        )
    like = next(value for value in operands if isinstance(value, Tensor))
    return bound(*(_as_tensor(value, like) for value in operands))


def _operand(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return tensor(value)
    return value.item() if isinstance(value, np.generic) else value


def _as_tensor(value: Any, like: Tensor) -> Tensor:
    """A number as a 0-d tensor, in the type of the operation on it and `like`."""
    if isinstance(value, Tensor):
        return value
    return make(np.asarray(value, common_dtype((value, like._array))))


bind(__array_ufunc__=_array_ufunc)
