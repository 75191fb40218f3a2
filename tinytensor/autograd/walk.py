"""The backward pass: walk the graph from the newest node to the oldest and apply the rules.

Nodes are visited in the order of their numbers, newest first, from a heap: when a node's turn
comes, everything that used its output has been visited, so its gradient is complete. No recursion,
and the gradient of a node is dropped as soon as it was passed on.

Two forms of one walk. Plain: gradients are arrays and rules run at NumPy's speed. With
`create_graph=True` gradients are Tensors and the very same rules record themselves.

Where the user's own code has its say (a hook, the backward of a `Function`, what a checkpoint runs
again) the walk pauses: `run` is a generator that hands out a `Call`, which is made in the user's
mode, outside the context without floating-point warnings, and is sent the answer.
"""

from __future__ import annotations

import functools
import heapq
from collections.abc import Callable, Generator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..dtypes import FLOATING, Array
from ..origins import Origins
from ..tensor import Storage, Tensor, make
from .accumulate import accumulate, add, first, summed_to
from .hooks import called
from .mode import Mode, threads
from .node import Node, Output, node_of
from .primitive import Primitive, record
from .refusals import check_changed, used_twice

_ndarray = np.ndarray


class Call(NamedTuple):
    """A call of the user's own code, for a node or a leaf (None)."""

    node: Node | None
    function: Callable[[], Any]


class Dropped(tuple[Any, ...]):
    """What a node has for `kept` while a checkpoint has dropped what it saved: the same versions.

    run : whose `refill` computes it again (see utils.checkpoint)
    position : the node's place among those of the run
    """

    run: Any
    position: int


