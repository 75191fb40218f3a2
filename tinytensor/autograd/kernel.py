"""`@kernel`: a whole computation as one node, hand-written forward and backward, with a reference.

A kernel is for what would be slow as many small operations: a sequence, a fused loss. It may keep
what it likes between forward and backward. In exchange it names a `reference`, the same mathematics
in primitives, which runs under `tt.unrolled()` and is what `create_graph=True` differentiates.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ..dtypes import Array
from ..tensor import Tensor, make
from .backward import grad
from .mode import Mode, enable_grad, threads
from .node import Node, Output
from .outside import cuts_of, origins_outside
from .primitive import record
from .walk import identity

Static = dict[str, Any]


class Kernel:
    """A hand-written operation.

    forward(*arrays, **static) -> (tuple of output arrays, saved); an input may be None. The inputs
        are kept, with their versions; no output shares memory with `saved`: users may write there
    backward(gradients, saved, arrays, needs, **static) -> one gradient, or None, for each input.
        It leaves `saved` and `arrays` intact and takes gradients that are None, read-only or
        strided; `needs` says for each input whether its gradient is wanted
    reference(*tensors, **static) -> tuple of Tensors, in primitives
    outputs : what the outputs are called
    unread : the inputs, by position, whose values `backward` does not read: to write into one is an
        error only where the reference is differentiated
    """

    listed = False
    asks_user = False  # the walk needn't leave its own mode for it

    def __init__(
        self,
        forward: Callable[..., Any],
        backward: Callable[..., Any],
        reference: Callable[..., Any],
        outputs: tuple[str, ...],
        unread: tuple[int, ...] = (),
    ) -> None:
        self.name = forward.__name__
        self.__module__ = forward.__module__
        self.outputs = outputs
        self.unread = unread
        self.forward = forward
        self.backward = backward
        self.reference = reference

    def __call__(self, *inputs: Tensor | None, **static: Any) -> tuple[Tensor, ...]:
        mode = threads.mode
        if mode.unrolled:
            return tuple(self.reference(*inputs, **static))
        # Lists within `tuple`: each takes half the time of a generator, and a kernel for a short
        # sequence is called often.
        arrays = tuple([None if x is None else x._array for x in inputs])
        outputs, saved = mode.run(functools.partial(self.forward, *arrays, **static))
        if not mode.recording:
            return _outside(outputs, inputs, mode)
        edges, recorded, cut = _edges(inputs)
        if not recorded:
            return _outside(outputs, inputs, mode)
        kept = tuple([None if x is None else (x._storage, x._storage[0]) for x in inputs])
        node = record(self, None, edges, (arrays, saved, static), kept, outputs[0], mode)
        node.shape = tuple([y.shape for y in outputs])
        node.dtype = tuple([y.dtype for y in outputs])
        if cut:
            node.cuts = cuts_of(inputs, edges)
        if mode.keep is not None:
            mode.keep(node, outputs)
        return tuple([make(y, None, Output(node, k), True) for k, y in enumerate(outputs)])

    def __reduce__(self) -> str:
        """A copy, pickled or not, is the kernel itself, by its name in its module."""
        return self.name

    def differentiate(
        self, node: Node, edges: tuple[Any, ...], g: tuple[Any, ...], create_graph: bool
    ) -> Any:
        """The gradients of the inputs that have an edge: by hand, or from the reference."""
        arrays, saved, static = node.saved
        if create_graph:
            return self._differentiate_reference(node, edges, g, static)
        return self.backward(g, saved, arrays, _needs(edges), **static)

    def _differentiate_reference(
        self, node: Node, edges: tuple[Any, ...], g: tuple[Any, ...], static: Static
    ) -> list[Any]:
        """Run the reference on the inputs and ask for its gradients as a graph.

        edges : those of the node whose gradients are wanted. The gradients depend on the other
            inputs too, so all of them take part in the graph

        Each input passes through an identity node of its own and the walk stops there. Else an
        input that depends on another one (a carried state, tied weights) would be counted twice:
        once here, and once when its own gradient goes on.
        """
        doors: list[Any] = []
        arrays, *_ = node.saved
        cuts = node.cuts or (None,) * len(arrays)
        for array, edge, origins in zip(arrays, node.edges, cuts, strict=True):
            if array is None:
                doors.append(None)
            elif edge is None:
                doors.append(make(array))
                doors[-1]._origins = origins
            else:
                doors.append(identity(array, edge))
        with enable_grad():
            outputs = self.reference(*doors, **static)
        reached = [(y, gy) for y, gy in zip(outputs, g, strict=True) if gy is not None]
        wanted = [door for door, edge in zip(doors, edges, strict=True) if edge is not None]
        gradients = iter(
            grad(
                [y for y, _ in reached],
                wanted,
                [gy for _, gy in reached],
                create_graph=True,
                allow_unused=True,
            )
        )
        return [None if edge is None else next(gradients) for edge in edges]


def _edges(inputs: tuple[Tensor | None, ...]) -> tuple[tuple[Any, ...], bool, bool]:
    """The edge of each input, whether there is one, and whether an input without was cut off.

    `edge_of` in one loop, as a step of a small cell takes little longer than seven calls of that.
    """
    edges: list[Any] = []
    recorded = cut = False
    for x in inputs:
        edge = None
        if x is not None:
            if x._view is not None:
                x._renew()
            if x._requires_grad:
                edge = x if x._node is None else x._node
                recorded = True
            elif x._origins is not None:
                cut = True
        edges.append(edge)
    return tuple(edges), recorded, cut


def _outside(
    outputs: tuple[Array, ...], inputs: tuple[Tensor | None, ...], mode: Mode
) -> tuple[Tensor, ...]:
    """The outputs of a kernel that is not recorded."""
    results = tuple(map(make, outputs))
    origins = origins_outside(inputs, mode)
    if origins is not None:
        for result in results:
            result._origins = origins
    return results


def _needs(edges: tuple[Any, ...]) -> tuple[bool, ...]:
    """For each input whether its gradient is wanted."""
    return tuple([edge is not None for edge in edges])


def kernel(
    *,
    backward: Callable[..., Any],
    reference: Callable[..., Any],
    outputs: tuple[str, ...],
    unread: tuple[int, ...] = (),
) -> Callable[[Callable[..., Any]], Kernel]:
    """Declare a kernel; the function below the decorator is its forward. See `Kernel`."""

    def declare(forward: Callable[..., Any]) -> Kernel:
        made = Kernel(forward, backward, reference, outputs, unread)
        functools.update_wrapper(made, forward)
        return made

    return declare
