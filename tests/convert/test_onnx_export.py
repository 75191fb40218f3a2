"""Whole models as ONNX files: the same numbers in onnxruntime, or a clear refusal."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinytensor as tt
from tests.convert.runtime import assert_exports, initializers_of, operators_of
from tinytensor import convert, nn
from tinytensor.nn import functional as F
from tinytensor.nn.normalization import LayerNorm

onnx = pytest.importorskip("onnx")

I, H, T, N = 3, 4, 5, 2


def sequences(*sizes: int) -> tt.Tensor:
    return tt.randn(*sizes)


class Calls(nn.Module):
    """A function of tensors as a model."""

    def __init__(self, function: Any, **parts: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *given: Any) -> Any:
        return self.function(self, *given)


def as_model(function: Any, **parts: nn.Module) -> Calls:
    return Calls(function, **parts)


# -- recurrent layers


RECURRENT = {
    "LSTM": nn.LSTM,
    "GRU": nn.GRU,
    "RNN": nn.RNN,
    "RNN-relu": lambda *sizes, **options: nn.RNN(*sizes, nonlinearity="relu", **options),
}
OPTIONS: list[dict[str, Any]] = [
    {},
    {"bidirectional": True},
    {"bias": False},
    {"bias": "single", "num_layers": 2},
    {"num_layers": 2, "bidirectional": True, "batch_first": True},
    {"num_layers": 2, "dropout": 0.5},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("kind", RECURRENT)
def test_a_recurrent_layer_becomes_one_node_for_each_layer(
    kind: str, options: dict[str, Any]
) -> None:
    layer = RECURRENT[kind](I, H, **options)
    proto = assert_exports(layer, sequences(T, N, I), sequences(T, N, I))
    found = operators_of(proto)
    assert found.count(kind.removesuffix("-relu")) == options.get("num_layers", 1)
    assert "MatMul" not in found and "Gemm" not in found


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("kind", RECURRENT)
def test_initial_states_become_inputs(kind: str, options: dict[str, Any]) -> None:
    layer = RECURRENT[kind](I, H, **options)
    batch = T if options.get("batch_first") else N
    scans = options.get("num_layers", 1) * (1 + options.get("bidirectional", False))

    def example() -> Any:
        states = [tt.randn(scans, batch, H) for _ in range(2)]
        return sequences(T, N, I), tuple(states) if kind == "LSTM" else states[0]

    assert_exports(layer, example(), example())


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("kind", RECURRENT)
def test_lengths_become_sequence_lens_zero_included(kind: str, options: dict[str, Any]) -> None:
    layer = RECURRENT[kind](I, H, **options)
    batch_first = options.get("batch_first", False)
    scans = options.get("num_layers", 1) * (1 + options.get("bidirectional", False))
    states = [tt.randn(scans, 4, H) for _ in range(2)]

    class Padded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, x: tt.Tensor, lengths: tt.Tensor) -> Any:
            hx = tuple(states) if kind == "LSTM" else states[0]
            return self.layer(x, hx, lengths=lengths), self.layer(x, lengths=lengths)

    size = (4, T, I) if batch_first else (T, 4, I)
    example = sequences(*size), tt.tensor([3, 0, 5, 1])
    proto = assert_exports(Padded(), example, (sequences(*size), tt.tensor([2, 5, 0, 5])))
    assert "Loop" not in operators_of(proto)


def test_states_of_zeros_are_left_to_the_operator() -> None:
    proto = convert.to_onnx(nn.LSTM(I, H), sequences(T, N, I))
    assert len(proto.graph.node[0].input) == 4  # X, W, R, B
    model = as_model(lambda self, x, h: self.gru(x, h), gru=nn.GRU(I, H))
    zeros = tt.zeros(1, N, H)
    assert_exports(model, (sequences(T, N, I), zeros), (sequences(T, N, I), zeros + 1))


def test_lengths_of_a_list_are_fixed() -> None:
    gru = nn.GRU(I, H)
    model = as_model(lambda self, x: self.gru(x, lengths=[2, 5]), gru=gru)
    proto = assert_exports(model, sequences(T, N, I))
    assert [given.name for given in proto.graph.input] == ["given_0"]


def test_lengths_may_be_a_keyword_argument_of_the_model() -> None:
    kwargs = {"lengths": tt.tensor([4, 2])}
    proto = assert_exports(nn.GRU(I, H), sequences(T, N, I), kwargs=kwargs)
    assert [given.name for given in proto.graph.input] == ["input", "lengths"]


def test_a_layer_has_its_own_way_with_lengths_again_after_the_export() -> None:
    lstm = nn.LSTM(I, H)
    convert.to_onnx(lstm, sequences(T, N, I), kwargs={"lengths": tt.tensor([4, 2])})
    assert "_with_lengths" not in vars(lstm)


@pytest.mark.parametrize(
    "build",
    [
        lambda: nn.LSTM(I, H, proj_size=2, num_layers=2),
        lambda: as_model(lambda self, x: self.gru(x, return_states=True)[0], gru=nn.GRU(I, H)),
        lambda: nn.Recurrent(nn.LayerNormLSTMCell, I, H, bidirectional=True),
        lambda: nn.Recurrent(nn.LSTM1997Cell, I, H),
    ],
    ids=["proj_size", "return_states", "layer norm", "1997"],
)
def test_what_the_operators_lack_is_written_out_step_by_step(build: Any) -> None:
    model = build().double()
    example, other = sequences(T, N, I).double(), sequences(T, N, I).double()
    # An attribute of ONNX is a float32: the 1e-5 of a LayerNormalization is wrong by 3e-8 of it.
    proto = assert_exports(model, example, other, rtol=1e-8, atol=1e-10)
    assert not {"LSTM", "GRU", "RNN"} & set(operators_of(proto))


def test_a_cell_in_a_loop_is_written_out() -> None:
    def loop(self: Any, x: tt.Tensor) -> Any:
        h = c = tt.zeros(N, H)
        outputs = []
        for t in range(T):
            h, c = self.cell(x[t], (h, c))
            outputs.append(h)
        return tt.stack(outputs), c

    model = as_model(loop, cell=nn.LSTMCell(I, H))
    assert_exports(model, sequences(T, N, I), sequences(T, N, I))


def test_sequences_without_a_batch_are_exported() -> None:
    assert_exports(nn.LSTM(I, H, bidirectional=True), sequences(T, I), sequences(T, I))


def test_double_precision_stays_double() -> None:
    from onnx.reference import ReferenceEvaluator  # onnxruntime's LSTM knows float32 only

    model = nn.LSTM(I, H, num_layers=2, bidirectional=True).double()
    x = sequences(T, N, I).double()
    found = ReferenceEvaluator(convert.to_onnx(model, x)).run(None, {"input": x.numpy()})
    output, states = model(x)
    for mine, other in zip((output, *states), found, strict=True):
        np.testing.assert_allclose(other, mine.detach().numpy(), 1e-12, 1e-13)


# -- whole models


class Classifier(nn.Module):
    """What a person trains: embedding, bidirectional LSTM of padded sequences, head."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 6, padding_idx=0)
        self.lstm = nn.LSTM(6, H, num_layers=2, batch_first=True, bidirectional=True, dropout=0.3)
        self.norm = LayerNorm(2 * H)
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Sequential(nn.Linear(2 * H, 5), nn.ReLU(inplace=True), nn.Linear(5, 3))
        self.register_buffer("scale", tt.tensor([1.0, 2.0, 3.0]))

    def forward(self, tokens: tt.Tensor, lengths: tt.Tensor) -> Any:
        output, (h_n, _) = self.lstm(self.embedding(tokens), lengths=lengths)
        mask = (tokens != 0).unsqueeze(-1)
        pooled = (output * mask).sum(1) / lengths.unsqueeze(-1)
        last = output[tt.arange(len(tokens)), lengths - 1]
        state = self.norm(pooled + last + self.lstm.last_states(h_n))
        scores = self.head(self.dropout(state)) * self.scale
        return {"scores": tt.log_softmax(scores, -1), "best": scores.argmax(-1)}


