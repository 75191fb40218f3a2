"""Reductions: what torch refuses is refused with its kind of error; numbers that torch gets."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinytensor as tt
from tests.ops.test_ops import same

torch = pytest.importorskip("torch")

REFUSED: list[tuple[str, Any, Callable[[Any], Any]]] = [
    *(
        (name, TypeError, lambda lib, name=name: getattr(lib.ones(2, 3), name)(0, 1))
        for name in (
            "sum", "mean", "prod", "amax", "amin", "all", "any", "argmax", "argmin", "logsumexp",
            "max", "min", "median",
        )
    ),
    *(
        (name, TypeError, lambda lib, name=name: getattr(lib.ones(2, 3), name)(True))
        for name in ("sum", "mean", "prod", "amax", "argmax", "median", "softmax")
    ),
    *(
        (name, TypeError, lambda lib, name=name: getattr(lib.ones(2, 3), name)(dim=0, axis=1))
        for name in ("sum", "mean", "prod", "amax", "argmax", "median", "std", "max")
    ),
    *((name, TypeError, lambda lib, name=name: getattr(lib, name)(lib.ones(2, 3), keepdim=True))
      for name in ("max", "min", "median")),
    ("var", TypeError, lambda lib: lib.ones(2, 3).var(0, 1)),
    ("std", TypeError, lambda lib: lib.ones(2, 3).std(0, 1)),
    ("max", TypeError, lambda lib: lib.max(lib.ones(2), (0,))),
    ("max", TypeError, lambda lib: lib.max(lib.ones(2), lib.ones(2), lib.ones(2))),
    ("amax", IndexError, lambda lib: lib.ones(0, 3).amax(0)),
    ("amin", IndexError, lambda lib: lib.ones(0).amin(dim=0)),
    ("argmax", RuntimeError, lambda lib: lib.tensor([True]).argmax()),
    ("softmax", TypeError, lambda lib: lib.ones(2, 3).softmax((0, 1))),
    ("softmax", IndexError, lambda lib: lib.tensor(1.0).softmax(1)),
    ("softmax", NotImplementedError, lambda lib: lib.tensor([1]).softmax(0)),
    ("norm", RuntimeError, lambda lib: lib.linalg.norm(lib.ones(2, 2, 2), 2, (0, 1, 2))),
    ("norm", RuntimeError, lambda lib: lib.linalg.norm(lib.ones(2).double(), dtype=lib.float32)),
    ("norm", RuntimeError, lambda lib: lib.linalg.vector_norm(lib.tensor([1]), dtype=lib.float32)),
    ("norm", TypeError, lambda lib: lib.linalg.matrix_norm(lib.ones(2, 2), dim=1)),
    ("norm", TypeError, lambda lib: lib.norm(lib.ones(2), axis=0)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "kind", "call"), REFUSED, ids=[f"{row[0]}-{i}" for i, row in enumerate(REFUSED)]
)
def test_what_torch_refuses_is_refused_with_its_kind_of_error(
    name: str, kind: Any, call: Callable[[Any], Any]
) -> None:
    with pytest.raises(kind):
        call(torch)
    with pytest.raises(kind):
        call(tt)


@pytest.mark.parametrize("p", [-2, -1, 0.5, 2.5])
def test_the_plain_gradient_of_a_norm_of_one_number_is_the_recorded_one(p: float) -> None:
    rng = np.random.default_rng(0)
    for value in rng.normal(size=50):
        x = tt.tensor(value, dtype=tt.float64, requires_grad=True)
        y = tt.linalg.vector_norm(x, p)
        (plain,) = tt.autograd.grad(y, x, retain_graph=True)
        (recorded,) = tt.autograd.grad(y, x, create_graph=True)
        assert plain.item() == recorded.item()


def test_what_does_not_vary_has_no_variance() -> None:
    x = tt.full((3, 4), 0.1, requires_grad=True)
    assert x.var().item() == 0
    assert x.std(0).tolist() == [0, 0, 0, 0]
    x.std().backward()
    assert x.grad.tolist() == [[0.0] * 4] * 3


def test_numpys_functions_of_two_take_numbers_in_full_precision() -> None:
    x = np.array([0.05, 0.5])
    t = tt.tensor(x, requires_grad=True)
    for function in (np.maximum, np.minimum, np.fmax, np.arctan2):
        for ours, expected in (
            (function(t, 0.1), function(x, 0.1)),
            (function(0.1, t), function(0.1, x)),
        ):
            assert ours.requires_grad
            np.testing.assert_array_equal(ours.detach().numpy(), expected)


def test_a_pair_of_values_and_indices_is_torchs() -> None:
    data = np.array([[True, False], [False, False]])
    for dim in (0, 1):
        for ours, theirs in zip(tt.tensor(data).max(dim), torch.tensor(data).max(dim), strict=True):
            same(ours, theirs)
