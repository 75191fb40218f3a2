"""Padding: elements added at the ends of dimensions, or taken away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd.primitive import primitive
from ..dtypes import Array, check_fits
from ..tensor import Tensor, make
from .check import as_int
from .elementwise import contiguous

Pairs = tuple[tuple[int, int], ...]


def _negated(pairs: Pairs) -> Pairs:
    return tuple((-before, -after) for before, after in pairs)


@primitive(lambda g, pairs: constant_pad(g, _negated(pairs), 0.0), promote=None)
def constant_pad(x: Array, pairs: Pairs, value: float) -> Array:
    """y = x with `value` at the ends: a pair (before, after) a dimension, taken away if negative.

    gx = g with the added taken away, and 0 where x was taken away.
    """
    kept = [slice(max(0, -a), n - max(0, -b)) for (a, b), n in zip(pairs, x.shape, strict=True)]
    sizes = [n + a + b for (a, b), n in zip(pairs, x.shape, strict=True)]
    if any(size < 0 or part.stop < 0 for size, part in zip(sizes, kept, strict=True)):
        raise ValueError(f"expected no more to be taken away than there is, got {pairs}")
    y = np.full(sizes, value, x.dtype)
    inside = [slice(max(0, a), n - max(0, b)) for (a, b), n in zip(pairs, sizes, strict=True)]
    y[tuple(inside)] = x[tuple(kept)]
    return y


def _reflected(places: Array, size: int) -> Array:
    return (size - 1) - np.abs((size - 1) - np.abs(places))


def _replicated(places: Array, size: int) -> Array:
    return np.clip(places, 0, size - 1)


_SOURCES = {"reflect": _reflected, "replicate": _replicated}
_MODES = ("constant", *_SOURCES, "circular")
_PADDED_DIMENSIONS = {1: (2, 3), 2: (3, 4), 3: (4, 5)}


def pad(
    input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Any:
    """The tensor with elements added at the ends of its last dimensions, as a copy.

    pad : (before, after) of the last dimension, then of the one before it ...; negative numbers
        take away
    mode : "constant", elements that are `value` (0 by default); "reflect", the inner elements
        mirrored at the end; "replicate", the last element again; "circular", from the other end.
        The last three pad the last 1, 2 or 3 dimensions of 2 or 3, 3 or 4, 4 or 5.
    Raises RuntimeError if there are not enough elements, NotImplementedError as torch does.
    """
    widths = tuple(as_int("pad", n, "pad: ") for n in pad)
    if len(widths) % 2:
        raise RuntimeError(f"pad: expected an even number of widths, got {len(widths)}")
    count = len(widths) // 2
    if count > input.ndim:
        raise RuntimeError(
            f"pad: expected at most 2 widths for each of {input.ndim} dimensions, got {len(widths)}"
        )
    backwards = [(widths[2 * i], widths[2 * i + 1]) for i in range(count)]
    pairs = ((0, 0),) * (input.ndim - count) + tuple(reversed(backwards))
    if mode == "constant":
        filling = 0 if value is None else value
        check_fits("pad", filling, input._array.dtype)
        return constant_pad(input, pairs, filling)
    if mode not in _MODES:
        raise NotImplementedError(f"pad: expected a mode among {_MODES}, got {mode!r}")
    if value is not None and value != 0:
        raise RuntimeError(f"pad: expected no value with mode {mode!r}, got {value}")
    if input.ndim not in _PADDED_DIMENSIONS.get(count, ()):
        raise NotImplementedError(
            f"pad: expected 2 widths for 2 or 3 dimensions, 4 for 3 or 4, 6 for 4 or 5 with mode "
            f"{mode!r}, got {len(widths)} for {input.ndim}"
        )
    if input._array.dtype == np.bool_ and mode != "circular":
        raise NotImplementedError(f"pad: expected numbers with mode {mode!r}, got a bool tensor")
    batched = input.ndim > count + 1
    if mode != "circular" and 0 in input._array.shape[batched:]:
        raise RuntimeError(
            f"pad: expected sizes above 0 (but for a batch) with mode {mode!r}, got shape "
            f"{input._array.shape}"
        )
    result = input
    for dim, (before, after) in enumerate(pairs):
        if before or after:
            places = _places(mode, input.shape[dim], before, after)
            result = result[(*(slice(None),) * dim, make(places))]
    return contiguous(input) if result is input else result


def _places(mode: str, size: int, before: int, after: int) -> Array:
    """The numbers of the elements that stand along a padded dimension."""
    most = {"reflect": size - 1, "circular": size}.get(mode)
    if size == 0 or (most is not None and max(before, after) > most):
        raise RuntimeError(
            f"pad: expected widths of at most {most or 0} for size {size} with mode {mode!r}, "
            f"got {before} and {after}"
        )
    if size + min(0, before) + min(0, after) <= 0:
        raise RuntimeError(
            f"pad: expected no more to be taken away than size {size}, got {before} and {after}"
        )
    first, last = max(0, -before), size - max(0, -after)
    places = np.arange(-before, size + after)
    if mode == "circular":  # what is left after taking away comes round
        return first + (places - first) % (last - first)
    return _SOURCES[mode](places, size)
