"""Derivatives of functions: Jacobians, Hessians and their products with vectors.

For f from inputs x (n elements) to outputs y (m elements) with the Jacobian J (m, n), J[i, j] =
∂y_i/∂x_j; for a scalar f with the Hessian H (n, n). Names, arguments and shapes are torch's:

inputs : a Tensor or a tuple of them; `func` takes them as its arguments. They are left as they are
create_graph : record it all, so that the results can be differentiated again
strict : raise RuntimeError where an output does not depend on an input, in place of zeros
vectorize, strategy : accepted; rows are always computed one at a time, in reverse mode

What is computed for one Tensor comes as a Tensor, for a tuple as a tuple in the same order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..ops.shape import stack
from ..tensor import Tensor, make
from .backward import grad
from .mode import enable_grad

Tensors = tuple[Tensor, ...]


def vjp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """(func(*inputs), vᵀ J): v in the outputs' shapes, the product in the inputs'.

    `v` may be left out if the output has a single element; it is 1 then.
    """
    with enable_grad():
        xs = _prepared("vjp", inputs, create_graph)
        answer, ys = _run("vjp", func, xs, strict)
        vs = _vectors("vjp", v, ys, "outputs")
        products = _products("vjp", ys, xs, vs, create_graph, strict)
    return _handed(answer, ys, create_graph), _handed(inputs, products, create_graph)


def jvp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """(func(*inputs), J v): v in the inputs' shapes, the product in the outputs'.

    J v is the derivative of uᵀ J, which is linear in u, with respect to u: two backward passes.
    `v` may be left out if the input has a single element; it is 1 then.
    """
    with enable_grad():
        xs = _prepared("jvp", inputs, create_graph)
        vs = _vectors("jvp", v, xs, "inputs")
        answer, ys = _run("jvp", func, xs, strict)
        products = _forward_products("jvp", ys, xs, vs, create_graph, strict)
    return _handed(answer, ys, create_graph), _handed(answer, products, create_graph)


def jacobian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """J, for each output and each input a Tensor (*output's shape, *input's shape).

    A function of one Tensor gives a Tensor; of a tuple, or with a tuple of outputs, a tuple; of and
    with tuples, a tuple for each output of a Tensor for each input.
    """
    _check_strategy("jacobian", strategy, vectorize, strict)
    return _jacobian("jacobian", func, inputs, create_graph, strict)


def hessian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """H of a function with a single element: for each pair of inputs a Tensor of both shapes.

    A function of one Tensor gives a Tensor (*shape, *shape), of a tuple a tuple of tuples.
    """
    _check_strategy("hessian", outer_jacobian_strategy, vectorize, strict)
    several = isinstance(inputs, tuple)

    def gradient(*xs: Tensor) -> Any:
        _, ys = _scalar("hessian", func, xs, strict)
        found = _products("hessian", ys, xs, _ones(ys), True, strict)
        return found if several else found[0]

    return _jacobian("hessian", gradient, inputs, create_graph, strict)


def vhp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """(func(*inputs), vᵀ H) of a function with a single element; v in the inputs' shapes."""
    with enable_grad():
        xs = _prepared("vhp", inputs, create_graph)
        vs = _vectors("vhp", v, xs, "inputs")
        answer, ys = _scalar("vhp", func, xs, strict)
        slopes = _products("vhp", ys, xs, _ones(ys), True, strict)
        products = _products("vhp", slopes, xs, vs, create_graph, strict)
    return _handed(answer, ys, create_graph), _handed(inputs, products, create_graph)


def hvp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """(func(*inputs), H v) of a function with a single element; v in the inputs' shapes.

    As `jvp` of the gradient. H is symmetric where it is continuous: there `vhp` is the same, with
    one backward pass less.
    """
    with enable_grad():
        xs = _prepared("hvp", inputs, create_graph)
        vs = _vectors("hvp", v, xs, "inputs")
        answer, ys = _scalar("hvp", func, xs, strict)
        slopes = _products("hvp", ys, xs, _ones(ys), True, strict)
        products = _forward_products("hvp", slopes, xs, vs, create_graph, strict)
    return _handed(answer, ys, create_graph), _handed(inputs, products, create_graph)


# -- the parts


def _check_strategy(name: str, strategy: str, vectorize: bool, strict: bool) -> None:
    """Raise for what torch refuses: another strategy, or options that exclude each other."""
    if strategy not in ("forward-mode", "reverse-mode"):
        raise ValueError(
            f"{name}: expected the strategy 'forward-mode' or 'reverse-mode', got {strategy!r}"
        )
    if strategy == "forward-mode" and not vectorize:
        raise NotImplementedError(f"{name}: expected vectorize=True with 'forward-mode', got False")
    if vectorize and strict:
        raise RuntimeError(f"{name}: expected strict or vectorize, got both")


def _tuple(name: str, value: Any, what: str) -> Tensors:
    parts = value if isinstance(value, tuple) else (value,)
    for position, part in enumerate(parts):
        if not isinstance(part, Tensor):
            raise TypeError(
                f"{name}: expected {what} to be a Tensor or a tuple of Tensors, got "
                f"{type(part).__name__} at {position}"
            )
    return parts


