"""A `Graph` as plain text, for where no picture can be shown."""

from __future__ import annotations

from .structure import Graph, Node

_LONGEST = 100  # nodes; a longer listing helps nobody


def to_listing(graph: Graph) -> str:
    """One line a node, in the order of the backward pass: what it is, where, where it leads."""
    targets: dict[int, list[str]] = {}
    for edge in graph.edges:
        targets.setdefault(edge.source, []).append(f"n{edge.target}")
    width = len(f"n{len(graph.nodes)}")
    lines = [f"Backward graph: {len(graph.nodes):,} nodes, {len(graph.edges):,} edges"]
    for node in graph.nodes[:_LONGEST]:
        lines.append(f"{node.id:<{width}}  {_line(node, graph, targets.get(node.number, []))}")
    left_out = len(graph.nodes) - _LONGEST
    if left_out > 0:
        lines.append(f"... and {left_out:,} more; .source has them all as DOT text")
    return "\n".join(lines)


def _line(node: Node, graph: Graph, targets: list[str]) -> str:
    shapes = ", ".join(f"{value.name} {value.shape}".strip() for value in node.values)
    kind = "" if node.kind == "operation" else f"{node.kind} "
    parts = [f"{kind}{node.name} {shapes}".strip()]
    if node.note:
        parts.append(f"({node.note})")
    place = graph.place(node)
    if place:
        parts.append(f"[{place}]")
    if targets:
        parts.append("-> " + ", ".join(targets))
    return " ".join(parts)
