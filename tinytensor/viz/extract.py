"""From the engine's graph to a `Graph` of the drawing. Nothing is run and nothing is changed.

The walk is iterative and visits every node and edge once, so that a graph of any depth is taken or
refused in linear time. Numbers depend on the graph only, never on addresses or hashes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..autograd.kernel import Kernel
from ..autograd.node import Node as Recorded
from ..autograd.node import Output, edge_of, node_of
from ..autograd.scope import Label
from ..tensor import Tensor
from .clusters import Clusters
from .limit import check_size
from .recorded import (
    constants_of,
    dtype_name,
    keeps_something,
    kept_storages,
    operand_name,
    output_name,
    phase_of,
    saved_of,
    values_of,
    was_freed,
)
from .structure import Edge, EdgeKind, Graph, Kind, Node, Phase, Value


def extract(
    outputs: Any,
    *,
    inputs: Mapping[str, Tensor] | None = None,
    show_saved: bool = False,
    max_nodes: int | None = 2000,
) -> Graph:
    """The backward graph of `outputs`; see `viz.graph` for the arguments and errors."""
    graph, _ = extract_with_sources(
        outputs, inputs=inputs, show_saved=show_saved, max_nodes=max_nodes
    )
    return graph


def extract_with_sources(
    outputs: Any,
    *,
    inputs: Mapping[str, Tensor] | None = None,
    show_saved: bool = False,
    max_nodes: int | None = None,
    folds: bool = False,
) -> tuple[Graph, list[Any]]:
    """As `extract`, and for each node of the drawing what it was taken from.

    That is the engine's node for an operation and for its saved values, the Tensor for anything
    else. It keeps the engine's graph alive.

    folds : whether fewer nodes may be drawn in the end. Then a graph of more than `max_nodes` is
        refused only if it has no clusters to make them fewer by
    """
    roots = named_tensors(outputs)
    names = _named_inputs(inputs)
    found, leaves = reachable(tensor for _, tensor in roots)
    count = len(roots) + len(found) + leaves
    if show_saved:
        count += sum(map(keeps_something, found))
    plain = all(node.scope is None for node in found)
    if plain or not folds:
        check_size(count, max_nodes, saved=show_saved, folded=folds, plain=plain)
    in_backward_order = sorted(found, key=lambda node: node.number, reverse=True)
    extraction = _Extraction(names, show_saved)
    graph = extraction.run(roots, in_backward_order)
    return graph, extraction.sources


def named_tensors(outputs: Any) -> list[tuple[str, Tensor]]:
    """The tensors in nested tuples, lists and dicts, in order, each with its name.

    One tensor is called "output"; others by their keys and places: "loss", "states[0]", "out.h".
    Raises ValueError if none of them requires grad, TypeError for anything else than a tensor.
    """
    found: list[tuple[str, Tensor]] = []
    stack: list[tuple[str, Any]] = [("", outputs)]
    while stack:
        name, value = stack.pop()
        if isinstance(value, Tensor):
            found.append((name or "output", value))
        elif isinstance(value, Mapping):
            inner = [(f"{name}.{key}" if name else str(key), value[key]) for key in value]
            stack.extend(reversed(inner))
        elif isinstance(value, (tuple, list)):
            inner = [(f"{name or 'output'}[{i}]", part) for i, part in enumerate(value)]
            stack.extend(reversed(inner))
        elif value is not None:
            where = f" at {name}" if name else ""
            raise TypeError(
                "graph: expected a tensor, or tensors in tuples, lists and dicts, "
                f"got {type(value).__name__}{where}"
            )
    if not any(tensor.requires_grad for _, tensor in found):
        raise ValueError(
            "graph: expected a tensor that requires grad, got "
            f"{'none' if found else 'no tensor'}; a tensor made under no_grad or by .detach(), or "
            "from tensors that do not require grad, has no graph"
        )
    return found


def _named_inputs(inputs: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
    if inputs is None:
        return {}
    if not isinstance(inputs, Mapping):
        raise TypeError(
            f"graph: expected inputs to be a dict of names and tensors, got {type(inputs).__name__}"
        )
    for name, tensor in inputs.items():
        if not isinstance(tensor, Tensor):
            raise TypeError(
                f"graph: expected inputs[{name!r}] to be a tensor, got {type(tensor).__name__}"
            )
        if not tensor.is_leaf:
            raise ValueError(
                f"graph: expected inputs[{name!r}] to be a leaf, got the result of "
                f"{tensor.grad_fn.name()}; name the tensors that it was computed from"
            )
    return {str(name): tensor for name, tensor in inputs.items()}


def reachable(tensors: Iterator[Tensor]) -> tuple[set[Recorded], int]:
    """The recorded nodes that a gradient of these tensors reaches, and the number of leaves."""
    nodes: set[Recorded] = set()
    leaves: set[int] = set()
    stack = [edge_of(tensor) for tensor in tensors]
    while stack:
        edge = stack.pop()
        if type(edge) is Output:
            edge = edge.node
        if type(edge) is Recorded:
            if edge not in nodes:
                nodes.add(edge)
                stack.extend(edge.edges)
        elif edge is not None:
            leaves.add(id(edge))
    return nodes, len(leaves)


class _Extraction:
    """Puts one `Graph` together.

    Outputs come first, then operations newest first, each followed by the leaves and saved values
    that it is the first to lead to.
    """

    def __init__(self, inputs: dict[str, Tensor], show_saved: bool) -> None:
        self.inputs = inputs
        self.names = {id(tensor): name for name, tensor in inputs.items()}
        self.constants = {
            id(tensor._storage): tensor for tensor in inputs.values() if not tensor.requires_grad
        }
        self.show_saved = show_saved
        self.clusters = Clusters()
        self.homes: dict[int, int | None] = {}  # id of a leaf -> the cluster that it is drawn in
        self.nodes: list[Node] = []
        self.sources: list[Any] = []
        self.numbers: dict[Any, int] = {}  # a recorded node, or the id of a leaf -> its number
        self.edges: list[tuple[int, Any, EdgeKind, str, str]] = []  # (source, key in numbers, ...)

    def run(self, roots: list[tuple[str, Tensor]], recorded: list[Recorded]) -> Graph:
        places = [self.clusters.of_node(node) for node in recorded]
        self._settle_leaves(recorded, places)
        for name, tensor in roots:
            self._add_output(name, tensor)
        for node, place in zip(recorded, places, strict=True):
            self._add_operation(node, place)
        for _, tensor in roots:
            self._add_leaf(edge_of(tensor))
        for tensor in self.inputs.values():
            if id(tensor) not in self.numbers:
                self._add_input(tensor, "not in the graph")
        return Graph(
            tuple(self.nodes),
            tuple(
                Edge(source, self.numbers[target], kind, operand, output)
                for source, target, kind, operand, output in self.edges
            ),
            self.clusters.finished(),
        )

    def _settle_leaves(self, recorded: list[Recorded], places: list[int | None]) -> None:
        """Find each parameter's cluster: around all that use it, outside of time steps.

        It moves into the cluster of the module that owns it if it is not in there already. Inputs
        come from outside of all modules and are drawn there.
        """
        clusters = self.clusters
        homes = self.homes
        parameters: dict[int, Tensor] = {}
        for node, place in zip(recorded, places, strict=True):
            for edge in node.edges:
                if _is_parameter(edge):
                    key = id(edge)
                    homes[key] = clusters.common(homes[key], place) if key in homes else place
                    parameters[key] = edge
        single = clusters.of_single_calls()
        for key, parameter in parameters.items():
            home = clusters.outside_steps(homes[key])
            label = _label_of(parameter)
            owner = None if label is None else single.get(id(label.parent))
            if owner is not None and not clusters.contains(owner, home):
                home = owner
            homes[key] = home

    def _add(
        self,
        source: Any,
        kind: Kind,
        name: str,
        values: tuple[Value, ...],
        cluster: int | None = None,
        phase: Phase = "forward",
        kernel: bool = False,
        note: str = "",
    ) -> int:
        number = len(self.nodes)
        self.sources.append(source)
        self.nodes.append(Node(number, kind, name, values, cluster, phase, kernel, note))
        return number

    def _add_output(self, name: str, tensor: Tensor) -> None:
        edge = edge_of(tensor)
        note = "no gradient" if edge is None else ""
        number = self._add(tensor, "output", name, (_value_of(tensor),), note=note)
        if edge is not None:
            self._connect(number, edge, "")

    def _add_operation(self, node: Recorded, place: int | None) -> None:
        number = self._add(
            node,
            "operation",
            node.op.name.strip("_"),
            values_of(node),
            place,
            phase_of(node),
            isinstance(node.op, Kernel),
        )
        drawn = self.nodes[number]
        drawn.constants, drawn.places = constants_of(node)
        self.numbers[node] = number
        for index, edge in enumerate(node.edges):
            if edge is not None:
                self._add_leaf(edge)
                self._connect(number, edge, operand_name(node, index))
        if self.constants:
            self._add_constants(node, number)
        if self.show_saved:
            self._add_saved(node, number, place)

    def _connect(self, source: int, edge: Any, operand: str) -> None:
        """An edge of the drawing for one of the engine's."""
        node = node_of(edge)
        if node is None:
            self.edges.append((source, id(edge), "gradient", operand, ""))
        else:
            output = output_name(node, edge.index) if isinstance(edge, Output) else ""
            self.edges.append((source, node, "gradient", operand, output))

    def _add_leaf(self, edge: Any) -> None:
        if not isinstance(edge, Tensor) or id(edge) in self.numbers:
            return
        if not _is_parameter(edge):
            self._add_input(edge)
            return
        label = _label_of(edge)
        name = "" if label is None else label.path
        name = name or self.names.get(id(edge), "parameter")
        home = self.homes.get(id(edge))
        self.numbers[id(edge)] = self._add(edge, "parameter", name, (_value_of(edge),), home)

    def _add_input(self, tensor: Tensor, note: str = "") -> None:
        name = self.names.get(id(tensor), "input")
        self.numbers[id(tensor)] = self._add(tensor, "input", name, (_value_of(tensor),), note=note)

    def _add_constants(self, node: Recorded, number: int) -> None:
        """Lead from an operation to the named inputs that it keeps and that get no gradient."""
        for key in dict.fromkeys(map(id, kept_storages(node))):
            tensor = self.constants.get(key)
            if tensor is None:
                continue
            if id(tensor) not in self.numbers:
                self._add_input(tensor, "no gradient")
            self.edges.append((number, id(tensor), "kept", "", ""))

    def _add_saved(self, node: Recorded, number: int, place: int | None) -> None:
        """One box for all that an operation keeps."""
        freed = was_freed(node)
        values = tuple(
            Value(
                name + "".join(f"[{part}]" for part in inside), array.shape, dtype_name(array.dtype)
            )
            for name, inside, array in saved_of(node)
        )
        if not values and not freed:
            return
        note = "freed by backward()" if freed else ""
        box = self._add(node, "saved", "saved values", values, place, phase_of(node), note=note)
        self.numbers[node, "saved"] = box
        self.edges.append((number, (node, "saved"), "kept", "", ""))


def _is_parameter(edge: Any) -> bool:
    """Whether a leaf can be given a name by a module. The class itself lies in a room above."""
    return isinstance(edge, Tensor) and hasattr(edge, "_label")


def _label_of(parameter: Tensor) -> Label | None:
    """The name that a module gave a parameter; None for one that belongs to no module."""
    label: Label | None = getattr(parameter, "_label", None)
    return label


def _value_of(tensor: Tensor) -> Value:
    return Value("", tuple(tensor.shape), dtype_name(tensor._array.dtype))
