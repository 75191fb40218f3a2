"""What a drawing shows, as plain data: nodes, edges and nested clusters.

It knows neither the engine that it is taken from (`extract`) nor the language that it is written in
(`dot`). A change of what is shown, such as folding, is a function from one `Graph` to another.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["output", "operation", "parameter", "input", "saved"]
Phase = Literal["forward", "backward"]

# "gradient": the gradient flows along it. "kept": the operation keeps that value for its gradient.
EdgeKind = Literal["gradient", "kept"]


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor or array: its name ("" where the node's own name says it), shape and dtype."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True, slots=True)
class Node:
    """A box of the drawing.

    number : its place in the drawing, from 0: outputs first, then as the backward pass visits them
    name : of the operation, the parameter ("lstm.weight_ih_l0"), the input, output or saved value
    values : what it gives; several for an operation with several outputs, none if they were freed
    cluster : number of the innermost cluster that it lies in; None outside of all
    phase : "backward" for an operation that a backward pass with `create_graph=True` recorded
    kernel : whether it is a whole computation written by hand, such as an LSTM over a sequence
    note : a remark to be shown, such as "no gradient"
    """

    number: int
    kind: Kind
    name: str
    values: tuple[Value, ...]
    cluster: int | None = None
    phase: Phase = "forward"
    kernel: bool = False
    note: str = ""

    @property
    def id(self) -> str:
        return f"n{self.number}"


@dataclass(frozen=True, slots=True)
class Edge:
    """The way of a gradient from an operation to what it was computed from, or to a kept value.

    source, target : numbers of nodes
    operand : the source's name for this input
    output : name of the target's output that is meant; "" if it has only one
    """

    source: int
    target: int
    kind: EdgeKind = "gradient"
    operand: str = ""
    output: str = ""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A stretch of the computation: one call of a module, a layer, a direction, a time step.

    kind : "module", "layer", "direction", "step" or "scope"
    name : of the module within the enclosing one, the layer's number, "reverse", the time ...
    module_class : the class of a module: "LSTM"
    path : the module's full name
    call : which call of the module it is, from 1; None where no other call stands beside it
    phase : "backward" for what a backward pass with `create_graph=True` recorded in that stretch
    parent : number of the enclosing cluster, always lower than its own; None if there is none
    """

    number: int
    kind: str
    name: str
    module_class: str = ""
    path: str = ""
    call: int | None = None
    phase: Phase = "forward"
    parent: int | None = None

    @property
    def label(self) -> str:
        text = self.name
        if self.kind == "module":
            text = f"{self.name} ({self.module_class})" if self.name else self.module_class
        elif self.kind == "layer":
            text = f"layer {self.name}"
        elif self.kind == "step":
            text = f"t = {self.name}"
        if self.call is not None:
            text += f", call {self.call}"
        return text


@dataclass(frozen=True, slots=True)
class Graph:
    """A drawing before it is written down. A node or cluster stands at the place of its number."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    clusters: tuple[Cluster, ...]

    def enclosing(self, cluster: int | None) -> Iterator[Cluster]:
        """The cluster and those around it, from the inside."""
        while cluster is not None:
            found = self.clusters[cluster]
            yield found
            cluster = found.parent

    def place(self, node: Node) -> str:
        """Where in the model a node lies: "lstm (LSTM) / layer 0 / t = 3"."""
        labels = [cluster.label for cluster in self.enclosing(node.cluster)]
        return " / ".join(reversed(labels))
