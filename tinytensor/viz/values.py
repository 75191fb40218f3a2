"""Which values of a recorded graph are still known: those kept on purpose, and those it needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from ..autograd.kernel import Kernel
from ..autograd.mode import _Setting
from ..autograd.node import Node, Output
from ..autograd.primitive import Primitive
from ..dtypes import Array

Known = tuple[Array | None, ...]  # one for each output of a node


class keep_values(_Setting):
    """A block in which every operation that is recorded keeps a copy of its result.

    `with viz.keep_values():` around a forward pass lets drawings and pages show every value, after
    `backward()` too. It takes the memory of all of them. Without it a value is shown where the
    graph keeps it for a gradient. What is computed under `no_grad` in it knows where it came from
    (see `cuts`).

    >>> import tinytensor as tt
    >>> x = tt.tensor(2.0, requires_grad=True)
    >>> with tt.viz.keep_values():
    ...     y = x + 1
    >>> of(y.grad_fn)
    (array(3., dtype=float32),)
    """

    def __init__(self) -> None:
        super().__init__("keep", _keep)


class _Number(int):
    """The number of a node that carries the node's values, as a node has no place for them."""

    values: Known


def _keep(node: Node, outputs: Any) -> None:
    """Copies of what a node gave: a later write into it, or into a view, must not change them."""
    parts = outputs if type(outputs) is tuple else (outputs,)
    carrier: Any = node.number
    if type(carrier) is int:
        carrier = _Number(carrier)
    carrier.values = tuple(map(_copy, parts))
    node.number = carrier


def _copy(part: Any) -> Array | None:
    return np.array(part) if isinstance(part, np.ndarray) else None


def of(node: Node) -> Known:
    """What a node gave, one array for each of its outputs; None where that is not known.

    It is known within `keep_values`, and where the node's own gradient needs it, until it is freed
    or written to.
    """
    kept: Known | None = getattr(node.number, "values", None)
    if kept is not None:
        return kept
    count = len(node.dtype) if isinstance(node.dtype, tuple) else 1
    y = named(node).get("y")
    if y is None:
        return (None,) * count
    return y if isinstance(y, tuple) else (y,)


def known(nodes: Iterable[Node]) -> dict[Node, Known]:
    """The same for all nodes of a graph, also from what later ones keep of their inputs."""
    found = {node: list(of(node)) for node in nodes}
    for node in list(found):
        for edge, array in _inputs(node):
            if isinstance(edge, Output):
                target, index = edge.node, edge.index
            else:
                target, index = edge, 0
            if target in found and found[target][index] is None:
                found[target][index] = array
    return {node: tuple(parts) for node, parts in found.items()}


def named(node: Node) -> dict[str, Any]:
    """What a primitive's node keeps for its rules, by name: y, the arguments.

    Without what was freed or written to; "y" also from `keep_values`.
    """
    values: dict[str, Any] = {}
    kept: Known | None = getattr(node.number, "values", None)
    if kept is not None:
        values["y"] = kept if isinstance(node.dtype, tuple) else kept[0]
    if not isinstance(node.op, Primitive) or node.plan is None or node.saved is None:
        return values
    versions = node.kept or (None,) * len(node.saved)
    for (kind, number), value, version in zip(node.plan.keep, node.saved, versions, strict=True):
        if kind != "shape" and _unchanged(version):
            values["y" if kind == "output" else node.op.names[number]] = value
    return values


def _inputs(node: Node) -> Iterator[tuple[Any, Array]]:
    """The inputs that a node keeps, each with the edge that it came by."""
    if node.saved is None:
        return
    if isinstance(node.op, Kernel):
        versions = getattr(node.kept, "all", node.kept)  # a step's kernel checks fewer of them
        for edge, array, version in zip(node.edges, node.saved[0], versions, strict=True):
            if isinstance(edge, (Node, Output)) and array is not None and _unchanged(version):
                yield edge, array
    elif isinstance(node.op, Primitive) and not node.op.listed:
        values = named(node)
        for edge, name in zip(node.edges, node.op.names, strict=False):
            if isinstance(edge, (Node, Output)) and isinstance(values.get(name), np.ndarray):
                yield edge, values[name]


def _unchanged(version: Any) -> bool:
    """Whether a value is what it was when a node kept it."""
    pairs = version if type(version) is list else [version]
    return all(pair is None or pair[0][0] == pair[1] for pair in pairs)
