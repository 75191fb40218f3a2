"""Matrix products."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import parallel
from ..autograd.primitive import primitive
from ..autograd.view import owned
from ..dtypes import FLOATING, Array, float16, promote_types
from ..tensor import Tensor, make
from .check import check_tensors
from .elementwise import masked_fill, zeros_of
from .index import getitem
from .reduce import sum
from .shape import expand, reshape, transpose, unsqueeze


def _left(g: Any, shape_a: Any, b: Any) -> Any:
    """ga = g bᵀ; vectors are matrices with one row or column."""
    if b.ndim == 1:
        return unsqueeze(g, -1) * b
    if len(shape_a.shape) == 1:
        return sum(b * unsqueeze(g, -2), -1)
    return matmul(g, transpose(b, -1, -2))


def _right(g: Any, a: Any, shape_b: Any) -> Any:
    """gb = aᵀ g; a batch times one matrix is one product of the batch laid flat."""
    if len(shape_b.shape) == 1:
        return a * unsqueeze(g, -1)
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
    if a.dtype == np.bool_:
        raise NotImplementedError("matmul: expected numbers, got bool tensors; use .int()")


@primitive(_left, _right, promote=None)
def matmul(a: Array, b: Array) -> Array:
    """y = a b, over the last two dimensions, the others broadcast;  ga = g bᵀ, gb = aᵀ g."""
    _check_same_type(a, b)
    if b.ndim == 2 and a.ndim > 2 and a.flags.c_contiguous and a.size:
        rows = parallel.matmul(a.reshape(-1, a.shape[-1]), b)
        return rows.reshape(*a.shape[:-1], b.shape[1])
    if a.ndim == b.ndim == 2 and a.shape[1] == b.shape[0]:
        return parallel.matmul(a, b)
    return np.matmul(a, b, order="C")


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
        rows = parallel.matmul(x.reshape(-1, x.shape[-1]), weight.T)
        y = rows.reshape(*x.shape[:-1], weight.shape[0])
    else:
        y = np.matmul(x, weight.T)
    if isinstance(bias, np.ndarray):
        y += bias
    return y


# -- products of tensors of given dimensions


def _product(name: str, a: Tensor, b: Tensor, dims: tuple[int, int]) -> Tensor:
    """`matmul` for operands of exactly these numbers of dimensions. Raises RuntimeError."""
    _check_factors(name, a, b, dims)
    product: Tensor = matmul(a, b)
    return product


def _check_factors(name: str, a: Tensor, b: Tensor, dims: tuple[int, int]) -> None:
    """Raise unless two tensors of these numbers of dimensions can be multiplied."""
    check_tensors(name, a, b)
    first, second = a._array.shape, b._array.shape
    if (len(first), len(second)) != dims:
        raise RuntimeError(
            f"{name}: expected tensors of {dims[0]} and {dims[1]} dimensions, "
            f"got shapes {first} and {second}"
        )
    if a.dtype != b.dtype:
        raise RuntimeError(
            f"{name}: expected both to have the same dtype, got {a.dtype} and {b.dtype}"
        )
    inner = second[-2] if len(second) > 1 else second[-1]
    if first[-1] != inner:
        raise RuntimeError(
            f"{name}: expected the last size of the first to be the second's number of rows, "
            f"got shapes {first} and {second}: {first[-1]} is not {inner}"
        )
    if len(first) == 3 and first[0] != second[0]:
        raise RuntimeError(
            f"{name}: expected batches of one size, got shapes {first} and {second}: "
            f"{first[0]} is not {second[0]}"
        )


def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """y = input mat2, of matrices (n, m) and (m, p). Raises RuntimeError for all else."""
    return _product("mm", input, mat2, (2, 2))


def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """y[b] = input[b] mat2[b], of batches (B, n, m) and (B, m, p). Raises RuntimeError for else."""
    return _product("bmm", input, mat2, (3, 3))


def mv(input: Tensor, vec: Tensor) -> Tensor:
    """y = input vec, of a matrix (n, m) and a vector (m). Raises RuntimeError for all else."""
    return _product("mv", input, vec, (2, 1))


def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """y = Σ input[i] tensor[i], of two vectors (n). Raises RuntimeError for all else."""
    return _product("dot", input, tensor, (1, 1))


def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """y[i, j] = input[i] vec2[j], of vectors (n) and (m). Raises RuntimeError for all else."""
    check_tensors("outer", input, vec2)
    if input.ndim != 1 or vec2.ndim != 1:
        raise RuntimeError(
            f"outer: expected two vectors, got shapes {input._array.shape} and {vec2._array.shape}"
        )
    product: Tensor = unsqueeze(input, 1) * vec2
    return product


def addmm(
    input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1
) -> Tensor:
    """y = β input + α mat1 mat2, of matrices; the input is broadcast to the product's shape.

    For β = 0 the input, and for α = 0 the product, counts for nothing even where it is NaN or
    infinite.
    """
    return _added("addmm", input, mat1, mat2, (2, 2), beta, alpha)


def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """y = β input + α mat vec, as `addmm` for a matrix and a vector."""
    return _added("addmv", input, mat, vec, (2, 1), beta, alpha)


def baddbmm(
    input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1
) -> Tensor:
    """y = β input + α batch1 batch2, as `addmm` for batches of matrices."""
    return _added("baddbmm", input, batch1, batch2, (3, 3), beta, alpha)


def addbmm(
    input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1
) -> Tensor:
    """y = β input + α Σ batch1[b] batch2[b] over b, as `addmm` for batches of matrices."""
    check_tensors("addbmm", input)
    _check_factors("addbmm", batch1, batch2, (3, 3))
    shape = (batch1._array.shape[1], batch2._array.shape[2])
    total = _plus("addbmm", input, zeros_of(batch1, shape), beta, 1)
    for one, two in zip(batch1, batch2, strict=True):
        total = addmm(total, one, two, alpha=alpha)
    return total


def addr(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """y[i, j] = β input[i, j] + α vec1[i] vec2[j]; the input is broadcast to that shape.

    The types are promoted. For β = 0 the input counts for nothing, as in `addmm`.
    """
    check_tensors("addr", input, vec1, vec2)
    kind = promote_types(input.dtype, promote_types(vec1.dtype, vec2.dtype))
    wide = np.float32 if kind is float16 else kind  # rounded once, as in torch
    product = outer(vec1.to(wide), vec2.to(wide))
    return _plus("addr", input.to(wide), product, beta, alpha).to(kind)


def _added(
    name: str, input: Tensor, a: Tensor, b: Tensor, dims: tuple[int, int], beta: Any, alpha: Any
) -> Tensor:
    """β input + α a b."""
    check_tensors(name, input)
    if all(isinstance(x, Tensor) and x._array.dtype == np.float16 for x in (input, a, b)):
        input, a, b = (x.to(np.float32) for x in (input, a, b))  # rounded once, as in torch
        return _added(name, input, a, b, dims, beta, alpha).to(np.float16)
    return _plus(name, input, _product(name, a, b, dims), beta, alpha)


def _plus(name: str, input: Tensor, product: Tensor, beta: Any, alpha: Any) -> Tensor:
    """β input + α product, for an input of its dtype that broadcasts to its shape."""
    if input.dtype != product.dtype:
        raise RuntimeError(
            f"{name}: expected all to have the same dtype, got {input.dtype} and {product.dtype}"
        )
    shape, target = input._array.shape, product._array.shape
    missing = len(target) - len(shape)
    if missing < 0 or any(n not in (1, m) for n, m in zip(shape, target[missing:], strict=True)):
        raise RuntimeError(
            f"{name}: expected an input that broadcasts to the product's shape {target}, "
            f"got {shape}"
        )
    return _times(expand(input, target), beta) + _times(product, alpha)


def _times(x: Tensor, factor: Any) -> Tensor:
    """x times a number, in x's dtype; for 0 it is 0 even where x is NaN or infinite."""
    if x._array.dtype.kind not in FLOATING:
        factor = int(factor)
    if factor == 1:
        return x
    if factor == 0:
        nothing: Tensor = masked_fill(x, make(np.asarray(True)), 0)
        return nothing
    return x * factor


