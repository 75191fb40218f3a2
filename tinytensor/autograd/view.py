"""Views: tensors that share memory with a base, and how they came out of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..dtypes import Array
from ..tensor import Tensor
from .mode import Mode, threads
from .node import set_edge

Link = Callable[[Any], Any]


class Path:
    """The way from a base to a view of it: view operations, to be replayed on another base.

    chain : functions of one argument, in order
    order : the base's dimensions from the outermost to the innermost in its memory. A reshape is a
        view in one memory order and a copy in another, so a copy of a base is made in its order.
    """

    __slots__ = ("chain", "order")

    def __init__(self, chain: tuple[Link, ...], order: tuple[int, ...]) -> None:
        self.chain = chain
        self.order = order

    def replay(self, base: Any) -> Any:
        """The view of a base: a Tensor (recorded), or in a forward or a rule an array."""
        for link in self.chain:
            base = link(base)
        return base

    def copy(self, base: Array) -> Array:
        """A copy of an array of the base's shape, in the base's memory order."""
        inner = np.array(base.transpose(self.order), order="C")
        return inner.transpose(np.argsort(self.order))


class View:
    """That a tensor is a view. Writing into it, or into its base, changes the history of both.

    A view whose base was written to renews its node when it is next looked at, by replaying its
    path; that costs no arithmetic, as each link is a NumPy view. As in torch any write counts, also
    one under `no_grad` or through `detach()`.

    base : Tensor that is itself no view
    version : the version of the memory (see tensor.Storage) that the view's node belongs to
    origin : "one", or why it must not be renewed: "many" (made by an operation with several
        outputs), "function" (by a user's Function) or "no_grad" (made without recording)
    turns : how many of the base's turns in place (see `turn_in_place`) the path allows for
    """

    __slots__ = ("base", "origin", "path", "turns", "version")

    def __init__(self, base: Tensor, path: Path, version: int, origin: str) -> None:
        self.base = base
        self.path = path
        self.version = version
        self.origin = origin
        self.turns = len(base._turns)

    def turn_back(self) -> None:
        """Have the path begin by undoing what has been turned in place of its base since."""
        turns = self.base._turns
        if len(turns) > self.turns:
            back = reversed(turns[self.turns :])
            self.path = Path((*back, *self.path.chain), _memory_order(self.base._array))
            self.turns = len(turns)

    def renew(self, tensor: Tensor) -> None:
        """Give the tensor the node that its base's present history gives it."""
        self.turn_back()
        if not self.base._requires_grad:
            self.version = tensor._storage[0]
            tensor._origins = self.base._origins
            return
        mode = threads.mode
        recording = mode.recording
        if self.origin != "one":
            if not recording:
                return
            why = {
                "many": "by an operation with several outputs (unbind, split, chunk, iteration)",
                "function": "inside a custom Function",
                "no_grad": "under no_grad",
            }[self.origin]
            raise RuntimeError(
                f"a view that was made {why} is being used after its base was modified inplace; "
                "its history is lost. Make the view by indexing, x[i], after the write"
            )
        mode.recording = True  # whoever looks first, under no_grad too, the history is the same
        try:
            fresh = self.path.replay(self.base)
        finally:
            mode.recording = recording
        self.version = tensor._storage[0]
        set_edge(tensor, fresh._node)


def view_of(source: Tensor, link: Link, origin: str, mode: Mode) -> View:
    """The View of what `link` makes of `source`, which may itself be a view."""
    if not mode.recording:
        origin = "no_grad"
    before = source._view
    version = source._storage[0]
    if before is None:
        return View(source, Path((link,), _memory_order(source._array)), version, origin)
    before.turn_back()
    path = Path((*before.path.chain, link), before.path.order)
    return View(before.base, path, version, before.origin if before.origin != "one" else origin)


def owned(result: Tensor) -> Tensor:
    """A view of what nobody else holds, as a tensor in its own right."""
    result._view = None
    return result


def _memory_order(array: Array) -> tuple[int, ...]:
    if array.flags.c_contiguous:
        return tuple(range(array.ndim))
    return tuple(sorted(range(array.ndim), key=lambda i: -abs(array.strides[i])))
