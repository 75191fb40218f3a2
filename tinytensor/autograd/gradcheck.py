"""Gradient checks: the backward pass against central differences, at first and second order.

The numeric derivative of f along element k of an input is

    (f(x + eps e_k) - f(x - eps e_k)) / (2 eps),

whose error is about eps² f'''/6 + 1e-16 |f| / eps: in float64, with eps = 1e-6, some ten digits. In
float32 no step leaves a usable digit, so narrower inputs are lifted to float64 for the check.

The full mode compares every element of the Jacobian. The fast mode compares vᵀ J u for one random
direction u of each input and one random weighting v of each output: two evaluations an input,
whatever its size, and a wrong element anywhere still shows, unless it drowns in `rtol`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn

import numpy as np

from .. import random
from ..dtypes import Array
from ..tensor import Tensor, make
from .backward import grad
from .mode import enable_grad

_SEED = 0  # of the directions, which come from a generator of their own


class GradcheckError(RuntimeError):
    """A gradient is wrong, or came out in a wrong way; the message says which and where."""


class _Settings(NamedTuple):
    """What the user asked for; see `gradcheck`."""

    eps: float
    atol: float
    rtol: float
    nondet_tol: float
    check_undefined_grad: bool
    check_grad_dtypes: bool
    fast_mode: bool


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    fast_mode: bool = False,
) -> bool:
    """Compare the gradients of `func(*inputs)` with central differences.

    inputs : a Tensor or a tuple; those that require grad are checked, all others are passed on
    eps : the step of the differences
    atol, rtol : |analytic - numeric| may be atol + rtol |numeric|
    nondet_tol : by how much two runs on the same numbers may differ
    check_undefined_grad : an upstream gradient of zero must give zero
    check_grad_dtypes : a gradient must have its input's dtype
    fast_mode : compare along one random direction of each input, not element by element

    `func` gives a Tensor, or Tensors in tuples or lists; those that are outside the graph, integers
    for one, are left out. Besides the numbers this checks that `func` changes no input, that two
    backward passes are equal, that no rule changes the gradient that it is given or minds how that
    lies in memory, and that `create_graph=True` gives what the plain pass does.

    Inputs are changed in their own memory and restored bit for bit, so they may be the very
    parameters that a closure uses:

        gradcheck(lambda *_: model(x), tuple(model.parameters()), fast_mode=True)

    Where an input that requires grad is narrower than float64, all floating-point inputs hold
    float64 copies during the check, and a warning says so. `func` always runs from the same state
    of the random stream, so a dropout draws one mask; the stream is left where it was.

    Returns True. Raises GradcheckError for a wrong gradient (with `raise_exception=False`: returns
    False), ValueError if no input requires grad, TypeError if `func` gives something else than
    Tensors. Names and defaults are those of torch.autograd.gradcheck.
    """
    values = _as_tuple(inputs)
    _check_some_require_grad(values, "gradcheck")
    _warn_of_narrow(values, "gradcheck")
    settings = _Settings(
        eps, atol, rtol, nondet_tol, check_undefined_grad, check_grad_dtypes, fast_mode
    )
    with _as_found(values):
        problem = _Problem("gradcheck", func, values, _input_names(values))
        return _judge(problem, settings, raise_exception)


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    fast_mode: bool = False,
) -> bool:
    """Compare the second derivatives of `func(*inputs)` with central differences of the first.

    What is checked is (inputs, grad_outputs) -> the gradients of the inputs, as `gradcheck` checks
    it; the other arguments, returns and errors are described there.

    grad_outputs : a Tensor or a tuple, one for each output in the graph; drawn at random if None
    Raises ValueError if they are not as many as the outputs.
    """
    values = _as_tuple(inputs)
    _check_some_require_grad(values, "gradgradcheck")
    given = () if grad_outputs is None else _as_tuple(grad_outputs)
    _warn_of_narrow((*values, *given), "gradgradcheck")
    settings = _Settings(
        eps, atol, rtol, nondet_tol, check_undefined_grad, check_grad_dtypes, fast_mode
    )
    with _as_found((*values, *given)):
        problem = _second_order(func, values, given)
        return _judge(problem, settings, raise_exception)


def _second_order(
    func: Callable[..., Any], values: tuple[Any, ...], given: tuple[Any, ...]
) -> _Problem:
    """The gradients of `func` as a function of its inputs and of the upstream gradients."""
    count = len(values)
    wanted = [i for i, value in enumerate(values) if _requires_grad(value)]
    names = _input_names(values)

    def derivative(*arguments: Any) -> list[Any]:
        ys = [y for y in _flat_outputs(func(*arguments[:count])) if y.requires_grad]
        targets = [arguments[i] for i in wanted]
        return list(grad(ys, targets, arguments[count:], create_graph=True, allow_unused=True))

    outputs = _Problem("gradgradcheck", func, values, names).evaluate()
    outputs = [y for y in outputs if y.requires_grad]
    if not given:
        draw = random.Generator().manual_seed(_SEED)
        given = tuple(make(_direction(draw, y._array), requires_grad=True) for y in outputs)
    if len(given) != len(outputs):
        raise ValueError(
            f"gradgradcheck: expected one of grad_outputs for each of the {len(outputs)} outputs "
            f"in the graph, got {len(given)}"
        )
    used = [i for i, g in zip(wanted, derivative(*values, *given), strict=True) if g is not None]
    return _Problem(
        "gradgradcheck",
        lambda *arguments: [g for g in derivative(*arguments) if g is not None],
        (*values, *given),
        [*names, *(f"grad_output {i}" for i in range(len(given)))],
        [f"gradient of {names[i]}" for i in used],
    )


# -- inputs and outputs ----------------------------------------------------------------------------


def _as_tuple(values: Any) -> tuple[Any, ...]:
    return tuple(values) if isinstance(values, (tuple, list, Iterator)) else (values,)


def _requires_grad(value: Any) -> bool:
    return isinstance(value, Tensor) and value.requires_grad


def _check_some_require_grad(values: tuple[Any, ...], name: str) -> None:
    if not any(map(_requires_grad, values)):
        raise ValueError(
            f"{name}: expected at least one input tensor to require gradient, but none of them "
            "have requires_grad=True; call .requires_grad_() on those to be checked"
        )


def _input_names(values: tuple[Any, ...]) -> list[str]:
    """input 0, input 1 'lstm.weight_hh_l0', ...: a parameter by its path in the model as well."""
    names = []
    for i, value in enumerate(values):
        label = getattr(value, "_label", None)
        path = "" if label is None else label.path
        names.append(f"input {i} '{path}'" if path else f"input {i}")
    return names


def _is_narrow(value: Any) -> bool:
    return isinstance(value, Tensor) and value._array.dtype.kind == "f" and value.element_size() < 8


def _warn_of_narrow(values: tuple[Any, ...], name: str) -> None:
    """Say which inputs are lifted, at the line that called the public function."""
    names = _input_names(values)
    narrow = [
        f"{names[i]} ({value.dtype})"
        for i, value in enumerate(values)
        if _requires_grad(value) and _is_narrow(value)
    ]
    if narrow:
        more = f" and {len(narrow) - 3} more" if len(narrow) > 3 else ""
        warnings.warn(
            f"{name}: expected float64, in which differences are exact enough, got "
            f"{', '.join(narrow[:3])}{more}; checked as float64 copies",
            stacklevel=3,
        )


@contextmanager
def _as_found(values: tuple[Any, ...]) -> Iterator[None]:
    """Lift the inputs to float64; at the end give back them and the random stream as they were."""
    tensors = [value for value in values if isinstance(value, Tensor)]
    arrays = [tensor._array for tensor in tensors]
    contents = [array.copy() for array in arrays]
    state = random.default_generator.get_state()
    lift = any(_requires_grad(tensor) and _is_narrow(tensor) for tensor in tensors)
    try:
        for tensor in tensors:
            if lift and _is_narrow(tensor):
                tensor._array = tensor._array.astype(np.float64)
        with enable_grad():
            yield
    finally:
        for tensor, array, content in zip(tensors, arrays, contents, strict=True):
            tensor._array = array
            if array.flags.writeable:
                np.copyto(array, content)
        random.default_generator.set_state(state)


@contextmanager
def _perturbable(tensor: Tensor) -> Iterator[Array]:
    """The tensor's own memory, to be written unseen by the graph; restored at the end.

    Memory that can't be written element by element, as that of `expand`, is stood in for by a copy.
    """
    array = tensor._array
    low, high = np.lib.array_utils.byte_bounds(array)
    shares_elements = high - low < array.nbytes
    own = array.copy() if shares_elements or not array.flags.writeable else array
    before = own.copy()
    tensor._array = own
    try:
        yield own
    finally:
        np.copyto(own, before)
        tensor._array = array


def _flat_outputs(found: Any) -> list[Tensor]:
    """The Tensors in nested tuples and lists, in order."""
    if isinstance(found, Tensor):
        return [found]
    if not isinstance(found, (tuple, list)):
        raise TypeError(
            f"gradcheck: expected func to return Tensors, in tuples or lists, got "
            f"{type(found).__name__}"
        )
    return [tensor for part in found for tensor in _flat_outputs(part)]


class _Problem:
    """A function and the inputs at which it is checked.

    name : of the check, for messages
    wanted : the positions of the inputs that require grad
    """

    def __init__(
        self,
        name: str,
        func: Callable[..., Any],
        values: tuple[Any, ...],
        input_names: list[str],
        output_names: list[str] | None = None,
    ) -> None:
        self.name = name
        self.func = func
        self.values = values
        self.input_names = input_names
        self.wanted = [i for i, value in enumerate(values) if _requires_grad(value)]
        self._output_names = output_names
        self._stream = random.default_generator.get_state()
        self._contents = [v._array.copy() if isinstance(v, Tensor) else None for v in values]

    def evaluate(self) -> list[Tensor]:
        """All outputs, from the same state of the random stream every time."""
        random.default_generator.set_state(self._stream)
        return _flat_outputs(self.func(*self.values))

    def output_name(self, position: int) -> str:
        return self._output_names[position] if self._output_names else f"output {position}"

    def gradients(
        self, outputs: Sequence[Tensor], upstream: Sequence[Array], create_graph: bool = False
    ) -> list[Array]:
        """The gradients of the wanted inputs, zeros where they don't matter."""
        targets = [self.values[i] for i in self.wanted]
        given = [make(v) for v in upstream]
        found = grad(outputs, targets, given, True, create_graph, allow_unused=True)
        return [
            np.zeros_like(target._array) if g is None else g._array
            for target, g in zip(targets, found, strict=True)
        ]

    def check_inputs_unchanged(self, culprit: str) -> None:
        for i, content in enumerate(self._contents):
            if content is None:
                continue
            if not np.array_equal(self.values[i]._array, content, equal_nan=True):
                raise GradcheckError(
                    f"{self.name}: expected {culprit} to leave its inputs alone, got another value "
                    f"of {self.input_names[i]}; write into a .clone()"
                )


