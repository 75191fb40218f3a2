"""Layers that bring each example to one size: LayerNorm and RMSNorm."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from ..ops import create
from ..tensor import Tensor
from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter


class LayerNorm(Module):
    """y = (x - m) / √(v + eps) · weight + bias, m and v the mean and variance of each example.

    (..., *normalized_shape) -> the same; m and v are taken over the dimensions of
    `normalized_shape` (an int stands for the last dimension), v without Bessel's correction.
    Parameters `weight` (ones) and `bias` (zeros), shaped as `normalized_shape`; neither with
    `elementwise_affine=False`, no bias with `bias=False`. Source: Ba et al. 2016.
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = _shape(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        for name, wanted in (("weight", True), ("bias", bias)):
            parameter = None
            if elementwise_affine and wanted:
                values = create.empty(self.normalized_shape, device=device, dtype=dtype)
                parameter = Parameter(values)
            self.register_parameter(name, parameter)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the weight to 1 and the bias to 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """y = x / √(q + eps) · weight, q the mean square of each example.

    (..., *normalized_shape) -> the same; q is taken over the dimensions of `normalized_shape` (an
    int stands for the last dimension).
    eps : the spacing of the input's type at 1 when left out
    Parameter `weight` (ones), shaped as `normalized_shape`, unless `elementwise_affine=False`.
    Source: Zhang and Sennrich 2019.
    """

    weight: Parameter | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = _shape(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        parameter = None
        if elementwise_affine:
            parameter = Parameter(create.empty(self.normalized_shape, device=device, dtype=dtype))
        self.register_parameter("weight", parameter)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the weight to 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        )


def _shape(normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    if isinstance(normalized_shape, Sequence):
        return tuple(normalized_shape)
    return (operator.index(normalized_shape),)
