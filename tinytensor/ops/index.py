"""Picking elements by number, and putting them back: each operation beside its adjoint."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd.accumulate import IndexedGradient
from ..autograd.primitive import primitive
from ..autograd.view import owned
from ..dtypes import Array, check_fits
from ..tensor import Tensor, make
from .check import check_tensors
from .elementwise import where, zeros_of
from .shape import common_shape, expand, reshape, unsqueeze, wrap_dim

_BASIC = (int, slice, type(None), type(...))


def normal_key(key: Any) -> tuple[Any, ...]:
    """An index as a tuple that NumPy reads as torch does. An Ellipsis keeps 0-d results views.

    A list with more than plain numbers in it counts as a tuple; integers of uint8 are a mask.
    """
    if type(key) is list and not all(isinstance(part, (int, np.generic)) for part in key):
        key = tuple(key)
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
            if part._array.dtype == np.uint8:
                parts[position] = make(part._array.astype(bool))
            elif part._array.ndim == 0 and part._array.dtype.kind != "b":
                parts[position] = int(part)
        elif isinstance(part, (bool, np.bool_)):  # a 0-d mask: all elements, or none
            parts[position] = np.asarray(part)
        elif isinstance(part, np.integer):
            parts[position] = int(part)
        elif isinstance(part, (list, tuple, range)):
            parts[position] = np.asarray(part, dtype=None if part else np.int64)
        elif isinstance(part, np.ndarray) and part.dtype == np.uint8:
            parts[position] = part.astype(bool)
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
    y = np.array(x, order="C")
    y[key] = value
    return y


# -- along one dimension, by a tensor of indices for each element


@primitive(
    lambda g, shape_x, dim, index: scatter_add(zeros_of(g, shape_x.shape), dim, index, g),
    promote=None,
)
def gather(x: Array, dim: int, index: Array) -> Array:
    """y[i, j] = x[index[i, j], j] for dim 0 (and so on);  gx = g added at those places."""
    dim = wrap_dim(dim, x.ndim)
    if index.size == 0:
        return np.empty(index.shape, x.dtype)
    picked = x.reshape(x.shape or (1,) * index.ndim)[_along(x, dim, index)]
    return np.asarray(picked, order="C")


def _along(x: Array, dim: int, index: Array) -> tuple[Any, ...]:
    """The key that picks x[..., index, ...] along `dim`; the other numbers run as in `index`.

    A 0-d tensor counts as one of shape (1,), as in torch.
    """
    if max(index.ndim, 1) != max(x.ndim, 1):
        raise ValueError(
            f"the index must have as many dimensions as the input, {x.ndim}, got {index.ndim}"
        )
    if index.dtype.kind not in "iu":
        raise ValueError(f"the index must be of an integer type, got {index.dtype}")
    if any(n > m for i, (n, m) in enumerate(zip(index.shape, x.shape, strict=False)) if i != dim):
        raise ValueError(f"the index must be no larger than the input but along dim {dim}")
    size = x.shape[dim] if x.ndim else 1
    if index.size and (index.min() < 0 or index.max() >= size):
        bad = int(index[(index < 0) | (index >= size)].flat[0])
        raise ValueError(f"index {bad} is out of bounds for dimension {dim} with size {size}")
    if index.ndim == 0:
        return (index,) if x.ndim else ()
    key: list[Any] = list(np.ogrid[tuple(slice(n) for n in index.shape)])
    key[dim] = index
    return tuple(key)


def _source_at(source: Array, index: Array, dtype: Any) -> Array:
    """The part of a source that lies under the index. Raises for one of another type or smaller."""
    if source.dtype != dtype:
        raise ValueError(
            f"the source must be of the input's dtype, got {source.dtype} into {dtype}"
        )
    if max(source.ndim, 1) != max(index.ndim, 1) or any(
        n > m for n, m in zip(index.shape, source.shape or (1,), strict=False)
    ):
        raise ValueError(
            f"the index must be no larger than the source, got {index.shape} and {source.shape}"
        )
    if source.ndim != index.ndim:
        return source.reshape(index.shape)
    return source[tuple(slice(n) for n in index.shape)]


def _source_gradient(g: Any, dim: int, index: Any, shape_source: Any) -> Any:
    """g at the places of the index; 0 for what the source has beyond it."""
    shape = tuple(shape_source.shape)
    if 0 in index.shape:
        return zeros_of(g, shape)
    part = gather(g, dim, index)
    if tuple(part.shape) == shape:
        return part
    if len(part.shape) != len(shape):
        return reshape(part, shape)
    return index_put_zeros(part, shape, tuple(slice(n) for n in part.shape))


@primitive(lambda g: g, None, None, _source_gradient, promote=None)
def scatter_add(x: Array, dim: int, index: Array, source: Array) -> Array:
    """y = x with source[i, j] added at x[index[i, j], j] for dim 0;  gx = g, g_source = g there."""
    y = np.array(x, order="C")
    dim = wrap_dim(dim, x.ndim)
    if index.size == 0:
        return y
    key = _along(x, dim, index)
    np.add.at(y.reshape(-1) if not x.ndim else y, key, _source_at(source, index, x.dtype))
    return y


@primitive(
    lambda g, dim, index: _scatter(g, dim, index, 0.0), None, None, _source_gradient, promote=None
)
def _scatter(x: Array, dim: int, index: Array, source: Array | float) -> Array:
    """y = x with source[i, j], or a number, written at x[index[i, j], j] for dim 0."""
    y = np.array(x, order="C")
    dim = wrap_dim(dim, x.ndim)
    if index.size == 0:
        return y
    key = _along(x, dim, index)
    if isinstance(source, np.ndarray):
        values = _source_at(source, index, x.dtype)
    else:
        check_fits("scatter", source, x.dtype)
        values = np.asarray(source).astype(x.dtype)
    (y if x.ndim else y.reshape(-1))[key] = values
    return y


def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """y = `gather` with input and indices broadcast against each other but along `dim`.

    dim : None: both are flattened first; else a negative index counts from the end
    Raises RuntimeError for different numbers of dimensions and for an index out of range (which
    torch wraps round).
    """
    check_tensors("take_along_dim", input, indices)
    if indices._array.dtype != np.int64:
        raise RuntimeError(
            f"take_along_dim: expected indices of int64, got {indices.dtype}; use .long()"
        )
    if dim is None:
        flat: Tensor = gather(reshape(input, (-1,)), 0, reshape(indices, (-1,)))
        return flat
    if input.ndim != indices.ndim:
        raise RuntimeError(
            "take_along_dim: input and indices should have the same number of dimensions, "
            f"got {input.ndim} and {indices.ndim}"
        )
    if input.ndim == 0:
        raise IndexError(f"take_along_dim: expected no dim for 0-d tensors, got {dim}")
    dim = wrap_dim(dim, input.ndim, "take_along_dim")
    size = input._array.shape[dim]
    numbers = where(indices < 0, indices + size, indices)
    count = numbers.shape[dim]
    common = list(np.broadcast_shapes(_without(input, dim), _without(numbers, dim)))
    input = expand(input, (*common[:dim], size, *common[dim + 1 :]))
    numbers = expand(numbers, (*common[:dim], count, *common[dim + 1 :]))
    result: Tensor = gather(input, dim, numbers)
    return result


def _without(x: Tensor, dim: int) -> tuple[int, ...]:
    """The shape of x with size 1 along `dim`."""
    shape = x._array.shape
    return (*shape[:dim], 1, *shape[dim + 1 :])


# -- along one dimension, by a vector of indices


def _check_vector(name: str, size: int, index: Array, dim: int, negative: bool = False) -> None:
    """Raise as torch does for an index that is no vector of integers in the range of `dim`."""
    if index.dtype not in (np.int64, np.int32):
        raise RuntimeError(f"{name}: expected an index of int32 or int64, got {index.dtype}")
    if index.ndim > 1:
        raise IndexError(f"{name}: expected the index to be a vector, got shape {index.shape}")
    low = -size if negative else 0
    if index.size and (index.min() < low or index.max() >= size):
        bad = int(index[(index < low) | (index >= size)].flat[0])
        raise IndexError(
            f"{name}: index {bad} is out of range for dimension {dim} with size {size}"
        )


def _slices(dim: int, ndim: int, index: Any) -> tuple[Any, ...]:
    """The key of the slices of a tensor along `dim`, for a vector of indices."""
    return (slice(None),) * wrap_dim(dim, ndim) + (index, ...)


def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """y = the slices of the input along `dim` that a vector names;  gx = g added at those.

    index : int64 or int32 Tensor (n) or (); no negative numbers
    Raises IndexError for an index out of range.
    """
    check_tensors("index_select", input, index)
    dim = wrap_dim(dim, input.ndim, "index_select")
    shape = input._array.shape or (1,)
    if input.ndim == 0 and index.numel() != 1:
        raise RuntimeError(
            f"index_select: expected one index into a 0-d tensor, got {index.numel()}"
        )
    _check_vector("index_select", shape[dim], index._array, dim)
    slices: Tensor = getitem(reshape(input, shape), _slices(dim, len(shape), reshape(index, (-1,))))
    return _shaped(slices, input)


@primitive(
    lambda g: g,
    None,
    None,
    lambda g, dim, index, alpha: getitem(g, _slices(dim, g.ndim, index)) * alpha,
    promote=None,
)
def _index_add(x: Array, dim: int, index: Array, source: Array, alpha: Any) -> Array:
    """y = x with alpha times each slice of the source added at the slice of x that it names."""
    y = np.array(x, order="C")
    scaled = source if alpha == 1 else source * x.dtype.type(alpha)
    np.add.at(y, _slices(dim, x.ndim, index), scaled)
    return y


def index_add(
    input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1
) -> Tensor:
    """y = the input with alpha · source added to its slices along `dim` that a vector names.

    gx = g;  g_source = alpha times the slices of g.
    index : int64 or int32 Tensor (n); a slice named twice is added to twice
    source : Tensor of the input's shape, but n along `dim`, and of its dtype
    Into a 0-d input goes a 0-d source, by one index.
    Raises IndexError for an index out of range, RuntimeError for another source.
    """
    dim, index = _check_slices("index_add", input, dim, index, source)
    rows, source = _with_slices(input, source, dim, index)
    return _shaped(_index_add(rows, dim, index, source, alpha), input)


def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """y = the input with the slices along `dim` that a vector names replaced by the source's.

    gx = g but for those slices;  g_source = those slices.
    index : int64 Tensor (n)
    source : Tensor of the input's shape, but n along `dim`, and of its dtype; 0-d if n is 1
    A 0-d tensor counts as one of shape (1).
    Raises IndexError for an index out of range or a source of another shape, RuntimeError for one
    of another dtype.
    """
    dim, index = _check_slices("index_copy", input, dim, index, source)
    rows, source = _with_slices(input, source, dim, index)
    return _shaped(index_put(rows, source, _slices(dim, rows.ndim, index)), input)


def _with_slices(input: Tensor, source: Tensor, dim: int, index: Tensor) -> tuple[Tensor, Tensor]:
    """Input and source with at least one dimension."""
    rows = input if input.ndim else reshape(input, (1,))
    shape = rows._array.shape
    return rows, reshape(source, (*shape[:dim], index.numel(), *shape[dim + 1 :]))


def _shaped(result: Tensor, input: Tensor) -> Tensor:
    """A result in the input's shape, which may be 0-d."""
    like: Tensor = result if input.ndim else owned(reshape(result, ()))
    return like


