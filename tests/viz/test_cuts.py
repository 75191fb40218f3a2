"""Detached values: each use is drawn as a cut, and none is made up."""

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


def expected(detached: set[int], names: str) -> list[Cut]:
    return sorted(
        (f"LSTMCell, call {t + 1}", name, f"LSTMCell, call {t}", name)
        for t in detached
        if t > 0
        for name in names
    )


@given(st.integers(2, 6), st.sets(st.integers(0, 5)), st.booleans(), st.booleans())
def test_every_detached_state_is_a_cut(steps, detached, known, kernels):
    detached = {t for t in detached if t < steps}
    graph = viz.graph(loop(steps, detached, known, kernels), detail="cell", collapse="off").graph
    assert cuts(graph) == expected(detached, "hc")


def test_of_a_state_of_several_layers_a_row_is_cut_at_its_own_layer_the_whole_at_neither():
    layer, cell = nn.GRU(2, 3, num_layers=2), nn.GRUCell(3, 3)
    with tt.unrolled():
        output, h = layer(tt.rand(2, 1, 2))
        top = h[-1].detach()
        loss, every = output.sum(), h.detach().sum()
        del h
        graph = viz.graph(loss + cell(tt.rand(1, 3), top).sum(), detail="cell").graph
    assert cuts(graph) == [("GRUCell", "h", "GRU / layer 1 / forward / t = 1", "h")]
    graph = viz.graph(loss * every, detail="cell").graph
    assert cuts(graph) == [("mul", "b", "detached", "")]
    assert graph.nodes[-1].note == "from stack in GRU"


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
    assert cuts(graph) == [
        ("LSTMCell, call 2", "c", "LSTMCell, call 1", "c"),
        ("LSTMCell, call 2", "h", "LSTMCell, call 1", "h"),
    ]


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
    loss.backward()
    assert cuts(viz.graph(loss).graph) == expected({2}, "hc")


def test_whatever_is_done_with_a_detached_value_its_use_is_a_cut():
    w = tt.rand(3, requires_grad=True)
    y = (w * 2).tanh()
    buffer = tt.zeros(2, 3)
    buffer[1] = y.detach()
    uses = {
        "nothing is kept": y + y.detach(),
        "a copy": y - y.detach().clone(),
        "computed": y / (y.detach() * 2 + tt.ones(3)),
        "selected and stacked": y + tt.stack([y.detach()[:1], tt.ones(1)])[0],
        "in a buffer": tt.stack([y, buffer[1]]),
        "in place": y.clone().add_(y.detach()),
        "in place of a part": _with_first(y.clone(), y.detach()[0]),
        "around a part": _with_first(y.detach().clone(), w[0]),
        "by a function of one's own": y * _Product.apply(w, y.detach()),
    }
    for what, z in uses.items():
        graph = viz.graph([y.sum(), z.sum()]).graph
        targets = [graph.nodes[e.target].name for e in graph.edges if e.kind == "cut"]
        assert targets == ["tanh"], what


class _Product(tt.autograd.Function):
    @staticmethod
    def forward(ctx, a, b):
        return a * b

    @staticmethod
    def backward(ctx, g):
        return g, None


def _with_first(y: tt.Tensor, value: tt.Tensor) -> tt.Tensor:
    y[0] = value
    return y


def test_a_weight_detached_beside_itself_is_cut_at_the_leaf():
    layer = nn.Linear(3, 3)
    y = layer(tt.rand(2, 3)) @ layer.weight.detach().t()
    assert cuts(viz.graph(y.sum()).graph) == [("matmul", "b", "Linear", "")]


