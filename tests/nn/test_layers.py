"""Linear, Embedding, Dropout, Flatten, Identity: torch's numbers, weights, masks, printed form."""

import numpy as np
import pytest

import tinytensor as tt
from tinytensor import nn

from .peer import assert_agree, assert_same, both, copy_weights, torch

F = nn.functional
rng = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return rng.standard_normal(shape)


# -- printed form, initial weights, state ---------------------------------------------------------

LAYERS = {
    "linear": lambda lib: lib.nn.Linear(3, 4),
    "linear no bias": lambda lib: lib.nn.Linear(3, 4, bias=False),
    "linear float64": lambda lib: lib.nn.Linear(30, 40, True, "cpu", lib.float64),
    "bilinear": lambda lib: lib.nn.Bilinear(3, 4, 5),
    "bilinear no bias": lambda lib: lib.nn.Bilinear(3, 4, 5, False, "cpu", lib.float64),
    "embedding": lambda lib: lib.nn.Embedding(5, 4),
    "embedding padding": lambda lib: lib.nn.Embedding(5, 4, padding_idx=-2),
    "embedding float64": lambda lib: lib.nn.Embedding(50, 4, 1, dtype=lib.float64),
    "dropout": lambda lib: lib.nn.Dropout(0.3, inplace=True),
    "identity": lambda lib: lib.nn.Identity(1, two=3),
    "flatten": lambda lib: lib.nn.Flatten(0, 1),
    "mse": lambda lib: lib.nn.MSELoss(),
    "cross entropy": lambda lib: lib.nn.CrossEntropyLoss(lib.ones(3), ignore_index=2),
    "nll": lambda lib: lib.nn.NLLLoss(),
    "bce": lambda lib: lib.nn.BCEWithLogitsLoss(lib.ones(2), pos_weight=lib.ones(2)),
    "nested": lambda lib: lib.nn.Sequential(
        lib.nn.Embedding(5, 4),
        lib.nn.Sequential(lib.nn.Linear(4, 4), lib.nn.ReLU(), lib.nn.Dropout()),
        lib.nn.ModuleList([lib.nn.Linear(2, 2)] * 2),
    ),
}


@pytest.mark.parametrize("build", LAYERS.values(), ids=LAYERS.keys())
@pytest.mark.parametrize("seed", [0, 7])
def test_a_layer_built_after_a_seed_is_torchs(build, seed: int) -> None:
    for lib in (tt, torch):
        lib.manual_seed(seed)
    ours, theirs = build(tt), build(torch)
    assert repr(ours) == repr(theirs)
    expected = theirs.state_dict()
    assert list(ours.state_dict()) == list(expected)
    for name, value in ours.state_dict().items():
        drawn_normal = "Embedding" in repr(ours)
        tolerance = {"float32": 2e-6, "float64": 1e-13}[str(value.numpy().dtype)] * drawn_normal
        assert_same(value, expected[name], rtol=tolerance, atol=tolerance)
    assert_same(tt.rand(3), torch.rand(3), rtol=0, atol=0)


def test_modules_of_extra_text_print_as_torchs() -> None:
    printed = []
    for lib in (tt, torch):

        class Lines(lib.nn.Module):
            def extra_repr(self) -> str:
                return "a=1\nb=2"

        class Outer(lib.nn.Module):
            def __init__(self, lines: type) -> None:
                super().__init__()
                self.lines = lines()
                self.register_module("nothing", None)

            def extra_repr(self) -> str:
                return "text"

        printed.append([repr(Lines()), repr(Outer(Lines)), repr(lib.nn.Module())])
    assert printed[0] == printed[1]


# -- Linear ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3,), (2, 3), (4, 2, 3), (2, 1, 4, 3), (0, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear_is_torchs(shape, bias) -> None:
    def use(lib, x, weight, *rest):
        return lib.nn.functional.linear(x, weight, *rest)

    assert_agree(use, normal(*shape), normal(5, 3), *([normal(5)] if bias else []))


