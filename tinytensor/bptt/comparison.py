"""A learner's own backward pass of the LSTM against the one by hand: what differs first?

A mistake spreads to all that comes after it, so the place to look at is the first one, in the order
in which the backward pass goes: from the last step to the first, at each step dh, do, dc, di, df,
dg, dz; then dh0, dc0, dx; last the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from operator import or_
from typing import Any, NamedTuple

import numpy as np

from ..dtypes import Array
from . import by_hand
from .by_hand import Backward, Forward
from .mistakes import suspects

_GATES = {"i": "input gate i", "f": "forget gate f", "g": "candidate g", "o": "output gate o"}
_ARGUMENTS = ("saved", "w_ih", "w_hh", "dy", "dh_last", "dc_last")
_AT_EACH_STEP = ("dh", "do", "dc", "di", "df", "dg", "dz")

_ALL = "All else that differs follows from this mistake."
_NOT_ALL = "Not all that differs follows from this mistake; there is another one."

Results = dict[str, Array]


@dataclass(frozen=True, repr=False)
class Comparison:
    """What `compare` has found. It counts as true if all agrees, and prints as its message.

    message : all that is known, in words
    name : the value that differs first, such as "dz"; None if all agrees, as all below then is
    t : its step, None for what belongs to no step
    gate : "i", "f", "g" or "o" for a part of dz or of a weight, else None
    index : the first element that differs, as an index into the value; None for a wrong shape
    expected, got : that element
    hint : the mistake that gives just this, if it is a known one
    """

    message: str
    name: str | None = None
    t: int | None = None
    gate: str | None = None
    index: tuple[int, ...] | None = None
    expected: float | None = None
    got: float | None = None
    hint: str | None = None

    def __bool__(self) -> bool:
        return self.name is None

    def __repr__(self) -> str:
        return self.message


def compare(
    my_backward: Callable[..., Any], *arguments: Any, seed: int = 0, rtol: float = 1e-6
) -> Comparison:
    """Hold a backward pass of the LSTM to `by_hand.backward`, and say what differs first.

    my_backward : takes what `by_hand.backward` takes: saved, w_ih, w_hh, dy, dh_last, dc_last. It
        returns, by name, as many of the fields of `by_hand.Backward` as it has: a dict, or an
        object with these attributes; what is None or missing is not compared
    arguments : those six, for a problem of your own; else a small random one, with T = 5, N = 2,
        I = 3, H = 4 and no zeros in it
    seed : of the random problem
    rtol : the tolerance, relative to the element and to the largest one beside it

    Everything is in float64. my_backward gets copies and may write to them.

    Raises TypeError for another number of arguments, what are no numbers or a result without names,
    ValueError for a
    name that is none of `by_hand.Backward` or a problem without a step. Errors of my_backward come
    through.

    >>> def my_backward(saved, w_ih, w_hh, dy, dh_last, dc_last):
    ...     return {"dh": dy}  # to be continued
    >>> comparison = compare(my_backward)
    >>> bool(comparison), comparison.name, comparison.t
    (False, 'dh', 4)
    >>> comparison.hint
    'the gradient from step t + 1 is missing in dh: dh_t = dy_t + W_hhᵀ dz_{t+1}'
    """
    if len(arguments) not in (0, 6):
        raise TypeError(
            "compare: expected no arguments for my_backward or the six of by_hand.backward, got "
            f"{len(arguments)}; they are {', '.join(_ARGUMENTS)}"
        )
    problem = _in_float64(arguments) if arguments else _random_problem(seed)
    if problem[0].h.size == 0:
        raise ValueError(
            f"compare: expected at least one step, sequence and unit, got h of {problem[0].h.shape}"
            "; there is nothing to compare"
        )
    got = _by_name(my_backward(*_in_float64(problem)))
    right = by_hand.backward(*problem)
    expected = right._asdict()
    places = [place for place in _places(*problem[0].h.shape) if place.name in got]
    for number, place in enumerate(places):
        if not _agree(got, expected, place, rtol):
            hint = _hint(problem, right, got, place, places, rtol)
            return _difference(got, expected, places[: number + 1], hint, rtol)
    return Comparison(f"All agrees: {', '.join(_in_order(got))}.{_not_compared(got)}")


# -- the problem and the results -------------------------------------------------------------------


def _random_problem(seed: int) -> tuple[Any, ...]:
    """Arguments for `by_hand.backward`, of sizes that are all different."""
    T, N, I, H = 5, 2, 3, 4
    random = np.random.default_rng(seed)
    w_ih, w_hh, b = (random.normal(0, 0.7, (4 * H, *size)) for size in ((I,), (H,), ()))
    x, dy = random.normal(size=(T, N, I)), random.normal(size=(T, N, H))
    h0, c0, dh_last, dc_last = random.normal(size=(4, N, H))
    saved = by_hand.forward(x, h0, c0, w_ih, w_hh, b)
    return saved, w_ih, w_hh, dy, dh_last, dc_last


def _in_float64(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Copies of the arguments of `by_hand.backward`."""
    saved, *arrays = arguments
    count = len(Forward._fields)
    if not isinstance(saved, tuple) or len(saved) != count:
        raise TypeError(
            f"compare: expected saved to be a by_hand.Forward, got {type(saved).__name__}; it is "
            "what by_hand.forward returns"
        )
    names = *Forward._fields, *_ARGUMENTS[1:]
    copies = [_numbers(*pair) for pair in zip(names, (*saved, *arrays), strict=True)]
    return Forward(*copies[:count]), *copies[count:]


