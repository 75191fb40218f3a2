"""`backward` and `grad`: what users call to have a graph differentiated."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tensor import Tensor, bind, make
from .accumulate import accumulate
from .mode import enable_grad, threads
from .node import Output, edge_of, node_of, watch
from .walk import Walk


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Add the gradient of `tensors` into the `.grad` of the leaves that they depend on.

    tensors, grad_tensors : a Tensor or a list of them; the gradients default to 1 for scalars
    retain_graph : keep what the graph saved, for another pass; the default is `create_graph`
    create_graph : record the backward pass, so that gradients can be differentiated again
    inputs : the tensors to accumulate into; the default is every leaf
    Raises RuntimeError for a tensor outside the graph, a non-scalar without its gradient, a graph
    used twice, a kept value that was changed.
    """
    roots = _sequence(tensors)
    targets = None if inputs is None else _sequence(inputs)
    if targets is not None and not targets:
        raise RuntimeError("backward: expected inputs to name at least one tensor, got none")
    walk = _differentiate(roots, grad_tensors, retain_graph, create_graph, targets, "backward")
    if targets is None:
        results = [(leaf, value) for leaf, value, _ in walk.found.values()]
    else:
        results = [(target, _gradient_at(walk, edge_of(target))) for target in targets]
    if create_graph:  # adding is recorded then
        with enable_grad():
            _accumulate_all(results)
    else:
        threads.mode.run(_accumulate_all, results)


def _accumulate_all(results: list[tuple[Tensor, Any]]) -> None:
    for tensor, value in results:
        if value is not None:
            accumulate(tensor, value)


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """The gradients of the sum of `outputs` with respect to `inputs`, leaving every `.grad` alone.

    Returns one Tensor for each input. An input that the outputs do not depend on raises
    RuntimeError unless `allow_unused` (then None) or `materialize_grads` (then zeros).
    """
    targets = _sequence(inputs)
    if allow_unused is None:
        allow_unused = materialize_grads
    if materialize_grads and not allow_unused:
        raise ValueError("grad: expected allow_unused to be True or unset with materialize_grads")
    walk = _differentiate(
        _sequence(outputs), grad_outputs, retain_graph, create_graph, targets, "grad"
    )
    results: list[Any] = []
    for position, target in enumerate(targets):
        value = _gradient_at(walk, edge_of(target))
        if value is None and not allow_unused:
            raise RuntimeError(
                f"grad: the outputs do not depend on input {position} (shape "
                f"{tuple(target._array.shape)}); give allow_unused=True to get None for it"
            )
        if value is None:
            results.append(make(np.zeros_like(target._array)) if materialize_grads else None)
        elif isinstance(value, Tensor):
            results.append(value)
        else:
            results.append(make(np.array(value)))
    return tuple(results)


def _sequence(tensors: Any) -> list[Tensor]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _gradient_at(walk: Walk, edge: Any) -> Any:
    """What a walk found for an edge, or None."""
    if isinstance(edge, Tensor):
        held = walk.found.get(id(edge))
        return None if held is None else held[1]
    node = node_of(edge)
    if node is None:
        return None
    return walk.caught.get((node.number, edge.index if type(edge) is Output else 0))


def _differentiate(
    roots: list[Tensor],
    gradients: Any,
    retain_graph: bool | None,
    create_graph: bool,
    targets: list[Tensor] | None,
    name: str,
) -> Walk:
    """Run one walk from `roots` in the right mode."""
    starts = _starting_gradients(roots, gradients, create_graph, name)
    goals = None
    if targets is not None:
        goals = [edge_of(target) for target in targets]
        for position, goal in enumerate(goals):
            if goal is None:
                raise RuntimeError(
                    f"{name}: expected inputs that require grad, got input {position} outside "
                    "the graph"
                )
    retain = create_graph if retain_graph is None else retain_graph
    walk = Walk(create_graph, retain, goals)
    edges = [edge_of(root) for root in roots]
    if goals is not None:
        walk.restrict(edges)
    for edge, start in zip(edges, starts, strict=True):
        if walk.leads(edge):
            walk.arrive(edge, start, None)
    mode = threads.mode
    before = (mode.run, mode.recording, mode.inside_rule, mode.scope, mode.phase)
    try:
        if create_graph:
            mode.recording = True
            mode.inside_rule = True
            mode.phase = "backward"
            walk.run(mode)
        else:
            mode.recording = False
            mode.inside_rule = True
            silently = mode.run
            mode.run = _directly  # a context can't be entered again while it is running
            silently(walk.run, mode)
    finally:
        mode.run, mode.recording, mode.inside_rule, mode.scope, mode.phase = before
    return walk


def _directly(function: Any, *args: Any) -> Any:
    return function(*args)


def _starting_gradients(
    roots: list[Tensor], gradients: Any, create_graph: bool, name: str
) -> list[Any]:
    if gradients is None:
        given: list[Any] = [None] * len(roots)
    else:
        given = list(gradients) if isinstance(gradients, (tuple, list)) else [gradients]
    if len(given) != len(roots):
        raise RuntimeError(
            f"{name}: expected one gradient for each of {len(roots)} tensors, got {len(given)}"
        )
    starts: list[Any] = []
    for root, g in zip(roots, given, strict=True):
        if not root.requires_grad:
            raise RuntimeError(
                f"{name}: expected a tensor that requires grad and has a grad_fn, got one outside "
                "the graph (element 0 of tensors does not require grad and does not have a "
                "grad_fn); was it made under no_grad or by .detach()?"
            )
        if g is None:
            if root._array.size != 1:
                raise RuntimeError(
                    f"{name}: grad can be implicitly created only for scalar outputs, got shape "
                    f"{tuple(root._array.shape)}; reduce it first (.sum(), .mean()) or give "
                    "gradient="
                )
            g = make(np.ones_like(root._array))
        elif not isinstance(g, Tensor):
            raise TypeError(
                f"{name}: expected the gradient to be a Tensor or None, got {type(g).__name__}"
            )
        elif g._array.shape != root._array.shape:
            raise RuntimeError(
                f"{name}: expected a gradient of shape {tuple(root._array.shape)}, "
                f"got {tuple(g._array.shape)}"
            )
        elif g._array.dtype != root._array.dtype:
            g = make(g._array.astype(root._array.dtype)) if not create_graph else g.to(root.dtype)
        starts.append(g if create_graph else g._array)
    return starts


def Variable(data: Tensor, requires_grad: bool = False) -> Tensor:
    """`data` as a new leaf on the same memory: what tensors were before torch 0.4 merged them."""
    return data.detach().requires_grad_(requires_grad)


def _tensor_backward(
    self: Tensor,
    gradient: Tensor | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Add the gradient of this tensor into the `.grad` of the leaves; see `autograd.backward`."""
    backward(self, gradient, retain_graph, create_graph, inputs)


def _retain_grad(self: Tensor) -> None:
    """Keep the gradient of this non-leaf tensor in its `.grad` as well."""
    edge = edge_of(self)
    if edge is None:
        raise RuntimeError(
            "retain_grad: expected a tensor that requires grad, got one that does not"
        )
    watch(self)


bind(backward=_tensor_backward, retain_grad=_retain_grad)
