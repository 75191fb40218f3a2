"""A `Graph` written in Graphviz's DOT language: text in, text out, no layout.

Names in a model are anybody's text, so whatever reaches a label goes through `quoted`. Every node
has its id ("n0") and its kind as a class, for those who style or script the SVG.
"""

from __future__ import annotations

from collections.abc import Iterator

from .arrows import VIEWS, anchor_of, in_both, is_turned, overlaid
from .diagram import source_port, table, target_port
from .looks import (
    BLOCK,
    CAUSED,
    CLUSTER_FILLS,
    CUT,
    MARKED,
    MARKED_NODE,
    PILE,
    PILE_FRAME,
    RECURRENT,
    SAME,
    SAME_NODE,
    SIGNS,
    STYLES,
    heated,
    scale_of_heats,
)
from .parameters import drawn_parameters
from .structure import Cluster, Edge, Graph, Node
from .text import attributes, quoted, quoted_tooltip

DIRECTIONS = ("TB", "BT", "LR", "RL")

# How many values of a node are listed one by one in its label.
_LISTED = 8

# Beyond this many nodes dot spends less on straight and short edges, and of time steps only those
# beside a block stand in a line with it: a tall drawing with many edges takes it far longer.
_HURRY = 400


# One name and not a list: engines without fonts measure text by the tables of a few known names.
_FONT = "Helvetica"


def to_text(
    graph: Graph,
    *,
    show_shapes: bool = True,
    direction: str = "TB",
    title: str | None = None,
    view: str = "backward",
    names: tuple[str, str] | None = None,
    parameters: str = "once",
) -> str:
    """The DOT text of a drawing; see `viz.graph` for the arguments."""
    lines = body_lines(
        graph,
        show_shapes=show_shapes,
        direction=direction,
        title=title,
        view=view,
        names=names,
        parameters=parameters,
    )
    return f"digraph {{\n{''.join(lines)}}}\n"


def body_lines(
    graph: Graph,
    *,
    show_shapes: bool,
    direction: str,
    title: str | None,
    view: str = "backward",
    names: tuple[str, str] | None = None,
    parameters: str = "once",
) -> Iterator[str]:
    """The lines between the outer braces.

    names : in the difference of two graphs what they are called, else None
    """
    _check("direction", direction, DIRECTIONS)
    _check("view", view, tuple(VIEWS))
    graph, copies = drawn_parameters(graph, parameters)
    yield from _header(graph, direction, title, view, bool(copies))
    yield from _legend(graph, direction, names)
    differs = names is not None
    yield from _nodes_in_clusters(graph, show_shapes, direction, view, differs)
    anchor = anchor_of(graph)
    for number, edge in enumerate(graph.edges):
        yield _edge(edge, number, graph, direction, view, differs, number == anchor)


def _check(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"graph: expected {name} to be one of {', '.join(allowed)}, got {value!r}")


# -- the frame -------------------------------------------------------------------------------------


def _header(
    graph: Graph, direction: str, title: str | None, view: str, copies: bool
) -> Iterator[str]:
    lines = [] if title is None else [title]
    lines.append(VIEWS[view])
    kinds = {edge.kind for edge in graph.edges}
    if "kept" in kinds:
        style = "dotted" if view == "overlaid" else "dashed"
        lines.append(f"{style} lines: saved values, no gradient flows there")
    if "cut" in kinds:
        lines.append("✂: detached, no gradient flows there")
    if "caused" in kinds:
        lines.append("dotted: from an operation to those that its visit in the backward pass made")
    if copies:
        lines.append("parameters: drawn in each frame that uses them")
    if graph.full is not None:
        whole = f"{len(graph.full.nodes):,} nodes in all"
        lines.append(f"×N: N time steps that do the same, drawn once ({whole})")
    layout = {
        "rankdir": direction,
        "labelloc": "t",
        "fontname": _FONT,
        "fontsize": "13",
        "nodesep": "0.25",
        "ranksep": "0.35",
    }
    if view != "both" and any(node.parts for node in graph.nodes):
        # Else dot may put frames of one node side by side. With both passes it then fails instead.
        layout["newrank"] = "true"
    if len(graph.nodes) > _HURRY:
        layout.update(nslimit="1", nslimit1="1", mclimit="0.3")
    yield f"\tgraph {attributes(layout, label=quoted(*lines))}\n"
    plain = {**STYLES["operation"].look, "fontname": _FONT, "fontsize": "11"}
    yield f"\tnode {attributes({**plain, 'height': '0.3', 'margin': '0.12,0.06'})}\n"
    edge = {"color": "#555555", "fontname": _FONT, "fontsize": "9", "arrowsize": "0.7"}
    yield f"\tedge {attributes(edge)}\n"


