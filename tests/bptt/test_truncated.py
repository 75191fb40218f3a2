"""Truncated backpropagation through time: exactly k2 steps back, at exactly every k1."""

import gc
import itertools
import math
import tracemalloc
import weakref
from collections import namedtuple
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinytensor as tt
from tinytensor import bptt
from tinytensor.autograd.node import node_of

SIZES = [(T, k1, k2) for T in (1, 2, 5, 7) for k1 in (1, 2, 3, 7, 9) for k2 in (1, 2, 3, 4, 8)]


@pytest.fixture(scope="module")
def torch() -> ModuleType:
    return pytest.importorskip("torch")


def increments(leaf: tt.Tensor, windows: Any) -> list[np.ndarray[Any, Any]]:
    """What each window adds to the gradient of a leaf."""
    added = []
    for _ in windows:
        added.append(np.zeros(leaf.shape) if leaf.grad is None else leaf.grad.numpy().copy())
        leaf.grad = None
    return added


# ---- the numbers ----


def test_the_pencil_check_of_a_forum():
    """x3 = w³ x0 with w = .2, x0 = .9: dx3/dw = 3 w² x0 = .108."""
    for k1, k2, expected in [
        (3, 3, [0.108]),
        (3, 2, [0.072]),
        (3, 1, [0.036]),
        (1, 3, [0.9, 0.36, 0.108]),
        (1, 2, [0.9, 0.36, 0.072]),
        (2, 3, [0.36, 0.108]),
    ]:
        w = tt.tensor(0.2, dtype=tt.float64, requires_grad=True)
        x0 = tt.tensor(0.9, dtype=tt.float64)

        def step(_: int, x: tt.Tensor, w: tt.Tensor = w) -> tuple[tt.Tensor, tt.Tensor]:
            return w * x, w * x

        def loss_fn(x: tt.Tensor, t: int, k1: int = k1) -> tt.Tensor | None:
            return x if t == 2 or t % k1 == k1 - 1 else None

        windows = bptt.truncated(step, range(3), x0, loss_fn, k1, k2)
        assert increments(w, windows) == pytest.approx(expected, abs=1e-15)


def untied_gradients(T: int) -> np.ndarray[Any, Any]:
    """G[t, k]: gradient of the loss at t for the weight as used in step k, by full backward."""
    weights = [tt.tensor(WEIGHT, requires_grad=True) for _ in range(T)]
    state: Any = start_state()
    gradients = np.zeros((T, T, *WEIGHT.shape))
    losses = []
    for t in range(T):
        output, state = two_part_step(INPUTS[t], state, weights[t])
        losses.append(square_loss(output, t))
    for t, loss in enumerate(losses):
        for k, g in enumerate(tt.autograd.grad(loss, weights[: t + 1], retain_graph=True)):
            gradients[t, k] = g.numpy()
    return gradients


WEIGHT = np.random.default_rng(1).standard_normal((3, 3)) / 2
INPUTS = tt.tensor(np.random.default_rng(2).standard_normal((8, 2, 3)))


def start_state() -> dict[str, Any]:
    return {"h": [tt.zeros(2, 3, dtype=tt.float64)], "c": (tt.ones(2, 3).double(), None, 0)}


def two_part_step(x: Any, state: Any, weight: tt.Tensor) -> tuple[tt.Tensor, Any]:
    """A step whose state is nested, with a count in it, and whose parts feed each other."""
    h, (c, _, count) = state["h"][0], state["c"]
    c = c * (h @ weight).sigmoid() + x
    h = (c @ weight).tanh()
    return h @ weight, {"h": [h], "c": (c, None, count + 1)}


def square_loss(output: tt.Tensor, t: int) -> tt.Tensor:
    return (output - t).square().sum()


