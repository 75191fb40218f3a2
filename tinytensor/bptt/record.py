"""`with record(model) as rec:` what a forward and a backward pass did, in every recurrent layer."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from textwrap import indent
from typing import Any, SupportsIndex

from ..dtypes import Array
from ..nn.cells import RNNCellBase
from ..nn.module import Module
from ..nn.recording import opened
from ..nn.recurrent import RNNBase
from ..nn.states import DIRECTIONS
from .cell_note import CellNote
from .layer_note import LayerNote
from .loops import Loops
from .truncation import Truncation
from .view import View

_SHOWN = 20  # at most, of calls or of layers


def record(model: Module) -> Record:
    """Keep what the recurrent layers and cells in a model do, forward and backward.

        with bptt.record(model) as rec:
            loss = loss_fn(model(x), y)
            loss.backward()
        rec["lstm"].layer(0, "forward").c_grad    # (T, N, H)

    Recorded are `nn.RNN`, `nn.GRU`, `nn.LSTM` and loops over their cells, if they are the model or
    in it, when the model runs in this thread inside the block, with or without `no_grad`. Not
    recorded are cells of one's own, with `nn.LSTM1997Cell` and `nn.LayerNormLSTMCell`. The model
    runs as it would, on its kernels, and under `tt.unrolled()` in primitives. A backward pass is
    recorded whenever it comes through what was recorded, in the block or after it, that of
    `autograd.grad` too, which adds to no `.grad`; gradients of several add up; see
    `Record.zero_grad`. After one with `create_graph=True` no more are recorded: they may be second
    derivatives. A view says that one was left out, and `weight_grad_steps` warns.

    Memory: what the kernels keep for the backward pass, not let go after it, with δz and what
    arrived at the outputs: for each layer and direction T N (11 H + I) numbers in an LSTM, T N
    (8 H + I) in a GRU, T N (3 H + I) in an RNN, in place of what the backward pass would free; and
    the weights once. A loop over cells: T N (6 H + I), (3 H + I), (3 H + I). All else is computed
    when asked for, as the gates of a loop, or of a layer in primitives the gradients inside, which
    follow from what entered it. A layer with `checkpoint_every` keeps all while it is recorded. The
    memory goes when the record goes; one that was made for each training step holds that of one.

    Time: about 5 to 15 hundredths of a training step, most for the smallest.

    Raises TypeError for what is no Module, RuntimeError for a record inside another.
    """
    if not isinstance(model, Module):
        raise TypeError(
            f"record: expected a Module, got {type(model).__name__}; record the module that holds "
            "the recurrent layers"
        )
    return Record(model)


class Record:
    """What was recorded: `rec[path]` is the last call of a module, `rec.calls(path)` are all."""

    def __init__(self, model: Module) -> None:
        self._notes: dict[str, list[LayerNote | CellNote]] = {}
        self._layers: dict[int, tuple[str, RNNBase]] = {}
        self._cells: dict[int, Loops] = {}
        for path, module in model.named_modules():
            if isinstance(module, RNNBase):
                self._layers[id(module)] = path, module
            elif isinstance(module, RNNCellBase):
                self._cells[id(module)] = Loops(path, module, self._notes)

    def __enter__(self) -> Record:
        if opened.recorder is not None:
            raise RuntimeError(
                "record: expected one record at a time, got a second inside it; record a module "
                "that holds all"
            )
        opened.recorder = self
        return self

    def __exit__(self, *error: object) -> None:
        opened.recorder = None
        for loops in self._cells.values():
            loops.end()

    # -- reading

    @property
    def paths(self) -> list[str]:
        """The names of the modules that were called, as `named_modules` gives them."""
        return [path for path, notes in self._notes.items() if any(note.scans for note in notes)]

    def calls(self, path: str) -> list[RecordedLayer]:
        """All calls of a module, in their order; of a cell all loops, see `RecordedLayer`."""
        found = [note for note in self._notes.get(path, ()) if note.scans]
        if not found:
            known = ", ".join(map(repr, self.paths)) or (
                "none: no recurrent layer was called that is recorded (nn.RNN, nn.GRU, nn.LSTM, "
                "their cells), and cells of one's own, as nn.LSTM1997Cell, are not"
            )
            cure = "; the model itself is the layer: rec['']" if self.paths == [""] else ""
            raise KeyError(f"record: expected one of {known}; got {path!r}{cure}")
        return [RecordedLayer(note) for note in found]

    def __getitem__(self, path: str) -> RecordedLayer:
        return self.calls(path)[-1]

    def __iter__(self) -> Iterator[str]:
        return iter(self.paths)

    def __len__(self) -> int:
        return len(self.paths)

    def truncation(
        self, lengths: Sequence[SupportsIndex] | None = None
    ) -> dict[str, list[Truncation]]:
        """Truncated against full gradient: path -> of each layer and direction of the last call.

        See `truncation.against_full`.
        """
        return {
            path: [view.truncation(lengths) for view in self[path].views] for path in self.paths
        }

    def zero_grad(self) -> None:
        """Forget the gradients, so that the next backward pass stands alone."""
        for notes in self._notes.values():
            for note in notes:
                note.zero_grad()

    def report(
        self,
        path: str | os.PathLike[str],
        *,
        title: str | None = None,
        pictures: Sequence[str] | None = None,
    ) -> str:
        """Write a page with all pictures and how to read them, and return its path; see
        `viz.report.write_report`.
        """
        from ..viz.report import write_report

        return write_report(self, path, title=title, pictures=pictures)

    def __repr__(self) -> str:
        lines = []
        for path in self.paths:
            calls = self.calls(path)
            for number, call in enumerate(calls):
                place = f", calls[{number}]" if len(calls) > 1 else ""
                lines.append(f"{path!r}{place}: {call!r}")
        return f"Record({_lines(lines)})" if lines else "Record(nothing recorded)"

    def __getstate__(self) -> dict[str, Any]:
        """For a copy or pickle: what was recorded, without the model."""
        return {**self.__dict__, "_layers": {}, "_cells": {}}

    # -- called by nn, see `nn.recording`; a cell tells its calls to its `Loops`

    def _layer(self, module: RNNBase) -> LayerNote | None:
        """A note for a call of a layer; None if it is not in the model."""
        path, _ = self._layers.get(id(module), (None, None))
        if path is None:
            return None
        directions = 2 if module.bidirectional else 1
        note = LayerNote(module.mode.lower(), path, module._scans, directions)
        self._notes.setdefault(path, []).append(note)
        return note

    def _ordered(self, module: Module, order: Array, length: int) -> None:
        """In which order the sequences of the last call of a layer are, and of how many steps."""
        path, _ = self._layers.get(id(module), (None, None))
        note = None if path is None else self._notes[path][-1]
        if isinstance(note, LayerNote):
            note.ordered(order, length)


class RecordedLayer:
    """One call of a recurrent layer: `layer(0, "reverse")` is a `View` of it.

    For a cell in a learner's own loop it is a run of calls, each of which starts from the very
    states that the one before it gave; any other call begins a new one, as does a change of the
    weights. It is layer 0, forward, and its steps are the calls. A change *into* `weight.data` is
    one that neither the loop nor the backward pass sees, whose gradient is wrong then. A record
    warns of it when it is read, as the states are not those of the first weights: write under
    `no_grad`, and detach the state.
    """

    def __init__(self, note: LayerNote | CellNote) -> None:
        self._note = note

    @property
    def views(self) -> list[View]:
        """All layers and directions: layer 0 forward, layer 0 reverse, layer 1 forward, ..."""
        return [self._view(number) for number in range(self._note.scans)]

    def layer(self, number: int = 0, direction: str = "forward") -> View:
        """Layer `number`, counted from 0, in a direction, "forward" or "reverse".

        Raises IndexError for a layer, ValueError for a direction that the module does not have.
        """
        if not isinstance(number, SupportsIndex):
            raise TypeError(
                f"record: expected the number of a layer, got {number!r}; its direction comes "
                'second: .layer(0, "reverse")'
            )
        known = DIRECTIONS[: self._note.directions]
        layers = self._note.scans // len(known)
        if not 0 <= number < layers:
            raise IndexError(f"record: expected a layer from 0 to {layers - 1}, got {number}")
        if direction not in known:
            raise ValueError(f"record: expected a direction of {known}, got {direction!r}")
        return self._view(number * len(known) + known.index(direction))

    def weight_grad_steps(self, name: str, by_gate: bool = False) -> Any:
        """What each step adds to the gradient of a parameter; see `View.weight_grad_steps`."""
        return self._owner(name).weight_grad_steps(name, by_gate)

    def weight_grad_norms(self, name: str, by_gate: bool = False) -> Any:
        """The norms of these parts, (T,); see `View.weight_grad_norms`."""
        return self._owner(name).weight_grad_norms(name, by_gate)

    @property
    def parameters(self) -> list[str]:
        """The names of the parameters of all layers and directions."""
        return [name for names in self._note.names for name in names if name is not None]

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"record: expected an attribute of RecordedLayer, got {name!r}; the arrays are those "
            'of one layer in one direction: .layer(0, "forward")'
        )

    def __repr__(self) -> str:
        return f"RecordedLayer({_lines(list(map(repr, self.views)))})"

    def _view(self, number: int) -> View:
        return View(self._note.scan(number))

    def _owner(self, name: str) -> View:
        """The layer and direction of a parameter."""
        for number, names in enumerate(self._note.names):
            if name in names:
                return self._view(number)
        raise KeyError(f"record: expected one of {', '.join(self.parameters)}, got {name!r}")


def _lines(parts: list[str]) -> str:
    """Each on a line of its own, further in; of very many some."""
    if len(parts) > _SHOWN:
        parts = [*parts[: _SHOWN // 2], f"... {len(parts) - _SHOWN} more", *parts[-_SHOWN // 2 :]]
    return "\n" + indent(",\n".join(parts), "  ") + "\n"
