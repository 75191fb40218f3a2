"""The error of the differences over their step size: a picture of whether a gradient is right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...dtypes import Array
from .differences import errors_along_directions
from .problem import (
    Problem,
    as_found,
    as_tuple,
    check_some_require_grad,
    input_names,
    warn_of_narrow,
)


@dataclass(frozen=True)
class StepSweep:
    """What `step_sweep` found.

    step : (S,) the step sizes, in the order given
    error : (S,) the error at each of them, relative to the analytic derivative
    """

    step: Array
    error: Array

    @property
    def best_step(self) -> float:
        """The step of the smallest error."""
        return float(self.step[np.nanargmin(self.error)])

    @property
    def best_error(self) -> float:
        return float(np.nanmin(self.error))

    def plot(self, ax: Any = None) -> Any:
        """Draw the error over the step, both logarithmic, into a Matplotlib `Axes`; returns it.

        ax : the Axes to draw into; a new figure's if None
        Raises ImportError where Matplotlib is not installed.
        """
        if ax is None:
            try:
                from matplotlib import pyplot
            except ImportError as error:
                raise ImportError(
                    "plot: expected Matplotlib to be installed; pip install matplotlib"
                ) from error
            ax = pyplot.subplots()[1]
        order = np.argsort(self.step)
        shown = np.maximum(self.error, np.finfo(np.float64).tiny)  # an exact 0 has no logarithm
        ax.loglog(self.step[order], shown[order], marker="o", markersize=3)
        ax.set_xlabel("step size")
        ax.set_ylabel("relative error of the difference")
        ax.set_title(f"best: {self.best_error:.1e} at a step of {self.best_step:.1e}")
        return ax


def step_sweep(
    func: Callable[..., Any], inputs: Any, steps: Sequence[float] | Array | None = None
) -> StepSweep:
    """The error of central differences of `func(*inputs)` against its gradient, step by step.

        |vᵀ J u - (vᵀ f(x + h u) - vᵀ f(x - h u)) / (2 h)|  /  |vᵀ J u|

    with one random direction u of each input and weighting v of each output, as in the fast mode of
    `gradcheck`; the largest over all pairs of them (absolute where vᵀ J u is 0).

    inputs : a Tensor or a tuple, as for `gradcheck`, and treated and restored as there
    steps : the step sizes h; two a decade from 1e-12 to 1 if None

    For a right gradient the error is a valley: it falls as h² from the right, where the difference
    is cut off after its first term, and rises as 1/h to the left, where rounding is left over. For
    a wrong one it is a plain at the height of the mistake. Raises ValueError if no input requires
    grad, or for steps that are not positive.
    """
    values = as_tuple(inputs)
    check_some_require_grad(values, "step_sweep")
    sizes = np.logspace(-12, 0, 25) if steps is None else np.asarray(steps, np.float64)
    if sizes.ndim != 1 or sizes.size == 0 or not np.all(sizes > 0):
        raise ValueError(f"step_sweep: expected steps to be a list of numbers > 0, got {steps!r}")
    warn_of_narrow(values, "step_sweep")
    with as_found(values):
        problem = Problem("step_sweep", func, values, input_names(values))
        error = errors_along_directions(problem, sizes)
    return StepSweep(sizes, error)
