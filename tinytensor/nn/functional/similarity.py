"""Vectors of length one, and the cosine between vectors."""

from __future__ import annotations

import numpy as np

from ...dtypes import promote_types
from ...ops import elementwise as e
from ...ops import norm as norms
from ...ops import shape as moves
from ...ops.check import check_tensors
from ...tensor import Tensor


def normalize(
    input: Tensor, p: float = 2.0, dim: int | tuple[int, ...] = 1, eps: float = 1e-12
) -> Tensor:
    """y = x / max(‖x‖_p, eps), the norm along `dim`; the norm of 0 has gradient 0."""
    size = norms.vector_norm(input, p, dim, True)
    y: Tensor = input / e.clamp(size, eps)
    return y


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """y = x1 · x2 / (max(‖x1‖, eps) max(‖x2‖, eps)) along `dim`; x1 and x2 are broadcast.

    Raises RuntimeError for integers.
    """
    check_tensors("cosine_similarity", x1, x2)
    if not (x1.is_floating_point() or x2.is_floating_point()):
        raise RuntimeError(
            f"cosine_similarity: expected floating-point tensors, got {x1.dtype} and {x2.dtype}"
        )
    kind = promote_types(x1.dtype, x2.dtype)
    try:
        shape = np.broadcast_shapes(x1._array.shape, x2._array.shape)
    except ValueError:
        raise RuntimeError(
            "cosine_similarity: expected shapes that broadcast, got "
            f"{x1._array.shape} and {x2._array.shape}"
        ) from None
    first, second = moves.expand(x1.to(kind), shape), moves.expand(x2.to(kind), shape)
    product = normalize(first, 2.0, dim, eps) * normalize(second, 2.0, dim, eps)
    y: Tensor = product.sum(dim)
    return y


def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """y = ‖x1 - x2 + eps‖_p over the last dimension; x1 and x2 are broadcast."""
    check_tensors("pairwise_distance", x1, x2)
    y: Tensor = norms.norm(x1 - x2 + eps, p, -1, keepdim)
    return y
