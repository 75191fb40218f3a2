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

import os
from collections import OrderedDict
from typing import Any, BinaryIO

import numpy as np

from ..tensor import Tensor, make
from . import header
from .structure import decoded, encoded, is_text, storable
from .whole import FilePath, write_whole

__all__ = ["load", "save", "write_whole"]

_STRUCTURE = "tinytensor"  # our key in the metadata, the only one: with two their order would vary


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
    if it is nested too deep, contains itself or has too many parts for a header (see `load`),
    FileNotFoundError if the folder doesn't exist.

    >>> import tempfile, tinytensor as tt
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tt.save({"weight": tt.ones(2), "step": 3}, f"{folder}/state.safetensors")
    ...     tt.load(f"{folder}/state.safetensors")
    {'weight': tensor([1., 1.]), 'step': 3}
    """
    metadata = None
    if _is_state_dict(obj):
        arrays = {name: storable(tensor._array, (name,)) for name, tensor in obj.items()}
    else:
        structure, arrays = encoded(obj)
        metadata = {_STRUCTURE: structure}
    head = header.written(arrays, metadata)

    def write(file: BinaryIO) -> None:
        file.write(head)
        for name in header.in_order(arrays):
            array = arrays[name]
            stored = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
            file.write(stored.data)

    write_whole(path, write)


def load(path: FilePath) -> Any:
    """The object in the safetensors file `path`: what `save` wrote, or a torch state dict.

    Never runs code from the file. What was a Tensor is one (with requires_grad False), on memory of
    its own; a file without our structure gives a dict of str to Tensor in the file's order.
    bfloat16, which NumPy lacks, comes as float32 with the same values.

    Whatever a file says, its header is checked as a whole, and against the file's size, before
    memory is taken for a tensor. A header of more than 25 MB, or with more than 500,000 objects and
    lists, is refused, by `save` as well: so no file takes more than some 400 MB besides its
    tensors.

    Raises FileNotFoundError if there is no such file, ValueError if it is not a whole and
    consistent safetensors file, TypeError if a tensor has a type that there is no Tensor of.
    """
    path = os.fsdecode(path)
    with open(path, "rb") as file:
        entries, metadata = header.read(file, path)
        arrays = {entry.name: header.read_array(file, entry, path) for entry in entries}
    if _STRUCTURE not in metadata:
        return {name: make(array) for name, array in arrays.items()}
    try:
        return decoded(metadata[_STRUCTURE], arrays)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"load: expected a structure written by save in {path!r}, got a damaged one: {error}; "
            "save it again"
        ) from error


def _is_state_dict(obj: Any) -> bool:
    """Whether it is a flat dict of str to Tensor whose keys can be names in a safetensors file."""
    if type(obj) not in (dict, OrderedDict) or header.METADATA in obj:
        return False
    return all(is_text(key) and isinstance(value, Tensor) for key, value in obj.items())
