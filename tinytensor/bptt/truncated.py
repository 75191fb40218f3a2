"""Truncated backpropagation through time: often, but only so far back.

Williams & Peng (1990), "An efficient gradient-based algorithm for on-line training of recurrent
network trajectories", Neural Computation 2(4); there k1 is h' and k2 is h.
"""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import nullcontext
from itertools import islice
from typing import Any, NamedTuple, SupportsIndex

import numpy as np

from .. import random
from ..autograd import no_grad
from ..dtypes import Array
from ..tensor import Tensor

Step = Callable[[Any, Any], tuple[Any, Any]]
LossFunction = Callable[[Any, int], Tensor | None]


class Window(NamedTuple):
    """What has just flowed back: the loss of the steps from `start` to before `stop`.

    loss : Tensor (), the sum of their losses, outside the graph; None if no step had one
    state : the state after the last of them; a copy, outside the graph
    first : the step that the loss flowed back to, max(0, stop - k2); steps count from 0
    """

    loss: Tensor | None
    state: Any
    first: int
    start: int
    stop: int


def truncated(
    step: Step,
    xs: Iterable[Any],
    state: Any,
    loss_fn: LossFunction,
    k1: SupportsIndex,
    k2: SupportsIndex,
) -> Iterator[Window]:
    """Run `step` over `xs`; every k1 steps the loss of these flows back through k2 steps.

    With the state before step stop - k2 held constant, each window adds to the `.grad` of the
    leaves

        d (l[stop - k1] + ... + l[stop - 1]) / d (leaf, as used in steps stop - k2 ... stop - 1)

    and is then handed to the loop, which steps the optimiser. The last window may have fewer than
    k1 losses; it reaches back through k2 steps too. No window reaches back beyond step 0.

    k2 > k1 : the k2 - k1 steps before the new ones are run again from the state held there, with
        the weights as they are now and the random numbers (of the default generator) of the first
        time. Hence the weights may change between windows, and `step` has no other effects.
    k2 < k1 : the first k1 - k2 losses of each window flow nowhere; those steps run under `no_grad`.

    step : `output, state = step(x, state)`; x is an item of `xs`, or a whole stretch of time if
        they are that: `truncated(lstm, xs.split(20), None, loss_fn, k1=1, k2=3)` runs an LSTM at
        its full speed, every 20 time steps, back through 60
    xs : Tensor (T, ...), or an iterable, which may be endless
    state : before the first step; Tensors in tuples, lists and dicts, of any depth, or None. The
        windows that reach back to the first step pass a gradient on to it
    loss_fn : the scalar loss `loss_fn(output, t)` at step t, or None where there is none
    k1, k2 : integers >= 1

    Memory: the graph of at most k2 steps; the states of k2, the inputs of max(k1, k2).

    Raises ValueError if k1 or k2 is below 1, TypeError for a state or a result of another kind.

    >>> import tinytensor as tt
    >>> cell, readout = tt.nn.LSTMCell(1, 8), tt.nn.Linear(8, 1)
    >>> optimizer = tt.optim.SGD([*cell.parameters(), *readout.parameters()], lr=0.1)
    >>> def step(x, state):
    ...     h, c = cell(x, state)
    ...     return readout(h), (h, c)
    >>> xs = tt.randn(100, 4, 1)
    >>> def loss_fn(y, t):  # recall the input before
    ...     return (y - xs[t - 1]).square().mean() if t > 0 else None
    >>> for window in truncated(step, xs, None, loss_fn, k1=5, k2=10):
    ...     optimizer.step()
    ...     optimizer.zero_grad()
    >>> window.first, window.start, window.stop
    (90, 95, 100)
    """
    every = _at_least_one("k1", k1)
    reach = _at_least_one("k2", k2)
    _mapped(state, _itself)
    length = len(xs) if isinstance(xs, Sized) else None
    return _windows(step, iter(xs), length, state, loss_fn, every, reach)


class _Past(NamedTuple):
    """What it takes to run a step again: its input, the state and the random numbers before it."""

    x: Any
    state: Any
    noise: Array


