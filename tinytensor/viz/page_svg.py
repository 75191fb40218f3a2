"""Graphviz's SVG made ready for the page: small, without ids, coloured by the style sheet.

Each node, edge and cluster becomes a group that says by data attributes what it is:

    <g class="node operation" data-node="3">    <g class="edge" data-from="3" data-to="5">
    <g class="cluster step" data-cluster="7" data-block="0" data-part="2">

It is read as XML and written anew from elements and attributes that are known, so that nothing else
gets into the page, whatever a name in the model says.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from .page_blocks import Frames
from .structure import Graph

_SVG = "{http://www.w3.org/2000/svg}"
_TOOLTIP = "{http://www.w3.org/1999/xlink}title"

_SHAPES = ("path", "polygon", "polyline", "ellipse", "text")
_KEPT = {
    *("cx", "cy", "d", "font-size", "font-weight", "points", "rx", "ry"),
    *("stroke-dasharray", "stroke-width", "text-anchor", "x", "y"),
}
# The style sheet gives these too.
_USUAL = ("middle", "11.00")

_FRACTION = re.compile(r"(\.\d)\d+")
_NUMBERED = re.compile(r"([nec])(\d+)")


def for_page(
    picture: bytes, graph: Graph, name: str, frames: Frames, originals: dict[int, int]
) -> str:
    """The text of an `<svg>` element.

    picture : the SVG that `dot` made of the graph; name : what a screen reader calls it
    frames : the clusters by which blocks are unfolded; see `page_blocks`
    originals : for each copy of a parameter the original's number, which they share on the page
    """
    root = ET.fromstring(picture)
    drawing = next(root.iter(f"{_SVG}g"))
    box = root.get("viewBox", "0 0 1 1")
    role = "group" if frames else "img"  # of an image a screen reader finds no parts
    svg = ET.Element("svg", {"viewBox": box, "role": role, "aria-label": name})
    moved = re.search(r"translate\([^)]*\)", drawing.get("transform", ""))
    inner = ET.SubElement(svg, "g", {"transform": moved.group() if moved else "translate(0 0)"})
    parts = list(drawing)
    if parts and parts[0].tag == f"{_SVG}title":
        parts = parts[1:]
    if parts and parts[0].tag == f"{_SVG}polygon":  # the white paper
        parts = parts[1:]
    for part in parts:
        if part.tag == f"{_SVG}g":
            inner.append(_group(part, graph, frames, originals))
        elif part.tag.removeprefix(_SVG) in _SHAPES:
            inner.append(_shape(part, True))
    return ET.tostring(svg, encoding="unicode")


def _group(
    found: ET.Element, graph: Graph, frames: Frames, originals: dict[int, int]
) -> ET.Element:
    """A node, edge or cluster with its shapes, texts and tooltip."""
    words = found.get("class", "").split()
    attributes: dict[str, str] = {}
    numbered = _NUMBERED.fullmatch(found.get("id", ""))
    own_colour = False
    if numbered is not None:
        kind, number = numbered[1], int(numbered[2])
        if kind == "n":
            attributes["data-node"] = str(originals.get(number, number))
            if number in originals:
                attributes["data-copy"] = str(number)
            own_colour = graph.nodes[number].heat is not None
        elif kind == "e":
            edge = graph.edges[number]
            words.append("recurrent" if edge.label else edge.kind)
            end = originals.get(edge.target, edge.target)
            attributes.update({"data-from": str(edge.source), "data-to": str(end)})
            if edge.target in originals:
                attributes["data-copy"] = str(edge.target)
        elif number in frames:
            block, place = frames[number]
            attributes.update({"data-cluster": str(number), "data-block": str(block)})
            if place is not None:
                attributes["data-part"] = str(place)
    else:  # of the legend
        title = found.findtext(f"{_SVG}title", "")
        words.append(title.removeprefix("legend_"))
        own_colour = title == "legend_heat"
    if own_colour:
        words.append("coloured")
    group = ET.Element("g", {"class": " ".join(words), **attributes})
    tooltip = next((a.get(_TOOLTIP, "") for a in found.iter(f"{_SVG}a")), "")
    if tooltip and "node" in words:
        ET.SubElement(group, "title").text = tooltip
    for part in found.iter():
        if part.tag.removeprefix(_SVG) in _SHAPES:
            group.append(_shape(part, own_colour))
    return group


def _shape(found: ET.Element, own_colour: bool) -> ET.Element:
    """A shape or a text. Its colours come from the style sheet unless it has its own."""
    attributes = {}
    for key, value in found.attrib.items():
        if key in ("fill", "stroke"):
            if own_colour or value == "none":
                attributes[key] = value
        elif key in _KEPT and value not in _USUAL:
            attributes[key] = _FRACTION.sub(r"\1", value)
    shape = ET.Element(found.tag.removeprefix(_SVG), attributes)
    shape.text = found.text
    return shape
