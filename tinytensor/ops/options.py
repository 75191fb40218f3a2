"""Argument spellings that many operations share: a `dtype` to compute in, and NumPy's names."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from ..dtypes import numpy_dtype
from .elementwise import cast

Function = Callable[..., Any]


def with_dtype(function: Function) -> Function:
    """The same operation with torch's `dtype=`: the type that its input is converted to first."""

    @functools.wraps(function)
    def call(*args: Any, dtype: Any = None, **kwargs: Any) -> Any:
        if dtype is None:
            return function(*args, **kwargs)
        x, rest = (args[0], args[1:]) if args else (kwargs.pop("input"), ())
        y = function(cast(x, dtype), *rest, **kwargs)
        return y if numpy_dtype(dtype).kind == "f" else cast(y, dtype)

    signature = inspect.signature(function)
    option = inspect.Parameter("dtype", inspect.Parameter.KEYWORD_ONLY, default=None)
    parameters = [*signature.parameters.values(), option]
    vars(call)["__signature__"] = signature.replace(parameters=parameters)
    return call


def with_last_dtype(function: Function) -> Function:
    """As `with_dtype`, where torch takes the `dtype` also as the last argument, without a name."""
    typed = with_dtype(function)
    count = len(inspect.signature(function).parameters)

    @functools.wraps(typed)
    def call(*args: Any, **kwargs: Any) -> Any:
        if len(args) > count:
            return typed(*args[:count], dtype=args[count], **kwargs)
        return typed(*args, **kwargs)

    return call


_NUMPY_NAMES = {"axis": "dim", "keepdims": "keepdim"}


def with_numpy_names(function: Function) -> Function:
    """The same operation, which takes `axis` and `keepdims` for `dim` and `keepdim` too."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        for name, own in _NUMPY_NAMES.items():
            if name in kwargs and own in kwargs:
                raise TypeError(f"{function.__name__}: expected {own} or {name}, got both")
        return function(*args, **{_NUMPY_NAMES.get(k, k): value for k, value in kwargs.items()})

    return call
