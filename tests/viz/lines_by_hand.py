"""What the lines of the formula table say, done in NumPy, mostly element by element.

A function gets v, which has g, the values that the operation keeps, by their names, `place`, the
number of the input, and `into`, the shape of the gradient that is meant.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from tests.viz.places_by_hand import (
    along,
    at_zeros,
    by_place,
    by_row,
    extremes,
    gathered,
    scattered_over,
    scattered_source,
    unwritten,
    view_places,
)
from tinytensor.viz import formula_table as table


def summed(array: Any, shape: tuple[int, ...]) -> Any:
    """The sum over what was broadcast from a shape."""
    array = np.asarray(array)
    array = array.reshape([1] * (len(shape) - array.ndim) + list(array.shape))
    array = array.sum(axis=tuple(range(array.ndim - len(shape))))
    axes = tuple(i for i, n in enumerate(shape) if n == 1 and array.shape[i] != 1)
    return array.sum(axis=axes, keepdims=True)


def kept(v: Any, value: Any) -> Any:
    """A result with the dimensions back that a reduction took away."""
    shape = v.shape_x.shape if hasattr(v, "shape_x") else v.x.shape
    dim = getattr(v, "dim", None)
    dims = range(len(shape)) if dim is None or dim == () else np.atleast_1d(dim)
    axes = {int(d) % len(shape) for d in dims} if shape else set()
    return np.reshape(value, [1 if i in axes else n for i, n in enumerate(shape)])


def shared(v: Any, chosen: Any) -> Any:
    axes = tuple(i for i, n in enumerate(np.shape(kept(v, v.y))) if n == 1)
    return kept(v, v.g) * chosen / chosen.sum(axis=axes, keepdims=True)


def later(v: Any, weight: Callable[[Any, int, int], Any]) -> Any:
    """dx_k = Σ_(j ≥ k) g_j · weight(line of x and y, j, k), line by line."""
    g, dim = along(v.g, getattr(v, "dim", 0))
    x, _ = along(getattr(v, "x", v.g), 0)
    y, _ = along(getattr(v, "y", v.g), 0)
    found = np.zeros(g.shape)
    rest = [n for i, n in enumerate(g.shape) if i != dim % g.ndim]
    for place in np.ndindex(*rest):
        line = (*place[: dim % g.ndim], slice(None), *place[dim % g.ndim :])
        lines = SimpleNamespace(x=x[line], y=y[line])
        size = g.shape[dim]
        found[line] = [
            sum(g[line][j] * weight(lines, j, k) for j in range(k, size)) for k in range(size)
        ]
    return found.reshape(np.shape(v.g))


def columns(v: Any) -> tuple[Any, Any, Any]:
    """(a, b, g) of a product as matrices; a vector is a row of a, a column of b."""
    a = np.asarray(v.a) if hasattr(v, "a") else np.zeros(v.shape_a.shape)
    b = np.asarray(v.b) if hasattr(v, "b") else np.zeros(v.shape_b.shape)
    g = np.asarray(v.g)
    if b.ndim == 1:
        b, g = b[:, None], g[..., None]
    if a.ndim == 1:
        a, g = a[None, :], g[..., None, :]
    return a, b, g


def left(v: Any) -> Any:
    _, b, g = columns(v)
    found = g @ b.swapaxes(-1, -2)
    found = summed(found, (*v.shape_a.shape[:-2], *found.shape[-2:]))
    return found.reshape(v.shape_a.shape)


def right(v: Any) -> Any:
    a, _, g = columns(v)
    found = a.swapaxes(-1, -2) @ g
    found = summed(found, (*v.shape_b.shape[:-2], *found.shape[-2:]))
    return found.reshape(v.shape_b.shape)


def convolved(v: Any, target: str, **given: Any) -> Any:
    """What the input x, the weight w or the output o gets from the products of the two others."""
    geometry = v.geometry
    shapes = {name: np.shape(array) for name, array in given.items()} | {target: v.into}
    (batch, _, _), (outputs, channels, taps) = shapes["x"], shapes["w"]
    found = np.zeros(v.into)
    ranges = map(range, (batch, outputs, geometry.steps, channels, taps))
    for n, o, t, c, k in itertools.product(*ranges):
        at = geometry.stride * t + geometry.dilation * k - geometry.before
        if 0 <= at < shapes["x"][2]:
            group = o // (outputs // geometry.groups)
            places = {"x": (n, group * channels + c, at), "w": (o, c, k), "o": (n, o, t)}
            factors = [array[places[name]] for name, array in given.items()]
            found[places[target]] += math.prod(factors)
    return found


def rows_of(array: Any) -> Any:
    rows = math.prod(np.shape(array)[:-1])
    return np.reshape(array, (rows, np.shape(array)[-1]))


def others(v: Any) -> Any:
    """The product of all other elements along the reduced dimensions."""
    found = np.ones(v.x.shape)
    reduced = [i for i, n in enumerate(np.shape(kept(v, v.y))) if n == 1]
    for place, other in itertools.product(np.ndindex(*v.x.shape), repeat=2):
        pairs = enumerate(zip(place, other, strict=True))
        if place != other and all(a == b for i, (a, b) in pairs if i not in reduced):
            found[place] *= v.x[other]
    return found


def mean(v: Any) -> Any:
    axes = tuple(i for i, n in enumerate(np.shape(kept(v, v.g))) if n == 1)
    return v.x.mean(axis=axes, keepdims=True)


def count(v: Any) -> int:
    shape = v.shape_x.shape if hasattr(v, "shape_x") else v.x.shape
    return math.prod(shape) // max(math.prod(np.shape(kept(v, v.g))), 1)


def windows(v: Any) -> Any:
    found = np.zeros(v.shape_x.shape or (1,))
    dimension = v.dimension % found.ndim
    lines = np.moveaxis(found, dimension, -1)
    parts = np.moveaxis(np.asarray(v.g), dimension, -2) if v.shape_x.shape else v.g[None]
    for i in range(parts.shape[-2]):
        lines[..., i * v.step : i * v.step + v.size] += parts[..., i, :]
    return found.reshape(v.shape_x.shape)


def folded(v: Any) -> Any:
    views = np.lib.stride_tricks.sliding_window_view(v.g, v.size, axis=v.dimension)
    return np.take(views, range(0, views.shape[v.dimension], v.step), v.dimension)


def parts_of(v: Any) -> list[Any]:
    return [np.zeros(n) if g is None else g for g, n in zip(v.g, v.node.shape, strict=True)]


def stretches(v: Any) -> Any:
    sizes = [s.shape[v.dim] if s.shape != (0,) else 0 for s in v.shape_tensors]
    dim = v.dim if np.any(sizes) else 0
    found = np.split(v.g, np.cumsum(sizes)[:-1], dim)[v.place]
    return found.reshape(v.shape_tensors[v.place].shape)


def diagonal_of_zeros(v: Any) -> Any:
    found = np.zeros(v.shape_x.shape)
    view = np.diagonal(found, v.offset, v.dim1, v.dim2)
    view.flags.writeable = True
    view[...] = v.g
    return found


def rolled(v: Any) -> Any:
    dims = v.dims if v.dims not in ((), None) else None
    return np.roll(v.g, np.negative(v.shifts), dims)


def unpadded(v: Any) -> Any:
    sizes = [n - a - b for n, (a, b) in zip(v.g.shape, v.pairs, strict=True)]
    found = np.zeros(sizes)
    ours = tuple(
        slice(max(0, -a), n - max(0, -b)) for n, (a, b) in zip(sizes, v.pairs, strict=True)
    )
    theirs = tuple(
        slice(max(0, a), n - max(0, b)) for n, (a, b) in zip(v.g.shape, v.pairs, strict=True)
    )
    found[ours] = v.g[theirs]
    return found


def norm_by_power(v: Any) -> Any:
    y = kept(v, v.y)
    return kept(v, v.g) * np.sign(v.x) * (np.abs(v.x) / y) ** (v.ord - 1)


def lowest(v: Any) -> Any:
    return shared(v, (np.abs(v.x) == kept(v, v.y)) * 1.0) * np.sign(v.x)


def reduced(v: Any) -> tuple[int, ...]:
    shape = v.x.shape
    if v.dim in (None, ()) or not shape:
        return tuple(range(len(shape)))
    return tuple(int(d) % len(shape) for d in np.atleast_1d(v.dim))


def total(v: Any, array: Any) -> Any:
    return array.sum(axis=v.dim, keepdims=True) if np.ndim(array) else array


def middle(x: Any) -> Any:
    return np.nan if np.isnan(x).any() else np.sort(x.reshape(-1))[(x.size - 1) // 2]


# Each line of the table with what it says, in NumPy: v has g and, by their names, what is kept.
SAID: dict[str, Callable[[Any], Any]] = {
    "dx = g in the shape of x": lambda v: np.reshape(v.g, v.shape_x.shape),
    "dx = Σ g over what was repeated": lambda v: v.g,
    "dx = g, its dimensions in the old order": lambda v: np.transpose(
        v.g, np.argsort([d % max(v.g.ndim, 1) for d in v.dims])
    ),
    "dx = g, dim0 and dim1 exchanged back": lambda v: (
        np.swapaxes(v.g, v.dim0, v.dim1) if v.g.ndim else v.g
    ),
    "dx = g, flipped back": lambda v: np.flip(v.g, v.dims),
    "dx = g, rolled back": rolled,
    "dtensors[i] = its stretch of g": stretches,
    "dtensors[i] = its slice of g": lambda v: np.take(v.g, v.place, v.dim),
    "dx = the slices' g, stacked": lambda v: np.stack(parts_of(v), v.dim),
    "dx = the parts' g, one after another": lambda v: np.concatenate(parts_of(v), v.dim),
    "dx = g without the padding": unpadded,
    "dx = g on the diagonal, else 0": diagonal_of_zeros,
    "dx = the diagonal of g": lambda v: np.diagonal(v.g, v.offset, v.dim1, v.dim2),
    "dx = g on and below the diagonal, else 0": lambda v: np.tril(v.g, v.diagonal),
    "dx = g on and above the diagonal, else 0": lambda v: np.triu(v.g, v.diagonal),
    "dx = Σ g over the windows that an element is in": windows,
    "dx = the windows of g": folded,
    "dbase = g, 0 where written": unwritten,
    "dvalue = g where written": lambda v: np.asarray(v.g).reshape(-1)[view_places(v, v.g.shape)],
    "dbase = g at the view, else 0": lambda v: at_zeros(
        v.shape_base.shape,
        lambda z: np.put(z, view_places(v, v.shape_base.shape), v.g),
    ),
    "dx = g added at [key], else 0": lambda v: at_zeros(
        v.shape_x.shape, lambda z: np.add.at(z, v.key, v.g)
    ),
    "dx = g[key]": lambda v: v.g[v.key],
    "dx = g, 0 at [key]": lambda v: (
        v.g - at_zeros(v.g.shape, lambda z: z.__setitem__(v.key, v.g[v.key]))
    ),
    "dvalue = g[key]": lambda v: v.g[v.key],
    "dx = g added where index points, else 0": gathered,
    "dx = g": lambda v: v.g,
    "dsource = g where index points": scattered_source,
    "dx = g, 0 where index points": scattered_over,
    "dsource = alpha · g[index]": lambda v: v.alpha * np.take(v.g, v.index, v.dim),
    "dx = g where x was chosen, shared at a tie": lambda v: extremes(v, False),
    "dsource = g where it was chosen, shared at a tie": lambda v: extremes(v, True),
    "dweight[k] = Σ g where index = k, 0 for padding_idx": by_row,
    "dx = g[index], 0 for padding_idx": by_place,
    "dx = g, the same for all that were added": lambda v: np.broadcast_to(
        kept(v, v.g), v.shape_x.shape
    ),
    "dx = g / n, the same for all n": lambda v: np.broadcast_to(
        kept(v, v.g) / max(count(v), 1), v.shape_x.shape
    ),
    "dx = g · (product of the others)": lambda v: kept(v, v.g) * others(v),
    "dx = g at the largest, shared at a tie, else 0": lambda v: shared(
        v, (v.x == kept(v, v.x.max(axis=reduced(v)))) * 1.0
    ),
    "dx = g at the smallest, shared at a tie, else 0": lambda v: shared(
        v, (v.x == kept(v, v.x.min(axis=reduced(v)))) * 1.0
    ),
    "dx = g at the median, shared at a tie, else 0": lambda v: shared(
        v, np.isclose(v.x, middle(v.x), rtol=0, atol=0, equal_nan=True) * 1.0
    ),
    "dx_k = g_k + g_(k+1) + ... + g_n": lambda v: later(v, lambda line, j, k: 1),
    "dx_k = Σ_(j ≥ k) g_j · (product of x_i, i ≤ j, i ≠ k)": lambda v: later(
        v, lambda line, j, k: np.prod(np.delete(line.x[: j + 1], k))
    ),
    "dx_k = Σ_(j ≥ k) g_j · e^(x_k - y_j)": lambda v: later(
        v, lambda line, j, k: np.exp(line.x[k] - line.y[j])
    ),
    "dx = g · e^(x - y)": lambda v: kept(v, v.g) * np.exp(v.x - kept(v, v.y)),
    "dx = y · (g - Σ g · y)": lambda v: v.y * (v.g - total(v, v.g * v.y)),
    "dx = g - e^y · Σ g": lambda v: v.g - np.exp(v.y) * total(v, v.g),
    "dx = 2 · g · (x - mean) / (n - correction)": lambda v: (
        2 * kept(v, v.g) * (v.x - mean(v)) / (count(v) - v.correction)
    ),
    "dx = g · (x - mean) / (y · (n - correction))": lambda v: (
        kept(v, v.g) * (v.x - mean(v)) / (kept(v, v.y) * (count(v) - v.correction))
    ),
    "dx = g · sign(x) · (|x| / y)^(ord - 1)": norm_by_power,
    table.NORM_INFINITE: lowest,
    "da = g bᵀ": left,
    "db = aᵀ g": right,
    "dx = g W": lambda v: v.g @ v.weight,
    "dW = gᵀ x": lambda v: rows_of(v.g).T @ rows_of(v.x),
    "db = Σ g over the rows": lambda v: rows_of(v.g).sum(axis=0),
    "dx[n, c, s t + d k] = Σ_(o, k) g[n, o, t] · w[o, c, k]": lambda v: convolved(
        v, "x", o=v.g, w=v.weight
    ),
    "dw[o, c, k] = Σ_(n, t) g[n, o, t] · x[n, c, s t + d k]": lambda v: convolved(
        v, "w", o=v.g, x=v.x
    ),
    "dx[n, o, t] = Σ_(c, k) g[n, c, s t + d k] · w[o, c, k]": lambda v: convolved(
        v, "o", x=v.g, w=v.weight
    ),
    "dw[o, c, k] = Σ_(n, t) g[n, c, s t + d k] · x[n, o, t]": lambda v: convolved(
        v, "w", x=v.g, o=v.x
    ),
    "dx[n, c, s t + d k] = Σ_(o, k) g[o, c, k] · h[n, o, t]": lambda v: convolved(
        v, "x", w=v.g, o=v.h
    ),
    "dh[n, o, t] = Σ_(c, k) g[o, c, k] · x[n, c, s t + d k]": lambda v: convolved(
        v, "o", w=v.g, x=v.x
    ),
}
