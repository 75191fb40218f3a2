"""Samplers give torch's order from the same seed; buckets hold sequences of similar length."""

import numpy as np
import pytest

import tinytensor as tt

from .peer import assert_same, assert_same_error

data = tt.utils.data


@pytest.mark.parametrize("seeded", [True, False])
@pytest.mark.parametrize(
    "make",
    [
        lambda data, options: data.RandomSampler(range(10), **options),
        lambda data, options: data.RandomSampler(range(10), num_samples=4, **options),
        lambda data, options: data.RandomSampler(range(10), num_samples=20, **options),
        lambda data, options: data.RandomSampler(range(10), num_samples=25, **options),
        lambda data, options: data.RandomSampler(range(10), True, **options),
        lambda data, options: data.RandomSampler(range(10), True, 64, **options),
        lambda data, options: data.RandomSampler(range(10), True, 70, **options),
        lambda data, options: data.SubsetRandomSampler([5, 3, 9, 1], **options),
        lambda data, options: data.WeightedRandomSampler([1, 0, 2.5, 3], 50, **options),
        lambda data, options: data.WeightedRandomSampler([1, 0, 2.5, 3], 3, False, **options),
        lambda data, options: data.WeightedRandomSampler([1, 0, 2.5, 3], 1, **options),
    ],
)
def test_two_passes_are_torchs(make, seeded):
    def passes(lib, data):
        options = {"generator": lib.Generator().manual_seed(7)} if seeded else {}
        sampler = make(data, options)
        return [len(sampler), list(sampler), list(sampler)]

    assert_same(passes)


@pytest.mark.parametrize("replacement", [True, False])
def test_a_pass_takes_from_its_generator_when_torchs_does(replacement):
    def one_by_one(lib, data):
        generator = lib.Generator().manual_seed(7)
        indices = iter(data.RandomSampler(range(50), replacement, 100, generator))
        taken = []
        for _ in range(70):
            taken.append((next(indices), generator.get_state().sum().item()))
        return taken

    assert_same(one_by_one)


@pytest.mark.parametrize("count", [0, 1, 3, 9, 10])
@pytest.mark.parametrize("drop_last", [True, False])
def test_batches_of_indices_are_torchs(count, drop_last):
    def batches(lib, data):
        sampler = data.BatchSampler(data.SequentialSampler(range(count)), 3, drop_last)
        return [len(sampler), list(sampler), list(sampler)]

    assert_same(batches)


@pytest.mark.parametrize(
    ("error", "compute"),
    [
        (ValueError, lambda lib, data: data.RandomSampler([])),
        (ValueError, lambda lib, data: data.RandomSampler([1], num_samples=0)),
        (TypeError, lambda lib, data: data.RandomSampler([1], replacement=1)),
        (ValueError, lambda lib, data: data.WeightedRandomSampler([1.0], True)),
        (ValueError, lambda lib, data: data.WeightedRandomSampler([1.0], -1)),
        (ValueError, lambda lib, data: data.WeightedRandomSampler([1.0], 1, "no")),
        (ValueError, lambda lib, data: data.WeightedRandomSampler([[1.0]], 1)),
        (RuntimeError, lambda lib, data: list(data.WeightedRandomSampler([1.0], 2, False))),
        (ValueError, lambda lib, data: data.BatchSampler([1], 0, False)),
        (ValueError, lambda lib, data: data.BatchSampler([1], 1.5, False)),
        (ValueError, lambda lib, data: data.BatchSampler([1], 1, None)),
        (NotImplementedError, lambda lib, data: iter(data.Sampler())),
    ],
)
def test_mistakes_raise_as_in_torch(error, compute):
    assert "should be" in assert_same_error(error, compute) or error is not ValueError


# ---- Buckets


LENGTHS = np.random.default_rng(0).integers(1, 300, 203)


@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("pool", [1, 3, 100])
def test_buckets_hold_every_sequence_once_in_full_batches(shuffle, drop_last, pool):
    sampler = data.BucketBatchSampler(LENGTHS, 8, shuffle, drop_last, pool)
    batches = list(sampler)
    assert len(batches) == len(sampler)
    seen = sorted(index for batch in batches for index in batch)
    assert len(set(seen)) == len(seen)
    if drop_last:
        assert {len(batch) for batch in batches} == {8}
        assert len(seen) > 203 - 8
    else:
        assert seen == list(range(203))
        assert sum(len(batch) < 8 for batch in batches) == 1


def padding(batches):
    """Padded steps as a part of all steps."""
    padded = sum(len(batch) * LENGTHS[batch].max() for batch in batches)
    return 1 - sum(LENGTHS[batch].sum() for batch in batches) / padded


def test_buckets_spare_the_padding_that_shuffling_has():
    bucketed = padding(data.BucketBatchSampler(LENGTHS, 8))
    shuffled = padding(data.BatchSampler(data.RandomSampler(LENGTHS), 8, False))
    assert bucketed < 0.05 < 0.3 < shuffled


def test_another_pass_has_other_batches():
    sampler = data.BucketBatchSampler(LENGTHS, 8, pool=5)
    first, second = list(sampler), list(sampler)
    assert {frozenset(batch) for batch in first} != {frozenset(batch) for batch in second}


def test_batches_come_in_no_order_of_length():
    longest = [LENGTHS[batch].max() for batch in data.BucketBatchSampler(LENGTHS, 8)]
    assert longest != sorted(longest)
    assert longest != sorted(longest, reverse=True)


def test_buckets_are_the_same_from_the_same_seed():
    def batches():
        generator = tt.Generator().manual_seed(5)
        return list(data.BucketBatchSampler(tt.tensor(LENGTHS), 8, generator=generator))

    assert batches() == batches()
    tt.manual_seed(3)
    first = list(data.BucketBatchSampler(LENGTHS, 8))
    tt.manual_seed(3)
    assert first == list(data.BucketBatchSampler(LENGTHS.tolist(), 8))


def test_without_shuffling_the_longest_come_first():
    batches = list(data.BucketBatchSampler([3, 9, 5, 9], 2, shuffle=False))
    assert batches == [[1, 3], [2, 0]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], 2), r"expected the lengths of the sequences, \(samples,\), got shape \(0,\)"),
        (([[1, 2]], 2), r"got shape \(1, 2\)"),
        (([1], 0), "batch_size should be a positive integer value, got 0"),
        (([1], 2, True, False, 0), "pool should be a positive integer value, got 0"),
    ],
)
def test_buckets_that_can_not_be_made_say_why(arguments, message):
    with pytest.raises(ValueError, match=message):
        data.BucketBatchSampler(*arguments)
