"""Convolution in one dimension.

The sum of three factors T = Σ x[b, c, s t + d k] w[o, c, k] g[b, o, t] makes three operations: its
gradient for each factor is bilinear in the two others. `_conv` is that for g, `_conv_input` for x,
`_conv_weight` for w, and the derivatives of each are the other two, to any order.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..autograd.primitive import primitive
from ..dtypes import Array
from ..tensor import Tensor
from .check import check_tensors
from .shape import squeeze, unsqueeze


class Geometry(NamedTuple):
    """How a window of K taps moves over an input of L elements, with zeros put round it."""

    length: int
    taps: int
    stride: int
    before: int
    after: int
    dilation: int
    groups: int

    @property
    def span(self) -> int:
        """The stretch of the input under one window."""
        return self.dilation * (self.taps - 1) + 1

    @property
    def steps(self) -> int:
        """The length of the output."""
        return (self.length + self.before + self.after - self.span) // self.stride + 1


def _windows(x: Array, geometry: Geometry) -> Array:
    """(B, C, L) -> (B, groups, C / groups · K, T), the taps under each window."""
    padded = np.pad(x, ((0, 0), (0, 0), (geometry.before, geometry.after)))
    every = sliding_window_view(padded, geometry.span, axis=2)
    taps = every[:, :, :: geometry.stride, :: geometry.dilation].swapaxes(2, 3)
    size = x.shape[1] // geometry.groups * geometry.taps
    return taps.reshape(x.shape[0], geometry.groups, size, geometry.steps)


def _grouped_weight(weight: Array, geometry: Geometry) -> Array:
    """(O, C / groups, K) -> (groups, O / groups, C / groups · K)."""
    outputs, channels, taps = weight.shape
    return weight.reshape(geometry.groups, outputs // geometry.groups, channels * taps)


def _grouped_output(g: Array, geometry: Geometry) -> Array:
    """(B, O, T) -> (B, groups, O / groups, T)."""
    batch, outputs, steps = g.shape
    return g.reshape(batch, geometry.groups, outputs // geometry.groups, steps)


@primitive(
    lambda g, weight, geometry: _conv_input(g, weight, geometry),
    lambda g, x, geometry: _conv_weight(x, g, geometry),
    promote=None,
)
def _conv(x: Array, weight: Array, geometry: Geometry) -> Array:
    """y[b, o, t] = Σ x[b, c, s t + d k] w[o, c, k] over c and k, of zero-padded x."""
    y = np.matmul(_grouped_weight(weight, geometry), _windows(x, geometry))
    return y.reshape(x.shape[0], weight.shape[0], geometry.steps)


@primitive(
    lambda g, weight, geometry: _conv(g, weight, geometry),
    lambda g, x, geometry: _conv_weight(g, x, geometry),
    promote=None,
)
def _conv_input(x: Array, weight: Array, geometry: Geometry) -> Array:
    """y[b, c, s t + d k] = Σ x[b, o, t] w[o, c, k]: the adjoint of `_conv` in its input."""
    batch, channels = x.shape[0], weight.shape[1] * geometry.groups
    taps = np.matmul(
        _grouped_weight(weight, geometry).swapaxes(1, 2), _grouped_output(x, geometry)
    ).reshape(batch, channels, geometry.taps, geometry.steps)
    padded = np.zeros(
        (batch, channels, geometry.before + geometry.length + geometry.after), x.dtype
    )
    for tap in range(geometry.taps):
        start = tap * geometry.dilation
        stop = start + geometry.stride * (geometry.steps - 1) + 1
        padded[:, :, start : stop : geometry.stride] += taps[:, :, tap]
    return padded[:, :, geometry.before : geometry.before + geometry.length].copy()


@primitive(
    lambda g, h, geometry: _conv_input(h, g, geometry),
    lambda g, x, geometry: _conv(x, g, geometry),
    promote=None,
)
def _conv_weight(x: Array, h: Array, geometry: Geometry) -> Array:
    """y[o, c, k] = Σ x[b, c, s t + d k] h[b, o, t]: the adjoint of `_conv` in its weight."""
    products = np.matmul(_grouped_output(h, geometry), _windows(x, geometry).swapaxes(2, 3))
    return products.sum(axis=0).reshape(h.shape[1], x.shape[1] // geometry.groups, geometry.taps)


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """y[b, o, t] = bias[o] + Σ input[b, c, s t + d k - p] weight[o, c, k] over c and k.

    input : Tensor (B, C, L) or (C, L)
    weight : Tensor (O, C / groups, K)
    bias : Tensor (O) or None
    stride, dilation : s and d
    padding : p, the number of zeros at each end; "valid" is none, "same" as many as keep the
        length (stride 1 only; of an odd number the larger half stands behind)
    groups : the channels, and the outputs, fall into so many groups that do not mix
    Returns Tensor (B, O, T) or (O, T). Raises RuntimeError for what does not fit.
    """
    check_tensors("conv1d", input, weight, *([] if bias is None else [bias]))
    step, spread = _one("stride", stride), _one("dilation", dilation)
    _check_shapes(input, weight, bias, groups)
    taps = weight._array.shape[2]
    before, after = _padding(padding, step, spread * (taps - 1))
    geometry = Geometry(input._array.shape[-1], taps, step, before, after, spread, groups)
    if taps == 0 or geometry.span > geometry.length + before + after:
        raise RuntimeError(
            f"conv1d: expected a kernel of 1 to {geometry.length + before + after} elements (the "
            f"padded input's length), got {geometry.span}"
        )
    batched = input.ndim == 3
    y: Tensor = _conv(input if batched else unsqueeze(input, 0), weight, geometry)
    if bias is not None:
        y = y + unsqueeze(bias, 1)
    return y if batched else squeeze(y, 0)


def _one(name: str, value: Any) -> int:
    """A stride or dilation: a positive int, maybe in a tuple."""
    number = value[0] if isinstance(value, (tuple, list)) and len(value) == 1 else value
    if not isinstance(number, int) or number <= 0:
        raise RuntimeError(f"conv1d: expected a {name} greater than zero, got {value}")
    return number


def _padding(padding: Any, stride: int, overhang: int) -> tuple[int, int]:
    """The zeros before and after the input."""
    if padding == "valid":
        return 0, 0
    if padding == "same":
        if stride != 1:
            raise RuntimeError(f"conv1d: expected stride 1 with padding='same', got {stride}")
        return overhang // 2, overhang - overhang // 2
    if isinstance(padding, str):
        raise RuntimeError(f"conv1d: expected padding 'valid', 'same' or a number, got {padding!r}")
    number = padding[0] if isinstance(padding, (tuple, list)) and len(padding) == 1 else padding
    if not isinstance(number, int) or number < 0:
        raise RuntimeError(f"conv1d: expected a padding of at least zero, got {padding}")
    return number, number


def _check_shapes(input: Tensor, weight: Tensor, bias: Tensor | None, groups: int) -> None:
    """Raise RuntimeError unless the shapes and dtypes go together."""
    x, w = input._array, weight._array
    if x.ndim not in (2, 3) or w.ndim != 3:
        raise RuntimeError(
            "conv1d: expected an input (B, C, L) or (C, L) and a weight (O, C / groups, K), "
            f"got shapes {x.shape} and {w.shape}"
        )
    if groups <= 0 or w.shape[0] % groups:
        raise RuntimeError(
            f"conv1d: expected groups that divide the {w.shape[0]} outputs, got {groups}"
        )
    if x.shape[-2] != w.shape[1] * groups:
        raise RuntimeError(
            f"conv1d: expected input of {w.shape[1] * groups} channels for a weight of shape "
            f"{w.shape} and groups={groups}, got {x.shape[-2]}"
        )
    kinds = [str(t.dtype) for t in (input, weight, bias) if t is not None]
    if len(set(kinds)) > 1:
        raise RuntimeError(f"conv1d: expected all of one dtype, got {', '.join(kinds)}")
    if bias is not None and bias._array.shape != (w.shape[0],):
        raise RuntimeError(
            f"conv1d: expected a bias of shape ({w.shape[0]},), got {bias._array.shape}"
        )
