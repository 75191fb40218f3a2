"""What all recurrent layers share: sequences in and out, lengths, states, dropout, the layout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..ops.index import index_select
from ..ops.shape import cat, expand, squeeze, transpose, unsqueeze
from ..tensor import Tensor, make
from .explain import explain
from .functional import dropout_mask
from .module import Module
from .packing import packed, packing_of, padded
from .recording import opened
from .states import ScanStates, States
from .steps import Steps
from .utils.rnn import PackedSequence, steps_of


class SequenceLayer(Module):
    """Layers x directions over whole sequences, whatever computes them.

    A subclass sets the attributes that are named here, and says in `_call` how it computes.
    """

    input_size: int
    hidden_size: int
    num_layers: int
    batch_first: bool
    dropout: float
    bidirectional: bool
    variational: bool
    # What only those have that are no layers of own cells.
    proj_size: int = 0
    bias: bool | str = True
    recurrent_dropout: float = 0.0
    checkpoint_every: int | None = None
    _state_names: tuple[str, ...] = ("h_0",)
    # What there is at each step: the parts of the state, then the gates.
    _part_names: Sequence[str] = "h"

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def _output_size(self) -> int:
        """The features of h."""
        return self.proj_size or self.hidden_size

    @property
    def _state_sizes(self) -> tuple[int, ...]:
        """The features of each part of the state, h first."""
        return (self._output_size, self.hidden_size)[: len(self._state_names)]

    def _call(
        self, x: Tensor, initial: tuple[Tensor, ...], steps: Steps | None, keep: bool
    ) -> tuple[Tensor, tuple[Tensor, ...], list[Tensor]]:
        """(output, last states, to `keep` the states and gates of all steps).

        x is (T, N, I), or (rows, I) with `steps`; what is kept, like the output, likewise.
        """
        raise NotImplementedError

    def _first_weight(self) -> Tensor | None:
        """A parameter, whose dtype is that of all; None for cells that have none."""
        return next(iter(self.parameters()), None)

    def forward(
        self, input: Any, hx: Any = None, *, lengths: Any = None, return_states: bool = False
    ) -> Any:
        """(output, last states), with return_states also the states of all steps; see `LSTM`."""
        one = len(self._state_names) == 1
        given = None
        if hx is not None:
            given = (hx,) if one else as_parts(type(self).__name__, self._state_names, hx)
        output, last, kept = self._run(input, given, lengths, return_states)
        state = last[0] if one else last
        return (output, state, kept) if return_states else (output, state)

    def _run(
        self, input: Any, states: tuple[Any, ...] | None, lengths: Any, return_states: bool
    ) -> tuple[Any, tuple[Tensor, ...], States | None]:
        """(output, last states, the states of all steps if asked for)."""
        if isinstance(input, PackedSequence):
            return self._run_packed(input, states, lengths, return_states)
        name = type(self).__name__
        check_dtype(name, "input", input, self._first_weight())
        if input.ndim not in (2, 3):
            raise ValueError(f"{name}: Expected input to be 2D or 3D, got {input.ndim}D instead")
        batched = input.ndim == 3
        x = input
        if not batched:
            x = unsqueeze(x, 1)
        elif self.batch_first:
            x = transpose(x, 0, 1)
        steps, batch, _ = x._array.shape
        self._check_features(x)
        if steps == 0:
            raise RuntimeError(f"{name}: Expected sequence length to be larger than 0 in RNN")
        initial = self._initial(states, batch, batched, x)
        if lengths is None:
            output, last, kept = self._call(x, initial, None, return_states)
        else:
            output, last, kept = self._with_lengths(x, initial, lengths, return_states)
        if not batched:
            output, *kept = (squeeze(part, 1) for part in (output, *kept))
            last = tuple(squeeze(part, 1) for part in last)
        elif self.batch_first:
            output, *kept = (transpose(part, 0, 1) for part in (output, *kept))
        return output, last, self._named(kept) if return_states else None

    def _with_lengths(
        self, x: Tensor, initial: tuple[Tensor, ...], lengths: Any, return_states: bool
    ) -> tuple[Tensor, tuple[Tensor, ...], list[Tensor]]:
        """As `_call`, for padded sequences of which only the first `lengths` steps are read."""
        steps, batch, _ = x._array.shape
        packing = packing_of(type(self).__name__, lengths, batch, steps)
        output, last, kept = self._call(
            packed(x, packing),
            tuple(index_select(part, 1, packing.order) for part in initial),
            packing.steps,
            return_states,
        )
        if opened.recorder is not None:
            opened.recorder._ordered(self, packing.order._array, steps)
        output, *kept = (padded(rows, packing, steps) for rows in (output, *kept))
        return output, tuple(index_select(part, 1, packing.back) for part in last), kept

    def _run_packed(
        self, input: PackedSequence, states: tuple[Any, ...] | None, lengths: Any, keep: bool
    ) -> tuple[PackedSequence, tuple[Tensor, ...], States | None]:
        name = type(self).__name__
        if lengths is not None or keep:
            raise TypeError(
                f"{name}: expected a padded tensor for lengths= and return_states=, got a "
                "PackedSequence; use pad_packed_sequence"
            )
        steps = steps_of(input)
        check_dtype(name, "input", input.data, self._first_weight())
        if input.data.ndim != 2:
            raise RuntimeError(
                f"{name}: input must have 2 dimensions, got {input.data.ndim}; pack sequences of "
                "shape (T, N, I)"
            )
        self._check_features(input.data)
        initial = self._initial(states, steps.batch, True, input.data)
        if states is not None and input.sorted_indices is not None:
            initial = tuple(index_select(part, 1, input.sorted_indices) for part in initial)
        output, last, _ = self._call(input.data, initial, steps, False)
        if opened.recorder is not None and input.sorted_indices is not None:
            opened.recorder._ordered(self, input.sorted_indices._array, len(steps.sizes))
        if input.unsorted_indices is not None:
            last = tuple(index_select(part, 1, input.unsorted_indices) for part in last)
        return input._replace(data=output), last, None

    def _named(self, kept: list[Tensor]) -> States:
        names = self._part_names
        scans = [kept[k : k + len(names)] for k in range(0, len(kept), len(names))]
        return States([ScanStates(names, parts) for parts in scans], self._directions)

    def _check_features(self, x: Tensor) -> None:
        features = x._array.shape[-1]
        if features != self.input_size:
            raise RuntimeError(
                f"{type(self).__name__}: input.size(-1) must be equal to input_size. "
                f"Expected {self.input_size}, got {features}"
            )

    def _initial(
        self, given: tuple[Any, ...] | None, batch: int, batched: bool, x: Tensor
    ) -> tuple[Tensor, ...]:
        """The initial states as (L · D, N, H): those given, checked, or zeros."""
        scans = self.num_layers * self._directions
        sizes = self._state_sizes
        if given is None:
            kind = x._array.dtype
            return tuple(make(np.zeros((scans, batch, size), kind)) for size in sizes)
        weight = self._first_weight()
        middle = (batch,) if batched else ()
        for name, part, size in zip(self._state_names, given, sizes, strict=True):
            check_dtype(type(self).__name__, name, part, weight)
            expected = (scans, *middle, size)
            got = tuple(part._array.shape)
            if got != expected:
                raise RuntimeError(
                    f"{type(self).__name__}: Expected {name} of size (num_layers * num_directions, "
                    f"N, H) = {expected}, got {got}{_usual_cause(got, expected)}"
                )
        return given if batched else tuple(unsqueeze(part, 1) for part in given)

    def _mask(self, x: Tensor, steps: Steps | None) -> Tensor | None:
        """The factors of dropout between the layers, in torch's order: 0, or 1 / (1 - p)."""
        if not self.training or self.dropout == 0.0 or self.num_layers == 1:
            return None
        features = self._directions * self._output_size
        shape = (*x._array.shape[:-1], features)
        batch = steps.batch if steps is not None else shape[1]
        drawn = (batch, features) if self.variational else shape
        masks = np.zeros((self.num_layers - 1, *drawn), x._array.dtype)
        if self.dropout < 1.0:
            for mask in masks:
                mask[...] = dropout_mask(self.dropout, mask)
        if not self.variational:
            return make(masks)
        if steps is None:
            return expand(make(masks[:, None]), (self.num_layers - 1, *shape))
        return make(steps.repeated(masks))

    # -- which number is where

    def last_states(self, h_n: Tensor) -> Tensor:
        """The last layer's last states: (L · D, N, H) -> (N, D · H), forward then reverse.

        Each direction's own last step: of the reverse direction that is the first time. It is what
        a classifier of whole sequences wants, and what output[-1] is not: there the reverse
        direction has read one input only.
        """
        top = [h_n[number] for number in range(-self._directions, 0)]
        return top[0] if len(top) == 1 else cat(top, -1)

    def explain(self, input: Any) -> None:
        """Print which part of output and last states is which layer, direction and time."""
        print(explain(self, input))

    def extra_repr(self) -> str:
        parts = [f"{self.input_size}, {self.hidden_size}"]
        if self.proj_size:
            parts.append(f"proj_size={self.proj_size}")
        if self.num_layers != 1:
            parts.append(f"num_layers={self.num_layers}")
        if self.bias is not True:
            parts.append(f"bias={self.bias!r}")
        if self.batch_first:
            parts.append("batch_first=True")
        if self.dropout != 0:
            parts.append(f"dropout={self.dropout}")
        if self.variational:
            parts.append("variational=True")
        if self.recurrent_dropout != 0:
            parts.append(f"recurrent_dropout={self.recurrent_dropout}")
        if self.bidirectional:
            parts.append("bidirectional=True")
        if self.checkpoint_every is not None:
            parts.append(f"checkpoint_every={self.checkpoint_every}")
        return ", ".join(parts)


