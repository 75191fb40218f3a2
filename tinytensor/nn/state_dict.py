"""A module's parameters and buffers by name: `state_dict` and `load_state_dict`."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ..autograd.mode import no_grad
from ..ops.data import from_numpy
from ..tensor import Tensor
from .module_hooks import Hook, Hooked
from .parameter import Parameter

_EXTRA_STATE = "_extra_state"


class _IncompatibleKeys(namedtuple("IncompatibleKeys", ("missing_keys", "unexpected_keys"))):
    """What `load_state_dict` did not find, and what it had no place for."""

    __slots__ = ()

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return super().__repr__()


class Stateful(Hooked):
    """The half of `Module` that gives out its state and takes it back."""

    _version: int = 1  # of the names in the state; hooks get it as local_metadata["version"]
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _non_persistent_buffers_set: set[str]
    _modules: dict[str, Any]

    def get_extra_state(self) -> Any:
        """What else belongs to the state_dict; a subclass defines it along with the next one."""
        raise RuntimeError(
            f"{type(self).__name__}: expected a subclass to define get_extra_state, and "
            "set_extra_state with it"
        )

    def set_extra_state(self, state: Any) -> None:
        """Take back what `get_extra_state` gave; a subclass defines it along with that."""
        raise RuntimeError(
            f"{type(self).__name__}: expected a subclass to define set_extra_state, and "
            "get_extra_state with it"
        )

    def state_dict(
        self,
        *,
        destination: dict[str, Any] | None = None,
        prefix: str = "",
        keep_vars: bool = False,
    ) -> dict[str, Any]:
        """Parameters and persistent buffers by dotted name, on the module's own memory.

        destination : a dict to write into; a new OrderedDict when left out
        prefix : put before every name
        keep_vars : give the parameters themselves instead of detached tensors
        """
        found: dict[str, Any] = OrderedDict() if destination is None else destination
        hooks = self._state_hooks
        if hooks is not None:
            for hook in list(hooks.before_save.values()):
                hook(self, prefix, keep_vars)
        for name, tensor in self._own_state().items():
            found[prefix + name] = tensor if keep_vars else tensor.detach()
        if type(self).get_extra_state is not Stateful.get_extra_state:
            found[prefix + _EXTRA_STATE] = self.get_extra_state()
        for name, module in self._modules.items():
            if module is not None:
                below = f"{prefix}{name}."
                module.state_dict(destination=found, prefix=below, keep_vars=keep_vars)
        if hooks is not None:
            for hook in list(hooks.after_save.values()):
                if hook(self, found, prefix, {"version": self._version}) is not None:
                    raise RuntimeError("state_dict post-hook must return None")
        return found

    def _own_state(self) -> dict[str, Tensor]:
        """The parameters and persistent buffers of this module alone."""
        found: dict[str, Tensor] = {}
        for name, parameter in self._parameters.items():
            if parameter is not None:
                found[name] = parameter
        for name, buffer in self._buffers.items():
            if buffer is not None and name not in self._non_persistent_buffers_set:
                found[name] = buffer
        return found

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> _IncompatibleKeys:
        """Copy values by name into parameters and buffers, each cast to the type it has here.

        state_dict : Tensors or NumPy arrays by dotted name
        strict : raise for names that are missing or unexpected (else they are only reported)
        assign : take the given tensors themselves, with their types, instead of copying
        Raises RuntimeError that lists all that is missing, unexpected or of another shape. Nothing
        is changed then, unless a post-hook had its say first about what is missing.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        loading = _Loading(getattr(state_dict, "_metadata", None) or {})
        loading.look(self, dict(state_dict), "")
        if loading.errors or not loading.after:
            loading.refuse(type(self).__name__, strict)
        loading.apply(assign)
        loading.refuse(type(self).__name__, strict)
        return loading.keys


class _Copy(NamedTuple):
    """A value that found its place."""

    owner: Stateful
    name: str
    target: Tensor
    source: Tensor


