"""The LSTM by hand, held to the engine, to torch and to central differences, value by value."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import tinytensor as tt
from tinytensor import nn
from tinytensor.bptt import by_hand

T, N, I, H = 4, 3, 2, 5
GATES = "ifgo"


@pytest.fixture
def problem() -> SimpleNamespace:
    """Weights, input, states, and the gradients of a loss of the outputs and the last state."""
    random = np.random.default_rng(0)
    p = SimpleNamespace(
        x=random.normal(size=(T, N, I)),
        h0=random.normal(size=(N, H)),
        c0=random.normal(size=(N, H)),
        w_ih=random.normal(size=(4 * H, I)),
        w_hh=random.normal(size=(4 * H, H)),
        b=random.normal(size=4 * H),
        dy=random.normal(size=(T, N, H)),
        dh_last=random.normal(size=(N, H)),
        dc_last=random.normal(size=(N, H)),
    )
    p.saved = by_hand.forward(p.x, p.h0, p.c0, p.w_ih, p.w_hh, p.b)
    p.result = by_hand.backward(p.saved, p.w_ih, p.w_hh, p.dy, p.dh_last, p.dc_last)
    return p


def close(a: Any, b: Any) -> None:
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-9, atol=1e-12)


def every_value_of_a_loop(lib: Any, p: SimpleNamespace, tensor: Callable[[Any], Any]) -> None:
    """The same LSTM in a library with autograd, a value a line; its gradients are by_hand's."""
    leaves = {name: tensor(getattr(p, name)) for name in ("x", "h0", "c0", "w_ih", "w_hh", "b")}
    x, h, c, w_ih, w_hh, b = leaves.values()
    found: dict[str, list[Any]] = {name: [] for name in ("z", *GATES, "c", "h")}
    for t in range(T):
        z = x[t] @ w_ih.T + h @ w_hh.T + b
        z.retain_grad()  # dz is the gradient of z, not of its parts
        z_i, z_f, z_g, z_o = z.chunk(4, 1)
        i, f, g, o = lib.sigmoid(z_i), lib.sigmoid(z_f), lib.tanh(z_g), lib.sigmoid(z_o)
        c = f * c + i * g
        h = o * lib.tanh(c)
        for name, value in zip(found, (z, i, f, g, o, c, h), strict=True):
            value.retain_grad()
            found[name].append(value)
    loss = (lib.stack(found["h"]) * tensor(p.dy)).sum()
    loss = loss + (h * tensor(p.dh_last)).sum() + (c * tensor(p.dc_last)).sum()
    loss.backward()
    for name, values in found.items():
        close(getattr(p.result, f"d{name}"), [value.grad.numpy() for value in values])
        if name != "z":
            close(getattr(p.saved, name), [value.detach().numpy() for value in values])
    for name, leaf in leaves.items():
        close(getattr(p.result, f"d{name}"), leaf.grad.numpy())


# ---- by hand ----


def test_every_value_and_gradient_is_the_engines(problem):
    every_value_of_a_loop(tt, problem, lambda a: tt.tensor(a, requires_grad=True))


def test_every_value_and_gradient_is_torchs(problem):
    torch = pytest.importorskip("torch")
    every_value_of_a_loop(torch, problem, lambda a: torch.tensor(a, requires_grad=True))


def test_the_layers_own_kernel_agrees(problem):
    p = problem
    lstm = nn.LSTM(I, H).double()
    with tt.no_grad():
        lstm.weight_ih_l0.copy_(tt.tensor(p.w_ih))
        lstm.weight_hh_l0.copy_(tt.tensor(p.w_hh))
        lstm.bias_ih_l0.copy_(tt.tensor(p.b))
        lstm.bias_hh_l0.zero_()
    x, h0, c0 = (tt.tensor(a, requires_grad=True) for a in (p.x, p.h0[None], p.c0[None]))
    y, (h_n, c_n) = lstm(x, (h0, c0))
    tt.autograd.backward(
        [y, h_n, c_n], [tt.tensor(a) for a in (p.dy, p.dh_last[None], p.dc_last[None])]
    )
    close(p.saved.h, y.detach())
    for mine, its in (
        (p.result.dx, x), (p.result.dh0, h0), (p.result.dc0, c0),
        (p.result.dw_ih, lstm.weight_ih_l0), (p.result.dw_hh, lstm.weight_hh_l0),
        (p.result.db, lstm.bias_ih_l0), (p.result.db, lstm.bias_hh_l0),
    ):  # fmt: skip
        close(mine.reshape(its.shape), its.grad)


def test_states_and_cells_have_the_slopes_of_the_loss(problem):
    """Central differences: the sequence goes on from a state that was moved a little."""
    p = problem

    def loss_from(t: int, h: Any, c: Any) -> float:
        """The loss of the outputs from step t - 1 on, the state after which is h, c."""
        total = (h * p.dy[t - 1]).sum() if t > 0 else 0.0
        rest = by_hand.forward(p.x[t:], h, c, p.w_ih, p.w_hh, p.b)
        h_last, c_last = (rest.h[-1], rest.c[-1]) if t < T else (h, c)
        return (
            total
            + (rest.h * p.dy[t:]).sum()
            + (h_last * p.dh_last).sum()
            + (c_last * p.dc_last).sum()
        )

    for t in range(T + 1):
        h, c = (p.saved.h[t - 1], p.saved.c[t - 1]) if t > 0 else (p.h0, p.c0)
        dh, dc = (p.result.dh[t - 1], p.result.dc[t - 1]) if t > 0 else (p.result.dh0, p.result.dc0)
        slope_h, slope_c = np.empty((N, H)), np.empty((N, H))
        for at in np.ndindex(N, H):
            move = np.zeros((N, H))
            move[at] = 1e-6
            up, down = loss_from(t, h + move, c), loss_from(t, h - move, c)
            slope_h[at] = (up - down) / 2e-6

            def read(c: Any, t: int = t, h: Any = h) -> Any:  # h_t changes with c_t
                return p.saved.o[t - 1] * np.tanh(c) if t > 0 else h

            up, down = (
                loss_from(t, read(c + move), c + move),
                loss_from(t, read(c - move), c - move),
            )
            slope_c[at] = (up - down) / 2e-6
        np.testing.assert_allclose(dh, slope_h, rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(dc, slope_c, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", ["x", "h0", "c0", "w_ih", "w_hh", "b"])
def test_inputs_and_weights_have_the_slopes_of_the_loss(problem, name):
    p = problem

    def loss(value: Any) -> float:
        given = {key: getattr(p, key) for key in ("x", "h0", "c0", "w_ih", "w_hh", "b")}
        saved = by_hand.forward(**{**given, name: value})
        return (saved.h * p.dy).sum() + (saved.h[-1] * p.dh_last + saved.c[-1] * p.dc_last).sum()

    value = getattr(p, name)
    slope = np.empty_like(value)
    for at in np.ndindex(value.shape):
        move = np.zeros_like(value)
        move[at] = 1e-6
        slope[at] = (loss(value + move) - loss(value - move)) / 2e-6
    np.testing.assert_allclose(getattr(p.result, f"d{name}"), slope, rtol=1e-6, atol=1e-7)


def test_nothing_that_is_given_is_written_to(problem):
    p = problem
    arrays = (*p.saved, p.w_ih, p.w_hh, p.dy, p.dh_last, p.dc_last)
    before = [a.copy() for a in arrays]
    by_hand.backward(p.saved, p.w_ih, p.w_hh, p.dy, p.dh_last, p.dc_last)
    for a, b in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(a, b)
