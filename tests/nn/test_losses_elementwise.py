"""The losses element by element and with margins are torch's: values, both derivatives, errors."""

import inspect
import warnings

import numpy as np
import pytest

import tinytensor as tt
from tinytensor import nn

from .peer import assert_agree, assert_same, both, torch

F = nn.functional
TF = torch.nn.functional
rng = np.random.default_rng(0)

REDUCTIONS = ["none", "mean", "sum"]


def normal(*shape: int) -> np.ndarray:
    return rng.standard_normal(shape)


def share(*shape: int) -> np.ndarray:
    """Numbers between 0.1 and 0.9."""
    return rng.random(shape) * 0.8 + 0.1


def signs(*shape: int) -> np.ndarray:
    return rng.choice([-1, 1], shape)


X, Y, P, Q = normal(4, 3), normal(4, 3), share(4, 3), share(4, 3)
V = rng.random((4, 3)) + 0.5
COUNTS = rng.integers(0, 6, (4, 3))
CASES = {
    "l1_loss": [((X, Y), {}), ((X, Y, P), {}), ((X[0], Y[0]), {}), ((X[0, 0], Y[0, 0]), {})],
    "smooth_l1_loss": [((X, Y), {"beta": b}) for b in (0, 0.3, 1.0)] + [((X[0, 0], Y[0, 0]), {})],
    "huber_loss": [((X, Y), {}), ((X, Y), {"delta": 0.4}), ((X, Y, P), {"delta": 0.7})],
    "kl_div": [((X, P), {}), ((X, Y), {"log_target": True}), ((X, P[0]), {}), ((X[0], P[0]), {})],
    "poisson_nll_loss": [
        ((X, COUNTS), {}),
        ((P, COUNTS), {"log_input": False}),
        ((X, P * 5), {"full": True}),
        ((X, COUNTS), {"full": True, "eps": 0.1}),
        ((P, P), {"log_input": False, "eps": 0.5}),
    ],
    "gaussian_nll_loss": [
        ((X, Y, V), {}),
        ((X, Y, V[:, 0]), {"full": True}),
        ((X, Y, V[:, :1]), {}),
        ((X, Y, V[:1]), {}),
        ((X, Y, P), {"eps": 0.5}),
    ],
    "cosine_embedding_loss": [
        ((X, Y, signs(4)), {}),
        ((X, Y, signs(4)), {"margin": -0.3}),
        ((X[0], Y[0], np.array(1)), {}),
        ((X, Y, np.array([1, 0, -1, 2])), {}),
    ],
    "hinge_embedding_loss": [
        ((X, signs(4, 3)), {}),
        ((X, signs(4, 3)), {"margin": 0.2}),
        ((X, np.array([1, 0, -1])), {}),
    ],
    "margin_ranking_loss": [
        ((X, Y, signs(4, 3)), {}),
        ((X, Y, signs(1, 3)), {"margin": 0.5}),
        ((X, Y, Y * 2), {}),
    ],
    "soft_margin_loss": [((X, signs(4, 3)), {}), ((X[0], signs(3)), {})],
    "multilabel_soft_margin_loss": [
        ((X, rng.integers(0, 2, (4, 3))), {}),
        ((X, P), {"weight": np.array([0.5, 2.0, 1.0])}),
        ((X[0], P[0]), {}),
    ],
    "triplet_margin_loss": [
        ((X, Y, normal(4, 3)), {}),
        ((X, Y, normal(4, 3)), {"swap": True, "margin": 2.0}),
        ((X, Y, normal(4, 3)), {"p": 1, "eps": 0.1}),
        ((X, Y, normal(4, 3)), {"p": 3.0}),
        ((X[0], Y[0], X[1]), {}),
        ((X, Y, X[:1] + 1), {"margin": 5.0}),
    ],
    "triplet_margin_with_distance_loss": [
        ((X, Y, normal(4, 3)), {}),
        ((X, Y, normal(4, 3)), {"swap": True, "margin": 0.5}),
        ((X, Y, X + 1), {"distance_function": lambda a, b: (a - b).abs().sum(-1)}),
    ],
}
LABELS = np.array([[0, 2, -1], [-1, 1, 1], [1, 1, 2], [2, -1, 0]])
MULTI_MARGIN = [
    ((X, np.array([0, 2, 1, 2])), {}),
    ((X, np.array([0, 2, 1, 2])), {"p": 2, "margin": 0.4}),
    ((X, np.array([0, 2, 1, 2])), {"weight": np.array([0.5, 2.0, 1.0])}),
    ((X[0], np.array(1)), {}),
    ((X[0], np.array([1])), {"p": 2}),
]


