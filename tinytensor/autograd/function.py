"""`Function`: an operation of the user's own, with a forward and a backward on Tensors."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NoReturn

import numpy as np

from .. import dtypes
from ..dtypes import FLOATING
from ..tensor import Storage, Tensor, make
from .inplace import check_writable, rebase
from .mode import Mode, no_grad, threads
from .node import Node, Output, edge_of
from .outside import cuts_of, origins_outside
from .primitive import record
from .refusals import changed, used_twice
from .view import View, view_of
from .walk import at_edge

_OBJECT = np.dtype(object)  # of an output that is no tensor


class FunctionCtx:
    """What a forward leaves for its backward; any further attribute may be set on it.

    needs_input_grad : for each argument of `apply` whether it requires a gradient
    """

    needs_input_grad: tuple[bool, ...] = ()

    def __init__(self) -> None:
        self._to_save: tuple[Any, ...] = ()
        self._saved: list[_Saved | None] | None = []
        self._dirty: tuple[Tensor, ...] = ()
        self._constant: tuple[Tensor, ...] = ()
        self._materialize = True
        self._arguments: tuple[Any, ...] = ()  # (shape, dtype) of each tensor, None of the others
        self._node: Node | None = None  # while the backward runs

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep inputs, outputs or other tensors. One that is written to later is an error then."""
        for position, tensor in enumerate(tensors):
            if tensor is not None and not isinstance(tensor, Tensor):
                raise TypeError(
                    f"save_for_backward: expected tensors or None, got {type(tensor).__name__} as "
                    f"argument {position}; set it as an attribute of ctx"
                )
        self._to_save = tensors

    def save_for_forward(self, *tensors: Tensor | None) -> None:
        """Keep tensors for `jvp`: accepted for torch's sake, as there is no forward mode."""

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What was saved, inputs and outputs in their places in the graph."""
        node = self._node
        if node is None:
            return self._to_save
        if self._saved is None:
            used_twice(node)
        return tuple(None if item is None else item.unpack(node) for item in self._saved)

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Say which inputs the forward wrote into. It must return each of them."""
        self._dirty = tensors

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Say which outputs have no gradient. Those of integers or bools never have one."""
        self._constant = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether the gradient of an unused output arrives as zeros (the default) or as None."""
        self._materialize = value


class _Saved:
    """A saved tensor: its array and version, and where its gradient goes.

    place : ("input", i), ("output", i), or ("tensor", t) for one that is neither
    """

    __slots__ = ("array", "place", "storage", "version")

    def __init__(self, tensor: Tensor, place: tuple[str, Any]) -> None:
        self.array = tensor._array
        self.storage: Storage = tensor._storage
        self.version = tensor._storage[0]
        self.place = place

    def unpack(self, node: Node) -> Tensor:
        if self.storage[0] != self.version:
            changed(node, self.array.shape, self.storage, self.version)
        kind, which = self.place
        if kind == "tensor":
            return which
        if kind == "input":
            cut = None if node.cuts is None else node.cuts[which]
            return at_edge(self.array, node.edges[which], self.storage, cut)
        if node.dtype[which].kind not in FLOATING:
            return make(self.array, self.storage)
        return make(self.array, self.storage, Output(node, which), True)


