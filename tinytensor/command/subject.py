"""What a command works on: a model and its loss, wherever they come from."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..nn.module import Module
from ..tensor import Tensor
from .errors import CommandError

# What describes a model in a line, and says nothing about one in a file.
_OF_A_LINE = ("layers", "bidirectional", "steps", "batch", "outputs", "last")


@dataclass(frozen=True)
class Subject:
    """A model and its loss.

    loss : runs the model and gives a number in the graph
    name : what the model is, in a line
    inputs : names for tensors in a drawing that are no parameters
    against_torch : compares with the same model in torch; None if there is none to compare with
    """

    model: Module
    loss: Callable[[], Tensor]
    name: str
    inputs: Mapping[str, Tensor] = field(default_factory=dict)
    against_torch: Callable[[], Any] | None = None


def subject_of(options: argparse.Namespace) -> Subject:
    """What the options describe. Raises CommandError if they contradict each other."""
    if options.file is None:
        from .line import from_line

        return from_line(options)
    extra = [f"--{name}" for name in _OF_A_LINE if getattr(options, name) is not None]
    if extra:
        raise CommandError(
            f"expected --file alone to say what the model is, got {', '.join(extra)} as well; "
            "change the file instead"
        )
    from .file import from_file

    return from_file(options.file, options.seed)
