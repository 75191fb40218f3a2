"""A tensor that changes its own shape (`t_`, `squeeze_` ...): its views, history, refusals."""

from collections.abc import Callable
from typing import Any

import pytest

import tinytensor as tt

from .side_by_side import gives_the_same, refused

torch = pytest.importorskip("torch")

TURNS: dict[str, Callable[[Any], Any]] = {
    "t_": lambda x: x.t_(),
    "transpose_": lambda x: x.transpose_(0, -1),
    "swapaxes_": lambda x: x.swapaxes_(axis0=1, axis1=0),
    "swapdims_": lambda x: x.swapdims_(0, 1),
    "squeeze_": lambda x: x.unsqueeze_(1).squeeze_(),
    "squeeze_(dim)": lambda x: x[:1].squeeze_(0),
    "unsqueeze_": lambda x: x.unsqueeze_(-1),
}


def _leaf(lib: Any) -> Any:
    return lib.arange(6, dtype=lib.float64).reshape(2, 3).clone().requires_grad_()


@pytest.mark.parametrize("turn", TURNS.values(), ids=TURNS)
def test_shape_strides_version_and_gradient_are_those_of_torch(turn: Callable[[Any], Any]) -> None:
    found = []
    for lib in (tt, torch):
        leaf = _leaf(lib)
        x = leaf * 2
        y = turn(x)
        (y * y).sum().backward()
        found.append((tuple(y.shape), y.stride(), x._version, leaf.grad.tolist(), y is x))
    assert found[0] == found[1]


@pytest.mark.parametrize("turn", TURNS.values(), ids=TURNS)
def test_views_made_before_and_after_see_later_writes_and_give_their_gradients(
    turn: Callable[[Any], Any],
) -> None:
    found = []
    for lib in (tt, torch):
        leaf = _leaf(lib)
        x = leaf * 2
        row, column = x[1], x[:, 1:]
        turn(x)
        later = x[0]
        row.mul_(3)
        x.add_(1)
        column.mul_(5)
        later.mul_(7)
        loss = (x * x).sum() + (row * row).sum() + (column * column).sum() + later.sum()
        loss.backward()
        found.append((x.tolist(), row.tolist(), column.tolist(), leaf.grad.tolist()))
    assert found[0] == found[1]


def test_a_tensor_outside_the_graph_keeps_its_views_through_a_turn() -> None:
    x = tt.zeros(2, 3)
    column = x[:, 0]
    x.t_()
    x.requires_grad_()
    with tt.no_grad():
        column.fill_(4.0)
    assert x.tolist() == [[4, 4], [0, 0], [0, 0]]


@gives_the_same
def test_a_view_turned_in_place_writes_into_its_base(lib):
    leaf = _leaf(lib)
    base = leaf * 1
    part = base[:, 1:].t_()
    part[0] = lib.tensor([9.0, 8.0], dtype=lib.float64)
    (base * base).sum().backward()
    return base, part, leaf.grad


@gives_the_same
def test_under_no_grad_a_leaf_stays_a_leaf(lib):
    leaf = _leaf(lib)
    with lib.no_grad():
        leaf.t_()
    return leaf, leaf.is_leaf, leaf.requires_grad


@refused(match="t_: a leaf Variable that requires grad")
def test_a_leaf_that_wants_a_gradient_is_not_turned(lib):
    _leaf(lib).t_()


@refused(match="unsqueeze_: a view of a leaf")
def test_nor_is_a_view_of_it(lib):
    _leaf(lib)[0].unsqueeze_(0)


@refused(match="backward")
def test_a_kept_value_that_was_turned_counts_as_changed(lib):
    x = _leaf(lib) * 1
    y = x.sin()
    x.t_()
    y.sum().backward()


@refused(IndexError, match=r"unsqueeze.*Dimension out of range")
def test_a_dimension_out_of_range_is_refused(lib):
    lib.ones(2).unsqueeze_(3)
