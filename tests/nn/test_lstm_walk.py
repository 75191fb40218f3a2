"""The LSTM's plain case leaves what the general scans leave, however its walk is cut."""

import threading

import numpy as np
import pytest

import tinytensor as tt
from tests.mutation.kernels import Case, is_its_reference
from tinytensor import nn, parallel
from tinytensor.nn import blocks, lstm_layers, lstm_memory, lstm_shares, lstm_walk
from tinytensor.nn.lstm_kernel import lstm as lstm_kernel


def general(*arguments):
    """No form for the plain case: the scans run one by one."""
    return None


CUTS = "whole steps blocks columns columns-apart gates apart threads shares"


@pytest.fixture(params=CUTS.split())
def cut(request, monkeypatch):
    """How a walk is cut: into blocks of steps or columns, parts of rows, gates, shares of a batch;
    x, or each direction, by itself.
    """
    if request.param == "steps":
        monkeypatch.setattr(lstm_memory, "_MOST_STEPS", 1)
    if request.param == "blocks":
        monkeypatch.setattr(lstm_memory, "_MOST_STEPS", 2)
        monkeypatch.setattr(lstm_memory, "_BLOCK_ROWS", 1)
        monkeypatch.setattr(lstm_memory, "_LARGE_PRODUCT", 0)
        monkeypatch.setattr(lstm_memory, "_LARGE_GATE", 1)
    if request.param.startswith("columns") or request.param == "gates":
        monkeypatch.setattr(blocks, "_QUICK", 30 if request.param == "gates" else 100)
        monkeypatch.setattr(blocks, "_NARROWEST", 2)
        monkeypatch.setattr(blocks, "_FEWEST_ROWS", 1)
    if request.param.endswith("apart"):
        monkeypatch.setattr(lstm_walk, "_ROWS_OF_X", 7)
        monkeypatch.setattr(lstm_memory, "is_quick", lambda *sizes: False)
    if request.param in ("columns", "columns-apart", "gates", "threads", "shares"):
        monkeypatch.setattr(lstm_layers, "_LARGE", -1)  # each direction walks by itself
    if request.param == "threads":
        monkeypatch.setattr(parallel, "_WORTH_A_THREAD", -1)
        monkeypatch.setattr(parallel, "_blas_threads", lambda: 2)
    if request.param == "shares":
        monkeypatch.setattr(lstm_shares, "_LARGE_SHARE", 1)
        monkeypatch.setattr(parallel, "_SMALLEST_PART", 1)
        monkeypatch.setattr(parallel, "_blas_threads", lambda: 3)
    monkeypatch.setattr(lstm_memory, "_kept", {})


def found_for(lstm, leaves, used, *, twice=False):
    output, last = lstm(leaves[0], tuple(leaves[1:3]))
    parts = {"output": [output], "last": [*last], "all": [output, *last]}[used]
    loss = sum(part.exp().sum() for part in parts)
    every = [*leaves, *lstm.parameters()]
    gradients = [
        tt.autograd.grad(loss, every, retain_graph=True, allow_unused=True, materialize_grads=True)
        for _ in range(1 + twice)
    ]
    for first, second in zip(gradients[0], gradients[-1], strict=True):
        np.testing.assert_array_equal(first.numpy(), second.numpy())
    return [part.detach().numpy().copy() for part in (output, *last, *gradients[0])]


def leaves_for(steps, batch, lstm, dtype):
    x = tt.randn(batch, steps, lstm.input_size, dtype=dtype).transpose(0, 1)
    scans = lstm.num_layers * (2 if lstm.bidirectional else 1)
    states = [tt.randn(scans, batch, lstm.hidden_size, dtype=dtype) for _ in range(2)]
    return [x.clone().requires_grad_(), *(state.requires_grad_() for state in states)]


@pytest.mark.usefixtures("cut")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize(
    ("steps", "batch", "inputs", "size", "layers", "bias", "used"),
    [
        (1, 1, 1, 1, 1, True, "all"),
        (5, 1, 6, 4, 2, True, "output"),
        (9, 1, 2, 3, 1, False, "all"),
        (5, 3, 2, 6, 3, "single", "last"),
        (7, 5, 4, 2, 2, False, "all"),
        (6, 20, 2, 12, 2, True, "output"),
    ],
)
def test_the_plain_case_is_the_general_one(
    monkeypatch, steps, batch, inputs, size, layers, bias, used, directions, dtype
):
    dtype = getattr(tt, dtype)
    lstm = nn.LSTM(inputs, size, layers, bias, bidirectional=directions == 2, dtype=dtype)
    leaves = leaves_for(steps, batch, lstm, dtype)
    plain = found_for(lstm, leaves, used, twice=True)
    monkeypatch.setattr(lstm_layers, "forward", general)
    bound = 3e-5 if dtype is tt.float32 else 1e-12
    for one, other in zip(plain, found_for(lstm, leaves, used), strict=True):
        assert one.shape == other.shape
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, bound, bound * max(1, np.abs(other).max()))


