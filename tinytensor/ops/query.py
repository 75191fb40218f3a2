"""Questions about tensors, answered outside the graph: what kind they are, whether equal."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes
from ..dtypes import Array
from ..tensor import Tensor, bind, make
from .check import check_tensors


def is_tensor(obj: Any) -> bool:
    """Whether an object is a Tensor."""
    return isinstance(obj, Tensor)


def is_floating_point(input: Tensor) -> bool:
    """Whether the type of a tensor is a floating-point one."""
    check_tensors("is_floating_point", input)
    return input.is_floating_point()


def is_complex(input: Tensor) -> bool:
    """Whether the type of a tensor is complex: never."""
    check_tensors("is_complex", input)
    return False


def is_nonzero(input: Tensor) -> bool:
    """Whether the one element of a tensor is not zero. Raises RuntimeError for several."""
    check_tensors("is_nonzero", input)
    return bool(input)


def numel(input: Tensor) -> int:
    """The number of elements."""
    check_tensors("numel", input)
    return input.numel()


def result_type(tensor1: Any, tensor2: Any) -> dtypes.dtype:
    """The type in which an operation on the two (tensors or numbers) is carried out."""
    operands = []
    for value in (tensor1, tensor2):
        plain = value._array if isinstance(value, Tensor) else value
        plain = plain.item() if isinstance(plain, np.generic) else plain
        if not isinstance(plain, (np.ndarray, bool, int, float)):
            kind = type(value).__name__
            raise TypeError(f"result_type: expected tensors or numbers, got {kind}")
        operands.append(plain)
    return dtypes.of_numpy(dtypes.common_dtype(operands))


# -- equality


def _close(op: str, a: Any, b: Any, rtol: float, atol: float, equal_nan: bool) -> Array:
    check_tensors(op, a, b)
    x, y = a._array, b._array
    if x.dtype != y.dtype:
        raise RuntimeError(f"{op}: expected tensors of one dtype, got {a.dtype} and {b.dtype}")
    for name, bound in (("rtol", rtol), ("atol", atol)):
        if not bound >= 0:
            raise RuntimeError(f"{op}: expected {name} >= 0, got {bound}")
    try:
        np.broadcast_shapes(x.shape, y.shape)
    except ValueError:
        raise RuntimeError(
            f"{op}: expected shapes that broadcast, got {x.shape} and {y.shape}"
        ) from None
    with np.errstate(all="ignore"):
        same = np.equal(x, y)
        if rtol == 0 and atol == 0 and not equal_nan:
            return np.asarray(same)
        if x.dtype.kind != "f":
            kind = dtypes.get_default_dtype().numpy
            x, y = x.astype(kind), y.astype(kind)
        if equal_nan:
            same = same | (np.isnan(x) & np.isnan(y))
        distance = np.abs(x - y)
        near = np.isfinite(distance) & (distance <= atol + np.abs(rtol * y))
        return np.asarray(same | near)


def isclose(
    input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor:
    """y = |input - other| <= atol + rtol |other|, element by element, a bool tensor.

    Equal infinities are close, NaNs only under `equal_nan`. Raises RuntimeError for two dtypes.
    """
    return make(_close("isclose", input, other, rtol, atol, equal_nan))


def allclose(
    input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> bool:
    """Whether `isclose` holds for all elements."""
    return bool(_close("allclose", input, other, rtol, atol, equal_nan).all())


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same shape and the same values, whatever their types."""
    check_tensors("equal", input, other)
    return bool(np.array_equal(input._array, other._array))


bind(isclose=isclose, allclose=allclose, equal=equal, is_nonzero=is_nonzero)