# -- the checks ------------------------------------------------------------------------------------


def _judge(problem: _Problem, settings: _Settings, raise_exception: bool) -> bool:
    try:
        _check(problem, settings)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def _check(problem: _Problem, settings: _Settings) -> None:
    outputs = problem.evaluate()
    problem.check_inputs_unchanged("func")
    _check_repeats(problem, outputs, settings.nondet_tol)
    places = [i for i, y in enumerate(outputs) if y.requires_grad]
    if not places:
        # Then a derivative that is not zero was lost on the way: a .detach(), a missing rule.
        places = [i for i, y in enumerate(outputs) if y.is_floating_point()]
    else:
        _check_backward(problem, [outputs[i] for i in places], settings)
    if settings.fast_mode:
        _compare_directions(problem, outputs, places, settings)
    else:
        _compare_jacobians(problem, outputs, places, settings)


def _check_repeats(problem: _Problem, outputs: list[Tensor], tolerance: float) -> None:
    again = _values(problem, outputs, list(range(len(outputs))))
    for i, (y, other) in enumerate(zip(outputs, again, strict=True)):
        if not _equal(y._array, other, tolerance):
            raise GradcheckError(
                f"{problem.name}: expected func to give the same {problem.output_name(i)} on the "
                "same inputs, got another one the second time; does it keep a state, or draw from "
                "a generator of its own?"
            )


