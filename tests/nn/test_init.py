"""Initial values are torch's after the same seed: bit for bit if uniform, to rounding if normal."""

import numpy as np
import pytest

import tinytensor as tt
from tinytensor.nn import init

from .peer import assert_same, torch

EXACT = {
    "constant_": [(3.5,)],
    "zeros_": [()],
    "ones_": [()],
    "uniform_": [(), (-2.0, 3.0)],
    "xavier_uniform_": [(), (2.0,)],
    "kaiming_uniform_": [
        (),
        (1.5,),
        (0, "fan_out"),
        (0, "fan_out", "relu"),
        (0.2, "FAN_IN", "tanh"),
    ],
}
ROUNDED = {
    "normal_": [(), (1.0, 2.0)],
    "xavier_normal_": [(), (2.0,)],
    "kaiming_normal_": [(), (1.5,), (0, "fan_out", "selu")],
    "orthogonal_": [(), (2.0,)],
}
CASES = [
    pytest.param(name, arguments, exact, id=f"{name}{arguments}")
    for table, exact in ((EXACT, True), (ROUNDED, False))
    for name, choices in table.items()
    for arguments in choices
]


@pytest.mark.parametrize(("name", "arguments", "exact"), CASES)
@pytest.mark.parametrize("shape", [(20, 30), (30, 20), (4, 5, 6), (3, 2)])
@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_values_are_torchs(name, arguments, exact, shape, kind) -> None:
    results = []
    for lib in (tt, torch):
        lib.manual_seed(5)
        tensor = lib.zeros(shape, dtype=getattr(lib, kind), requires_grad=True)
        assert getattr(lib.nn.init, name)(tensor, *arguments) is tensor
        assert tensor.is_leaf
        results.append(tensor)
    rounding = {"float32": 1e-5, "float64": 1e-12}[kind]
    tolerance = 0 if exact else rounding
    assert_same(*results, rtol=tolerance, atol=tolerance)
    assert results[0]._version > 0
    assert_same(tt.rand(3), torch.rand(3), rtol=0, atol=0)


def test_an_orthogonal_matrix_has_orthonormal_rows_or_columns() -> None:
    tall = init.orthogonal_(tt.empty(5, 3, dtype=tt.float64))
    np.testing.assert_allclose((tall.t() @ tall).numpy(), np.eye(3), atol=1e-12)
    wide = init.orthogonal_(tt.empty(3, 5, dtype=tt.float64), gain=2)
    np.testing.assert_allclose((wide @ wide.t()).numpy(), 4 * np.eye(3), atol=1e-12)
    empty = tt.zeros(2, 0)
    assert init.orthogonal_(empty) is empty


@pytest.mark.parametrize("shape", [(3, 3), (2, 4), (4, 2)])
def test_eye_is_torchs(shape) -> None:
    assert_same(init.eye_(tt.rand(shape)), torch.nn.init.eye_(torch.rand(shape)))


@pytest.mark.parametrize(
    "name", ["linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"]
)
def test_gains_are_torchs(name) -> None:
    assert init.calculate_gain(name) == torch.nn.init.calculate_gain(name)
    assert init.calculate_gain("leaky_relu", 0.3) == torch.nn.init.calculate_gain("leaky_relu", 0.3)


def test_a_generator_may_be_given() -> None:
    before = tt.rand(3).tolist()
    tt.manual_seed(0)
    drawn = [init.uniform_(tt.empty(4), generator=tt.Generator().manual_seed(3)) for _ in range(2)]
    assert drawn[0].tolist() == drawn[1].tolist()
    init.kaiming_normal_(tt.empty(4, 4), generator=tt.Generator())
    assert tt.rand(3).tolist() == before


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda i, lib: i.xavier_uniform_(lib.empty(3)), "fewer than 2 dimensions"),
        (lambda i, lib: i.kaiming_normal_(lib.empty(3)), "fewer than 2 dimensions"),
        (lambda i, lib: i.orthogonal_(lib.empty(3)), "2 or more dimensions"),
        (lambda i, lib: i.eye_(lib.empty(3)), "2 dimensions"),
        (lambda i, lib: i.kaiming_uniform_(lib.empty(3, 3), mode="fan"), "Mode fan not supported"),
        (lambda i, lib: i.calculate_gain("gelu"), "Unsupported nonlinearity gelu"),
        (lambda i, lib: i.calculate_gain("leaky_relu", True), "True"),
    ],
)
def test_what_makes_no_sense_is_refused_as_torch_does(use, message) -> None:
    for lib in (tt, torch):
        with pytest.raises(ValueError, match=message):
            use(lib.nn.init, lib)
