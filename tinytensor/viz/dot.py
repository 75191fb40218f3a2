"""A `Graph` written in Graphviz's DOT language: text in, text out, no layout.

Names in a model are anybody's text, so whatever reaches a label goes through `quoted`. Every node
has its id ("n0") and its kind as a class, for those who style or script the SVG.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from .structure import Cluster, Edge, Graph, Node

Attributes = dict[str, str]

DIRECTIONS = ("TB", "BT", "LR", "RL")

# How many values of a node are listed one by one in its label.
_LISTED = 8

# Beyond this many nodes dot spends less on straight and short edges: it takes half the time.
_HURRY = 400


class _Style(NamedTuple):
    """What the legend calls one sort of node, and how it looks."""

    name: str
    look: Attributes


# Shapes differ as well as colours. The hues are those of Okabe and Ito (2008), which people with
# any kind of colour blindness can tell apart, as outlines; the fills are pale forms of them.
_STYLES = {
    "output": _Style(
        "output",
        {
            "shape": "ellipse",
            "style": "filled",
            "fillcolor": "#fde3cf",
            "color": "#d55e00",
            "margin": "0.02",
        },
    ),
    "operation": _Style(
        "operation",
        {"shape": "box", "style": "rounded,filled", "fillcolor": "#ffffff", "color": "#555555"},
    ),
    "kernel": _Style(
        "kernel: many\noperations in one",
        {
            "shape": "box",
            "style": "filled",
            "fillcolor": "#ffffff",
            "color": "#555555",
            "peripheries": "2",
        },
    ),
    "backward": _Style(
        "operation of an\nearlier backward pass",
        {"shape": "box", "style": "rounded,filled", "fillcolor": "#f6e1ee", "color": "#a8407f"},
    ),
    "parameter": _Style(
        "parameter",
        {"shape": "cylinder", "style": "filled", "fillcolor": "#d3e8f5", "color": "#0072b2"},
    ),
    "input": _Style(
        "input",
        {
            "shape": "hexagon",
            "style": "filled",
            "fillcolor": "#d5efe5",
            "color": "#009e73",
            "margin": "0",
        },
    ),
    "saved": _Style(
        "saved value",
        {"shape": "note", "style": "filled", "fillcolor": "#fcf6c5", "color": "#8a7d00"},
    ),
}

_CLUSTER_FILLS = {
    "module": "#eef1f4",
    "layer": "#e4e9ee",
    "direction": "#eef1f4",
    "step": "#f8f9fa",
    "scope": "#f3f0ea",
}

# One name and not a list: engines without fonts measure text by the tables of a few known names.
_FONT = "Helvetica"


def to_text(
    graph: Graph,
    *,
    show_shapes: bool = True,
    direction: str = "TB",
    title: str | None = None,
) -> str:
    """The DOT text of a drawing; see `viz.graph` for the arguments."""
    body = "".join(body_lines(graph, show_shapes=show_shapes, direction=direction, title=title))
    return f"digraph {{\n{body}}}\n"


def body_lines(
    graph: Graph, *, show_shapes: bool, direction: str, title: str | None
) -> Iterator[str]:
    """The lines between the outer braces."""
    if direction not in DIRECTIONS:
        raise ValueError(
            f"graph: expected direction to be one of {', '.join(DIRECTIONS)}, got {direction!r}"
        )
    yield from _header(graph, direction, title)
    yield from _legend(graph, direction)
    yield from _nodes_in_clusters(graph, show_shapes, direction)
    for number, edge in enumerate(graph.edges):
        yield _edge(edge, number, graph)


def quoted(*lines: str) -> str:
    """A DOT string that a label draws as exactly these lines of text.

    Characters that do not print (and line breaks within a line) show as escapes. "&" is written as
    an entity because Graphviz decodes entities in labels.
    """
    return _string(lines, backslash=r"\\")


def quoted_tooltip(*lines: str) -> str:
    """As `quoted`, for a tooltip: there Graphviz reads escapes twice."""
    return _string(lines, backslash=r"\\\\")


def _string(lines: tuple[str, ...], backslash: str) -> str:
    texts = []
    for line in lines:
        visible = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
        visible = visible.replace("&", "&amp;").replace("\\", backslash).replace('"', r"\"")
        texts.append(visible)
    return '"' + r"\n".join(texts) + '"'


def _attributes(plain: Attributes, **written: str) -> str:
    """An attribute list of values to be quoted and of DOT strings that already are."""
    parts = [f"{name}={text}" for name, text in written.items()]
    parts.extend(f'{name}="{value}"' for name, value in plain.items())
    return f"[{' '.join(parts)}]"


# -- the frame -------------------------------------------------------------------------------------


def _header(graph: Graph, direction: str, title: str | None) -> Iterator[str]:
    lines = [] if title is None else [title]
    lines.append("Backward graph: arrows point the way the gradient flows")
    if any(edge.kind == "kept" for edge in graph.edges):
        lines.append("dashed lines: saved values, no gradient flows there")
    layout = {
        "rankdir": direction,
        "labelloc": "t",
        "fontname": _FONT,
        "fontsize": "13",
        "nodesep": "0.25",
        "ranksep": "0.35",
    }
    if len(graph.nodes) > _HURRY:
        layout.update(nslimit="1", nslimit1="1", mclimit="0.3")
    yield f"\tgraph {_attributes(layout, label=quoted(*lines))}\n"
    plain = {**_STYLES["operation"].look, "fontname": _FONT, "fontsize": "11"}
    yield f"\tnode {_attributes({**plain, 'height': '0.3', 'margin': '0.12,0.06'})}\n"
    edge = {"color": "#555555", "fontname": _FONT, "fontsize": "9", "arrowsize": "0.7"}
    yield f"\tedge {_attributes(edge)}\n"


def _legend(graph: Graph, direction: str) -> Iterator[str]:
    """A sample of each sort of node that the drawing has, one below the other."""
    used = {_sort(node) for node in graph.nodes}
    sorts = [sort for sort in _STYLES if sort in used]
    yield "\tsubgraph cluster_legend {\n"
    frame = {"label": "legend", "style": "rounded", "color": "#bbbbbb", "fontsize": "11"}
    yield f"\t\tgraph {_attributes(frame)}\n"
    for sort in sorts:
        style = _STYLES[sort]
        name = quoted(*style.name.split("\n"))
        yield f"\t\tlegend_{sort} {_attributes({**style.look, 'fontsize': '10'}, label=name)}\n"
    # In a drawing that leads down each sample is a rank of its own. In one that leads sideways they
    # share a rank, which Graphviz fills from the bottom.
    chain = " -> ".join(f"legend_{sort}" for sort in (sorts if direction == "TB" else sorts[::-1]))
    sideways = direction in ("LR", "RL")
    yield f"\t\t{{ {'rank=same ' if sideways else ''}{chain} [style=invis] }}\n"
    yield "\t}\n"


# -- nodes, edges, clusters ------------------------------------------------------------------------


def _sort(node: Node) -> str:
    """Which style a node has."""
    if node.kind != "operation":
        return node.kind
    if node.kernel:
        return "kernel"
    return "backward" if node.phase == "backward" else "operation"


def _nodes_in_clusters(graph: Graph, show_shapes: bool, direction: str) -> Iterator[str]:
    """All nodes, each inside its clusters."""
    members: dict[int | None, list[Node]] = {}
    for node in graph.nodes:
        members.setdefault(node.cluster, []).append(node)
    children: dict[int | None, list[Cluster]] = {}
    for inner in graph.clusters:
        children.setdefault(inner.parent, []).append(inner)
    for node in members.get(None, ()):
        yield f"\t{_node(node, graph, show_shapes)}"
    waiting = [iter(children.get(None, ()))]  # for each open cluster those inside it yet to come
    while waiting:
        indent = "\t" * len(waiting)
        cluster = next(waiting[-1], None)
        if cluster is None:
            waiting.pop()
            if waiting:
                yield f"{indent[1:]}}}\n"
            continue
        yield f"{indent}subgraph cluster_{cluster.number} {{\n"
        yield f"{indent}\tgraph {_cluster(cluster, direction)}\n"
        for node in members.get(cluster.number, ()):
            yield f"{indent}\t{_node(node, graph, show_shapes)}"
        waiting.append(iter(children.get(cluster.number, ())))


def _cluster(cluster: Cluster, direction: str) -> str:
    label = cluster.label
    if cluster.phase == "backward" and cluster.parent is None:
        label += ", backward pass"
    look = {
        "id": f"c{cluster.number}",
        "class": cluster.kind,
        "labeljust": "r" if direction == "RL" else "l",  # on the left: RL mirrors it
        "fontsize": "11",
        "style": "rounded,filled",
        "fillcolor": _CLUSTER_FILLS.get(cluster.kind, _CLUSTER_FILLS["scope"]),
        "color": "#9aa5b1",
    }
    tooltip = quoted_tooltip(cluster.path or label)
    return _attributes(look, label=quoted(label), tooltip=tooltip)


def _node(node: Node, graph: Graph, show_shapes: bool) -> str:
    sort = _sort(node)
    look = {"id": node.id, "class": sort}
    if sort != "operation":
        look.update(_STYLES[sort].look)
    if node.note:
        look["style"] = "filled,dashed"
    label = quoted(*_label(node, show_shapes))
    tooltip = quoted_tooltip(*_tooltip(node, graph))
    return f"{node.id} {_attributes(look, label=label, tooltip=tooltip)}\n"


def _label(node: Node, show_shapes: bool) -> Iterator[str]:
    if node.kind != "saved" or not node.values:
        yield node.name
    if show_shapes or node.kind == "saved":
        yield from _value_lines(node, show_shapes)
    if node.note:
        yield node.note


def _value_lines(node: Node, show_shapes: bool) -> Iterator[str]:
    """A line for each value of a node; one for all outputs of a kind if there are many."""
    values = node.values
    if node.kind == "operation" and len(values) > _LISTED and len({v.shape for v in values}) == 1:
        yield f"{len(values)} outputs {_shape(values[0].shape)}"
        return
    for value in values[:_LISTED]:
        yield f"{value.name} {_shape(value.shape) if show_shapes else ''}".strip()
    if len(values) > _LISTED:
        yield f"and {len(values) - _LISTED} more"


def _shape(shape: tuple[int, ...]) -> str:
    return str(shape) if shape else "scalar"


def _tooltip(node: Node, graph: Graph) -> Iterator[str]:
    sort = _sort(node)
    kind = _STYLES[sort].name.replace("\n", " ")
    yield f"{node.name}: {kind}"
    for value in node.values[:_LISTED]:
        yield f"{value.name} {_shape(value.shape)} {value.dtype}".strip()
    place = graph.place(node)
    if place:
        yield f"in {place}"


def _edge(edge: Edge, number: int, graph: Graph) -> str:
    look = {"id": f"e{number}"}
    written = {}
    if edge.kind == "kept":
        look.update(style="dashed", arrowhead="none")
    if edge.output:
        written["label"] = quoted(edge.output)
    if edge.operand:
        source = graph.nodes[edge.source].name
        written["tooltip"] = quoted_tooltip(f"{source}: gradient of {edge.operand}")
    return f"\tn{edge.source} -> n{edge.target} {_attributes(look, **written)}\n"