def test_data_is_no_cut_nor_is_what_cannot_have_a_gradient():
    x, given = tt.rand(4, 3), tt.rand(1, 4, 3)
    w = tt.rand(3, 3, requires_grad=True)
    y = x @ w
    number, array = y.max().item(), tt.from_numpy(y.detach().numpy())
    loss = (y * x).sum() * number + (y * array).sum() + (y * (y > 0)).sum()
    assert cuts(viz.graph(loss, inputs={"x": x, "w": w}).graph) == []
    for layer in (nn.LSTM(3, 3), nn.GRU(3, 3), nn.RNN(3, 3)):
        state = (given, given) if isinstance(layer, nn.LSTM) else given
        assert cuts(viz.graph(layer(tt.rand(2, 4, 3), state)[0]).graph) == []
        graph = viz.graph(layer(tt.rand(2, 4, 3), state)[0], inputs={"h_0": given}).graph
        assert cuts(graph) == []


def test_a_value_whose_graph_is_gone_or_not_drawn_is_cut_at_a_node_that_says_so():
    cell = nn.LSTMCell(2, 3)
    h, c = cell(tt.rand(1, 2))
    there = viz.graph(cell(tt.rand(1, 2), (h.detach(), c.detach()))[0])
    state = h.detach(), c.detach()
    del h, c
    gone = viz.graph(cell(tt.rand(1, 2), state)[0])
    for drawing in (there, gone):
        found = [node for node in drawing.graph.nodes if node.name == "detached"]
        texts = [f"from {name} of lstm_cell in LSTMCell" for name in "hc"]
        assert [node.note for node in found] == texts
        assert [cut[1:] for cut in cuts(drawing.graph)] == [
            ("c", "detached", ""), ("h", "detached", "")
        ]  # fmt: skip
        assert texts[0] in drawing.source


def test_the_uses_of_one_value_share_its_node():
    w = tt.rand(3, requires_grad=True)
    z = (w * 2).detach()
    graph = viz.graph((w * z).sum() + (w + z).sum()).graph
    assert [node.note for node in graph.nodes if node.name == "detached"] == ["from mul"]
    assert len(cuts(graph)) == 2


def test_of_a_parameter_that_is_not_drawn_the_name_is_said():
    target = nn.Linear(3, 3)
    nn.Sequential(target)
    x = tt.rand(3, requires_grad=True)
    graph = viz.graph((x * target.weight.detach()[0] * (x * 2).detach()).sum()).graph
    assert [node.note for node in graph.nodes if node.name == "detached"] == [
        "from mul", "from 0.weight"
    ]  # fmt: skip


@pytest.mark.parametrize("known", [False, True])
def test_what_was_computed_under_no_grad_is_a_cut(known):
    layer = nn.Linear(3, 3)
    x = tt.rand(2, 3)
    with viz.keep_values() if known else nullcontext(), tt.no_grad():
        target = layer(x).tanh()
    graph = viz.graph((layer(x) - target).square().sum()).graph
    if known:
        assert [cut[:2] for cut in cuts(graph)] == [("sub", "b")] * 2  # weight and bias
        assert "detached" not in [node.name for node in graph.nodes]
    else:
        assert cuts(graph) == [("sub", "b", "detached", "")]
        assert graph.nodes[-1].note == "computed under no_grad"


def test_a_detached_value_made_a_leaf_is_cut_from_where_it_came():
    w = tt.rand(3, requires_grad=True)
    y = w.tanh()
    x = y.detach().requires_grad_()
    used = x * 2 + x * w.detach()
    graph = viz.graph([y.sum(), used.sum(), x], inputs={"x": x, "w": w}).graph
    assert cuts(graph) == [("mul", "b", "w", ""), ("x", "", "tanh", "")]


def test_the_graph_of_a_gradient_has_the_cuts_of_its_forward_pass():
    w = tt.rand(3, requires_grad=True)
    y = w.tanh()
    loss = (w * y.detach()).square().sum() + y.sum()
    (g,) = tt.autograd.grad(loss, w, create_graph=True)
    forward = cuts(viz.graph(loss).graph)
    assert forward == [("mul", "b", "tanh", "")]
    assert forward * 2 == cuts(viz.graph(g.sum()).graph)  # w y, and its gradient times y