def _windows(
    step: Step,
    xs: Iterator[Any],
    length: int | None,
    state: Any,
    loss_fn: LossFunction,
    k1: int,
    k2: int,
) -> Iterator[Window]:
    # Unless k2 > k1, only the last window can reach back into another, if it is shorter than k1.
    is_kept = k2 > k1 or length is None or length % k1 > 0
    past: deque[_Past] = deque(maxlen=k2 if is_kept else 0)
    stop = 0
    while new := list(islice(xs, k1)):
        start = stop
        stop += len(new)
        first = max(0, stop - k2)
        if first < start:
            state = _again(step, past, start - first)
        loss, flows, state = _forward(step, new, state, loss_fn, start, first, past)
        if loss is not None:
            if flows:
                # Start state and inputs may be results that other windows flow back to as well.
                # What the steps have kept goes with the loss.
                loss.backward(retain_graph=True)
            loss = loss.detach()
        state = _mapped(state, Tensor.detach)
        yield Window(loss, _mapped(state, _copy), first, start, stop)


def _again(step: Step, past: deque[_Past], count: int) -> Any:
    """The state after the last `count` steps, run once more; `past` gets the states in between."""
    steps = [past.pop() for _ in range(count)][::-1]
    generator = random.default_generator
    now = generator.get_state()
    noise = now
    state = _mapped(steps[0].state, _fresh)
    try:
        for number, (x, before, own_noise) in enumerate(steps):
            if not np.array_equal(own_noise, noise):
                generator.set_state(own_noise)
            noise = own_noise
            past.append(_Past(x, before if number == 0 else _mapped(state, _copy), noise))
            _, state = _result(step(x, state))
    finally:
        generator.set_state(now)
    return state


def _forward(
    step: Step,
    xs: list[Any],
    state: Any,
    loss_fn: LossFunction,
    start: int,
    first: int,
    past: deque[_Past],
) -> tuple[Tensor | None, bool, Any]:
    """Run steps for the first time, from step `first` on with a graph.

    The sum of their losses, whether one of them has a graph to flow back through, the state after.
    """
    total = None
    flows = False
    for t, x in enumerate(xs, start):
        if t == first > start:
            state = _mapped(state, Tensor.detach)
        if past.maxlen:
            noise = random.default_generator.get_state()
            past.append(_Past(x, _mapped(state, _fresh if t == 0 else _copy), noise))
        with no_grad() if t < first else nullcontext():
            output, state = _result(step(x, state))
            loss = _loss(loss_fn(output, t))
            if loss is not None:
                total = loss if total is None else total + loss
                flows = t >= first
    return total, flows, state


def _at_least_one(name: str, value: SupportsIndex) -> int:
    number = operator.index(value)
    if number < 1:
        raise ValueError(f"truncated: expected {name} >= 1, got {number}; count in steps")
    return number


def _result(value: Any) -> tuple[Any, Any]:
    """What a step has returned. Raises TypeError if it is no pair."""
    if not isinstance(value, tuple) or len(value) != 2:
        what = f"{len(value)} values" if isinstance(value, tuple) else type(value).__name__
        raise TypeError(
            f"truncated: expected step to return (output, state), got {what}; "
            "return both, also where they are the same"
        )
    return value


def _loss(value: Any) -> Tensor | None:
    """The loss of a step. Raises TypeError for anything but a Tensor or None."""
    if value is None or isinstance(value, Tensor):
        return value
    raise TypeError(
        f"truncated: expected loss_fn to return a scalar Tensor or None, got {type(value).__name__}"
        "; compute the loss from the output by Tensor operations"
    )


def _itself(tensor: Tensor) -> Tensor:
    return tensor


def _copy(tensor: Tensor) -> Tensor:
    """A copy outside the graph, safe from what a step writes into its state."""
    return tensor.detach().clone()


def _fresh(tensor: Tensor) -> Tensor:
    """The same, but what wants its gradient, which only a start state does, stays what it is."""
    return tensor if tensor.requires_grad else tensor.clone()


def _mapped(state: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The state with each of its tensors changed. Raises TypeError for a part of unknown type."""
    if isinstance(state, Tensor):
        return change(state)
    if state is None or isinstance(state, bool | int | float | str):
        return state
    if isinstance(state, dict):
        return {key: _mapped(part, change) for key, part in state.items()}
    if isinstance(state, tuple | list):
        parts = [_mapped(part, change) for part in state]
        if hasattr(state, "_fields"):
            return type(state)(*parts)
        return tuple(parts) if isinstance(state, tuple) else parts
    raise TypeError(
        "truncated: expected a state of Tensors in tuples, lists and dicts, got "
        f"{type(state).__name__}; pass its tensors"
    )
