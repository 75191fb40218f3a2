"""Layers of a cell of one's own, and two such cells: the LSTM of 1997, and one with layer norm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..ops import create
from ..ops.elementwise import sigmoid, tanh
from ..ops.linalg import linear
from ..ops.shape import chunk
from ..tensor import Tensor
from .module import Module
from .normalization import LayerNorm
from .parameter import Parameter
from .recurrent import Pair, check_options, draw_uniformly, warn_of_idle_dropout
from .scan import layers_and_directions
from .sequence import SequenceLayer, as_parts
from .steps import Steps


class Recurrent(SequenceLayer):
    """Layers of any cell over whole sequences: directions, lengths and dropout as for `nn.LSTM`.

    cell : a class of modules, or a function, called with (input size, H) once for each layer and
        direction. Its modules take (x, state), x (N, I), and give the next state: a Tensor h
        (N, H), or a tuple of Tensors, h first
    state_sizes : the features of each part of the state, h first; those of the cell's attribute
        `state_sizes` if None, which is (H,) where there is none
    the other arguments : as for `nn.LSTM`

    The cells are submodules: `cell_l0`, `cell_l0_reverse`, `cell_l1`, ... Every step is a call of a
    cell, so a picture shows it, and derivatives of every order are those of the cell.

    layer(input, h_0) or layer(input, (h_0, c_0, ...)) -> output, and the last states likewise; the
    shapes, `lengths=` and `return_states=` are those of `LSTM`. The states are called h, c, then by
    their number: state2, ...
    """

    def __init__(
        self,
        cell: Callable[[int, int], Module],
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        state_sizes: tuple[int, ...] | None = None,
        variational: bool = False,
    ) -> None:
        super().__init__()
        check_options(
            type(self).__name__, input_size, hidden_size, num_layers, batch_first, dropout
        )
        warn_of_idle_dropout(dropout, num_layers, 3)
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.variational = variational
        self._cell_names = []
        for layer in range(num_layers):
            below = input_size if layer == 0 else hidden_size * self._directions
            for direction in ("", "_reverse")[: self._directions]:
                name = f"cell_l{layer}{direction}"
                self.add_module(name, cell(below, hidden_size))
                self._cell_names.append(name)
        first = self._cells()[0]
        sizes: Any = state_sizes or getattr(first, "state_sizes", (hidden_size,))
        self._sizes = tuple(sizes)
        if self._sizes[0] != hidden_size:
            raise ValueError(
                f"Recurrent: expected the first part of the state to be h, of hidden_size "
                f"{hidden_size}, got state_sizes {self._sizes}"
            )
        names = ("h", "c")[: len(self._sizes)]
        names += tuple(f"state{k}" for k in range(2, len(self._sizes)))
        self._part_names = names
        self._state_names = tuple(f"{name}_0" for name in names)

    def _cells(self) -> list[Any]:
        return [self._modules[name] for name in self._cell_names]

    @property
    def _state_sizes(self) -> tuple[int, ...]:
        return self._sizes

    def _call(
        self, x: Tensor, initial: tuple[Tensor, ...], steps: Steps | None, keep: bool
    ) -> tuple[Tensor, tuple[Tensor, ...], list[Tensor]]:
        return layers_and_directions(
            _step, x, initial, self._cells(), self._directions, self._mask(x, steps), steps, keep
        )


def _step(x: Any, state: tuple[Any, ...], cell: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """One step of a cell that is a module, as the driver wants it: the state, and no gates."""
    after = cell(x, state[0] if len(state) == 1 else state)
    return (after if isinstance(after, tuple) else (after,)), ()


class LSTM1997Cell(Module):
    """One step of the LSTM as it was first published, without a forget gate.

        i = σ(W_ii x + b_ii + W_hi h + b_hi)      o likewise
        g = 4 σ(W_ig x + ...) - 2,  in [-2, 2]
        c' = c + i g
        h' = o (2 σ(c') - 1),  in [-1, 1] o

    truncated : errors do not flow through h into the gates and g, only along c, as in the paper's
        learning algorithm (its appendix A.1)
    input_size, hidden_size : I and H
    Parameters `weight_ih` (3H, I), `weight_hh` (3H, H), `bias_ih` (3H), rows in the order i g o,
    drawn from U(-1/√H, 1/√H). State (h, c), each (N, H).
    Source: Hochreiter and Schmidhuber 1997, section 4 and appendix; memory blocks of size 1.
    """

    def __init__(self, input_size: int, hidden_size: int, truncated: bool = False) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.truncated = truncated
        self.weight_ih = Parameter(create.empty((3 * hidden_size, input_size)))
        self.weight_hh = Parameter(create.empty((3 * hidden_size, hidden_size)))
        self.bias_ih = Parameter(create.empty((3 * hidden_size,)))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all parameters anew from U(-1/√H, 1/√H)."""
        draw_uniformly(self, self.hidden_size)

    @property
    def state_sizes(self) -> tuple[int, ...]:
        return self.hidden_size, self.hidden_size

    def forward(self, input: Tensor, hx: Pair | None = None) -> Pair:
        """input (N, I) or (I); hx = (h, c), zeros when left out -> (h', c')."""
        h, c = _state_or_zeros("LSTM1997Cell", input, hx, self.hidden_size)
        if self.truncated:
            h = h.detach()
        z = linear(input, self.weight_ih, self.bias_ih) + linear(h, self.weight_hh)
        i, g, o = chunk(z, 3, -1)
        c = c + sigmoid(i) * (4 * sigmoid(g) - 2)
        return sigmoid(o) * (2 * sigmoid(c) - 1), c

    def extra_repr(self) -> str:
        shown = f"{self.input_size}, {self.hidden_size}"
        return shown + ", truncated=True" if self.truncated else shown


