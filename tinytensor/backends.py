"""What torch code asks of `torch.backends`: libraries for graphics processors, of which none is."""

from __future__ import annotations


class Backend:
    """A library that is not there. Switches set on it, as torch code sets them, do nothing."""

    enabled = False
    benchmark = False
    deterministic = False

    def is_available(self) -> bool:
        """Whether it can be used: never."""
        return False

    def is_built(self) -> bool:
        """Whether it was compiled in: never."""
        return False


cudnn = Backend()
mps = Backend()
