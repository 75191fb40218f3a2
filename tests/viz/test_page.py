"""The file that `page` writes, without a browser: self-contained, whole, its numbers, refusals."""

import base64
import hashlib
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

import tinytensor as tt
from tests.viz.models import GOLDEN
from tinytensor import nn
from tinytensor.viz import LayoutError, engine, graph, keep_values, page
from tinytensor.viz.extract import extract_with_sources, named_tensors


def text_of(path):
    return Path(path).read_text(encoding="utf-8")


def data_of(path):
    """What the page's script reads."""
    return json.loads(re.search(r'id="data">(.*?)</script>', text_of(path), re.S)[1])


def named(data, name):
    """The visits of operations with this name, in the order of the pass."""
    return [step for step in data["steps"] if data["nodes"][step["node"]][0] == name]


def array(data, number):
    tensor = data["tensors"][number]
    return np.array(tensor["values"], float).reshape(tensor["shape"])


@pytest.fixture
def loss():
    x = tt.rand(3, requires_grad=True)
    return (x * x).sum()


# -- the file --------------------------------------------------------------------------------------


def test_the_page_needs_nothing_but_itself(loss, tmp_path):
    content = text_of(page(loss, tmp_path / "p.html"))
    assert "http:" not in content and "https:" not in content
    assert not re.search(r"<(?:link|img|script|iframe)[^>]*(?:src|href)=(?!\"data:,\")", content)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', content)[1]
    assert policy.startswith("default-src 'none'; img-src data:;")
    for tag, directive in (("script", "script-src"), ("style", "style-src")):
        body = re.search(rf"<{tag}>(.*?)</{tag}>", content, re.S)[1]
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy


def test_the_same_model_gives_the_same_page(tmp_path):
    pages = []
    for name in ("a.html", "b.html"):
        tt.manual_seed(3)
        output, _ = nn.GRU(2, 3)(tt.rand(4, 1, 2))
        pages.append(text_of(page(output.sum(), tmp_path / name)))
    assert pages[0] == pages[1]


def test_a_folder_is_made_and_the_path_is_returned(loss, tmp_path):
    path = page(loss, tmp_path / "new" / "folder" / "p.html")
    assert path == str(tmp_path / "new" / "folder" / "p.html")
    assert text_of(path).startswith("<!doctype html>")


