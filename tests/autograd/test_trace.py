"""`autograd.trace`: the engine's backward pass, visit by visit, equal to what it really does."""

from typing import Any

import numpy as np
import pytest

import tinytensor as tt
from tinytensor import nn
from tinytensor.autograd.node import Node, Output
from tinytensor.autograd.trace import Trace, Visit, follow_trace, trace


def names(visits: Trace) -> list[str]:
    return [visit.node.op.name for visit in visits]


def assert_adds_up(visits: Trace, starts: dict[Any, Any]) -> None:
    """Every gradient is the sum of what was passed there, added up here a second time.

    starts : what the pass began with, for each edge
    """
    sums: dict[Any, Any] = {key: np.array(g) for key, g in starts.items()}
    leaves: dict[int, Any] = {}
    for visit in visits:
        node = visit.node
        several = isinstance(node.dtype, tuple)
        parts = visit.arrived if several else (visit.arrived,)
        for index, part in enumerate(parts):
            expected = sums.get((node, index))
            if expected is None:
                assert part is None
            else:
                np.testing.assert_allclose(part, expected, rtol=1e-12, atol=0)
        for number, edge, gx, total in visit.contributions:
            assert node.edges[number] is edge
            key: Any = id(edge)
            held = leaves
            if isinstance(edge, Node):
                key, held = (edge, 0), sums
            elif isinstance(edge, Output):
                key, held = (edge.node, edge.index), sums
            held[key] = held[key] + gx if key in held else gx.copy()
            assert gx.shape == total.shape
            np.testing.assert_allclose(total, held[key], rtol=1e-12, atol=1e-300)
    assert {id(leaf) for leaf, _ in visits.leaves} == set(leaves)


def assert_equals_grad(visits: Trace, output: Any, gradient: Any = None) -> None:
    """The leaves' gradients are those of `autograd.grad`, to the last bit."""
    for leaf, g in visits.leaves:
        (expected,) = tt.autograd.grad(output, leaf, gradient, retain_graph=True)
        np.testing.assert_array_equal(g, expected.numpy(), strict=True)


def test_each_contribution_comes_by_itself_in_the_true_order() -> None:
    x = tt.tensor([3.0, -2.0], dtype=tt.float64, requires_grad=True)
    square = x * x
    y = (square + x).sum()
    visits = trace(y)
    assert names(visits) == ["sum", "add", "mul"]
    _, add, mul = visits
    assert [c.number for c in add.contributions] == [0, 1]
    assert add.contributions[0].edge is square.grad_fn
    assert add.contributions[1].edge is x
    assert [c.number for c in mul.contributions] == [0, 1]
    assert [c.gx.tolist() for c in mul.contributions] == [[3.0, -2.0], [3.0, -2.0]]
    assert [c.total.tolist() for c in mul.contributions] == [[4.0, -1.0], [7.0, -3.0]]
    assert_adds_up(visits, {(y.grad_fn, 0): np.ones(())})
    assert_equals_grad(visits, y)


def test_no_grad_is_touched_and_the_graph_can_be_used_again() -> None:
    x = tt.tensor([1.0, 2.0], requires_grad=True)
    x.grad = tt.tensor([5.0, 6.0])
    middle = x.exp()
    middle.retain_grad()
    y = (middle * x).sum()
    first = trace(y)
    assert middle.grad is None
    assert x.grad.tolist() == [5.0, 6.0]
    second = trace(y)
    assert names(first) == names(second)
    x.grad = None
    y.backward()
    np.testing.assert_array_equal(first.leaves[0][1], x.grad.numpy())
    np.testing.assert_array_equal(first[1].contributions[0].gx, middle.grad.numpy())


def test_what_was_reported_stays_as_it_was() -> None:
    x = tt.tensor([1.0, 2.0], requires_grad=True)
    y = (x * 2 + x * 3 + x * 4 + x).sum()
    totals = [c.total for visit in trace(y) for c in visit.contributions if c.edge is x]
    assert [total.tolist() for total in totals] == [[1.0] * 2, [5.0] * 2, [8.0] * 2, [10.0] * 2]


@pytest.mark.parametrize("unrolled", [False, True])
def test_a_bidirectional_lstm_of_two_layers(unrolled: bool) -> None:
    lstm = nn.LSTM(3, 4, num_layers=2, bidirectional=True, dtype=tt.float64)
    x = tt.randn(5, 2, 3, dtype=tt.float64, requires_grad=True)
    if unrolled:
        with tt.unrolled():
            output, (h_n, _) = lstm(x)
    else:
        output, (h_n, _) = lstm(x)
    y = (output * output).sum() + h_n.sum()
    visits = trace(y)
    assert ("lstm" in names(visits)) is not unrolled
    assert len(visits.leaves) == 17
    assert_adds_up(visits, {(y.grad_fn, 0): np.ones(())})
    assert_equals_grad(visits, y)
    assert all(p.grad is None for p in lstm.parameters())


