"""Which form of a scan runs: the one on whole arrays, or the one with compiled loops.

The loops come with the extra `fast`. They spare NumPy's overhead at every step, pass over a step's
memory once, and leave the interpreter lock to other threads. Both forms leave the same memory.

The environment variable TINYTENSOR_KERNELS, read when the first scan runs, decides by hand: `numpy`
never takes the loops; `numba` asks for them, and it is an error if they are not there.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

from ...dtypes import Array
from ..steps import Steps

VARIABLE = "TINYTENSOR_KERNELS"

_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))

Scan = Callable[..., Any]


def scans_for(state: Array) -> Any:
    """The module of the compiled scans; None where a state (N, H) is not for them."""
    if _by_hand() == "numpy" or state.dtype not in _DTYPES or state.size == 0:
        return None
    return _compiled_scans()


@cache
def _by_hand() -> str | None:
    form = os.environ.get(VARIABLE)
    if form not in (None, "numpy", "numba"):
        raise ValueError(f"{VARIABLE}: expected numpy or numba, got {form!r}; set one or none")
    return form


def is_compiled(state: Array) -> bool:
    """Whether scans from such states are compiled ones."""
    return scans_for(state) is not None


def layers_or(plain: Any) -> Callable[[Array], Any]:
    """Which module runs all layers in one call from such states: the compiled one, or the given."""
    return lambda state: plain if scans_for(state) is None else _compiled_layers()


@cache
def _compiled_layers() -> Any:
    return import_module(".layers", __package__)


@cache
def _compiled_scans() -> Any:
    """The module, imported when first needed because numba takes its time; None without numba."""
    try:
        return import_module(".lstm", __package__)
    except ImportError as error:
        if _by_hand() == "numba":
            raise RuntimeError(
                f"{VARIABLE}: expected numba to be there, got {error}; install the extra `fast`, "
                "or unset the variable"
            ) from error
        if not isinstance(error, ModuleNotFoundError):
            warnings.warn(f"numba does not import, NumPy's kernels run: {error}", stacklevel=2)
        return None


def lstm_scans(forward: Scan, backward: Scan) -> tuple[Scan, Scan]:
    """Two scans that take the compiled form where it is to run, else the given, on whole arrays."""

    def scan_forward(
        x: Array, state: Any, weights: Any, reverse: bool, h_out: Array, steps: Steps
    ) -> Any:
        if isinstance(x, np.ndarray) and _has_loop(weights):
            scans = scans_for(state[1])
            if scans is not None:
                return scans.scan_forward(x, state, weights, reverse, h_out, steps)
        return forward(x, state, weights, reverse, h_out, steps)

    def scan_backward(
        saved: Any, x: Array, weights: Any, upstream: Any, d_last: Any, *rest: Any
    ) -> Any:
        others = [gradient for gradient in upstream[1:] if gradient is not None]
        if isinstance(x, np.ndarray) and not others and _has_loop(weights):
            scans = scans_for(d_last[1])
            if scans is not None:
                return scans.scan_backward(saved, x, weights, upstream, d_last, *rest)
        return backward(saved, x, weights, upstream, d_last, *rest)

    return scan_forward, scan_backward


def _has_loop(weights: Any) -> bool:
    """Whether there is neither a projection nor dropout on h: the loop knows neither."""
    *_, w_hr, factors = weights
    return w_hr is None and factors is None
