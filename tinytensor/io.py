"""Weights and checkpoints on disk: safetensors files, written whole or not at all.

A state dict (a flat dict of str to Tensor) becomes a plain file: its keys are the tensors' names,
with no metadata, byte for byte what `safetensors.torch.save_file` writes.

Any other object becomes a file whose tensors carry their path as name (`model.lstm.weight_hh_l0`,
`optimizer.state.0.exp_avg`), and whose metadata has the structure, as JSON, under `tinytensor`:
`{"format": 1, "object": node}`. A node is one of

    null, true, 3, 0.5, "text", [node, ...]             as in JSON
    {"tuple": [node, ...]}
    {"dict": [[node, node], ...]}                       key and value; "OrderedDict" likewise
    {"tensor": name}                                    a tensor of the file as Tensor,
    {"array": name}, {"scalar": name}, {"bytes": name}  ndarray, NumPy scalar, bytes
    {"int": "0x..."}, {"float": "nan"}                  what JSON can't say exactly

The names are labels for people and for other readers; the structure alone says what goes where.
A name that is taken gets `~2`, `~3` ...
"""

from __future__ import annotations

import json
import math
import os
import secrets
import stat
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, BinaryIO

import numpy as np
import safetensors

from .dtypes import Array
from .tensor import Tensor, make

FilePath = str | os.PathLike[str]

_METADATA = "__metadata__"  # safetensors' own key in the header: no tensor can have this name
_STRUCTURE = "tinytensor"  # our key in the metadata, the only one: with two their order would vary
_FORMAT = 1
_MAX_DEPTH = 100  # well inside Python's recursion limit, so that what was saved can be loaded
_MAX_JSON_INT = 2**53  # larger integers are not exact in every reader of JSON
_MAX_HEADER = 100_000_000  # bytes; safetensors refuses to read a larger one

# By safetensors' names, in the order of the file: the widest first, so that all lie aligned.
_DTYPES: dict[str, np.dtype[Any]] = {
    "U64": np.dtype(np.uint64),
    "I64": np.dtype(np.int64),
    "F64": np.dtype(np.float64),
    "F32": np.dtype(np.float32),
    "U32": np.dtype(np.uint32),
    "I32": np.dtype(np.int32),
    "F16": np.dtype(np.float16),
    "U16": np.dtype(np.uint16),
    "I16": np.dtype(np.int16),
    "I8": np.dtype(np.int8),
    "U8": np.dtype(np.uint8),
    "BOOL": np.dtype(np.bool_),
}
_CODES = {dtype: code for code, dtype in _DTYPES.items()}
_RANKS = {dtype: rank for rank, dtype in enumerate(_CODES)}

# The package carries a type only for its name.
_deserialize: Callable[[bytes], list[tuple[str, dict[str, Any]]]] = safetensors.deserialize


def save(obj: Any, path: FilePath) -> None:
    """Write `obj` to the safetensors file `path`; the same object gives the same bytes.

    The file appears whole or not at all (see `write_whole`). Arrays of any strides are stored by
    value in little-endian row-major order, without gradient or graph.

    A state dict gives a file that torch's users read with `safetensors.torch.load_file`; the file
    keeps its names but not their order, and of tied tensors it holds a copy each, because
    `load_state_dict` goes by name and the model itself knows its ties. In any other object tensors
    on the same memory (same place, shape and strides; also a tensor and its `detach()`) are stored
    once and come back as one object; the same holds for arrays.

    obj : dict, OrderedDict, list and tuple, at most 100 deep, of Tensor, NumPy array and scalar,
        int, float, bool, str, bytes and None. Keys of a dict: str, int, float, bool, None and
        tuples of these. Subclasses of the Python types would not come back as what they were, and
        are refused; a Parameter comes back as Tensor.

    Raises TypeError for anything else (a module, an optimiser: pass its `state_dict()`), ValueError
    if it is nested too deep or contains itself, FileNotFoundError if the folder doesn't exist.

    >>> import tempfile, tinytensor as tt
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tt.save({"weight": tt.ones(2), "step": 3}, f"{folder}/state.safetensors")
    ...     tt.load(f"{folder}/state.safetensors")
    {'weight': tensor([1., 1.]), 'step': 3}
    """
    metadata = None
    if _is_state_dict(obj):
        arrays = {name: _storable(tensor._array, (name,)) for name, tensor in obj.items()}
    else:
        encoder = _Encoder()
        structure = {"format": _FORMAT, "object": encoder.node(obj, ())}
        metadata = {_STRUCTURE: _json(structure)}
        arrays = encoder.arrays
    names = sorted(arrays, key=lambda name: (_RANKS[_native(arrays[name])], name))
    header = _header(arrays, names, metadata)

    def write(file: BinaryIO) -> None:
        file.write(header)
        for name in names:
            array = arrays[name]
            stored = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
            file.write(stored.data)

    write_whole(path, write)


