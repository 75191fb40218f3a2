"""Classes given by number: checked, and their loss in primitives."""

from __future__ import annotations

import numpy as np

from ...autograd.mode import is_grad_enabled
from ...dtypes import Array
from ...ops import index as indexing
from ...tensor import Tensor, make
from .reduction import reduced


def class_loss(
    logs: Tensor,
    target: Tensor,
    weight: Tensor | None,
    *,
    numbers: Array,
    ignored: Array | None,
    reduction: str,
    smoothing: float,
) -> Tensor:
    """-w[t] logs[t], smoothed and reduced; see `nll_loss` and `cross_entropy`.

    numbers, ignored : the classes and which of them count for nothing, from `checked_classes`
    """
    rows = _as_rows(logs)
    # With the storage of the target, so that a later change of it is noticed.
    chosen = make(numbers, target._storage)
    losses: Tensor = -indexing.getitem(rows, (np.arange(numbers.size), chosen))
    factors = None
    if weight is not None:
        factors = weight._array[numbers]
        losses = losses * make(factors)
    if smoothing > 0:
        weighted = rows
        if weight is not None:
            weighted = rows * make(weight._array, weight._storage)
        even = weighted.sum(1)
        losses = (1 - smoothing) * losses - (smoothing / rows._array.shape[1]) * even
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


# -- checks ----------------------------------------------------------------------------------------


def check_weights_shape(name: str, weight: Tensor, input: Tensor) -> None:
    """Raise unless there is one weight for each class."""
    classes = input._array.shape[1 if input.ndim > 1 else 0]
    if weight._array.shape != (classes,):
        raise RuntimeError(
            f"{name}: weight tensor should be defined either for all {classes} classes or no "
            f"classes but got weight tensor of shape: {list(weight.shape)}"
        )


def check_class_weights(name: str, weight: Tensor, input: Tensor) -> None:
    """Raise unless there is one weight for each class, of the input's type, with no gradient."""
    check_weights_shape(name, weight, input)
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


def checked_classes(
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


def check_classes_shape(name: str, input: Tensor, target: Tensor) -> None:
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
