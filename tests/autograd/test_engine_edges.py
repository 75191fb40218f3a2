"""Edges of the engine that only a planted mistake had shown to be untested."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinytensor as tt
from tests.autograd.side_by_side import gives_the_same
from tinytensor.autograd.kernel import kernel
from tinytensor.autograd.primitive import primitive

functional = tt.autograd.functional


# -- what nodes are called


@gives_the_same
def test_nodes_have_the_names_of_torch(lib):
    x = lib.tensor([[0.5, 2.0]], requires_grad=True)
    results = [x.tanh(), x + 1, x * x, x.exp(), x.log_softmax(1), x.sigmoid()]
    end, number = results[0].grad_fn.next_functions[0]
    return [y.grad_fn.name() for y in results], end.name().split("::")[-1], number


def test_a_node_shows_its_name_and_shape_and_a_leaf_its_own() -> None:
    x = tt.ones(2, 3, requires_grad=True)
    y = x.tanh()
    assert repr(y.grad_fn) == "<TanhBackward0 (2, 3)>"
    assert repr(y.grad_fn.next_functions[0][0]) == "<AccumulateGrad torch.Size([2, 3])>"
    first = x.unbind()[0].grad_fn
    assert repr(first) == repr(first.node)


def test_an_operation_of_the_users_has_no_number() -> None:
    class Twice(tt.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 2

    assert Twice.apply(tt.ones(1, requires_grad=True)).grad_fn.name() == "TwiceBackward"


# -- scopes


def test_scopes_of_modules_are_named_by_their_path_or_their_class() -> None:
    model = tt.nn.Sequential(tt.nn.Linear(2, 2), tt.nn.Sequential(tt.nn.Linear(2, 1)))
    y = model(tt.ones(1, 2))
    assert repr(y.grad_fn.scope) == "Sequential / 1 / 1.0"


def test_a_second_pass_is_refused_with_the_scope() -> None:
    x = tt.ones(2, requires_grad=True)
    with tt.scope("encoder"):
        y = x.exp()
    y.sum().backward()
    with pytest.raises(RuntimeError, match=r"exp \(recorded in scope encoder\) was differentiated"):
        y.sum().backward()
    z = x.exp()
    z.sum().backward()
    with pytest.raises(RuntimeError, match="exp was differentiated"):
        z.sum().backward()


# -- modes


def in_a_thread(function: Callable[[], Any]) -> Any:
    """What a function gives in a thread of its own."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]


def test_a_new_thread_starts_in_no_scope_and_forward() -> None:
    def record() -> Any:
        lstm = tt.nn.LSTM(1, 1)
        y = (tt.ones(1, requires_grad=True) * 2).grad_fn
        return y.scope, y.phase, lstm(tt.ones(2, 1, 1))[0].grad_fn.name()

    with tt.scope("of the first thread"), tt.unrolled():
        assert in_a_thread(record) == (None, "forward", "LstmBackward0")


def test_in_a_new_thread_too_a_free_function_wants_a_tensor() -> None:
    def refusal() -> str:
        with pytest.raises(TypeError) as raised:
            tt.tanh(np.ones(2))
        return str(raised.value)

    assert "tanh" in in_a_thread(refusal)


# -- hooks


def test_a_tensor_with_a_hook_that_is_written_keeps_no_gradient() -> None:
    y = tt.ones(2, requires_grad=True) * 2
    y.register_hook(lambda g: g)
    y.add_(1)
    y.sum().backward()
    assert y.grad is None


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_hook_after_accumulation_runs_in_the_mode_of_the_pass(create_graph: bool) -> None:
    x = tt.ones(2, requires_grad=True)
    seen = []
    x.register_post_accumulate_grad_hook(lambda leaf: seen.append(tt.is_grad_enabled()))
    (x * x).sum().backward(create_graph=create_graph)
    assert seen == [create_graph]
    assert tt.is_grad_enabled()


def test_a_wrong_answer_is_refused_with_the_name_of_its_hook() -> None:
    class Clip:
        def __call__(self, g: Any) -> Any:
            return 3.0

    def scaled(g: Any) -> Any:
        return 3.0

    for hook, name in ((scaled, "scaled"), (Clip(), "Clip")):
        x = tt.ones(2, requires_grad=True)
        x.register_hook(hook)
        with pytest.raises(TypeError, match=f"^hook '{name}': expected"):
            x.sum().backward()


