"""Whether the tests would notice a mistake in a derivative rule.

    python -m tests.mutation.rules                    all operations
    python -m tests.mutation.rules tanh matmul        some
    python -m tests.mutation.rules --jobs 2           in so many processes at once

Each mistake of `mutator` is planted in one rule of an operation, or in a helper that only rules
call, and the operation's rows of `tests/ops/table.py` are run: first and second derivatives against
torch's. A mistake that a failure, an error or a time-out betrays is killed. One that survives is
either the same function (then it stands in `equivalent.py`, with the reason) or a gap in the table.

Ends with 1 if less than 95 % were killed, if an operation that has rules has no mutant, or if
`equivalent.py` names a mistake that no longer survives.
"""

from __future__ import annotations

import argparse
import importlib
import multiprocessing
import os
import pkgutil
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

import pytest

import tinytensor as tt
from tests.mutation.equivalent import EQUIVALENT
from tests.mutation.mutator import Mutant, mutants, planted
from tinytensor.autograd.kernel import Kernel
from tinytensor.autograd.primitive import PRIMITIVES
from tinytensor.nn.layers_kernel import Recurrence

ENOUGH = 0.95

os.environ.setdefault("TINYTENSOR_KERNELS", "numpy")  # mistakes are planted in Python only

Check = Callable[[], None]


class Outcome(NamedTuple):
    """What became of one mutant.

    where : the function that it is a mutant of
    end : "wrong", "error" or "time" if killed, else "equivalent" or "survived"
    """

    where: str
    file: str
    kind: str
    line: int
    before: str
    after: str
    end: str


class Report(NamedTuple):
    """What became of an operation's mutants.

    stale : excuses in `equivalent.py` for mutants that do not survive
    fails : what a row says that fails without any mistake
    """

    name: str
    outcomes: list[Outcome]
    stale: list[str]
    seconds: float
    fails: str = ""

    def count(self, *ends: str) -> int:
        return sum(outcome.end in ends for outcome in self.outcomes)


# -- what can be mutated


def operations() -> list[str]:
    """Every primitive that has a rule, and every kernel."""
    for module in pkgutil.walk_packages(tt.__path__, "tinytensor."):
        importlib.import_module(module.name)
    with_rules = [name for name, op in PRIMITIVES.items() if any(op.rules)]
    return [*with_rules, *kernels()]


def kernels() -> dict[str, Kernel]:
    modules = [module for name, module in sys.modules.items() if name.startswith("tinytensor.")]
    found = [value for module in modules for value in vars(module).values()]
    return {value.name: value for value in found if isinstance(value, Kernel)}


def functions_of(name: str) -> dict[str, FunctionType]:
    """The rules of an operation, and the helpers that nothing but rules call, by their names."""
    found: dict[str, FunctionType] = {}
    if name in PRIMITIVES:
        op = PRIMITIVES[name]
        forward = [op.forward for op in PRIMITIVES.values()]
        for argument, rule in zip(op.names, op.rules, strict=False):
            if rule is not None:
                label = rule.__name__ if rule.__name__ != "<lambda>" else f"{name}.{argument}"
                found[label] = rule
    else:
        forward = [kernels()[name].forward]
        backward = kernels()[name].backward
        found[backward.__name__] = backward
        forward += held_by(forward[0], "forward")
        found.update((f.__name__, f) for f in held_by(backward, "backward"))
    for helper in reached(found.values()) - reached(forward):
        found[helper.__name__] = helper
    return dict(sorted(found.items()))


def held_by(function: FunctionType, part: str) -> list[FunctionType]:
    """The functions for a part, "forward" or "backward", of what a sequence kernel is made of."""
    cells = function.__closure__ or ()
    kinds = [cell.cell_contents for cell in cells if isinstance(cell.cell_contents, Recurrence)]
    found = [value for kind in kinds for name, value in kind._asdict().items() if part in name]
    plain = [value.func if isinstance(value, partial) else value for value in found]
    arguments = [a for value in found if isinstance(value, partial) for a in value.args]
    plain += [a for a in arguments if isinstance(a, FunctionType)]
    # What runs all layers at once is a module, chosen when a layer is called.
    held = [cell for kind in kinds for cell in kind.all_layers.__closure__ or ()]
    modules = [cell.cell_contents for cell in held if isinstance(cell.cell_contents, ModuleType)]
    plain += [getattr(module, part) for module in modules]
    return [behind for function in plain for behind in (chosen_by(function) or [function])]


