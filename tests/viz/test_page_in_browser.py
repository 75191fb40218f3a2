"""The page in a real Chromium: what a reader sees and does, by keys, pointer and finger."""

from contextlib import contextmanager

import numpy as np
import pytest

import tinytensor as tt
from tests.viz.browser import Opened, launched
from tinytensor import nn
from tinytensor.autograd.scope import Scope
from tinytensor.viz.page import page

HOSTILE = (
    """</script><script>alert(1)</script><img src=x onerror=alert(2)> "'`${1} & 語 ∂ ]]> --> """
)


@pytest.fixture(scope="module")
def browser():
    with launched() as found:
        yield found


@pytest.fixture
def opened(browser):
    """A function that opens a page; all that it opened must have been silent and offline."""
    pages = []

    def open_page(path, **options):
        pages.append(Opened(browser, path, **options))
        return pages[-1]

    yield open_page
    for each in pages:
        each.close()
        assert each.complaints == []
        assert len(each.requests) == 1


@contextmanager
def dialogs_forbidden(opened_page):
    seen = []
    opened_page.page.on("dialog", lambda dialog: (seen.append(dialog.message), dialog.dismiss()))
    yield
    assert seen == []


def numbers(table):
    return [float(cell.get_attribute("data-value")) for cell in table.locator("td").all()]


class Lstm:
    """The loss of an unrolled LSTM over some steps, and the page of its backward pass."""

    def __init__(self, path, steps=2, **options):
        self.lstm = nn.LSTM(2, 3, **options)
        self.x = tt.rand(steps, 1, 2, requires_grad=True)
        with tt.unrolled():
            output, _ = self.lstm(self.x)
        self.loss = (output**2).sum()
        self.path = page({"loss": self.loss}, path / "backward.html", inputs={"x": self.x})

    def gradients(self):
        """By their names on the page, as `backward` leaves them."""
        self.loss.backward()
        found = {f"parameter {name}": p.grad for name, p in self.lstm.named_parameters()}
        return {name: grad.numpy() for name, grad in {**found, "input x": self.x.grad}.items()}


@pytest.fixture
def lstm(tmp_path):
    return Lstm(tmp_path)


# -- the pass --------------------------------------------------------------------------------------


def test_walking_a_two_step_lstm_ends_with_the_gradients_of_backward(opened, lstm):
    view = opened(lstm.path)
    names = []
    while view.page.is_enabled("#next"):
        view.page.click("#next")
        names.append(view.text("#panel h2"))
    assert names[:3] == ["sum", "pow", "stack"]
    assert names[-1] == "All gradients are complete"
    links = view.page.locator("#detail .link").all_inner_texts()
    exact = dict(zip(links, view.tensors("grad"), strict=True))
    written = dict(zip(links, view.shown("grad"), strict=True))
    expected = lstm.gradients()
    assert exact.keys() == expected.keys()
    for name, grad in expected.items():
        np.testing.assert_array_equal(np.float32(exact[name]), grad.ravel())
        np.testing.assert_allclose(np.float64(written[name]), grad.ravel(), rtol=1e-2)


def test_each_node_shows_the_gradient_that_retain_grad_keeps(opened, tmp_path):
    w = tt.tensor([[0.5, -1.0], [2.0, 0.25]], requires_grad=True)
    x = tt.tensor([[1.0, 2.0]], requires_grad=True)
    made = [x @ w]
    made.append(made[0].tanh())
    made.append(made[1] * made[0])
    made.append(made[2].sum())
    for tensor in made:
        tensor.retain_grad()
    view = opened(page(made[-1], tmp_path / "backward.html"))
    made[-1].backward()
    for tensor in reversed(made):
        view.press("ArrowRight")
        (g,) = view.tensors("arrives")
        np.testing.assert_array_equal(np.float32(g), tensor.grad.numpy().ravel())
    view.press("ArrowLeft", "ArrowLeft")
    adds = made[2].grad * made[0].detach()
    np.testing.assert_allclose(view.tensors("adds")[0], adds.numpy().ravel())
    assert "dy/da = b" in view.text(".formula >> nth=0")


