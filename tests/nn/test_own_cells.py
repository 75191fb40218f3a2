"""A cell of one's own runs under the driver of the built-in layers."""

import numpy as np
import pytest

import tinytensor as tt
from tinytensor import nn


def assert_close(ours, theirs, rtol=1e-12, atol=1e-14):
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=rtol, atol=atol)


def flat(result):
    output, state = result[:2]
    return [output, *state] if isinstance(state, tuple) else [output, state]


def states(rng, kind, scans, batch, size):
    parts = [tt.tensor(rng.standard_normal((scans, batch, size))) for _ in range(2)]
    return tuple(parts) if kind == "LSTM" else parts[0]


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("lengths", [None, [2, 5, 0]])
def test_the_built_in_cells_make_the_built_in_layers(rng, kind, batch_first, lengths):
    options = {"num_layers": 2, "bidirectional": True, "batch_first": batch_first}
    layer = getattr(nn, kind)(3, 4, **options).double()
    own = nn.Recurrent(getattr(nn, f"{kind}Cell"), 3, 4, **options).double()
    for name in ("l0", "l0_reverse", "l1", "l1_reverse"):
        cell = getattr(own, f"cell_{name}")
        cell.load_state_dict({n: getattr(layer, f"{n}_{name}") for n, _ in cell.named_parameters()})
    x = tt.tensor(rng.standard_normal((3, 5, 3) if batch_first else (5, 3, 3)))
    first = states(rng, kind, 4, 3, 4)
    assert_close(flat(own(x, first, lengths=lengths)), flat(layer(x, first, lengths=lengths)))
    assert_close(flat(own(x)), flat(layer(x)))
    *_, mine = own(x, first, lengths=lengths, return_states=True)
    *_, built_in = layer(x, first, lengths=lengths, return_states=True)
    assert_close([mine.layer(1, "reverse").h], [built_in.layer(1, "reverse").h])


def test_dropout_and_packed_sequences_are_those_of_the_built_in_layers(rng):
    layer = nn.GRU(3, 4, 2, dropout=0.5).double()
    own = nn.Recurrent(nn.GRUCell, 3, 4, 2, dropout=0.5).double()
    for name in ("l0", "l1"):
        cell = getattr(own, f"cell_{name}")
        cell.load_state_dict({n: getattr(layer, f"{n}_{name}") for n, _ in cell.named_parameters()})
    arrays = [tt.tensor(rng.standard_normal((n, 3))) for n in (2, 4)]
    packed = nn.utils.rnn.pack_sequence(arrays, enforce_sorted=False)
    found = []
    for module in (own, layer):
        tt.manual_seed(1)
        output, h_n = module(packed)
        found.append([output.data, h_n])
    assert_close(*found)


CELLS = [nn.LSTM1997Cell, nn.LayerNormLSTMCell]


@pytest.mark.parametrize("cell", CELLS)
def test_shipped_cells_have_right_derivatives(rng, cell):
    layer = nn.Recurrent(cell, 2, 3, num_layers=2, bidirectional=True).double()
    x = tt.tensor(rng.standard_normal((3, 2, 2)), requires_grad=True)
    first = tuple(tt.tensor(rng.standard_normal((4, 2, 3)), requires_grad=True) for _ in "hc")
    inputs = (x, *first, *layer.parameters())

    def function(x, h, c, *_):
        return flat(layer(x, (h, c), lengths=[3, 2]))

    assert tt.autograd.gradcheck(function, inputs, fast_mode=True)
    assert tt.autograd.gradgradcheck(function, inputs, fast_mode=True)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_the_cell_of_1997_is_the_papers(rng):
    cell = nn.LSTM1997Cell(2, 3).double()
    x, h, c = (rng.standard_normal(shape) for shape in ((4, 2), (4, 3), (4, 3)))
    w_ih, w_hh, b = (p.detach().numpy() for p in cell.parameters())
    net_in, net_c, net_out = np.split(x @ w_ih.T + h @ w_hh.T + b, 3, axis=1)
    s = c + sigmoid(net_in) * (4 * sigmoid(net_c) - 2)
    y = sigmoid(net_out) * (2 * sigmoid(s) - 1)
    assert_close(cell(tt.tensor(x), (tt.tensor(h), tt.tensor(c))), [tt.tensor(y), tt.tensor(s)])
    assert cell.state_sizes == (3, 3)
    assert repr(nn.LSTM1997Cell(2, 3, truncated=True)) == "LSTM1997Cell(2, 3, truncated=True)"


def test_truncated_errors_flow_along_the_cell_only(rng):
    cell = nn.LSTM1997Cell(2, 3, truncated=True).double()
    x = tt.tensor(rng.standard_normal((2, 1, 2)))
    h = tt.tensor(rng.standard_normal((1, 3)), requires_grad=True)
    c = tt.tensor(rng.standard_normal((1, 3)), requires_grad=True)
    after = cell(x[1], cell(x[0], (h, c)))
    g_h, g_c = tt.autograd.grad(after[1].sum(), (h, c), allow_unused=True)
    assert g_h is None
    np.testing.assert_array_equal(g_c.numpy(), np.ones((1, 3)))  # the constant error carousel


