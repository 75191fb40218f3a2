"""The difference of two graphs: what both have, what one has, and that both can be read off it."""

import xml.etree.ElementTree as ET
from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinytensor as tt
from tests.viz.models import GOLDEN
from tinytensor import nn, viz
from tinytensor.autograd.scope import scope
from tinytensor.viz import extract
from tinytensor.viz.align import aligned
from tinytensor.viz.difference import merged_graphs, tally
from tinytensor.viz.structure import Graph

UNARY = ["tanh", "sigmoid", "sin", "exp"]
BINARY = ["add", "mul"]

Program = list[tuple[str, int, int]]


def programs() -> st.SearchStrategy[Program]:
    """Operations, each of values some places before its own; before the first are two leaves."""
    step = st.tuples(st.sampled_from(UNARY + BINARY), st.integers(0, 5), st.integers(0, 5))
    return st.lists(step, min_size=1, max_size=14)


def run(
    program: Program, inserted: tuple[int, str] | None = None, shuffle: Random | None = None
) -> Graph:
    """The graph of the last value and all that it depends on.

    inserted : the number of an operation, and another through which everybody sees its result
    shuffle : run the operations in any other order that is possible
    """
    leaves = {"x": tt.tensor(0.1, requires_grad=True), "w": tt.tensor(0.2, requires_grad=True)}
    values = dict(zip((-2, -1), leaves.values(), strict=True))
    waiting = list(range(len(program)))
    while waiting:
        ready = [n for n in waiting if all(m in values for m in operands(program, n))]
        position = ready[0] if shuffle is None else shuffle.choice(ready)
        waiting.remove(position)
        y = getattr(tt, program[position][0])(*(values[m] for m in operands(program, position)))
        if inserted is not None and position == inserted[0]:
            y = getattr(tt, inserted[1])(y)
        values[position] = y
    return extract({"y": values[len(program) - 1]}, inputs=leaves)


def operands(program: Program, position: int) -> list[int]:
    """What an operation computes with: the numbers of others, -2 and -1 for the leaves."""
    name, i, j = program[position]
    back = [i] if name in UNARY else [i, j]
    return [position - 1 - steps % (position + 2) for steps in back]


def reached(program: Program) -> list[int]:
    """The operations that the last one depends on, itself included, by a walk of its own."""
    seen, stack = set(), [len(program) - 1]
    while stack:
        position = stack.pop()
        if position < 0 or position in seen:
            continue
        seen.add(position)
        stack += operands(program, position)
    return sorted(seen)


def part(graph: Graph, mark: str) -> tuple[Counter[Any], Counter[Any]]:
    """What a drawing has that is not marked so: its nodes and its edges by what they join."""
    nodes = Counter((n.kind, n.name) for n in graph.nodes if n.mark != mark)
    edges: Counter[Any] = Counter()
    for edge in graph.edges:
        if edge.mark != mark:
            ends = graph.nodes[edge.source], graph.nodes[edge.target]
            assert all(end.mark != mark for end in ends)
            edges[edge.kind, ends[0].name, edge.operand, ends[1].name, edge.output] += edge.count
    return nodes, edges


def check_both_are_there(a: Graph, b: Graph, merged: Graph) -> None:
    assert part(merged, "+") == part(a, "?")
    assert part(merged, "-") == part(b, "?")
    kept = [node for node in merged.nodes if node.mark != "+"]
    assert [(n.name, n.values) for n in kept] == [(n.name, n.values) for n in a.nodes]
    of_a = [node.number for node in kept]
    edges = Counter((e.source, e.target, e.operand) for e in merged.edges if e.mark != "+")
    assert edges == Counter((of_a[e.source], of_a[e.target], e.operand) for e in a.edges)


# -- alignment -------------------------------------------------------------------------------------


@given(programs())
def test_a_graph_does_not_differ_from_itself(program):
    a, b = run(program), run(program)
    assert aligned(a, b) == list(range(len(a.nodes)))
    merged = merged_graphs(a, b)
    assert tally(merged) == "no difference"
    assert (merged.nodes, merged.edges) == (a.nodes, a.edges)


