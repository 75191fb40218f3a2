"""The runs of a model that its export is made from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..autograd.mode import no_grad
from ..dtypes import Array
from ..nn.module import Module
from ..tensor import Tensor, make
from .compare_runs import settle
from .operators import KERNELS
from .other_numbers import mixed, smaller, within
from .trace import Trace


def tensors_in(nest: Any) -> Iterator[Tensor]:
    if isinstance(nest, Tensor):
        yield nest
    elif isinstance(nest, (tuple, list)):
        for part in nest:
            yield from tensors_in(part)
    elif isinstance(nest, dict):
        for part in nest.values():
            yield from tensors_in(part)


def settled(model: Module, args: Any, kwargs: Any, names: Sequence[str]) -> Trace:
    """The trace of a run on the inputs, compared with two on other numbers."""
    with no_grad(), _eval_mode(model):
        first = _traced(model, args, kwargs, names, np.copy)
        others = []
        for change in (mixed, smaller):
            try:
                other = _traced(model, args, kwargs, names, change)
            except Exception:  # a model may check its inputs, and take probabilities only
                other = _traced(model, args, kwargs, names, within)
            others.append(other)
    settle(first, others)
    return first


def _traced(
    model: Module, args: Any, kwargs: Any, names: Sequence[str], change: Callable[[Array], Array]
) -> Trace:
    trace = Trace(model, KERNELS)
    left = iter(names)

    def replaced(nest: Any) -> Any:
        if isinstance(nest, Tensor):
            array = change(nest._array)
            trace.add_input(array, next(left))
            return make(array)
        if type(nest) in (tuple, list):
            return type(nest)(map(replaced, nest))
        if type(nest) is dict:
            return {key: replaced(part) for key, part in nest.items()}
        if any(True for _ in tensors_in(nest)):
            raise TypeError(
                "to_onnx: expected Tensors in tuples, lists and dicts, got "
                f"{type(nest).__name__}; a PackedSequence becomes a padded tensor with lengths="
            )
        return nest

    positional, named = replaced(tuple(args)), replaced(dict(kwargs))
    with trace.noting_lengths(model), trace.recording():
        outputs = model(*positional, **named)
    trace.outputs = trace.with_values(_flat(outputs))
    return trace


def _flat(outputs: Any) -> tuple[Tensor, ...]:
    """All Tensors of what a model returned. Raises TypeError for anything else but None in it."""
    if isinstance(outputs, Tensor):
        return (outputs,)
    if isinstance(outputs, dict):
        outputs = tuple(outputs.values())
    if not isinstance(outputs, (tuple, list)) or not outputs:
        raise TypeError(
            "to_onnx: expected a model that returns Tensors in tuples, lists and dicts, got "
            f"{type(outputs).__name__}; wrap it in a Module that returns those wanted"
        )
    return tuple(tensor for part in outputs if part is not None for tensor in _flat(part))


@contextmanager
def _eval_mode(model: Module) -> Iterator[None]:
    before = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training
