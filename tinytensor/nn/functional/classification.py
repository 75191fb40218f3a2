"""Losses of class scores: `nll_loss` and `cross_entropy`."""

from __future__ import annotations

from ...dtypes import Array
from ...ops import reduce as reductions
from ...tensor import Tensor
from .class_numbers import (
    check_class_weights,
    check_classes_shape,
    check_weights_shape,
    checked_classes,
    class_loss,
)
from .cross_entropy_kernel import cross_entropy as fused_cross_entropy
from .reduction import checked_reduction, reduced


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-w[t] input[t] for each target t, reduced; the mean is their sum over the sum of w[t].

    input : Tensor (C), (N, C) or (N, C, d1, ...) of log-probabilities
    target : int64 Tensor (), (N) or (N, d1, ...) of classes in [0, C - 1]
    weight : Tensor (C), 1 when left out
    ignore_index : the target of examples that count for nothing
    Raises IndexError for a class out of range, ValueError and RuntimeError for wrong shapes and
    types.
    """
    reduction = checked_reduction("nll_loss", size_average, reduce, reduction)
    numbers, ignored = _checked("nll_loss", input, target, weight, ignore_index)
    return class_loss(
        input,
        target,
        weight,
        numbers=numbers,
        ignored=ignored,
        reduction=reduction,
        smoothing=0.0,
    )


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """-Σ_c w[c] q[c] ln softmax(input)[c] with target probabilities q, reduced.

    input : Tensor (C), (N, C) or (N, C, d1, ...) of unnormalised log-probabilities
    target : int64 Tensor (), (N) or (N, d1, ...) of classes in [0, C - 1], for which q is 1 at that
        class; the mean is then the sum over the sum of the targets' w. Or a floating-point Tensor
        of the input's shape: q itself; the mean is then the sum over the number of examples
    weight : Tensor (C), 1 when left out
    ignore_index : the target class of examples that count for nothing
    label_smoothing : ε; q becomes (1 - ε) q + ε / C (Szegedy et al. 2015)
    Raises IndexError for a class out of range, ValueError and RuntimeError for wrong shapes and
    types.
    """
    name = "cross_entropy"
    reduction = checked_reduction(name, size_average, reduce, reduction)
    if not 0 <= label_smoothing <= 1:
        raise RuntimeError(
            f"{name}: label_smoothing must be between 0.0 and 1.0, got {label_smoothing}"
        )
    if not input.ndim:
        raise RuntimeError(
            f"{name}: expected an input of shape (C), (N, C) or (N, C, d1, ...), got ()"
        )
    if not input.is_floating_point():
        raise NotImplementedError(
            f"{name}: expected a floating-point input of class scores, got {input.dtype}; use "
            ".float()"
        )
    if target._array.shape != input._array.shape:
        numbers, ignored = _checked(name, input, target, weight, ignore_index)
        (loss,) = fused_cross_entropy(
            input,
            target,
            weight,
            numbers=numbers,
            ignored=ignored,
            reduction=reduction,
            smoothing=label_smoothing,
        )
        return loss
    if not target.is_floating_point():
        raise RuntimeError(
            f"{name}: Expected floating point type for target with class probabilities (a target "
            f"of the input's shape), got {target.dtype}; class numbers have shape (N, d1, ...)"
        )
    if ignore_index >= 0:
        raise RuntimeError(f"{name}: ignore_index is not supported for floating point target")
    if label_smoothing > 0:
        classes = input._array.shape[1 if input.ndim > 1 else 0]
        target = target * (1 - label_smoothing) + label_smoothing / classes
    dim = 1 if input.ndim > 1 else 0
    weighted = reductions.log_softmax(input, dim) * target
    if weight is not None:
        check_weights_shape(name, weight, input)
        weighted = weighted * weight.reshape(-1, *(1,) * (input.ndim - dim - 1))
    losses = -weighted.sum(dim)
    if reduction != "mean":
        return reduced(losses, reduction)
    return losses.sum() / float(losses.numel())


def _checked(
    name: str, input: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int
) -> tuple[Array, Array | None]:
    """The classes and which are ignored, when all of it fits together."""
    check_classes_shape(name, input, target)
    if weight is not None:
        check_class_weights(name, weight, input)
    classes = input._array.shape[1 if input.ndim > 1 else 0]
    return checked_classes(name, target, classes, ignore_index)
