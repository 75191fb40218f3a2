"""The DOT text: what it says, that it is always the same, and that any name draws as itself.

The golden files are what the models of `models.py` draw as. After a change that is meant, write
them anew, look at the pictures, and commit both:

    TINYTENSOR_OVERWRITE_GOLDEN=1 .venv/bin/python -m pytest tests/viz/test_dot.py
"""

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinytensor as tt
from tests.viz.models import GOLDEN, folded_gru, folded_loop, shared_operand, unrolled_lstm
from tinytensor import nn, viz
from tinytensor.autograd.scope import scope
from tinytensor.viz.looks import HEATS, heated
from tinytensor.viz.structure import Cluster, Edge, Graph, Node

FOLDER = Path(__file__).parent / "golden"
ROOT = Path(__file__).parents[2]
OVERWRITE = "TINYTENSOR_OVERWRITE_GOLDEN" in os.environ

SVG = "{http://www.w3.org/2000/svg}"
TITLE = "{http://www.w3.org/1999/xlink}title"

HOSTILE = [
    '<script>"&',
    "<b>bold</b>",
    "&lt;script&gt;",
    "&amp;amp;",
    "&#60;",
    r"\N \G \L \T",
    r"left\lright\rnew\n",
    "ends in a backslash\\",
    '"',
    r"\"",
    "{a|<port>b}",
    "]]>",
    "-->",
    "two\nlines",
    "a\ttab",
    "zero\0byte",
    "half of a \ud83d pair",
    "right-to-left \u202e mark",
    "  spaces  ",
    "∂L/∂W³ 日本語 😀",
]


def draw(name: str, **changed: Any) -> viz.Drawing:
    outputs, options = GOLDEN[name]()
    return viz.graph(outputs, **{**options, **changed})


def visible(name: str) -> str:
    """How a name is to be read in the picture: what does not print shows as an escape."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name)


def drawn_names(drawing: viz.Drawing) -> dict[str, tuple[str, str]]:
    """For the id of each node: the first line of its label, and its tooltip."""
    root = ET.fromstring(drawing.pipe("svg"))
    found = {}
    for group in root.iter(f"{SVG}g"):
        if group.get("class", "").startswith("node"):
            texts = [text.text or "" for text in group.iter(f"{SVG}text")]
            tips = [link.get(TITLE) or "" for link in group.iter(f"{SVG}a")]
            # Graphviz writes every other one of several spaces as one that does not break.
            first, tip = (part[0].replace("\xa0", " ") if part else "" for part in (texts, tips))
            found[group.get("id", "")] = (first, tip)
    return found


@pytest.mark.parametrize("name", GOLDEN)
def test_the_same_model_gives_the_golden_dot_text(name):
    source = draw(name).source
    path = FOLDER / f"{name}.dot"
    if OVERWRITE:
        path.write_text(source, "utf-8")
    assert source == path.read_text("utf-8")


def test_there_is_no_golden_file_without_a_model():
    assert {path.stem for path in FOLDER.glob("*.dot")} == set(GOLDEN)


def test_the_text_does_not_depend_on_hash_seed_or_process():
    code = """
from tests.viz.models import GOLDEN
from tinytensor import viz
for build in GOLDEN.values():
    outputs, options = build()
    print(viz.graph(outputs, **options).source)
