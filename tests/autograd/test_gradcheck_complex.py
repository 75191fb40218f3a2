"""The complex step: gradients to rounding, no step to tune, and what is not analytic is named."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tinytensor as tt
from tests.ops.table import ROWS, Row
from tinytensor import nn
from tinytensor.autograd import GradcheckError, gradcheck, gradgradcheck
from tinytensor.autograd.primitive import PRIMITIVES, primitive
from tinytensor.tensor import make

both_modes = pytest.mark.parametrize("fast_mode", [False, True], ids=["full", "fast"])
both_orders = pytest.mark.parametrize("check", [gradcheck, gradgradcheck])

# Refused, in at least one of their rows: no analytic function, or none that NumPy has.
REFUSED = {
    "_vector_norm", "abs", "atan2", "cast", "ceil", "div_rounded", "erf", "floor", "floor_divide",
    "frac", "gelu", "logcumsumexp", "remainder", "sign", "svd", "trunc",
}  # fmt: skip


def is_smooth(row: Row) -> bool:
    """Whether it has derivatives, at inputs that were not chosen to have ties."""
    by_hand = any(s.kind == "data" and np.asarray(s.data).dtype.kind == "f" for s in row.inputs)
    rules = row.op in PRIMITIVES and any(PRIMITIVES[row.op].rules)
    return rules and not by_hand and any(a.dtype.kind == "f" for a in row.arrays())


SMOOTH = [row for row in ROWS if is_smooth(row)]


def leaves(row: Row) -> tuple[tt.Tensor, ...]:
    return tuple(make(array).requires_grad_(array.dtype.kind == "f") for array in row.arrays())


def leaf(*shape: int) -> tt.Tensor:
    return tt.rand(shape, dtype=tt.float64).add_(0.5).requires_grad_()


@pytest.fixture
def planted() -> Iterator[Callable[..., Any]]:
    before = set(PRIMITIVES)
    yield primitive
    for name in set(PRIMITIVES) - before:
        del PRIMITIVES[name]


# -- every operation -------------------------------------------------------------------------------


@both_orders
@pytest.mark.parametrize("row", SMOOTH, ids=[row.label for row in SMOOTH])
def test_every_rule_is_exact_or_its_operation_refused_by_name(check: Any, row: Row) -> None:
    inputs = leaves(row)
    outputs = row.call(tt, *inputs)
    if not any(y.requires_grad for y in outputs) or not all(y.isfinite().all() for y in outputs):
        return
    try:
        check(lambda *x: tuple(row.call(tt, *x)), inputs, complex_step=True, fast_mode=True)
    except GradcheckError as error:
        named = re.search(
            r"expected analytic operations for the complex step, got (\w+)", str(error)
        )
        assert named is not None, error
        assert named[1] in REFUSED


def test_what_is_analytic_is_not_refused() -> None:
    names = (
        "tanh sigmoid exp log matmul linear softmax log_softmax logsumexp prod cumprod _var _std "
        "pow sqrt logit"
    )
    for name in names.split():
        rows = [row for row in SMOOTH if row.op == name]
        row = next(row for row in rows if all(array.ndim > 0 for array in row.arrays()))
        assert gradcheck(
            lambda *x, row=row: tuple(row.call(tt, *x)), leaves(row), complex_step=True
        )


# -- whole models ----------------------------------------------------------------------------------


@both_modes
@both_orders
def test_a_recurrent_model_and_its_fused_loss_are_exact(check: Any, fast_mode: bool) -> None:
    lstm = nn.LSTM(2, 2, num_layers=2, bidirectional=True, dtype=tt.float64)
    head = nn.Linear(4, 3, dtype=tt.float64)
    targets = tt.tensor([0, 2])

    def loss(x: tt.Tensor, *_: tt.Tensor) -> tt.Tensor:
        outputs, _ = lstm(x)
        return nn.functional.cross_entropy(head(outputs[-1]), targets)

    inputs = (leaf(2, 2, 2), lstm.weight_hh_l0, head.bias) if fast_mode else (leaf(2, 2, 2),)
    assert check(loss, inputs, complex_step=True, fast_mode=fast_mode)


def test_parameters_and_constants_that_are_no_inputs_may_meet_the_complex_input() -> None:
    layer = nn.Linear(3, 2, dtype=tt.float64)
    scale = tt.rand(2, dtype=tt.float64)
    assert gradcheck(lambda x: layer(x).tanh() * scale, (leaf(4, 3),), complex_step=True)


@both_modes
def test_the_piece_at_the_input_is_taken(fast_mode: bool) -> None:
    x = tt.tensor([-1.5, 0.5, 2.0], dtype=tt.float64, requires_grad=True)
    functions = [
        lambda x: x.relu(),
        lambda x: tt.where(x > 1, x * x, -x),
        lambda x: x.clamp(-1, 1),
        lambda x: x.amax(),
    ]
    for function in functions:
        assert gradcheck(function, (x,), complex_step=True, fast_mode=fast_mode)


# -- what is wrong ---------------------------------------------------------------------------------


@both_modes
def test_an_error_in_the_ninth_digit_is_seen(planted: Any, fast_mode: bool) -> None:
    @planted(lambda g, x: g * x * (2 + 1e-9))
    def nearly_square(x: Any) -> Any:
        return x * x

    x = leaf(3)
    assert gradcheck(nearly_square, (x,), fast_mode=fast_mode)
    with pytest.raises(GradcheckError, match=r"step size +complex"):
        gradcheck(nearly_square, (x,), complex_step=True, fast_mode=fast_mode)


def test_the_wrong_element_is_named(planted: Any) -> None:
    @planted(lambda g, x: g * tt.cos(x) * (1 + (x > 1.4)))
    def sine(x: Any) -> Any:
        return np.sin(x)

    x = tt.tensor([0.5, 1.0, 1.5], dtype=tt.float64, requires_grad=True)
    with pytest.raises(GradcheckError, match=r"input 0, element \(2,\)"):
        gradcheck(sine, (x,), complex_step=True)


def test_a_rule_that_is_wrong_at_second_order_only_is_seen(planted: Any) -> None:
    @planted(lambda g, x, y: g * y.detach() if isinstance(y, tt.Tensor) else g * y)
    def frozen_exp(x: Any) -> Any:
        return np.exp(x)

    x = leaf(2)
    assert gradcheck(lambda x: frozen_exp(x), (x,), complex_step=True)
    with pytest.raises(GradcheckError):
        gradgradcheck(lambda x: frozen_exp(x), (x,), complex_step=True)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("abs", lambda x: x.abs()),
        ("sign", lambda x: x * x.sign()),
        ("floor", lambda x: x.floor()),
        ("erf", lambda x: tt.erf(x)),
        ("cast", lambda x: x.float()),
    ],
)
def test_what_is_not_analytic_is_refused_with_the_cure(name: str, function: Any) -> None:
    with pytest.raises(GradcheckError, match=rf"got {name}, .*complex_step=False"):
        gradcheck(function, (leaf(3),), complex_step=True)
    assert gradcheck(function, (leaf(3),), complex_step=True, raise_exception=False) is False


def test_tolerances_can_be_given(planted: Any) -> None:
    @planted(lambda g, x: g * x * (2 + 1e-9))
    def almost_square(x: Any) -> Any:
        return x * x

    assert gradcheck(almost_square, (leaf(3),), complex_step=True, rtol=1e-8)


# -- nothing is left behind ------------------------------------------------------------------------


def test_inputs_are_restored_and_no_complex_type_is_left() -> None:
    x = leaf(3)
    memory, before = x._array, x._array.copy()
    gradcheck(lambda x: x.exp(), (x,), complex_step=True)
    with pytest.raises(GradcheckError):
        gradcheck(lambda x: x.abs(), (x,), complex_step=True)
    assert x._array is memory
    np.testing.assert_array_equal(x._array, before)
    with pytest.raises(TypeError, match="complex128"):
        tt.tensor(np.ones(2, np.complex128))
    with pytest.raises(TypeError):
        tt.zeros(2, dtype=np.complex128)


def test_float32_is_lifted_and_said_so() -> None:
    x = tt.rand(3, requires_grad=True)
    with pytest.warns(UserWarning, match="float64 copies"):
        assert gradcheck(lambda x: x.sin() / x, (x,), complex_step=True)
    assert x.dtype == tt.float32