class LayerNormLSTMCell(Module):
    """One step of an LSTM whose sums are normalised over the units of all gates.

        i, f, g, o = LN(W_ih x) + LN(W_hh h) + b
        c' = σ(f) c + σ(i) tanh(g)
        h' = σ(o) tanh(LN(c')),       LN(a) = (a - mean) / √(variance + 1e-5) · α + β

    input_size, hidden_size : I and H
    Parameters `weight_ih` (4H, I), `weight_hh` (4H, H), `bias` (4H), rows in the order i f g o,
    drawn from U(-1/√H, 1/√H); `ih.weight`, `hh.weight` (4H) and `c.weight` (H), the α, at 1, and
    `ih.bias`, `hh.bias`, `c.bias`, the β, at 0. State (h, c), each (N, H).
    Source: Ba, Kiros and Hinton 2016, equations 20 to 22 of the supplement.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.weight_ih = Parameter(create.empty((4 * hidden_size, input_size)))
        self.weight_hh = Parameter(create.empty((4 * hidden_size, hidden_size)))
        self.bias = Parameter(create.empty((4 * hidden_size,)))
        draw_uniformly(self, hidden_size)
        self.ih = LayerNorm(4 * hidden_size)
        self.hh = LayerNorm(4 * hidden_size)
        self.c = LayerNorm(hidden_size)

    @property
    def state_sizes(self) -> tuple[int, ...]:
        return self.hidden_size, self.hidden_size

    def forward(self, input: Tensor, hx: Pair | None = None) -> Pair:
        """input (N, I) or (I); hx = (h, c), zeros when left out -> (h', c')."""
        h, c = _state_or_zeros("LayerNormLSTMCell", input, hx, self.hidden_size)
        z = self.ih(linear(input, self.weight_ih)) + self.hh(linear(h, self.weight_hh)) + self.bias
        i, f, g, o = chunk(z, 4, -1)
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        return sigmoid(o) * tanh(self.c(c)), c

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}"


def _state_or_zeros(name: str, input: Tensor, hx: Any, size: int) -> tuple[Any, Any]:
    if hx is not None:
        h, c = as_parts(name, ("h", "c"), hx)
        return h, c
    zeros = input.new_zeros((*input.shape[:-1], size))
    return zeros, zeros
