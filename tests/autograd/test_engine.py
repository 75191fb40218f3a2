"""The backward pass: order, arguments, accumulation, what is kept and freed, kernels."""

import weakref
from typing import Any

import numpy as np
import pytest

import tinytensor as tt
from tests.autograd.side_by_side import gives_the_same, refused
from tinytensor.autograd.kernel import kernel
from tinytensor.autograd.primitive import primitive

grad = tt.autograd.grad


def memory(tensor: Any) -> weakref.ref[Any]:
    """A reference to a tensor's array that does not keep it."""
    return weakref.ref(tensor.detach().numpy())


# -- the order of the walk


def test_a_node_waits_for_all_gradients_of_its_output() -> None:
    a = tt.ones(1, requires_grad=True)
    b = a + a
    c = b + b
    c.backward()
    assert a.grad.item() == 4


def test_sixty_diamonds_are_walked_once_each() -> None:
    a = tt.ones(1, dtype=tt.float64, requires_grad=True)
    x = a
    for _ in range(60):
        x = x + x
    x.backward()
    assert a.grad.item() == 2.0**60


@gives_the_same
def test_a_short_way_and_a_long_way_meet(lib):
    a = lib.tensor([0.5, -0.7], dtype=lib.float64, requires_grad=True)
    long = a
    for _ in range(20):
        long = long.tanh() + a
    (long * a + a * long.exp()).sum().backward()
    return a.grad


@gives_the_same
def test_a_tensor_used_in_many_places(lib):
    a = lib.tensor([0.5, -0.7], requires_grad=True)
    b = a * 2
    (b * b + b.sum() * a + b[0] * b[1] + (b + b) * (b + a)).sum().backward()
    return a.grad


@gives_the_same
def test_an_old_node_is_used_again_by_a_new_one(lib):
    a = lib.tensor([0.5, -0.7], requires_grad=True)
    first = a.exp()
    second = first.sin()
    third = second * a
    (third * first + second / first).sum().backward()
    return a.grad


def test_each_rule_runs_once_and_only_where_it_is_needed(private_primitives: None) -> None:
    calls = []

    @primitive(lambda g: calls.append("a") or g, lambda g: calls.append("b") or g)
    def counted(a: Any, b: Any) -> Any:
        return a + b

    a, b = tt.ones(2, requires_grad=True), tt.ones(2)
    y = counted(a, b)
    ((y + y) * y.exp()).sum().backward()
    assert calls == ["a"]


def test_the_walk_stops_at_the_inputs_asked_for(private_primitives: None) -> None:
    calls = []

    @primitive(lambda g: calls.append(1) or g)
    def watched(x: Any) -> Any:
        return x + 0

    a = tt.ones(2, requires_grad=True)
    c = tt.ones(2, requires_grad=True)
    b = watched(a)
    y = (b * watched(c)).sum()
    grad(y, b, retain_graph=True)
    assert calls == []
    grad(y, a, retain_graph=True)
    assert len(calls) == 1
    y.backward(inputs=[b], retain_graph=True)
    assert len(calls) == 1
    y.backward()
    assert len(calls) == 3


# -- the arguments of backward


@gives_the_same
def test_the_gradient_given_is_the_start(lib):
    a = lib.tensor([1.0, 2.0], requires_grad=True)
    (a * a).backward(lib.tensor([3.0, -1.0]))
    b = lib.tensor(2.0, requires_grad=True)
    (b * b).backward(gradient=lib.tensor(5.0))
    c = lib.ones(1, 1, requires_grad=True)
    (c * 2).backward()
    return a.grad, b.grad, c.grad


@gives_the_same
def test_a_gradient_of_another_type_is_cast(lib):
    a = lib.tensor([1.0, 2.0], requires_grad=True)
    (a * a).backward(lib.tensor([3.0, -1.0], dtype=lib.float64))
    (b,) = lib.autograd.grad(a * a, a, lib.ones(2, dtype=lib.float64), create_graph=True)
    return a.grad, b


@refused(match="scalar")
def test_a_result_of_many_elements_needs_a_gradient(lib):
    (lib.ones(2, requires_grad=True) * 2).backward()


@refused(match="shape")
def test_a_gradient_of_another_shape_is_refused(lib):
    (lib.ones(2, requires_grad=True) * 2).backward(lib.ones(1, 2))


@refused(TypeError, match="Tensor")
def test_a_gradient_that_is_no_tensor_is_refused(lib):
    (lib.ones(2, requires_grad=True) * 2).backward(1.0)


@refused(match="does not require grad")
def test_a_tensor_outside_the_graph_has_no_backward(lib):
    lib.ones(()).backward()


@refused(match="does not require grad")
def test_what_was_made_under_no_grad_has_no_backward(lib):
    a = lib.ones(2, requires_grad=True)
    with lib.no_grad():
        y = a.sum()
    y.backward()


@gives_the_same
def test_a_leaf_itself_may_be_the_root(lib):
    a = lib.tensor(2.0, requires_grad=True)
    a.backward()
    a.backward()
    (g,) = lib.autograd.grad(a, a)
    return a.grad, g


