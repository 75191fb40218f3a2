"""Operations that move elements and compute nothing. Most give views, on the same memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd.primitive import primitive
from ..autograd.view import Path
from ..dtypes import Array, numpy_dtype
from ..tensor import Size
from .check import as_int, check_tensors
from .elementwise import order_of, zeros_like, zeros_of


def wrap_dim(dim: int, ndim: int, name: str = "") -> int:
    """A dimension counted from the front. Raises IndexError outside [-ndim, ndim - 1].

    name : of the function, where no primitive puts its own in front
    Raises TypeError for what is no integer.
    """
    prefix = name and f"{name}: "
    if not isinstance(dim, int):
        dim = as_int("dim", dim, prefix)
    reach = max(ndim, 1)
    if not -reach <= dim < reach:
        raise IndexError(
            f"{prefix}Dimension out of range (expected to be in range of "
            f"[{-reach}, {reach - 1}], but got {dim})"
        )
    return dim % reach


def wrap_dims(dims: int | Sequence[int], ndim: int) -> tuple[int, ...]:
    """Different dimensions counted from the front. Raises ValueError if one comes twice."""
    several = dims if isinstance(dims, (tuple, list)) else (dims,)
    wrapped = tuple(wrap_dim(dim, ndim) for dim in several)
    if len(set(wrapped)) != len(wrapped):
        raise ValueError(f"expected different dimensions, got {several}")
    return wrapped


# -- the same elements in another shape


@primitive(lambda g, shape_x: reshape(g, shape_x.shape), promote=None, view=True)
def reshape(x: Array, shape: Sequence[int]) -> Array:
    """y = x's elements, row by row, in another shape (one size may be -1).

    A view if the strides allow it, else a copy;  gx = g in x's shape.
    """
    return _reshaped(x, shape)


def _reshaped(x: Array, shape: Sequence[int]) -> Array:
    if any(size < -1 for size in shape):
        raise ValueError(f"expected sizes of at least 0, or one -1, got {tuple(shape)}")
    return x.reshape(tuple(shape))


@primitive(lambda g, shape_x: reshape(g, shape_x.shape), promote=None, view=True)
def view(x: Array, shape: Sequence[int]) -> Array:
    """As `reshape`, and always a view: raises RuntimeError where that needs a copy."""
    y = _reshaped(x, shape)
    if y.size and not np.may_share_memory(x, y):
        raise ValueError(
            f"view size {tuple(shape)} is not compatible with the tensor's strides; use .reshape()"
        )
    return y


def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """The tensor with its dimensions start_dim to end_dim made one; itself if there is but one."""
    start = wrap_dim(start_dim, input.ndim, "flatten")
    end = wrap_dim(end_dim, input.ndim, "flatten")
    if start > end:
        raise RuntimeError(f"flatten: start_dim {start_dim} must not come after end_dim {end_dim}")
    if input.ndim == 0:
        return reshape(input, (1,))
    if start == end:
        return input
    sizes = input.shape
    count = 1
    for size in sizes[start : end + 1]:
        count *= size
    return reshape(input, (*sizes[:start], count, *sizes[end + 1 :]))


def ravel(input: Any) -> Any:
    """The tensor as one dimension, contiguous: a view if it is contiguous itself, else a copy."""
    return reshape(input.contiguous(), (-1,))


def unflatten(input: Any, dim: int, sizes: Sequence[int]) -> Any:
    """The tensor with one dimension taken apart into `sizes` (one may be -1), as a view."""
    if input.ndim == 0:
        raise RuntimeError("unflatten: expected at least one dimension, got a 0-d tensor")
    dim = wrap_dim(dim, input.ndim, "unflatten")
    sizes = tuple(sizes)
    if not sizes:
        raise RuntimeError("unflatten: expected at least one size, got none")
    known = math.prod(size for size in sizes if size != -1)
    whole = input.shape[dim]
    if sizes.count(-1) == 1 and known:
        sizes = tuple(whole // known if size == -1 else size for size in sizes)
    if math.prod(sizes) != whole or min(sizes) < 0:
        raise RuntimeError(
            f"unflatten: expected sizes whose product is {whole}, the size of dim {dim}, "
            f"got {sizes}"
        )
    return reshape(input, (*input.shape[:dim], *sizes, *input.shape[dim + 1 :]))


@primitive(None, promote=None, view=True)
def view_as_type(x: Array, dtype: Any) -> Array:
    """y = the bytes of x read as numbers of another type: torch's `view(dtype)`. No derivative.

    Where the types differ in size, so does the last dimension, which must lie in memory as one.
    """
    return x.view(numpy_dtype(dtype))


@primitive(lambda g, shape_x: reshape(g, shape_x.shape), promote=None, view=True)
def squeeze(x: Array, dim: int | Sequence[int] | None = None) -> Array:
    """y = x without its dimensions of size 1: all of them, or those in `dim`."""
    dims = range(x.ndim) if dim is None else wrap_dims(dim, x.ndim)
    return x.reshape([size for i, size in enumerate(x.shape) if size != 1 or i not in dims])


@primitive(lambda g, shape_x: reshape(g, shape_x.shape), promote=None, view=True)
def unsqueeze(x: Array, dim: int) -> Array:
    """y = x with a new dimension of size 1 at `dim`."""
    return np.expand_dims(x, wrap_dim(dim, x.ndim + 1))


# -- stretched


@primitive(lambda g: g, promote=None, view=True)
def expand(x: Array, size: Sequence[int]) -> Array:
    """y = x broadcast to `size` (-1: as it is), without a copy;  gx = g summed over the rest.

    Raises RuntimeError where a size that is not 1 would change.
    """
    extra = len(size) - x.ndim
    if extra < 0:
        raise ValueError(f"expected at least {x.ndim} sizes, got {tuple(size)}")
    full = [(x.shape[i - extra] if n == -1 and i >= extra else n) for i, n in enumerate(size)]
    if x.shape == tuple(full[extra:]) and set(full[:extra]) <= {1}:
        return x[(None,) * extra + (...,)]  # nothing is stretched: it may be written to
    return np.broadcast_to(x, full)


def broadcast_to(input: Any, size: Sequence[int]) -> Any:
    """The tensor stretched to `size` without a copy, as `expand` does."""
    return expand(input, tuple(size))


def broadcast_tensors(*tensors: Any) -> tuple[Any, ...]:
    """The tensors as views of the one shape that they broadcast to; itself what has it already."""
    check_tensors("broadcast_tensors", *tensors)
    shapes = [tuple(tensor.shape) for tensor in tensors]
    common = common_shape("broadcast_tensors", *shapes)
    return tuple(
        tensor if shape == common else expand(tensor, common)
        for tensor, shape in zip(tensors, shapes, strict=True)
    )


def broadcast_shapes(*shapes: int | Sequence[int]) -> Size:
    """The shape that tensors of the given shapes broadcast to. Raises RuntimeError for none."""
    return Size(common_shape("broadcast_shapes", *shapes))


def common_shape(name: str, *shapes: int | Sequence[int]) -> tuple[int, ...]:
    """The shape that shapes broadcast to. Raises RuntimeError, in the name of a function."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        listed = ", ".join(map(str, shapes))
        raise RuntimeError(
            f"{name}: expected sizes that are equal or 1, so that shapes broadcast, got {listed}"
        ) from None


