"""The memory in which the steps of an LSTM walk, and the views that each step has of it.

A small step costs NumPy little more than its calls, so the memory is laid out for few of them, and
the views are made once: for a block of steps, which all blocks of a sequence share, and where the
block is not large for the next call with the same sizes too.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np

from .. import memory
from ..dtypes import Array
from .blocks import blocks_for, is_quick, parts_for

_BLOCK_BYTES = 3 << 18  # of a block forward: what a core's cache holds beside the weights
_BLOCK_ROWS = 640  # of a block backward, whose products should be large
_LARGE_PRODUCT = 1 << 19  # multiplications, from which on it pays that rows start at a line
_LONGEST_READ = 1024  # numbers of a row of x, h and 1, from which on x and 1 are apart
_LARGE_GATE = 1024  # numbers, from which on memory takes longer than calls
_MOST_STEPS = 64  # of a block: views take memory too
_MOST_KEPT = 16  # for as many kinds of walks
_LARGEST_KEPT = 1 << 22  # bytes


class Forward:
    """Memory for some steps of scans that walk at once.

    slots : (steps + 1, 5, scans, N, H), o i f g c, with c the cell that the step starts from
    products : (steps, 2 or 3, scans, N, H), i g, f c and, where gates are large, h in one piece
    reads : (scans, steps + 1, N, I + H + 1), x, the h that the step starts from, and 1
    h : that part of it; h_first, c_first : what the first step starts from
    factors : (steps, 6, scans, N, H), f K_i K_f K_g K_o K_c; in place of K_c first tanh c
    is_one : whether there is one scan of one sequence
    is_large : whether a step is, so that memory takes longer than calls
    apart : whether W_ih x is no part of a step's product
    rest : (steps that factors are made for at once, 3, scans, N, H), 1 - o, 1 - i and 1 - f
    half, one : 1/2 in each place of o i f, flat, or 1/2; and 1
    w_step : what a step multiplies with what it reads, o i f g, in blocks of columns, (scans, 4,
        blocks, 1, rows, columns), or (rows, 4H) for one sequence
    w_places : of each scan where to put the parts of that for x, h and 1, as i f g o, (rows, 4,
        blocks, columns), or for one sequence (rows, 4H), before `use_places`; those for x and 1
        are None where they are apart
    gate_scale : that of the gates' arguments, of the shape of a row of these
    views : of each step, see `lstm_walk.walk_forward`
    """

    def __init__(
        self, steps: int, scans: int, batch: int, inputs: int, size: int, dtype: np.dtype[Any]
    ) -> None:
        self.inputs = inputs
        self.is_one = scans == batch == 1
        read = inputs + size + 1
        blocks = blocks_for(batch, read, size)
        parts = parts_for(batch, read, size // blocks)
        self.apart = read > _LONGEST_READ or not is_quick(batch // parts, read, size // blocks)
        if self.apart:
            blocks = blocks_for(batch, size, size)
            parts = parts_for(batch, size, size // blocks)
        self._parts = parts
        rows = size if self.apart else read
        # Weights come as i f g o: with room for another o in front.
        if self.is_one:
            w = memory.aligned((rows, 5 * size), dtype)
            self.w_step = memory.aligned((rows, 4 * size), dtype)
            self._moves = [(w[:, :size], w[:, -size:]), (self.w_step, w[:, :-size])]
            by_scan = [w[:, size:]]
        else:
            w = memory.aligned_rows((5, scans, blocks, rows, size // blocks), dtype)
            self.w_step = w[:4].swapaxes(0, 1)[:, :, :, None]
            self._moves = [(w[0], w[4])]
            by_scan = list(w[1:].transpose(1, 3, 0, 2, 4))
        self.w_places: list[tuple[Array | None, Array, Array | None]] = [
            (None, place, None) if self.apart else (place[:inputs], place[inputs:-1], place[-1])
            for place in by_scan
        ]
        gate = scans * batch * size
        self.is_large = is_large = gate >= _LARGE_GATE
        self.half = np.full(() if is_large else 3 * gate, 0.5, dtype)
        self.one = np.array(1, dtype)  # quicker than what has no dtype yet
        self.gate_scale = scale_and_shift(size, dtype)[0].reshape(by_scan[0].shape[1:])
        self.slots = memory.aligned((steps + 1, 5, scans, batch, size), dtype)
        self.products = memory.aligned((steps, 3 if is_large else 2, scans, batch, size), dtype)
        self.reads = np.empty((scans, steps + 1, batch, read), dtype)
        self.reads[..., -1] = 1
        self.h = self.reads[..., inputs:-1]
        self.h_first, self.c_first = self.h[:, 0], self.slots[0, 4]
        self.factors = memory.aligned((steps, 6, scans, batch, size), dtype)
        self.rest = memory.aligned((1 if is_large else steps, 3, scans, batch, size), dtype)
        self.views = [self._step(t) for t in range(steps)]
        self._blocks: dict[int, Block] = {}
        own = self.slots, self.products, self.reads, self.factors, self.rest, w
        self.is_small = sum(part.nbytes for part in own) <= _LARGEST_KEPT

    def _step(self, t: int) -> tuple[Any, ...]:
        slots = self.slots[t]
        scans, size = slots.shape[1], slots.shape[3]
        rows = (self.h if self.apart else self.reads)[:, t]
        z = slots[:4]
        if self.is_one:
            multiply: Any = rows[0].dot  # quicker to call than np.matmul
            product = z.reshape(1, 4 * size)
        else:
            # By scan, gate, block of columns, part of the batch.
            by_part = rows.reshape(scans, self._parts, -1, rows.shape[2])
            multiply = partial(np.matmul, by_part[:, None, None])
            _, _, blocks, _, _, width = self.w_step.shape
            columns = z.reshape(4, scans, self._parts, -1, blocks, width)
            product = columns.transpose(1, 0, 4, 2, 3, 5)
        products = self.products[t]
        i_g, f_c = products[:2].reshape(2, -1)
        c_next = self.slots[t + 1, 4].reshape(-1)
        o, tanh_c, h = slots[0], self.factors[t, 5], self.h[:, t + 1]
        tanh_flat = tanh_c.reshape(-1)
        h_rows = h_t = None
        if self.is_large:  # in one piece first, which the factors are made of, then into rows
            h_rows, h_t = h, products[2]
            o, tanh_c, h = o.reshape(-1), tanh_flat, h_t.reshape(-1)
        elif scans == 1:
            o, tanh_c, h = o[0], tanh_c[0], h[0]
        return (
            multiply, product, z, z.reshape(-1), slots[:3].reshape(-1), slots[1:3].reshape(-1),
            slots[3:].reshape(-1), products[:2].reshape(-1), i_g, f_c, c_next, tanh_flat, o, tanh_c,
            h, h_rows, h_t,
        )  # fmt: skip

    def use_places(self) -> None:
        """Have the steps use the weights that are in their places now."""
        for to, part in self._moves:
            np.copyto(to, part)

    def block(self, count: int) -> Block:
        """The first steps at once."""
        if count not in self._blocks:
            self._blocks[count] = self._block(count)
        return self._blocks[count]

    def _block(self, count: int) -> Block:
        most = len(self.rest)
        h = self.h[:, 1 : count + 1]
        return Block(
            list(self.reads[:, :count, :, : self.inputs]),
            list(self.products[:count, 2].swapaxes(0, 1) if self.is_large else h),
            self.h[:, count],
            self.slots[count, 4],
            self.reads[:, :count],
            self.factors[:count],
            [self._gates(start, min(count, start + most)) for start in range(0, count, most)],
        )

    def _gates(self, start: int, stop: int) -> Gates:
        # Flat, as few dimensions are quicker; h is so only where it is large, or of one sequence.
        count = stop - start
        slots = self.slots[start:stop].reshape(count, 5, -1)
        products = self.products[start:stop].reshape(count, self.products.shape[1], -1)
        factors = self.factors[start:stop].reshape(count, 6, -1)
        rest = self.rest[:count].reshape(count, 3, -1)
        h = self.h[:, start + 1 : stop + 1].swapaxes(0, 1)
        of_h: list[Array] = [self.rest[:count, 0], h, *self.factors[start:stop, 4:].swapaxes(0, 1)]
        if self.is_large:
            of_h = [rest[:, 0], products[:, 2], factors[:, 4], factors[:, 5]]
        elif self.is_one:
            of_h = [part[:, 0, 0] for part in of_h]
        rest_o, h, k_o, k_c = of_h
        flat: list[Array] = [slots[:, :3], products[:, :2], rest, rest[:, 1:], factors[:, 1:3]]
        if count == 1:
            flat = [part.reshape(-1) for part in flat]
        oif, ig_fc, rest, rest_if, k_if = flat
        return Gates(
            oif=oif,
            o_i=slots[:, :2],
            f=slots[:, 2],
            g=slots[:, 3],
            ig=products[:, 0],
            ig_fc=ig_fc,
            h=h,
            rest=rest,
            rest_if=rest_if,
            rest_o=rest_o,
            f_out=factors[:, 0],
            k_if=k_if,
            k_g=factors[:, 3],
            k_o=k_o,
            k_c=k_c,
            k_c_g=factors[:, 5:1:-2],
        )


@lru_cache(maxsize=16)
def scale_and_shift(gate: int, dtype: np.dtype[Any]) -> tuple[Array, Array]:
    """What leads from tanh to i f g o, y scale + shift, for gates of so many numbers, flat.

    The arguments of the gates have the same scale.
    """
    scale = np.full((4, gate), 0.5, dtype)
    shift = scale.copy()
    scale[2] = 1
    shift[2] = 0
    return scale.reshape(-1), shift.reshape(-1)


class Block(NamedTuple):
    """Views of the first steps of `Forward` at once: of x and h by scan, of gates in parts."""

    x: list[Array]
    h_out: list[Array]
    h_last: Array
    c_last: Array
    reads: Array
    factors: Array
    gates: list[Gates]


class Gates(NamedTuple):
    """Views of what the factors of some steps are made of, and of these; steps come first."""

    oif: Array
    o_i: Array
    f: Array
    g: Array
    ig: Array
    ig_fc: Array
    h: Array
    rest: Array
    rest_if: Array
    rest_o: Array
    f_out: Array
    k_if: Array
    k_g: Array
    k_o: Array
    k_c: Array
    k_c_g: Array


class Backward:
    """Memory for some steps back of scans that walk at once.

    dz : (scans, steps, N, 4H)
    dy : (steps, scans, N, H), for more than one scan
    dh, dc : (scans · N · H,), of the step that is walking
    dh_rows : the former as (N, H), or (scans, N, H)
    carried : of each step, and of the one after the last, what it leaves to dc of the one before
    quick_call : whether a step's product is one of `ndarray.dot`
    w_back : what a step multiplies dz with, in blocks of columns, (scans, 1, blocks, 1, 4H,
        columns), or (scans, 4, blocks, 1, H, columns), or (4H, H) for `quick_call`
    w_places : of each scan its part of that, as W_hh stands
    views : of each step, see `lstm_walk.walk_backward`
    """

    def __init__(self, steps: int, scans: int, batch: int, size: int, dtype: np.dtype[Any]) -> None:
        is_one = scans == batch == 1
        numbers = scans * batch * size
        gates = blocks = row_parts = 1
        if scans == 1:
            blocks = blocks_for(batch, 4 * size, size)
            by_gate = blocks_for(batch, size, size)
            if blocks == 1 < by_gate:  # all gates at once are too much for the quick way
                gates, blocks = 4, by_gate
            row_parts = parts_for(batch, 4 * size // gates, size // blocks)
        inner, width = 4 * size // gates, size // blocks
        # For few rows the quick call, for which the weight lies in one piece, is worth more.
        self.quick_call = scans == blocks == 1 and 4 * size * numbers < _LARGE_PRODUCT
        allocate = memory.aligned if self.quick_call else memory.aligned_rows
        self.w_back: Array = allocate((scans, gates, blocks, 1, inner, width), dtype)
        self.w_places = list(self.w_back[:, :, :, 0].transpose(0, 1, 3, 2, 4))
        if self.quick_call:
            self.w_back = self.w_back[0, 0, 0, 0]
        # What f K_i K_f K_g K_o K_c become: dc of the step before, dz, and what dh gives to dc. The
        # dz of one sequence may stay there; others are brought into rows.
        parts = memory.aligned((steps + 1 if is_one else 1, 6, numbers), dtype)
        if is_one:
            self.dz = parts[:-1, 1:5].reshape(1, steps, 1, 4 * size)
        else:
            self.dz = memory.empty((scans, steps, batch, 4 * size), dtype)
        self.dy = memory.empty((steps if scans > 1 else 0, scans, batch, size), dtype)
        self._rows: dict[int, list[Array]] = {}
        self.dh = memory.aligned((numbers,), dtype)
        self.dc = memory.aligned((numbers,), dtype)
        self.dh_rows = self.dh.reshape((scans, batch, size)[scans == 1 :])
        own = [parts[t if is_one else 0] for t in range(steps + 1)]
        self.carried = [part[0].reshape(scans, batch, size) for part in own]
        all_of_it = parts, self.dy, self.w_back, self.dz
        self.is_small = sum(part.nbytes for part in all_of_it) <= _LARGEST_KEPT
        products = memory.aligned((gates, numbers), dtype) if gates > 1 else self.dh[None]
        columns = products.reshape(gates, scans, row_parts, -1, blocks, width)
        columns = columns.transpose(1, 0, 4, 2, 3, 5)
        self.views: list[tuple[Any, ...]] = []
        for t in range(steps):
            part, rows = own[t], self.dz[:, t]
            if self.quick_call:
                multiply: Any = rows[0].dot
                product: Any = self.dh_rows
            else:
                by_part = rows.reshape(scans, row_parts, -1, gates, inner).transpose(0, 3, 1, 2, 4)
                multiply = partial(np.matmul, by_part[:, :, None])
                if gates > 1:
                    multiply = partial(_summed, multiply, products, self.dh)
                product = columns
            place = rows.reshape(scans, batch, 4, size).transpose(2, 0, 1, 3)
            self.views.append(
                (
                    part[4:], part[5], own[t + 1][0], part[:4],
                    None if is_one else place, part[1:5].reshape(place.shape), multiply, product,
                )
            )  # fmt: skip

    def dz_rows(self, count: int) -> list[Array]:
        """dz of the first steps, of each scan in rows."""
        if count not in self._rows:
            columns = self.dz.shape[3]
            self._rows[count] = [part.reshape(-1, columns) for part in self.dz[:, :count]]
        return self._rows[count]


def _summed(multiply: Any, products: Array, total: Array, weight: Array, places: Array) -> None:
    """The products with the weight of each gate, which go to places in memory, and their sum."""
    multiply(weight, places)
    np.add.reduce(products, 0, out=total)


_kept: dict[tuple[Any, ...], Any] = {}


def forward_for(
    length: int, scans: int, batch: int, inputs: int, size: int, dtype: np.dtype[Any]
) -> Forward:
    """Memory for blocks of a sequence of so many steps; to be given back to `keep`."""
    of_a_step = scans * batch * (15 * size + inputs) * dtype.itemsize
    return _taken(Forward, length, _BLOCK_BYTES // of_a_step, dtype, scans, batch, inputs, size)


def backward_for(length: int, scans: int, batch: int, size: int, dtype: np.dtype[Any]) -> Backward:
    """The same."""
    return _taken(Backward, length, _BLOCK_ROWS // batch, dtype, scans, batch, size)


def _taken(kind: Any, length: int, most: int, dtype: np.dtype[Any], *sizes: int) -> Any:
    # Powers of two, so that sequences of many lengths share memory.
    steps = max(1, min(_MOST_STEPS, most, 1 << (length - 1).bit_length()))
    key = (kind, steps, *sizes, dtype.char)
    own = _kept.pop(key, None)  # nobody else may take it meanwhile
    if own is None:
        own = kind(steps, *sizes, dtype)
        own.key = key
    return own


def keep(own: Any) -> None:
    """Keep memory for the next call, if it is small."""
    if own.is_small:
        _kept[own.key] = own
        if len(_kept) > _MOST_KEPT:
            _kept.pop(next(iter(_kept)), None)
