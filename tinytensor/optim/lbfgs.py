"""L-BFGS: steps along the gradient times an estimate of the inverse Hessian."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..autograd.mode import enable_grad
from ..dtypes import Array
from ..tensor import Tensor, count_write, make
from .line_search import Point, strong_wolfe
from .optimizer import Group, Optimizer
from .settings import check_common
from .state import State, written


class LBFGS(Optimizer):
    """p += t d, where d = -H g and H estimates the inverse Hessian from the last steps.

        y, s = the changes of gradient and parameters in a step, kept if y·s > 1e-10
        d by the two loops over the kept pairs, from H0 = (y·s / y·y) I of the newest

    All parameters are one group, and one vector. A `step` runs up to `max_iter` iterations and
    needs a closure, which computes the loss of the same data each time.

    lr : the step t; the first one ever is lr min(1, 1 / ‖g‖₁)
    max_iter, max_eval : the most iterations in a `step`, calls of the closure (None: 5/4 max_iter)
    tolerance_grad : a `step` ends when no entry of the gradient is larger
    tolerance_change : a `step` ends when neither parameters nor loss change by more
    history_size : how many pairs are kept
    line_search_fn : None, or "strong_wolfe" to search t along d, from lr on
    State, under the first parameter: `func_evals`, `n_iter`, `d`, `t`, `old_dirs` (y), `old_stps`
    (s), `ro` (1 / y·s), `H_diag`, `prev_flat_grad`, `prev_loss`, `al` (scratch numbers).
    Raises ValueError for a negative lr and for several groups, RuntimeError for another line
    search. Source: Nocedal and Wright 2006, algorithms 7.4 and 7.5.

    >>> import tinytensor as tt
    >>> x = tt.nn.Parameter(tt.tensor([3.0, -2.0]))
    >>> optimizer = tt.optim.LBFGS([x], line_search_fn="strong_wolfe")
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = ((x - 1) ** 2).sum()
    ...     loss.backward()
    ...     return loss
    >>> optimizer.step(closure).item()
    13.0
    >>> [round(value, 4) for value in x.tolist()]
    [1.0, 1.0]
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check_common(lr)
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError(
                "LBFGS doesn't support per-parameter options (parameter groups); expected 1 group, "
                f"got {len(self.param_groups)}"
            )

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Run up to `max_iter` iterations.

        closure : zeroes the gradients, computes the loss and calls `backward`; what it returned at
            first is returned
        """
        if closure is None:
            raise TypeError("LBFGS.step: expected a closure that computes the loss, got None")
        group = self.param_groups[0]
        if group["line_search_fn"] not in (None, "strong_wolfe"):
            raise RuntimeError(
                f"only 'strong_wolfe' is supported, got line_search_fn={group['line_search_fn']!r}"
            )
        users = np.geterr()

        def evaluate() -> Any:
            with enable_grad(), np.errstate(**users):
                return closure()

        with np.errstate(all="ignore"):
            return _Minimisation(self, group, evaluate).run()


class _Minimisation:
    """One `step`: the parameters' vector, the state under its names, and the counts of this step.

    The numbers of the state are NumPy scalars meanwhile, in the parameters' type.
    """

    def __init__(self, optimizer: LBFGS, group: Group, evaluate: Callable[[], Any]) -> None:
        self.group = group
        self.parameters: list[Tensor] = group["params"]
        self.state: State = optimizer.state[self.parameters[0]]
        self.evaluate = evaluate
        self.evaluations = 0

    def run(self) -> Any:
        group = self.group
        state = self.state
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        first = self.evaluate()
        self._count(1)
        loss = float(first)
        g = self._gradient()
        if not g.size or np.abs(g).max() <= group["tolerance_grad"]:
            return first
        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            d = self._direction(g)
            before = loss
            self._remember(g, loss)
            t = float(group["lr"])
            if state["n_iter"] == 1:
                t = min(1.0, 1 / np.abs(g).sum()) * t
            state["d"] = make(d)
            state["t"] = _held(t)
            slope = g @ d
            if slope > -group["tolerance_change"]:
                break
            if group["line_search_fn"]:
                t, loss, g = self._searched(Point(0, loss, g, slope), d, t)
                state["t"] = _held(t)
                self._move(t, d)
            else:
                self._move(t, d)
                if iteration < group["max_iter"]:
                    loss = float(self.evaluate())
                    self._count(1)
                    g = self._gradient()
            if (
                self.evaluations >= group["max_eval"]
                or np.abs(g).max() <= group["tolerance_grad"]
                or np.abs(d * t).max() <= group["tolerance_change"]
                or abs(loss - before) < group["tolerance_change"]
            ):
                break
        return first

    def _direction(self, g: Array) -> Array:
        """-H g, after the last step's change of gradient and parameters went into H."""
        state = self.state
        if state["n_iter"] == 1:
            state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1)
            return np.negative(g)
        changes, steps, inverses = state["old_dirs"], state["old_stps"], state["ro"]
        y = g - state["prev_flat_grad"]._array
        s = state["d"]._array * _number(state["t"])
        curvature = y @ s
        if curvature > 1e-10:
            if len(changes) == self.group["history_size"]:
                for kept in (changes, steps, inverses):
                    del kept[0]
            changes.append(make(y))
            steps.append(make(s))
            inverses.append(_held(1 / curvature))
            state["H_diag"] = _held(curvature / (y @ y))
        amounts = state["al"] = [None] * self.group["history_size"]
        d = np.negative(g)
        for number in reversed(range(len(changes))):
            amount = (steps[number]._array @ d) * _number(inverses[number])
            d -= amount * changes[number]._array
            amounts[number] = _held(amount)
        d *= _number(state["H_diag"])
        for number in range(len(changes)):
            amount = (changes[number]._array @ d) * _number(inverses[number])
            d += (_number(amounts[number]) - amount) * steps[number]._array
        return d

    def _remember(self, g: Array, loss: float) -> None:
        held = self.state.get("prev_flat_grad")
        if held is None:
            self.state["prev_flat_grad"] = make(g.copy())
        else:
            written(held)[...] = g
        self.state["prev_loss"] = loss

    def _searched(self, start: Point, d: Array, t: Any) -> tuple[Any, float, Array]:
        """The step length that the line search finds, and loss and gradient there."""
        here = [parameter._array.copy() for parameter in self.parameters]

        def evaluate(t: Any) -> Point:
            self._move(t, d)
            loss = float(self.evaluate())
            g = self._gradient()
            for parameter, values in zip(self.parameters, here, strict=True):
                parameter._array[...] = values
                count_write(parameter._storage, "LBFGS.step")
            return Point(t, loss, g, g @ d)

        left = self.group["max_eval"] - self.evaluations
        point, evaluations = strong_wolfe(evaluate, start, t, np.abs(d).max(), left)
        self._count(evaluations)
        return point.t, point.loss, point.gradient

    def _gradient(self) -> Array:
        """The gradients of all parameters as one vector, with 0 where there is none."""
        parts = []
        for parameter in self.parameters:
            g = parameter._grad
            parts.append(np.zeros_like(parameter._array) if g is None else g._array)
        return np.concatenate([part.reshape(-1) for part in parts])

    def _move(self, t: Any, d: Array) -> None:
        """Add t d to the parameters."""
        start = 0
        for parameter in self.parameters:
            values = parameter._array
            part = d[start : start + values.size].reshape(values.shape)
            np.add(values, part * t, values, casting="same_kind")
            count_write(parameter._storage, "LBFGS.step")
            start += values.size

    def _count(self, evaluations: int) -> None:
        self.evaluations += evaluations
        self.state["func_evals"] += evaluations


def _held(number: Any) -> Any:
    """A number as the state has it: a Tensor if it is of the parameters' type."""
    return make(np.array(number)) if isinstance(number, np.generic) else number


def _number(held: Any) -> Any:
    return held._array[()] if isinstance(held, Tensor) else held
