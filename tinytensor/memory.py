"""Memory for large arrays that is taken again when nobody uses it any more.

What a sequence leaves for its backward pass is large, and freed before the next training step needs
as much. The system would take the pages back and clear them anew each time: a seventh of the step.
"""

from __future__ import annotations

import math
import sys
from threading import Lock
from typing import Any

import numpy as np

from .dtypes import Array

_SMALLEST = 1 << 18  # bytes; below, the allocator keeps its memory by itself
_MOST = 1 << 29  # bytes kept in all
_LINE = 64  # bytes of a cache line

_buffers: list[Array] = []
_lock = Lock()


def empty(shape: tuple[int, ...], dtype: Any) -> Array:
    """As `np.empty`, for arrays that no user sees."""
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    return (
        np.empty(shape, dtype) if size < _SMALLEST else _array(_taken(size + _LINE), shape, dtype)
    )


def copy(array: Array) -> Array:
    """A copy in such memory."""
    if array.nbytes < _SMALLEST:
        return array.copy()
    made = empty(array.shape, array.dtype)
    made[...] = array
    return made


def aligned(shape: tuple[int, ...], dtype: Any) -> Array:
    """The same, starting at a cache line."""
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize + _LINE
    buffer = np.empty(size, np.uint8) if size < _SMALLEST else _taken(size)
    return _array(buffer, shape, dtype)


def aligned_rows(shape: tuple[int, ...], dtype: Any) -> Array:
    """The same for matrices, of which each row starts at a cache line."""
    *others, columns = shape
    of_a_line = _LINE // np.dtype(dtype).itemsize
    return aligned((*others, math.ceil(columns / of_a_line) * of_a_line), dtype)[..., :columns]


def _array(buffer: Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """An array in a buffer, from its first cache line on."""
    start = -buffer.ctypes.data % _LINE
    size = math.prod(shape) * dtype.itemsize
    return buffer[start : start + size].view(dtype).reshape(shape)


def _taken(size: int) -> Array:
    """The smallest free buffer that is large enough and not much too large; a new one if none is.

    An array made from a buffer refers to it, and so does every view of the array. So a buffer is
    free as soon as only the list refers to it, whatever became of the arrays.
    """
    with _lock:
        free = [k for k in range(len(_buffers)) if sys.getrefcount(_buffers[k]) == 2]
        fitting = [k for k in free if size <= len(_buffers[k]) <= 2 * size]
        if fitting:
            buffer = _buffers.pop(min(fitting, key=lambda k: len(_buffers[k])))
        else:
            kept = sum(map(len, _buffers))
            for k in reversed(free):
                if kept + size > _MOST:
                    kept -= len(_buffers.pop(k))
            buffer = np.empty(size, np.uint8)
        if size <= _MOST:
            _buffers.append(buffer)
        return buffer
