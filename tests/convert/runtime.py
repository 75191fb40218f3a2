"""An ONNX model run by onnxruntime, and compared with the tinytensor model that it came from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import tinytensor as tt
from tinytensor import convert

Array = NDArray[Any]


def run(proto: Any, *arrays: Array) -> list[Array]:
    """The outputs for inputs in the model's order, in onnxruntime."""
    ort = pytest.importorskip("onnxruntime")
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(proto.SerializeToString(), options)
    names = [given.name for given in session.get_inputs()]
    results: list[Array] = session.run(None, dict(zip(names, arrays, strict=True)))
    return results


def tensors(nest: Any) -> Iterator[tt.Tensor]:
    if isinstance(nest, tt.Tensor):
        yield nest
    elif isinstance(nest, dict):
        yield from tensors(tuple(nest.values()))
    elif isinstance(nest, (tuple, list)):
        for part in nest:
            yield from tensors(part)


def assert_exports(
    model: tt.nn.Module,
    example: Any,
    *others: Any,
    rtol: float = 1e-5,
    atol: float = 1e-6,
    **options: Any,
) -> Any:
    """The model exported on an example gives the same numbers for it and for other inputs."""
    proto = convert.to_onnx(model, example, **options)
    kwargs = options.get("kwargs", {})
    model.eval()
    for inputs in (example, *others):
        args = inputs if isinstance(inputs, tuple) else (inputs,)
        expected = [result.detach().numpy() for result in tensors(model(*args, **kwargs))]
        arrays = [tensor.detach().numpy() for tensor in tensors((args, kwargs))]
        found = run(proto, *arrays)
        assert len(found) == len(expected)
        for mine, other in zip(expected, found, strict=True):
            assert mine.shape == other.shape
            assert mine.dtype == other.dtype
            np.testing.assert_allclose(other, mine, rtol, atol)
    return proto


def operators_of(proto: Any) -> list[str]:
    return [node.op_type for node in proto.graph.node]


def initializers_of(proto: Any) -> list[str]:
    return [tensor.name for tensor in proto.graph.initializer]