def chosen_by(function: FunctionType) -> list[FunctionType]:
    """The functions among which one chooses that was made for it; none if it chooses none."""
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    return [value for value in cells if isinstance(value, FunctionType)]


def reached(functions: Any) -> set[FunctionType]:
    """The package's plain functions that some functions call by name, directly or through others.

    Not the public ones: those are operations or made of operations, with rows of their own.
    """
    found: set[FunctionType] = set()
    stack = list(functions)
    while stack:
        function = stack.pop()
        for called in called_by(function.__code__, function.__globals__):
            if called not in found and not is_public(called):
                found.add(called)
                stack.append(called)
    return found


def called_by(code: CodeType, names: dict[str, Any]) -> Iterator[FunctionType]:
    for name in code.co_names:
        value = names.get(name)
        if isinstance(value, FunctionType) and value.__module__.startswith("tinytensor."):
            yield value
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield from called_by(part, names)


def is_public(function: FunctionType) -> bool:
    name = function.__name__
    operation = name in PRIMITIVES and PRIMITIVES[name].function is function
    homes = (tt, tt.nn.functional, tt.linalg)
    return operation or any(getattr(home, name, None) is function for home in homes)


# -- what must notice


def checks_of(name: str) -> list[Check]:
    """The tests of an operation's rows, those that find most first."""
    if name in PRIMITIVES:
        return row_checks(name)
    kernel_checks = importlib.import_module("tests.mutation.kernels")
    return list(kernel_checks.CHECKS[name])


def row_checks(name: str) -> list[Check]:
    tests = importlib.import_module("tests.ops.test_ops")
    rows = [row for row in tests.ROWS if row.op == name]
    checks: list[Check] = []
    first = tests.test_values_and_first_derivatives_are_those_of_torch
    checks += [bound(first, row) for row in rows]
    second = tests.test_second_derivatives_are_those_of_torch
    checks += [bound(second, row) for row in rows if not row.once]
    checks += [bound(tests.test_float32_gives_float32_gradients, row) for row in rows]
    refused = tests.test_what_torch_refuses_is_refused_with_its_kind_of_error
    checks += [bound(refused, *row) for row in tests.REFUSED if row[0] == name.strip("_")]
    return checks


def bound(test: Callable[..., None], *arguments: Any) -> Check:
    return lambda: test(*arguments)


# -- one mutant after another


