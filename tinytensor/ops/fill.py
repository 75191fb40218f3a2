"""Filling a tensor's memory in place: with one value, or with random numbers in torch's stream.

The numbers are drawn in the order in which the elements lie in memory, as torch draws them, so a
transposed tensor gets other numbers in other places than a contiguous one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dtypes, random
from ..dtypes import Array
from ..tensor import Tensor, bind, make
from .create import as_number, generator_or_default, stored

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
    self: Tensor, a: float = 0.0, b: float = 1.0, *, generator: random.Generator | None = None
) -> Tensor:
    """Write numbers drawn uniformly from [a, b)."""
    source = generator_or_default("uniform_", generator)
    return _written(self, lambda shape: source.uniform(shape, a, b, dtype=self._array.dtype))


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
    odds = np.broadcast_to(p._array, array.shape).transpose(axes)
    return _written(self, lambda shape: source.bernoulli_like(odds))


def _random_(
    self: Tensor, from_: int, to: int | None = None, *, generator: random.Generator | None = None
) -> Tensor:
    """Write integers from from_ (0 when left out) up to but without `to`; `random_(to)` as well.

    Raises RuntimeError for a bound that the tensor's type can't hold.
    """
    source = generator_or_default("random_", generator)
    low, high = (0, from_) if to is None else (from_, to)
    kind = self._array.dtype
    for name, bound in (("low", low), ("high - 1", high - 1)):
        if kind.kind != "f" and not _holds(kind, bound):
            raise RuntimeError(
                f"random_: expected bounds within {dtypes.of_numpy(kind)}, got {name} = {bound}"
            )
    return _written(self, lambda shape: source.integers(low, high, shape))


def _holds(kind: np.dtype[Any], number: int) -> bool:
    if kind.kind == "b":
        return 0 <= number <= 1
    limits = np.iinfo(kind)
    return bool(limits.min <= number <= limits.max)


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
