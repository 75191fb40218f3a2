"""LayerNorm and RMSNorm: torch's numbers, gradients of both orders, parameters, printed form."""

import numpy as np
import pytest

import tinytensor as tt
from tinytensor import nn

from .peer import assert_agree, assert_same, both, torch

F = nn.functional
rng = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return rng.standard_normal(shape)


SHAPES = [((4,), (4,)), ((3, 4), (4,)), ((2, 3, 4), (4,)), ((2, 3, 4), (3, 4)), ((3, 1), (1,))]
EMPTY = [((0, 4), (4,)), ((2, 0, 3), (0, 3))]


@pytest.mark.parametrize("weight", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("shape", "normalized"), SHAPES)
def test_layer_norm_is_torchs_to_the_second_order(shape, normalized, weight, bias) -> None:
    def use(lib, x, *rest):
        scale = rest[0] if weight else None
        if bias and not weight and lib is torch:  # which has no second derivative here
            scale = torch.ones(normalized, dtype=x.dtype)
        return lib.nn.functional.layer_norm(x, normalized, scale, rest[-1] if bias else None, 1e-3)

    assert_agree(use, normal(*shape), *(normal(*normalized) for _ in range(weight + bias)))


@pytest.mark.parametrize("weight", [True, False])
@pytest.mark.parametrize("eps", [None, 1e-3])
@pytest.mark.parametrize(("shape", "normalized"), SHAPES)
def test_rms_norm_is_torchs_to_the_second_order(shape, normalized, weight, eps) -> None:
    def use(lib, x, *rest):
        return lib.nn.functional.rms_norm(x, normalized, *(rest or (None,)), eps=eps)

    assert_agree(use, normal(*shape), *([normal(*normalized)] if weight else []))


@pytest.mark.parametrize("name", ["layer_norm", "rms_norm"])
@pytest.mark.parametrize(("shape", "normalized"), [*SHAPES[:4], *EMPTY])
@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_a_plain_backward_gives_torchs_gradients(name, shape, normalized, kind) -> None:
    count = 3 if name == "layer_norm" else 2
    arrays = [normal(*shape), *(normal(*normalized) for _ in range(count - 1))]
    g = normal(*shape)
    results = []
    for lib in (tt, torch):
        leaves = [lib.tensor(a.astype(kind), requires_grad=True) for a in arrays]
        y = getattr(lib.nn.functional, name)(leaves[0], normalized, *leaves[1:])
        y.backward(lib.tensor(g.astype(kind)))
        results.append([y, *(leaf.grad for leaf in leaves)])
    tolerance = {"float16": 4e-3, "float32": 3e-6, "float64": 1e-12}[kind]
    for ours, theirs in zip(*results, strict=True):
        mean_size = abs(theirs.detach().double()).sum().item() / max(1, theirs.numel())
        assert_same(ours, theirs, rtol=tolerance, atol=tolerance * max(1, mean_size))


@pytest.mark.parametrize("shape", [(5, 6), (2, 3, 6)])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("name", ["layer_norm", "rms_norm"])
def test_the_kernel_and_its_reference_agree(name, shape, affine) -> None:
    arrays = [normal(*shape), *((normal(6), normal(6)) if affine else ())]
    results = []
    for unrolled in (False, True):
        leaves = [tt.tensor(a, requires_grad=True) for a in arrays]
        x, *rest = leaves if name == "layer_norm" else leaves[:2]
        if unrolled:
            with tt.unrolled():
                y = getattr(F, name)(x, (6,), *rest)
        else:
            y = getattr(F, name)(x, (6,), *rest)
        weights = tt.tensor(np.arange(y.numel(), dtype=np.float64).reshape(y.shape))
        (y * weights).sum().backward()
        results.append([y, x.grad, *(p.grad for p in rest)])
    for kernel, reference in zip(*results, strict=True):
        np.testing.assert_allclose(
            kernel.detach().numpy(), reference.detach().numpy(), rtol=1e-11, atol=1e-12
        )


@pytest.mark.parametrize("name", ["layer_norm", "rms_norm"])
def test_strided_and_spread_inputs_and_gradients_are_taken(name) -> None:
    def use(lib, x):
        y = getattr(lib.nn.functional, name)(x.transpose(0, 1), (3,))
        return lib.stack([y.sum(), y[:, ::2].sum()])

    assert_agree(use, normal(3, 5))


@pytest.mark.parametrize("name", ["layer_norm", "rms_norm"])
def test_writing_into_an_output_leaves_the_gradient_right(name) -> None:
    grads = []
    values = normal(2, 3)
    for write in (False, True):
        x = tt.tensor(values, requires_grad=True)
        y = getattr(F, name)(x, (3,))
        if write:
            y.detach().mul_(100)
        y.backward(tt.tensor([[1.0, 2, 4], [8, 16, 32]], dtype=tt.float64))
        grads.append(x.grad.numpy())
    np.testing.assert_array_equal(*grads)


def test_a_row_that_does_not_vary_is_the_bias_exactly() -> None:
    x = tt.full((2, 7), 1000.1)
    assert F.layer_norm(x, (7,), None, tt.ones(7)).tolist() == [[1.0] * 7] * 2


