"""Each block of folded time steps unfolded by itself, for the page.

A block of a few steps unfolds into all of them. Of a longer one a few in a row are drawn, and what
is before and after them stays folded. This window may stand anywhere: the steps of a block do the
same, so the picture of it is the same too, and a thousand steps take one layout. (Where what they
are tied to is drawn differently, all of them are.) What tells its steps apart is left to
`page_blocks.js`, which writes the times into the frames as the window moves; an index, as in
`x[3]`, is drawn as `x[…]`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from .fold import Collapse, Passes
from .repeats import Loops, Run
from .structure import Edge, Graph

# How many steps a window has.
WINDOW = 4
# A block of so many steps unfolds into all: of more, at least two stay folded on either side.
_ALL = WINDOW + 3

# Before the label of a frame that can be unfolded.
SIGN = "▸ "

# For a cluster of a drawing: in which block it lies, and if that is the unfolded one, in the
# how-manieth part of it: a step, or those before or after the window; else None.
Frames = dict[int, tuple[int, int | None]]


@dataclass
class Opened:
    """The drawing in which one block is unfolded; data : what the page's script must know of it."""

    graph: Graph
    frames: Frames
    data: dict[str, Any]


def unfolded_blocks(
    whole: Graph, passes: Passes, collapse: Collapse, most: int
) -> tuple[Graph, Frames, list[Opened]]:
    """The folded drawing with its blocks marked, and a drawing for each of them.

    passes : how `whole` is folded with this `collapse`
    most : how many nodes these drawings may have together; a block beyond that unfolds only with
        all the others, and is not marked
    """
    found: dict[int, tuple[int, list[Run]]] = {}  # a block -> the pass and the runs that made it
    for level, folding in enumerate(passes.done):
        for run in folding.loops.runs:
            block = _of_block(passes, passes.cluster(run.begins[0], level))
            found.setdefault(block, (level, []))[1].append(run)
    openings: list[_Opening] = []
    for block in sorted(found):
        opening = _Opening(whole, passes, collapse, *found[block])
        size = len(opening.passes.graph.nodes)
        if size <= most:
            most -= size
            openings.append(opening)
    starts = [_cluster_of_whole(passes, opening.level, opening.run) for opening in openings]
    marked: Frames = {_frame(passes, start): (place, None) for place, start in enumerate(starts)}
    return (
        _signed(passes.graph, set(marked)),
        _all_within(passes.graph, marked),
        [opening.opened(place, starts) for place, opening in enumerate(openings)],
    )


# -- clusters through the passes


def _of_block(passes: Passes, cluster: int) -> int:
    """The block that a step begins, which is itself or around it."""
    clusters = passes.graph.clusters
    parent = clusters[cluster].parent
    return cluster if clusters[cluster].kind == "block" or parent is None else parent


def _cluster_of_whole(passes: Passes, level: int, run: Run) -> int:
    """The number that the cluster with which a run begins has in the whole graph."""
    number = run.begins[0]
    for folding in reversed(passes.done[:level]):
        number = folding.cluster_numbers.index(number)
    return number


def _frame(passes: Passes, start: int) -> int:
    return _of_block(passes, passes.cluster(start))


def _all_within(graph: Graph, frames: Frames) -> Frames:
    """These frames and all clusters in them, each as the innermost frame around it."""
    found: Frames = {}
    for cluster in graph.clusters:
        own = frames.get(cluster.number)
        if own is None and cluster.parent is not None:
            own = found.get(cluster.parent)
        if own is not None:
            found[cluster.number] = own
    return found


def _signed(graph: Graph, frames: set[int]) -> Graph:
    clusters = (
        replace(cluster, name=SIGN + cluster.name) if cluster.number in frames else cluster
        for cluster in graph.clusters
    )
    return replace(graph, clusters=tuple(clusters))


# -- one block


