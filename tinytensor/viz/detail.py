"""How much of a graph is drawn: each operation, or a cell, a time step, a layer, a module as one.

`at_detail` makes one node of all operations of such a stretch. Edges that come to lie between the
same two nodes, with the same names, become one: a step reads one h, wherever that goes inside. Only
the uses of a parameter or an input are counted. Parameters, inputs and outputs stay, and so do the
frames around, in which time steps fold as before.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from operator import attrgetter
from typing import NamedTuple

from .gates import Cell, find_cells
from .structure import Cluster, Diagram, Edge, Graph, Node, Value

DETAILS = ("op", "cell", "step", "layer", "module")

# What a layer puts its outputs of all time steps together by.
_JOINED = ("stack", "cat")

_STATES = ("h", "c")

_DIGITS = re.compile(r"\d+")


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
    chosen = _chosen_clusters(graph, cells, detail)
    stretches = _stretches(graph, cells, chosen)
    return _Contraction(graph, cells, stretches, chosen).contracted()


class _Stretch(NamedTuple):
    """What becomes one node: the cluster that it lies in, its name, the nodes."""

    home: int | None
    name: str
    nodes: list[int]
    diagram: Diagram | None = None


# -- which stretches


def _stretches(graph: Graph, cells: list[Cell], chosen: list[int | None]) -> list[_Stretch]:
    """What becomes one node; no operation is in two of them."""
    members: dict[int, list[int]] = {}
    for node in graph.nodes:
        if node.cluster is not None and node.kind in ("operation", "saved"):
            around = chosen[node.cluster]
            if around is not None:
                members.setdefault(around, []).append(node.number)
    found = [_whole(graph, cluster, nodes) for cluster, nodes in members.items()]
    for cell in cells:
        if cell.home is None or chosen[cell.home] is None:
            found.append(_Stretch(cell.home, cell.name, cell.nodes, cell.diagram))
    return [stretch for stretch in found if len(stretch.nodes) > 1]


def _whole(graph: Graph, number: int, nodes: list[int]) -> _Stretch:
    """A stretch of all that is in one cluster. Time steps that do the same have one name."""
    cluster = graph.clusters[number]
    module = next((c.module_class for c in graph.enclosing(number) if c.kind == "module"), "")
    name = f"{module} {cluster.kind}".strip()
    if cluster.kind == "module":
        name = module
    elif cluster.kind == "direction":
        name = f"{module} layer".strip()
    elif cluster.kind == "scope":
        name = _DIGITS.sub("…", cluster.name)
    if cluster.phase == "backward":
        name += ", backward pass"
    return _Stretch(number, name, nodes)


def _chosen_clusters(graph: Graph, cells: list[Cell], detail: str) -> list[int | None]:
    """For each cluster the one around it, or itself, that becomes one node."""
    choice = _Choice(graph, cells, detail)
    found: list[int | None] = []
    for cluster in graph.clusters:
        around = None if cluster.parent is None else found[cluster.parent]
        if around is None and choice.takes(cluster):
            around = cluster.number
        found.append(around)
    return found


class _Choice:
    """Which clusters become one node at a level of detail."""

    def __init__(self, graph: Graph, cells: list[Cell], detail: str) -> None:
        self.detail = detail
        self.clusters = graph.clusters
        self.known = {around.number for cell in cells for around in graph.enclosing(cell.home)}
        for node in graph.nodes:
            if node.kernel:
                self.known.update(around.number for around in graph.enclosing(node.cluster))
        self.recurrent = _recurrent_modules(graph) if detail == "cell" else set()
        self.in_time = [False] * len(graph.clusters)  # has time steps, layers or directions inside
        self.in_modules = [False] * len(graph.clusters)  # has modules inside, outside of those
        for cluster in reversed(graph.clusters):
            parent = cluster.parent
            if parent is None:
                continue
            in_time = cluster.kind in ("step", "layer", "direction") or _is_numbered(cluster)
            self.in_time[parent] |= in_time or self.in_time[cluster.number]
            if not in_time:
                inner = cluster.kind == "module" or self.in_modules[cluster.number]
                self.in_modules[parent] |= inner

    def takes(self, cluster: Cluster) -> bool:
        if self.detail == "module":
            return cluster.kind == "module" and not self.in_modules[cluster.number]
        if self.detail == "layer" and cluster.kind == "direction":
            return True
        if self.detail == "cell":
            return self._is_cell(cluster)
        again = _is_numbered(cluster) or (cluster.kind == "module" and cluster.call is not None)
        return cluster.kind == "step" or (again and not self.in_time[cluster.number])

    def _is_cell(self, cluster: Cluster) -> bool:
        """Whether it is a step of a cell that was not recognised by its gates."""
        if cluster.number in self.known:
            return False
        if cluster.kind == "step":
            return True
        return cluster.number in self.recurrent and not self.in_time[cluster.number]


def _is_numbered(cluster: Cluster) -> bool:
    """Whether it is a scope of the user's that has a number, such as that of a time step."""
    return cluster.kind == "scope" and _DIGITS.search(cluster.name) is not None


def _recurrent_modules(graph: Graph) -> set[int]:
    """The clusters of calls of a module that are computed from another call of it."""
    call_of: list[int | None] = []  # for each cluster the innermost such call around it
    for cluster in graph.clusters:
        if cluster.kind == "module" and cluster.call is not None:
            call_of.append(cluster.number)
        else:
            call_of.append(None if cluster.parent is None else call_of[cluster.parent])
    found: set[int] = set()
    for edge in graph.edges:
        source, target = graph.nodes[edge.source].cluster, graph.nodes[edge.target].cluster
        if source == target or source is None or target is None:
            continue
        a, b = call_of[source], call_of[target]
        if a is not None and b is not None and a != b:
            if graph.clusters[a].module == graph.clusters[b].module:
                found.update((a, b))
    return found


# -- one node for each


class _Contraction:
    """Makes the smaller graph. A stretch stands where the first of its nodes stood."""

    def __init__(
        self,
        graph: Graph,
        cells: list[Cell],
        stretches: list[_Stretch],
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
        inside = (self.graph.nodes[number] for number in stretch.nodes)
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
        )

    def _all_outputs(
        self, stretch: _Stretch, used: dict[str, tuple[Value, Node]]
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
            if a == b or (a >= 0 and self.graph.nodes[edge.target].kind == "saved"):
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
