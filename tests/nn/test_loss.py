"""Losses agree with torch: values, gradients, second order, reductions, weights; errors teach."""

import contextlib
import itertools

import numpy as np
import pytest

import tinytensor as tt
from tinytensor import nn

from .peer import assert_agree, assert_same, both, torch

F = nn.functional
rng = np.random.default_rng(0)

REDUCTIONS = ["none", "mean", "sum"]
SHAPES = [(4,), (5, 4), (2, 4, 3, 2)]
C = 4


def normal(*shape: int) -> np.ndarray:
    return rng.standard_normal(shape)


def classes_for(shape: tuple[int, ...], ignored: int | None) -> np.ndarray:
    """Class numbers for an input of a shape, some of them `ignored`."""
    numbers = rng.integers(0, C, shape[:1] + shape[2:] if len(shape) > 1 else ())
    if ignored is not None and numbers.ndim:
        numbers[rng.random(numbers.shape) < 0.4] = ignored
        numbers.flat[0] = ignored
        numbers.flat[-1] = 1
    return numbers


def probabilities_for(shape: tuple[int, ...]) -> np.ndarray:
    values = np.exp(normal(*shape))
    return values / values.sum(axis=min(1, len(shape) - 1), keepdims=True)


# -- classes by number ----------------------------------------------------------------------------

CLASS_CASES = list(
    itertools.product(SHAPES, REDUCTIONS, [False, True], [None, -100, 2], [0.0, 0.1, 1.0])
)


@pytest.mark.parametrize(("shape", "reduction", "weighted", "ignored", "smoothing"), CLASS_CASES)
def test_cross_entropy_of_class_numbers_is_torchs(
    shape, reduction, weighted, ignored, smoothing
) -> None:
    weight = rng.random(C) + 0.5

    def use(lib, x, target):
        return lib.nn.functional.cross_entropy(
            x,
            target,
            lib.tensor(weight) if weighted else None,
            ignore_index=-100 if ignored is None else ignored,
            reduction=reduction,
            label_smoothing=smoothing,
        )

    assert_agree(use, normal(*shape), classes_for(shape, ignored))


@pytest.mark.parametrize(("shape", "reduction", "weighted", "ignored", "smoothing"), CLASS_CASES)
def test_the_fused_cross_entropy_is_its_reference(
    shape, reduction, weighted, ignored, smoothing
) -> None:
    weight = tt.tensor(rng.random(C) + 0.5) if weighted else None
    target = tt.tensor(classes_for(shape, ignored))
    x = tt.tensor(normal(*shape), requires_grad=True)
    upstream = tt.tensor(normal(*target.shape)) if reduction == "none" else tt.tensor(2.0).double()
    results = []
    for way in (contextlib.nullcontext, tt.unrolled):
        with way():
            loss = F.cross_entropy(
                x,
                target,
                weight,
                ignore_index=-100 if ignored is None else ignored,
                reduction=reduction,
                label_smoothing=smoothing,
            )
        results.append([loss, *tt.autograd.grad(loss, x, upstream)])
    for fused, plain in zip(*results, strict=True):
        assert_same(fused, plain, rtol=1e-13, atol=1e-14)


def test_an_ignored_example_may_hold_anything_in_the_fused_loss_too() -> None:
    x = tt.tensor([[np.nan, 1.0], [0.5, 2.0]], requires_grad=True)
    loss = F.cross_entropy(x, tt.tensor([-100, 1]))
    loss.backward()
    assert loss.isfinite()
    assert x.grad[0].tolist() == [0, 0]
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ignored", [None, -100, 2])
def test_nll_loss_is_torchs(shape, reduction, weighted, ignored) -> None:
    weight = rng.random(C) + 0.5

    def use(lib, x, target):
        return lib.nn.functional.nll_loss(
            x,
            target,
            lib.tensor(weight) if weighted else None,
            ignore_index=-100 if ignored is None else ignored,
            reduction=reduction,
        )

    assert_agree(use, normal(*shape), classes_for(shape, ignored))


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_if_all_targets_are_ignored_the_mean_is_no_number_as_in_torch(smoothing, reduction) -> None:
    ours, theirs = both(normal(3, C), requires_grad=True)
    target, target_ = both(np.full(3, -100))
    options = {"reduction": reduction, "label_smoothing": smoothing}
    assert_same(
        F.cross_entropy(ours, target, **options),
        torch.nn.functional.cross_entropy(theirs, target_, **options),
    )
    nothing, nothing_ = both(np.zeros((0, C)))
    none, none_ = both(np.zeros(0, np.int64))
    assert_same(
        F.cross_entropy(nothing, none, **options),
        torch.nn.functional.cross_entropy(nothing_, none_, **options),
    )


