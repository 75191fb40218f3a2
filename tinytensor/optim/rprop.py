"""Resilient backpropagation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..dtypes import Array
from ..tensor import Tensor
from .optimizer import Group, Optimizer
from .settings import check_common, check_plain
from .state import State, advance, full_like, scalar, written


class Rprop(Optimizer):
    """p -= sign(g) Δ, with a step size Δ of each number's own: only signs of gradients count.

        Δ = Δ η+  where the gradient has the sign of the one before, Δ η-  where it has the other;
        Δ is kept within step_sizes. After a change of sign that g counts as 0.

    For gradients of the whole data: those of batches change their signs by chance.
    lr : the first Δ
    etas : (η-, η+)
    step_sizes : the least and the largest Δ
    foreach : taken for torch's sake, without effect
    State of a parameter: `step` t, `prev` the gradient before, `step_size` Δ.
    Raises ValueError for settings out of range. Source: Riedmiller and Braun 1993, in the form
    Rprop- of Igel and Hüsken 2003, which takes no step back.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_common(lr)
        if not 0 < etas[0] < 1 < etas[1]:
            raise ValueError(
                f"Invalid eta values: {etas[0]}, {etas[1]}; expected 0 < first < 1 < second"
            )
        check_plain(capturable=capturable, differentiable=differentiable)
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _begin(self, state: State, values: Array, group: Group) -> None:
        state["step"] = scalar(0)
        state["prev"] = full_like(values)
        state["step_size"] = full_like(values, float(group["lr"]))

    def _update_group(self, group: Group) -> None:
        smaller, larger = group["etas"]
        least, largest = group["step_sizes"]
        for values, g, state in self._moving(group):
            advance(state)
            before = written(state["prev"])
            size = written(state["step_size"])
            agreement = np.multiply(g, before, self._memory(g))
            same = np.greater(agreement, 0, self._memory(g, 0, np.bool_))
            np.multiply(size, larger, size, where=same)
            turned = np.less(agreement, 0, same)
            np.multiply(size, smaller, size, where=turned)
            np.clip(size, least, largest, out=size)
            before[...] = g
            before[turned] = 0
            step = np.sign(before, self._memory(g))
            np.multiply(step, size, step)
            np.subtract(values, step, values)
