"""The operations, a file a family; `methods` binds them onto Tensor."""

from . import create, elementwise, index, linalg, methods, reduce, shape

__all__ = ["create", "elementwise", "index", "linalg", "methods", "reduce", "shape"]