@pytest.mark.parametrize(("T", "k1", "k2"), SIZES)
def test_each_window_adds_the_losses_of_k1_steps_through_the_weights_of_k2(T, k1, k2):
    gradients = untied_gradients(T)
    weight = tt.tensor(WEIGHT, requires_grad=True)
    windows = bptt.truncated(
        lambda x, state: two_part_step(x, state, weight),
        INPUTS[:T],
        start_state(),
        square_loss,
        k1,
        k2,
    )
    added = increments(weight, windows)
    stops = [min(start + k1, T) for start in range(0, T, k1)]
    assert len(added) == len(stops)
    for got, start, stop in zip(added, range(0, T, k1), stops, strict=True):
        expected = gradients[start:stop, max(0, stop - k2) : stop].sum((0, 1))
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("T", "k1", "k2"), SIZES)
def test_windows_say_where_they_lie_what_they_cost_and_how_they_end(T, k1, k2):
    weight = tt.tensor(WEIGHT, requires_grad=True)
    states, losses = [], []
    state: Any = start_state()
    for t in range(T):
        output, state = two_part_step(INPUTS[t], state, weight)
        states.append(state)
        losses.append(square_loss(output, t).item())
    stop = 0
    for window in bptt.truncated(
        lambda x, state: two_part_step(x, state, weight), INPUTS[:T], start_state(), square_loss,
        k1, k2,
    ):  # fmt: skip
        assert window.start == stop
        stop = min(stop + k1, T)
        assert window.stop == stop
        assert window.first == max(0, stop - k2)
        assert window.loss.item() == pytest.approx(sum(losses[window.start : stop]), rel=1e-14)
        assert window.state["h"][0].tolist() == states[stop - 1]["h"][0].tolist()
        assert window.state["c"][2] == stop
        assert window.loss.is_leaf and not window.state["c"][0].requires_grad
    assert stop == T


class Stack(tt.nn.Module):
    """Two LSTM cells and a readout: the loop that a learner writes."""

    def __init__(self) -> None:
        super().__init__()
        self.one = tt.nn.LSTMCell(3, 4).double()
        self.two = tt.nn.LSTMCell(4, 4).double()
        self.readout = tt.nn.Linear(4, 3).double()

    def forward(self, x: tt.Tensor, state: Any) -> tuple[tt.Tensor, Any]:
        one = self.one(x, state[0])
        two = self.two(one[0], state[1])
        return self.readout(two[0]), (one, two)


def torch_stack(torch: Any, model: Stack) -> list[Any]:
    modules = [torch.nn.LSTMCell(3, 4), torch.nn.LSTMCell(4, 4), torch.nn.Linear(4, 3)]
    for theirs, ours in zip(modules, (model.one, model.two, model.readout), strict=True):
        theirs.double()
        theirs.load_state_dict(
            {name: torch.from_numpy(p.numpy().copy()) for name, p in ours.state_dict().items()}
        )
    return modules


@pytest.mark.parametrize(("k1", "k2"), [(1, 1), (1, 4), (3, 3), (3, 5), (4, 10), (4, 2), (10, 10)])
def test_training_lstm_cells_equals_torch_with_each_window_cut_and_run_by_hand(torch, k1, k2):
    T = 10
    model = Stack()
    one, two, readout = torch_stack(torch, model)
    optimizer = tt.optim.SGD(model.parameters(), lr=0.1, momentum=0.5)
    parameters = [*one.parameters(), *two.parameters(), *readout.parameters()]
    their_optimizer = torch.optim.SGD(parameters, lr=0.1, momentum=0.5)
    rng = np.random.default_rng(0)
    xs, targets = rng.standard_normal((2, T, 2, 3))
    targets = tt.tensor(targets)

    def their_step(t: int, state: Any) -> tuple[Any, Any]:
        h, c = one(torch.from_numpy(xs[t]), state[0])
        state = ((h, c), two(h, state[1]))
        return readout(state[1][0]), state

    starts = {0: (None, None)}  # the states before each step, as the weights at the time made them
    stop = 0
    for window in bptt.truncated(
        model, tt.tensor(xs), (None, None), lambda y, t: (y - targets[t]).square().mean(), k1, k2
    ):
        stop = window.stop
        with torch.no_grad():
            for t in range(max(starts), window.first):
                starts[t + 1] = their_step(t, starts[t])[1]
        state = starts[window.first]
        loss = 0
        for t in range(window.first, stop):
            y, state = their_step(t, state)
            if t >= window.start:
                loss = loss + (y - torch.from_numpy(targets[t].numpy())).square().mean()
            starts[t + 1] = tuple((h.detach(), c.detach()) for h, c in state)
        if k2 >= k1:
            assert window.loss.item() == pytest.approx(loss.item(), rel=1e-12)
        their_optimizer.zero_grad()
        loss.backward()
        for ours, theirs in zip(model.parameters(), parameters, strict=True):
            np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), rtol=0, atol=1e-13)
        optimizer.step()
        optimizer.zero_grad()
        their_optimizer.step()
    assert stop == T
    for ours, theirs in zip(model.parameters(), parameters, strict=True):
        np.testing.assert_allclose(
            ours.detach().numpy(), theirs.detach().numpy(), rtol=0, atol=1e-12
        )


