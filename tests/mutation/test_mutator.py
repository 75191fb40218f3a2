"""Mutation testing tested: every kind of mistake is made and seen, and what is not seen is told."""

import math
from collections.abc import Callable

import numpy as np
import pytest

import tinytensor as tt
from tests.mutation import rules
from tests.mutation.equivalent import EQUIVALENT
from tests.mutation.mutator import mutants, planted, tree_of
from tinytensor.autograd.primitive import PRIMITIVES, primitive

FACTOR = 3


@primitive(lambda g, x: -g * (2 * x), lambda g, y, a: g - a)
def mutated_pair(x, a):
    """Two rules in one line: only their place tells them apart."""
    return -x * x + a


PAIR = PRIMITIVES.pop("mutated_pair")  # the tests of the table list all that there are


def choose(g, x, y):
    if x < y and not g:
        g = -g
    elif g is None:
        raise ValueError("nothing to choose from, not even with 1 + 1")
    g += math.inf
    print(g)
    return max(g, FACTOR) if y == 1 else np.add(x, y)


def made(function: Callable[..., object]) -> dict[str, str]:
    """The changed statement of each mutant, and the kind of the change."""
    return {mutant.after: mutant.kind for mutant in mutants(function)}


# -- the mutator


def test_a_lambda_is_found_by_its_place():
    first, second = PAIR.rules
    assert "lambda g, x: g * (2 * x)" in made(first)
    assert "lambda g, y, a: g + a" in made(second)


@pytest.mark.parametrize(
    ("kind", "after"),
    [
        ("sign", "g = g"),
        ("operator", "if x < y or not g:"),
        ("operator", "g -= math.inf"),
        ("operator", "return min(g, FACTOR) if y == 1 else np.add(x, y)"),
        ("operator", "return max(g, FACTOR) if y == 1 else np.subtract(x, y)"),
        ("comparison", "if x <= y and (not g):"),
        ("comparison", "if x > y and (not g):"),
        ("comparison", "return max(g, FACTOR) if y != 1 else np.add(x, y)"),
        ("constant", "g += 0.0"),
        ("constant", "return max(g, FACTOR + 1) if y == 1 else np.add(x, y)"),
        ("constant", "return max(g, FACTOR) if y == 2 else np.add(x, y)"),
        ("dropped", "if x < y:"),
        ("dropped", "if x < y and g:"),
        ("dropped", "if True or (x < y and (not g)):"),
        ("dropped", "if False and (x < y and (not g)):"),
        ("dropped", "pass  # g = -g"),
        ("dropped", "pass  # g += math.inf"),
        ("dropped", "pass  # print(g)"),
        ("dropped", "return g if y == 1 else np.add(x, y)"),
        ("dropped", "return max(g, FACTOR)"),
        ("swapped", "return max(g, FACTOR) if y == 1 else np.add(y, y)"),
    ],
)
def test_every_kind_of_mistake_is_made(kind, after):
    assert made(choose).get(after) == kind


def test_what_a_rule_returns_is_negated_and_doubled_unless_it_is_no_number():
    found = made(lambda g, x: g)
    assert found["lambda g, x: -g"] == "sign"
    assert found["lambda g, x: 2 * g"] == "constant"
    parts = made(lambda g, x: [part + x for part in g])
    assert "lambda g, x: [-(part + x) for part in g]" in parts
    assert not any(after.startswith("lambda g, x: -") for after in parts)


def test_swapped_operands_and_arguments_are_mistakes_unless_the_order_is_free():
    found = made(lambda g, x: rules.score(g - x, max(g, x)))
    assert found["lambda g, x: rules.score(x - g, max(g, x))"] == "swapped"
    assert found["lambda g, x: rules.score(max(g, x), g - x)"] == "swapped"
    assert "lambda g, x: rules.score(g - x, max(x, g))" not in found


def test_no_mutant_is_the_function_itself_or_another_mutant():
    codes = [mutant.code for mutant in mutants(choose)]
    plain = [(code.co_code, code.co_consts, code.co_names) for code in codes]
    assert len(plain) > 30
    original = choose.__code__
    assert (original.co_code, original.co_consts[1:], original.co_names) not in plain


def test_an_error_message_is_left_as_it_is():
    assert not any("nothing to choose" in after for after in made(choose) if "pass" not in after)


