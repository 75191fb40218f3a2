"""Losses that ask for a margin: between scores, or between distances of embeddings."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...dtypes import Array
from ...ops import activations as act
from ...ops import elementwise as e
from ...ops import index as indexing
from ...ops.check import check_tensors
from ...tensor import Tensor, make
from .reduction import checked_reduction, reduced
from .similarity import pairwise_distance

_TINY = float(np.float32(1e-12))  # torch has this constant in float32


def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """1 - cos(a, b) where the target is 1, max(cos(a, b) - margin, 0) where it is -1, reduced.

    input1, input2 : Tensors (N, D) or (D), a and b
    target : Tensor (N) or () of 1 and -1; other values give 0
    Raises RuntimeError for other shapes.
    """
    name = "cosine_embedding_loss"
    reduction = checked_reduction(name, size_average, reduce, reduction)
    check_tensors(name, input1, input2, target)
    if target.ndim > 1:
        raise RuntimeError(f"{name}: 0D or 1D target tensor expected, got {target.ndim}D")
    dims = target.ndim + 1
    if input1.ndim != dims or input2.ndim != dims:
        raise RuntimeError(
            f"{name}: {dims - 1}D target tensor expects {dims}D input tensors, but found inputs "
            f"with sizes {list(input1.shape)} and {list(input2.shape)}"
        )
    # torch's way to avoid 0 / 0, which is not that of `cosine_similarity`.
    size1 = e.square(input1).sum(-1) + _TINY
    size2 = e.square(input2).sum(-1) + _TINY
    cosine = (input1 * input2).sum(-1) / e.sqrt(size1 * size2)
    alike = e.where(target == 1, 1 - cosine, 0.0)
    unlike = e.where(target == -1, e.clamp_min(cosine - margin, 0.0), 0.0)
    return reduced(alike + unlike, reduction)


def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """x where the target is 1, max(margin - x, 0) where it is -1, reduced; x is a distance.

    input, target : Tensors that broadcast
    """
    name = "hinge_embedding_loss"
    reduction = checked_reduction(name, size_average, reduce, reduction)
    check_tensors(name, input, target)
    apart = e.where(target != 1, e.clamp_min(margin - input, 0.0), 0.0)
    near = e.where(target != -1, input, 0.0)
    return reduced(apart + near, reduction)


def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(-t (a - b) + margin, 0), reduced: a should rank above b where t is 1, below where -1.

    input1, input2, target : Tensors a, b and t that broadcast, of equally many dimensions
    Raises RuntimeError for others.
    """
    name = "margin_ranking_loss"
    reduction = checked_reduction(name, size_average, reduce, reduction)
    check_tensors(name, input1, input2, target)
    if not input1.ndim == input2.ndim == target.ndim:
        raise RuntimeError(
            f"{name}: All input tensors should have same dimension but got sizes: input1: "
            f"{input1.shape}, input2: {input2.shape}, target: {target.shape}"
        )
    return reduced(e.clamp_min(margin - target * (input1 - input2), 0.0), reduction)


def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """ln(1 + e^(-t x)), reduced; x the input, t the target, 1 or -1. It does not overflow."""
    reduction = checked_reduction("soft_margin_loss", size_average, reduce, reduction)
    check_tensors("soft_margin_loss", input, target)
    if not input.is_floating_point():
        raise RuntimeError(
            f"soft_margin_loss: expected a floating-point input, got {input.dtype}; use .float()"
        )
    return reduced(-act.logsigmoid(target * input), reduction)


