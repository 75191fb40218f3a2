"""The cross entropy of classes given by number as a kernel: softmax and loss in one pass.

For one example with scores x, p = softmax(x), target class t, weights w and smoothing ε,

    loss    = (1 - ε) w_t (-ln p_t) + ε / C Σ_c w_c (-ln p_c)
    ∂loss/∂x = ((1 - ε) w_t + ε / C Σ_c w_c) p - (1 - ε) w_t [c = t] - ε / C w

so that p is all that need be kept.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...autograd.kernel import kernel
from ...dtypes import Array
from ...ops import reduce as reductions
from ...tensor import Tensor
from .class_numbers import class_loss


def _backward(
    g: tuple[Any, ...],
    saved: tuple[Any, ...],
    arrays: tuple[Any, ...],
    needs: tuple[bool, ...],
    *,
    numbers: Array,
    ignored: Array | None,
    reduction: str,
    smoothing: float,
) -> tuple[Array | None, None, None]:
    p, factors, total = saved
    x, _, weight = arrays
    scale = g[0].reshape(-1, 1) if reduction == "none" else g[0]
    if reduction == "mean":
        scale = scale / total
    own = scale if factors is None else scale * factors[:, None]
    if smoothing > 0:
        own = (1 - smoothing) * own
        even = smoothing / p.shape[1] * scale
        gradient = p * (own + even * (p.shape[1] if weight is None else weight.sum()))
        gradient -= even if weight is None else even * weight
    else:
        gradient = p * own
    gradient[np.arange(numbers.size), numbers] -= own[:, 0] if own.ndim else own
    if ignored is not None:
        gradient[ignored] = 0
    if x.ndim > 2:
        gradient = gradient.reshape(x.shape[:1] + x.shape[2:] + x.shape[1:2])
        return np.ascontiguousarray(np.moveaxis(gradient, -1, 1)), None, None
    return gradient.reshape(x.shape), None, None


def _reference(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    **options: Any,
) -> tuple[Tensor, ...]:
    logs: Tensor = reductions.log_softmax(input, 1 if input.ndim > 1 else 0)
    return (class_loss(logs, target, weight, **options),)


@kernel(backward=_backward, reference=_reference, outputs=("loss",), unread=(0,))
def cross_entropy(
    x: Array,
    target: Array,
    weight: Array | None,
    *,
    numbers: Array,
    ignored: Array | None,
    reduction: str,
    smoothing: float,
) -> tuple[tuple[Array, ...], tuple[Any, ...]]:
    """The loss, reduced; see `functional.cross_entropy`; for numbers and ignored `class_loss`."""
    classes = x.shape[1 if x.ndim > 1 else 0]
    rows = x
    if x.ndim != 2:
        rows = np.moveaxis(x, 1, -1).reshape(-1, classes) if x.ndim > 2 else x[None]
    shifted = rows - rows.max(axis=1, keepdims=True, initial=-np.inf)
    p = np.exp(shifted)
    sums = p.sum(axis=1, keepdims=True)
    p /= sums
    logs = np.log(sums[:, 0])
    losses = logs - shifted[np.arange(numbers.size), numbers]
    factors = None if weight is None else weight[numbers]
    if factors is not None:
        losses *= factors
    if smoothing > 0:
        if weight is None:
            even = classes * logs - shifted.sum(axis=1)
        else:
            even = weight.sum() * logs - shifted @ weight
        losses = (1 - smoothing) * losses + smoothing / classes * even
    if ignored is not None:
        losses[ignored] = 0
        ones = np.ones_like(losses) if factors is None else factors
        factors = np.where(ignored, x.dtype.type(0), ones)
    if reduction == "none":
        return (losses.reshape(target.shape),), (p, factors, None)
    loss = losses.sum()
    total = None
    if reduction == "mean":
        total = x.dtype.type(losses.size) if factors is None else factors.sum()
        loss = loss / total
    return (np.asarray(loss),), (p, factors, total)
