"""The work that is timed, written once: `lib` is tinytensor or torch, which share their names.

Each function prepares one piece of work from NumPy's numbers, the same in every library, and
returns `run`, one repeat of it, and `numbers`, the arrays to compare of what a run returned.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

LINKS = 100  # of the chain; each is three operations

Array = np.ndarray[Any, Any]
Work = tuple[Callable[[], Any], Callable[[Any], list[Array]]]


def numbers_for(seed: int, dtype: str) -> Callable[..., Array]:
    """A source of arrays, uniform between -bound and bound."""
    generator = np.random.default_rng(seed)

    def draw(shape: tuple[int, ...], bound: float = 1.0) -> Array:
        return np.asarray(generator.uniform(-bound, bound, shape)).astype(dtype)

    return draw


def sizes(shape: tuple[int, ...], gates: int) -> Iterator[tuple[int, ...]]:
    """The shapes of a recurrent layer's parameters, in their order."""
    _, _, I, H, layers, directions = shape
    for layer in range(layers):
        for _ in range(directions):
            yield gates * H, directions * H if layer else I
            yield gates * H, H
            yield (gates * H,)
            yield (gates * H,)


def _layers(
    lib: Any, kind: str, shape: tuple[int, ...], dtype: str, draw: Any, **options: Any
) -> Any:
    _, _, I, H, layers, directions = shape
    layer = getattr(lib.nn, kind)
    options |= {"bidirectional": directions == 2, "dtype": getattr(lib, dtype)}
    model = layer(I, H, layers, **options)
    _fill(lib, model, draw, H)
    return model


def _fill(lib: Any, model: Any, draw: Any, H: int) -> None:
    with lib.no_grad():
        for parameter in model.parameters():
            parameter.copy_(lib.tensor(draw(tuple(parameter.shape), H**-0.5)))


def _arrays(tensors: Any) -> list[Array]:
    return [tensor.detach().numpy().copy() for tensor in tensors]


def _forget(leaves: Any) -> None:
    for leaf in leaves:
        leaf.grad = None


def recurrent(lib: Any, dtype: str, kind: str, shape: tuple[int, ...], **options: Any) -> Work:
    """Forward and backward of a recurrent layer, the gradients of x and every weight."""
    T, N, I, H, _, directions = shape
    draw = numbers_for(0, dtype)
    model = _layers(lib, kind, shape, dtype, draw, **options)
    x = lib.tensor(draw((T, N, I))).requires_grad_()
    g = lib.tensor(draw((T, N, directions * H)))
    leaves = [x, *model.parameters()]

    def run() -> Any:
        _forget(leaves)
        output, _ = model(x)
        output.backward(g)
        return output

    return run, lambda output: _arrays([output, *(leaf.grad for leaf in leaves)])


def checkpointed(lib: Any, dtype: str, shape: tuple[int, ...], every: int) -> Work:
    """The same of an LSTM that keeps its state every so many steps; torch keeps everything."""
    options = {"checkpoint_every": every} if lib.__name__ == "tinytensor" else {}
    return recurrent(lib, dtype, "LSTM", shape, **options)


def inference(lib: Any, dtype: str, kind: str, shape: tuple[int, ...]) -> Work:
    """The forward pass alone, under no_grad."""
    draw = numbers_for(0, dtype)
    model = _layers(lib, kind, shape, dtype, draw)
    x = lib.tensor(draw(shape[:3]))

    def run() -> Any:
        with lib.no_grad():
            return model(x)[0]

    return run, lambda output: _arrays([output])


def training(lib: Any, dtype: str, kind: str, shape: tuple[int, ...]) -> Work:
    """A step of training: layer, readout, squared error, backward, clipping, Adam."""
    T, N, _, H, _, directions = shape
    draw = numbers_for(0, dtype)
    model = _layers(lib, kind, shape, dtype, draw)
    readout = lib.nn.Linear(directions * H, 1, dtype=getattr(lib, dtype))
    _fill(lib, readout, draw, H)
    x, target = lib.tensor(draw(shape[:3])), lib.tensor(draw((T, N, 1)))
    parameters = [*model.parameters(), *readout.parameters()]
    optimizer = lib.optim.Adam(parameters)

    def run() -> Any:
        optimizer.zero_grad()
        output, _ = model(x)
        loss = lib.nn.functional.mse_loss(readout(output), target)
        loss.backward()
        lib.nn.utils.clip_grad_norm_(parameters, 0.01)
        optimizer.step()
        return loss

    return run, lambda loss: _arrays([loss, *(parameter.grad for parameter in parameters)])


