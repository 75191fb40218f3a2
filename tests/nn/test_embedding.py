"""Embedding's options and EmbeddingBag: torch's numbers, gradients, weights, printed form."""

import itertools

import numpy as np
import pytest

import tinytensor as tt
from tinytensor import nn

from .peer import assert_agree, assert_same, both, torch

F = nn.functional
rng = np.random.default_rng(0)
NUMBERS = np.array([[1, 2, 2], [4, 0, 1]])


def normal(*shape: int) -> np.ndarray:
    return rng.standard_normal(shape)


# -- printed form, initial weights ----------------------------------------------------------------

LAYERS = [
    lambda lib: lib.nn.Embedding(5, 4, 0, 2.5),
    lambda lib: lib.nn.Embedding(5, 4, max_norm=1, norm_type=1, scale_grad_by_freq=True),
    lambda lib: lib.nn.Embedding(5, 4, -1, norm_type=3.0, dtype=lib.float64),
    lambda lib: lib.nn.EmbeddingBag(5, 4),
    lambda lib: lib.nn.EmbeddingBag(5, 4, 1.0, 1.0, True, "sum"),
    lambda lib: lib.nn.EmbeddingBag(5, 4, mode="max", include_last_offset=True, padding_idx=-2),
    lambda lib: lib.nn.EmbeddingBag(5, 4, None, 2.0, padding_idx=0, dtype=lib.float64),
]


@pytest.mark.parametrize("build", LAYERS)
def test_a_layer_built_after_a_seed_is_torchs(build) -> None:
    for lib in (tt, torch):
        lib.manual_seed(3)
    ours, theirs = build(tt), build(torch)
    assert repr(ours) == repr(theirs)
    assert ours.padding_idx == theirs.padding_idx
    assert list(ours.state_dict()) == list(theirs.state_dict())
    tolerance = {"float32": 2e-6, "float64": 1e-13}[str(ours.weight.dtype).split(".")[1]]
    assert_same(ours.weight, theirs.weight, rtol=tolerance, atol=tolerance)
    assert_same(tt.rand(3), torch.rand(3), rtol=0, atol=0)


def test_a_bag_of_given_vectors_is_frozen_unless_told_otherwise() -> None:
    for lib in (tt, torch):
        vectors = lib.ones(4, 3, dtype=lib.float64)
        frozen = lib.nn.EmbeddingBag.from_pretrained(vectors)
        assert not frozen.weight.requires_grad
        free = lib.nn.EmbeddingBag.from_pretrained(
            vectors, False, 2.0, 1.0, True, "sum", False, True, 1
        )
        assert free.weight.requires_grad
        assert (free.max_norm, free.norm_type, free.padding_idx) == (2.0, 1.0, 1)
        assert free.include_last_offset
        y = free(lib.tensor([0, 1, 2]), lib.tensor([0, 3]))
        np.testing.assert_allclose(y.tolist(), [[2 * 2 / 3] * 3], rtol=1e-6)
    with pytest.raises(ValueError, match="2 dimensions, got 1"):
        nn.EmbeddingBag.from_pretrained(tt.rand(3))
    with pytest.raises(ValueError, match=r"shape \(5, 3\), got \(4, 3\)"):
        nn.EmbeddingBag(5, 3, _weight=tt.rand(4, 3))
    with pytest.raises(ValueError, match="within num_embeddings"):
        nn.EmbeddingBag(4, 3, padding_idx=4)


# -- Embedding ------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm_type", [2.0, 1, 3.5, 0, np.inf, -1])
@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("max_norm", [1.3, 0.0, 100.0])
def test_rows_that_are_asked_for_are_shortened_in_the_weight(norm_type, kind, max_norm) -> None:
    weights = [*both(normal(5, 4).astype(kind))]
    before = weights[0].numpy().copy()
    numbers = np.array([[1, 2], [2, 4]])
    results = []
    for lib, weight in zip((tt, torch), weights, strict=True):
        leaf = weight.requires_grad_()
        version = leaf._version
        index = lib.tensor(numbers)
        y = lib.nn.functional.embedding(index, leaf, None, max_norm, norm_type)
        assert leaf._version == version + 1
        y.sum().backward()
        results.append([y, leaf, leaf.grad])
    for ours, theirs in zip(*results, strict=True):
        assert_same(ours, theirs, rtol=1e-6 if kind == "float32" else 1e-12)
    np.testing.assert_array_equal(results[0][1].detach().numpy()[[0, 3]], before[[0, 3]])


