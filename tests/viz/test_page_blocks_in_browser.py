"""The page in a real Chromium: a block of folded time steps unfolded and folded by itself."""

import re

import pytest

import tinytensor as tt
from tests.viz.test_page_blocks import loops_in_loops, own_loop
from tinytensor import nn
from tinytensor.viz import page

# The labels of the frames around what is lit as current, the innermost last.
AROUND = """() => {
    const shape = document.querySelector("#view .node.current").getBoundingClientRect();
    const x = shape.left + shape.width / 2, y = shape.top + shape.height / 2;
    return [...document.querySelectorAll("#view .cluster:not(.pile)")].filter(frame => {
        const box = frame.querySelector("path, polygon").getBoundingClientRect();
        return box.left < x && x < box.right && box.top < y && y < box.bottom;
    }).map(frame => frame.querySelector("text").textContent);
}"""


def counted(view):
    return view.page.locator("#view [data-node]").count()


def labels(view):
    return view.page.locator("#view .cluster[data-block] text").all_text_contents()


def click_frame(view, label):
    """On the label: the rest of a frame may lie below nodes and edges."""
    view.press("0")
    text = view.page.locator("#view .cluster[data-block] > text", has_text=re.compile(f"^{label}$"))
    box = text.first.bounding_box(timeout=5000)
    view.page.mouse.click(box["x"] + 1, box["y"] + box["height"] / 2)


def place(view):
    """Where in the model the current node lies."""
    found = view.page.evaluate("data.nodes[currentNode()][PLACE]")
    return found.split(" / ") if found else []


def lstm_page(path, steps, layers=1, **options):
    lstm = nn.LSTM(2, 3, num_layers=layers)
    with tt.unrolled():
        output, _ = lstm(tt.rand(steps, 1, 2))
    return page(output.sum(), path / "p.html", **options)


@pytest.fixture
def long(tmp_path):
    return lstm_page(tmp_path, 20)


def test_a_click_unfolds_one_block_and_another_one_folds_it(opened, tmp_path):
    view = opened(lstm_page(tmp_path, 8, layers=2))
    view.page.fill("#scrub", "60")
    folded, heading = counted(view), view.text("#heading")
    assert len([label for label in labels(view) if "×6" in label]) == 2
    click_frame(view, "▸ t = 1 … 6 ×6")
    assert folded < counted(view) < view.page.evaluate("data.nodes.length")
    assert [label for label in labels(view) if "×6" in label] == [
        label for label in labels(view) if label.startswith("▸")
    ]
    assert {f"t = {t}" for t in range(1, 7)} <= set(labels(view))
    assert view.text("#heading") == heading
    assert len(view.lit("current")) == 1
    click_frame(view, "t = 4")
    assert counted(view) == folded
    click_frame(view, "▸ t = 1 … 6 ×6")
    view.page.click("#fold")
    assert counted(view) == folded
    view.page.click("#fold")
    assert counted(view) == view.page.evaluate("data.nodes.length")


def test_the_keyboard_unfolds_moves_and_folds_a_block(opened, long):
    view = opened(long)
    focused = "document.activeElement.querySelector('text')?.textContent"
    view.page.focus("#view")
    view.press("Tab")
    assert view.page.evaluate(focused) == "▸ t = 1 … 18 ×18"
    stroke = "getComputedStyle(document.activeElement).strokeWidth"
    assert view.page.evaluate(stroke) == "4px"
    view.press("Enter")
    assert view.page.evaluate(focused) == "t = 11"
    assert "▸ t = 12 … 18 ×7" in labels(view)
    view.press("Shift+Tab")
    assert view.page.evaluate(focused) == "▸ t = 12 … 18 ×7"
    view.press("Enter")
    assert view.page.evaluate(focused) == "▸ t = 16 … 18 ×3"
    assert "t = 15" in labels(view) and "t = 11" not in labels(view)
    view.press("Tab", " ")
    assert view.page.evaluate(focused) == "▸ t = 1 … 18 ×18"
    assert view.text("#heading .count") == "Start"
    expanded = "document.activeElement.getAttribute('aria-expanded')"
    assert view.page.evaluate(expanded) == "false"
    view.press(" ")
    assert view.page.evaluate(expanded) == "true"


def test_where_the_pass_is_in_a_folded_block_is_written_there(opened, long):
    view = opened(long)
    here = view.page.locator("#view .cluster.here text")
    view.press("PageDown")
    assert here.count() == 0  # the last step is not in it
    for t in (18, 17, 16):
        view.press("PageDown")
        assert here.all_text_contents() == [f"▸ t = 1 … 18 ×18, now t = {t}"]
    view.press("Home")
    assert here.count() == 0 and "▸ t = 1 … 18 ×18" in labels(view)


