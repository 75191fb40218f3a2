"""Module: parameters, buffers and other modules under one roof, to be called as a function."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Self

import numpy as np

from .. import devices, dtypes
from ..autograd.mode import no_grad
from ..autograd.scope import Label, Scope
from ..ops.data import from_numpy
from ..tensor import Tensor
from .parameter import Parameter


class _IncompatibleKeys(namedtuple("IncompatibleKeys", ("missing_keys", "unexpected_keys"))):
    """What `load_state_dict` did not find, and what it had no place for."""

    __slots__ = ()

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return super().__repr__()


class Module:
    """The base of every layer and model.

    A subclass calls `super().__init__()` first, assigns parameters and modules as attributes, and
    defines `forward`. Calling the module runs it, and what is recorded meanwhile carries its name.
    """

    training: bool
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _non_persistent_buffers_set: set[str]
    _modules: dict[str, Module | None]
    _label: Label

    def __init__(self) -> None:
        set_attribute = super().__setattr__
        set_attribute("_label", Label(type(self).__name__))
        set_attribute("training", True)
        set_attribute("_parameters", {})
        set_attribute("_buffers", {})
        set_attribute("_non_persistent_buffers_set", set())
        set_attribute("_modules", {})

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; a subclass defines it."""
        raise NotImplementedError(
            f'Module [{type(self).__name__}] is missing the required "forward" function'
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with Scope("module", self._label):
            return self.forward(*args, **kwargs)

    # -- attributes -----------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        own = self.__dict__
        for kind in ("_parameters", "_buffers", "_modules"):
            registered = own.get(kind)
            if registered is not None and name in registered:
                return registered[name]
        cure = "" if "_parameters" in own else "; was super().__init__() called?"
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'{cure}")

    def __setattr__(self, name: str, value: Any) -> None:
        own = self.__dict__
        if isinstance(value, Parameter):
            if "_parameters" not in own:
                raise AttributeError("cannot assign parameters before Module.__init__() call")
            self._forget(name, but="_parameters")
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            if "_modules" not in own:
                raise AttributeError("cannot assign module before Module.__init__() call")
            self._forget(name, but="_modules")
            self.register_module(name, value)
        elif "_modules" not in own:
            super().__setattr__(name, value)
        elif name in self._parameters:
            if value is not None:
                raise TypeError(
                    f"cannot assign '{type(value).__name__}' as parameter '{name}' "
                    "(tinytensor.nn.Parameter or None expected)"
                )
            self.register_parameter(name, None)
        elif name in self._modules:
            if value is not None:
                raise TypeError(
                    f"cannot assign '{type(value).__name__}' as child module '{name}' "
                    "(tinytensor.nn.Module or None expected)"
                )
            self.register_module(name, None)
        elif name in self._buffers:
            if value is not None and not isinstance(value, Tensor):
                raise TypeError(
                    f"cannot assign '{type(value).__name__}' as buffer '{name}' "
                    "(tinytensor.Tensor or None expected)"
                )
            self._buffers[name] = value
        else:
            super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        if name in self._parameters or name in self._modules or name in self._buffers:
            self._forget(name)
        else:
            super().__delattr__(name)

    def _forget(self, name: str, but: str = "") -> None:
        """Remove an attribute of any kind, so that the name is free for another kind."""
        self.__dict__.pop(name, None)
        if but != "_parameters":
            self._release(name, self._parameters.pop(name, None))
        if but != "_modules":
            self._release(name, self._modules.pop(name, None))
        self._buffers.pop(name, None)
        self._non_persistent_buffers_set.discard(name)

    def __dir__(self) -> list[str]:
        names = {*super().__dir__(), *self._parameters, *self._buffers, *self._modules}
        return sorted(name for name in names if not name[:1].isdigit())

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Fill a copied or unpickled module, whose names start a tree of their own."""
        self.__dict__.update(state)
        self.__dict__["_label"] = Label(type(self).__name__)
        self._claim_all()

    # -- registering ----------------------------------------------------------------------------

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter, or None for one that is left out, under a name."""
        self._check_name("parameter", name, "_parameters")
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(
                f"cannot assign '{type(param).__name__}' object to parameter '{name}' "
                "(tinytensor.nn.Parameter or None required)"
            )
        before = self._parameters.get(name)
        self._parameters[name] = param
        self._release(name, before)
        self._claim(name, param)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that belongs to the module but is not trained.

        persistent : whether it is part of the state_dict
        """
        self._check_name("buffer", name, "_buffers")
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign '{type(tensor).__name__}' object to buffer '{name}' "
                "(tinytensor.Tensor or None required)"
            )
        self._buffers[name] = tensor
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def register_module(self, name: str, module: Module | None) -> None:
        """Add a child module, or None for one that is left out, under a name."""
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{type(module).__name__} is not a Module subclass")
        self._check_name("module", name, "_modules")
        before = self._modules.get(name)
        self._modules[name] = module
        self._release(name, before)
        self._claim(name, module)

    add_module = register_module

    def _check_name(self, what: str, name: str, registry: str) -> None:
        own = self.__dict__
        if registry not in own:
            raise AttributeError(f"cannot assign {what} before Module.__init__() call")
        if not isinstance(name, str):
            raise TypeError(f"{what} name should be a string. Got {type(name).__name__}")
        if name not in own[registry] and hasattr(self, name):
            raise KeyError(f"attribute '{name}' already exists")
        if "." in name:
            raise KeyError(f'{what} name can\'t contain ".", got: {name}')
        if name == "":
            raise KeyError(f'{what} name can\'t be empty string ""')

    # -- names in the graph ---------------------------------------------------------------------
    # What is registered twice (tied weights, a slice of a Sequential) keeps its first name, which
    # is the one that named_parameters gives it.

    def _claim(self, name: str, child: Parameter | Module | None) -> None:
        """Give a child its name, unless it has one from elsewhere."""
        if child is None:
            return
        label = child._label
        if label is None:
            child._label = Label("Parameter", name, self._label)
        elif label.parent is None and not _is_above(label, self._label):
            label.name = name
            label.parent = self._label

    def _claim_all(self) -> None:
        for name, child in (*self._parameters.items(), *self._modules.items()):
            self._claim(name, child)

    def _release(self, name: str, child: Parameter | Module | None) -> None:
        """Take back the name of a child that was removed; it may be here under a second name."""
        label = None if child is None else child._label
        if label is not None and label.parent is self._label and label.name == name:
            label.name = ""
            label.parent = None
            self._claim_all()

    # -- walking --------------------------------------------------------------------------------

    def children(self) -> Iterator[Module]:
        """The modules right below this one."""
        for _, module in self.named_children():
            yield module

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules right below this one and their names; one with two names comes once."""
        seen: set[Module] = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def modules(self, remove_duplicate: bool = True) -> Iterator[Module]:
        """This module and all below it."""
        for _, module in self.named_modules(remove_duplicate=remove_duplicate):
            yield module

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module and all below it with their dotted names; this one's is `prefix`.

        memo : modules to leave out; what is given out is added to it
        """
        if memo is None:
            memo = set()
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                below = f"{prefix}.{name}" if prefix else name
                yield from module.named_modules(memo, below, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters of this module and, if `recurse`, of all below it, each once."""
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """The parameters with their dotted names; a tied one comes once, under its first name."""
        return self._named_members("_parameters", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers of this module and, if `recurse`, of all below it, each once."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """The buffers with their dotted names."""
        return self._named_members("_buffers", prefix, recurse, remove_duplicate)

    def _named_members(
        self, registry: str, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        owners: Iterable[tuple[str, Module]] = [(prefix, self)]
        if recurse:
            owners = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
        seen: set[int] = set()
        for path, module in owners:
            for name, member in getattr(module, registry).items():
                if member is None or id(member) in seen:
                    continue
                if remove_duplicate:
                    seen.add(id(member))
                yield f"{path}.{name}" if path else name, member

    def get_submodule(self, target: str) -> Module:
        """The module with a dotted name ("" is this one). Raises AttributeError if not found."""
        module = self
        for name in target.split(".") if target else ():
            if not hasattr(module, name):
                raise AttributeError(f"{type(module).__name__} has no attribute `{name}`")
            module = getattr(module, name)
            if not isinstance(module, Module):
                raise AttributeError(f"`{name}` is not an nn.Module")
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter with a dotted name. Raises AttributeError if there is none."""
        owner, name = self._owner(target)
        found = getattr(owner, name)
        if not isinstance(found, Parameter):
            raise AttributeError(f"`{name}` is not an nn.Parameter")
        return found

    def get_buffer(self, target: str) -> Tensor:
        """The buffer with a dotted name. Raises AttributeError if there is none."""
        owner, name = self._owner(target)
        found = owner._buffers.get(name)
        if found is None:
            raise AttributeError(f"`{name}` is not a buffer")
        return found

    def _owner(self, target: str) -> tuple[Module, str]:
        """The module that holds the attribute with a dotted name, and its last part."""
        path, _, name = target.rpartition(".")
        owner = self.get_submodule(path)
        if not hasattr(owner, name):
            raise AttributeError(f"{type(owner).__name__} has no attribute `{name}`")
        return owner, name

    # -- changing all at once -------------------------------------------------------------------

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call `fn` on every module below this one and then on this one."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def train(self, mode: bool = True) -> Self:
        """Switch to training behaviour (dropout drops), here and below."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self) -> Self:
        """Switch to the behaviour of a trained model, here and below."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Say for all parameters whether `backward` leaves gradients in them."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop all gradients, or with `set_to_none=False` write zeros into them."""
        zero_gradients(self.parameters(), set_to_none)

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Cast all floating-point parameters and buffers, in place.

        to(dtype), to(device), to(device, dtype), to(tensor): the tensor's dtype. The only device is
        "cpu". Raises TypeError for a dtype that is not floating-point.
        """
        kind = _wanted_dtype(args, kwargs)
        return self if kind is None else self._cast(kind)

    def float(self) -> Self:
        """Cast all floating-point parameters and buffers to float32, in place."""
        return self._cast(dtypes.float32)

    def double(self) -> Self:
        """Cast all floating-point parameters and buffers to float64, in place."""
        return self._cast(dtypes.float64)

    def half(self) -> Self:
        """Cast all floating-point parameters and buffers to float16, in place."""
        return self._cast(dtypes.float16)

    def cpu(self) -> Self:
        """This module: there is no other device."""
        return self

    def _cast(self, kind: dtypes.dtype) -> Self:
        for tensor in (*self.parameters(), *self.buffers()):
            if not tensor.is_floating_point():
                continue
            gradient = tensor.grad
            tensor.data = tensor.data.to(kind)
            if gradient is not None:
                gradient.data = gradient.data.to(kind)
        return self

    # -- state ----------------------------------------------------------------------------------

    def _named_state(self, prefix: str = "") -> Iterator[tuple[str, Module, str, Tensor]]:
        """(full name, owner, name there, tensor) of all that a state_dict holds, ties included."""
        for name, parameter in self._parameters.items():
            if parameter is not None:
                yield prefix + name, self, name, parameter
        for name, buffer in self._buffers.items():
            if buffer is not None and name not in self._non_persistent_buffers_set:
                yield prefix + name, self, name, buffer
        for name, module in self._modules.items():
            if module is not None:
                yield from module._named_state(f"{prefix}{name}.")

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
        for name, _, _, tensor in self._named_state(prefix):
            found[name] = tensor if keep_vars else tensor.detach()
        return found

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> _IncompatibleKeys:
        """Copy values by name into parameters and buffers, each cast to the type it has here.

        state_dict : Tensors or NumPy arrays by dotted name
        strict : raise for names that are missing or unexpected (else they are only reported)
        assign : take the given tensors themselves, with their types, instead of copying
        Raises RuntimeError that lists all that is missing, unexpected or of another shape; nothing
        is changed then.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        own = {name: (owner, short, held) for name, owner, short, held in self._named_state()}
        missing = [name for name in own if name not in state_dict]
        unexpected = [name for name in state_dict if name not in own]
        problems: list[str] = []
        if strict and missing:
            problems.append(f"Missing key(s) in state_dict: {_quoted(missing)}. ")
        if strict and unexpected:
            problems.append(f"Unexpected key(s) in state_dict: {_quoted(unexpected)}. ")
        sources: dict[str, Tensor] = {}
        for name, (_, _, target) in own.items():
            if name not in state_dict:
                continue
            source = as_tensor(state_dict[name])
            if source is None:
                problems.append(
                    f'While copying the parameter named "{name}", expected a Tensor or NumPy array '
                    f"from checkpoint but received {type(state_dict[name])}"
                )
            elif source.shape != target.shape:
                problems.append(
                    f"size mismatch for {name}: copying a param with shape {source.shape} from "
                    f"checkpoint, the shape in current model is {target.shape}."
                )
            else:
                sources[name] = source
        if problems:
            listed = "\n\t".join(problems)
            raise RuntimeError(
                f"Error(s) in loading state_dict for {type(self).__name__}:\n\t{listed}"
            )
        with no_grad():
            for name, source in sources.items():
                owner, short, target = own[name]
                if assign:
                    owner._replace(short, target, source)
                else:
                    target.copy_(source)
        return _IncompatibleKeys(missing, unexpected)

    def _replace(self, name: str, held: Tensor, value: Tensor) -> None:
        """Put another tensor in the place of a parameter or buffer."""
        if isinstance(held, Parameter) and not isinstance(value, Parameter):
            value = Parameter(value, held.requires_grad)
        setattr(self, name, value)

    # -- printing -------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What stands in the brackets of the printed form; a subclass defines it."""
        return ""

    def _get_name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        extra = self.extra_repr()
        children = [f"({name}): {module!r}" for name, module in self._modules.items()]
        if not children and "\n" not in extra:
            return f"{self._get_name()}({extra})"
        return in_brackets(self._get_name(), [extra, *children] if extra else children)


def in_brackets(name: str, parts: list[str]) -> str:
    """name(...) with the parts on lines of their own, indented."""
    lines = "\n".join(("", *parts)).replace("\n", "\n  ")
    return f"{name}({lines}\n)"


def zero_gradients(parameters: Iterable[Tensor], set_to_none: bool) -> None:
    """Drop the gradients, or write zeros into them."""
    for parameter in parameters:
        gradient = parameter.grad
        if gradient is None:
            continue
        if set_to_none:
            parameter.grad = None
            continue
        if gradient.requires_grad:  # left by create_graph
            gradient = parameter.grad = gradient.detach()
        gradient.zero_()


def as_tensor(value: Any) -> Tensor | None:
    """A Tensor, or what can give its memory as a NumPy array, as a Tensor; else None."""
    if isinstance(value, Tensor):
        return value
    if hasattr(value, "__array__"):
        return from_numpy(np.asarray(value))
    return None


def _is_above(label: Label, other: Label | None) -> bool:
    """Whether `label` is `other` or one of its parents."""
    while other is not None:
        if other is label:
            return True
        other = other.parent
    return False


def _quoted(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _wanted_dtype(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dtypes.dtype | None:
    """The dtype that arguments of `Module.to` ask for, if any."""
    kind = kwargs.get("dtype")
    devices.check(kwargs.get("device"))
    for arg in args:
        if isinstance(arg, Tensor):
            kind = arg.dtype
        elif isinstance(arg, dtypes.dtype):
            kind = arg
        elif isinstance(arg, (str, devices.device)):
            devices.check(arg)
        elif not isinstance(arg, (bool, type(None))):
            raise TypeError(f"to: expected a dtype, a device or a tensor, got {arg!r}")
    if kind is not None and not kind.is_floating_point:
        raise TypeError(
            f"nn.Module.to only accepts floating point dtypes, but got desired dtype={kind}"
        )
    return kind