def test_what_is_no_function_is_refused_by_the_name_of_the_method() -> None:
    x = tt.ones(2, requires_grad=True)
    for name in ("register_hook", "register_post_accumulate_grad_hook"):
        with pytest.raises(TypeError, match=f"^{name}: expected a function, got int"):
            getattr(x, name)(3)


def test_what_the_hook_of_a_leaf_records_is_in_the_scope_of_the_pass() -> None:
    x = tt.ones(2, requires_grad=True)
    seen = []
    x.register_hook(lambda g: seen.append((g * 2).grad_fn.scope))
    y = (x**3).sum()
    with tt.scope("second order"):
        y.backward(create_graph=True)
    assert [repr(scope) for scope in seen] == ["scope second order"]


def test_the_arguments_of_an_operation_may_be_called_as_in_torch() -> None:
    x, y = tt.tensor([2.0]), tt.tensor([3.0])
    assert tt.sub(input=x, other=y).item() == -1
    assert tt.sub(other=x, input=y).item() == 1


# -- Variable


@gives_the_same
def test_a_variable_is_a_leaf_that_wants_a_gradient_if_it_is_asked_to(lib):
    x = lib.ones(2, requires_grad=True) * 2
    made = [lib.autograd.Variable(x), lib.autograd.Variable(x, requires_grad=True)]
    return [(v, v.requires_grad, v.is_leaf) for v in made]


# -- once differentiable


class Twins(tt.autograd.Function):
    """Two inputs, of which one gets no gradient, by a backward that leaves the graph."""

    @staticmethod
    def forward(ctx: Any, x: Any, y: Any) -> Any:
        return x * 2 + y * 0

    @staticmethod
    @tt.autograd.function.once_differentiable
    def backward(ctx: Any, g: Any) -> Any:
        return 2 * g, None


def test_once_differentiable_may_leave_a_gradient_out() -> None:
    x, y = tt.ones(2, requires_grad=True), tt.ones(2, requires_grad=True)
    g, none = tt.autograd.grad(
        Twins.apply(x, y).sum(), [x, y], create_graph=True, allow_unused=True
    )
    assert g.tolist() == [2, 2]
    assert none is None
    with pytest.raises(RuntimeError, match="trying to differentiate twice"):
        g.sum().backward()


# -- what a Function saves


