"""Tensors among NumPy's arrays and functions: recorded, shared or refused, never lost unnoticed."""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinytensor as tt

torch = pytest.importorskip("torch")


def leaf(values: Any = (0.25, 0.5), dtype: Any = tt.float64) -> tt.Tensor:
    return tt.tensor(values, dtype=dtype, requires_grad=True)


UNARY = [
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "square", "reciprocal", "sin",
    "cos", "tan", "sinh", "cosh", "tanh", "arcsin", "arccos", "arctan", "arcsinh", "arctanh",
    "negative", "absolute", "fabs", "floor", "ceil", "trunc", "rint", "sign",
]  # fmt: skip


@pytest.mark.parametrize("name", UNARY)
def test_a_function_of_numpy_is_the_operation_of_that_name(name: str) -> None:
    x = leaf()
    y = getattr(np, name)(x)
    assert type(y) is tt.Tensor
    assert y.requires_grad
    np.testing.assert_allclose(y.detach().numpy(), getattr(np, name)(x.detach().numpy()), 1e-14)
    (slope,) = tt.autograd.grad(y.sum(), x)
    step = 1e-6
    higher, lower = (getattr(np, name)(x.detach().numpy() + h) for h in (step, -step))
    if name != "rint":  # which jumps at 0.5
        np.testing.assert_allclose(slope.numpy(), (higher - lower) / (2 * step), 1e-7, 1e-9)


BINARY: list[Callable[[Any, Any], Any]] = [
    operator.add, operator.sub, operator.mul, operator.truediv, operator.pow, operator.lt,
    operator.ge, operator.eq, operator.ne, operator.floordiv, operator.mod, np.maximum, np.minimum,
    np.arctan2, np.fmax, np.fmin, operator.matmul,
]  # fmt: skip


@pytest.mark.parametrize("apply", BINARY)
def test_arrays_and_tensors_mix_on_either_side(apply: Callable[[Any, Any], Any]) -> None:
    array = np.array([0.75, 2.0])
    for first, second in ((array, leaf()), (leaf(), array)):
        found = apply(first, second)
        assert type(found) is tt.Tensor
        plain = [v if isinstance(v, np.ndarray) else v.detach().numpy() for v in (first, second)]
        np.testing.assert_allclose(found.detach().numpy(), apply(*plain), 1e-14)


@pytest.mark.parametrize("apply", [operator.add, operator.sub, operator.mul, operator.truediv])
def test_the_gradient_flows_past_an_array(apply: Callable[[Any, Any], Any]) -> None:
    array = np.array([0.75, 2.0])
    for swapped in (False, True):
        x, same = leaf(), leaf()
        constant = tt.from_numpy(array)
        apply(array, x).sum().backward() if swapped else apply(x, array).sum().backward()
        apply(constant, same).sum().backward() if swapped else apply(
            same, constant
        ).sum().backward()
        assert x.grad is not None
        assert same.grad is not None
        assert x.grad.tolist() == same.grad.tolist()


def test_writing_into_the_array_afterwards_changes_no_gradient() -> None:
    for multiply in (lambda a, x: a * x, lambda a, x: x * a, np.multiply):
        array, x = np.array([3.0, 4.0]), leaf()
        y = multiply(array, x)
        array[:] = 0
        y.sum().backward()
        assert x.grad is not None
        assert x.grad.tolist() == [3, 4]


@pytest.mark.parametrize("number", [np.float64(2), np.float32(2), np.int64(2), np.bool_(True)])
def test_a_number_of_numpy_counts_as_a_python_number_on_either_side(number: Any) -> None:
    for lib in (torch, tt):
        x = lib.ones(2, requires_grad=True)
        for y in (number * x, x * number, number + x, number / x, number**x):
            assert isinstance(y, lib.Tensor)
            assert y.dtype is lib.float32
            assert y.requires_grad
        assert (number == lib.ones(2)).tolist() == [number == 1] * 2


def test_an_array_of_no_dimensions_counts_as_a_0d_tensor() -> None:
    assert (np.array(2.0) * tt.ones(2)).dtype is tt.float32
    assert (np.array(2.0) * tt.ones(2, dtype=tt.int64)).dtype is tt.float64


