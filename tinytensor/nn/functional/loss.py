"""Losses between tensors of one shape."""

from __future__ import annotations

import warnings

from ...ops import activations as act
from ...ops import elementwise as e
from ...tensor import Tensor
from .reduction import checked_reduction, reduced


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """(input - target)², reduced; with weights the mean is Σ w (input - target)² / Σ w.

    input, target : Tensors of one shape (others are broadcast, with a warning)
    weight : Tensor of that shape
    """
    reduction = checked_reduction("mse_loss", size_average, reduce, reduction)
    if input._array.shape != target._array.shape:
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size "
            f"({input.shape}). This will likely lead to incorrect results due to broadcasting. "
            "Please ensure they have the same size.",
            stacklevel=2,
        )
    losses = e.square(input - target)
    if weight is None:
        return reduced(losses, reduction)
    if weight._array.shape != input._array.shape:
        raise ValueError(
            "mse_loss: Weights and input must have the same size, "
            f"got {weight._array.shape} and {input._array.shape}"
        )
    return reduced(losses * weight, reduction, weight.sum())


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """-w (p t ln σ(x) + (1 - t) ln(1 - σ(x))), reduced; x the input, t the target.

    Computed as w ((1 - t) x - (1 + (p - 1) t) ln σ(x)), which does not overflow.

    input, target : floating-point Tensors of one shape, the targets in [0, 1]
    weight : w, broadcast against it
    pos_weight : p, the weight of positive examples, broadcast against it
    Raises ValueError for a target of another shape, RuntimeError for one of integers.
    """
    name = "binary_cross_entropy_with_logits"
    reduction = checked_reduction(name, size_average, reduce, reduction)
    if target._array.shape != input._array.shape:
        raise ValueError(
            f"{name}: Target size ({target.shape}) must be the same as input size ({input.shape})"
        )
    if not target.is_floating_point():
        raise RuntimeError(
            f"{name}: expected a floating-point target, got {target.dtype}; use .float()"
        )
    log_sigma = act.logsigmoid(input)
    if pos_weight is not None:
        log_sigma = ((pos_weight - 1) * target + 1) * log_sigma
    losses = (1 - target) * input - log_sigma
    if weight is not None:
        losses = losses * weight
    return reduced(losses, reduction)