class Function:
    """An operation of your own: subclass it, write both static methods, call `apply`.

        class Cube(Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x)
                return x * x * x

            @staticmethod
            def backward(ctx, g):
                (x,) = ctx.saved_tensors
                return 3 * x * x * g

        y = Cube.apply(x)

    `forward` is not recorded; arguments that are no tensors pass through it. `backward` gets one
    gradient for each output and gives one for each argument, None where there is none. Written in
    operations on tensors it can be differentiated again (`create_graph=True`). A forward without
    `ctx` goes with a third method, `setup_context(ctx, inputs, output)`.
    """

    _made: ClassVar[Any] = None  # the class's own _Operation

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Compute the output, a Tensor or a tuple. The first argument is the context."""
        raise NotImplementedError("Function: a subclass must implement the static method forward")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Keep what the backward needs, for a forward that does not take `ctx`."""
        raise NotImplementedError("Function: setup_context is not implemented")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """Compute the gradient of each argument from that of each output."""
        raise NotImplementedError("Function: a subclass must implement the static method backward")

    vjp = backward  # another name for it: a subclass writes one of the two

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        name = type(self).__name__
        raise RuntimeError(f"{name}: expected static methods, got a call; use {name}.apply(...)")

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Run the forward and record the operation if a tensor among `args` requires grad."""
        mode = threads.mode
        ctx = FunctionCtx()
        edges = tuple(edge_of(x) if isinstance(x, Tensor) else None for x in args)
        ctx.needs_input_grad = tuple(edge is not None for edge in edges)
        ctx._arguments = tuple(
            (x._array.shape, x._array.dtype) if isinstance(x, Tensor) else None for x in args
        )
        answer = cls._run_forward(ctx, args)
        several = isinstance(answer, tuple)
        outputs = list(answer) if several else [answer]
        recorded = mode.recording and any(ctx.needs_input_grad)
        if recorded and any(isinstance(y, Tensor) for y in outputs):
            outputs = _recorded(_operation(cls), ctx, args, edges, outputs, mode)
        else:
            dirty = set(map(id, ctx._dirty))
            outputs = [y[...] if _among(y, args) and id(y) not in dirty else y for y in outputs]
            origins = origins_outside(args, mode)
            for y in outputs:
                if isinstance(y, Tensor) and y._array.dtype.kind in FLOATING:
                    y._origins = origins
        return tuple(outputs) if several else outputs[0]

    @classmethod
    def _run_forward(cls, ctx: FunctionCtx, args: tuple[Any, ...]) -> Any:
        with no_grad():
            if cls.setup_context is Function.setup_context:
                return cls.forward(ctx, *args)
            answer = cls.forward(*args)
            cls.setup_context(ctx, args, answer)
            return answer


class _Operation:
    """What a node of a Function has for its operation."""

    listed = False
    asks_user = True

    def __init__(self, function: type[Function]) -> None:
        self.name = function.__name__
        renamed = function.vjp is not Function.vjp
        if renamed and function.backward is not Function.backward:
            raise RuntimeError(f"{self.name}: expected 'backward' or 'vjp', got both")
        self.backward = function.vjp if renamed else function.backward

    def differentiate(
        self, node: Node, edges: tuple[Any, ...], g: tuple[Any, ...], create_graph: bool
    ) -> list[Any]:
        """The gradients that the user's backward gives, checked."""
        ctx: FunctionCtx = node.saved
        gradients = [
            _given(part, node.shape[i], node.dtype[i], ctx._materialize) for i, part in enumerate(g)
        ]
        outer = ctx._node
        ctx._node = node
        try:
            answer = self.backward(ctx, *gradients)
        finally:
            ctx._node = outer
        parts = answer if isinstance(answer, tuple) else (answer,)
        expected = len(ctx._arguments)
        while len(parts) > expected and parts[-1] is None:
            parts = parts[:-1]
        if len(parts) != expected:
            raise RuntimeError(
                f"{self.name}: its backward returned an incorrect number of gradients (expected "
                f"{expected}, got {len(parts)}); return one for each argument of forward but ctx, "
                "None where there is none"
            )
        return [
            self._checked(i, part, ctx._arguments[i], create_graph) for i, part in enumerate(parts)
        ]

    def _checked(self, position: int, gx: Any, argument: Any, create_graph: bool) -> Any:
        """A gradient of an argument as the walk wants it: right kind, shape and dtype."""
        if gx is None:
            return None
        if not isinstance(gx, Tensor):
            raise RuntimeError(
                f"{self.name}: expected its backward to return a Tensor or None for argument "
                f"{position}, got {type(gx).__name__}"
            )
        if argument is None:
            raise RuntimeError(
                f"{self.name}: its backward returned a gradient different than None at position "
                f"{position}, but the corresponding argument of forward is no tensor"
            )
        shape, dtype = argument
        if not _stretches_to(shape, gx._array.shape):
            raise RuntimeError(
                f"{self.name}: its backward returned an invalid gradient at position {position}: "
                f"expected shape {shape}, got {tuple(gx._array.shape)}"
            )
        if gx._array.dtype != dtype:
            gx = gx.to(dtypes.of_numpy(dtype))
        return gx if create_graph else gx._array

    @staticmethod
    def free(node: Node) -> None:
        """Let go of what was saved. Without any, a second pass is no error."""
        if node.saved._saved:
            node.saved._saved = None


def _operation(function: type[Function]) -> _Operation:
    """The operation of a class: one for all its nodes."""
    if "_made" not in function.__dict__:
        function._made = _Operation(function)
    return function._made


