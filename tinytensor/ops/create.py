"""Tensors filled with one value: of given sizes, or like another tensor; and the identity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dtypes
from ..dtypes import Array
from ..tensor import Tensor, bind
from .check import check_tensors
from .making import as_number, finished, kind_of, shape_of, sizes_of, stored


def zeros(
    *sizes: Any,
    size: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Zeros in the given shape."""
    return finished(np.zeros(sizes_of("zeros", sizes, size), kind_of(dtype)), requires_grad, device)


def ones(
    *sizes: Any,
    size: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Ones in the given shape."""
    return finished(np.ones(sizes_of("ones", sizes, size), kind_of(dtype)), requires_grad, device)


def empty(
    *sizes: Any,
    size: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Memory in the given shape, with whatever it holds."""
    return finished(np.empty(sizes_of("empty", sizes, size), kind_of(dtype)), requires_grad, device)


def full(
    size: Any,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`fill_value` in the given shape, in its own type unless one is given.

    Raises RuntimeError for a number that does not fit the type; a negative one fits an unsigned
    type (and wraps) if its absolute value does.
    """
    shape = shape_of("full", size)
    value = as_number("full", fill_value)
    kind = dtypes.number_dtype(value) if dtype is None else dtypes.numpy_dtype(dtype)
    return finished(np.full(shape, stored("full", value, kind)), requires_grad, device)


def eye(
    n: int,
    m: int | None = None,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Ones on the diagonal of an n x m matrix (m = n unless given), zeros elsewhere."""
    rows, columns = shape_of("eye", (n, n if m is None else m))
    return finished(np.eye(rows, columns, dtype=kind_of(dtype)), requires_grad, device)


# -- like another tensor


def _like(
    array: Array, make_array: Callable[..., Array], dtype: Any, device: Any, requires_grad: bool
) -> Tensor:
    """A tensor of another's shape, memory order and, unless one is given, type."""
    kind = array.dtype if dtype is None else dtypes.numpy_dtype(dtype)
    order = "C" if 0 in array.strides else "K"
    return finished(make_array(array, kind, order, subok=False), requires_grad, device)


def zeros_like(
    input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Zeros in the shape and type of a tensor."""
    check_tensors("zeros_like", input)
    return _like(input._array, np.zeros_like, dtype, device, requires_grad)


def ones_like(
    input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Ones in the shape and type of a tensor."""
    check_tensors("ones_like", input)
    return _like(input._array, np.ones_like, dtype, device, requires_grad)


def empty_like(
    input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Memory in the shape and type of a tensor, with whatever it holds."""
    check_tensors("empty_like", input)
    return _like(input._array, np.empty_like, dtype, device, requires_grad)


def full_like(
    input: Tensor,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """One value in the shape and type of a tensor; an integer type cuts its fraction off."""
    result = empty_like(input, dtype=dtype, device=device)
    value = as_number("full_like", fill_value)
    result._array[...] = stored("full_like", value, result._array.dtype)
    return result.requires_grad_() if requires_grad else result


# -- in the type of another tensor


def _new(name: str, filled: Callable[..., Tensor], what: str) -> Callable[..., Tensor]:
    def method(
        self: Tensor,
        *sizes: Any,
        size: Any = None,
        dtype: Any = None,
        device: Any = None,
        requires_grad: bool = False,
    ) -> Tensor:
        shape = sizes_of(name, sizes, size)
        return filled(shape, dtype=dtype or self.dtype, device=device, requires_grad=requires_grad)

    method.__name__ = name
    method.__doc__ = f"{what} in the given shape, in this tensor's type."
    return method


def _new_full(
    self: Tensor,
    size: Any,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """One value in the given shape, in this tensor's type."""
    kind = dtype or self.dtype
    return full(size, fill_value, dtype=kind, device=device, requires_grad=requires_grad)


bind(
    new_zeros=_new("new_zeros", zeros, "Zeros"),
    new_ones=_new("new_ones", ones, "Ones"),
    new_empty=_new("new_empty", empty, "Memory with whatever it holds"),
    new_full=_new_full,
)
