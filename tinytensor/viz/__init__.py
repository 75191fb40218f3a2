"""A recorded graph as a picture: `graph(loss)`. It reads the graph and never runs a model."""

from .dot import to_text as to_dot
from .drawing import Drawing, graph
from .engine import LayoutError
from .extract import extract

__all__ = ["Drawing", "LayoutError", "extract", "graph", "to_dot"]
