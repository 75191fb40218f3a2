"""Activations as modules, to stand in a Sequential; the formulas are at the operations."""

from __future__ import annotations

import warnings
from typing import Any

from ..ops import create
from ..tensor import Tensor
from . import functional as F
from .init import constant_
from .module import Module
from .parameter import Parameter


class _InPlace(Module):
    """An activation that may overwrite its input."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def _in_repr(self, *parts: str) -> str:
        return ", ".join((*parts, "inplace=True") if self.inplace else parts)

    def extra_repr(self) -> str:
        return self._in_repr()


class ReLU(_InPlace):
    """y = max(x, 0)."""

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return F.relu(input, self.inplace)


class SiLU(_InPlace):
    """y = x σ(x)."""

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return F.silu(input, self.inplace)


class LeakyReLU(_InPlace):
    """y = x where x > 0, else negative_slope · x."""

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.negative_slope = negative_slope

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return F.leaky_relu(input, self.negative_slope, self.inplace)

    def extra_repr(self) -> str:
        return self._in_repr(f"negative_slope={self.negative_slope}")


class ELU(_InPlace):
    """y = x where x > 0, else α (e^x - 1)."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.alpha = alpha

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return F.elu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        return self._in_repr(f"alpha={self.alpha}")


class Hardtanh(_InPlace):
    """y = x held between min_val and max_val. Raises ValueError unless min_val < max_val."""

    def __init__(
        self,
        min_val: float = -1.0,
        max_val: float = 1.0,
        inplace: bool = False,
        min_value: float | None = None,
        max_value: float | None = None,
    ) -> None:
        super().__init__(inplace)
        if min_value is not None or max_value is not None:
            warnings.warn(
                "min_value and max_value are old names; use min_val and max_val",
                FutureWarning,
                stacklevel=2,
            )
        self.min_val = min_val if min_value is None else min_value
        self.max_val = max_val if max_value is None else max_value
        if self.max_val <= self.min_val:
            raise ValueError(
                f"Hardtanh: expected min_val < max_val, got {self.min_val} and {self.max_val}"
            )

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)

    def extra_repr(self) -> str:
        return self._in_repr(f"min_val={self.min_val}", f"max_val={self.max_val}")


class ReLU6(Hardtanh):
    """y = x held between 0 and 6."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(0.0, 6.0, inplace)

    def extra_repr(self) -> str:
        return self._in_repr()


class Threshold(_InPlace):
    """y = value where x <= threshold, else x."""

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.threshold = threshold
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return F.threshold(input, self.threshold, self.value, self.inplace)

    def extra_repr(self) -> str:
        return self._in_repr(f"threshold={self.threshold}", f"value={self.value}")


class CELU(_InPlace):
    """y = x where x > 0, else α (e^(x/α) - 1)."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.alpha = alpha

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return F.celu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        return self._in_repr(f"alpha={self.alpha}")


class PReLU(Module):
    """y = x where x > 0, else w x, with a learnt w, one or one for each channel (dimension 1).

    Parameter `weight` (num_parameters), `init` at first. Source: He et al. 2015, eq. 1.
    """

    weight: Parameter

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.num_parameters = num_parameters
        self.init = init
        self.weight = Parameter(create.empty(num_parameters, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the weight to its first value."""
        constant_(self.weight, self.init)

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class RReLU(_InPlace):
    """y = x where x > 0, else a x: a drawn from U(lower, upper) in training, else their mean.

    Source: Xu et al. 2015.
    """

    def __init__(
        self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False
    ) -> None:
        super().__init__(inplace)
        self.lower = lower
        self.upper = upper

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)

    def extra_repr(self) -> str:
        return self._in_repr(f"lower={self.lower}", f"upper={self.upper}")


class Hardswish(_InPlace):
    """y = x · (x / 6 + 1/2 held between 0 and 1)."""

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return F.hardswish(input, self.inplace)

    def extra_repr(self) -> str:
        return ""  # torch names no option here


class Hardshrink(Module):
    """y = 0 where -λ <= x <= λ, else x."""

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return F.hardshrink(input, self.lambd)

    def extra_repr(self) -> str:
        return str(self.lambd)


class Softshrink(Module):
    """y = x brought nearer to 0 by λ, and 0 within."""

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return F.softshrink(input, self.lambd)

    def extra_repr(self) -> str:
        return str(self.lambd)


class Tanhshrink(Module):
    """y = x - tanh x."""

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return F.tanhshrink(input)


class SELU(_InPlace):
    """y = λ x where x > 0, else λ α (e^x - 1)."""

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return F.selu(input, self.inplace)


class GELU(Module):
    """y = x Φ(x), or with approximate="tanh" a formula for it."""

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return F.gelu(input, approximate=self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class Mish(_InPlace):
    """y = x tanh(ln(1 + e^x))."""

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return F.mish(input, self.inplace)


class Softsign(Module):
    """y = x / (1 + |x|)."""

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return F.softsign(input)


class Hardsigmoid(_InPlace):
    """y = x / 6 + 1/2 held between 0 and 1."""

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return F.hardsigmoid(input, self.inplace)

    def extra_repr(self) -> str:
        return ""  # torch names no option here


class GLU(Module):
    """y = a σ(b), where a and b are the halves of the input along `dim`."""

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return F.glu(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Tanh(Module):
    """y = tanh x."""

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return F.tanh(input)


class Sigmoid(Module):
    """y = 1 / (1 + e^-x)."""

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return F.sigmoid(input)


class LogSigmoid(Module):
    """y = ln σ(x)."""

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return F.logsigmoid(input)


class Softplus(Module):
    """y = ln(1 + e^(βx)) / β, and x itself where βx > threshold."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = beta
        self.threshold = threshold

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class Softmax(Module):
    """y = e^x / Σ e^x along `dim`."""

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return F.softmax(input, self.dim, _stacklevel=5)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """y = x - ln Σ e^x along `dim`."""

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return F.log_softmax(input, self.dim, _stacklevel=5)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmin(Module):
    """y = e^-x / Σ e^-x along `dim`."""

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return F.softmin(input, self.dim, _stacklevel=5)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmax2d(Module):
    """y = e^x / Σ e^x over the channels: (N, C, H, W) or (C, H, W) -> the same."""

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        if input.ndim not in (3, 4):
            raise ValueError(f"Softmax2d: expected input to be 3D or 4D, got {input.ndim}D instead")
        return F.softmax(input, -3)
