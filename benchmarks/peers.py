"""The same work in libraries with names of their own, each imported only where it is used.

And in tinytensor itself without an option, under the name of a rival.
"""

from collections.abc import Callable
from typing import Any

from .work import LINKS, Work, numbers_for, recurrent, sizes

ALL_KEPT = "all kept"  # tinytensor without checkpointing


def chain_in_autograd(dtype: str, shape: tuple[int, ...]) -> Work:
    """The chain in HIPS autograd."""
    import autograd
    import autograd.numpy as np

    draw = numbers_for(0, dtype)
    x, w, b = (draw(shape) for _ in "xwb")
    ys: list[Any] = []

    def loss(x: Any, w: Any, b: Any) -> Any:
        y = x
        for _ in range(LINKS):
            y = np.tanh(y * w + b)
        ys[:] = [y]
        return np.sum(y)

    gradient = autograd.grad(loss, (0, 1, 2))
    return lambda: gradient(x, w, b), lambda found: [ys[0]._value, *found]


def chain_in_mygrad(dtype: str, shape: tuple[int, ...]) -> Work:
    """The chain in MyGrad."""
    import mygrad

    draw = numbers_for(0, dtype)
    x, w, b = (mygrad.tensor(draw(shape)) for _ in "xwb")

    def run() -> Any:
        for leaf in (x, w, b):
            leaf.null_grad()
        y = x
        for _ in range(LINKS):
            y = mygrad.tanh(y * w + b)
        y.sum().backward()
        return y

    return run, lambda y: [y.data.copy(), x.grad.copy(), w.grad.copy(), b.grad.copy()]


def recurrent_in_jax(dtype: str, kind: str, shape: tuple[int, ...]) -> Work:
    """The LSTM as a jitted `lax.scan` in JAX, written as its users write it."""
    import jax
    import numpy as np
    from jax import numpy as jnp

    if kind != "LSTM":
        raise NotImplementedError(f"recurrent_in_jax: expected LSTM, got {kind}")
    jax.config.update("jax_enable_x64", dtype == "float64")
    T, N, I, H, layers, directions = shape
    draw = numbers_for(0, dtype)
    weights = [jnp.asarray(draw(size, H**-0.5)) for size in sizes(shape, 4)]
    x = jnp.asarray(draw((T, N, I)))
    g = jnp.asarray(draw((T, N, directions * H)))

    def scan(x: Any, reverse: bool, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any) -> Any:
        zero = jnp.zeros((N, H), x.dtype)

        def step(state: Any, projected: Any) -> Any:
            h, c = state
            i, f, z, o = jnp.split(projected + h @ w_hh.T, 4, axis=1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(z)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        return jax.lax.scan(step, (zero, zero), x @ w_ih.T + b_ih + b_hh, reverse=reverse)[1]

    def forward(x: Any, weights: Any) -> Any:
        rest = list(weights)
        for _ in range(layers):
            outputs = []
            for direction in range(directions):
                own, rest = rest[:4], rest[4:]
                outputs.append(scan(x, direction == 1, *own))
            x = jnp.concatenate(outputs, axis=-1)
        return x

    def both(x: Any, weights: Any) -> Any:
        output, back = jax.vjp(forward, x, weights)
        return output, *back(g)

    compiled = jax.jit(both)

    def numbers(found: Any) -> list[Any]:
        output, gx, gweights = found
        return [np.array(array) for array in (output, gx, *gweights)]

    return lambda: jax.block_until_ready(compiled(x, weights)), numbers


def all_kept(dtype: str, shape: tuple[int, ...], every: int) -> Work:
    """The work `checkpointed` without `checkpoint_every`."""
    import tinytensor
    import tinytensor.nn

    return recurrent(tinytensor, dtype, "LSTM", shape)


def package_of(rival: str) -> str:
    """The package that does a rival's work."""
    return "tinytensor" if rival == ALL_KEPT else rival


PEERS: dict[tuple[str, str], Callable[..., Work]] = {
    ("autograd", "chain"): chain_in_autograd,
    ("mygrad", "chain"): chain_in_mygrad,
    ("jax", "recurrent"): recurrent_in_jax,
    (ALL_KEPT, "checkpointed"): all_kept,
}