@pytest.mark.parametrize("padding", [None, 2])
@pytest.mark.parametrize("numbers", [NUMBERS, np.array(3), NUMBERS[:0]])
def test_a_gradient_scaled_by_frequency_is_torchs(padding, numbers) -> None:
    weight, g = normal(5, 4), normal(*numbers.shape, 4)
    grads = []
    for lib in (tt, torch):
        layer = lib.nn.Embedding(5, 4, padding, scale_grad_by_freq=True, _weight=lib.tensor(weight))
        y = layer(lib.tensor(numbers))
        np.testing.assert_array_equal(y.detach().numpy(), weight[numbers])
        y.backward(lib.tensor(g))
        grads.append(layer.weight.grad)
    assert_same(*grads)


def test_a_gradient_scaled_by_frequency_can_be_differentiated() -> None:
    weight = tt.tensor(normal(3, 2), requires_grad=True)
    y = F.embedding(tt.tensor([1, 1, 0]), weight, scale_grad_by_freq=True)
    (g,) = tt.autograd.grad(y.pow(3).sum(), weight, create_graph=True)
    # The gradient is 3 w² for each row that is there, so its own is 6 w, again over the frequency:
    # each of the two 3 w² / 2 of row 1 sends 6 w / 2 back through its y, halved there.
    (gg,) = tt.autograd.grad(g.sum(), weight)
    factors = np.array([[6.0], [3.0], [0.0]])
    np.testing.assert_allclose(gg.numpy(), factors * weight.detach().numpy(), rtol=1e-12)


def test_a_frozen_table_scales_nothing() -> None:
    layer = nn.Embedding.from_pretrained(tt.ones(4, 3), scale_grad_by_freq=True)
    assert layer(tt.tensor([1, 1])).tolist() == [[1, 1, 1]] * 2


def test_sparse_gradients_are_refused_by_name() -> None:
    for use in (
        lambda: nn.Embedding(4, 3, sparse=True),
        lambda: F.embedding(tt.tensor([1]), tt.rand(4, 3), sparse=True),
        lambda: nn.EmbeddingBag(4, 3, sparse=True),
        lambda: F.embedding_bag(tt.tensor([[1]]), tt.rand(4, 3), sparse=True),
    ):
        with pytest.raises(NotImplementedError, match=r"sparse gradients .*; leave out"):
            use()


def test_shortening_refuses_what_is_no_number_of_a_row() -> None:
    for lib in (tt, torch):
        embedding = lib.nn.functional.embedding
        for number in (9, -1):
            with pytest.raises(IndexError):
                embedding(lib.tensor([number]), lib.ones(4, 3), max_norm=1.0)
        with pytest.raises(RuntimeError):
            embedding(lib.tensor([1]), lib.ones(4, 3).long(), max_norm=1.0)
        with pytest.raises((RuntimeError, IndexError)):
            embedding(lib.tensor([1.0]), lib.ones(4, 3), max_norm=1.0)
        assert embedding(lib.tensor(1), lib.ones(4, 3), max_norm=0.0).tolist() == [0, 0, 0]


# -- EmbeddingBag ---------------------------------------------------------------------------------

LINE = np.array([1, 2, 0, 1, 3, 4, 4])
BAGS = {
    "line": (LINE, [0, 2, 2, 5], {}),
    "one bag": (LINE, [0], {}),
    "last offset": (LINE, [0, 3, 3, 7], {"include_last_offset": True}),
    "batch": (LINE[:6].reshape(2, 3), None, {}),
    "int32": (LINE.astype(np.int32), [0, 4], {}),
    "padding": (LINE, [0, 2, 5], {"padding_idx": 1}),
    "padding from behind": (LINE, [0, 2, 5], {"padding_idx": -1}),
    "nothing but padding": (LINE[5:], [0], {"padding_idx": 4}),
    "no numbers": (LINE[:0], [0, 0], {}),
    "no bags": (LINE[:6].reshape(2, 3)[:0], None, {}),
}


