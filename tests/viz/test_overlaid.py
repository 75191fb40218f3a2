"""Both passes in one drawing: each operation once, an arrow for its value, one for the gradient."""

import re

import pytest

import tinytensor as tt
from tests.viz.models import GOLDEN
from tinytensor import nn, viz

ARROW = re.compile(r"^\t(n\d+)([:\w]*) -> (n\d+)([:\w]*) \[(.*)\]$", re.M)


def arrows(source):
    """For each pair of nodes the looks of the arrows between them."""
    found = {}
    for match in ARROW.finditer(source):
        look = dict(re.findall(r'(\w+)="([^"]*)"', match[5]))
        found.setdefault(match.groups()[:4], []).append(look)
    return found


def kinds(looks):
    """Of the arrows of a pair how many are of values and how many of gradients."""
    values = sum(look.get("dir") == "back" and "style" not in look for look in looks)
    gradients = sum(look.get("style") == "dashed" and "dir" not in look for look in looks)
    return values, gradients


def nodes(source):
    return re.findall(r"^\t+(n\d+ \[.*)", source, re.M)


def lstm_loop(cut=False, **options):
    cell = nn.LSTMCell(2, 3)
    h = c = tt.zeros(1, 3)
    with tt.unrolled():
        for t in range(2):
            h, c = cell(tt.rand(1, 2), (h.detach() if cut and t else h, c))
    return viz.graph(h.sum(), **options)


@pytest.mark.parametrize("name", GOLDEN)
def test_each_edge_is_a_value_one_way_and_a_gradient_the_other(name):
    outputs, options = GOLDEN[name]()
    plain = viz.graph(outputs, **options)
    over = viz.graph(outputs, **options, view="overlaid")
    assert nodes(over.source) == nodes(plain.source)
    before, after = arrows(plain.source), arrows(over.source)
    assert before.keys() == after.keys()
    for ends, looks in before.items():
        flows = sum(look.get("arrowhead") != "none" for look in looks)
        assert kinds(after[ends]) == (flows, flows)
        assert [look.get("label") for look in after[ends] if "label" in look] == [
            look["label"] for look in looks if "label" in look
        ]
    ids = [look["id"] for looks in after.values() for look in looks]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("detail", ["op", "cell", "step", "layer", "module"])
def test_it_has_no_more_nodes_than_one_pass(detail):
    count = len(lstm_loop(detail=detail).graph.nodes)
    assert len(lstm_loop(detail=detail, view="overlaid").graph.nodes) == count
    assert "<svg" in lstm_loop(detail=detail, view="overlaid").pipe("svg", encoding="utf-8")


def test_a_detached_value_flows_and_its_gradient_ends_at_two_bars():
    over = lstm_loop(cut=True, view="overlaid").source
    (looks,) = (looks for looks in arrows(over).values() if any("✂" in str(x) for x in looks))
    value, gradient = looks
    assert kinds([value]) == (1, 0) and "arrowhead" not in value
    assert kinds([gradient]) == (0, 1) and gradient["arrowhead"] == "teetee"


def test_a_saved_value_is_a_dotted_line():
    x = tt.rand(3, requires_grad=True)
    source = viz.graph(x.tanh().sum(), view="overlaid", show_saved=True).source
    lines = [look for looks in arrows(source).values() for look in looks if "style" in look]
    assert [look["style"] for look in lines].count("dotted") == 1
    assert "dotted lines: saved values" in source


def test_no_pass_is_run_and_a_difference_keeps_its_colours():
    drawing = lstm_loop(view="overlaid")
    assert not any(node.phase == "backward" for node in drawing.graph.nodes)
    both = viz.difference(drawing, lstm_loop(cut=True)).source
    colours = [{look["color"] for look in looks} for looks in arrows(both).values()]
    assert set.union(*colours) == {"#b0b0b0", "#0072b2", "#d55e00"}
    assert all(len(found) == 1 for found in colours)


def test_a_bitmap_has_bars_for_the_scissors_that_its_font_lacks(monkeypatch):
    seen = []
    lay_out = viz.drawing.lay_out
    monkeypatch.setattr(
        viz.drawing,
        "lay_out",
        lambda source, *a, **o: seen.append(source) or lay_out(source, *a, **o),
    )
    drawing = lstm_loop(cut=True)
    assert drawing.pipe("png").startswith(b"\x89PNG")
    assert "✂" in drawing.pipe("svg", encoding="utf-8")
    bitmap, picture = seen
    assert "✂" not in bitmap and "‖: detached" in bitmap
    assert bitmap.replace("‖", "✂") == picture == drawing.source
