"""What each step adds to the gradient of a weight."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...bptt import View
from ...bptt.gradients import state_gradients, weight_gradient
from ...bptt.scans import GATES
from ...dtypes import Array
from .picture import Picture
from .sources import Source, name_of, one_view
from .style import FAINT, SIGNED, finite, log_lines, pooled, short, time_axis, title

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_ROWS = 96  # of a small picture; larger weights show blocks of elements


@np.errstate(all="ignore")
def weight_gradients(source: Source, name: str = "weight_hh", *, steps: int = 8) -> Picture:
    """The gradient of a weight step by step: as small pictures, and as norms by gate.

    All steps together are the parameter's `.grad`. The small pictures share one linear scale.
    Of a large weight each dot is a block of elements and shows the one of largest magnitude.

    source : one layer in one direction, or a record of only that
    name : a parameter's ("weight_hh_l0"), or its role ("weight_hh")
    steps : how many small pictures, spread evenly from the first step to the last

    `.data` : "t" (steps,), the steps shown; "parts" (steps, *shape), what each of them adds;
    "norms" gate -> (T,), of all steps, in double precision (a simple RNN has one part, "h"; that of
    weight_hr is called "all")

    Raises RuntimeError before a backward pass, KeyError for a name that there is not, ValueError
    for less than one step.
    """
    if steps < 1:
        raise ValueError(f"weight_gradients: expected steps to be at least 1, got {steps}")
    view = one_view(source, "weight_gradients")
    scan = view.scan
    role = scan.names.get(name, name)
    if role not in scan.names.values():
        known = ", ".join(scan.names)
        raise KeyError(f"weight_gradients: expected one of {known}, got {name!r}")
    walked = len(scan.steps.sizes)
    times = np.linspace(0, max(walked - 1, 0), max(1, min(steps, walked))).round().astype(int)
    parts, norms = _steps(view, role, times)
    data = {"t": times, "parts": parts, "norms": norms}

    def draw(figure: Figure) -> None:
        parameter = next(each for each, own in scan.names.items() if own == role)
        title(figure, f"What each step adds to the gradient of {parameter} · {name_of(view)}")
        halves: Any = figure.subfigures(2, height_ratios=(3, 2), hspace=0.04)
        above, below = halves
        _draw_parts(above, data, GATES[scan.kind] if role != "weight_hr" else "")
        axes = below.subplots()
        lines: list[tuple[str, Array, dict[str, Any]]] = [
            (gate, norm[:walked], {}) for gate, norm in norms.items()
        ]
        log_lines(axes, np.arange(walked), lines)
        axes.set_ylabel("norm, by gate" if len(lines) > 1 else "norm")
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
        time_axis(axes, scan.direction)

    return Picture("weight gradient step by step", data, (8.2, 4.6), draw)


def _steps(view: View, role: str, times: Array) -> tuple[Array, dict[str, Array]]:
    """What some steps add, and the norms of all; no more than these and one are in memory.

    The norms are taken in double precision: in single, squares vanish that the numbers don't.
    """
    scan = view.scan
    projected = role == "weight_hr"
    gates = ["all"] if projected else list(GATES[scan.kind] or "h")
    parts = np.zeros((len(times), *scan.weight(role).shape), scan.h.dtype)
    norms = {gate: np.zeros(scan.length) for gate in gates}
    states = state_gradients(scan) if projected else None
    for t, part in enumerate(weight_gradient(scan, role, states)):
        parts[times == t] = part
        for gate, own in zip(gates, np.split(part.astype(np.float64), len(gates)), strict=True):
            norms[gate][t] = np.linalg.norm(own)
    return parts, norms


def _draw_parts(figure: Any, data: dict[str, Any], gates: str) -> None:
    parts = [part.reshape(len(part), -1) for part in data["parts"]]
    if not parts:
        return
    most = max(float(np.abs(part[np.isfinite(part)]).max(initial=0)) for part in parts) or 1.0
    panels = figure.subplots(1, len(parts), sharey=True, squeeze=False)[0]
    for axes, t, part in zip(panels, data["t"], parts, strict=True):
        rows, columns = part.shape
        shown = np.where(np.isfinite(part), part, np.nan)
        half, rows_to = pooled(shown, _MOST_ROWS, _largest)
        small, columns_to = pooled(half.T, _MOST_ROWS, _largest)
        extent = (-0.5, columns_to - 0.5, rows_to - 0.5, -0.5)
        image = axes.imshow(
            small.T, aspect="auto", cmap=finite(SIGNED), vmin=-most, vmax=most, extent=extent
        )
        axes.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5))
        norm = short(float(np.linalg.norm(part.astype(np.float64))))
        axes.set_title(f"t = {t}\n‖·‖ {norm}", fontsize=8)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set(visible=True)
        for number in range(1, len(gates)):
            axes.axhline(number * rows / len(gates) - 0.5, color=FAINT, linewidth=0.6)
    if gates:
        middles = (np.arange(len(gates)) + 0.5) * len(parts[0]) / len(gates) - 0.5
        panels[0].set_yticks(middles, list(gates))
        for axes in panels:
            axes.tick_params(length=0)
    bar = figure.colorbar(image, ax=panels, aspect=25, pad=0.01, ticks=[-most, 0, most])
    bar.ax.set_yticklabels([short(-most), "0", short(most)])
    bar.outline.set_visible(False)


def _largest(block: Array, axis: int) -> Array:
    """Of each block the element of largest magnitude."""
    most, least = block.max(axis), block.min(axis)
    return np.where(most > -least, most, least)
