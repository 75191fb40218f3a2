"""Names with an index, such as `tensors[3]`, and what many of them are called together."""

from __future__ import annotations


def with_index(name: str) -> tuple[str, int]:
    """The name without its index, and the index: "tensors[3]" -> ("tensors[]", 3)."""
    if name.endswith("]"):
        stem, _, index = name[:-1].rpartition("[")
        if index.isdecimal():
            return f"{stem}[]", int(index)
    return name, 0


class Indices:
    """Names that differ at most by their index; together "tensors[1 … 8]"."""

    __slots__ = ("high", "low", "name")

    def __init__(self) -> None:
        self.name = ""
        self.low = self.high = -1

    def add(self, name: str) -> None:
        if name == self.name:
            return
        _, index = with_index(name)
        if self.high < 0:
            self.name = name
            self.low = self.high = index
        else:
            self.low = min(self.low, index)
            self.high = max(self.high, index)

    def text(self) -> str:
        if self.low == self.high:
            return self.name
        stem, _ = with_index(self.name)
        return f"{stem[:-1]}{self.low} … {self.high}]"
