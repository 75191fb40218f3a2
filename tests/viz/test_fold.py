"""Folded time steps: what becomes one block, what stays visible, and that nothing is lost."""

import re
import sys
from collections import Counter
from contextlib import nullcontext

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinytensor as tt
from benchmarks import drawings
from tests.viz.models import GOLDEN
from tinytensor import nn, viz
from tinytensor.autograd.scope import Scope, scope
from tinytensor.nn.utils.rnn import pack_padded_sequence
from tinytensor.viz import extract
from tinytensor.viz.fold import fold, unfold
from tinytensor.viz.structure import Edge, Graph

LAYERS = [nn.LSTM, nn.GRU, nn.RNN]


def whole(outputs, **options) -> Graph:
    return extract(outputs, max_nodes=None, **options)


def blocks(graph: Graph) -> list[str]:
    return [cluster.label for cluster in graph.clusters if cluster.kind == "block"]


def steps(graph: Graph) -> list[str]:
    """The time steps and calls that are drawn, each once."""
    return sorted({c.label for c in graph.clusters if c.kind in ("step", "module")})


def recurrent(graph: Graph) -> list[Edge]:
    return [edge for edge in graph.edges if edge.label]


def unrolled(module, x, **options) -> Graph:
    with tt.unrolled():
        output, _ = module(x, **options)
    return whole(output)


def own_loop(length, cell=None, change=lambda t, h: h) -> tt.Tensor:
    """A learner's loop over a cell; returns the last h."""
    cell = cell or nn.LSTMCell(2, 3)
    h = c = tt.zeros(1, 3)
    for t in range(length):
        h, c = cell(tt.rand(1, 2), (change(t, h), c))
    return h


def without_index(name: str) -> str:
    return re.sub(r"\[(\d+|\d+ … \d+)\]$", "[]", name)


def check_nothing_is_lost(full: Graph, folded: Graph) -> None:
    """Whatever is drawn stands for nodes and edges of the whole graph, each of them once."""
    assert unfold(folded) == full
    if folded is full:
        return
    drawn = {each: number for number, found in enumerate(folded.members) for each in found}
    assert sorted(n for found in folded.members for n in found) == list(range(len(full.nodes)))
    for node, members in zip(folded.nodes, folded.members, strict=True):
        assert node.count == len(members)
        for each in members:
            original = full.nodes[each]
            assert (node.kind, node.values, node.note) == (
                original.kind,
                original.values,
                original.note,
            )
            assert without_index(node.name) == without_index(original.name)
    expected: Counter[tuple[object, ...]] = Counter()
    for edge in full.edges:
        names = (without_index(edge.operand), without_index(edge.output))
        expected[drawn[edge.source], drawn[edge.target], edge.kind, names] += edge.count
    found: Counter[tuple[object, ...]] = Counter()
    for edge in folded.edges:
        names = (without_index(edge.operand), without_index(edge.output))
        found[edge.source, edge.target, edge.kind, names] += edge.count
    assert found == expected
    check_members_do_the_same(full, folded)
    for number, cluster in enumerate(folded.clusters):
        assert cluster.number == number
        assert cluster.parent is None or cluster.parent < number


def check_members_do_the_same(full: Graph, folded: Graph) -> None:
    """All that one node stands for have the same operands, and are used in the same way."""
    around: list[Counter[tuple[object, ...]]] = [Counter() for _ in full.nodes]
    for edge in full.edges:
        names = (edge.kind, without_index(edge.operand), without_index(edge.output))
        source, target = full.nodes[edge.source], full.nodes[edge.target]
        around[edge.source]["to", names, without_index(target.name), target.values] += 1
        around[edge.target]["from", names, without_index(source.name), source.values] += 1
    for members in folded.members:
        assert all(around[each] == around[members[0]] for each in members)