def test_an_ignored_example_may_hold_anything() -> None:
    x, x_ = both([[np.inf, 1.0], [0.5, 2.0]], requires_grad=True)
    t, t_ = both([-100, 1])
    assert_same(F.nll_loss(x, t), torch.nn.functional.nll_loss(x_, t_))


@pytest.mark.parametrize("kind", [np.uint8, np.int64])
def test_class_numbers_may_be_bytes(kind) -> None:
    x, x_ = both(normal(3, C))
    t, t_ = both(np.array([0, 3, 1], kind))
    assert_same(F.cross_entropy(x, t), torch.nn.functional.cross_entropy(x_, t_))


def test_one_example_may_have_its_class_in_a_list() -> None:
    x, x_ = both(normal(C))
    t, t_ = both(np.array([2]))
    for reduction in ("mean", "sum"):
        assert_same(
            F.cross_entropy(x, t, reduction=reduction),
            torch.nn.functional.cross_entropy(x_, t_, reduction=reduction),
        )


def test_cross_entropy_keeps_float32_and_extreme_values() -> None:
    x, x_ = both(np.array([[1e4, 0, -1e4], [-1e30, 1e30, 0], [0, 0, 0]], np.float32), True)
    t, t_ = both(np.array([1, 1, 2]))
    loss, loss_ = F.cross_entropy(x, t), torch.nn.functional.cross_entropy(x_, t_)
    assert_same(loss, loss_, rtol=1e-6)
    loss.backward()
    loss_.backward()
    assert_same(x.grad, x_.grad, rtol=1e-6)


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
@pytest.mark.parametrize(
    ("shape", "target", "error", "message"),
    [
        ((3, 4), [0, 1, 7], IndexError, r"Target 7 is out of bounds: expected classes in \[0, 3\]"),
        ((3, 4), [0, -1, 2], IndexError, "Target -1 is out of bounds"),
        ((3, 4), [0, 1], ValueError, r"shape \(3,\) for an input of shape \(3, 4\), got \(2,\)"),
        (
            (2, 4, 3),
            np.zeros((2, 4), int),
            RuntimeError,
            r"dimension 1: use input.transpose\(1, -1",
        ),
        ((2, 4, 3), np.zeros((2, 5), int), RuntimeError, r"expected a target of shape \(2, 3\)"),
        ((4,), [1, 2], ValueError, r"shape \(\) for an input of shape \(4,\), got \(2,\)"),
        ((3, 4), [0.0, 1.0, 2.0], RuntimeError, r"int64 or uint8.*float32 of shape.*use .long\(\)"),
        ((3, 4), np.zeros(3, np.int32), RuntimeError, r"int64 or uint8.*int32"),
        ((), 0, RuntimeError, r"\(C\), \(N, C\)"),
    ],
)
def test_a_target_that_does_not_fit_is_refused_as_torch_does(
    name, shape, target, error, message
) -> None:
    ours, theirs = both(np.zeros(shape, np.float32))
    t, t_ = tt.tensor(target), torch.tensor(target)
    with pytest.raises(error, match=message):
        getattr(F, name)(ours, t)
    # torch's nll_loss lets a 0-d input with a 0-d target crash; only what it refuses is compared.
    if shape:
        with pytest.raises(error):
            getattr(torch.nn.functional, name)(theirs, t_)


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
def test_options_that_make_no_sense_are_refused(name) -> None:
    loss = getattr(F, name)
    x, t = tt.zeros(3, C), tt.tensor([0, 1, 2])
    with pytest.raises(RuntimeError, match=r"all 4 classes .* shape: \[3\]"):
        loss(x, t, weight=tt.ones(3))
    with pytest.raises(ValueError, match=rf"{name}: expected reduction 'none'.*got 'avg'"):
        loss(x, t, reduction="avg")


def test_a_label_smoothing_outside_0_to_1_is_refused() -> None:
    for value in (-0.1, 1.5):
        with pytest.raises(RuntimeError, match=f"between 0.0 and 1.0, got {value}"):
            F.cross_entropy(tt.zeros(3, C), tt.tensor([0, 1, 2]), label_smoothing=value)


def test_integers_as_input_are_refused() -> None:
    with pytest.raises(RuntimeError, match=r"floating-point input .*int64"):
        F.cross_entropy(tt.zeros(3, C).long(), tt.tensor([0, 1, 2]))


