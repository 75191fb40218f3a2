"""Every formula that a node shows is true: read by a program and compared with the node's rule."""

from __future__ import annotations

import math
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import tinytensor as tt
from tests.ops.table import ROWS, Row
from tests.viz.lines_by_hand import SAID, summed
from tinytensor import nn
from tinytensor.autograd.node import Node, edge_of, node_of
from tinytensor.autograd.primitive import PRIMITIVES
from tinytensor.autograd.trace import Visit, trace
from tinytensor.autograd.walk import identity
from tinytensor.tensor import make
from tinytensor.viz import formula_table as table
from tinytensor.viz.formulas import local_derivative, slope, slope_numbers, symbols_of


def nodes_above(outputs: list[Any]) -> list[Node]:
    found: set[Node] = set()
    stack = [node_of(edge_of(y)) for y in outputs if y.requires_grad]
    while stack:
        node = stack.pop()
        if node is not None and node not in found:
            found.add(node)
            stack.extend(map(node_of, node.edges))
    return sorted(found, key=lambda node: node.number)


def outputs_of(row: Row) -> list[Any]:
    """The row's outputs in float64; of inputs that are 1 · a leaf, so that `write` may go in."""
    tensors = [make(array) for array in row.arrays()]
    inputs = [t.requires_grad_() if t.dtype == tt.float64 else t for t in tensors]
    return row.call(tt, *inputs)


def rows_with(names: Any) -> Any:
    chosen = [row for row in ROWS if row.op in names]
    return pytest.mark.parametrize("row", chosen, ids=[row.label for row in chosen])


# -- what works element by element

FUNCTIONS = {
    "ln": math.log,
    "sqrt": math.sqrt,
    "sign": lambda v: math.copysign(1, v) if v else 0,
    "finite": math.isfinite,
    "floor": math.floor,
    "σ": lambda v: 1 / (1 + math.exp(-v)),
    "Φ": lambda v: (1 + math.erf(v / math.sqrt(2))) / 2,
    "φ": lambda v: math.exp(-v * v / 2) / math.sqrt(2 * math.pi),
    "π": math.pi,
    "e": math.e,
    "max": max,
    **{name: getattr(math, name) for name in ("sin", "cos", "sinh", "cosh", "tanh")},
}

SIGNS = {
    "·": "*",
    "²": "**2",
    "³": "**3",
    "^": "**",
    "√": "sqrt",
    "≤": "<=",
    "≥": ">=",
    " = ": " == ",
}


def evaluated(expression: str, letters: dict[str, Any]) -> float:
    """The value of a formula as a person would reckon it."""
    body, _, definition = expression.partition(" with t = ")
    if definition:
        letters = {**letters, "t": evaluated(definition, letters)}
    for sign, code in SIGNS.items():
        body = body.replace(sign, code)
    body, _, other = body.partition(", else ")
    if other:
        for case in body.split(", "):
            value, condition = case.split(" where ")
            if eval(condition, FUNCTIONS.copy(), letters):
                return eval(value, FUNCTIONS.copy(), letters)
        body = other
    result: float = eval(body, FUNCTIONS.copy(), letters)
    return result


def compare_elements(expression: str, letters: dict[str, Any], slopes: Any, shape: Any) -> int:
    """How many elements could be compared; where one disagrees that is an error."""
    wide = {name: np.broadcast_to(value, shape) for name, value in letters.items()}
    slopes = np.broadcast_to(slopes, shape)
    count = 0
    for place in np.ndindex(*shape):
        one = {name: value[place].item() for name, value in wide.items()}
        if not all(map(math.isfinite, [*one.values(), slopes[place]])):
            continue
        try:
            expected = evaluated(expression, one)
        except (ZeroDivisionError, ValueError, OverflowError):
            continue  # at a pole
        assert slopes[place] == pytest.approx(expected, rel=1e-9, abs=1e-12), one
        count += 1
    return count


@rows_with(table.SLOPES)
def test_a_slope_is_what_the_rule_multiplies_with(row: Row) -> None:
    for node in nodes_above(outputs_of(row)):
        if node.op.name not in table.SLOPES:
            continue
        for place, _ in node.plan.rules:
            slopes = slope_numbers(node, place)
            assert slopes is not None
            compare_elements(slope(node, place), symbols_of(node), slopes, node.shape)


