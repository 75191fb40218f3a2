"""What `annotate` writes on the nodes of a drawing, and their heat."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import tinytensor as tt
from tinytensor import nn, viz
from tinytensor.viz.annotate import annotate
from tinytensor.viz.extract import extract_with_sources
from tinytensor.viz.numerals import described, in_formula, number, statistics, written
from tinytensor.viz.structure import Graph


def annotated(outputs: Any, *show: str, color: str | None = None, **options: Any) -> Graph:
    return annotate(*extract_with_sources(outputs, **options), show, color)


def lines(graph: Graph) -> dict[str, tuple[str, ...]]:
    return {node.name: node.lines for node in graph.nodes}


def heats(graph: Graph) -> dict[str, float | None]:
    return {node.name: node.heat for node in graph.nodes}


def two_factors() -> tuple[Any, Any]:
    """loss = Σ x² x with x = (1, 2, 3): the gradient of x² is x, that of x is x² + 2 x x."""
    x = tt.tensor([1.0, 2.0, 3.0], requires_grad=True)
    return x, (x.square() * x).sum()


def test_nothing_asked_for_changes_nothing() -> None:
    _, loss = two_factors()
    graph, sources = extract_with_sources(loss)
    assert annotate(graph, sources) == graph


def test_the_drawing_that_was_given_stays_as_it_is() -> None:
    _, loss = two_factors()
    graph, sources = extract_with_sources(loss)
    annotate(graph, sources, ("values", "formulas"), "norm")
    assert all(node.lines == () and node.heat is None for node in graph.nodes)


def test_values_that_the_graph_keeps() -> None:
    x, loss = two_factors()
    found = lines(annotated(loss, "values", inputs={"x": x}))
    assert found["x"] == ("value [1, 2, 3]",)
    assert found["square"] == ("value [1, 4, 9]",)  # kept by the product
    assert found["mul"] == ()  # kept by nobody
    assert found["output"] == ("value 36",)


def test_keep_values_keeps_every_value_after_backward_and_writes() -> None:
    x = tt.tensor([1.0, 2.0, 3.0], requires_grad=True)
    with viz.keep_values():
        product = x.square() * x
        product += 1
        first, _ = product.split([1, 2])
        loss = first.sum()
    loss.backward()
    found = lines(annotated(loss, "values"))
    assert found["square"] == ("value [1, 4, 9]",)
    assert found["mul"] == ("value [1, 8, 27]",)
    assert found["add"] == ("value [2, 9, 28]",)
    assert found["split"] == ("value [0]: [2]", "value [1]: [9, 28]")
    assert found["sum"] == ("value 2",)


def test_keep_values_of_kernels_and_functions() -> None:
    cell = nn.LSTMCell(2, 3)
    with viz.keep_values():
        h, c = cell(tt.randn(1, 2))
        y = Named.apply(h).sum() + c.sum()
    found = lines(annotated(y, "values"))
    assert found["lstm_cell"] == (
        f"value h: {written(h.detach().numpy())}",
        f"value c: {written(c.detach().numpy())}",
    )
    assert found["Named"] == (f"value {written(h.detach().numpy())}",)


def test_keep_values_ends_and_takes_no_part_elsewhere() -> None:
    x = tt.tensor([1.0], requires_grad=True)
    with viz.keep_values():
        kept = x + 1
    outside = x + 1
    assert viz.values.of(kept.grad_fn)[0].tolist() == [2.0]
    assert viz.values.of(outside.grad_fn) == (None,)
    kept.backward()
    assert x.grad.tolist() == [1.0]


def test_keep_values_beside_detect_anomaly() -> None:
    x = tt.tensor([-1.0], requires_grad=True)
    with viz.keep_values(), tt.autograd.detect_anomaly():
        y = (x.log() * 1.0).sum()
        assert math.isnan(viz.values.of(y.grad_fn)[0])
        with pytest.raises(RuntimeError, match="test_annotate"):
            (x.sqrt() * 1.0).sum().backward()


def test_a_value_written_to_since_is_not_shown() -> None:
    x = tt.tensor([1.0, 2.0], requires_grad=True)
    y = x.exp()
    loss = y.sum()
    with tt.no_grad():
        y.zero_()
    assert lines(annotated(loss, "values"))["exp"] == ()


def test_large_tensors_are_described() -> None:
    values = np.arange(20.0).reshape(4, 5)
    assert described(values) == "4×5, mean 9.5, std 5.77, min 0, max 19"
    assert described(np.zeros((0, 3))) == "0×3, empty"
    assert described(np.array([1.0, np.nan, -np.inf])) == "[1, nan, -inf]"
    assert described(np.array(1e-12, np.float32)) == "1e-12"
    assert "nan" in described(np.full((3, 3), np.inf))
    assert number(123456.0) == "1.23e+05"
    assert in_formula(-0.5) == "(-0.5)"
    assert number(-0.0) == "0"


def test_large_ones_stand_in_two_lines_below_their_shape() -> None:
    x = tt.arange(20.0).reshape(4, 5).requires_grad_()
    found = lines(annotated(x.exp().sum(), "values", "gradients", inputs={"x": x}))
    assert found["x"] == ("value mean 9.5, std 5.77", "min 0, max 19", "no gradient yet")
    assert found["exp"][-2:] == ("gradient mean 1, std 0", "min 1, max 1")


def test_gradients_of_operations_are_those_of_retain_grad() -> None:
    x = tt.tensor([1.0, 2.0, 3.0], requires_grad=True)
    square = x.square()
    loss = (square * x).sum()
    before = lines(annotated(loss, "gradients", inputs={"x": x}))
    assert before["square"] == ("gradient [1, 2, 3]",)
    assert before["mul"] == ("gradient [1, 1, 1]",)
    assert before["output"] == ("gradient 1",)
    assert before["x"] == ("no gradient yet",)
    assert x.grad is None
    square.retain_grad()
    loss.backward()
    assert f"gradient {written(square.grad.numpy())}" == before["square"][0]


def test_after_backward_leaves_have_theirs_and_what_was_freed_says_so() -> None:
    x, loss = two_factors()
    loss.backward()
    found = lines(annotated(loss, "gradients", inputs={"x": x}))
    assert found["x"] == ("gradient [3, 12, 27]",)
    assert found["mul"] == ("gradient freed",)
    assert found["square"] == ("gradient freed",)
    assert found["sum"] == ("gradient 1",)
    assert found["output"] == ("gradient 1",)


def test_a_graph_that_was_retained_still_has_its_gradients() -> None:
    x, loss = two_factors()
    loss.backward(retain_graph=True)
    found = lines(annotated(loss, "gradients", inputs={"x": x}))
    assert found["x"] == ("gradient [3, 12, 27]",)
    assert found["square"] == ("gradient [1, 2, 3]",)
    assert x.grad.tolist() == [3.0, 12.0, 27.0]


def test_no_scalar_output_no_gradient_yet() -> None:
    x = tt.tensor([1.0, 2.0], requires_grad=True)
    found = lines(annotated(x.exp(), "gradients", inputs={"x": x}))
    assert found == {"output": (), "exp": ("no gradient yet",), "x": ("no gradient yet",)}


def test_what_only_another_output_leads_to_gets_no_gradient() -> None:
    x = tt.tensor([1.0, 2.0], requires_grad=True)
    found = lines(annotated({"loss": x.square().sum(), "h": x.exp()}, "gradients"))
    assert found["exp"] == ("no gradient arrives",)
    assert found["square"] == ("gradient [1, 1]",)


def test_two_scalar_outputs_are_added_up() -> None:
    x = tt.tensor([1.0, 2.0], requires_grad=True)
    y = x.exp()
    found = lines(annotated([y.sum(), (3 * y).sum()], "gradients"))
    assert found["exp"] == ("gradient [4, 4]",)


def test_a_pass_that_fails_says_so() -> None:
    x = tt.tensor([1.0, 2.0], requires_grad=True)
    y = x.exp()
    loss = y.sum()
    with tt.no_grad():
        y.zero_()
    assert lines(annotated(loss, "gradients"))["exp"] == ("no gradient: its backward pass fails",)


def test_a_checkpoint_is_not_run_again() -> None:
    x = tt.tensor([1.0, 2.0], requires_grad=True)
    runs = []

    def part(v: Any) -> Any:
        runs.append(1)
        return v.tanh()

    loss = tt.utils.checkpoint.checkpoint(part, x).sum()
    assert lines(annotated(loss, "gradients"))["tanh"] == ("no gradient: checkpointed",)
    assert runs == [1]


def test_norms_of_value_and_gradient() -> None:
    x = tt.tensor([3.0, 4.0], requires_grad=True)
    loss = x.square().sum()
    found = lines(annotated(loss, "norms", inputs={"x": x}))
    assert found["x"] == ("‖value‖ 5", "no gradient yet")
    assert found["square"] == ("‖gradient‖ 1.41",)
    loss.backward()
    assert lines(annotated(loss, "norms", inputs={"x": x}))["x"] == ("‖value‖ 5, ‖gradient‖ 10",)


def test_formulas_stand_on_operations() -> None:
    _, loss = two_factors()
    found = lines(annotated(loss, "formulas"))
    assert found["mul"] == ("dy/da = b = [1, 2, 3]", "dy/db = a = [1, 4, 9]")
    assert found["input"] == ()
    assert found["output"] == ()


def test_all_of_it_in_the_order_of_the_docs() -> None:
    x = tt.tensor(0.5, requires_grad=True)
    loss = x.tanh()
    found = lines(annotated(loss, "formulas", "norms", "gradients", "values"))
    assert found["tanh"] == (
        "value 0.462",
        "gradient 1",
        "‖value‖ 0.462, ‖gradient‖ 1",
        "dy/dx = 1 - y² = 1 - 0.462² = 0.786",
    )


def test_heat_is_the_place_on_a_logarithmic_scale() -> None:
    x = tt.tensor([1.0], requires_grad=True)
    y = (x.exp() * 0.01).square().sum()
    graph = annotated(y, color="norm")
    found = {node.name: node.heat for node in graph.nodes if node.kind == "operation"}
    steps = tt.autograd.trace(y)
    norms = {visit.node.op.name: float(np.linalg.norm(visit.g)) for visit in steps}
    sizes = [*norms.values(), 1.0]
    assert min(sizes) < 0.01
    for name in ("sum", "square", "mul", "exp"):
        expected = math.log10(norms[name] / min(sizes)) / math.log10(max(sizes) / min(sizes))
        assert found[name] == pytest.approx(expected)
    assert heats(graph)["input"] is None
    assert heats(graph)["output"] == 1.0
    low, high = number(min(sizes)), number(max(sizes))
    assert graph.scale == f"norm of the gradient, {low} … {high}"


def test_heat_of_zero_of_no_number_and_of_equal_norms() -> None:
    x = tt.tensor([2.0], requires_grad=True)
    assert heats(annotated(x.exp().sum(), color="norm"))["exp"] == 1.0
    dead = ((x.exp() * 0.0) + x).sum()
    found = heats(annotated(dead, color="norm"))
    assert found["exp"] == 0.0
    broken = ((x.exp() * math.nan) + x).sum()
    assert heats(annotated(broken, color="norm"))["exp"] is None
    x.grad = tt.tensor([0.0])
    only = annotated((x.exp() * 0.0).sum(), color="norm", inputs={"x": x})
    assert heats(only)["x"] == 0.0


def test_heat_without_any_gradient() -> None:
    x = tt.tensor([1.0, 2.0], requires_grad=True)
    graph = annotated(x.exp(), color="norm")
    assert set(heats(graph).values()) == {None}
    assert lines(graph)["exp"] == ("no gradient yet",)


class Named(tt.autograd.Function):
    """Its name becomes that of an attacker in the test below."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x * 1

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return g


