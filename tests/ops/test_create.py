"""Tensors are made as in torch: type, values, sharing of memory, refusals."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinytensor as tt

torch = pytest.importorskip("torch")

CALLS: list[Callable[[Any], Any]] = [
    # from data
    lambda lib: lib.tensor(1),
    lambda lib: lib.tensor(1.5),
    lambda lib: lib.tensor(True),
    lambda lib: lib.tensor([]),
    lambda lib: lib.tensor([[], []]),
    lambda lib: lib.tensor([1, 2]),
    lambda lib: lib.tensor([1, 2.5]),
    lambda lib: lib.tensor([True, False]),
    lambda lib: lib.tensor([True, 2]),
    lambda lib: lib.tensor(((1, 2), (3, 4))),
    lambda lib: lib.tensor(range(3)),
    lambda lib: lib.tensor([1, 2], dtype=lib.float64),
    lambda lib: lib.tensor([1.7, -1.7], dtype=lib.int64),
    lambda lib: lib.tensor([0.0, 2.0], dtype=lib.bool),
    lambda lib: lib.tensor([0.1, 1e300]),
    lambda lib: lib.tensor(float("inf")),
    lambda lib: lib.tensor(np.float64(0.1)),
    lambda lib: lib.tensor(np.arange(3)),
    lambda lib: lib.tensor(np.arange(3.0)),
    lambda lib: lib.tensor([np.float32(1), np.float32(2)]),
    lambda lib: (
        lib.tensor([np.arange(2), np.arange(2)]) if lib is tt else lib.arange(2).expand(2, 2)
    ),
    lambda lib: lib.tensor([lib.tensor(1.0), lib.tensor(2.0)]),
    lambda lib: lib.tensor([lib.tensor(1), lib.tensor(2)]),
    lambda lib: lib.tensor([lib.tensor(1.0, dtype=lib.float64)]),
    lambda lib: lib.tensor(2**62),
    lambda lib: lib.tensor([1.0], requires_grad=True),
    lambda lib: lib.tensor([1.0], device="cpu"),
    lambda lib: lib.as_tensor([1.0, 2.0]),
    lambda lib: lib.as_tensor(np.arange(2), dtype=lib.float32),
    lambda lib: lib.from_numpy(np.arange(3, dtype=np.int16)),
    lambda lib: lib.Tensor([1, 2]),
    # filled
    lambda lib: lib.zeros(2, 3),
    lambda lib: lib.zeros((2, 3)),
    lambda lib: lib.zeros([2, 0]),
    lambda lib: lib.zeros(()),
    lambda lib: lib.zeros(2, dtype=lib.int64),
    lambda lib: lib.zeros(lib.ones(2, 3).shape),
    lambda lib: lib.zeros(size=(2, 3)),
    lambda lib: lib.ones(3, requires_grad=True),
    lambda lib: lib.ones(2, dtype=lib.bool),
    lambda lib: lib.ones(2, dtype=float),
    lambda lib: lib.ones(2, dtype=int),
    lambda lib: lib.full((2,), 3),
    lambda lib: lib.full((2,), 3.0),
    lambda lib: lib.full((2,), True),
    lambda lib: lib.full([2, 1], 3, dtype=lib.float64),
    lambda lib: lib.full((), 3.0),
    lambda lib: lib.full((1,), float("nan")),
    lambda lib: lib.eye(3),
    lambda lib: lib.eye(2, 3),
    lambda lib: lib.eye(2, dtype=lib.int64),
    lambda lib: lib.zeros_like(lib.tensor([1, 2])),
    lambda lib: lib.ones_like(lib.ones(2, dtype=lib.float64)),
    lambda lib: lib.ones_like(lib.tensor([1, 2]), dtype=lib.float32, requires_grad=True),
    lambda lib: lib.full_like(lib.ones(2), 3),
    lambda lib: lib.empty(2, 3).shape,
    lambda lib: lib.empty_like(lib.ones(2, 3)).shape,
    # counted
    lambda lib: lib.arange(5),
    lambda lib: lib.arange(5.0),
    lambda lib: lib.arange(1, 5),
    lambda lib: lib.arange(1, 6, 2),
    lambda lib: lib.arange(5, 1, -2),
    lambda lib: lib.arange(0, 1, 0.1),
    lambda lib: lib.arange(0.5, 3),
    lambda lib: lib.arange(1, 2, 0.3, dtype=lib.float64),
    lambda lib: lib.arange(3, dtype=lib.float32),
    lambda lib: lib.arange(0),
    lambda lib: lib.arange(end=3),
    # drawn
    lambda lib: lib.rand(3, 4),
    lambda lib: lib.rand(20, dtype=lib.float64),
    lambda lib: lib.rand((2, 3), requires_grad=True),
    lambda lib: lib.rand_like(lib.ones(2, 3)),
    lambda lib: lib.randint(10, (20,)),
    lambda lib: lib.randint(-5, 5, (3, 3)),
    lambda lib: lib.randint(0, 2, (4,), dtype=lib.float32),
    lambda lib: lib.randperm(10),
    lambda lib: lib.rand(3, generator=lib.Generator().manual_seed(7)),
    lambda lib: lib.zeros(5).uniform_(-0.5, 0.5),
    # types
    lambda lib: lib.tensor([1.7, -1.7]).long(),
    lambda lib: lib.tensor([1.7, -1.7]).int(),
    lambda lib: lib.tensor([1.7, 0.0]).bool(),
    lambda lib: lib.tensor([1, 2]).float(),
    lambda lib: lib.tensor([1, 2]).double(),
    lambda lib: lib.tensor([1, 2]).half(),
    lambda lib: lib.tensor([1, 2]).to(lib.float32),
    lambda lib: lib.tensor([1, 2]).to(float),
    lambda lib: lib.tensor([1, 2]).to("cpu"),
    lambda lib: lib.tensor([1, 2]).to("cpu", lib.float64),
    lambda lib: lib.tensor([1, 2]).to(dtype=lib.float64, device="cpu", copy=True),
    lambda lib: lib.tensor([1, 2]).to(lib.ones(1)),
    lambda lib: lib.tensor([300, -1]).to(lib.uint8),
]


def described(result: Any) -> Any:
    """What there is to compare: type, shape, the numbers to the last bit, place in the graph."""
    if not hasattr(result, "dtype"):
        return list(result)
    values = result.detach().numpy()
    return values.dtype, values.shape, values.tobytes(), result.requires_grad, result.is_leaf


@pytest.mark.parametrize("call", CALLS)
def test_a_tensor_is_made_as_in_torch(call: Callable[[Any], Any]) -> None:
    results = []
    for lib in (tt, torch):
        lib.manual_seed(3)
        results.append(described(call(lib)))
    assert results[0] == results[1]


@pytest.mark.parametrize(
    "call",
    [
        lambda lib: lib.randn(5),
        lambda lib: lib.randn(40, dtype=lib.float64),
        lambda lib: lib.randn_like(lib.ones(3, 7)),
        lambda lib: lib.normal(2.0, 3.0, (30,)),
        lambda lib: lib.zeros(20).normal_(1.0, 0.5),
        lambda lib: lib.linspace(0, 1, 5),
        lambda lib: lib.linspace(-2, 3, 7, dtype=lib.float64),
        lambda lib: lib.linspace(1, 1, 1),
        lambda lib: lib.linspace(0, 1, 0),
    ],
)
def test_normal_numbers_and_even_distances_are_those_of_torch_to_rounding(
    call: Callable[[Any], Any],
) -> None:
    results = []
    for lib in (tt, torch):
        lib.manual_seed(3)
        results.append(call(lib).numpy())
    np.testing.assert_allclose(*results, rtol=1e-5, atol=1e-6, strict=True)


REFUSED: list[tuple[Any, Callable[[Any], Any]]] = [
    (ValueError, lambda lib: lib.tensor([[1, 2], [3]])),
    (TypeError, lambda lib: lib.tensor("a")),
    ((TypeError, ValueError), lambda lib: lib.tensor(["a"])),
    (RuntimeError, lambda lib: lib.tensor([1], requires_grad=True)),
    (RuntimeError, lambda lib: lib.ones(2, dtype=lib.bool).requires_grad_()),
    (TypeError, lambda lib: lib.from_numpy([1, 2])),
    (TypeError, lambda lib: lib.from_numpy(np.array(["a"]))),
    (RuntimeError, lambda lib: lib.zeros(-1)),
    (TypeError, lambda lib: lib.zeros(2.5)),
    (RuntimeError, lambda lib: lib.eye(-1)),
    (RuntimeError, lambda lib: lib.arange(0, 1, 0)),
    (RuntimeError, lambda lib: lib.arange(1, 0, 1)),
    (RuntimeError, lambda lib: lib.linspace(0, 1, -1)),
    (RuntimeError, lambda lib: lib.randint(3, 3, (2,))),
    (RuntimeError, lambda lib: lib.ones(1, device="nonsense")),
    (RuntimeError, lambda lib: lib.ones(2).uniform_(1, 0)),
    (TypeError, lambda lib: lib.set_default_dtype(lib.int64)),
    (RuntimeError, lambda lib: lib.ones(2, requires_grad=True).numpy()),
    (RuntimeError, lambda lib: np.asarray(lib.ones(2, requires_grad=True))),
    (RuntimeError, lambda lib: lib.ones(2).item()),
    (RuntimeError, lambda lib: bool(lib.ones(2))),
    (TypeError, lambda lib: len(lib.tensor(1.0))),
    (TypeError, lambda lib: iter(lib.tensor(1.0))),
    (IndexError, lambda lib: lib.ones(2).size(1)),
    (TypeError, lambda lib: [1, 2][lib.tensor(0.5)]),
]


@pytest.mark.parametrize(("kind", "call"), REFUSED)
def test_what_torch_refuses_is_refused(kind: Any, call: Callable[[Any], Any]) -> None:
    for lib in (torch, tt):
        with pytest.raises(kind):
            call(lib)


def test_tensor_copies_and_from_numpy_shares() -> None:
    for lib in (torch, tt):
        array = np.zeros(3)
        copied, shared, again = lib.tensor(array), lib.from_numpy(array), lib.as_tensor(array)
        array[0] = 1
        assert copied[0] == 0
        assert shared[0] == 1
        assert again[0] == 1
        shared[1] = 2
        assert array[1] == 2
        assert shared.numpy() is not None
        shared.numpy()[2] = 3
        assert array[2] == 3


def test_as_tensor_and_to_give_the_tensor_itself_where_nothing_changes() -> None:
    for lib in (torch, tt):
        x = lib.ones(2)
        assert lib.as_tensor(x) is x
        assert x.to(lib.float32) is x
        assert x.float() is x
        assert x.cpu() is x
        assert x.to(lib.float32, copy=True) is not x


def test_a_made_tensor_owes_nothing_to_the_tensor_that_it_was_made_of() -> None:
    x = tt.ones(2, requires_grad=True)
    for y in (tt.zeros_like(x), tt.ones_like(x), tt.full_like(x, 2.0), tt.rand_like(x)):
        assert y.is_leaf
        assert not y.requires_grad


def test_numbers_leave_as_python_numbers() -> None:
    for lib in (torch, tt):
        assert type(lib.tensor(1.5).item()) is float
        assert type(lib.tensor(1).item()) is int
        assert type(lib.tensor(True).item()) is bool
        assert float(lib.tensor([2.5])) == 2.5
        assert int(lib.tensor(2.7)) == 2
        assert [10, 20][lib.tensor(1)] == 20
        assert bool(lib.tensor([[0.0]])) is False
        assert lib.tensor([[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]
        assert lib.tensor(0.1, dtype=lib.float64).tolist() == 0.1
        assert f"{lib.tensor(0.126):.2f}" == "0.13"
        assert np.asarray(lib.ones(2)).dtype == np.float32
        assert np.asarray(lib.ones(2), dtype=np.float64).dtype == np.float64


def test_numpy_does_not_take_a_tensor_apart() -> None:
    for lib in (tt,):
        x = lib.ones(2, requires_grad=True)
        for call in (lambda x=x: np.exp(x), lambda x=x: np.ones(2) + x, lambda x=x: np.add(x, x)):
            with pytest.raises((RuntimeError, TypeError), match=r"detach|from_numpy"):
                call()


def test_a_shape_is_a_tuple_that_counts_its_elements() -> None:
    for lib in (torch, tt):
        x = lib.ones(2, 3, 4)
        assert x.shape == (2, 3, 4)
        assert isinstance(x.shape, tuple)
        assert repr(x.shape) == "torch.Size([2, 3, 4])"
        assert x.shape.numel() == x.numel() == x.nelement() == 24
        assert (x.size(), x.size(-1), x.dim(), x.ndim, len(x)) == ((2, 3, 4), 4, 3, 3, 2)
        assert x.stride() == (12, 4, 1)
        assert x.t().stride() == (1, 2) if x.ndim == 2 else x.transpose(0, 2).stride() == (1, 4, 12)
        assert x.element_size() == 4
        assert x.is_contiguous()
        assert not x.transpose(0, 1).is_contiguous()
        assert x.is_floating_point()


def test_a_deep_copy_is_a_leaf_of_its_own() -> None:
    for lib in (torch, tt):
        x = lib.ones(2, requires_grad=True)
        (x * 3).sum().backward()
        twin, again = copy.deepcopy([x, x])
        assert twin is again
        assert twin.requires_grad
        assert twin.is_leaf
        twin.detach().mul_(5)
        twin.grad.zero_()
        assert x.tolist() == [1, 1]
        assert x.grad.tolist() == [3, 3]
        with pytest.raises(RuntimeError):
            copy.deepcopy(x * 2)


def test_a_leaf_survives_pickling() -> None:
    for lib in (torch, tt):
        for x in (lib.ones(2, requires_grad=True), lib.arange(6).reshape(2, 3).t()):
            twin = pickle.loads(pickle.dumps(x))
            assert twin.tolist() == x.tolist()
            assert twin.dtype is x.dtype
            assert twin.requires_grad == x.requires_grad