@pytest.mark.parametrize("name", sorted(set(table.SLOPES)))
def test_every_slope_is_compared_somewhere(name: str) -> None:
    compared: dict[int, int] = {}
    for row in ROWS:
        if row.op != name:
            continue
        for node in nodes_above(outputs_of(row)):
            if node.op.name == name:
                for place, _ in node.plan.rules:
                    slopes = slope_numbers(node, place)
                    letters = symbols_of(node)
                    count = compare_elements(slope(node, place), letters, slopes, node.shape)
                    compared[place] = compared.get(place, 0) + count
    wanted = {place for place, rule in enumerate(PRIMITIVES[name].rules) if rule is not None}
    assert {place for place, count in compared.items() if count} == wanted


def test_a_wrong_slope_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(table.SLOPES, "tanh", {"x": "1 - y"})
    row = next(row for row in ROWS if row.op == "tanh")
    with pytest.raises(AssertionError):
        test_a_slope_is_what_the_rule_multiplies_with(row)


def test_every_differentiable_operation_has_its_formula() -> None:
    differentiable = {name for name, op in PRIMITIVES.items() if any(op.rules)}
    assert table.SLOPES.keys() | table.LINES.keys() == differentiable
    assert not table.SLOPES.keys() & table.LINES.keys()
    for name, lines in (table.SLOPES | table.LINES).items():
        op = PRIMITIVES[name]
        arguments = {op.names[k] for k, rule in enumerate(op.rules) if rule is not None}
        assert set(lines) == arguments, name


# -- what moves, adds and multiplies


def what_is_kept(visit: Visit) -> SimpleNamespace:
    node = visit.node
    found = {"g": visit.g, "node": node}
    for (kind, number), value in zip(node.plan.keep, node.saved, strict=True):
        name = "y" if kind == "output" else node.op.names[number]
        found[f"shape_{name}" if kind == "shape" else name] = value
    return SimpleNamespace(**found)


def visits_of(row: Row) -> Iterator[tuple[Visit, str, Any, Any]]:
    """(visit, line, what the line says, what the rule gave) for each gradient of a listed op."""
    outputs = [y for y in outputs_of(row) if y.requires_grad]
    rng = np.random.default_rng(0)
    starts = [tt.tensor(rng.normal(size=tuple(y.shape))) for y in outputs]
    for visit in trace(outputs, starts) if outputs else ():
        node = visit.node
        if node.op.name not in table.LINES:
            continue
        lines = local_derivative(node)
        places = [place for place, _ in node.plan.rules]
        kept_values = what_is_kept(visit)
        for contribution in visit.contributions:
            place = 0 if node.op.listed else contribution.number
            kept_values.place = contribution.number
            kept_values.into = contribution.gx.shape
            line = lines[places.index(place)]
            if line in SAID:
                with np.errstate(all="ignore"):
                    yield visit, line, np.asarray(SAID[line](kept_values)), contribution.gx


# The derivative of a decomposition is a page; the rule is held to differences elsewhere.
NOT_EVALUATED = {"svd"}
WITHOUT = {"floor_divide", "_unique"}


@rows_with(table.LINES.keys() - NOT_EVALUATED - WITHOUT)
def test_a_line_says_what_the_rule_gives(row: Row) -> None:
    for _, line, said, given in visits_of(row):
        said = summed(said, given.shape)
        comparable = np.isfinite(said) & np.isfinite(given)
        np.testing.assert_allclose(
            given[comparable], said[comparable], rtol=1e-9, atol=1e-12, err_msg=line
        )


def test_every_line_is_compared_somewhere() -> None:
    chosen = table.LINES.keys() - NOT_EVALUATED - WITHOUT
    compared = set()
    for row in ROWS:
        if row.op in chosen:
            for visit, line, said, given in visits_of(row):
                if np.isfinite(summed(said, given.shape) * given).any():
                    compared.add((visit.node.op.name, line))
    wanted = {(name, line) for name in chosen for line in table.LINES[name].values()}
    assert wanted <= compared
    assert ("_vector_norm", table.NORM_INFINITE) in compared


def test_no_derivative_is_an_error_indeed() -> None:
    x = tt.tensor([3.0, 5.0], requires_grad=True)
    for y in (tt.floor_divide(x, 2.0), tt.unique(x)):
        assert local_derivative(y.grad_fn) == ["no derivative: asking for it is an error"]
        with pytest.raises(RuntimeError, match="derivative"):
            y.sum().backward()


# -- numbers in the text


def lines_of(y: Any) -> list[str]:
    return local_derivative(y.grad_fn)


