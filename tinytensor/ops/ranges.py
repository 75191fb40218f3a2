"""Numbers in a row: `arange`, `linspace`, `logspace`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import dtypes
from ..dtypes import Array
from ..tensor import Tensor
from .making import as_number, finished, kind_of, shape_of, silent


@silent
def arange(
    start: Any = 0,
    end: Any = None,
    step: Any = 1,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """start, start + step, ... below end; `arange(end)` starts at 0. Integers give int64.

    For an integer dtype the three lose their fractions first, as in torch.
    Raises RuntimeError if the step leads away from the end, or is 0.
    """
    if end is None:
        start, end = 0, start
    first, last, by = (as_number("arange", number) for number in (start, end, step))
    whole = all(isinstance(number, int) for number in (first, last, by))
    kind = (dtypes.int64.numpy if whole else kind_of(None)) if dtype is None else kind_of(dtype)
    if kind.kind == "b":
        raise NotImplementedError("arange: expected a number type, got bool")
    if not all(map(math.isfinite, (first, last, by))):
        raise RuntimeError(f"arange: expected a finite range, got {first} to {last} by {by}")
    if by == 0 or (last - first) * by < 0:
        raise RuntimeError(f"arange: expected a step from {first} towards {last}, got {by}")
    if kind.kind in "iu":
        first, last, by = int(first), int(last), int(by)
        if by == 0:
            raise ValueError(f"arange: expected a whole step for {dtype}, got {step}")
        count = -((first - last) // by)
    else:
        count = math.ceil((last - first) / by)
    numbers = first + np.arange(count) * by
    return finished(numbers.astype(kind), requires_grad, device)


@silent
def linspace(
    start: Any,
    end: Any,
    steps: int,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` numbers at equal distances from start to end, both included.

    The first half is counted from the start and the second from the end, as in torch. An integer
    type cuts the fractions off.
    """
    kind = _number_kind("linspace", dtype)
    unit = kind if kind.kind == "f" else dtypes.float32.numpy
    places = _places("linspace", start, end, steps, unit)
    return finished(places.astype(kind), requires_grad, device)


@silent
def logspace(
    start: Any,
    end: Any,
    steps: int,
    base: float = 10.0,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """base^x for `steps` numbers x at equal distances from start to end, both included.

    An integer type cuts the fractions off.
    """
    kind = _number_kind("logspace", dtype)
    unit = kind if kind == np.float32 else dtypes.float64.numpy
    places = _places("logspace", start, end, steps, unit)
    powers = np.power(float(as_number("logspace", base)), places.astype(np.float64))
    return finished(powers.astype(kind), requires_grad, device)


def _number_kind(op: str, dtype: Any) -> np.dtype[Any]:
    kind = kind_of(dtype)
    if kind.kind == "b":
        raise NotImplementedError(f"{op}: expected a number type, got bool")
    return kind


def _places(op: str, start: Any, end: Any, steps: Any, unit: np.dtype[Any]) -> Array:
    """Places at equal distances, counted from the nearer end in arithmetic of type `unit`."""
    (count,) = shape_of(op, (steps,))
    low, high = (unit.type(_bound(op, value)) for value in (start, end))
    if count < 2:
        return np.full(count, low)
    step = (high - low) / unit.type(count - 1)
    place = np.arange(count)
    from_start = low + step * place.astype(unit)
    from_end = high - step * (count - 1 - place).astype(unit)
    return np.where(place < count // 2, from_start, from_end)


def _bound(op: str, value: Any) -> Any:
    if isinstance(value, Tensor) and value.ndim:
        raise RuntimeError(
            f"{op}: expected numbers or 0-d tensors as start and end, got shape "
            f"{tuple(value.shape)}"
        )
    return as_number(op, value)
