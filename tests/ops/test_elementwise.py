"""Elementwise operations beyond the table: exactness, kinks, options, in-place forms, refusals."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinytensor as tt
from tinytensor.ops.aliases import SECOND_NAMES
from tinytensor.ops.special import erf_of

torch = pytest.importorskip("torch")

INF = math.inf
NAN = math.nan
X = [[0.45, -0.32, 0.81], [-0.67, 0.94, 0.58]]
Y = [[0.71, 0.36, -0.52], [0.49, -0.83, 0.64]]


def agree(ours: Any, theirs: Any, rtol: float = 1e-12) -> None:
    """Equal in shape and dtype and, to rounding, in value."""
    a, b = ours.detach().numpy(), theirs.detach().numpy()
    assert a.shape == b.shape
    assert a.dtype == b.dtype
    np.testing.assert_allclose(a, b, rtol=rtol, atol=0 if a.dtype.kind != "f" else 1e-14)


def differentiated(lib: Any, call: Callable[..., Any], values: list[Any]) -> list[Any]:
    """The result of a call on float64 leaves, and the gradients of its sum weighted by 1, 2 ..."""
    leaves = [lib.tensor(v, dtype=lib.float64, requires_grad=True) for v in values]
    y = call(lib, *leaves)
    if not y.requires_grad:
        return [y]
    weights = lib.arange(1, y.numel() + 1, dtype=y.dtype).reshape(y.shape)
    return [y, *lib.autograd.grad((y * weights).sum(), leaves, allow_unused=True)]


def both_agree(call: Callable[..., Any], *values: Any) -> None:
    ours = differentiated(tt, call, list(values))
    theirs = differentiated(torch, call, list(values))
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        if a is None or b is None:  # no gradient: the other has none, or zeros
            assert not any(g.any() for g in (a, b) if g is not None)
        else:
            agree(a, b)


# -- exactness


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_erf_is_within_two_units_in_the_last_place(kind: Any) -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate(
        [
            np.linspace(-6.5, 6.5, 20001),
            np.linspace(0.49, 1.3, 20001),
            rng.normal(size=10000),
            10.0 ** rng.uniform(-30, 1, 5000),
        ]
    ).astype(kind)
    exact = np.array([math.erf(value) for value in x.tolist()])
    unit = np.spacing(np.abs(exact).astype(kind)).astype(np.float64)
    y = erf_of(x)
    assert y.dtype == kind
    assert np.max(np.abs(y - exact) / unit) <= 2


def test_erf_of_zeros_infinities_and_nan() -> None:
    y = tt.erf(tt.tensor([0.0, -0.0, INF, -INF, NAN, 5e-40, 30.0, -30.0]))
    np.testing.assert_array_equal(
        y.numpy(), np.array([0, -0.0, 1, -1, NAN, math.erf(5e-40), 1, -1], np.float32)
    )
    assert math.copysign(1, y[1].item()) == -1
    assert tt.erf(tt.zeros(0)).shape == (0,)


@pytest.mark.parametrize("name", ["exp2", "expm1", "asinh", "atanh", "sinh", "log2", "log10"])
def test_a_function_is_exact_near_its_zero(name: str) -> None:
    x = np.array([1e-9, -1e-7, 3e-5, 1e-3]) + (name in ("log2", "log10"))
    agree(getattr(tt, name)(tt.from_numpy(x)), getattr(torch, name)(torch.from_numpy(x)), 1e-15)


# -- kinks, ties and edges: torch's conventions

EDGES: list[tuple[str, Callable[..., Any], list[list[float]]]] = [
    ("fmax", lambda lib, a, b: lib.fmax(a, b), [[1.0, 1.0, NAN, 3.0], [1.0, 2.0, 1.0, NAN]]),
    ("fmin", lambda lib, a, b: lib.fmin(a, b), [[1.0, 1.0, NAN, 3.0], [1.0, 2.0, 1.0, NAN]]),
    ("atan2", lambda lib, a, b: lib.atan2(a, b), [[0.0, 0.0, 1.0], [0.0, -1.0, 0.0]]),
    ("selu", lambda lib, x: lib.selu(x), [[0.0, -1.0, 1.0]]),
    ("softsign", lambda lib, x: lib.nn.functional.softsign(x), [[0.0, -1.0]]),
    ("logit", lambda lib, x: lib.logit(x), [[0.0, -0.0, 1.0, 0.5]]),
    ("logit eps", lambda lib, x: lib.logit(x, eps=0.25), [[0.0, 0.25, 0.75, 1.0, 0.2, 0.8, -1]]),
    ("logit 0", lambda lib, x: lib.logit(x, eps=0.0), [[0.0, 1.0, -0.1, 1.1]]),
    ("logit -1", lambda lib, x: lib.logit(x, eps=-1.0), [[0.0, 1.0, 0.3]]),
    ("nan_to_num", lambda lib, x: lib.nan_to_num(x), [[INF, -INF, NAN, 1.0, 0.0]]),
    ("frac", lambda lib, x: lib.frac(x), [[1.0, -2.0, 1.5, -1.5]]),
    ("floor", lambda lib, x: lib.floor(x), [[1.0, -2.0, -1.5, 0.0]]),
    ("round", lambda lib, x: lib.round(x), [[0.5, 1.5, 2.5, -0.5, -1.5]]),
    ("round 1", lambda lib, x: lib.round(x, decimals=1), [[0.25, 1.35, -0.45, INF, 1e300]]),
    ("round -1", lambda lib, x: lib.round(x, decimals=-1), [[125.0, 135.0, -5.0, 15.1]]),
    ("remainder", lambda lib, a, b: a % b, [[6.0, -6.0, 5.0, -5.0], [3.0, 3.0, -3.0, -3.0]]),
    ("remainder ends", lambda lib, a, b: a % b, [[1.0, -1.0, 5.0, 0.0], [INF, INF, -INF, 0.0]]),
    ("lerp", lambda lib, a, b: lib.lerp(a, b, 0.5), [[1.0, 2.0], [3.0, 7.0]]),
    ("lerp ends", lambda lib, a, b, w: lib.lerp(a, b, w), [[0.1] * 2, [0.3] * 2, [0.0, 1.0]]),
    ("asin", lambda lib, x: lib.asin(x), [[1.0, -1.0, 0.0]]),
    ("acosh", lambda lib, x: lib.acosh(x), [[1.0, 2.0]]),
    ("atanh", lambda lib, x: lib.atanh(x), [[1.0, -1.0, 0.0]]),
    ("rsqrt", lambda lib, x: lib.rsqrt(x), [[0.0, 4.0]]),
    ("reciprocal", lambda lib, x: lib.reciprocal(x), [[0.0, INF, -2.0]]),
    ("addcdiv", lambda lib, a, b, c: lib.addcdiv(a, b, c), [[1.0], [1.0], [0.0]]),
    ("relu", lambda lib, x: lib.relu(x), [[0.0, -1.0, 1.0, NAN]]),
    ("elu", lambda lib, x: lib.nn.functional.elu(x, 0.5), [[0.0, -1.0, 1.0, NAN]]),
    ("selu nan", lambda lib, x: lib.selu(x), [[1.0, NAN]]),
    ("hardtanh", lambda lib, x: lib.nn.functional.hardtanh(x), [[-1.0, 0.0, 1.0, NAN]]),
    ("maximum", lambda lib, a, b: lib.maximum(a, b), [[1.0, 1.0, NAN, 2.0], [1.0, NAN, 1.0, 1.0]]),
    ("minimum", lambda lib, a, b: lib.minimum(a, b), [[1.0, 1.0, NAN, 2.0], [1.0, NAN, 1.0, 1.0]]),
    ("lerp back", lambda lib, a, b, w: lib.lerp(a, b, w), [[0.1] * 2, [0.3] * 2, [-0.4, -0.7]]),
    ("lerp inf", lambda lib, a, b: lib.lerp(a, b, -1.0), [[-1.0], [-INF]]),
    ("softmax", lambda lib, x: lib.softmax(x, 0), [[INF, 1.0, -INF]]),
    ("log_softmax", lambda lib, x: lib.log_softmax(x, 0), [[INF, 1.0, -INF]]),
    ("max", lambda lib, x: lib.max(x), [[1.0, NAN, NAN]]),
    ("clamp_min", lambda lib, x: lib.clamp_min(x, 0.5), [[0.5, 0.4, 0.6]]),
    ("clamp_max", lambda lib, x: x.clamp_max(0.5), [[0.5, 0.4, 0.6]]),
]


def test_results_have_the_order_of_memory_of_their_input() -> None:
    for lib in (torch, tt):
        x = lib.ones(2, 3).t()
        for y in (lib.erf(x), lib.nn.functional.gelu(x), lib.round(x), lib.clamp(x, 0.5)):
            assert tuple(y.stride()) == (1, 3)


@pytest.mark.parametrize(("call", "values"), [row[1:] for row in EDGES], ids=[r[0] for r in EDGES])
def test_at_a_kink_the_value_and_the_gradient_are_those_of_torch(call: Any, values: Any) -> None:
    both_agree(call, *values)


@pytest.mark.parametrize("name", ["tanh", "sigmoid"])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_the_gradient_of_a_squashing_function_overflows_where_that_of_torch_does(
    name: str, kind: Any
) -> None:
    x = np.array([-40, -2, -0.5, 0, 0.5, 2, 40] * 3, kind)
    g = np.repeat(np.array([np.finfo(kind).max, INF, -INF], kind), 7)
    theirs = torch.from_numpy(x).requires_grad_()
    getattr(torch, name)(theirs).backward(torch.from_numpy(g))
    assert theirs.grad is not None
    mine = tt.from_numpy(x).requires_grad_()
    getattr(tt, name)(mine).backward(tt.from_numpy(g))
    np.testing.assert_allclose(mine.grad.numpy(), theirs.grad.numpy(), rtol=4 * np.finfo(kind).eps)


def test_gelu_goes_to_its_limits_at_infinity() -> None:
    x = tt.tensor([INF, -100.0, 100.0])
    for approximate in ("none", "tanh"):
        y = tt.nn.functional.gelu(x, approximate=approximate)
        np.testing.assert_array_equal(y.numpy(), np.array([INF, 0, 100], np.float32))


def test_the_second_derivative_of_atan2_at_the_origin_is_a_number() -> None:
    # torch gives NaN.
    a = tt.zeros(1, requires_grad=True)
    b = tt.zeros(1, requires_grad=True)
    ga, gb = tt.autograd.grad(tt.atan2(a, b).sum(), (a, b), create_graph=True)
    gaa, gab = tt.autograd.grad((ga + gb).sum(), (a, b))
    assert gaa.item() == gab.item() == 0


# -- rounding division

SIGNED = [-7, -6, -3, -1, 1, 2, 3, 6, 7, 100]
ROUNDED = [
    lambda lib, a, b: a // b,
    lambda lib, a, b: a % b,
    lambda lib, a, b: lib.floor_divide(a, b),
    lambda lib, a, b: lib.remainder(a, b),
    lambda lib, a, b: lib.div(a, b, rounding_mode="floor"),
    lambda lib, a, b: lib.div(a, b, rounding_mode="trunc"),
    lambda lib, a, b: lib.divide(a, b, rounding_mode=None),
]


@pytest.mark.parametrize("kind", ["int8", "int32", "int64", "uint8", "float16", "float32"])
def test_division_with_a_remainder_is_torchs_for_every_sign(kind: str) -> None:
    numbers = [n for n in SIGNED if n > 0] if kind == "uint8" else SIGNED
    results = []
    for lib in (tt, torch):
        a = lib.tensor(numbers, dtype=getattr(lib, kind)).reshape(-1, 1)
        b = lib.tensor(numbers, dtype=getattr(lib, kind))
        results.append([call(lib, a, b) for call in ROUNDED])
        results[-1] += [a // 2, 7 // b, a % 3, 7 % b, a // -2, a % -4]
    for ours, theirs in zip(*results, strict=True):
        agree(ours, theirs)


def test_division_with_a_remainder_of_zeros_and_infinities_is_torchs() -> None:
    edges = [0.0, -0.0, 1.0, -1.0, 5.5, -5.5, 1e30, 1e-30, INF, -INF, NAN]
    results = []
    for lib in (tt, torch):
        a = lib.tensor(edges, dtype=lib.float64).reshape(-1, 1)
        b = lib.tensor(edges, dtype=lib.float64)
        results.append([call(lib, a, b) for call in ROUNDED])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-12)


def test_the_derivative_of_floor_divide_is_refused_and_that_of_a_rounded_division_is_zero() -> None:
    for lib in (tt, torch):
        x = lib.tensor(X, requires_grad=True)
        with pytest.raises(RuntimeError, match="derivative"):
            (x // 0.3).sum().backward()
        for mode in ("floor", "trunc"):
            (g,) = lib.autograd.grad(lib.div(x, 0.3, rounding_mode=mode).sum(), x)
            assert not g.any()


# -- in place

UNARY = (
    "abs absolute acos acosh arccos arcsin arcsinh arctan arctanh asin asinh atan atanh ceil cos "
    "cosh erf exp exp2 expm1 fix floor frac log log10 log1p log2 logical_not logit nan_to_num neg "
    "negative reciprocal relu round rsqrt sigmoid sign sin sinh sqrt square tan tanh trunc"
).split()
BINARY = (
    "add sub subtract mul multiply div divide true_divide remainder pow atan2 arctan2 eq ne lt le "
    "gt ge not_equal less less_equal greater greater_equal logical_and logical_or logical_xor"
).split()

# In place torch refuses a gradient of some, and gives the old value's for logical operations.
NO_GRADIENT_IN_TORCH = (
    "acosh arccosh arcsinh arctanh asinh atanh logical_not logical_and logical_or logical_xor"
).split()


def in_place(name: str, *rest: Any, **options: Any) -> Callable[..., Any]:
    def call(lib: Any, x: Any, *others: Any) -> Any:
        y = x * 1
        assert getattr(y, name)(*others, *rest, **options) is y
        return y

    return call


@pytest.mark.parametrize("name", UNARY)
def test_a_function_in_place_has_the_value_and_gradient_of_torch(name: str) -> None:
    shift = 1.0 if name in ("acosh", "arccosh") else 0.0
    values = np.abs(X) + shift if "log" in name or "sqrt" in name or shift else np.array(X)
    if name in NO_GRADIENT_IN_TORCH:
        both_agree(lambda lib, x: in_place(f"{name}_")(lib, x.detach()), values.tolist())
    else:
        both_agree(in_place(f"{name}_"), values.tolist())
    both_agree(lambda lib, x: getattr(x, name)() * 1, values.tolist())
    both_agree(lambda lib, x: getattr(lib, name)(x) * 1, values.tolist())


@pytest.mark.parametrize("name", BINARY)
def test_an_operation_on_two_in_place_has_the_value_and_gradient_of_torch(name: str) -> None:
    x = np.abs(X).tolist() if name == "pow" else X
    if name in NO_GRADIENT_IN_TORCH:
        both_agree(lambda lib, a, b: in_place(f"{name}_")(lib, a.detach(), b), x, Y)
    else:
        both_agree(in_place(f"{name}_"), x, Y)
    both_agree(lambda lib, a, b: getattr(a, name)(b) * 1, x, Y)
    both_agree(lambda lib, a, b: getattr(lib, name)(a, b) * 1, x, Y)


@pytest.mark.parametrize("name", ["acosh", "asinh", "atanh"])
def test_an_inverse_hyperbolic_function_in_place_has_the_gradient_of_the_plain_one(name) -> None:
    values = np.abs(X) + (1.0 if name == "acosh" else 0.0)
    x = tt.tensor(values, requires_grad=True)
    (plain,) = tt.autograd.grad(getattr(x, name)().sum(), x)
    (written,) = tt.autograd.grad(in_place(f"{name}_")(tt, x).sum(), x)
    np.testing.assert_array_equal(plain.numpy(), written.numpy())


@pytest.mark.parametrize("name", ["logical_and", "logical_or", "logical_xor"])
def test_what_a_logical_operation_overwrites_gets_a_gradient_of_zero(name: str) -> None:
    x = tt.tensor(X, requires_grad=True)
    (g,) = tt.autograd.grad(in_place(f"{name}_")(tt, x, tt.tensor(Y)).sum(), x)
    assert not g.any()


OTHERS: list[Callable[..., Any]] = [
    in_place("clamp_", -0.4, 0.6),
    in_place("clip_", max=0.6),
    in_place("clamp_min_", -0.4),
    in_place("clamp_max_", 0.6),
    in_place("round_", decimals=1),
    in_place("nan_to_num_", nan=1.0),
    in_place("logit_", eps=0.2),
    in_place("add_", 2, alpha=3),
    in_place("sub_", 2, alpha=3),
    in_place("div_", 0.3, rounding_mode="floor"),
    in_place("divide_", 0.3, rounding_mode="trunc"),
    in_place("lt_", 0.5),
]


@pytest.mark.parametrize("call", OTHERS)
def test_the_options_of_an_in_place_form_are_torchs(call: Any) -> None:
    both_agree(call, X)


def test_in_place_forms_of_three_tensors() -> None:
    both_agree(in_place("lerp_"), X, Y, Y)
    both_agree(in_place("lerp_", 0.3), X, Y)
    both_agree(in_place("addcmul_", value=2.0), X, Y, Y)
    both_agree(in_place("addcdiv_", value=2.0), X, Y, Y)


def test_whole_numbers_change_in_place() -> None:
    results = []
    for lib in (tt, torch):
        x = lib.tensor([5, -6, 7])
        y = lib.tensor([3, 2, -2])
        steps = [x.clone()]
        x //= y
        steps.append(x.clone())
        x %= 3
        steps.append(x.clone())
        x ^= y
        steps.append(x.clone())
        x |= 8
        x &= 12
        steps.append(x.clone())
        x.bitwise_xor_(y).bitwise_not_()
        steps.append(x.clone())
        steps.append(x.bitwise_and_(7).bitwise_or_(16).clone())
        steps.append(x.floor_divide_(2).remainder_(5).floor_().clone())
        steps.append(x.logical_xor_(y))
        results.append(steps)
    for ours, theirs in zip(*results, strict=True):
        agree(ours, theirs)


def test_an_in_place_method_is_a_free_function_where_torch_has_one() -> None:
    for name in (*UNARY, "clamp", "clamp_min", "clamp_max"):
        if not hasattr(torch, f"{name}_") or name in SECOND_NAMES:
            continue
        values = [1.5, 1.25] if name == "acosh" else [0.25, 0.75]
        rest = (0.5,) if name.startswith("clamp") else ()
        x = tt.tensor(values, dtype=tt.float64)
        assert getattr(tt, f"{name}_")(x, *rest) is x
        y = torch.tensor(values, dtype=torch.float64)
        agree(x, getattr(torch, f"{name}_")(y, *rest))


@pytest.mark.parametrize("name", ["erf_", "rsqrt_", "tan_", "log2_", "reciprocal_", "asin_"])
def test_a_function_with_a_real_result_does_not_change_whole_numbers_in_place(name: str) -> None:
    for lib in (tt, torch):
        with pytest.raises(RuntimeError, match="can't be cast"):
            getattr(lib.tensor([1, 2]), name)()


# -- names, operators and arguments


@pytest.mark.parametrize("name", SECOND_NAMES)
def test_a_second_name_is_a_function_a_method_and_an_in_place_method(name: str) -> None:
    first = getattr(tt, name)
    assert first is not None
    assert callable(getattr(tt.Tensor, name))
    assert callable(getattr(tt.Tensor, f"{name}_"))
    assert hasattr(torch, name) and hasattr(torch.Tensor, f"{name}_")


CALLS: list[Callable[[Any], Any]] = [
    lambda lib: lib.add(lib.tensor([1, 2]), lib.tensor([0.1, 0.2]), alpha=2.5),
    lambda lib: lib.add(lib.ones(2).double(), lib.tensor([0.1, 0.7]), alpha=0.1),
    lambda lib: lib.tensor([True, False]).add(lib.tensor([True, True]), alpha=2),
    lambda lib: lib.tensor([1.0]).half().sub(lib.tensor([3]), alpha=0.5),
    lambda lib: lib.add(lib.tensor([1, 2]), 3, alpha=2),
    lambda lib: lib.tensor([1, 2]).sub(lib.tensor([3, 4]), alpha=lib.tensor(2)),
    lambda lib: lib.tensor([True, False]) ** True,
    lambda lib: lib.tensor([True, False]) ** False,
    lambda lib: lib.tensor([1, 100], dtype=lib.int8).clamp(lib.tensor([300, 2])),
    lambda lib: lib.tensor([1, 200], dtype=lib.uint8).clamp(lib.tensor([2, 300]), None),
    lambda lib: lib.tensor([1, 200], dtype=lib.uint8).clamp(-3),
    lambda lib: lib.tensor([True, False]).clamp(lib.tensor([False, True])),
    lambda lib: lib.tensor([True, False]).clamp(0, 2),
    lambda lib: lib.tensor([1.0, 3.0]).clamp(2, lib.tensor(2.5)),
    lambda lib: lib.tensor([7], dtype=lib.uint8).div(-3, rounding_mode="floor"),
    lambda lib: lib.addcmul(*[lib.tensor([2], dtype=lib.uint8)] * 3, value=-3),
    lambda lib: lib.tensor([], dtype=lib.int64) // lib.tensor([0]),
    lambda lib: lib.where(lib.tensor([[True, False], [False, True]]))[1],
    lambda lib: lib.where(lib.tensor([True, False]), input=lib.ones(2), other=2.0),
    lambda lib: lib.where(lib.tensor([True]), lib.tensor([1], dtype=lib.uint8), -3),
    lambda lib: lib.softmax(lib.tensor([1, 2]), 0, lib.float64),
    lambda lib: lib.tensor([1.0, 2.0]).log_softmax(dim=0, dtype=lib.float64),
    lambda lib: lib.tensor([[1.0, 3.0]]).max(axis=1, keepdims=True)[0],
    lambda lib: lib.tensor([[True, False]]).max(1).values,
    lambda lib: lib.tensor([[True, False]]).min(dim=1, keepdim=True).indices,
    lambda lib: lib.count_nonzero(lib.tensor([[0, 3]]), axis=1),
    lambda lib: lib.max(lib.tensor([1.0, 3.0]), other=lib.tensor(2.0)),
    lambda lib: lib.linalg.norm(lib.ones(0, 3), 2),
    lambda lib: lib.nn.functional.softplus(lib.tensor([6.0]).double(), 2),
    lambda lib: lib.fix_(lib.tensor([1.5])),
    lambda lib: lib.arctan_(lib.tensor([1.5])),
    lambda lib: lib.selu_(lib.tensor([1.5, -1.0])),
    lambda lib: 7 // lib.tensor([2, 3]),
    lambda lib: 7.5 % lib.tensor([2.0, -2.0]),
    lambda lib: 5 ^ lib.tensor([1, 2]),
    lambda lib: 5 & lib.tensor([1, 4]),
    lambda lib: 5 | lib.tensor([1, 2]),
    lambda lib: lib.tensor([True]) ^ lib.tensor([True]),
    lambda lib: +lib.tensor([1.5]),
    lambda lib: lib.positive(lib.tensor([1])),
    lambda lib: lib.div(input=lib.tensor([7]), other=lib.tensor([2]), rounding_mode="trunc"),
    lambda lib: lib.tensor([7]).floor_divide(other=2),
    lambda lib: lib.remainder(input=lib.tensor([7]), other=4),
    lambda lib: lib.remainder(7, lib.tensor([4])),
    lambda lib: lib.round(input=lib.tensor([1.25]), decimals=1),
    lambda lib: lib.tensor([1.25]).round(decimals=1),
    lambda lib: lib.nan_to_num(lib.tensor([NAN, INF]), 1.0, 2.0, 3.0),
    lambda lib: lib.nan_to_num(input=lib.tensor([NAN, -INF]), nan=1.0, neginf=3.0),
    lambda lib: lib.tensor([NAN, INF], dtype=lib.float16).nan_to_num(),
    lambda lib: lib.nan_to_num(lib.tensor([1, 2])),
    lambda lib: lib.logit(input=lib.tensor([0.3]), eps=None),
    lambda lib: lib.logit(lib.tensor([0.3]), 0.4),
    lambda lib: lib.lerp(input=lib.tensor([1.0]), end=lib.tensor([2.0]), weight=0.25),
    lambda lib: lib.tensor([1.0]).lerp(lib.tensor([2.0]), lib.tensor([0.75])),
    lambda lib: lib.addcmul(lib.tensor([1]), lib.tensor([2]), lib.tensor([3]), value=2),
    lambda lib: lib.addcmul(lib.tensor([1]), lib.tensor([2]), lib.tensor([3]), value=0.5),
    lambda lib: lib.addcmul(lib.tensor([1]), lib.tensor([2.0]), lib.tensor([[3.0], [4.0]])),
    lambda lib: lib.addcdiv(
        input=lib.tensor([1.0]), tensor1=lib.tensor([2.0]), tensor2=lib.tensor([3.0]), value=2
    ),
    lambda lib: lib.addcdiv(lib.tensor([1]), lib.tensor([2.0]), lib.tensor([4])),
    lambda lib: lib.clip(lib.tensor([1, 5]), 2, 3),
    lambda lib: lib.tensor([1, 5]).clip(min=2),
    lambda lib: lib.subtract(lib.tensor([1.0]), 2, alpha=3),
    lambda lib: lib.logical_and(lib.tensor([1.5, 0.0]), lib.tensor([1, 1])),
    lambda lib: lib.tensor([1, 0]).logical_or(lib.tensor([False, False])),
    lambda lib: lib.logical_not(input=lib.tensor([0.0, NAN])),
    lambda lib: lib.bitwise_xor(lib.tensor([5]), 3),
    lambda lib: lib.isinf(lib.tensor([1, 2])),
    lambda lib: lib.tensor([INF, -INF, NAN]).isinf(),
    lambda lib: lib.exp2(lib.tensor([1, 3])),
    lambda lib: lib.reciprocal(lib.tensor([2, 4])),
    lambda lib: lib.atan2(lib.tensor([1]), lib.tensor([2.0])),
    lambda lib: lib.fmax(lib.tensor([1]), lib.tensor([2.5])),
    lambda lib: lib.trunc(lib.tensor([1.5, -1.5], dtype=lib.float16)),
    lambda lib: lib.floor(lib.tensor([1, 2], dtype=lib.uint8)),
    lambda lib: lib.selu(lib.tensor([1.0, -1.0])),
]


@pytest.mark.parametrize("call", CALLS)
def test_a_call_of_torch_runs_as_it_is(call: Callable[[Any], Any]) -> None:
    agree(call(tt), call(torch), 1e-6)


REFUSED: list[tuple[str, Any, Callable[[Any], Any]]] = [
    ("div", RuntimeError, lambda lib: lib.div(lib.ones(2), 2, rounding_mode="up")),
    ("div", RuntimeError, lambda lib: lib.div(lib.tensor([1]), 0, rounding_mode="trunc")),
    ("div", TypeError, lambda lib: lib.div(lib.ones(2), 2, "floor")),
    ("div", NotImplementedError, lambda lib: _truth(lib).div(_truth(lib), rounding_mode="floor")),
    ("floor_divide", RuntimeError, lambda lib: lib.tensor([1]) // 0),
    ("floor_divide", RuntimeError, lambda lib: lib.tensor([1, 2]) // lib.tensor([1, 0])),
    ("floor_divide", NotImplementedError, lambda lib: _truth(lib) // _truth(lib)),
    ("floor_divide", RuntimeError, lambda lib: lib.ones(2) // lib.ones(3)),
    ("remainder", RuntimeError, lambda lib: lib.tensor([1]) % 0),
    ("remainder", NotImplementedError, lambda lib: _truth(lib) % _truth(lib)),
    ("floor", NotImplementedError, lambda lib: lib.floor(_truth(lib))),
    ("ceil", NotImplementedError, lambda lib: lib.ceil(_truth(lib))),
    ("trunc", NotImplementedError, lambda lib: lib.trunc(_truth(lib))),
    ("round", NotImplementedError, lambda lib: lib.round(_truth(lib))),
    ("round", NotImplementedError, lambda lib: lib.round(lib.tensor([1]), decimals=1)),
    ("frac", NotImplementedError, lambda lib: lib.frac(lib.tensor([1]))),
    ("abs", NotImplementedError, lambda lib: lib.abs(_truth(lib))),
    ("", RuntimeError, lambda lib: +_truth(lib)),
    ("lerp", RuntimeError, lambda lib: lib.lerp(lib.ones(1), lib.ones(1).double(), 0.5)),
    ("lerp", RuntimeError, lambda lib: lib.ones(1).lerp(lib.ones(1), lib.ones(1).double())),
    ("lerp", NotImplementedError, lambda lib: lib.lerp(lib.tensor([1]), lib.tensor([1]), 0.5)),
    ("addcmul", NotImplementedError, lambda lib: lib.addcmul(*[_truth(lib)] * 3)),
    ("addcdiv", RuntimeError, lambda lib: lib.addcdiv(lib.ones(1), *[lib.tensor([1])] * 2)),
    ("bitwise_xor", NotImplementedError, lambda lib: lib.ones(2) ^ lib.ones(2)),
    ("bitwise_and", NotImplementedError, lambda lib: lib.ones(2) & lib.ones(2)),
    *(
        (name, TypeError, lambda lib, name=name: getattr(lib, name)(lib.ones(2), 2.0))
        for name in ("maximum", "minimum", "fmax", "fmin", "atan2", "logical_and", "logical_xor")
    ),
    ("maximum", TypeError, lambda lib: lib.maximum(2, lib.ones(2))),
    ("eq", TypeError, lambda lib: lib.eq(2.0, lib.ones(2))),
    ("lerp", TypeError, lambda lib: lib.lerp(lib.ones(2), 2.0, 0.5)),
    ("addcmul", TypeError, lambda lib: lib.addcmul(lib.ones(2), 2.0, lib.ones(2))),
    ("addcmul", TypeError, lambda lib: lib.addcmul(lib.ones(2), lib.ones(2), lib.ones(2), 2)),
    ("addcmul", RuntimeError, lambda lib: lib.addcmul(*[_bytes(lib)] * 3, value=300)),
    ("addcdiv", TypeError, lambda lib: lib.addcdiv(lib.ones(2), 2.0, lib.ones(2))),
    ("sub", RuntimeError, lambda lib: _truth(lib) - 1),
    ("sub", RuntimeError, lambda lib: 1.5 - _truth(lib)),
    ("sub", RuntimeError, lambda lib: lib.ones(2) - _truth(lib)),
    ("sub", RuntimeError, lambda lib: lib.ones(2) - True),
    ("sub", RuntimeError, lambda lib: lib.ones(2).sub_(_truth(lib))),
    ("sub", RuntimeError, lambda lib: lib.sub(lib.ones(2), _truth(lib), alpha=2)),
    ("add", RuntimeError, lambda lib: lib.add(lib.tensor([1]), lib.tensor([1]), alpha=2.5)),
    ("add", RuntimeError, lambda lib: lib.add(lib.ones(1), lib.ones(1), alpha=True)),
    ("add", TypeError, lambda lib: lib.add(lib.ones(1), lib.ones(1), alpha="2")),
    ("add", OverflowError, lambda lib: lib.ones(1) + 10**30),
    ("pow", NotImplementedError, lambda lib: _truth(lib) ** _truth(lib)),
    ("clamp", TypeError, lambda lib: lib.ones(2).clamp(lib.ones(2), 2.0)),
    ("clamp_min", RuntimeError, lambda lib: _bytes(lib).clamp(300)),
    ("clamp_min", NotImplementedError, lambda lib: _truth(lib).clamp(True)),
    ("clamp", NotImplementedError, lambda lib: _truth(lib).clamp(_truth(lib), _truth(lib))),
    ("where", RuntimeError, lambda lib: lib.where(_truth(lib), _bytes(lib), 300)),
    ("bitwise_not", NotImplementedError, lambda lib: lib.bitwise_not(lib.ones(2))),
    ("round", TypeError, lambda lib: lib.ones(2).round(1)),
    ("round", NotImplementedError, lambda lib: lib.tensor([1]).round(decimals=0)),
    ("logit", TypeError, lambda lib: lib.logit(lib.ones(2), lib.ones(2))),
    ("nan_to_num", TypeError, lambda lib: lib.nan_to_num(lib.ones(2), lib.ones(2))),
    ("hardtanh", RuntimeError, lambda lib: lib.nn.functional.hardtanh(_bytes(lib))),
    ("positive", TypeError, lambda lib: lib.positive(1.0)),
    ("gelu", RuntimeError, lambda lib: lib.nn.functional.gelu(lib.tensor([1]), approximate="x")),
    ("", TypeError, lambda lib: lib.erf(2.0)),
    ("", TypeError, lambda lib: lib.floor_divide(lib.ones(2), None)),
    ("", TypeError, lambda lib: lib.ones(2) % "a"),
    ("", RuntimeError, lambda lib: lib.tensor([1, 2]).div_(2)),
    ("", RuntimeError, lambda lib: lib.tensor([1, 2]).addcmul_(lib.ones(2), lib.ones(2))),
    ("", RuntimeError, lambda lib: lib.ones(2, requires_grad=True).erf_()),
]


def _bytes(lib: Any) -> Any:
    return lib.tensor([1, 2], dtype=lib.uint8)


def _truth(lib: Any) -> Any:
    return lib.tensor([True, False])


@pytest.mark.parametrize(
    ("name", "kind", "call"), REFUSED, ids=[f"{row[0]}-{i}" for i, row in enumerate(REFUSED)]
)
def test_what_torch_refuses_is_refused_with_its_kind_of_error(
    name: str, kind: Any, call: Callable[[Any], Any]
) -> None:
    with pytest.raises(kind):
        call(torch)
    with pytest.raises(kind) as caught:
        call(tt)
    assert name in str(caught.value)
