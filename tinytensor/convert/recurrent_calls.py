"""Calls of the recurrent kernels, read as ONNX has them: one operator for each layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..autograd.kernel import Kernel
from ..nn.gru_kernel import gru
from ..nn.lstm_kernel import lstm
from ..nn.rnn_kernel import rnn_relu, rnn_tanh


class Kind(NamedTuple):
    """A kernel and its counterpart.

    operator : ONNX's name
    parts : how many parts the state has
    attributes : what ONNX needs to be told, for each direction where it is a list
    """

    kernel: Kernel
    operator: str
    parts: int
    attributes: dict[str, Any]


KINDS = {
    kind.kernel.name: kind
    for kind in (
        Kind(lstm, "LSTM", 2, {}),
        Kind(gru, "GRU", 1, {"linear_before_reset": 1}),
        Kind(rnn_tanh, "RNN", 1, {"activations": ["Tanh"]}),
        Kind(rnn_relu, "RNN", 1, {"activations": ["Relu"]}),
    )
}


class Arguments(NamedTuple):
    """What a kernel is called with: x, the states, the dropout mask, each scan's weights.

    The first four weights of a scan are W_ih, W_hh, b_ih and b_hh. What comes after them (a
    projection, factors of dropout) no operator has.
    """

    x: Any
    states: tuple[Any, ...]
    mask: Any
    scans: list[tuple[Any, ...]]


def read(kind: Kind, args: Sequence[Any], count: int) -> Arguments:
    """The arguments of a kernel for so many scans."""
    first = 2 + kind.parts
    each = (len(args) - first) // count
    scans = [tuple(args[k : k + each]) for k in range(first, len(args), each)]
    return Arguments(args[0], tuple(args[1 : first - 1]), args[first - 1], scans)


def has_operator(kind: Kind, args: Sequence[Any], static: dict[str, Any]) -> bool:
    """Whether ONNX has an operator for a call on arrays.

    It has none for a projection, dropout between layers or on h, the gates of all steps, and
    sequences that are laid out without padding.
    """
    given = read(kind, args, len(args[1]))
    further = any(weight is not None for scan in given.scans for weight in scan[4:])
    return given.mask is None and not further and not static["keep"] and static["steps"] is None
