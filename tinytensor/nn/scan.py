"""Recurrence in primitives: one step, one direction over time, layers x directions.

This is the mathematics of the recurrent layers, an operation a line. It is what `tt.unrolled()`
shows, what second derivatives are taken of, and what every kernel is held to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..autograd.scope import Scope
from ..ops.activations import relu
from ..ops.elementwise import sigmoid, tanh
from ..ops.linalg import linear
from ..ops.shape import cat, chunk, split, stack, unbind
from .steps import Steps

State = tuple[Any, ...]
Weights = Any
Cell = Callable[[Any, State, Weights], tuple[State, State]]  # -> the next state, the gates


# -- one step --------------------------------------------------------------------------------------


def rnn_tanh_cell(x: Any, state: State, weights: Weights) -> tuple[State, State]:
    """One step of the simple RNN (Elman 1990): h' = tanh(W_ih x + b_ih + W_hh h + b_hh).

    x (N, I); state = h (N, H); weights = W_ih (H, I), W_hh (H, H), the biases (H), each or None,
    and factors (N, H) on h where W_hh reads it (recurrent dropout), or None. Returns (h',) and no
    gates.
    """
    return (tanh(_sum(x, state[0], *weights)),), ()


def rnn_relu_cell(x: Any, state: State, weights: Weights) -> tuple[State, State]:
    """The same with max(0, ·) in place of tanh (Le et al. 2015)."""
    return (relu(_sum(x, state[0], *weights)),), ()


def gru_cell(x: Any, state: State, weights: Weights) -> tuple[State, State]:
    """One step of the GRU (Cho et al. 2014), the reset gate after the product with W_hn, as torch.

        r = σ(W_ir x + b_ir + W_hr h + b_hr)      z likewise
        n = tanh(W_in x + b_in + r (W_hn h + b_hn))
        h' = n + z (h - n)

    x (N, I); state = h (N, H); weights = W_ih (3H, I), W_hh (3H, H), the biases (3H) or None, rows
    in the order r z n, and factors (N, H) or None as above. Returns (h',) and the gates r, z, n.
    """
    (h,) = state
    w_ih, w_hh, b_ih, b_hh, factors = weights
    x_r, x_z, x_n = chunk(_affine(x, w_ih, b_ih), 3, -1)
    h_r, h_z, h_n = chunk(_affine(_dropped(h, factors), w_hh, b_hh), 3, -1)
    r = sigmoid(x_r + h_r)
    z = sigmoid(x_z + h_z)
    n = tanh(x_n + r * h_n)
    return (n + z * (h - n),), (r, z, n)


def lstm_cell(x: Any, state: State, weights: Weights) -> tuple[State, State]:
    """One step of the LSTM (Hochreiter and Schmidhuber 1997; forget gate: Gers et al. 2000).

        i = σ(z_i)   f = σ(z_f)   g = tanh(z_g)   o = σ(z_o)      z = W_ih x + b_ih + W_hh h + b_hh
        c' = f c + i g
        h' = o tanh(c'),    or W_hr of that where there is a projection (Sak et al. 2014)

    x (N, I); state = h (N, P), c (N, H), P = H without a projection; weights = W_ih (4H, I), W_hh
    (4H, P), both biases (4H), each or None, rows in the order i f g o, W_hr (P, H) or None, and
    factors (N, P) or None as above. Returns (h', c') and the gates i, f, g, o.
    """
    h, c = state
    w_ih, w_hh, b_ih, b_hh, w_hr, factors = weights
    i, f, g, o = chunk(_sum(x, h, w_ih, w_hh, b_ih, b_hh, factors), 4, -1)
    i, f, g, o = sigmoid(i), sigmoid(f), tanh(g), sigmoid(o)
    c = f * c + i * g
    h = o * tanh(c)
    if w_hr is not None:
        h = linear(h, w_hr)
    return (h, c), (i, f, g, o)


def _sum(x: Any, h: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, factors: Any) -> Any:
    """z = W_ih x + b_ih + W_hh h + b_hh for a batch of rows: (N, I), (N, H) -> (N, gates · H)."""
    return _affine(x, w_ih, b_ih) + _affine(_dropped(h, factors), w_hh, b_hh)


def _dropped(h: Any, factors: Any) -> Any:
    """h times the factors of the sequences that have this step, the first ones."""
    return h if factors is None else h * factors[: len(h)]


def _affine(x: Any, w: Any, b: Any) -> Any:
    return linear(x, w) if b is None else linear(x, w, b)


# -- one direction over time -----------------------------------------------------------------------


def scan(
    cell: Cell, inputs: Sequence[Any], state: State, weights: Weights, reverse: bool
) -> tuple[list[tuple[State, State]], State]:
    """A cell over time, in either direction: (state and gates of each step, the last state).

    inputs : one Tensor (sequences, I) a step, in order of time, never rising in size; see `Steps`
    state : Tensors (N, H); of a sequence without steps they are the last state too
    What a step gives stands at the time of its input in both directions, so the last state of a
    reverse scan belongs to step 0.
    """
    found: list[Any] = [None] * len(inputs)
    first = state
    ended: list[State] = []  # the last states of sequences that have no more steps
    order = range(len(inputs))
    for t in reversed(order) if reverse else order:
        with Scope("step", t):
            before, count = len(state[0]), len(inputs[t])
            if count < before:
                if not reverse:
                    ended.insert(0, tuple(part[count:] for part in state))
                state = tuple(part[:count] for part in state)
            elif count > before:
                begun = [part[before:count] for part in first]
                state = tuple(map(_below, state, begun))
            found[t] = cell(inputs[t], state, weights)
            state = found[t][0]
    if len(state[0]) < len(first[0]) and reverse:
        ended = [tuple(part[len(state[0]) :] for part in first)]
    for rest in ended:
        state = tuple(map(_below, state, rest))
    return found, state


def _below(above: Any, below: Any) -> Any:
    return cat((above, below))


# -- layers x directions ---------------------------------------------------------------------------


def layers_and_directions(
    cell: Cell,
    x: Any,
    states: State,
    weights: Sequence[Weights],
    directions: int,
    mask: Any = None,
    steps: Steps | None = None,
    keep: bool = False,
    note: Any = None,
) -> tuple[Any, State, list[Any]]:
    """The one driver of all recurrent layers: directions side by side, layers in a chain.

    x : Tensor (T, N, I), or (rows, I) with `steps`
    states : Tensors (layers · directions, N, H), one for each part of the cell's state
    weights : those of each scan: layer 0 forward, layer 0 reverse, layer 1 forward, ...
    mask : Tensor (layers - 1, T, N, features), or (layers - 1, rows, features), or None: factors on
        the outputs of all layers but the last (dropout)
    keep : whether the states and gates of all steps are wanted
    note : None, or what a record has it write on
    Returns the outputs of the last layer, (T, N, directions · H) or (rows, directions · H), reverse
    after forward along the last dimension; the last states, shaped as `states`; and, to `keep`, for
    each scan the parts of the state and the gates of all steps, shaped as its part of the outputs.
    """
    finals: list[list[Any]] = [[] for _ in states]
    kept: list[Any] = []
    layers = len(weights) // directions
    joined = stack if steps is None else cat
    # Without any step, one of no sequences: its outputs are no rows, but rows in the graph.
    sizes = [] if steps is None else list(steps.sizes) or [0]
    for layer in range(layers):
        with Scope("layer", layer):
            outputs = []
            for direction in range(directions):
                number = layer * directions + direction
                with Scope("direction", "reverse" if direction else "forward"):
                    start = tuple(part[number] for part in states)
                    inputs = unbind(x) if steps is None else split(x, sizes)
                    found, last = scan(cell, inputs, start, weights[number], direction == 1)
                    outputs.append(joined([state[0] for state, _ in found]))
                if note is not None:
                    note.unrolled(steps, x, start, weights[number], found, outputs[-1])
                if keep:
                    each_step = ((*state, *gates) for state, gates in found)
                    parts = [joined(part) for part in zip(*each_step, strict=True)]
                    kept += parts
                    if note is not None:
                        note.unrolled_kept(number, parts)
                for collected, part in zip(finals, last, strict=True):
                    collected.append(part)
            x = outputs[0] if directions == 1 else cat(outputs, -1)
            if mask is not None and layer < layers - 1:
                x = x * mask[layer]
    last_states = tuple(stack(collected) for collected in finals)
    if note is not None:
        note.unrolled_last(last_states)
    return x, last_states, kept
