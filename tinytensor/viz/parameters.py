"""Parameters drawn once, or once in each cluster that uses them, next to what does."""

from __future__ import annotations

from dataclasses import replace

from .structure import Edge, Graph, Node

PARAMETERS = ("once", "cluster")


def drawn_parameters(graph: Graph, parameters: str = "once") -> tuple[Graph, dict[int, int]]:
    """The graph with its parameters drawn so often, and for each copy the number of the original.

    parameters : "once", or "cluster": a node for each innermost cluster with operations that use
        the parameter, so that no edge to it leaves that cluster. All nodes keep their numbers; the
        copies come last. For what uses it outside of all clusters it stays where it is
    Raises ValueError for anything else.
    """
    if parameters not in PARAMETERS:
        raise ValueError(
            f"graph: expected parameters to be one of {', '.join(PARAMETERS)}, got {parameters!r}"
        )
    if parameters == "once":
        return graph, {}
    nodes: list[Node] = list(graph.nodes)
    edges: list[Edge] = []
    originals: dict[int, int] = {}
    homes: dict[tuple[int, int | None], int] = {}  # a parameter and a cluster -> its node there
    settled: set[int] = set()
    for edge in graph.edges:
        target = graph.nodes[edge.target]
        if target.kind == "parameter":
            home = graph.nodes[edge.source].cluster
            if home is None:
                home = target.cluster
            number = homes.get((edge.target, home))
            if number is None:
                number = edge.target
                if number in settled:
                    number = len(nodes)
                    originals[number] = edge.target
                    nodes.append(target)
                nodes[number] = replace(target, number=number, cluster=home)
                settled.add(number)
                homes[edge.target, home] = number
            edge = replace(edge, target=number)
        edges.append(edge)
    return replace(graph, nodes=tuple(nodes), edges=tuple(edges)), originals
