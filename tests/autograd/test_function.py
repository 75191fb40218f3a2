"""`autograd.Function`: a user's own operation, of the first and of higher orders."""

from typing import Any

import numpy as np
import pytest

import tinytensor as tt
from tests.autograd.side_by_side import gives_the_same, refused


def cube(lib: Any) -> Any:
    class Cube(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x * x

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return 3 * x * x * g

    return Cube.apply


def exponential(lib: Any) -> Any:
    """It keeps its output."""

    class Exponential(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = x.exp()
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx, g):
            (y,) = ctx.saved_tensors
            return g * y

    return Exponential.apply


def returning(lib: Any, answer: Any) -> Any:
    """y = n x, with a backward that returns what it is told."""

    class Scale(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x, n):
            return x * n

        @staticmethod
        def backward(ctx, g):
            return answer(g)

    return Scale.apply


# -- derivatives


@gives_the_same
def test_gradients_of_three_orders(lib):
    x = lib.tensor([0.5, -1.5], dtype=lib.float64, requires_grad=True)
    found = []
    y = cube(lib)(x * 2) * exponential(lib)(x)
    for _ in range(3):
        (y,) = lib.autograd.grad(y.sum(), x, create_graph=True)
        found.append(y)
    return found


def test_it_passes_gradcheck() -> None:
    x = tt.tensor([0.5, -1.5], dtype=tt.float64, requires_grad=True)
    for function in (cube(tt), exponential(tt)):
        assert tt.autograd.gradcheck(function, (x,))
        assert tt.autograd.gradgradcheck(function, (x,))


@gives_the_same
def test_a_plain_and_a_recorded_backward_give_the_same(lib):
    x = lib.tensor([0.5, -1.5], requires_grad=True)
    (recorded,) = lib.autograd.grad(cube(lib)(x).sum(), x, create_graph=True)
    cube(lib)(x).sum().backward()
    return recorded, x.grad


@gives_the_same
def test_several_inputs_and_outputs_some_unused_some_no_tensors(lib):
    seen = []

    class Mixed(lib.autograd.Function):
        @staticmethod
        def forward(ctx, a, scale, b, name):
            ctx.save_for_backward(a, None, b)
            ctx.scale = scale
            seen.append((name, ctx.needs_input_grad, lib.is_grad_enabled()))
            return a * b * scale, None, a + b, b > 0

        @staticmethod
        def backward(ctx, g1, g2, g3, g4):
            a, nothing, b = ctx.saved_tensors
            seen.append((nothing, g2, g3.tolist(), str(g4.dtype).split(".")[1]))
            ga = g1 * b * ctx.scale + g3
            return ga, None, g1 * a * ctx.scale + g3, None, None

    a = lib.tensor([1.0, 2.0], requires_grad=True)
    b = lib.tensor([3.0, -4.0])
    y, nothing, s, positive = Mixed.apply(a, 2.5, b, "name")
    flags = [y.requires_grad, nothing, s.requires_grad, positive.requires_grad]
    y.sum().backward()
    return seen, flags, a.grad, y.grad_fn.name()


@gives_the_same
def test_unused_outputs_come_as_zeros_or_none(lib):
    seen = []

    def two(materialize):
        class Two(lib.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                ctx.set_materialize_grads(materialize)
                return x * 2, x[:1] * 3

            @staticmethod
            def backward(ctx, g, h):
                seen.append([None if part is None else part.tolist() for part in (g, h)])
                return 2 * g

        return Two.apply

    x = lib.tensor([1.0, 2.0], requires_grad=True)
    for materialize in (True, False):
        two(materialize)(x)[0].sum().backward()
    return seen, x.grad


@gives_the_same
def test_an_output_marked_as_constant(lib):
    class Sorted(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y, mask = x * 2, (x > 1).float()
            ctx.mark_non_differentiable(mask)
            return y, mask

        @staticmethod
        def backward(ctx, g, gm):
            return 2 * g + gm

    x = lib.tensor([1.0, 2.0], requires_grad=True)
    y, mask = Sorted.apply(x)
    (y * mask).sum().backward()
    return y.requires_grad, mask.requires_grad, x.grad


@gives_the_same
def test_a_forward_without_context(lib):
    class Power(lib.autograd.Function):
        @staticmethod
        def forward(x, n):
            return x**n

        @staticmethod
        def setup_context(ctx, inputs, output):
            x, ctx.n = inputs
            ctx.save_for_backward(x, output)

        @staticmethod
        def backward(ctx, g):
            x, y = ctx.saved_tensors
            return g * ctx.n * y / x, None

    x = lib.tensor([1.0, 2.0], dtype=lib.float64, requires_grad=True)
    (g,) = lib.autograd.grad(Power.apply(x, 3).sum(), x, create_graph=True)
    return g, lib.autograd.grad(g.sum(), x)


@gives_the_same
def test_without_recording_there_is_no_node(lib):
    x = lib.tensor([1.0, 2.0], requires_grad=True)
    with lib.no_grad():
        y = cube(lib)(x)
    z = cube(lib)(lib.tensor([1.0, 2.0]))
    return y, y.requires_grad, z.requires_grad, cube(lib)(x).grad_fn.name()


@gives_the_same
def test_a_gradient_is_summed_and_cast_to_its_input(lib):
    x = lib.tensor([1.0, 2.0], requires_grad=True)
    n = lib.tensor(3.0)
    grow = returning(lib, lambda g: (lib.ones(3, 2, dtype=lib.float64), None, None))
    grow(x, n).sum().backward()
    return x.grad


@gives_the_same
def test_the_straight_through_estimator(lib):
    class Round(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return (x > 0.5).float()

        @staticmethod
        def backward(ctx, g):
            return g

    x = lib.tensor([0.2, 0.7], requires_grad=True)
    (Round.apply(x) * lib.tensor([3.0, 5.0])).sum().backward()
    return x.grad


# -- memory that is shared or written


@gives_the_same
def test_an_input_that_is_written_and_marked(lib):
    class Double(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            x.mul_(2)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx, g):
            return 2 * g

    leaf = lib.tensor([1.0, 2.0], requires_grad=True)
    x = leaf * 1
    y = Double.apply(x)
    same = y is x
    v = x[:1]
    Double.apply(v)
    (x * x).sum().backward()
    return same, x, leaf.grad


@refused(RuntimeError, "leaf Variable")
def test_a_leaf_that_is_written(lib):
    class Double(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            x.mul_(2)
            ctx.mark_dirty(x)
            return x

    Double.apply(lib.ones(2, requires_grad=True))


@refused(RuntimeError, "marked as dirty")
def test_a_written_input_that_is_not_returned(lib):
    class Double(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            return x * 2

    Double.apply(lib.ones(2, requires_grad=True) * 1)


def straight(lib: Any) -> Any:
    class Straight(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 3

    return Straight.apply


@gives_the_same
def test_an_input_that_is_returned_as_it_came(lib):
    x = lib.tensor([1.0, 2.0], requires_grad=True)
    y = straight(lib)(x)
    (y * x).sum().backward()
    return y is x, y, x.grad, x.is_leaf


@refused(RuntimeError, "inside a custom Function")
def test_writing_into_an_input_that_was_returned(lib):
    straight(lib)(lib.ones(2, requires_grad=True) * 1).mul_(2)


@refused(RuntimeError, "inside a custom Function")
def test_using_an_input_that_was_returned_after_the_other_was_written(lib):
    x = lib.ones(2, requires_grad=True) * 1
    y = straight(lib)(x)
    x.mul_(2)
    y.sum().backward()


@refused(RuntimeError, "modified by an inplace operation")
def test_a_saved_input_that_changed(lib):
    x = lib.ones(2, requires_grad=True) * 1
    y = cube(lib)(x)
    x.mul_(2)
    y.sum().backward()


@refused(RuntimeError, "modified by an inplace operation")
def test_a_saved_output_that_changed(lib):
    y = exponential(lib)(lib.ones(2, requires_grad=True))
    y.mul_(2)
    y.sum().backward()


@refused(RuntimeError, "second time")
def test_a_second_pass_over_what_was_freed(lib):
    y = cube(lib)(lib.ones(2, requires_grad=True)).sum()
    y.backward()
    y.backward()


@gives_the_same
def test_a_second_pass_over_what_kept_nothing(lib):
    x = lib.ones(2, requires_grad=True)
    y = returning(lib, lambda g: (g * 2, None))(x, 2).sum()
    y.backward()
    y.backward()
    return x.grad


def test_a_backward_that_changes_its_argument_changes_no_other_branch() -> None:
    a = tt.ones(2, requires_grad=True)
    b = tt.ones(2, requires_grad=True)
    y = returning(tt, lambda g: (g.mul_(7), None))(a, 2) + b * 1
    y.sum().backward()
    assert a.grad.tolist() == [7.0, 7.0]
    assert b.grad.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_backward_runs_in_the_mode_and_error_state_of_the_user(create_graph: bool) -> None:
    seen: list[Any] = []

    def note(g: Any) -> Any:
        seen.append((tt.is_grad_enabled(), np.geterr()["over"]))
        with pytest.raises(TypeError):
            tt.exp(3.0)
        return g * 2, None

    x = tt.ones(2, requires_grad=True)
    with np.errstate(over="raise"):
        returning(tt, note)(x, 2).sum().backward(create_graph=create_graph)
    assert seen == [(create_graph, "raise")]


# -- once differentiable


def square_once(lib: Any) -> Any:
    class Square(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @lib.autograd.function.once_differentiable
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return lib.from_numpy(2 * g.numpy() * x.detach().numpy())

    return Square.apply


@gives_the_same
def test_once_differentiable_gives_the_first_derivative(lib):
    x = lib.tensor([1.0, 2.0], requires_grad=True)
    (square_once(lib)(x) * 3).sum().backward()
    return x.grad


@refused(RuntimeError, "once_differentiable")
def test_once_differentiable_refuses_the_second(lib):
    x = lib.tensor([1.0, 2.0], requires_grad=True)
    (g,) = lib.autograd.grad((square_once(lib)(x) * x).sum(), x, create_graph=True)
    g.sum().backward()


def test_once_differentiable_refuses_a_term_of_the_second_that_torch_leaves_out() -> None:
    x = tt.tensor([1.0, 2.0], requires_grad=True)
    (g,) = tt.autograd.grad(square_once(tt)(x).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        tt.autograd.grad((g * x).sum(), x)


# -- errors that teach


@refused(RuntimeError, r"incorrect number of gradients \(expected 2, got 1\)")
def test_too_few_gradients(lib):
    returning(lib, lambda g: g)(lib.ones(2, requires_grad=True), 2).sum().backward()


@refused(RuntimeError, "incorrect number of gradients|different than None")
def test_too_many_gradients(lib):
    answer = returning(lib, lambda g: (g, None, g))
    answer(lib.ones(2, requires_grad=True), 2).sum().backward()


@refused(RuntimeError, "different than None at position 1")
def test_a_gradient_for_a_number(lib):
    returning(lib, lambda g: (g, g))(lib.ones(2, requires_grad=True), 2).sum().backward()


@refused(RuntimeError, r"at position 0: expected shape \(2,\), got \(3,\)|invalid gradient")
def test_a_gradient_of_another_shape(lib):
    answer = returning(lib, lambda g: (lib.ones(3), None))
    answer(lib.ones(2, requires_grad=True), 2).sum().backward()


@refused(RuntimeError, "got float")
def test_a_gradient_that_is_a_number(lib):
    returning(lib, lambda g: (3.0, None))(lib.ones(2, requires_grad=True), 2).sum().backward()


@refused(NotImplementedError, "backward")
def test_no_backward(lib):
    class Half(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x / 2

    Half.apply(lib.ones(2, requires_grad=True)).sum().backward()


@refused(NotImplementedError, "forward")
def test_no_forward(lib):
    lib.autograd.Function.apply(lib.ones(2))


@refused(TypeError, "got int as argument 0")
def test_saving_a_number(lib):
    class Half(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(2)
            return x / 2

    Half.apply(lib.ones(2, requires_grad=True))


def test_calling_in_place_of_apply() -> None:
    """(torch warns that this will be an error, and raises already for most.)"""
    with pytest.raises(RuntimeError, match=r"Function: expected static methods, got a call; use"):
        tt.autograd.Function()(tt.ones(2, requires_grad=True))


@gives_the_same
def test_a_backward_may_be_called_vjp(lib):
    class Double(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_forward(x)
            return x * 2

        @staticmethod
        def vjp(ctx, g):
            return g * 7

    x = lib.tensor([1.0, 2.0], requires_grad=True)
    Double.apply(x).sum().backward()
    return x.grad


@refused(RuntimeError, "expected 'backward' or 'vjp', got both")
def test_a_function_with_both_backward_and_vjp(lib):
    class Both(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g

        vjp = backward

    Both.vjp = staticmethod(lambda ctx, g: g)
    Both.apply(lib.ones(2, requires_grad=True)).sum().backward()
