"""Scaled dot-product attention."""

from __future__ import annotations

import math

import numpy as np

from ...dtypes import boolean
from ...ops import elementwise as e
from ...ops import index as indexing
from ...ops import linalg
from ...ops import reduce as reductions
from ...ops import shape as moves
from ...ops.check import check_tensors
from ...ops.compare import logical_not
from ...tensor import Tensor, make
from .dropout import dropout


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
    if mask.dtype is boolean:
        scores = e.masked_fill(scores, logical_not(mask), -math.inf)
    else:
        scores = scores + mask
    nothing = reductions.all(scores == -math.inf, -1, True)
    weights = reductions.softmax(e.masked_fill(scores, nothing, 0.0), -1)
    result: Tensor = e.masked_fill(weights, nothing, 0.0)
    return result