@gives_the_same
def test_retain_graph_allows_another_pass_that_adds(lib):
    a = lib.tensor([1.0, 2.0], requires_grad=True)
    y = (a.exp() * a).sum()
    y.backward(retain_graph=True)
    once = a.grad.clone()
    y.backward(retain_graph=True)
    y.backward()
    return once, a.grad


@refused(match=r"(?s)detach.*retain_graph")
def test_a_second_pass_is_refused_and_the_advice_is_detach_first(lib):
    a = lib.ones(2, requires_grad=True)
    y = a.exp().sum()
    y.backward()
    y.backward()


@refused(match="exp")
def test_the_second_pass_may_come_by_another_way(lib):
    a = lib.ones(2, requires_grad=True)
    h = a.exp()
    h.sum().backward()
    (h * 2).sum().backward()


@refused(match="second time")
def test_a_state_carried_over_without_detach_is_refused(lib):
    w = lib.ones(2, requires_grad=True)
    h = lib.zeros(2)
    for _ in range(2):
        h = (h * w + w).tanh()
        h.sum().backward()


@gives_the_same
def test_a_state_carried_over_with_detach(lib):
    w = lib.ones(2, requires_grad=True)
    h = lib.zeros(2)
    for _ in range(3):
        h = (h.detach() * w + w).tanh()
        h.sum().backward()
    return w.grad


@gives_the_same
def test_create_graph_keeps_the_graph_by_default(lib):
    a = lib.tensor([1.0, 2.0], requires_grad=True)
    y = (a**3).sum()
    (g,) = lib.autograd.grad(y, a, create_graph=True)
    (h,) = lib.autograd.grad(g.sum(), a, create_graph=True)
    (t,) = lib.autograd.grad(h.sum(), a)
    y.backward()
    return g, h, t, a.grad, g.requires_grad, t.requires_grad


@refused(match="second time")
def test_retain_graph_false_frees_also_under_create_graph(lib):
    a = lib.ones(2, requires_grad=True)
    y = a.exp().sum()
    lib.autograd.grad(y, a, create_graph=True, retain_graph=False)
    y.backward()


@gives_the_same
def test_only_the_inputs_named_get_a_gradient(lib):
    a = lib.tensor([1.0, 2.0], requires_grad=True)
    b = lib.tensor([3.0, 4.0], requires_grad=True)
    h = a * b
    y = (h * a).sum()
    y.backward(inputs=[a], retain_graph=True)
    only_a = a.grad.clone(), b.grad
    y.backward(inputs=b, retain_graph=True)
    return *only_a, a.grad, b.grad


def test_an_inner_tensor_may_be_among_the_inputs() -> None:
    a = tt.ones(2, requires_grad=True)
    h = a * 3
    (h * h).sum().backward(inputs=[h, a])
    assert h.grad.tolist() == [6, 6]
    assert a.grad.tolist() == [18, 18]


@refused()
def test_no_inputs_at_all_are_refused(lib):
    lib.ones(2, requires_grad=True).sum().backward(inputs=[])


@gives_the_same
def test_several_roots_add_up(lib):
    a = lib.tensor([1.0, 2.0], requires_grad=True)
    y, z = (a * a).sum(), a.exp()
    lib.autograd.backward([y, z, z], [None, lib.ones(2), lib.tensor([2.0, 0.0])])
    return a.grad


@refused()
def test_as_many_gradients_as_roots(lib):
    a = lib.ones(2, requires_grad=True)
    lib.autograd.backward([a * 2, a * 3], [lib.ones(2)])


@gives_the_same
def test_backward_works_under_no_grad(lib):
    a = lib.tensor([1.0, 2.0], requires_grad=True)
    y = (a**3).sum()
    with lib.no_grad():
        y.backward(retain_graph=True)
        plain = a.grad.requires_grad
        (g,) = lib.autograd.grad(y, a, create_graph=True)
    g.sum().backward()
    return plain, g.requires_grad, a.grad


@gives_the_same
def test_backward_with_create_graph_under_no_grad_is_recorded(lib):
    a = lib.tensor([1.0, 2.0], requires_grad=True)
    y = (a**3).sum()
    with lib.no_grad():
        y.backward(create_graph=True)
    g, a.grad = a.grad, None
    return g, g.requires_grad


# -- the arguments of grad


@gives_the_same
def test_grad_leaves_every_grad_alone(lib):
    a = lib.tensor([1.0, 2.0], requires_grad=True)
    b = lib.tensor([3.0, 4.0], requires_grad=True)
    found = lib.autograd.grad((a * b).sum(), [a, b])
    return *found, a.grad, b.grad, found[0].requires_grad


@gives_the_same
def test_grad_of_several_outputs_with_their_gradients(lib):
    a = lib.tensor([1.0, 2.0], requires_grad=True)
    return lib.autograd.grad([a * a, a.sum()], [a], [lib.tensor([1.0, 10.0]), None])


