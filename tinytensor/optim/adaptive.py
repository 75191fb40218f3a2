"""Steps divided by the size of the gradients: Adagrad, Adadelta and RMSprop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..dtypes import Array
from ..tensor import Tensor
from .optimizer import Group, Optimizer
from .settings import check_common, check_forms, check_not_negative, check_plain, check_setting
from .state import State, advance, full_like, moved_mean, moved_square, scalar, written


class Adagrad(Optimizer):
    """p -= lr / (1 + (t - 1) lr_decay) g / (√s + eps), where s sums the squares of all gradients.

        g = gradient + weight_decay p           (-gradient to maximise)
        s = s + g²                              (at first initial_accumulator_value)

    foreach, fused : taken for torch's sake, without effect
    State of a parameter, from the start: `step` t, `sum` s.
    Raises ValueError for negative settings. Source: Duchi, Hazan and Singer 2011.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_common(lr, eps, weight_decay)
        check_not_negative(lr_decay=lr_decay, initial_accumulator_value=initial_accumulator_value)
        check_plain(differentiable=differentiable)
        check_forms(foreach, fused)
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for parameter in group["params"]:
                self._begin(self.state[parameter], parameter._array, group)

    def _begin(self, state: State, values: Array, group: Group) -> None:
        state["step"] = scalar(0)
        state["sum"] = full_like(values, self.defaults["initial_accumulator_value"])

    def _update_group(self, group: Group) -> None:
        lr = float(group["lr"])
        eps = group["eps"]
        for values, g, state in self._moving(group):
            t = advance(state)
            total = written(state["sum"])
            part = np.square(g, self._memory(g))
            np.add(total, part, total)
            np.sqrt(total, part)
            np.add(part, eps, part)
            np.divide(g, part, part)
            np.multiply(part, lr / (1 + (t - 1) * group["lr_decay"]), part)
            np.subtract(values, part, values)


class Adadelta(Optimizer):
    """p -= lr d, where d has the units of p: it is sized by the steps before.

        g = gradient + weight_decay p           (-gradient to maximise)
        v = ρ v + (1 - ρ) g²
        d = √(u + eps) / √(v + eps) g
        u = ρ u + (1 - ρ) d²

    foreach : taken for torch's sake, without effect
    State of a parameter: `step` t, `square_avg` v, `acc_delta` u.
    Raises ValueError for settings out of range. Source: Zeiler 2012, algorithm 1.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_common(lr, eps, weight_decay)
        check_setting("rho value", rho, 0 <= rho <= 1, "0 <= rho <= 1")
        check_plain(capturable=capturable, differentiable=differentiable)
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _begin(self, state: State, values: Array, group: Group) -> None:
        state["step"] = scalar(0)
        state["square_avg"] = full_like(values)
        state["acc_delta"] = full_like(values)

    def _update_group(self, group: Group) -> None:
        lr = float(group["lr"])
        rho = group["rho"]
        eps = group["eps"]
        for values, g, state in self._moving(group):
            advance(state)
            v = moved_square(state["square_avg"], g, rho, self._memory(g))
            root = np.add(v, eps, self._memory(g))
            np.sqrt(root, root)
            step = np.add(state["acc_delta"]._array, eps, self._memory(g, 2))
            np.sqrt(step, step)
            np.divide(step, root, step)
            np.multiply(step, g, step)
            moved_square(state["acc_delta"], step, rho, self._memory(g))
            np.multiply(step, lr, step)
            np.subtract(values, step, values)


class RMSprop(Optimizer):
    """p -= lr g / (√v + eps), with a running mean v of the square of the gradient.

        g = gradient + weight_decay p           (-gradient to maximise)
        v = α v + (1 - α) g²
        m = α m + (1 - α) g                     if centered: v - m² stands for v in the root
        b = momentum b + g / (√v + eps)         with momentum: p -= lr b

    foreach : taken for torch's sake, without effect
    State of a parameter: `step` t, `square_avg` v, with momentum `momentum_buffer` b, and if
    centered `grad_avg` m.
    Raises ValueError for negative settings. Source: Hinton's lecture 6 of 2012; centered and with
    momentum: Graves 2013, equations 38 to 41, where eps is inside of the root.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_common(lr, eps, weight_decay)
        check_not_negative(momentum=momentum, alpha=alpha)
        check_plain(capturable=capturable, differentiable=differentiable)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _begin(self, state: State, values: Array, group: Group) -> None:
        state["step"] = scalar(0)
        state["square_avg"] = full_like(values)
        if group["momentum"] > 0:
            state["momentum_buffer"] = full_like(values)
        if group["centered"]:
            state["grad_avg"] = full_like(values)

    def _update_group(self, group: Group) -> None:
        lr = float(group["lr"])
        alpha = group["alpha"]
        momentum = group["momentum"]
        for values, g, state in self._moving(group):
            advance(state)
            part = self._memory(g)
            v = moved_square(state["square_avg"], g, alpha, part)
            if group["centered"]:
                m = moved_mean(state["grad_avg"], g, alpha, part)
                v = np.subtract(v, np.square(m, part), part)
            np.sqrt(v, part)
            np.add(part, group["eps"], part)
            np.divide(g, part, part)
            if momentum:
                buffer = written(state["momentum_buffer"])
                np.multiply(buffer, momentum, buffer)
                np.add(buffer, part, buffer)
                np.multiply(buffer, lr, part)
            else:
                np.multiply(part, lr, part)
            np.subtract(values, part, values)
