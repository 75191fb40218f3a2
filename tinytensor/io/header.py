"""The head of a safetensors file: which tensors it holds, of what type and shape, and where.

The file is the head's length (8 bytes, little-endian), the head (JSON) and the tensors' bytes, one
after the other: https://github.com/huggingface/safetensors#format. A head may lie, so it is checked
as a whole before anything that it speaks of is read or allocated.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable
from io import BufferedReader
from typing import Any, NamedTuple

import numpy as np

from ..dtypes import Array

METADATA = "__metadata__"  # the format's own key in the head: no tensor can have this name
_MAX_LENGTH = 25_000_000  # bytes of a head; Python holds about ten times as much to read it
_MAX_PARTS = 500_000  # objects and lists in a head, which Python needs far more memory for
_MAX_DIMENSIONS = 64  # NumPy's

# By safetensors' names, in the order of the file: the widest first, so that all lie aligned.
DTYPES: dict[str, np.dtype[Any]] = {
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
_CODES = {dtype: code for code, dtype in DTYPES.items()}
_RANKS = {dtype: rank for rank, dtype in enumerate(_CODES)}
_SIZES = {code: dtype.itemsize for code, dtype in DTYPES.items()} | {"BF16": 2}


class Entry(NamedTuple):
    """A tensor of the file: its data are the bytes from `start` to before `end` after the head."""

    name: str
    code: str
    shape: list[int]
    start: int
    end: int


# ---- writing ----


def native(array: Array) -> np.dtype[Any]:
    """The array's type in the machine's byte order."""
    return array.dtype if array.dtype.isnative else array.dtype.newbyteorder("=")


def json_text(value: Any) -> str:
    """The value as JSON, in as few characters as it takes."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def in_order(arrays: dict[str, Array]) -> list[str]:
    """The arrays' names in the order of the file: by type, then by name."""
    return sorted(arrays, key=lambda name: (_RANKS[native(arrays[name])], name))


def written(arrays: dict[str, Array], metadata: dict[str, str] | None) -> bytes:
    """The head of a file of these arrays, its length before it.

    Raises ValueError if it is one that `read` would refuse.
    """
    fields: dict[str, Any] = {}
    if metadata is not None:
        fields[METADATA] = metadata
    start = 0
    for name in in_order(arrays):
        array = arrays[name]
        end = start + array.nbytes
        fields[name] = {
            "dtype": _CODES[native(array)],
            "shape": array.shape,
            "data_offsets": [start, end],
        }
        start = end
    text = json_text(fields)
    length = len(text.encode())
    length += -length % 8
    if length > _MAX_LENGTH or _parts(text) > _MAX_PARTS:
        raise ValueError(
            f"save: expected names and structure of at most {_MAX_LENGTH} bytes with "
            f"{_MAX_PARTS} dicts, lists, tuples and arrays, got {length} with {_parts(text)}; "
            "put long lists of numbers into arrays, long text into bytes"
        )
    return length.to_bytes(8, "little") + text.encode().ljust(length)


def _parts(text: str) -> int:
    return text.count("{") + text.count("[")


# ---- reading ----


def read(file: BufferedReader, path: str) -> tuple[list[Entry], dict[str, str]]:
    """The tensors of a file, in the order of their data, and its metadata.

    Holds for what it gives: the data lie in the file one after the other, without gap or overlap,
    fill it, and are as long as type and shape say. Raises ValueError otherwise, TypeError for a
    type that is not in DTYPES and not BF16.
    """
    size = os.fstat(file.fileno()).st_size
    prefix = file.read(8)
    if prefix.startswith(b"PK"):
        raise ValueError(
            f"load: expected a whole safetensors file, got {path!r}, a zip file; one of torch.save "
            "becomes safetensors by safetensors.torch.save_file(torch.load(path), new_path)"
        )
    # Tells most other, cut and zeroed files before more is read, however large they are.
    length = int.from_bytes(prefix, "little")
    if not 2 <= length <= size - 8:
        raise damaged(path, f"of its {size} bytes the header should be {length}")
    if length > _MAX_LENGTH:
        raise damaged(path, f"its header of {length} bytes is longer than {_MAX_LENGTH}")
    try:
        fields = parsed(file.read(length).decode())
        metadata = _checked_metadata(fields.pop(METADATA, None))
        entries = [_checked_entry(name, field, path) for name, field in fields.items()]
    except ValueError as error:
        raise damaged(path, f"its header is wrong: {error}") from error
    entries.sort(key=lambda entry: (entry.start, entry.end))
    end = 0
    for entry in entries:
        if entry.start != end:
            what = f"{entry.name[:80]!r} starts at byte {entry.start} of the data, not at {end}"
            raise damaged(path, what)
        end = entry.end
    if end != size - 8 - length:
        raise damaged(path, f"its tensors are {end} bytes, its data {size - 8 - length}")
    return entries, metadata


def damaged(path: str, what: str) -> ValueError:
    """The error about a file that is not what it should be."""
    return ValueError(
        f"load: expected a whole safetensors file, got {path!r}: {what}; copy or save it again"
    )


def parsed(text: str) -> Any:
    """What a text of JSON says. Raises ValueError if it is none or would take much memory."""
    if not text.startswith("{"):
        raise ValueError("it is no JSON object")
    if _parts(text) > _MAX_PARTS:
        raise ValueError(f"it has {_parts(text)} objects and lists, more than {_MAX_PARTS}")
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("it has a name twice")
    return result


def _checked_metadata(value: Any) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise ValueError("its metadata are no texts by name")
    return value


def _checked_entry(name: str, field: Any, path: str) -> Entry:
    """A field of the head as Entry; its place among the others is not looked at yet."""
    match field:
        case {"dtype": str(code), "shape": list(shape), "data_offsets": [start, end]}:
            pass
        case _:
            raise ValueError(f"{name[:80]!r} has no dtype, shape and data_offsets")
    if code not in _SIZES:
        raise TypeError(
            f"load: expected tensors of {', '.join(_SIZES)}, got {code[:20]} for {name[:80]!r} in "
            f"{path!r}; convert it to one of these before it is saved"
        )
    if len(shape) > _MAX_DIMENSIONS or not _are_counts([*shape, start, end]):
        raise ValueError(f"{name[:80]!r} has a shape or data_offsets that no array has")
    count = math.prod(shape) * _SIZES[code]
    if end - start != count:
        raise ValueError(f"{name[:80]!r} should have {count} bytes of data, not {end - start}")
    return Entry(name, code, shape, start, end)


def _are_counts(values: Iterable[Any]) -> bool:
    """Whether all are integers >= 0."""
    return all(type(value) is int and value >= 0 for value in values)


def read_array(file: BufferedReader, entry: Entry, path: str) -> Array:
    """The array of the next entry in the file, writeable and in the machine's byte order."""
    data = np.empty(entry.end - entry.start, np.uint8)
    if file.readinto(data.data) != data.size:
        raise damaged(path, "it became shorter while it was read")
    if entry.code == "BF16":
        # bfloat16 is the upper half of float32.
        bits = data.view("<u2").astype(np.uint32)
        bits <<= 16
        flat: Array = bits.view(np.float32)
    elif entry.code == "BOOL":
        # A byte that is neither 0 nor 1 would make a bool that NumPy's operations disagree on.
        flat = data != 0
    else:
        dtype = DTYPES[entry.code]
        flat = data.view(dtype.newbyteorder("<")).astype(dtype, copy=False)
    try:
        return flat.reshape(entry.shape)
    except ValueError as error:  # an empty one whose other sizes overflow
        raise damaged(path, f"NumPy can't hold the shape of {entry.name[:80]!r}") from error
