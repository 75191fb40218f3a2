"""What the page shows, as plain data that JSON can hold: nodes, steps of the pass, tensors."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Any

import numpy as np

from ..autograd.backward import starting_gradients
from ..autograd.node import Node as Recorded
from ..autograd.node import Output
from ..autograd.primitive import Primitive
from ..autograd.trace import Contribution, Visit, follow_trace
from ..dtypes import Array
from ..tensor import Tensor
from . import formula_table
from .formulas import local_derivative, slope, slope_numbers
from .numerals import is_small
from .recorded import operand_name, output_name
from .structure import Cluster, Graph, Node
from .values import Known, known, named

# The most elements of a tensor that is shown as a table: the first with which all of them together
# have no more elements than the page can bear.
LIMITS = (256, 64, 16, 4)
BUDGET = 120_000

Data = dict[str, Any]


def page_data(graph: Graph, sources: list[Any], folded: Graph, gradient: Any = None) -> Data:
    """The backward pass of a graph's outputs, followed once, in the words of `page.js`.

    graph, sources : as `extract_with_sources` gives them; folded : the same, folded or not
    Tensors are numbers of places in the list `tensors`. Raises as `autograd.trace`.
    """
    pass_ = _Pass(graph, sources)
    pass_.follow(gradient)
    return {
        "nodes": [_node(node, graph) for node in graph.nodes],
        "shown": _shown(folded, len(graph.nodes)),
        "starts": pass_.starts,
        "steps": pass_.steps,
        "stretches": _stretches(graph, [step["node"] for step in pass_.steps]),
        "leaves": pass_.leaves,
        "tensors": pass_.tensors.found,
    }


def _node(node: Node, graph: Graph) -> list[str]:
    shapes = ", ".join(f"{value.name} {_shape(value.shape)}".strip() for value in node.values)
    return [node.name, node.kind, graph.place(node), shapes, node.note]


def _shape(shape: tuple[int, ...]) -> str:
    return str(shape) if shape else "scalar"


def _shown(folded: Graph, count: int) -> list[int] | None:
    """For each node of the whole graph the one that stands for it; None where nothing is folded."""
    if folded.full is None:
        return None
    shown = [0] * count
    for number, members in enumerate(folded.members):
        for member in members:
            shown[member] = number
    return shown


# -- time ------------------------------------------------------------------------------------------


def _stretches(graph: Graph, visited: list[int]) -> list[list[Any]]:
    """The pass cut at the time steps: for each stretch its name and its first visit.

    What lies outside of all steps belongs to the stretch before it.
    """
    found: list[list[Any]] = []
    current: int | None = None
    for place, number in enumerate(visited):
        moment = _moment(graph, graph.nodes[number])
        if moment is not None and moment.number != current:
            current = moment.number
            around = [cluster.label for cluster in graph.enclosing(current)]
            found.append([" / ".join(reversed(around)), place])
    return found


def _moment(graph: Graph, node: Node) -> Cluster | None:
    """The time step that a node lies in, or the call of a module that is called again and again."""
    again = None
    for cluster in graph.enclosing(node.cluster):
        if cluster.kind == "step":
            return cluster
        numbered = cluster.kind == "scope" and re.search(r"\d", cluster.name)
        if cluster.call is not None or numbered:
            again = cluster
    return again


# -- tensors ---------------------------------------------------------------------------------------


class _Tensors:
    """The tensors of a page, each kept once: in full up to `limit` elements, else as statistics."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.found: list[Data] = []
        self.places: dict[tuple[Any, ...], int] = {}

    def add(self, array: Any) -> int:
        array = np.asarray(array)
        key = (array.shape, array.dtype.str, blake2b(array.tobytes()).digest())
        place = self.places.get(key)
        if place is None:
            place = self.places[key] = len(self.found)
            self.found.append(self._described(array))
        return place

    def _described(self, array: Array) -> Data:
        shape = list(array.shape)
        if array.size <= self.limit:
            return {"shape": shape, "values": [_number(value) for value in array.ravel()]}
        with np.errstate(all="ignore"):
            wide = array.astype(np.float64)
            statistics = {
                "norm": np.linalg.norm(wide),
                "mean": wide.mean(),
                "std": wide.std(),
                "min": wide.min(),
                "max": wide.max(),
                "zeros": np.mean(wide == 0),
            }
        return {"shape": shape, **{name: _number(value) for name, value in statistics.items()}}


def _number(value: Any) -> float | str:
    """The shortest number that has this value in its own dtype; JSON has no nan and inf."""
    if value.dtype.kind not in "fc":
        return int(value)
    short = float(str(value))
    return short if math.isfinite(short) else str(short)


def _limit(nodes: Iterable[Recorded]) -> int:
    """How large the tables of a graph may be."""
    sizes: list[int] = []
    for node in nodes:
        own = _sizes(node.shape, node.dtype)
        inputs = [size for edge in node.edges for size in _sizes_at(edge)]
        sizes += own * 2 + inputs * 3  # the gradient and the value; what it adds, the sum, an input
    for limit in LIMITS:
        if sum(size for size in sizes if size <= limit) <= BUDGET:
            return limit
    return LIMITS[-1]


