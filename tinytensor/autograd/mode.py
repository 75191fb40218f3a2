"""What the engine is doing in this thread: recording or not, where in the model, in which phase."""

from __future__ import annotations

import contextvars
import functools
import inspect
import itertools
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

_F = TypeVar("_F", bound=Callable[..., Any])


next_number = itertools.count(1).__next__


def _silent() -> Callable[..., Any]:
    """A function that calls another with NumPy's floating-point warnings off.

    torch is silent on log 0. `np.errstate` costs a microsecond; NumPy keeps its error state in a
    context variable, so running in a context prepared once costs 26 ns and leaves the user's alone.
    """
    context = contextvars.copy_context()
    context.run(np.seterr, all="ignore")
    return context.run


class Mode:
    """The state of one thread.

    recording : operations on tensors that require grad make nodes
    run : calls a function with floating-point warnings off
    inside_rule : free functions take plain arrays (else that is an error)
    unrolled : kernels run their reference, so that every operation has its node
    scope : the innermost `Scope`; what is recorded belongs to it
    phase : "forward", or "backward" for what `create_graph=True` records
    next_number : gives each node its number; under `detect_anomaly` one that knows its line
    check_nan : backward passes look for NaN
    looking : a pass is followed only to look at it (autograd.trace): records hear nothing of it
    keep : None, or called with each new node and its outputs (see viz.values.keep_values). Where it
        is set, what is computed under no_grad knows all its origins (see origins)
    """

    __slots__ = (
        "check_nan", "inside_rule", "keep", "looking", "next_number", "phase", "recording", "run",
        "scope", "unrolled",
    )  # fmt: skip

    def __init__(self) -> None:
        self.recording = True
        self.run = _silent()
        self.inside_rule = False
        self.unrolled = False
        self.scope: Any = None
        self.phase = "forward"
        self.next_number: Callable[[], int] = next_number
        self.check_nan = False
        self.looking = False
        self.keep: Callable[[Any, Any], None] | None = None


class _Threads(threading.local):
    def __init__(self) -> None:
        self.mode = Mode()


threads = _Threads()


class _Setting:
    """A mode setting for a `with` block or a decorated function; it may be entered again."""

    def __init__(self, name: str, value: Any) -> None:
        self._name = name
        self._value = value
        self._before: list[Any] = []

    def __enter__(self) -> None:
        mode = threads.mode
        self._before.append(getattr(mode, self._name))
        setattr(mode, self._name, self._value)

    def __exit__(self, *error: object) -> None:
        setattr(threads.mode, self._name, self._before.pop())

    def __call__(self, function: _F) -> _F:
        name, value = self._name, self._value
        if inspect.isgeneratorfunction(function):
            return _generator(function, name, value)

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with _Setting(name, value):
                return function(*args, **kwargs)

        return wrapped  # type: ignore[return-value]


def _generator(function: _F, name: str, value: Any) -> _F:
    """A generator function whose body runs in a setting; who takes its values does not."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        with _Setting(name, value):
            body = function(*args, **kwargs)
        step: Callable[[], Any] = functools.partial(next, body)
        try:
            while True:
                with _Setting(name, value):
                    item = step()
                try:
                    answer = yield item
                except GeneratorExit:
                    with _Setting(name, value):
                        body.close()
                    raise
                except BaseException as error:
                    step = functools.partial(body.throw, error)
                else:
                    step = functools.partial(body.send, answer)
        except StopIteration as end:
            return end.value

    return wrapped  # type: ignore[return-value]


class _Bare(_Setting):
    """A setting that may also decorate a function without brackets."""

    def __new__(cls, argument: Any = None) -> Any:
        return cls()(argument) if callable(argument) else super().__new__(cls)


class no_grad(_Bare):
    """Record nothing: `with no_grad(): ...` or `@no_grad()`. Results do not require grad."""

    def __init__(self) -> None:
        super().__init__("recording", False)


class enable_grad(_Bare):
    """Record again inside a `no_grad` block."""

    def __init__(self) -> None:
        super().__init__("recording", True)


class inference_mode(_Bare):
    """`no_grad` under the name that torch gives its stricter form; results here stay ordinary."""

    def __init__(self, mode: bool = True) -> None:
        super().__init__("recording", not mode)


class set_grad_enabled(_Setting):
    """Record or not, from now on or, as a `with` block, until its end."""

    def __init__(self, mode: bool) -> None:
        if not isinstance(mode, bool):
            raise TypeError(f"set_grad_enabled: expected a bool, got {type(mode).__name__}")
        super().__init__("recording", mode)
        self._at_once = threads.mode.recording
        threads.mode.recording = mode

    def __enter__(self) -> None:
        self._before.append(self._at_once)
        threads.mode.recording = self._value

    def __call__(self, function: _F) -> _F:
        threads.mode.recording = self._at_once  # it decorates: nothing changes now
        return super().__call__(function)


class unrolled(_Setting):
    """Run every kernel as its reference: one node for each operation of each gate of each step.

    The numbers are the same to rounding and the time is many times longer; it is for looking.
    """

    def __init__(self) -> None:
        super().__init__("unrolled", True)


def is_grad_enabled() -> bool:
    """Whether operations are being recorded in this thread."""
    return threads.mode.recording
