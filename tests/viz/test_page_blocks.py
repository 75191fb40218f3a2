"""Blocks of the page that unfold by themselves: what is drawn, wherever the window stands."""

import re
from pathlib import Path

import pytest

import tinytensor as tt
from tinytensor import nn
from tinytensor.autograd.scope import Scope
from tinytensor.viz import page, page_blocks
from tinytensor.viz.extract import extract_with_sources
from tinytensor.viz.fold import Passes
from tinytensor.viz.page_blocks import SIGN, unfolded_blocks


def layer(steps=30):
    lstm = nn.LSTM(2, 3, num_layers=2, bidirectional=True)
    x = tt.rand(steps, 1, 2, requires_grad=True)
    with tt.unrolled():
        output, _ = lstm(x)
    return output.sum(), {"x": x}


def short_layer():
    return layer(9)


def own_loop():
    """Steps without a frame of their own: a cell, a readout and what lies loose between them."""
    cell, head = nn.LSTMCell(2, 3), nn.Linear(3, 1)
    h = c = tt.zeros(1, 3)
    loss, inputs = tt.zeros(()), {}
    for t in range(20):
        inputs[f"x[{t}]"] = x = tt.rand(1, 2, requires_grad=True)
        h, c = cell(x, (h, c))
        loss = loss + (head(h) ** 2).sum()
    return loss, inputs


def detached():
    """Windows of four steps, of which the last begins without a gradient."""
    cell = nn.RNNCell(2, 3)
    h = tt.zeros(1, 3)
    for t in range(64):
        h = cell(tt.rand(1, 2), h)
        if t % 4 == 3:
            h = h + 0.5 * h.detach()
    return h.sum(), {}


def loops_in_loops():
    h = tt.rand(1, 3, requires_grad=True)
    for chunk in range(14):
        with Scope("scope", f"chunk {chunk}"):
            for t in range(12):
                with Scope("step", t):
                    h = (h * 0.5).tanh() * h
            h = h.exp()
    return h.sum(), {}


def both_passes():
    rnn = nn.RNN(2, 3)
    with tt.unrolled():
        output, _ = rnn(tt.rand(14, 1, 2))
    (g,) = tt.autograd.grad(output.sum(), rnn.weight_hh_l0, create_graph=True)
    return (g * g).sum(), {}


GRAPHS = [layer, short_layer, own_loop, detached, loops_in_loops, both_passes]


class Unfolding:
    """The blocks of a graph as the page gets them."""

    def __init__(self, make, monkeypatch, most=100_000):
        made = []
        kind = page_blocks._Opening
        monkeypatch.setattr(
            page_blocks, "_Opening", lambda *given: made.append(kind(*given)) or made[-1]
        )
        loss, inputs = make()
        self.whole, _ = extract_with_sources({"loss": loss}, inputs=inputs, max_nodes=None)
        self.passes = Passes(self.whole)
        self.marked, self.frames, self.opened = unfolded_blocks(
            self.whole, self.passes, "auto", most
        )
        self.openings = made
        self.shown = standing(self.passes.graph)


def standing(graph):
    return {member: number for number, found in enumerate(graph.members) for member in found}


def drawn(data, shown, start):
    """What `page_blocks.js` takes for the node that stands for each of the whole graph."""
    step_of = {node: step for step, nodes in enumerate(data["steps"]) for node in nodes}
    long = data["window"] < len(data["steps"])
    found = {}
    for node, folded in shown.items():
        step = step_of.get(node)
        if step is None:
            found[node] = data["others"][folded]
            continue
        part = min(max(step - start, -1), data["window"]) + 1 if long else step
        found[node] = data["parts"][part][data["inside"].index(folded)]
    return found


def as_drawn(graph):
    """A drawing without the numbers that differ from step to step."""

    def bare(name):
        return re.sub(r"\[(\d+( … \d+)?|…)\]$", "[]", name)

    nodes = [(n.kind, bare(n.name), n.values, n.cluster, n.phase, n.note) for n in graph.nodes]
    edges = [
        (e.source, e.target, e.kind, bare(e.operand), bare(e.output), e.label) for e in graph.edges
    ]
    return nodes, edges, [(c.kind, c.parent, c.path) for c in graph.clusters]


