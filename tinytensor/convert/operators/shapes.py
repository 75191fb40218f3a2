"""Elements as they are, in another shape or order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...autograd.primitive import PRIMITIVES
from ..graph import Graph
from ..trace import Value
from .registry import axis_of, operator, taken, turned


@operator("reshape", "view", "squeeze", "unsqueeze")
def _reshape(graph: Graph, y: Value, x: Value, *args: Any) -> str:
    same = x.array.shape == y.array.shape
    return graph.name(x) if same else graph.reshape(graph.name(x), y.array.shape)


@operator("expand")
def _expand(graph: Graph, y: Value, x: Value, size: Any) -> str:
    return graph.node("Expand", graph.name(x), graph.integers(y.array.shape))


@operator("permute")
def _permute(graph: Graph, y: Value, x: Value, dims: Sequence[int]) -> str:
    return turned(graph, graph.name(x), [axis_of(dim, x) for dim in dims])


@operator("transpose")
def _transpose(graph: Graph, y: Value, x: Value, dim0: int, dim1: int) -> str:
    order = list(range(x.array.ndim))
    if not order:
        return graph.name(x)
    first, second = axis_of(dim0, x), axis_of(dim1, x)
    order[first], order[second] = second, first
    return turned(graph, graph.name(x), order)


@operator("flip", "roll", "diagonal", "unfold")
def _rearranged(graph: Graph, y: Value, x: Value, *args: Any) -> str:
    """Elements at fixed places: the primitive itself says which, given their numbers."""
    numbers = np.arange(x.array.size).reshape(x.array.shape)
    places = PRIMITIVES[graph.current].forward(numbers, *args)
    return taken(graph, x, np.asarray(places))


@operator("tril", "triu")
def _triangle(graph: Graph, y: Value, x: Value, diagonal: int) -> str:
    upper = int(graph.current == "triu")
    return graph.node("Trilu", graph.name(x), graph.number(diagonal, np.int64), upper=upper)


@operator("constant_pad")
def _constant_pad(graph: Graph, y: Value, x: Value, pairs: Any, value: float) -> str:
    widths = [before for before, _ in pairs] + [after for _, after in pairs]
    filler = graph.number(value, y.array.dtype)
    return graph.node("Pad", graph.name(x), graph.integers(widths), filler, mode="constant")


@operator("cat")
def _cat(graph: Graph, y: Value, tensors: Sequence[Value], dim: int) -> str:
    parts = [part for part in tensors if part.array.shape != (0,)] or list(tensors[:1])
    return graph.node("Concat", *map(graph.name, parts), axis=axis_of(dim, y))


@operator("stack")
def _stack(graph: Graph, y: Value, tensors: Sequence[Value], dim: int) -> str:
    axis = axis_of(dim, y)
    at = graph.integers([axis])
    parts = [graph.node("Unsqueeze", graph.name(part), at) for part in tensors]
    return graph.node("Concat", *parts, axis=axis)


@operator("unbind")
def _unbind(graph: Graph, y: Sequence[Value], x: Value, dim: int) -> list[str]:
    name, axis = graph.name(x), axis_of(dim, x)
    return [graph.node("Gather", name, graph.number(t, np.int64), axis=axis) for t in range(len(y))]


@operator("split")
def _split(graph: Graph, y: Sequence[Value], x: Value, split_size: Any, dim: int) -> list[str]:
    axis = axis_of(dim, x)
    sizes = graph.integers([part.array.shape[axis] for part in y])
    return graph.several("Split", [graph.name(x), sizes], len(y), axis=axis)
