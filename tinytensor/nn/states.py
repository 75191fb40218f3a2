"""The states and gates of a recurrent layer by name: which layer, which direction, which step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..tensor import Tensor

DIRECTIONS = ("forward", "reverse")


class ScanStates:
    """One direction of one layer over all steps, each part a Tensor (T, N, H) under its own name.

    h, and of an LSTM c; the activated gates: i, f, g, o of an LSTM, r, z, n of a GRU. They are in
    the graph: a loss may use them. Each stands at the time of its input in both directions.
    """

    def __init__(self, names: Sequence[str], parts: Sequence[Tensor]) -> None:
        self.names = tuple(names)
        for name, part in zip(names, parts, strict=True):
            setattr(self, name, part)

    def __getattr__(self, name: str) -> Any:
        names = self.__dict__.get("names", ())  # a copy in the making has none
        raise AttributeError(f"states: expected one of {', '.join(names)}, got {name!r}")

    def __repr__(self) -> str:
        parts = ", ".join(f"{name} {tuple(getattr(self, name).shape)}" for name in self.names)
        return f"ScanStates({parts})"


class States:
    """What a recurrent layer computed at every step: `states.layer(1, "reverse").c`."""

    def __init__(self, scans: Sequence[ScanStates], directions: int) -> None:
        self._scans = list(scans)
        self._directions = directions

    def layer(self, number: int, direction: str = "forward") -> ScanStates:
        """The states of layer `number`, counted from 0, in a direction, "forward" or "reverse".

        Raises IndexError for a layer, ValueError for a direction that the module does not have.
        """
        layers = len(self._scans) // self._directions
        if not 0 <= number < layers:
            raise IndexError(f"states: expected a layer from 0 to {layers - 1}, got {number}")
        known = DIRECTIONS[: self._directions]
        if direction not in known:
            raise ValueError(f"states: expected a direction of {known}, got {direction!r}")
        return self._scans[number * self._directions + known.index(direction)]

    def __repr__(self) -> str:
        lines = []
        for number, scan in enumerate(self._scans):
            layer, direction = divmod(number, self._directions)
            lines.append(f"  layer {layer}, {DIRECTIONS[direction]}: {scan!r}")
        return "States(\n" + "\n".join(lines) + "\n)"
