"""What takes many elements to few, or runs along a dimension."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...ops.reduce import axes_of
from ..graph import Graph
from ..trace import Value
from .registry import OPERATORS, axis_of, operator, refusal, scaled


def _reduced(name: str, axes_as_input: bool = False) -> Callable[..., str]:
    def emit(graph: Graph, y: Value, x: Value, dim: Any, keepdim: bool) -> str:
        _check_elements(graph, x)
        source = graph.name(x)
        if x.array.dtype != y.array.dtype:
            source = graph.cast(source, y.array.dtype)  # whole numbers are summed as int64
        return _over(graph, name, source, axes_of(dim, x.array.ndim), keepdim, axes_as_input)

    return emit


def _check_elements(graph: Graph, x: Value) -> None:
    """Runtimes disagree on what becomes of none."""
    if not x.array.size:
        raise refusal(graph, "of at least one element", f"shape {x.array.shape}")


def _over(
    graph: Graph, name: str, source: str, axes: Sequence[int], keepdim: bool, as_input: bool = False
) -> str:
    """A reduction over axes; over none of them it changes nothing."""
    if not axes:
        return source
    if as_input:
        return graph.node(name, source, graph.integers(axes), keepdims=int(keepdim))
    return graph.node(name, source, axes=list(axes), keepdims=int(keepdim))


OPERATORS["sum"] = _reduced("ReduceSum", axes_as_input=True)
OPERATORS["mean"] = _reduced("ReduceMean")
OPERATORS["amax"] = _reduced("ReduceMax")
OPERATORS["amin"] = _reduced("ReduceMin")
OPERATORS["prod"] = _reduced("ReduceProd")
OPERATORS["logsumexp"] = _reduced("ReduceLogSumExp")


@operator("any")
def _any(graph: Graph, y: Value, x: Value, dim: Any, keepdim: bool) -> str:
    return _truth(graph, "ReduceMax", y, x, dim, keepdim)


@operator("all")
def _all(graph: Graph, y: Value, x: Value, dim: Any, keepdim: bool) -> str:
    return _truth(graph, "ReduceMin", y, x, dim, keepdim)


def _truth(graph: Graph, name: str, y: Value, x: Value, dim: Any, keepdim: bool) -> str:
    _check_elements(graph, x)
    truth = graph.cast(graph.cast(graph.name(x), np.bool_), np.int32)
    nothing = dim is not None and not isinstance(dim, int) and not len(dim)
    axes = () if nothing else axes_of(dim, x.array.ndim)
    return graph.cast(_over(graph, name, truth, axes, keepdim), y.array.dtype)


@operator("argmax")
def _argmax(graph: Graph, y: Value, x: Value, dim: int | None, keepdim: bool) -> str:
    return _place(graph, "ArgMax", y, x, dim)


@operator("argmin")
def _argmin(graph: Graph, y: Value, x: Value, dim: int | None, keepdim: bool) -> str:
    return _place(graph, "ArgMin", y, x, dim)


def _place(graph: Graph, name: str, y: Value, x: Value, dim: int | None) -> str:
    source = graph.name(x)
    flat = dim is None or x.array.ndim == 0
    if flat:
        source = graph.reshape(source, [-1])
    axis = 0 if dim is None else axis_of(dim, x)
    found = graph.node(name, source, axis=axis, keepdims=0)
    return graph.reshape(found, y.array.shape)


@operator("vector_norm", "_vector_norm")
def _vector_norm(graph: Graph, y: Value, x: Value, ord: float, dim: Any, keepdim: bool) -> str:
    if ord not in (1, 2):
        raise refusal(graph, "of order 1 or 2", f"ord={ord}")
    size = graph.node("Abs", graph.name(x))
    return _over(graph, f"ReduceL{int(ord)}", size, axes_of(dim, x.array.ndim), keepdim)


@operator("_var")
def _var(graph: Graph, y: Value, x: Value, dim: Any, correction: float, keepdim: bool) -> str:
    axes = axes_of(dim, x.array.ndim)
    count = math.prod(x.array.shape[axis] for axis in axes)
    if count <= correction:
        raise refusal(graph, "of more elements than its correction", f"{count}")
    name = graph.name(x)
    away = graph.node("Sub", name, _over(graph, "ReduceMean", name, axes, True))
    total = _over(graph, "ReduceSum", graph.node("Mul", away, away), axes, keepdim, True)
    return scaled(graph, y, total, 1 / (count - correction))


@operator("_std")
def _std(graph: Graph, y: Value, *args: Any) -> str:
    return graph.node("Sqrt", _var(graph, y, *args))


@operator("softmax")
def _softmax(graph: Graph, y: Value, x: Value, dim: int) -> str:
    return _along_dim(graph, "Softmax", y, x, dim)


@operator("log_softmax")
def _log_softmax(graph: Graph, y: Value, x: Value, dim: int) -> str:
    return _along_dim(graph, "LogSoftmax", y, x, dim)


def _along_dim(graph: Graph, name: str, y: Value, x: Value, dim: int) -> str:
    if x.array.ndim == 0:
        return graph.reshape(graph.node(name, graph.reshape(graph.name(x), [1]), axis=0), [])
    return graph.node(name, graph.name(x), axis=axis_of(dim, x))


@operator("cumsum")
def _cumsum(graph: Graph, y: Value, x: Value, dim: int) -> str:
    source = graph.name(x)
    if x.array.dtype != y.array.dtype:
        source = graph.cast(source, y.array.dtype)
    if x.array.ndim == 0:
        return source
    return graph.node("CumSum", source, graph.number(axis_of(dim, x), np.int64))
