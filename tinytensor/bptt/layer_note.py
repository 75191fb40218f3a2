"""What one call of a recurrent layer leaves: the kernels, and the driver in primitives, write it.

A note refers to what the kernel keeps for its backward pass anyway, and to δz, which the backward
pass makes anyway. Copied is only what others may write into: the first inputs, the weights, and
what arrives from outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from ..dtypes import Array
from ..nn.states import DIRECTIONS
from ..nn.steps import Steps
from ..tensor import Tensor
from .listen import listen
from .scans import GATES, Scan

_ROLES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")


@dataclass(eq=False)
class _Left:
    """Of one scan: all as in `Scan`, δ by the gate."""

    x: Array
    first: tuple[Array, ...]
    weights: tuple[Any, ...]
    parts: tuple[Array, ...]  # h, in an LSTM c, the gates; (rows, features)
    dz: dict[str, Array] = field(default_factory=dict)
    arrived: dict[str, Array] = field(default_factory=dict)  # at h, c and the gates, from outside
    d_last: tuple[Array, ...] | None = None
    left_out: bool = False  # as in `Scan`

    def enter(self, name: str, gradient: Array) -> None:
        """Add what arrives at h, c or a gate from outside."""
        self.reached()
        _add(self.arrived, name, _rows(gradient))

    def reached(self) -> None:
        """Take down that a backward pass has come here."""
        if self.d_last is None:
            self.d_last = tuple(np.zeros_like(part) for part in self.first)


class LayerNote:
    """One call of an `nn.RNN`, `nn.GRU` or `nn.LSTM`.

    kind, path : as in `Scan`
    scans : for each layer and direction the names of its parameters, None for one that is not there
    directions : 1 or 2
    Gradients of several backward passes add up, as in `.grad`.
    """

    def __init__(
        self, kind: str, path: str, scans: Sequence[Sequence[str | None]], directions: int
    ) -> None:
        self.kind = kind
        self.path = path
        self.names = [tuple(names) for names in scans]
        self.directions = directions
        self.parts = "hc" if kind == "lstm" else "h"
        self.steps = Steps((), 0)
        self.order: Array | None = None
        self.length = 0
        self._left: list[_Left] = []
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
        for number, (own, found) in enumerate(zip(weights, parts, strict=True)):
            x = inputs[number // self.directions]
            self._left.append(
                _Left(
                    x.copy() if number < self.directions else x,
                    tuple([state[number].copy() for state in states]),
                    tuple([None if one is None else one.copy() for one in own]),
                    found,
                )
            )

    def arrived(
        self, number: int, gradients: Sequence[Array | None], d_last: Sequence[Array]
    ) -> None:
        """From the kernel, of a scan: what arrives at h, c and gates, and at the last states."""
        left = self._left[number]
        if self._is_closed:
            left.left_out = True
            return
        before = left.d_last
        if before is None:
            left.d_last = tuple([part.copy() for part in d_last])
        else:
            left.d_last = tuple([a + b for a, b in zip(before, d_last, strict=True)])
        names = self.parts + GATES[self.kind]
        for name, gradient in zip(names, gradients, strict=True):
            if gradient is not None:
                _add(left.arrived, name, gradient.copy())

    def differentiated(self, number: int, dz: dict[str, Array]) -> None:
        """From the kernel, of a scan: δz by the gate."""
        if self._is_closed:
            return
        for name, gradient in dz.items():
            _add(self._left[number].dz, name, gradient)

    def close(self) -> None:
        """From the kernel, after a pass that is a graph: a later one may be a second derivative."""
        self._is_closed = True

    # The same of the driver in primitives, where hooks see the gradients.

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
            tuple(part._array.copy() for part in first),
            tuple(None if one is None else one._array.copy() for one in weights),
            tuple(np.concatenate([part._array for part in column]) for column in columns),
        )
        self._left.append(left)
        names = GATES[self.kind]
        starts = self.steps.starts
        # Without any step, the driver ran one of no sequences: it has no rows.
        for begin, end, (state, gates) in zip(starts, starts[1:], found, strict=False):
            rows = slice(begin, end)
            for name, gate in zip(names or "h", gates or state, strict=True):
                own_slope = slope(self.kind, name, gate._array)
                listen(gate, partial(_at_step, left, name, rows, own_slope), left)
        listen(output, partial(left.enter, "h"), left)

    def unrolled_kept(self, number: int, parts: Sequence[Tensor]) -> None:
        """Of a scan: its states and gates, joined for the user's own use."""
        for name, part in zip(self.parts + GATES[self.kind], parts, strict=True):
            left = self._left[number]
            listen(part, partial(left.enter, name), left)

    def unrolled_last(self, finals: Sequence[Tensor]) -> None:
        """The last states of all scans, (scans, N, features) for each part."""
        for k, final in enumerate(finals):
            listen(final, partial(_at_last, self._left, k), self._left[0])

    # -- read by the record

    def scan(self, number: int) -> Scan:
        """One layer in one direction."""
        left = self._left[number]
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
        if left.d_last is not None:
            self._with_gradients(scan, left)
        return scan

    @np.errstate(over="ignore", invalid="ignore")
    def _with_gradients(self, scan: Scan, left: _Left) -> None:
        """Write the gradients into a scan."""
        names = GATES[self.kind] or "h"
        arrived = left.arrived
        zero = np.zeros_like(scan.gates[names[0]] if scan.gates else scan.h)
        parts = [left.dz.get(name, zero) for name in names]
        scan.dz = scan.du = np.concatenate(parts, axis=1)
        if self.kind == "gru":
            scan.du = np.concatenate([*parts[:2], parts[2] * scan.gates["r"]], axis=1)
        dy = arrived.get("h")
        scan.dy = np.zeros_like(scan.h) if dy is None else dy
        scan.dc_in = arrived.get("c")
        scan.gates_in = {name: arrived[name] for name in GATES[self.kind] if name in arrived}
        assert left.d_last is not None
        scan.d_last = tuple(part.copy() for part in left.d_last)

    @property
    def scans(self) -> int:
        """Layers times directions; 0 before the forward pass."""
        return len(self._left)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for left in self._left:
            left.dz.clear()
            left.arrived.clear()
            left.d_last = None
            left.left_out = False


def _add(sums: dict[str, Array], name: str, gradient: Array) -> None:
    """Add to a sum without writing into it: others may refer to it."""
    before = sums.get(name)
    sums[name] = gradient if before is None else before + gradient


def _at_step(left: _Left, name: str, rows: slice, slope: Array, g: Array) -> None:
    """Add the gradient at a gate of one step, or at h, times its slope."""
    left.reached()
    total = left.dz.get(name)
    if total is None:
        total = left.dz[name] = np.zeros((len(left.x), g.shape[1]), g.dtype)
    total[rows] += g * slope


def _at_last(left: list[_Left], part: int, g: Array) -> None:
    for own, gradient in zip(left, g, strict=True):
        own.reached()
        assert own.d_last is not None
        own.d_last[part][...] += gradient


def slope(kind: str, name: str, y: Array) -> Array:
    """The derivative of a gate, or of h in a simple RNN, by its pre-activation."""
    if kind == "rnn_relu":
        return (y > 0).astype(y.dtype)
    return 1 - y * y if name in "gnh" else y * (1 - y)


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
