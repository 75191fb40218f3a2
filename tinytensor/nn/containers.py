"""Modules that hold other modules, in a row or by name: Sequential calls them one after another."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import ItemsView, Iterable, Iterator, KeysView, ValuesView
from itertools import chain
from typing import Any, Self

from .module import Module, in_brackets


class _Row(Module):
    """Modules in order, numbered "0", "1", ...; what Sequential and ModuleList have in common."""

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules.values())

    def _name_at(self, index: Any) -> str:
        number = operator.index(index)
        if not -len(self) <= number < len(self):
            raise IndexError(f"index {number} is out of range")
        return list(self._modules)[number]

    def __setitem__(self, index: int, module: Module) -> None:
        setattr(self, self._name_at(index), module)

    def __delitem__(self, index: int | slice) -> None:
        names = list(self._modules)[index] if isinstance(index, slice) else [self._name_at(index)]
        for name in names:
            delattr(self, name)
        self._arrange(list(self))

    def _arrange(self, modules: list[Any]) -> None:
        """Number the modules anew, in this order."""
        before = self._modules
        self._modules = {}
        for name, module in before.items():
            self._release(name, module)
        for number, module in enumerate(modules):
            self.register_module(str(number), module)

    def append(self, module: Module) -> Self:
        """Add a module at the end."""
        number = len(self)
        while str(number) in self._modules:  # a slice of a Sequential keeps its names
            number += 1
        self.register_module(str(number), module)
        return self

    def insert(self, index: int, module: Module) -> Self:
        """Add a module before the one at `index`. Raises IndexError outside [-len, len]."""
        if not isinstance(module, Module):
            raise TypeError(f"insert: expected a Module, got {type(module).__name__}")
        if not -len(self) <= index <= len(self):
            raise IndexError(f"Index out of range: {index}")
        modules = list(self)
        modules.insert(index, module)
        self._arrange(modules)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add modules at the end."""
        if not isinstance(modules, Iterable):
            raise TypeError(
                f"{self._get_name()}.extend should be called with an iterable, "
                f"but got {type(modules).__name__}"
            )
        for module in list(modules):
            self.append(module)
        return self

    def pop(self, key: int | slice) -> Any:
        """Take out and return the module, or the row of modules, at an index or slice."""
        taken = self[key]
        del self[key]
        if isinstance(key, slice):
            taken._claim_all()
        return taken

    def __getitem__(self, index: int | slice) -> Any:
        """The module at an index, or the row of modules in a slice."""
        if isinstance(index, slice):
            return self._slice(index)
        return self._modules[self._name_at(index)]

    def _slice(self, index: slice) -> Self:
        raise NotImplementedError


class Sequential(_Row):
    """Modules called one after another, each on the result of the one before.

    Sequential(module, ...) numbers them; Sequential(OrderedDict(name=module, ...)) names them.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__()
        if len(args) == 1 and isinstance(args[0], OrderedDict):
            named: Iterable[tuple[str, Any]] = args[0].items()
        else:
            named = ((str(number), module) for number, module in enumerate(args))
        for name, module in named:
            self.register_module(name, module)

    def forward(self, input: Any) -> Any:
        """The input, sent through all modules in order."""
        for module in self:
            input = module(input)
        return input

    def _slice(self, index: slice) -> Self:
        """A Sequential of the modules in a slice, which keep their names."""
        return type(self)(OrderedDict(list(self._modules.items())[index]))

    def __add__(self, other: Sequential) -> Sequential:
        return Sequential(*self, *_row_to_add(other))

    def __iadd__(self, other: Sequential) -> Self:
        return self.extend(_row_to_add(other))

    def __mul__(self, other: int) -> Sequential:
        return Sequential(*list(self) * _factor(other))

    __rmul__ = __mul__

    def __imul__(self, other: int) -> Self:
        return self.extend(list(self) * (_factor(other) - 1))


class ModuleList(_Row):
    """A list of modules that are registered, so that their parameters are found. Not callable."""

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.extend(modules)

    def _slice(self, index: slice) -> Self:
        """A ModuleList of the modules in a slice, numbered from 0."""
        return type(self)(list(self)[index])

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList(chain(self, other))

    def __iadd__(self, other: Iterable[Module]) -> Self:
        return self.extend(other)

    def __repr__(self) -> str:
        """Equal neighbours in one line: (0-2): 3 x ReLU()."""
        parts: list[str] = []
        first = 0
        printed = [repr(module) for module in self]
        for last, text in enumerate(printed):
            if printed[last + 1 : last + 2] == [text]:
                continue
            count = last - first + 1
            parts.append(
                f"({first}): {text}" if count == 1 else f"({first}-{last}): {count} x {text}"
            )
            first = last + 1
        return in_brackets(self._get_name(), parts) if parts else f"{self._get_name()}()"


class ModuleDict(Module):
    """A dict of modules that are registered, so that their parameters are found. Not callable.

    modules : a dict of modules by name, or pairs (name, module)
    Names are those of attributes: raises KeyError for one with a dot or that a method has.
    """

    def __init__(self, modules: Any = None) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key: str) -> Any:
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.register_module(key, module)

    def __delitem__(self, key: str) -> None:
        if key not in self._modules:
            raise KeyError(key)
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: object) -> bool:
        return key in self._modules

    def clear(self) -> None:
        """Remove all modules."""
        for key in list(self._modules):
            del self[key]

    def pop(self, key: str) -> Any:
        """Remove and return the module under a name. Raises KeyError if there is none."""
        module = self[key]
        del self[key]
        return module

    def keys(self) -> KeysView[str]:
        """The names."""
        return self._modules.keys()

    def items(self) -> ItemsView[str, Any]:
        """The pairs (name, module)."""
        return self._modules.items()

    def values(self) -> ValuesView[Any]:
        """The modules."""
        return self._modules.values()

    def update(self, modules: Any) -> None:
        """Add the modules of a dict, another ModuleDict or pairs (name, module), in their order."""
        for key, module in pairs(self._get_name(), modules):
            self[key] = module


def pairs(owner: str, source: Any) -> list[tuple[Any, Any]]:
    """The (key, value) of what a dict is updated with: a mapping, or an iterable of pairs."""
    if not isinstance(source, Iterable):
        raise TypeError(
            f"{owner}.update should be called with an iterable of key/value pairs, "
            f"but got {type(source).__name__}"
        )
    if hasattr(source, "items"):
        return list(source.items())
    found = []
    for number, pair in enumerate(source):
        if not isinstance(pair, Iterable):
            raise TypeError(
                f"{owner} update sequence element #{number} should be Iterable; "
                f"is {type(pair).__name__}"
            )
        parts = tuple(pair)
        if len(parts) != 2:
            raise ValueError(
                f"{owner} update sequence element #{number} has length {len(parts)}; 2 is required"
            )
        found.append(parts)
    return found


def _row_to_add(other: Any) -> Sequential:
    if not isinstance(other, Sequential):
        raise ValueError(
            f"add operator supports only objects of Sequential class, but {type(other)} is given."
        )
    return other


def _factor(other: Any) -> int:
    if not isinstance(other, int):
        raise TypeError(f"Sequential: expected an int to multiply by, got {type(other).__name__}")
    if other <= 0:
        raise ValueError(f"Non-positive multiplication factor {other} for Sequential")
    return other
