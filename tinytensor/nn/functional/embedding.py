"""Integers as vectors: rows of a table, bags of rows, and one-hot."""

from __future__ import annotations

import warnings

import numpy as np

from ...dtypes import Array, int64, of_numpy
from ...ops import index as indexing
from ...ops.check import check_tensors
from ...ops.norm import vector_norm
from ...tensor import Tensor, count_write, make


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
    max_norm : rows that are asked for and longer than this are first scaled down to it, in `weight`
        itself and outside the graph; the length is the norm of order `norm_type`
    scale_grad_by_freq : the gradient of a row is divided by how often the input asks for it
    sparse : not supported, NotImplementedError
    Returns Tensor (..., E). Raises IndexError for a number outside [0, V - 1], RuntimeError for
    numbers that are no integers, ValueError for a padding_idx outside [-V, V - 1].
    """
    check_tensors("embedding", input, weight)
    refuse_sparse("embedding", sparse)
    if weight.ndim != 2:
        raise RuntimeError(
            f"embedding: expected a weight of shape (V, E), got {weight._array.shape}"
        )
    padding = wrap_padding_idx(padding_idx, weight._array.shape[0])
    if max_norm is not None:
        _shorten("embedding", weight, input._array, max_norm, norm_type)
    y: Tensor = indexing.embedding(weight, input, padding)
    if scale_grad_by_freq:
        _divide_gradient(y, _counts(input._array, weight))
    return y


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """y[b] = the sum, mean or largest element of the rows weight[i] over the integers i in bag b.

    input : integer Tensor (B, n), a bag in each row; or (n), with the bags in a line
    weight : Tensor (V, E)
    offsets : integer Tensor (B), where in a line each bag begins; the first number is 0
    mode : "sum", "mean" or "max" (which is taken for each column); of an empty bag it is 0
    per_sample_weights : Tensor of the input's shape, factors of the rows, with "sum" only
    include_last_offset : offsets has one number more, at which the last bag ends
    padding_idx : a number that counts for nothing
    max_norm, norm_type, scale_grad_by_freq, sparse : see `embedding`
    Returns Tensor (B, E). Raises ValueError for other shapes and modes, RuntimeError for numbers
    out of range and other types.
    """
    name = "embedding_bag"
    check_tensors(name, input, weight)
    if weight.dtype is int64 and input.is_floating_point():
        warnings.warn(
            "embedding_bag: expected (input, weight, ...), got the old order (weight, input, ...)",
            stacklevel=2,
        )
        weight, input = input, weight
    refuse_sparse(name, sparse)
    _check_bag_arguments(input, weight, offsets, mode, scale_grad_by_freq, per_sample_weights)
    rows = weight._array.shape[0]
    if padding_idx is not None and not -rows <= padding_idx < rows:
        raise RuntimeError(
            f"{name}: expected padding_idx within the number of embeddings, {-rows} through "
            f"{rows - 1}, got {padding_idx}"
        )
    numbers = input._array.reshape(-1)
    _check_bag_numbers(numbers, rows)
    bag_of, bags = _bags(input._array, offsets, include_last_offset)
    used = np.flatnonzero(bag_of >= 0)
    if padding_idx is not None:
        used = used[numbers[used] != padding_idx % rows]
    if max_norm is not None:
        _shorten(name, weight, numbers, max_norm, norm_type)
    chosen, bag_of = numbers[used], bag_of[used]
    y: Tensor = indexing.embedding(weight, make(chosen))
    if scale_grad_by_freq:
        _divide_gradient(y, _counts(numbers, weight)[used])
    if mode == "max":
        return _largest_of_bags(y, bag_of, bags)
    if per_sample_weights is not None:
        y = y * per_sample_weights.reshape(-1)[make(used)].unsqueeze(1)
    y = indexing.add_rows(y, (bags, weight._array.shape[1]), make(bag_of))
    if mode == "sum":
        return y
    sizes = np.maximum(np.bincount(bag_of, minlength=bags), 1)
    return y / make(sizes.astype(weight._array.dtype)[:, None])


def _bags(numbers: Array, offsets: Tensor | None, with_last: bool) -> tuple[Array, int]:
    """The bag of each number, in order, -1 for those behind the last one; and how many bags."""
    if offsets is None:
        bags, each = numbers.shape
        return np.repeat(np.arange(bags), each), bags
    starts = offsets._array
    if starts.dtype.kind not in "iu":
        raise RuntimeError(f"embedding_bag: expected integer offsets, got {offsets.dtype}")
    if with_last and not starts.size:
        raise RuntimeError("embedding_bag: expected at least one offset, the last bag's end")
    ends = starts if with_last else np.append(starts, numbers.size)
    if ends.size and starts.size and (starts[0] != 0 or ends[-1] > numbers.size):
        raise RuntimeError(
            "embedding_bag: expected offsets from 0 up to the input's length "
            f"{numbers.size}, got {starts[0]} to {starts[-1]}"
        )
    sizes = np.diff(ends)
    if np.any(sizes < 0):
        raise RuntimeError(
            f"embedding_bag: expected offsets that do not decrease, got {starts.tolist()!s:.60}"
        )
    bag_of = np.repeat(np.arange(sizes.size), sizes)
    behind = np.full(numbers.size - bag_of.size, -1)
    return np.concatenate((bag_of, behind)), sizes.size


def _largest_of_bags(rows: Tensor, bag_of: Array, bags: int) -> Tensor:
    """The largest element of each column in each bag, the first of equal ones; 0 without rows."""
    values = rows._array
    columns = values.shape[1]
    if not bag_of.size:
        nothing: Tensor = indexing.add_rows(rows, (bags, columns), make(bag_of))
        return nothing
    starts = np.flatnonzero(np.diff(bag_of, prepend=-1))
    filled = bag_of[starts]
    largest = np.empty((bags, columns), values.dtype)
    largest[filled] = np.maximum.reduceat(values, starts)
    found = (values == largest[bag_of]) | (values != values)
    places = np.where(found, np.arange(len(values))[:, None], len(values))
    first = np.zeros((bags, columns), np.int64)
    first[filled] = np.minimum.reduceat(places, starts)
    empty = np.ones((bags, 1), np.bool_)
    empty[filled] = False
    y: Tensor = indexing.getitem(rows, (make(first), make(np.arange(columns))))
    return y.masked_fill(make(empty), 0.0)


def _shorten(name: str, weight: Tensor, numbers: Array, max_norm: float, norm_type: float) -> None:
    """Scale the rows of these numbers down to a norm of max_norm, in their memory."""
    table = weight._array
    if not weight.is_floating_point() or numbers.dtype.kind not in "iu":
        raise RuntimeError(
            f"{name}: expected a floating-point weight and integer numbers with max_norm, got "
            f"{weight.dtype} and {of_numpy(numbers.dtype)}"
        )
    if numbers.size and (numbers.min() < 0 or numbers.max() >= len(table)):
        raise IndexError(
            f"{name}: expected indices in [0, {len(table) - 1}], got {numbers.min()} to "
            f"{numbers.max()}"
        )
    chosen = np.unique(numbers)
    norms: Array = vector_norm(make(table[chosen]), norm_type, 1)._array.astype(np.float64)
    long = norms > max_norm
    scale = max_norm / (norms[long] + 1e-7)
    table[chosen[long]] *= scale.astype(table.dtype)[:, None]
    count_write(weight._storage, name)


def _counts(numbers: Array, weight: Tensor) -> Array:
    """For each of the numbers how often it occurs, in the type of the weight."""
    _, place, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    return counts[place].reshape(numbers.shape).astype(weight._array.dtype)


def _divide_gradient(y: Tensor, counts: Array) -> None:
    """Have the gradient of y (..., E) divided by counts (...) on its way back."""
    if y.requires_grad:
        divisor = make(counts[..., None])
        y.register_hook(lambda g: g / divisor)


def refuse_sparse(name: str, sparse: bool) -> None:
    """Raise NotImplementedError for sparse gradients."""
    if sparse:
        raise NotImplementedError(
            f"{name}: sparse gradients are not supported; leave out sparse=True"
        )


def _check_bag_arguments(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None,
    mode: str,
    scale_grad_by_freq: bool,
    factors: Tensor | None,
) -> None:
    """Raise where torch does."""
    name = "embedding_bag"
    shape = input._array.shape
    if factors is not None and factors._array.shape != shape:
        raise ValueError(
            f"{name}: expected per_sample_weights of the input's shape {shape}, got "
            f"{factors._array.shape}"
        )
    if weight.ndim != 2:
        raise ValueError(f"{name}: weight has to be a 2D Tensor, got {weight.ndim} dimensions")
    if len(shape) not in (1, 2):
        raise ValueError(f"{name}: input has to be 1D or 2D Tensor, got {len(shape)} dimensions")
    if len(shape) == 2 and offsets is not None:
        raise ValueError(
            f"{name}: if input is 2D, then offsets has to be None (each row is a bag), got some"
        )
    if len(shape) == 1 and (offsets is None or offsets.ndim != 1):
        got = "None" if offsets is None else f"{offsets.ndim} dimensions"
        raise ValueError(f"{name}: offsets has to be a 1D Tensor for an input of 1D, got {got}")
    if mode not in ("sum", "mean", "max"):
        raise ValueError(f"{name}: mode has to be one of sum, mean or max, got {mode!r}")
    if mode == "max" and scale_grad_by_freq:
        raise ValueError(f"{name}: max mode does not support scaling the gradient by the frequency")
    if factors is not None and mode != "sum":
        raise NotImplementedError(
            f"{name}: per_sample_weights is only supported for mode='sum', got mode={mode!r}"
        )
    for what, values, fits in (
        ("integer input", input, input._array.dtype.kind in "iu"),
        ("floating-point weight", weight, weight.is_floating_point()),
        (
            f"per_sample_weights of {weight.dtype}",
            factors,
            factors is None or factors.dtype is weight.dtype,
        ),
    ):
        if values is not None and not fits:
            raise RuntimeError(f"{name}: expected {what}, got {values.dtype}")


def _check_bag_numbers(numbers: Array, rows: int) -> None:
    """Raise RuntimeError for a number that is not that of a row."""
    wrong = np.flatnonzero((numbers < 0) | (numbers >= rows))
    if wrong.size:
        raise RuntimeError(
            f"embedding_bag: Index {wrong[0]} of input takes value {numbers[wrong[0]]}, which is "
            f"not in the valid range [0, {rows})"
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
