"""MultiheadAttention is torch's over its options: initial weights, results, derivatives, errors."""

import inspect
import itertools

import numpy as np
import pytest

import tinytensor as tt
from tinytensor import nn

from .peer import assert_same, torch

F = nn.functional
TF = torch.nn.functional
L, S, N, E, HEADS = 3, 4, 2, 6, 2

LAYERS = [
    {},
    {"bias": False},
    {"add_bias_kv": True},
    {"add_zero_attn": True},
    {"kdim": 5, "vdim": 3},
    {"kdim": 5},
    {"vdim": 3, "bias": False, "add_bias_kv": True, "add_zero_attn": True},
    {"add_bias_kv": True, "add_zero_attn": True, "batch_first": True},
    {"batch_first": True},
]


def layers(options: dict, dtype: str = "float64", embed: int = E, heads: int = HEADS) -> list:
    """The layer in both libraries, each from seed 5."""
    made = []
    for lib in (tt, torch):
        lib.manual_seed(5)
        made.append(lib.nn.MultiheadAttention(embed, heads, **options, dtype=getattr(lib, dtype)))
    return made


def inputs(layer, batched: bool, dtype: str = "float64") -> list[np.ndarray]:
    rng = np.random.default_rng(6)
    arrays = []
    for size, features in ((L, E), (S, layer.kdim), (S, layer.vdim)):
        shape = (N, size, features) if layer.batch_first else (size, N, features)
        array = rng.standard_normal(shape if batched else (size, features))
        arrays.append(array.astype(dtype))
    return arrays


def masks(kind: str, batched: bool) -> dict[str, np.ndarray]:
    """None of them forbids a query everything."""
    rng = np.random.default_rng(7)
    padding = np.zeros((N, S) if batched else S, bool)
    padding[..., -1] = True
    causal = np.triu(np.ones((L, S), bool), 1)
    many = (N * HEADS if batched else HEADS, L, S)
    each = rng.random(many) < 0.4
    each[..., 0] = False
    return {
        "none": {},
        "padding": {"key_padding_mask": padding},
        "causal": {"attn_mask": causal},
        "both": {"attn_mask": causal, "key_padding_mask": padding},
        "each": {"attn_mask": each, "key_padding_mask": padding},
        "added": {
            "attn_mask": rng.standard_normal(many),
            "key_padding_mask": rng.standard_normal(padding.shape),
        },
    }[kind]


