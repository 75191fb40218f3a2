"""Making tensors: from data, filled, counted, and drawn at random in torch's stream."""

from __future__ import annotations

import functools
import math
import operator
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import devices, dtypes, random
from ..dtypes import Array
from ..tensor import Tensor, bind, make
from .elementwise import copy
from .shape import expand

_silent = np.errstate(all="ignore")  # as torch: 1e300 in float32 is inf without a word

check_device = devices.check


def _kind(dtype: Any) -> np.dtype[Any]:
    return dtypes.get_default_dtype().numpy if dtype is None else dtypes.numpy_dtype(dtype)


def _sizes(op: str, sizes: tuple[Any, ...], size: Any) -> tuple[int, ...]:
    """Sizes as torch takes them: `zeros(2, 3)`, `zeros((2, 3))` or `zeros(size=(2, 3))`."""
    if size is not None:
        sizes = (size, *sizes)
    if not sizes:
        raise TypeError(f"{op}: expected sizes, got none; write {op}(()) for a 0-d tensor")
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = tuple(sizes[0])
    return _checked(op, sizes)


def _shape(op: str, size: Any) -> tuple[int, ...]:
    """Sizes where torch takes a tuple or list only: `full((2, 3), 1)`."""
    if not isinstance(size, (tuple, list)):
        raise TypeError(f"{op}: expected a tuple of sizes, got {type(size).__name__}")
    return _checked(op, tuple(size))


def _checked(op: str, sizes: tuple[Any, ...]) -> tuple[int, ...]:
    if any(isinstance(n, bool) for n in sizes):
        raise TypeError(f"{op}: expected integers as sizes, got a bool in {sizes}")
    whole = tuple(map(operator.index, sizes))
    if any(n < 0 for n in whole):
        raise RuntimeError(f"Trying to create tensor with negative dimension in {whole}")
    if math.prod(whole) >= 2**60:
        raise RuntimeError(f"{op}: expected sizes that memory can hold, got {whole}")
    return whole


def _finished(array: Array, requires_grad: bool, device: Any) -> Tensor:
    check_device(device)
    result = make(array)
    return result.requires_grad_() if requires_grad else result


def _check_tensor(op: str, value: Any) -> None:
    if not isinstance(value, Tensor):
        raise TypeError(f"{op}: expected a Tensor, got {type(value).__name__}")


# -- from data


