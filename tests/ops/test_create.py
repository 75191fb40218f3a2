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
    lambda lib: lib.tensor([lib.ones(1), lib.ones(1, 1), 2]),
    lambda lib: lib.tensor([lib.tensor(1), 2.5]),
    lambda lib: lib.tensor([np.float64(1), 2.5]),
    lambda lib: lib.tensor([np.float16(1), 1]),
    lambda lib: lib.tensor([True, np.int8(1)]),
    lambda lib: lib.tensor([np.float64(1), lib.tensor(1.0)]),
    lambda lib: lib.tensor([range(3), range(3)]),
    lambda lib: lib.tensor(bytearray(b"ab")),
    lambda lib: lib.tensor([[], []], dtype=lib.int64),
    lambda lib: lib.Tensor((1, 2)),
    lambda lib: lib.Tensor([True]),
    lambda lib: lib.Tensor(),
    lambda lib: lib.Tensor(2, 3).shape,
    lambda lib: lib.Tensor(lib.Size([2, 3])).shape,
    lambda lib: lib.Tensor(np.ones(2)),
    lambda lib: lib.Tensor(lib.ones(2, dtype=lib.float64)),
    # filled
    lambda lib: lib.zeros(lib.tensor(3)),
    lambda lib: lib.full((1,), lib.tensor(3)),
    lambda lib: lib.full((1,), np.float64(2)),
    lambda lib: lib.full(size=(2,), fill_value=1),
    lambda lib: lib.ones(2).new_zeros(2, 3),
    lambda lib: lib.tensor([1]).new_ones((2, 3)),
    lambda lib: lib.tensor([1]).new_full((2,), 1.5),
    lambda lib: lib.tensor([1]).new_full((2,), 1.5, dtype=lib.float64),
    lambda lib: lib.tensor([1]).new_empty(size=(2, 0)),
    lambda lib: lib.tensor([1]).new_tensor([1.5]),
    lambda lib: lib.ones(1).new_tensor(np.array([1])),
    lambda lib: lib.ones(1).new_tensor([1], requires_grad=True),
    lambda lib: lib.zeros_like(lib.ones(2, 3).t()).stride(),
    lambda lib: lib.full_like(lib.ones(2, 3).t(), 2).stride(),
    lambda lib: lib.empty_like(lib.ones(1, 3).expand(2, 3)).stride(),
    lambda lib: lib.ones_like(lib.ones(4, 6)[::2, ::2]).stride(),
    lambda lib: lib.full_like(lib.tensor([1, 2]), 1.5),
    lambda lib: lib.full_like(lib.ones(2), 3, dtype=lib.float64, requires_grad=True),
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
    lambda lib: lib.arange(lib.tensor(3.0)),
    lambda lib: lib.arange(1.5, 4, dtype=lib.int64),
    lambda lib: lib.arange(-1.5, 3, 1, dtype=lib.int64),
    lambda lib: lib.arange(10, 0, -3, dtype=lib.int8),
    lambda lib: lib.arange(3, dtype=lib.float32, requires_grad=True),
    lambda lib: lib.linspace(0, 10, 4, dtype=lib.int64),
    lambda lib: lib.linspace(0, -10, 4, dtype=lib.int32),
    lambda lib: lib.linspace(-5, 5, 4, dtype=lib.int32),
    lambda lib: lib.linspace(0, 1, 5, dtype=lib.float16),
    lambda lib: lib.linspace(lib.tensor(0.0), 1, 3, requires_grad=True),
    lambda lib: lib.linspace(3, 9, 1),
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
    lambda lib: lib.zeros(4, 5).t().uniform_(),
    lambda lib: lib.zeros(4, 5, 3).permute(2, 0, 1).uniform_(),
    lambda lib: lib.zeros(4, 6)[::2, 1::2].uniform_(),
    lambda lib: lib.zeros(4, 5).t().bernoulli_(0.3),
    lambda lib: lib.zeros(4, 5).t().bernoulli_(lib.full((4,), 0.3)),
    lambda lib: lib.zeros(3, dtype=lib.int64).bernoulli_(lib.full((3,), 0.3, dtype=lib.float64)),
    lambda lib: lib.zeros(4, 5, dtype=lib.int64).t().random_(10),
    lambda lib: lib.zeros(9).random_(-3, 7),
    lambda lib: lib.rand_like(lib.ones(2, 3).t()),
    lambda lib: lib.rand_like(lib.ones(3), generator=lib.Generator().manual_seed(7)),
    lambda lib: lib.rand_like(lib.tensor([1, 2]), dtype=lib.float64, requires_grad=True),
    lambda lib: lib.randint_like(lib.ones(2, 3).t(), 5),
    lambda lib: lib.randint_like(lib.ones(5), -2, 5, dtype=lib.int64),
    lambda lib: lib.randint(high=3, size=(5,)),
    lambda lib: lib.randint(0, 256, (5,), dtype=lib.uint8),
    lambda lib: lib.randint(3, (2,), dtype=lib.float32, requires_grad=True),
    lambda lib: lib.randint(9, (5,), generator=lib.Generator().manual_seed(7)),
    lambda lib: lib.randperm(5, dtype=lib.float32, generator=lib.Generator().manual_seed(7)),
    lambda lib: lib.bernoulli(lib.full((9,), 0.4)),
    lambda lib: lib.bernoulli(lib.full((9,), 0.4, dtype=lib.float64)),
    lambda lib: lib.bernoulli(lib.full((4, 3), 0.4).t()),
    lambda lib: lib.bernoulli(lib.tensor([1, 2, 3]), 0.4),
    lambda lib: lib.ones(4, 3).bernoulli(p=0.3, generator=lib.Generator().manual_seed(7)),
    lambda lib: lib.full((9,), 0.4).bernoulli(),
    lambda lib: lib.zeros(5).random_(),
    lambda lib: lib.zeros(5, dtype=lib.float64).random_(),
    lambda lib: lib.zeros(5, dtype=lib.float16).random_(generator=lib.Generator().manual_seed(7)),
    lambda lib: lib.zeros(5, dtype=lib.int64).random_(),
    lambda lib: lib.zeros(5, dtype=lib.int32).random_(),
    lambda lib: lib.zeros(5, dtype=lib.bool).random_(),
    lambda lib: lib.zeros(5, dtype=lib.int64).random_(-(2**63), None),
    lambda lib: lib.zeros(5, dtype=lib.int8).random_(5, None),
    lambda lib: lib.zeros(5).random_(to=4),
    lambda lib: lib.zeros(5).uniform_(to=4),
    # from anything
    lambda lib: lib.asarray([1, 2]),
    lambda lib: lib.asarray(1.5, dtype=lib.float64),
    lambda lib: lib.asarray(np.arange(3.0), dtype=lib.float32),
    lambda lib: lib.asarray([1.0], requires_grad=True),
    lambda lib: lib.asarray(lib.ones(2), copy=True, requires_grad=True),
    lambda lib: lib.LongTensor([1.5, -1.5]),
    lambda lib: lib.Tensor(np.ones(2)),
    lambda lib: lib.linspace(0, 10, 4, dtype=lib.float16),
    lambda lib: lib.linspace(-3.3, 7.1, 29, dtype=lib.float16),
    lambda lib: lib.logspace(0, 10, 5, dtype=lib.int64),
    lambda lib: lib.logspace(0, 10, 4, dtype=lib.int32),
    lambda lib: lib.logspace(0, 3, 4, -2),
    lambda lib: lib.logspace(0, 2, 3, base=2, requires_grad=True),
    lambda lib: lib.logspace(0, 2, 1),
    lambda lib: lib.logspace(lib.tensor(0), lib.tensor(2.0), steps=0),
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


