"""The analytic derivative against the numeric one: every element, or along one direction.

The numeric derivative of f along element k of an input is

    (f(x + eps e_k) - f(x - eps e_k)) / (2 eps),

whose error is about eps² f'''/6 + 1e-16 |f| / eps: in float64, with eps = 1e-6, some ten digits. In
float32 no step leaves a usable digit, so narrower inputs are lifted to float64 for the check.

The full mode compares every element of the Jacobian. The fast mode compares vᵀ J u for one random
direction u of each input and one random weighting v of each output: two evaluations an input,
whatever its size, and a wrong element anywhere still shows, unless it drowns in `rtol`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ... import random
from ...dtypes import Array
from ...tensor import Tensor
from .complex_step import complex_slopes
from .kinks import Bend, examine
from .problem import (
    SEED,
    GradcheckError,
    Problem,
    Settings,
    direction,
    float_values,
    perturbable,
)
from .report import Fault, Findings, Kink, disagreement, element_of_input, element_of_output

# -- element by element ----------------------------------------------------------------------------


def compare_jacobians(
    problem: Problem,
    outputs: list[Tensor],
    places: list[int],
    wanted: list[int],
    settings: Settings,
) -> Findings:
    """Every element of dy/dx, shape (y.numel(), x.numel()), for each pair of output and input.

    places : the positions of the outputs
    wanted : the positions of the inputs
    """
    analytic = {}
    for place in places:
        rows = _analytic_jacobian(problem, outputs[place])
        for i, jacobian in zip(problem.wanted, rows, strict=True):
            analytic[place, i] = jacobian
    findings = Findings()
    for i in wanted:
        columns = [analytic[place, i] for place in places]
        notes: dict[tuple[int, int, int], str] = {}  # {(output, row, column): what to add}
        if settings.complex_step:
            pairs = _complex_jacobian(problem, i, places, columns)
        else:
            pairs, notes = _numeric_jacobian(
                problem, i, outputs, places, columns, settings, findings
            )
        for place, (mine, numeric) in zip(places, pairs, strict=True):
            found = disagreement(mine, numeric, settings)
            if found is None:
                continue
            row, column = found.at
            x_place = element_of_input(problem, i, column)
            y_place = element_of_output(problem, outputs, place, row)
            note = notes.get((place, row, column), "")
            findings.faults.append(Fault(found, i, x_place, y_place, note))
    return findings


def _analytic_jacobian(problem: Problem, y: Tensor) -> list[Array]:
    """The Jacobians of one output, a backward pass a row."""
    sizes = [problem.values[i].numel() for i in problem.wanted]
    jacobians = [np.zeros((y.numel(), size)) for size in sizes]
    if y.requires_grad:
        for row in range(y.numel()):
            unit = np.zeros(y.shape, y._array.dtype)
            unit.flat[row] = 1
            for jacobian, g in zip(jacobians, problem.gradients([y], [unit]), strict=True):
                jacobian[row] = g.reshape(-1)
    return jacobians


def _numeric_jacobian(
    problem: Problem,
    i: int,
    outputs: list[Tensor],
    places: list[int],
    analytic: list[Array],
    settings: Settings,
    findings: Findings,
) -> tuple[list[tuple[Array, Array]], dict[tuple[int, int, int], str]]:
    """(analytic, numeric) with respect to one input, for each output; two evaluations a column.

    At a kink the two are replaced by what is to be compared there. Kinks go into `findings`; also
    returned is what is to be said of an element: {(output, row, column): note}.
    """
    eps = settings.eps
    pairs = [(jacobian.copy(), np.zeros(jacobian.shape)) for jacobian in analytic]
    notes: dict[tuple[int, int, int], str] = {}
    here = [float_values(outputs[place]) for place in places]
    with perturbable(problem.values[i]) as array:
        for column in range(array.size):
            before = float(array.flat[column])
            array.flat[column] = high = before + eps
            above = problem.values_now(outputs, places)
            array.flat[column] = low = before - eps
            below = problem.values_now(outputs, places)
            array.flat[column] = before
            _check_step(problem, i, high - low, eps)
            suspects: list[tuple[int, int]] = []
            for number, (mine, numeric) in enumerate(pairs):
                up, middle, down = above[number], here[number], below[number]
                slope = _slope(up, down, high - low).reshape(-1)
                numeric[:, column] = slope
                jump = _jump(up, middle, down, high - before, before - low)
                rows = _beyond(jump.reshape(-1), mine[:, column] - slope, slope, settings)
                suspects.extend((number, row) for row in rows)
            if not suspects:
                continue
            columns = [jacobian[:, column] for jacobian in analytic]
            verdicts = examine(
                lambda: problem.values_now(outputs, places),
                lambda number, row: _gradient_now(problem, i, places[number], row),
                array, column, suspects, columns, settings,
            )  # fmt: skip
            for verdict in verdicts:
                place = places[verdict.number]
                key = (place, verdict.row, column)
                mine, numeric = pairs[verdict.number]
                mine[verdict.row, column], numeric[verdict.row, column] = verdict.compared
                notes[key] = verdict.note
                if verdict.bend is not None:
                    findings.kinks.append(_kink(problem, outputs, i, key, verdict.bend))
    return pairs, notes


def _complex_jacobian(
    problem: Problem, i: int, places: list[int], analytic: list[Array]
) -> list[tuple[Array, Array]]:
    """(analytic, numeric) as `_numeric_jacobian` gives them, by complex steps, one a column."""
    pairs = [(jacobian, np.zeros(jacobian.shape)) for jacobian in analytic]
    unit = np.zeros(problem.values[i].shape)
    for column in range(unit.size):
        unit.flat[column] = 1
        slopes = complex_slopes(problem, i, unit, places)
        unit.flat[column] = 0
        for (_, numeric), slope in zip(pairs, slopes, strict=True):
            numeric[:, column] = slope.reshape(-1)
    return pairs


def _kink(
    problem: Problem, outputs: list[Tensor], i: int, key: tuple[int, int, int], bend: Bend
) -> Kink:
    place, row, column = key
    return Kink(
        element_of_input(problem, i, column),
        element_of_output(problem, outputs, place, row),
        *bend,
    )


@np.errstate(all="ignore")
def _beyond(jump: Array, error: Array, slope: Array, settings: Settings) -> list[int]:
    """The rows at which to look for a kink: the two slopes differ, or the gradient is wrong."""
    allowed = settings.atol + settings.rtol * np.abs(slope)
    suspect = (np.abs(jump) > allowed) | (np.abs(error) > allowed)
    return [int(row) for row in np.flatnonzero(suspect & np.isfinite(slope))]


def _gradient_now(problem: Problem, i: int, place: int, row: int) -> Array:
    """The gradient of one element of an output for an input, with the inputs as they are now."""
    y = problem.evaluate()[place]
    if not y.requires_grad:
        return np.zeros(problem.values[i].numel())
    unit = np.zeros(y.shape, y._array.dtype)
    unit.flat[row] = 1
    return problem.gradients([y], [unit])[problem.wanted.index(i)].reshape(-1)


# -- along one direction ---------------------------------------------------------------------------


def compare_directions(
    problem: Problem, outputs: list[Tensor], places: list[int], settings: Settings
) -> Findings:
    """vᵀ J u for each pair of output and input.

    At a kink the slopes along a direction do not bound those of its elements, so an input that
    seems to meet one is compared element by element.
    """
    draw = random.Generator().manual_seed(SEED)
    weights, gradients = _weighted_gradients(problem, outputs, places, draw)
    here = [float_values(outputs[place]) for place in places]
    findings = Findings()
    for position, i in enumerate(problem.wanted):
        u = direction(draw, problem.values[i]._array)
        if settings.complex_step:
            along = _Along(complex_slopes(problem, i, u, places), [np.zeros(())] * len(places), u)
        else:
            along = _along(problem, outputs, places, i, u, settings.eps, here)
            _check_step(problem, i, along.u, settings.eps)
        faults = []
        bends = False
        for number, place in enumerate(places):
            v = weights[number]
            found = disagreement(
                _projected(gradients[number][position], along.u),
                _projected(along.slopes[number], v),
                settings,
            )
            if found is None:
                continue
            bends = bends or bool(np.abs(_projected(along.jumps[number], v)) > found.allowed)
            x_place = f"{problem.input_names[i]}, along a random direction"
            y_place = f"{problem.output_name(place)}, its elements weighted at random"
            note = "With fast_mode=False the check names the element."
            faults.append(Fault(found, i, x_place, y_place, note))
        if bends:
            findings.add(compare_jacobians(problem, outputs, places, [i], settings))
        else:
            findings.faults.extend(faults)
    return findings


def errors_along_directions(problem: Problem, steps: Array) -> Array:
    """The largest relative error of vᵀ J u over all pairs of output and input, for each step."""
    outputs = problem.evaluate()
    places = [i for i, y in enumerate(outputs) if y.is_floating_point()]
    draw = random.Generator().manual_seed(SEED)
    weights, gradients = _weighted_gradients(problem, outputs, places, draw)
    here = [float_values(outputs[place]) for place in places]
    errors = np.zeros(steps.size)
    for position, i in enumerate(problem.wanted):
        direction_of_x = direction(draw, problem.values[i]._array)
        for k, step in enumerate(map(float, steps)):
            along = _along(problem, outputs, places, i, direction_of_x, step, here)
            for number in range(len(places)):
                analytic = float(_projected(gradients[number][position], along.u)[0])
                numeric = float(_projected(along.slopes[number], weights[number])[0])
                scale = abs(analytic) if analytic != 0 else 1.0
                errors[k] = max(errors[k], abs(analytic - numeric) / scale)
    return errors


class _Along(NamedTuple):
    """What each output does along the direction u of an input, as it was taken after rounding.

    slopes : the derivative
    jumps : by how much the slope ahead exceeds that behind
    """

    slopes: list[Array]
    jumps: list[Array]
    u: Array


def _along(
    problem: Problem,
    outputs: list[Tensor],
    places: list[int],
    i: int,
    direction_of_x: Array,
    eps: float,
    here: list[Array],
) -> _Along:
    with perturbable(problem.values[i]) as array:
        high = array + eps * direction_of_x
        low = array - eps * direction_of_x
        np.copyto(array, high)
        above = problem.values_now(outputs, places)
        np.copyto(array, low)
        below = problem.values_now(outputs, places)
    sides = list(zip(above, here, below, strict=True))
    slopes = [_slope(up, down, 2 * eps) for up, _, down in sides]
    jumps = [_jump(up, middle, down, eps, eps) for up, middle, down in sides]
    return _Along(slopes, jumps, _slope(high, low, 2 * eps))


def _weighted_gradients(
    problem: Problem, outputs: list[Tensor], places: list[int], draw: random.Generator
) -> tuple[list[Array], list[list[Array]]]:
    """A random weighting v of each output, and vᵀ J of it for each wanted input."""
    weights = [direction(draw, outputs[place]._array) for place in places]
    gradients = [
        problem.gradients([outputs[place]], [v])
        if outputs[place].requires_grad
        else [np.zeros_like(problem.values[i]._array) for i in problem.wanted]
        for place, v in zip(places, weights, strict=True)
    ]
    return weights, gradients


# -- small parts -----------------------------------------------------------------------------------


@np.errstate(all="ignore")
def _slope(above: Array, below: Array, step: float) -> Array:
    return (above - below) / step


@np.errstate(all="ignore")
def _jump(above: Array, here: Array, below: Array, forward: float, backward: float) -> Array:
    """By how much the slope to the right exceeds that to the left."""
    return (above - here) / forward - (here - below) / backward


@np.errstate(all="ignore")
def _projected(a: Array, b: Array) -> Array:
    """The sum of the products of two arrays, shape (1,)."""
    return np.atleast_1d(np.sum(a * b))


def _check_step(problem: Problem, i: int, difference: Any, eps: float) -> None:
    if np.any(difference == 0):
        raise GradcheckError(
            f"{problem.name}: expected the step {eps:g} to change every element of "
            f"{problem.input_names[i]}, got one that is too large for it; scale the input or "
            "give a larger eps"
        )
