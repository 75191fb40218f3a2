"""In-place operations: write into a tensor's memory and give it, or its base, a new history.

`x.mul_(2)` computes `x * 2` as a recorded operation, copies the result into x's memory, counts the
write, and hands x the new node. If x is a view, its base now came from two places: what it was, but
for the region written, and the value written. A `copy_slices` node says so, and the view (and every
other view of that base) renews its own node from the base when it is next looked at.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dtypes
from ..origins import united
from ..tensor import Tensor, count_write
from .mode import Mode, threads
from .node import Node, edge_of, node_of, set_edge
from .outside import cuts_of
from .primitive import PRIMITIVES, record
from .view import View


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
    if base._requires_grad:
        _check_origin(view, name)
        _leave_hooks(target, view)


def _check_origin(view: View, name: str) -> None:
    """Raise for a view that can't be given the history of a write."""
    if view.origin == "many":
        raise RuntimeError(
            f"{name}: expected a tensor or a view of one output, got one of several views made by "
            "one operation (unbind, split, chunk, iteration), being modified inplace; "
            "index the tensor instead: x[i]"
        )
    if view.origin == "function":
        raise RuntimeError(
            f"{name}: a view was created inside a custom Function (or is an input that it returned "
            "as it came) and is being modified inplace; use .clone() first"
        )
    if view.origin == "no_grad":
        raise RuntimeError(
            f"{name}: a view was created in no_grad mode and is being modified inplace with grad "
            "mode enabled; make the view outside no_grad, or .clone() it"
        )


def _leave_hooks(target: Tensor, view: View) -> None:
    """Have the gradient of what is overwritten go to the base past the hooks of the view, and of
    the views that it is a view of: in torch, too, they stay with the value from before.
    """
    node, last = node_of(target._node), node_of(view.base._node)
    while node is not None and node is not last:
        if node.watchers is not None:
            view.renew(target)
            return
        node = node_of(node.edges[0])


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


def turn_in_place(
    name: str, function: Callable[..., Any], undo: Callable[..., Any]
) -> Callable[..., Tensor]:
    """The method that gives a tensor itself the shape of a view of it: `t_` of `t`.

    function : of the tensor and the method's arguments; its result must be a view
    undo : of the turned tensor, the shape before and the same arguments: a view as it was before
    The elements stay where they are, so views of the tensor stay what they were; the change counts
    as a write, as in torch.
    """

    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        mode = threads.mode
        check_writable(self, mode, name)
        shape = self._array.shape
        leaf = self._node is None
        recording = mode.recording
        mode.recording = True  # under no_grad too, or the history would be that of another shape
        try:
            result = function(self, *args, **kwargs)
        finally:
            mode.recording = recording
        self._array = result._array
        count_write(self._storage, name, mode.scope)
        if self._view is None:
            back = functools.partial(undo, before=shape, args=args, kwargs=kwargs)
            self._turns = (*self._turns, back)
        else:
            self._view = result._view
            self._view.version = self._storage[0]
        if not leaf:
            set_edge(self, result._node)
        return self

    method.__name__ = name
    method.__qualname__ = f"Tensor.{name}"
    method.__doc__ = f"`{function.__name__}`, as the new shape of this tensor itself."
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
    if not array.flags.writeable and array.size:
        raise RuntimeError(
            f"{name}: expected memory that may be written, got an expanded tensor, more than one "
            "element of which refers to one place; use .clone() first"
        )
    if mode.recording and target._view is not None and result._requires_grad:
        _check_origin(target._view, name)
    if isinstance(result._node, Node):
        _keep_old_value(result._node, target)
    if value.dtype != array.dtype:
        if not dtypes.can_hold(array.dtype, value.dtype):
            raise RuntimeError(
                f"{name}: result type {dtypes.of_numpy(value.dtype)} can't be cast to the desired "
                f"output type {target.dtype}; use the out-of-place form"
            )
        result = result.to(target.dtype)
        value = result._array
    if array.size:
        np.copyto(array, value)
    count_write(target._storage, name, mode.scope)
    if mode.recording:
        rebase(target, result, mode)
    _take_origins(target, result)
    return target


def _take_origins(target: Tensor, result: Tensor) -> None:
    """Note where what was written into memory outside the graph came from."""
    view = target._view
    if view is None:
        if not target._requires_grad:
            target._origins = result._origins
    elif not view.base._requires_grad and result._origins is not None:
        view.base._origins = united(view.base._origins, result._origins)


def rebase(target: Tensor, result: Tensor, mode: Mode) -> None:
    """Give a written tensor the history of the result that was put into it."""
    made = result._node
    if isinstance(made, Node):
        _adopt_output(made, target)
    view = target._view
    if view is None:
        if made is None and not target._requires_grad:
            return
        set_edge(target, made)
        return
    base = view.base
    if made is None and not base._requires_grad:
        return
    set_edge(base, _copy_slices(base, target, result, mode))
    target._renew()


def _keep_old_value(node: Node, target: Tensor) -> None:
    """If a node needs the value that is about to be overwritten by it: that stays as a copy."""
    if node.plan is None or ("value", 0) not in node.plan.keep:
        return
    position = node.plan.keep.index(("value", 0))
    kept = node.kept[position] if node.kept else None
    if kept is None or kept[0] is not target._storage:
        return
    if node.saved[position] is target._array:  # and no copy in a wider type
        node.saved = _replaced(node.saved, position, target._array.copy())
    node.kept = _replaced(node.kept, position, None)


def _adopt_output(node: Node, target: Tensor) -> None:
    """If a node kept its output: that lies in the target's memory now, with its versions."""
    if node.plan is None or ("output", 0) not in node.plan.keep:
        return
    position = node.plan.keep.index(("output", 0))
    node.saved = _replaced(node.saved, position, target._array)
    node.kept = _replaced(node.kept, position, (target._storage, target._storage[0]))


def _replaced(values: tuple[Any, ...], position: int, value: Any) -> tuple[Any, ...]:
    return (*values[:position], value, *values[position + 1 :])


def _copy_slices(base: Tensor, target: Tensor, result: Tensor, mode: Mode) -> Node:
    """The node of a base after a write of `result` through its view `target`."""
    op = PRIMITIVES["copy_slices"]
    edges = (edge_of(base), result._node)
    plan = op.plan(tuple(i for i, edge in enumerate(edges) if edge is not None))
    values = (base._array, target._array, target._view.path)
    saved, _ = plan.save(values, values, base._array, base._storage)
    kept = (None,) * len(saved)  # nothing that could change, yet freed by a pass, as in torch
    node = record(op, plan, edges, saved, kept, base._array, mode)
    node.cuts = cuts_of((base, result), edges)
    return node
