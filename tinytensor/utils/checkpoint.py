"""Checkpointing: a stretch of the forward keeps its inputs only and is run again in the backward.

Chen, Xu, Zhang & Guestrin (2016), "Training deep nets with sublinear memory cost",
arXiv:1604.06174.

The graph stays: every node with its edges, hence the gradients of parameters that the function uses
without being given them, hooks, and the second derivative. Only what the nodes had saved is
dropped. When the backward pass comes to one of them the function is run once more; it records the
same nodes again, in the same order, and what those saved is handed to the old ones.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NoReturn

from .. import random
from ..autograd.mode import next_number, threads
from ..autograd.node import Node, edge_of, node_of
from ..autograd.walk import Dropped
from ..tensor import Storage, Tensor

Context = AbstractContextManager[Any]


def noop_context_fn() -> tuple[Context, Context]:
    """The contexts of the two runs of a checkpoint that change nothing."""
    return nullcontext(), nullcontext()


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = False,
    context_fn: Callable[[], tuple[Context, Context]] = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """`function(*args, **kwargs)`, computed a second time in the backward pass to save memory.

    function : gives the same result when it is called again on the same arguments; what it returns
        may be a Tensor or Tensors in tuples, lists and dicts
    use_reentrant, debug, early_stop : accepted for torch's sake; there is one form
    context_fn : gives the context of the first run and that of the second
    determinism_check : "default" or "none"; the second run is compared with the first in any case
    preserve_rng_state : start the random numbers of the second run where those of the first began

    A loop of one's own over time is checkpointed by pieces. Of a piece only the state at its start
    is kept, and the nodes, which are small; with pieces of √T steps what they save grows as √T.
    Whole layers have this built in: `nn.LSTM(..., checkpoint_every=k)`.

    >>> import tinytensor as tt
    >>> cell, x = tt.nn.LSTMCell(2, 3), tt.randn(100, 1, 2)
    >>> def piece(steps, h, c):
    ...     for x_t in steps:
    ...         h, c = cell(x_t, (h, c))
    ...     return h, c
    >>> h = c = tt.zeros(1, 3)
    >>> for steps in x.split(10):
    ...     h, c = checkpoint(piece, steps, h, c)
    >>> h.sum().backward()

    Raises RuntimeError in the backward pass if an input or a parameter was written to since, or if
    the second run did not do what the first did.
    """
    if determinism_check not in ("default", "none"):
        raise ValueError(
            f"checkpoint: expected determinism_check 'default' or 'none', got {determinism_check!r}"
        )
    first, second = context_fn()
    mode = threads.mode
    if not mode.recording:
        with first:
            return function(*args, **kwargs)
    state = random.default_generator.get_state() if preserve_rng_state else None
    run = _Run(function, args, kwargs, state, second)
    with first:
        outputs = function(*args, **kwargs)
    run.drop(outputs)
    return outputs


def checkpoint_sequential(
    functions: Iterable[Callable[..., Any]],
    segments: int,
    input: Any,
    use_reentrant: bool | None = False,
    *,
    preserve_rng_state: bool = True,
) -> Any:
    """Functions or a Sequential, one after the other, in `segments` checkpointed parts.

    The last part is not checkpointed, as its backward comes first. Raises ValueError unless
    1 <= segments <= the number of functions.
    """
    steps = list(functions)
    if not 1 <= segments <= len(steps):
        raise ValueError(
            f"checkpoint_sequential: expected segments from 1 to the {len(steps)} functions, got "
            f"{segments}"
        )
    size = len(steps) // segments
    last = size * (segments - 1)
    for start in range(0, last, size):
        part = _chained(steps[start : start + size])
        input = checkpoint(part, input, preserve_rng_state=preserve_rng_state)
    return _chained(steps[last:])(input)


def _chained(steps: list[Callable[..., Any]]) -> Callable[[Any], Any]:
    def run(value: Any) -> Any:
        for step in steps:
            value = step(value)
        return value

    return run


class _Run:
    """One checkpointed call: what it takes to do it again, and the nodes that wait for that.

    first, newest : numbers just before those of the nodes of the call, and of the second run
    nodes : of the call, in order; weak references, as the nodes refer to this
    used : the storages of inputs and leaves, each with the version that the call saw
    """

    def __init__(
        self, function: Callable[..., Any], args: Any, kwargs: Any, state: Any, context: Context
    ) -> None:
        mode = threads.mode
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.state = state
        self.context = context
        self.scope = mode.scope
        self.phase = mode.phase
        self.unrolled = mode.unrolled
        self.first = next_number()
        self.newest = self.first
        self.nodes: list[weakref.ref[Node]] = []
        self.used: list[tuple[Storage, int]] = [
            (tensor._storage, tensor._storage[0]) for tensor in _tensors((args, kwargs))
        ]

    def drop(self, outputs: Any) -> None:
        """Let go of what the nodes of the call saved."""
        nodes, leaves = _recorded(outputs, self.first)
        self.used += [(leaf._storage, leaf._storage[0]) for leaf in leaves]
        self.nodes = list(map(weakref.ref, nodes))
        for position, node in enumerate(nodes):
            if node.saved or type(node.kept) is Dropped:
                node.saved = None
                node.kept = Dropped(node.kept)
                node.kept.run = self
                node.kept.position = position

    def refill(self) -> None:
        """Run the function once more and give the nodes what its new ones saved."""
        for storage, version in self.used:
            if storage[0] != version:
                _changed(storage[0], version)
        twins, _ = _recorded(self._again(), self.newest)
        if len(twins) != len(self.nodes):
            raise RuntimeError(
                f"checkpoint: expected the function to record {len(self.nodes)} operations when it "
                f"is run again, as at first, got {len(twins)}; it must not depend on what changes "
                "between the two runs"
            )
        for reference, twin in zip(self.nodes, twins, strict=True):
            node = reference()
            if node is not None:
                _check_alike(node, twin)
                if type(node.kept) is Dropped and node.kept.run is self:
                    _hand_over(twin, node)

    def _again(self) -> Any:
        """The outputs of a second run, in the mode and with the random numbers of the first."""
        mode = threads.mode
        before = (mode.recording, mode.scope, mode.phase, mode.unrolled)
        generator = random.default_generator
        state = generator.get_state()
        self.newest = next_number()
        try:
            mode.recording = True
            mode.scope, mode.phase, mode.unrolled = self.scope, self.phase, self.unrolled
            if self.state is not None:
                generator.set_state(self.state)
            with self.context:
                return self.function(*self.args, **self.kwargs)
        finally:
            mode.recording, mode.scope, mode.phase, mode.unrolled = before
            if self.state is not None:
                generator.set_state(state)


def _recorded(outputs: Any, first: int) -> tuple[list[Node], list[Tensor]]:
    """The nodes above some outputs that are newer than `first`, in order; the leaves they use."""
    found: set[Node] = set()
    leaves: dict[int, Tensor] = {}
    stack = [edge_of(tensor) for tensor in _tensors(outputs)]
    while stack:
        edge = stack.pop()
        if isinstance(edge, Tensor):
            leaves[id(edge)] = edge
            continue
        node = node_of(edge)
        if node is not None and node.number > first and node not in found:
            found.add(node)
            stack.extend(node.edges)
    return sorted(found, key=lambda node: node.number), list(leaves.values())


def _check_alike(node: Node, twin: Node) -> None:
    """Raise unless the second run did what the first did, on values that are the same still."""
    if twin.op is not node.op or twin.shape != node.shape or twin.dtype != node.dtype:
        raise RuntimeError(
            "checkpoint: expected the function to do the same when it is run again, got "
            f"{twin.op.name} of shape {tuple(twin.shape)} where it was {node.op.name} of shape "
            f"{tuple(node.shape)}; it must not depend on what changes between the two runs"
        )
    for (storage, then), (again, now) in zip(_pairs(node.kept), _pairs(twin.kept), strict=True):
        if storage is again and then != now:
            _changed(now, then)


def _changed(now: int, then: int) -> NoReturn:
    raise RuntimeError(
        "checkpoint: an input or a parameter of the function has been modified by an inplace "
        f"operation since: expected version {then}, got {now}; call backward before the write, or "
        "give the function a .clone()"
    )


def _pairs(kept: tuple[Any, ...]) -> Iterator[tuple[Storage, int]]:
    """The (storage, version) pairs among what tells whether a node's values were changed."""
    for version in kept:
        parts = version if type(version) is list else [version]
        yield from (part for part in parts if part is not None)


def _hand_over(twin: Node, node: Node) -> None:
    """Give a node what its twin saved, or, from a checkpoint within, the right to have it."""
    node.saved = twin.saved
    node.kept = twin.kept
    if type(node.kept) is Dropped:
        node.kept.run.nodes[node.kept.position] = weakref.ref(node)


def _tensors(value: Any) -> Iterator[Tensor]:
    """The tensors in nested tuples, lists and dicts."""
    stack = [value]
    while stack:
        part = stack.pop()
        if isinstance(part, Tensor):
            yield part
        elif isinstance(part, Mapping):
            stack.extend(reversed(list(part.values())))
        elif isinstance(part, (tuple, list)):
            stack.extend(reversed(part))
