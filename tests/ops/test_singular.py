"""The singular value decomposition: what it is made of, and its derivative through every part."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinytensor as tt
from tests.ops.test_ops import same
from tinytensor.ops.singular import svd

SHAPES = [(3, 3), (4, 2), (2, 4), (2, 3, 2)]


def decomposed(lib: ModuleType, x: Any) -> Any:
    return svd(x) if lib is tt else lib.linalg.svd(x, full_matrices=False)


def polar(lib: ModuleType, x: Any) -> Any:
    """U Vᵀ, whose sign is not free as those of U and V are."""
    u, _, vt = decomposed(lib, x)
    return u @ vt


def left(lib: ModuleType, x: Any) -> Any:
    """The projection onto the first left singular vector; V has no gradient."""
    u = decomposed(lib, x)[0][..., :1]
    return u @ u.mT


def right(lib: ModuleType, x: Any) -> Any:
    v = decomposed(lib, x)[2][..., :1, :]
    return v.mT @ v


def roots(lib: ModuleType, x: Any) -> Any:
    """(A Aᵀ)^(1/4): U and the singular values, no V."""
    u, s, _ = decomposed(lib, x)
    return (u * s.sqrt()[..., None, :]) @ u.mT


@pytest.mark.parametrize("shape", SHAPES)
def test_the_parts_make_the_matrix(shape: tuple[int, ...]) -> None:
    x = tt.tensor(np.random.default_rng(0).normal(size=shape))
    u, s, vt = svd(x)
    np.testing.assert_allclose(((u * s.unsqueeze(-2)) @ vt).numpy(), x.numpy(), atol=1e-14)
    assert (s[..., 1:] <= s[..., :-1]).all()


@pytest.mark.parametrize("part", [polar, left, right, roots])
@pytest.mark.parametrize("shape", SHAPES)
def test_its_derivatives_are_those_of_torch(
    part: Callable[[ModuleType, Any], Any], shape: tuple[int, ...]
) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    data = rng.normal(size=shape)
    found = []
    for lib in (tt, torch):
        x = lib.tensor(data, requires_grad=True)
        y = part(lib, x)
        weight = lib.tensor(np.random.default_rng(2).normal(size=tuple(y.shape)))
        (first,) = lib.autograd.grad((y * weight).sum(), x, create_graph=True)
        (second,) = lib.autograd.grad((first * lib.tensor(data[::-1].copy())).sum(), x)
        found.append((y, first, second))
    for ours, theirs in zip(*found, strict=True):
        same(ours, theirs, 1e-9)


def test_equal_largest_singular_values_share_the_gradient() -> None:
    x = tt.eye(2, dtype=tt.float64).requires_grad_()
    tt.linalg.norm(x, 2).backward()
    np.testing.assert_allclose(x.grad.numpy(), [[0.5, 0.0], [0.0, 0.5]], atol=1e-15)


def test_what_has_no_decomposition_is_refused() -> None:
    for call in (
        lambda: tt.linalg.norm(tt.tensor([[1.0, float("inf")]]), "nuc"),
        lambda: tt.linalg.norm(tt.tensor([[1, 2]]), "nuc"),
        lambda: tt.linalg.norm(tt.ones(0, 2), -2),
        lambda: tt.linalg.norm(tt.ones(2), "nuc"),
        lambda: tt.linalg.matrix_norm(tt.ones(2, 2), 3),
        lambda: tt.norm(tt.ones(2, 2, 2), "nuc"),
    ):
        with pytest.raises((RuntimeError, IndexError)):
            call()
