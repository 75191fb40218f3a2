"""Data types under torch's names, and torch's rules for mixing them.

A `dtype` names a NumPy type; arrays inside the framework carry the NumPy type, users see this one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class dtype:
    """A type of element: `tinytensor.float32`. Compared by identity, there is one object a type."""

    __slots__ = ("is_floating_point", "itemsize", "name", "numpy")

    def __init__(self, name: str) -> None:
        self.name = name
        self.numpy = np.dtype(name)
        self.itemsize = self.numpy.itemsize
        self.is_floating_point = self.numpy.kind == "f"

    is_complex = False

    @property
    def is_signed(self) -> bool:
        return self.numpy.kind in "if"

    def __repr__(self) -> str:
        return f"tinytensor.{self.name}"

    def __reduce__(self) -> str:
        return self.name


float16 = half = dtype("float16")
float32 = dtype("float32")
float64 = double = dtype("float64")
int8 = dtype("int8")
int16 = short = dtype("int16")
int32 = dtype("int32")
int64 = long = dtype("int64")
uint8 = dtype("uint8")
uint16 = dtype("uint16")
uint32 = dtype("uint32")
uint64 = dtype("uint64")
boolean = dtype("bool")

BY_NUMPY: dict[np.dtype[Any], dtype] = {
    kind.numpy: kind
    for kind in (
        float16, float32, float64, int8, int16, int32, int64, uint8, uint16, uint32, uint64,
        boolean,
    )
}  # fmt: skip

_default = float32


def get_default_dtype() -> dtype:
    """The type of a new floating-point tensor made from Python numbers: float32 unless set."""
    return _default


def set_default_dtype(d: dtype) -> None:
    """Make `d` the type of new floating-point tensors. Raises TypeError unless it is one."""
    global _default
    if not isinstance(d, dtype) or not d.is_floating_point:
        raise TypeError(f"set_default_dtype: expected a floating-point dtype, got {d!r}")
    _default = d


def numpy_dtype(d: Any) -> np.dtype[Any]:
    """The NumPy type of a dtype as users may write it: ours, NumPy's, or Python's."""
    if isinstance(d, dtype):
        return d.numpy
    kind = BY_NUMPY.get(np.dtype(d))
    if kind is None:
        raise TypeError(
            "dtype: expected one of " + ", ".join(map(repr, BY_NUMPY.values())) + f", got {d!r}"
        )
    return kind.numpy


def of_numpy(d: np.dtype[Any]) -> dtype:
    """Our name of a NumPy type. Raises TypeError for the types that a tensor can't hold."""
    kind = BY_NUMPY.get(d)
    if kind is None:
        raise TypeError(f"tensor: expected a real number or bool type, got NumPy's {d}")
    return kind


_CATEGORY = {"b": 0, "u": 1, "i": 1, "f": 2}


def can_hold(target: np.dtype[Any], source: np.dtype[Any]) -> bool:
    """Whether an in-place result may be cast: never to a lower category (torch's rule)."""
    return _CATEGORY[target.kind] >= _CATEGORY[source.kind]


def promote_types(type1: dtype, type2: dtype) -> dtype:
    """The smallest type that holds both, where any float holds any integer (torch's rule)."""
    return BY_NUMPY[_promote(type1.numpy, type2.numpy)]


def _promote(a: np.dtype[Any], b: np.dtype[Any]) -> np.dtype[Any]:
    if (a.kind == "f") != (b.kind == "f"):
        return a if a.kind == "f" else b
    return np.promote_types(a, b)


def number_dtype(value: Any) -> np.dtype[Any]:
    """The type that a Python number stands for when it decides one: bool, int64, the default."""
    if isinstance(value, bool):
        return boolean.numpy
    if isinstance(value, int):
        return int64.numpy
    return _default.numpy


def common_dtype(values: Iterable[Any]) -> np.dtype[Any]:
    """The type in which an operation on `values` (arrays and Python numbers) is carried out.

    torch's rule: arrays with dimensions decide; a 0-d array, and after it a Python number, has a
    say only where it is of a higher category (bool < integer < float).
    """
    ranked: list[np.dtype[Any] | None] = [None, None, None]
    for value in values:
        if not isinstance(value, np.ndarray):
            rank, own = 2, number_dtype(value)
        elif value.ndim == 0:
            rank, own = 1, value.dtype
        else:
            rank, own = 0, value.dtype
        seen = ranked[rank]
        ranked[rank] = own if seen is None else _promote(seen, own)
    result: np.dtype[Any] | None = None
    for own_or_none in ranked:
        if own_or_none is None:
            continue
        if result is None or _CATEGORY[own_or_none.kind] > _CATEGORY[result.kind]:
            result = own_or_none
    if result is None:
        raise TypeError("result_type: expected at least one tensor or number, got none")
    return result
