"""W, R and B of ONNX's recurrent operators, run by onnxruntime and by onnx itself."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import tinytensor as tt
from tests.convert.runtime import run
from tinytensor import convert, nn

onnx = pytest.importorskip("onnx")

Array = NDArray[Any]

I, H, T, N = 3, 4, 5, 2

KINDS: dict[str, tuple[Any, str, dict[str, Any]]] = {
    "LSTM": (nn.LSTM, "LSTM", {}),
    "GRU": (nn.GRU, "GRU", {"linear_before_reset": 1}),
    "RNN": (nn.RNN, "RNN", {}),
}
EVERY_FORM = pytest.mark.parametrize(
    ("kind", "bidirectional", "bias"),
    [
        (kind, bidirectional, bias)
        for kind in KINDS
        for bidirectional, bias in ((False, True), (True, False), (True, "single"), (True, True))
    ],
)


def operator(kind: str, weights: convert.OnnxWeights) -> Any:
    """A model of one operator with these weights: X (T, N, I) to Y (T, D, N, H) and Y_h."""
    helper = onnx.helper
    arrays = {name: a for name, a in weights._asdict().items() if a is not None}
    node = helper.make_node(
        KINDS[kind][1],
        ["X", *arrays],
        ["Y", "Y_h"],
        hidden_size=H,
        direction="bidirectional" if len(weights.W) == 2 else "forward",
        **KINDS[kind][2],
    )
    floats = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("X", floats, (T, N, weights.W.shape[2]))],
        [helper.make_tensor_value_info(name, floats, None) for name in ("Y", "Y_h")],
        [onnx.numpy_helper.from_array(a, name) for name, a in arrays.items()],
    )
    opset = helper.make_opsetid("", 17)
    return helper.make_model(graph, opset_imports=[opset], ir_version=8)


def in_reference(proto: Any, x: Array) -> list[Array]:
    from onnx.reference import ReferenceEvaluator

    return ReferenceEvaluator(proto).run(None, {"X": x})


@pytest.mark.parametrize("runner", [run, in_reference])
@EVERY_FORM
def test_the_operator_gives_the_same_numbers_with_our_weights(
    kind: str, bidirectional: bool, bias: Any, runner: Any
) -> None:
    layer = KINDS[kind][0](I, H, bidirectional=bidirectional, bias=bias)
    (weights,) = convert.to_onnx_weights(layer)
    assert (weights.B is None) == (bias is False)
    x = np.random.default_rng(0).standard_normal((T, N, I)).astype(np.float32)
    output, state = layer(tt.tensor(x))
    h_n = state[0] if kind == "LSTM" else state
    y, y_h = runner(operator(kind, weights), x)
    side_by_side = y.transpose(0, 2, 1, 3).reshape(T, N, -1)
    np.testing.assert_allclose(side_by_side, output.detach().numpy(), 1e-5, 1e-6)
    np.testing.assert_allclose(y_h, h_n.detach().numpy(), 1e-5, 1e-6)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_each_layer_has_an_operator_of_its_own(kind: str, bias: bool) -> None:
    layers = KINDS[kind][0](I, H, num_layers=2, bidirectional=True, bias=bias)
    x = np.random.default_rng(0).standard_normal((T, N, I)).astype(np.float32)
    output, _ = layers(tt.tensor(x))
    for weights in convert.to_onnx_weights(layers):
        y, _ = run(operator(kind, weights), x)
        x = np.ascontiguousarray(y.transpose(0, 2, 1, 3).reshape(T, N, -1))
    np.testing.assert_allclose(x, output.detach().numpy(), 1e-5, 1e-6)


@pytest.mark.parametrize("layers", [1, 2])
@EVERY_FORM
def test_the_way_to_onnx_and_back_changes_no_bit(
    kind: str, bidirectional: bool, bias: Any, layers: int
) -> None:
    layer = KINDS[kind][0](I, H, layers, bidirectional=bidirectional, bias=bias)
    back = convert.from_onnx_weights(convert.to_onnx_weights(layer))
    for name, tensor in layer.state_dict().items():
        np.testing.assert_array_equal(back.pop(name).numpy(), tensor.numpy(), strict=True)
    assert all(bias == "single" and not tensor.numpy().any() for tensor in back.values())


def test_the_state_dict_fits_a_layer_of_the_same_form() -> None:
    weights = convert.to_onnx_weights(nn.GRU(I, H, 2, bidirectional=True, bias=False))
    nn.GRU(I, H, 2, bidirectional=True, bias=False).load_state_dict(
        convert.from_onnx_weights(weights)
    )


def test_an_operator_without_b_may_be_given_by_two_arrays() -> None:
    ((w, r, _),) = convert.to_onnx_weights(nn.LSTM(I, H, bias=False))
    assert list(convert.from_onnx_weights([(w, r)])) == ["weight_ih_l0", "weight_hh_l0"]


@pytest.mark.parametrize(
    "shapes",
    [
        ((1, 16, 3), (1, 16, 5), (1, 32)),
        ((1, 8, 3), (1, 8, 4), (1, 16)),
        ((2, 16, 3), (1, 16, 4), (1, 32)),
        ((1, 16, 3), (1, 16, 4), (1, 16)),
        ((3, 16, 3), (3, 16, 4), (3, 32)),
        ((16, 3), (16, 4), (32,)),
    ],
)
def test_shapes_that_do_not_fit_are_refused(shapes: tuple[tuple[int, ...], ...]) -> None:
    arrays = [np.zeros(shape, np.float32) for shape in shapes]
    with pytest.raises(ValueError, match=r"expected layer 0 as W \(D, blocks · H, I\)"):
        convert.from_onnx_weights([arrays])


def test_what_onnx_has_no_operator_for_is_refused() -> None:
    with pytest.raises(ValueError, match="to_onnx_weights: expected an LSTM without projection"):
        convert.to_onnx_weights(nn.LSTM(3, 4, proj_size=2))
    with pytest.raises(TypeError, match="expected an LSTM, GRU or RNN, got LSTMCell"):
        convert.to_onnx_weights(nn.LSTMCell(3, 4))
    with pytest.raises(ValueError, match=r"expected layer 0 as \(W, R, B\), got 1 arrays"):
        convert.from_onnx_weights([[np.zeros((1, 4, 4))]])
