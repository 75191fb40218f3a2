"""What the engine says when it can't go on: the operation, the value, the axis, the time step."""

from collections.abc import Callable
from typing import Any

import pytest

import tinytensor as tt
from tinytensor import nn, optim


def refusal(function: Callable[[], Any]) -> str:
    with pytest.raises(RuntimeError) as caught:
        function()
    return str(caught.value)


# -- shapes


@pytest.mark.parametrize(
    ("a", "b", "sizes", "dim"),
    [
        ((2, 3), (4, 3), (2, 4), 0),
        ((2, 3), (2,), (3, 2), 1),
        ((3,), (2, 1, 4), (3, 4), 2),
        ((5, 1, 2), (4, 3), (2, 3), 2),
    ],
)
def test_shapes_that_do_not_broadcast_name_the_axis_as_torch_does(
    a: Any, b: Any, sizes: Any, dim: int
) -> None:
    words = (
        f"The size of tensor a ({sizes[0]}) must match the size of tensor b ({sizes[1]}) at "
        f"non-singleton dimension {dim}"
    )
    torch = pytest.importorskip("torch")
    said = refusal(lambda: tt.zeros(a) + tt.zeros(b))
    assert said == f"add: {words}; got shapes {a}, {b}"
    assert words in refusal(lambda: torch.zeros(a) + torch.zeros(b))


def test_the_pair_that_differs_among_three_is_named() -> None:
    said = refusal(lambda: tt.where(tt.zeros(2, 1) > 0, tt.zeros(3), tt.zeros(4)))
    assert "(3) must match the size of tensor b (4) at non-singleton dimension 0" in said
    assert "got shapes (2, 1), (3,), (4,)" in said


@pytest.mark.parametrize(
    ("a", "b", "first", "second"),
    [
        ((2, 3), (4, 5), "-1 of the first (3)", "-2 of the second (4)"),
        ((2, 3), (4,), "-1 of the first (3)", "-1 of the second (4)"),
        ((2, 2, 3), (4, 5), "-1 of the first (3)", "-2 of the second (4)"),
    ],
)
def test_matrices_that_do_not_fit_name_both_axes(a: Any, b: Any, first: str, second: str) -> None:
    said = refusal(lambda: tt.zeros(a) @ tt.zeros(b))
    assert f"dimension {first} must match dimension {second}" in said
    assert f"got shapes {a}, {b}" in said


# -- a value that was changed


def test_a_changed_output_names_the_writer() -> None:
    def run() -> None:
        y = tt.rand(3, requires_grad=True).exp()
        y += 1
        y.sum().backward()

    said = refusal(run)
    assert said.startswith("backward: exp needs for its gradient its output, of shape (3,)")
    assert "inplace operation since, by add_: expected version 0, got 1" in said


def test_the_writer_is_said_with_its_module() -> None:
    class Doubling(nn.Module):
        def forward(self, x: tt.Tensor) -> tt.Tensor:
            return x.mul_(2)

    def run() -> None:
        y = tt.rand(3, requires_grad=True).exp()
        Doubling()(y.detach())
        y.sum().backward()

    assert "by mul_ in Doubling" in refusal(run)


def test_a_parameter_that_an_optimizer_changed_is_named_with_the_time_step() -> None:
    cell = nn.LSTMCell(3, 4)
    optimizer = optim.SGD(cell.parameters(), lr=0.1)

    def run() -> None:
        state = None
        for _ in range(3):
            state = cell(tt.rand(2, 3), state)
            state[0].sum().backward(retain_graph=True)
            optimizer.step()

    said = refusal(run)
    assert "lstm_cell in LSTMCell, its call 2 in this graph (time step 1)" in said
    assert "an input (the parameter weight_hh), of shape (16, 4)" in said
    assert "by SGD.step" in said


def test_a_parameter_that_a_fused_layer_needs_is_named() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.LSTM(2, 3)

        def forward(self, x: tt.Tensor) -> tt.Tensor:
            return self.rnn(x)[0]

    model = Model()

    def run() -> None:
        y = model(tt.rand(4, 1, 2))
        with tt.no_grad():
            model.rnn.weight_hh_l0.mul_(2)
        y.sum().backward()

    said = refusal(run)
    assert "lstm in Model / rnn" in said
    assert "(the parameter rnn.weight_hh_l0), of shape (12, 3)" in said
    assert "by mul_" in said


def test_an_intermediate_value_is_named_by_what_made_it() -> None:
    def run() -> None:
        x = tt.rand(3, requires_grad=True)
        y = x + 1
        z = y * y
        y.mul_(0)
        z.sum().backward()

    said = refusal(run)
    assert "mul needs for its gradient its input" in said
    assert "(made by add)" in said
    assert "by mul_" in said


# -- a graph used twice


def test_a_state_carried_over_names_the_step_and_detach_first() -> None:
    cell = nn.LSTMCell(3, 4)

    def run() -> None:
        state = None
        for _ in range(2):
            for _ in range(3):
                state = cell(tt.rand(2, 3), state)
            state[0].sum().backward()

    said = refusal(run)
    assert "recorded in LSTMCell, its call 3 in this graph (time step 2)" in said
    assert said.index(".detach()") < said.index("retain_graph")


def test_an_unrolled_layer_names_its_own_step() -> None:
    lstm = nn.LSTM(2, 2)

    def run() -> None:
        with tt.unrolled():
            _, state = lstm(tt.rand(3, 1, 2))
            state[0].sum().backward()
            lstm(tt.rand(3, 1, 2), state)[0].sum().backward()

    assert "t=2" in refusal(run)


def test_outside_of_modules_no_place_is_named() -> None:
    def run() -> None:
        y = tt.rand(3, requires_grad=True).exp().sum()
        y.backward()
        y.backward()

    assert "backward: exp was differentiated before" in refusal(run)
