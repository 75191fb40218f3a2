"""Filling a tensor's memory in place: with one value, or with random numbers in torch's stream.

The numbers are drawn in the order in which the elements lie in memory, as torch draws them, so a
transposed tensor gets other numbers in other places than a contiguous one.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dtypes, random
from ..dtypes import Array
from ..tensor import Tensor, bind, make
from .making import as_number, stored
from .sample import generator_or_default

_silent = np.errstate(all="ignore")


def _written(target: Tensor, draw: Callable[[tuple[int, ...]], Array]) -> Tensor:
    """Write into a tensor what `draw` gives for its shape, with its axes in memory order."""
    array = target._array
    axes = sorted(range(array.ndim), key=lambda d: -abs(array.strides[d]))
    drawn = draw(tuple(array.shape[d] for d in axes))
    back = np.argsort(np.array(axes, int))
    return target.copy_(make(drawn.transpose(back).astype(array.dtype, copy=False)))


@_silent
def _uniform_(
    self: Tensor, from_: float = 0.0, to: float = 1.0, *, generator: random.Generator | None = None
) -> Tensor:
    """Write numbers drawn uniformly from [from_, to)."""
    source = generator_or_default("uniform_", generator)
    return _written(self, lambda shape: source.uniform(shape, from_, to, dtype=self._array.dtype))


@_silent
def _normal_(
    self: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: random.Generator | None = None
) -> Tensor:
    """Write numbers drawn from the normal distribution."""
    source = generator_or_default("normal_", generator)
    kind = self._array.dtype
    if self._array.flags.c_contiguous:
        return _written(self, lambda shape: source.normal(shape, mean, std, dtype=kind))
    return _written(self, lambda shape: source.normal_in_turn(shape, mean, std, dtype=kind))


def _bernoulli_(self: Tensor, p: Any = 0.5, *, generator: random.Generator | None = None) -> Tensor:
    """Write 1 with probability p (a number, or a tensor that broadcasts to this one), else 0."""
    source = generator_or_default("bernoulli_", generator)
    if not isinstance(p, Tensor):
        return _written(self, lambda shape: source.bernoulli(p, shape))
    array = self._array
    axes = sorted(range(array.ndim), key=lambda d: -abs(array.strides[d]))
    try:
        odds = np.broadcast_to(p._array, array.shape).transpose(axes)
    except ValueError:
        raise RuntimeError(
            f"bernoulli_: expected probabilities that broadcast to {array.shape}, got shape "
            f"{p._array.shape}"
        ) from None
    return _written(self, lambda shape: source.bernoulli_like(odds))


def _random_(
    self: Tensor,
    *bounds: int | None,
    to: int | None = None,
    generator: random.Generator | None = None,
) -> Tensor:
    """Write integers: `random_(from, to)` from `from` up to but without `to`; `random_(to)` from 0.

    `random_(from, None)` goes up to the largest integer up to which the type holds every one, and
    so does `random_()` from 0. A bound that a floating-point type can't tell from its neighbour is
    moved inwards to one that it can, as in torch.
    Raises RuntimeError for a bound that the type can't hold, or unless from < to.
    """
    source = generator_or_default("random_", generator)
    kind = self._array.dtype
    given = bounds if to is None else (*bounds, to)
    low, high = _range(given, _largest(kind) + 1)
    for name, bound in (("from", low), ("to - 1", high - 1)):
        if not _holds(kind, bound):
            raise RuntimeError(
                f"random_: expected bounds within {dtypes.of_numpy(kind)}, got {name} = {bound}"
            )
    if kind.kind == "f" and given:
        low, high = _moved_inwards(kind, low, high)
    wide = None if given else kind.itemsize == 8
    stop = None if high == 2**63 else high
    return _written(self, lambda shape: source.integers(low, stop, shape, wide))


def _range(bounds: tuple[Any, ...], end: int) -> tuple[int, int]:
    """The range that bounds stand for; `end` is where it ends if they do not say."""
    match bounds:
        case ():
            return 0, end
        case (high,):
            return 0, operator.index(high)
        case (low, None):
            return operator.index(low), end
        case (low, high):
            return operator.index(low), operator.index(high)
    raise TypeError(f"random_: expected at most two bounds, got {bounds}")


def _largest(kind: np.dtype[Any]) -> int:
    """The largest integer up to which a type holds every one."""
    if kind.kind == "b":
        return 1
    return 2 ** (np.finfo(kind).nmant + 1) if kind.kind == "f" else int(np.iinfo(kind).max)


def _holds(kind: np.dtype[Any], number: int) -> bool:
    if kind.kind == "b":
        return 0 <= number <= 1
    if kind.kind == "f":
        return abs(number) <= float(np.finfo(kind).max)
    limits = np.iinfo(kind)
    return bool(limits.min <= number <= limits.max)


def _moved_inwards(kind: np.dtype[Any], low: int, high: int) -> tuple[int, int]:
    """Bounds between which no integer is rounded out of [low, high) by a floating-point type."""
    digits = np.finfo(kind).nmant + 1
    after = int(kind.type(low + 1))
    if after < low:
        low = after + 2 ** (abs(low + 1).bit_length() - digits)
    before = int(kind.type(high - 1))
    if before >= high:
        high = before - 2 ** (abs(high - 1).bit_length() - digits)
    return low, high


def _fill_(self: Tensor, value: Any) -> Tensor:
    """Write one value everywhere: a number that the type can hold, or a 0-d tensor."""
    if isinstance(value, Tensor):
        if value.ndim:
            raise RuntimeError(
                f"fill_: expected a number or a 0-d tensor, got shape {tuple(value.shape)}"
            )
        return self.copy_(value)
    return self.copy_(make(stored("fill_", as_number("fill_", value), self._array.dtype)))


def _zero_(self: Tensor) -> Tensor:
    """Write zero everywhere."""
    return _fill_(self, 0)


bind(
    uniform_=_uniform_,
    normal_=_normal_,
    bernoulli_=_bernoulli_,
    random_=_random_,
    fill_=_fill_,
    zero_=_zero_,
)