REFUSED: list[Callable[[Any], Any]] = [
    lambda x: np.add(x, x, out=np.zeros(2)),
    lambda x: np.add(np.ones(2), x, where=np.array([True, False])),
    lambda x: np.exp(x, dtype=np.float32),
    lambda x: np.add.reduce(x),
    lambda x: np.add.accumulate(x),
    lambda x: np.add.at(x, [0], 1.0),
    lambda x: np.multiply.outer(x, x),
    lambda x: operator.iadd(np.ones(2), x),
    lambda x: np.modf(x),
    lambda x: np.hypot(x, x),
    lambda x: np.sum(x),
    lambda x: np.ones(2, dtype=complex) * x,
    lambda x: np.array(["a", "b"]) + x,
]


@pytest.mark.parametrize("call", REFUSED)
def test_what_would_leave_the_graph_or_has_no_operation_is_refused(
    call: Callable[[Any], Any],
) -> None:
    with pytest.raises(TypeError):
        call(leaf())


LEAVING: list[Callable[[Any, Any], Any]] = [
    lambda lib, x: np.asarray(x),
    lambda lib, x: np.array(x),
    lambda lib, x: np.array([x, x]),
    lambda lib, x: np.array([x[0], x[1]]),
    lambda lib, x: np.concatenate([x, x]),
    lambda lib, x: np.stack([x, x]),
    lambda lib, x: np.where(x > 0, x, 0),
    lambda lib, x: np.dot(x, x),
    lambda lib, x: np.zeros_like(x),
    lambda lib, x: np.zeros(2).__setitem__(slice(None), x),
    lambda lib, x: x.numpy(),
]


@pytest.mark.filterwarnings("ignore:__array__ impl:DeprecationWarning")  # torch's own
@pytest.mark.parametrize("call", LEAVING)
def test_a_tensor_that_requires_grad_does_not_become_an_array(
    call: Callable[[Any, Any], Any],
) -> None:
    for lib in (torch, tt):
        with pytest.raises(RuntimeError, match=r"detach\(\)"):
            call(lib, lib.ones(2, requires_grad=True))


def test_a_copy_that_drops_the_gradient_says_so() -> None:
    x = leaf()
    with pytest.warns(UserWarning, match="outside the graph"):
        assert not tt.tensor(x).requires_grad
    with pytest.warns(UserWarning, match="outside the graph"):
        assert tt.tensor([x[0], x[1]]).tolist() == x.tolist()


def test_numpy_gives_the_array_itself() -> None:
    for lib in (torch, tt):
        x = lib.zeros(2)
        x.numpy()[0] = 3
        assert x.tolist() == [3, 0]
        y = lib.zeros(2, requires_grad=True)
        y.numpy(force=True)[1] = 4
        assert y.tolist() == [0, 4]
        assert np.asarray(lib.ones(2), dtype=np.float64).dtype == np.float64
        assert np.concatenate([lib.ones(1), lib.zeros(1)]).tolist() == [1, 0]


ARRAYS: list[tuple[type[Exception], Callable[[], Any]]] = [
    (ValueError, lambda: np.arange(4)[::-1]),
    (ValueError, lambda: np.zeros((2, 2))[:, ::-1]),
    (ValueError, lambda: np.arange(3, dtype=">i4")),
    (ValueError, lambda: np.zeros(3, dtype="f8,i1")["f0"]),
    (TypeError, lambda: np.zeros(3, np.longdouble)),
    (TypeError, lambda: np.zeros(3, "M8[s]")),
    (TypeError, lambda: np.array([1], object)),
    (TypeError, lambda: np.float64(1)),
]


@pytest.mark.parametrize(("kind", "array"), ARRAYS)
def test_from_numpy_refuses_the_arrays_that_torch_refuses(
    kind: type[Exception], array: Callable[[], Any]
) -> None:
    for lib in (torch, tt):
        with pytest.raises(kind):
            lib.from_numpy(array())


def test_from_numpy_and_as_tensor_share_strided_memory() -> None:
    for lib in (torch, tt):
        array = np.zeros((4, 6))
        for make in (lib.from_numpy, lib.as_tensor):
            part = make(array[1::2, ::3].T)
            assert part.stride() == (3, 12)
            part.fill_(1)
        assert array.sum() == 4
