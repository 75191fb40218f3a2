"""What a learner's own loop over a cell leaves: each call is a step, and writes it."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from functools import cache, partial, wraps
from typing import Any

import numpy as np

from ..autograd.mode import threads
from ..autograd.node import Node
from ..dtypes import Array
from ..nn.cell_kernels import StepKernel
from ..nn.steps import Steps
from ..tensor import Tensor
from .gradients import into_cell, through_weights
from .layer_note import slope
from .listen import listen
from .scans import GATES, Scan

_ROLES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")

Parts = list[Array | None]


class CellStep:
    """One call of a cell. A loop makes many, so what they hold is little, and set when it comes.

    x : (N, I)
    saved : what the kernel keeps
    h : (N, H), of a simple RNN, where that does not tell
    arrived : the gradients that arrived at its h and c, from all sides
    returned : what it gave back to the h and c that it started from
    is_exact : whether these are the very arrays of the backward pass
    is_closed : whether a pass that is a graph has come through
    left_out : whether another has come after it
    """

    x: Array
    saved: Any = None
    h: Array | None = None
    arrived: Parts | None = None
    returned: Parts | None = None
    is_unrolled = False
    is_exact = True
    is_closed = False
    left_out = False

    def add(self, arrived: Sequence[Array | None], returned: Parts) -> None:
        """Add the gradients of a pass. What arrives is copied, a user may hold it."""
        if self.arrived is None or self.returned is None:
            self.arrived = [None if one is None else one.copy() for one in arrived]
            self.returned = returned
        else:
            self.arrived = [_sum(*pair) for pair in zip(self.arrived, arrived, strict=True)]
            self.returned = [_sum(*pair) for pair in zip(self.returned, returned, strict=True)]


class CellNote:
    """Calls of an `nn.RNNCell`, `nn.GRUCell` or `nn.LSTMCell`, each from the state before it.

    kind, path : as in `Scan`
    names : of the one scan the names of its parameters
    Gradients of several backward passes add up, as in `.grad`.
    """

    directions = 1

    def __init__(
        self,
        kernel: StepKernel,
        path: str,
        state: Sequence[Tensor],
        weights: Sequence[Tensor | None],
    ) -> None:
        self.kind = kernel.name.removesuffix("_cell")
        self.path = path
        self.names = [[role for role, w in zip(_ROLES, weights, strict=True) if w is not None]]
        self._kernel = recorded(kernel)
        self._first = [part._array.copy() for part in state]
        self._weights = [None if one is None else one._array.copy() for one in weights]
        self._sources = _sources(weights)
        self._steps: list[CellStep] = []
        self._after: list[tuple[weakref.ref[Tensor], int, int]] = []

    # -- written by the record, for which every line at every step counts

    def next_step(self) -> Callable[..., Any]:
        """The kernel for the call that comes."""
        step = CellStep()
        self._steps.append(step)
        kernel = self._kernel
        return partial(kernel.unrolled if threads.mode.unrolled else kernel, step=step)

    def stands(self, after: Sequence[Tensor]) -> None:
        """Where the loop is; the marks change when a state is written into or cut in place."""
        self._after = [(weakref.ref(one), one._storage[0], id(one._node)) for one in after]

    def goes_on(self, given: Sequence[Tensor], weights: Sequence[Tensor | None]) -> bool:
        """Whether a step starts where the loop is, in value and graph, with the same weights."""
        for one, (reference, version, node) in zip(given, self._after, strict=True):
            if reference() is not one or one._storage[0] != version or id(one._node) != node:
                return False
        for weight, (array, storage, version) in zip(weights, self._sources, strict=True):
            if weight is not None and (
                weight._array is not array
                or weight._storage is not storage
                or storage[0] != version
            ):
                return self._has_values(weights)
        return True

    def _has_values(self, weights: Sequence[Tensor | None]) -> bool:
        """Whether weights have the same values, as those do that are computed at each step."""
        self._sources = _sources(weights)
        pairs = zip(self._weights, weights, strict=True)
        return all(
            kept is None or one is None or np.array_equal(kept, one._array) for kept, one in pairs
        )

    def __getstate__(self) -> dict[str, Any]:
        """For a copy or pickle: without what only a loop that goes on needs."""
        return {**self.__dict__, "_kernel": None, "_sources": [], "_after": []}

    # -- read by the record

    def _done(self) -> list[CellStep]:
        """The steps, without a last one that failed."""
        return [step for step in self._steps if step.saved is not None]

    @property
    def scans(self) -> int:
        """One, as soon as there is a step."""
        return int(bool(self._done()))

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for step in self._steps:
            step.arrived = step.returned = None
            step.left_out = False

    def scan(self, number: int) -> Scan:
        """The loop as one direction of one layer."""
        assert number == 0
        done = self._done()
        first = self._first
        states = _joined(_states(self.kind, first, done))
        gates = _joined([_gates(self.kind, step.saved) for step in done])
        named = (*GATES[self.kind], "q") if self.kind == "gru" else GATES[self.kind]
        weights = dict(zip(_ROLES, self._weights, strict=True))
        with_c = self.kind == "lstm"
        scan = Scan(
            self.kind, self.path, 0, "forward", Steps((len(first[0]),) * len(done), len(first[0])),
            None, len(done), weights, {role: role for role in self.names[0]},
            None, np.concatenate([step.x for step in done]), first[0],
            first[1] if with_c else None, states[0], states[1] if with_c else None,
            dict(zip(named, gates, strict=True)), left_out=any(step.left_out for step in done),
        )  # fmt: skip
        if any(step.arrived is not None for step in done):
            self._with_gradients(scan, done)
        return scan

    @np.errstate(over="ignore", invalid="ignore")
    def _with_gradients(self, scan: Scan, done: list[CellStep]) -> None:
        """Write the gradients into a scan."""
        dh, dc_arrived = _rows(scan, [step.arrived for step in done])
        dc = None
        if dc_arrived is not None:  # unlike a kernel, a hook at c sees what comes from h
            in_kernel = np.repeat([not step.is_unrolled for step in done], len(scan.h0))
            dc = dc_arrived + into_cell(scan, dh) * in_kernel[:, None].astype(dh.dtype)
        scan.dz, scan.du = _pre_activations(scan, dh, dc)
        first = (scan.h0,) if scan.c0 is None else (scan.h0, scan.c0)
        scan.d_last = tuple(np.zeros_like(part) for part in first)
        if not all(step.is_exact for step in done):
            scan.dy, scan.dc_in = _immediate(scan, scan.du, dh, dc)
            return
        from_next, dc_from_next = _rows(scan, [*(step.returned for step in done[1:]), None])
        scan.dy = dh - from_next
        if dc_arrived is not None:
            scan.dc_in = dc_arrived - dc_from_next


class RecordedKernel(StepKernel):
    """The kernel of a cell, which writes on a `CellStep` what goes through it."""

    def __init__(self, kernel: StepKernel) -> None:
        is_simple = kernel.name.startswith("rnn")

        @wraps(kernel.forward)  # a drawing has the names of its arguments
        def forward(*arrays: Any, step: CellStep) -> Any:
            outputs, saved = kernel.forward(*arrays)
            step.x = arrays[0].copy()
            step.saved = saved
            if is_simple:
                step.h = outputs[0].copy()
            return outputs, saved

        def reference(*tensors: Any, step: CellStep) -> Any:
            return kernel.reference(*tensors)

        super().__init__(forward, kernel.backward, reference, kernel.outputs)

    def differentiate(
        self, node: Node, edges: tuple[Any, ...], g: tuple[Any, ...], create_graph: bool
    ) -> Any:
        arrays, saved, static = node.saved
        step = static["step"]
        if not create_graph:
            found = self.backward(g, saved, arrays, tuple([edge is not None for edge in edges]))
            if step.is_closed:
                step.left_out = True
            else:
                step.add(g, found[1 : 1 + len(g)])
            return found
        if step.is_closed:
            step.left_out = True
        else:
            # The reference is differentiated; this is for the step alone. What comes later may be
            # a second derivative.
            plain = [None if one is None else one._array for one in g]
            needs = tuple([edge is not None for edge in node.edges])
            found = self.backward(plain, saved, arrays, needs)
            step.add(plain, found[1 : 1 + len(g)])
            step.is_exact = False
            step.is_closed = True
        return super().differentiate(node, edges, g, create_graph)

    def unrolled(self, *inputs: Tensor | None, step: CellStep) -> tuple[Tensor, ...]:
        """A call in primitives, where hooks see the gradients; the kernel runs for the note."""
        outputs = self(*inputs, step=step)
        step.is_unrolled = True
        step.is_exact = False
        arrays = [None if one is None else one._array for one in inputs]
        threads.mode.run(partial(self.forward, *arrays, step=step))
        for part, output in enumerate(outputs):
            listen(output, partial(_arrive, step, part, len(outputs)), step)
        return outputs


recorded = cache(RecordedKernel)


def _arrive(step: CellStep, place: int, parts: int, g: Array) -> None:
    """Add what a hook has seen."""
    arrived: Parts = [None] * parts
    arrived[place] = g
    step.add(arrived, [None] * parts)


def _sum(before: Array | None, gradient: Array | None) -> Array | None:
    """The sum of what there is; nothing is written into what others may refer to."""
    if gradient is None:
        return before
    return gradient.copy() if before is None else before + gradient


def _joined(steps: list[Any]) -> list[Array]:
    """From the parts of each step to the rows of each part."""
    return [np.concatenate(parts) for parts in zip(*steps, strict=True)]


def _rows(scan: Scan, steps: Sequence[Parts | None]) -> tuple[Array, Any]:
    """The gradients at h, and at c if there is one, of all steps; 0 where there is none."""
    zero = np.zeros_like(scan.h0)
    found: list[Any] = [None, None]
    for part in range(1 if scan.c is None else 2):
        column = [None if parts is None else parts[part] for parts in steps]
        found[part] = np.concatenate([zero if one is None else one for one in column])
    return found[0], found[1]


def _sources(weights: Sequence[Tensor | None]) -> list[Any]:
    """Each weight's memory, what counts the writes into it, and their number."""
    return [
        (None, None, 0) if one is None else (one._array, one._storage, one._storage[0])
        for one in weights
    ]


def _states(kind: str, first: Sequence[Array], steps: Sequence[CellStep]) -> list[list[Array]]:
    """The parts of the state after each step, from what its kernel keeps, bit for bit its own."""
    found: list[list[Any]] = []
    c = first[-1]
    for step in steps:
        if kind == "lstm":
            i, f, g, o = step.saved.gates
            c = f * c + i * g
            found.append([o * step.saved.tanh_c, c])
        elif kind == "gru":
            _, z, n = step.saved.gates
            found.append([z * step.saved.h_less_n + n])
        else:
            found.append([step.h])
    return found


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
    dz = dh * slope(scan.kind, "h", scan.h)
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
