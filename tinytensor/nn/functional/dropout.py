"""Dropout, and its masks in torch's random stream."""

from __future__ import annotations

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
    if p == 0 or not training or input._array.size == 0:
        return input
    if p == 1:
        mask = np.zeros((), input._array.dtype)
    elif not input.is_floating_point():
        raise RuntimeError(f"dropout: expected a floating-point tensor, got {input.dtype}")
    else:
        mask = dropout_mask(p, input._array)
    return input.mul_(make(mask)) if inplace else input * make(mask)


def check_probability(p: float) -> None:
    """Raise ValueError unless 0 <= p <= 1."""
    if not 0 <= p <= 1:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def dropout_mask(p: float, like: Array) -> Array:
    """0 with probability p, else 1 / (1 - p), in the shape, type and memory layout of `like`.

    torch draws in the order of memory, so the layout decides which element gets which number.
    """
    keep = 1.0 - p
    mask = np.empty_like(like)
    flat = mask.ravel(order="K")
    flat[...] = random.default_generator.bernoulli(keep, flat.size)
    flat /= keep
    return mask
