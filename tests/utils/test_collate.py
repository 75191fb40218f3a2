"""Batches have torch's form and types; padded ones say how long each sequence is."""

from collections import OrderedDict, UserDict, UserList, defaultdict, namedtuple
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import pytest

import tinytensor as tt

from .peer import assert_same, assert_same_error

data = tt.utils.data
Point = namedtuple("Point", "x y")


class Named(Mapping):
    """A mapping that can't be made of its entries alone."""

    def __init__(self, name, entries):
        self.entries = entries

    def __getitem__(self, key):
        return self.entries[key]

    def __iter__(self):
        return iter(self.entries)

    def __len__(self):
        return len(self.entries)


SAMPLES = [
    lambda lib: lib.tensor([1.0, 2.0]),
    lambda lib: lib.tensor(3),
    lambda lib: lib.ones(2, 0, 3),
    lambda lib: lib.arange(6.0).reshape(2, 3).t(),
    lambda lib: np.array([1.5, 2.5]),
    lambda lib: np.array([1, 2], np.int16),
    lambda lib: np.array(7, np.uint8),
    lambda lib: np.float32(1.5),
    lambda lib: np.float64(1.5),
    lambda lib: np.int8(3),
    lambda lib: np.bool_(True),
    lambda lib: 2.5,
    lambda lib: 4,
    lambda lib: True,
    lambda lib: "text",
    lambda lib: b"bytes",
    lambda lib: (lib.tensor([1.0]), 2),
    lambda lib: [lib.tensor([1.0]), 2.0],
    lambda lib: {"a": lib.tensor([1.0]), "b": [1, (2, "c")]},
    lambda lib: OrderedDict(b=1, a=2.0),
    lambda lib: Point(1, lib.tensor([2.0])),
    lambda lib: (Point(np.ones(2), {"n": 3}), "s"),
    lambda lib: UserDict(a=1),
    lambda lib: UserList([1, 2.0]),
    lambda lib: range(3),
    lambda lib: (),
    lambda lib: MappingProxyType({"a": 1.0}),
    lambda lib: Named("n", {"a": 1.0, "b": [2]}),
]


@pytest.mark.parametrize("sample", SAMPLES)
def test_two_samples_collate_as_in_torch(sample):
    assert_same(lambda lib, data: data.default_collate([sample(lib), sample(lib)]))


@pytest.mark.parametrize("sample", SAMPLES)
def test_one_sample_converts_as_in_torch(sample):
    assert_same(lambda lib, data: data.default_convert(sample(lib)))


def test_what_holds_no_numbers_converts_to_itself():
    assert_same(lambda lib, data: data.default_convert([None, np.array(["a"]), "b", {1}]))


def test_what_a_mapping_carries_besides_its_entries_is_kept():
    batch = data.default_collate([defaultdict(list, a=1), defaultdict(list, a=2)])
    assert batch["missing"] == []
    assert batch["a"].tolist() == [1, 2]


def test_types_that_differ_are_promoted_as_in_torch():
    assert_same(
        lambda lib, data: data.default_collate([lib.ones(2), lib.ones(2, dtype=lib.float64)])
    )


def test_a_batch_has_memory_of_its_own():
    sample = tt.ones(2)
    batch = data.default_collate([sample])
    batch.zero_()
    assert sample.tolist() == [1.0, 1.0]
    assert batch.is_contiguous()


def test_a_gradient_flows_through_a_batch():
    leaf = tt.ones(2, requires_grad=True)
    data.default_collate([(leaf,), (2 * leaf,)])[0].sum().backward()
    assert leaf.grad.tolist() == [3.0, 3.0]


@pytest.mark.parametrize(
    ("error", "compute", "says"),
    [
        (TypeError, lambda lib, data: data.default_collate([None]), "found NoneType"),
        (TypeError, lambda lib, data: data.default_collate([{1}]), "found set"),
        (TypeError, lambda lib, data: data.default_collate([lib.ones(2), 3.0]), "float"),
        (TypeError, lambda lib, data: data.default_collate([np.array(["a"])]), "array of <U1"),
        (RuntimeError, lambda lib, data: data.default_collate([[1], [1, 2]]), "lengths [1, 2]"),
        (RuntimeError, lambda lib, data: data.default_collate([lib.ones(2), lib.ones(3)]), "stack"),
    ],
)
def test_what_can_not_be_stacked_raises_as_in_torch(error, compute, says):
    assert says in assert_same_error(error, compute)


# ---- Padding


def sequences(*lengths, width=2):
    return [tt.arange(1.0, 1 + n * width).reshape(n, width) for n in lengths]


@pytest.mark.parametrize("batch_first", [False, True])
def test_sequences_are_padded_to_the_longest_and_lengths_say_where_they_end(batch_first):
    parts = sequences(2, 4, 0, 1)
    padded, lengths = data.PadCollate(batch_first=batch_first, padding_value=-9.0)(parts)
    assert lengths.tolist() == [2, 4, 0, 1]
    assert lengths.dtype == tt.int64
    if not batch_first:
        padded = padded.transpose(0, 1)
    assert padded.shape == (4, 4, 2)
    for n, part in enumerate(parts):
        assert padded[n, : len(part)].tolist() == part.tolist()
        assert bool((padded[n, len(part) :] == -9).all())


def test_each_sequence_of_a_sample_becomes_padded_and_lengths_in_its_place():
    xs = sequences(3, 1)
    ys = [[4, 5], [6]]
    collate = data.PadCollate(fields=(0, 2), padding_value=(0.0, -100))
    x, x_lengths, label, y, y_lengths = collate(
        [(x, n, y) for n, (x, y) in enumerate(zip(xs, ys, strict=True))]
    )
    assert x.shape == (3, 2, 2)
    assert x_lengths.tolist() == [3, 1]
    assert label.tolist() == [0, 1]
    assert y.tolist() == [[4, 6], [5, -100]]
    assert (y.dtype, y_lengths.tolist()) == (tt.int64, [2, 1])


def test_padded_batches_of_a_loader_feed_an_lstm():
    samples = [(x, float(n)) for n, x in enumerate(sequences(5, 2, 3))]
    loader = data.DataLoader(samples, batch_size=3, collate_fn=data.PadCollate())
    ((x, lengths, y),) = loader
    lstm = tt.nn.LSTM(2, 4)
    _, (h, _) = lstm(x, lengths=lengths)
    alone = [lstm(part)[1][0] for part, _ in samples]
    assert np.allclose(h[0].detach(), tt.cat(alone).detach(), atol=1e-6)
    assert y.tolist() == [0.0, 1.0, 2.0]


@pytest.mark.parametrize(
    ("fields", "values", "samples", "error", "message"),
    [
        ((0,), 0.0, [(1.0, 2)], TypeError, "sequences .* at position 0, got single numbers"),
        ((2,), 0.0, [([1.0], 2)], TypeError, r"sequences at \(2,\), got tuples of 2"),
        ((0, 1), (1, 2, 3), [], ValueError, "expected one padding_value or 2, got 3"),
        ((-1,), 0.0, [], ValueError, r"positions from 0 on in fields, got \(-1,\)"),
        ((), 0.0, [], ValueError, r"positions from 0 on in fields, got \(\)"),
    ],
)
def test_samples_without_the_sequences_asked_for_say_so(fields, values, samples, error, message):
    with pytest.raises(error, match=message):
        data.PadCollate(fields, padding_value=values)(samples)