def _numbers(name: str, value: Any) -> Array:
    """A copy in float64. Raises TypeError for what are no real numbers."""
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"compare: expected {name} to be an array of real numbers, got {array.dtype}; "
            "everything is compared in float64"
        )
    return np.array(array, np.float64)


def _by_name(results: Any) -> Results:
    """The arrays that a backward pass has returned."""
    if isinstance(results, Mapping):
        unknown = sorted(str(name) for name in results if name not in Backward._fields)
        if unknown:
            raise ValueError(
                f"compare: expected names among {', '.join(Backward._fields)}, got "
                f"{', '.join(unknown)}; rename or leave out"
            )
        found = dict(results)
    else:
        found = {name: getattr(results, name, None) for name in Backward._fields}
    arrays = {name: _numbers(name, a) for name, a in found.items() if a is not None}
    if not arrays:
        raise TypeError(
            f"compare: expected my_backward to return some of {', '.join(Backward._fields)} by "
            f"name, got {type(results).__name__}; return a dict or a by_hand.Backward"
        )
    return arrays


# -- the places, in the order of the backward pass -------------------------------------------------


class _Place(NamedTuple):
    """A part of a value: of one step, of one gate, or all of it."""

    name: str
    t: int | None = None
    gate: str | None = None
    part: tuple[Any, ...] = ()

    def __str__(self) -> str:
        gate = f" of the {_GATES[self.gate]}" if self.gate else ""
        return f"{self.name}{gate}{'' if self.t is None else f' at t = {self.t}'}"


def _places(T: int, N: int, H: int) -> Iterator[_Place]:
    blocks = [(gate, slice(k * H, (k + 1) * H)) for k, gate in enumerate(_GATES)]
    for t in reversed(range(T)):
        for name in _AT_EACH_STEP[:-1]:
            yield _Place(name, t, None, (t,))
        for gate, block in blocks:
            yield _Place("dz", t, gate, (t, slice(N), block))
    yield _Place("dh0")
    yield _Place("dc0")
    for t in reversed(range(T)):
        yield _Place("dx", t, None, (t,))
    for name in ("dw_ih", "dw_hh", "db"):
        for gate, block in blocks:
            yield _Place(name, None, gate, (block,))


def _agree(got: Results, expected: Results, place: _Place, rtol: float) -> bool:
    a, b = got[place.name], expected[place.name]
    return a.shape == b.shape and not _wrong(a[place.part], b[place.part], rtol).any()


def _wrong(got: Array, expected: Array, rtol: float) -> Array:
    """Where they differ. The largest element counts, as a sum is rounded to its largest term."""
    size = np.abs(expected)
    allowed = rtol * (size + size.max(initial=0))
    with np.errstate(invalid="ignore"):
        return np.asarray(~(np.abs(got - expected) <= allowed))


# -- the report ------------------------------------------------------------------------------------


class _Hint(NamedTuple):
    """A mistake in words, and whether all that differs comes from it."""

    text: str
    is_all: bool


