"""Levels of detail: what becomes one node, what stays, and that nothing is lost on the way."""

import os
import xml.etree.ElementTree as ET
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tinytensor as tt
from tinytensor import nn, viz
from tinytensor.autograd.scope import scope
from tinytensor.nn.own_cells import LSTM1997Cell, Recurrent
from tinytensor.viz import extract
from tinytensor.viz.detail import DETAILS, at_detail
from tinytensor.viz.fold import fold
from tinytensor.viz.structure import Graph, Node

FOLDER = Path(__file__).parent / "golden" / "detail"
OVERWRITE = "TINYTENSOR_OVERWRITE_GOLDEN" in os.environ
SVG = "{http://www.w3.org/2000/svg}"
TEXT = f"{SVG}text"
LEVELS = [detail for detail in DETAILS if detail != "op"]


def unrolled(module: nn.Module, x: tt.Tensor, *state: Any, **options: Any) -> tt.Tensor:
    with tt.unrolled():
        return module(x, *state, **options)[0].sum()


def own_loop(cell: nn.Module, steps: int, readout: nn.Module | None = None) -> tt.Tensor:
    """A learner's loop over a cell, with a loss at each step; every operation is recorded."""
    loss = tt.zeros(())
    with tt.unrolled():
        state = None
        for _ in range(steps):
            state = cell(tt.rand(1, 2), state)
            h = state[0] if isinstance(state, tuple) else state
            loss = loss + (h if readout is None else readout(h)).square().sum()
    return loss


def from_scratch(steps: int) -> tt.Tensor:
    """An LSTM of nothing but operations, with its gates in another order and in slices."""
    w, u = tt.rand(8, 3, requires_grad=True), tt.rand(8, 2, requires_grad=True)
    h, c = tt.zeros(1, 2), tt.zeros(1, 2)
    for _ in range(steps):
        z = tt.rand(1, 3) @ w.T + h @ u.T
        o, f, i = z[:, 0:2].sigmoid(), z[:, 2:4].sigmoid(), z[:, 4:6].sigmoid()
        c = z[:, 6:8].tanh() * i + c * f
        h = c.tanh() * o
    return h.sum()


class Textbook(nn.Module):
    """A GRU as textbooks have it: h' = (1 - z) n + z h, the reset gate before the product."""

    def __init__(self) -> None:
        super().__init__()
        self.x = nn.Linear(2, 9)
        self.h_rz = nn.Linear(3, 6)
        self.h_n = nn.Linear(3, 3)

    def forward(self, x: tt.Tensor, h: tt.Tensor | None) -> tt.Tensor:
        h = tt.zeros(1, 3) if h is None else h
        x_r, x_z, x_n = self.x(x).chunk(3, -1)
        h_r, h_z = self.h_rz(h).chunk(2, -1)
        z = (x_z + h_z).sigmoid()
        n = (x_n + self.h_n((x_r + h_r).sigmoid() * h)).tanh()
        return (1 - z) * n + z * h


MODELS: dict[str, Callable[[], tt.Tensor]] = {
    "lstm": lambda: unrolled(nn.LSTM(2, 3, 2, bidirectional=True), tt.rand(5, 1, 2)),
    "gru": lambda: unrolled(nn.GRU(2, 3, 2), tt.rand(5, 1, 2)),
    "rnn": lambda: unrolled(
        nn.RNN(2, 3, bidirectional=True, nonlinearity="relu"), tt.rand(5, 1, 2)
    ),
    "projected": lambda: unrolled(nn.LSTM(2, 3, proj_size=2), tt.rand(5, 1, 2)),
    "lengths": lambda: unrolled(nn.LSTM(2, 3), tt.rand(5, 2, 2), lengths=[5, 2]),
    "own": lambda: unrolled(Recurrent(LSTM1997Cell, 2, 3), tt.rand(5, 1, 2)),
    "loop": lambda: own_loop(nn.LSTMCell(2, 3), 5, nn.Linear(3, 1)),
    "textbook": lambda: own_loop(Textbook(), 5),
    "scratch": lambda: from_scratch(5),
    "second": lambda: second_order(),
    "fused": lambda: nn.LSTM(2, 3)(tt.rand(5, 1, 2))[0].sum(),
    "perceptron": lambda: nn.Sequential(nn.Linear(2, 3), nn.Tanh())(tt.rand(1, 2)).sum(),
}


