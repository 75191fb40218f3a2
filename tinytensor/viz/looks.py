"""How the parts of a drawing look: shapes, colours, and the scale of colours for numbers."""

from __future__ import annotations

from typing import NamedTuple

Attributes = dict[str, str]


class Style(NamedTuple):
    """What the legend calls one sort of node, and how it looks."""

    name: str
    look: Attributes


# Shapes differ as well as colours. The hues are those of Okabe and Ito (2008), which people with
# any kind of colour blindness can tell apart, as outlines; the fills are pale forms of them.
STYLES = {
    "output": Style(
        "output",
        {
            "shape": "ellipse",
            "style": "filled",
            "fillcolor": "#fde3cf",
            "color": "#d55e00",
            "margin": "0.02",
        },
    ),
    "operation": Style(
        "operation",
        {"shape": "box", "style": "rounded,filled", "fillcolor": "#ffffff", "color": "#555555"},
    ),
    "kernel": Style(
        "kernel: many\noperations in one",
        {
            "shape": "box",
            "style": "filled",
            "fillcolor": "#ffffff",
            "color": "#555555",
            "peripheries": "2",
        },
    ),
    "cell": Style(
        "step of a cell:\noutputs, gates, inputs",
        {"shape": "box", "style": "filled", "fillcolor": "#ffffff", "color": "#555555"},
    ),
    "stretch": Style(
        "many operations\ndrawn as one",
        {"shape": "box3d", "style": "filled", "fillcolor": "#ffffff", "color": "#555555"},
    ),
    "backward": Style(
        "operation of an\nearlier backward pass",
        {"shape": "box", "style": "rounded,filled", "fillcolor": "#f6e1ee", "color": "#a8407f"},
    ),
    "parameter": Style(
        "parameter",
        {"shape": "cylinder", "style": "filled", "fillcolor": "#d3e8f5", "color": "#0072b2"},
    ),
    "input": Style(
        "input",
        {
            "shape": "hexagon",
            "style": "filled",
            "fillcolor": "#d5efe5",
            "color": "#009e73",
            "margin": "0",
        },
    ),
    "saved": Style(
        "saved value",
        {"shape": "note", "style": "filled", "fillcolor": "#fcf6c5", "color": "#8a7d00"},
    ),
}

CLUSTER_FILLS = {
    "module": "#eef1f4",
    "layer": "#e4e9ee",
    "direction": "#eef1f4",
    "step": "#f8f9fa",
    "scope": "#f3f0ea",
    "block": "#f8f9fa",
}

# A block of time steps lies on frames that show around it, as on a pile of others.
PILE = 2
PILE_FRAME: Attributes = {
    "margin": "4",
    "style": "rounded,filled",
    "fillcolor": "#dfe7ee",
    "color": "#0072b2",
}
BLOCK: Attributes = {"color": "#0072b2", "fontname": "Helvetica-Bold", "penwidth": "1.4"}

RECURRENT: Attributes = {"color": "#0072b2", "fontcolor": "#0072b2", "penwidth": "1.6"}
# In a difference, what both have steps back.
SAME: Attributes = {"color": "#b0b0b0", "fontcolor": "#777777"}
SAME_NODE: Attributes = {**SAME, "fillcolor": "#fbfbfb"}
MARKED: dict[str, Attributes] = {
    "-": {"color": "#d55e00", "penwidth": "2"},
    "+": {"color": "#0072b2", "penwidth": "2"},
}
MARKED_NODE: dict[str, Attributes] = {
    "-": {**MARKED["-"], "fillcolor": "#fde3cf", "fontcolor": "#000000"},
    "+": {**MARKED["+"], "fillcolor": "#d3e8f5", "fontcolor": "#000000"},
}
SIGNS = {"-": "−", "+": "+"}

CAUSED: Attributes = {"color": "#a8407f", "style": "dotted", "arrowhead": "vee"}
# Two bars across the end of the line, which no font has to have.
CUT: Attributes = {"color": "#d55e00", "fontcolor": "#d55e00", "arrowhead": "teetee"}

# From low to high: steps of viridis, which rise in lightness all the way, so that they keep their
# order in grey and to any eye. The lowest are too dark for black text.
HEATS = ("#440154", "#414487", "#2a788e", "#22a884", "#7ad151", "#fde725")
_DARK = 3


def heated(heat: float) -> Attributes:
    """The look of a node at a place from 0 to 1 on the scale of colours."""
    place = min(int(max(heat, 0.0) * len(HEATS)), len(HEATS) - 1)
    return {"fillcolor": HEATS[place], "fontcolor": "#ffffff" if place < _DARK else "#000000"}


def scale_of_heats() -> Attributes:
    """A box that shows the whole scale, for the legend."""
    stripes = ":".join(f"{colour};{1 / len(HEATS):.4f}" for colour in HEATS)
    return {"shape": "box", "style": "striped", "fillcolor": stripes, "width": "1.6"}
