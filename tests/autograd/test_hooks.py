"""Hooks on tensors: what they see, what they replace, in which order and in which mode."""

import gc
import weakref
from typing import Any

import numpy as np
import pytest

import tinytensor as tt
from tests.autograd.side_by_side import gives_the_same, refused

# -- what a hook sees and replaces


@gives_the_same
def test_a_hook_sees_the_whole_gradient_once(lib):
    x = lib.tensor([1.0, 2.0], requires_grad=True)
    y = x * 3
    seen = []
    x.register_hook(lambda g: seen.append(("x", g.clone())))
    y.register_hook(lambda g: seen.append(("y", g.clone())))
    (y * y + y.exp() + x * y).sum().backward()
    return sorted((name, g.tolist()) for name, g in seen), x.grad


@gives_the_same
def test_what_a_hook_returns_takes_the_place_of_the_gradient(lib):
    x = lib.tensor([1.0, 2.0], requires_grad=True)
    y = x * 3
    y.register_hook(lambda g: g * 2)
    y.register_hook(lambda g: None)
    y.register_hook(lambda g: g + 1)
    x.register_hook(lambda g: g * 10)
    x.register_hook(lambda g: g - 1)
    (y * y).sum().backward()
    return x.grad


@gives_the_same
def test_a_hook_on_the_output_itself_and_on_a_leaf_that_is_the_output(lib):
    x = lib.tensor(2.0, requires_grad=True)
    y = x * x
    y.register_hook(lambda g: g * 3)
    y.backward()
    z = lib.tensor(1.0, requires_grad=True)
    z.register_hook(lambda g: g * 5)
    z.backward()
    return x.grad, z.grad


@gives_the_same
def test_a_handle_ends_its_hook_alone(lib):
    x = lib.tensor([1.0, 2.0], requires_grad=True)
    first = x.register_hook(lambda g: g * 2)
    x.register_hook(lambda g: g * 3)
    x.sum().backward()
    first.remove()
    first.remove()
    x.sum().backward()
    with x.register_hook(lambda g: g * 100):
        x.sum().backward()
    x.sum().backward()
    return x.grad


@gives_the_same
def test_a_hook_may_remove_itself(lib):
    x = lib.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    handles = []

    def once(g):
        handles.pop().remove()
        return g * 10

    handles.append(y.register_hook(once))
    y.register_hook(lambda g: g + 1)
    y.sum().backward(retain_graph=True)
    y.sum().backward()
    return x.grad


@gives_the_same
def test_each_of_several_outputs_has_its_own_hooks(lib):
    x = lib.tensor([1.0, 2.0, 3.0], requires_grad=True)
    a, b, c = (x * 1).unbind(0)
    seen = []
    a.register_hook(lambda g: g * 2)
    b.register_hook(lambda g: g * 3)
    c.register_hook(lambda g: seen.append(g is None))
    (a * b).backward()
    return seen, x.grad


@gives_the_same
def test_a_hook_on_what_an_lstm_gives(lib):
    lib.manual_seed(0)
    model = lib.nn.LSTM(2, 3)
    y, (h, _) = model(lib.ones(4, 1, 2))
    y.register_hook(lambda g: g * 2)
    h.register_hook(lambda g: g * 0)
    (y.sum() + h.sum()).backward()
    return [p.grad for p in model.parameters()]


@gives_the_same
def test_autograd_grad_gives_what_hooks_left_and_calls_no_hook_after(lib):
    x = lib.tensor([1.0, 2.0], requires_grad=True)
    seen = []
    x.register_hook(lambda g: g * 2)
    x.register_post_accumulate_grad_hook(lambda leaf: seen.append(leaf))
    y = x * 3
    y.register_hook(lambda g: g * 5)
    return lib.autograd.grad((y * y).sum(), (x, y)), seen, x.grad is None


