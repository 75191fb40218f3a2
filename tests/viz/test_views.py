"""Views: the forward graph, and both passes in one drawing, the backward one really run."""

import numpy as np
import pytest

import tinytensor as tt
from tinytensor import nn, viz
from tinytensor.autograd.trace import trace
from tinytensor.viz.extract import extract_with_sources
from tinytensor.viz.views import BackwardPass


def perceptron() -> tuple[nn.Module, tt.Tensor]:
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    return model, model(tt.rand(4, 2)).square().mean()


def unrolled(cls=nn.LSTM, steps=3) -> tuple[nn.Module, tt.Tensor]:
    module = cls(2, 3)
    with tt.unrolled():
        return module, module(tt.rand(steps, 1, 2))[0].sum()


def fused() -> tuple[nn.Module, tt.Tensor]:
    module = nn.LSTM(2, 3)
    return module, module(tt.rand(3, 1, 2))[0].sum()


MODELS = [perceptron, unrolled, fused]


@pytest.mark.parametrize("make", MODELS)
def test_what_comes_out_of_the_backward_pass_is_the_gradient(make):
    model, loss = make()
    run = BackwardPass(loss)
    assert all(parameter.grad is None for parameter in model.parameters())
    loss.backward()
    found = {name: value for name, value in run.outputs.items() if name != "output"}
    for name, parameter in model.named_parameters():
        gradient = found.pop(f"gradient of {name}", None)
        if gradient is not None:  # else it is no graph: the same for any values
            np.testing.assert_allclose(gradient.detach().numpy(), parameter.grad.numpy(), rtol=1e-5)
    assert found == {}


@pytest.mark.parametrize("make", MODELS)
def test_each_backward_operation_was_caused_by_one_forward_operation(make):
    _, loss = make()
    visited = [visit.node for visit in trace(loss)]
    run = BackwardPass(loss)
    assert [node for _, node in run.visits] == visited  # the same order without a graph
    graph, sources = extract_with_sources(run.outputs)
    linked = run.linked(graph, sources)
    causes = {}
    for edge in linked.edges:
        if edge.kind == "caused":
            assert edge.target not in causes
            causes[edge.target] = edge.source
    for node in graph.nodes:
        if node.kind == "operation":
            assert (node.number in causes) == (node.phase == "backward")
    for made, by in causes.items():
        assert sources[by] in visited
        assert sources[made].scope is sources[by].scope or make is fused


def test_the_operations_of_a_rule_are_linked_to_theirs_by_hand():
    """For y = (w x).tanh(): tanh's rule is g ((1 + y)(1 - y)), that of the product g x."""
    w, x = tt.rand(2, requires_grad=True), tt.rand(2, requires_grad=True)
    graph = viz.graph((w * x).tanh(), inputs={"w": w, "x": x}, view="both").graph
    links = sorted(
        (graph.nodes[edge.source].name, graph.nodes[edge.target].name)
        for edge in graph.edges
        if edge.kind == "caused"
    )
    assert links == [
        ("mul", "mul"), ("mul", "mul"),
        ("tanh", "add"), ("tanh", "mul"), ("tanh", "mul"), ("tanh", "sub"),
    ]  # fmt: skip


def test_drawing_both_passes_leaves_the_graph_for_its_own_backward():
    model, loss = unrolled()
    viz.graph(loss, view="both")
    loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    with pytest.raises(RuntimeError, match=r"second time|retain_graph"):
        viz.graph(loss, view="both")


def arrows(drawing: viz.Drawing) -> dict[str, tuple[str, str, str]]:
    """For the id of each edge its two ends, as they are written, and its attributes."""
    found = {}
    for line in drawing.body:
        if " -> " in line and 'id="e' in line:
            ends, _, attributes = line.strip().partition(" [")
            start, _, end = ends.partition(" -> ")
            number = attributes.split('id="e')[1].split('"')[0]
            found[number] = (start.split(":")[0], end.split(":")[0], attributes)
    return found


@pytest.mark.parametrize("detail", ["op", "cell"])
def test_the_forward_view_turns_every_arrow(detail):
    _, loss = unrolled()
    back = viz.graph(loss, detail=detail)
    forward = viz.graph(loss, detail=detail, view="forward")
    assert forward.graph == back.graph
    there, here = arrows(forward), arrows(back)
    assert len(there) == len(back.graph.edges)
    assert {key: (b, a) for key, (a, b, _) in there.items()} == {
        key: (a, b) for key, (a, b, _) in here.items()
    }
    assert "arrows point the way the values flow" in forward.source


def test_in_the_view_of_both_values_lead_to_the_loss_and_gradients_away_from_it():
    model = nn.Linear(2, 1)
    drawing = viz.graph({"loss": model(tt.rand(1, 2)).tanh().sum()}, view="both")
    names = {node.id: (node.name, node.phase) for node in drawing.graph.nodes}
    for start, end, attributes in arrows(drawing).values():
        phases = names[start][1], names[end][1]
        if "dotted" in attributes:
            assert phases == ("forward", "backward")
        elif "dir=" in attributes:
            assert phases == ("forward", "forward")  # the head is at the start
        elif phases == ("forward", "backward"):
            assert 'constraint="false"' in attributes  # a value that a rule reads
        else:
            assert phases[0] == "backward"
            assert phases[1] == "backward" or names[end][0].startswith("gradient of")
    assert b"gradient of weight" in drawing.pipe("svg")


def test_several_outputs_that_are_no_scalars_start_from_ones():
    w = tt.rand(3, requires_grad=True)
    run = BackwardPass({"a": w * w, "b": [w.sin(), w.detach()]}, {"w": w})
    assert list(run.outputs) == ["a", "b[0]", "b[1]", "gradient of w"]
    values = w.detach().numpy()
    expected = 2 * values + np.cos(values)
    np.testing.assert_allclose(run.outputs["gradient of w"].detach().numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("detail", ["cell", "step", "layer", "module"])
def test_both_passes_of_a_deep_net_can_be_laid_out(detail):
    lstm = nn.LSTM(2, 3, 2, bidirectional=True)
    with tt.unrolled():
        loss = lstm(tt.rand(5, 1, 2))[0].sum()
    drawing = viz.graph(loss, view="both", detail=detail)
    svg = drawing.pipe("svg", encoding="utf-8")
    assert all(f'id="{node.id}"' in svg for node in drawing.graph.nodes)


@pytest.mark.parametrize("detail", ["cell", "step", "layer", "module"])
def test_both_passes_fold_side_by_side_at_every_level(detail):
    sizes = set()
    for steps in (12, 20):
        _, loss = unrolled(steps=steps)
        sizes.add(len(viz.graph(loss, view="both", detail=detail).graph.nodes))
    assert len(sizes) == 1
    assert sizes.pop() < 40