def test_the_graph_of_a_kernels_gradient_has_its_cuts_too():
    cell, x = nn.RNNCell(2, 3), tt.rand(1, 2)
    before = cell(x)
    after = cell(x, before.detach())
    (g,) = tt.autograd.grad(after.sum(), cell.weight_hh, create_graph=True)
    graph = viz.graph([before.sum(), g.sum()]).graph
    backward = [edge for edge in graph.edges if graph.nodes[edge.source].phase == "backward"]
    targets = {graph.nodes[edge.target].name for edge in backward if edge.kind == "cut"}
    assert targets == {"rnn_tanh_cell"}


@pytest.mark.parametrize("kernels", [False, True])
@pytest.mark.parametrize("batch", [(), (1,), (2,)])
@pytest.mark.parametrize("options", [{}, {"num_layers": 2}, {"bidirectional": True}])
@pytest.mark.parametrize("cls", [nn.LSTM, nn.GRU, nn.RNN])
def test_the_last_states_of_a_layer_handed_on_detached_are_cuts(cls, options, batch, kernels):
    layer = cls(2, 3, **options)
    with nullcontext() if kernels else tt.unrolled():
        output, state = layer(tt.rand(2, *batch, 2))
        loss = output.sum()
        parts = state if cls is nn.LSTM else (state,)
        state = tuple(part.detach() for part in parts)
        del parts
        output, _ = layer(tt.rand(2, *batch, 2), state if cls is nn.LSTM else state[0])
    graph = viz.graph(loss + output.sum(), detail="cell", collapse="off").graph
    found = cuts(graph)
    assert "detached" not in [node.name for node in graph.nodes]
    if kernels:
        assert len(found) == len(state)
    else:  # of each scan the first step is cut from the last one
        assert len(found) == len(state) * (2 if options else 1)
        for source, operand, target, name in found:
            assert operand == name
            first, last = ("t = 1", "t = 0") if "reverse" in source else ("t = 0", "t = 1")
            assert source.endswith(first)
            assert target == source.replace("call 2", "call 1").replace(first, last)


@pytest.mark.parametrize("detail", ["op", "cell", "step"])
def test_cuts_at_even_distances_stay_visible_when_steps_fold(detail):
    loss = loop(12, {4, 8}, True, False)
    graph = viz.graph(loss, detail=detail).graph
    assert sum(edge.count for edge in graph.edges if edge.kind == "cut") == 4
    labels = {cluster.label for cluster in graph.clusters}
    assert {"LSTMCell, call 5", "LSTMCell, call 9"} <= labels


@pytest.mark.parametrize(("k1", "k2"), [(2, 2), (2, 4), (4, 2)])
def test_a_window_of_truncated_backpropagation_begins_with_a_cut(k1, k2):
    cell, readout = nn.LSTMCell(2, 3), nn.Linear(3, 1)
    graphs = {}

    def step(x, state):
        h, c = cell(x, state)
        return readout(h), (h, c)

    def loss_fn(y, t):
        if y.requires_grad:
            graphs[t] = viz.graph(y, collapse="off").graph
        return y.sum()

    list(truncated(step, tt.rand(8, 1, 2), None, loss_fn, k1=k1, k2=k2))
    graph = graphs[7]
    assert len([node for node in graph.nodes if node.name == "lstm_cell"]) == k2
    first = "LSTMCell, call 1"
    assert cuts(graph) == [(first, "c", "detached", ""), (first, "h", "detached", "")]
    notes = {node.note for node in graph.nodes if node.name == "detached"}
    if k1 > k2:  # the steps before ran without a graph
        assert notes == {"computed under no_grad"}
    else:
        assert notes == {f"from {name} of lstm_cell in LSTMCell" for name in "hc"}
    assert 0 not in graphs or cuts(graphs[0]) == []


def test_a_picture_says_what_its_cuts_are():
    drawing = viz.graph(loop(4, {2}, True, True))
    assert "✂: detached, no gradient flows there" in drawing.source
    assert drawing.source.count("✂ h") == drawing.source.count("✂ c") == 1
    assert b"\xe2\x9c\x82" in drawing.pipe("svg")
    assert "✂" not in viz.graph(loop(4, set(), True, True)).source
