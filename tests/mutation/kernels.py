"""What a kernel's hand-written gradient is held to: that of its reference, on small inputs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest

import tinytensor as tt
from tests.ops.table import Array
from tinytensor import parallel
from tinytensor.autograd.kernel import Kernel
from tinytensor.nn import blocks, lstm_kernel, lstm_layers, lstm_memory, lstm_shares
from tinytensor.nn import functional as F
from tinytensor.nn.cell_kernels import gru_cell, lstm_cell, rnn_relu_cell, rnn_tanh_cell
from tinytensor.nn.gru_kernel import gru
from tinytensor.nn.lstm_kernel import lstm
from tinytensor.nn.rnn_kernel import rnn_relu, rnn_tanh
from tinytensor.nn.steps import Steps
from tinytensor.tensor import make

BATCH, INPUTS, SIZE = 5, 4, 2
SHRINKING = Steps((5, 3, 3, 1), BATCH)


class Case(NamedTuple):
    """How a kernel is called.

    dropped : factors of recurrent dropout are given
    steps : how many, or sequences of unequal length
    used : which of the outputs a loss uses: output, h_n, c_n; those of the steps follow c_n
    """

    layers: int = 1
    directions: int = 1
    biases: int = 2
    steps: int | Steps = 3
    masked: bool = False
    proj: int = 0
    keep: bool = False
    dropped: bool = False
    batch: int = BATCH
    used: tuple[bool, ...] = (True,)


def inputs_of(kernel: Kernel, case: Case) -> list[Array | None]:
    """x, the states, mask and the weights, in float64."""
    rng = np.random.default_rng(case.layers + 7 * case.directions)
    gates = {"lstm": 4, "gru": 3}.get(kernel.name, 1)
    out = case.proj or SIZE
    rows = (sum(case.steps.sizes),) if isinstance(case.steps, Steps) else (case.steps, case.batch)
    scans = case.layers * case.directions
    arrays: list[Array | None] = [rng.normal(size=(*rows, INPUTS))]
    arrays.append(rng.normal(size=(scans, case.batch, out)))
    if kernel is lstm:
        arrays.append(rng.normal(size=(scans, case.batch, SIZE)))
    mask = rng.normal(size=(case.layers - 1, *rows, case.directions * out))
    arrays.append(mask if case.masked else None)
    for layer in range(case.layers):
        width = INPUTS if layer == 0 else case.directions * out
        for _ in range(case.directions):
            arrays.append(rng.normal(size=(gates * SIZE, width)))
            arrays.append(rng.normal(size=(gates * SIZE, out)))
            arrays += [rng.normal(size=gates * SIZE) if case.biases > k else None for k in range(2)]
            if kernel is lstm:
                arrays.append(rng.normal(size=(case.proj, SIZE)) if case.proj else None)
            arrays.append(rng.normal(size=(case.batch, out)) if case.dropped else None)
    return arrays


def static_of(case: Case) -> dict[str, Any]:
    steps = case.steps if isinstance(case.steps, Steps) else None
    return {"directions": case.directions, "steps": steps, "keep": case.keep}


def gradients(kernel: Kernel, arrays: list[Array | None], case: Case) -> list[Any]:
    """Those of a weighted sum of the outputs that are used, for every input."""
    factors = range(len(arrays) - 1, 0, -6 if kernel is lstm else -5) if case.dropped else ()
    leaves = [
        None if array is None else make(array).requires_grad_(place not in factors)
        for place, array in enumerate(arrays)
    ]
    outputs = kernel(*leaves, **static_of(case))
    used = case.used + case.used[-1:] * (len(outputs) - len(case.used))
    rng = np.random.default_rng(1)
    weights = [make(rng.normal(size=y.shape)) for y in outputs]
    chosen = [(y, w) for y, w, wanted in zip(outputs, weights, used, strict=False) if wanted]
    ys, ws = zip(*chosen, strict=True)
    wanted_leaves = [leaf for leaf in leaves if leaf is not None and leaf.requires_grad]
    return list(tt.autograd.grad(ys, wanted_leaves, ws, allow_unused=True, materialize_grads=True))


def is_its_reference(kernel: Kernel, case: Case) -> None:
    arrays = inputs_of(kernel, case)
    by_hand = gradients(kernel, arrays, case)
    with tt.unrolled():
        expected = gradients(kernel, arrays, case)
    for ours, theirs in zip(by_hand, expected, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-10, atol=1e-12)


def as_if_large(check: Callable[[], None]) -> None:
    """Walk as with large steps: in blocks of two, gate by gate, by column, each direction alone."""
    patch = pytest.MonkeyPatch()
    patch.setattr(lstm_kernel, "_BLOCK_BYTES", 2 * BATCH * 4 * SIZE * 8)
    patch.setattr(lstm_kernel, "_MANY", 1)
    patch.setattr(blocks, "_QUICK", 50)
    patch.setattr(blocks, "_NARROWEST", 1)
    patch.setattr(blocks, "_FEWEST_ROWS", 1)
    patch.setattr(lstm_layers, "_LARGE", -1)
    patch.setattr(lstm_memory, "_MOST_STEPS", 2)
    patch.setattr(lstm_memory, "_LARGE_GATE", 1)
    patch.setattr(lstm_memory, "_kept", {})
    try:
        check()
    finally:
        patch.undo()


def as_if_shared(check: Callable[[], None]) -> None:
    """Walk in shares of the batch, each on a thread."""
    patch = pytest.MonkeyPatch()
    patch.setattr(lstm_shares, "_LARGE_SHARE", 1)
    patch.setattr(lstm_layers, "_LARGE", -1)
    patch.setattr(parallel, "_SMALLEST_PART", 1)
    patch.setattr(parallel, "_blas_threads", lambda: 3)
    try:
        check()
    finally:
        patch.undo()


def computes_what_is_needed_and_leaves_its_inputs(kernel: Kernel, proj: int) -> None:
    """Each gradient asked for alone; those of the two biases of LSTM and RNN are one."""
    case = Case(layers=2, directions=2, masked=True, proj=proj)
    arrays, static = inputs_of(kernel, case), static_of(case)
    before = [None if array is None else array.copy() for array in arrays]
    outputs, saved = kernel.forward(*arrays, **static)
    g = tuple(np.ones_like(y) for y in outputs)
    all_needed = kernel.backward(g, saved, arrays, (True,) * len(arrays), **static)
    states = range(1, 3 if kernel is lstm else 2)
    first_weight, each = states.stop + 1, 6 if kernel is lstm else 5
    for place in (place for place, array in enumerate(arrays) if array is not None):
        needs = tuple(i == place for i in range(len(arrays)))
        found = kernel.backward(g, saved, arrays, needs, **static)
        np.testing.assert_array_equal(found[place], all_needed[place])
        for i, gradient in enumerate(found):
            both = min(place, i) >= first_weight and kernel is not gru
            scans = {divmod(k - first_weight, each) for k in (place, i)}
            pair = both and len({n for n, _ in scans}) == 1 and {k for _, k in scans} == {2, 3}
            wanted = i in states or i == place or pair  # states are made on the way
            assert (gradient is not None) == wanted, (place, i)
    assert all((part == 1).all() for part in g)
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)


def _case(kernel: Kernel, **options: Any) -> Callable[[], None]:
    return lambda: is_its_reference(kernel, Case(**options))


def _each_alone(kernel: Kernel) -> Iterator[Callable[[], None]]:
    """A loss of one output only, those of the steps included."""
    outputs = {"lstm": 9, "gru": 6}.get(kernel.name, 3)
    for chosen in range(outputs):
        used = tuple(place == chosen for place in range(outputs))
        yield _case(kernel, keep=True, used=used)


def _common(kernel: Kernel) -> tuple[Callable[[], None], ...]:
    return (
        _case(kernel, steps=5),
        _case(kernel, layers=2, directions=2, masked=True),
        _case(kernel, directions=2, biases=0, steps=1),
        _case(kernel, biases=1, steps=2, used=(False, True, False)),
        _case(kernel, layers=2, steps=1, used=(True, False)),
        _case(kernel, layers=4, steps=1, masked=True, used=(False, True)),
        _case(kernel, directions=2, steps=5, used=(True, False)),
        _case(kernel, layers=2, directions=2, steps=SHRINKING),
        _case(kernel, layers=2, directions=2, steps=SHRINKING, keep=True, masked=True),
        _case(kernel, directions=2, keep=True, used=(False, False, True)),
        _case(kernel, steps=Steps((), BATCH), used=(False, True)),
        _case(kernel, layers=2, directions=2, dropped=True),
        _case(kernel, directions=2, dropped=True, steps=SHRINKING),
        *_each_alone(kernel),
        lambda: computes_what_is_needed_and_leaves_its_inputs(kernel, 0),
    )


_PROJECTED = (
    lambda: computes_what_is_needed_and_leaves_its_inputs(lstm, 1),
    _case(lstm, layers=2, directions=2, proj=1),
    _case(lstm, layers=2, directions=2, proj=1, steps=SHRINKING, keep=True),
)
_ONE = (_case(lstm, steps=6, batch=1), _case(lstm, layers=2, directions=2, steps=6, batch=1))
_AS_IF_SHARED = tuple(
    (lambda check=check: as_if_shared(check))
    for check in (*_common(lstm)[:2], _common(lstm)[6], _common(lstm)[-1])
)
_AS_IF_LARGE = tuple(
    (lambda check=check: as_if_large(check))
    for check in (
        *_common(lstm)[:1],
        *_common(lstm)[6:8],
        _common(lstm)[-1],
        _PROJECTED[0],
        _PROJECTED[2],
        *_ONE,
    )
)

# -- single steps


def _step_arrays(kernel: Kernel, batch: int, biases: int) -> list[Array | None]:
    """x, the state, the weights, and the first so many biases."""
    rng = np.random.default_rng(batch)
    gates = {"lstm_cell": 4, "gru_cell": 3}.get(kernel.name, 1)
    state = 2 if kernel is lstm_cell else 1
    shapes = [(batch, INPUTS), *[(batch, SIZE)] * state, (gates * SIZE, INPUTS)]
    shapes += [(gates * SIZE, SIZE), *[(gates * SIZE,)] * biases]
    return [*(rng.normal(size=shape) for shape in shapes), *[None] * (2 - biases)]


def _step_is_its_reference(kernel: Kernel, batch: int, biases: int, used: tuple[int, ...]) -> None:
    arrays = _step_arrays(kernel, batch, biases)

    def found() -> list[Any]:
        leaves = [None if array is None else make(array).requires_grad_() for array in arrays]
        outputs = kernel(*leaves)
        rng = np.random.default_rng(1)
        upstream = [make(rng.normal(size=outputs[place].shape)) for place in used]
        chosen = [outputs[place] for place in used]
        return list(tt.autograd.grad(chosen, [x for x in leaves if x is not None], upstream))

    by_hand = found()
    with tt.unrolled():
        expected = found()
    for ours, theirs in zip(by_hand, expected, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-10, atol=1e-12)


def _step_computes_what_is_needed_and_leaves_its_inputs(kernel: Kernel) -> None:
    """Each gradient asked for alone; those of the two biases of LSTM and RNN are one."""
    arrays = _step_arrays(kernel, BATCH, 2)
    outputs, saved = kernel.forward(*arrays)
    parts = saved if isinstance(saved, tuple) else (saved,)
    g = tuple(np.ones_like(y) for y in outputs)
    before = [array.copy() for array in (*arrays, *parts) if array is not None]
    all_needed = kernel.backward(g, saved, arrays, (True,) * len(arrays))
    for place in range(len(arrays)):
        needs = tuple(i == place for i in range(len(arrays)))
        found = kernel.backward(g, saved, arrays, needs)
        np.testing.assert_array_equal(found[place], all_needed[place])
        for i, gradient in enumerate(found):
            pair = kernel is not gru_cell and min(i, place) >= len(arrays) - 2
            assert (gradient is not None) == (i == place or pair), (place, i)
    assert all((part == 1).all() for part in g)
    for array, copy in zip((*arrays, *parts), before, strict=True):
        np.testing.assert_array_equal(array, copy)


def _steps(kernel: Kernel) -> Iterator[Callable[[], None]]:
    parts = (0, 1) if kernel is lstm_cell else (0,)
    for used in {parts, (0,), parts[-1:]}:
        for batch, biases in ((BATCH, 2), (BATCH, 1), (1, 0)):
            yield partial(_step_is_its_reference, kernel, batch, biases, used)
    yield partial(_step_computes_what_is_needed_and_leaves_its_inputs, kernel)


# -- fused layers and losses


_KINDS = ((np.float64, 1e-10), (np.float32, 2e-5))
_WITH_HALF = (*_KINDS, (np.float16, 3e-2))


def _fused(
    function: Callable[..., Any], *shapes: tuple[int, ...], kinds: Any = _KINDS
) -> Callable[[], None]:
    """The gradients of a function for leaves of some shapes, by kernel and by reference."""

    def check() -> None:
        rng = np.random.default_rng(len(shapes))
        arrays = [rng.normal(size=shape) for shape in shapes]
        for kind, tolerance in kinds:
            leaves = [make(array.astype(kind)).requires_grad_() for array in arrays]
            y = function(*leaves)
            upstream = make(rng.normal(size=y.shape).astype(kind))
            found = tt.autograd.grad(y, leaves, upstream)
            with tt.unrolled():
                expected = tt.autograd.grad(function(*leaves), leaves, upstream)
            for ours, theirs in zip(found, expected, strict=True):
                assert ours.dtype is theirs.dtype
                np.testing.assert_allclose(
                    ours.numpy(), theirs.numpy(), rtol=tolerance, atol=tolerance
                )
            for place, leaf in enumerate(leaves):  # each alone, the others being constants
                alone = [made.detach() for made in leaves]
                alone[place].requires_grad_()
                (gradient,) = tt.autograd.grad(function(*alone), alone[place], upstream)
                np.testing.assert_array_equal(gradient.numpy(), found[place].numpy())
                assert leaf.grad is None

    return check


def _layer_norms() -> Iterator[Callable[[], None]]:
    for shape, size in (((5, 3, 4), (4,)), ((2, 3, 4), (3, 4)), ((6,), (6,)), ((3, 1), (1,))):
        yield _fused(lambda x, w, b, size=size: F.layer_norm(x, size, w, b), shape, size, size)
        yield _fused(lambda x, size=size: F.layer_norm(x, size, eps=0.5), shape)
    yield _fused(lambda x, w, b: F.layer_norm(x, (4,), w, b), (5, 4), (4,), (4,), kinds=_WITH_HALF)
    yield _fused(lambda x, w: F.layer_norm(x, (4,), w), (5, 4), (4,))
    yield _fused(lambda x, b: F.layer_norm(x, (4,), None, b), (5, 4), (4,))


def _rms_norms() -> Iterator[Callable[[], None]]:
    for shape, size in (((5, 3, 4), (4,)), ((2, 3, 4), (3, 4)), ((6,), (6,))):
        yield _fused(lambda x, w, size=size: F.rms_norm(x, size, w), shape, size)
        yield _fused(lambda x, size=size: F.rms_norm(x, size, eps=0.5), shape)
    yield _fused(lambda x, w: F.rms_norm(x, (4,), w), (5, 4), (4,), kinds=_WITH_HALF)


def _batch_norms() -> Iterator[Callable[[], None]]:
    for shape in ((5, 3), (4, 3, 2), (1, 3, 4)):
        yield _fused(lambda x, w, b: F.batch_norm(x, None, None, w, b, True), shape, (3,), (3,))
        yield _fused(lambda x: F.batch_norm(x, None, None, training=True, eps=0.5), shape)
    yield _fused(lambda x, w: F.batch_norm(x, None, None, w, None, True), (5, 3), (3,))


def _cross_entropies() -> Iterator[Callable[[], None]]:
    weight = np.array([0.5, 1.0, 2.0, 1.5])
    targets = {(5, 4): [0, 3, 1, 1, 2], (4,): 2, (2, 4, 3): [[0, 1, 3], [2, 2, 1]]}
    targets[2, 4, 3, 1] = [[[0], [1], [3]], [[2], [2], [1]]]
    for (shape, numbers), reduction, weighted, smoothing in itertools.product(
        targets.items(), ("none", "mean", "sum"), (False, True), (0.0, 0.3)
    ):

        def loss(
            x: Any,
            numbers: Any = numbers,
            reduction: str = reduction,
            weighted: bool = weighted,
            smoothing: float = smoothing,
        ) -> Any:
            weights = make(weight.astype(x.numpy(force=True).dtype)) if weighted else None
            options = {"reduction": reduction, "label_smoothing": smoothing, "ignore_index": 1}
            return F.cross_entropy(x, tt.tensor(numbers), weights, **options)

        yield _fused(loss, shape)


def _ctc_losses() -> Iterator[Callable[[], None]]:
    labels = tt.tensor([[1, 2, 2], [3, 0, 0], [2, 1, 0]])
    for lengths, sizes in (((6, 6, 6), (3, 1, 2)), ((6, 2, 4), (3, 1, 0)), ((1, 5, 3), (3, 1, 2))):
        for reduction, zero in (("none", True), ("mean", True), ("none", False)):
            yield _fused(
                lambda x, lengths=lengths, sizes=sizes, reduction=reduction, zero=zero: F.ctc_loss(
                    x.log_softmax(2), labels, lengths, sizes, 0, reduction, zero_infinity=zero
                ),
                (6, 3, 4),
            )
    yield _ctc_reads_no_padding


def _ctc_reads_no_padding() -> None:
    x = make(np.log(np.full((4, 2, 3), 1 / 3))).requires_grad_()
    F.ctc_loss(x, tt.tensor([[1], [2]]), (4, 2), (1, 1)).backward()
    assert x.grad is not None
    assert (x.grad.numpy()[2:, 1] == 0).all()
    assert (x.grad.numpy()[:, 0] != 0).any()


CHECKS: dict[str, tuple[Callable[[], None], ...]] = {
    "lstm": (*_common(lstm), *_PROJECTED, *_ONE, *_AS_IF_LARGE, *_AS_IF_SHARED),
    "gru": _common(gru),
    "rnn_tanh": _common(rnn_tanh),
    "rnn_relu": _common(rnn_relu),
    "lstm_cell": tuple(_steps(lstm_cell)),
    "gru_cell": tuple(_steps(gru_cell)),
    "rnn_tanh_cell": tuple(_steps(rnn_tanh_cell)),
    "rnn_relu_cell": tuple(_steps(rnn_relu_cell)),
    "layer_norm": tuple(_layer_norms()),
    "rms_norm": tuple(_rms_norms()),
    "batch_norm": tuple(_batch_norms()),
    "cross_entropy": tuple(_cross_entropies()),
    "ctc_loss": tuple(_ctc_losses()),
}
