"""The largest and the smallest elements, and where they stand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..autograd.view import owned
from ..tensor import Tensor
from .check import check_tensors
from .elementwise import cast, maximum, minimum
from .index import gather
from .options import with_numpy_names
from .reduce import amax, amin, argmax, argmin, check_keepdim
from .shape import squeeze


class Extreme(NamedTuple):
    """The values along a dimension that are largest, or smallest, and where they stand."""

    values: Tensor
    indices: Tensor


@with_numpy_names
def max(input: Tensor, dim: Any = None, keepdim: Any = None, *, other: Any = None) -> Any:
    """The largest element; along a `dim` the pair (values, indices); of two tensors `maximum`.

    g is shared evenly among equal largest elements for the first; for the second it goes to
    `indices`, the first of them.
    """
    return _extreme("max", input, dim if other is None else other, keepdim, maximum, amax, argmax)


@with_numpy_names
def min(input: Tensor, dim: Any = None, keepdim: Any = None, *, other: Any = None) -> Any:
    """The smallest element; along a `dim` the pair (values, indices); of two tensors `minimum`.

    g goes as for `max`.
    """
    return _extreme("min", input, dim if other is None else other, keepdim, minimum, amin, argmin)


def _extreme(
    name: str,
    input: Tensor,
    dim: Any,
    keepdim: Any,
    of_two: Callable[..., Any],
    of_all: Callable[..., Any],
    place: Callable[..., Any],
) -> Any:
    check_tensors(name, input)
    if dim is None or isinstance(dim, Tensor):
        if keepdim is not None:
            raise TypeError(f"{name}: expected dim, an int, with keepdim, got {dim!r:.60}")
        return of_all(input) if dim is None else of_two(input, dim)
    keepdim = False if keepdim is None else keepdim
    check_keepdim(keepdim)
    ordered = cast(input, np.uint8) if input._array.dtype.kind == "b" else input
    indices = place(ordered, dim, True)
    values = gather(input, dim, indices)
    if not keepdim:
        values, indices = owned(squeeze(values, dim)), owned(squeeze(indices, dim))
    return Extreme(values, indices)


class Range(NamedTuple):
    """The smallest and the largest elements."""

    min: Tensor
    max: Tensor


@with_numpy_names
def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> Range:
    """The pair (amin, amax);  g is shared evenly among equal extremes."""
    dims = () if dim is None else dim
    return Range(amin(input, dims, keepdim), amax(input, dims, keepdim))