# -- what folds ------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_each_layer_and_direction_folds_into_the_first_step_a_block_and_the_last(
    layer, num_layers, bidirectional
):
    module = layer(2, 3, num_layers=num_layers, bidirectional=bidirectional)
    full = unrolled(module, tt.rand(30, 1, 2))
    folded = fold(full)
    check_nothing_is_lost(full, folded)
    scans = num_layers * (2 if bidirectional else 1)
    assert blocks(folded) == ["t = 1 … 28 ×28"] * scans
    kept = Counter(c.label for c in folded.clusters if c.kind == "step")
    assert kept == {"t = 0": scans, "t = 29": scans}
    assert {edge.label for edge in recurrent(folded)} == ({"h", "c"} if layer is nn.LSTM else {"h"})
    for direction in (c for c in folded.clusters if c.kind == "direction"):
        inside = [n for n in folded.nodes if direction in folded.enclosing(n.cluster)]
        assert len(inside) < 60


def test_a_thousand_steps_of_two_bidirectional_layers_are_as_few_nodes_as_thirty():
    module = nn.LSTM(2, 3, num_layers=2, bidirectional=True)
    short, long = (fold(unrolled(module, tt.rand(T, 1, 2))) for T in (30, 1000))
    assert len(long.nodes) == len(short.nodes)
    assert len(long.edges) == len(short.edges)
    assert blocks(long) == ["t = 1 … 998 ×998"] * 4


def test_recurrent_edges_lead_from_each_step_to_the_state_of_the_one_before():
    module = nn.LSTM(2, 3)
    folded = fold(unrolled(module, tt.rand(10, 1, 2)))
    found = Counter()
    for edge in recurrent(folded):
        source, target = (folded.nodes[n] for n in (edge.source, edge.target))
        where = [folded.clusters[n.cluster].label for n in (source, target)]
        found[edge.label, source.name, target.name, *where] += edge.count
    newest, block, oldest = "t = 9", "t = 1 … 8 ×8", "t = 0"
    h, c = ("h", "linear", "mul"), ("c", "mul", "add")
    assert found == {
        (*h, newest, block): 1,
        (*c, newest, block): 1,
        (*h, block, block): 7,
        (*c, block, block): 7,
        (*h, block, oldest): 1,
        (*c, block, oldest): 1,
    }


def test_a_parameter_is_drawn_once_with_a_counted_edge():
    folded = fold(unrolled(nn.GRU(2, 3), tt.rand(10, 1, 2)))
    parameters = [node for node in folded.nodes if node.kind == "parameter"]
    assert len(parameters) == 4
    for node in parameters:
        counts = [edge.count for edge in folded.edges if edge.target == node.number]
        assert counts == [1, 8, 1]


@pytest.mark.parametrize("cell", [nn.LSTMCell, nn.GRUCell, nn.RNNCell])
@pytest.mark.parametrize("kernels", [False, True])
def test_a_loop_of_ones_own_over_a_cell_folds(cell, kernels):
    module = cell(2, 3)
    x = tt.rand(12, 1, 2, requires_grad=True)
    state = (tt.zeros(1, 3),) * 2 if cell is nn.LSTMCell else tt.zeros(1, 3)
    with nullcontext() if kernels else tt.unrolled():
        for t in range(12):
            state = module(x[t], state)
    h = state[0] if cell is nn.LSTMCell else state
    full = whole(h, inputs={"x": x})
    folded = fold(full)
    check_nothing_is_lost(full, folded)
    assert blocks(folded) == [f"{cell.__name__}, calls 2 … 11 ×10"]
    assert f"{cell.__name__}, call 1" in steps(folded)
    assert f"{cell.__name__}, call 12" in steps(folded)
    assert {e.label for e in recurrent(folded)} == ({"h", "c"} if cell is nn.LSTMCell else {"h"})
    if kernels:
        assert [n.count for n in folded.nodes if n.kernel] == [1, 10, 1]


def test_cells_without_a_batch_have_their_states_named_too():
    cell = nn.LSTMCell(2, 3)
    h = c = tt.zeros(3)
    for _ in range(10):
        h, c = cell(tt.rand(2), (h, c))
    assert {edge.label for edge in recurrent(fold(whole(h)))} == {"h", "c"}


def test_what_lies_loose_in_a_loop_folds_with_its_step():
    cell, head = nn.LSTMCell(2, 3), nn.Linear(3, 1)
    h = c = tt.zeros(1, 3)
    loss = tt.zeros(())
    for _ in range(20):
        h, c = cell(tt.rand(1, 2), (h, c))
        loss = loss + (head(h) ** 2).sum()
    full = whole(loss)
    folded = fold(full)
    check_nothing_is_lost(full, folded)
    assert blocks(folded) == ["LSTMCell, calls 2 … 19 ×18"]
    assert Counter(node.name for node in folded.nodes)["pow"] == 3
    assert {edge.label for edge in recurrent(folded)} == {"h", "c", "sum"}


