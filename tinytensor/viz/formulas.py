"""The local derivative of a recorded operation, as lines of text, with its numbers if it is small.

tanh of one number        dy/dx = 1 - y² = 1 - 0.46² = 0.788
mul of three numbers      dy/da = b = [1, 2, 3]
matmul                    da = g bᵀ
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from ..autograd.kernel import Kernel
from ..autograd.mode import threads
from ..autograd.node import Node, Output
from ..autograd.primitive import Primitive
from ..dtypes import Array
from . import formula_table as table
from .numerals import in_formula, is_small, number, written
from .values import named


def local_derivative(node: Node | Output) -> list[str]:
    """How a node makes the gradients of its inputs, a line for each input that wants one.

    "dy/dx = 1 - y²" gives the factor, element by element, with which the gradient is multiplied;
    "da = g bᵀ" gives the gradient of a itself, from the gradient g of the result. What was
    broadcast is summed afterwards. Where the result is small and the graph has not been freed, the
    numbers follow. A kernel names the steps of its backward, for an operation of the user's it is
    said whose backward it is.

    >>> import tinytensor as tt
    >>> x = tt.tensor(0.5, requires_grad=True)
    >>> local_derivative(x.tanh().grad_fn)
    ['dy/dx = 1 - y² = 1 - 0.462² = 0.786']
    """
    if isinstance(node, Output):
        node = node.node
    op = node.op
    if isinstance(op, Kernel):
        return list(_of_kernel(node))
    if not isinstance(op, Primitive):
        if getattr(op, "asks_user", False):
            return [f"as {op.name}.backward says"]
        return ["dx = g"] if op.name == "identity" else [table.NO_DERIVATIVE]
    if op.name in table.SLOPES:
        return [_slope_line(node, place) for place, _ in node.plan.rules]
    if op.name == "_vector_norm":
        return [_norm_line(node)]
    lines = table.LINES.get(op.name)
    if lines is None:
        return [f"by the rule of {op.name}"]
    return [lines[op.names[place]] for place, _ in node.plan.rules]


def slope(node: Node, place: int) -> str:
    """The expression for dy / d (argument number `place`), for an operation element by element."""
    op = node.op
    if node.saved is None and op.name in table.FREED:
        return table.FREED[op.name]
    if op.name == "gelu" and named(node)["approximate"] == "tanh":
        return table.GELU_TANH
    if op.name == "logit" and _bounded(named(node)["eps"]):
        return table.LOGIT_BETWEEN
    return table.SLOPES[op.name][op.names[place]]


def _bounded(eps: float | None) -> bool:
    return eps is not None and eps >= 0


def slope_numbers(node: Node, place: int) -> Array | None:
    """dy / d (argument number `place`) for each element, by the rule itself.

    It is the rule's answer to a gradient of ones; None where what the rule needs was freed.
    """
    values = named(node)
    saved = []
    for position, (kind, place_kept) in enumerate(node.plan.keep):
        name = "y" if kind == "output" else node.op.names[place_kept]
        if kind == "shape":
            if node.saved is None:
                return None
            saved.append(node.saved[position])
        elif name in values:
            saved.append(values[name])
        else:
            return None
    rule = dict(node.plan.rules)[place]
    ones = np.ones(node.shape, node.dtype)
    mode = threads.mode
    before = (mode.inside_rule, mode.recording)
    mode.inside_rule, mode.recording = True, False
    try:
        found = mode.run(rule, ones, saved)
    finally:
        mode.inside_rule, mode.recording = before
    return np.asarray(found)


def _slope_line(node: Node, place: int) -> str:
    """One line: the expression, with numbers in it for a single element, and what it comes to."""
    expression = slope(node, place)
    in_cases = " where " in expression or " with " in expression
    parts = [f"dy/d{node.op.names[place]}", expression]
    if is_small(node.shape) and not re.fullmatch(r"-?\d+", expression):
        slopes = slope_numbers(node, place)
        if slopes is not None:
            if in_cases:
                parts[1] = f"({expression})"
            elif slopes.size == 1:
                parts.append(_filled(node, expression))
            parts.append(number(slopes.item()) if slopes.size == 1 else written(slopes))
    return " = ".join(dict.fromkeys(parts))


# A name, but for the exponents that end it.
_NAME = re.compile(r"[^\W\d²³][^\W²³]*")


def _filled(node: Node, expression: str) -> str:
    """An expression with the values of single elements in the place of their names."""
    symbols = symbols_of(node)

    def value(match: re.Match[str]) -> str:
        name = match.group()
        one = name in symbols and np.size(symbols[name]) == 1
        return in_formula(symbols[name]) if one else name

    filled = _NAME.sub(value, expression)
    return filled.strip("()") if expression in symbols else filled


def symbols_of(node: Node) -> dict[str, Any]:
    """What the letters of a node's expressions stand for, as far as it is known."""
    values: dict[str, Any] = {}
    for name, value in named(node).items():
        if isinstance(value, (np.ndarray, np.generic, float, int)):
            values[table.SYMBOLS.get(name, name)] = value
    values.update(table.CONSTANTS.get(node.op.name, {}))
    return values


def _norm_line(node: Node) -> str:
    if node.saved is None:
        return table.FREED["_vector_norm"]
    order = named(node)["ord"]
    if order == 0:
        return table.NORM_0
    return table.NORM_INFINITE if math.isinf(order) else table.LINES["_vector_norm"]["x"]


def _of_kernel(node: Node) -> tuple[str, ...]:
    name = node.op.name
    if name == "cross_entropy":
        return table.CROSS_ENTROPY if _is_plain(node) else table.CROSS_ENTROPY_WEIGHTED
    return table.KERNELS.get(name, (f"by the backward of the kernel {name}",))


def _is_plain(node: Node) -> bool:
    """Whether a cross entropy is known to be without weights, smoothing and ignored targets."""
    if node.saved is None:
        return False
    (_, _, weight), _, options = node.saved
    return weight is None and options["smoothing"] == 0 and options["ignored"] is None
