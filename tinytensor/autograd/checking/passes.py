"""What can be said of a backward pass without a numeric derivative.

Two passes agree, a zero gives zero, no rule changes the gradient that it is given or minds how that
lies in memory, and a pass that is recorded gives what the plain one does.
"""

from __future__ import annotations

import numpy as np

from ... import random
from ...dtypes import Array
from ...tensor import Tensor
from .problem import SEED, GradcheckError, Problem, Settings, direction


def check_repeats(problem: Problem, outputs: list[Tensor], tolerance: float) -> None:
    again = problem.values_now(outputs, list(range(len(outputs))))
    for i, (y, other) in enumerate(zip(outputs, again, strict=True)):
        if not _equal(y._array, other, tolerance):
            raise GradcheckError(
                f"{problem.name}: expected func to give the same {problem.output_name(i)} on the "
                "same inputs, got another one the second time; does it keep a state, or draw from "
                "a generator of its own?"
            )


def check_backward(problem: Problem, outputs: list[Tensor], settings: Settings) -> None:
    """What can be said of the backward pass without a numeric derivative."""
    draw = random.Generator().manual_seed(SEED)
    upstream = [direction(draw, y._array) for y in outputs]
    given = [v.copy() for v in upstream]
    first = problem.gradients(outputs, given)
    problem.check_inputs_unchanged("the backward pass")
    if not all(map(np.array_equal, given, upstream)):
        raise GradcheckError(
            f"{problem.name}: expected the backward pass to leave the upstream gradient alone, got "
            "another value; a rule or kernel writes into its g, which others may share"
        )
    if settings.check_grad_dtypes:
        _check_dtypes(problem, first)

    again = problem.gradients(outputs, upstream)
    for name, g, other in zip(wanted_names(problem), first, again, strict=True):
        if not _equal(g, other, settings.nondet_tol):
            raise GradcheckError(
                f"{problem.name}: backward is not reentrant: expected two passes over one graph to "
                f"give the same gradient of {name}, got a largest difference of "
                f"{_largest_difference(g, other):.3g}; a rule or kernel keeps a state, or changes "
                "what it saved"
            )
    if settings.check_undefined_grad:
        zeros = problem.gradients(outputs, [np.zeros_like(v) for v in upstream])
        for name, g in zip(wanted_names(problem), zeros, strict=True):
            if np.any(g != 0):
                raise GradcheckError(
                    f"{problem.name}: expected an upstream gradient of zero to give zero, got "
                    f"{float(g[g != 0].flat[0]):.6g} in the gradient of {name}; a rule must be "
                    "linear in g"
                )
    strided = problem.gradients(outputs, [_strided(v) for v in upstream])
    _check_close(problem, first, strided, settings, "an upstream gradient that is not contiguous")
    recorded = problem.gradients(outputs, upstream, create_graph=True)
    _check_close(problem, first, recorded, settings, "create_graph=True")


def wanted_names(problem: Problem) -> list[str]:
    return [problem.input_names[i] for i in problem.wanted]


def _check_dtypes(problem: Problem, gradients: list[Array]) -> None:
    for i, g in zip(problem.wanted, gradients, strict=True):
        x = problem.values[i]._array
        if g.dtype != x.dtype:
            raise GradcheckError(
                f"{problem.name}: expected the gradient of {problem.input_names[i]} in its dtype "
                f"{x.dtype}, got {g.dtype}; a rule's constants must be Python numbers"
            )


def _check_close(
    problem: Problem, plain: list[Array], other: list[Array], settings: Settings, form: str
) -> None:
    for name, g, h in zip(wanted_names(problem), plain, other, strict=True):
        if not np.allclose(h, g, settings.rtol, settings.atol, equal_nan=True):
            raise GradcheckError(
                f"{problem.name}: expected the gradient of {name} to be the same plainly and with "
                f"{form}, got a largest difference of {_largest_difference(g, h):.3g}"
            )


def _equal(a: Array, b: Array, tolerance: float) -> bool:
    return a.shape == b.shape and np.allclose(a, b, rtol=0.0, atol=tolerance, equal_nan=True)


@np.errstate(all="ignore")
def _largest_difference(a: Array, b: Array) -> float:
    return float(np.max(np.abs(a - b)))


def _strided(v: Array) -> Array:
    """The same numbers with gaps between them, read-only."""
    spread = np.repeat(v[..., np.newaxis], 2, axis=-1)[..., 0]
    spread.flags.writeable = False
    return spread
