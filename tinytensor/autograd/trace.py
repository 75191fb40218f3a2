"""The backward pass laid open: which node was visited when, what arrived there, what it passed on.

It is the engine's own walk, watched. No `.grad` is touched, and the graph can be used again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..dtypes import Array
from ..tensor import Tensor
from .accumulate import IndexedGradient, summed_to
from .backward import follow, outputs_of, starting_gradients
from .mode import threads
from .node import Node, Output, edge_of
from .walk import Walk

Gradient = Any  # an array; for a node with several outputs a tuple of arrays and None


class Contribution(NamedTuple):
    """What one visit adds at one place.

    number : of the node's input that this is the gradient of
    edge : where it goes: a Node, an Output of a node with several, or a leaf Tensor
    gx : the gradient, of the shape of that place: dense, and summed over what was broadcast
    total : the sum at that place once this is added; later ones may follow
    """

    number: int
    edge: Any
    gx: Array
    total: Array


class Visit:
    """One node's turn in the backward pass.

    node : the engine's node
    arrived : the whole gradient of its output, as it was added up; for a node with several outputs
        a tuple, None for those that none reached
    g : what its rules were given: `arrived`, or what hooks made of it
    contributions : what it passed on, in the order of the inputs
    """

    __slots__ = ("arrived", "contributions", "g", "node")

    def __init__(self, node: Node, arrived: Gradient) -> None:
        self.node = node
        self.arrived = arrived
        self.g = arrived
        self.contributions: list[Contribution] = []

    def __repr__(self) -> str:
        return f"<Visit of {self.node!r}: {len(self.contributions)} contributions>"


class Trace(list[Visit]):
    """The visits of a backward pass in their order.

    leaves : each leaf that was reached, with the gradient that `backward` would add to its `.grad`
        (behind the leaf's hooks)
    """

    leaves: list[tuple[Tensor, Array]]


def trace(outputs: Any, gradient: Any = None) -> Trace:
    """The backward pass of `outputs`, visit by visit, in the order in which it really goes.

    outputs, gradient : as for `autograd.backward`; a Tensor or a list, gradients 1 for scalars
    Hooks of tensors (`register_hook`) and the backward of a `Function` are called, because the
    gradients depend on them; what they do besides, they do. Hooks that follow an accumulation are
    not, as nothing is accumulated. A checkpoint runs its part of the forward pass again, and keeps
    what that saved.
    Every contribution is kept; `follow_trace` takes them one visit at a time.
    Raises as `autograd.backward`: RuntimeError for a graph that was freed, or a value changed
    since.

    >>> import tinytensor as tt
    >>> x = tt.tensor(3.0, requires_grad=True)
    >>> for visit in trace(x * x + x):
    ...     print(visit.node.op.name, [(c.gx.item(), c.total.item()) for c in visit.contributions])
    add [(1.0, 1.0), (1.0, 1.0)]
    mul [(3.0, 4.0), (3.0, 7.0)]
    """
    visits = Trace()
    visits.leaves = follow_trace(outputs, gradient, visits.append)
    return visits


def follow_trace(
    outputs: Any, gradient: Any, visitor: Callable[[Visit], None]
) -> list[tuple[Tensor, Array]]:
    """As `trace`, but hand each visit to `visitor` when it is done, and keep none.

    The visitor is called within the pass: it gets arrays, which are not to be changed, and does
    nothing with Tensors. Returns what `Trace.leaves` holds.
    """
    roots = outputs_of("trace", outputs)
    starts = starting_gradients(roots, gradient, False, "trace")
    walk = _TracedWalk(visitor)
    for root, start in zip(roots, starts, strict=True):
        walk.arrive(edge_of(root), np.array(start), None)
    mode = threads.mode
    outer = mode.looking
    mode.looking = True
    try:
        follow(walk, mode)
    finally:
        mode.looking = outer
    return [(leaf, np.asarray(value)) for leaf, value, _ in walk.found.values()]


class _TracedWalk(Walk):
    """A walk that tells of every visit."""

    quick = False

    def __init__(self, visitor: Callable[[Visit], None]) -> None:
        super().__init__(create_graph=False, retain_graph=True, goals=None)
        self.visitor = visitor
        self.visit: Visit | None = None
        self.inputs = 0  # how many inputs of the visited node have had their turn
        self.without: set[int] = set()  # its inputs for which it gave no gradient

    def _next(self) -> list[Any] | None:
        if self.visit is not None:
            self.visitor(self.visit)
        held = super()._next()
        if held is None:
            self.visit = None
            return None
        node, g, _ = held
        if type(g) is list:
            g = tuple(None if part is None else np.asarray(part[1]) for part in g)
        else:
            g = np.asarray(g)
        self.visit = Visit(node, g)
        self.inputs = 0
        self.without = set()
        return held

    def _tell(self, node: Node, g: Any) -> None:
        """A tensor that retains its gradient is not given this one."""
        assert self.visit is not None
        self.visit.g = g

    def _pass_on(self, node: Node, gradients: Sequence[Any]) -> None:
        self.without = {index for index, gx in enumerate(gradients) if gx is None}
        super()._pass_on(node, gradients)

    def arrive(self, edge: Any, g: Any, source: Node | None) -> None:
        if source is None:  # the gradient that the pass starts from
            super().arrive(edge, g, None)
            return
        if type(g) is IndexedGradient:
            gx = g.dense()
            super().arrive(edge, g, source)
        else:
            shape = _shape_at(edge)
            gx = g if g.shape == shape else summed_to(g, shape, source)
            super().arrive(edge, gx, source)
        assert self.visit is not None
        contribution = Contribution(self._index(source, edge), edge, gx, self._total(edge))
        self.visit.contributions.append(contribution)

    def _index(self, source: Node, edge: Any) -> int:
        """The number of the input whose turn it is: two may lead to one place, as in a * a."""
        index = self.inputs
        while source.edges[index] is not edge or index in self.without:
            index += 1
        self.inputs = index + 1
        return index

    def _total(self, edge: Any) -> Array:
        """What has been added up where an edge leads; a copy where more may be added to it."""
        if type(edge) is Node:
            held = self.waiting[edge.number]
        elif type(edge) is Output:
            held = self.waiting[edge.node.number][1][edge.index]
        else:
            held = self.found[id(edge)]
        _, total, owned = held
        return np.array(total) if owned else np.asarray(total)


def _shape_at(edge: Any) -> tuple[int, ...]:
    """The shape of the value that an edge leads to."""
    shape: Any
    if type(edge) is Node:
        shape = edge.shape
    elif type(edge) is Output:
        shape = edge.node.shape[edge.index]
    else:
        shape = edge._array.shape
    return tuple(shape)
