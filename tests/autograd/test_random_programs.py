"""Random programs of up to 30 lines: never another number than torch's, and refused where it does.

After each line all that it made or may have changed agrees: values, types, shapes, the order in
memory, and whether it is in the graph; at the end the gradients do. Where torch raises, tinytensor
raises; where only tinytensor does, `ALLOWED` says why it may. A program that differs is cut down to
the lines that matter before it is shown.
"""

import re
from collections import Counter
from collections.abc import Iterable
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pytest

import tinytensor as tt
from tests.autograd.program_lines import TEMPLATES
from tests.autograd.programs import Run, program
from tests.autograd.side_by_side import torch
from tinytensor.autograd import walk
from tinytensor.autograd.primitive import PRIMITIVES

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # torch's; ours and NumPy's are not

SHORT = 400
LONG = 20_000
SHARE = 50  # programs of one test


class Allowed(NamedTuple):
    """A rule that keeps a value which torch's does not, so that a change of it in place is an error
    here and not there.

    op : the operation that the error names
    line : what a line of the program must match
    why : what torch does instead
    """

    op: str
    line: str
    why: str


ALLOWED = {
    "number / x": Allowed("div", r"\d / ", "torch takes 1 / x, keeps that, and multiplies it"),
    "matmul": Allowed("matmul", r" @ |tensordot", "torch multiplies copies of what lies askew"),
    "kron": Allowed("mul", r"lib\.kron", "torch does not follow the versions of the factors"),
}

_CHANGED = re.compile(r"backward: (\w+)\b.* needs for its gradient .*modified by an inplace")


class Difference(NamedTuple):
    """What is wrong with a program: at which line, and how."""

    line: int
    what: str


class Outcome(NamedTuple):
    """How a program went: a difference or None; the rule of ALLOWED that ended it, or None; and
    how many backward passes both libraries did.
    """

    difference: Difference | None
    allowed: str | None
    passes: int


# -- comparing


def looks(t: Any) -> Any:
    """The type, shape, steps in memory and flags of a tensor. A stale view refuses to tell."""
    shape = tuple(t.shape)
    steps = tuple(step for size, step in zip(shape, t.stride(), strict=True) if size > 1)
    kind = str(t.dtype).split(".")[1]
    if 0 in shape:
        steps = ()
    try:
        return kind, shape, steps, t.requires_grad, t.is_leaf
    except RuntimeError:
        return kind, shape, steps, "refused"


def near(ours: Any, theirs: Any, rounding: float) -> bool:
    """Whether two arrays agree to rounding, on the scale of the largest element.

    Programs make no NaN. Some of torch's derivatives of higher order are NaN all the same, where
    ours are numbers; these are passed over.
    """
    if np.array_equal(ours, theirs):
        return True
    if theirs.dtype.kind != "f" or ours.shape != theirs.shape:
        return False
    known = ~np.isnan(theirs)
    ours, theirs = ours[known], theirs[known]
    finite = np.abs(theirs[np.isfinite(theirs)])
    scale = max(1.0, finite.max()) if finite.size else 1.0
    return np.allclose(ours, theirs, rtol=0, atol=rounding * scale)


def parts(value: Any) -> list[Any]:
    """The tensors of a variable: of `gs` several, or None in their place."""
    return list(value) if isinstance(value, tuple | list) else [value]


def compare(name: str, ours: Any, theirs: Any, rounding: float) -> str | None:
    """What is wrong with a variable, or None."""
    for a, b in zip(parts(ours), parts(theirs), strict=True):
        if not isinstance(a, tt.Tensor) or not isinstance(b, torch.Tensor):
            if a is not b:
                return f"{name} is {a} in tinytensor, {b} in torch"
            continue
        if name != "gs" and looks(a) != looks(b):
            return f"{name} is {looks(a)} in tinytensor, {looks(b)} in torch"
        if not near(a.data.numpy(), b.data.numpy(), rounding):
            return f"{name} is\n{a.data.numpy()} in tinytensor,\n{b.data.numpy()} in torch"
    return None


