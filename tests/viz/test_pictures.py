"""The pictures of a record: their numbers against other ways to get them, and what they show."""

import math
import subprocess
import sys
import xml.etree.ElementTree as ET
from itertools import pairwise

import numpy as np
import pytest

import tinytensor as tt
from tinytensor import bptt, nn, viz
from tinytensor.viz.pictures.style import (
    BROKEN,
    ZERO,
    LogColours,
    plain,
    pooled,
    power,
    short,
)

pytest.importorskip("matplotlib")

T, N, I, H = 6, 3, 2, 4
LENGTHS = [4, 6, 2]
SVG = "{http://www.w3.org/2000/svg}"

MODELS = {
    "lstm": lambda: nn.LSTM(I, H, 2, bidirectional=True),
    "projected": lambda: nn.LSTM(I, H, proj_size=3),
    "gru": lambda: nn.GRU(I, H, bias=False, bidirectional=True),
    "rnn tanh": lambda: nn.RNN(I, H, batch_first=True),
    "rnn relu": lambda: nn.RNN(I, H, nonlinearity="relu"),
}
OF_ONE_LAYER = (
    viz.states_over_time,
    viz.weight_gradients,
    viz.spectrum,
    viz.truncation,
    viz.saturation,
)


def recorded(model, lengths=None, steps=T, loss=None):
    """The record of a pass in which every output is read."""
    model = model.double()
    x = tt.randn(steps, N, I, dtype=tt.float64)
    x = x.transpose(0, 1) if getattr(model, "batch_first", False) else x
    with bptt.record(model) as rec:
        output, _ = model(x, lengths=lengths)
        (loss or (lambda y: (y - 1).square().sum()))(output).backward()
    return rec


def last_view(rec):
    return rec[""].views[-1]


def texts(picture):
    root = ET.fromstring(picture.svg())
    return ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]


def cell_loop(cell, xs):
    """A loop in primitives: the states of each step, whose whole gradients are kept."""
    state, states = None, []
    for x in xs:
        with tt.unrolled():
            state = cell(x, state)
        pair = state if isinstance(state, tuple) else (state,)
        for part in pair:
            part.retain_grad()
        states.append(pair)
    return states


# -- the numbers


def test_the_heat_map_holds_the_gradients_of_a_loop_that_keeps_them():
    lstm = nn.LSTM(I, H).double()
    cell = nn.LSTMCell(I, H).double()
    for name, parameter in lstm.named_parameters():
        getattr(cell, name.removesuffix("_l0")).data[...] = parameter.data
    x = tt.randn(T, N, I, dtype=tt.float64)
    with bptt.record(lstm) as rec:
        output, _ = lstm(x, lengths=LENGTHS)
        there = tt.tensor([[t < n for n in LENGTHS] for t in range(T)])
        (output - 1).square()[there].sum().backward()
    data = viz.gradient_heatmap(rec, of=("h", "c")).data["", 0, "forward"]
    norms = {"h": [[] for _ in range(T)], "c": [[] for _ in range(T)]}
    for n, length in enumerate(LENGTHS):
        states = cell_loop(cell, x[:length, n : n + 1])
        sum((h - 1).square().sum() for h, _ in states).backward()
        for t, (h, c) in enumerate(states):
            norms["h"][t].append(math.sqrt((h.grad.numpy() ** 2).sum()))
            norms["c"][t].append(math.sqrt((c.grad.numpy() ** 2).sum()))
    for name, found in norms.items():
        np.testing.assert_allclose(data[name], [np.mean(each) for each in found], rtol=1e-10)


def test_the_heat_map_has_every_state_and_gate_of_every_layer_and_direction():
    rec = recorded(MODELS["lstm"](), LENGTHS)
    data = viz.gradient_heatmap(rec).data
    ways = ("forward", "reverse")
    assert list(data) == [("", layer, way) for layer in (0, 1) for way in ways]
    for (_, layer, way), found in data.items():
        assert list(found) == list("hcifgo")
        gradient = rec[""].layer(layer, way).o_grad
        for t in range(T):
            those = [n for n, length in enumerate(LENGTHS) if t < length]
            mean = sum(math.sqrt(sum(gradient[t, n] ** 2)) for n in those) / len(those)
            assert found["o"][t] == pytest.approx(mean)


