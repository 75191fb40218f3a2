"""Backpropagation through time, in the learner's hands: how far back a loss flows."""

from .truncated import Window, truncated

__all__ = ["Window", "truncated"]