def compare_gradients(ours: Run, theirs: Run, rounding: float) -> str | None:
    """What is wrong with the gradients of leaves, and of what called `retain_grad`, or None."""
    for name, tensor in theirs.tensors().items():
        if looks(tensor)[-1] != "refused" and (tensor.is_leaf or tensor.retains_grad):
            a, b = ours.names[name].grad, tensor.grad
            if (a is None) != (b is None):
                return f"{name}.grad is {a} in tinytensor, {b} in torch"
            if a is not None and not near(a.data.numpy(), b.data.numpy(), rounding):
                return f"{name}.grad is\n{a} in tinytensor,\n{b} in torch"
    return None


def allowed(error: str, lines: list[str]) -> str | None:
    """The rule of ALLOWED that an error of tinytensor's comes under, or None."""
    changed = _CHANGED.match(error)
    for name, rule in ALLOWED.items():
        if changed and changed[1] == rule.op and any(re.search(rule.line, t) for t in lines):
            return name
    return None


_MAKES = re.compile(r"(?:with lib\.no_grad\(\): )?(v\d+)(?:, (w\d+))? = (?!.*_\()")


def run(lines: list[str]) -> Outcome:
    """Run a program in both libraries."""
    ours, theirs = Run(tt), Run(torch)
    passes = 0
    rounding = 1e-9
    for number, text in enumerate(lines):
        expected, found = theirs.line(text), ours.line(text)
        goes_back = "backward(" in text or "autograd.grad(" in text
        if (expected is None) != (found is None):
            rule = allowed(ours.error, lines) if expected is None and goes_back else None
            if rule is not None:
                return Outcome(None, rule, passes)
            said = f" ({ours.error})" if found is not None else f" ({theirs.error})"
            what = f"torch gave {expected}, tinytensor {found}{said}"
            return Outcome(Difference(number, what), None, passes)
        if goes_back and found is not None:
            break  # torch has done a part of the pass
        passes += goes_back
        makes = _MAKES.match(text)
        names = list(filter(None, makes.groups())) if makes else list(theirs.names)
        for name in names if found is None else ():
            if name[:2] in ("__", "li"):
                continue
            if getattr(theirs.names[name], "dtype", None) == torch.float32:
                rounding = 1e-4
            if "autograd.grad(" in text and name != "gs":
                a, b = ours.names[name], theirs.names[name]
                if looks(a)[:3] == looks(b)[:3] and looks(a)[3:] != looks(b)[3:]:
                    if not b.data.any() and not a.data.any():
                        return Outcome(None, None, passes)  # 0: a constant, recorded or not
            wrong = compare(name, ours.names[name], theirs.names[name], rounding)
            if wrong is not None:
                return Outcome(Difference(number, wrong), None, passes)
        wrong = compare_gradients(ours, theirs, rounding) if goes_back or ".grad" in text else None
        if wrong is not None:
            return Outcome(Difference(number, wrong), None, passes)
    return Outcome(None, None, passes)


# -- showing


def shrunk(lines: list[str]) -> list[str]:
    """The program without the lines that do not matter: without one more it would not differ."""
    step = len(lines) // 2
    while step:
        before = len(lines)
        start = 0
        while start < len(lines):
            fewer = lines[:start] + lines[start + step :]
            if _differs(fewer):
                lines = fewer
            else:
                start += step
        if step > 1 or len(lines) == before:
            step //= 2
    return lines


def _differs(lines: list[str]) -> bool:
    try:
        return run(lines).difference is not None
    except (NameError, KeyError, AttributeError):  # of a variable whose line is gone
        return False


def listing(seed: int, lines: list[str]) -> str:
    """A program that differs, cut down, with what is wrong under the line where it is."""
    lines = shrunk(lines)
    difference = run(lines).difference
    assert difference is not None
    return "\n".join([f"seed {seed}:", *lines[: difference.line + 1], difference.what])


