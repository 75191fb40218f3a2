"""Sums of products over named dimensions: einsum and tensordot, by matrix products."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..tensor import Tensor, make
from .check import check_tensors
from .index import getitem
from .linalg import matmul
from .reduce import sum
from .shape import permute, reshape, wrap_dim

# A label names a dimension: a letter, or for those under an ellipsis a number counted from the
# right, -1 the last, so that they are matched as broadcasting matches them.
Label = str | int
Labels = tuple[Label, ...]


def einsum(equation: Any, *operands: Any) -> Tensor:
    """Einstein's summation: the product of the operands, summed over what is not in the output.

    equation : "ij,jk->ik": a letter for each dimension of each operand, then those of the output;
        without "->" the output has those that occur once, in alphabetical order. A letter twice in
        an operand takes its diagonal; "..." stands for further dimensions, which broadcast; spaces
        count for nothing. Dimensions of size 1 broadcast against others of their name.
    operands : Tensors, or one list of them. Also einsum(x, [0, 1], y, [1, 2], [0, 2]), numbers
        from 0 to 51 in place of letters.
    Products are taken from left to right. Raises RuntimeError for what does not fit, ValueError
    without operands.
    """
    if not isinstance(equation, str):
        equation, operands = _from_lists((equation, *operands))
    elif len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    if not operands:
        raise ValueError("einsum: expected an equation and at least one operand")
    check_tensors("einsum", *operands)
    labels, output = _parse(equation, [x._array.shape for x in operands])
    terms = [_diagonal(x, names) for x, names in zip(operands, labels, strict=True)]
    total, names = terms[0]
    for place, (x, own) in enumerate(terms[1:], 2):
        needed = set(output).union(*(later for _, later in terms[place:]))
        leading = next((n for n in output if (n in names) != (n in own)), None)
        if leading in own and leading not in names:  # so that no transposed result comes out
            total, names = _contract(x, own, total, names, needed)
        else:
            total, names = _contract(total, names, x, own, needed)
    total, names = _summed(total, names, set(output))
    return _ordered(total, names, output)


def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Tensor:
    """y = Σ a b over pairs of dimensions; the others of a, then those of b, remain.

    dims : a number n, for the last n of a with the first n of b; or two lists of dimensions
    Raises RuntimeError for pairs of different sizes (size 1 is broadcast).
    """
    check_tensors("tensordot", a, b)
    if a.dtype != b.dtype:
        raise RuntimeError(
            f"tensordot: expected both to have the same dtype, got {a.dtype} and {b.dtype}"
        )
    first, second = _paired_dims(a.ndim, b.ndim, dims)
    if len(first) != len(second):
        raise RuntimeError(f"tensordot: expected two lists of one length, got {first} and {second}")
    left: list[Label] = list(range(a.ndim))
    right: list[Label] = list(range(a.ndim, a.ndim + b.ndim))
    for i, j in zip(first, second, strict=True):
        i, j = wrap_dim(i, a.ndim, "tensordot"), wrap_dim(j, b.ndim, "tensordot")
        n, m = a._array.shape[i], b._array.shape[j]
        if n != m and 1 not in (n, m):
            raise RuntimeError(
                f"tensordot: expected contracted dimensions of one size, got {n} in dim {i} of "
                f"the first and {m} in dim {j} of the second"
            )
        if n < m:
            b = sum(b, j, True).to(b.dtype)
        elif m < n:
            a = sum(a, i, True).to(a.dtype)
        if right[j] != a.ndim + j or i in right:
            raise RuntimeError(f"tensordot: a dimension appears twice in {first} or {second}")
        right[j] = i
    rest = tuple(n for n in left if n not in right) + tuple(n for n in right if n not in left)
    total, names = _contract(a, tuple(left), b, tuple(right), set(rest))
    return _ordered(total, names, rest)


def _paired_dims(a_ndim: int, b_ndim: int, dims: Any) -> tuple[list[int], list[int]]:
    """The dimensions of a and of b that `tensordot` sums over."""
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if not isinstance(dims, int):
        first, second = ([n] if isinstance(n, int) else list(n) for n in dims)
        return first, second
    if not 0 <= dims <= min(a_ndim, b_ndim):
        raise RuntimeError(
            f"tensordot: expected dims from 0 to {min(a_ndim, b_ndim)}, the smaller number of "
            f"dimensions, got {dims}"
        )
    return list(range(a_ndim - dims, a_ndim)), list(range(dims))


# -- reading the equation


def _from_lists(arguments: Sequence[Any]) -> tuple[str, tuple[Any, ...]]:
    """The equation for x, [0, 1], y, [1, 2], [0, 2], and its operands."""
    operands = tuple(arguments[: len(arguments) // 2 * 2 : 2])
    terms = ",".join(_letters(numbers) for numbers in arguments[1::2])
    return (f"{terms}->{_letters(arguments[-1])}" if len(arguments) % 2 else terms), operands


def _letters(numbers: Any) -> str:
    if isinstance(numbers, (Tensor, str)) or not isinstance(numbers, Sequence):
        raise TypeError(
            "einsum: expected an equation, or operands each followed by a list of numbers, "
            f"got {type(numbers).__name__}"
        )
    letters = []
    for number in numbers:
        if number is not Ellipsis and not 0 <= number < 52:
            raise ValueError(f"einsum: expected numbers from 0 to 51, got {number}")
        letters.append("..." if number is Ellipsis else _ALPHABET[number])
    return "".join(letters)


_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def _parse(equation: str, shapes: Sequence[tuple[int, ...]]) -> tuple[list[Labels], Labels]:
    """The labels of each operand and of the output. Raises RuntimeError for what does not fit."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(shapes):
        raise RuntimeError(
            f"einsum: expected an operand for each of the {len(terms)} terms of {equation!r}, "
            f"got {len(shapes)}"
        )
    labels = [_term(term, shape) for term, shape in zip(terms, shapes, strict=True)]
    _check_sizes(labels, shapes)
    hidden = sorted({n for names in labels for n in names if isinstance(n, int)})
    if not arrow:
        count = Counter(n for names in labels for n in names if isinstance(n, str))
        return labels, (*hidden, *sorted(n for n, times in count.items() if times == 1))
    output: list[Label] = []
    for token in _tokens(right):
        output += hidden if token == "..." else [token]
    for name, times in Counter(output).items():
        if times > 1:
            raise RuntimeError(f"einsum: {name!r} appears more than once in the output")
        if not any(name in names for names in labels):
            raise RuntimeError(f"einsum: {name!r} in the output appears in no operand")
    return labels, tuple(output)


