"""What the pictures share: colours for the colour-blind, axes of time, logarithms of nothing."""

from __future__ import annotations

import math
import textwrap
import warnings
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from ...dtypes import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#1f2328"
FAINT = "#8c959f"
ZERO = "#b4bac2"  # of what has no logarithm
BROKEN = "#e6007e"  # of what is infinite or no number
# Okabe & Ito's colours but yellow and black, which get lost on light and on dark paper.
LINES = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
MAGNITUDES = "viridis"  # from 0, or from tiny, up
PARTS = "cividis"  # from 0 to 1
SIGNED = "PuOr"  # either side of 0

MOST_COLUMNS = 400  # of an image; more steps than that share columns

STYLE: dict[str, Any] = {
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.linewidth": 0.6,
    "axes.prop_cycle": f"cycler('color', {list(LINES)})",
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9.5,
    "figure.titlesize": 11.5,
    "font.size": 9,
    "grid.alpha": 0.3,
    "grid.color": FAINT,
    "grid.linewidth": 0.5,
    "image.interpolation": "none",
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "svg.fonttype": "none",
    "svg.hashsalt": "tinytensor",
    "text.color": INK,
    "text.parse_math": False,  # a $ in a module's name is a dollar
    "xtick.color": INK,
    "xtick.labelsize": 8,
    "ytick.color": INK,
    "ytick.labelsize": 8,
}


# -- text


def plain(text: str, most: int = 40) -> str:
    """A name as one line of text: what does not print as an escape, a long one shortened."""
    visible = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return visible if len(visible) <= most else f"{visible[: most // 2]}…{visible[-most // 2 :]}"


def power(value: float) -> str:
    """A power of ten as it is written by hand: 0.01 -> 10⁻²."""
    exponent = round(math.log10(value))
    return "10" + "".join("⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".index(c)] for c in str(exponent))


def short(value: float) -> str:
    """A number in two digits: 0.3, 1.2·10⁻⁷, 0."""
    if not math.isfinite(value) or value == 0 or 0.01 <= abs(value) < 1000:
        return f"{value:.2g}" if abs(value) < 100 or not math.isfinite(value) else f"{value:.0f}"
    mantissa, exponent = f"{value:.0e}".split("e")
    return f"{mantissa}·{power(10.0 ** int(exponent))}"


# -- axes


def title(figure: Figure, text: str) -> None:
    """The first line of a picture, and another if it is too long for one."""
    lines = textwrap.fill(text, int(9.8 * figure.get_figwidth()))
    figure.suptitle(lines, x=0.01, ha="left", fontweight="bold")


def integers(axis: Any, most: int = 12) -> None:
    """Ticks at whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(
        MaxNLocator(integer=True, min_n_ticks=1, nbins=most, steps=[1, 2, 5, 10])
    )


def time_axis(axes: Axes, direction: str, label: str = "time step t") -> None:
    """Time from left to right in both directions; the label says which way the layer runs."""
    way = {"forward": "the layer runs →", "reverse": "the layer runs ←", "": ""}[direction]
    axes.set_xlabel(f"{label} ({way})" if way else label)
    integers(axes.xaxis)


def logarithmic(axis: Any) -> None:
    """A logarithmic axis whose labels are powers of ten, or plain numbers where it is short."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    least, most = sorted(axis.get_view_interval())
    few = most < 100 * least
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,), numticks=9))
    axis.set_major_formatter(FuncFormatter(lambda value, _: short(value) if few else power(value)))
    axis.set_minor_formatter(NullFormatter())


def nothing(axes: Axes, text: str) -> None:
    """Say why there is nothing in a panel."""
    axes.text(
        0.5, 0.5, text, ha="center", va="center", color=FAINT, transform=axes.transAxes, fontsize=9
    )


def finite(colours: str) -> Any:
    """A map of colours in which what is not finite (nan) has its own."""
    from matplotlib import colormaps

    return colormaps[colours].with_extremes(bad=BROKEN)