def load(path: FilePath) -> Any:
    """The object in the safetensors file `path`: what `save` wrote, or a torch state dict.

    Never runs code from the file. What was a Tensor is one (with requires_grad False), on memory of
    its own; a file without our structure gives a dict of str to Tensor in the file's order.
    bfloat16, which NumPy lacks, comes as float32 with the same values. Peak memory is twice the
    file.

    Raises FileNotFoundError if there is no such file, ValueError if it is not a whole and
    consistent safetensors file, TypeError if a tensor has a type that there is no Tensor of.
    """
    path = os.fsdecode(path)
    header, tensors = _read(path)
    arrays: dict[str, Array] = {}
    for name in header:
        if name != _METADATA:
            arrays[name] = _restored(tensors[name], name, path)
    metadata = header.get(_METADATA) or {}
    if _STRUCTURE not in metadata:
        return {name: make(array) for name, array in arrays.items()}
    try:
        structure = json.loads(metadata[_STRUCTURE])
        return _decoded(structure, arrays)
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(
            f"load: expected a structure written by save in {path!r}, got a damaged one: {error}; "
            "save it again"
        ) from error


def write_whole(path: FilePath, data: bytes | Callable[[BinaryIO], object]) -> None:
    """Write the file `path` so that a reader finds the old content or the new, never a part.

    The content goes to a hidden file in the same folder, reaches the disk (fsync) and takes the
    name `path` in one step. On any error the old file is untouched and the hidden one removed;
    only a process that is killed leaves it behind (`.name.….tmp`). A new file has the permissions
    that the umask gives, an old one keeps its own, and a symbolic link is followed.

    data : the content, or a function that writes it into the binary file that it is handed

    Raises FileNotFoundError if the folder doesn't exist, ValueError if `path` is something other
    than a file.
    """
    path = os.path.realpath(os.fsdecode(path))
    folder, name = os.path.split(path)
    if not os.path.isdir(folder):
        raise FileNotFoundError(
            f"save: expected an existing folder, got {folder!r}; create it with os.makedirs"
        )
    old_mode = os.stat(path).st_mode if os.path.exists(path) else None
    if old_mode is not None and not stat.S_ISREG(old_mode):
        raise ValueError(
            f"save: expected the path of a file, got {path!r}, a folder or device; add a file name"
        )
    hidden = os.path.join(folder, f".{name[:32]}.{secrets.token_hex(8)}.tmp")
    try:
        with open(hidden, "xb") as file:
            if old_mode is not None:
                os.chmod(hidden, stat.S_IMODE(old_mode))
            if callable(data):
                data(file)
            else:
                file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(hidden, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.remove(hidden)
        raise
    _sync_folder(folder)


def _sync_folder(folder: str) -> None:
    # The new name outlives a power cut once the folder is on disk too. By now the file is in place
    # and whole, so a system that can't sync folders (Windows, some network disks) is no failure.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


# ---- object to file ----


def _is_state_dict(obj: Any) -> bool:
    """Whether it is a flat dict of str to Tensor whose keys can be names in a safetensors file."""
    if type(obj) not in (dict, OrderedDict) or _METADATA in obj:
        return False
    return all(_is_text(key) and isinstance(value, Tensor) for key, value in obj.items())


def _is_text(value: Any) -> bool:
    """Whether it is a str that UTF-8 can hold: one without half a surrogate pair."""
    if type(value) is not str:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _native(array: Array) -> np.dtype[Any]:
    """The array's type in the machine's byte order."""
    return array.dtype if array.dtype.isnative else array.dtype.newbyteorder("=")


def _storable(array: Array, path: tuple[Any, ...]) -> Array:
    """The array itself. Raises TypeError if a file can't hold its type."""
    if _native(array) not in _CODES:
        known = ", ".join(map(str, _CODES))
        raise TypeError(
            f"save: expected an array of {known}, got {array.dtype} at {_place(path)}; convert it"
        )
    return array


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _header(arrays: dict[str, Array], names: list[str], metadata: dict[str, str] | None) -> bytes:
    """The head of the file: its own length, then as JSON the metadata and where each tensor is."""
    fields: dict[str, Any] = {}
    if metadata is not None:
        fields[_METADATA] = metadata
    start = 0
    for name in names:
        array = arrays[name]
        end = start + array.nbytes
        fields[name] = {
            "dtype": _CODES[_native(array)],
            "shape": array.shape,
            "data_offsets": [start, end],
        }
        start = end
    text = _json(fields).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > _MAX_HEADER:
        raise ValueError(
            f"save: expected names and structure of at most {_MAX_HEADER} bytes, got {len(text)}; "
            "put long lists of numbers into arrays, long text into bytes"
        )
    return len(text).to_bytes(8, "little") + text


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
            raise ValueError(
                f"save: expected an object at most {_MAX_DEPTH} deep, got a deeper one or one that "
                f"contains itself at {_place(path[:3])}...; flatten it"
            )
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
                [self._key(key, path), self.node(child, (*path, key))]
                for key, child in value.items()
            ]
            return {kind.__name__: pairs}
        return _plain(value, path)

    def _nodes(self, values: Iterable[Any], path: tuple[Any, ...]) -> list[Any]:
        return [self.node(value, (*path, index)) for index, value in enumerate(values)]

    def _key(self, key: Any, path: tuple[Any, ...]) -> Any:
        if type(key) is tuple:
            return {"tuple": [self._key(part, path) for part in key]}
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
            self.arrays[name] = _storable(array, path)
            self._names[tag, identity] = name
        return {tag: self._names[tag, identity]}

    def _free_name(self, path: tuple[Any, ...]) -> str:
        stem = ".".join(map(str, path)) or "value"
        name = stem
        count = 1
        while name in self.arrays or name == _METADATA:
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
        if not _is_text(value):
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


