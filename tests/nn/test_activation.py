"""Activations agree with torch: values, gradients, second order, printed form; in place as well."""

import numpy as np
import pytest

import tinytensor as tt
from tinytensor import nn

from .peer import assert_agree, assert_same, both, torch

# No element lies on a kink (0, ±1, ±0.5, 2, ±3).
X = np.random.default_rng(0).permutation(np.linspace(-3.03, 3.07, 24)).reshape(2, 3, 4)

MODULES = {
    "ReLU": [{}, {"inplace": True}],
    "SiLU": [{}, {"inplace": True}],
    "LeakyReLU": [{}, {"negative_slope": 0.2}, {"inplace": True}],
    "ELU": [{}, {"alpha": 0.7}, {"inplace": True}],
    "Hardtanh": [{}, {"min_val": -0.5, "max_val": 2.0}, {"inplace": True}],
    "SELU": [{}, {"inplace": True}],
    "GELU": [{}, {"approximate": "tanh"}],
    "Mish": [{}, {"inplace": True}],
    "Softsign": [{}],
    "GLU": [{}, {"dim": 0}],
    "Tanh": [{}],
    "Sigmoid": [{}],
    "LogSigmoid": [{}],
    "Softplus": [{}, {"beta": 2.0, "threshold": 3.0}],
    "Softmax": [{"dim": 1}, {"dim": -1}],
    "LogSoftmax": [{"dim": 1}, {"dim": -1}],
    "Softmin": [{"dim": 1}, {"dim": -1}],
    "Softmax2d": [{}],
    "ReLU6": [{}, {"inplace": True}],
    "Threshold": [
        {"threshold": 0.4, "value": 7.0},
        {"threshold": 0.4, "value": 7, "inplace": True},
    ],
    "CELU": [{}, {"alpha": 0.5}, {"alpha": 2.0, "inplace": True}],  # torch has 1 / α in float32
    "PReLU": [{}, {"num_parameters": 3, "init": 0.1}],
    "RReLU": [{}, {"lower": 0.1, "upper": 0.9, "inplace": True}],
    "Hardswish": [{}, {"inplace": True}],
    "Hardshrink": [{}, {"lambd": 0.7}],
    "Softshrink": [{}, {"lambd": 0.7}],
    "Tanhshrink": [{}],
}
CASES = [
    pytest.param(name, options, id=f"{name}-{'-'.join(options) or 'plain'}-{number}")
    for name, choices in MODULES.items()
    for number, options in enumerate(choices)
]


@pytest.mark.parametrize(("name", "options"), CASES)
def test_an_activation_module_is_torchs(name, options) -> None:
    def use(lib, x):
        module = getattr(lib.nn, name)(**options).double()
        lib.manual_seed(0)
        # x * 1: in place, a leaf must not be written to.
        return module(x * 1)

    assert_agree(use, X)
    assert repr(getattr(nn, name)(**options)) == repr(getattr(torch.nn, name)(**options))


@pytest.mark.parametrize(("name", "options"), CASES)
def test_an_activation_keeps_float32(name, options) -> None:
    ours, theirs = both(X.astype(np.float32))
    for lib in (tt, torch):
        lib.manual_seed(0)
    result = getattr(nn, name)(**options)(ours)
    # torch's own float32 forms round differently by a few units in the last place. What the error
    # function is rounded by stays, where 1 is added to it, as that part of 1.
    atol = 3 * 2.0**-23 if name == "GELU" else 1e-7
    assert_same(result, getattr(torch.nn, name)(**options)(theirs), rtol=3e-6, atol=atol)
    assert (result._array is ours._array) == bool(options.get("inplace"))


FUNCTIONS = [
    ("relu", ()),
    ("leaky_relu", (0.1,)),
    ("elu", (1.3,)),
    ("silu", ()),
    ("hardtanh", (-0.5, 1.5)),
    ("softplus", (1.5, 2.0)),
    ("logsigmoid", ()),
    ("selu", ()),
    ("mish", ()),
    ("softsign", ()),
    ("glu", (0,)),
    ("tanh", ()),
    ("sigmoid", ()),
    ("softmax", (2,)),
    ("log_softmax", (0,)),
    ("softmin", (0,)),
    ("relu6", ()),
    ("threshold", (0.3, -2.0)),
    ("celu", (2.0,)),
    ("rrelu", (0.2, 0.6)),
    ("hardswish", ()),
    ("hardshrink", (0.6,)),
    ("softshrink", (0.6,)),
    ("tanhshrink", ()),
]


