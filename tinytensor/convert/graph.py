"""An ONNX graph as it is written down: nodes, initializers and their names, without onnx itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..dtypes import Array
from .trace import Value


class Node(NamedTuple):
    """inputs, outputs : names; an empty one stands for an input or output that is left out."""

    operator: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]


class Graph:
    """Takes nodes in the order in which they are computed."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.initializers: dict[str, Array] = {}
        self.current = ""  # the operation at work, for messages
        self._names: dict[int, str] = {}
        self._small: dict[Any, str] = {}
        self._taken: set[str] = set()

    def unique(self, name: str) -> str:
        """The name, with a number behind it if it is taken already."""
        found = name
        count = 1
        while found in self._taken:
            count += 1
            found = f"{name}_{count}"
        self._taken.add(found)
        return found

    # -- values of the trace

    def declare(self, value: Value, name: str) -> None:
        """Say under which name a value is to be had."""
        self._names[value.number] = name

    def name(self, value: Value) -> str:
        """The name of a value; of a constant or parameter that is new its initializer's."""
        found = self._names.get(value.number)
        if found is None:
            found = self._names[value.number] = self._new_name(value)
        return found

    def _new_name(self, value: Value) -> str:
        if value.source is not None:
            name = self.name(value.source)
            kind = value.array.dtype
            return name if value.source.array.dtype == kind else self.cast(name, kind)
        if value.from_input:
            raise ValueError(
                f"to_onnx: expected values that come from operations, got one in {self.current} "
                "that depends on the inputs in another way; use no .item(), numpy(), write into a "
                "part of a tensor, or random draw (F.dropout needs training=self.training)"
            )
        if value.name:  # no other has it
            self.initializers[value.name] = np.array(value.array, order="C")
            return value.name
        return self.initializer(value.array, "constant")

    # -- parts

    def initializer(self, array: Array, name: str) -> str:
        found = self.unique(name)
        self.initializers[found] = np.array(array, order="C")
        return found

    def number(self, value: Any, kind: Any) -> str:
        """A scalar of a NumPy dtype, or a vector for a list: one initializer for all its uses."""
        array = np.asarray(value, kind)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._small:
            text = "_".join(map(str, array.reshape(-1).tolist()))[:40]
            self._small[key] = self.initializer(array, f"number_{text}" if text else "none")
        return self._small[key]

    def integers(self, values: Sequence[int]) -> str:
        return self.number(list(values), np.int64)

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """The name of the one output of a new node."""
        return self.several(operator, inputs, 1, **attributes)[0]

    def several(
        self, operator: str, inputs: Sequence[str], count: int, **attributes: Any
    ) -> list[str]:
        """The names of the outputs of a new node."""
        outputs = [self.unique(operator.lower()) for _ in range(count)]
        given = list(inputs)
        while given and not given[-1]:
            given.pop()
        self.nodes.append(Node(operator, given, outputs, attributes))
        return outputs

    def cast(self, name: str, kind: Any) -> str:
        return self.node("Cast", name, to=np.dtype(kind))

    def reshape(self, name: str, shape: Sequence[int]) -> str:
        return self.node("Reshape", name, self.integers(shape), allowzero=1)

    def slice(
        self, name: str, starts: Sequence[int], ends: Sequence[int], axes: Sequence[int],
        steps: Sequence[int],
    ) -> str:  # fmt: skip
        return self.node("Slice", name, *map(self.integers, (starts, ends, axes, steps)))

    def finish(self, found: Sequence[str], called: Sequence[str]) -> None:
        """Rename the outputs, or, of what no node makes or another output is, add an Identity."""
        made = {name for node in self.nodes for name in node.outputs}
        renamed: dict[str, str] = {}
        for name, new in zip(found, called, strict=True):
            if name in made and name not in renamed:
                renamed[name] = new
            else:
                self.nodes.append(Node("Identity", [name], [new], {}))
        for node in self.nodes:
            for names in (node.inputs, node.outputs):
                names[:] = [renamed.get(name, name) for name in names]
        self._leave_out_unused(called)

    def _leave_out_unused(self, outputs: Sequence[str]) -> None:
        """Nodes and initializers that no output needs: a recurrent layer's last states, say."""
        used = set(outputs)
        kept = []
        for node in reversed(self.nodes):
            if not used.isdisjoint(node.outputs):
                kept.append(node)
                used.update(node.inputs)
        self.nodes = kept[::-1]
        self.initializers = {name: a for name, a in self.initializers.items() if name in used}
