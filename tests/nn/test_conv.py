"""Conv1d: torch's numbers and gradients of both orders over its options, weights, printed form."""

import numpy as np
import pytest

import tinytensor as tt
from tinytensor import nn

from .peer import assert_agree, assert_same, both, copy_weights, torch

rng = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return rng.standard_normal(shape)


OPTIONS = {
    "plain": {},
    "stride": {"stride": 2},
    "padding": {"padding": 2},
    "valid": {"padding": "valid"},
    "same": {"padding": "same"},
    "same dilated, even": {"padding": "same", "dilation": 3, "kernel_size": 2},
    "dilation": {"dilation": (2,)},
    "groups": {"groups": 2},
    "each channel alone": {"groups": 4, "out_channels": 8},
    "no bias": {"bias": False},
    "one tap": {"kernel_size": (1,)},
    "reflect": {"padding": 2, "padding_mode": "reflect"},
    "replicate": {"padding": (3,), "padding_mode": "replicate", "stride": 3},
    "circular": {"padding": 2, "padding_mode": "circular", "groups": 2, "dilation": 2},
    "circular, same": {
        "padding": "same",
        "padding_mode": "circular",
        "kernel_size": 4,
        "dilation": 1,
    },
    "reflect, same": {"padding": "same", "padding_mode": "reflect", "kernel_size": 4},
    "reflect, valid": {"padding": "valid", "padding_mode": "reflect"},
    "all": {"padding": 3, "stride": 2, "dilation": 2, "groups": 2, "bias": False},
}


def build(lib, options, **more):
    arguments = {"in_channels": 4, "out_channels": 6, "kernel_size": 3, **options, **more}
    return lib.nn.Conv1d(**arguments)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
@pytest.mark.parametrize("seed", [0, 7])
def test_a_layer_built_after_a_seed_is_torchs(options, seed) -> None:
    for kind in ("float32", "float64"):
        for lib in (tt, torch):
            lib.manual_seed(seed)
        ours, theirs = (build(lib, options, dtype=getattr(lib, kind)) for lib in (tt, torch))
        assert repr(ours) == repr(theirs)
        assert list(ours.state_dict()) == list(theirs.state_dict())
        for name, value in ours.state_dict().items():
            assert_same(value, theirs.state_dict()[name], rtol=0, atol=0)
        for name in ("kernel_size", "stride", "padding", "dilation", "groups", "padding_mode"):
            assert getattr(ours, name) == getattr(theirs, name)
        assert_same(tt.rand(3), torch.rand(3), rtol=0, atol=0)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
@pytest.mark.parametrize("shape", [(2, 4, 7), (4, 7)])
def test_conv1d_is_torchs_to_the_second_order(options, shape) -> None:
    template = build(torch, options)

    def use(lib, x, weight, *bias):
        layer = build(lib, options, dtype=lib.float64)
        for name in ("weight", "bias"):
            delattr(layer, name)
        layer.weight = weight
        layer.bias = bias[0] if bias else None
        return layer(x)

    assert_agree(use, normal(*shape), *(normal(*p.shape) for p in template.parameters()))


@pytest.mark.parametrize("options", [{}, OPTIONS["all"], OPTIONS["circular"]])
@pytest.mark.parametrize("train", [True, False])
def test_conv1d_keeps_float32(options, train) -> None:
    ours, theirs = build(tt, options), build(torch, options)
    copy_weights(theirs, ours)
    x, x_ = both(normal(2, 4, 9).astype(np.float32))
    assert_same(ours.train(train)(x), theirs.train(train)(x_), rtol=2e-6, atol=2e-6)


def test_an_empty_batch_gives_an_empty_result() -> None:
    for lib in (tt, torch):
        layer = build(lib, {})
        y = layer(lib.ones(0, 4, 5))
        assert tuple(y.shape) == (0, 6, 3)
        y.sum().backward()
        assert not layer.weight.grad.any()


REFUSED_OPTIONS = [
    {"padding": "foo"},
    {"padding": "same", "stride": 2},
    {"groups": 0},
    {"groups": 3, "in_channels": 4},
    {"groups": 4, "out_channels": 6},
    {"padding_mode": "mirror"},
]


@pytest.mark.parametrize("options", REFUSED_OPTIONS)
def test_options_that_torch_refuses_are_refused(options) -> None:
    with pytest.raises(ValueError):
        build(torch, options)
    with pytest.raises(ValueError, match=r"^Conv1d: .*got"):
        build(tt, options)


REFUSED_INPUTS = [
    (RuntimeError, {}, (2, 3, 5)),
    (RuntimeError, {}, (4, 2)),
    (RuntimeError, {}, (2, 2, 4, 5)),
    (RuntimeError, {"stride": 0}, (2, 4, 5)),
    (RuntimeError, {"padding": -1}, (2, 4, 5)),
    (RuntimeError, {"padding": (1, 2)}, (2, 4, 5)),
    (RuntimeError, {"padding": 7, "padding_mode": "reflect"}, (2, 4, 5)),
    (NotImplementedError, {"padding": 1, "padding_mode": "circular"}, (2, 2, 4, 5)),
]


@pytest.mark.parametrize(("kind", "options", "shape"), REFUSED_INPUTS)
def test_inputs_that_torch_refuses_are_refused(kind, options, shape) -> None:
    for lib in (tt, torch):
        with pytest.raises(kind):
            build(lib, options)(lib.ones(*shape))


def test_an_input_of_another_type_is_refused() -> None:
    for lib in (tt, torch):
        for x in (lib.ones(2, 4, 5).double(), lib.ones(2, 4, 5).long()):
            with pytest.raises(RuntimeError):
                build(lib, {})(x)


def test_a_layer_without_channels_is_built_as_torchs() -> None:
    for lib in (tt, torch):
        with pytest.warns(UserWarning, match="Initializing zero-element tensors is a no-op"):
            layer = lib.nn.Conv1d(0, 2, 3)
        assert layer.weight.shape == (2, 0, 3)
    assert isinstance(nn.Conv1d(2, 3, [3]), nn.Module)
