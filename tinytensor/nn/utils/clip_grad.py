"""Clipping gradients, in place, before the optimiser's step."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from types import GeneratorType
from typing import Any

import numpy as np

from ... import dtypes
from ...autograd.mode import threads
from ...dtypes import Array
from ...tensor import Tensor, make

Tensors = Tensor | Iterable[Tensor]


def get_total_norm(
    tensors: Tensors,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The p-norm of all tensors seen as one vector, as a 0-d Tensor; 0 for no tensors.

    norm_type : p; `inf` for the largest magnitude; 0 for the number of tensors that are not zero
    foreach : taken for torch's sake, without effect
    Raises RuntimeError for a norm that is infinite or no number, if `error_if_nonfinite`.
    """
    arrays = [tensor._array for tensor in _listed(tensors)]
    p = float(norm_type)
    total = threads.mode.run(_norm, arrays, p)
    if error_if_nonfinite and not np.isfinite(total):
        raise RuntimeError(
            f"The total norm of order {p} for gradients from `parameters` is non-finite ({total}), "
            "so it cannot be clipped. To disable this error and scale the gradients by the "
            "non-finite norm anyway, set `error_if_nonfinite=False`"
        )
    return make(total)


def clip_grads_with_norm_(
    parameters: Tensors, max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Scale the gradients by max_norm / (total_norm + 1e-6) if that is below 1.

    foreach : taken for torch's sake, without effect
    """
    _scale(_gradients(_listed(parameters)), float(max_norm), total_norm)


def clip_grad_norm_(
    parameters: Tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale the gradients so that their norm, taken as one vector, is at most `max_norm`.

    The factor is min(1, max_norm / (norm + 1e-6)). Source: Pascanu et al. 2013, algorithm 1.
    Returns the norm before; arguments and errors as in `get_total_norm`.
    """
    if isinstance(parameters, GeneratorType):
        parameters = list(parameters)
        if not parameters:
            warnings.warn(
                "`parameters` is an empty generator, no gradient clipping will occur.",
                stacklevel=2,
            )
    gradients = _gradients(_listed(parameters))
    total = get_total_norm(gradients, norm_type, error_if_nonfinite)
    _scale(gradients, float(max_norm), total)
    return total


def clip_grad_value_(parameters: Tensors, clip_value: float, foreach: bool | None = None) -> None:
    """Hold every element of the gradients between -clip_value and clip_value.

    foreach : taken for torch's sake, without effect
    """
    limit = float(clip_value)
    for gradient in _gradients(_listed(parameters)):
        array = gradient._array
        np.clip(array, -limit, limit, out=array)
        gradient._storage[0] += 1


def _listed(tensors: Tensors) -> list[Tensor]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _gradients(parameters: list[Tensor]) -> list[Tensor]:
    return [parameter.grad for parameter in parameters if parameter.grad is not None]


def _norm(arrays: list[Array], p: float) -> Array:
    """The p-norm of the arrays as one vector, 0-d, in their common type."""
    if not arrays:
        return np.zeros((), dtypes.get_default_dtype().numpy)
    kind = np.result_type(*arrays)
    # The squares of float16 numbers overflow soon.
    arrays = [a.astype(np.float32) if a.dtype == np.float16 else a for a in arrays]
    if p == 2:
        # One pass without a temporary array: a vector times itself.
        total: Any = sum(np.dot(flat, flat) for flat in map(np.ravel, arrays)) ** 0.5
    elif p == float("inf"):
        total = np.max([np.abs(array).max(initial=0) for array in arrays])
    elif p == float("-inf"):
        total = np.min([np.abs(array).min(initial=np.inf) for array in arrays])
    elif p == 0:
        total = sum(bool(array.any()) for array in arrays)
    else:
        total = sum((np.abs(array) ** p).sum() for array in arrays) ** (1 / p)
    return np.asarray(total, kind)


def _scale(gradients: list[Tensor], max_norm: float, total: Tensor) -> None:
    factor = max_norm / (total.item() + 1e-6)
    if factor >= 1:
        return
    multiply = threads.mode.run
    for gradient in gradients:
        multiply(np.multiply, gradient._array, factor, gradient._array)
        gradient._storage[0] += 1
