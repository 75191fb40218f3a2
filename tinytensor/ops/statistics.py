"""Spread and middle of the elements along a dimension."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ..autograd.primitive import primitive
from ..autograd.view import owned
from ..dtypes import FLOATING, Array
from ..tensor import Tensor
from .compare import isnan, ne
from .elementwise import cast, where
from .index import gather
from .options import with_numpy_names
from .reduce import Dims, axes_of, check_keepdim, count_along, kept, mean, sum
from .shape import squeeze, wrap_dim


@with_numpy_names
def count_nonzero(input: Tensor, dim: Dims = None) -> Tensor:
    """How many elements along `dim` are not zero, as int64."""
    return sum(ne(input, 0), dim)


# -- variance


def _slope(spec: Any, dim: Dims, correction: float) -> float:
    """2 / (n - correction)."""
    freedom = count_along(spec, dim) - correction
    return 2 / freedom if freedom else math.inf


def _var_rule(g: Any, x: Any, dim: Dims, correction: float) -> Any:
    return _slope(x, dim, correction) * kept(g, x, dim) * (x - mean(x, dim, True))


def _std_rule(g: Any, x: Any, y: Any, dim: Dims, correction: float) -> Any:
    return _var_rule(where(y == 0, 0.0, g / (2 * y)), x, dim, correction)


def _variance(name: str, x: Array, dim: Dims, correction: float, keepdim: bool) -> Array:
    if x.dtype.kind not in FLOATING:
        raise RuntimeError(f"{name}: expected a floating-point tensor, got {x.dtype}; use .float()")
    axes = axes_of(dim, x.ndim, keepdim)
    count = x.dtype.type(count_along(x, dim))
    if x.size:  # less the first one, so that what does not vary has a variance of 0 exactly
        x = x - x[tuple(slice(1) if i in axes else slice(None) for i in range(x.ndim))]
    away = x - np.asarray(x.sum(axis=axes, keepdims=True)) / count
    freedom = x.dtype.type(max(0, count_along(x, dim) - correction))
    return np.asarray((away * away).sum(axis=axes, keepdims=keepdim), order="C") / freedom


@primitive(_var_rule, promote=None)
def _var(x: Array, dim: Dims, correction: float, keepdim: bool) -> Array:
    """y = Σ (x - m)² / (n - correction), m the mean;  gx = 2 g (x - m) / (n - correction)."""
    return _variance("var", x, dim, correction, keepdim)


@primitive(_std_rule, promote=None)
def _std(x: Array, dim: Dims, correction: float, keepdim: bool) -> Array:
    """y = √var;  gx = g (x - m) / (y (n - correction)), 0 where y is 0."""
    return np.sqrt(_variance("std", x, dim, correction, keepdim))


def _read(name: str, dim: Any, unbiased: Any, correction: Any) -> tuple[Dims, float]:
    """(dim, correction) of torch's two spellings; a bool in the place of `dim` is `unbiased`."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if not (unbiased is None or isinstance(unbiased, bool)):
        raise TypeError(
            f"{name}: expected unbiased to be a bool, got {unbiased!r:.60}; give dim as a tuple"
        )
    if unbiased is not None and correction is not None:
        raise TypeError(f"{name}: expected unbiased or correction, got both")
    if unbiased is not None:
        correction = 1 if unbiased else 0
    return dim, 1 if correction is None else correction


@with_numpy_names
def var(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Any:
    """The variance Σ (x - m)² / (n - correction) along `dim`; correction is 1 by default.

    unbiased : True for a correction of 1, False for 0
    Infinite or not a number where n does not exceed the correction.
    """
    dim, correction = _read("var", dim, unbiased, correction)
    return _var(input, dim, correction, keepdim)


@with_numpy_names
def std(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Any:
    """The standard deviation √var along `dim`, see `var`; its gradient is 0 where it is 0."""
    dim, correction = _read("std", dim, unbiased, correction)
    return _std(input, dim, correction, keepdim)


# -- median


class Median(NamedTuple):
    """The medians along a dimension, and where they stand."""

    values: Tensor
    indices: Tensor


def _check_ordered(x: Array) -> None:
    if x.dtype.kind == "b":
        raise NotImplementedError("median: expected numbers, got a bool tensor; use .int()")


def _median_rule(g: Any, x: Any, y: Any) -> Any:
    chosen = cast((x == y) | (isnan(x) & isnan(y)), x.dtype)
    return g / sum(chosen) * chosen


@primitive(_median_rule, promote=None)
def _median(x: Array) -> Array:
    """y = the median of all elements;  g is shared evenly among the elements that equal it."""
    _check_ordered(x)
    if x.size == 0:
        if x.dtype.kind not in FLOATING:
            return np.asarray(np.iinfo(x.dtype).min, x.dtype)
        return np.asarray(np.nan, x.dtype)
    if x.dtype.kind in FLOATING and np.isnan(x).any():
        return np.asarray(np.nan, x.dtype)
    return np.partition(x.reshape(-1), (x.size - 1) // 2)[(x.size - 1) // 2]


@primitive(None, promote=None)
def _median_index(x: Array, dim: int) -> Array:
    """Where the median along `dim` stands, with `dim` at size 1."""
    _check_ordered(x)
    if x.ndim == 0:
        return np.zeros((), np.int64)
    size = x.shape[dim]
    if size == 0:
        raise IndexError(f"expected dim {dim} to have elements, got size 0")
    order = np.argsort(x, axis=dim, kind="stable")
    place = np.full([1 if i == dim else n for i, n in enumerate(x.shape)], (size - 1) // 2)
    if x.dtype.kind in FLOATING:  # NaN sorts last: the first of them is at the count of the others
        numbers = np.count_nonzero(~np.isnan(x), axis=dim, keepdims=True)
        place = np.where(numbers < size, numbers, place)
    return np.take_along_axis(order, place, dim)


@with_numpy_names
def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The median: the lower of the two middle elements if their number is even.

    Of all elements, or along a `dim` the pair (values, indices). Not a number if one element is.
    g is shared evenly among equal elements for the first, and goes to `indices` for the second; of
    equal medians that is the one in the middle by stable order (torch leaves open which).
    """
    if dim is None:
        if keepdim:
            raise TypeError("median: expected dim, an int, with keepdim, got None")
        return _median(input)
    if isinstance(dim, bool):
        raise TypeError(f"median: expected dim to be an int, got {dim}")
    dim = wrap_dim(dim, input.ndim, "median")
    check_keepdim(keepdim)
    indices = _median_index(input, dim)
    values = gather(input, dim, indices)
    if not keepdim:
        values, indices = owned(squeeze(values, dim)), owned(squeeze(indices, dim))
    return Median(values, indices)