def tokens(*lengths: int) -> tuple[tt.Tensor, tt.Tensor]:
    numbers = tt.randint(1, 11, (len(lengths), T))
    for row, length in zip(numbers, lengths, strict=True):
        row[length:] = 0
    return numbers, tt.tensor(lengths)


def test_a_classifier_of_padded_sequences_gives_the_same_numbers() -> None:
    model = Classifier()
    proto = assert_exports(model, tokens(5, 1, 3), tokens(2, 4, 5), tokens(1, 1, 1))
    assert [given.name for given in proto.graph.input] == ["tokens", "lengths"]
    assert [found.name for found in proto.graph.output] == ["output_0", "output_1"]


def test_parameters_are_initializers_under_their_names() -> None:
    model = Classifier()
    proto = convert.to_onnx(model, tokens(5, 1, 3))
    found = {i.name: onnx.numpy_helper.to_array(i) for i in proto.graph.initializer}
    for name, tensor in model.state_dict().items():
        if not name.startswith("lstm."):
            np.testing.assert_array_equal(found[name], tensor.numpy(), strict=True)
    layers = convert.to_onnx_weights(model.lstm)
    for number, weights in enumerate(layers):
        for letter, array in weights._asdict().items():
            np.testing.assert_array_equal(found[f"lstm.{letter}_l{number}"], array, strict=True)


