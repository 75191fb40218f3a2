"""What the lines of the kernels say, done step by step in NumPy.

A function gets the arrays of a call with one layer, one direction and one batch, and the gradients
that arrive; it gives the gradients of the inputs by name. The comment beside a statement is the
line that it reads.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

Arrays = dict[str, Any]


def σ(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def lstm(v: Arrays) -> Arrays:
    """x (T, N, I), h_0, c_0 (N, H); dy (T, N, H), dh_T, dc_T."""
    steps = len(v["x"])
    h, c, gates = [v["h_0"]], [v["c_0"]], []
    for x_t in v["x"]:
        z = x_t @ v["W_ih"].T + h[-1] @ v["W_hh"].T + v["b_ih"] + v["b_hh"]
        i, f, g, o = np.split(z, 4, 1)
        i, f, g, o = σ(i), σ(f), np.tanh(g), σ(o)
        c.append(f * c[-1] + i * g)
        h.append(o * np.tanh(c[-1]))
        gates.append((i, f, g, o))
    found = {"x": np.zeros_like(v["x"]), "W_ih": 0, "W_hh": 0}
    from_dz, from_dc = v["dh_T"], v["dc_T"]
    for t in reversed(range(steps)):
        i, f, g, o = gates[t]
        dh = v["dy"][t] + from_dz  # dh_t = dy_t + W_hhᵀ dz_(t+1)
        # dc_t = dh_t · o_t · (1 - tanh²(c_t)) + dc_(t+1) · f_(t+1)
        # dc_t = dh_t · o_t · (1 - tanh²(c_t)) + what arrives at c_t
        dc = dh * o * (1 - np.tanh(c[t + 1]) ** 2) + from_dc
        dz_i = dc * g * i * (1 - i)  # dz_i = dc_t · g_t · i_t · (1 - i_t)
        dz_f = dc * c[t] * f * (1 - f)  # dz_f = dc_t · c_(t-1) · f_t · (1 - f_t)
        dz_g = dc * i * (1 - g**2)  # dz_g = dc_t · i_t · (1 - g_t²)
        # dz_o = dh_t · tanh(c_t) · o_t · (1 - o_t)
        dz_o = dh * np.tanh(c[t + 1]) * o * (1 - o)
        dz = np.concatenate([dz_i, dz_f, dz_g, dz_o], 1)
        found["x"][t] = dz @ v["W_ih"]  # dx_t = W_ihᵀ dz_t
        # dW_ih = Σ_t dz_t x_tᵀ, dW_hh = Σ_t dz_t h_(t-1)ᵀ
        found["W_ih"] = found["W_ih"] + dz.T @ v["x"][t]
        # dW_ih = dz_t x_tᵀ, dW_hh = dz_t h_(t-1)ᵀ
        found["W_hh"] = found["W_hh"] + dz.T @ h[t]
        # dc_(t-1) = dc_t · f_t, dh_(t-1) = W_hhᵀ dz_t
        from_dz, from_dc = dz @ v["W_hh"], dc * f
    return {**found, "h_0": from_dz, "c_0": from_dc}


def gru(v: Arrays) -> Arrays:
    """x (T, N, I), h_0 (N, H); dy (T, N, H), dh_T."""
    h, gates = [v["h_0"]], []
    for x_t in v["x"]:
        a_r, a_z, a_n = np.split(x_t @ v["W_ih"].T + v["b_ih"], 3, 1)
        u_r, u_z, u_n = np.split(h[-1] @ v["W_hh"].T + v["b_hh"], 3, 1)
        r, z = σ(a_r + u_r), σ(a_z + u_z)
        n = np.tanh(a_n + r * u_n)
        gates.append((r, z, n, u_n))
        h.append((1 - z) * n + z * h[-1])
    found = {"x": np.zeros_like(v["x"]), "W_ih": 0, "W_hh": 0}
    later = v["dh_T"]
    for t in reversed(range(len(v["x"]))):
        r, z, n, q = gates[t]
        dh = v["dy"][t] + later  # dh_t = dy_t + dh_(t+1) · z_(t+1) + W_hhᵀ du_(t+1)
        da_n = dh * (1 - z) * (1 - n**2)  # da_n = dh_t · (1 - z_t) · (1 - n_t²)
        da_z = dh * (h[t] - n) * z * (1 - z)  # da_z = dh_t · (h_(t-1) - n_t) · z_t · (1 - z_t)
        da_r = da_n * q * r * (1 - r)  # da_r = da_n · (W_hn h_(t-1) + b_hn) · r_t · (1 - r_t)
        da = np.concatenate([da_r, da_z, da_n], 1)
        du = np.concatenate(
            [da_r, da_z, da_n * r], 1
        )  # du_r = da_r, du_z = da_z, du_n = da_n · r_t
        found["x"][t] = da @ v["W_ih"]  # dx_t = W_ihᵀ da_t
        # dW_ih = Σ_t da_t x_tᵀ, dW_hh = Σ_t du_t h_(t-1)ᵀ
        found["W_ih"] = found["W_ih"] + da.T @ v["x"][t]
        # dW_ih = da_t x_tᵀ, dW_hh = du_t h_(t-1)ᵀ
        found["W_hh"] = found["W_hh"] + du.T @ h[t]
        # dh_(t-1) = dh_t · z_t + W_hhᵀ du_t, dx_t = W_ihᵀ da_t
        later = dh * z + du @ v["W_hh"]
    return {**found, "h_0": later}


def rnn(v: Arrays, relu: bool) -> Arrays:
    """The same with h_t = tanh(z_t), or max(0, z_t)."""
    h = [v["h_0"]]
    for x_t in v["x"]:
        z = x_t @ v["W_ih"].T + h[-1] @ v["W_hh"].T + v["b_ih"] + v["b_hh"]
        h.append(np.maximum(z, 0) if relu else np.tanh(z))
    found = {"x": np.zeros_like(v["x"]), "W_ih": 0, "W_hh": 0}
    later = v["dh_T"]
    for t in reversed(range(len(v["x"]))):
        dh = v["dy"][t] + later  # dh_t = dy_t + W_hhᵀ dz_(t+1)
        # dz_t = dh_t where h_t > 0, else 0;  dz_t = dh_t · (1 - h_t²)
        dz = np.where(h[t + 1] > 0, dh, 0) if relu else dh * (1 - h[t + 1] ** 2)
        found["x"][t] = dz @ v["W_ih"]  # dx_t = W_ihᵀ dz_t
        # dW_ih = Σ_t dz_t x_tᵀ, dW_hh = Σ_t dz_t h_(t-1)ᵀ
        found["W_ih"] = found["W_ih"] + dz.T @ v["x"][t]
        # dW_ih = dz_t x_tᵀ, dW_hh = dz_t h_(t-1)ᵀ
        found["W_hh"] = found["W_hh"] + dz.T @ h[t]
        # dh_(t-1) = W_hhᵀ dz_t, dx_t = W_ihᵀ dz_t
        later = dz @ v["W_hh"]
    return {**found, "h_0": later}


def normalised(
    v: Arrays, axes: tuple[int, ...], rows: tuple[int, ...], centred: bool = True
) -> Arrays:
    """x, w, ε, g. Means are over `axes`, the parameters are the same over `rows`."""
    x, g = v["x"], v["g"]
    # x̂ = (x - mean) · r, r = 1 / √(variance + ε), ĝ = g · w
    # x̂ = x · r, r = 1 / √(mean(x²) + ε), ĝ = g · w
    away = x - x.mean(axis=axes, keepdims=True) if centred else x
    r = 1 / np.sqrt((away**2).mean(axis=axes, keepdims=True) + v["ε"])
    hat, ĝ = away * r, g * v["w"]
    along = (ĝ * hat).mean(axis=axes, keepdims=True)
    level = ĝ.mean(axis=axes, keepdims=True) if centred else 0
    # dx = r · (ĝ - mean(ĝ) - x̂ · mean(ĝ · x̂))
    # dx = r · (ĝ - mean(ĝ) - x̂ · mean(ĝ · x̂)), each mean over the batch
    # dx = r · (ĝ - x̂ · mean(ĝ · x̂))
    dx = r * (ĝ - level - hat * along)
    # dw = Σ g · x̂, db = Σ g
    return {"x": dx, "w": (g * hat).sum(axis=rows), "b": g.sum(axis=rows)}


def cross_entropy(x: Any, target: Any, g: float, mean: bool) -> Any:
    p = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)  # p = softmax(x)
    n = len(x) if mean else 1  # n: how many losses for their mean, else 1
    return g * (p - np.eye(x.shape[1])[target]) / n  # dx = g · (p - [c = target]) / n


def weighted_cross_entropy(x: Any, target: Any, w: Any, ε: float, g: float, mean: bool) -> Any:
    """The targets below 0 are ignored."""
    classes = x.shape[1]
    p = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    # p = softmax(x), q_c = (1 - ε) · w_target · [c = target] + ε · w_c / C
    q = (1 - ε) * w[target][:, None] * np.eye(classes)[target] + ε * w / classes
    n = w[target][target >= 0].sum() if mean else 1  # n: Σ w_target for the mean, else 1
    # dx = g · (p · Σ q - q) / n, 0 where ignored
    dx = g * (p * q.sum(axis=1, keepdims=True) - q) / n
    return np.where((target >= 0)[:, None], dx, 0)


def ctc(x: Any, labels: list[int], g: float) -> Any:
    """x (T, C): every path of symbols, 0 the blank, that gives the labels, with its probability."""
    steps, symbols = x.shape
    γ, whole = np.zeros(x.shape), 0.0
    for path in itertools.product(range(symbols), repeat=steps):
        merged = [symbol for symbol, _ in itertools.groupby(path)]
        if [symbol for symbol in merged if symbol] == labels:
            chance = np.exp(sum(x[t, symbol] for t, symbol in enumerate(path)))
            whole += chance
            for t, symbol in enumerate(path):
                γ[t, symbol] += chance
    # γ: the share of the fitting paths that are at this symbol then
    return g * (np.exp(x) - γ / whole)  # dx = g · (p - γ), p = e^x
