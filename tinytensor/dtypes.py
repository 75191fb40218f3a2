"""Data types under torch's names, and torch's rules for mixing them.

A `dtype` names a NumPy type; arrays inside the framework carry the NumPy type, users see this one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# NumPy's kinds of floating-point type. A tensor is complex only inside `complex_as_float`.
FLOATING = "fc"


class dtype:
    """A type of element: `tinytensor.float32`. Compared by identity, there is one object a type.

    is_floating_point, is_complex, is_signed : what its numbers are; there are no complex types
    itemsize : the bytes of one element
    """

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
        return "boolean" if self.name == "bool" else self.name


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


def set_default_dtype(d: dtype, /) -> None:
    """Make `d` the type of new floating-point tensors. Raises TypeError unless it is one."""
    global _default
    if not isinstance(d, dtype) or not d.is_floating_point:
        raise TypeError(f"set_default_dtype: expected a floating-point dtype, got {d!r}")
    _default = d


def numpy_dtype(d: Any) -> np.dtype[Any]:
    """The NumPy type of a dtype as users may write it: ours, NumPy's, or Python's.

    Raises TypeError for anything else, a name in quotes as well.
    """
    if isinstance(d, dtype):
        return d.numpy
    kind = BY_NUMPY.get(np.dtype(d)) if isinstance(d, (type, np.dtype)) else None
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


@contextmanager
def complex_as_float() -> Iterator[None]:
    """Let complex arrays pass for float64 ones: the engine's own use, see `gradcheck`."""
    kind = np.dtype(np.complex128)
    BY_NUMPY[kind] = float64
    try:
        yield
    finally:
        del BY_NUMPY[kind]


_CATEGORY = {"b": 0, "u": 1, "i": 1, "f": 2, "c": 3}


def can_hold(target: np.dtype[Any], source: np.dtype[Any]) -> bool:
    """Whether an in-place result may be cast: never to a lower category (torch's rule)."""
    return _CATEGORY[target.kind] >= _CATEGORY[source.kind]


def can_cast(from_: Any, to: Any) -> bool:
    """Whether torch's rule allows the cast: never from float to integer, nor from either to bool.

    It says nothing about range: float64 may be cast to float16, and int64 to uint8.
    """
    return can_hold(numpy_dtype(to), numpy_dtype(from_))


def promote_types(type1: Any, type2: Any) -> dtype:
    """The smallest type that holds both, where any float holds any integer (torch's rule).

    Raises RuntimeError for uint16, uint32 or uint64 beside another type that is no float, as torch
    has no such rules.
    """
    return BY_NUMPY[promoted(numpy_dtype(type1), numpy_dtype(type2))]


_UNPROMOTED = {uint16.numpy, uint32.numpy, uint64.numpy}


def promoted(a: np.dtype[Any], b: np.dtype[Any]) -> np.dtype[Any]:
    if (a.kind in FLOATING) != (b.kind in FLOATING):
        return a if a.kind in FLOATING else b
    if a != b and (a in _UNPROMOTED or b in _UNPROMOTED):
        raise RuntimeError(
            "promote_types: expected no uint16, uint32 or uint64 beside another integer or bool "
            f"type, got {of_numpy(a)} and {of_numpy(b)}; convert one"
        )
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
        ranked[rank] = own if seen is None else promoted(seen, own)
    result: np.dtype[Any] | None = None
    for own_or_none in ranked:
        if own_or_none is None:
            continue
        if result is None or _CATEGORY[own_or_none.kind] > _CATEGORY[result.kind]:
            result = own_or_none
    if result is None:
        raise TypeError("result_type: expected at least one tensor or number, got none")
    return result


# -- numbers that do not fit


def wrapped(number: int, kind: np.dtype[Any]) -> int:
    """An integer in an operation with an integer array: its lowest bits, as torch takes them.

    Raises OverflowError for one that has no 64-bit form at all, in [-2^63, 2^64).
    """
    if not -(2**63) <= number < 2**64:
        raise OverflowError(
            f"expected an integer in [-2**63, 2**64), got {number}; make it a float"
        )
    bits = 8 * kind.itemsize
    low = number % 2**bits
    return low - 2**bits if kind.kind == "i" and low >= 2 ** (bits - 1) else low


def fits(number: Any, kind: np.dtype[Any]) -> bool:
    """Whether torch lets a Python number be stored in a type.

    An integer type takes what lies in its range, the fraction cut off, an unsigned one also a
    negative integer whose absolute value does; bool takes everything, a float type infinity.
    """
    if kind.kind == "b":
        return True
    if kind.kind in FLOATING:
        return not abs(number) > float(np.finfo(kind).max) or _infinite(number)
    limits = np.iinfo(kind)
    if kind.kind == "u" and isinstance(number, int):
        return bool(-limits.max <= number <= limits.max)
    return bool(limits.min <= number <= limits.max)


def _infinite(number: Any) -> bool:
    return isinstance(number, float) and abs(number) == float("inf")


def check_fits(op: str, number: Any, kind: np.dtype[Any]) -> None:
    """Raise RuntimeError where torch refuses to store a Python number in a type."""
    if not fits(number, kind):
        raise RuntimeError(
            f"{op}: value cannot be converted to {of_numpy(kind)} without overflow: got {number}"
        )


# -- the limits of a type


class finfo:
    """The limits of a floating-point type (the default one if none is given), as Python floats.

    bits : the size of a number
    eps : the distance from 1 to the next larger number
    min, max : the most negative and the largest finite number
    tiny, smallest_normal : the smallest positive number of full precision
    resolution : 10 to the number of decimal digits that always survive, negated
    Raises TypeError for other types.
    """

    __slots__ = ("bits", "dtype", "eps", "max", "min", "resolution", "smallest_normal", "tiny")

    def __init__(self, type: Any = None) -> None:
        kind = _default.numpy if type is None else numpy_dtype(type)
        if kind.kind != "f":
            raise TypeError(
                f"finfo: expected a floating-point dtype, got {of_numpy(kind)}; use iinfo"
            )
        limits = np.finfo(kind)
        self.bits = 8 * kind.itemsize
        self.eps = float(limits.eps)
        self.max = float(limits.max)
        self.min = float(limits.min)
        self.tiny = float(limits.smallest_normal)
        self.smallest_normal = self.tiny
        self.resolution = float(f"1e-{limits.precision}")
        self.dtype = of_numpy(kind).name

    def __repr__(self) -> str:
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, "
            f"eps={self.eps:g}, smallest_normal={self.tiny:g}, tiny={self.tiny:g}, "
            f"dtype={self.dtype})"
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, finfo) and self.dtype == other.dtype

    def __hash__(self) -> int:
        return hash(("finfo", self.dtype))


class iinfo:
    """The limits of an integer type, as Python ints: bits, min, max. Raises TypeError for others.

    Its printed form rounds to six digits, as torch's does; the attributes are exact.
    """

    __slots__ = ("bits", "dtype", "max", "min")

    def __init__(self, type: Any) -> None:
        kind = numpy_dtype(type)
        if kind.kind not in "iu":
            raise TypeError(f"iinfo: expected an integer dtype, got {of_numpy(kind)}; use finfo")
        limits = np.iinfo(kind)
        self.bits = 8 * kind.itemsize
        self.max = int(limits.max)
        self.min = int(limits.min)
        self.dtype = of_numpy(kind).name

    def __repr__(self) -> str:
        return f"iinfo(min={self.min:g}, max={self.max:g}, dtype={self.dtype})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, iinfo) and self.dtype == other.dtype

    def __hash__(self) -> int:
        return hash(("iinfo", self.dtype))