class _Opening:
    """One block unfolded. A block within another is a run in each of the steps of that."""

    def __init__(
        self, whole: Graph, folded: Passes, collapse: Collapse, level: int, runs: list[Run]
    ) -> None:
        self.whole = whole
        self.folded = folded
        self.runs = runs
        self.level = level
        self.run = runs[0]
        self.count = len(self.run.steps)
        self.steps = [sorted(self._nodes(step)) for step in range(self.count)]
        self.shown = _standing(folded.graph)  # in the folded drawing
        self.window = WINDOW if self.count > _ALL and self._is_even() else self.count
        self.start = (self.count - self.window) // 2  # the step with which the window begins
        self.passes = Passes(whole, collapse, self._opened)
        self.is_long = self.window < self.count

    def _is_even(self) -> bool:
        """Whether each step is tied to the same of what is drawn outside of the block.

        Else the picture is another one where the window stands elsewhere. So it is with what a
        backward pass recorded, whose steps read those of the forward pass: some of these may be
        folded and some not.
        """
        before, loops = self.folded.done[self.level].graph, self.folded.done[self.level].loops
        place = {node: step for step, nodes in enumerate(self.run.steps) for node in nodes}
        own_loop = loops.loop_of[loops.step_of[self.run.steps[0][0]]]
        ties: list[list[tuple[bool, str, int, int]]] = [[] for _ in self.steps]
        for edge in before.edges:
            for end, other in ((edge.source, edge.target), (edge.target, edge.source)):
                if end in place:
                    step = loops.step_of[other]
                    if step < 0 or loops.loop_of[step] != own_loop:
                        way = end == edge.source
                        ties[place[end]].append((way, edge.kind, self._end(end), self._end(other)))
        first = sorted(ties[0])
        return all(sorted(step) == first for step in ties)

    def _end(self, node: int) -> int:
        """The node of the folded drawing in which one of the block's pass ends."""
        before = self.folded.done[self.level].graph
        return self.shown[node if before.full is None else before.members[node][0]]

    def _opened(self, level: int, loops: Loops) -> Loops:
        """What folds in a pass if this block's runs stay as they are within the window."""
        if level != self.level:
            return loops
        begins = {run.begins[0] for run in self.runs}
        kept = [run for run in loops.runs if run.begins[0] not in begins]
        for run in loops.runs:
            if run.begins[0] in begins and self.window < self.count:
                kept += [_part(run, 0, self.start), _part(run, self.start + self.window, None)]
        return loops._replace(runs=kept)

    def opened(self, place: int, starts: list[int]) -> Opened:
        """place : of this block among all; starts : for each the cluster that it begins with"""
        graph = self.passes.graph
        parts = self._parts()
        inside, slots = self._slots(parts)
        frames: Frames = {}
        for number, start in enumerate(starts):
            frame = _frame(self.passes, start)
            if number != place and graph.clusters[frame].kind == "block":
                frames[frame] = (number, None)
        piles: set[int] = set()
        main = []
        written = []
        moving = self._moving()
        for part, step in enumerate(parts):
            clusters = [self._cluster(cluster) for cluster in self.run.clusters[step]]
            own = self._cluster(self.run.begins[step * self.run.length])
            written.append([clusters[position] for position in moving])
            if self.is_long and part in (0, len(parts) - 1):
                own = _of_block(self.passes, own)
                clusters = written[-1] = [own]
                piles.add(own)
            main.append(own)
            frames.update((cluster, (place, part)) for cluster in clusters)
        data = {
            "steps": self.steps,
            "labels": [list(self._labels(step, moving)) for step in range(self.count)],
            "frame": _frame(self.folded, starts[place]),
            "start": self.start,
            "window": self.window,
            "main": main,
            "written": written,
            "inside": inside,
            "parts": slots,
            "others": self._others(set(inside)),
            "piles": [list(self._piles(older)) for older in (False, True)] if self.is_long else [],
        }
        others = {cluster for cluster, (block, _) in frames.items() if block != place}
        graph = _signed(self._timeless(slots), piles | others)
        return Opened(graph, _all_within(graph, frames), data)

    # -- where things are

    def _parts(self) -> list[int]:
        """For each part of the block in the drawing a step that lies in it."""
        shown = list(range(self.start, self.start + self.window))
        return [0, *shown, self.count - 1] if self.is_long else shown

    def _cluster(self, number: int) -> int:
        """A cluster of the pass that folds the block, in this drawing."""
        return self.passes.cluster(number, self.level)

    def _nodes(self, step: int) -> Iterator[int]:
        """The nodes of the whole graph that a step has."""
        before = self.folded.done[self.level].graph
        for run in self.runs:
            for node in run.steps[step]:
                yield from (node,) if before.full is None else before.members[node]

    def _slots(self, parts: list[int]) -> tuple[list[int], list[list[int]]]:
        """The nodes of the block when folded; for each part what is drawn there in their places."""
        drawn = _standing(self.passes.graph)
        found = [{self.shown[node]: drawn[node] for node in self.steps[step]} for step in parts]
        inside = sorted(found[0])
        return inside, [[part[number] for number in inside] for part in found]

    def _others(self, inside: set[int]) -> list[int]:
        """For each node of the folded drawing its number in this one; -1 for those of the block."""
        drawn = _standing(self.passes.graph)
        return [
            -1 if number in inside else drawn[members[0]]
            for number, members in enumerate(self.folded.graph.members)
        ]

    # -- what is written there

    def _moving(self) -> list[int]:
        """At which places in a step there are clusters whose labels differ from step to step."""
        clusters = self.folded.done[self.level].graph.clusters
        first, *rest = ([clusters[c].label for c in step] for step in self.run.clusters)
        return [
            place for place, label in enumerate(first) if any(step[place] != label for step in rest)
        ]

    def _labels(self, step: int, moving: list[int]) -> Iterator[str]:
        clusters = self.folded.done[self.level].graph.clusters
        for position in moving:
            yield clusters[self.run.clusters[step][position]].label

    def _piles(self, older: bool) -> Iterator[str]:
        """What the steps beside the window are called, for each place of it from 1 on."""
        folding = self.folded.done[self.level]
        for start in range(1, self.count - self.window):
            run = _part(self.run, start + self.window, None) if older else _part(self.run, 0, start)
            if len(run.steps) > 1:
                yield SIGN + folding.block(run).label
            else:
                yield folding.graph.clusters[run.begins[0]].label

    def _timeless(self, slots: list[list[int]]) -> Graph:
        """The drawing without what changes as the window moves."""
        graph = self.passes.graph
        if not self.is_long:
            return graph
        part_of = {node: part for part, nodes in enumerate(slots) for node in nodes}
        nodes = [
            replace(node, name=_anywhere(node.name))
            if node.number in part_of and node.kind in ("input", "output")
            else node
            for node in graph.nodes
        ]
        sizes = {0: self.start, len(slots) - 1: self.count - self.window - self.start}
        edges = [
            _once(edge, part_of.get(edge.source), part_of.get(edge.target), sizes)
            for edge in graph.edges
        ]
        return replace(graph, nodes=tuple(nodes), edges=tuple(edges))