@gives_the_same
def test_a_hook_off_the_way_to_what_is_asked_for_is_not_called(lib):
    x = lib.tensor([1.0, 2.0], requires_grad=True)
    w = lib.tensor([3.0, 4.0], requires_grad=True)
    seen = []
    h = w * 2
    h.register_hook(lambda g: seen.append("h"))
    w.register_hook(lambda g: seen.append("w"))
    found = lib.autograd.grad((x * h).sum(), x)
    return found, seen


@gives_the_same
def test_retain_grad_keeps_what_the_hooks_left_whatever_the_order(lib):
    x = lib.tensor([1.0, 2.0], requires_grad=True)
    y = x * 3
    y.register_hook(lambda g: g * 2)
    y.retain_grad()
    y.register_hook(lambda g: g + 1)
    (y * y).sum().backward()
    return y.grad, x.grad


@gives_the_same
def test_a_hook_stays_with_the_value_from_before_a_write(lib):
    x = lib.tensor([1.0, 2.0], requires_grad=True)
    y = x * 3
    y.retain_grad()
    y.register_hook(lambda g: g + 100)
    y.mul_(2)
    y.register_hook(lambda g: g * 3)
    (y * x).sum().backward()
    return y.grad, x.grad


@gives_the_same
def test_a_hook_on_a_view_and_on_its_base(lib):
    x = lib.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    y = x * 2
    v = y[0]
    y.register_hook(lambda g: g * 2)
    v.register_hook(lambda g: g * 5)
    (v.exp().sum() + y.sum()).backward()
    return x.grad


# -- after accumulation


@gives_the_same
def test_a_hook_after_accumulation_sees_the_sum(lib):
    x = lib.tensor([1.0, 2.0], requires_grad=True)
    seen = []
    handle = x.register_post_accumulate_grad_hook(lambda leaf: seen.append(leaf.grad.clone()))
    x.register_hook(lambda g: g * 2)
    for _ in range(2):
        (x * x).sum().backward()
    handle.remove()
    (x * x).sum().backward()
    return seen, x.grad


@gives_the_same
def test_a_step_inside_the_backward_pass(lib):
    w = lib.tensor([1.0, 2.0], requires_grad=True)

    def step(leaf):
        with lib.no_grad():
            leaf -= 0.1 * leaf.grad
        leaf.grad = None

    w.register_post_accumulate_grad_hook(step)
    for _ in range(3):
        (w * w).sum().backward()
    return w, w.grad is None


# -- the mode


@gives_the_same
def test_operations_in_hooks_are_recorded_under_create_graph_only(lib):
    x = lib.tensor([1.0, 2.0], dtype=lib.float64, requires_grad=True)
    modes = []

    def hook(g):
        modes.append((lib.is_grad_enabled(), g.requires_grad))
        return g * x.detach() ** 2 * 3

    y = x * x
    y.register_hook(hook)
    x.register_hook(lambda g: g.sin())
    (y * y).sum().backward(retain_graph=True)
    (g,) = lib.autograd.grad((y * y * y).sum(), x, create_graph=True)
    first = x.grad.clone()
    g.sum().backward()
    return modes, first, g, x.grad, lib.is_grad_enabled()


@gives_the_same
def test_a_backward_pass_inside_a_hook(lib):
    x = lib.tensor([1.0, 2.0], requires_grad=True)
    w = lib.tensor([3.0, 5.0], requires_grad=True)

    def hook(g):
        with lib.enable_grad():
            (w * w * g).sum().backward()
        return g * 2

    y = x * 2
    y.register_hook(hook)
    (y * y).sum().backward()
    return x.grad, w.grad


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_hook_runs_in_the_numpy_error_state_of_the_user(create_graph: bool) -> None:
    states: list[Any] = []
    x = tt.ones(2, requires_grad=True)
    y = x * 2
    for tensor in (x, y):
        tensor.register_hook(lambda g: states.append(np.geterr()))
    x.register_post_accumulate_grad_hook(lambda leaf: states.append(np.geterr()))
    with np.errstate(over="raise", divide="print"):
        mine = np.geterr()
        (y * 1e38 * 1e38).sum().backward(create_graph=create_graph)
    assert states == [mine] * 3


