"""RNN, GRU and LSTM over whole sequences, under torch's names, shapes and gate order."""

from __future__ import annotations

import math
import numbers
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..autograd.kernel import Kernel
from ..ops import create
from ..tensor import Tensor, make
from .functional import dropout_mask
from .gru_kernel import gru
from .lstm_kernel import lstm
from .module import Module
from .parameter import Parameter
from .recording import opened
from .rnn_kernel import rnn_relu, rnn_tanh
from .sequence import SequenceLayer
from .steps import Steps

Pair = tuple[Tensor, Tensor]


class RNNBase(SequenceLayer):
    """What RNN, GRU and LSTM share: parameters, checks, lengths, the way through the kernel."""

    _kernel: Kernel
    _gates: str  # the blocks of the weights' rows

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool | str = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
        *,
        variational: bool = False,
        recurrent_dropout: float = 0.0,
        checkpoint_every: int | None = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        check_options(name, input_size, hidden_size, num_layers, batch_first, dropout, proj_size)
        if not isinstance(bias, bool | str):
            raise TypeError(f"{name}: bias should be of type bool, got: {type(bias).__name__}")
        if isinstance(bias, str) and bias != "single":
            raise ValueError(f"{name}: expected bias to be True, False or 'single', got {bias!r}")
        check_dropout(name, "recurrent_dropout", recurrent_dropout)
        check_every(name, checkpoint_every)
        warn_of_idle_dropout(dropout, num_layers, 4)
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        self.variational = variational
        self.recurrent_dropout = float(recurrent_dropout)
        self.checkpoint_every = None if checkpoint_every is None else int(checkpoint_every)
        self._scans: list[list[str | None]] = []
        for layer in range(num_layers):
            below = input_size if layer == 0 else self._output_size * self._directions
            for direction in ("", "_reverse")[: self._directions]:
                self._scans.append([])
                for stem, shape in self._shapes(below):
                    parameter_name = None if shape is None else f"{stem}_l{layer}{direction}"
                    self._scans[-1].append(parameter_name)
                    if shape is not None and parameter_name is not None:
                        values = create.empty(shape, dtype=dtype, device=device)
                        self.register_parameter(parameter_name, Parameter(values))
        self.reset_parameters()

    def _shapes(self, below: int) -> Iterator[tuple[str, tuple[int, ...] | None]]:
        """The parameters of one scan in torch's order, None for those that it does not have."""
        rows = len(self._gates) * self.hidden_size
        yield "weight_ih", (rows, below)
        yield "weight_hh", (rows, self._output_size)
        yield "bias_ih", (rows,) if self.bias else None
        yield "bias_hh", (rows,) if self.bias is True else None

    def reset_parameters(self) -> None:
        """Draw all parameters anew from U(-1/√H, 1/√H)."""
        draw_uniformly(self, self.hidden_size)

    @property
    def all_weights(self) -> list[list[Any]]:
        """The parameters of each layer and direction."""
        return [
            [self._parameters[name] for name in scan if name is not None] for scan in self._scans
        ]

    def _weights(self, batch: int) -> list[Any]:
        """Those of all scans for the kernel, and after them the factors of recurrent dropout.

        None where there is none.
        """
        own = self._parameters
        weights: list[Any] = []
        for scan in self._scans:
            weights += [None if name is None else own[name] for name in scan]
            weights.append(self._recurrent_mask(batch))
        return weights

    def _first_weight(self) -> Tensor:
        weight: Any = self._parameters["weight_ih_l0"]  # quicker than by attribute
        return weight

    def _recurrent_mask(self, batch: int) -> Tensor | None:
        """The factors on h of one scan, 0 or 1 / (1 - p): (N, P)."""
        if not self.training or self.recurrent_dropout == 0.0:
            return None
        factors = np.zeros((batch, self._output_size), self._first_weight()._array.dtype)
        if self.recurrent_dropout < 1.0:
            factors[...] = dropout_mask(self.recurrent_dropout, factors)
        return make(factors)

    def flatten_parameters(self) -> None:
        """Nothing: torch needs this for its GPU; code that calls it runs."""

    def _call(
        self, x: Tensor, initial: tuple[Tensor, ...], steps: Steps | None, keep: bool
    ) -> tuple[Tensor, tuple[Tensor, ...], list[Tensor]]:
        """Run the kernel, in segments if there would be two or more and not all is to be kept."""
        note = None if opened.recorder is None else opened.recorder._layer(self)
        all_kept = keep or note is not None
        length = len(x._array if steps is None else steps.sizes)
        every = self.checkpoint_every
        output, *others = self._kernel(
            x,
            *initial,
            self._mask(x, steps),
            *self._weights(initial[0]._array.shape[1]),
            directions=self._directions,
            steps=steps,
            keep=keep,
            every=every if every is not None and every < length and not all_kept else None,
            note=note,
        )
        parts = len(initial)
        return output, tuple(others[:parts]), others[parts:]


