"""Attention with several heads, its projections included."""

from __future__ import annotations

import math

import numpy as np

from ...ops import linalg
from ...ops import reduce as reductions
from ...ops import shape as moves
from ...ops.check import check_tensors
from ...tensor import Tensor, make
from .attention import scaled_dot_product_attention
from .attention_masks import Masks, added_mask, checked_attention, merged, one_more
from .dropout import dropout
from .linear import linear

_NAME = "multi_head_attention_forward"


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """y = concat(head_1 ... head_h) Woᵀ + bo, head_i = softmax(Q_i K_iᵀ / √d + mask) V_i.

    Q, K and V are the projections x Wᵀ + b of query, key and value, head i their features from i d
    up to (i + 1) d. Source: Vaswani et al. 2017, section 3.2.2.

    query : Tensor (L, N, E) or, for one sequence, (L, E)
    key, value : Tensors (S, N, Ek) and (S, N, Ev), or without N
    embed_dim_to_check : E
    in_proj_weight, in_proj_bias : (3 E, E) and (3 E), those of query, key and value below each
        other; with use_separate_proj_weight q_proj_weight (E, E), k_proj_weight (E, Ek) and
        v_proj_weight (E, Ev) instead of the former
    bias_k, bias_v : (1, 1, E), one more key and value for every sequence
    add_zero_attn : one more key and value, of zeros
    dropout_p : dropout on the weights, in training
    key_padding_mask : (N, S) or (S), True for keys that none may attend to; or float, added
    attn_mask : (L, S) or (N · heads, L, S), True where a query may not attend; or float, added
    need_weights : return the weights too; without them a query that may attend to nothing gets
        zeros, with them NaN, as in torch
    static_k, static_v : (N · heads, S, d), projected keys and values to take instead
    average_attn_weights : the mean of the heads' weights
    is_causal : says that attn_mask is the causal mask; it is still needed
    Returns (Tensor (L, N, E) or (L, E), None or the weights (N, L, S), with each head's (N, heads,
    L, S); without N for one sequence). Raises AssertionError and RuntimeError, as torch does, for
    shapes, masks and dtypes that do not fit.
    """
    check_tensors(_NAME, query, key, value)
    batched = _check_shapes(query, key, value, key_padding_mask, attn_mask, num_heads)
    if not batched:
        query, key, value = query.unsqueeze(1), key.unsqueeze(1), value.unsqueeze(1)
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
    length, batch, size = query._array.shape
    if size != embed_dim_to_check:
        raise AssertionError(
            f"{_NAME}: was expecting embedding dimension of {embed_dim_to_check}, but got {size}"
        )
    if size % num_heads:
        raise AssertionError(f"{_NAME}: embed_dim {size} not divisible by num_heads {num_heads}")
    if is_causal and attn_mask is None:
        raise RuntimeError(
            f"{_NAME}: Need attn_mask if specifying the is_causal hint; make it by "
            "ones(L, S, dtype=bool).triu(1)"
        )
    # Nothing is added to the causal mask: then the hint alone says it all.
    is_causal = is_causal and key_padding_mask is None and not need_weights
    masks = Masks(
        None if is_causal else checked_attention(_NAME, query, key, attn_mask, num_heads),
        added_mask(_NAME, "key_padding_mask", key_padding_mask, query, attn_mask),
    )
    if use_separate_proj_weight:
        weights = (q_proj_weight, k_proj_weight, v_proj_weight)
        q, k, v = _project_apart(query, key, value, weights, in_proj_bias)
    else:
        q, k, v = _project(query, key, value, in_proj_weight, in_proj_bias)
    if (bias_k is None) != (bias_v is None):
        raise AssertionError(f"{_NAME}: expected both bias_k and bias_v, or neither")
    if bias_k is not None and bias_v is not None:
        if static_k is not None or static_v is not None:
            raise AssertionError(f"{_NAME}: bias cannot be added to static key or value")
        k = moves.cat([k, moves.expand(bias_k, (1, batch, size))])
        v = moves.cat([v, moves.expand(bias_v, (1, batch, size))])
        masks = one_more(masks)
    q = _heads(q, num_heads)
    k = _heads(k, num_heads) if static_k is None else _static("static_k", static_k, q)
    v = _heads(v, num_heads) if static_v is None else _static("static_v", static_v, q)
    if add_zero_attn:
        nothing = make(np.zeros((q._array.shape[0], 1, q._array.shape[2]), k._array.dtype))
        k, v = moves.cat([k, nothing], 1), moves.cat([v, nothing], 1)
        masks = one_more(masks)
    mask = merged(_NAME, masks, num_heads, k._array.shape[1], batch)
    dropout_p = dropout_p if training else 0.0
    parts = (batch, num_heads)
    if need_weights:
        attended, shown = _attend(q, k, v, mask, dropout_p)
    else:
        q, k, v = q.unflatten(0, parts), k.unflatten(0, parts), v.unflatten(0, parts)
        if mask is not None:
            mask = mask.unsqueeze(0) if mask._array.shape[0] == 1 else mask.unflatten(0, parts)
        attended = scaled_dot_product_attention(q, k, v, mask, dropout_p, is_causal).flatten(0, 1)
        shown = None
    y = attended.transpose(0, 1).reshape(length, batch, size)
    y = linear(y, out_proj_weight, out_proj_bias)
    if shown is not None:
        shown = shown.unflatten(0, parts)
        shown = shown.mean(1) if average_attn_weights else shown
        shown = shown if batched else shown.squeeze(0)
    return (y if batched else y.squeeze(1)), shown


