"""The page in a real Chromium: walking the pass, by buttons and by keys; search and folding."""

import numpy as np

import tinytensor as tt
from tests.viz.browser import Lstm
from tinytensor.viz import page


def numbers(table):
    return [float(cell.get_attribute("data-value")) for cell in table.locator("td").all()]


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
