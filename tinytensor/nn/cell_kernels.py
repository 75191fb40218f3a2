"""One step of an LSTM, a GRU or a simple RNN as one hand-written node, for loops of one's own.

A step of a small network is quick and its Python calls are not, so few calls on whole blocks of
memory are what counts. The sums, (N, gates · H), are taken apart into one block (N, H) a gate, and
δz is put together again for the products. The sigmoid is σ(z) = (1 + tanh(z / 2)) / 2, so that one
tanh serves all four gates of the LSTM.

With δ before a value for the gradient of the loss by it:

LSTM, from z = W_ih x + b_ih + W_hh h + b_hh:

    i, f, o = σ(z)    g = tanh(z)    c' = f c + i g    h' = o tanh(c')

    δc' = what arrives there + δh' o (1 - tanh² c')        δc = δc' f
    δz_i = δc' g i (1 - i)        δz_f = δc' c f (1 - f)
    δz_g = δc' i (1 - g²)         δz_o = δh' tanh(c') o (1 - o)

GRU, from a = W_ih x + b_ih and u = W_hh h + b_hh, where u_n is called q:

    r, z = σ(a + u)    n = tanh(a_n + r q)    h' = n + z (h - n)

    δa_n = δh' (1 - z) (1 - n²)    δa_z = δh' (h - n) z (1 - z)    δa_r = δa_n q r (1 - r)
    δu = δa_r, δa_z, δa_n r        δh = δh' z + W_hhᵀ δu

RNN, from z as above:

    h' = φ(z)    δz = δh' φ'    φ' = 1 - h'²  for tanh,  1 where h' > 0, else 0,  for max(0, ·)

The weights get the sum over the batch of outer products, δW_ih = δzᵀ x and δW_hh = δzᵀ h (of δa and
δu in a GRU). That over the steps is made by the backward pass.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..autograd.kernel import Kernel
from ..autograd.node import Node, Output
from ..autograd.refusals import check_changed
from ..dtypes import Array
from ..tensor import Tensor
from . import scan
from .steps import bias_of

Needs = tuple[bool, ...]
Gradients = list[Array | None]


# -- what a step keeps


class _Versions(tuple[Any, ...]):
    """The versions of the inputs that the backward reads; `all` has those of every input.

    note : None, or what a record has the backward pass write on, and which of its steps this is
    """

    all: tuple[Any, ...]
    note: tuple[Any, int] | None = None


class StepKernel(Kernel):
    """A kernel called with x, the parts of the state, W_ih, W_hh and the two biases, no more.

    Unlike others it lets an input change that the gradients asked for do not read, as torch does:
    W_hh is read for the gradient of h alone, which a first state does not want.
    """

    def __call__(self, *inputs: Tensor | None, **static: Any) -> tuple[Tensor, ...]:
        results = super().__call__(*inputs, **static)
        edge = results[0]._node
        if type(edge) is Output and edge.node.op is self:  # recorded, and not unrolled
            node = edge.node
            versions = node.kept
            pick = _those_read(tuple([edge is not None for edge in node.edges]))
            kept = _Versions(pick((*versions, None)))
            kept.all = versions
            node.kept = kept
        return results

    def differentiate(
        self, node: Node, edges: tuple[Any, ...], g: tuple[Any, ...], create_graph: bool
    ) -> Any:
        arrays, saved, _ = node.saved
        kept: Any = node.kept
        if not create_graph:
            found = self.backward(g, saved, arrays, tuple([edge is not None for edge in edges]))
            if kept.note is not None:
                note, step = kept.note
                note.passed(step, g, found)
            return found
        node.kept = kept.all  # the reference reads every input
        try:
            check_changed(node, create_graph)
        finally:
            node.kept = kept
        if kept.note is not None:  # the reference is differentiated; this is for the note alone
            note, step = kept.note
            plain = [None if one is None else one._array for one in g]
            needs = tuple([edge is not None for edge in node.edges])
            note.passed(step, plain, self.backward(plain, saved, arrays, needs))
            note.close(step)
        return self._differentiate_reference(node, edges, g, {})


@functools.cache
def _those_read(needs: Needs) -> Callable[[Any], Any]:
    """Takes, of the inputs' versions and a None, those of what the backward reads, None elsewhere.

    Of a product's two factors, the one is read for the gradient of the other.
    """
    state = (True,) * (len(needs) - 6)
    read = (needs[-4], needs[-3], *state, needs[0], needs[1], False, False)
    return operator.itemgetter(*(place if one else -1 for place, one in enumerate(read)))


def _step_kernel(
    *, backward: Callable[..., Any], cell: scan.Cell, absent: int, outputs: tuple[str, ...]
) -> Callable[[Callable[..., Any]], StepKernel]:
    """Declare the kernel of a step; the function below the decorator is its forward.

    cell : the same step in primitives; of the weights that it takes so many are `absent` here
    """
    parts = len(outputs)

    def reference(x: Any, *rest: Any) -> tuple[Any, ...]:
        state, _ = cell(x, rest[:parts], (*rest[parts:], *(None,) * absent))
        return state

    def declare(forward: Callable[..., Any]) -> StepKernel:
        made = StepKernel(forward, backward, reference, outputs)
        functools.update_wrapper(made, forward)
        return made

    return declare


# -- sums


def _affine(x: Array, w: Array, b: Array | None) -> Array:
    """y = W x + b."""
    y = x.dot(w.T)
    if b is not None:
        y += b
    return y


def _affine_backward(dy: Array, x: Array, w: Array, needs: Needs) -> Gradients:
    """δx, δW and δb, each if needed."""
    to_x, to_w, to_b = needs
    return [
        dy.dot(w) if to_x else None,
        dy.T.dot(x) if to_w else None,
        np.add.reduce(dy) if to_b else None,
    ]


def _sum(x: Array, h: Array, w_ih: Array, w_hh: Array, b_ih: Any, b_hh: Any) -> Array:
    """z = W_ih x + b_ih + W_hh h + b_hh, (N, gates · H)."""
    z = x.dot(w_ih.T)
    z += _affine(h, w_hh, bias_of(b_ih, b_hh))
    return z


def _sum_backward(dz: Array, arrays: Any, needs: Needs) -> Gradients:
    """δx and δh; then δW_ih, δW_hh and, for either bias, δb."""
    x, h, *_ = arrays
    to_w_ih, to_w_hh, to_b_ih, to_b_hh = needs[-4:]
    dx, dw_ih, _ = _affine_backward(dz, x, arrays[-4], (needs[0], to_w_ih, False))
    to_b = to_b_ih or to_b_hh
    dh, dw_hh, db = _affine_backward(dz, h, arrays[-3], (needs[1], to_w_hh, to_b))
    return [dx, dh, dw_ih, dw_hh, db, db]


def _by_gate(rows: Array, gates: int) -> Array:
    """(N, gates · H) seen as (gates, N, H)."""
    return rows.reshape(len(rows), gates, rows.shape[1] // gates).swapaxes(0, 1)


def _side_by_side(blocks: Array) -> Array:
    """(gates, N, H) as (N, gates · H)."""
    gates, batch, size = blocks.shape
    return blocks.swapaxes(0, 1).reshape(batch, gates * size)


# -- LSTM


class _LSTMSaved(NamedTuple):
    """gates : (4, N, H), the activated i, f, g, o; tanh_c : (N, H)."""

    gates: Array
    tanh_c: Array


@functools.lru_cache(maxsize=8)
def _from_tanh(batch: int, size: int, kind: np.dtype[Any]) -> tuple[Array, Array]:
    """What the gates i, f, g, o are multiplied with, before tanh and after; what is added then.

    In full, as to broadcast takes NumPy longer than to multiply.
    """
    scale = np.full((4, batch, size), 0.5, kind)
    scale[2] = 1
    return scale, 1 - scale


def _lstm_backward(gradients: Any, saved: Any, arrays: Any, needs: Needs) -> Gradients:
    dh, dc = gradients
    gates, tanh_c = saved
    i, f, g, o = gates
    slopes = gates * gates
    np.subtract(gates, slopes, out=slopes)  # s (1 - s) for the sigmoids
    dz_i, dz_f, dz_g, dz_o = slopes
    dz_i *= g
    dz_f *= arrays[2]
    np.multiply(g, g, out=dz_g)
    np.subtract(1, dz_g, out=dz_g)
    dz_g *= i
    if dh is None:
        dz_o.fill(0)
    else:
        dz_o *= tanh_c
        dz_o *= dh
        through_h = tanh_c * tanh_c
        np.subtract(1, through_h, out=through_h)
        through_h *= o
        through_h *= dh
        if dc is not None:
            through_h += dc
        dc = through_h
    dz_i *= dc
    dz_f *= dc
    dz_g *= dc
    dx, dh, *weights = _sum_backward(_side_by_side(slopes), arrays, needs)
    return [dx, dh, dc * f if needs[2] else None, *weights]


@_step_kernel(backward=_lstm_backward, cell=scan.lstm_cell, absent=2, outputs=("h", "c"))
def lstm_cell(
    x: Array, h: Array, c: Array, w_ih: Array, w_hh: Array, b_ih: Any, b_hh: Any
) -> tuple[tuple[Array, Array], _LSTMSaved]:
    """x (N, I), h and c (N, H), the weights and biases of `nn.LSTMCell` -> h', c'."""
    scale, shift = _from_tanh(*c.shape, c.dtype)
    z = _by_gate(_sum(x, h, w_ih, w_hh, b_ih, b_hh), 4)
    gates = np.multiply(z, scale, order="C")
    np.tanh(gates, out=gates)
    gates *= scale
    gates += shift
    i, f, g, o = gates
    c = f * c
    c += i * g
    tanh_c = np.tanh(c)
    return (o * tanh_c, c), _LSTMSaved(gates, tanh_c)


# -- GRU


class _GRUSaved(NamedTuple):
    """gates : (3, N, H), the activated r, z, n; q : (N, H), what r is multiplied with; h - n."""

    gates: Array
    q: Array
    h_less_n: Array


def _gru_backward(gradients: Any, saved: Any, arrays: Any, needs: Needs) -> Gradients:
    (dh,) = gradients
    gates, q, h_less_n = saved
    r, z, _ = gates
    slopes = gates * gates
    np.subtract(gates[:2], slopes[:2], out=slopes[:2])  # s (1 - s) for the sigmoids
    da_r, da_z, da_n = slopes
    np.subtract(1, da_n, out=da_n)
    da_n *= 1 - z
    da_z *= h_less_n
    slopes[1:] *= dh
    da_r *= q
    da_r *= da_n
    da = _side_by_side(slopes)
    du = da.copy()
    _by_gate(du, 3)[2] *= r
    x, h, w_ih, w_hh, _, _ = arrays
    dx, dw_ih, db_ih = _affine_backward(da, x, w_ih, needs[::2])
    from_u, dw_hh, db_hh = _affine_backward(du, h, w_hh, needs[1::2])
    if from_u is not None:
        from_u += dh * z
    return [dx, from_u, dw_ih, dw_hh, db_ih, db_hh]


@_step_kernel(backward=_gru_backward, cell=scan.gru_cell, absent=1, outputs=("h",))
def gru_cell(
    x: Array, h: Array, w_ih: Array, w_hh: Array, b_ih: Any, b_hh: Any
) -> tuple[tuple[Array], _GRUSaved]:
    """x (N, I), h (N, H), the weights and biases of `nn.GRUCell` -> h'."""
    a = _by_gate(_affine(x, w_ih, b_ih), 3)
    u = _by_gate(_affine(h, w_hh, b_hh), 3)
    gates = np.empty(a.shape, a.dtype)
    r_z, n = gates[:2], gates[2]
    np.add(a[:2], u[:2], out=r_z)
    r_z *= 0.5
    np.tanh(r_z, out=r_z)
    r_z *= 0.5
    r_z += 0.5
    r, z = r_z
    q = u[2].copy()
    np.multiply(r, q, out=n)
    n += a[2]
    np.tanh(n, out=n)
    h_less_n = h - n
    h_new = z * h_less_n
    h_new += n
    return (h_new,), _GRUSaved(gates, q, h_less_n)


