"""Linear algebra under torch's names: tinytensor.linalg.norm and its kin."""

from .ops.linalg import matmul
from .ops.norm import linalg_norm as norm
from .ops.norm import matrix_norm, vector_norm

__all__ = ["matmul", "matrix_norm", "norm", "vector_norm"]