@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")
def test_rms_norm_takes_a_weight_of_another_float_type_and_keeps_its_own() -> None:
    x = normal(2, 3)
    for mine, other in (("float32", "float64"), ("float64", "float32")):
        results = []
        for lib in (tt, torch):
            leaves = [
                lib.tensor(x.astype(mine), requires_grad=True),
                lib.tensor(x[0].astype(other), requires_grad=True),
            ]
            y = lib.nn.functional.rms_norm(leaves[0], (3,), leaves[1])
            y.backward(lib.ones_like(y))
            results.append([y, *(leaf.grad for leaf in leaves)])
        for ours, theirs in zip(*results, strict=True):
            assert_same(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("wanted", [(0,), (1,), (2,), (1, 2), (0, 2)])
def test_only_the_gradients_that_are_wanted_are_made(wanted) -> None:
    arrays = [normal(4, 3), normal(3), normal(3)]
    grads = []
    for chosen in ((0, 1, 2), wanted):
        leaves = [tt.tensor(a, requires_grad=i in chosen) for i, a in enumerate(arrays)]
        y = F.layer_norm(leaves[0], (3,), *leaves[1:])
        (y * y * y).sum().backward()
        grads.append([leaf.grad for leaf in leaves])
    for number, (every, some) in enumerate(zip(*grads, strict=True)):
        if number in wanted:
            np.testing.assert_array_equal(every.numpy(), some.numpy())
        else:
            assert some is None


# -- modules --------------------------------------------------------------------------------------

MODULES = [
    lambda lib: lib.nn.LayerNorm(4),
    lambda lib: lib.nn.LayerNorm((3, 4), 1e-3),
    lambda lib: lib.nn.LayerNorm([4], elementwise_affine=False),
    lambda lib: lib.nn.LayerNorm(4, bias=False, dtype=lib.float64),
    lambda lib: lib.nn.RMSNorm(4),
    lambda lib: lib.nn.RMSNorm((3, 4), 1e-3),
    lambda lib: lib.nn.RMSNorm([4], None, False),
]


@pytest.mark.parametrize("build", MODULES)
def test_a_module_prints_starts_and_computes_as_torchs(build) -> None:
    ours, theirs = build(tt), build(torch)
    assert repr(ours) == repr(theirs)
    assert ours.normalized_shape == tuple(theirs.normalized_shape)
    expected = theirs.state_dict()
    assert list(ours.state_dict()) == list(expected)
    for name, value in ours.state_dict().items():
        assert_same(value, expected[name], rtol=0, atol=0)
    kind = np.float64 if "float64" in str(list(ours.parameters())) else np.float32
    x, x_ = both(normal(2, 3, 4).astype(kind))
    for train in (True, False):
        assert_same(ours.train(train)(x), theirs.train(train)(x_), rtol=2e-6, atol=2e-6)


REFUSED = [
    (TypeError, lambda lib, f: f([1.0], (1,))),
    (TypeError, lambda lib, f: f(lib.ones(2, 3), 3)),
    (RuntimeError, lambda lib, f: f(lib.ones(2, 3), (2,))),
    (RuntimeError, lambda lib, f: f(lib.ones(2, 3), (4, 3))),
    (RuntimeError, lambda lib, f: f(lib.ones(2, 3), ())),
    (RuntimeError, lambda lib, f: f(lib.ones(2, 3), (3,), lib.ones(2))),
    (RuntimeError, lambda lib, f: f(lib.ones(2, 3), (3,), lib.ones(1, 3))),
    (NotImplementedError, lambda lib, f: f(lib.ones(2, 3).long(), (3,))),
]


@pytest.mark.parametrize(("kind", "call"), REFUSED)
@pytest.mark.parametrize("name", ["layer_norm", "rms_norm"])
def test_what_torch_refuses_is_refused_with_the_shapes(name, kind, call) -> None:
    with pytest.raises(kind):
        call(torch, getattr(torch.nn.functional, name))
    with pytest.raises(kind, match=f"^{name}: "):
        call(tt, getattr(F, name))


def test_too_few_dimensions_are_the_kind_of_error_that_torch_has() -> None:
    for lib in (tt, torch):
        for name, kind in (("layer_norm", RuntimeError), ("rms_norm", ValueError)):
            for x in (lib.tensor(1.0), lib.ones(3)):
                with pytest.raises(kind):
                    getattr(lib.nn.functional, name)(x, (1, 3))


def test_layer_norm_refuses_mixed_types_and_a_wrong_bias() -> None:
    for lib in (tt, torch):
        layer_norm = lib.nn.functional.layer_norm
        with pytest.raises(RuntimeError, match="mixed dtype"):
            layer_norm(lib.ones(2, 3), (3,), lib.ones(3, dtype=lib.float64))
        with pytest.raises(RuntimeError, match=r"(?i)expected bias .*\[3\]"):
            layer_norm(lib.ones(2, 3), (3,), None, lib.ones(2))
        half = layer_norm(lib.ones(2, 3).half(), (3,), lib.ones(3), lib.ones(3))
        assert half.dtype is lib.float16
        with pytest.raises(TypeError):
            lib.nn.LayerNorm(3.0)
