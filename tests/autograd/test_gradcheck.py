"""gradcheck passes what is right, catches what is planted, and names where it is."""

import re
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

import tinytensor as tt
from tinytensor.autograd.checking import GradcheckError, gradcheck, gradgradcheck
from tinytensor.autograd.kernel import kernel
from tinytensor.autograd.primitive import PRIMITIVES, primitive
from tinytensor.autograd.scope import Label
from tinytensor.ops.activations import softplus
from tinytensor.tensor import make

both_modes = pytest.mark.parametrize("fast_mode", [False, True], ids=["full", "fast"])


def leaf(*shape: int, low: float = 0.5, high: float = 2.0) -> tt.Tensor:
    return tt.rand(shape, dtype=tt.float64).mul_(high - low).add_(low).requires_grad_()


@pytest.fixture
def planted() -> Iterator[Callable[..., Any]]:
    """`@primitive` whose operations are forgotten at the end: the table's tests list them all."""
    before = set(PRIMITIVES)
    yield primitive
    for name in set(PRIMITIVES) - before:
        del PRIMITIVES[name]


def array_of(x: Any) -> Any:
    return x._array if isinstance(x, tt.Tensor) else x


# -- what is right passes --------------------------------------------------------------------------

GOOD: dict[str, tuple[Callable[..., Any], list[tuple[int, ...]]]] = {
    "add broadcast": (lambda a, b: a + b, [(3, 1), (1, 4)]),
    "mul broadcast": (lambda a, b: a * b, [(2, 1, 3), (4, 1)]),
    "div": (lambda a, b: a / b, [(3,), (2, 3)]),
    "pow": (lambda a, b: a**b, [(2, 3), (3,)]),
    "0-d": (lambda a, b: a * b.exp(), [(), ()]),
    "numbers": (lambda a: 2 - 3 * a / (1 + a), [(4,)]),
    "same input twice": (lambda a: a * a.log(), [(4,)]),
    "tanh": (lambda x: x.tanh(), [(2, 3)]),
    "sigmoid": (lambda x: x.sigmoid(), [(2, 3)]),
    "relu": (lambda x: (x - 1.2345).relu(), [(3, 4)]),
    "softplus": (softplus, [(5,)]),
    "maximum": (tt.maximum, [(3, 4), (4,)]),
    "where": (lambda a, b: tt.where(a > 1.2345, a, b * a), [(3, 4), (4,)]),
    "sum": (lambda x: x.sum(1) * x.sum(), [(2, 3)]),
    "mean": (lambda x: x.mean((0, 2), keepdim=True).square(), [(2, 3, 2)]),
    "amax": (lambda x: x.amax(1).square(), [(3, 4)]),
    "softmax": (lambda x: x.softmax(1), [(2, 3)]),
    "log_softmax": (lambda x: x.log_softmax(0), [(3, 2)]),
    "matmul": (lambda a, b: a @ b, [(2, 3), (3, 4)]),
    "batched matmul": (lambda a, b: a @ b, [(2, 2, 3), (3, 2)]),
    "views": (lambda x: x.reshape(3, 2).transpose(0, 1)[1:, ::2] * x.sum(), [(2, 3)]),
    "steps": (lambda x: tt.stack([x[t] * x[t - 1] for t in range(3)]), [(3, 2)]),
    "in place": (lambda x: x.clone().mul_(x).add_(1).tanh(), [(3,)]),
    "cat": (lambda a, b: tt.cat([b, a, b]).square(), [(2,), (3,)]),
    "split": (lambda x: tt.cat(x.exp().split([1, 4])[::-1]), [(5,)]),
    "identity": (lambda x: x, [(3,)]),
    "empty": (lambda x: x.exp(), [(0, 3)]),
    "unused input": (lambda a, b: a.exp(), [(2,), (3,)]),
}  # fmt: skip


@both_modes
@pytest.mark.parametrize("name", GOOD)
def test_right_gradients_pass_at_both_orders(name: str, fast_mode: bool) -> None:
    func, shapes = GOOD[name]
    inputs = tuple(leaf(*shape) for shape in shapes)
    assert gradcheck(func, inputs, check_grad_dtypes=True, fast_mode=fast_mode)
    assert gradgradcheck(func, inputs, check_grad_dtypes=True, fast_mode=fast_mode)


@both_modes
def test_several_outputs_nested_and_integer_ones(fast_mode: bool) -> None:
    def func(x: Any, y: Any) -> Any:
        return x * y, (x.argmax(), [y.exp(), x > 1]), x.detach()

    assert gradcheck(func, (leaf(3), leaf(3)), fast_mode=fast_mode)
    assert gradgradcheck(func, (leaf(3), leaf(3)), fast_mode=fast_mode)


