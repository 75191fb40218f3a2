"""The values of options: text in, the value out, or a message that says what was expected."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable


def _number(text: str, least: int, relation: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise ArgumentTypeError(f"expected {relation}, got {text!r}")
    return value


def count(text: str) -> int:
    return _number(text, 1, "a whole number of at least 1")


def seed(text: str) -> int:
    number = _number(text, 0, "a whole number of at least 0")
    if number >= 2**64:
        raise ArgumentTypeError(f"expected a whole number below 2**64, got {text}")
    return number


def sizes(text: str) -> tuple[int, int]:
    try:
        first, second = map(count, text.split(","))
    except (ValueError, ArgumentTypeError):
        raise ArgumentTypeError(
            f"expected the sizes of input and hidden state, got {text!r}; write 3,4"
        ) from None
    return first, second


def collapse(text: str) -> str | int:
    if text in ("auto", "off"):
        return text
    return _number(text, 2, "auto, off or a whole number of at least 2")


def one_of(*allowed: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if text not in allowed:
            raise ArgumentTypeError(f"expected {' or '.join(allowed)}, got {text!r}")
        return text

    return check


def several_of(*allowed: str) -> Callable[[str], tuple[str, ...]]:
    def check(text: str) -> tuple[str, ...]:
        names = tuple(text.split(","))
        wrong = [name for name in names if name not in allowed]
        if wrong:
            raise ArgumentTypeError(
                f"expected any of {', '.join(allowed)}, with commas between them, got {wrong[0]!r}"
            )
        return names

    return check
