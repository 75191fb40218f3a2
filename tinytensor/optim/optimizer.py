"""Optimizer: groups of parameters with their settings, and what is remembered of each parameter."""

from __future__ import annotations

import copy
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

import numpy as np

from ..autograd.mode import enable_grad, threads
from ..dtypes import Array
from ..nn.module import zero_gradients
from ..nn.state_dict import as_tensor
from ..tensor import Tensor, count_write, make
from .hooks import (
    Hooked,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
    with_hooks,
)
from .state import State, aligned_zeros

__all__ = [
    "Group",
    "Optimizer",
    "register_optimizer_step_post_hook",
    "register_optimizer_step_pre_hook",
]

Group = dict[str, Any]


class Optimizer(Hooked):
    """The base of every optimiser; a subclass defines `step`, or `_update_group` on arrays.

    params : Tensors, or pairs (name, Tensor), or dicts {"params": ..., setting: value, ...}, each a
        group with settings of its own
    defaults : the settings of a group that does not give them
    """

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        super().__init__()
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, "
                "but got a Tensor; put it in a list"
            )
        self.defaults = defaults
        self.state: defaultdict[Tensor, State] = defaultdict(dict)
        self.param_groups: list[Group] = []
        self._scratch: dict[tuple[Any, int], Array] = {}
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    # -- groups ---------------------------------------------------------------------------------

    def add_param_group(self, param_group: Group) -> None:
        """Add parameters with settings of their own, say the later layers of a model.

        Raises TypeError for what is no Tensor, ValueError for a Tensor that is no leaf or is in
        another group already.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        group = dict(param_group)
        group.update(_listed(param_group["params"]))
        for key, value in self.defaults.items():
            group.setdefault(key, value)
        own = {id(parameter) for parameter in group["params"]}
        if len(own) != len(group["params"]):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; each is changed "
                "as often as it is named",
                stacklevel=3,
            )
        if any(id(p) in own for other in self.param_groups for p in other["params"]):
            raise ValueError("some parameters appear in more than one parameter group")
        if any(("param_names" in group) != ("param_names" in other) for other in self.param_groups):
            raise ValueError("all optimizer param groups should be with/without names")
        self.param_groups.append(group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop all gradients, or with `set_to_none=False` write zeros into them."""
        zero_gradients(chain.from_iterable(g["params"] for g in self.param_groups), set_to_none)

    # -- steps ----------------------------------------------------------------------------------

    @with_hooks
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient, once.

        closure : computes the loss anew and calls `backward`; what it returns is returned
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group in self.param_groups:
            threads.mode.run(self._update_group, group)
        return loss

    def _update_group(self, group: Group) -> None:
        """Write the new values of a group's parameters into their arrays, by NumPy alone."""
        raise NotImplementedError(f"{type(self).__name__} must define step")

    def _begin(self, state: State, values: Array, group: Group) -> None:
        """Fill the empty state of a parameter before its first step."""

    def _moving(self, group: Group) -> Iterator[tuple[Array, Array, State]]:
        """(values, gradient to go down along, state) of each parameter that has a gradient.

        The values are to be written to; the gradient is to be read only, and has the weight decay
        in it. Decoupled weight decay is in the values already.
        """
        decay = group.get("weight_decay", 0)
        maximize = group["maximize"]
        kept = 1.0
        if decay and group.get("decoupled_weight_decay"):
            kept -= float(group["lr"]) * decay
            decay = 0
        by = f"{type(self).__name__}.step"
        for parameter in group["params"]:
            gradient = parameter._grad
            if gradient is None:
                continue
            values = parameter._array
            state = self.state[parameter]
            if not state:
                self._begin(state, values, group)
            if kept != 1:
                np.multiply(values, kept, values)
            yield values, self._descent(parameter, gradient, decay, maximize), state
            count_write(parameter._storage, by)

    def _memory(self, like: Array, number: int = 0, kind: Any = None) -> Array:
        """Memory of like's shape for passing results; the next parameter gets the same.

        kind : its NumPy type, by default like's
        """
        dtype = like.dtype if kind is None else np.dtype(kind)
        key = (dtype, number)
        held = self._scratch.get(key)
        if held is None or held.size < like.size:
            held = self._scratch[key] = aligned_zeros(like.shape, dtype).reshape(-1)
        return held[: like.size].reshape(like.shape)

    def _descent(self, parameter: Tensor, gradient: Tensor, decay: float, maximize: bool) -> Array:
        """The gradient to go down along: g + decay · parameter, where -g is g to maximise.

        It is the gradient's own array, to be read only, or memory number 1.
        """
        g = gradient._array
        if not decay and not maximize:
            return g
        turned = self._memory(g, 1)
        if not decay:
            return np.negative(g, turned)
        np.multiply(parameter._array, decay, turned)
        return np.subtract(turned, g, turned) if maximize else np.add(turned, g, turned)

    # -- state ----------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """{"state": {number: state}, "param_groups": [settings and "params": numbers]}.

        The numbers count the parameters through all groups. The state's Tensors are the
        optimiser's own, not copies.
        """
        for hook in self._before_state_dict.values():
            hook(self)
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for parameter in group["params"]:
                numbers.setdefault(id(parameter), len(numbers))
            settings = {key: value for key, value in group.items() if key != "params"}
            settings["params"] = [numbers[id(parameter)] for parameter in group["params"]]
            groups.append(settings)
        state = {numbers[id(parameter)]: held for parameter, held in self.state.items()}
        state_dict: dict[str, Any] = {"state": state, "param_groups": groups}
        for hook in self._after_state_dict.values():
            state_dict = _result(hook(self, state_dict), state_dict)
        return state_dict

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a `state_dict`, whose groups must have as many parameters as these.

        Tensors (or NumPy arrays) are copied and take the type of their parameter. Raises ValueError
        for other groups.
        """
        for hook in self._before_load.values():
            state_dict = _result(hook(self, state_dict), state_dict)
        saved_groups = state_dict["param_groups"]
        sizes = [len(group["params"]) for group in self.param_groups]
        saved_sizes = [len(group["params"]) for group in saved_groups]
        if len(sizes) != len(saved_sizes):
            raise ValueError(
                "loaded state dict has a different number of parameter groups: "
                f"expected {len(sizes)}, got {len(saved_sizes)}"
            )
        if sizes != saved_sizes:
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of "
                f"optimizer's group: expected {sizes} parameters, got {saved_sizes}"
            )
        owners: dict[Any, Tensor] = {}
        groups = []
        for group, saved in zip(self.param_groups, saved_groups, strict=True):
            owners.update(zip(saved["params"], group["params"], strict=True))
            settings = {key: _own_setting(value) for key, value in saved.items() if key != "params"}
            groups.append({**group, **settings})
        state: defaultdict[Tensor, State] = defaultdict(dict)
        for number, held in state_dict["state"].items():
            owner = owners[number]
            state[owner] = {key: _own_copy(key, value, owner) for key, value in held.items()}
        self.state = state
        self.param_groups = groups
        for hook in self._after_load.values():
            hook(self)

    def __getstate__(self) -> dict[str, Any]:
        return {**self._without_hooks(), "_scratch": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._clear_hooks()
        self.__dict__.update(state)

    def __repr__(self) -> str:
        groups = []
        for number, group in enumerate(self.param_groups):
            settings = (f"    {key}: {group[key]}\n" for key in sorted(group) if key != "params")
            groups.append(f"\nParameter Group {number}\n" + "".join(settings))
        return f"{type(self).__name__} ({''.join(groups)})"


def _listed(params: Any) -> Group:
    """A group's entries for its parameters: "params", and "param_names" if they came with names."""
    if isinstance(params, Tensor):
        params = [params]
    if isinstance(params, set):
        raise TypeError(
            "optimizer parameters need to be organized in ordered collections, but the ordering of "
            "tensors in sets will change between runs. Please use a list instead."
        )
    parameters = list(params)
    named = [isinstance(entry, tuple) for entry in parameters]
    names = {}
    if any(named):
        if not all(named):
            raise ValueError(
                "all optimizer params should be with/without names. Some param names are missing"
            )
        names = {"param_names": [name for name, _ in parameters]}
        parameters = [parameter for _, parameter in parameters]
    for parameter in parameters:
        if not isinstance(parameter, Tensor):
            raise TypeError(
                "optimizer can only optimize Tensors, but one of the params is "
                f"{type(parameter).__name__}"
            )
        if not (parameter.is_leaf or parameter.retains_grad):
            raise ValueError(
                "can't optimize a non-leaf Tensor: it is the result of "
                f"{parameter.grad_fn.name()}; optimise what it was made of"
            )
    return {"params": parameters, **names}


def _result(result: Any, before: Any) -> Any:
    """What a hook gave, or if that is nothing, what it was given."""
    return before if result is None else result


def _own_copy(key: str | None, value: Any, owner: Tensor) -> Any:
    """A state's entry, Tensors copied and, but for "step", in the parameter's type."""
    if isinstance(value, dict):
        return {name: _own_copy(name, entry, owner) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_own_copy(None, entry, owner) for entry in value)
    tensor = as_tensor(value)
    if tensor is None:
        return value
    kind = None if key == "step" else owner._array.dtype
    return make(np.array(tensor._array, dtype=kind))


def _own_setting(value: Any) -> Any:
    """A copy of a group's setting, so that a schedule of one optimiser leaves others alone."""
    tensor = as_tensor(value)
    return copy.deepcopy(value) if tensor is None else make(np.array(tensor._array))