def given(lib, options):
    """The options with arrays as tensors of a library."""
    return {k: lib.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(
    ("name", "arrays", "options"),
    [(name, arrays, options) for name, cases in CASES.items() for arrays, options in cases],
)
@pytest.mark.filterwarnings("ignore:reduction|kl_div:UserWarning")
def test_a_loss_is_torchs_to_the_second_derivative(name, reduction, arrays, options) -> None:
    keywords = {"huber_loss": ["delta", "weight"], "l1_loss": ["weight"]}.get(name, [])

    def use(lib, *tensors):
        count = 2 if keywords else len(tensors)
        named = {"weight": tensors[2]} if len(tensors) > count else {}
        return getattr(lib.nn.functional, name)(
            *tensors[:count], reduction=reduction, **named, **given(lib, options)
        )

    assert_agree(use, *arrays)


@pytest.mark.parametrize(
    ("name", "arrays"),
    [
        *((name, arrays) for name, cases in CASES.items() for arrays, options in cases[:1]),
        ("mse_loss", (X, Y)),
        ("binary_cross_entropy", (P, Q)),
        ("binary_cross_entropy_with_logits", (X, Q)),
        ("multi_margin_loss", (X, np.array([0, 2, 1, 2]))),
        ("multilabel_margin_loss", (X, LABELS)),
    ],
)
def test_float32_has_torchs_numbers_and_types(name, arrays) -> None:
    results = []
    for lib in (tt, torch):
        values = [lib.tensor(a.astype(np.float32) if a.dtype.kind == "f" else a) for a in arrays]
        values[0].requires_grad_()
        loss = getattr(lib.nn.functional, name)(*values, reduction="sum")
        loss.backward()
        results.append([loss, values[0].grad])
    for ours, theirs in zip(*results, strict=True):
        assert_same(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(("arrays", "options"), MULTI_MARGIN)
def test_multi_margin_loss_is_torchs(arrays, options, reduction) -> None:
    x, x_ = both(arrays[0], requires_grad=True)
    t, t_ = both(arrays[1])
    ours = F.multi_margin_loss(x, t, reduction=reduction, **given(tt, options))
    theirs = TF.multi_margin_loss(x_, t_, reduction=reduction, **given(torch, options))
    assert_same(ours, theirs)
    ours.sum().backward()
    theirs.sum().backward()
    assert_same(x.grad, x_.grad)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("rows", [slice(None), 0, 1])
def test_multilabel_margin_loss_is_torchs(rows, reduction) -> None:
    x, x_ = both(X[rows], requires_grad=True)
    t, t_ = both(LABELS[rows])
    ours = F.multilabel_margin_loss(x, t, reduction=reduction)
    theirs = TF.multilabel_margin_loss(x_, t_, reduction=reduction)
    assert_same(ours, theirs)
    ours.sum().backward()
    theirs.sum().backward()
    assert_same(x.grad, x_.grad)
    assert_same(nn.MultiLabelMarginLoss(reduction=reduction)(x, t), theirs)


def test_the_square_of_a_margin_has_a_second_derivative_which_torch_does_not_have() -> None:
    x = tt.tensor(X, requires_grad=True)
    t = tt.tensor([0, 2, 1, 2])
    assert tt.autograd.gradgradcheck(lambda x: F.multi_margin_loss(x, t, p=2), [x])


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [None, (3,), (4, 3), (4, 1), ()])
@pytest.mark.parametrize("size", [(4, 3), ()])
def test_binary_cross_entropy_is_torchs(reduction, shape, size) -> None:
    weight = None if shape is None or not size else rng.random(shape) + 0.5
    given = [both(values, requires_grad=True) for values in (share(*size), share(*size))]
    results = []
    for lib, leaves in zip((tt, torch), zip(*given, strict=True), strict=True):
        w = None if weight is None else lib.tensor(weight)
        loss = lib.nn.functional.binary_cross_entropy(*leaves, w, reduction=reduction)
        results.append([loss, *lib.autograd.grad(loss.sum(), leaves)])
    for ours, theirs in zip(*results, strict=True):
        assert_same(ours, theirs)


def test_the_second_derivative_of_binary_cross_entropy_is_that_of_its_formula() -> None:
    def use(lib, x, t):
        if lib is tt:
            return F.binary_cross_entropy(x, t, reduction="none")
        # torch's own adds 1e-12 to denominators, which shows in the tenth digit
        return -(t * x.log() + (1 - t) * (1 - x).log())

    assert_agree(use, P, Q)


def test_binary_cross_entropy_is_finite_at_0_and_1_as_in_torch() -> None:
    x, x_ = both(np.array([0, 0, 1, 1, 1e-20, 0.5], np.float32), requires_grad=True)
    t, t_ = both(np.array([0, 1, 0, 1, 1, 0.5], np.float32))
    ours = F.binary_cross_entropy(x, t, reduction="none")
    theirs = TF.binary_cross_entropy(x_, t_, reduction="none")
    assert_same(ours, theirs, rtol=1e-6)
    ours.sum().backward()
    theirs.sum().backward()
    assert_same(x.grad, x_.grad, rtol=1e-6)


def test_kl_div_of_a_target_of_0_is_0_and_its_batchmean_is_the_divergence() -> None:
    p = np.array([[0.0, 1.0], [0.5, 0.5]])
    q = np.array([[0.25, 0.75], [0.25, 0.75]])
    loss = F.kl_div(tt.tensor(np.log(q)), tt.tensor(p), reduction="batchmean")
    expected = (np.log(1 / 0.75) + 0.5 * np.log(2) + 0.5 * np.log(0.5 / 0.75)) / 2
    np.testing.assert_allclose(loss.numpy(), expected, rtol=1e-15)
    for shape in ((), (3,), (2, 3)):
        x, x_ = both(normal(*shape))
        t, t_ = both(share(*shape))
        assert_same(F.kl_div(x, t, reduction="batchmean"), TF.kl_div(x_, t_, reduction="batchmean"))


def test_kl_divs_mean_warns_as_in_torch() -> None:
    for lib in (tt, torch):
        x, t = lib.tensor(X), lib.tensor(P)
        with pytest.warns(UserWarning, match="batchmean") as caught:
            lib.nn.functional.kl_div(x, t)
        assert caught[0].filename == __file__
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            lib.nn.functional.kl_div(x, t, reduction="sum")


def test_an_infinite_error_has_the_gradient_of_a_large_one() -> None:
    x, x_ = both(np.array([np.inf, -np.inf, 3.0]), requires_grad=True)
    for name in ("smooth_l1_loss", "huber_loss", "l1_loss"):
        x.grad = x_.grad = None
        getattr(F, name)(x, tt.zeros(3, dtype=tt.float64), reduction="sum").backward()
        getattr(TF, name)(x_, torch.zeros(3).double(), reduction="sum").backward()
        assert_same(x.grad, x_.grad)


@pytest.mark.parametrize("name", ["smooth_l1_loss", "huber_loss", "l1_loss"])
def test_at_the_kinks_the_gradient_is_torchs(name) -> None:
    x, x_ = both(np.array([0.0, 1.0, -1.0]), requires_grad=True)
    getattr(F, name)(x, tt.zeros(3, dtype=tt.float64), reduction="sum").backward()
    getattr(TF, name)(x_, torch.zeros(3).double(), reduction="sum").backward()
    assert_same(x.grad, x_.grad)


def test_a_vector_of_zeros_has_a_cosine_of_0_as_in_torch() -> None:
    x, x_ = both(np.zeros((2, 3)), requires_grad=True)
    y, y_ = both(Y[:2])
    t, t_ = both(np.array([1, -1]))
    ours = F.cosine_embedding_loss(x, y, t, margin=-0.5, reduction="none")
    theirs = TF.cosine_embedding_loss(x_, y_, t_, margin=-0.5, reduction="none")
    assert ours.tolist() == [1.0, 0.5]
    ours.sum().backward()
    theirs.sum().backward()
    assert_same(x.grad, x_.grad)


def test_soft_margin_loss_does_not_overflow() -> None:
    x = tt.tensor([-1000.0, 1000.0], requires_grad=True)
    loss = F.soft_margin_loss(x, tt.tensor([1.0, 1.0]), reduction="none")
    assert loss.tolist() == [1000.0, 0.0]
    loss.sum().backward()
    assert x.grad.tolist() == [-1.0, 0.0]


@pytest.mark.parametrize("var", [2.0, 0.0])
def test_the_variance_may_be_a_number(var) -> None:
    x, x_ = both(X)
    assert_same(F.gaussian_nll_loss(x, x + 1, var), TF.gaussian_nll_loss(x_, x_ + 1, var))


# -- what is refused ------------------------------------------------------------------------------

x, y, p = X, Y, P
REFUSED = [
    ("l1_loss", (x, y), {"weight": y[0]}, ValueError, r"same size, got \(3,\) and \(4, 3\)"),
    ("huber_loss", (x, y), {"weight": y[0]}, ValueError, "Weights and input must have the same"),
    ("smooth_l1_loss", (x, y), {"beta": -1}, RuntimeError, "beta that is not negative, got -1"),
    ("huber_loss", (x, y), {"delta": 0}, RuntimeError, "expected a positive delta, got 0"),
    ("huber_loss", (COUNTS, COUNTS), {}, NotImplementedError, r"int64 .*use .float\(\)"),
    ("binary_cross_entropy", (p, p[0]), {}, ValueError, "Using a target size"),
    ("binary_cross_entropy", (p * 9, p), {}, RuntimeError, "elements of input should be between 0"),
    ("binary_cross_entropy", (p, p * 9), {}, RuntimeError, "elements of target should be between"),
    ("binary_cross_entropy", (p, p, p[:2]), {}, RuntimeError, r"\(4, 3\)"),
    ("binary_cross_entropy", (p, COUNTS), {}, RuntimeError, r"use target.to\(.*float64\)"),
    ("binary_cross_entropy", (COUNTS, COUNTS), {}, NotImplementedError, r"use .float\(\)"),
    ("kl_div", (x, COUNTS), {"reduction": "sum"}, RuntimeError, "floating-point tensors.*int64"),
    ("kl_div", (x, p), {"reduction": "avg"}, ValueError, "reduction.*'avg'"),
    ("poisson_nll_loss", (x, p), {"reduction": "avg"}, ValueError, "reduction.*'avg'"),
    ("gaussian_nll_loss", (x, y, -p), {}, ValueError, "var has negative entry"),
    ("gaussian_nll_loss", (x, y, -1.0), {}, ValueError, "var has negative entry"),
    ("gaussian_nll_loss", (x, y, p[:, :2]), {}, ValueError, r"expected \(4, 3\) .* got \(4, 2\)"),
    ("gaussian_nll_loss", (x, y, p[:1, :1]), {}, ValueError, r"got \(1, 1\)"),
    ("gaussian_nll_loss", (x, y, p), {"reduction": "avg"}, ValueError, "reduction.*'avg'"),
    ("cosine_embedding_loss", (x, y, signs(4, 1)), {}, RuntimeError, "0D or 1D target"),
    ("cosine_embedding_loss", (x, y, np.array(1)), {}, RuntimeError, "0D target tensor expects 1D"),
    ("cosine_embedding_loss", (x[0], y[0], signs(1)), {}, RuntimeError, r"found .* \[3\] and \[3"),
    ("margin_ranking_loss", (x, y, signs(3)), {}, RuntimeError, "same dimension but got sizes"),
    ("triplet_margin_loss", (x, y, x[0]), {}, RuntimeError, "anchor 2D, positive 2D, and negative"),
    ("triplet_margin_loss", (x, y, x), {"margin": 0}, ValueError, "greater than 0, got 0"),
    ("triplet_margin_with_distance_loss", (x, y, x), {"margin": -1}, ValueError, "margin must be"),
    ("multi_margin_loss", (x, signs(4) * 0), {"p": 3}, ValueError, "p == 1 and p == 2"),
    ("multi_margin_loss", (x, signs(4) * 0), {"weight": x}, ValueError, "must be one-dimensional"),
    ("multi_margin_loss", (x, signs(4) * 0), {"weight": x[:, 0]}, RuntimeError, "expected 3 but"),
    ("multi_margin_loss", (x, signs(4) * 3), {}, RuntimeError, r"out of range.*\[0, 2\]"),
    ("multi_margin_loss", (x, signs(3) * 0), {}, RuntimeError, r"\(4,\) .* got \(3,\)"),
    ("multi_margin_loss", (x[None], signs(4) * 0), {}, RuntimeError, r"\(N, C\) or \(C\)"),
    ("multilabel_margin_loss", (x, LABELS[:2]), {}, RuntimeError, r"\(4, 3\) and \(2, 3\)"),
    ("multilabel_margin_loss", (x, LABELS + 1), {}, RuntimeError, r"range: .*\[0, 2\]"),
    ("multilabel_margin_loss", (x, LABELS - 1), {}, RuntimeError, "out of range"),
    ("multilabel_margin_loss", (x, p), {}, RuntimeError, r"int64 classes.*use .long\(\)"),
    ("multi_margin_loss", (x, p[:, 0]), {}, RuntimeError, r"int64 classes.*use .long\(\)"),
]


@pytest.mark.parametrize(("name", "arrays", "options", "error", "message"), REFUSED)
@pytest.mark.filterwarnings("ignore:Using a target size:UserWarning")
def test_what_torch_refuses_is_refused_and_says_why(name, arrays, options, error, message) -> None:
    def run(lib):
        values = [lib.tensor(a) if isinstance(a, np.ndarray) else a for a in arrays]
        getattr(lib.nn.functional, name)(*values, **given(lib, options))

    with pytest.raises(error):
        run(torch)
    with pytest.raises(error, match=message) as caught:
        run(tt)
    assert str(caught.value).startswith(f"{name}: ")


def test_a_weight_without_a_derivative_may_not_ask_for_one() -> None:
    for lib in (tt, torch):
        p = lib.tensor(P)
        weight = lib.ones(3, dtype=lib.float64, requires_grad=True)
        with pytest.raises(RuntimeError, match="weight"):
            loss = lib.nn.functional.binary_cross_entropy(p.requires_grad_(), p.detach(), weight)
            loss.backward()
        with lib.no_grad():
            lib.nn.functional.binary_cross_entropy(p, p, weight)


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"])
def test_a_target_that_is_broadcast_warns_at_the_callers_line(name) -> None:
    results = []
    for lib in (tt, torch):
        with pytest.warns(UserWarning, match="Using a target size") as caught:
            results.append(getattr(lib.nn.functional, name)(lib.tensor(X), lib.tensor(Y[0])))
        assert caught[0].filename == __file__
    assert_same(*results)


# -- modules --------------------------------------------------------------------------------------

NAMES = """
    L1Loss SmoothL1Loss HuberLoss BCELoss KLDivLoss PoissonNLLLoss GaussianNLLLoss
    CosineEmbeddingLoss HingeEmbeddingLoss MarginRankingLoss SoftMarginLoss MultiLabelSoftMarginLoss
    MultiMarginLoss MultiLabelMarginLoss TripletMarginLoss TripletMarginWithDistanceLoss MSELoss
    NLLLoss CrossEntropyLoss BCEWithLogitsLoss CTCLoss PairwiseDistance CosineSimilarity
""".split()


def parameters_of(function):
    return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]


