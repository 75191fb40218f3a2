"""Norms of vectors and matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd.primitive import primitive
from ..dtypes import FLOATING, Array, numpy_dtype, of_numpy, promoted
from ..tensor import Tensor
from .check import check_tensors
from .compare import isnan
from .elementwise import abs, cast, pow, sign, where
from .options import with_numpy_names
from .reduce import Dims, amax, amin, axes_of, check_keepdim, kept, sum
from .shape import movedim, squeeze, wrap_dim
from .singular import svd


def _vector_rule(g: Any, x: Any, y: Any, ord: float, dim: Dims) -> Any:
    if ord == 0:
        return None
    g, y = kept(g, x, dim), kept(y, x, dim)
    if ord == 1:
        return g * sign(x)
    if ord == 2:
        return g * where(y == 0, 0.0, x / y)
    size = abs(x)
    if math.isinf(ord):
        chosen = cast((size == y) | (isnan(size) & isnan(y)), x.dtype)
        return g / sum(chosen, dim, True) * sign(x) * chosen
    away = sign(x) * where(x == 0, 0.0, pow(size, ord - 1))
    return where(y == 0, 0.0, g / pow(y, ord - 1)) * away


@primitive(_vector_rule, promote=None)
def _vector_norm(x: Array, ord: float = 2, dim: Dims = None, keepdim: bool = False) -> Array:
    if x.dtype.kind not in FLOATING:
        raise ValueError(f"expected a floating-point tensor, got {x.dtype}; use .float()")
    axes = axes_of(dim, x.ndim, keepdim)
    if (math.isinf(ord) or ord < 0) and _meets_nothing(x, axes):
        raise ValueError(f"expected at least one element for the norm of order {ord}, got none")
    size = np.asarray(np.abs(x), order="C")
    if ord == math.inf:
        return size.max(axis=axes, keepdims=keepdim)
    if ord == -math.inf:
        return size.min(axis=axes, keepdims=keepdim)
    if ord == 0:
        return (size != 0).sum(axis=axes, keepdims=keepdim, dtype=x.dtype)
    if ord == 1:
        return size.sum(axis=axes, keepdims=keepdim)
    if ord == 2:
        return np.sqrt((size * size).sum(axis=axes, keepdims=keepdim))
    total = np.asarray((size**ord).sum(axis=axes, keepdims=keepdim))
    return np.asarray(total ** (1 / ord))


def _meets_nothing(x: Array, axes: Sequence[int]) -> bool:
    """Whether a reduction over `axes` meets no element."""
    return 0 in [x.shape[axis] for axis in axes]


def _widened(name: str, input: Tensor, dtype: Any) -> Tensor:
    """The tensor in the type `dtype`. Raises RuntimeError unless both are real and it fits."""
    wanted, own = numpy_dtype(dtype), input._array.dtype
    if {wanted.kind, own.kind} - set(FLOATING) or promoted(own, wanted) != wanted:
        raise RuntimeError(
            f"{name}: expected a floating-point dtype that holds {input.dtype}, got {dtype}"
        )
    return input.to(of_numpy(wanted))


@with_numpy_names
def vector_norm(
    input: Tensor, ord: float = 2, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """y = (Σ |x|^p)^(1/p) along `dim`, p = `ord`;  gx = g sign(x) (|x| / y)^(p-1).

    ord : inf and -inf are the largest and the smallest |x|, 0 is the number of nonzero elements
    dtype : the type that the input is widened to first
    gx is 0 where y is 0, and where x is 0 (p < 2); equal extremes share g evenly.
    """
    name = "linalg.vector_norm"
    check_tensors(name, input)
    if not isinstance(ord, (int, float)):
        raise TypeError(f"{name}: expected ord to be a number, got {ord!r}")
    x = input if dtype is None else _widened(name, input, dtype)
    y: Tensor = _vector_norm(x, ord, dim, keepdim)
    return y


def matrix_norm(
    input: Tensor,
    ord: float | str = "fro",
    dim: int | Sequence[int] = (-2, -1),
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Any:
    """A norm of the matrices in the two dimensions `dim`.

    ord : "fro", √(Σ a²); 1 and -1, the largest and smallest sum of |a| down a column; inf and -inf,
        along a row; 2 and -2, the largest and smallest singular value; "nuc", their sum
    Equal extremes share g evenly. Raises RuntimeError for another order, and where `dim` is not two
    dimensions of the tensor.
    """
    name = "linalg.matrix_norm"
    check_tensors(name, input)
    if input.ndim < 2:
        raise RuntimeError(
            f"{name}: expected at least 2 dimensions, got {input.ndim}; use vector_norm"
        )
    if isinstance(dim, int):
        raise TypeError(f"{name}: expected a tuple of two dimensions, got {dim}")
    if len(dim) != 2:
        raise RuntimeError(f"{name}: expected two dimensions, got {tuple(dim)}")
    if ord not in ("fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf):
        raise RuntimeError(
            f"{name}: expected order 'fro', 'nuc', 1, -1, 2, -2, inf or -inf, got {ord!r}"
        )
    if dtype is not None:
        input = _widened(name, input, dtype)
    row, column = (wrap_dim(d, input.ndim, name) for d in dim)
    if row == column:
        raise RuntimeError(f"{name}: expected different dimensions, got {tuple(dim)}")
    if ord == "fro":
        return vector_norm(input, 2, (row, column), keepdim)
    check_keepdim(keepdim)
    if ord in (2, -2, "nuc"):
        values = svd(movedim(input, (row, column), (-2, -1)))[1]
        nothing = 0 in values.shape
        of_values = amin if ord == -2 else sum if ord == "nuc" or nothing else amax
        result = of_values(values, -1)
        return kept(result, input, (row, column)) if keepdim else result
    assert not isinstance(ord, str)
    summed, left = (row, column) if ord in (1, -1) else (column, row)
    sums = vector_norm(input, 1, summed, True)
    of_sums = amax if ord > 0 else amin
    result = of_sums(sums, (summed, left), True)
    return result if keepdim else squeeze(result, (row, column))


@with_numpy_names
def linalg_norm(
    input: Tensor,
    ord: float | str | None = None,
    dim: Dims = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Any:
    """A vector norm along one `dim`, a matrix norm along two; see `vector_norm`, `matrix_norm`.

    Without `ord` the 2-norm of all elements; with `ord` and no `dim`, the input must have 1 or 2
    dimensions.
    """
    dims = (dim,) if isinstance(dim, int) else None if dim is None else tuple(dim)
    if dims is not None and len(dims) not in (1, 2):
        raise RuntimeError(f"linalg.norm: expected one dimension or two, got {dims}")
    if ord is None:
        return vector_norm(input, 2, dims, keepdim, dtype=dtype)
    if dims is None:
        if input.ndim not in (1, 2):
            raise RuntimeError(
                f"linalg.norm: expected 1 or 2 dimensions when ord is given without dim, "
                f"got {input.ndim}; give dim"
            )
        dims = tuple(range(input.ndim))
    if len(dims) == 2 or isinstance(ord, str):
        return matrix_norm(input, ord, dims, keepdim, dtype=dtype)
    return vector_norm(input, ord, dims, keepdim, dtype=dtype)


def norm(
    input: Tensor,
    p: float | str | None = "fro",
    dim: Dims = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Any:
    """The p-norm of the elements along `dim`, taken as one vector; see `vector_norm`.

    p : "fro" and None are 2; "nuc" is the sum of the singular values, see `matrix_norm`
    """
    if isinstance(p, str) and p not in ("fro", "nuc"):
        raise RuntimeError(f"norm: expected p to be a number, 'fro' or 'nuc', got {p!r}")
    if p == "nuc":
        dims = tuple(range(input.ndim)) if dim is None else dim
        return matrix_norm(input, p, dims, keepdim, dtype=dtype)
    return vector_norm(
        input, 2 if p is None or isinstance(p, str) else p, dim, keepdim, dtype=dtype
    )
