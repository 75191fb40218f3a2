"""Losses that are negative log-likelihoods, or the divergence of distributions."""

from __future__ import annotations

import math
import warnings

from ...autograd.mode import is_grad_enabled, no_grad
from ...ops import activations as act
from ...ops import elementwise as e
from ...ops import losses as pointwise
from ...ops.check import check_tensors
from ...ops.create import full_like
from ...tensor import Tensor
from .reduction import checked_reduction, reduced


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-w (t ln x + (1 - t) ln(1 - x)), reduced; x the input, t the target, both in [0, 1].

    The logarithms are held at -100 or more, as in torch. `binary_cross_entropy_with_logits` takes
    raw scores, which is more exact.

    input, target : floating-point Tensors of one shape and dtype
    weight : w, broadcast to that shape
    Raises ValueError for a target of another shape, RuntimeError for one of another dtype and for
    elements outside [0, 1], NotImplementedError for integers.
    """
    name = "binary_cross_entropy"
    reduction = checked_reduction(name, size_average, reduce, reduction)
    check_tensors(name, input, target)
    if target._array.shape != input._array.shape:
        raise ValueError(
            f"{name}: Using a target size ({target.shape}) that is different to the input size "
            f"({input.shape}) is deprecated. Please ensure they have the same size."
        )
    if not input.is_floating_point():
        raise NotImplementedError(
            f"{name}: expected a floating-point input, got {input.dtype}; use .float()"
        )
    if target.dtype is not input.dtype:
        raise RuntimeError(
            f"{name}: expected a target of the input's {input.dtype}, got {target.dtype}; use "
            f"target.to({input.dtype})"
        )
    losses: Tensor = pointwise.binary_cross_entropy(input, target)
    if weight is not None:
        losses = losses * _element_weights(name, weight, input)
    return reduced(losses, reduction)


def _element_weights(name: str, weight: Tensor, input: Tensor) -> Tensor:
    """The weights, if they fit; they have no derivative, as in torch."""
    if weight.requires_grad and is_grad_enabled():
        raise RuntimeError(
            f"{name}: expected a weight that does not require grad, as it has no derivative; use "
            "weight.detach()"
        )
    if weight.dtype is not input.dtype:
        raise RuntimeError(
            f"{name}: expected a weight of the input's {input.dtype}, got {weight.dtype}; use "
            f"weight.to({input.dtype})"
        )
    shape = input._array.shape
    if not _broadcasts(weight._array.shape, shape):
        raise RuntimeError(
            f"{name}: expected a weight that broadcasts to {shape}, got {weight._array.shape}"
        )
    return weight


def _broadcasts(own: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether one shape broadcasts to the other."""
    if len(own) > len(shape):
        return False
    return all(a in (1, b) for a, b in zip(own[::-1], shape[::-1], strict=False))


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
    if pos_weight is None:
        losses: Tensor = pointwise.binary_cross_entropy_with_logits(input, target)
    else:
        positive = (pos_weight - 1) * target + 1
        losses = (1 - target) * input - positive * act.logsigmoid(input)
    if weight is not None:
        losses = losses * weight
    return reduced(losses, reduction)


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """t (ln t - x), the terms of the divergence KL(t ‖ e^x), reduced; x are log-probabilities.

    input : Tensor of log-probabilities
    target : Tensor of probabilities, or with log_target of log-probabilities, broadcast against it
    reduction : also "batchmean", the sum over the size of dimension 0: the divergence itself.
        "mean" is over all elements, which is no divergence, and warns, as in torch
    Source: Kullback and Leibler 1951. Raises RuntimeError for integers.
    """
    name = "kl_div"
    batchmean = reduction == "batchmean" and size_average is None and reduce is None
    if reduction == "mean" and size_average is None and reduce is None:
        warnings.warn(
            "kl_div: reduction 'mean' divides by the number of elements; 'batchmean' divides by "
            "the batch size, as the divergence is defined.",
            stacklevel=2,
        )
    wanted = checked_reduction(name, size_average, reduce, "sum" if batchmean else reduction)
    check_tensors(name, input, target)
    if not (input.is_floating_point() and target.is_floating_point()):
        raise RuntimeError(
            f"{name}: expected floating-point tensors, got {input.dtype} and {target.dtype}"
        )
    if log_target:
        losses = e.exp(target) * (target - input)
    else:
        losses = pointwise.xlogx(target) - target * input
    result = reduced(losses, wanted)
    if batchmean and input.ndim:
        return result / input._array.shape[0]
    return result


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """e^x - t x, or x - t ln(x + eps) if the input x is no logarithm, reduced; t counts events.

    input, target : Tensors that broadcast
    full : add ln t! by Stirling's formula, t ln t - t + ln(2 π t) / 2, where t > 1
    """
    reduction = checked_reduction("poisson_nll_loss", size_average, reduce, reduction)
    check_tensors("poisson_nll_loss", input, target)
    if log_input:
        losses: Tensor = e.exp(input) - target * input
    else:
        losses = input - target * e.log(input + eps)
    if full:
        stirling = target * e.log(target) - target + 0.5 * e.log(2 * math.pi * target)
        losses = losses + e.masked_fill(stirling, target <= 1, 0.0)
    return reduced(losses, reduction)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """(ln v + (x - t)² / v) / 2 with v = max(var, eps), reduced; x is the mean, t the target.

    input, target : Tensors that broadcast
    var : a number, or Tensor of the input's shape, or of that without its last dimension, or with
        one dimension of size 1 instead; the bound eps doesn't stop its gradient, as in torch
    full : add ln(2 π) / 2
    Source: Nix and Weigend 1994. Raises ValueError for a negative variance and other shapes.
    """
    name = "gaussian_nll_loss"
    check_tensors(name, input, target)
    if not isinstance(var, Tensor):
        var = full_like(input, float(var), dtype=None if input.is_floating_point() else "float32")
    if (var._array < 0).any():
        raise ValueError(f"{name}: var has negative entry/entries; expected variances")
    given, own = input._array.shape, var._array.shape
    if own == given[:-1] and own != given:
        var = var.unsqueeze(-1)
    elif own != given and not _one_dimension_is_1(given, own):
        raise ValueError(
            f"{name}: var is of incorrect size: expected {given} or the same with a last dimension "
            f"of size 1, got {own}"
        )
    reduction = checked_reduction(name, None, None, reduction)
    var = var.clone()
    with no_grad():
        var.clamp_(min=eps)
    losses = 0.5 * (e.log(var) + e.square(input - target) / var)
    if full:
        losses = losses + 0.5 * math.log(2 * math.pi)
    return reduced(losses, reduction)


def _one_dimension_is_1(given: tuple[int, ...], own: tuple[int, ...]) -> bool:
    """Whether `own` is `given` but for one dimension, of size 1."""
    if len(given) != len(own):
        return False
    return [b for a, b in zip(given, own, strict=True) if a != b] == [1]
