"""Operations that take many elements to few: along `dim` (an int, a tuple, or None for all)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd.primitive import primitive
from ..dtypes import FLOATING, Array
from .elementwise import cast, exp, ones_like
from .options import with_dtype, with_last_dtype
from .scan import cumprod, shifted, stretch
from .shape import expand, flip, reshape, wrap_dim

Dims = int | Sequence[int] | None


def check_keepdim(keepdim: Any) -> None:
    """Raise TypeError for anything but a bool: a second dimension, say."""
    if not isinstance(keepdim, bool):
        raise TypeError(
            f"expected keepdim to be a bool, got {keepdim!r:.60}; give dimensions as a tuple"
        )


def axes_of(dim: Dims, ndim: int, keepdim: bool = False) -> tuple[int, ...]:
    """The dimensions that a reduction removes; an empty `dim` means all, as in torch.

    Raises TypeError for a bool in the place of a dimension, or anything else in that of `keepdim`.
    """
    check_keepdim(keepdim)
    if isinstance(dim, bool):
        raise TypeError(f"expected dim to be an int, a tuple or None, got {dim}")
    if dim is None or (not isinstance(dim, int) and len(dim) == 0):
        return tuple(range(ndim))
    dims = (dim,) if isinstance(dim, int) else tuple(dim)
    wrapped = tuple(wrap_dim(d, ndim) for d in dims)
    if len(set(wrapped)) != len(wrapped):
        raise ValueError(f"dim appears more than once in {dims}")
    return wrapped if ndim else ()


def kept(value: Any, spec: Any, dim: Dims) -> Any:
    """A reduced value with the reduced dimensions back, at size 1."""
    axes = axes_of(dim, len(spec.shape))
    return reshape(value, tuple(1 if i in axes else n for i, n in enumerate(spec.shape)))


def count_along(spec: Any, dim: Dims) -> int:
    """How many elements fall into one."""
    count = 1
    for axis in axes_of(dim, len(spec.shape)):
        count *= spec.shape[axis]
    return count


@with_dtype
@primitive(lambda g, shape_x, dim: expand(kept(g, shape_x, dim), shape_x.shape), promote=None)
def sum(x: Array, dim: Dims = None, keepdim: bool = False) -> Array:
    """y = Σ x along `dim`;  gx = g, spread. Integers and bools are summed as int64."""
    kind = np.int64 if x.dtype.kind in "iub" else None
    y = x.sum(axis=axes_of(dim, x.ndim, keepdim), keepdims=keepdim, dtype=kind)
    return np.asarray(y, order="C")


@with_dtype
@primitive(
    lambda g, shape_x, dim: expand(
        kept(g, shape_x, dim) * (1 / max(count_along(shape_x, dim), 1)), shape_x.shape
    ),
    promote=None,
)
def mean(x: Array, dim: Dims = None, keepdim: bool = False) -> Array:
    """y = Σ x / n along `dim`, n elements each;  gx = g / n, spread. Not a number for n = 0."""
    if x.dtype.kind not in FLOATING:
        raise ValueError(f"expected a floating-point tensor, got {x.dtype}; use .float()")
    axes = axes_of(dim, x.ndim, keepdim)
    count = count_along(x, dim)
    return np.asarray(x.sum(axis=axes, keepdims=keepdim), order="C") / x.dtype.type(count)


def _prod_rule(g: Any, x: Any, y: Any, dim: int | None) -> Any:
    """g y / x, or where a zero forbids that, g times the product of the others itself."""
    g = kept(g, x, dim)
    if not any(x == 0):
        return g * (kept(y, x, dim) / x)
    line = reshape(x, (-1,)) if dim is None or x.ndim == 0 else x
    return g * reshape(_others(line, dim or 0), x.shape)


def _others(x: Any, dim: int) -> Any:
    """For each element the product of all others along `dim`: of those before and those after."""
    one = ones_like(stretch(x, dim, None, 1))
    before = shifted(cumprod(x, dim), dim, one)
    after = flip(shifted(cumprod(flip(x, (dim,)), dim), dim, one), (dim,))
    return before * after


@with_dtype
@primitive(_prod_rule, promote=None)
def prod(x: Array, dim: int | None = None, keepdim: bool = False) -> Array:
    """y = Π x along `dim`;  gx = g times the product of the others, exact with zeros too.

    `dim` is one dimension or None for all. Integers and bools are multiplied as int64.
    """
    if dim is not None and not isinstance(dim, int):
        raise TypeError(f"prod: expected one dimension or None, got {dim}; call it for each")
    kind = np.int64 if x.dtype.kind in "iub" else None
    y = x.prod(axis=axes_of(dim, x.ndim, keepdim), keepdims=keepdim, dtype=kind)
    return np.asarray(y, order="C")


def _extreme_rule(g: Any, x: Any, y: Any, dim: Dims) -> Any:
    """g shared evenly among the elements that equal the extreme, or are NaN as it is."""
    top = kept(y, x, dim)
    chosen = (x == top) | ((x != x) & (top != top))
    ones = cast(chosen, x.dtype)
    return kept(g, x, dim) / sum(ones, dim, True) * ones


def _axes_with_elements(x: Array, dim: Dims, keepdim: bool) -> tuple[int, ...]:
    """As `axes_of`. Raises IndexError for a dimension without elements, named in `dim`."""
    axes = axes_of(dim, x.ndim, keepdim)
    if x.size == 0 and dim not in (None, (), []) and 0 in [x.shape[axis] for axis in axes]:
        raise IndexError(f"expected at least one element along dim {dim}, got none")
    return axes


@primitive(_extreme_rule, promote=None)
def amax(x: Array, dim: Dims = (), keepdim: bool = False) -> Array:
    """y = max x along `dim`;  g is shared evenly among equal largest elements."""
    y = x.max(axis=_axes_with_elements(x, dim, keepdim), keepdims=keepdim)
    return np.asarray(y, order="C")


@primitive(_extreme_rule, promote=None)
def amin(x: Array, dim: Dims = (), keepdim: bool = False) -> Array:
    """y = min x along `dim`;  g is shared evenly among equal smallest elements."""
    y = x.min(axis=_axes_with_elements(x, dim, keepdim), keepdims=keepdim)
    return np.asarray(y, order="C")


def _check_place(x: Array, dim: int | None, keepdim: bool) -> None:
    """Raise for what `argmax` and `argmin` do not take."""
    if not (dim is None or (isinstance(dim, int) and not isinstance(dim, bool))):
        raise TypeError(f"expected dim to be an int or None, got {dim!r}")
    axes_of(dim, x.ndim, keepdim)
    if x.dtype.kind == "b":
        raise RuntimeError("argmax, argmin: expected numbers, got a bool tensor; use .int()")
    if x.ndim and (x.size if dim is None else x.shape[dim]) == 0:
        raise IndexError("expected at least one element, got none")


@primitive(None, promote=None)
def argmax(x: Array, dim: int | None = None, keepdim: bool = False) -> Array:
    """The index of the (first) largest element along `dim`, or in the flattened tensor."""
    _check_place(x, dim, keepdim)
    return np.argmax(x, axis=dim, keepdims=keepdim)


@primitive(None, promote=None)
def argmin(x: Array, dim: int | None = None, keepdim: bool = False) -> Array:
    """The index of the (first) smallest element along `dim`, or in the flattened tensor."""
    _check_place(x, dim, keepdim)
    return np.argmin(x, axis=dim, keepdims=keepdim)


def _truth_axes(dim: Dims, ndim: int, keepdim: bool) -> tuple[int, ...]:
    """As `axes_of`, but an empty `dim` removes nothing (as in torch, for these two only)."""
    axes = axes_of(dim, ndim, keepdim)
    empty = dim is not None and not isinstance(dim, int) and len(dim) == 0
    return () if empty else axes


def _truth(y: Any, x: Array) -> Array:
    """The answer in bool, for uint8 in uint8 (which was once torch's type of truth)."""
    return np.asarray(y, np.uint8 if x.dtype == np.uint8 else np.bool_, order="C")


@primitive(None, promote=None)
def any(x: Array, dim: Dims = None, keepdim: bool = False) -> Array:
    """Whether an element along `dim` is not zero."""
    return _truth(np.any(x, axis=_truth_axes(dim, x.ndim, keepdim), keepdims=keepdim), x)


@primitive(None, promote=None)
def all(x: Array, dim: Dims = None, keepdim: bool = False) -> Array:
    """Whether no element along `dim` is zero."""
    return _truth(np.all(x, axis=_truth_axes(dim, x.ndim, keepdim), keepdims=keepdim), x)


@with_last_dtype
@primitive(lambda g, y, dim: y * (g - sum(g * y, dim, True)), promote=None)
def softmax(x: Array, dim: int) -> Array:
    """y = e^x / Σ e^x along `dim`;  gx = y (g - Σ g y). NaN along a line with inf or NaN in it."""
    shifted, axis = _below_the_largest("softmax", x, dim)
    y = np.exp(shifted)
    return np.asarray(y / y.sum(axis=axis, keepdims=True), order="C")


@with_last_dtype
@primitive(lambda g, y, dim: g - exp(y) * sum(g, dim, True), promote=None)
def log_softmax(x: Array, dim: int) -> Array:
    """y = x - ln Σ e^x along `dim`;  gx = g - e^y Σ g. NaN along a line with inf or NaN in it."""
    shifted, axis = _below_the_largest("log_softmax", x, dim)
    y = shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))
    return np.asarray(y, order="C")


