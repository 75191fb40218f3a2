"""The graph: a node for each recorded operation, edges to what its inputs came from."""

from __future__ import annotations

from typing import Any

from ..tensor import Size, Tensor
from .hooks import Watchers


class Node:
    """One recorded operation: where its inputs came from and what its derivative needs.

    op : the Primitive or Kernel
    plan : which rules run and what they need kept (see primitive.Plan); None for a kernel
    edges : for each input where its gradient goes: a Node, an `Output` of one with several, a leaf
        Tensor, or None where no gradient is wanted. The output itself is never held.
    saved : the values that the rules need, as plain arrays; None once they were freed
    kept : for each saved value what tells whether it was changed since: (storage, version) for an
        array, a list of such pairs for several, None for what can't change; () if that is all
    shape, dtype : of the output, or one for each of several outputs
    number : creation number; an input's is always lower, so that sorting by it orders the backward
    scope, phase : where and when it was recorded
    watchers : who wants the gradient of an output (hooks.Watchers), or None
    cuts : for each input without an edge where it was cut off (see origins), or None; None if no
        input has any
    """

    __slots__ = (
        "__weakref__", "cuts", "dtype", "edges", "kept", "number", "op", "phase", "plan", "saved",
        "scope", "shape", "watchers",
    )  # fmt: skip

    op: Any
    plan: Any
    edges: tuple[Any, ...]
    saved: Any
    kept: tuple[Any, ...]
    shape: Any
    dtype: Any
    number: int
    scope: Any
    phase: str
    watchers: Any
    cuts: tuple[Any, ...] | None

    def name(self) -> str:
        """torch's way to call it: TanhBackward0."""
        if getattr(self.op, "asks_user", False):  # a class of the user's
            return f"{self.op.name}Backward"
        words = self.op.name.split("_")
        return "".join(word[:1].upper() + word[1:] for word in words) + "Backward0"

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """(node, output number) of each input, as in torch; a leaf's node is `AccumulateGrad`."""
        return tuple(_as_function(edge) for edge in self.edges)

    def __repr__(self) -> str:
        return f"<{self.name()} {self.shape}>"


class Output:
    """One of several outputs of a node."""

    __slots__ = ("index", "node")

    def __init__(self, node: Node, index: int) -> None:
        self.node = node
        self.index = index

    def name(self) -> str:
        return self.node.name()

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        return self.node.next_functions

    def __repr__(self) -> str:
        return repr(self.node)


class AccumulateGrad:
    """The end of the graph at a leaf, for people who walk `next_functions`."""

    __slots__ = ("variable",)
    next_functions: tuple[Any, ...] = ()

    def __init__(self, variable: Tensor) -> None:
        self.variable = variable

    def name(self) -> str:
        return "AccumulateGrad"

    def __repr__(self) -> str:
        return f"<AccumulateGrad {Size(self.variable.shape)}>"


def _as_function(edge: Any) -> tuple[Any, int]:
    if isinstance(edge, Output):
        return edge.node, edge.index
    if isinstance(edge, Tensor):
        return AccumulateGrad(edge), 0
    return edge, 0


def edge_of(tensor: Tensor) -> Any:
    """Where the gradient of a tensor goes: its node, itself if it is a leaf, nowhere (None)."""
    if tensor._view is not None:
        tensor._renew()
    if not tensor._requires_grad:
        return None
    return tensor if tensor._node is None else tensor._node


def set_edge(tensor: Tensor, edge: Any) -> None:
    """Give a tensor another history. What `retain_grad` asked for goes with the tensor; its hooks
    stay with the value that they were given to, as in torch.
    """
    before = node_of(tensor._node)
    tensor._node = edge
    tensor._requires_grad = edge is not None
    if before is not None and before.watchers is not None and before.watchers.release(tensor):
        watch(tensor)


def watchers_of(edge: Any) -> tuple[Watchers, int]:
    """The watchers of the node behind an edge, made if there are none, and the output's number."""
    node, index = (edge.node, edge.index) if isinstance(edge, Output) else (edge, 0)
    if node.watchers is None:
        node.watchers = Watchers()
    return node.watchers, index


def watch(tensor: Tensor) -> None:
    """Have the backward pass leave the gradient of a non-leaf tensor in its `.grad`."""
    if tensor._node is not None:
        watchers, index = watchers_of(tensor._node)
        watchers.retain(tensor, index)


def node_of(edge: Any) -> Node | None:
    """The node behind an edge; None behind a leaf."""
    if isinstance(edge, Output):
        return edge.node
    return edge if isinstance(edge, Node) else None
