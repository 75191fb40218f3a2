"""What truncated backpropagation through time loses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, SupportsIndex

import numpy as np

from .picture import Picture
from .sources import Source, name_of, one_view
from .style import FAINT, nothing, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def truncation(source: Source, lengths: Sequence[SupportsIndex] | None = None) -> Picture:
    """Cosine and norm of the truncated gradient beside the full one, for each weight.

    Left: a cosine of 1 is the full gradient's direction, 0 one at right angles. Right: the
    truncated norm over the full one. See `View.truncation`.

    source : one layer in one direction, or a record of only that
    lengths : the k2 to try; None for 1, 2, 4, ... up to all steps

    `.data` : "lengths" (K,), "cosine" and "ratio" parameter -> (K,)

    Raises RuntimeError before a backward pass, ValueError for a length below 1.
    """
    view = one_view(source, "truncation")
    found = view.truncation(lengths)
    k2 = np.array(found.lengths)
    data = {"lengths": k2, "cosine": found.cosine, "ratio": found.ratio}

    def draw(figure: Figure) -> None:
        title(figure, f"Truncated against full gradient · {name_of(view)}")
        panels = figure.subplots(1, 2)
        for axes, parts, label in zip(
            panels, (found.cosine, found.ratio), ("cosine", "‖truncated‖ / ‖full‖"), strict=True
        ):
            for number, (name, part) in enumerate(parts.items()):
                axes.plot(k2, part, _STYLES[number % 4], marker="o", markersize=3, label=name)
            axes.axhline(1, color=FAINT, linewidth=0.8)
            axes.set_ylabel(label)
            axes.set_ylim(min(0, axes.get_ylim()[0]))
            axes.grid(True)
            if all(np.isnan(part).all() for part in parts.values()):
                nothing(axes, "the full gradient is 0 or not finite")
            _lengths(axes, found.lengths)
        panels[0].set_title("direction")
        panels[1].set_title("size")
        panels[0].legend(loc="lower right")

    return Picture("truncation", data, (8.2, 3.2), draw)


_STYLES = ("-", "--", "-.", ":")  # biases have one gradient where nothing stands between them


def _lengths(axes: Axes, lengths: tuple[int, ...]) -> None:
    """The lengths as ticks of a logarithmic axis."""
    axes.set_xscale("log")
    axes.set_xlim(lengths[0] / 1.15, lengths[-1] * 1.15)
    apart = (lengths[-1] / lengths[0]) ** 0.08  # a label's width of the axis
    shown = [lengths[-1]]
    for length in reversed(lengths):
        if shown[0] >= apart * length:
            shown.insert(0, length)
    axes.set_xticks(shown, list(map(str, shown)))
    axes.minorticks_off()
    axes.set_xlabel("truncation length k2 (steps)")
