"""Activations, with torch's `inplace=` where torch has it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from ... import random
from ...autograd.inplace import in_place
from ...ops import activations as act
from ...ops import elementwise as e
from ...ops import reduce as reductions
from ...ops import shape as moves
from ...ops.check import check_tensors
from ...tensor import Tensor, make


def _activate(function: Callable[..., Any], input: Tensor, inplace: bool, *rest: float) -> Tensor:
    if inplace:
        return in_place(f"{function.__name__}_", function)(input, *rest)
    result: Tensor = function(input, *rest)
    return result


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """y = max(x, 0)."""
    return _activate(act.relu, input, inplace)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """y = x where x > 0, else negative_slope · x."""
    return _activate(act.leaky_relu, input, inplace, negative_slope)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """y = x where x > 0, else α (e^x - 1)."""
    return _activate(act.elu, input, inplace, alpha)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """y = x σ(x)."""
    return _activate(act.silu, input, inplace)


def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """y = x held between min_val and max_val. Raises ValueError if min_val > max_val."""
    if min_val > max_val:
        raise ValueError(
            f"hardtanh: min_val cannot be greater than max_val, got {min_val} and {max_val}"
        )
    return _activate(act.hardtanh, input, inplace, min_val, max_val)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """y = λ x where x > 0, else λ α (e^x - 1). See `ops.activations.selu`."""
    return _activate(act.selu, input, inplace)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """y = x held between 0 and 6."""
    return _activate(act.hardtanh, input, inplace, 0.0, 6.0)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """y = x where x > 0, else α (e^(x/α) - 1). Raises RuntimeError for α = 0."""
    return _activate(act.celu, input, inplace, alpha)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """y = x · (x / 6 + 1/2 held between 0 and 1)."""
    return _activate(act.hardswish, input, inplace)


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """y = 0 where -λ <= x <= λ, else x."""
    return _activate(act.hardshrink, input, False, lambd)


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """y = x brought nearer to 0 by λ, and 0 within. Raises RuntimeError for λ < 0."""
    return _activate(act.softshrink, input, False, lambd)


def tanhshrink(input: Tensor) -> Tensor:
    """y = x - tanh x."""
    result: Tensor = input - e.tanh(input)
    return result


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """y = value where x <= threshold, else x."""
    return _activate(act.threshold, input, inplace, threshold, value)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """y = x where x > 0, else w x, with w one number or one for each channel.

    input : Tensor (...), the channels being dimension 1, or 0 of one dimension alone
    weight : Tensor (), (1) or (channels)
    Raises RuntimeError for other shapes and for two dtypes. Source: He et al. 2015, eq. 1.
    """
    check_tensors("prelu", input, weight)
    if weight.ndim > 1:
        raise RuntimeError(
            f"prelu: expected `weight` to be a scalar or 1D tensor, got {weight.ndim} dimensions"
        )
    if input.dtype is not weight.dtype:
        raise RuntimeError(
            f"prelu: expected input and weight of one dtype, got {input.dtype} and {weight.dtype}; "
            f"use input.to({weight.dtype})"
        )
    slopes = weight.numel()
    if weight.ndim and slopes != 1:
        channels = input._array.shape[1] if input.ndim > 1 else 1
        if input.ndim == 0 or channels != slopes:
            raise RuntimeError(
                f"prelu: expected as many weights as channels, got parameter numbers = {slopes} "
                f"and an input of shape {input._array.shape}; the channels are its dimension 1"
            )
        weight = weight.reshape(slopes, *(1,) * (input.ndim - 2))
    else:
        weight = weight.reshape(())
    result: Tensor = act.prelu(input, weight)
    return result


def rrelu(
    input: Tensor,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    """y = x where x > 0, else a x.

    In training a is drawn from U(lower, upper) for each element, else it is the mean of the two.
    Source: Xu et al. 2015. Raises RuntimeError if lower > upper.
    """
    if inplace:
        return rrelu_(input, lower, upper, training)
    if not lower <= upper:
        raise RuntimeError(
            f"rrelu: Lower bound should be less than or equal to the upper bound, got {lower} and "
            f"{upper}"
        )
    if not training:
        result: Tensor = act.leaky_relu(input, (lower + upper) / 2)
        return result
    if not input.is_floating_point():
        raise NotImplementedError(
            f"rrelu: expected a floating-point tensor, got {input.dtype}; use .float()"
        )
    x = input._array
    below = x <= 0
    slopes = np.ones(x.shape, x.dtype)
    # One 64-bit number for each element at or below 0, in their order, and none for the others.
    slopes[below] = random.default_generator.uniform(
        (int(below.sum()),), lower, upper, dtype=np.float64
    )
    result = input * make(slopes)
    return result


def softmin(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """y = e^-x / Σ e^-x along `dim`, computed in `dtype` if one is given."""
    dim = _softmax_dim("softmin", input, dim, _stacklevel)
    negative = -input
    result: Tensor = reductions.softmax(negative if dtype is None else negative.to(dtype), dim)
    return result


def gumbel_softmax(
    logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Tensor:
    """y = softmax((logits + G) / τ) along `dim`, G drawn from the Gumbel distribution.

    hard : y is 1 at the largest and 0 elsewhere, with the gradient of the soft one
    eps : without effect, as in torch
    Sources: Jang et al. 2016; Maddison et al. 2016.
    """
    if eps != 1e-10:
        warnings.warn("`eps` parameter is deprecated and has no effect.", stacklevel=2)
    check_tensors("gumbel_softmax", logits)
    uniform = random.default_generator.uniform(logits._array.shape, dtype=np.float64)
    exponential = (-np.log1p(-uniform)).astype(logits._array.dtype)
    soft: Tensor = reductions.softmax((logits - e.log(make(exponential))) / tau, dim)
    if not hard:
        return soft
    rest = soft.detach()
    largest = reductions.argmax(rest, dim, True)._array
    one = np.zeros_like(rest._array)
    np.put_along_axis(one, largest, 1, dim)
    return make(one) - rest + soft


relu_ = in_place("relu_", act.relu)
celu_ = in_place("celu_", act.celu)
threshold_ = in_place("threshold_", act.threshold)
rrelu_ = in_place("rrelu_", rrelu)
leaky_relu_ = in_place("leaky_relu_", act.leaky_relu)
elu_ = in_place("elu_", act.elu)
selu_ = in_place("selu_", act.selu)
hardtanh_ = in_place("hardtanh_", act.hardtanh)


def gelu(input: Tensor, *, approximate: str = "none") -> Tensor:
    """y = x Φ(x), or with approximate="tanh" Hendrycks and Gimpel's formula for it."""
    result: Tensor = act.gelu(input, approximate)
    return result


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """y = x tanh(ln(1 + e^x))."""
    return _activate(act.mish, input, inplace)


