"""A recorded graph as a picture, `graph(loss)`; what a record of `bptt` holds, as several."""

from .difference import difference
from .dot import to_text as to_dot
from .drawing import Drawing, graph
from .engine import LayoutError
from .extract import extract
from .page import page
from .pictures import (
    Picture,
    gradient_heatmap,
    lag_matrix,
    saturation,
    spectrum,
    states_over_time,
    truncation,
    weight_gradients,
)
from .values import keep_values

__all__ = [
    "Drawing",
    "LayoutError",
    "Picture",
    "difference",
    "extract",
    "gradient_heatmap",
    "graph",
    "keep_values",
    "lag_matrix",
    "page",
    "saturation",
    "spectrum",
    "states_over_time",
    "to_dot",
    "truncation",
    "weight_gradients",
]
