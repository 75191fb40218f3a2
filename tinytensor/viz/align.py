"""Which node of one graph is which of another: the alignment that `difference` draws.

Two nodes correspond if they stand in the same place of the model, do the same, and

    1. all that is computed from them, up to the outputs, is the same, and all that they are
       computed from, too; or
    2. all that they are computed from; or
    3. all that is computed from them; or
    4. the order of what is left in that place says so (the longest common run, see `difflib`).

After one change somewhere every other node is caught by 1, 2 or 3: what the change is computed from
still has the same below it, what is computed from the change the same above, the rest both.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import replace
from difflib import SequenceMatcher

from .structure import Edge, Graph

# Beyond this many pairs an alignment by order would take too long: then the n-th of each kind are
# taken for each other.
_PAIRS = 4_000_000


def aligned(a: Graph, b: Graph) -> list[int | None]:
    """For each node of `a` the one of `b` that corresponds to it."""
    codes: dict[Hashable, int] = {}
    ends = tuple(_Described(graph, codes) for graph in (a, b))
    first, second = ends
    partner: list[int | None] = [None] * len(a.nodes)
    taken = [False] * len(b.nodes)
    for keys in (
        [list(zip(each.below, each.above, strict=True)) for each in ends],
        [each.below for each in ends],
        [each.above for each in ends],
    ):
        waiting: dict[Hashable, list[int]] = {}
        for number in reversed(range(len(b.nodes))):
            if not taken[number]:
                waiting.setdefault(keys[1][number], []).append(number)
        for number in range(len(a.nodes)):
            found = waiting.get(keys[0][number])
            if partner[number] is None and found:
                other = found.pop()
                partner[number] = other
                taken[other] = True
    rest_a = _in_places((n for n, other in enumerate(partner) if other is None), first.places)
    rest_b = _in_places((n for n, used in enumerate(taken) if not used), second.places)
    for place, numbers in rest_a.items():
        for number, other in _by_order(numbers, rest_b.get(place, []), first.own, second.own):
            partner[number] = other
    return partner


def what_clusters_are(graph: Graph) -> list[tuple[object, ...]]:
    """For each cluster what it has in common with its like in another graph, beside its parent.

    Of modules that share class and name, as those of a script do, the n-th is the n-th. The calls
    of a module are counted from the last: what a detach takes out of a graph are the first ones.
    """
    alike: dict[tuple[str, str], dict[int | None, int]] = {}
    last: dict[tuple[object, ...], int] = {}
    found: list[tuple[object, ...]] = []
    for cluster in graph.clusters:
        modules = alike.setdefault((cluster.module_class, cluster.path), {})
        nth = modules.setdefault(cluster.module, len(modules))
        label = replace(cluster, call=None).label
        found.append((cluster.kind, label, cluster.path, nth, cluster.phase))
        calls = (cluster.parent, *found[-1])
        last[calls] = max(last.get(calls, 1), cluster.call or 1)
    return [
        (*what, (cluster.call or 1) - last[cluster.parent, *what])
        for cluster, what in zip(graph.clusters, found, strict=True)
    ]


class _Described:
    """What tells the nodes of one graph apart, as numbers that mean the same for both graphs.

    places : the place in the model; own : that, and what the node does
    below : own, and the same of all that it is computed from; above : of what is computed from it
    """

    def __init__(self, graph: Graph, codes: dict[Hashable, int]) -> None:
        self.codes = codes
        clusters: list[int] = []
        for cluster, what in zip(graph.clusters, what_clusters_are(graph), strict=True):
            around = -1 if cluster.parent is None else clusters[cluster.parent]
            clusters.append(self._code(("cluster", what, around)))
        self.places = [
            -1 if node.cluster is None else clusters[node.cluster] for node in graph.nodes
        ]
        self.own = [
            self._code((node.kind, node.name, node.phase, place))
            for node, place in zip(graph.nodes, self.places, strict=True)
        ]
        # A leaf is drawn where those are that use it. It is itself wherever that is.
        for node in graph.nodes:
            if node.kind in ("parameter", "input", "output"):
                self.own[node.number] = self._code((node.kind, node.name))
                self.places[node.number] = -2
        self.below = self._gathered(graph.edges, len(graph.nodes), up=False)
        self.above = self._gathered(graph.edges, len(graph.nodes), up=True)

    def _code(self, thing: Hashable) -> int:
        return self.codes.setdefault(thing, len(self.codes))

    def _gathered(self, edges: Iterable[Edge], count: int, up: bool) -> list[int]:
        """For each node a number for itself and all beyond it, up or down."""
        beyond: list[list[tuple[str, str, str, int]]] = [[] for _ in range(count)]
        waiting = [0] * count  # how many neighbours are not done yet
        after: list[list[tuple[str, str, str, int]]] = [[] for _ in range(count)]
        for edge in edges:
            here, there = (edge.target, edge.source) if up else (edge.source, edge.target)
            waiting[here] += 1
            after[there].append((edge.kind, edge.operand, edge.output, here))
        found = list(self.own)
        ready = [number for number in range(count) if not waiting[number]]
        while ready:
            number = ready.pop()
            found[number] = self._code((self.own[number], tuple(sorted(beyond[number]))))
            for kind, operand, output, here in after[number]:
                beyond[here].append((kind, operand, output, found[number]))
                waiting[here] -= 1
                if not waiting[here]:
                    ready.append(here)
        return found


def _in_places(numbers: Iterable[int], places: list[int]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for number in numbers:
        found.setdefault(places[number], []).append(number)
    return found


def _by_order(
    a: list[int], b: list[int], own_a: list[int], own_b: list[int]
) -> list[tuple[int, int]]:
    """Pairs of nodes that do the same, in the order of both lists if they are not too long."""
    if len(a) * len(b) > _PAIRS:
        waiting: dict[int, list[int]] = {}
        for number in reversed(b):
            waiting.setdefault(own_b[number], []).append(number)
        return [(n, waiting[own_a[n]].pop()) for n in a if waiting.get(own_a[n])]
    matcher = SequenceMatcher(
        None, [own_a[number] for number in a], [own_b[number] for number in b], autojunk=False
    )
    return [
        (a[i + k], b[j + k]) for i, j, size in matcher.get_matching_blocks() for k in range(size)
    ]
