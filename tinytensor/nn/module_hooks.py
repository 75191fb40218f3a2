"""Hooks of modules: functions of the user's round a call, its backward pass and a state_dict."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..autograd.function import Function, FunctionCtx
from ..autograd.hooks import Registry, RemovableHandle, next_key
from ..autograd.mode import is_grad_enabled
from ..tensor import Tensor

if TYPE_CHECKING:
    from .module import Module

Hook = Callable[..., Any]


class Hooks(Registry):
    """Hooks in the order in which they are called."""

    __slots__ = ()

    def add(self, hook: Any, prepend: bool = False) -> Handle:
        """Call a hook after those that are there, or before them; the handle removes it."""
        key = next_key()
        while key in self:  # those that were unpickled have keys of another process
            key = next_key()
        later = dict(self) if prepend else {}
        for other in later:
            del self[other]
        self[key] = hook
        self.update(later)
        return Handle(self, key)


class Handle(RemovableHandle):
    """A handle that may be an attribute of its module: a copy of that has a handle to its own hook.

    id : the key of the hook
    """

    def __init__(self, hooks: Hooks, key: int) -> None:
        self._registry = weakref.ref(hooks)
        self.id = key

    def __reduce__(self) -> Any:
        hooks = self._registry()
        return Handle, (Hooks() if hooks is None else hooks, self.id)


class BeforeCall(NamedTuple):
    """A hook before a call. with_kwargs : whether it gets the arguments by name too."""

    hook: Hook
    with_kwargs: bool


class AfterCall(NamedTuple):
    """A hook after a call. always : whether it runs after an error too."""

    hook: Hook
    with_kwargs: bool
    always: bool


class CallHooks:
    """The hooks of one module round its calls and their backward passes."""

    def __init__(self) -> None:
        self.before = Hooks()
        self.after = Hooks()
        self.before_backward = Hooks()
        self.after_backward = Hooks()


class StateHooks:
    """The hooks of one module round `state_dict` and `load_state_dict`."""

    def __init__(self) -> None:
        self.before_save = Hooks()
        self.after_save = Hooks()
        self.before_load = Hooks()
        self.after_load = Hooks()


class Hooked:
    """What can have hooks: the registering half of `Module`."""

    # Most modules have none, so that a look at the class tells.
    _call_hooks: CallHooks | None = None
    _state_hooks: StateHooks | None = None

    def _of_calls(self) -> CallHooks:
        if self._call_hooks is None:
            self._call_hooks = CallHooks()
        return self._call_hooks

    def _of_state(self) -> StateHooks:
        if self._state_hooks is None:
            self._state_hooks = StateHooks()
        return self._state_hooks

    def register_forward_pre_hook(
        self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args)` before each call of `forward`.

        It may give the new arguments, as a tuple or a single one.
        prepend : call it before the hooks that are there
        with_kwargs : call `hook(module, args, kwargs)`, which may give (args, kwargs)
        """
        return self._of_calls().before.add(BeforeCall(hook, with_kwargs), prepend)

    def register_forward_hook(
        self,
        hook: Hook,
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Call `hook(module, args, output)` after each call of `forward`.

        It may give another output.
        prepend : call it before the hooks that are there
        with_kwargs : call `hook(module, args, kwargs, output)`
        always_call : call it after an error too, with output None; what it raises then is a warning
        """
        entry = AfterCall(hook, with_kwargs, always_call)
        return self._of_calls().after.add(entry, prepend)

    def register_full_backward_pre_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_output)` when the gradients of all outputs of a call are there.

        grad_output : a tuple, None where an output is no tensor or got no gradient. The hook may
            give another one, with which the backward pass goes on.

        The module sees views of its arguments and its caller views of its outputs; changing these
        in place is an error.
        """
        return self._of_calls().before_backward.add(hook, prepend)

    def register_full_backward_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` when the gradients of its inputs are there.

        grad_input : a tuple, one for each positional argument, None where it is no tensor. The hook
            may give another one, with which the backward pass goes on.

        Where no input requires a gradient it is called with the gradients of the outputs, and may
        give none. The views are as for `register_full_backward_pre_hook`.
        """
        return self._of_calls().after_backward.add(hook, prepend)

    def register_state_dict_pre_hook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(module, prefix, keep_vars)` before `state_dict` reads this module."""
        return self._of_state().before_save.add(hook)

    def register_state_dict_post_hook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, local_metadata)` after `state_dict` read it.

        It may change the state_dict and gives nothing.
        """
        return self._of_state().after_save.add(hook)

    def register_load_state_dict_pre_hook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, local_metadata, strict, missing_keys,
        unexpected_keys, error_msgs)` before `load_state_dict` looks for what this module needs.

        state_dict : a copy of the part below `prefix`, to be changed at will: to rename old keys
        strict : always True, as in torch
        missing_keys, unexpected_keys, error_msgs : lists that the hook may add to
        """
        return self._of_state().before_load.add(hook)

    def register_load_state_dict_post_hook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(module, incompatible_keys)` after this module and all below it were loaded.

        It may change the lists `missing_keys` and `unexpected_keys`, which decide about the error.
        """
        return self._of_state().after_load.add(hook)


# -- round a call ---------------------------------------------------------------------------------


class HookedCall:
    """One call of a module with hooks."""

    def __init__(self, module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        assert module._call_hooks is not None
        self.module = module
        self.hooks = module._call_hooks
        self.args = args
        self.kwargs = kwargs
        self.output: Any = None
        self.called: set[int] = set()

    def run(self) -> Any:
        """The output of the call, with all hooks called in their order."""
        try:
            return self._run()
        except Exception:
            self._call_the_rest()
            raise

    def _run(self) -> Any:
        hooks = self.hooks
        for entry in list(hooks.before.values()):
            self._call_before(entry)
        doors = None
        if hooks.before_backward or hooks.after_backward:
            doors = Doors(
                self.module,
                list(hooks.before_backward.values()),
                list(hooks.after_backward.values()),
            )
            self.args = doors.enter(self.args)
        self.output = self.module.forward(*self.args, **self.kwargs)
        for key, entry in list(hooks.after.items()):
            self.called.add(key)
            self._call_after(entry)
        return self.output if doors is None else doors.leave(self.output)

    def _call_before(self, entry: BeforeCall) -> None:
        if not entry.with_kwargs:
            answer = entry.hook(self.module, self.args)
            if answer is not None:
                self.args = answer if isinstance(answer, tuple) else (answer,)
            return
        answer = entry.hook(self.module, self.args, self.kwargs)
        if answer is None:
            return
        if not isinstance(answer, tuple) or len(answer) != 2:
            raise RuntimeError(
                "forward pre-hook must return None or a tuple of (new_args, new_kwargs), "
                f"but got {answer!r:.60}"
            )
        self.args, self.kwargs = answer

    def _call_after(self, entry: AfterCall) -> None:
        if entry.with_kwargs:
            answer = entry.hook(self.module, self.args, self.kwargs, self.output)
        else:
            answer = entry.hook(self.module, self.args, self.output)
        if answer is not None:
            self.output = answer

    def _call_the_rest(self) -> None:
        """After an error: call the hooks that are always called and were not."""
        for key, entry in list(self.hooks.after.items()):
            if not entry.always or key in self.called:
                continue
            try:
                self._call_after(entry)
            except Exception as error:
                warnings.warn(
                    "module forward hook with ``always_call=True`` raised an exception that was "
                    f"silenced as another error was raised in forward: {error}",
                    stacklevel=4,
                )


# -- round a backward pass ------------------------------------------------------------------------


class BackwardHookFunction(Function):
    """The same tensors, through one node: all their gradients come to one callback together."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, callback: Callable[..., Any], zeros: bool, *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        """zeros : whether a gradient that did not arrive is zeros (else None)."""
        ctx.callback = callback  # type: ignore[attr-defined]
        ctx.set_materialize_grads(zeros)
        ctx.mark_non_differentiable(*(x for x in tensors if not x.requires_grad))
        return tensors

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Any, ...]:
        return (None, None, *ctx.callback(gradients))


class Doors:
    """The two doors of one call, where its backward pass comes in and goes out.

    before, after : the hooks at the door of the outputs, and at that of the inputs
    """

    def __init__(self, module: Module, before: list[Hook], after: list[Hook]) -> None:
        self.module = module
        self.before = before
        self.after = after
        self.inputs = _Slots(0, None)
        self.outputs = _Slots(0, None)
        self.grad_output: tuple[Any, ...] | None = None

    def enter(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments as the module gets them."""
        passed, self.inputs = _passed(args, self._at_inputs, zeros=True)
        return passed

    def leave(self, output: Any) -> Any:
        """The output as the caller gets it."""
        if isinstance(output, tuple):
            passed, self.outputs = _passed(output, self._at_outputs, zeros=False)
            return passed
        if isinstance(output, Tensor):
            passed, self.outputs = _passed((output,), self._at_outputs, zeros=False)
            return passed[0]
        warnings.warn(
            "For backward hooks to be called, module output should be a Tensor or a tuple of "
            f"Tensors but received {type(output)}",
            stacklevel=5,
        )
        return output

    def _at_outputs(self, arrived: tuple[Any, ...]) -> list[Any]:
        found = self.outputs.filled(arrived)
        for hook in self.before:
            answer = hook(self.module, found)
            if answer is not None:
                found = _checked(hook, answer, found, "Backward pre hook", "grad_output")
        self.grad_output = found
        if self.inputs.places is None:
            self._call_without_inputs(found)
        return self.outputs.picked(found)

    def _call_without_inputs(self, grad_output: tuple[Any, ...]) -> None:
        if self.after:
            warnings.warn(
                "Full backward hook is firing when gradients are computed with respect to module "
                "outputs since no inputs require gradients",
                stacklevel=2,
            )
        self.grad_output = None
        for hook in self.after:
            answer = hook(self.module, (None,) * self.inputs.size, grad_output)
            if answer is not None and any(part is not None for part in answer):
                raise RuntimeError(
                    "Backward hook for Modules where no input requires gradient should always "
                    "return None or None for all gradients."
                )

    def _at_inputs(self, arrived: tuple[Any, ...]) -> Sequence[Any]:
        grad_output = self.grad_output
        if grad_output is None:  # it came past the outputs: the second derivative of the first part
            return arrived
        self.grad_output = None
        found = self.inputs.filled(arrived)
        for hook in self.after:
            answer = hook(self.module, found, grad_output)
            if answer is not None:
                found = _checked(hook, answer, found, "Backward hook", "grad_input")
        return self.inputs.picked(found)


