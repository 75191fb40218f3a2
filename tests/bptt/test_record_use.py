"""How a record is used: what it is asked, what it says when it cannot answer, when it goes."""

import gc
import weakref

import numpy as np
import pytest

import tinytensor as tt
from tinytensor import bptt, nn, viz
from tinytensor.bptt import lags, spectrum
from tinytensor.bptt.truncation import against_full
from tinytensor.nn.recording import opened
from tinytensor.utils.checkpoint import checkpoint

T, N, INPUTS, H = 5, 3, 2, 4


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(INPUTS, INPUTS)
        self.body = nn.Sequential()
        self.body.lstm = nn.LSTM(INPUTS, H, 2, bidirectional=True)
        self.gru = nn.GRU(2 * H, H)

    def forward(self, x):
        return self.gru(self.body.lstm(self.embed(x))[0])[0]


def recorded(model, backward=True):
    with bptt.record(model) as rec:
        y = model(tt.randn(T, N, INPUTS))
        y = y[0] if isinstance(y, tuple) else y
        if backward:
            y.square().sum().backward()
    return rec


def test_layers_are_found_by_their_names_in_the_model():
    model = Tagger()
    rec = recorded(model)
    assert rec.paths == list(rec) == ["body.lstm", "gru"]
    assert len(rec) == 2
    assert len(rec["body.lstm"].views) == 4
    assert rec["body.lstm"].layer(1, "reverse").c.shape == (T, N, H)
    assert rec["gru"].parameters == [name for name, _ in model.gru.named_parameters()]
    for name, parameter in model.body.lstm.named_parameters():
        np.testing.assert_allclose(
            rec["body.lstm"].weight_grad_steps(name).sum(0),
            parameter.grad.numpy(),
            rtol=1e-4,
            atol=1e-5,
        )


def test_only_what_is_in_the_model_is_recorded():
    inside, outside, cell = nn.GRU(INPUTS, INPUTS), nn.GRU(INPUTS, H), nn.GRUCell(H, H)
    with bptt.record(inside) as rec:
        y, _ = outside(inside(tt.randn(T, N, INPUTS))[0])
        cell(y[0])
    assert rec.paths == [""]
    assert rec[""].layer(0).h.shape == (T, N, INPUTS)


def test_what_runs_after_the_block_is_not_recorded():
    model = nn.GRU(INPUTS, H)
    rec = recorded(model)
    model(tt.randn(T, N, INPUTS))
    assert len(rec.calls("")) == 1


def test_a_module_called_twice_has_two_calls_and_the_last_is_found_first():
    model = nn.LSTM(INPUTS, H)
    with bptt.record(model) as rec:
        first, _ = model(tt.randn(T, N, INPUTS))
        second, _ = model(tt.randn(T + 1, N, INPUTS))
        (first.sum() + second.sum()).backward()
    assert [call.layer(0).h.shape[0] for call in rec.calls("")] == [T, T + 1]
    assert rec[""].layer(0).h.shape[0] == T + 1
    parts = sum(call.weight_grad_steps("weight_hh_l0").sum(0) for call in rec.calls(""))
    np.testing.assert_allclose(parts, model.weight_hh_l0.grad.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("unrolled", [False, True])
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_gradients_of_several_passes_add_up_as_grad_does(kind, unrolled):
    model = kind(INPUTS, H).double()
    with tt.unrolled() if unrolled else tt.enable_grad(), bptt.record(model) as rec:
        y, last = model(tt.randn(T, N, INPUTS).double())
        y.sum().backward(retain_graph=True)
        once = rec[""].layer(0)
        (last[0] if isinstance(last, tuple) else last).square().sum().backward()
    both = rec[""].layer(0)
    assert abs(both.h_grad - once.h_grad).max() > 0.01
    for name, parameter in model.named_parameters():
        found = both.weight_grad_steps(name).sum(0)
        np.testing.assert_allclose(found, parameter.grad.numpy(), rtol=1e-10, atol=1e-12)


def test_zero_grad_lets_the_next_pass_stand_alone():
    model = nn.Sequential(nn.LSTMCell(INPUTS, H))
    with bptt.record(model) as rec:
        h, c = model[0](tt.randn(N, INPUTS))
        h.sum().backward(retain_graph=True)
        rec.zero_grad()
        with pytest.raises(RuntimeError, match="forward alone"):
            _ = rec["0"].layer(0).h_grad
        c.sum().backward()
    assert not rec["0"].layer(0).h_grad.any()
    assert (rec["0"].layer(0).c_grad == 1).all()


def test_a_backward_pass_after_the_block_is_recorded_too():
    model = nn.GRU(INPUTS, H)
    with bptt.record(model) as rec:
        y, _ = model(tt.randn(T, N, INPUTS))
    y.sum().backward()
    np.testing.assert_array_equal(rec[""].layer(0).h_grad_immediate, np.ones((T, N, H)))


def test_what_was_recorded_stays_when_weights_inputs_and_gradients_are_written_into():
    model = nn.LSTM(INPUTS, H)
    optimizer = tt.optim.SGD(model.parameters(), lr=1.0)
    x = tt.randn(T, N, INPUTS)
    h, c = tt.randn(1, N, H), tt.randn(1, N, H)
    with bptt.record(model) as rec:
        y, _ = model(x, (h, c))
        coefficients = tt.randn(T, N, H)
        y.backward(coefficients)
    view = rec[""].layer(0)
    before = {name: view.weight_grad_steps(name) for name in view.scan.names}
    gradients = view.h_grad, view.c_grad, view.i_grad
    optimizer.step()
    with tt.no_grad():
        for tensor in (x, h, c, y, coefficients):
            tensor.zero_()
    after = rec[""].layer(0)
    for name, parts in before.items():
        np.testing.assert_array_equal(after.weight_grad_steps(name), parts)
    for ours, theirs in zip((after.h_grad, after.c_grad, after.i_grad), gradients, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_an_array_of_a_view_is_the_users_own():
    rec = recorded(nn.LSTM(INPUTS, H))
    view = rec[""].layer(0)
    before = view.h.copy()
    view.h[...] = 0
    view.h_grad[...] = 0
    np.testing.assert_array_equal(view.h, before)
    assert view.h_grad.any()


def test_recording_changes_no_number():
    x = tt.randn(T, N, INPUTS)
    found = []
    for recording in (False, True):
        tt.manual_seed(3)
        model = Tagger()
        if recording:
            with bptt.record(model):
                model(x).square().sum().backward()
        else:
            model(x).square().sum().backward()
        found.append([parameter.grad.numpy() for parameter in model.parameters()])
    for plain, recorded_one in zip(*found, strict=True):
        np.testing.assert_array_equal(plain, recorded_one)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.LSTMCell, nn.GRUCell, nn.RNNCell])
