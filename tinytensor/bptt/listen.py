"""What gradients come to a tensor, where no kernel tells a record of them: in primitives."""

from __future__ import annotations

import weakref
from typing import Any

from ..autograd.node import watchers_of
from ..dtypes import Array
from ..tensor import Tensor


class Ear:
    """The gradients that have come to a tensor, as the user's hooks left them: their sum.

    total : None if none has come
    left_out : whether one is not in it, as it came after one of a pass that was a graph, and may be
        a second derivative

    To the engine it is a tensor that called `retain_grad`, which hears after all hooks, as long as
    it is there. What it is told to have as `.grad` is a copy of the gradient of this pass.
    """

    total: Array | None = None  # at every step there may be one: it is made without a call
    left_out = False
    _was_graph = False

    @property
    def _grad(self) -> None:
        return None

    @_grad.setter
    def _grad(self, g: Tensor) -> None:
        if self._was_graph:
            self.left_out = True
            return
        if g._requires_grad:
            self._was_graph = True
        self.total = g._array if self.total is None else self.total + g._array

    def forget(self) -> None:
        """Begin anew, but not with what may be a second derivative."""
        self.total = None
        self.left_out = False


def listen(tensor: Tensor) -> Ear:
    """An ear for a tensor that an operation has just made; without a graph it hears nothing."""
    ear = Ear()
    if tensor._node is not None:
        watchers, index = watchers_of(tensor._node)
        retained: Any = (index, weakref.ref(ear))
        watchers.retained.append(retained)
    return ear
