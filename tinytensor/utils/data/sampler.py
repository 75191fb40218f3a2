"""Samplers: in which order a dataset's indices come, as torch.utils.data.

After the same seed the random ones give torch's order, from `generator` as from the default one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any, Generic, TypeVar

import numpy as np

from ... import dtypes, random
from ...ops.create import empty
from ...ops.data import as_tensor
from ...ops.multinomial import multinomial
from ...ops.sample import randint, randperm

Index_co = TypeVar("Index_co", covariant=True)

_DRAWN_AT_ONCE = 32  # torch's number: it decides nothing but when words are taken from a generator


class Sampler(Generic[Index_co]):
    """Yields indices, or lists of them; a subclass gives `__iter__`, and `__len__` if it can."""

    def __iter__(self) -> Iterator[Index_co]:
        raise NotImplementedError("Subclasses of Sampler should implement __iter__.")


class SequentialSampler(Sampler[int]):
    """0, 1, ... up to the number of samples."""

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """The indices in random order, or drawn with replacement.

    num_samples : how many a pass gives, as many as there are samples when left out; beyond that,
        one order follows another
    generator : drawn from itself; without one, each pass takes a seed from the default generator
        and draws from a new one
    Raises TypeError if `replacement` is no bool, ValueError if there is nothing to draw.
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: random.Generator | None = None,
    ) -> None:
        self.data_source = data_source
        self.replacement = replacement
        self._num_samples = num_samples
        self.generator = generator
        if not isinstance(replacement, bool):
            raise TypeError(
                f"RandomSampler: replacement should be a boolean value, got {replacement!r}"
            )
        _check_positive("RandomSampler", "num_samples", self.num_samples)

    @property
    def num_samples(self) -> int:
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        n = len(self.data_source)
        generator = self.generator
        if generator is None:
            generator = random.Generator().manual_seed(draw_seed())
        if self.replacement:
            for start in range(0, self.num_samples, _DRAWN_AT_ONCE):
                count = min(_DRAWN_AT_ONCE, self.num_samples - start)
                yield from randint(n, (count,), generator=generator).tolist()
            return
        for _ in range(self.num_samples // n):
            yield from randperm(n, generator=generator).tolist()
        # Drawn even when nothing of it is used, so that the generator goes on as torch's does.
        yield from randperm(n, generator=generator).tolist()[: self.num_samples % n]

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler[int]):
    """Some indices in random order."""

    def __init__(self, indices: Sequence[int], generator: random.Generator | None = None) -> None:
        self.indices = indices
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        for i in randperm(len(self.indices), generator=self.generator).tolist():
            yield self.indices[i]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """Index i with probability weights[i] / sum(weights).

    weights : (samples,), not negative; their sum need not be 1
    replacement : without it an index comes at most once
    Raises ValueError for weights that are no list of numbers, or a bad `num_samples` or
    `replacement`.
    """

    def __init__(
        self,
        weights: Sequence[float],
        num_samples: int,
        replacement: bool = True,
        generator: random.Generator | None = None,
    ) -> None:
        _check_positive("WeightedRandomSampler", "num_samples", num_samples)
        if not isinstance(replacement, bool):
            raise ValueError(
                f"WeightedRandomSampler: replacement should be a boolean value, got {replacement!r}"
            )
        self.weights = as_tensor(weights, dtype=dtypes.float64)
        if self.weights.ndim != 1:
            raise ValueError(
                "WeightedRandomSampler: weights should be a 1d sequence, got shape "
                f"{tuple(self.weights.shape)}"
            )
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        drawn = multinomial(
            self.weights, self.num_samples, self.replacement, generator=self.generator
        )
        return iter(drawn.tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """The indices of a sampler in lists of `batch_size`.

    drop_last : leave the last one out if it is shorter
    Raises ValueError for a batch_size that is no positive int or a drop_last that is no bool.
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        _check_positive("BatchSampler", "batch_size", batch_size)
        if not isinstance(drop_last, bool):
            raise ValueError(
                f"BatchSampler: drop_last should be a boolean value, got {drop_last!r}"
            )
        self.sampler: Any = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        indices = iter(self.sampler)
        while batch := list(itertools.islice(indices, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def __len__(self) -> int:
        count = len(self.sampler)
        if self.drop_last:
            return count // self.batch_size
        return -(-count // self.batch_size)


class BucketBatchSampler(Sampler[list[int]]):
    """Batches of sequences of similar length, so that padding wastes little.

    Each pass shuffles all indices, takes `batch_size * pool` of them at a time, sorts these by
    length and cuts them into batches; the batches come in random order. The larger the pool, the
    less padding and the less chance; a pool of 1 is plain shuffling. Of our own, not torch's: give
    it to a `DataLoader` as `batch_sampler`.

    lengths : of each sequence, in steps; a tensor, an array or a list
    shuffle : without it, the longest come first and every pass is the same
    drop_last : leave out the batches that are not full
    generator : as for `RandomSampler`
    Raises ValueError for no lengths, or a `batch_size` or `pool` that is no positive int.
    """

    def __init__(
        self,
        lengths: Any,
        batch_size: int,
        shuffle: bool = True,
        drop_last: bool = False,
        pool: int = 100,
        generator: random.Generator | None = None,
    ) -> None:
        _check_positive("BucketBatchSampler", "batch_size", batch_size)
        _check_positive("BucketBatchSampler", "pool", pool)
        self.lengths = np.asarray(lengths)
        if self.lengths.ndim != 1 or not self.lengths.size:
            raise ValueError(
                "BucketBatchSampler: expected the lengths of the sequences, (samples,), got shape "
                f"{self.lengths.shape}"
            )
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.pool = pool
        self.generator = generator

    def __iter__(self) -> Iterator[list[int]]:
        if not self.shuffle:
            yield from self._batches(np.arange(self.lengths.size))
            return
        generator = self.generator
        if generator is None:
            generator = random.Generator().manual_seed(draw_seed())
        shuffled = generator.permutation(self.lengths.size)
        at_once = self.batch_size * self.pool
        batches = [
            batch
            for start in range(0, shuffled.size, at_once)
            for batch in self._batches(shuffled[start : start + at_once])
        ]
        for i in generator.permutation(len(batches)).tolist():
            yield batches[i]

    def _batches(self, indices: Any) -> Iterator[list[int]]:
        """Those indices, the longest first, in batches."""
        order = np.argsort(-self.lengths[indices], kind="stable")
        yield from BatchSampler(indices[order].tolist(), self.batch_size, self.drop_last)

    def __len__(self) -> int:
        at_once = self.batch_size * self.pool
        whole, rest = divmod(self.lengths.size, at_once)
        last = rest // self.batch_size if self.drop_last else -(-rest // self.batch_size)
        return whole * self.pool + last


def draw_seed(generator: random.Generator | None = None) -> int:
    """A seed in [0, 2^63), from the generator or the default one: torch takes the same words."""
    return int(empty((), dtype=dtypes.int64).random_(generator=generator).item())


def _check_positive(name: str, what: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise ValueError(f"{name}: {what} should be a positive integer value, got {value!r}")
