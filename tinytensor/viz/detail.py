"""How much of a graph is drawn: each operation, or a cell, a time step, a layer, a module as one.

`at_detail` makes one node of all operations of such a stretch. Edges that come to lie between the
same two nodes, with the same names, become one: a step reads one h, wherever that goes inside. Only
the uses of a parameter or an input are counted. Parameters, inputs and outputs stay, and so do the
frames around, in which time steps fold as before.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from operator import attrgetter

from .gates import Cell, find_cells
from .stretches import Stretch, stretches_at
from .structure import Cluster, Edge, Graph, Node, Value

DETAILS = ("op", "cell", "step", "layer", "module")

# What a layer puts its outputs of all time steps together by.
_JOINED = ("stack", "cat")

_STATES = ("h", "c")


def at_detail(graph: Graph, detail: str = "op") -> Graph:
    """The graph with each stretch of the given size as one node.

    detail : "op": every operation. "cell": a step of an LSTM, GRU or RNN cell as a diagram of its
        gates (see `gates`), that of any other recurrent cell as one node. "step": all of a time
        step in one direction, or one call of a module that is called again and again. "layer": one
        direction of a layer. "module": one call of a module that has no others inside it, apart
        from those of its time steps. Each draws no more than the one before, but "module", which
        goes by modules alone
    A stretch of one operation, such as a kernel, is drawn as it is. What operations keep
    (`show_saved`) is drawn for those that are drawn themselves.
    Raises ValueError for any other detail.
    """
    if detail not in DETAILS:
        raise ValueError(
            f"graph: expected detail to be one of {', '.join(DETAILS)}, got {detail!r}"
        )
    if detail == "op":
        return graph
    cells = find_cells(graph)
    return _Contraction(graph, cells, *stretches_at(graph, cells, detail)).contracted()


class _Contraction:
    """Makes the smaller graph. A stretch stands where the first of its nodes stood."""

    def __init__(
        self,
        graph: Graph,
        cells: list[Cell],
        stretches: list[Stretch],
        chosen: list[int | None],
    ) -> None:
        self.graph = graph
        self.chosen = chosen
        self.stretches = stretches
        self.stretch_of = [-1] * len(graph.nodes)
        for number, stretch in enumerate(stretches):
            for node in stretch.nodes:
                self.stretch_of[node] = number
        self.called: dict[int, str] = {}  # what cells call some of their nodes, where others read
        self.reads: dict[int, str] = {}  # and what some of their nodes read
        for cell in cells:
            self.called.update(cell.outputs)
            self.reads.update(cell.inputs)
        # For each stretch its outputs by their names, with the nodes that give them.
        self.outputs: list[dict[str, tuple[Value, Node]]] = [{} for _ in stretches]

    def contracted(self) -> Graph:
        for edge in self.graph.edges:
            number = self.stretch_of[edge.target]
            if number >= 0 and number != self.stretch_of[edge.source] and edge.kind != "caused":
                self._note_output(number, edge)
        numbers, nodes = self._nodes()
        edges = self._edges(numbers)
        clusters, nodes = _without_empty(self.graph.clusters, nodes)
        return replace(self.graph, nodes=tuple(nodes), edges=edges, clusters=clusters)

    # -- what leaves a stretch

    def _name(self, edge: Edge) -> str:
        """What the target of an edge into a stretch is called as an output of it."""
        own = self.called.get(edge.target)
        if own is not None:
            return own
        node = self.graph.nodes[edge.target]
        if node.phase == "backward":
            return "gradient"
        if edge.output and not edge.output.startswith("["):
            return edge.output
        return "output" if node.name in _JOINED else f"{node.name}{edge.output}"

    def _note_output(self, number: int, edge: Edge) -> None:
        name = self._name(edge)
        if name in self.outputs[number]:
            return
        node = self.graph.nodes[edge.target]
        for value in node.values:
            if value.name == edge.output:
                self.outputs[number][name] = (value._replace(name=name), node)

    def _is_only_output(self, number: int) -> bool:
        """Whether a stretch has one output whose name tells nothing."""
        return len(self.outputs[number]) == 1 and not self.stretches[number].diagram

    # -- nodes

    def _nodes(self) -> tuple[list[int], list[Node]]:
        """For each node of the graph the number of the one that stands for it, and those."""
        numbers: list[int] = []
        nodes: list[Node] = []
        made: dict[int, int] = {}
        for node in self.graph.nodes:
            number = self.stretch_of[node.number]
            if number >= 0 and number in made:
                numbers.append(made[number])
                continue
            numbers.append(len(nodes))
            if number < 0:
                cluster = node.cluster
                if cluster is not None and self.chosen[cluster] is not None:
                    cluster = self.chosen[cluster]
                nodes.append(replace(node, number=len(nodes), cluster=cluster))
            else:
                made[number] = len(nodes)
                nodes.append(self._stretch_node(number, len(nodes), node))
        return numbers, nodes

    def _stretch_node(self, number: int, place: int, first: Node) -> Node:
        stretch = self.stretches[number]
        inside = [self.graph.nodes[number] for number in sorted(stretch.nodes)]
        operations = Counter(node.name for node in inside if node.kind == "operation")
        outputs = self.outputs[number]
        lines = []
        heats = []
        for name, (_, node) in outputs.items():
            lines += [f"{name}: {line}" if len(outputs) > 1 else line for line in node.lines]
            if node.heat is not None:
                heats.append(node.heat)
        if stretch.diagram is not None:
            outputs = self._all_outputs(stretch, outputs)
        values = [value for value, _ in sorted(outputs.values(), key=_states_first)]
        if first.phase == "backward":
            values = []  # gradients of many things
        elif self._is_only_output(number) and values[0].name not in _STATES:
            values = [values[0]._replace(name="")]
        return Node(
            place,
            "operation",
            stretch.name,
            tuple(values),
            stretch.home,
            first.phase,
            lines=tuple(lines),
            heat=max(heats, default=None),
            parts=tuple(sorted(operations.items())),
            diagram=stretch.diagram,
            constants=tuple(node.constants for node in inside),
            places=tuple(place for node in inside for place in node.places),
        )

    def _all_outputs(
        self, stretch: Stretch, used: dict[str, tuple[Value, Node]]
    ) -> dict[str, tuple[Value, Node]]:
        """The outputs of a cell in the order of its diagram, also those that nobody reads."""
        found = {}
        for number in stretch.nodes:
            node = self.graph.nodes[number]
            name = self.called.get(number, "")
            if name in _STATES:
                found[name] = (node.values[0]._replace(name=name), node)
        return {name: found[name] for name in _STATES if name in found} | used

    # -- edges

    def _edges(self, numbers: list[int]) -> tuple[Edge, ...]:
        merged: dict[tuple[object, ...], Edge] = {}
        for place, edge in enumerate(self.graph.edges):
            a, b = self.stretch_of[edge.source], self.stretch_of[edge.target]
            source, target = numbers[edge.source], numbers[edge.target]
            if a < 0 and b < 0:
                merged[place,] = replace(edge, source=source, target=target)
                continue
            if a == b:
                continue
            operand, output = edge.operand, edge.output
            if a >= 0 and self.graph.nodes[edge.target].kind != "parameter":
                operand = self.reads.get(edge.source, "") if edge.kind != "caused" else ""
            if b >= 0 and edge.kind != "caused":
                output = self._name(edge)
                if self._is_only_output(b) and output not in _STATES:
                    output = ""
            key = (source, target, edge.kind, operand, output, edge.label)
            found = merged.get(key)
            if found is None:
                merged[key] = Edge(
                    source, target, edge.kind, operand, output, edge.count, edge.label
                )
            elif self.graph.nodes[edge.target].kind in ("parameter", "input"):
                found.count += edge.count
        return tuple(sorted(merged.values(), key=attrgetter("source")))


def _states_first(output: tuple[Value, Node]) -> int:
    name = output[0].name
    return _STATES.index(name) if name in _STATES else len(_STATES)


def _without_empty(
    clusters: tuple[Cluster, ...], nodes: list[Node]
) -> tuple[tuple[Cluster, ...], list[Node]]:
    """The clusters that have nodes inside, numbered anew, and the nodes in them."""
    used = [False] * len(clusters)
    for node in nodes:
        if node.cluster is not None:
            used[node.cluster] = True
    for cluster in reversed(clusters):
        if cluster.parent is not None and used[cluster.number]:
            used[cluster.parent] = True
    numbers: list[int] = []
    kept: list[Cluster] = []
    for cluster in clusters:
        numbers.append(len(kept))
        if used[cluster.number]:
            parent = None if cluster.parent is None else numbers[cluster.parent]
            kept.append(replace(cluster, number=len(kept), parent=parent))
    moved = [
        node if node.cluster is None else replace(node, cluster=numbers[node.cluster])
        for node in nodes
    ]
    return tuple(kept), moved