def _legend(graph: Graph, direction: str, names: tuple[str, str] | None) -> Iterator[str]:
    """A sample of each sort of node that the drawing has, one below the other."""
    used = {_sort(node) for node in graph.nodes}
    sorts = [sort for sort in STYLES if sort in used]
    yield "\tsubgraph cluster_legend {\n"
    frame = {"label": "legend", "style": "rounded", "color": "#bbbbbb", "fontsize": "11"}
    yield f"\t\tgraph {attributes(frame)}\n"
    for sort in sorts:
        style = STYLES[sort]
        name = quoted(*style.name.split("\n"))
        yield f"\t\tlegend_{sort} {attributes({**style.look, 'fontsize': '10'}, label=name)}\n"
    if any(node.heat is not None for node in graph.nodes):
        yield f"\t\tlegend_scale {attributes(scale_of_heats(), label=quoted())}\n"
        text = quoted(*(graph.scale or "heat, low to high").split(", "))
        yield f"\t\tlegend_heat {attributes({'shape': 'plain', 'fontsize': '10'}, label=text)}\n"
        sorts += ["scale", "heat"]
    for mark, given, sort in zip("-+", names or (), ("first", "second"), strict=False):
        look = {**MARKED_NODE[mark], "fontsize": "10"}
        label = quoted(f"{SIGNS[mark]} only", given)
        yield f"\t\tlegend_{sort} {attributes(look, label=label)}\n"
        sorts.append(sort)
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
    if node.phase == "backward":
        return "backward"
    if node.diagram is not None:
        return "cell"
    return "stretch" if node.parts else "operation"


def _nodes_in_clusters(
    graph: Graph, show_shapes: bool, direction: str, view: str, differs: bool
) -> Iterator[str]:
    """All nodes, each inside its clusters."""
    inwards = direction[::-1] if view == "forward" else direction  # from outputs to inputs
    members: dict[int | None, list[Node]] = {}
    for node in graph.nodes:
        members.setdefault(node.cluster, []).append(node)
    children: dict[int | None, list[Cluster]] = {}
    for inner in graph.clusters:
        children.setdefault(inner.parent, []).append(inner)
    for node in members.get(None, ()):
        yield f"\t{_node(node, graph, show_shapes, inwards, differs)}"
    waiting = [iter(children.get(None, ()))]  # for each open cluster those inside it yet to come
    ends: list[str] = []  # the braces that close it
    while waiting:
        indent = "\t" * len(waiting)
        cluster = next(waiting[-1], None)
        if cluster is None:
            waiting.pop()
            if waiting:
                yield f"{indent[1:]}{ends.pop()}\n"
            continue
        frames = PILE if cluster.kind == "block" else 0
        for frame in range(frames):
            look = attributes({**PILE_FRAME, "class": "pile"}, label=quoted(), tooltip=quoted())
            yield f"{indent}subgraph cluster_{cluster.number}_{frame} {{ graph {look}\n"
        ends.append("}" * (frames + 1))
        yield f"{indent}subgraph cluster_{cluster.number} {{\n"
        yield f"{indent}\tgraph {_cluster(cluster, graph, direction)}\n"
        for node in members.get(cluster.number, ()):
            yield f"{indent}\t{_node(node, graph, show_shapes, inwards, differs)}"
        waiting.append(iter(children.get(cluster.number, ())))


def _cluster(cluster: Cluster, graph: Graph, direction: str) -> str:
    label = cluster.label
    if cluster.phase == "backward" and cluster.parent is None:
        label += ", backward pass"
    look = {
        "id": f"c{cluster.number}",
        "class": cluster.kind,
        "labeljust": "r" if direction == "RL" else "l",  # on the left: RL mirrors it
        "fontsize": "11",
        "style": "rounded,filled",
        "fillcolor": CLUSTER_FILLS.get(cluster.kind, CLUSTER_FILLS["scope"]),
        "color": "#9aa5b1",
    }
    if cluster.kind == "block":
        look.update(BLOCK)
    elif cluster.parent is not None and graph.clusters[cluster.parent].kind == "block":
        look.update(fontname=_FONT, penwidth="1")  # not as the block around it
    tooltip = quoted_tooltip(cluster.path or label)
    return attributes(look, label=quoted(label), tooltip=tooltip)


