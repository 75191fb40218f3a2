"""Points without a derivative, told from wrong gradients by the slopes on either side.

Along one element x of an input, with steps h = eps, eps/10, eps/100, let

    left(h) = (f(x) - f(x - h)) / h,    right(h) = (f(x + h) - f(x)) / h,    jump = |right - left|.

Where f is smooth the jump is h f'' and falls with h. At a kink it stays. Where f itself jumps it
grows as 1/h. Where a kink lies between x and x ± eps it vanishes once h falls short of it.

At a kink every value between left and right is a generalised derivative (Clarke 1975; for a convex
f: a subgradient), which is what rules give there by convention.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ...dtypes import Array
from .problem import Settings

_SHRINK = (1.0, 0.1, 0.01)  # the steps in units of eps
_ROUNDING = 4 * float(np.finfo(np.float64).eps)  # of a difference of two values, relative to them


class Bend(NamedTuple):
    """A kink along one element of an input; `near`: not at the input but within the step of it."""

    left: float
    right: float
    analytic: float
    near: bool


class Verdict(NamedTuple):
    """What was found for one element of the Jacobian that is not smooth there.

    number, row : the output among those compared, and its element
    compared : the analytic and the numeric value that must agree there
    note : for the report, should they not
    bend : the kink, if it is one and the values compared agree
    """

    number: int
    row: int
    compared: tuple[float, float]
    note: str
    bend: Bend | None


class _Sides(NamedTuple):
    """The slopes on either side of one element, and their rounding error, for each of the steps."""

    left: Array
    right: Array
    rounding: Array


def examine(
    evaluate: Callable[[], list[Array]],
    gradient: Callable[[int, int], Array],
    array: Array,
    column: int,
    suspects: list[tuple[int, int]],
    columns: list[Array],
    settings: Settings,
) -> list[Verdict]:
    """Look for a kink of the suspect elements of the outputs, along one element of an input.

    evaluate : the outputs at the input as it is now
    gradient : (number of an output, its element) -> its gradient at the input as it is now
    array : the input's memory, which is written and restored
    suspects : (number of an output, its element)
    columns : for each output its analytic derivative along the element
    Elements at which the function seems smooth get no verdict.
    """
    x = float(array.flat[column])
    if x + settings.eps * _SHRINK[-1] == x:
        return []
    sides = _sides(evaluate, array, column, suspects, settings.eps)
    verdicts = []
    for (number, row), side in zip(suspects, sides, strict=True):
        analytic = float(columns[number][row])
        allowed = _allowed(float(np.max(np.abs([side.left[-1], side.right[-1]]))), settings)
        kind = _kind(side, allowed)
        left, right = float(side.left[-1]), float(side.right[-1])
        if kind == "jump":
            note = (
                "The function jumps here: its slope grows as the step falls, and no derivative "
                "is right. Move the input off the jump."
            )
            numeric = (float(side.left[0]) + float(side.right[0])) / 2
            verdicts.append(Verdict(number, row, (analytic, numeric), note, None))
        elif kind == "near":
            if side.rounding[-1] <= allowed:
                smooth = (left + right) / 2  # on the side of the kink where the input is
                outer = Bend(float(side.left[0]), float(side.right[0]), analytic, True)
                verdicts.append(_excused(number, row, outer, smooth, settings))
        elif kind == "kink":
            bend = Bend(left, right, analytic, False)
            beside = _beside(evaluate, gradient, array, column, number, row, settings)
            verdicts.append(_at_kink(number, row, bend, allowed, beside, settings))
    return verdicts


def _sides(
    evaluate: Callable[[], list[Array]],
    array: Array,
    column: int,
    suspects: list[tuple[int, int]],
    eps: float,
) -> list[_Sides]:
    x = float(array.flat[column])
    here = _picked(evaluate(), suspects)
    left = np.zeros((len(_SHRINK), len(suspects)))
    right = np.zeros_like(left)
    rounding = np.zeros_like(left)
    for k, factor in enumerate(_SHRINK):
        array.flat[column] = high = x + eps * factor
        above = _picked(evaluate(), suspects)
        array.flat[column] = low = x - eps * factor
        below = _picked(evaluate(), suspects)
        array.flat[column] = x
        with np.errstate(all="ignore"):
            right[k] = (above - here) / (high - x)
            left[k] = (here - below) / (x - low)
            rounding[k] = _ROUNDING * np.maximum(np.abs(above), np.abs(below)) / (high - x)
    return [_Sides(left[:, n], right[:, n], rounding[:, n]) for n in range(len(suspects))]


def _picked(outputs: list[Array], suspects: list[tuple[int, int]]) -> Array:
    return np.array([outputs[number].flat[row] for number, row in suspects])


def _kind(side: _Sides, allowed: float) -> str:
    """ "kink", "near", "jump" or "smooth"; what can't be told from rounding is smooth."""
    if not (np.isfinite(side.left).all() and np.isfinite(side.right).all()):
        return "smooth"
    steepness = np.maximum(np.abs(side.left), np.abs(side.right))
    if steepness[-1] > max(allowed, 10 * side.rounding[-1], 30 * steepness[0]):
        return "jump"
    first, second, last = (float(jump) for jump in np.abs(side.right - side.left))
    if first <= allowed or first <= 10 * side.rounding[0]:
        return "smooth"
    if last > 2 * allowed and last > 10 * side.rounding[-1]:
        return "kink" if 0.5 * second <= last <= 2 * first else "smooth"
    falls_evenly = 0.05 * first <= second <= 0.2 * first
    return "smooth" if falls_evenly else "near"