def test_tied_weights_are_stored_once() -> None:
    embedding, head = nn.Embedding(7, H), nn.Linear(H, 7, bias=False)
    head.weight = embedding.weight
    model = as_model(lambda self, x: self.head(self.embedding(x)), embedding=embedding, head=head)
    proto = assert_exports(model, tt.randint(0, 7, (T,)), tt.randint(0, 7, (T,)))
    assert initializers_of(proto).count("embedding.weight") == 1
    assert "head.weight" not in initializers_of(proto)


def test_layers_of_many_kinds_give_the_same_numbers() -> None:
    model = nn.Sequential(
        nn.Linear(I, 8), nn.Tanh(), LayerNorm(8), nn.Linear(8, 8), nn.Sigmoid(), nn.GELU(),
        nn.Linear(8, 6), nn.SiLU(), nn.Softplus(), nn.ELU(), nn.LeakyReLU(), nn.Hardsigmoid(),
        nn.GLU(), nn.Flatten(1), nn.Softmax(-1),
    )  # fmt: skip
    assert_exports(model, sequences(N, T, I), sequences(N, T, I))


def test_attention_gives_the_same_numbers() -> None:
    def attend(self: Any, query: tt.Tensor, key: tt.Tensor) -> tt.Tensor:
        weights = F.softmax(query @ key.transpose(-1, -2) / 2.0, -1)
        return weights @ key + F.scaled_dot_product_attention(query, key, key, is_causal=True)

    pair = sequences(N, T, H), sequences(N, T, H)
    assert_exports(as_model(attend), pair, (sequences(N, T, H), sequences(N, T, H)))


def test_a_loss_of_classes_gives_the_same_number() -> None:
    model = as_model(lambda self, x, classes: F.cross_entropy(x, classes))
    example = sequences(4, 3), tt.tensor([0, 2, 1, 1])
    assert_exports(model, example, (sequences(4, 3), tt.tensor([2, 2, 0, 1])))


def test_the_export_is_that_of_eval_mode_and_leaves_the_mode_as_it_was() -> None:
    model = nn.Sequential(nn.Dropout(0.9), nn.Linear(I, I))
    model[1].eval()
    proto = convert.to_onnx(model, sequences(N, I))
    assert operators_of(proto) == ["Gemm"]
    assert [module.training for module in model.modules()] == [True, True, False]


