"""The linear map y = x Wᵀ + b, and the bilinear one of two inputs."""

from __future__ import annotations

from ...ops import linalg
from ...ops.check import check_tensors
from ...ops.einsum import einsum
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


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y[o] = Σ input1[i] weight[o, i, j] input2[j] + bias[o] over i and j.

    input1 : Tensor (..., I)
    input2 : Tensor (..., J), the same but for the last dimension
    weight : Tensor (O, I, J)
    bias : Tensor (O) or None
    Returns Tensor (..., O). Raises RuntimeError for other shapes and different dtypes, IndexError
    for a weight of other dimensions.
    """
    tensors = [t for t in (input1, input2, weight, bias) if t is not None]
    check_tensors("bilinear", *tensors)
    _check_bilinear(input1, input2, weight, bias)
    if len({t.dtype for t in tensors}) > 1:
        kinds = ", ".join(str(t.dtype) for t in tensors)
        raise RuntimeError(f"bilinear: expected all tensors of the same dtype, got {kinds}")
    y: Tensor = einsum("...i,oij,...j->...o", input1, weight, input2)
    return y if bias is None else y + bias


def _check_bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    """Raise unless the shapes go together."""
    first, second, w = (t._array.shape for t in (input1, input2, weight))
    if len(w) != 3:
        raise IndexError(f"bilinear: expected a weight of shape (O, I, J), got {w}")
    if not first or not second or first[:-1] != second[:-1]:
        raise RuntimeError(
            "bilinear: expected inputs (..., I) and (..., J), the same but for the last dimension, "
            f"got {first} and {second}"
        )
    for name, shape, size in (("input1", first, w[1]), ("input2", second, w[2])):
        if shape[-1] != size:
            raise RuntimeError(
                f"bilinear: {name} size does not match weight size: got {shape[-1]} but expected "
                f"{size}, for a weight of shape {w}"
            )
    if bias is not None and bias._array.shape != w[:1]:
        raise RuntimeError(
            f"bilinear: expected a bias of shape {w[:1]} (the weight's outputs), got "
            f"{bias._array.shape}"
        )
