"""A failed gradient check names the gate and the time step; a sweep shows its step sizes."""

import builtins
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tinytensor as tt
from tinytensor import nn
from tinytensor.autograd.checking import GradcheckError, gradcheck, gradgradcheck, step_sweep
from tinytensor.autograd.primitive import PRIMITIVES, primitive

H = 2  # units of the recurrent layers


@pytest.fixture
def spoil() -> Iterator[Callable[..., Any]]:
    """spoil(tensor, index): the tensor itself, with a gradient that is off in one element."""
    before = set(PRIMITIVES)

    def spoiled(x: tt.Tensor, index: tuple[int, ...]) -> tt.Tensor:
        spot = np.zeros(x.shape)
        spot[index] = 0.25

        @primitive(lambda g: g + g * spot)
        def planted_identity(x: Any) -> Any:
            return x.copy()

        operation = PRIMITIVES.pop("planted_identity").function
        return operation(x)

    yield spoiled
    assert set(PRIMITIVES) == before


def random(*shape: int) -> tt.Tensor:
    rng = np.random.default_rng(len(shape))
    return tt.tensor(rng.standard_normal(shape), requires_grad=True)


def failure(func: Callable[..., Any], inputs: Any, check: Any = gradcheck) -> str:
    """The place of the worst element of an input, as the report puts it."""
    with pytest.raises(GradcheckError) as caught:
        check(func, inputs)
    found = re.search(r"^  (input \d.*|grad_output \d.*)$", str(caught.value), re.MULTILINE)
    assert found is not None
    return found[1]


# -- gates -----------------------------------------------------------------------------------------

PLACES = {
    ("weight_ih_l0", (0, 1)): "gate i, unit 0",
    ("weight_ih_l0", (3, 0)): "gate f, unit 1",
    ("weight_hh_l0", (4, 1)): "gate g, unit 0",
    ("weight_hh_l0", (7, 0)): "gate o, unit 1",
    ("bias_ih_l0", (2,)): "gate f, unit 0",
    ("bias_hh_l0_reverse", (5,)): "gate g, unit 1",
    ("weight_ih_l1", (6, 2)): "gate o, unit 0",
    ("weight_hh_l1_reverse", (1, 1)): "gate i, unit 1",
}


@pytest.mark.parametrize(("name", "index"), PLACES)
def test_the_gate_of_a_recurrent_weight_is_named(
    spoil: Any, name: str, index: tuple[int, ...]
) -> None:
    model = nn.Sequential(nn.LSTM(3, H, num_layers=2, bidirectional=True)).double()
    weight = model[0].get_parameter(name)
    x = random(2, 1, 3).detach()

    def func(weight: Any) -> Any:
        return model(x)[0].sum(), spoil(weight, index).sum()

    place = failure(func, weight)
    assert place == f"input 0 '0.{name}', element {index} ({PLACES[name, index]})"


def test_the_gate_of_a_cells_weight_is_named(spoil: Any) -> None:
    cell = nn.LSTMCell(3, H).double()
    place = failure(lambda w: spoil(w, (5, 1)).sum(), cell.weight_hh)
    assert place == "input 0 'weight_hh', element (5, 1) (gate g, unit 1)"


def test_other_weights_have_no_gates(spoil: Any) -> None:
    layer = nn.Linear(3, 4).double()
    place = failure(lambda w: spoil(w, (2, 1)).sum(), layer.weight)
    assert place == "input 0 'weight', element (2, 1)"
    assert "gate" not in failure(lambda w: spoil(w, (2, 1)).sum(), random(8, 2))


# -- time steps ------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [0, 2, 3])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_time_step_of_an_input_of_a_layer_is_named(
    spoil: Any, batch_first: bool, bidirectional: bool, step: int
) -> None:
    lstm = nn.LSTM(3, H, 2, batch_first=batch_first, bidirectional=bidirectional).double()
    x = random(2, 4, 3) if batch_first else random(4, 2, 3)
    index = (1, step, 2) if batch_first else (step, 1, 2)
    place = failure(lambda x: lstm(spoil(x, index))[0], x)
    assert place == f"input 0, element {index}, time step {step}"


def test_what_stands_before_the_layer_does_not_matter(spoil: Any) -> None:
    """Flipped and mixed within each step, the element of x[0] comes last."""
    lstm = nn.LSTM(3, H).double()
    before = nn.Linear(3, 3).double()
    place = failure(lambda x: lstm(before(spoil(x, (0, 1, 1)).flip(0)))[0], random(4, 2, 3))
    assert place == "input 0, element (0, 1, 1), time step 3"


def test_the_step_of_a_state_is_the_one_that_it_enters(spoil: Any) -> None:
    lstm = nn.LSTM(3, H).double()
    x = random(4, 2, 3).detach()
    state = (random(1, 2, H), random(1, 2, H))
    place = failure(lambda h, c: lstm(x, (h, spoil(c, (0, 1, 1))))[0], state)
    assert place == "input 1, element (0, 1, 1), time step 0"


