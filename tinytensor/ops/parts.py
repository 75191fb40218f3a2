"""Parts of a tensor: stretches, slices, diagonals, triangles, windows. Views but where noted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..autograd.primitive import primitive
from ..dtypes import Array
from ..tensor import Tensor
from .check import as_int
from .elementwise import clone
from .shape import wrap_dim

# -- along one dimension


def _at(dim: int, part: Any) -> tuple[Any, ...]:
    """The key that is `part` along `dim` and takes all else."""
    return (*(slice(None),) * dim, part)


def narrow(input: Tensor, dim: int, start: int | Tensor, length: int) -> Tensor:
    """The `length` elements from `start` on (from the end if negative) along `dim`, as a view.

    start : a number or a 0-d integer Tensor
    """
    length = as_int("length", length, "narrow: ")
    if input.ndim == 0:
        raise RuntimeError("narrow: expected at least one dimension, got a 0-d tensor")
    if isinstance(start, Tensor) and (start.ndim or start._array.dtype.kind not in "iu"):
        raise RuntimeError(
            f"narrow: expected start to be a number or a 0-d integer tensor, got {start.dtype} of "
            f"shape {tuple(start.shape)}"
        )
    if length < 0:
        raise RuntimeError(f"narrow: expected length >= 0, got {length}")
    dim = wrap_dim(dim, input.ndim, "narrow")
    size = input.shape[dim]
    first = as_int("start", start, "narrow: ")
    if not -size <= first <= size:
        raise IndexError(f"narrow: expected start in [{-size}, {size}], got {first}")
    first += size if first < 0 else 0
    if first + length > size:
        raise RuntimeError(
            f"narrow: expected start + length <= {size}, the size of dim {dim}, "
            f"got {first} + {length}"
        )
    return input[_at(dim, slice(first, first + length))]


def select(input: Tensor, dim: int, index: int) -> Tensor:
    """The slice number `index` along `dim`, which goes away, as a view."""
    index = as_int("index", index, "select: ")
    if input.ndim == 0:
        raise IndexError("select: expected at least one dimension, got a 0-d tensor")
    dim = wrap_dim(dim, input.ndim, "select")
    size = input.shape[dim]
    if not -size <= index < size:
        raise IndexError(f"select: expected index in [{-size}, {size - 1}], got {index}")
    return input[_at(dim, index)]


def tensor_split(
    input: Tensor,
    sections: int | Sequence[int] | Tensor | None = None,
    dim: int = 0,
    *,
    indices: Sequence[int] | None = None,
    tensor_indices_or_sections: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """Views that follow each other along `dim`: so many, or cut at the given indices.

    Of a number of parts the first ones are larger by one if they can't be equal. Indices are read
    as in a slice. Both come in the same place (`sections`); `indices` is the second by name, and
    `tensor_indices_or_sections` either in an int64 Tensor.
    """
    if input.ndim == 0:
        raise RuntimeError("tensor_split: expected at least one dimension, got a 0-d tensor")
    dim = wrap_dim(dim, input.ndim, "tensor_split")
    given = [n for n in (sections, indices, tensor_indices_or_sections) if n is not None]
    if len(given) != 1:
        raise TypeError(f"tensor_split: expected sections or indices, got {len(given)} of them")
    how = given[0]
    if isinstance(how, Tensor) and how._array.dtype != np.int64:
        raise RuntimeError(f"tensor_split: expected a tensor of int64, got {how.dtype}")
    wanted = how.tolist() if isinstance(how, Tensor) else how
    if isinstance(wanted, int):
        if wanted <= 0:
            raise RuntimeError(f"tensor_split: expected sections > 0, got {wanted}")
        least, larger = divmod(input.shape[dim], wanted)
        cuts = [i * least + min(i, larger) for i in range(1, wanted)]
    else:
        cuts = [int(cut) for cut in wanted]
    ends = zip([0, *cuts], [*cuts, None], strict=True)
    return tuple(input[_at(dim, slice(start, stop))] for start, stop in ends)


# -- diagonals and triangles


@primitive(
    lambda g, shape_x, offset, dim1, dim2: diagonal_zeros(g, shape_x.shape, offset, dim1, dim2),
    promote=None,
    view=True,
)
def diagonal(x: Array, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Array:
    """y_i = x_(i, i + offset), its dimension last, as a view;  gx = g there, 0 elsewhere."""
    first, second = wrap_dim(dim1, x.ndim), wrap_dim(dim2, x.ndim)
    if first == second:
        raise ValueError(f"expected two different dimensions, got {dim1} and {dim2}")
    return _diagonal(x, offset, first, second)


def _diagonal(x: Array, offset: int, dim1: int, dim2: int) -> Array:
    """NumPy's diagonal, which is read-only, as writable as x."""
    y = np.diagonal(x, as_int("offset", offset), dim1, dim2)
    y.flags.writeable = x.flags.writeable
    return y