def _check_backward(problem: _Problem, outputs: list[Tensor], settings: _Settings) -> None:
    """What can be said of the backward pass without a numeric derivative."""
    draw = random.Generator().manual_seed(_SEED)
    upstream = [_direction(draw, y._array) for y in outputs]
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
    for name, g, other in zip(_wanted_names(problem), first, again, strict=True):
        if not _equal(g, other, settings.nondet_tol):
            raise GradcheckError(
                f"{problem.name}: backward is not reentrant: expected two passes over one graph to "
                f"give the same gradient of {name}, got a largest difference of "
                f"{_largest_difference(g, other):.3g}; a rule or kernel keeps a state, or changes "
                "what it saved"
            )
    if settings.check_undefined_grad:
        zeros = problem.gradients(outputs, [np.zeros_like(v) for v in upstream])
        for name, g in zip(_wanted_names(problem), zeros, strict=True):
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


def _wanted_names(problem: _Problem) -> list[str]:
    return [problem.input_names[i] for i in problem.wanted]


def _check_dtypes(problem: _Problem, gradients: list[Array]) -> None:
    for i, g in zip(problem.wanted, gradients, strict=True):
        x = problem.values[i]._array
        if g.dtype != x.dtype:
            raise GradcheckError(
                f"{problem.name}: expected the gradient of {problem.input_names[i]} in its dtype "
                f"{x.dtype}, got {g.dtype}; a rule's constants must be Python numbers"
            )