def draw_uniformly(module: Module, hidden_size: int) -> None:
    """All parameters from U(-1/√H, 1/√H)."""
    bound = 1.0 / math.sqrt(hidden_size) if hidden_size > 0 else 0.0
    for parameter in module.parameters():
        parameter.data.uniform_(-bound, bound)


class RNN(RNNBase):
    """Layers of simple recurrent networks: h_t = φ(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh).

    nonlinearity : φ, "tanh" or "relu"
    Otherwise as `LSTM`, without c: rnn(input, h_0) -> output, h_n. Parameters have H rows.
    Source: Elman 1990; with relu Le et al. 2015.
    """

    _gates = "h"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool | str = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        variational: bool = False,
        recurrent_dropout: float = 0.0,
        checkpoint_every: int | None = None,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(
                f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'."
            )
        super().__init__(
            f"RNN_{nonlinearity.upper()}", input_size, hidden_size, num_layers, bias, batch_first,
            dropout, bidirectional, 0, device, dtype, variational=variational,
            recurrent_dropout=recurrent_dropout, checkpoint_every=checkpoint_every,
        )  # fmt: skip
        self.nonlinearity = nonlinearity
        self._kernel = rnn_tanh if nonlinearity == "tanh" else rnn_relu


class GRU(RNNBase):
    """Layers of gated recurrent units.

        r = σ(W_ir x + b_ir + W_hr h + b_hr)      z likewise
        n = tanh(W_in x + b_in + r (W_hn h + b_hn))
        h' = (1 - z) n + z h

    As `LSTM`, without c: gru(input, h_0) -> output, h_n. Parameters have 3H rows, in the order
    r z n. The reset gate acts after the product with W_hn, as in torch; Cho et al. 2014 put it
    before. Source: Cho et al. 2014.
    """

    _gates = "rzn"
    _part_names = "hrzn"
    _kernel = gru

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool | str = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        variational: bool = False,
        recurrent_dropout: float = 0.0,
        checkpoint_every: int | None = None,
    ) -> None:
        super().__init__(
            "GRU", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            0, device, dtype, variational=variational,
            recurrent_dropout=recurrent_dropout, checkpoint_every=checkpoint_every,
        )  # fmt: skip


class LSTM(RNNBase):
    """Layers of LSTMs over whole sequences, in one or both directions.

        i = σ(W_ii x + b_ii + W_hi h + b_hi)      f, o likewise      g = tanh(W_ig x + ...)
        c' = f c + i g                            h' = o tanh(c')

    input_size, hidden_size : I and H
    num_layers : L; each layer reads the outputs of the one below
    bias : whether there are biases; "single" for b_ih alone (torch has two, whose sum is what acts)
    batch_first : input and output are (N, T, ...) instead of (T, N, ...); the states are not
    dropout : probability with which outputs of all layers but the last are zeroed in training
    bidirectional : D = 2 directions, each with its own weights; else D = 1
    proj_size : P, the size of h where W_hr projects it (Sak et al. 2014); 0 for none, then P = H
    forget_bias : the forget gate's bias at the start, b_if + b_hf, half in each of the two; None
        leaves it random (Jozefowicz et al. 2015 advise 1)
    variational : dropout draws one mask for all steps (Gal and Ghahramani 2016)
    recurrent_dropout : probability with which elements of h are zeroed in training where W_hh reads
        them, the same ones at all steps (also theirs)
    checkpoint_every : k, of how many steps only the state at their start is kept, and the rest is
        computed again in the backward pass: the same numbers, to rounding, in less memory for one
        more forward, see below; None keeps everything

    Parameters of layer k: `weight_ih_l{k}` (4H, I, or D · P above the first), `weight_hh_l{k}`
    (4H, P), `bias_ih_l{k}`, `bias_hh_l{k}` (4H), rows in the order i f g o, `weight_hr_l{k}`
    (P, H) with a projection; those of the reverse direction end in `_reverse`. All are drawn from
    U(-1/√H, 1/√H).

    lstm(input, (h_0, c_0)) -> output, (h_n, c_n)
        input : (T, N, I), or (T, I) without a batch, or a PackedSequence
        h_0 : (L · D, N, P), c_0 : (L · D, N, H), zeros when left out; h_n, c_n likewise: entry
            l · D + d is layer l, direction d
        output : (T, N, D · P), the last layer's h at each t, forward then reverse. output[-1] holds
            the *last* step of the forward but the *first* step of the reverse direction, which has
            read one input only; `last_states(h_n)` has the last of both. `explain(input)` prints
            what is where.
    lstm(input, states, lengths=n, return_states=True) -> output, (h_n, c_n), states
        n : N whole numbers from 0 to T, in any order: of sequence k only the first n[k] steps are
            read; its outputs after them are 0, its last states are those of its own last step (with
            n[k] = 0 the initial ones), and the reverse direction starts at its own end
        states : h, c and the gates i, f, g, o of every layer, direction and step, in the graph:
            `states.layer(0, "reverse").c`, see `States`
        Neither is for a PackedSequence, which has its own lengths.
    With checkpoint_every=k a scan (a layer in a direction) holds, besides its input, its output and
    their gradients, about N H (2 T / k + 11 k) numbers instead of the 11 N H T without (8 with
    NumPy alone): with k of about √T, which is near the best √(T / 5), memory grows as √T. The
    outputs of the layers below the last stay, N D P T numbers each. All is kept where
    return_states=True asks for it, and of a sequence of k steps or fewer; under create_graph=True
    and `unrolled()` every operation is.
    `utils.checkpoint` does the same for a loop of one's own.

    Raises TypeError for an input, a state, lengths or an option of a wrong type, ValueError for an
    input of other than 2 or 3 dimensions, for lengths beyond T and options out of range,
    RuntimeError for other wrong shapes and for mixed dtypes.
    Source: Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000.
    """

    _gates = "ifgo"
    _part_names = "hcifgo"
    _kernel = lstm
    _state_names = ("h_0", "c_0")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool | str = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
        *,
        forget_bias: float | None = None,
        variational: bool = False,
        recurrent_dropout: float = 0.0,
        checkpoint_every: int | None = None,
    ) -> None:
        if forget_bias is not None and not bias:
            raise ValueError("LSTM: expected biases for forget_bias=, got bias=False")
        self.forget_bias = forget_bias
        super().__init__(
            "LSTM", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            proj_size, device, dtype, variational=variational,
            recurrent_dropout=recurrent_dropout, checkpoint_every=checkpoint_every,
        )  # fmt: skip

    def _shapes(self, below: int) -> Iterator[tuple[str, tuple[int, ...] | None]]:
        yield from super()._shapes(below)
        yield "weight_hr", (self.proj_size, self.hidden_size) if self.proj_size else None

    def reset_parameters(self) -> None:
        """Draw all parameters anew from U(-1/√H, 1/√H); then set the forget gates' biases."""
        super().reset_parameters()
        if self.forget_bias is None:
            return
        forget = slice(self.hidden_size, 2 * self.hidden_size)
        for scan in self._scans:
            names = [name for name in scan if name is not None and name.startswith("bias")]
            for name in names:
                getattr(self, name).data[forget] = self.forget_bias / len(names)


