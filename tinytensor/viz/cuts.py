"""Where a value of the graph was cut off: used, but so that no gradient flows back to it.

The graph has no edge for that. But a value that was taken out of it, by `.detach()`, `.data`,
`.detach_()` or under `no_grad`, knows where it came from, and so does what is computed from it (see
`origins`), so that each use of it is known. It is drawn as an edge of kind "cut"

- to the operation or leaf that the value came from, if that is part of the drawing;
- else, as that graph is gone or is not reached from the outputs, to a node that says "detached" and
  from what. The uses of one value share such a node, and so do all that were computed under
  `no_grad` if no more is known of them.

Plain data is cut off from nothing, nor is what can't have a gradient: a comparison, an integer, a
number (`.item()`), an array (`.numpy()`). What is computed under `no_grad` is known to be that, and
within `keep_values` also where it came from; a view always knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Any

from ..autograd.node import Node as Recorded
from ..origins import Origin, Origins
from ..tensor import Tensor
from .recorded import operand_name, output_name
from .structure import Edge, Graph, Node

_NAMED = 3  # of the places that a value came from, if none is drawn


def with_cuts(graph: Graph, sources: Sequence[Any]) -> Graph:
    """The drawing with an edge of kind "cut" from each use of a value that was cut off.

    graph, sources : from `extract_with_sources`. It is returned as it is if there is no cut. Nodes
        for what came from elsewhere are last.
    """
    uses = list(_uses(graph, sources))
    if not uses:
        return graph
    numbers = {
        _key(source): node.number
        for node, source in zip(graph.nodes, sources, strict=True)
        if node.kind not in ("saved", "output")
    }
    nodes = list(graph.nodes)
    found: dict[tuple[int, int, str, str], Edge] = {}
    elsewhere: dict[int, int] = {}  # id of the origins that are not all drawn -> their node
    for number, operand, origins in uses:
        texts = set()
        for origin, parts in origins.items():
            target, output = _place(origin, numbers)
            if target is None and parts is not None and len(parts.rows) == 1:
                target, output = _place_of_row(parts.rows[0], numbers)
            if target is None:
                texts.add(_text(origin))
            else:
                key = (number, target, operand, output)
                found[key] = Edge(number, target, "cut", operand, output)
        if texts:
            target = elsewhere.setdefault(id(origins), len(nodes))
            if target == len(nodes):
                nodes.append(Node(target, "input", "detached", (), note=_note(texts)))
            found[number, target, operand, ""] = Edge(number, target, "cut", operand)
    edges = sorted((*graph.edges, *found.values()), key=attrgetter("source"))
    return replace(graph, nodes=tuple(nodes), edges=tuple(edges))


def _uses(graph: Graph, sources: Sequence[Any]) -> Iterator[tuple[int, str, Origins]]:
    """Each use of a value that was cut off: a node, what it calls the value, where that is from."""
    for node, source in zip(graph.nodes, sources, strict=True):
        if node.kind == "operation":
            for index, origins in enumerate(source.cuts or ()):
                if origins is not None:
                    yield node.number, operand_name(source, index), origins
        elif node.kind == "output":
            if source._origins is not None and not source.requires_grad:
                yield node.number, "", source._origins
        elif node.kind != "saved" and source._origins is not None and source.requires_grad:
            yield node.number, "", source._origins  # y.detach().requires_grad_() is a leaf


def _key(source: Any) -> Any:
    return source if isinstance(source, Recorded) else id(source)


def _place(origin: Origin, numbers: dict[Any, int]) -> tuple[int | None, str]:
    """The node of the drawing, if there is one, that a value came from, and its output's name."""
    reference, index, *_ = origin
    source: Any = None if reference is None else reference()
    number = None if source is None else numbers.get(_key(source))
    if number is None or isinstance(source, Tensor) or not isinstance(source.dtype, tuple):
        return number, ""
    return number, output_name(source, index)


def _place_of_row(row: Origins | None, numbers: dict[Any, int]) -> tuple[int | None, str]:
    """The same for what a value was a moved copy of."""
    return _place(next(iter(row)), numbers) if row else (None, "")


def _text(origin: Origin) -> str:
    """Where a value came from, in words, if that is not drawn."""
    reference, index, op, scope = origin
    if isinstance(op, str):
        return op
    if op is None:
        leaf = None if reference is None else reference()
        label = getattr(leaf, "_label", None)
        return f"from {label.path}" if label is not None and label.path else "from a leaf"
    outputs = getattr(op, "outputs", ())
    name = f"{outputs[index]} of {op.name}" if index < len(outputs) else op.name
    return f"from {name}" if scope is None else f"from {name} in {scope!r}"


def _note(texts: set[str]) -> str:
    ordered = sorted(texts)
    rest = len(ordered) - _NAMED
    return ", ".join(ordered[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")
