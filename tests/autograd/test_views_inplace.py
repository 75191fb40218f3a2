"""Views, writes, detach and versions: right or refused, as in torch."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinytensor as tt
from tests.autograd.side_by_side import gives_the_same, refused, torch

# -- writing in place


@gives_the_same
def test_every_method_that_writes(lib):
    found = []
    writes = (
        lambda y, z: y.add_(z),
        lambda y, z: y.sub_(z),
        lambda y, z: y.mul_(z),
        lambda y, z: y.div_(z),
        lambda y, z: y.pow_(2),
        lambda y, z: y.neg_(),
        lambda y, z: y.abs_(),
        lambda y, z: y.square_(),
        lambda y, z: y.sqrt_(),
        lambda y, z: y.exp_(),
        lambda y, z: y.log_(),
        lambda y, z: y.tanh_(),
        lambda y, z: y.sigmoid_(),
        lambda y, z: y.relu_(),
        lambda y, z: y.clamp_(0.6, 0.9),
        lambda y, z: y.clamp_(min=0.6),
        lambda y, z: y.masked_fill_(y > 0.8, 0.1),
        lambda y, z: y.scatter_add_(0, lib.tensor([0, 0, 2]), z),
        lambda y, z: y.copy_(z),
        lambda y, z: y.fill_(0.3),
        lambda y, z: y.fill_(z[0]),
        lambda y, z: y.zero_(),
        lambda y, z: y.__iadd__(z),
        lambda y, z: y.__isub__(z),
        lambda y, z: y.__imul__(z),
        lambda y, z: y.__itruediv__(z),
        lambda y, z: y.__ipow__(3),
    )
    for write in writes:
        x = lib.tensor([0.5, 0.8, 1.1], dtype=lib.float64, requires_grad=True)
        z = lib.tensor([1.5, 0.7, 0.9], dtype=lib.float64, requires_grad=True)
        y = x * 1
        before = y
        result = write(y, z)
        assert result is y
        (y * y * z).sum().backward()
        found.append((before, x.grad, z.grad, y.is_leaf))
    return found


@gives_the_same
def test_operators_write_into_the_tensor_itself(lib):
    x = lib.tensor([2.0, 3.0])
    y = x
    y += 1
    y *= 2
    y -= 3
    y /= 4
    y **= 2
    return x, x is y


@gives_the_same
def test_a_write_makes_a_plain_tensor_part_of_the_graph(lib):
    x = lib.ones(3)
    w = lib.tensor([1.0, 2.0, 3.0], requires_grad=True)
    x.mul_(w)
    x[1:] += w[:2]
    x.sum().backward()
    return x, w.grad, x.requires_grad, x.is_leaf


@gives_the_same
def test_a_value_and_its_product_with_itself(lib):
    x = lib.tensor([1.0, 2.0], requires_grad=True)
    y = x * 1
    y.add_(y)
    y.sub_(y * 0.5)
    y.sum().backward()
    return x.grad


@refused(match="mul")
def test_a_factor_that_is_overwritten_by_its_own_product(lib):
    x = lib.tensor([1.0, 2.0], requires_grad=True)
    y = x * 1
    y.mul_(y)
    y.sum().backward()


@refused(match="tanh")
def test_a_result_kept_by_a_write_and_written_over(lib):
    y = lib.tensor([1.0, 2.0], requires_grad=True) * 1
    y.tanh_()
    y.add_(1)
    y.sum().backward()


@gives_the_same
def test_writes_in_a_row_each_with_its_own_history(lib):
    x = lib.tensor([0.5, 0.8], dtype=lib.float64, requires_grad=True)
    y = x * 1
    for k in range(5):
        y.mul_(x)
        y.add_(k)
        y.neg_()
    y.tanh_()
    y.sum().backward()
    return y, x.grad


@gives_the_same
def test_a_copy_casts_and_broadcasts(lib):
    x = lib.zeros(2, 3)
    source = lib.tensor([1.5, 2.5, 3.5], dtype=lib.float64, requires_grad=True)
    x.copy_(source)
    whole = lib.zeros(3, dtype=lib.int64)
    whole.copy_(lib.tensor([1.7, -1.7, 2.0]))
    (x * x).sum().backward()
    return x, source.grad, whole


@gives_the_same
def test_a_number_is_copied_as_well(lib):
    return lib.zeros(2).copy_(lib.tensor(3.0)), lib.zeros(2, dtype=lib.int64).fill_(2.9)


@gives_the_same
def test_a_write_keeps_the_type_of_its_tensor(lib):
    x = lib.tensor([1.0, 2.0], requires_grad=True)
    w = lib.tensor([3.0, 0.5], dtype=lib.float64, requires_grad=True)
    y = x * 1
    y.mul_(w)
    y.add_(w[0])
    y.sum().backward()
    small = lib.tensor([1, 2], dtype=lib.int8)
    small.add_(lib.tensor([300, 1]))
    small *= 2
    whole = lib.tensor([1, 2])
    whole.mul_(lib.tensor([True, False]))
    return y, x.grad, w.grad, small, whole


@refused(match="leaf")
def test_a_leaf_that_wants_a_gradient_is_not_written_to(lib):
    lib.ones(3, requires_grad=True).mul_(2)


@refused(match="leaf")
def test_nor_by_an_assignment(lib):
    x = lib.ones(3, requires_grad=True)
    x[0] = 2


@refused(match="leaf")
def test_nor_through_a_view(lib):
    lib.ones(3, requires_grad=True)[1:].mul_(2)


@refused(match="leaf")
def test_nor_by_a_mask(lib):
    x = lib.ones(3, requires_grad=True)
    x[x > 0] = 2


@gives_the_same
def test_under_no_grad_a_leaf_may_be_written_to(lib):
    x = lib.ones(2, 3, requires_grad=True)
    with lib.no_grad():
        x.mul_(2)
        x[0] = 3.0
        x[x > 2] = 4.0
        x[:, 1].add_(1)
        x.copy_(x + 1)
    (x * x).sum().backward()
    return x, x.grad, x.is_leaf, x.requires_grad


@gives_the_same
def test_a_step_of_gradient_descent_in_place(lib):
    w = lib.tensor([1.0, 2.0], requires_grad=True)
    for _ in range(3):
        loss = (w * w).sum()
        loss.backward()
        with lib.no_grad():
            w -= 0.1 * w.grad
        w.grad.zero_()
    return w, w.grad, w.is_leaf


@refused(match="shape")
def test_a_write_can_not_grow_its_tensor(lib):
    lib.ones(2).add_(lib.ones(3, 2))


@refused()
def test_a_copy_that_does_not_fit(lib):
    lib.ones(2).copy_(lib.ones(3))


@refused()
def test_a_copy_of_more_dimensions(lib):
    lib.tensor(0.0).copy_(lib.ones(1))


@refused(match="int64")
def test_an_integer_tensor_does_not_take_fractions(lib):
    lib.tensor([1, 2]).add_(1.5)


@refused(match="bool")
def test_a_bool_tensor_does_not_take_integers(lib):
    lib.tensor([True]).add_(2)


@refused()
def test_fill_wants_one_value(lib):
    lib.ones(2).fill_(lib.ones(2))


@refused()
def test_expanded_memory_is_not_written_to_element_by_element(lib):
    lib.ones(3).expand(2, 3).mul_(2)


# -- assigning to an index


@gives_the_same
def test_every_kind_of_index_and_value(lib):
    found = []
    rows = lib.tensor([2, 0])
    mask = lib.tensor([True, False, True])
    keys = (
        0,
        -1,
        slice(1, None),
        (slice(None), 1),
        (..., slice(None, None, 2)),
        (1, 2),
        None,
        ...,
        rows,
        mask,
        (rows, lib.tensor([1, 3])),
        (rows, slice(1, 3)),
        (slice(None), rows),
        (1, rows),
        (mask, 1),
        lib.arange(12).reshape(3, 4) > 5,
        lib.tensor(1),
        [0, 2],
        slice(3, None),
        True,
        np.int64(1),
        (np.int64(1), lib.tensor([0, 2])),
        np.array([0, 2]),
        (),
    )
    for key in keys:
        for kind in ("number", "tensor", "one", "whole"):
            x = (lib.arange(12, dtype=lib.float64) * 0.1).reshape(3, 4).requires_grad_()
            y = x * 2
            shape = y.detach()[key].shape
            value = {
                "number": 0.7,
                "tensor": lib.tensor(0.3, dtype=lib.float64, requires_grad=True),
                "one": lib.full([1] * len(shape), 0.4, dtype=lib.float64).requires_grad_(),
                "whole": lib.full(tuple(shape), 0.5, dtype=lib.float64).requires_grad_(),
            }[kind]
            y[key] = value
            (y * y).sum().backward()
            found.append((y, x.grad, None if kind == "number" else value.grad))
    return found


PARTS = [
    0,
    -1,
    np.int64(1),
    None,
    Ellipsis,
    slice(None),
    slice(1, None),
    slice(0, 3, 2),
    slice(-1, 1),
    np.array([1, -1]),
    np.array([[0], [1], [0]]),
    np.array(1),
    np.array([True, False]),
    np.array([False, False, True, True]),
    np.array([[True, False, True], [False, True, True]]),
    [0, 1],
]


@given(st.lists(st.sampled_from(PARTS), min_size=1, max_size=4))
def test_any_index_reads_and_writes_as_in_torch(parts: list[Any]) -> None:
    if sum(part is Ellipsis for part in parts) > 1:
        return
    results = []
    for lib in (torch, tt):
        key = tuple(lib.tensor(p) if isinstance(p, np.ndarray) else p for p in parts)
        x = lib.arange(24.0, dtype=lib.float64).reshape(2, 3, 4).requires_grad_()
        try:
            y = x[key]
        except IndexError:
            results.append(None)
            continue
        (y * y).sum().backward()
        value = lib.tensor(5.0, dtype=lib.float64, requires_grad=True)
        z = x.detach() * 1
        z[key] = value
        (z * z).sum().backward()
        results.append([t.tolist() for t in (y, x.grad, z, value.grad)])
    assert results[0] == results[1]


@gives_the_same
def test_a_condition_of_python_chooses_all_or_nothing(lib):
    x, y = lib.zeros(2), lib.zeros(2)
    x[1 > 0] = 5
    y[1 < 0] = 5
    return x, y, x[True], x[False]


@gives_the_same
def test_a_value_may_have_leading_dimensions_of_size_one(lib):
    found = []
    for key in (slice(0, 2), lib.tensor([True, False, True, False]), lib.tensor([0, 3])):
        x, v = lib.zeros(4), lib.tensor([[2.0, 3.0]], requires_grad=True)
        x[key] = v
        (x * x).sum().backward()
        found.append((x, v.grad))
    return found


@gives_the_same
def test_an_assignment_takes_the_type_of_the_tensor(lib):
    x = lib.zeros(4)
    v = lib.ones(2, dtype=lib.float64, requires_grad=True)
    x[:2] = v
    x[2] = lib.tensor(2)
    whole = lib.tensor([1, 2, 3])
    whole[0] = 2.9
    whole[1:] = lib.tensor([5.5, 6.5])
    x.sum().backward()
    return x, v.grad, whole


@gives_the_same
def test_an_index_that_names_a_place_twice_with_equal_values(lib):
    x, v = lib.zeros(3), lib.tensor(2.0, requires_grad=True)
    x[lib.tensor([0, 0, 2])] = v
    x.sum().backward()
    return x, v.grad


@gives_the_same
def test_adding_to_an_index(lib):
    x = lib.arange(6.0).reshape(2, 3).requires_grad_()
    w = lib.ones(3, requires_grad=True)
    y = x * 1
    y[0] += w
    y[:, 1] *= 2
    y[lib.tensor([1])] -= w
    y[y > 4] *= 3
    (y * y).sum().backward()
    return y, x.grad, w.grad


@gives_the_same
def test_rows_shifted_within_one_tensor(lib):
    x = lib.arange(4.0).requires_grad_()
    y = x * 1
    y[1:] = y[:-1].clone()
    y[:2] = y[2:].clone() * 2
    (y * y).sum().backward()
    return y, x.grad


@refused()
def test_a_value_that_does_not_fit(lib):
    x = lib.ones(4)
    x[:2] = lib.ones(3)


@refused()
def test_a_value_that_does_not_fit_a_mask(lib):
    x = lib.ones(4)
    x[lib.tensor([True, True, False, False])] = lib.ones(3)


@refused(IndexError)
def test_an_index_out_of_range(lib):
    x = lib.ones(4)
    x[4] = 1


@refused(TypeError)
def test_none_is_no_value(lib):
    x = lib.ones(4)
    x[:2] = None


@gives_the_same
def test_collecting_outputs_in_a_tensor_step_by_step(lib):
    w = lib.tensor(0.5, dtype=lib.float64, requires_grad=True)
    out = lib.zeros(4, 2, dtype=lib.float64)
    h = lib.ones(2, dtype=lib.float64)
    for t in range(4):
        h = (h * w).tanh()
        out[t] = h
    (out * out).sum().backward()
    return out, w.grad


# -- views


@gives_the_same
def test_a_write_through_a_view_is_seen_in_the_base(lib):
    x = lib.arange(6.0).reshape(2, 3).requires_grad_()
    y = x * 2
    y[0].mul_(3)
    y.t()[1].add_(1)
    y.view(-1)[4:].zero_()
    (y * y).sum().backward()
    return y, x.grad


@gives_the_same
def test_a_write_to_the_base_is_seen_in_views_made_before(lib):
    x = lib.arange(6.0).reshape(2, 3).requires_grad_()
    y = x * 2
    row, column, flat = y[1], y[:, 0], y.reshape(-1)
    y.mul_(3)
    y[1, 0] = 0.5
    (row * row).sum().backward(retain_graph=True)
    first = x.grad.clone()
    (column.sum() + (flat * flat).sum()).backward()
    return row, column, flat, first, x.grad


@gives_the_same
def test_a_write_through_one_view_is_seen_in_another(lib):
    x = lib.arange(6.0).reshape(2, 3).requires_grad_()
    y = x * 2
    a, b = y[0], y[:, 1:]
    a.mul_(10)
    (b * b).sum().backward()
    return a, b, x.grad


@gives_the_same
def test_views_of_views(lib):
    x = lib.arange(24.0).reshape(2, 3, 4).requires_grad_()
    y = x * 1
    v = y.transpose(0, 2)[1:].unsqueeze(0).permute(0, 2, 1, 3)[..., 1].squeeze(0)
    v.mul_(y[0, 0, 0] + 2)
    v[1].add_(v[0])
    (y * y).sum().backward()
    return y, v, x.grad


@gives_the_same
def test_each_kind_of_view_can_be_written_through(lib):
    found = []
    views = (
        lambda y: y[1],
        lambda y: y[..., 1],
        lambda y: y[:, ::2],
        lambda y: y[None],
        lambda y: y[...],
        lambda y: y.reshape(-1),
        lambda y: y.view(3, 2),
        lambda y: y.flatten(),
        lambda y: y.unsqueeze(1),
        lambda y: y.unsqueeze(1).squeeze(),
        lambda y: y.t(),
        lambda y: y.T,
        lambda y: y.mT,
        lambda y: y.transpose(0, 1),
        lambda y: y.permute(1, 0),
        lambda y: y.expand(2, 3),
        lambda y: y.view_as(y),
        lambda y: y.contiguous(),
        lambda y: y.t().contiguous(),
        lambda y: y.t().reshape(-1),
        lambda y: y[lib.tensor([1])],
        lambda y: y[y > -1],
        lambda y: y.clone(),
        lambda y: y.to(lib.float32),
        lambda y: y.flip(0),
    )
    for view in views:
        x = lib.arange(6.0).reshape(2, 3).requires_grad_()
        w = lib.tensor(3.0, requires_grad=True)
        y = x * 2
        v = view(y)
        v.mul_(w)
        (y * y).sum().backward()
        found.append((y, v, x.grad, w.grad))
    return found


@gives_the_same
def test_a_base_in_another_order_of_memory(lib):
    x = lib.arange(6.0).reshape(2, 3).requires_grad_()
    y = x.t() * 2
    v = y.t().reshape(-1)
    v[1:3].mul_(5)
    v.mul_(2)
    y.t().view(-1)[0] = 7.0
    (y * y).sum().backward()
    return y, v, x.grad


@gives_the_same
def test_a_view_into_a_plain_tensor_takes_it_into_the_graph(lib):
    x = lib.zeros(3)
    v = x[1:]
    w = lib.tensor(2.0, requires_grad=True)
    v.add_(w)
    flags = x.requires_grad, v.requires_grad, x.is_leaf, v.is_leaf
    (x * x).sum().backward()
    return flags, x, w.grad


@gives_the_same
def test_second_order_after_a_write_through_a_view(lib):
    x = lib.tensor([0.5, 0.8, 1.1], dtype=lib.float64, requires_grad=True)
    w = lib.tensor([0.3, 0.6], dtype=lib.float64, requires_grad=True)
    y = x * x
    y[1:].mul_(w)
    y[0] = w[0] * w[1]
    (g, h) = lib.autograd.grad((y**3).sum(), [x, w], create_graph=True)
    ((g * g).sum() + (h * h).sum()).backward()
    return g, h, x.grad, w.grad


def test_a_stale_view_first_looked_at_under_no_grad_keeps_its_gradient() -> None:
    for look in (repr, lambda v: v.requires_grad, lambda v: v.is_leaf, lambda v: v * 2):
        x = tt.ones(2, 3, requires_grad=True)
        y = x * 1
        v = y[0]
        y.mul_(2)
        with tt.no_grad():
            look(v)
        (v * v).sum().backward()
        assert x.grad.tolist() == [[8, 8, 8], [0, 0, 0]]


def test_a_reshape_that_copies_is_no_view() -> None:
    for lib in (tt,):
        x = lib.arange(6.0).reshape(2, 3)
        y = x.t().reshape(-1)
        y.zero_()
        assert x.sum().item() == 15


# -- views of several outputs, and views made without recording


@refused(match=r"several views|multiple views")
def test_one_of_several_views_is_not_written_to(lib):
    y = lib.ones(2, 3, requires_grad=True) * 1
    y.unbind()[0].mul_(2)


@refused()
def test_nor_after_a_split(lib):
    y = lib.ones(4, requires_grad=True) * 1
    y.split(2)[1].zero_()


@refused()
def test_nor_in_a_loop_over_rows(lib):
    y = lib.ones(2, 3, requires_grad=True) * 1
    for row in y:
        row.add_(1)


@refused()
def test_nor_a_view_of_one_of_them(lib):
    y = lib.ones(2, 3, requires_grad=True) * 1
    y.chunk(2)[0][0].add_(1)


@refused()
def test_several_views_are_not_used_after_a_write_to_their_base(lib):
    y = lib.ones(2, 3, requires_grad=True) * 1
    a, b = y.unbind()
    y.mul_(2)
    (a * b).sum().backward()


@gives_the_same
def test_the_rows_of_a_plain_tensor_may_be_written_to(lib):
    x = lib.zeros(2, 3)
    for k, row in enumerate(x):
        row.add_(k + 1)
    x.split(1)[0].mul_(5)
    return x


@gives_the_same
def test_under_no_grad_several_views_may_be_written_to(lib):
    w = lib.ones(2, 3, requires_grad=True)
    with lib.no_grad():
        for part in w.chunk(2):
            part.fill_(3.0)
    (w * w).sum().backward()
    return w, w.grad


@refused(match="no_grad")
def test_a_view_made_under_no_grad_is_not_written_to_with_recording_on(lib):
    y = lib.ones(2, 3, requires_grad=True) * 1
    with lib.no_grad():
        v = y[0]
    v.mul_(2)


@refused(match="no_grad")
def test_a_view_made_under_no_grad_is_not_used_after_a_write_to_its_base(lib):
    y = lib.ones(2, 3, requires_grad=True) * 1
    with lib.no_grad():
        v = y[0]
    y.mul_(2)
    (v * lib.ones(3, requires_grad=True)).sum().backward()


@gives_the_same
def test_writes_under_no_grad_leave_the_history(lib):
    x = lib.ones(2, 3, requires_grad=True)
    y = x * 2
    v = y[0]
    with lib.no_grad():
        y.mul_(2)
        v.add_(1)
    (y * y).sum().backward()
    return y, v, x.grad


@gives_the_same
def test_a_write_brings_a_view_into_the_history_that_its_base_has_now(lib):
    x = lib.zeros(2, 3)
    v = x[0]
    v.fill_(1.0)
    x.requires_grad_()
    (v * v).sum().backward()
    return v.requires_grad, x.grad


@pytest.mark.parametrize("write", ["under no_grad", "through detach"])
def test_several_views_are_not_used_after_any_write(write: str) -> None:
    for lib in (torch, tt):
        x = lib.ones(2, 3, requires_grad=True)
        a, b = x.unbind()
        if write == "under no_grad":
            with lib.no_grad():
                a.mul_(2)
                a.add_(1)
        else:
            x.detach().mul_(2)
        for part in (a, b):
            with pytest.raises(RuntimeError, match="modified inplace"):
                part * 2


@gives_the_same
def test_the_gradient_of_a_view_written_under_no_grad_is_that_of_its_later_uses(lib):
    x = lib.ones(2, 3, requires_grad=True)
    v = (x * 2)[0]
    before = v * 5
    with lib.no_grad():
        v.add_(1)
    (g,) = lib.autograd.grad((before + v * 7).sum(), v, retain_graph=True)
    (before + v).sum().backward()
    return g, x.grad


@gives_the_same
def test_results_that_are_reshaped_inside_their_operation_are_no_views(lib):
    x = lib.ones(2, 2, requires_grad=True)
    index = lib.tensor([0])
    makes = (
        lambda: lib.kron(x, x),
        lambda: x.repeat(2, 1),
        lambda: x.tile((2,)),
        lambda: x.max(0).values,
        lambda: x.min(0).values,
        lambda: x.median(0).values,
        lambda: x.index_fill(0, index, 2.0),
    )
    found = []
    for make in makes:
        y = make()
        z = y * 3
        with lib.no_grad():
            y.add_(1)
        (g,) = lib.autograd.grad((z + y).sum(), y)
        found.append((g, y.detach_().requires_grad))
    return found


@gives_the_same
def test_nothing_is_expanded_by_new_dimensions_of_size_one(lib):
    x = lib.ones(3, requires_grad=True)
    y = x * 1
    y.expand(1, 3).mul_(2)
    y.sum().backward()
    return y, x.grad


@gives_the_same
def test_what_was_expanded_from_nothing_may_be_written_to(lib):
    w = lib.tensor(2.0, requires_grad=True)
    x = lib.ones(0, requires_grad=True) * 1
    y = x.expand(2, 0)
    y.mul_(w)
    y.sum().backward()
    return y, w.grad


@refused(match="second time")
def test_a_write_through_a_view_is_differentiated_once(lib):
    x = lib.ones(3, requires_grad=True)
    y = x + 0
    y[0] = 2.0
    y.sum().backward()
    y.sum().backward()


@gives_the_same
def test_where_nothing_was_kept_a_graph_is_differentiated_again(lib):
    x = lib.ones(3, requires_grad=True)
    z = lib.zeros(3)
    z[...] = x
    z[:] = z + 1
    y = lib.lerp(x, z, 0.3).add(x, alpha=3).sub(x, alpha=2).sum()
    y.backward()
    y.backward()
    return x.grad


@refused(match="float32|FloatTensor")
def test_a_factor_that_was_cast_for_a_product_and_changed(lib):
    x = lib.ones(3)
    w = lib.ones(3, dtype=lib.float64, requires_grad=True)
    y = x * w
    x.add_(1)
    try:
        y.sum().backward()
    except RuntimeError as error:
        raise RuntimeError(f"float32: {error}") from None


@gives_the_same
def test_a_product_of_two_types_written_into_its_factor(lib):
    x = lib.ones(3, requires_grad=True)
    w = lib.tensor([2.0, 3.0, 4.0], dtype=lib.float64, requires_grad=True)
    y = x * 5
    y.mul_(w)
    y.sum().backward()
    return y, x.grad, w.grad


@gives_the_same
def test_a_leaf_that_left_the_graph_gets_no_gradient(lib):
    x, w = lib.ones(3, requires_grad=True), lib.ones(3, requires_grad=True)
    y = x * w
    x.detach_()
    y.sum().backward()
    return x.grad is None, w.grad


@gives_the_same
def test_an_index_that_fills_a_place_twice_fills_it_once(lib):
    value = lib.tensor(2.0, requires_grad=True)
    y = lib.zeros(3, 2).index_fill(0, lib.tensor([1, 1, 0]), value)
    y.sum().backward()
    return y, value.grad


@gives_the_same
def test_a_number_that_was_spread_before_it_was_written_to(lib):
    found = []
    x = lib.tensor(2.0, requires_grad=True)
    x.register_hook(lambda g: g * 3)
    y = x * 1
    y[y > 5] = 1.0
    y.expand(4).sum().backward()
    found.append(x.grad)
    z = lib.tensor(1.0, requires_grad=True)
    z.register_hook(lambda g: g * 3)
    z.expand(2, 2).sum().backward()
    return found, z.grad


@gives_the_same
def test_the_order_in_memory_is_that_of_torch(lib):
    x = lib.arange(24, dtype=lib.float64).reshape(2, 3, 4).permute(2, 1, 0)
    results = [getattr(x, name)(1) for name in "sum mean var std amax amin prod".split()]
    results += [x.logsumexp(1), x.norm(dim=1), x.norm(1, 1), x.gather(0, (x * 0).long())]
    results += [x.unsqueeze(0).mT @ x.unsqueeze(0), x.tanh(), x * 2, x.cumsum(1)]
    return [y.stride() for y in results]


@gives_the_same
def test_hooks_of_a_view_do_not_see_what_is_written_to_it_later(lib):
    found = []
    for write in (
        lambda v: v.sigmoid_(),
        lambda v: v[1:].mul_(3),
        lambda v: v.view(-1)[0].mul_(3),
    ):
        x = lib.tensor([0.5, 0.7, 0.9], requires_grad=True)
        v = (x * 1)[1:]
        v.register_hook(lambda g: g + 100)
        write(v)
        v.sum().backward()
        found.append(x.grad)
    return found


@gives_the_same
def test_the_gradient_of_a_number_that_was_recorded_is_added_to(lib):
    x = lib.tensor(0.5, requires_grad=True)
    (x**3).backward(create_graph=True)
    for _ in range(3):
        (x**2).backward()
    return x.grad


@gives_the_same
def test_a_recorded_gradient_may_be_written_to(lib):
    x = lib.ones(3, requires_grad=True)
    (g,) = lib.autograd.grad((lib.cat([x.detach(), x]) ** 2).sum(), x, create_graph=True)
    g.mul_(5)
    g.sum().backward()
    return g, x.grad


# -- detach and data


@gives_the_same
def test_detach_shares_memory_both_ways(lib):
    x = lib.ones(3, requires_grad=True)
    y = x * 2
    d = y.detach()
    d.add_(1)
    y.mul_(3)
    return y, d, d.requires_grad, d.is_leaf


@refused(match=r"mul.*\(3,\)")
def test_a_write_into_what_was_detached_counts(lib):
    x = lib.ones(3, requires_grad=True)
    y = x * x
    x.detach().mul_(2)
    y.sum().backward()


@gives_the_same
def test_a_write_into_data_is_unseen(lib):
    x = lib.ones(3, requires_grad=True)
    y = x * x
    x.data.mul_(2)
    y.sum().backward()
    return x, x.grad, x.data.requires_grad


@gives_the_same
def test_a_write_into_shared_numpy_memory_is_unseen(lib):
    x = lib.ones(3, requires_grad=True)
    y = x * x
    x.detach().numpy()[0] = 5
    y.sum().backward()
    return x, x.grad


@gives_the_same
def test_data_may_be_replaced(lib):
    x = lib.ones(3, requires_grad=True)
    x.data = lib.tensor([4.0, 5.0, 6.0])
    (x * x).sum().backward()
    x.data -= 0.5 * x.grad
    return x, x.grad, x.is_leaf


@gives_the_same
def test_a_detached_tensor_goes_its_own_way(lib):
    x = lib.ones(3, requires_grad=True)
    d = (x * 2).detach().requires_grad_()
    (d * d).sum().backward()
    return d.grad, x.grad


@gives_the_same
def test_detach_in_place(lib):
    x = lib.ones(3, requires_grad=True)
    y = x * 2
    y.detach_()
    return y.requires_grad, y.is_leaf, (y * 3).requires_grad


@gives_the_same
def test_a_detached_view_counts_into_the_base(lib):
    x = lib.ones(4, requires_grad=True)
    y = x * 2
    y.view(2, 2)[0].detach().zero_()
    (y * y).sum().backward()
    return y, x.grad


# -- versions


@pytest.mark.parametrize(
    ("name", "make", "change"),
    [
        ("mul", lambda x, w: (x * w, w), None),
        ("mul", lambda x, w: (w * x, w), None),
        ("div", lambda x, w: (x / w, w), None),
        ("matmul", lambda x, w: (x @ w, w), None),
        ("pow", lambda x, w: (w**2 * x, w), None),
        ("exp", lambda x, w: [x.exp()] * 2, None),
        ("tanh", lambda x, w: [x.tanh()] * 2, None),
        ("sigmoid", lambda x, w: [x.sigmoid()] * 2, None),
        ("sin", lambda x, w: (w.sin() + x, w), None),
        ("softmax", lambda x, w: [(x * 1).softmax(0)] * 2, None),
        ("mul", lambda x, w: (x * w, w), lambda w: w[0].zero_()),
        ("mul", lambda x, w: (x * w, w), lambda w: w.__setitem__(w > 0, 0.5)),
        ("mul", lambda x, w: (x * w, w), lambda w: w.detach().add_(1)),
        ("mul", lambda x, w: (x * w[:], w), lambda w: w.view(-1).add_(1)),
        ("mul", lambda x, w: (x * w, w), lambda w: w.copy_(w + 1)),
    ],
)
@pytest.mark.parametrize("create_graph", [False, True])
def test_a_changed_value_is_an_error_that_names_operation_and_shape(
    name: str, make: Any, change: Any, create_graph: bool
) -> None:
    x = tt.tensor([0.5, 0.7, 0.9], requires_grad=True)
    w = tt.tensor([1.5, 1.7, 1.9], requires_grad=True) * 1
    y, changed = make(x, w)
    if change is None:
        changed.add_(1)
    else:
        change(changed)
    with pytest.raises(RuntimeError, match=rf"{name} .*of shape \(3,\).*inplace"):
        y.sum().backward(create_graph=create_graph)


@gives_the_same
def test_changes_of_what_no_rule_needs_are_fine(lib):
    x = lib.tensor([0.5, 0.7], requires_grad=True)
    h = x * 2
    y = h + 1
    z = y - h
    s = z.sum() + h.mean() + h.reshape(2, 1).sum() + lib.cat([h, z]).sum()
    h.zero_()
    y.zero_()
    z.zero_()
    s.backward()
    return x.grad


@gives_the_same
def test_a_kept_value_changed_and_not_needed_after_all(lib):
    x, w = lib.ones(3, requires_grad=True), lib.ones(3)
    y = w * 2 + x
    w.mul_(3)
    y.sum().backward()
    return x.grad


@gives_the_same
def test_a_buffer_reused_after_the_backward_pass(lib):
    w = lib.tensor([0.5, 0.7], requires_grad=True)
    buffer = lib.zeros(2)
    for k in range(3):
        buffer.fill_(k)
        (w * buffer).sum().backward()
    return w.grad


@refused(match="getitem|index")
def test_an_index_tensor_that_changed(lib):
    x = lib.arange(4.0).requires_grad_()
    index = lib.tensor([0, 1])
    y = (x * 1)[index]
    index.add_(1)
    y.sum().backward()


@refused(match="where")
def test_a_condition_that_changed(lib):
    x = lib.arange(4.0).requires_grad_()
    condition = x.detach() > 1
    y = lib.where(condition, x, x * 2)
    condition.fill_(True)
    y.sum().backward()


def test_the_version_counts_writes_and_is_shared() -> None:
    x = tt.zeros(4)
    v, d, data = x[1:], x.detach(), x.data
    assert x._version == 0
    x.add_(1)
    v.mul_(2)
    d[0] = 3
    assert x._version == v._version == d._version == 3
    data.zero_()
    assert x._version == 3
    assert x.sum().item() == 0


def test_a_refused_write_changes_nothing() -> None:
    x = tt.ones(3, requires_grad=True)
    y = x * 2
    for write in (
        lambda: x.mul_(2),
        lambda: y.add_(tt.ones(2, 3)),
        lambda: y.copy_(tt.ones(4)),
        lambda: y.__setitem__(slice(0, 2), tt.ones(3)),
        lambda: y.__setitem__(7, 1.0),
    ):
        with pytest.raises((RuntimeError, IndexError)):
            write()
    np.testing.assert_array_equal(y.detach().numpy(), [2, 2, 2])
    assert x._version == y._version == 0
    y.sum().backward()
    assert x.grad.tolist() == [2, 2, 2]


# -- differences from torch that are meant


def test_expanded_memory_is_never_written_to() -> None:
    """torch lets a single value in (fill_, zero_), and writes where no two elements coincide."""
    x = tt.ones(3)
    for write in (lambda v: v.fill_(2), lambda v: v.zero_(), lambda v: v[0].add_(1)):
        with pytest.raises(RuntimeError, match="expanded"):
            write(x.expand(2, 3))
    assert x.tolist() == [1, 1, 1]


def test_a_view_made_under_no_grad_does_not_require_grad() -> None:
    """In torch 2.13 it says that it does, and its gradient goes nowhere."""
    x = tt.ones(2, 3, requires_grad=True)
    with tt.no_grad():
        v = x[0]
    assert not v.requires_grad
    assert not (v * 2).requires_grad


def test_a_view_made_before_its_base_wanted_a_gradient_stays_outside() -> None:
    """In torch it says that it is inside, and its gradient goes nowhere."""
    x = tt.zeros(2, 3)
    v = x[0]
    x.requires_grad_()
    assert not v.requires_grad
    assert x[0].requires_grad


def test_a_comparison_with_a_number_out_of_range_is_that_of_numbers() -> None:
    """torch wraps the number into the type of the tensor first."""
    assert (tt.tensor([1], dtype=tt.int8) > -200).item() is True
