"""What is bound onto Tensor: operators, methods, and the in-place form of each operation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..autograd.inplace import check_writable, in_place, turn_in_place, write
from ..autograd.mode import threads
from ..dtypes import dtype
from ..origins import origins_of
from ..tensor import Tensor, bind, make
from . import elementwise as e
from . import (
    extreme,
    index,
    linalg,
    norm,
    parts,
    reduce,
    scan,
    scatter,
    shape,
    sort,
    statistics,
    tiling,
)
from .check import as_int
from .making import as_number, stored


def _sizes(function: Callable[..., Any]) -> Callable[..., Any]:
    """A method that takes its sizes or dimensions as torch does: x.view(2, 3) or x.view((2, 3))."""

    name = function.__name__

    def method(self: Tensor, *sizes: Any, **named: Any) -> Tensor:
        sizes += tuple(named.values())
        if not sizes:
            raise TypeError(f"{name}: expected sizes or dimensions, got none")
        if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
            sizes = tuple(sizes[0])
        return function(self, tuple(as_int("sizes or dimensions", n, f"{name}: ") for n in sizes))

    method.__name__ = name
    method.__doc__ = function.__doc__
    return method


_view_sizes = _sizes(shape.view)


def _view(self: Tensor, *sizes: Any, **named: Any) -> Tensor:
    """The same memory in another shape, view(2, 3) or view((2, 3)), or as numbers of another type.

    Raises RuntimeError where that needs a copy.
    """
    kind = sizes[0] if len(sizes) == 1 else named.get("dtype")
    if isinstance(kind, dtype):
        return shape.view_as_type(self, kind)
    return _view_sizes(self, *sizes, **named)


def _transposed(self: Tensor, name: str) -> Any:
    """The last two dimensions exchanged; a 0-d tensor as it is."""
    if self.ndim == 1:
        raise RuntimeError(f"{name}: expected a matrix or a batch of matrices, got a vector")
    return shape.adjoint(self)


def _matrix_transposed(self: Tensor) -> Any:
    if self.ndim not in (0, 2):
        raise RuntimeError(f"H: expected a matrix, got {self.ndim} dimensions; use .mH")
    return shape.adjoint(self)


# What undoes `t_`, `transpose_`, `unsqueeze_` ...: they get arrays too, so they call primitives


def _turned_back(turned: Any, before: tuple[int, ...], args: Any, kwargs: Any) -> Any:
    """The same two dimensions exchanged once more; without arguments all of them (`t`)."""
    if args or kwargs:
        return shape.transpose(turned, *args, *kwargs.values())
    return shape.permute(turned, tuple(range(len(before)))[::-1])


def _as_before(turned: Any, before: tuple[int, ...], args: Any, kwargs: Any) -> Any:
    """The shape before a dimension of size 1 was put in or taken out."""
    return shape.reshape(turned, before)


# -- iterating


def _iterate(self: Tensor) -> Iterator[Tensor]:
    """The slices along the first dimension."""
    if self.ndim == 0:
        raise TypeError("iteration over a 0-d tensor")
    return iter(shape.unbind(self, 0))


# -- indexing


def _getitem(self: Tensor, key: Any) -> Tensor:
    """x[key]: a view for ints and slices, a copy for integer or bool tensors."""
    key = index.normal_key(key)
    if not index.is_basic(key) and any(isinstance(part, int) for part in key):
        before, key = index.without_ints(key)
        self = index.getitem(self, before)
    return index.getitem(self, key)


def _setitem(self: Tensor, key: Any, value: Any) -> None:
    """x[key] = value, recorded: the gradient of what is overwritten is zero."""
    key = index.normal_key(key)
    if not isinstance(value, Tensor):
        value = make(_constant(value, self))
    if index.is_basic(key):
        region = index.getitem(self, key)
        if region._array.shape == self._array.shape:
            region = self  # all of it, so that no history of a part is needed
        _copy_(region, _without_leading_ones(value, region.ndim))
        return
    if any(isinstance(part, int) for part in key):
        before, key = index.without_ints(key)
        self = index.getitem(self, before)
    if value.dtype != self.dtype and not (value.numel() == 1 and _is_mask(key)):
        raise RuntimeError(
            f"setitem: expected a value of the tensor's dtype {self.dtype} at an index of tensors, "
            f"got {value.dtype}; use .to(...)"
        )
    mode = threads.mode
    check_writable(self, mode, "setitem")
    write(self, index.index_put(self, value.to(self.dtype), key), mode, "setitem")


def _is_mask(key: tuple[Any, ...]) -> bool:
    """Whether all tensors and arrays in an index are bool."""
    arrays = (part._array if isinstance(part, Tensor) else part for part in key)
    return all(part.dtype == np.bool_ for part in arrays if isinstance(part, np.ndarray))


def _without_leading_ones(value: Tensor, ndim: int) -> Tensor:
    """A value to be assigned may have more dimensions than its place, if these are of size 1."""
    extra = value.ndim - ndim
    if extra > 0 and all(size == 1 for size in value._array.shape[:extra]):
        return value.reshape(value._array.shape[extra:])
    return value


def _constant(value: Any, like: Tensor) -> Any:
    """A number in the type of a tensor. Raises RuntimeError where it does not fit."""
    number = as_number("setitem", value)
    if like._array.dtype == np.float16:  # beyond its range is inf, as in torch, here only
        number = threads.mode.run(np.float16, number).item()
    return stored("setitem", number, like._array.dtype)


# -- writing


def _copy_(self: Tensor, source: Any, non_blocking: bool = False) -> Tensor:
    """Write the elements of another tensor, or a number, broadcast, into this one."""
    mode = threads.mode
    if not isinstance(source, Tensor):
        source = make(np.asarray(as_number("copy_", source)))
    check_writable(self, mode, "copy_")
    # Where what is overwritten came from is of no interest any more.
    before = self if self._requires_grad else make(self._array)
    return write(self, e.copy(before, source.to(self.dtype)), mode, "copy_")


def _requires_no_grad(self: Tensor) -> Tensor:
    """Take this tensor itself out of the graph, in place."""
    if self._view is not None:
        raise RuntimeError("detach_: can't detach a view in place; use .detach()")
    if self._node is not None:
        self._origins = origins_of(self)
    self._node = None
    self._requires_grad = False
    return self


# -- binding


def _bind_all() -> None:
    plain = (
        reduce.prod, scan.cumsum, scan.cumprod, scan.logcumsumexp, statistics.var, statistics.std,
        statistics.median, statistics.count_nonzero, extreme.aminmax, norm.norm, shape.ravel,
        shape.t, shape.adjoint, shape.unflatten, shape.movedim, shape.swapaxes, shape.swapdims,
        shape.roll, parts.narrow,
        parts.select, parts.tensor_split, parts.diagonal, parts.diag, parts.tril, parts.triu,
        parts.unfold, tiling.repeat_interleave,
        reduce.sum, reduce.mean, reduce.amax, reduce.amin, reduce.argmax, reduce.argmin,
        reduce.any, reduce.all, reduce.softmax, reduce.log_softmax, reduce.logsumexp,
        shape.flatten, shape.squeeze, shape.unsqueeze, shape.transpose, shape.unbind, shape.split,
        shape.chunk, index.gather, index.scatter_add, linalg.matmul,
        scatter.scatter, scatter.scatter_reduce, scatter.masked_scatter, scatter.index_put,
        index.index_select, index.index_add, index.index_copy, index.index_fill,
        index.masked_select, index.take, index.take_along_dim, linalg.mm, linalg.bmm, linalg.mv,
        linalg.dot, linalg.outer, linalg.addmm, linalg.addmv, linalg.addr, linalg.addbmm,
        linalg.baddbmm, linalg.kron,
        linalg.trace, sort.sort, sort.argsort, sort.topk, sort.unique, sort.nonzero,
    )  # fmt: skip
    bind(**{function.__name__: function for function in plain})
    written = (
        index.scatter_add, scatter.scatter, scatter.scatter_reduce, scatter.masked_scatter,
        scatter.index_put, index.index_add, index.index_copy, index.index_fill, linalg.addmm,
        linalg.addmv, linalg.addr, linalg.addbmm, linalg.baddbmm, scan.cumsum,
        scan.cumprod, parts.tril, parts.triu,
    )  # fmt: skip
    bind(**{f"{f.__name__}_": in_place(f"{f.__name__}_", f) for f in written})
    for function in (shape.t, shape.transpose, shape.swapaxes, shape.swapdims):
        name = f"{function.__name__}_"
        bind(**{name: turn_in_place(name, function, _turned_back)})
    for function in (shape.squeeze, shape.unsqueeze):
        name = f"{function.__name__}_"
        bind(**{name: turn_in_place(name, function, _as_before)})
    bind(
        reshape=_sizes(shape.reshape),
        view=_view,
        expand=_sizes(shape.expand),
        permute=_sizes(shape.permute),
        flip=_sizes(shape.flip),
        broadcast_to=_sizes(shape.broadcast_to),
        repeat=_sizes(tiling.repeat),
        tile=_sizes(tiling.tile),
        moveaxis=shape.movedim,
        reshape_as=lambda self, other: shape.reshape(self, other.shape),
        expand_as=lambda self, other: shape.expand(self, other.shape),
        view_as=lambda self, other: shape.view(self, other.shape),
        contiguous=lambda self: self if self.is_contiguous() else e.contiguous(self),
        T=property(lambda self: shape.permute(self, tuple(range(self.ndim))[::-1])),
        mT=property(lambda self: _transposed(self, "mT")),
        mH=property(lambda self: _transposed(self, "mH")),
        H=property(_matrix_transposed),
        max=extreme.max,
        min=extreme.min,
        where=lambda self, condition, other: e.where(condition, self, other),
        copy_=_copy_,
        detach_=_requires_no_grad,
    )
    bind(
        __matmul__=linalg.matmul,
        __iter__=_iterate,
        __reversed__=lambda self: shape.flip(self, (0,)) if self.ndim else self,
        __getitem__=_getitem,
        __setitem__=_setitem,
    )


_bind_all()
