"""Experiments 4 to 6 of Hochreiter & Schmidhuber: adding, multiplication, temporal order.

S. Hochreiter & J. Schmidhuber (1997), "Long short-term memory", Neural Computation 9(8),
sections 5.4 to 5.6. What these share: a target at the end of the sequence only, lengths drawn from
T to T + T/10, training until the 2000 most recent sequences are right, a test on 2560 others.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import random
from ..dtypes import Array
from ..ops.sample import generator_or_default
from ..tensor import Tensor, make
from .task import (
    RECENT,
    Batch,
    Task,
    check_at_least,
    largest_difference,
    one_hot,
    recent_errors,
    values,
)


class Adding(Task):
    """Add the two marked numbers of a long sequence (experiment 4).

    Each step is a number from U[-1, 1] and a marker. One of the first ten numbers is marked by 1;
    then one of the first T/2 - 1 that are still unmarked. The marker is -1 at the first and at the
    last step and 0 at all others; where the first step would be one of the two marked ones, its
    marker stays -1 and 0 is added for it. The target at the end is 0.5 + (X1 + X2) / 4.

    length : T, the shortest length; the longest is T + T/10. The minimal lag is T/2.
    batch : input (T, N, 2), target (N, 1)
    errors : |output - target|; right below 0.04
    solved : the 2000 most recent are right and their mean error is below 0.01
    The trivial answer 0.5 has the mean square error Var((X1 + X2) / 4) = 1/24.
    """

    input_size = 2
    output_size = 1
    tolerance = 0.04
    mean_tolerance = 0.01

    def __init__(self, length: int = 100) -> None:
        check_at_least("Adding", "length", length, 12)
        self.length = length

    def batch(self, size: int, generator: random.Generator | None = None) -> Batch:
        source = generator_or_default("Adding", generator)
        steps, lengths, first, second = _marked(source, size, self.length, low=-1.0, unread=0.0)
        return Batch(steps, lengths, values(0.5 + (first + second)[:, None] / 4))

    def errors(self, output: Tensor, batch: Batch) -> Tensor:
        return largest_difference(output, batch.target)


class Multiplication(Task):
    """Multiply the two marked numbers of a long sequence (experiment 5).

    As `Adding`, with numbers from U[0, 1] and the target X1 X2; where the first step would be a
    marked one, the factor is 1 for it.

    length : T, the shortest length; the longest is T + T/10. The minimal lag is T/2.
    batch : input (T, N, 2), target (N, 1)
    errors : |output - target|; right below 0.04
    solved : fewer than `wrong` of the 2000 most recent have an error above 0.04. The paper tests
        at wrong=140 (the numbers are stored) and at wrong=13 (the product is precise).
    """

    input_size = 2
    output_size = 1
    tolerance = 0.04

    def __init__(self, length: int = 100) -> None:
        check_at_least("Multiplication", "length", length, 12)
        self.length = length

    def batch(self, size: int, generator: random.Generator | None = None) -> Batch:
        source = generator_or_default("Multiplication", generator)
        steps, lengths, first, second = _marked(source, size, self.length, low=0.0, unread=1.0)
        return Batch(steps, lengths, values((first * second)[:, None]))

    def errors(self, output: Tensor, batch: Batch) -> Tensor:
        return largest_difference(output, batch.target)

    def solved(self, errors: Any, wrong: int = 13) -> bool:
        recent = recent_errors(errors)
        return len(recent) == RECENT and int((recent > self.tolerance).sum()) < wrong


class TemporalOrder(Task):
    """Say in which order the Xs and Ys came (experiments 6a and 6b).

    A sequence starts with E, ends with B, and consists of a, b, c, d at random, but for an X or Y
    at each of two (6a) or three (6b) steps. Counted from 1 and for T = 100, these are drawn from
    10 to 20 and 50 to 60 (6a), or 10 to 20, 33 to 43 and 66 to 76 (6b). The classes are XX, XY,
    YX, YY, or XXX, XXY ... YYY, in this order.

    relevant : 2 for experiment 6a, 3 for 6b
    length : T, the shortest length; the longest is T + T/10, and the places scale along. At 100 the
        last relevant symbol is at least 40 (6a) or 24 (6b) steps before the end.
    batch : input (T, N, 8), one-hot in the order of `SYMBOLS`; target (N, 4) or (N, 8), one-hot
    errors : the largest |output - target| over the output units; right below 0.3
    solved : the 2000 most recent are right and their mean error is below 0.1
    """

    SYMBOLS = "EBabcdXY"
    input_size = len(SYMBOLS)
    tolerance = 0.3
    mean_tolerance = 0.1

    def __init__(self, relevant: int = 2, length: int = 100) -> None:
        if relevant not in (2, 3):
            raise ValueError(f"TemporalOrder: expected relevant = 2 or 3, got {relevant!r}")
        check_at_least("TemporalOrder", "length", length, 20)
        self.relevant = relevant
        self.length = length
        self.output_size = 2**relevant

    def batch(self, size: int, generator: random.Generator | None = None) -> Batch:
        source = generator_or_default("TemporalOrder", generator)
        lengths = _lengths(source, size, self.length)
        symbols = source.integers(2, 6, (int(lengths.max()), size))
        row = np.arange(size)
        symbols[0] = 0
        symbols[lengths - 1, row] = 1
        order = source.integers(0, self.output_size, (size,))
        for place in range(self.relevant):
            start, stop = self._places[place]
            step = source.integers(start, stop + 1, (size,)) - 1
            is_y = order >> (self.relevant - 1 - place) & 1
            symbols[step, row] = 6 + is_y
        symbols[np.arange(len(symbols))[:, None] >= lengths] = -1
        return Batch(
            one_hot(symbols, self.input_size), make(lengths), one_hot(order, self.output_size)
        )

    @property
    def _places(self) -> list[tuple[int, int]]:
        starts = (10, 50) if self.relevant == 2 else (10, 33, 66)
        return [(s * self.length // 100, (s + 10) * self.length // 100) for s in starts]

    def errors(self, output: Tensor, batch: Batch) -> Tensor:
        return largest_difference(output, batch.target)


def _lengths(source: random.Generator, size: int, shortest: int) -> Array:
    return source.integers(shortest, shortest + shortest // 10 + 1, (size,))


def _marked(
    source: random.Generator, size: int, shortest: int, low: float, unread: float
) -> tuple[Tensor, Tensor, Array, Array]:
    """(steps, lengths, X1, X2); an X at the first step, which can't be marked, is `unread`."""
    lengths = _lengths(source, size, shortest)
    longest = int(lengths.max())
    numbers = source.uniform((longest, size), low, 1.0, np.float64)
    first = source.integers(0, 10, (size,))
    second = source.integers(0, shortest // 2 - 1, (size,))
    second += second >= first  # counts those that are still unmarked
    row = np.arange(size)
    markers = np.zeros((longest, size))
    markers[first, row] = 1
    markers[second, row] = 1
    markers[0] = -1
    markers[lengths - 1, row] = -1
    found = [np.where(step == 0, unread, numbers[step, row]) for step in (first, second)]
    numbers[np.arange(longest)[:, None] >= lengths] = 0
    return values(np.stack([numbers, markers], axis=-1)), make(lengths), found[0], found[1]
