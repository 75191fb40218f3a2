"""The embedding layers: a learnt vector for each number, and one for a bag of numbers."""

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
    max_norm, norm_type, scale_grad_by_freq : see `functional.embedding`
    sparse : not supported, NotImplementedError
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
        F.refuse_sparse("Embedding", sparse)
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
        _draw(self.weight, self.padding_idx)

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return F.embedding(
            input,
            self.weight,
            self.padding_idx,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.sparse,
        )

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        if self.padding_idx is not None:
            text += f", padding_idx={self.padding_idx}"
        return text + _printed_options(self)


class EmbeddingBag(Module):
    """y[b] = the sum, mean or largest element of the vectors of all numbers in bag b.

    Integers (B, n), a bag in each row, or (n) in a line with `offsets` (B), where each bag begins
    -> (B, embedding_dim).
    mode : "sum", "mean" or "max"; of an empty bag it is 0
    include_last_offset : offsets has one number more, at which the last bag ends
    padding_idx : a number that counts for nothing, whose vector starts at zero
    max_norm, norm_type, scale_grad_by_freq : see `functional.embedding`
    sparse : not supported, NotImplementedError
    Parameter `weight` (num_embeddings, embedding_dim), drawn from N(0, 1).
    Raises ValueError for a padding_idx outside [-num_embeddings, num_embeddings - 1].
    """

    weight: Parameter

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        F.refuse_sparse("EmbeddingBag", sparse)
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.padding_idx = F.wrap_padding_idx(padding_idx, num_embeddings)
        self.mode = mode
        self.sparse = sparse
        self.include_last_offset = include_last_offset
        shape = (num_embeddings, embedding_dim)
        if _weight is None:
            self.weight = Parameter(create.empty(shape, device=device, dtype=dtype))
            self.reset_parameters()
            return
        if tuple(_weight.shape) != shape:
            raise ValueError(
                f"EmbeddingBag: expected _weight of shape {shape}, got {tuple(_weight.shape)}"
            )
        self.weight = Parameter(_weight)

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> EmbeddingBag:
        """A layer with given vectors (num_embeddings, embedding_dim), by default not trained."""
        if embeddings.ndim != 2:
            raise ValueError(
                f"from_pretrained: expected embeddings of 2 dimensions, got {embeddings.ndim}"
            )
        rows, columns = embeddings.shape
        layer = cls(
            rows,
            columns,
            max_norm,
            norm_type,
            scale_grad_by_freq,
            mode,
            sparse,
            embeddings,
            include_last_offset,
            padding_idx,
        )
        layer.weight.requires_grad = not freeze
        return layer

    def reset_parameters(self) -> None:
        """Draw the vectors anew; that of padding_idx is zero."""
        _draw(self.weight, self.padding_idx)

    def forward(
        self,
        input: Tensor,
        offsets: Tensor | None = None,
        per_sample_weights: Tensor | None = None,
    ) -> Tensor:
        """See the class; per_sample_weights are factors of the vectors, in the input's shape."""
        return F.embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            self.sparse,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}{_printed_options(self)}"
        text += f", mode={self.mode!r}"
        return text if self.padding_idx is None else f"{text}, padding_idx={self.padding_idx}"


def _draw(weight: Parameter, padding_idx: int | None) -> None:
    """N(0, 1), but 0 in the row of padding_idx."""
    init.normal_(weight)
    if padding_idx is not None:
        with no_grad():
            weight[padding_idx] = 0


def _printed_options(layer: Embedding | EmbeddingBag) -> str:
    """The options that both layers have, where they are not the usual ones."""
    text = "" if layer.max_norm is None else f", max_norm={layer.max_norm}"
    if layer.norm_type != 2:
        text += f", norm_type={layer.norm_type}"
    if layer.scale_grad_by_freq:
        text += f", scale_grad_by_freq={layer.scale_grad_by_freq}"
    return text
