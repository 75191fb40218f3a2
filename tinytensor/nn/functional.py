"""Layers and losses as functions of tensors, without state."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import random
from ..autograd.inplace import in_place
from ..dtypes import Array, boolean, promote_types
from ..ops import activations as act
from ..ops import conv, linalg
from ..ops import elementwise as e
from ..ops import index as indexing
from ..ops import norm as norms
from ..ops import reduce as reductions
from ..ops import shape as moves
from ..ops.check import check_tensors
from ..ops.pad import pad as pad
from ..tensor import Tensor, make

# -- layers ---------------------------------------------------------------------------------------


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y = x Wᵀ + b over the last dimension.

    input : Tensor (..., I)
    weight : Tensor (O, I)
    bias : Tensor (O) or None
    Returns Tensor (..., O). Raises RuntimeError for other shapes and for different dtypes.
    """
    if input.dtype is not weight.dtype:
        raise RuntimeError(
            f"linear: expected input and weight to have the same dtype, got {input.dtype} and "
            f"{weight.dtype}; use input.to({weight.dtype})"
        )
    y: Tensor = linalg.linear(input, weight, 0.0 if bias is None else bias)
    return y


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


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """In training each element is zero with probability p, else scaled by 1 / (1 - p).

    Source: Srivastava et al. 2014. Raises ValueError unless 0 <= p <= 1.
    """
    check_probability(p)
    if p == 0 or not training or input._array.size == 0:
        return input
    if p == 1:
        mask = np.zeros((), input._array.dtype)
    else:
        mask = dropout_mask(p, input._array)
    return input.mul_(make(mask)) if inplace else input * make(mask)


def check_probability(p: float) -> None:
    """Raise ValueError unless 0 <= p <= 1."""
    if not 0 <= p <= 1:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def dropout_mask(p: float, like: Array) -> Array:
    """0 with probability p, else 1 / (1 - p), in the shape, type and memory layout of `like`.

    torch draws in the order of memory, so the layout decides which element gets which number.
    """
    keep = 1.0 - p
    mask = np.empty_like(like)
    flat = mask.ravel(order="K")
    flat[...] = random.default_generator.bernoulli(keep, flat.size)
    flat /= keep
    return mask


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Integers (...) -> (..., num_classes), 1 at each number and 0 elsewhere.

    num_classes : one more than the largest number when left out
    Raises RuntimeError for numbers that are not int64 or not in [0, num_classes - 1].
    """
    numbers = tensor._array
    if numbers.dtype != np.int64:
        raise RuntimeError(
            f"one_hot: expected index tensor of int64, got {tensor.dtype}; use .long()"
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


conv1d = conv.conv1d


# -- attention and similarity ---------------------------------------------------------------------


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """y = dropout(softmax(scale · Q Kᵀ + mask)) V  (Vaswani et al. 2017, eq. 1).

    query : Tensor (..., L, E)
    key : Tensor (..., S, E)
    value : Tensor (..., S, V)
    attn_mask : broadcast to (..., L, S): bool, True where attention is allowed, or float, added to
        the scores; a query that may attend to nothing gets zeros
    dropout_p : dropout on the weights, in evaluation too: pass 0.0 there
    is_causal : query l attends to keys 0 to l; without attn_mask only
    scale : 1 / √E when left out
    enable_gqa : a key and value head serves several query heads (dimension -3)
    Returns Tensor (..., L, V). Raises RuntimeError for shapes, dtypes and masks that do not fit.
    """
    name = "scaled_dot_product_attention"
    _check_attention(name, query, key, value, attn_mask, dropout_p, is_causal)
    if enable_gqa:
        key, value = _shared_heads(name, query, key), _shared_heads(name, query, value)
    if scale is None:
        scale = 1 / math.sqrt(max(query._array.shape[-1], 1))
    # Both factors get the root, so that half-precision scores stay in range, as in torch.
    root = math.sqrt(abs(scale))
    scores: Tensor = linalg.matmul(
        query * math.copysign(root, scale), moves.transpose(key * root, -1, -2)
    )
    rows, columns = scores._array.shape[-2:]
    if is_causal:
        attn_mask = make(np.tri(rows, columns, dtype=np.bool_))
    if attn_mask is None:
        weights: Tensor = reductions.softmax(scores, -1)
    else:
        weights = _masked_softmax(scores, attn_mask)
    if dropout_p > 0:
        weights = dropout(weights, dropout_p)
    y: Tensor = linalg.matmul(weights, value)
    return y


def _check_attention(
    name: str,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    dropout_p: float,
    is_causal: bool,
) -> None:
    """Raise RuntimeError for what `scaled_dot_product_attention` can't take."""
    check_tensors(name, query, key, value)
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise RuntimeError(
            f"{name}: expected query, key and value of at least 2 dimensions, got shapes "
            f"{query._array.shape}, {key._array.shape} and {value._array.shape}"
        )
    if not query.is_floating_point() or not query.dtype == key.dtype == value.dtype:
        raise RuntimeError(
            f"{name}: expected query, key and value of one floating-point dtype, got "
            f"{query.dtype}, {key.dtype} and {value.dtype}"
        )
    if mask is not None and is_causal:
        raise RuntimeError(f"{name}: expected attn_mask or is_causal=True, got both")
    if mask is not None and mask.dtype not in (boolean, query.dtype):
        raise RuntimeError(
            f"{name}: expected an attn_mask of bool or {query.dtype}, got {mask.dtype}"
        )
    if not 0 <= dropout_p <= 1:
        raise RuntimeError(
            f"{name}: dropout probability has to be between 0 and 1, but got {dropout_p}"
        )