def test_the_cell_with_layer_norm_is_the_papers(rng):
    cell = nn.LayerNormLSTMCell(2, 3).double()
    for parameter in cell.parameters():
        parameter.data.copy_(tt.tensor(rng.standard_normal(tuple(parameter.shape))))
    x, h, c = (rng.standard_normal(shape) for shape in ((4, 2), (4, 3), (4, 3)))
    p = {name: parameter.detach().numpy() for name, parameter in cell.named_parameters()}

    def normed(a, name):
        mean, variance = a.mean(1, keepdims=True), a.var(1, keepdims=True)
        normal = (a - mean) / np.sqrt(variance + 1e-5)
        return normal * p[f"{name}.weight"] + p[f"{name}.bias"]

    z = normed(x @ p["weight_ih"].T, "ih") + normed(h @ p["weight_hh"].T, "hh") + p["bias"]
    i, f, g, o = np.split(z, 4, axis=1)
    s = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    y = sigmoid(o) * np.tanh(normed(s, "c"))
    got = cell(tt.tensor(x), (tt.tensor(h), tt.tensor(c)))
    assert_close(got, [tt.tensor(y), tt.tensor(s)], rtol=1e-10)


def test_a_cell_with_three_parts_of_a_state_needs_no_more_than_its_sizes(rng):
    class Counting(nn.Module):
        state_sizes = (2, 1, 5)

        def __init__(self, input_size, hidden_size):
            super().__init__()
            self.linear = nn.Linear(input_size + 1 + 5, hidden_size)

        def forward(self, x, state):
            h, count, memory = state
            h = self.linear(tt.cat((x, count, memory), -1)).tanh()
            return h, count + 1, memory * 0.5 + h.sum(-1, True)

    layer = nn.Recurrent(Counting, 3, 2, num_layers=2).double()
    x = tt.tensor(rng.standard_normal((4, 2, 3)))
    output, (h, count, memory), kept = layer(x, lengths=[4, 1], return_states=True)
    assert tuple(memory.shape) == (2, 2, 5)
    np.testing.assert_array_equal(count.detach().numpy()[:, :, 0], [[4, 1], [4, 1]])
    assert kept.layer(0).names == ("h", "c", "state2")
    assert_close([output[3, 0], output[0, 1]], [h[1, 0], h[1, 1]])


def test_a_wrong_state_or_size_is_told():
    layer = nn.Recurrent(nn.LSTMCell, 3, 4)
    with pytest.raises(RuntimeError, match=r"Expected c_0 .* = \(1, 2, 4\), got \(1, 2, 5\)"):
        layer(tt.zeros(5, 2, 3), (tt.zeros(1, 2, 4), tt.zeros(1, 2, 5)))
    with pytest.raises(ValueError, match="first part of the state to be h, of hidden_size 4"):
        nn.Recurrent(nn.LSTMCell, 3, 4, state_sizes=(5, 4))
    assert "Recurrent(\n  3, 4, num_layers=2\n  (cell_l0)" in repr(
        nn.Recurrent(nn.GRUCell, 3, 4, 2)
    )


def test_layers_of_own_cells_are_checked_like_the_built_in_ones():
    with pytest.raises(ValueError, match="num_layers must be greater than zero"):
        nn.Recurrent(nn.GRUCell, 3, 4, num_layers=0)
    with pytest.raises(ValueError, match=r"Recurrent: dropout .* range \[0, 1\].* got 2.0"):
        nn.Recurrent(nn.GRUCell, 3, 4, num_layers=2, dropout=2.0)
    with pytest.warns(UserWarning, match="num_layers greater than 1") as caught:
        nn.Recurrent(nn.GRUCell, 3, 4, dropout=0.5)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("batch", [0, 2])
def test_sequences_that_are_all_empty_keep_the_states_of_own_cells(rng, batch):
    layer = nn.Recurrent(nn.LSTMCell, 3, 4, 2, bidirectional=True).double()
    first = states(rng, "LSTM", 4, batch, 4)
    x = tt.tensor(rng.standard_normal((5, batch, 3)))
    output, last, kept = layer(x, first, lengths=[0] * batch, return_states=True)
    assert_close(last, first, rtol=0, atol=0)
    assert_close([output], [tt.zeros(5, batch, 8)], rtol=0, atol=0)
    assert tuple(kept.layer(1, "reverse").c.shape) == (5, batch, 4)
    output.sum().backward()


def test_a_cell_may_have_no_parameters():
    class Sum(nn.Module):
        def __init__(self, input_size, hidden_size):
            super().__init__()

        def forward(self, x, h):
            return h + x

    x = tt.randn(4, 2, 3, dtype=tt.float64)
    output, last = nn.Recurrent(Sum, 3, 3)(x, tt.zeros(1, 2, 3, dtype=tt.float64))
    assert_close([output, last[0]], [tt.cumsum(x, 0), x.sum(0)])


@pytest.mark.parametrize("cell", CELLS)
def test_shipped_cells_take_an_input_without_a_batch(cell):
    step = cell(3, 4)
    x = tt.randn(3)
    alone = step(x)
    assert_close(alone, [part[0] for part in step(x.unsqueeze(0))], rtol=1e-5, atol=1e-6)
    assert [tuple(part.shape) for part in alone] == [(4,), (4,)]


def test_a_picture_shows_the_steps_of_an_own_cell():
    layer = nn.Recurrent(nn.LSTM1997Cell, 2, 3)
    text = tt.viz.graph(layer(tt.zeros(2, 1, 2))[0].sum()).source
    assert "cell_l0" in text