def test_a_mutant_is_planted_in_the_function_that_is_really_run_and_taken_out_again():
    (rule,) = PRIMITIVES["tanh"].rules
    x = tt.tensor([0.5], requires_grad=True)
    tt.tanh(x).backward()  # the plan that holds the rule is compiled by now
    before = x.grad.item()
    x.grad = None
    negated = next(m for m in mutants(rule) if m.kind == "sign")
    with planted(rule, negated.code):
        tt.tanh(x).backward()
    assert x.grad.item() == -before
    x.grad = None
    tt.tanh(x).backward()
    assert x.grad.item() == before


def test_defaults_stay_those_of_the_function():
    def with_default(x, factor=5):
        return x * factor

    dropped = next(m for m in mutants(with_default) if m.after == "return x / factor")
    with planted(with_default, dropped.code):
        assert with_default(10) == 2


def test_a_function_without_source_is_refused():
    made_at_run_time = eval("lambda g: g", {})
    with pytest.raises((LookupError, OSError)):
        tree_of(made_at_run_time)


# -- running the mutants


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("cos", "sign"),
        ("exp2", "operator"),
        ("relu", "comparison"),
        ("square", "constant"),
        ("reciprocal", "dropped"),
        ("div", "swapped"),
    ],
)
def test_a_planted_mistake_of_each_kind_is_seen_by_the_row_of_its_operation(name, kind):
    pytest.importorskip("torch")
    checks = rules.checks_of(name)
    ends = [
        rules.end_of(function, mutant, checks, 60)
        for function in rules.functions_of(name).values()
        for mutant in mutants(function)
        if mutant.kind == kind
    ]
    assert "wrong" in ends
    assert "survived" not in ends


def test_a_mistake_that_no_check_sees_is_reported():
    (function,) = rules.functions_of("square").values()

    def only_at_one() -> None:
        assert function(1.0, 1.0) == 2.0

    outcomes = rules.outcomes_of("square", {"square.x": function}, [only_at_one])
    report = rules.Report("square", outcomes, [], 0.0)
    assert report.count("wrong") > 0
    shown = "\n".join(rules.survivors_of(report))
    assert "lambda g, x: g / (2 * x)" not in shown  # 1 / 2 is not 2
    assert "lambda g, x: x * (2 * x)" in shown
    assert rules.faults([report])


def test_a_mutant_that_raises_or_never_ends_is_killed():
    def endless(n):
        while n > 0:
            n -= 1
        return n

    def check() -> None:
        assert endless(3) == 0
        assert endless(-1) == -1

    ends = {m.after: rules.end_of(endless, m, [check], 0.2) for m in mutants(endless)}
    assert ends["pass  # n -= 1"] == "time"
    assert ends["return -n"] == "wrong"
    assert rules.end_of(endless, mutants(endless)[0], [lambda: 1 // 0], 1.0) == "error"


def test_a_check_that_fails_without_a_mistake_stops_the_run():
    def check() -> None:
        raise AssertionError("fails anyway")

    with pytest.raises(AssertionError, match="fails anyway"):
        rules.outcomes_of("square", {}, [check])


def test_an_operation_without_mutants_is_a_fault():
    assert rules.faults([rules.Report("bare", [], [], 0.0)])[0] == "bare: no mutant"


# -- the library's rules


def test_every_operation_with_a_rule_has_mutants():
    without = [
        name
        for name in rules.operations()
        if not any(mutants(function) for function in rules.functions_of(name).values())
    ]
    assert without == []


def test_an_excuse_has_a_reason_and_a_mutant():
    known = {}  # functions of different kernels may share a name
    for name in rules.operations():
        for where, function in rules.functions_of(name).items():
            if where in EQUIVALENT:
                for mutant in mutants(function):
                    known.setdefault(where, set()).update((mutant.after, f"any: {mutant.before}"))
    for where, excuses in EQUIVALENT.items():
        assert where in known, f"{where} is no rule or helper of one any more"
        for key, reason in excuses.items():
            assert key.split(": ", 1)[-1] in known[where] or key in known[where], key
            assert len(reason) > 10


@pytest.mark.parametrize("name", ["tanh", "mul", "where", "sum", "gather", "cumsum", "linear"])
def test_the_table_sees_the_mistakes_in_some_operations(name):
    pytest.importorskip("torch")
    report = rules.report_on(name)
    assert rules.faults([report]) == []
    assert report.count("survived") == 0, "\n".join(rules.survivors_of(report))