class Walk:
    """One backward pass over the nodes above some outputs.

    goals : the edges whose gradients are asked for (by `grad`, or `inputs=`); None: all leaves
    waiting : number of a node -> what has arrived at its output, until its turn comes
    found : id of a leaf -> what has arrived there
    caught : (number of a node, output) -> its gradient, for goals that are no leaves
    """

    quick = True  # arrivals are of no interest one by one

    def __init__(self, create_graph: bool, retain_graph: bool, goals: Sequence[Any] | None) -> None:
        self.create_graph = create_graph
        self.retain_graph = retain_graph
        self.heap: list[int] = []
        self.waiting: dict[int, list[Any]] = {}
        self.found: dict[int, list[Any]] = {}
        self.goals = goals
        self.caught: dict[tuple[int, int], Any] = {}
        self.wanted_nodes: set[Node] | None = None
        self.wanted_leaves: set[int] = set()

    def arrive(self, edge: Any, g: Any, source: Node | None) -> None:
        """Add a gradient to where an edge leads."""
        kind = type(edge)
        if kind is Node:
            if g.shape != edge.shape and source is not None:
                g = summed_to(g, edge.shape, source)
            held = self.waiting.get(edge.number)
            if held is None:
                self.waiting[edge.number] = first(edge, g)
                heapq.heappush(self.heap, -edge.number)
            else:
                add(held, g)
        elif kind is Output:
            self._arrive_at_output(edge.node, edge.index, g, source)
        else:
            if g.shape != edge._array.shape and source is not None:
                g = summed_to(g, edge._array.shape, source)
            held = self.found.get(id(edge))
            if held is None:
                self.found[id(edge)] = first(edge, g)
            else:
                add(held, g)

    def _arrive_at_output(self, node: Node, index: int, g: Any, source: Node | None) -> None:
        """The same for a node with several outputs, where each output holds what came to it."""
        if g.shape != node.shape[index] and source is not None:
            g = summed_to(g, node.shape[index], source)
        held = self.waiting.get(node.number)
        if held is None:
            held = self.waiting[node.number] = [node, [None] * len(node.shape), False]
            heapq.heappush(self.heap, -node.number)
        if held[1][index] is None:
            held[1][index] = first(node, g)
        else:
            add(held[1][index], g)

    def restrict(self, roots: Sequence[Any]) -> None:
        """Find the nodes that lie on a way from the outputs to a goal: only they are visited."""
        assert self.goals is not None
        stack = [node for node in map(node_of, roots) if node is not None]
        reachable = set(stack)
        while stack:
            for edge in stack.pop().edges:
                node = node_of(edge)
                if node is not None and node not in reachable:
                    reachable.add(node)
                    stack.append(node)
        goal_nodes = {node_of(goal) for goal in self.goals}
        self.wanted_leaves = {id(goal) for goal in self.goals if isinstance(goal, Tensor)}
        self.wanted_nodes = {node for node in reachable if node in goal_nodes}
        for node in sorted(reachable, key=lambda node: node.number):
            if any(map(self.leads, node.edges)):
                self.wanted_nodes.add(node)

    def leads(self, edge: Any) -> bool:
        """Whether a goal lies at the edge or beyond it."""
        if edge is None:
            return False
        if self.wanted_nodes is None:
            return True
        return id(edge) in self.wanted_leaves or node_of(edge) in self.wanted_nodes

    def run(self, mode: Mode) -> Generator[Call, Any, None]:
        """Visit every node that a gradient reaches; pause for each call of the user's code."""
        goal_indices: dict[Node, list[int]] = {}
        continuing: set[Node] = set()
        if self.goals is not None:
            goal_indices, continuing = self._goals_on_the_way()
        ending = goal_indices.keys() - continuing
        quick = self.quick and self.goals is None and not self.create_graph
        while True:
            held = self._next_of_note() if quick else self._next()
            if held is None:
                break
            node, g, _ = held
            if type(g) is list:
                g = tuple(None if part is None else part[1] for part in g)
            else:
                g = _as_array(g)
            if continuing and node in continuing:  # caught before the hooks, as in torch
                self._catch(node, g, goal_indices[node])
            if node.watchers is not None:
                if node.watchers.hooks:
                    g = yield Call(node, functools.partial(node.watchers.call, g))
                self._tell(node, g)
            if ending and node in ending:  # and here after them, as in torch
                self._catch(node, g, goal_indices[node])
                continue
            while node.saved is None:  # again for a checkpoint within a checkpoint
                if type(node.kept) is not Dropped:
                    used_twice(node)
                yield Call(node, node.kept.run.refill)
            if node.plan is None and node.op.asks_user:
                gradients = yield Call(
                    node,
                    functools.partial(
                        node.op.differentiate, node, node.edges, g, self.create_graph
                    ),
                )
                self._pass_on(node, gradients)
                if not self.retain_graph:
                    node.op.free(node)
                continue
            self._visit(node, g, mode)
        for held in self.found.values():
            hooks = held[0]._hooks
            if hooks is not None and hooks.before:
                before = list(hooks.before.values())
                value = _as_array(held[1])
                held[1] = yield Call(None, functools.partial(called, before, value))

    def _next(self) -> list[Any] | None:
        """What is held for the newest node that waits, whose turn it is; None at the end."""
        return self.waiting.pop(-heapq.heappop(self.heap)) if self.heap else None

    def _next_of_note(self) -> list[Any] | None:
        """The same, but on the way there visit the ordinary nodes.

        These are recorded operations with one output that has no hooks. `_visit` and `arrive` say
        what happens to them; here it is without the calls, because a small operation costs less
        than the bookkeeping round it. One of those that wait may be held `aside`: along a chain
        nothing else waits, and the heap stays empty. What NumPy makes of a 0-d array, a number,
        stays one: it reckons ten times as fast with them.
        """
        heap = self.heap
        waiting = self.waiting
        found = self.found
        freeing = not self.retain_graph
        aside: list[Any] | None = None
        while True:
            if aside is None:
                if not heap:
                    return None
                held = waiting.pop(-heapq.heappop(heap))
            elif heap and -heap[0] > aside[0].number:
                number = aside[0].number
                waiting[number] = aside
                held = waiting.pop(-heapq.heapreplace(heap, -number))
            else:
                held = aside
            aside = None
            node, g, _ = held
            plan = node.plan
            saved = node.saved
            if plan is None or plan.listed or saved is None or type(g) is list:
                return held
            for version in node.kept:
                if version is not None and (type(version) is list or version[0][0] != version[1]):
                    return held
            if node.watchers is not None:
                if node.watchers.hooks:
                    return held
                self._tell(node, _as_array(g))
            if not plan.simple:
                g = _as_array(g)
            elif not node.shape:
                g = g[()]
                if saved:
                    saved = [value[()] if type(value) is _ndarray else value for value in saved]
            edges = node.edges
            for number, rule in plan.rules:
                gx = rule(g, saved)
                if gx is None:
                    continue
                edge = edges[number]
                kind = type(edge)
                if kind is Node:
                    if gx.shape != edge.shape:
                        gx = summed_to(gx, edge.shape, node)
                    if aside is not None and aside[0] is edge:
                        add(aside, gx)
                        continue
                    before = waiting.get(edge.number)
                    if before is not None:
                        add(before, gx)
                        continue
                    held = [edge, gx, False] if type(gx) is _ndarray else first(edge, gx)
                    if aside is None:
                        aside = held
                    else:
                        waiting[edge.number] = held
                        heapq.heappush(heap, -edge.number)
                elif kind is Output:
                    self._arrive_at_output(edge.node, edge.index, _as_array(gx), node)
                else:
                    if gx.shape != edge._array.shape:
                        gx = summed_to(gx, edge._array.shape, node)
                    before = found.get(id(edge))
                    if before is None:
                        found[id(edge)] = first(edge, gx)
                    elif before[2] and type(gx) is _ndarray:
                        total = before[1]
                        total += gx
                    else:
                        add(before, gx)
            if freeing and (node.kept or plan.frees):
                node.saved = None

    def _goals_on_the_way(self) -> tuple[dict[Node, list[int]], set[Node]]:
        """The outputs to catch at each goal node, and the nodes past which a goal still lies."""
        assert self.goals is not None
        indices: dict[Node, list[int]] = {}
        for goal in self.goals:
            node = node_of(goal)
            if node is not None:
                indices.setdefault(node, []).append(goal.index if type(goal) is Output else 0)
        return indices, {node for node in indices if any(map(self.leads, node.edges))}

    def _catch(self, node: Node, g: Any, indices: list[int]) -> None:
        """Note the gradient of those outputs of a node that are goals."""
        for index in indices:
            self.caught[node.number, index] = g[index] if type(g) is tuple else g

    def _tell(self, node: Node, g: Any) -> None:
        """Leave the gradient in the outputs that called `retain_grad`."""
        for index, reference in node.watchers.retained:
            tensor = reference()
            value = g[index] if type(g) is tuple else g
            if tensor is not None and value is not None:
                accumulate(tensor, value)

    def _visit(self, node: Node, g: Any, mode: Mode) -> None:
        """Apply a node's rules to the gradient of its output and pass the results on."""
        saved = node.saved
        for version in node.kept:
            if version is None:
                continue
            if type(version) is list:
                if any(v is not None and v[0][0] != v[1] for v in version):
                    check_changed(node, self.create_graph)
            elif version[0][0] != version[1]:
                check_changed(node, self.create_graph)
        if self.create_graph:
            mode.scope = node.scope
        plan = node.plan
        edges = node.edges
        if self.wanted_nodes is not None:
            edges = tuple(edge if self.leads(edge) else None for edge in edges)
        if plan is None:
            self._pass_on(node, node.op.differentiate(node, edges, g, self.create_graph))
        else:
            if self.create_graph:
                saved = _as_tensors(node)
            listed = node.op.listed
            for number, rule in plan.rules:
                if edges[number] is None and not listed:
                    continue
                gx = rule(g, saved)
                if listed:
                    for edge, part in zip(edges, gx, strict=True):
                        if edge is not None and part is not None:
                            self.arrive(edge, part, node)
                    continue
                if gx is not None:
                    self.arrive(edges[number], _as_array(gx), node)
        if not self.retain_graph and (node.kept or (plan is not None and plan.frees)):
            node.saved = None

    def _pass_on(self, node: Node, gradients: Sequence[Any]) -> None:
        """Hand on a gradient for each input."""
        everywhere = self.wanted_nodes is None
        for edge, gx in zip(node.edges, gradients, strict=True):
            if gx is not None and edge is not None and (everywhere or self.leads(edge)):
                self.arrive(edge, gx, node)


