"""What a node of the engine says about itself: its values, its inputs' names, what it keeps."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..autograd.kernel import Kernel
from ..autograd.node import Node
from ..autograd.primitive import Primitive
from ..dtypes import Array
from .structure import Phase, Value

Place = tuple[Any, ...]  # where in nested tuples and dicts: numbers, keys, names of fields


def phase_of(node: Node) -> Phase:
    """Whether a forward pass recorded it or, with `create_graph=True`, a backward pass."""
    return "backward" if node.phase == "backward" else "forward"


# The names of dtypes and the values of nodes are the same few again and again, and NumPy takes its
# time to spell a dtype.
dtype_name: Callable[[Any], str] = functools.cache(str)


def values_of(node: Node) -> tuple[Value, ...]:
    """The outputs of a node."""
    if isinstance(node.dtype, tuple):
        names = tuple(output_name(node, index) for index in range(len(node.dtype)))
        return _values(names, node.shape, node.dtype)
    return _values(("",), (node.shape,), (node.dtype,))


@functools.lru_cache(maxsize=1024)
def _values(names: Any, shapes: Any, dtypes: Any) -> tuple[Value, ...]:
    return tuple(
        Value(name, tuple(shape), dtype_name(dtype))
        for name, shape, dtype in zip(names, shapes, dtypes, strict=True)
    )


def output_name(node: Node, index: int) -> str:
    """What the operation calls one of its outputs; its number if it has no names for them."""
    names = getattr(node.op, "outputs", ())
    return str(names[index]) if index < len(names) else f"[{index}]"


def operand_name(node: Node, index: int) -> str:
    """What the operation calls one of its inputs."""
    op = node.op
    if isinstance(op, Primitive):
        return f"{op.names[0]}[{index}]" if op.listed else op.names[index]
    if isinstance(op, Kernel):
        names = _positional_names(op)
        if index < len(names) and not names[index].startswith("*"):
            return names[index]
        if names and names[-1].startswith("*"):
            return f"{names[-1][1:]}[{index - len(names) + 1}]"
    return ""


@functools.cache
def _positional_names(op: Kernel) -> list[str]:
    """The arguments that a kernel takes by position; the last may stand for many: "*weights"."""
    names = []
    for parameter in inspect.signature(op.forward).parameters.values():
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            names.append(parameter.name)
        elif parameter.kind is parameter.VAR_POSITIONAL:
            names.append(f"*{parameter.name}")
    return names


def constants_of(node: Node) -> tuple[tuple[Any, ...], tuple[int, ...]]:
    """What a node keeps beside arrays: numbers and options, and the whole numbers in an index.

    Each with its name, as things that are equal if they say the same. Only what the gradient needs
    is kept, until it is freed.
    """
    found: list[Any] = []
    places: list[int] = []
    if node.saved is None:
        return (), ()
    if isinstance(node.op, Kernel):
        for name, value in node.saved[2].items():
            if value is None or isinstance(value, (bool, int, float, str)):
                found.append((name, value))
    elif isinstance(node.op, Primitive):
        for (kind, number), value in zip(node.plan.keep, node.saved, strict=True):
            if kind == "value" and not isinstance(value, np.ndarray):
                name = node.op.names[number]
                if name == "key":
                    value = _without_places(value, places)
                found.append((name, _plain(value)))
    return tuple(found), tuple(places)


def _without_places(index: Any, places: list[int]) -> Any:
    """An index with its whole numbers taken out and added to `places`."""
    if isinstance(index, tuple):
        return tuple([_without_places(part, places) for part in index])
    if isinstance(index, slice):
        ends = (index.start, index.stop, index.step)
        return ("slice", *[_without_places(part, places) for part in ends])
    if isinstance(index, (int, np.integer)) and not isinstance(index, bool):
        places.append(int(index))
        return "place"
    return index


def _plain(value: Any) -> Any:
    """A constant as something that can be looked up; arrays in it are data, not constants."""
    if isinstance(value, (tuple, list)):
        return tuple([_plain(part) for part in value])
    if value is None or value is Ellipsis or isinstance(value, (bool, int, float, str, np.generic)):
        return value
    return type(value).__name__


def kept_storages(node: Node) -> Iterator[list[int]]:
    """The storages of the tensors that a node keeps, also once it let go of their arrays."""
    return (pair[0] for pair in node.kept if pair is not None)


def was_freed(node: Node) -> bool:
    """Whether a node kept arrays until a backward pass freed them."""
    return node.saved is None and next(kept_storages(node), None) is not None


def let_go(node: Node) -> bool:
    """Whether a backward pass let go of what a node needs for another."""
    if getattr(node.op, "asks_user", False):
        return node.saved._saved is None
    return node.saved is None


@contextmanager
def before_backward(op: str, nodes: Iterable[Node]) -> Iterator[None]:
    """Say of a backward pass that fails because these nodes were freed when it should be run."""
    try:
        yield
    except RuntimeError as error:
        if not any(map(let_go, nodes)):
            raise
        raise RuntimeError(
            f"{op}: expected a graph that no backward pass has freed, got one that was; "
            "call it before backward(), or after backward(retain_graph=True)"
        ) from error


def keeps_something(node: Node) -> bool:
    """Whether a node keeps any array, or did until it was freed."""
    return was_freed(node) or next(saved_of(node), None) is not None


def saved_of(node: Node) -> Iterator[tuple[str, Place, Array]]:
    """The arrays that a node keeps: name, place within it, array. Nothing if they were freed."""
    if node.saved is None:
        return
    if isinstance(node.op, Kernel):
        inputs, own, _ = node.saved
        for (index, *place), array in _arrays_in(inputs):
            yield operand_name(node, index), tuple(place), array
        for inside, array in _arrays_in(own):
            yield "saved", inside, array
    elif isinstance(node.op, Primitive):
        for (kind, number), value in zip(node.plan.keep, node.saved, strict=True):
            name = "y" if kind == "output" else node.op.names[number]
            for inside, array in _arrays_in(value):
                yield name, inside, array


def _arrays_in(value: Any) -> Iterator[tuple[Place, Array]]:
    """The arrays in nested tuples, lists and dicts, each with its place."""
    stack: list[tuple[Place, Any]] = [((), value)]
    while stack:
        place, part = stack.pop()
        if isinstance(part, np.ndarray):
            yield place, part
        elif isinstance(part, Mapping):
            stack.extend(reversed([((*place, key), part[key]) for key in part]))
        elif isinstance(part, (tuple, list)):
            fields = getattr(part, "_fields", range(len(part)))
            inner = [((*place, key), x) for key, x in zip(fields, part, strict=True)]
            stack.extend(reversed(inner))
