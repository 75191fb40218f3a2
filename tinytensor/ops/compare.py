"""Comparisons, questions and logic, element by element: without a gradient."""

from __future__ import annotations

import numpy as np

from ..autograd.primitive import primitive
from ..dtypes import Array


@primitive(None, None, tensors=(0,))
def eq(a: Array, b: Array) -> Array:
    """y = (a == b), a bool tensor."""
    return np.equal(a, b)


@primitive(None, None, tensors=(0,))
def ne(a: Array, b: Array) -> Array:
    """y = (a != b), a bool tensor."""
    return np.not_equal(a, b)


@primitive(None, None, tensors=(0,))
def lt(a: Array, b: Array) -> Array:
    """y = (a < b), a bool tensor."""
    return np.less(a, b)


@primitive(None, None, tensors=(0,))
def le(a: Array, b: Array) -> Array:
    """y = (a <= b), a bool tensor."""
    return np.less_equal(a, b)


@primitive(None, None, tensors=(0,))
def gt(a: Array, b: Array) -> Array:
    """y = (a > b), a bool tensor."""
    return np.greater(a, b)


@primitive(None, None, tensors=(0,))
def ge(a: Array, b: Array) -> Array:
    """y = (a >= b), a bool tensor."""
    return np.greater_equal(a, b)


@primitive(None)
def isnan(x: Array) -> Array:
    """y = whether x is not a number."""
    return np.isnan(x)


@primitive(None)
def isinf(x: Array) -> Array:
    """y = whether x is infinite."""
    return np.isinf(x)


@primitive(None)
def isfinite(x: Array) -> Array:
    """y = whether x is neither infinite nor not a number."""
    return np.isfinite(x)


# -- logic


@primitive(None, None, promote=None, tensors=(0, 1))
def logical_and(a: Array, b: Array) -> Array:
    """y = whether neither a nor b is 0."""
    return np.logical_and(a, b)


@primitive(None, None, promote=None, tensors=(0, 1))
def logical_or(a: Array, b: Array) -> Array:
    """y = whether a or b is not 0."""
    return np.logical_or(a, b)


@primitive(None, None, promote=None, tensors=(0, 1))
def logical_xor(a: Array, b: Array) -> Array:
    """y = whether one of a and b is 0 and the other is not."""
    return np.logical_xor(a, b)


@primitive(None, promote=None)
def logical_not(x: Array) -> Array:
    """y = whether x is 0."""
    return np.logical_not(x)


# -- bits


def _check_bits(name: str, *arrays: Array) -> None:
    kind = np.result_type(*arrays)
    if kind.kind == "f":
        raise NotImplementedError(f"{name}: expected bool or integer tensors, got {kind}")


@primitive(None, None)
def bitwise_and(a: Array, b: Array) -> Array:
    """y = a & b, for bool (logical and) and integer tensors."""
    _check_bits("bitwise_and", a, b)
    return np.bitwise_and(a, b)


@primitive(None, None)
def bitwise_or(a: Array, b: Array) -> Array:
    """y = a | b, for bool (logical or) and integer tensors."""
    _check_bits("bitwise_or", a, b)
    return np.bitwise_or(a, b)


@primitive(None, None)
def bitwise_xor(a: Array, b: Array) -> Array:
    """y = a ^ b, for bool (logical exclusive or) and integer tensors."""
    _check_bits("bitwise_xor", a, b)
    return np.bitwise_xor(a, b)


@primitive(None)
def bitwise_not(x: Array) -> Array:
    """y = ~x, for bool (logical not) and integer tensors."""
    if x.dtype.kind == "f":
        raise NotImplementedError(f"bitwise_not: expected a bool or integer tensor, got {x.dtype}")
    return np.invert(x)
