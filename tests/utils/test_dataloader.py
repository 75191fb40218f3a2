"""DataLoader gives torch's batches in torch's order and leaves generators where torch does."""

import pickle

import numpy as np
import pytest

import tinytensor as tt

from .peer import assert_same, assert_same_error
from .test_dataset import rows, stream

OPTIONS = [
    {},
    {"batch_size": 4},
    {"batch_size": 4, "drop_last": True},
    {"batch_size": 4, "shuffle": True},
    {"batch_size": 4, "shuffle": True, "drop_last": True},
    {"batch_size": None},
    {"batch_size": None, "shuffle": True},
    {"batch_size": 3, "sampler": [8, 2, 2, 5]},
    {"batch_sampler": [[1, 2], [0], [3, 4, 5]]},
    {"batch_size": 2, "collate_fn": list},
    {"batch_size": 4, "shuffle": False, "in_order": False, "worker_init_fn": print},
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("seeded", [True, False])
@pytest.mark.parametrize("kind", ["tensors", "samples", "subset"])
def test_two_passes_are_torchs_batch_for_batch(options, seeded, kind):
    def passes(lib, data):
        dataset = rows(lib, data, 10)
        if kind == "samples":
            dataset = list(dataset)
        if kind == "subset":
            dataset = data.random_split(dataset, [9, 1])[0]
        generator = lib.Generator().manual_seed(7) if seeded else None
        loader = data.DataLoader(dataset, generator=generator, **options)
        batches = [len(loader), list(loader), list(loader)]
        return batches, None if generator is None else lib.rand(2, generator=generator)

    assert_same(passes)


@pytest.mark.parametrize("batch_size", [None, 1, 3, 7])
@pytest.mark.parametrize("drop_last", [False, True])
def test_a_stream_comes_in_torchs_batches(batch_size, drop_last):
    def passes(lib, data):
        drop = drop_last and batch_size is not None
        loader = data.DataLoader(stream(data, *range(7)), batch_size, drop_last=drop)
        return [len(loader), list(loader), list(loader)]

    assert_same(passes)


def test_a_stream_is_read_no_further_than_asked():
    class Endless(tt.utils.data.IterableDataset):
        def __iter__(self):
            self.read = 0
            while True:
                self.read += 1
                yield self.read

    dataset = Endless()
    batches = iter(tt.utils.data.DataLoader(dataset, 3))
    assert next(batches).tolist() == [1, 2, 3]
    assert dataset.read == 3


def test_a_stream_longer_than_it_said_is_told_once_the_loader_knows():
    class Liar(tt.utils.data.IterableDataset):
        def __iter__(self):
            return iter(range(3))

        def __len__(self):
            return 2

    loader = tt.utils.data.DataLoader(Liar())
    assert len(list(loader)) == 3
    assert len(loader) == 2
    with pytest.warns(UserWarning, match="reported to be 2, but 3 samples"):
        list(loader)


def test_samples_of_a_batch_are_asked_for_at_once_if_the_dataset_can():
    class Squares:
        def __getitems__(self, indices):
            return [index * index for index in indices]

        def __len__(self):
            return 5

    batches = list(tt.utils.data.DataLoader(Squares(), 2))
    assert [batch.tolist() for batch in batches] == [[0, 1], [4, 9], [16]]


def test_a_changed_tensor_dataset_keeps_its_ways():
    class Doubled(tt.utils.data.TensorDataset):
        def __getitem__(self, index):
            return tuple(2 * part for part in super().__getitem__(index))

    x = tt.arange(4.0)
    for dataset in (Doubled(x), tt.utils.data.Subset(Doubled(x), [0, 1, 2, 3])):
        ((batch,),) = tt.utils.data.DataLoader(dataset, 4)
        assert batch.tolist() == [0.0, 2.0, 4.0, 6.0]


def test_a_batch_of_tensors_has_memory_of_its_own_and_carries_gradients():
    x = tt.arange(4.0).requires_grad_()
    ((batch,),) = tt.utils.data.DataLoader(tt.utils.data.TensorDataset(x), 4)
    (3 * batch).sum().backward()
    assert x.grad.tolist() == [3.0] * 4
    with tt.no_grad():
        batch.zero_()
    assert x.tolist() == [0.0, 1.0, 2.0, 3.0]


def test_two_passes_at_the_same_time_do_not_disturb_each_other():
    loader = tt.utils.data.DataLoader(list(range(6)), 2, shuffle=True)
    pairs = list(zip(loader, loader, strict=True))
    for one in zip(*pairs, strict=True):
        assert sorted(np.concatenate([batch.numpy() for batch in one])) == list(range(6))


def test_a_pass_is_an_iterator_that_knows_how_many_batches_it_has():
    def first_of_many(lib, data):
        batches = iter(data.DataLoader(list(range(7)), 2))
        return [len(batches), next(batches), list(iter(batches))]

    assert_same(first_of_many)


def test_a_pass_goes_on_from_the_saved_state_of_its_generator():
    generator = tt.Generator().manual_seed(1)
    loader = tt.utils.data.DataLoader(list(range(20)), 4, shuffle=True, generator=generator)
    list(loader)
    state = generator.get_state()
    after = [batch.tolist() for batch in loader]
    generator.set_state(state)
    assert [batch.tolist() for batch in loader] == after


def test_a_loader_without_a_seed_of_its_own_can_be_pickled():
    loader = tt.utils.data.DataLoader(list(range(6)), 2)
    again = pickle.loads(pickle.dumps(loader))
    assert [batch.tolist() for batch in again] == [[0, 1], [2, 3], [4, 5]]


def test_there_is_no_worker_to_ask_about():
    assert_same(lambda lib, data: data.get_worker_info())


@pytest.mark.parametrize(
    ("error", "options", "says"),
    [
        (ValueError, {"num_workers": -1}, "non-negative, got -1"),
        (ValueError, {"timeout": -1}, "non-negative, got -1"),
        (ValueError, {"prefetch_factor": 2}, "prefetch_factor option needs num_workers"),
        (ValueError, {"persistent_workers": True}, "persistent_workers option needs"),
        (ValueError, {"multiprocessing_context": "fork"}, "multiprocessing_context option"),
        (ValueError, {"sampler": [0], "shuffle": True}, "exclusive with shuffle"),
        (ValueError, {"batch_sampler": [[0]], "batch_size": 2}, "exclusive with batch_size"),
        (ValueError, {"batch_sampler": [[0]], "drop_last": True}, "and drop_last"),
        (ValueError, {"batch_size": None, "drop_last": True}, "disables auto-batching"),
        (ValueError, {"batch_size": 0}, "batch_size should be a positive integer"),
    ],
)
def test_options_that_exclude_each_other_raise_as_in_torch(error, options, says):
    def make(lib, data):
        return data.DataLoader([1, 2], **options)

    assert says in assert_same_error(error, make)


@pytest.mark.parametrize("options", [{"shuffle": True}, {"sampler": [0]}, {"batch_sampler": [[0]]}])
def test_a_stream_has_no_order_to_choose(options):
    def make(lib, data):
        return data.DataLoader(stream(data, 1, 2), **options)

    says = assert_same_error(ValueError, make)
    assert f"expected unspecified {next(iter(options))} option" in says


def test_an_empty_dataset_can_not_be_shuffled_but_read():
    assert "num_samples" in assert_same_error(
        ValueError, lambda lib, data: data.DataLoader([], shuffle=True)
    )
    assert_same(lambda lib, data: list(data.DataLoader([])))


def test_a_stream_without_a_length_has_none_in_the_loader_either():
    def length(lib, data):
        class Stream(data.IterableDataset):
            def __iter__(self):
                return iter([1])

        return len(data.DataLoader(Stream()))

    assert_same_error(TypeError, length)


@pytest.mark.parametrize("name", ["batch_size", "sampler", "dataset", "drop_last"])
def test_what_comes_can_not_be_changed_later(name):
    def change(lib, data):
        setattr(data.DataLoader([1, 2]), name, 1)

    assert f"{name} attribute should not be set" in assert_same_error(ValueError, change)


def test_worker_processes_are_refused():
    with pytest.raises(NotImplementedError, match=r"expected num_workers=0, got 2; .* leave"):
        tt.utils.data.DataLoader([1, 2], num_workers=2)
