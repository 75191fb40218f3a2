"""Indexing by name and sorting: in place, at ties, and refusals as in torch."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinytensor as tt

torch = pytest.importorskip("torch")

IN_PLACE: list[Callable[[ModuleType, Any, Any], Any]] = [
    lambda lib, x, s: x.scatter_(0, lib.tensor([[2, 1]]), s[:1]),
    lambda lib, x, s: x.scatter_(1, lib.tensor([[1], [0]]), 2.5),
    lambda lib, x, s: x.index_add_(0, lib.tensor([0, 0]), s, alpha=2),
    lambda lib, x, s: x.index_copy_(0, lib.tensor([2, 0]), s),
    lambda lib, x, s: x.index_fill_(0, lib.tensor([-1]), 3),
    lambda lib, x, s: x.index_fill_(1, lib.tensor([0]), s[0, 0]),
    lambda lib, x, s: x[1:].index_add_(0, lib.tensor([0, 1]), s),
    lambda lib, x, s: x[::2].scatter_(0, lib.tensor([[1, 0]]), s[:1]),
]


@pytest.mark.parametrize("write", IN_PLACE, ids=range(len(IN_PLACE)))
def test_writing_by_index_gives_the_values_and_gradients_of_torch(
    write: Callable[[ModuleType, Any, Any], Any],
) -> None:
    found = []
    for lib in (tt, torch):
        leaf = lib.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], requires_grad=True)
        source = lib.tensor([[0.5, -1.0], [2.0, 0.25]], requires_grad=True)
        x = leaf * leaf
        write(lib, x, source)
        (x * x).sum().backward()
        found.append([x.detach().numpy(), leaf.grad.numpy(), source.grad])
    for ours, theirs in zip(found[0][:2], found[1][:2], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    assert (found[0][2] is None) == (found[1][2] is None)
    if found[1][2] is not None:
        np.testing.assert_allclose(found[0][2].numpy(), found[1][2].numpy(), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "int64", "uint8", "bool"])
@pytest.mark.parametrize("descending", [False, True])
def test_equal_elements_keep_their_order(dtype: str, descending: bool) -> None:
    values = np.random.default_rng(0).integers(0, 3, (4, 50)).astype(dtype)
    ours = tt.sort(tt.from_numpy(values), 1, descending)
    theirs = torch.sort(torch.from_numpy(values), stable=True, dim=1, descending=descending)
    np.testing.assert_array_equal(ours.values.numpy(), theirs.values.numpy(), strict=True)
    np.testing.assert_array_equal(ours.indices.numpy(), theirs.indices.numpy(), strict=True)


@pytest.mark.parametrize("largest", [False, True])
def test_topk_counts_nan_as_larger_than_all_else(largest: bool) -> None:
    values = [2.0, float("nan"), float("inf"), -1.0]
    ours = tt.topk(tt.tensor(values), 3, largest=largest)
    theirs = torch.topk(torch.tensor(values), 3, largest=largest)
    np.testing.assert_array_equal(ours.values.numpy(), theirs.values.numpy())
    np.testing.assert_array_equal(ours.indices.numpy(), theirs.indices.numpy())


@pytest.mark.parametrize("values", [[[1.0, 0.0], [0.0, 2.0]], 2.0, 0.0, []])
def test_nonzero_gives_the_places_of_torch(values: Any) -> None:
    for as_tuple in (False, True):
        ours = tt.tensor(values).nonzero(as_tuple=as_tuple)
        theirs = torch.tensor(values).nonzero(as_tuple=as_tuple)
        pairs = zip(ours, theirs, strict=True) if as_tuple else [(ours, theirs)]
        for a, b in pairs:
            np.testing.assert_array_equal(a.numpy(), b.numpy(), strict=True)


def test_unique_tells_every_nan_from_every_other() -> None:
    values = [float("nan"), 1.0, float("nan")]
    ours = tt.unique(tt.tensor(values), return_counts=True)
    theirs = torch.unique(torch.tensor(values), return_counts=True)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), strict=True)


def test_unique_refuses_to_be_differentiated_as_in_torch() -> None:
    for lib in (tt, torch):
        x = lib.ones(3, requires_grad=True)
        with pytest.raises(NotImplementedError, match="unique"):
            lib.unique(x).sum().backward()


def test_a_source_larger_than_the_index_gets_zeros_where_it_is_not_read() -> None:
    for name in ("scatter", "scatter_add"):
        source = tt.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], requires_grad=True)
        y = getattr(tt.zeros(2, 3), name)(1, tt.tensor([[2, 0]]), source)
        (y * tt.tensor([[5.0, 6.0, 7.0], [8.0, 9.0, 1.0]])).sum().backward()
        assert source.grad is not None
        assert source.grad.tolist() == [[7.0, 5.0, 0.0], [0.0, 0.0, 0.0]]


REFUSED: list[tuple[str, Any, Callable[[Any], Any]]] = [
    ("index_select", IndexError, lambda lib: lib.ones(3).index_select(0, lib.tensor([-1]))),
    ("index_select", IndexError, lambda lib: lib.ones(3, 2).index_select(0, lib.tensor([3]))),
    ("index_select", IndexError, lambda lib: lib.ones(3).index_select(0, lib.tensor([[1]]))),
    ("index_select", RuntimeError, lambda lib: lib.ones(3).index_select(0, lib.tensor([1.0]))),
    ("index_select", IndexError, lambda lib: lib.ones(3).index_select(1, lib.tensor([1]))),
    (
        "index_select",
        RuntimeError,
        lambda lib: lib.tensor(1.0).index_select(0, lib.tensor([0, 0])),
    ),
    ("index_add", IndexError, lambda lib: _on_three(lib, "index_add", [0, 5], lib.ones(2))),
    ("index_add", RuntimeError, lambda lib: _on_three(lib, "index_add", [0, 1], lib.ones(3))),
    ("index_add", IndexError, lambda lib: _on_three(lib, "index_add", [[0, 1]], lib.ones(2))),
    (
        "index_add",
        RuntimeError,
        lambda lib: _on_three(lib, "index_add", [0, 1], lib.ones(2, dtype=lib.float64)),
    ),
    ("index_copy", IndexError, lambda lib: _on_three(lib, "index_copy", [0, 1], lib.ones(3))),
    ("index_copy", IndexError, lambda lib: _on_three(lib, "index_copy", [0, 9], lib.ones(2))),
    (
        "index_copy",
        RuntimeError,
        lambda lib: _on_three(lib, "index_copy", [0, 1], lib.ones(2, dtype=lib.float64)),
    ),
    ("index_fill", IndexError, lambda lib: _on_three(lib, "index_fill", [0, 9], 1.0)),
    ("index_fill", RuntimeError, lambda lib: _on_three(lib, "index_fill", [0], lib.ones(2))),
    ("masked_select", RuntimeError, lambda lib: lib.ones(3).masked_select(lib.tensor([1, 0, 1]))),
    (
        "masked_select",
        RuntimeError,
        lambda lib: lib.ones(3).masked_select(lib.tensor([True, False])),
    ),
    ("take", IndexError, lambda lib: lib.ones(2, 3).take(lib.tensor([6]))),
    ("take", IndexError, lambda lib: lib.ones(2, 3).take(lib.tensor([-7]))),
    ("take", RuntimeError, lambda lib: lib.ones(2, 3).take(lib.tensor([1.0]))),
    ("take_along_dim", RuntimeError, lambda lib: lib.ones(2, 3).take_along_dim(lib.tensor([1]), 0)),
    ("scatter", RuntimeError, lambda lib: _on_three(lib, "scatter", [0, 1], lib.ones(1))),
    ("scatter", RuntimeError, lambda lib: _on_three(lib, "scatter", [0, 5], 1.0)),
    ("scatter", RuntimeError, lambda lib: _on_three(lib, "scatter", [0, -1], 1.0)),
    ("scatter", RuntimeError, lambda lib: _on_three(lib, "scatter", [0.0, 1.0], 1.0)),
    ("scatter", TypeError, lambda lib: _on_three(lib, "scatter", [0])),
    (
        "scatter",
        RuntimeError,
        lambda lib: _on_three(lib, "scatter", [0, 1], lib.ones(2, dtype=lib.float64)),
    ),
    ("scatter_add", RuntimeError, lambda lib: _on_three(lib, "scatter_add", [0, 1], lib.ones(1))),
    ("topk", RuntimeError, lambda lib: lib.ones(3).topk(4)),
    ("topk", RuntimeError, lambda lib: lib.ones(3).topk(-1)),
    ("topk", IndexError, lambda lib: lib.ones(3).topk(1, 1)),
    ("topk", RuntimeError, lambda lib: lib.tensor([True]).topk(1)),
    ("sort", IndexError, lambda lib: lib.ones(3).sort(1)),
    ("argsort", IndexError, lambda lib: lib.ones(3).argsort(1)),
    ("unique", IndexError, lambda lib: lib.ones(3).unique(dim=1)),
]


def _on_three(lib: Any, name: str, index: Any, *rest: Any) -> Any:
    return getattr(lib.zeros(3), name)(0, lib.tensor(index), *rest)


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
