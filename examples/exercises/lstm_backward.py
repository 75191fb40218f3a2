"""Write the LSTM's backward pass, and be told what goes wrong first.

Replace each `0` behind a number by its formula, one after the other, and run the file in between:

    python examples/exercises/lstm_backward.py

It compares with the pass in `tinytensor/bptt/by_hand.py` (which is where to look when all else
fails) and names the value, the step and the gate that differ first, in the order of the numbers.
"""

from typing import Any

import numpy as np

from tinytensor import bptt


def before(states: Any, first: Any) -> Any:
    """The state that each step starts from: before(saved.c, saved.c0)[t] is c_{t-1}."""
    return np.concatenate((first[None], states[:-1]))


def my_backward(
    saved: Any, w_ih: Any, w_hh: Any, dy: Any, dh_last: Any, dc_last: Any
) -> dict[str, Any]:
    """The gradient of every value, from dy at the outputs and dh_last, dc_last at the last state.

    The forward pass was, for t = 0 ... T - 1, with `*` element by element,

        z_t = W_ih x_t + W_hh h_{t-1} + b           rows of W: those for i, then f, g, o
        i_t = σ(z_i)   f_t = σ(z_f)   g_t = tanh(z_g)   o_t = σ(z_o)
        c_t = f_t * c_{t-1} + i_t * g_t
        h_t = o_t * tanh(c_t)

    and saved has of it x (T, N, I); h0, c0 (N, H); i, f, g, o, c, h (T, N, H). w_ih is (4H, I),
    w_hh (4H, H), dy (T, N, H). What is named dv has the shape of v.
    """
    T, N, H = saved.h.shape
    dh, dc, di, df, dg, do = np.zeros((6, T, N, H))
    dz = np.zeros((T, N, 4 * H))

    dh_later, dc_later = dh_last, dc_last  # what the step after this one has handed back
    for t in reversed(range(T)):
        dh[t] = 0  # 1: h_t is output t, and step t + 1 reads it too; use dy[t], dh_later
        do[t] = 0  # 2: o_t is in h_t
        dc[t] = 0  # 3: c_t is in h_t, and step t + 1 reads it too
        di[t] = 0  # 4: i_t is in c_t
        df[t] = 0  # 5: and so is f_t (before(...) is for this, and for 15)
        dg[t] = 0  # 6: and so is g_t
        dz_i = 0 * di[t]  # 7: the slope of σ, from i_t alone
        dz_f = 0 * df[t]  # 8
        dz_g = 0 * dg[t]  # 9: the slope of tanh, from g_t alone
        dz_o = 0 * do[t]  # 10
        dz[t] = np.concatenate((dz_i, dz_f, dz_g, dz_o), axis=1)
        dh_later = 0 * dh[t]  # 11: h_{t-1} is in z_t
        dc_later = 0 * dc[t]  # 12: c_{t-1} is in c_t

    dw_ih, dw_hh, db = np.zeros_like(w_ih), np.zeros_like(w_hh), np.zeros(4 * H)
    dx = np.zeros_like(saved.x)
    for t in range(T):
        dx[t] = 0  # 13: x_t is in z_t
        dw_ih += 0  # 14: the same weights are in every z_t
        dw_hh += 0  # 15
        db += 0  # 16
    return {
        **{"dh": dh, "do": do, "dc": dc, "di": di, "df": df, "dg": dg, "dz": dz},
        **{"dh0": dh_later, "dc0": dc_later, "dx": dx, "dw_ih": dw_ih, "dw_hh": dw_hh, "db": db},
    }


if __name__ == "__main__":
    print(bptt.compare(my_backward))
