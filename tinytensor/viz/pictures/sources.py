"""What a picture is made from: a record, one call of a layer, or one layer in one direction."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from ...bptt import Record, RecordedLayer, View
from ...dtypes import Array
from .style import plain

Source: TypeAlias = Record | RecordedLayer | View
Key: TypeAlias = tuple[str, int, str]


def views_of(source: Source, name: str) -> dict[Key, View]:
    """(path, layer, direction) -> View; of a record the last call of each module.

    Raises TypeError for what is no record, ValueError for one of nothing.
    """
    if isinstance(source, View):
        views = [source]
    elif isinstance(source, RecordedLayer):
        views = source.views
    elif isinstance(source, Record):
        views = [view for path in source.paths for view in source[path].views]
    else:
        raise TypeError(
            f"{name}: expected a record, got {type(source).__name__}; pass `rec` of "
            "`with bptt.record(model) as rec`, rec[path], or one of its layers"
        )
    if not views:
        raise ValueError(
            f"{name}: expected a record of a recurrent layer, got one of nothing; run a model that "
            "has nn.RNN, nn.LSTM, nn.GRU or one of their cells inside `with bptt.record(model)`"
        )
    return {(v.scan.path, v.scan.layer, v.scan.direction): v for v in views}


def one_view(source: Source, name: str) -> View:
    """The one layer and direction that there is. Raises ValueError where there are several."""
    views = views_of(source, name)
    if len(views) > 1:
        path, layer, direction = list(views)[-1]
        raise ValueError(
            f"{name}: expected one layer in one direction, got {len(views)}; "
            f"choose one, as rec[{path!r}].layer({layer}, {direction!r})"
        )
    (view,) = views.values()
    return view


def with_backward(views: dict[Key, View]) -> dict[Key, View]:
    """Those that a backward pass came through. Raises RuntimeError where there are none."""
    found = {key: view for key, view in views.items() if view.scan.dz is not None}
    if not found:
        for view in views.values():
            view.scan.backward_ran()
    return found


def name_of(view: View, most: int = 40) -> str:
    """ "encoder.lstm, layer 1, reverse"; the kind where the layer is the whole model.

    most : letters of the path
    """
    scan = view.scan
    return f"{_module(view, most)}, layer {scan.layer}, {scan.direction}"


def short_names(views: dict[Key, View]) -> dict[Key, str]:
    """ "encoder.lstm 1 ←"; without the layer's number where the module has one layer only."""
    layers: dict[str, set[int]] = {}
    for path, layer, _ in views:
        layers.setdefault(path, set()).add(layer)
    return {
        key: f"{_module(view)}{f' layer {key[1]}' if len(layers[key[0]]) > 1 else ''} "
        f"{'←' if view.scan.reverse else '→'}"
        for key, view in views.items()
    }


def _module(view: View, most: int = 40) -> str:
    return plain(view.scan.path, most) or view.scan.kind.split("_")[0].upper()


def there(view: View) -> Array:
    """(T, N): whether a sequence has a step."""
    scan = view.scan
    return scan.padded(np.ones((len(scan.h), 1), bool))[..., 0]


def mean_norms(view: View, values: Array) -> Array:
    """(T, N, features) -> (T,): norm over the features, mean over the sequences that have the step.

    nan where none has it. In double precision, so that no small square is lost.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        norms = np.linalg.norm(values.astype(np.float64), axis=2)
    counts = there(view).sum(axis=1)
    return np.where(counts > 0, norms.sum(axis=1) / np.maximum(counts, 1), np.nan)
