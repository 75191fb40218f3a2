"""Layer, RMS and batch normalisation, each as one hand-written node.

With n elements a row, m and v their mean and variance, r = 1 / √(v + ε):

    x̂ = r (x - m)        y = w x̂ + b

Backward, with ĝ = g w, and ⟨·⟩ the mean over a row. m and v depend on every element of the row; the
last two terms are what flows through them:

    gw = Σ g x̂    gb = Σ g    over the rows
    gx = r (ĝ - ⟨ĝ⟩ - x̂ ⟨ĝ x̂⟩)

RMS normalisation takes m as 0 and the mean square for v, so ⟨ĝ⟩ drops out. Batch normalisation has
a channel's elements in all examples in the place of a row, and one w and b for all of them: then
⟨ĝ⟩ = w gb / n and ⟨ĝ x̂⟩ = w gw / n.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from ..autograd.kernel import kernel
from ..dtypes import Array
from ..ops import elementwise as e
from ..ops import reduce as reductions


@functools.lru_cache(maxsize=64)
def _ones(size: int, kind: np.dtype[Any]) -> Array:
    """A vector of ones: `dot` with it is NumPy's fastest sum along an axis."""
    ones = np.ones(size, kind)
    ones.flags.writeable = False
    return ones


@functools.lru_cache(maxsize=64)
def _shares(size: int, kind: np.dtype[Any]) -> Array:
    """A vector of 1 / size: `dot` with it is a mean."""
    shares: Array = _ones(size, kind) / max(size, 1)
    shares.flags.writeable = False
    return shares


def _as_rows(x: Array, dims: int) -> Array:
    """x as a matrix with the last `dims` dimensions in a row; float16 becomes float32."""
    if x.dtype == np.float16:
        x = x.astype(np.float32)
    if dims == 1 and x.ndim == 2:
        return x
    first = x.ndim - dims
    return x.reshape(math.prod(x.shape[:first]), math.prod(x.shape[first:]))


def _scale(rows: Array, eps: float) -> Array:
    """1 / √(q + ε) of each row, q its mean square, as √(n / (n q + n ε)): (rows, 1)."""
    count = max(rows.shape[1], 1)
    scale: Array = np.vecdot(rows, rows)[:, None]
    scale += count * eps
    np.divide(count, scale, out=scale)
    return np.sqrt(scale, out=scale)


def _scaled(x: Array, x_hat: Array, weight: Array | None, bias: Array | None) -> Array:
    """w x̂ + b in the shape and type of x, on memory of its own."""
    y = x_hat.copy() if weight is None else x_hat * weight.reshape(-1)
    if bias is not None:
        y += bias.reshape(-1)
    return y.astype(x.dtype, copy=False).reshape(x.shape)


def _parameter_gradient(rows: Array, like: Array) -> Array:
    """The sum over the rows, in the shape and type of a parameter."""
    total = _ones(rows.shape[0], rows.dtype).dot(rows)
    return total.astype(like.dtype, copy=False).reshape(like.shape)


def _gradients(
    g: Array, saved: Any, arrays: Any, needs: tuple[bool, ...], dims: int, centred: bool
) -> list[Array | None]:
    """The gradients of x, weight and bias; see the top of the file."""
    x, weight, bias = arrays
    x_hat, scale = saved
    g = _as_rows(g, dims)
    along = g * x_hat
    g_weight = _parameter_gradient(along, weight) if needs[1] else None
    g_bias = _parameter_gradient(g, bias) if needs[2] else None
    if not needs[0]:
        return [None, g_weight, g_bias]
    shares = _shares(g.shape[1], g.dtype)
    if weight is not None:
        weight = weight.reshape(-1)
        shares = shares * weight
    gx = x_hat * along.dot(shares)[:, None]
    np.subtract(g if weight is None else g * weight, gx, out=gx)
    if centred:
        gx -= g.dot(shares)[:, None]
    gx *= scale
    return [gx.astype(x.dtype, copy=False).reshape(x.shape), g_weight, g_bias]


# -- layer normalisation


def _layer_norm_reference(x: Any, weight: Any, bias: Any, dims: int, eps: float) -> tuple[Any, ...]:
    last = tuple(range(-dims, 0))
    centred = x - reductions.mean(x, last, True)
    variance = reductions.mean(e.square(centred), last, True)
    y = centred * e.rsqrt(variance + eps)
    if weight is not None:
        y = y * weight
    if bias is not None:
        y = y + bias
    return (y.to(x.dtype),)


def _layer_norm_backward(
    gradients: Any, saved: Any, arrays: Any, needs: tuple[bool, ...], dims: int, eps: float
) -> list[Array | None]:
    return _gradients(gradients[0], saved, arrays, needs, dims, centred=True)


