"""RNN, GRU and LSTM in all their options: kernel, reference and torch are one function."""

import copy
import itertools
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinytensor as tt
from tinytensor import nn

torch = pytest.importorskip("torch")

KINDS = ("RNN", "GRU", "LSTM")


def pair(kind: str, *sizes: int, **options: Any) -> tuple[Any, Any]:
    """torch's layer and ours with its weights, in float64."""
    torch.manual_seed(1)
    theirs = getattr(torch.nn, kind)(*sizes, **options).double()
    ours = getattr(nn, kind)(*sizes, **options).double()
    ours.load_state_dict({k: v.numpy().copy() for k, v in theirs.state_dict().items()})
    return theirs, ours


def flat(result: Any) -> list[Any]:
    """[output, h_n] or [output, h_n, c_n]."""
    output, state = result[:2]
    return [output, *state] if isinstance(state, tuple) else [output, state]


def as_state(parts: Any) -> Any:
    return tuple(parts) if len(parts) == 2 else parts[0]


def states(rng: Any, kind: str, scans: int, batch: int, size: int, proj: int = 0) -> list[Any]:
    parts = [rng.standard_normal((scans, batch, proj or size))]
    if kind == "LSTM":
        parts.append(rng.standard_normal((scans, batch, size)))
    return parts


def leaves(lib: Any, arrays: Any) -> list[Any]:
    return [lib.tensor(array, requires_grad=True) for array in arrays]


def weighted(outputs: Any, weights: Any, lib: Any) -> Any:
    return sum((y * lib.tensor(w)).sum() for y, w in zip(outputs, weights, strict=True))


def assert_close(ours: Any, theirs: Any, rtol: float = 1e-10, atol: float = 1e-12) -> None:
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=rtol, atol=atol)


def assert_one_function(
    theirs: Any, ours: Any, run: Any, arrays: list[Any], rng: Any, second: bool = True
) -> None:
    """`run(lib, module, leaves)` agrees in torch, kernel and reference, to the second order."""
    t_leaves, o_leaves = leaves(torch, arrays), leaves(tt, arrays)
    expected = run(torch, theirs, t_leaves)
    fused = run(tt, ours, o_leaves)
    with tt.unrolled():
        unrolled = run(tt, ours, o_leaves)
    assert_close(fused, expected)
    assert_close(unrolled, expected)
    weights = [rng.standard_normal(tuple(y.shape)) for y in expected]
    t_inputs = [*t_leaves, *theirs.parameters()]
    o_inputs = [*o_leaves, *ours.parameters()]
    first = torch.autograd.grad(weighted(expected, weights, torch), t_inputs, create_graph=True)
    loss = weighted(fused, weights, tt)
    plain = tt.autograd.grad(loss, o_inputs, retain_graph=True)
    recorded = tt.autograd.grad(loss, o_inputs, create_graph=True)
    by_reference = tt.autograd.grad(weighted(unrolled, weights, tt), o_inputs)
    for gradients in (plain, recorded, by_reference):
        assert_close(gradients, first)
    if not second:
        return
    expected_second = torch.autograd.grad(sum((g * g).sum() for g in first), t_inputs)
    got_second = tt.autograd.grad(sum((g * g).sum() for g in recorded), o_inputs)
    assert_close(got_second, expected_second, rtol=1e-8, atol=1e-9)


VARIANTS = [
    *(("RNN", {"nonlinearity": name}) for name in ("tanh", "relu")),
    ("GRU", {}),
    ("LSTM", {}),
    ("LSTM", {"proj_size": 2}),
]
variants = pytest.mark.parametrize(
    ("kind", "variant"), VARIANTS, ids=[f"{k}{'-'.join(map(str, v.values()))}" for k, v in VARIANTS]
)


# -- against torch


@variants
@pytest.mark.parametrize(
    ("layers", "directions", "bias", "batch_first"),
    [
        case
        for case in itertools.product((1, 3), (1, 2), (True, False), (False, True))
        if case[2] or not case[3]
    ],
)
def test_layers_directions_and_biases(rng, kind, variant, layers, directions, bias, batch_first):
    options = {"bias": bias, "bidirectional": directions == 2, "batch_first": batch_first}
    theirs, ours = pair(kind, 3, 4, layers, **options, **variant)
    proj = variant.get("proj_size", 0)
    shape = (2, 5, 3) if batch_first else (5, 2, 3)
    arrays = [rng.standard_normal(shape), *states(rng, kind, layers * directions, 2, 4, proj)]

    def run(lib, module, inputs):
        return flat(module(inputs[0], as_state(inputs[1:])))

    assert_one_function(theirs, ours, run, arrays, rng)