@pytest.mark.usefixtures("cut")
@pytest.mark.parametrize("variational", [False, True])
def test_dropout_between_layers_is_the_same(monkeypatch, variational):
    lstm = nn.LSTM(3, 4, 3, dropout=0.5, bidirectional=True, variational=variational).double()
    leaves = leaves_for(5, 2, lstm, tt.float64)
    found = []
    for form in (lstm_layers.forward, general):
        monkeypatch.setattr(lstm_layers, "forward", form)
        tt.manual_seed(3)
        found.append(found_for(lstm, leaves, "all"))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, 1e-12, 1e-12)


@pytest.mark.usefixtures("cut")
@pytest.mark.parametrize("directions", [1, 2])
def test_a_gradient_that_is_missing_strided_or_wanted_alone_is_right(monkeypatch, directions):
    lstm = nn.LSTM(3, 4, 2, bidirectional=directions == 2).double()
    (x, *_) = leaves_for(5, 2, lstm, tt.float64)
    frozen = {"weight_ih_l0", "weight_hh_l1", "bias_ih_l0", "bias_hh_l0"}
    for name, parameter in lstm.named_parameters():
        parameter.requires_grad_(name not in frozen)
    found = []
    for form in (lstm_layers.forward, general):
        monkeypatch.setattr(lstm_layers, "forward", form)
        wanted = [p for p in lstm.parameters() if p.requires_grad]
        found.append([])
        for loss in (
            lambda y, h, c: y.sum(),  # a gradient of stride 0
            lambda y, h, c: (y.transpose(0, 1) * tt.arange(5.0).view(1, 5, 1)).sum(),
            lambda y, h, c: c.square().sum() + h[0].sum(),
        ):
            y, (h, c) = lstm(x)
            found[-1] += tt.autograd.grad(loss(y, h, c), wanted)
            y, (h, c) = lstm(x.detach())
            found[-1] += tt.autograd.grad(loss(y, h, c), wanted[:1])
    for one, other in zip(*found, strict=True):
        assert one.is_contiguous()
        np.testing.assert_allclose(one.numpy(), other.numpy(), 1e-12, 1e-12)


@pytest.mark.usefixtures("cut")
@pytest.mark.parametrize("form", [lstm_layers.forward, general])
def test_factors_between_the_layers_have_gradients(monkeypatch, form):
    monkeypatch.setattr(lstm_layers, "forward", form)
    is_its_reference(lstm_kernel, Case(layers=3, directions=2, masked=True))


