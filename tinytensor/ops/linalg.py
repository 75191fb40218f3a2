"""Matrix products."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd.primitive import primitive
from ..dtypes import Array
from .reduce import sum
from .shape import reshape, transpose, unsqueeze


def _left(g: Any, shape_a: Any, b: Any) -> Any:
    """ga = g bᵀ; vectors are matrices with one row or column."""
    if b.ndim == 1:
        return unsqueeze(g, -1) * b if len(shape_a.shape) > 1 else g * b
    if len(shape_a.shape) == 1:
        return sum(b * unsqueeze(g, -2), -1)
    return matmul(g, transpose(b, -1, -2))


def _right(g: Any, a: Any, shape_b: Any) -> Any:
    """gb = aᵀ g; a batch times one matrix is one product of the batch laid flat."""
    if len(shape_b.shape) == 1:
        return a * unsqueeze(g, -1) if a.ndim > 1 else a * g
    if a.ndim == 1:
        return unsqueeze(a, -1) * unsqueeze(g, -2)
    if len(shape_b.shape) == 2 and a.ndim > 2:
        a, g = _rows(a), _rows(g)
    return matmul(transpose(a, -1, -2), g)


def _rows(x: Any) -> Any:
    """A batch of vectors laid flat: (..., n) as (rows, n)."""
    count = 1
    for size in x.shape[:-1]:
        count *= size
    return reshape(x, (count, x.shape[-1]))


def _check_same_type(a: Array, b: Array) -> None:
    if not (isinstance(a, np.ndarray) and isinstance(b, np.ndarray)):
        raise TypeError("matmul: expected two tensors, got a number; use * to scale")
    if np.result_type(a) != np.result_type(b):
        raise ValueError(f"expected both to have the same dtype, got {a.dtype} and {b.dtype}")


@primitive(_left, _right, promote=None)
def matmul(a: Array, b: Array) -> Array:
    """y = a b, over the last two dimensions, the others broadcast;  ga = g bᵀ, gb = aᵀ g."""
    _check_same_type(a, b)
    if b.ndim == 2 and a.ndim > 2 and a.flags.c_contiguous and a.size:
        return np.matmul(a.reshape(-1, a.shape[-1]), b).reshape(*a.shape[:-1], b.shape[1])
    return np.matmul(a, b)


@primitive(
    lambda g, weight: matmul(g, weight),
    lambda g, x: matmul(transpose(_rows(g), 0, 1), _rows(x)),
    lambda g: g,
    promote=None,
)
def linear(x: Array, weight: Array, bias: Array | float = 0.0) -> Array:
    """y = x Wᵀ + b over the last dimension;  gx = g W,  gW = gᵀ x,  gb = g."""
    if weight.ndim != 2 or x.ndim == 0 or x.shape[-1] != weight.shape[1]:
        raise ValueError("the last size of the input must be the weight's second of two")
    _check_same_type(x, weight)
    if x.ndim > 2 and x.flags.c_contiguous and x.size:
        rows = np.matmul(x.reshape(-1, x.shape[-1]), weight.T)
        y = rows.reshape(*x.shape[:-1], weight.shape[0])
    else:
        y = np.matmul(x, weight.T)
    if isinstance(bias, np.ndarray):
        y += bias
    return y
