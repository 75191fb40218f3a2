"""LRScheduler: what writes a learning rate into each of an optimiser's groups, step by step."""

from __future__ import annotations

import types
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ...autograd.mode import no_grad
from ...tensor import Tensor
from ..optimizer import Group, Optimizer

# A learning rate is a float; it is a Tensor if the optimiser was given one, which is then filled.
Rate = Any

CLOSED_FORM_WARNING = (
    "The epoch parameter in `scheduler.step()` is deprecated, as in torch: where there is a closed "
    "form, that is used for the epoch; please call `scheduler.step()` once an epoch"
)


class LRScheduler:
    """The base of every schedule; a subclass defines `get_lr`.

    Making one keeps each group's rate as its "initial_lr" and sets the rate of epoch 0. Each
    `step()`, after the optimiser's steps of an epoch, sets the next.

    optimizer : the Optimizer whose groups' "lr" it writes
    last_epoch : the number of epochs done, less 1; -1 to start. To go on without `load_state_dict`,
        the groups must have their "initial_lr" from before.
    Raises TypeError for what is no Optimizer, KeyError for groups without "initial_lr".
    """

    _last_lr: list[Rate]
    _get_lr_called_within_step = False
    _is_initial = False

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        for number, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", copied(group["lr"]))
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{number}] when resuming "
                    "scheduler with last_epoch >= 0; load the optimizer's state_dict first"
                )
        self.base_lrs = [copied(group["initial_lr"]) for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._initial_step()

    def _initial_step(self) -> None:
        """Set the rate of the first epoch."""
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    # -- rates ----------------------------------------------------------------------------------

    def get_lr(self) -> list[Rate]:
        """The rate of each group for `last_epoch`, called by `step`; to read rates, `get_last_lr`.

        A subclass defines it.
        """
        raise NotImplementedError(f"{type(self).__name__} must define get_lr")

    def get_last_lr(self) -> list[Rate]:
        """The rate of each group since the last step."""
        return self._last_lr

    def _present(self) -> list[Rate]:
        """Each group's present rate, Tensors copied."""
        return [copied(group["lr"]) for group in self.optimizer.param_groups]

    def _times(self, factor: float) -> list[Rate]:
        """Each group's present rate times a factor."""
        return [group["lr"] * factor for group in self.optimizer.param_groups]

    def _warn_outside_of_step(self) -> None:
        if not self._get_lr_called_within_step:
            warnings.warn(
                "To get the last learning rate computed by the scheduler, please use "
                "`get_last_lr()`.",
                stacklevel=3,
            )

    # -- steps ----------------------------------------------------------------------------------

    def step(self, epoch: int | None = None) -> None:
        """Set the rates of the next epoch.

        epoch : deprecated: set those of this epoch
        Warns at the first step if the optimiser made none before.
        """
        if self._step_count == 1 and not self.optimizer._stepped:
            warnings.warn(
                "Detected call of `lr_scheduler.step()` before `optimizer.step()`: the first "
                "learning rate of the schedule is skipped; call them in the opposite order",
                stacklevel=2,
            )
        self._step_count += 1
        if epoch is not None:
            warnings.warn(CLOSED_FORM_WARNING, stacklevel=2)
        self._update_lr(epoch)

    def _update_lr(self, epoch: int | None = None) -> None:
        get_lr: Callable[[], list[Rate]] = self.get_lr
        if epoch is None:
            self.last_epoch += 1
        else:
            self.last_epoch = epoch
            get_lr = getattr(self, "_get_closed_form_lr", get_lr)
        with self._within_step():
            rates = get_lr()
        self._write(rates)

    @contextmanager
    def _within_step(self) -> Iterator[None]:
        self._get_lr_called_within_step = True
        try:
            yield
        finally:
            self._get_lr_called_within_step = False

    def _write(self, rates: list[Rate]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            write(group, "lr", rate)
        self._last_lr = self._present()

    # -- state ----------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """All that it holds but the optimiser."""
        return {key: value for key, value in self.__dict__.items() if key != "optimizer"}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a `state_dict`. Load the optimiser's too: the present rates are there."""
        self.__dict__.update(state_dict)


def check_optimizer(optimizer: Any) -> None:
    """Raise TypeError for what is no Optimizer."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")


def copied(rate: Rate) -> Rate:
    """A rate that does not change when this one is written to."""
    return rate.detach().clone() if isinstance(rate, Tensor) else rate


def write(group: Group, key: str, value: Rate) -> None:
    """Set a group's rate; a Tensor is filled, so that whoever holds it sees the new rate."""
    held = group[key]
    if isinstance(held, Tensor):
        with no_grad():
            held.fill_(float(value))
    else:
        group[key] = value


def per_group(name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    """A value for each group, from a list of them or one for all."""
    count = len(optimizer.param_groups)
    values = list(value) if isinstance(value, (list, tuple)) else [value] * count
    if len(values) != count:
        raise ValueError(
            f"{name} must have the same length as optimizer.param_groups: {name} has "
            f"{len(values)} values, param_groups has {count}"
        )
    return [copied(value) for value in values]


def saved_function(function: Any) -> dict[str, Any] | None:
    """What a state_dict keeps of a function: the attributes of a callable object, else None."""
    return None if isinstance(function, types.FunctionType) else dict(function.__dict__)
