"""The activation functions that are primitives of their own."""

from __future__ import annotations

import math

from ..graph import Graph
from ..trace import Value
from .pointwise import clamp
from .registry import operand, operator, scaled


@operator("leaky_relu")
def _leaky_relu(graph: Graph, y: Value, x: Value, negative_slope: float) -> str:
    return graph.node("LeakyRelu", graph.name(x), alpha=float(negative_slope))


@operator("elu")
def _elu(graph: Graph, y: Value, x: Value, alpha: float) -> str:
    return graph.node("Elu", graph.name(x), alpha=float(alpha))


@operator("silu")
def _silu(graph: Graph, y: Value, x: Value) -> str:
    return graph.node("Mul", graph.name(x), graph.node("Sigmoid", graph.name(x)))


@operator("softplus")
def _softplus(graph: Graph, y: Value, x: Value, beta: float, threshold: float) -> str:
    inner = graph.name(x) if beta == 1 else scaled(graph, y, graph.name(x), beta)
    soft = graph.node("Softplus", inner)
    if beta != 1:
        soft = scaled(graph, y, soft, 1 / beta)
    straight = graph.node("Greater", inner, operand(graph, threshold, y))
    return graph.node("Where", straight, graph.name(x), soft)


@operator("logsigmoid")
def _logsigmoid(graph: Graph, y: Value, x: Value) -> str:
    return graph.node("Neg", graph.node("Softplus", graph.node("Neg", graph.name(x))))


@operator("hardtanh")
def _hardtanh(graph: Graph, y: Value, x: Value, min_val: float, max_val: float) -> str:
    return clamp(graph, y, x, min_val, max_val)


@operator("hardsigmoid")
def _hardsigmoid(graph: Graph, y: Value, x: Value) -> str:
    return graph.node("HardSigmoid", graph.name(x), alpha=1 / 6, beta=0.5)


@operator("mish")
def _mish(graph: Graph, y: Value, x: Value) -> str:
    gate = graph.node("Tanh", graph.node("Softplus", graph.name(x)))
    return graph.node("Mul", graph.name(x), gate)


@operator("gelu")
def _gelu(graph: Graph, y: Value, x: Value, approximate: str) -> str:
    name = graph.name(x)
    if approximate == "none":
        part = graph.node("Erf", scaled(graph, y, name, math.sqrt(0.5)))
    else:
        cube = graph.node("Mul", graph.node("Mul", name, name), name)
        inner = graph.node("Add", name, scaled(graph, y, cube, 0.044715))
        part = graph.node("Tanh", scaled(graph, y, inner, math.sqrt(2 / math.pi)))
    return graph.node(
        "Mul",
        scaled(graph, y, name, 0.5),
        graph.node("Add", part, operand(graph, 1.0, y)),
    )


@operator("hardswish")
def _hardswish(graph: Graph, y: Value, x: Value) -> str:
    return graph.node("HardSwish", graph.name(x))


@operator("celu")
def _celu(graph: Graph, y: Value, x: Value, alpha: float) -> str:
    inner = graph.node("Min", scaled(graph, y, graph.name(x), 1 / alpha), operand(graph, 0.0, y))
    below = scaled(graph, y, graph.node("Elu", inner), alpha)
    above = graph.node("Greater", graph.name(x), operand(graph, 0.0, y))
    return graph.node("Where", above, graph.name(x), below)


@operator("hardshrink")
def _hardshrink(graph: Graph, y: Value, x: Value, lambd: float) -> str:
    low = graph.node("GreaterOrEqual", graph.name(x), operand(graph, -lambd, y))
    high = graph.node("LessOrEqual", graph.name(x), operand(graph, lambd, y))
    inside = graph.node("And", low, high)
    return graph.node("Where", inside, operand(graph, 0.0, y), graph.name(x))


@operator("softshrink")
def _softshrink(graph: Graph, y: Value, x: Value, lambd: float) -> str:
    return graph.node("Sub", graph.name(x), clamp(graph, y, x, -lambd, lambd))


@operator("threshold")
def _threshold(graph: Graph, y: Value, x: Value, threshold: float, value: float) -> str:
    low = graph.node("LessOrEqual", graph.name(x), operand(graph, threshold, y))
    return graph.node("Where", low, operand(graph, value, y), graph.name(x))