def test_the_sum_so_far_grows_by_each_steps_part(opened, tmp_path):
    """Against the same loop with a weight of its own for every step."""

    def loss_of(weights):
        h = tt.tensor([[0.1, -0.2]])
        for weight in weights:
            h = (h @ weight).tanh()
        return h.sum()

    start = tt.tensor([[0.5, -1.0], [2.0, 0.25]], dtype=tt.float64)
    tt.set_default_dtype(tt.float64)
    one = start.clone().requires_grad_()
    view = opened(page(loss_of([one] * 4), tmp_path / "backward.html", inputs={"w": one}))
    own = [start.clone().requires_grad_() for _ in range(4)]
    loss_of(own).backward()
    parts = [weight.grad.numpy().ravel() for weight in reversed(own)]
    seen = []
    for _ in range(9):
        view.press("n")
        if view.text("#panel h2") == "matmul":
            addition = view.page.locator(".addition", has_text="input w")
            seen.append([numbers(table) for table in addition.locator("table").all()])
    np.testing.assert_allclose([tables[0] for tables in seen], parts)
    np.testing.assert_allclose([tables[-1] for tables in seen], np.cumsum(parts, axis=0))


def test_the_current_node_and_what_it_gives_to_are_lit(opened, lstm):
    view = opened(lstm.path)
    view.press("n", "n", "n", "n")
    name = view.page.text_content("#view .node.current text >> nth=0")
    assert name == view.text("#panel h2") == "mul"
    targets = view.page.locator("#view .node.target").all()
    texts = {target.locator("text").first.text_content() for target in targets}
    assert texts == set(view.page.locator(".addition .link").all_inner_texts())
    assert view.page.locator("#view .edge.lit").count() == 2
    assert len(view.lit("done")) == 3
    view.press("Home")
    assert view.lit("done") == view.lit("target") == []


def test_play_goes_on_by_itself_and_scrubbing_goes_anywhere(opened, lstm):
    view = opened(lstm.path)
    view.page.select_option("#pace", "node 40")
    view.page.click("#play")
    view.page.wait_for_selector("text=All gradients are complete")
    assert view.text("#play") == "Play"
    view.page.fill("#scrub", "3")
    assert view.text("#heading .count").startswith("Node 3 of ")
    view.page.fill("#time", "1")
    assert view.text("#time-label").endswith("t = 0")
    assert view.text("#heading .place").startswith("LSTM / layer 0 / forward / t = 0")


def test_a_parameter_lists_the_parts_of_its_gradient(opened, lstm):
    view = opened(lstm.path)
    view.press("0")
    view.page.locator("#view .node.parameter", has_text="weight_ih_l0").click()
    rows = view.page.locator(".parts tbody tr").all_inner_texts()
    assert [row.split()[2:5] for row in rows] == [["t", "=", "1"], ["t", "=", "0"]]
    (grad,) = view.tensors("grad")
    expected = lstm.gradients()["parameter weight_ih_l0"]
    np.testing.assert_array_equal(np.float32(grad), expected.ravel())
    norm = float(rows[-1].split()[-1])
    np.testing.assert_allclose(norm, np.linalg.norm(expected), rtol=1e-3)


# -- keys, search, folding -------------------------------------------------------------------------


def test_the_keyboard_alone_is_enough(opened, tmp_path):
    view = opened(Lstm(tmp_path, steps=3).path)
    view.press("Tab", "Tab", "Tab")
    focused = "document.activeElement.id"
    assert view.page.evaluate(focused) == "zoom-in"
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert view.page.evaluate(outline) == "solid"
    box = "document.querySelector('#view svg').getAttribute('viewBox')"
    before = view.page.evaluate(box)
    view.press("Enter")
    assert view.page.evaluate(box) != before
    view.press("PageDown", "PageDown")
    assert view.text("#time-label").endswith("t = 1")
    view.press("PageUp")
    assert view.text("#time-label").endswith("t = 2")
    view.press("End")
    assert view.text("#panel h2") == "All gradients are complete"
    view.press("Home", "n", "ArrowRight", "p")
    assert view.text("#panel h2") == "sum"
    view.press("/", *"tanh t = 0", "Enter")
    assert view.text("#panel h2") == "tanh"
    view.press("Escape", "n")
    assert view.page.evaluate(focused) == "view"
    reached = set()
    for _ in range(40):
        view.press("Tab")
        reached.add(view.page.evaluate(focused))
    controls = {"theme", "keys", "zoom-in", "zoom-out", "whole", "here", "search", "view", "panel"}
    assert (
        controls | {"first", "previous", "next", "last", "play", "pace", "scrub", "time"} <= reached
    )
    view.press("?")
    assert view.page.is_visible("#help")
    view.press("Escape")
    assert not view.page.is_visible("#help")


