"""Activations, with torch's `inplace=` where torch has it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from ...autograd.inplace import in_place
from ...ops import activations as act
from ...ops import elementwise as e
from ...ops import reduce as reductions
from ...ops import shape as moves
from ...tensor import Tensor


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


relu_ = in_place("relu_", act.relu)
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
