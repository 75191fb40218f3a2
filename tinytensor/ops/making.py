"""What the functions that make tensors share: torch's forms of sizes, types and numbers."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from .. import devices, dtypes
from ..dtypes import Array
from ..tensor import Tensor, make

silent = np.errstate(all="ignore")  # as torch: 1e300 in float32 is inf without a word


def kind_of(dtype: Any) -> np.dtype[Any]:
    """The NumPy type of a dtype as users may write it; None is the default one."""
    return dtypes.get_default_dtype().numpy if dtype is None else dtypes.numpy_dtype(dtype)


def finished(array: Array, requires_grad: bool, device: Any) -> Tensor:
    """A new leaf round an array."""
    devices.check(device)
    result = make(array)
    return result.requires_grad_() if requires_grad else result


def sizes_of(op: str, sizes: tuple[Any, ...], size: Any) -> tuple[int, ...]:
    """Sizes as torch takes them: `zeros(2, 3)`, `zeros((2, 3))` or `zeros(size=(2, 3))`."""
    if size is not None:
        if sizes:
            raise TypeError(f"{op}: expected sizes or size=, got both")
        return shape_of(op, size)
    if not sizes:
        raise TypeError(f"{op}: expected sizes, got none; write {op}(()) for a 0-d tensor")
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = tuple(sizes[0])
    return _checked(op, sizes)


def shape_of(op: str, size: Any) -> tuple[int, ...]:
    """Sizes where torch takes a tuple or list only: `full((2, 3), 1)`."""
    if not isinstance(size, (tuple, list)):
        raise TypeError(f"{op}: expected a tuple of sizes, got {type(size).__name__}")
    return _checked(op, tuple(size))


def _checked(op: str, sizes: tuple[Any, ...]) -> tuple[int, ...]:
    for size in sizes:
        if isinstance(size, bool) or (isinstance(size, Tensor) and size.numel() != 1):
            raise TypeError(f"{op}: expected integers as sizes, got {size!r:.60}")
    whole = tuple(map(operator.index, sizes))
    if any(n < 0 for n in whole):
        raise RuntimeError(f"Trying to create tensor with negative dimension in {whole}")
    if math.prod(whole) >= 2**60:
        raise RuntimeError(f"{op}: expected sizes that memory can hold, got {whole}")
    return whole


def as_number(op: str, value: Any) -> Any:
    """The Python number that a number, NumPy's or a 0-d tensor's, stands for."""
    if isinstance(value, Tensor) and value.ndim == 0:
        return value._array.item()
    if isinstance(value, np.generic):
        return value.item()
    if not isinstance(value, (bool, int, float)):
        what = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)
        raise TypeError(f"{op}: expected a number, got {what:.60}")
    return value


@silent
def stored(op: str, value: Any, kind: np.dtype[Any]) -> Array:
    """A Python number as a 0-d array of a type. Raises RuntimeError where torch refuses it."""
    if isinstance(value, int):
        dtypes.wrapped(value, dtypes.int64.numpy)  # raises for what has no 64-bit form
    dtypes.check_fits(op, value, kind)
    if kind.kind in "iu" and isinstance(value, int):
        value = dtypes.wrapped(value, kind)
    return np.asarray(np.asarray(value).astype(kind))
