"""The dropout layers: they drop in training, and hand their input on in evaluation."""

from __future__ import annotations

from ..tensor import Tensor
from . import functional as F
from .module import Module


class _Dropout(Module):
    """What the dropout layers share: p, and whether they may overwrite their input."""

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        F.check_probability(p)
        self.p = p
        self.inplace = inplace

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """In training each element is zero with probability p, else scaled by 1 / (1 - p).

    Source: Srivastava et al. 2014. Raises ValueError unless 0 <= p <= 1.
    """

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return F.dropout(input, self.p, self.training, self.inplace)


class Dropout1d(_Dropout):
    """In training each channel of (N, C, L) or (C, L) is zero with probability p, else scaled.

    By 1 / (1 - p). Source: Tompson et al. 2015. Raises ValueError unless 0 <= p <= 1.
    """

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return F.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(_Dropout):
    """In training each channel of (N, C, H, W) is zero with probability p, else scaled.

    By 1 / (1 - p). Source: Tompson et al. 2015. Raises ValueError unless 0 <= p <= 1.
    """

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return F.dropout2d(input, self.p, self.training, self.inplace)


class AlphaDropout(_Dropout):
    """Dropout that keeps mean 0 and variance 1, for networks with SELU.

    The formula is at `functional.alpha_dropout`. Source: Klambauer et al. 2017. Raises ValueError
    unless 0 <= p <= 1.
    """

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return F.alpha_dropout(input, self.p, self.training, self.inplace)


class FeatureAlphaDropout(_Dropout):
    """`AlphaDropout` of whole channels: (N, C, ...) -> the same.

    Source: Klambauer et al. 2017. Raises ValueError unless 0 <= p <= 1.
    """

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return F.feature_alpha_dropout(input, self.p, self.training, self.inplace)
