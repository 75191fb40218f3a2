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

    A view whose base was given a new history renews its own when it is next looked at, by replaying
    its path; that costs no arithmetic, as each link is a NumPy view.

    base : Tensor that is itself no view
    generation : the base's generation (see tensor.Storage) that the view's node belongs to
    origin : "one", or why it must not be renewed: "many" (made by an operation with several
        outputs), "function" (by a user's Function) or "no_grad" (made without recording)
    """

    __slots__ = ("base", "generation", "origin", "path")

    def __init__(self, base: Tensor, path: Path, generation: int, origin: str) -> None:
        self.base = base
        self.path = path
        self.generation = generation
        self.origin = origin

    def renew(self, tensor: Tensor) -> None:
        """Give the tensor the node that its base's present history gives it."""
        if not self.base._requires_grad:
            self.generation = tensor._storage[1]
            return
        if self.origin != "one":
            why = {
                "many": "by an operation with several outputs (unbind, split, chunk, iteration)",
                "function": "inside a custom Function",
                "no_grad": "under no_grad",
            }[self.origin]
            raise RuntimeError(
                f"a view that was made {why} is being used after its base was modified inplace; "
                "its history is lost. Make the view by indexing, x[i], after the write"
            )
        mode = threads.mode
        recording = mode.recording
        mode.recording = True  # whoever looks first, under no_grad too, the history is the same
        try:
            fresh = self.path.replay(self.base)
        finally:
            mode.recording = recording
        self.generation = tensor._storage[1]
        set_edge(tensor, fresh._node)


def view_of(source: Tensor, link: Link, origin: str, mode: Mode) -> View:
    """The View of what `link` makes of `source`, which may itself be a view."""
    if not mode.recording:
        origin = "no_grad"
    before = source._view
    generation = source._storage[1]
    if before is None:
        return View(source, Path((link,), _memory_order(source._array)), generation, origin)
    path = Path((*before.path.chain, link), before.path.order)
    return View(before.base, path, generation, before.origin if before.origin != "one" else origin)


def _memory_order(array: Array) -> tuple[int, ...]:
    if array.flags.c_contiguous:
        return tuple(range(array.ndim))
    return tuple(sorted(range(array.ndim), key=lambda i: -abs(array.strides[i])))
