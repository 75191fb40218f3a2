"""The gradient's norm over time: where it comes from, where it vanishes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...bptt import View
from ...dtypes import Array
from .picture import Picture
from .sources import Key, Source, mean_norms, short_names, views_of, with_backward
from .style import INK, MOST_COLUMNS, LogColours, pooled, short, time_axis, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Norms = dict[Key, dict[str, Array]]

MEANING = {
    "h": "hidden state",
    "c": "cell state",
    "i": "input gate",
    "f": "forget gate",
    "g": "cell candidate",
    "o": "output gate",
    "r": "reset gate",
    "z": "update gate",
    "n": "candidate",
}

_NUMBERS = 12  # steps up to which each cell has room for its number


@np.errstate(all="ignore")
def gradient_heatmap(
    source: Source, of: Sequence[str] | None = None, *, decades: float = 12
) -> Picture:
    """‖∂L/∂h_t‖ for each step, layer and direction; the same for c and each gate.

    Norm over the features, mean over the sequences that have the step; one logarithmic scale of
    colours for all. A gradient of 0, which has no logarithm, is grey; no step is blank.

    source : a record, rec[path], or one layer in one direction
    of : some of the names of states and gates; None for all
    decades : powers of ten that the scale spans at most, down from the largest

    `.data[path, layer, direction][name]` : (T,), double precision; nan where there is no step, or
    where the gradient is not a number

    Raises RuntimeError before a backward pass, ValueError for a name that no layer has
    or a scale of no decades.
    """
    if not decades > 0:
        raise ValueError(f"gradient_heatmap: expected decades to be above 0, got {decades}")
    views = with_backward(views_of(source, "gradient_heatmap"))
    known = list(dict.fromkeys(name for view in views.values() for name in view.names))
    names = known if of is None else [name for name in known if name in of]
    wrong = sorted(set(of or ()) - set(known))
    if wrong or not names:
        raise ValueError(
            f"gradient_heatmap: expected some of {', '.join(known)}, got {', '.join(of or ())}"
        )
    data: Norms = {
        key: {
            name: mean_norms(view, getattr(view, f"{name}_grad"))
            for name in names
            if name in view.names
        }
        for key, view in views.items()
    }
    labels = short_names(views)
    rows = {name: [key for key in data if name in data[key]] for name in names}
    height = 0.9 + sum(0.34 + 0.23 * len(keys) for keys in rows.values())

    def draw(figure: Figure) -> None:
        every = [_with_broken(norms, views[key]) for key in data for norms in data[key].values()]
        colours = LogColours(every, decades)
        title(figure, "Gradient of the loss at each step")
        panels = figure.subplots(
            len(names),
            sharex=True,
            squeeze=False,
            height_ratios=[0.34 + 0.23 * len(keys) for keys in rows.values()],
        )[:, 0]
        for axes, name in zip(panels, names, strict=True):
            keys = rows[name]
            rows_of = [_with_broken(data[key][name], views[key]) for key in keys]
            _draw_rows(axes, rows_of, [labels[key] for key in keys], colours)
            axes.set_title(f"{name} · {MEANING[name]}")
            axes.tick_params(axis="x", length=3 if axes is panels[-1] else 0)
        time_axis(panels[-1], "", "time step t (→ ←: the way that the layer runs)")
        colours.bar(figure, panels, "gradient norm")

    return Picture("gradient norm over time", data, (8.2, max(1.9, height)), draw)


def _with_broken(norms: Array, view: View) -> Array:
    """The norms with inf for a step whose gradient is not a number: nan is for what is no step."""
    steps = np.arange(len(norms)) < len(view.scan.steps.sizes)
    return np.where(np.isnan(norms) & steps, np.inf, norms)


def _draw_rows(axes: Axes, rows: list[Array], labels: list[str], colours: LogColours) -> None:
    """One row of cells for each layer and direction, with its least and its largest number."""
    length = max(map(len, rows))
    for place, norms in enumerate(rows):
        columns, steps = pooled(norms, MOST_COLUMNS)
        image = colours.image(columns)[None]
        extent = (-0.5, steps - 0.5, place + 0.46, place - 0.46)
        axes.imshow(image, aspect="auto", extent=extent)
        if length <= _NUMBERS:
            _write_numbers(axes, norms, place, image)
    axes.set(xlim=(-0.5, length - 0.5), ylim=(len(rows) - 0.5, -0.5), yticks=range(len(rows)))
    axes.set_yticklabels(labels)
    axes.spines[:].set_visible(False)
    axes.tick_params(axis="y", length=0)
    if length > _NUMBERS:
        beside = axes.secondary_yaxis("right")
        beside.set_yticks(range(len(rows)), [_span(norms) for norms in rows], color=INK, fontsize=7)
        beside.tick_params(length=0)
        beside.spines[:].set_visible(False)


def _span(norms: Array) -> str:
    there = norms[~np.isnan(norms)]
    if not len(there):
        return "no step"
    most = there.max()
    return f"{short(there.min())} … {short(most) if np.isfinite(most) else 'not finite'}"


def _write_numbers(axes: Axes, norms: Array, place: int, image: Array) -> None:
    brightness = image[0, :, :3] @ (0.299, 0.587, 0.114)
    for t, value in enumerate(norms):
        if np.isfinite(value):
            axes.text(
                t,
                place,
                short(value),
                ha="center",
                va="center",
                fontsize=7,
                color="black" if brightness[t] > 0.5 else "#fefefe",
            )
