"""Operations that move elements and compute nothing. Most give views, on the same memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd.primitive import primitive
from ..autograd.view import Path
from ..dtypes import Array
from .elementwise import zeros_like, zeros_of


def wrap_dim(dim: int, ndim: int, name: str = "") -> int:
    """A dimension counted from the front. Raises IndexError outside [-ndim, ndim - 1].

    name : of the function, where no primitive puts its own in front
    """
    reach = max(ndim, 1)
    if not -reach <= dim < reach:
        raise IndexError(
            f"{name and name + ': '}Dimension out of range (expected to be in range of "
            f"[{-reach}, {reach - 1}], but got {dim})"
        )
    return dim % reach


# -- the same elements in another shape


@primitive(lambda g, shape_x: reshape(g, shape_x.shape), promote=None, view=True)
def reshape(x: Array, shape: Sequence[int]) -> Array:
    """y = x's elements, in row-major order, in another shape (one size may be -1).

    A view if the strides allow it, else a copy;  gx = g in x's shape.
    """
    return x.reshape(tuple(shape))


@primitive(lambda g, shape_x: reshape(g, shape_x.shape), promote=None, view=True)
def view(x: Array, shape: Sequence[int]) -> Array:
    """As `reshape`, and always a view: raises RuntimeError where that needs a copy."""
    y = x.reshape(tuple(shape))
    if y.size and not np.may_share_memory(x, y):
        raise ValueError(
            f"view size {tuple(shape)} is not compatible with the tensor's strides; use .reshape()"
        )
    return y


def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """The tensor with its dimensions start_dim to end_dim made one; itself if there is but one."""
    if input.ndim == 0:
        return reshape(input, (1,))
    start = wrap_dim(start_dim, input.ndim, "flatten")
    end = wrap_dim(end_dim, input.ndim, "flatten")
    if start > end:
        raise RuntimeError(f"flatten: start_dim {start_dim} must not come after end_dim {end_dim}")
    if start == end:
        return input
    sizes = input.shape
    count = 1
    for size in sizes[start : end + 1]:
        count *= size
    return reshape(input, (*sizes[:start], count, *sizes[end + 1 :]))


def ravel(input: Any) -> Any:
    """The tensor as one dimension: a view if the strides allow it."""
    return reshape(input, (-1,))


def unflatten(input: Any, dim: int, sizes: Sequence[int]) -> Any:
    """The tensor with one dimension taken apart into `sizes` (one may be -1), as a view."""
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


@primitive(lambda g, shape_x: reshape(g, shape_x.shape), promote=None, view=True)
def squeeze(x: Array, dim: int | Sequence[int] | None = None) -> Array:
    """y = x without its dimensions of size 1: all of them, or those in `dim`."""
    if dim is None:
        dims: set[int] = set(range(x.ndim))
    else:
        dims = {wrap_dim(d, x.ndim) for d in ((dim,) if isinstance(dim, int) else dim)}
    return x.reshape([size for i, size in enumerate(x.shape) if size != 1 or i not in dims])


@primitive(lambda g, shape_x: reshape(g, shape_x.shape), promote=None, view=True)
def unsqueeze(x: Array, dim: int) -> Array:
    """y = x with a new dimension of size 1 at `dim`."""
    return np.expand_dims(x, wrap_dim(dim, x.ndim + 1))


# -- stretched


@primitive(lambda g: g, promote=None, view=True)
def expand(x: Array, size: Sequence[int]) -> Array:
    """y = x broadcast to `size` (-1: as it is), without a copy;  gx = g summed over the rest."""
    extra = len(size) - x.ndim
    if extra < 0:
        raise ValueError(f"expected at least {x.ndim} sizes, got {tuple(size)}")
    full = [(x.shape[i - extra] if n == -1 and i >= extra else n) for i, n in enumerate(size)]
    if tuple(full) == x.shape:
        return x[...]
    return np.broadcast_to(x, full)


def broadcast_to(input: Any, size: Sequence[int]) -> Any:
    """The tensor stretched to `size` without a copy, as `expand` does."""
    return expand(input, tuple(size))


def broadcast_tensors(*tensors: Any) -> tuple[Any, ...]:
    """The tensors as views of the one shape that they broadcast to."""
    shapes = [tuple(tensor.shape) for tensor in tensors]
    try:
        common = np.broadcast_shapes(*shapes)
    except ValueError:
        listed = ", ".join(map(str, shapes))
        raise RuntimeError(
            f"broadcast_tensors: expected sizes that are equal or 1, got shapes {listed}"
        ) from None
    return tuple(expand(tensor, common) for tensor in tensors)


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
    if x.ndim == 0:
        return x[...]
    return x.swapaxes(wrap_dim(dim0, x.ndim), wrap_dim(dim1, x.ndim))


def swapaxes(input: Any, axis0: int, axis1: int) -> Any:
    """NumPy's name of `transpose`."""
    return transpose(input, axis0, axis1)


