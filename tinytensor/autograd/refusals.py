"""What the engine says when it can't go on: which operation, value, axis, which time step."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from ..tensor import Tensor
from .node import Node, node_of
from .scope import Label, Scope

# -- in a forward pass


def explain(op: str, arrays: Any, error: Exception) -> NoReturn:
    """Raise NumPy's complaint again as torch's kind of error, with the operation and the shapes."""
    if isinstance(error, TypeError) and not isinstance(error, np.exceptions.DTypePromotionError):
        said = str(error)
        raise TypeError(said if said.startswith(f"{op}: ") else f"{op}: {said}") from None
    flat: list[Any] = []
    for array in arrays:
        flat.extend(array if type(array) is tuple else (array,))
    shapes = [a.shape for a in flat if isinstance(a, np.ndarray)]
    kind = IndexError if isinstance(error, IndexError) else RuntimeError
    reason = str(error).strip()
    if "broadcast together" in reason:
        reason = _unequal_sizes(shapes) or reason
    elif "mismatch in its core dimension" in reason:
        reason = _unequal_inner(*shapes[:2])
    listed = ", ".join(map(str, shapes))
    raise kind(f"{op}: {reason}; got shapes {listed}") from None


def _unequal_sizes(shapes: list[tuple[int, ...]]) -> str | None:
    """Where two shapes do not broadcast, in torch's words; their last dimensions are aligned."""
    for second in range(1, len(shapes)):
        for a in shapes[:second]:
            b = shapes[second]
            dims = max(len(a), len(b))
            for back in range(1, min(len(a), len(b)) + 1):
                if a[-back] != b[-back] and 1 not in (a[-back], b[-back]):
                    return (
                        f"The size of tensor a ({a[-back]}) must match the size of tensor b "
                        f"({b[-back]}) at non-singleton dimension {dims - back}"
                    )
    return None


def _unequal_inner(a: tuple[int, ...], b: tuple[int, ...]) -> str:
    """Where two shapes can't be multiplied as matrices."""
    place = -1 if len(b) == 1 else -2
    return (
        f"mat1 and mat2 shapes cannot be multiplied: dimension -1 of the first ({a[-1]}) must "
        f"match dimension {place} of the second ({b[place]})"
    )


# -- in a backward pass


def used_twice(node: Node) -> NoReturn:
    raise RuntimeError(
        f"backward: {node.op.name}{_place(node, ' (recorded in {})')} was differentiated before, "
        "and what it had kept was freed (Trying to backward through the graph a second time). If a "
        "state is carried over from an earlier step, cut the graph there with .detach(); if two "
        "backward passes over one graph are meant, give the first retain_graph=True"
    )


def check_changed(node: Node, create_graph: bool) -> None:
    """Raise if a value that a node of a primitive or kernel needs was written to since."""
    values = node.saved if node.plan is not None else node.saved[0]
    unread = () if node.plan is not None or create_graph else node.op.unread
    for number, (value, version) in enumerate(zip(values, node.kept, strict=True)):
        several = type(version) is list
        pairs = zip(value, version, strict=True) if several else [(value, version)]
        for array, kept in pairs:
            if kept is not None and kept[0][0] != kept[1] and number not in unread:
                changed(node, array.shape, kept[0], kept[1], _what(node, number))


def changed(
    node: Node, shape: tuple[int, ...], storage: list[Any], then: int, what: str = "a value"
) -> NoReturn:
    """Refuse to differentiate with a kept value, of this shape, that was written to since."""
    place = _place(node, " in {}")
    raise RuntimeError(
        f"backward: {node.op.name}{place} needs for its gradient {what}, of shape {tuple(shape)}, "
        f"which has been modified by an inplace operation since{_writer(storage)}: expected "
        f"version {then}, got {storage[0]}. Use the out-of-place form of the later operation, "
        ".clone() first, or call backward() before it"
    )


def _writer(storage: list[Any]) -> str:
    """Who wrote last, where it is known."""
    if len(storage) == 1:
        return ""
    name, scope = storage[1:]
    return f", by {name}" + (f" in {scope!r}" if scope is not None else "")


def _what(node: Node, number: int) -> str:
    """What a node kept at a position, in words: "its input `b` (the parameter l.weight)"."""
    if node.plan is not None:
        kind, place = node.plan.keep[number]
        if kind == "output":
            return "its output"
        if node.op.listed and place == 0:
            return "one of its inputs"
        name = f"its input `{node.op.names[place]}`"
    else:
        place, name = number, "an input"
    edge = node.edges[place] if place < len(node.edges) else None
    made = node_of(edge)
    if made is not None:
        return f"{name} (made by {made.op.name})"
    label = getattr(edge, "_label", None) if isinstance(edge, Tensor) else None
    return f"{name} (the parameter {label.path})" if label is not None and label.path else name


def _place(node: Node, phrase: str) -> str:
    """Where a node was recorded, put into a phrase; "" if it was in no scope.

    A module that is called step by step, as a cell in a loop, has no step in its scope; there the
    calls that lead up to the node are counted.
    """
    if node.scope is None:
        return ""
    place = repr(node.scope)
    scopes = node.scope.chain()
    called = [scope for scope in scopes if isinstance(scope.name, Label)]
    if called and not any(scope.kind == "step" for scope in scopes):
        count = _calls_before(node, called[-1])
        if count:
            place += f", its call {count + 1} in this graph (time step {count})"
    return phrase.format(place)


def _calls_before(node: Node, call: Scope) -> int:
    """How many other calls of one module the value of a node came through."""
    numbers = set()
    seen = {node}
    stack = [node]
    while stack:
        for edge in stack.pop().edges:
            earlier = node_of(edge)
            if earlier is None or earlier in seen:
                continue
            seen.add(earlier)
            stack.append(earlier)
            scope = earlier.scope
            while scope is not None:
                if scope.name is call.name:
                    numbers.add(scope.number)
                scope = scope.parent
    return len(numbers - {call.number})