@gives_the_same
def test_grad_at_an_inner_tensor_and_at_a_leaf_behind_it(lib):
    a = lib.tensor([1.0, 2.0], requires_grad=True)
    h = a * a
    k = h.exp()
    return lib.autograd.grad((k * h * a).sum(), [k, a, h, a])


@gives_the_same
def test_an_output_may_be_an_input(lib):
    a = lib.tensor(2.0, requires_grad=True)
    y = a * a
    z = y * a
    return lib.autograd.grad([y, z], [y, a])


@gives_the_same
def test_grad_at_one_of_several_outputs(lib):
    x = lib.arange(6.0).reshape(2, 3).requires_grad_()
    h = x * 2
    first, second = h.unbind(0)
    y = (first * second * second).sum()
    return lib.autograd.grad(y, [first, second, h, x])


@gives_the_same
def test_an_output_of_several_that_nothing_uses(lib):
    x = lib.arange(6.0).reshape(3, 2).requires_grad_()
    parts = x.split([1, 2])
    (parts[1] * 3).sum().backward(retain_graph=True)
    used = x.grad.clone()
    unused = lib.autograd.grad((parts[1] * 3).sum(), [parts[0], x], allow_unused=True)
    return used, unused


@refused(match="allow_unused")
def test_an_input_that_is_not_used_is_refused(lib):
    a, b = lib.ones(2, requires_grad=True), lib.ones(2, requires_grad=True)
    lib.autograd.grad(a.sum(), [a, b])


@gives_the_same
def test_an_input_that_is_not_used_may_be_none_or_zeros(lib):
    a, b = lib.ones(2, requires_grad=True), lib.ones(2, requires_grad=True)
    h = b * 2
    y = (a * 2).sum()
    first = lib.autograd.grad(y, [a, b, h], allow_unused=True, retain_graph=True)
    return first, lib.autograd.grad(y, [a, b, h], materialize_grads=True)


@refused(ValueError)
def test_zeros_for_the_unused_and_refusing_them_contradict(lib):
    a = lib.ones(2, requires_grad=True)
    lib.autograd.grad(a.sum(), a, allow_unused=False, materialize_grads=True)


@refused(match="require")
def test_an_input_outside_the_graph_is_refused(lib):
    a = lib.ones(2, requires_grad=True)
    lib.autograd.grad(a.sum(), lib.ones(2), allow_unused=True)


@gives_the_same
def test_grad_at_a_view(lib):
    x = lib.arange(6.0).reshape(2, 3).requires_grad_()
    row = x[1]
    y = (row * row).sum() + (x * x).sum()
    return lib.autograd.grad(y, [row, x])


# -- accumulation, and who owns a .grad


@gives_the_same
def test_gradients_of_later_passes_add(lib):
    a = lib.tensor([1.0, 2.0], requires_grad=True)
    for k in range(3):
        (a * k).sum().backward()
    held = a.grad
    (a * 10).sum().backward()
    return a.grad, held is a.grad


def test_a_held_gradient_is_not_overwritten_by_a_later_step() -> None:
    a = tt.ones(3, requires_grad=True)
    (a * 2).sum().backward()
    held = a.grad
    a.grad = None
    (a * 5).sum().backward()
    assert held.tolist() == [2, 2, 2]
    assert a.grad.tolist() == [5, 5, 5]


@pytest.mark.parametrize("create_graph", [False, True])
def test_no_two_gradients_share_memory(create_graph: bool) -> None:
    a, b, c = (tt.ones(3, requires_grad=True) for _ in range(3))
    start = tt.ones(3)
    h = a + b
    h.retain_grad()
    (h + c.reshape(3)).backward(start, create_graph=create_graph)
    arrays = [t.detach().numpy() for t in (a.grad, b.grad, c.grad, h.grad, start, a, b, c)]
    for i, first in enumerate(arrays):
        for second in arrays[:i]:
            assert not np.shares_memory(first, second)
    for leaf in (a, b, c):
        leaf.grad = None


def test_results_of_a_plain_grad_share_no_memory() -> None:
    a, b = tt.ones(3, requires_grad=True), tt.ones(3, requires_grad=True)
    start = tt.ones(3)
    first, second = grad(a + b, [a, b], start)
    first.mul_(7)
    assert second.tolist() == start.tolist() == [1, 1, 1]


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_gradient_of_stride_zero_becomes_memory_of_its_own(create_graph: bool) -> None:
    a = tt.ones(3, 4, requires_grad=True)
    a.sum().backward(create_graph=create_graph)
    assert a.grad.stride() == (4, 1)
    with tt.no_grad():
        a.grad[0, 0] = 5
    assert a.grad.sum().item() == 16


@gives_the_same
def test_a_gradient_given_is_not_changed_by_what_is_added_to_it(lib):
    a = lib.ones(3, requires_grad=True)
    g = lib.ones(3)
    (a * 1).backward(g)
    (a * 1).backward(g)
    (a + a).backward(g)
    return g, a.grad


