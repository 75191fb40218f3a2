"""Random programs with views, writes and reuse: never another number than torch's.

A program is a list of lines, each run in torch and in tinytensor with `lib` standing for the one
or the other. Where torch raises tinytensor raises, and after every line all values agree; at the
end the gradients do. A failure prints the seed and the program.
"""

import random
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinytensor as tt
from tests.autograd.side_by_side import torch

PROGRAMS = 300
LINES = 15
SHAPES = ["(3,)", "(2, 3)", "(1, 3)", "()", "(3, 2)", "(2, 2, 3)"]

FUNCTIONS = ["{x}.tanh()", "{x}.sin()", "{x} * 0.5", "-{x}", "{x} * {x}", "{x}.sigmoid()",
    "{x}.clone()", "{x}.detach()", "{x}.abs()", "{x}.exp() / 4", "{x}.sum()", "{x}.mean(0)",
    "{x}.sum(-1, keepdim=True)", "{x}.to(lib.float64)", "{x}.relu()", "lib.cat([{x}, {x}])",
    "{x} + {y}", "{x} * {y}", "{x} - {y}", "{x} / (2 + {y} * {y})", "lib.stack([{x}, {y}])",
    "lib.where({x} > 0.1, {x}, {y})", "lib.maximum({x}, {y})", "{x}.t() @ {y}.t()",
    "{x}.unbind()[1] * 2", "{x}.split(1)[0] + {y}"]  # fmt: skip
VIEWS = ["{x}[0]", "{x}[-1]", "{x}[1:]", "{x}[..., 0]", "{x}[:, 1]", "{x}[::2]", "{x}[None]",
    "{x}.t()", "{x}.transpose(0, -1)", "{x}.reshape(-1)", "{x}.view(-1)", "{x}.unsqueeze(0)",
    "{x}.squeeze()", "{x}.expand(2, *{x}.shape)", 
    "{x}.flatten()", "{x}[...]", "{x}.view_as({x})", "{x}.permute(*range({x}.ndim)[::-1])",
    "{x}.contiguous()", "{x}[lib.tensor([0, 1, 0])]", "{x}[{x} > 0]", "{x}.detach()"]  # fmt: skip
WRITES = ["{x}.mul_(1.5)", "{x}.add_({y})", "{x}.mul_({y})", "{x}.sub_({y})", "{x}.zero_()",
    "{x}.fill_(0.3)", "{x}.copy_({y})", "{x}[...] = {y}", "{x}[0] = {y}", "{x}[0] = 0.7",
    "{x}[1:] = {y}", "{x}[..., 1] = 0.2", "{x}[{x} > 0] = 0.4", "{x}[lib.tensor([1, 0])] = 0.6",
    "{x}[lib.tensor([0])] = {y}", "{x} += {y}", "{x} *= 0.8", "{x} -= 0.1", "{x}.tanh_()",
    "{x}.sigmoid_()", "{x}.neg_()", "{x}.clamp_(-0.5, 0.5)", "{x}.div_(2 + {y} * {y})",
    "{x}.data.mul_(1.1)", "{x}[0] += {y}", "{x}[..., 0] *= {y}", "{x}.exp_()", "{x}.relu_()",
    "{x}.add_({x})", "{x}.mul_({x})", "{x}.detach().mul_(0.9)"]  # fmt: skip


class Run:
    """A program under way in one library: its variables by name."""

    def __init__(self, lib: ModuleType) -> None:
        self.names: dict[str, Any] = {"lib": lib}

    def line(self, text: str) -> str | None:
        """Run a line; the name of the kind of error, or None."""
        try:
            exec(text, self.names)
        except (RuntimeError, IndexError, ValueError, TypeError) as error:
            if "single memory location" in str(error):
                return "overlap"
            return "RuntimeError" if isinstance(error, RuntimeError) else type(error).__name__
        return None

    def tensors(self) -> dict[str, Any]:
        return {name: v for name, v in self.names.items() if name[0] == "v"}


def state(run: Run) -> dict[str, Any]:
    """The shape and the flags of every variable. A stale view may refuse to tell."""
    found: dict[str, Any] = {}
    for name, v in run.tensors().items():
        try:
            found[name] = tuple(v.shape), v.requires_grad, v.is_leaf
        except RuntimeError:
            found[name] = tuple(v.shape), "refused"
    return found


