"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..tensor import Tensor, count_write
from .optimizer import Group, Optimizer
from .settings import check_common, check_forms, check_not_negative, check_plain
from .state import full_like


class SGD(Optimizer):
    """p -= lr d, where d is the gradient, with weight decay and momentum.

        d = g + weight_decay p                  (-g to maximise)
        b = momentum b + (1 - dampening) d      (at first b = d)
        d = b,  or with Nesterov's  d + momentum b

    State of a parameter, if there is momentum: `momentum_buffer`, b.
    foreach, fused : taken for torch's sake, without effect
    Raises ValueError for negative settings, and for Nesterov without momentum or with dampening.
    Source: Sutskever et al. 2013, in torch's form, where lr is outside of b.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_common(lr, weight_decay=weight_decay)
        check_not_negative(momentum=momentum)
        check_plain(differentiable=differentiable)
        check_forms(foreach, fused)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)

    def _update_group(self, group: Group) -> None:
        lr = float(group["lr"])
        momentum = group["momentum"]
        decay = group["weight_decay"]
        maximize = group["maximize"]
        for parameter in group["params"]:
            gradient = parameter._grad
            if gradient is None:
                continue
            d = self._descent(parameter, gradient, decay, maximize)
            if momentum:
                d = self._with_momentum(parameter, d, group)
            step = np.multiply(d, lr, self._memory(d))
            values = parameter._array
            np.subtract(values, step, values)
            count_write(parameter._storage, "SGD.step")

    def _with_momentum(self, parameter: Tensor, d: Any, group: Group) -> Any:
        """The direction with momentum, to be read only; the buffer takes in d."""
        momentum = group["momentum"]
        dampening = group["dampening"]
        state = self.state[parameter]
        held = state.get("momentum_buffer")
        if held is None:
            held = state["momentum_buffer"] = full_like(d)
            held._array[...] = d
        else:
            buffer = held._array
            np.multiply(buffer, momentum, buffer)
            part = np.multiply(d, 1 - dampening, self._memory(d)) if dampening else d
            np.add(buffer, part, buffer)
            held._storage[0] += 1
        if not group["nesterov"]:
            return held._array
        ahead = np.multiply(held._array, momentum, self._memory(d))
        return np.add(ahead, d, ahead)