def _below_the_largest(name: str, x: Array, dim: int) -> tuple[Array, int | None]:
    """(x less its largest element along `dim`, so that exp can't overflow, and `dim` as axis)."""
    if not isinstance(dim, int) or isinstance(dim, bool):
        raise TypeError(f"{name}: expected dim to be an int, got {dim!r}")
    place = wrap_dim(dim, x.ndim)
    axis = place if x.ndim else None
    if x.dtype.kind not in FLOATING:
        raise NotImplementedError(
            f"{name}: expected a floating-point tensor, got {x.dtype}; use .float()"
        )
    if x.size == 0:
        return x, axis
    return x - x.max(axis=axis, keepdims=True), axis


@primitive(lambda g, x, y, dim: kept(g, x, dim) * exp(x - kept(y, x, dim)), promote="float")
def logsumexp(x: Array, dim: Dims, keepdim: bool = False) -> Array:
    """y = ln Σ e^x along `dim`;  gx = g e^(x - y)."""
    axes = axes_of(dim, x.ndim, keepdim)
    top = _finite_max(x, axes)
    y = np.log(np.exp(x - top).sum(axis=axes, keepdims=True)) + top
    return np.asarray(y if keepdim else y.squeeze(axes), order="C")


def _finite_max(x: Array, dim: Any) -> Array:
    """The largest element, to be subtracted before exp; 0 where it is infinite."""
    if x.size == 0:
        return np.zeros((), x.dtype)
    top = np.asarray(x.max(axis=dim, keepdims=True))
    return np.where(np.isfinite(top), top, x.dtype.type(0)) if not np.isfinite(top).all() else top
