"""How far back a gradient reaches: the lag matrix, and the singular values behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np

from ...bptt import Scan
from ...dtypes import Array
from .picture import Picture
from .sources import Source, name_of, one_view, short_names, views_of, with_backward
from .style import FAINT, LINES, LogColours, integers, log_lines, pooled, time_axis, title

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_CELLS = 250  # along a side of the lag matrix
_ABREAST = 3


def lag_matrix(source: Source, of: str = "h", *, decades: float = 12) -> Picture:
    """G[t, k]: the norm at step k of the gradient that entered at step t; `View.lag_matrix`.

    Read a row from the diagonal outwards: it is what entered at one step, from the loss or from a
    layer above, on its way back through time. Where it stays light the layer can learn over that
    many steps. There is a panel for each layer and direction, and one logarithmic scale of colours
    for all; blank is where no gradient can come, grey a gradient of exactly 0.

    source : a record, rec[path], or one layer in one direction
    of : "h", or "c" for the cells of LSTMs
    decades : powers of ten that the scale spans at most, down from the largest

    `.data[path, layer, direction]` : (T, T), rows t, columns k

    Raises RuntimeError before a backward pass, ValueError for another `of`.
    """
    views = with_backward(views_of(source, "lag_matrix"))
    data = {key: view.lag_matrix(of) for key, view in views.items()}
    names = short_names(views)
    columns = 2 if len(data) % 2 == 0 else min(_ABREAST, len(data))
    rows = -(-len(data) // columns)
    size = (2.6 * columns + 1.5, 2.6 * rows + 0.85) if columns > 1 else (5.6, 4.7)

    def draw(figure: Figure) -> None:
        shown = {key: _reachable(matrix, views[key].scan) for key, matrix in data.items()}
        colours = LogColours(shown.values(), decades)
        title(figure, "How far back the gradient of each step reaches")
        panels = figure.subplots(rows, columns, squeeze=False)
        for axes in panels.flat[len(data) :]:
            axes.set_visible(False)
        for place, (key, matrix) in enumerate(shown.items()):
            axes = panels.flat[place]
            length = len(matrix)
            half, rows_to = pooled(matrix, _MOST_CELLS)
            small, columns_to = pooled(half.T, _MOST_CELLS)
            extent = (-0.5, columns_to - 0.5, rows_to - 0.5, -0.5)
            axes.imshow(colours.image(small.T), extent=extent)
            axes.set(xlim=(-0.5, length - 0.5), ylim=(length - 0.5, -0.5))
            axes.set_title(names[key])
            axes.set_xlabel("and reaches step k")
            if place % columns == 0:
                axes.set_ylabel("a gradient enters at step t")
            integers(axes.xaxis, 6)
            integers(axes.yaxis, 6)
            axes.spines[["top", "right"]].set(visible=True)
        colours.bar(figure, panels, f"gradient norm ‖∂Lₜ/∂{of}ₖ‖")

    return Picture("lag matrix", data, size, draw)


def _reachable(matrix: Array, scan: Scan) -> Array:
    """The matrix with nan where no gradient can come: to later steps, or where there is no step."""
    t, k = np.indices(matrix.shape)
    later = k < t if scan.reverse else k > t
    last = len(scan.steps.sizes) - 1
    whole = np.where(np.isnan(matrix), np.inf, matrix)
    return np.where(later | (np.maximum(t, k) > last), np.nan, whole)


def spectrum(
    source: Source, samples: Sequence[SupportsIndex] = (0,), of: str | None = None
) -> Picture:
    """By how much a step can stretch a gradient, and many steps; what they did beside it.

    Left: the singular values of the Jacobian of each step. Right, over the lag: the largest
    singular value of the product of Jacobians, the product of the steps' largest, and the share of
    the gradient that was left. `View.step_singular_values` and `View.lag_spectrum`.

    source : one layer in one direction, or a record of only that
    samples : which sequences of the batch; drawn is the first
    of : "h" for the Jacobian of h alone; "hc" for that of the pair (h, c) of an LSTM, which is what
        None takes there

    `.data` : "steps" (T, samples, values), "lags" a `bptt.spectrum.LagSpectrum`

    Raises IndexError for a sample that there is not, ValueError for another `of`. Without a
    backward pass the share of the gradient is left out.
    """
    view = one_view(source, "spectrum")
    of = of or ("h" if view.scan.c is None else "hc")
    steps = view.step_singular_values(samples, of)
    lags = view.lag_spectrum(samples, of)
    state = "(h, c)" if of == "hc" else "h"

    def draw(figure: Figure) -> None:
        title(figure, f"Singular values of the Jacobians of {state} · {name_of(view)}")
        left, right = figure.subplots(1, 2)
        values = steps[:, 0]
        t = np.arange(len(values))
        for label, line, colour in (
            ("largest", values[:, 0], LINES[0]),
            ("median", np.median(values, axis=1), LINES[2]),
            ("smallest", values[:, -1], LINES[3]),
        ):
            left.plot(t, line, color=colour, label=label)
        left.set_ylim(bottom=0)
        left.grid(True)
        left.set_title("of one step")
        left.set_ylabel("singular value")
        time_axis(left, view.scan.direction)
        back = np.arange(len(lags.product))
        lines: list[tuple[str, Array, dict[str, Any]]] = [
            ("Π σ_max of the steps", lags.steps[:, 0], {"color": LINES[1], "linestyle": "--"}),
            ("σ_max of their product", lags.product[:, 0, 0], {"color": LINES[0]}),
            ("the gradient: share left", lags.gain[:, 0], {"color": LINES[5]}),
        ]
        log_lines(right, back, [line for line in lines if not np.isnan(line[1]).all()])
        right.set_title(f"of many steps, back from t = {lags.ends[0]}")
        right.set_xlabel("lag (steps back)")
        right.set_ylabel("stretched by")
        integers(right.xaxis, 8)
        for axes in (left, right):
            axes.axhline(1, color=FAINT, linewidth=0.8)
            if axes.get_legend_handles_labels()[0]:
                axes.legend()

    return Picture("singular values", {"steps": steps, "lags": lags}, (8.2, 3.4), draw)
