"""The engine: recording operations, the backward pass, and checking derivatives."""

from .backward import Variable, backward, grad
from .compare import check_against
from .gradcheck import GradcheckError, gradcheck, gradgradcheck
from .mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
    unrolled,
)
from .scope import scope

__all__ = [
    "GradcheckError",
    "Variable",
    "backward",
    "check_against",
    "enable_grad",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "inference_mode",
    "is_grad_enabled",
    "no_grad",
    "scope",
    "set_grad_enabled",
    "unrolled",
]
