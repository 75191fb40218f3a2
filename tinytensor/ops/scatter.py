"""Writing elements where a tensor of indices or a mask says, one value over or into another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd.primitive import primitive
from ..dtypes import FLOATING, Array
from ..tensor import Tensor, make
from . import index as at
from .check import check_tensors
from .elementwise import maximum, where, zeros_of
from .index import gather, getitem, index_put_zeros, scatter_add
from .shape import common_shape, expand, reshape, wrap_dim


def scatter(
    input: Tensor,
    dim: int,
    index: Tensor,
    src: Any = None,
    *,
    value: Any = None,
    reduce: str | None = None,
) -> Tensor:
    """y = the input with src[i, j] written at y[index[i, j], j] for dim 0 (and so on).

    src : Tensor at least as large as the index, or a number
    value : a number, in src's place
    reduce : "add" or "multiply": into what is there instead of over it; see `scatter_reduce`
    g goes to the input but at the places written, and from there to src. Where an index names a
    place twice the last value stays and each src element gets that place's g (torch's convention).
    Raises RuntimeError for an index out of range or larger than input or src.
    """
    check_tensors("scatter", input, index)
    if (src is None) == (value is None):
        raise TypeError("scatter: expected either src or value")
    if isinstance(value, Tensor):
        value = value.item()
    given = value if src is None else src
    if reduce is None:
        result: Tensor = at._scatter(input, dim, index, given)
        return result
    if reduce not in _SHORT_NAMES:
        raise RuntimeError(f"scatter: expected reduce 'add' or 'multiply', got {reduce!r}")
    if not isinstance(given, Tensor):
        given = make(np.full(index._array.shape, given, input._array.dtype))
    return scatter_reduce(input, dim, index, given, _SHORT_NAMES[reduce])


_SHORT_NAMES = {"add": "sum", "multiply": "prod"}


def scatter_reduce(
    input: Tensor,
    dim: int,
    index: Tensor,
    src: Tensor,
    reduce: str,
    *,
    include_self: bool = True,
) -> Tensor:
    """y = the input with each src[i, j] taken together with what is at [index[i, j], j] for dim 0.

    src : Tensor at least as large as the index, of the input's dtype
    reduce : "sum", "prod", "mean", "amax" or "amin"
    include_self : whether the input's own element counts where one is written; it stays elsewhere
    The gradient is that of the sum, product ... over all that came to a place; of equal largest (or
    smallest) elements each gets an equal part of g. Raises RuntimeError as `scatter` does.
    """
    check_tensors("scatter_reduce", input, index, src)
    if reduce not in ("sum", "prod", "mean", "amax", "amin"):
        raise RuntimeError(
            "scatter_reduce: expected reduce 'sum', 'prod', 'mean', 'amax' or 'amin', "
            f"got {reduce!r}"
        )
    dim = wrap_dim(dim, input.ndim, "scatter_reduce")
    start = input if include_self else at._scatter(input, dim, index, _neutral(reduce, input))
    if reduce == "sum":
        total: Tensor = scatter_add(start, dim, index, src)
        return total
    if reduce == "mean":
        return _mean(start, dim, index, src, include_self)
    if reduce == "prod":
        return _product(start, dim, index, src)
    extreme: Tensor = _scatter_extreme(start, dim, index, src, reduce == "amax")
    return extreme


def _neutral(reduce: str, like: Tensor) -> Any:
    """The number that changes nothing where others are taken together with it."""
    if reduce in ("sum", "mean"):
        return 0
    if reduce == "prod":
        return 1
    kind = like._array.dtype
    if kind.kind in FLOATING:
        return -np.inf if reduce == "amax" else np.inf
    if kind.kind == "b":
        return reduce == "amin"
    limits = np.iinfo(kind)
    return int(limits.min if reduce == "amax" else limits.max)


def _mean(start: Tensor, dim: int, index: Tensor, src: Tensor, include_self: bool) -> Tensor:
    """The sum divided by how many came together."""
    ones = make(np.ones(src._array.shape, np.int64))
    own = make(np.full(start._array.shape, int(include_self), np.int64))
    count = maximum(scatter_add(own, dim, index, ones), make(np.ones((), np.int64)))
    total = scatter_add(start, dim, index, src)
    if total.is_floating_point():
        mean: Tensor = total / count.to(total.dtype)
        return mean
    rounded: Tensor = total // count.to(total.dtype)
    return rounded


def _product(start: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """The product, in rounds in which no place is named twice, so that zeros need no care."""
    at._scatter(start, dim, index, src)  # for its checks
    if index.numel() == 0:
        return start.clone()
    shape = start._array.shape or (1,)
    numbers = index._array if index.ndim else index._array.reshape(1)
    key = list(np.ogrid[tuple(slice(n) for n in numbers.shape)])
    key[dim] = numbers
    places = [np.broadcast_to(part, numbers.shape).reshape(-1) for part in key]
    corner = tuple(slice(n) for n in numbers.shape)
    values = reshape(getitem(reshape(src, src._array.shape or (1,)), (*corner, ...)), (-1,))
    result = reshape(start, shape)
    for chosen in _rounds(np.ravel_multi_index(places, shape)):
        spot = (*(make(part[chosen]) for part in places), ...)
        product = getitem(result, spot) * getitem(values, (make(chosen), ...))
        result = at.index_put(result, product, spot)
    like: Tensor = reshape(result, start._array.shape)
    return like


def _rounds(flat: Array) -> list[Array]:
    """The positions 0, 1, 2 ... of an array of numbers, in groups with no number twice."""
    order = np.argsort(flat, kind="stable")
    ordered = flat[order]
    first = np.flatnonzero(np.diff(ordered, prepend=-1))
    turn = np.arange(flat.size) - np.repeat(first, np.diff(first, append=flat.size))
    return [order[turn == number] for number in range(int(turn.max(initial=-1)) + 1)]


def _part_of_each(g: Any, y: Any, x: Any, dim: int, index: Any, source: Any) -> tuple[Any, Any]:
    """(g divided by how many elements are equal to the largest, or smallest, of their place, which
    of the source's are).
    """
    part = getitem(source, (*(slice(n) for n in index.shape), ...))
    equal = gather(y, dim, index) == part
    one = zeros_of(g, ()) + 1.0
    own = where(x == y, one, 0.0)
    count = scatter_add(own, dim, index, where(equal, one, 0.0))
    return g / count, equal


def _extreme_input(g: Any, y: Any, x: Any, dim: int, index: Any, source: Any) -> Any:
    part, _ = _part_of_each(g, y, x, dim, index, source)
    return where(x == y, part, 0.0)


def _extreme_source(g: Any, y: Any, x: Any, dim: int, index: Any, source: Any) -> Any:
    part, equal = _part_of_each(g, y, x, dim, index, source)
    found = where(equal, gather(part, dim, index), 0.0)
    if tuple(found.shape) == tuple(source.shape):
        return found
    return index_put_zeros(found, source.shape, tuple(slice(n) for n in index.shape))


@primitive(_extreme_input, None, None, _extreme_source, promote=None)
def _scatter_extreme(x: Array, dim: int, index: Array, source: Array, largest: bool) -> Array:
    """y = x, or the largest (else smallest) source[i, j] that came to x[index[i, j], j] for dim 0.

    g goes to what was chosen, in equal parts at a tie.
    """
    y = np.array(x, order="C")
    if index.size == 0:
        return y
    key = at._along(x, dim, index)
    values = at._source_at(source, index, x.dtype)
    (np.maximum if largest else np.minimum).at(y if x.ndim else y.reshape(-1), key, values)
    return y


def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """y = the input with the source's elements, one after another, where the mask holds.

    mask : bool Tensor; input and mask are broadcast against each other
    source : Tensor of the input's dtype with at least as many elements as the mask has places
    gx = g outside the mask;  g_source = g inside, 0 for what was not used.
    """
    check_tensors("masked_scatter", input, mask, source)
    if mask._array.dtype != np.bool_:
        raise RuntimeError(f"masked_scatter: expected a bool mask, got {mask.dtype}; use .bool()")
    if source.dtype != input.dtype:
        raise RuntimeError(
            f"masked_scatter: expected a source of the input's dtype {input.dtype}, "
            f"got {source.dtype}"
        )
    shape = common_shape("masked_scatter", input._array.shape, mask._array.shape)
    places = np.broadcast_to(mask._array, shape)
    count = int(np.count_nonzero(places))
    if count > source.numel():
        raise RuntimeError(
            f"masked_scatter: expected a source of at least {count} elements, as many as the mask "
            f"has places, got {source.numel()}"
        )
    values = getitem(reshape(source, (-1,)), (slice(count), ...))
    result: Tensor = at.index_put(expand(input, shape), values, (make(places.copy()), ...))
    return result


def index_put(
    input: Tensor, indices: Sequence[Tensor], values: Tensor, accumulate: bool = False
) -> Tensor:
    """y = the input with the values written at [indices], or with accumulate added there.

    indices : a tuple of integer or bool Tensors, as in input[indices]
    values : Tensor of the input's dtype that broadcasts to input[indices]
    gx = g, with 0 at the places written unless added;  g_values = g there. Where an index names a
    place twice, the last value stays or, with accumulate, all are added.
    """
    if not isinstance(indices, (tuple, list)):
        kind = type(indices).__name__
        raise TypeError(f"index_put: expected a tuple of index tensors, got {kind}")
    check_tensors("index_put", input, values)
    if values.dtype != input.dtype:
        raise RuntimeError(
            f"index_put: expected values of the input's dtype {input.dtype}, got {values.dtype}"
        )
    key = at.normal_key(tuple(indices))
    if not accumulate:
        result: Tensor = at.index_put(input, values, key)
        return result
    shape = getitem(input.detach(), key)._array.shape
    total: Tensor = input + index_put_zeros(expand(values, shape), input._array.shape, key)
    return total
