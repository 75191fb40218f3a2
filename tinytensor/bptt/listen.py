"""Hooks of a record, where no kernel tells it the gradients: they come after all of the user's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..autograd.hooks import Registry
from ..autograd.node import edge_of, watchers_of
from ..dtypes import Array
from ..tensor import Tensor


def listen(tensor: Tensor, take: Callable[[Array], None], owner: Any) -> None:
    """Hand on each gradient that comes to a new tensor, as the user's hooks leave it.

    owner : has `left_out`, which is set when a gradient is not handed on, see `_Listener`
    """
    if tensor.requires_grad:
        watchers, _ = watchers_of(edge_of(tensor))
        if type(watchers.hooks) is Registry:
            watchers.hooks = _LateHooks(watchers.hooks)
        tensor.register_hook(_Listener(take, owner))


class _Listener:
    """A hook. A later pass through a pass that was a graph itself is not of the first order."""

    def __init__(self, take: Callable[[Array], None], owner: Any) -> None:
        self._take = take
        self._owner = owner
        self._was_graph = False

    def __call__(self, g: Tensor) -> None:
        if self._was_graph:
            self._owner.left_out = True
            return
        self._was_graph = g.requires_grad
        self._take(g._array.copy())


class _LateHooks(Registry):
    """The hooks of a node, those that listen last: a user's hook may change the gradient."""

    __slots__ = ()

    def __setitem__(self, key: int, entry: Any) -> None:
        super().__setitem__(key, entry)
        late = [key for key, (_, hook) in self.items() if isinstance(hook, _Listener)]
        for key in late:
            super().__setitem__(key, self.pop(key))