@pytest.mark.parametrize("name", NAMES)
def test_a_module_has_torchs_arguments_and_name(name) -> None:
    ours, theirs = getattr(nn, name), getattr(torch.nn, name)
    assert parameters_of(ours) == parameters_of(theirs)
    assert parameters_of(ours.forward) == parameters_of(theirs.forward)
    assert repr(ours()) == repr(theirs())
    assert list(ours().state_dict()) == list(theirs().state_dict())


@pytest.mark.parametrize(
    "name",
    [
        *CASES,
        "binary_cross_entropy",
        "multi_margin_loss",
        "multilabel_margin_loss",
        "pairwise_distance",
        "ctc_loss",
    ],
)
def test_a_function_has_torchs_arguments(name) -> None:
    if name == "pairwise_distance":  # built in, there
        assert [p[0] for p in parameters_of(F.pairwise_distance)] == [
            "x1",
            "x2",
            "p",
            "eps",
            "keepdim",
        ]
        return
    assert parameters_of(getattr(F, name)) == parameters_of(getattr(TF, name))


W = np.array([0.5, 2.0, 1.0])
MODULES = [
    ("L1Loss", {}, (X, Y)),
    ("SmoothL1Loss", {"beta": 0.5, "reduction": "sum"}, (X, Y)),
    ("HuberLoss", {"delta": 0.5}, (X, Y)),
    ("BCELoss", {"weight": W}, (P, Q)),
    ("KLDivLoss", {"reduction": "batchmean", "log_target": True}, (X, Y)),
    ("PoissonNLLLoss", {"log_input": False, "full": True, "eps": 0.1}, (P, COUNTS)),
    ("GaussianNLLLoss", {"full": True, "eps": 0.6}, (X, Y, V)),
    ("CosineEmbeddingLoss", {"margin": 0.2}, (X, Y, signs(4))),
    ("HingeEmbeddingLoss", {"margin": 0.2}, (X, signs(4, 3))),
    ("MarginRankingLoss", {"margin": 0.2}, (X, Y, signs(4, 3))),
    ("SoftMarginLoss", {"reduction": "none"}, (X, signs(4, 3))),
    ("MultiLabelSoftMarginLoss", {"weight": W}, (X, rng.integers(0, 2, (4, 3)))),
    ("TripletMarginLoss", {"margin": 2.0, "p": 3.0, "eps": 0.1, "swap": True}, (X, Y, Y + X)),
    ("TripletMarginWithDistanceLoss", {"margin": 2.0, "swap": True}, (X, Y, Y + X)),
    ("PairwiseDistance", {"p": 3.0, "eps": 0.1, "keepdim": True}, (X, Y)),
    ("CosineSimilarity", {"dim": 0, "eps": 0.1}, (X, Y)),
]


