"""Adding up the gradients that arrive at one place: borrowed, then allocated, then in place."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..dtypes import Array
from ..tensor import Tensor, make
from .node import Node


class IndexedGradient:
    """A gradient that is `part` at `index` and zero elsewhere, added without being spread out.

    This is what keeps a loop over `x[t]` linear in the number of steps.
    """

    __slots__ = ("index", "part", "shape")

    def __init__(self, index: Any, part: Array, shape: tuple[int, ...]) -> None:
        self.index = index
        self.part = part
        self.shape = shape

    def add_to(self, total: Array) -> None:
        """Add this gradient into an array of the full shape."""
        if _repeats(self.index):
            np.add.at(total, self.index, self.part)
        else:
            total[self.index] += self.part

    def dense(self) -> Array:
        total = np.zeros(self.shape, self.part.dtype)
        self.add_to(total)
        return total


def _repeats(index: Any) -> bool:
    """Whether an index may name an element twice: only arrays of integers can."""
    parts = index if type(index) is tuple else (index,)
    return any(
        isinstance(part, (np.ndarray, list)) and np.asarray(part).dtype != bool for part in parts
    )


# -- summing gradients
# The first gradient that arrives is borrowed: it may be an array that others see, read-only, or of
# stride 0. The second allocates the sum; from the third on it is added in place. What has arrived
# is held as a list [target, value, owned], which is quicker to make than an object.


def first(target: Any, value: Any) -> list[Any]:
    """What is held after the first gradient for a target."""
    if type(value) is IndexedGradient:
        return [target, value.dense(), True]
    return [target, value, False]


def add(held: list[Any], value: Any) -> None:
    """Add a further gradient to what is held."""
    _, total, owned = held
    if type(value) is IndexedGradient:
        if not owned:
            held[1] = total = np.array(total)
            held[2] = True
        value.add_to(total)
    elif owned:
        total += value
    else:
        held[1] = total = total + value
        held[2] = type(total) is np.ndarray  # a number can't be changed in place, a Tensor may not


def summed_to(g: Any, shape: tuple[int, ...], node: Node) -> Any:
    """A gradient summed over the axes that broadcasting had stretched. Never stretched itself."""
    extra = len(g.shape) - len(shape)
    if extra < 0 and all(size == 1 for size in shape[:-extra]):
        return summed_to(g, shape[-extra:], node).reshape(shape)
    fits = extra >= 0 and all(size in (1, g.shape[i + extra]) for i, size in enumerate(shape))
    if not fits:
        raise RuntimeError(
            f"{node.op.name}: its rule gave a gradient of shape {tuple(g.shape)} for an input of "
            f"shape {shape}; a rule's result may be larger (it is summed), never smaller"
        )
    stretched = [i + extra for i, n in enumerate(shape) if n == 1 and g.shape[i + extra] != 1]
    axes = (*range(extra), *stretched)
    total = (g.sum(axes) if axes else g).reshape(shape)
    return total if isinstance(total, Tensor) else np.asarray(total)  # NumPy gives a 0-d scalar


def accumulate(tensor: Tensor, value: Any) -> None:
    """Add a gradient into `.grad`. What is put there is a copy: a user may hold and change it."""
    held = tensor._grad
    if isinstance(value, Tensor):  # create_graph: the sum stays in the graph
        tensor._grad = value.clone() if held is None else held + value
    elif held is None:
        tensor._grad = make(value.copy() if type(value) is np.ndarray else np.array(value))
    elif held.requires_grad:
        held = held.detach()
        tensor._grad = make(np.asarray(held._array + value))
    elif held._array.shape != value.shape or not held._array.flags.writeable:
        raise RuntimeError(
            f"backward: expected .grad to be of shape {value.shape}, with memory of its own, got "
            f"shape {held._array.shape}; was .grad or .data replaced? Set .grad to None"
        )
    else:
        held._array += value
        held._storage[0] += 1