@gives_the_same
def test_sums_of_borrowed_gradients_do_not_leak_into_each_other(lib):
    a, b = lib.ones(3, requires_grad=True), lib.ones(3, requires_grad=True)
    y = a + b
    (y + y + a + (a + b) + y).sum().backward()
    return a.grad, b.grad


@gives_the_same
def test_whole_and_indexed_gradients_mix_in_any_order(lib):
    x = lib.arange(12.0).reshape(3, 4).requires_grad_()
    h = x * 1
    twice = lib.tensor([0, 2, 0])
    parts = [h[0], h.sum(), h[twice], h * h, h[1, 2], h[:, 1:], h[h > 5], h]
    total = 0
    for k, part in enumerate(parts + parts[::-1]):
        total = total + (part * (k + 1)).sum()
    total.backward()
    return x.grad


@gives_the_same
def test_create_graph_sums_into_the_graph(lib):
    a = lib.tensor([1.0, 2.0], requires_grad=True)
    (a**3).sum().backward(create_graph=True)
    (a**2).sum().backward(create_graph=True)
    g, a.grad = a.grad, None
    g.sum().backward()
    found = g, a.grad, g.requires_grad
    a.grad = None
    return found


def test_the_gradient_has_the_type_and_shape_of_its_tensor() -> None:
    for dtype in (tt.float16, tt.float32, tt.float64):
        a = tt.ones(2, 3, dtype=dtype, requires_grad=True)
        (a.t() * 2).sum().backward()
        assert a.grad.dtype is dtype
        assert a.grad.shape == a.shape
        assert not a.grad.requires_grad


@refused()
def test_a_grad_of_another_shape_can_not_be_assigned(lib):
    lib.ones(2, requires_grad=True).grad = lib.ones(3)


@refused()
def test_a_grad_of_another_type_can_not_be_assigned(lib):
    lib.ones(2, requires_grad=True).grad = lib.ones(2, dtype=lib.float64)


@refused(TypeError)
def test_a_grad_is_a_tensor(lib):
    lib.ones(2, requires_grad=True).grad = 1.0


@gives_the_same
def test_an_assigned_grad_is_added_to(lib):
    a = lib.ones(2, requires_grad=True)
    a.grad = lib.tensor([1.0, 2.0])
    a.sum().backward()
    return a.grad


# -- retain_grad


@gives_the_same
def test_retain_grad_keeps_the_gradient_of_an_inner_tensor(lib):
    a = lib.tensor([1.0, 2.0], requires_grad=True)
    h, k = a * a, a.exp()
    h.retain_grad()
    h.retain_grad()
    (h * k).sum().backward()
    return h.grad, k.is_leaf, a.grad


@gives_the_same
def test_a_retained_gradient_adds_over_passes(lib):
    a = lib.tensor([1.0, 2.0], requires_grad=True)
    h = a * a
    h.retain_grad()
    y = (h * 3).sum()
    y.backward(retain_graph=True)
    y.backward()
    return h.grad, a.grad


@gives_the_same
def test_retain_grad_of_one_of_several_outputs(lib):
    x = lib.arange(6.0).reshape(2, 3).requires_grad_()
    first, second = x.unbind()
    second.retain_grad()
    (first * second).sum().backward()
    return second.grad, x.grad


@gives_the_same
def test_retain_grad_of_a_leaf_changes_nothing(lib):
    a = lib.ones(2, requires_grad=True)
    a.retain_grad()
    a.sum().backward()
    return a.grad


@refused()
def test_retain_grad_of_a_tensor_without_gradient_is_refused(lib):
    lib.ones(2).retain_grad()


@gives_the_same
def test_a_retained_gradient_is_that_of_the_present_value(lib):
    a = lib.ones(2, requires_grad=True)
    h = a * 2
    h.retain_grad()
    h.mul_(3)
    (h * h).sum().backward()
    return h.grad, a.grad


@gives_the_same
def test_retain_grad_under_create_graph(lib):
    a = lib.tensor([1.0, 2.0], requires_grad=True)
    h = a * a
    h.retain_grad()
    (h**2).sum().backward(create_graph=True)
    (g,) = lib.autograd.grad(h.grad.sum(), a)
    a.grad = None
    return g


def test_retain_grad_does_not_keep_the_tensor() -> None:
    a = tt.ones(2, requires_grad=True)
    h = a * 2
    h.retain_grad()
    y = h.sum()
    gone = weakref.ref(h)
    del h
    assert gone() is None
    y.backward()
    assert a.grad.tolist() == [2, 2]


# -- leaves and flags


@gives_the_same
def test_what_is_a_leaf(lib):
    a = lib.ones(2, requires_grad=True)
    b = a * 2
    with lib.no_grad():
        c = a * 2
    d = b.detach()
    plain = lib.ones(2) * 2
    flags = [(t.is_leaf, t.requires_grad, t.grad_fn is None) for t in (a, b, c, d, plain)]
    return flags, d.requires_grad_().requires_grad, d.is_leaf, c.requires_grad_(True) is c


