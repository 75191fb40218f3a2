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
    "trunc_normal_": [(), (1.0, 2.0, -1.0, 1.5), (0.0, 1.0, 1.0, 3.0), (3.0, 1.0, 0.0, 2.0)],
}
CASES = [
    pytest.param(name, arguments, exact, id=f"{name}{arguments}")
    for table, exact in ((EXACT, True), (ROUNDED, False))
    for name, choices in table.items()
    for arguments in choices
]


def drawn(lib, kind, shape, use):
    """What a function of `nn.init` leaves in a leaf after seed 5."""
    lib.manual_seed(5)
    tensor = lib.zeros(shape, dtype=getattr(lib, kind), requires_grad=True)
    assert use(lib.nn.init, tensor) is tensor
    assert tensor.is_leaf
    return tensor


@pytest.mark.parametrize(("name", "arguments", "exact"), CASES)
@pytest.mark.parametrize("shape", [(20, 30), (30, 20), (4, 5, 6), (3, 2)])
@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_values_are_torchs(name, arguments, exact, shape, kind) -> None:
    results = [
        drawn(lib, kind, shape, lambda init, tensor: getattr(init, name)(tensor, *arguments))
        for lib in (tt, torch)
    ]
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


@pytest.mark.parametrize("shape", [(3, 3, 3), (4, 2, 5), (2, 4, 2), (4, 2, 3, 2), (2, 2, 3, 1, 4)])
@pytest.mark.parametrize("groups", [1, 2])
def test_dirac_is_torchs(shape, groups) -> None:
    if shape[0] % groups:
        return
    ours = init.dirac_(tt.rand(shape), groups)
    assert_same(ours, torch.nn.init.dirac_(torch.rand(shape), groups), rtol=0, atol=0)


def test_a_dirac_kernel_passes_its_input_on() -> None:
    weight = init.dirac_(tt.empty(3, 3, 5))
    x = tt.rand(2, 3, 7)
    assert (tt.nn.functional.conv1d(x, weight, padding=2) == x).all()


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("arguments", [(0.3,), (0.0,), (1.0,), (0.5, 2.0)])
@pytest.mark.parametrize("shape", [(7, 4), (4, 7), (0, 3)])
def test_sparse_is_torchs(shape, arguments, kind) -> None:
    results = [
        drawn(lib, kind, shape, lambda init, tensor: init.sparse_(tensor, *arguments))
        for lib in (tt, torch)
    ]
    assert_same(*results, rtol=1e-6, atol=0)
    assert ((results[0] == 0).sum(0) == int(np.ceil(arguments[0] * shape[0]))).all()
    assert_same(tt.rand(3), torch.rand(3), rtol=0, atol=0)


@pytest.mark.parametrize("bounds", [(-2.0, 2.0), (0.5, 1.0), (-3.0, -1.5)])
def test_truncated_values_lie_within_their_bounds(bounds) -> None:
    values = init.trunc_normal_(tt.empty(3000), 0.0, 1.0, *bounds)
    assert bounds[0] <= values.min()
    assert values.max() <= bounds[1]
    assert len(values.unique()) > 2900


def test_a_mean_far_outside_the_bounds_brings_a_warning() -> None:
    for lib in (tt, torch):
        with pytest.warns(UserWarning, match="mean is more than 2 std from"):
            lib.nn.init.trunc_normal_(lib.empty(3), mean=5.0)


@pytest.mark.parametrize(
    "name",
    [
        "uniform", "normal", "constant", "eye", "dirac", "xavier_uniform", "xavier_normal",
        "kaiming_uniform", "kaiming_normal", "orthogonal", "sparse",
    ],
)  # fmt: skip
def test_old_names_warn_and_do_the_same(name) -> None:
    arguments = {"constant": (3.0,), "sparse": (0.5,)}.get(name, ())
    shape = (3, 3, 3) if name == "dirac" else (3, 3)
    for lib in (tt, torch):
        with pytest.warns(FutureWarning, match=f"`nn.init.{name}` is now deprecated in favor of"):
            old = drawn(lib, "float32", shape, lambda i, t: getattr(i, name)(t, *arguments))
        new = drawn(lib, "float32", shape, lambda i, t: getattr(i, f"{name}_")(t, *arguments))
        assert (old == new).all()


def test_fans_are_found_under_torchs_name() -> None:
    for shape in [(2, 3), (4, 5, 6), (1, 2, 3, 4)]:
        fans = [lib.nn.init._calculate_fan_in_and_fan_out(lib.empty(shape)) for lib in (tt, torch)]
        assert fans[0] == fans[1]


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
        (lambda i, lib: i.sparse_(lib.empty(3), 0.5), "2 dimensions"),
        (lambda i, lib: i.dirac_(lib.empty(3, 3)), "3, 4, or 5 dimensions"),
        (lambda i, lib: i.dirac_(lib.empty(3, 3, 3), 2), "dim 0 must be divisible by groups"),
        (lambda i, lib: i.kaiming_uniform_(lib.empty(3, 3), mode="fan"), "Mode fan not supported"),
        (lambda i, lib: i.calculate_gain("gelu"), "Unsupported nonlinearity gelu"),
        (lambda i, lib: i.calculate_gain("leaky_relu", True), "True"),
    ],
)
def test_what_makes_no_sense_is_refused_as_torch_does(use, message) -> None:
    for lib in (tt, torch):
        with pytest.raises(ValueError, match=message):
            use(lib.nn.init, lib)


@pytest.mark.parametrize("name", ["kaiming_uniform_", "kaiming_normal_"])
def test_drawing_nothing_brings_a_warning(name) -> None:
    for lib in (tt, torch):
        empty = lib.zeros(0, 3)
        with pytest.warns(UserWarning, match="Initializing zero-element tensors is a no-op"):
            assert getattr(lib.nn.init, name)(empty) is empty
