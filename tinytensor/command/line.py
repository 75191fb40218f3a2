"""A model given in a line: `--lstm 3,4 --layers 2 --steps 4`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .. import nn
from ..ops.sample import randn
from ..random import manual_seed
from ..tensor import Tensor
from .subject import Subject

_KINDS = ("lstm", "gru", "rnn")


@dataclass(frozen=True)
class Line:
    """What the line says, with what it leaves out."""

    kind: str
    sizes: tuple[int, int]
    layers: int
    bidirectional: bool
    steps: int
    batch: int
    outputs: int
    last: bool


class _Assembled:
    """A recurrent layer and its readout, of our own modules or of torch's: the names are the same.

    x (T, N, I) -> (T, N, outputs), or (N, outputs) of the last step
    """

    readout: Any

    def assemble(self, modules: Any, line: Line) -> None:
        layer = getattr(modules, line.kind.upper())
        inputs, hidden = line.sizes
        # by its kind, as it shows in every picture
        setattr(
            self,
            line.kind,
            layer(inputs, hidden, line.layers, bidirectional=line.bidirectional),
        )
        directions = 2 if line.bidirectional else 1
        self.readout = modules.Linear(directions * hidden, line.outputs)
        self._line = line

    def forward(self, x: Any) -> Any:
        output, _ = getattr(self, self._line.kind)(x)
        return self.readout(output[-1] if self._line.last else output)


class Model(_Assembled, nn.Module):
    """The model of a line."""

    def __init__(self, line: Line) -> None:
        super().__init__()
        self.assemble(nn, line)


def from_line(options: argparse.Namespace) -> Subject:
    """The model that the options describe, with x and target drawn after the weights."""
    line = _read(options)
    manual_seed(options.seed)
    model = Model(line)
    x = randn(line.steps, line.batch, line.sizes[0])
    steps = () if line.last else (line.steps,)
    target = randn(*steps, line.batch, line.outputs)

    def loss() -> Tensor:
        return nn.functional.mse_loss(model(x), target)

    return Subject(model, loss, _name(line), {"x": x}, _comparison(line, model, x, target))


def _read(options: argparse.Namespace) -> Line:
    given = [kind for kind in _KINDS if getattr(options, kind) is not None]
    kind = given[0] if given else "lstm"
    return Line(
        kind=kind,
        sizes=getattr(options, kind) or (3, 4),
        layers=options.layers or 1,
        bidirectional=bool(options.bidirectional),
        steps=options.steps or options.default_steps,
        batch=options.batch or 1,
        outputs=options.outputs or 1,
        last=bool(options.last),
    )


def _name(line: Line) -> str:
    parts = [f"{line.kind.upper()}({line.sizes[0]}, {line.sizes[1]})"]
    if line.layers > 1:
        parts.append(f"{line.layers} layers")
    if line.bidirectional:
        parts.append("both directions")
    parts.append("1 step" if line.steps == 1 else f"{line.steps:,} steps")
    if line.batch > 1:
        parts.append(f"{line.batch:,} sequences")
    if line.last:
        parts.append("loss at the last step")
    return ", ".join(parts)


def _comparison(line: Line, model: Model, x: Tensor, target: Tensor) -> Callable[[], Any]:
    def against_torch() -> Any:
        """A `Comparison`; it raises ImportError without torch."""
        import torch

        from ..autograd import check_against

        twin: Any = type("Model", (_Assembled, torch.nn.Module), {})()
        twin.assemble(torch.nn, line)
        twin.to(torch.from_numpy(x.numpy()).dtype)
        goal = torch.from_numpy(target.numpy())
        losses = (
            lambda y: torch.nn.functional.mse_loss(y, goal),
            lambda y: nn.functional.mse_loss(y, target),
        )
        return check_against(twin, model, x, loss=losses)

    return against_torch