def _prepared(name: str, inputs: Any, create_graph: bool) -> Tensors:
    """Tensors to differentiate by: in the caller's graph under `create_graph`, else outside it."""
    return tuple(
        x.clone() if create_graph and x.requires_grad else x.detach().requires_grad_()
        for x in _tuple(name, inputs, "the inputs")
    )


def _run(name: str, func: Callable[..., Any], xs: Tensors, strict: bool) -> tuple[Any, Tensors]:
    """(what the function returned, the same as a tuple)."""
    answer = func(*xs)
    ys = _tuple(name, answer, "the outputs of the function")
    for position, y in enumerate(ys):
        if strict and not y.requires_grad:
            raise RuntimeError(
                f"{name}: output {position} of the function does not depend on the inputs; "
                "this is not allowed in strict mode"
            )
    return answer, ys


def _scalar(name: str, func: Callable[..., Any], xs: Tensors, strict: bool) -> tuple[Any, Tensors]:
    answer, ys = _run(name, func, xs, strict)
    if isinstance(answer, tuple) or answer._array.size != 1:
        what = "a tuple" if isinstance(answer, tuple) else f"shape {tuple(answer.shape)}"
        raise RuntimeError(f"{name}: expected the function to return a single element, got {what}")
    return answer, ys


def _ones(tensors: Tensors) -> Tensors:
    return tuple(make(np.ones_like(t._array)) for t in tensors)


def _zeros(tensors: Tensors) -> Tensors:
    return tuple(make(np.zeros_like(t._array)) for t in tensors)


def _vectors(name: str, v: Any, like: Tensors, what: str) -> Tensors:
    """The vectors given, or 1 for a single element."""
    if v is None:
        if len(like) != 1 or like[0]._array.size != 1:
            raise RuntimeError(
                f"{name}: expected v, as the {what} have more than a single element, got None"
            )
        return _ones(like)
    vs = _tuple(name, v, "v")
    shapes = [tuple(x.shape) for x in like]
    if [tuple(part.shape) for part in vs] != shapes:
        raise RuntimeError(
            f"{name}: expected v in the shapes of the {what}, {shapes}, got "
            f"{[tuple(part.shape) for part in vs]}"
        )
    return vs


def _products(
    name: str, ys: Tensors, xs: Tensors, vs: Tensors, create_graph: bool, strict: bool
) -> Tensors:
    """vᵀ J for each input."""
    pairs = [(y, v) for y, v in zip(ys, vs, strict=True) if y.requires_grad]
    found: tuple[Any, ...] = (None,) * len(xs)
    if pairs:
        found = grad(
            [y for y, _ in pairs],
            xs,
            [v for _, v in pairs],
            retain_graph=True,
            create_graph=create_graph,
            allow_unused=True,
        )
    return _filled(name, found, xs, create_graph, strict)


def _filled(
    name: str, found: tuple[Any, ...], like: Tensors, create_graph: bool, strict: bool
) -> Tensors:
    """Zeros for what was not reached; in strict mode an error."""
    for position, value in enumerate(found):
        if strict and (value is None or (create_graph and not value.requires_grad)):
            order = "the outputs do" if value is None else "the derivative does"
            raise RuntimeError(
                f"{name}: {order} not depend on input {position}; this is not allowed in strict "
                "mode"
            )
    zeros = _zeros(like)
    return tuple(zero if value is None else value for value, zero in zip(found, zeros, strict=True))


def _forward_products(
    name: str, ys: Tensors, xs: Tensors, vs: Tensors, create_graph: bool, strict: bool
) -> Tensors:
    """J v for each output, as the derivative of uᵀ J with respect to u."""
    us = tuple(u.requires_grad_() for u in _zeros(ys))
    return _products(name, _products(name, ys, xs, us, True, strict), us, vs, create_graph, strict)


def _jacobian(
    name: str, func: Callable[..., Any], inputs: Any, create_graph: bool, strict: bool
) -> Any:
    with enable_grad():
        xs = _prepared(name, inputs, create_graph)
        answer, ys = _run(name, func, xs, strict)
        rows = tuple(_rows(name, y, xs, create_graph, strict) for y in ys)
    handed = tuple(_handed(inputs, row, create_graph) for row in rows)
    return handed if isinstance(answer, tuple) else handed[0]


def _rows(name: str, y: Tensor, xs: Tensors, create_graph: bool, strict: bool) -> Tensors:
    """The Jacobian of one output with respect to each input, a row for each of its elements."""
    rows = []
    for position in range(y._array.size):
        v = np.zeros_like(y._array, order="C")
        v.reshape(-1)[position] = 1
        rows.append(_products(name, (y,), xs, (make(v),), create_graph, strict))
    found = []
    for column, x in enumerate(xs):
        shape = (*y._array.shape, *x._array.shape)
        if rows:
            found.append(stack([row[column] for row in rows]).reshape(shape))
        else:
            found.append(make(np.zeros(shape, x._array.dtype)))
    return tuple(found)


def _handed(like: Any, tensors: Tensors, create_graph: bool) -> Any:
    """Results in the form of `like`: one Tensor or a tuple; outside the graph unless asked for."""
    if not create_graph:
        tensors = tuple(t.detach() for t in tensors)
    return tensors if isinstance(like, tuple) else tensors[0]
