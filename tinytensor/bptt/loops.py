"""Which calls of a cell follow each other: the loops that a learner makes over it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..nn.cell_kernels import StepKernel
from ..nn.cells import RNNCellBase
from ..tensor import Tensor
from .cell_note import CellNote


class Loops:
    """The loops over one cell, each written on a `CellNote`, in the order in which they began.

    path : the cell's name in the model
    notes : of a record, path -> notes
    """

    def __init__(self, path: str, cell: RNNCellBase, notes: dict[str, list[Any]]) -> None:
        self._path = path
        self._cell = cell  # as long as it is there, no other has its id
        self._notes = notes
        self._last: CellNote | None = None  # the one that went on last
        self._others: dict[int, CellNote] = {}  # id of the storage where it stands -> another one

    def call(
        self,
        kernel: StepKernel,
        x: Tensor,
        state: Sequence[Tensor],
        weights: Sequence[Tensor | None],
        made: Sequence[Tensor],
        given: Sequence[Tensor] | None,
        after: Sequence[Tensor],
    ) -> None:
        """A call of the cell: the kernel, what it was called with, and the state that it made.

        given, after : the state before and after as the user has it; None if there was none
        """
        note = self._last
        if note is None or given is None or not note.goes_on(kernel, given, weights):
            note = self._last = self._another(kernel, state, weights, given)
        note.add(x, made, after)

    def _another(
        self,
        kernel: StepKernel,
        state: Sequence[Tensor],
        weights: Sequence[Tensor | None],
        given: Sequence[Tensor] | None,
    ) -> CellNote:
        """The loop that stands where a call starts, which is not the last one; or a new one."""
        if self._last is not None:
            self._others[id(self._last.after[0][0])] = self._last
        if given is not None:
            place = id(given[0]._storage)
            other = self._others.get(place)
            if other is not None and other.goes_on(kernel, given, weights):
                del self._others[place]
                return other
        note = CellNote(kernel, self._path, state, weights)
        self._notes.setdefault(self._path, []).append(note)
        return note

    def end(self) -> None:
        """No loop goes on."""
        self._last = None
        self._others.clear()
