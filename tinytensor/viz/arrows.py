"""Which way the arrows of a drawing point, in each of its views."""

from __future__ import annotations

from .structure import Edge, Graph

_TIED = 40  # nodes


def is_turned(edge: Edge, graph: Graph, view: str) -> bool:
    """Whether an arrow is written from target to source.

    In the backward view none is, in the forward view each. In that of both the outputs stand at
    one end: values flow towards them and gradients away from them.
    """
    if edge.kind == "caused" or view == "backward":
        return False
    return view == "forward" or _belongs(edge, graph) != "forward"


def in_both(edge: Edge, graph: Graph) -> dict[str, str]:
    """The look of an edge in the view of both passes."""
    where = _belongs(edge, graph)
    if where == "forward":
        return {"dir": "back"}
    if where == "backward":
        return {"color": "#a8407f"}
    return {"color": "#b8b8b8", "constraint": "false", "arrowsize": "0.5"}


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
