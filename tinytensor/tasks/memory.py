"""Tasks that ask for what was read: copy memory, echo, parity."""

from __future__ import annotations

import math

import numpy as np

from .. import random
from ..ops.sample import generator_or_default
from ..tensor import Tensor, make
from .task import Batch, Task, check_at_least, largest_difference, one_hot, values


class CopyMemory(Task):
    """Remember ten symbols over T steps and write them down.

    M. Arjovsky, A. Shah & Y. Bengio (2016), "Unitary evolution recurrent neural networks", ICML,
    section 5.1. The input is ten symbols drawn from 0 to 7, T - 1 blanks (8), a delimiter (9) that
    asks for them, and ten blanks. The target is T + 10 blanks and then the ten symbols.

    delay : T; sequences have T + 20 steps
    batch : input (T + 20, N, 10), one-hot; target int64 (T + 20, N)
    errors : of an output (T + 20, N, 10), the steps at which the target isn't the most active one,
        as a number of steps
    solved : none in the 2000 most recent sequences. The paper names no criterion, it compares the
        cross entropy with `baseline`.
    """

    COPIED = 10
    BLANK = 8
    DELIMITER = 9
    input_size = 10
    output_size = 10
    tolerance = 1.0

    def __init__(self, delay: int = 100) -> None:
        check_at_least("CopyMemory", "delay", delay, 1)
        self.delay = delay

    @property
    def baseline(self) -> float:
        """Mean cross entropy of a step, in nats, without memory: 10 ln 8 / (T + 20)."""
        return self.COPIED * math.log(self.BLANK) / (self.delay + 2 * self.COPIED)

    def batch(self, size: int, generator: random.Generator | None = None) -> Batch:
        source = generator_or_default("CopyMemory", generator)
        steps = self.delay + 2 * self.COPIED
        copied = source.integers(0, self.BLANK, (self.COPIED, size))
        read = np.full((steps, size), self.BLANK)
        read[: self.COPIED] = copied
        read[self.COPIED + self.delay - 1] = self.DELIMITER
        target = np.full((steps, size), self.BLANK)
        target[-self.COPIED :] = copied
        return Batch(one_hot(read, self.input_size), make(np.full(size, steps)), make(target))

    def errors(self, output: Tensor, batch: Batch) -> Tensor:
        if output.shape != batch.input.shape:
            raise ValueError(
                f"errors: expected an output of shape {tuple(batch.input.shape)}, got "
                f"{tuple(output.shape)}; give a score to each symbol at each step"
            )
        return make((output._array.argmax(axis=-1) != batch.target._array).sum(axis=0))


class Echo(Task):
    """Say again what came `delay` steps ago.

    A delay line, by which H. Jaeger (2002), "Short term memory in echo state networks", GMD report
    152, measures memory; with bits as in courses on recurrent networks. The input is 0 or 1 with
    probability 1/2 each; the target at step t is the input of step t - delay, 0 before that.

    delay : in steps
    length : of every sequence, in steps; more than the delay
    batch : input (T, N, 1), target (T, N, 1)
    errors : the largest |output - target| over all steps; right below 0.5
    solved : the 2000 most recent sequences are right; a criterion of our own
    """

    input_size = 1
    output_size = 1
    tolerance = 0.5

    def __init__(self, delay: int = 3, length: int = 20) -> None:
        check_at_least("Echo", "delay", delay, 0)
        check_at_least("Echo", "length", length, delay + 1)
        self.delay = delay
        self.length = length

    def batch(self, size: int, generator: random.Generator | None = None) -> Batch:
        source = generator_or_default("Echo", generator)
        bits = source.integers(0, 2, (self.length, size, 1))
        target = np.zeros_like(bits)
        target[self.delay :] = bits[: self.length - self.delay]
        return Batch(values(bits), make(np.full(size, self.length)), values(target))

    def errors(self, output: Tensor, batch: Batch) -> Tensor:
        largest = largest_difference(output, batch.target)
        return make(largest._array.max(axis=0))


class Parity(Task):
    """Say whether the number of ones is odd.

    Y. Bengio, P. Simard & P. Frasconi (1994), "Learning long-term dependencies with gradient
    descent is difficult", IEEE Transactions on Neural Networks 5(2): a sequence of 1 and -1, each
    with probability 1/2, and of random length; the target at its end is 1 for an odd number of 1s,
    0 for an even one.

    shortest, longest : the lengths are drawn from these, both included, in steps
    noise : U[-noise, noise] is added to each input; the paper has runs with 0.2
    batch : input (T, N, 1), target (N, 1)
    errors : |output - target|; right below 0.5
    solved : the 2000 most recent sequences are right; a criterion of our own
    """

    input_size = 1
    output_size = 1
    tolerance = 0.5

    def __init__(self, shortest: int = 25, longest: int = 50, noise: float = 0.0) -> None:
        check_at_least("Parity", "shortest", shortest, 1)
        check_at_least("Parity", "longest", longest, shortest)
        if not 0 <= noise < 1:
            raise ValueError(f"Parity: expected 0 <= noise < 1, got {noise!r}")
        self.shortest = shortest
        self.longest = longest
        self.noise = noise

    def batch(self, size: int, generator: random.Generator | None = None) -> Batch:
        source = generator_or_default("Parity", generator)
        lengths = source.integers(self.shortest, self.longest + 1, (size,))
        steps = int(lengths.max())
        bits = source.integers(0, 2, (steps, size))
        read = 2.0 * bits - 1
        if self.noise:
            read += source.uniform(read.shape, -self.noise, self.noise, np.float64)
        past_the_end = np.arange(steps)[:, None] >= lengths
        read[past_the_end] = 0
        bits[past_the_end] = 0
        odd = bits.sum(axis=0) % 2
        return Batch(values(read[..., None]), make(lengths), values(odd[:, None]))

    def errors(self, output: Tensor, batch: Batch) -> Tensor:
        return largest_difference(output, batch.target)
