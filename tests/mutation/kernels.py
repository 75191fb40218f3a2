"""What a kernel's hand-written gradient is held to: that of its reference, on small inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import tinytensor as tt
from tests.ops.table import Array
from tinytensor.nn import lstm_kernel
from tinytensor.nn.lstm_kernel import lstm
from tinytensor.tensor import make

BATCH, INPUTS, SIZE = 5, 4, 2


def lstm_inputs(
    layers: int, directions: int, bias: bool, steps: int, masked: bool
) -> list[Array | None]:
    """x, h0, c0, mask and the weights, in float64."""
    rng = np.random.default_rng(steps)
    states = (layers * directions, BATCH, SIZE)
    shapes: list[tuple[int, ...]] = [(steps, BATCH, INPUTS), states, states]
    shapes.append((layers - 1, steps, BATCH, directions * SIZE))
    for layer in range(layers):
        width = INPUTS if layer == 0 else directions * SIZE
        each = [(4 * SIZE, width), (4 * SIZE, SIZE)]
        shapes += (each + [(4 * SIZE,)] * 2 * bias) * directions
    arrays: list[Array | None] = [rng.normal(size=shape) for shape in shapes]
    if not masked:
        arrays[3] = None
    return arrays


def gradients(
    arrays: Sequence[Array | None], used: Sequence[bool], layers: int, directions: int
) -> list[Any]:
    """Those of a weighted sum of the outputs that are used, for every input."""
    leaves = [None if array is None else make(array).requires_grad_() for array in arrays]
    outputs = lstm(*leaves, layers=layers, directions=directions)
    rng = np.random.default_rng(1)
    weights = [make(rng.normal(size=y.shape)) for y in outputs]
    chosen = [(y, w) for y, w, wanted in zip(outputs, weights, used, strict=True) if wanted]
    ys, ws = zip(*chosen, strict=True)
    wanted_leaves = [leaf for leaf in leaves if leaf is not None]
    return list(tt.autograd.grad(ys, wanted_leaves, ws, allow_unused=True, materialize_grads=True))


def lstm_gradients_are_those_of_the_reference(
    layers: int, directions: int, bias: bool, steps: int, masked: bool, used: Sequence[bool]
) -> None:
    arrays = lstm_inputs(layers, directions, bias, steps, masked)
    by_hand = gradients(arrays, used, layers, directions)
    with tt.unrolled():
        expected = gradients(arrays, used, layers, directions)
    for ours, theirs in zip(by_hand, expected, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-10, atol=1e-12)


def in_blocks_of_two_steps(check: Callable[[], None]) -> None:
    whole = lstm_kernel._BLOCK_BYTES
    lstm_kernel._BLOCK_BYTES = 2 * BATCH * 4 * SIZE * 8
    try:
        check()
    finally:
        lstm_kernel._BLOCK_BYTES = whole


def lstm_computes_what_is_needed_and_leaves_its_inputs() -> None:
    static = {"layers": 2, "directions": 2}
    arrays = lstm_inputs(2, 2, True, 3, True)
    outputs, saved = lstm.forward(*arrays, **static)
    g = tuple(np.ones_like(y) for y in outputs)
    all_needed = lstm.backward(g, saved, arrays, (True,) * len(arrays), **static)
    for place in range(len(arrays)):
        needs = tuple(i == place for i in range(len(arrays)))
        found = lstm.backward(g, saved, arrays, needs, **static)
        np.testing.assert_array_equal(found[place], all_needed[place])
        for i, gradient in enumerate(found):
            state = i in (1, 2)  # made on the way, wanted or not
            pair = place > 3 and i > 3 and {place, i} == {place // 4 * 4 + 2, place // 4 * 4 + 3}
            assert (gradient is not None) == (state or i == place or pair), (place, i)
    assert all((part == 1).all() for part in g)


def _case(*arguments: Any) -> Callable[[], None]:
    return lambda: lstm_gradients_are_those_of_the_reference(*arguments)


_ALL = (True, True, True)
_CASES = (
    _case(1, 1, True, 5, False, _ALL),
    _case(2, 2, True, 3, True, _ALL),
    _case(1, 2, False, 1, False, _ALL),
    _case(1, 1, True, 2, False, (False, True, False)),
    _case(2, 1, True, 1, False, (True, False, True)),
    _case(4, 1, True, 1, True, (False, False, True)),
    _case(1, 2, True, 5, False, (True, False, False)),
)

CHECKS: dict[str, tuple[Callable[[], None], ...]] = {
    "lstm": (
        *_CASES,
        lambda: in_blocks_of_two_steps(_CASES[0]),
        lambda: in_blocks_of_two_steps(_CASES[-1]),
        lstm_computes_what_is_needed_and_leaves_its_inputs,
    )
}