@pytest.mark.parametrize(("k1", "k2"), [(1, 1), (1, 3), (2, 3), (3, 2)])
def test_a_layer_over_stretches_of_time_equals_single_steps(k1, k2):
    size = 4
    lstm = tt.nn.LSTM(3, 5, num_layers=2).double()
    xs = tt.randn(6 * size, 2, 3, dtype=tt.float64)
    stretches = bptt.truncated(
        lstm, xs.split(size), None, lambda y, n: y.square().sum() * (n + 1), k1, k2
    )
    expected = []
    for window in stretches:
        expected.append((window.loss.item(), [p.grad.numpy().copy() for p in lstm.parameters()]))
        lstm.zero_grad()
    steps = bptt.truncated(
        lstm, xs.split(1), None, lambda y, t: y.square().sum() * (t // size + 1),
        k1 * size, k2 * size,
    )  # fmt: skip
    for window, (loss, gradients) in zip(steps, expected, strict=True):
        assert window.loss.item() == pytest.approx(loss, rel=1e-12)
        for parameter, gradient in zip(lstm.parameters(), gradients, strict=True):
            np.testing.assert_allclose(parameter.grad.numpy(), gradient, rtol=1e-11, atol=1e-12)
        lstm.zero_grad()


def test_one_window_over_all_steps_is_the_full_gradient():
    cell = tt.nn.LSTMCell(3, 4).double()
    xs = tt.randn(9, 2, 3, dtype=tt.float64)

    def step(x: tt.Tensor, state: Any) -> tuple[tt.Tensor, Any]:
        state = cell(x, state)
        return state[0], state

    (_,) = bptt.truncated(step, xs, None, lambda h, t: h.sum(), 9, 9)
    got = [p.grad.numpy().copy() for p in cell.parameters()]
    cell.zero_grad()
    state = None
    total = 0
    for x in xs:
        h, state = step(x, state)
        total = total + h.sum()
    total.backward()
    for parameter, gradient in zip(cell.parameters(), got, strict=True):
        np.testing.assert_allclose(gradient, parameter.grad.numpy(), rtol=1e-12, atol=1e-14)


# ---- what is run, and how often ----


@pytest.mark.parametrize("kind", [list, iter], ids=["of known length", "of unknown length"])
@pytest.mark.parametrize(
    ("k1", "k2", "expected"),
    [
        (2, 2, ["0 1", "2 3", "3 4"]),
        (5, 5, ["0 1 2 3 4"]),
        (2, 3, ["0 1", "1 2 3", "2 3 4"]),
        (1, 3, ["0", "0 1", "0 1 2", "1 2 3", "2 3 4"]),
        (3, 1, ["0* 1* 2", "3* 4"]),
        (9, 2, ["0* 1* 2* 3 4"]),
    ],
)
def test_each_window_runs_its_k2_steps_with_a_graph_and_what_lies_between_without(
    k1, k2, expected, kind
):
    w = tt.ones(1, requires_grad=True)
    runs: list[str] = []

    def step(x: int, state: tt.Tensor) -> tuple[tt.Tensor, tt.Tensor]:
        runs.append(f"{x}" if tt.is_grad_enabled() else f"{x}*")
        return w * state, w * state

    got = []
    for _ in bptt.truncated(step, kind(range(5)), tt.ones(1), lambda y, t: y.sum(), k1, k2):
        got.append(" ".join(runs))
        runs.clear()
    assert got == expected
    assert tt.is_grad_enabled()


@pytest.mark.parametrize("draws", [1, 3])
def test_a_step_that_is_run_again_draws_the_same_random_numbers(draws):
    w = tt.ones(4, requires_grad=True)
    seen: dict[int, list[Any]] = {}

    def step(t: int, h: tt.Tensor) -> tuple[tt.Tensor, tt.Tensor]:
        for _ in range(draws if t % 2 == 0 else 0):
            h = tt.nn.functional.dropout(h * w + 1, 0.5)
        seen.setdefault(t, []).append(h.tolist())
        return h, h

    def loss_fn(h: tt.Tensor, t: int) -> tt.Tensor:
        return (h * tt.rand(4)).sum()

    h = tt.ones(4)
    losses = []
    for t in range(12):
        output, h = step(t, h)
        losses.append(loss_fn(output, t).item())
    after = tt.rand(1).item()
    seen.clear()

    tt.manual_seed(0)
    windows = bptt.truncated(step, range(12), tt.ones(4), loss_fn, 2, 5)
    assert [window.loss.item() for window in windows] == pytest.approx(
        [losses[t] + losses[t + 1] for t in range(0, 12, 2)], rel=1e-6
    )
    assert tt.rand(1).item() == after
    for runs in seen.values():
        assert all(run == runs[0] for run in runs)
    assert len(seen[5]) == 3


def test_draws_between_windows_change_nothing_that_is_run_again():
    w = tt.ones(4, requires_grad=True)
    seen: dict[int, list[Any]] = {}

    def step(t: int, h: tt.Tensor) -> tuple[tt.Tensor, tt.Tensor]:
        h = h * w + tt.rand(4)
        seen.setdefault(t, []).append(h.tolist())
        return h, h

    for _ in bptt.truncated(step, range(6), tt.zeros(4), lambda h, t: h.sum(), 1, 3):
        tt.rand(7)
    for runs in seen.values():
        assert all(run == runs[0] for run in runs)
    assert len({str(runs[0]) for runs in seen.values()}) == 6


def test_random_numbers_go_on_after_an_error_in_a_step_that_is_run_again():
    again = False

    def step(t: int, h: tt.Tensor) -> tuple[tt.Tensor, tt.Tensor]:
        h = h * 2 + tt.rand(1)
        if again:
            raise KeyError("planted")
        return h, h

    windows = bptt.truncated(step, range(4), tt.ones(1).requires_grad_(), lambda h, t: h, 1, 3)
    next(windows)
    again = True
    state = tt.get_rng_state().tolist()
    with pytest.raises(KeyError):
        next(windows)
    assert tt.get_rng_state().tolist() == state


def test_a_state_written_in_place_is_run_again_from_what_it_was():
    w = tt.ones(1, requires_grad=True)
    counts = []

    def step(t: int, state: Any) -> tuple[Any, Any]:
        h, count = state
        count.add_(1)
        counts.append((t, count.item()))
        return h * w, (h * w, count)

    start = (tt.ones(1), tt.zeros(1))
    for window in bptt.truncated(step, range(5), start, lambda h, t: h.sum(), 1, 3):
        window.state[1].fill_(100.0)
    assert counts == [(t, t + 1) for t, _ in counts]
    assert len(counts) == 1 + 2 + 3 + 3 + 3


def test_weights_may_change_between_windows_and_the_steps_run_again_see_the_new_ones():
    w = tt.tensor([1.0], requires_grad=True)

    def step(_: int, h: tt.Tensor) -> tuple[tt.Tensor, tt.Tensor]:
        return h * w, h * w

    windows = bptt.truncated(step, range(3), tt.ones(1), lambda h, t: h.sum(), 1, 2)
    next(windows)
    assert w.grad.tolist() == [1]
    with tt.no_grad():
        w.fill_(3.0)
    w.grad = None
    assert next(windows).loss.item() == 9  # from the start with 3, 3
    assert w.grad.tolist() == [6]
    with tt.no_grad():
        w.fill_(5.0)
    w.grad = None
    assert next(windows).loss.item() == 75  # from 3 with 5, 5
    assert w.grad.tolist() == [30]


# ---- start state, inputs, losses ----


@pytest.mark.parametrize("k2", [2, 4, 9])
def test_the_start_state_gets_the_gradient_of_the_windows_that_reach_it(k2):
    w = tt.tensor(0.5, dtype=tt.float64, requires_grad=True)
    seed = tt.tensor(2.0, dtype=tt.float64, requires_grad=True)

    def step(_: int, h: tt.Tensor) -> tuple[tt.Tensor, tt.Tensor]:
        return h * w, h * w

    for start, factor in ((seed, 1), (seed.square(), 4)):
        windows = bptt.truncated(step, range(6), start, lambda h, t: h, 2, k2)
        expected = [0.5**t + 0.5 ** (t - 1) if t <= k2 else 0 for t in (2, 4, 6)]
        assert increments(seed, windows) == pytest.approx([g * factor for g in expected])


@pytest.mark.parametrize("k1", [1, 4])
def test_a_state_that_is_only_passed_on_gets_no_gradient_from_beyond_the_window(k1):
    style = tt.ones(1, requires_grad=True)
    w = tt.ones(1, requires_grad=True)

    def step(_: int, style: tt.Tensor) -> tuple[tt.Tensor, tt.Tensor]:
        return style * w, style

    windows = bptt.truncated(step, range(4), style, lambda y, t: y.sum(), k1, 1)
    assert [g.item() for g in increments(style, windows)] == ([1, 0, 0, 0] if k1 == 1 else [0])
    assert w.grad.tolist() == ([4] if k1 == 1 else [1])


def test_a_windows_state_is_a_copy_to_do_with_as_one_likes():
    w = tt.ones(1, requires_grad=True)
    losses = []
    for window in bptt.truncated(
        lambda x, h: (h * w, h * w), range(4), tt.ones(1), lambda h, t: h.sum(), 1, 1
    ):
        losses.append(window.loss.item())
        window.state.zero_()
    assert losses == [1, 1, 1, 1]


@pytest.mark.parametrize(("k1", "k2"), [(2, 2), (1, 3), (3, 1)])
def test_inputs_computed_beforehand_get_their_gradient(k1, k2):
    T = 6
    embedding = tt.randn(5, 3, dtype=tt.float64, requires_grad=True)
    tokens = tt.tensor([0, 1, 2, 3, 1, 0])
    w = tt.randn(3, 3, dtype=tt.float64)

    def step(x: tt.Tensor, h: tt.Tensor) -> tuple[tt.Tensor, tt.Tensor]:
        h = (h @ w + x).tanh()
        return h, h

    def inner_step(token: tt.Tensor, h: tt.Tensor) -> tuple[tt.Tensor, tt.Tensor]:
        return step(embedding[token], h)

    start = tt.zeros(3, dtype=tt.float64)
    outside = increments(
        embedding,
        bptt.truncated(step, embedding[tokens], start, lambda h, t: h.sum(), k1, k2),
    )
    inside = increments(
        embedding, bptt.truncated(inner_step, tokens, start, lambda h, t: h.sum(), k1, k2)
    )
    assert len(outside) == math.ceil(T / k1)
    np.testing.assert_allclose(outside, inside, rtol=1e-12, atol=1e-14)


def test_a_window_without_a_loss_adds_nothing():
    w = tt.ones(1, requires_grad=True)

    def step(_: int, h: tt.Tensor) -> tuple[tt.Tensor, tt.Tensor]:
        return h * w, h * w

    windows = bptt.truncated(
        step, range(4), tt.ones(1), lambda h, t: h.sum() if t in (1, 2) else None, 1, 2
    )
    assert [None if w.loss is None else w.loss.item() for w in windows] == [None, 1, 1, None]
    assert w.grad.tolist() == [4]


def test_losses_of_steps_before_the_window_count_but_flow_nowhere():
    w = tt.ones(1, requires_grad=True)

    def step(_: int, h: tt.Tensor) -> tuple[tt.Tensor, tt.Tensor]:
        return h * w, h * w

    (window,) = bptt.truncated(
        step, range(4), tt.ones(1), lambda h, t: h.sum() if t == 1 else None, 4, 2
    )
    assert window.loss.item() == 1
    assert w.grad is None


def test_a_loss_outside_the_graph_is_an_error_and_not_a_gradient_of_zero():
    w = tt.ones(1, requires_grad=True)
    windows = bptt.truncated(
        lambda x, h: (h * w, h), range(4), tt.ones(1), lambda h, t: h.detach().sum(), 4, 2
    )
    with pytest.raises(RuntimeError, match="backward"):
        next(windows)


def test_no_inputs_give_no_windows():
    assert list(bptt.truncated(None, [], None, None, 1, 1)) == []


Pair = namedtuple("Pair", "h c")


def test_a_named_tuple_stays_one():
    w = tt.ones(1, requires_grad=True)

    def step(_: int, state: Pair) -> tuple[tt.Tensor, Pair]:
        return state.h * w, Pair(state.h * w, state.c)

    *_, last = bptt.truncated(step, range(3), Pair(tt.ones(1), "text"), lambda h, t: h.sum(), 1, 2)
    assert type(last.state) is Pair
    assert last.state.c == "text"


# ---- memory ----


def test_the_graph_of_a_window_is_gone_when_the_loop_gets_it():
    cell = tt.nn.LSTMCell(2, 3)
    held: list[Any] = []

    def step(x: tt.Tensor, state: Any) -> tuple[tt.Tensor, Any]:
        state = cell(x, state)
        held.append(weakref.ref(node_of(state[0].grad_fn)))
        return state[0], state

    gc.disable()
    try:
        for _ in bptt.truncated(step, tt.randn(9, 1, 2), None, lambda h, t: h.sum(), 2, 5):
            assert not any(node() for node in held)
    finally:
        gc.enable()
    assert len(held) == 2 + 4 + 5 + 5 + 5


@pytest.mark.parametrize(("k1", "k2"), [(5, 5), (2, 10), (10, 3)])
def test_memory_is_bounded_by_the_window_and_not_by_the_sequence(k1, k2):
    cell = tt.nn.LSTMCell(4, 64)

    def step(x: tt.Tensor, state: Any) -> tuple[tt.Tensor, Any]:
        state = cell(x, state)
        return state[0], state

    def peak(T: int) -> int:
        xs = (tt.ones(32, 4) for _ in range(T))
        tracemalloc.start()
        try:
            for _ in bptt.truncated(step, xs, None, lambda h, t: h.square().sum(), k1, k2):
                cell.zero_grad()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(2 * k2)
    assert peak(60) < 1.1 * peak(20)


def test_an_endless_sequence_is_taken_as_it_comes():
    w = tt.ones(1, requires_grad=True)
    taken = []

    def endless() -> Any:
        for t in itertools.count():
            taken.append(t)
            yield t

    windows = bptt.truncated(
        lambda x, h: (h * w, h * w), endless(), tt.ones(1), lambda h, t: h.sum(), 2, 3
    )
    for window in itertools.islice(windows, 4):
        assert len(taken) == window.stop


# ---- errors ----


@pytest.mark.parametrize(("k1", "k2", "name"), [(0, 1, "k1"), (1, 0, "k2"), (-3, 1, "k1")])
def test_a_window_of_no_steps_is_refused_at_once(k1, k2, name):
    with pytest.raises(ValueError, match=f"truncated: expected {name} >= 1, got"):
        bptt.truncated(None, [], None, None, k1, k2)


def test_steps_are_counted_in_whole_numbers():
    with pytest.raises(TypeError, match="float"):
        bptt.truncated(None, [], None, None, 1.5, 2)


@pytest.mark.parametrize("state", [np.zeros(2), [object()], {"h": {1, 2}}])
def test_a_state_that_could_not_be_cut_is_refused_at_once(state):
    with pytest.raises(TypeError, match=r"a state of Tensors in tuples, lists and dicts, got"):
        bptt.truncated(None, [1], state, None, 1, 1)


@pytest.mark.parametrize(
    ("result", "what"), [(tt.ones(2, 3), "Tensor"), ((1, 2, 3), "3 values"), (None, "NoneType")]
)
def test_a_step_that_gives_no_pair_is_told_what_to_return(result, what):
    windows = bptt.truncated(lambda x, state: result, [1], None, lambda y, t: y, 1, 1)
    with pytest.raises(TypeError, match=rf"step to return \(output, state\), got {what}; return"):
        next(windows)


def test_a_loss_that_is_no_tensor_is_refused():
    windows = bptt.truncated(lambda x, state: (1, state), [1], None, lambda y, t: 0.5, 1, 1)
    with pytest.raises(TypeError, match="loss_fn to return a scalar Tensor or None, got float"):
        next(windows)