def test_two_cells_called_in_turn_are_one_step():
    lower, upper = nn.GRUCell(2, 3), nn.GRUCell(3, 3)
    a = b = tt.zeros(1, 3)
    for _ in range(15):
        a = lower(tt.rand(1, 2), a)
        b = upper(a, b)
    full = whole(b)
    folded = fold(full)
    check_nothing_is_lost(full, folded)
    assert [c.count for c in folded.clusters if c.kind == "block"] == [13]
    assert sum(node.kernel for node in folded.nodes) == 6


def test_an_encoder_and_a_decoder_fold_each_for_itself():
    encoder, decoder = nn.GRUCell(2, 3), nn.GRUCell(2, 3)
    h = tt.zeros(1, 3)
    for _ in range(10):
        h = encoder(tt.rand(1, 2), h)
    for _ in range(12):
        h = decoder(tt.rand(1, 2), h)
    full = whole(h)
    folded = fold(full)
    check_nothing_is_lost(full, folded)
    assert sorted(c.count for c in folded.clusters if c.kind == "block") == [8, 10]


def test_loops_within_loops_fold_from_the_inside():
    module = nn.GRU(2, 3)
    state = tt.zeros(1, 1, 3)
    with tt.unrolled():
        for _ in range(8):
            _, state = module(tt.rand(10, 1, 2), state)
    full = whole(state)
    folded = fold(full)
    check_nothing_is_lost(full, folded)
    counts = {c.label: c.count for c in folded.clusters if c.kind == "block"}
    assert counts == {"GRU, calls 2 … 7 ×6": 6, "t = 1 … 8 ×8": 8}
    assert max(node.count for node in folded.nodes) == 6 * 8


def test_outputs_and_inputs_of_each_step_fold_with_it():
    cell = nn.GRUCell(2, 3)
    h = tt.zeros(1, 3)
    outputs, inputs = [], {}
    for t in range(10):
        inputs[f"x[{t}]"] = tt.rand(1, 2, requires_grad=True)
        h = cell(inputs[f"x[{t}]"], h)
        outputs.append(h)
    full = whole(outputs, inputs=inputs)
    folded = fold(full)
    check_nothing_is_lost(full, folded)
    named = {node.name: node.count for node in folded.nodes if node.kind != "operation"}
    assert named["output[1 … 8]"] == 8
    assert named["x[1 … 8]"] == 8
    assert {"output[0]", "output[9]", "x[0]", "x[9]"} <= set(named)


def test_scopes_of_ones_own_that_differ_by_a_number_are_steps():
    w = tt.rand(3, requires_grad=True)
    h = tt.zeros(3)
    for t in range(10):
        with scope(f"time {t}"):
            h = tt.tanh(w * h + w)
    full = whole(h)
    folded = fold(full)
    check_nothing_is_lost(full, folded)
    assert blocks(folded) == ["time 1 … time 8 ×8"]
    assert {edge.label for edge in recurrent(folded)} == {"h"}


def test_calls_that_do_not_read_each_other_fold_too_and_the_first_and_last_stay():
    head = nn.Linear(3, 1)
    full = whole(tt.stack([head(row) for row in tt.rand(10, 3).unbind(0)]))
    folded = fold(full)
    check_nothing_is_lost(full, folded)
    assert blocks(folded) == ["Linear, calls 2 … 9 ×8"]
    assert steps(folded) == ["Linear, call 1", "Linear, call 10"]
    assert recurrent(folded) == []


def test_what_one_loop_reads_of_another_is_no_state():
    w = tt.rand(3, requires_grad=True)
    first, second = [tt.zeros(3)], [tt.zeros(3)]
    for name, found in (("lower", first), ("upper", second)):
        with scope(name):
            for t in range(10):
                with Scope("step", t):
                    below = first[t + 1] if found is second else w
                    found.append(tt.tanh(found[-1] * w + below))
    full = whole(second[-1])
    folded = fold(full)
    check_nothing_is_lost(full, folded)
    assert len(blocks(folded)) == 2
    for edge in recurrent(folded):
        ends = [folded.place(folded.nodes[n]).split(" / ")[0] for n in (edge.source, edge.target)]
        assert ends[0] == ends[1]


