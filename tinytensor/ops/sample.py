"""Tensors drawn at random: after the same `manual_seed` these are torch's CPU numbers.

`tinytensor.random` says how exactly.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import devices, dtypes, random
from ..tensor import Tensor, bind, make
from .check import check_tensors
from .create import empty, empty_like
from .elementwise import copy
from .making import as_number, finished, kind_of, shape_of, silent, sizes_of
from .shape import expand


def generator_or_default(op: str, generator: Any) -> random.Generator:
    """The generator to draw from. Raises TypeError for what is none."""
    if generator is None:
        return random.default_generator
    if not isinstance(generator, random.Generator):
        raise TypeError(f"{op}: expected a Generator, got {type(generator).__name__}")
    return generator


def get_rng_state() -> Tensor:
    """The state of the default generator, as bytes."""
    return make(random.default_generator.get_state())


def set_rng_state(new_state: Tensor) -> None:
    """Go back to a state of the default generator that `get_rng_state` gave."""
    check_tensors("set_rng_state", new_state)
    random.default_generator.set_state(new_state._array)


@silent
def rand(
    *sizes: Any,
    size: Any = None,
    generator: random.Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform on [0, 1)."""
    source = generator_or_default("rand", generator)
    array = source.uniform(sizes_of("rand", sizes, size), dtype=kind_of(dtype))
    return finished(array, requires_grad, device)


@silent
def randn(
    *sizes: Any,
    size: Any = None,
    generator: random.Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal with mean 0 and standard deviation 1."""
    source = generator_or_default("randn", generator)
    array = source.normal(sizes_of("randn", sizes, size), dtype=kind_of(dtype))
    return finished(array, requires_grad, device)


def rand_like(
    input: Tensor,
    *,
    generator: random.Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform on [0, 1) in the shape and type of a tensor."""
    result = empty_like(input, dtype=dtype, device=device).uniform_(generator=generator)
    return result.requires_grad_() if requires_grad else result


def randn_like(
    input: Tensor,
    *,
    generator: random.Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Standard normal in the shape and type of a tensor."""
    result = empty_like(input, dtype=dtype, device=device).normal_(generator=generator)
    return result.requires_grad_() if requires_grad else result


def randint(
    low: int = 0,
    high: Any = None,
    size: Any = None,
    *,
    generator: random.Generator | None = None,
    dtype: Any = dtypes.int64,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Integers from low (0 when left out: `randint(high, size)`) up to but without high."""
    if size is None:
        low, high, size = 0, low, high
    if high is None:
        raise TypeError("randint: expected high, got None")
    result = empty(shape_of("randint", size), dtype=dtype, device=device)
    result.random_(low, high, generator=generator)
    return result.requires_grad_() if requires_grad else result


def randint_like(
    input: Tensor,
    low: int = 0,
    high: Any = None,
    *,
    generator: random.Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Integers from low (0 when left out) up to but without high, in the shape of a tensor."""
    if high is None:
        low, high = 0, low
    result = empty_like(input, dtype=dtype, device=device)
    result.random_(low, high, generator=generator)
    return result.requires_grad_() if requires_grad else result


def randperm(
    n: int,
    *,
    generator: random.Generator | None = None,
    dtype: Any = dtypes.int64,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """0 ... n-1 in random order."""
    (count,) = shape_of("randperm", (n,))
    kind = dtypes.numpy_dtype(dtype)
    if kind.kind == "b":
        raise NotImplementedError("randperm: expected a number type, got bool")
    if count > 0:
        dtypes.check_fits("randperm", count, kind)
    order = generator_or_default("randperm", generator).permutation(count)
    return finished(order.astype(kind, copy=False), requires_grad, device)


def bernoulli(
    input: Tensor, p: float | None = None, *, generator: random.Generator | None = None
) -> Tensor:
    """1 with the probability that each element gives (or `p` for all), else 0; gx = 0.

    In the type of the input. Raises RuntimeError for a probability outside [0, 1].
    """
    check_tensors("bernoulli", input)
    if p is not None:
        drawn = empty_like(input).bernoulli_(p, generator=generator)
    else:
        source = generator_or_default("bernoulli", generator)
        drawn = make(source.bernoulli_like(input._array).astype(input._array.dtype))
    return copy(input, drawn) if input.requires_grad else drawn


@silent
def normal(
    mean: Any,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: random.Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal with a mean and a standard deviation: numbers (then with a size), or tensors.

    y = mean + std z, in the type of `mean` if it is a tensor, else of `std`, and in the shape they
    broadcast to; no gradient flows to either, as in torch. Raises RuntimeError where std < 0.
    """
    tensors = [value for value in (mean, std) if isinstance(value, Tensor)]
    if not tensors:
        if size is None:
            raise TypeError("normal: expected tensors, or numbers and a size, got numbers only")
        source = generator_or_default("normal", generator)
        center, spread = as_number("normal", mean), as_number("normal", std)
        array = source.normal(shape_of("normal", size), center, spread, dtype=kind_of(dtype))
        return finished(array, requires_grad, device)
    if size is not None:
        raise TypeError("normal: expected no size beside tensors; it is the one they broadcast to")
    devices.check(device)
    return _normal_of_tensors(mean, std, tensors, generator)


def _normal_of_tensors(mean: Any, std: Any, tensors: list[Tensor], generator: Any) -> Tensor:
    if isinstance(std, Tensor):
        if np.any(std._array < 0):
            raise RuntimeError("normal: expected all elements of std >= 0, got a negative one")
    elif not std >= 0:
        raise RuntimeError(f"normal: expected std >= 0, got {std}; pass its absolute value")
    try:
        shape = np.broadcast_shapes(*(value._array.shape for value in tensors))
    except ValueError:
        first, second = (tuple(value.shape) for value in tensors)
        raise RuntimeError(
            f"normal: expected shapes that broadcast, got mean {first} and std {second}"
        ) from None
    kind = tensors[0]._array.dtype
    drawn = generator_or_default("normal", generator).normal(shape, dtype=kind)
    center, spread = (v._array if isinstance(v, Tensor) else v for v in (mean, std))
    drawn = np.asarray((drawn * spread).astype(kind) + center).astype(kind, copy=False)
    result = make(drawn)
    for value in tensors:
        if value.requires_grad:
            result = copy(expand(value, shape).to(tensors[0].dtype), result)
    return result


bind(bernoulli=bernoulli)