@variants
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("enforce_sorted", [False, True])
def test_packed_sequences(rng, kind, variant, bidirectional, enforce_sorted):
    theirs, ours = pair(kind, 3, 4, 2, bidirectional=bidirectional, **variant)
    lengths = [5, 3, 3, 1] if enforce_sorted else [3, 5, 1, 3]
    scans = 4 if bidirectional else 2
    proj = variant.get("proj_size", 0)
    arrays = [rng.standard_normal((6, 4, 3)), *states(rng, kind, scans, 4, 4, proj)]

    def run(lib, module, inputs):
        rnn = lib.nn.utils.rnn
        packed = rnn.pack_padded_sequence(
            inputs[0], lib.tensor(lengths), enforce_sorted=enforce_sorted
        )
        output, state = module(packed, as_state(inputs[1:]))
        return flat((rnn.pad_packed_sequence(output, total_length=6)[0], state))

    assert_one_function(theirs, ours, run, arrays, rng)


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_of_packed_sequences_draws_torchs_masks(rng, kind):
    theirs, ours = pair(kind, 3, 4, 3, dropout=0.5, bidirectional=True)
    arrays = [rng.standard_normal((5, 3, 3)), *states(rng, kind, 6, 3, 4)]

    def run(lib, module, inputs):
        lib.manual_seed(4)
        rnn = lib.nn.utils.rnn
        packed = rnn.pack_padded_sequence(inputs[0], lib.tensor([2, 5, 3]), enforce_sorted=False)
        output, state = module(packed, as_state(inputs[1:]))
        return [output.data, *flat((output, state))[1:]]

    assert_one_function(theirs, ours, run, arrays, rng)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bias": False, "num_layers": 2},
        {"num_layers": 3, "dropout": 0.5, "batch_first": True, "bidirectional": True},
    ],
)
def test_names_repr_and_initial_weights_are_torchs(kind, options):
    torch.manual_seed(5)
    tt.manual_seed(5)
    theirs, ours = getattr(torch.nn, kind)(3, 4, **options), getattr(nn, kind)(3, 4, **options)
    assert repr(ours) == repr(theirs)
    assert ours.mode == theirs.mode
    for (n, p), (m, q) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert n == m
        np.testing.assert_array_equal(p.detach().numpy(), q.detach().numpy())
    shapes = [[tuple(p.shape) for p in scan] for scan in theirs.all_weights]
    assert [[tuple(p.shape) for p in scan] for scan in ours.all_weights] == shapes


@variants
def test_a_layer_is_copied_and_pickled(rng, kind, variant):
    layer = getattr(nn, kind)(3, 4, 2, bidirectional=True, **variant)
    x = tt.rand(5, 2, 3)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert repr(twin) == repr(layer)
        assert_close(flat(twin(x)), flat(layer(x)), rtol=0, atol=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(5, 3), (1, 3)])
def test_inputs_without_a_batch(rng, kind, shape):
    theirs, ours = pair(kind, 3, 4, 2, bidirectional=True)
    arrays = [rng.standard_normal(shape), *(s[:, 0] for s in states(rng, kind, 4, 1, 4))]

    def run(lib, module, inputs):
        return flat(module(inputs[0], as_state(inputs[1:])))

    assert_one_function(theirs, ours, run, arrays, rng, second=False)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batched", [True, False])
def test_cells(rng, kind, bias, batched):
    name = f"{kind}Cell"
    theirs, ours = pair(name, 3, 4, bias=bias)
    assert repr(ours) == repr(theirs)
    size = (2,) if batched else ()
    parts = [part.reshape(*size, 4) for part in states(rng, kind, 1, 2 if batched else 1, 4)]
    arrays = [rng.standard_normal((3, *size, 3)), *parts]

    def run(lib, module, inputs):
        state = as_state(inputs[1:])
        for x in inputs[0]:
            state = module(x, state)
        return list(state) if isinstance(state, tuple) else [state]

    assert_one_function(theirs, ours, run, arrays, rng)
    expected = theirs(torch.tensor(arrays[0][0]))
    got = ours(tt.tensor(arrays[0][0]))
    if kind != "LSTM":
        expected, got = [expected], [got]
    assert_close(got, expected)


