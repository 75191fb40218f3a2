"""Schedules that raise and lower the learning rate, and the momentum against it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from ..optimizer import Group, Optimizer
from .base import LRScheduler, Rate, check_optimizer, per_group, saved_function, write


class _WithMomentum(LRScheduler):
    """A schedule that also sets each group's momentum, or the first of its betas."""

    use_beta1: bool

    def _prepare_momentum(self, start: bool, base: list[float], highest: list[float]) -> None:
        """Check that there is a momentum and, at the start, set the highest and keep both ends."""
        defaults = self.optimizer.defaults
        if "momentum" not in defaults and "betas" not in defaults:
            raise ValueError(
                "optimizer must support momentum or beta1 with `cycle_momentum` option enabled; "
                "pass cycle_momentum=False"
            )
        self.use_beta1 = "betas" in defaults
        if start:
            groups = self.optimizer.param_groups
            for group, low, high in zip(groups, base, highest, strict=True):
                self._set_momentum(group, high)
                group["max_momentum"] = high
                group["base_momentum"] = low

    def _set_momentum(self, group: Group, value: float) -> None:
        if self.use_beta1:
            group["betas"] = (value, *group["betas"][1:])
        else:
            group["momentum"] = value


class CyclicLR(_WithMomentum):
    """lr goes up from base_lr to max_lr in a straight line and down again, cycle after cycle.

        lr = base_lr + (max_lr - base_lr) height scale
        momentum = max_momentum - (max_momentum - base_momentum) height scale

    where height goes from 0 to 1 and back within a cycle, and scale is 1 ("triangular"),
    1 / 2^(cycle - 1) ("triangular2") or gamma^step ("exp_range"). It is stepped after each batch.

    base_lr, max_lr, base_momentum, max_momentum : for all groups, or lists of one for each
    step_size_up, step_size_down : the steps of a cycle's two halves; None: as many down as up
    scale_fn : a scale of one's own, of the cycle (from 1) or, if scale_mode is "iterations", of the
        step; `mode` is then ignored
    cycle_momentum : whether to set the momentum, or the first of betas
    Raises ValueError for an unknown mode, lists of another length than the groups, and an optimiser
    without momentum. Source: Smith 2017.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float = 0.8,
        max_momentum: float = 0.9,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        base_lrs = per_group("base_lr", optimizer, base_lr)
        if last_epoch == -1:
            for group, rate in zip(optimizer.param_groups, base_lrs, strict=True):
                write(group, "lr", rate)
        self.max_lrs = per_group("max_lr", optimizer, max_lr)
        up = float(step_size_up)
        down = up if step_size_down is None else float(step_size_down)
        self.total_size = up + down
        self.step_ratio = up / self.total_size
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            raise ValueError(
                f"mode is invalid and scale_fn is None: expected 'triangular', 'triangular2' or "
                f"'exp_range', got {mode!r}"
            )
        self.mode = mode
        self.gamma = gamma
        self._scale_fn_custom: Any = scale_fn
        self.scale_mode = scale_mode
        if scale_fn is None:
            self.scale_mode = "iterations" if mode == "exp_range" else "cycle"
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self.base_momentums = per_group("base_momentum", optimizer, base_momentum)
            self.max_momentums = per_group("max_momentum", optimizer, max_momentum)
            self._prepare_momentum(last_epoch == -1, self.base_momentums, self.max_momentums)
        super().__init__(optimizer, last_epoch)
        self.base_lrs = base_lrs

    def scale_fn(self, x: float) -> float:
        """The scale in cycle x, or at step x: `scale_mode` says which."""
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        if self.mode == "triangular":
            return 1.0
        if self.mode == "triangular2":
            return 1 / 2.0 ** (x - 1)
        return self.gamma**x

    def get_lr(self) -> list[Rate]:
        self._warn_outside_of_step()
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        done = 1.0 + self.last_epoch / self.total_size - cycle
        if done <= self.step_ratio:
            height = done / self.step_ratio
        else:
            height = (done - 1) / (self.step_ratio - 1)
        scale = self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            ends = zip(self.base_momentums, self.max_momentums, strict=True)
            for group, (low, high) in zip(self.optimizer.param_groups, ends, strict=True):
                self._set_momentum(group, high - (high - low) * height * scale)
        ends = zip(self.base_lrs, self.max_lrs, strict=True)
        return [low + (high - low) * height * scale for low, high in ends]

    def state_dict(self) -> dict[str, Any]:
        """All that it holds but the optimiser; of a `scale_fn`, the attributes if it is an object.

        A function can't be kept, and stays the one that the schedule was made with.
        """
        state = super().state_dict()
        if self._scale_fn_custom is not None:
            state["_scale_fn_custom"] = saved_function(self._scale_fn_custom)
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        own = self._scale_fn_custom
        super().load_state_dict(state_dict)
        self._scale_fn_custom = own
        attributes = state_dict["_scale_fn_custom"]
        if attributes is not None:
            own.__dict__.update(attributes)


class OneCycleLR(_WithMomentum):
    """lr goes up from max_lr / div_factor to max_lr, then down to far less; momentum against it.

    It is stepped after each batch, `total_steps` times at most.

    max_lr, base_momentum, max_momentum : for all groups, or lists of one for each
    total_steps : all steps, or epochs times steps_per_epoch
    pct_start : the part of the steps that goes up
    anneal_strategy : "cos" or "linear"
    cycle_momentum : whether to set the momentum, or the first of betas: it starts at max_momentum
        and is base_momentum where the rate is highest
    div_factor : max_lr / the first rate
    final_div_factor : the first rate / the last one
    three_phase : go down to the first rate as fast as it went up, and then on to the last one
    Raises ValueError for no number of steps, settings out of range, an optimiser without momentum,
    and a step too many. Source: Smith and Topin 2018, who have three phases.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        self.total_steps = _total_steps(total_steps, epochs, steps_per_epoch)
        if not isinstance(pct_start, float) or not 0 <= pct_start <= 1:
            raise ValueError(f"Expected float between 0 and 1 pct_start, but got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}"
            )
        self._schedule_phases = _phases(self.total_steps, pct_start, three_phase)
        self._anneal_func_type = anneal_strategy
        start = last_epoch == -1
        if start:
            highest = per_group("max_lr", optimizer, max_lr)
            for group, rate in zip(optimizer.param_groups, highest, strict=True):
                group["initial_lr"] = rate / div_factor
                group["max_lr"] = rate
                group["min_lr"] = group["initial_lr"] / final_div_factor
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            low = per_group("base_momentum", optimizer, base_momentum)
            high = per_group("max_momentum", optimizer, max_momentum)
            self._prepare_momentum(start, low, high)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Rate]:
        self._warn_outside_of_step()
        if self.last_epoch > self.total_steps:
            raise ValueError(
                f"Tried to step {self.last_epoch} times. The specified number of total steps is "
                f"{self.total_steps}"
            )
        phase, done = self._place()
        rates = []
        for group in self.optimizer.param_groups:
            rates.append(self._between(group[phase["start_lr"]], group[phase["end_lr"]], done))
            if self.cycle_momentum:
                ends = group[phase["start_momentum"]], group[phase["end_momentum"]]
                self._set_momentum(group, self._between(*ends, done))
        return rates

    def _place(self) -> tuple[dict[str, Any], float]:
        """The present phase, and which part of it is done."""
        *earlier, last = self._schedule_phases
        start = 0.0
        for phase in earlier:
            if self.last_epoch <= phase["end_step"]:
                break
            start = phase["end_step"]
        else:
            phase = last
        length = phase["end_step"] - start
        return phase, (self.last_epoch - start) / length if length else 1.0

    def _between(self, start: Rate, end: Rate, done: float) -> Rate:
        if self._anneal_func_type == "linear":
            return (end - start) * done + start
        return end + (start - end) / 2.0 * (math.cos(math.pi * done) + 1)


