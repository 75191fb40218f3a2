"""The page in a real Chromium: pointer and finger, dark, small and on paper; any name, any size."""

from contextlib import contextmanager

import tinytensor as tt
from tinytensor.autograd.scope import Scope
from tinytensor.viz import page

HOSTILE = (
    """</script><script>alert(1)</script><img src=x onerror=alert(2)> "'`${1} & 語 ∂ ]]> --> """
)


@contextmanager
def dialogs_forbidden(opened_page):
    seen = []
    opened_page.page.on("dialog", lambda dialog: (seen.append(dialog.message), dialog.dismiss()))
    yield
    assert seen == []


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
    assert view.page.locator("#view").bounding_box()["height"] >= 240
    for selector in ("#zoom-in", "#here", "#search", "#previous", "#next", "#play", "#pace"):
        assert view.page.locator(selector).bounding_box()["height"] >= 40
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
    view = opened(lstm.path, color_scheme="dark")
    viewbox = "document.querySelector('#view svg').getAttribute('viewBox')"
    with open(lstm.path, encoding="utf-8") as file:
        whole = [float(part) for part in file.read().split('viewBox="')[1].split('"')[0].split()]
    view.press("n", "n", "n", "n")
    seen = view.page.evaluate(viewbox)
    view.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    view.page.emulate_media(media="print")
    view.page.wait_for_timeout(100)
    assert [float(part) for part in view.page.evaluate(viewbox).split()] == whole
    shown = ["h1", "#view svg", "#heading", "#detail .addition >> nth=0"]
    assert [view.page.is_visible(selector) for selector in shown] == [True] * 4
    assert not any(view.page.is_visible(each) for each in ("nav", ".bar", "#theme"))
    colour = "getComputedStyle(document.querySelector('h1')).color"
    assert view.page.evaluate(colour) == "rgb(21, 25, 30)"
    box = view.page.locator("#panel").bounding_box()
    assert box["height"] >= view.page.locator("#detail").bounding_box()["height"]
    assert view.page.pdf().startswith(b"%PDF")
    view.page.emulate_media(media="screen")
    view.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert view.page.evaluate(viewbox) == seen


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