# -- other products


def kron(input: Tensor, other: Tensor) -> Tensor:
    """The Kronecker product: y[i m + k, j n + l] = input[i, j] other[k, l] for an (m, n) other.

    Of any numbers of dimensions; the shorter shape is filled up with ones in front.
    """
    check_tensors("kron", input, other)
    ndim = max(input.ndim, other.ndim)
    first = (1,) * (ndim - input.ndim) + input._array.shape
    second = (1,) * (ndim - other.ndim) + other._array.shape
    pairs = list(zip(first, second, strict=True))
    spread = reshape(input, tuple(size for n, _ in pairs for size in (n, 1)))
    repeated = reshape(other, tuple(size for _, m in pairs for size in (1, m)))
    return owned(reshape(spread * repeated, tuple(n * m for n, m in pairs)))


def trace(input: Tensor) -> Tensor:
    """y = Σ x[i, i] of a matrix;  gx = g on the diagonal. Raises RuntimeError for all else."""
    check_tensors("trace", input)
    shape = input._array.shape
    if len(shape) != 2:
        raise RuntimeError(f"trace: expected a matrix, got shape {shape}")
    if input._array.dtype == np.bool_:
        raise RuntimeError("trace: expected numbers, got a bool tensor; use .int()")
    along = make(np.arange(min(shape)))
    total: Tensor = sum(getitem(input, (along, along, ...)))
    return total
