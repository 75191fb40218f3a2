"""An SVG made ready to stand in a page, among others, on light paper or dark."""

from __future__ import annotations

import re
from xml.etree import ElementTree

_NAMESPACE = re.compile(r"\{[^}]*\}")
_REFERENCE = re.compile(r"url\(#")


def inline(svg: str, prefix: str, colours: dict[str, str]) -> str:
    """An <svg> element for HTML.

    prefix : before every id, so that pictures in one page don't take each other's parts
    colours : a colour in the SVG -> what stands for it in the page ("var(--ink)")

    It is parsed and written anew: text in it is text in the page.
    """
    root = ElementTree.fromstring(svg)
    for element in root.iter():
        for unwanted in [
            child for child in element if _bare(child.tag) in ("metadata", "style", "title")
        ]:
            element.remove(unwanted)
        element.tag = _bare(element.tag)
        element.attrib = {
            _bare(name): _moved(_bare(name), value, prefix, colours)
            for name, value in element.attrib.items()
        }
    for size in ("width", "height"):
        root.attrib.pop(size, None)
    root.tail = None
    return ElementTree.tostring(root, encoding="unicode")


def _bare(name: str) -> str:
    return _NAMESPACE.sub("", name)


def _moved(name: str, value: str, prefix: str, colours: dict[str, str]) -> str:
    """An attribute with the new ids and colours."""
    if name == "id":
        return prefix + value
    if name == "href" and value.startswith("#"):
        return f"#{prefix}{value[1:]}"
    if name in ("style", "clip-path", "fill", "stroke"):
        value = _REFERENCE.sub(f"url(#{prefix}", value)
        for colour, name_in_page in colours.items():
            value = value.replace(colour, name_in_page)
    return value
