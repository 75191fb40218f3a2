"""How far back the gradient of each output reaches, against one backward pass for each output."""

from contextlib import nullcontext

import numpy as np
import pytest

import tinytensor as tt
from tinytensor.bptt import lags
from tinytensor.bptt.record import record

from .hand_made import VARIANTS, HandMade


def brute_lag_matrix(made, of="h"):
    """Norms of the gradients of single passes, mean over the sequences that have both steps."""
    length = made.scan.length
    matrix = np.zeros((length, length))
    for t in range(length):
        for k in range(length):
            pairs = [by[t][k][of] for by in made.by_state if k in by.get(t, {})]
            if pairs:
                matrix[t, k] = np.mean([np.linalg.norm(gradient) for gradient in pairs])
    return matrix


@pytest.mark.parametrize("block_bytes", [1, 1000, 1 << 20])
@pytest.mark.parametrize("name", VARIANTS)
def test_each_entry_is_what_a_backward_pass_of_its_own_gives(name, block_bytes, monkeypatch):
    monkeypatch.setattr(lags, "_BLOCK_BYTES", block_bytes)
    made = HandMade(**VARIANTS[name])
    for of in made.parts:
        expected = brute_lag_matrix(made, "cell" if of == "c" else "h")
        assert expected.any()
        np.testing.assert_allclose(lags.lag_matrix(made.scan, of), expected, rtol=1e-11, atol=1e-13)


def test_rows_are_sources_and_nothing_is_above_the_diagonal():
    made = HandMade(**VARIANTS["rnn relu"])
    matrix = lags.lag_matrix(made.scan)
    assert not np.triu(matrix, 1).any()
    assert not matrix[[1, 4]].any()  # nothing enters at these steps


def test_a_state_is_one_that_the_layer_has():
    with pytest.raises(ValueError, match='pass of="h"'):
        lags.lag_matrix(HandMade(**VARIANTS["gru"]).scan, "c")
    with pytest.raises(ValueError, match='pass "h" or "c"'):
        lags.lag_matrix(HandMade(**VARIANTS["lstm"]).scan, "hc")


LAYERS = {
    "lstm": lambda: tt.nn.LSTM(3, 4, 2, bidirectional=True, dtype=tt.float64),
    "lstm projected": lambda: tt.nn.LSTM(3, 4, proj_size=2, bidirectional=True, dtype=tt.float64),
    "gru": lambda: tt.nn.GRU(3, 4, bidirectional=True, dtype=tt.float64),
    "rnn": lambda: tt.nn.RNN(3, 4, 2, bidirectional=True, dtype=tt.float64),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_row_of_a_recorded_layer_is_the_record_of_one_backward_pass(name):
    model = LAYERS[name]()
    x = tt.randn(5, 3, 3, dtype=tt.float64)
    target = tt.randn(5, 3, model(x)[0].shape[2], dtype=tt.float64)
    with record(model) as rec:
        (model(x)[0] - target).square().sum().backward()
    for direction in ("forward", "reverse"):
        matrix = lags.lag_matrix(rec[""].layer(model.num_layers - 1, direction).scan)
        for t in range(5):
            with record(model) as single:
                (model(x)[0][t] - target[t]).square().sum().backward()
            gradient = single[""].layer(model.num_layers - 1, direction).h_grad
            norms = np.linalg.norm(gradient, axis=2).mean(axis=1)
            np.testing.assert_allclose(matrix[t], norms, rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("unrolled", [False, True])
def test_a_batch_of_several_lengths_is_the_mean_of_its_sequences(unrolled):
    lstm = tt.nn.LSTM(2, 3, bidirectional=True, dtype=tt.float64)
    x = tt.randn(6, 3, 2, dtype=tt.float64)
    lengths = [3, 6, 4]

    def matrices(x, lengths):
        packed = tt.nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        with record(lstm) as rec, tt.unrolled() if unrolled else nullcontext():
            output, (h_n, c_n) = lstm(packed)
            (output.data.square().sum() + h_n.exp().sum() + c_n.exp().sum()).backward()
        return [lags.lag_matrix(view.scan) for view in rec[""].views]

    alone = [matrices(x[:n, s : s + 1], [n]) for s, n in enumerate(lengths)]
    for direction, together in enumerate(matrices(x, lengths)):
        for t, k in np.ndindex(6, 6):
            own = [one[direction][t, k] for one in alone if max(t, k) < len(one[direction])]
            assert together[t, k] == pytest.approx(np.mean(own), rel=1e-11)


def test_a_loss_on_the_last_state_alone_has_one_row():
    lstm = tt.nn.LSTM(2, 3)
    with record(lstm) as rec:
        _, (_, c_n) = lstm(tt.randn(7, 2, 2))
        c_n.sum().backward()
    matrix = lags.lag_matrix(rec[""].layer(0).scan, of="c")
    assert not matrix[:6].any()
    norms = np.linalg.norm(rec[""].layer(0).c_grad, axis=2).mean(axis=1)
    np.testing.assert_allclose(matrix[6], norms, rtol=1e-5)


def test_without_recurrent_weights_the_cell_alone_reaches_back():
    lstm = tt.nn.LSTM(2, 3, dtype=tt.float64)
    with tt.no_grad():
        lstm.weight_hh_l0.zero_()
    with record(lstm) as rec:
        lstm(tt.randn(7, 1, 2, dtype=tt.float64))[1][1].sum().backward()
    view = rec[""].layer(0)
    forget = view.f[:, 0]
    expected = [np.linalg.norm(forget[k + 1 :].prod(axis=0)) for k in range(7)]
    np.testing.assert_allclose(lags.lag_matrix(view.scan, "c")[6], expected, rtol=1e-13)
    np.testing.assert_allclose(lags.lag_matrix(view.scan), np.zeros((7, 7)), atol=0)


def test_what_float32_loses_is_still_there():
    """0.01 at each of 40 steps: float32 ends near 1e-45."""
    rnn = tt.nn.RNN(1, 1, nonlinearity="relu")
    with tt.no_grad():
        rnn.weight_hh_l0.fill_(0.01)
        rnn.bias_ih_l0.fill_(5.0)
    with record(rnn) as rec:
        rnn(tt.zeros(40, 1, 1))[0][-1].sum().backward()
    assert rec[""].layer(0).h_grad[0] == 0
    assert lags.lag_matrix(rec[""].layer(0).scan)[39, 0] == pytest.approx(1e-78, rel=1e-4)


def test_an_explosion_is_infinite_and_quiet():
    made = HandMade(**VARIANTS["rnn relu"])
    made.scan.h[...] = 1
    made.scan.weights["weight_hh"][...] = 1e200
    made.scan.dy[-2:] = 1  # of the last step
    row = lags.lag_matrix(made.scan)[5]
    np.testing.assert_allclose(row[[5, 4]], [2, 2 * 4e200])
    assert np.isinf(row[:4]).all()
