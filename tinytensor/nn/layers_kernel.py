"""Layers x directions on arrays, for every kernel that has a scan forward and a scan backward.

The twin of `scan.layers_and_directions`, which does the same in primitives: each layer reads the
outputs of the one below (times the dropout mask between them), its directions write side by side.
All that belongs to steps lies in rows, see `Steps`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ..autograd.kernel import Kernel
from ..autograd.mode import threads
from ..autograd.node import Node
from ..dtypes import Array
from ..parallel import at_once
from .checkpointed import in_segments
from .scan import Cell, layers_and_directions
from .steps import Steps

_LARGE_WORK = 1 << 30  # multiplications of a scan

State = tuple[Array, ...]
Weights = Sequence[Any]  # arrays, None for those that a scan does not have


class Walked(NamedTuple):
    """What the forward walk leaves for the backward walk.

    scans : what each scan saved, in the order layer 0 forward, layer 0 reverse, layer 1 forward ...
    inputs, outputs : of each layer, (rows, features)
    """

    scans: list[Any]
    inputs: list[Array]
    outputs: list[Array]


class Recurrence(NamedTuple):
    """One kind of recurrent layer.

    cell : one step in primitives
    scan_forward(x, state, weights, reverse, h_out, steps) -> (saved, last state); the outputs go
        into h_out (rows, H)
    scan_backward(saved, x, weights, upstream, d_last, reverse, steps, needs_x, needs, handed=None)
        -> (gradient of x, of the first state, of each weight), None for what is not needed; into
        the dict `handed` goes δz of all steps, gate -> (rows, H), in a simple RNN under h
    all_steps(saved) -> the parts of the state and the gates of all steps, each (rows, features)
    parts : the names of the parts of the state
    gates : the names of the gates, in the order of the weights' rows
    weights : how many weights a scan has, those that are None counted
    all_layers(h_0) -> None, or a module that runs all layers in one call, see `lstm_layers`
    in_parts(h_0) -> whether a scan shares a large batch out among threads by itself
    """

    cell: Cell
    scan_forward: Callable[..., tuple[Any, State]]
    scan_backward: Callable[..., tuple[Array | None, State, list[Array | None]]]
    all_steps: Callable[[Any], tuple[Array, ...]]
    parts: str
    gates: str
    weights: int
    all_layers: Callable[[Array], Any] = lambda h_0: None
    in_parts: Callable[[Array], bool] = lambda h_0: False


def sequence_kernel(name: str, kind: Recurrence) -> Kernel:
    """All layers and directions of a kind of recurrent layer as one node.

    kernel(x, *states, mask, *weights, directions, steps, keep, every=None, note=None)
    x : (T, N, I), or (rows, I) with `steps`
    states : (layers · directions, N, H), one for each part of the state
    mask : None, or factors between the layers, (layers - 1, T, N, features) or (layers - 1, rows,
        features)
    every : None, or of how many steps the states alone are kept, see `checkpointed`; not to `keep`
    note : None, or what a record has it write on; not with `every`
    weights : those of each scan one after the other; a scan that lacks one has None there
    Gives the outputs of the last layer and the last states; to `keep`, also the parts of the state
    and the gates of all steps, scan by scan.
    """
    parts = len(kind.parts)
    per_scan = parts + len(kind.gates)
    nothing = (None,) * per_scan

    def grouped(weights: Sequence[Any]) -> list[Sequence[Any]]:
        each = kind.weights
        return [weights[k : k + each] for k in range(0, len(weights), each)]

    def forward(
        x: Array,
        *rest: Any,
        directions: int,
        steps: Steps | None,
        keep: bool,
        every: int | None = None,
        note: Any = None,
    ) -> tuple[tuple[Array, ...], Walked]:
        states, mask, weights = rest[:parts], rest[parts], grouped(rest[parts + 1 :])
        if steps is None and every is None and not keep and (mask is None or note is None):
            layers = kind.all_layers(states[0])
            told = note is not None
            made = layers and layers.forward(
                x, states, mask, weights, directions, threads.mode.recording or told, told
            )
            if made is not None:
                output, finals, left = made
                if note is not None:
                    first = [state.copy() for state in states]
                    note.later(partial(layers.tell, left, x.copy(), first, directions))
                return (output, *finals), left
        rows = steps or Steps((x.shape[1],) * x.shape[0], x.shape[1])
        own = _cut(kind, every)
        finals, walked = _layers_forward(
            own, _flat(x), states, _rows(mask), weights, directions, rows
        )
        if note is not None:
            all_steps = [kind.all_steps(saved) for saved in walked.scans]
            note.forward(rows, states, weights, walked.inputs, all_steps)
        shape = x.shape[:-1]
        # Copies: what is kept must not change when a user writes into an output. Of segments no
        # output is kept.
        last = walked.outputs[-1].copy() if every is None else walked.outputs.pop()
        output = _shaped(last, shape)
        kept: list[Array] = []
        for saved in walked.scans if keep else ():
            kept += [_shaped(part, shape).copy() for part in kind.all_steps(saved)]
        return (output, *finals, *kept), walked

    def backward(
        gradients: Sequence[Array | None],
        walked: Walked,
        arrays: Sequence[Any],
        needs: Sequence[bool],
        directions: int,
        steps: Steps | None,
        keep: bool,
        every: int | None = None,
        note: Any = None,
    ) -> list[Array | None]:
        x, *rest = arrays
        states, mask, weights = tuple(rest[:parts]), rest[parts], grouped(rest[parts + 1 :])
        g_output, *others = [None if g is None else np.asarray(g) for g in gradients]
        if type(walked) is not Walked:
            if note is not None:
                note.arrived_at_ends((None if g_output is None else _flat(g_output), *others))
            dx, d_states, d_mask, d_weights = kind.all_layers(states[0]).backward(
                walked, x, states[0], mask, weights, g_output, others,
                (needs[0], needs[1 + parts], grouped(needs[2 + parts :])), directions,
            )  # fmt: skip
            return [dx, *d_states, d_mask, *d_weights]
        rows = steps or Steps((x.shape[1],) * x.shape[0], x.shape[1])
        in_rows = None if g_output is None else _flat(g_output)
        at_steps: Sequence[Array | None] = nothing * len(weights)
        if keep:
            at_steps = [None if g is None else _flat(g) for g in others[parts:]]
        upstream = [at_steps[k : k + per_scan] for k in range(0, len(at_steps), per_scan)]
        dx, d_states, d_mask, d_weights = _layers_backward(
            _cut(kind, every), walked, states, _rows(mask), weights,
            in_rows, upstream, others[:parts],
            (needs[0], needs[1 + parts], grouped(needs[2 + parts :])), directions, rows, note,
        )  # fmt: skip
        return [
            None if dx is None else dx.reshape(x.shape),
            *d_states,
            None if d_mask is None else d_mask.reshape(mask.shape),
            *d_weights,
        ]

    def reference(
        x: Any,
        *rest: Any,
        directions: int,
        steps: Steps | None,
        keep: bool,
        every: int | None = None,
        note: Any = None,
    ) -> tuple[Any, ...]:
        states, mask, weights = rest[:parts], rest[parts], grouped(rest[parts + 1 :])
        output, finals, kept = layers_and_directions(
            kind.cell, x, states, weights, directions, mask, steps, keep, note
        )
        return (output, *finals, *kept)

    declared: Any = forward
    declared.__name__ = name
    declared.__module__ = kind.all_steps.__module__
    declared.__signature__ = _signature(kind.parts)
    outputs = ("output", *(f"{part}_n" for part in kind.parts))
    return SequenceKernel(forward, backward, reference, outputs)


class SequenceKernel(Kernel):
    """A kernel that may write on a note, for which it differentiates by hand what is a graph."""

    def differentiate(
        self, node: Node, edges: tuple[Any, ...], g: tuple[Any, ...], create_graph: bool
    ) -> Any:
        arrays, saved, static = node.saved
        if create_graph and static.get("note") is not None:
            plain = [None if one is None else one._array for one in g]
            needs = tuple([edge is not None for edge in edges])
            self.backward(plain, saved, arrays, needs, **static)
            static["note"].close()
            return self._differentiate_reference(node, edges, g, {**static, "note": None})
        return super().differentiate(node, edges, g, create_graph)


def _cut(kind: Recurrence, every: int | None) -> Recurrence:
    """The kind, with its scans in segments of so many steps; itself for None."""
    if every is None:
        return kind
    forward, backward = in_segments(kind.scan_forward, kind.scan_backward, every)
    return kind._replace(scan_forward=forward, scan_backward=backward)


def _signature(parts: str) -> inspect.Signature:
    """What the inputs of a kernel are called, in a drawing for one."""
    names = ("x", *(f"{part}_0" for part in parts), "mask")
    one = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names]
    return inspect.Signature([*one, inspect.Parameter("weights", inspect.Parameter.VAR_POSITIONAL)])


def _flat(array: Array) -> Array:
    """(T, N, features) as rows; rows as they are."""
    steps, *batch, features = array.shape
    return array.reshape(steps * batch[0], features) if batch else array


def _shaped(rows: Array, shape: tuple[int, ...]) -> Array:
    return rows.reshape(*shape, rows.shape[1])


def _rows(mask: Array | None) -> Array | None:
    return mask if mask is None or mask.ndim == 3 else np.stack([_flat(part) for part in mask])


def _side_by_side(
    scan: Callable[..., Any], arguments: list[tuple[Any, ...]], work: int, in_parts: bool
) -> list[Any]:
    """Walk the directions of a layer.

    At once, unless each shares its batch out among all threads and is so large that the memory
    which both take at once costs more than it saves.
    """
    if in_parts and work >= _LARGE_WORK:
        return [scan(*own) for own in arguments]
    return at_once(scan, arguments, work)


def _layers_forward(
    kind: Recurrence,
    x: Array,
    states: State,
    mask: Array | None,
    weights: Sequence[Weights],
    directions: int,
    steps: Steps,
) -> tuple[State, Walked]:
    """Run all scans: (last states, what they leave)."""
    size = states[0].shape[2]
    walked = Walked([], [], [])
    finals = tuple([np.empty(part.shape, part.dtype) for part in states])
    work = len(x) * weights[0][1].size
    in_parts = kind.in_parts(states[0])
    for first in range(0, len(weights), directions):
        if walked.outputs:
            x = walked.outputs[-1]
            if mask is not None:
                x = x * mask[first // directions - 1]
        h_out = np.empty((len(x), directions * size), x.dtype)
        walked.inputs.append(x)
        walked.outputs.append(h_out)
        arguments = [
            (
                x,
                [part[first + direction] for part in states],
                weights[first + direction],
                direction == 1,
                h_out[:, direction * size : (direction + 1) * size],
                steps,
            )
            for direction in range(directions)
        ]
        for saved, last in _side_by_side(kind.scan_forward, arguments, work, in_parts):
            for final, part in zip(finals, last, strict=True):
                final[len(walked.scans)] = part
            walked.scans.append(saved)
    return finals, walked


def _layers_backward(
    kind: Recurrence,
    walked: Walked,
    states: State,
    mask: Any,
    weights: Sequence[Weights],
    g_output: Array | None,
    upstream: Sequence[Sequence[Array | None]],
    g_finals: Sequence[Array | None],
    needs: tuple[bool, bool, Sequence[Sequence[bool]]],
    directions: int,
    steps: Steps,
    note: Any,
) -> tuple[Array | None, State, Array | None, list[Array | None]]:
    """The gradients of x, the states, the mask and all weights.

    upstream : of each scan, the gradients that enter at its states and gates; None where none does
    needs : of x, of the mask, of each weight of each scan
    """
    needs_x, needs_mask, needs_weights = needs
    # First of the last states, then, as each scan turns its own around, of the first ones.
    d_states = [
        np.zeros(state.shape, state.dtype) if g is None else np.array(g, order="C")
        for g, state in zip(g_finals, states, strict=True)
    ]
    d_mask = np.empty_like(mask) if needs_mask else None
    size = states[0].shape[2]
    d_weights: list[list[Array | None]] = [[] for _ in weights]
    below = walked.inputs[-1]
    work = len(below) * weights[0][1].size
    in_parts = kind.in_parts(states[0])
    dx: Any = g_output
    if g_output is None:
        dx = np.zeros((len(below), directions * size), below.dtype)
    for first in range(len(weights) - directions, -1, -directions):
        layer = first // directions
        dy, dx = dx, None
        numbers = range(first, first + directions)
        arguments = []
        for direction, number in enumerate(numbers):
            dh = dy[:, direction * size : (direction + 1) * size]
            at_h, *others = upstream[number]
            arrived = [dh if at_h is None else dh + at_h, *others]
            d_last = [d_state[number] for d_state in d_states]
            handed: dict[str, Array] | None = None
            if note is not None:
                handed = {}
                note.arrived(number, arrived, d_last)
            arguments.append(
                (
                    walked.scans[number],
                    walked.inputs[layer],
                    weights[number],
                    arrived,
                    d_last,
                    direction == 1,
                    steps,
                    layer > 0 or needs_x,
                    needs_weights[number],
                    handed,
                )
            )
        done = _side_by_side(kind.scan_backward, arguments, work, in_parts)
        for number, own, (part, d_first, gradients) in zip(numbers, arguments, done, strict=True):
            d_weights[number] = gradients
            if note is not None:
                note.differentiated(number, own[-1])
            for d_state, gradient in zip(d_states, d_first, strict=True):
                d_state[number] = gradient
            dx = part if dx is None else np.add(dx, part, out=dx)
        if layer > 0:
            if d_mask is not None:
                d_mask[layer - 1] = dx * walked.outputs[layer - 1]
            if mask is not None:
                dx = dx * mask[layer - 1]
    return dx, tuple(d_states), d_mask, [g for group in d_weights for g in group]
