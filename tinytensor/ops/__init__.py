"""The operations, a file a family; `methods` and `pointwise` bind them onto Tensor."""

from . import (
    convert,
    create,
    elementwise,
    fill,
    index,
    linalg,
    methods,
    pointwise,
    query,
    reduce,
    shape,
    ufunc,
)

__all__ = [
    "convert",
    "create",
    "elementwise",
    "fill",
    "index",
    "linalg",
    "methods",
    "pointwise",
    "query",
    "reduce",
    "shape",
    "ufunc",
]
