"""Which way the arrows of a drawing point, in each of its views."""

from __future__ import annotations

from .looks import Attributes
from .structure import Edge, Graph

# What the picture says about its arrows.
VIEWS = {
    "backward": "Backward graph: arrows point the way the gradient flows",
    "forward": "Forward graph: arrows point the way the values flow",
    "both": "Forward and backward graph: grey arrows point the way the values flow, "
    "purple ones the way the gradient flows",
    "overlaid": "Forward and backward graph: solid arrows point the way the values flow, "
    "dashed ones the way the gradient flows",
}

_TIED = 40  # nodes

_GRADIENT = "#a8407f"


def is_turned(edge: Edge, graph: Graph, view: str) -> bool:
    """Whether an arrow is written from target to source.

    In the backward view none is, in the forward view each. In that of both the outputs stand at
    one end: values flow towards them and gradients away from them.
    """
    if edge.kind == "caused" or view in ("backward", "overlaid"):
        return False
    return view == "forward" or _belongs(edge, graph) != "forward"


def in_both(edge: Edge, graph: Graph) -> dict[str, str]:
    """The look of an edge in the view of both passes."""
    where = _belongs(edge, graph)
    if where == "forward":
        return {"dir": "back"}
    if where == "backward":
        return {"color": _GRADIENT}
    return {"color": "#b8b8b8", "constraint": "false", "arrowsize": "0.5"}


def overlaid(edge: Edge, look: Attributes, differs: bool) -> list[Attributes]:
    """The looks of the arrows that an edge is in the overlaid view: the value's, the gradient's.

    differs : whether its colour says which of two graphs has it
    """
    if edge.kind == "kept":
        return [{**look, "style": "dotted"}]
    own = {"id": f"{look['id']}g", "style": "dashed"}
    if edge.kind == "cut":
        value = {key: look[key] for key in ("id", "color") if key == "id" or differs}
        return [{**value, "dir": "back"}, {**look, **own}]
    if not differs:
        own["color"] = _GRADIENT
    kept = ("color", "constraint", "headport", "tailport")
    return [{**look, "dir": "back"}, {key: look[key] for key in kept if key in look} | own]


def anchor_of(graph: Graph) -> int | None:
    """The number of the first edge from the forward to the backward pass.

    It ties their beginnings to each other, so that they stand side by side. None in a large
    drawing: there dot fails with such ties (several layers in both directions).
    """
    if len(graph.nodes) > _TIED:
        return None
    caused = [number for number, edge in enumerate(graph.edges) if edge.kind == "caused"]
    return max(caused, key=lambda number: graph.edges[number].target, default=None)


def _belongs(edge: Edge, graph: Graph) -> str:
    """To the graph of which pass an edge belongs; "value" if the backward pass reads a value."""
    source, target = graph.nodes[edge.source], graph.nodes[edge.target]
    if target.kind == "operation" and target.phase == "backward":
        return "backward"
    if source.kind == "operation" and source.phase == "backward":
        return "value"
    return "forward"
