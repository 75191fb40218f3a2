"""What the families of operators share: the table, and how arguments are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...dtypes import Array
from ..graph import Graph
from ..trace import Value

OPERATORS: dict[str, Callable[..., Any]] = {}


def operator(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def declare(function: Callable[..., Any]) -> Callable[..., Any]:
        OPERATORS.update(dict.fromkeys(names, function))
        return function

    return declare


def operand(graph: Graph, argument: Any, y: Value) -> str:
    """A value, or a number in the type of the result."""
    if isinstance(argument, Value):
        return graph.name(argument)
    return graph.number(argument, y.array.dtype)


def scaled(graph: Graph, y: Value, name: str, factor: float) -> str:
    return graph.node("Mul", name, operand(graph, factor, y))


def axis_of(dim: int, x: Value) -> int:
    return dim % max(x.array.ndim, 1)


def taken(graph: Graph, x: Value, places: Array) -> str:
    """Elements of x by their numbers in the flattened x, in the shape of these."""
    flat = graph.reshape(graph.name(x), [-1])
    return graph.node("Gather", flat, graph.initializer(places, "places"), axis=0)


def turned(graph: Graph, name: str, order: Sequence[int]) -> str:
    """A Transpose, where it changes something."""
    return name if list(order) == sorted(order) else graph.node("Transpose", name, perm=list(order))


def refusal(graph: Graph, expected: str, got: str) -> NotImplementedError:
    return NotImplementedError(
        f"to_onnx: expected {graph.current} {expected}, got {got}; opset 17 has no operator for it"
    )