def _part(run: Run, start: int, end: int | None) -> Run:
    """Some of the steps of a run."""
    return run._replace(
        steps=run.steps[start:end],
        clusters=run.clusters[start:end],
        begins=run.begins[start * run.length : None if end is None else end * run.length],
    )


def _standing(graph: Graph) -> list[int]:
    """For each node of the whole graph the one that stands for it."""
    found = [0] * sum(map(len, graph.members))
    for number, members in enumerate(graph.members):
        for member in members:
            found[member] = number
    return found


def _anywhere(name: str) -> str:
    """A name whose index depends on the step: "x[3]", "x[1 … 3]" -> "x[…]"."""
    stem, bracket, index = name.rpartition("[")
    if bracket and all(part.isdecimal() for part in index.removesuffix("]").split(" … ")):
        return f"{stem}[…]"
    return name


def _once(edge: Edge, source: int | None, target: int | None, sizes: dict[int, int]) -> Edge:
    """An edge of the block as it is in each of its steps."""
    if source is not None and target is not None:
        return replace(edge, count=1)
    if source is None and target is None:
        return edge
    size = sizes.get(source if source is not None else target or 0, 1)
    return replace(
        edge,
        operand=_anywhere(edge.operand),
        output=_anywhere(edge.output),
        count=max(edge.count // size, 1),
    )
