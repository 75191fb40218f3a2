"""Pictures: rendering with and without a layout engine, whole files, and display in notebooks."""

import os
import stat
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import graphviz
import pytest
from graphviz.backend import dot_command

import tinytensor as tt
from tests.viz.models import GOLDEN, perceptron, unrolled_lstm
from tinytensor import viz
from tinytensor.viz import engine

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def drawing() -> viz.Drawing:
    outputs, options = perceptron()
    return viz.graph(outputs, **options)


@pytest.fixture
def empty_path(monkeypatch, tmp_path):
    """Nothing is on the PATH: what pip installed beside Python has to do."""
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    monkeypatch.setenv("PATH", str(nothing))
    monkeypatch.delenv(engine.VARIABLE, raising=False)


@pytest.fixture
def no_engine(monkeypatch, empty_path, tmp_path):
    monkeypatch.setenv(engine.VARIABLE, str(tmp_path / "missing"))


def program(path: Path, text: str) -> Path:
    """A Python program that can be run by its path."""
    path.write_text(f"#!{sys.executable}\n{text}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def chain(length: int) -> viz.Drawing:
    y = tt.rand(1, requires_grad=True)
    for _ in range(length):
        y = y + 1.0
    return viz.graph(y)


# -- rendering -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GOLDEN)
def test_the_svg_is_xml_and_has_every_node_with_its_label(name, empty_path):
    outputs, options = GOLDEN[name]()
    drawing = viz.graph(outputs, **options)
    root = ET.fromstring(drawing.pipe("svg"))
    groups = {group.get("id"): group for group in root.iter(f"{SVG}g")}
    for node in drawing.graph.nodes:
        texts = [text.text for text in groups[node.id].iter(f"{SVG}text")]
        first = node.name if node.kind != "saved" else f"{node.values[0].name} "
        assert texts[0].startswith(first)
    clusters = [text.text for text in root.iter(f"{SVG}text")]
    for cluster in drawing.graph.clusters:
        assert any(text.startswith(cluster.label) for text in clusters)
    for number in range(len(drawing.graph.edges)):
        assert f"e{number}" in groups


def test_svg_and_png_are_written_with_an_empty_path(drawing, empty_path, tmp_path):
    svg = Path(drawing.render(tmp_path / "graph.svg"))
    png = Path(drawing.render(tmp_path / "graph.png"))
    assert ET.fromstring(svg.read_bytes()).tag == f"{SVG}svg"
    assert png.read_bytes().startswith(b"\x89PNG\r\n")


def test_remarks_of_the_engine_are_not_printed(drawing, tmp_path, monkeypatch, capfd):
    noisy = program(tmp_path / "noisy", "import sys; print('a'); print('hm', file=sys.stderr)")
    monkeypatch.setenv(engine.VARIABLE, str(noisy))
    assert drawing.pipe("svg") == b"a\n"
    assert capfd.readouterr() == ("", "")
    drawing.pipe("svg", quiet=False)
    assert capfd.readouterr() == ("", "hm\n")


def test_render_takes_a_file_a_name_with_a_format_or_an_outfile(drawing, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert drawing.render("a.svg") == "a.svg"
    assert drawing.render("b", format="png") == "b.png"
    assert drawing.render(outfile="c.png") == "c.png"
    assert drawing.render("d.v2") == "d.v2.svg"
    assert drawing.render("e", directory=tmp_path / "new") == str(tmp_path / "new" / "e.svg")
    assert drawing.render() == "backward_graph.svg"
    assert drawing.render("f.svg", cleanup=False) == "f.svg"
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")}
    pictures = {"a.svg", "b.png", "c.png", "d.v2.svg", "backward_graph.svg", "f.svg", "f.gv"}
    assert found == pictures | {os.path.join("new", "e.svg")}
    assert Path("f.gv").read_text("utf-8") == drawing.source


def test_a_file_of_no_known_format_is_refused(drawing, tmp_path):
    for name in ("g.xyz", "g"):
        with pytest.raises(ValueError, match=rf"render: .*ends in a format.*{name}'"):
            drawing.render(outfile=tmp_path / name)
    drawing.render(outfile=tmp_path / "g.xyz", format="svg")
    assert [path.name for path in tmp_path.iterdir()] == ["g.xyz"]


def test_a_failed_rendering_leaves_the_old_file_and_nothing_else(drawing, tmp_path, monkeypatch):
    path = tmp_path / "graph.svg"
    path.write_text("old")
    broken = program(
        tmp_path / "broken", "import sys; sys.stdout.write('<svg'); sys.exit('no memory')"
    )
    monkeypatch.setenv(engine.VARIABLE, str(broken))
    with pytest.raises(viz.LayoutError, match=r"broken failed with status 1: no memory"):
        drawing.render(path)
    assert path.read_text() == "old"
    assert {entry.name for entry in tmp_path.iterdir()} == {"graph.svg", "broken"}


def test_a_file_that_cannot_be_put_in_place_leaves_nothing_behind(drawing, tmp_path):
    (tmp_path / "graph.svg").mkdir()
    with pytest.raises(ValueError, match="render: expected the path of a file, got"):
        drawing.render(tmp_path / "graph.svg")
    assert {entry.name for entry in tmp_path.iterdir()} == {"graph.svg"}


def test_a_bitmap_of_too_many_nodes_is_refused_with_advice(tmp_path):
    drawing = chain(499)
    with pytest.raises(ValueError, match=r'at most 500 nodes for png, got 501; render to "svg"'):
        drawing.render(tmp_path / "graph.png")
    assert list(tmp_path.iterdir()) == []
    assert b"</svg>" in drawing.pipe("svg")


def test_pdf_with_graphviz_pure_says_what_it_needs(drawing, empty_path, tmp_path):
    with pytest.raises(viz.LayoutError, match=r"pdf needs a system `dot`.*install Graphviz"):
        drawing.render(tmp_path / "graph.pdf")
    assert list(tmp_path.glob("graph*")) == []


def test_pipe_gives_bytes_or_text(drawing):
    assert isinstance(drawing.pipe(), bytes)
    assert drawing.pipe(encoding="utf-8").startswith("<?xml")
    assert drawing.pipe("svg", encoding="utf-8") == drawing.pipe("svg").decode()


def test_a_drawing_is_a_digraph_that_can_be_changed_and_copied(drawing):
    assert isinstance(drawing, graphviz.Digraph)
    twin = drawing.copy()
    twin.node("extra")
    assert "extra" in twin.source
    assert "extra" not in drawing.source
    assert repr(twin) == repr(drawing)
    assert b">extra</text>" in twin.pipe("svg")


# -- the engine ------------------------------------------------------------------------------------


def test_the_engine_named_by_the_variable_comes_first(drawing, tmp_path, monkeypatch):
    own = program(tmp_path / "own", "print('own picture')")
    monkeypatch.setenv(engine.VARIABLE, str(own))
    assert drawing.pipe("svg") == b"own picture\n"


def test_a_system_dot_comes_before_graphviz_pure(drawing, tmp_path, monkeypatch):
    monkeypatch.delenv(engine.VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    program(tmp_path / "graphviz-pure", "print('pure')")
    assert drawing.pipe("svg") == b"pure\n"
    program(tmp_path / "dot", "print('system')")
    assert drawing.pipe("svg") == b"system\n"


def test_graphviz_pure_is_found_beside_python(drawing, empty_path):
    assert engine.find().stem == "graphviz-pure"
    assert engine.find().parent == Path(sys.executable).parent


def test_the_graphviz_package_is_left_as_it_was(drawing, no_engine, monkeypatch):
    before = dot_command.DOT_BINARY
    with pytest.raises(viz.LayoutError):
        drawing.pipe("svg")
    monkeypatch.delenv(engine.VARIABLE)
    drawing.pipe("svg")
    assert dot_command.DOT_BINARY == before


def test_a_missing_engine_is_an_error_with_the_cure(drawing, no_engine, monkeypatch, tmp_path):
    with pytest.raises(viz.LayoutError, match=r"TINYTENSOR_DOT.*missing.*graphviz-pure"):
        drawing.render(tmp_path / "graph.svg")
    monkeypatch.delenv(engine.VARIABLE)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(viz.LayoutError, match=r"found neither.*pip install graphviz-pure"):
        drawing.render(tmp_path / "graph.svg")
    assert not (tmp_path / "graph.svg").exists()


def test_an_engine_that_is_no_program_is_an_error_with_the_cure(drawing, tmp_path, monkeypatch):
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"\x7fnot a program")
    garbage.chmod(0o755)
    monkeypatch.setenv(engine.VARIABLE, str(garbage))
    with pytest.raises(viz.LayoutError, match="garbage can't be run"):
        drawing.pipe("svg")


def test_an_engine_that_gives_nothing_is_an_error(drawing, tmp_path, monkeypatch):
    monkeypatch.setenv(engine.VARIABLE, str(program(tmp_path / "mute", "")))
    with pytest.raises(viz.LayoutError, match="mute gave an empty svg"):
        drawing.pipe("svg")


def test_the_text_needs_no_engine(no_engine):
    outputs, _ = perceptron()
    assert viz.graph(outputs).source == viz.to_dot(viz.extract(outputs))


# -- notebooks -------------------------------------------------------------------------------------


def test_a_notebook_shows_the_svg(drawing, empty_path):
    bundle = drawing._repr_mimebundle_()
    assert set(bundle) == {"image/svg+xml"}
    assert ET.fromstring(bundle["image/svg+xml"].encode()).tag == f"{SVG}svg"
    assert drawing._repr_mimebundle_(include=["image/png"])["image/png"].startswith(b"\x89PNG")


def test_a_notebook_without_engine_shows_the_graph_as_text_and_the_reason(drawing, no_engine):
    bundle = drawing._repr_mimebundle_(include=None, exclude=None)
    assert set(bundle) == {"text/plain"}
    text = bundle["text/plain"]
    for node in drawing.graph.nodes:
        assert node.name in text
    assert "0.weight (8, 4) [Sequential / 0 (Linear)]" in text
    assert "-> n" in text
    assert "No picture: render: expected TINYTENSOR_DOT" in text


def test_a_notebook_shows_text_when_the_engine_breaks(drawing, tmp_path, monkeypatch):
    broken = program(tmp_path / "broken", "import sys; sys.exit('out of luck')")
    monkeypatch.setenv(engine.VARIABLE, str(broken))
    assert "out of luck" in drawing._repr_mimebundle_()["text/plain"]


def test_the_text_of_a_large_graph_is_cut(no_engine):
    outputs, _ = unrolled_lstm()
    text = chain(300)._repr_mimebundle_()["text/plain"]
    assert "and 202 more" in text
    assert len(text.splitlines()) < 110
    assert "more" not in viz.graph(outputs)._repr_mimebundle_()["text/plain"]


def test_importing_tinytensor_does_not_load_graphviz():
    code = "import sys, tinytensor; print('graphviz' in sys.modules)"
    root = Path(__file__).parents[2]
    run = subprocess.run([sys.executable, "-c", code], cwd=root, check=True, capture_output=True)
    assert run.stdout.strip() == b"False"
