"""What a record holds, as pictures. Each is numbers first (`.data`), drawn by matplotlib."""

from .heatmap import gradient_heatmap
from .lags import lag_matrix, spectrum
from .picture import Picture
from .saturation import saturation
from .states import states_over_time
from .truncation import truncation
from .weights import weight_gradients

__all__ = [
    "Picture",
    "gradient_heatmap",
    "lag_matrix",
    "saturation",
    "spectrum",
    "states_over_time",
    "truncation",
    "weight_gradients",
]