def values(run: Run) -> list[Any]:
    found = []
    for v in run.tensors().values():
        try:
            found.append(v.data.numpy())
        except RuntimeError:
            found.append(None)
    return found


def new_line(rng: random.Random, run: Run, number: int) -> str:
    """A line in terms of the variables that there are."""
    names = list(run.tensors())
    choice = rng.random()
    if len(names) < 2 or choice < 0.08:
        shape = rng.choice(SHAPES)
        count = f"lib.arange({int(np.prod(eval(shape)))}, dtype=lib.float64)"
        wish = ".requires_grad_()" if rng.random() < 0.7 else ""
        return f"v{number} = ({count}.reshape({shape}) * 0.37 - {rng.random():.1f}){wish}"
    x = rng.choice(names[-4:] if rng.random() < 0.7 else names)
    y = rng.choice(names)
    if choice < 0.35:
        text = f"v{number} = " + rng.choice(FUNCTIONS).format(x=x, y=y)
    elif choice < 0.6:
        return f"v{number} = " + rng.choice(VIEWS).format(x=x, y=y)
    elif 0 in run.names[x].stride():
        return f"v{number} = {x}.clone()"
    else:
        text = rng.choice(WRITES).format(x=x, y=y)
    return f"with lib.no_grad(): {text}" if rng.random() < 0.1 else text


def ends(rng: random.Random, run: Run) -> list[str]:
    """The last lines: a loss over what is in the graph, and its gradients, at times twice."""
    inner = [n for n, s in state(run).items() if s[1] is True]
    if not inner:
        return []
    loss = " + ".join(f"({n} * {rng.randint(1, 5)}).sum()" for n in inner)
    leaves = ", ".join(n for n in inner if state(run)[n][2]) or inner[0]
    lines = [f"loss = {loss}"]
    if rng.random() < 0.4:
        lines += [
            f"gs = lib.autograd.grad(loss, [{leaves}], create_graph=True, allow_unused=True)",
            "g2 = sum((g * g).sum() for g in gs if g is not None)",
            "loss = loss + g2",
        ]
    return [*lines, "loss.backward()"]


def programs(seed: int) -> tuple[list[str], str | None]:
    """Run one program in both libraries; its lines, and what is wrong, if anything is."""
    rng = random.Random(seed)
    theirs, ours = Run(torch), Run(tt)
    lines: list[str] = []
    pending: list[str] | None = None
    while pending != []:
        if pending is None and len(lines) == LINES:
            pending = ends(rng, theirs)
            continue
        text = new_line(rng, theirs, len(lines)) if pending is None else pending.pop(0)
        expected = theirs.line(text)
        if expected in ("IndexError", "TypeError", "ValueError", "overlap") or (
            expected is not None and pending is None and rng.random() < 0.7
        ):
            continue  # mostly shapes that do not fit: not what this is about
        lines.append(text if expected is None else f"{text}  # torch: {expected}")
        found = ours.line(text)
        if found != expected:
            return lines, f"torch gave {expected}, tinytensor {found}"
        if expected is not None and pending is not None:
            return lines, None
        if state(theirs) != state(ours):
            return lines, f"torch: {state(theirs)}\ntinytensor: {state(ours)}"
        for a, b in zip(values(theirs), values(ours), strict=True):
            if a is not None and not np.allclose(a, b, rtol=1e-9, atol=1e-12, equal_nan=True):
                return lines, f"torch: {a}\ntinytensor: {b}"
    for name, v in theirs.tensors().items():
        if not v.is_leaf:
            continue
        a, b = v.grad, ours.names[name].grad
        if (a is None) != (b is None):
            return lines, f"{name}.grad in torch: {a}\nin tinytensor: {b}"
        if a is not None and not np.allclose(
            a.detach().numpy(), b.detach().numpy(), rtol=1e-8, atol=1e-10, equal_nan=True
        ):
            return lines, f"{name}.grad in torch: {a}\nin tinytensor: {b}"
    return lines, None


@pytest.mark.filterwarnings("ignore:Using backward.. with create_graph=True")
@pytest.mark.parametrize("seed", range(PROGRAMS))
def test_a_random_program_gives_the_numbers_of_torch(seed: int) -> None:
    lines, wrong = programs(seed)
    assert wrong is None, "\n".join([f"seed {seed}", *lines, wrong or ""])
