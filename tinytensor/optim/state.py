"""What is remembered of a parameter between steps: Tensors, written in place."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import dtypes
from ..dtypes import Array
from ..tensor import Tensor, make

State = dict[str, Any]


def aligned_zeros(shape: tuple[int, ...], kind: np.dtype[Any]) -> Array:
    """Zeros in memory that starts with a cache line.

    NumPy's own starts anywhere in one, and vector instructions are slower across two of them.
    """
    size = math.prod(shape) * kind.itemsize
    memory = np.zeros(size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + size].view(kind).reshape(shape)


def scalar(value: float) -> Tensor:
    """A number of a parameter's state, in the default dtype's precision as torch keeps it."""
    wide = dtypes.get_default_dtype() is dtypes.float64
    return make(np.array(value, np.float64 if wide else np.float32))


def full_like(array: Array, value: float = 0) -> Tensor:
    """A Tensor of a parameter's state, of one value everywhere."""
    filled = aligned_zeros(array.shape, array.dtype)
    if value:
        filled[...] = value
    return make(filled)


def advance(state: State) -> float:
    """Count one step and give the count. Old states have a plain number there."""
    step = state["step"]
    if not isinstance(step, Tensor):
        step = state["step"] = scalar(step)
    count = step._array.item() + 1
    written(step).fill(count)
    return count


def written(tensor: Tensor) -> Array:
    """The array of a Tensor of the state that is about to be written to."""
    tensor._storage[0] += 1
    return tensor._array


def moved_mean(mean: Tensor, g: Array, kept: float, memory: Array) -> Array:
    """The running mean, kept · mean + (1 - kept) · g, written into its own memory."""
    array = written(mean)
    np.multiply(g, 1 - kept, memory)
    np.multiply(array, kept, array)
    return np.add(array, memory, array)


def moved_square(mean: Tensor, g: Array, kept: float, memory: Array) -> Array:
    """The running mean of squares, kept · mean + (1 - kept) · g², written into its own memory."""
    array = written(mean)
    np.square(g, memory)
    np.multiply(memory, 1 - kept, memory)
    np.multiply(array, kept, array)
    return np.add(array, memory, array)
