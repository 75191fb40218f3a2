"""The time step at which an element of an input enters a recurrent layer.

A kernel is one node for all of time, so the function is run once more unrolled. There the nodes of
a step know its number t, or belong to the n-th call of a cell. Values flow from the input into the
steps over edges from outside of all steps; which elements of the input flow over such an edge is
what the gradient along it says, whatever selects, transposes or embeds in between.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import random
from ...tensor import Tensor, make
from ..backward import grad
from ..mode import unrolled
from ..node import Node, Output, edge_of, node_of
from ..scope import Label, Scope
from .problem import SEED, Problem, direction


def time_step(problem: Problem, i: int, number: int) -> int | None:
    """The step at which element `number` (in row-major order) of input i enters.

    None if it enters at several, as a weight does, at none, or if the function has no time steps.
    """
    source = problem.first_order or problem
    if i >= len(source.values):
        return None  # an upstream gradient
    x = source.values[i]
    with unrolled():
        outputs = source.evaluate()
    found = {step for step, edge in _entries(_nodes(outputs)) if _reaches(x, edge, number)}
    return found.pop() if len(found) == 1 else None


def _nodes(outputs: list[Tensor]) -> list[Node]:
    """All nodes of the graph, oldest first."""
    stack = [node for node in map(node_of, map(edge_of, outputs)) if node is not None]
    found = set(stack)
    while stack:
        for edge in stack.pop().edges:
            node = node_of(edge)
            if node is not None and node not in found:
                found.add(node)
                stack.append(node)
    return sorted(found, key=lambda node: node.number)


def _entries(nodes: list[Node]) -> list[tuple[int, Any]]:
    """(step, edge) of the edges into steps from what no step has had a part in."""
    steps = _steps(nodes)
    later: set[Node] = set()
    entries = []
    for node in nodes:
        step = steps.get(node)
        parents = [node_of(edge) for edge in node.edges]
        if step is not None or any(parent in later for parent in parents):
            later.add(node)
        if step is None:
            continue
        for edge, parent in zip(node.edges, parents, strict=True):
            if edge is not None and parent not in later:
                entries.append((step, edge))
    return entries


def _steps(nodes: list[Node]) -> dict[Node, int]:
    """The time step of each node that belongs to one."""
    steps: dict[Node, int] = {}
    calls: dict[Label, list[Scope]] = {}
    of_cells: list[tuple[Node, Scope]] = []
    for node in nodes:
        scope = _innermost(node.scope)
        if scope is None:
            continue
        if scope.kind == "step":
            steps[node] = scope.name
            continue
        seen = calls.setdefault(scope.name, [])
        if scope not in seen:
            seen.append(scope)
        of_cells.append((node, scope))
    for node, scope in of_cells:
        earlier = [call for call in calls[scope.name] if call.number < scope.number]
        steps[node] = len(earlier)
    return steps


def _innermost(scope: Scope | None) -> Scope | None:
    """The scope of a time step, or of the call of a cell, around a node."""
    while scope is not None:
        if scope.kind == "step" or (scope.kind == "module" and scope.name.kind.endswith("Cell")):
            return scope
        scope = scope.parent
    return None


def _reaches(x: Tensor, edge: Any, number: int) -> bool:
    """Whether element `number` of x has a part in the value at an edge."""
    own = edge_of(x)
    if edge is own:
        return True
    node = node_of(edge)
    if node is None:
        return False
    shape = node.shape[edge.index] if isinstance(edge, Output) else node.shape
    dtype = node.dtype[edge.index] if isinstance(edge, Output) else node.dtype
    value = make(np.zeros(shape, dtype), node=edge, requires_grad=True)
    upstream = make(direction(random.Generator().manual_seed(SEED), value._array))
    (g,) = grad([value], [x], [upstream], retain_graph=True, allow_unused=True)
    return g is not None and bool(g._array.flat[number] != 0)
