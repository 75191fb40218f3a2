"""Any nested object as nodes of JSON and named arrays, and back; the nodes are told in `save`."""

from __future__ import annotations

import math
import reprlib
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..dtypes import Array
from ..tensor import Tensor, make
from .header import DTYPES, METADATA, json_text, native, parsed

_FORMAT = 1
_MAX_DEPTH = 100  # well inside Python's recursion limit, so that what was saved can be loaded
_MAX_JSON_INT = 2**53  # larger integers are not exact in every reader of JSON


# ---- object to nodes ----


def encoded(obj: Any) -> tuple[str, dict[str, Array]]:
    """The structure of an object, as JSON, and its arrays by the names that it uses."""
    encoder = _Encoder()
    structure = {"format": _FORMAT, "object": encoder.node(obj, ())}
    return json_text(structure), encoder.arrays


def is_text(value: Any) -> bool:
    """Whether it is a str that UTF-8 can hold: one without half a surrogate pair."""
    if type(value) is not str:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def storable(array: Array, path: tuple[Any, ...]) -> Array:
    """The array itself. Raises TypeError if a file can't hold its type."""
    if native(array) not in DTYPES.values():
        known = ", ".join(map(str, DTYPES.values()))
        raise TypeError(
            f"save: expected an array of {known}, got {array.dtype} at {_place(path)}; convert it"
        )
    return array


def _place(path: tuple[Any, ...]) -> str:
    return "obj" + "".join(f"[{key!r}]" for key in path)


def _memory(array: Array) -> tuple[Any, ...]:
    """What two living arrays have in common if each sees all that is written into the other."""
    # Empty arrays have no memory of their own, and may share an address.
    place = array.ctypes.data if array.size else id(array)
    return place, array.shape, array.strides, array.dtype.str


class _Encoder:
    """Turns an object into nodes of JSON and gathers its arrays under their names."""

    def __init__(self) -> None:
        self.arrays: dict[str, Array] = {}
        self._names: dict[tuple[str, Any], str] = {}

    def node(self, value: Any, path: tuple[Any, ...]) -> Any:
        """The node of `value`, which stands at `path` (keys and indices) in the whole object."""
        if len(path) > _MAX_DEPTH:
            raise self._too_deep(path)
        if isinstance(value, Tensor):
            return self._stored("tensor", value._array, path, _memory(value._array))
        if isinstance(value, np.generic):
            array = np.asarray(value)
            return self._stored("scalar", array, path, _memory(array))
        kind = type(value)
        if kind is np.ndarray:
            return self._stored("array", value, path, _memory(value))
        if kind is bytes:
            return self._stored("bytes", np.frombuffer(value, np.uint8), path, value)
        if kind is list:
            return self._nodes(value, path)
        if kind is tuple:
            return {"tuple": self._nodes(value, path)}
        if kind is dict or kind is OrderedDict:
            pairs = [
                [self._key(key, path, 1), self.node(child, (*path, key))]
                for key, child in value.items()
            ]
            return {kind.__name__: pairs}
        return _plain(value, path)

    @staticmethod
    def _too_deep(path: tuple[Any, ...]) -> ValueError:
        return ValueError(
            f"save: expected an object at most {_MAX_DEPTH} deep, got a deeper one or one that "
            f"contains itself at {_place(path[:3])}...; flatten it"
        )

    def _nodes(self, values: Iterable[Any], path: tuple[Any, ...]) -> list[Any]:
        return [self.node(value, (*path, index)) for index, value in enumerate(values)]

    def _key(self, key: Any, path: tuple[Any, ...], depth: int) -> Any:
        """The node of a key, or of its part `depth` deep, of the dict at `path`."""
        if len(path) + depth > _MAX_DEPTH:
            raise self._too_deep(path)
        if type(key) is tuple:
            return {"tuple": [self._key(part, path, depth + 1) for part in key]}
        if key is None or type(key) in (str, int, float, bool):
            return _plain(key, path)
        raise TypeError(
            "save: expected keys that are str, int, float, bool, None or tuples of these, "
            f"got a key of type {type(key).__name__} in {_place(path)}; convert it"
        )

    def _stored(
        self, tag: str, array: Array, path: tuple[Any, ...], identity: Any
    ) -> dict[str, str]:
        """The node of an array, which enters the file unless the same is already there."""
        if (tag, identity) not in self._names:
            name = self._free_name(path)
            self.arrays[name] = storable(array, path)
            self._names[tag, identity] = name
        return {tag: self._names[tag, identity]}

    def _free_name(self, path: tuple[Any, ...]) -> str:
        stem = ".".join(map(str, path)) or "value"
        name = stem
        count = 1
        while name in self.arrays or name == METADATA:
            count += 1
            name = f"{stem}~{count}"
        return name