@given(programs(), st.randoms(use_true_random=False))
def test_the_order_of_what_does_not_depend_on_each_other_is_no_difference(program, random):
    merged = merged_graphs(run(program), run(program, shuffle=random))
    assert tally(merged) == "no difference"


@given(programs(), st.data(), st.sampled_from(UNARY))
def test_one_operation_more_is_one_node_more_and_one_less_is_one_less(program, data, name):
    position = data.draw(st.sampled_from(reached(program)))
    a, b = run(program), run(program, (position, name))
    for first, second, mark in ((a, b, "+"), (b, a, "-")):
        merged = merged_graphs(first, second)
        assert [(n.name, n.mark) for n in merged.nodes if n.mark] == [(name, mark)]
        check_both_are_there(first, second, merged)


def test_no_edge_is_marked_but_those_around_the_change():
    random = Random(0)
    tried = 0
    while tried < 150:
        program = [
            (random.choice(UNARY[:2] + BINARY), random.randint(0, 9), random.randint(0, 9))
            for _ in range(random.randint(8, 20))
        ]
        if len(set(expressions(program))) < len(program):
            continue  # one of two that are alike may stand for the other
        tried += 1
        position = random.choice(reached(program))
        merged = merged_graphs(run(program), run(program, (position, "cos"), shuffle=random))
        (new,) = [node.number for node in merged.nodes if node.mark]
        added = [edge for edge in merged.edges if edge.mark == "+"]
        removed = [edge for edge in merged.edges if edge.mark == "-"]
        assert all(new in (edge.source, edge.target) for edge in added)
        readers = sum(edge.target == new for edge in added)
        assert (len(added), len(removed)) == (readers + 1, readers)


def expressions(program: Program) -> list[str]:
    """What each operation computes, written out."""
    found = {-2: "x", -1: "w"}
    for position, (name, _, _) in enumerate(program):
        inside = ",".join(found[number] for number in operands(program, position))
        found[position] = f"{name}({inside})"
    return [found[position] for position in range(len(program))]


def test_a_node_has_one_like_it_at_most():
    x, w = tt.rand(2, requires_grad=True), tt.rand(2, requires_grad=True)
    a = extract(x.tanh() + w, inputs={"x": x, "w": w})
    b = extract(x.tanh() + x.tanh(), inputs={"x": x})
    partners = [other for other in aligned(a, b) if other is not None]
    assert len(set(partners)) == len(partners)
    merged = merged_graphs(a, b)
    check_both_are_there(a, b, merged)
    assert tally(merged) == "only the first: 1 node, 1 edge; only the second: 1 node, 2 edges"


@given(programs(), programs())
def test_any_two_graphs_can_be_read_off_their_difference(one, other):
    a, b = run(one), run(other)
    check_both_are_there(a, b, merged_graphs(a, b))


@pytest.mark.parametrize("name", GOLDEN)
def test_no_model_differs_from_itself(name):
    outputs, options = GOLDEN[name]()
    drawing = viz.graph(outputs, **options)
    again, options = GOLDEN[name]()
    difference = viz.difference(drawing, viz.graph(again, **options))
    assert difference.options["title"].endswith("no difference")
    assert not any(node.mark for node in difference.graph.nodes)


def test_a_long_loop_without_frames_is_aligned_soon():
    def loop(extra: int) -> Graph:
        y = tt.rand(2, requires_grad=True)
        for t in range(3000):
            y = (y * 2 if t % 1000 == extra else y).tanh() + 1
        return extract(y, max_nodes=None)

    merged = merged_graphs(loop(-1), loop(500))
    assert Counter(node.name for node in merged.nodes if node.mark == "+") == {"mul": 3}
    assert sum(node.mark == "-" for node in merged.nodes) == 0


# -- the differences that people look for ----------------------------------------------------------


