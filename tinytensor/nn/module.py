"""Module: parameters, buffers and other modules under one roof, to be called as a function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn, Self

from .. import devices, dtypes
from ..autograd.mode import no_grad, threads
from ..autograd.scope import Label, Scope, next_number
from ..ops.create import empty_like
from ..tensor import Tensor
from .module_hooks import HookedCall
from .parameter import Buffer, Parameter
from .state_dict import Stateful


class Module(Stateful):
    """The base of every layer and model.

    A subclass calls `super().__init__()` first, assigns parameters and modules as attributes, and
    defines `forward`. Calling the module runs it, and what is recorded meanwhile carries its name.
    """

    training: bool
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
        # As `with Scope(...)` does, but a quarter faster: small modules feel it.
        scope = Scope("module", self._label)
        mode = threads.mode
        scope.number = next_number()
        scope.parent = outer = mode.scope
        mode.scope = scope
        try:
            if self._call_hooks is not None:
                return HookedCall(self, args, kwargs).run()
            return self.forward(*args, **kwargs)
        finally:
            mode.scope = outer

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
        elif "_modules" not in own:
            if isinstance(value, Module):
                raise AttributeError("cannot assign module before Module.__init__() call")
            super().__setattr__(name, value)
        elif name in self._parameters:
            if value is not None:
                raise _wrong_kind(value, "parameter", name, "tinytensor.nn.Parameter")
            self.register_parameter(name, None)
        elif isinstance(value, Module):
            self._forget(name, but="_modules")
            self.register_module(name, value)
        elif name in self._modules:
            if value is not None:
                raise _wrong_kind(value, "child module", name, "tinytensor.nn.Module")
            self.register_module(name, None)
        elif isinstance(value, Buffer):
            self.register_buffer(name, value, value.persistent)
        elif name in self._buffers:
            if value is not None and not isinstance(value, Tensor):
                raise _wrong_kind(value, "buffer", name, "tinytensor.nn.Buffer, tinytensor.Tensor")
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

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Put a module in the place with a dotted name.

        strict : it must be there already
        Raises ValueError for an empty name or what is no module, AttributeError where the way there
        is missing or where something else than a module is.
        """
        if target == "":
            raise ValueError("Cannot set the submodule without a target name!")
        if not isinstance(module, Module):
            raise ValueError(f"`module` is not an nn.Module, found {type(module)}")
        path, _, name = target.rpartition(".")
        owner = self.get_submodule(path)
        if hasattr(owner, name):
            if not isinstance(getattr(owner, name), Module):
                raise AttributeError(f"`{name}` is not an nn.Module")
        elif strict:
            raise AttributeError(f"{type(owner).__name__} has no attribute `{name}`")
        setattr(owner, name, module)

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

    def type(self, dst_type: Any) -> Self:
        """Cast all parameters and buffers, those of integers too, in place."""
        return self._apply(lambda tensor: tensor.type(dst_type))

    def cpu(self) -> Self:
        """This module: there is no other device."""
        return self

    def cuda(self, device: Any = None) -> NoReturn:
        """Raises RuntimeError: there is no graphics processor."""
        raise RuntimeError(
            f"{type(self).__name__}.cuda: expected a graphics processor, got none: tinytensor "
            "computes on 'cpu' only; leave it out"
        )

    def to_empty(self, *, device: Any, recurse: bool = True) -> Self:
        """Give all parameters and buffers new memory with whatever it holds."""
        devices.check(device)
        return self._apply(empty_like, recurse)

    def _cast(self, kind: dtypes.dtype) -> Self:
        return self._apply(lambda tensor: tensor.to(kind) if tensor.is_floating_point() else tensor)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Put `fn(tensor)` on the memory of each parameter, its gradient and each buffer."""
        if recurse:
            for module in self.children():
                module._apply(fn)
        with no_grad():
            for tensor in (*self._parameters.values(), *self._buffers.values()):
                if tensor is None:
                    continue
                gradient = tensor.grad
                tensor.data = fn(tensor.data)
                if gradient is not None:
                    gradient.data = fn(gradient.data)
        return self

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


def _is_above(label: Label, other: Label | None) -> bool:
    """Whether `label` is `other` or one of its parents."""
    while other is not None:
        if other is label:
            return True
        other = other.parent
    return False


def _wrong_kind(value: Any, kind: str, name: str, expected: str) -> TypeError:
    return TypeError(
        f"cannot assign '{type(value).__name__}' as {kind} '{name}' ({expected} or None expected)"
    )


def _wanted_dtype(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dtypes.dtype | None:
    """The dtype that arguments of `Module.to` ask for, if any."""
    unknown = kwargs.keys() - {"device", "dtype", "tensor", "non_blocking", "memory_format"}
    if unknown:
        raise TypeError(f"to: got an unexpected argument {min(unknown)!r}")
    kind = kwargs.get("dtype")
    devices.check(kwargs.get("device"))
    args = (*args, kwargs.get("tensor"))
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
