"""Where values outside the graph came from: known while it is there, without any effect."""

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest

import tinytensor as tt
from tinytensor import nn, viz
from tinytensor.autograd.primitive import PRIMITIVES, primitive
from tinytensor.origins import NO_GRAD, Origins


def names(value: tt.Tensor) -> set[str]:
    """The operations, and "leaf" for leaves, that a value came from."""
    found = value._origins or {}
    return {op if isinstance(op, str) else getattr(op, "name", "leaf") for _, _, op, _ in found}


def size(origins: Origins | None) -> int:
    """How many origins there are in all, those of parts of values among them."""
    if origins is None:
        return 0
    parts = [row for part in origins.values() if part is not None for row in part.rows]
    return len(origins) + sum(map(size, parts))


def values() -> tuple[tt.Tensor, tt.Tensor]:
    """A leaf, and what was computed from it."""
    w = tt.rand(3, 3, requires_grad=True)
    return w, (w * 2).tanh()


WAYS_OUT = {
    "detach": lambda y: y.detach(),
    "data": lambda y: y.data,
    "detach_": lambda y: y.clone().detach_(),
    "a view": lambda y: y.detach()[1:],
    "a copy": lambda y: y.detach().clone(),
    "data of another tensor": lambda y: _with_data(tt.zeros(3, 3), y),
    "data of a new tensor": lambda y: tt.tensor(y.detach()),
    "computed": lambda y: y.detach() * 2 + tt.ones(3, 3),
    "of several": lambda y: tt.cat([tt.zeros(1, 3), y.detach()]),
    "a part of several": lambda y: y.detach().chunk(3)[1],
    "converted": lambda y: y.detach().double(),
    "promoted": lambda y: y.detach() * tt.ones(3, 3, dtype=tt.float64),
    "everything in an index": lambda y: y.detach()[()],
    "written over": lambda y: tt.zeros(3, 3).copy_(y.detach()),
    "written into": lambda y: _filled(tt.zeros(3, 3), y.detach()),
    "seen by an older view": lambda y: _written(tt.zeros(3, 3), y.detach()) + 0.0,
    "taken from an older view": lambda y: _written(tt.zeros(3, 3), y.detach()).detach(),
    "a state": lambda y: nn.RNNCell(3, 3).requires_grad_(False)(y.detach()),
    "of a function of one's own": lambda y: _Twice.apply(y.detach()),
}


class _Twice(tt.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, g):
        return g * 2


def _with_data(other: tt.Tensor, value: tt.Tensor) -> tt.Tensor:
    other.data = value
    return other


def _filled(buffer: tt.Tensor, value: tt.Tensor) -> tt.Tensor:
    buffer[1] = value[0]
    return buffer


def _written(buffer: tt.Tensor, value: tt.Tensor) -> tt.Tensor:
    row = buffer[1]
    buffer[1:] = value[1:]
    return row


@pytest.mark.parametrize("way", WAYS_OUT)
def test_a_value_outside_the_graph_knows_where_it_came_from(way):
    _, y = values()
    assert names(WAYS_OUT[way](y)) == {"clone" if way == "detach_" else "tanh"}


@pytest.mark.parametrize("way", WAYS_OUT)
def test_plain_data_came_from_nowhere(way):
    assert names(WAYS_OUT[way](tt.rand(3, 3))) == set()


@pytest.mark.parametrize("way", WAYS_OUT)
def test_what_was_cut_off_is_not_kept_alive(way):
    gc.disable()
    try:
        w, y = values()
        node = weakref.ref(y.grad_fn)
        outside = WAYS_OUT[way](y)
        used = (w.sum() * outside.sum()) + 1  # the node of the product has noted it
        del y
        assert node() is None
        assert names(outside)
        assert used.requires_grad
        leaf = weakref.ref(w)
        outside = w.detach()
        del w, used
        assert leaf() is None
    finally:
        gc.enable()


def test_what_never_had_a_gradient_has_no_origins():
    _, y = values()
    z = y.detach()
    zeros, random, whole = tt.zeros_like(z), tt.rand_like(z), tt.tensor(z, dtype=tt.int64)
    for value in (z > 0, z.argmax(), z.long(), (z > 0).float(), zeros, random, whole):
        assert names(value) == set()
    assert names(tt.tensor(z.tolist())) == names(tt.from_numpy(z.numpy())) == set()


def test_what_is_written_over_with_plain_data_forgets():
    _, y = values()
    z = y.detach().clone()
    assert names(z.fill_(1.0)) == set()


def test_a_leaf_that_learns_under_no_grad_came_from_nowhere():
    w = tt.rand(3, requires_grad=True)
    w.square().sum().backward()
    with tt.no_grad():
        w -= 0.1 * w.grad
    assert names(w) == set()
    assert names(nn.Parameter(w.detach())) == set()


def test_under_no_grad_it_is_known_to_be_that_and_in_keep_values_also_from_where():
    w, y = values()
    cell = nn.LSTMCell(3, 3)
    for compute in (lambda: y * 2, lambda: y + w, lambda: (y * 2).tanh(), lambda: y.sum(0)):
        with tt.no_grad():
            assert compute()._origins is NO_GRAD
        with viz.keep_values(), tt.no_grad():
            assert names(compute()) - {"leaf"} == {"tanh"}
    with tt.no_grad():
        assert cell(y)[0]._origins is NO_GRAD
        assert names(y[1:]) == names(y.t()) == {"tanh"}  # views always know
        assert names(tt.rand(3) * 2) == names(tt.rand(3, 3).sum(0)) == set()
    with viz.keep_values(), tt.no_grad():
        assert names(cell(y)[0]) == {"tanh", "leaf"}