def _hint(
    problem: tuple[Any, ...],
    right: Backward,
    got: Results,
    first: _Place,
    places: list[_Place],
    rtol: float,
) -> _Hint | None:
    """The mistake that gives what was got at the first place, and as much of the rest as can be."""
    expected = right._asdict()
    best, best_count = None, 0
    with np.errstate(all="ignore"):
        for suspect in suspects(problem, right):
            made = suspect.results._asdict()
            if not _same(got, made, expected, first, rtol):
                continue
            explained = [_same(got, made, expected, place, rtol) for place in places]
            if sum(explained) > best_count:
                best_count = sum(explained)
                agreeing = (_agree(got, expected, place, rtol) for place in places)
                best = _Hint(suspect.hint, all(map(or_, explained, agreeing)))
    return best


def _same(got: Results, made: Results, expected: Results, place: _Place, rtol: float) -> bool:
    """Whether a mistake makes what was got there. Of a wrong shape there are no parts."""
    if got[place.name].shape != expected[place.name].shape:
        place = _Place(place.name)
    return _agree(got, made, place, rtol)


def _difference(
    got: Results, expected: Results, places: list[_Place], hint: _Hint | None, rtol: float
) -> Comparison:
    """The report on the last of the places, where all before agree."""
    place = places[-1]
    name, t, gate, part = place
    text = None if hint is None else hint.text
    a, b = got[name], expected[name]
    if a.shape != b.shape:
        headline = f"{name}: expected shape {b.shape}, got {a.shape}"
        message = "\n".join([headline, *_closing(got, places, hint)])
        return Comparison(message, name, hint=text)
    wrong = np.zeros(b.shape, bool)
    wrong[part] = _wrong(a[part], b[part], rtol)
    index = tuple(int(i) for i in np.argwhere(wrong)[0])
    element = ", ".join([str(place), *_element(name, index, expected["dh0"].shape[1])])
    headline = f"{element}: expected {b[index]:.6g}, got {a[index] + 0.0:.6g}"
    count = f"{wrong.sum()} of the {b[part].size} elements of {place} differ."
    message = "\n".join([headline, f"  {count}", *_closing(got, places, hint)])
    return Comparison(message, name, t, gate, index, float(b[index]), float(a[index]), text)


def _element(name: str, index: tuple[int, ...], H: int) -> list[str]:
    """The words for an index, but for the step and the gate: ["sample 0", "unit 2"]."""
    if name in ("dw_ih", "dw_hh", "db"):
        column = "from unit" if name == "dw_hh" else "input"
        return [f"unit {index[0] % H}", *(f"{column} {i}" for i in index[1:])]
    sample, feature = index[-2:]
    return [f"sample {sample}", f"input {feature}" if name == "dx" else f"unit {feature % H}"]


def _closing(got: Results, places: list[_Place], hint: _Hint | None) -> list[str]:
    lines = [f"  {_before(places)}"]
    if hint is not None:
        lines.append(f"  hint: {hint.text}")
        lines.append(f"  {_ALL if hint.is_all else _NOT_ALL}")
    rest = _not_compared(got).strip()
    return lines + ([f"  {rest}"] if rest else [])


def _before(places: list[_Place]) -> str:
    """What agrees before the last of the places, in words."""
    *before, place = places
    if not before:
        return "It is the first that is compared."
    if place.t is None or place.name == "dx":
        names = dict.fromkeys(str(p) if p.name == place.name else p.name for p in before)
        return f"Before it, all agrees: {', '.join(names)}."
    here = [p.name + (f" of {p.gate}" if p.gate else "") for p in before if p.t == place.t]
    later = sorted({p.t for p in before if p.t is not None and p.t > place.t})
    found = [f"at t = {place.t} {', '.join(here)}"] if here else []
    if later:
        found.insert(0, f"t = {later[0]}" + (f" to {later[-1]}" if len(later) > 1 else ""))
    return f"Before it, all agrees: {'; '.join(found)}."


def _in_order(names: Results) -> list[str]:
    return [name for name in Backward._fields if name in names]


def _not_compared(got: Results) -> str:
    missing = [name for name in Backward._fields if name not in got]
    return f" Not returned, so not compared: {', '.join(missing)}." if missing else ""