def _plain(lib, rows, numbers, offsets, mode, factors=None, padding_idx=None, **rest):
    """The same, bag by bag, in plain operations: torch's own has no second derivative."""
    if offsets is None:
        bounds = [numbers.shape[1] * i for i in range(len(numbers) + 1)]
    else:
        bounds = [*offsets] if rest.get("include_last_offset") else [*offsets, numbers.size]
    zero = 0 if factors is None else 0 * factors.sum()  # so that all are in the graph
    bags = []
    for start, stop in itertools.pairwise(bounds):
        chosen = [
            i
            for i in range(start, stop)
            if padding_idx is None or numbers.ravel()[i] != padding_idx % len(rows)
        ]
        if not chosen:
            bags.append(rows[0] * zero)
            continue
        picked = lib.stack([rows[int(numbers.ravel()[i])] for i in chosen])
        if factors is not None:
            picked = picked * factors.reshape(-1)[chosen].unsqueeze(1)
        if mode == "max":
            bags.append(picked.max(0)[0])
        else:
            bags.append(picked.sum(0) / (len(chosen) if mode == "mean" else 1))
    return lib.stack(bags) if bags else rows[:0] * zero


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize(("numbers", "offsets", "options"), BAGS.values(), ids=BAGS.keys())
def test_bags_are_torchs_to_the_second_order(mode, numbers, offsets, options) -> None:
    def use(lib, rows):
        if lib is torch:
            return _plain(torch, rows, numbers, offsets, mode, **options)
        starts = None if offsets is None else lib.tensor(offsets)
        return F.embedding_bag(lib.tensor(numbers), rows, starts, mode=mode, **options)

    assert_agree(use, normal(5, 3))


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize(("numbers", "offsets", "options"), BAGS.values(), ids=BAGS.keys())
def test_a_layer_of_bags_and_its_gradient_are_torchs(mode, numbers, offsets, options, scaled):
    if mode == "max" and scaled:
        with pytest.raises(ValueError, match="does not support scaling"):
            F.embedding_bag(tt.tensor([[1]]), tt.rand(4, 3), mode=mode, scale_grad_by_freq=True)
        return
    weight = normal(5, 3)
    results = []
    # torch 2.13 divides by the counts of other rows unless the numbers are sorted.
    counts = np.maximum(np.bincount(numbers.ravel(), minlength=5), 1)[:, None] if scaled else 1
    for lib in (tt, torch):
        layer = lib.nn.EmbeddingBag(
            *(5, 3),
            mode=mode,
            scale_grad_by_freq=scaled and lib is tt,
            _weight=lib.tensor(weight),
            **options,
        )
        for train in (True, False):
            starts = None if offsets is None else lib.tensor(offsets)
            y = layer.train(train)(lib.tensor(numbers), starts)
        y.backward(lib.tensor(np.random.default_rng(1).standard_normal(tuple(y.shape))))
        divisor = 1 if lib is tt else lib.tensor(counts)
        results.append([y, layer.weight.grad / divisor])
    for ours, theirs in zip(*results, strict=True):
        assert_same(ours, theirs)


@pytest.mark.parametrize(("numbers", "offsets", "options"), BAGS.values(), ids=BAGS.keys())
def test_factors_of_samples_get_torchs_gradient(numbers, offsets, options) -> None:
    weight, factors = normal(5, 3), normal(*numbers.shape)

    def use(lib, rows, factor):
        if lib is torch:
            return _plain(torch, rows, numbers, offsets, "sum", factor, **options)
        starts = None if offsets is None else lib.tensor(offsets)
        return F.embedding_bag(
            lib.tensor(numbers), rows, starts, mode="sum", per_sample_weights=factor, **options
        )

    assert_agree(use, weight, factors)
    results = []
    for lib in (tt, torch):
        leaves = [lib.tensor(a, requires_grad=True) for a in (weight, factors)]
        starts = None if offsets is None else lib.tensor(offsets)
        y = lib.nn.EmbeddingBag(5, 3, mode="sum", _weight=leaves[0], **options)(
            lib.tensor(numbers), starts, leaves[1]
        )
        results.append(y)
    assert_same(*results)


def test_the_first_of_equal_largest_elements_gets_the_gradient() -> None:
    for lib in (tt, torch):
        rows = lib.zeros(4, 2, requires_grad=True)
        line, starts = lib.tensor([1, 2, 0, 1, 3]), lib.tensor([0, 2, 2])
        lib.nn.functional.embedding_bag(line, rows, starts, mode="max").sum().backward()
        assert rows.grad.tolist() == [[1, 1], [1, 1], [0, 0], [0, 0]]


def test_what_is_not_a_number_is_the_largest_of_its_bag() -> None:
    rows = tt.tensor([[1.0, np.nan], [2.0, 3.0]], dtype=tt.float64, requires_grad=True)
    y = F.embedding_bag(tt.tensor([[1, 0], [1, 1]]), rows, mode="max")
    np.testing.assert_array_equal(y.detach().numpy(), [[2, np.nan], [2, 3]])
    y.sum().backward()
    assert rows.grad.tolist() == [[0, 1], [2, 1]]


