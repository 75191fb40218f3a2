"""Clipping gradients and vectors of parameters: torch's numbers, in place."""

import numpy as np
import pytest

import tinytensor as tt
from tinytensor import nn
from tinytensor.nn import utils

from .peer import assert_same, both, torch

SHAPES = [(3, 4), (5,), (), (2, 1)]
rng = np.random.default_rng(0)


def with_gradients(kind=np.float32, scale=1.0):
    """The same parameters with the same gradients in both libraries, one without a gradient."""
    ours, theirs = [], []
    for shape in SHAPES:
        p, p_ = both(np.zeros(shape, kind), requires_grad=True)
        p.grad, p_.grad = both((rng.standard_normal(shape) * scale).astype(kind))
        ours.append(p)
        theirs.append(p_)
    p, p_ = both(np.zeros(2, kind), requires_grad=True)
    return [*ours, p], [*theirs, p_]


@pytest.mark.parametrize("norm_type", [2, 2.0, 1, 3.5, 0, np.inf, "inf", -np.inf])
@pytest.mark.parametrize("max_norm", [0.5, 1000.0])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_clipping_the_norm_gives_torchs_norm_and_gradients(norm_type, max_norm, kind) -> None:
    rtol = 1e-6 if kind is np.float32 else 1e-12
    ours, theirs = with_gradients(kind)
    held = [p.grad for p in ours[:-1]]
    total = utils.clip_grad_norm_(ours, max_norm, norm_type)
    total_ = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    assert_same(total, total_, rtol)
    for p, p_, gradient in zip(ours, theirs, held, strict=False):
        assert_same(p.grad, p_.grad, rtol, 1e-7)
        assert p.grad is gradient
    assert ours[-1].grad is None


def test_clipping_counts_as_a_write_only_where_it_writes() -> None:
    (p, *_), _ = with_gradients()
    before = p.grad._version
    utils.clip_grad_norm_(p, 1e9)
    assert p.grad._version == before
    utils.clip_grad_norm_(p, 1e-3)
    assert p.grad._version == before + 1
    utils.clip_grad_value_(p, 1e-6)
    assert p.grad._version == before + 2


def test_the_norm_of_mixed_types_of_nothing_and_of_halves() -> None:
    a, a_ = both(np.array([3.0], np.float32))
    b, b_ = both(np.array([4.0]))
    assert_same(utils.get_total_norm([a, b]), torch.nn.utils.get_total_norm([a_, b_]))
    assert_same(utils.get_total_norm([]), torch.nn.utils.get_total_norm([]))
    assert utils.get_total_norm(tt.tensor([300.0, 400.0]).half()).item() == 500


def test_an_empty_gradient_adds_nothing() -> None:
    for norm_type in (2, 1, 0, np.inf):
        with_empty = utils.get_total_norm([tt.tensor([3.0]), tt.zeros(0, 2)], norm_type)
        assert with_empty.item() == (1 if norm_type == 0 else 3)


def test_clipping_with_a_norm_computed_before() -> None:
    ours, theirs = with_gradients()
    norm, norm_ = both(np.float32(10.0))
    utils.clip_grads_with_norm_(ours, 2.0, norm)
    torch.nn.utils.clip_grads_with_norm_(theirs, 2.0, norm_)
    for p, p_ in zip(ours[:-1], theirs[:-1], strict=True):
        assert_same(p.grad, p_.grad, rtol=1e-6)


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_a_norm_that_is_not_finite_is_an_error_only_if_asked_for(bad) -> None:
    ours, theirs = with_gradients()
    ours[0].grad[0, 0] = theirs[0].grad[0, 0] = bad
    for lib, parameters in ((tt, ours), (torch, theirs)):
        with pytest.raises(RuntimeError, match="non-finite"):
            lib.nn.utils.clip_grad_norm_(parameters, 1.0, error_if_nonfinite=True)
    total = utils.clip_grad_norm_(ours, 1.0)
    assert_same(total, torch.nn.utils.clip_grad_norm_(theirs, 1.0))
    for p, p_ in zip(ours[:-1], theirs[:-1], strict=True):
        assert_same(p.grad, p_.grad)


def test_a_used_up_generator_warns_as_in_torch() -> None:
    for lib in (tt, torch):
        with pytest.warns(UserWarning, match="empty generator"):
            assert lib.nn.utils.clip_grad_norm_((p for p in ()), 1.0).item() == 0
    layer = nn.Linear(2, 1)
    layer.weight.grad = tt.tensor([[3.0, 4.0]])
    assert utils.clip_grad_norm_(layer.parameters(), 1.0).item() == 5


def test_clipping_values_is_torchs() -> None:
    ours, theirs = with_gradients(scale=3)
    utils.clip_grad_value_(ours, 1.5)
    torch.nn.utils.clip_grad_value_(theirs, 1.5)
    for p, p_ in zip(ours[:-1], theirs[:-1], strict=True):
        assert_same(p.grad, p_.grad)


def test_parameters_go_to_one_vector_and_back() -> None:
    layer = nn.Linear(2, 3)
    vector = utils.parameters_to_vector(layer.parameters())
    assert vector.shape == (9,)
    assert vector.tolist() == layer.weight.flatten().tolist() + layer.bias.tolist()
    vector.sum().backward()
    assert layer.bias.grad.tolist() == [1, 1, 1]
    new = tt.arange(9.0)
    utils.vector_to_parameters(new, layer.parameters())
    assert layer.weight.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert layer.bias.tolist() == [6, 7, 8]
    assert layer.weight.requires_grad


def test_a_vector_of_another_length_is_refused() -> None:
    layer = nn.Linear(2, 3)
    with pytest.raises(RuntimeError, match=r"shape \(9,\) .* got \(8,\)"):
        utils.vector_to_parameters(tt.zeros(8), layer.parameters())
    with pytest.raises(TypeError, match="list"):
        utils.vector_to_parameters([0.0] * 9, layer.parameters())
