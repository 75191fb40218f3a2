"""check_against passes twins of torch modules, names what differs, and leaves torch alone."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tinytensor as tt
from tinytensor import nn
from tinytensor.autograd.compare import check_against
from tinytensor.autograd.primitive import PRIMITIVES, primitive

torch = pytest.importorskip("torch")

numbers = np.random.default_rng(0)


@pytest.fixture
def planted() -> Iterator[Callable[..., Any]]:
    """`@primitive` whose operations are forgotten at the end: the table's tests list them all."""
    before = set(PRIMITIVES)
    yield primitive
    for name in set(PRIMITIVES) - before:
        del PRIMITIVES[name]


class Changed(nn.Linear):
    """A Linear whose bias goes through a function first."""

    def __init__(self, change: Callable[[Any], Any], dtype: Any = tt.float64) -> None:
        super().__init__(3, 2, dtype=dtype)
        self.change = change

    def forward(self, x: tt.Tensor) -> tt.Tensor:
        return x @ self.weight.t() + self.change(self.bias)


def linear(dtype: Any = torch.float64) -> Any:
    torch.manual_seed(1)  # from seed 0 both libraries draw the same weights
    return torch.nn.Linear(3, 2, dtype=dtype)


# -- twins pass ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_equal_modules_pass_and_every_tensor_has_its_row(kind: str) -> None:
    theirs = linear(getattr(torch, kind))
    ours = nn.Linear(3, 2, dtype=getattr(tt, kind))
    report = check_against(theirs, ours, numbers.normal(size=(4, 3)))
    assert report.passed and report
    assert [(row.name, row.shape) for row in report.rows] == [
        ("output", (4, 2)),
        ("gradient of input[0]", (4, 3)),
        ("gradient of weight", (2, 3)),
        ("gradient of bias", (2,)),
    ]
    assert all(row.passed and row.relative < 1e-5 for row in report.rows)
    np.testing.assert_array_equal(ours.weight.detach().numpy(), theirs.weight.detach().numpy())
    np.testing.assert_array_equal(ours.bias.detach().numpy(), theirs.bias.detach().numpy())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_bidirectional_lstm_with_its_states(dtype: str) -> None:
    torch.manual_seed(1)
    theirs = torch.nn.LSTM(3, 4, 2, bidirectional=True, dtype=getattr(torch, dtype))
    ours = nn.LSTM(3, 4, 2, bidirectional=True, dtype=getattr(tt, dtype))
    states = numbers.normal(size=(4, 2, 4)), numbers.normal(size=(4, 2, 4))
    report = check_against(theirs, ours, numbers.normal(size=(6, 2, 3)), states)
    assert report.passed, report
    names = [row.name for row in report.rows]
    assert names[:3] == ["output[0]", "output[1][0]", "output[1][1]"]
    assert names[3:6] == [f"gradient of input{place}" for place in ("[0]", "[1][0]", "[1][1]")]
    assert names[6:] == [f"gradient of {name}" for name, _ in theirs.named_parameters()]


@pytest.mark.parametrize("make", [np.array, tt.tensor, torch.tensor])
def test_token_ids_of_any_make(make: Callable[..., Any]) -> None:
    torch.manual_seed(1)
    report = check_against(torch.nn.Embedding(5, 3), nn.Embedding(5, 3), make([[0, 4], [4, 2]]))
    assert report.passed, report
    assert [row.name for row in report.rows] == ["output", "gradient of weight"]


@pytest.mark.parametrize("make", [tt.tensor, torch.tensor])
def test_inputs_may_be_tensors_and_stay_as_they_were(make: Callable[..., Any]) -> None:
    x = make(numbers.normal(size=(4, 3))).requires_grad_()
    before = x.tolist()
    assert check_against(linear(), nn.Linear(3, 2, dtype=tt.float64), x * 2, rtol=1e-12)
    assert check_against(linear(), nn.Linear(3, 2, dtype=tt.float64), x)
    assert x.grad is None and x.tolist() == before


