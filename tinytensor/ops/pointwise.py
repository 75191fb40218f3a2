"""Binds the elementwise operations onto Tensor: methods, in-place forms and operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd.inplace import in_place
from ..tensor import Tensor, bind
from . import activations, aliases, compare, rounding, special
from . import elementwise as e
from . import trigonometry as t


def _reflected(function: Callable[..., Any]) -> Callable[..., Any]:
    """The operator with the tensor on the right: 2 - x."""

    def method(self: Tensor, other: Any) -> Any:
        return function(other, self)

    method.__doc__ = function.__doc__
    return method


def _equal(self: Tensor, other: Any) -> Any:
    """Element by element; with what is no number or tensor (None, say) just not equal."""
    if not isinstance(other, (Tensor, int, float, np.generic)):
        return NotImplemented
    return compare.eq(self, other)


def _not_equal(self: Tensor, other: Any) -> Any:
    if not isinstance(other, (Tensor, int, float, np.generic)):
        return NotImplemented
    return compare.ne(self, other)


def _inverted(self: Tensor) -> Any:
    """~x, element by element. Raises TypeError for a floating-point tensor."""
    if self.is_floating_point():
        kind = self.dtype
        raise TypeError(f"bitwise_not: expected a bool or integer tensor, got {kind}; use x == 0")
    return compare.bitwise_not(self)


def _in_own_type(function: Callable[..., Any]) -> Callable[..., Any]:
    """A comparison as 0 and 1 in the type of its first operand, to which no gradient goes."""

    def operation(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        return e.copy(self, function(self, *args, **kwargs))

    operation.__name__ = function.__name__
    return operation


def _bind_all() -> None:
    changing: list[Callable[..., Any]] = [
        aliases.add, aliases.sub, aliases.div, aliases.pow, e.mul, e.neg, e.abs, e.sign, e.square,
        e.sqrt, e.rsqrt, e.reciprocal, e.exp, e.exp2, e.expm1, e.log, e.log2, e.log10, e.log1p,
        e.tanh, e.sigmoid, e.clamp, e.clamp_min, e.clamp_max, e.lerp, e.addcmul,
        e.addcdiv, e.masked_fill, e.nan_to_num, activations.relu, special.erf, special.logit,
        t.sin, t.cos, t.tan, t.asin, t.acos, t.atan, t.atan2, t.sinh, t.cosh, t.asinh, t.acosh,
        t.atanh, rounding.floor, rounding.ceil, rounding.round, rounding.trunc, rounding.frac,
        rounding.floor_divide, rounding.remainder, compare.bitwise_and, compare.bitwise_or,
        compare.bitwise_xor, compare.bitwise_not,
    ]  # fmt: skip
    comparing: list[Callable[..., Any]] = [
        compare.eq, compare.ne, compare.lt, compare.le, compare.gt, compare.ge,
        compare.logical_and, compare.logical_or, compare.logical_xor, compare.logical_not,
    ]  # fmt: skip
    others: list[Callable[..., Any]] = [
        e.maximum, e.minimum, e.fmax, e.fmin, e.clone, aliases.positive, compare.isnan,
        compare.isinf, compare.isfinite,
    ]  # fmt: skip
    named = {function.__name__: function for function in (*changing, *comparing, *others)}
    named |= {name: getattr(aliases, name) for name in aliases.SECOND_NAMES}
    bind(**named)
    for name, function in named.items():
        if function in comparing:
            function = _in_own_type(function)
        if function not in others:
            bind(**{f"{name}_": in_place(f"{name}_", function)})
    bind(
        __add__=e.add,
        __radd__=e.add,
        __iadd__=in_place("add_", e.add),
        __sub__=e.sub,
        __rsub__=_reflected(e.sub),
        __isub__=in_place("sub_", e.sub),
        __mul__=e.mul,
        __rmul__=e.mul,
        __imul__=in_place("mul_", e.mul),
        __truediv__=e.div,
        __rtruediv__=_reflected(e.div),
        __itruediv__=in_place("div_", e.div),
        __floordiv__=rounding.floor_divide,
        __rfloordiv__=_reflected(rounding.floor_divide),
        __ifloordiv__=in_place("floor_divide_", rounding.floor_divide),
        __mod__=rounding.remainder,
        __rmod__=_reflected(rounding.remainder),
        __imod__=in_place("remainder_", rounding.remainder),
        __pow__=e.pow,
        __rpow__=_reflected(e.pow),
        __ipow__=in_place("pow_", e.pow),
        __pos__=aliases.positive,
        __neg__=e.neg,
        __abs__=e.abs,
        __eq__=_equal,
        __ne__=_not_equal,
        __lt__=compare.lt,
        __le__=compare.le,
        __gt__=compare.gt,
        __ge__=compare.ge,
        __and__=compare.bitwise_and,
        __rand__=compare.bitwise_and,
        __iand__=in_place("bitwise_and_", compare.bitwise_and),
        __or__=compare.bitwise_or,
        __ror__=compare.bitwise_or,
        __ior__=in_place("bitwise_or_", compare.bitwise_or),
        __xor__=compare.bitwise_xor,
        __rxor__=compare.bitwise_xor,
        __ixor__=in_place("bitwise_xor_", compare.bitwise_xor),
        __invert__=_inverted,
    )


_bind_all()
