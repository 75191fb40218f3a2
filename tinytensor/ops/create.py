"""Making tensors: from data, filled, counted, and drawn at random in torch's stream."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from .. import dtypes, random
from ..dtypes import Array
from ..tensor import Tensor, make

_silent = np.errstate(all="ignore")  # as torch: 1e300 in float32 is inf without a word


def check_device(device: Any) -> None:
    """Raise RuntimeError for any device but the processor."""
    if device is not None and str(device) not in ("cpu", "cpu:0"):
        raise RuntimeError(f"device: expected 'cpu', the only one there is, got {device!r}")


def _kind(dtype: Any) -> np.dtype[Any]:
    return dtypes.get_default_dtype().numpy if dtype is None else dtypes.numpy_dtype(dtype)


def _shape(size: tuple[Any, ...]) -> tuple[int, ...]:
    """Sizes as torch takes them: `zeros(2, 3)` or `zeros((2, 3))`."""
    if len(size) == 1 and isinstance(size[0], (tuple, list)):
        size = tuple(size[0])
    sizes = tuple(map(operator.index, size))
    if any(n < 0 for n in sizes):
        raise RuntimeError(f"Trying to create tensor with negative dimension in {sizes}")
    return sizes


def _finished(array: Array, requires_grad: bool, device: Any) -> Tensor:
    check_device(device)
    result = make(array)
    return result.requires_grad_() if requires_grad else result


# -- from data


@_silent
def tensor(
    data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A new leaf with a copy of `data`: numbers, nested lists, arrays, tensors.

    Python floats take the default dtype and Python ints int64; an array keeps its own.
    """
    array = _as_array(data, dtype)
    return _finished(np.array(array, order="C"), requires_grad, device)


@_silent
def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """`data` as a tensor, without a copy where it is one, or an array, of that type already."""
    check_device(device)
    if isinstance(data, Tensor):
        return data if dtype is None else data.to(dtype)
    return make(_as_array(data, dtype))


def from_numpy(array: Array) -> Tensor:
    """A tensor on the memory of a NumPy array: a write into either is seen in both."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy: expected an ndarray, got {type(array).__name__}")
    dtypes.of_numpy(array.dtype)
    return make(array)


def _as_array(data: Any, dtype: Any) -> Array:
    if isinstance(data, Tensor):
        data = data._array
    typed = isinstance(data, (np.ndarray, np.generic))
    if isinstance(data, (list, tuple)) and _holds_tensors(data):
        data = _unwrapped(data)
        typed = True
    array = np.asarray(data)
    if not typed:
        if array.dtype.kind == "f" and dtype is None:
            array = array.astype(dtypes.get_default_dtype().numpy)
        elif array.dtype.kind == "O" or array.dtype.kind in "US":
            raise TypeError(f"tensor: expected numbers in lists of equal lengths, got {data!r:.60}")
        elif array.dtype == np.uint64:
            raise ValueError("tensor: an integer is too large for int64")
        elif array.size == 0:
            array = array.astype(dtypes.get_default_dtype().numpy)
    if dtype is not None:
        array = array.astype(dtypes.numpy_dtype(dtype), copy=False)
    dtypes.of_numpy(array.dtype)
    return array


def _holds_tensors(data: Any) -> bool:
    return any(
        isinstance(item, Tensor) or (isinstance(item, (list, tuple)) and _holds_tensors(item))
        for item in data
    )


def _unwrapped(data: Any) -> Any:
    if isinstance(data, Tensor):
        return data._array
    return [_unwrapped(item) for item in data] if isinstance(data, (list, tuple)) else data


# -- filled


def zeros(
    *sizes: Any,
    size: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Zeros in the given shape."""
    return _finished(
        np.zeros(_shape(sizes if size is None else (size,)), _kind(dtype)), requires_grad, device
    )