def _node(node: Node, graph: Graph, show_shapes: bool, inwards: str, differs: bool) -> str:
    sort = _sort(node)
    look = {"id": node.id, "class": sort}
    if sort != "operation":
        look.update(STYLES[sort].look)
    if node.note:
        look["style"] = "filled,dashed"
    if node.heat is not None:
        look.update(heated(node.heat))
    if differs:
        look.update(MARKED_NODE.get(node.mark, SAME_NODE))
    label = quoted(*_label(node, show_shapes))
    if node.diagram is not None:
        look["shape"] = "plain"
        shapes = {value.name: _shape(value.shape) for value in node.values if show_shapes}
        label = table(_label(node, show_shapes), node.diagram, shapes, inwards)
    tooltip = quoted_tooltip(*_tooltip(node, graph))
    return f"{node.id} {attributes(look, label=label, tooltip=tooltip)}\n"


def _label(node: Node, show_shapes: bool) -> Iterator[str]:
    if node.mark:
        yield f"{SIGNS[node.mark]} {node.name}"
    elif node.kind != "saved" or not node.values:
        yield node.name
    if (show_shapes or node.kind == "saved") and node.diagram is None:
        yield from _value_lines(node, show_shapes)
    if node.parts and node.diagram is None:
        yield f"{sum(count for _, count in node.parts):,} operations"
    yield from node.lines
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
    kind = STYLES[sort].name.replace("\n", " ")
    yield f"{node.name}: {kind}"
    for value in node.values[:_LISTED]:
        yield f"{value.name} {_shape(value.shape)} {value.dtype}".strip()
    if node.parts:
        each = (name if count == 1 else f"{name} ×{count:,}" for name, count in node.parts)
        yield f"made of {', '.join(each)}"
    place = graph.place(node)
    if place:
        yield f"in {place}"
    if node.count > 1:
        yield f"stands for {node.count:,} of the whole graph"


def _edge(
    edge: Edge,
    number: int,
    graph: Graph,
    direction: str,
    view: str,
    differs: bool,
    anchors: bool,
) -> str:
    look = {"id": f"e{number}"}
    written = {}
    source, target = edge.source, edge.target
    if edge.kind == "kept":
        look.update(style="dashed", arrowhead="none")
    elif edge.kind == "cut":
        look.update(style="dashed", **CUT)
    elif edge.kind == "caused":
        look.update(CAUSED, constraint=str(anchors).lower())
    elif view == "both":
        look.update(in_both(edge, graph))
    if edge.label:
        look.update(RECURRENT)
        later, before = graph.nodes[source].count, graph.nodes[target].count
        if later > 1 and before > 1:
            look["constraint"] = "false"  # it leads back, to the step before the block's own
        elif later != before or len(graph.nodes) <= _HURRY:
            look["weight"] = "100"  # steps stand one after the other
        if source == target:
            # One state loops on this side of the node, the next one on the other.
            sides = "ns" if direction in ("LR", "RL") else "ew"
            look.update(headport=sides[number % 2], tailport=sides[number % 2])
    if differs:
        look.update(MARKED.get(edge.mark, SAME))
    label = _edge_label(edge, graph)
    if label:
        written["label"] = quoted(label)
    if edge.operand:
        name = graph.nodes[source].name
        written["tooltip"] = quoted_tooltip(f"{name}: gradient of {edge.operand}")
    start = f"n{source}{source_port(graph.nodes[source].diagram, edge.operand)}"
    end = f"n{target}{target_port(graph.nodes[target].diagram, edge.output)}"
    if is_turned(edge, graph, view):
        start, end = end, start
    looks = overlaid(edge, look, differs) if view == "overlaid" else [look]
    text = ""
    for each in looks:
        text += f"\t{start} -> {end} {attributes(each, **written)}\n"
        written.pop("label", None)
    return text


def _edge_label(edge: Edge, graph: Graph) -> str:
    parts = [edge.label or edge.output]
    if edge.kind == "cut":
        parts.insert(0, "✂")
    within = graph.nodes[edge.source].count == graph.nodes[edge.target].count == edge.count
    if edge.count > 1 and not within:
        parts.append(f"×{edge.count:,}")
    if edge.mark:
        parts.insert(0, SIGNS[edge.mark])
    text = " ".join(part for part in parts if part)
    # Graphviz writes a label close to its arrow; the space keeps the two apart.
    return f" {text}" if text != edge.output else text
