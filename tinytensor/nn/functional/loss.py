"""Losses of the difference between input and target."""

from __future__ import annotations

import warnings

from ...ops import elementwise as e
from ...ops import losses as pointwise
from ...ops.check import check_tensors
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
    _check_pair("mse_loss", input, target, weight)
    losses = e.square(input - target)
    if weight is None:
        return reduced(losses, reduction)
    return reduced(losses * weight, reduction, weight.sum())


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """|input - target|, reduced; with weights the mean is Σ w |input - target| / Σ w.

    input, target : Tensors of one shape (others are broadcast, with a warning)
    weight : Tensor of that shape
    The gradient is 0 where both are equal.
    """
    reduction = checked_reduction("l1_loss", size_average, reduce, reduction)
    _check_pair("l1_loss", input, target, weight)
    losses: Tensor = e.abs(input - target)
    if weight is None:
        return reduced(losses, reduction)
    return reduced(losses * weight, reduction, weight.sum())


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """d² / 2β where |d| < β, else |d| - β / 2, reduced; d = input - target.

    input, target : Tensors of one shape (others are broadcast, with a warning)
    beta : β; with 0 it is `l1_loss`
    Source: Girshick 2015, eq. 3. Raises RuntimeError for a negative beta, NotImplementedError for
    integers.
    """
    name = "smooth_l1_loss"
    reduction = checked_reduction(name, size_average, reduce, reduction)
    _check_pair(name, input, target, None)
    if beta < 0:
        raise RuntimeError(f"{name}: expected a beta that is not negative, got {beta}")
    if beta == 0:
        return reduced(e.abs(input - target), reduction)
    return reduced(pointwise.smooth_l1(_difference(name, input, target), beta), reduction)


def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """d² / 2 where |d| <= δ, else δ (|d| - δ / 2), reduced; d = input - target.

    input, target : Tensors of one shape (others are broadcast, with a warning)
    delta : δ
    weight : Tensor of that shape; the mean is over all elements, as in torch
    Source: Huber 1964. Raises RuntimeError unless delta is positive, NotImplementedError for
    integers.
    """
    name = "huber_loss"
    reduction = checked_reduction(name, None, None, reduction)
    _check_pair(name, input, target, weight)
    if delta <= 0:
        raise RuntimeError(f"{name}: expected a positive delta, got {delta}")
    losses: Tensor = pointwise.huber(_difference(name, input, target), delta)
    return reduced(losses if weight is None else losses * weight, reduction)


def _difference(name: str, input: Tensor, target: Tensor) -> Tensor:
    """input - target, which must not be whole numbers."""
    difference: Tensor = input - target
    if not difference.is_floating_point():
        raise NotImplementedError(
            f"{name}: expected floating-point tensors, got {input.dtype} and {target.dtype}; use "
            ".float()"
        )
    return difference


def _check_pair(name: str, input: Tensor, target: Tensor, weight: Tensor | None) -> None:
    """Warn if the shapes differ; raise ValueError unless the weight's is that of the input."""
    check_tensors(name, input, target)
    if input._array.shape != target._array.shape:
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size "
            f"({input.shape}). This will likely lead to incorrect results due to broadcasting. "
            "Please ensure they have the same size.",
            stacklevel=3,
        )
    if weight is not None and weight._array.shape != input._array.shape:
        raise ValueError(
            f"{name}: Weights and input must have the same size, "
            f"got {weight._array.shape} and {input._array.shape}"
        )
