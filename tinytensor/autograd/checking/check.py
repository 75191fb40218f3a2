"""`gradcheck` and `gradgradcheck`."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from ... import random
from ...tensor import make
from ..backward import grad
from .differences import compare_directions, compare_jacobians
from .passes import check_backward, check_repeats
from .problem import (
    SEED,
    GradcheckError,
    Problem,
    Settings,
    as_found,
    as_tuple,
    check_some_require_grad,
    direction,
    flat_outputs,
    input_names,
    requires_grad,
    warn_of_narrow,
)
from .report import Findings, KinkWarning, fail


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float | None = None,
    rtol: float | None = None,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    fast_mode: bool = False,
    kinks: str = "report",
    complex_step: bool = False,
) -> bool:
    """Compare the gradients of `func(*inputs)` with central differences.

    inputs : a Tensor or a tuple; those that require grad are checked, all others are passed on
    eps : the step of the differences
    atol, rtol : |analytic - numeric| may be atol + rtol |numeric|; if None 1e-5 and 1e-3, under
        `complex_step` 1e-12 and 1e-10
    nondet_tol : by how much two runs on the same numbers may differ
    check_undefined_grad : an upstream gradient of zero must give zero
    check_grad_dtypes : a gradient must have its input's dtype
    fast_mode : compare along one random direction of each input, not element by element
    kinks : "report" lets a right value at a kink pass with a `KinkWarning`; "fail" does not
    complex_step : the numeric derivative is Im func(x + i h) / h, exact to rounding whatever h is

    `func` gives a Tensor, or Tensors in tuples or lists; those that are outside the graph, integers
    for one, are left out. Besides the numbers this checks that `func` changes no input, that two
    backward passes are equal, that no rule changes the gradient that it is given or minds how that
    lies in memory, and that `create_graph=True` gives what the plain pass does.

    At a kink (relu at 0, a tie of max) there is no derivative but a slope on either side. Any value
    between the two is right there, if the gradients a step to the left and to the right are: a
    wrong rule is not excused. A kink that is not at the input but within the step of it is seen
    through by smaller steps. The fast mode looks at an input where it meets a kink element by
    element.

    The complex step has no error of its own, so it shows what differences can't: a derivative that
    is wrong in its tenth digit. It asks that every operation is analytic, and refuses the others by
    name; at a kink it knows the slope on one side only, and `kinks` and `eps` are without effect.

    Inputs are changed in their own memory and restored bit for bit, so they may be the very
    parameters that a closure uses:

        gradcheck(lambda *_: model(x), tuple(model.parameters()), fast_mode=True)

    Where an input that requires grad is narrower than float64, all floating-point inputs hold
    float64 copies during the check, and a warning says so. `func` always runs from the same state
    of the random stream, so a dropout draws one mask; the stream is left where it was.

    Returns True. Raises GradcheckError for a wrong gradient (with `raise_exception=False`: returns
    False), ValueError if no input requires grad, TypeError if `func` gives something else than
    Tensors. Names and defaults are those of torch.autograd.gradcheck; `kinks` and `complex_step`
    are our own.
    """
    values = as_tuple(inputs)
    check_some_require_grad(values, "gradcheck")
    atol, rtol = _tolerances(atol, rtol, complex_step)
    settings = Settings(
        eps, atol, rtol, nondet_tol, check_undefined_grad, check_grad_dtypes, fast_mode, kinks,
        complex_step,
    )  # fmt: skip
    _check_kinks_option(kinks, "gradcheck")
    warn_of_narrow(values, "gradcheck")
    with as_found(values):
        problem = Problem("gradcheck", func, values, input_names(values))
        return _judge(problem, settings, raise_exception)


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float | None = None,
    rtol: float | None = None,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    fast_mode: bool = False,
    kinks: str = "report",
    complex_step: bool = False,
) -> bool:
    """Compare the second derivatives of `func(*inputs)` with central differences of the first.

    What is checked is (inputs, grad_outputs) -> the gradients of the inputs, as `gradcheck` checks
    it; the other arguments, returns and errors are described there. A kink of `func` is a jump of
    its gradient, at which no second derivative is right: move the input off it.

    grad_outputs : a Tensor or a tuple, one for each output in the graph; drawn at random if None
    Raises ValueError if they are not as many as the outputs.
    """
    values = as_tuple(inputs)
    check_some_require_grad(values, "gradgradcheck")
    given = () if grad_outputs is None else as_tuple(grad_outputs)
    atol, rtol = _tolerances(atol, rtol, complex_step)
    settings = Settings(
        eps, atol, rtol, nondet_tol, check_undefined_grad, check_grad_dtypes, fast_mode, kinks,
        complex_step,
    )  # fmt: skip
    _check_kinks_option(kinks, "gradgradcheck")
    warn_of_narrow((*values, *given), "gradgradcheck")
    with as_found((*values, *given)):
        problem = _second_order(func, values, given)
        return _judge(problem, settings, raise_exception)


def _second_order(
    func: Callable[..., Any], values: tuple[Any, ...], given: tuple[Any, ...]
) -> Problem:
    """The gradients of `func` as a function of its inputs and of the upstream gradients."""
    count = len(values)
    wanted = [i for i, value in enumerate(values) if requires_grad(value)]
    names = input_names(values)

    def derivative(*arguments: Any) -> list[Any]:
        ys = [y for y in flat_outputs(func(*arguments[:count])) if y.requires_grad]
        targets = [arguments[i] for i in wanted]
        return list(grad(ys, targets, arguments[count:], create_graph=True, allow_unused=True))

    first = Problem("gradgradcheck", func, values, names)
    outputs = [y for y in first.evaluate() if y.requires_grad]
    if not given:
        draw = random.Generator().manual_seed(SEED)
        given = tuple(make(direction(draw, y._array), requires_grad=True) for y in outputs)
    if len(given) != len(outputs):
        raise ValueError(
            f"gradgradcheck: expected one of grad_outputs for each of the {len(outputs)} outputs "
            f"in the graph, got {len(given)}"
        )
    used = [i for i, g in zip(wanted, derivative(*values, *given), strict=True) if g is not None]
    return Problem(
        "gradgradcheck",
        lambda *arguments: [g for g in derivative(*arguments) if g is not None],
        (*values, *given),
        [*names, *(f"grad_output {i}" for i in range(len(given)))],
        [f"gradient of {names[i]}" for i in used],
        first,
    )


def _tolerances(atol: float | None, rtol: float | None, complex_step: bool) -> tuple[float, float]:
    """What was asked for, or what suits the error of the numeric derivative."""
    absolute, relative = (1e-12, 1e-10) if complex_step else (1e-5, 1e-3)
    return absolute if atol is None else atol, relative if rtol is None else rtol


def _check_kinks_option(kinks: str, name: str) -> None:
    if kinks not in ("report", "fail"):
        raise ValueError(f"{name}: expected kinks to be 'report' or 'fail', got {kinks!r}")


def _judge(problem: Problem, settings: Settings, raise_exception: bool) -> bool:
    try:
        found = _check(problem, settings)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    if found.kinks:
        warnings.warn(KinkWarning(problem.name, found.kinks), stacklevel=3)
    return True


def _check(problem: Problem, settings: Settings) -> Findings:
    outputs = problem.evaluate()
    problem.check_inputs_unchanged("func")
    check_repeats(problem, outputs, settings.nondet_tol)
    places = [i for i, y in enumerate(outputs) if y.requires_grad]
    if not places:
        # Then a derivative that is not zero was lost on the way: a .detach(), a missing rule.
        places = [i for i, y in enumerate(outputs) if y.is_floating_point()]
    else:
        check_backward(problem, [outputs[i] for i in places], settings)
    if settings.fast_mode:
        found = compare_directions(problem, outputs, places, settings)
    else:
        found = compare_jacobians(problem, outputs, places, problem.wanted, settings)
    if found.faults:
        fail(problem, outputs, found.faults, settings)
    return found
