"""What a learner's own loop over a cell leaves: each call is a step, and writes it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd.mode import threads
from ..autograd.node import Output
from ..dtypes import Array
from ..nn.cell_kernels import StepKernel
from ..nn.steps import Steps
from ..tensor import Storage, Tensor
from .gradients import into_cell, through_weights
from .listen import Ear, listen
from .scans import GATES, Parts, Scan, sums

_ROLES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


class CellNote:
    """Calls of an `nn.RNNCell`, `nn.GRUCell` or `nn.LSTMCell`, each from the state before it.

    kind, path : as in `Scan`
    names : of the one scan the names of its parameters
    Gradients of several backward passes add up, as in `.grad`. The gates are computed again when
    the record is read.
    """

    directions = 1
    scans = 1

    def __init__(
        self,
        kernel: StepKernel,
        path: str,
        state: Sequence[Tensor],
        weights: Sequence[Tensor | None],
    ) -> None:
        self.path = path
        self._kernel = kernel
        self._first = [part._array.copy() for part in state]
        self._weights: list[Any] = [None if one is None else one._array.copy() for one in weights]
        self._sources = _sources(weights)
        self.after: list[tuple[Storage, Array]] = []  # of the state that the loop has come to
        self._in_graph = False  # whether that has a node
        self._x: list[bytes] = []
        self._states: list[bytes] = []
        self._passes: dict[int, tuple[Any, ...]] = {}  # step -> what arrived, what it gave back
        self._ears: dict[int, list[Ear]] = {}  # step in primitives -> those of its h and c
        self._closed: set[int] = set()  # the steps that a pass which is a graph has come through
        self._left_out = False

    # -- written at every step, where every line counts

    def add(self, x: Tensor, made: Sequence[Tensor], after: Sequence[Tensor]) -> None:
        """A call: its input, the state that the kernel made, and that as its user has it.

        All is copied, as it may be written into; to bytes, which is quickest.
        """
        edge = made[0]._node
        if type(edge) is Output and edge.node.op is self._kernel:
            kept: Any = edge.node.kept
            kept.note = self, len(self._x)
        elif edge is not None:
            self._ears[len(self._x)] = [listen(part) for part in made]
        self._x.append(x._array.tobytes())
        for part in made:
            self._states.append(part._array.tobytes())
        self.after = [(one._storage, one._array) for one in after]
        self._in_graph = edge is not None

    def goes_on(
        self, kernel: StepKernel, given: Sequence[Tensor], weights: Sequence[Tensor | None]
    ) -> bool:
        """Whether a step starts where the loop is, in value and graph, with the same weights.

        A storage counts the writes into it; a state that was cut from the graph has no node.
        """
        if kernel is not self._kernel:  # another nonlinearity
            return False
        part = 0
        for storage, array in self.after:
            one = given[part]
            if one._array is not array or storage[0] or (one._node is None) is self._in_graph:
                return False
            part += 1
        part = 0
        for array, version in self._sources:
            weight = weights[part]
            if weight is not None and (weight._array is not array or weight._storage[0] != version):
                return self._has_values(weights)
            part += 1
        return True

    def _has_values(self, weights: Sequence[Tensor | None]) -> bool:
        """Whether weights have the same values, as those do that are computed at each step."""
        pairs = zip(self._weights, weights, strict=True)
        for kept, one in pairs:
            if kept is not None and one is not None and not np.array_equal(kept, one._array):
                return False
        self._sources = _sources(weights)
        return True

    def passed(self, step: int, arrived: Parts, found: Parts) -> None:
        """Add the gradients of a pass through a step.

        arrived : at its h and c, from all sides; copied, as a user may hold it
        found : at what it was called with: x, the h and c that it started from, the weights
        """
        if threads.mode.looking:
            return
        if step in self._closed:
            self._left_out = True
            return
        parts = len(arrived)
        returned = found[1 : 1 + parts]
        if step in self._passes:
            before = self._gradients(step)
            arrived = sums(before[:parts], arrived)
            returned = sums(before[parts:], returned)
        copies = [None if one is None else one.tobytes() for one in arrived]
        self._passes[step] = (*copies, *returned)

    def close(self, step: int) -> None:
        """After a pass that is a graph: what comes later may be a second derivative."""
        self._closed.add(step)

    def __getstate__(self) -> dict[str, Any]:
        """For a copy or pickle: without what only a loop that goes on needs."""
        return {**self.__dict__, "_sources": [], "after": []}

    # -- read by the record

    @property
    def kind(self) -> str:
        return self._kernel.name.removesuffix("_cell")

    @property
    def names(self) -> list[list[str]]:
        pairs = zip(_ROLES, self._weights, strict=True)
        return [[role for role, weight in pairs if weight is not None]]

    def zero_grad(self) -> None:
        """Forget the gradients."""
        self._passes.clear()
        self._left_out = False
        for ears in self._ears.values():
            for ear in ears:
                ear.forget()

    def scan(self, number: int) -> Scan:
        """The loop as one direction of one layer."""
        assert number == 0
        first = self._first
        batch, length = len(first[0]), len(self._x)
        parts = len(first)
        x = self._rows(self._x, self._weights[0].shape[1])
        h, *c = (self._rows(self._states[k::parts], first[k].shape[1]) for k in range(parts))
        scan = Scan(
            self.kind, self.path, 0, "forward", Steps((batch,) * length, batch), None, length,
            dict(zip(_ROLES, self._weights, strict=True)), {role: role for role in self.names[0]},
            None, x, first[0], first[1] if c else None, h, c[0] if c else None, {},
            left_out=self._left_out,
        )  # fmt: skip
        self._with_gates(scan)
        arrived = {step: self._gradients(step)[:parts] for step in self._passes}
        for step, ears in self._ears.items():
            if any(ear.total is not None for ear in ears):
                arrived[step] = [ear.total for ear in ears]
            scan.left_out |= any(ear.left_out for ear in ears)
        if arrived:
            self._with_gradients(scan, arrived)
        return scan

    def _gradients(self, step: int) -> Parts:
        """What arrived at the h and c of a step, then what it gave back to those before it."""
        like = self._first[0]
        return [
            np.frombuffer(one, like.dtype).reshape(like.shape) if type(one) is bytes else one
            for one in self._passes[step]
        ]

    def _rows(self, blocks: Sequence[bytes], features: int) -> Array:
        """What belongs to the steps as (rows, features)."""
        first = self._first[0]
        joined = np.frombuffer(bytearray(b"".join(blocks)), first.dtype)
        return joined.reshape(len(blocks) * len(first), features)

    @np.errstate(all="ignore")
    def _with_gates(self, scan: Scan) -> None:
        """Write the gates into a scan: what the kernel made of each step, made again."""
        starts = scan.starts()
        batch = len(scan.h0)
        states, gates = [], []
        for t in range(scan.length):
            rows = slice(t * batch, (t + 1) * batch)
            parts = [part[rows] for part in starts]
            state, saved = self._kernel.forward(scan.x[rows], *parts, *self._weights)
            states.append(state)
            gates.append(_gates(self.kind, saved))
        named = (*GATES[self.kind], "q") if self.kind == "gru" else GATES[self.kind]
        scan.gates.update(zip(named, _joined(gates), strict=True))
        _check_states(scan, *_joined(states))

    @np.errstate(over="ignore", invalid="ignore")
    def _with_gradients(self, scan: Scan, arrived: dict[int, Parts]) -> None:
        """Write the gradients into a scan."""
        dh, dc_arrived = _rows(scan, arrived)
        dc = None
        if dc_arrived is not None:  # unlike a kernel, an ear at c hears what comes from h
            in_kernel = [step not in self._ears for step in range(scan.length)]
            each = np.repeat(in_kernel, len(scan.h0))[:, None].astype(dh.dtype)
            dc = dc_arrived + into_cell(scan, dh) * each
        scan.dz, scan.du = _pre_activations(scan, dh, dc)
        first = (scan.h0,) if scan.c0 is None else (scan.h0, scan.c0)
        scan.d_last = tuple(np.zeros_like(part) for part in first)
        if self._ears or self._closed:  # not all is known from the backward pass itself
            scan.dy, scan.dc_in = _immediate(scan, scan.du, dh, dc)
            return
        parts = len(first)
        returned = {step - 1: self._gradients(step)[parts:] for step in self._passes}
        from_next, dc_from_next = _rows(scan, returned)
        scan.dy = dh - from_next
        if dc_arrived is not None:
            scan.dc_in = dc_arrived - dc_from_next


def _joined(steps: list[Any]) -> list[Array]:
    """From the parts of each step to the rows of each part."""
    return [np.concatenate(parts) for parts in zip(*steps, strict=True)]


def _rows(scan: Scan, steps: dict[int, Parts]) -> tuple[Array, Any]:
    """The gradients at h, and at c if there is one, of all steps; 0 where there is none."""
    zero = np.zeros_like(scan.h0)
    found: list[Any] = [None, None]
    for part in range(1 if scan.c is None else 2):
        column = [steps[t][part] if t in steps else None for t in range(scan.length)]
        found[part] = np.concatenate([zero if one is None else one for one in column])
    return found[0], found[1]


def _sources(weights: Sequence[Tensor | None]) -> list[Any]:
    """Each weight's memory and the number of the writes into it."""
    return [(None, 0) if one is None else (one._array, one._storage[0]) for one in weights]


