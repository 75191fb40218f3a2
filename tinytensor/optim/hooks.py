"""Functions of the user's that run before and after a step, and round a state_dict."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from ..autograd.hooks import RemovableHandle
from ..nn.module_hooks import Hooks

Hook = Callable[..., Any]


BEFORE_EVERY_STEP = Hooks()
AFTER_EVERY_STEP = Hooks()


def register_optimizer_step_pre_hook(hook: Hook) -> RemovableHandle:
    """Call `hook(optimizer, args, kwargs)` before each step of every optimiser.

    It may give (args, kwargs) to take their place; args begin with the optimiser.
    """
    return BEFORE_EVERY_STEP.add(hook)


def register_optimizer_step_post_hook(hook: Hook) -> RemovableHandle:
    """Call `hook(optimizer, args, kwargs)` after each step of every optimiser."""
    return AFTER_EVERY_STEP.add(hook)


class Hooked:
    """What has a `step` with hooks, and a state_dict with hooks.

    A class that defines `step` gets it with the hooks round it; of several such `step` that call
    each other, they are called round the outermost.
    """

    step: Callable[..., Any]

    def __init__(self) -> None:
        self._stepped = False  # schedulers ask whether there was a step
        self._clear_hooks()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "step" in cls.__dict__:
            cls.step = with_hooks(cls.step)

    def _clear_hooks(self) -> None:
        self._before_step = Hooks()
        self._after_step = Hooks()
        self._before_state_dict = Hooks()
        self._after_state_dict = Hooks()
        self._before_load = Hooks()
        self._after_load = Hooks()

    def _without_hooks(self) -> dict[str, Any]:
        """What a copy gets: the hooks are for this one."""
        own = self.__dict__.items()
        return {key: value for key, value in own if not isinstance(value, Hooks)}

    def register_step_pre_hook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` before each step.

        It may give (args, kwargs) to take their place; args begin with the optimiser.
        """
        return self._before_step.add(hook)

    def register_step_post_hook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` after each step."""
        return self._after_step.add(hook)

    def register_state_dict_pre_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call `hook(optimizer)` before a state_dict is made."""
        return self._before_state_dict.add(hook, prepend)

    def register_state_dict_post_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)` on each state_dict; it may give another one."""
        return self._after_state_dict.add(hook, prepend)

    def register_load_state_dict_pre_hook(
        self, hook: Hook, prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)` before one is loaded; it may give another one."""
        return self._before_load.add(hook, prepend)

    def register_load_state_dict_post_hook(
        self, hook: Hook, prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer)` after a state_dict was loaded."""
        return self._after_load.add(hook, prepend)


def with_hooks(step: Callable[..., Any]) -> Callable[..., Any]:
    """A step method with the hooks round it."""

    @wraps(step)
    def hooked(self: Hooked, *args: Any, **kwargs: Any) -> Any:
        if type(self).step is not hooked:  # called by the step of a subclass, which has the hooks
            return step(self, *args, **kwargs)
        self._stepped = True
        if not (self._before_step or self._after_step or BEFORE_EVERY_STEP or AFTER_EVERY_STEP):
            return step(self, *args, **kwargs)
        args = (self, *args)
        for hook in [*BEFORE_EVERY_STEP.values(), *self._before_step.values()]:
            args, kwargs = _replaced(hook(self, args, kwargs), args, kwargs)
        result = step(*args, **kwargs)
        for hook in [*self._after_step.values(), *AFTER_EVERY_STEP.values()]:
            hook(self, args, kwargs)
        return result

    return hooked


def _replaced(result: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The arguments of a step after a hook gave `result`. Raises RuntimeError for a wrong one."""
    if result is None:
        return args, kwargs
    if not isinstance(result, tuple) or len(result) != 2:
        raise RuntimeError(
            "step pre-hook: must return None or a tuple of (new_args, new_kwargs), but got "
            f"{result!r:.60}"
        )
    return result