def test_bags_shorten_rows_in_the_weight() -> None:
    results = []
    for lib, weight in zip((tt, torch), both(normal(5, 3)), strict=True):
        line, starts = lib.tensor([1, 2, 2]), lib.tensor([0, 2])
        y = lib.nn.functional.embedding_bag(line, weight, starts, 0.7, 1, mode="sum")
        results.append([y, weight])
    for ours, theirs in zip(*results, strict=True):
        assert_same(ours, theirs)


def test_changing_the_numbers_after_the_forward_pass_does_no_harm_or_is_noticed() -> None:
    rows = tt.tensor(normal(4, 2), requires_grad=True)
    numbers = tt.tensor([[1, 2]])
    y = F.embedding_bag(numbers, rows, mode="sum")
    numbers[0, 0] = 3
    y.sum().backward()
    assert rows.grad.tolist() == [[0, 0], [1, 1], [1, 1], [0, 0]]


REFUSED = [
    (ValueError, lambda lib, i, w, o: ((i, w), {})),
    (ValueError, lambda lib, i, w, o: ((i, w, lib.tensor([[0]])), {})),
    (ValueError, lambda lib, i, w, o: ((i.reshape(1, 5), w, o), {})),
    (ValueError, lambda lib, i, w, o: ((i.reshape(1, 1, 5), w), {})),
    (ValueError, lambda lib, i, w, o: ((lib.tensor(1), w, o), {})),
    (ValueError, lambda lib, i, w, o: ((i, w[0], o), {})),
    (ValueError, lambda lib, i, w, o: ((i, w, o), {"mode": "x"})),
    (ValueError, lambda lib, i, w, o: ((i, w, o), {"mode": "sum", "per_sample_weights": w[0]})),
    (
        NotImplementedError,
        lambda lib, i, w, o: ((i, w, o), {"per_sample_weights": lib.ones(5)}),
    ),
    (
        RuntimeError,
        lambda lib, i, w, o: ((i, w, o), {"mode": "sum", "per_sample_weights": i.double()}),
    ),
    (RuntimeError, lambda lib, i, w, o: ((i, w, lib.tensor([1, 2])), {})),
    (RuntimeError, lambda lib, i, w, o: ((i, w, lib.tensor([0, 6])), {})),
    (RuntimeError, lambda lib, i, w, o: ((i + 7, w, o), {})),
    (RuntimeError, lambda lib, i, w, o: ((i - 7, w, o), {})),
    (RuntimeError, lambda lib, i, w, o: ((i.float(), w, o), {})),
    (RuntimeError, lambda lib, i, w, o: ((i, w, o.float()), {})),
    (RuntimeError, lambda lib, i, w, o: ((i, w.long(), o), {})),
    (RuntimeError, lambda lib, i, w, o: ((i, w, o), {"padding_idx": 9})),
]


@pytest.mark.parametrize(("kind", "call"), REFUSED)
def test_what_torch_refuses_is_refused(kind, call) -> None:
    for lib in (torch, tt):
        arguments, named = call(
            lib, lib.tensor([1, 2, 0, 1, 3]), lib.ones(4, 3), lib.tensor([0, 2, 2])
        )
        with pytest.raises(kind) as caught:
            lib.nn.functional.embedding_bag(*arguments, **named)
    assert str(caught.value).startswith("embedding_bag: ")


def test_offsets_that_decrease_are_refused() -> None:
    with pytest.raises(RuntimeError, match="embedding_bag: expected offsets that do not decrease"):
        F.embedding_bag(tt.tensor([1, 2, 0]), tt.ones(4, 3), tt.tensor([0, 3, 2]))


def test_offsets_that_should_end_with_the_last_bag_are_not_empty() -> None:
    empty = tt.zeros(0, dtype=tt.int64)
    with pytest.raises(RuntimeError, match="at least one offset"):
        F.embedding_bag(empty, tt.ones(2, 2), empty, include_last_offset=True)


def test_the_old_order_of_arguments_is_taken_with_a_warning() -> None:
    for lib in (tt, torch):
        with pytest.warns(UserWarning, match="order"):
            y = lib.nn.functional.embedding_bag(lib.ones(4, 3), lib.tensor([[1, 2]]))
        assert y.tolist() == [[1, 1, 1]]
