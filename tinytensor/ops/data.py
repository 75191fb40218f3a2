"""Tensors from data: numbers, nested lists, NumPy's arrays, other tensors."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import numpy as np

from .. import devices, dtypes
from ..dtypes import Array
from ..origins import origins_of
from ..tensor import Tensor, bind, dense_copy, make
from .elementwise import clone
from .making import finished, silent


@silent
def tensor(
    data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A new leaf with a copy of `data`: a number, nested lists, an array, a tensor.

    Python floats take the default dtype and Python ints int64; arrays, NumPy's numbers and tensors
    keep their own, and in a list the common one. The copy is outside the graph; where that drops
    the gradient of `data`, a UserWarning says so. Raises TypeError, ValueError or RuntimeError, as
    torch does, for what holds no numbers, is ragged, or has a number that does not fit the dtype.
    """
    result = finished(dense_copy(_as_array(data, dtype)), requires_grad, device)
    if isinstance(data, Tensor) and result.is_floating_point():
        result._origins = origins_of(data)
    return result


@silent
def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """`data` as a tensor, without a copy where it is one, or an array, of that type already."""
    devices.check(device)
    if isinstance(data, Tensor):
        return data if dtype is None else data.to(dtype)
    if isinstance(data, np.ndarray):
        shared = from_numpy(data)
        return shared if dtype is None else shared.to(dtype)
    return make(_as_array(data, dtype))


@silent
def asarray(
    obj: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    copy: bool | None = None,
    requires_grad: bool | None = None,
) -> Tensor:
    """`obj` as a tensor: a tensor or an array on its own memory, anything else copied.

    copy : True copies always, None where it must; False never: ValueError where it must
    requires_grad : None leaves a tensor in its graph, and False takes it out
    """
    devices.check(device)
    result = as_tensor(obj, dtype)
    shares = result is obj or result._array is obj
    if copy is False and not shares:
        raise ValueError(
            "asarray: expected a tensor or an array of the dtype asked for with copy=False, got "
            f"{type(obj).__name__}; leave copy out"
        )
    if copy and shares:
        result = clone(result)
    if requires_grad is False:
        return result.detach()
    return result.requires_grad_() if requires_grad else result