def swapdims(input: Any, dim0: int, dim1: int) -> Any:
    """Another name of `transpose`."""
    return transpose(input, dim0, dim1)


def _wrapped_dims(input: Any, dims: int | Sequence[int], what: str) -> list[int]:
    dims = (dims,) if isinstance(dims, int) else tuple(dims)
    wrapped = [wrap_dim(dim, input.ndim, "movedim") for dim in dims]
    if len(set(wrapped)) != len(wrapped):
        raise RuntimeError(f"movedim: expected different dimensions, got {what} {dims}")
    return wrapped


def movedim(input: Any, source: int | Sequence[int], destination: int | Sequence[int]) -> Any:
    """The tensor with the dimensions `source` moved to `destination`; the others keep their order.

    A view.
    """
    moved = _wrapped_dims(input, source, "source")
    places = _wrapped_dims(input, destination, "destination")
    if len(moved) != len(places):
        raise RuntimeError(
            "movedim: expected as many source as destination dimensions, "
            f"got {len(moved)} and {len(places)}"
        )
    if input.ndim == 0:
        return permute(input, ())
    rest = iter([dim for dim in range(input.ndim) if dim not in moved])
    sources = dict(zip(places, moved, strict=True))
    order = [sources[i] if i in sources else next(rest) for i in range(input.ndim)]
    return permute(input, tuple(order))


moveaxis = movedim


@primitive(lambda g, dims: flip(g, dims), promote=None)
def flip(x: Array, dims: int | Sequence[int]) -> Array:
    """y = x with the order along `dims` reversed, as a copy;  gx = g reversed."""
    return np.ascontiguousarray(np.flip(x, dims if isinstance(dims, int) else tuple(dims)))


def _listed(value: int | Sequence[int] | None) -> tuple[int, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, int) else tuple(value)


@primitive(
    lambda g, shifts, dims: roll(g, tuple(-shift for shift in _listed(shifts)), dims), promote=None
)
def roll(x: Array, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None) -> Array:
    """y_(i + shift) = x_i along each of `dims`, round the end; without dims of the flat tensor.

    gx = g rolled back.
    """
    along = _listed(dims)
    by = _listed(shifts)
    if not along and len(by) == 1:
        return np.array(np.roll(x, by[0]), order="C")
    if len(along) != len(by):
        raise ValueError(f"expected a shift for each dimension, got {by} and dims {along}")
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
    parts = [part for part in tensors if not _is_nothing(part)] or tensors[:1]
    return np.asarray(np.concatenate(parts, axis=dim), order="C")


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
    return [min(split_size, total - start) for start in range(0, total, split_size)] or [0]


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
    if isinstance(split_size, int) and split_size <= 0:
        raise ValueError(f"expected a positive split_size, got {split_size}")
    sizes = _sizes(total, split_size)
    if sum(sizes) != total or min(sizes) < 0:
        raise ValueError(f"expected sizes that sum to {total} along dim {dim}, got {sizes}")
    moved = np.moveaxis(x, dim, 0)
    parts = []
    start = 0
    for size in sizes:
        parts.append(np.moveaxis(moved[start : start + size], 0, dim))
        start += size
    return tuple(parts)


def chunk(x: Any, chunks: int, dim: int = 0) -> Any:
    """At most `chunks` stretches of equal size along `dim` (the last may be less)."""
    if chunks < 1:
        raise RuntimeError(f"chunk: expected chunks > 0, got {chunks}")
    total = x.shape[wrap_dim(dim, x.ndim, "chunk")]
    return split(x, max(1, -(-total // chunks)), dim)


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
    path.replay(y)[...] = value
    return y


@primitive(
    lambda g, shape_base, path: copy_slices(zeros_of(g, shape_base.shape), g, path), promote=None
)
def take_view(base: Array, path: Path) -> Array:
    """y = a copy of the view that `path` leads to;  gx = g there, 0 elsewhere."""
    return path.replay(path.copy(base))