def ones(
    *sizes: Any,
    size: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Ones in the given shape."""
    return _finished(
        np.ones(_shape(sizes if size is None else (size,)), _kind(dtype)), requires_grad, device
    )


def empty(
    *sizes: Any,
    size: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Memory in the given shape, with whatever it holds."""
    return _finished(
        np.empty(_shape(sizes if size is None else (size,)), _kind(dtype)), requires_grad, device
    )


@_silent
def full(
    size: Any,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`fill_value` in the given shape, in its own type unless one is given."""
    value = fill_value.item() if isinstance(fill_value, Tensor) else fill_value
    kind = dtypes.number_dtype(value) if dtype is None else dtypes.numpy_dtype(dtype)
    array = np.full(_shape((size,)), value, kind)
    return _finished(array, requires_grad, device)


def eye(
    n: int,
    m: int | None = None,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Ones on the diagonal of an n x m matrix (m = n unless given), zeros elsewhere."""
    n, m = _shape((n, n if m is None else m))
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
    """start, start + step, ... below end; `arange(end)` starts at 0. Integers give int64."""
    if end is None:
        start, end = 0, start
    if step == 0 or (end - start) * step < 0:
        raise RuntimeError(f"arange: expected a step from {start} towards {end}, got {step}")
    whole = all(isinstance(number, int) for number in (start, end, step))
    kind = (dtypes.int64.numpy if whole else _kind(None)) if dtype is None else _kind(dtype)
    count = int(np.ceil((end - start) / step))
    numbers = start + np.arange(count) * step
    return _finished(numbers.astype(kind), requires_grad, device)


@_silent
def linspace(
    start: float,
    end: float,
    steps: int,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` numbers at equal distances from start to end, both included."""
    (steps,) = _shape((steps,))
    return _finished(np.linspace(start, end, steps, dtype=_kind(dtype)), requires_grad, device)


def zeros_like(input: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros in the shape and type of a tensor."""
    return zeros(input.shape, dtype=dtype or input.dtype, requires_grad=requires_grad)


def ones_like(input: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones in the shape and type of a tensor."""
    return ones(input.shape, dtype=dtype or input.dtype, requires_grad=requires_grad)


def full_like(input: Tensor, fill_value: Any, *, dtype: Any = None) -> Tensor:
    """One value in the shape and type of a tensor."""
    return full(input.shape, fill_value, dtype=dtype or input.dtype)


def empty_like(input: Tensor, *, dtype: Any = None) -> Tensor:
    """Memory in the shape and type of a tensor, with whatever it holds."""
    return empty(input.shape, dtype=dtype or input.dtype)


# -- random
# After the same `manual_seed` these are torch's CPU numbers; tinytensor.random says how exactly.


def _source(generator: random.Generator | None) -> random.Generator:
    return random.default_generator if generator is None else generator


def get_rng_state() -> Tensor:
    """The state of the default generator, as bytes."""
    return make(random.default_generator.get_state())


def set_rng_state(new_state: Tensor) -> None:
    """Go back to a state of the default generator that `get_rng_state` gave."""
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
    array = _source(generator).uniform(
        _shape(sizes if size is None else (size,)), dtype=_kind(dtype)
    )
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
    array = _source(generator).normal(
        _shape(sizes if size is None else (size,)), dtype=_kind(dtype)
    )
    return _finished(array, requires_grad, device)


def rand_like(input: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Uniform on [0, 1) in the shape and type of a tensor."""
    return rand(input.shape, dtype=dtype or input.dtype, requires_grad=requires_grad)


def randn_like(input: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Standard normal in the shape and type of a tensor."""
    return randn(input.shape, dtype=dtype or input.dtype, requires_grad=requires_grad)


def randint(
    low: int,
    high: Any = None,
    size: Any = None,
    *,
    generator: random.Generator | None = None,
    dtype: Any = dtypes.int64,
    device: Any = None,
) -> Tensor:
    """Integers from low (0 when left out: `randint(high, size)`) up to but without high."""
    if size is None:
        low, high, size = 0, low, high
    array = _source(generator).integers(low, high, _shape((size,)))
    return _finished(array.astype(dtypes.numpy_dtype(dtype), copy=False), False, device)


def randperm(n: int, *, generator: random.Generator | None = None, device: Any = None) -> Tensor:
    """0 ... n-1 in random order."""
    return _finished(_source(generator).permutation(n), False, device)


def bernoulli(input: Tensor, *, generator: random.Generator | None = None) -> Tensor:
    """1 with the probability that each element gives, else 0, in the type of the input."""
    drawn = _source(generator).bernoulli_like(input._array)
    return make(drawn.astype(input._array.dtype))


@_silent
def normal(
    mean: Any,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: random.Generator | None = None,
    dtype: Any = None,
) -> Tensor:
    """Normal with mean and standard deviation given as numbers."""
    shape = _shape((size,)) if size is not None else ()
    return make(_source(generator).normal(shape, mean, std, dtype=_kind(dtype)))
