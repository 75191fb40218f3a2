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
    lambda lib, x, s: x.scatter_reduce_(0, lib.tensor([[2, 1], [2, 2]]), s, "prod"),
    lambda lib, x, s: x[1:].scatter_reduce_(0, lib.tensor([[0, 1], [0, 0]]), s, "amax"),
    lambda lib, x, s: x.masked_scatter_(lib.tensor([True, False]), lib.cat([s, s])),
    lambda lib, x, s: x.t().index_put_((lib.tensor([0, 0]), lib.tensor([1, 2])), s[0]),
    lambda lib, x, s: x.index_put_((lib.tensor([1, 1]),), s, accumulate=True),
    lambda lib, x, s: x[:2].addr_(s[0], s[1], alpha=2),
    lambda lib, x, s: x[1:].addbmm_(s[None], s[None], beta=0.5),
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


# Each with another meaning in NumPy, or with an index that names an element twice.
KEYS: list[Callable[[ModuleType], Any]] = [
    lambda lib: ((0, 0),),
    lambda lib: ([0, -1, 0],),
    lambda lib: range(2),
    lambda lib: (0, range(2)),
    lambda lib: [[0, 1], [1, 2]],
    lambda lib: [[0]],
    lambda lib: [slice(1), None],
    lambda lib: lib.tensor([1, 0, 1], dtype=lib.uint8),
    lambda lib: (lib.tensor([1, 0, 1], dtype=lib.uint8), 0),
    lambda lib: np.array([1, 0, 1], np.uint8),
]


@pytest.mark.filterwarnings("ignore:indexing with dtype torch.uint8")
@pytest.mark.filterwarnings("ignore:Using a non-tuple sequence")
@pytest.mark.parametrize("key", KEYS, ids=range(len(KEYS)))
def test_an_index_picks_and_gives_the_gradients_of_torch(key: Callable[[ModuleType], Any]) -> None:
    found = []
    for lib in (tt, torch):
        x = lib.arange(9, dtype=lib.float64).reshape(3, 3).requires_grad_()
        y = x[key(lib)]
        (y * y).sum().backward()
        z = lib.zeros(3, 3)
        z[key(lib)] = y.detach().float() + 1
        found.append((y.tolist(), x.grad.tolist(), z.tolist()))
    assert found[0] == found[1]


@pytest.mark.parametrize("name", ["index_add", "index_copy"])
def test_a_0d_tensor_counts_as_a_vector_of_one(name: str) -> None:
    found = []
    for lib in (tt, torch):
        x = lib.tensor(3.0, requires_grad=True)
        source = lib.tensor(2.0, requires_grad=True)
        y = getattr(x, name)(0, lib.tensor([0]), source)
        (y * y).backward()
        found.append((y.shape, y.item(), x.grad.item(), source.grad.item()))
    assert found[0] == found[1]


def test_the_mean_of_whole_numbers_is_rounded_down() -> None:
    index, source = [0, 0, 2], [-2, 5, 9]
    for include_self in (True, False):
        found = [
            lib.tensor([1, 2, 3]).scatter_reduce(
                0, lib.tensor(index), lib.tensor(source), "mean", include_self=include_self
            )
            for lib in (tt, torch)
        ]
        assert found[0].tolist() == found[1].tolist()


@pytest.mark.parametrize("how", ["sum", "prod", "amax", "amin"])
@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool"])
def test_whole_numbers_are_taken_together_as_in_torch(how: str, dtype: str) -> None:
    for include_self in (True, False):
        found = [
            lib.tensor([1, 0, 3], dtype=getattr(lib, dtype)).scatter_reduce(
                0,
                lib.tensor([0, 0, 2]),
                lib.tensor([4, 5, 0], dtype=getattr(lib, dtype)),
                how,
                include_self=include_self,
            )
            for lib in (tt, torch)
        ]
        assert found[0].tolist() == found[1].tolist()


def test_equal_largest_elements_share_the_gradient_also_with_those_of_the_input() -> None:
    found = []
    for lib in (tt, torch):
        x = lib.tensor([2.0, 1.0], requires_grad=True)
        source = lib.tensor([2.0, 2.0, 0.0], requires_grad=True)
        x.scatter_reduce(0, lib.tensor([0, 0, 1]), source, "amax").sum().backward()
        found.append((x.grad.tolist(), source.grad.tolist()))
    assert found[0] == found[1]


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
    (
        "scatter",
        RuntimeError,
        lambda lib: lib.ones(3).scatter(0, lib.tensor([0]), lib.ones(1), reduce="mean"),
    ),
    (
        "scatter",
        RuntimeError,
        lambda lib: lib.tensor([1]).scatter(0, lib.tensor([0]), float("nan")),
    ),
    (
        "scatter_reduce",
        RuntimeError,
        lambda lib: lib.ones(3).scatter_reduce(0, lib.tensor([0]), lib.ones(1), "all"),
    ),
    (
        "scatter",
        RuntimeError,
        lambda lib: lib.ones(3).scatter_reduce(0, lib.tensor([5]), lib.ones(1), "prod"),
    ),
    (
        "masked_scatter",
        RuntimeError,
        lambda lib: lib.ones(3).masked_scatter(lib.tensor([True, False, True]), lib.ones(1)),
    ),
    (
        "masked_scatter",
        RuntimeError,
        lambda lib: lib.ones(3).masked_scatter(lib.tensor([1, 0, 1]), lib.ones(3)),
    ),
    (
        "masked_scatter",
        RuntimeError,
        lambda lib: lib.ones(3).masked_scatter(lib.tensor(True), lib.tensor([1, 2, 3])),
    ),
    (
        "index_put",
        RuntimeError,
        lambda lib: lib.ones(3).index_put((lib.tensor([0]),), lib.tensor([1])),
    ),
    ("index_put", TypeError, lambda lib: lib.ones(3).index_put((lib.tensor([0]),), 1.0)),
    (
        "setitem",
        RuntimeError,
        lambda lib: lib.ones(3).__setitem__(lib.tensor([0]), lib.tensor([1])),
    ),
    (
        "index_copy",
        RuntimeError,
        lambda lib: lib.ones(3).index_copy(0, lib.tensor([0], dtype=lib.int32), lib.ones(1)),
    ),
    ("select", TypeError, lambda lib: lib.ones(3).select(0, 1.0)),
    ("topk", RuntimeError, lambda lib: lib.ones(3).topk(4)),
    ("topk", RuntimeError, lambda lib: lib.ones(3).topk(-1)),
    ("topk", IndexError, lambda lib: lib.ones(3).topk(1, 1)),
    ("topk", RuntimeError, lambda lib: lib.tensor([True]).topk(1)),
    ("topk", TypeError, lambda lib: lib.ones(3).topk(1.0)),
    ("unique", IndexError, lambda lib: lib.tensor(1.0).unique(dim=0)),
    (
        "take_along_dim",
        IndexError,
        lambda lib: lib.tensor(1.0).take_along_dim(lib.tensor(0), 0),
    ),
    (
        "take_along_dim",
        RuntimeError,
        lambda lib: lib.ones(3).take_along_dim(lib.tensor([0], dtype=lib.int32), 0),
    ),
    ("index_select", RuntimeError, lambda lib: lib.tensor(1.0).index_select(0, lib.tensor([0, 5]))),
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