def second_order() -> tt.Tensor:
    rnn = nn.RNN(2, 3)
    (slope,) = tt.autograd.grad(
        unrolled(rnn, tt.rand(4, 1, 2)), rnn.weight_hh_l0, create_graph=True
    )
    return slope.square().sum()


def whole(outputs: Any, **options: Any) -> Graph:
    return extract(outputs, max_nodes=None, **options)


def cells(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes if node.diagram is not None]


def named(graph: Graph) -> Counter[str]:
    return Counter(node.name for node in graph.nodes if node.kind == "operation")


def links(graph: Graph, output: str) -> list[tuple[str, str]]:
    """Between which frames the edges lead that carry this output."""
    return [
        (graph.place(graph.nodes[e.source]).split(" / ")[-1], graph.place(graph.nodes[e.target]))
        for e in graph.edges
        if e.output == output and graph.nodes[e.source].diagram is not None
    ]


# -- nothing is lost -------------------------------------------------------------------------------


def operations_in(graph: Graph) -> Counter[str]:
    found: Counter[str] = Counter()
    for node in graph.nodes:
        if node.kind == "operation":
            found.update(dict(node.parts or [(node.name, 1)]))
    return found


def leaves_below(graph: Graph) -> dict[str, set[int]]:
    """For each output the leaves that a gradient reaches, by a walk over all edges."""
    targets = defaultdict(list)
    for edge in graph.edges:
        targets[edge.source].append(edge.target)
    found = {}
    for node in graph.nodes:
        if node.kind == "output":
            seen, stack = set(), [node.number]
            while stack:
                number = stack.pop()
                if number not in seen:
                    seen.add(number)
                    stack += targets[number]
            leaves = [graph.nodes[n] for n in seen if graph.nodes[n].kind in ("parameter", "input")]
            found[node.name] = Counter((leaf.name, leaf.values) for leaf in leaves)
    return found


def uses_of_leaves(graph: Graph) -> Counter[tuple[str, Any]]:
    found: Counter[tuple[str, Any]] = Counter()
    for edge in graph.edges:
        target = graph.nodes[edge.target]
        if target.kind in ("parameter", "input"):
            found[target.name, target.values] += edge.count
    return found


@pytest.mark.parametrize("detail", LEVELS)
@pytest.mark.parametrize("name", MODELS)
def test_every_operation_every_leaf_and_every_use_of_one_is_still_there(name, detail):
    graph = whole(MODELS[name]())
    small = at_detail(graph, detail)
    assert operations_in(small) == operations_in(graph)
    assert leaves_below(small) == leaves_below(graph)
    assert uses_of_leaves(small) == uses_of_leaves(graph)
    assert [node.number for node in small.nodes] == list(range(len(small.nodes)))
    assert [cluster.number for cluster in small.clusters] == list(range(len(small.clusters)))
    for cluster in small.clusters:
        assert cluster.parent is None or cluster.parent < cluster.number


@pytest.mark.parametrize("name", MODELS)
def test_each_level_draws_no_more_than_the_one_before(name):
    graph = whole(MODELS[name]())
    sizes = [len(at_detail(graph, detail).nodes) for detail in DETAILS]
    assert sizes[0] == len(graph.nodes)
    assert sizes[:4] == sorted(sizes[:4], reverse=True)


@pytest.mark.parametrize("detail", LEVELS)
def test_the_graph_that_was_given_stays_as_it_is(detail):
    graph = whole(MODELS["lstm"]())
    twin = whole(MODELS["lstm"]())
    at_detail(graph, detail)
    assert graph == twin


def test_an_unknown_level_is_an_error_that_lists_the_known():
    with pytest.raises(ValueError, match="detail to be one of op, cell, step, layer, module, got"):
        viz.graph(MODELS["perceptron"](), detail="gate")


# -- cells -----------------------------------------------------------------------------------------


def test_each_step_of_an_lstm_is_a_diagram_of_its_gates():
    graph = at_detail(whole(MODELS["lstm"]()), "cell")
    found = cells(graph)
    assert len(found) == 2 * 2 * 5
    for cell in found:
        assert cell.diagram.inputs == ("x", "h", "c")
        assert cell.diagram.gates == ("i σ", "f σ", "g tanh", "o σ")
        assert [value.name for value in cell.values] == ["h", "c"]
        assert [value.shape for value in cell.values] == [(1, 3), (1, 3)]
    assert named(graph) == {"LSTM cell": 20, "stack": 4, "cat": 2, "sum": 1, "unbind": 2}