def _tokens(term: str) -> list[str]:
    """A term as letters and at most one "..."."""
    head, dots, tail = term.partition("...")
    for letter in head + tail:
        if letter not in _ALPHABET:
            raise RuntimeError(
                f"einsum: expected letters and at most one '...' in each term, got {letter!r} "
                f"in {term!r}"
            )
    return [*head, *([dots] if dots else []), *tail]


def _term(term: str, shape: tuple[int, ...]) -> Labels:
    """The labels of one operand's dimensions."""
    tokens = _tokens(term)
    further = len(shape) - (len(tokens) - ("..." in tokens))
    if further < 0 or (further and "..." not in tokens):
        raise RuntimeError(
            f"einsum: expected a letter for each dimension of an operand, got {term!r} for "
            f"shape {shape}"
        )
    labels: list[Label] = []
    for token in tokens:
        labels += range(-further, 0) if token == "..." else [token]
    return tuple(labels)


def _check_sizes(labels: Sequence[Labels], shapes: Sequence[tuple[int, ...]]) -> None:
    """Raise unless dimensions of one name are of one size, or of size 1 in another operand."""
    known: dict[Label, int] = {}
    for names, shape in zip(labels, shapes, strict=True):
        own: dict[Label, int] = {}
        for name, size in zip(names, shape, strict=True):
            if own.setdefault(name, size) != size:
                raise RuntimeError(
                    f"einsum: {name!r} is repeated in one operand with sizes {own[name]} and {size}"
                )
        for name, size in own.items():
            if known.setdefault(name, size) == 1:
                known[name] = size
            if size not in (1, known[name]):
                raise RuntimeError(
                    f"einsum: expected one size for {name!r}, got {known[name]} and {size}"
                )


