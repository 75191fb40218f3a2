"""DataLoader: the batches of a dataset, in torch's order from the same seed."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

from ... import random
from .collate import default_collate, default_convert
from .dataset import Dataset, IterableDataset, Subset, TensorDataset
from .sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler, draw_seed

Sample_co = TypeVar("Sample_co", covariant=True)

_FIXED = {"batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers"}


class DataLoader(Generic[Sample_co]):
    """The samples of a dataset in batches: `for batch in loader` is one pass over it.

    batch_size : samples of a batch; None gives them one by one, through `default_convert`
    shuffle : in random order, another in each pass
    sampler : in the order of these indices; batch_sampler : of these lists of indices
    collate_fn : makes a batch of a list of samples; `default_collate` stacks them
    drop_last : leave the last batch out if it is smaller
    generator : of the shuffling; without one, the default generator
    num_workers : 0, samples are fetched in this process; anything else is refused
    pin_memory, pin_memory_device, in_order, worker_init_fn : taken, and without meaning here

    The attributes that say what comes can't be set later. Raises ValueError for options that
    exclude each other, NotImplementedError for worker processes.
    """

    _ready = False

    def __init__(
        self,
        dataset: Dataset[Sample_co],
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[list[Any]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: random.Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        _check_workers(
            num_workers, timeout, multiprocessing_context, prefetch_factor, persistent_workers
        )
        iterable = isinstance(dataset, IterableDataset)
        if iterable:
            _check_unspecified(shuffle or None, sampler, batch_sampler)
        if sampler is not None and shuffle:
            raise ValueError("DataLoader: sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "DataLoader: batch_sampler option is mutually exclusive with batch_size, "
                    "shuffle, sampler, and drop_last"
                )
            batch_size = None
        elif batch_size is None and drop_last:
            raise ValueError(
                "DataLoader: batch_size=None option disables auto-batching and is mutually "
                "exclusive with drop_last"
            )
        if sampler is None:
            sampler = _default_sampler(dataset, bool(shuffle), generator)
        if batch_size is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        if collate_fn is None:
            collate_fn = default_convert if batch_sampler is None else default_collate

        self.dataset = dataset
        self.batch_size = batch_size
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.num_workers = num_workers
        self.collate_fn = collate_fn
        self.pin_memory = pin_memory
        self.drop_last = drop_last
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.generator = generator
        self.prefetch_factor = prefetch_factor
        self.persistent_workers = persistent_workers
        self.pin_memory_device = pin_memory_device
        self.in_order = in_order
        self._announced: int | None = None  # the length that an IterableDataset said it has
        self._ready = True

    def __setattr__(self, name: str, value: Any) -> None:
        if self._ready and name in _FIXED:
            raise ValueError(
                f"{name} attribute should not be set after {type(self).__name__} is initialized; "
                "make a new one"
            )
        super().__setattr__(name, value)

    @property
    def _index_sampler(self) -> Any:
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    def __iter__(self) -> Iterator[Any]:
        return _Pass(self)

    def __len__(self) -> int:
        """The number of batches; of samples when `batch_size` is None."""
        if not isinstance(self.dataset, IterableDataset):
            return len(self._index_sampler)
        source: Any = self.dataset
        count = self._announced = len(source)
        if self.batch_size is None:
            return count
        if self.drop_last:
            return count // self.batch_size
        return math.ceil(count / self.batch_size)


class _Pass:
    """One pass over a loader."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        self._loader = loader
        self._indices = iter(loader._index_sampler)
        # torch takes a seed for its workers here, even without any: the streams stay equal.
        draw_seed(loader.generator)
        self._samples: Iterator[Any] | None = None
        if isinstance(loader.dataset, IterableDataset):
            self._samples = iter(loader.dataset)
        self._announced = loader._announced
        self._given = 0

    def __iter__(self) -> _Pass:
        return self

    def __len__(self) -> int:
        return len(self._loader._index_sampler)

    def __next__(self) -> Any:
        loader = self._loader
        indices = next(self._indices)
        batched = loader.batch_sampler is not None
        if self._samples is not None:
            data = self._next_samples(indices) if batched else next(self._samples)
        elif not batched:
            data = loader.dataset[indices]
        elif loader.collate_fn is default_collate and _holds_tensors(loader.dataset):
            return _rows(loader.dataset, indices)
        else:
            data = _fetched(loader.dataset, indices)
        batch = loader.collate_fn(data)
        self._given += 1
        self._warn_of_surplus()
        return batch

    def _next_samples(self, indices: list[Any]) -> list[Any]:
        """As many samples of an iterable dataset as there are indices, or what is left."""
        assert self._samples is not None
        found = [sample for _, sample in zip(indices, self._samples, strict=False)]
        if not found or (self._loader.drop_last and len(found) < len(indices)):
            raise StopIteration
        return found

    def _warn_of_surplus(self) -> None:
        if self._announced is not None and self._given > self._announced:
            warnings.warn(
                f"DataLoader: Length of IterableDataset was reported to be {self._announced}, but "
                f"{self._given} samples have been fetched",
                stacklevel=3,
            )


class _Endless(Sampler[None]):
    """Of an IterableDataset, which needs no indices."""

    def __iter__(self) -> Iterator[None]:
        while True:
            yield None


def _default_sampler(
    dataset: Any, shuffle: bool, generator: random.Generator | None
) -> Iterable[Any]:
    if isinstance(dataset, IterableDataset):
        return _Endless()
    if shuffle:
        return RandomSampler(dataset, generator=generator)
    return SequentialSampler(dataset)


def _fetched(dataset: Any, indices: list[Any]) -> list[Any]:
    if getattr(dataset, "__getitems__", None):
        found: list[Any] = dataset.__getitems__(indices)
        return found
    return [dataset[index] for index in indices]


# Taking the rows of a batch at once gives what stacking them one by one does, many times faster.


def _holds_tensors(dataset: Any) -> bool:
    """Whether it is a TensorDataset, or a Subset of one, whose ways nobody has changed."""
    while type(dataset) is Subset:
        dataset = dataset.dataset
    return type(dataset) is TensorDataset


def _rows(dataset: Any, indices: list[Any]) -> list[Any]:
    while type(dataset) is Subset:
        indices = [dataset.indices[i] for i in indices]
        dataset = dataset.dataset
    return [tensor[indices] for tensor in dataset.tensors]


def _check_workers(
    num_workers: int, timeout: float, context: Any, prefetch: int | None, persistent: bool
) -> None:
    if num_workers < 0:
        raise ValueError(
            f"DataLoader: num_workers option should be non-negative, got {num_workers}"
        )
    if timeout < 0:
        raise ValueError(f"DataLoader: timeout option should be non-negative, got {timeout}")
    if num_workers > 0:
        raise NotImplementedError(
            f"DataLoader: expected num_workers=0, got {num_workers}; samples are fetched in this "
            "process, where a batch of tensors takes microseconds: leave num_workers out"
        )
    given = {
        "timeout": bool(timeout),
        "multiprocessing_context": context is not None,
        "prefetch_factor": prefetch is not None,
        "persistent_workers": persistent,
    }
    for name, is_given in given.items():
        if is_given:
            raise ValueError(f"DataLoader: {name} option needs num_workers > 0; leave it out")


def _check_unspecified(shuffle: Any, sampler: Any, batch_sampler: Any) -> None:
    options = {"shuffle": shuffle, "sampler": sampler, "batch_sampler": batch_sampler}
    for name, value in options.items():
        if value is not None:
            raise ValueError(
                f"DataLoader with IterableDataset: expected unspecified {name} option, got {value}"
            )
