"""Layers and losses as functions of tensors, without state."""

from ...ops.conv import conv1d
from ...ops.pad import pad
from .activation import (
    elu,
    elu_,
    gelu,
    glu,
    hardsigmoid,
    hardtanh,
    hardtanh_,
    leaky_relu,
    leaky_relu_,
    log_softmax,
    logsigmoid,
    mish,
    relu,
    relu_,
    selu,
    selu_,
    sigmoid,
    silu,
    softmax,
    softplus,
    softsign,
    tanh,
)
from .attention import scaled_dot_product_attention
from .classification import cross_entropy, nll_loss
from .dropout import check_probability, dropout, dropout_mask
from .embedding import check_embedding_options, embedding, one_hot, wrap_padding_idx
from .linear import linear
from .loss import binary_cross_entropy_with_logits, mse_loss
from .reduction import wanted_reduction
from .similarity import cosine_similarity, normalize

__all__ = [
    "binary_cross_entropy_with_logits",
    "check_embedding_options",
    "check_probability",
    "conv1d",
    "cosine_similarity",
    "cross_entropy",
    "dropout",
    "dropout_mask",
    "elu",
    "elu_",
    "embedding",
    "gelu",
    "glu",
    "hardsigmoid",
    "hardtanh",
    "hardtanh_",
    "leaky_relu",
    "leaky_relu_",
    "linear",
    "log_softmax",
    "logsigmoid",
    "mish",
    "mse_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "pad",
    "relu",
    "relu_",
    "scaled_dot_product_attention",
    "selu",
    "selu_",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "softsign",
    "tanh",
    "wanted_reduction",
    "wrap_padding_idx",
]
