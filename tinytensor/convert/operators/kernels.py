"""Kernels that ONNX has an operator for. Every other kernel is written out as its reference.

A function takes the graph, the value of the one output, the kernel's inputs with a Value in the
place of each array, and its other arguments by name.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..graph import Graph
from ..trace import Value


def _layer_norm(
    graph: Graph,
    y: Value,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    dims: int,
    eps: float,
) -> str:
    if weight is None:
        ones = np.ones(x.array.shape[x.array.ndim - dims :], x.array.dtype)
        scale = graph.initializer(ones, "constant")
    else:
        scale = graph.name(weight)
    shift = [] if bias is None else [graph.name(bias)]
    inputs = (graph.name(x), scale, *shift)
    return graph.node("LayerNormalization", *inputs, axis=-dims, epsilon=eps)


KERNELS: dict[str, Callable[..., str]] = {"layer_norm": _layer_norm}
