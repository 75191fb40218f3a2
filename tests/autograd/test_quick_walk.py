"""The quick way through ordinary nodes does what the general one does, to the bit."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinytensor as tt
from tinytensor import nn
from tinytensor.autograd.primitive import primitive
from tinytensor.autograd.walk import Walk

Leaves = tuple[Any, ...]


def branches(a: Any, b: Any) -> Any:
    """Several nodes wait at once, older and newer ones than those that arrive later."""
    first = a.exp()
    second = first.sin()
    third = second * b
    long = first
    for _ in range(5):
        long = long.tanh() * 0.5 + first * third
    return (long + second / first).sum() + (third * third).mean() + first.sum()


def stretched(a: Any, b: Any) -> Any:
    return ((a[:, :1] * b + a.sum(0) * a) / (b[0] + 2.0)).sum()


def numbers(a: Any, b: Any) -> Any:
    """Operations on 0-d tensors, between those on others and alone."""
    s = a.sum() * 0.1
    t = (b[0, 0] + s).tanh()
    for _ in range(4):
        t = (t * s + t) / (s * s + 1.0) - s**2
    return t * a.mean() + (a * t).sum() + t


def parts(a: Any, b: Any) -> Any:
    """Indexed gradients, lists and several outputs, with 0-d ones among them."""
    h = b[0]
    for t in range(3):
        h = (a[t] + h * b[1]).tanh()
    x, y, z = (h * a[0]).unbind()
    low, _ = a.sort(0)
    rows = tt.cat([low, tt.stack([x * y, y + z, z]).reshape(1, 3)])
    return (rows * rows).sum() + x * z + (a * b).max(0)[0].sum()


def kernels(a: Any, b: Any) -> Any:
    """Nodes with a backward of their own, above and below ordinary ones."""
    tt.manual_seed(0)
    lstm = nn.LSTM(3, 2, dtype=a.dtype)
    output, (h, c) = lstm((a * b).reshape(3, 1, 3).tanh())
    loss = nn.functional.cross_entropy(output.reshape(3, 2) * h.sum(), tt.tensor([0, 1, 1]))
    return loss * loss + c.sum()


def written(a: Any, b: Any) -> Any:
    y = a * b
    y.mul_(b)
    y[0] = b[1].exp()
    total = (y * y).sum()
    total += y[2, 2] * 3.0
    return total * total


PROGRAMS = [branches, stretched, numbers, parts, kernels, written]


def leaves_of(dtype: Any) -> Leaves:
    rng = np.random.default_rng(0)
    arrays = rng.normal(size=(2, 3, 3))
    return tuple(tt.tensor(array, dtype=dtype, requires_grad=True) for array in arrays)


@pytest.mark.parametrize("dtype", [tt.float32, tt.float64])
@pytest.mark.parametrize("program", PROGRAMS)
def test_the_gradients_are_those_of_the_general_walk(
    program: Callable[..., Any], dtype: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = leaves_of(dtype)
    program(*quick).backward()
    monkeypatch.setattr(Walk, "quick", False)
    general = leaves_of(dtype)
    program(*general).backward()
    for one, other in zip(quick, general, strict=True):
        assert one.grad.dtype is other.grad.dtype
        assert np.array_equal(one.grad.numpy(), other.grad.numpy())


@pytest.mark.parametrize("quick", [True, False])
def test_nodes_are_visited_newest_first(
    quick: bool, private_primitives: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    visited: list[float] = []

    def seen(g: Any, number: float) -> Any:
        visited.append(number)
        return g

    @primitive(seen, None)
    def numbered(x: Any, number: float) -> Any:
        return x + 0

    monkeypatch.setattr(Walk, "quick", quick)
    a = tt.ones(2, requires_grad=True)
    one = numbered(a, 1.0)
    two = numbered(a, 2.0)
    three = numbered(one, 3.0)
    four = numbered(two, 4.0)
    five = numbered(one + two, 5.0)
    six = numbered(three * five, 6.0)
    seven = numbered(four + one, 7.0)
    (two * six + seven * five).sum().backward()
    assert visited == [7, 6, 5, 4, 3, 2, 1]


# -- 0-d gradients, which are numbers on the way


@pytest.mark.parametrize("where", ["leaf", "hook", "retained"])
def test_whoever_looks_at_a_0_d_gradient_gets_a_tensor_of_its_own(where: str) -> None:
    x = tt.tensor(0.5, requires_grad=True)
    seen = []
    y = x * 3.0
    watched = x if where == "leaf" else y
    if where == "retained":
        y.retain_grad()
    else:
        watched.register_hook(seen.append)
    ((y * 1.0).tanh() * 2.0).backward()
    for g in (*seen, watched.grad, x.grad):
        if g is not None:
            assert isinstance(g, tt.Tensor)
            assert type(g.numpy()) is np.ndarray
            assert (g.shape, g.dtype) == ((), tt.float32)
    before = x.grad.item()
    for g in seen:
        g.add_(1.0)
    assert x.grad.item() == before
    assert len(seen) == (where != "retained")


def test_the_rule_of_an_operation_with_options_gets_a_0_d_array(private_primitives: None) -> None:
    kinds = []

    def noted(g: Any, shape_x: Any) -> Any:
        kinds.append(type(g))
        return g

    @primitive(noted)
    def with_option(x: Any, option: int = 0) -> Any:
        return x + option

    x = tt.tensor(0.5, requires_grad=True)
    (with_option(x * 1.0) * 2.0).backward()
    assert kinds == [np.ndarray]


def test_a_function_of_the_users_gets_a_0_d_gradient_as_a_tensor() -> None:
    class Twice(tt.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            assert isinstance(g, tt.Tensor)
            return g.add_(0.0) * 2

    x = tt.tensor(0.5, requires_grad=True)
    (Twice.apply(x * 1.0) * 3.0).backward()
    assert x.grad.item() == 6.0


def test_a_0_d_leaf_used_often_adds_up_in_its_type() -> None:
    x = tt.tensor(0.1, requires_grad=True)
    total = x * 1.0
    for _ in range(9):
        total = total + x * 1.0
    total.backward()
    total = x * 1.0
    total.backward()
    assert x.grad.dtype is tt.float32
    assert x.grad.item() == 11.0


@pytest.mark.parametrize("dtype", [tt.float32, tt.float64])
@pytest.mark.parametrize("name", ["tanh", "sqrt", "log", "sin", "sigmoid", "mul", "div", "pow"])
def test_a_0_d_operation_has_the_recorded_gradient(name: str, dtype: Any) -> None:
    operation = getattr(tt, name)
    count = 2 if name in ("mul", "div", "pow") else 1
    leaves = [tt.tensor(v, dtype=dtype, requires_grad=True) for v in (0.3, 0.7)[:count]]
    y = operation(*leaves)
    y.backward(retain_graph=True)
    recorded = tt.autograd.grad(y, leaves, create_graph=True)
    for leaf, g in zip(leaves, recorded, strict=True):
        assert leaf.grad.item() == g.item()
        assert leaf.grad.dtype is dtype


def test_a_0_d_operand_changed_before_the_backward_is_still_refused() -> None:
    x = tt.tensor(0.5, requires_grad=True)
    y = x * 1.0
    z = y * y
    y.add_(1.0)
    with pytest.raises(RuntimeError, match="version"):
        z.backward()


def test_no_warning_of_a_0_d_gradient_reaches_the_user() -> None:
    x = tt.tensor(0.0, requires_grad=True)
    (x.log() * 1.0).backward()
    assert x.grad.item() == float("inf")