def test_h_and_c_lead_from_each_step_to_the_one_before_in_its_direction():
    graph = at_detail(whole(unrolled(nn.LSTM(2, 3, bidirectional=True), tt.rand(4, 1, 2))), "cell")
    expected = [
        (f"t = {a}", f"LSTM / layer 0 / {direction} / t = {b}")
        for direction, pairs in (
            ("reverse", [(0, 1), (1, 2), (2, 3)]),
            ("forward", [(3, 2), (2, 1), (1, 0)]),
        )
        for a, b in pairs
    ]
    assert links(graph, "h") == links(graph, "c") == expected


@pytest.mark.parametrize(
    ("name", "title", "gates", "count"),
    [
        ("gru", "GRU cell", ("r σ", "z σ", "n tanh"), 10),
        ("textbook", "GRU cell", ("r σ", "z σ", "n tanh"), 5),
        ("rnn", "RNN cell", ("relu",), 10),
        ("projected", "LSTM cell", ("i σ", "f σ", "g tanh", "o σ"), 5),
        ("loop", "LSTM cell", ("i σ", "f σ", "g tanh", "o σ"), 5),
        ("scratch", "LSTM cell", ("i σ", "f σ", "g tanh", "o σ"), 5),
        ("lengths", "LSTM cell", ("i σ", "f σ", "g tanh", "o σ"), 5),
    ],
)
def test_a_cell_is_recognised_by_what_it_computes(name, title, gates, count):
    found = cells(at_detail(whole(MODELS[name]()), "cell"))
    assert [cell.name for cell in found] == [title] * count
    assert all(cell.diagram.gates == gates for cell in found)


def test_the_projected_h_is_the_h_that_leaves_the_cell():
    for cell in cells(at_detail(whole(MODELS["projected"]()), "cell")):
        assert [(value.name, value.shape) for value in cell.values] == [
            ("h", (1, 2)),
            ("c", (1, 3)),
        ]
        assert dict(cell.parts)["linear"] == 3


def test_recurrent_dropout_is_part_of_the_cell():
    lstm = nn.LSTM(2, 3, recurrent_dropout=0.5)
    plain = cells(at_detail(whole(unrolled(nn.LSTM(2, 3), tt.rand(4, 1, 2))), "cell"))
    dropped = cells(at_detail(whole(unrolled(lstm, tt.rand(4, 1, 2))), "cell"))
    assert [dict(cell.parts)["mul"] for cell in plain] == [3, 3, 3, 3]
    assert [dict(cell.parts)["mul"] for cell in dropped] == [4, 4, 4, 3]


def test_a_loss_of_the_last_c_shows_the_gates_that_it_depends_on():
    lstm = nn.LSTM(2, 3)
    with tt.unrolled():
        _, (_, c) = lstm(tt.rand(3, 1, 2))
    newest, *older = cells(at_detail(whole(c), "cell"))
    assert newest.diagram.gates == ("i σ", "f σ", "g tanh")
    assert {cell.diagram.gates for cell in older} == {("i σ", "f σ", "g tanh", "o σ")}


def test_states_that_are_asked_for_leave_by_the_fields_of_their_gates():
    lstm = nn.LSTM(2, 3)
    with tt.unrolled():
        _, _, states = lstm(tt.rand(2, 1, 2), return_states=True)
    graph = at_detail(whole([states.layer(0).c, states.layer(0).f]), "cell")
    stacks = [node.number for node in graph.nodes if node.name == "stack"]
    read = [edge.output for edge in graph.edges if edge.source in stacks]
    assert Counter(read) == {"c": 2, "f": 2}


def test_the_steps_of_another_cell_are_one_node_each():
    graph = at_detail(whole(MODELS["own"]()), "cell")
    assert named(graph) == {"Recurrent step": 5, "stack": 1, "sum": 1}
    assert cells(graph) == []


def test_tanh_layers_that_are_no_recurrent_net_are_no_cells():
    x = tt.rand(1, 2)
    a, b = nn.Linear(2, 3), nn.Linear(2, 3)
    graph = whole((a(x) + b(x)).tanh().sum())
    assert at_detail(graph, "cell") == graph


