"""The LSTM and its backward pass by hand: plain NumPy, a formula a line, to be read.

One layer in one direction. Time runs along the first axis, the rows of the weights stand gate by
gate in torch's order i f g o, and `*` in a formula goes element by element. Forward, at each step,

    z_t = W_ih x_t + W_hh h_{t-1} + b                     one block of rows for each gate
    i_t = σ(z_i)   f_t = σ(z_f)   g_t = tanh(z_g)   o_t = σ(z_o)
    c_t = f_t * c_{t-1} + i_t * g_t
    h_t = o_t * tanh(c_t)

Backward, d stands before a value for the gradient of the loss L with respect to it: along every
path, so dh_t = dL/dh_t holds all that h_t does to the loss, now and at every later step. A value
that is used in two places gets the sum of two gradients, and in an LSTM that is h_t, which the loss
and the next step read, and c_t, which h_t and c_{t+1} are made of:

    dh_t = dy_t + W_hhᵀ dz_{t+1}
    dc_t = dh_t * o_t * (1 - tanh² c_t) + dc_{t+1} * f_{t+1}

A gate has one use, and its gradient one term; a weight is used at every step, and its gradient is
a sum over them. `backward` has all the formulas.

The cell is that of Gers, Schmidhuber & Cummins (2000), "Learning to forget: continual prediction
with LSTM", Neural Computation 12(10), without peepholes: Hochreiter & Schmidhuber (1997) with a
forget gate. There the gradient was cut off at the gates; the whole of it is from Graves &
Schmidhuber (2005), Neural Networks 18(5-6). Greff et al. (2017), "LSTM: a search space odyssey",
IEEE TNNLS 28(10), section II, has forward and backward pass in one page: z there is g here, R is
W_hh, y is h, and a bar marks what stands here in dz.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..dtypes import Array


class Forward(NamedTuple):
    """What the forward pass leaves for the backward pass.

    x : (T, N, I);  h0, c0 : (N, H), the state before the first step
    i, f, g, o : (T, N, H), the gates;  c, h : (T, N, H), the state after each step
    """

    x: Array
    h0: Array
    c0: Array
    i: Array
    f: Array
    g: Array
    o: Array
    c: Array
    h: Array


class Backward(NamedTuple):
    """The gradient of the loss with respect to every value of the forward pass.

    dh, dc, di, df, dg, do : (T, N, H);  dz : (T, N, 4H), in the order i f g o
    dh0, dc0 : (N, H);  dx : (T, N, I)
    dw_ih : (4H, I);  dw_hh : (4H, H);  db : (4H), the gradient of b_ih and of b_hh alike
    """

    dh: Array
    dc: Array
    di: Array
    df: Array
    dg: Array
    do: Array
    dz: Array
    dh0: Array
    dc0: Array
    dx: Array
    dw_ih: Array
    dw_hh: Array
    db: Array


def forward(x: Array, h0: Array, c0: Array, w_ih: Array, w_hh: Array, b: Array) -> Forward:
    """Run the LSTM over x: every gate and state of every step.

    x : (T, N, I);  h0, c0 : (N, H);  w_ih : (4H, I);  w_hh : (4H, H);  b : (4H), b_ih + b_hh

    >>> import numpy as np
    >>> x, h0, c0 = np.array([[[0.7050]], [[0.9573]]]), np.zeros((1, 1)), np.zeros((1, 1))
    >>> saved = forward(x, h0, c0, np.ones((4, 1)), np.ones((4, 1)), 2 * np.ones(4))
    >>> saved.h.ravel().round(4)
    array([0.6844, 0.93  ])
    """
    T, N, H = len(x), *h0.shape
    i, f, g, o, c, h = (np.empty((T, N, H), x.dtype) for _ in range(6))
    h_before, c_before = h0, c0
    for t in range(T):
        z = x[t] @ w_ih.T + h_before @ w_hh.T + b  # z_t = W_ih x_t + W_hh h_{t-1} + b
        z_i, z_f, z_g, z_o = np.split(z, 4, axis=1)
        i[t] = _sigmoid(z_i)
        f[t] = _sigmoid(z_f)
        g[t] = np.tanh(z_g)
        o[t] = _sigmoid(z_o)
        c[t] = f[t] * c_before + i[t] * g[t]  #    c_t = f_t * c_{t-1} + i_t * g_t
        h[t] = o[t] * np.tanh(c[t])  #             h_t = o_t * tanh(c_t)
        h_before, c_before = h[t], c[t]
    return Forward(x, h0, c0, i, f, g, o, c, h)


def backward(
    saved: Forward, w_ih: Array, w_hh: Array, dy: Array, dh_last: Array, dc_last: Array
) -> Backward:
    """Walk back through time: the gradient of every value, from the gradients of the results.

    saved : what `forward` has returned
    dy : (T, N, H), the gradient that enters at each output h_t from what reads it: a layer above,
        or the loss
    dh_last, dc_last : (N, H), the gradients that enter at the last h and c, as a final state; zeros
        where nothing reads it

    >>> import numpy as np
    >>> x, zero, w = np.array([[[0.7050]], [[0.9573]]]), np.zeros((1, 1)), np.ones((4, 1))
    >>> saved = forward(x, zero, zero, w, w, 2 * np.ones(4))
    >>> dy = np.array([[[0.0]], [[1.0]]])  # the loss is the last output
    >>> backward(saved, w, w, dy, zero, zero).dh.ravel().round(4)
    array([0.0282, 1.    ])
    """
    x, h0, c0, i, f, g, o, c, h = saved
    T, N, H = h.shape
    dh, dc, di, df, dg, do = (np.empty((T, N, H), x.dtype) for _ in range(6))
    dz = np.empty((T, N, 4 * H), x.dtype)
    h_before = np.concatenate((h0[None], h[:-1]))  # h_{t-1} for every t
    c_before = np.concatenate((c0[None], c[:-1]))  # c_{t-1}

    # What step t + 1 hands to step t: W_hhᵀ dz_{t+1} for h_t, and dc_{t+1} * f_{t+1} for c_t. The
    # last step gets from outside what no later step is there to give.
    dh_later, dc_later = dh_last, dc_last
    for t in reversed(range(T)):
        # h_t is output t, and every gate of step t + 1 reads it.
        dh[t] = dy[t] + dh_later

        # h_t = o_t * tanh(c_t), and tanh' = 1 - tanh²
        do[t] = dh[t] * np.tanh(c[t])
        dc[t] = dh[t] * o[t] * (1 - np.tanh(c[t]) ** 2) + dc_later

        # c_t = f_t * c_{t-1} + i_t * g_t
        di[t] = dc[t] * g[t]
        df[t] = dc[t] * c_before[t]
        dg[t] = dc[t] * i[t]

        # i_t = σ(z_i), and so on; σ' = σ (1 - σ)
        dz_i = di[t] * i[t] * (1 - i[t])
        dz_f = df[t] * f[t] * (1 - f[t])
        dz_g = dg[t] * (1 - g[t] ** 2)
        dz_o = do[t] * o[t] * (1 - o[t])
        dz[t] = np.concatenate((dz_i, dz_f, dz_g, dz_o), axis=1)

        # z_t = W_ih x_t + W_hh h_{t-1} + b, and c_{t-1} was multiplied by f_t. A row of dz is one
        # sequence, so W_hhᵀ dz is dz @ W_hh here.
        dh_later = dz[t] @ w_hh
        dc_later = dc[t] * f[t]

    # The weights are the same at every step: their gradient is the sum of what each step gives.
    dw_ih, dw_hh, db = np.zeros_like(w_ih), np.zeros_like(w_hh), np.zeros_like(w_hh[:, 0])
    for t in range(T):
        dw_ih += dz[t].T @ x[t]  #         dW_ih = Σ_t dz_t x_tᵀ      (@ sums over the batch)
        dw_hh += dz[t].T @ h_before[t]  #  dW_hh = Σ_t dz_t h_{t-1}ᵀ
        db += dz[t].sum(axis=0)  #         db    = Σ_t dz_t
    dx = dz @ w_ih  #                      dx_t  = W_ihᵀ dz_t

    # What is handed on by the first step is the gradient of the state before it.
    return Backward(dh, dc, di, df, dg, do, dz, dh_later, dc_later, dx, dw_ih, dw_hh, db)


def _sigmoid(z: Array) -> Array:
    """σ(z) = 1 / (1 + e^-z), as (1 + tanh(z / 2)) / 2, which no z overflows."""
    return (1 + np.tanh(z / 2)) / 2
