"""The attention layer."""

from __future__ import annotations

from typing import Any

from ..ops import create
from ..tensor import Tensor
from . import functional as F
from . import init
from .linear import Linear
from .module import Module
from .parameter import Parameter


class NonDynamicallyQuantizableLinear(Linear):
    """`Linear` under the name that torch prints for the output projection of attention."""


class MultiheadAttention(Module):
    """y = concat(head_1 ... head_h) Woᵀ + bo; see `functional.multi_head_attention_forward`.

    Called with query (L, N, E), key (S, N, kdim) and value (S, N, vdim), with batch_first
    (N, L, E), (N, S, kdim) and (N, S, vdim), without N for one sequence, it returns y in the shape
    of the query and the heads' mean weights (N, L, S), or None with need_weights=False.

    embed_dim : E
    num_heads : h; it divides E
    dropout : dropout on the weights, in training
    bias : with biases of both projections
    add_bias_kv, add_zero_attn : with one more key and value: learned, or zeros
    kdim, vdim : features of keys and values; E when left out
    batch_first : the batch is dimension 0

    Parameters `in_proj_weight` (3 E, E), or if kdim or vdim is not E `q_proj_weight` (E, E),
    `k_proj_weight` (E, kdim) and `v_proj_weight` (E, vdim), `in_proj_bias` (3 E), `bias_k` and
    `bias_v` (1, 1, E), `out_proj.weight` (E, E) and `out_proj.bias` (E). The weights of the first
    projection are drawn from Glorot's uniform distribution, bias_k and bias_v from the normal one,
    the other biases are 0, out_proj.weight is drawn as `Linear` does. Source: Vaswani et al. 2017.
    Raises ValueError for sizes below 1, AssertionError unless num_heads divides embed_dim.
    """

    in_proj_weight: Parameter | None
    in_proj_bias: Parameter | None
    q_proj_weight: Parameter | None
    k_proj_weight: Parameter | None
    v_proj_weight: Parameter | None
    bias_k: Parameter | None
    bias_v: Parameter | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError(
                "MultiheadAttention: embed_dim and num_heads must be greater than 0, got "
                f"embed_dim={embed_dim} and num_heads={num_heads} instead"
            )
        super().__init__()
        self.embed_dim = embed_dim
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self._qkv_same_embed_dim = self.kdim == embed_dim and self.vdim == embed_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.batch_first = batch_first
        self.head_dim = embed_dim // num_heads
        if self.head_dim * num_heads != embed_dim:
            raise AssertionError(
                "MultiheadAttention: embed_dim must be divisible by num_heads, got "
                f"{embed_dim} and {num_heads}"
            )

        def add(name: str, wanted: bool, *shape: int) -> None:
            values = create.empty(shape, device=device, dtype=dtype) if wanted else None
            self.register_parameter(name, None if values is None else Parameter(values))

        apart = not self._qkv_same_embed_dim
        add("q_proj_weight", apart, embed_dim, embed_dim)
        add("k_proj_weight", apart, embed_dim, self.kdim)
        add("v_proj_weight", apart, embed_dim, self.vdim)
        add("in_proj_weight", not apart, 3 * embed_dim, embed_dim)
        add("in_proj_bias", bias, 3 * embed_dim)
        self.out_proj = NonDynamicallyQuantizableLinear(
            embed_dim, embed_dim, bias=bias, device=device, dtype=dtype
        )
        add("bias_k", add_bias_kv, 1, 1, embed_dim)
        add("bias_v", add_bias_kv, 1, 1, embed_dim)
        self.add_zero_attn = add_zero_attn
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        """Draw the weights anew, but for out_proj.weight, which draws its own."""
        for weight in (
            self.in_proj_weight,
            self.q_proj_weight,
            self.k_proj_weight,
            self.v_proj_weight,
        ):
            if weight is not None:
                init.xavier_uniform_(weight)
        if self.in_proj_bias is not None:
            init.zeros_(self.in_proj_bias)
        if self.out_proj.bias is not None:
            init.zeros_(self.out_proj.bias)
        for extra in (self.bias_k, self.bias_v):
            if extra is not None:
                init.xavier_normal_(extra)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """See the class, and `functional.multi_head_attention_forward` for the masks."""
        turned = self.batch_first and query.ndim == 3
        if turned:
            query, key, value = _time_first(query, key, value)
        y, weights = F.multi_head_attention_forward(
            query,
            key,
            value,
            self.embed_dim,
            self.num_heads,
            self.in_proj_weight,
            self.in_proj_bias,
            self.bias_k,
            self.bias_v,
            self.add_zero_attn,
            self.dropout,
            self.out_proj.weight,
            self.out_proj.bias,
            training=self.training,
            key_padding_mask=key_padding_mask,
            need_weights=need_weights,
            attn_mask=attn_mask,
            use_separate_proj_weight=not self._qkv_same_embed_dim,
            q_proj_weight=self.q_proj_weight,
            k_proj_weight=self.k_proj_weight,
            v_proj_weight=self.v_proj_weight,
            average_attn_weights=average_attn_weights,
            is_causal=is_causal,
        )
        return (y.transpose(0, 1) if turned else y), weights


def _time_first(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """All (N, L, E) as (L, N, E); the same tensor stays the same, so that it is projected once."""
    turned: dict[int, Tensor] = {}
    for x in (query, key, value):
        if id(x) not in turned:
            turned[id(x)] = x.transpose(0, 1) if x.ndim == 3 else x
    return turned[id(query)], turned[id(key)], turned[id(value)]
