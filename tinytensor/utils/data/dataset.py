"""Datasets: what has samples under indices, what yields them one after the other, and their joins.

As torch.utils.data: a map-style dataset has `__getitem__` and `__len__`; if it has `__getitems__`
too, the loader asks for the samples of a whole batch at once.
"""

from __future__ import annotations

import bisect
import itertools
import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from ... import random
from ...ops.sample import randperm
from ...tensor import Tensor

Sample = TypeVar("Sample")
Sample_co = TypeVar("Sample_co", covariant=True)


class Dataset(Generic[Sample_co]):
    """Samples under indices: a subclass gives `__getitem__`, and `__len__` where it has one.

    `a + b` is both, one after the other.
    """

    def __getitem__(self, index: Any) -> Sample_co:
        raise NotImplementedError("Subclasses of Dataset should implement __getitem__.")

    def __add__(self, other: Dataset[Any]) -> Dataset[Any]:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[Sample_co], Iterable[Sample_co]):
    """Samples that come one after the other: a subclass has to give `__iter__`.

    A loader over one shuffles nothing and takes no sampler.
    """

    def __add__(self, other: Dataset[Any]) -> Dataset[Any]:
        return ChainDataset([self, other])


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Sample i is `(tensors[0][i], tensors[1][i], ...)`.

    tensors : each (samples, *)
    Raises AssertionError, as torch does, unless all have the same number of samples.
    """

    def __init__(self, *tensors: Tensor) -> None:
        counts = [tensor.size(0) for tensor in tensors]
        if any(count != counts[0] for count in counts):
            raise AssertionError(
                "TensorDataset: Size mismatch between tensors: expected as many samples in each, "
                f"got {counts}"
            )
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def __len__(self) -> int:
        return int(self.tensors[0].size(0))


class StackDataset(Dataset[Any]):
    """Datasets side by side: sample i is the tuple, or by keywords the dict, of their samples i.

    Raises ValueError for datasets given both ways or not at all, or of different lengths.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if bool(args) == bool(kwargs):
            got = "both" if args else "neither"
            raise ValueError(
                f"StackDataset: expected datasets by position or by keyword, got {got}"
            )
        self.datasets: Any = args or kwargs
        lengths = [len(dataset) for dataset in args or kwargs.values()]
        if len(set(lengths)) > 1:
            raise ValueError(
                "StackDataset: Size mismatch between datasets: expected equal lengths, "
                f"got {lengths}"
            )
        self._length = lengths[0]

    def __getitem__(self, index: Any) -> Any:
        if isinstance(self.datasets, dict):
            return {name: dataset[index] for name, dataset in self.datasets.items()}
        return tuple(dataset[index] for dataset in self.datasets)

    def __getitems__(self, indices: list[Any]) -> list[Any]:
        if isinstance(self.datasets, dict):
            columns = [_samples(dataset, indices) for dataset in self.datasets.values()]
            names = list(self.datasets)
            rows = zip(*columns, strict=True)
            return [dict(zip(names, row, strict=True)) for row in rows]
        return list(zip(*(_samples(dataset, indices) for dataset in self.datasets), strict=True))

    def __len__(self) -> int:
        return self._length


class ConcatDataset(Dataset[Sample_co]):
    """Datasets one after the other, their indices counted on.

    Raises AssertionError, as torch does, for no dataset or an `IterableDataset` among them, and
    ValueError for an index below -length.
    """

    def __init__(self, datasets: Iterable[Dataset[Sample_co]]) -> None:
        self.datasets: list[Any] = list(datasets)
        if not self.datasets:
            raise AssertionError("ConcatDataset: expected at least one dataset, got none")
        if any(isinstance(dataset, IterableDataset) for dataset in self.datasets):
            raise AssertionError(
                "ConcatDataset: expected datasets with indices, got an IterableDataset; "
                "use ChainDataset"
            )
        self.cumulative_sizes = list(itertools.accumulate(map(len, self.datasets)))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> Sample_co:
        if index < -len(self):
            raise ValueError(
                f"ConcatDataset: absolute value of index should not exceed dataset length, got "
                f"{index} for {len(self)} samples"
            )
        position = index + len(self) if index < 0 else index
        which = bisect.bisect_right(self.cumulative_sizes, position)
        before = self.cumulative_sizes[which - 1] if which else 0
        found: Sample_co = self.datasets[which][position - before]
        return found