# -- class probabilities --------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_of_probabilities_is_torchs(shape, reduction, weighted, smoothing) -> None:
    weight = rng.random(C) + 0.5

    def use(lib, x, target):
        return lib.nn.functional.cross_entropy(
            x,
            target,
            lib.tensor(weight) if weighted else None,
            reduction=reduction,
            label_smoothing=smoothing,
        )

    assert_agree(use, normal(*shape), probabilities_for(shape))


def test_probabilities_must_be_floats_and_none_can_be_ignored() -> None:
    x = tt.zeros(3, C)
    with pytest.raises(RuntimeError, match=r"floating point type for target .*int64"):
        F.cross_entropy(x, tt.zeros(3, C).long())
    with pytest.raises(RuntimeError, match="ignore_index is not supported"):
        F.cross_entropy(x, tt.zeros(3, C), ignore_index=1)


# -- mse, bce -------------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
@pytest.mark.parametrize("weighted", [False, True])
def test_mse_loss_is_torchs(reduction, shape, weighted) -> None:
    def use(lib, x, target, *weight):
        return lib.nn.functional.mse_loss(x, target, None, None, reduction, *weight)

    assert_agree(use, normal(*shape), normal(*shape), *([normal(*shape)] if weighted else []))


def test_mse_loss_broadcasts_with_a_warning_as_torch_does() -> None:
    x, x_ = both(normal(3, 4))
    t, t_ = both(normal(4))
    results = []
    for lib, a, b in ((tt, x, t), (torch, x_, t_)):
        with pytest.warns(UserWarning, match="Using a target size") as caught:
            results.append(lib.nn.functional.mse_loss(a, b))
        assert caught[0].filename == __file__
    assert_same(*results)
    with pytest.raises(ValueError, match=r"same size, got \(4,\) and \(3, 4\)"):
        F.mse_loss(x, x, weight=t)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weight", [None, (3,), (2, 3)])
@pytest.mark.parametrize("pos_weight", [None, (3,), (1,)])
def test_bce_with_logits_is_torchs(reduction, weight, pos_weight) -> None:
    weights = {"weight": weight, "pos_weight": pos_weight}
    weights = {key: rng.random(shape) + 0.5 for key, shape in weights.items() if shape is not None}

    def use(lib, x, target):
        given = {key: lib.tensor(value) for key, value in weights.items()}
        return lib.nn.functional.binary_cross_entropy_with_logits(
            x, target, reduction=reduction, **given
        )

    assert_agree(use, normal(2, 3), rng.random((2, 3)))


def test_bce_with_logits_does_not_overflow() -> None:
    x, x_ = both(np.array([1e4, -1e4, 1e4, -1e4, 0], np.float32), requires_grad=True)
    t, t_ = both(np.array([1, 0, 0, 1, 0.5], np.float32))
    loss = F.binary_cross_entropy_with_logits(x, t, reduction="none")
    loss_ = torch.nn.functional.binary_cross_entropy_with_logits(x_, t_, reduction="none")
    assert_same(loss, loss_, rtol=1e-6)
    loss.sum().backward()
    loss_.sum().backward()
    assert_same(x.grad, x_.grad, rtol=1e-6)


def test_bce_with_logits_refuses_targets_that_do_not_fit() -> None:
    x = tt.zeros(3, 4)
    with pytest.raises(
        ValueError, match=r"Target size .*\[4\].* the same as input size .*\[3, 4\]"
    ):
        F.binary_cross_entropy_with_logits(x, tt.zeros(4))
    with pytest.raises(RuntimeError, match=r"floating-point target, got .*int64; use .float\(\)"):
        F.binary_cross_entropy_with_logits(x, tt.zeros(3, 4).long())


# -- modules, old arguments -----------------------------------------------------------------------

WEIGHT = np.array([0.5, 1.0, 2.0, 0.1])
MODULES = {
    "MSELoss": ([{}, {"reduction": "sum"}], "real"),
    "BCEWithLogitsLoss": (
        [{}, {"weight": WEIGHT}, {"pos_weight": WEIGHT, "reduction": "none"}],
        "probabilities",
    ),
    "NLLLoss": ([{}, {"weight": WEIGHT, "ignore_index": 1}, {"reduction": "none"}], "classes"),
    "CrossEntropyLoss": (
        [{}, {"weight": WEIGHT, "ignore_index": 1, "label_smoothing": 0.1}, {"reduction": "sum"}],
        "classes",
    ),
}
TARGETS = {
    "real": normal(5, C),
    "probabilities": rng.random((5, C)),
    "classes": rng.integers(0, C, 5),
}