def _shared_heads(name: str, query: Tensor, x: Tensor) -> Tensor:
    """x with each of its heads repeated for the query heads that it serves."""
    heads = query._array.shape[-3] if query.ndim > 2 else 0
    own = x._array.shape[-3] if x.ndim > 2 else 0
    if own == 0 or heads % own:
        raise RuntimeError(
            f"{name}: expected the number of query heads to be a multiple of the key and value "
            f"heads with enable_gqa, got {heads} and {own}"
        )
    return indexing.index_select(x, -3, make(np.repeat(np.arange(own), heads // own)))


def _masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """The softmax of masked scores; rows where nothing is allowed are 0, with gradient 0."""
    if mask._array.dtype == np.bool_:
        scores = e.masked_fill(scores, make(~mask._array), -math.inf)
    else:
        scores = scores + mask
    nothing = make(np.all(scores._array == -np.inf, axis=-1, keepdims=True))
    weights = reductions.softmax(e.masked_fill(scores, nothing, 0.0), -1)
    result: Tensor = e.masked_fill(weights, nothing, 0.0)
    return result


def normalize(
    input: Tensor, p: float = 2.0, dim: int | tuple[int, ...] = 1, eps: float = 1e-12
) -> Tensor:
    """y = x / max(‖x‖_p, eps), the norm along `dim`; the norm of 0 has gradient 0."""
    size = norms.vector_norm(input, p, dim, True)
    y: Tensor = input / e.clamp(size, eps)
    return y


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """y = x1 · x2 / (max(‖x1‖, eps) max(‖x2‖, eps)) along `dim`; x1 and x2 are broadcast.

    Raises RuntimeError for integers.
    """
    check_tensors("cosine_similarity", x1, x2)
    if not (x1.is_floating_point() or x2.is_floating_point()):
        raise RuntimeError(
            f"cosine_similarity: expected floating-point tensors, got {x1.dtype} and {x2.dtype}"
        )
    kind = promote_types(x1.dtype, x2.dtype)
    try:
        shape = np.broadcast_shapes(x1._array.shape, x2._array.shape)
    except ValueError:
        raise RuntimeError(
            "cosine_similarity: expected shapes that broadcast, got "
            f"{x1._array.shape} and {x2._array.shape}"
        ) from None
    first, second = moves.expand(x1.to(kind), shape), moves.expand(x2.to(kind), shape)
    product = normalize(first, 2.0, dim, eps) * normalize(second, 2.0, dim, eps)
    y: Tensor = product.sum(dim)
    return y


# -- activations ----------------------------------------------------------------------------------


def _activate(function: Callable[..., Any], input: Tensor, inplace: bool, *rest: float) -> Tensor:
    if inplace:
        return in_place(f"{function.__name__}_", function)(input, *rest)
    result: Tensor = function(input, *rest)
    return result


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """y = max(x, 0)."""
    return _activate(act.relu, input, inplace)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """y = x where x > 0, else negative_slope · x."""
    return _activate(act.leaky_relu, input, inplace, negative_slope)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """y = x where x > 0, else α (e^x - 1)."""
    return _activate(act.elu, input, inplace, alpha)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """y = x σ(x)."""
    return _activate(act.silu, input, inplace)


def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """y = x held between min_val and max_val. Raises ValueError if min_val > max_val."""
    if min_val > max_val:
        raise ValueError(
            f"hardtanh: min_val cannot be greater than max_val, got {min_val} and {max_val}"
        )
    return _activate(act.hardtanh, input, inplace, min_val, max_val)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """y = λ x where x > 0, else λ α (e^x - 1). See `ops.activations.selu`."""
    return _activate(act.selu, input, inplace)


relu_ = in_place("relu_", act.relu)
leaky_relu_ = in_place("leaky_relu_", act.leaky_relu)
elu_ = in_place("elu_", act.elu)
selu_ = in_place("selu_", act.selu)
hardtanh_ = in_place("hardtanh_", act.hardtanh)


def gelu(input: Tensor, *, approximate: str = "none") -> Tensor:
    """y = x Φ(x), or with approximate="tanh" Hendrycks and Gimpel's formula for it."""
    result: Tensor = act.gelu(input, approximate)
    return result


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """y = x tanh(ln(1 + e^x))."""
    return _activate(act.mish, input, inplace)


def softsign(input: Tensor) -> Tensor:
    """y = x / (1 + |x|);  gx = g / (1 + |x|)²."""
    result: Tensor = input / (e.abs(input) + 1)
    return result


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """y = x / 6 + 1/2 held between 0 and 1."""
    return _activate(act.hardsigmoid, input, inplace)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """y = a σ(b), where a and b are the halves of the input along `dim`.

    Source: Dauphin et al. 2017. Raises RuntimeError for a 0-d tensor and an odd size.
    """
    if input.ndim == 0:
        raise RuntimeError("glu: expected at least 1 dimension to halve, got a 0-d tensor")
    if not input.is_floating_point():
        raise NotImplementedError(
            f"glu: expected a floating-point tensor, got {input.dtype}; use .float()"
        )
    if not -input.ndim <= dim < input.ndim:
        raise IndexError(
            f"glu: expected a dimension in [{-input.ndim}, {input.ndim - 1}], got {dim}"
        )
    size = input._array.shape[dim]
    if size % 2:
        raise RuntimeError(f"glu: expected an even size along dimension {dim}, got {size}")
    a, b = moves.split(input, size // 2, dim) if size else (input, input)
    result: Tensor = a * e.sigmoid(b)
    return result


def tanh(input: Tensor) -> Tensor:
    """y = tanh x."""
    return _activate(e.tanh, input, False)


def sigmoid(input: Tensor) -> Tensor:
    """y = 1 / (1 + e^-x)."""
    return _activate(e.sigmoid, input, False)


def logsigmoid(input: Tensor) -> Tensor:
    """y = ln σ(x)."""
    return _activate(act.logsigmoid, input, False)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """y = ln(1 + e^(βx)) / β, and x itself where βx > threshold."""
    return _activate(act.softplus, input, False, beta, threshold)


def softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """y = e^x / Σ e^x along `dim`, computed in `dtype` if one is given."""
    dim = _softmax_dim("softmax", input, dim, _stacklevel)
    result: Tensor = reductions.softmax(input if dtype is None else input.to(dtype), dim)
    return result


def log_softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """y = x - ln Σ e^x along `dim`, computed in `dtype` if one is given."""
    dim = _softmax_dim("log_softmax", input, dim, _stacklevel)
    result: Tensor = reductions.log_softmax(input if dtype is None else input.to(dtype), dim)
    return result


def _softmax_dim(name: str, input: Tensor, dim: int | None, stacklevel: int) -> int:
    """The dimension, guessed as torch does (with its warning) if none is given."""
    if dim is not None:
        return dim
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. "
        "Change the call to include dim=X as an argument.",
        stacklevel=stacklevel,
    )
    return 0 if input.ndim in (0, 1, 3) else 1


# -- losses ---------------------------------------------------------------------------------------


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """(input - target)², reduced; with weights the mean is Σ w (input - target)² / Σ w.

    input, target : Tensors of one shape (others are broadcast, with a warning)
    weight : Tensor of that shape
    """
    reduction = wanted_reduction(size_average, reduce, reduction)
    if input._array.shape != target._array.shape:
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size "
            f"({input.shape}). This will likely lead to incorrect results due to broadcasting. "
            "Please ensure they have the same size.",
            stacklevel=2,
        )
    losses = e.square(input - target)
    if weight is None:
        return _reduced("mse_loss", losses, reduction)
    if weight._array.shape != input._array.shape:
        raise ValueError(
            "mse_loss: Weights and input must have the same size, "
            f"got {weight._array.shape} and {input._array.shape}"
        )
    return _reduced("mse_loss", losses * weight, reduction, weight.sum())


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """-w (p t ln σ(x) + (1 - t) ln(1 - σ(x))), reduced; x the input, t the target.

    Computed as w ((1 - t) x - (1 + (p - 1) t) ln σ(x)), which does not overflow.

    input, target : floating-point Tensors of one shape, the targets in [0, 1]
    weight : w, broadcast against it
    pos_weight : p, the weight of positive examples, broadcast against it
    Raises ValueError for a target of another shape, RuntimeError for one of integers.
    """
    name = "binary_cross_entropy_with_logits"
    reduction = wanted_reduction(size_average, reduce, reduction)
    if target._array.shape != input._array.shape:
        raise ValueError(
            f"{name}: Target size ({target.shape}) must be the same as input size ({input.shape})"
        )
    if not target.is_floating_point():
        raise RuntimeError(
            f"{name}: expected a floating-point target, got {target.dtype}; use .float()"
        )
    log_sigma = act.logsigmoid(input)
    if pos_weight is not None:
        log_sigma = ((pos_weight - 1) * target + 1) * log_sigma
    losses = (1 - target) * input - log_sigma
    if weight is not None:
        losses = losses * weight
    return _reduced(name, losses, reduction)


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-w[t] input[t] for each target t, reduced; the mean is their sum over the sum of w[t].

    input : Tensor (C), (N, C) or (N, C, d1, ...) of log-probabilities
    target : int64 Tensor (), (N) or (N, d1, ...) of classes in [0, C - 1]
    weight : Tensor (C), 1 when left out
    ignore_index : the target of examples that count for nothing
    Raises IndexError for a class out of range, ValueError and RuntimeError for wrong shapes and
    types.
    """
    reduction = wanted_reduction(size_average, reduce, reduction)
    return _class_loss("nll_loss", input, target, weight, ignore_index, reduction, 0.0)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """-Σ_c w[c] q[c] ln softmax(input)[c] with target probabilities q, reduced.

    input : Tensor (C), (N, C) or (N, C, d1, ...) of unnormalised log-probabilities
    target : int64 Tensor (), (N) or (N, d1, ...) of classes in [0, C - 1], for which q is 1 at that
        class; the mean is then the sum over the sum of the targets' w. Or a floating-point Tensor
        of the input's shape: q itself; the mean is then the sum over the number of examples
    weight : Tensor (C), 1 when left out
    ignore_index : the target class of examples that count for nothing
    label_smoothing : ε; q becomes (1 - ε) q + ε / C (Szegedy et al. 2015)
    Raises IndexError for a class out of range, ValueError and RuntimeError for wrong shapes and
    types.
    """
    name = "cross_entropy"
    reduction = wanted_reduction(size_average, reduce, reduction)
    if not 0 <= label_smoothing <= 1:
        raise RuntimeError(
            f"{name}: label_smoothing must be between 0.0 and 1.0, got {label_smoothing}"
        )
    if not input._array.ndim or not input.is_floating_point():
        raise RuntimeError(
            f"{name}: expected a floating-point input of shape (C), (N, C) or (N, C, d1, ...), "
            f"got shape {input._array.shape} and {input.dtype}"
        )
    dim = 1 if input.ndim > 1 else 0
    logs: Tensor = reductions.log_softmax(input, dim)
    if target._array.shape != input._array.shape:
        return _class_loss(name, logs, target, weight, ignore_index, reduction, label_smoothing)
    if not target.is_floating_point():
        raise RuntimeError(
            f"{name}: Expected floating point type for target with class probabilities (a target "
            f"of the input's shape), got {target.dtype}; class numbers have shape (N, d1, ...)"
        )
    if ignore_index >= 0:
        raise RuntimeError(f"{name}: ignore_index is not supported for floating point target")
    if label_smoothing > 0:
        classes = input._array.shape[dim]
        target = target * (1 - label_smoothing) + label_smoothing / classes
    weighted = logs * target
    if weight is not None:
        spread = _class_weights(name, weight, input)
        spread = spread.reshape(-1, *(1,) * (input.ndim - dim - 1))
        weighted = weighted * make(spread, weight._storage)
    losses = -weighted.sum(dim)
    if reduction != "mean":
        return _reduced(name, losses, reduction)
    return losses.sum() / float(losses.numel())


def _class_weights(name: str, weight: Tensor, input: Tensor) -> Array:
    """The weights of the classes (C), in the input's type."""
    classes = input._array.shape[1 if input.ndim > 1 else 0]
    if weight._array.shape != (classes,):
        raise RuntimeError(
            f"{name}: weight tensor should be defined either for all {classes} classes or no "
            f"classes but got weight tensor of shape: {list(weight.shape)}"
        )
    return weight._array.astype(input._array.dtype, copy=False)


def _class_loss(
    name: str,
    logs: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
    smoothing: float,
) -> Tensor:
    """The loss for classes given by number; see `nll_loss` and `cross_entropy`."""
    _check_classes_shape(name, logs, target)
    spread = None if weight is None else _class_weights(name, weight, logs)
    rows = _as_rows(logs)
    classes = rows._array.shape[1]
    numbers, ignored = _checked_classes(name, target, classes, ignore_index)
    # With the storage of the target, so that a later change of it is noticed.
    chosen = make(numbers, target._storage)
    # A gain is minus a loss: the sign is changed once, at the end.
    gains: Tensor = indexing.getitem(rows, (np.arange(numbers.size), chosen))
    factors = None
    if spread is not None:
        factors = spread[numbers]
        gains = gains * make(factors)
    if smoothing > 0:
        weighted = rows
        if weight is not None and spread is not None:
            weighted = rows * make(spread, weight._storage)
        even = weighted.sum(1)
        gains = (1 - smoothing) * gains + (smoothing / classes) * even
    if ignored is not None:
        gains = gains.masked_fill(make(ignored), 0.0)
        factors = np.where(ignored, 0.0, 1.0 if factors is None else factors)
    if reduction == "none":
        return -gains.reshape(target.shape)
    total = None if factors is None else make(np.asarray(factors.sum(dtype=rows._array.dtype)))
    return -_reduced(name, gains, reduction, total)


def _as_rows(logs: Tensor) -> Tensor:
    """(C), (N, C) or (N, C, d1, ...) as rows (examples, C)."""
    if logs.ndim == 2:
        return logs
    if logs.ndim == 1:
        return logs.unsqueeze(0)
    order = (0, *range(2, logs.ndim), 1)
    return logs.permute(order).reshape(-1, logs._array.shape[1])


def _checked_classes(
    name: str, target: Tensor, classes: int, ignore_index: int
) -> tuple[Array, Array | None]:
    """The class of each example, 0 for those that are ignored; and which are, None if none is."""
    numbers = target._array.astype(np.int64, copy=False).reshape(-1)
    # As unsigned numbers those below 0 are the largest of all.
    outside = bool(numbers.size) and numbers.view(np.uint64).max() >= classes
    if not outside and not 0 <= ignore_index < classes:
        return numbers, None
    ignored = numbers == ignore_index
    if not ignored.any():
        ignored = None
    else:
        numbers = np.where(ignored, 0, numbers)
    wrong = numbers[(numbers < 0) | (numbers >= classes)]
    if wrong.size:
        raise IndexError(
            f"{name}: Target {wrong[0]} is out of bounds: expected classes in [0, {classes - 1}] "
            f"or ignore_index = {ignore_index}; the input needs as many classes as there are"
        )
    return numbers, ignored


def _check_classes_shape(name: str, input: Tensor, target: Tensor) -> None:
    """Raise unless the target holds one class number for each example of the input."""
    given = input._array.shape
    got = target._array.shape
    if not given:
        raise RuntimeError(
            f"{name}: expected an input of shape (C), (N, C) or (N, C, d1, ...), got ()"
        )
    if target._array.dtype not in (np.int64, np.uint8):
        raise RuntimeError(
            f"{name}: expected target dtype int64 or uint8 (class numbers, for an input of shape "
            f"{given}), got {target.dtype} of shape {got}; use .long()"
        )
    expected = given[:1] + given[2:] if len(given) > 1 else ()
    if got == expected or (not expected and got == (1,)):
        return
    message = (
        f"{name}: expected a target of shape {expected} for an input of shape {given}, got {got}"
    )
    if len(given) <= 2 and len(got) == 1:
        raise ValueError(f"{message}; there must be one class for each example")
    if got == given[:-1]:
        message += "; the classes must be dimension 1: use input.transpose(1, -1), or flatten both"
    raise RuntimeError(message)


# -- reductions -----------------------------------------------------------------------------------


def wanted_reduction(
    size_average: bool | None, reduce: bool | None, reduction: str, stacklevel: int = 3
) -> str:
    """The reduction that torch's old arguments stand for, if one is given, else `reduction`."""
    if size_average is None and reduce is None:
        return reduction
    if reduce is False:
        reduction = "none"
    else:
        reduction = "sum" if size_average is False else "mean"
    warnings.warn(
        "size_average and reduce args will be deprecated, "
        f"please use reduction='{reduction}' instead.",
        stacklevel=stacklevel,
    )
    return reduction


def _reduced(name: str, losses: Tensor, reduction: str, total: Tensor | None = None) -> Tensor:
    """All losses, their sum, or their mean: the sum over `total`, the number unless given."""
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    if reduction == "mean":
        return losses.mean() if total is None else losses.sum() / total
    raise ValueError(f"{name}: expected reduction 'none', 'mean' or 'sum', got {reduction!r}")
