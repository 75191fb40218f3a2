"""Checkpointing over time changes no number, and lets memory grow with the root of the length."""

import copy
import math
import pickle
import re
import tracemalloc

import numpy as np
import pytest

import tinytensor as tt
from tinytensor import memory, nn
from tinytensor.nn.compiled import choice
from tinytensor.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

T, N, I, H = 7, 5, 4, 3
LENGTHS = [3, 7, 0, 5, 7]
KINDS = ["LSTM", "GRU", "RNN"]
OPTIONS = {
    "plain": {},
    "bias-single": {"bias": "single"},
    "no-bias": {"bias": False},
    "reverse": {"bidirectional": True},
    "layers": {"num_layers": 3},
    "layers-reverse": {"num_layers": 2, "bidirectional": True},
    "batch-first": {"batch_first": True, "bidirectional": True},
    "dropout": {"num_layers": 3, "dropout": 0.4},
    "variational": {"num_layers": 2, "dropout": 0.4, "variational": True, "bidirectional": True},
    "recurrent-dropout": {"num_layers": 2, "recurrent_dropout": 0.4, "bidirectional": True},
    "everything": {
        "num_layers": 2,
        "dropout": 0.3,
        "recurrent_dropout": 0.3,
        "bidirectional": True,
        "batch_first": True,
    },
}


def pair(kind, every, **options):
    """A layer that keeps everything, and one with its weights that keeps a state every k steps."""
    options = {"dtype": tt.float64} | options
    whole = getattr(nn, kind)(I, H, **options)
    cut = getattr(nn, kind)(I, H, checkpoint_every=every, **options)
    cut.load_state_dict(whole.state_dict())
    return whole, cut


def states_of(layer, rng, batch=N):
    """Random initial states, leaves; of an LSTM a pair."""
    scans = layer.num_layers * (2 if layer.bidirectional else 1)
    sizes = [layer.proj_size or H, H][: 2 if isinstance(layer, nn.LSTM) else 1]
    parts = [
        tt.tensor(rng.standard_normal((scans, batch, size)), requires_grad=True) for size in sizes
    ]
    return parts[0] if len(parts) == 1 else tuple(parts)


def flat(result):
    """A layer's output and states as a list of tensors."""
    output, state = result[:2]
    output = output.data if hasattr(output, "batch_sizes") else output
    return [output, *(state if isinstance(state, tuple) else (state,))]


def numbers(layer, run, used=slice(None)):
    """What a run gives, and the gradients that a weighted sum of it leaves, as arrays.

    run : (layer, source of random numbers) -> (leaves, result)
    used : which of the results the sum is over
    """
    tt.manual_seed(3)
    leaves, result = run(layer, np.random.default_rng(1))
    results = flat(result)
    rng = np.random.default_rng(2)
    loss = sum((y * tt.tensor(rng.standard_normal(y.shape))).sum() for y in results[used])
    leaves = [*leaves, *layer.parameters()]
    wanted = [leaf for leaf in leaves if leaf.requires_grad]
    gradients = tt.autograd.grad(loss, wanted, allow_unused=True, materialize_grads=True)
    return [tensor.detach().numpy().copy() for tensor in (*results, *gradients)]


def assert_close(ours, theirs, rtol=1e-11, atol=1e-13):
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)


def plainly(layer, rng):
    shape = (N, T, I) if layer.batch_first else (T, N, I)
    x = tt.tensor(rng.standard_normal(shape), requires_grad=True)
    hx = states_of(layer, rng)
    return [x, *(hx if isinstance(hx, tuple) else (hx,))], layer(x, hx)


def with_lengths(layer, rng):
    shape = (N, T, I) if layer.batch_first else (T, N, I)
    x = tt.tensor(rng.standard_normal(shape), requires_grad=True)
    hx = states_of(layer, rng)
    leaves = [x, *(hx if isinstance(hx, tuple) else (hx,))]
    return leaves, layer(x, hx, lengths=LENGTHS)


def packed(layer, rng):
    x = tt.tensor(rng.standard_normal((T, N, I)), requires_grad=True)
    hx = states_of(layer, rng)
    rows = pack_padded_sequence(x, [3, 7, 1, 5, 7], enforce_sorted=False)
    return [x, *(hx if isinstance(hx, tuple) else (hx,))], layer(rows, hx)


