"""Samples into batches: stacked as torch does, or padded to the longest."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import numpy as np

from ... import dtypes
from ...nn.utils.rnn import pad_sequence
from ...ops.data import as_tensor, tensor
from ...ops.shape import stack
from ...tensor import Tensor, make


def default_collate(batch: Sequence[Any]) -> Any:
    """The samples of a batch, a list, as one: stacked tensors in the form that a sample has.

    A tensor or array (*) becomes a tensor (N, *), an int or bool a tensor (N,), a float one of
    float64; strings and bytes stay a list. In a mapping, namedtuple or sequence each entry is
    collated by itself; a tuple becomes a list.

    Raises TypeError for what can't be stacked, RuntimeError for sequences of unequal lengths and
    tensors of unequal shapes (`PadCollate` pads them).
    """
    first = batch[0]
    if isinstance(first, Tensor):
        return _stacked(batch)
    if isinstance(first, np.ndarray):
        if first.dtype.kind in "SUO":
            raise _cannot_stack(f"an array of {first.dtype}")
        return _stacked([as_tensor(array) for array in batch])
    if isinstance(first, (np.bool_, np.number)):
        return as_tensor(list(batch))
    if isinstance(first, float):
        return tensor(list(batch), dtype=dtypes.float64)
    if isinstance(first, int):
        return tensor(list(batch))
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, Mapping):
        return _like_mapping(
            first, {name: default_collate([sample[name] for sample in batch]) for name in first}
        )
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*map(default_collate, zip(*batch, strict=True)))
    if isinstance(first, Sequence):
        if any(len(sample) != len(first) for sample in batch):
            raise RuntimeError(
                "default_collate: each element in list of batch should be of equal size, got "
                f"lengths {sorted({len(sample) for sample in batch})}"
            )
        return _like_sequence(first, [default_collate(part) for part in zip(*batch, strict=True)])
    raise _cannot_stack(type(first).__name__)


def default_convert(data: Any) -> Any:
    """One sample with its NumPy arrays and numbers as tensors, all else as it is.

    It takes the place of `default_collate` in a `DataLoader(batch_size=None)`.
    """
    if isinstance(data, np.ndarray) and data.dtype.kind in "SUO":
        return data
    if isinstance(data, (np.ndarray, np.bool_, np.number)):
        return as_tensor(data)
    if isinstance(data, Mapping):
        return _like_mapping(data, {name: default_convert(data[name]) for name in data})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*map(default_convert, data))
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _like_sequence(data, [default_convert(part) for part in data])
    return data


class PadCollate:
    """A `collate_fn` that pads sequences to the longest and says how long each is.

    Samples that are sequences (T_n, *) become `(padded, lengths)`, for `lstm(padded,
    lengths=lengths)`. In samples that are tuples, those at the positions `fields` are sequences
    and each becomes two values, padded and lengths, in its place; the others are stacked by
    `default_collate`. So samples `(x, label)` become `(x, x_lengths, labels)`, and with
    `fields=(0, 1)` the samples `(x, y)` become `(x, x_lengths, y, y_lengths)`, the order that
    `nn.CTCLoss` takes.

    fields : positions of the sequences in a sample
    batch_first : padded is (N, T, *) rather than (T, N, *), for T the longest length
    padding_value : a number, or one for each of `fields` (say -100 for targets that
        `cross_entropy` ignores)
    lengths : int64 (N,), in steps
    Raises ValueError for options that can't be meant, TypeError for a sample that has no sequence
    at one of `fields`.
    """

    def __init__(
        self,
        fields: Sequence[int] = (0,),
        batch_first: bool = False,
        padding_value: float | Sequence[float] = 0.0,
    ) -> None:
        self.fields = tuple(fields)
        if not self.fields or min(self.fields) < 0:
            raise ValueError(
                f"PadCollate: expected positions from 0 on in fields, got {self.fields}; count "
                "from the left"
            )
        self.batch_first = batch_first
        values = padding_value if isinstance(padding_value, Sequence) else [padding_value]
        if len(values) not in (1, len(self.fields)):
            raise ValueError(
                f"PadCollate: expected one padding_value or {len(self.fields)}, got {len(values)}"
            )
        if len(values) == 1:
            values = list(values) * len(self.fields)
        self.padding_values = dict(zip(self.fields, values, strict=True))

    def __call__(self, batch: Sequence[Any]) -> tuple[Any, ...]:
        if not isinstance(batch[0], tuple):
            return self._padded(batch, self.fields[0])
        if max(self.fields) >= len(batch[0]):
            raise TypeError(
                f"PadCollate: expected samples with sequences at {self.fields}, got tuples of "
                f"{len(batch[0])}; say which by fields="
            )
        collated: list[Any] = []
        for position, parts in enumerate(zip(*batch, strict=True)):
            if position in self.fields:
                collated.extend(self._padded(parts, position))
            else:
                collated.append(default_collate(parts))
        return tuple(collated)

    def _padded(self, parts: Sequence[Any], position: int) -> tuple[Tensor, Tensor]:
        sequences = [as_tensor(part) for part in parts]
        if any(sequence.ndim == 0 for sequence in sequences):
            raise TypeError(
                f"PadCollate: expected sequences (T, *) at position {position}, got single "
                "numbers; say by fields= which are sequences"
            )
        padded = pad_sequence(
            sequences,
            batch_first=self.batch_first,
            padding_value=self.padding_values[position],
        )
        return padded, tensor([len(sequence) for sequence in sequences])


def _stacked(tensors: Sequence[Tensor]) -> Tensor:
    """`stack(tensors)`; without its cost for each tensor where there is nothing to record."""
    if all(isinstance(part, Tensor) and not part.requires_grad for part in tensors):
        arrays = [tensor._array for tensor in tensors]
        if len({(array.shape, array.dtype) for array in arrays}) == 1:
            return make(np.array(arrays))
    return stack(list(tensors), 0)


def _like_mapping(original: Any, entries: dict[Any, Any]) -> Any:
    """Those entries in a mapping of the original's type; a dict if that can't be made."""
    try:
        if isinstance(original, MutableMapping):
            # A copy keeps what else the type carries, a default factory for one.
            twin = copy.copy(original)
            twin.update(entries)
            return twin
        make: Callable[[Any], Any] = type(original)
        return make(entries)
    except TypeError:
        return entries


def _like_sequence(original: Any, parts: list[Any]) -> Any:
    """Those parts in a sequence of the original's type; in a list if it is a tuple or can't be."""
    if isinstance(original, tuple):
        return parts
    try:
        if isinstance(original, MutableSequence):
            twin = copy.copy(original)
            for i, part in enumerate(parts):
                twin[i] = part
            return twin
        make: Callable[[Any], Any] = type(original)
        return make(parts)
    except TypeError:
        return parts


def _cannot_stack(found: str) -> TypeError:
    return TypeError(
        "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; "
        f"found {found}; pass a collate_fn"
    )
