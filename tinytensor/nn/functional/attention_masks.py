"""Masks of attention: what may not be attended to, as what is added to the scores."""

from __future__ import annotations

import math
import warnings
from typing import NamedTuple

import numpy as np

from ...ops import elementwise as e
from ...ops import shape as moves
from ...ops.pad import pad
from ...tensor import Tensor, make


class Masks(NamedTuple):
    """attn_mask (1 or N · heads, L, S) and key_padding_mask (N, S), to be added to the scores."""

    attention: Tensor | None
    padding: Tensor | None


def added_mask(
    name: str, what: str, mask: Tensor | None, query: Tensor, other: Tensor | None = None
) -> Tensor | None:
    """A mask as what is added to scores: -inf where it forbids."""
    if mask is None:
        return None
    kind = query._array.dtype
    truth = mask._array.dtype == np.bool_
    if not truth and not mask.is_floating_point():
        raise AssertionError(
            f"{name}: only bool and floating types of {what} are supported, got {mask.dtype}"
        )
    if other is not None and other.dtype is not mask.dtype:
        warnings.warn(
            f"Support for mismatched {what} and attn_mask is deprecated. Use same type for both "
            "instead.",
            stacklevel=3,
        )
    if truth:
        return e.masked_fill(make(np.zeros(mask._array.shape, kind)), mask, -math.inf)
    if mask._array.dtype not in (kind, np.float32):
        raise RuntimeError(
            f"{name}: expected a {what} of bool, float32 or the query's {query.dtype}, got "
            f"{mask.dtype}"
        )
    return mask.to(query.dtype)


def checked_attention(
    name: str, query: Tensor, key: Tensor, mask: Tensor | None, heads: int
) -> Tensor | None:
    """attn_mask as (1 or N · heads, L, S); raises RuntimeError for another shape."""
    added = added_mask(name, "attn_mask", mask, query)
    if added is None:
        return None
    length, batch, _ = query._array.shape
    expected: tuple[int, ...] = (length, key._array.shape[0])
    if added.ndim == 3:
        expected = (batch * heads, *expected)
    if added._array.shape != expected:
        raise RuntimeError(
            f"{name}: The shape of the {added.ndim}D attn_mask is {added._array.shape}, but should "
            f"be {expected}"
        )
    return added.unsqueeze(0) if added.ndim == 2 else added


def one_more(masks: Masks) -> Masks:
    """The masks for one more key, to which all may attend."""
    return Masks(*(None if mask is None else pad(mask, (0, 1)) for mask in masks))


def merged(name: str, masks: Masks, heads: int, keys: int, batch: int) -> Tensor | None:
    """Both masks as one (1 or N · heads, 1 or L, S)."""
    attention, padding = masks
    if padding is None:
        return attention
    if padding._array.shape != (batch, keys):
        raise AssertionError(
            f"{name}: Expected key_padding_mask of shape {(batch, keys)}, keys that were added "
            f"included, but got {padding._array.shape}"
        )
    wide: Tensor = moves.expand(padding.reshape(batch, 1, 1, keys), (batch, heads, 1, keys))
    wide = wide.reshape(batch * heads, 1, keys)
    return wide if attention is None else attention + wide