def _total_steps(total_steps: Any, epochs: Any, steps_per_epoch: Any) -> int:
    if total_steps is not None:
        return _positive("total_steps", total_steps)
    if epochs is None or steps_per_epoch is None:
        raise ValueError("You must define either total_steps OR (epochs AND steps_per_epoch)")
    return _positive("epochs", epochs) * _positive("steps_per_epoch", steps_per_epoch)


def _positive(name: str, value: Any) -> int:
    if not isinstance(value, int) or value <= 0:
        raise ValueError(f"Expected positive integer {name}, but got {value}")
    return value


def _phases(steps: int, rising: float, three: bool) -> list[dict[str, Any]]:
    """The phases of the cycle: where each ends, and the names that its values have in a group."""
    top = float(rising * steps) - 1
    up = _phase(top, "initial_lr", "max_lr", "max_momentum", "base_momentum")
    if not three:
        return [up, _phase(steps - 1, "max_lr", "min_lr", "base_momentum", "max_momentum")]
    back = float(2 * rising * steps) - 2
    down = _phase(back, "max_lr", "initial_lr", "base_momentum", "max_momentum")
    return [up, down, _phase(steps - 1, "initial_lr", "min_lr", "max_momentum", "max_momentum")]


def _phase(
    end_step: float, start_lr: str, end_lr: str, start_momentum: str, end_momentum: str
) -> dict[str, Any]:
    return {
        "end_step": end_step,
        "start_lr": start_lr,
        "end_lr": end_lr,
        "start_momentum": start_momentum,
        "end_momentum": end_momentum,
    }
