"""The convolution layer."""

from __future__ import annotations

import math
from typing import Any

from ..ops import create
from ..tensor import Tensor
from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter

_PADDINGS = ("same", "valid")
_MODES = ("circular", "reflect", "replicate", "zeros")


class Conv1d(Module):
    """y[b, o, t] = bias[o] + Σ x[b, c, s t + d k - p] weight[o, c, k] over c and k.

    (B, in_channels, L) -> (B, out_channels, T), or both without B, where
    T = ⌊(L + 2 p - d (kernel_size - 1) - 1) / s⌋ + 1.

    stride, dilation : s and d
    padding : p, the elements put at each end; "valid" puts none, "same" as many as keep the length
    groups : the channels, and the outputs, fall into so many groups that do not mix
    padding_mode : what is put there: "zeros", "reflect", "replicate" or "circular"
    Parameters `weight` (out_channels, in_channels / groups, kernel_size) and, unless `bias=False`,
    `bias` (out_channels), drawn from U(-b, b), b = 1 / √(in_channels / groups · kernel_size).
    Raises ValueError for groups that do not divide the channels, a padding or a mode unknown.
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int],
        stride: int | tuple[int] = 1,
        padding: str | int | tuple[int] = 0,
        dilation: int | tuple[int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        _check_groups(in_channels, out_channels, groups)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = _single(kernel_size)
        self.stride = _single(stride)
        self.padding = padding if isinstance(padding, str) else _single(padding)
        self.dilation = _single(dilation)
        self.groups = groups
        self.padding_mode = padding_mode
        _check_padding(self.padding, self.stride, padding_mode)
        self.weight = Parameter(
            create.empty(
                (out_channels, in_channels // groups, *self.kernel_size),
                device=device,
                dtype=dtype,
            )
        )
        values = create.empty(out_channels, device=device, dtype=dtype) if bias else None
        self.register_parameter("bias", None if values is None else Parameter(values))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        fan_in = math.prod(self.weight.shape[1:])
        if self.bias is not None and fan_in != 0:
            bound = 1 / math.sqrt(fan_in)
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        padding: Any = self.padding
        if self.padding_mode != "zeros":
            input = F.pad(input, self._ends(), self.padding_mode)
            padding = 0
        return F.conv1d(
            input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups
        )

    def _ends(self) -> tuple[int, int]:
        """The elements to put before and after; of an odd number the larger half after."""
        if self.padding == "valid":
            return 0, 0
        if isinstance(self.padding, str):
            overhang = self.dilation[0] * (self.kernel_size[0] - 1)
            return overhang // 2, overhang - overhang // 2
        return self.padding[0], self.padding[0]

    def extra_repr(self) -> str:
        text = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}"
        )
        if self.padding != (0,):
            text += f", padding={self.padding}"
        if self.dilation != (1,):
            text += f", dilation={self.dilation}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        if self.padding_mode != "zeros":
            text += f", padding_mode={self.padding_mode}"
        return text


def _single(value: Any) -> tuple[int, ...]:
    """A number for the one dimension, as a tuple."""
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def _check_groups(in_channels: int, out_channels: int, groups: int) -> None:
    """Raise ValueError unless the groups divide the channels and the outputs."""
    if groups <= 0:
        raise ValueError(f"Conv1d: expected groups to be a positive integer, got {groups}")
    for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
        if channels % groups != 0:
            raise ValueError(
                f"Conv1d: {name} must be divisible by groups, got {channels} and {groups}"
            )


def _check_padding(padding: Any, stride: tuple[int, ...], mode: str) -> None:
    """Raise ValueError for a word or a mode unknown, and for "same" with strides."""
    if isinstance(padding, str):
        if padding not in _PADDINGS:
            raise ValueError(
                f"Conv1d: expected padding to be a number or one of {_PADDINGS}, got {padding!r}"
            )
        if padding == "same" and stride != (1,):
            raise ValueError(
                f"Conv1d: padding='same' is not supported for strided convolutions, got {stride}"
            )
    if mode not in _MODES:
        raise ValueError(f"Conv1d: expected padding_mode to be one of {_MODES}, got {mode!r}")
