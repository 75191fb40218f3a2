"""The states and gates of one sequence over time, unit by unit."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, SupportsIndex

import numpy as np

from ...dtypes import Array
from .heatmap import MEANING
from .picture import Picture
from .sources import Source, name_of, one_view, there
from .style import MOST_COLUMNS, PARTS, SIGNED, finite, integers, pooled, short, time_axis, title

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIGMOIDS = {"lstm": "ifo", "gru": "rz"}  # the gates between 0 and 1

_MOST_UNITS = 64


def states_over_time(source: Source, sample: SupportsIndex = 0) -> Picture:
    """Each unit of each state and gate of a sequence, as it was at each step.

    Gates between 0 and 1 go from dark to light; what has a sign is orange below 0, purple above.

    source : one layer in one direction, or a record of only that
    sample : which sequence of the batch

    `.data[name]` : (T, H), the steps that the sequence has

    Raises IndexError for a sample that there is not. Needs the forward pass only.
    """
    view = one_view(source, "states_over_time")
    n = operator.index(sample)
    batch = view.scan.steps.batch
    if not 0 <= n < batch:
        raise IndexError(f"states_over_time: expected a sample of 0 ... {batch - 1}, got {n}")
    length = int(there(view)[:, n].sum())
    data = {name: getattr(view, name)[:length, n] for name in view.names}
    sigmoids = SIGMOIDS.get(view.scan.kind, "")
    units = {name: min(values.shape[1], _MOST_UNITS) for name, values in data.items()}

    def draw(figure: Figure) -> None:
        title(figure, f"States and gates of sequence {n} · {name_of(view)}")
        panels = figure.subplots(len(data), sharex=True, squeeze=False)[:, 0]
        for axes, (name, values) in zip(panels, data.items(), strict=True):
            few_units = np.where(np.isfinite(values), values, np.nan)[:, : units[name]]
            columns, steps = pooled(few_units, MOST_COLUMNS, np.mean)
            least, most = (0.0, 1.0) if name in sigmoids else _either_side(values)
            image = axes.imshow(
                columns.T,
                aspect="auto",
                cmap=finite(PARTS if name in sigmoids else SIGNED),
                vmin=least,
                vmax=most,
                extent=(-0.5, max(steps, 1) - 0.5, units[name] - 0.5, -0.5),
            )
            axes.set_xlim(-0.5, max(length, 1) - 0.5)
            count = values.shape[1]
            few = units[name] < count
            axes.set_ylabel(f"unit\n(of {count})" if few else "unit")
            axes.set_title(f"{name} · {MEANING[name]}")
            integers(axes.yaxis, 4)
            axes.spines[:].set_visible(False)
            bar = figure.colorbar(image, ax=axes, ticks=[least, (least + most) / 2, most], pad=0.01)
            bar.ax.set_yticklabels([short(value) for value in (least, (least + most) / 2, most)])
            bar.outline.set_visible(False)
        time_axis(panels[-1], view.scan.direction)

    return Picture("states and gates over time", data, (8.2, 0.8 + 0.95 * len(data)), draw)


def _either_side(values: Array) -> tuple[float, float]:
    """A range as far below 0 as above, at least from -1 to 1."""
    finite = np.abs(values[np.isfinite(values)])
    most = max(1.0, float(finite.max(initial=0)))
    return -most, most