def test_graphs_do_not_share_what_they_keep():
    lstm = nn.LSTM(3, 4, 2, bidirectional=True)
    xs = [tt.randn(5, 2, 3) for _ in range(3)]
    alone = [tt.autograd.grad(lstm(x)[0].sum(), tuple(lstm.parameters())) for x in xs]
    losses = [lstm(x)[0].sum() for x in xs]
    for loss, expected in zip(reversed(losses), reversed(alone), strict=True):
        for one, other in zip(
            tt.autograd.grad(loss, tuple(lstm.parameters())), expected, strict=True
        ):
            np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_an_output_that_is_written_to_does_not_change_the_gradient():
    lstm = nn.LSTM(3, 4, 2)
    x = tt.randn(5, 2, 3)
    expected = tt.autograd.grad(lstm(x)[0].sum(), tuple(lstm.parameters()))
    output, (h, c) = lstm(x)
    for part in (output, h, c):
        part.data.fill_(9)
    for one, other in zip(
        tt.autograd.grad(output.sum(), tuple(lstm.parameters())), expected, strict=True
    ):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_threads_do_not_share_the_memory_of_their_steps():
    lstm = nn.LSTM(3, 8, 2, bidirectional=True)
    xs = [tt.randn(40, 2, 3) for _ in range(4)]

    def gradient(x):
        return [g.numpy() for g in tt.autograd.grad(lstm(x)[0].sum(), tuple(lstm.parameters()))]

    expected = [gradient(x) for x in xs]
    wrong = []

    def work(number):
        for _ in range(30):
            for one, other in zip(gradient(xs[number]), expected[number], strict=True):
                if not np.array_equal(one, other):
                    wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_walk_that_fails_leaves_no_memory_behind_for_others(monkeypatch):
    lstm = nn.LSTM(3, 4)
    x = tt.randn(5, 2, 3)
    expected = lstm(x)[0].detach().numpy()
    with monkeypatch.context() as patch:
        patch.setattr(lstm_walk, "_make_factors", lambda *arguments: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            lstm(x)
    np.testing.assert_array_equal(lstm(x)[0].detach().numpy(), expected)


def test_little_memory_is_kept(monkeypatch):
    monkeypatch.setattr(lstm_memory, "_kept", {})
    for size in range(1, 40):
        nn.LSTM(2, size)(tt.randn(3, 1, 2))[0].sum().backward()
    assert len(lstm_memory._kept) == lstm_memory._MOST_KEPT
    lstm_memory._kept.clear()
    nn.LSTM(2, 300)(tt.randn(3, 400, 2))[0].sum().backward()
    assert not lstm_memory._kept
    lengths = (5, 6, 7, 8)
    for steps in lengths:
        nn.LSTM(2, 3)(tt.randn(steps, 1, 2))[0].sum().backward()
    assert len(lstm_memory._kept) == 2  # one forward and one backward for all of them


def test_without_a_backward_pass_to_come_nothing_is_left(monkeypatch):
    left = []
    forward = lstm_layers.forward

    def spy(*arguments):
        made = forward(*arguments)
        left.append(made[2].walks)
        return made

    monkeypatch.setattr(lstm_layers, "forward", spy)
    lstm = nn.LSTM(3, 4, 2)
    x = tt.randn(5, 2, 3)
    with tt.no_grad():
        without, _ = lstm(x)
    np.testing.assert_array_equal(without.numpy(), lstm(x)[0].detach().numpy())
    assert left[0] == [[None], [None]]
    assert all(walk is not None for (walk,) in left[1])


def test_only_the_plain_case_is_taken(monkeypatch):
    taken = []
    forward = lstm_layers.forward

    def spy(*arguments):
        made = forward(*arguments)
        taken.append(made is not None)
        return made

    monkeypatch.setattr(lstm_layers, "forward", spy)

    def ran(x, *args, call=(), **options):
        taken.clear()
        nn.LSTM(*args, **options)(x, **dict(call))
        return taken == [True]

    x = tt.rand(4, 3, 5)
    assert ran(x, 5, 6, 2)
    assert ran(x, 5, 6, 2, dropout=0.5)
    assert not ran(x, 5, 6, recurrent_dropout=0.5)
    assert not ran(x, 5, 6, proj_size=2)
    assert not ran(x, 5, 6, checkpoint_every=2)
    assert not ran(x, 5, 6, call={"lengths": [4, 2, 1]})
    assert not ran(x, 5, 6, call={"return_states": True})
    assert not ran(tt.rand(4, 0, 5), 5, 6)


@pytest.mark.usefixtures("cut")
@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("used", ["output", "last", "all"])
def test_what_is_recorded_is_what_the_general_scans_record(monkeypatch, directions, used):
    lstm = nn.LSTM(3, 4, 2, bidirectional=directions == 2).double()
    x = tt.randn(6, 2, 3, dtype=tt.float64)
    names = ("h", "c", "i", "f", "g", "o")
    found = []
    for form in (lstm_layers.forward, general):
        monkeypatch.setattr(lstm_layers, "forward", form)
        lstm.zero_grad()
        with tt.bptt.record(lstm) as rec:
            output, last = lstm(x)
        parts = {"output": [output], "last": [*last], "all": [output, *last]}[used]
        output.data.fill_(9)  # what a user does with an output is of no consequence
        sum((part * tt.arange(part.numel()).view(part.shape)).sum() for part in parts).backward()
        for name, p in lstm.named_parameters():
            steps = rec[""].weight_grad_steps(name)
            np.testing.assert_allclose(steps.sum(0), p.grad.numpy(), rtol=1e-9, atol=1e-9)
        both = ("forward", "reverse")[:directions]
        views = [rec[""].layer(k, d) for k in range(2) for d in both]
        found.append(
            [
                getattr(view, name + what)
                for view in views
                for name in names
                for what in ("", "_grad")
            ]
        )
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("threads", "walks", "batch", "size", "shares"),
    [
        (1, 1, 64, 512, 1),
        (2, 1, 64, 512, 2),
        (2, 2, 64, 512, 1),  # each direction has a thread
        (3, 2, 64, 512, 2),
        (8, 1, 64, 256, 6),  # more would make steps too short
        (8, 1, 20, 1024, 2),  # of no less than eight sequences each
        (2, 1, 50, 128, 1),
    ],
)
def test_a_batch_is_shared_out_among_threads(monkeypatch, threads, walks, batch, size, shares):
    monkeypatch.setattr(parallel, "_blas_threads", lambda: threads)
    made = lstm_shares.shares_of(batch, size, walks) or [slice(batch)]
    assert len(made) == shares
    rows = [row for share in made for row in range(batch)[share]]
    assert rows == list(range(batch))


def test_for_short_steps_blas_is_not_asked_for_its_threads(monkeypatch):
    monkeypatch.setattr(parallel, "_blas_threads", lambda: 1 / 0)  # that takes long the first time
    assert lstm_shares.shares_of(30, 20, 1) == []
