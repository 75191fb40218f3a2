"""Losses of class scores: `nll_loss` and `cross_entropy`."""

from __future__ import annotations

import numpy as np

from ...autograd.mode import is_grad_enabled
from ...dtypes import Array
from ...ops import index as indexing
from ...ops import reduce as reductions
from ...tensor import Tensor, make
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
    return _class_loss("nll_loss", input, target, weight, ignore_index, reduction, 0.0)


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
    dim = 1 if input.ndim > 1 else 0
    logs: Tensor = reductions.log_softmax(input, dim)
    if target._array.shape != input._array.shape:
        return _class_loss(name, logs, target, weight, ignore_index, reduction, label_smoothing)
    if not target.is_floating_point():
        raise RuntimeError(
            f"{name}: Expected floating point type for target with class probabilities (a target "
            f"of the input's shape), got {target.dtype}; class numbers have shape (N, d1, ...)"
        )
    if ignore_index >= 0:
        raise RuntimeError(f"{name}: ignore_index is not supported for floating point target")
    if label_smoothing > 0:
        classes = input._array.shape[dim]
        target = target * (1 - label_smoothing) + label_smoothing / classes
    weighted = logs * target
    if weight is not None:
        _check_weights_shape(name, weight, input)
        weighted = weighted * weight.reshape(-1, *(1,) * (input.ndim - dim - 1))
    losses = -weighted.sum(dim)
    if reduction != "mean":
        return reduced(losses, reduction)
    return losses.sum() / float(losses.numel())


def _check_weights_shape(name: str, weight: Tensor, input: Tensor) -> None:
    """Raise unless there is one weight for each class."""
    classes = input._array.shape[1 if input.ndim > 1 else 0]
    if weight._array.shape != (classes,):
        raise RuntimeError(
            f"{name}: weight tensor should be defined either for all {classes} classes or no "
            f"classes but got weight tensor of shape: {list(weight.shape)}"
        )


def _class_weights(name: str, weight: Tensor, input: Tensor) -> Array:
    """The weights of the classes (C), which no gradient reaches."""
    _check_weights_shape(name, weight, input)
    if weight.dtype is not input.dtype:
        raise RuntimeError(
            f"{name}: expected a weight of the input's {input.dtype}, got {weight.dtype}; use "
            f"weight.to({input.dtype})"
        )
    if weight.requires_grad and is_grad_enabled():
        raise RuntimeError(
            f"{name}: expected a weight that does not require grad, as it has no derivative; use "
            "weight.detach()"
        )
    return weight._array


def _class_loss(
    name: str,
    logs: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
    smoothing: float,
) -> Tensor:
    """The loss for classes given by number; see `nll_loss` and `cross_entropy`."""
    _check_classes_shape(name, logs, target)
    spread = None if weight is None else _class_weights(name, weight, logs)
    rows = _as_rows(logs)
    classes = rows._array.shape[1]
    numbers, ignored = _checked_classes(name, target, classes, ignore_index)
    # With the storage of the target, so that a later change of it is noticed.
    chosen = make(numbers, target._storage)
    losses: Tensor = -indexing.getitem(rows, (np.arange(numbers.size), chosen))
    factors = None
    if spread is not None:
        factors = spread[numbers]
        losses = losses * make(factors)
    if smoothing > 0:
        weighted = rows
        if weight is not None and spread is not None:
            weighted = rows * make(spread, weight._storage)
        even = weighted.sum(1)
        losses = (1 - smoothing) * losses - (smoothing / classes) * even
    if ignored is not None:
        losses = losses.masked_fill(make(ignored), 0.0)
        factors = np.where(ignored, 0.0, 1.0 if factors is None else factors)
    if reduction == "none":
        return losses.reshape(target.shape)
    total = None if factors is None else make(np.asarray(factors.sum(dtype=rows._array.dtype)))
    return reduced(losses, reduction, total)


def _as_rows(logs: Tensor) -> Tensor:
    """(C), (N, C) or (N, C, d1, ...) as rows (examples, C)."""
    if logs.ndim == 2:
        return logs
    if logs.ndim == 1:
        return logs.unsqueeze(0)
    order = (0, *range(2, logs.ndim), 1)
    return logs.permute(order).reshape(-1, logs._array.shape[1])


def _checked_classes(
    name: str, target: Tensor, classes: int, ignore_index: int
) -> tuple[Array, Array | None]:
    """The class of each example, 0 for those that are ignored; and which are, None if none is."""
    numbers = target._array.astype(np.int64, copy=False).reshape(-1)
    # As unsigned numbers those below 0 are the largest of all.
    outside = bool(numbers.size) and numbers.view(np.uint64).max() >= classes
    if not outside and not 0 <= ignore_index < classes:
        return numbers, None
    ignored = numbers == ignore_index
    if not ignored.any():
        ignored = None
    else:
        numbers = np.where(ignored, 0, numbers)
    wrong = numbers[(numbers < 0) | (numbers >= classes)]
    if wrong.size:
        raise IndexError(
            f"{name}: Target {wrong[0]} is out of bounds: expected classes in [0, {classes - 1}] "
            f"or ignore_index = {ignore_index}; the input needs as many classes as there are"
        )
    return numbers, ignored


def _check_classes_shape(name: str, input: Tensor, target: Tensor) -> None:
    """Raise unless the target holds one class number for each example of the input."""
    given = input._array.shape
    got = target._array.shape
    if not given:
        raise RuntimeError(
            f"{name}: expected an input of shape (C), (N, C) or (N, C, d1, ...), got ()"
        )
    if target._array.dtype not in (np.int64, np.uint8):
        raise RuntimeError(
            f"{name}: expected target dtype int64 or uint8 (class numbers, for an input of shape "
            f"{given}), got {target.dtype} of shape {got}; use .long()"
        )
    expected = given[:1] + given[2:] if len(given) > 1 else ()
    if got == expected or (not expected and got == (1,)):
        return
    message = (
        f"{name}: expected a target of shape {expected} for an input of shape {given}, got {got}"
    )
    if len(given) <= 2 and len(got) == 1:
        raise ValueError(f"{message}; there must be one class for each example")
    if got == given[:-1]:
        message += "; the classes must be dimension 1: use input.transpose(1, -1), or flatten both"
    raise RuntimeError(message)