def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-Σ_c w[c] (t ln σ(x) + (1 - t) ln(1 - σ(x))) / C for each example, reduced.

    input, target : Tensors (..., C), the targets 0 or 1
    weight : Tensor (C), 1 when left out
    """
    name = "multilabel_soft_margin_loss"
    reduction = checked_reduction(name, size_average, reduce, reduction)
    check_tensors(name, input, target)
    losses = -(target * act.logsigmoid(input) + (1 - target) * act.logsigmoid(-input))
    if weight is not None:
        losses = losses * weight
    return reduced(losses.sum(-1) / input._array.shape[-1], reduction)


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """w[t] Σ_{c ≠ t} max(margin - x[t] + x[c], 0)^p / C for the target class t, reduced.

    input : Tensor (N, C) or (C) of class scores
    target : int64 Tensor (N) or () of classes in [0, C - 1]
    p : 1 or 2
    weight : Tensor (C), 1 when left out
    Raises ValueError for another p, RuntimeError for shapes and classes that do not fit.
    """
    name = "multi_margin_loss"
    reduction = checked_reduction(name, size_average, reduce, reduction)
    check_tensors(name, input, target)
    if p not in (1, 2):
        raise ValueError(f"{name}: only p == 1 and p == 2 supported, got {p}")
    if weight is not None and weight.ndim != 1:
        raise ValueError(f"{name}: weight must be one-dimensional, got {weight.ndim} dimensions")
    rows = input if input.ndim == 2 else input.reshape(1, -1)
    numbers = _checked_numbers(name, input, target)
    count, classes = rows._array.shape
    if weight is not None and weight._array.size != classes:
        raise RuntimeError(
            f"{name}: inconsistent weight size, expected {classes} but got {weight._array.size}"
        )
    place = (np.arange(count), make(numbers, target._storage))
    own = indexing.getitem(rows, place).unsqueeze(1)
    losses = e.clamp_min(margin - own + rows, 0.0)
    if p == 2:
        losses = e.square(losses)
    if weight is not None:
        losses = losses * indexing.getitem(weight, (place[1],)).unsqueeze(1)
    chosen = numbers[:, None] == np.arange(classes)
    losses = e.masked_fill(losses, make(chosen), 0.0).sum(1) / classes
    # One example has one loss; torch keeps the shape of its target.
    return reduced(losses.reshape(target._array.shape), reduction)


def _checked_numbers(name: str, input: Tensor, target: Tensor) -> Array:
    """The target class of each row of the input."""
    if input.ndim not in (1, 2):
        raise RuntimeError(
            f"{name}: expected an input of shape (N, C) or (C), got {input._array.shape}"
        )
    count = input._array.shape[0] if input.ndim == 2 else 1
    numbers = target._array.reshape(-1)
    if target.ndim > 1 or numbers.size != count:
        raise RuntimeError(
            f"{name}: expected a target of shape ({count},) for an input of shape "
            f"{input._array.shape}, got {target._array.shape}; one class for each example"
        )
    if numbers.dtype != np.int64:
        raise RuntimeError(f"{name}: expected int64 classes, got {target.dtype}; use .long()")
    classes = input._array.shape[-1]
    if numbers.size and (numbers.min() < 0 or numbers.max() >= classes):
        raise RuntimeError(f"{name}: target out of range: expected classes in [0, {classes - 1}]")
    return numbers


def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Σ_t Σ_c max(1 - x[t] + x[c], 0) / C over the targets t and the classes c that are none.

    input : Tensor (N, C) or (C) of class scores
    target : int64 Tensor of that shape: the target classes of each example, then -1
    Raises RuntimeError for shapes, types and classes that do not fit.
    """
    name = "multilabel_margin_loss"
    reduction = checked_reduction(name, size_average, reduce, reduction)
    check_tensors(name, input, target)
    shape = input._array.shape
    if len(shape) not in (1, 2) or target._array.shape != shape:
        raise RuntimeError(
            f"{name}: inconsistent target size: expected input and target of one shape, (N, C) or "
            f"(C), got {shape} and {target._array.shape}"
        )
    if target._array.dtype != np.int64:
        raise RuntimeError(f"{name}: expected int64 classes, got {target.dtype}; use .long()")
    classes = shape[-1]
    numbers = target._array.reshape(-1, classes)
    if (numbers < -1).any() or (numbers >= classes).any():
        raise RuntimeError(
            f"{name}: target is out of range: expected classes in [0, {classes - 1}] and then -1"
        )
    named = np.logical_and.accumulate(numbers >= 0, axis=1)
    chosen = np.where(named, numbers, 0)
    is_target = np.zeros(numbers.shape, np.bool_)
    is_target[np.nonzero(named)[0], numbers[named]] = True
    rows = input.reshape(-1, classes)
    own = indexing.gather(rows, 1, make(chosen, target._storage))
    terms = e.clamp_min(1 - own.unsqueeze(2) + rows.unsqueeze(1), 0.0)
    left_out = ~named[:, :, None] | is_target[:, None, :]
    losses = e.masked_fill(terms, make(left_out), 0.0).sum((1, 2)) / classes
    return reduced(losses.reshape(shape[:-1]), reduction)


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(d(a, p) - d(a, n) + margin, 0), reduced; d is `pairwise_distance` with `p` and `eps`.

    anchor, positive, negative : Tensors (N, D) or (D), a, p and n
    swap : take d(p, n) for d(a, n) where it is smaller (Balntas et al. 2016)
    Raises ValueError unless margin > 0, RuntimeError for different numbers of dimensions.
    """

    def distance(a: Tensor, b: Tensor) -> Tensor:
        return pairwise_distance(a, b, p, eps)

    name = "triplet_margin_loss"
    reduction = checked_reduction(name, size_average, reduce, reduction)
    return _triplet(name, anchor, positive, negative, distance, margin, swap, reduction)


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """`triplet_margin_loss` with a distance of one's own; `pairwise_distance` when left out."""
    name = "triplet_margin_with_distance_loss"
    reduction = checked_reduction(name, None, None, reduction)
    distance = pairwise_distance if distance_function is None else distance_function
    return _triplet(name, anchor, positive, negative, distance, margin, swap, reduction)


def _triplet(
    name: str,
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    distance: Callable[[Tensor, Tensor], Tensor],
    margin: float,
    swap: bool,
    reduction: str,
) -> Tensor:
    """See `triplet_margin_loss`."""
    check_tensors(name, anchor, positive, negative)
    if margin <= 0:
        raise ValueError(f"{name}: margin must be greater than 0, got {margin}")
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise RuntimeError(
            f"{name}: The anchor, positive, and negative tensors are expected to have the same "
            f"number of dimensions, but got: anchor {anchor.ndim}D, positive {positive.ndim}D, "
            f"and negative {negative.ndim}D inputs"
        )
    near = distance(anchor, positive)
    far = distance(anchor, negative)
    if swap:
        far = e.minimum(far, distance(positive, negative))
    return reduced(e.clamp_min(margin + near - far, 0.0), reduction)
