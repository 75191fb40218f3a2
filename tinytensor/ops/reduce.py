"""Operations that take many elements to few: along `dim` (an int, a tuple, or None for all)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd.primitive import primitive
from ..dtypes import Array
from .elementwise import cast, exp
from .shape import expand, reshape, wrap_dim

Dims = int | Sequence[int] | None


def _axes(dim: Dims, ndim: int) -> tuple[int, ...]:
    """The dimensions that a reduction removes; an empty `dim` means all, as in torch."""
    if dim is None or (not isinstance(dim, int) and len(dim) == 0):
        return tuple(range(ndim))
    dims = (dim,) if isinstance(dim, int) else tuple(dim)
    wrapped = tuple(wrap_dim(d, ndim) for d in dims)
    if len(set(wrapped)) != len(wrapped):
        raise ValueError(f"dim appears more than once in {dims}")
    return wrapped if ndim else ()


def _kept(value: Any, spec: Any, dim: Dims) -> Any:
    """A reduced value with the reduced dimensions back, at size 1."""
    axes = _axes(dim, len(spec.shape))
    return reshape(value, tuple(1 if i in axes else n for i, n in enumerate(spec.shape)))


def _count(spec: Any, dim: Dims) -> int:
    """How many elements fall into one."""
    count = 1
    for axis in _axes(dim, len(spec.shape)):
        count *= spec.shape[axis]
    return count


@primitive(lambda g, shape_x, dim: expand(_kept(g, shape_x, dim), shape_x.shape), promote=None)
def sum(x: Array, dim: Dims = None, keepdim: bool = False) -> Array:
    """y = Σ x along `dim`;  gx = g, spread. Integers and bools are summed as int64."""
    kind = np.int64 if x.dtype.kind in "iub" else None
    return x.sum(axis=_axes(dim, x.ndim), keepdims=keepdim, dtype=kind)


@primitive(
    lambda g, shape_x, dim: expand(
        _kept(g, shape_x, dim) * (1 / max(_count(shape_x, dim), 1)), shape_x.shape
    ),
    promote=None,
)
def mean(x: Array, dim: Dims = None, keepdim: bool = False) -> Array:
    """y = Σ x / n along `dim`, n elements each;  gx = g / n, spread. Not a number for n = 0."""
    if x.dtype.kind != "f":
        raise ValueError(f"expected a floating-point tensor, got {x.dtype}; use .float()")
    axes = _axes(dim, x.ndim)
    count = _count(x, dim)
    return np.asarray(x.sum(axis=axes, keepdims=keepdim)) / x.dtype.type(count)


def _extreme_rule(g: Any, x: Any, y: Any, dim: Dims) -> Any:
    """g shared evenly among the elements that equal the extreme (torch's convention)."""
    chosen = x == _kept(y, x, dim)
    ones = cast(chosen, x.dtype)
    return expand(_kept(g, x, dim) / sum(ones, dim, True), x.shape) * ones


@primitive(_extreme_rule, promote=None)
def amax(x: Array, dim: Dims = (), keepdim: bool = False) -> Array:
    """y = max x along `dim`;  g is shared evenly among equal largest elements."""
    return x.max(axis=_axes(dim, x.ndim), keepdims=keepdim)


@primitive(_extreme_rule, promote=None)
def amin(x: Array, dim: Dims = (), keepdim: bool = False) -> Array:
    """y = min x along `dim`;  g is shared evenly among equal smallest elements."""
    return x.min(axis=_axes(dim, x.ndim), keepdims=keepdim)


def _check_not_empty(x: Array, dim: int | None) -> None:
    if x.ndim and (x.size if dim is None else x.shape[dim]) == 0:
        raise IndexError("expected at least one element, got none")


@primitive(None, promote=None)
def argmax(x: Array, dim: int | None = None, keepdim: bool = False) -> Array:
    """The index of the (first) largest element along `dim`, or in the flattened tensor."""
    _check_not_empty(x, dim)
    return np.argmax(x, axis=dim, keepdims=keepdim)


@primitive(None, promote=None)
def argmin(x: Array, dim: int | None = None, keepdim: bool = False) -> Array:
    """The index of the (first) smallest element along `dim`, or in the flattened tensor."""
    _check_not_empty(x, dim)
    return np.argmin(x, axis=dim, keepdims=keepdim)


@primitive(None, promote=None)
def any(x: Array, dim: Dims = None, keepdim: bool = False) -> Array:
    """Whether an element along `dim` is not zero."""
    return np.any(x, axis=_axes(dim, x.ndim), keepdims=keepdim)


@primitive(None, promote=None)
def all(x: Array, dim: Dims = None, keepdim: bool = False) -> Array:
    """Whether no element along `dim` is zero."""
    return np.all(x, axis=_axes(dim, x.ndim), keepdims=keepdim)


@primitive(lambda g, y, dim: y * (g - sum(g * y, dim, True)), promote=None)
def softmax(x: Array, dim: int) -> Array:
    """y = e^x / Σ e^x along `dim`;  gx = y (g - Σ g y)."""
    axes = _float_axes(x, dim)
    shifted = np.exp(x - _finite_max(x, axes))
    return np.asarray(shifted / shifted.sum(axis=axes, keepdims=True), order="C")


@primitive(lambda g, y, dim: g - exp(y) * sum(g, dim, True), promote=None)
def log_softmax(x: Array, dim: int) -> Array:
    """y = x - ln Σ e^x along `dim`;  gx = g - e^y Σ g."""
    axes = _float_axes(x, dim)
    shifted = x - _finite_max(x, axes)
    y = shifted - np.log(np.exp(shifted).sum(axis=axes, keepdims=True))
    return np.asarray(y, order="C")


def _float_axes(x: Array, dim: int) -> tuple[int, ...]:
    if x.dtype.kind != "f":
        raise ValueError(f"expected a floating-point tensor, got {x.dtype}; use .float()")
    return _axes(dim, x.ndim)


@primitive(lambda g, x, y, dim: _kept(g, x, dim) * exp(x - _kept(y, x, dim)), promote="float")
def logsumexp(x: Array, dim: Dims, keepdim: bool = False) -> Array:
    """y = ln Σ e^x along `dim`;  gx = g e^(x - y)."""
    axes = _axes(dim, x.ndim)
    top = _finite_max(x, axes)
    y = np.log(np.exp(x - top).sum(axis=axes, keepdims=True)) + top
    return y if keepdim else y.squeeze(axes)


def _finite_max(x: Array, dim: Any) -> Array:
    """The largest element, to be subtracted before exp; 0 where it is infinite."""
    if x.size == 0:
        return np.zeros((), x.dtype)
    top = np.asarray(x.max(axis=dim, keepdims=True))
    return np.where(np.isfinite(top), top, x.dtype.type(0)) if not np.isfinite(top).all() else top
