"""Fold time steps that do the same into one block ×N.

Of the steps of a loop the first and the last stay, and every one that differs from its neighbours
(see `repeats`; also by a constant, where the graph still knows it). Each run between them becomes
one step that stands for all: each of its nodes and edges for one in every step, and an edge from a
step to the one before it is a loop of the block, labelled with the state that it carries. Nothing
is lost: the graph that was folded stays beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from operator import attrgetter
from typing import Literal

from .indices import Indices, with_index
from .repeats import Loops, Run, find_loops
from .states import NO_STATE, names_of_states
from .structure import Cluster, Edge, Graph, Node

Collapse = Literal["auto", "off"] | int

# Three steps drawn out are read more easily than a block of them.
_AUTO = 4

# What differs from step to step is written for the first and the last one, if it is so short.
_LONGEST_LINE = 60
_MOST_LINES = 4


def fold(graph: Graph, collapse: Collapse = "auto") -> Graph:
    """The graph with runs of identical time steps folded, inner loops before outer ones.

    collapse : "auto" folds four steps or more, a number at least so many, "off" none
    Where many steps are left, windows of several that come back (a state detached every k steps)
    are folded instead, "k each".
    A graph in which nothing folds is returned as it is. `.full` of the result is the whole graph.
    """
    return Passes(graph, collapse).graph


def unfold(graph: Graph) -> Graph:
    """The whole graph that a folded one stands for."""
    return graph if graph.full is None else graph.full


def _least(collapse: Collapse) -> int | None:
    """The fewest steps to be folded; None for never."""
    if collapse == "off":
        return None
    if collapse == "auto":
        return _AUTO
    if isinstance(collapse, bool) or not isinstance(collapse, int) or collapse < 2:
        raise ValueError(
            'graph: expected collapse to be "auto", "off" or the number of identical time steps '
            f"from which on they are folded, at least 2, got {collapse!r}"
        )
    return collapse


class Passes:
    """How a graph is folded: the loops of one depth at a time, the innermost first.

    graph : what comes of it
    change : is given the number of a pass and what would fold in it, and says what does
    """

    def __init__(
        self,
        graph: Graph,
        collapse: Collapse = "auto",
        change: Callable[[int, Loops], Loops] = lambda _, loops: loops,
    ) -> None:
        self.graph = graph
        self.done: list[Folding] = []
        least = _least(collapse)
        depth = None
        while least is not None and (loops := find_loops(self.graph, least, depth)) is not None:
            depth = loops.depth
            if loops.runs:
                self.done.append(Folding(self.graph, change(len(self.done), loops)))
                self.graph = self.done[-1].folded()

    def cluster(self, number: int, level: int = 0) -> int:
        """What a cluster of the graph that was given to one of the passes is in the end."""
        for folding in self.done[level:]:
            number = folding.cluster_numbers[folding.cluster_shown[number]]
        return number


class _Merged:
    """Edges of the whole graph that become one."""

    __slots__ = ("count", "edge", "label", "operands", "outputs")

    def __init__(self, edge: Edge, label: str) -> None:
        self.edge = edge
        self.label = label
        self.count = 0
        self.operands = Indices()
        self.outputs = Indices()

    def add(self, edge: Edge) -> None:
        self.count += edge.count
        self.operands.add(edge.operand)
        self.outputs.add(edge.output)


class Folding:
    """Makes the folded graph. Of each run its newest step is the one that stands for all."""

    def __init__(self, graph: Graph, loops: Loops) -> None:
        self.graph = graph
        self.loops = loops
        self.shown = list(range(len(graph.nodes)))  # for each node the one that stands for it
        self.cluster_shown = list(range(len(graph.clusters)))
        self.run_of = [-1] * len(graph.nodes)
        for number, run in enumerate(loops.runs):
            _stand_in(self.shown, run.steps)
            _stand_in(self.cluster_shown, run.clusters)
            for step in run.steps:
                for node in step:
                    self.run_of[node] = number
        self.cluster_numbers: list[int] = []
        self.blocks: list[int] = []

    def folded(self) -> Graph:
        clusters = self._clusters()
        standing: list[list[int]] = [[] for _ in self.shown]
        for number, shown in enumerate(self.shown):
            standing[shown].append(number)
        numbers: list[int] = []
        nodes: list[Node] = []
        for node in self.graph.nodes:
            numbers.append(len(nodes))
            if self.shown[node.number] == node.number:
                nodes.append(self._node(node, len(nodes), standing[node.number]))
        edges = self._edges(numbers)
        members = [tuple(found) for found in standing if found]
        full = self.graph.full
        if full is not None:
            inner = self.graph.members
            members = [tuple(n for each in found for n in inner[each]) for found in members]
        return replace(
            self.graph,
            nodes=tuple(nodes),
            edges=tuple(edges),
            clusters=tuple(clusters),
            full=full or self.graph,
            members=tuple(members),
        )

    # -- clusters

    def _clusters(self) -> list[Cluster]:
        """Those that stay, and a block around or in place of each run."""
        runs = self.loops.runs
        run_of: dict[int, int] = {}
        for number, run in enumerate(runs):
            run_of.update((cluster, number) for cluster in run.clusters[0])
        found: list[Cluster] = []
        self.cluster_numbers = [-1] * len(self.graph.clusters)
        self.blocks = [-1] * len(runs)
        for cluster in self.graph.clusters:
            if self.cluster_shown[cluster.number] != cluster.number:
                continue
            parent = None if cluster.parent is None else self.cluster_numbers[cluster.parent]
            number = run_of.get(cluster.number, -1)
            if number >= 0 and cluster.parent == runs[number].parent:
                if self.blocks[number] < 0:
                    self.blocks[number] = len(found)
                    found.append(self.block(runs[number], len(found), parent))
                if self._is_alone(runs[number]):
                    self.cluster_numbers[cluster.number] = self.blocks[number]
                    continue
                parent = self.blocks[number]
                cluster = replace(cluster, call=None)
            self.cluster_numbers[cluster.number] = len(found)
            found.append(replace(cluster, number=len(found), parent=parent))
        return found

    def _is_alone(self, run: Run) -> bool:
        """Whether a step is one cluster and nothing beside it, so that the block replaces it."""
        clusters, nodes = self.graph.clusters, self.graph.nodes
        return sum(clusters[c].parent == run.parent for c in run.clusters[0]) == 1 and not any(
            nodes[n].cluster == run.parent for n in run.steps[0]
        )

    def block(self, run: Run, number: int = 0, parent: int | None = None) -> Cluster:
        """The frame of a run that is folded."""
        newest, oldest = (self.graph.clusters[run.begins[place]] for place in (0, -1))
        if newest.phase == "backward":  # that walked the steps the other way round
            newest, oldest = oldest, newest
        if newest.kind == "step":
            times = sorted((oldest.name, newest.name), key=lambda name: (len(name), name))
            name = f"t = {times[0]} … {times[1]}"
        elif newest.kind == "module":
            name = f"{replace(newest, call=None).label}, calls {oldest.call} … {newest.call}"
        else:
            name = f"{oldest.name} … {newest.name}"
        if run.length > 1:
            name += f", {run.length} each"
        return replace(
            newest,
            number=number,
            kind="block",
            name=name,
            call=None,
            parent=parent,
            count=len(run.steps),
        )

    # -- nodes

    def _node(self, node: Node, number: int, standing: list[int]) -> Node:
        cluster = node.cluster
        run = self.run_of[node.number]
        if cluster is not None:
            cluster = self.cluster_numbers[cluster]
        if len(standing) == 1:
            return replace(node, number=number, cluster=cluster)
        if node.cluster == self.loops.runs[run].parent or node.cluster is None:
            cluster = self.blocks[run]
        nodes = [self.graph.nodes[each] for each in standing]
        name = Indices()
        for each in nodes:
            name.add(each.name)
        heats = [each.heat for each in nodes if each.heat is not None]
        return replace(
            node,
            number=number,
            name=name.text() if node.kind in ("input", "output") else node.name,
            cluster=cluster,
            count=sum(each.count for each in nodes),
            lines=_lines(nodes),
            heat=sum(heats) / len(heats) if heats else None,
        )

    # -- edges

    def _edges(self, numbers: list[int]) -> list[Edge]:
        shown, run_of, step_of = self.shown, self.run_of, self.loops.step_of
        states = names_of_states(self.graph, self.loops)
        merged: dict[tuple[object, ...], _Merged] = {}
        slots = [0] * len(shown)  # how many edges of each source came before
        for edge in self.graph.edges:
            source, target = edge.source, edge.target
            key: tuple[object, ...] = (shown[source], slots[source], shown[target])
            slots[source] += 1
            if step_of[source] < 0 <= run_of[target]:
                names = (with_index(edge.operand)[0], with_index(edge.output)[0])
                key = (source, edge.kind, names, shown[target], edge.mark)
            found = merged.get(key)
            if found is None:
                label = edge.label or states.get(self._state_key(edge), "")
                found = merged[key] = _Merged(edge, label)
            found.add(edge)
        edges = [
            Edge(
                numbers[shown[found.edge.source]],
                numbers[shown[found.edge.target]],
                found.edge.kind,
                found.operands.text(),
                found.outputs.text(),
                found.count,
                found.label,
                found.edge.mark,
            )
            for found in merged.values()
        ]
        return sorted(edges, key=attrgetter("source"))

    def _state_key(self, edge: Edge) -> tuple[int, int, str]:
        """Of which loop, place and output an edge between two of its steps carries the state."""
        loops = self.loops
        later, before = loops.step_of[edge.source], loops.step_of[edge.target]
        if later < 0 or before < 0 or later == before or edge.kind != "gradient":
            return NO_STATE
        loop = loops.loop_of[before]
        if loop != loops.loop_of[later]:
            return NO_STATE
        return (loop, loops.place_of[edge.target], edge.output)


def _stand_in(shown: list[int], steps: list[list[int]]) -> None:
    """Let what the first of these steps has stand for what the others have in the same place."""
    first = steps[0]
    for step in steps[1:]:
        for one, other in zip(first, step, strict=True):
            shown[other] = one


def _lines(nodes: list[Node]) -> tuple[str, ...]:
    """What is written under a node that stands for many: what all of them say, or how it begins
    and ends in the order of the forward pass.
    """
    last, first = nodes[0].lines, nodes[-1].lines
    if all(node.lines == last for node in nodes):
        return last
    long = any(len(line) > _LONGEST_LINE for line in first + last)
    if long or max(len(first), len(last)) > _MOST_LINES:
        return ()
    common = [line for line in first if all(line in node.lines for node in nodes)]
    return (
        *common,
        *(f"first: {line}" for line in first if line not in common),
        *(f"last: {line}" for line in last if line not in common),
    )
