"""Initial values, written into a tensor's memory outside the graph. All return that tensor."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd.mode import no_grad
from ..ops.create import empty_like
from ..ops.elementwise import where
from ..ops.sample import randperm
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


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Write the kernel of a convolution (out, in, ...) that passes on its input unchanged.

    One 1 in the middle of the kernel from each input channel to the output channel of that number,
    for as many as there are, in each of `groups` groups of output channels; 0 elsewhere. Raises
    ValueError unless it has 3, 4 or 5 dimensions, and out is a multiple of groups.
    """
    if tensor.ndim not in (3, 4, 5):
        raise ValueError(
            f"dirac_: Only tensors with 3, 4, or 5 dimensions are supported, got {tensor.ndim}"
        )
    if tensor.shape[0] % groups:
        raise ValueError(
            f"dirac_: dim 0 must be divisible by groups, got {tensor.shape[0]} and {groups}"
        )
    outputs = tensor.shape[0] // groups
    middle = tuple(size // 2 for size in tensor.shape[2:])
    kernel = np.zeros(tensor.shape)
    for group in range(groups):
        for channel in range(min(outputs, tensor.shape[1])):
            kernel[(group * outputs + channel, channel, *middle)] = 1
    with no_grad():
        return tensor.copy_(make(kernel))


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


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Draw from the normal distribution N(mean, std²) cut off below `a` and above `b`.

    Where [a, b] holds more than 0.3 of the distribution, values outside are drawn again; else
    uniform values are accepted in proportion to the density. Warns where `mean` lies more than two
    standard deviations outside [a, b].
    """
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn(
            "mean is more than 2 std from [a, b] in nn.init.trunc_normal_. "
            "The distribution of values may be incorrect.",
            stacklevel=2,
        )
    with no_grad():
        if _below((b - mean) / std) - _below((a - mean) / std) > 0.3:
            drawn = _drawn_again(tensor, mean, std, a, b, generator)
        else:
            drawn = _accepted(tensor, mean, std, a, b, generator)
        return tensor.copy_(drawn)


def _below(x: float) -> float:
    """The share of a normal distribution that lies below x standard deviations."""
    return (1 + math.erf(x / math.sqrt(2))) / 2


def _drawn_again(
    tensor: Tensor, mean: float, std: float, a: float, b: float, generator: Generator | None
) -> Tensor:
    lowest = tensor.new_tensor(a)
    highest = tensor.new_tensor(b)
    result = tensor.normal_(mean, std, generator=generator)
    while True:
        outside = (result < lowest) | (result > highest)
        if not outside.any():
            return result
        result = where(outside, empty_like(result).normal_(mean, std, generator=generator), result)


def _accepted(
    tensor: Tensor, mean: float, std: float, a: float, b: float, generator: Generator | None
) -> Tensor:
    peak = -0.5 * ((max(a, min(mean, b)) - mean) / std) ** 2  # the highest log density in [a, b]
    result = tensor
    waiting = tensor.new_ones(tensor.shape).bool()
    while True:
        drawn = empty_like(tensor).uniform_(a, b, generator=generator)
        result = where(waiting, drawn, result)
        height = ((drawn - mean) / std) ** 2 * -0.5 - peak
        waiting &= empty_like(tensor).uniform_(generator=generator).log() > height
        if not waiting.any():
            return result


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


def sparse_(
    tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None
) -> Tensor:
    """Draw a matrix from N(0, std²), then write 0 into a random part of each column.

    sparsity : the share of zeros in each column, rounded up to whole rows
    generator : for the values; which rows become 0 is drawn from the global stream, as in torch
    Raises ValueError unless it has 2 dimensions. Source: Martens 2010.
    """
    if tensor.ndim != 2:
        raise ValueError(
            f"sparse_: Only tensors with 2 dimensions are supported, got {tensor.ndim}"
        )
    rows, columns = tensor.shape
    zeros = math.ceil(sparsity * rows)
    with no_grad():
        tensor.normal_(0, std, generator=generator)
        for column in range(columns):
            tensor[randperm(rows)[:zeros], column] = 0
    return tensor


# -- sizes ----------------------------------------------------------------------------------------


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight (out, in, ...). Under torch's name, as many layers call it."""
    if tensor.ndim < 2:
        raise ValueError(
            "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions, "
            f"got {tensor.ndim}"
        )
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def _xavier_std(tensor: Tensor, gain: float) -> float:
    return gain * math.sqrt(2.0 / float(sum(_calculate_fan_in_and_fan_out(tensor))))


def _kaiming(
    tensor: Tensor, a: float, mode: str, nonlinearity: str, draw: Callable[[float], Any]
) -> Tensor:
    """Draw with the standard deviation gain / √fan."""
    if 0 in tensor.shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=3)
        return tensor
    if mode.lower() not in ("fan_in", "fan_out"):
        raise ValueError(f"Mode {mode} not supported, please use one of ['fan_in', 'fan_out']")
    fan = _calculate_fan_in_and_fan_out(tensor)[mode.lower() == "fan_out"]
    draw(calculate_gain(nonlinearity, a) / math.sqrt(fan))
    return tensor


# -- old names ------------------------------------------------------------------------------------


def _old_name(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A function under its name without the underscore, which warns."""
    name = function.__name__.removesuffix("_")

    @functools.wraps(function)
    def renamed(*args: Any, **kwargs: Any) -> Tensor:
        warnings.warn(
            f"`nn.init.{name}` is now deprecated in favor of `nn.init.{name}_`.",
            FutureWarning,
            stacklevel=2,
        )
        return function(*args, **kwargs)

    renamed.__name__ = name
    renamed.__qualname__ = name
    return renamed


uniform = _old_name(uniform_)
normal = _old_name(normal_)
constant = _old_name(constant_)
eye = _old_name(eye_)
dirac = _old_name(dirac_)
xavier_uniform = _old_name(xavier_uniform_)
xavier_normal = _old_name(xavier_normal_)
kaiming_uniform = _old_name(kaiming_uniform_)
kaiming_normal = _old_name(kaiming_normal_)
orthogonal = _old_name(orthogonal_)
sparse = _old_name(sparse_)
