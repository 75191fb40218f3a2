"""The walks of an LSTM through time, for sequences of one length, no projection, no dropout on h.

The formulas are those of `lstm_kernel`. What is different is how few calls a step has:

- All lies in the order in which a scan walks: a reverse scan is turned around where x comes in and
  h goes out. So both directions of a small layer walk at once, as one batch.
- The parts of a step lie gate by gate, o i f g c: what leads from tanh to the three sigmoids is one
  array, 1/2, and (i, f) times (g, c) is one call.
- One product makes z, of all that a step reads: x_t, h_{t-1} and 1 (where that is too wide for the
  quick way of `blocks`, x_t and 1 apart). The gradients of all weights are one product with that.
- The forward pass leaves what the backward pass multiplies with, f K_i K_f K_g K_o K_c, made for a
  block of steps while their gates are in the cache. So (K_o, K_c) times dh_t is one call, and so is
  (f, K_i, K_f, K_g) times dc_t: dc_{t-1} and dz.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np

from .. import memory
from ..dtypes import Array
from ..parallel import matmul
from .layers_kernel import Weights
from .lstm_memory import Forward, Gates, backward_for, forward_for, keep
from .steps import bias_of

_ROWS_OF_X = 1024  # that are multiplied with W_ih at once, where that is not done at each step


class Walk(NamedTuple):
    """What a walk of one or more scans leaves, in the order in which they walk.

    factors : (T, 6, scans, N, H), f K_i K_f K_g K_o K_c
    reads : (scans, T, N, I + H + 1), x, the h that each step started from, and 1
    slots : (T + 1, 5, scans, N, H), o i f g c, and at the end the last c; None if not asked for
    """

    factors: Array
    reads: Array
    slots: Array | None


def turned(sequences: Sequence[Array], direction: int) -> list[Array]:
    """Of each scan the sequence (T, ...) in the order in which it walks, or back.

    The first scan walks in that direction, 0 or 1 for reverse, a second one in reverse.
    """
    if direction == 1:
        return [each[::-1] for each in sequences]
    first, *others = sequences
    return [first, *[other[::-1] for other in others]]


# -- forward ---------------------------------------------------------------------------------------


def walk_forward(
    x: Array,
    h_0: Array,
    c_0: Array,
    weights: Sequence[Weights],
    direction: int,
    outputs: Sequence[Array],
    h_n: Array,
    c_n: Array,
    recorded: bool,
    told: bool,
) -> Walk | None:
    """Walk scans at once; what is left for the backward pass, if that is `recorded`.

    x : (T, N, I)
    h_0, c_0 : (scans, N, H)
    outputs : of each scan (T, N, H), and h_n and c_n as h_0: to be filled
    told : whether the gates are left too
    """
    scans, batch, size = h_0.shape
    length, _, inputs = x.shape
    dtype = x.dtype
    own = forward_for(length, scans, batch, inputs, size, dtype)
    w_x = _scaled_weights(weights, own)
    w_step, half = own.w_step, own.half
    xs = turned([x] * scans, direction)
    outputs = turned(outputs, direction)
    from_x = repeat(None) if w_x is None else _from_x(xs, w_x)
    walk = None
    if recorded:
        walk = Walk(
            memory.empty((length, 6, scans, batch, size), dtype),
            memory.empty((scans, length, batch, inputs + size + 1), dtype),
            np.empty((length + 1, 5, scans, batch, size), dtype) if told else None,
        )
    add, multiply, tanh, copy = np.add, np.multiply, np.tanh, np.copyto
    h, c = h_0, c_0
    most = len(own.views)
    for start in range(0, length, most):
        steps = slice(start, min(length, start + most))
        count = steps.stop - start
        block = own.block(count)
        own.h_first[...] = h
        own.c_first[...] = c
        for place, part in zip(block.x, xs, strict=True):
            place[...] = part[steps]
        for (
            times, product, z, z_flat, o_i_f, i_f, g_c, both, i_g, f_c, c_next, tanh_flat, o_t,
            tanh_t, h_next, h_rows, h_t,
        ), added in zip(own.views[:count], from_x, strict=False):  # fmt: skip
            times(w_step, product)
            if added is not None:
                add(z, added, z)
            tanh(z_flat, z_flat)
            multiply(o_i_f, half, o_i_f)
            add(o_i_f, half, o_i_f)
            multiply(i_f, g_c, both)
            add(i_g, f_c, c_next)
            tanh(c_next, tanh_flat)
            multiply(o_t, tanh_t, h_next)
            if h_rows is not None:
                copy(h_rows, h_t)
        h, c = block.h_last, block.c_last
        for place, part in zip(outputs, block.h_out, strict=True):
            place[steps] = part
        if walk is not None:
            for gates in block.gates:
                _make_factors(gates, own.one)
            walk.factors[steps] = block.factors
            walk.reads[:, steps] = block.reads
            if walk.slots is not None:
                walk.slots[start : steps.stop + 1] = own.slots[: count + 1]
    h_n[...] = h
    c_n[...] = c
    keep(own)
    return walk


def _scaled_weights(weights: Sequence[Weights], own: Forward) -> Array | None:
    """Write into `own` what a step multiplies with, the gates scaled.

    Where that is not x, what x and the biases are multiplied with: (scans, 4H, I + 1); else None.
    """
    w_x = None
    scale = own.gate_scale
    size = scale.size // 4
    for number, (w_ih, w_hh, b_ih, b_hh, *_) in enumerate(weights):
        for_x, for_h, for_1 = own.w_places[number]
        np.multiply(w_hh.T.reshape(for_h.shape), scale, for_h)
        bias: Any = bias_of(b_ih, b_hh)
        if bias is None:
            bias = np.zeros(len(w_hh), w_hh.dtype)
        if for_x is None or for_1 is None:
            if w_x is None:
                w_x = np.empty((len(weights), 5 * size, own.inputs + 1), w_ih.dtype)
            np.multiply(w_ih, scale.reshape(-1, 1), w_x[number, size:, :-1])
            np.multiply(bias, scale.reshape(-1), w_x[number, size:, -1])
        else:
            np.multiply(w_ih.T.reshape(for_x.shape), scale, for_x)
            np.multiply(bias.reshape(for_1.shape), scale, for_1)
    own.use_places()
    if w_x is not None:
        w_x[:, :size] = w_x[:, -size:]  # o i f g o: weights come as i f g o
        w_x = w_x[:, :-size]
    return w_x


def _from_x(xs: Sequence[Array], w_x: Array) -> Iterator[Array]:
    """Of each step what x and the biases give to z, (4, scans, N, H)."""
    length, batch, inputs = xs[0].shape
    scans, columns, _ = w_x.shape
    most = min(length, max(1, _ROWS_OF_X // batch))
    made = memory.empty((scans, most, batch, columns), w_x.dtype)
    by_step = made.reshape(scans, most, batch, 4, columns // 4).transpose(1, 3, 0, 2, 4)
    for start in range(0, length, most):
        for x, w, out in zip(xs, w_x, made, strict=True):
            part = x[start : start + most]
            rows = out[: len(part)].reshape(-1, columns)
            matmul(part.reshape(-1, inputs), w[:, :-1].T, rows)
            rows += w[:, -1]
        yield from by_step[: length - start]


def _make_factors(gates: Gates, one: Array) -> None:
    """f K_i K_f K_g K_o K_c from the gates, products, h and, in the place of K_c, tanh c."""
    np.copyto(gates.f_out, gates.f)
    np.subtract(one, gates.oif, gates.rest)
    np.multiply(gates.rest_if, gates.ig_fc, gates.k_if)
    np.multiply(gates.rest_o, gates.h, gates.k_o)
    np.multiply(gates.ig, gates.g, gates.k_g)
    np.multiply(gates.k_c, gates.h, gates.k_c)
    np.subtract(gates.o_i, gates.k_c_g, gates.k_c_g)


# -- backward --------------------------------------------------------------------------------------


def walk_backward(
    walk: Walk,
    weights: Sequence[Weights],
    direction: int,
    dys: Sequence[Array],
    d_h: Array,
    d_c: Array,
    needs_x: bool,
    needs: Sequence[Sequence[bool]],
) -> tuple[Array | None, list[Array | None]]:
    """The gradient of the x of scans that walked at once, and those of the weights of each.

    dys : of each scan (T, N, H)
    d_h, d_c : (scans, N, H), the gradients of the last states; left are those of the first
    needs : of each scan, of each weight
    The latter stand side by side, (4H, I + H + 1), as what a step reads; None if none is needed.
    """
    length, _, scans, batch, size = walk.factors.shape
    inputs = weights[0][0].shape[1]
    dtype = walk.factors.dtype
    own = backward_for(length, scans, batch, size, dtype)
    dxs = [np.empty((length, batch, inputs), dtype) for _ in weights if needs_x]
    d_steps: list[Array | None] = [None] * scans
    for place, each in zip(own.w_places, weights, strict=True):
        place[...] = each[1].reshape(place.shape)
    w_back = own.w_back
    dys = turned(dys, direction)
    factors = walk.factors.reshape(length, 6, -1)
    add, multiply, copy = np.add, np.multiply, np.copyto
    dh, dc, dh_rows = own.dh, own.dc, own.dh_rows
    dh[...] = d_h.reshape(-1)
    carried = d_c
    most = len(own.views)
    for start in reversed(range(0, length, most)):
        steps = slice(start, min(length, start + most))
        count = steps.stop - start
        dy = dys[0][steps]
        if scans > 1:
            dy = own.dy[:count]
            for number, part in enumerate(dys):
                dy[:, number] = part[steps]
        own.carried[count][...] = carried
        back = factors[steps][::-1]
        for (
            dz_o_and_dc, to_dc, carried_t, d_quad, rows, dz_t, times, product,
        ), dy_t, k_quad, k_pair in zip(
            own.views[count - 1 :: -1], dy[::-1], back[:, :4], back[:, 4:], strict=False
        ):  # fmt: skip
            add(dh_rows, dy_t, dh_rows)
            multiply(k_pair, dh, dz_o_and_dc)
            add(carried_t, to_dc, dc)
            multiply(k_quad, dc, d_quad)
            if rows is not None:
                copy(rows, dz_t)
            times(w_back, product)
        carried = own.carried[0]
        for scan, dz in enumerate(own.dz_rows(count)):
            if needs_x:
                matmul(dz, weights[scan][0], dxs[scan][steps].reshape(len(dz), inputs))
            if any(needs[scan]):
                part = matmul(dz.T, walk.reads[scan, steps].reshape(len(dz), -1))
                before = d_steps[scan]
                d_steps[scan] = part if before is None else np.add(before, part, out=before)
    d_h[...] = dh.reshape(d_h.shape)
    d_c[...] = carried
    keep(own)
    return _added_up(dxs, direction), d_steps


def _added_up(dxs: Sequence[Array], direction: int) -> Array | None:
    """The gradients of x by scan, as they walked: all together, in order of time."""
    if not dxs:
        return None
    first, *others = turned(dxs, direction)
    for other in others:
        first += other
    return first
