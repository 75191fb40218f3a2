"""RNNCell, GRUCell and LSTMCell: one step of the recurrent layers, for loops of one's own.

A step is one node of the graph, unless it runs under `tt.unrolled()`; see `cell_kernels`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ops import create
from ..ops.shape import squeeze, unsqueeze
from ..tensor import Tensor, make
from .cell_kernels import StepKernel, gru_cell, lstm_cell, rnn_relu_cell, rnn_tanh_cell
from .module import Module
from .parameter import Parameter
from .recording import opened
from .recurrent import Pair, draw_uniformly
from .sequence import as_parts, check_dtype


class RNNCellBase(Module):
    """What the cells share: parameters, checks, inputs without a batch."""

    bias_ih: Parameter | None
    bias_hh: Parameter | None
    _state_names: tuple[str, ...] = ("h",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        num_chunks: int,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        rows = num_chunks * hidden_size
        shapes: dict[str, tuple[int, ...]] = {
            "weight_ih": (rows, input_size),
            "weight_hh": (rows, hidden_size),
            "bias_ih": (rows,),
            "bias_hh": (rows,),
        }
        for name, shape in shapes.items():
            values = create.empty(shape, dtype=dtype, device=device)
            absent = name.startswith("bias") and not bias
            self.register_parameter(name, None if absent else Parameter(values))
        self.reset_parameters()

    @property
    def state_sizes(self) -> tuple[int, ...]:
        """The features of each part of the state."""
        return (self.hidden_size,) * len(self._state_names)

    def reset_parameters(self) -> None:
        """Draw all parameters anew from U(-1/√H, 1/√H)."""
        draw_uniformly(self, self.hidden_size)

    def _step(
        self, kernel: StepKernel, input: Tensor, given: tuple[Any, ...] | None
    ) -> tuple[Any, ...]:
        """The next state, its parts shaped as the input."""
        weights = self._weights()
        if given is None or not self._fit(weights[0], input, given):
            self._check(weights[0], input, given)
        x = input
        batched = x._array.ndim == 2
        if not batched:
            x = unsqueeze(x, 0)
        if given is None:
            zeros = make(np.zeros((len(x._array), self.hidden_size), x._array.dtype))
            state: tuple[Any, ...] = (zeros,) * len(self._state_names)
        else:
            state = given if batched else tuple(unsqueeze(part, 0) for part in given)
        made = after = kernel(x, *state, *weights)
        if not batched:
            after = tuple(squeeze(part, 0) for part in made)
        recorder = opened.recorder
        if recorder is not None:
            loops = recorder._cells.get(id(self))
            if loops is not None:
                loops.call(kernel, x, state, weights, made, given, after)
        return after

    def _weights(self) -> tuple[Any, ...]:
        found = self._parameters  # quicker than attributes, which may stand in for parameters
        try:
            return found["weight_ih"], found["weight_hh"], found["bias_ih"], found["bias_hh"]
        except KeyError:
            return self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh

    def _fit(self, weight: Tensor, input: Tensor, given: tuple[Any, ...]) -> bool:
        """Whether a batch and its state are as they should be: a quick look at every step."""
        try:
            batch, features = input._array.shape
            kind = weight._array.dtype
            size = (batch, self.hidden_size)
            for part in given:
                if part._array.shape != size or part._array.dtype is not kind:
                    return False
        except (AttributeError, ValueError):
            return False
        return features == self.input_size and input._array.dtype is kind

    def _check(self, weight: Tensor, input: Tensor, given: tuple[Any, ...] | None) -> None:
        """Raise for what does not fit; it takes what has no batch, too."""
        name = type(self).__name__
        check_dtype(name, "input", input, weight)
        if input.ndim not in (1, 2):
            raise ValueError(f"{name}: Expected input to be 1D or 2D, got {input.ndim}D instead")
        if input._array.shape[-1] != self.input_size:
            raise RuntimeError(
                f"{name}: input has inconsistent input_size: got {input._array.shape[-1]} "
                f"expected {self.input_size}"
            )
        expected = (*input._array.shape[:-1], self.hidden_size)
        for label, part in zip(self._state_names, given or (), strict=False):
            check_dtype(name, label, part, weight)
            if part._array.shape != expected:
                raise RuntimeError(
                    f"{name}: expected {label} of shape (N, H) = {expected}, got "
                    f"{part._array.shape}; was it made for another batch size?"
                )

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class RNNCell(RNNCellBase):
    """One step of a simple RNN: h' = φ(W_ih x + b_ih + W_hh h + b_hh).

    input_size, hidden_size : I and H
    bias : whether there are b_ih and b_hh
    nonlinearity : φ, "tanh" or "relu"
    Parameters `weight_ih` (H, I), `weight_hh` (H, H), `bias_ih`, `bias_hh` (H), drawn from
    U(-1/√H, 1/√H). Source: Elman 1990.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """input (N, I) or (I); hx (N, H) or (H), zeros when left out -> h'."""
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        kernel = rnn_tanh_cell if self.nonlinearity == "tanh" else rnn_relu_cell
        (h,) = self._step(kernel, input, None if hx is None else (hx,))
        return h

    def extra_repr(self) -> str:
        shown = "" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}"
        return super().extra_repr() + shown


class GRUCell(RNNCellBase):
    """One step of a GRU.

        r = σ(W_ir x + b_ir + W_hr h + b_hr)      z likewise
        n = tanh(W_in x + b_in + r (W_hn h + b_hn))
        h' = (1 - z) n + z h

    As `LSTMCell`, without c; parameters have 3H rows, in the order r z n. Source: Cho et al. 2014.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """input (N, I) or (I); hx (N, H) or (H), zeros when left out -> h'."""
        (h,) = self._step(gru_cell, input, None if hx is None else (hx,))
        return h


class LSTMCell(RNNCellBase):
    """One step of an LSTM.

        i = σ(W_ii x + b_ii + W_hi h + b_hi)      f, o likewise      g = tanh(W_ig x + ...)
        c' = f c + i g                            h' = o tanh(c')

    input_size, hidden_size : I and H
    bias : whether there are b_ih and b_hh
    Parameters `weight_ih` (4H, I), `weight_hh` (4H, H), `bias_ih`, `bias_hh` (4H), rows in the
    order i f g o, drawn from U(-1/√H, 1/√H).
    Source: Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000.
    """

    _state_names = ("h", "c")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input: Tensor, hx: Pair | None = None) -> Pair:
        """input (N, I) or (I); hx = (h, c), each (N, H) or (H), zeros when left out -> (h', c')."""
        given = None if hx is None else as_parts("LSTMCell", self._state_names, hx)
        h, c = self._step(lstm_cell, input, given)
        return h, c
