"""A schedule that reacts to what is measured."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any, SupportsFloat

from ..optimizer import Optimizer
from .base import CLOSED_FORM_WARNING, LRScheduler, check_optimizer, write


class ReduceLROnPlateau(LRScheduler):
    """lr *= factor when a measured value has not got better for more than `patience` steps.

    mode : "min" if less is better, or "max"
    threshold, threshold_mode : by how much a value must be better than the best to count: by that
        part of the best ("rel"), or by that much ("abs")
    cooldown : steps after a reduction that don't count as bad
    min_lr : where it ends, for all groups or a list of one for each
    eps : a smaller change of the rate is not made
    Raises ValueError for a factor of 1 or more, an unknown mode, and another number of min_lr.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: list[float] | float = 0,
        eps: float = 1e-8,
    ) -> None:
        if factor >= 1.0:
            raise ValueError(f"Factor should be < 1.0, got {factor}")
        check_optimizer(optimizer)
        if mode not in ("min", "max"):
            raise ValueError(f"mode {mode} is unknown! Expected 'min' or 'max'")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(f"threshold mode {threshold_mode} is unknown! Expected 'rel' or 'abs'")
        count = len(optimizer.param_groups)
        self.factor = factor
        self.optimizer = optimizer
        self.default_min_lr: float | None = None
        if isinstance(min_lr, (list, tuple)):
            if len(min_lr) != count:
                raise ValueError(f"expected {count} min_lrs, got {len(min_lr)}")
            self.min_lrs = list(min_lr)
        else:
            self.default_min_lr = min_lr
            self.min_lrs = [min_lr] * count
        self.patience = patience
        self.cooldown = cooldown
        self.eps = eps
        self.last_epoch = 0
        self._last_lr = self._present()
        self.mode_worse = math.inf if mode == "min" else -math.inf
        self.mode = mode
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self._reset()

    def _reset(self) -> None:
        """Forget what was measured."""
        self.best = self.mode_worse
        self.cooldown_counter = 0
        self.num_bad_epochs = 0

    @property
    def in_cooldown(self) -> bool:
        """Whether a reduction was less than `cooldown` steps ago."""
        return self.cooldown_counter > 0

    # The base has no measured value.
    def step(self, metrics: SupportsFloat, epoch: int | None = None) -> None:  # type: ignore[override]
        """Look at a new value, say the loss on held-out data, and reduce the rates or not."""
        value = float(metrics)
        if epoch is not None:
            warnings.warn(CLOSED_FORM_WARNING, stacklevel=2)
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self._is_better(value, self.best):
            self.best = value
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce_lr(self.last_epoch)
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
        self._last_lr = self._present()

    def _reduce_lr(self, epoch: int) -> None:
        groups = self.optimizer.param_groups
        if len(groups) != len(self.min_lrs):
            if self.default_min_lr is None:
                raise RuntimeError(
                    f"The number of param groups in the `optimizer` ({len(groups)}) differs from "
                    f"when `ReduceLROnPlateau` was initialized ({len(self.min_lrs)}); modify its "
                    "`min_lrs` to match"
                )
            self.min_lrs = [self.default_min_lr] * len(groups)
        for group, least in zip(groups, self.min_lrs, strict=True):
            before = float(group["lr"])
            reduced = max(before * self.factor, least)
            if before - reduced > self.eps:
                write(group, "lr", reduced)

    def _is_better(self, value: float, best: float) -> bool:
        margin = self.threshold
        if self.mode == "min":
            return value < (
                best * (1.0 - margin) if self.threshold_mode == "rel" else best - margin
            )
        return value > (best * (margin + 1.0) if self.threshold_mode == "rel" else best + margin)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.mode_worse = math.inf if self.mode == "min" else -math.inf