def as_parts(name: str, names: Sequence[str], hx: Any) -> tuple[Any, ...]:
    """The parts of a state, which are as many as their names."""
    found = type(hx).__name__
    if isinstance(hx, (tuple, list)):
        if len(hx) == len(names):
            return tuple(hx)
        found += f" of {len(hx)}"
    kind = "pair" if len(names) == 2 else "tuple"
    raise TypeError(f"{name}: expected hx to be a {kind} ({', '.join(names)}), got {found}")


def check_dtype(name: str, what: str, tensor: Any, weight: Tensor | None) -> None:
    """Raise TypeError for what is no Tensor, RuntimeError for one of another dtype."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name}: expected {what} to be a Tensor, got {type(tensor).__name__}")
    if weight is not None and tensor.dtype is not weight.dtype:
        raise RuntimeError(
            f"{name}: expected {what} and parameters of one dtype, got {tensor.dtype} and "
            f"{weight.dtype}; use .to() on either"
        )


def _usual_cause(got: tuple[int, ...], expected: tuple[int, ...]) -> str:
    """What usually leads to a state of such a shape."""
    if len(got) != len(expected):
        return "; the states have a batch dimension just where the input has one"
    if len(got) == 3 and got == (expected[1], expected[0], expected[2]):
        return "; batch_first turns input and output around, but never the states"
    if len(got) == 3 and got[1] != expected[1] and got[::2] == expected[::2]:
        return "; the state was made for another batch size (is this the last, smaller batch?)"
    if got[0] != expected[0]:
        return "; a state has one entry for each layer and each direction"
    return "; the last dimension is hidden_size, that of h_0 proj_size where there is one"
