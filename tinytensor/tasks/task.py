"""What all tasks have in common."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .. import dtypes, random
from ..dtypes import Array
from ..ops.data import asarray
from ..tensor import Tensor, make

RECENT = 2000  # sequences that the criteria of 1997 look back on


class Batch(NamedTuple):
    """Sequences of a task, and what a model should say to them.

    input : (T, N, input_size), for T the longest length; 0 beyond a sequence's end
    lengths : int64 (N,), in steps
    target : (N, output_size) at the ends of the sequences, or (T, N) or (T, N, output_size) at
        each step; the task says which
    """

    input: Tensor
    lengths: Tensor
    target: Tensor


class Task:
    """A family of random sequences with a criterion of success.

    input_size, output_size : of the model that is to learn it
    tolerance : a sequence is processed correctly if its error is below
    mean_tolerance : and it is solved if, besides, the mean error is below
    """

    input_size: int
    output_size: int
    tolerance: float
    mean_tolerance: float = float("inf")

    def batch(self, size: int, generator: random.Generator | None = None) -> Batch:
        """`size` new sequences; the same ones from the same state of the generator.

        generator : the default one when left out
        """
        raise NotImplementedError("Subclasses of Task should implement batch.")

    def errors(self, output: Tensor, batch: Batch) -> Tensor:
        """How wrong a model's output is for each sequence, (N,)."""
        raise NotImplementedError("Subclasses of Task should implement errors.")

    def correct(self, output: Tensor, batch: Batch) -> Tensor:
        """Whether each sequence is processed correctly, bool (N,)."""
        return make(self.errors(output, batch)._array < self.tolerance)

    def solved(self, errors: Any) -> bool:
        """The criterion to stop at: the 2000 most recent sequences are all processed correctly and,
        where the paper asks for it, their mean error is small.

        errors : of the sequences seen so far, the newest last: a tensor, array or list of numbers
        """
        recent = recent_errors(errors)
        return (
            len(recent) == RECENT
            and bool((recent < self.tolerance).all())
            and float(recent.mean()) < self.mean_tolerance
        )

    def __repr__(self) -> str:
        given = {name: value for name, value in vars(self).items() if name != "output_size"}
        settings = ", ".join(f"{name}={value!r}" for name, value in given.items())
        return f"{type(self).__name__}({settings})"


def recent_errors(errors: Any) -> Array:
    """The last 2000 of them, or all if there are fewer."""
    return np.asarray(errors[-RECENT:]).reshape(-1)[-RECENT:]


def largest_difference(output: Tensor, target: Tensor) -> Tensor:
    """The largest |output - target| of each sequence, for (N, output_size) -> (N,)."""
    if output.shape != target.shape:
        raise ValueError(
            f"errors: expected an output of shape {tuple(target.shape)}, got "
            f"{tuple(output.shape)}; read it out at each sequence's last step"
        )
    return make(np.abs(output._array - target._array).max(axis=-1))


def values(array: Array) -> Tensor:
    """As a tensor of the default dtype."""
    return asarray(array).to(dtypes.get_default_dtype())


def one_hot(symbols: Array, count: int) -> Tensor:
    """Symbols (T, N) as vectors (T, N, count) of the default dtype; below 0 they are all 0."""
    hot = symbols[..., None] == np.arange(count)
    return make(hot.astype(dtypes.get_default_dtype().numpy))


def check_at_least(task: str, name: str, value: int, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{task}: expected {name} >= {least}, an int, got {value!r}")
