"""Where in the model a node was made: module, layer, direction, time step, nested."""

from __future__ import annotations

import itertools
from typing import Any

from .mode import threads

next_number = itertools.count(1).__next__


class Label:
    """The name of a module or a parameter: its own part of it, and the label of its parent.

    Labels, not modules, are what scopes hold: a node that kept its module alive would close a cycle
    as soon as the module kept a tensor. A copy of a part of a model starts a tree of its own.
    """

    __slots__ = ("kind", "name", "parent")

    def __init__(self, kind: str, name: str = "", parent: Label | None = None) -> None:
        self.kind = kind  # the class of the module: "LSTM"; "Parameter"
        self.name = name
        self.parent = parent

    @property
    def path(self) -> str:
        """The full name as `named_modules` and `named_parameters` give it; "" for a root."""
        parts = []
        label: Label | None = self
        while label is not None:
            parts.append(label.name)
            label = label.parent
        return ".".join(part for part in reversed(parts) if part)


class Scope:
    """One stretch of a computation, inside another. As a `with` block it claims what is recorded.

    kind : "module", "layer", "direction", "step", or "scope" for a user's own
    name : Label of a module, or the layer's number, "forward"/"reverse", the time t, a user's text
    number : rises from one entered scope to the next. Each call of a module opens a new one, so
        that of the scopes of one label in a graph the n-th is the n-th call there
    """

    __slots__ = ("kind", "name", "number", "parent")

    def __init__(self, kind: str, name: Any) -> None:
        self.kind = kind
        self.name = name
        self.number = 0
        self.parent: Scope | None = None

    def __enter__(self) -> Scope:
        if self.number:
            raise RuntimeError(
                f"scope: expected a new scope for each `with`, got {self!r} again; what was "
                "recorded in it the first time would move"
            )
        mode = threads.mode
        self.number = next_number()
        self.parent = mode.scope
        mode.scope = self
        return self

    def __exit__(self, *error: object) -> None:
        threads.mode.scope = self.parent

    def chain(self) -> list[Scope]:
        """The scopes from the outermost to this one."""
        found: list[Scope] = []
        scope: Scope | None = self
        while scope is not None:
            found.append(scope)
            scope = scope.parent
        return found[::-1]

    def __repr__(self) -> str:
        parts = []
        for scope in self.chain():
            if isinstance(scope.name, Label):
                parts.append(scope.name.path or scope.name.kind)
            elif scope.kind == "step":
                parts.append(f"t={scope.name}")
            else:
                parts.append(f"{scope.kind} {scope.name}")
        return " / ".join(parts)


def scope(name: str) -> Scope:
    """A stretch of a user's own in the graph: `with scope("decoder"): ...`."""
    return Scope("scope", name)
