"""What the lines about indices and views say, done in NumPy element by element.

v is as for `lines_by_hand`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import tinytensor as tt


def along(array: Any, dim: int) -> tuple[Any, int]:
    """The array and the axis, a 0-d one as a line."""
    return (np.reshape(array, 1), 0) if np.ndim(array) == 0 else (np.asarray(array), dim)


def at_zeros(shape: Any, write: Callable[[Any], Any]) -> Any:
    zeros = np.zeros(shape)
    write(zeros)
    return zeros


def pointed_at(v: Any, shape: Any) -> list[tuple[Any, Any]]:
    """(place in index, place in x) of an operation that reads or writes at an index."""
    index, dim = along(v.index, v.dim)
    rank = len(shape) or 1
    pairs = []
    for place in np.ndindex(*index.shape):
        target = list(place) if index.ndim == rank else [0] * rank
        target[dim] = index[place]
        pairs.append((place, tuple(target) if shape else ()))
    return pairs


def gathered(v: Any) -> Any:
    g, _ = along(v.g, 0)
    found = np.zeros(v.shape_x.shape)
    for place, target in pointed_at(v, v.shape_x.shape):
        found[target] += g[place]
    return found


def scattered_source(v: Any) -> Any:
    found = np.zeros(v.shape_source.shape or (1,))
    for place, target in pointed_at(v, v.g.shape):
        found[place] = v.g[target]
    return found.reshape(v.shape_source.shape)


def scattered_over(v: Any) -> Any:
    found = np.array(v.g)
    for _, target in pointed_at(v, v.g.shape):
        found[target] = 0
    return found


def extremes(v: Any, of_source: bool) -> Any:
    """g of each place, in equal parts to all that it was chosen from."""
    x, source = np.array(v.x), np.array(v.source)
    gx, g_source = np.zeros(x.shape), np.zeros(source.shape)
    pairs = pointed_at(v, x.shape)
    for target in np.ndindex(*x.shape):
        rivals = [place for place, at in pairs if at == target and source[place] == v.y[target]]
        own = x[target] == v.y[target]
        part = v.g[target] / (len(rivals) + own)
        gx[target] = part if own else 0
        for place in rivals:
            g_source[place] = part
    return g_source if of_source else gx


def view_places(v: Any, shape: Any) -> Any:
    """Which elements of a base a view shows."""
    return v.path.replay(tt.arange(math.prod(shape)).reshape(shape)).numpy()


def unwritten(v: Any) -> Any:
    found = np.array(v.g).reshape(-1)
    found[view_places(v, v.g.shape).reshape(-1)] = 0
    return found.reshape(v.g.shape)


def by_row(v: Any) -> Any:
    found = np.zeros(v.shape_weight.shape)
    for place in np.ndindex(*np.shape(v.index)):
        if np.asarray(v.index)[place] != v.padding_idx:
            found[np.asarray(v.index)[place]] += v.g[place]
    return found


def by_place(v: Any) -> Any:
    keep = np.asarray(v.index) != v.padding_idx
    return np.asarray(v.g)[v.index] * keep[..., None]
