"""The linear map y = x Wᵀ + b."""

from __future__ import annotations

from ...ops import linalg
from ...tensor import Tensor


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y = x Wᵀ + b over the last dimension.

    input : Tensor (..., I)
    weight : Tensor (O, I), or (I) without a bias
    bias : Tensor (O) or None
    Returns Tensor (..., O), or (...). Raises RuntimeError for other shapes and different dtypes.
    """
    if input.dtype is not weight.dtype:
        raise RuntimeError(
            f"linear: expected input and weight to have the same dtype, got {input.dtype} and "
            f"{weight.dtype}; use input.to({weight.dtype})"
        )
    if weight.ndim == 1 and bias is None:
        product: Tensor = linalg.matmul(input, weight)
        return product
    y: Tensor = linalg.linear(input, weight, 0.0 if bias is None else bias)
    return y
