"""`backward` and `grad`: what users call to have a graph differentiated."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tensor import Tensor, bind, make
from .accumulate import accumulate
from .anomaly import AnomalyWalk
from .hooks import Hook, LeafHooks, RemovableHandle
from .mode import Mode, enable_grad, threads
from .node import Output, edge_of, node_of, watch, watchers_of
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
    roots = outputs_of("backward", tensors)
    targets = None if inputs is None else _inputs("backward", inputs)
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
    for tensor, value in results:
        if tensor._hooks is not None and tensor._node is None and value is not None:
            _call_after(tensor, create_graph)


def _accumulate_all(results: list[tuple[Tensor, Any]]) -> None:
    for tensor, value in results:
        if value is not None and tensor._requires_grad:  # it may have left the graph: detach_
            accumulate(tensor, value)


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """The gradients of the sum of `outputs` with respect to `inputs`, leaving every `.grad` alone.

    only_inputs : accepted for torch's sake, which has long ignored it
    is_grads_batched : not supported, NotImplementedError; `functional.jacobian` gives many rows
    Returns one Tensor for each input. An input that the outputs do not depend on raises
    RuntimeError unless `allow_unused` (then None) or `materialize_grads` (then zeros).
    """
    if is_grads_batched:
        raise NotImplementedError("grad: is_grads_batched is not supported; call it for each row")
    targets = _inputs("grad", inputs)
    if not targets:
        raise RuntimeError("grad: expected inputs to name at least one tensor, got none")
    if allow_unused is None:
        allow_unused = materialize_grads
    if materialize_grads and not allow_unused:
        raise ValueError("grad: expected allow_unused to be True or unset with materialize_grads")
    walk = _differentiate(
        outputs_of("grad", outputs), grad_outputs, retain_graph, create_graph, targets, "grad"
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
            results.append(_writable(value))
        else:
            results.append(make(np.array(value)))
    return tuple(results)


def outputs_of(name: str, tensors: Any) -> list[Tensor]:
    found = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    for value in found:
        if not isinstance(value, Tensor):
            raise TypeError(
                f"{name}: expected Tensors to differentiate, got {type(value).__name__}"
            )
    return found


def _inputs(name: str, tensors: Any) -> list[Tensor]:
    found = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    for value in found:
        if not isinstance(value, Tensor):
            raise RuntimeError(f"{name}: expected inputs to be Tensors, got {type(value).__name__}")
    return found


def _writable(value: Tensor) -> Tensor:
    """A recorded gradient; one of several parts of another (of what `cat` got) as a copy."""
    if value._view is None or value._view.origin != "many":
        return value
    with enable_grad():
        return value.clone()


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
    starts = starting_gradients(roots, gradients, create_graph, name)
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
    kind = AnomalyWalk if threads.mode.check_nan else Walk
    walk = kind(create_graph, retain, goals)
    edges = [edge_of(root) for root in roots]
    if goals is not None:
        walk.restrict(edges)
    for edge, start in zip(edges, starts, strict=True):
        if walk.leads(edge):
            walk.arrive(edge, start, None)
    follow(walk, threads.mode)
    return walk


def follow(walk: Walk, mode: Mode) -> None:
    """Run a walk in the mode that rules need, and its calls of the user's code in the user's."""
    before = (mode.run, mode.recording, mode.inside_rule, mode.scope, mode.phase)
    silently = mode.run
    steps = walk.run(mode)
    answer = None
    try:
        mode.recording = walk.create_graph
        if walk.create_graph:
            mode.phase = "backward"
        while True:
            mode.inside_rule = True
            try:
                if walk.create_graph:
                    call = steps.send(answer)
                else:
                    mode.run = _directly  # a context can't be entered again while it is running
                    call = silently(steps.send, answer)
            except StopIteration:
                return
            mode.run = silently
            mode.inside_rule = False
            mode.scope = before[3] if call.node is None else call.node.scope
            answer = call.function()
            mode.recording = walk.create_graph
    finally:
        mode.run, mode.recording, mode.inside_rule, mode.scope, mode.phase = before


def _call_after(leaf: Tensor, create_graph: bool) -> None:
    """Call what `register_post_accumulate_grad_hook` registered."""
    mode = threads.mode
    recording = mode.recording
    mode.recording = create_graph
    try:
        for hook in list(leaf._hooks.after.values()):
            hook(leaf)
    finally:
        mode.recording = recording


def _directly(function: Any, *args: Any) -> Any:
    return function(*args)


def starting_gradients(
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


def _retains_grad(self: Tensor) -> bool:
    """Whether this non-leaf tensor keeps its gradient in its `.grad`, by `retain_grad`."""
    edge = edge_of(self)
    node = node_of(edge)
    if node is None or node.watchers is None:
        return False
    return any(reference() is self for _, reference in node.watchers.retained)


def _retain_grad(self: Tensor) -> None:
    """Keep the gradient of this non-leaf tensor in its `.grad` as well."""
    edge = edge_of(self)
    if edge is None:
        raise RuntimeError(
            "retain_grad: expected a tensor that requires grad, got one that does not"
        )
    watch(self)


def _register_hook(self: Tensor, hook: Hook) -> RemovableHandle:
    """Call `hook(gradient)` in each backward pass that reaches this tensor.

    What it returns, unless None, takes the gradient's place: a Tensor of the same shape and dtype.
    Hooks run in the order of their registration, on the whole gradient; `.grad`, `retain_grad` and
    `autograd.grad` see what the last one left. (As in torch, `autograd.grad` with respect to a
    result *and* to what that was computed from gives the result's from before its hooks.) The hooks
    of leaves run when the whole pass is done. A hook of a tensor that is written in place later
    stays with the value from before. Operations in a hook are recorded under `create_graph=True`.
    Returns a handle with `remove()`. Raises RuntimeError for a tensor that does not require grad.
    """
    edge = edge_of(self)
    if edge is None:
        raise RuntimeError(
            "register_hook: cannot register a hook on a tensor that doesn't require gradient; "
            "call .requires_grad_() first"
        )
    _check_callable("register_hook", hook)
    if edge is self:
        return RemovableHandle(_leaf_hooks(self).before, hook)
    watchers, index = watchers_of(edge)
    return watchers.hook(hook, index)


def _register_post_accumulate_grad_hook(self: Tensor, hook: Hook) -> RemovableHandle:
    """Call `hook(leaf)` after each backward pass that added to the `.grad` of this leaf.

    What it returns is of no account. Returns a handle with `remove()`. Raises RuntimeError for a
    tensor that does not require grad, or is no leaf.
    """
    edge = edge_of(self)
    if edge is None:
        raise RuntimeError(
            "register_post_accumulate_grad_hook: cannot register a hook on a tensor that doesn't "
            "require gradient; call .requires_grad_() first"
        )
    if edge is not self:
        raise RuntimeError(
            "register_post_accumulate_grad_hook: post accumulate grad hooks cannot be registered "
            "on non-leaf tensors; use register_hook"
        )
    _check_callable("register_post_accumulate_grad_hook", hook)
    return RemovableHandle(_leaf_hooks(self).after, hook)


def _leaf_hooks(leaf: Tensor) -> LeafHooks:
    if leaf._hooks is None:
        leaf._hooks = LeafHooks()
    return leaf._hooks


def _check_callable(name: str, hook: Any) -> None:
    if not callable(hook):
        raise TypeError(f"{name}: expected a function, got {type(hook).__name__}")


bind(
    backward=_tensor_backward,
    retain_grad=_retain_grad,
    retains_grad=property(_retains_grad),
    register_hook=_register_hook,
    register_post_accumulate_grad_hook=_register_post_accumulate_grad_hook,
)
