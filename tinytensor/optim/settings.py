"""Checks of an optimiser's settings; the messages begin with torch's words."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor


def check_setting(name: str, value: Any, valid: bool, expected: str) -> None:
    """Raise ValueError for a setting that is not valid."""
    if not valid:
        raise ValueError(f"Invalid {name}: {value}; expected {expected}")


def check_not_negative(**settings: float) -> None:
    """Raise ValueError for settings below 0, or NaN."""
    for name, value in settings.items():
        check_setting(f"{name} value", value, value >= 0, "at least 0")


def check_common(lr: float | Tensor, eps: float = 0, weight_decay: float = 0) -> None:
    """Raise ValueError for a learning rate, epsilon or weight decay out of range."""
    if isinstance(lr, Tensor) and lr.numel() != 1:
        raise ValueError(f"Tensor lr must be 1-element, got shape {tuple(lr.shape)}; use a float")
    check_setting("learning rate", lr, float(lr) >= 0, "at least 0")
    check_not_negative(epsilon=eps, weight_decay=weight_decay)


def check_betas(betas: tuple[float, float]) -> None:
    """Raise ValueError for a decay rate of running means outside of [0, 1)."""
    for number, beta in enumerate(betas):
        check_setting(f"beta parameter at index {number}", beta, 0 <= beta < 1, "0 <= beta < 1")


def check_plain(**flags: bool | None) -> None:
    """Raise NotImplementedError for torch's settings that steps on arrays can't honour."""
    for name, value in flags.items():
        if value:
            raise NotImplementedError(
                f"optimizer: {name}=True is not supported, steps are not recorded; leave it out"
            )


def check_forms(foreach: bool | None, fused: bool | None) -> None:
    """Raise RuntimeError for both of torch's fast forms at once; either is without effect here."""
    if foreach and fused:
        raise RuntimeError("`fused` and `foreach` cannot be `True` together; leave both out")
