"""State dicts from and to torch. Names, shapes and gate order are the same on both sides."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import dtypes
from ..tensor import Tensor, make

_INPUT_BIAS = re.compile(r"bias_ih(_l\d+(_reverse)?)$")


def to_torch(state_dict: Mapping[str, Tensor]) -> OrderedDict[str, Any]:
    """A state dict as one of torch.Tensors, in copies: `module.load_state_dict(to_torch(state))`.

    A recurrent layer with bias="single" gets a `bias_hh` of zeros, which torch's has always.

    Raises ImportError without torch (extra `torch`), TypeError if a value is no Tensor.
    """
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            "to_torch: expected torch to be installed; pip install 'tinytensor-bptt[torch]'"
        ) from error
    found: OrderedDict[str, Any] = OrderedDict()
    for name, value in state_dict.items():
        if not isinstance(value, Tensor):
            raise TypeError(
                f"to_torch: expected Tensors, got {type(value).__name__} for {name!r}; pass the "
                "state_dict() of a module"
            )
        found[name] = torch.from_numpy(np.array(value._array, order="C"))
        missing = _missing_bias(name, state_dict)
        if missing is not None:
            found[missing] = torch.zeros_like(found[name])
    return found


def _missing_bias(name: str, state_dict: Mapping[str, Tensor]) -> str | None:
    """The name of the bias_hh that a recurrent layer with a single bias doesn't have."""
    match = _INPUT_BIAS.search(name)
    if match is None:
        return None
    stem = name[: match.start()]
    other = f"{stem}bias_hh{match[1]}"
    recurrent = f"{stem}weight_hh{match[1]}" in state_dict
    return other if recurrent and other not in state_dict else None


def from_torch(state_dict: Mapping[str, Any]) -> OrderedDict[str, Tensor]:
    """A state dict of torch's as one of Tensors, in copies: `load_state_dict(from_torch(state))`.

    bfloat16, which NumPy lacks, comes as float32 with the same values.

    Raises TypeError if a value is no torch.Tensor, or of a type that there is no Tensor of.
    """
    found: OrderedDict[str, Tensor] = OrderedDict()
    for name, value in state_dict.items():
        if not hasattr(value, "detach") or isinstance(value, Tensor):
            raise TypeError(
                f"from_torch: expected tensors of torch, got {type(value).__name__} for {name!r}; "
                "pass the state_dict() of a torch module"
            )
        tensor = value.detach().cpu()
        if str(tensor.dtype) == "torch.bfloat16":
            tensor = tensor.float()
        try:
            array = np.array(tensor.numpy(), order="C")
            dtypes.of_numpy(array.dtype)
        except TypeError as error:
            raise TypeError(
                f"from_torch: expected a type that a Tensor can have, got {tensor.dtype} for "
                f"{name!r}; convert it by .float()"
            ) from error
        found[name] = make(array)
    return found
