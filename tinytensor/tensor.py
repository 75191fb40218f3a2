"""Tensor: an array, its storage's version, its gradient, and the node that made it. No mathematics.

Operations are bound onto the class by `tinytensor.ops`, the backward pass by
`tinytensor.autograd`; `tensor.pyi` lists all of it for editors and type checkers.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from . import devices, dtypes, printing
from .dtypes import FLOATING, Array
from .origins import origins_of

# A storage is shared by a tensor, its views and what `detach()` returns. It is a plain list because
# one is made for every tensor and a list takes a fifth of the time of an object:
#   storage[0], the version, counts the writes into the memory: a kept array is checked against it,
#   and a view renews its node after a write;
#   storage[1:], once written to: what wrote last, and the scope that this was in, for messages.
Storage = list[Any]


def count_write(storage: Storage, by: str, scope: Any = None) -> None:
    """Let kept values on this memory know that it is written to."""
    storage[0] += 1
    storage[1:] = by, scope


# An array's shape needs no look at its sizes, and is asked for often.
_new_tuple: Any = tuple.__new__


class Size(tuple[int, ...]):
    """The shape of a tensor: a tuple of ints that prints as torch's.

    Raises TypeError for what holds something else than integers.
    """

    __slots__ = ()

    def __new__(cls, sizes: Any = ()) -> Size:
        return _new_tuple(cls, map(operator.index, sizes))

    def __repr__(self) -> str:
        return f"torch.Size({list(self)})"

    def __getitem__(self, key: Any) -> Any:
        part = tuple.__getitem__(self, key)
        return Size(part) if isinstance(key, slice) else part

    def __add__(self, other: Any) -> Size:
        return Size(tuple.__add__(self, other))

    def __radd__(self, other: Any) -> Size:
        return Size(tuple.__add__(other, self))

    def __mul__(self, times: Any) -> Size:
        return Size(tuple.__mul__(self, times))

    __rmul__ = __mul__

    def __reduce__(self) -> Any:
        return Size, (tuple(self),)

    def numel(self) -> int:
        """The number of elements: the product of the sizes."""
        count = 1
        for size in self:
            count *= size
        return count


class Tensor:
    """An n-dimensional array that remembers how it was made.

    Made by `tinytensor.tensor` and its kin. Called itself, as in torch: `Tensor(2, 3)` is memory of
    that shape with whatever it holds, `Tensor([2, 3])` a copy of the numbers, both in the default
    dtype; `Tensor(t)` is t on the same memory, in its own dtype and place in the graph.
    """

    # A leaf that wants a gradient has `_requires_grad` and no `_node`; any other tensor that wants
    # one has the node that made it (or an `Output`, one of the several outputs of a node).
    _array: Array
    _storage: Storage
    _node: Any
    _requires_grad: bool
    _grad: Tensor | None
    _view: Any  # autograd.view.View, or None
    _origins: Any  # of a value outside the graph that came out of it: origins.Origins, or None

    __slots__ = (
        "__dict__", "__weakref__", "_array", "_grad", "_node", "_origins", "_requires_grad",
        "_storage", "_view",
    )  # fmt: skip

    # Most tensors have neither of these, so they take no slot: autograd.hooks.LeafHooks, and the
    # views (functions of the tensor) that undo each `t_`, `squeeze_` ... in turn.
    _hooks: Any = None
    _turns: tuple[Any, ...] = ()

    def __init__(self, *data: Any, device: Any = None) -> None:
        devices.check(device)
        if len(data) == 1 and isinstance(data[0], Tensor):
            source = METHODS["view"](data[0], data[0].shape)
        else:
            source = of_sizes_or_data(data, dtypes.get_default_dtype())
        self._array = source._array
        self._storage = source._storage
        self._node = source._node
        self._requires_grad = source._requires_grad
        self._grad = None
        self._view = source._view
        self._origins = source._origins

    # -- what it is

    @property
    def shape(self) -> Size:
        return _new_tuple(Size, self._array.shape)

    def size(self, dim: int | None = None) -> Any:
        """The shape, or its entry `dim`."""
        if dim is None:
            return self.shape
        return self._array.shape[self._checked_dim("size", dim)]

    @property
    def ndim(self) -> int:
        return self._array.ndim

    def dim(self) -> int:
        return self._array.ndim

    ndimension = dim

    def numel(self) -> int:
        return self._array.size

    nelement = numel

    def element_size(self) -> int:
        """The bytes of one element."""
        return self._array.itemsize

    @property
    def itemsize(self) -> int:
        """The bytes of one element."""
        return self._array.itemsize

    @property
    def nbytes(self) -> int:
        """The bytes of all elements."""
        return self._array.size * self._array.itemsize

    def stride(self, dim: int | None = None) -> Any:
        """The steps between neighbours in memory, in elements; the one along `dim`."""
        array = self._array
        if array.size:
            steps = tuple(step // array.itemsize for step in array.strides)
        else:  # NumPy says 0 for them; torch counts as if a size of 0 were 1
            sizes = [max(size, 1) for size in array.shape]
            steps = tuple(math.prod(sizes[d + 1 :]) for d in range(array.ndim))
        if dim is None:
            return steps
        if not steps:
            raise IndexError(f"stride: expected no dim for a 0-d tensor, got {dim}")
        return steps[self._checked_dim("stride", dim)]

    def _checked_dim(self, op: str, dim: int) -> int:
        """A dimension counted from either end. Raises IndexError where there is none."""
        try:
            dim = operator.index(dim)
        except TypeError:
            raise TypeError(f"{op}: expected an integer dim, got {dim!r}") from None
        count = max(self._array.ndim, 1)
        if not self._array.ndim or not -count <= dim < count:
            raise IndexError(
                f"{op}: expected dim in [{-count}, {count - 1}], got {dim} for shape "
                f"{self._array.shape}"
            )
        return dim

    def is_contiguous(self) -> bool:
        """Whether the elements lie in memory in row-major order without gaps."""
        return bool(self._array.flags.c_contiguous)

    def storage_offset(self) -> int:
        """How many elements of its memory lie before the first one of this tensor."""
        whole: Any = self._array
        while isinstance(whole.base, np.ndarray):
            whole = whole.base
        first, start = (int(a.__array_interface__["data"][0]) for a in (self._array, whole))
        return (first - start) // self.itemsize

    def data_ptr(self) -> int:
        """The address of the first element; 0 if there is none."""
        if self._array.size == 0:
            return 0
        return int(self._array.__array_interface__["data"][0])

    @property
    def dtype(self) -> dtypes.dtype:
        return dtypes.of_numpy(self._array.dtype)

    def is_floating_point(self) -> bool:
        return self._array.dtype.kind in FLOATING

    def is_complex(self) -> bool:
        """Whether its numbers are complex: never, there is no such type."""
        return False

    def is_signed(self) -> bool:
        """Whether its type has negative numbers."""
        return self._array.dtype.kind in "if"

    @property
    def device(self) -> devices.device:
        """Where its memory is: `device("cpu")`."""
        return devices.CPU

    @property
    def is_cpu(self) -> bool:
        return True

    @property
    def is_cuda(self) -> bool:
        return False

    # -- its place in the graph

    @property
    def requires_grad(self) -> bool:
        self._renew()
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if not self.is_leaf:
            raise RuntimeError(
                f"requires_grad: expected a leaf, got the result of {self._node.name()}: you can "
                "only change requires_grad flags of leaf variables; use .detach()"
            )
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Say whether `backward` leaves a gradient in this leaf's `.grad`."""
        self._renew()
        if self._node is not None and not requires_grad:
            raise RuntimeError(
                "requires_grad_: expected a leaf, got the result of "
                f"{self._node.name()}; use .detach() for a tensor outside the graph"
            )
        if requires_grad and self._array.dtype.kind not in FLOATING:
            raise RuntimeError(
                "requires_grad_: expected a floating-point tensor (only these have gradients), "
                f"got {self.dtype}"
            )
        if self._node is None:
            self._requires_grad = bool(requires_grad)
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded operation made it: made by the user, or outside the graph."""
        self._renew()
        return self._node is None

    @property
    def grad_fn(self) -> Any:
        """The node of the graph that made it; None for a leaf."""
        self._renew()
        return self._node

    @property
    def grad(self) -> Tensor | None:
        """The gradient that `backward` summed here; None before."""
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise TypeError(f"grad: expected a Tensor or None, got {type(value).__name__}")
            if value is self:
                raise RuntimeError("grad: expected another tensor, got the tensor itself")
            if value._array.shape != self._array.shape or value._array.dtype != self._array.dtype:
                raise RuntimeError(
                    f"grad: expected shape {self._array.shape} and {self.dtype}, "
                    f"got {value._array.shape} and {value.dtype}"
                )
        self._grad = value

    @property
    def _version(self) -> int:
        return self._storage[0]

    def _renew(self) -> None:
        """Give a view whose base (or another view of it) was written to its present node."""
        view = self._view
        if view is not None and view.version != self._storage[0]:
            view.renew(self)

    def detach(self) -> Tensor:
        """The same memory outside the graph. Writes into it are seen: they count as a change."""
        result = make(self._array, self._storage)
        result._origins = origins_of(self)
        return result

    @property
    def data(self) -> Tensor:
        """The same memory outside the graph, whose writes are *not* counted (as in torch).

        Changing a value this way between forward and backward gives a wrong gradient silently;
        `with no_grad():` is the safe way. Assigning replaces the memory; a graph recorded before
        keeps the old one.
        """
        result = make(self._array)
        result._origins = origins_of(self)
        return result

    @data.setter
    def data(self, value: Tensor) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(f"data: expected a Tensor, got {type(value).__name__}")
        if self._requires_grad and value._array.dtype.kind not in FLOATING:
            raise RuntimeError(
                "data: expected a floating-point tensor for one that requires grad, got "
                f"{value.dtype}"
            )
        self._array = value._array
        if not self._requires_grad:
            self._origins = origins_of(value)

    # -- leaving for Python and NumPy

    def item(self) -> Any:
        """The Python number of a one-element tensor."""
        if self._array.size != 1:
            raise RuntimeError(
                f"item: expected a tensor with 1 element, got {self._array.size} "
                f"(shape {self._array.shape}); use .tolist()"
            )
        return self._array.item()

    def tolist(self) -> Any:
        """Nested lists of Python numbers."""
        return self._array.tolist()

    def numpy(self, *, force: bool = False) -> Array:
        """The array itself, on the same memory: what is written into it is unseen by the graph.

        Raises RuntimeError for a tensor that requires grad, but with `force`.
        """
        if self.requires_grad and not force:
            raise RuntimeError(
                "numpy: expected a tensor outside the graph, got one that requires grad; "
                "use .detach().numpy()"
            )
        return self._array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if self.requires_grad:
            raise RuntimeError(
                "NumPy can't take a tensor that requires grad: its gradient would be lost; "
                "use .detach().numpy()"
            )
        return np.array(self._array, dtype=dtype, copy=copy)

    def __len__(self) -> int:
        if self._array.ndim == 0:
            raise TypeError("len() of a 0-d tensor")
        return self._array.shape[0]

    def __bool__(self) -> bool:
        if self._array.size != 1:
            raise RuntimeError(
                f"bool: a tensor with {self._array.size} elements has no single truth value; "
                "use .any() or .all()"
            )
        return bool(self._array.item())

    def __contains__(self, element: Any) -> bool:
        """Whether any element equals a number, or those of a tensor that broadcasts."""
        if not isinstance(element, (Tensor, int, float, np.generic)):
            raise RuntimeError(
                f"in: expected a Tensor or a number to look for, got {type(element).__name__}"
            )
        return bool(METHODS["eq"](self, element)._array.any())

    def __float__(self) -> float:
        return float(self._number())

    def __int__(self) -> int:
        return int(self._number())

    def _number(self) -> Any:
        if self._array.size != 1:
            raise ValueError(
                "only one element tensors can be converted to Python scalars, got shape "
                f"{self._array.shape}"
            )
        return self._array.item()

    def __index__(self) -> int:
        if self._array.dtype.kind not in "iub" or self._array.size != 1:
            raise TypeError(
                "index: only integer tensors of a single element can be converted to an index, "
                f"got {self.dtype} of shape {self._array.shape}"
            )
        return int(self._array.item())

    def __format__(self, spec: str) -> str:
        if self._array.ndim == 0 and type(self) is Tensor:
            return format(self.item(), spec)
        return object.__format__(self, spec) if spec else repr(self)

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        self._renew()
        own = self.dtype
        return printing.format_tensor(
            self._array,
            dtype_suffix=None if own is dtypes.get_default_dtype() else repr(own),
            requires_grad=self._requires_grad,
            grad_fn=None if self._node is None else self._node.name(),
        )

    # -- copies

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        self._renew()
        if self._node is not None:
            raise RuntimeError(
                "deepcopy: expected a leaf, got the result of "
                f"{self._node.name()}; use .detach() or .clone()"
            )
        if id(self) in memo:
            return memo[id(self)]
        twin = make(dense_copy(self._array), requires_grad=self._requires_grad)
        twin.__class__ = self.__class__
        memo[id(self)] = twin
        if self._grad is not None:
            twin._grad = self._grad.__deepcopy__(memo)
        return twin

    def __reduce__(self) -> Any:
        self._renew()
        if self._node is not None:
            raise RuntimeError(
                f"pickle: expected a leaf, got the result of {self._node.name()}; use .detach()"
            )
        return _rebuild, (type(self), self._array, self._requires_grad)


def _rebuild(cls: type[Tensor], array: Array, requires_grad: bool) -> Tensor:
    tensor = make(array, requires_grad=requires_grad)
    tensor.__class__ = cls
    return tensor


def dense_copy(array: Array) -> Array:
    """A copy without gaps in the same memory order; in row-major order if it was expanded."""
    return np.array(array, order="C" if 0 in array.strides else "K", subok=False)


def of_sizes_or_data(data: tuple[Any, ...], kind: dtypes.dtype) -> Tensor:
    """What torch's constructors make of sizes, or of a sequence of numbers.

    Raises TypeError for what is neither, RuntimeError for a negative size.
    """
    first = data[0] if data else 0
    if isinstance(first, Size):
        data = tuple(first)
    if all(isinstance(size, (int, np.integer)) and not isinstance(size, bool) for size in data):
        if any(size < 0 for size in data):
            raise RuntimeError(f"Trying to create tensor with negative dimension in {data}")
        if math.prod(data) >= 2**60:
            raise RuntimeError(f"Tensor: expected sizes that memory can hold, got {data}")
        return make(np.empty(data or (0,), kind.numpy))
    if len(data) != 1 or isinstance(first, str) or not hasattr(first, "__len__"):
        raise TypeError(f"Tensor: expected sizes or one sequence of numbers, got {data!r:.60}")
    return METHODS["new_tensor"](make(np.empty(0, kind.numpy)), first)


_new = object.__new__


def make(
    array: Array, storage: Storage | None = None, node: Any = None, requires_grad: bool = False
) -> Tensor:
    """A Tensor round an array that is already right. Every tensor is made here."""
    self = _new(Tensor)
    self._array = array
    self._storage = [0] if storage is None else storage
    self._node = node
    self._requires_grad = requires_grad
    self._grad = None
    self._view = None
    self._origins = None
    return self


def outside(array: Array, origins: Any) -> Tensor:
    """A Tensor round a new array that no node made, which came from those places of the graph."""
    self = _new(Tensor)
    self._array = array
    self._storage = [0]
    self._node = None
    self._requires_grad = False
    self._grad = None
    self._view = None
    self._origins = origins
    return self


METHODS: dict[str, Any] = {}  # what the rooms above have bound onto Tensor; the stub is made of it


def bind(**methods: Any) -> None:
    """Add methods to Tensor, each under its name."""
    for name, method in methods.items():
        METHODS[name] = method
        setattr(Tensor, name, method)
