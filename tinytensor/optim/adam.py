"""Adam and AdamW."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..dtypes import Array
from ..tensor import Tensor
from .optimizer import Group, Optimizer
from .settings import check_betas, check_common, check_forms, check_plain
from .state import State, advance, full_like, moved_mean, moved_square, scalar, written


class Adam(Optimizer):
    """p -= lr m̂ / (√v̂ + eps), with running means of the gradient and of its square.

        g = gradient + weight_decay p           (-gradient to maximise)
        m = β1 m + (1 - β1) g                   m̂ = m / (1 - β1^t)
        v = β2 v + (1 - β2) g²                  v̂ = v / (1 - β2^t)

    amsgrad : the largest v so far stands for v in v̂ (Reddi et al. 2018)
    decoupled_weight_decay : p *= 1 - lr weight_decay instead of decay in g, as in AdamW
    foreach, fused : taken for torch's sake, without effect
    State of a parameter: `step` t, `exp_avg` m, `exp_avg_sq` v, and with amsgrad `max_exp_avg_sq`.
    Raises ValueError for settings out of range. Source: Kingma and Ba 2015, algorithm 1.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        check_common(lr, eps, weight_decay)
        check_betas(betas)
        check_plain(capturable=capturable, differentiable=differentiable)
        check_forms(foreach, fused)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def _begin(self, state: State, values: Array, group: Group) -> None:
        state["step"] = scalar(0)
        state["exp_avg"] = full_like(values)
        state["exp_avg_sq"] = full_like(values)
        if group["amsgrad"]:
            state["max_exp_avg_sq"] = full_like(values)

    def _update_group(self, group: Group) -> None:
        lr = float(group["lr"])
        beta1, beta2 = group["betas"]
        eps = group["eps"]
        amsgrad = group["amsgrad"]
        for values, g, state in self._moving(group):
            t = advance(state)
            part = self._memory(g)
            m = moved_mean(state["exp_avg"], g, beta1, part)
            v = moved_square(state["exp_avg_sq"], g, beta2, part)
            if amsgrad:
                largest = written(state["max_exp_avg_sq"])
                v = np.maximum(largest, v, out=largest)
            # lr m̂ / (√v̂ + eps) with both corrections taken out of the arrays.
            correction1 = 1 - beta1**t
            correction2 = math.sqrt(1 - beta2**t)
            np.sqrt(v, part)
            np.add(part, eps * correction2, part)
            np.divide(m, part, part)
            np.multiply(part, lr * correction2 / correction1, part)
            np.subtract(values, part, values)


class AdamW(Adam):
    """Adam with weight decay beside the gradient: p *= 1 - lr weight_decay before each step.

    Arguments, state and errors as in `Adam`. Source: Loshchilov and Hutter 2019, algorithm 2.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )
