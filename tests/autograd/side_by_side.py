"""One program, run in torch and in tinytensor: the same numbers, or refused by both."""

import inspect
import math
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

import tinytensor as tt

torch = pytest.importorskip("torch")

Program = Callable[[ModuleType], Any]


def in_torch(program: Program) -> Any:
    """What a program gives in torch, without its advice against backward(create_graph=True)."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Using backward.. with create_graph=True")
        return program(torch)


def plain(result: Any) -> Any:
    """A result as Python data: of a tensor its type, shape and numbers."""
    if isinstance(result, tt.Tensor | torch.Tensor):
        numbers = result.detach().reshape(-1).tolist()
        return [str(result.dtype).split(".")[1], tuple(result.shape), numbers]
    if isinstance(result, tuple | list):
        return [plain(part) for part in result]
    return result


def equal(ours: Any, theirs: Any) -> bool:
    """Whether two results are the same but for the rounding of floats."""
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        return all(map(equal, ours, theirs))
    if isinstance(ours, float) and isinstance(theirs, float):
        both_nan = math.isnan(ours) and math.isnan(theirs)
        return both_nan or math.isclose(ours, theirs, rel_tol=2e-6, abs_tol=1e-9)
    return type(ours) is type(theirs) and ours == theirs


def gives_the_same(program: Program) -> Callable[[], None]:
    """The test that a program runs in both libraries and gives the same numbers."""

    def test() -> None:
        theirs = plain(in_torch(program))
        ours = plain(program(tt))
        assert equal(ours, theirs), f"tinytensor: {ours}\ntorch: {theirs}"

    return _named(test, program)


def refused(
    kind: Any = RuntimeError, match: str | None = None
) -> Callable[[Program], Callable[[], None]]:
    """The test that both libraries raise, with the same kind of error; ours with a message."""

    def decorate(program: Program) -> Callable[[], None]:
        def test() -> None:
            with pytest.raises(kind):
                in_torch(program)
            with pytest.raises(kind, match=match):
                program(tt)

        return _named(test, program)

    return decorate


def _named(test: Callable[[], None], program: Program) -> Callable[[], None]:
    """A test that pytest knows under the program's name; it has no parameter."""
    test.__name__ = program.__name__
    test.__doc__ = program.__doc__
    test.__module__ = program.__module__
    test.__signature__ = inspect.Signature()  # type: ignore[attr-defined]
    return test
