"""Writes tensor.pyi: what Tensor has, for editors and type checkers.

    python -m tinytensor._stubs           writes the file
    python -m tinytensor._stubs --check   fails if it is not what would be written

The methods that the operations bind onto Tensor exist only at run time, so they are listed from the
table of what was bound, below those that tensor.py declares itself.
"""

from __future__ import annotations

import ast
import inspect
import sys
from pathlib import Path
from typing import Any

from . import ops
from .tensor import METHODS, Tensor

_HEADER = """\
# Written by `python -m tinytensor._stubs` (`make stubs`): do not edit.
from collections.abc import Iterator
from typing import Any

from . import devices, dtypes
from .dtypes import Array

"""

_RETURNS = {
    "backward": "None", "retain_grad": "None", "__setitem__": "None",
    "__iter__": "Iterator[Tensor]",
    "unbind": "tuple[Tensor, ...]", "split": "tuple[Tensor, ...]", "chunk": "tuple[Tensor, ...]",
    "allclose": "bool", "equal": "Any", "type": "Any", "__array_ufunc__": "Any",
    "max": "Any", "min": "Any", "median": "Any", "aminmax": "Any",
    "tensor_split": "tuple[Tensor, ...]",
    "sort": "Any", "topk": "Any", "unique": "Any", "nonzero": "Any",
}  # fmt: skip


def _source() -> Path:
    return Path(inspect.getfile(Tensor))


def stub() -> str:
    """The text of tensor.pyi."""
    assert ops.methods  # importing it has bound the methods
    tree = ast.parse(_source().read_text(encoding="utf-8"))
    lines = []
    for statement in tree.body:
        if isinstance(statement, ast.ClassDef):
            lines += _class(statement)
        elif isinstance(statement, ast.FunctionDef):
            lines.append(_signature(statement, ""))
        elif isinstance(statement, ast.AnnAssign):
            lines.append(ast.unparse(statement).split(" = ")[0])
        elif isinstance(statement, ast.Assign) and ast.unparse(statement).startswith("Storage"):
            lines.append(ast.unparse(statement))
    return _HEADER + "\n".join(lines) + "\n"


def _class(statement: ast.ClassDef) -> list[str]:
    bases = ", ".join(map(ast.unparse, statement.bases))
    lines = [f"class {statement.name}({bases}):" if bases else f"class {statement.name}:"]
    for part in statement.body:
        if isinstance(part, ast.FunctionDef):
            lines += [f"    @{ast.unparse(mark)}" for mark in part.decorator_list]
            lines.append(_signature(part, "    "))
            if part.name == "__init__":
                lines += _slots(part)
        elif isinstance(part, ast.AnnAssign):
            lines.append(f"    {ast.unparse(part).split(' = ')[0]}")
        elif isinstance(part, ast.Assign) and isinstance(part.value, ast.Name):
            lines.append(f"    {ast.unparse(part)}")
    if statement.name == "Tensor":
        lines += [_bound(name, method) for name, method in sorted(METHODS.items())]
    return lines


def _slots(init: ast.FunctionDef) -> list[str]:
    """The attributes that a class without annotations takes from its __init__ arguments."""
    kinds = {arg.arg: ast.unparse(arg.annotation) for arg in init.args.args if arg.annotation}
    stored = []
    for statement in init.body:
        match statement:
            case ast.Assign(targets=[ast.Attribute(attr=name)], value=ast.Name(id=source)):
                if source in kinds and name == source:
                    stored.append(f"    {name}: {kinds[source]}")
    return stored


def _signature(function: ast.FunctionDef, indent: str) -> str:
    returns = ast.unparse(function.returns) if function.returns else "Any"
    return f"{indent}def {function.name}({ast.unparse(function.args)}) -> {returns}: ..."


def _bound(name: str, method: Any) -> str:
    if isinstance(method, property):
        return f"    @property\n    def {name}(self) -> Tensor: ..."
    returns = _RETURNS.get(name, "Tensor")
    parts = ["self"]
    star = False
    parameters = list(inspect.signature(method).parameters.values())[1:]
    for parameter in parameters:
        text = parameter.name
        if parameter.kind is parameter.VAR_POSITIONAL:
            star = True
            text = f"*{text}"
        elif parameter.kind is parameter.VAR_KEYWORD:
            text = f"**{text}"
        elif parameter.kind is parameter.KEYWORD_ONLY and not star:
            star = True
            parts.append("*")
        text += ": Any"
        if parameter.default is not parameter.empty:
            text += " = ..."
        parts.append(text)
    reason = "  # type: ignore[override]" if name in ("__eq__", "__ne__") else ""
    return f"    def {name}({', '.join(parts)}) -> {returns}: ...{reason}"


def main(arguments: list[str]) -> int:
    path = _source().with_suffix(".pyi")
    text = stub()
    if "--check" in arguments:
        if path.read_text(encoding="utf-8") == text:
            return 0
        print(f"{path.name} is stale; run `make stubs`", file=sys.stderr)
        return 1
    path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
