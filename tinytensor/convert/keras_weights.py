"""The weights of recurrent layers from and to Keras, as what its `get_weights` gives.

Keras multiplies from the right, so its kernel (I, 4H) and recurrent kernel (H, 4H) are our weights
transposed. Its LSTM and SimpleRNN have one bias, the sum of our two; its GRU has two, stacked.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..dtypes import Array
from ..nn.recurrent import RNNBase
from ..tensor import Tensor
from .scans import GRU, LSTM, RNN, Scan, floating, regrouped, scans_of, state_dict_of

# r z n to z r h, and back. An LSTM's i f g o is Keras' i f c o.
_ORDER = {LSTM: None, GRU: (1, 0, 2), RNN: None}


def to_keras(layer: RNNBase) -> list[list[Array]]:
    """The weights of an LSTM, GRU or RNN for Keras: a list for each layer, for its `set_weights`.

        for keras_layer, weights in zip(keras_layers, to_keras(layer)):
            keras_layer.set_weights(weights)

    layer : L layers with biases or without (`use_bias=False`); of a bidirectional one each list is
        that of a keras.layers.Bidirectional, forward weights first
    Returns copies: kernel (I, blocks · H), recurrent kernel (H, blocks · H), bias; of a GRU for
    reset_after=True, which is Keras' default. nn.RNN(nonlinearity="relu") is SimpleRNN with
    activation="relu". Keras' layers give all steps with return_sequences=True.

    Raises TypeError for another module, ValueError for an LSTM with a projection.
    """
    return [
        [array for scan in scans for array in _keras_scan(scan)]
        for scans in scans_of("to_keras", layer)
    ]


def _keras_scan(scan: Scan) -> list[Array]:
    order = _ORDER[scan.blocks]
    found = [np.ascontiguousarray(regrouped(w, order).T) for w in (scan.w_ih, scan.w_hh)]
    if scan.b_ih is None:
        return found
    b_hh = np.zeros_like(scan.b_ih) if scan.b_hh is None else scan.b_hh
    if scan.blocks == GRU:
        return [*found, np.stack([regrouped(b, order) for b in (scan.b_ih, b_hh)])]
    return [*found, scan.b_ih + b_hh]


def from_keras(weights: Sequence[Sequence[Any]]) -> OrderedDict[str, Tensor]:
    """Weights of Keras' LSTM, GRU or SimpleRNN layers as the `state_dict` of one of ours.

        lstm = nn.LSTM(I, H, num_layers=len(keras_layers))
        lstm.load_state_dict(from_keras([k.get_weights() for k in keras_layers]))

    weights : a list for each layer, from the lowest on, as `get_weights` gives it; 2 or 3 arrays,
        or the 4 or 6 of a keras.layers.Bidirectional with merge_mode="concat"
    Which layer it is shows in the shapes. A bias b becomes b_ih = b, b_hh = 0; a GRU's two stay.
    A `keras.layers.LSTM` with other activations than tanh and sigmoid has no counterpart.

    Raises ValueError for arrays that are no such weights (a GRU of reset_after=False is none: its
    reset gate acts before the product), TypeError for arrays of other types than floats.
    """
    return state_dict_of([_scans(number, arrays) for number, arrays in enumerate(weights)])


def _scans(number: int, weights: Sequence[Any]) -> list[Scan]:
    """The scans of one layer of Keras'."""
    what = f"the weights of layer {number}"
    arrays = [floating("from_keras", what, array) for array in weights]
    if len(arrays) not in (2, 3, 4, 6):
        raise ValueError(
            f"from_keras: expected {what} to be 2 or 3 arrays, or 4 or 6 of a Bidirectional, got "
            f"{len(arrays)}; pass a list of get_weights() for each layer"
        )
    each = len(arrays) if len(arrays) < 4 else len(arrays) // 2
    return [_scan(what, *arrays[k : k + each]) for k in range(0, len(arrays), each)]


def _scan(what: str, kernel: Array, recurrent: Array, bias: Array | None = None) -> Scan:
    shapes = ", ".join(str(a.shape) for a in (kernel, recurrent, bias) if a is not None)
    if kernel.ndim != 2 or recurrent.ndim != 2 or kernel.shape[1] != recurrent.shape[1]:
        raise ValueError(
            f"from_keras: expected {what} to be a kernel (I, blocks · H) and a recurrent kernel "
            f"(H, blocks · H), got shapes {shapes}"
        )
    size, columns = recurrent.shape
    blocks = columns // size if size else 0
    if blocks not in _ORDER or blocks * size != columns:
        raise ValueError(
            f"from_keras: expected {what} to have 4H columns (LSTM), 3H (GRU) or H (SimpleRNN), "
            f"got {columns} for H = {size}"
        )
    order = _ORDER[blocks]
    w_ih, w_hh = regrouped(kernel.T, order), regrouped(recurrent.T, order)
    if bias is None:
        return Scan(w_ih, w_hh, None, None)
    expected = (2, columns) if blocks == GRU else (columns,)
    if bias.shape != expected:
        cure = "; a GRU needs reset_after=True" if blocks == GRU else ""
        raise ValueError(
            f"from_keras: expected {what} to have a bias of shape {expected}, got {bias.shape}"
            f"{cure}"
        )
    if blocks != GRU:
        return Scan(w_ih, w_hh, bias, np.zeros_like(bias))
    return Scan(w_ih, w_hh, regrouped(bias[0], order), regrouped(bias[1], order))
