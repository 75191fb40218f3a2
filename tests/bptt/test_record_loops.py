"""Which calls of a cell are one loop, and what of a loop is made again when the record is read."""

import gc
import warnings
import weakref

import numpy as np
import pytest

import tinytensor as tt
from tinytensor import bptt, nn
from tinytensor.utils.checkpoint import checkpoint

from .test_record import H
from .test_record_cells import CELLS, INPUTS, N, T, mode_of


def test_a_loop_does_not_go_on_from_one_block_to_another():
    cell = nn.GRUCell(INPUTS, H)
    rec = bptt.record(cell)
    with rec:
        states = [cell(tt.randn(N, INPUTS)) for _ in range(2)]
    with rec:
        for h in states:
            cell(tt.randn(N, INPUTS), h)
    assert len(rec.calls("")) == 4


def test_a_step_from_a_copy_of_a_state_ends_no_loop():
    cell = nn.GRUCell(INPUTS, H)
    with bptt.record(cell) as rec:
        h = cell(tt.randn(N, INPUTS))
        k = cell(tt.randn(N, INPUTS))
        for _ in range(2):
            cell(tt.randn(N, INPUTS), h.detach())
            cell(tt.randn(N, INPUTS), k.detach())
        h = cell(tt.randn(N, INPUTS), h)
        k = cell(tt.randn(N, INPUTS), k)
    assert [call.layer(0).scan.length for call in rec.calls("")] == [2, 2, 1, 1, 1, 1]
    np.testing.assert_array_equal(rec.calls("")[0].layer(0).h[-1], h.detach().numpy())
    np.testing.assert_array_equal(rec.calls("")[1].layer(0).h[-1], k.detach().numpy())


def test_a_detached_state_that_requires_grad_begins_anew():
    cell = nn.GRUCell(INPUTS, H)
    with bptt.record(cell) as rec:
        h = cell(tt.randn(N, INPUTS)).detach().requires_grad_()
        cell(tt.randn(N, INPUTS), h).sum().backward()
    assert len(rec.calls("")) == 2


def test_a_transposed_state_begins_anew_without_a_graph_too():
    cell = nn.RNNCell(INPUTS, N)
    with tt.no_grad(), bptt.record(cell) as rec:
        h = cell(tt.randn(N, INPUTS))
        cell(tt.randn(N, INPUTS), h.t())
    np.testing.assert_array_equal(rec[""].layer(0).scan.h0, h.numpy().T)


def test_another_nonlinearity_begins_anew():
    cell = nn.RNNCell(INPUTS, H)
    with bptt.record(cell) as rec:
        h = cell(tt.randn(N, INPUTS))
        cell.nonlinearity = "relu"
        h = cell(tt.randn(N, INPUTS), h)
    assert [call.layer(0).scan.kind for call in rec.calls("")] == ["rnn_tanh", "rnn_relu"]
    np.testing.assert_array_equal(rec[""].layer(0).h[0], h.detach().numpy())


def test_the_gates_that_are_made_again_are_those_that_made_the_states():
    cell = nn.LSTMCell(INPUTS, H)
    with bptt.record(cell) as rec:
        state = None
        for _ in range(T):
            state = cell(tt.randn(N, INPUTS), state)
    view = rec[""].layer(0)
    np.testing.assert_array_equal(view.o * np.tanh(view.c), view.h)
    np.testing.assert_array_equal(view.f[1:] * view.c[:-1] + view.i[1:] * view.g[1:], view.c[1:])


@pytest.mark.parametrize("form", ["kernel", "unrolled"])
@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
def test_weights_changed_behind_the_back_of_a_loop_are_told(kind, form):
    cell = CELLS[kind][0](INPUTS, H)
    with mode_of(form), bptt.record(cell) as rec:
        state = None
        for t in range(T):
            if t == 3:
                cell.weight_ih.data.add_(0.01)
            state = cell(tt.randn(N, INPUTS), state)
    with pytest.warns(UserWarning, match="weights of a loop .* others at step 3"):
        rec[""].layer(0)


@pytest.mark.parametrize("kind", CELLS)
def test_nothing_is_told_of_a_wild_loop_in_primitives(kind):
    cell_class, _, options = CELLS[kind]
    cell = cell_class(INPUTS, 32, **options)
    with tt.no_grad():
        for parameter in cell.parameters():
            parameter.mul_(10)
    with tt.unrolled(), bptt.record(cell) as rec, warnings.catch_warnings():
        warnings.simplefilter("error")
        state = None
        for _ in range(100):
            state = cell(tt.randn(N, INPUTS) * 10, state)
        assert rec[""].layer(0).h.any()


def test_a_cell_run_again_by_a_checkpoint_has_its_gradients_there():
    cell = nn.LSTMCell(INPUTS, H)
    x = tt.randn(T, N, INPUTS)

    def loop(x):
        state = None
        for x_t in x:
            state = cell(x_t, state)
        return state[0]

    with bptt.record(cell) as rec:
        checkpoint(loop, x, use_reentrant=False).sum().backward()
    found = rec[""].weight_grad_steps("weight_hh").sum(0)
    np.testing.assert_allclose(found, cell.weight_hh.grad.numpy(), rtol=1e-4, atol=1e-6)


def test_a_loop_keeps_no_graph_while_the_record_is_open():
    cell = nn.LSTMCell(INPUTS, H)
    with bptt.record(cell) as rec:
        h, c = cell(tt.randn(N, INPUTS))
        gone = [weakref.ref(tensor) for tensor in (h, c)]
        del h, c
        gc.collect()
        assert [reference() for reference in gone] == [None] * 2
    assert rec[""].layer(0).h.any()
