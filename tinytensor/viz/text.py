"""Texts and attribute lists as Graphviz's DOT language has them."""

from __future__ import annotations

from .looks import Attributes


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


def attributes(plain: Attributes, **written: str) -> str:
    """An attribute list of values to be quoted and of DOT strings that already are."""
    parts = [f"{name}={text}" for name, text in written.items()]
    parts.extend(f'{name}="{value}"' for name, value in plain.items())
    return f"[{' '.join(parts)}]"
