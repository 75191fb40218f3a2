"""Schedules along a cosine."""

from __future__ import annotations

import math
from typing import Any

from ..optimizer import Optimizer
from .base import LRScheduler, Rate


def _half_cosine(highest: Rate, lowest: float, done: float) -> Rate:
    """From the highest at done = 0 along half a cosine to the lowest at done = π."""
    return lowest + (highest - lowest) * (1 + math.cos(done)) / 2


class CosineAnnealingLR(LRScheduler):
    """lr = eta_min + (initial_lr - eta_min) (1 + cos(π epoch / T_max)) / 2.

    After `T_max` epochs it rises again. Each step goes on from the present rate, so that another
    schedule may act beside it. Source: Loshchilov and Hutter 2017, equation 5, without restarts.
    """

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Rate]:
        self._warn_outside_of_step()
        epoch, T_max, eta_min = self.last_epoch, self.T_max, self.eta_min
        groups = self.optimizer.param_groups
        if self._is_initial:
            return self._present()
        if (epoch - 1 - T_max) % (2 * T_max) == 0:  # up from eta_min, of which no part is a step
            return [
                group["lr"] + (base - eta_min) * (1 - math.cos(math.pi / T_max)) / 2
                for base, group in zip(self.base_lrs, groups, strict=True)
            ]
        now = 1 + math.cos(math.pi * epoch / T_max)
        before = 1 + math.cos(math.pi * (epoch - 1) / T_max)
        return [now / before * (group["lr"] - eta_min) + eta_min for group in groups]

    def _get_closed_form_lr(self) -> list[Rate]:
        done = math.pi * self.last_epoch / self.T_max
        return [_half_cosine(base, self.eta_min, done) for base in self.base_lrs]


class CosineAnnealingWarmRestarts(LRScheduler):
    """lr = eta_min + (initial_lr - eta_min) (1 + cos(π T_cur / T_i)) / 2, again and again.

    T_cur counts the epochs since the last restart; a period T_i has T_0 epochs at first, and each
    time T_mult times as many. Here `step(epoch)` is no deprecated form: epoch may be a fraction, as
    in `step(epoch + batch / batches)`.
    Raises ValueError for what is no positive integer T_0 or T_mult, and for a negative epoch.
    Source: Loshchilov and Hutter 2017.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        if not isinstance(T_0, int) or T_0 <= 0:
            raise ValueError(f"Expected positive integer T_0, but got {T_0}")
        if not isinstance(T_mult, int) or T_mult < 1:
            raise ValueError(f"Expected integer T_mult >= 1, but got {T_mult}")
        if not isinstance(eta_min, (float, int)):
            raise ValueError(
                f"Expected float or int eta_min, but got {eta_min} of type {type(eta_min)}"
            )
        self.T_0 = T_0
        self.T_i = T_0
        self.T_mult = T_mult
        self.eta_min = eta_min
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Rate]:
        self._warn_outside_of_step()
        done = math.pi * self.T_cur / self.T_i
        return [_half_cosine(base, self.eta_min, done) for base in self.base_lrs]

    def step(self, epoch: Any = None) -> None:
        """Set the rates of the next epoch, or of `epoch`, which may be a fraction."""
        if epoch is None and self.last_epoch < 0:
            epoch = 0
        if epoch is None:
            epoch = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur %= self.T_i
                self.T_i *= self.T_mult
        elif epoch < 0:
            raise ValueError(f"Expected non-negative epoch, but got {epoch}")
        else:
            self._go_to(epoch)
        self.last_epoch = math.floor(epoch)
        with self._within_step():
            rates = self.get_lr()
        self._write(rates)

    def _go_to(self, epoch: float) -> None:
        if epoch < self.T_0:
            self.T_i = self.T_0
            self.T_cur = epoch
        elif self.T_mult == 1:
            self.T_cur = epoch % self.T_0
        else:  # after n periods, T_0 (T_mult^n - 1) / (T_mult - 1) epochs have passed
            growth = self.T_mult - 1
            n = int(math.log(epoch / self.T_0 * growth + 1, self.T_mult))
            self.T_cur = epoch - self.T_0 * (self.T_mult**n - 1) / growth
            self.T_i = self.T_0 * self.T_mult**n