def _sizes(shape: Any, dtype: Any) -> list[int]:
    return [math.prod(part) for part in (shape if isinstance(dtype, tuple) else (shape,))]


def _sizes_at(edge: Any) -> list[int]:
    """How many elements there are where an edge leads."""
    if edge is None:
        return []
    if isinstance(edge, Output):
        return [math.prod(edge.node.shape[edge.index])]
    return _sizes(edge.shape, edge.dtype)


def _in_order(gradients: Mapping[str, Any], names: list[str]) -> list[Any]:
    """The gradients of outputs of these names; None for those that are not given."""
    wrong = [name for name in gradients if name not in names]
    if wrong:
        raise ValueError(
            f"page: expected gradients of {', '.join(names)}, got one of {wrong[0]!r}, which is no "
            "output that requires grad"
        )
    return [gradients.get(name) for name in names]


# -- the pass --------------------------------------------------------------------------------------


class _Pass:
    """Follows the backward pass and writes down each visit."""

    def __init__(self, graph: Graph, sources: list[Any]) -> None:
        self.recorded = [source for source in sources if isinstance(source, Recorded)]
        self.numbers: dict[int, int] = {}
        self.names = [node.name for node in graph.nodes]
        self.outputs: list[tuple[int, Tensor]] = []
        for node, source in zip(graph.nodes, sources, strict=True):
            if node.kind == "output":
                self.outputs.append((node.number, source))
            else:
                self.numbers[id(source)] = node.number
        self.tensors = _Tensors(_limit(self.recorded))
        self.steps: list[Data] = []
        self.starts: list[list[int]] = []
        self.leaves: list[list[int]] = []

    def follow(self, gradient: Any) -> None:
        # The rules are asked for their numbers before the walk, not in the middle of it.
        values = known(self.recorded)
        about = {node: self._about(node, values[node]) for node in self.recorded}
        roots = [(number, tensor) for number, tensor in self.outputs if tensor.requires_grad]
        tensors = [tensor for _, tensor in roots]
        if isinstance(gradient, Mapping):
            gradient = _in_order(gradient, [self.names[number] for number, _ in roots])
        starts = starting_gradients(tensors, gradient, False, "page")
        for (number, _), start in zip(roots, starts, strict=True):
            self.starts.append([number, self.tensors.add(start)])

        def visitor(visit: Visit) -> None:
            self.steps.append({**self._visited(visit), **about[visit.node]})

        leaves = follow_trace(tensors, gradient, visitor)
        self.leaves = [[self.numbers[id(leaf)], self.tensors.add(g)] for leaf, g in leaves]

    def _visited(self, visit: Visit) -> Data:
        node = visit.node
        step: Data = {
            "node": self.numbers[id(node)],
            "g": self._of_outputs(node, visit.arrived),
            "adds": [self._addition(node, part) for part in visit.contributions],
        }
        if visit.g is not visit.arrived:
            step["hooked"] = self._of_outputs(node, visit.g)
        return step

    def _addition(self, node: Recorded, part: Contribution) -> list[Any]:
        """The input's name, where it comes from, which output there, what is added, the sum."""
        target, output = part.edge, ""
        if isinstance(target, Output):
            output = output_name(target.node, target.index)
            target = target.node
        name = operand_name(node, part.number)
        number = self.numbers[id(target)]
        return [name, number, output, self.tensors.add(part.gx), self.tensors.add(part.total)]

    def _of_outputs(self, node: Recorded, parts: Any) -> list[list[Any]]:
        """A tensor for each output of a node, with its name; None where there is none."""
        if not isinstance(parts, tuple):
            return [["", self.tensors.add(parts)]]
        return [
            [output_name(node, index), None if part is None else self.tensors.add(part)]
            for index, part in enumerate(parts)
        ]

    def _about(self, node: Recorded, values: Known) -> Data:
        """What is known of a node before the pass: its value, its derivative, what that needs."""
        parts = values if isinstance(node.dtype, tuple) else values[0]
        found: Data = {
            "formula": local_derivative(node),
            "y": [] if parts is None else self._of_outputs(node, parts),
            "reads": [
                [formula_table.SYMBOLS.get(name, name), self.tensors.add(value)]
                for name, value in sorted(named(node).items())
                if name != "y" and isinstance(value, np.ndarray)
            ],
            "slopes": [],
        }
        if isinstance(node.op, Primitive) and node.op.name in formula_table.SLOPES:
            found["slopes"] = list(self._slopes(node))
        return found

    def _slopes(self, node: Recorded) -> Iterator[list[Any]]:
        """The numbers of dy/dx where the formula does not say them."""
        if is_small(node.shape) or math.prod(node.shape) > self.tensors.limit:
            return
        for place, _ in node.plan.rules:
            name = node.op.names[place]
            if re.fullmatch(r"-?\d+", slope(node, place)):
                continue
            slopes = slope_numbers(node, place)
            if slopes is not None:
                yield [f"dy/d{name}", self.tensors.add(slopes)]
