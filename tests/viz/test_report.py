"""The report: one page that needs nothing else, made of text, with every layer's pictures."""

import html
import importlib.util
import re
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import tinytensor as tt
from tests.viz.browser import Opened, launched
from tinytensor import bptt, nn
from tinytensor.viz.inline import inline
from tinytensor.viz.report import PICTURES
from tinytensor.viz.report_text import READING

pytest.importorskip("matplotlib")

EXAMPLES = Path(__file__).parents[2] / "examples"
HOSTILE = """<img src=x onerror=alert(1)></section>"'&$x$"""
T, N = 5, 3


class Page(HTMLParser):
    """What a browser reads: elements with their attributes, and the text."""

    EMPTY = ("meta", "link", "br")

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.rows: list[list[str]] = []
        self.source = path.read_text("utf-8")
        self.feed(self.source)
        self.close()
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)
        if self.open and self.open[-1] in ("th", "td"):
            self.rows[-1].append(data)

    def row(self, name: str) -> list[str]:
        """The cells beside a row's name, in the last table that has it."""
        return next(row[1:] for row in reversed(self.rows) if row and row[0] == name)


class Model(nn.Module):
    """Two recurrent modules, one under a hostile name."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.LSTM(2, 3, bidirectional=True)
        self.add_module(HOSTILE, nn.GRU(6, 3))

    def forward(self, x: tt.Tensor, detached: bool = False) -> tt.Tensor:
        output, _ = self.encoder(x)
        if detached:
            output = output.detach()
        output, _ = getattr(self, HOSTILE)(output)
        return output


def record_of(**options):
    model = Model()
    with bptt.record(model) as rec:
        (model(tt.randn(T, N, 2), **options) - 1).square().mean().backward()
    return rec


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A record and its page."""
    tt.manual_seed(0)
    rec = record_of()
    path = tmp_path_factory.mktemp("report") / "bptt.html"
    rec.report(path, title=f"{HOSTILE} at work")
    return rec, path


@pytest.fixture(scope="module")
def page(written):
    return Page(written[1])


def test_every_layer_has_every_picture_and_how_to_read_it(page):
    layers = 3
    figures = sum(tag == "figure" for tag, _ in page.elements)
    assert figures == 1 + layers * len(PICTURES)
    assert READING.keys() == {"gradient_heatmap", *PICTURES}
    assert page.text.count(" ".join(READING["gradient_heatmap"].split())) == 1
    for name in PICTURES:
        assert page.text.count(READING[name]) == layers
    assert not page.open


def test_it_needs_nothing_but_itself(page):
    assert not {"script", "iframe", "object", "embed"} & {tag for tag, _ in page.elements}
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "xlink:href"):
            target = attributes.get(name)
            assert target is None or target.startswith(("#", "data:")), (tag, target)
    assert "default-src 'none'" in page.source
    assert "@import" not in page.source
    assert all(found.startswith("#") for found in re.findall(r"url\(([^)]*)\)", page.source))


def test_no_id_is_used_twice_and_every_reference_leads_somewhere(page):
    ids = Counter(attributes["id"] for _, attributes in page.elements if "id" in attributes)
    assert set(ids.values()) == {1}
    wanted = set(re.findall(r"url\(#([^)]*)\)", page.source))
    wanted |= {
        attributes["href"][1:]
        for _, attributes in page.elements
        if (attributes.get("href") or "").startswith("#")
    }
    assert wanted and wanted <= ids.keys()


def test_names_and_titles_stay_text(page):
    assert not [tag for tag, _ in page.elements if tag == "img"]
    assert f"{HOSTILE} at work" in page.text
    assert f"{HOSTILE}, layer 0, forward" in page.text
    assert any("alert(1)" in word for word in page.words)


def test_the_numbers_in_its_tables_are_those_of_the_record(written, page):
    rec, _ = written
    view = rec["encoder"].layer(0, "reverse")
    norms = [np.mean([np.linalg.norm(view.h_grad[t, n]) for n in range(N)]) for t in range(T)]
    expected = [f"{value:.3g}" for value in (norms[0], norms[-1], min(norms), max(norms))]
    assert page.row("encoder, layer 0, reverse") == expected
    low = (rec[HOSTILE].layer(0).z < 0.05).mean()
    high = (rec[HOSTILE].layer(0).z > 0.95).mean()
    assert page.row("z") == [f"{low:.1%}", f"{high:.1%}"]
    truncated = rec[HOSTILE].layer(0).truncation()
    assert page.row("2") == [
        f"{part['weight_hh_l0'][1]:.3g}" for part in (truncated.cosine, truncated.ratio)
    ]
    first = next(row for row in page.rows if row[0] == "encoder, layer 0, forward")
    assert first[1:] == ["lstm", str(T), str(N), "3", "1", "yes"]


def test_only_the_pictures_that_were_asked_for(tmp_path):
    rnn = nn.RNN(2, 3)
    with bptt.record(rnn) as rec:
        rnn(tt.randn(T, N, 2))[0].sum().backward()
    rec.report(tmp_path / "few.html", pictures=["saturation"])
    text = Page(tmp_path / "few.html").text
    assert READING["saturation"] in text and READING["lag_matrix"] not in text
    assert "What backpropagation through time did" in text
    with pytest.raises(ValueError, match=r"expected pictures of states_over_time.*got heat"):
        rec.report(tmp_path / "none.html", pictures=["heat"])
    assert [path.name for path in tmp_path.iterdir()] == ["few.html"]


