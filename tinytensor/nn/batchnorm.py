"""The layer that brings each channel to one size over the batch: BatchNorm1d."""

from __future__ import annotations

from typing import Any

from ..autograd.mode import no_grad
from ..dtypes import int64
from ..ops import create
from ..tensor import Tensor
from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter


class BatchNorm1d(Module):
    """y = (x - m) / √(v + eps) · weight + bias for each channel: (N, C) or (N, C, L) -> the same.

    In training m and v are the mean and variance of the batch, and the buffers `running_mean` and
    `running_var` (C) follow them: (1 - momentum) · old + momentum · new, the new variance with
    Bessel's correction; with `momentum=None` they are the plain averages over the
    `num_batches_tracked` batches so far. In evaluation they are m and v. With
    `track_running_stats=False` there are no buffers and the batch's own are taken in both.
    Parameters `weight` (ones) and `bias` (zeros) (C), neither with `affine=False`, no bias with
    `bias=False`. Source: Ioffe and Szegedy 2015.
    """

    weight: Parameter | None
    bias: Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            values = create.empty(num_features, device=device, dtype=dtype) if wanted else None
            self.register_parameter(name, None if values is None else Parameter(values))
        kinds = {"running_mean": dtype, "running_var": dtype, "num_batches_tracked": int64}
        for name, kind in kinds.items():
            shape = () if kind is int64 else (num_features,)
            tracked = create.zeros(shape, device=device, dtype=kind)
            self.register_buffer(name, tracked if track_running_stats else None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Forget all batches: mean 0, variance 1."""
        for name, value in (("running_mean", 0), ("running_var", 1), ("num_batches_tracked", 0)):
            buffer = self._buffers[name]
            if buffer is not None:
                buffer.fill_(value)

    def reset_parameters(self) -> None:
        """Forget all batches, set the weight to 1 and the bias to 0."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """See the class. Raises ValueError for another number of dimensions."""
        if input.ndim not in (2, 3):
            raise ValueError(f"BatchNorm1d: expected 2D or 3D input (got {input.ndim}D input)")
        mean, variance = self.running_mean, self.running_var
        if not self.training:
            batch = mean is None and variance is None
            return F.batch_norm(input, mean, variance, self.weight, self.bias, batch, 0.0, self.eps)
        if not self.track_running_stats:
            mean = variance = None
        momentum = self._count_batch() if self.track_running_stats else 0.0
        return F.batch_norm(input, mean, variance, self.weight, self.bias, True, momentum, self.eps)

    def _count_batch(self) -> float:
        """Count one batch more; the share of it in the running averages."""
        number = self.num_batches_tracked
        if number is not None:
            with no_grad():
                number.add_(1)
        if self.momentum is not None:
            return self.momentum
        return 0.0 if number is None else 1 / number.item()

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, bias={self.bias is not None}, "
            f"track_running_stats={self.track_running_stats}"
        )
