"""Elements picked by number, and put back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..graph import Graph
from ..trace import Value
from .registry import axis_of, operator, refusal, scaled, taken, turned


@operator("embedding")
def _embedding(graph: Graph, y: Value, weight: Value, index: Value, padding_idx: Any) -> str:
    return graph.node("Gather", graph.name(weight), graph.name(index), axis=0)


@operator("gather")
def _gather(graph: Graph, y: Value, x: Value, dim: int, index: Value) -> str:
    if x.array.ndim == 0:
        return graph.node("Expand", graph.name(x), graph.integers(y.array.shape))
    numbers = graph.name(index)
    if index.array.ndim == 0:
        numbers = graph.reshape(numbers, [1])
    found = graph.node("GatherElements", graph.name(x), numbers, axis=axis_of(dim, x))
    return found if index.array.ndim else graph.reshape(found, [])


@operator("argsort")
def _argsort(graph: Graph, y: Value, x: Value, dim: int, descending: bool, stable: bool) -> str:
    if x.array.ndim == 0:
        return graph.initializer(y.array, "constant")
    axis = axis_of(dim, x)
    count = graph.integers([x.array.shape[axis]])
    name = graph.name(x)
    if x.array.dtype == np.bool_:
        name = graph.cast(name, np.int32)
    return graph.several("TopK", [name, count], 2, axis=axis, largest=int(descending), sorted=1)[1]


@operator("getitem")
def _getitem(graph: Graph, y: Value, x: Value, key: tuple[Any, ...]) -> str:
    parts = _full_key(key, x.array.ndim)
    arrays = [part for part in parts if isinstance(part, Value)]
    if any(part.array.dtype == np.bool_ for part in arrays):
        if any(part.from_input for part in arrays):
            raise refusal(
                graph, "with integers and slices", "a mask that is not fixed; use where()"
            )
        return taken(graph, x, _places(x, key))
    sliced = _sliced(graph, x, parts)
    if not arrays:
        same = sliced == graph.name(x) and x.array.shape == y.array.shape
        return sliced if same else graph.reshape(sliced, y.array.shape)
    dims = [part for part in parts if part is not None]
    axes = [axis for axis, part in enumerate(dims) if isinstance(part, Value)]
    if len(axes) == 1:
        found = graph.node("Gather", sliced, graph.name(arrays[0]), axis=axes[0])
        return graph.reshape(found, y.array.shape)
    if any(part.from_input for part in arrays):
        return _gathered(graph, y, x, sliced, parts, axes, arrays)
    return taken(graph, x, _places(x, key))


def _full_key(key: tuple[Any, ...], ndim: int) -> list[Any]:
    """The key with slices in the place of the Ellipsis: a part for each dimension, and Nones."""
    used = 0
    for part in key:
        if part is not None and part is not Ellipsis:
            mask = isinstance(part, Value) and part.array.dtype == np.bool_
            used += part.array.ndim if mask else 1
    at = next((i for i, part in enumerate(key) if part is Ellipsis), len(key))
    return [*key[:at], *[slice(None)] * (ndim - used), *key[at + 1 :]]


def _sliced(graph: Graph, x: Value, parts: Sequence[Any]) -> str:
    """The slices and integers of a key; an integer leaves a dimension of size 1."""
    cuts = []
    for axis, part in enumerate(part for part in parts if part is not None):
        size = x.array.shape[axis]
        if isinstance(part, int):
            cuts.append((part % size, part % size + 1, axis, 1))
        elif isinstance(part, slice) and part.indices(size) != (0, size, 1):
            start, stop, step = part.indices(size)
            cuts.append((start, max(start, stop), axis, step))
    if not cuts:
        return graph.name(x)
    return graph.slice(graph.name(x), *zip(*cuts, strict=True))


def _gathered(
    graph: Graph, y: Value, x: Value, sliced: str, parts: Sequence[Any], axes: Sequence[int],
    arrays: Sequence[Value],
) -> str:  # fmt: skip
    """x[i, :, j] for several tensors of integers: those dimensions first, then picked together."""
    if any(part is None or isinstance(part, int) for part in parts):
        raise refusal(graph, "with tensors and slices", "an integer or None beside the tensors")
    rest = [axis for axis in range(x.array.ndim) if axis not in axes]
    front = turned(graph, sliced, [*axes, *rest])
    shape = np.broadcast_shapes(*(part.array.shape for part in arrays))
    numbers = []
    for part in arrays:
        name = graph.name(part)
        if part.array.dtype != np.int64:
            name = graph.cast(name, np.int64)
        wide = graph.node("Expand", name, graph.integers(shape))
        numbers.append(graph.node("Unsqueeze", wide, graph.integers([len(shape)])))
    found = graph.node("GatherND", front, graph.node("Concat", *numbers, axis=len(shape)))
    if axes[-1] - axes[0] + 1 != len(axes):  # NumPy leaves them in front where a slice is between
        return found
    picked = list(range(len(shape)))
    others = list(range(len(shape), len(shape) + len(rest)))
    return turned(graph, found, [*others[: axes[0]], *picked, *others[axes[0] :]])


def _places(x: Value, key: tuple[Any, ...]) -> Any:
    """The numbers of the elements that a key of fixed values picks."""
    numbers = np.arange(x.array.size).reshape(x.array.shape)
    fixed = tuple(part.array if isinstance(part, Value) else part for part in key)
    return np.asarray(numbers[fixed])


@operator("index_put")
def _index_put(graph: Graph, y: Value, x: Value, value: Value, key: tuple[Any, ...]) -> str:
    if any(isinstance(part, Value) and part.from_input for part in key):
        raise refusal(graph, "at fixed places", "an index that depends on the inputs")
    places = _places(x, key)
    if np.unique(places).size < places.size:
        raise refusal(graph, "at different places", "one of them twice")
    source = graph.node("Expand", graph.name(value), graph.integers(places.shape))
    flat = [graph.reshape(name, [-1]) for name in (graph.name(x), source)]
    at = graph.initializer(places.reshape(-1), "places")
    return graph.reshape(graph.node("ScatterElements", flat[0], at, flat[1], axis=0), y.array.shape)


@operator("scatter_add")
def _scatter_add(graph: Graph, y: Value, x: Value, dim: int, index: Value, source: Value) -> str:
    return _scattered(graph, x, dim, index, source, reduction="add")


@operator("_scatter")
def _scatter(graph: Graph, y: Value, x: Value, dim: int, index: Value, source: Any) -> str:
    return _scattered(graph, x, dim, index, source)


def _scattered(graph: Graph, x: Value, dim: int, index: Value, source: Any, **how: str) -> str:
    shape = index.array.shape
    if not shape or not x.array.ndim:
        raise refusal(graph, "of tensors of at least one dimension", "a 0-d tensor")
    if not index.array.size:
        return graph.name(x)
    if isinstance(source, Value):
        values = graph.name(source)
        if source.array.ndim == 0:
            values = graph.reshape(values, shape)
        elif source.array.shape != shape:
            count = len(shape)
            values = graph.slice(values, [0] * count, shape, range(count), [1] * count)
    else:
        number = graph.number(source, x.array.dtype)
        values = graph.node("Expand", number, graph.integers(shape))
    inputs = (graph.name(x), graph.name(index), values)
    return graph.node("ScatterElements", *inputs, axis=axis_of(dim, x), **how)


@operator("_index_add")
def _index_add(
    graph: Graph, y: Value, x: Value, dim: int, index: Value, source: Value, alpha: float
) -> str:
    axis = axis_of(dim, x)
    column = [1] * x.array.ndim
    column[axis] = -1
    numbers = graph.reshape(graph.name(index), column)
    wide = graph.node("Expand", numbers, graph.integers(source.array.shape))
    values = graph.name(source) if alpha == 1 else scaled(graph, y, graph.name(source), alpha)
    inputs = (graph.name(x), wide, values)
    return graph.node("ScatterElements", *inputs, axis=axis, reduction="add")