@gives_the_same
def test_a_leaf_may_stop_wanting_a_gradient(lib):
    a, b = lib.ones(2, requires_grad=True), lib.ones(2, requires_grad=True)
    a.requires_grad = False
    (a * b).sum().backward()
    a.requires_grad_(True)
    (a * b * 3).sum().backward()
    return a.grad, b.grad


@refused(match="leaf")
def test_an_inner_tensor_can_not_stop_wanting_one(lib):
    (lib.ones(2, requires_grad=True) * 2).requires_grad_(False)


@gives_the_same
def test_a_constant_gets_nothing(lib):
    a, c = lib.ones(2, requires_grad=True), lib.ones(2)
    (a * c + c).sum().backward()
    return c.grad, a.grad


@gives_the_same
def test_integer_outputs_carry_no_gradient(lib):
    x = lib.tensor([[1.0, 5.0], [7.0, 2.0]], requires_grad=True)
    values, indices = x.max(1)
    values.sum().backward()
    flags = [t.requires_grad for t in (indices, x > 2, x.long(), x.argmax(), x == x, x.bool())]
    return values, indices, x.grad, flags


def test_the_graph_can_be_walked_by_hand() -> None:
    x, c = tt.ones(2, requires_grad=True), tt.ones(2)
    y = (x * 2 + c).exp()
    (add, place), *rest = y.grad_fn.next_functions
    assert rest == []
    assert place == 0
    (mul, _), constant = add.next_functions
    assert constant[0] is None
    ((leaf, _), *_) = mul.next_functions
    assert leaf.variable is x
    names = [node.name() for node in (y.grad_fn, add, mul)]
    assert names == ["ExpBackward0", "AddBackward0", "MulBackward0"]
    _, second = x.unbind()
    assert second.grad_fn.next_functions[0][0].variable is x


# -- what is kept, and freed


def test_only_what_a_rule_names_is_kept() -> None:
    x = tt.ones(5, requires_grad=True)
    a = x * 2
    kept_by_nothing = memory(a)
    b = a + 1
    kept_by_itself = memory(b)
    c = b.exp()
    del a, b
    assert kept_by_nothing() is None
    assert kept_by_itself() is None
    kept_as_output = memory(c)
    d = c * c
    del c
    assert kept_as_output() is not None
    d.sum().backward()
    assert x.grad is not None


def test_what_was_kept_goes_after_the_pass_also_while_the_result_is_held() -> None:
    x = tt.ones(5, requires_grad=True)
    h = x.exp()
    kept = memory(h)
    y = (h * h).sum()
    del h
    y.backward(retain_graph=True)
    assert kept() is not None
    y.backward()
    assert kept() is None
    assert y.grad_fn is not None


def test_a_pass_that_fails_leaves_the_engine_as_it_was(private_primitives: None) -> None:
    @primitive(lambda g: 1 / 0)
    def broken(x: Any) -> Any:
        return x + 1

    a = tt.ones(2, requires_grad=True)
    for create_graph in (False, True):
        with pytest.raises(ZeroDivisionError):
            broken(a).sum().backward(create_graph=create_graph)
        assert tt.is_grad_enabled()
        with pytest.raises(TypeError):
            tt.exp(1.0)  # a rule might have said this
        (a * 2).sum().backward()
    assert a.grad.tolist() == [4, 4]


def test_a_rule_that_gives_too_small_a_gradient_is_named(private_primitives: None) -> None:
    @primitive(lambda g: g[0])
    def shrinking(x: Any) -> Any:
        return x + 1

    with pytest.raises(RuntimeError, match="shrinking"):
        shrinking(tt.ones(2, requires_grad=True)).sum().backward()


def test_a_rule_may_name_only_what_there_is(private_primitives: None) -> None:
    with pytest.raises(TypeError, match="wrong_name"):

        @primitive(lambda g, wrong_name: g)
        def misnamed(x: Any) -> Any:
            return x


def test_a_primitive_is_declared_once(private_primitives: None) -> None:
    for attempt in range(2):
        try:

            @primitive(lambda g: g)
            def unique(x: Any) -> Any:
                return x

        except ValueError as error:
            assert attempt == 1
            assert "unique" in str(error)
            return
    pytest.fail("the second declaration went through")


def test_an_error_in_a_forward_has_the_name_of_the_operation_and_the_shapes() -> None:
    with pytest.raises(RuntimeError, match=r"matmul.*\(2, 3\).*\(2, 3\)"):
        tt.ones(2, 3) @ tt.ones(2, 3)
    with pytest.raises(RuntimeError, match=r"add.*\(2,\).*\(3,\)"):
        tt.ones(2) + tt.ones(3)


# -- primitives with several outputs, or with a list


@pytest.fixture
def exp_and_more(private_primitives: None) -> Any:
    """x -> (e^x, x + 1, whole part): the rule keeps the outputs; the last carries no gradient."""

    def rule(g: Any, y: Any) -> Any:
        first = 0.0 if g[0] is None else g[0] * y[0]
        return first if g[1] is None else first + g[1]

    @primitive(rule)
    def exp_and_more(x: Any) -> Any:
        return np.exp(x), x + 1, np.floor(x).astype(np.int64)

    return exp_and_more