def test_a_cell_with_relu(rng):
    theirs, ours = pair("RNNCell", 3, 4, nonlinearity="relu")
    assert repr(ours) == repr(theirs)
    x = rng.standard_normal((2, 3))
    assert_close([ours(tt.tensor(x))], [theirs(torch.tensor(x))])


# -- finite differences, apart from torch


@variants
@pytest.mark.parametrize("bidirectional", [False, True])
def test_derivatives_are_finite_differences(rng, kind, variant, bidirectional):
    layer = getattr(nn, kind)(2, 3, 2, bidirectional=bidirectional, **variant).double()
    arrays = [
        rng.standard_normal((3, 2, 2)),
        *states(rng, kind, 4 if bidirectional else 2, 2, 3, variant.get("proj_size", 0)),
    ]
    inputs = (*leaves(tt, arrays), *layer.parameters())
    count = len(arrays)

    def function(*values):
        return flat(layer(values[0], as_state(values[1:count]), lengths=[3, 1]))

    assert tt.autograd.gradcheck(function, inputs, fast_mode=True)
    assert tt.autograd.gradgradcheck(function, inputs, fast_mode=True)


# -- lengths


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_batch_with_lengths_is_each_sequence_alone(data):
    kind = data.draw(st.sampled_from(KINDS))
    layers = data.draw(st.integers(1, 4))
    bidirectional = data.draw(st.booleans())
    batch_first = data.draw(st.booleans())
    bias = data.draw(st.sampled_from([True, False, "single"]))
    proj = data.draw(st.sampled_from([0, 2])) if kind == "LSTM" else 0
    steps = data.draw(st.integers(1, 6))
    lengths = data.draw(st.lists(st.integers(0, steps), min_size=1, max_size=4))
    batch = len(lengths)
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    options = {"proj_size": proj} if proj else {}
    layer = getattr(nn, kind)(
        3, 4, layers, bias=bias, bidirectional=bidirectional, batch_first=batch_first, **options
    ).double()
    x = rng.standard_normal((batch, steps, 3) if batch_first else (steps, batch, 3))
    first = states(rng, kind, layers * (1 + bidirectional), batch, 4, proj)
    leaf = tt.tensor(x, requires_grad=True)
    output, *last = flat(layer(leaf, as_state(leaves(tt, first)), lengths=lengths))
    if min(lengths) > 0:
        rnn = nn.utils.rnn
        packed = rnn.pack_padded_sequence(
            tt.tensor(x), lengths, batch_first=batch_first, enforce_sorted=False
        )
        data, state = layer(packed, as_state([tt.tensor(part) for part in first]))
        by_rows = rnn.pad_packed_sequence(data, batch_first=batch_first, total_length=steps)[0]
        assert_close(flat((by_rows, state)), [output, *last], rtol=0, atol=0)
    weights = rng.standard_normal(tuple(output.shape))
    output.backward(tt.tensor(weights))
    together = [p.grad.numpy().copy() if p.grad is not None else 0 for p in layer.parameters()]
    layer.zero_grad()
    swap = (lambda a: a.swapaxes(0, 1)) if batch_first else (lambda a: a)
    rows, gradient = swap(output.detach().numpy()), swap(leaf.grad.numpy())
    for k, length in enumerate(lengths):
        assert np.all(rows[length:, k] == 0)
        assert np.all(gradient[length:, k] == 0)
        own = [part[:, k : k + 1] for part in first]
        if length == 0:
            for part, initial in zip(last, own, strict=True):
                np.testing.assert_array_equal(part.detach().numpy()[:, k : k + 1], initial)
            continue
        alone = tt.tensor(swap(x)[:length, k], requires_grad=True)
        squeezed = [part[:, 0] for part in own]
        result = flat(layer(alone, as_state([tt.tensor(part) for part in squeezed])))
        np.testing.assert_allclose(
            rows[:length, k], result[0].detach().numpy(), rtol=1e-12, atol=1e-15
        )
        for part, own_part in zip(last, result[1:], strict=True):
            got = part.detach().numpy()[:, k]
            np.testing.assert_allclose(got, own_part.detach().numpy(), rtol=1e-12, atol=1e-15)
        result[0].backward(tt.tensor(swap(weights)[:length, k].copy()))
        np.testing.assert_allclose(gradient[:length, k], alone.grad.numpy(), rtol=1e-11, atol=1e-14)
    for p, whole in zip(layer.parameters(), together, strict=True):
        by_one = 0 if p.grad is None else p.grad.numpy()
        np.testing.assert_allclose(whole, by_one, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("padding", [0.0, 1e30, np.nan, np.inf])
@pytest.mark.parametrize("unrolled", [False, True])
def test_padding_changes_no_bit(rng, kind, padding, unrolled):
    layer = getattr(nn, kind)(3, 4, 2, bidirectional=True)
    x = rng.standard_normal((5, 4, 3)).astype(np.float32)
    lengths = [3, 0, 5, 1]
    found = []
    for value in (0.5, padding):
        filled = x.copy()
        for k, length in enumerate(lengths):
            filled[length:, k] = value
        leaf = tt.tensor(filled, requires_grad=True)
        layer.zero_grad()
        with tt.unrolled() if unrolled else tt.enable_grad():
            outputs = flat(layer(leaf, lengths=tt.tensor(lengths)))
            sum(y.square().sum() for y in outputs).backward()
        results = [*outputs, leaf.grad, *(p.grad for p in layer.parameters())]
        found.append([y.detach().numpy().copy() for y in results])
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("unrolled", [False, True])
def test_sequences_that_are_all_empty_keep_their_states(rng, kind, unrolled):
    layer = getattr(nn, kind)(3, 4, 2, bidirectional=True).double()
    first = leaves(tt, states(rng, kind, 4, 2, 4))
    x = tt.tensor(rng.standard_normal((3, 2, 3)))
    with tt.unrolled() if unrolled else tt.enable_grad():
        *result, kept = layer(x, as_state(first), lengths=[0, 0], return_states=True)
        output, *last = flat(layer(x, as_state(first), lengths=[0, 0]))
    assert_close(flat(result), [output, *last])
    assert tuple(output.shape) == (3, 2, 8)
    assert np.all(output.detach().numpy() == 0)
    output.sum().backward()  # a batch without a single step is no reason to stop training
    for part, initial in zip(last, first, strict=True):
        np.testing.assert_array_equal(part.detach().numpy(), initial.detach().numpy())
    assert tuple(kept.layer(1, "reverse").h.shape) == (3, 2, 4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", [{"variational": True}, {"recurrent_dropout": 0.5}])
def test_dropout_of_one_mask_takes_sequences_that_are_all_empty(kind, options):
    layer = getattr(nn, kind)(3, 4, 2, dropout=0.5, **options)
    output = flat(layer(tt.zeros(3, 2, 3), lengths=[0, 0]))[0]
    output.sum().backward()
    assert all(np.all(p.grad.numpy() == 0) for p in layer.parameters())


@pytest.mark.parametrize(
    ("lengths", "error", "words"),
    [
        ([[1], [2, 3], [4]], TypeError, "whole numbers"),
        ([1, 2], RuntimeError, "one length for each of the 3 sequences of the batch, got 2"),
        ([1, 2, 6], ValueError, "from 0 to the 5 steps of the input, got 6"),
        ([1, -1, 2], ValueError, "got -1"),
        ([1.0, 2.0, 3.0], TypeError, "whole numbers"),
        ([[1, 2, 3]], TypeError, "whole numbers"),
    ],
)
def test_wrong_lengths_are_refused(lengths, error, words):
    with pytest.raises(error, match=words):
        nn.LSTM(2, 3)(tt.zeros(5, 3, 2), lengths=lengths)


# -- options of our own


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("unrolled", [False, True])
@pytest.mark.parametrize("lengths", [None, [4, 2, 0]])
def test_the_states_of_all_steps_are_those_of_a_loop_over_the_cell(rng, kind, unrolled, lengths):
    layer = getattr(nn, kind)(3, 4, 2, bidirectional=True).double()
    x = tt.tensor(rng.standard_normal((4, 3, 3)))
    with tt.unrolled() if unrolled else tt.enable_grad():
        *plain, kept = layer(x, lengths=lengths, return_states=True)
        assert_close(flat(plain), flat(layer(x, lengths=lengths)))
    read = lengths or [4, 4, 4]
    below = x
    for number in range(2):
        sides = []
        for direction in ("forward", "reverse"):
            states_ = kept.layer(number, direction)
            suffix = f"_l{number}" + ("_reverse" if direction == "reverse" else "")
            cell = getattr(nn, f"{kind}Cell")(below.shape[-1], 4).double()
            cell.load_state_dict(
                {n: getattr(layer, n + suffix) for n, _ in cell.named_parameters()}
            )
            for k, length in enumerate(read):
                state = None
                order = range(length)
                for t in reversed(order) if direction == "reverse" else order:
                    state = cell(below[t, k], state)
                    parts = state if isinstance(state, tuple) else (state,)
                    got = [getattr(states_, name)[t, k] for name in "hc"[: len(parts)]]
                    assert_close(got, parts)
                assert np.all(states_.h.detach().numpy()[length:, k] == 0)
            sides.append(states_.h)
        below = tt.cat(sides, -1)
    assert_close([below], [plain[0]], rtol=0, atol=0)


def test_gates_of_an_lstm_make_its_cells(rng):
    lstm = nn.LSTM(3, 4, proj_size=2, batch_first=True).double()
    _, _, kept = lstm(tt.tensor(rng.standard_normal((2, 5, 3))), return_states=True)
    s = kept.layer(0)
    assert tuple(s.c.shape) == (2, 5, 4)
    before = tt.cat((tt.zeros(2, 1, 4, dtype=tt.float64), s.c[:, :-1]), 1)
    assert_close([s.f * before + s.i * s.g], [s.c])
    assert_close([(s.o * s.c.tanh()) @ lstm.weight_hr_l0.mT], [s.h])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lengths", [None, [4, 2]])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_loss_may_use_states_and_gates_of_every_step(rng, kind, lengths, bidirectional):
    layer = getattr(nn, kind)(3, 4, 2, bidirectional=bidirectional).double()
    x = tt.tensor(rng.standard_normal((4, 2, 3)), requires_grad=True)

    def function(*_):
        output, _, kept = layer(x, lengths=lengths, return_states=True)
        parts = [
            getattr(kept.layer(number, direction), name)
            for number in range(2)
            for direction in ("forward", "reverse")[: 1 + bidirectional]
            for name in kept.layer(0).names
        ]
        return [output, *parts]

    inputs = (x, *layer.parameters())
    weights = [rng.standard_normal(tuple(y.shape)) for y in function()]
    fused = tt.autograd.grad(weighted(function(), weights, tt), inputs)
    with tt.unrolled():
        unrolled = tt.autograd.grad(weighted(function(), weights, tt), inputs)
    assert_close(fused, unrolled)
    assert tt.autograd.gradcheck(function, inputs, fast_mode=True)


def test_names_of_states_are_checked():
    _, _, kept = nn.GRU(2, 3)(tt.zeros(2, 1, 2), return_states=True)
    with pytest.raises(IndexError, match="a layer from 0 to 0, got 1"):
        kept.layer(1)
    with pytest.raises(ValueError, match="reverse"):
        kept.layer(0, "reverse")
    with pytest.raises(AttributeError, match="expected one of h, r, z, n, got 'c'"):
        _ = kept.layer(0).c
    assert "layer 0, forward: ScanStates(h (2, 1, 3)" in repr(kept)


@pytest.mark.parametrize("kind", KINDS)
def test_states_outside_the_graph_are_copied_and_pickled(rng, kind):
    with tt.no_grad():
        *_, kept = getattr(nn, kind)(2, 3)(tt.randn(4, 1, 2), return_states=True)
    for again in (copy.deepcopy(kept), pickle.loads(pickle.dumps(kept))):
        assert_close([again.layer(0).h], [kept.layer(0).h], rtol=0, atol=0)
        assert again.layer(0).names == kept.layer(0).names


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bias", [1, 0, None])
def test_a_bias_that_is_neither_true_nor_false_is_refused_as_in_torch(kind, bias):
    for lib in (tt, torch):
        with pytest.raises(TypeError, match="bias should be of type bool"):
            getattr(lib.nn, kind)(2, 3, bias=bias)
    with pytest.raises(ValueError, match="True, False or 'single', got 'both'"):
        getattr(nn, kind)(2, 3, bias="both")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("sizes", "options", "words"),
    [
        ((2, 3), {"batch_first": 0.5}, "batch_first should be of type bool, got: float"),
        ((2.0, 3), {}, "input_size should be of type int, got: float"),
        ((2, 3.0), {}, "hidden_size should be of type int, got: float"),
    ],
)
def test_options_of_a_wrong_type_are_refused_as_in_torch(kind, sizes, options, words):
    for lib in (tt, torch):
        with pytest.raises(TypeError, match=words):
            getattr(lib.nn, kind)(*sizes, **options)


@pytest.mark.parametrize("bias", [True, "single"])
def test_forget_bias_is_the_sum_that_was_asked_for(bias):
    lstm = nn.LSTM(3, 4, 2, bidirectional=True, bias=bias, forget_bias=1.5)
    for suffix in ("l0", "l0_reverse", "l1", "l1_reverse"):
        total = getattr(lstm, f"bias_ih_{suffix}").detach().numpy().copy()
        if bias is True:
            total += getattr(lstm, f"bias_hh_{suffix}").detach().numpy()
        np.testing.assert_array_equal(total[4:8], np.float32(1.5))
        assert not np.any(total[:4] == 1.5)
    with pytest.raises(ValueError, match="biases for forget_bias"):
        nn.LSTM(3, 4, bias=False, forget_bias=1.0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_bias_acts_as_two_of_which_one_is_zero(rng, kind):
    one = getattr(nn, kind)(3, 4, 2, bias="single").double()
    two = getattr(nn, kind)(3, 4, 2).double()
    assert [n for n, _ in one.named_parameters() if n.startswith("bias")] == [
        "bias_ih_l0", "bias_ih_l1",
    ]  # fmt: skip
    missing = two.load_state_dict(one.state_dict(), strict=False).missing_keys
    for name in missing:
        getattr(two, name).data.zero_()
    x = tt.tensor(rng.standard_normal((5, 2, 3)))
    assert_close(flat(one(x)), flat(two(x)))
    assert "bias='single'" in repr(one)
    with pytest.raises(ValueError, match="bias to be True, False or 'single'"):
        getattr(nn, kind)(3, 4, bias="double")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lengths", [None, [2, 5, 0]])
def test_variational_dropout_draws_one_mask_for_all_steps(rng, kind, lengths):
    layer = getattr(nn, kind)(3, 8, 2, dropout=0.5, variational=True).double()
    x = tt.tensor(rng.standard_normal((5, 3, 3)))
    tt.manual_seed(3)
    *_, kept = layer(x, lengths=lengths, return_states=True)
    tt.manual_seed(3)
    mask = tt.nn.functional.dropout(tt.ones(3, 8, dtype=tt.float64), 0.5)
    upper = getattr(nn, kind)(8, 8).double()
    upper.load_state_dict({n: getattr(layer, n[:-1] + "1") for n, _ in upper.named_parameters()})
    below = kept.layer(0).h * (mask if lengths is None else mask[[1, 0, 2]])
    expected = flat(upper(below, lengths=lengths))[0]
    assert_close([kept.layer(1).h], [expected])
    layer.eval()
    assert_close([flat(layer(x))[0]], [flat(layer(x))[0]], rtol=0, atol=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lengths", [None, [2, 5, 0]])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_recurrent_dropout_zeroes_the_same_units_at_all_steps(rng, kind, lengths, bidirectional):
    layer = getattr(nn, kind)(3, 8, 2, bidirectional=bidirectional, recurrent_dropout=0.5).double()
    x = tt.tensor(rng.standard_normal((5, 3, 3)), requires_grad=True)
    inputs = (x, *layer.parameters())

    def function(*_):
        tt.manual_seed(3)
        return flat(layer(x, lengths=lengths))

    weights = [rng.standard_normal(tuple(y.shape)) for y in function()]
    fused = tt.autograd.grad(weighted(function(), weights, tt), inputs)
    with tt.unrolled():
        unrolled = function()
        by_reference = tt.autograd.grad(weighted(unrolled, weights, tt), inputs)
    assert_close(function(), unrolled)
    assert_close(fused, by_reference)
    assert tt.autograd.gradcheck(function, inputs, fast_mode=True)


def test_recurrent_dropout_is_that_of_a_loop_over_the_cell(rng):
    lstm = nn.LSTM(3, 8, recurrent_dropout=0.5).double()
    cell = nn.LSTMCell(3, 8).double()
    cell.load_state_dict({k.removesuffix("_l0"): v for k, v in lstm.state_dict().items()})
    x = tt.tensor(rng.standard_normal((5, 2, 3)))
    tt.manual_seed(1)
    output, _ = lstm(x)
    tt.manual_seed(1)
    factors = tt.nn.functional.dropout(tt.ones(2, 8, dtype=tt.float64), 0.5)
    h, c = tt.zeros(2, 2, 8, dtype=tt.float64)
    for t in range(5):
        h, c = cell(x[t], (h * factors, c))
        assert_close([output[t]], [h])
    plain = nn.LSTM(3, 8).double()
    plain.load_state_dict(lstm.state_dict())
    assert_close([lstm.eval()(x)[0]], [plain(x)[0]], rtol=0, atol=0)
    assert "recurrent_dropout=0.5" in repr(lstm)
    with pytest.raises(ValueError, match="recurrent_dropout should be a number"):
        nn.GRU(3, 4, recurrent_dropout=1.5)


def test_last_states_are_each_directions_own_last_step(rng):
    lstm = nn.LSTM(3, 4, 2, bidirectional=True).double()
    x = tt.tensor(rng.standard_normal((5, 2, 3)))
    output, (h_n, _) = lstm(x, lengths=[5, 3])
    last = lstm.last_states(h_n)
    assert tuple(last.shape) == (2, 8)
    for k, length in enumerate((5, 3)):
        assert_close([last[k, :4], last[k, 4:]], [output[length - 1, k, :4], output[0, k, 4:]])
    one = nn.GRU(3, 4).double()
    output, h_n = one(x)
    assert_close([one.last_states(h_n)], [output[-1]])


def places_of(text: str) -> list[tuple[str, str]]:
    """(name of a state's entry, the part of output that it equals) of an explanation."""
    found = []
    for line in text.splitlines():
        if "equals output" in line:
            found.append((line.split()[0], line.split("equals ")[1]))
    return found


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("batched", [False, True])
def test_what_explain_says_is_true(capsys, rng, batch_first, batched):
    lstm = nn.LSTM(3, 4, 2, bidirectional=True, batch_first=batch_first).double()
    shape = ((2, 5, 3) if batch_first else (5, 2, 3)) if batched else (5, 3)
    x = tt.tensor(rng.standard_normal(shape))
    lstm.explain(x)
    text = capsys.readouterr().out
    output, (h_n, _) = lstm(x)
    names = {"output": output, "h_n": h_n}
    places = places_of(text)
    assert len(places) == 2
    for state, part in places:
        np.testing.assert_array_equal(
            eval(state, names).detach().numpy(), eval(part, names).detach().numpy()
        )
    assert f"= {tuple(output.shape)}" in text
    assert f"= {tuple(h_n.shape)}" in text
    assert "last_states(h_n)" in text


def test_explain_tells_of_all_parts_of_the_state_of_any_layer(capsys):
    class Named(nn.LSTM):
        pass

    for layer in (Named(3, 4, proj_size=2), nn.Recurrent(nn.LSTMCell, 3, 4)):
        layer.explain((5, 2, 3))
        text = capsys.readouterr().out
        _, (h_n, c_n) = layer(tt.zeros(5, 2, 3))
        assert f"h_n (L * D, N, {h_n.shape[2]}) = {tuple(h_n.shape)}" in text
        assert f"c_n (L * D, N, {c_n.shape[2]}) = {tuple(c_n.shape)}" in text


def test_explain_refuses_what_is_no_batch_of_sequences():
    lstm = nn.LSTM(3, 4)
    with pytest.raises(ValueError, match="2 or 3 dimensions, got 1"):
        lstm.explain((3,))


# -- the utilities for packing


def test_packing_is_torchs(rng):
    lengths = [2, 4, 1, 4]
    x = rng.standard_normal((5, 4, 3))
    ours = nn.utils.rnn.pack_padded_sequence(tt.tensor(x), lengths, enforce_sorted=False)
    theirs = torch.nn.utils.rnn.pack_padded_sequence(
        torch.tensor(x), torch.tensor(lengths), enforce_sorted=False
    )
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    back, sizes = nn.utils.rnn.pad_packed_sequence(ours, padding_value=-1.0, total_length=6)
    their_back, their_sizes = torch.nn.utils.rnn.pad_packed_sequence(
        theirs, padding_value=-1.0, total_length=6
    )
    np.testing.assert_array_equal(back.numpy(), their_back.numpy())
    np.testing.assert_array_equal(sizes.numpy(), their_sizes.numpy())
    for a, b in zip(
        nn.utils.rnn.unpack_sequence(ours), torch.nn.utils.rnn.unpack_sequence(theirs), strict=True
    ):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert ours.float().data.dtype is tt.float32
    assert ours.to(tt.float32).data.dtype is tt.float32
    assert not ours.is_cuda


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("side", ["right", "left"])
def test_padding_is_torchs(rng, batch_first, side):
    arrays = [rng.standard_normal((n, 2)) for n in (3, 1, 4)]
    options = {"batch_first": batch_first, "padding_value": 7.0, "padding_side": side}
    inputs = leaves(tt, arrays)
    ours = nn.utils.rnn.pad_sequence(inputs, **options)
    theirs = torch.nn.utils.rnn.pad_sequence(leaves(torch, arrays), **options)
    assert_close([ours], [theirs], rtol=0, atol=0)
    ours.square().sum().backward()
    assert_close([x.grad for x in inputs], [2 * x for x in inputs])
    if side == "right":
        apart = nn.utils.rnn.unpad_sequence(ours, tt.tensor([3, 1, 4]), batch_first=batch_first)
        assert_close(apart, inputs, rtol=0, atol=0)


def test_pack_sequence_is_torchs(rng):
    arrays = [rng.standard_normal((n, 2)) for n in (4, 2, 2)]
    ours = nn.utils.rnn.pack_sequence(leaves(tt, arrays))
    theirs = torch.nn.utils.rnn.pack_sequence(leaves(torch, arrays))
    assert_close(ours[:2], theirs[:2], rtol=0, atol=0)
    assert ours.sorted_indices is None
    assert theirs.sorted_indices is None


def packing_error(call: Any) -> tuple[type, str]:
    with pytest.raises((RuntimeError, ValueError, TypeError)) as caught:
        call()
    return caught.type, str(caught.value)


@pytest.mark.parametrize(
    "call",
    [
        lambda lib: lib.nn.utils.rnn.pack_padded_sequence(lib.zeros(3, 2, 1), lib.tensor([1, 2])),
        lambda lib: lib.nn.utils.rnn.pack_padded_sequence(lib.zeros(3, 2, 1), lib.tensor([2, 0])),
        lambda lib: lib.nn.utils.rnn.pack_padded_sequence(lib.zeros(3, 2, 1), lib.tensor([2])),
        lambda lib: lib.nn.utils.rnn.pad_packed_sequence(
            lib.nn.utils.rnn.pack_sequence([lib.zeros(3, 1)]), total_length=2
        ),
        lambda lib: lib.nn.utils.rnn.pad_sequence([]),
    ],
)
def test_what_torch_refuses_to_pack_is_refused(call):
    kind, message = packing_error(lambda: call(tt))
    assert packing_error(lambda: call(torch))[0] is kind
    assert message


@pytest.mark.parametrize("sizes", [[1, 2], [3, 0], []])
def test_sizes_that_no_packing_has_are_refused(sizes):
    with pytest.raises(ValueError, match="at least 1 that never rise"):
        nn.utils.rnn.PackedSequence(tt.zeros(sum(sizes), 2), tt.tensor(sizes, dtype=tt.int64))


def test_what_cannot_be_packed_is_told():
    rnn = nn.utils.rnn
    with pytest.raises(RuntimeError, match="Cannot pack empty tensors"):
        rnn.pack_padded_sequence(tt.zeros(3, 0, 1), [])
    with pytest.raises(RuntimeError, match=r"\(T, N, ...\), got 1 dimensions"):
        rnn.pack_padded_sequence(tt.zeros(3), [3])
    with pytest.raises(TypeError, match="pack_sequence: expected a Tensor, got ndarray"):
        rnn.pack_sequence([np.zeros(3)])
    with pytest.raises(TypeError, match="PackedSequence: expected a Tensor, got ndarray"):
        rnn.PackedSequence(np.zeros((3, 2)), tt.tensor([2, 1]))
    with pytest.raises(ValueError, match="an int64 Tensor"):
        rnn.PackedSequence(tt.zeros(3, 2), [2, 1])


@pytest.mark.parametrize("features", [(), (1, 2)])
def test_packed_sequences_of_no_vectors_are_refused_as_in_torch(features):
    for lib in (tt, torch):
        sequence = lib.nn.utils.rnn.PackedSequence(lib.zeros(3, *features), lib.tensor([2, 1]))
        with pytest.raises(RuntimeError, match="2 dimensions" if lib is tt else None):
            lib.nn.LSTM(2, 3)(sequence)


def test_lengths_beyond_the_memory_are_refused_where_torch_reads_on():
    with pytest.raises(RuntimeError, match="from 0 to the 3 steps of the input, got 4"):
        nn.utils.rnn.pack_padded_sequence(tt.zeros(3, 2, 1), [4, 2])


def test_packed_input_with_our_own_options_is_refused():
    packed = nn.utils.rnn.pack_sequence([tt.zeros(3, 2)])
    with pytest.raises(TypeError, match="got a PackedSequence; use pad_packed_sequence"):
        nn.LSTM(2, 3)(packed, lengths=[3])
