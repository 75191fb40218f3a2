"""The product of a step in blocks is the product."""

import numpy as np
import pytest

from tinytensor.nn.blocks import in_blocks, multiply


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("rows", "inner", "columns", "blocks"),
    [
        (3, 4, 5, 1),
        (25, 128, 512, 2),
        (64, 300, 400, 8),
        (64, 300, 401, 1),
        (9, 4000, 64, 1),
        (0, 3, 4, 1),
    ],
)
def test_it_is_numpys_product_for_as_many_rows_and_for_fewer(rows, inner, columns, blocks, dtype):
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((columns, inner)).astype(dtype).T
    made = in_blocks(weight, rows)
    assert (len(made) if made.ndim == 3 else 1) == blocks
    for count in (rows, rows // 2):
        a = rng.standard_normal((count, inner)).astype(dtype)
        out = np.full((count, columns), np.nan, dtype)
        multiply(a, made, out)
        bound = 4 * np.finfo(dtype).eps * (np.abs(a) @ np.abs(weight)).max(initial=1)
        np.testing.assert_allclose(out, a @ weight, rtol=0, atol=bound)
