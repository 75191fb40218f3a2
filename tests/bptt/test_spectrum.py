"""Singular values of Jacobians, against Jacobians taken one by one by the engine."""

import numpy as np
import pytest

import tinytensor as tt
from tinytensor.bptt import spectrum
from tinytensor.bptt.lags import lag_matrix
from tinytensor.bptt.record import record
from tinytensor.bptt.spectrum import over_lags, singular_values

from .hand_made import CELLS, ROLES, VARIANTS, HandMade

PAIRS = [
    (name, of)
    for name, v in VARIANTS.items()
    for of in ("h", "hc")
    if of == "h" or v["kind"] == "lstm"
]


def jacobian(made, n, of, begin, end):
    """d s_end / d s_before-begin of sequence n, through the steps from `begin` to `end` at once."""
    scan = made.scan
    x = scan.padded(scan.x)
    starts = [tt.tensor(scan.padded(rows)[begin, n]) for rows in scan.starts()]
    weights = {role: tt.tensor(w) for role, w in made.weights.items()}
    roles = ROLES[: 5 if made.kind == "lstm" else 4]
    factors = None if made.factors is None else tt.tensor(made.factors[n : n + 1])
    own = [*(weights.get(role) for role in roles), factors]
    order = range(begin, end - 1, -1) if made.reverse else range(begin, end + 1)

    def run(*state):
        state = tuple(part[None] for part in state)
        for t in order:
            state, _ = CELLS[made.kind](tt.tensor(x[t, n][None]), state, own)
        return tuple(part[0] for part in state)

    blocks = tt.autograd.functional.jacobian(run, tuple(starts))
    if of == "h":
        return blocks[0][0].numpy()
    return np.block([[block.numpy() for block in row] for row in blocks])


@pytest.mark.parametrize("block_bytes", [1, 1 << 24])
@pytest.mark.parametrize(("name", "of"), PAIRS)
def test_singular_values_are_those_of_each_steps_jacobian(name, of, block_bytes, monkeypatch):
    monkeypatch.setattr(spectrum, "_BLOCK_BYTES", block_bytes)
    made = HandMade(**VARIANTS[name])
    samples = [1, 0]
    found = singular_values(made.scan, samples, of)
    size = made.output + (4 if of == "hc" else 0)
    assert found.shape == (made.scan.length, 2, size)
    for t in range(made.scan.length):
        for place, n in enumerate(samples):
            if t >= made.lengths[n]:
                assert np.isnan(found[t, place]).all()
                continue
            values = np.linalg.svd(jacobian(made, n, of, t, t), compute_uv=False)
            np.testing.assert_allclose(found[t, place], values, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("name", "of"), PAIRS)
def test_a_product_is_the_jacobian_of_all_steps_in_between(name, of):
    made = HandMade(**VARIANTS[name])
    samples = [1, 0]
    found = over_lags(made.scan, samples, of)
    tops = singular_values(made.scan, samples, of)[..., 0]
    back = 1 if made.reverse else -1
    for place, n in enumerate(samples):
        end = int(found.ends[place])
        present = end + 1 if not made.reverse else made.lengths[n] - end
        assert np.isnan(found.product[present:, place]).all()
        assert np.isnan(found.steps[present:, place]).all()
        assert np.isnan(found.measured[present:, place]).all()
        for lag in range(present):
            if lag == 0:
                expected = np.ones(found.product.shape[2])
            else:
                matrix = jacobian(made, n, of, end + back * (lag - 1), end)
                expected = np.linalg.svd(matrix, compute_uv=False)
            np.testing.assert_allclose(found.product[lag, place], expected, rtol=1e-9, atol=1e-12)
            between = [end + back * j for j in range(lag)]
            assert found.steps[lag, place] == pytest.approx(np.prod(tops[between, place]))


@pytest.mark.parametrize(("name", "of"), [pair for pair in PAIRS if "enters" not in pair[0]])
def test_measured_is_the_gradient_of_what_entered_at_the_end(name, of):
    made = HandMade(**VARIANTS[name])
    found = over_lags(made.scan, [1], of)
    end = int(found.ends[0])
    back = 1 if made.reverse else -1
    for lag, measured in enumerate(found.measured[:, 0]):
        gradients = made.by_state[1][end][end + back * lag]
        joined = np.concatenate([gradients[part] for part in of])
        assert measured == pytest.approx(np.linalg.norm(joined), rel=1e-10)
    np.testing.assert_allclose(found.gain, found.measured / found.measured[0])