def check_dropout(name: str, option: str, p: float) -> None:
    if not isinstance(p, numbers.Real) or isinstance(p, bool) or not 0 <= p <= 1:
        raise ValueError(
            f"{name}: {option} should be a number in range [0, 1], the probability of an element "
            f"being zeroed, got {p!r}"
        )


def check_every(name: str, steps: Any) -> None:
    if steps is None:
        return
    if not isinstance(steps, numbers.Integral) or isinstance(steps, bool):
        raise TypeError(
            f"{name}: expected checkpoint_every to be a whole number of steps or None, got "
            f"{steps!r}; math.isqrt(T) suits sequences of T steps"
        )
    if steps < 1:
        raise ValueError(f"{name}: expected checkpoint_every to be 1 or more, got {steps}")


def warn_of_idle_dropout(dropout: float, num_layers: int, stacklevel: int) -> None:
    if dropout > 0 and num_layers == 1:
        warnings.warn(
            "dropout option adds dropout after all but last recurrent layer, so non-zero "
            f"dropout expects num_layers greater than 1, but got dropout={dropout} and "
            "num_layers=1; put an nn.Dropout after the layer instead",
            stacklevel=stacklevel,
        )


def check_options(
    name: str,
    input_size: int,
    hidden_size: int,
    num_layers: int,
    batch_first: bool,
    dropout: float,
    proj_size: int = 0,
) -> None:
    check_dropout(name, "dropout", dropout)
    if not isinstance(batch_first, bool):
        raise TypeError(
            f"{name}: batch_first should be of type bool, got: {type(batch_first).__name__}"
        )
    for what, size in (("input_size", input_size), ("hidden_size", hidden_size)):
        if not isinstance(size, int) or isinstance(size, bool):
            raise TypeError(f"{name}: {what} should be of type int, got: {type(size).__name__}")
    if hidden_size <= 0:
        raise ValueError(f"{name}: hidden_size must be greater than zero")
    if num_layers <= 0:
        raise ValueError(f"{name}: num_layers must be greater than zero")
    if input_size <= 0:
        raise ValueError(f"{name}: input_size must be greater than zero")
    if proj_size < 0:
        raise ValueError(
            f"{name}: proj_size should be a positive integer or zero to disable projections"
        )
    if proj_size >= hidden_size:
        raise ValueError(f"{name}: proj_size has to be smaller than hidden_size")
