"""The recurrent kernels as ONNX's LSTM, GRU and RNN: one node for each layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .graph import Graph
from .onnx_weights import OnnxWeights, stacked
from .recurrent_calls import KINDS, Kind, read
from .scans import Scan
from .trace import Call, Value


def recurrent(graph: Graph, call: Call) -> list[str]:
    """The names of a call's output (T, N, D · H) and of its last states (L · D, N, H)."""
    kind = KINDS[call.op]
    x, states, _, scans = read(kind, call.args, len(call.args[1].array))
    directions = call.static["directions"]
    lengths = call.static.get("lengths")
    steps, batch, _ = x.array.shape
    size = states[0].array.shape[2]
    limits = empty = ""
    if lengths is not None:
        limits = graph.cast(graph.name(lengths), np.int32)
        none = graph.node("Equal", limits, graph.number(0, np.int32))
        empty = graph.reshape(none, [1, batch, 1])
    name = graph.name(x)
    lasts: list[list[str]] = [[] for _ in states]
    for first in range(0, len(scans), directions):
        initial = [_part(graph, state, first, directions) for state in states]
        weights = _weights(graph, scans[first : first + directions], first // directions)
        outputs = graph.several(
            kind.operator,
            [name, *weights, limits, *initial],
            1 + len(states),
            hidden_size=size,
            **_attributes(kind, directions),
        )
        name = _side_by_side(graph, outputs[0], steps, batch, directions, size)
        for collected, last, start in zip(lasts, outputs[1:], initial, strict=True):
            collected.append(_started(graph, last, start, empty))
    return [name, *(_one(graph, parts) for parts in lasts)]


def _one(graph: Graph, parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else graph.node("Concat", *parts, axis=0)


def _attributes(kind: Kind, directions: int) -> dict[str, Any]:
    both = {
        key: value * directions if isinstance(value, list) else value
        for key, value in kind.attributes.items()
    }
    return both if directions == 1 else {**both, "direction": "bidirectional"}


def _part(graph: Graph, state: Value, first: int, directions: int) -> str:
    """The initial state of a layer; no name for zeros, with which ONNX begins by itself."""
    if state.kind == "constant" and not state.array.any():
        return ""
    if len(state.array) == directions:
        return graph.name(state)
    return graph.slice(graph.name(state), [first], [first + directions], [0], [1])


def _weights(graph: Graph, scans: Sequence[tuple[Any, ...]], layer: int) -> list[str]:
    """W, R and B of a layer as initializers, named after its parameters: lstm.W_l0."""
    for value in (value for scan in scans for value in scan if value is not None):
        if value.from_input:
            raise ValueError(
                f"to_onnx: expected an {graph.current} of fixed weights, got some that depend on "
                "the inputs, which its ONNX operator can't have; use a cell in a loop"
            )
    w_ih = scans[0][0].name
    stem = w_ih.removesuffix(f"weight_ih_l{layer}") if w_ih else f"{graph.current}."
    made = stacked([_scan(*scan[:4]) for scan in scans])
    return [
        "" if array is None else graph.initializer(array, f"{stem}{letter}_l{layer}")
        for letter, array in zip(OnnxWeights._fields, made, strict=True)
    ]


def _side_by_side(
    graph: Graph, name: str, steps: int, batch: int, directions: int, size: int
) -> str:
    """(T, D, N, H) as (T, N, D · H)."""
    if directions > 1:
        name = graph.node("Transpose", name, perm=[0, 2, 1, 3])
    return graph.reshape(name, [steps, batch, directions * size])


def _started(graph: Graph, last: str, start: str, empty: str) -> str:
    """The last state; of a sequence of length 0 that is the first, where onnxruntime gives 0."""
    return graph.node("Where", empty, start, last) if empty and start else last


def _scan(w_ih: Value, w_hh: Value, b_ih: Value | None, b_hh: Value | None) -> Scan:
    return Scan(
        w_ih.array,
        w_hh.array,
        None if b_ih is None else b_ih.array,
        None if b_hh is None else b_hh.array,
    )
