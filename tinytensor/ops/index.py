"""Picking elements by number, and putting them back: each operation beside its adjoint."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd.accumulate import IndexedGradient
from ..autograd.primitive import primitive
from ..dtypes import Array
from ..tensor import Tensor
from .elementwise import where, zeros_of
from .shape import unsqueeze, wrap_dim

_BASIC = (int, slice, type(None), type(...))


def normal_key(key: Any) -> tuple[Any, ...]:
    """An index as a tuple that NumPy reads as torch does. An Ellipsis keeps 0-d results views."""
    parts = list(key) if isinstance(key, tuple) else [key]
    for position, part in enumerate(parts):
        if isinstance(part, slice):
            if part.step is not None and part.step <= 0:
                raise ValueError(
                    f"getitem: expected a slice step greater than zero, got {part.step}"
                )
            parts[position] = slice(*map(_plain, (part.start, part.stop, part.step)))
        elif isinstance(part, Tensor):
            if part._array.dtype.kind not in "iub":
                raise IndexError(
                    f"getitem: expected indices of integer or bool type, got {part.dtype}"
                )
            if part._array.ndim == 0 and part._array.dtype.kind != "b":
                parts[position] = int(part)
        elif isinstance(part, (bool, np.bool_)):  # a 0-d mask: all elements, or none
            parts[position] = np.asarray(part)
        elif isinstance(part, np.integer):
            parts[position] = int(part)
        elif isinstance(part, list):
            parts[position] = np.asarray(part, dtype=None if part else np.int64)
    if not any(part is Ellipsis for part in parts):
        parts.append(Ellipsis)
    return tuple(parts)


def without_ints(key: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """A key of `normal_key` with tensors in it, as two that come one after the other.

    torch takes single integers as slices first and lets only tensors pick together; NumPy would
    have the integers pick along. The first key holds the integers, the second all else.
    """
    first: list[Any] = []
    for part in key:
        if isinstance(part, int) or part is Ellipsis:
            first.append(part)
        elif part is not None:
            array = part._array if isinstance(part, Tensor) else part
            masked = isinstance(array, np.ndarray) and array.dtype.kind == "b"
            first += [slice(None)] * (array.ndim if masked else 1)
    return tuple(first), tuple(part for part in key if not isinstance(part, int))


def is_basic(key: tuple[Any, ...]) -> bool:
    """Whether a key of `normal_key` has no tensor in it, so that it gives a view."""
    return all(isinstance(part, _BASIC) for part in key)


def _plain(bound: Any) -> Any:
    return int(bound) if isinstance(bound, Tensor) else bound


def index_gradient(g: Any, spec: Any, key: Any) -> Any:
    """The gradient of x from that of x[key]; arrays are handed over as an IndexedGradient."""
    if isinstance(g, Tensor):
        return index_put_zeros(g, spec.shape, key)
    return IndexedGradient(key, g, spec.shape)


@primitive(lambda g, shape_x, key: index_gradient(g, shape_x, key), promote=None, view=True)
def getitem(x: Array, key: tuple[Any, ...]) -> Array:
    """y = x[key] for a key of `normal_key`: a view for ints and slices, a copy for tensors."""
    return x[key] if is_basic(key) else np.asarray(x[key], order="C")


@primitive(lambda g, key: getitem(g, key), promote=None)
def index_put_zeros(x: Array, shape: tuple[int, ...], key: tuple[Any, ...]) -> Array:
    """y = zeros of a shape with x added at [key], the adjoint of `getitem`;  gx = g[key]."""
    return IndexedGradient(key, x, shape).dense()


def _put_rule(g: Any, shape_value: Any, key: Any) -> Any:
    return index_put(g, zeros_of(g, shape_value.shape), key)


@primitive(_put_rule, lambda g, key: getitem(g, key), promote=None)
def index_put(x: Array, value: Array, key: tuple[Any, ...]) -> Array:
    """y = x with `value` written at [key];  gx = g with zeros there, g_value = g there."""
    y = x.copy()
    y[key] = value
    return y


@primitive(
    lambda g, shape_x, dim, index: scatter_add(zeros_of(g, shape_x.shape), dim, index, g),
    promote=None,
)
def gather(x: Array, dim: int, index: Array) -> Array:
    """y[i, j] = x[index[i, j], j] for dim 0 (and so on);  gx = g added at those places."""
    dim = wrap_dim(dim, x.ndim)
    return x[_along(x, dim, index)]


def _along(x: Array, dim: int, index: Array) -> tuple[Any, ...]:
    """The key that picks x[..., index, ...] along `dim`; the other numbers run as in `index`."""
    if index.ndim != x.ndim:
        raise ValueError(
            f"the index must have as many dimensions as the input, {x.ndim}, got {index.ndim}"
        )
    if index.dtype.kind not in "iu":
        raise ValueError(f"the index must be of an integer type, got {index.dtype}")
    if x.ndim == 0:
        return ()
    if any(n > m for i, (n, m) in enumerate(zip(index.shape, x.shape, strict=True)) if i != dim):
        raise ValueError(f"the index must be no larger than the input but along dim {dim}")
    size = x.shape[dim]
    if index.size and (index.min() < 0 or index.max() >= size):
        bad = int(index[(index < 0) | (index >= size)].flat[0])
        raise ValueError(f"index {bad} is out of bounds for dimension {dim} with size {size}")
    key: list[Any] = list(np.ogrid[tuple(slice(n) for n in index.shape)])
    key[dim] = index
    return tuple(key)


@primitive(lambda g: g, None, None, lambda g, dim, index: gather(g, dim, index), promote=None)
def scatter_add(x: Array, dim: int, index: Array, source: Array) -> Array:
    """y = x with source[i, j] added at x[index[i, j], j] for dim 0;  gx = g, g_source = g there."""
    if source.dtype != x.dtype:
        raise ValueError(
            f"the source must be of the input's dtype, got {source.dtype} into {x.dtype}"
        )
    y = x.copy()
    key = _along(x, wrap_dim(dim, x.ndim), index)
    np.add.at(y, key, source[tuple(slice(n) for n in index.shape)])
    return y


@primitive(
    lambda g, shape_weight, index, padding_idx: add_rows(g, shape_weight.shape, index, padding_idx),
    promote=None,
)
def embedding(weight: Array, index: Array, padding_idx: int | None = None) -> Array:
    """y = weight[index], a row for each integer;  g_weight = the rows of g added up.

    The row `padding_idx` gets no gradient.
    """
    if index.dtype.kind not in "iu":
        raise ValueError(f"expected integer indices, got {index.dtype}")
    if index.size and (index.min() < 0 or index.max() >= weight.shape[0]):
        raise IndexError(
            f"expected indices in [0, {weight.shape[0] - 1}], got {index.min()} to {index.max()}"
        )
    return weight[index]


def _rows_rule(g: Any, index: Any, padding_idx: int | None) -> Any:
    rows = embedding(g, index)
    if padding_idx is None:
        return rows
    return where(unsqueeze(index == padding_idx, -1), 0.0, rows)


@primitive(_rows_rule, promote=None)
def add_rows(
    x: Array, shape: tuple[int, ...], index: Array, padding_idx: int | None = None
) -> Array:
    """y = zeros of a shape with each row of x added at its number, but for the row `padding_idx`.

    gx = the rows of g, 0 for that one.
    """
    y = np.zeros(shape, x.dtype)
    numbers = index.reshape(-1)
    order = np.argsort(numbers, kind="stable")
    sorted_numbers = numbers[order]
    starts = np.flatnonzero(np.diff(sorted_numbers, prepend=-1))
    if starts.size:
        rows = x.reshape(numbers.size, shape[1])[order]
        y[sorted_numbers[starts]] = np.add.reduceat(rows, starts, axis=0)
    if padding_idx is not None:
        y[padding_idx] = 0
    return y
