"""Large matrix products, and work on a batch, on threads of their own.

The sequences of a batch know nothing of each other, so a walk through time can be made for parts of
the batch at once. That spares what BLAS would spend at every step on sharing out a small product
among its threads: each part has BLAS to itself, with one thread.

The two ways do not mix: BLAS's threads stay awake for a while after a product and would take the
cores from ours. So while ours are in use, large products are cut into parts for them too. Else
products are BLAS's, whose threads are the quicker to start.

NumPy has no call for the number of BLAS threads; threadpoolctl has. Where BLAS is set to one
thread, or cannot be asked, there is one part.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from functools import cache, partial
from itertools import pairwise
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np

from .dtypes import Array

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

# In multiplications: up to the first BLAS uses one thread by itself, from the second on it pays to
# wake a thread.
_ONE_THREAD = 1 << 18
_WORTH_A_THREAD = 1 << 22
_SMALLEST_PART = 8  # rows
_IN_USE = 1.0  # seconds that ours count as in use: a training step comes back sooner
_OF_BLAS = "fc"  # kinds of dtypes that it multiplies


def matmul(a: Array, b: Array, out: Array | None = None) -> Array:
    """a @ b for matrices (M, K) and (K, J) of one dtype."""
    rows, inner = a.shape
    columns = b.shape[1]
    size = rows * inner * columns
    if size <= _ONE_THREAD or a.dtype.kind not in _OF_BLAS or not _ours_are_in_use():
        if out is None and len(b) == inner:
            return a.dot(b)  # quicker to call
        return np.matmul(a, b, out=out)
    if out is None:
        out = np.empty((rows, columns), a.dtype)
    product = out
    if size <= _WORTH_A_THREAD:
        with _one_blas_thread():
            np.matmul(a, b, out=product)
    elif rows >= columns:
        in_parts(lambda k, end: np.matmul(a[k:end], b, out=product[k:end]), rows)
    else:
        in_parts(lambda k, end: np.matmul(a, b[:, k:end], out=product[:, k:end]), columns)
    return product


def parts_of(count: int) -> int:
    """Into how many parts a batch of so many sequences, or rows, is cut: one for each thread."""
    return max(1, min(_blas_threads(), count // _SMALLEST_PART))


def bounds_of(count: int, parts: int) -> list[tuple[int, int]]:
    """Start and end of each of so many parts of range(count), as equal as can be."""
    return list(pairwise(count * k // parts for k in range(parts + 1)))


def in_parts(work: Callable[[int, int], object], count: int) -> None:
    """Call work(start, end) for the parts of range(count), each on a thread of its own."""
    parts = parts_of(count)
    if parts == 1:
        work(0, count)
        return
    _together([partial(work, start, end) for start, end in bounds_of(count, parts)])


def at_once(
    function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]], multiplications: int
) -> list[Any]:
    """Call a function with several sets of arguments that know nothing of each other: the results.

    On a thread each, where so many multiplications of each are worth it, and each thread that BLAS
    has gets one; else one after the other.
    """
    if multiplications > _WORTH_A_THREAD and 1 < _blas_threads() <= len(arguments):
        return on_threads(function, arguments)
    return [function(*own) for own in arguments]


def on_threads(function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
    """The same, on a thread each, whatever they cost."""
    return _together([partial(function, *own) for own in arguments])


def _together(works: Sequence[Callable[[], Any]]) -> list[Any]:
    """Call each on a thread of its own."""
    from concurrent.futures import wait  # slow to import, and often not needed

    pool = _pool(os.getpid(), len(works) - 1)
    with _one_blas_thread():
        # What is set for this context, as NumPy's treatment of overflow, holds in the parts too.
        others = [pool.submit(copy_context().run, work) for work in works[1:]]
        try:
            first = works[0]()
        finally:
            wait(others)
    return [first, *(other.result() for other in others)]


@cache
def _pool(process: int, workers: int) -> ThreadPoolExecutor:
    """Threads that wait for work; those of a process are not there after a fork."""
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(workers, thread_name_prefix="tinytensor")


@cache
def _blas() -> Any:
    """The BLAS libraries, to ask for their threads."""
    from threadpoolctl import ThreadpoolController  # slow to import, and often not needed

    return ThreadpoolController().select(user_api="blas")


def _blas_threads() -> int:
    """How many threads BLAS is set to; 1 where that cannot be asked."""
    if _Limit.users:
        return 1  # this is a part already, or another thread is at work with all cores
    return max((library.num_threads for library in _blas().lib_controllers), default=1)


class _Limit:
    """How many users want BLAS at one thread now, what the first found, when the last one left.

    left : as `time.monotonic`, in seconds
    """

    lock = Lock()
    users = 0
    found: Any = None
    left = -math.inf


def _ours_are_in_use() -> bool:
    """Whether threads of our own were at work just before, and there are some."""
    return monotonic() - _Limit.left < _IN_USE and _blas_threads() > 1


@contextmanager
def _one_blas_thread() -> Iterator[None]:
    """BLAS with one thread; what was set before comes back when the last user is done."""
    with _Limit.lock:
        if _Limit.users == 0:
            _Limit.found = _blas().limit(limits=1)
        _Limit.users += 1
    try:
        yield
    finally:
        with _Limit.lock:
            _Limit.left = monotonic()
            _Limit.users -= 1
            if _Limit.users == 0:
                _Limit.found.restore_original_limits()
