"""What a drawing shows, as plain data: nodes, edges and nested clusters.

It knows neither the engine that it is taken from (`extract`) nor the language that it is written in
(`dot`). A change of what is shown, such as folding, is a function from one `Graph` to another, and
leaves the one that it was given as it is.

A graph of ten thousand time steps has a million parts, so these classes are those that Python makes
fastest: none is frozen, yet nobody changes one. `dataclasses.replace` gives a changed copy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Kind = Literal["output", "operation", "parameter", "input", "saved"]
Phase = Literal["forward", "backward"]

# "gradient": the gradient flows along it. "kept": the operation keeps that value for its gradient.
# "cut": a value was detached there, so that no gradient flows. "caused": from an operation to one
# that the backward pass recorded at its visit.
EdgeKind = Literal["gradient", "kept", "cut", "caused"]

# In the difference of two graphs: what both have, what only the first, only the second has.
Mark = Literal["", "-", "+"]


class Value(NamedTuple):
    """A tensor or array: its name ("" where the node's own name says it), shape and dtype."""

    name: str
    shape: tuple[int, ...]
    dtype: str


class Diagram(NamedTuple):
    """The step of a recurrent cell as a box with fields: the names of its inputs, gates, outputs.

    Edges end at the field that has their operand's or output's name.
    """

    inputs: tuple[str, ...]
    gates: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(slots=True)
class Node:
    """A box of the drawing.

    number : its place in the drawing, from 0: outputs first, then as the backward pass visits them
    name : of the operation, the parameter ("lstm.weight_ih_l0"), the input, output or saved value
    values : what it gives; several for an operation with several outputs, none if they were freed
    cluster : number of the innermost cluster that it lies in; None outside of all
    phase : "backward" for an operation that a backward pass with `create_graph=True` recorded
    kernel : whether it is a whole computation written by hand, such as an LSTM over a sequence
    note : a remark to be shown, such as "no gradient"
    count : how many nodes of the whole graph it stands for
    lines : what else to write under its name: a value, a gradient, a norm, a formula
    heat : from 0 to 1, its place on the scale of colours; None for none
    parts : the operations that are drawn as this one, each name with its number; see `detail`
    diagram : what is inside it if it is the step of a recurrent cell
    mark : in the difference of two graphs, which of them has it
    constants : the numbers and options that it is known to have beside its inputs; not drawn
    places : whole numbers in an index, which may go on from one time step to the next; not drawn
    """

    number: int
    kind: Kind
    name: str
    values: tuple[Value, ...]
    cluster: int | None = None
    phase: Phase = "forward"
    kernel: bool = False
    note: str = ""
    count: int = 1
    lines: tuple[str, ...] = ()
    heat: float | None = None
    parts: tuple[tuple[str, int], ...] = ()
    diagram: Diagram | None = None
    mark: Mark = ""
    constants: tuple[Any, ...] = field(default=(), compare=False)
    places: tuple[int, ...] = field(default=(), compare=False)

    @property
    def id(self) -> str:
        return f"n{self.number}"


@dataclass(slots=True)
class Edge:
    """The way of a gradient from an operation to what it was computed from, or to a kept value.

    source, target : numbers of nodes
    operand : the source's name for this input
    output : name of the target's output that is meant; "" if it has only one
    count : how many edges of the whole graph it stands for
    label : what is carried from one time step of a folded block to the next: "h", "c"
    mark : in the difference of two graphs, which of them has it
    """

    source: int
    target: int
    kind: EdgeKind = "gradient"
    operand: str = ""
    output: str = ""
    count: int = 1
    label: str = ""
    mark: Mark = ""


@dataclass(slots=True)
class Cluster:
    """A stretch of the computation: one call of a module, a layer, a direction, a time step.

    kind : "module", "layer", "direction", "step", "scope", or "block" for folded time steps
    name : of the module within the enclosing one, the layer's number, "reverse", the time ...
    module_class : the class of a module: "LSTM"
    path : the module's full name
    call : which call of the module it is, from 1; None where no other call stands beside it
    phase : "backward" for what a backward pass with `create_graph=True` recorded in that stretch
    parent : number of the enclosing cluster, always lower than its own; None if there is none
    count : how many time steps a block stands for
    module : tells modules apart that have the same path, as those of a script do
    """

    number: int
    kind: str
    name: str
    module_class: str = ""
    path: str = ""
    call: int | None = None
    phase: Phase = "forward"
    parent: int | None = None
    count: int = 1
    module: int | None = None

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
        if self.count > 1:
            text += f" ×{self.count:,}"
        return text


@dataclass(slots=True)
class Graph:
    """A drawing before it is written down. A node or cluster stands at the place of its number.

    full : the graph that this one was folded from; None where nothing is folded
    members : for each node the numbers of those in `full` that it stands for; () without `full`
    scale : what the colours for `heat` mean: "norm of the gradient, 1e-6 … 0.2"
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    clusters: tuple[Cluster, ...]
    full: Graph | None = field(default=None, repr=False)
    members: tuple[tuple[int, ...], ...] = field(default=(), repr=False)
    scale: str = ""

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