def test_no_norm_is_lost_to_single_precision():
    rnn = nn.RNN(1, 1, bias=False)
    rnn.weight_hh_l0.data[...] = 1e-8
    with bptt.record(rnn) as rec:
        rnn(tt.ones(5, 1, 1))[0][-1].sum().backward()
    norms = viz.gradient_heatmap(rec).data["", 0, "forward"]["h"]
    assert 0 < norms[0] < 1e-32  # its square is far below the least number in single precision
    assert (viz.weight_gradients(rec).data["norms"]["h"][1:] > 0).all()


def test_a_step_that_no_sequence_has_is_blank():
    rec = recorded(nn.LSTM(I, H), lengths=[2, 3, 1])
    found = viz.gradient_heatmap(rec).data["", 0, "forward"]["h"]
    assert np.isfinite(found[:3]).all() and np.isnan(found[3:]).all()


def test_lag_matrices_are_those_of_single_backward_passes():
    gru = MODELS["gru"]().double()
    x = tt.randn(T, N, I, dtype=tt.float64)
    with bptt.record(gru) as rec:
        gru(x)[0].square().sum().backward()
    data = viz.lag_matrix(rec).data
    for key, matrix in data.items():
        for t in range(T):
            with bptt.record(gru) as single:
                gru(x)[0][t].square().sum().backward()
            gradient = single[""].layer(*key[1:]).h_grad
            norms = [np.mean([np.linalg.norm(gradient[k, n]) for n in range(N)]) for k in range(T)]
            np.testing.assert_allclose(matrix[t], norms, rtol=1e-10, atol=1e-14)


def test_the_spectrum_of_a_simple_rnn_is_that_of_its_weights_times_the_slopes():
    rnn = MODELS["rnn tanh"]()
    rec = recorded(rnn)
    data = viz.spectrum(rec, samples=(1,)).data
    h = last_view(rec).h[:, 1]
    jacobians = [np.diag(1 - h[t] ** 2) @ rnn.weight_hh_l0.data.numpy() for t in range(T)]
    for t, jacobian in enumerate(jacobians):
        expected = np.linalg.svd(jacobian, compute_uv=False)
        np.testing.assert_allclose(data["steps"][t, 0], expected, rtol=1e-10)
    product = np.linalg.norm(jacobians[5] @ jacobians[4], 2)
    assert data["lags"].product[2, 0, 0] == pytest.approx(product)


def test_truncation_to_one_step_is_the_gradient_of_a_loop_that_detaches():
    cell = nn.RNNCell(I, H).double()
    xs = tt.randn(T, N, I, dtype=tt.float64)

    def gradient(detached):
        cell.zero_grad()
        h = tt.zeros(N, H, dtype=tt.float64)
        loss = 0.0
        for x in xs:
            h = cell(x, h.detach() if detached else h)
            loss = loss + (h - 1).square().sum()
        loss.backward()
        return cell.weight_hh.grad.numpy().ravel().copy()

    with bptt.record(cell) as rec:
        full = gradient(False)
    short_one = gradient(True)
    data = viz.truncation(rec, [1, T]).data
    cosine = full @ short_one / np.linalg.norm(full) / np.linalg.norm(short_one)
    ratio = np.linalg.norm(short_one) / np.linalg.norm(full)
    np.testing.assert_allclose(data["cosine"]["weight_hh"], [cosine, 1], rtol=1e-10)
    np.testing.assert_allclose(data["ratio"]["weight_hh"], [ratio, 1], rtol=1e-10)


