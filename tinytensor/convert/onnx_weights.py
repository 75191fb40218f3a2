"""The weights of recurrent layers from and to those of ONNX's LSTM, GRU and RNN operators."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..dtypes import Array
from ..nn.recurrent import RNNBase
from ..tensor import Tensor
from .scans import GRU, LSTM, RNN, Scan, floating, regrouped, scans_of, state_dict_of

# i f g o to i o f c, and r z n to z r h; and back.
_ORDER = {LSTM: (0, 3, 1, 2), GRU: (1, 0, 2), RNN: None}
_BACK = {LSTM: (0, 2, 3, 1), GRU: (1, 0, 2), RNN: None}


class OnnxWeights(NamedTuple):
    """The inputs W, R and B of one ONNX operator, with D = 1 or 2 directions.

    W : (D, blocks · H, I), R : (D, blocks · H, H), B : (D, 2 · blocks · H) or None, the two biases
    one after the other
    """

    W: Array
    R: Array
    B: Array | None


def to_onnx_weights(layer: RNNBase) -> list[OnnxWeights]:
    """The weights of an LSTM, GRU or RNN for ONNX: those of one operator for each layer, in copies.

    A GRU's are for linear_before_reset=1. bias="single" leaves the second half of B zero.

    Raises TypeError for another module, ValueError for an LSTM with a projection.
    """
    return [stacked(scans) for scans in scans_of("to_onnx_weights", layer)]


def stacked(scans: Sequence[Scan]) -> OnnxWeights:
    """The directions of one layer for its ONNX operator."""
    order = _ORDER[scans[0].blocks]
    w = np.stack([regrouped(scan.w_ih, order) for scan in scans])
    r = np.stack([regrouped(scan.w_hh, order) for scan in scans])
    return OnnxWeights(w, r, _stacked_biases(scans, order))


def _stacked_biases(scans: Sequence[Scan], order: Sequence[int] | None) -> Array | None:
    found = []
    for scan in scans:
        if scan.b_ih is None:
            return None
        b_hh = np.zeros_like(scan.b_ih) if scan.b_hh is None else scan.b_hh
        found.append(np.concatenate([regrouped(b, order) for b in (scan.b_ih, b_hh)]))
    return np.stack(found)


def from_onnx_weights(weights: Sequence[Sequence[Any]]) -> OrderedDict[str, Tensor]:
    """W, R and B of ONNX operators, lowest layer first, as the `state_dict` of one of our layers.

        lstm.load_state_dict(from_onnx_weights([(W, R, B)]))

    weights : for each layer (W, R, B), B None where there is none; see `OnnxWeights`
    Which layer it is shows in the shapes. A GRU's must be those of linear_before_reset=1; peepholes
    and other activations than the default have no counterpart.

    Raises ValueError for shapes that do not fit, TypeError for arrays of other types than floats.
    """
    return state_dict_of([_scans(number, arrays) for number, arrays in enumerate(weights)])


def _scans(number: int, arrays: Sequence[Any]) -> list[Scan]:
    """The directions of one ONNX operator."""
    if len(arrays) not in (2, 3):
        raise ValueError(
            f"from_onnx_weights: expected layer {number} as (W, R, B), got {len(arrays)} arrays"
        )
    given = [
        None if array is None else floating("from_onnx_weights", f"{name} of layer {number}", array)
        for name, array in zip("WRB", arrays, strict=False)
    ]
    w, r, b = (*given, None)[:3]
    blocks = _blocks(w, r, b)
    if w is None or r is None or not blocks:
        shapes = ", ".join("None" if a is None else str(a.shape) for a in given)
        raise ValueError(
            f"from_onnx_weights: expected layer {number} as W (D, blocks · H, I), R (D, blocks · H,"
            f" H) and B (D, 2 · blocks · H) or None with 4, 3 or 1 blocks, got shapes {shapes}"
        )
    order = _BACK[blocks]
    found = []
    for direction in range(len(w)):
        biases: tuple[Array | None, ...] = (None, None)
        if b is not None:
            biases = tuple(regrouped(half, order) for half in np.split(b[direction], 2))
        scan = Scan(regrouped(w[direction], order), regrouped(r[direction], order), *biases)
        found.append(scan)
    return found


def _blocks(w: Array | None, r: Array | None, b: Array | None) -> int:
    """How many blocks the rows have; 0 if the shapes do not fit."""
    if w is None or r is None or w.ndim != 3 or r.ndim != 3 or w.shape[:2] != r.shape[:2]:
        return 0
    directions, rows, size = r.shape
    if b is not None and b.shape != (directions, 2 * rows):
        return 0
    blocks = rows // size if size else 0
    return blocks if directions in (1, 2) and blocks in _ORDER and blocks * size == rows else 0
