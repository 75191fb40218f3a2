"""Operations that run along a dimension: each element of the result is made of those before it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autograd.primitive import primitive
from ..dtypes import FLOATING, Array
from .elementwise import exp, ones_like, sub, where, zeros_like
from .options import with_dtype
from .shape import cat, flip, wrap_dim


def stretch(x: Any, dim: int, start: int | None, stop: int | None) -> Any:
    """x[start:stop] along `dim`, a view."""
    return x[(slice(None),) * (dim % x.ndim) + (slice(start, stop),)]


def shifted(x: Any, dim: int, first: Any) -> Any:
    """x moved on by one place along `dim`: `first` comes in, the last goes out."""
    return cat([first, stretch(x, dim, None, -1)], dim)


def _recur_back(a: Any, b: Any, dim: int) -> Any:
    """s with s_k = b_k + a_k s_{k+1} along `dim`; the last a must be finite and is not used.

    By doubling: after each of the log2 n passes s_k reaches twice as far. Each pass is made of
    differentiable operations, so that derivatives of every order are exact.
    """
    n = b.shape[dim]
    step = 1
    while step < n:
        near_a, near_b = stretch(a, dim, None, -step), stretch(b, dim, None, -step)
        far_a, far_b = stretch(a, dim, step, None), stretch(b, dim, step, None)
        b = cat([near_b + near_a * far_b, stretch(b, dim, -step, None)], dim)
        a = cat([near_a * far_a, stretch(a, dim, -step, None)], dim)
        step *= 2
    return b


def _along(accumulate: Any, x: Array, dim: int) -> Array:
    """A NumPy accumulation in C order; small integers and bools are taken as int64."""
    dim = wrap_dim(dim, x.ndim)
    if x.dtype.kind in "iub":
        x = x.astype(np.int64)
    return np.array(accumulate(x, axis=dim) if x.ndim else x, order="C")


def _cumsum_rule(g: Any, dim: int) -> Any:
    return flip(cumsum(flip(g, (dim,)), dim), (dim,))


@with_dtype
@primitive(_cumsum_rule, promote=None)
def cumsum(x: Array, dim: int) -> Array:
    """y_k = x_0 + ... + x_k along `dim`;  gx_k = g_k + ... + g_n. Integers give int64."""
    return _along(np.cumsum, x, dim)


def _cumprod_rule(g: Any, x: Any, y: Any, dim: int) -> Any:
    if x.ndim == 0:
        return g
    last = stretch(x, dim, -1, None)
    before = shifted(y, dim, ones_like(last))
    after = cat([stretch(x, dim, 1, None), zeros_like(last)], dim)
    return before * _recur_back(after, g, dim)


@with_dtype
@primitive(_cumprod_rule, promote=None)
def cumprod(x: Array, dim: int) -> Array:
    """y_k = x_0 ... x_k along `dim`. Integers give int64.

    gx_k = y_{k-1} s_k with s_k = g_k + x_{k+1} s_{k+1}: without a division, right with zeros too.
    """
    return _along(np.cumprod, x, dim)


def _growth(x: Any, y: Any) -> Any:
    """e^(x - y), with 0 where both are -inf: there is nothing yet."""
    return exp(where(y == -math.inf, -math.inf, sub(x, y)))


def _logcumsumexp_rule(g: Any, x: Any, y: Any, dim: int) -> Any:
    if x.ndim == 0:
        return g
    following = stretch(y, dim, 1, None)
    ratio = _growth(stretch(y, dim, None, -1), following)
    ratio = cat([ratio, zeros_like(stretch(y, dim, -1, None))], dim)
    return _growth(x, y) * _recur_back(ratio, g, dim)


@primitive(_logcumsumexp_rule, promote=None)
def logcumsumexp(x: Array, dim: int) -> Array:
    """y_k = ln(e^x_0 + ... + e^x_k) along `dim`, without overflow.

    gx_k = e^(x_k - y_k) s_k with s_k = g_k + e^(y_k - y_{k+1}) s_{k+1}; no factor exceeds 1.
    """
    if x.dtype.kind not in FLOATING:
        raise NotImplementedError(
            f"logcumsumexp: expected a floating-point tensor, got {x.dtype}; use .float()"
        )
    return _along(np.logaddexp.accumulate, x, dim)