def _at_kink(
    number: int,
    row: int,
    bend: Bend,
    allowed: float,
    beside: list[tuple[str, float, float]],
    settings: Settings,
) -> Verdict:
    """Right if the value lies between the slopes and the gradients on either side are right."""
    low, high = min(bend.left, bend.right), max(bend.left, bend.right)
    slopes = f"slopes {bend.left:.6g} from the left, {bend.right:.6g} from the right"
    nearest = min(max(bend.analytic, low), high)
    if abs(bend.analytic - nearest) > allowed:
        note = f"The function has a kink here: {slopes}; the analytic value lies outside them."
        return Verdict(number, row, (bend.analytic, nearest), note, None)
    for side, analytic, numeric in beside:
        if not abs(analytic - numeric) <= _allowed(abs(numeric), settings):
            note = (
                f"The function has a kink here: {slopes}; the values compared are those one step "
                f"{side} of it, where it has a derivative."
            )
            return Verdict(number, row, (analytic, numeric), note, None)
    return _excused(number, row, bend, bend.analytic, settings)


def _excused(number: int, row: int, bend: Bend, numeric: float, settings: Settings) -> Verdict:
    """A kink with a right value: passes, unless the user wants none."""
    if settings.kinks == "report":
        return Verdict(number, row, (bend.analytic, numeric), "", bend)
    far = max(bend.left, bend.right, key=lambda slope: abs(slope - bend.analytic))
    note = (
        f"The function has a kink {'within the step' if bend.near else 'here'}: slopes "
        f"{bend.left:.6g} from the left, {bend.right:.6g} from the right. Move the input off it, "
        "or pass kinks='report'."
    )
    return Verdict(number, row, (bend.analytic, far), note, None)


def _beside(
    evaluate: Callable[[], list[Array]],
    gradient: Callable[[int, int], Array],
    array: Array,
    column: int,
    number: int,
    row: int,
    settings: Settings,
) -> list[tuple[str, float, float]]:
    """(side, analytic, numeric) one step to the left and to the right."""
    x = float(array.flat[column])
    found = []
    for side, sign in (("left", -1), ("right", 1)):
        middle = x + sign * settings.eps
        array.flat[column] = middle
        analytic = float(gradient(number, row)[column])
        array.flat[column] = high = middle + settings.eps / 2
        above = float(evaluate()[number].flat[row])
        array.flat[column] = low = middle - settings.eps / 2
        below = float(evaluate()[number].flat[row])
        array.flat[column] = x
        found.append((side, analytic, (above - below) / (high - low)))
    return found


def _allowed(size: float, settings: Settings) -> float:
    return settings.atol + settings.rtol * size