# -- simple RNN


def _rnn_backward(gradients: Any, saved: Any, arrays: Any, needs: Needs) -> Gradients:
    return _sum_backward(gradients[0] * saved, arrays, needs)


@_step_kernel(backward=_rnn_backward, cell=scan.rnn_tanh_cell, absent=1, outputs=("h",))
def rnn_tanh_cell(
    x: Array, h: Array, w_ih: Array, w_hh: Array, b_ih: Any, b_hh: Any
) -> tuple[tuple[Array], Array]:
    """x (N, I), h (N, H), the weights and biases of `nn.RNNCell` -> h'. Saves φ'."""
    h = _sum(x, h, w_ih, w_hh, b_ih, b_hh)
    np.tanh(h, out=h)
    slope = h * h
    return (h,), np.subtract(1, slope, out=slope)


@_step_kernel(backward=_rnn_backward, cell=scan.rnn_relu_cell, absent=1, outputs=("h",))
def rnn_relu_cell(
    x: Array, h: Array, w_ih: Array, w_hh: Array, b_ih: Any, b_hh: Any
) -> tuple[tuple[Array], Array]:
    """The same with max(0, ·) in place of tanh."""
    h = _sum(x, h, w_ih, w_hh, b_ih, b_hh)
    np.maximum(h, 0, out=h)
    return (h,), h > 0