def test_what_a_cell_reads_twice_from_one_place_are_two_edges():
    cell = nn.RNNCell(3, 3)
    h = tt.zeros(1, 3)
    with tt.unrolled():
        for _ in range(3):
            h = cell(h, h)
    graph = at_detail(whole(h), "cell")
    recurrent = [(edge.operand, edge.output) for edge in graph.edges if edge.operand in ("x", "h")]
    assert sorted(recurrent) == [("h", "h"), ("h", "h"), ("x", "h"), ("x", "h")]


def test_kernels_stay_as_they_are():
    cell = nn.LSTMCell(2, 3)
    h = c = tt.zeros(1, 3)
    for t in range(3):
        with scope(f"step {t}"):
            h, c = cell(tt.rand(1, 2), (h, c))
    graph = whole(h)
    assert at_detail(graph, "cell") == at_detail(graph, "step") == graph


# -- steps, layers, modules ------------------------------------------------------------------------


def test_a_step_is_one_node_that_says_what_it_is_made_of():
    graph = at_detail(whole(MODELS["gru"]()), "step")
    steps = [node for node in graph.nodes if node.name == "GRU step"]
    assert len(steps) == 10
    assert {len(graph.place(step).split(" / ")) for step in steps} == {4}
    assert dict(steps[0].parts) == {
        "add": 4, "linear": 2, "mul": 2, "sigmoid": 2, "split": 2, "sub": 1, "tanh": 1,
    }  # fmt: skip


def test_a_numbered_scope_around_a_users_step_is_one_step():
    cell, readout = nn.LSTMCell(2, 3), nn.Linear(3, 1)
    loss, state = tt.zeros(()), None
    with tt.unrolled():
        for t in range(3):
            with scope(f"word {t}"):
                state = cell(tt.rand(1, 2), state)
                loss = loss + readout(state[0]).sum()
    graph = at_detail(whole(loss), "step")
    assert named(graph) == {"word …": 3}
    (newest, *_) = [node for node in graph.nodes if node.name == "word …"]
    assert [value.name for value in newest.values] == [""]
    assert named(at_detail(whole(loss), "cell"))["LSTM cell"] == 3


def test_a_numbered_scope_around_a_whole_sequence_is_no_step():
    lstm = nn.LSTM(2, 3)
    with scope("epoch 1"):
        loss = unrolled(lstm, tt.rand(4, 1, 2))
    assert named(at_detail(whole(loss), "step"))["LSTM step"] == 4


def test_a_layer_is_one_node_for_each_direction_with_counted_uses_of_its_weights():
    graph = at_detail(whole(MODELS["lstm"]()), "layer")
    assert named(graph) == {"LSTM layer": 4, "cat": 2, "sum": 1}
    assert Counter(
        edge.count for edge in graph.edges if graph.nodes[edge.target].kind == "parameter"
    ) == {5: 16}


def test_a_module_is_one_node_for_each_call():
    lstm, head = nn.LSTM(2, 3), nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    with tt.unrolled():
        y, _ = lstm(tt.rand(4, 1, 2))
        again, _ = lstm(tt.rand(4, 1, 2))
    graph = at_detail(whole(head(y + again).sum()), "module")
    assert named(graph) == {"LSTM": 2, "add": 1, "linear": 2, "tanh": 1, "sum": 1}
    assert len([node for node in graph.nodes if node.kind == "parameter"]) == 8


def test_a_layer_of_cells_is_one_module_though_it_has_modules_in_its_steps():
    assert named(at_detail(whole(MODELS["own"]()), "module")) == {"Recurrent": 1, "sum": 1}


def test_what_the_backward_pass_recorded_in_a_step_is_a_node_of_its_own():
    graph = at_detail(whole(MODELS["second"]()), "step")
    counts = named(graph)
    assert counts["RNN step"] == 4
    assert counts["RNN step, backward pass"] >= 3
    assert {n.phase for n in graph.nodes if n.name == "RNN step, backward pass"} == {"backward"}


def test_lines_and_heat_of_the_outputs_stay_with_the_cell():
    lstm = nn.LSTM(2, 3)
    loss = unrolled(lstm, tt.rand(3, 1, 2))
    drawing = viz.graph(loss, detail="cell", show=("norms",), color="norm", collapse="off")
    for cell in cells(drawing.graph):
        assert 0 <= cell.heat <= 1
        assert any(line.startswith("h: ‖") or line.startswith("‖") for line in cell.lines)