@both_modes
def test_other_arguments_are_passed_on(fast_mode: bool) -> None:
    def func(x: Any, power: Any, index: Any, factor: Any) -> Any:
        assert power == 2 and factor.dtype is tt.float32
        return x[index] ** power * factor

    inputs = (leaf(3, 2), 2, tt.tensor([2, 0, 2]), tt.tensor([3.0, 4.0]))
    assert gradcheck(func, inputs, fast_mode=fast_mode)
    assert gradgradcheck(func, inputs, fast_mode=fast_mode)


def strided_inputs() -> dict[str, Any]:
    numbers = np.linspace(0.5, 2.0, 12)
    read_only = numbers.reshape(3, 4).copy()
    read_only.flags.writeable = False
    windows = np.lib.stride_tricks.sliding_window_view(numbers[:6], 4)
    return {
        "transposed": numbers.reshape(4, 3).T,
        "sliced": np.linspace(0.5, 2.0, 48).reshape(6, 8)[::2, ::2],
        "reversed": numbers.reshape(3, 4)[::-1],
        "broadcast": np.broadcast_to(numbers[:4], (3, 4)),
        "windows": windows,
        "overlapping": np.lib.stride_tricks.as_strided(numbers.copy(), (3, 4), (8, 8)),
        "read-only": read_only,
    }


@both_modes
@pytest.mark.parametrize("name", strided_inputs())
def test_any_memory_layout_is_checked_and_given_back(name: str, fast_mode: bool) -> None:
    array = strided_inputs()[name]
    before = array.tobytes()
    x = make(array, requires_grad=True)  # from_numpy takes no steps backwards
    weights = leaf(4, 2)

    def func(x: Any, w: Any) -> Any:
        return (x @ w).tanh() * x.sum(1, True)

    assert gradcheck(func, (x, weights), fast_mode=fast_mode)
    assert gradgradcheck(func, (x, weights), fast_mode=fast_mode)
    assert x.detach().numpy() is array
    assert array.tobytes() == before


@both_modes
def test_the_numeric_derivative_is_as_exact_as_differences_can_be(fast_mode: bool) -> None:
    x = tt.tensor([0.1, 0.7, 1.3, -0.4], dtype=tt.float64, requires_grad=True)
    options = {"atol": 0.0, "rtol": 1e-8, "fast_mode": fast_mode}
    assert gradcheck(lambda x: (x * x.sum()).sin(), x, eps=1e-5, **options)
    # 1e6 + eps is rounded, so the step must be the one that was really taken
    assert gradcheck(lambda x: (x - 1e6).sum() * 2, x + 1e6, eps=1e-3, **options)


@both_modes
def test_an_input_that_was_computed_is_checked(fast_mode: bool) -> None:
    base = leaf(2, 3)
    assert gradcheck(lambda x: x.square(), base * 2, fast_mode=fast_mode)
    assert gradcheck(lambda x: x.square(), base[1:], fast_mode=fast_mode)
    assert gradgradcheck(lambda x: x.square(), base * 2, fast_mode=fast_mode)
    assert base.grad is None


# -- planted mistakes are caught -------------------------------------------------------------------


def sine(planted: Any, *rules: Any) -> Any:
    @planted(*rules)
    def planted_sine(x: Any) -> Any:
        return np.sin(x)

    return planted_sine


def product(planted: Any, *rules: Any) -> Any:
    @planted(*rules)
    def planted_product(a: Any, b: Any) -> Any:
        return a * b

    return planted_product


@both_modes
def test_the_plants_themselves_are_right_when_their_rules_are(
    planted: Any, fast_mode: bool
) -> None:
    right = sine(planted, lambda g, x: g * tt.cos(x))
    assert gradcheck(right, leaf(2, 3), fast_mode=fast_mode)
    assert gradgradcheck(right, leaf(2, 3), fast_mode=fast_mode)


WRONG = {
    "sign": lambda g, x: -g * tt.cos(x),
    "scale": lambda g, x: g * tt.cos(x) * 1.01,
    "missing factor": lambda g: g,
    "missing term": lambda g, x: g * (tt.cos(x) - 0.5),
    "other function": lambda g, x: g * tt.sin(x),
    "zero": lambda g: g * 0,
    "not a number": lambda g: g * float("nan"),
    "infinite": lambda g: g / 0.0,
}


