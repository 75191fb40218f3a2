"""The layout engine: Graphviz's `dot`, or `graphviz-pure`, which installs with pip.

The order: the program that TINYTENSOR_DOT names (and then no other), `dot` on the PATH,
`graphviz-pure` on the PATH, `graphviz-pure` beside the Python that runs.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import graphviz
from graphviz.backend import dot_command

VARIABLE = "TINYTENSOR_DOT"

_PURE = "graphviz-pure"
_NOT_IN_PURE = ("pdf", "ps", "ps2", "eps")
_CURE = "install Graphviz, or `pip install graphviz-pure`"


class LayoutError(RuntimeError):
    """A picture can't be laid out: there is no engine, or it failed."""


def find() -> Path:
    """The layout engine to use. Raises LayoutError if there is none."""
    named = os.environ.get(VARIABLE)
    if named:
        found = shutil.which(named)
        if found is None:
            raise LayoutError(
                f"render: expected {VARIABLE} to name a layout engine, got {named!r}, which is no "
                f"program; correct it, or unset it and {_CURE}"
            )
        return Path(found)
    beside = str(Path(sys.executable).parent) if sys.executable else ""
    found = shutil.which("dot") or shutil.which(_PURE) or shutil.which(_PURE, path=beside)
    if found is None:
        raise LayoutError(
            "render: expected Graphviz's `dot` or `graphviz-pure`, found neither on the PATH nor "
            f"beside {Path(sys.executable).name}; {_CURE}"
        )
    return Path(found)


def lay_out(source: str, format: str, algorithm: str = "dot", **options: Any) -> bytes:
    """The picture of a DOT text in a format ("svg", "png", ...).

    algorithm : "dot", "neato", ...; options : as for `graphviz.pipe`
    What the engine remarks on its way is shown only if it fails, or with quiet=False. Raises
    LayoutError if there is no engine, it can't do the format, or it fails.
    """
    program = find()
    if program.stem == _PURE and format.lower() in _NOT_IN_PURE:
        raise LayoutError(
            f"render: {format} needs a system `dot`, got {_PURE}, which can't write it; install "
            "Graphviz, or render to svg"
        )
    options.setdefault("quiet", True)
    try:
        with _used_by_graphviz(program):
            picture = graphviz.pipe(algorithm, format, source.encode(), **options)
    except graphviz.CalledProcessError as error:
        said = (error.stderr or b"").decode(errors="replace").strip()
        raise LayoutError(
            f"render: {program.name} failed with status {error.returncode}: {said or 'no message'}"
        ) from error
    except (graphviz.ExecutableNotFound, OSError) as error:
        raise LayoutError(f"render: {program} can't be run ({error}); {_CURE}") from error
    if not picture:
        raise LayoutError(f"render: {program.name} gave an empty {format}; {_CURE}")
    return bytes(picture)


_swap = threading.Lock()


@contextmanager
def _used_by_graphviz(program: Path) -> Iterator[None]:
    """Have the graphviz package call `program` for as long as this lasts.

    The package has no setting for it but this name in one of its modules, which it reads at each
    call; other drawings in the same process must find it as it was.
    """
    with _swap:
        before = dot_command.DOT_BINARY
        dot_command.DOT_BINARY = program
        try:
            yield
        finally:
            dot_command.DOT_BINARY = before
