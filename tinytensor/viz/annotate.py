"""Values, gradients, norms and formulas written onto the nodes of a drawing, and heat by norm.

What is shown is read from the recorded graph. For the gradients of operations its backward pass is
walked once more (`autograd.trace`), which touches no `.grad`; the model is never run.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np

from ..autograd.node import Node as Recorded
from ..autograd.trace import Visit, follow_trace
from ..autograd.walk import Dropped
from ..dtypes import Array
from ..tensor import Tensor
from . import values
from .formulas import local_derivative
from .numerals import is_small, norm, number, statistics, written
from .recorded import let_go
from .structure import Graph, Node

SHOWN = ("values", "gradients", "norms", "formulas")

_Parts = tuple[Array | None, ...]
_Text = tuple[int, tuple[str, ...]]

_NOT_YET = "no gradient yet"
_FREED = "gradient freed"
_CHECKPOINTED = "no gradient: checkpointed"
_FAILS = "no gradient: its backward pass fails"
_UNREACHED = "no gradient arrives"


def annotate(
    graph: Graph, sources: Sequence[Any], show: Collection[str] = (), color: str | None = None
) -> Graph:
    """The same drawing with what is known about each node.

    graph, sources : from `extract_with_sources`
    show : what to write on the nodes, any of
        "values": small tensors in full, large ones as shape, mean, std, min and max; all of them
            after `keep_values`, else those that the graph kept
        "gradients": of a leaf what its `.grad` holds; of an operation what a backward pass brings
            there, from all outputs that are scalars, added up
        "norms": √Σ x² of value and gradient
        "formulas": the local derivative, see `formulas.local_derivative`
    color : "norm" gives each node with a gradient a heat from 0 to 1, its place between the least
        and the largest norm of the drawing on a logarithmic scale; a norm of 0 has heat 0
    Where there is no gradient it is said why. Of a leaf "no gradient yet" says that backward has
    not filled its `.grad`. The gradients of operations are those of a pass that is followed here,
    whether backward has run or not: "no gradient yet" where no output is a scalar to start from,
    "gradient freed" after a plain `backward()`, which frees what that pass needs (draw before it,
    or after `backward(retain_graph=True)`).
    Hooks that sit on the graph are called, see `autograd.trace`.
    Raises ValueError for anything else in `show` or `color`.
    """
    _check(show, color)
    recorded = [source for source in sources if isinstance(source, Recorded)]
    known: dict[Recorded, values.Known] = {}
    if "values" in show or "norms" in show:
        known = values.known(recorded)
    gradients = _Gradients("gradients" in show)
    if color == "norm" or "gradients" in show or "norms" in show:
        gradients.find(graph, sources)
    scale = heat_scale(gradients.norms.values()) if color == "norm" else None
    nodes = []
    for node, source in zip(graph.nodes, sources, strict=True):
        if node.kind != "saved":
            lines = _lines(node, source, show, color, known, gradients)
            heat = None
            if scale is not None and id(source) in gradients.norms:
                heat = heat_of(gradients.norms[id(source)], scale)
            node = dataclasses.replace(node, lines=(*node.lines, *lines), heat=heat)
        nodes.append(node)
    text = graph.scale if scale is None else legend(scale)
    return dataclasses.replace(graph, nodes=tuple(nodes), scale=text)


def _check(show: Collection[str], color: str | None) -> None:
    wrong = [show] if isinstance(show, str) else [name for name in show if name not in SHOWN]
    if wrong:
        raise ValueError(
            f"graph: expected show to be a tuple of any of {', '.join(SHOWN)}, got {wrong[0]!r}"
        )
    if color not in (None, "norm"):
        raise ValueError(f"graph: expected color to be 'norm' or None, got {color!r}")


# -- heat


def heat_scale(norms: Iterable[float]) -> tuple[float, float] | None:
    """The least and the largest of the norms that are finite and not 0; None if none is."""
    usable = [size for size in norms if 0 < size < math.inf]
    return (min(usable), max(usable)) if usable else None


def heat_of(size: float, scale: tuple[float, float]) -> float | None:
    """The place of log10 of a norm between those of the ends; None for what is no number."""
    low, high = scale
    if math.isnan(size):
        return None
    if size <= low:
        return 1.0 if low == high == size else 0.0
    if size >= high:
        return 1.0
    return math.log10(size / low) / math.log10(high / low)


def legend(scale: tuple[float, float]) -> str:
    """What the colours mean."""
    low, high = map(number, scale)
    return f"norm of the gradient, {low} … {high}"


# -- gradients


class _Gradients:
    """The gradient of each node of a drawing, as text and as norm, or the reason why there is none.

    texts, norms : by the id of the source; texts hold one entry for each output of an operation
    missing : what is to be said of an operation without
    """

    def __init__(self, with_texts: bool) -> None:
        self.with_texts = with_texts
        self.texts: dict[int, list[_Text]] = {}
        self.norms: dict[int, float] = {}
        self.missing = _NOT_YET

    def find(self, graph: Graph, sources: Sequence[Any]) -> None:
        """Read those of the leaves, walk to those of the operations."""
        roots: dict[int, Tensor] = {}
        for node, source in zip(graph.nodes, sources, strict=True):
            if not isinstance(source, Tensor):
                continue
            if node.kind == "output":
                if source.requires_grad and source._array.size == 1:
                    roots[id(source)] = source
            elif source._grad is not None:
                self._add(source, (source._grad._array,))
        if roots:
            self._walk(list(roots.values()), sources)

    def _walk(self, roots: list[Tensor], sources: Sequence[Any]) -> None:
        recorded = [source for source in sources if isinstance(source, Recorded)]
        if any(type(node.kept) is Dropped for node in recorded):
            self.missing = _CHECKPOINTED
            return
        for root in roots:
            self._add(root, (np.ones_like(root._array),))
        self.missing = _UNREACHED
        try:
            follow_trace(roots, None, self._take)
        except RuntimeError:
            self.missing = _FREED if any(map(let_go, recorded)) else _FAILS

    def _take(self, visit: Visit) -> None:
        self._add(visit.node, visit.g if isinstance(visit.g, tuple) else (visit.g,))

    def _add(self, source: Any, parts: _Parts) -> None:
        size = norm(parts)
        if size is not None:
            self.norms[id(source)] = size
        if self.with_texts:
            self.texts[id(source)] = _texts(parts)


# -- lines


def _lines(
    node: Node,
    source: Any,
    show: Collection[str],
    color: str | None,
    known: dict[Recorded, values.Known],
    gradients: _Gradients,
) -> list[str]:
    """What to write on one node."""
    operation = isinstance(source, Recorded)
    parts = known.get(source, ()) if operation else (source._array,)
    lines = []
    if "values" in show:
        lines += _each(node, "value", _texts(parts))
    wants_gradient = operation or source.requires_grad
    found = id(source) in gradients.norms
    if "gradients" in show and found:
        lines += _each(node, "gradient", gradients.texts[id(source)])
    if "norms" in show:
        lines += _norm_line(norm(parts), gradients.norms.get(id(source)))
    if not found and wants_gradient and ({"gradients", "norms"} & set(show) or color is not None):
        if node.kind != "output":
            lines.append(gradients.missing if operation else _NOT_YET)
    if "formulas" in show and operation:
        lines += local_derivative(source)
    return lines


def _texts(parts: _Parts) -> list[_Text]:
    """What is known of several outputs, each with its number: in full, or statistics as lines."""
    return [
        (index, (written(part),) if is_small(part.shape) else statistics(part))
        for index, part in enumerate(parts)
        if part is not None
    ]


def _each(node: Node, what: str, texts: list[_Text]) -> list[str]:
    """The lines for each output of a node, with its name where there are several."""
    lines = []
    for index, (first, *rest) in texts:
        name = f" {node.values[index].name}:" if len(node.values) > 1 else ""
        lines += [f"{what}{name} {first}", *rest]
    return lines


def _norm_line(value: float | None, gradient: float | None) -> list[str]:
    parts = []
    if value is not None:
        parts.append(f"‖value‖ {number(value)}")
    if gradient is not None:
        parts.append(f"‖gradient‖ {number(gradient)}")
    return [", ".join(parts)] if parts else []
