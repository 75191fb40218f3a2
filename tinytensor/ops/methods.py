"""What is bound onto Tensor: operators, methods, and the in-place form of each operation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from .. import dtypes, random
from ..autograd.inplace import check_writable, in_place, write
from ..autograd.mode import threads
from ..tensor import Tensor, bind, make
from . import elementwise as e
from . import index, linalg, reduce, shape
from .create import check_device


def _sizes(function: Callable[..., Any]) -> Callable[..., Any]:
    """A method that takes its sizes or dimensions as torch does: x.view(2, 3) or x.view((2, 3))."""

    def method(self: Tensor, *sizes: Any, **named: Any) -> Tensor:
        sizes += tuple(named.values())
        if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
            sizes = tuple(sizes[0])
        return function(self, tuple(int(n) for n in sizes))

    method.__name__ = function.__name__
    method.__doc__ = function.__doc__
    return method


def _reflected(function: Callable[..., Any]) -> Callable[..., Any]:
    """The operator with the tensor on the right: 2 - x."""

    def method(self: Tensor, other: Any) -> Any:
        return function(other, self)

    method.__doc__ = function.__doc__
    return method


def _t(self: Tensor) -> Tensor:
    """The transpose of a matrix; a tensor of fewer dimensions as it is."""
    if self.ndim > 2:
        raise RuntimeError(
            f"t: expected a tensor of at most 2 dimensions, got {self.ndim}; use .mT"
        )
    return shape.permute(self, tuple(range(self.ndim))[::-1])


# -- comparing and iterating


def _equal(self: Tensor, other: Any) -> Any:
    """Element by element; with what is no number or tensor (None, say) just not equal."""
    if not isinstance(other, (Tensor, int, float, np.generic)):
        return NotImplemented
    return e.eq(self, other)


def _not_equal(self: Tensor, other: Any) -> Any:
    if not isinstance(other, (Tensor, int, float, np.generic)):
        return NotImplemented
    return e.ne(self, other)


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
        _copy_(region, _without_leading_ones(value, region.ndim))
        return
    if any(isinstance(part, int) for part in key):
        before, key = index.without_ints(key)
        self = index.getitem(self, before)
    mode = threads.mode
    check_writable(self, mode, "setitem")
    write(self, index.index_put(self, value.to(self.dtype), key), mode, "setitem")


def _without_leading_ones(value: Tensor, ndim: int) -> Tensor:
    """A value to be assigned may have more dimensions than its place, if these are of size 1."""
    extra = value.ndim - ndim
    if extra > 0 and all(size == 1 for size in value._array.shape[:extra]):
        return value.reshape(value._array.shape[extra:])
    return value


def _constant(value: Any, like: Tensor) -> Any:
    """A number in the type of a tensor. Raises RuntimeError where it does not fit."""
    if not isinstance(value, (int, float, np.generic)):
        raise TypeError(f"expected a number or a tensor to write, got {type(value).__name__}")
    array = threads.mode.run(np.asarray, value, like._array.dtype)
    if np.isfinite(value) and not np.isfinite(array):
        raise RuntimeError(f"value cannot be converted to {like.dtype} without overflow: {value}")
    return array


# -- writing


def _copy_(self: Tensor, source: Any, non_blocking: bool = False) -> Tensor:
    """Write the elements of another tensor, or a number, broadcast, into this one."""
    mode = threads.mode
    if not isinstance(source, Tensor):
        source = make(_constant(source, self))
    check_writable(self, mode, "copy_")
    return write(self, e.copy(self, source.to(self.dtype)), mode, "copy_")


def _fill_(self: Tensor, value: Any) -> Tensor:
    """Write one value everywhere."""
    source = value if isinstance(value, Tensor) else make(_constant(value, self))
    if source.ndim:
        raise RuntimeError(
            f"fill_: expected a number or a 0-d tensor, got shape {tuple(source.shape)}"
        )
    return _copy_(self, source)


def _zero_(self: Tensor) -> Tensor:
    """Write zero everywhere."""
    return _fill_(self, 0)


@np.errstate(all="ignore")
def _uniform_(
    self: Tensor, a: float = 0.0, b: float = 1.0, *, generator: random.Generator | None = None
) -> Tensor:
    """Write numbers drawn uniformly from [a, b)."""
    source = random.default_generator if generator is None else generator
    drawn = source.uniform(self._array.shape, a, b, dtype=self._array.dtype)
    return _copy_(self, make(drawn))


@np.errstate(all="ignore")
def _normal_(
    self: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: random.Generator | None = None
) -> Tensor:
    """Write numbers drawn from the normal distribution."""
    source = random.default_generator if generator is None else generator
    drawn = source.normal(self._array.shape, mean, std, dtype=self._array.dtype)
    return _copy_(self, make(drawn))


def _bernoulli_(
    self: Tensor, p: float = 0.5, *, generator: random.Generator | None = None
) -> Tensor:
    """Write 1 with probability p, else 0."""
    source = random.default_generator if generator is None else generator
    return _copy_(self, make(source.bernoulli(p, self._array.shape).astype(self._array.dtype)))


def _requires_no_grad(self: Tensor) -> Tensor:
    """Take this tensor itself out of the graph, in place."""
    if self._view is not None:
        raise RuntimeError("detach_: can't detach a view in place; use .detach()")
    self._node = None
    self._requires_grad = False
    return self


# -- types


def _to(
    self: Tensor, *args: Any, dtype: Any = None, device: Any = None, copy: bool = False, **_: Any
) -> Tensor:
    """This tensor in another type (recorded), itself if it is in it already."""
    for arg in args:
        if isinstance(arg, Tensor):
            dtype = arg.dtype
        elif isinstance(arg, dtypes.dtype) or arg in (float, int, bool):
            dtype = arg
        elif isinstance(arg, str):
            device = arg
        elif not isinstance(arg, bool):
            raise TypeError(f"to: expected a dtype, a device or a tensor, got {type(arg).__name__}")
    check_device(device)
    kind = self._array.dtype if dtype is None else dtypes.numpy_dtype(dtype)
    if kind != self._array.dtype:
        return e.cast(self, kind)
    return e.clone(self) if copy else self


def _caster(kind: dtypes.dtype) -> Callable[[Tensor], Tensor]:
    def method(self: Tensor) -> Tensor:
        return _to(self, kind)

    method.__doc__ = f"This tensor in {kind}."
    return method


class Extreme(NamedTuple):
    """The values along a dimension that are largest, or smallest, and where they stand."""

    values: Tensor
    indices: Tensor


def max(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The largest element; along a `dim` the pair (values, indices); of two tensors `maximum`."""
    return _extreme(input, dim, keepdim, e.maximum, reduce.amax, reduce.argmax)


