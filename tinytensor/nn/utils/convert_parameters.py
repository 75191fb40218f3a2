"""Parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

from ...ops.shape import cat
from ...tensor import Tensor


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All parameters, flattened, one after another, as a recorded operation: Tensor (total)."""
    vector: Tensor = cat([parameter.reshape(-1) for parameter in parameters])
    return vector


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Give each parameter its stretch of the vector as its new data (shared with the vector).

    Raises TypeError if vec is no Tensor, RuntimeError if it is of another length.
    """
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected a Tensor as vec, but got: {type(vec).__name__}")
    owners = list(parameters)
    total = sum(owner.numel() for owner in owners)
    if vec.ndim != 1 or vec.numel() != total:
        raise RuntimeError(
            f"vector_to_parameters: expected a vector of shape ({total},) for these parameters, "
            f"got {tuple(vec.shape)}"
        )
    start = 0
    for owner in owners:
        end = start + owner.numel()
        owner.data = vec.data[start:end].view(owner.shape)
        start = end
