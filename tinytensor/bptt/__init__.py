"""Backpropagation through time, in the learner's hands: how far back a loss flows, what it did."""

from . import by_hand
from .comparison import Comparison, compare
from .gradients import CellPath
from .record import Record, RecordedLayer, record
from .scans import Scan
from .spectrum import LagSpectrum
from .truncated import Window, truncated
from .truncation import Truncation
from .view import CellTerms, View

__all__ = [
    "CellPath",
    "CellTerms",
    "Comparison",
    "LagSpectrum",
    "Record",
    "RecordedLayer",
    "Scan",
    "Truncation",
    "View",
    "Window",
    "by_hand",
    "compare",
    "record",
    "truncated",
]