@pytest.mark.parametrize("make", GRAPHS)
def test_every_block_unfolds_and_nothing_is_lost(make, monkeypatch):
    found = Unfolding(make, monkeypatch)
    blocks = [c for c in found.passes.graph.clusters if c.kind == "block"]
    assert len(found.opened) == len(blocks) > 0
    for number, (opened, opening, block) in enumerate(
        zip(found.opened, found.openings, blocks, strict=True)
    ):
        assert opened.data["frame"] == block.number
        assert len(opened.data["steps"]) == block.count
        graph = opening.passes.graph
        assert drawn(opened.data, found.shown, opened.data["start"]) == standing(graph)
        assert len(opened.graph.nodes) > len(found.passes.graph.nodes)
        parts = {part for block, part in opened.frames.values() if block == number}
        assert parts - {None} == set(range(len(opened.data["parts"])))
        signed = {c.number for c in opened.graph.clusters if c.name.startswith(SIGN)}
        beside = [each for each in opened.frames if opened.frames[each][0] != number]
        ends = opened.data["main"][:: len(opened.data["main"]) - 1]
        assert signed - set(beside) == (set(ends) if opened.data["piles"] else set())


@pytest.mark.parametrize("make", GRAPHS)
def test_the_picture_is_the_same_wherever_the_window_stands(make, monkeypatch):
    found = Unfolding(make, monkeypatch)
    for opened, opening in zip(found.opened, found.openings, strict=True):
        data = opened.data
        if data["window"] == len(data["steps"]):
            continue
        expected = as_drawn(opening.passes.graph)
        assert as_drawn(opened.graph) == expected
        for start in range(2, opening.count - opening.window - 1):
            opening.start = start
            opening.passes = Passes(found.whole, "auto", opening._opened)
            graph = opening.passes.graph
            assert as_drawn(graph) == expected
            assert drawn(data, found.shown, start) == standing(graph)
            texts = [
                [data["piles"][0][start - 1]],
                *data["labels"][start : start + data["window"]],
                [data["piles"][1][start - 1]],
            ]
            for clusters, written in zip(data["written"], texts, strict=True):
                labels = [graph.clusters[cluster].label for cluster in clusters]
                assert labels == [text.removeprefix(SIGN) for text in written]


def test_a_short_block_unfolds_into_all_its_steps(monkeypatch):
    found = Unfolding(short_layer, monkeypatch)
    for opened in found.opened:
        assert opened.data["piles"] == []
        assert len(opened.data["parts"]) == len(opened.data["steps"]) == 7
    labels = [c.label for c in found.opened[0].graph.clusters]
    assert sum(label.startswith("t = ") for label in labels) == 9 + 3 * 2


def test_what_can_be_unfolded_is_marked_and_nothing_else(monkeypatch):
    found = Unfolding(layer, monkeypatch)
    signed = [c.number for c in found.marked.clusters if c.name.startswith(SIGN)]
    assert signed == [opened.data["frame"] for opened in found.opened]
    first = found.opened[0]
    signed = [c.label for c in first.graph.clusters if c.name.startswith(SIGN)]
    assert sorted(label.split("×")[1] for label in signed) == ["12", "12", "28", "28", "28"]
    assert set(found.frames) == {
        c.number
        for c in found.marked.clusters
        if any(around.kind == "block" for around in found.marked.enclosing(c.number))
    }


def test_beside_the_window_one_step_is_no_block(monkeypatch):
    data = Unfolding(layer, monkeypatch).opened[0].data
    newer, older = data["piles"]
    assert (newer[0], newer[1]) == ("t = 1", f"{SIGN}t = 1 … 2 ×2")
    assert (older[-1], older[0]) == ("t = 28", f"{SIGN}t = 6 … 28 ×23")


def test_an_index_that_moves_with_the_window_is_not_written(monkeypatch):
    graph = Unfolding(own_loop, monkeypatch).opened[0].graph
    names = [node.name for node in graph.nodes if node.kind == "input"]
    assert sorted(set(names)) == ["x[0]", "x[19]", "x[…]"]
    graph = Unfolding(layer, monkeypatch).opened[0].graph
    assert {"[0]", "[1]", "[2]", "[3]"} <= {edge.output for edge in graph.edges}


def test_beside_the_window_edges_count_what_one_step_has(monkeypatch):
    opened = Unfolding(layer, monkeypatch).opened[0]
    folded = [node for nodes in opened.data["parts"] for node in nodes]
    counts = {e.count for e in opened.graph.edges if {e.source, e.target} & set(folded)}
    assert counts == {1}
    assert max(edge.count for edge in opened.graph.edges) == 28


def test_the_drawings_together_keep_to_the_limit(monkeypatch, tmp_path):
    folded = Unfolding(layer, monkeypatch)
    sizes = [len(opened.graph.nodes) for opened in folded.opened]
    few = Unfolding(layer, monkeypatch, most=sum(sizes[:2]))
    assert len(few.opened) == 2
    assert sum(c.name.startswith(SIGN) for c in few.marked.clusters) == 2
    loss, inputs = layer()
    path = page(loss, tmp_path / "p.html", inputs=inputs, max_nodes=len(folded.marked.nodes))
    assert Path(path).read_text("utf-8").count("<svg") == 1
