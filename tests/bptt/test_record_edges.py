"""What a record says where users reach in: hooks, `.data`, lengths of 0, passes that are graphs."""

import contextlib
import copy
import pickle
import warnings

import numpy as np
import pytest

import tinytensor as tt
from tinytensor import bptt, nn, viz

T, N, INPUTS, H = 5, 3, 2, 4

LAYERS = [nn.LSTM, nn.GRU, nn.RNN]
CELLS = [nn.LSTMCell, nn.GRUCell, nn.RNNCell]
FORMS = ["kernel", "unrolled"]


def mode_of(form):
    return tt.unrolled() if form == "unrolled" else contextlib.nullcontext()


def first(state):
    return state[0] if isinstance(state, tuple) else state


def check_sums(layer, module):
    for name in layer.parameters:
        found = layer.weight_grad_steps(name).sum(0)
        grad = getattr(module, name).grad.detach().numpy()
        np.testing.assert_allclose(found, grad, rtol=1e-10, atol=1e-12)


# -- hooks of the user's


@pytest.mark.parametrize("of", ["output", "last", "states.h", "states.gate"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", LAYERS)
def test_what_a_hook_makes_of_a_gradient_is_what_enters_a_layer(kind, form, of):
    model = kind(INPUTS, H).double()
    gate = {nn.LSTM: "f", nn.GRU: "z", nn.RNN: "h"}[kind]
    x = tt.randn(T, N, INPUTS).double()

    def run(factor):
        with mode_of(form), bptt.record(model) as rec:
            output, last, states = model(x, return_states=True)
            read = {
                "output": output,
                "last": first(last),
                "states.h": states.layer(0).h,
                "states.gate": getattr(states.layer(0), gate),
            }[of]
            read.register_hook(lambda g: g * factor)
            read.sum().backward()
        return rec[""]

    once, tenfold = run(1).layer(0), run(10).layer(0)
    model.zero_grad()
    check_sums(run(10), model)
    assert once.h_grad.any()
    for name in ("h_grad", "h_grad_immediate", f"{gate}_grad"):
        np.testing.assert_allclose(getattr(tenfold, name), 10 * getattr(once, name), rtol=1e-10)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", CELLS)
def test_hooks_at_each_step_of_a_loop_are_in_the_record(kind, form):
    cell = kind(INPUTS, H).double()
    x = tt.randn(T, N, INPUTS).double()
    states, state = [], None
    with mode_of(form), bptt.record(cell) as rec:
        for x_t in x:
            state = cell(x_t, state)
            h = first(state)
            h.register_hook(lambda g: g * 0.5)
            h.retain_grad()
            states.append(h)
        first(state).sum().backward()
    check_sums(rec[""], cell)
    retained = [h.grad.numpy() for h in states]
    np.testing.assert_allclose(rec[""].layer(0).h_grad, retained, rtol=1e-10, atol=1e-12)


def test_a_hook_that_is_removed_leaves_the_record_its_own():
    model = nn.LSTM(INPUTS, H)
    with tt.unrolled(), bptt.record(model) as rec:
        output, _ = model(tt.randn(T, N, INPUTS))
        output.register_hook(lambda g: g * 10).remove()
        output.sum().backward()
    assert (rec[""].layer(0).h_grad_immediate == 1).all()


# -- no steps


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", LAYERS)
def test_a_batch_without_any_step_is_recorded_as_such(kind, form):
    model = kind(INPUTS, H, bidirectional=True)
    with mode_of(form), bptt.record(model) as rec:
        output, last = model(tt.randn(T, 2, INPUTS), lengths=[0, 0])
        (output.sum() + first(last).sum()).backward()
    for view in rec[""].views:
        assert view.h.shape == view.h_grad.shape == (T, 2, H)
        assert not view.h_grad.any()
    for name, parameter in model.named_parameters():
        parts = rec[""].weight_grad_steps(name)
        assert parts.shape == (T, *parameter.shape)
        assert not parts.any()


# -- weights that change


@pytest.mark.parametrize("kind", CELLS)
def test_another_tensor_as_data_begins_another_run(kind):
    cell = kind(INPUTS, H).double()
    x = tt.randn(4, N, INPUTS).double()
    weights, states, state = [], [], None
    with bptt.record(cell) as rec:
        for t in range(4):
            if t == 2:
                cell.weight_hh.data = cell.weight_hh.data * 2
            weights.append(cell.weight_hh.detach().numpy().copy())
            state = cell(x[t], state)
            first(state).retain_grad()
            states.append(first(state))
        first(state).sum().backward()
    runs = [run.layer(0) for run in rec.calls("")]
    assert [run.scan.length for run in runs] == [2, 2]
    np.testing.assert_array_equal(runs[0].scan.weights["weight_hh"], weights[0])
    np.testing.assert_array_equal(runs[1].scan.weights["weight_hh"], weights[2])
    found = np.concatenate([run.h_grad for run in runs])
    np.testing.assert_allclose(found, [h.grad.numpy() for h in states], rtol=1e-10, atol=1e-12)


def test_the_same_values_as_new_data_go_on_with_the_run():
    cell = nn.GRUCell(INPUTS, H)
    state = None
    with bptt.record(cell) as rec:
        for _ in range(3):
            cell.weight_hh.data = cell.weight_hh.data.clone()
            state = cell(tt.randn(N, INPUTS), state)
    assert [run.layer(0).scan.length for run in rec.calls("")] == [3]


# -- passes that are graphs


def loss_of(model, x):
    if not isinstance(model, nn.LSTMCell):
        return first(model(x)).square().sum()
    state, loss = None, 0.0
    for x_t in x:
        state = model(x_t, state)
        loss = loss + state[0].square().sum()
    return loss


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.LSTMCell])
def test_a_pass_that_a_record_leaves_out_is_told(kind, form):
    model = kind(INPUTS, H)
    name = "weight_hh" if kind is nn.LSTMCell else "weight_hh_l0"
    with mode_of(form), bptt.record(model) as rec:
        loss = loss_of(model, tt.randn(T, N, INPUTS))
        (g,) = tt.autograd.grad(loss, [getattr(model, name)], create_graph=True)
        assert "left out" not in repr(rec)
        (loss + g.square().sum()).backward()
    assert "a later pass left out" in repr(rec)
    for ask in (rec[""].weight_grad_steps, rec[""].weight_grad_norms):
        with pytest.warns(UserWarning, match=r"create_graph=True.*do not sum to \.grad"):
            ask(name)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.LSTMCell])
