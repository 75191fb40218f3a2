"""Where gates are shut or wide open: there hardly any gradient gets through to what sets them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...bptt import View
from ...bptt.scans import GATES
from ...dtypes import Array
from .heatmap import MEANING
from .picture import Picture
from .sources import Source, name_of, one_view
from .states import SIGMOIDS
from .style import LINES, title

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BINS = 40


def saturation(source: Source) -> Picture:
    """Histograms of all activations, and the shares of them near the ends of their range.

    A sigmoid is called saturated below 0.05 or above 0.95: its slope y (1 - y) is under a fifth of
    its largest there. A tanh below -0.95 or above 0.95 (slope 1 - y² under a tenth); a ReLU where
    it is 0 (slope 0).

    source : one layer in one direction, or a record of only that

    `.data[name]` : "counts" and "edges" of the histogram, "low" and "high", the shares (0 to 1) of
    the activations that are saturated; name is a gate, "tanh c" in an LSTM, "h" in a simple RNN

    Needs the forward pass only.
    """
    view = one_view(source, "saturation")
    data = {name: _histogram(view, name, found) for name, found in _activations(view).items()}

    def draw(figure: Figure) -> None:
        title(figure, f"Saturation · {name_of(view)}")
        panels = figure.subplots(1, len(data), squeeze=False)[0]
        for axes, (name, found) in zip(panels, data.items(), strict=True):
            edges = found["edges"]
            middles = (edges[1:] + edges[:-1]) / 2
            low, high = _ends(view, name)
            colours = [LINES[5] if not low < middle < high else LINES[0] for middle in middles]
            parts = 100 * found["counts"] / max(int(found["counts"].sum()), 1)
            axes.bar(middles, parts, width=np.diff(edges), color=colours)
            axes.set_title(f"{name} · {MEANING[name]}" if name in MEANING else name, fontsize=8.5)
            low_share, high_share = (f"{100 * found[end]:.3g} %" for end in ("low", "high"))
            said = f"low: {low_share}\nhigh: {high_share}" if high < np.inf else f"0: {low_share}"
            axes.set_xlabel(said)
            axes.set_xlim(edges[0], edges[-1])
            axes.grid(True, axis="y")
        panels[0].set_ylabel("% of activations")

    return Picture("saturation", data, (max(4.0, 1.66 * len(data)), 2.6), draw)


def _activations(view: View) -> dict[str, Array]:
    """Name -> the activations of all steps, sequences and units."""
    scan = view.scan
    found = {name: scan.gates[name] for name in GATES[scan.kind]} or {"h": scan.h}
    if scan.c is not None:
        found["tanh c"] = np.tanh(scan.c)
    return found


def _ends(view: View, name: str) -> tuple[float, float]:
    """Below the one and above the other an activation is saturated."""
    if view.scan.kind == "rnn_relu":
        return 0.0, np.inf
    return (0.05, 0.95) if name in SIGMOIDS.get(view.scan.kind, "") else (-0.95, 0.95)


def _histogram(view: View, name: str, values: Array) -> dict[str, Any]:
    low, high = _ends(view, name)
    finite = values[np.isfinite(values)].astype(np.float64)
    span = (0.0 if low >= 0 else -1.0, 1.0 if high < np.inf else float(finite.max(initial=1)))
    counts, edges = np.histogram(finite, _BINS, span)
    shut = finite <= low if high == np.inf else finite < low
    count = max(len(finite), 1)
    shares = {"low": float(shut.sum()) / count, "high": float((finite > high).sum()) / count}
    return {"counts": counts, "edges": edges, **shares}
