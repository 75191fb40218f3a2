"""The dropout family: torch's masks, gradients, in place, refusals. `dropout`: test_layers.py."""

import numpy as np
import pytest

import tinytensor as tt
from tinytensor import nn

from .peer import assert_agree, assert_same, both, torch

F = nn.functional
LAYERS = ["Dropout1d", "Dropout2d", "AlphaDropout", "FeatureAlphaDropout"]
FUNCTIONS = ["dropout1d", "dropout2d", "alpha_dropout", "feature_alpha_dropout"]

pytestmark = pytest.mark.filterwarnings("ignore:dropout2d. Received")


def shape_for(name: str) -> tuple[int, ...]:
    return (5, 6, 3, 2) if name.lower() == "dropout2d" else (5, 6, 4)


ARRANGEMENTS = {
    "plain": lambda x: x,
    "transposed": lambda x: x.transpose(0, 1),
    "sliced": lambda x: x[:, 1:, ::2],
}


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("arrange", ARRANGEMENTS.values(), ids=ARRANGEMENTS.keys())
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_masks_are_torchs(name, p, kind, arrange) -> None:
    ours, theirs = both(np.random.default_rng(0).standard_normal(shape_for(name)).astype(kind))
    for lib in (tt, torch):
        lib.manual_seed(3)
    result = getattr(F, name)(arrange(ours), p, True)
    expected = getattr(torch.nn.functional, name)(arrange(theirs), p, True)
    assert_same(result, expected, rtol=4 * np.finfo(kind).eps, atol=2 * np.finfo(kind).eps)
    assert_same(tt.rand(3), torch.rand(3), rtol=0, atol=0)


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_prints_drops_and_differentiates_as_torchs(name, p, inplace, train) -> None:
    def use(lib, x):
        lib.manual_seed(1)
        layer = getattr(lib.nn, name)(p, inplace).train(train)
        return layer(x * x)

    assert_agree(use, np.random.default_rng(0).standard_normal(shape_for(name)))
    printed = {repr(getattr(lib.nn, name)(p, inplace=inplace)) for lib in (tt, torch)}
    assert len(printed) == 1


def test_dropout1d_takes_one_example_alone() -> None:
    def use(lib, x):
        lib.manual_seed(1)
        return lib.nn.functional.dropout1d(x, 0.4)

    assert_agree(use, np.random.default_rng(0).standard_normal((6, 5)))


@pytest.mark.parametrize("name", ["dropout1d", "dropout2d", "feature_alpha_dropout"])
def test_a_channel_is_dropped_as_a_whole(name) -> None:
    y = getattr(F, name)(
        tt.ones(8, 16, 3, 2)[:, :, :, 0] if name == "dropout1d" else tt.ones(8, 16, 3, 2), 0.5, True
    )
    channels = y.reshape(8 * 16, -1)
    assert (channels == channels[:, :1]).all()
    assert 32 < (channels[:, 0] == channels.max()).sum() < 96


def test_alpha_dropout_keeps_mean_and_variance() -> None:
    y = F.alpha_dropout(tt.randn(200, 200, dtype=tt.float64), 0.3, training=True)
    assert abs(y.mean().item()) < 0.02
    assert abs(y.var().item() - 1) < 0.03


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_input_is_handed_on_when_there_is_nothing_to_drop(name) -> None:
    x = tt.rand(*shape_for(name))
    assert getattr(F, name)(x, 0.0, True) is x
    assert getattr(F, name)(x, 0.5, False) is x
    empty = x[:0]
    assert getattr(F, name)(empty, 0.5, True) is empty


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_torch_refuses_is_refused(name) -> None:
    for lib in (tt, torch):
        drop = getattr(lib.nn.functional, name)
        x = lib.ones(*shape_for(name))
        for p in (-0.1, 1.5):
            with pytest.raises(ValueError, match=f"between 0 and 1, but got {p}"):
                drop(x, p)
        with pytest.raises(RuntimeError):
            drop(x.long(), 0.5, True)
        with pytest.raises((TypeError, AttributeError)):
            drop([1.0], 0.5, True)
        if name != "alpha_dropout":
            with pytest.raises(RuntimeError):
                drop(lib.ones(3), 0.5, True)
    with pytest.raises(ValueError, match="between 0 and 1"):
        nn.AlphaDropout(2)


@pytest.mark.filterwarnings("default:dropout2d. Received")
def test_dropout2d_warns_of_what_is_no_batch_of_images() -> None:
    for lib in (tt, torch):
        for shape in ((2, 3), (2, 3, 4)):
            with pytest.warns(UserWarning, match="dropout2d: Received a") as caught:
                lib.nn.functional.dropout2d(lib.ones(*shape))
            if lib is tt:
                assert caught[0].filename == __file__