@pytest.mark.parametrize("keys", ["ArrowRight", "ArrowLeft"])
def test_the_steps_that_are_drawn_follow_the_walk(opened, long, keys):
    view = opened(long)
    click_frame(view, "▸ t = 1 … 18 ×18")
    view.press("End" if keys == "ArrowLeft" else "Home", keys)
    seen = set()
    while view.page.is_enabled("#next" if keys == "ArrowRight" else "#previous"):
        if view.page.evaluate("at > 0 && at < END"):
            assert view.page.evaluate(AROUND) == place(view)
            title = view.page.text_content("#view .node.current title")
            assert not place(view) or f"in {' / '.join(place(view))}" in title.split("\n")
            seen.update(place(view)[-1:])
        view.press(keys)
    assert {f"t = {t}" for t in range(20)} <= seen


def test_what_is_done_and_lit_does_not_depend_on_the_way_there(opened, long):
    view = opened(long)
    click_frame(view, "▸ t = 1 … 18 ×18")
    state = """() => {
        drawing.moveTo(1);
        drawing.reach(currentNode());
        drawing.show(at);
        return [...document.querySelectorAll("#view .node, #view .edge, #view .cluster")].map(
            group => [group.getAttribute("class"), group.textContent]);
    }"""
    walked = {}
    for position in range(1, 200):
        view.press("n")
        if position % 9 == 0:
            walked[position] = view.page.evaluate(state)
    other = opened(long)
    for position in sorted(walked, reverse=True):
        other.page.fill("#scrub", str(position))
        other.page.evaluate("toggleBlock(0)")
        assert other.page.evaluate(state) == walked[position]
        other.page.evaluate("toggleBlock(0)")


def test_a_state_carried_within_one_step_is_not_drawn(opened, long):
    view = opened(long)
    view.press("0")
    assert view.page.locator("#view .edge.recurrent").count() > 2
    view.page.evaluate("toggleBlock(0)")
    assert view.page.locator("#view .edge.gone").count() == 0
    view.press(*["PageDown"] * 3)
    view.page.evaluate("drawing.moveTo(1)")
    assert view.page.locator("#view .edge.gone").count() == 2  # h and c of the newest step
    assert "t = 18" in labels(view)
    view.page.evaluate("drawing.moveTo(2)")
    assert view.page.locator("#view .edge.gone").count() == 0


def test_steps_without_a_frame_of_their_own_unfold(opened, tmp_path):
    loss, inputs = own_loop()
    view = opened(page(loss, tmp_path / "p.html", inputs=inputs))
    click_frame(view, "▸ LSTMCell, calls 2 … 19 ×18")
    assert "LSTMCell, call 12" in labels(view) and "Linear, call 12" in labels(view)
    view.page.fill("#time", "28")
    assert view.text("#time-label") == "Linear, call 6"
    assert view.page.evaluate(AROUND) == place(view) == ["Linear, call 6"]
    assert "LSTMCell, call 6" in labels(view)


def test_a_loop_within_a_loop_unfolds(opened, tmp_path):
    loss, _ = loops_in_loops()
    view = opened(page(loss, tmp_path / "p.html"))
    blocks = view.page.evaluate("data.blocks.length")
    seen = set()
    for block in range(blocks):
        view.page.evaluate(f"toggleBlock({block})")
        for _ in range(4):
            view.press("PageDown")
            seen.add(view.text("#time-label"))
            assert len(view.lit("current")) == 1
        view.press("f")
    assert blocks == 4 and len(seen) > 8


def test_a_block_unfolds_where_the_whole_can_not(opened, tmp_path):
    view = opened(lstm_page(tmp_path, 60, max_nodes=150))
    assert not view.page.is_visible("#fold")
    click_frame(view, "▸ t = 1 … 58 ×58")
    assert counted(view) < 150
    view.page.fill("#time", "40")
    assert view.text("#time-label").endswith("t = 19")
    assert "t = 19" in view.page.evaluate(AROUND)
    assert view.text("#fold") == "Fold"
    view.page.click("#fold")
    assert not view.page.is_visible("#fold")


def test_a_finger_unfolds_a_block_on_a_phone(opened, long):
    phone = {"width": 390, "height": 800}
    view = opened(long, viewport=phone, has_touch=True, is_mobile=True)
    view.press("PageDown", "PageDown")
    box = view.page.locator("#view .cluster.here text").bounding_box()
    view.page.touchscreen.tap(box["x"] + 8, box["y"] + 5)
    assert view.text("#fold") == "Fold"
    assert "t = 18" in view.page.evaluate(AROUND)