def _check_states(scan: Scan, h: Array, c: Array | None = None) -> None:
    """Warn where the states are not those that the recorded weights give."""
    read = np.concatenate([scan.x, *scan.starts()], axis=1)
    weights = np.concatenate([one.ravel() for one in scan.weights.values() if one is not None])
    sums = 1 + read.shape[1] * abs(weights).max(initial=0) * abs(read).max(axis=1, initial=1)
    limit = 32 * np.finfo(h.dtype).eps * sums[:, None]  # above what another order of sums does
    differs = abs(h - scan.h) > limit
    if c is not None:
        differs |= abs(c - scan.c) > limit
    steps = np.flatnonzero(differs.reshape(scan.length, -1).any(axis=1))
    if len(steps):
        where = f" over {scan.path!r}" if scan.path else ""
        warnings.warn(
            f"bptt.record: expected the weights of a loop{where} to stay as at its first step, got "
            f"others at step {steps[0]}: they were written into, as through `.data`, and the "
            "backward pass and this record mix them; write under no_grad, and detach the state",
            stacklevel=7,
        )


def _gates(kind: str, saved: Any) -> tuple[Array, ...]:
    """The gates of a step, each (N, H); of a GRU and q."""
    if kind == "lstm":
        return tuple(saved.gates)
    return (*saved.gates, saved.q) if kind == "gru" else ()