# -- what stays ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in GOLDEN if not name.startswith("folded")])
def test_a_graph_without_many_time_steps_does_not_change(name):
    outputs, options = GOLDEN[name]()
    full = extract(outputs, inputs=options.get("inputs"))
    assert fold(full) is full


def test_a_step_with_dropout_stays_visible():
    h = own_loop(30, change=lambda t, h: h * tt.ones(1, 3) if t == 15 else h)
    full = whole(h)
    folded = fold(full)
    check_nothing_is_lost(full, folded)
    assert [node.count for node in folded.nodes if node.name == "mul"] == [1]
    assert "LSTMCell, call 16" in steps(folded)
    assert len(blocks(folded)) == 2


def test_a_step_with_dropout_inside_of_the_cell_stays_visible():
    class Cell(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 3)
            self.rate = 0.0

        def forward(self, h):
            h = tt.tanh(self.linear(h))
            return nn.functional.dropout(h, self.rate) if self.rate else h

    cell = Cell()
    h = tt.zeros(1, 3)
    for t in range(30):
        cell.rate = 0.5 if t == 15 else 0.0
        h = cell(h)
    full = whole(h)
    folded = fold(full)
    check_nothing_is_lost(full, folded)
    assert "Cell, call 16" in steps(folded)
    # The call after it reads what no other call does.
    assert sorted(c.count for c in folded.clusters if c.kind == "block") == [12, 14]


def test_a_step_that_starts_from_a_detached_state_stays_visible():
    h = own_loop(30, change=lambda t, h: h.detach() if t == 15 else h)
    full = whole(h)
    folded = fold(full)
    check_nothing_is_lost(full, folded)
    assert "LSTMCell, call 16" in steps(folded)
    (cell,) = (n for n in folded.nodes if folded.place(n) == "LSTMCell, call 16" and n.kernel)
    assert [e.label for e in folded.edges if e.source == cell.number and e.label] == ["c"]


def test_a_step_that_the_loss_reads_stays_visible():
    cell = nn.GRUCell(2, 3)
    h = tt.zeros(1, 3)
    kept = []
    for t in range(30):
        h = cell(tt.rand(1, 2), h)
        if t in (10, 20, 29):
            kept.append(h)
    full = whole(tt.stack(kept).sum())
    folded = fold(full)
    check_nothing_is_lost(full, folded)
    assert {f"GRUCell, call {n}" for n in (1, 11, 21, 30)} <= set(steps(folded))


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_steps_at_which_sequences_end_stay_visible(layer, bidirectional):
    module = layer(2, 3, bidirectional=bidirectional)
    x = pack_padded_sequence(tt.rand(30, 2, 2), [30, 15])
    with tt.unrolled():
        output, _ = module(x)
    full = whole(output.data)
    folded = fold(full)
    check_nothing_is_lost(full, folded)
    places = {folded.place(n) for n in folded.nodes if n.count == 1 and n.kind == "operation"}
    assert any(place.endswith("forward / t = 15") for place in places)
    if bidirectional:
        assert any(place.endswith("reverse / t = 14") for place in places)
    assert len(blocks(folded)) == (4 if bidirectional else 2)


def test_a_step_that_reads_another_input_than_its_turn_stays_visible():
    w = tt.rand(3, requires_grad=True)
    rows = tt.rand(30, 3, requires_grad=True).unbind(0)
    h = tt.zeros(3)
    for t in range(30):
        with Scope("step", t):
            h = tt.tanh(w * h + rows[3 if t == 15 else t])
    full = whole(h)
    folded = fold(full)
    check_nothing_is_lost(full, folded)
    assert "t = 15" in {cluster.label for cluster in folded.clusters}


def test_a_step_with_the_same_operations_wired_otherwise_stays_visible():
    w = tt.rand(3, requires_grad=True)
    h = tt.zeros(3)
    for t in range(30):
        with Scope("step", t):
            p, q = w * h, w + h
            if t == 15:
                p, q = q, p
            h = tt.tanh(p) - tt.sigmoid(q)
    full = whole(h)
    folded = fold(full)
    check_nothing_is_lost(full, folded)
    assert "t = 15" in {cluster.label for cluster in folded.clusters}