@pytest.mark.parametrize(("name", "arguments"), FUNCTIONS)
def test_an_activation_function_takes_torchs_arguments_in_order(name, arguments) -> None:
    assert_agree(lambda lib, x: getattr(lib.nn.functional, name)(x, *arguments), X)


@pytest.mark.parametrize(
    "name",
    [
        *("relu", "leaky_relu", "elu", "silu", "hardtanh", "selu", "mish", "hardsigmoid"),
        *("relu6", "celu", "rrelu", "hardswish"),
    ],
)
def test_writing_in_place_is_counted(name: str) -> None:
    x = tt.rand(3)
    assert getattr(nn.functional, name)(x, inplace=True) is x
    assert x._version == 1
    leaf = tt.rand(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="in-place"):
        getattr(nn.functional, name)(leaf, inplace=True)


@pytest.mark.parametrize(
    ("name", "module"),
    [("softmax", "Softmax"), ("log_softmax", "LogSoftmax"), ("softmin", "Softmin")],
)
@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
def test_softmax_guesses_the_dimension_as_torch_does_and_warns(name, module, ndim) -> None:
    ours, theirs = both(np.random.default_rng(1).standard_normal((2, 3, 2, 3)[:ndim]))
    results = []
    for lib, x in ((tt, ours), (torch, theirs)):
        warning = f"Implicit dimension choice for {name}"
        with pytest.warns(UserWarning, match=warning) as caught:
            results.append(getattr(lib.nn.functional, name)(x))
        assert caught[0].filename == __file__
        with pytest.warns(UserWarning, match=warning):
            results.append(getattr(lib.nn, module)()(x))
    for ours, theirs in zip(results[:2], results[2:], strict=True):
        assert_same(ours, theirs)


def test_softmax_computes_in_the_dtype_that_is_asked_for() -> None:
    ours, theirs = both(X.astype(np.float32))
    for name in ("softmax", "log_softmax"):
        result = getattr(nn.functional, name)(ours, dim=1, dtype=tt.float64)
        expected = getattr(torch.nn.functional, name)(theirs, dim=1, dtype=torch.float64)
        assert_same(result, expected)


def test_hardtanh_refuses_bounds_in_the_wrong_order() -> None:
    with pytest.raises(ValueError, match="min_val"):
        nn.functional.hardtanh(tt.zeros(1), 2.0, 1.0)
    with pytest.raises(ValueError, match=r"min_val < max_val, got 2\.0 and 1\.0"):
        nn.Hardtanh(2.0, 1.0)


def test_hardtanh_takes_the_old_names_with_a_warning() -> None:
    with pytest.warns(FutureWarning, match="min_val"):
        module = nn.Hardtanh(min_value=-2.0, max_value=2.0)
    assert repr(module) == "Hardtanh(min_val=-2.0, max_val=2.0)"


@pytest.mark.parametrize("options", [{}, {"inplace": True}])
def test_hardsigmoid_is_torchs_and_its_second_derivative_zero(options) -> None:
    ours, theirs = both(np.append(X, [3.0, -3.0, 0.0]), requires_grad=True)
    results = []
    for lib, x in ((tt, ours), (torch, theirs)):
        module = lib.nn.Hardsigmoid(**options)
        y = module(x * 1)
        y.backward(lib.ones_like(y))
        results.append((repr(module), y, x.grad))
    assert results[0][0] == results[1][0]
    assert_same(results[0][1], results[1][1])
    assert_same(results[0][2], results[1][2], rtol=2.0**-24)  # torch has 1 / 6 in float32 there
    # torch has no second derivative here.
    (g,) = tt.autograd.grad((nn.functional.hardsigmoid(ours) * ours).sum(), ours, create_graph=True)
    (gg,) = tt.autograd.grad(g.sum(), ours)
    assert_same(gg, 2 * theirs.grad, rtol=2.0**-24)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        *(("relu", ()), ("leaky_relu", (0.2,)), ("elu", (0.7,)), ("selu", ())),
        *(("hardtanh", (-0.4, 2)), ("celu", (0.5,)), ("threshold", (0.2, 3.0))),
        ("rrelu", (0.1, 0.4, False)),
    ],
)
def test_an_activation_function_has_an_in_place_form(name, arguments) -> None:
    def use(lib, x):
        y = x * 1
        assert getattr(lib.nn.functional, f"{name}_")(y, *arguments) is y
        return y

    assert_agree(use, X)