def test_numbers_of_one_element_stand_in_the_formula() -> None:
    x = tt.tensor(0.5, requires_grad=True)
    w = tt.tensor(-2.0, requires_grad=True)
    assert lines_of(x.tanh()) == ["dy/dx = 1 - y² = 1 - 0.462² = 0.786"]
    assert lines_of(x * w) == ["dy/da = b = -2", "dy/db = a = 0.5"]
    assert lines_of(w.square()) == ["dy/dx = 2 · x = 2 · (-2) = -4"]
    assert lines_of(x / w)[1] == "dy/db = -a / b² = -0.5 / (-2)² = -0.125"
    assert lines_of(x + w) == ["dy/da = 1", "dy/db = 1"]
    assert lines_of(x.relu()) == ["dy/dx = (0 where y ≤ 0, else 1) = 1"]
    assert lines_of(nn.functional.softplus(x, beta=2.0))[0].endswith("= 0.731")
    assert lines_of(w.reshape(1, 1).exp()) == ["dy/dx = y = 0.135"]


def test_numbers_of_a_few_elements_follow_the_formula() -> None:
    x = tt.tensor([[1.0, -2.0]], requires_grad=True)
    assert lines_of(x.exp()) == ["dy/dx = y = [[2.72, 0.135]]"]
    assert lines_of(x.square()) == ["dy/dx = 2 · x = [[2, -4]]"]


def test_large_or_freed_ones_have_the_formula_alone() -> None:
    x = tt.randn(3, 4, requires_grad=True)
    assert lines_of(x.tanh()) == ["dy/dx = 1 - y²"]
    small = tt.tensor([0.5], requires_grad=True)
    y = small.tanh()
    y.sum().backward()
    assert lines_of(y) == ["dy/dx = 1 - y²"]
    z = small.exp()
    with tt.no_grad():
        z.mul_(2)
    assert lines_of(z) == ["dy/dx = y"]


def test_a_freed_one_does_not_say_more_than_is_known() -> None:
    x = tt.tensor([0.4, 0.6], requires_grad=True)
    for y in (nn.functional.gelu(x, approximate="tanh"), x.logit(0.5), tt.linalg.norm(x, math.inf)):
        before = lines_of(y)
        y.sum().backward()
        name = y.grad_fn.op.name
        assert lines_of(y) != before
        assert lines_of(y)[0].endswith(table.FREED[name])


def test_only_inputs_that_want_a_gradient_have_a_line() -> None:
    x = tt.tensor([1.0, 2.0], requires_grad=True)
    assert lines_of(x @ tt.tensor([3.0, 4.0])) == ["da = g bᵀ"]
    assert lines_of(tt.tensor([3.0, 4.0]) @ x) == ["db = aᵀ g"]


class Twice(tt.autograd.Function):
    """y = 2 x."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return 2 * x

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return 2 * g


class Last(Twice):
    """The same, which can't be differentiated twice."""

    @staticmethod
    @tt.autograd.function.once_differentiable
    def backward(ctx: Any, g: Any) -> Any:
        return 2 * g


def test_what_is_no_operation_of_the_library() -> None:
    x = tt.tensor([1.0], requires_grad=True)
    assert lines_of(Twice.apply(x)) == ["as Twice.backward says"]
    (g,) = tt.autograd.grad(Last.apply(x.square()), x, create_graph=True)
    once = [node for node in nodes_above([g]) if node.op.name == "once_differentiable"]
    assert [local_derivative(node) for node in once] == [[table.NO_DERIVATIVE]]


def test_an_identity_hands_its_gradient_on() -> None:
    x = tt.tensor([1.0], requires_grad=True)
    assert lines_of(identity(x._array, x)) == ["dx = g"]


def test_numbers_of_kept_values_outlive_the_graph() -> None:
    x = tt.tensor(0.5, requires_grad=True)
    with tt.viz.keep_values():
        y = x.tanh()
    y.backward()
    assert lines_of(y) == ["dy/dx = 1 - y² = 1 - 0.462² = 0.786"]


def test_looking_changes_nothing() -> None:
    x = tt.tensor([0.5], requires_grad=True)
    y = x.tanh().sum()
    for node in nodes_above([y]):
        local_derivative(node)
    assert tt.is_grad_enabled()
    assert (x * 2).requires_grad
    y.backward()
    assert x.grad.item() == pytest.approx(1 - np.tanh(0.5) ** 2)
