"""Initial values, written into a tensor's memory outside the graph. All return that tensor."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd.mode import no_grad
from ..random import Generator
from ..tensor import Tensor, make

_LINEAR = {
    "linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d",
    "conv_transpose3d", "sigmoid",
}  # fmt: skip


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor that keeps the size of signals through a nonlinearity, under torch's table.

    param : the negative slope for "leaky_relu" (0.01 when left out)
    Raises ValueError for a nonlinearity that is not in the table.
    """
    if nonlinearity in _LINEAR:
        return 1.0
    if nonlinearity == "tanh":
        return 5.0 / 3
    if nonlinearity == "relu":
        return math.sqrt(2.0)
    if nonlinearity == "leaky_relu":
        if isinstance(param, bool) or not isinstance(param, (int, float, type(None))):
            raise ValueError(f"calculate_gain: expected a number as negative slope, got {param!r}")
        slope = 0.01 if param is None else param
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity == "selu":
        return 3.0 / 4
    known = ", ".join(sorted(_LINEAR | {"tanh", "relu", "leaky_relu", "selu"}))
    raise ValueError(f"Unsupported nonlinearity {nonlinearity}; expected one of {known}")


# -- constants ------------------------------------------------------------------------------------


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Write one value everywhere."""
    with no_grad():
        return tensor.fill_(val)


def zeros_(tensor: Tensor) -> Tensor:
    """Write 0 everywhere."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Write 1 everywhere."""
    return constant_(tensor, 1.0)


def eye_(tensor: Tensor) -> Tensor:
    """Write the identity into a matrix. Raises ValueError unless it has 2 dimensions."""
    if tensor.ndim != 2:
        raise ValueError(f"eye_: Only tensors with 2 dimensions are supported, got {tensor.ndim}")
    with no_grad():
        return tensor.copy_(make(np.eye(*tensor.shape)))


# -- draws ----------------------------------------------------------------------------------------


def uniform_(
    tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Draw from the uniform distribution U(a, b)."""
    with no_grad():
        return tensor.uniform_(a, b, generator=generator)


def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Draw from the normal distribution N(mean, std²)."""
    with no_grad():
        return tensor.normal_(mean, std, generator=generator)


def xavier_uniform_(
    tensor: Tensor, gain: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Draw from U(-a, a), a = gain √(6 / (fan_in + fan_out)).

    Source: Glorot and Bengio 2010, eq. 16.
    """
    bound = math.sqrt(3.0) * _xavier_std(tensor, gain)
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Draw from N(0, std²), std = gain √(2 / (fan_in + fan_out)).

    Source: Glorot and Bengio 2010, eq. 12.
    """
    return normal_(tensor, 0.0, _xavier_std(tensor, gain), generator)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Draw from U(-b, b), b = gain √(3 / fan), the gain that of the nonlinearity with slope `a`.

    mode : "fan_in" keeps the size of signals forward, "fan_out" that of gradients backward
    Source: He et al. 2015, eq. 14.
    """
    return _kaiming(
        tensor, a, mode, nonlinearity,
        lambda std: uniform_(tensor, -math.sqrt(3.0) * std, math.sqrt(3.0) * std, generator),
    )  # fmt: skip


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Draw from N(0, std²), std = gain / √fan; otherwise as `kaiming_uniform_`."""
    return _kaiming(tensor, a, mode, nonlinearity, lambda std: normal_(tensor, 0.0, std, generator))


def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """Draw a matrix (rows, all the rest) whose rows or columns are orthonormal, times `gain`.

    Uniform over such matrices: the Q of a normal matrix, with the signs that make R's diagonal
    positive. Raises ValueError below 2 dimensions. Source: Saxe et al. 2013; Mezzadri 2006.
    """
    if tensor.ndim < 2:
        raise ValueError(
            f"orthogonal_: Only tensors with 2 or more dimensions are supported, got {tensor.ndim}"
        )
    if tensor.numel() == 0:
        return tensor
    rows = tensor.shape[0]
    drawn = make(np.empty((rows, tensor.numel() // rows), tensor.dtype.numpy))
    matrix = normal_(drawn, generator=generator).numpy()
    wide = matrix.shape[0] < matrix.shape[1]
    q, r = np.linalg.qr(matrix.T if wide else matrix)
    q *= np.sign(np.diag(r))
    if wide:
        q = q.T
    with no_grad():
        tensor.copy_(make(np.ascontiguousarray(q).reshape(tensor.shape)))
        return tensor.mul_(gain)


# -- sizes ----------------------------------------------------------------------------------------


def _fans(tensor: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight (out, in, ...)."""
    if tensor.ndim < 2:
        raise ValueError(
            "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions, "
            f"got {tensor.ndim}"
        )
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def _xavier_std(tensor: Tensor, gain: float) -> float:
    return gain * math.sqrt(2.0 / float(sum(_fans(tensor))))


def _kaiming(
    tensor: Tensor, a: float, mode: str, nonlinearity: str, draw: Callable[[float], Any]
) -> Tensor:
    """Draw with the standard deviation gain / √fan."""
    if 0 in tensor.shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=3)
        return tensor
    if mode.lower() not in ("fan_in", "fan_out"):
        raise ValueError(f"Mode {mode} not supported, please use one of ['fan_in', 'fan_out']")
    fan = _fans(tensor)[mode.lower() == "fan_out"]
    draw(calculate_gain(nonlinearity, a) / math.sqrt(fan))
    return tensor
