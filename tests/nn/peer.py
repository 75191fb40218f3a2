"""The same computation in tinytensor and torch, compared: values, gradients, second order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import tinytensor as tt

torch = pytest.importorskip("torch")

Array = NDArray[Any]


def both(array: Any, requires_grad: bool = False) -> tuple[tt.Tensor, Any]:
    """The same leaf in both libraries, each on memory of its own."""
    array = np.asarray(array)
    ours = tt.tensor(array, requires_grad=requires_grad)
    theirs = torch.tensor(array, requires_grad=requires_grad)
    return ours, theirs


def assert_same(ours: Any, theirs: Any, rtol: float = 1e-12, atol: float = 1e-13) -> None:
    """Equal in shape, dtype and, to rounding, in value."""
    mine = ours.detach().numpy()
    other = theirs.detach().numpy()
    assert mine.shape == other.shape
    assert mine.dtype == other.dtype
    np.testing.assert_allclose(mine, other, rtol=rtol, atol=atol)


def _weights(shape: tuple[int, ...], seed: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


def _differentiated(lib: Any, function: Callable[..., Any], leaves: list[Any]) -> list[Any]:
    """[output, its gradients, the gradients of a weighted sum of these]."""
    output = function(lib, *leaves)
    wanted = [leaf for leaf in leaves if leaf.requires_grad]
    if not wanted:
        return [output]
    upstream = lib.tensor(_weights(tuple(output.shape), 1))
    first = lib.autograd.grad(output, wanted, upstream, create_graph=True)
    # The term in the leaves themselves gives each a gradient where the first order is constant.
    scalar = sum(
        (gradient * lib.tensor(_weights(tuple(gradient.shape), 2))).sum() for gradient in first
    ) + sum((leaf * leaf).sum() for leaf in wanted)
    second = lib.autograd.grad(scalar, wanted)
    return [output, *first, *second]


def assert_agree(function: Callable[..., Any], *arrays: Any, rtol: float = 1e-10) -> None:
    """`function(lib, *tensors)` has the same value, first and second derivatives in both libraries.

    Floating-point arrays become float64 leaves that require grad, others plain tensors.
    """
    pairs = []
    for array in arrays:
        array = np.asarray(array)
        real = array.dtype.kind == "f"
        pairs.append(both(array.astype(np.float64) if real else array, requires_grad=real))
    ours = _differentiated(tt, function, [pair[0] for pair in pairs])
    theirs = _differentiated(torch, function, [pair[1] for pair in pairs])
    for mine, other in zip(ours, theirs, strict=True):
        assert_same(mine, other, rtol, 1e-12)


def copy_weights(theirs: Any, ours: tt.nn.Module) -> None:
    """Give our module the weights and buffers of torch's."""
    ours.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
