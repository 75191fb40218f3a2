"""In-place operations: write into a tensor's memory and give it, or its base, a new history.

`x.mul_(2)` computes `x * 2` as a recorded operation, copies the result into x's memory, counts the
write, and hands x the new node. If x is a view, its base now came from two places: what it was, but
for the region written, and the value written. A `copy_slices` node says so, and the view (and every
other view of that base) renews its own node from the base when it is next looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dtypes
from ..tensor import Tensor, count_write
from .mode import Mode, threads
from .node import Node, edge_of, set_edge
from .primitive import PRIMITIVES, record


def check_writable(target: Tensor, mode: Mode, name: str) -> None:
    """Raise where torch does: a leaf that requires grad, a view of one, a view of several."""
    target._renew()
    if not mode.recording:
        return
    view = target._view
    if target._requires_grad and target._node is None:
        raise RuntimeError(
            f"{name}: a leaf Variable that requires grad is being used in an in-place operation. "
            f"Its old value would be lost to the graph; write under `with no_grad():`"
        )
    if view is None:
        return
    base = view.base
    if base._requires_grad and base._node is None:
        raise RuntimeError(
            f"{name}: a view of a leaf Variable that requires grad is being used in an in-place "
            "operation; write under `with no_grad():`"
        )
    if base._requires_grad and view.origin == "many":
        raise RuntimeError(
            f"{name}: expected a tensor or a view of one output, got one of several views made by "
            "one operation (unbind, split, chunk, iteration), being modified inplace; "
            "index the tensor instead: x[i]"
        )
    if base._requires_grad and view.origin == "function":
        raise RuntimeError(
            f"{name}: a view was created inside a custom Function (or is an input that it returned "
            "as it came) and is being modified inplace; use .clone() first"
        )
    if base._requires_grad and view.origin == "no_grad":
        raise RuntimeError(
            f"{name}: a view was created in no_grad mode and is being modified inplace with grad "
            "mode enabled; make the view outside no_grad, or .clone() it"
        )


def in_place(name: str, function: Callable[..., Any]) -> Callable[..., Tensor]:
    """The method that does `function` in place: `mul_` of `mul`."""

    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        mode = threads.mode
        check_writable(self, mode, name)
        result = function(self, *args, **kwargs)
        return write(self, result, mode, name)

    method.__name__ = name
    method.__qualname__ = f"Tensor.{name}"
    method.__doc__ = f"`{function.__name__}`, written into this tensor's own memory."
    return method


def write(target: Tensor, result: Tensor, mode: Mode, name: str) -> Tensor:
    """Put `result`, computed from `target` or not, into its memory and history."""
    array = target._array
    value = result._array
    if value.shape != array.shape:
        raise RuntimeError(
            f"{name}: expected a result of the tensor's own shape {array.shape}, got "
            f"{value.shape}; an in-place operation can't grow its tensor"
        )
    if not array.flags.writeable:
        raise RuntimeError(
            f"{name}: expected memory that may be written, got an expanded tensor, more than one "
            "element of which refers to one place; use .clone() first"
        )
    if value.dtype != array.dtype:
        if not dtypes.can_hold(array.dtype, value.dtype):
            raise RuntimeError(
                f"{name}: result type {dtypes.of_numpy(value.dtype)} can't be cast to the desired "
                f"output type {target.dtype}; use the out-of-place form"
            )
        result = result.to(target.dtype)
        value = result._array
    if isinstance(result._node, Node):
        _keep_old_value(result._node, target)
    np.copyto(array, value)
    count_write(target._storage, name, mode.scope)
    if mode.recording:
        rebase(target, result, mode)
    return target


def rebase(target: Tensor, result: Tensor, mode: Mode) -> None:
    """Give a written tensor the history of the result that was put into it."""
    made = result._node
    if isinstance(made, Node):
        _adopt_output(made, result, target)
    view = target._view
    if view is None:
        if made is None and not target._requires_grad:
            return
        set_edge(target, made)
        target._storage[1] += 1
        return
    base = view.base
    if made is None and not base._requires_grad:
        return
    set_edge(base, _copy_slices(base, target, made, mode))
    base._storage[1] += 1
    target._renew()


def _keep_old_value(node: Node, target: Tensor) -> None:
    """If a node needs the value that is about to be overwritten by it: that stays as a copy."""
    if node.plan is None or ("value", 0) not in node.plan.keep:
        return
    position = node.plan.keep.index(("value", 0))
    if node.saved[position] is target._array:
        node.saved = _replaced(node.saved, position, target._array.copy())
        node.kept = _replaced(node.kept, position, None)


def _adopt_output(node: Node, result: Tensor, target: Tensor) -> None:
    """If a node kept its output: that lies in the target's memory now, with its versions."""
    if node.plan is None or ("output", 0) not in node.plan.keep:
        return
    position = node.plan.keep.index(("output", 0))
    node.saved = _replaced(node.saved, position, target._array)
    node.kept = _replaced(node.kept, position, (target._storage, target._storage[0]))


def _replaced(values: tuple[Any, ...], position: int, value: Any) -> tuple[Any, ...]:
    return (*values[:position], value, *values[position + 1 :])


def _copy_slices(base: Tensor, target: Tensor, made: Any, mode: Mode) -> Node:
    """The node of a base after a write through its view `target`, whose value came from `made`."""
    op = PRIMITIVES["copy_slices"]
    edges = (edge_of(base), made)
    plan = op.plan(tuple(i for i, edge in enumerate(edges) if edge is not None))
    values = (base._array, target._array, target._view.path)
    saved, kept = plan.save(values, values, base._array, base._storage)
    return record(op, plan, edges, saved, kept, base._array, mode)
