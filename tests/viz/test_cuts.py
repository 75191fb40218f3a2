"""Detached values: drawn as cuts where the graph tells, and never made up."""

from contextlib import nullcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinytensor as tt
from tinytensor import nn, viz
from tinytensor.bptt import truncated
from tinytensor.viz.structure import Graph

Cut = tuple[str, str, str, str]


def cuts(graph: Graph) -> list[Cut]:
    """Each cut: the place and operand that use the value, the place and output it came from."""
    found = []
    for edge in graph.edges:
        if edge.kind == "cut":
            source, target = graph.nodes[edge.source], graph.nodes[edge.target]
            user = graph.place(source) or source.name
            found.append((user, edge.operand, graph.place(target) or target.name, edge.output))
    return sorted(found)


def loop(steps: int, detached: set[int], known: bool, kernels: bool, cell=None) -> tt.Tensor:
    """A loop over an LSTM cell with a loss at each step; h and c detached before some of them."""
    cell = cell or nn.LSTMCell(2, 3)
    readout = nn.Linear(3, 1)
    h = c = tt.zeros(1, 3)
    loss = tt.zeros(())
    with viz.keep_values() if known else nullcontext(), nullcontext() if kernels else tt.unrolled():
        for t in range(steps):
            if t in detached:
                h, c = h.detach(), c.detach()
            h, c = cell(tt.rand(1, 2), (h, c))
            loss = loss + readout(h).sum()
    return loss


def from_elsewhere(detached: set[int]) -> list[Cut]:
    return [(f"LSTMCell, call {t + 1}", "c", "c", "") for t in detached if t > 0]


def expected(detached: set[int], names: str) -> list[Cut]:
    return sorted(
        (f"LSTMCell, call {t + 1}", name, f"LSTMCell, call {t}", name)
        for t in detached
        if t > 0
        for name in names
    )


@given(st.integers(2, 6), st.sets(st.integers(0, 5)), st.booleans())
def test_every_detached_state_is_a_cut_where_values_are_kept(steps, detached, kernels):
    detached = {t for t in detached if t < steps}
    graph = viz.graph(loop(steps, detached, True, kernels), detail="cell", collapse="off").graph
    assert cuts(graph) == expected(detached, "hc")


@given(st.sets(st.integers(0, 4)), st.booleans())
def test_without_kept_values_those_are_known_that_another_operation_keeps(detached, kernels):
    graph = viz.graph(loop(5, detached, False, kernels), detail="cell", collapse="off").graph
    elsewhere = from_elsewhere(detached) if kernels else []
    assert cuts(graph) == sorted(expected(detached, "h") + elsewhere)


def test_a_cut_is_where_no_gradient_flows():
    """Held to the gradient itself: dL/dW of a loss behind the cut is that of its own step alone."""
    cell = nn.LSTMCell(2, 3)
    x = tt.rand(2, 1, 2)
    h, c = cell(x[0])
    last, _ = cell(x[1], (h.detach(), c.detach()))
    (whole,) = tt.autograd.grad((h * 0).sum() + last.sum(), cell.weight_hh, retain_graph=True)
    (alone,) = tt.autograd.grad(cell(x[1], (h.detach(), c.detach()))[0].sum(), cell.weight_hh)
    assert tt.allclose(whole, alone)
    graph = viz.graph([(h * h).sum(), last]).graph
    assert [cut[1:] for cut in cuts(graph)] == [("c", "c", ""), ("h", "LSTMCell, call 1", "h")]


def test_an_output_a_leaf_and_a_view_may_be_detached_too():
    w = tt.rand(3, requires_grad=True)
    y = (w * 2).tanh()
    with tt.no_grad():
        part = y[0:2]
    outputs = {"y": y.detach(), "loss": (y * w.detach()).sum() + (part * w[0:2]).sum()}
    graph = viz.graph(outputs, inputs={"w": w}).graph
    named = sorted(
        (graph.nodes[e.source].name, e.operand, graph.nodes[e.target].name)
        for e in graph.edges
        if e.kind == "cut"
    )
    assert named == [("mul", "a", "tanh"), ("mul", "b", "w"), ("y", "", "tanh")]


