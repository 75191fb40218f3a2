"""What was measured, to be read: a table, the verdict over the bars, JSON, and a plot."""

import importlib.metadata
import importlib.util
import os
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from .rows import BARS, SCALE, Result, memory_ratio, training_flops

HOW = """\
How it counts. Each library runs in a process of its own; the parent lets them take turns, a burst
each. A time is the median of the bursts, a ratio (ours / theirs, below 1 is faster) the median of
the ratios of neighbouring bursts; `spread` is how far apart the middle half of these lie, over the
median, and `others` the share of the cores that other processes took meanwhile: a row is measured
again when either is above 15 % (others: beyond the cores that the row leaves free), and marked ~
when it stays so. Warm-up is apart, and no time counts before both have the same numbers. Threads
(1t, 2t) are set in each worker's environment. A recurrent training step counts 6 T N m n FLOP for
each weight of (m, n): its product forward, the gradient of the input, dx included, and its own; `of
peak` is that over the time, over the best matrix product of this run. Memory is the growth of the
process's peak, over two runs, over what it held after the import and one tiny step. An import finds
the byte code that another has left, as that of an installed package does."""


def duration(seconds: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def megabytes(memory: int | None) -> str:
    return "?" if memory is None else f"{memory / 2**20:.1f} MB"


def header() -> str:
    columns = f"{'theirs':>9}{'ratio':>8}{'spread':>8}{'others':>8}"
    return f"{'work':<52}{'ours':>9}  {'beside':<10}{columns}"


def lines(result: Result) -> list[str]:
    """A line for each rival, and one for the memory."""
    ours = duration(result.seconds["tinytensor"])
    mark = "~" if result.disturbed else ""
    found = [
        f"{result.row.name:<52}{ours:>9}  {rival:<10}{duration(result.seconds[rival]):>9}"
        f"{ratio:>8.2f}{result.spread:>8.0%}{result.others:>8.0%}{mark}"
        for rival, ratio in result.ratio.items()
    ]
    if not found:
        found = [f"{result.row.name:<52}{ours:>9}"]
    if result.memory:
        sizes = []
        for library, size in result.memory.items():
            ratio = memory_ratio(result, library)
            own = "" if library == "tinytensor" or ratio is None else f" ({ratio:.2f})"
            sizes.append(f"{library} {megabytes(size)}{own}")
        found.append(f"{'':<54}memory: {', '.join(sizes)}")
    return found


def peaks(results: list[Result]) -> list[str]:
    """Speed and fraction of the peak, of the rows that count FLOPs."""
    found = []
    for result in results:
        if result.of_peak is None:
            continue
        speed = result.row.flops / result.seconds["tinytensor"] / 1e9
        found.append(f"{result.row.name:<52}{speed:>9.1f} GF/s  {result.of_peak:>6.1%} of peak")
    return found


def slope(sizes: list[float], values: list[float]) -> float:
    """The power of the size that the values grow with, by least squares of the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def slopes(results: list[Result]) -> list[str]:
    """How time and memory grow with T, N and H, beside the arithmetic; T linear is 1."""
    found = []
    for axis, shapes in SCALE.items():
        own = [result for result in results if result.row.group == f"scale {axis}"]
        if len(own) < len(shapes):
            continue
        sizes = [float(result.row.arguments["shape"]["TNIH".index(axis)]) for result in own]
        times = [result.seconds["tinytensor"] for result in own]
        flops = [training_flops("LSTM", shape) for shape in shapes]
        line = (
            f"{axis} = {sizes[0]:g} to {sizes[-1]:g}: time as {axis}^{slope(sizes, times):.2f}"
            f" (at the end {slope(sizes[-2:], times[-2:]):.2f}),"
            f" the arithmetic as {axis}^{slope(sizes, flops):.2f}"
        )
        memory = [result.memory.get("tinytensor") or 0 for result in own]
        if all(size > 0 for size in memory):
            line += f", memory as {axis}^{slope(sizes, [float(m) for m in memory]):.2f}"
        found.append(line)
    return found


def kernels() -> str:
    """Which form of the recurrent kernels the bars are for."""
    by_hand = os.environ.get("TINYTENSOR_KERNELS")
    return by_hand or ("numba" if importlib.util.find_spec("numba") else "numpy")


def verdict(results: list[Result]) -> list[dict[str, Any]]:
    """Each bar that something was measured for, with what came."""
    found = []
    for bar in BARS:
        value, seen, wanted, disturbed = bar.measure(results)
        if value is None:
            continue
        limit = getattr(bar, kernels())
        found.append(
            {
                "work": bar.work,
                "cases": seen,
                "of": wanted,
                "disturbed": disturbed,
                "value": value,
                "bar": limit,
                "aim": bar.aim,
                "met": bar.met(value, limit),
                "aim_met": bar.met(value, bar.aim),
            }
        )
    return found


def verdict_lines(bars: list[dict[str, Any]]) -> list[str]:
    found = [f"{'bar with ' + kernels() + ' kernels':<65}{'came':>7}{'bar':>7}{'aim':>7}"]
    for bar in bars:
        word = "aim reached" if bar["aim_met"] else "ok" if bar["met"] else "MISSED"
        word = "not judged: disturbed" if bar["disturbed"] else word
        numbers = f"{bar['value']:>7.2f}{bar['bar']:>7.2f}{bar['aim']:>7.2f}"
        part = f"{bar['cases']} of {bar['of']}" if bar["cases"] < bar["of"] else ""
        found.append(f"{bar['work']:<58}{part:>7}{numbers}  {word}")
    return found


def processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def machine() -> dict[str, Any]:
    """What the figures hold for."""
    versions = {}
    for name in ("numpy", "torch", "numba", "jax", "autograd", "mygrad"):
        if importlib.util.find_spec(name):
            versions[name] = importlib.metadata.version(name)
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "kernels": kernels(),
        **versions,
    }


def as_json(results: list[Result], bars: list[dict[str, Any]], settings: Any) -> dict[str, Any]:
    rows = [{"name": result.row.name, **asdict(result)} for result in results]
    return {"machine": machine(), "settings": settings, "rows": rows, "bars": bars}


def plot(results: list[Result], path: Path) -> None:
    """The ratio of each row to each rival, disturbed rows marked ~. Needs matplotlib."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot, ticker

    points = [
        (result.row.name + ("~" if result.disturbed else ""), rival, ratio)
        for result in results
        for rival, ratio in result.ratio.items()
    ]
    names = list(dict.fromkeys(name for name, _, _ in points))
    figure, axes = pyplot.subplots(figsize=(8, 1 + 0.18 * len(names)), layout="constrained")
    for rival in dict.fromkeys(rival for _, rival, _ in points):
        own = [point for point in points if point[1] == rival]
        heights = [names.index(name) for name, _, _ in own]
        axes.plot([ratio for _, _, ratio in own], heights, "o", markersize=4, label=rival)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(lambda ratio, _: f"{ratio:g}")
    axes.xaxis.set_minor_formatter(ticker.NullFormatter())
    axes.set_xlabel("our time / theirs (left of the line is faster)")
    axes.set_yticks(range(len(names)), names, fontsize=6)
    axes.set_ylim(len(names), -1)
    axes.grid(axis="x", which="both", linewidth=0.3)
    axes.legend()
    figure.savefig(path)
    pyplot.close(figure)