def _plain(value: Any, path: tuple[Any, ...]) -> Any:
    """The node of a number, a string or None."""
    kind = type(value)
    if value is None or kind is bool:
        return value
    if kind is int:
        return value if abs(value) <= _MAX_JSON_INT else {"int": hex(value)}
    if kind is float:
        return value if math.isfinite(value) else {"float": repr(value)}
    if kind is str:
        if not is_text(value):
            raise ValueError(
                f"save: expected text that UTF-8 can hold, got {value!r} at {_place(path)}; "
                "replace the half surrogate pair, or pass bytes"
            )
        return value
    raise TypeError(
        "save: expected Tensors, arrays, numbers, strings, bytes and None in dicts, lists and "
        f"tuples, got {kind.__module__}.{kind.__qualname__} at {_place(path)}; {_cure(value)}"
    )


def _cure(value: Any) -> str:
    if hasattr(value, "state_dict"):
        return "pass its state_dict()"
    if isinstance(value, np.ndarray):
        return "pass np.array of it"
    for base in (dict, list, tuple, str, int, float, bytes):
        if isinstance(value, base):
            return f"pass {base.__name__} of it"
    return "convert it to one of these"


# ---- nodes to object ----


def decoded(text: str, arrays: dict[str, Array]) -> Any:
    """The object of a structure and its arrays. Raises ValueError or TypeError if it is damaged."""
    structure = parsed(text)
    if structure.get("format") != _FORMAT:
        raise ValueError(f"it is not of format {_FORMAT}, the only one that this version knows")
    return _Decoder(arrays).value(structure.get("object"), 0)


class _Decoder:
    """Makes objects of nodes; an array that several nodes name becomes one object."""

    def __init__(self, arrays: dict[str, Array]) -> None:
        self._arrays = arrays
        self._leaves: dict[tuple[str, str], Any] = {}

    def value(self, node: Any, depth: int) -> Any:
        """The object of a node, which stands `depth` containers deep."""
        if depth > _MAX_DEPTH:
            raise ValueError(f"it is more than {_MAX_DEPTH} deep")
        if isinstance(node, list):
            return self._values(node, depth)
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            [(tag, content)] = node.items()
            if tag in _LEAVES and isinstance(content, str):
                return self._leaf(tag, content)
            if tag == "tuple" and isinstance(content, list):
                return tuple(self._values(content, depth))
            if tag in _DICTS and isinstance(content, list):
                return _DICTS[tag](self._pair(pair, depth + 1) for pair in content)
            if tag == "int" and isinstance(content, str):
                return int(content, 16)
            if tag == "float" and isinstance(content, str):
                return float(content)
        raise ValueError(f"it has an unknown part {reprlib.repr(node)}")

    def _values(self, nodes: list[Any], depth: int) -> list[Any]:
        return [self.value(node, depth + 1) for node in nodes]

    def _pair(self, pair: Any, depth: int) -> tuple[Any, Any]:
        if not isinstance(pair, list) or len(pair) != 2:
            raise ValueError(f"it has {reprlib.repr(pair)} where a key and a value should be")
        return self.value(pair[0], depth), self.value(pair[1], depth)

    def _leaf(self, tag: str, name: str) -> Any:
        if (tag, name) not in self._leaves:
            if name not in self._arrays:
                raise ValueError(f"it names a tensor {name!r} that is not there")
            self._leaves[tag, name] = _LEAVES[tag](self._arrays[name])
        return self._leaves[tag, name]


def _scalar(array: Array) -> Any:
    if array.ndim != 0:
        raise ValueError(f"it has a scalar of shape {array.shape}")
    return array[()]


def _bytes(array: Array) -> bytes:
    if array.ndim != 1 or array.dtype != np.uint8:
        raise ValueError(f"it has bytes of type {array.dtype} and shape {array.shape}")
    return array.tobytes()


def _itself(array: Array) -> Array:
    return array


_LEAVES: dict[str, Callable[[Array], Any]] = {
    "tensor": make,
    "array": _itself,
    "scalar": _scalar,
    "bytes": _bytes,
}
_DICTS: dict[str, Callable[[Iterable[tuple[Any, Any]]], dict[Any, Any]]] = {
    "dict": dict,
    "OrderedDict": OrderedDict,
}