@pytest.fixture
def product_of_two(private_primitives: None) -> Any:
    """[a, b] -> a b: one rule for the list, which keeps its members."""

    @primitive(lambda g, pair: [g * pair[1], g * pair[0]], listed=True)
    def product_of_two(pair: Any) -> Any:
        return pair[0] * pair[1]

    return product_of_two


def test_several_outputs_of_which_some_are_used(exp_and_more: Any) -> None:
    for used in ([0], [1], [0, 1]):
        x = tt.tensor([0.5, -0.3], dtype=tt.float64, requires_grad=True)
        outputs = exp_and_more(x)
        assert [y.requires_grad for y in outputs] == [True, True, False]
        assert outputs[2].tolist() == [0, -1]
        (g,) = grad(sum((outputs[i] ** 2).sum() for i in used), x, create_graph=True)
        (h,) = grad(g.sum(), x)
        e = np.exp(x.detach().numpy())
        y = [2 * e * e, 2 * (x.detach().numpy() + 1)]
        np.testing.assert_allclose(g.detach().numpy(), sum(y[i] for i in used))
        np.testing.assert_allclose(h.numpy(), sum([2 * y[0], 2.0][i] for i in used))


def test_one_of_several_outputs_changed_is_refused_if_it_was_kept(exp_and_more: Any) -> None:
    x = tt.tensor([0.5, -0.3], requires_grad=True)
    y = exp_and_more(x)[0]
    y.mul_(2)
    with pytest.raises(RuntimeError, match="exp_and_more"):
        y.sum().backward()
    y = exp_and_more(x)[0]
    (g,) = grad(y.sum(), x, create_graph=True)
    y.detach().mul_(2)
    with pytest.raises(RuntimeError, match="inplace"):
        g.sum().backward()


def test_members_of_a_list_changed_are_refused_if_they_were_kept(product_of_two: Any) -> None:
    a, b = tt.ones(2, requires_grad=True), tt.ones(2, requires_grad=True)
    h = b * 2
    y = product_of_two([a, h])
    (g,) = grad(y.sum(), b, create_graph=True)
    assert g.tolist() == [2, 2]
    assert grad((g * g).sum(), a, retain_graph=True)[0].tolist() == [8, 8]
    start = tt.ones(2, requires_grad=True)
    (g,) = grad(y, a, start, create_graph=True)
    h.mul_(5)
    with pytest.raises(RuntimeError, match="inplace"):
        g.sum().backward()
    y = product_of_two([a, h])
    h.mul_(5)
    with pytest.raises(RuntimeError, match="product_of_two"):
        y.sum().backward()


# -- second order


@gives_the_same
def test_a_gradient_penalty(lib):
    w = lib.tensor([[0.1, -0.4], [0.8, 0.3]], dtype=lib.float64, requires_grad=True)
    x = lib.tensor([[1.0, 2.0]], dtype=lib.float64, requires_grad=True)
    y = (x @ w).tanh().sum()
    (g,) = lib.autograd.grad(y, x, create_graph=True)
    ((g**2).sum() + y).backward()
    return x.grad, w.grad


@gives_the_same
def test_a_hessian_times_a_vector(lib):
    x = lib.tensor([0.3, -0.5, 1.2], dtype=lib.float64, requires_grad=True)
    y = (x.exp() * x.sin()).sum() * (x[0] * x[1] * x[2])
    (g,) = lib.autograd.grad(y, x, create_graph=True)
    (hv,) = lib.autograd.grad(g, x, lib.tensor([1.0, -2.0, 0.5], dtype=lib.float64))
    return g, hv


@gives_the_same
def test_fourth_derivative(lib):
    x = lib.tensor([0.3, -0.5], dtype=lib.float64, requires_grad=True)
    y = (x.tanh() * x**2).sum()
    found = []
    for _ in range(4):
        (g,) = lib.autograd.grad(y, x, create_graph=True)
        found.append(g)
        y = g.sum()
    return found


@gives_the_same
def test_second_order_through_an_index_and_through_several_outputs(lib):
    x = lib.arange(6.0, dtype=lib.float64).reshape(3, 2).requires_grad_()
    a, b, c = x.unbind()
    y = (a * b * x[lib.tensor([0, 2, 0])].sum(0) * c[0]).sum() + (x[1:] ** 3).sum()
    (g,) = lib.autograd.grad(y, x, create_graph=True)
    (g**2).sum().backward()
    return g, x.grad


@refused(match=r"pow.*\(3,\)")
def test_a_value_changed_after_the_first_order_is_refused_at_the_second(lib):
    x = lib.ones(3, requires_grad=True)
    h = x * 2
    (g,) = lib.autograd.grad((h**3).sum(), x, create_graph=True)
    h.mul_(5)
    g.sum().backward()