# -- carrying it out


def _diagonal(x: Tensor, names: Labels) -> tuple[Tensor, Labels]:
    """x with each repeated name taken along its diagonal, and the names that remain."""
    for name in dict.fromkeys(names):
        places = [i for i, other in enumerate(names) if other == name]
        if len(places) > 1:
            rest = [i for i in range(len(names)) if i not in places]
            along = make(np.arange(x._array.shape[places[0]]))
            x = getitem(permute(x, (*places, *rest)), (*[along] * len(places), ...))
            names = (name, *(names[i] for i in rest))
    return x, names


def _summed(x: Tensor, names: Labels, keep: set[Label]) -> tuple[Tensor, Labels]:
    """x summed over the names that are not kept."""
    places = tuple(i for i, name in enumerate(names) if name not in keep)
    if not places:
        return x, names
    return sum(x, places), tuple(name for name in names if name in keep)


def _ordered(x: Tensor, names: Labels, wanted: Labels) -> Tensor:
    """x with its dimensions in another order."""
    if names == wanted:
        return x
    turned: Tensor = permute(x, tuple(names.index(name) for name in wanted))
    return turned


def _shaped(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    result: Tensor = x if x._array.shape == shape else reshape(x, shape)
    return result


def _contract(
    a: Tensor, a_names: Labels, b: Tensor, b_names: Labels, keep: set[Label]
) -> tuple[Tensor, Labels]:
    """The product of two, summed over the names that are not kept, by one matrix product."""
    a_sizes = dict(zip(a_names, a._array.shape, strict=True))
    b_sizes = dict(zip(b_names, b._array.shape, strict=True))
    # What is of size 1 here and larger there belongs to the other alone.
    a_left = tuple(n for n in a_names if not (a_sizes[n] == 1 and b_sizes.get(n, 1) != 1))
    b_left = tuple(n for n in b_names if not (b_sizes[n] == 1 and a_sizes.get(n, 1) != 1))
    a = _shaped(a, tuple(a_sizes[n] for n in a_left))
    b = _shaped(b, tuple(b_sizes[n] for n in b_left))
    a, a_left = _summed(a, a_left, keep.union(b_left))
    b, b_left = _summed(b, b_left, keep.union(a_left))
    batch = tuple(n for n in a_left if n in b_left and n in keep)
    inner = tuple(n for n in a_left if n in b_left and n not in keep)
    rows = tuple(n for n in a_left if n not in b_left)
    columns = tuple(n for n in b_left if n not in a_left)
    a = _ordered(a, a_left, batch + rows + inner)
    b = _ordered(b, b_left, batch + inner + columns)
    shared = _count(a_sizes, batch)
    n, m, p = _count(a_sizes, rows), _count(a_sizes, inner), _count(b_sizes, columns)
    if inner:
        front = (shared,) if batch else ()
        y = matmul(_shaped(a, (*front, n, m)), _shaped(b, (*front, m, p)))
    else:
        y = _shaped(a, (shared, n, 1)) * _shaped(b, (shared, 1, p))
    sizes = a_sizes | {name: b_sizes[name] for name in columns}
    names = batch + rows + columns
    return _shaped(y, tuple(sizes[name] for name in names)), names


def _count(sizes: dict[Label, int], names: Labels) -> int:
    count = 1
    for name in names:
        count *= sizes[name]
    return count