def test_the_export_changes_neither_inputs_nor_parameters_nor_gradients() -> None:
    lstm = nn.LSTM(I, H)
    x = sequences(T, N, I).requires_grad_()
    lstm(x)[0].sum().backward()
    before = [tensor.detach().numpy().copy() for tensor in (x, x.grad, *lstm.parameters())]
    convert.to_onnx(lstm, x)
    after = [tensor.detach().numpy() for tensor in (x, x.grad, *lstm.parameters())]
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)
    assert tt.is_grad_enabled()
    assert lstm(x)[0].requires_grad


# -- what the trace has to find out


def test_a_type_that_the_engine_promotes_by_itself_is_followed() -> None:
    model = as_model(lambda self, x, n: x * n + (x > 0) / n)
    example = sequences(4), tt.tensor([1, 2, 3, 4])
    assert_exports(model, example, (sequences(4), tt.tensor([7, 1, 2, 9])))


def test_writes_in_place_are_followed() -> None:
    def fill(self: Any, x: tt.Tensor) -> tt.Tensor:
        y = tt.zeros(T, N)
        for t in range(T):
            y[t] = x[t].tanh()
        y[1:3, 0] += 2.0
        y.mul_(3)
        y[:, 1][2] = x.sum()
        return y

    model = as_model(fill)
    assert_exports(model, sequences(T, N), sequences(T, N))


def test_views_and_detached_tensors_are_known_again() -> None:
    def look(self: Any, x: tt.Tensor) -> Any:
        y = x.detach().T.data
        return y.contiguous() + y.view(y.shape), y

    assert_exports(as_model(look), sequences(2, 3), sequences(2, 3))


def test_an_input_that_is_returned_and_an_output_twice_are_allowed() -> None:
    def same(self: Any, x: tt.Tensor) -> Any:
        y = x.exp()
        return x, y, y, tt.ones(2)

    assert_exports(as_model(same), sequences(2), sequences(2))


def test_what_is_none_among_the_outputs_is_left_out() -> None:
    proto = assert_exports(as_model(lambda self, x: (None, x.exp())), sequences(2))
    assert [found.name for found in proto.graph.output] == ["output"]


def test_an_operation_that_no_output_needs_is_left_out() -> None:
    model = as_model(lambda self, x: (x.unique(), x.tanh())[1])
    proto = assert_exports(model, tt.tensor([0.5, 0.25, 0.125]))
    assert operators_of(proto) == ["Tanh"]


def test_last_states_that_no_output_needs_are_left_out() -> None:
    model = as_model(lambda self, x: self.lstm(x)[0], lstm=nn.LSTM(I, H, num_layers=2))
    proto = assert_exports(model, sequences(T, N, I))
    assert operators_of(proto) == ["LSTM", "Reshape", "LSTM", "Reshape"]


def test_what_depends_on_no_input_is_computed_once() -> None:
    model = as_model(lambda self, x: x * tt.arange(3).cumsum(0).float().exp())
    proto = assert_exports(model, sequences(3), sequences(3))
    assert operators_of(proto) == ["Mul"]


@pytest.mark.parametrize(
    "function",
    [
        lambda self, x: x.exp() if x.sum() > 0 else x,
        lambda self, x: x[: int(x.sum().abs() * 2)],
        lambda self, x: x[x > 0],
        lambda self, x: x * x.sum().item(),
    ],
    ids=["if", "int", "mask", "item"],
)
def test_operations_that_depend_on_the_numbers_are_refused(function: Any) -> None:
    x = tt.tensor([1.0, -2.0, 3.5, 0.5])
    with pytest.raises(ValueError, match="expected a model that does the same operations whatever"):
        convert.to_onnx(as_model(function), x)


@pytest.mark.parametrize(
    "function",
    [
        lambda self, x: x + tt.from_numpy(x.numpy() * 2),
        lambda self, x: x * tt.tensor(2 * x.sum().item()),
        lambda self, x: F.dropout(x, 0.5),
    ],
    ids=["numpy", "item", "dropout"],
)
def test_values_that_leave_the_graph_or_are_drawn_are_refused(function: Any) -> None:
    with pytest.raises(ValueError, match="to_onnx: expected values that come from operations, got"):
        convert.to_onnx(as_model(function), sequences(4))