@both_modes
@pytest.mark.parametrize("mistake", WRONG)
def test_a_wrong_rule_is_caught(planted: Any, mistake: str, fast_mode: bool) -> None:
    wrong = sine(planted, WRONG[mistake])
    with pytest.raises(GradcheckError, match="Wrong: the gradient of input 0"):
        gradcheck(wrong, leaf(2, 3), fast_mode=fast_mode, check_undefined_grad=False)
    assert not gradcheck(wrong, leaf(2, 3), fast_mode=fast_mode, raise_exception=False)


@both_modes
@pytest.mark.parametrize("mistake", WRONG)
def test_a_wrong_rule_is_caught_deep_inside(planted: Any, mistake: str, fast_mode: bool) -> None:
    wrong = sine(planted, WRONG[mistake])
    with pytest.raises(GradcheckError):
        gradcheck(lambda x: (wrong(x * 2).exp() @ x).sum(), leaf(3, 3), fast_mode=fast_mode)


@both_modes
def test_the_wrong_one_of_two_inputs_is_named(planted: Any, fast_mode: bool) -> None:
    wrong = product(planted, lambda g, b: g * b, lambda g, b: g * b)
    with pytest.raises(GradcheckError, match=r"Wrong: the gradient of input 1\."):
        gradcheck(wrong, (leaf(2, 3), leaf(3)), fast_mode=fast_mode)


@both_modes
def test_a_lost_gradient_is_caught(planted: Any, fast_mode: bool) -> None:
    with pytest.raises(GradcheckError, match=r"input 0"):
        gradcheck(lambda x: x * x.detach(), leaf(3), fast_mode=fast_mode)
    no_rule = sine(planted, None)
    with pytest.raises(GradcheckError, match="No output of func is in the graph"):
        gradcheck(no_rule, leaf(3), fast_mode=fast_mode)
    half = product(planted, lambda g, b: g * b, None)
    with pytest.raises(GradcheckError, match=r"Wrong: the gradient of input 1\."):
        gradcheck(half, (leaf(3), leaf(3)), fast_mode=fast_mode)


@both_modes
def test_a_function_outside_the_graph_passes_when_its_slope_is_zero(fast_mode: bool) -> None:
    assert gradcheck(lambda x: tt.sign(x).detach(), leaf(3), fast_mode=fast_mode)
    assert gradcheck(lambda x: x > 1, leaf(3), fast_mode=fast_mode)


@both_modes
def test_one_wrong_element_of_many_is_caught(planted: Any, fast_mode: bool) -> None:
    spot = np.zeros((8, 9))
    spot[5, 7] = 0.25
    wrong = sine(planted, lambda g, x: g * tt.cos(x) + g * spot)
    with pytest.raises(GradcheckError):
        gradcheck(wrong, leaf(8, 9), fast_mode=fast_mode)


def second_order_only(planted: Any) -> Any:
    """sin with the right gradient, whose own derivative has the wrong sign."""

    @planted(lambda g, x: g * tt.sin(x))
    def planted_cosine(x: Any) -> Any:
        return np.cos(x)

    return sine(planted, lambda g, x: g * planted_cosine(x))


@both_modes
def test_a_mistake_of_second_order_only_is_for_gradgradcheck(planted: Any, fast_mode: bool) -> None:
    wrong = second_order_only(planted)
    assert gradcheck(wrong, leaf(2, 3), fast_mode=fast_mode)
    with pytest.raises(GradcheckError, match=r"\n  input 0.*\n  gradient of input 0"):
        gradgradcheck(wrong, leaf(2, 3), fast_mode=fast_mode)
    assert not gradgradcheck(wrong, leaf(2, 3), fast_mode=fast_mode, raise_exception=False)


@both_modes
def test_a_gradient_that_forgets_its_upstream_at_second_order_is_caught(
    planted: Any, fast_mode: bool
) -> None:
    def rule(g: Any, x: Any) -> Any:
        return (make(array_of(g)) if _is_tensor(g) else g) * tt.cos(x)

    wrong = sine(planted, rule)
    assert gradcheck(wrong, leaf(3), fast_mode=fast_mode)
    with pytest.raises(GradcheckError, match="grad_output 0"):
        gradgradcheck(wrong, leaf(3), fast_mode=fast_mode)


def _is_tensor(g: Any) -> bool:
    return isinstance(g, tt.Tensor)


@both_modes
def test_a_rule_with_a_hidden_state_is_not_reentrant(planted: Any, fast_mode: bool) -> None:
    calls = []

    def rule(g: Any, x: Any) -> Any:
        calls.append(g)
        return g * tt.cos(x) * (1 + len(calls) % 2)

    wrong = sine(planted, rule)
    with pytest.raises(GradcheckError, match="not reentrant"):
        gradcheck(lambda x: wrong(x) * 2, leaf(3), fast_mode=fast_mode)