def from_numpy(array: Array) -> Tensor:
    """A tensor on the memory of a NumPy array: a write into either is seen in both.

    Raises TypeError for what is no array of a type that tensors have, ValueError for one that runs
    backwards, in steps that are no whole elements, or in the other byte order, as torch does.
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy: expected an ndarray, got {type(array).__name__}")
    _check_byte_order("from_numpy", array)
    dtypes.of_numpy(array.dtype)
    if any(step < 0 for step in array.strides):
        raise ValueError(
            f"from_numpy: expected strides that are not negative, got {array.strides}; "
            "use array.copy()"
        )
    if any(step % array.itemsize for step in array.strides):
        raise ValueError(
            f"from_numpy: expected strides of whole elements of {array.itemsize} bytes, "
            f"got {array.strides}; use array.copy()"
        )
    return make(array)


def _check_byte_order(op: str, array: Array) -> None:
    if not array.dtype.isnative:
        raise ValueError(
            f"{op}: expected the machine's own byte order, got {array.dtype}; "
            "use array.astype(array.dtype.newbyteorder('='))"
        )


# -- data as an array


def _as_array(data: Any, dtype: Any) -> Array:
    kind = None if dtype is None else dtypes.numpy_dtype(dtype)
    if isinstance(data, Tensor):
        _warn_if_recorded(data)
        data = data._array
    if isinstance(data, np.ndarray):
        _check_byte_order("tensor", data)
        dtypes.of_numpy(data.dtype)
        return data if kind is None else data.astype(kind, copy=False)
    if isinstance(data, (bytes, str)):
        raise TypeError(f"tensor: expected numbers, got {data!r:.60}")
    leaves: list[np.dtype[Any]] = []
    plain = _plain(data, leaves, kind)
    try:
        array = np.asarray(plain)
    except ValueError:
        raise ValueError(
            f"tensor: expected lists of equal lengths, got {data!r:.60}; pad them to one length"
        ) from None
    if kind is None:
        return _in_common_type(array, leaves)
    if array.dtype != kind:
        _check_range(array, kind)
    return array.astype(kind, copy=False)


_SEQUENCES = (list, tuple, range, bytearray)
_NUMBERS = {bool, int, float}


def _plain(data: Any, leaves: list[np.dtype[Any]], kind: np.dtype[Any] | None) -> Any:
    """Nested lists with the tensors in them as numbers; notes the types of the values."""
    if isinstance(data, _SEQUENCES):
        kinds = set(map(type, data))
        if kinds <= _NUMBERS:
            leaves.extend(dtypes.number_dtype(number(0)) for number in kinds)
            return data if isinstance(data, (list, tuple)) else list(data)
        deeper = {isinstance(item, (*_SEQUENCES, np.ndarray)) for item in data}
        if len(deeper) > 1:
            raise TypeError(
                f"tensor: expected numbers or lists beside each other, got both in {data!r:.60}"
            )
        return [_plain(item, leaves, kind) for item in data]
    if isinstance(data, Tensor):
        data = _element(data, kind)
    if isinstance(data, (np.generic, np.ndarray)) and data.dtype.kind in "biuf":
        leaves.append(data.dtype)
    elif isinstance(data, (bool, int, float)):
        leaves.append(dtypes.number_dtype(data))
    elif isinstance(data, str):
        raise ValueError(f"tensor: expected numbers, got {data!r:.60}")
    else:
        error = RuntimeError if kind is None else TypeError
        raise error(f"tensor: expected numbers, got {type(data).__name__}")
    return data


def _element(value: Tensor, kind: np.dtype[Any] | None) -> Any:
    """The number in a tensor of a list."""
    if value._array.size != 1:
        whole = (value._array.dtype if kind is None else kind).kind in "biu"
        error = TypeError if whole else ValueError
        raise error(
            "tensor: only one element tensors can be converted to Python scalars, got shape "
            f"{tuple(value.shape)} in a list; use tinytensor.stack"
        )
    _warn_if_recorded(value)
    return value._array.reshape(())[()]


def _in_common_type(array: Array, leaves: list[np.dtype[Any]]) -> Array:
    """A list of values in the type that all of theirs promote to."""
    if array.dtype.kind == "O" or (array.dtype == np.uint64 and np.dtype(np.uint64) not in leaves):
        raise ValueError("tensor: expected integers that fit int64, got a larger one; use a float")
    if array.size == 0:
        return array.astype(dtypes.get_default_dtype().numpy)
    return array.astype(functools.reduce(dtypes.promoted, leaves), copy=False)


def _check_range(array: Array, kind: np.dtype[Any]) -> None:
    """Raise as torch does if a number does not fit an integer type. A float may become inf."""
    if kind.kind not in "iu" or array.size == 0:
        return
    extremes = [array.min(), array.max()]
    for extreme in extremes:
        number = extreme.item() if isinstance(extreme, np.generic) else extreme
        if kind == np.uint64:
            if not 0 <= number < 2**64:
                raise OverflowError(f"tensor: expected numbers in [0, 2**64), got {number}")
        elif isinstance(number, int) and not -(2**63) <= number < 2**63:
            raise ValueError(f"tensor: expected integers that fit int64, got {number}")
        dtypes.check_fits("tensor", number, kind)


def _warn_if_recorded(data: Tensor) -> None:
    if data.requires_grad:
        warnings.warn(
            "tensor: the copy is outside the graph, no gradient will flow through it; use "
            ".clone() or stack to stay inside, .detach().clone() to say that it is meant",
            UserWarning,
            stacklevel=4,
        )


# -- the method


@silent
def _new_tensor(
    self: Tensor,
    data: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """A new leaf with a copy of `data`, in this tensor's type."""
    return tensor(data, dtype=dtype or self.dtype, device=device, requires_grad=requires_grad)


bind(new_tensor=_new_tensor)