def _as_array(g: Any) -> Any:
    """A gradient, if it is a NumPy number, as the 0-d array that it stands for."""
    return np.asarray(g) if isinstance(g, np.generic) else g


def _as_tensors(node: Node) -> list[Any]:
    """What a node saved, as Tensors in their places in the graph, for rules that are recorded.

    They keep the storage of what was saved, so that a later write into it is seen again.
    """
    op: Primitive = node.op
    keep = node.plan.keep
    cuts = node.cuts or (None,) * len(node.edges)
    values: list[Any] = []
    for value, (kind, number), version in zip(
        node.saved, keep, node.kept or (None,) * len(keep), strict=True
    ):
        if kind == "output" and type(value) is tuple:
            outputs = zip(value, _storages(version, value), strict=True)
            value = tuple(
                make(part, storage, Output(node, i), True)
                if part.dtype.kind in FLOATING
                else make(part, storage)
                for i, (part, storage) in enumerate(outputs)
            )
        elif kind == "output":
            value = make(value, version[0], node, True)
        elif kind == "value" and op.listed and number == 0:
            value = tuple(map(at_edge, value, node.edges, _storages(version, value), cuts))
        elif kind == "value" and number < len(op.rules):
            storage = None if version is None else version[0]
            value = at_edge(value, node.edges[number], storage, cuts[number])
        values.append(value)
    return values


def _storages(versions: Any, values: tuple[Any, ...]) -> list[Storage | None]:
    """The storage of each of several saved values."""
    if versions is None:
        return [None] * len(values)
    return [None if version is None else version[0] for version in versions]


def at_edge(value: Any, edge: Any, storage: Storage | None, origins: Origins | None) -> Any:
    """A kept input array as a Tensor whose gradient goes where the input's goes."""
    if not isinstance(value, _ndarray):
        return value
    if edge is None:
        constant = make(value, storage)
        constant._origins = origins
        return constant
    if isinstance(edge, Tensor):
        if edge._array is value:
            return edge
        return identity(value, edge, storage)
    return make(value, storage, edge, True)


class _Identity:
    """The operation y = x between two edges; see `identity`."""

    name = "identity"
    listed = False
    asks_user = False

    @staticmethod
    def differentiate(
        node: Node, edges: tuple[Any, ...], g: Any, create_graph: bool
    ) -> tuple[Any, ...]:
        return (g,)


def identity(array: Array, edge: Any, storage: Storage | None = None) -> Tensor:
    """A Tensor on `array` with a node of its own, whose gradient goes on to `edge`."""
    node = record(_Identity, None, (edge,), (), (), array, threads.mode)
    return make(array, storage, node, True)


# -- errors
