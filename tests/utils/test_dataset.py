"""Datasets hold, join and split samples as torch's."""

import pytest

import tinytensor as tt

from .peer import assert_same, assert_same_error


def rows(lib, data, count=5):
    return data.TensorDataset(lib.arange(2.0 * count).reshape(count, 2), lib.arange(count))


def numbers(data, *values):
    """A dataset of plain numbers."""

    class Numbers(data.Dataset):
        def __getitem__(self, index):
            return values[index]

        def __len__(self):
            return len(values)

    return Numbers()


def stream(data, *values):
    class Stream(data.IterableDataset):
        def __iter__(self):
            return iter(values)

        def __len__(self):
            return len(values)

    return Stream()


@pytest.mark.parametrize(
    "compute",
    [
        lambda lib, data: [rows(lib, data)[i] for i in (0, 4, -1)],
        lambda lib, data: rows(lib, data)[1:3],
        lambda lib, data: rows(lib, data)[[3, 0]],
        lambda lib, data: len(rows(lib, data)),
        lambda lib, data: list(numbers(data, 1, 2) + numbers(data, 3)),
        lambda lib, data: [(numbers(data, 1, 2) + numbers(data, 3))[i] for i in (0, 1, 2, -1, -3)],
        lambda lib, data: len(data.ConcatDataset([numbers(data, 1, 2), numbers(data), [5]])),
        lambda lib, data: (
            data.ConcatDataset([numbers(data, 1, 2), numbers(data), [5]]).cumulative_sizes
        ),
        lambda lib, data: list(stream(data, 1, 2) + stream(data, 3)),
        lambda lib, data: len(data.ChainDataset([stream(data, 1, 2), stream(data, 3)])),
        lambda lib, data: data.StackDataset(numbers(data, 1, 2), numbers(data, 3, 4))[1],
        lambda lib, data: data.StackDataset(a=numbers(data, 1, 2), b=rows(lib, data, 2))[1],
        lambda lib, data: data.StackDataset(numbers(data, 1, 2), rows(lib, data, 2)).__getitems__(
            [1, 0]
        ),
        lambda lib, data: data.StackDataset(a=numbers(data, 1, 2)).__getitems__([1, 0]),
        lambda lib, data: len(data.StackDataset(numbers(data, 1, 2))),
        lambda lib, data: data.Subset(numbers(data, 1, 2, 3), [2, 0])[1],
        lambda lib, data: data.Subset(rows(lib, data), [2, 0])[[1, 0]],
        lambda lib, data: data.Subset(numbers(data, 1, 2, 3), [2, 0]).__getitems__([0, 1]),
        lambda lib, data: data.Subset(
            data.StackDataset(numbers(data, 1, 2, 3)), range(1, 3)
        ).__getitems__([1, 0]),
        lambda lib, data: len(data.Subset(numbers(data, 1, 2, 3), [2, 0])),
    ],
)
def test_samples_and_lengths_are_torchs(compute):
    assert_same(compute)


@pytest.mark.parametrize("lengths", [[7, 0, 4], [0.5, 0.3, 0.2], [0.34, 0.33, 0.33], [1.0], [11]])
@pytest.mark.parametrize("seeded", [True, False])
def test_a_random_split_is_torchs(lengths, seeded):
    def split(lib, data):
        options = {"generator": lib.Generator().manual_seed(4)} if seeded else {}
        parts = data.random_split(range(11), lengths, **options)
        return [list(part.indices) for part in parts]

    _, parts = assert_same(split)
    assert sorted(i for _, part in parts for i in part) == list(range(11))


def test_a_split_into_nothing_warns_as_in_torch():
    with pytest.warns(UserWarning, match="Length of split at index 2 is 0") as caught:
        tt.utils.data.random_split([1, 2], [0.5, 0.5, 0.0])
    assert caught[0].filename == __file__
    assert len(caught) == 1


@pytest.mark.parametrize(
    ("error", "compute", "says"),
    [
        (
            AssertionError,
            lambda lib, data: data.TensorDataset(lib.ones(2), lib.ones(3)),
            r"got [2, 3]",
        ),
        (NotImplementedError, lambda lib, data: data.Dataset()[0], "__getitem__"),
        (TypeError, lambda lib, data: data.IterableDataset(), "__iter__"),
        (AssertionError, lambda lib, data: data.ConcatDataset([]), "at least one dataset"),
        (AssertionError, lambda lib, data: data.ConcatDataset([stream(data)]), "use ChainDataset"),
        (ValueError, lambda lib, data: data.ConcatDataset([[1, 2]])[-3], "got -3 for 2 samples"),
        (IndexError, lambda lib, data: data.ConcatDataset([[1, 2]])[2], ""),
        (
            AssertionError,
            lambda lib, data: list(data.ChainDataset([numbers(data)])),
            "use ConcatDataset",
        ),
        (ValueError, lambda lib, data: data.StackDataset(), "got neither"),
        (ValueError, lambda lib, data: data.StackDataset([1], a=[1]), "got both"),
        (ValueError, lambda lib, data: data.StackDataset([1], [1, 2]), "got [1, 2]"),
        (ValueError, lambda lib, data: data.random_split([1, 2], [1, 2]), "expected 2, got 3"),
        (ValueError, lambda lib, data: data.random_split([1, 2], [-0.5, 1.5]), "index 0"),
    ],
)
def test_mistakes_raise_as_in_torch_and_say_what_is_wrong(error, compute, says):
    assert says in assert_same_error(error, compute)


def test_a_subset_that_the_loader_would_pass_over_is_refused():
    def define(lib, data):
        class Shifted(data.Subset):
            def __getitem__(self, index):
                return super().__getitem__(index) + 1

        return Shifted([1, 2], [0])

    assert "def __getitems__" in assert_same_error(NotImplementedError, define)


def test_a_dataset_that_gives_too_few_samples_is_told_so():
    class Short(tt.utils.data.Dataset):
        def __getitems__(self, indices):
            return [0]

    with pytest.raises(ValueError, match=r"Short\.__getitems__: expected 2 samples, got 1"):
        tt.utils.data.Subset(Short(), [0, 1]).__getitems__([0, 1])