@both_modes
def test_a_rule_that_changes_what_it_saved_is_not_reentrant(planted: Any, fast_mode: bool) -> None:
    def rule(g: Any, y: Any) -> Any:
        result = g * y
        array_of(y)[...] *= 2
        return result

    @planted(rule)
    def planted_exp(x: Any) -> Any:
        return np.exp(x)

    with pytest.raises(GradcheckError, match="not reentrant"):
        gradcheck(lambda x: planted_exp(x) * 2, leaf(3), fast_mode=fast_mode)


def test_nondet_tol_allows_a_little(planted: Any) -> None:
    calls = []

    def rule(g: Any, x: Any) -> Any:
        calls.append(g)
        return g * tt.cos(x) * (1 + len(calls) % 2 * 1e-9)

    wrong = sine(planted, rule)
    assert gradcheck(wrong, leaf(3), nondet_tol=1e-6)
    with pytest.raises(GradcheckError, match="not reentrant"):
        gradcheck(wrong, leaf(3))


@both_modes
def test_a_rule_that_changes_its_g_is_caught(planted: Any, fast_mode: bool) -> None:
    def rule(g: Any, x: Any) -> Any:
        result = g * tt.cos(x)
        array_of(g)[...] *= 2
        return result

    wrong = sine(planted, rule)
    with pytest.raises(GradcheckError, match="upstream gradient alone"):
        gradcheck(wrong, leaf(3), fast_mode=fast_mode)


@both_modes
def test_a_rule_that_borrows_its_g_as_scratch_is_caught(planted: Any, fast_mode: bool) -> None:
    def rule(g: Any, x: Any) -> Any:
        array_of(g)[...] *= 2
        result = g * tt.cos(x) * 0.5
        array_of(g)[...] /= 2
        return result

    wrong = sine(planted, rule)
    with pytest.raises(ValueError, match="read-only"):
        gradcheck(wrong, leaf(3), fast_mode=fast_mode)


@both_modes
def test_a_rule_that_changes_an_input_is_caught_and_undone(planted: Any, fast_mode: bool) -> None:
    def rule(g: Any, x: Any) -> Any:
        result = g * tt.cos(x)
        array_of(x)[...] += 1
        return result

    wrong = sine(planted, rule)
    x = leaf(3)
    before = x.tolist()
    with pytest.raises(GradcheckError, match="the backward pass to leave its inputs alone"):
        gradcheck(wrong, x, fast_mode=fast_mode)
    assert x.tolist() == before


@both_modes
def test_a_rule_that_is_not_linear_in_g_is_caught(planted: Any, fast_mode: bool) -> None:
    wrong = sine(planted, lambda g, x: g * tt.cos(x) + 0.25)
    with pytest.raises(GradcheckError, match=r"upstream gradient of zero to give zero, got 0\.25"):
        gradcheck(wrong, leaf(3), fast_mode=fast_mode)


@both_modes
def test_a_rule_that_minds_the_layout_of_g_is_caught(planted: Any, fast_mode: bool) -> None:
    def rule(g: Any, x: Any) -> Any:
        memory = array_of(g)
        as_if_dense = np.lib.stride_tricks.as_strided(memory, strides=(memory.itemsize,))
        return np.array(as_if_dense) * tt.cos(x)

    wrong = sine(planted, rule)
    with pytest.raises(GradcheckError, match="not contiguous"):
        gradcheck(wrong, leaf(3), fast_mode=fast_mode)


@both_modes
def test_a_rule_that_differs_under_create_graph_is_caught(planted: Any, fast_mode: bool) -> None:
    wrong = sine(planted, lambda g, x: g * tt.cos(x) * (2 if _is_tensor(g) else 1))
    with pytest.raises(GradcheckError, match="create_graph=True"):
        gradcheck(wrong, leaf(3), fast_mode=fast_mode)


@both_modes
def test_a_gradient_of_another_shape_is_caught(planted: Any, fast_mode: bool) -> None:
    smaller = sine(planted, lambda g, x: (g * tt.cos(x)).sum())
    with pytest.raises(RuntimeError, match=r"planted_sine: its rule gave a gradient of shape \(\)"):
        gradcheck(smaller, leaf(3), fast_mode=fast_mode)

    turned = product(planted, lambda g, b: tt.transpose(g * b, 0, 1), lambda g, a: g * a)
    with pytest.raises(RuntimeError, match=r"gradient of shape \(3, 2\) for an input of shape"):
        gradcheck(turned, (leaf(2, 3), leaf(2, 3)), fast_mode=fast_mode)
    with pytest.raises(GradcheckError):  # a square one fits, and is wrong
        gradcheck(turned, (leaf(3, 3), leaf(3, 3)), fast_mode=fast_mode)


