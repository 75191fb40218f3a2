"""Matrix products and convolution."""

from __future__ import annotations

from typing import Any

from ..graph import Graph
from ..trace import Value
from .registry import operator


@operator("matmul")
def _matmul(graph: Graph, y: Value, a: Value, b: Value) -> str:
    return graph.node("MatMul", graph.name(a), graph.name(b))


@operator("linear")
def _linear(graph: Graph, y: Value, x: Value, weight: Value, bias: Any) -> str:
    last = [graph.name(bias)] if isinstance(bias, Value) else []
    if x.array.ndim == 2:
        return graph.node("Gemm", graph.name(x), graph.name(weight), *last, transB=1)
    turned = graph.node("Transpose", graph.name(weight), perm=[1, 0])
    product = graph.node("MatMul", graph.name(x), turned)
    return graph.node("Add", product, *last) if last else product


@operator("_conv")
def _conv(graph: Graph, y: Value, x: Value, weight: Value, geometry: Any) -> str:
    return graph.node(
        "Conv",
        graph.name(x),
        graph.name(weight),
        kernel_shape=[geometry.taps],
        strides=[geometry.stride],
        pads=[geometry.before, geometry.after],
        dilations=[geometry.dilation],
        group=geometry.groups,
    )