def _pre_activations(scan: Scan, dh: Array, dc: Array | None) -> tuple[Array, Array]:
    """δz and δu from the gradients at the states, as the kernels of the steps make them."""
    gates = scan.gates
    if scan.c is not None and dc is not None:
        i, f, g, o = (gates[name] for name in "ifgo")
        _, c_before = scan.starts()
        parts = [
            dc * g * i * (1 - i),
            dc * c_before * f * (1 - f),
            dc * i * (1 - g * g),
            dh * np.tanh(scan.c) * o * (1 - o),
        ]
        dz = np.concatenate(parts, axis=1)
        return dz, dz
    if scan.kind == "gru":
        r, z, n, q = (gates[name] for name in "rznq")
        (h_before,) = scan.starts()
        da_n = dh * (1 - z) * (1 - n * n)
        da_z = dh * (h_before - n) * z * (1 - z)
        da_r = da_n * q * r * (1 - r)
        sides = (da_r, da_z, da_n), (da_r, da_z, da_n * r)
        return np.concatenate(sides[0], axis=1), np.concatenate(sides[1], axis=1)
    dz = dh * (scan.h > 0 if scan.kind == "rnn_relu" else 1 - scan.h * scan.h)
    return dz, dz


def _immediate(scan: Scan, du: Array, dh: Array, dc: Array | None) -> tuple[Array, Array | None]:
    """What of the gradients at h and c comes from outside: the whole less what is from inside.

    In primitives nobody keeps who sent what. The difference has rounding errors, and below what
    these may be it is 0.
    """
    back = through_weights(scan, du)
    scale = abs(du) @ abs(scan.weight("weight_hh"))
    if scan.kind == "gru":
        back += dh * scan.gates["z"]
        scale += abs(dh)
    batch = scan.steps.batch
    dy = _less(dh, _later(back, batch), _later(scale, batch), du.shape[1])
    if dc is None:
        return dy, None
    from_h = into_cell(scan, dh)
    from_next = _later(dc * scan.gates["f"], batch)
    scale = abs(dh * scan.gates["o"]) + abs(from_next)  # 1 - tanh² c errs by as much as 1 does
    return dy, _less(dc, from_h + from_next, scale, 8)


def _later(rows: Array, batch: int) -> Array:
    """The rows of the next step in the place of each; 0 in that of the last."""
    return np.concatenate((rows[batch:], np.zeros_like(rows[:batch])))


def _less(total: Array, part: Array, scale: Array, terms: int) -> Array:
    """total - part, 0 where that may be rounding: of so many terms, whose sum is `scale`."""
    rest = total - part
    rest[abs(rest) <= terms * np.finfo(rest.dtype).eps * (scale + abs(total))] = 0
    return rest
