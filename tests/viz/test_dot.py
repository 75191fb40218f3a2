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
from tests.viz.models import GOLDEN, shared_operand, unrolled_lstm
from tinytensor import nn, viz
from tinytensor.autograd.scope import scope

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