@pytest.mark.parametrize("kind", [tt.int32, tt.int64])
@pytest.mark.parametrize(
    "pick",
    [
        lambda x, i, j: x[i],
        lambda x, i, j: x[:, i, 1:],
        lambda x, i, j: x[1, :, j],
        lambda x, i, j: x[i, j],
        lambda x, i, j: x[:, i, j],
        lambda x, i, j: x[i, :, j],
        lambda x, i, j: x[i.unsqueeze(1), j, ::2],
        lambda x, i, j: x.index_select(1, i),
        lambda x, i, j: x[:, [2, 0]][tt.tensor([True, False, True])],
    ],
)
def test_elements_are_picked_by_inputs(pick: Any, kind: Any) -> None:
    model = as_model(lambda self, x, i, j: pick(x, i, j))
    numbers = [tt.tensor(n, dtype=kind) for n in ([2, 0], [1, -1], [0, 1], [2, 2])]
    x = sequences(3, 3, 4)
    assert_exports(model, (x, numbers[0], numbers[1]), (x, numbers[2], numbers[3]))


def test_a_fixed_mask_beside_an_index_that_is_not_is_refused() -> None:
    mask = tt.tensor([True, False, True])
    model = as_model(lambda self, x, i: x[mask, i])
    with pytest.raises(NotImplementedError, match="getitem with integers and slices, got a mask"):
        convert.to_onnx(model, (sequences(3, 4), tt.tensor([1, 3])))


def test_a_length_read_off_the_longest_sequence_is_refused() -> None:
    model = as_model(lambda self, x, lengths: x[: int(lengths.max())])
    with pytest.raises(ValueError, match="whatever numbers are in its inputs, got getitem"):
        convert.to_onnx(model, (sequences(5), tt.tensor([5, 2, 3])))


def test_an_operation_without_counterpart_is_refused_by_its_name() -> None:
    with pytest.raises(NotImplementedError, match="got cumprod; write it by others"):
        convert.to_onnx(as_model(lambda self, x: x.cumprod(0)), sequences(3))


def test_states_of_sequences_with_lengths_are_refused() -> None:
    model = as_model(
        lambda self, x, n: self.gru(x, lengths=n, return_states=True), gru=nn.GRU(I, H)
    )
    with pytest.raises(ValueError, match="expected GRU with lengths= to be one that ONNX has"):
        convert.to_onnx(model, (sequences(T, N, I), tt.tensor([2, 3])))


def test_packed_sequences_are_refused_with_the_cure() -> None:
    packed = nn.utils.rnn.pack_sequence([sequences(3, I), sequences(2, I)])
    with pytest.raises(TypeError, match="a PackedSequence becomes a padded tensor with lengths="):
        convert.to_onnx(nn.GRU(I, H), (packed,))


def test_sequences_that_the_model_packs_itself_are_refused_with_the_cure() -> None:
    def packing(self: Any, x: tt.Tensor, lengths: Any) -> tt.Tensor:
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        return self.gru(packed)[1]

    gru = nn.GRU(I, H)
    with pytest.raises(ValueError, match="packed sequences by lengths="):
        convert.to_onnx(as_model(packing, gru=gru), (sequences(T, 3, I), tt.tensor([3, 5, 2])))
    fixed = as_model(lambda self, x: packing(self, x, [3, 5, 2]), gru=gru)
    assert_exports(fixed, sequences(T, 3, I), sequences(T, 3, I))


def test_only_modules_tensors_and_known_outputs_are_taken() -> None:
    with pytest.raises(TypeError, match="to_onnx: expected a Module, got function"):
        convert.to_onnx(lambda x: x, sequences(2))
    with pytest.raises(TypeError, match="expected a model that returns Tensors in tuples, lists"):
        convert.to_onnx(as_model(lambda self, x: None), sequences(2))