def test_gelu_refuses_an_approximation_it_does_not_know() -> None:
    for lib in (tt, torch):
        with pytest.raises(RuntimeError, match="approximate argument must be either none or tanh"):
            lib.nn.functional.gelu(lib.zeros(2), approximate="erf")
        with pytest.raises(TypeError):
            lib.nn.functional.gelu(lib.zeros(2), "tanh")


def test_glu_refuses_what_it_can_not_halve() -> None:
    for lib in (tt, torch):
        for kind, x, dim in (
            (RuntimeError, lib.zeros(3), 0),
            (RuntimeError, lib.tensor(1.0), 0),
            (IndexError, lib.zeros(2, 4), 2),
            (NotImplementedError, lib.zeros(2, dtype=lib.int64), 0),
        ):
            with pytest.raises(kind):
                lib.nn.functional.glu(x, dim)
    assert nn.functional.glu(tt.zeros(2, 0)).shape == (2, 0)


@pytest.mark.parametrize(
    "name", ["leaky_relu", "elu", "silu", "selu", "gelu", "mish", "softplus", "logsigmoid"]
)
def test_whole_numbers_and_truths_are_refused_where_torch_refuses_them(name: str) -> None:
    for lib in (tt, torch):
        for values in ([1, 2], [True, False]):
            with pytest.raises(NotImplementedError, match="(?i)log_?sigmoid|elu|" + name):
                getattr(lib.nn.functional, name)(lib.tensor(values))


@pytest.mark.parametrize("name", ["relu", "hardtanh"])
def test_only_truths_are_refused_where_torch_keeps_whole_numbers(name: str) -> None:
    for lib in (tt, torch):
        assert getattr(lib.nn.functional, name)(lib.tensor([3, -3])).dtype is lib.int64
        with pytest.raises(RuntimeError, match=r"(?i)bool"):
            getattr(lib.nn.functional, name)(lib.tensor([True]))


# -- pieces, slopes and draws ---------------------------------------------------------------------

INF, NAN = np.inf, np.nan
EDGES = np.array([-INF, -6, -3, -1, -0.5, -0.3, 0, 0.3, 0.5, 1, 3, 6, INF, NAN])


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        *(("celu", (0.5,)), ("hardswish", ()), ("hardshrink", ()), ("hardshrink", (-0.3,))),
        *(("softshrink", ()), ("softshrink", (0,)), ("threshold", (0.5, 7.0)), ("relu6", ())),
        *(("tanhshrink", ()), ("rrelu", ())),
    ],
)
def test_kinks_infinities_and_nan_fall_to_the_side_that_torch_picks(name, arguments) -> None:
    results = []
    for lib in (tt, torch):
        x = lib.tensor(EDGES, requires_grad=True)
        y = getattr(lib.nn.functional, name)(x, *arguments)
        (g,) = lib.autograd.grad(y, x, lib.ones_like(y), create_graph=True)
        (gg,) = lib.autograd.grad((g * g).sum() + (0 * x).nan_to_num(0, 0, 0).sum(), x)
        results.append((y, g, gg))
    for ours, theirs in zip(*results, strict=True):
        assert_same(ours, theirs)


@pytest.mark.parametrize("shape", [(), (1,), (5,), (2, 3), (2, 3, 4), (4, 3, 1, 2), (0, 3)])
@pytest.mark.parametrize("slopes", [(), (1,), (3,)])
def test_prelu_is_torchs_with_one_slope_or_one_for_each_channel(shape, slopes) -> None:
    numbers = np.random.default_rng(3)
    x, weight = numbers.standard_normal(shape), numbers.uniform(0.1, 0.4, slopes)
    if slopes == (3,) and len(shape) < 2:
        for lib in (tt, torch):
            with pytest.raises(RuntimeError):
                lib.nn.functional.prelu(lib.tensor(x), lib.tensor(weight))
        return
    assert_agree(lambda lib, x, w: lib.nn.functional.prelu(x, w), x, weight)


