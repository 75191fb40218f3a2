"""A learner's own loop over a cell is recorded as a layer is; each call is a step."""

import contextlib

import numpy as np
import pytest

import tinytensor as tt
from tinytensor import bptt, nn

from . import untied
from .test_record import STATES, H, check_view, check_weight, close

T, N, INPUTS = 5, 3, 2

CELLS = {
    "lstm": (nn.LSTMCell, nn.LSTM, {}),
    "gru": (nn.GRUCell, nn.GRU, {}),
    "rnn": (nn.RNNCell, nn.RNN, {}),
    "rnn-relu": (nn.RNNCell, nn.RNN, {"nonlinearity": "relu"}),
    "lstm-without-bias": (nn.LSTMCell, nn.LSTM, {"bias": False}),
}
FORMS = ["kernel", "unrolled", "create-graph"]


class Loop:
    """A loop over a cell, with a loss of its states at some steps; the same for brute force."""

    def __init__(self, kind, rng, read=range(T)):
        cell_class, layer_class, options = CELLS[kind]
        self.cell = cell_class(INPUTS, H, **options).double()
        self.layer = layer_class(INPUTS, H, **options).double()
        for name, parameter in self.cell.named_parameters():
            getattr(self.layer, f"{name}_l0").data.copy_(parameter.data)
        self.mode = self.layer.mode
        self.parts = STATES[self.mode]
        self.x = rng.standard_normal((T, N, INPUTS))
        self.states = [rng.standard_normal((1, N, H)) for _ in self.parts]
        self.weights = rng.standard_normal((2, len(self.parts), T, N, H))
        self.read = read

    def step(self, t, state):
        after = self.cell(tt.tensor(self.x[t]), state)
        return after, after if isinstance(after, tuple) else (after,)

    def loss_at(self, t, parts, n=slice(None)):
        loss = 0.0
        for k, part in enumerate(parts):
            linear, square = (tt.tensor(each[k, t, n]) for each in self.weights)
            loss = loss + (part * linear).sum() + (part * part * square).sum()
        return loss

    def loss(self):
        given = [tt.tensor(part[0]) for part in self.states]
        state = given[0] if len(given) == 1 else tuple(given)
        total = 0.0
        for t in range(T):
            state, parts = self.step(t, state)
            if t in self.read:
                total = total + self.loss_at(t, parts)
        return total

    def by_brute_force(self):
        (scan,), _ = untied.run(self.layer, self.x, self.states, [T] * N)
        total = 0.0
        for n, steps in enumerate(scan.steps):
            for t in self.read:
                parts = [steps[t].outside[name] for name in self.parts]
                total = total + self.loss_at(t, parts, n)
        total.backward()
        return scan

    def check(self, view):
        scan = self.by_brute_force()
        check_view(view, scan, self.mode)
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            if getattr(self.cell, name) is not None:
                check_weight(view, scan, name, self.mode)
                grad = getattr(self.cell, name).grad.detach().numpy()
                close(view.weight_grad_steps(name).sum(0), grad)


def mode_of(form):
    return tt.unrolled() if form == "unrolled" else contextlib.nullcontext()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", CELLS)
def test_a_loop_is_what_brute_force_finds(kind, form, rng):
    loop = Loop(kind, rng)
    with mode_of(form), bptt.record(loop.cell) as rec:
        loop.loss().backward(create_graph=form == "create-graph")
    assert len(rec.calls("")) == 1
    loop.check(rec[""].layer(0))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", CELLS)
def test_a_loss_of_one_step_enters_there_alone(kind, form, rng):
    loop = Loop(kind, rng, read=[3])
    with mode_of(form), bptt.record(loop.cell) as rec:
        loop.loss().backward(create_graph=form == "create-graph")
    view = rec[""].layer(0)
    loop.check(view)
    for name in loop.parts:
        entering = getattr(view, f"{name}_grad_immediate")
        assert entering[3].all()
        assert not entering[:3].any()
        assert not entering[4].any()