@gives_the_same
def test_a_function_saves_what_is_neither_input_nor_output_and_an_output_of_integers(lib):
    class Step(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            half = x / 2
            where = x.argmax()
            ctx.save_for_backward(half, where, None)
            return x * x, where

        @staticmethod
        def backward(ctx, g, _):
            half, where, nothing = ctx.saved_tensors
            assert nothing is None
            return 4 * half * g + where

    x = lib.tensor([1.0, 3.0], requires_grad=True)
    y, where = Step.apply(x)
    y.sum().backward()
    return x.grad, where


@gives_the_same
def test_second_order_of_a_function_that_saves_what_it_wrote(lib):
    class Exp(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            x.exp_()
            ctx.mark_dirty(x)
            ctx.save_for_backward(x)
            return x

        @staticmethod
        def backward(ctx, g):
            (y,) = ctx.saved_tensors
            return g * y

    x = lib.tensor([0.5, -1.0], dtype=lib.float64, requires_grad=True)
    y = Exp.apply(x * 2)
    (g,) = lib.autograd.grad(y.sum(), x, create_graph=True)
    (g * g).sum().backward()
    return g, x.grad


@gives_the_same
def test_a_backward_that_runs_itself_again_finds_what_it_saved(lib):
    inner = []

    class Square(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            if not inner:
                inner.append(None)
                with lib.enable_grad():
                    inner[0] = lib.autograd.grad(y, x, lib.ones(1), retain_graph=True)[0]
            (kept,) = ctx.saved_tensors
            return 2 * kept * g

    x = lib.tensor([3.0], requires_grad=True)
    y = Square.apply(x)
    y.sum().backward()
    return inner[0], x.grad


# -- kernels


def _affine_forward(a: Any, x: Any, b: Any) -> Any:
    return (a * x, x + b), ()


def _affine_backward(g: Any, saved: Any, arrays: Any, needs: Any) -> Any:
    a, x, _ = arrays
    first = np.zeros_like(x) if g[0] is None else g[0]
    second = np.zeros_like(x) if g[1] is None else g[1]
    return first * x, first * a + second, second


def _affine_reference(a: Any, x: Any, b: Any) -> Any:
    return a * x, x + b


affine = kernel(backward=_affine_backward, reference=_affine_reference, outputs=("product", "sum"))(
    _affine_forward
)


@pytest.mark.parametrize("place", [0, 1])
def test_a_second_derivative_of_a_kernel_with_a_constant_among_its_inputs(place: int) -> None:
    results = []
    for function in (_affine_reference, affine):
        a = tt.tensor([2.0, 3.0], dtype=tt.float64, requires_grad=True)
        b = tt.tensor([5.0, 7.0], dtype=tt.float64, requires_grad=True)
        constant = tt.tensor([0.5, 0.25], dtype=tt.float64)
        y = function(a, constant, b)[place] ** 3
        found = tt.autograd.grad(y.sum(), [a, b], create_graph=True, materialize_grads=True)
        (found[0] * a + found[1] * b).sum().backward()
        assert constant.grad is None
        results.append([t if t is None else t.tolist() for t in (*found, a.grad, b.grad)])
    assert results[0] == results[1]


def test_a_kernel_gives_a_gradient_for_each_input() -> None:
    def forward(x: Any, y: Any) -> Any:
        return (x * y,), ()

    short = kernel(
        backward=lambda g, saved, arrays, needs: (g[0],),
        reference=lambda x, y: (x * y,),
        outputs=("product",),
    )(forward)
    x, y = tt.ones(2, requires_grad=True), tt.ones(2, requires_grad=True)
    with pytest.raises(ValueError, match="shorter"):
        short(x, y)[0].sum().backward()


# -- shapes of gradients


def test_a_gradient_may_lack_leading_dimensions_of_size_one(private_primitives: None) -> None:
    @primitive(lambda g: g[0, 0, 0])
    def last_of_four(x: Any) -> Any:
        return x.copy()

    for shape in ((1, 1, 1, 1), (1, 1, 1, 3)):
        x = tt.ones(shape, requires_grad=True)
        last_of_four(x).sum().backward()
        assert x.grad.tolist() == np.ones(shape).tolist()

    @primitive(lambda g: g.sum())
    def whole(x: Any) -> Any:
        return x.copy()

    x = tt.ones(1, 1, requires_grad=True)
    whole(x).sum().backward()
    assert x.grad.tolist() == [[1]]


def test_too_small_a_gradient_for_one_of_several_outputs_names_its_rule(
    private_primitives: None,
) -> None:
    @primitive(lambda g: g[:1])
    def shrinking(x: Any) -> Any:
        return x.copy()

    first, _ = tt.ones(2, 3, requires_grad=True).unbind()
    with pytest.raises(RuntimeError, match=r"shrinking: its rule gave .* \(1,\) .* \(3,\)"):
        shrinking(first).sum().backward()


# -- second order with what was changed


def test_outputs_of_several_changed_after_the_first_order_are_seen(
    private_primitives: None,
) -> None:
    @primitive(lambda g, y: g[0] * y[0] * (y[1] * 0 + 1))
    def exp_and_place(x: Any) -> Any:
        return np.exp(x), np.argmax(x)

    x = tt.tensor([0.5, 2.0], dtype=tt.float64, requires_grad=True)
    v = tt.ones(2, dtype=tt.float64, requires_grad=True)
    y, place = exp_and_place(x)
    (g,) = tt.autograd.grad(y, x, v, create_graph=True)
    second, of_v = tt.autograd.grad(g.sum(), [x, v], retain_graph=True)
    np.testing.assert_allclose(second.numpy(), np.exp([0.5, 2.0]), rtol=1e-15)
    np.testing.assert_allclose(of_v.numpy(), np.exp([0.5, 2.0]), rtol=1e-15)
    assert place.item() == 1
    y.detach().mul_(2)
    with pytest.raises(RuntimeError, match="inplace operation"):
        tt.autograd.grad(g.sum(), v)


def test_an_operation_of_two_tensors_may_have_several_outputs(private_primitives: None) -> None:
    @primitive(lambda g, b: g[0] + g[1] * b, lambda g, a: g[0] + g[1] * a)
    def sum_and_dot(a: Any, b: Any) -> Any:
        return a + b, (a * b).sum()

    a, b = tt.tensor([2.0], requires_grad=True), tt.tensor([5.0], requires_grad=True)
    total, dot = sum_and_dot(a, b)
    (3 * total.sum() + dot).backward()
    assert (a.grad.item(), b.grad.item()) == (8, 5)


@gives_the_same
def test_a_gradient_lies_in_memory_as_its_leaf_does(lib):
    x = lib.ones(2, 3, requires_grad=True)
    (x.T * lib.arange(6.0).reshape(3, 2)).sum().backward()
    return x.grad, x.grad.is_contiguous(), x.grad.stride()


# -- writes through views


def test_what_a_function_returned_as_it_came_is_not_written_to() -> None:
    class Same(tt.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g

    base = tt.ones(2, requires_grad=True) * 1
    y = Same.apply(base)
    with pytest.raises(RuntimeError, match="mul_: a view was created inside a custom Function"):
        y.mul_(2)


@pytest.mark.parametrize(
    ("view", "said"),
    [
        (lambda x: x.unbind()[1], "mul_: .* one of several views made by one operation"),
        (lambda x: tt.no_grad()(lambda: x[1])(), "mul_: a view was created in no_grad mode"),
    ],
)
def test_a_value_in_the_graph_is_not_written_through_a_view_whose_history_is_lost(
    view: Any, said: str
) -> None:
    """Of a plain tensor, and refused before anything is written."""
    x = tt.ones(3, 2)
    w = tt.tensor([2.0, 3.0], requires_grad=True)
    part = view(x)
    with pytest.raises(RuntimeError, match=said):
        part.mul_(w)
    with pytest.raises(RuntimeError, match=said.replace("mul_", "copy_")):
        part.copy_(w)
    assert x.tolist() == [[1, 1]] * 3
    assert not x.requires_grad
    assert x._version == 0
    part.mul_(5)
    assert x[1].tolist() == [5, 5]


@gives_the_same
def test_a_flat_view_is_written_and_the_gradient_comes_in_another_order_of_memory(lib):
    x = lib.arange(6.0, dtype=lib.float64).reshape(2, 3).requires_grad_()
    w = lib.tensor([2.0, -1.0], dtype=lib.float64, requires_grad=True)
    base = x * 1
    base.view(-1)[2:4] = w
    (base.T * lib.arange(6.0, dtype=lib.float64).reshape(3, 2)).sum().backward()
    return base, x.grad, w.grad


# -- values from before


def test_a_derivative_is_that_of_the_value_from_before_data_was_replaced() -> None:
    x = tt.tensor([2.0], requires_grad=True)
    y = x**3
    x.data = tt.tensor([5.0])
    (g,) = tt.autograd.grad(y, x, create_graph=True)
    g.backward()
    assert g.item() == 12
    assert x.grad.item() == 12


def test_a_write_into_the_memory_from_before_data_was_replaced_is_seen() -> None:
    x = tt.tensor([2.0], requires_grad=True)
    y = x**3
    before = x.detach()
    x.data = tt.tensor([5.0])
    (g,) = tt.autograd.grad(y, x, create_graph=True)
    before.mul_(2)
    with pytest.raises(RuntimeError, match="inplace operation"):
        g.backward()


# -- autograd.functional

SCALAR = {
    "vjp": lambda f, x, **given: functional.vjp(f, x, **given),
    "jvp": lambda f, x, **given: functional.jvp(f, x, tt.ones(2), **given),
    "jacobian": functional.jacobian,
    "hessian": functional.hessian,
    "vhp": lambda f, x, **given: functional.vhp(f, x, tt.ones(2), **given),
    "hvp": lambda f, x, **given: functional.hvp(f, x, tt.ones(2), **given),
}


def flat(result: Any) -> list[Any]:
    if isinstance(result, tuple):
        return [tensor for part in result for tensor in flat(part)]
    return [result]


@pytest.mark.parametrize("name", SCALAR)
def test_results_are_outside_the_graph_unless_asked_for(name: str) -> None:
    x = tt.tensor([0.5, 2.0], requires_grad=True)
    found = SCALAR[name](lambda a: (a**3).sum(), x)
    assert [t.requires_grad for t in flat(found)] == [False] * len(flat(found))


@pytest.mark.parametrize("name", SCALAR)
def test_what_does_not_depend_is_zero_unless_strict(name: str) -> None:
    x = tt.ones(2)
    free = tt.ones(1, requires_grad=True).sum()
    found = flat(SCALAR[name](lambda a: free, x))[-1]
    assert not found.any()
    with pytest.raises(RuntimeError, match=f"^{name}: output 0 .* strict"):
        SCALAR[name](lambda a: tt.ones(1).sum(), x, strict=True)


@pytest.mark.parametrize("name", ["hessian", "vhp", "hvp"])
def test_strict_wants_a_gradient_that_depends_on_the_input(name: str) -> None:
    x = tt.ones(2)
    with pytest.raises(RuntimeError, match=f"^{name}: the .* not depend on input 0; .* strict"):
        SCALAR[name](lambda a: a.sum(), x, strict=True)
    found = flat(SCALAR[name](lambda a: a.sum(), x))[-1]
    assert not found.any()


@pytest.mark.parametrize("name", ["vjp", "jvp", "jacobian", "hessian", "vhp", "hvp"])
def test_strict_wants_every_input_used(name: str) -> None:
    call: Any = getattr(functional, name)
    vectors: Any = {"jvp": (tt.ones(2), tt.ones(2)), "vhp": (tt.ones(2), tt.ones(2))}
    vectors["hvp"] = vectors["jvp"]
    v = [vectors[name]] if name in vectors else []
    pair = (tt.ones(2), tt.ones(2))
    with pytest.raises(RuntimeError, match=f"^{name}: the outputs do not depend on input 1; "):
        call(lambda a, b: (a**3).sum(), pair, *v, strict=True)
    assert not flat(call(lambda a, b: (b**3).sum(), pair, *v))[-2].isnan().any()


@gives_the_same
def test_products_with_an_output_that_is_constant(lib):
    x = lib.tensor([0.5, 2.0])
    free = lib.ones(3)
    return lib.autograd.functional.jvp(lambda a: (a * a, free), x, lib.ones(2))


@gives_the_same
def test_jacobian_of_an_output_in_another_order_of_memory(lib):
    x = lib.arange(6.0).reshape(2, 3)
    return lib.autograd.functional.jacobian(lambda a: (a * a).T, x)


@pytest.mark.parametrize("name", SCALAR)
def test_a_refusal_names_the_function_that_was_called(name: str) -> None:
    call: Any = getattr(functional, name)
    with pytest.raises(TypeError, match=f"^{name}: expected the inputs to be"):
        call(lambda a: a.sum(), 3.0)
    with pytest.raises(TypeError, match=f"^{name}: expected the outputs of the function to be"):
        SCALAR[name](lambda a: 3.0, tt.ones(2))


@pytest.mark.parametrize("name", ["hessian", "vhp", "hvp"])
def test_a_refusal_of_several_elements_names_the_function(name: str) -> None:
    with pytest.raises(RuntimeError, match=f"^{name}: expected .* single element, got shape"):
        SCALAR[name](lambda a: a * 2, tt.ones(2))
    with pytest.raises(RuntimeError, match=f"^{name}: expected .* single element, got a tuple"):
        SCALAR[name](lambda a: (a.sum(), a.sum()), tt.ones(2))


@pytest.mark.parametrize(
    ("name", "what"), [("vjp", "outputs"), ("jvp", "inputs"), ("vhp", "inputs"), ("hvp", "inputs")]
)
def test_a_refused_vector_is_named_with_what_it_must_be_like(name: str, what: str) -> None:
    call: Any = getattr(functional, name)
    function = (lambda a: a * 2) if name == "vjp" else (lambda a: a.sum())
    with pytest.raises(RuntimeError, match=f"^{name}: expected v, as the {what} have more"):
        call(function, tt.ones(2))
    with pytest.raises(RuntimeError, match=f"^{name}: expected v in the shapes of the {what}, "):
        call(function, tt.ones(2), tt.ones(3))
    with pytest.raises(TypeError, match=f"^{name}: expected v to be a Tensor"):
        call(function, tt.ones(2), 3.0)
