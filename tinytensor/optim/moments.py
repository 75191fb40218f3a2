"""Relatives of Adam: NAdam, RAdam and Adamax."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..dtypes import Array
from ..tensor import Tensor
from .optimizer import Group, Optimizer
from .settings import check_betas, check_common, check_not_negative, check_plain
from .state import State, advance, full_like, moved_mean, moved_square, scalar, written


class NAdam(Optimizer):
    """Adam with Nesterov's momentum: the step looks ahead along m.

        g = gradient + weight_decay p           (-gradient to maximise)
        μ_t = β1 (1 - 0.96^(t momentum_decay) / 2)
        m = β1 m + (1 - β1) g
        v = β2 v + (1 - β2) g²                  v̂ = v / (1 - β2^t)
        m̂ = μ_{t+1} m / (1 - μ_1 ... μ_{t+1}) + (1 - μ_t) g / (1 - μ_1 ... μ_t)
        p -= lr m̂ / (√v̂ + eps)

    decoupled_weight_decay : p *= 1 - lr weight_decay instead of decay in g, as in AdamW
    foreach : taken for torch's sake, without effect
    State of a parameter: `step` t, `mu_product` μ_1 ... μ_t, `exp_avg` m, `exp_avg_sq` v.
    Raises ValueError for settings out of range. Source: Dozat 2016.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_common(lr, eps, weight_decay)
        check_betas(betas)
        check_not_negative(momentum_decay=momentum_decay)
        check_plain(capturable=capturable, differentiable=differentiable)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _begin(self, state: State, values: Array, group: Group) -> None:
        state["step"] = scalar(0)
        state["mu_product"] = scalar(1)
        state["exp_avg"] = full_like(values)
        state["exp_avg_sq"] = full_like(values)

    def _update_group(self, group: Group) -> None:
        lr = float(group["lr"])
        beta1, beta2 = group["betas"]
        eps = group["eps"]
        decay = group["momentum_decay"]
        for values, g, state in self._moving(group):
            t = advance(state)
            now = beta1 * (1 - 0.5 * 0.96 ** (t * decay))
            ahead = beta1 * (1 - 0.5 * 0.96 ** ((t + 1) * decay))
            held = written(state["mu_product"])
            product = np.multiply(held, now, held).item()
            m = moved_mean(state["exp_avg"], g, beta1, self._memory(g))
            v = moved_square(state["exp_avg_sq"], g, beta2, self._memory(g))
            root = np.divide(v, 1 - beta2**t, self._memory(g))
            np.sqrt(root, root)
            np.add(root, eps, root)
            step = np.multiply(g, lr * (1 - now) / (1 - product), self._memory(g, 2))
            part = np.multiply(m, lr * ahead / (1 - product * ahead), self._memory(g, 3))
            np.add(step, part, step)
            np.divide(step, root, step)
            np.subtract(values, step, values)


class RAdam(Optimizer):
    """Adam whose step is rectified for the variance of v̂, and without v̂ while that is unknown.

        g = gradient + weight_decay p           (-gradient to maximise)
        m = β1 m + (1 - β1) g                   m̂ = m / (1 - β1^t)
        v = β2 v + (1 - β2) g²                  v̂ = v / (1 - β2^t)
        ρ∞ = 2 / (1 - β2) - 1                   ρ = ρ∞ - 2 t β2^t / (1 - β2^t)
        r² = (ρ - 4)(ρ - 2) ρ∞ / ((ρ∞ - 4)(ρ∞ - 2) ρ)
        p -= lr m̂ r / √v̂  if ρ > 5,  else  p -= lr m̂

    eps is added to √v before its correction.
    decoupled_weight_decay : p *= 1 - lr weight_decay instead of decay in g, as in AdamW
    foreach : taken for torch's sake, without effect
    State of a parameter: `step` t, `exp_avg` m, `exp_avg_sq` v.
    Raises ValueError for settings out of range. Source: Liu et al. 2020, algorithm 2.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_common(lr, eps, weight_decay)
        check_betas(betas)
        check_plain(capturable=capturable, differentiable=differentiable)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _begin(self, state: State, values: Array, group: Group) -> None:
        state["step"] = scalar(0)
        state["exp_avg"] = full_like(values)
        state["exp_avg_sq"] = full_like(values)

    def _update_group(self, group: Group) -> None:
        lr = float(group["lr"])
        beta1, beta2 = group["betas"]
        eps = group["eps"]
        longest = 2 / (1 - beta2) - 1
        for values, g, state in self._moving(group):
            t = advance(state)
            m = moved_mean(state["exp_avg"], g, beta1, self._memory(g))
            v = moved_square(state["exp_avg_sq"], g, beta2, self._memory(g))
            correction = 1 - beta2**t
            length = longest - 2 * t * beta2**t / correction
            step = np.multiply(m, lr / (1 - beta1**t), self._memory(g))
            if length > 5:
                rectified = (length - 4) * (length - 2) * longest
                rectified /= (longest - 4) * (longest - 2) * length
                root = np.sqrt(v, self._memory(g, 2))
                np.add(root, eps, root)
                np.divide(step, root, step)
                np.multiply(step, math.sqrt(correction * rectified), step)
            np.subtract(values, step, values)


class Adamax(Optimizer):
    """Adam with the largest gradient in place of the mean of squares.

        g = gradient + weight_decay p           (-gradient to maximise)
        m = β1 m + (1 - β1) g
        u = max(β2 u, |g| + eps)
        p -= lr m / ((1 - β1^t) u)

    foreach : taken for torch's sake, without effect
    State of a parameter: `step` t, `exp_avg` m, `exp_inf` u.
    Raises ValueError for settings out of range. Source: Kingma and Ba 2015, algorithm 2.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_common(lr, eps, weight_decay)
        check_betas(betas)
        check_plain(capturable=capturable, differentiable=differentiable)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _begin(self, state: State, values: Array, group: Group) -> None:
        state["step"] = scalar(0)
        state["exp_avg"] = full_like(values)
        state["exp_inf"] = full_like(values)

    def _update_group(self, group: Group) -> None:
        lr = float(group["lr"])
        beta1, beta2 = group["betas"]
        eps = group["eps"]
        for values, g, state in self._moving(group):
            t = advance(state)
            m = moved_mean(state["exp_avg"], g, beta1, self._memory(g))
            largest = written(state["exp_inf"])
            part = np.abs(g, self._memory(g))
            np.add(part, eps, part)
            np.multiply(largest, beta2, largest)
            np.maximum(largest, part, out=largest)
            np.divide(m, largest, part)
            np.multiply(part, lr / (1 - beta1**t), part)
            np.subtract(values, part, values)
