"""Averaged stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..dtypes import Array
from ..tensor import Tensor
from .optimizer import Group, Optimizer
from .settings import check_common, check_plain
from .state import State, advance, full_like, scalar, written


class ASGD(Optimizer):
    """Gradient descent with a falling rate; the mean of the late parameters is kept beside.

        g = gradient + weight_decay p           (-gradient to maximise)
        p = (1 - lambd η) p - η g
        a = a + μ (p - a)
        then  η = lr / (1 + lambd lr t)^alpha,  μ = 1 / max(1, t - t0)

    foreach : taken for torch's sake, without effect
    State of a parameter: `step` t, `eta` η, `mu` μ, `ax` the mean a, which is for the user to read.
    Raises ValueError for a negative lr or weight_decay. Source: Polyak and Juditsky 1992; the
    schedule is Bottou's.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_common(lr, weight_decay=weight_decay)
        check_plain(capturable=capturable, differentiable=differentiable)
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _begin(self, state: State, values: Array, group: Group) -> None:
        state["step"] = scalar(0)
        state["eta"] = scalar(float(group["lr"]))
        state["mu"] = scalar(1)
        state["ax"] = full_like(values)

    def _update_group(self, group: Group) -> None:
        lr = float(group["lr"])
        lambd = group["lambd"]
        for values, g, state in self._moving(group):
            t = advance(state)
            rate = written(state["eta"])
            weight = written(state["mu"])
            mean = written(state["ax"])
            part = np.multiply(g, rate.item(), self._memory(g))
            np.multiply(values, 1 - lambd * rate.item(), values)
            np.subtract(values, part, values)
            if weight == 1:
                mean[...] = values
            else:
                np.subtract(values, mean, part)
                np.multiply(part, weight.item(), part)
                np.add(mean, part, mean)
            rate[...] = lr / (1 + lambd * lr * t) ** group["alpha"]
            weight[...] = 1 / max(1, t - group["t0"])