ODD = {
    "factor": lambda h, odd: h * (0.5 if odd else 0.9),
    "exponent": lambda h, odd: h ** (3 if odd else 2),
    "bounds": lambda h, odd: h.clamp(-1, 2 if odd else 1),
    "index": lambda h, odd: h + h[:, 1 if odd else 0],
    "slice": lambda h, odd: h + h[:, (1 if odd else 0) : (2 if odd else 1)],
    "slope": lambda h, odd: nn.functional.leaky_relu(h, 0.2 if odd else 0.1),
    "dimensions": lambda h, odd: h + h.flip(0 if odd else 1),
    "divisor": lambda h, odd: h / (3 if odd else 2),
}


@pytest.mark.parametrize("change", sorted(ODD))
@pytest.mark.parametrize("detail", ["op", "cell", "step"])
def test_a_step_with_another_constant_stays_visible(change, detail):
    cell, h = nn.RNNCell(1, 2), tt.zeros(1, 2)
    for t in range(30):
        with scope(f"time {t}"):
            h = ODD[change](cell(tt.ones(1, 1), h), t == 15)
    folded = viz.graph(h.sum(), detail=detail).graph
    check_nothing_is_lost(unfold(folded), folded)
    assert sorted(blocks(folded)) == ["time 1 … time 14 ×14", "time 16 … time 28 ×13"]


def test_a_kernel_with_another_option_stays_visible():
    w, targets = tt.rand(4, requires_grad=True), tt.zeros(2).long()
    loss = tt.zeros(())
    for t in range(20):
        with scope(f"time {t}"):
            smoothing = 0.1 if t == 9 else 0.0
            logits = (w * loss).reshape(2, 2)
            loss = nn.functional.cross_entropy(logits, targets, label_smoothing=smoothing)
    folded = fold(whole(loss))
    assert sorted(c.count for c in folded.clusters if c.kind == "block") == [8, 9]


def test_a_step_that_reads_its_own_row_folds():
    x = tt.rand(20, 1, 2, requires_grad=True)
    cell, h = nn.RNNCell(2, 2), tt.zeros(1, 2)
    for t in range(20):
        h = cell(x[t], h)
    assert blocks(fold(whole(h))) == ["RNNCell, calls 2 … 19 ×18"]
    h = tt.zeros(1, 2)
    for t in range(20):
        h = cell(x[0 if t == 10 else t], h)
    counts = [c.count for c in fold(whole(h)).clusters if c.kind == "block"]
    assert sum(counts) < 18


def test_a_graph_that_was_freed_folds_as_far_as_it_is_known():
    cell, h = nn.RNNCell(1, 2), tt.zeros(1, 2)
    for t in range(30):
        h = cell(tt.ones(1, 1), h).clamp(-1, 2 if t == 15 else 1)
    loss = h.sum()
    loss.backward()
    assert blocks(fold(whole(loss))) == ["RNNCell, calls 2 … 29 ×28"]


@pytest.mark.parametrize("detail", ["cell", "step"])
def test_a_last_step_whose_state_nobody_reads_does_not_keep_others_from_folding(detail):
    with tt.unrolled():
        h = own_loop(6)
    folded = viz.graph(h.sum(), detail=detail).graph
    assert blocks(folded) == ["LSTMCell, calls 2 … 5 ×4"]
    assert len(folded.nodes) == 9


@pytest.mark.parametrize("length", [2, 4, 10])
def test_windows_between_detached_states_fold_with_each_other(length):
    cell = nn.RNNCell(1, 2)
    sizes = set()
    for T in (200, 300):
        h, loss = tt.zeros(1, 2), tt.zeros(())
        for t in range(T):
            h = cell(tt.ones(1, 1), h.detach() if t % length == 0 else h)
            loss = loss + h.sum()
        folded = viz.graph(loss).graph
        check_nothing_is_lost(unfold(folded), folded)
        (block,) = (c for c in folded.clusters if c.kind == "block")
        assert {edge.label for edge in recurrent(folded)} == {"sum", "h"}
        assert f", {length} each" in block.name
        assert (block.count + 2) * length >= T - length
        sizes.add(len(folded.nodes))
    assert len(sizes) == 1 and max(sizes) < 160


