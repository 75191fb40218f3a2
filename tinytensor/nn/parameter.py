"""Parameter, a tensor that a module owns and an optimiser changes, and Buffer, one it only owns."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes
from ..autograd.scope import Label
from ..tensor import Tensor, dense_copy, make


class Parameter(Tensor):
    """A leaf on the memory of `data` that joins a module's parameters when assigned to it.

    data : Tensor, whose memory and version are shared; None for an empty one
    requires_grad : whether `backward` leaves a gradient here
    Raises TypeError for data that is no Tensor, RuntimeError for integers that should require grad.
    """

    __slots__ = ()

    # The name that its module gave it; a drawing calls the parameter so.
    _label: Label | None = None

    def __init__(self, data: Tensor | None = None, requires_grad: bool = True) -> None:
        _share(self, data)
        self.requires_grad_(requires_grad)

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        """A copy without gradient and name, as in torch."""
        return type(self)(make(dense_copy(self._array)), self._requires_grad)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


class Buffer(Tensor):
    """A leaf on the memory of `data` that joins a module's buffers when assigned to it.

    data : Tensor, whose memory and version are shared; None for an empty one
    persistent : whether it is part of the state_dict
    Raises TypeError for data that is no Tensor.
    """

    __slots__ = ()

    persistent: bool = True

    def __init__(self, data: Tensor | None = None, *, persistent: bool = True) -> None:
        _share(self, data)
        self.persistent = persistent
        self.requires_grad_(data is not None and data.requires_grad)

    def __deepcopy__(self, memo: dict[int, Any]) -> Buffer:
        twin: Any = super().__deepcopy__(memo)
        twin.persistent = self.persistent
        return twin


def _share(self: Tensor, data: Tensor | None) -> None:
    """Make a new tensor a leaf on the memory of another, or an empty one."""
    if data is None:
        data = make(np.empty(0, dtypes.get_default_dtype().numpy))
    if not isinstance(data, Tensor):
        raise TypeError(
            f"{type(self).__name__}: expected a Tensor or None, got {type(data).__name__}; "
            "wrap it in tinytensor.tensor(...)"
        )
    self._array = data._array
    self._storage = data._storage
    self._node = None
    self._requires_grad = False
    self._grad = None
    self._view = None
    self._origins = None
