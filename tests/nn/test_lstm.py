"""The LSTM: kernel, reference, torch and finite differences are one function."""

import itertools
import warnings

import numpy as np
import pytest

import tinytensor as tt
from tinytensor import nn

torch = pytest.importorskip("torch")


def pair(input_size, hidden_size, layers=1, dtype="float64", **options):
    """A torch LSTM and ours with its weights."""
    torch.manual_seed(layers)
    theirs = torch.nn.LSTM(input_size, hidden_size, layers, **options).to(getattr(torch, dtype))
    ours = nn.LSTM(input_size, hidden_size, layers, **options).to(getattr(tt, dtype))
    ours.load_state_dict({k: tt.from_numpy(v.numpy()) for k, v in theirs.state_dict().items()})
    return theirs, ours


def leaf(rng, *shape, dtype=np.float64):
    """The same random leaf in both libraries."""
    array = rng.standard_normal(shape).astype(dtype)
    return torch.tensor(array, requires_grad=True), tt.tensor(array, requires_grad=True)


def weighted_sum(outputs, weights):
    """A scalar in which every element of every output has its own weight."""
    return sum((y * w).sum() for y, w in zip(outputs, weights, strict=True))


def flat(result):
    output, (h, c) = result
    return [output, h, c]


def assert_all_close(ours, theirs, rtol=1e-10, atol=1e-12):
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=rtol, atol=atol)


CASES = [
    pytest.param(layers, directions, bias, batch_first, steps, id=f"L{layers}D{directions}"
                 f"{'' if bias else '-nobias'}{'-batchfirst' if batch_first else ''}-T{steps}")
    for layers, directions, bias, batch_first, steps in itertools.product(
        (1, 2, 3), (1, 2), (True, False), (False, True), (1, 2, 7)
    )
]  # fmt: skip


