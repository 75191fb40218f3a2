"""A function, the inputs at which it is checked, and how both are left as they were found."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from ... import random
from ...dtypes import Array
from ...tensor import Tensor, make
from ..backward import grad
from ..mode import enable_grad

SEED = 0  # of the directions, which come from a generator of their own


class GradcheckError(RuntimeError):
    """A gradient is wrong, or came out in a wrong way; the message says which and where."""


class Settings(NamedTuple):
    """What the user asked for; see `gradcheck`."""

    eps: float
    atol: float
    rtol: float
    nondet_tol: float
    check_undefined_grad: bool
    check_grad_dtypes: bool
    fast_mode: bool
    kinks: str
    complex_step: bool


def as_tuple(values: Any) -> tuple[Any, ...]:
    return tuple(values) if isinstance(values, (tuple, list, Iterator)) else (values,)


def requires_grad(value: Any) -> bool:
    return isinstance(value, Tensor) and value.requires_grad


def check_some_require_grad(values: tuple[Any, ...], name: str) -> None:
    if not any(map(requires_grad, values)):
        raise ValueError(
            f"{name}: expected at least one input tensor to require gradient, but none of them "
            "have requires_grad=True; call .requires_grad_() on those to be checked"
        )


def input_names(values: tuple[Any, ...]) -> list[str]:
    """input 0, input 1 'lstm.weight_hh_l0', ...: a parameter by its path in the model as well."""
    names = []
    for i, value in enumerate(values):
        label = getattr(value, "_label", None)
        path = "" if label is None else label.path
        names.append(f"input {i} '{path}'" if path else f"input {i}")
    return names


def is_narrow(value: Any) -> bool:
    return isinstance(value, Tensor) and value._array.dtype.kind == "f" and value.element_size() < 8


def warn_of_narrow(values: tuple[Any, ...], name: str) -> None:
    """Say which inputs are lifted, at the line that called the public function."""
    names = input_names(values)
    narrow = [
        f"{names[i]} ({value.dtype})"
        for i, value in enumerate(values)
        if requires_grad(value) and is_narrow(value)
    ]
    if narrow:
        more = f" and {len(narrow) - 3} more" if len(narrow) > 3 else ""
        warnings.warn(
            f"{name}: expected float64, in which differences are exact enough, got "
            f"{', '.join(narrow[:3])}{more}; checked as float64 copies",
            stacklevel=3,
        )


@contextmanager
def as_found(values: tuple[Any, ...]) -> Iterator[None]:
    """Lift the inputs to float64; at the end give back them and the random stream as they were."""
    tensors = [value for value in values if isinstance(value, Tensor)]
    arrays = [tensor._array for tensor in tensors]
    contents = [array.copy() for array in arrays]
    state = random.default_generator.get_state()
    lift = any(requires_grad(tensor) and is_narrow(tensor) for tensor in tensors)
    try:
        for tensor in tensors:
            if lift and is_narrow(tensor):
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
def perturbable(tensor: Tensor) -> Iterator[Array]:
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


def flat_outputs(found: Any) -> list[Tensor]:
    """The Tensors in nested tuples and lists, in order."""
    if isinstance(found, Tensor):
        return [found]
    if not isinstance(found, (tuple, list)):
        raise TypeError(
            f"gradcheck: expected func to return Tensors, in tuples or lists, got "
            f"{type(found).__name__}"
        )
    return [tensor for part in found for tensor in flat_outputs(part)]


class Problem:
    """A function and the inputs at which it is checked.

    name : of the check, for messages
    wanted : the positions of the inputs that require grad
    first_order : what it is the derivative of, if `gradgradcheck` made it
    """

    def __init__(
        self,
        name: str,
        func: Callable[..., Any],
        values: tuple[Any, ...],
        input_names: list[str],
        output_names: list[str] | None = None,
        first_order: Problem | None = None,
    ) -> None:
        self.name = name
        self.func = func
        self.values = values
        self.input_names = input_names
        self.wanted = [i for i, value in enumerate(values) if requires_grad(value)]
        self._output_names = output_names
        self.first_order = first_order
        self._stream = random.default_generator.get_state()
        self._contents = [v._array.copy() if isinstance(v, Tensor) else None for v in values]

    def evaluate(self) -> list[Tensor]:
        """All outputs, from the same state of the random stream every time."""
        random.default_generator.set_state(self._stream)
        return flat_outputs(self.func(*self.values))

    def values_now(self, outputs: list[Tensor], places: list[int]) -> list[Array]:
        """Copies of the outputs at `places`, with the inputs as they are now.

        Raises GradcheckError unless all outputs have the shapes that they had at first.
        """
        found = self.evaluate()
        shapes = [tuple(y.shape) for y in found]
        expected = [tuple(y.shape) for y in outputs]
        if shapes != expected:
            raise GradcheckError(
                f"{self.name}: expected func to keep the shapes {expected} of its outputs from "
                f"call to call, got {shapes}"
            )
        return [float_values(found[place]) for place in places]

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


def direction(draw: random.Generator, like: Array) -> Array:
    """Random numbers of either sign in the shape and dtype of `like`, none near zero."""
    sign = 2 * draw.bernoulli(0.5, like.shape) - 1
    return np.asarray(draw.uniform(like.shape, 0.5, 1.5, np.float64) * sign, like.dtype)


def float_values(y: Tensor) -> Array:
    """A copy of a tensor's numbers, in float64."""
    return np.array(y._array, np.float64)
