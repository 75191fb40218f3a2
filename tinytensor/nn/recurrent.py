"""LSTM and LSTMCell under torch's names, shapes and gate order."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..ops import create
from ..ops.shape import squeeze, transpose, unsqueeze
from ..tensor import Tensor, make
from .functional import dropout_mask
from .lstm_kernel import lstm as lstm_kernel
from .module import Module
from .parameter import Parameter
from .scan import lstm_cell

Pair = tuple[Tensor, Tensor]


def _check_dtype(name: str, what: str, tensor: Tensor, weight: Tensor) -> None:
    if tensor.dtype is not weight.dtype:
        raise RuntimeError(
            f"{name}: expected {what} and parameters of one dtype, got {tensor.dtype} and "
            f"{weight.dtype}; use .to() on either"
        )


def _as_pair(name: str, names: tuple[str, str], hx: Any, weight: Tensor) -> tuple[Any, Any]:
    """The two parts of a state, of the parameters' dtype."""
    if not isinstance(hx, (tuple, list)) or len(hx) != 2:
        raise TypeError(
            f"{name}: expected hx to be a pair ({', '.join(names)}), got {type(hx).__name__}"
        )
    for part_name, part in zip(names, hx, strict=True):
        _check_dtype(name, part_name, part, weight)
    return hx[0], hx[1]


