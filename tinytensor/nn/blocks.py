"""The product of a step: few rows times a weight that stays the same for the whole walk.

OpenBLAS has a quick way for small products, which reads the second factor where it lies instead of
copying it into an order of its own first. For the few rows of a step that copy is a third of the
work. So the weight is cut, once for a walk, into blocks of columns, each with its rows at the start
of a cache line, and many rows into equal parts, until a part times a block goes the quick way. A
block meets all parts in turn, while it is in the cache.
"""

from __future__ import annotations

import numpy as np

from .. import memory
from ..dtypes import Array
from ..parallel import parts_of

_QUICK = 100**3  # multiplications of a product up to which OpenBLAS takes the quick way
_NARROWEST = 32  # columns of a block; narrower ones are slower than the copy
_BEST_WIDTH = 64
_WIDEST = 128
_OF_A_LINE = 16  # numbers of float32 in a line of the cache
_FEWEST_ROWS = 16  # of a part


def is_quick(rows: int, inner: int, columns: int) -> bool:
    """Whether a product (rows, inner) @ (inner, columns) goes the quick way as it is."""
    return rows * inner * columns <= _QUICK


def parts_for(rows: int, inner: int, columns: int) -> int:
    """Into how many equal parts of its rows such a product is cut to be quick; 1 if no use."""
    for parts in range(1, rows // _FEWEST_ROWS + 1):
        if rows % parts == 0 and is_quick(rows // parts, inner, columns):
            return parts
    return 1


def blocks_for(rows: int, inner: int, columns: int) -> int:
    """Into how many blocks of columns the second factor of such a product is cut; 1 if no use."""
    if is_quick(rows, inner, columns):
        return 1
    widths = [n for n in range(_NARROWEST, _WIDEST + 1) if columns % n == 0]
    for width in sorted(widths, key=_unfitness):
        if is_quick(rows // parts_for(rows, inner, width), inner, width):
            return columns // width
    return 1


def _unfitness(width: int) -> tuple[float, int]:
    """How much of its last line a row of a block leaves free, then how far it is from the best."""
    return -width % _OF_A_LINE / width, abs(width - _BEST_WIDTH)


def in_blocks(weight: Array, rows: int) -> Array:
    """weight (K, J) as (blocks, K, J / blocks), for products with so many rows.

    Where one block would do it is (K, J), maybe the weight itself; and where rows are many and BLAS
    has several threads, which are the quicker then.
    """
    inner, columns = weight.shape
    count = blocks_for(rows, inner, columns)
    parts = parts_for(rows, inner, columns // count)
    if (count == 1 and parts == 1) or (parts > 1 and parts_of(rows) > 1):
        return np.ascontiguousarray(weight)
    blocks = memory.aligned_rows((count, inner, columns // count), weight.dtype)
    blocks[...] = weight.reshape(inner, count, -1).transpose(1, 0, 2)
    return blocks


def multiply(a: Array, blocks: Array, out: Array) -> None:
    """out (rows, J) = a (rows, K) times the weight in blocks."""
    if blocks.ndim == 2:
        a.dot(blocks, out)  # quicker to call than np.matmul
    else:
        count, inner, columns = blocks.shape
        rows = len(a)
        parts = parts_for(rows, inner, columns)
        by_part = out.reshape(parts, rows // parts, count, columns).transpose(2, 0, 1, 3)
        np.matmul(a.reshape(parts, rows // parts, inner), blocks[:, None], out=by_part)
