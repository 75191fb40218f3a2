"""Truncated against full gradients, each of one backward pass for each output."""

import numpy as np
import pytest

import tinytensor as tt
from tinytensor import bptt
from tinytensor.bptt import lags
from tinytensor.bptt.record import record
from tinytensor.bptt.truncation import against_full

from .hand_made import VARIANTS, HandMade


def brute_gradient(made, role, reach):
    """Σ over sequences, sources t, and the steps k that are less than `reach` steps back."""
    total = np.zeros(made.weights[role].shape)
    for by_t in made.by_weight:
        for t, by_k in by_t.items():
            for k, by_role in by_k.items():
                if abs(t - k) < reach:
                    total += by_role[role]
    return total


@pytest.mark.parametrize("block_bytes", [1, 1000, 1 << 20])
@pytest.mark.parametrize("name", VARIANTS)
def test_a_length_cuts_what_lies_further_back(name, block_bytes, monkeypatch):
    monkeypatch.setattr(lags, "_BLOCK_BYTES", block_bytes)
    made = HandMade(**VARIANTS[name])
    found = against_full(made.scan, [3, 1, 2, 2, 9])
    assert found.lengths == (1, 2, 3, 9)
    assert set(found.full) == {f"{role}_l0" for role in made.weights}
    for role in made.weights:
        full = brute_gradient(made, role, 99)
        key = f"{role}_l0"
        np.testing.assert_allclose(found.full[key], full, rtol=1e-11, atol=1e-12)
        for m, reach in enumerate(found.lengths):
            cut = brute_gradient(made, role, reach)
            np.testing.assert_allclose(found.gradients[key][m], cut, rtol=1e-11, atol=1e-12)
            norms = np.linalg.norm(cut), np.linalg.norm(full)
            assert found.ratio[key][m] == pytest.approx(norms[0] / norms[1], rel=1e-10)
            cosine = np.vdot(cut, full) / (norms[0] * norms[1])
            assert found.cosine[key][m] == pytest.approx(cosine, rel=1e-10)


def test_lengths_left_out_are_the_powers_of_two_and_all_steps():
    for name, expected in [("lstm", (1, 2, 4, 6)), ("lstm all enters", (1, 2, 4))]:
        found = against_full(HandMade(**VARIANTS[name]).scan)
        assert found.lengths == expected
        for cosine, ratio in zip(found.cosine.values(), found.ratio.values(), strict=True):
            assert cosine[-1] == pytest.approx(1)
            assert ratio[-1] == pytest.approx(1)
            assert abs(ratio[0] - 1) > 1e-3


@pytest.mark.parametrize("lengths", [[], [0], [3, -1]])
def test_a_length_is_at_least_one_step(lengths):
    with pytest.raises(ValueError, match="lengths >= 1"):
        against_full(HandMade(**VARIANTS["gru"]).scan, lengths)


def test_no_gradient_has_no_angle():
    made = HandMade(**VARIANTS["gru"])
    made.scan.dy[...] = made.scan.dz[...] = made.scan.du[...] = 0
    found = against_full(made.scan, [2])
    assert np.isnan(found.cosine["weight_hh_l0"]).all()
    assert np.isnan(found.ratio["weight_hh_l0"]).all()
    assert not found.gradients["weight_hh_l0"].any()


@pytest.mark.parametrize("make", [tt.nn.LSTMCell, tt.nn.GRUCell, tt.nn.RNNCell])
def test_a_length_gives_what_truncated_backpropagation_gives(make):
    cell = make(2, 3).double()
    readout = tt.nn.Linear(3, 1).double()
    xs = tt.randn(8, 4, 2, dtype=tt.float64)

    def step(x, state):
        state = cell(x, state)
        h = state[0] if isinstance(state, tuple) else state
        return readout(h), state

    def loss_fn(output, t):
        return (output - xs[t - 2]).square().mean() if t > 1 else None

    with record(cell) as rec:
        state, total = None, 0
        for t, x in enumerate(xs):
            output, state = step(x, state)
            loss = loss_fn(output, t)
            total = total if loss is None else total + loss
        total.backward()
    lengths = (1, 2, 3, 7, 8, 20)
    found = against_full(rec[""].layer(0).scan, lengths)
    for name, weight in cell.named_parameters():
        np.testing.assert_allclose(found.full[name], weight.grad.numpy(), rtol=1e-12)
    for m, k2 in enumerate(lengths):
        cell.zero_grad()
        for _ in bptt.truncated(step, xs, None, loss_fn, k1=1, k2=k2):
            pass
        for name, weight in cell.named_parameters():
            np.testing.assert_allclose(
                found.gradients[name][m], weight.grad.numpy(), rtol=1e-10, atol=1e-13
            )


def test_the_weights_are_those_of_one_layer_and_direction_of_a_recorded_model():
    lstm = tt.nn.LSTM(2, 4, 2, bidirectional=True, bias=False, proj_size=3)
    with record(lstm) as rec:
        lstm(tt.randn(5, 3, 2))[0].square().sum().backward()
    for view in rec[""].views:
        found = against_full(view.scan, [1, 5])
        assert set(found.cosine) == set(view.scan.names)
        assert len(found.cosine) == 3
        for name in found.cosine:
            grad = getattr(lstm, name).grad.numpy()
            np.testing.assert_allclose(found.full[name], grad, rtol=1e-4, atol=1e-6)
            assert found.cosine[name][1] == pytest.approx(1, abs=1e-9)
            assert found.cosine[name][0] < 1
