"""The error function and the logit. In the formulas y is the result, g its gradient, gx that of x.

NumPy has no error function. W. J. Cody, "Rational Chebyshev approximations for the error function",
Mathematics of Computation 23 (1969), gives one for |x| below 0.46875 and one for the complement
above that; the coefficients are those of his routine CALERF. Computed in float64 they are within
2 units in the last place of erf, and a narrower type is rounded from there.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autograd.primitive import primitive
from ..dtypes import Array
from .elementwise import exp, where

_TWO_OVER_ROOT_PI = 2 / math.sqrt(math.pi)

# erf(x) = x + x (P - Q)(x²) / Q(x²) up to 0.5, highest power first; Q begins with 1. Taken as their
# difference, because the rounding errors of the fraction then count an eighth as much.
_NEAR_P_Q = (
    -8.14222293815396847e-1,
    -2.04401672084735553e1,
    -1.30160483783394017e2,
    -9.05131288392070259e2,
    3.65140755699298850e2,
)
_NEAR_Q = (
    1.0,
    2.36012909523441209e1,
    2.44024637934444173e2,
    1.28261652607737228e3,
    2.84423683343917062e3,
)

# 1 - erf(x) = exp(-x²) P(x) / Q(x) from 0.5 to 4. From there to 6, where erf(x) is 1 in float64,
# it is below 1.6e-8, so the same fraction, less exact there, serves. P / Q is near 1 near 0, hence
# again their difference: erf(x) = 1 - exp(-x²) + exp(-x²) (Q - P)(x) / Q(x).
_FAR_Q_P = (
    9.99999978468846453e-1,
    1.51807376137211646e1,
    1.08810801096924123e2,
    4.71061911224868228e2,
    1.32275443636929006e3,
    2.40884701449169054e3,
    2.65057147750917658e3,
    1.38828929631765017e3,
    5.75217000000000000e-9,
)
_FAR_Q = (
    1.0,
    1.57449261107098347e1,
    1.17693950891312499e2,
    5.37181101862009858e2,
    1.62138957456669019e3,
    3.29079923573345963e3,
    4.36261909014324716e3,
    3.43936767414372164e3,
    1.23033935480374942e3,
)


def _polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    """Horner's scheme, highest power first."""
    y = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        y *= x
        y += coefficient
    return y


def _erf_near(x: Array) -> Array:
    """erf(x) for |x| < 0.5."""
    square = x * x
    return x + x * (_polynomial(_NEAR_P_Q, square) / _polynomial(_NEAR_Q, square))


def _erf_far(x: Array) -> Array:
    """erf(x) for 0.5 <= x <= 6."""
    square = x * x
    fraction = _polynomial(_FAR_Q_P, x) / _polynomial(_FAR_Q, x)
    return np.exp(-square) * fraction - np.expm1(-square)


def erf_of(x: Array) -> Array:
    """erf of an array, in its own floating-point type; also for other forwards."""
    wide = np.asarray(x, np.float64)
    size = np.abs(wide)
    near = size < 0.5
    if near.all():
        return np.asarray(_erf_near(wide), x.dtype)
    far = np.copysign(_erf_far(np.clip(size, 0.5, 6.0)), wide)
    if near.any():
        far = np.where(near, _erf_near(np.where(near, wide, 0.0)), far)
    return np.asarray(far, x.dtype)


@primitive(lambda g, x: g * (exp(-(x * x)) * _TWO_OVER_ROOT_PI), promote="float")
def erf(x: Array) -> Array:
    """y = 2/√π ∫₀ˣ e^(-t²) dt, within 2 units in the last place;  gx = g 2/√π e^(-x²)."""
    return erf_of(x)


def _logit_gradient(g: Any, x: Any, eps: float | None) -> Any:
    """g / (x (1 - x)) inside the bounds; outside them 0, or NaN where there are no bounds."""
    low, outside = (0.0, math.nan) if eps is None or eps < 0 else (eps, 0.0)
    slope = 1 / (x * (1 - x) + 0.0)  # + 0.0 makes 0 of -0, where the slope is +inf as well
    return where((x < low) | (x > 1 - low), outside, g * slope)


@primitive(_logit_gradient, promote="float")
def logit(x: Array, eps: float | None = None) -> Array:
    """y = ln(x / (1 - x)), with x held between eps and 1 - eps first where there is an eps.

    gx = g / (x (1 - x)), also at the bounds; beyond them 0, without an eps not a number.
    """
    if not (eps is None or isinstance(eps, (int, float))):
        raise TypeError(f"logit: expected eps to be a number or None, got {type(eps).__name__}")
    if eps is not None and eps >= 0:
        low = x.dtype.type(eps)
        high = x.dtype.type(1 - low)
        x = np.where(x < low, low, np.where(x > high, high, x))
    return np.log(x / (1 - x))
