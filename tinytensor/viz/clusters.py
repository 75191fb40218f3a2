"""From the scopes of recorded nodes to the nested clusters of a drawing."""

from __future__ import annotations

from ..autograd.node import Node
from ..autograd.scope import Label, Scope
from .recorded import phase_of
from .structure import Cluster, Phase


class Clusters:
    """The clusters of one drawing: one for each scope and phase of a node, and for those around it.

    What a backward pass recorded for a module lies in another cluster than the module's own
    operations: the gradient visits the two at different times. A cluster's number is higher than
    that of the one around it.
    """

    def __init__(self) -> None:
        self.scopes: list[Scope] = []
        self.phases: list[Phase] = []
        self.parents: list[int | None] = []
        self.depths: list[int] = []
        self.in_step: list[bool] = []
        self.numbers: dict[tuple[int, Phase], int] = {}
        self.modules: dict[int, int] = {}  # id of a module's label -> its number in this drawing

    def of_node(self, node: Node) -> int | None:
        """The number of the cluster that a node lies in. To be asked newest node first."""
        scope: Scope | None = node.scope
        phase = phase_of(node)
        missing: list[Scope] = []
        while scope is not None and (id(scope), phase) not in self.numbers:
            missing.append(scope)
            scope = scope.parent
        parent = None if scope is None else self.numbers[id(scope), phase]
        for inner in reversed(missing):
            parent = self._add(inner, phase, parent)
        return parent

    def _add(self, scope: Scope, phase: Phase, parent: int | None) -> int:
        number = len(self.scopes)
        self.numbers[id(scope), phase] = number
        self.scopes.append(scope)
        self.phases.append(phase)
        self.parents.append(parent)
        self.depths.append(0 if parent is None else self.depths[parent] + 1)
        within = parent is not None and self.in_step[parent]
        self.in_step.append(within or scope.kind == "step")
        return number

    def common(self, a: int | None, b: int | None) -> int | None:
        """The innermost cluster around both."""
        while a != b:
            if a is None or b is None:
                return None
            if self.depths[a] >= self.depths[b]:
                a = self.parents[a]
            else:
                b = self.parents[b]
        return a

    def contains(self, outer: int, inner: int | None) -> bool:
        return self.common(outer, inner) == outer

    def outside_steps(self, cluster: int | None) -> int | None:
        """The innermost cluster around this one that lies in no time step."""
        while cluster is not None and self.in_step[cluster]:
            cluster = self.parents[cluster]
        return cluster

    def of_single_calls(self) -> dict[int, int]:
        """For the id of each module label with one call, outside of time steps: its cluster."""
        single: dict[int, int | None] = {}
        for number, scope in enumerate(self.scopes):
            if isinstance(scope.name, Label) and self.phases[number] == "forward":
                again = id(scope.name) in single
                single[id(scope.name)] = None if again or self.in_step[number] else number
        return {label: number for label, number in single.items() if number is not None}

    def finished(self) -> tuple[Cluster, ...]:
        calls = self._calls()
        return tuple(
            self._cluster(number, scope, calls.get(id(scope)))
            for number, scope in enumerate(self.scopes)
        )

    def _calls(self) -> dict[int, int]:
        """For the id of a scope which call of its module it is, where several are side by side."""
        beside: dict[tuple[int, int], dict[int, None]] = {}
        for scope in sorted(self.scopes, key=lambda scope: scope.number):
            if isinstance(scope.name, Label):
                beside.setdefault((id(scope.parent), id(scope.name)), {})[id(scope)] = None
        return {
            scope: call
            for scopes in beside.values()
            if len(scopes) > 1
            for call, scope in enumerate(scopes, start=1)
        }

    def _cluster(self, number: int, scope: Scope, call: int | None) -> Cluster:
        parent = self.parents[number]
        phase = self.phases[number]
        label = scope.name
        if not isinstance(label, Label):
            return Cluster(number, scope.kind, str(label), phase=phase, parent=parent)
        path = label.path
        around = self._module_around(parent)
        name = path.removeprefix(f"{around}.") if around else path
        module = self.modules.setdefault(id(label), len(self.modules))
        return Cluster(
            number, scope.kind, name, label.kind, path, call, phase, parent, module=module
        )

    def _module_around(self, cluster: int | None) -> str:
        """The path of the innermost module around a place."""
        while cluster is not None:
            label = self.scopes[cluster].name
            if isinstance(label, Label):
                return label.path
            cluster = self.parents[cluster]
        return ""