def without_batch_or_state(layer, rng):
    x = tt.tensor(rng.standard_normal((T, I)), requires_grad=True)
    return [x], layer(x)


# -- the same numbers


@pytest.mark.parametrize("run", [plainly, with_lengths])
@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_numbers_are_those_of_a_layer_that_keeps_everything(kind, options, every, run):
    whole, cut = pair(kind, every, **OPTIONS[options])
    assert_close(numbers(cut, run), numbers(whole, run))


@pytest.mark.parametrize("run", [plainly, with_lengths, packed, without_batch_or_state])
@pytest.mark.parametrize("every", [1, 3])
def test_so_are_those_of_a_projection(every, run):
    whole, cut = pair("LSTM", every, proj_size=2, num_layers=2, bidirectional=True)
    assert_close(numbers(cut, run), numbers(whole, run))


@pytest.mark.parametrize("run", [packed, without_batch_or_state])
@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("kind", [*KINDS, "relu"])
def test_so_are_those_of_packed_and_of_single_sequences(kind, every, run):
    options = {"nonlinearity": "relu"} if kind == "relu" else {}
    whole, cut = pair("RNN" if options else kind, every, bidirectional=True, **options)
    assert_close(numbers(cut, run), numbers(whole, run))


@pytest.mark.parametrize("used", [slice(0, 1), slice(1, None)], ids=["output", "last states"])
@pytest.mark.parametrize("run", [plainly, with_lengths])
@pytest.mark.parametrize("kind", KINDS)
def test_a_loss_may_use_the_outputs_or_the_last_states_alone(kind, run, used):
    whole, cut = pair(kind, 2, num_layers=2, bidirectional=True)
    assert_close(numbers(cut, run, used), numbers(whole, run, used))


