"""gradcheck tells a kink from a wrong gradient, reports the one and never excuses the other."""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tinytensor as tt
from tinytensor.autograd.checking import (
    GradcheckError,
    Kink,
    KinkWarning,
    gradcheck,
    gradgradcheck,
)
from tinytensor.autograd.primitive import PRIMITIVES, primitive

both_modes = pytest.mark.parametrize("fast_mode", [False, True], ids=["full", "fast"])


def leaf(*values: float) -> tt.Tensor:
    return tt.tensor(values, dtype=tt.float64, requires_grad=True)


@pytest.fixture
def planted() -> Iterator[Callable[..., Any]]:
    """`@primitive` whose operations are forgotten at the end: the table's tests list them all."""
    before = set(PRIMITIVES)
    yield primitive
    for name in set(PRIMITIVES) - before:
        del PRIMITIVES[name]


def planted_relu(planted: Any, rule: Any) -> Any:
    @planted(rule)
    def planted_relu(x: Any) -> Any:
        return np.maximum(x, 0)

    return planted_relu


def kinks_of(func: Callable[..., Any], *inputs: tt.Tensor, **options: Any) -> tuple[Kink, ...]:
    """The kinks with which a check passes."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert gradcheck(func, inputs, **options)
    return said[0].message.kinks if said else ()


# -- kinks are reported ----------------------------------------------------------------------------

AT_KINKS: dict[str, tuple[Callable[..., Any], list[float], dict[int, tuple[float, float, float]]]]
AT_KINKS = {
    # function, input, {element: (left slope, right slope, the gradient there)}
    "relu": (lambda x: x.relu(), [0.0, 1.0, -1.0, 0.0], {0: (0, 1, 0), 3: (0, 1, 0)}),
    "abs": (lambda x: x.abs(), [2.0, 0.0], {1: (-1, 1, 0)}),
    "concave": (lambda x: -3 * x.abs(), [0.0], {0: (3, -3, 0)}),
    "leaky relu": (lambda x: tt.nn.functional.leaky_relu(x, 0.25), [0.0], {0: (0.25, 1, 0.25)}),
    "clamp": (lambda x: x.clamp(0.0, 1.0), [0.0, 0.5, 1.0], {0: (0, 1, 1), 2: (1, 0, 1)}),
    "tie of max": (lambda x: x.amax(), [1.0, 0.0, 1.0], {0: (0, 1, 0.5), 2: (0, 1, 0.5)}),
    "inside": (lambda x: (x.square() - 4).abs().exp(), [2.0, 3.0], {0: (-4, 4, 0)}),
    "steep": (lambda x: 1e4 * x.relu(), [0.0], {0: (0, 1e4, 0)}),
}  # fmt: skip


@pytest.mark.parametrize("name", AT_KINKS)
def test_a_right_value_at_a_kink_passes_with_its_slopes_reported(name: str) -> None:
    func, numbers, expected = AT_KINKS[name]
    found = kinks_of(func, leaf(*numbers))
    assert len(found) == len(expected)
    for kink, (element, (left, right, analytic)) in zip(found, expected.items(), strict=True):
        assert kink.input == f"input 0, element ({element},)"
        assert kink.output.startswith("output 0")
        assert kink.left == pytest.approx(left, rel=1e-4, abs=1e-4)
        assert kink.right == pytest.approx(right, rel=1e-4, abs=1e-4)
        assert kink.analytic == pytest.approx(analytic, rel=1e-9)
        assert not kink.near


def test_the_fast_mode_looks_element_by_element_where_it_meets_a_kink() -> None:
    x = leaf(0.0, 1.0, 0.0, 0.0, -1.0, 0.0)
    found = kinks_of(lambda x: x.relu(), x, fast_mode=True)
    assert [kink.input for kink in found] == [f"input 0, element ({i},)" for i in (0, 2, 3, 5)]


def test_the_warning_names_a_few_and_counts_the_rest() -> None:
    with pytest.warns(KinkWarning) as said:
        assert gradcheck(lambda x: x.relu(), leaf(0, 0, 0, 0, 0, 1))
    assert len(said) == 1 and said[0].filename == __file__
    text = str(said[0].message)
    assert text.startswith("gradcheck: passed, with 5 kinks")
    assert text.count("slopes 0 from the left, 1 from the right; the analytic 0 lies between") == 3
    assert "\n  and 2 more\n" in text
    assert len(said[0].message.kinks) == 5


@both_modes
def test_smooth_functions_have_no_kinks(fast_mode: bool) -> None:
    for func in (
        lambda x: x**3,
        lambda x: (20 * x).tanh(),
        lambda x: (x * 300).sin(),
        lambda x: (10 * x).exp(),
        lambda x: x.abs() ** 1.5,
        lambda x: x.square() * 1e6,
        lambda x: x + 1e6,
    ):
        assert kinks_of(func, leaf(0.0, 0.3, -0.2, 1.0), fast_mode=fast_mode) == ()


@both_modes
@pytest.mark.parametrize("offset", [-4e-7, -3e-8, 3e-8, 4e-7])
def test_a_kink_within_the_step_is_seen_through(offset: float, fast_mode: bool) -> None:
    (kink,) = kinks_of(lambda x: x.relu(), leaf(1.0, offset), fast_mode=fast_mode)
    assert kink.near
    assert kink.input == "input 0, element (1,)"
    assert kink.analytic == (offset > 0)
    assert "within the step" in str(kink)


@pytest.mark.parametrize("offset", [-3e-9, -1e-12, 1e-12, 3e-9])
def test_a_kink_nearer_than_all_steps_counts_as_one_at_the_input(offset: float) -> None:
    (kink,) = kinks_of(lambda x: x.relu(), leaf(1.0, offset))
    assert not kink.near
    assert kink.analytic == (offset > 0)


def test_inputs_are_restored_after_a_look_at_a_kink() -> None:
    x = leaf(0.0, 1.0, 4e-7)
    before = x.detach().numpy().tobytes()
    for fast_mode in (False, True):
        assert kinks_of(lambda x: x.relu(), x, fast_mode=fast_mode)
        assert x.detach().numpy().tobytes() == before


def test_the_caller_may_want_no_kinks() -> None:
    for x in (leaf(1.0, 0.0), leaf(1.0, 4e-7)):
        for fast_mode in (False, True):
            with pytest.raises(GradcheckError, match=r"element \(1,\)[^$]*has a kink .*slopes"):
                gradcheck(lambda x: x.relu(), x, kinks="fail", fast_mode=fast_mode)
    # There the central difference happens to be the analytic value.
    with pytest.raises(GradcheckError, match="slopes -1 from the left, 1 from the right"):
        gradcheck(lambda x: x.abs(), leaf(0.0), kinks="fail")
    assert gradcheck(lambda x: x.relu(), leaf(1.0, 2.0), kinks="fail")
    for check in (gradcheck, gradgradcheck):
        with pytest.raises(ValueError, match="'report' or 'fail', got 'ignore'"):
            check(lambda x: x, leaf(1.0), kinks="ignore")


# -- wrong rules are not excused -------------------------------------------------------------------

WRONG_AT_A_KINK: dict[str, tuple[Callable[..., Any], str]] = {
    "above both slopes": (lambda g, x: tt.where(x >= 0, 1.5 * g, 0.0), "lies outside"),
    "below both slopes": (lambda g, x: tt.where(x > 0, g, -0.5 * g), "lies outside"),
    "wrong to the right": (lambda g, x: tt.where(x > 0, 0.9 * g, 0.0), "one step right of it"),
    "wrong to the left": (lambda g, x: tt.where(x < 0, 0.1 * g, 0.0), "one step left of it"),
    "zero": (lambda g: g * 0, "one step right of it"),
    "half": (lambda g: g * 0.5, "one step left of it"),
    "identity": (lambda g: g, "one step left of it"),
}


@both_modes
@pytest.mark.parametrize("mistake", WRONG_AT_A_KINK)
def test_a_wrong_rule_is_not_excused_by_a_kink(planted: Any, mistake: str, fast_mode: bool) -> None:
    rule, said = WRONG_AT_A_KINK[mistake]
    wrong = planted_relu(planted, rule)
    with pytest.raises(GradcheckError, match=said if not fast_mode else "."):
        # in fast mode the central difference along the direction may be the wrong value itself
        gradcheck(wrong, leaf(0.0), fast_mode=fast_mode and mistake != "half")


def test_any_value_between_the_slopes_is_right(planted: Any) -> None:
    half = planted_relu(planted, lambda g, x: tt.where(x > 0, g, tt.where(x == 0, 0.3 * g, 0.0)))
    (kink,) = kinks_of(half, leaf(0.0, 1.0))
    assert kink.analytic == 0.3


@both_modes
def test_a_wrong_smooth_part_is_not_excused_by_a_kink_beside_it(
    planted: Any, fast_mode: bool
) -> None:
    @planted(lambda g, x: g * tt.cos(x) * 1.01)
    def planted_sine(x: Any) -> Any:
        return np.sin(x)

    with pytest.raises(GradcheckError, match="gradient of input 0"):
        gradcheck(lambda x: x.relu() * 3 + planted_sine(x), leaf(0.0), fast_mode=fast_mode)
    with pytest.raises(GradcheckError, match="gradient of input 0"):
        gradcheck(lambda x: x.relu() + planted_sine(x), leaf(4e-7, -4e-7), fast_mode=fast_mode)
    with pytest.raises(GradcheckError, match=r"input 0, element \(1,\)"):
        gradcheck(lambda x: tt.stack([x[0].abs(), planted_sine(x[1])]), leaf(0.0, 0.4))


def test_a_cancelled_kink_is_no_kink() -> None:
    """relu(x) - relu(-x) is x: its slope at 0 is 1, and the rules give 0."""
    with pytest.raises(GradcheckError) as caught:
        gradcheck(lambda x: x.relu() - (-x).relu(), leaf(0.0))
    assert "kink" not in str(caught.value)


@both_modes
def test_a_jump_is_no_kink(fast_mode: bool) -> None:
    for func in (lambda x: tt.where(x > 0, x + 1, x), lambda x: x.sign() + x):
        with pytest.raises(GradcheckError, match=r"jumps here|With fast_mode=False"):
            gradcheck(func, leaf(0.0, 1.0), fast_mode=fast_mode)
    with pytest.raises(GradcheckError, match="The function jumps here"):
        gradcheck(lambda x: x.sign(), leaf(0.0))


def test_at_second_order_a_kink_is_a_jump_of_the_gradient() -> None:
    for func in (lambda x: x.relu(), lambda x: x.abs(), lambda x: x.amax()):
        with pytest.raises(GradcheckError, match=r"gradgradcheck(.|\n)*jumps here"):
            gradgradcheck(func, leaf(0.0, 0.0))
    with pytest.warns(KinkWarning, match="gradgradcheck: passed, with 1 kink"):
        assert gradgradcheck(lambda x: x.relu() ** 2, leaf(0.0))


def test_an_infinite_slope_is_no_kink() -> None:
    with pytest.raises(GradcheckError):
        gradcheck(lambda x: x.sqrt(), leaf(0.0))
    with pytest.raises(GradcheckError):
        gradcheck(lambda x: x.abs().sqrt(), leaf(0.0), check_undefined_grad=False)


def test_a_network_of_relus_with_zero_biases_passes() -> None:
    """What users meet: dead inputs put every unit of a fresh network on its kink."""
    w = tt.rand((3, 4), dtype=tt.float64).requires_grad_()
    b = tt.zeros(4, dtype=tt.float64).requires_grad_()
    x = tt.zeros((2, 3), dtype=tt.float64)
    with pytest.warns(KinkWarning) as said:
        assert gradcheck(lambda w, b: ((x @ w + b).relu() + b).sum(), (w, b))
    assert {kink.input[:7] for kink in said[0].message.kinks} == {"input 1"}
