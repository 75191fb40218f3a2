"""The singular value decomposition."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd.primitive import primitive
from ..dtypes import FLOATING, Array
from .elementwise import ones_like
from .linalg import matmul
from .parts import tril, triu
from .shape import transpose, unsqueeze


def _svd_rule(g: tuple[Any, ...], y: tuple[Any, ...]) -> Any:
    """U (K S + S L + diag(gS)) Vᵀ, and what gU and gV have outside the spaces of U and V.

    K = (Uᵀ gU - gUᵀ U) / E and L = (Vᵀ gV - gVᵀ V) / E with E_jk = s_k² - s_j², 1 on the diagonal.
    """
    (gu, gs, gvt), (u, s, vt) = g, y
    across, down = unsqueeze(s, -2), unsqueeze(s, -1)
    identity = triu(tril(ones_like(across * down)))
    inner = 0.0 if gs is None else identity * unsqueeze(gs, -2)
    outer = 0.0
    gaps = across * across - down * down + identity
    if gu is not None:
        within = matmul(_turned(u), gu)
        inner = inner + (within - _turned(within)) / gaps * across
        if u.shape[-2] > u.shape[-1]:
            outer = outer + matmul((gu - matmul(u, within)) / across, vt)
    if gvt is not None:
        within = matmul(vt, _turned(gvt))
        inner = inner + down * ((within - _turned(within)) / gaps)
        if vt.shape[-1] > vt.shape[-2]:
            outer = outer + matmul(u / across, gvt - matmul(_turned(within), vt))
    return matmul(matmul(u, inner), vt) + outer


def _turned(x: Any) -> Any:
    return transpose(x, -2, -1)


@primitive(_svd_rule, promote=None)
def svd(a: Array) -> tuple[Array, ...]:
    """U (..., m, k), s (..., k), Vᵀ (..., k, n) with a = U diag(s) Vᵀ, for a (..., m, n).

    k is the smaller of m and n; s falls, and none of it is below 0.
    The derivative through U and V has s_j² - s_k² below the line: not finite where two are equal.
    Source: Townsend, Differentiating the singular value decomposition, 2016.
    """
    if a.dtype.kind not in FLOATING or a.dtype == np.float16:
        raise NotImplementedError(f"svd: expected float32 or float64, got {a.dtype}; use .float()")
    if not np.isfinite(a).all():
        raise RuntimeError("svd: expected finite elements, got infinite ones or NaN")
    return tuple(np.linalg.svd(a, full_matrices=False))