def _check_close(
    problem: _Problem, plain: list[Array], other: list[Array], settings: _Settings, form: str
) -> None:
    for name, g, h in zip(_wanted_names(problem), plain, other, strict=True):
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


def _direction(draw: random.Generator, like: Array) -> Array:
    """Random numbers of either sign in the shape and dtype of `like`, none near zero."""
    sign = 2 * draw.bernoulli(0.5, like.shape) - 1
    return np.asarray(draw.uniform(like.shape, 0.5, 1.5, np.float64) * sign, like.dtype)


# -- analytic against numeric ----------------------------------------------------------------------


def _compare_jacobians(
    problem: _Problem, outputs: list[Tensor], places: list[int], settings: _Settings
) -> None:
    """Every element of dy/dx, shape (y.numel(), x.numel()), for each pair of output and input."""
    analytic = {}
    for place in places:
        rows = _analytic_jacobian(problem, outputs[place])
        for i, jacobian in zip(problem.wanted, rows, strict=True):
            analytic[place, i] = jacobian
    disagreements: list[_Found] = []
    for i in problem.wanted:
        columns = _numeric_jacobian(problem, i, outputs, places, settings.eps)
        for place, numeric in zip(places, columns, strict=True):
            found = _disagreement(analytic[place, i], numeric, settings)
            if found is None:
                continue
            row, column = found.at
            x_place = _element(problem.input_names[i], column, problem.values[i].shape)
            y_place = _element(problem.output_name(place), row, outputs[place].shape)
            disagreements.append((found, i, x_place, y_place))
    if disagreements:
        _fail(problem, outputs, disagreements, settings)


def _analytic_jacobian(problem: _Problem, y: Tensor) -> list[Array]:
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
    problem: _Problem, i: int, outputs: list[Tensor], places: list[int], eps: float
) -> list[Array]:
    """The Jacobians with respect to one input, two evaluations a column."""
    x = problem.values[i]
    jacobians = [np.zeros((outputs[place].numel(), x.numel())) for place in places]
    with _perturbable(x) as array:
        for column in range(array.size):
            before = float(array.flat[column])
            array.flat[column] = high = before + eps
            above = _values(problem, outputs, places)
            array.flat[column] = low = before - eps
            below = _values(problem, outputs, places)
            array.flat[column] = before
            _check_step(problem, i, high - low, eps)
            for jacobian, up, down in zip(jacobians, above, below, strict=True):
                jacobian[:, column] = _slope(up, down, high - low).reshape(-1)
    return jacobians


def _compare_directions(
    problem: _Problem, outputs: list[Tensor], places: list[int], settings: _Settings
) -> None:
    """vᵀ J u for each pair of output and input."""
    draw = random.Generator().manual_seed(_SEED)
    weights = [_direction(draw, outputs[place]._array) for place in places]
    gradients = [
        problem.gradients([outputs[place]], [v])
        if outputs[place].requires_grad
        else [np.zeros_like(problem.values[i]._array) for i in problem.wanted]
        for place, v in zip(places, weights, strict=True)
    ]
    disagreements: list[_Found] = []
    for position, i in enumerate(problem.wanted):
        x = problem.values[i]
        step = settings.eps * _direction(draw, x._array)
        with _perturbable(x) as array:
            high = array + step
            low = array - step
            np.copyto(array, high)
            above = _values(problem, outputs, places)
            np.copyto(array, low)
            below = _values(problem, outputs, places)
        u = _slope(high, low, 2 * settings.eps)  # the direction after rounding
        _check_step(problem, i, u, settings.eps)
        for number, place in enumerate(places):
            slope = _slope(above[number], below[number], 2 * settings.eps)
            found = _disagreement(
                _projected(gradients[number][position], u),
                _projected(slope, weights[number]),
                settings,
            )
            if found is not None:
                x_place = f"{problem.input_names[i]}, along a random direction"
                y_place = f"{problem.output_name(place)}, its elements weighted at random"
                disagreements.append((found, i, x_place, y_place))
    if disagreements:
        _fail(problem, outputs, disagreements, settings)