def test_a_linear_module_with_torchs_weights_gives_torchs_numbers() -> None:
    ours, theirs = nn.Linear(3, 2), torch.nn.Linear(3, 2)
    copy_weights(theirs, ours)
    x, x_ = both(normal(4, 3).astype(np.float32))
    assert_same(ours(x), theirs(x_), rtol=1e-6, atol=1e-6)


def test_linear_refuses_what_does_not_fit() -> None:
    layer = nn.Linear(3, 2)
    with pytest.raises(RuntimeError, match=r"linear: .*\(2, 4\), \(2, 3\)"):
        layer(tt.zeros(2, 4))
    with pytest.raises(
        RuntimeError, match=r"same dtype, got .*float64 and .*float32; use input.to"
    ):
        layer(tt.zeros(2, 3, dtype=tt.float64))
    with pytest.raises(RuntimeError, match="same dtype"):
        layer(tt.ones(2, 3).long())
    with pytest.raises(RuntimeError, match="cuda"):
        nn.Linear(2, 3, device="cuda")


def test_a_linear_layer_of_nothing_is_built_with_torchs_warning() -> None:
    for lib in (tt, torch):
        with pytest.warns(UserWarning, match="Initializing zero-element tensors is a no-op"):
            layer = lib.nn.Linear(0, 2)
        assert layer(lib.zeros(3, 0)).tolist() == [[0, 0]] * 3


# -- Bilinear -------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (2,), (4, 2), (0,)])
@pytest.mark.parametrize("bias", [True, False])
def test_bilinear_is_torchs_to_the_second_order(shape, bias) -> None:
    def use(lib, x1, x2, weight, *rest):
        return lib.nn.functional.bilinear(x1, x2, weight, *rest)

    inputs = normal(*shape, 3), normal(*shape, 4)
    assert_agree(use, *inputs, normal(5, 3, 4), *([normal(5)] if bias else []))


def test_a_bilinear_module_with_torchs_weights_gives_torchs_numbers() -> None:
    ours, theirs = nn.Bilinear(3, 4, 2), torch.nn.Bilinear(3, 4, 2)
    copy_weights(theirs, ours)
    x1, x1_ = both(normal(5, 3).astype(np.float32))
    x2, x2_ = both(normal(5, 4).astype(np.float32))
    for train in (True, False):
        assert_same(ours.train(train)(x1, x2), theirs.train(train)(x1_, x2_), rtol=2e-6, atol=1e-6)


BILINEAR_REFUSED = [
    (RuntimeError, lambda lib: (lib.ones(5, 2), lib.ones(1, 3), lib.ones(4, 2, 3))),
    (RuntimeError, lambda lib: (lib.ones(7, 5, 2), lib.ones(5, 3), lib.ones(4, 2, 3))),
    (RuntimeError, lambda lib: (lib.ones(5, 3), lib.ones(5, 3), lib.ones(4, 2, 3))),
    (RuntimeError, lambda lib: (lib.ones(5, 2), lib.ones(5, 4), lib.ones(4, 2, 3))),
    (RuntimeError, lambda lib: (lib.ones(5, 2), lib.ones(5, 3), lib.ones(4, 2, 3), lib.ones(3))),
    (RuntimeError, lambda lib: (lib.ones(5, 2).double(), lib.ones(5, 3), lib.ones(4, 2, 3))),
    (IndexError, lambda lib: (lib.ones(5, 2), lib.ones(5, 3), lib.ones(4, 2))),
    (TypeError, lambda lib: ([1.0], lib.ones(5, 3), lib.ones(4, 2))),
]


@pytest.mark.parametrize(("kind", "arguments"), BILINEAR_REFUSED)
def test_bilinear_refuses_what_torch_refuses(kind, arguments) -> None:
    for lib in (torch, tt):
        with pytest.raises(kind) as caught:
            lib.nn.functional.bilinear(*arguments(lib))
    assert str(caught.value).startswith("bilinear: ")
    for lib in (torch, tt):
        with pytest.raises(ValueError, match="in1_features"):
            lib.nn.Bilinear(0, 3, 4)