@pytest.mark.parametrize("every", [T, T + 1, 10**9])
def test_a_sequence_of_no_more_steps_than_that_is_computed_once(every, monkeypatch):
    whole, cut = pair("LSTM", every)
    expected = numbers(whole, plainly)
    monkeypatch.setattr("tinytensor.nn.layers_kernel.in_segments", None)  # nobody calls it
    for a, b in zip(numbers(cut, plainly), expected, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("lengths", [[0] * N, [1, 0, 0, 0, 0]])
def test_sequences_of_hardly_any_steps_are_no_special_case(lengths):
    whole, cut = pair("GRU", 1, bidirectional=True)

    def run(layer, rng):
        x = tt.tensor(rng.standard_normal((T, N, I)), requires_grad=True)
        hx = states_of(layer, rng)
        return [x, hx], layer(x, hx, lengths=lengths)

    assert_close(numbers(cut, run), numbers(whole, run))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("frozen", ["weight_ih_l0", "weight_hh_l1", "bias_ih_l0", "bias_hh_l1"])
def test_what_is_frozen_gets_no_gradient_and_changes_none(kind, frozen):
    whole, cut = pair(kind, 2, num_layers=2)
    for layer in (whole, cut):
        getattr(layer, frozen).requires_grad_(False)

    def run(layer, rng):
        return [], layer(tt.tensor(rng.standard_normal((T, N, I))))

    assert_close(numbers(cut, run), numbers(whole, run))
    cut(tt.randn(T, N, I, dtype=tt.float64))[0].sum().backward()
    assert getattr(cut, frozen).grad is None


@pytest.mark.parametrize("kind", KINDS)
def test_in_float32_they_agree_to_its_rounding_and_stay_float32(kind):
    whole, cut = pair(kind, 9, dtype=tt.float32, num_layers=2, bidirectional=True)

    def run(layer, rng):
        x = tt.tensor(rng.standard_normal((100, N, I)).astype(np.float32), requires_grad=True)
        return [x], layer(x)

    found = numbers(cut, run)
    assert {array.dtype for array in found} == {np.dtype(np.float32)}
    for a, b in zip(found, numbers(whole, run), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-5 * np.abs(b).max())


def test_the_compiled_form_runs_in_segments_too(monkeypatch):
    pytest.importorskip("numba")
    whole, cut = pair("LSTM", 3, num_layers=2, bidirectional=True)
    expected = [numbers(whole, run) for run in (plainly, with_lengths)]
    monkeypatch.setenv(choice.VARIABLE, "numba")
    choice._by_hand.cache_clear()
    try:
        found = [numbers(cut, run) for run in (plainly, with_lengths)]
    finally:
        monkeypatch.undo()
        choice._by_hand.cache_clear()
    for ours, theirs in zip(found, expected, strict=True):
        assert_close(ours, theirs)


def test_a_strided_or_expanded_gradient_and_input_do_no_harm():
    whole, cut = pair("LSTM", 2, bidirectional=True)
    row = tt.randn(T, 1, I, dtype=tt.float64)
    grads = []
    for layer in (whole, cut):
        x = row.detach().clone().requires_grad_()
        layer(x.expand(T, N, I))[0].sum().backward()
        grads.append([x.grad.numpy(), *(p.grad.numpy() for p in layer.parameters())])
    assert_close(*grads)


# -- what else a layer promises


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradients_are_those_of_finite_differences(kind):
    layer = getattr(nn, kind)(2, 2, bidirectional=True, dtype=tt.float64, checkpoint_every=2)
    x = tt.randn(5, 2, 2, dtype=tt.float64).requires_grad_()
    assert tt.autograd.gradcheck(lambda x, *_: layer(x)[0], (x, *layer.parameters()))


@pytest.mark.parametrize("kind", KINDS)
def test_second_derivatives_are_those_of_a_layer_that_keeps_everything(kind):
    found = []
    for layer in pair(kind, 2, bidirectional=True):
        tt.manual_seed(0)
        x = tt.randn(T, N, I, dtype=tt.float64).requires_grad_()
        (gx,) = tt.autograd.grad((layer(x)[0] ** 3).sum(), x, create_graph=True)
        (gx**2).sum().backward()
        found.append([x.grad.numpy(), *(p.grad.numpy() for p in layer.parameters())])
    assert_close(*found, rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_the_states_of_all_steps_are_there_when_asked_for(kind):
    found = []
    for layer in pair(kind, 2, num_layers=2):
        tt.manual_seed(0)
        x = tt.randn(T, N, I, dtype=tt.float64).requires_grad_()
        _, _, states = layer(x, return_states=True)
        scan = states.layer(1)
        sum((getattr(scan, name) ** 2).sum() for name in scan.names).backward()
        parts = (getattr(scan, name).detach().numpy() for name in scan.names)
        found.append([x.grad.numpy(), *parts])
    assert_close(*found)


def test_unrolled_shows_every_step_as_ever():
    _, cut = pair("LSTM", 2)
    x = tt.randn(T, N, I, dtype=tt.float64)
    with tt.unrolled():
        unrolled = cut(x)[0]
    assert unrolled.grad_fn.name() != cut(x)[0].grad_fn.name()
    assert_close([unrolled.detach().numpy()], [cut(x)[0].detach().numpy()])


def test_a_graph_that_is_retained_gives_the_same_again():
    _, cut = pair("LSTM", 3, num_layers=2)
    x = tt.randn(T, N, I, dtype=tt.float64).requires_grad_()
    output, _ = cut(x)
    once, again = (tt.autograd.grad(output.sum(), x, retain_graph=True)[0] for _ in range(2))
    np.testing.assert_array_equal(once.numpy(), again.numpy())


@pytest.mark.parametrize("layers", [1, 2])
def test_to_write_into_the_outputs_changes_no_gradient(layers):
    _, cut = pair("LSTM", 2, num_layers=layers)
    x = tt.randn(T, N, I, dtype=tt.float64).requires_grad_()
    grads = []
    for write in (False, True):
        output, (h_n, c_n) = cut(x)
        loss = output.sum() + h_n.sum() + c_n.sum()
        if write:
            for tensor in (output, h_n, c_n):
                tensor.data.fill_(np.nan)
        grads.append(tt.autograd.grad(loss, x)[0].numpy())
    np.testing.assert_array_equal(*grads)


@pytest.mark.parametrize("what", ["input", "state", "weight"])
def test_what_the_second_run_reads_must_not_be_written_to(what):
    _, cut = pair("GRU", 2)
    x = tt.randn(T, N, I, dtype=tt.float64)
    h = tt.zeros(1, N, H, dtype=tt.float64)
    output, _ = cut(x, h)
    with tt.no_grad():
        {"input": x, "state": h, "weight": cut.weight_hh_l0}[what].add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        output.sum().backward()


@pytest.mark.parametrize("kind", KINDS)
def test_without_gradients_the_outputs_are_the_same(kind):
    whole, cut = pair(kind, 3, num_layers=2, bidirectional=True)
    x = tt.randn(T, N, I, dtype=tt.float64)
    with tt.no_grad():
        assert_close([y.numpy() for y in flat(cut(x))], [y.numpy() for y in flat(whole(x))])


def test_packed_outputs_pad_back():
    _, cut = pair("LSTM", 2)
    x = tt.randn(T, N, I, dtype=tt.float64)
    rows = pack_padded_sequence(x, [7, 6, 3, 3, 1])
    output, lengths = pad_packed_sequence(cut(rows)[0])
    assert tuple(output.shape) == (T, N, H)
    assert lengths.tolist() == [7, 6, 3, 3, 1]


# -- the option itself


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_shown_and_copied_and_no_part_of_the_weights(kind):
    whole, cut = pair(kind, 3, dtype=tt.float32)
    assert repr(cut) == f"{kind}({I}, {H}, checkpoint_every=3)"
    assert "checkpoint" not in repr(whole)
    assert list(cut.state_dict()) == list(whole.state_dict())
    for again in (copy.deepcopy(cut), pickle.loads(pickle.dumps(cut))):
        assert again.checkpoint_every == 3
        x = tt.randn(T, N, I)
        np.testing.assert_array_equal(again(x)[0].detach().numpy(), cut(x)[0].detach().numpy())


def test_it_may_be_set_and_unset_on_a_layer_that_is_there():
    whole, cut = pair("LSTM", 3)
    whole.checkpoint_every, cut.checkpoint_every = cut.checkpoint_every, whole.checkpoint_every
    assert_close(numbers(cut, plainly), numbers(whole, plainly))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("every", [2.0, "3", True, [3]])
def test_other_than_whole_numbers_are_refused(kind, every):
    expected = f"{kind}: expected checkpoint_every to be a whole number of steps or None"
    with pytest.raises(TypeError, match=re.escape(f"{expected}, got {every!r}; math.isqrt")):
        getattr(nn, kind)(I, H, checkpoint_every=every)


@pytest.mark.parametrize("every", [0, -1])
def test_less_than_a_step_is_refused(every):
    expected = f"LSTM: expected checkpoint_every to be 1 or more, got {every}"
    with pytest.raises(ValueError, match=expected):
        nn.LSTM(I, H, checkpoint_every=every)


def test_a_whole_number_of_numpy_will_do():
    layer = nn.LSTM(I, H, checkpoint_every=np.int64(3))
    assert repr(layer) == f"LSTM({I}, {H}, checkpoint_every=3)"
    assert type(layer.checkpoint_every) is int


# -- memory


def growth(kind, steps, every, **options):
    """The bytes at the peak of a forward and backward, beyond input, output and its gradient."""
    size = 32
    layer = getattr(nn, kind)(1, size, checkpoint_every=every, **options)
    x, g = tt.randn(steps, 1, 1), tt.randn(steps, 1, size * (2 if layer.bidirectional else 1))
    layer(x[:70])[0].sum().backward()
    memory._buffers.clear()  # what others have left to be taken again is not counted
    tracemalloc.start()
    output, _ = layer(x)
    output.backward(g)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak - g.numel() * 4


@pytest.mark.parametrize("kind", KINDS)
def test_memory_grows_with_the_root_of_the_length(kind):
    short, long = (growth(kind, steps, math.isqrt(steps)) for steps in (512, 8192))
    assert long < 6 * short  # 4 by the formula, 16 in proportion to the length
    assert long < 0.2 * growth(kind, 8192, None)


def test_so_it_does_in_both_directions():
    short, long = (
        growth("LSTM", steps, math.isqrt(steps), bidirectional=True) for steps in (512, 8192)
    )
    assert long < 6 * short


def test_inference_holds_one_segment_at_a_time():
    with tt.no_grad():
        layer = nn.LSTM(1, 32, checkpoint_every=64)
        x = tt.randn(16384, 1, 1)
        layer(x[:70])
        memory._buffers.clear()
        tracemalloc.start()
        output, _ = layer(x)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 1.3 * output.numel() * 4