class _Loading:
    """One `load_state_dict`: everything is looked at first, and changed after that.

    metadata : {"version": ...} by the dotted name of a module, where the state_dict has such
    """

    def __init__(self, metadata: Mapping[str, Any]) -> None:
        self.metadata = metadata
        self.keys = _IncompatibleKeys([], [])
        self.errors: list[str] = []
        self.copies: list[_Copy] = []
        self.extras: list[tuple[Stateful, Any]] = []
        self.after: list[tuple[Hook, Stateful]] = []

    def look(self, module: Stateful, state: dict[str, Any], prefix: str) -> None:
        """Find the values for a module and those below it. state : what lies below `prefix`."""
        hooks = module._state_hooks
        if hooks is not None:
            known = dict(self.metadata.get(prefix[:-1], {}))
            for hook in list(hooks.before_load.values()):
                hook(module, state, prefix, known, True, *self.keys, self.errors)
        own = module._own_state()
        for name, target in own.items():
            if prefix + name in state:
                self._match(module, name, target, prefix + name, state[prefix + name])
            else:
                self.keys.missing_keys.append(prefix + name)
        self._look_for_extra(module, state, prefix + _EXTRA_STATE)
        for key in state:
            first, dot, _ = key[len(prefix) :].partition(".")
            place = module._modules.get(first) if dot else own.get(first)
            if place is None and key != prefix + _EXTRA_STATE:
                self.keys.unexpected_keys.append(key)
        for name, child in module._modules.items():
            if child is not None:
                below = f"{prefix}{name}."
                part = {key: value for key, value in state.items() if key.startswith(below)}
                self.look(child, part, below)
        if hooks is not None:
            self.after += [(hook, module) for hook in hooks.after_load.values()]

    def _match(self, owner: Stateful, name: str, target: Tensor, key: str, value: Any) -> None:
        """Note a value for its place, or what is wrong with it."""
        source = as_tensor(value)
        if source is None:
            self.errors.append(
                f'While copying the parameter named "{key}", expected a Tensor or NumPy array '
                f"from checkpoint but received {type(value)}"
            )
            return
        if target.ndim == 0 and source.shape == (1,):  # as numbers were saved by torch before 0.4
            source = source.reshape(())
        if source.shape != target.shape:
            self.errors.append(
                f"size mismatch for {key}: copying a param with shape {source.shape} from "
                f"checkpoint, the shape in current model is {target.shape}."
            )
            return
        self.copies.append(_Copy(owner, name, target, source))

    def _look_for_extra(self, module: Stateful, state: dict[str, Any], key: str) -> None:
        taken = type(module).set_extra_state is not Stateful.set_extra_state
        if taken and key in state:
            self.extras.append((module, state[key]))
        elif taken:
            self.keys.missing_keys.append(key)
        elif key in state:
            self.keys.unexpected_keys.append(key)

    def refuse(self, name: str, strict: bool) -> None:
        """Raise what was found to be wrong, if anything was."""
        problems: list[str] = []
        missing, unexpected = self.keys
        if strict and missing:
            problems.append(f"Missing key(s) in state_dict: {_quoted(missing)}. ")
        if strict and unexpected:
            problems.append(f"Unexpected key(s) in state_dict: {_quoted(unexpected)}. ")
        problems += self.errors
        if problems:
            listed = "\n\t".join(problems)
            raise RuntimeError(f"Error(s) in loading state_dict for {name}:\n\t{listed}")

    def apply(self, assign: bool) -> None:
        """Change what is to be changed, and tell the hooks."""
        with no_grad():
            for owner, name, target, source in self.copies:
                if assign:
                    _put(owner, name, target, source)
                else:
                    target.copy_(source)
        for module, extra in self.extras:
            module.set_extra_state(extra)
        for hook, module in self.after:
            if hook(module, self.keys) is not None:
                raise AssertionError(
                    "load_state_dict post-hook: expected it to return None; change the lists in "
                    "incompatible_keys in place"
                )


def _put(owner: Stateful, name: str, held: Tensor, value: Tensor) -> None:
    """Put another tensor in the place of a parameter or buffer, as trainable as that was."""
    if isinstance(held, Parameter):
        if isinstance(value, Parameter):
            value.requires_grad_(held.requires_grad)
        else:
            value = Parameter(value, held.requires_grad)
    setattr(owner, name, value)


def as_tensor(value: Any) -> Tensor | None:
    """A Tensor, or what can give its memory as a NumPy array, as a Tensor; else None."""
    if isinstance(value, Tensor):
        return value
    if hasattr(value, "__array__"):
        return from_numpy(np.asarray(value))
    return None


def _quoted(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
