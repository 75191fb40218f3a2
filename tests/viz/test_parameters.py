"""Parameters drawn in each frame that uses them: beside that, and nothing else changes."""

import re
from collections import Counter

import pytest

import tinytensor as tt
from tests.viz.models import GOLDEN, folded_loop, unrolled_lstm
from tinytensor import nn, viz
from tinytensor.viz import page
from tinytensor.viz.arrows import VIEWS
from tinytensor.viz.detail import DETAILS
from tinytensor.viz.parameters import drawn_parameters


def named(source, name):
    """The ids of the nodes of a DOT text that have this name."""
    return re.findall(rf'^\t+(n\d+) \[label="{re.escape(name)}\\n', source, re.M)


def ends_of(source):
    return re.findall(r"^\t(n\d+)[:\w]* -> (n\d+)", source, re.M)


def frames_of(source):
    """For each node the frame that it stands in."""
    found, around = {}, [None]
    for line in source.splitlines()[1:]:
        opened = re.findall(r"subgraph (cluster_\w+)", line)
        around += opened
        if (node := re.match(r"\t+(n\d+) \[", line)) and " -> " not in line:
            found[node[1]] = around[-1]
        if not opened and (closed := re.fullmatch(r"\s*(}+)", line)):
            del around[-len(closed[1]) :]
    return found


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("detail", DETAILS)
@pytest.mark.parametrize("make", [folded_loop, unrolled_lstm, *map(GOLDEN.get, ["second_order"])])
def test_no_edge_of_a_parameter_leaves_its_frame(make, detail, view):
    outputs, options = make()
    source = viz.graph(
        outputs, **{**options, "parameters": "cluster", "detail": detail, "view": view}
    ).source
    frames = frames_of(source)
    kinds = dict(re.findall(r'^\t+(n\d+) \[.* id="n\d+" class="(\w+)"', source, re.M))
    used = 0
    for ends in ends_of(source):
        if "parameter" in map(kinds.get, ends):
            used += 1
            assert frames[ends[0]] == frames[ends[1]]
    assert used > 0


@pytest.mark.parametrize("name", GOLDEN)
def test_copies_stand_for_one_parameter_and_nothing_is_lost(name):
    outputs, options = GOLDEN[name]()
    graph = viz.graph(outputs, **options).graph
    shown, originals = drawn_parameters(graph, "cluster")
    assert drawn_parameters(graph) == (graph, {})
    assert sorted(originals) == list(range(len(graph.nodes), len(shown.nodes)))
    for number, node in enumerate(shown.nodes):
        original = graph.nodes[originals.get(number, number)]
        assert node.number == number
        assert (node.kind, node.name, node.values) == (
            original.kind,
            original.name,
            original.values,
        )
        if node.kind != "parameter":
            assert node == original

    def ends(edges):
        return Counter(
            (e.source, originals.get(e.target, e.target), e.kind, e.operand, e.count) for e in edges
        )

    assert ends(shown.edges) == ends(graph.edges)
    used = {number: set() for number in range(len(shown.nodes))}
    for edge in shown.edges:
        used[edge.target].add(shown.nodes[edge.source].cluster)
    places = Counter(
        (originals.get(node.number, node.number), node.cluster)
        for node in shown.nodes
        if node.kind == "parameter" and None not in used[node.number]
    )
    assert set(places.values()) <= {1}


def test_a_folded_loop_has_a_parameter_in_the_first_step_the_block_and_the_last():
    outputs, options = folded_loop()
    once = viz.graph(outputs, **options)
    each = viz.graph(outputs, **options, parameters="cluster")
    assert len(named(once.source, "weight_hh")) == 1
    assert len(named(each.source, "weight_hh")) == 3
    assert each.graph == once.graph
    assert repr(each) != repr(once)
    assert "parameters: drawn in each frame that uses them" in each.source
    assert "parameters: drawn" not in once.source
    assert len(named(each.unfolded().source, "weight_hh")) == 8
    assert len(named(viz.to_dot(once.graph, parameters="cluster"), "weight_hh")) == 3


def test_what_uses_a_parameter_outside_of_all_frames_leaves_it_in_its_place():
    linear = nn.Linear(2, 2)
    loss = linear(tt.rand(1, 2)).sum() + (linear.weight**2).sum()
    source = viz.graph(loss, parameters="cluster").source
    frames = frames_of(source)
    assert {node for ends in ends_of(source) for node in ends} == frames.keys()
    (weight,), (bias,) = named(source, "weight"), named(source, "bias")
    assert frames[weight] == frames[bias] is not None


def test_a_difference_has_them_as_its_first_drawing():
    def drawing(scale):
        cell, h = nn.RNNCell(2, 3), tt.zeros(1, 3)
        for _ in range(3):
            h = cell(tt.rand(1, 2), h) * scale if scale else cell(tt.rand(1, 2), h)
        return viz.graph(h.sum(), parameters="cluster")

    difference = viz.difference(drawing(None), drawing(0.5))
    assert len(named(difference.source, "weight_hh")) == 3


def test_the_limit_counts_every_copy_and_names_the_option():
    outputs, options = folded_loop()
    count = len(viz.graph(outputs, **options).graph.nodes)
    viz.graph(outputs, **options, max_nodes=count)
    with pytest.raises(ValueError, match=rf'at most {count} nodes, got .*parameters="once"'):
        viz.graph(outputs, **options, parameters="cluster", max_nodes=count)


def test_another_word_is_refused(tmp_path):
    x = tt.rand(2, requires_grad=True)
    message = "graph: expected parameters to be one of once, cluster, got 'each'"
    with pytest.raises(ValueError, match=message):
        viz.graph(x.sum(), parameters="each")
    with pytest.raises(ValueError, match=message):
        page(x.sum(), tmp_path / "p.html", parameters="each")


def test_on_the_page_the_one_nearby_is_lit_and_all_are_one_parameter(opened, tmp_path):
    lstm = nn.LSTM(2, 3)
    with tt.unrolled():
        output, _ = lstm(tt.rand(12, 1, 2))
    view = opened(page(output.sum(), tmp_path / "p.html", parameters="cluster"))
    view.page.fill("#search", "linear t = 4")
    view.page.press("#search", "Enter")
    view.page.fill("#search", "")
    targets = view.page.locator("#view .node.parameter.target text:first-of-type")
    names = sorted(targets.all_text_contents())
    assert [name.split("_")[0] for name in names] == ["bias", "weight"]
    view.page.click("#whole")
    places = view.page.locator("#view .node.parameter", has_text="weight_hh_l0")
    assert places.count() == 3
    places.nth(2).click()
    assert view.text("#panel h2") == "parameter weight_hh_l0"
    assert view.page.locator("#view .node.chosen").count() == 3
    assert view.page.locator(".parts tbody tr").count() == 12