def test_of_windows_the_one_that_differs_stays_visible():
    cell, h, loss = nn.RNNCell(1, 2), tt.zeros(1, 2), tt.zeros(())
    for t in range(200):
        h = cell(tt.ones(1, 1), h.detach() if t % 4 == 0 else h)
        loss = loss + (h.exp() if t == 101 else h).sum()
    folded = viz.graph(loss).graph
    check_nothing_is_lost(unfold(folded), folded)
    assert [n.count for n in folded.nodes if n.name == "exp"] == [1]
    assert len(blocks(folded)) == 2


@pytest.mark.parametrize("wide", [tt.rand(2, 3), tt.rand(3, dtype=tt.float64)])
def test_steps_of_another_shape_or_dtype_fold_for_themselves(wide):
    w = tt.rand(3, requires_grad=True)
    h = tt.zeros(3)
    for t in range(30):
        with Scope("step", t):
            h = tt.tanh(w * h + (wide if t >= 15 else tt.rand(3)))
    full = whole(h)
    folded = fold(full)
    check_nothing_is_lost(full, folded)
    assert blocks(folded) == ["t = 16 … 28 ×13", "t = 1 … 14 ×14"]


def test_modules_of_one_class_are_told_apart():
    cells = [nn.GRUCell(2, 3) for _ in range(20)]
    h = tt.zeros(1, 3)
    for cell in cells:
        h = cell(tt.rand(1, 2), h)
    full = whole(h)
    assert fold(full) is full


# -- the option ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("collapse", "count"), [("off", 0), (2, 5), (5, 5), (6, 0), ("auto", 5)])
def test_collapse_says_from_how_many_steps_on(collapse, count):
    folded = fold(whole(own_loop(7)), collapse)
    assert [c.count for c in folded.clusters if c.kind == "block"] == ([count] if count else [])


@pytest.mark.parametrize("length", [5, 6])
def test_auto_leaves_fewer_than_four_steps_alone(length):
    assert len(blocks(fold(whole(own_loop(length))))) == length - 5


@pytest.mark.parametrize("collapse", ["on", 1, 0, -3, True, 2.5, None])
def test_another_collapse_is_refused(collapse):
    with pytest.raises(ValueError, match=r'collapse to be "auto", "off" or the number'):
        viz.graph(own_loop(3), collapse=collapse)


def test_a_drawing_folds_and_unfolds():
    h = own_loop(20)
    options = {"title": "mine", "show_shapes": False, "direction": "RL", "view": "forward"}
    drawing = viz.graph(h, **options)
    assert len(drawing.graph.nodes) < 15
    assert drawing.unfolded().source == viz.graph(h, **options, collapse="off").source
    assert drawing.copy().unfolded().source == drawing.unfolded().source
    plain = viz.graph(own_loop(2))
    assert plain.unfolded().source == plain.source


# -- the limit -------------------------------------------------------------------------------------


def test_the_limit_counts_what_is_drawn_and_names_the_options():
    h = own_loop(200)
    count = len(viz.graph(h).graph.nodes)
    assert len(viz.graph(h, max_nodes=count).graph.nodes) == count
    with pytest.raises(ValueError, match=f"at most {count - 1} nodes, got {count};") as refusal:
        viz.graph(h, max_nodes=count - 1)
    for cure in ('detail="cell"', "fewer time steps", "max_nodes"):
        assert cure in str(refusal.value)
    assert "collapse" not in str(refusal.value)
    with pytest.raises(ValueError, match=r'collapse="auto".*detail="cell".*max_nodes'):
        viz.graph(h, collapse="off", max_nodes=count)


def test_a_graph_with_nothing_to_fold_is_refused_before_it_is_taken(monkeypatch):
    y = tt.rand(1, requires_grad=True)
    for _ in range(3000):
        y = -y
    monkeypatch.setattr(sys.modules["tinytensor.viz.extract"], "_Extraction", None)
    with pytest.raises(ValueError, match="at most 2,000 nodes, got 3,002;"):
        viz.graph(y)