@kernel(backward=_layer_norm_backward, reference=_layer_norm_reference, outputs=("y",))
def layer_norm(
    x: Array, weight: Array | None, bias: Array | None, dims: int, eps: float
) -> tuple[tuple[Array, ...], Any]:
    """y = (x - m) / √(v + ε) · w + b, m and v taken over the last `dims` dimensions.

    weight, bias : shaped as those dimensions, or None
    """
    rows = _as_rows(x, dims)
    # Less the first element, so that a row that does not vary is 0 exactly.
    x_hat = rows - rows[:, :1]
    x_hat -= x_hat.dot(_shares(x_hat.shape[1], x_hat.dtype))[:, None]
    scale = _scale(x_hat, eps)
    x_hat *= scale
    return (_scaled(x, x_hat, weight, bias),), (x_hat, scale)


# -- RMS normalisation


def _rms_norm_reference(x: Any, weight: Any, dims: int, eps: float) -> tuple[Any, ...]:
    square = reductions.mean(e.square(x), tuple(range(-dims, 0)), True)
    y = x * e.rsqrt(square + eps)
    return (y if weight is None else (y * weight).to(x.dtype),)


def _rms_norm_backward(
    gradients: Any, saved: Any, arrays: Any, needs: tuple[bool, ...], dims: int, eps: float
) -> list[Array | None]:
    return _gradients(gradients[0], saved, (*arrays, None), (*needs, False), dims, centred=False)[
        :2
    ]


@kernel(backward=_rms_norm_backward, reference=_rms_norm_reference, outputs=("y",))
def rms_norm(
    x: Array, weight: Array | None, dims: int, eps: float
) -> tuple[tuple[Array, ...], Any]:
    """y = x / √(q + ε) · w, q the mean square over the last `dims` dimensions.

    weight : shaped as those dimensions, or None
    """
    rows = _as_rows(x, dims)
    scale = _scale(rows, eps)
    x_hat = rows * scale
    return (_scaled(x, x_hat, weight, None),), (x_hat, scale)


# -- batch normalisation


def _as_channels(x: Array) -> Array:
    """x (N, C, ...) with a third dimension that holds all the rest; float16 becomes float32."""
    channels = x.reshape(*x.shape[:2], math.prod(x.shape[2:]))
    return channels.astype(np.float32) if x.dtype == np.float16 else channels


def _channel_sum(x: Array) -> Array:
    """(N, C, L) -> (C, 1)."""
    examples, channels, length = x.shape
    each = x.reshape(examples * channels, length).dot(_ones(length, x.dtype))
    return _ones(examples, x.dtype).dot(each.reshape(examples, channels))[:, None]


def _batch_norm_reference(x: Any, weight: Any, bias: Any, eps: float) -> tuple[Any, ...]:
    over = (0, *range(2, x.ndim))
    shape = (-1, *(1,) * (x.ndim - 2))
    mean = reductions.mean(x, over, True)
    centred = x - mean
    variance = reductions.mean(e.square(centred), over, True)
    y = centred * e.rsqrt(variance + eps)
    if weight is not None:
        y = y * weight.reshape(shape)
    if bias is not None:
        y = y + bias.reshape(shape)
    return y.to(x.dtype), mean.reshape(-1), variance.reshape(-1)


def _batch_norm_backward(
    gradients: Any, saved: Any, arrays: Any, needs: tuple[bool, ...], eps: float
) -> list[Array | None]:
    x, weight, bias = arrays
    x_hat, scale = saved
    g = _as_channels(gradients[0])
    along, total = _channel_sum(g * x_hat), _channel_sum(g)
    results: list[Array | None] = [None] * 3
    for number, parameter, gradient in ((1, weight, along), (2, bias, total)):
        if needs[number]:
            results[number] = gradient.astype(parameter.dtype, copy=False).reshape(-1)
    if needs[0]:
        count = g.dtype.type(g.shape[0] * g.shape[2])
        gx = x_hat * (along / count)
        np.subtract(g, gx, out=gx)
        gx -= total / count
        gx *= scale if weight is None else scale * weight[:, None]
        results[0] = gx.astype(x.dtype, copy=False).reshape(x.shape)
    return results


@kernel(
    backward=_batch_norm_backward,
    reference=_batch_norm_reference,
    outputs=("y", "mean", "variance"),
)
def batch_norm(
    x: Array, weight: Array | None, bias: Array | None, eps: float
) -> tuple[tuple[Array, ...], Any]:
    """y = (x - m) / √(v + ε) · w + b, m and v the mean and variance of each channel.

    x : (N, C, ...), not empty
    weight, bias : (C) or None
    Outputs y, and m and v (C) for the running averages: no gradient flows through those two.
    """
    channels = _as_channels(x)
    count = channels.dtype.type(channels.shape[0] * channels.shape[2])
    first = channels[0, :, :1]
    x_hat = channels - first  # so that a channel that does not vary is 0 exactly
    shift = _channel_sum(x_hat) / count
    x_hat -= shift
    variance = _channel_sum(np.square(x_hat)) / count
    scale = 1 / np.sqrt(variance + channels.dtype.type(eps))
    x_hat *= scale
    y = x_hat.copy() if weight is None else x_hat * weight[:, None]
    if bias is not None:
        y += bias[:, None]
    y = y.astype(x.dtype, copy=False).reshape(x.shape)
    return (y, (first + shift).reshape(-1), variance.reshape(-1)), (x_hat, scale)