def test_every_control_has_a_name(opened, lstm):
    view = opened(lstm.path)
    names = view.page.evaluate(
        """[...document.querySelectorAll("button, input, select, section, nav, svg[role]")].map(
            e => e.ariaLabel || e.labels?.[0]?.textContent || e.textContent.trim())"""
    )
    assert all(names)


def test_search_finds_by_name_and_place_and_goes_from_one_to_the_next(opened, lstm):
    view = opened(lstm.path)
    view.page.fill("#search", "sigmoid t = 1")
    assert view.text("#found") == "3 found"
    assert len(view.lit("found")) == 3
    counts = []
    for _ in range(4):
        view.page.press("#search", "Enter")
        counts.append(view.text("#heading .count"))
    assert len(set(counts)) == 3 and counts[3] == counts[0]
    view.page.fill("#search", "weight_hh")
    view.page.click("#results button")
    assert view.text("#panel h2") == "parameter weight_hh_l0"
    view.page.fill("#search", "no such node")
    assert view.text("#found") == "0 found"


def test_unfolding_keeps_the_current_node(opened, tmp_path):
    view = opened(Lstm(tmp_path, steps=9).path)
    view.page.fill("#scrub", "50")
    folded = view.page.locator("#view [data-node]").count()
    heading = view.text("#heading")
    view.press("f")
    assert view.page.locator("#view [data-node]").count() > folded
    assert view.text("#heading") == heading
    assert view.text("#panel h2") == view.page.text_content("#view .current text >> nth=0")
    done, current = view.lit("done"), view.lit("current")
    view.press("n", "p")
    assert (view.lit("done"), view.lit("current")) == (done, current)
    view.press("f", "Home", "n", "f", "f")
    assert view.page.locator("#view [data-node]").count() == folded
    for _ in range(200):
        if view.page.is_disabled("#next"):
            break
        view.press("ArrowRight")
        assert len(view.lit("current")) == (1 if view.page.is_enabled("#next") else 0)


# -- looks -----------------------------------------------------------------------------------------


def test_zoom_drag_and_click(opened, lstm):
    view = opened(lstm.path)
    svg = view.page.locator("#view svg")
    boxes = [svg.get_attribute("viewBox")]
    view.page.mouse.move(400, 400)
    view.page.mouse.wheel(0, -300)
    view.page.wait_for_function(
        f"document.querySelector('#view svg').getAttribute('viewBox') != '{boxes[0]}'"
    )
    boxes.append(svg.get_attribute("viewBox"))
    assert float(boxes[1].split()[2]) < float(boxes[0].split()[2])
    view.page.mouse.down()
    view.page.mouse.move(300, 250, steps=3)
    view.page.mouse.up()
    assert svg.get_attribute("viewBox") != boxes[1]
    assert view.text("#heading .count") == "Start"
    view.press("0")
    view.page.locator("#view .node.operation", has_text="stack").click()
    assert view.text("#panel h2") == "stack"


def test_dark_follows_the_system_and_the_button(opened, lstm):
    view = opened(lstm.path, color_scheme="dark")
    background = "getComputedStyle(document.body).backgroundColor"
    fill = "getComputedStyle(document.querySelector('#view .node.operation path')).fill"
    dark = [view.page.evaluate(background), view.page.evaluate(fill)]
    assert view.text("#theme") == "Light"
    view.page.click("#theme")
    light = [view.page.evaluate(background), view.page.evaluate(fill)]
    assert light == ["rgb(255, 255, 255)", "rgb(255, 255, 255)"]
    assert all(max(map(int, colour[4:-1].split(", "))) < 70 for colour in dark)