class Tally:
    """What a number of programs came to.

    found : the listings of those that differ
    allowed : how often each rule of ALLOWED ended one
    used : how often each template was
    passes : how many backward passes were compared
    """

    def __init__(self, seeds: Iterable[int]) -> None:
        self.found: list[str] = []
        self.allowed: Counter[str] = Counter()
        self.used: Counter[str] = Counter()
        self.passes = 0
        for seed in seeds:
            written = program(seed)
            outcome = run(written.lines)
            self.passes += outcome.passes
            self.used.update(written.templates)
            if outcome.allowed is not None:
                self.allowed[outcome.allowed] += 1
            if outcome.difference is not None:
                self.found.append(listing(seed, written.lines))


# -- the tests


@pytest.mark.parametrize("first", range(0, SHORT, SHARE))
def test_random_programs_give_the_numbers_and_the_refusals_of_torch(first: int) -> None:
    tally = Tally(range(first, first + SHARE))
    assert not tally.found, "\n\n".join(tally.found)
    assert tally.passes > SHARE  # or little was compared


@pytest.mark.long
def test_twenty_thousand_random_programs() -> None:
    tally = Tally(range(LONG))
    print(f"{tally.passes} backward passes; allowed: {dict(tally.allowed)}")
    assert not tally.found, "\n\n".join(tally.found)
    unused = TEMPLATES - set(tally.used)
    assert not unused, f"lines that no program has: {unused}"


@pytest.mark.parametrize(
    ("name", "made", "changed"),
    [
        ("number / x", "v2 = 3 / v0", "with lib.no_grad(): v0.add_(1)"),
        ("matmul", "v2 = v1.T @ v1.T.mT", "v1.mul_(2)"),
        ("kron", "v2 = lib.kron(v1, v1)", "v1.mul_(2)"),
    ],
)
def test_each_allowed_rule_is_met(name: str, made: str, changed: str) -> None:
    lines = [
        "v0 = lib.ones(2, 2, 2, 2, dtype=lib.float64, requires_grad=True)",
        "v1 = v0 * 2",
        made,
        changed,
        "v2.sum().backward()",
    ]
    assert run(lines).allowed == name


def first_difference(limit: int = 200) -> tuple[list[str], Difference]:
    """The first program that differs, and how."""
    for seed in range(limit):
        lines = program(seed).lines
        difference = run(lines).difference
        if difference is not None:
            return lines, difference
    raise AssertionError(f"none of {limit} programs differs")


@pytest.mark.parametrize("name", ["mul", "reshape", "copy_slices", "index_put", "cumsum", "sin"])
def test_a_rule_that_is_off_by_a_millionth_is_found(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    op = PRIMITIVES[name]
    numbers = range(len(op.rules))
    for wanted in [c for n in numbers for c in combinations(numbers, n + 1)]:
        plan = op.plan(wanted)
        off = [(i, lambda g, kept, rule=rule: rule(g, kept) * 1.000001) for i, rule in plan.rules]
        monkeypatch.setattr(plan, "rules", tuple(off))
    lines, _ = first_difference()
    assert len(shrunk(lines)) < len(lines)


def test_a_change_in_place_that_goes_unnoticed_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "check_changed", lambda node, create_graph: None)
    _, difference = first_difference()
    assert "torch gave RuntimeError, tinytensor None" in difference.what


def test_a_program_that_differs_is_cut_down_to_the_lines_that_matter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = PRIMITIVES["sin"].plan((0,))
    monkeypatch.setattr(plan, "rules", ((0, lambda g, kept: g),))
    lines = [
        "v0 = lib.tensor([0.5, 0.7], dtype=lib.float64, requires_grad=True)",
        "v1 = v0.exp()",
        "v2 = v0[1:].sin()",
        "v1 += 2",
        "loss = lib.zeros((), dtype=lib.float64)",
        "loss = loss + v1.sum()",
        "loss = loss + v2.sum()",
        "loss.backward()",
    ]
    shown = listing(7, lines).splitlines()
    kept = [lines[0], lines[2], lines[4], lines[6], lines[7]]
    assert shown[:6] == ["seed 7:", *kept]
    assert shown[6] == "v0.grad is"


def test_a_seed_gives_the_same_program_each_time() -> None:
    program.cache_clear()
    first = program(3)
    program.cache_clear()
    assert program(3) == first