# -- Embedding ------------------------------------------------------------------------------------

NUMBERS = np.array([[1, 2, 2], [4, 0, 1]])


@pytest.mark.parametrize("padding", [None, 2, -1])
@pytest.mark.parametrize("numbers", [NUMBERS, np.array(3), NUMBERS[:0], NUMBERS.astype(np.int32)])
def test_embedding_is_torchs(padding, numbers) -> None:
    def use(lib, weight, index):
        return lib.nn.functional.embedding(index, weight, padding)

    assert_agree(use, normal(5, 4), numbers)


def test_the_padding_row_is_zero_at_first_and_gets_no_gradient() -> None:
    layer = nn.Embedding(4, 3, padding_idx=-1)
    assert layer.padding_idx == 3
    assert layer.weight[3].tolist() == [0, 0, 0]
    layer(tt.tensor([3, 1, 3])).sum().backward()
    assert layer.weight.grad.tolist() == [[0] * 3, [1] * 3, [0] * 3, [0] * 3]


def test_an_embedding_of_given_vectors_is_frozen_unless_told_otherwise() -> None:
    vectors = tt.rand(4, 3)
    frozen = nn.Embedding.from_pretrained(vectors)
    assert not frozen.weight.requires_grad
    assert frozen(tt.tensor(2)).tolist() == vectors[2].tolist()
    free = nn.Embedding.from_pretrained(vectors, freeze=False, padding_idx=0)
    assert free.weight.requires_grad
    assert repr(free) == "Embedding(4, 3, padding_idx=0)"
    with pytest.raises(ValueError, match="2 dimensions, got 1"):
        nn.Embedding.from_pretrained(tt.rand(3))
    with pytest.raises(ValueError, match=r"shape \(5, 3\), got \(4, 3\)"):
        nn.Embedding(5, 3, _weight=vectors)


def test_embedding_refuses_what_is_no_number_of_a_row() -> None:
    layer = nn.Embedding(4, 3)
    with pytest.raises(IndexError, match=r"\[0, 3\], got 1 to 9"):
        layer(tt.tensor([1, 9]))
    with pytest.raises(IndexError, match="got -1"):
        layer(tt.tensor([-1]))
    with pytest.raises(RuntimeError, match=r"integer.*float32"):
        layer(tt.tensor([1.0]))
    with pytest.raises(RuntimeError, match=r"\(V, E\), got \(3,\)"):
        F.embedding(tt.tensor([1]), tt.rand(3))
    with pytest.raises(ValueError, match=r"within num_embeddings, \[-4, 3\], got 4"):
        nn.Embedding(4, 3, padding_idx=4)


@pytest.mark.parametrize("classes", [-1, 5, 8])
@pytest.mark.parametrize("numbers", [NUMBERS, np.array(3)])
def test_one_hot_is_torchs(classes, numbers) -> None:
    ours, theirs = both(numbers)
    assert_same(F.one_hot(ours, classes), torch.nn.functional.one_hot(theirs, classes))


@pytest.mark.parametrize(
    ("numbers", "classes", "message"),
    [
        ([1, -2], -1, "non-negative, got -2"),
        ([1, 5], 3, "smaller than num_classes = 3, got 5"),
        ([1.0], 3, r"int64, got .*float32"),
        ([1], 0, "num_classes > 0, got 0"),
    ],
)
def test_one_hot_refuses_what_is_no_class(numbers, classes, message) -> None:
    with pytest.raises(RuntimeError, match=message):
        F.one_hot(tt.tensor(numbers), classes)
    with pytest.raises(RuntimeError):
        torch.nn.functional.one_hot(torch.tensor(numbers), classes)


def test_one_hot_of_nothing_needs_the_number_of_classes() -> None:
    empty = tt.zeros(0, dtype=tt.int64)
    with pytest.raises(RuntimeError, match="empty"):
        F.one_hot(empty)
    assert F.one_hot(empty, 3).shape == (0, 3)