def test_the_step_of_a_loop_over_cells_is_the_number_of_the_call(spoil: Any) -> None:
    first, second = nn.LSTMCell(3, H).double(), nn.LSTMCell(H, H).double()

    def loop(x: Any) -> Any:
        x = spoil(x, (2, 1, 0))
        lower = upper = None
        for t in range(3):
            lower = first(x[t], lower)
            upper = second(lower[0], upper)
        return upper[0]

    assert failure(loop, random(3, 2, 3)) == "input 0, element (2, 1, 0), time step 2"


def test_no_step_is_named_where_there_is_not_one(spoil: Any) -> None:
    lstm = nn.LSTM(3, H).double()
    # every step sees the whole of x
    place = failure(lambda x: lstm(spoil(x, (1, 0, 1)).cumsum(0))[0], random(3, 1, 3))
    assert place == "input 0, element (1, 0, 1)"
    place = failure(lambda x: spoil(x, (1, 0, 1)).tanh(), random(3, 1, 3))
    assert place == "input 0, element (1, 0, 1)"


def test_the_second_order_names_gate_and_step_too(spoil: Any) -> None:
    """The spoilt value is a gradient's: g² of the identity, whose slope is then wrong."""
    lstm = nn.LSTM(2, H).double()
    x = random(3, 1, 2)

    def func(x: Any, weight: Any) -> Any:
        y = lstm(x)[0]
        return y.sum() + (spoil(x, (1, 0, 1)) ** 2).sum()

    place = failure(func, (x, lstm.weight_hh_l0), gradgradcheck)
    assert place == "input 0, element (1, 0, 1), time step 1"


# -- the sweep over step sizes ---------------------------------------------------------------------


def test_the_error_of_a_right_gradient_is_a_valley() -> None:
    sweep = step_sweep(lambda x, y: (x * y).sin(), (random(3), random(3) + 0.5))
    assert sweep.step.shape == sweep.error.shape == (25,)
    assert sweep.best_error < 1e-9
    assert 1e-7 < sweep.best_step < 1e-3
    assert sweep.error[0] > 1e3 * sweep.best_error  # rounding
    assert sweep.error[-1] > 1e3 * sweep.best_error  # what the difference leaves out
    # the error is about h² f'''/6: a step ten times as large makes it a hundred times as large
    steps = step_sweep(lambda x: x.sin(), random(3), [1e-2, 1e-1])
    assert steps.error[1] / steps.error[0] == pytest.approx(100, rel=0.02)


def test_the_error_of_a_wrong_gradient_is_a_plain_at_the_height_of_the_mistake() -> None:
    sweep = step_sweep(lambda x: x * x.detach(), random(4), np.logspace(-8, -2, 7))
    assert sweep.error == pytest.approx(np.ones(7), rel=1e-4)


def test_where_the_gradient_is_zero_the_error_is_absolute() -> None:
    x = random(3)
    once = step_sweep(lambda x: x.detach(), x, [1e-3])
    thrice = step_sweep(lambda x: x.detach() * 3, x, [1e-3])
    assert once.error[0] > 0.1
    assert thrice.error[0] == pytest.approx(3 * once.error[0], rel=1e-9)


def test_the_sweep_leaves_inputs_and_stream_as_they_were() -> None:
    x = tt.rand(4, requires_grad=True)
    before = x.detach().numpy().tobytes()
    tt.manual_seed(1)
    expected = tt.rand(2).tolist()
    tt.manual_seed(1)
    with pytest.warns(UserWarning, match="step_sweep: .*float32") as said:
        sweep = step_sweep(lambda x: x * tt.rand(4, dtype=tt.float64), x)
    assert said[0].filename == __file__
    assert sweep.best_error < 1e-9
    assert x.detach().numpy().tobytes() == before
    assert tt.rand(2).tolist() == expected


def test_the_sweep_says_what_it_cant_do() -> None:
    with pytest.raises(ValueError, match="step_sweep: expected at least one input"):
        step_sweep(lambda x: x, tt.ones(2))
    for steps in ([], [0.0], [1e-3, -1.0], 1e-3, [float("nan")]):
        with pytest.raises(ValueError, match="step_sweep: expected steps"):
            step_sweep(lambda x: x, random(2), steps)


def test_the_sweep_is_plotted() -> None:
    figure = pytest.importorskip("matplotlib.figure")
    sweep = step_sweep(lambda x: x.exp(), random(2), [1e-2, 1e-6, 1e-4])
    axes = figure.Figure().subplots()
    assert sweep.plot(axes) is axes
    (line,) = axes.get_lines()
    steps, errors = line.get_data()
    assert list(steps) == [1e-6, 1e-4, 1e-2]
    assert list(errors) == [sweep.error[1], sweep.error[2], sweep.error[0]]
    assert axes.get_xscale() == axes.get_yscale() == "log"
    assert axes.get_xlabel() == "step size"


def test_plotting_without_matplotlib_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    plain_import = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return plain_import(name, *args, **kwargs)

    sweep = step_sweep(lambda x: x.exp(), random(2), [1e-4])
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match="pip install matplotlib"):
        sweep.plot()
