"""Hooks: functions of the user's that see, and may replace, a gradient on its way back."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from ..tensor import Tensor, make

Hook = Callable[[Any], Any]

next_key = itertools.count().__next__


class Registry(dict[int, Any]):
    """Hooks in the order of their registration; unlike a dict it takes weak references."""

    __slots__ = ("__weakref__",)


class RemovableHandle:
    """What registering a hook gives: `remove()` ends it, as does leaving a `with` block."""

    def __init__(self, registry: Registry, entry: Any) -> None:
        self._registry = weakref.ref(registry)
        self.id = next_key()
        registry[self.id] = entry

    def remove(self) -> None:
        """Call the hook no more. Doing it twice does nothing."""
        registry = self._registry()
        if registry is not None:
            registry.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


class Watchers:
    """Who wants the gradient of a node's outputs.

    hooks : key -> (number of the output, hook), in order; None before the first
    retained : (number of the output, weak reference to the tensor that called `retain_grad`)
    """

    __slots__ = ("hooks", "retained")

    def __init__(self) -> None:
        self.hooks: Registry | None = None
        self.retained: list[tuple[int, weakref.ref[Tensor]]] = []

    def hook(self, hook: Hook, index: int) -> RemovableHandle:
        """Call a function with the gradient of an output."""
        if self.hooks is None:
            self.hooks = Registry()
        return RemovableHandle(self.hooks, (index, hook))

    def retain(self, tensor: Tensor, index: int) -> None:
        """Leave the gradient in the tensor's `.grad`, once however often it is asked for."""
        if all(reference() is not tensor for _, reference in self.retained):
            self.retained.append((index, weakref.ref(tensor)))

    def release(self, tensor: Tensor) -> bool:
        """Leave it there no more; whether it was asked for."""
        rest = [pair for pair in self.retained if pair[1]() is not tensor]
        asked = len(rest) < len(self.retained)
        self.retained = rest
        return asked

    def call(self, g: Any) -> Any:
        """The gradient, or tuple of gradients, that the hooks make of one."""
        parts = list(g) if type(g) is tuple else [g]
        for index, hook in list((self.hooks or {}).values()):
            parts[index] = called([hook], parts[index])
        return tuple(parts) if type(g) is tuple else parts[0]


class LeafHooks:
    """The hooks of a leaf: before its gradient is added to `.grad`, and after."""

    __slots__ = ("after", "before")

    def __init__(self) -> None:
        self.before = Registry()
        self.after = Registry()


def called(hooks: list[Hook], g: Any) -> Any:
    """What hooks, each in its turn, make of a gradient: an array, a Tensor or None.

    An array reaches them as a copy in a Tensor: the array itself may be shared with other branches
    of the graph, and a hook that changes its argument must not reach those.
    """
    plain = isinstance(g, np.ndarray)
    value = make(np.array(g)) if plain else g
    for hook in hooks:
        answer = hook(value)
        if answer is not None:
            value = _checked(hook, answer, value)
    return value._array if plain else value


def _checked(hook: Hook, answer: Any, value: Any) -> Tensor:
    name = getattr(hook, "__name__", type(hook).__name__)
    if not isinstance(answer, Tensor):
        raise TypeError(
            f"hook {name!r}: expected it to return a Tensor or None, got {type(answer).__name__}"
        )
    if value is None:
        raise RuntimeError(
            f"hook {name!r}: expected None for an output that no gradient reached, got a Tensor"
        )
    if answer.shape != value.shape:
        raise RuntimeError(
            f"hook {name!r} has changed the size of value: expected a gradient of shape "
            f"{tuple(value.shape)}, got {tuple(answer.shape)}"
        )
    if answer.dtype != value.dtype:
        raise RuntimeError(
            f"hook {name!r} has changed the type of value: expected {value.dtype}, got "
            f"{answer.dtype}"
        )
    return answer
