"""`difference`: two graphs of one model in one drawing, with what only one of them has coloured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .align import aligned, what_clusters_are
from .drawing import Drawing, drawn
from .fold import Collapse, fold
from .limit import check_size
from .structure import Cluster, Edge, Graph, Mark, Node


def difference(
    a: Drawing | Graph,
    b: Drawing | Graph,
    *,
    names: tuple[str, str] = ("the first", "the second"),
    collapse: Collapse = "auto",
    max_nodes: int = 2000,
    **options: Any,
) -> Drawing:
    """What two graphs of one model do not have in common: with and without detach, dropout ...

    a, b : drawings by `graph`, or `Graph`s, of the same detail
    names : what to call them, in the legend: ("with dropout", "without")
    collapse, max_nodes : as for `graph`; steps fold where both graphs have the same in all of them
    options : show_shapes, direction, title, parameters; those of `a` if it is a drawing
    Nodes and edges that only `a` has are marked "−" and orange, those that only `b` has "+" and
    blue. A node that both have is one whose place in the model, operation, and either what it is
    computed from or what is computed from it is the same; see `align`. Where its shapes differ
    both are written on it.
    Returns a `Drawing`; nothing is marked in it if the graphs are the same. `tally` counts.

    >>> import tinytensor as tt
    >>> x = tt.tensor([1.0, 2.0], requires_grad=True)
    >>> plain, squared = tt.viz.graph((x * 2).sum()), tt.viz.graph((x * 2).square().sum())
    >>> print(tally(difference(plain, squared).graph))
    only the first: 1 edge; only the second: 1 node, 2 edges
    """
    kept = dict(a.options) if isinstance(a, Drawing) else {}
    merged = merged_graphs(_whole(a), _whole(b), names[1])
    text = tally(merged, names)
    shown = fold(merged, collapse)
    check_size(len(shown.nodes), max_nodes, folded=collapse != "off")
    chosen = {"show_shapes": True, "direction": "TB", "view": "backward"} | kept | options
    title = chosen.get("title")
    chosen["title"] = text if title is None else f"{title}: {text}"
    return drawn(shown, {**chosen, "names": names})


def _whole(given: Drawing | Graph) -> Graph:
    graph = given.graph if isinstance(given, Drawing) else given
    if not isinstance(graph, Graph):
        raise TypeError(
            f"difference: expected two drawings by viz.graph, got {type(given).__name__}"
        )
    return graph if graph.full is None else graph.full


def tally(graph: Graph, names: tuple[str, str] = ("the first", "the second")) -> str:
    """How much is marked in a difference, in words."""
    counts = []
    for mark, name in zip(("-", "+"), names, strict=True):
        nodes = sum(node.count for node in graph.nodes if node.mark == mark)
        edges = sum(edge.count for edge in graph.edges if edge.mark == mark)
        found = [_number(nodes, "node"), _number(edges, "edge")]
        if nodes or edges:
            counts.append(f"only {name}: {', '.join(filter(None, found))}")
    return "; ".join(counts) or "no difference"


def _number(count: int, thing: str) -> str:
    return f"{count:,} {thing}" + ("" if count == 1 else "s") if count else ""


def merged_graphs(a: Graph, b: Graph, name: str = "the second") -> Graph:
    """One graph of all that is in either, marked. Nodes of `b` stand before those they lead to.

    name : what `b` is called on nodes whose shapes differ
    """
    return _Merger(a, b, name).merged()


class _Merger:
    def __init__(self, a: Graph, b: Graph, name: str) -> None:
        self.a = a
        self.b = b
        self.name = name
        self.partner = aligned(a, b)
        self.nodes: list[Node] = []
        self.numbers_a = [-1] * len(a.nodes)
        self.numbers_b = [-1] * len(b.nodes)
        self.clusters: list[Cluster] = []
        self.known: dict[tuple[object, ...], int] = {}

    def merged(self) -> Graph:
        clusters_a = self._clusters(self.a)
        clusters_b = self._clusters(self.b)
        of_b = {other: number for number, other in enumerate(self.partner) if other is not None}
        next_b = 0
        for node in self.a.nodes:
            other = self.partner[node.number]
            while other is not None and next_b < other:
                self._add_of_b(next_b, of_b, clusters_b)
                next_b += 1
            if other is None:
                self.numbers_a[node.number] = self._add(node, "-", clusters_a)
            else:
                self._add_common(node, other, clusters_a)
        for rest in range(next_b, len(self.b.nodes)):
            self._add_of_b(rest, of_b, clusters_b)
        return replace(
            self.a,
            nodes=tuple(self.nodes),
            edges=tuple(self._edges()),
            clusters=tuple(self.clusters),
            full=None,
            members=(),
        )

    def _clusters(self, graph: Graph) -> list[int]:
        """For each cluster of a graph its number in the drawing of both."""
        found: list[int] = []
        for cluster, what in zip(graph.clusters, what_clusters_are(graph), strict=True):
            parent = None if cluster.parent is None else found[cluster.parent]
            key = (parent, *what)
            if key not in self.known:
                self.known[key] = len(self.clusters)
                self.clusters.append(replace(cluster, number=len(self.clusters), parent=parent))
            found.append(self.known[key])
        return found

    def _add(self, node: Node, mark: Mark, clusters: list[int], **changed: Any) -> int:
        number = len(self.nodes)
        cluster = None if node.cluster is None else clusters[node.cluster]
        self.nodes.append(replace(node, number=number, cluster=cluster, mark=mark, **changed))
        return number

    def _add_of_b(self, number: int, common: Mapping[int, int], clusters: list[int]) -> None:
        if number not in common:
            self.numbers_b[number] = self._add(self.b.nodes[number], "+", clusters)

    def _add_common(self, node: Node, other: int, clusters: list[int]) -> None:
        twin = self.b.nodes[other]
        lines = node.lines
        if [value.shape for value in node.values] != [value.shape for value in twin.values]:
            shapes = ", ".join(str(value.shape) for value in twin.values)
            lines = (*lines, f"{self.name}: {shapes}")
        number = self._add(node, "", clusters, lines=lines)
        self.numbers_a[node.number] = self.numbers_b[other] = number

    def _edges(self) -> list[Edge]:
        """Those of both, those of one, by source."""
        found: dict[tuple[object, ...], list[Edge]] = {}
        for edge in self.a.edges:
            moved = _moved(edge, self.numbers_a, "-")
            found.setdefault(_key(moved), []).append(moved)
        marked = [edge for edges in found.values() for edge in edges]
        for edge in self.b.edges:
            moved = _moved(edge, self.numbers_b, "+")
            alike = found.get(_key(moved))
            if alike:
                alike.pop().mark = ""
            else:
                marked.append(moved)
        return sorted(marked, key=lambda edge: edge.source)


def _moved(edge: Edge, numbers: list[int], mark: Mark) -> Edge:
    return replace(edge, source=numbers[edge.source], target=numbers[edge.target], mark=mark)


def _key(edge: Edge) -> tuple[object, ...]:
    return (edge.source, edge.target, edge.kind, edge.operand, edge.output, edge.label)