def log_lines(axes: Axes, x: Array, lines: Iterable[tuple[str, Array, dict[str, Any]]]) -> None:
    """Lines over x with a logarithmic y; a value of 0 is a triangle at the bottom."""
    zeros: list[tuple[Array, Any]] = []
    positive = False
    for label, y, options in lines:
        above = np.isfinite(y) & (y > 0)
        positive |= bool(above.any())
        (line,) = axes.plot(x, np.where(above, y, np.nan), label=label, **options)
        if len(x) < 30:
            line.set(marker="o", markersize=3)
        zeros.append((x[y == 0], line.get_color()))
    if positive:
        logarithmic(axes.yaxis)
    else:
        axes.set_yticks([])
        nothing(axes, "nothing above 0 that is finite")
    if len(x):
        axes.set_xlim(x[0] - 0.5, x[-1] + 0.5)
    said = False
    for where, colour in zeros:
        if len(where):
            axes.plot(
                where,
                np.full(len(where), 0.012),
                "v",
                markersize=4,
                color=colour,
                transform=axes.get_xaxis_transform(),
                label=None if said else "exactly 0",
            )
            said = True
    axes.grid(True)


# -- images


def pooled(values: Array, most: int, pool: Callable[..., Array] = np.nanmax) -> tuple[Array, int]:
    """(steps, ...) with as many neighbours in one as leave at most `most`; and how many steps.

    The steps are more than there are where the last one stands for fewer than the others.
    """
    each = max(1, -(-len(values) // most))
    if each == 1:
        return values, len(values)
    parts = [values[start : start + each] for start in range(0, len(values), each)]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="All-NaN")
        return np.stack([pool(part, axis=0) for part in parts]), each * len(parts)


_FEWEST = 3  # powers of ten of a scale: a factor of 2 is no drama


class LogColours:
    """Colours for norms that span many powers of ten, and for those that have no logarithm.

    values : all norms that share the scale; nan where there is nothing, inf for what is not finite
    decades : of the scale; what is further below the largest has the colour of the lowest
    """

    def __init__(self, values: Iterable[Array], decades: float = 12) -> None:
        every = np.concatenate([np.ravel(part) for part in values])
        positive = every[np.isfinite(every) & (every > 0)]
        top = math.ceil(math.log10(positive.max())) if len(positive) else 0
        least = math.floor(math.log10(positive.min())) if len(positive) else 0
        self.bottom = max(min(least, top - _FEWEST), top - decades)
        self.top = top
        self.below = least < self.bottom
        self.zero = bool((every == 0).any())
        self.broken = bool(np.isinf(every).any())

    def image(self, values: Array) -> Array:
        """RGBA: nan transparent, 0 grey, inf magenta."""
        from matplotlib import colormaps
        from matplotlib.colors import to_rgba

        with np.errstate(divide="ignore", invalid="ignore"):
            place = (np.log10(values) - self.bottom) / (self.top - self.bottom)
        colours = colormaps[MAGNITUDES](np.clip(np.nan_to_num(place), 0, 1))
        colours[values == 0] = to_rgba(ZERO)
        colours[np.isinf(values)] = to_rgba(BROKEN)
        colours[np.isnan(values)] = 0
        return colours

    def bar(self, figure: Figure, axes: Any, label: str) -> None:
        """The scale beside some axes, with the colours of what has no logarithm."""
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import LogNorm
        from matplotlib.patches import Patch

        scale = ScalarMappable(LogNorm(10.0**self.bottom, 10.0**self.top), MAGNITUDES)
        bar = figure.colorbar(
            scale, ax=axes, extend="min" if self.below else "neither", aspect=30, pad=0.02
        )
        bar.outline.set_visible(False)
        logarithmic(bar.ax.yaxis)
        bar.set_label(label)
        patches = [
            Patch(color=colour, label=text)
            for there, colour, text in (
                (self.zero, ZERO, "exactly 0"),
                (self.broken, BROKEN, "not finite"),
            )
            if there
        ]
        if patches:
            figure.legend(handles=patches, loc="outside lower right", ncols=2)
