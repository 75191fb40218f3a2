"""Checkpoints: the same gradients of every order with the inputs kept only."""

import gc
import weakref
from typing import Any

import numpy as np
import pytest

import tinytensor as tt
from tests.autograd.side_by_side import gives_the_same, torch
from tinytensor.utils.checkpoint import checkpoint, checkpoint_sequential

assert torch.utils.checkpoint  # the programs find it by its path


def chk(lib: Any) -> Any:
    return lib.utils.checkpoint.checkpoint


@gives_the_same
def test_gradients_of_inputs_and_of_parameters_used_without_being_given(lib):
    x = lib.tensor([0.5, -1.0], dtype=lib.float64, requires_grad=True)
    w = lib.tensor([[1.0, 2.0], [3.0, -1.0]], dtype=lib.float64, requires_grad=True)
    h = x * 2
    c = w.sum().tanh()

    def block(h, scale):
        return ((w @ h).tanh() * scale * c).sigmoid()

    y = chk(lib)(block, h, 3.0, use_reentrant=False)
    z = chk(lib)(block, y, scale=0.5, use_reentrant=False)
    (z * h).sum().backward()
    return z, x.grad, w.grad


@gives_the_same
def test_several_outputs_and_nested_arguments(lib):
    x = lib.tensor([0.5, -1.0], requires_grad=True)

    def block(parts, *, more):
        a, b = parts
        return {"a": (a * b).exp(), "b": [a.sin(), more["c"] * a]}

    inputs = (x * 2, x + 1)
    out = chk(lib)(block, inputs, more={"c": x.exp()}, use_reentrant=False)
    (out["a"] * out["b"][0] + out["b"][1]).sum().backward()
    return x.grad


@gives_the_same
def test_nested(lib):
    x = lib.tensor([0.5, -1.0], requires_grad=True)
    w = lib.tensor([2.0, 0.3], requires_grad=True)
    run = []

    def inner(h):
        run.append("inner")
        return (h * w).tanh()

    def outer(h):
        run.append("outer")
        h = chk(lib)(inner, h.exp() * h, use_reentrant=False)
        return chk(lib)(inner, h * w, use_reentrant=False).sin()

    y = chk(lib)(outer, x * 1, use_reentrant=False)
    (y * y).sum().backward()
    return x.grad, w.grad


@gives_the_same
def test_the_second_and_third_derivative(lib):
    x = lib.tensor([0.5, -1.0], dtype=lib.float64, requires_grad=True)
    w = lib.tensor([2.0, 0.3], dtype=lib.float64, requires_grad=True)

    def block(h):
        return (h * w).tanh() * h.exp() * w

    y = chk(lib)(block, x * 3, use_reentrant=False)
    y = chk(lib)(lambda h: chk(lib)(block, h, use_reentrant=False), y, use_reentrant=False)
    found = []
    for _ in range(2):
        gx, gw = lib.autograd.grad(y.sum(), (x, w), create_graph=True)
        found += [gx, gw]
        y = gx * gw
    y.sum().backward()
    return *found, x.grad, w.grad


@gives_the_same
def test_dropout_draws_the_same_mask_again(lib):
    lib.manual_seed(3)
    x = lib.ones(50, requires_grad=True)

    def block(h):
        return (lib.rand(50) < 0.5) * h * h

    y = chk(lib)(block, x, use_reentrant=False)
    between = lib.rand(3)
    y.sum().backward()
    return y, between, x.grad, lib.rand(3)


@gives_the_same
def test_nothing_is_kept_without_recording(lib):
    x = lib.ones(2, requires_grad=True)
    with lib.no_grad():
        y = chk(lib)(lambda h: h * h, x, use_reentrant=False)
    return y.requires_grad, y


@gives_the_same
def test_hooks_inside_are_called_once(lib):
    x = lib.tensor([0.5, -1.0], requires_grad=True)
    seen = []

    def block(h):
        h = h.exp()
        h.register_hook(lambda g: seen.append(g) or g * 2)
        return h * h

    chk(lib)(block, x * 1, use_reentrant=False).sum().backward()
    return len(seen), x.grad


@gives_the_same
def test_writes_inside_and_views(lib):
    x = lib.tensor([0.5, -1.0], requires_grad=True)

    def block(h):
        y = h * 2
        y[0] = h[1] * h[0]
        y.mul_(h)
        return y.tanh()[:1]

    y = chk(lib)(block, x * 1, use_reentrant=False)
    y.mul_(3)
    (y * x).sum().backward()
    return x.grad