@_silent
def tensor(
    data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A new leaf with a copy of `data`: a number, nested lists, an array, a tensor.

    Python floats take the default dtype and Python ints int64; arrays, NumPy's numbers and tensors
    keep their own, and in a list the common one. The copy is outside the graph; where that drops
    the gradient of `data`, a UserWarning says so. Raises TypeError or ValueError for what holds no
    numbers or is ragged, RuntimeError for a number that does not fit the dtype.
    """
    array = _as_array(data, dtype)
    return _finished(np.array(array, order="C"), requires_grad, device)


@_silent
def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """`data` as a tensor, without a copy where it is one, or an array, of that type already."""
    check_device(device)
    if isinstance(data, Tensor):
        return data if dtype is None else data.to(dtype)
    if isinstance(data, np.ndarray):
        shared = from_numpy(data)
        return shared if dtype is None else shared.to(dtype)
    return make(_as_array(data, dtype))


def from_numpy(array: Array) -> Tensor:
    """A tensor on the memory of a NumPy array: a write into either is seen in both.

    Raises TypeError for what is no array of a type that tensors have, ValueError for one that runs
    backwards, in steps that are no whole elements, or in the other byte order, as torch does.
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy: expected an ndarray, got {type(array).__name__}")
    _check_byte_order("from_numpy", array)
    dtypes.of_numpy(array.dtype)
    if any(step < 0 for step in array.strides):
        raise ValueError(
            f"from_numpy: expected strides that are not negative, got {array.strides}; "
            "use array.copy()"
        )
    if any(step % array.itemsize for step in array.strides):
        raise ValueError(
            f"from_numpy: expected strides of whole elements of {array.itemsize} bytes, "
            f"got {array.strides}; use array.copy()"
        )
    return make(array)


def _check_byte_order(op: str, array: Array) -> None:
    if not array.dtype.isnative:
        raise ValueError(
            f"{op}: expected the machine's own byte order, got {array.dtype}; "
            "use array.astype(array.dtype.newbyteorder('='))"
        )


def _as_array(data: Any, dtype: Any) -> Array:
    kind = None if dtype is None else dtypes.numpy_dtype(dtype)
    if isinstance(data, Tensor):
        _warn_if_recorded(data)
        data = data._array
    if isinstance(data, np.ndarray):
        _check_byte_order("tensor", data)
        dtypes.of_numpy(data.dtype)
        return data if kind is None else data.astype(kind, copy=False)
    if isinstance(data, (bytes, str)):
        raise TypeError(f"tensor: expected numbers, got {data!r:.60}")
    leaves: list[np.dtype[Any]] = []
    plain = _plain(data, leaves)
    try:
        array = np.asarray(plain)
    except ValueError:
        raise ValueError(
            f"tensor: expected lists of equal lengths, got {data!r:.60}; pad them to one length"
        ) from None
    if array.dtype.kind == "O":
        return _large_ints(array, kind)
    if kind is not None:
        if array.dtype != kind:
            _check_range(array, kind)
        return array.astype(kind, copy=False)
    if array.dtype == np.uint64 and np.dtype(np.uint64) not in leaves:
        raise ValueError("tensor: expected integers that fit int64, got a larger one")
    return array.astype(_common(array, leaves), copy=False)


_SEQUENCES = (list, tuple, range, bytearray)
_NUMBERS = {bool, int, float}


def _plain(data: Any, leaves: list[np.dtype[Any]]) -> Any:
    """Nested lists with the tensors in them as numbers; notes the types of the values."""
    if isinstance(data, _SEQUENCES):
        kinds = set(map(type, data))
        if kinds <= _NUMBERS:
            leaves.extend(dtypes.number_dtype(kind(0)) for kind in kinds)
            return data if isinstance(data, (list, tuple)) else list(data)
        deeper = {isinstance(item, (*_SEQUENCES, np.ndarray)) for item in data}
        if len(deeper) > 1:
            raise TypeError(
                f"tensor: expected numbers or lists beside each other, got both in {data!r:.60}"
            )
        return [_plain(item, leaves) for item in data]
    if isinstance(data, Tensor):
        if data._array.size != 1:
            raise ValueError(
                "tensor: only one element tensors can be converted to Python scalars, got shape "
                f"{tuple(data.shape)} in a list; use tinytensor.stack"
            )
        _warn_if_recorded(data)
        data = data._array.reshape(())[()]
    if isinstance(data, (np.generic, np.ndarray)) and data.dtype.kind in "biuf":
        leaves.append(data.dtype)
    elif isinstance(data, (bool, int, float)):
        leaves.append(dtypes.number_dtype(data))
    elif isinstance(data, str):
        raise ValueError(f"tensor: expected numbers, got {data!r:.60}")
    else:
        raise RuntimeError(f"tensor: expected numbers, got {type(data).__name__}")
    return data


def _common(array: Array, leaves: list[np.dtype[Any]]) -> np.dtype[Any]:
    """The type of a list of values: the one that all of theirs promote to."""
    if array.size == 0:
        return dtypes.get_default_dtype().numpy
    return functools.reduce(dtypes.promoted, leaves)


def _check_range(array: Array, kind: np.dtype[Any]) -> None:
    """Raise RuntimeError if a number does not fit an integer type. A float may become inf."""
    if kind.kind not in "iu" or array.size == 0:
        return
    extremes = [array.min().item(), array.max().item()]
    if kind == np.uint64 and extremes[0] < 0:
        raise OverflowError(f"tensor: expected numbers from 0 for uint64, got {extremes[0]}")
    for number in extremes:
        dtypes.check_fits("tensor", number, kind)


def _large_ints(array: Array, kind: np.dtype[Any] | None) -> Array:
    """Integers beyond 64 bits, which only a float type can take."""
    if kind is None or kind.kind in "iu":
        error = OverflowError if kind == np.uint64 else ValueError
        raise error("tensor: expected integers that fit the dtype, got a larger one; use a float")
    return array.astype(kind)


def _warn_if_recorded(data: Tensor) -> None:
    if data.requires_grad:
        warnings.warn(
            "tensor: the copy is outside the graph, no gradient will flow through it; use "
            ".clone() or stack to stay inside, .detach().clone() to say that it is meant",
            UserWarning,
            stacklevel=4,
        )


# -- filled


def zeros(
    *sizes: Any,
    size: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Zeros in the given shape."""
    return _finished(np.zeros(_sizes("zeros", sizes, size), _kind(dtype)), requires_grad, device)


def ones(
    *sizes: Any,
    size: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Ones in the given shape."""
    return _finished(np.ones(_sizes("ones", sizes, size), _kind(dtype)), requires_grad, device)


def empty(
    *sizes: Any,
    size: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Memory in the given shape, with whatever it holds."""
    return _finished(np.empty(_sizes("empty", sizes, size), _kind(dtype)), requires_grad, device)


def full(
    size: Any,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`fill_value` in the given shape, in its own type unless one is given.

    Raises RuntimeError for a number that does not fit the type; a negative one fits an unsigned
    type (and wraps) if its absolute value does.
    """
    shape = _shape("full", size)
    value = as_number("full", fill_value)
    kind = dtypes.number_dtype(value) if dtype is None else dtypes.numpy_dtype(dtype)
    return _finished(np.full(shape, stored("full", value, kind)), requires_grad, device)


def as_number(op: str, value: Any) -> Any:
    """The Python number that a number, NumPy's or a 0-d tensor's, stands for."""
    if isinstance(value, Tensor) and value.ndim == 0:
        return value._array.item()
    if isinstance(value, np.generic):
        return value.item()
    if not isinstance(value, (bool, int, float)):
        what = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)
        raise TypeError(f"{op}: expected a number, got {what:.60}")
    return value


@_silent
def stored(op: str, value: Any, kind: np.dtype[Any]) -> Array:
    """A Python number as a 0-d array of a type. Raises RuntimeError where torch refuses it."""
    if isinstance(value, int):
        dtypes.wrapped(value, dtypes.int64.numpy)  # raises for what has no 64-bit form
    dtypes.check_fits(op, value, kind)
    if kind.kind in "iu" and isinstance(value, int):
        value = dtypes.wrapped(value, kind)
    return np.asarray(np.asarray(value).astype(kind))


def eye(
    n: int,
    m: int | None = None,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Ones on the diagonal of an n x m matrix (m = n unless given), zeros elsewhere."""
    n, m = _shape("eye", (n, n if m is None else m))
    return _finished(np.eye(n, m, dtype=_kind(dtype)), requires_grad, device)


@_silent
def arange(
    start: Any = 0,
    end: Any = None,
    step: Any = 1,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """start, start + step, ... below end; `arange(end)` starts at 0. Integers give int64.

    For an integer dtype the three lose their fractions first, as in torch.
    Raises RuntimeError if the step leads away from the end, or is 0.
    """
    if end is None:
        start, end = 0, start
    first, last, by = (as_number("arange", number) for number in (start, end, step))
    whole = all(isinstance(number, int) for number in (first, last, by))
    kind = (dtypes.int64.numpy if whole else _kind(None)) if dtype is None else _kind(dtype)
    if kind.kind == "b":
        raise NotImplementedError("arange: expected a number type, got bool")
    if not all(map(math.isfinite, (first, last, by))):
        raise RuntimeError(f"arange: expected a finite range, got {first} to {last} by {by}")
    if by == 0 or (last - first) * by < 0:
        raise RuntimeError(f"arange: expected a step from {first} towards {last}, got {by}")
    if kind.kind in "iu":
        first, last, by = int(first), int(last), int(by)
        if by == 0:
            raise ValueError(f"arange: expected a whole step for {dtype}, got {step}")
        count = -((first - last) // by)
    else:
        count = math.ceil((last - first) / by)
    numbers = first + np.arange(count) * by
    return _finished(numbers.astype(kind), requires_grad, device)


@_silent
def linspace(
    start: Any,
    end: Any,
    steps: int,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` numbers at equal distances from start to end, both included.

    The first half is counted from the start and the second from the end, as in torch. An integer
    type cuts the fractions off.
    """
    (count,) = _shape("linspace", (steps,))
    first, last = as_number("linspace", start), as_number("linspace", end)
    kind = _kind(dtype)
    if kind.kind == "b":
        raise NotImplementedError("linspace: expected a number type, got bool")
    if count < 2:
        return _finished(np.full(count, first).astype(kind), requires_grad, device)
    unit = np.float32 if kind.kind != "f" or kind == np.float16 else kind.type
    low, high = unit(first), unit(last)
    step = (high - low) / unit(count - 1)
    place = np.arange(count, dtype=unit)
    numbers = np.where(place < count // 2, low + step * place, high - step * (count - 1 - place))
    return _finished(numbers.astype(kind), requires_grad, device)


# -- like another tensor


def _like(
    array: Array, make_array: Callable[..., Array], dtype: Any, device: Any, requires_grad: bool
) -> Tensor:
    """A tensor of another's shape, memory order and, unless one is given, type."""
    kind = array.dtype if dtype is None else dtypes.numpy_dtype(dtype)
    order = "C" if 0 in array.strides else "K"
    return _finished(make_array(array, kind, order, subok=False), requires_grad, device)


def zeros_like(
    input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Zeros in the shape and type of a tensor."""
    _check_tensor("zeros_like", input)
    return _like(input._array, np.zeros_like, dtype, device, requires_grad)


def ones_like(
    input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Ones in the shape and type of a tensor."""
    _check_tensor("ones_like", input)
    return _like(input._array, np.ones_like, dtype, device, requires_grad)


def empty_like(
    input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Memory in the shape and type of a tensor, with whatever it holds."""
    _check_tensor("empty_like", input)
    return _like(input._array, np.empty_like, dtype, device, requires_grad)


def full_like(
    input: Tensor,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """One value in the shape and type of a tensor; an integer type cuts its fraction off."""
    result = empty_like(input, dtype=dtype, device=device)
    value = as_number("full_like", fill_value)
    result._array[...] = stored("full_like", value, result._array.dtype)
    return result.requires_grad_() if requires_grad else result


def _new_zeros(
    self: Tensor,
    *sizes: Any,
    size: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Zeros in the given shape, in this tensor's type."""
    shape = _sizes("new_zeros", sizes, size)
    return zeros(shape, dtype=dtype or self.dtype, device=device, requires_grad=requires_grad)


def _new_ones(
    self: Tensor,
    *sizes: Any,
    size: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Ones in the given shape, in this tensor's type."""
    shape = _sizes("new_ones", sizes, size)
    return ones(shape, dtype=dtype or self.dtype, device=device, requires_grad=requires_grad)


def _new_empty(
    self: Tensor,
    *sizes: Any,
    size: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Memory in the given shape, in this tensor's type, with whatever it holds."""
    shape = _sizes("new_empty", sizes, size)
    return empty(shape, dtype=dtype or self.dtype, device=device, requires_grad=requires_grad)


def _new_full(
    self: Tensor,
    size: Any,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """One value in the given shape, in this tensor's type."""
    kind = dtype or self.dtype
    return full(size, fill_value, dtype=kind, device=device, requires_grad=requires_grad)


@_silent
def _new_tensor(
    self: Tensor,
    data: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """A new leaf with a copy of `data`, in this tensor's type."""
    return tensor(data, dtype=dtype or self.dtype, device=device, requires_grad=requires_grad)


bind(
    new_zeros=_new_zeros,
    new_ones=_new_ones,
    new_empty=_new_empty,
    new_full=_new_full,
    new_tensor=_new_tensor,
)


# -- random
# After the same `manual_seed` these are torch's CPU numbers; tinytensor.random says how exactly.


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
    _check_tensor("set_rng_state", new_state)
    random.default_generator.set_state(new_state._array)


@_silent
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
    array = source.uniform(_sizes("rand", sizes, size), dtype=_kind(dtype))
    return _finished(array, requires_grad, device)


@_silent
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
    array = source.normal(_sizes("randn", sizes, size), dtype=_kind(dtype))
    return _finished(array, requires_grad, device)


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
    result = empty(_shape("randint", size), dtype=dtype, device=device)
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
    (count,) = _shape("randperm", (n,))
    kind = dtypes.numpy_dtype(dtype)
    if count > 0:
        dtypes.check_fits("randperm", count, kind)
    order = generator_or_default("randperm", generator).permutation(count)
    return _finished(order.astype(kind, copy=False), requires_grad, device)


def bernoulli(
    input: Tensor, p: float | None = None, *, generator: random.Generator | None = None
) -> Tensor:
    """1 with the probability that each element gives (or `p` for all), else 0; gx = 0.

    In the type of the input. Raises RuntimeError for a probability outside [0, 1].
    """
    _check_tensor("bernoulli", input)
    if p is not None:
        drawn = empty_like(input).bernoulli_(p, generator=generator)
    else:
        source = generator_or_default("bernoulli", generator)
        drawn = make(source.bernoulli_like(input._array).astype(input._array.dtype))
    return copy(input, drawn) if input.requires_grad else drawn


@_silent
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
        array = source.normal(_shape("normal", size), center, spread, dtype=_kind(dtype))
        return _finished(array, requires_grad, device)
    if size is not None:
        raise TypeError("normal: expected no size beside tensors; it is the one they broadcast to")
    check_device(device)
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