@pytest.mark.parametrize(("layers", "directions", "bias", "batch_first", "steps"), CASES)
def test_kernel_reference_and_torch_agree(rng, layers, directions, bias, batch_first, steps):
    theirs, ours = pair(
        5, 4, layers, bias=bias, batch_first=batch_first, bidirectional=directions == 2
    )
    shape = (3, steps, 5) if batch_first else (steps, 3, 5)
    x, x_ = leaf(rng, *shape)
    h, h_ = leaf(rng, layers * directions, 3, 4)
    c, c_ = leaf(rng, layers * directions, 3, 4)
    expected = flat(theirs(x, (h, c)))
    fused = flat(ours(x_, (h_, c_)))
    with tt.unrolled():
        unrolled = flat(ours(x_, (h_, c_)))
    assert_all_close(fused, expected)
    assert_all_close(unrolled, expected)

    weights = [rng.standard_normal(tuple(y.shape)) for y in expected]
    torch_weights = [torch.tensor(w) for w in weights]
    our_weights = [tt.tensor(w) for w in weights]
    torch_inputs = [x, h, c, *theirs.parameters()]
    our_inputs = [x_, h_, c_, *ours.parameters()]
    first = torch.autograd.grad(
        weighted_sum(expected, torch_weights), torch_inputs, create_graph=True
    )
    plain = tt.autograd.grad(weighted_sum(fused, our_weights), our_inputs, retain_graph=True)
    by_reference = tt.autograd.grad(weighted_sum(unrolled, our_weights), our_inputs)
    recorded = tt.autograd.grad(weighted_sum(fused, our_weights), our_inputs, create_graph=True)
    assert_all_close(plain, first)
    assert_all_close(by_reference, first)
    assert_all_close(recorded, first)

    second = torch.autograd.grad(sum((g * g).sum() for g in first), torch_inputs)
    our_second = tt.autograd.grad(sum((g * g).sum() for g in recorded), our_inputs)
    assert_all_close(our_second, second, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize(("layers", "directions", "bias", "batch_first", "steps"), CASES)
def test_every_form_matches_finite_differences(
    rng, layers, directions, bias, batch_first, steps, dropout
):
    options = {"bias": bias, "batch_first": batch_first, "bidirectional": directions == 2}
    lstm = nn.LSTM(3, 2, layers, dropout=dropout if layers > 1 else 0.0, **options).double()
    shape = (2, steps, 3) if batch_first else (steps, 2, 3)
    x = tt.tensor(rng.standard_normal(shape), requires_grad=True)
    h, c = (
        tt.tensor(rng.standard_normal((layers * directions, 2, 2)), requires_grad=True)
        for _ in "hc"
    )
    leaves = (x, h, c, *lstm.parameters())
    assert tt.autograd.gradcheck(lambda *_: flat(lstm(x, (h, c))), leaves, fast_mode=True)


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("layers", [1, 2])
def test_first_and_second_derivatives_match_finite_differences(rng, layers, directions):
    lstm = nn.LSTM(3, 2, layers, bidirectional=directions == 2).double()
    x = tt.tensor(rng.standard_normal((3, 2, 3)), requires_grad=True)
    h = tt.tensor(rng.standard_normal((layers * directions, 2, 2)), requires_grad=True)
    c = tt.tensor(rng.standard_normal((layers * directions, 2, 2)), requires_grad=True)

    def function(x, h, c, *parameters):
        return flat(lstm(x, (h, c)))

    inputs = (x, h, c, *lstm.parameters())
    assert tt.autograd.gradcheck(function, inputs)
    assert tt.autograd.gradgradcheck(function, inputs, fast_mode=True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_dropout_draws_torchs_own_masks(rng, dtype, bidirectional, batch_first, steps):
    name = np.dtype(dtype).name
    options = {"bidirectional": bidirectional, "batch_first": batch_first}
    theirs, ours = pair(5, 4, 3, dtype=name, dropout=0.4, **options)
    shape = (3, steps, 5) if batch_first else (steps, 3, 5)
    x, x_ = leaf(rng, *shape, dtype=dtype)
    torch.manual_seed(11)
    tt.manual_seed(11)
    expected, got = flat(theirs(x)), flat(ours(x_))
    tolerance = {"rtol": 1e-10, "atol": 1e-12}
    if dtype is np.float32:
        tolerance = {"rtol": 1e-4, "atol": 1e-5}
    assert_all_close(got, expected, **tolerance)
    sum(y.sum() for y in expected).backward()
    sum(y.sum() for y in got).backward()
    assert_all_close([x_.grad], [x.grad], **tolerance)
    assert_all_close(
        [p.grad for p in ours.parameters()], [p.grad for p in theirs.parameters()], **tolerance
    )
    theirs.eval(), ours.eval()
    assert_all_close(flat(ours(x_)), flat(theirs(x)), **tolerance)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("layers", [2, 3])
def test_second_derivatives_through_dropout_are_torchs(rng, layers, bidirectional, bias):
    theirs, ours = pair(3, 4, layers, dropout=0.4, bidirectional=bidirectional, bias=bias)
    x, x_ = leaf(rng, 5, 2, 3)
    seconds = []
    for library, model, input in ((torch, theirs, x), (tt, ours, x_)):
        library.manual_seed(3)
        leaves = [input, *model.parameters()]
        loss = sum(y.square().sum() for y in flat(model(input)))
        first = library.autograd.grad(loss, leaves, create_graph=True)
        seconds.append(library.autograd.grad(sum((g * g).sum() for g in first), leaves))
    assert_all_close(seconds[1], seconds[0], rtol=1e-8, atol=1e-9)


def test_dropout_with_create_graph_uses_the_mask_that_was_drawn(rng):
    lstm = nn.LSTM(3, 4, 2, dropout=0.5).double()
    x = tt.tensor(rng.standard_normal((5, 2, 3)), requires_grad=True)
    loss = lstm(x)[0].square().sum()
    (plain,) = tt.autograd.grad(loss, x, retain_graph=True)
    (recorded,) = tt.autograd.grad(loss, x, create_graph=True)
    assert_all_close([recorded], [plain])


def test_full_dropout_leaves_the_upper_layer_without_input(rng):
    lstm = nn.LSTM(3, 4, 2, dropout=1.0).double()
    a, b = (tt.tensor(rng.standard_normal((5, 2, 3))) for _ in range(2))
    np.testing.assert_array_equal(lstm(a)[0].detach().numpy(), lstm(b)[0].detach().numpy())


# -- states, ties, reuse: an input that depends on another input is counted once


def gradients_of_all_kinds(loss_of, leaves):
    """The gradients plainly and under create_graph, and the second order of both libraries."""
    plain = tt.autograd.grad(loss_of(), leaves)
    recorded = tt.autograd.grad(loss_of(), leaves, create_graph=True)
    assert_all_close(plain, recorded)
    return recorded


def second_order_matches_finite_differences(loss_of, leaves):
    assert tt.autograd.gradcheck(lambda *_: loss_of(), tuple(leaves))
    assert tt.autograd.gradgradcheck(lambda *_: loss_of(), tuple(leaves))


def test_carried_state_is_differentiated_once(rng):
    lstm = nn.LSTM(2, 3).double()
    first, second = (tt.tensor(rng.standard_normal((2, 2, 2)), requires_grad=True) for _ in "ab")

    def loss():
        output1, state = lstm(first)
        output2, state = lstm(second, state)
        return (output1 * output2).sum() + state[1].sum()

    leaves = [first, second, *lstm.parameters()]
    gradients_of_all_kinds(loss, leaves)
    second_order_matches_finite_differences(loss, leaves)


def test_two_calls_with_carried_state_equal_one_call_over_both(rng):
    theirs, ours = pair(2, 3, 2)
    whole = rng.standard_normal((6, 2, 2))
    x = tt.tensor(whole, requires_grad=True)
    output, state = ours(x[:4])
    rest, _ = ours(x[4:], state)
    tt.cat([output, rest]).square().sum().backward()
    one = tt.tensor(whole, requires_grad=True)
    torch_x = torch.tensor(whole, requires_grad=True)
    ours(one)[0].square().sum().backward()
    theirs(torch_x)[0].square().sum().backward()
    assert_all_close([x.grad, one.grad], [torch_x.grad, torch_x.grad])
    doubled = [p.grad / 2 for p in ours.parameters()]
    assert_all_close(doubled, [p.grad for p in theirs.parameters()])


def test_an_initial_state_made_of_the_weights_is_differentiated_once(rng):
    lstm = nn.LSTM(2, 2).double()
    x = tt.tensor(rng.standard_normal((3, 1, 2)), requires_grad=True)

    def loss():
        h0 = lstm.weight_hh_l0[:2].sum(0).reshape(1, 1, 2).tanh()
        c0 = lstm.bias_ih_l0[2:4].reshape(1, 1, 2) * h0
        output, (h, c) = lstm(x, (h0, c0))
        return output.square().sum() + (h * c).sum()

    leaves = [x, *lstm.parameters()]
    gradients_of_all_kinds(loss, leaves)
    second_order_matches_finite_differences(loss, leaves)


def test_tied_weights_are_differentiated_once(rng):
    lstm = nn.LSTM(3, 3, 2).double()
    lstm.weight_ih_l1 = lstm.weight_ih_l0
    lstm.weight_hh_l1 = lstm.weight_ih_l0
    x = tt.tensor(rng.standard_normal((3, 1, 3)), requires_grad=True)

    def loss():
        return lstm(x)[0].square().sum()

    leaves = [x, *lstm.parameters()]
    assert len(leaves) == 1 + 6
    gradients_of_all_kinds(loss, leaves)
    second_order_matches_finite_differences(loss, leaves)


def test_one_layer_called_twice_before_one_backward(rng):
    theirs, ours = pair(3, 4, 1)
    a, a_ = leaf(rng, 4, 2, 3)
    b, b_ = leaf(rng, 5, 2, 3)
    (theirs(a)[0].sum() * theirs(b)[0].square().sum()).backward()
    (ours(a_)[0].sum() * ours(b_)[0].square().sum()).backward()
    assert_all_close([a_.grad, b_.grad], [a.grad, b.grad])
    assert_all_close([p.grad for p in ours.parameters()], [p.grad for p in theirs.parameters()])


def test_retain_graph_lets_a_kernel_be_differentiated_again(rng):
    lstm = nn.LSTM(3, 4, 2, bidirectional=True).double()
    x = tt.tensor(rng.standard_normal((5, 2, 3)), requires_grad=True)
    loss = lstm(x)[0].sum()
    passes = [tt.autograd.grad(loss, [x, *lstm.parameters()], retain_graph=True) for _ in range(3)]
    for later in passes[1:]:
        for a, b in zip(passes[0], later, strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())
    loss.backward()
    with pytest.raises(RuntimeError, match=r"lstm.*second time.*detach.*retain_graph"):
        loss.backward()


def test_writing_into_the_outputs_changes_no_gradient(rng):
    theirs, ours = pair(3, 4)
    x, x_ = leaf(rng, 5, 2, 3)
    for model, input in ((theirs, x), (ours, x_)):
        output, _ = model(input)
        output.mul_(2.0)
        output[0] = 1.0
        output.square().sum().backward()
    assert_all_close([x_.grad], [x.grad])
    assert_all_close([p.grad for p in ours.parameters()], [p.grad for p in theirs.parameters()])


def test_a_weight_changed_before_backward_is_an_error(rng):
    lstm = nn.LSTM(3, 4)
    loss = lstm(tt.rand(5, 2, 3))[0].sum()
    with tt.no_grad():
        lstm.weight_hh_l0.mul_(0.5)
    with pytest.raises(RuntimeError, match=r"lstm.*modified by an inplace operation"):
        loss.backward()


def test_gradients_reach_only_what_asks_for_them(rng):
    theirs, ours = pair(3, 4, 2, bidirectional=True)
    for model in (theirs, ours):
        model.requires_grad_(False)
        model.weight_hh_l0.requires_grad_(True)
        model.bias_hh_l1_reverse.requires_grad_(True)
    array = rng.standard_normal((5, 2, 3))
    theirs(torch.tensor(array))[0].square().sum().backward()
    ours(tt.tensor(array))[0].square().sum().backward()
    named = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        assert (parameter.grad is None) == (named[name].grad is None)
        if parameter.grad is not None:
            assert_all_close([parameter.grad], [named[name].grad])


@pytest.mark.parametrize("used", ["output", "h", "c", "one step", "one direction"])
def test_a_part_of_the_outputs_may_be_used_alone(rng, used):
    theirs, ours = pair(3, 4, 2, bidirectional=True)
    x, x_ = leaf(rng, 5, 2, 3)
    pick = {
        "output": lambda o, h, c: o.sum(),
        "h": lambda o, h, c: (h * h).sum(),
        "c": lambda o, h, c: c[1].sum(),
        "one step": lambda o, h, c: o[2].sum(),
        "one direction": lambda o, h, c: o[:, :, 4:].square().sum(),
    }[used]
    pick(*flat(theirs(x))).backward()
    pick(*flat(ours(x_))).backward()
    assert_all_close([x_.grad], [x.grad])
    assert_all_close([p.grad for p in ours.parameters()], [p.grad for p in theirs.parameters()])


def test_float32_stays_float32_and_close_to_torch(rng):
    theirs, ours = pair(5, 16, 2, dtype="float32", bidirectional=True)
    x, x_ = leaf(rng, 20, 3, 5, dtype=np.float32)
    expected, got = flat(theirs(x)), flat(ours(x_))
    assert_all_close(got, expected, rtol=1e-4, atol=1e-6)
    sum(y.sum() for y in expected).backward()
    sum(y.sum() for y in got).backward()
    assert x_.grad.dtype is tt.float32
    assert_all_close([x_.grad], [x.grad], rtol=1e-4, atol=1e-5)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert p.grad.dtype is tt.float32
        assert_all_close([p.grad], [q.grad], rtol=1e-4, atol=1e-4)


# -- the module


@pytest.mark.parametrize("shape", [(4, 5), (4, 1, 5), (4, 3, 5)])
def test_inputs_without_a_batch_come_back_without_one(rng, shape):
    theirs, ours = pair(5, 4, 2, bidirectional=True)
    array = rng.standard_normal(shape)
    expected, got = flat(theirs(torch.tensor(array))), flat(ours(tt.tensor(array)))
    assert [tuple(y.shape) for y in got] == [tuple(y.shape) for y in expected]
    assert_all_close(got, expected)
    state = [rng.standard_normal(tuple(y.shape)) for y in got[1:]]
    expected = flat(theirs(torch.tensor(array), tuple(map(torch.tensor, state))))
    got = flat(ours(tt.tensor(array), tuple(map(tt.tensor, state))))
    assert_all_close(got, expected)


@pytest.mark.parametrize("options", [
    {}, {"num_layers": 2}, {"bidirectional": True}, {"bias": False},
    {"num_layers": 3, "dropout": 0.5, "batch_first": True, "bidirectional": True},
])  # fmt: skip
def test_initial_weights_names_and_repr_are_torchs(options):
    torch.manual_seed(5)
    tt.manual_seed(5)
    theirs, ours = torch.nn.LSTM(3, 4, **options), nn.LSTM(3, 4, **options)
    assert repr(ours) == repr(theirs)
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_array_equal(p.detach().numpy(), q.detach().numpy())
    shapes = [[tuple(p.shape) for p in layer] for layer in theirs.all_weights]
    assert [[tuple(p.shape) for p in layer] for layer in ours.all_weights] == shapes


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batched", [True, False])
def test_the_cell_is_torchs_cell(rng, bias, batched):
    torch.manual_seed(2)
    tt.manual_seed(2)
    theirs, ours = torch.nn.LSTMCell(3, 4, bias), nn.LSTMCell(3, 4, bias)
    assert repr(ours) == repr(theirs)
    for (n, p), (m, q) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert n == m
        np.testing.assert_array_equal(p.detach().numpy(), q.detach().numpy())
    theirs, ours = theirs.double(), ours.double()
    size = (2,) if batched else ()
    state, state_ = None, None
    for _ in range(3):
        x, x_ = leaf(rng, *size, 3)
        state, state_ = theirs(x, state), ours(x_, state_)
    assert_all_close(state_, state)
    (state[0] * state[1]).sum().backward()
    (state_[0] * state_[1]).sum().backward()
    assert_all_close([x_.grad], [x.grad])
    assert_all_close([p.grad for p in ours.parameters()], [p.grad for p in theirs.parameters()])


def test_a_loop_over_the_cell_is_the_layer(rng):
    lstm = nn.LSTM(3, 4).double()
    cell = nn.LSTMCell(3, 4).double()
    cell.load_state_dict({k.removesuffix("_l0"): v for k, v in lstm.state_dict().items()})
    x = tt.tensor(rng.standard_normal((6, 2, 3)))
    state = None
    outputs = []
    for step in x:
        state = cell(step, state)
        outputs.append(state[0])
    output, (h, c) = lstm(x)
    assert_all_close([tt.stack(outputs), state[0], state[1]], [output, h[0], c[0]])


def test_dropout_on_one_layer_warns_and_says_what_to_do():
    with pytest.warns(UserWarning, match=r"num_layers greater than 1.*nn\.Dropout"):
        nn.LSTM(3, 4, dropout=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nn.LSTM(3, 4, 2, dropout=0.5)
        nn.LSTM(3, 4)


WRONG_STATES = [
    ((1, 2, 4), "one entry for each layer and each direction"),
    ((4, 3, 4), "another batch size"),
    ((2, 4, 4), "batch_first turns input and output around, but never the states"),
    ((4, 2, 5), "hidden_size"),
    ((4, 4), "batch dimension"),
]


@pytest.mark.parametrize(("shape", "cause"), WRONG_STATES)
def test_a_wrong_state_is_told_the_expected_shape_and_the_usual_cause(shape, cause):
    lstm = nn.LSTM(3, 4, 2, bidirectional=True)
    good = tt.zeros(4, 2, 4)
    for state, name in (((tt.zeros(shape), good), "h_0"), ((good, tt.zeros(shape)), "c_0")):
        with pytest.raises(RuntimeError) as caught:
            lstm(tt.zeros(5, 2, 3), state)
        message = str(caught.value)
        assert f"Expected {name}" in message
        assert "(num_layers * num_directions, N, H) = (4, 2, 4)" in message
        assert str(shape) in message
        assert cause in message
    lstm(tt.zeros(5, 2, 3), (good, good))


@pytest.mark.parametrize("many", [1, 8])  # from how many sequences on gate by gate
@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_backward_walk_may_go_in_blocks_of_any_size(rng, monkeypatch, bidirectional, many):
    monkeypatch.setattr("tinytensor.nn.lstm_kernel._MANY", many)
    theirs, ours = pair(3, 4, 2, bidirectional=bidirectional)
    array = rng.standard_normal((7, 2, 3))
    results = []
    for bytes_in_a_block in (1, 3 * 2 * 16 * 8, 1 << 30):  # a step, three steps, all of them
        monkeypatch.setattr("tinytensor.nn.lstm_kernel._BLOCK_BYTES", bytes_in_a_block)
        ours.zero_grad()
        ours(tt.tensor(array))[0].square().sum().backward()
        results.append([p.grad.numpy().copy() for p in ours.parameters()])
    theirs(torch.tensor(array))[0].square().sum().backward()
    for gradients in results:
        for a, b, p in zip(gradients, results[0], theirs.parameters(), strict=True):
            np.testing.assert_array_equal(a, b)
            np.testing.assert_allclose(a, p.grad.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("lengths", [None, [7, 3, 3, 1, 6]])
def test_the_products_of_a_step_may_be_made_in_blocks(rng, monkeypatch, lengths):
    _, ours = pair(3, 4, 2, bidirectional=True)
    array = tt.tensor(rng.standard_normal((7, 5, 3)))
    results = []
    for quick, narrowest, rows in ((100**3, 32, 16), (100, 1, 1)):  # one block, several
        monkeypatch.setattr("tinytensor.nn.blocks._QUICK", quick)
        monkeypatch.setattr("tinytensor.nn.blocks._NARROWEST", narrowest)
        monkeypatch.setattr("tinytensor.nn.blocks._FEWEST_ROWS", rows)
        output, _ = ours(array, lengths=lengths)
        gradients = tt.autograd.grad(output.square().sum(), tuple(ours.parameters()))
        results.append([y.detach().numpy() for y in (output, *gradients)])
    for whole, in_blocks in zip(*results, strict=True):
        np.testing.assert_allclose(in_blocks, whole, rtol=1e-10, atol=1e-12)


def test_an_empty_batch_has_gradients_of_zero():
    theirs, ours = pair(3, 4, 2, bidirectional=True)
    for model, library in ((theirs, torch), (ours, tt)):
        output, (h, c) = model(library.zeros(5, 0, 3, dtype=library.float64))
        (output.sum() + h.sum() + c.sum()).backward()
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_array_equal(p.grad.numpy(), q.grad.numpy())


def test_a_kernel_computes_only_the_gradients_that_are_asked_for(rng, monkeypatch):
    from tinytensor.nn.lstm_kernel import lstm as kernel

    needs = []
    backward = kernel.backward

    def watched(gradients, saved, arrays, needed, **static):
        needs.append(needed)
        return backward(gradients, saved, arrays, needed, **static)

    monkeypatch.setattr(kernel, "backward", watched)
    lstm = nn.LSTM(3, 4)
    x = tt.rand(5, 2, 3, requires_grad=True)
    tt.autograd.grad(lstm(x)[0].sum(), x)
    tt.autograd.grad(lstm(x)[0].sum(), lstm.weight_hh_l0)
    assert needs == [
        (True, False, False, False, False, False, False, False, False, False),
        (False, False, False, False, False, True, False, False, False, False),
    ]


BAD_INPUTS = [
    (lambda lstm: lstm(tt.zeros(5, 2, 4)), RuntimeError, "Expected 3, got 4"),
    (lambda lstm: lstm(tt.zeros(5, 2, 2, 3)), ValueError, "2D or 3D, got 4D"),
    (lambda lstm: lstm(np.zeros((5, 2, 3))), TypeError, "input to be a Tensor, got ndarray"),
    (lambda lstm: lstm([[1.0]]), TypeError, "input to be a Tensor, got list"),
    (lambda lstm: lstm(tt.zeros(5, 2, 3), (tt.zeros(1, 2, 4),)), TypeError, "got tuple of 1"),
    (lambda lstm: lstm(tt.zeros(0, 2, 3)), RuntimeError, "sequence length"),
    (lambda lstm: lstm(tt.zeros(5, 2, 3, dtype=tt.float64)), RuntimeError, "float64.*float32"),
    (lambda lstm: lstm(tt.zeros(5, 2, 3), tt.zeros(1, 2, 4)), TypeError, r"pair \(h_0, c_0\)"),
    (
        lambda lstm: lstm(tt.zeros(5, 2, 3), (tt.zeros(1, 2, 4), tt.zeros(1, 2, 4).double())),
        RuntimeError,
        "c_0 and parameters of one dtype.*float64.*float32",
    ),
    (lambda lstm: nn.LSTM(0, 4), ValueError, "input_size must be greater than zero"),
    (lambda lstm: nn.LSTM(3, 4, proj_size=4), ValueError, "proj_size has to be smaller"),
    (lambda lstm: nn.LSTM(3, 4, proj_size=-1), ValueError, "positive integer or zero"),
    (lambda lstm: nn.LSTM(3, 0), ValueError, "hidden_size"),
    (lambda lstm: nn.LSTM(3, 4, 0), ValueError, "num_layers"),
    (lambda lstm: nn.LSTM(3, 4, 2, dropout=1.5), ValueError, r"\[0, 1\]"),
    (lambda lstm: nn.LSTM(3, 4, 2, dropout="0.5"), ValueError, r"dropout .* \[0, 1\].* '0.5'"),
    (lambda lstm: nn.LSTMCell(3, 4)(np.zeros((2, 3))), TypeError, "a Tensor, got ndarray"),
    (lambda lstm: nn.LSTMCell(3, 4)(tt.zeros(2, 2)), RuntimeError, "got 2 expected 3"),
    (lambda lstm: nn.LSTMCell(3, 4)(tt.zeros(2, 2, 3)), ValueError, "1D or 2D, got 3D"),
    (
        lambda lstm: nn.LSTMCell(3, 4)(tt.zeros(2, 3), (tt.zeros(1, 4), tt.zeros(2, 4))),
        RuntimeError,
        r"\(2, 4\), got \(1, 4\).*batch size",
    ),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD_INPUTS)
def test_bad_input_is_refused_with_a_reason(call, error, message):
    with pytest.raises(error, match=message):
        call(nn.LSTM(3, 4))


def test_scopes_name_module_layer_direction_and_step():
    model = nn.Sequential(nn.LSTM(2, 3, 2, bidirectional=True))
    with tt.unrolled():
        output, _ = model[0](tt.rand(3, 1, 2))
    seen = set()
    stack = [output.grad_fn]
    visited = set()
    while stack:
        node = stack.pop()
        node = getattr(node, "node", node)
        if node in visited or not hasattr(node, "scope"):
            continue
        visited.add(node)
        seen.add(repr(node.scope))
        stack.extend(function for function, _ in node.next_functions if function is not None)
    for layer, direction, step in itertools.product((0, 1), ("forward", "reverse"), range(3)):
        assert f"0 / layer {layer} / direction {direction} / t={step}" in seen


def test_unrolled_runs_the_same_numbers_as_the_kernel_in_no_grad(rng):
    lstm = nn.LSTM(3, 4, 2, bidirectional=True).double()
    x = tt.tensor(rng.standard_normal((4, 2, 3)))
    with tt.no_grad():
        fused = flat(lstm(x))
        with tt.unrolled():
            unrolled = flat(lstm(x))
    assert_all_close(fused, unrolled)
    assert all(not y.requires_grad for y in fused + unrolled)
