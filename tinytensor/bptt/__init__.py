"""Backpropagation through time, in the learner's hands: how far back a loss flows, what it did."""

from . import by_hand
from .comparison import Comparison, compare
from .record import Record, RecordedLayer, record
from .scans import Scan
from .truncated import Window, truncated
from .view import View

__all__ = [
    "Comparison",
    "Record",
    "RecordedLayer",
    "Scan",
    "View",
    "Window",
    "by_hand",
    "compare",
    "record",
    "truncated",
]