class TimeOut(BaseException):
    """A mutant runs for too long. No Exception, so that nothing on the way takes it for its own."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise TimeOut

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def end_of(function: FunctionType, mutant: Mutant, checks: Sequence[Check], limit: float) -> str:
    """How a mutant ends: "survived" if it passes every check."""
    try:
        with time_limit(limit), planted(function, mutant.code):
            for check in checks:
                check()
    except (AssertionError, pytest.fail.Exception):
        return "wrong"
    except Exception:
        return "error"
    except TimeOut:
        return "time"
    return "survived"


def outcomes_of(
    name: str, functions: dict[str, FunctionType], checks: Sequence[Check]
) -> list[Outcome]:
    """Every mutant of an operation. Raises what a check raises if one fails without any mistake."""
    started = time.perf_counter()
    for check in checks:
        check()
    limit = 2 + 10 * (time.perf_counter() - started)
    outcomes = []
    for where, function in functions.items():
        file = Path(function.__code__.co_filename).name
        for mutant in mutants(function):
            end = end_of(function, mutant, checks, limit)
            known = EQUIVALENT.get(where, {})
            keys = excuse_keys(name, mutant.before, mutant.after)
            if end == "survived" and any(key in known for key in keys):
                end = "equivalent"
            outcomes.append(Outcome(where, file, *mutant[:-1], end))
    for check in checks:  # no mutant left a trace in the process
        check()
    return outcomes


def excuse_keys(name: str, before: str, after: str) -> tuple[str, ...]:
    """What a mutant may be called in `equivalent.py`."""
    return after, f"in {name}: {after}", f"any: {before}", f"in {name}: any: {before}"


def report_on(name: str) -> Report:
    started = time.perf_counter()
    functions = functions_of(name)
    try:
        outcomes = outcomes_of(name, functions, checks_of(name))
    except (Exception, pytest.fail.Exception) as error:
        fails = f"{type(error).__name__}: {error}"
        return Report(name, [], [], time.perf_counter() - started, fails)
    used = {
        (outcome.where, key)
        for outcome in outcomes
        if outcome.end == "equivalent"
        for key in excuse_keys(name, outcome.before, outcome.after)
    }
    stale = [
        f"{where}: {key}"
        for where in functions
        for key in EQUIVALENT.get(where, {})
        if (where, key) not in used and (not key.startswith("in ") or key.startswith(f"in {name}:"))
    ]
    return Report(name, outcomes, stale, time.perf_counter() - started)


# -- the command


def reports_on(names: Sequence[str], jobs: int) -> Iterator[Report]:
    if jobs == 1:
        yield from map(report_on, names)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, initializer=prepare) as pool:
        yield from pool.map(report_on, names)


def prepare() -> None:
    """What the tests run under: a warning is a failure."""
    warnings.simplefilter("error")


def line_of(report: Report) -> str:
    """A row of the table that is printed."""
    made = len(report.outcomes)
    counts = (made, *(report.count(end) for end in ("wrong", "error", "time", "equivalent")))
    survived = report.count("survived")
    cells = "".join(f"{count:>8}" for count in (*counts, survived))
    return f"{report.name:<18}{cells}{report.seconds:>8.1f}"


HEADER = "operation             made   wrong   error    time    same survived seconds"


def survivors_of(report: Report) -> list[str]:
    return [
        f"    {o.file}:{o.line} {o.where} ({o.kind})\n        {o.before}\n        {o.after}"
        for o in report.outcomes
        if o.end == "survived"
    ]


def score(reports: Sequence[Report]) -> float:
    """The part of the mutants that were killed, of those that are another function."""
    made = sum(len(report.outcomes) - report.count("equivalent") for report in reports)
    survived = sum(report.count("survived") for report in reports)
    return 1 - survived / made if made else 0.0


def faults(reports: Sequence[Report]) -> list[str]:
    """What makes the run a failure."""
    found = [f"{r.name}: fails without a mistake: {r.fails}" for r in reports if r.fails]
    found += [f"{r.name}: no mutant" for r in reports if not r.outcomes and not r.fails]
    found += [f"{r.name}: no longer survives: {key}" for r in reports for key in r.stale]
    reached = score(reports)
    if reached < ENOUGH:
        found.append(f"{reached:.1%} killed; expected at least {ENOUGH:.0%}")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="tests.mutation.rules", description=str(__doc__).split("\n")[0]
    )
    parser.add_argument("names", nargs="*", help="operations; all by default")
    parser.add_argument("--jobs", type=int, default=1, help="processes at once")
    options = parser.parse_args(arguments)
    prepare()
    known = operations()
    unknown = [name for name in options.names if name not in known]
    if unknown:
        parser.error(f"no such operation with a rule: {', '.join(unknown)}")
    print(HEADER)
    reports = []
    for report in reports_on(options.names or known, options.jobs):
        reports.append(report)
        print("\n".join([line_of(report), *survivors_of(report)]), flush=True)
    found = faults(reports)
    outcomes = [outcome for report in reports for outcome in report.outcomes]
    total = Report("all", outcomes, [], sum(report.seconds for report in reports))
    print("\n".join([line_of(total), f"killed: {score(reports):.2%}", *found]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