class ChainDataset(IterableDataset[Any]):
    """Iterable datasets one after the other.

    Raises AssertionError, as torch does, when it comes to one that is no `IterableDataset`.
    """

    def __init__(self, datasets: Iterable[Dataset[Any]]) -> None:
        self.datasets = datasets

    def __iter__(self) -> Iterator[Any]:
        for dataset in self.datasets:
            yield from self._checked(dataset)

    def __len__(self) -> int:
        return sum(len(self._checked(dataset)) for dataset in self.datasets)

    @staticmethod
    def _checked(dataset: Dataset[Any]) -> Any:
        if not isinstance(dataset, IterableDataset):
            raise AssertionError(
                f"ChainDataset: expected an IterableDataset, got {type(dataset).__name__}; "
                "use ConcatDataset"
            )
        return dataset


class Subset(Dataset[Sample_co]):
    """The samples of a dataset under some of its indices.

    Raises NotImplementedError for a subclass with its own `__getitem__` but not `__getitems__`,
    which the loader would pass over.
    """

    def __init__(self, dataset: Dataset[Sample_co], indices: Sequence[Any]) -> None:
        own = type(self)
        if own.__getitem__ is not Subset.__getitem__ and own.__getitems__ is Subset.__getitems__:
            raise NotImplementedError(
                f"{own.__name__} overrides __getitem__ but not __getitems__, which DataLoader "
                "calls; add: def __getitems__(self, indices): return [self[i] for i in indices]"
            )
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, index: Any) -> Sample_co:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __getitems__(self, indices: list[Any]) -> list[Sample_co]:
        return _samples(self.dataset, [self.indices[i] for i in indices])

    def __len__(self) -> int:
        return len(self.indices)


def random_split(
    dataset: Dataset[Sample],
    lengths: Sequence[int | float],
    generator: random.Generator | None = random.default_generator,
) -> list[Subset[Sample]]:
    """A dataset cut at random into parts that don't overlap; the same ones as torch's.

    lengths : samples of each part; or fractions that sum to 1, rounded down, what is left given
        out one by one from the first part on
    Raises ValueError for lengths that don't sum to the dataset's, or a fraction outside [0, 1].
    """
    whole: Any = dataset
    total = len(whole)
    counts = list(lengths)
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1:
        counts = _counts_of_fractions(lengths, total)
    if sum(counts) != total:
        raise ValueError(
            "random_split: Sum of input lengths does not equal the length of the input dataset: "
            f"expected {total}, got {sum(counts)}"
        )
    order = randperm(total, generator=generator).tolist()
    ends = itertools.accumulate(counts)
    return [
        Subset(dataset, order[int(end - count) : int(end)])
        for end, count in zip(ends, counts, strict=True)
    ]


def _counts_of_fractions(fractions: Sequence[float], total: int) -> list[int | float]:
    for i, fraction in enumerate(fractions):
        if not 0 <= fraction <= 1:
            raise ValueError(
                f"random_split: Fraction at index {i} is not between 0 and 1, got {fraction}"
            )
    counts: list[int | float] = [math.floor(total * fraction) for fraction in fractions]
    for i in range(total - int(sum(counts))):
        counts[i % len(counts)] += 1
    for i, count in enumerate(counts):
        if count == 0:
            warnings.warn(
                f"random_split: Length of split at index {i} is 0. This might result in an empty "
                "dataset.",
                stacklevel=3,
            )
    return counts


def _samples(dataset: Any, indices: list[Any]) -> list[Any]:
    """The samples under some indices, all at once if the dataset can give them so."""
    if callable(getattr(dataset, "__getitems__", None)):
        found: list[Any] = dataset.__getitems__(indices)
        if len(found) != len(indices):
            raise ValueError(
                f"{type(dataset).__name__}.__getitems__: expected {len(indices)} samples, "
                f"got {len(found)}"
            )
        return found
    return [dataset[index] for index in indices]
