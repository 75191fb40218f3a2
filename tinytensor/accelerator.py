"""What torch code asks of `torch.accelerator` on a machine without one."""

from __future__ import annotations


def is_available() -> bool:
    """Whether there is an accelerator to compute on: never."""
    return False


def device_count() -> int:
    """The number of accelerators in use: 0."""
    return 0


def current_accelerator(check_available: bool = False) -> None:
    """The accelerator in use: None, there is none."""
