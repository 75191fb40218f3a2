"""What one call of a recurrent layer leaves: the kernels, and the driver in primitives, write it.

A note refers to what the kernel keeps for its backward pass anyway, and to δz, which the backward
pass makes anyway. Copied is only what others may write into: the first inputs, the weights, and
what arrives from outside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import memory
from ..autograd.mode import threads
from ..dtypes import Array
from ..nn.states import DIRECTIONS
from ..nn.steps import Steps
from ..tensor import Tensor
from .listen import Ear, listen
from .scans import GATES, Scan, sums
from .through_time import back_through_time

_ROLES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")


class _Left:
    """Of one scan: all as in `Scan`.

    parts : h, in an LSTM c, the gates; (rows, features)
    arrived : what came from outside at these, None where nothing did, then what came at the last
        states
    dz : δ by the gate
    ears : in primitives, (name, what has come to it), for each output and each part kept for a user
    """

    arrived: list[Array | None] | None = None
    dz: dict[str, Array] | None = None
    left_out = False

    def __init__(
        self,
        x: Array,
        first: Sequence[Array],
        weights: Sequence[Any],
        parts: Sequence[Array],
        ears: Sequence[tuple[str, Ear]] = (),
    ) -> None:
        self.x = x
        self.first = first
        self.weights = weights
        self.parts = parts
        self.ears = ears


class LayerNote:
    """One call of an `nn.RNN`, `nn.GRU` or `nn.LSTM`.

    kind, path : as in `Scan`
    scans : for each layer and direction the names of its parameters, None for one that is not there
    directions : 1 or 2
    Gradients of several backward passes add up, as in `.grad`.
    """

    steps: Steps  # as soon as there are scans

    def __init__(
        self, kind: str, path: str, scans: Sequence[Sequence[str | None]], directions: int
    ) -> None:
        self.kind = kind
        self.path = path
        self.names = scans
        self.directions = directions
        self.parts = "hc" if kind == "lstm" else "h"
        self.order: Array | None = None
        self.length = 0
        self._left: list[_Left] = []
        self._ears_last: tuple[Ear, ...] = ()  # of a call in primitives, what comes to its ends
        self._later: Callable[[LayerNote], None] | None = None
        self._ends: list[Array | None] | None = None  # what arrived at outputs and last states
        self._dy: dict[int, Array] = {}  # layer -> what follows from that for its outputs
        self._is_closed = False

    # -- written by nn

    def ordered(self, order: Array | None, length: int) -> None:
        """Which of the user's sequences each one here is, of how many steps at the most."""
        self.order = order
        self.length = length

    def forward(
        self,
        steps: Steps,
        states: Sequence[Array],
        weights: Sequence[tuple[Any, ...]],
        inputs: Sequence[Array],
        parts: Sequence[tuple[Array, ...]],
    ) -> None:
        """From the kernel: of each layer its input, of each scan h, c and gates of all steps."""
        self.steps = steps
        self.length = self.length or len(steps.sizes)
        for number, own in enumerate(weights):
            x = inputs[number // self.directions]
            self._left.append(
                _Left(
                    memory.copy(x) if number < self.directions else x,
                    [state[number].copy() for state in states],
                    [None if one is None else memory.copy(one) for one in own],
                    parts[number],
                )
            )

    def arrived(
        self, number: int, gradients: Sequence[Array | None], d_last: Sequence[Array]
    ) -> None:
        """From the kernel, of a scan: what arrives at h, c and gates, and at the last states."""
        left = self._left[number]
        if threads.mode.looking:
            return
        if self._is_closed:
            left.left_out = True
        elif left.arrived is None:
            arrived = (*gradients, *d_last)
            left.arrived = [None if one is None else memory.copy(one) for one in arrived]
        else:
            left.arrived = sums(left.arrived, (*gradients, *d_last))

    def differentiated(self, number: int, dz: dict[str, Array]) -> None:
        """From the kernel, of a scan: δz by the gate."""
        left = self._left[number]
        if self._is_closed or threads.mode.looking:
            return
        if left.dz is not None:
            dz = {name: left.dz[name] + part for name, part in dz.items()}
        left.dz = dz

    def later(self, tell: Callable[[LayerNote], None]) -> None:
        """From the kernel, where all layers were one call: what will call `forward` of the note."""
        self._later = tell

    def arrived_at_ends(self, gradients: Sequence[Array | None]) -> None:
        """From the same: what arrives at the outputs and at the last states."""
        if threads.mode.looking:
            return
        self._dy = {}
        if self._is_closed:
            for left in self._all_left():
                left.left_out = True
        elif self._ends is None:
            self._ends = [None if one is None else memory.copy(one) for one in gradients]
        else:
            self._ends = sums(self._ends, gradients)

    def close(self) -> None:
        """From the kernel, after a pass that is a graph: a later one may be a second derivative."""
        self._is_closed = True

    # The same of the driver in primitives, which tells no gradients. They are listened for where
    # they enter; those inside follow from them.

    def unrolled(
        self,
        steps: Steps | None,
        x: Tensor,
        first: Sequence[Tensor],
        weights: Sequence[Tensor | None],
        found: Sequence[tuple[tuple[Tensor, ...], tuple[Tensor, ...]]],
        output: Tensor,
    ) -> None:
        """Of a scan: the states and gates of each step, and its outputs, joined."""
        self.steps = steps or Steps((x.shape[1],) * len(x), x.shape[1])
        self.length = self.length or len(self.steps.sizes)
        columns = zip(*((*state, *gates) for state, gates in found), strict=True)
        left = _Left(
            _rows(x._array).copy(),
            [part._array.copy() for part in first],
            [None if one is None else one._array.copy() for one in weights],
            [np.concatenate([part._array for part in column]) for column in columns],
            [("h", listen(output))],
        )
        self._left.append(left)

    def unrolled_kept(self, number: int, parts: Sequence[Tensor]) -> None:
        """Of a scan: its states and gates, joined for the user's own use."""
        left = self._left[number]
        names = self.parts + GATES[self.kind]
        left.ears = [*left.ears, *zip(names, map(listen, parts), strict=True)]

    def unrolled_last(self, finals: Sequence[Tensor]) -> None:
        """The last states of all scans, (scans, N, features) for each part."""
        self._ears_last = tuple(map(listen, finals))

    # -- read by the record

    def __getstate__(self) -> dict[str, Any]:
        """For a copy or pickle: without what would call a compiled module."""
        self._all_left()
        return self.__dict__

    def scan(self, number: int) -> Scan:
        """One layer in one direction."""
        left = self._all_left()[number]
        layer, direction = divmod(number, self.directions)
        *own, factors = left.weights
        gates = dict(zip(GATES[self.kind], left.parts[len(self.parts) :], strict=True))
        names = {
            name: role
            for name, role in zip(self.names[number], _ROLES, strict=False)
            if name is not None
        }
        scan = Scan(
            self.kind, self.path, layer, DIRECTIONS[direction], self.steps, self.order, self.length,
            dict(zip(_ROLES, own, strict=False)), names, factors, left.x, left.first[0],
            left.first[1] if self.parts == "hc" else None, left.parts[0],
            left.parts[1] if self.parts == "hc" else None, gates, left_out=left.left_out,
        )  # fmt: skip
        if self.kind == "gru":
            gates["q"] = _q(scan)
        if left.ears:
            self._with_heard(scan, left, number)
        elif left.arrived is not None and left.dz is not None:
            ends = len(left.arrived) - len(self.parts)
            arrived = zip(self.parts + GATES[self.kind], left.arrived[:ends], strict=True)
            self._with_entering(scan, dict(arrived), left.arrived[ends:])
            self._with_kept(scan, left.dz)
        elif self._ends is not None:
            dy = self._entering(layer, scan)
            size = scan.h.shape[1]
            begin = number % self.directions * size
            d_last = [
                np.zeros_like(first) if one is None else one[number]
                for first, one in zip(left.first, self._ends[1:], strict=True)
            ]
            self._with_entering(scan, {"h": dy[:, begin : begin + size]}, d_last)
            back_through_time(scan)
        return scan

    def _all_left(self) -> list[_Left]:
        if self._later is not None:
            tell, self._later = self._later, None
            tell(self)
        return self._left

    def _entering(self, layer: int, scan: Scan) -> Array:
        """What enters at the outputs of a layer (rows, directions · H), from what did at the last.

        scan : any of the layer
        """
        if layer in self._dy:
            return self._dy[layer]
        above = range((layer + 1) * self.directions, (layer + 2) * self.directions)
        assert self._ends is not None
        dy: Any = self._ends[0]
        if above.start < len(self._left):
            dy = sum(one.dz @ one.weight("weight_ih") for one in map(self.scan, above))
        elif dy is None:
            dy = np.zeros((len(scan.h), self.directions * scan.h.shape[1]), scan.h.dtype)
        self._dy[layer] = dy
        return self._dy[layer]

    def _with_entering(
        self, scan: Scan, arrived: dict[str, Array | None], d_last: Sequence[Any]
    ) -> None:
        """Write into a scan what enters it from outside."""
        dy = arrived.pop("h", None)
        scan.dy = np.zeros_like(scan.h) if dy is None else dy
        scan.dc_in = arrived.pop("c", None)
        scan.gates_in = {name: one for name, one in arrived.items() if one is not None}
        scan.d_last = tuple([part.copy() for part in d_last])

    @np.errstate(over="ignore", invalid="ignore")
    def _with_kept(self, scan: Scan, dz: dict[str, Array]) -> None:
        """Write into a scan the δz of the kernel."""
        parts = [dz[name] for name in GATES[self.kind] or "h"]
        scan.dz = scan.du = np.concatenate(parts, axis=1)
        if self.kind == "gru":
            scan.du = np.concatenate([*parts[:2], parts[2] * scan.gates["r"]], axis=1)

    def _with_heard(self, scan: Scan, left: _Left, number: int) -> None:
        """Write into a scan in primitives what has come to it, and the δz that follows."""
        ears = [*(ear for _, ear in left.ears), *self._ears_last]
        scan.left_out = any(ear.left_out for ear in ears)
        if all(ear.total is None for ear in ears):
            return
        arrived: dict[str, Array | None] = {}
        for name, ear in left.ears:
            if ear.total is not None:
                (arrived[name],) = sums([arrived.get(name)], [_rows(ear.total)])
        d_last = [
            np.zeros_like(first) if ear.total is None else ear.total[number]
            for first, ear in zip(left.first, self._ears_last, strict=True)
        ]
        self._with_entering(scan, arrived, d_last)
        back_through_time(scan)

    @property
    def scans(self) -> int:
        """Layers times directions; 0 before the forward pass."""
        return len(self._all_left())

    def zero_grad(self) -> None:
        """Forget the gradients."""
        self._ends = None
        self._dy = {}
        for left in self._left:
            left.arrived = left.dz = None
            left.left_out = False
            for _, ear in left.ears:
                ear.forget()
        for ear in self._ears_last:
            ear.forget()


def _rows(array: Array) -> Array:
    """(T, N, features) as rows; rows as they are."""
    return array.reshape(-1, array.shape[-1])


def _q(scan: Scan) -> Array:
    """What r is multiplied with in a GRU: W_hn h + b_hn."""
    size = scan.size
    q = scan.read() @ scan.weight("weight_hh")[2 * size :].T
    bias = scan.weights["bias_hh"]
    if bias is not None:
        q += bias[2 * size :]
    return q