# ---- file to object ----


def _read(path: str) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The header, and of each tensor "dtype", "shape" and "data" (a bytearray of its own).

    safetensors checks that the tensors fill the file without gap or overlap.
    """
    expected = f"load: expected a whole safetensors file, got {path!r}"
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        prefix = file.read(8)
        if prefix.startswith(b"PK"):
            raise ValueError(
                f"{expected}, a zip file; one of torch.save becomes safetensors by "
                "safetensors.torch.save_file(torch.load(path), new_path)"
            )
        # Tells most other, cut and zeroed files before they are read, however large they are.
        length = int.from_bytes(prefix, "little")
        if not 2 <= length <= size - 8:
            raise ValueError(
                f"{expected}, {size} bytes of which the header should be {length}; "
                "copy or save it again"
            )
        file.seek(0)
        content = file.read()
    try:
        tensors = dict(_deserialize(content))
    except safetensors.SafetensorError as error:
        raise ValueError(f"{expected}: {error}; copy or save it again") from error
    return json.loads(content[8 : 8 + length]), tensors


def _restored(tensor: dict[str, Any], name: str, path: str) -> Array:
    """The array of a tensor of the file, writeable and in the machine's byte order."""
    code = tensor["dtype"]
    data = tensor["data"]
    if code == "BF16":
        # bfloat16 is the upper half of float32.
        bits = np.frombuffer(data, "<u2").astype(np.uint32)
        bits <<= 16
        flat: Array = bits.view(np.float32)
    elif code == "BOOL":
        # A byte that is neither 0 nor 1 would make a bool that NumPy's operations disagree on.
        flat = np.frombuffer(data, np.uint8) != 0
    elif code in _DTYPES:
        dtype = _DTYPES[code]
        flat = np.frombuffer(data, dtype.newbyteorder("<")).astype(dtype, copy=False)
    else:
        raise TypeError(
            f"load: expected tensors of {', '.join(_DTYPES)} or BF16, got {code} for {name!r} in "
            f"{path!r}; convert it to one of these before it is saved"
        )
    try:
        return flat.reshape(tensor["shape"])
    except ValueError as error:
        raise ValueError(
            f"load: expected a shape that NumPy can hold, got {tensor['shape']} for {name!r} in "
            f"{path!r}; save it again"
        ) from error


def _decoded(structure: Any, arrays: dict[str, Array]) -> Any:
    """The object that a structure describes. Raises ValueError or TypeError if it is damaged."""
    if not isinstance(structure, dict) or structure.get("format") != _FORMAT:
        raise ValueError(f"it is not of format {_FORMAT}, the only one that this version knows")
    leaves: dict[tuple[str, str], Any] = {}

    def leaf(tag: str, name: str) -> Any:
        if (tag, name) not in leaves:
            if name not in arrays:
                raise ValueError(f"it names a tensor {name!r} that is not there")
            leaves[tag, name] = _LEAVES[tag](arrays[name])
        return leaves[tag, name]

    def value(node: Any) -> Any:
        match node:
            case None | bool() | int() | float() | str():
                return node
            case list():
                return [value(child) for child in node]
            case {"tuple": list(children)}:
                return tuple([value(child) for child in children])
            case {"dict": list(pairs)}:
                return {value(key): value(child) for key, child in pairs}
            case {"OrderedDict": list(pairs)}:
                return OrderedDict((value(key), value(child)) for key, child in pairs)
            case {"int": str(digits)}:
                return int(digits, 16)
            case {"float": str(digits)}:
                return float(digits)
            case dict() if len(node) == 1:
                [(tag, name)] = node.items()
                if tag in _LEAVES and isinstance(name, str):
                    return leaf(tag, name)
        raise ValueError(f"it has an unknown part {str(node)[:80]!r}")

    return value(structure.get("object"))


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