def test_a_loop_of_plain_operations_is_told_to_name_its_steps():
    def loop(named: bool) -> tt.Tensor:
        w, h = tt.rand(3, requires_grad=True), tt.zeros(3)
        for t in range(1000):
            with scope(f"t = {t}") if named else nullcontext():
                h = tt.tanh(w * h + w)
        return h

    for options in ({}, {"detail": "cell"}, {"collapse": "off"}):
        with pytest.raises(ValueError, match=r"at most 2,000 nodes, got") as refusal:
            viz.graph(loop(False), **options)
        assert 'with tt.autograd.scope(f"t = {t}")' in str(refusal.value)
        assert "max_nodes" in str(refusal.value)
        assert "unrolled" not in str(refusal.value) and "detail" not in str(refusal.value)
    assert len(viz.graph(loop(True)).graph.nodes) < 20


def test_the_benchmark_of_drawings_prints_a_line_for_each_length(capsys):
    drawings.main((4, 12))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    nodes = [int(line.split()[1]) for line in lines[1:]]
    folded = [int(line.split()[2]) for line in lines[1:]]
    assert nodes[0] == folded[0]
    assert folded[1] < nodes[1] == nodes[0] + 4 * 13 * 8


# -- any loop --------------------------------------------------------------------------------------


OPERATIONS = {
    "tanh": tt.tanh,
    "sigmoid": tt.sigmoid,
    "neg": lambda a: -a,
    "add": lambda a, b: a + b,
    "mul": lambda a, b: a * b,
    "cat": lambda a, b: tt.cat([a, b])[:3],
    "split": lambda a: tt.split(a, [1, 2])[1].sum() * a,
}


@st.composite
def programs(draw):
    """One step: operations on earlier values, and which values are the next states.

    To most of them the state before is added, as a loop without it would be none.
    """
    states = draw(st.integers(1, 3))
    known = states + 2  # the states, a parameter, the input
    operations = []
    for _ in range(draw(st.integers(1, 7))):
        name = draw(st.sampled_from(sorted(OPERATIONS)))
        arity = 1 if name in ("tanh", "sigmoid", "neg", "split") else 2
        operands = tuple(draw(st.integers(0, known - 1)) for _ in range(arity))
        operations.append((name, operands))
        known += 1
    following = [
        (draw(st.integers(max(0, known - 4), known - 1)), draw(st.integers(0, 3)) > 0)
        for _ in range(states)
    ]
    return states, operations, following


def run(program, length, odd=None) -> tt.Tensor:
    """The last states of a loop over the program; at step `odd` one operation more."""
    states, operations, following = program
    w = tt.rand(3, requires_grad=True)
    inputs = tt.rand(length, 3, requires_grad=True).unbind(0)
    state = [tt.zeros(3) for _ in range(states)]
    for t in range(length):
        with Scope("step", t):
            known = [*state, w, inputs[t]]
            for name, operands in operations:
                known.append(OPERATIONS[name](*(known[n] for n in operands)))
            state = [
                known[n] + before * w if carried else known[n]
                for before, (n, carried) in zip(state, following, strict=True)
            ]
            if t == odd:
                state[0] = tt.exp(state[0] * w)
    return tt.cat([*state, w]).sum()


@given(programs(), st.integers(0, 16), st.integers(2, 6))
@settings(deadline=None, max_examples=300)
def test_nothing_of_any_loop_is_lost(program, length, least):
    full = whole(run(program, length))
    folded = fold(full, least)
    check_nothing_is_lost(full, folded)
    assert len(folded.nodes) <= len(full.nodes)


@given(programs())
@settings(deadline=None, max_examples=200)
def test_any_loop_folds_to_a_size_that_does_not_depend_on_its_length(program):
    sizes = set()
    for length in (16, 23):
        folded = fold(whole(run(program, length)))
        sizes.add((len(folded.nodes), len(folded.edges), len(folded.clusters)))
    assert len(sizes) == 1


@given(programs(), st.integers(6, 14))
@settings(deadline=None, max_examples=200)
def test_an_odd_step_of_any_loop_stays_visible(program, odd):
    full = whole(run(program, 21, odd))
    folded = fold(full)
    check_nothing_is_lost(full, folded)
    drawn = [node for node in folded.nodes if node.name == "exp"]
    if any(node.name == "exp" for node in full.nodes):
        assert [(node.count, folded.place(node)) for node in drawn] == [(1, f"t = {odd}")]
