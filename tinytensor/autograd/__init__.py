"""The engine: recording operations, the backward pass, and checking derivatives."""

import importlib as _importlib
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from .anomaly import (
    detect_anomaly,
    is_anomaly_check_nan_enabled,
    is_anomaly_enabled,
    set_detect_anomaly,
)
from .backward import Variable, backward, grad
from .function import Function
from .mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
    unrolled,
)
from .scope import scope
from .trace import trace

if _TYPE_CHECKING:
    from .checking import GradcheckError, KinkWarning, gradcheck, gradgradcheck, step_sweep

__all__ = [
    "Function",
    "GradcheckError",
    "KinkWarning",
    "Variable",
    "backward",
    "check_against",
    "detect_anomaly",
    "enable_grad",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "inference_mode",
    "is_anomaly_check_nan_enabled",
    "is_anomaly_enabled",
    "is_grad_enabled",
    "no_grad",
    "scope",
    "set_detect_anomaly",
    "set_grad_enabled",
    "step_sweep",
    "trace",
    "unrolled",
]


_CHECKING = {"GradcheckError", "KinkWarning", "gradcheck", "gradgradcheck", "step_sweep"}


def __getattr__(name: str) -> _Any:
    """Load what few need, or what uses operations, when it is first named."""
    if name == "functional":
        return _importlib.import_module(f"{__name__}.functional")
    if name == "check_against":
        return _importlib.import_module(f"{__name__}.compare").check_against
    if name in _CHECKING:
        return getattr(_importlib.import_module(f"{__name__}.checking"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
