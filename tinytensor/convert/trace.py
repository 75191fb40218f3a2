"""What a model computes, as a list of operations on numbered values, found by running it.

Every primitive and kernel runs its forward through the thread's `mode.run`. A function in its place
sees each of them with the arrays that go in and come out, and knows an array again by its memory.

What it cannot see is told by further runs with other numbers in the inputs: an array that comes
from nowhere is a constant if it has the same values in all runs, and the copy of a known value if
it equals that in all (the engine casts arguments by itself, a write in place puts a result into
another array). Anything else depends on the inputs in a way that a fixed list of operations cannot
express, and is refused. So what depends on them outside of any operation, and yet comes out the
same for all the numbers tried, is taken for a constant: that is the limit of the method.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from ..autograd.kernel import Kernel
from ..autograd.mode import threads
from ..autograd.primitive import PRIMITIVES
from ..dtypes import Array
from ..nn.module import Module
from ..nn.recurrent import RNNBase
from ..tensor import Tensor, make
from .recurrent_calls import KINDS, has_operator
from .scans import scans_of


class Value:
    """One array of a run.

    number : its place among the values
    kind : "input", "parameter", "result"; of an array that came from nowhere "unknown" until
        runs are compared, then "constant", "copy" or "lost"
    name : of an input or a parameter; else empty
    array : its content at that time, in a copy
    source : of a copy, the value that it is one of
    from_input, from_parameter : whether it depends on one
    """

    def __init__(self, number: int, kind: str, name: str, array: Array) -> None:
        self.number = number
        self.kind = kind
        self.name = name
        self.array = array.copy()
        self.source: Value | None = None
        self.from_input = kind == "input"
        self.from_parameter = kind == "parameter"


class Call(NamedTuple):
    """One operation: args as its forward takes them, a Value in the place of each array."""

    op: str
    args: tuple[Any, ...]
    static: dict[str, Any]
    results: tuple[Value, ...]


class Trace:
    """One run of a model.

    whole : the names of the kernels, besides the recurrent ones, that are to be one operation
    values, calls : in the order in which they came up
    outputs : what the model returned, Values in the place of tensors
    """

    def __init__(self, model: Module, whole: Collection[str]) -> None:
        self.whole = whole
        self.values: list[Value] = []
        self.calls: list[Call] = []
        self.outputs: Any = None
        self._run: Callable[..., Any] = threads.mode.run
        self._by_memory: dict[Any, Value] = {}
        self._living: list[Array] = []  # memory that is in use is not given to another array
        self._parts: dict[int, list[Call]] = {}  # of a value, what took out a part of it
        for name, tensor in (*model.named_parameters(), *model.named_buffers()):
            self._add(tensor._array, "parameter", name)

    # -- values

    def add_input(self, array: Array, name: str) -> None:
        self._add(array, "input", name)

    def _add(self, array: Array, kind: str, name: str = "") -> Value:
        value = Value(len(self.values), kind, name, array)
        self.values.append(value)
        self._living.append(array)
        self._by_memory[_memory(array)] = value
        return value

    def value_of(self, array: Array) -> Value:
        """The value in an array; an unknown one if it is new or was written to since."""
        found = self._by_memory.get(_memory(array))
        if found is None:
            return self._add(array, "unknown")
        if same(found.array, array):
            return found
        return self._written(found, array) or self._add(array, "unknown")

    def _written(self, before: Value, array: Array) -> Value | None:
        """The value after a write into a part of an array, x[t] = h, as an `index_put`.

        The write itself is nothing that runs. But the part was taken out as a view first: it is the
        one outside of which nothing has changed.
        """
        for call in reversed(self._parts.get(before.number, ())):
            key = call.args[1]
            expected = before.array.copy()
            expected[key] = array[key]
            if same(expected, array):
                (view,) = call.results
                args = (before, self.value_of(self._living[view.number]), key)
                value = self._add(array, "result")
                self.calls.append(Call("index_put", args, {}, (value,)))
                return value
        return None

    def with_values(self, nest: Any) -> Any:
        """A nest of lists, tuples and dicts with Values in the place of arrays and tensors."""
        if isinstance(nest, Tensor):
            return self.value_of(nest._array)
        if isinstance(nest, np.ndarray):
            return self.value_of(nest)
        if isinstance(nest, dict):
            return {key: self.with_values(part) for key, part in nest.items()}
        if type(nest) in (list, tuple):
            return tuple(map(self.with_values, nest))
        return nest

    # -- running

    @contextmanager
    def recording(self) -> Iterator[None]:
        mode = threads.mode
        before = mode.run
        self._run = before
        mode.run = self._seen
        try:
            yield
        finally:
            mode.run = before

    @contextmanager
    def _paused(self) -> Iterator[None]:
        mode = threads.mode
        mode.run = self._run
        try:
            yield
        finally:
            mode.run = self._seen

    def _seen(self, forward: Callable[..., Any], *arrays: Any) -> Any:
        """In the place of `mode.run`: run the forward and note it."""
        if isinstance(forward, functools.partial):
            return self._seen_kernel(forward)
        primitive = PRIMITIVES.get(forward.__name__)
        if primitive is None or primitive.forward is not forward:
            return self._run(forward, *arrays)
        y = self._run(forward, *arrays)
        parts = tuple(map(np.asarray, y)) if type(y) is tuple else (np.asarray(y),)
        self.note(primitive.name, arrays, {}, parts)
        return parts if type(y) is tuple else parts[0]

    def _seen_kernel(self, call: functools.partial[Any]) -> Any:
        """A kernel as one operation where ONNX has it, else as its reference."""
        kind = next((kind for kind in KINDS.values() if kind.kernel.forward is call.func), None)
        kernel = _declared(call.func) if kind is None else kind.kernel
        if kernel is None:
            return self._run(call)
        if kind is None:
            whole = kernel.name in self.whole
        else:
            whole = has_operator(kind, call.args, call.keywords)
        if whole:
            outputs, saved = self._run(call)
            self.note(kernel.name, call.args, call.keywords, outputs)
            return outputs, saved
        inputs = [make(arg) if isinstance(arg, np.ndarray) else arg for arg in call.args]
        results = kernel.reference(*inputs, **call.keywords)
        return tuple(result._array for result in results), None

    def note(
        self, op: str, args: Sequence[Any], static: dict[str, Any], results: Sequence[Array]
    ) -> None:
        """Add a call."""
        named = self.with_values(tuple(args))
        found = tuple(self._add(part, "result") for part in results)
        call = Call(op, named, dict(static), found)
        self.calls.append(call)
        if op == "getitem" and not any(values_in(named[1])):
            self._parts.setdefault(named[0].number, []).append(call)

    # -- lengths

    @contextmanager
    def noting_lengths(self, model: Module) -> Iterator[None]:
        """Have recurrent layers note `lengths=` as such.

        They act through the order in which rows are laid out, computed in NumPy, where no operation
        shows. So for the time of the run the layers get another way of dealing with them.
        """
        layers = [module for module in model.modules() if isinstance(module, RNNBase)]
        try:
            for layer in layers:
                layer.__dict__["_with_lengths"] = functools.partial(self._with_lengths, layer)
            yield
        finally:
            for layer in layers:
                layer.__dict__.pop("_with_lengths", None)

    def _with_lengths(
        self, layer: Any, x: Tensor, initial: Any, lengths: Any, return_states: bool
    ) -> Any:
        name = type(layer).__name__
        if return_states or layer.proj_size:
            what = "return_states=True" if return_states else f"proj_size={layer.proj_size}"
            raise ValueError(
                f"to_onnx: expected {name} with lengths= to be one that ONNX has, got {what}; "
                "export it without"
            )
        with self._paused():
            output, last, kept = type(layer)._with_lengths(layer, x, initial, lengths, False)
        array = lengths._array if isinstance(lengths, Tensor) else np.asarray(lengths, np.int64)
        states = [part._array for part in initial]
        weights = [
            array for scans in scans_of("to_onnx", layer) for scan in scans for array in scan
        ]
        static = {"directions": layer._directions, "lengths": self.value_of(array)}
        self.note(
            layer._kernel.name,
            [x._array, *states, None, *weights],
            static,
            [output._array, *(part._array for part in last)],
        )
        return output, last, kept


def _memory(array: Array) -> Any:
    """What tells living arrays apart."""
    place = array.ctypes.data if array.size else id(array)
    return place, array.shape, array.strides, array.dtype.str


def same(a: Array, b: Array) -> bool:
    """Whether two arrays are equal bit for bit."""
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def _declared(forward: Any) -> Kernel | None:
    """The kernel that `@kernel` made of a function: it stands in the function's place."""
    module = sys.modules.get(getattr(forward, "__module__", ""))
    found = getattr(module, getattr(forward, "__name__", ""), None)
    return found if isinstance(found, Kernel) and found.forward is forward else None


def values_in(nest: Any) -> Iterator[Value]:
    """All Values in a nest."""
    if isinstance(nest, Value):
        yield nest
    elif isinstance(nest, dict):
        for part in nest.values():
            yield from values_in(part)
    elif isinstance(nest, tuple):
        for part in nest:
            yield from values_in(part)


def numbers_in(nest: Any) -> Any:
    """The nest with each Value's number in its place, to be compared with another run's."""
    if isinstance(nest, Value):
        return ("value", nest.number)
    if isinstance(nest, dict):
        return {key: numbers_in(part) for key, part in nest.items()}
    return tuple(map(numbers_in, nest)) if type(nest) is tuple else nest