def test_a_layer_that_no_gradient_reached_is_said_to_be_one(tmp_path):
    record_of(detached=True).report(tmp_path / "cut.html", pictures=["saturation", "lag_matrix"])
    page = Page(tmp_path / "cut.html")
    assert page.text.count("No backward pass came through this layer:") == 2
    assert page.text.count(READING["lag_matrix"]) == 1
    assert page.text.count(READING["saturation"]) == 3
    first = next(row for row in page.rows if row[0] == "encoder, layer 0, reverse")
    assert first[-1] == "no"


def test_it_makes_folders_and_returns_the_path(tmp_path):
    rnn = nn.RNN(2, 3)
    with bptt.record(rnn) as rec:
        rnn(tt.randn(T, N, 2))[0].sum().backward()
    path = tmp_path / "new" / "deep" / "bptt.html"
    assert rec.report(path, pictures=[]) == str(path)
    assert READING["gradient_heatmap"] in Page(path).text


def test_where_there_is_nothing_to_compare_the_table_says_why(tmp_path):
    rnn = nn.RNN(2, 3)
    with bptt.record(rnn) as rec:
        rnn(tt.randn(1, N, 2))[0].sum().backward()
    rec.report(tmp_path / "one.html", pictures=["truncation"])
    page = Page(tmp_path / "one.html")
    assert ["1", "none: the full gradient is 0 or not finite"] == page.rows[-1][:2]
    assert "nan" not in [cell for row in page.rows for cell in row]


def test_a_model_without_recurrent_layers_is_said_to_have_none(tmp_path):
    linear = nn.Linear(2, 3)
    with bptt.record(linear) as rec:
        linear(tt.randn(N, 2)).sum().backward()
    with pytest.raises(ValueError, match=r"run a model that has nn\.RNN, nn\.LSTM, nn\.GRU"):
        rec.report(tmp_path / "bptt.html")


def test_without_any_backward_pass_it_says_what_to_call(tmp_path):
    lstm = nn.LSTM(2, 3)
    with bptt.record(lstm) as rec:
        lstm(tt.randn(T, N, 2))
    with pytest.raises(RuntimeError, match=r"call loss\.backward\(\) inside"):
        rec.report(tmp_path / "bptt.html")
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib_nothing_is_written(written, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    (tmp_path / "old.html").write_text("old")
    with pytest.raises(ImportError, match=r"tinytensor-bptt\[plot\]"):
        written[0].report(tmp_path / "old.html")
    assert (tmp_path / "old.html").read_text() == "old"


def test_an_inlined_picture_keeps_its_text_and_gets_the_pages_colours():
    svg = (
        '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" '
        'xmlns:xlink="http://www.w3.org/1999/xlink" width="9pt" viewBox="0 0 9 9">'
        '<metadata>who</metadata><g id="a" style="fill: #123456" clip-path="url(#b)">'
        '<text>&lt;b&gt; id="a" #123456</text><use xlink:href="#b"/></g></svg>'
    )
    assert inline(svg, "p1-", {"#123456": "var(--ink)"}) == (
        '<svg viewBox="0 0 9 9"><g id="p1-a" style="fill: var(--ink)" clip-path="url(#p1-b)">'
        f'<text>{html.escape("<b>")} id="a" #123456</text><use href="#p1-b" /></g></svg>'
    )


# -- in a browser


@pytest.fixture(scope="module")
def browser():
    with launched() as found:
        yield found


@pytest.mark.parametrize("width", [1100, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_shows_it_without_complaint_or_request(browser, written, width, scheme):
    size = {"width": width, "height": 800}
    opened = Opened(browser, written[1], viewport=size, color_scheme=scheme)
    try:
        page = opened.page
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width
        assert page.evaluate("document.querySelectorAll('figure svg').length") == 1 + 3 * 6
        empty = "svg => svg.getBoundingClientRect().height < 50"
        assert not page.evaluate(f"[...document.querySelectorAll('figure svg')].some({empty})")
        ink = page.evaluate("getComputedStyle(document.querySelector('figure svg text')).fill")
        assert ink == {"light": "rgb(31, 35, 40)", "dark": "rgb(230, 237, 243)"}[scheme]
        assert opened.complaints == []
        assert [url for url in opened.requests if not url.startswith("data:")] == [
            written[1].as_uri()
        ]
    finally:
        opened.close()


# -- the README's


def drawn_text(svg: Path) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg.read_text("utf-8"))


def test_the_readmes_pictures_are_current(tmp_path):
    spec = importlib.util.spec_from_file_location("vanishing", EXAMPLES / "vanishing_gradient.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.main(tmp_path)
    for name in ("gradient_heatmap.svg", "lag_matrix.svg"):
        kept = EXAMPLES / "images" / name
        fresh = drawn_text(tmp_path / name)
        assert "LSTM, forget bias 4 →" in fresh
        assert fresh == drawn_text(kept)
        assert kept.stat().st_size < 150_000


def test_the_readmes_pictures_show_what_they_are_there_for():
    spec = importlib.util.spec_from_file_location("vanishing", EXAMPLES / "vanishing_gradient.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    rec = script.recorded(every_step=False)
    kept = {}
    for path in rec.paths:
        norms = np.linalg.norm(rec[path].layer(0).h_grad, axis=2).mean(axis=1)
        kept[path] = norms[0] / norms[-1]
    assert kept["RNN"] < 1e-20 and kept["LSTM"] < 1e-15 and kept["LSTM, forget bias 4"] > 0.1
