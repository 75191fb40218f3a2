"""Runs of a model on different numbers: what is fixed and what depends on the inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..dtypes import Array
from .trace import Call, Trace, Value, numbers_in, same, values_in


def settle(first: Trace, others: Sequence[Trace]) -> None:
    """Say of each unknown value of the first run what it is.

    A constant has the same content in all runs, a copy of a value that value's.
    Raises ValueError if the runs are not made of the same operations.
    """
    for other in others:
        _check_same_calls(first, other)
    runs = [first, *others]
    made_by = {result.number: call for call in first.calls for result in call.results}
    for value in first.values:
        if value.kind == "unknown":
            _settle(value, runs)
        call = made_by.get(value.number)
        if call is not None:
            arguments = list(values_in((call.args, call.static)))
            value.from_input = any(argument.from_input for argument in arguments)
            value.from_parameter = any(argument.from_parameter for argument in arguments)


def _settle(value: Value, runs: Sequence[Trace]) -> None:
    contents = [run.values[value.number].array for run in runs]
    if all(same(content, contents[0]) for content in contents):
        value.kind = "constant"
        return
    for number in reversed(range(value.number)):
        sources = [run.values[number].array for run in runs]
        if all(map(_is_copy, contents, sources)):
            source = runs[0].values[number]
            value.kind = "copy"
            value.source = source
            value.from_input = source.from_input
            value.from_parameter = source.from_parameter
            return
    value.kind = "lost"
    value.from_input = True


def _check_same_calls(first: Trace, second: Trace) -> None:
    for call, other in zip(first.calls, second.calls, strict=False):
        if call.op != other.op or _structure(call) != _structure(other):
            raise _dependent(f"{_shown(call)} in one run and {_shown(other)} in another")
    if len(first.calls) != len(second.calls) or len(first.values) != len(second.values):
        numbers = f"{len(first.calls)} operations in one run and {len(second.calls)} in another"
        raise _dependent(numbers)
    if numbers_in(first.outputs) != numbers_in(second.outputs):
        raise _dependent("other outputs in another run")


def _structure(call: Call) -> Any:
    shapes = [(value.array.shape, value.array.dtype) for value in call.results]
    return numbers_in(call.args), numbers_in(call.static), shapes


def _shown(call: Call) -> str:
    """An operation, its numbers and the shapes that it gives."""
    numbers = [arg for arg in call.args if not any(values_in(arg))]
    shapes = ", ".join(str(value.array.shape) for value in call.results)
    return f"{call.op}{tuple(numbers) if numbers else ''} to {shapes}"


def _dependent(got: str) -> ValueError:
    return ValueError(
        "to_onnx: expected a model that does the same operations whatever numbers are in its "
        f"inputs, got {got}; avoid if, while, int(), .item() and bool masks on values, for example "
        "by where(), and packed sequences by lengths="
    )


def _is_copy(a: Array, source: Array) -> bool:
    """Whether `a` is the source, maybe in another type."""
    if a.shape != source.shape:
        return False
    with np.errstate(all="ignore"):
        return same(a, source.astype(a.dtype))
