"""The forward pass and the backward pass of one computation in one drawing.

A drawing is otherwise the graph that was recorded, which is the way back that a gradient will take.
Here that way is taken: the backward pass is run with `create_graph=True`, which records every
operation of it as a graph of its own. Its nodes have the phase "backward". Which of them belong to
which operation of the forward pass is known from the walk: whatever was recorded between the visit
of one node and that of the next was caused by the first.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Any

import numpy as np

from ..autograd.backward import follow
from ..autograd.mode import threads
from ..autograd.node import Node as Recorded
from ..autograd.node import edge_of
from ..autograd.walk import Walk
from ..tensor import Tensor, make
from .extract import named_tensors, reachable
from .recorded import before_backward
from .structure import Edge, Graph


class BackwardPass:
    """A backward pass that was recorded.

    outputs : the tensors that it started from and, named "gradient of ...", what came out of it
    visits : the nodes in the order of their visits, with the number that each visit began with
    """

    def __init__(self, outputs: Any, inputs: Mapping[str, Tensor] | None = None) -> None:
        """Run it: from 1 in every element of every output that requires grad.

        No `.grad` is touched and nothing is freed. Hooks of tensors are called.
        Raises RuntimeError for a graph that was freed, or a value changed since.
        """
        named = named_tensors(outputs)
        walk = _Watched()
        for _, tensor in named:
            edge = edge_of(tensor)
            if edge is not None:
                walk.arrive(edge, make(np.ones_like(tensor._array)), None)
        with before_backward("graph", reachable(tensor for _, tensor in named)[0]):
            follow(walk, threads.mode)
        self.visits = walk.visits
        self.numbers = [number for number, _ in walk.visits]
        self.outputs: dict[str, Tensor] = dict(named)
        known = {id(tensor): name for name, tensor in (inputs or {}).items()}
        for leaf, value, _ in walk.found.values():
            if isinstance(value, Tensor) and value.requires_grad:
                self._name(f"gradient of {_name_of(leaf, known)}", value)

    def _name(self, name: str, value: Tensor) -> None:
        found, number = name, 1
        while found in self.outputs:
            number += 1
            found = f"{name} {number}"
        self.outputs[found] = value

    def cause_of(self, node: Recorded) -> Recorded | None:
        """The node in whose visit this one was recorded; None for one of the forward pass."""
        place = bisect_right(self.numbers, node.number) - 1
        return self.visits[place][1] if place >= 0 else None

    def linked(self, graph: Graph, sources: Sequence[Any]) -> Graph:
        """The drawing with an edge from each operation to those that its visit recorded.

        graph, sources : from `extract_with_sources` of `outputs`
        """
        places = {
            source: node.number
            for node, source in zip(graph.nodes, sources, strict=True)
            if node.kind == "operation"
        }
        links = []
        for source, place in places.items():
            cause = self.cause_of(source)
            if cause in places:
                links.append(Edge(places[cause], place, "caused"))
        edges = sorted((*graph.edges, *links), key=attrgetter("source"))
        return replace(graph, edges=tuple(edges))


class _Watched(Walk):
    """A recorded walk over all that it reaches, which notes when each visit begins."""

    quick = False

    def __init__(self) -> None:
        super().__init__(create_graph=True, retain_graph=True, goals=None)
        self.visits: list[tuple[int, Recorded]] = []

    def _next(self) -> list[Any] | None:
        held = super()._next()
        if held is not None:
            self.visits.append((threads.mode.next_number(), held[0]))
        return held

    def _tell(self, node: Recorded, g: Any) -> None:
        """A tensor that retains its gradient is not given this one."""


def _name_of(leaf: Tensor, known: Mapping[int, str]) -> str:
    label = getattr(leaf, "_label", None)
    return (label.path if label is not None else "") or known.get(id(leaf), "input")