def softsign(input: Tensor) -> Tensor:
    """y = x / (1 + |x|);  gx = g / (1 + |x|)²."""
    result: Tensor = input / (e.abs(input) + 1)
    return result


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """y = x / 6 + 1/2 held between 0 and 1."""
    return _activate(act.hardsigmoid, input, inplace)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """y = a σ(b), where a and b are the halves of the input along `dim`.

    Source: Dauphin et al. 2017. Raises RuntimeError for a 0-d tensor and an odd size.
    """
    if input.ndim == 0:
        raise RuntimeError("glu: expected at least 1 dimension to halve, got a 0-d tensor")
    if not -input.ndim <= dim < input.ndim:
        raise IndexError(
            f"glu: expected a dimension in [{-input.ndim}, {input.ndim - 1}], got {dim}"
        )
    size = input._array.shape[dim]
    if size % 2:
        raise RuntimeError(f"glu: expected an even size along dimension {dim}, got {size}")
    if not input.is_floating_point():
        raise NotImplementedError(
            f"glu: expected a floating-point tensor, got {input.dtype}; use .float()"
        )
    a, b = moves.split(input, size // 2, dim) if size else (input, input)
    result: Tensor = a * e.sigmoid(b)
    return result


def tanh(input: Tensor) -> Tensor:
    """y = tanh x."""
    return _activate(e.tanh, input, False)


def sigmoid(input: Tensor) -> Tensor:
    """y = 1 / (1 + e^-x)."""
    return _activate(e.sigmoid, input, False)


def logsigmoid(input: Tensor) -> Tensor:
    """y = ln σ(x)."""
    return _activate(act.logsigmoid, input, False)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """y = ln(1 + e^(βx)) / β, and x itself where βx > threshold."""
    return _activate(act.softplus, input, False, beta, threshold)


def softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """y = e^x / Σ e^x along `dim`, computed in `dtype` if one is given."""
    dim = _softmax_dim("softmax", input, dim, _stacklevel)
    result: Tensor = reductions.softmax(input if dtype is None else input.to(dtype), dim)
    return result


def log_softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """y = x - ln Σ e^x along `dim`, computed in `dtype` if one is given."""
    dim = _softmax_dim("log_softmax", input, dim, _stacklevel)
    result: Tensor = reductions.log_softmax(input if dtype is None else input.to(dtype), dim)
    return result


def _softmax_dim(name: str, input: Tensor, dim: int | None, stacklevel: int) -> int:
    """The dimension, guessed as torch does (with its warning) if none is given."""
    if dim is not None:
        return dim
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. "
        "Change the call to include dim=X as an argument.",
        stacklevel=stacklevel,
    )
    return 0 if input.ndim in (0, 1, 3) else 1
