"""Where a value of the graph was detached: used, but so that no gradient flows back to it.

The graph has no node for that, it only lacks an edge. What betrays it is memory. `x.detach()`, and
a view taken under `no_grad`, share the storage of x, and an operation that needs a value for its
gradient keeps that storage. So a cut is known where

- an operation keeps a value for which it has no edge, or an output was detached, and
- that value lies in the storage of something in the graph: of a leaf, of an output, of what an
  operation keeps of its own result, or of what another one keeps and does have an edge for.

Values of a forward pass that ran within `keep_values` are known by their place in memory, if an
operation keeps them. Without it the second condition leaves some out: a state c is read by the next
step alone, so that once it is detached nothing tells where it came from.

A cut is not known where nothing of it is left: the value was copied (`.detach().clone()`, as
between the windows of `bptt.truncated`, or by the stacking of an unrolled layer's last states),
computed under `no_grad`, or used by an operation that keeps nothing of it (a sum, for one). No cut
is drawn then, and none is made up. But where a kernel starts from a state that is not zero and gets
no gradient, and whose origin is not known, as the first step of a window does, the cut leads to a
node that says just that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import repeat
from operator import attrgetter
from typing import Any, NamedTuple

from ..autograd.kernel import Kernel
from ..autograd.node import Node as Recorded
from ..autograd.node import Output
from ..autograd.primitive import Primitive
from ..dtypes import Array
from ..tensor import Tensor
from .recorded import dtype_name, operand_name, output_name
from .structure import Edge, Graph, Node, Value
from .values import address_of

_STATES = ("h", "c", "h_0", "c_0")
_ELSEWHERE = "detached, or from elsewhere"

_Memory = tuple[int, tuple[int, ...]]
_Place = tuple[int, str]  # number of a node of the drawing, name of its output


class _Use(NamedTuple):
    """A value that is kept though no gradient goes there.

    number, operand : of the node that keeps it, and what that calls it
    storage, memory : its own; the address and shape of an array
    state : the array, if it is what a kernel for sequences or their steps starts from, and not zero
    """

    number: int
    operand: str
    storage: list[int]
    memory: _Memory
    state: Array | None = None


def with_cuts(graph: Graph, sources: Sequence[Any]) -> Graph:
    """The drawing with an edge of kind "cut" from each use of a detached value to its origin.

    graph, sources : from `extract_with_sources`. It is returned as it is if no cut is known.
    Nodes for states from elsewhere come last.
    """
    uses = list(_uses_without_gradient(graph, sources))
    if not uses:
        return graph
    by_storage = _origins(graph, sources, {id(use.storage) for use in uses})
    by_memory = _producers(graph, sources)
    drawn = {id(source._storage) for source in sources if isinstance(source, Tensor)}
    nodes = list(graph.nodes)
    found: dict[tuple[int, str, int, str], Edge] = {}
    for use in uses:
        origin = _newest_before(use.number, by_memory.get(use.memory, []))
        origin = origin or by_storage.get(id(use.storage))
        if origin is None and use.state is not None and id(use.storage) not in drawn:
            origin = (len(nodes), "")
            shape, dtype = use.state.shape, dtype_name(use.state.dtype)
            nodes.append(
                Node(len(nodes), "input", use.operand, (Value("", shape, dtype),), note=_ELSEWHERE)
            )
        if origin is not None and origin[0] != use.number:
            key = (use.number, use.operand, *origin)
            found[key] = Edge(use.number, origin[0], "cut", use.operand, origin[1])
    if not found:
        return graph
    edges = sorted((*graph.edges, *found.values()), key=attrgetter("source"))
    return replace(graph, nodes=tuple(nodes), edges=tuple(edges))


def _uses_without_gradient(graph: Graph, sources: Sequence[Any]) -> Iterator[_Use]:
    for node, source in zip(graph.nodes, sources, strict=True):
        if node.kind == "output" and not source.requires_grad:
            yield _Use(node.number, "", source._storage, _memory(source._array))
        elif node.kind == "operation":
            for index, storage, array in _inputs_kept(source):
                if source.edges[index] is None:
                    operand = operand_name(source, index)
                    begins = node.kernel and operand in _STATES and array is not None
                    state = array if begins and array.any() else None
                    yield _Use(node.number, operand, storage, _memory(array), state)


def _memory(array: Array | None) -> _Memory:
    return (address_of(array), () if array is None else array.shape)


def _producers(graph: Graph, sources: Sequence[Any]) -> dict[_Memory, list[_Place]]:
    """For a place in memory the nodes that put a value there, newest first, where that is known.

    Memory that a value left goes to later ones, but what is kept has kept its own. A view begins in
    the same place, most often with another shape.
    """
    found: dict[_Memory, list[_Place]] = {}
    for node, source in zip(graph.nodes, sources, strict=True):
        if node.kind == "operation":
            for index, address in enumerate(getattr(source.number, "addresses", ())):
                if address:
                    several = type(source.dtype) is tuple
                    name = output_name(source, index) if several else ""
                    shape = source.shape[index] if several else source.shape
                    memory = (address, tuple(shape))
                    found.setdefault(memory, []).append((node.number, name))
    return found


def _newest_before(number: int, places: list[_Place]) -> _Place | None:
    """The first that is older than a node; nodes of a drawing are numbered newest first."""
    return next((place for place in places if place[0] > number), None)


def _origins(graph: Graph, sources: Sequence[Any], wanted: set[int]) -> dict[int, _Place]:
    """For each of the wanted storages, by its id, what in the drawing it belongs to.

    Several nodes may share one, as a value and its views do: then the oldest, whose value the
    others look at.
    """
    numbers = {
        source if isinstance(source, Recorded) else id(source): node.number
        for node, source in zip(graph.nodes, sources, strict=True)
        if node.kind not in ("saved", "output")
    }
    found: dict[int, _Place] = {}

    def note(storage: list[int], edge: Any) -> None:
        if id(storage) not in wanted:
            return
        node = edge.node if isinstance(edge, Output) else edge
        number = numbers.get(node if isinstance(node, Recorded) else id(node))
        if number is None:
            return
        if id(storage) not in found or number > found[id(storage)][0]:
            name = output_name(node, edge.index) if isinstance(edge, Output) else ""
            found[id(storage)] = (number, name)

    for node, source in zip(graph.nodes, sources, strict=True):
        if node.kind == "output" and source.requires_grad and source._node is not None:
            note(source._storage, source._node)
        elif isinstance(source, Tensor) and source.requires_grad:
            note(source._storage, source)
        elif node.kind == "operation":
            for index, storage, _ in _inputs_kept(source):
                if source.edges[index] is not None:
                    note(storage, source.edges[index])
            for storage in _results_kept(source):
                note(storage, source)
    return found


def _inputs_kept(node: Recorded) -> Iterator[tuple[int, list[int], Any]]:
    """The inputs that a node keeps: number, storage, array (None once it was freed)."""
    if isinstance(node.op, Kernel):
        versions = getattr(node.kept, "all", node.kept)  # a step's kernel checks fewer of them
        arrays = repeat(None) if node.saved is None else node.saved[0]
        for index, (pair, array) in enumerate(zip(versions, arrays, strict=False)):
            if pair is not None:
                yield index, pair[0], array
    elif isinstance(node.op, Primitive) and node.kept:
        saved = repeat(None) if node.saved is None else node.saved
        for (kind, number), version, array in zip(node.plan.keep, node.kept, saved, strict=False):
            if kind != "value" or version is None:
                continue
            if not node.op.listed:
                if type(version) is tuple and number < len(node.edges):
                    yield number, version[0], array
                continue
            for index, pair in enumerate(version):
                if pair is not None:
                    yield index, pair[0], None if array is None else array[index]


def _results_kept(node: Recorded) -> Iterator[list[int]]:
    """The storage of its only output, if a node keeps that."""
    if isinstance(node.op, Primitive) and node.kept and not isinstance(node.dtype, tuple):
        for (kind, _), version in zip(node.plan.keep, node.kept, strict=False):
            if kind == "output" and type(version) is tuple:
                yield version[0]