# -- dimensions in another order


def _inverse(dims: Sequence[int]) -> tuple[int, ...]:
    inverse = [0] * len(dims)
    for position, dim in enumerate(dims):
        inverse[dim] = position
    return tuple(inverse)


@primitive(lambda g, dims: permute(g, _inverse(dims)), promote=None, view=True)
def permute(x: Array, dims: Sequence[int]) -> Array:
    """y[i_dims[0], i_dims[1], ...] = x[i_0, i_1, ...];  gx = g in the inverse order."""
    return x.transpose(tuple(dims))


@primitive(lambda g, dim0, dim1: transpose(g, dim0, dim1), promote=None, view=True)
def transpose(x: Array, dim0: int, dim1: int) -> Array:
    """y = x with two dimensions exchanged;  gx = g with them exchanged back."""
    first, second = wrap_dim(dim0, x.ndim), wrap_dim(dim1, x.ndim)
    return x.swapaxes(first, second) if x.ndim else x[...]


def swapaxes(input: Any, axis0: int, axis1: int) -> Any:
    """NumPy's name of `transpose`."""
    return transpose(input, axis0, axis1)


def swapdims(input: Any, dim0: int, dim1: int) -> Any:
    """Another name of `transpose`."""
    return transpose(input, dim0, dim1)


def t(input: Any) -> Any:
    """The transpose of a matrix; a tensor of fewer dimensions as it is. Raises RuntimeError."""
    check_tensors("t", input)
    if input.ndim > 2:
        raise RuntimeError(
            f"t: expected a tensor of at most 2 dimensions, got {input.ndim}; use .mT"
        )
    return permute(input, tuple(range(input.ndim))[::-1])


def adjoint(input: Any) -> Any:
    """The last two dimensions exchanged (numbers are real); a 0-d tensor as it is."""
    check_tensors("adjoint", input)
    if input.ndim == 1:
        raise RuntimeError("adjoint: expected a matrix or a batch of matrices, got a vector")
    return transpose(input, -1, -2) if input.ndim else input


