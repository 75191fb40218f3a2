"""The search for a step length that satisfies the strong Wolfe conditions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..dtypes import Array

_DECREASE = 1e-4  # c1: at least this part of the decrease that the slope promises
_CURVATURE = 0.9  # c2: at most this part of the slope is left
_LEAST_CHANGE = 1e-9  # of any parameter within the bracket; below, the search ends


class Point(NamedTuple):
    """The loss at a step length t along the direction d, its gradient, and the slope gradient·d."""

    t: Any
    loss: float
    gradient: Array
    slope: Any


def strong_wolfe(
    evaluate: Callable[[Any], Point], start: Point, t: Any, size: Any, most: int
) -> tuple[Point, int]:
    """A point with

        loss <= start.loss + 1e-4 t start.slope   and   |slope| <= 0.9 |start.slope|,

    or the lowest found after `most` further evaluations, and how often it evaluated.

    t : the first step length to try
    size : the largest entry of the direction
    Source: Nocedal and Wright 2006, algorithms 3.5 and 3.6, with the safeguards of Schmidt's
    minFunc, so that it tries torch's step lengths.
    """
    previous = start
    point = evaluate(t)
    evaluations = 1
    for tried in range(most):
        high = _too_high(point, start) or (tried > 1 and point.loss >= previous.loss)
        if not high and _is_flat(point, start):
            return point, evaluations
        if high or point.slope >= 0:
            return _zoom(evaluate, start, [previous, point], size, most - tried, evaluations)
        farther = point.t + 0.01 * (point.t - previous.t)
        t = _lowest_of_cubic(previous, point, farther, 10 * point.t)
        previous, point = point, evaluate(t)
        evaluations += 1
    return (start if start.loss <= point.loss else point), evaluations


def _zoom(
    evaluate: Callable[[Any], Point],
    start: Point,
    bracket: list[Point],
    size: Any,
    most: int,
    evaluations: int,
) -> tuple[Point, int]:
    """The same, within two points that have such a point between them."""
    near_an_end = False
    low = _lower(bracket)
    for _ in range(most):
        first, second = bracket
        if abs(second.t - first.t) * size < _LEAST_CHANGE:
            break
        left = min(first.t, second.t)
        right = max(first.t, second.t)
        t = _lowest_of_cubic(first, second, left, right)
        # Close to an end twice running, or at it: move a tenth of the way inside.
        margin = 0.1 * (right - left)
        was_near = near_an_end
        near_an_end = min(right - t, t - left) < margin
        if near_an_end and (was_near or t >= right or t <= left):
            t = right - margin if abs(t - right) < abs(t - left) else left + margin
            near_an_end = False
        point = evaluate(t)
        evaluations += 1
        if _too_high(point, start) or point.loss >= bracket[low].loss:
            bracket[1 - low] = point
            low = _lower(bracket)
            continue
        flat = _is_flat(point, start)
        if not flat and point.slope * (bracket[1 - low].t - bracket[low].t) >= 0:
            bracket[1 - low] = bracket[low]
        bracket[low] = point
        if flat:
            break
    return bracket[low], evaluations


def _too_high(point: Point, start: Point) -> bool:
    return bool(point.loss > start.loss + _DECREASE * point.t * start.slope)


def _is_flat(point: Point, start: Point) -> bool:
    return bool(abs(point.slope) <= -_CURVATURE * start.slope)


def _lower(bracket: list[Point]) -> int:
    """Which of the two is lower, the first if they are equal."""
    return 0 if bracket[0].loss <= bracket[1].loss else 1


def _lowest_of_cubic(a: Point, b: Point, least: Any, most: Any) -> Any:
    """Where the cubic through two points' losses and slopes is lowest, within the bounds.

    Their middle if it has no minimum. Source: Nocedal and Wright 2006, equation 3.59.
    """
    if a.t == b.t:
        return a.t
    if a.t > b.t:
        a, b = b, a
    d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = d1**2 - a.slope * b.slope
    if not square >= 0:
        return (least + most) / 2.0
    d2 = np.sqrt(square)
    t = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2))
    return min(max(t, least), most)
