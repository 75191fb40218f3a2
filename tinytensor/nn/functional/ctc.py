"""Connectionist temporal classification: the loss of a target whose times are unknown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...dtypes import Array
from ...ops.check import check_tensors
from ...tensor import Tensor, make
from ..ctc_kernel import ctc_loss as fused_ctc_loss
from .reduction import checked_reduction

Lengths = Tensor | Sequence[int]


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Lengths,
    target_lengths: Lengths,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """-ln of the probability of all paths that read as the target, reduced.

    A path names a class for each time step; it is read by merging repetitions, then dropping
    blanks. "mean" divides each loss by its target's length (1 at least), then takes the mean.

    log_probs : float32 or float64 Tensor (T, N, C) of log-probabilities, as log_softmax gives them,
        or (T, C) for one sequence
    targets : integer Tensor (N, S), padded with anything, or all targets end to end (sum of the
        target_lengths); classes in [0, C - 1], usually without the blank
    input_lengths, target_lengths : integer Tensor (N), or () for one sequence, or tuple of ints;
        inputs of at most T steps. Zero is allowed
    blank : the class of "no label"
    zero_infinity : where no path fits (an input shorter than its target), loss and gradient are 0
        instead of inf and NaN
    Returns Tensor (), or with "none" (N), or () for one sequence.

    The gradient with respect to log_probs is p - γ, with γ the share of paths, as torch's: it is
    that of the loss for probabilities that add up to 1. Source: Graves et al. 2006. Raises
    RuntimeError for shapes, lengths and a blank that do not fit, IndexError for a class out of
    range, NotImplementedError for other dtypes.

    Of the nine paths of two steps over the classes blank, 1 and 2, three read as 1:

    >>> import tinytensor as tt
    >>> log_probs = tt.full((2, 3), 1 / 3).log()
    >>> loss = tt.nn.functional.ctc_loss(log_probs, tt.tensor([1]), (2,), (1,))
    >>> (-loss).exp()
    tensor(0.3333)
    """
    name = "ctc_loss"
    reduction = checked_reduction(name, None, None, reduction)
    check_tensors(name, log_probs, targets)
    batched = _checked_probabilities(name, log_probs, blank)
    steps, batch, classes = batched._array.shape
    inputs = _checked_lengths(name, "input_lengths", input_lengths, batch)
    lengths = _checked_lengths(name, "target_lengths", target_lengths, batch)
    if inputs.max() > steps:
        raise RuntimeError(
            f"{name}: expected input_lengths of at most {steps}, the time steps of log_probs, got "
            f"{inputs.max()}"
        )
    labels = _places(name, targets, lengths, classes, blank)
    (losses,) = fused_ctc_loss(
        batched,
        labels=labels,
        input_lengths=inputs,
        target_lengths=lengths,
        zero_infinity=bool(zero_infinity),
    )
    if reduction == "mean":
        return (losses / make(np.maximum(lengths, 1).astype(losses._array.dtype))).mean()
    if reduction == "sum":
        return losses.sum()
    return losses if batched is log_probs else losses.squeeze(0)


def _checked_probabilities(name: str, log_probs: Tensor, blank: int) -> Tensor:
    """The log-probabilities as (T, N, C)."""
    if log_probs.ndim not in (2, 3) or log_probs._array.size == 0:
        raise RuntimeError(
            f"{name}: log_probs tensor must not be empty, and of shape (T, N, C) or (T, C), got "
            f"{log_probs._array.shape}"
        )
    if log_probs._array.dtype not in (np.float32, np.float64):
        raise NotImplementedError(
            f"{name}: expected log_probs of float32 or float64, got {log_probs.dtype}; use .float()"
        )
    if not 0 <= blank < log_probs._array.shape[-1]:
        raise RuntimeError(
            f"{name}: blank must be in label range [0, {log_probs._array.shape[-1] - 1}], got "
            f"{blank}"
        )
    return log_probs if log_probs.ndim == 3 else log_probs.unsqueeze(1)


def _checked_lengths(name: str, what: str, lengths: Lengths, batch: int) -> Array:
    """The lengths as an int64 array (N)."""
    if isinstance(lengths, Tensor):
        array = lengths._array
    elif isinstance(lengths, Sequence):
        array = np.asarray(lengths)
    else:
        raise TypeError(
            f"{name}: expected {what} to be a Tensor or a tuple of ints, got "
            f"{type(lengths).__name__}; write ({lengths!r},) for one sequence"
        )
    if array.dtype.kind not in "iu":
        raise RuntimeError(f"{name}: {what} must be integral, got {array.dtype}; use .long()")
    if array.size != batch or array.ndim > 1:
        raise RuntimeError(
            f"{name}: {what} must be of size batch_size: expected ({batch},), got {array.shape}"
        )
    if array.min() < 0:
        raise RuntimeError(f"{name}: expected {what} of at least 0, got {array.min()}")
    return array.astype(np.int64).reshape(-1)


def _places(name: str, targets: Tensor, lengths: Array, classes: int, blank: int) -> Array:
    """(N, 2 S + 1): each target's classes with blanks round them, then blanks; S the longest."""
    given = targets._array
    batch, longest = len(lengths), int(lengths.max())
    used = np.arange(longest) < lengths[:, None]
    if given.ndim == 1:
        if given.size != lengths.sum():
            raise RuntimeError(
                f"{name}: expected targets of size {lengths.sum()}, the sum of the target_lengths, "
                f"got {given.size}; or padded targets of shape (N, S)"
            )
        flat = given
    elif given.ndim == 2:
        if given.shape[0] != batch or given.shape[1] < longest:
            raise RuntimeError(
                f"{name}: expected targets of shape ({batch}, {longest} or more) for a batch of "
                f"{batch} and target_lengths of at most {longest}, got {given.shape}"
            )
        flat = given[:, :longest][used]
    else:
        raise RuntimeError(f"{name}: expected targets of 1 to 2 dimensions, got {given.ndim}")
    flat = flat.astype(np.int64)
    wrong = flat[(flat < 0) | (flat >= classes)]
    if wrong.size:
        raise IndexError(
            f"{name}: expected target classes in [0, {classes - 1}], got {wrong[0]}; log_probs "
            "needs as many classes as there are, and one for the blank"
        )
    labels = np.full((batch, 2 * longest + 1), blank, np.int64)
    labels[:, 1::2][used] = flat
    return labels