def cell_loop(lib: Any, dtype: str, T: int, N: int, I: int, H: int) -> Work:
    """A learner's loop over nn.LSTMCell, forward and backward."""
    draw = numbers_for(0, dtype)
    cell = lib.nn.LSTMCell(I, H, dtype=getattr(lib, dtype))
    _fill(lib, cell, draw, H)
    steps = [lib.tensor(draw((N, I))) for _ in range(T)]
    parameters = list(cell.parameters())

    def run() -> Any:
        _forget(parameters)
        state = None
        for x in steps:
            state = cell(x, state)
        assert state is not None
        state[0].sum().backward()
        return state[0]

    return run, lambda h: _arrays([h, *(parameter.grad for parameter in parameters)])


def index_loop(lib: Any, dtype: str, T: int, N: int, H: int) -> Work:
    """A loop over x[t] where x requires grad: h = tanh(x[t] + w h)."""
    draw = numbers_for(0, dtype)
    x = lib.tensor(draw((T, N, H))).requires_grad_()
    w = lib.tensor(draw((H,))).requires_grad_()

    def run() -> Any:
        _forget((x, w))
        h = lib.tanh(x[0])
        for t in range(1, T):
            h = lib.tanh(x[t] + w * h)
        h.sum().backward()
        return h

    return run, lambda h: _arrays([h, x.grad, w.grad])


def chain(lib: Any, dtype: str, shape: tuple[int, ...]) -> Work:
    """A chain of mul, add, tanh: what the engine costs an operation, forward and backward."""
    draw = numbers_for(0, dtype)
    x, w, b = (lib.tensor(draw(shape)).requires_grad_() for _ in "xwb")

    def run() -> Any:
        _forget((x, w, b))
        y = x
        for _ in range(LINKS):
            y = lib.tanh(y * w + b)
        y.sum().backward()
        return y

    return run, lambda y: _arrays([y, x.grad, w.grad, b.grad])


def optimizer_step(lib: Any, dtype: str, shape: tuple[int, ...]) -> Work:
    """A step of Adam on the weights of an LSTM."""
    draw = numbers_for(0, dtype)
    parameters = list(_layers(lib, "LSTM", shape, dtype, draw).parameters())
    for parameter in parameters:
        parameter.grad = lib.tensor(draw(tuple(parameter.shape)))
    optimizer = lib.optim.Adam(parameters)
    return optimizer.step, lambda _: _arrays(parameters)


def saving(lib: Any, dtype: str, shape: tuple[int, ...]) -> Work:
    """The weights of an LSTM to a file and back."""
    state = dict(_layers(lib, "LSTM", shape, dtype, numbers_for(0, dtype)).state_dict())
    folder = tempfile.TemporaryDirectory()

    def run() -> Any:
        path = os.path.join(folder.name, "weights")  # the folder goes when `run` goes
        lib.save(state, path)
        return lib.load(path)

    return run, lambda loaded: _arrays(loaded[name] for name in state)


def drawing(lib: Any, dtype: str, shape: tuple[int, ...]) -> Work:
    """The DOT text of an unrolled LSTM's backward pass."""
    draw = numbers_for(0, dtype)
    model = _layers(lib, "LSTM", shape, dtype, draw)
    with lib.unrolled():
        loss = model(lib.tensor(draw(shape[:3])))[0].sum()
    return lambda: lib.viz.graph(loss).source, lambda _: []


def product(lib: Any, dtype: str, size: int) -> Work:
    """A square matrix product: the machine's peak."""
    draw = numbers_for(0, dtype)
    a, b = (lib.tensor(draw((size, size))) for _ in "ab")
    return lambda: a @ b, lambda y: _arrays([y])


WORK: dict[str, Callable[..., Work]] = {
    function.__name__: function
    for function in (
        recurrent,
        checkpointed,
        inference,
        training,
        cell_loop,
        index_loop,
        chain,
        optimizer_step,
        saving,
        drawing,
        product,
    )
}