@pytest.mark.parametrize("name", MODELS)
def test_the_parts_of_a_weight_gradient_sum_to_it(name):
    model = MODELS[name]()
    rec = recorded(model)
    view = last_view(rec)
    for parameter in view.scan.names:
        if view.scan.weights[view.scan.names[parameter]] is None:
            continue
        data = viz.weight_gradients(view, parameter, steps=T).data
        grad = getattr(model, parameter).grad.numpy()
        np.testing.assert_allclose(data["parts"].sum(axis=0), grad, rtol=1e-9, atol=1e-12)
        squares = sum(norm**2 for norm in data["norms"].values())
        own = [(part**2).sum() for part in data["parts"]]
        np.testing.assert_allclose(squares, own, rtol=1e-9, atol=1e-12)


def test_the_norms_of_a_gate_are_those_of_its_rows():
    rec = recorded(nn.LSTM(I, H))
    data = viz.weight_gradients(rec, "weight_ih", steps=T).data
    for place, gate in enumerate("ifgo"):
        rows = data["parts"][:, place * H : (place + 1) * H]
        expected = [math.sqrt((part**2).sum()) for part in rows]
        np.testing.assert_allclose(data["norms"][gate], expected, rtol=1e-10)


def test_states_are_those_of_one_sequence_up_to_its_end():
    rec = recorded(MODELS["lstm"](), LENGTHS)
    view = last_view(rec)
    data = viz.states_over_time(view, sample=2).data
    assert list(data) == list("hcifgo")
    for name, values in data.items():
        assert values.shape == (LENGTHS[2], H)
        np.testing.assert_array_equal(values, getattr(view, name)[: LENGTHS[2], 2])


def test_saturation_counts_the_steps_that_there_are():
    rec = recorded(nn.LSTM(I, H, forget_bias=3.0), LENGTHS)
    view = last_view(rec)
    data = viz.saturation(rec).data
    bounds = {name: (0.05, 0.95) for name in "ifo"} | {"g": (-0.95, 0.95)}
    for name, (low, high) in bounds.items():
        every = [
            value
            for n, length in enumerate(LENGTHS)
            for t in range(length)
            for value in getattr(view, name)[t, n]
        ]
        assert data[name]["counts"].sum() == len(every) == sum(LENGTHS) * H
        assert data[name]["low"] == sum(value < low for value in every) / len(every)
        assert data[name]["high"] == sum(value > high for value in every) / len(every)
    assert data["f"]["high"] > 0.3


def test_a_relu_is_saturated_where_it_is_zero():
    rec = recorded(MODELS["rnn relu"]())
    h = last_view(rec).h
    found = viz.saturation(rec).data["h"]
    assert found["low"] == (h == 0).mean() > 0
    assert found["high"] == 0


# -- the drawings


@pytest.mark.parametrize("name", MODELS)
def test_every_picture_draws_with_a_title_and_named_axes(name):
    rec = recorded(MODELS[name](), LENGTHS)
    shown = last_view(rec)
    pictures = [viz.gradient_heatmap(rec), viz.lag_matrix(rec)]
    pictures += [make(shown) for make in OF_ONE_LAYER]
    for picture in pictures:
        figure = picture.figure()
        assert figure.get_suptitle()
        drawn = [axes for axes in figure.findobj(match=_is_panel) if axes.get_visible()]
        assert drawn
        assert any(axes.get_xlabel() for axes in drawn), picture
        assert any(axes.get_ylabel() or axes.get_title() for axes in drawn), picture


def _is_panel(artist):
    from matplotlib.axes import Axes

    return isinstance(artist, Axes)


def exploding():
    rnn = nn.RNN(I, H, nonlinearity="relu")
    with tt.no_grad():
        rnn.weight_hh_l0.copy_(tt.full((H, H), 50.0))
    with bptt.record(rnn) as rec:
        rnn(tt.rand(40, N, I))[0][:30].sum().backward()
    return rec


EDGES = {
    "exploded": exploding,
    "nan": lambda: recorded(nn.LSTM(I, H), loss=lambda y: y.sum() * math.nan),
    "no steps": lambda: recorded(nn.LSTM(I, H), lengths=[0, 0, 0]),
}


