"""`@primitive`: an operation declared once, as a forward on arrays and a derivative rule an input.

    @primitive(lambda g, y: g * ((1 + y) * (1 - y)))
    def tanh(x):
        return np.tanh(x)

The forward sees plain NumPy arrays of one type. A rule gives the gradient of one input; it names
what it needs, and only that is kept until the backward pass:

    g                  the gradient of the output; a tuple for several outputs, None where unused
    y                  the output
    x, a, dim ...      an argument of the forward, by its name
    shape_x            the shape and dtype of the argument x, without its data

Rules use operators, indexing, `.shape .ndim .dtype` and free functions of `tinytensor.ops` only: no
NumPy, nothing in place, constants as Python numbers. Then one rule serves twice: on arrays it is
the plain backward, on Tensors (`create_graph=True`) it records itself and can be differentiated
again. What every rule would repeat is done here, once: promoting types by a recorded cast,
skipping inputs that need nothing, wrapping 0-d results, keeping and checking versions.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np

from .. import dtypes
from ..dtypes import FLOATING, Array
from ..origins import NO_GRAD, Origins, narrowed, origins_of, united
from ..tensor import Storage, Tensor, make, outside
from .mode import Mode, threads
from .node import Node, Output, edge_of
from .outside import cuts_of, origins_outside
from .refusals import explain
from .view import view_of

Rule = Callable[..., Any]

_FLOAT32 = np.dtype(np.float32)
_FLOAT64 = np.dtype(np.float64)
_ndarray = np.ndarray
_new = object.__new__
_MISSING = object()  # in the place of a default, where there is none


class Spec(NamedTuple):
    """What a rule gets for `shape_x`."""

    shape: tuple[int, ...]
    dtype: Any

    @property
    def ndim(self) -> int:
        return len(self.shape)


class Plan:
    """What a primitive keeps and which rules it runs when a given set of inputs wants a gradient.

    keep : for each value kept, ("value", argument), ("output", 0) or ("shape", argument)
    rules : (number of the input, function of g and the saved values)
    frees : whether a pass frees something, so that a second one is an error (for a number that was
        multiplied by as well: torch keeps it as a tensor)
    listed, simple : those of the primitive
    """

    __slots__ = ("frees", "keep", "listed", "rules", "save", "simple")

    def __init__(self, primitive: Primitive, wanted: tuple[int, ...]) -> None:
        self.keep: list[tuple[str, int]] = []
        rules = []
        for number in wanted:
            rule = primitive.rules[number]
            if rule is None:
                continue
            positions = [self._position(primitive, name) for name in _arguments(rule)[1:]]
            rules.append((number, _bound(rule, positions)))
        self.rules = tuple(rules)
        self.listed = primitive.listed
        self.simple = primitive.simple
        self.frees = any(
            kind == "output"
            or (kind == "value" and number < len(primitive.rules) and primitive.promote is not None)
            for kind, number in self.keep
        )
        self.save = self._saver(wanted)

    def _position(self, primitive: Primitive, name: str) -> int:
        """Where the value that a rule calls `name` lies among the saved ones."""
        item = primitive.source(name)
        if item not in self.keep:
            self.keep.append(item)
        return self.keep.index(item)

    def _saver(self, wanted: tuple[int, ...]) -> Callable[[Any, Any, Any, Any], tuple[Any, Any]]:
        """A function (values, arrays, output, its storage) -> (saved, kept)."""
        keep = tuple(self.keep)
        if not keep:
            return lambda values, arrays, output, storage: ((), ())
        if keep == (("output", 0),):

            def save_output(values: Any, arrays: Any, output: Any, storage: Any) -> tuple[Any, Any]:
                if type(storage) is tuple:
                    return (output,), (_version(storage),)
                return (output,), ((storage, storage[0]),)

            return save_output

        if len(keep) == 1 and keep[0][0] == "value":
            only = keep[0][1]

            def save_one(values: Any, arrays: Any, output: Any, storage: Any) -> tuple[Any, Any]:
                version = _version_of(values[only])
                return (arrays[only],), ((version,) if version else ())

            return save_one

        if keep == (("value", 1), ("value", 0)) and set(wanted) == {0, 1}:  # a product

            def save_both(values: Any, arrays: Any, output: Any, storage: Any) -> tuple[Any, Any]:
                a, b = values[0]._storage, values[1]._storage
                return (arrays[1], arrays[0]), ((b, b[0]), (a, a[0]))

            return save_both

        def save(values: Any, arrays: Any, output: Any, storage: Any) -> tuple[Any, Any]:
            saved = []
            kept: list[Any] = []
            for kind, number in keep:
                version = None
                if kind == "value":
                    saved.append(arrays[number])
                    version = _version_of(values[number])
                elif kind == "output":
                    saved.append(output)
                    version = _version(storage)
                else:
                    saved.append(_spec(arrays[number]))
                kept.append(version)
            return tuple(saved), tuple(kept) if any(kept) else ()

        return save


def _version(storage: Any) -> Any:
    """What tells later changes: (storage, version); for several outputs a list of these."""
    if type(storage) is tuple:
        return [(one, one[0]) for one in storage]
    return (storage, storage[0])


def _version_of(value: Any) -> Any:
    """The same for an argument: a Tensor, a list or an index with some in it, or neither."""
    if isinstance(value, Tensor):
        return _version(value._storage)
    if type(value) is tuple and any(isinstance(part, Tensor) for part in value):
        return [_version(part._storage) if isinstance(part, Tensor) else None for part in value]
    return None


def _spec(array: Any) -> Any:
    if type(array) is tuple:
        return tuple(Spec(a.shape, a.dtype) for a in array)
    return Spec(array.shape, array.dtype)


def _arguments(function: Callable[..., Any]) -> tuple[str, ...]:
    """Read off its code: `inspect.signature` took a fifth of the time of `import tinytensor`."""
    code = function.__code__
    return code.co_varnames[: code.co_argcount]


def _bound(rule: Rule, positions: list[int]) -> Callable[[Any, Any], Any]:
    """The rule as a function of g and the tuple of saved values."""
    if not positions:
        return lambda g, saved: rule(g)
    if len(positions) == 1:
        (first,) = positions
        return lambda g, saved: rule(g, saved[first])
    pick = operator.itemgetter(*positions)
    return lambda g, saved: rule(g, *pick(saved))


class Primitive:
    """One operation of the framework: its forward, its rules, and how its arguments are read.

    listed : the first argument is a list of tensors, with one rule for the whole list
    promote : "common" (torch's result type of the arguments), "float" (the same, integers to the
        default float), "number" (the same, a bool refused) or None; of the differentiable
        arguments, those not `fixed`
    tensors : the arguments, by position, in whose place no number may stand
    view : the result may share memory with the first argument
    simple : every argument has a rule, and none of the above but `promote` and `tensors` is there
    """

    __slots__ = (
        "defaults", "fixed", "forward", "function", "listed", "name", "names", "plans", "promote",
        "rules", "simple", "tensors", "view",
    )  # fmt: skip

    function: Callable[..., Any]

    def __init__(
        self,
        forward: Callable[..., Any],
        rules: tuple[Rule | None, ...],
        listed: bool,
        promote: str | None,
        fixed: tuple[int, ...],
        view: bool,
        tensors: tuple[int, ...],
    ) -> None:
        self.name = forward.__name__
        self.forward = forward
        self.rules = rules
        self.listed = listed
        self.promote = promote
        self.fixed = fixed
        self.view = view
        self.tensors = tensors
        self.names = _arguments(forward)
        defaults = forward.__defaults__ or ()
        self.defaults = (_MISSING,) * (len(self.names) - len(defaults)) + defaults
        self.simple = not view and not listed and len(self.names) == len(rules)
        self.plans: dict[tuple[int, ...], Plan] = {}
        for rule in rules:
            for name in _arguments(rule)[1:] if rule is not None else ():
                self.source(name)

    def source(self, name: str) -> tuple[str, int]:
        """What a rule means by an argument called `name`."""
        if name == "y":
            return ("output", 0)
        if name in self.names:
            return ("value", self.names.index(name))
        if name.startswith("shape_") and name[6:] in self.names:
            return ("shape", self.names.index(name[6:]))
        raise TypeError(
            f"{self.name}: a rule names {name!r}; expected g, y, one of {self.names}, or shape_ "
            "before one of them"
        )

    def operands(self, values: Any) -> Any:
        """Of the arguments of a call those that a gradient could go to, as edges count them."""
        if self.listed:
            return values[0]
        return [None if rule is None else x for rule, x in zip(self.rules, values, strict=False)]

    def plan(self, wanted: tuple[int, ...]) -> Plan:
        found = self.plans.get(wanted)
        if found is None:
            found = self.plans[wanted] = Plan(self, wanted)
        return found

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """All arguments in the forward's order. Takes torch's and NumPy's names for them."""
        if len(args) > len(self.names):
            raise TypeError(
                f"{self.name}: expected at most {len(self.names)} arguments, got {len(args)}"
            )
        values = list(args) + list(self.defaults[len(args) :])
        given = set(range(len(args)))
        for key, value in kwargs.items():
            name = _ALIASES.get(key, key)
            if key in ("input", "other") and key not in self.names:
                position = ("input", "other").index(key)
            elif name in self.names:
                position = self.names.index(name)
            else:
                raise TypeError(f"{self.name}: expected arguments {self.names}, got {key!r}")
            if position in given:
                raise TypeError(f"{self.name}: got {key!r} twice")
            given.add(position)
            values[position] = value
        for name, value in zip(self.names, values, strict=True):
            if value is _MISSING:
                raise TypeError(f"{self.name}: missing the argument {name!r}")
        return tuple(values)


