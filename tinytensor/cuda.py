"""What torch code asks of `torch.cuda` on a machine without a graphics processor."""

from __future__ import annotations


def is_available() -> bool:
    """Whether there is a graphics processor to compute on: never."""
    return False


def device_count() -> int:
    """The number of graphics processors in use: 0."""
    return 0


def manual_seed(seed: int) -> None:
    """Seed the generator of the graphics processor, of which there is none: nothing happens."""


def manual_seed_all(seed: int) -> None:
    """Seed the generators of all graphics processors, of which there is none: nothing happens."""


def empty_cache() -> None:
    """Give unused memory of the graphics processor back: nothing happens."""