@pytest.mark.filterwarnings("ignore")  # torch warns of the bounds, and of its new default
@pytest.mark.parametrize(
    "call",
    [
        lambda lib: lib.zeros(5).random_(2**40),
        lambda lib: lib.zeros(5).random_(-(2**40) - 1, 2**40),
        lambda lib: lib.zeros(5).random_(2**24 + 1, 2**24 + 7),
        lambda lib: lib.asarray(lib.ones(2, requires_grad=True) * 2),
        lambda lib: lib.asarray(lib.ones(2, requires_grad=True) * 2, copy=True),
        lambda lib: lib.asarray(lib.ones(2, requires_grad=True) * 2, requires_grad=False),
    ],
)
def test_where_torch_warns_the_result_is_the_same(call: Callable[[Any], Any]) -> None:
    test_a_tensor_is_made_as_in_torch(call)


@pytest.mark.parametrize(
    "call",
    [
        lambda lib: lib.randn(5),
        lambda lib: lib.randn(40, dtype=lib.float64),
        lambda lib: lib.randn_like(lib.ones(3, 7)),
        lambda lib: lib.normal(2.0, 3.0, (30,)),
        lambda lib: lib.zeros(20).normal_(1.0, 0.5),
        lambda lib: lib.zeros(5, 9).t().normal_(1.0, 0.5),
        lambda lib: lib.zeros(8, 12)[::2, 1::2].normal_(),
        lambda lib: lib.randn_like(lib.ones(7, 9).t()),
        lambda lib: lib.randn(20, generator=lib.Generator().manual_seed(7)),
        lambda lib: lib.normal(lib.zeros(30), lib.arange(30.0)),
        lambda lib: lib.normal(lib.arange(30.0)),
        lambda lib: lib.normal(lib.arange(30.0), 2),
        lambda lib: lib.normal(1.5, lib.arange(30.0), generator=lib.Generator().manual_seed(7)),
        lambda lib: lib.normal(lib.zeros(5, 1, dtype=lib.float64), lib.ones(4)),
        lambda lib: lib.normal(lib.zeros(2), lib.ones(2, dtype=lib.float64)),
        lambda lib: lib.linspace(0.1, 7, 50),
        lambda lib: lib.linspace(0, 1, 5),
        lambda lib: lib.linspace(-2, 3, 7, dtype=lib.float64),
        lambda lib: lib.linspace(1, 1, 1),
        lambda lib: lib.linspace(0, 1, 0),
        lambda lib: lib.logspace(-2, 3, 30),
        lambda lib: lib.logspace(-2, 3, 30, 2.5, dtype=lib.float64),
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
    (TypeError, lambda lib: lib.zeros()),
    (TypeError, lambda lib: lib.zeros(True)),
    (TypeError, lambda lib: lib.zeros("a")),
    (TypeError, lambda lib: lib.zeros((2,), 3)),
    (TypeError, lambda lib: lib.zeros(2, [3])),
    (RuntimeError, lambda lib: lib.zeros(2**40, 2**40)),
    (TypeError, lambda lib: lib.rand()),
    (TypeError, lambda lib: lib.full(3, 1)),
    (TypeError, lambda lib: lib.full((1,), "a")),
    (TypeError, lambda lib: lib.full((1,), None)),
    (TypeError, lambda lib: lib.full((1,), lib.ones(2))),
    (RuntimeError, lambda lib: lib.full((1,), 1, dtype=lib.int64, requires_grad=True)),
    (TypeError, lambda lib: lib.ones(2).new_zeros()),
    (TypeError, lambda lib: lib.zeros_like(3)),
    (RuntimeError, lambda lib: lib.zeros_like(lib.tensor([1]), requires_grad=True)),
    (RuntimeError, lambda lib: lib.tensor([1, None])),
    (RuntimeError, lambda lib: lib.tensor(None)),
    (RuntimeError, lambda lib: lib.tensor({})),
    (ValueError, lambda lib: lib.tensor(["a"])),
    (TypeError, lambda lib: lib.tensor(b"ab")),
    (TypeError, lambda lib: lib.tensor([[1], 2])),
    (TypeError, lambda lib: lib.tensor([1, [2]])),
    (ValueError, lambda lib: lib.tensor([lib.ones(2), lib.ones(2)])),
    (TypeError, lambda lib: lib.tensor([1], dtype="float32")),
    (TypeError, lambda lib: lib.Tensor(2.5)),
    (TypeError, lambda lib: lib.Tensor(True)),
    (TypeError, lambda lib: lib.Tensor("a")),
    (TypeError, lambda lib: lib.Tensor(None)),
    (TypeError, lambda lib: lib.Tensor([1], 2)),
    (RuntimeError, lambda lib: lib.Tensor(-1)),
    (TypeError, lambda lib: lib.eye(2.5)),
    (RuntimeError, lambda lib: lib.arange(0, float("nan"))),
    (RuntimeError, lambda lib: lib.arange(0, float("inf"))),
    (ValueError, lambda lib: lib.arange(0.5, 3, 0.5, dtype=lib.int64)),
    (NotImplementedError, lambda lib: lib.arange(0, 3, 1, dtype=lib.bool)),
    (RuntimeError, lambda lib: lib.arange(3, requires_grad=True)),
    (TypeError, lambda lib: lib.linspace(0, 1)),
    (TypeError, lambda lib: lib.linspace(0, 1, 2.5)),
    (NotImplementedError, lambda lib: lib.linspace(0, 5, 6, dtype=lib.bool)),
    (NotImplementedError, lambda lib: lib.rand_like(lib.tensor([1]))),
    (NotImplementedError, lambda lib: lib.randn(2, dtype=lib.int64)),
    (NotImplementedError, lambda lib: lib.zeros(2, dtype=lib.int64).uniform_()),
    (TypeError, lambda lib: lib.rand(3, generator=5)),
    (TypeError, lambda lib: lib.randint(3, 5)),
    (TypeError, lambda lib: lib.randint(3)),
    (RuntimeError, lambda lib: lib.randint(0, 300, (2,), dtype=lib.uint8)),
    (RuntimeError, lambda lib: lib.randint(-1, 5, (2,), dtype=lib.uint8)),
    (RuntimeError, lambda lib: lib.randint(0, 3, (2,), dtype=lib.bool)),
    (RuntimeError, lambda lib: lib.randint(3, (2,), requires_grad=True)),
    (RuntimeError, lambda lib: lib.randint_like(lib.ones(2), 5, 2)),
    (RuntimeError, lambda lib: lib.randperm(-1)),
    (RuntimeError, lambda lib: lib.randperm(300, dtype=lib.uint8)),
    (RuntimeError, lambda lib: lib.bernoulli(lib.tensor([0.5, 2.0]))),
    (NotImplementedError, lambda lib: lib.bernoulli(lib.tensor([1]))),
    (RuntimeError, lambda lib: lib.zeros(2).bernoulli_(2)),
    (TypeError, lambda lib: lib.normal(0.0, 1.0)),
    (RuntimeError, lambda lib: lib.normal(0.0, -1.0, (2,))),
    (RuntimeError, lambda lib: lib.normal(lib.zeros(2), -1.0)),
    (RuntimeError, lambda lib: lib.normal(lib.zeros(2), -lib.ones(2))),
    (RuntimeError, lambda lib: lib.normal(lib.zeros(2), lib.ones(3))),
    (NotImplementedError, lambda lib: lib.normal(lib.tensor([1]), 1.0)),
    (TypeError, lambda lib: lib.set_rng_state(np.zeros(3))),
    (RuntimeError, lambda lib: lib.ones(2).fill_(lib.ones(2))),
    (IndexError, lambda lib: lib.ones(2).stride(1)),
    (IndexError, lambda lib: lib.tensor(1.0).stride(0)),
    (RuntimeError, lambda lib: "a" in lib.ones(2)),
    (RuntimeError, lambda lib: None in lib.ones(2)),
    (ValueError, lambda lib: float(lib.ones(0))),
    (RuntimeError, lambda lib: bool(lib.ones(0))),
    (TypeError, lambda lib: round(lib.tensor(2.5))),
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
    (TypeError, lambda lib: [1, 2][lib.tensor([0, 1])]),
    (TypeError, lambda lib: lib.ones(2).size(0.5)),
    (TypeError, lambda lib: lib.zeros(size=2)),
    (TypeError, lambda lib: lib.zeros(lib.tensor([2, 3]))),
    (TypeError, lambda lib: lib.tensor(None, dtype=lib.float32)),
    (TypeError, lambda lib: lib.tensor([1, None], dtype=lib.int64)),
    (TypeError, lambda lib: lib.tensor([lib.tensor([1, 2])])),
    (ValueError, lambda lib: lib.tensor([lib.tensor([1, 2])], dtype=lib.float32)),
    (ValueError, lambda lib: lib.tensor([2**63], dtype=lib.int8)),
    (RuntimeError, lambda lib: lib.tensor([np.uint16(1), 2])),
    (TypeError, lambda lib: lib.Tensor([None])),
    (TypeError, lambda lib: lib.Tensor(np.array(["a"]))),
    (TypeError, lambda lib: lib.Tensor(b"ab")),
    (ValueError, lambda lib: lib.Tensor([lib.ones(2)])),
    (TypeError, lambda lib: lib.Tensor([1, [2]])),
    (RuntimeError, lambda lib: lib.Tensor(2**62)),
    (RuntimeError, lambda lib: lib.LongTensor([float("nan")])),
    (ValueError, lambda lib: lib.asarray([1], copy=False)),
    (ValueError, lambda lib: lib.asarray(lib.ones(2), dtype=lib.float64, copy=False)),
    (ValueError, lambda lib: lib.asarray(np.ones(2), dtype=lib.float32, copy=False)),
    (RuntimeError, lambda lib: lib.asarray([1], requires_grad=True)),
    (RuntimeError, lambda lib: lib.linspace(lib.ones(1), 2, 3)),
    (RuntimeError, lambda lib: lib.logspace(lib.ones(1), 2, 3)),
    (RuntimeError, lambda lib: lib.logspace(0, 1, -1)),
    (TypeError, lambda lib: lib.logspace(0, 1, 2.5)),
    (TypeError, lambda lib: lib.logspace(0, 1, 3, base="a")),
    (NotImplementedError, lambda lib: lib.logspace(0, 5, 6, dtype=lib.bool)),
    (NotImplementedError, lambda lib: lib.randperm(5, dtype=lib.bool)),
    (TypeError, lambda lib: lib.randint(low=0, size=(3,))),
    (RuntimeError, lambda lib: lib.zeros(3, dtype=lib.int64).normal_(1, -2)),
    (RuntimeError, lambda lib: lib.zeros(4).bernoulli_(lib.ones(3))),
    (TypeError, lambda lib: lib.zeros(4).random_(2.5)),
    (TypeError, lambda lib: lib.zeros(4).random_(1, 2, 3)),
    (RuntimeError, lambda lib: lib.zeros(4).random_(5, 2)),
    (RuntimeError, lambda lib: lib.zeros(4, dtype=lib.float16).random_(0, 70000)),
    (RuntimeError, lambda lib: lib.promote_types(lib.uint16, lib.int8)),
    (TypeError, lambda lib: lib.Size([2.5])),
    (TypeError, lambda lib: lib.ones(2).to(lib.float64, copy=1)),
    (RuntimeError, lambda lib: setattr((lib.ones(2, requires_grad=True) * 2), "requires_grad", 1)),
    (RuntimeError, lambda lib: own_gradient(lib.ones(2))),
]


def own_gradient(x: Any) -> None:
    x.grad = x


@pytest.mark.parametrize(("kind", "call"), REFUSED)
def test_what_torch_refuses_is_refused(kind: Any, call: Callable[[Any], Any]) -> None:
    for lib in (torch, tt):
        with pytest.raises(kind):
            call(lib)


@pytest.mark.parametrize("lib", [tt, torch])
def test_asarray_shares_memory_where_it_can(lib: Any) -> None:
    array = np.arange(3.0)
    shared, copied = lib.asarray(array), lib.asarray(array, copy=True)
    t = lib.ones(2)
    array[0] = 7
    lib.asarray(t)[0] = 5
    assert (shared[0].item(), copied[0].item(), t[0].item()) == (7, 0, 5)
    lib.asarray(t, requires_grad=True)
    assert t.requires_grad


@pytest.mark.parametrize(
    "array",
    [np.ones((2, 3)).T, np.ones((2, 3, 4))[:, ::2].transpose(2, 0, 1), np.ones(4), np.ones(())],
)
def test_copies_keep_the_order_of_memory_as_in_torch(array: Any) -> None:
    ours, theirs = tt.tensor(array), torch.tensor(array)
    assert ours.stride() == theirs.stride()
    assert copy.deepcopy(ours).stride() == copy.deepcopy(theirs).stride()


@pytest.mark.parametrize("array", [np.ones(()), np.ones((2, 3)).T, np.ones((0, 2))])
def test_pickling_keeps_shape_and_order(array: Any) -> None:
    t = tt.tensor(array)
    twin = pickle.loads(pickle.dumps(t))
    assert (twin.shape, twin.stride()) == (t.shape, t.stride())


def test_an_expanded_tensor_is_copied_in_full() -> None:
    twin = copy.deepcopy(tt.ones(3, 1).expand(3, 2))
    twin[0, 0] = 5
    assert twin.tolist() == [[5, 1], [1, 1], [1, 1]]


def test_a_number_in_a_text_is_written_as_a_number() -> None:
    for lib in (tt, torch):
        assert f"{lib.tensor(1.5, requires_grad=True)}" == "1.5"
        assert f"{lib.tensor(3)}, {lib.tensor(0.25):.3f}" == "3, 0.250"


def test_an_empty_tensor_knows_where_it_would_begin() -> None:
    for lib in (tt, torch):
        assert lib.ones(0).storage_offset() == 0
        assert lib.ones(4)[3:].storage_offset() == 3


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


@pytest.mark.parametrize("lib", [tt, torch])
def test_what_is_made_of_a_shape_is_a_shape(lib: Any) -> None:
    shape = lib.Size([2, lib.tensor(3)])
    longer = (4,)
    made = [shape + longer, longer + shape, shape * 2, 2 * shape, shape[:1], copy.copy(shape)]
    made.append(pickle.loads(pickle.dumps(shape)))
    assert [type(each) for each in made] == [lib.Size] * 7
    assert list(map(tuple, made[:3])) == [(2, 3, 4), (4, 2, 3), (2, 3, 2, 3)]


def test_a_tensor_tells_where_it_lies_in_memory() -> None:
    found = []
    for lib in (torch, tt):
        x = lib.arange(24).reshape(2, 3, 4)
        parts = (x, x[1], x[:, 1:], x.transpose(0, 2), x[1, 2, 3], x[:, ::2, 1:].detach())
        found.append([(part.storage_offset(), part.stride(), part.shape) for part in parts])
        assert x.stride(0) == x.stride(-3) == x.stride(dim=0) == 12
        assert x[1].data_ptr() - x.data_ptr() == 12 * 8
        assert lib.zeros(0).data_ptr() == 0
        assert (lib.ones(2, 0).stride(), lib.ones(2, 0, 3).stride()) == ((1, 1), (3, 3, 1))
        assert (x.ndimension(), x.nbytes, x.itemsize) == (3, 192, 8)
    assert found[0] == found[1]


def test_a_tensor_contains_the_numbers_and_rows_that_it_holds() -> None:
    for lib in (torch, tt):
        x = lib.tensor([[1, 2], [3, 4]])
        assert 3 in x
        assert 3.5 not in x
        assert x[0] in x
        assert lib.tensor(9) not in x
        assert next(iter(reversed(x))).tolist() == [3, 4]
        assert reversed(lib.tensor(1)).item() == 1


def test_a_tensor_of_a_tensor_is_on_its_memory_and_in_its_graph() -> None:
    for lib in (torch, tt):
        x = lib.ones(2, dtype=lib.float64, requires_grad=True)
        y = lib.Tensor(x)
        assert y.dtype is lib.float64
        assert y.data_ptr() == x.data_ptr()
        (y * 3).sum().backward()
        assert x.grad.tolist() == [3, 3]


def test_random_numbers_pass_a_gradient_of_zero_to_what_they_were_drawn_with() -> None:
    for lib in (torch, tt):
        p, mean, std = (lib.full((2, 1), 0.5, requires_grad=True) for _ in range(3))
        y = lib.bernoulli(p).sum() + lib.normal(mean, std.expand(2, 3)).sum()
        y.backward()
        for x in (p, mean, std):
            assert x.grad.tolist() == [[0], [0]]


def test_the_state_of_a_generator_comes_back() -> None:
    for lib in (torch, tt):
        state = lib.get_rng_state()
        first = lib.rand(5)
        lib.set_rng_state(state)
        assert lib.equal(lib.rand(5), first)
        source = lib.Generator()
        source.set_state(state)
        assert lib.equal(lib.rand(5, generator=source), first)
        source.set_state(source.get_state())


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
