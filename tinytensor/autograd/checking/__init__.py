"""Gradient checks: the backward pass against differences, at first and second order.

check.py        the public functions
problem.py      what is checked, and how it is left as it was found
passes.py       what holds of backward passes without a numeric derivative
differences.py  the analytic derivative against the numeric one
complex_step.py the numeric derivative of analytic functions, without differences
kinks.py        points without a derivative, told by the slopes on either side
report.py       what a failure and a kink are called
times.py        the time step at which an element of an input enters
sweep.py        the error over the step size
"""

from .check import gradcheck, gradgradcheck
from .problem import GradcheckError
from .report import Kink, KinkWarning
from .sweep import StepSweep, step_sweep

__all__ = [
    "GradcheckError",
    "Kink",
    "KinkWarning",
    "StepSweep",
    "gradcheck",
    "gradgradcheck",
    "step_sweep",
]
