"""The embedded Reber grammar: predict what may come next.

A. S. Reber (1967), "Implicit learning of artificial grammars", Journal of Verbal Learning and
Verbal Behavior 6(6); embedded by A. Cleeremans, D. Servan-Schreiber & J. McClelland (1989),
"Finite state automata and simple recurrent networks", Neural Computation 1(3); the task and its
criterion as in experiment 1 of S. Hochreiter & J. Schmidhuber (1997), "Long short-term memory",
Neural Computation 9(8).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import random
from ..dtypes import Array
from ..ops.sample import generator_or_default
from ..tensor import Tensor, make
from .task import Batch, Task, one_hot

SYMBOLS = "BTSXPVE"
IGNORED = -100  # the target beyond a sequence's end: `cross_entropy` passes over it

# Reber's grammar: from each state the symbols that may come, and the states that they lead to.
_INNER = [
    {"B": 1},
    {"T": 2, "P": 3},
    {"S": 2, "X": 4},
    {"T": 3, "V": 5},
    {"X": 3, "S": 6},
    {"P": 4, "V": 6},
    {"E": 7},
]


def _embedded() -> list[dict[str, int]]:
    """B, T or P, a string of the inner grammar, the same T or P again, E."""
    states = [{"B": 1}, {"T": 2, "P": 2 + len(_INNER) + 1}]
    last = 2 + 2 * (len(_INNER) + 1)
    for again in "TP":
        start = len(states)
        states += [{symbol: start + to for symbol, to in edges.items()} for edges in _INNER]
        states.append({again: last})
    states.append({"E": last + 1})
    return states


_STATES = _embedded()


class EmbeddedReber(Task):
    """Predict the symbols that may come next; the last but one is the same as the second.

    A string is B, T or P, a string of Reber's grammar, the T or P from before, E; where two symbols
    may come, each does with probability 1/2. The shortest has 9 symbols. Between the second symbol
    and its return lies a whole inner string.

    batch : input (T, N, 7), one-hot in the order of `SYMBOLS`: all symbols but the last; target
        int64 (T, N), the next symbol, -100 beyond the end
    errors : of an output (T, N, 7), the steps at which the symbols that may come are not the most
        active ones, as a number of steps
    solved : all the sequences given are without error. The paper asks it of `sets()`: 256 strings
        to train on, and 256 others.
    """

    input_size = len(SYMBOLS)
    output_size = len(SYMBOLS)
    tolerance = 1.0

    def strings(self, count: int, generator: random.Generator | None = None) -> list[str]:
        """`count` strings of the grammar, drawn at random."""
        source = generator_or_default("EmbeddedReber", generator)
        return [self._string(source) for _ in range(count)]

    def _string(self, source: random.Generator) -> str:
        text = ""
        state = 0
        while state < len(_STATES):
            choices = sorted(_STATES[state].items())
            picked = int(source.integers(0, 2, (1,))[0]) if len(choices) > 1 else 0
            symbol, state = choices[picked]
            text += symbol
        return text

    def encode(self, strings: Sequence[str]) -> Batch:
        """Strings as a batch. Raises ValueError for one that is not of the grammar."""
        for text in strings:
            _walk(text)
        longest = max(map(len, strings))
        symbols = np.full((longest, len(strings)), -1, np.int64)
        for n, text in enumerate(strings):
            symbols[: len(text), n] = [SYMBOLS.index(symbol) for symbol in text]
        lengths = np.array([len(text) - 1 for text in strings])
        past_the_end = np.arange(longest - 1)[:, None] >= lengths
        read = np.where(past_the_end, -1, symbols[:-1])
        target = np.where(past_the_end, IGNORED, symbols[1:])
        return Batch(one_hot(read, self.input_size), make(lengths), make(target))

    def decode(self, batch: Batch) -> list[str]:
        """The strings of a batch."""
        read = batch.input._array.argmax(axis=-1)
        ends = enumerate(batch.lengths.tolist())
        numbers = [[*read[:end, n], batch.target._array[end - 1, n]] for n, end in ends]
        return ["".join(SYMBOLS[number] for number in string) for string in numbers]

    def batch(self, size: int, generator: random.Generator | None = None) -> Batch:
        return self.encode(self.strings(size, generator))

    def sets(
        self, size: int = 256, generator: random.Generator | None = None
    ) -> tuple[Batch, Batch]:
        """(training, test): random strings, those of the test all others than in training."""
        training = self.strings(size, generator)
        seen = set(training)
        test: list[str] = []
        while len(test) < size:
            test += [text for text in self.strings(size, generator) if text not in seen]
        return self.encode(training), self.encode(test[:size])

    def errors(self, output: Tensor, batch: Batch) -> Tensor:
        scores = output._array
        if scores.shape != batch.input.shape:
            raise ValueError(
                f"errors: expected an output of shape {tuple(batch.input.shape)}, got "
                f"{scores.shape}; give a score to each symbol at each step"
            )
        legal = np.stack([self._legal(text, len(scores)) for text in self.decode(batch)], axis=1)
        least_legal = np.where(legal, scores, np.inf).min(axis=-1)
        most_illegal = np.where(legal, -np.inf, scores).max(axis=-1)
        inside = np.arange(len(scores))[:, None] < batch.lengths._array
        return make((inside & ~(least_legal > most_illegal)).sum(axis=0))

    def _legal(self, text: str, steps: int) -> Array:
        """Which symbols may come after each prefix, bool (steps, 7)."""
        legal = np.zeros((steps, len(SYMBOLS)), bool)
        for step, state in enumerate(_walk(text)[1:-1]):
            legal[step, [SYMBOLS.index(symbol) for symbol in _STATES[state]]] = True
        return legal

    def solved(self, errors: Any) -> bool:
        counts = np.asarray(errors)
        return counts.size > 0 and not counts.any()


def _walk(text: str) -> list[int]:
    """The states that a string leads through, the first and the last included."""
    states = [0]
    for position, symbol in enumerate(text):
        edges = _STATES[states[-1]] if states[-1] < len(_STATES) else {}
        if symbol not in edges:
            raise ValueError(
                f"EmbeddedReber: expected one of {sorted(edges)} at {position} of {text!r}, "
                f"got {symbol!r}"
            )
        states.append(edges[symbol])
    if states[-1] < len(_STATES):
        raise ValueError(f"EmbeddedReber: expected a whole string, got {text!r}, which goes on")
    return states
