"""The memory in which the steps of an LSTM walk, and the views that each step has of it.

A small step costs NumPy little more than its calls, so the memory is laid out for few of them, and
the views are made once: for a block of steps, which all blocks of a sequence share, and of small
steps for the next call with the same sizes too.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from .. import memory
from ..dtypes import Array
from .blocks import blocks_for, is_quick

_BLOCK_BYTES = 1 << 19  # of a block forward: what a core's cache holds
_BLOCK_ROWS = 1024  # of a block backward, whose products should be large
_MOST_STEPS = 64  # of a block: views take memory too
_MOST_KEPT = 16  # kinds of memory
_LARGEST_KEPT = 1 << 20  # bytes


class Forward:
    """Memory for some steps of scans that walk at once.

    slots : (steps + 1, 5, scans, N, H), c i f g o, with c the cell that the step starts from
    products : (steps, 2, scans, N, H), f c and i g
    tanh_c : (steps, scans, N, H)
    reads : (scans, steps + 1, N, I + H + 1), x, the h that the step starts from, and 1
    h : that part of it
    factors : (steps, 6, scans, N, H), f K_i K_f K_g K_o K_c
    is_one : whether there is one scan of one sequence
    apart : whether W_ih x is no part of a step's product
    column_blocks : in how many blocks of columns the weight of a gate is multiplied with
    views : of each step, see `lstm_walk.walk_forward`
    """

    def __init__(
        self, steps: int, scans: int, batch: int, inputs: int, size: int, dtype: np.dtype[Any]
    ) -> None:
        self.inputs = inputs
        self.is_one = scans == batch == 1
        read = inputs + size + 1
        self.column_blocks = blocks_for(batch, read, size)
        self.apart = not is_quick(batch, read, size // self.column_blocks)
        if self.apart:
            self.column_blocks = blocks_for(batch, size, size)
        self.slots = memory.aligned((steps + 1, 5, scans, batch, size), dtype)
        self.products = np.empty((steps, 2, scans, batch, size), dtype)
        self.tanh_c = np.empty((steps, scans, batch, size), dtype)
        self.reads = np.empty((scans, steps + 1, batch, read), dtype)
        self.reads[..., -1] = 1
        self.h = self.reads[..., inputs:-1]
        self.factors = np.empty((steps, 6, scans, batch, size), dtype)
        self.views = [self._step(t) for t in range(steps)]
        self._blocks: dict[int, Block] = {}

    @property
    def nbytes(self) -> int:
        own = self.slots, self.products, self.tanh_c, self.reads, self.factors
        return sum(part.nbytes for part in own)

    def _step(self, t: int) -> tuple[Any, ...]:
        slots = self.slots[t]
        _, scans, batch, size = slots.shape
        rows = (self.h if self.apart else self.reads)[:, t]
        z = slots[1:]
        if self.is_one:
            multiply: Any = rows[0].dot  # quicker to call than np.matmul
            product = z.reshape(1, 4 * size)
        else:
            multiply = partial(np.matmul, rows[:, None, None])
            columns = z.reshape(4, scans, batch, self.column_blocks, -1)
            product = columns.transpose(1, 0, 3, 2, 4)
        shape = (scans, batch, size)[scans == 1 :]
        f_c, i_g = self.products[t].reshape(2, -1)
        return (
            multiply, product, z, z.reshape(-1), slots[:2].reshape(-1), slots[2:4].reshape(-1),
            self.products[t].reshape(-1), f_c, i_g, self.slots[t + 1, 0].reshape(-1),
            self.tanh_c[t].reshape(-1), slots[4].reshape(shape), self.tanh_c[t].reshape(shape),
            self.h[:, t + 1].reshape(shape),
        )  # fmt: skip

    def block(self, count: int) -> Block:
        """The first steps at once."""
        if count not in self._blocks:
            self._blocks[count] = self._block(count)
        return self._blocks[count]

    def _block(self, count: int) -> Block:
        # Flat, as few dimensions are quicker; h is in one piece only if there is one sequence.
        slots = self.slots[:count].reshape(count, 5, -1)
        products = self.products[:count].reshape(count, 2, -1)
        factors = self.factors[:count].reshape(count, 6, -1)
        h = self.h[:, 1 : count + 1].swapaxes(0, 1)
        shape = (count, h.shape[-1]) if self.is_one else h.shape
        return Block(
            x=list(self.reads[:, :count, :, : self.inputs]),
            h_out=list(self.h[:, 1 : count + 1]),
            h_last=self.h[:, count],
            c_last=self.slots[count, 0],
            reads=self.reads[:, :count],
            factors=self.factors[:count],
            ifgo=slots[:, 1:],
            i=slots[:, 1],
            f=slots[:, 2],
            g=slots[:, 3],
            o=slots[:, 4],
            ig=products[:, 1],
            ig_fc=products[:, ::-1],
            h=h.reshape(shape),
            tanh_c=self.tanh_c[:count].reshape(shape),
            f_out=factors[:, 0],
            k_ifgo=factors[:, 1:5],
            k_if=factors[:, 1:3],
            k_g=factors[:, 3],
            k_o=self.factors[:count, 4].reshape(shape),
            k_c=self.factors[:count, 5].reshape(shape),
            k_c_flat=factors[:, 5],
        )


class Block(NamedTuple):
    """Views of some steps of `Forward` at once: the first dimension is steps, of lists scans."""

    x: list[Array]
    h_out: list[Array]
    h_last: Array
    c_last: Array
    reads: Array
    factors: Array
    ifgo: Array
    i: Array
    f: Array
    g: Array
    o: Array
    ig: Array
    ig_fc: Array
    h: Array
    tanh_c: Array
    f_out: Array
    k_ifgo: Array
    k_if: Array
    k_g: Array
    k_o: Array
    k_c: Array
    k_c_flat: Array


class Backward:
    """Memory for some steps back of scans that walk at once.

    dz : (scans, steps, N, 4H)
    dy : of each scan (steps, N, H)
    dh, dc : (scans · N, H), of the step that is walking
    carried : of each step, and of the one after the last, what it leaves to dc of the one before
    column_blocks : in how many blocks of columns W_hh is multiplied with
    views : of each step, see `lstm_walk.walk_backward`
    """

    def __init__(self, steps: int, scans: int, batch: int, size: int, dtype: np.dtype[Any]) -> None:
        is_one = scans == batch == 1
        shape = (scans * batch, size)
        self.column_blocks = blocks_for(batch, 4 * size, size) if scans == 1 else 1
        # What f K_i K_f K_g K_o K_c become: dc of the step before, dz, and what dh gives to dc. The
        # dz of one sequence may stay there; others are brought into rows.
        parts = np.empty((steps + 1 if is_one else 1, 6, *shape), dtype)
        if is_one:
            self.dz = parts[:-1, 1:5].reshape(1, steps, 1, 4 * size)
        else:
            self.dz = memory.empty((scans, steps, batch, 4 * size), dtype)
        dy = memory.empty((steps, *shape), dtype)
        self.dy = list(dy.reshape(steps, scans, batch, size).swapaxes(0, 1))
        self.dh = np.empty(shape, dtype)
        self.dc = np.empty(shape, dtype)
        own = [parts[t if is_one else 0] for t in range(steps + 1)]
        self.carried = [part[0].reshape(scans, batch, size) for part in own]
        self.nbytes = parts.nbytes + dy.nbytes + (0 if is_one else self.dz.nbytes)
        columns = self.dh.reshape(scans, batch, self.column_blocks, -1).transpose(0, 2, 1, 3)
        self.views: list[tuple[Any, ...]] = []
        for t in range(steps):
            part, rows = own[t], self.dz[:, t]
            if scans == self.column_blocks == 1:
                multiply: Any = rows[0].dot
                product = self.dh
            else:
                multiply = partial(np.matmul, rows[:, None])
                product = columns
            place = rows.reshape(scans, batch, 4, size).transpose(2, 0, 1, 3)
            self.views.append(
                (
                    dy[t], part[4:], part[5], own[t + 1][0], part[:4],
                    None if is_one else place, part[1:5].reshape(place.shape), multiply, product,
                )
            )  # fmt: skip


_kept: dict[tuple[Any, ...], Any] = {}


def forward_for(
    length: int, scans: int, batch: int, inputs: int, size: int, dtype: np.dtype[Any]
) -> Forward:
    """Memory for blocks of a sequence of so many steps; to be given back to `keep`."""
    of_a_step = scans * batch * (15 * size + inputs) * dtype.itemsize
    return _taken(Forward, length, _BLOCK_BYTES // of_a_step, scans, batch, inputs, size, dtype)


def backward_for(length: int, scans: int, batch: int, size: int, dtype: np.dtype[Any]) -> Backward:
    """The same."""
    return _taken(Backward, length, _BLOCK_ROWS // batch, scans, batch, size, dtype)


def _taken(kind: Any, length: int, most: int, *sizes: Any) -> Any:
    # Powers of two, so that sequences of many lengths share memory.
    steps = min(max(1, min(_MOST_STEPS, most)), 1 << (length - 1).bit_length())
    key = (kind, steps, *sizes)
    own = _kept.pop(key, None)  # nobody else may take it meanwhile
    if own is None:
        own = kind(steps, *sizes)
        own.key = key
    return own


def keep(own: Any) -> None:
    """Keep memory for the next call, if it is small."""
    if own.nbytes <= _LARGEST_KEPT:
        _kept[own.key] = own
        if len(_kept) > _MOST_KEPT:
            _kept.pop(next(iter(_kept)), None)