def test_a_loop_over_cells_is_a_visit_a_step() -> None:
    cell = nn.LSTMCell(2, 3, dtype=tt.float64)
    x = tt.randn(4, 1, 2, dtype=tt.float64, requires_grad=True)
    h = c = tt.zeros(1, 3, dtype=tt.float64)
    for x_t in x.unbind():
        h, c = cell(x_t, (h, c))
    y = h.sum()
    visits = trace(y)
    cells = [visit for visit in visits if visit.node.op.name == "lstm_cell"]
    assert len(cells) == 4
    assert cells[0].g[1] is None  # nobody asks for the last c
    assert all(visit.g[1] is not None for visit in cells[1:])
    assert_adds_up(visits, {(y.grad_fn, 0): np.ones(())})
    assert_equals_grad(visits, y)


def test_gradients_of_an_index_are_reported_in_full() -> None:
    x = tt.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], dtype=tt.float64, requires_grad=True)
    z = x * 1.0
    y = (z[1] * z[1]).sum() + z[0, 1] + z[tt.tensor([2, 2])].sum()
    visits = trace(y)
    assert_adds_up(visits, {(y.grad_fn, 0): np.ones(())})
    assert_equals_grad(visits, y)
    parts = [
        c.gx.tolist()
        for visit in visits
        for c in visit.contributions
        if visit.node.op.name == "getitem"
    ]
    assert [[0, 0], [0, 0], [2, 2]] in parts
    assert [[0, 1], [0, 0], [0, 0]] in parts


def test_what_was_broadcast_is_summed_to_its_own_shape() -> None:
    a = tt.randn(3, 1, dtype=tt.float64, requires_grad=True)
    b = tt.randn(4, dtype=tt.float64, requires_grad=True)
    weights = tt.randn(3, 4, dtype=tt.float64)
    y = a * b
    visits = trace(y, weights)
    shapes = [c.gx.shape for c in visits[0].contributions]
    assert shapes == [(3, 1), (4,)]
    np.testing.assert_allclose(
        visits[0].contributions[0].gx, (weights.numpy() * b.detach().numpy()).sum(1, keepdims=True)
    )
    assert_adds_up(visits, {(y.grad_fn, 0): weights.numpy()})
    assert_equals_grad(visits, y, weights)


def test_several_outputs_each_with_its_gradient() -> None:
    x = tt.tensor([1.0, 2.0, 3.0], dtype=tt.float64, requires_grad=True)
    y, z = x * 2.0, x.exp()
    given = [tt.tensor([1.0, 0.0, 2.0], dtype=tt.float64), tt.ones(3, dtype=tt.float64)]
    visits = trace([y, z], given)
    np.testing.assert_allclose(visits.leaves[0][1], 2 * given[0].numpy() + np.exp([1.0, 2.0, 3.0]))
    assert_adds_up(visits, {(t.grad_fn, 0): g.numpy() for t, g in zip([y, z], given, strict=True)})
    assert names(visits) == ["exp", "mul"]


def test_an_operation_with_several_outputs_of_which_one_is_used() -> None:
    x = tt.randn(6, dtype=tt.float64, requires_grad=True)
    parts = (x * 1.0).split(2)
    y = parts[1].sum()
    visits = trace(y)
    split = next(visit for visit in visits if visit.node.op.name == "split")
    assert [part is None for part in split.g] == [True, False, True]
    assert_adds_up(visits, {(y.grad_fn, 0): np.ones(())})
    assert_equals_grad(visits, y)


def test_a_list_of_operands_names_each_even_if_one_stands_twice() -> None:
    x = tt.tensor([1.0, 2.0], dtype=tt.float64, requires_grad=True)
    z = tt.tensor([4.0], dtype=tt.float64)
    y = (tt.cat([x, z, x]) * tt.arange(5.0, dtype=tt.float64)).sum()
    visits = trace(y)
    cat = visits[-1]
    assert [(c.number, c.gx.tolist()) for c in cat.contributions] == [(0, [0, 1]), (2, [3, 4])]
    assert_equals_grad(visits, y)


