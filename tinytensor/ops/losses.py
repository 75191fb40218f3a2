"""Losses element by element, each with a derivative that is safe or short as one formula.

|x| is written max(x, -x), which stays analytic piece by piece for the complex-step gradient check.
"""

from __future__ import annotations

import numpy as np

from ..autograd.primitive import primitive
from ..dtypes import Array
from .elementwise import clamp_max, clamp_min, log, sigmoid

_LEAST = 9.999999960041972e-13  # 1e-12 in float32, in which torch writes it


@primitive(
    lambda g, x, t: g * (x - t) / clamp_min((1 - x) * x, _LEAST),
    lambda g, x: g * (log(1 - x) - log(x)),
)
def binary_cross_entropy(x: Array, t: Array) -> Array:
    """y = -(t max(ln x, -100) + (1 - t) max(ln(1 - x), -100)) for x and t in [0, 1].

    gx = g (x - t) / max(x (1 - x), 1e-12), finite at 0 and 1;  gt = g (ln(1 - x) - ln x). As torch.
    """
    for name, values in (("input", x), ("target", t)):
        if not ((values >= 0) & (values <= 1)).all():
            raise RuntimeError(
                f"binary_cross_entropy: all elements of {name} should be between 0 and 1; for a "
                "model's raw scores use binary_cross_entropy_with_logits"
            )
    return (t - 1) * np.maximum(np.log1p(-x), -100) - t * np.maximum(np.log(x), -100)


@primitive(lambda g, t: g * (log(t) + 1), promote="float")
def xlogx(t: Array) -> Array:
    """y = t ln t, 0 at 0;  gt = g (ln t + 1), -inf there."""
    return np.where(t == 0, t, t * np.log(t))


@primitive(lambda g, x, t: g * (sigmoid(x) - t), lambda g, x: -g * x)
def binary_cross_entropy_with_logits(x: Array, t: Array) -> Array:
    """y = max(x, 0) - x t + ln(1 + e^-|x|), no overflow;  gx = g (σ(x) - t), gt = -g x."""
    return np.maximum(x, 0) - x * t + np.log1p(np.exp(np.minimum(x, -x)))


@primitive(lambda g, d, delta: g * clamp_min(clamp_max(d, delta), -delta))
def huber(d: Array, delta: float) -> Array:
    """y = c (|d| - c / 2) with c = min(|d|, δ): no infinite d is squared;  gd = g d within ±δ."""
    size = np.maximum(d, -d)
    near = np.minimum(size, delta)
    return near * (size - 0.5 * near)


@primitive(lambda g, d, beta: g * clamp_min(clamp_max(d / beta, 1.0), -1.0))
def smooth_l1(d: Array, beta: float) -> Array:
    """y = c (|d| - c / 2) / β with c = min(|d|, β);  gd = g d / β within ±1."""
    size = np.maximum(d, -d)
    near = np.minimum(size, beta)
    return near * (size - 0.5 * near) / beta