@pytest.mark.parametrize("create_graph", [False, True])
def test_an_error_in_a_hook_reaches_the_user_and_leaves_the_mode_as_it_was(
    create_graph: bool,
) -> None:
    x = tt.ones(2, requires_grad=True)
    y = x * 2
    y.register_hook(lambda g: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        y.sum().backward(create_graph=create_graph)
    assert tt.is_grad_enabled()
    with pytest.raises(TypeError):
        tt.exp(3.0)
    (x * 3).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]


def test_a_free_function_in_a_hook_wants_tensors() -> None:
    x = tt.ones(2, requires_grad=True)
    x.register_hook(lambda g: tt.exp(3.0))
    with pytest.raises(TypeError, match="expected at least one Tensor"):
        x.sum().backward()


def test_a_hook_that_changes_its_argument_changes_this_gradient_alone() -> None:
    """In torch it reaches the other branch as well, wherever that happens to share the memory."""
    a = tt.ones(2, requires_grad=True)
    b = tt.ones(2, requires_grad=True)
    p, q = a * 1, b * 1
    p.register_hook(lambda g: (g.mul_(5), None)[1])
    q.register_hook(lambda g: (g.add_(1), None)[1])
    (p + q).sum().backward()
    assert a.grad.tolist() == [5.0, 5.0]
    assert b.grad.tolist() == [2.0, 2.0]


def test_what_a_hook_keeps_is_not_changed_later() -> None:
    x = tt.ones(2, requires_grad=True)
    kept: list[Any] = []
    x.register_hook(kept.append)
    for _ in range(3):
        (x * 2).sum().backward()
    assert [g.tolist() for g in kept] == [[2.0, 2.0]] * 3


# -- what is refused


@refused(RuntimeError, "doesn't require gradient")
def test_a_hook_on_a_tensor_outside_the_graph(lib):
    lib.ones(2).register_hook(lambda g: g)


@refused(RuntimeError, "doesn't require gradient")
def test_a_hook_after_accumulation_outside_the_graph(lib):
    lib.ones(2).register_post_accumulate_grad_hook(lambda leaf: None)


@refused(RuntimeError, "non-leaf")
def test_a_hook_after_accumulation_on_a_result(lib):
    (lib.ones(2, requires_grad=True) * 2).register_post_accumulate_grad_hook(lambda leaf: None)


@refused(TypeError, "return a Tensor or None, got float")
def test_a_hook_that_returns_a_number(lib):
    x = lib.ones(2, requires_grad=True)
    x.register_hook(lambda g: 3.0)
    x.sum().backward()


@refused(RuntimeError, "has changed the size of value")
def test_a_hook_that_returns_another_shape(lib):
    y = lib.ones(2, requires_grad=True) * 2
    y.register_hook(lambda g: g.sum())
    y.sum().backward()


@refused(RuntimeError, "has changed the type of value")
def test_a_hook_that_returns_another_dtype(lib):
    y = lib.ones(2, requires_grad=True) * 2
    y.register_hook(lambda g: g.double())
    y.sum().backward()


def test_what_is_no_function_is_refused_at_once() -> None:
    x = tt.ones(2, requires_grad=True)
    with pytest.raises(TypeError, match="register_hook: expected a function, got int"):
        x.register_hook(3)
    with pytest.raises(TypeError, match="expected a function, got int"):
        x.register_post_accumulate_grad_hook(3)


# -- memory


def test_hooks_close_no_cycle_and_outlive_their_tensor() -> None:
    x = tt.ones(2, requires_grad=True)
    seen: list[Any] = []
    y = x * 2
    handle = y.register_hook(seen.append)
    z = y.sum()
    reference = weakref.ref(y)
    gc.disable()
    try:
        del y
        assert reference() is None
        z.backward()
        assert len(seen) == 1
        node = weakref.ref(z.grad_fn)
        del z
        assert node() is None
    finally:
        gc.enable()
    handle.remove()