def test_without_a_layout_engine_the_old_page_stays(loss, tmp_path, monkeypatch):
    path = tmp_path / "backward.html"
    path.write_text("old")
    monkeypatch.setenv(engine.VARIABLE, str(tmp_path / "missing"))
    with pytest.raises(LayoutError):
        page(loss, path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_names_end_neither_the_data_nor_the_drawing(tmp_path):
    x = tt.rand(2, requires_grad=True)
    name = "</script><!--<svg>\u2028\udc80\x00"
    path = page(x.sum(), tmp_path / "p.html", inputs={name: x}, title=name)
    content = text_of(path)
    assert content.count("</script>") == 2 and content.count("<!--") == 0
    assert content.count("<svg") == content.count("</svg>") == 1
    assert name in [node[0] for node in data_of(path)["nodes"]]


# -- the pass --------------------------------------------------------------------------------------


def test_nothing_of_the_model_changes(loss, tmp_path):
    page(loss, tmp_path / "p.html")
    leaf = loss.grad_fn.next_functions[0][0].next_functions[0][0].variable
    assert leaf.grad is None
    loss.backward()
    np.testing.assert_array_equal(leaf.grad.numpy(), 2 * leaf.detach().numpy())


def test_visits_come_in_the_order_of_the_walk_and_end_in_the_gradients(tmp_path):
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    loss = (model(tt.rand(5, 3)) ** 2).mean()
    data = data_of(page(loss, tmp_path / "p.html"))
    order = [data["nodes"][step["node"]][0] for step in data["steps"]]
    assert order == ["mean", "pow", "linear", "tanh", "linear"]
    loss.backward()
    expected = dict(model.named_parameters())
    assert len(data["leaves"]) == len(expected)
    for number, tensor in data["leaves"]:
        grad = expected[data["nodes"][number][0]].grad
        np.testing.assert_array_equal(np.float32(array(data, tensor)), grad.numpy())


def test_the_gradient_that_is_given_starts_the_pass(tmp_path):
    x = tt.rand(2, requires_grad=True)
    start = tt.tensor([2.0, -3.0])
    data = data_of(page(x * 4, tmp_path / "p.html", gradient=start))
    assert array(data, data["starts"][0][1]).tolist() == [2.0, -3.0]
    assert array(data, data["leaves"][0][1]).tolist() == [8.0, -12.0]


def test_a_hook_s_gradient_is_shown_beside_the_one_that_arrived(tmp_path):
    x = tt.rand(2, requires_grad=True)
    y = x * 1.0
    y.register_hook(lambda g: g * 10)
    data = data_of(page(y.sum(), tmp_path / "p.html"))
    (step,) = (step for step in data["steps"] if "hooked" in step)
    assert array(data, step["g"][0][1]).tolist() == [1.0, 1.0]
    assert array(data, step["hooked"][0][1]).tolist() == [10.0, 10.0]


def test_an_output_that_no_gradient_reached_says_so(tmp_path):
    a, _ = tt.rand(2, 3, requires_grad=True).unbind(0)
    data = data_of(page(a.sum(), tmp_path / "p.html"))
    (step,) = named(data, "unbind")
    (first, missing) = step["g"]
    assert array(data, first[1]).tolist() == [1.0] * 3
    assert missing[1] is None


def test_a_kernel_is_one_node_with_the_steps_of_its_backward(tmp_path):
    output, _ = nn.LSTM(2, 3)(tt.rand(4, 1, 2))
    data = data_of(page(output.sum(), tmp_path / "p.html"))
    (step,) = named(data, "lstm")
    assert any("dz_i" in line for line in step["formula"])
    assert {data["nodes"][add[1]][0] for add in step["adds"]} >= {"weight_ih_l0", "bias_hh_l0"}


def test_the_numbers_of_a_local_derivative_are_there_where_the_formula_has_none(tmp_path):
    x = tt.rand(20, requires_grad=True)
    data = data_of(page(x.tanh().sum(), tmp_path / "p.html"))
    (step,) = named(data, "tanh")
    ((name, slopes),) = step["slopes"]
    assert name == "dy/dx"
    expected = 1 - np.tanh(x.detach().numpy()) ** 2
    np.testing.assert_allclose(array(data, slopes), expected, rtol=1e-6)


def test_values_that_no_gradient_needs_are_there_if_they_were_kept(tmp_path):
    x = tt.tensor([1.0, 2.0], requires_grad=True)

    def value_of_add(y):
        data = data_of(page(y.sum(), tmp_path / "p.html"))
        (step,) = named(data, "add")
        return [array(data, tensor).tolist() for _, tensor in step["y"] if tensor is not None]

    assert value_of_add(x + 1) == []
    with keep_values():
        y = x + 1
    assert value_of_add(y) == [[2.0, 3.0]]


def test_time_steps_are_the_stretches_of_the_pass(tmp_path):
    cell = nn.RNNCell(2, 3)
    h = tt.zeros(1, 3)
    total = 0.0
    for _ in range(3):
        h = cell(tt.rand(1, 2), h)
        total = total + h.sum()
    data = data_of(page(total, tmp_path / "p.html"))
    labels = [label for label, _ in data["stretches"]]
    assert [label[-6:] for label in labels] == ["call 3", "call 2", "call 1"]
    for (_, first), call in zip(data["stretches"], (3, 2, 1), strict=True):
        assert data["nodes"][data["steps"][first]["node"]][2].endswith(f"call {call}")


def test_each_node_is_drawn_by_the_one_that_stands_for_it(tmp_path):
    lstm = nn.LSTM(2, 3)
    with tt.unrolled():
        output, _ = lstm(tt.rand(9, 1, 2))
    path = page(output.sum(), tmp_path / "p.html")
    data = data_of(path)
    content = text_of(path)
    folded, unfolded = content.split('<template id="unfolded">')
    drawn = set(map(int, re.findall(r'data-node="(\d+)"', folded)))
    whole = set(map(int, re.findall(r'data-node="(\d+)"', unfolded)))
    assert set(data["shown"]) == drawn
    assert whole == set(range(len(data["nodes"])))
    assert len(drawn) < len(whole)
    off = page(output.sum(), tmp_path / "p.html", collapse="off")
    assert data_of(off)["shown"] is None


def test_of_a_graph_too_large_to_draw_the_folded_form_is_drawn_and_every_node_walked(tmp_path):
    rnn = nn.RNN(2, 3)
    with tt.unrolled():
        output, _ = rnn(tt.rand(60, 1, 2))
    path = page(output.sum(), tmp_path / "p.html", max_nodes=100)
    data = data_of(path)
    assert len(data["steps"]) > 200
    folded, unfolded = text_of(path).split('<template id="unfolded">')
    assert unfolded.startswith("</template>")
    assert set(data["shown"]) == set(map(int, re.findall(r'data-node="(\d+)"', folded)))


def test_where_a_state_was_detached_a_cut_is_drawn(tmp_path):
    cell, h = nn.RNNCell(2, 3), tt.zeros(1, 3)
    for t in range(8):
        h = cell(tt.rand(1, 2), h.detach() if t == 4 else h)
    text = text_of(page(h.sum(), tmp_path / "p.html"))
    assert text.count('class="edge cut"') == 1
    assert "✂" in text


def test_a_state_from_elsewhere_is_drawn_and_not_walked(tmp_path):
    cell = nn.RNNCell(2, 3)
    state = cell(tt.rand(1, 2)).detach()
    data = data_of(page(cell(tt.rand(1, 2), state).sum(), tmp_path / "p.html"))
    (number,) = [n for n, node in enumerate(data["nodes"]) if "detached" in node]
    assert number not in [step["node"] for step in data["steps"]]


@pytest.mark.parametrize("name", GOLDEN)
def test_every_drawing_has_a_page_that_ends_in_the_gradients_of_backward(name, tmp_path):
    outputs, options = GOLDEN[name]()
    roots = [tensor for _, tensor in named_tensors(outputs)]
    ones = [tt.ones_like(root) for root in roots]
    inputs = options.get("inputs")
    path = page(outputs, tmp_path / "p.html", gradient=ones, inputs=inputs)
    data = data_of(path)
    graph, sources = extract_with_sources(outputs, inputs=inputs)
    tt.autograd.backward(roots, ones)
    assert data["leaves"]
    for number, tensor in data["leaves"]:
        np.testing.assert_allclose(array(data, tensor), sources[number].grad.numpy(), rtol=1e-6)
    operations = [node.number for node in graph.nodes if node.kind == "operation"]
    assert [step["node"] for step in data["steps"]] == operations


def test_an_output_may_be_a_leaf_or_need_no_gradient(tmp_path):
    x = tt.rand(2, requires_grad=True)
    outputs = {"leaf": x, "sum": x.sum(), "constant": tt.rand(1)}
    start = [tt.tensor([3.0, 4.0]), None]
    data = data_of(page(outputs, tmp_path / "p.html", gradient=start))
    assert [data["nodes"][number][0] for number, _ in data["starts"]] == ["leaf", "sum"]
    assert array(data, data["leaves"][0][1]).tolist() == [4.0, 5.0]


# -- numbers ---------------------------------------------------------------------------------------


def test_numbers_are_exact_and_those_that_json_lacks_are_words(tmp_path):
    values = [0.1, 1e-30, -3.4e38, math.inf, -math.inf, math.nan]
    x = tt.tensor(values, requires_grad=True)
    data = data_of(page((x * x.detach()).sum(), tmp_path / "p.html"))
    (step,) = named(data, "mul")
    written = data["tensors"][step["adds"][0][3]]["values"]
    assert written[3:] == ["inf", "-inf", "nan"]
    assert [np.float32(value) for value in written[:3]] == list(np.float32(values[:3]))


def test_a_large_tensor_is_given_as_statistics(tmp_path):
    x = tt.randn(40, 50, requires_grad=True)
    data = data_of(page((x * x).sum(), tmp_path / "p.html"))
    tensor = data["tensors"][data["leaves"][0][1]]
    assert tensor["shape"] == [40, 50] and "values" not in tensor
    grad = 2 * x.detach().numpy().astype(float)
    for name, expected in {
        "norm": np.linalg.norm(grad),
        "mean": grad.mean(),
        "std": grad.std(),
        "min": grad.min(),
        "max": grad.max(),
        "zeros": 0.0,
    }.items():
        assert tensor[name] == pytest.approx(expected, rel=1e-6)


def test_tables_get_smaller_where_there_are_many(tmp_path):
    y = tt.rand(200, requires_grad=True)
    for _ in range(400):
        y = y * 1.001
    path = page(y.sum(), tmp_path / "p.html")
    data = data_of(path)
    assert not any("values" in tensor and len(tensor["values"]) > 64 for tensor in data["tensors"])
    assert sum(len(tensor.get("values", ())) for tensor in data["tensors"]) < 120_000


# -- refusals --------------------------------------------------------------------------------------


def test_a_freed_graph_is_refused_with_the_cure(loss, tmp_path):
    loss.backward()
    with pytest.raises(RuntimeError, match="retain_graph=True"):
        page(loss, tmp_path / "p.html")
    assert list(tmp_path.iterdir()) == []


def test_after_backward_it_is_said_when_to_call_it(loss, tmp_path):
    loss.backward()
    with pytest.raises(RuntimeError, match=r"page: .*call it before backward\(\)"):
        page(loss, tmp_path / "p.html")
    with pytest.raises(RuntimeError, match=r"graph: .*call it before backward\(\)"):
        graph(loss, view="both")


def test_options_of_another_type_are_refused_by_name(loss, tmp_path):
    for make in (graph, lambda loss, **options: page(loss, tmp_path / "p.html", **options)):
        with pytest.raises(TypeError, match="expected title to be text or None, got int"):
            make(loss, title=5)
        with pytest.raises(TypeError, match="expected max_nodes to be a whole number, got str"):
            make(loss, max_nodes="a")
    assert list(tmp_path.iterdir()) == []


def test_a_gradient_of_each_output_may_be_given_by_its_name(tmp_path):
    x = tt.rand(2, requires_grad=True)
    outputs = {"a": x * 3, "b": x.sum(), "c": tt.zeros(2)}
    g = tt.tensor([5.0, 7.0])
    data = data_of(page(outputs, tmp_path / "p.html", gradient={"a": g}))
    ((_, number),) = data["leaves"]
    assert array(data, number).tolist() == [16.0, 22.0]
    for wrong in ({"d": g}, {"a": g, "c": g}):
        with pytest.raises(ValueError, match="page: expected gradients of a, b, got"):
            page(outputs, tmp_path / "p.html", gradient=wrong)


def test_too_many_nodes_are_refused_with_the_cure(tmp_path):
    y = tt.rand(1, requires_grad=True)
    for _ in range(30):
        y = y + 1.0
    with pytest.raises(ValueError, match=r"page: expected at most 20 nodes, got 32; .*max_nodes"):
        page(y, tmp_path / "p.html", max_nodes=20)
    assert list(tmp_path.iterdir()) == []


def test_what_needs_no_gradient_is_refused(tmp_path):
    with pytest.raises(ValueError, match="requires grad"):
        page(tt.rand(1), tmp_path / "p.html")
    with pytest.raises(RuntimeError, match="page: grad can be implicitly created only for scalar"):
        page(tt.rand(2, requires_grad=True) * 2, tmp_path / "p.html")
