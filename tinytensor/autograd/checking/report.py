"""What a failure and a kink are called: the input, the element, the gate, the time step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

import numpy as np

from ...dtypes import Array
from ...tensor import Tensor
from .problem import GradcheckError, Problem, Settings
from .times import time_step

_GATES = {"LSTM": "ifgo", "LSTMCell": "ifgo", "GRU": "rzn", "GRUCell": "rzn"}
_LISTED = 3  # how many kinks a warning spells out


@dataclass(frozen=True)
class Kink:
    """A point at which a function has no derivative along one element of an input.

    input, output : the elements concerned, in words
    left, right : the slopes on either side
    analytic : the gradient, a right one
    near : the kink is not at the input but within the step `eps` of it
    """

    input: str
    output: str
    left: float
    right: float
    analytic: float
    near: bool

    def __str__(self) -> str:
        slopes = f"slopes {self.left:.6g} from the left, {self.right:.6g} from the right"
        if self.near:
            return (
                f"kink within the step of {self.input} for {self.output}: {slopes}; smaller steps "
                f"give the analytic {self.analytic:.6g}"
            )
        return (
            f"kink at {self.input} for {self.output}: {slopes}; the analytic {self.analytic:.6g} "
            "lies between"
        )


class KinkWarning(UserWarning):
    """A gradient check met kinks, and the gradients there are right; they are in `kinks`."""

    def __init__(self, name: str, kinks: list[Kink]) -> None:
        self.kinks = tuple(kinks)
        lines = [f"  {kink}" for kink in kinks[:_LISTED]]
        if len(kinks) > _LISTED:
            lines.append(f"  and {len(kinks) - _LISTED} more")
        count = f"{len(kinks)} kink{'s' if len(kinks) > 1 else ''}"
        super().__init__(
            f"{name}: passed, with {count} at which there is no derivative but a slope on either "
            "side\n" + "\n".join(lines) + "\nkinks='fail' makes this an error"
        )


class Disagreement(NamedTuple):
    """The worst of the elements in which two arrays differ, and how many they are."""

    excess: float
    at: tuple[int, ...]
    analytic: float
    numeric: float
    allowed: float
    wrong: int
    total: int


class Fault(NamedTuple):
    """A disagreement, the position of the input, what to call the places, a note on the cause."""

    disagreement: Disagreement
    input: int
    input_place: str
    output_place: str
    note: str


@dataclass
class Findings:
    """What a comparison found."""

    faults: list[Fault] = field(default_factory=list)
    kinks: list[Kink] = field(default_factory=list)

    def add(self, other: Findings) -> None:
        self.faults.extend(other.faults)
        self.kinks.extend(other.kinks)


@np.errstate(all="ignore")
def disagreement(analytic: Array, numeric: Array, settings: Settings) -> Disagreement | None:
    """What is beyond tolerance; None if nothing is. An element that is no number always is."""
    allowed = settings.atol + settings.rtol * np.abs(numeric)
    excess = np.abs(analytic - numeric) - allowed
    excess = np.where(np.isnan(excess), np.inf, excess)
    count = int(np.sum(excess > 0))
    if count == 0:
        return None
    index = _plain(np.unravel_index(np.argmax(excess), excess.shape))
    return Disagreement(
        float(excess[index]),
        index,
        float(analytic[index]),
        float(numeric[index]),
        float(allowed[index]),
        count,
        excess.size,
    )


# -- names of places -------------------------------------------------------------------------------


def _plain(index: tuple[Any, ...]) -> tuple[int, ...]:
    return tuple(int(i) for i in index)


def _element(name: str, index: tuple[int, ...]) -> str:
    return f"{name}, element {index}" if index else name


def element_of_output(problem: Problem, outputs: list[Tensor], place: int, number: int) -> str:
    """The name of an output and the index of its element `number` in row-major order."""
    index = _plain(np.unravel_index(number, outputs[place].shape))
    return _element(problem.output_name(place), index)


def element_of_input(problem: Problem, i: int, number: int) -> str:
    """The same for an input, with the gate of a recurrent weight's row.

    input 1 'lstm.weight_hh_l0', element (5, 2) (gate f, unit 1)
    """
    value = problem.values[i]
    index = _plain(np.unravel_index(number, value.shape))
    gate = _gate(value, index)
    return _element(problem.input_names[i], index) + (f" ({gate})" if gate else "")


def _gate(value: Any, index: tuple[int, ...]) -> str:
    """The gate to which a row of a recurrent layer's weight belongs; "" for all other tensors.

    Rows stand gate by gate, as many of each as there are units: i f g o in an LSTM.
    """
    label = getattr(value, "_label", None)
    if label is None or label.parent is None or not index:
        return ""
    gates = _GATES.get(label.parent.kind)
    stem = label.name.split("_")[:2]
    if gates is None or value.shape[0] % len(gates) or stem not in (
        ["weight", "ih"], ["weight", "hh"], ["bias", "ih"], ["bias", "hh"]
    ):  # fmt: skip
        return ""
    units = value.shape[0] // len(gates)
    return f"gate {gates[index[0] // units]}, unit {index[0] % units}"


# -- the failure -----------------------------------------------------------------------------------


def fail(
    problem: Problem, outputs: list[Tensor], faults: list[Fault], settings: Settings
) -> NoReturn:
    """Raise GradcheckError with all that is known about the worst element."""
    fault = max(faults, key=lambda each: each.disagreement.excess)
    worst = fault.disagreement
    error = abs(worst.analytic - worst.numeric)
    largest = max(abs(worst.analytic), abs(worst.numeric))
    relative = error / largest if largest > 0 else np.nan
    wrong = sorted({each.input for each in faults})
    raise GradcheckError(
        f"{problem.name}: expected the analytic gradient to equal the numeric one, got at worst\n"
        f"  {fault.input_place}{_time(problem, fault)}\n"
        f"  {fault.output_place}\n"
        f"  analytic        {worst.analytic:.10g}\n"
        f"  numeric         {worst.numeric:.10g}\n"
        f"  absolute error  {error:.3g} (allowed: {worst.allowed:.3g})\n"
        f"  relative error  {relative:.3g}\n"
        f"  step size       {'complex' if settings.complex_step else f'{settings.eps:g}'}\n"
        f"Wrong: the gradient of {', '.join(problem.input_names[i] for i in wrong)}.\n"
        f"{_closing(outputs, fault)}"
    )


def _time(problem: Problem, fault: Fault) -> str:
    """ ", time step 3" where the worst element enters at one step of a recurrent layer only."""
    if len(fault.disagreement.at) < 2:  # along a direction: no element
        return ""
    step = time_step(problem, fault.input, fault.disagreement.at[1])
    return "" if step is None else f", time step {step}"


def _closing(outputs: list[Tensor], fault: Fault) -> str:
    if not any(y.requires_grad for y in outputs):
        return (
            "No output of func is in the graph: look for a .detach(), a no_grad, or an operation "
            "without a rule."
        )
    worst = fault.disagreement
    if len(worst.at) < 2:
        return fault.note
    count = f"{worst.wrong} of the {worst.total} elements of this Jacobian are beyond tolerance."
    return f"{count}\n{fault.note}" if fault.note else count