@both_modes
def test_the_dtype_of_a_gradient_is_checked_on_request(planted: Any, fast_mode: bool) -> None:
    narrow = sine(planted, lambda g, x: (g * tt.cos(x)).astype(np.float32) if not _is_tensor(g)
                  else (g * tt.cos(x)).float())  # fmt: skip
    assert gradcheck(narrow, leaf(3), fast_mode=fast_mode)
    with pytest.raises(GradcheckError, match="dtype float64, got float32"):
        gradcheck(narrow, leaf(3), fast_mode=fast_mode, check_grad_dtypes=True)


# -- kernels ---------------------------------------------------------------------------------------


def tanh_kernel(
    factor: float = 1.0, reference_factor: float = 1.0, forgets_missing: bool = False
) -> Any:
    """(tanh x, sin x), whose gradient or reference is off by a factor."""

    def backward(g: Any, saved: Any, arrays: Any, needs: Any) -> Any:
        (x,) = arrays
        first = 0 if g[0] is None else g[0] * (1 - saved**2)
        if g[1] is None and forgets_missing:
            return (np.zeros_like(x),)
        second = 0 if g[1] is None else g[1] * np.cos(x)
        return ((first + second) * factor,)

    @kernel(
        backward=backward,
        reference=lambda x: (x.tanh() * reference_factor, x.sin() * reference_factor),
        outputs=("tanh", "sin"),
    )
    def planted_kernel(x: Any) -> Any:
        y = np.tanh(x)
        return (y, np.sin(x)), y.copy()

    return planted_kernel


@both_modes
def test_kernels_are_checked_at_both_orders(fast_mode: bool) -> None:
    assert gradcheck(tanh_kernel(), leaf(2, 3), fast_mode=fast_mode)
    assert gradgradcheck(tanh_kernel(), leaf(2, 3), fast_mode=fast_mode)


@both_modes
def test_a_wrong_kernel_is_caught(fast_mode: bool) -> None:
    with pytest.raises(GradcheckError, match="create_graph=True"):
        gradcheck(tanh_kernel(factor=2.0), leaf(2, 3), fast_mode=fast_mode)
    with pytest.raises(GradcheckError, match="create_graph=True"):
        gradcheck(tanh_kernel(reference_factor=2.0), leaf(2, 3), fast_mode=fast_mode)
    with pytest.raises(GradcheckError, match="analytic"):
        gradcheck(tanh_kernel(2.0, 2.0), leaf(2, 3), fast_mode=fast_mode)


@both_modes
def test_a_kernel_that_mistakes_an_unused_output_is_caught(fast_mode: bool) -> None:
    with pytest.raises(GradcheckError, match="output 0"):
        gradcheck(tanh_kernel(forgets_missing=True), leaf(2, 3), fast_mode=fast_mode)


# -- what a failure says ---------------------------------------------------------------------------


def test_the_failure_names_the_planted_element(planted: Any) -> None:
    spot = np.zeros((2, 3))
    spot[1, 2] = 0.25
    wrong = sine(planted, lambda g, x: g * tt.cos(x) + g * spot)
    x = leaf(2, 3)
    slope = np.cos(x.detach().numpy()[1, 2])
    with pytest.raises(GradcheckError) as caught:
        gradcheck(lambda a, b: (a.sum(), wrong(b)), (leaf(2), x), eps=1e-5)
    text = str(caught.value)
    assert "\n  input 1, element (1, 2)\n  output 1, element (1, 2)\n" in text
    numbers = dict(re.findall(r"^  (\w[\w ]*\w) {2,}([-\d.e]+)", text, re.MULTILINE))
    assert float(numbers["analytic"]) == pytest.approx(slope + 0.25, rel=1e-9)
    assert float(numbers["numeric"]) == pytest.approx(slope, rel=1e-6)
    assert float(numbers["absolute error"]) == pytest.approx(0.25, rel=1e-2)
    assert float(numbers["relative error"]) == pytest.approx(0.25 / (slope + 0.25), rel=1e-2)
    assert float(numbers["step size"]) == 1e-5
    assert "Wrong: the gradient of input 1.\n1 of the 36 elements" in text