def test_cells_of_a_stack_are_recorded_apart(rng):
    class Stack(nn.Module):
        def __init__(self):
            super().__init__()
            self.cells = nn.ModuleList([nn.LSTMCell(INPUTS, H), nn.GRUCell(H, H)])

        def forward(self, x):
            state, h = None, None
            for x_t in x:
                state = self.cells[0](x_t, state)
                h = self.cells[1](state[0], h)
            return h

    model = Stack()
    with bptt.record(model) as rec:
        model(tt.randn(T, N, INPUTS)).sum().backward()
    assert rec.paths == ["cells.0", "cells.1"]
    for path in rec.paths:
        (call,) = rec.calls(path)
        assert call.layer(0).h.shape == (T, N, H)
        for name, parameter in model.get_submodule(path).named_parameters():
            parts = call.weight_grad_steps(name)
            np.testing.assert_allclose(parts.sum(0), parameter.grad.numpy(), rtol=1e-4, atol=1e-6)


def test_two_loops_side_by_side_are_two_calls(rng):
    cell = nn.GRUCell(INPUTS, H)
    with bptt.record(cell) as rec:
        h, k = None, None
        for _ in range(T):
            h = cell(tt.randn(N, INPUTS), h)
            k = cell(tt.randn(N, INPUTS), k)
        (h.sum() + k.sum()).backward()
    assert [call.layer(0).h.shape[0] for call in rec.calls("")] == [T, T]
    np.testing.assert_array_equal(rec.calls("")[0].layer(0).h[-1], h.detach().numpy())
    np.testing.assert_array_equal(rec.calls("")[1].layer(0).h[-1], k.detach().numpy())


CUTS = {
    "detach": lambda h: h.detach(),
    "detach in place": lambda h: h.detach_(),
    "times a mask": lambda h: h * 1.0,
    "another state": lambda h: tt.zeros(N, H),
}


@pytest.mark.parametrize("cut", CUTS)
def test_a_step_from_another_state_begins_anew(cut):
    cell = nn.RNNCell(INPUTS, H)
    with bptt.record(cell) as rec:
        h = None
        for t in range(T):
            h = cell(tt.randn(N, INPUTS), h)
            if t == 1:
                h = CUTS[cut](h)
        h.sum().backward()
    first, second = rec.calls("")
    assert first.layer(0).h.shape[0] == 2
    assert second.layer(0).h.shape[0] == 3
    np.testing.assert_allclose(
        second.weight_grad_steps("weight_hh").sum(0)
        + (first.weight_grad_steps("weight_hh").sum(0) if cut == "times a mask" else 0),
        cell.weight_hh.grad.numpy(),
        rtol=1e-5,
        atol=1e-6,
    )


def test_what_is_written_into_a_state_is_not_in_the_step_that_made_it():
    cell = nn.RNNCell(INPUTS, H)
    with tt.no_grad(), bptt.record(cell) as rec:
        first = cell(tt.randn(N, INPUTS))
        before = first.numpy().copy()
        first.zero_()
        cell(tt.randn(N, INPUTS), first)
    one, other = rec.calls("")
    np.testing.assert_array_equal(one.layer(0).h[0], before)
    assert not other.layer(0).scan.h0.any()


def test_a_change_of_the_weights_begins_anew_and_each_part_has_its_own():
    cell = nn.RNNCell(INPUTS, H)
    before = cell.weight_hh.detach().numpy().copy()
    with tt.no_grad(), bptt.record(cell) as rec:
        h = cell(tt.randn(N, INPUTS))
        cell.weight_hh.mul_(2.0)
        cell(tt.randn(N, INPUTS), h)
    one, other = rec.calls("")
    np.testing.assert_array_equal(one.layer(0).scan.weights["weight_hh"], before)
    np.testing.assert_array_equal(other.layer(0).scan.weights["weight_hh"], 2 * before)


