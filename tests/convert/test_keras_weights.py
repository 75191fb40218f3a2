"""Weights of recurrent layers from and to Keras, run by Keras itself."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import tinytensor as tt
from tinytensor import convert, nn

Array = NDArray[Any]

# Keras reads its own tensors in a way that NumPy 2 has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

I, H = 3, 4

KINDS: dict[str, tuple[Any, str, dict[str, Any]]] = {
    "LSTM": (nn.LSTM, "LSTM", {}),
    "GRU": (nn.GRU, "GRU", {}),
    "RNN": (nn.RNN, "SimpleRNN", {}),
    "RNN-relu": (
        lambda *args, **options: nn.RNN(*args, nonlinearity="relu", **options),
        "SimpleRNN",
        {"activation": "relu"},
    ),
}
EVERY_FORM = pytest.mark.parametrize(
    ("kind", "layers", "bidirectional", "bias"),
    [
        (kind, layers, bidirectional, bias)
        for kind in KINDS
        for layers, bidirectional, bias in (
            (1, False, True),
            (1, True, False),
            (2, False, "single"),
            (2, True, True),
        )
    ],
)


def ours(kind: str, layers: int, bidirectional: bool, bias: Any) -> Any:
    options = {"num_layers": layers, "bidirectional": bidirectional, "bias": bias}
    return KINDS[kind][0](I, H, batch_first=True, **options).double()


def theirs(keras: Any, kind: str, layers: int, bidirectional: bool, bias: bool) -> list[Any]:
    """Layers of Keras that give all steps, built for I features."""
    made = []
    for number in range(layers):
        layer = getattr(keras.layers, KINDS[kind][1])(
            H, return_sequences=True, use_bias=bias, dtype="float64", **KINDS[kind][2]
        )
        if bidirectional:
            layer = keras.layers.Bidirectional(layer, dtype="float64")
        below = I if number == 0 else H * (2 if bidirectional else 1)
        layer.build((None, None, below))
        made.append(layer)
    return made


def assert_same(kind: str, mine: tt.Tensor, other: Array) -> None:
    # A SimpleRNN goes through keras.ops.matmul, which on torch rounds float64 to float32.
    rtol, atol = (1e-5, 1e-6) if kind.startswith("RNN") else (1e-11, 1e-12)
    np.testing.assert_allclose(other, mine.detach().numpy(), rtol, atol)


def run_keras(layers: list[Any], x: Array) -> Array:
    for layer in layers:
        x = layer(x)
    return np.asarray(x.detach().numpy())


@EVERY_FORM
def test_keras_gives_the_same_numbers_with_our_weights(
    keras: Any, kind: str, layers: int, bidirectional: bool, bias: Any
) -> None:
    mine = ours(kind, layers, bidirectional, bias)
    other = theirs(keras, kind, layers, bidirectional, bool(bias))
    for layer, weights in zip(other, convert.to_keras(mine), strict=True):
        layer.set_weights(weights)
    x = np.random.default_rng(0).standard_normal((2, 5, I))
    output, _ = mine(tt.tensor(x))
    assert_same(kind, output, run_keras(other, x))


@EVERY_FORM
def test_our_layers_give_the_same_numbers_with_keras_weights(
    keras: Any, kind: str, layers: int, bidirectional: bool, bias: Any
) -> None:
    rng = np.random.default_rng(0)
    other = theirs(keras, kind, layers, bidirectional, bool(bias))
    for layer in other:  # its own biases are all zero, or one
        layer.set_weights([rng.standard_normal(w.shape) for w in layer.get_weights()])
    mine = ours(kind, layers, bidirectional, bool(bias))
    mine.load_state_dict(convert.from_keras([layer.get_weights() for layer in other]))
    x = rng.standard_normal((2, 5, I))
    output, _ = mine(tt.tensor(x))
    assert_same(kind, output, run_keras(other, x))


@EVERY_FORM
def test_the_way_from_keras_and_back_changes_no_bit(
    kind: str, layers: int, bidirectional: bool, bias: Any
) -> None:
    rng = np.random.default_rng(0)
    mine = ours(kind, layers, bidirectional, bool(bias))
    given = [[rng.standard_normal(w.shape) for w in layer] for layer in convert.to_keras(mine)]
    mine.load_state_dict(convert.from_keras(given))
    back = convert.to_keras(mine)
    for expected, found in zip(given, back, strict=True):
        for a, b in zip(expected, found, strict=True):
            np.testing.assert_array_equal(a, b, strict=True)


def test_one_bias_comes_back_as_the_input_s_and_the_other_is_zero() -> None:
    lstm = nn.LSTM(I, H)
    state = convert.from_keras(convert.to_keras(lstm))
    summed = (lstm.bias_ih_l0 + lstm.bias_hh_l0).detach().numpy()
    np.testing.assert_array_equal(state["bias_ih_l0"].numpy(), summed)
    assert not state["bias_hh_l0"].numpy().any()


def test_a_gru_keeps_its_two_biases() -> None:
    gru = nn.GRU(I, H, num_layers=2, bidirectional=True)
    state = convert.from_keras(convert.to_keras(gru))
    for name, tensor in gru.state_dict().items():
        np.testing.assert_array_equal(state[name].numpy(), tensor.numpy(), strict=True)


def test_the_arrays_are_copies_that_keep_their_dtype() -> None:
    rnn = nn.RNN(I, H)
    for array in convert.to_keras(rnn)[0]:
        assert array.dtype == np.float32
        array[...] = 0
    assert all(parameter.detach().numpy().any() for parameter in rnn.parameters())


def test_what_keras_has_no_layer_for_is_refused() -> None:
    with pytest.raises(ValueError, match="to_keras: expected an LSTM without projection"):
        convert.to_keras(nn.LSTM(3, 4, proj_size=2))
    with pytest.raises(TypeError, match="to_keras: expected an LSTM, GRU or RNN, got Linear"):
        convert.to_keras(nn.Linear(2, 3))


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([(3, 16)], "to be 2 or 3 arrays, or 4 or 6 of a Bidirectional, got 1"),
        ([(3, 16), (4, 12)], r"to be a kernel \(I, blocks · H\) and a recurrent kernel"),
        ([(3, 8), (4, 8)], r"to have 4H columns \(LSTM\), 3H \(GRU\) or H"),
        ([(3, 16), (4, 16), (12,)], r"to have a bias of shape \(16,\), got \(12,\)"),
        (
            [(3, 12), (4, 12), (12,)],
            r"to have a bias of shape \(2, 12\), got \(12,\); a GRU needs reset_after",
        ),
    ],
)
def test_arrays_that_are_no_such_weights_are_refused(
    shapes: list[tuple[int, ...]], message: str
) -> None:
    with pytest.raises(ValueError, match=f"from_keras: expected the weights of layer 0 {message}"):
        convert.from_keras([[np.zeros(shape) for shape in shapes]])


def test_integers_are_no_weights() -> None:
    with pytest.raises(TypeError, match="from_keras: expected the weights of layer 0 to be an"):
        convert.from_keras([[np.zeros((3, 4), np.int64), np.zeros((4, 4), np.int64)]])
