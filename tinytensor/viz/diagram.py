"""The step of a recurrent cell as a box with fields, in Graphviz's language of tables.

A record would be shorter, but dot loses edges between records that stand side by side.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping

from .structure import Diagram

_FRAME = 'border="0" cellborder="0" cellspacing="0" cellpadding="0" color="#555555"'
_PART = 'border="0" cellborder="1" cellspacing="0" cellpadding="4" color="#555555"'


def table(lines: Iterable[str], diagram: Diagram, shapes: Mapping[str, str], direction: str) -> str:
    """A label in DOT: outputs, lines of text, gates and inputs, one after the other.

    shapes : of the outputs that are to have theirs written
    direction : the way from outputs to inputs: "TB" down ...
    Fields have the names that `source_port` and `target_port` give.
    """
    names = [gate.split()[0] for gate in diagram.gates]
    outputs = [f"{name} {shapes.get(name, '')}".strip() for name in diagram.outputs]
    parts = [
        _fields(outputs, diagram.outputs, "out"),
        [f"<td>{'<br/>'.join(map(_plain, lines))}</td>"],
        _fields(diagram.gates, names, "out"),
        _fields(diagram.inputs, diagram.inputs, "in"),
    ]
    if direction in ("BT", "RL"):
        parts.reverse()
    sideways = direction in ("LR", "RL")
    inner = [f"<td>{_grid(part, sideways, _PART)}</td>" for part in parts]
    return f"<{_grid(inner, not sideways, _FRAME)}>"


def source_port(diagram: Diagram | None, operand: str) -> str:
    """Where at its source an edge starts: ":in_h", or "" for the node as a whole."""
    return f":in_{operand}" if diagram and operand in diagram.inputs else ""


def target_port(diagram: Diagram | None, output: str) -> str:
    """Where at its target it ends: ":out_h"."""
    if diagram is None:
        return ""
    names = (*diagram.outputs, *(gate.split()[0] for gate in diagram.gates))
    return f":out_{output}" if output in names else ""


def _fields(texts: Iterable[str], names: Iterable[str], side: str) -> list[str]:
    return [
        f'<td port="{side}_{name}">{_plain(text)}</td>'
        for text, name in zip(texts, names, strict=True)
    ]


def _grid(cells: list[str], downwards: bool, look: str) -> str:
    rows = cells if downwards else ["".join(cells)]
    return f"<table {look}>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def _plain(text: str) -> str:
    """A text that a table shows as it is; what does not print shows as an escape.

    Backslashes are doubled because Graphviz reads its escapes in tables too.
    """
    visible = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return html.escape(visible).replace("\\", r"\\")