def test_recording_changes_no_picture(kind):
    model, x = kind(INPUTS, H), tt.randn(2, N, INPUTS)

    def drawn():
        state = None
        for t in range(2):
            state = model(x[t], state)
            state = state[1] if isinstance(model, nn.LSTM) else state
        return str(viz.graph(state[0].sum()))

    plain = drawn()
    with bptt.record(model):
        assert drawn() == plain


def test_states_and_gates_are_there_without_any_gradient():
    model = nn.LSTM(INPUTS, H)
    with tt.no_grad(), bptt.record(model) as rec:
        y, _ = model(tt.randn(T, N, INPUTS))
    view = rec[""].layer(0)
    np.testing.assert_array_equal(view.h, y.numpy())
    np.testing.assert_allclose(view.o * np.tanh(view.c), view.h, rtol=1e-6)


def test_a_checkpointed_call_has_its_gradients_in_the_call_that_was_run_again():
    model = nn.GRU(INPUTS, H)
    with bptt.record(model) as rec:
        y, _ = checkpoint(model, tt.randn(T, N, INPUTS), use_reentrant=False)
        y.sum().backward()
    found = rec[""].weight_grad_steps("weight_hh_l0").sum(0)
    np.testing.assert_allclose(found, model.weight_hh_l0.grad.numpy(), rtol=1e-4, atol=1e-6)


def loop_over(cell, x):
    state, outputs = None, []
    for x_t in x:
        state = cell(x_t, state)
        outputs.append(state[0])
    return tt.stack(outputs)


@pytest.mark.parametrize("unrolled", [False, True])
@pytest.mark.parametrize("kind", [nn.LSTM, nn.LSTMCell])
def test_a_second_derivative_adds_nothing(kind, unrolled):
    model = kind(INPUTS, H).double()
    x = tt.randn(T, N, INPUTS).double().requires_grad_()
    with tt.unrolled() if unrolled else tt.enable_grad(), bptt.record(model) as rec:
        y = model(x)[0] if kind is nn.LSTM else loop_over(model, x)
        loss = y.square().sum()
        loss.backward(create_graph=True)
        first = {name: rec[""].weight_grad_steps(name) for name in rec[""].parameters}
        for name, parts in first.items():
            found = getattr(model, name).grad.detach().numpy()
            np.testing.assert_allclose(parts.sum(0), found, rtol=1e-10, atol=1e-12)
        own = rec[""].layer(0).h_grad
        x.grad.sum().backward(inputs=[x])  # through the backward pass, which is a graph
    assert own.any()
    np.testing.assert_array_equal(rec[""].layer(0).h_grad, own)
    for name, parts in first.items():
        with pytest.warns(UserWarning, match="second derivatives"):
            np.testing.assert_array_equal(rec[""].weight_grad_steps(name), parts)


# -- what cannot be answered


def test_only_a_module_can_be_recorded():
    with pytest.raises(TypeError, match="expected a Module, got function"):
        bptt.record(lambda x: x)


def test_one_record_at_a_time():
    model = nn.GRU(INPUTS, H)
    with bptt.record(model), pytest.raises(RuntimeError, match="one record at a time"):
        with bptt.record(model):
            pass
    assert opened.recorder is None