@refused()
def test_an_output_changed_after_the_first_order_is_refused_at_the_second(lib):
    x = lib.ones(3, requires_grad=True)
    h = x.exp()
    (g,) = lib.autograd.grad(h.sum(), x, create_graph=True)
    h.detach().mul_(5)
    g.sum().backward()


@refused(match="mul")
def test_a_constant_changed_after_the_first_order_is_refused_at_the_second(lib):
    x, v, w = lib.ones(3, requires_grad=True), lib.ones(3, requires_grad=True), lib.ones(3)
    (g,) = lib.autograd.grad(x * w, x, v, create_graph=True)
    w.mul_(5)
    g.sum().backward()


# -- kernels: one node with a hand-written backward


def _product_forward(a: Any, b: Any, scale: float = 1.0) -> Any:
    y = scale * a * b
    return (y, np.tanh(y)), (np.tanh(y),)


def _product_backward(g: Any, saved: Any, arrays: Any, needs: Any, scale: float = 1.0) -> Any:
    a, b = arrays
    (t,) = saved
    total = 0
    if g[0] is not None:
        total = total + g[0]
    if g[1] is not None:
        total = total + g[1] * (1 - t * t)
    return (scale * total * b if needs[0] else None, scale * total * a if needs[1] else None)


def _product_reference(a: Any, b: Any, scale: float = 1.0) -> Any:
    y = scale * a * b
    return y, tt.tanh(y)


declare = kernel(
    backward=_product_backward, reference=_product_reference, outputs=("product", "squashed")
)
scaled_product = declare(_product_forward)


def by_hand(a: Any, b: Any, scale: float = 1.0) -> Any:
    return _product_reference(a, b, scale)


@pytest.fixture
def pair() -> tuple[Any, Any]:
    """Two leaves in float64."""
    a = tt.tensor([0.3, -0.8, 1.1], dtype=tt.float64, requires_grad=True)
    b = tt.tensor([0.9, 0.2, -0.5], dtype=tt.float64, requires_grad=True)
    return a, b


PROGRAMS = {
    "plain": lambda f, a, b: sum(y.sum() for y in f(a, b, scale=2.0)),
    "first output": lambda f, a, b: f(a, b)[0].exp().sum(),
    "second output": lambda f, a, b: f(a, b)[1].sum(),
    "stride 0": lambda f, a, b: f(a, b)[1].expand(2, 3).sum(),
    "twice": lambda f, a, b: (f(a, b)[1] * f(b, a, scale=3.0)[0]).sum(),
    "carried over": lambda f, a, b: f(f(a, b)[0], f(a, b)[1])[1].sum(),
    "tied": lambda f, a, b: (f(a, a)[1] * b).sum(),
    "an input depends on another": lambda f, a, b: f((a * b).sin(), a)[1].sum(),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_kernel_has_the_gradients_of_its_reference(name: str, pair: tuple[Any, Any]) -> None:
    a, b = pair
    expected = grad(PROGRAMS[name](by_hand, a, b), [a, b], allow_unused=True)
    plain_found = grad(PROGRAMS[name](scaled_product, a, b), [a, b], allow_unused=True)
    recorded = grad(
        PROGRAMS[name](scaled_product, a, b), [a, b], create_graph=True, allow_unused=True
    )
    for e, p, r in zip(expected, plain_found, recorded, strict=True):
        np.testing.assert_allclose(p.numpy(), e.numpy(), rtol=1e-12)
        np.testing.assert_allclose(r.detach().numpy(), e.numpy(), rtol=1e-12)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_kernel_has_the_second_derivatives_of_its_reference(
    name: str, pair: tuple[Any, Any]
) -> None:
    a, b = pair
    results = []
    for f in (by_hand, scaled_product):
        first = grad(PROGRAMS[name](f, a, b), [a, b], create_graph=True)
        total = (first[0] ** 2).sum() + (first[1] * a).sum()
        results.append(grad(total, [a, b]))
    for e, found in zip(*results, strict=True):
        np.testing.assert_allclose(found.numpy(), e.numpy(), rtol=1e-12)


def test_retain_graph_twice_over_a_kernel(pair: tuple[Any, Any]) -> None:
    a, b = pair
    y = scaled_product(a, b)[1].sum()
    y.backward(retain_graph=True)
    once = a.grad.numpy().copy()
    y.backward(retain_graph=True)
    y.backward()
    np.testing.assert_array_equal(a.grad.numpy(), 3 * once)
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("place", [0, 1])
def test_writing_into_an_output_of_a_kernel(
    place: int, create_graph: bool, pair: tuple[Any, Any]
) -> None:
    a, b = pair
    expected = grad((by_hand(a, b)[place] ** 2 * 4 * b).sum(), [a, b])
    y = scaled_product(a, b)[place]
    y.mul_(2)
    found = grad((y * y * b).sum(), [a, b], create_graph=create_graph)
    for e, g in zip(expected, found, strict=True):
        np.testing.assert_allclose(g.detach().numpy(), e.numpy(), rtol=1e-12)


def test_writing_through_a_view_of_an_output_of_a_kernel(pair: tuple[Any, Any]) -> None:
    a, b = pair
    results = []
    for y in (by_hand(a, b)[1].clone(), scaled_product(a, b)[1]):
        y[1:].mul_(b[0])
        y[0] = a[1] * 3
        results.append(grad((y * y).sum(), [a, b]))
    for e, g in zip(*results, strict=True):
        np.testing.assert_allclose(g.numpy(), e.numpy(), rtol=1e-12)


def test_writing_into_an_input_of_a_kernel_is_seen(pair: tuple[Any, Any]) -> None:
    a, b = pair
    h = a * 1
    y = scaled_product(h, b)[0]
    h.mul_(2)
    with pytest.raises(RuntimeError, match="_product_forward"):
        y.sum().backward()


def test_an_unrolled_kernel_is_its_reference(pair: tuple[Any, Any]) -> None:
    a, b = pair
    with tt.unrolled():
        y = scaled_product(a, b)[1]
    assert y.grad_fn.name() == "TanhBackward0"
    y.sum().backward()
    (e,) = grad(scaled_product(a, b)[1].sum(), [a])
    np.testing.assert_allclose(a.grad.numpy(), e.numpy(), rtol=1e-12)


def test_a_kernel_without_a_wish_for_gradients_records_nothing(pair: tuple[Any, Any]) -> None:
    a, b = pair
    with tt.no_grad():
        assert scaled_product(a, b)[0].grad_fn is None
    assert scaled_product(a.detach(), b.detach())[0].grad_fn is None
    y = scaled_product(a, b.detach())[0]
    y.sum().backward()
    assert b.grad is None


# -- what an error says


def test_a_changed_value_is_named_by_its_own_shape() -> None:
    a = tt.rand(1, 3, requires_grad=True)
    b = tt.rand(5, 3, requires_grad=True) * 1
    y = a * b
    b.add_(1)
    with pytest.raises(RuntimeError, match=r"mul needs for its gradient .*, of shape \(5, 3\)"):
        y.sum().backward()


def test_a_changed_input_of_a_kernel_is_named_by_its_own_shape() -> None:
    lstm = tt.nn.LSTM(3, 4)
    y = lstm(tt.rand(5, 2, 3))[0].sum()
    with tt.no_grad():
        lstm.weight_hh_l0.mul_(2)
    with pytest.raises(RuntimeError, match=r"lstm in LSTM needs .* of shape \(16, 4\)"):
        y.backward()


def test_data_of_a_leaf_that_requires_grad_stays_floating() -> None:
    x = tt.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="floating-point"):
        x.data = tt.tensor([1, 2])
    x.data = tt.zeros(3)
    assert x.shape == (3,)


