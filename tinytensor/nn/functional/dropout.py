"""Dropout of elements and of whole channels, and the masks in torch's random stream."""

from __future__ import annotations

import math
import warnings

import numpy as np

from ... import random
from ...dtypes import Array
from ...ops.check import check_tensors
from ...tensor import Tensor, make


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """In training each element is zero with probability p, else scaled by 1 / (1 - p).

    Source: Srivastava et al. 2014. Raises ValueError unless 0 <= p <= 1, RuntimeError for
    integers.
    """
    check_tensors("dropout", input)
    check_probability(p)
    if _keeps_all(input, p, training):
        return input
    if p == 1:
        return _times(input, np.zeros((), input._array.dtype), inplace)
    _refuse_whole("dropout", input)
    return _times(input, dropout_mask(p, input._array), inplace)


def dropout1d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """In training each channel is zero with probability p, else scaled by 1 / (1 - p).

    input : Tensor (N, C, L) or (C, L)
    Source: Tompson et al. 2015. Raises ValueError unless 0 <= p <= 1, RuntimeError for other
    dimensions and for integers.
    """
    check_tensors("dropout1d", input)
    check_probability(p)
    if input.ndim not in (2, 3):
        raise RuntimeError(
            f"dropout1d: expected 2D or 3D input, (C, L) or (N, C, L), got a {input.ndim}D input"
        )
    return _dropout_of_channels("dropout1d", input, input.ndim - 1, p, training, inplace)


def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """In training each channel is zero with probability p, else scaled by 1 / (1 - p).

    input : Tensor (N, C, H, W), or with a warning another whose first two dimensions are N and C
    Source: Tompson et al. 2015. Raises ValueError unless 0 <= p <= 1, RuntimeError below 2
    dimensions and for integers.
    """
    check_tensors("dropout2d", input)
    check_probability(p)
    if input.ndim != 4:
        warnings.warn(
            f"dropout2d: Received a {input.ndim}-D input and takes its first two dimensions for "
            "(N, C); expected (N, C, H, W): use dropout1d for (N, C, L), dropout for others",
            stacklevel=2,
        )
    return _dropout_of_channels("dropout2d", input, 2, p, training, inplace)


def alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """In training each element is -λα of SELU with probability p; then y = a x + b.

    a and b bring mean 0 and variance 1 back: a = 1 / √((1 - p) (1 + p λ²α²)), b = a p λα.
    Source: Klambauer et al. 2017. Raises ValueError unless 0 <= p <= 1, RuntimeError for integers.
    """
    name = "alpha_dropout"
    check_tensors(name, input)
    check_probability(p)
    if _keeps_all(input, p, training):
        return input
    kept = None
    if p < 1:
        _refuse_whole(name, input)
        kept = _drawn(p, np.empty_like(input._array))
    return _alpha_dropout(input, kept, p, inplace)


def feature_alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """`alpha_dropout` of whole channels: (N, C, ...) -> the same.

    Raises ValueError unless 0 <= p <= 1, RuntimeError below 2 dimensions and for integers.
    """
    name = "feature_alpha_dropout"
    check_tensors(name, input)
    check_probability(p)
    if _keeps_all(input, p, training):
        return input
    kept = None
    if p < 1:
        _refuse_whole(name, input)
        kept = _drawn(p, _of_channels(name, input, 2))
    return _alpha_dropout(input, kept, p, inplace)


def check_probability(p: float) -> None:
    """Raise ValueError unless 0 <= p <= 1."""
    if not 0 <= p <= 1:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def dropout_mask(p: float, like: Array) -> Array:
    """0 with probability p, else 1 / (1 - p), in the shape, type and memory layout of `like`.

    torch draws in the order of memory, so the layout decides which element gets which number.
    """
    mask = _drawn(p, np.empty_like(like))
    mask /= 1.0 - p
    return mask


def _drawn(p: float, mask: Array) -> Array:
    """Write 0 with probability p, else 1, in the order of memory."""
    flat = mask.ravel(order="K")
    flat[...] = random.default_generator.bernoulli(1.0 - p, flat.size)
    return mask


def _keeps_all(input: Tensor, p: float, training: bool) -> bool:
    return p == 0 or not training or input._array.size == 0


def _refuse_whole(name: str, input: Tensor) -> None:
    if not input.is_floating_point():
        raise RuntimeError(f"{name}: expected a floating-point tensor, got {input.dtype}")


def _times(input: Tensor, mask: Array, inplace: bool) -> Tensor:
    return input.mul_(make(mask)) if inplace else input * make(mask)


def _of_channels(name: str, input: Tensor, dims: int) -> Array:
    """Memory for a number for each index of the first `dims` dimensions."""
    shape = input._array.shape
    if len(shape) < dims:
        raise RuntimeError(f"{name}: expected at least {dims} dimensions, (N, C, ...), got {shape}")
    return np.empty((*shape[:dims], *(1,) * (len(shape) - dims)), input._array.dtype)


def _dropout_of_channels(
    name: str, input: Tensor, dims: int, p: float, training: bool, inplace: bool
) -> Tensor:
    """Dropout of all that shares the first `dims` dimensions."""
    if _keeps_all(input, p, training):
        return input
    if p == 1:
        return _times(input, np.zeros((), input._array.dtype), inplace)
    _refuse_whole(name, input)
    mask = _drawn(p, _of_channels(name, input, dims))
    mask /= 1.0 - p
    return _times(input, mask, inplace)


_LAMBDA_ALPHA = 1.7580993408473766


def _alpha_dropout(input: Tensor, kept: Array | None, p: float, inplace: bool) -> Tensor:
    """a x + b where `kept` is 1, the saturated value -λα in the place of x where it is 0."""
    if kept is None:  # p = 1: nothing is left that could have a variance
        return _times(input, np.zeros((), input._array.dtype), inplace)
    a = 1 / math.sqrt((_LAMBDA_ALPHA * _LAMBDA_ALPHA * p + 1) * (1 - p))
    shift = make((kept - 1) * (_LAMBDA_ALPHA * a) + _LAMBDA_ALPHA * a * p)
    scale = make(kept * a)
    return input.mul_(scale).add_(shift) if inplace else input * scale + shift