class _Slots(NamedTuple):
    """Where the tensors are among the arguments or outputs; places is None if no door was made."""

    size: int
    places: list[int] | None

    def filled(self, values: Sequence[Any]) -> tuple[Any, ...]:
        """The values at their places, None at the others."""
        assert self.places is not None
        slots = [None] * self.size
        for place, value in zip(self.places, values, strict=True):
            slots[place] = value
        return tuple(slots)

    def picked(self, slots: tuple[Any, ...]) -> list[Any]:
        """The values at the places."""
        assert self.places is not None
        return [slots[place] for place in self.places]


def _passed(values: Any, callback: Callable[..., Any], zeros: bool) -> tuple[Any, _Slots]:
    """The tuple with its tensors led through a door, if one of them requires a gradient."""
    places = [place for place, value in enumerate(values) if isinstance(value, Tensor)]
    tensors = [values[place] for place in places]
    if not is_grad_enabled() or not any(x.requires_grad for x in tensors):
        return values, _Slots(len(values), None)
    through = BackwardHookFunction.apply(callback, zeros, *tensors)
    parts = list(values)
    for place, tensor in zip(places, through, strict=True):
        parts[place] = tensor
    kind = type(values)
    passed = tuple(parts) if kind is tuple else kind(*parts)
    return passed, _Slots(len(values), places)


def _checked(
    hook: Hook, answer: Any, found: tuple[Any, ...], what: str, of: str
) -> tuple[Any, ...]:
    """What a hook gave for gradients, as a tuple that fits in their place."""
    parts = (answer,) if isinstance(answer, Tensor) else tuple(answer)
    if len(parts) != len(found):
        raise RuntimeError(
            f"{what} returned an invalid number of {of}, got {len(parts)}, but expected "
            f"{len(found)}"
        )
    name = getattr(hook, "__name__", type(hook).__name__)
    for part, before in zip(parts, found, strict=True):
        if part is None:
            continue
        if not isinstance(part, Tensor):
            raise TypeError(
                f"{what} {name!r}: expected a Tensor or None for each {of}, got "
                f"{type(part).__name__}"
            )
        if before is not None and part.shape != before.shape:
            raise RuntimeError(
                f"{what} {name!r} has changed the size of value: expected a gradient of shape "
                f"{tuple(before.shape)}, got {tuple(part.shape)}"
            )
    return parts