def test_a_value_of_several_knows_all_of_them():
    w, y = values()
    s = y.sigmoid()
    assert names(y.detach() + s.detach() * w.detach()) == {"tanh", "sigmoid", "leaf"}
    both = tt.stack([y.detach(), tt.zeros(3, 3), s.detach()])
    assert names(both) == {"tanh", "sigmoid"}


def test_what_is_written_on_a_leaf_is_of_no_effect():
    w, _ = values()
    w.node = w.op = w.index = "mine"
    assert names(w.detach()) == {"leaf"}
    assert names(w[0].detach()) == {"getitem"}


def test_values_that_came_from_the_same_places_share_them():
    w, y = values()
    both = y.detach() + w.detach()
    assert (both * y.detach())._origins is both._origins
    assert (y.detach() * both)._origins == both._origins


def test_of_empty_values_too_it_is_known_where_they_came_from():
    w, _ = values()
    stacked = tt.stack([w[:0] * 2, w[:0].tanh()])
    assert names(stacked.detach()) == names(stacked.detach()[0]) == {"stack"}
    assert names(stacked[0].detach()) == {"getitem"}
    assert names(tt.stack([w * 2, w]).detach()[0, :0]) == {"stack"}


def test_of_a_long_stack_the_rows_are_not_told_apart():
    w, _ = values()
    assert size(tt.stack([w * 2] * 64).detach()._origins) == 65
    assert size(tt.stack([w * 2] * 65).detach()._origins) == 1


def test_a_row_of_a_detached_stack_knows_which_it_is():
    w, y = values()
    stacked = tt.stack([y, y.sigmoid(), tt.ones(3, 3)])
    outside = stacked.detach()
    assert [names(outside[k]) for k in range(3)] == [{"tanh"}, {"sigmoid"}, set()]
    assert list(map(names, outside.unbind())) == [{"tanh"}, {"sigmoid"}, set()]
    assert names(outside[-2]) == names(outside[1:, 2:][0]) == {"sigmoid"}
    assert names(stacked[1].detach()) == {"getitem"}  # which tells the row itself
    # Once the stack was moved, its first dimension is another one.
    assert names(outside.transpose(0, 1)[0]) == {"stack"}
    assert names(outside.clone()[0]) == {"stack"}
    assert names(tt.stack([y, w], 1).detach()[0]) == {"stack"}


def test_an_operation_of_several_inputs_and_outputs_notes_its_cuts():
    @primitive(lambda g: g[0], lambda g: g[1])
    def both_as_they_are(a, b):
        return a.copy(), b.copy()

    PRIMITIVES.pop("both_as_they_are")
    w, y = values()
    first, _ = both_as_they_are(y.detach(), w)
    first_cut, second_cut = first.grad_fn.node.cuts
    assert first_cut == y.detach()._origins
    assert second_cut is None


def test_a_kernel_looks_at_an_older_view_anew():
    cell, x = nn.RNNCell(3, 3), tt.rand(2, 3)
    _, y = values()
    buffer = tt.zeros(2, 3)
    older = buffer[:]
    buffer[:] = y[:2]
    assert cell(x, older).grad_fn.node.edges[1] is not None
    buffer = tt.zeros(2, 3)
    older = buffer[:]
    buffer[:] = y[:2].detach()
    assert cell(x, older).grad_fn.node.cuts[1] is not None


def test_copying_pickling_and_printing_are_those_of_plain_data():
    _, y = values()
    outside = y.detach()
    plain = tt.tensor(outside.tolist())
    assert repr(outside) == repr(plain)
    assert pickle.dumps(outside) == pickle.dumps(plain)
    assert names(pickle.loads(pickle.dumps(outside))) == set()
    assert names(copy.deepcopy(outside)) == set()
    np.testing.assert_array_equal(copy.deepcopy(outside).numpy(), plain.numpy())


@pytest.mark.parametrize("unrolled", [False, True])
def test_a_state_that_is_handed_on_for_long_does_not_grow(unrolled):
    lstm, state, seen = nn.LSTM(2, 3, num_layers=2), None, set()
    for _ in range(20):
        with tt.unrolled() if unrolled else viz.keep_values():
            output, state = lstm(tt.rand(2, 1, 2), state)
        output.sum().backward()
        state = tuple(part.detach() for part in state)
        seen.add(sum(size(part._origins) for part in state))
    assert len(seen) == 1


def test_a_history_of_detached_states_does_not_grow():
    w = tt.rand(2, requires_grad=True)
    history, seen = tt.zeros(3, 2), []
    for _ in range(12):
        h = (history.sum(0) * w).tanh()
        history = tt.stack([h, history.sum(0), history[1]]).detach()
        seen.append(size(history._origins))
    assert max(seen[6:]) == seen[6]


def test_a_running_mean_has_so_many_origins_and_no_more():
    w = tt.rand(2, requires_grad=True)
    steps, mean, seen = [w], tt.zeros(2), []
    for _ in range(300):
        steps.append((steps[-1] * w).tanh())
        mean = mean * 0.9 + steps[-1].detach() * 0.1
        seen.append(len(mean._origins))
    assert max(seen) == 16
    assert names(mean) == {"from more than 16 values"}
    assert names(mean + w.detach()) == names(w.detach() + mean) == names(mean)
    gone = tt.zeros(2)
    for _ in range(300):
        gone = gone * 0.9 + (w * 2).tanh().detach() * 0.1
    assert len(gone._origins) <= 2  # those that are gone are one, by the name of their operation
    assert names(gone) == {"tanh"}
