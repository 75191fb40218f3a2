"""Where a value outside the graph came from: what a drawing needs to show that it was cut off.

`y.detach()` has no edge in the graph and no trace of y. Instead it carries its origins: weak
references to the nodes and leaves that it came from. What is computed from it outside the graph
gets those of all its inputs, and an operation of the graph that uses such a value notes them on its
node (`Node.cuts`). So the graph that was cut off lives no longer than without them.

Under `no_grad` nearly everything is computed from leaves that require grad, and to name them all
takes longer than a small operation. There a result is marked as `NO_GRAD` and no more, but for
views, unless the block is within `viz.keep_values`.

Only values that could have had a gradient have origins: a comparison or an integer never had one.
"""

from __future__ import annotations

import weakref
from typing import Any, NamedTuple

from .dtypes import Array

# One origin: a node or a leaf, by a weak reference (None or a dead one if it is gone), the number
# of the node's output, its operation and scope (None for a leaf). Where no more is known than a
# few words, they stand in place of the operation.
Origin = tuple[Any, int, Any, Any]


class Parts(NamedTuple):
    """What is known beside the node that a value came from: the states of a layer are handed on as
    views of stacks, and neither the view nor the stack need be part of a drawing.

    rows : the origins of each row of a stack, or those of what the value is a view of, as the only
        one: of a row of a stack, or of another tensor
    storage, start, step : of a stack its memory, the address of the first row, the bytes of each
    """

    rows: tuple[Origins | None, ...]
    storage: Any
    start: int
    step: int


# No one changes a dict of origins once it is made: many values share it.
Origins = dict[Origin, Parts | None]

_reference = weakref.ref

NO_GRAD: Origins = {(None, 0, "computed under no_grad", None): None}

# A running mean of all steps has as many origins as there are steps: above so many they are not
# told apart any more, or each step would take longer than the last, and no drawing could be read.
_MOST = 16
_MOST_ROWS = 64
_MANY: Origins = {(None, 0, f"from more than {_MOST} values", None): None}


def origins_of(tensor: Any) -> Origins | None:
    """Where a value is in the graph; where it came from if it lies outside; None for plain data."""
    view = tensor._view
    if view is not None and view.version != tensor._storage[0]:
        tensor = view.base  # written to since, and the view has not looked at it yet
        view = None
    if not tensor._requires_grad:
        return tensor._origins
    origin = _origin(tensor)
    if view is None:
        return {origin: _parts(tensor, origin)}
    below = _origin(view.base)
    parts = _parts(view.base, below)
    row = None if parts is None else _row(parts, tensor._array)
    if parts is None:
        parts = Parts(({below: None},), None, 0, 0)
    elif row is not None:
        parts = parts._replace(rows=(parts.rows[row],), storage=None)
    return {origin: parts}


def narrowed(origins: Origins | None, storage: Any, array: Array) -> Origins | None:
    """The origins of a view of a value with these: of a stack those of the row that it is in."""
    if origins is None or len(origins) > 1:
        return origins
    (parts,) = origins.values()
    if parts is None or parts.storage is not storage:
        return origins
    row = _row(parts, array)
    return origins if row is None else parts.rows[row]


def united(a: Origins | None, b: Origins | None) -> Origins | None:
    """The origins of what is computed from values with these."""
    if b is None or a is b:
        return a
    if a is None or b is _MANY:
        return b
    if a is _MANY or b.keys() <= a.keys():
        return a
    both = {_as_known(origin): parts for origin, parts in (a | b).items()}
    return both if len(both) <= _MOST else _MANY


def _origin(tensor: Any) -> Origin:
    return _place(tensor if tensor._node is None else tensor._node)


def _place(edge: Any) -> Origin:
    """The origin of a value whose gradient goes along an edge of the graph."""
    if hasattr(edge, "_storage"):  # a leaf
        return _reference(edge), 0, None, None
    node = getattr(edge, "node", edge)  # that of one of several outputs
    return _reference(node), getattr(edge, "index", 0), node.op, node.scope


def _as_known(origin: Origin) -> Origin:
    """An origin without its reference if that is dead, so that those of one operation are one."""
    reference, *rest = origin
    return origin if reference is None or reference() is not None else (None, *rest)


def _parts(tensor: Any, origin: Origin) -> Parts | None:
    """Those of a stack along the first dimension, if it is one and has not too many rows."""
    if getattr(origin[2], "name", "") != "stack":
        return None
    node, array = tensor._node, tensor._array
    if node.saved != (0,) or not array.size or len(array) > _MOST_ROWS:
        return None
    rows = tuple([_input(node, row) for row in range(len(array))])
    return Parts(rows, tensor._storage, _address(array), array.strides[0])


def _row(parts: Parts, array: Array) -> int | None:
    """The row that all of an array in this memory lies in."""
    first = _address(array) - parts.start
    reach = sum((size - 1) * step for size, step in zip(array.shape, array.strides, strict=True))
    row = first // parts.step
    return row if row == (first + reach) // parts.step else None


def _address(array: Array) -> int:
    return int(array.__array_interface__["data"][0])


def _input(node: Any, number: int) -> Origins | None:
    """The origins of what a node moved, without their own parts, or they might go back forever."""
    edge = node.edges[number]
    if edge is not None:
        return {_place(edge): None}
    cut = None if node.cuts is None else node.cuts[number]
    return None if cut is None else dict.fromkeys(cut)