@pytest.mark.parametrize(("name", "options", "arrays"), MODULES)
def test_a_module_hands_its_options_on(name, options, arrays) -> None:
    assert_agree(
        lambda lib, *tensors: getattr(lib.nn, name)(**given(lib, options))(*tensors), *arrays
    )


def test_multi_margin_loss_hands_its_options_on() -> None:
    options = {"p": 2, "margin": 0.3, "weight": W, "reduction": "sum"}
    t = np.array([0, 1, 2, 1])
    results = [
        lib.nn.MultiMarginLoss(**given(lib, options))(lib.tensor(X), lib.tensor(t))
        for lib in (tt, torch)
    ]
    assert_same(*results)


@pytest.mark.parametrize(
    ("name", "options", "error"),
    [
        ("HuberLoss", {"delta": "1"}, TypeError),
        ("MultiMarginLoss", {"p": 3}, ValueError),
        ("MultiMarginLoss", {"weight": X}, ValueError),
        ("TripletMarginLoss", {"margin": 0}, ValueError),
        ("TripletMarginWithDistanceLoss", {"margin": -1.0}, ValueError),
    ],
)
def test_a_module_refuses_an_option_when_it_is_made(name, options, error) -> None:
    for lib in (torch, tt):
        with pytest.raises(error, match=next(iter(options))):
            getattr(lib.nn, name)(**given(lib, options))


@pytest.mark.parametrize("shape", [(4, 3), (3,), ()])
@pytest.mark.parametrize("p", [1.0, 2.0, 3.0, float("inf")])
def test_pairwise_distance_is_torchs(shape, p) -> None:
    assert_agree(
        lambda lib, a, b: lib.nn.functional.pairwise_distance(a, b, p, 0.01, False),
        normal(*shape),
        normal(*shape),
    )