def test_a_model_that_checks_its_inputs_is_run_on_numbers_within_their_range() -> None:
    def checked(self: Any, x: tt.Tensor) -> tt.Tensor:
        if not ((x > 0) & (x < 1)).all():
            raise ValueError("expected probabilities")
        return x.log()

    assert_exports(as_model(checked), tt.tensor([0.25, 0.5]), tt.tensor([0.125, 0.75]))


def test_a_type_that_the_opset_has_no_operator_for_is_refused() -> None:
    model = as_model(lambda self, x: -(x.to(tt.uint8)))
    with pytest.raises(NotImplementedError, match="expected operations on types that opset 17 has"):
        convert.to_onnx(model, tt.tensor([1, 2]))


# -- names, versions, files


def test_inputs_and_outputs_have_the_names_that_are_asked_for() -> None:
    proto = assert_exports(
        nn.LSTM(I, H),
        sequences(T, N, I),
        input_names=["x"],
        output_names=["y", "h", "c"],
    )
    assert [given.name for given in proto.graph.input] == ["x"]
    assert [found.name for found in proto.graph.output] == ["y", "h", "c"]


def test_inputs_are_called_after_the_parameters_of_forward() -> None:
    states = tt.randn(1, N, H), tt.randn(1, N, H)
    proto = convert.to_onnx(nn.LSTM(I, H), (sequences(T, N, I), states))
    assert [given.name for given in proto.graph.input] == ["input", "hx_0", "hx_1"]


def test_keyword_arguments_keep_their_names_in_any_order() -> None:
    kwargs = {"lengths": tt.tensor([4, 2]), "hx": tt.randn(1, N, H)}
    proto = assert_exports(nn.GRU(I, H), sequences(T, N, I), kwargs=kwargs)
    assert [given.name for given in proto.graph.input] == ["input", "lengths", "hx"]
    floats = [given.type.tensor_type.elem_type == 1 for given in proto.graph.input]
    assert floats == [True, False, True]


def test_an_input_that_is_named_as_a_parameter_gets_another_name() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.x = nn.Parameter(tt.tensor([2.0]))

        def forward(self, x: tt.Tensor) -> tt.Tensor:
            return self.x * x

    proto = assert_exports(Scaled(), sequences(3))
    assert [given.name for given in proto.graph.input] == ["x_input"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_names": ["a", "b"]}, "expected 1 different names of inputs"),
        ({"input_names": ["weight"]}, "expected 1 different names of inputs that no parameter has"),
        ({"output_names": []}, "expected 1 different names of outputs"),
        ({"output_names": ["input"]}, "expected 1 different names of outputs that no input"),
    ],
)
def test_names_that_do_not_fit_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        convert.to_onnx(nn.Linear(2, 2), sequences(1, 2), **options)


def test_the_versions_are_held() -> None:
    proto = convert.to_onnx(nn.Linear(2, 2), sequences(1, 2))
    assert [(opset.domain, opset.version) for opset in proto.opset_import] == [("", 17)]
    assert proto.ir_version == 8


def test_the_same_model_gives_the_same_bytes() -> None:
    model, example = Classifier(), tokens(5, 1, 3)
    first, second = (convert.to_onnx(model, example).SerializeToString() for _ in range(2))
    assert first == second


def test_the_file_holds_the_model_and_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "linear.onnx"
    proto = convert.to_onnx(nn.Linear(2, 2), sequences(1, 2), path)
    assert onnx.load(path) == proto
    assert [file.name for file in tmp_path.iterdir()] == ["linear.onnx"]
    with pytest.raises(NotImplementedError):
        convert.to_onnx(as_model(lambda self, x: x.cumprod(0)), sequences(3), path)
    assert onnx.load(path) == proto


def test_without_onnx_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"pip install 'tinytensor-bptt\[onnx\]'"):
        convert.to_onnx(nn.Linear(2, 2), sequences(1, 2))


def test_the_package_is_imported_without_onnx() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        import subprocess

        code = "import sys, tinytensor.convert; sys.exit('onnx' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