def derivatives(lib, layer, arrays: list[np.ndarray], options: dict) -> list:
    """[outputs, gradients of inputs and parameters, gradients of their squares]."""
    leaves = [lib.tensor(a, requires_grad=True) for a in arrays]
    given = {k: lib.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    y, weights = layer(*leaves, **given)
    shown = [] if weights is None else [weights]
    rng = np.random.default_rng(8)
    total = sum(
        (part * lib.tensor(rng.standard_normal(tuple(part.shape)))).sum() for part in [y, *shown]
    )
    wanted = [*leaves, *layer.parameters()]
    first = lib.autograd.grad(total, wanted, create_graph=True, allow_unused=True)
    wanted = [leaf for leaf, g in zip(wanted, first, strict=True) if g is not None]
    first = [g for g in first if g is not None]
    # The term in the leaves gives each a second gradient.
    squares = sum((g * g).sum() for g in first) + sum((leaf * leaf).sum() for leaf in wanted)
    return [y, *shown, *first, *lib.autograd.grad(squares, wanted)]


@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("options", LAYERS)
@pytest.mark.parametrize("kind", ["none", "padding", "causal", "both", "each", "added"])
@pytest.mark.parametrize("need", [True, False])
def test_results_and_derivatives_are_torchs(options, batched, kind, need) -> None:
    ours, theirs = layers(options)
    call = {**masks(kind, batched), "need_weights": need, "average_attn_weights": kind != "both"}
    arrays = inputs(ours, batched)
    mine = derivatives(tt, ours, arrays, call)
    # Without weights torch takes a kernel with no second derivative unless told not to.
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        other = derivatives(torch, theirs, arrays, call)
    for a, b in zip(mine, other, strict=True):
        assert_same(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("options", LAYERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_initial_weights_are_torchs_bit_for_bit(options, dtype) -> None:
    ours, theirs = layers(options, dtype)
    state, state_ = ours.state_dict(), theirs.state_dict()
    assert list(state) == list(state_)
    for name in state:
        np.testing.assert_array_equal(state[name].numpy(), state_[name].numpy(), strict=True)
    assert repr(ours) == repr(theirs)
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    ours.load_state_dict({name: value.numpy() for name, value in state_.items()})


@pytest.mark.parametrize("same", ["all", "key and value", "query and key", "none"])
@pytest.mark.parametrize("batch_first", [True, False])
def test_one_tensor_may_serve_several_times(same, batch_first) -> None:
    ours, theirs = layers({"batch_first": batch_first})
    results = []
    for lib, layer in ((tt, ours), (torch, theirs)):
        a, b, c = (
            lib.tensor(np.random.default_rng(n).standard_normal((3, 3, E)), requires_grad=True)
            for n in range(3)
        )
        query, key, value = {
            "all": (a, a, a),
            "key and value": (a, b, b),
            "query and key": (a, a, b),
            "none": (a, b, c),
        }[same]
        y, _ = layer(query, key, value)
        y.square().sum().backward()
        results.append([y, *(x.grad for x in (a, b, c) if x.grad is not None)])
    for mine, other in zip(*results, strict=True):
        assert_same(mine, other, rtol=1e-11)


@pytest.mark.parametrize("need", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batched", [True, False])
def test_dropout_draws_torchs_masks_in_training_and_none_in_eval(need, dtype, batched) -> None:
    ours, theirs = layers({"dropout": 0.4}, dtype)
    x = inputs(ours, batched, dtype)[0]
    tolerance = 1e-5 if dtype == "float32" else 1e-11
    for training in (True, False):
        results = []
        for lib, layer in ((tt, ours), (torch, theirs)):
            layer.train(training)
            lib.manual_seed(3)
            leaf = lib.tensor(x, requires_grad=True)
            y, weights = layer(leaf, leaf, leaf, need_weights=need)
            y.sum().backward()
            results.append([y, leaf.grad, *([] if weights is None else [weights])])
        for mine, other in zip(*results, strict=True):
            assert_same(mine, other, tolerance, tolerance)


@pytest.mark.parametrize("kind", ["none", "padding", "causal", "both"])
@pytest.mark.parametrize("batch_first", [True, False])
def test_in_eval_without_gradients_the_numbers_are_torchs_too(kind, batch_first) -> None:
    ours, theirs = layers({"batch_first": batch_first}, "float32")
    shape = (N, S, E) if batch_first else (S, N, E)
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    options = masks(kind, True)
    if "attn_mask" in options:
        options["attn_mask"] = np.triu(np.ones((S, S), bool), 1)
    results = []
    for lib, layer in ((tt, ours), (torch, theirs)):
        given = {k: lib.tensor(v) for k, v in options.items()}
        layer.eval()
        with lib.no_grad():
            a = lib.tensor(x)
            results.append(layer(a, a, a, **given))
    for mine, other in zip(*results, strict=True):
        assert_same(mine, other, 1e-5, 1e-6)


@pytest.mark.parametrize("need", [True, False])
@pytest.mark.parametrize("padded", [True, False])
def test_the_causal_hint_changes_nothing(need, padded) -> None:
    ours, theirs = layers({})
    x = np.random.default_rng(2).standard_normal((S, N, E))
    causal = np.triu(np.ones((S, S), bool), 1)
    results = []
    for lib, layer, hint in ((tt, ours, True), (torch, theirs, True), (tt, ours, False)):
        a = lib.tensor(x)
        given = {"attn_mask": lib.tensor(causal), "is_causal": hint, "need_weights": need}
        if padded:
            given["key_padding_mask"] = lib.tensor(masks("padding", True)["key_padding_mask"])
        results.append(layer(a, a, a, **given)[0])
    assert_same(results[0], results[1], rtol=1e-11)
    assert_same(results[0], results[2], rtol=1e-11)


def test_a_query_that_may_attend_to_nothing_is_nan_with_weights_and_0_without() -> None:
    ours, theirs = layers({"bias": False})
    mask = np.zeros((L, S), bool)
    mask[1] = True
    for lib, layer in ((tt, ours), (torch, theirs)):
        given = [lib.tensor(a) for a in inputs(ours, True)]
        y, weights = layer(*given, attn_mask=lib.tensor(mask))
        assert y[1].isnan().all()
        assert weights[:, 1].isnan().all()
        y, weights = layer(*given, attn_mask=lib.tensor(mask), need_weights=False)
        assert not y[1].any()
        assert weights is None


def test_float_masks_have_torchs_gradients() -> None:
    ours, theirs = layers({})
    results = []
    for lib, layer in ((tt, ours), (torch, theirs)):
        mask = lib.tensor(np.random.default_rng(0).standard_normal((L, S)), requires_grad=True)
        y, _ = layer(*(lib.tensor(a) for a in inputs(ours, True)), attn_mask=mask)
        y.square().sum().backward()
        results.append(mask.grad)
    assert_same(*results, rtol=1e-10)


def test_a_float32_mask_serves_float64_queries_as_in_torch() -> None:
    ours, theirs = layers({})
    mask = np.random.default_rng(0).standard_normal((L, S)).astype(np.float32)
    results = []
    for lib, layer in ((tt, ours), (torch, theirs)):
        given = [lib.tensor(a) for a in inputs(ours, True)]
        results.append(layer(*given, attn_mask=lib.tensor(mask), need_weights=False)[0])
    assert_same(*results, rtol=1e-11)


def test_a_padded_key_has_no_influence_on_any_bit() -> None:
    layer, _ = layers({})
    query, key, value = (tt.tensor(a) for a in inputs(layer, True))
    padding = tt.tensor(masks("padding", True)["key_padding_mask"])
    before = layer(query, key, value, key_padding_mask=padding)
    key[-1] = 1e3
    value[-1] = -7.0
    after = layer(query, key, value, key_padding_mask=padding)
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())


@pytest.mark.parametrize("which", ["static_k", "static_v"])
def test_keys_and_values_may_be_given_projected(which) -> None:
    ours, theirs = layers({})
    results = []
    for lib, layer in ((tt, ours), (torch, theirs)):
        static = lib.tensor(np.random.default_rng(0).standard_normal((N * HEADS, S, E // HEADS)))
        results.append(call(lib, layer, **{which: static}))
        for wrong in (static[1:], static[:, :, 1:]):
            with pytest.raises(AssertionError, match=f"{which}|static_."):
                call(lib, layer, **{which: wrong})
    for mine, other in zip(*results, strict=True):
        assert_same(mine, other, rtol=1e-11)


def call(lib, layer, *arrays: np.ndarray, **options):
    """The function with the weights of a layer; options replace its arguments."""
    given = arrays or inputs(layer, True)
    arguments = {
        "embed_dim_to_check": E,
        "num_heads": HEADS,
        "in_proj_weight": layer.in_proj_weight,
        "in_proj_bias": layer.in_proj_bias,
        "bias_k": None,
        "bias_v": None,
        "add_zero_attn": False,
        "dropout_p": 0.0,
        "out_proj_weight": layer.out_proj.weight,
        "out_proj_bias": layer.out_proj.bias,
        **options,
    }
    values = [lib.tensor(a) for a in given]
    return lib.nn.functional.multi_head_attention_forward(*values, **arguments)


def test_arguments_are_torchs() -> None:
    def named(function):
        return [(p.name, p.default) for p in inspect.signature(function).parameters.values()]

    assert named(nn.MultiheadAttention) == named(torch.nn.MultiheadAttention)
    assert named(nn.MultiheadAttention.forward) == named(torch.nn.MultiheadAttention.forward)
    assert named(F.multi_head_attention_forward) == named(TF.multi_head_attention_forward)


# -- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((0, 1), {}, ValueError, "greater than 0, got embed_dim=0 and num_heads=1"),
        ((4, 0), {}, ValueError, "greater than 0"),
        ((5, 2), {}, AssertionError, "must be divisible by num_heads"),
    ],
)
def test_a_layer_that_makes_no_sense_is_refused(arguments, options, error, message) -> None:
    for lib in (torch, tt):
        with pytest.raises(error, match=message):
            lib.nn.MultiheadAttention(*arguments, **options)


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape)


def never(*shape: int) -> np.ndarray:
    return np.zeros(shape, bool)


q, k = zeros(L, N, E), zeros(S, N, E)
REFUSED = [
    ((zeros(E),) * 3, {}, AssertionError, "unbatched 2D or batched 3D tensor but received 1-D"),
    ((q, k, zeros(S, E)), {}, AssertionError, r"batched \(3-D\).*3-D but found 3-D and 2-D"),
    ((zeros(L, E), k, k), {}, AssertionError, r"unbatched \(2-D\).* found 3-D and 3-D"),
    ((q, k, k), {"key_padding_mask": never(S)}, AssertionError, "or 2-D but found 1-D"),
    ((q, k, k), {"attn_mask": never(S)}, AssertionError, "2-D or 3-D but found 1-D"),
    (
        (zeros(L, E), zeros(S, E), zeros(S, E)),
        {"attn_mask": never(1, L, S)},
        AssertionError,
        r"shape to be \(2, 3, 4\) but got \(1, 3, 4\)",
    ),
    ((q, k, k), {"attn_mask": never(S, L)}, RuntimeError, r"2D attn_mask is \(4, 3\).*\(3, 4\)"),
    ((q, k, k), {"attn_mask": never(N, L, S)}, RuntimeError, r"3D .*\(2, 3, 4\).*\(4, 3, 4\)"),
    ((q, k, k), {"key_padding_mask": never(N, L)}, AssertionError, r"shape \(2, 4\).*\(2, 3\)"),
    ((q, k, k), {"attn_mask": np.zeros((L, S), int)}, AssertionError, "bool and floating.*int64"),
    (
        (q, k, k),
        {"attn_mask": np.zeros((L, S), "f2")},
        RuntimeError,
        "bool, float32 or .*float16",
    ),
    ((q[..., :4], k, k), {}, AssertionError, "embedding dimension of 6, but got 4"),
    ((q, k, k[:2]), {}, AssertionError, r"key shape \(4, 2, 6\) does not match value shape \(2,"),
    ((q, k, k), {"is_causal": True}, RuntimeError, "Need attn_mask if specifying the is_causal"),
    ((q, k[:, :1], k[:, :1]), {}, RuntimeError, ""),
]


@pytest.mark.parametrize(("arrays", "options", "error", "message"), REFUSED)
@pytest.mark.parametrize("need", [True, False])
def test_what_torch_refuses_is_refused_and_says_why(arrays, options, error, message, need) -> None:
    ours, theirs = layers({})
    for lib, layer, pattern in ((torch, theirs, None), (tt, ours, message or None)):
        given = {k: lib.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
        with pytest.raises(error, match=pattern):
            layer(*(lib.tensor(a) for a in arrays), need_weights=need, **given)


def test_weights_that_are_missing_are_named() -> None:
    ours, theirs = layers({})
    bias = np.ones((1, 1, E))
    for lib, layer in ((torch, theirs), (tt, ours)):
        with pytest.raises(AssertionError, match="in_proj_weight is None"):
            call(lib, layer, in_proj_weight=None)
        with pytest.raises(AssertionError, match="q_proj_weight"):
            call(lib, layer, use_separate_proj_weight=True)
        with pytest.raises(AssertionError, match="not divisible by num_heads 4"):
            call(lib, layer, num_heads=4)
        with pytest.raises(AssertionError, match=r"bias_k|bias_v"):
            call(lib, layer, bias_k=lib.tensor(bias))
        with pytest.raises(AssertionError, match="bias cannot be added to static key"):
            static = lib.zeros(N * HEADS, S, E // HEADS, dtype=lib.float64)
            extra = lib.tensor(bias)
            call(lib, layer, bias_k=extra, bias_v=extra, static_k=static)
        with pytest.raises(AssertionError, match="sequence and batch dims"):
            weights = {f"{x}_proj_weight": lib.tensor(np.ones((E, E))) for x in "qkv"}
            call(lib, layer, q, k, k[:2], use_separate_proj_weight=True, **weights)


def test_masks_of_two_types_warn_as_in_torch() -> None:
    ours, theirs = layers({})
    for lib, layer in ((tt, ours), (torch, theirs)):
        given = [lib.tensor(a) for a in inputs(ours, True)]
        with pytest.warns(UserWarning, match="mismatched key_padding_mask and attn_mask"):
            layer(
                *given,
                attn_mask=lib.tensor(zeros(L, S)),
                key_padding_mask=lib.tensor(never(N, S)),
            )


@pytest.mark.parametrize(
    "options",
    [
        dict(zip(("need_weights", "average_attn_weights"), c, strict=True))
        for c in itertools.product([True, False], repeat=2)
    ],
)
def test_the_weights_add_up_to_1(options) -> None:
    layer, _ = layers({"add_zero_attn": True})
    _, weights = layer(*(tt.tensor(a) for a in inputs(layer, True)), **options)
    if not options["need_weights"]:
        assert weights is None
        return
    shape = (N, L, S + 1) if options["average_attn_weights"] else (N, HEADS, L, S + 1)
    assert weights.shape == shape
    np.testing.assert_allclose(weights.sum(-1).detach().numpy(), 1, rtol=1e-14)
