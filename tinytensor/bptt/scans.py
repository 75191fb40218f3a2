"""One layer in one direction over time, as plain arrays: what the rest of this package reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ..dtypes import Array
from ..nn.steps import Steps

GATES = {"lstm": "ifgo", "gru": "rzn", "rnn_tanh": "", "rnn_relu": ""}  # in the weights' rows

Parts = Sequence[Array | None]  # gradients at several places, None where there is none


@dataclass(eq=False)
class Scan:
    """One call of a recurrent layer, one of its layers in one direction; or a loop over a cell.

    What belongs to steps is (rows, features): one row for each sequence and step that there is, in
    order of time whatever the direction, sequences by falling length; see `nn.steps.Steps`.

    kind : "lstm", "gru", "rnn_tanh" or "rnn_relu"
    path : the module's name in the model, "" for the model itself
    layer, direction : the layer's number, "forward" or "reverse"
    steps : how many sequences each step has
    order : (N,), which of the user's sequences each one here is; None for the user's own order
    length : T, the steps of the user's input; those after the longest sequence have no rows
    weights : role -> array or None, as they were in the forward pass; the roles are weight_ih
        (G·H, I), weight_hh (G·H, P), bias_ih, bias_hh (G·H), weight_hr (P, H)
    names : a parameter's name in its module ("weight_hh_l0_reverse") -> its role
    factors : (N, P), of recurrent dropout, on h where W_hh reads it; or None
    x : (rows, I)
    h0, c0 : (N, P), (N, H), the first states, in the order of the sequences here; c0 of an LSTM
    h, c : (rows, P), (rows, H), the states after each step
    gates : name -> (rows, H): i f g o, or r z n and q = W_hn h + b_hn; none in a simple RNN

    After the backward pass, else None; after several, sums:

    dz : (rows, G·H), the gradient at z = W_ih x + b_ih + W_hh h + b_hh, in the order of the
        weights' rows; in a GRU that of the input's side, `da` in `nn.gru_kernel`
    du : the same of the recurrent side: dz itself but in a GRU, where the part of n is r times it
    dy : (rows, P), what enters at the outputs h_t from outside of the scan
    dc_in : (rows, H), what enters at c_t from outside; None where nothing does
    gates_in : name -> (rows, H), what enters at the gates from outside; only those where it does
    d_last : what enters at the last h (N, P), and in an LSTM at the last c (N, H)
    left_out : whether a backward pass came through that is not in these, as it came after one with
        create_graph=True
    """

    kind: str
    path: str
    layer: int
    direction: str
    steps: Steps
    order: Array | None
    length: int
    weights: dict[str, Array | None]
    names: dict[str, str]
    factors: Array | None
    x: Array
    h0: Array
    c0: Array | None
    h: Array
    c: Array | None
    gates: dict[str, Array]
    dz: Array | None = None
    du: Array | None = None
    dy: Array | None = None
    dc_in: Array | None = None
    gates_in: dict[str, Array] = field(default_factory=dict)
    d_last: tuple[Array, ...] | None = None
    left_out: bool = False

    def __repr__(self) -> str:
        where = f"{self.kind} {self.path!r}, layer {self.layer}, {self.direction}"
        return f"Scan({where}: h {self.h.shape}, {self.length} steps)"

    @property
    def reverse(self) -> bool:
        return self.direction == "reverse"

    @property
    def size(self) -> int:
        """H, the features of a gate."""
        return self.weight("weight_hh").shape[0] // max(1, len(GATES[self.kind]))

    def weight(self, role: str) -> Array:
        """A weight that there must be."""
        array = self.weights[role]
        if array is None:
            raise KeyError(f"{self.path or self.kind}: expected a {role}, got none")
        return array

    def step(self, t: int) -> slice:
        """Where the rows of step t are."""
        starts = self.steps.starts
        return slice(starts[t], starts[t + 1])

    def padded(self, rows: Array) -> Array:
        """(rows, F) as (T, N, F) in the user's order of sequences; 0 where one has no step."""
        found = np.zeros((self.length, self.steps.batch, *rows.shape[1:]), rows.dtype)
        for t, count in enumerate(self.steps.sizes):
            sequences = slice(count) if self.order is None else self.order[:count]
            found[t, sequences] = rows[self.step(t)]
        return found

    def by_sequence(self, each: Array) -> Array:
        """(N, F) in the order of the sequences here -> in the user's."""
        if self.order is None:
            return each.copy()
        found = np.empty_like(each)
        found[self.order] = each
        return found

    def starts(self) -> tuple[Array, ...]:
        """The h, and in an LSTM the c, that each step started from: (rows, P), (rows, H)."""
        if self.c is None or self.c0 is None:
            return (self._starts(self.h, self.h0),)
        return self._starts(self.h, self.h0), self._starts(self.c, self.c0)

    def read(self) -> Array:
        """What W_hh was multiplied with: (rows, P)."""
        h = self._starts(self.h, self.h0)
        return h if self.factors is None else h * self.steps.repeated(self.factors)

    def backward_ran(self) -> tuple[Array, Array, Array, tuple[Array, ...]]:
        """dz, du, dy, d_last. Raises RuntimeError when no gradient has come here yet."""
        if self.dz is None or self.du is None or self.dy is None or self.d_last is None:
            where = f" {self.path!r}" if self.path else ""
            got = "the forward alone"
            cure = (
                "call loss.backward() inside `with bptt.record(model)` or after it, then ask the "
                "record for a new view"
            )
            if self.left_out:
                got = "one after one with create_graph=True, which may be a second derivative"
                cure = "record a forward pass of its own"
            raise RuntimeError(
                f"bptt.record: expected a backward pass through {self.kind}{where}, got {got}; "
                f"{cure}"
            )
        return self.dz, self.du, self.dy, self.d_last

    def _starts(self, rows: Array, first: Array) -> Array:
        found = np.empty_like(rows)
        carried = first.copy()
        sizes = self.steps.sizes
        for t in self.steps.order(self.reverse):
            own = self.step(t)
            found[own] = carried[: sizes[t]]
            carried[: sizes[t]] = rows[own]
        return found


def sums(before: Parts, gradients: Parts) -> list[Array | None]:
    """Of two passes, part by part; nothing is written into what others may refer to."""
    found = []
    for one, gradient in zip(before, gradients, strict=True):
        if one is None or gradient is None:
            found.append(one if gradient is None else gradient.copy())
        else:
            found.append(one + gradient)
    return found
