"""Layers without numbers of their own: Identity, Flatten."""

from __future__ import annotations

from typing import Any

from ..ops.shape import flatten
from ..tensor import Tensor
from .module import Module


class Identity(Module):
    """y = x. Takes any arguments, so that it can stand for any layer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Any) -> Any:
        """The input itself."""
        return input


class Flatten(Module):
    """The dimensions start_dim to end_dim made one: by default (N, ...) -> (N, product)."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input: Tensor) -> Any:
        """See the class."""
        return flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"