@pytest.mark.parametrize("known", [False, True])
def test_of_a_value_and_its_views_the_value_is_where_the_cut_leads(known):
    w = tt.rand(4, requires_grad=True)
    with viz.keep_values() if known else nullcontext():
        y = w.tanh()
        before = y.reshape(2, 2)
        used = (y.detach() * w).sum()
        after = y.reshape(4)
        loss = used + (before * before).sum() + (after * after).sum()
    graph = viz.graph(loss).graph
    targets = [graph.nodes[e.target].name for e in graph.edges if e.kind == "cut"]
    assert targets == ["tanh"]


def test_the_same_graph_has_its_cuts_after_backward():
    loss = loop(4, {2}, True, True)
    assert cuts(viz.graph(loss).graph) == expected({2}, "hc")
    loss.backward()
    assert cuts(viz.graph(loss).graph) == expected({2}, "h")  # what c was has been freed


def test_data_copies_and_values_from_elsewhere_are_no_cuts():
    x = tt.rand(4, 3)
    w = tt.rand(3, 3, requires_grad=True)
    y = x @ w
    elsewhere = (x @ w).detach()
    copy = y.detach().clone()
    loss = (y * x).sum() + (y * elsewhere).sum() + (y * copy).sum() + (y > 0).sum()
    graph = viz.graph(loss, inputs={"x": x, "w": w}).graph
    assert cuts(graph) == []


@pytest.mark.parametrize("detail", ["op", "cell", "step"])
def test_cuts_at_even_distances_stay_visible_when_steps_fold(detail):
    loss = loop(12, {4, 8}, True, False)
    graph = viz.graph(loss, detail=detail).graph
    assert sum(edge.count for edge in graph.edges if edge.kind == "cut") == 4
    labels = {cluster.label for cluster in graph.clusters}
    assert {"LSTMCell, call 5", "LSTMCell, call 9"} <= labels


def test_within_a_window_of_truncated_backpropagation_the_cut_is_drawn():
    cell, readout = nn.LSTMCell(2, 3), nn.Linear(3, 1)
    graphs = []

    def step(x, state):
        h, c = cell(x, state)
        return (readout(h), h), (h, c)

    def loss_fn(output, t):
        y, _ = output
        if t == 3:
            graphs.append(viz.graph(y, collapse="off").graph)
        return y.sum()

    with viz.keep_values():
        list(truncated(step, tt.rand(4, 1, 2), None, loss_fn, k1=4, k2=2))
    (graph,) = graphs
    kernels = [node for node in graph.nodes if node.name == "lstm_cell"]
    assert len(kernels) == 2  # steps 2 and 3: the ones before ran without a graph
    assert cuts(graph) == [("LSTMCell, call 1", "c", "c", ""), ("LSTMCell, call 1", "h", "h", "")]


@pytest.mark.parametrize("cls", [nn.LSTM, nn.GRU, nn.RNN])
def test_a_state_from_nowhere_in_the_graph_is_a_cut_that_says_so(cls):
    layer = cls(2, 3)
    given = tt.rand(1, 1, 3)
    state = (given, tt.zeros(1, 1, 3)) if cls is nn.LSTM else given
    drawing = viz.graph(layer(tt.rand(4, 1, 2), state)[0])
    assert [cut[1:] for cut in cuts(drawing.graph)] == [("h_0", "h_0", "")]
    assert "detached, or from elsewhere" in drawing.source
    assert cuts(viz.graph(layer(tt.rand(4, 1, 2))[0]).graph) == []
    named = viz.graph(layer(tt.rand(4, 1, 2), state)[0], inputs={"h_0": given})
    assert cuts(named.graph) == []
    learned = given.clone().requires_grad_()
    state = (learned, tt.zeros(1, 1, 3)) if cls is nn.LSTM else learned
    assert cuts(viz.graph(layer(tt.rand(4, 1, 2), state)[0]).graph) == []


def test_a_picture_says_what_its_cuts_are():
    drawing = viz.graph(loop(4, {2}, True, True))
    assert "✂: detached, no gradient flows there" in drawing.source
    assert drawing.source.count("✂ h") == drawing.source.count("✂ c") == 1
    assert b"\xe2\x9c\x82" in drawing.pipe("svg")
    assert "✂" not in viz.graph(loop(4, set(), True, True)).source
