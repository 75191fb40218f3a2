"""Other numbers for a model's inputs, to see what depends on them."""

from __future__ import annotations

import numpy as np

from ..dtypes import Array


def mixed(array: Array) -> Array:
    """The numbers in another order, every second one 0 or of the other sign."""
    turned = array.reshape(-1)[::-1].copy()
    odd = np.arange(turned.size) % 2 == 1
    if array.dtype.kind == "b":
        turned = ~turned
    elif array.dtype.kind == "f":
        turned = turned * np.where(odd, -0.75, 0.75) + 0.125
    else:
        turned[odd if turned.size > 1 else ~odd] = 0
    return turned.astype(array.dtype).reshape(array.shape)


def smaller(array: Array) -> Array:
    """Half the numbers, floats of the other sign; integers may still be indices or lengths."""
    if array.dtype.kind == "b":
        return array[..., ::-1].copy() if array.ndim else np.asarray(~array)
    if array.dtype.kind == "f":
        return np.asarray(array * -0.5 - 0.25, array.dtype)
    return np.asarray(array // 2, array.dtype)


def within(array: Array) -> Array:
    """The numbers in another order, floats half way to their mean: none outside their range."""
    turned = array.reshape(-1)[::-1].reshape(array.shape)
    if array.dtype.kind == "f" and array.size:
        return np.asarray((turned + array.mean()) / 2, array.dtype)
    return turned.copy()
