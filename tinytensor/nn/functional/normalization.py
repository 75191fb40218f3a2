"""Normalisation over the last dimensions, and over a batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...autograd.mode import is_grad_enabled
from ...dtypes import Array, float16, float32
from ...ops import elementwise as e
from ...ops.check import check_tensors
from ...tensor import Tensor, count_write
from .. import norm_kernel


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """y = (x - m) / √(v + eps) · weight + bias, m and v the mean and variance of each example.

    input : floating-point Tensor (..., *normalized_shape); m and v are taken over the dimensions of
        `normalized_shape`, v without Bessel's correction
    weight, bias : Tensors (*normalized_shape) or None
    Returns a Tensor of the input's shape. Raises RuntimeError for other shapes and mixed dtypes,
    NotImplementedError for integers. Source: Ba et al. 2016, eq. 4.
    """
    shape = _checked_shape("layer_norm", input, normalized_shape)
    for what, parameter in (("weight", weight), ("bias", bias)):
        if parameter is not None:
            _check_parameter_shape("layer_norm", what, parameter, shape)
            if not _fits(input, parameter):
                raise RuntimeError(
                    f"layer_norm: expected all of one dtype (mixed dtype), got input "
                    f"{input.dtype} and {what} {parameter.dtype}; use input.to({parameter.dtype})"
                )
    return norm_kernel.layer_norm(input, weight, bias, dims=len(shape), eps=eps)[0]


def rms_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """y = x / √(q + eps) · weight, q the mean square of each example.

    input : floating-point Tensor (..., *normalized_shape); q is taken over the dimensions of
        `normalized_shape`
    weight : Tensor (*normalized_shape) or None
    eps : the spacing of the input's type at 1 when left out (of float32 for float16)
    Returns a Tensor of the input's shape and dtype. Raises RuntimeError for other shapes,
    ValueError for fewer dimensions, NotImplementedError for integers. Source: Zhang and Sennrich
    2019, eq. 4.
    """
    shape = _checked_shape("rms_norm", input, normalized_shape)
    if weight is not None:
        _check_parameter_shape("rms_norm", "weight", weight, shape)
    if eps is None:
        eps = float(np.finfo(np.promote_types(input._array.dtype, np.float32)).eps)
    return norm_kernel.rms_norm(input, weight, dims=len(shape), eps=eps)[0]


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """y = (x - m) / √(v + eps) · weight + bias, for each channel.

    input : floating-point Tensor (N, C) or (N, C, ...)
    running_mean, running_var : Tensors (C). In training, where m and v are those of this batch,
        they become (1 - momentum) · old + momentum · new, the new variance with Bessel's
        correction; both may be None. Else they are m and v
    weight, bias : Tensors (C) or None
    Returns a Tensor of the input's shape. Raises ValueError for one value a channel in training,
    RuntimeError for other shapes and mixed dtypes, NotImplementedError for integers. Source: Ioffe
    and Szegedy 2015, alg. 1 and 2.
    """
    check_tensors("batch_norm", input)
    _check_batch(input, training, eps)
    named = {
        "running_mean": running_mean,
        "running_var": running_var,
        "weight": weight,
        "bias": bias,
    }
    _check_channels(input, named)
    if (running_mean is None) != (running_var is None):
        raise ValueError(
            "batch_norm: running_mean and running_var must either both be None or neither be None"
        )
    if not training:
        if running_mean is None or running_var is None:
            raise RuntimeError(
                "batch_norm: running_mean and running_var must be defined in evaluation mode, got "
                "None; pass training=True"
            )
        centred = input - _by_channel(running_mean, input)
        return _affine(centred, running_var, weight, bias, eps).to(input.dtype)
    if input._array.size == 0:  # nothing to take a mean of
        return _affine(input, None, weight, bias, eps).to(input.dtype)
    y, mean, variance = norm_kernel.batch_norm(input, weight, bias, eps=eps)
    if running_mean is not None and running_var is not None:
        count = input._array.size // input._array.shape[1]
        _average(running_mean, mean._array, momentum)
        _average(running_var, variance._array * (count / (count - 1)), momentum)
    return y


def _affine(
    x: Tensor, variance: Tensor | None, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    """x / √(v + eps) · weight + bias, each but x where there is one."""
    y = x
    if variance is not None:
        scale = e.rsqrt(variance + eps)
        y = y * _by_channel(scale if weight is None else scale * weight, x)
    elif weight is not None:
        y = y * _by_channel(weight, x)
    if bias is not None:
        y = y + _by_channel(bias, x)
    return y


def _by_channel(parameter: Tensor, x: Tensor) -> Tensor:
    """(C) in the shape that broadcasts against (N, C, ...)."""
    return parameter.reshape(-1, *(1,) * (x.ndim - 2)) if x.ndim > 2 else parameter


def _average(running: Tensor, new: Array, momentum: float) -> None:
    """running = (1 - momentum) · running + momentum · new, in its memory."""
    array = running._array
    array *= 1 - momentum
    array += momentum * new
    count_write(running._storage, "batch_norm")


def _check_batch(input: Tensor, training: bool, eps: float) -> None:
    """Raise for an input that can't be normalised over the batch."""
    shape = input._array.shape
    if training:
        if len(shape) > 1 and shape[0] * math.prod(shape[2:]) == 1:
            raise ValueError(
                "batch_norm: expected more than 1 value per channel when training, got input size "
                f"{shape}; use larger batches, or .eval()"
            )
        if not eps > 0:
            raise ValueError(f"batch_norm: eps must be positive during training, but got {eps}")
    elif not eps >= 0:
        raise ValueError(f"batch_norm: eps must be non-negative, but got {eps}")
    if len(shape) < 2:
        raise RuntimeError(f"batch_norm: expected an input (N, C) or (N, C, ...), got {shape}")
    if not input.is_floating_point():
        raise NotImplementedError(
            f"batch_norm: expected a floating-point tensor, got {input.dtype}; use .float()"
        )


