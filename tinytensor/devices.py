"""Devices under torch's names. There is one, the processor: "cpu"."""

from __future__ import annotations

from typing import Any


class device:
    """Where a tensor lives: `device("cpu")`, `device("cpu:0")`, `device("cpu", 0)`.

    Equal to another of the same type and index, never to a string, as in torch.
    Raises RuntimeError for any other device than "cpu", TypeError for what names none.
    """

    __slots__ = ("index", "type")

    type: str
    index: int | None

    def __init__(self, type: str | device, index: int | None = None) -> None:
        if isinstance(type, device):
            self.type = type.type
            self.index = type.index
            return
        if isinstance(type, int) and not isinstance(type, bool):
            raise RuntimeError(f"device: expected 'cpu', the only one there is, got number {type}")
        if not isinstance(type, str):
            raise TypeError(f"device: expected a name such as 'cpu', got {type!r}")
        name, colon, number = type.partition(":")
        if colon:
            if index is not None:
                raise RuntimeError(f"device: expected one index, got {type!r} and {index}")
            if not (number.isascii() and number.isdigit()) or number != str(int(number)):
                raise RuntimeError(f"device: expected 'cpu' or 'cpu:0', got {type!r}")
            index = int(number)
        if name != "cpu":
            raise RuntimeError(
                f"device: expected 'cpu', the only one there is, got {type!r}; "
                "tinytensor.cuda.is_available() is False"
            )
        if index is not None and index < 0:
            raise RuntimeError(f"device: expected an index that is not negative, got {index}")
        self.type = name
        self.index = index

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, device):
            return NotImplemented
        return self.type == other.type and self.index == other.index

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        place = "" if self.index is None else f", index={self.index}"
        return f"device(type={self.type!r}{place})"

    def __enter__(self) -> device:
        return self

    def __exit__(self, *error: object) -> None:
        """New tensors are on the processor, in the block and after it."""

    def __reduce__(self) -> Any:
        return device, (self.type, self.index)


CPU = device("cpu")


def check(place: Any) -> None:
    """Raise RuntimeError or TypeError unless `place` is None or names the processor."""
    if place is not None and not isinstance(place, device):
        device(place)
