"""Where NaN or inf was born: `detect_anomaly` checks gradients and remembers forward lines."""

from __future__ import annotations

import linecache
import os
import sys
import warnings
from types import FrameType
from typing import Any

import numpy as np

from ..dtypes import Array
from ..tensor import Tensor
from .accumulate import IndexedGradient
from .mode import next_number, threads
from .node import Node
from .walk import Walk

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_DEPTH = 10  # lines of the user's that are kept for an operation, the innermost ones

Line = tuple[str, int, str]  # file, line, function


class TracedNumber(int):
    """The number of a node that also knows which lines of the user's led there, innermost last.

    The number carries them because a node has no place for what hardly ever is there.
    """

    lines: list[Line]


def traced_number() -> int:
    """The next number of a node, with the lines that are being executed outside this package."""
    number = TracedNumber(next_number())
    found: list[Line] = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and len(found) < _DEPTH:
        code = frame.f_code
        if not code.co_filename.startswith(_PACKAGE):
            found.append((code.co_filename, frame.f_lineno, code.co_name))
        frame = frame.f_back
    number.lines = found[::-1]
    return number


class set_detect_anomaly:
    """Look for NaN in every backward pass of this thread, or no more; a switch or a `with` block.

    check_nan : False keeps the lines of the forward pass without checking gradients
    What it finds is reported as `detect_anomaly` says.
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        state = threads.mode
        self._before = (state.next_number, state.check_nan)
        state.next_number = traced_number if mode else next_number
        state.check_nan = bool(mode and check_nan)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        threads.mode.next_number, threads.mode.check_nan = self._before


class detect_anomaly:
    """A block in which a NaN that a backward pass gives birth to is an error that says where.

    The error names the operation, the module and the time step, and the line of the forward pass,
    which must lie in the block too. An infinite gradient, from which the next zero makes a NaN, is
    no error, as in torch, but the first of each pass is told of by a UserWarning with the same
    words. Every operation costs several times as much here; outside nothing.
    """

    def __init__(self, check_nan: bool = True) -> None:
        self._check_nan = check_nan
        self._settings: list[set_detect_anomaly] = []

    def __enter__(self) -> None:
        self._settings.append(set_detect_anomaly(True, self._check_nan))

    def __exit__(self, *error: object) -> None:
        self._settings.pop().__exit__()


def is_anomaly_enabled() -> bool:
    """Whether `detect_anomaly` is on in this thread."""
    return threads.mode.next_number is traced_number


def is_anomaly_check_nan_enabled() -> bool:
    """Whether backward passes of this thread look for NaN."""
    return threads.mode.check_nan


class AnomalyWalk(Walk):
    """A walk that stops at the first gradient with a NaN, and warns of the first with an inf."""

    quick = False
    told = False  # of an infinite gradient

    def arrive(self, edge: Any, g: Any, source: Node | None) -> None:
        found = _not_finite(_array_of(g))
        if found == "nan":
            if source is None:
                raise RuntimeError(
                    "detect_anomaly: the gradient given to backward holds nan values"
                )
            raise RuntimeError(_report(source, edge, "nan"))
        if found and not self.told:
            self.told = True
            if source is not None:
                warnings.warn(_report(source, edge, "inf"), UserWarning, stacklevel=2)
        super().arrive(edge, g, source)


def _array_of(g: Any) -> Array:
    array: Array = g._array if isinstance(g, Tensor) else g
    return g.part if isinstance(g, IndexedGradient) else array


def _report(node: Node, edge: Any, what: str) -> str:
    """Which operation gave NaN or inf for one of its inputs, and where it was called."""
    position = next(i for i, other in enumerate(node.edges) if other is edge)
    where = f" in {node.scope}" if node.scope is not None else ""
    message = (
        f"detect_anomaly: the backward of {node.op.name} ({node.name()}){where} returned {what} "
        f"values in its {position}th output, the gradient of input {position}"
    )
    kept = _not_finite(node.saved)
    if kept:
        message += f". What it had kept from the forward pass holds {kept} already"
    if node.plan is None and hasattr(node.op, "reference"):
        message += ". Run it under tinytensor.unrolled() to see in which gate and time step"
    lines = getattr(node.number, "lines", None)
    if not lines:
        return f"{message}. Run its forward pass under detect_anomaly to see the line"
    text = "".join(
        f'\n  File "{file}", line {line}, in {function}\n    '
        f"{linecache.getline(file, line).strip()}"
        for file, line, function in lines
    )
    return f"{message}. The forward pass called it here (innermost last):{text}"


def _not_finite(saved: Any) -> str:
    """What is not finite in the arrays of nested tuples: "nan", "inf" or nothing."""
    found = ""
    stack = [saved]
    while stack:
        value = stack.pop()
        if isinstance(value, tuple):
            stack.extend(value)
        elif isinstance(value, np.ndarray) and value.dtype.kind == "f":
            if np.isnan(value).any():
                return "nan"
            if np.isinf(value).any():
                found = "inf"
    return found
