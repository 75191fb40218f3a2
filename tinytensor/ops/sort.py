"""Order: sorting, the largest elements, the different elements."""

from __future__ import annotations

from typing import Any, NamedTuple, NoReturn

import numpy as np

from ..autograd.primitive import primitive
from ..dtypes import Array
from ..tensor import Tensor, make
from .check import as_int, check_tensors
from .index import gather
from .shape import wrap_dim


class Sorted(NamedTuple):
    """Values in order and where they stood."""

    values: Tensor
    indices: Tensor


def _order(x: Array, dim: int, descending: bool) -> Array:
    """The numbers along `dim` that put x in order; equal elements stay in theirs."""
    dim = wrap_dim(dim, x.ndim)
    if x.ndim == 0:
        return np.zeros((), np.int64)
    if not descending:
        return np.argsort(x, axis=dim, kind="stable")
    # Sorted backwards and turned round, equal elements stand in their first order again.
    backwards = np.argsort(np.flip(x, dim), axis=dim, kind="stable")
    return np.ascontiguousarray(np.flip(x.shape[dim] - 1 - backwards, dim))


@primitive(None, promote=None)
def argsort(x: Array, dim: int = -1, descending: bool = False, stable: bool = False) -> Array:
    """The indices that sort x along `dim`, always stably; NaN counts as larger than all else."""
    return _order(x, dim, descending)


def sort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Sorted:
    """The elements in order along `dim`, and their indices;  gx = g put back in its place.

    Equal elements keep their order, whether or not `stable` asks for it. NaN counts as larger than
    all else.
    """
    check_tensors("sort", input)
    wrap_dim(dim, input.ndim, "sort")
    indices = argsort(input, dim, descending)
    return Sorted(gather(input, dim, indices), indices)


def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Sorted:
    """The k largest elements along `dim` (or smallest), in order, and their indices.

    gx = g at the elements chosen. Of equal elements the first are taken; NaN counts as larger than
    all else. Raises RuntimeError unless 0 <= k <= the size of `dim`.
    """
    check_tensors("topk", input)
    k = as_int("k", k, "topk: ")
    dim = wrap_dim(dim, input.ndim, "topk")
    size = input._array.shape[dim] if input.ndim else 1
    if not 0 <= k <= size:
        raise RuntimeError(f"topk: expected k in [0, {size}], the size of dim {dim}, got {k}")
    if input._array.dtype == np.bool_:
        raise RuntimeError("topk: expected numbers, got a bool tensor; use .int()")
    indices = argsort(input, dim, largest)
    if input.ndim:
        indices = indices[(slice(None),) * dim + (slice(k),)].contiguous()
    return Sorted(gather(input, dim, indices), indices)


def _no_unique_derivative(g: Any) -> NoReturn:
    raise NotImplementedError(
        "unique: the derivative is not implemented, as an element may stand for several; "
        "use .detach()"
    )


@primitive(_no_unique_derivative, promote=None)
def _unique(x: Array, dim: int | None = None) -> tuple[Array, Array, Array]:
    """(the different elements in order, the number of each of x's among them, how often each)."""
    if dim is not None:
        if x.ndim == 0:
            raise IndexError(f"expected no dim for a 0-d tensor, got {dim}")
        dim = wrap_dim(dim, x.ndim)
    values, inverse, counts = np.unique(
        x if x.ndim else x.reshape(1),
        return_inverse=True,
        return_counts=True,
        axis=dim,
        equal_nan=False,
    )
    shape = x.shape if dim is None else (-1,)
    return values, inverse.reshape(shape), counts


def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The different elements of a tensor in ascending order, or its different slices along `dim`.

    sorted : the result is sorted whether or not this asks for it
    return_inverse : also the number of each of x's elements among the different ones
    return_counts : also how often each occurs
    Each NaN is different from all others. Has no derivative: `backward` through it raises
    NotImplementedError.
    """
    check_tensors("unique", input)
    values, inverse, counts = _unique(input, dim)
    chosen = [values]
    if return_inverse:
        chosen.append(inverse)
    if return_counts:
        chosen.append(counts)
    return values if len(chosen) == 1 else tuple(chosen)


def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """Where the elements that are not zero stand: an int64 Tensor (count, ndim).

    as_tuple : instead one Tensor (count) a dimension, which together are an index
    """
    check_tensors("nonzero", input)
    array = input._array
    places = np.nonzero(array if array.ndim else array.reshape(1))
    if as_tuple:
        return tuple(make(numbers) for numbers in places)
    columns = np.stack(places, axis=1)
    return make(columns if array.ndim else columns[:, :0])