@primitive(lambda g, offset, dim1, dim2: diagonal(g, offset, dim1, dim2), promote=None)
def diagonal_zeros(
    x: Array, shape: tuple[int, ...], offset: int = 0, dim1: int = 0, dim2: int = 1
) -> Array:
    """y = zeros of a shape with x on a diagonal, the adjoint of `diagonal`;  gx = g there."""
    y = np.zeros(shape, x.dtype)
    _diagonal(y, offset, dim1, dim2)[...] = x
    return y


def diag(input: Tensor, diagonal: int = 0) -> Any:
    """Of a vector the matrix with it on a diagonal; of a matrix a diagonal, as a copy."""
    if input.ndim == 1:
        side = input.shape[0] + abs(diagonal)
        return diagonal_zeros(input, (side, side), diagonal)
    if input.ndim == 2:
        return clone(_DIAGONAL(input, diagonal))
    raise RuntimeError(f"diag: expected 1 or 2 dimensions, got {input.ndim}; use diagonal")


_DIAGONAL = diagonal  # `diag` has an argument of that name


def _triangle(part: Callable[[Array, int], Array], x: Array, diagonal: int) -> Array:
    """NumPy's `tril` or `triu`, in memory row by row."""
    diagonal = as_int("diagonal", diagonal)
    if x.ndim < 2:
        raise ValueError(f"expected at least 2 dimensions, got {x.ndim}")
    return np.array(part(x, diagonal), order="C")


@primitive(lambda g, diagonal: tril(g, diagonal), promote=None)
def tril(x: Array, diagonal: int = 0) -> Array:
    """y = x on and below a diagonal, 0 above it, as a copy;  gx = g there."""
    return _triangle(np.tril, x, diagonal)


@primitive(lambda g, diagonal: triu(g, diagonal), promote=None)
def triu(x: Array, diagonal: int = 0) -> Array:
    """y = x on and above a diagonal, 0 below it, as a copy;  gx = g there."""
    return _triangle(np.triu, x, diagonal)


# -- windows


def _restrided(x: Array, shape: tuple[int, ...], strides: tuple[int, ...]) -> Array:
    """The memory of x, from its first element on, under another shape and strides.

    NumPy's `as_strided` hides whose memory it shows; here the base says it, which is how the
    engine tells a view. Where the memory has gaps of its own: a copy.
    """
    owner = x.base if isinstance(x.base, np.ndarray) else x
    dense = owner.transpose(sorted(range(owner.ndim), key=lambda i: -owner.strides[i]))
    if not dense.flags.c_contiguous:
        return np.lib.stride_tricks.as_strided(x, shape, strides).copy()
    start = x.__array_interface__["data"][0] - dense.__array_interface__["data"][0]
    return np.ndarray(shape, x.dtype, dense, start, strides)


@primitive(
    lambda g, shape_x, dimension, size, step: fold(g, shape_x.shape, dimension, size, step),
    promote=None,
    view=True,
)
def unfold(x: Array, dimension: int, size: int, step: int) -> Array:
    """y = the windows of `size` elements at every `step` along a dimension, as a view.

    x : Tensor (..., n, ...)  ->  y : Tensor (..., (n - size) // step + 1, ..., size)
    gx = g added up at the places that the windows took. Where windows overlap, y can't be written.
    """
    dim = wrap_dim(dimension, x.ndim)
    total = x.shape[dim] if x.ndim else 1
    if not 0 <= size <= total:
        raise ValueError(f"expected size in [0, {total}], the size of dim {dim}, got {size}")
    if step <= 0:
        raise ValueError(f"expected step > 0, got {step}")
    if x.ndim == 0:
        return x.reshape(1)[:size]
    count = (total - size) // step + 1
    shape = (*x.shape[:dim], count, *x.shape[dim + 1 :], size)
    stride = x.strides[dim]
    strides = (*x.strides[:dim], stride * step, *x.strides[dim + 1 :], stride)
    y = _restrided(x, shape, strides)
    if size > step and count > 1:
        y.flags.writeable = False
    return y


@primitive(lambda g, dimension, size, step: unfold(g, dimension, size, step), promote=None)
def fold(x: Array, shape: tuple[int, ...], dimension: int, size: int, step: int) -> Array:
    """y = zeros of a shape with the windows x added, the adjoint of `unfold`;  gx = its windows."""
    y = np.zeros(shape, x.dtype)
    if not shape:
        return y + x.sum()
    dim = wrap_dim(dimension, len(shape))
    for place in range(size):
        stop = place + (x.shape[dim] - 1) * step + 1
        y[_at(dim, slice(place, stop, step))] += x[..., place]
    return y