def test_a_pass_left_out_after_zero_grad_is_no_forward_alone(kind, form):
    model = kind(INPUTS, H)
    with mode_of(form), bptt.record(model) as rec:
        loss = loss_of(model, tt.randn(T, N, INPUTS))
        loss.backward(create_graph=True)
        rec.zero_grad()
        loss.backward()
    with pytest.raises(RuntimeError, match="after one with create_graph=True"):
        _ = rec[""].layer(0).h_grad


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.LSTMCell])
def test_a_page_is_no_backward_pass(kind, form, tmp_path):
    model = kind(INPUTS, H).double()
    with mode_of(form), bptt.record(model) as rec:
        loss = loss_of(model, tt.randn(2, N, INPUTS).double())
    viz.page(loss, tmp_path / "page.html")
    assert "forward alone" in repr(rec)
    loss.backward()
    check_sums(rec[""], model)


# -- several passes


@pytest.mark.parametrize("unrolled", [False, True])
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN, nn.LSTMCell, nn.GRUCell, nn.RNNCell])
def test_a_second_pass_doubles_all_and_after_zero_grad_a_third_stands_alone(kind, unrolled):
    model = kind(INPUTS, H).double()
    is_layer = kind in (nn.LSTM, nn.GRU, nn.RNN)
    with tt.unrolled() if unrolled else tt.enable_grad(), bptt.record(model) as rec:
        if is_layer:
            loss = sum(part.sum() for part in leaves(model(tt.randn(T, N, INPUTS).double())))
        else:
            state, loss = None, 0.0
            for _ in range(T):
                state = model(tt.randn(N, INPUTS).double(), state)
                loss = loss + sum(part.sum() for part in leaves(state))
    views = []
    for _ in range(3):
        loss.backward(retain_graph=True)
        views.append(rec[""].layer(0))
        if len(views) == 2:
            rec.zero_grad()
    once, twice, alone = views
    states = [f"{name}_grad_immediate" for name in ("h", "c") if name in once.names]
    for name in (*states, *(f"{name}_grad" for name in once.names)):
        first = getattr(once, name)
        assert first.any()
        np.testing.assert_allclose(getattr(twice, name), 2 * first, rtol=1e-10, atol=1e-13)
        np.testing.assert_allclose(getattr(alone, name), first, rtol=1e-10, atol=1e-13)


def leaves(nested):
    if isinstance(nested, tt.Tensor):
        return [nested]
    return [leaf for part in nested for leaf in leaves(part)]


# -- numbers that are none


@pytest.mark.parametrize("kind", [*LAYERS, *CELLS])
def test_an_infinite_gradient_is_read_without_a_warning(kind):
    model = kind(INPUTS, H)
    with bptt.record(model) as rec:
        state = None
        for _ in range(2):
            x = tt.randn(T, N, INPUTS) if kind in LAYERS else tt.randn(N, INPUTS)
            output = model(x, state)
            state = output[1] if kind in LAYERS else output
        first(output).backward(tt.full_like(first(output), np.inf))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        view = rec[""].layer(0)
        for name in view.names:
            assert not np.isfinite(getattr(view, f"{name}_grad")).all()
        view.weight_grad_steps("weight_hh")
        view.weight_grad_norms("weight_hh")
        view.lag_matrix()
        view.truncation()
        if view.scan.c is not None:
            view.c_grad_terms()
            view.cell_path()


# -- copies


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", [*LAYERS, *CELLS])
def test_a_record_is_pickled_and_copied(kind, form):
    model = kind(INPUTS, H)
    with mode_of(form), bptt.record(model) as rec:
        x = tt.randn(T, N, INPUTS) if kind in LAYERS else tt.randn(N, INPUTS)
        first(model(x)).sum().backward()
    for again in (pickle.loads(pickle.dumps(rec)), copy.deepcopy(rec)):
        assert again.paths == [""]
        np.testing.assert_array_equal(again[""].layer(0).h_grad, rec[""].layer(0).h_grad)
    layer = pickle.loads(pickle.dumps(rec[""]))
    np.testing.assert_array_equal(layer.layer(0).h, rec[""].layer(0).h)