@pytest.mark.parametrize(
    ("name", "options", "target"),
    [(name, o, target) for name, (choices, target) in MODULES.items() for o in choices],
)
def test_a_loss_module_is_torchs(name, options, target) -> None:
    def build(lib):
        given = {k: lib.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
        return getattr(lib.nn, name)(**given)

    assert_agree(lambda lib, x, t: build(lib)(x, t), normal(5, C), TARGETS[target])
    assert repr(build(tt)) == repr(build(torch))
    assert list(build(tt).state_dict()) == list(build(torch).state_dict())


@pytest.mark.parametrize("size_average", [None, True, False])
@pytest.mark.parametrize("reduce", [None, True, False])
def test_torchs_old_arguments_mean_what_they_meant(size_average, reduce) -> None:
    if size_average is None and reduce is None:
        assert nn.MSELoss(None, None).reduction == "mean"
        return
    x, x_ = both(normal(3))
    t, t_ = both(normal(3))
    results = []
    for lib, a, b in ((tt, x, t), (torch, x_, t_)):
        with pytest.warns(UserWarning, match="please use reduction="):
            results.append(lib.nn.functional.mse_loss(a, b, size_average, reduce))
        with pytest.warns(UserWarning, match="please use reduction="):
            results.append(lib.nn.MSELoss(size_average, reduce)(a, b))
    assert_same(results[0], results[2])
    assert_same(results[1], results[3])


def test_a_target_that_is_changed_before_the_backward_pass_is_an_error_as_in_torch() -> None:
    x, x_ = both(normal(3, C), requires_grad=True)
    t, t_ = both(np.array([0, 1, 2]))
    for lib, logits, target in ((tt, x, t), (torch, x_, t_)):
        loss = lib.nn.functional.cross_entropy(logits, target)
        target[0] = 1
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()


def test_scores_that_are_changed_before_the_backward_pass_are_no_error_as_in_torch() -> None:
    x, x_ = both(normal(3, C), requires_grad=True)
    t, t_ = both(np.array([0, 1, 2]))
    for lib, logits, target in ((tt, x, t), (torch, x_, t_)):
        scores = logits * 1
        loss = lib.nn.functional.cross_entropy(scores, target)
        scores.zero_()
        loss.backward()
    assert_same(x.grad, x_.grad)


def test_changed_scores_are_an_error_where_they_are_read_again() -> None:
    x, _ = both(normal(3, C), requires_grad=True)
    scores = x * 1
    loss = tt.nn.functional.cross_entropy(scores, tt.tensor([0, 1, 2]))
    scores.zero_()
    with pytest.raises(RuntimeError, match=r"cross_entropy needs .* inplace operation since, by"):
        tt.autograd.grad(loss, x, create_graph=True)


# -- class weights and signs that torch settles ----------------------------------------------------


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
def test_class_weights_of_another_type_or_with_a_gradient_are_refused(name) -> None:
    for lib in (torch, tt):
        loss = getattr(lib.nn.functional, name)
        x, t = lib.zeros(3, C), lib.tensor([0, 1, 2])
        with pytest.raises(RuntimeError):
            loss(x, t, weight=lib.ones(C, dtype=lib.float64))
        with pytest.raises(RuntimeError, match="weight"):
            loss(x, t, weight=lib.ones(C, requires_grad=True))
        with lib.no_grad():
            loss(x, t, weight=lib.ones(C, requires_grad=True))


def test_class_weights_have_a_gradient_for_probabilities() -> None:
    x, p, w = normal(3, C), probabilities_for((3, C)), normal(C) ** 2
    gradients = []
    for lib in (tt, torch):
        weight = lib.tensor(w, requires_grad=True)
        loss = lib.nn.functional.cross_entropy(lib.tensor(x), lib.tensor(p), weight)
        loss.backward()
        gradients.append(weight.grad.numpy())
    np.testing.assert_allclose(*gradients, rtol=1e-12)


@pytest.mark.parametrize("reduction", ["none", "sum"])
def test_no_loss_is_plus_zero(reduction) -> None:
    x, t = tt.tensor([[-1.0, -2.0]]), tt.tensor([-100])
    for loss in (F.nll_loss, F.cross_entropy):
        assert not np.signbit(loss(x, t, reduction=reduction).numpy()).any()


def test_a_wrong_reduction_is_told_before_anything_else() -> None:
    for lib in (torch, tt):
        with pytest.raises(ValueError, match="reduction"):
            lib.nn.functional.cross_entropy(lib.ones(3, C), lib.tensor([9, 9, 9]), reduction="avg")
