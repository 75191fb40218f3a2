"""`detect_anomaly`: the operation, the place in the model and the line where a NaN was born."""

import gc
from typing import Any

import numpy as np
import pytest

import tinytensor as tt
from tests.autograd.side_by_side import gives_the_same, refused
from tinytensor.autograd import detect_anomaly, is_anomaly_enabled
from tinytensor.autograd.anomaly import TracedNumber


def zero_times_infinity(x: Any) -> Any:
    return (x * 0).sqrt()  # the line


def test_the_error_names_operation_place_and_line() -> None:
    x = tt.ones(2, requires_grad=True)
    with (
        pytest.raises(RuntimeError) as caught,
        detect_anomaly(),
        tt.scope("decoder"),
        tt.autograd.scope("inner"),
    ):
        (zero_times_infinity(x) * 0).sum().backward()
    message = str(caught.value)
    assert "backward of sqrt (SqrtBackward0) in scope decoder / scope inner" in message
    assert "returned nan values in its 0th output" in message
    assert "return (x * 0).sqrt()  # the line" in message
    assert "(zero_times_infinity(x) * 0).sum().backward()" in message
    assert "tinytensor/autograd" not in message


def test_it_names_the_time_step_of_a_recurrent_layer() -> None:
    cell = tt.nn.LSTM(1, 2)
    x = tt.ones(3, 1, 1)
    x[1] = np.inf
    with detect_anomaly(), tt.unrolled(), pytest.raises(RuntimeError, match="t=") as caught:
        cell(x)[0].sum().backward()
    assert "cell(x)[0].sum().backward()" in str(caught.value)
    with detect_anomaly(), pytest.raises(RuntimeError, match=r"Run it under tinytensor.unrolled"):
        cell(x)[0].sum().backward()


def test_the_forward_value_that_was_no_number_is_told() -> None:
    x = tt.tensor([np.nan], requires_grad=True)
    with (
        detect_anomaly(),
        pytest.raises(RuntimeError, match="kept from the forward pass holds nan"),
    ):
        x.exp().sum().backward()


def test_a_forward_outside_the_block_is_told() -> None:
    y = (zero_times_infinity(tt.ones(2, requires_grad=True)) * 0).sum()
    with detect_anomaly(), pytest.raises(RuntimeError, match="forward pass under detect_anomaly"):
        y.backward()


@refused(RuntimeError, "nan values in its 0th output")
def test_under_create_graph(lib):
    x = lib.ones(2, requires_grad=True)
    with lib.autograd.set_detect_anomaly(True):
        lib.autograd.grad(((x * 0).sqrt() * 0).sum(), x, create_graph=True)


@refused(RuntimeError, "given to backward")
def test_a_gradient_given_with_a_nan(lib):
    x = lib.ones(2, requires_grad=True)
    with lib.autograd.set_detect_anomaly(True):
        (x * 2).backward(lib.tensor([1.0, float("nan")]))


@pytest.mark.filterwarnings("ignore:detect_anomaly")
@gives_the_same
def test_infinity_and_checks_that_are_off_are_let_through(lib):
    x = lib.zeros(2, requires_grad=True)
    with lib.autograd.set_detect_anomaly(True):
        x.sqrt().sum().backward()
        x[0].log().backward()
    with lib.autograd.set_detect_anomaly(True, check_nan=False):
        (x.sqrt() * 0).sum().backward()
    return x.grad


def test_the_first_infinity_of_a_pass_is_told_of_with_operation_place_and_line() -> None:
    x = tt.zeros(2, requires_grad=True)
    with detect_anomaly(), tt.autograd.scope("decoder"):
        y = x.sqrt().log().sum()  # the line
        with pytest.warns(UserWarning) as told:
            y.backward()
    (warning,) = told
    message = str(warning.message)
    assert "backward of log (LogBackward0) in scope decoder returned inf values" in message
    assert "y = x.sqrt().log().sum()  # the line" in message


def test_an_infinity_that_the_user_gives_is_not_told_of() -> None:
    x = tt.ones(1, requires_grad=True)
    with detect_anomaly():
        x.clone().backward(tt.tensor([np.inf]))
    assert x.grad.item() == np.inf


@gives_the_same
def test_switch_and_block(lib):
    found = []
    enabled = lib.is_anomaly_enabled if hasattr(lib, "is_anomaly_enabled") else is_anomaly_enabled
    lib.autograd.set_detect_anomaly(True)
    found.append(enabled())
    with lib.autograd.set_detect_anomaly(False):
        found.append(enabled())
    found.append(enabled())
    lib.autograd.set_detect_anomaly(False)
    return [*found, enabled()]


def test_the_block_may_be_entered_again_and_ends_with_an_error() -> None:
    block = detect_anomaly()
    for _ in range(2):
        with pytest.raises(KeyError), block:
            with block:
                pass
            assert is_anomaly_enabled()
            raise KeyError
        assert not is_anomaly_enabled()


def test_lines_go_with_their_graph() -> None:
    def lines_alive() -> int:
        return sum(type(thing) is TracedNumber for thing in gc.get_objects())

    gc.collect()  # of the errors of other tests
    before = lines_alive()
    x = tt.ones(2, requires_grad=True)
    with detect_anomaly():
        y = (x * 2).sum()
        assert lines_alive() == before + 2
        y.backward()
        del y
        assert lines_alive() == before


def test_gradients_are_the_same_under_the_block() -> None:
    def gradient() -> Any:
        x = tt.tensor([0.5, 2.0], requires_grad=True)
        y = x.exp() * x[0]
        (y.sin() + x[tt.tensor([0, 0])]).sum().backward()
        return x.grad.tolist()

    plain = gradient()
    with detect_anomaly():
        assert gradient() == plain
