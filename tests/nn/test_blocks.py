"""The product of a step in blocks is the product."""

import numpy as np
import pytest

from tinytensor import parallel
from tinytensor.nn.blocks import blocks_for, in_blocks, is_quick, multiply, parts_for


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setattr(parallel, "_blas_threads", lambda: 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("rows", "inner", "columns", "blocks"),
    [
        (3, 4, 5, 1),
        (25, 128, 512, 8),
        (64, 300, 400, 5),
        (64, 300, 401, 1),
        (9, 4000, 64, 1),
        (128, 500, 64, 1),  # whose rows are cut
        (61, 700, 64, 1),  # which are not
        (0, 3, 4, 1),
    ],
)
def test_it_is_numpys_product_for_as_many_rows_and_for_fewer(rows, inner, columns, blocks, dtype):
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((columns, inner)).astype(dtype).T
    made = in_blocks(weight, rows)
    assert blocks_for(rows, inner, columns) == (len(made) if made.ndim == 3 else 1) == blocks
    for count in (rows, rows // 2):
        a = rng.standard_normal((count, inner)).astype(dtype)
        out = np.full((count, columns), np.nan, dtype)
        multiply(a, made, out)
        bound = 4 * np.finfo(dtype).eps * (np.abs(a) @ np.abs(weight)).max(initial=1)
        np.testing.assert_allclose(out, a @ weight, rtol=0, atol=bound)


@pytest.mark.parametrize("rows", [1, 15, 16, 50, 61, 64, 500, 1000])
@pytest.mark.parametrize("inner", [4, 100, 512, 900, 2048])
@pytest.mark.parametrize("columns", [1, 31, 64, 96, 100, 512, 1021])
def test_what_is_cut_is_quick_and_what_is_quick_is_not_cut(rows, inner, columns):
    blocks = blocks_for(rows, inner, columns)
    assert columns % blocks == 0
    width = columns // blocks
    parts = parts_for(rows, inner, width)
    assert rows % parts == 0
    assert parts == 1 or rows // parts >= 16
    if blocks > 1 or parts > 1:
        assert is_quick(rows // parts, inner, width)
        assert not is_quick(rows, inner, columns)
    if blocks > 1:
        assert 32 <= width <= 128


def test_many_rows_are_left_to_the_threads_of_blas(monkeypatch):
    weight = np.ones((512, 512), np.float32)
    assert in_blocks(weight, 64).ndim == 3
    assert in_blocks(weight, 20).ndim == 3
    monkeypatch.setattr(parallel, "_blas_threads", lambda: 2)
    assert in_blocks(weight, 64) is weight
    assert in_blocks(weight, 20).ndim == 3  # no threads wake for so few