@pytest.mark.parametrize("name", EDGES)
def test_what_is_not_finite_or_not_there_draws(name):
    rec = EDGES[name]()
    for make in (viz.gradient_heatmap, viz.lag_matrix, *OF_ONE_LAYER):
        assert make(rec).figure()
    shown = texts(viz.gradient_heatmap(rec))
    assert ("not finite" in shown) == (name != "no steps")


@pytest.mark.parametrize("steps, size", [(1, 1), (3, 70), (450, 2)])
def test_one_step_many_units_and_many_steps_draw(steps, size):
    rec = recorded(nn.LSTM(I, size), steps=steps, loss=lambda y: y[-1].sum())
    makers = (viz.gradient_heatmap, viz.states_over_time, viz.weight_gradients, viz.saturation)
    for make in makers if size > 1 else (*makers, viz.lag_matrix, viz.spectrum, viz.truncation):
        assert ET.fromstring(make(rec).svg()).tag == f"{SVG}svg"


def test_all_zero_gradients_are_shown_as_such():
    rec = recorded(nn.LSTM(I, H), loss=lambda y: (y * 0).sum())
    for make in (viz.gradient_heatmap, viz.lag_matrix, viz.weight_gradients, viz.truncation):
        assert "<svg" in make(rec).svg()
    assert "exactly 0" in texts(viz.gradient_heatmap(rec))


def test_time_axes_say_which_way_the_layer_runs():
    rec = recorded(MODELS["gru"]())
    for direction, arrow in (("forward", "→"), ("reverse", "←")):
        view = rec[""].layer(0, direction)
        for make in (viz.states_over_time, viz.weight_gradients, viz.spectrum):
            labels = [axes.get_xlabel() for axes in make(view).figure().findobj(_is_panel)]
            assert f"time step t (the layer runs {arrow})" in labels
    assert {"GRU →", "GRU ←"} <= set(texts(viz.gradient_heatmap(rec)))


def test_the_lag_matrix_is_blank_where_no_gradient_can_reach():
    rec = recorded(MODELS["gru"]())
    panels = viz.lag_matrix(rec).figure().axes[:2]
    for axes, blank in zip(panels, (np.triu, np.tril), strict=True):
        opaque = axes.images[0].get_array()[..., 3] > 0
        diagonal = 1 if blank is np.triu else -1
        assert not blank(opaque, diagonal).any()
        assert opaque.sum() == T * (T + 1) // 2


def test_the_lag_matrix_is_blank_where_no_sequence_has_a_step():
    rec = recorded(nn.LSTM(I, H), lengths=[4, 2, 3])
    (image,) = viz.lag_matrix(rec).figure().axes[0].images
    assert (image.get_array()[..., 3] > 0).sum() == 4 * 5 // 2


def test_what_has_no_logarithm_has_a_colour_of_its_own():
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    values = np.array([1.0, 1e-30, 0.0, np.inf, np.nan, 1e-3])
    colours = LogColours([values], decades=6)
    image = colours.image(values)
    assert to_hex(image[0]) == to_hex(colormaps["viridis"](1.0))
    assert to_hex(image[1]) == to_hex(colormaps["viridis"](0.0))
    assert to_hex(image[2]) == ZERO and to_hex(image[3]) == BROKEN
    assert image[4, 3] == 0 and (image[[0, 1, 2, 3, 5], 3] == 1).all()
    assert to_hex(image[5]) == to_hex(colormaps["viridis"](0.5))
    assert colours.below and colours.zero and colours.broken


def test_pooling_keeps_the_largest_and_says_how_many_steps_it_covers():
    values = np.array([1.0, 5, 2, np.nan, np.nan, np.nan, 7])
    columns, steps = pooled(values, 4)
    np.testing.assert_array_equal(columns, [5, 2, np.nan, 7])
    assert steps == 8
    assert pooled(values, 7) == (pytest.approx(values, nan_ok=True), 7)