def test_an_infinite_input_leaves_the_slope_of_prelu_finite() -> None:
    for lib in (tt, torch):
        weight = lib.tensor([0.25], requires_grad=True)
        lib.nn.functional.prelu(lib.tensor([INF, -2.0]), weight).sum().backward()
        assert weight.grad.tolist() == [-2.0]


@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_rrelu_draws_torchs_slopes_for_what_is_not_above_0_only(kind) -> None:
    x = np.array([[-1.0, 1, -1], [0, -1, NAN], [-2, 3, -4]])
    ours, theirs = both(x.astype(kind))
    for lib in (tt, torch):
        lib.manual_seed(5)
    result = nn.functional.rrelu(ours, training=True)
    expected = torch.nn.functional.rrelu(theirs, training=True)
    assert_same(result, expected, rtol=2e-7, atol=0)
    assert_same(tt.rand(2), torch.rand(2), rtol=0, atol=0)


@pytest.mark.parametrize("hard", [False, True])
def test_gumbel_softmax_has_torchs_draws_and_gradients(hard) -> None:
    def use(lib, x):
        lib.manual_seed(0)
        return lib.nn.functional.gumbel_softmax(x, 0.7, hard, dim=1)

    assert_agree(use, X)
    for lib in (tt, torch):
        with pytest.warns(UserWarning, match="`eps` parameter is deprecated"):
            lib.nn.functional.gumbel_softmax(lib.zeros(2), eps=1e-5)


REFUSALS = [
    (RuntimeError, "celu", lambda lib: (lib.ones(2), 0)),
    (RuntimeError, "softshrink", lambda lib: (lib.ones(2), -1)),
    (RuntimeError, "softshrink", lambda lib: (lib.ones(2), NAN)),
    (RuntimeError, "rrelu", lambda lib: (lib.ones(2), 0.6, 0.5)),
    (RuntimeError, "rrelu", lambda lib: (lib.ones(2), 0.6, 0.5, True)),
    (TypeError, "prelu", lambda lib: (lib.ones(2), 0.5)),
    (RuntimeError, "prelu", lambda lib: (lib.ones(2, 3), lib.ones(1, 3))),
    (RuntimeError, "prelu", lambda lib: (lib.ones(2, 3), lib.ones(2))),
    (RuntimeError, "prelu", lambda lib: (lib.ones(2, 3), lib.ones(1).double())),
    (NotImplementedError, "prelu", lambda lib: (lib.ones(2).long(), lib.ones(1).long())),
    (NotImplementedError, "celu", lambda lib: (lib.ones(2).long(),)),
    (NotImplementedError, "hardswish", lambda lib: (lib.ones(2).long(),)),
    (NotImplementedError, "hardshrink", lambda lib: (lib.ones(2).long(),)),
    (NotImplementedError, "softshrink", lambda lib: (lib.ones(2).long(),)),
    (NotImplementedError, "rrelu", lambda lib: (lib.ones(2).long(),)),
    (NotImplementedError, "threshold", lambda lib: (lib.ones(2).bool(), 1, 2)),
    (RuntimeError, "tanhshrink", lambda lib: (lib.ones(2).bool(),)),
    (IndexError, "softmin", lambda lib: (lib.ones(2, 3), 5)),
]


@pytest.mark.parametrize(("kind", "name", "arguments"), REFUSALS)
def test_an_activation_refuses_what_torch_refuses(kind, name, arguments) -> None:
    for lib in (tt, torch):
        with pytest.raises(kind):
            getattr(lib.nn.functional, name)(*arguments(lib))


def test_rrelu_in_training_refuses_whole_numbers_as_in_evaluation() -> None:
    for lib in (tt, torch):
        with pytest.raises((NotImplementedError, RuntimeError)):
            lib.nn.functional.rrelu(lib.ones(2).long(), training=True)


def test_softmax2d_takes_images_only() -> None:
    for lib in (tt, torch):
        with pytest.raises(ValueError, match="expected input to be 3D or 4D, got 2D"):
            lib.nn.Softmax2d()(lib.ones(2, 3))


def test_threshold_keeps_whole_numbers() -> None:
    for arguments in ((1, 7), (1.5, 7.5)):
        ours, theirs = both(np.array([1, 0, 3]))
        result = nn.functional.threshold(ours, *arguments)
        assert_same(result, torch.nn.functional.threshold(theirs, *arguments))