def loop(steps: int = 6, detached: tuple[int, ...] = (), dropout: float = 0.0) -> viz.Drawing:
    cell, readout = nn.LSTMCell(2, 3), nn.Linear(3, 1)
    h = c = tt.zeros(1, 3)
    loss = tt.zeros(())
    with viz.keep_values():
        for t in range(steps):
            if t in detached:
                h, c = h.detach(), c.detach()
            h, c = cell(tt.rand(1, 2), (h, c))
            y = nn.functional.dropout(h, dropout) if dropout else h
            loss = loss + readout(y).sum()
    return viz.graph(loss)


def marked(graph: Graph) -> tuple[list[tuple[str, str]], list[tuple[str, str, str, str]]]:
    nodes = [(node.mark, node.name) for node in graph.nodes if node.mark]
    edges = [
        (edge.mark, edge.kind, graph.place(graph.nodes[edge.source]), edge.output)
        for edge in graph.edges
        if edge.mark
    ]
    return nodes, sorted(edges)


def test_detach_takes_away_two_edges_and_puts_cuts_there():
    graph = viz.difference(loop(), loop(detached=(3,)), collapse="off").graph
    nodes, edges = marked(graph)
    assert nodes == []
    place = "LSTMCell, call 4"
    assert edges == [
        ("+", "cut", place, "c"), ("+", "cut", place, "h"),
        ("-", "gradient", place, "c"), ("-", "gradient", place, "h"),
    ]  # fmt: skip


def test_dropout_is_a_product_more_at_each_step():
    drawing = viz.difference(loop(), loop(dropout=0.5), names=("without", "with dropout"))
    assert drawing.options["title"] == "only without: 6 edges; only with dropout: 6 nodes, 12 edges"


def test_lengths_are_a_choice_of_rows_more_and_other_shapes():
    lstm = nn.LSTM(2, 3)
    x = tt.rand(5, 2, 2)
    with tt.unrolled():
        whole, some = lstm(x)[0].sum(), lstm(x, lengths=[5, 3])[0].sum()
    drawing = viz.difference(
        viz.graph(whole, detail="cell"),
        viz.graph(some, detail="cell"),
        names=("whole", "with lengths"),
        collapse="off",
    )
    assert all(node.name != "LSTM cell" for node in drawing.graph.nodes if node.mark)
    steps = [node for node in drawing.graph.nodes if node.name == "LSTM cell"]
    shorter = ("with lengths: (1, 3), (1, 3)",)
    assert [node.lines for node in steps] == [shorter, shorter, (), (), ()]


def test_more_steps_are_steps_that_only_one_has():
    graph = viz.difference(loop(4), loop(6), collapse="off").graph
    added = Counter(node.name for node in graph.nodes if node.mark == "+")
    assert added == {"lstm_cell": 2, "linear": 2, "sum": 2, "add": 2}
    assert not any(node.mark == "-" for node in graph.nodes)


def test_a_module_more_leaves_the_others_as_they_are():
    def model(*inner: nn.Module) -> viz.Drawing:
        net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
        y = net[0](tt.rand(1, 2))
        for module in inner:
            y = module(y)
        return viz.graph(net[1](y).sum())

    graph = viz.difference(model(), model(nn.Tanh())).graph
    assert [(node.mark, node.name) for node in graph.nodes if node.mark] == [("+", "tanh")]


def test_what_differs_in_the_same_way_at_every_step_folds():
    small = viz.difference(loop(12), loop(12, dropout=0.5))
    large = viz.difference(loop(40), loop(40, dropout=0.5))
    assert len(small.graph.nodes) == len(large.graph.nodes) < 40
    assert sum(node.count for node in large.graph.nodes if node.mark == "+") == 40
    assert "only the second: 40 nodes" in large.options["title"]


def test_a_step_that_alone_differs_is_not_folded():
    graph = viz.difference(loop(20), loop(20, detached=(9,))).graph
    assert "LSTMCell, call 10" in {cluster.label for cluster in graph.clusters}
    assert Counter(edge.mark for edge in graph.edges) - Counter([""] * 999) == {"-": 2, "+": 2}