_ALIASES = {
    "axis": "dim", "keepdims": "keepdim", "src": "source", "split_size_or_sections": "split_size",
}  # fmt: skip

PRIMITIVES: dict[str, Primitive] = {}


def primitive(
    *rules: Rule | None,
    listed: bool = False,
    promote: Literal["common", "float", "number"] | None = "common",
    fixed: tuple[int, ...] = (),
    view: bool = False,
    tensors: tuple[int, ...] = (),
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare an operation; the function below the decorator is its forward on plain arrays.

    rules : one for each leading argument that is a tensor; None where there is no derivative
    listed, promote, fixed, view, tensors : see `Primitive`
    Returns the operation on Tensors. Given no Tensor it raises TypeError, but inside a rule, where
    it runs on plain arrays.
    """

    def declare(forward: Callable[..., Any]) -> Callable[..., Any]:
        op = Primitive(forward, rules, listed, promote, fixed, view, tensors)
        if op.name in PRIMITIVES:
            raise ValueError(f"primitive: {op.name} is declared twice")
        PRIMITIVES[op.name] = op
        if op.simple and len(rules) == 1:
            call = _unary(op)
        elif op.simple and len(rules) == 2:
            call = _binary(op)
        else:
            call = functools.partial(_apply, op)
        function = _named(call, forward)
        op.function = function
        return function

    return declare


def _named(call: Callable[..., Any], forward: Callable[..., Any]) -> Callable[..., Any]:
    """The public face of a primitive: a plain function with the forward's name and docstring."""
    if isinstance(call, functools.partial):
        apply, op = call.func, call.args[0]

        def function(*args: Any, **kwargs: Any) -> Any:
            return apply(op, *args, **kwargs)

        call = function
    functools.update_wrapper(call, forward)
    call.__annotations__ = {}
    return call


# -- calling a primitive
# `_apply` is the whole of it. `_unary` and `_binary` are the same for the commonest case (tensors
# of one float type, no further argument), without the loops, because a small operation costs less
# than the bookkeeping round it.


def _unary(op: Primitive) -> Callable[..., Any]:
    forward = op.forward
    plan = op.plan((0,)) if op.rules[0] is not None else None

    def call(input: Any) -> Any:
        mode = threads.mode
        if not isinstance(input, Tensor):
            return _apply(op, input)
        array = input._array
        kind = array.dtype
        if kind is not _FLOAT32 and kind is not _FLOAT64:
            return _apply(op, input)
        y = mode.run(forward, array)
        if type(y) is not _ndarray:
            if type(y) is tuple:
                return _finished(op, (input,), [input], [array], y, mode)
            y = np.asarray(y)
        if plan is None:
            return make(y)
        if not mode.recording:
            if input._origins is None and not input._requires_grad:
                return outside(y, None)
            return outside(y, NO_GRAD if mode.keep is None else origins_of(input))
        if input._view is not None:
            input._renew()
        if not input._requires_grad:
            return outside(y, input._origins)
        edge = input._node
        edges = (input if edge is None else edge,)
        storage = [0]
        saved, kept = plan.save((input,), (array,), y, storage) if plan.keep else _NOTHING
        return _recorded(op, plan, edges, saved, kept, y, storage, mode)

    return call


def _binary(op: Primitive) -> Callable[..., Any]:
    forward = op.forward
    number = None if 1 in op.tensors else float
    differentiable = any(op.rules)
    plans = op.plans

    def call(input: Any, other: Any) -> Any:
        mode = threads.mode
        try:
            a = input._array
            kind = a.dtype
            if type(other) is number:
                b = other
            else:
                b = other._array
                if b.dtype is not kind:
                    return _apply(op, input, other)
        except AttributeError:
            return _apply(op, input, other)
        if kind is not _FLOAT32 and kind is not _FLOAT64:
            return _apply(op, input, other)
        try:
            y = mode.run(forward, a, b)
        except ValueError as error:
            explain(op.name, (a, b), error)
        if type(y) is not _ndarray:
            if type(y) is tuple:
                return _finished(op, (input, other), [input, other], [a, b], y, mode)
            y = np.asarray(y)
        if not differentiable:
            return make(y)
        if not mode.recording:
            if mode.keep is not None:
                return outside(y, origins_outside((input, other), mode))
            if input._origins is not None or input._requires_grad:
                return outside(y, NO_GRAD)
            if b is not other and (other._origins is not None or other._requires_grad):
                return outside(y, NO_GRAD)
            return outside(y, None)
        if input._view is not None:
            input._renew()
        first = input._requires_grad
        if b is other:
            second = False
            origins = None
        else:
            if other._view is not None:
                other._renew()
            second = other._requires_grad
            origins = other._origins
        if not (first or second):
            if origins is None:
                return outside(y, input._origins)
            return outside(y, united(input._origins, origins))
        if first:
            edge = input._node
            if edge is None:
                edge = input
            if second:
                plan = plans.get(_BOTH) or op.plan(_BOTH)
                edge2 = other._node
                edges = (edge, other if edge2 is None else edge2)
            else:
                plan = plans.get(_FIRST) or op.plan(_FIRST)
                edges = (edge, None)
        else:
            origins = input._origins
            plan = plans.get(_SECOND) or op.plan(_SECOND)
            edge = other._node
            edges = (None, other if edge is None else edge)
        if not plan.rules:
            return make(y)
        storage = [0]
        saved, kept = plan.save((input, other), (a, b), y, storage) if plan.keep else _NOTHING
        result = _recorded(op, plan, edges, saved, kept, y, storage, mode)
        if origins is not None:
            result._node.cuts = cuts_of((input, other), edges)
        return result

    return call


_FIRST = (0,)
_SECOND = (1,)
_BOTH = (0, 1)
_NOTHING: tuple[Any, Any] = ((), ())


def record(
    op: Any, plan: Any, edges: tuple[Any, ...], saved: Any, kept: Any, y: Array, mode: Mode
) -> Node:
    """A new node of the graph for an operation that gave the array `y`."""
    node = Node()
    node.op = op
    node.plan = plan
    node.edges = edges
    node.saved = saved
    node.kept = kept
    node.shape = y.shape
    node.dtype = y.dtype
    node.number = mode.next_number()
    node.scope = mode.scope
    node.phase = mode.phase
    node.watchers = None
    node.cuts = None
    if mode.keep is not None:
        mode.keep(node, y)
    return node


def _recorded(
    op: Any, plan: Any, edges: Any, saved: Any, kept: Any, y: Array, storage: Storage, mode: Mode
) -> Tensor:
    """A Tensor round the new array `y` with its node: `record` and `make` in one call."""
    result: Tensor = _new(Tensor)
    result._array = y
    result._storage = storage
    result._node = node = Node()
    result._requires_grad = True
    result._grad = None
    result._view = None
    result._origins = None
    node.op = op
    node.plan = plan
    node.edges = edges
    node.saved = saved
    node.kept = kept
    node.shape = y.shape
    node.dtype = y.dtype
    node.number = mode.next_number()
    node.scope = mode.scope
    node.phase = mode.phase
    node.watchers = None
    node.cuts = None
    if mode.keep is not None:
        mode.keep(node, y)
    return result


def _apply(op: Primitive, *args: Any, **kwargs: Any) -> Any:
    """Run a primitive on any arguments that it takes, and record it."""
    mode = threads.mode
    if kwargs or len(args) != len(op.names):
        args = op.bind(args, kwargs)
    if mode.inside_rule and not mode.recording:  # a rule of a plain backward: arrays only
        return op.forward(*args)
    values, arrays, found = _unwrapped(op, args, mode)
    if not found:
        return op.forward(*arrays)
    if op.promote is not None:
        _promote(op, values, arrays, mode)
    try:
        y = mode.run(op.forward, *arrays)
    except OverflowError as error:
        _take_lowest_bits(op, values, arrays, error)
        y = mode.run(op.forward, *arrays)
    except (ValueError, IndexError, TypeError) as error:
        explain(op.name, arrays, error)
    return _finished(op, args, values, arrays, y, mode)


def _finished(
    op: Primitive, args: tuple[Any, ...], values: list[Any], arrays: list[Any], y: Any, mode: Mode
) -> Any:
    """Wrap what the forward gave, and record it if an input wants a gradient."""
    several = type(y) is tuple
    if several:
        y = tuple(part if type(part) is _ndarray else np.asarray(part) for part in y)
    elif type(y) is not _ndarray:
        y = np.asarray(y)
    wanted, edges, marked = _wanted(op, values) if mode.recording else ((), (), True)
    if several:
        return _several(op, values, arrays, y, wanted, edges, marked, mode)
    shared = op.view and _shares(y, arrays[0])
    storage = values[0]._storage if shared else [0]
    node = None
    differentiable = y.dtype.kind in FLOATING
    if wanted and differentiable:
        plan = op.plan(wanted)
        saved, kept = plan.save(values, arrays, y, storage)
        node = record(op, plan, edges, saved, kept, y, mode)
        if marked:
            node.cuts = cuts_of(op.operands(values), edges)
    result = make(y, storage, node, node is not None)
    if node is None and marked and differentiable:
        result._origins = narrowed(_origins(op, values, shared, mode), storage, y)
    if shared:
        rest = tuple(args[1:])
        result._view = view_of(values[0], lambda base: op.function(base, *rest), "one", mode)
    return result


def _several(
    op: Primitive,
    values: Any,
    arrays: Any,
    y: Any,
    wanted: Any,
    edges: Any,
    marked: bool,
    mode: Mode,
) -> tuple[Tensor, ...]:
    """The Tensors of an operation with several outputs; integer outputs carry no gradient."""
    storages = tuple([0] for _ in y)
    shared = op.view and bool(y) and _shares(y[0], arrays[0])
    if shared:
        storages = (values[0]._storage,) * len(y)
    node = None
    if wanted:
        plan = op.plan(wanted)
        saved, kept = plan.save(values, arrays, y, storages)
        node = record(op, plan, edges, saved, kept, np.empty(0), mode)
        if marked:
            node.cuts = cuts_of(op.operands(values), edges)
        node.shape = tuple(part.shape for part in y)
        node.dtype = tuple(part.dtype for part in y)
        if mode.keep is not None:
            mode.keep(node, y)
    origins = _origins(op, values, shared, mode) if node is None and marked else None
    results = []
    for index, part in enumerate(y):
        floating = part.dtype.kind in FLOATING
        edge = Output(node, index) if node is not None and floating else None
        result = make(part, storages[index], edge, edge is not None)
        if floating:
            result._origins = narrowed(origins, storages[index], part)
        if shared:
            link = _nth_output(op, tuple(values[1:]), index)
            result._view = view_of(values[0], link, "many", mode)
        results.append(result)
    return tuple(results)


def _nth_output(op: Primitive, rest: tuple[Any, ...], index: int) -> Callable[[Any], Any]:
    return lambda base: op.function(base, *rest)[index]


def _unwrapped(
    op: Primitive, args: tuple[Any, ...], mode: Mode
) -> tuple[list[Any], list[Any], bool]:
    """(arguments, the same with arrays for Tensors, whether there was a Tensor)."""
    values = list(args)
    arrays = list(args)
    found = False
    if op.listed:
        first = args[0]
        if isinstance(first, Tensor) or not isinstance(first, (list, tuple)):
            raise TypeError(f"{op.name}: expected a list of tensors, got {type(first).__name__}")
        parts = tuple(first)
        found = not parts or any(isinstance(part, Tensor) for part in parts)
        for part in parts:
            if not isinstance(part, Tensor) and not mode.inside_rule:
                kind = type(part).__name__
                raise TypeError(f"{op.name}: expected a list of tensors, got {kind} in it")
        values[0] = parts
        arrays[0] = tuple(part._array if isinstance(part, Tensor) else part for part in parts)
    for position in range(1 if op.listed else 0, len(values)):
        value = values[position]
        if isinstance(value, Tensor):
            found = True
            arrays[position] = value._array
        elif type(value) is tuple:  # an index: x[i, :, mask]
            arrays[position] = tuple(v._array if isinstance(v, Tensor) else v for v in value)
        elif position < len(op.rules):
            values[position] = arrays[position] = _check_operand(op, value, position, mode)
    if not found and not mode.inside_rule:
        what = type(args[0]).__name__ if args else "nothing"
        raise TypeError(
            f"{op.name}: expected at least one Tensor, got {what}; see tinytensor.tensor"
        )
    return values, arrays, found


def _check_operand(op: Primitive, value: Any, position: int, mode: Mode) -> Any:
    """An argument in a tensor's place that may be no Tensor: a number, in a rule also an array."""
    if op.tensors and position in op.tensors and not (mode.inside_rule or type(value) is _ndarray):
        kind = type(value).__name__
        raise TypeError(f"{op.name}: expected a Tensor, got {kind}; see tinytensor.tensor")
    if isinstance(value, np.generic) and value.dtype.kind in "biuf":
        if value.dtype.kind == "b" and op.promote == "number":
            return int(value)  # as torch takes it
        return value.item()  # np.float64 is a float to Python but would decide the type
    if isinstance(value, (Tensor, float, int)):
        if type(value) is int and not -(2**63) <= value < 2**64:
            raise OverflowError(
                f"{op.name}: expected an integer in [-2**63, 2**64), got {value}; make it a float"
            )
        return value
    if isinstance(value, _ndarray):
        if mode.inside_rule:
            return value
        dtypes.of_numpy(value.dtype)
        return value.copy()  # a later write into the array must not change a gradient
    raise TypeError(f"{op.name}: expected a Tensor or a number, got {type(value).__name__}")


def _promote(op: Primitive, values: list[Any], arrays: list[Any], mode: Mode) -> None:
    """Bring the differentiable arguments to one type, by a cast that is itself recorded."""
    if op.listed:
        inner_values, inner_arrays = list(values[0]), list(arrays[0])
        _promote_positions(op, inner_values, inner_arrays, range(len(inner_arrays)), mode)
        values[0], arrays[0] = tuple(inner_values), tuple(inner_arrays)
    else:
        positions = [i for i in range(len(op.rules)) if i not in op.fixed]
        _promote_positions(op, values, arrays, positions, mode)


def _promote_positions(
    op: Primitive, values: list[Any], arrays: list[Any], positions: Any, mode: Mode
) -> None:
    if not positions or _of_one_float_type([arrays[i] for i in positions]):
        return
    if op.promote == "number" and any(_is_bool(arrays[i]) for i in positions):
        raise RuntimeError(
            f"{op.name}: expected numbers, got a bool; use ^ or ~ for logic, .long() for numbers"
        )
    common = dtypes.common_dtype(arrays[i] for i in positions)
    if op.promote == "float" and common.kind not in FLOATING:
        common = dtypes.get_default_dtype().numpy
    if not any(isinstance(arrays[i], _ndarray) for i in positions):
        first = positions[0]  # numbers only: one of them must say the type
        values[first] = arrays[first] = np.asarray(arrays[first], common)
    for i in positions:
        array = arrays[i]
        if not isinstance(array, _ndarray) or array.dtype == common:
            continue
        value = values[i]
        if not isinstance(value, Tensor):
            values[i] = arrays[i] = array.astype(common)
            continue
        recorded = value.requires_grad and mode.recording
        twin = value.to(dtypes.of_numpy(common)) if recorded else make(array.astype(common))
        if not recorded:
            twin._origins = origins_outside((value,), mode)
        twin._storage = value._storage  # a write into the one is a change of the other, as in torch
        values[i] = twin
        arrays[i] = twin._array


def _is_bool(value: Any) -> bool:
    return value.dtype.kind == "b" if isinstance(value, _ndarray) else isinstance(value, bool)


def _of_one_float_type(arrays: list[Any]) -> bool:
    """Whether nothing is to be promoted: a long list of tensors is mostly of one type."""
    first = arrays[0]
    if not isinstance(first, _ndarray) or first.dtype.kind not in FLOATING:
        return False
    kind = first.dtype
    return all(isinstance(array, _ndarray) and array.dtype == kind for array in arrays)


def _take_lowest_bits(op: Primitive, values: list[Any], arrays: list[Any], error: Any) -> None:
    """Bring Python integers beyond the tensor's integer type into it: uint8 + 300 is uint8 + 44.

    As in torch, where an exponent that does not fit is an error. (Comparisons never come here: they
    are those of the numbers.)
    """
    kind = next((array.dtype for array in arrays if isinstance(array, _ndarray)), None)
    for i, array in enumerate(arrays):
        if type(array) is int and kind is not None:
            values[i] = arrays[i] = dtypes.wrapped(array, kind)
    if op.name == "pow":
        explain(op.name, arrays, error)


def _wanted(op: Primitive, values: list[Any]) -> tuple[tuple[int, ...], tuple[Any, ...], bool]:
    """Which rules must run, the edges of the inputs, and whether one without has origins."""
    wanted = []
    edges = []
    marked = False
    listed, rules = op.listed, op.rules
    for number, value in enumerate(values[0] if listed else values[: len(rules)]):
        edge = None
        if isinstance(value, Tensor) and (listed or rules[number] is not None):
            edge = edge_of(value)
            if edge is not None:
                wanted.append(number)
            elif value._origins is not None:
                marked = True
        edges.append(edge)
    if op.listed:
        wanted = wanted and [0]
    return tuple(wanted), tuple(edges), marked


def _origins(op: Primitive, values: Any, shared: bool, mode: Mode) -> Origins | None:
    """The origins of what was not recorded."""
    if shared:
        return origins_of(values[0])
    return origins_outside(values[0] if op.listed else values, mode)


def _shares(y: Array, x: Array) -> bool:
    """Whether y, made from x by a view operation, is a view of x's memory and not a copy."""
    base = y.base
    return y is x or (base is not None and (base is x or base is x.base))
