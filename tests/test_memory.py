"""Memory taken again: never while an array uses it, always once none does."""

import numpy as np
import pytest

from tinytensor import memory

LARGE = (512, 512)  # a megabyte in float32


@pytest.fixture(autouse=True)
def own_buffers(monkeypatch):
    monkeypatch.setattr(memory, "_buffers", [])


def address(array):
    return array.__array_interface__["data"][0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int8])
@pytest.mark.parametrize("shape", [(), (0, 3), (3, 5), LARGE])
@pytest.mark.parametrize("made", [memory.empty, memory.aligned])
def test_an_array_is_as_asked_for_and_writeable(made, shape, dtype):
    array = made(shape, dtype)
    assert array.shape == shape
    assert array.dtype == dtype
    assert array.flags.c_contiguous
    array[...] = 1
    assert array.sum() == array.size


@pytest.mark.parametrize("shape", [(3, 5), LARGE])
def test_a_copy_is_one(shape):
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)[::-1].T
    copy = memory.copy(array)
    np.testing.assert_array_equal(copy, array)
    assert not np.shares_memory(copy, array)


def test_memory_is_taken_again_once_no_array_and_no_view_of_it_is_left():
    first = memory.empty(LARGE, np.float32)
    part = first[3:5].T
    first.fill(1)
    place = address(first)
    del first
    second = memory.empty(LARGE, np.float32)
    assert not np.shares_memory(second, part)
    second.fill(2)
    assert (part == 1).all()
    del part
    third = memory.empty(LARGE, np.float64)
    assert address(third) != place  # twice as large: not that memory
    fourth = memory.empty((500, 512), np.float32)
    assert address(fourth) == place


def test_memory_much_too_large_is_not_taken():
    large = memory.empty((2048, 512), np.float32)
    place = address(large)
    del large
    assert address(memory.empty(LARGE, np.float32)) != place


def test_what_is_kept_is_bounded(monkeypatch):
    monkeypatch.setattr(memory, "_MOST", 3 << 20)
    for rows in range(512, 2048, 100):
        array = memory.empty((rows, 256), np.float32)
        assert sum(map(len, memory._buffers)) <= 3 << 20
        del array
    assert memory._buffers


def test_aligned_memory_starts_at_a_cache_line():
    arrays = [memory.aligned((3, k), np.float32) for k in range(1, 40)]
    assert {address(array) % 64 for array in arrays} == {0}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_each_row_of_matrices_with_aligned_rows_starts_at_a_cache_line(dtype):
    for columns in range(1, 40):
        array = memory.aligned_rows((2, 3, columns), dtype)
        assert array.shape == (2, 3, columns)
        assert array.dtype == dtype
        assert {address(row) % 64 for matrix in array for row in matrix} == {0}
        array[...] = 1
        assert array.sum() == array.size