def movedim(input: Any, source: int | Sequence[int], destination: int | Sequence[int]) -> Any:
    """The tensor with the dimensions `source` moved to `destination`; the others keep their order.

    A view.
    """
    if isinstance(source, int) != isinstance(destination, int):
        raise TypeError("movedim: expected two dimensions or two lists of them, got one of each")
    sources, places = (_listed(source), _listed(destination))
    if len(sources) != len(places):
        raise RuntimeError(
            "movedim: expected as many source as destination dimensions, "
            f"got {len(sources)} and {len(places)}"
        )
    moved = [wrap_dim(dim, input.ndim, "movedim") for dim in sources]
    ends = [wrap_dim(dim, input.ndim, "movedim") for dim in places]
    if len(set(moved)) != len(moved) or len(set(ends)) != len(ends):
        raise RuntimeError(
            f"movedim: expected different dimensions, got source {sources}, destination {places}"
        )
    if input.ndim == 0:
        return permute(input, ())
    rest = iter([dim for dim in range(input.ndim) if dim not in moved])
    origin = dict(zip(ends, moved, strict=True))
    order = [origin[i] if i in origin else next(rest) for i in range(input.ndim)]
    return permute(input, tuple(order))


moveaxis = movedim


def _listed(value: int | Sequence[int] | None) -> tuple[int, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, int) else tuple(value)


@primitive(lambda g, dims: flip(g, dims), promote=None)
def flip(x: Array, dims: Sequence[int]) -> Array:
    """y = x with the order along `dims` reversed, as a copy;  gx = g reversed."""
    if not isinstance(dims, (tuple, list)):
        raise TypeError(f"expected a tuple of dimensions, got {dims!r}")
    along = wrap_dims(dims, x.ndim)
    return np.array(np.flip(x, along) if x.ndim else x, order=order_of(x))


@primitive(
    lambda g, shifts, dims: roll(g, tuple(-shift for shift in _listed(shifts)), dims), promote=None
)
def roll(x: Array, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None) -> Array:
    """y_(i + shift) = x_i along each of `dims`, round the end; without dims of the flat tensor.

    gx = g rolled back.
    """
    along = _listed(dims)
    by = _listed(shifts)
    if not by:
        raise ValueError("expected at least one shift, got none")
    if not along and len(by) == 1:
        return np.array(np.roll(x, by[0]), order="C")
    if len(along) != len(by):
        raise ValueError(f"expected a shift for each dimension, got {by} and dims {along}")
    if x.size == 0:
        return x.copy()
    if x.ndim == 0:
        raise IndexError(f"dims {along} of a tensor that has no dimensions")
    for dim in along:
        wrap_dim(dim, x.ndim)
    return np.array(np.roll(x, by, along), order="C")


# -- joined and cut


def _is_nothing(part: Any) -> bool:
    """Whether `cat` passes a part over: torch lets an empty vector stand beside any shape."""
    return tuple(part.shape) == (0,)


def _cat_rule(g: Any, shape_tensors: Any, dim: int) -> list[Any]:
    sizes = [spec.shape[dim] for spec in shape_tensors if not _is_nothing(spec)]
    parts = iter(split(g, sizes, dim) if sizes else ())
    return [zeros_of(g, (0,)) if _is_nothing(spec) else next(parts) for spec in shape_tensors]


@primitive(_cat_rule, listed=True)
def cat(tensors: Sequence[Array], dim: int = 0) -> Array:
    """y = the tensors one after another along `dim`;  each gets its stretch of g."""
    if not tensors:
        raise ValueError("expected a non-empty list of Tensors")
    parts = [part for part in tensors if not _is_nothing(part)]
    if not parts:
        return tensors[0].copy()
    return np.asarray(np.concatenate(parts, axis=dim), order="C")


concat = concatenate = cat


@primitive(lambda g, dim: list(unbind(g, dim)), listed=True)
def stack(tensors: Sequence[Array], dim: int = 0) -> Array:
    """y = the tensors, of one shape, along a new dimension `dim`;  each gets its slice of g."""
    if not tensors:
        raise ValueError("expected a non-empty list of Tensors")
    return np.asarray(np.stack(tensors, axis=dim), order="C")


def _parts(name: str, tensors: Any, ndim: int) -> list[Any]:
    """A list of tensors, each with at least `ndim` dimensions (new ones come in front)."""
    if not isinstance(tensors, (list, tuple)):
        raise TypeError(f"{name}: expected a list of tensors, got {type(tensors).__name__}")
    if not tensors:
        raise RuntimeError(f"{name}: expected a non-empty list of tensors")
    parts = []
    for part in tensors:
        missing = max(0, ndim - part.ndim)
        parts.append(reshape(part, (1,) * missing + tuple(part.shape)) if missing else part)
    return parts