def test_the_worst_of_several_wrong_gradients_is_reported(planted: Any) -> None:
    wrong = product(planted, lambda g, b: g * b * 1.5, lambda g, a: g * a * 3)
    for first, second, worst in ((1.0, 1.0, 1), (1.0, 9.0, 0)):
        a = tt.tensor([first], dtype=tt.float64, requires_grad=True)
        b = tt.tensor([second], dtype=tt.float64, requires_grad=True)
        with pytest.raises(GradcheckError) as caught:
            gradcheck(lambda a, b: (a * b, wrong(a, b)), (a, b))
        text = str(caught.value)
        assert f"\n  input {worst}, element (0,)\n  output 1, element (0,)\n" in text
        assert "Wrong: the gradient of input 0, input 1.\n" in text


def test_the_failure_names_a_parameter_by_its_path(planted: Any) -> None:
    class Weight(tt.Tensor):
        _label = Label("Parameter", "weight_hh_l0", Label("LSTM", "lstm", Label("Model")))

    wrong = sine(planted, lambda g: g)
    weight = leaf(2)
    weight.__class__ = Weight
    with pytest.raises(GradcheckError, match=r"input 1 'lstm\.weight_hh_l0', element \("):
        gradcheck(lambda x, w: x * wrong(w), (leaf(2), weight))
    with pytest.raises(GradcheckError, match=r"gradient of input 1 'lstm\.weight_hh_l0'"):
        gradgradcheck(lambda x, w: x * wrong(w), (leaf(2), weight))


def test_the_fast_mode_says_how_to_find_the_element(planted: Any) -> None:
    wrong = sine(planted, lambda g: g)
    with pytest.raises(GradcheckError) as caught:
        gradcheck(lambda a, b: (a, wrong(b)), (leaf(2), leaf(3)), fast_mode=True)
    text = str(caught.value)
    assert "input 1, along a random direction\n" in text
    assert "output 1, its elements weighted at random\n" in text
    assert re.search(r"analytic  .*\n  numeric  ", text)
    assert text.endswith("With fast_mode=False the check names the element.")


def test_the_tolerance_is_atol_and_rtol_of_the_numeric_value(planted: Any) -> None:
    a_little_wrong = sine(planted, lambda g, x: g * tt.cos(x) * 1.0005)
    x = leaf(3, high=1.0)
    assert gradcheck(a_little_wrong, x)
    assert not gradcheck(a_little_wrong, x, rtol=1e-4, raise_exception=False)
    assert gradcheck(a_little_wrong, x, rtol=0.0, atol=1e-3)
    assert not gradcheck(a_little_wrong, x, rtol=0.0, atol=1e-4, raise_exception=False)
    nearly_double = product(planted, lambda g: g * 1.9, None)
    factor = tt.ones(3, dtype=tt.float64)
    assert not gradcheck(nearly_double, (x, factor), rtol=0.5, atol=0.0, raise_exception=False)
    assert gradcheck(nearly_double, (x, factor), rtol=0.91, atol=0.0)


# -- inputs and the world are left as they were ----------------------------------------------------


@both_modes
def test_a_closure_over_its_own_parameters_is_checked(planted: Any, fast_mode: bool) -> None:
    w = leaf(3, 3)
    w_turned = w.t()  # on w's memory, made before
    x = tt.rand(2, 3, dtype=tt.float64)
    before = w.detach().numpy().tobytes()
    version = w._version

    def loss(*_: Any) -> Any:
        return ((x @ w).tanh() @ w).square().mean()

    assert gradcheck(loss, [w], fast_mode=fast_mode)
    assert gradgradcheck(loss, [w], fast_mode=fast_mode)
    assert gradcheck(lambda *_: w_turned.exp(), w, fast_mode=fast_mode)
    wrong = sine(planted, lambda g: g)
    with pytest.raises(GradcheckError):
        gradcheck(lambda *_: wrong(w), (w,), fast_mode=fast_mode)
    assert w.detach().numpy().tobytes() == before
    assert w._version == version
    assert w.grad is None


@both_modes
@pytest.mark.parametrize("dtype", [tt.float32, tt.float64])
def test_inputs_are_restored_when_func_raises(fast_mode: bool, dtype: tt.dtype) -> None:
    x = tt.rand(5, dtype=dtype, requires_grad=True)
    array = x.detach().numpy()
    before = array.tobytes()
    calls = []

    def func(x: Any) -> Any:
        calls.append(x)
        if len(calls) == 4:
            raise KeyError("in the middle")
        return x.exp()

    with pytest.raises(KeyError), pytest.warns() if dtype is tt.float32 else nullcontext():
        gradcheck(func, x, fast_mode=fast_mode)
    assert x.detach().numpy() is array
    assert array.tobytes() == before


