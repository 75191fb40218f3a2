"""One step back, against the derivative of one step forward."""

import numpy as np
import pytest

import tinytensor as tt
from tinytensor.bptt.step_back import norms, sources, step_back

from .hand_made import CELLS, ROLES, VARIANTS, HandMade


def one_step(made, t, n):
    """The step t of sequence n by itself: its state before as leaves, its state after."""
    scan = made.scan
    x = scan.padded(scan.x)[t, n]
    starts = [scan.padded(rows)[t, n] for rows in scan.starts()]
    before = tuple(tt.tensor(start[None], requires_grad=True) for start in starts)
    roles = ROLES[: 5 if made.kind == "lstm" else 4]
    weights = {role: tt.tensor(w, requires_grad=True) for role, w in made.weights.items()}
    factors = None if made.factors is None else tt.tensor(made.factors[n : n + 1])
    own = [*(weights.get(role) for role in roles), factors]
    after, gates = CELLS[made.kind](tt.tensor(x[None]), before, own)
    return before, weights, after, gates


@pytest.mark.parametrize("name", VARIANTS)
def test_a_step_back_is_the_transposed_derivative_of_the_step(name):
    made = HandMade(**VARIANTS[name])
    maps = step_back(made.scan)
    length, batch = made.scan.length, made.scan.steps.batch
    several = 2  # gradients of two sources at once, on an axis of their own
    dh = made.numbers((several, length, batch, made.scan.h.shape[1]))
    dc = None if made.scan.c is None else made.numbers((several, length, batch, 4))
    found = maps(dh, dc)
    for source, k, n in np.ndindex(several, length, batch):
        t = length - 1 - k if made.reverse else k
        got = [part[source, k, n] for part in found[:4] if part is not None]
        if t >= made.lengths[n]:
            assert not np.concatenate(got).any()
            continue
        before, weights, after, _ = one_step(made, t, n)
        entering = [tt.tensor(part[source, k, n]) for part in (dh, dc) if part is not None]
        number = sum((part[0] * g).sum() for part, g in zip(after, entering, strict=True))
        leaves = [*before, weights["bias_ih"], weights["bias_hh"]]
        for mine, theirs in zip(
            got, tt.autograd.grad(number, leaves, retain_graph=True), strict=True
        ):
            np.testing.assert_allclose(mine, theirs.numpy().ravel(), rtol=1e-12, atol=1e-14)
        if found.cell is not None:
            (cell,) = tt.autograd.grad(number, after[1:])
            np.testing.assert_allclose(found.cell[source, k, n], cell.numpy()[0], rtol=1e-12)


@pytest.mark.parametrize("name", ["lstm projected", "gru reverse", "rnn tanh"])
def test_a_step_back_agrees_with_central_differences(name):
    made = HandMade(**VARIANTS[name])
    t, n = 1, 1
    before, weights, after, _ = one_step(made, t, n)
    gradients = [made.numbers(part.shape[1:]) for part in after]
    k = made.scan.length - 1 - t if made.reverse else t
    back = step_back(made.scan)[k, n](*gradients)
    roles = ROLES[: 5 if made.kind == "lstm" else 4]
    factors = None if made.factors is None else tt.tensor(made.factors[n : n + 1])
    own = [*(weights.get(role) for role in roles), factors]
    x = tt.tensor(made.scan.padded(made.scan.x)[t, n][None])

    def value(*state):
        with tt.no_grad():
            after, _ = CELLS[made.kind](x, tuple(map(tt.tensor, state)), own)
        return sum(float(g @ part.numpy()[0]) for g, part in zip(gradients, after, strict=True))

    state = [part.detach().numpy() for part in before]
    for part, got in zip(state, back, strict=False):
        for j in range(part.shape[1]):
            kept = part[0, j]
            part[0, j] = kept + 1e-5
            above = value(*state)
            part[0, j] = kept - 1e-5
            below = value(*state)
            part[0, j] = kept
            assert got[j] == pytest.approx((above - below) / 2e-5, rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("name", ["lstm all enters", "gru all enters"])
def test_what_enters_at_the_gates_goes_back_too(name):
    made = HandMade(**VARIANTS[name])
    entering = sources(made.scan)
    found = step_back(made.scan)(*entering)
    for t, n in [(t, n) for n, steps in enumerate(made.lengths) for t in range(steps)]:
        own = made.by_weight[n][t][t]
        np.testing.assert_allclose(found.da[t, n], own["bias_ih"], rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(found.du[t, n], own["bias_hh"], rtol=1e-12, atol=1e-14)
        if t > 0:
            before = made.by_state[n][t][t - 1]
            np.testing.assert_allclose(found.dh[t, n], before["h"], rtol=1e-12, atol=1e-14)


def test_nothing_enters_before_the_backward_pass():
    made = HandMade(**VARIANTS["lstm"])
    made.scan.dy = None
    with pytest.raises(RuntimeError, match="backward"):
        sources(made.scan)


def test_a_norm_is_right_where_squares_are_not():
    for size in (0.0, 1e-300, 1.0, 1e300):
        np.testing.assert_allclose(norms(size * np.array([[3.0, 4.0]])), [5 * size], rtol=1e-14)
    assert norms(np.array([np.inf, 1.0])) == np.inf
    assert np.isnan(norms(np.array([np.nan, 1.0])))
