"""A model given in a file of Python, which is run."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from ..nn.module import Module
from ..random import manual_seed
from ..tensor import Tensor
from .errors import CommandError
from .subject import Subject

# Under which the file runs: not "__main__", so that what stands below that name is left alone.
_MODULE = "tinytensor_model"

_PACKAGE = str(Path(__file__).parents[1])

_EXPECTED = "define `model`, a Module, and `loss()`, a function that returns a Tensor"


def from_file(name: str, seed: int) -> Subject:
    """Run a file from a seed; its `model`, its `loss` and, if there are any, its `inputs`.

    Raises CommandError, after a traceback of the user's own lines, if it fails.
    """
    path = Path(name)
    try:
        source = path.read_bytes()
    except OSError as error:
        raise CommandError(
            f"--file: expected a file of Python, got {name!r}: {error.strerror}; correct the path"
        ) from error
    module = ModuleType(_MODULE)
    module.__file__ = str(path)
    manual_seed(seed)
    sys.modules[_MODULE] = module
    sys.path.insert(0, str(path.resolve().parent))  # as for `python model.py`
    with _told(path, "the file"):
        exec(compile(source, str(path), "exec"), module.__dict__)
    return _subject(path, module)


def _subject(path: Path, module: ModuleType) -> Subject:
    defined: dict[str, Any] = module.__dict__
    missing = [name for name in ("model", "loss") if name not in defined]
    if missing:
        raise CommandError(f"--file: expected {path} to {_EXPECTED}, got no {missing[0]!r} in it")
    model, loss, inputs = defined["model"], defined["loss"], defined.get("inputs", {})
    if not isinstance(model, Module):
        raise CommandError(
            f"--file: expected `model` in {path} to be a Module, got {type(model).__name__}"
        )
    if not callable(loss):
        raise CommandError(
            f"--file: expected `loss` in {path} to be a function without arguments, got "
            f"{type(loss).__name__}; write def loss(): return ..."
        )
    if not isinstance(inputs, dict):
        raise CommandError(
            f"--file: expected `inputs` in {path} to be a dict such as {{'x': x}}, got "
            f"{type(inputs).__name__}; rename it or write such a dict"
        )

    def checked_loss() -> Tensor:
        with _told(path, "loss()"):
            value = loss()
        return _checked(value, path)

    return Subject(model, checked_loss, f"{type(model).__name__} of {path.name}", inputs)


def _checked(value: Any, path: Path) -> Tensor:
    """A loss that can be differentiated."""
    if not isinstance(value, Tensor):
        got = type(value).__name__
        cure = "return it" if value is None else "return a Tensor"
    elif value.numel() != 1:
        got = f"one of shape {tuple(value.shape)}"
        cure = "add .mean() or .sum()"
    elif not value.requires_grad:
        got = "one that requires no grad"
        cure = "compute it from `model`, without no_grad or detach"
    else:
        return value
    raise CommandError(
        f"--file: expected loss() in {path} to return a Tensor of one number in the graph, got "
        f"{got}; {cure}"
    )


@contextmanager
def _told(path: Path, what: str) -> Iterator[None]:
    """What goes wrong in the user's code is shown by its own lines."""
    try:
        yield
    except SystemExit as error:
        raise CommandError(
            f"--file: expected {what} in {path} to run to its end, got an exit ({error}); put what "
            'should not run here below if __name__ == "__main__":'
        ) from error
    except Exception as error:
        sys.stderr.writelines(_own_lines(error))
        raise CommandError(
            f"--file: expected {what} in {path} to run, got the {type(error).__name__} above; "
            "correct it there"
        ) from error


def _own_lines(error: Exception) -> Iterator[str]:
    """The traceback without the lines of this package."""
    told = traceback.TracebackException.from_exception(error)
    own = [line for line in told.stack if not line.filename.startswith(_PACKAGE)]
    told.stack = traceback.StackSummary.from_list(own)
    return told.format()
