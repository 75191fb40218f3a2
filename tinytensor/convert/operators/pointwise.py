"""Arithmetic, comparisons and choices, element by element."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..graph import Graph
from ..trace import Value
from .registry import OPERATORS, operand, operator, refusal, scaled

# -- one operator for one primitive

_ALIKE = {
    "abs": "Abs", "acos": "Acos", "acosh": "Acosh", "add": "Add", "asin": "Asin",
    "asinh": "Asinh", "atan": "Atan", "atanh": "Atanh", "ceil": "Ceil", "cos": "Cos",
    "cosh": "Cosh", "div": "Div", "erf": "Erf", "exp": "Exp", "floor": "Floor", "isinf": "IsInf",
    "isnan": "IsNaN", "log": "Log", "maximum": "Max", "minimum": "Min", "mul": "Mul", "neg": "Neg",
    "pow": "Pow", "reciprocal": "Reciprocal", "relu": "Relu", "selu": "Selu", "sigmoid": "Sigmoid",
    "sign": "Sign", "sin": "Sin", "sinh": "Sinh", "sqrt": "Sqrt", "sub": "Sub", "tan": "Tan",
    "tanh": "Tanh",
}  # fmt: skip


def _alike(name: str) -> Callable[..., str]:
    def emit(graph: Graph, y: Value, *args: Any) -> str:
        return graph.node(name, *(operand(graph, arg, y) for arg in args))

    return emit


OPERATORS.update({primitive: _alike(name) for primitive, name in _ALIKE.items()})

_COMPARISONS = {
    "eq": "Equal", "lt": "Less", "le": "LessOrEqual", "gt": "Greater", "ge": "GreaterOrEqual",
}  # fmt: skip


def _comparison(name: str) -> Callable[..., str]:
    def emit(graph: Graph, y: Value, a: Any, b: Any) -> str:
        kind = a.array.dtype if isinstance(a, Value) else b.array.dtype
        names = [
            graph.name(arg) if isinstance(arg, Value) else graph.number(arg, kind) for arg in (a, b)
        ]
        return graph.node(name, *names)

    return emit


OPERATORS.update({primitive: _comparison(name) for primitive, name in _COMPARISONS.items()})


@operator("ne")
def _ne(graph: Graph, y: Value, a: Any, b: Any) -> str:
    return graph.node("Not", OPERATORS["eq"](graph, y, a, b))


_LOGIC = {"and": "And", "or": "Or", "xor": "Xor", "not": "Not"}


def _logic(name: str) -> Callable[..., str]:
    def emit(graph: Graph, y: Value, *args: Value) -> str:
        names = []
        for arg in args:
            kind = arg.array.dtype
            is_bool = kind == np.bool_
            names.append(graph.name(arg) if is_bool else graph.cast(graph.name(arg), np.bool_))
        return graph.node(name, *names)

    return emit


OPERATORS.update({f"logical_{word}": _logic(name) for word, name in _LOGIC.items()})


def _bitwise(name: str) -> Callable[..., str]:
    def emit(graph: Graph, y: Value, *args: Any) -> str:
        if y.array.dtype != np.bool_:
            raise refusal(graph, "of bool tensors", f"one of {y.array.dtype}")
        return graph.node(name, *(operand(graph, arg, y) for arg in args))

    return emit


OPERATORS.update({f"bitwise_{word}": _bitwise(name) for word, name in _LOGIC.items()})


# -- arithmetic


@operator("square")
def _square(graph: Graph, y: Value, x: Value) -> str:
    name = graph.name(x)
    return graph.node("Mul", name, name)


@operator("rsqrt")
def _rsqrt(graph: Graph, y: Value, x: Value) -> str:
    return graph.node("Reciprocal", graph.node("Sqrt", graph.name(x)))


@operator("exp2")
def _exp2(graph: Graph, y: Value, x: Value) -> str:
    return graph.node("Pow", operand(graph, 2.0, y), graph.name(x))


@operator("expm1")
def _expm1(graph: Graph, y: Value, x: Value) -> str:
    return graph.node("Sub", graph.node("Exp", graph.name(x)), operand(graph, 1.0, y))


@operator("log1p")
def _log1p(graph: Graph, y: Value, x: Value) -> str:
    return graph.node("Log", graph.node("Add", graph.name(x), operand(graph, 1.0, y)))


@operator("log2")
def _log2(graph: Graph, y: Value, x: Value) -> str:
    return scaled(graph, y, graph.node("Log", graph.name(x)), 1 / math.log(2))


@operator("log10")
def _log10(graph: Graph, y: Value, x: Value) -> str:
    return scaled(graph, y, graph.node("Log", graph.name(x)), 1 / math.log(10))


@operator("trunc")
def _trunc(graph: Graph, y: Value, x: Value) -> str:
    return _towards_zero(graph, graph.name(x))


def _towards_zero(graph: Graph, name: str) -> str:
    return graph.node("Mul", graph.node("Sign", name), graph.node("Floor", graph.node("Abs", name)))


@operator("round", "_round")
def _round(graph: Graph, y: Value, x: Value, decimals: int) -> str:
    if decimals:
        raise refusal(graph, "with decimals=0", f"decimals={decimals}")
    return graph.node("Round", graph.name(x))


@operator("remainder")
def _remainder(graph: Graph, y: Value, a: Any, b: Any) -> str:
    first, second = operand(graph, a, y), operand(graph, b, y)
    if y.array.dtype.kind != "f":
        return graph.node("Mod", first, second)
    whole = graph.node("Floor", graph.node("Div", first, second))
    return graph.node("Sub", first, graph.node("Mul", whole, second))


@operator("frac")
def _frac(graph: Graph, y: Value, x: Value) -> str:
    return graph.node("Sub", graph.name(x), _trunc(graph, y, x))


@operator("logit")
def _logit(graph: Graph, y: Value, x: Value, eps: float | None) -> str:
    inside = graph.name(x) if eps is None or eps < 0 else clamp(graph, y, x, eps, 1 - eps)
    rest = graph.node("Sub", operand(graph, 1.0, y), inside)
    return graph.node("Log", graph.node("Div", inside, rest))


@operator("isfinite")
def _isfinite(graph: Graph, y: Value, x: Value) -> str:
    name = graph.name(x)
    return graph.node("Not", graph.node("Or", graph.node("IsInf", name), graph.node("IsNaN", name)))


@operator("div_rounded")
def _div_rounded(graph: Graph, y: Value, a: Any, b: Any, rounding_mode: str) -> str:
    if rounding_mode == "floor":
        return _floor_divide(graph, y, a, b)
    quotient = graph.node("Div", operand(graph, a, y), operand(graph, b, y))
    return _towards_zero(graph, quotient) if y.array.dtype.kind == "f" else quotient


@operator("floor_divide")
def _floor_divide(graph: Graph, y: Value, a: Any, b: Any) -> str:
    first, second = operand(graph, a, y), operand(graph, b, y)
    if y.array.dtype.kind == "f":
        return graph.node("Floor", graph.node("Div", first, second))
    # ONNX cuts a quotient of integers towards zero; without the remainder there is nothing to cut.
    return graph.node("Div", graph.node("Sub", first, graph.node("Mod", first, second)), second)


@operator("lerp")
def _lerp(graph: Graph, y: Value, start: Value, end: Value, weight: Any) -> str:
    way = graph.node("Sub", graph.name(end), graph.name(start))
    return graph.node("Add", graph.name(start), graph.node("Mul", way, operand(graph, weight, y)))


@operator("addcmul", "_addcmul")
def _addcmul(graph: Graph, y: Value, x: Value, a: Value, b: Value, value: float) -> str:
    product = graph.node("Mul", graph.name(a), graph.name(b))
    return graph.node("Add", graph.name(x), scaled(graph, y, product, value))


@operator("_addcdiv")
def _addcdiv(graph: Graph, y: Value, x: Value, a: Value, b: Value, value: float) -> str:
    quotient = graph.node("Div", graph.name(a), graph.name(b))
    return graph.node("Add", graph.name(x), scaled(graph, y, quotient, value))


@operator("_times_number")
def _times_number(graph: Graph, y: Value, x: Value, factor: float) -> str:
    return scaled(graph, y, graph.name(x), factor)


# -- choosing


@operator("where")
def _where(graph: Graph, y: Value, condition: Value, a: Any, b: Any) -> str:
    chosen = (operand(graph, a, y), operand(graph, b, y))
    return graph.node("Where", graph.name(condition), *chosen)


@operator("masked_fill")
def _masked_fill(graph: Graph, y: Value, x: Value, mask: Value, value: Any) -> str:
    filler = operand(graph, value, y)
    if isinstance(value, Value) and value.array.dtype != y.array.dtype:
        filler = graph.cast(filler, y.array.dtype)
    return graph.node("Where", graph.name(mask), filler, graph.name(x))


@operator("_clamp")
def clamp(graph: Graph, y: Value, x: Value, low: Any, high: Any) -> str:
    found = graph.name(x)
    for name, limit in (("Max", low), ("Min", high)):
        if isinstance(limit, Value) or math.isfinite(limit):
            found = graph.node(name, found, operand(graph, limit, y))
    return found


@operator("clamp_min")
def _clamp_min(graph: Graph, y: Value, x: Value, low: Any) -> str:
    return graph.node("Max", graph.name(x), operand(graph, low, y))


@operator("clamp_max")
def _clamp_max(graph: Graph, y: Value, x: Value, high: Any) -> str:
    return graph.node("Min", graph.name(x), operand(graph, high, y))


# -- types and copies


@operator("cast")
def _cast(graph: Graph, y: Value, x: Value, dtype: Any) -> str:
    same = x.array.dtype == y.array.dtype
    return graph.name(x) if same else graph.cast(graph.name(x), y.array.dtype)


@operator("clone", "contiguous")
def _clone(graph: Graph, y: Value, x: Value) -> str:
    return graph.name(x)


@operator("copy")
def _copy(graph: Graph, y: Value, x: Value, source: Value) -> str:
    found = _cast(graph, y, source, None)
    if source.array.shape == y.array.shape:
        return found
    return graph.node("Expand", found, graph.integers(y.array.shape))


@operator("zeros_like", "ones_like", "zeros_of")
def _fixed(graph: Graph, y: Value, *args: Any) -> str:
    return graph.initializer(y.array, "constant")