def _check_channels(input: Tensor, named: dict[str, Tensor | None]) -> None:
    """Raise RuntimeError unless each has a number for each channel, of a type that fits."""
    channels = input._array.shape[1]
    for name, values in named.items():
        if values is None:
            continue
        if values._array.shape != (channels,):
            raise RuntimeError(
                f"batch_norm: {name} should contain {channels} elements (an input (N, C, ...) of "
                f"shape {input._array.shape}), got shape {values._array.shape}"
            )
        if not _fits(input, values):
            raise RuntimeError(
                f"batch_norm: expected all of one dtype (mixed dtype), got input {input.dtype} and "
                f"{name} {values.dtype}; use input.to({values.dtype})"
            )
        if name.startswith("running") and values.requires_grad and is_grad_enabled():
            raise RuntimeError(
                f"batch_norm: expected {name} not to require grad, as it is not differentiable "
                f"with respect to it; use {name}.detach()"
            )


def _checked_shape(name: str, input: Any, normalized_shape: Sequence[int]) -> tuple[int, ...]:
    """`normalized_shape` as a tuple. Raises unless the input ends in it and is floating-point."""
    check_tensors(name, input)
    if not isinstance(normalized_shape, (tuple, list)):
        raise TypeError(
            f"{name}: expected normalized_shape to be a tuple of ints, got {normalized_shape!r}; "
            f"use ({normalized_shape!r},)"
        )
    shape = tuple(normalized_shape)
    if not shape:
        raise RuntimeError(
            f"{name}: expected normalized_shape to be at least 1-dimensional, got {shape}"
        )
    if input._array.shape[-len(shape) :] != shape:
        expected = ", ".join(map(str, ("*", *shape)))
        too_few = name == "rms_norm" and input.ndim < len(shape)  # torch's two kinds of error
        raise (ValueError if too_few else RuntimeError)(
            f"{name}: given normalized_shape={list(shape)}, expected input with shape "
            f"[{expected}], but got input of size {list(input._array.shape)}"
        )
    if not input.is_floating_point():
        raise NotImplementedError(
            f"{name}: expected a floating-point tensor, got {input.dtype}; use .float()"
        )
    return shape


def _check_parameter_shape(name: str, what: str, parameter: Tensor, shape: tuple[int, ...]) -> None:
    if parameter._array.shape != shape:
        raise RuntimeError(
            f"{name}: expected {what} to be of same shape as normalized_shape = {list(shape)}, "
            f"got {list(parameter._array.shape)}"
        )


def _fits(input: Tensor, parameter: Tensor) -> bool:
    """One dtype, or float32 parameters for a float16 input."""
    kind, other = input.dtype, parameter.dtype
    return kind is other or (kind is float16 and other is float32)
