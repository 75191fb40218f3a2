"""Weights from and to torch, Keras and ONNX, and whole models as ONNX files."""

from .keras_weights import from_keras, to_keras
from .onnx_export import to_onnx
from .onnx_weights import OnnxWeights, from_onnx_weights, to_onnx_weights
from .torch_weights import from_torch, to_torch

__all__ = [
    "OnnxWeights",
    "from_keras",
    "from_onnx_weights",
    "from_torch",
    "to_keras",
    "to_onnx",
    "to_onnx_weights",
    "to_torch",
]