def test_a_phone_shows_all_and_takes_taps_and_pinches(opened, lstm):
    view = opened(lstm.path, viewport={"width": 360, "height": 640}, has_touch=True, is_mobile=True)
    assert view.page.evaluate("document.documentElement.scrollWidth") <= 360
    for selector in ("#view", "#panel", "#next", "#play", "#pace", "#search", "#scrub", "#time"):
        box = view.page.locator(selector).bounding_box()
        assert box["width"] > 20 and box["height"] > 10
        assert box["x"] >= 0 and box["x"] + box["width"] <= 361
        assert box["y"] >= 0 and box["y"] + box["height"] <= 641
    view.page.tap("#next")
    assert view.text("#panel h2") == "sum"
    svg = view.page.locator("#view svg")
    before = svg.get_attribute("viewBox")
    touch = view.context.new_cdp_session(view.page)
    for kind, apart in (("touchStart", 20), ("touchMove", 40), ("touchMove", 80)):
        points = [{"x": 180 - apart, "y": 200, "id": 0}, {"x": 180 + apart, "y": 200, "id": 1}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert float(svg.get_attribute("viewBox").split()[2]) < float(before.split()[2])


def test_paper_gets_the_whole_drawing_and_the_step(opened, lstm):
    view = opened(lstm.path)
    view.press("n", "n", "n", "n")
    view.page.emulate_media(media="print")
    view.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    shown = ["h1", "#view svg", "#heading", "#detail .addition >> nth=0"]
    assert [view.page.is_visible(selector) for selector in shown] == [True] * 4
    assert not any(view.page.is_visible(each) for each in ("nav", ".bar", "#theme"))
    assert (
        view.page.evaluate("getComputedStyle(document.getElementById('panel')).overflow")
        == "visible"
    )
    assert view.page.pdf().startswith(b"%PDF")


# -- anybody's names and sizes ---------------------------------------------------------------------


def test_hostile_names_stay_text(opened, tmp_path):
    x = tt.tensor([1.0, float("nan"), float("-inf")], requires_grad=True)
    with Scope("scope", HOSTILE):
        y = (x * x).sum()
    path = page({HOSTILE: y}, tmp_path / "backward.html", inputs={HOSTILE: x}, title=HOSTILE)
    view = opened(path)
    with dialogs_forbidden(view):
        assert view.page.title().strip() == HOSTILE.strip()
        assert view.page.text_content("h1") == HOSTILE
        view.press("n", "n")
        assert HOSTILE.strip() in view.text("#heading .place")
        assert f"input {HOSTILE}" in view.page.locator(".addition .link").all_text_contents()[0]
        assert view.shown("adds")[0] == ["1", "nan", "-inf"]
        view.page.fill("#search", "<script>alert")
        assert view.text("#found").endswith("found")
        assert view.page.locator("#results li").count() >= 2
        assert view.page.locator("img").count() == 0
        assert view.page.locator("script").count() == 2


def test_three_thousand_nodes_stay_responsive(opened, tmp_path):
    """Walked, searched, folded and unfolded, each well within the time that Playwright allows."""
    h = tt.rand(1, 3, requires_grad=True)
    for t in range(500):  # without weights, whose many edges take Graphviz most of its time
        with Scope("step", t):
            h = ((h * 0.5).tanh() * h.sigmoid() + h * 1.5).exp()
    view = opened(page(h.sum(), tmp_path / "backward.html"))
    total = view.page.evaluate("data.nodes.length")
    assert total > 3000
    view.press(*["ArrowRight"] * 20)
    assert view.text("#heading .count").startswith("Node 20 of ")
    view.press("f")
    assert view.page.locator("#view [data-node]").count() == total
    view.press(*["ArrowRight"] * 20, "0", "+", "c")
    assert view.text("#heading .count").startswith("Node 40 of ")
    view.page.fill("#search", "tanh")
    assert view.text("#found") == "500 found"
    view.page.fill("#time", "490")
    assert view.text("#time-label").endswith("t = 9")
    view.page.click("#last")
    assert view.text("#panel h2") == "All gradients are complete"