def min(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest element; along a `dim` the pair (values, indices); of two tensors `minimum`."""
    return _extreme(input, dim, keepdim, e.minimum, reduce.amin, reduce.argmin)


def _extreme(input: Tensor, dim: Any, keepdim: bool, of_two: Any, of_all: Any, place: Any) -> Any:
    if dim is None:
        return of_all(input)
    if isinstance(dim, Tensor):
        return of_two(input, dim)
    indices = place(input, dim, True)
    values = index.gather(input, dim, indices)
    if not keepdim:
        values, indices = shape.squeeze(values, dim), shape.squeeze(indices, dim)
    return Extreme(values, indices)


# -- arithmetic with torch's options


def add(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """y = input + alpha · other;  g to the one, alpha g to the other."""
    return e.add(input, other if alpha == 1 else other * alpha)


def sub(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """y = input - alpha · other;  g to the one, -alpha g to the other."""
    return e.sub(input, other if alpha == 1 else other * alpha)


def pow(input: Any, exponent: Any) -> Any:
    """y = input^exponent;  see the primitive `elementwise.pow`."""
    return e.pow(input, exponent)


# -- binding


def _bind_all() -> None:
    plain = (
        add, sub, e.mul, e.div, e.neg, pow, e.abs, e.sign, e.square, e.sqrt, e.exp, e.log,
        e.log1p, e.sin, e.cos, e.tanh, e.sigmoid, e.relu, e.maximum, e.minimum, e.clamp,
        e.masked_fill, e.eq, e.ne, e.lt, e.le, e.gt, e.ge, e.isnan, e.isfinite, e.clone,
        reduce.sum, reduce.mean, reduce.amax, reduce.amin, reduce.argmax, reduce.argmin,
        reduce.any, reduce.all, reduce.softmax, reduce.log_softmax, reduce.logsumexp,
        shape.flatten, shape.squeeze, shape.unsqueeze, shape.transpose, shape.unbind, shape.split,
        shape.chunk, index.gather, index.scatter_add, linalg.matmul,
    )  # fmt: skip
    bind(**{function.__name__: function for function in plain})
    written = (
        add, sub, e.mul, e.div, e.neg, pow, e.abs, e.square, e.sqrt, e.exp, e.log, e.tanh,
        e.sigmoid, e.relu, e.clamp, e.masked_fill, index.scatter_add,
    )  # fmt: skip
    bind(**{f"{f.__name__}_": in_place(f"{f.__name__}_", f) for f in written})
    bind(
        reshape=_sizes(shape.reshape),
        view=_sizes(shape.view),
        expand=_sizes(shape.expand),
        permute=_sizes(shape.permute),
        flip=_sizes(shape.flip),
        expand_as=lambda self, other: shape.expand(self, other.shape),
        view_as=lambda self, other: shape.view(self, other.shape),
        t=_t,
        contiguous=lambda self: self if self.is_contiguous() else e.clone(self),
        T=property(lambda self: shape.permute(self, tuple(range(self.ndim))[::-1])),
        mT=property(lambda self: shape.transpose(self, -1, -2)),
        max=max,
        min=min,
        mm=linalg.matmul,
        where=lambda self, condition, other: e.where(condition, self, other),
        to=_to,
        type_as=lambda self, other: _to(self, other.dtype),
        float=_caster(dtypes.float32),
        double=_caster(dtypes.float64),
        half=_caster(dtypes.float16),
        long=_caster(dtypes.int64),
        int=_caster(dtypes.int32),
        bool=_caster(dtypes.boolean),
        cpu=lambda self: self,
        copy_=_copy_,
        fill_=_fill_,
        zero_=_zero_,
        uniform_=_uniform_,
        normal_=_normal_,
        bernoulli_=_bernoulli_,
        detach_=_requires_no_grad,
    )
    bind(
        __add__=e.add,
        __radd__=e.add,
        __sub__=e.sub,
        __rsub__=_reflected(e.sub),
        __mul__=e.mul,
        __rmul__=e.mul,
        __truediv__=e.div,
        __rtruediv__=_reflected(e.div),
        __pow__=e.pow,
        __rpow__=_reflected(e.pow),
        __matmul__=linalg.matmul,
        __neg__=e.neg,
        __abs__=e.abs,
        __eq__=_equal,
        __ne__=_not_equal,
        __lt__=e.lt,
        __le__=e.le,
        __gt__=e.gt,
        __ge__=e.ge,
        __and__=e.bitwise_and,
        __or__=e.bitwise_or,
        __invert__=e.bitwise_not,
        __iadd__=in_place("add_", e.add),
        __isub__=in_place("sub_", e.sub),
        __imul__=in_place("mul_", e.mul),
        __itruediv__=in_place("div_", e.div),
        __ipow__=in_place("pow_", e.pow),
        __iand__=in_place("bitwise_and_", e.bitwise_and),
        __ior__=in_place("bitwise_or_", e.bitwise_or),
        __iter__=_iterate,
        __getitem__=_getitem,
        __setitem__=_setitem,
    )


_bind_all()