def test_the_gain_is_below_the_product_and_that_below_the_product_of_the_steps():
    for name, of in [("lstm lengths", "hc"), ("gru", "h"), ("rnn relu", "h")]:
        found = over_lags(HandMade(**VARIANTS[name]).scan, of=of)
        slack = 1 + 1e-12
        there = ~np.isnan(found.steps)
        assert (found.gain <= found.product[..., 0] * slack)[there].all()
        assert (found.product[..., 0] <= found.steps * slack)[there].all()


def test_an_lstm_reaches_further_along_its_cell_than_through_its_weights():
    """f = 1 and almost no recurrent weights: the h of a step back is gone, that of ten is there."""
    made = HandMade("lstm", lengths=[10])
    made.scan.weights["weight_hh"] *= 1e-3
    made.scan.gates["f"][...] = 1
    found = over_lags(made.scan)
    assert found.product[9, 0, 0] > 1e-8
    assert found.steps[9, 0] < 1e-20


def test_lags_count_from_the_step_asked_for_or_the_last_one_that_something_enters_at():
    made = HandMade(**VARIANTS["lstm lengths"])
    assert list(over_lags(made.scan, [0, 1, 3]).ends) == [2, 5, 3]
    assert list(over_lags(made.scan, [0, 1], end=1).ends) == [1, 1]
    assert over_lags(made.scan, [0, 1], end=1).product.shape == (2, 2, 4)
    reverse = HandMade(**VARIANTS["lstm lengths reverse"])
    assert list(over_lags(reverse.scan, [0, 3]).ends) == [0, 0]
    assert over_lags(reverse.scan, [0, 3]).steps.shape == (5, 2)
    for wrong in (3, -1):
        with pytest.raises(IndexError, match="3 steps"):
            over_lags(made.scan, [0], end=wrong)


def test_a_sequence_without_steps_has_no_numbers():
    found = over_lags(HandMade(**VARIANTS["lstm lengths"]).scan, [2])
    assert found.product.shape == (0, 1, 4)


def test_without_a_backward_pass_there_is_all_but_what_was_measured():
    made = HandMade(**VARIANTS["gru"])
    made.scan.dy = made.scan.dz = made.scan.du = made.scan.d_last = None
    found = over_lags(made.scan)
    assert found.product.shape == (6, 1, 4)
    assert np.isfinite(found.product).all()
    assert np.isnan(found.measured).all()


def test_what_overflows_ends_the_numbers_quietly():
    made = HandMade(**VARIANTS["rnn relu"])
    made.scan.h[...] = 1
    made.scan.weights["weight_hh"][...] = 1e200
    found = over_lags(made.scan)
    assert found.product[1, 0, 0] == pytest.approx(4e200)
    assert np.isnan(found.product[2:]).all()
    assert np.isinf(found.steps[2:]).all()


def test_a_step_that_is_not_finite_has_no_singular_values():
    made = HandMade(**VARIANTS["gru"])
    made.scan.gates["r"][2] = np.nan  # step 1, the first sequence
    found = singular_values(made.scan, [0, 1])
    assert np.argwhere(np.isnan(found).all(axis=2)).tolist() == [[1, 0]]


@pytest.mark.parametrize("samples", [[], [2], [-1]])
def test_samples_are_sequences_of_the_batch(samples):
    made = HandMade(**VARIANTS["gru"])
    for compute in (singular_values, over_lags):
        with pytest.raises(IndexError, match=r"samples of 0 \.\.\. 1"):
            compute(made.scan, samples)


def test_a_state_is_one_that_the_layer_has():
    for compute in (singular_values, over_lags):
        with pytest.raises(ValueError, match='pass of="h"'):
            compute(HandMade(**VARIANTS["gru"]).scan, of="hc")
        with pytest.raises(ValueError, match='pass "h" or "hc"'):
            compute(HandMade(**VARIANTS["lstm"]).scan, of="c")


def test_of_a_recorded_model_the_measured_norms_are_those_of_its_lag_matrix():
    gru = tt.nn.GRU(2, 4, bidirectional=True)
    with record(gru) as rec:
        gru(tt.randn(6, 1, 2))[0].square().sum().backward()
    for view in rec[""].views:
        found = over_lags(view.scan)
        row = lag_matrix(view.scan)[found.ends[0]]
        measured = row if view.scan.reverse else row[::-1]
        np.testing.assert_allclose(found.measured[:, 0], measured, rtol=1e-12)