@both_modes
def test_float32_is_lifted_and_said_so(fast_mode: bool) -> None:
    x = tt.rand(3, 4, requires_grad=True)
    w = tt.rand(4, requires_grad=True)
    constant = tt.rand(4)
    rows = tt.tensor([2, 0])
    seen = set()

    def func(*_: Any) -> Any:
        seen.update({x.dtype, w.dtype, constant.dtype})
        assert rows.dtype is tt.int64
        return (x[rows] * w + constant).sin()

    arrays = [t.detach().numpy() for t in (x, w, constant)]
    with pytest.warns(UserWarning, match=r"input 0 .*float32\), input 1 .*float64") as said:
        assert gradcheck(func, (x, w, constant, rows), atol=1e-9, rtol=1e-7, fast_mode=fast_mode)
    assert len(said) == 1 and said[0].filename == __file__
    with pytest.warns(UserWarning, match="gradgradcheck"):
        assert gradgradcheck(
            func, (x, w, constant, rows), atol=1e-8, rtol=1e-7, fast_mode=fast_mode
        )
    assert seen == {tt.float64}
    assert all(t.detach().numpy() is a for t, a in zip((x, w, constant), arrays, strict=True))


def test_the_warning_stays_short() -> None:
    inputs = tuple(tt.rand(2, requires_grad=True) for _ in range(9))
    with pytest.warns(UserWarning, match=r"input 2 \(tinytensor.float32\) and 6 more; checked"):
        assert gradcheck(lambda *x: sum(x), inputs)


@both_modes
def test_a_wrong_rule_is_caught_in_lifted_parameters(planted: Any, fast_mode: bool) -> None:
    wrong = sine(planted, lambda g, x: g * tt.cos(x) * 1.01)
    w = tt.rand(4, requires_grad=True)
    with pytest.warns(UserWarning), pytest.raises(GradcheckError, match="input 0"):
        gradcheck(lambda *_: wrong(w), w, fast_mode=fast_mode)


@both_modes
def test_the_random_stream_is_fixed_inside_and_untouched_outside(fast_mode: bool) -> None:
    x = leaf(4, 5)
    tt.manual_seed(3)
    expected = tt.rand(2).tolist()
    masks = set()

    def dropped(x: Any) -> Any:
        mask = tt.rand(4, 5) > 0.5
        masks.add(mask.detach().numpy().tobytes())
        return x.square() * mask

    tt.manual_seed(3)
    assert gradcheck(dropped, x, fast_mode=fast_mode)
    assert len(masks) == 1
    assert tt.rand(2).tolist() == expected
    tt.manual_seed(3)
    assert gradgradcheck(dropped, x, fast_mode=fast_mode)
    assert tt.rand(2).tolist() == expected


def test_the_fast_mode_is_the_same_every_time(planted: Any) -> None:
    wrong = sine(planted, lambda g: g)
    x = leaf(3)
    texts = set()
    for seed in range(3):
        tt.manual_seed(seed)
        with pytest.raises(GradcheckError) as caught:
            gradcheck(wrong, x, fast_mode=True)
        texts.add(str(caught.value))
    assert len(texts) == 1


@both_modes
def test_grad_is_left_alone(fast_mode: bool) -> None:
    x = leaf(3)
    x.square().sum().backward()
    held = x.grad
    before = held.tolist()
    gradcheck(lambda x: x.exp(), x, fast_mode=fast_mode)
    gradgradcheck(lambda x: x.exp(), x, fast_mode=fast_mode)
    assert x.grad is held and held.tolist() == before


@both_modes
def test_it_records_under_no_grad_as_well(planted: Any, fast_mode: bool) -> None:
    wrong = sine(planted, lambda g: g)
    x = leaf(3)
    with tt.no_grad():
        assert gradcheck(lambda x: x.exp(), x, fast_mode=fast_mode)
        with pytest.raises(GradcheckError, match="analytic"):
            gradcheck(wrong, x, fast_mode=fast_mode)
        assert not tt.is_grad_enabled()


# -- functions that can't be checked ---------------------------------------------------------------


@both_modes
def test_func_must_not_change_its_inputs(fast_mode: bool) -> None:
    x = leaf(3)
    counts = tt.tensor([1, 2, 3])
    before = x.tolist()

    def steps(x: Any, counts: Any) -> Any:
        with tt.no_grad():
            x.mul_(0.5)
        return x.exp()

    def counts_up(x: Any, counts: Any) -> Any:
        counts.add_(1)
        return x * counts

    with pytest.raises(GradcheckError, match=r"func to leave its inputs alone, got .* input 0"):
        gradcheck(steps, (x, counts), fast_mode=fast_mode)
    with pytest.raises(GradcheckError, match="input 1"):
        gradcheck(counts_up, (x, counts), fast_mode=fast_mode)
    assert x.tolist() == before
    assert counts.tolist() == [1, 2, 3]


