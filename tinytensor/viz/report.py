"""`Record.report`: all pictures of a record on one page, each with how to read it."""

from __future__ import annotations

import html
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from ..bptt import Record, View
from ..io.whole import write_whole
from .inline import inline
from .numerals import number
from .pictures import (
    Picture,
    gradient_heatmap,
    lag_matrix,
    saturation,
    spectrum,
    states_over_time,
    truncation,
    weight_gradients,
)
from .pictures.sources import Key, name_of, views_of, with_backward
from .pictures.style import FAINT, INK, plain
from .report_text import PAGE, READING

# name -> the picture of one layer in one direction, and whether it needs a backward pass
PICTURES: dict[str, tuple[Callable[[View], Picture], bool]] = {
    "states_over_time": (states_over_time, False),
    "weight_gradients": (weight_gradients, True),
    "lag_matrix": (lag_matrix, True),
    "spectrum": (spectrum, False),
    "truncation": (truncation, True),
    "saturation": (saturation, False),
}

_LONGEST = 200  # letters of a name or title

_NOTHING = "none: the full gradient is 0 or not finite"

_COLOURS = {INK: "var(--ink)", FAINT: "var(--faint)", "#ffffff": "var(--paper)"}


def write_report(
    record: Record,
    path: str | os.PathLike[str],
    *,
    title: str | None = None,
    pictures: Sequence[str] | None = None,
) -> str:
    """Write a page with the pictures of every recorded layer, how to read them, and numbers.
    Return its path.

    One file that needs no other and no network, light or dark as the reader's system is; it prints.
    Of a module that was called several times it shows the last call.

    path : of the file, written whole or not at all, in a folder that is made if there is none
    title : of the page
    pictures : some of "states_over_time", "weight_gradients", "lag_matrix", "spectrum",
        "truncation", "saturation"; None for all. Lag matrix and truncation take the time of T² / 2
        steps back, the spectrum that of singular value decompositions of each step and lag: leave
        them out where T or H is large

    Raises RuntimeError before a backward pass (a layer that none came through is shown without its
    gradients if there are others), ValueError for an unknown picture or a record of nothing,
    ImportError without matplotlib.
    """
    chosen = list(PICTURES) if pictures is None else list(pictures)
    unknown = [name for name in chosen if name not in PICTURES]
    if unknown:
        known, got = ", ".join(PICTURES), ", ".join(map(str, unknown))
        raise ValueError(f"report: expected pictures of {known}, got {got}")
    views = views_of(record, "report")
    ran = with_backward(views)
    heading = plain(title or "What backpropagation through time did", _LONGEST)
    drawn = _Drawn()
    heatmap = gradient_heatmap(record)
    overview = drawn.figure(heatmap, "gradient_heatmap", _norms(heatmap, ran))
    sections = [
        _section(number, view, chosen, key in ran, drawn)
        for number, (key, view) in enumerate(views.items())
    ]
    content = PAGE.format(
        title=html.escape(heading),
        contents="".join(
            f'<li><a href="#layer{number}">{html.escape(name_of(view, _LONGEST))}</a></li>'
            for number, view in enumerate(views.values())
        ),
        recorded=_recorded(record, views),
        overview=overview,
        sections="".join(sections),
    )
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, content.encode(), "report")
    return str(path)


class _Drawn:
    """Counts the pictures, so that no two share an id."""

    def __init__(self) -> None:
        self.count = 0

    def figure(self, picture: Picture, name: str, table: str = "") -> str:
        self.count += 1
        svg = inline(picture.svg(), f"p{self.count}-", _COLOURS)
        svg = svg.replace("<svg ", f'<svg role="img" aria-label="{html.escape(picture.title)}" ', 1)
        width = round(96 * picture.size[0])
        return (
            f'<figure><div class="wide"><div style="max-width:{width}px">{svg}</div></div>'
            f"<figcaption>{READING[name]}</figcaption>{table}</figure>\n"
        )


def _section(number: int, view: View, chosen: Sequence[str], ran: bool, drawn: _Drawn) -> str:
    """The pictures of one layer in one direction."""
    scan = view.scan
    parts = [f'<section id="layer{number}"><h2>{html.escape(name_of(view, _LONGEST))}</h2>']
    if not ran:
        parts.append(
            "<p><strong>No backward pass came through this layer:</strong> its gradients are left "
            "out. Nothing that the loss reads came from here, or it was detached.</p>"
        )
    for name in chosen:
        make, needs_backward = PICTURES[name]
        if ran or not needs_backward:
            picture = make(view)
            table = _TABLES[name](picture) if name in _TABLES else ""
            parts.append(drawn.figure(picture, name, table))
    if scan.reverse:
        parts.insert(
            1,
            "<p>This direction runs from the last step to the first: its gradient flows from left "
            "to right, and its earliest state is the one at the right.</p>",
        )
    return "".join([*parts, "</section>\n"])


# -- numbers


def _table(head: Sequence[str], rows: Iterator[Sequence[str]] | Sequence[Sequence[str]]) -> str:
    """A table; all in it is escaped here. The first cell of a row names it."""
    top = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{html.escape(name)}</th>'
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
        + "</tr>"
        for name, *cells in rows
    )
    return (
        f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _recorded(record: Record, views: dict[Key, View]) -> str:
    """What was recorded."""
    head = ("layer", "kind", "steps T", "sequences N", "features", "calls", "backward pass")
    rows = [
        (
            name_of(view, _LONGEST),
            view.scan.kind,
            f"{view.scan.length:,}",
            f"{view.scan.steps.batch:,}",
            f"{view.scan.size:,}",
            str(len(record.calls(key[0]))),
            "no" if view.scan.dz is None else "yes",
        )
        for key, view in views.items()
    ]
    return _table(head, rows)


def _norms(heatmap: Picture, views: dict[Key, View]) -> str:
    """The gradient's norm at h: first and last step, least and largest."""
    rows = []
    for key, found in heatmap.data.items():
        there = found["h"][~np.isnan(found["h"])]
        if len(there):
            ends = there[0], there[-1], there.min(), there.max()
            rows.append((name_of(views[key], _LONGEST), *map(number, ends)))
    return _table(("‖∂L/∂h‖", "first step", "last step", "least", "largest"), rows)


def _truncation_table(picture: Picture) -> str:
    """Cosine and size of the truncated gradient of the recurrent weights."""
    name = next(name for name in picture.data["cosine"] if name.startswith("weight_hh"))
    columns = picture.data["cosine"][name], picture.data["ratio"][name]
    rows = [
        (str(length), *(_NOTHING if np.isnan(part) else number(part) for part in (cosine, ratio)))
        for length, cosine, ratio in zip(picture.data["lengths"], *columns, strict=True)
    ]
    return _table((f"k2, for {name}", "cosine", "‖truncated‖ / ‖full‖"), rows)


def _saturation_table(picture: Picture) -> str:
    rows = [
        (name, f"{found['low']:.1%}", f"{found['high']:.1%}")
        for name, found in picture.data.items()
    ]
    return _table(("activation", "at the low end", "at the high end"), rows)


_TABLES: dict[str, Callable[[Picture], str]] = {
    "truncation": _truncation_table,
    "saturation": _saturation_table,
}
