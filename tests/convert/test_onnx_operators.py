"""Every primitive of the table as ONNX, run by onnxruntime."""

from typing import Any

import numpy as np
import pytest

import tinytensor as tt
from tests.convert.runtime import run, tensors
from tests.ops.table import ROWS, Row
from tinytensor import convert, nn
from tinytensor.convert.operators import FAMILIES, OPERATORS

pytest.importorskip("onnx")

# Refused for some rows: another option, tensors without elements or dimensions, whole numbers.
IN_PART = {
    "_round", "_scatter", "_std", "_var", "_vector_norm", "all", "amax", "amin", "any",
    "bitwise_and", "bitwise_not", "bitwise_or", "bitwise_xor", "clamp_max", "clamp_min", "gather",
    "getitem", "index_put", "logsumexp", "mean", "prod", "round", "scatter_add", "softmax", "sum",
    "vector_norm",
}  # fmt: skip

# Rows with NaN, whose place in an order ONNX leaves open.
OPEN = {"amax-(4,)", "amin-(4,)", "argsort-(2,5)", "gather-(2,5)"}


class Operation(nn.Module):
    """A row of the table as a model."""

    def __init__(self, row: Row) -> None:
        super().__init__()
        self.row = row

    def forward(self, *given: tt.Tensor) -> Any:
        return self.row.call(tt, *given)


def outcome(row: Row) -> str:
    """ "same" numbers in onnxruntime, or the refusal: "absent" or "dependent"."""
    arrays = [a.astype(np.float32) if a.dtype == np.float64 else a for a in row.arrays()]
    given = tuple(tt.tensor(array) for array in arrays)
    try:
        proto = convert.to_onnx(Operation(row), given)
    except NotImplementedError:
        return "absent"
    except ValueError as error:
        assert "to_onnx: expected" in str(error)
        return "dependent"
    expected = [result.detach().numpy() for result in tensors(tuple(row.call(tt, *given)))]
    if any(array.size == 0 for array in (*arrays, *expected)):
        return "same"  # nothing to compare
    for mine, other in zip(expected, run(proto, *arrays), strict=True):
        assert mine.shape == other.shape, row.label
        assert mine.dtype == other.dtype, row.label
        np.testing.assert_allclose(other, mine, 1e-5, 1e-6, err_msg=row.label)
    return "same"


@pytest.mark.parametrize("op", sorted({row.op for row in ROWS}))
def test_a_primitive_gives_the_same_numbers_or_is_refused(op: str) -> None:
    rows = [row for row in ROWS if row.op == op and row.label not in OPEN]
    found = {outcome(row) for row in rows}
    if op == "copy_slices":  # runs with a graph only; without one a write is an index_put
        assert found == {"same"}
    elif op not in OPERATORS:
        assert "same" not in found
    elif op in IN_PART:
        assert "same" in found
    else:
        assert found == {"same"}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_every_family_of_operators_is_in_the_table(family: Any) -> None:
    assert any(function.__module__ == family.__name__ for function in OPERATORS.values())