def test_numpy_floats_take_the_dtype_of_the_weights() -> None:
    assert check_against(linear(torch.float32), nn.Linear(3, 2), np.ones((4, 3)))
    assert check_against(linear(), nn.Linear(3, 2, dtype=tt.float64), np.ones((4, 3), np.float32))


def test_a_read_only_array_is_copied() -> None:
    x = np.broadcast_to(np.ones(3), (4, 3))
    assert check_against(linear(), nn.Linear(3, 2, dtype=tt.float64), x)
    assert check_against(torch.nn.Tanh(), nn.Tanh(), x)


def test_modules_without_parameters() -> None:
    report = check_against(torch.nn.Tanh(), nn.Tanh(), numbers.normal(size=5))
    assert [row.name for row in report.rows] == ["output", "gradient of input[0]"]
    assert report.worst.allowed < 1e-11  # the input stayed float64


def test_buffers_are_copied_as_well() -> None:
    class Theirs(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("count", torch.tensor([3, 4]))
            self.register_buffer("scale", torch.tensor([0.5, 0.25]))

        def forward(self, x: Any) -> Any:
            return x * self.scale + self.count

    class Ours(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("count", tt.zeros(2, dtype=tt.int64))
            self.register_buffer("scale", tt.zeros(2))

        def forward(self, x: Any) -> Any:
            return x * self.scale + self.count

    report = check_against(Theirs(), Ours(), np.ones(2))
    assert report.passed, report
    assert report.worst.allowed > 1e-6  # the input took the float32 of the scale


def test_other_arguments_are_passed_on() -> None:
    class Theirs(torch.nn.Module):
        def forward(self, x: Any, factor: Any, nothing: Any, pair: Any) -> Any:
            assert nothing is None and isinstance(pair, list)
            return x * factor + pair[0]

    class Ours(nn.Module):
        def forward(self, x: Any, factor: Any, nothing: Any, pair: Any) -> Any:
            assert nothing is None and isinstance(pair, list)
            return x * factor + pair[0]

    assert check_against(Theirs(), Ours(), np.ones(3), 2.5, None, [np.ones(3), 1])


def test_it_records_under_no_grad_as_well() -> None:
    with tt.no_grad(), torch.no_grad():
        report = check_against(linear(), nn.Linear(3, 2, dtype=tt.float64), np.ones((4, 3)))
    assert report.worst.allowed > 0 and report.passed
    assert not check_against(linear(), Changed(lambda b: b.detach()), np.ones((4, 3)))


def test_integer_outputs_must_be_equal() -> None:
    class Theirs(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return x.argmax(), x > 0

    class Ours(nn.Module):
        def __init__(self, wrong: int) -> None:
            super().__init__()
            self.wrong = wrong

        def forward(self, x: Any) -> Any:
            return x.argmax() + self.wrong, x > 0

    assert check_against(Theirs(), Ours(0), numbers.normal(size=9), rtol=1.0)
    report = check_against(Theirs(), Ours(1), numbers.normal(size=9), rtol=1.0)
    assert not report.passed and report.worst.name == "output[0]"


def test_infinite_values_are_equal_to_themselves_only() -> None:
    class Log(nn.Module):
        def __init__(self, shift: float) -> None:
            super().__init__()
            self.shift = shift

        def forward(self, x: Any) -> Any:
            return (x.detach() + self.shift).log()

    class TorchLog(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return x.detach().log()

    x = np.array([0.0, -1.0, 1.0])  # to -inf, nan, 0
    assert check_against(TorchLog(), Log(0.0), x)
    for shift in (0.5, 2.0):
        report = check_against(TorchLog(), Log(shift), x)
        assert not report.passed and report.worst.absolute == np.inf


# -- what differs is named -------------------------------------------------------------------------


def test_a_wrong_output_is_named() -> None:
    report = check_against(linear(), Changed(lambda b: b * 1.5), np.ones((4, 3)))
    assert not report.passed and not report
    failed = [row.name for row in report.rows if not row.passed]
    assert failed == ["output", "gradient of bias"]


def test_a_wrong_gradient_beside_a_right_output_is_named(planted: Any) -> None:
    @planted(lambda g: -g)
    def planted_identity(x: Any) -> Any:
        return x.copy()

    report = check_against(linear(), Changed(planted_identity), np.ones((4, 3)))
    assert [row.name for row in report.rows if not row.passed] == ["gradient of bias"]
    assert report.worst.name == "gradient of bias"
    assert report.worst.relative == pytest.approx(2.0)


def test_a_gradient_that_never_arrives_is_named() -> None:
    report = check_against(linear(), Changed(lambda b: b.detach()), np.ones((4, 3)))
    assert [row.name for row in report.rows if not row.passed] == ["gradient of bias"]
    assert report.worst.relative == pytest.approx(1.0)


def test_the_numbers_of_a_row_are_those_of_its_worst_element() -> None:
    class Shifted(nn.Linear):
        def forward(self, x: tt.Tensor) -> tt.Tensor:
            shift = np.zeros((4, 2))
            shift[2, 1] = 0.25
            return super().forward(x) + tt.tensor(shift)

    theirs = linear()
    x = np.ones((4, 3))
    report = check_against(theirs, Shifted(3, 2, dtype=tt.float64), x)
    row = report.rows[0]
    largest = theirs(torch.tensor(x)).abs().max().item()
    assert row.absolute == pytest.approx(0.25)
    assert row.relative == pytest.approx(0.25 / largest)
    assert [each.passed for each in report.rows] == [False, True, True, True]


def test_the_default_tolerance_belongs_to_the_dtype() -> None:
    x = np.ones((4, 3))
    for factor, in_float32, in_float64 in ((1e-2, 0, 0), (1e-7, 1, 0), (1e-14, 1, 1)):

        def change(b: Any, factor: float = factor) -> Any:
            return b * (1 + factor)

        assert bool(check_against(linear(), Changed(change), x)) == in_float64
        narrow = check_against(linear(torch.float32), Changed(change, tt.float32), x)
        assert bool(narrow) == in_float32


def test_the_default_tolerance_is_scaled_by_what_is_compared() -> None:
    theirs = linear()
    x = np.array([[1.0, -20.0, 300.0]])
    report = check_against(theirs, nn.Linear(3, 2, dtype=tt.float64), x)
    output = theirs(torch.tensor(x)).abs().max().item()
    assert report.rows[0].allowed == pytest.approx(1.1e-12 * output)
    # the gradient of the weight is the largest: 300 times that of the bias
    _, _, weight, bias = report.rows
    assert weight.allowed == pytest.approx(1.1 / (0.1 + 1 / 300) * bias.allowed)


def test_the_worst_row_is_the_furthest_beyond_its_tolerance() -> None:
    """Not the one with the largest difference: here a large output is right, but for rounding."""

    class Theirs(torch.nn.Linear):
        def forward(self, x: Any) -> Any:
            return super().forward(x), x * 1e9

    class Ours(Changed):
        def forward(self, x: Any) -> Any:
            return super().forward(x), x * (1e9 + 0.1)

    theirs = Theirs(3, 2, dtype=torch.float64)
    ours = Ours(lambda b: b * 1.001)
    report = check_against(theirs, ours, np.ones((4, 3)), rtol=1e-9, atol=0.0)
    large = next(row for row in report.rows if row.name == "output[1]")
    assert large.passed and not report.worst.passed
    assert report.worst.absolute < large.absolute


def test_a_tolerance_can_be_given() -> None:
    x = np.ones((4, 3))

    def change(b: Any) -> Any:
        return b * 1.001

    assert check_against(linear(), Changed(change), x, rtol=1e-2)
    assert not check_against(linear(), Changed(change), x, rtol=1e-5)
    assert check_against(linear(), Changed(change), x, rtol=0.0, atol=1e-1)
    assert not check_against(linear(), Changed(change), x, rtol=0.0, atol=1e-6)
    assert check_against(linear(), Changed(change), x, rtol=0.0, atol=1e-1).worst.allowed == 1e-1


def test_the_report_is_an_aligned_table_with_a_verdict() -> None:
    report = check_against(linear(), nn.Linear(3, 2, dtype=tt.float64), np.ones((4, 3)))
    lines = str(report).splitlines()
    column = lines[0].index("shape")
    assert [line[:column].strip() for line in lines[1:-1]] == [row.name for row in report.rows]
    assert [line[column:].split("  ")[0] for line in lines[1:-1]] == [
        str(row.shape) for row in report.rows
    ]
    assert lines[-1].startswith(f"equal to torch: 4 of 4 tensors; the worst is {report.worst.name}")

    report = check_against(linear(), Changed(lambda b: b.detach()), np.ones((4, 3)))
    lines = str(report).splitlines()
    assert [line.split("  ")[0] for line in lines if "DIFFERS" in line] == ["gradient of bias"]
    assert lines[-1] == (
        "NOT equal to torch: 1 of 4 tensors differ; the worst is gradient of bias, "
        "relative difference 1.0e+00"
    )
    assert all(line == line.rstrip() for line in lines)
    assert repr(report) == str(report)


# -- a loss of the user's own ----------------------------------------------------------------------


def test_a_loss_that_suits_both_is_differentiated() -> None:
    ours = nn.Linear(3, 2, dtype=tt.float64)
    report = check_against(linear(), ours, np.ones((4, 3)), loss=lambda y: (y * y).mean())
    assert report.passed, report
    assert [row.name for row in report.rows][:2] == ["output", "loss"]


def test_a_pair_of_losses() -> None:
    labels = np.array([0, 1, 1, 0])
    pair = (
        lambda y: torch.nn.functional.cross_entropy(y, torch.tensor(labels)),
        lambda y: nn.functional.cross_entropy(y, tt.tensor(labels)),
    )
    x = numbers.normal(size=(4, 3))
    report = check_against(linear(), nn.Linear(3, 2, dtype=tt.float64), x, loss=pair)
    assert report.passed, report
    wrong = (pair[0], lambda y: pair[1](y) * 2)
    report = check_against(linear(), nn.Linear(3, 2, dtype=tt.float64), x, loss=wrong)
    assert [row.passed for row in report.rows] == [True, False, False, False, False]


def test_small_gradients_are_not_waved_through() -> None:
    """The tolerance follows the gradients: a mean over many leaves them tiny."""

    def tiny(y: Any) -> Any:
        return (y * 1e-9).sum()

    x = np.ones((4, 3))
    assert check_against(linear(), nn.Linear(3, 2, dtype=tt.float64), x, loss=tiny)
    assert not check_against(linear(), Changed(lambda b: b.detach()), x, loss=tiny)


# -- modules that do not correspond ----------------------------------------------------------------


def test_differing_state_dicts_are_listed() -> None:
    with pytest.raises(ValueError, match=r"unexpected in torch's: bias\b"):
        check_against(torch.nn.Linear(3, 2), nn.Linear(3, 2, bias=False), np.ones((4, 3)))
    with pytest.raises(ValueError, match=r"missing in torch's: bias\b"):
        check_against(torch.nn.Linear(3, 2, bias=False), nn.Linear(3, 2), np.ones((4, 3)))
    with pytest.raises(ValueError, match=r"weight: \(2, 3\) float32 in torch's, \(3, 2\) float32"):
        check_against(torch.nn.Linear(3, 2), nn.Linear(2, 3), np.ones((4, 3)))
    with pytest.raises(ValueError, match=r"bias: .* float64 in torch's, .* float32 here"):
        check_against(linear(), nn.Linear(3, 2), np.ones((4, 3)))


def test_weights_stay_when_the_state_dicts_differ() -> None:
    ours = nn.Linear(3, 2)
    before = ours.weight.tolist()
    with pytest.raises(ValueError):
        check_against(torch.nn.Linear(3, 2, bias=False), ours, np.ones((4, 3)))
    assert ours.weight.tolist() == before


def test_differing_outputs_are_listed() -> None:
    class Pair(nn.Linear):
        def forward(self, x: tt.Tensor) -> Any:
            return super().forward(x), x

    class Flat(nn.Linear):
        def forward(self, x: tt.Tensor) -> Any:
            return super().forward(x).flatten()

    class Nothing(nn.Linear):
        def forward(self, x: tt.Tensor) -> Any:
            return None

    x = np.ones((4, 3))
    with pytest.raises(ValueError, match=r"output \(4, 2\) float32, got output\[0\]"):
        check_against(torch.nn.Linear(3, 2), Pair(3, 2), x)
    with pytest.raises(ValueError, match=r"output \(4, 2\) float32, got output \(8,\) float32"):
        check_against(torch.nn.Linear(3, 2), Flat(3, 2), x)
    with pytest.raises(ValueError, match="got no tensor"):
        check_against(torch.nn.Linear(3, 2), Nothing(3, 2), x)
    torch_nothing = torch.nn.Linear(3, 2)
    torch_nothing.forward = lambda x: None
    with pytest.raises(ValueError, match="torch gives, no tensor, got no tensor"):
        check_against(torch_nothing, Nothing(3, 2), x)


def test_frozen_parameters_must_be_frozen_on_both_sides() -> None:
    theirs, ours = torch.nn.Linear(3, 2), nn.Linear(3, 2)
    theirs.bias.requires_grad_(False)
    with pytest.raises(ValueError, match="only in torch's: none, only here: bias"):
        check_against(theirs, ours, np.ones((4, 3)))
    ours.bias.requires_grad_(False)
    report = check_against(theirs, ours, np.ones((4, 3)))
    assert report.passed and "gradient of bias" not in [row.name for row in report.rows]


def test_the_torch_module_comes_first() -> None:
    for first in (nn.Linear(3, 2), torch.nn.Linear, None):
        with pytest.raises(TypeError, match=r"expected a torch\.nn\.Module first"):
            check_against(first, torch.nn.Linear(3, 2), np.ones((4, 3)))


# -- what is left alone ----------------------------------------------------------------------------


def test_torch_and_all_grads_are_left_alone() -> None:
    theirs = linear()
    ours = nn.Linear(3, 2, dtype=tt.float64)
    before = theirs.weight.tolist()
    stream = tt.random.default_generator.get_state()
    torch_stream = torch.get_rng_state()
    assert check_against(theirs, ours, np.ones((4, 3)))
    assert theirs.weight.tolist() == before
    assert [p.grad for p in theirs.parameters()] == [None, None]
    assert [p.grad for p in ours.parameters()] == [None, None]
    np.testing.assert_array_equal(tt.random.default_generator.get_state(), stream)
    assert torch.equal(torch.get_rng_state(), torch_stream)


def test_the_weights_are_copies() -> None:
    theirs, ours = linear(), nn.Linear(3, 2, dtype=tt.float64)
    check_against(theirs, ours, np.ones((4, 3)))
    before = theirs.weight.tolist()
    with tt.no_grad():
        ours.weight.fill_(0.0)
    assert theirs.weight.tolist() == before


def test_torch_is_never_imported() -> None:
    program = """
import sys
from tinytensor import nn
from tinytensor.autograd.compare import check_against
try:
    check_against(nn.Linear(3, 2), nn.Linear(3, 2))
except TypeError as error:
    assert "expected a torch.nn.Module first" in str(error)
else:
    raise SystemExit("no error")
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