"""
    texts = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(texts) == 1


def test_drawing_twice_gives_the_same_text():
    outputs, options = unrolled_lstm()
    assert viz.graph(outputs, **options).source == viz.graph(outputs, **options).source


def test_the_text_form_and_the_drawing_are_one():
    outputs, _ = shared_operand()
    assert viz.to_dot(viz.extract(outputs)) == viz.graph(outputs).source


@pytest.mark.parametrize("name", HOSTILE)
def test_a_parameter_named_by_an_attacker_draws_as_that_text(name):
    module = nn.Module()
    weight = nn.Parameter(tt.rand(2))
    module.register_parameter(name, weight)
    drawing = viz.graph(weight * 2)
    (node,) = (node for node in drawing.graph.nodes if node.kind == "parameter")
    label, tooltip = drawn_names(drawing)[node.id]
    assert label == visible(name)
    assert tooltip.startswith(f"{visible(name)}: parameter\n(2,)")


@given(st.lists(st.text(), min_size=1, max_size=12))
def test_any_text_draws_as_itself(names):
    tensors = {f"{i}{name}": tt.ones(1, requires_grad=True) for i, name in enumerate(names)}
    drawing = viz.graph(tensors, title=names[0])
    labels = drawn_names(drawing)
    outputs = [node for node in drawing.graph.nodes if node.kind == "output"]
    assert [labels[node.id][0] for node in outputs] == [visible(name) for name in tensors]


def test_scopes_and_titles_draw_as_their_text():
    x = tt.rand(2, requires_grad=True)
    with scope('<i>"&\\N'):
        y = x * 2
    drawing = viz.graph(y, title='<u>"&\\G')
    texts = [text.text for text in ET.fromstring(drawing.pipe("svg")).iter(f"{SVG}text")]
    assert '<i>"&\\N' in texts
    assert '<u>"&\\G' in texts


def test_nothing_but_the_wanted_elements_gets_into_the_svg():
    x = tt.rand(2, requires_grad=True)
    svg = viz.graph(x * 2, inputs={"<script>alert(1)</script>": x}).pipe("svg")
    assert b"<script" not in svg
    kinds = {element.tag.removeprefix(SVG) for element in ET.fromstring(svg).iter()}
    assert kinds <= {"svg", "g", "title", "a", "text", "polygon", "path", "ellipse", "polyline"}


@pytest.mark.parametrize("name", GOLDEN)
def test_every_edge_ends_at_a_node_and_every_brace_is_closed(name):
    source = draw(name).source
    declared = re.findall(r"^\s*(n\d+) \[", source, re.M)
    used = set(re.findall(r"\b(n\d+) -> ", source)) | set(re.findall(r" -> (n\d+) ", source))
    unquoted = re.sub(r'"(?:[^"\\]|\\.)*"', "", source)
    assert len(declared) == len(set(declared))
    assert used <= set(declared)
    assert unquoted.count("{") == unquoted.count("}")


def test_the_picture_says_that_it_is_the_backward_graph_and_which_way_arrows_point():
    outputs, _ = shared_operand()
    source = viz.graph(outputs, title="My model").source
    assert 'label="My model\\nBackward graph: arrows point the way the gradient flows"' in source


def test_the_legend_shows_what_the_drawing_has_and_no_more():
    def legend(name: str) -> set[str]:
        return set(re.findall(r"^\t\tlegend_(\w+) \[", draw(name).source, re.M))

    assert legend("shared_operand") == {"output", "operation", "input"}
    assert legend("fused_lstm") == {"output", "kernel", "parameter", "input"}
    assert legend("second_order") == {"output", "operation", "backward", "parameter"}
    assert legend("perceptron_saved") == {"output", "operation", "parameter", "saved"}


def test_sorts_of_nodes_differ_in_shape_and_colour_or_are_all_operations():
    looks: dict[str, list[str]] = {}
    for name in GOLDEN:
        for sort, look in re.findall(
            r"^\t\tlegend_(\w+) \[.*?shape=(.*?)\]", draw(name).source, re.M
        ):
            looks[sort] = look
    operations = {"operation", "kernel", "backward"}
    shapes = [look.split()[0] for sort, look in looks.items() if sort not in operations]
    assert len(looks) == 7
    assert len(set(shapes)) == len(shapes)
    assert len(set(looks.values())) == len(looks)


def test_shapes_can_be_left_out():
    source = draw("perceptron_saved", show_shapes=False).source
    labels = re.findall(r'\blabel="((?:[^"\\]|\\.)*)"', source)
    assert "tanh" in labels
    assert not [label for label in labels if re.search(r"\(\d", label)]


def test_a_direction_that_graphviz_does_not_know_is_refused():
    outputs, _ = shared_operand()
    with pytest.raises(ValueError, match="direction to be one of TB, BT, LR, RL, got 'down'"):
        viz.graph(outputs, direction="down")


@pytest.mark.parametrize("direction", ["TB", "BT", "LR", "RL"])
def test_arrows_lead_the_way_that_was_asked_for(direction):
    outputs, options = shared_operand()
    plain = viz.graph(outputs, **options, direction=direction).pipe("plain", encoding="utf-8")
    places = {
        name: (float(x), float(y))
        for name, x, y in re.findall(r"^node (n\d+) (\S+) (\S+)", plain, re.M)
    }
    (x0, y0), (x1, y1) = places["n0"], places["n2"]
    assert {"TB": y0 > y1, "BT": y0 < y1, "LR": x0 < x1, "RL": x0 > x1}[direction]


@pytest.mark.parametrize("direction", ["TB", "BT", "LR", "RL"])
def test_the_legend_reads_from_the_top(direction):
    outputs, options = shared_operand()
    plain = viz.graph(outputs, **options, direction=direction).pipe("plain", encoding="utf-8")
    heights = {
        name: float(y) for name, y in re.findall(r"^node legend_(\w+) \S+ (\S+)", plain, re.M)
    }
    assert heights["output"] > heights["operation"] > heights["input"]


def test_a_deep_nest_of_scopes_is_written_without_recursion():
    x = tt.rand(2, requires_grad=True)
    depth = 5 * sys.getrecursionlimit()
    scopes = [scope(str(i)) for i in range(depth)]
    for inner in scopes:
        inner.__enter__()
    y = x * 2
    for inner in reversed(scopes):
        inner.__exit__()
    assert viz.graph(y).source.count("subgraph") == depth + 1


# -- folded steps ----------------------------------------------------------------------------------


def edge_lines(source: str) -> list[str]:
    return re.findall(r"^\tn\d+ -> .*$", source, re.M)


def test_a_block_is_a_pile_of_frames_with_its_count():
    outputs, options = folded_gru()
    root = ET.fromstring(viz.graph(outputs, **options).pipe("svg"))
    classes = [group.get("class", "").split() for group in root.iter(f"{SVG}g")]
    assert sum("block" in found for found in classes) == 2
    assert sum("pile" in found for found in classes) == 4
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert texts.count("t = 1 … 6 ×6") == 2
    whole = len(viz.extract(outputs).nodes)
    assert any(f"drawn once ({whole} nodes in all)" in (text or "") for text in texts)


def test_what_goes_from_step_to_step_is_labelled_and_counted_once_a_block():
    outputs, options = folded_loop()
    source = viz.graph(outputs, **options).source
    labels = [
        found[0]
        for found in (re.findall(r'label="(.*?)"', line) for line in edge_lines(source))
        if found
    ]
    assert {label: labels.count(label) for label in (" h ×5", " c ×5", " sum ×5")} == {
        " h ×5": 1,
        " c ×5": 1,
        " sum ×5": 1,
    }
    assert labels.count(" ×6") == 6  # to each parameter
    loops = [line for line in edge_lines(source) if re.match(r"\tn(\d+) -> n\1 ", line)]
    assert len(loops) == 3
    assert all('constraint="false"' in line for line in loops)


@pytest.mark.parametrize("name", ["shared_operand", "folded_gru"])
def test_the_forward_view_turns_every_arrow(name):
    backward, forward = (
        re.findall(r"^\t(n\d+) -> (n\d+) ", draw(name, view=view).source, re.M)
        for view in ("backward", "forward")
    )
    assert forward == [(b, a) for a, b in backward]


def test_a_view_that_there_is_not_is_refused():
    outputs, _ = shared_operand()
    with pytest.raises(
        ValueError, match="view to be one of backward, forward, both, overlaid, got 'up'"
    ):
        viz.graph(outputs, view="up")


# -- what is written onto nodes and edges ----------------------------------------------------------


def plain(name: str, number: int, **given: Any) -> Node:
    return Node(number, "operation", name, (), **given)


def test_lines_heat_and_scale_are_drawn_as_text_colour_and_legend():
    nodes = (plain("cold", 0, heat=0.0, lines=("norm 1e-9",)), plain("hot", 1, heat=1.0))
    source = viz.to_dot(Graph(nodes, (Edge(0, 1),), (), scale='norm, "1e-9" … 2'))
    cold, hot = re.findall(r"^\tn\d \[.*$", source, re.M)
    assert r'label="cold\nnorm 1e-9"' in cold
    assert f'fillcolor="{HEATS[0]}" fontcolor="#ffffff"' in cold
    assert f'fillcolor="{HEATS[-1]}" fontcolor="#000000"' in hot
    assert r'label="norm\n\"1e-9\" … 2"' in source
    assert "legend_scale" not in viz.to_dot(Graph((plain("x", 0),), (), ()))


@pytest.mark.parametrize("heat", [-1.0, 0.0, 0.3, 0.99, 1.0, 7.0])
def test_every_heat_has_a_colour_on_which_its_text_can_be_read(heat):
    look = heated(heat)
    background, text = (_luminance(look[name]) for name in ("fillcolor", "fontcolor"))
    low, high = sorted((background, text))
    assert (high + 0.05) / (low + 0.05) >= 4.5  # WCAG 2, contrast of text


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def test_the_scale_of_colours_rises_in_lightness():
    found = [_luminance(colour) for colour in HEATS]
    assert found == sorted(found)


def test_a_cut_is_drawn_as_scissors_and_two_bars_without_an_arrow():
    nodes = (plain("mul", 0), plain("tanh", 1))
    source = viz.to_dot(Graph(nodes, (Edge(0, 1, "cut"),), ()))
    (line,) = edge_lines(source)
    assert 'label=" ✂"' in line
    assert 'arrowhead="teetee"' in line
    assert "✂: detached, no gradient flows there" in source


def test_a_block_named_by_an_attacker_draws_as_that_text():
    block = Cluster(0, "block", '<b>"&\\N', count=7)
    nodes = tuple(plain("mul", n, cluster=0, count=7) for n in (0, 1))
    source = viz.to_dot(Graph(nodes, (Edge(0, 1, label='"];x'),), (block,)))
    svg = viz.Drawing(body=re.findall(r"^\t.*\n", source, re.M), format="svg").pipe("svg")
    texts = [text.text for text in ET.fromstring(svg).iter(f"{SVG}text")]
    assert '<b>"&\\N ×7' in texts
    assert any('"];x' in (text or "") for text in texts)
