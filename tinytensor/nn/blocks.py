"""The product of a step: few rows times a weight that stays the same for the whole walk.

OpenBLAS has a quick way for small products, which reads the second factor where it lies instead of
copying it into an order of its own first. For the few rows of a step that copy is a third of the
work. So the weight is cut, once for a walk, into blocks of columns small enough for the quick way,
each with its rows at the start of a cache line.
"""

from __future__ import annotations

import math

import numpy as np

from .. import memory
from ..dtypes import Array

_QUICK = 100**3  # multiplications of a product up to which OpenBLAS takes the quick way
_NARROWEST = 32  # columns of a block; narrower ones are slower than the copy


def is_quick(rows: int, inner: int, columns: int) -> bool:
    """Whether a product (rows, inner) @ (inner, columns) goes the quick way as it is."""
    return rows * inner * columns <= _QUICK


def blocks_for(rows: int, inner: int, columns: int) -> int:
    """Into how many blocks of columns the second factor of such a product is cut; 1 if no use."""
    needed = math.ceil(rows * inner * columns / _QUICK)
    fitting = (n for n in range(needed, columns // _NARROWEST + 1) if columns % n == 0)
    return next(fitting, 1) if needed > 1 else 1


def in_blocks(weight: Array, rows: int) -> Array:
    """weight (K, J) as (blocks, K, J / blocks), for products with so many rows.

    Where one block would do it is (K, J), maybe the weight itself.
    """
    inner, columns = weight.shape
    count = blocks_for(rows, inner, columns)
    if count == 1:
        return np.ascontiguousarray(weight)
    blocks = memory.aligned_rows((count, inner, columns // count), weight.dtype)
    blocks[...] = weight.reshape(inner, count, -1).transpose(1, 0, 2)
    return blocks


def multiply(a: Array, blocks: Array, out: Array) -> None:
    """out (rows, J) = a (rows, K) times the weight in blocks."""
    if blocks.ndim == 2:
        a.dot(blocks, out)  # quicker to call than np.matmul
    else:
        count, _, columns = blocks.shape
        np.matmul(a, blocks, out=out.reshape(len(out), count, columns).transpose(1, 0, 2))
