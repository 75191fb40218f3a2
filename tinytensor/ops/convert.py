"""Tensors in another type: `to` and the methods named after types, `type`, and the constructors
`FloatTensor`, `LongTensor` ... of old torch code. There is one device, so nothing ever moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from .. import devices, dtypes
from ..tensor import Tensor, bind, of_sizes_or_data
from .elementwise import cast, clone

_AFTER = ("non_blocking", "copy")


def _to(self: Tensor, *args: Any, **named: Any) -> Tensor:
    """This tensor in another type (recorded); itself if it is in it already, but with `copy`.

    to(dtype), to(device), to(device, dtype), to(other), each then non_blocking=False, copy=False;
    all by name as well. Raises RuntimeError for a device other than "cpu".
    """
    rest = list(args)
    found: dict[str, Any] = {}
    if rest and isinstance(rest[0], Tensor):
        found["dtype"] = rest.pop(0).dtype
    elif rest and _is_type(rest[0]):
        found["dtype"] = rest.pop(0)
    elif rest and (rest[0] is None or _is_device(rest[0])):
        found["device"] = rest.pop(0)
        if rest and (rest[0] is None or _is_type(rest[0])):
            found["dtype"] = rest.pop(0)
    for name, value in zip(_AFTER, rest, strict=False):
        if not isinstance(value, bool):
            what = type(value).__name__
            raise TypeError(f"to: expected a dtype, a device or a tensor, got {what}")
        found[name] = value
    if len(rest) > len(_AFTER):
        raise TypeError(f"to: expected at most 4 arguments, got {len(args)}")
    for name, value in named.items():
        if name in _AFTER and not isinstance(value, bool):
            raise TypeError(f"to: expected {name} to be a bool, got {type(value).__name__}")
        if name not in ("device", "dtype", *_AFTER) or name in found:
            raise TypeError(f"to: got an argument {name!r} that it does not take, or twice")
        found[name] = value
    devices.check(found.get("device"))
    dtype = found.get("dtype")
    kind = self._array.dtype if dtype is None else dtypes.numpy_dtype(dtype)
    if kind != self._array.dtype:
        return cast(self, kind)
    return clone(self) if found.get("copy") else self


def _is_device(value: Any) -> bool:
    return isinstance(value, (str, int, devices.device)) and not isinstance(value, bool)


def _is_type(value: Any) -> bool:
    return isinstance(value, (dtypes.dtype, type, np.dtype))


def _caster(kind: dtypes.dtype) -> Callable[[Tensor], Tensor]:
    def method(self: Tensor) -> Tensor:
        return _to(self, kind)

    method.__doc__ = f"This tensor in {kind}."
    return method


def _cpu(self: Tensor) -> Tensor:
    """This tensor: it is on the processor already."""
    return self


def _cuda(self: Tensor, device: Any = None, non_blocking: bool = False) -> NoReturn:
    """Raises RuntimeError: there is no graphics processor."""
    raise RuntimeError(
        "cuda: expected a graphics processor, got none: tinytensor computes on 'cpu' only; leave "
        'it out, or write .to(device) with device = "cuda" if cuda.is_available() else "cpu"'
    )


_NAMES = {
    "Half": dtypes.float16, "Float": dtypes.float32, "Double": dtypes.float64,
    "Char": dtypes.int8, "Short": dtypes.int16, "Int": dtypes.int32, "Long": dtypes.int64,
    "Byte": dtypes.uint8, "UInt16": dtypes.uint16, "UInt32": dtypes.uint32,
    "UInt64": dtypes.uint64, "Bool": dtypes.boolean,
}  # fmt: skip


class TypedTensor(type):
    """The kind of class that old torch code makes tensors of one type with.

    `LongTensor(2, 3)` is memory with whatever it holds, `LongTensor([2, 3])` a copy of the numbers;
    a tensor of the type is an instance of it.
    """

    kind: dtypes.dtype

    def __call__(cls, *data: Any, device: Any = None) -> Tensor:
        devices.check(device)
        if len(data) == 1 and isinstance(data[0], Tensor):
            if data[0].dtype is not cls.kind:
                raise TypeError(
                    f"{cls.__name__}: expected {cls.kind}, got {data[0].dtype}; use .to(dtype)"
                )
            return data[0].view(data[0].shape)
        return of_sizes_or_data(data, cls.kind)

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor) and instance.dtype is cls.kind


def _typed(name: str) -> Any:
    kind = _NAMES[name]
    words = {"kind": kind, "__doc__": f"Makes tensors of {kind}: from sizes, or from numbers."}
    return TypedTensor(f"{name}Tensor", (), words)


HalfTensor = _typed("Half")
FloatTensor = _typed("Float")
DoubleTensor = _typed("Double")
CharTensor = _typed("Char")
ShortTensor = _typed("Short")
IntTensor = _typed("Int")
LongTensor = _typed("Long")
ByteTensor = _typed("Byte")
BoolTensor = _typed("Bool")


def _type(self: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """torch's old name of the type, such as "torch.FloatTensor"; given a type, `to(dtype)`.

    dtype : a dtype, such a name, or such a class (`FloatTensor`). Raises ValueError for others.
    """
    names = {kind: f"torch.{name}Tensor" for name, kind in _NAMES.items()}
    if dtype is None:
        return names[self.dtype]
    if isinstance(dtype, TypedTensor):
        return _to(self, dtype.kind)
    for own, name in names.items():
        if dtype is own or dtype == name:
            return _to(self, own)
    raise ValueError(f"type: expected a dtype or a name such as 'torch.FloatTensor', got {dtype!r}")


bind(
    to=_to,
    type=_type,
    type_as=lambda self, other: _to(self, other.dtype),
    float=_caster(dtypes.float32),
    double=_caster(dtypes.float64),
    half=_caster(dtypes.float16),
    long=_caster(dtypes.int64),
    int=_caster(dtypes.int32),
    short=_caster(dtypes.int16),
    char=_caster(dtypes.int8),
    byte=_caster(dtypes.uint8),
    bool=_caster(dtypes.boolean),
    cpu=_cpu,
    cuda=_cuda,
)