def _attend(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout_p: float
) -> tuple[Tensor, Tensor]:
    """softmax(q kᵀ / √d + mask) v, and the weights, for all heads (N · heads, L or S, d)."""
    scale = math.sqrt(1 / q._array.shape[-1])
    scores: Tensor = linalg.matmul(q * scale, moves.transpose(k, -1, -2))
    weights: Tensor = reductions.softmax(scores if mask is None else scores + mask, -1)
    if dropout_p > 0:
        weights = dropout(weights, dropout_p)
    attended: Tensor = linalg.matmul(weights, v)
    return attended, weights


# -- projections and heads ------------------------------------------------------------------------


def _project(
    query: Tensor, key: Tensor, value: Tensor, weight: Tensor | None, bias: Tensor | None
) -> tuple[Tensor, ...]:
    """Query, key and value by the packed weights, in one product where they are the same."""
    if weight is None:
        raise AssertionError(
            f"{_NAME}: use_separate_proj_weight is False but in_proj_weight is None"
        )
    if key._array.shape != value._array.shape:
        raise AssertionError(
            f"{_NAME}: key shape {key._array.shape} does not match value shape "
            f"{value._array.shape}; give kdim and vdim for different sizes"
        )
    if query is key and key is value:
        return tuple(linear(query, weight, bias).chunk(3, -1))
    biases = (None, None, None) if bias is None else bias.chunk(3)
    weights = weight.chunk(3)
    return tuple(map(linear, (query, key, value), weights, biases))


def _project_apart(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    weights: tuple[Tensor | None, ...],
    bias: Tensor | None,
) -> tuple[Tensor, ...]:
    """Query, key and value, each by a weight of its own."""
    given = [weight for weight in weights if weight is not None]
    if len(given) < 3:
        raise AssertionError(
            f"{_NAME}: expected q_proj_weight, k_proj_weight and v_proj_weight with "
            f"use_separate_proj_weight, got {len(given)} of them"
        )
    if key._array.shape[:2] != value._array.shape[:2]:
        raise AssertionError(
            f"{_NAME}: key's sequence and batch dims {key._array.shape[:2]} do not match value's "
            f"{value._array.shape[:2]}"
        )
    biases = (None, None, None) if bias is None else bias.chunk(3)
    return tuple(map(linear, (query, key, value), given, biases))


def _heads(x: Tensor, heads: int) -> Tensor:
    """(L, N, E) as (N · heads, L, d)."""
    length, batch, size = x._array.shape
    return x.reshape(length, batch * heads, size // heads).transpose(0, 1)


def _static(name: str, given: Tensor, q: Tensor) -> Tensor:
    """Keys or values that are projected already; raises AssertionError unless they fit."""
    rows, _, size = q._array.shape
    if given._array.shape[0] != rows or given._array.shape[2] != size:
        raise AssertionError(
            f"{_NAME}: expecting {name} of shape ({rows}, S, {size}), but got {given._array.shape}"
        )
    return given


def _check_shapes(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    padding: Tensor | None,
    mask: Tensor | None,
    heads: int,
) -> bool:
    """Whether the input is a batch; raises AssertionError unless all agree on that."""
    dims = query.ndim
    if dims not in (2, 3):
        raise AssertionError(
            f"{_NAME}: query should be unbatched 2D or batched 3D tensor but received {dims}-D "
            "query tensor"
        )
    given = f"For {'batched (3-D)' if dims == 3 else 'unbatched (2-D)'} `query`"
    if key.ndim != dims or value.ndim != dims:
        raise AssertionError(
            f"{_NAME}: {given}, expected `key` and `value` to be {dims}-D but found {key.ndim}-D "
            f"and {value.ndim}-D tensors respectively"
        )
    if padding is not None and padding.ndim != dims - 1:
        raise AssertionError(
            f"{_NAME}: {given}, expected `key_padding_mask` to be `None` or {dims - 1}-D but found "
            f"{padding.ndim}-D tensor instead"
        )
    if mask is None:
        return dims == 3
    if mask.ndim not in (2, 3):
        raise AssertionError(
            f"{_NAME}: {given}, expected `attn_mask` to be `None`, 2-D or 3-D but found "
            f"{mask.ndim}-D tensor instead"
        )
    expected = (heads, query._array.shape[0], key._array.shape[0])
    if dims == 2 and mask.ndim == 3 and mask._array.shape != expected:
        raise AssertionError(
            f"{_NAME}: Expected `attn_mask` shape to be {expected} but got {mask._array.shape}"
        )
    return dims == 3