class Scaled(tt.autograd.Function):
    """y = 3 x, z = 5 x, in a backward of the user's."""

    @staticmethod
    def forward(ctx: Any, x: Any, other: Any) -> Any:
        return x * 3, x * 5

    @staticmethod
    def backward(ctx: Any, gy: Any, gz: Any) -> Any:
        return None, gy * 3 + gz * 5


def test_a_function_of_the_users() -> None:
    x = tt.tensor([1.0, 2.0], dtype=tt.float64, requires_grad=True)
    y, z = Scaled.apply(x, x)
    out = (y * z).sum()
    visits = trace(out)
    own = visits[-1]
    assert own.node.op.name == "Scaled"
    assert [part.tolist() for part in own.g] == [[5.0, 10.0], [3.0, 6.0]]
    # Of two inputs that are one tensor it has a gradient for the second: 30 x.
    assert [c.gx.tolist() for c in own.contributions] == [[30.0, 60.0]]
    assert own.contributions[0].number == 1
    assert_equals_grad(visits, out)


def test_hooks_are_called_and_what_arrived_is_reported_as_well() -> None:
    x = tt.tensor([1.0, 2.0], dtype=tt.float64, requires_grad=True)
    calls = []
    x.register_post_accumulate_grad_hook(lambda leaf: calls.append("after"))
    x.register_hook(lambda g: g * 10)
    middle = x * 2.0
    middle.register_hook(lambda g: g + 1)
    y = (middle * middle).sum()
    visits = trace(y)
    assert visits[-1].arrived.tolist() == [4.0, 8.0]
    assert visits[-1].g.tolist() == [5.0, 9.0]
    assert visits.leaves[0][1].tolist() == [100.0, 180.0]
    assert calls == []
    assert_equals_grad(visits, y)


def test_a_freed_graph_is_the_engines_own_error() -> None:
    x = tt.tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sum()
    y.backward()
    with pytest.raises(RuntimeError, match="a second time"):
        trace(y)


def test_a_value_that_was_written_to_is_the_engines_own_error() -> None:
    x = tt.tensor([1.0, 2.0], requires_grad=True)
    z = x.exp()
    y = z.sum()
    with tt.no_grad():
        z.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        trace(y)


def test_refusals_name_the_function() -> None:
    with pytest.raises(RuntimeError, match=r"^trace: expected a tensor that requires grad"):
        trace(tt.ones(3).sum())
    with pytest.raises(RuntimeError, match=r"^trace: grad can be implicitly created only for scal"):
        trace(tt.ones(3, requires_grad=True) * 2)
    with pytest.raises(TypeError, match=r"^trace: expected Tensors"):
        trace([1.0])


def test_an_error_leaves_the_mode_as_it_was() -> None:
    x = tt.tensor([1.0], requires_grad=True)
    y = (x * x).sum()

    def fail(visit: Visit) -> None:
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        follow_trace(y, None, fail)
    assert tt.is_grad_enabled()
    assert (x * 2).requires_grad
    assert trace(y).leaves[0][1].tolist() == [2.0]


def test_a_visitor_sees_each_visit_when_it_is_done() -> None:
    x = tt.tensor([1.0, 3.0], dtype=tt.float64, requires_grad=True)
    y = (x.exp() + x).sum()
    seen: list[tuple[str, int]] = []
    leaves = follow_trace(
        y, None, lambda visit: seen.append((visit.node.op.name, len(visit.contributions)))
    )
    assert seen == [("sum", 1), ("add", 2), ("exp", 1)]
    assert leaves[0][0] is x


def test_a_leaf_that_is_its_own_output() -> None:
    x = tt.tensor(2.0, requires_grad=True)
    visits = trace(x)
    assert visits == []
    assert visits.leaves[0][1] == 1.0


def test_a_checkpoint_runs_again() -> None:
    linear = nn.Linear(3, 2, dtype=tt.float64)
    x = tt.randn(4, 3, dtype=tt.float64, requires_grad=True)
    y = tt.utils.checkpoint.checkpoint(lambda v: linear(v).tanh(), x).sum()
    visits = trace(y)
    assert names(visits) == ["sum", "tanh", "linear"]
    assert_equals_grad(visits, y)


def test_against_central_differences() -> None:
    values = np.array([0.3, -0.7, 1.1])

    def f(v: Any) -> Any:
        u = v.tanh() * v
        return (u[0] * u + u.cumsum(0)).sum()

    x = tt.tensor(values, requires_grad=True)
    (_, found), *_ = trace(f(x)).leaves
    step = 1e-6
    for k in range(3):
        ends = [f(tt.tensor(values + sign * step * np.eye(3)[k])).item() for sign in (1, -1)]
        assert found[k] == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-8)
