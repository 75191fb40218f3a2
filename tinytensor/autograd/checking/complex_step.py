"""Derivatives without differences: one evaluation at a point moved off the real line.

For an analytic f that is real on the real line

    f(x + i h) = f(x) + i h f'(x) - h² f''(x) / 2 - ...,    so    f'(x) = Im f(x + i h) / h + O(h²).

Nothing is subtracted, so nothing cancels: h may be so small that h² is below rounding, and the
slope is exact to the rounding of f itself, about 1e-15 (Lyness and Moler 1967; Squire and Trapp
1998). There is no step to tune.

The forward runs on complex arrays, kernels by their references. An operation that is no analytic
function (abs, floor), or that NumPy has for real numbers only, is refused by its name. Of functions
made of analytic pieces (relu, maximum, where) the piece at the input is taken.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ... import dtypes
from ...dtypes import Array
from ...tensor import Tensor
from ..mode import threads, unrolled
from .problem import GradcheckError, Problem

STEP = 2.0**-70  # its square is lost beside 1, and dividing by it is exact

# These give complex numbers for complex numbers, but not those of an analytic function.
_MODULUS = frozenset({"sign"})


def complex_slopes(problem: Problem, i: int, direction: Array, places: list[int]) -> list[Array]:
    """The derivative of the outputs at `places` along a direction of input i, in their shapes.

    Raises GradcheckError, with the name of the operation, where one is not analytic.
    """
    tensors = [value for value in problem.values if isinstance(value, Tensor)]
    before = [tensor._array for tensor in tensors]
    with _complex_numbers(problem.name):
        try:
            for tensor in tensors:  # all: a gradient has the type of its input
                tensor._array = _lifted(tensor._array)
            moved = problem.values[i]
            moved._array = np.asarray(moved._array + 1j * STEP * direction)
            outputs = problem.evaluate()
            return [np.imag(outputs[place]._array) / STEP for place in places]
        finally:
            for tensor, array in zip(tensors, before, strict=True):
                tensor._array = array


@contextmanager
def _complex_numbers(name: str) -> Iterator[None]:
    """Where a complex array passes for a floating-point one, and none loses its imaginary part."""
    mode = threads.mode
    run = mode.run
    with unrolled(), dtypes.complex_as_float(), warnings.catch_warnings():
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        mode.run = _analytic(name, run)
        try:
            yield
        finally:
            mode.run = run


def _analytic(name: str, run: Callable[..., Any]) -> Callable[..., Any]:
    """`run`, refusing an operation that has no value off the real line, or a wrong one."""

    def guarded(forward: Callable[..., Any], *arrays: Any) -> Any:
        if not _has_complex(arrays):
            return run(forward, *arrays)
        op = forward.__name__
        try:
            y = run(forward, *map(_lifted, arrays))
        except (TypeError, np.exceptions.ComplexWarning):
            raise _refusal(name, op) from None
        if op in _MODULUS or _has_float(y):
            raise _refusal(name, op)
        return y

    return guarded


def _lifted(value: Any) -> Any:
    """A float array as a complex one, so that an operation on several sees one type."""
    if type(value) is tuple:
        return tuple(map(_lifted, value))
    return value.astype(np.complex128) if _kind(value) == "f" else value


def _refusal(name: str, op: str) -> GradcheckError:
    return GradcheckError(
        f"{name}: expected analytic operations for the complex step, got {op}, which is none or is "
        "for real numbers only; check with complex_step=False"
    )


def _has_complex(values: Any) -> bool:
    return any(
        _has_complex(value) if isinstance(value, tuple) else _kind(value) == "c" for value in values
    )


def _has_float(y: Any) -> bool:
    parts = y if isinstance(y, tuple) else (y,)
    return any(_kind(part) == "f" for part in parts)


def _kind(value: Any) -> str | None:
    return value.dtype.kind if isinstance(value, (np.ndarray, np.generic)) else None