def _recorded(
    op: _Operation,
    ctx: FunctionCtx,
    args: tuple[Any, ...],
    edges: tuple[Any, ...],
    outputs: list[Any],
    mode: Mode,
) -> list[Any]:
    """Make the node, give the outputs their history, and keep what the forward asked to keep."""
    dirty = set(map(id, ctx._dirty))
    if not dirty <= set(map(id, outputs)):
        raise RuntimeError(
            f"{op.name}: expected every input marked as dirty to be returned by forward"
        )
    node = record(op, None, edges, ctx, (), np.empty(0), mode)
    node.cuts = cuts_of(args, edges)
    node.shape = tuple(y._array.shape if isinstance(y, Tensor) else () for y in outputs)
    node.dtype = tuple(y._array.dtype if isinstance(y, Tensor) else _OBJECT for y in outputs)
    if mode.keep is not None:
        mode.keep(node, tuple(y._array if isinstance(y, Tensor) else None for y in outputs))
    constant = set(map(id, ctx._constant))
    results: list[Any] = []
    for index, y in enumerate(outputs):
        if not isinstance(y, Tensor):
            results.append(y)
            continue
        differentiable = y._array.dtype.kind in FLOATING and id(y) not in constant
        if id(y) in dirty:
            check_writable(y, mode, op.name)
            y._storage[0] += 1
            rebase(y, make(y._array, y._storage, Output(node, index), True), mode)
            results.append(y)
            continue
        edge = Output(node, index) if differentiable else None
        result = make(y._array, y._storage, edge, differentiable)
        result._view = _view_from(y, args, mode)
        results.append(result)
    ctx._saved = [None if t is None else _Saved(t, _place(t, args, outputs, dirty))
                  for t in ctx._to_save]  # fmt: skip
    ctx._to_save = ()
    ctx._dirty = ()
    ctx._constant = ()
    node.kept = tuple((item.storage, item.version) for item in ctx._saved if item is not None)
    return results


def _place(
    tensor: Tensor, args: tuple[Any, ...], outputs: list[Any], dirty: set[int]
) -> tuple[str, Any]:
    if id(tensor) not in dirty:
        for position, x in enumerate(args):
            if x is tensor:
                return ("input", position)
    for position, y in enumerate(outputs):
        if y is tensor:
            return ("output", position)
    return ("tensor", tensor)


def _view_from(y: Tensor, args: tuple[Any, ...], mode: Mode) -> View | None:
    """That an output shares memory with another tensor, so that writing into either is refused."""
    view = y._view
    if view is None and _among(y, args):
        view = view_of(y, lambda base: base, "function", mode)
    if view is None:
        return None
    return View(view.base, view.path, y._storage[0], "function")


def _among(value: Any, args: Sequence[Any]) -> bool:
    return isinstance(value, Tensor) and any(value is x for x in args)


def _given(g: Any, shape: Any, dtype: Any, materialize: bool) -> Any:
    """The gradient of an output as the user's backward gets it. An array reaches it as a copy, as
    it may be shared with other branches of the graph.
    """
    if isinstance(g, Tensor):
        return g
    if g is not None:
        return make(np.array(g))
    if dtype == _OBJECT or not materialize:
        return None
    return make(np.zeros(shape, dtype))


def _stretches_to(shape: tuple[int, ...], larger: tuple[int, ...]) -> bool:
    extra = len(larger) - len(shape)
    return extra >= 0 and all(n in (1, m) for n, m in zip(shape, larger[extra:], strict=True))


# -- a backward that can't be differentiated


class _Once:
    """The operation behind the result of a backward that was marked `once_differentiable`."""

    name = "once_differentiable"
    listed = False
    asks_user = False

    @staticmethod
    def differentiate(node: Node, edges: tuple[Any, ...], g: Any, create_graph: bool) -> NoReturn:
        raise RuntimeError(
            "backward: trying to differentiate twice a function that was marked with "
            "@once_differentiable; write its backward in operations on tensors and take the mark "
            "away"
        )


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Mark the backward of a Function that leaves the graph: differentiating it again raises.

    Below it the backward runs without recording, so that it may use NumPy.
    """

    @functools.wraps(backward)
    def wrapped(ctx: FunctionCtx, *gradients: Any) -> Any:
        mode = threads.mode
        if not mode.recording:
            return backward(ctx, *gradients)
        with no_grad():
            detached = (g.detach() if isinstance(g, Tensor) else g for g in gradients)
            answer = backward(ctx, *detached)
        above = ctx._node.edges if ctx._node is not None else ()
        edges = tuple(edge_of(g) if isinstance(g, Tensor) else None for g in gradients) + above
        if isinstance(answer, tuple):
            return tuple(_closed(part, edges, mode) for part in answer)
        return _closed(answer, edges, mode)

    return wrapped


def _closed(value: Any, edges: tuple[Any, ...], mode: Mode) -> Any:
    if not isinstance(value, Tensor) or value._array.dtype.kind not in FLOATING:
        return value
    node = record(_Once, None, edges, (), (), value._array, mode)
    return make(value._array, value._storage, node, True)