@both_modes
def test_func_must_repeat_itself(fast_mode: bool) -> None:
    own = tt.Generator().manual_seed(0)
    with pytest.raises(GradcheckError, match="same output 1 on the same inputs"):
        gradcheck(lambda x: (x, x * tt.rand(3, generator=own)), leaf(3), fast_mode=fast_mode)
    sizes = iter(range(1, 9))
    with pytest.raises(GradcheckError, match=r"shapes \[\(1, 3\)\] .* got \[\(2, 3\)\]"):
        gradcheck(lambda x: x.expand(next(sizes), 3), leaf(3), fast_mode=fast_mode)


@both_modes
def test_a_step_that_rounding_swallows_is_an_error(fast_mode: bool) -> None:
    huge = tt.tensor([1.0, 1e12], dtype=tt.float64, requires_grad=True)
    with pytest.raises(GradcheckError, match="larger eps"):
        gradcheck(lambda x: x * 2, huge, fast_mode=fast_mode)
    assert gradcheck(lambda x: x * 2, huge, eps=1.0, fast_mode=fast_mode)


@both_modes
def test_infinite_values_fail_without_a_warning(fast_mode: bool) -> None:
    x = tt.tensor([0.0, float("inf"), float("nan")], dtype=tt.float64, requires_grad=True)
    for i in range(3):
        assert not gradcheck(
            lambda x: x.sqrt() * 1e308, x[i], raise_exception=False, fast_mode=fast_mode
        )


@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
def test_something_must_require_grad(check: Any) -> None:
    for inputs in (tt.rand(3), (), (tt.tensor([1, 2]), 3.0), [tt.rand(3), None]):
        with pytest.raises(ValueError, match="at least one input tensor to require gradient"):
            check(lambda *x: x[0] * 2, inputs)


@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
def test_func_must_give_tensors(check: Any) -> None:
    for result in (3.0, None, np.ones(2), {"y": 1}):
        with pytest.raises(TypeError, match=f"func to return Tensors.*{type(result).__name__}"):
            check(lambda x, result=result: (x, result), leaf(2))


def test_inputs_come_as_a_tensor_a_list_or_an_iterator() -> None:
    x, y = leaf(2), leaf(2)
    for inputs in ((x, y), [x, y], iter([x, y]), (t for t in (x, y))):
        assert gradcheck(lambda a, b: a * b, inputs)
    assert gradcheck(lambda a: a.exp(), x)


def test_gradgradcheck_takes_upstream_gradients() -> None:
    x = leaf(3)
    assert gradgradcheck(lambda x: (x**3, x.exp()), x, (leaf(3), tt.ones(3, dtype=tt.float64)))
    with pytest.warns(UserWarning, match="gradgradcheck: .*input 1"):
        assert gradgradcheck(lambda x: x**3, x, tt.ones(3, requires_grad=True))
    with pytest.raises(ValueError, match="for each of the 2 outputs in the graph, got 1"):
        gradgradcheck(lambda x: (x**3, x.exp()), x, leaf(3))


# -- as torch judges -------------------------------------------------------------------------------

JUDGED: dict[str, Callable[..., Any]] = {
    "right": lambda x, y: (x * y).sigmoid(),
    "several": lambda x, y: (x * y, x.exp()),
    "list": lambda x, y: [x * y],
    "lost factor": lambda x, y: x * x.detach() + y,
    "lost everywhere": lambda x, y: x.detach() * y.detach(),
    "detached beside a right one": lambda x, y: (x * y, x.detach() * 3),
    "unused": lambda x, y: x.exp(),
    "constant": lambda x, y: (x * 0 + 1) * y,
}


@both_modes
@pytest.mark.parametrize("name", JUDGED)
def test_the_verdict_is_that_of_torch(name: str, fast_mode: bool) -> None:
    torch = pytest.importorskip("torch")
    func = JUDGED[name]
    arrays = [np.linspace(0.5, 2.0, 4), np.linspace(1.5, 3.0, 4)]
    theirs = tuple(torch.tensor(a, requires_grad=True) for a in arrays)
    ours = tuple(tt.tensor(a, requires_grad=True) for a in arrays)
    options = {"raise_exception": False, "fast_mode": fast_mode}
    assert gradcheck(func, ours, **options) == torch.autograd.gradcheck(func, theirs, **options)
    if name != "lost everywhere":  # torch fails on it with a TypeError of its own
        assert gradgradcheck(func, ours, **options) == torch.autograd.gradgradcheck(
            func, theirs, **options
        )
