"""Sequences of unequal length under torch's names: padded side by side, or packed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...ops import create
from ...ops.check import check_tensors
from ...ops.index import index_copy, index_select
from ...ops.shape import cat, reshape, transpose
from ...tensor import Tensor, make
from ..packing import packed, packing_of, padded
from ..steps import Steps


class _Packed(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None = None
    unsorted_indices: Tensor | None = None


class PackedSequence(_Packed):
    """Sequences of unequal length without padding: what recurrent layers take and give.

    data : Tensor (rows, ...), step after step: first the first elements of all sequences, the
        longest sequence first, then the second elements of those that have one, and so on
    batch_sizes : int64 Tensor (T), how many sequences have each step
    sorted_indices : int64 Tensor (N), the sequences by falling length; None if they came so
    unsorted_indices : int64 Tensor (N), the way back
    Made by `pack_padded_sequence` and `pack_sequence`. Raises ValueError for batch_sizes that are
    no vector of whole numbers, are below 1, rise, or do not add up to the rows of data.
    """

    __slots__ = ()

    def __new__(
        cls,
        data: Tensor,
        batch_sizes: Tensor | None = None,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> PackedSequence:
        check_tensors("PackedSequence", data)
        if (
            not isinstance(batch_sizes, Tensor)
            or batch_sizes.ndim != 1
            or batch_sizes._array.dtype != np.int64
        ):
            raise ValueError(
                "PackedSequence: expected batch_sizes, an int64 Tensor (T); use "
                "pack_padded_sequence or pack_sequence"
            )
        sizes = batch_sizes._array
        if len(sizes) == 0 or sizes[-1] < 1 or np.any(sizes[1:] > sizes[:-1]):
            raise ValueError(
                "PackedSequence: expected batch_sizes of at least 1 that never rise, got "
                f"{sizes.tolist()}; use pack_padded_sequence or pack_sequence"
            )
        if int(sizes.sum()) != data._array.shape[0]:
            raise ValueError(
                f"PackedSequence: expected batch_sizes that add up to the {data._array.shape[0]} "
                f"rows of data, got a sum of {int(sizes.sum())}"
            )
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The same with `data.to(...)`."""
        return self._replace(data=self.data.to(*args, **kwargs))

    def float(self) -> PackedSequence:
        return self._replace(data=self.data.float())

    def double(self) -> PackedSequence:
        return self._replace(data=self.data.double())

    def cpu(self) -> PackedSequence:
        return self

    @property
    def is_cuda(self) -> bool:
        return False

    def is_pinned(self) -> bool:
        return False


def steps_of(sequence: PackedSequence) -> Steps:
    """How the rows of packed sequences belong to steps."""
    sizes = tuple(sequence.batch_sizes.tolist())
    return Steps(sizes, sizes[0])


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The permutation that undoes one, int64 (N); None for None."""
    return None if permutation is None else make(np.argsort(permutation._array))


def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Pack sequences that stand side by side, padded to T steps.

    input : Tensor (T, N, ...), or (N, T, ...) with batch_first
    lengths : N whole numbers from 1 to T
    enforce_sorted : lengths must not rise; with False the sequences are sorted by themselves
    Raises RuntimeError for lengths that rise, are 0, beyond T or not as many as sequences. (The
    recurrent layers' own `lengths=` needs no order and takes 0.)
    """
    name = "pack_padded_sequence"
    check_tensors(name, input)
    if input.ndim < 2:
        raise RuntimeError(
            f"{name}: expected an input (T, N, ...), got {input.ndim} dimensions; a single "
            "sequence is a batch of one"
        )
    x = transpose(input, 0, 1) if batch_first else input
    steps, batch = x._array.shape[:2]
    if batch == 0:
        raise RuntimeError(f"{name}: Cannot pack empty tensors; expected at least one sequence")
    try:
        packing = packing_of(name, lengths, batch, steps, sort=not enforce_sorted)
    except ValueError as error:
        raise RuntimeError(str(error)) from None
    if packing.steps.sizes[:1] != (batch,):
        raise RuntimeError(
            f"{name}: Length of all samples has to be greater than 0, but found an element in "
            "'lengths' that is <= 0; the recurrent layers' own lengths= takes 0"
        )
    order = None if enforce_sorted else packing.order
    return PackedSequence(packed(x, packing), make(np.array(packing.steps.sizes)), order)


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Undo `pack_padded_sequence`: (padded (T, N, ...) or (N, T, ...), int64 lengths (N)).

    total_length : T; the longest length if None. Raises ValueError if it is less than that.
    """
    steps = steps_of(sequence)
    longest = len(steps.sizes)
    if total_length is not None and total_length < longest:
        raise ValueError(
            "Expected total_length to be at least the length of the longest sequence in input, "
            f"but got total_length={total_length} and max sequence length being {longest}"
        )
    lengths = np.sum(np.array(steps.sizes)[:, None] > np.arange(steps.batch), axis=0)
    packing = packing_of("pad_packed_sequence", lengths, steps.batch, longest)
    result = padded(sequence.data, packing, total_length or longest, padding_value)
    if sequence.unsorted_indices is not None:
        result = index_select(result, 1, sequence.unsorted_indices)
        lengths = lengths[sequence.unsorted_indices._array]
    return (transpose(result, 0, 1) if batch_first else result), make(lengths)


def pad_sequence(
    sequences: Iterable[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Tensors (length, ...) side by side: (T, N, ...), or (N, T, ...) with batch_first.

    padding_side : "right" puts the padding after the sequences, "left" before them
    """
    name = "pad_sequence"
    items = list(sequences)
    if not items:
        raise RuntimeError(f"{name}: received an empty list of sequences")
    check_tensors(name, *items)
    if padding_side not in ("left", "right"):
        raise RuntimeError(f"{name}: expected padding_side 'left' or 'right', got {padding_side!r}")
    rows = cat(items)
    lengths = np.array([item._array.shape[0] for item in items])
    steps, batch = lengths.max(), len(items)
    # Where each row goes: sequence by sequence, from step 0 on or up to the last one.
    sequence = np.repeat(np.arange(batch), lengths)
    step = np.arange(len(sequence)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    if padding_side == "left":
        step += (steps - lengths)[sequence]
    places = sequence * steps + step if batch_first else step * batch + sequence
    rest = rows._array.shape[1:]
    memory = create.full((int(steps) * batch, *rest), padding_value, dtype=rows.dtype)
    lead = (batch, int(steps)) if batch_first else (int(steps), batch)
    return reshape(index_copy(memory, 0, make(places), rows), (*lead, *rest))


def unpad_sequence(
    padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False
) -> list[Tensor]:
    """Undo `pad_sequence`: the Tensors (length, ...), given int64 lengths (N)."""
    x = padded_sequences if batch_first else transpose(padded_sequences, 0, 1)
    return [row[:length] for row, length in zip(x, lengths.tolist(), strict=True)]


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Pack Tensors (length, ...); with enforce_sorted, the longest first."""
    check_tensors("pack_sequence", *sequences)
    lengths = [item._array.shape[0] for item in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """Undo `pack_sequence`."""
    return unpad_sequence(*pad_packed_sequence(packed_sequences))