def test_steps_that_differ_in_the_other_way_fold_apart():
    early, late = tuple(range(5, 10)), tuple(range(10, 15))
    graph = viz.difference(loop(20, detached=early), loop(20, detached=late)).graph
    blocks = [c.label for c in graph.clusters if c.kind == "block" and "LSTMCell" in c.label]
    assert "LSTMCell, calls 6 … 9 ×4" in blocks
    assert any(label.startswith("LSTMCell, calls 11 … ") for label in blocks)


def test_a_step_that_only_lacks_an_edge_is_not_folded():
    def gains(frozen: int) -> viz.Drawing:
        w, h = tt.rand(2, requires_grad=True), tt.rand(2, requires_grad=True)
        for t in range(20):
            with scope(f"step {t}"):
                h = (h * (w.detach().clone() if t == frozen else w)).tanh()
        return viz.graph(h, inputs={"w": w})

    graph = viz.difference(gains(-1), gains(9)).graph
    assert "step 9" in {cluster.label for cluster in graph.clusters}
    assert [(edge.mark, edge.kind) for edge in graph.edges if edge.mark] == [
        ("-", "gradient"), ("+", "cut")
    ]  # fmt: skip


# -- the drawing -----------------------------------------------------------------------------------


def test_marks_are_signs_and_colours_with_a_legend():
    source = viz.difference(loop(2), loop(2, dropout=0.5), names=("plain", "dropped")).source
    assert '"− only\\nplain"' in source
    assert '"+ only\\ndropped"' in source
    assert source.count('label="+ mul\\n') == 2
    assert source.count('label=" + h"') == 2
    assert source.count('label=" − h"') == 2
    assert {"#d55e00", "#0072b2"} <= set(source.replace('"', " ").split())


def test_names_stay_text():
    name = '<b>"x"\\N'
    source = viz.difference(loop(2), loop(2, dropout=0.5), names=(name, name))
    assert source.pipe("svg").count(b"&lt;b&gt;&quot;x&quot;\\N") >= 2


@pytest.mark.parametrize("name", ['<b>"x"&amp;', "a\nb\0c", r"\N {|}", "half \ud83d"])
def test_names_stay_text_in_the_fields_of_a_cell(name):
    lstm = nn.LSTM(2, 3)
    x = tt.rand(3, 2, 2)
    with tt.unrolled():
        whole, some = lstm(x)[0].sum(), lstm(x, lengths=[3, 1])[0].sum()
    drawings = [viz.graph(loss, detail="cell") for loss in (whole, some)]
    svg = viz.difference(*drawings, names=("whole", name), collapse="off").pipe("svg")
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name)
    texts = [text.text for text in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
    assert texts.count(f"{shown}: (1, 3), (1, 3)") == 2


def test_options_come_from_the_first_drawing_unless_given():
    x = tt.rand(2, requires_grad=True)
    a = viz.graph(x.tanh(), direction="LR", title="tanh", show_shapes=False)
    assert viz.difference(a, a).options["direction"] == "LR"
    assert viz.difference(a, a, direction="BT").options["direction"] == "BT"
    assert viz.difference(a, a).options["title"] == "tanh: no difference"
    assert viz.difference(a.graph, a.graph).options["direction"] == "TB"


def test_anything_but_two_drawings_is_an_error():
    with pytest.raises(TypeError, match=r"expected two drawings by viz\.graph, got Tensor"):
        viz.difference(tt.rand(2), loop(2))


def test_what_a_detach_takes_away_are_the_first_steps_of_a_loop():
    cell = nn.RNNCell(2, 3)
    drawings = []
    for cut in (None, 4):
        h = tt.zeros(1, 3)
        for t in range(8):
            h = cell(tt.ones(1, 2), h.detach() if t == cut else h)
        drawings.append(viz.graph(h.sum(), collapse="off"))
    graph = viz.difference(*drawings, collapse="off").graph
    steps = {graph.place(node): node.mark for node in graph.nodes if node.name == "rnn_tanh_cell"}
    assert steps == {f"RNNCell, call {t}": "-" if t <= 4 else "" for t in range(1, 9)}
