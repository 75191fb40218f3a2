"""The operations, a file a family; `methods` and `pointwise` bind them onto Tensor."""

from . import (
    convert,
    create,
    data,
    elementwise,
    fill,
    index,
    linalg,
    methods,
    pointwise,
    query,
    ranges,
    reduce,
    sample,
    shape,
    ufunc,
)

__all__ = [
    "convert",
    "create",
    "data",
    "elementwise",
    "fill",
    "index",
    "linalg",
    "methods",
    "pointwise",
    "query",
    "ranges",
    "reduce",
    "sample",
    "shape",
    "ufunc",
]
