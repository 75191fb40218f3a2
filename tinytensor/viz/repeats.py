"""Which time steps of a drawing do the same: what `fold` puts into one block.

A time step begins with a cluster that comes back: a step of a scan, the next call of a module, a
user's own scope whose name differs by a number. What lies loose between two of them, such as the
loss of each step, belongs to the one before it in the forward order.

Two steps are the same if their operations, operands, shapes, dtypes, remarks, constants and inner
clusters are, and so is every edge that leaves or enters them: one that leads to a step of a loop
leads to the same place in it. From one step to the next the steps that edges lead to, the indices
in their names (`tensors[3]`) and those that an operation takes (`x[3]`) move evenly.

Constants (`h * 0.5`, `h ** 2`, the bounds of a clamp) are known as far as the graph keeps them:
those that the gradient needs, until a backward pass frees them. `h + 0.5` keeps no 0.5.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import NamedTuple

from .indices import with_index
from .structure import Cluster, Edge, Graph, Node
from .windows import find_runs

# In a loop that calls one module often and another one rarely, a step begins with the rare one. If
# it is rarer than one in so many, its calls are chunks of steps.
_RARELY = 8

_DIGITS = re.compile(r"\d+")

Family = tuple[object, ...]  # what the clusters that may begin the steps of one loop share


class Run(NamedTuple):
    """Steps of one loop in a row that do the same, newest first.

    parent : the cluster that the loop lies in
    steps : for each step its nodes; those at one position correspond to each other
    clusters : for each step its clusters, likewise
    begins : for each step the cluster that it begins with
    length : of how many steps each of these consists, if they are windows of several
    """

    parent: int | None
    steps: list[list[int]]
    clusters: list[list[int]]
    begins: list[int]
    length: int = 1


class Loops(NamedTuple):
    """The loops in clusters of one depth.

    depth : of the clusters that begin the steps
    step_of : for each node the number of its time step, newer ones before older ones; -1 for none
    loop_of : for each time step the number of its loop
    place_of : for each node in a step what it is there, the same in other steps of any loop
    runs : which steps do the same
    """

    depth: int
    step_of: list[int]
    loop_of: list[int]
    place_of: list[int]
    runs: list[Run]


def find_loops(graph: Graph, least: int, below: int | None = None) -> Loops | None:
    """The innermost loops whose clusters lie less deep than `below`; None if there are none.

    least : the fewest steps of a run. The first and the last step of a loop are in no run.
    """
    depths: list[int] = []
    families: dict[Family, list[int]] = {}
    for cluster in graph.clusters:
        depth = 0 if cluster.parent is None else depths[cluster.parent] + 1
        depths.append(depth)
        family = _family(cluster)
        if family is not None and (below is None or depth < below):
            families.setdefault(family, []).append(cluster.number)
    large = [members for members in families.values() if len(members) >= least + 2]
    if not large:
        return None
    depth = max(depths[members[0]] for members in large)
    innermost: dict[int | None, list[list[int]]] = {}
    for members in large:
        if depths[members[0]] == depth:
            innermost.setdefault(graph.clusters[members[0]].parent, []).append(members)
    finder = _Finder(graph)
    for parent, side_by_side in innermost.items():
        finder.begin_steps(parent, side_by_side)
    return finder.loops(depth, least)


def _family(cluster: Cluster) -> Family | None:
    if cluster.kind == "step":
        return (cluster.parent, cluster.phase, "step")
    if cluster.kind == "module" and cluster.call is not None:
        return (cluster.parent, cluster.phase, "module", cluster.module)
    if cluster.kind == "scope" and _DIGITS.search(cluster.name):
        return (cluster.parent, cluster.phase, "scope", _DIGITS.sub("#", cluster.name))
    return None


class _Names(NamedTuple):
    """The names on an edge as numbers: with their indices, without them, and the indices."""

    exact: int
    bare: int
    indices: tuple[int, int]


class _Finder:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.oldest = _oldest_nodes(graph)
        self.begins: list[int] = []  # for each time step the cluster that it begins with
        self.loop_of: list[int] = []
        self.ends: dict[int | None, tuple[list[int], int]] = {}
        self.outermost: list[int] = []  # for each cluster in a step the one of the step around it
        self.codes: dict[object, int] = {}

    def loops(self, depth: int, least: int) -> Loops:
        step_of_cluster = self._steps_of_clusters()
        step_of = self._steps_of_nodes(step_of_cluster)
        cluster_codes = self._codes_of_clusters(step_of_cluster)
        place_of = self._places(step_of, cluster_codes)
        self._release_what_follows(step_of, place_of)
        nodes = _gathered(step_of, len(self.begins))
        clusters = _gathered(step_of_cluster, len(self.begins))
        inside, moving = self._compared(step_of, place_of)
        for step, found in enumerate(inside):
            found.append(tuple(place_of[node] for node in nodes[step]))
            found.append(tuple(_own(self.graph.nodes[node]) for node in nodes[step]))
            found.append(tuple(cluster_codes[cluster] for cluster in clusters[step]))
        shapes = [self._code(tuple(found)) for found in inside]
        runs = [
            Run(
                self.graph.clusters[self.begins[run[0][0]]].parent,
                [[node for step in window for node in nodes[step]] for window in run],
                [[cluster for step in window for cluster in clusters[step]] for window in run],
                [self.begins[step] for window in run for step in window],
                len(run[0]),
            )
            for run in find_runs(shapes, moving, self.loop_of, least)
        ]
        return Loops(depth, step_of, self.loop_of, place_of, runs)

    def _code(self, thing: object) -> int:
        """A small number for a thing, the same for equal ones."""
        return self.codes.setdefault(thing, len(self.codes))

    # -- which step a node belongs to

    def begin_steps(self, parent: int | None, families: list[list[int]]) -> None:
        """Choose which of the families in one cluster begin time steps, newest first."""
        oldest = self.oldest
        most = max(map(len, families))
        often = [members for members in families if len(members) * _RARELY >= most]
        # Of modules that are called equally often, the first one to be called.
        often.sort(key=lambda members: (len(members), -max(oldest[c] for c in members)))
        chosen: list[list[int]] = []
        for members in often:
            ordered = sorted(members, key=oldest.__getitem__)
            apart = all(
                oldest[ordered[-1]] < oldest[other[0]] or oldest[other[-1]] < oldest[ordered[0]]
                for other in chosen
            )
            if apart:
                chosen.append(ordered)
        chosen.sort(key=lambda ordered: oldest[ordered[0]])
        first = len(self.begins)
        for ordered in chosen:
            loop = self.loop_of[-1] + 1 if self.loop_of else 0
            self.begins += ordered
            self.loop_of += [loop] * len(ordered)
        self.ends[parent] = ([oldest[c] for c in self.begins[first:]], first)

    def _step_at(self, parent: int | None, number: int) -> int:
        """The step that a node or cluster directly in a loop's cluster belongs to."""
        ends, first = self.ends[parent]
        place = bisect_left(ends, number)
        return first + place if place < len(ends) else -1

    def _steps_of_clusters(self) -> list[int]:
        found: list[int] = []
        for cluster in self.graph.clusters:
            parent = cluster.parent
            if parent in self.ends:
                found.append(self._step_at(parent, self.oldest[cluster.number]))
                self.outermost.append(cluster.number)
            else:
                found.append(-1 if parent is None else found[parent])
                self.outermost.append(-1 if parent is None else self.outermost[parent])
        return found

    def _steps_of_nodes(self, step_of_cluster: list[int]) -> list[int]:
        found: list[int] = []
        for node in self.graph.nodes:
            if node.cluster in self.ends:
                loose = node.kind in ("operation", "saved")
                found.append(self._step_at(node.cluster, node.number) if loose else -1)
            else:
                found.append(-1 if node.cluster is None else step_of_cluster[node.cluster])
        self._attach_ends(found)
        return found

    def _attach_ends(self, step_of: list[int]) -> None:
        """An input or output outside of all clusters belongs to the one step that it is tied to."""
        ties: dict[int, set[int]] = {
            node.number: set()
            for node in self.graph.nodes
            if node.cluster is None and node.kind in ("input", "output")
        }
        for edge in self.graph.edges:
            if edge.source in ties:
                ties[edge.source].add(step_of[edge.target])
            if edge.target in ties:
                ties[edge.target].add(step_of[edge.source])
        for number, steps in ties.items():
            if len(steps) == 1:
                (step_of[number],) = steps

    def _release_what_follows(self, step_of: list[int], place_of: list[int]) -> None:
        """Take out of the newest step of a loop what comes after the loop: no other step has it."""
        loop_of = self.loop_of
        newest: dict[int, set[int]] = {
            step: set()
            for step, loop in enumerate(loop_of)
            if step == 0 or loop_of[step - 1] != loop
        }
        for step, place in zip(step_of, place_of, strict=True):
            if step - 1 in newest:
                newest[step - 1].add(place)
        for node in self.graph.nodes:
            step = step_of[node.number]
            if step in newest and place_of[node.number] not in newest[step]:
                around = -1 if node.cluster is None else self.outermost[node.cluster]
                if around != self.begins[step]:
                    step_of[node.number] = -1

    # -- what a step does

    def _codes_of_clusters(self, step_of_cluster: list[int]) -> list[int]:
        """For each cluster in a step a number that says what it is there."""
        found: list[int] = []
        for cluster in self.graph.clusters:
            if step_of_cluster[cluster.number] < 0:
                found.append(-1)
                continue
            own: Family = (cluster.kind, cluster.name, cluster.path, cluster.call)
            if cluster.parent in self.ends:  # its place in the loop may be in its name
                own = (cluster.kind, _DIGITS.sub("#", cluster.name), cluster.path)
            around = -1 if cluster.parent is None else found[cluster.parent]
            found.append(self._code((own, cluster.module, cluster.phase, cluster.count, around)))
        return found

    def _places(self, step_of: list[int], cluster_codes: list[int]) -> list[int]:
        """What each node is in its step: the n-th of its kind there, from the oldest one."""
        found = [-1] * len(step_of)
        seen: dict[tuple[int, int], int] = {}
        for node in reversed(self.graph.nodes):
            step = step_of[node.number]
            if step >= 0:
                around = -1 if node.cluster is None else cluster_codes[node.cluster]
                code = self._code((_what(node), around))
                nth = seen.get((step, code), 0)
                seen[step, code] = nth + 1
                found[node.number] = self._code((code, nth))
        return found

    def _compared(
        self, step_of: list[int], place_of: list[int]
    ) -> tuple[list[list[object]], list[list[int]]]:
        """For each step its edges as they would be in any other, and the numbers that move."""
        inside: list[list[object]] = [[] for _ in self.begins]
        moving: list[list[int]] = [[] for _ in self.begins]
        known: dict[tuple[object, ...], _Names] = {}
        for node in self.graph.nodes:
            if node.places and step_of[node.number] >= 0:
                moving[step_of[node.number]] += node.places
        for edge in self.graph.edges:
            source, target = step_of[edge.source], step_of[edge.target]
            if source < 0 and target < 0:
                continue
            key = (edge.kind, edge.operand, edge.output, edge.count, edge.mark)
            names = known.get(key) or known.setdefault(key, self._names(edge))
            if source == target:
                ends = (place_of[edge.source], place_of[edge.target])
                inside[source].append((names.exact, ends))
                continue
            here = (self._end(edge.source, source, place_of), names.bare)
            there = self._end(edge.target, target, place_of)
            if source >= 0:
                inside[source].append((*here, there))
                moving[source] += (target, *names.indices)
            if target >= 0:
                inside[target].append((*here, there))
                moving[target] += (source, *names.indices)
        return inside, moving

    def _end(self, node: int, step: int, place_of: list[int]) -> tuple[int, int]:
        """One end of an edge that leaves a step, as other steps may have it too."""
        return (-1, node) if step < 0 else (self.loop_of[step], place_of[node])

    def _names(self, edge: Edge) -> _Names:
        operand, i = with_index(edge.operand)
        output, j = with_index(edge.output)
        rest = (edge.kind, edge.count, edge.mark)
        exact = self._code((rest, edge.operand, edge.output))
        return _Names(exact, self._code((rest, operand, output)), (i, j))