@np.errstate(all="ignore")
def _slope(above: Array, below: Array, step: float) -> Array:
    return (above - below) / step


@np.errstate(all="ignore")
def _projected(a: Array, b: Array) -> Array:
    """The sum of the products of two arrays, shape (1,)."""
    return np.atleast_1d(np.sum(a * b))


def _values(problem: _Problem, outputs: list[Tensor], places: list[int]) -> list[Array]:
    """Copies of the outputs at `places`, as they are now."""
    found = problem.evaluate()
    shapes = [tuple(y.shape) for y in found]
    expected = [tuple(y.shape) for y in outputs]
    if shapes != expected:
        raise GradcheckError(
            f"{problem.name}: expected func to keep the shapes {expected} of its outputs from call "
            f"to call, got {shapes}"
        )
    return [np.array(found[place]._array, np.float64) for place in places]


def _check_step(problem: _Problem, i: int, difference: Any, eps: float) -> None:
    if np.any(difference == 0):
        raise GradcheckError(
            f"{problem.name}: expected the step {eps:g} to change every element of "
            f"{problem.input_names[i]}, got one that is too large for it; scale the input or "
            "give a larger eps"
        )


# -- the report ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Disagreement:
    """The worst of the elements in which two arrays differ, and how many they are."""

    excess: float
    at: tuple[int, ...]
    analytic: float
    numeric: float
    allowed: float
    wrong: int
    total: int


@np.errstate(all="ignore")
def _disagreement(analytic: Array, numeric: Array, settings: _Settings) -> _Disagreement | None:
    """What is beyond tolerance; None if nothing is. An element that is no number always is."""
    allowed = settings.atol + settings.rtol * np.abs(numeric)
    excess = np.abs(analytic - numeric) - allowed
    excess = np.where(np.isnan(excess), np.inf, excess)
    count = int(np.sum(excess > 0))
    if count == 0:
        return None
    index = _plain(np.unravel_index(np.argmax(excess), excess.shape))
    return _Disagreement(
        float(excess[index]),
        index,
        float(analytic[index]),
        float(numeric[index]),
        float(allowed[index]),
        count,
        excess.size,
    )


def _plain(index: tuple[Any, ...]) -> tuple[int, ...]:
    return tuple(int(i) for i in index)


def _element(name: str, number: int, shape: tuple[int, ...]) -> str:
    """The name of a tensor and the index of its element `number` in row-major order."""
    index = _plain(np.unravel_index(number, shape))
    return f"{name}, element {index}" if index else name


# A disagreement, the position of the input, and what to call the places in the input and output.
_Found = tuple[_Disagreement, int, str, str]


def _fail(
    problem: _Problem, outputs: list[Tensor], found: list[_Found], settings: _Settings
) -> NoReturn:
    """Raise GradcheckError with all that is known about the worst element."""
    worst, _, input_place, output_place = max(found, key=lambda each: each[0].excess)
    error = abs(worst.analytic - worst.numeric)
    largest = max(abs(worst.analytic), abs(worst.numeric))
    relative = error / largest if largest > 0 else np.nan
    wrong = sorted({i for _, i, _, _ in found})
    if not any(y.requires_grad for y in outputs):
        closing = (
            "No output of func is in the graph: look for a .detach(), a no_grad, or an operation "
            "without a rule."
        )
    elif settings.fast_mode:
        closing = "With fast_mode=False the check names the element."
    else:
        closing = (
            f"{worst.wrong} of the {worst.total} elements of this Jacobian are beyond tolerance. "
            "At a kink (relu at 0) no gradient is right: move the input off it."
        )
    raise GradcheckError(
        f"{problem.name}: expected the analytic gradient to equal the numeric one, got at worst\n"
        f"  {input_place}\n"
        f"  {output_place}\n"
        f"  analytic        {worst.analytic:.10g}\n"
        f"  numeric         {worst.numeric:.10g}\n"
        f"  absolute error  {error:.3g} (allowed: {worst.allowed:.3g})\n"
        f"  relative error  {relative:.3g}\n"
        f"  step size       {settings.eps:g}\n"
        f"Wrong: the gradient of {', '.join(problem.input_names[i] for i in wrong)}.\n"
        f"{closing}"
    )
