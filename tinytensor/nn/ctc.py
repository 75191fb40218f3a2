"""The CTC loss as a module; the formula is in `functional`."""

from __future__ import annotations

from ..tensor import Tensor
from . import functional as F
from .functional.ctc import Lengths
from .loss import _Loss


class CTCLoss(_Loss):
    """-ln of the probability of all paths that read as the target; see `functional.ctc_loss`."""

    def __init__(
        self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False
    ) -> None:
        super().__init__(reduction=reduction)
        self.blank = blank
        self.zero_infinity = zero_infinity

    def forward(
        self,
        log_probs: Tensor,
        targets: Tensor,
        input_lengths: Lengths,
        target_lengths: Lengths,
    ) -> Tensor:
        """See the class."""
        return F.ctc_loss(
            log_probs,
            targets,
            input_lengths,
            target_lengths,
            self.blank,
            self.reduction,
            self.zero_infinity,
        )
