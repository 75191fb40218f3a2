"""The same data handling here and in torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import tinytensor as tt


def libraries() -> list[Any]:
    """tinytensor and torch, each as `lib.data` (its utils.data) and `lib.lib`; or skips."""
    torch = pytest.importorskip("torch")
    from torch.utils import data

    return [
        SimpleNamespace(lib=tt, data=tt.utils.data),
        SimpleNamespace(lib=torch, data=data),
    ]


def plain(value: Any) -> Any:
    """Tensors as (dtype, numbers), all else as it is; types of containers are kept in names."""
    if hasattr(value, "numpy") and hasattr(value, "dtype"):
        array = np.asarray(value.numpy())
        return "tensor", str(array.dtype), array.tolist()
    if isinstance(value, Mapping):
        return type(value).__name__, {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return type(value).__name__, [plain(entry) for entry in value]
    return value


def assert_same(compute: Callable[[ModuleType, ModuleType], Any]) -> Any:
    """compute(lib, lib.utils.data) is the same in both, and so are the numbers drawn next."""
    results = []
    for both in libraries():
        both.lib.manual_seed(11)
        results.append((plain(compute(both.lib, both.data)), both.lib.rand(3).tolist()))
    assert results[0] == results[1]
    return results[0][0]


def assert_same_error(error: type[Exception], compute: Callable[[Any, Any], Any]) -> str:
    """Both raise that kind of error; gives the text of ours."""
    torch_side = libraries()[1]
    with pytest.raises(error):
        compute(torch_side.lib, torch_side.data)
    with pytest.raises(error) as raised:
        compute(tt, tt.utils.data)
    return str(raised.value)