# -- Dropout --------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize(
    "arrange",
    [
        lambda x: x,
        lambda x: x.transpose(0, 1),
        lambda x: x.permute(2, 0, 1),
        lambda x: x[:, 1:, ::2],
    ],
    ids=["plain", "transposed", "permuted", "sliced"],
)
def test_dropout_has_torchs_masks(p, kind, arrange) -> None:
    ours, theirs = both(np.ones((5, 6, 7), kind))
    for lib in (tt, torch):
        lib.manual_seed(3)
    result = F.dropout(arrange(ours), p)
    assert_same(result, torch.nn.functional.dropout(arrange(theirs), p), rtol=0, atol=0)
    assert_same(tt.rand(3), torch.rand(3), rtol=0, atol=0)
    assert 0 < (result == 0).sum().item() < result.numel()


@pytest.mark.parametrize("p", [0.3, 1.0])
@pytest.mark.parametrize("inplace", [False, True])
def test_dropout_has_torchs_gradients(p, inplace) -> None:
    def use(lib, x):
        lib.manual_seed(1)
        return lib.nn.Dropout(p, inplace)(x * x)

    assert_agree(use, normal(4, 5))


def test_dropout_hands_its_input_on_when_there_is_nothing_to_drop() -> None:
    x = tt.rand(3)
    assert nn.Dropout(0.5).eval()(x) is x
    assert F.dropout(x, 0.0) is x
    assert F.dropout(x, 0.5, training=False) is x
    assert F.dropout(x, 0.5, inplace=True) is x
    assert x._version == 1
    empty = tt.zeros(0)
    assert F.dropout(empty) is empty


@pytest.mark.parametrize("p", [-0.1, 1.1])
def test_dropout_refuses_what_is_no_probability(p) -> None:
    for use in (nn.Dropout, lambda p: F.dropout(tt.zeros(1), p)):
        with pytest.raises(ValueError, match=f"between 0 and 1, but got {p}"):
            use(p)


# -- Flatten, Identity ----------------------------------------------------------------------------


def test_flatten_and_identity_are_torchs() -> None:
    for arguments in ((), (0,), (1, 2), (-2, -1)):
        assert_agree(lambda lib, x, a=arguments: lib.nn.Flatten(*a)(x * 1), normal(2, 3, 4, 1))
    x = tt.rand(2)
    assert nn.Identity(54, unused=True)(x) is x


# -- arguments of the functions --------------------------------------------------------------------


def test_a_weight_that_is_a_vector_gives_one_number() -> None:
    x, w = normal(2, 3, 4), normal(4)
    ours, theirs = (lib.nn.functional.linear(lib.tensor(x), lib.tensor(w)) for lib in (tt, torch))
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-14, strict=True)
    assert F.linear(tt.ones(4), tt.ones(4)).item() == 4
    with pytest.raises(RuntimeError):
        F.linear(tt.ones(2, 4), tt.ones(4), tt.ones(1))


REFUSED = [
    (TypeError, lambda lib: lib.nn.functional.one_hot([0, 1])),
    (TypeError, lambda lib: lib.nn.functional.one_hot(lib.tensor([0, 1]), 2.0)),
    (TypeError, lambda lib: lib.nn.functional.one_hot(lib.tensor([0, 1]), True)),
    (TypeError, lambda lib: lib.nn.functional.dropout([1.0, 2.0], 0.0)),
    (RuntimeError, lambda lib: lib.nn.functional.dropout(lib.tensor([1, 2]), 0.5)),
    (RuntimeError, lambda lib: lib.nn.functional.glu(lib.arange(3))),
    (IndexError, lambda lib: lib.nn.functional.glu(lib.arange(4), 1)),
    (NotImplementedError, lambda lib: lib.nn.functional.glu(lib.arange(4))),
]


@pytest.mark.parametrize(("kind", "call"), REFUSED)
def test_arguments_that_torch_refuses_are_refused(kind, call) -> None:
    for lib in (torch, tt):
        with pytest.raises(kind):
            call(lib)