def test_weights_that_are_computed_for_each_step_are_one_loop():
    cell = nn.GRUCell(INPUTS, H)
    root = cell.weight_hh.detach().clone().requires_grad_()
    del cell.weight_hh
    with bptt.record(cell) as rec:
        h = None
        for _ in range(T):
            cell.weight_hh = root * 2.0
            h = cell(tt.randn(N, INPUTS), h)
        h.sum().backward()
    (call,) = rec.calls("")
    parts = call.weight_grad_steps("weight_hh")
    assert parts.shape == (T, 3 * H, H)
    np.testing.assert_allclose(2 * parts.sum(0), root.grad.numpy(), rtol=1e-4, atol=1e-6)


def test_without_a_batch_there_is_a_batch_of_one():
    cell = nn.LSTMCell(INPUTS, H)
    with bptt.record(cell) as rec:
        state = None
        for _ in range(T):
            state = cell(tt.randn(INPUTS), state)
        state[1].sum().backward()
    view = rec[""].layer(0)
    assert view.c.shape == (T, 1, H)
    assert view.c_grad_immediate[-1].all()
    np.testing.assert_allclose(
        view.weight_grad_steps("weight_ih").sum(0), cell.weight_ih.grad.numpy(), rtol=1e-5
    )


def test_several_backward_passes_add_up(rng):
    loop = Loop("lstm", rng)
    with bptt.record(loop.cell) as rec:
        loss = loop.loss()
        loss.backward(retain_graph=True)
        once = rec[""].layer(0)
        loss.backward()
    twice = rec[""].layer(0)
    for name in ("h_grad", "c_grad", "i_grad", "h_grad_immediate"):
        close(getattr(twice, name), 2 * getattr(once, name))
    grad = loop.cell.weight_hh.grad.numpy()
    close(twice.weight_grad_steps("weight_hh").sum(0), grad)


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
def test_a_layer_of_cells_of_ones_own_is_loops(kind):
    cell_class = CELLS[kind][0]
    layer = nn.Recurrent(cell_class, INPUTS, H, bidirectional=True)
    with bptt.record(layer) as rec:
        y, _ = layer(tt.randn(T, N, INPUTS))
        y.sum().backward()
    assert rec.paths == ["cell_l0", "cell_l0_reverse"]
    forward, reverse = (rec[path].layer(0).h for path in rec.paths)
    np.testing.assert_array_equal(forward, y.detach().numpy()[..., :H])
    # The calls of the reverse direction are its steps, so they go from the end of time.
    np.testing.assert_array_equal(reverse[::-1], y.detach().numpy()[..., H:])


def test_what_was_recorded_stays_when_inputs_states_and_gradients_are_written_into():
    cell = nn.LSTMCell(INPUTS, H)
    xs, coefficients = list(tt.randn(T, N, INPUTS)), tt.randn(N, H)
    first = tt.randn(N, H), tt.randn(N, H)
    with bptt.record(cell) as rec:
        state = first
        for x in xs:
            state = cell(x, state)
        state[0].backward(coefficients)
    view = rec[""].layer(0)
    with tt.no_grad():
        for tensor in (*xs, *first, *state, coefficients, *cell.parameters()):
            tensor.zero_()
    after = rec[""].layer(0)
    for name in ("h", "c", "h_grad", "c_grad", "i_grad", "h_grad_immediate"):
        np.testing.assert_array_equal(getattr(after, name), getattr(view, name))
        assert getattr(after, name).any()
    for name in view.scan.names:
        parts = view.weight_grad_steps(name)
        np.testing.assert_array_equal(after.weight_grad_steps(name), parts)
        np.testing.assert_allclose(
            parts.sum(0), getattr(cell, name).grad.numpy(), rtol=1e-4, atol=1e-6
        )


def test_a_cell_that_goes_on_from_another_with_the_same_weights_has_a_loop_of_its_own():
    cells = nn.ModuleList([nn.GRUCell(INPUTS, H), nn.GRUCell(INPUTS, H)])
    for name, parameter in cells[0].named_parameters():
        setattr(cells[1], name, parameter)
    with bptt.record(cells) as rec:
        h = cells[0](tt.randn(N, INPUTS))
        cells[1](tt.randn(N, INPUTS), h).sum().backward()
    assert rec.paths == ["0", "1"]
    np.testing.assert_array_equal(rec["1"].layer(0).scan.h0, h.detach().numpy())
