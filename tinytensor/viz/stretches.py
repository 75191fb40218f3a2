"""Which parts of a graph become one node at a level of detail: whole clusters or steps of cells."""

from __future__ import annotations

import re
from typing import NamedTuple

from .gates import Cell
from .structure import Cluster, Diagram, Graph

_DIGITS = re.compile(r"\d+")


class Stretch(NamedTuple):
    """What becomes one node: the cluster that it lies in, its name, the nodes."""

    home: int | None
    name: str
    nodes: list[int]
    diagram: Diagram | None = None


def stretches_at(
    graph: Graph, cells: list[Cell], detail: str
) -> tuple[list[Stretch], list[int | None]]:
    """What becomes one node at a level of detail (see `detail.at_detail`); no node is in two.

    And for each cluster the one around it, or itself, all of which is in one stretch, or None.
    """
    chosen = _chosen_clusters(graph, cells, detail)
    members: dict[int, list[int]] = {}
    for node in graph.nodes:
        if node.cluster is not None and node.kind == "operation":
            around = chosen[node.cluster]
            if around is not None:
                members.setdefault(around, []).append(node.number)
    found = [_whole(graph, cluster, nodes) for cluster, nodes in members.items()]
    for cell in cells:
        if cell.home is None or chosen[cell.home] is None:
            found.append(Stretch(cell.home, cell.name, cell.nodes, cell.diagram))
    _add_saved(graph, found)
    kept = [stretch for stretch in found if _has_several_operations(graph, stretch)]
    whole = {stretch.home for stretch in kept if stretch.diagram is None}
    return kept, [cluster if cluster in whole else None for cluster in chosen]


def _add_saved(graph: Graph, stretches: list[Stretch]) -> None:
    """What an operation keeps goes with it."""
    boxes: dict[int, int] = {}
    for edge in graph.edges:
        if edge.kind == "kept" and graph.nodes[edge.target].kind == "saved":
            boxes[edge.source] = edge.target
    if boxes:
        for stretch in stretches:
            stretch.nodes.extend([boxes[node] for node in stretch.nodes if node in boxes])


def _has_several_operations(graph: Graph, stretch: Stretch) -> bool:
    operations = [n for n in stretch.nodes if graph.nodes[n].kind == "operation"]
    return len(operations) > 1


def _whole(graph: Graph, number: int, nodes: list[int]) -> Stretch:
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
    return Stretch(number, name, nodes)


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