def index_fill(input: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """y = the input with `value` in the slices along `dim` that a vector names; gx = g elsewhere.

    index : int64 Tensor (n); a negative number counts from the end
    value : a number or a 0-d tensor, which gets the sum of g there
    """
    check_tensors("index_fill", input, index)
    dim = wrap_dim(dim, input.ndim, "index_fill")
    shape = input._array.shape or (1,)
    if index._array.dtype != np.int64:
        raise IndexError(f"index_fill: expected an index of int64, got {index.dtype}; use .long()")
    _check_vector("index_fill", shape[dim], index._array, dim, negative=True)
    if isinstance(value, Tensor):
        if value.ndim:
            raise RuntimeError(
                f"index_fill: expected a number or a 0-d tensor, got shape {value._array.shape}"
            )
        value = value.to(input.dtype)
    else:
        value = make(np.asarray(value).astype(input._array.dtype))
    places = make(np.unique(index._array % shape[dim]))  # once each: what g_value is the sum of
    key = _slices(dim, len(shape), places)
    return owned(reshape(index_put(reshape(input, shape), value, key), input._array.shape))


def _check_slices(
    name: str, input: Tensor, dim: int, index: Tensor, source: Tensor
) -> tuple[int, Tensor]:
    """(dim from the front, the index as a vector), checked, the source too."""
    check_tensors(name, input, index, source)
    dim = wrap_dim(dim, input.ndim, name)
    if source.dtype != input.dtype:
        raise RuntimeError(
            f"{name}: expected a source of the input's dtype {input.dtype}, got {source.dtype}"
        )
    copying = name == "index_copy"
    if copying and index._array.dtype != np.int64:
        raise RuntimeError(f"{name}: expected an index of int64, got {index.dtype}; use .long()")
    shape = input._array.shape or (1,)
    count = index.numel()
    expected = (*shape[:dim], count, *shape[dim + 1 :])
    found = source._array.shape
    if expected == (1,) and found == () and (copying or input.ndim == 0):
        found = expected
    if found != expected or (not copying and source.ndim != input.ndim):
        kind = IndexError if copying else RuntimeError
        raise kind(f"{name}: expected a source of shape {expected}, got {found}")
    _check_vector(name, shape[dim], index._array, dim)
    return dim, reshape(index, (-1,))


# -- from anywhere, into a vector


def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """y = the elements where the mask holds, as a vector;  gx = g at those, 0 elsewhere.

    mask : bool Tensor; input and mask are broadcast against each other
    """
    check_tensors("masked_select", input, mask)
    if mask._array.dtype != np.bool_:
        raise RuntimeError(f"masked_select: expected a bool mask, got {mask.dtype}; use .bool()")
    shape = common_shape("masked_select", input._array.shape, mask._array.shape)
    result: Tensor = getitem(expand(input, shape), (expand(mask, shape), ...))
    return result


def take(input: Tensor, index: Tensor) -> Tensor:
    """y = the elements of the flattened input that the index names, in the index's shape.

    index : int64 Tensor (...); a negative number counts from the end
    gx = g added at those elements. Raises IndexError for an index out of range.
    """
    check_tensors("take", input, index)
    numbers = index._array
    if numbers.dtype != np.int64:
        raise RuntimeError(f"take: expected an index of int64, got {index.dtype}; use .long()")
    total = input._array.size
    if numbers.size and (numbers.min() < -total or numbers.max() >= total):
        bad = int(numbers[(numbers < -total) | (numbers >= total)].flat[0])
        raise IndexError(f"take: index {bad} is out of range for a tensor of {total} elements")
    result: Tensor = getitem(reshape(input, (-1,)), (index, ...))
    return result


# -- rows of a table


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
