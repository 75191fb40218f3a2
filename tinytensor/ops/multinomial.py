"""Indices drawn by weight."""

from __future__ import annotations

import numpy as np

from .. import random
from ..tensor import Tensor, bind, make
from .check import check_tensors
from .sample import generator_or_default


def multinomial(
    input: Tensor,
    num_samples: int,
    replacement: bool = False,
    *,
    generator: random.Generator | None = None,
) -> Tensor:
    """Indices drawn with probability in proportion to a row's weights; torch's, from the same seed.

    input : (categories,) or (rows, categories), not negative, not all 0; not recorded
    returns : int64 (num_samples,) or (rows, num_samples)
    replacement : without it, an index comes at most once in a row, in the order drawn
    Raises RuntimeError for other shapes or types, for weights that are negative, inf, nan or sum
    to 0, and without replacement for more samples than weights.

    One sample, or several without replacement: the largest w[i] / e[i] with e exponential
    (Efraimidis & Spirakis 2006, "Weighted random sampling with a reservoir", Information
    Processing Letters 97(5)). With replacement: the first i whose running sum reaches a uniform.
    """
    check_tensors("multinomial", input)
    weights = input._array
    if weights.dtype.kind != "f":
        raise RuntimeError(
            f"multinomial: expected floating-point weights, got {input.dtype}; use .float()"
        )
    if weights.ndim not in (1, 2):
        raise RuntimeError(
            f"multinomial: expected (categories,) or (rows, categories), got shape {weights.shape}"
        )
    if num_samples <= 0:
        raise RuntimeError(f"multinomial: expected num_samples > 0, got {num_samples}")
    categories = weights.shape[-1]
    if not replacement and num_samples > categories:
        raise RuntimeError(
            f"multinomial: expected num_samples <= {categories} categories without replacement, "
            f"got {num_samples}; pass replacement=True"
        )
    if not (np.isfinite(weights) & (weights >= 0)).all():
        raise RuntimeError("multinomial: expected finite weights >= 0, got inf, nan or a negative")
    if not (weights.sum(axis=-1) > 0).all():
        raise RuntimeError("multinomial: expected weights with a positive sum, got a row of 0")
    source = generator_or_default("multinomial", generator)
    if replacement and num_samples > 1:
        return make(_by_running_sum(weights, num_samples, source))
    return make(_by_exponentials(weights, num_samples, source))


def _by_exponentials(
    weights: random.FloatArray, count: int, source: random.Generator
) -> random.FloatArray:
    waits = -np.log1p(-source.uniform(weights.shape, dtype=np.float64))
    with np.errstate(all="ignore"):
        keys = weights / waits.astype(weights.dtype)
    if count == 1:
        return keys.argmax(axis=-1, keepdims=True)
    return np.argsort(-keys, axis=-1, kind="stable")[..., :count]


def _by_running_sum(
    weights: random.FloatArray, count: int, source: random.Generator
) -> random.FloatArray:
    rows = np.atleast_2d(weights)
    sums = np.cumsum(rows, axis=-1)
    sums /= sums[:, -1:]
    drawn = source.uniform((len(rows), count), dtype=np.float64)
    found = [np.searchsorted(row, values) for row, values in zip(sums, drawn, strict=True)]
    return np.stack(found).reshape(*weights.shape[:-1], count).astype(np.int64)


bind(multinomial=multinomial)
