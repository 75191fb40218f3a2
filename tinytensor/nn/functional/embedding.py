"""Integers as vectors: rows of a table, and one-hot."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...ops import index as indexing
from ...ops.check import check_tensors
from ...tensor import Tensor, make


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """y = weight[input], a row of the table for each integer.

    input : integer Tensor (...)
    weight : Tensor (V, E)
    padding_idx : the number of a row that gets no gradient
    max_norm, scale_grad_by_freq, sparse : not supported, NotImplementedError
    Returns Tensor (..., E). Raises IndexError for a number outside [0, V - 1], RuntimeError for
    numbers that are no integers, ValueError for a padding_idx outside [-V, V - 1].
    """
    check_embedding_options(max_norm, scale_grad_by_freq, sparse)
    if weight.ndim != 2:
        raise RuntimeError(
            f"embedding: expected a weight of shape (V, E), got {weight._array.shape}"
        )
    padding = wrap_padding_idx(padding_idx, weight._array.shape[0])
    y: Tensor = indexing.embedding(weight, input, padding)
    return y


def check_embedding_options(max_norm: Any, scale_grad_by_freq: bool, sparse: bool) -> None:
    """Raise NotImplementedError for the options of torch's embedding that there are not."""
    if max_norm is not None or scale_grad_by_freq or sparse:
        raise NotImplementedError(
            "embedding: max_norm, scale_grad_by_freq and sparse are not supported; leave them out"
        )


def wrap_padding_idx(padding_idx: int | None, rows: int) -> int | None:
    """A padding_idx counted from the front. Raises ValueError outside [-rows, rows - 1]."""
    if padding_idx is None:
        return None
    if not -rows <= padding_idx < rows:
        raise ValueError(
            f"embedding: Padding_idx must be within num_embeddings, [{-rows}, {rows - 1}], "
            f"got {padding_idx}"
        )
    return padding_idx % rows


def one_hot(input: Tensor, num_classes: int = -1) -> Tensor:
    """Integers (...) -> (..., num_classes), 1 at each number and 0 elsewhere.

    num_classes : one more than the largest number when left out
    Raises RuntimeError for numbers that are not int64 or not in [0, num_classes - 1].
    """
    check_tensors("one_hot", input)
    if isinstance(num_classes, bool) or not hasattr(num_classes, "__index__"):
        raise TypeError(f"one_hot: expected an integer num_classes, got {num_classes!r}")
    numbers = input._array
    if numbers.dtype != np.int64:
        raise RuntimeError(
            f"one_hot: expected index tensor of int64, got {input.dtype}; use .long()"
        )
    if numbers.size == 0 and num_classes <= 0:
        raise RuntimeError("one_hot: can't infer the number of classes from an empty tensor")
    if numbers.size and numbers.min() < 0:
        raise RuntimeError(f"one_hot: Class values must be non-negative, got {numbers.min()}")
    if num_classes == -1:
        num_classes = int(numbers.max()) + 1
    if num_classes < 1:
        raise RuntimeError(f"one_hot: expected num_classes > 0, got {num_classes}")
    if numbers.size and numbers.max() >= num_classes:
        raise RuntimeError(
            f"one_hot: Class values must be smaller than num_classes = {num_classes}, "
            f"got {numbers.max()}"
        )
    return make((numbers[..., None] == np.arange(num_classes)).astype(np.int64))