def test_a_grad_of_another_shape_is_refused_with_a_cure() -> None:
    x = tt.ones(2, requires_grad=True)
    (x * 2).sum().backward()
    x.data = tt.zeros(3)
    with pytest.raises(RuntimeError, match=r"of shape \(3,\).*got shape \(2,\).*Set .grad to None"):
        (x * 2).sum().backward()
    x.grad = None
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2, 2, 2]


# -- arguments that make no sense


@refused(RuntimeError, "expected inputs to name at least one tensor")
def test_grad_of_no_inputs(lib):
    lib.autograd.grad(lib.ones(2, requires_grad=True).sum(), [])


@refused(RuntimeError, "expected inputs to be Tensors, got str")
def test_grad_of_an_input_that_is_no_tensor(lib):
    lib.autograd.grad(lib.ones(2, requires_grad=True).sum(), "x")


@refused((AssertionError, TypeError), "expected Tensors to differentiate, got float")
def test_backward_of_what_is_no_tensor(lib):
    lib.autograd.backward([1.0])


@refused(RuntimeError, "expected another tensor")
def test_a_tensor_as_its_own_gradient(lib):
    x = lib.ones(2, requires_grad=True)
    x.grad = x


@refused(RuntimeError, "requires_grad flags of leaf variables")
def test_the_flag_of_a_result_is_not_set(lib):
    y = lib.ones(2, requires_grad=True) * 2
    y.requires_grad = True


@gives_the_same
def test_the_arguments_of_grad_stand_where_torch_has_them(lib):
    x = lib.ones(2, requires_grad=True)
    w = lib.ones(2, requires_grad=True)
    return lib.autograd.grad((x * 2).sum(), [x, w], None, True, False, True, True)[0]


@gives_the_same
def test_a_result_says_whether_it_retains_its_gradient(lib):
    x = lib.ones(2, requires_grad=True)
    y = x * 2
    before = y.retains_grad, x.retains_grad
    y.retain_grad()
    x.retain_grad()
    return [*before, y.retains_grad, x.retains_grad]


def test_batched_gradients_are_refused() -> None:
    x = tt.ones(2, requires_grad=True)
    with pytest.raises(NotImplementedError, match="is_grads_batched"):
        grad(x * 2, x, tt.ones(3, 2), is_grads_batched=True)