def test_gradients_are_those_without_it_bit_for_bit_through_an_lstm() -> None:
    def loss(run: Any) -> list[Any]:
        tt.manual_seed(0)
        model = tt.nn.LSTM(3, 4, num_layers=2, dropout=0.3)
        x = tt.randn(5, 2, 3, requires_grad=True)
        y, (h, c) = run(model, x)
        (y.sum() + (h * c).sum()).backward()
        return [x.grad.numpy(), *(p.grad.numpy() for p in model.parameters())]

    plain = loss(lambda model, x: model(x))
    again = loss(checkpoint)
    for a, b in zip(plain, again, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_users_own_operation_inside() -> None:
    class Cube(tt.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            y = x * x * x
            ctx.save_for_backward(x, y)
            return y

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            x, y = ctx.saved_tensors
            return 3 * g * y / x

    x = tt.tensor([2.0, -1.0], dtype=tt.float64, requires_grad=True)
    y = checkpoint(lambda h: Cube.apply(h * 1).exp(), x)
    expected = (x * x * x).exp()
    for order in range(2):
        (y,) = tt.autograd.grad(y.sum(), x, create_graph=True)
        (expected,) = tt.autograd.grad(expected.sum(), x, create_graph=True)
        np.testing.assert_allclose(y.detach(), expected.detach(), rtol=1e-13, err_msg=str(order))


def test_what_the_function_computed_is_let_go_and_freed_after_the_pass() -> None:
    made: list[Any] = []

    def block(h: Any) -> Any:
        middle = h.exp()
        made.append(weakref.ref(middle._array))
        return middle.tanh() * middle

    gc.disable()
    try:
        x = tt.ones(3, requires_grad=True)
        y = checkpoint(block, x)
        assert made[0]() is None
        y.sum().backward()
        assert len(made) == 2
        assert made[1]() is None
        node = weakref.ref(y.grad_fn)
        del y
        assert node() is None
    finally:
        gc.enable()


def test_a_graph_that_is_retained_is_walked_twice() -> None:
    x = tt.ones(3, requires_grad=True)
    y = checkpoint(lambda h: h.exp().sin(), x).sum()
    y.backward(retain_graph=True)
    once = x.grad.clone()
    y.backward()
    assert (x.grad == 2 * once).all()
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()


def test_an_input_written_to_since_is_an_error() -> None:
    x = tt.ones(3, requires_grad=True)
    h = x * 1
    y = checkpoint(lambda h: h + 1, h).exp()
    z = checkpoint(lambda h: h.exp(), h)
    h.mul_(2)
    y.sum().backward()
    with pytest.raises(RuntimeError, match=r"checkpoint: an input .* modified by an inplace"):
        z.sum().backward()


@pytest.mark.parametrize("make", [lambda w: w, lambda w: w * 1], ids=["leaf", "result"])
def test_a_parameter_written_to_since_is_an_error(make: Any) -> None:
    w = make(tt.ones(3, requires_grad=True))
    x = tt.ones(3, requires_grad=True)
    y = checkpoint(lambda h: (h * w).tanh(), x)
    with tt.no_grad():
        w.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_a_function_that_does_something_else_again_is_an_error() -> None:
    calls: list[int] = []

    def more(h: Any) -> Any:
        calls.append(1)
        return h.exp().sin() if len(calls) > 1 else h.exp()

    def other(h: Any) -> Any:
        calls.append(1)
        return h.sin() if len(calls) > 3 else h.exp()

    x = tt.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="checkpoint: expected the function to record 1"):
        checkpoint(more, x).sum().backward()
    with pytest.raises(RuntimeError, match="checkpoint: expected the function to do the same"):
        checkpoint(other, x).sum().backward()


def test_the_numpy_error_state_and_the_mode_in_the_second_run_are_the_users() -> None:
    seen: list[Any] = []

    def block(h: Any) -> Any:
        seen.append((np.geterr()["over"], tt.is_grad_enabled()))
        return h.exp()

    x = tt.ones(3, requires_grad=True)
    with np.errstate(over="raise"):
        y = checkpoint(block, x).sum()
        with tt.no_grad():
            y.backward()
            assert not tt.is_grad_enabled()
    assert seen == [("raise", True)] * 2


@pytest.mark.parametrize("segments", [1, 2, 3])
def test_functions_in_a_row_are_checkpointed_in_segments(segments: int) -> None:
    def run(lib: Any) -> Any:
        x = lib.tensor([0.5, -1.0], dtype=lib.float64, requires_grad=True)
        steps = [lib.sin, lib.exp, lambda h: h * h, lib.cos]
        sequential = lib.utils.checkpoint.checkpoint_sequential
        y = sequential(steps, segments, x, use_reentrant=False, preserve_rng_state=False)
        y.sum().backward()
        return [*y.tolist(), *x.grad.tolist()]

    np.testing.assert_allclose(run(tt), run(torch), rtol=1e-14)


def test_the_modules_of_a_sequential_run_again_but_those_of_the_last_segment() -> None:
    calls = []

    class Told(tt.nn.Tanh):
        def forward(self, input: tt.Tensor) -> tt.Tensor:
            calls.append(model_order.index(self))
            return super().forward(input)

    model_order = [Told(), Told(), Told(), Told()]
    model = tt.nn.Sequential(*model_order)
    checkpoint_sequential(model, 2, tt.ones(4, 2, requires_grad=True)).sum().backward()
    assert calls == [0, 1, 2, 3, 0, 1]


@pytest.mark.parametrize("segments", [0, 3])
def test_more_segments_than_functions_are_refused(segments: int) -> None:
    with pytest.raises(ValueError, match="segments from 1 to the 2 functions"):
        checkpoint_sequential([tt.sin, tt.cos], segments, tt.ones(2))


@gives_the_same
def test_each_run_has_its_context_and_other_options_change_nothing(lib):
    told = []

    class Context:
        def __init__(self, name):
            self.name = name

        def __enter__(self):
            told.append(self.name)

        def __exit__(self, *error):
            told.append("end of " + self.name)

    x = lib.tensor([0.5, -1.0], requires_grad=True)
    y = chk(lib)(
        lambda h: h.exp().sin(),
        x,
        use_reentrant=False,
        context_fn=lambda: (Context("first"), Context("second")),
        determinism_check="none",
        early_stop=False,
        debug=False,
    )
    y.sum().backward()
    return x.grad, told


def test_a_check_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="determinism_check 'default' or 'none'"):
        checkpoint(tt.sin, tt.ones(2), determinism_check="mine")