def test_an_error_in_the_block_ends_the_record():
    with pytest.raises(ZeroDivisionError), bptt.record(nn.GRU(INPUTS, H)):
        raise ZeroDivisionError
    assert opened.recorder is None


def test_gradients_before_a_backward_pass_are_an_error_that_names_the_cure():
    view = recorded(nn.LSTM(INPUTS, H), backward=False)[""].layer(0)
    assert view.c.any()
    for ask in (lambda: view.h_grad, lambda: view.weight_grad_steps("weight_hh_l0")):
        with pytest.raises(RuntimeError, match=r"loss\.backward\(\) inside `with bptt\.record"):
            ask()


def test_unknown_names_are_errors_that_name_the_known():
    rec = recorded(nn.GRU(INPUTS, H))
    with pytest.raises(KeyError, match=r"expected one of ''; got 'lstm'; .*rec\[''\]"):
        rec["lstm"]
    with pytest.raises(KeyError, match="no recurrent layer was called"):
        recorded(nn.Linear(INPUTS, H))["lstm"]
    with pytest.raises(IndexError, match="from 0 to 0, got 1"):
        rec[""].layer(1)
    with pytest.raises(ValueError, match="got 'reverse'"):
        rec[""].layer(0, "reverse")
    with pytest.raises(AttributeError, match=r"expected one of h, r, z, n, .* got 'c_grad'"):
        _ = rec[""].layer(0).c_grad
    with pytest.raises(KeyError, match="got 'weight_hh_l1'"):
        rec[""].weight_grad_steps("weight_hh_l1")
    with pytest.raises(KeyError, match="got 'weight_hh_l1'"):
        rec[""].layer(0).weight_grad_norms("weight_hh_l1")
    for ask in (rec[""].layer(0).cell_path, rec[""].layer(0).c_grad_terms):
        with pytest.raises(TypeError, match="expected an LSTM, which has cells, got gru"):
            ask()


def test_a_projection_has_no_gates():
    rec = recorded(nn.LSTM(INPUTS, H, proj_size=2))
    with pytest.raises(ValueError, match="got weight_hr"):
        rec[""].weight_grad_steps("weight_hr_l0", by_gate=True)


def test_a_call_that_failed_is_no_call():
    model = nn.LSTM(INPUTS, H)
    with bptt.record(model) as rec, pytest.raises(RuntimeError):
        model(tt.randn(T, N, INPUTS), (tt.zeros(1, N, H), tt.zeros(1, N + 1, H)))
    assert rec.paths == []


# -- when it goes


@pytest.mark.parametrize("unrolled", [False, True])
@pytest.mark.parametrize("make", [lambda: nn.LSTM(INPUTS, H, 2), lambda: nn.LSTMCell(INPUTS, H)])
def test_memory_goes_with_the_record(make, unrolled):
    model = make()
    gc.collect()
    gc.disable()
    try:
        with tt.unrolled() if unrolled else tt.enable_grad():
            with bptt.record(model) as rec:
                if isinstance(model, nn.LSTM):
                    model(tt.randn(T, N, INPUTS))[0].sum().backward()
                else:
                    state = model(tt.randn(N, INPUTS))
                    model(tt.randn(N, INPUTS), state)[0].sum().backward()
                    del state
        gone = [weakref.ref(note) for notes in rec._notes.values() for note in notes]
        assert gone
        assert all(reference() is not None for reference in gone)
        del rec
        assert all(reference() is None for reference in gone)
    finally:
        gc.enable()


def test_a_record_keeps_no_graph():
    model = nn.LSTMCell(INPUTS, H)
    with bptt.record(model) as rec:
        h, c = model(tt.randn(N, INPUTS))
        loss = h.sum()
        loss.backward()
    gone = [weakref.ref(tensor) for tensor in (h, c, loss)]
    del h, c, loss
    gc.collect()
    assert [reference() for reference in gone] == [None] * 3
    assert rec[""].layer(0).h_grad.all()


def test_a_view_asks_the_rest_of_the_package():
    rec = recorded(nn.LSTM(INPUTS, H))
    view = rec[""].layer(0)
    np.testing.assert_array_equal(view.lag_matrix(), lags.lag_matrix(view.scan))
    np.testing.assert_array_equal(view.lag_matrix("c"), lags.lag_matrix(view.scan, "c"))
    np.testing.assert_array_equal(
        view.step_singular_values((1,), "hc"), spectrum.singular_values(view.scan, (1,), "hc")
    )
    np.testing.assert_array_equal(
        view.lag_spectrum((2,), "h", 3).product, spectrum.over_lags(view.scan, (2,), "h", 3).product
    )
    found = rec.truncation([1, 3])[""][0]
    assert found.lengths == view.truncation([1, 3]).lengths == (1, 3)
    np.testing.assert_array_equal(
        found.cosine["weight_hh_l0"], against_full(view.scan, [1, 3]).cosine["weight_hh_l0"]
    )