def test_numbers_and_names_are_short_text():
    assert [power(1e-12), power(1.0), power(1000.0)] == ["10⁻¹²", "10⁰", "10³"]
    numbers = (0.0, 0.25, 12.3, 456.7, 1.4e-7, 3e9, math.inf)
    assert [short(each) for each in numbers] == ["0", "0.25", "12", "457", "1·10⁻⁷", "3·10⁹", "inf"]
    assert plain("a\nb\x00\u202e") == r"a\nb\x00\u202e"
    assert len(plain("x" * 1000)) == 41


# -- files and notebooks


@pytest.fixture(scope="module")
def picture():
    tt.manual_seed(0)
    return viz.saturation(recorded(nn.RNN(I, H)))


def test_a_file_has_the_format_of_its_suffix(picture, tmp_path):
    for suffix, start in ((".svg", b"<?xml"), (".PNG", b"\x89PNG"), (".pdf", b"%PDF")):
        picture.save(tmp_path / f"picture{suffix}")
        assert (tmp_path / f"picture{suffix}").read_bytes().startswith(start)
    with pytest.raises(ValueError, match=r"one of \.svg, \.png, \.pdf"):
        picture.save(tmp_path / "picture.gif")
    assert len(list(tmp_path.iterdir())) == 3


def test_a_drawing_that_fails_leaves_the_old_file(tmp_path):
    def broken(figure):
        figure.subplots().plot([1, 2])
        raise RuntimeError("no ink")

    path = tmp_path / "picture.svg"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="no ink"):
        viz.Picture("broken", {}, (3, 2), broken).save(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_same_numbers_give_the_same_svg_whatever_the_users_style(picture):
    import matplotlib

    first = picture.svg()
    before = dict(matplotlib.rcParams)
    with matplotlib.rc_context({"axes.facecolor": "red", "font.size": 30, "svg.fonttype": "path"}):
        assert picture.svg() == first
        assert matplotlib.rcParams["font.size"] == 30
    assert dict(matplotlib.rcParams) == before


def test_a_notebook_shows_the_svg(picture):
    bundle = picture._repr_mimebundle_()
    assert bundle["image/svg+xml"] == picture._repr_svg_() == picture.svg()
    assert bundle["text/plain"] == repr(picture) == "<Picture: saturation>"


def test_names_stay_text():
    names = [r"$\alpha^2$ & <b>\frac{</b>", "line\nbreak\x01\x1b", "語 🙂 \ud800", "'\"--><x>"]
    model = nn.ModuleDict({name: nn.RNN(I, H) for name in names})
    with bptt.record(model) as rec:
        for layer in model.values():
            layer(tt.randn(T, N, I))[0].sum().backward()
    for picture in (viz.gradient_heatmap(rec), viz.lag_matrix(rec)):
        shown = texts(picture)
        for name in names:
            assert any(plain(name) in text for text in shown), name
    title = viz.saturation(rec[names[0]]).figure().get_suptitle()
    assert " ".join(title.split()) == f"Saturation · {names[0]}, layer 0, forward"
    assert viz.saturation(rec[names[2]]).png().startswith(b"\x89PNG")


# -- what can't be drawn


def test_a_record_without_a_backward_pass_says_what_to_call():
    lstm = nn.LSTM(I, H)
    with bptt.record(lstm) as rec:
        lstm(tt.randn(T, N, I))
    for make in (viz.gradient_heatmap, viz.lag_matrix, viz.weight_gradients, viz.truncation):
        with pytest.raises(RuntimeError, match=r"call loss\.backward\(\) inside"):
            make(rec)
    for make in (viz.states_over_time, viz.saturation, viz.spectrum):
        assert make(rec).figure().axes


def test_layers_that_no_gradient_came_through_are_left_out_of_the_heat_map():
    model = nn.ModuleDict({"used": nn.RNN(I, H), "unused": nn.RNN(I, H)})
    with bptt.record(model) as rec:
        outputs = {name: layer(tt.randn(T, N, I))[0] for name, layer in model.items()}
        outputs["used"].sum().backward()
    assert list(viz.gradient_heatmap(rec).data) == [("used", 0, "forward")]


def test_a_picture_of_one_layer_asks_which():
    rec = recorded(MODELS["lstm"]())
    for make in OF_ONE_LAYER:
        with pytest.raises(ValueError, match=r"rec\[''\]\.layer\(1, 'reverse'\)"):
            make(rec)


def test_what_is_no_record_or_an_empty_one_is_refused():
    with pytest.raises(TypeError, match="expected a record, got Tensor"):
        viz.gradient_heatmap(tt.zeros(3))
    with bptt.record(nn.LSTM(I, H)) as rec:
        pass
    with pytest.raises(ValueError, match="got one of nothing"):
        viz.gradient_heatmap(rec)


def test_the_lengths_of_a_truncation_are_apart_and_its_title_stays_in_the_picture():
    class Deep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a_module_whose_name_is_longer_than_any_that_one_would_write = nn.RNN(1, 2)

        def forward(self, x: tt.Tensor) -> tt.Tensor:
            return next(iter(self.children()))(x)[0].sum()

    model = Deep()
    with bptt.record(model) as rec:
        model(tt.randn(300, 1, 1)).backward()
    for make in (viz.truncation, lambda rec: viz.weight_gradients(rec, "weight_hh_l0")):
        figure = make(rec).figure()
        figure.draw_without_rendering()
        assert figure._suptitle.get_window_extent().x1 <= figure.bbox.x1
    figure = viz.truncation(rec).figure()
    figure.draw_without_rendering()
    for axes in figure.axes:
        labels = [label.get_window_extent() for label in axes.get_xticklabels() if label.get_text()]
        assert len(labels) > 6
        assert axes.get_xticklabels()[-1].get_text() == "300"
        assert all(a.x1 < b.x0 for a, b in pairwise(labels))


def test_numbers_of_nothing_are_refused():
    rec = recorded(nn.GRU(I, H))
    for steps in (0, -3):
        with pytest.raises(ValueError, match=f"expected steps to be at least 1, got {steps}"):
            viz.weight_gradients(rec, "weight_hh", steps=steps)
    for decades in (0, -1, math.nan):
        with pytest.raises(ValueError, match=f"decades to be above 0, got {decades}"):
            viz.gradient_heatmap(rec, decades=decades)


def test_saving_makes_folders_and_returns_the_path(picture, tmp_path):
    path = tmp_path / "new" / "deep" / "a.svg"
    assert picture.save(path) == str(path)
    assert path.read_text("utf-8") == picture.svg()


def test_unknown_names_and_places_are_refused():
    rec = recorded(nn.GRU(I, H))
    with pytest.raises(ValueError, match="expected some of h, r, z, n, got c"):
        viz.gradient_heatmap(rec, of="c")
    with pytest.raises(KeyError, match="weight_ih_l0"):
        viz.weight_gradients(rec, "weight_xy")
    with pytest.raises(IndexError, match="a sample of 0"):
        viz.states_over_time(rec, sample=N)


def test_without_matplotlib_the_numbers_are_there_and_the_drawing_names_the_extra(
    picture, monkeypatch, tmp_path
):
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"tinytensor-bptt\[plot\]"):
        picture.save(tmp_path / "picture.svg")
    assert list(tmp_path.iterdir()) == []
    assert "tinytensor-bptt[plot]" in picture._repr_mimebundle_()["text/plain"]
    assert viz.gradient_heatmap(recorded(nn.RNN(I, H))).data


def test_matplotlib_is_imported_for_drawing_only():
    code = (
        "import sys, tinytensor as tt\n"
        "from tinytensor import bptt, nn, viz\n"
        "rnn = nn.RNN(1, 2)\n"
        "with bptt.record(rnn) as rec:\n"
        "    rnn(tt.randn(3, 1, 1))[0].sum().backward()\n"
        "viz.gradient_heatmap(rec).data, viz.saturation(rec).data, viz.lag_matrix(rec).data\n"
        "assert 'matplotlib' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