def _oldest_nodes(graph: Graph) -> list[int]:
    """For each cluster the highest number of a node in it, parameters aside."""
    found = [-1] * len(graph.clusters)
    for node in graph.nodes:
        if node.cluster is not None and node.kind != "parameter":
            found[node.cluster] = node.number
    for cluster in reversed(graph.clusters):
        if cluster.parent is not None:
            found[cluster.parent] = max(found[cluster.parent], found[cluster.number])
    return found


def _what(node: Node) -> tuple[object, ...]:
    """What two nodes that do the same have in common."""
    name = node.name
    if node.kind in ("input", "output"):
        name, _ = with_index(name)
    values = () if node.parts else node.values
    own = (node.kind, name, values, node.phase, node.kernel, node.note, node.count)
    return (*own, node.mark)


def _own(node: Node) -> tuple[object, ...]:
    """What they have in common besides, which makes nothing else of a step that reads them.

    Of a whole step that is drawn as one node (with `parts`) those outputs are known that are read.
    """
    return (node.parts, node.values if node.parts else (), node.constants)


def _gathered(step_of: list[int], steps: int) -> list[list[int]]:
    """For each step what belongs to it."""
    found: list[list[int]] = [[] for _ in range(steps)]
    for number, step in enumerate(step_of):
        if step >= 0:
            found[step].append(number)
    return found