class LSTMCell(Module):
    """One step of an LSTM.

        i = σ(W_ii x + b_ii + W_hi h + b_hi)      f, o likewise      g = tanh(W_ig x + ...)
        c' = f c + i g                            h' = o tanh(c')

    input_size, hidden_size : I and H
    bias : whether there are b_ih and b_hh
    Parameters `weight_ih` (4H, I), `weight_hh` (4H, H), `bias_ih`, `bias_hh` (4H), rows in the
    order i f g o, drawn from U(-1/√H, 1/√H).
    Source: Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000.
    """

    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        for name, shape in _shapes(input_size, hidden_size, bias, ""):
            self.register_parameter(
                name, Parameter(create.empty(shape, dtype=dtype, device=device))
            )
        if not bias:
            self.register_parameter("bias_ih", None)
            self.register_parameter("bias_hh", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all parameters anew from U(-1/√H, 1/√H)."""
        _draw(self, self.hidden_size)

    def forward(self, input: Tensor, hx: Pair | None = None) -> Pair:
        """input (N, I) or (I); hx = (h, c), each (N, H) or (H), zeros when left out -> (h', c')."""
        if input.ndim not in (1, 2):
            raise ValueError(f"LSTMCell: Expected input to be 1D or 2D, got {input.ndim}D instead")
        if input._array.shape[-1] != self.input_size:
            raise RuntimeError(
                f"LSTMCell: input has inconsistent input_size: got {input._array.shape[-1]} "
                f"expected {self.input_size}"
            )
        _check_dtype("LSTMCell", "input", input, self.weight_ih)
        batched = input.ndim == 2
        x = input if batched else unsqueeze(input, 0)
        if hx is None:
            zeros = np.zeros((x._array.shape[0], self.hidden_size), x._array.dtype)
            state: Any = (make(zeros), make(zeros))
        else:
            state = self._checked(hx, input)
            if not batched:
                state = tuple(unsqueeze(part, 0) for part in state)
        weights: tuple[Any, ...] = (self.weight_ih, self.weight_hh)
        if self.bias:
            weights = (*weights, self.bias_ih, self.bias_hh)
        h, c = lstm_cell(x, state, weights)
        return (h, c) if batched else (squeeze(h, 0), squeeze(c, 0))

    def _checked(self, hx: Any, input: Tensor) -> Any:
        hx = _as_pair("LSTMCell", ("h", "c"), hx, self.weight_ih)
        expected = (*input._array.shape[:-1], self.hidden_size)
        for name, part in zip("hc", hx, strict=True):
            if part._array.shape != expected:
                raise RuntimeError(
                    f"LSTMCell: expected {name} of shape (N, H) = {expected}, got "
                    f"{part._array.shape}; was it made for another batch size?"
                )
        return hx

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


def _shapes(
    input_size: int, hidden_size: int, bias: bool, suffix: str
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The names and shapes of one scan's parameters, in torch's order."""
    yield f"weight_ih{suffix}", (4 * hidden_size, input_size)
    yield f"weight_hh{suffix}", (4 * hidden_size, hidden_size)
    if bias:
        yield f"bias_ih{suffix}", (4 * hidden_size,)
        yield f"bias_hh{suffix}", (4 * hidden_size,)


def _draw(module: Module, hidden_size: int) -> None:
    bound = 1.0 / math.sqrt(hidden_size) if hidden_size > 0 else 0.0
    for parameter in module.parameters():
        parameter.data.uniform_(-bound, bound)


class LSTM(Module):
    """Layers of LSTMs over whole sequences, in one or both directions.

    input_size, hidden_size : I and H
    num_layers : L; each layer reads the outputs of the one below
    bias : whether there are biases
    batch_first : input and output are (N, T, ...) instead of (T, N, ...); the states are not
    dropout : probability with which outputs of all layers but the last are zeroed in training
    bidirectional : D = 2 directions, each with its own weights; else D = 1

    Parameters of layer k: `weight_ih_l{k}` (4H, I, or D · H above the first), `weight_hh_l{k}`
    (4H, H), `bias_ih_l{k}`, `bias_hh_l{k}` (4H), rows in the order i f g o; those of the reverse
    direction end in `_reverse`. All are drawn from U(-1/√H, 1/√H).

    lstm(input, (h_0, c_0)) -> output, (h_n, c_n)
        input : (T, N, I), or (T, I) without a batch
        h_0, c_0 : (L · D, N, H), zeros when left out; h_n, c_n likewise: entry l · D + d is
            layer l, direction d
        output : (T, N, D · H), the last layer's h at each t, forward then reverse. output[-1] holds
            the *last* step of the forward but the *first* step of the reverse direction, which has
            read one input only; the last states of both are in h_n.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        _check_sizes(input_size, hidden_size, num_layers, dropout, proj_size)
        if dropout > 0 and num_layers == 1:
            warnings.warn(
                "dropout option adds dropout after all but last recurrent layer, so non-zero "
                f"dropout expects num_layers greater than 1, but got dropout={dropout} and "
                "num_layers=1; put an nn.Dropout after the layer instead",
                stacklevel=2,
            )
        self.mode = "LSTM"
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self._names: list[str] = []
        for layer in range(num_layers):
            below = input_size if layer == 0 else hidden_size * self._directions
            for direction in ("", "_reverse")[: self._directions]:
                for name, shape in _shapes(below, hidden_size, bias, f"_l{layer}{direction}"):
                    values = create.empty(shape, dtype=dtype, device=device)
                    self.register_parameter(name, Parameter(values))
                    self._names.append(name)
        self.reset_parameters()

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    def reset_parameters(self) -> None:
        """Draw all parameters anew from U(-1/√H, 1/√H)."""
        _draw(self, self.hidden_size)

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters of each layer and direction."""
        each = 4 if self.bias else 2
        weights = self._weights()
        return [weights[k : k + each] for k in range(0, len(weights), each)]

    def _weights(self) -> list[Any]:
        return [self._parameters[name] for name in self._names]

    def flatten_parameters(self) -> None:
        """Nothing: torch needs this for its GPU; code that calls it runs."""

    def forward(self, input: Tensor, hx: Pair | None = None) -> tuple[Tensor, Pair]:
        """See the class."""
        if input.ndim not in (2, 3):
            raise ValueError(f"LSTM: Expected input to be 2D or 3D, got {input.ndim}D instead")
        batched = input.ndim == 3
        weights = self._weights()
        _check_dtype("LSTM", "input", input, weights[0])
        x = input
        if not batched:
            x = unsqueeze(x, 1)
        elif self.batch_first:
            x = transpose(x, 0, 1)
        steps, batch, features = x._array.shape
        if features != self.input_size:
            raise RuntimeError(
                "LSTM: input.size(-1) must be equal to input_size. "
                f"Expected {self.input_size}, got {features}"
            )
        if steps == 0:
            raise RuntimeError("LSTM: Expected sequence length to be larger than 0 in RNN")
        h, c = self._states(hx, batch, batched, weights[0])
        output, h, c = lstm_kernel(
            x,
            h,
            c,
            self._mask(steps, batch, x._array.dtype),
            *weights,
            layers=self.num_layers,
            directions=self._directions,
        )
        if not batched:
            return squeeze(output, 1), (squeeze(h, 1), squeeze(c, 1))
        if self.batch_first:
            output = transpose(output, 0, 1)
        return output, (h, c)

    def _states(self, hx: Any, batch: int, batched: bool, weight: Tensor) -> tuple[Tensor, Tensor]:
        """The initial states as (L · D, N, H): those given, checked, or zeros."""
        scans = self.num_layers * self._directions
        if hx is None:
            zeros = np.zeros((scans, batch, self.hidden_size), weight._array.dtype)
            return make(zeros), make(zeros)
        hx = _as_pair("LSTM", ("h_0", "c_0"), hx, weight)
        middle = (batch,) if batched else ()
        expected = (scans, *middle, self.hidden_size)
        for name, part in zip(("h_0", "c_0"), hx, strict=True):
            got = tuple(part._array.shape)
            if got != expected:
                raise RuntimeError(
                    f"LSTM: Expected {name} of size (num_layers * num_directions, N, H) = "
                    f"{expected}, got {got}{_usual_cause(got, expected, self.batch_first)}"
                )
        h, c = hx
        return (h, c) if batched else (unsqueeze(h, 1), unsqueeze(c, 1))

    def _mask(self, steps: int, batch: int, kind: Any) -> Tensor | None:
        """The factors of dropout between the layers, in torch's order: 0, or 1 / (1 - p)."""
        if not self.training or self.dropout == 0.0 or self.num_layers == 1:
            return None
        masks = np.zeros(
            (self.num_layers - 1, steps, batch, self._directions * self.hidden_size), kind
        )
        if self.dropout < 1.0:
            for mask in masks:
                mask[...] = dropout_mask(self.dropout, mask)
        return make(masks)

    def extra_repr(self) -> str:
        parts = [f"{self.input_size}, {self.hidden_size}"]
        if self.num_layers != 1:
            parts.append(f"num_layers={self.num_layers}")
        if not self.bias:
            parts.append("bias=False")
        if self.batch_first:
            parts.append("batch_first=True")
        if self.dropout != 0:
            parts.append(f"dropout={self.dropout}")
        if self.bidirectional:
            parts.append("bidirectional=True")
        return ", ".join(parts)


def _check_sizes(
    input_size: int, hidden_size: int, num_layers: int, dropout: float, proj_size: int
) -> None:
    if isinstance(dropout, bool) or not 0 <= dropout <= 1:
        raise ValueError(
            "LSTM: dropout should be a number in range [0, 1], the probability of an element "
            f"being zeroed, got {dropout!r}"
        )
    if not isinstance(hidden_size, int) or isinstance(hidden_size, bool):
        raise TypeError(
            f"LSTM: hidden_size should be of type int, got: {type(hidden_size).__name__}"
        )
    if hidden_size <= 0:
        raise ValueError("LSTM: hidden_size must be greater than zero")
    if num_layers <= 0:
        raise ValueError("LSTM: num_layers must be greater than zero")
    if input_size <= 0:
        raise ValueError("LSTM: input_size must be greater than zero")
    if proj_size != 0:
        raise NotImplementedError("LSTM: proj_size is not built; use an nn.Linear on the outputs")


def _usual_cause(got: tuple[int, ...], expected: tuple[int, ...], batch_first: bool) -> str:
    """What usually leads to a state of such a shape."""
    if len(got) != len(expected):
        return "; the states have a batch dimension just where the input has one"
    if len(got) == 3 and got == (expected[1], expected[0], expected[2]):
        return "; batch_first turns input and output around, but never the states"
    if len(got) == 3 and got[1] != expected[1] and got[::2] == expected[::2]:
        return "; the state was made for another batch size (is this the last, smaller batch?)"
    if got[0] != expected[0]:
        return "; a state has one entry for each layer and each direction"
    return "; the last dimension is hidden_size"
