"""Norms of vectors and matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd.primitive import primitive
from ..dtypes import FLOATING, Array
from ..tensor import Tensor
from .compare import isnan
from .elementwise import abs, cast, sign, where, zeros_like
from .options import with_dtype, with_numpy_names
from .reduce import Dims, amax, amin, axes_of, kept, sum
from .shape import squeeze, wrap_dim


def _vector_rule(g: Any, x: Any, y: Any, ord: float, dim: Dims) -> Any:
    if ord == 0:
        return zeros_like(x)
    g, y = kept(g, x, dim), kept(y, x, dim)
    if ord == 1:
        return g * sign(x)
    if ord == 2:
        return g * where(y == 0, 0.0, x / y)
    size = abs(x)
    if math.isinf(ord):
        chosen = cast((size == y) | (isnan(size) & isnan(y)), x.dtype)
        return g / sum(chosen, dim, True) * sign(x) * chosen
    away = sign(x) * where(x == 0, 0.0, size ** (ord - 1))
    if ord < 1:
        return g * away * y ** (1 - ord)
    return where(y == 0, 0.0, g / y ** (ord - 1)) * away


@with_numpy_names
@with_dtype
@primitive(_vector_rule, promote=None)
def vector_norm(x: Array, ord: float = 2, dim: Dims = None, keepdim: bool = False) -> Array:
    """y = (Σ |x|^p)^(1/p) along `dim`, p = `ord`;  gx = g sign(x) (|x| / y)^(p-1).

    ord : inf and -inf are the largest and the smallest |x|, 0 is the number of nonzero elements
    gx is 0 where y is 0, and where x is 0 (p < 2); equal extremes share g evenly.
    """
    if x.dtype.kind not in FLOATING:
        raise ValueError(f"expected a floating-point tensor, got {x.dtype}; use .float()")
    axes = axes_of(dim, x.ndim)
    if (math.isinf(ord) or ord < 0) and _meets_nothing(x, axes):
        raise ValueError(f"expected at least one element for the norm of order {ord}, got none")
    size = np.abs(x)
    if ord == math.inf:
        return size.max(axis=axes, keepdims=keepdim)
    if ord == -math.inf:
        return size.min(axis=axes, keepdims=keepdim)
    if ord == 0:
        return (x != 0).sum(axis=axes, keepdims=keepdim, dtype=x.dtype)
    if ord == 1:
        return size.sum(axis=axes, keepdims=keepdim)
    if ord == 2:
        return np.sqrt((x * x).sum(axis=axes, keepdims=keepdim))
    total = np.asarray((size**ord).sum(axis=axes, keepdims=keepdim))
    return np.asarray(total ** (1 / ord))


def _meets_nothing(x: Array, axes: Sequence[int]) -> bool:
    """Whether a reduction over `axes` meets no element."""
    return 0 in [x.shape[axis] for axis in axes]


def matrix_norm(
    A: Tensor,
    ord: float | str = "fro",
    dim: Sequence[int] = (-2, -1),
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Any:
    """The norm of the matrices in the two dimensions `dim`.

    ord : "fro", √(Σ a²); 1 and -1, the largest and smallest sum of |a| down a column; inf and -inf,
        along a row. Raises NotImplementedError for 2, -2 and "nuc", which need singular values.
    """
    if len(dim) != 2:
        raise RuntimeError(f"linalg.matrix_norm: expected two dimensions, got {tuple(dim)}")
    if A.ndim < 2:
        raise RuntimeError(
            f"linalg.matrix_norm: expected at least 2 dimensions, got {A.ndim}; use vector_norm"
        )
    if dtype is not None:
        A = cast(A, dtype)
    row, column = (wrap_dim(d, A.ndim, "linalg.matrix_norm") for d in dim)
    if row == column:
        raise RuntimeError(f"linalg.matrix_norm: expected different dimensions, got {tuple(dim)}")
    if ord == "fro":
        return vector_norm(A, 2, (row, column), keepdim)
    if ord in (2, -2, "nuc"):
        raise NotImplementedError(
            f"linalg.matrix_norm: order {ord} needs singular values, which are not there; "
            "use 'fro', 1, -1, inf or -inf"
        )
    if ord not in (1, -1, math.inf, -math.inf):
        raise RuntimeError(f"linalg.matrix_norm: order {ord} is not supported")
    assert not isinstance(ord, str)
    summed, left = (row, column) if ord in (1, -1) else (column, row)
    sums = vector_norm(A, 1, summed, True)
    extreme = amax if ord > 0 else amin
    result = extreme(sums, (summed, left), True)
    return result if keepdim else squeeze(result, (row, column))


@with_numpy_names
def linalg_norm(
    A: Tensor,
    ord: float | str | None = None,
    dim: Dims = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Any:
    """A vector norm along one `dim`, a matrix norm along two; see `vector_norm`, `matrix_norm`.

    Without `ord` the 2-norm of all elements; with `ord` and no `dim`, A must have 1 or 2.
    """
    if ord is None:
        return vector_norm(A, 2, dim, keepdim, dtype=dtype)
    if dim is None:
        if A.ndim not in (1, 2):
            raise RuntimeError(
                f"linalg.norm: expected 1 or 2 dimensions when ord is given without dim, "
                f"got {A.ndim}; give dim"
            )
        dim = tuple(range(A.ndim))
    dims = (dim,) if isinstance(dim, int) else tuple(dim)
    if len(dims) == 2 or isinstance(ord, str):
        return matrix_norm(A, ord, dims, keepdim, dtype=dtype)
    return vector_norm(A, ord, dims, keepdim, dtype=dtype)


@with_numpy_names
def norm(
    input: Tensor,
    p: float | str | None = "fro",
    dim: Dims = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Any:
    """The p-norm of the elements along `dim`, taken as one vector; "fro" is 2. See `vector_norm`.

    Raises NotImplementedError for p = "nuc", which needs singular values.
    """
    if p == "nuc":
        raise NotImplementedError("norm: 'nuc' needs singular values, which are not there")
    if isinstance(p, str) and p != "fro":
        raise RuntimeError(f"norm: expected p to be a number or 'fro', got {p!r}")
    return vector_norm(
        input, 2 if p is None or isinstance(p, str) else p, dim, keepdim, dtype=dtype
    )