def hstack(tensors: Sequence[Any]) -> Any:
    """The tensors side by side: one after another along dimension 1, vectors along 0."""
    parts = _parts("hstack", tensors, 1)
    return cat(parts, 0 if parts[0].ndim == 1 else 1)


def vstack(tensors: Sequence[Any]) -> Any:
    """The tensors one below another: along dimension 0, vectors as rows."""
    return cat(_parts("vstack", tensors, 2), 0)


def _filled(g: tuple[Any, ...]) -> list[Any]:
    """The gradients of several outputs of one shape, with zeros for those that were not used."""
    some = next(part for part in g if part is not None)
    return [zeros_like(some) if part is None else part for part in g]


@primitive(lambda g, dim: stack(_filled(g), dim), promote=None, view=True)
def unbind(x: Array, dim: int = 0) -> tuple[Array, ...]:
    """y = the slices of x along `dim`, which goes away, as views;  gx = their gradients stacked."""
    if x.ndim == 0:
        raise IndexError("a 0-d tensor can't be taken apart")
    moved = np.moveaxis(x, dim, 0)
    return tuple(moved[i, ...] for i in range(moved.shape[0]))


def _sizes(total: int, split_size: int | Sequence[int]) -> list[int]:
    """The lengths into which `split` cuts a total."""
    if not isinstance(split_size, int):
        return list(split_size)
    return [min(split_size, total - start) for start in range(0, total, split_size or 1)] or [0]


def _split_rule(g: tuple[Any, ...], shape_x: Any, split_size: Any, dim: int) -> Any:
    some = next(part for part in g if part is not None)
    dim = wrap_dim(dim, len(shape_x.shape))
    parts = []
    for part, size in zip(g, _sizes(shape_x.shape[dim], split_size), strict=True):
        shape = (*shape_x.shape[:dim], size, *shape_x.shape[dim + 1 :])
        parts.append(zeros_of(some, shape) if part is None else part)
    return cat(parts, dim)


@primitive(_split_rule, promote=None, view=True)
def split(x: Array, split_size: int | Sequence[int], dim: int = 0) -> tuple[Array, ...]:
    """y = stretches of x along `dim`: of one size (the last may be less), or of the given sizes."""
    if x.ndim == 0:
        raise ValueError("expected at least one dimension, got a 0-d tensor")
    total = x.shape[wrap_dim(dim, x.ndim)]
    if isinstance(split_size, int) and (split_size < 0 or (split_size == 0 and total)):
        raise ValueError(f"expected a positive split_size, got {split_size}")
    sizes = _sizes(total, split_size)
    if sum(sizes) != total or any(size < 0 for size in sizes):
        raise ValueError(f"expected sizes that sum to {total} along dim {dim}, got {sizes}")
    moved = np.moveaxis(x, dim, 0)
    parts = []
    start = 0
    for size in sizes:
        parts.append(np.moveaxis(moved[start : start + size], 0, dim))
        start += size
    return tuple(parts)


def chunk(x: Any, chunks: int, dim: int = 0) -> Any:
    """At most `chunks` stretches of equal size along `dim` (the last may be less).

    Of a dimension of size 0, exactly `chunks` of them, all empty.
    """
    chunks = as_int("chunks", chunks, "chunk: ")
    if x.ndim == 0:
        raise RuntimeError("chunk: expected at least one dimension, got a 0-d tensor")
    if chunks < 1:
        raise RuntimeError(f"chunk: expected chunks > 0, got {chunks}")
    total = x.shape[wrap_dim(dim, x.ndim, "chunk")]
    return split(x, -(-total // chunks) or [0] * chunks, dim)


@primitive(
    lambda g, shape_value, path: copy_slices(g, zeros_of(g, shape_value.shape), path),
    lambda g, path: take_view(g, path),
    promote=None,
)
def copy_slices(base: Array, value: Array, path: Path) -> Array:
    """y = base with `value` written at a view of it: the history of a write through a view.

    g_base = g with zeros at the view;  g_value = g at the view.
    """
    y = path.copy(base)
    view = path.replay(y)
    if view.size:  # what was expanded from nothing can't be written to
        view[...] = value
    return y


@primitive(
    lambda g, shape_base, path: copy_slices(zeros_of(g, shape_base.shape), g, path), promote=None
)
def take_view(base: Array, path: Path) -> Array:
    """y = a copy of the view that `path` leads to;  gx = g there, 0 elsewhere."""
    return path.replay(path.copy(base))
