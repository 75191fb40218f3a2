"""Adam and AdamW."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from .. import dtypes
from ..tensor import Tensor, count_write, make
from .optimizer import Group, Optimizer, State, aligned_zeros_like, check_plain, check_setting


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
        check_setting("learning rate", lr, float(lr) >= 0, "at least 0")
        check_setting("epsilon value", eps, eps >= 0, "at least 0")
        for number, beta in enumerate(betas):
            check_setting(f"beta parameter at index {number}", beta, 0 <= beta < 1, "0 <= beta < 1")
        check_setting("weight_decay value", weight_decay, weight_decay >= 0, "at least 0")
        check_plain(capturable=capturable, differentiable=differentiable)
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

    def _update_group(self, group: Group) -> None:
        lr = float(group["lr"])
        beta1, beta2 = group["betas"]
        eps = group["eps"]
        decay = group["weight_decay"]
        decoupled = group["decoupled_weight_decay"]
        maximize = group["maximize"]
        amsgrad = group["amsgrad"]
        for parameter in group["params"]:
            gradient = parameter._grad
            if gradient is None:
                continue
            values = parameter._array
            state = self.state[parameter] or self._begin(parameter, amsgrad)
            t = _advance(state["step"])
            if decoupled and decay:
                np.multiply(values, 1 - lr * decay, values)
            g = self._descent(parameter, gradient, 0 if decoupled else decay, maximize)
            m = _written(state["exp_avg"])
            v = _written(state["exp_avg_sq"])
            # One operation after the other into memory that is there: nothing is allocated.
            part = self._memory(g)
            np.multiply(g, 1 - beta1, part)
            np.multiply(m, beta1, m)
            np.add(m, part, m)
            np.square(g, part)
            np.multiply(part, 1 - beta2, part)
            np.multiply(v, beta2, v)
            np.add(v, part, v)
            if amsgrad:
                largest = _written(state["max_exp_avg_sq"])
                v = np.maximum(largest, v, out=largest)
            # lr m̂ / (√v̂ + eps) with both corrections taken out of the arrays.
            correction1 = 1 - beta1**t
            correction2 = math.sqrt(1 - beta2**t)
            np.sqrt(v, part)
            np.add(part, eps * correction2, part)
            np.divide(m, part, part)
            np.multiply(part, lr * correction2 / correction1, part)
            np.subtract(values, part, values)
            count_write(parameter._storage, f"{type(self).__name__}.step")

    def _begin(self, parameter: Tensor, amsgrad: bool) -> State:
        """The state of a parameter before its first step."""
        wide = dtypes.get_default_dtype() is dtypes.float64
        state = self.state[parameter]
        state["step"] = make(np.zeros((), np.float64 if wide else np.float32))
        state["exp_avg"] = make(aligned_zeros_like(parameter._array))
        state["exp_avg_sq"] = make(aligned_zeros_like(parameter._array))
        if amsgrad:
            state["max_exp_avg_sq"] = make(aligned_zeros_like(parameter._array))
        return state


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


def _advance(step: Tensor) -> float:
    """Count one step and give the count."""
    array = step._array
    np.add(array, 1, array)
    return array.item()


def _written(tensor: Tensor) -> Any:
    """The array of a tensor that is about to be written to."""
    tensor._storage[0] += 1
    return tensor._array
