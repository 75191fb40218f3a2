"""Operations that repeat the elements of a tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from ..autograd.view import owned
from ..tensor import Tensor, make
from .elementwise import contiguous
from .shape import expand, reshape, transpose, wrap_dim


def repeat(input: Tensor, repeats: Sequence[int]) -> Tensor:
    """The tensor laid side by side, so many times along each dimension (new ones in front).

    Always a copy; see `expand` for dimensions of size 1.
    """
    extra = len(repeats) - input.ndim
    if extra < 0:
        raise RuntimeError(
            f"repeat: expected at least {input.ndim} numbers, one a dimension, got {len(repeats)}"
        )
    if any(n < 0 for n in repeats):
        raise RuntimeError(f"repeat: expected numbers >= 0, got {tuple(repeats)}")
    sizes = (1,) * extra + tuple(input.shape)
    apart = [n for size in sizes for n in (1, size)]
    stretched = [n for pair in zip(repeats, sizes, strict=True) for n in pair]
    copied = contiguous(expand(reshape(input, apart), stretched))
    return owned(reshape(copied, [n * size for n, size in zip(repeats, sizes, strict=True)]))


def tile(input: Tensor, dims: Sequence[int]) -> Tensor:
    """As `repeat`; numbers that are missing in front count as 1."""
    counts = tuple(dims)
    return repeat(input, (1,) * (input.ndim - len(counts)) + counts)


def repeat_interleave(
    input: Tensor,
    repeats: int | Tensor | None = None,
    dim: int | None = None,
    *,
    output_size: int | None = None,
) -> Tensor:
    """Each element so many times in a row, along `dim` or of the flat tensor.

    repeats : one number, or an integer Tensor (n,) with one for each
    output_size : what the sum of `repeats` must be
    Of one tensor of repeats alone: each of 0, 1, 2 ... so many times.
    """
    if repeats is None:
        if input.ndim != 1:
            raise RuntimeError(f"repeat_interleave: expected a vector, got {input.ndim} dimensions")
        return make(_interleaved(np.arange(input.shape[0]), input, None))
    if dim is None:
        input = reshape(input, (-1,))
        dim = 0
    if input.ndim == 0:
        raise IndexError(f"repeat_interleave: expected no dim for a 0-d tensor, got {dim}")
    dim = wrap_dim(dim, input.ndim, "repeat_interleave")
    places = _interleaved(np.arange(input.shape[dim]), repeats, output_size)
    return input[(*(slice(None),) * dim, make(places))]


def _interleaved(numbers: Any, repeats: int | Tensor, output_size: int | None) -> Any:
    """Each number as often as `repeats` says, after a look at whether that makes sense."""
    if not isinstance(repeats, (int, Tensor)):
        kind = type(repeats).__name__
        raise TypeError(f"repeat_interleave: expected a number or a Tensor of repeats, got {kind}")
    counts = np.asarray(repeats.tolist() if isinstance(repeats, Tensor) else repeats)
    if isinstance(repeats, Tensor) and repeats._array.dtype not in (np.int64, np.int32):
        raise NotImplementedError(
            f"repeat_interleave: expected int64 or int32 repeats, got {repeats.dtype}; use .long()"
        )
    counts = counts.astype(np.int64)
    if counts.ndim > 1 or counts.size not in (1, len(numbers)):
        raise RuntimeError(
            f"repeat_interleave: expected one number or one for each of {len(numbers)}, "
            f"got shape {counts.shape}"
        )
    if counts.size and counts.min() < 0:
        raise RuntimeError(f"repeat_interleave: expected repeats >= 0, got {int(counts.min())}")
    places = np.repeat(numbers, counts)
    if output_size is not None and len(places) != output_size:
        raise RuntimeError(
            f"repeat_interleave: expected output_size {len(places)}, got {output_size}"
        )
    return places


def meshgrid(*tensors: Any, indexing: Literal["ij", "xy"] | None = None) -> tuple[Any, ...]:
    """The coordinates of the points of a grid: of vectors (n_0,), (n_1,) ... views (n_0, n_1 ...).

    indexing : "ij", the default, or "xy", where the first two dimensions are exchanged
    """
    parts = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors
    if not parts:
        raise RuntimeError("meshgrid: expected at least one tensor, got none")
    if indexing not in (None, "ij", "xy"):
        raise RuntimeError(f"meshgrid: expected indexing 'ij' or 'xy', got {indexing!r}")
    if any(part.ndim > 1 for part in parts):
        shapes = ", ".join(str(tuple(part.shape)) for part in parts)
        raise RuntimeError(f"meshgrid: expected vectors or 0-d tensors, got shapes {shapes}")
    if any(part.dtype != parts[0].dtype for part in parts):
        kinds = ", ".join(str(part.dtype) for part in parts)
        raise RuntimeError(f"meshgrid: expected tensors of one dtype, got {kinds}")
    sizes = [part.numel() for part in parts]
    order = list(range(len(parts)))
    if indexing == "xy" and len(parts) > 1:
        order[0], order[1] = 1, 0
    grids = []
    for place, part in enumerate(parts):
        lone = [size if i == place else 1 for i, size in enumerate(sizes)]
        grids.append(expand(reshape(part, lone), sizes))
    if order != sorted(order):
        grids = [transpose(grid, 0, 1) for grid in grids]
    return tuple(grids)