HOSTILE = '"]; evil [label="<b>&amp;\\N\n{|}</b>'


def test_hostile_names_stay_text() -> None:
    evil = type(HOSTILE, (Named,), {})
    x = tt.tensor([1.0, 2.0], requires_grad=True)
    loss = evil.apply(x).sum()
    graph = annotated({HOSTILE: loss}, "values", "gradients", "formulas", inputs={HOSTILE: x})
    own = next(node for node in graph.nodes if node.kind == "operation" and node.name == HOSTILE)
    assert own.lines[-1] == f"as {HOSTILE}.backward says"
    drawn = viz.to_dot(graph)
    assert drawn.count("evil") == drawn.count(r"\"]; evil [label=\"")
    assert "\n{|}" not in drawn


@pytest.mark.parametrize("show", ["values", ("values", "colours"), ("norm",)])
def test_refusals_of_show(show: Any) -> None:
    _, loss = two_factors()
    with pytest.raises(ValueError, match="graph: expected show to be a tuple of any of values"):
        annotate(*extract_with_sources(loss), show)


def test_refusals_of_color() -> None:
    _, loss = two_factors()
    with pytest.raises(ValueError, match="graph: expected color to be 'norm' or None, got 'heat'"):
        annotate(*extract_with_sources(loss), (), "heat")


def test_boxes_of_saved_values_are_left_alone() -> None:
    _, loss = two_factors()
    graph = annotated(loss, "values", "gradients", "formulas", color="norm", show_saved=True)
    saved = [node for node in graph.nodes if node.kind == "saved"]
    assert saved
    assert all(node.lines == () and node.heat is None for node in saved)


def test_an_unrolled_lstm_equals_a_pass_with_retained_gradients() -> None:
    lstm = nn.LSTM(2, 3, bidirectional=True, dtype=tt.float64)
    with tt.unrolled():
        output, _ = lstm(tt.randn(3, 1, 2, dtype=tt.float64))
    output.retain_grad()
    loss = (output * output).sum()
    graph, sources = extract_with_sources(loss)
    found = annotate(graph, sources, ("gradients",))
    loss.backward()
    at = next(k for k, source in enumerate(sources) if source is output.grad_fn)
    mean, ends = statistics(output.grad.numpy())
    assert found.nodes[at].lines == (f"gradient {mean}", ends)
    assert not any(
        "no gradient" in line for n in found.nodes[1:] for line in n.lines if n.kind == "operation"
    )