@pytest.mark.parametrize("detail", LEVELS)
def test_what_operations_keep_is_drawn_for_those_that_are_drawn(detail):
    for name in ("loop", "fused"):
        full = whole(MODELS[name](), show_saved=True)
        graph = at_detail(full, detail)
        boxes = {node.number for node in graph.nodes if node.kind == "saved"}
        kept = [edge for edge in graph.edges if edge.kind == "kept"]
        assert {edge.target for edge in kept} == boxes
        assert len(kept) == len(boxes)
        assert not any(graph.nodes[edge.source].parts for edge in kept)
        assert (name == "fused") <= any(node.kernel for node in graph.nodes)


# -- folding, and the drawing ----------------------------------------------------------------------


@pytest.mark.parametrize("detail", ["cell", "step"])
@pytest.mark.parametrize("cls", [nn.LSTM, nn.GRU, nn.RNN])
def test_folded_it_is_as_small_for_any_number_of_steps(cls, detail):
    sizes = set()
    for steps in (12, 40):
        loss = unrolled(cls(2, 3, 2, bidirectional=True), tt.rand(steps, 1, 2))
        drawing = viz.graph(loss, detail=detail)
        sizes.add(len(drawing.graph.nodes))
        assert drawing.unfolded().graph == at_detail(whole(loss), detail)
    assert len(sizes) == 1
    assert sizes.pop() < 50


@pytest.mark.parametrize("change", ["operation", "dropped"])
@pytest.mark.parametrize("detail", ["cell", "step"])
def test_a_step_that_differs_inside_is_not_folded(detail, change):
    cell = nn.RNNCell(2, 3)
    h = tt.zeros(1, 3)
    with tt.unrolled():
        for t in range(12):
            cell.nonlinearity = "relu" if t == 6 and change == "operation" else "tanh"
            if t == 6 and change == "dropped":
                h = h * 2
            h = cell(tt.rand(1, 2), h)
    folded = fold(at_detail(whole(h), detail), "auto")
    labels = [cluster.label for cluster in folded.clusters]
    assert "RNNCell, call 7" in labels


@pytest.mark.long
def test_a_thousand_steps_of_two_layers_both_ways_fold_to_under_150_nodes():
    loss = unrolled(nn.LSTM(4, 8, 2, bidirectional=True), tt.rand(1000, 1, 4))
    assert len(viz.graph(loss, detail="cell").graph.nodes) < 150


@pytest.mark.parametrize("view", ["backward", "forward"])
@pytest.mark.parametrize("direction", ["TB", "BT", "LR", "RL"])
def test_the_picture_has_the_fields_of_every_cell(direction, view):
    drawing = viz.graph(MODELS["lstm"](), detail="cell", direction=direction, view=view)
    groups = {g.get("id"): g for g in ET.fromstring(drawing.pipe("svg")).iter(f"{SVG}g")}
    for cell in cells(drawing.graph):
        texts = [text.text for text in groups[cell.id].iter(f"{SVG}text")]
        expected = ["h (1, 3)", "c (1, 3)", "LSTM cell", *cell.diagram.gates, "x", "h", "c"]
        assert sorted(texts) == sorted(expected)
        places = {
            t.text: (float(t.get("x")), float(t.get("y"))) for t in groups[cell.id].iter(TEXT)
        }
        towards = [b - a for a, b in zip(places["c (1, 3)"], places["x"], strict=True)]
        along = towards[0] if direction in ("LR", "RL") else towards[1]
        assert (along > 0) == ((direction in ("TB", "LR")) == (view == "backward"))
    assert all(f"e{number}" in groups for number in range(len(drawing.graph.edges)))


@pytest.mark.parametrize("detail", LEVELS)
@pytest.mark.parametrize("model", ["lstm", "gru", "loop"])
def test_each_level_draws_as_its_golden_dot_text(model, detail):
    source = viz.graph(golden(model), detail=detail).source
    path = FOLDER / f"{model}_{detail}.dot"
    if OVERWRITE:
        path.write_text(source, "utf-8")
    assert source == path.read_text("utf-8")


def golden(model: str) -> tt.Tensor:
    if model == "loop":
        return own_loop(nn.LSTMCell(2, 3), 3, nn.Linear(3, 1))
    if model == "lstm":
        return unrolled(nn.LSTM(2, 3, bidirectional=True), tt.rand(2, 1, 2))
    return unrolled(nn.GRU(2, 3), tt.rand(8, 1, 2))
