"""The embedding layer: a learnt vector for each number."""

from __future__ import annotations

from typing import Any

from ..autograd.mode import no_grad
from ..ops import create
from ..tensor import Tensor
from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter


class Embedding(Module):
    """y = weight[input]: integers (...) below num_embeddings -> vectors (..., embedding_dim).

    padding_idx : a number whose vector starts at zero and gets no gradient
    max_norm, scale_grad_by_freq, sparse : not supported, NotImplementedError
    Parameter `weight` (num_embeddings, embedding_dim), drawn from N(0, 1).
    Raises ValueError for a padding_idx outside [-num_embeddings, num_embeddings - 1].
    """

    weight: Parameter

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        F.check_embedding_options(max_norm, scale_grad_by_freq, sparse)
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = F.wrap_padding_idx(padding_idx, num_embeddings)
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.sparse = sparse
        shape = (num_embeddings, embedding_dim)
        if _weight is None:
            self.weight = Parameter(create.empty(shape, device=device, dtype=dtype), not _freeze)
            self.reset_parameters()
            return
        if tuple(_weight.shape) != shape:
            raise ValueError(
                f"Embedding: expected _weight of shape {shape}, got {tuple(_weight.shape)}"
            )
        self.weight = Parameter(_weight, not _freeze)

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Embedding:
        """A layer with given vectors (num_embeddings, embedding_dim), by default not trained."""
        if embeddings.ndim != 2:
            raise ValueError(
                f"from_pretrained: expected embeddings of 2 dimensions, got {embeddings.ndim}"
            )
        rows, columns = embeddings.shape
        return cls(
            rows,
            columns,
            padding_idx,
            max_norm,
            norm_type,
            scale_grad_by_freq,
            sparse,
            _weight=embeddings,
            _freeze=freeze,
        )

    def reset_parameters(self) -> None:
        """Draw the vectors anew; that of padding_idx is zero."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx] = 0

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return F.embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        return text if self.padding_idx is None else f"{text}, padding_idx={self.padding_idx}"
