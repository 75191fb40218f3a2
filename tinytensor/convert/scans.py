"""The weights of a recurrent layer, scan by scan: what all converters read and write.

A scan is one layer in one direction. Its rows fall into blocks of H, one for each gate:

    tinytensor, torch   LSTM i f g o    GRU r z n
    Keras               LSTM i f c o    GRU z r h    (c and h are g and n; columns in place of rows)
    ONNX                LSTM i o f c    GRU z r h
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..dtypes import Array
from ..nn.recurrent import RNNBase
from ..tensor import Tensor, make

# How many blocks of H rows each kind of layer has.
LSTM, GRU, RNN = 4, 3, 1


class Scan(NamedTuple):
    """The weights of one layer in one direction, in torch's shapes and order.

    w_ih : (blocks · H, I), w_hh : (blocks · H, H), b_ih, b_hh : (blocks · H) or None
    """

    w_ih: Array
    w_hh: Array
    b_ih: Array | None
    b_hh: Array | None

    @property
    def blocks(self) -> int:
        return len(self.w_hh) // self.w_hh.shape[1]


def scans_of(name: str, layer: RNNBase) -> list[list[Scan]]:
    """The scans of an LSTM, GRU or RNN: of each layer those of its one or two directions.

    The arrays are the parameters' own memory. Raises TypeError for anything else, ValueError for an
    LSTM with a projection.
    """
    if not isinstance(layer, RNNBase):
        raise TypeError(f"{name}: expected an LSTM, GRU or RNN, got {type(layer).__name__}")
    if layer.proj_size:
        raise ValueError(
            f"{name}: expected an LSTM without projection, got proj_size={layer.proj_size}; "
            "neither Keras nor ONNX has such a layer"
        )
    suffixes = ("", "_reverse") if layer.bidirectional else ("",)
    return [
        [_scan_of(layer, f"_l{number}{suffix}") for suffix in suffixes]
        for number in range(layer.num_layers)
    ]


def _scan_of(layer: RNNBase, suffix: str) -> Scan:
    def array(stem: str) -> Any:
        parameter = getattr(layer, stem + suffix, None)
        return None if parameter is None else parameter._array

    return Scan(*map(array, ("weight_ih", "weight_hh", "bias_ih", "bias_hh")))


def state_dict_of(layers: Sequence[Sequence[Scan]]) -> OrderedDict[str, Tensor]:
    """The scans under the names of an LSTM's, GRU's or RNN's `state_dict`, in copies."""
    found: OrderedDict[str, Tensor] = OrderedDict()
    for number, scans in enumerate(layers):
        for scan, direction in zip(scans, ("", "_reverse"), strict=False):
            arrays = zip(("weight_ih", "weight_hh", "bias_ih", "bias_hh"), scan, strict=True)
            for stem, array in arrays:
                if array is not None:
                    name = f"{stem}_l{number}{direction}"
                    found[name] = make(np.array(array, order="C"))
    return found


def regrouped(rows: Array, order: Sequence[int] | None) -> Array:
    """The blocks of rows in another order; None for the one that they have."""
    if order is None:
        return rows
    blocks = rows.reshape(len(order), -1, *rows.shape[1:])
    return blocks[list(order)].reshape(rows.shape)


def floating(name: str, what: str, value: Any) -> Array:
    """An array of floating-point numbers. Raises TypeError for any other."""
    array = np.asarray(value)
    if array.dtype not in (np.float16, np.float32, np.float64):
        raise TypeError(
            f"{name}: expected {what} to be an array of float16, float32 or float64, got "
            f"{array.dtype}; convert it by .astype(numpy.float32)"
        )
    return array
