"""Small mistakes in a function, made on its syntax tree.

A mutant is the function with one mistake of these kinds:

    sign         -x for x, also of what is returned
    operator     a - b for a + b, a / b for a * b, `or` for `and`, np.add for np.subtract ...
    comparison   a <= b and a > b for a < b, != for == ...
    constant     another number, bool or string; a named constant plus 1
    dropped      a for a + b, x for f(x), a statement left out, a condition always or never true
    swapped      b - a for a - b, f(y, x) for f(x, y), one parameter in another's place

Only plain functions without a closure: that is what derivative rules and their helpers are.
"""

from __future__ import annotations

import ast
import copy
import functools
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, NamedTuple

Function = ast.Lambda | ast.FunctionDef
Change = tuple[str, Any]  # (kind, new node)


class Mutant(NamedTuple):
    """One mistake.

    kind : see the module's list
    line : number of the line in the function's file
    before, after : the statement (of a lambda: all of it) without and with the mistake
    code : the mutated function, compiled
    """

    kind: str
    line: int
    before: str
    after: str
    code: CodeType


@contextmanager
def planted(function: FunctionType, code: CodeType) -> Iterator[None]:
    """Have a function run other code, wherever it is kept: in a table, a compiled plan, a closure.

    The function stays the same object, with its globals and defaults.
    """
    original = function.__code__
    function.__code__ = code
    try:
        yield
    finally:
        function.__code__ = original


def mutants(function: FunctionType) -> list[Mutant]:
    """All mistakes in a function, each once."""
    tree = tree_of(function)
    parameters = list(inspect.signature(function).parameters)
    original = ast.unparse(tree)
    found: dict[str, Mutant] = {}
    for place in _places(tree):
        node, before = place.get(), place.text()
        for kind, new in _changes(place, parameters):
            place.put(new if hasattr(new, "lineno") else ast.copy_location(new, node))
            whole = ast.unparse(tree)
            if whole not in found and whole != original:
                code = _compiled(tree, function)
                found[whole] = Mutant(kind, node.lineno, before, place.text(), code)
            place.put(node)
    return list(found.values())


# -- from a function to its tree and back


@functools.cache
def _module(path: str) -> ast.Module:
    return ast.parse(Path(path).read_text("utf-8"), path)


def tree_of(function: FunctionType) -> Function:
    """The function's own part of its file, as a tree that may be changed.

    Lambdas have no name, and several may stand in one line: a lambda is known by the place of the
    expression that it returns.
    """
    code = function.__code__
    spans = {(start, first, end, last) for start, end, first, last in code.co_positions()}
    for node in ast.walk(_module(code.co_filename)):
        if isinstance(node, ast.Lambda) and code.co_name == "<lambda>":
            body = node.body
            if (body.lineno, body.col_offset, body.end_lineno, body.end_col_offset) in spans:
                return copy.deepcopy(node)
        elif isinstance(node, ast.FunctionDef) and node.name == code.co_name:
            first = min([node.lineno, *(part.lineno for part in node.decorator_list)])
            if first == code.co_firstlineno:
                return _bare(copy.deepcopy(node))
    raise LookupError(f"no source found for {function}; was its file changed since the import?")


def _bare(tree: ast.FunctionDef) -> ast.FunctionDef:
    """Without decorators, annotations and docstring: nothing of what a mutant shall not touch."""
    tree.decorator_list = []
    tree.returns = None
    for argument in ast.walk(tree.args):
        if isinstance(argument, ast.arg):
            argument.annotation = None
    if ast.get_docstring(tree) is not None and len(tree.body) > 1:
        del tree.body[0]
    return tree


def _compiled(tree: Function, function: FunctionType) -> CodeType:
    """The code of a tree. Its defaults stay those of the function that it is planted in."""
    bare = copy.deepcopy(tree)
    bare.args.defaults = []
    statement = ast.Expr(bare) if isinstance(bare, ast.Lambda) else bare
    whole = ast.fix_missing_locations(ast.Module([statement], []))
    compiled = compile(whole, function.__code__.co_filename, "exec", dont_inherit=True)
    return next(part for part in compiled.co_consts if isinstance(part, CodeType))


# -- where a mistake may stand


class _Place:
    """A node in a tree, the field of its parent that holds it, and the statement it stands in."""

    def __init__(
        self, holder: Any, key: Any, parent: ast.AST, statement: ast.AST, known: frozenset[str]
    ) -> None:
        self.holder = holder
        self.key = key
        self.parent = parent
        self.statement = statement
        self.known = known  # the names assigned before, parameters included

    def get(self) -> Any:
        return self.holder[self.key]

    def put(self, node: Any) -> None:
        self.holder[self.key] = node

    def text(self) -> str:
        """The first line of the statement: what a reader would look for."""
        if isinstance(self.get(), ast.Pass):
            return "pass  # " + _first_line(self.statement)
        return _first_line(self.get() if isinstance(self.get(), ast.stmt) else self.statement)


def _first_line(statement: ast.AST) -> str:
    return ast.unparse(statement).split("\n")[0]


def _places(tree: Function) -> Iterator[_Place]:
    """Every expression and statement that may be changed, outermost first."""
    arguments = tree.args.posonlyargs + tree.args.args + tree.args.kwonlyargs
    names = {argument.arg for argument in arguments}
    yield from _children(tree, tree, names)


def _children(node: ast.AST, statement: ast.AST, known: set[str]) -> Iterator[_Place]:
    for field, value in ast.iter_fields(node):
        if field in ("args", "name") and isinstance(node, ast.Lambda | ast.FunctionDef):
            continue
        if field in ("ctx", "op", "ops", "target", "targets", "annotation"):
            continue
        holder: Any = value if isinstance(value, list) else vars(node)
        keys: Any = range(len(value)) if isinstance(value, list) else [field]
        for key in list(keys):
            child = holder[key]
            if not isinstance(child, ast.AST):
                continue
            inner = child if isinstance(child, ast.stmt) else statement
            if isinstance(child, ast.expr | ast.stmt):
                yield _Place(holder, key, node, inner, frozenset(known))
            if not _is_closed(child):
                yield from _children(child, inner, known)
            if isinstance(child, ast.Assign):
                names = [n for t in child.targets for n in ast.walk(t) if isinstance(n, ast.Name)]
                known |= {name.id for name in names}


def _is_closed(node: ast.AST) -> bool:
    """Whether nothing within is changed: an error's message, or how strict a zip is."""
    return isinstance(node, ast.Raise) or (isinstance(node, ast.keyword) and node.arg == "strict")


# -- the mistakes themselves

_OPERATORS: dict[type[ast.AST], Any] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_COMPARISONS: dict[type[ast.AST], tuple[Any, ...]] = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_FUNCTIONS = {
    "add": "subtract",
    "subtract": "add",
    "multiply": "divide",
    "max": "min",
    "min": "max",
    "any": "all",
    "all": "any",
}
_COMMUTATIVE = frozenset("max min minimum maximum np.add np.multiply".split())
_ZEROS = frozenset(("zeros_like", "zeros_of"))  # the same with a minus sign, or doubled
# x for f(x) would be of another kind altogether, and no mistake that anyone makes.
_BUILDERS = frozenset("range len zip iter next tuple list enumerate isinstance slice type".split())


def _changes(place: _Place, parameters: list[str]) -> Iterator[Change]:
    node = place.get()
    if _is_result(place):
        yield "sign", ast.UnaryOp(ast.USub(), node)
        yield "constant", ast.BinOp(ast.Constant(2), ast.Mult(), node)
    if isinstance(node, ast.stmt):
        yield from _changed_statement(node, place.known)
    elif isinstance(node, ast.BinOp):
        yield from _changed_arithmetic(node)
    elif isinstance(node, ast.UnaryOp):
        yield ("sign" if isinstance(node.op, ast.USub) else "dropped"), node.operand
    elif isinstance(node, ast.Compare) and len(node.ops) == 1:
        for other in _COMPARISONS[type(node.ops[0])]:
            yield "comparison", ast.Compare(node.left, [other()], node.comparators)
    elif isinstance(node, ast.BoolOp):
        other_op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield "operator", ast.BoolOp(other_op, node.values)
        yield from (("dropped", value) for value in node.values)
    elif isinstance(node, ast.IfExp):
        yield "dropped", node.body
        yield "dropped", node.orelse
    elif isinstance(node, ast.Call):
        yield from _changed_call(node)
    elif isinstance(node, ast.Constant):
        yield from _changed_constant(node, isinstance(place.parent, ast.UnaryOp))
    elif isinstance(node, ast.Attribute):
        if node.attr in ("inf", "nan"):
            yield "constant", ast.Constant(0.0)
    elif isinstance(node, ast.Name):
        yield from _changed_name(node, place, parameters)


def _is_result(place: _Place) -> bool:
    """Whether a number or tensor that the function returns stands here."""
    node, parent = place.get(), place.parent
    returned = isinstance(parent, ast.Return | ast.Lambda) or (
        isinstance(parent, ast.ListComp) and place.holder is vars(parent) and place.key == "elt"
    )
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return returned and node.func.id not in _BUILDERS | _ZEROS
    kinds = ast.List | ast.Tuple | ast.ListComp | ast.IfExp | ast.BoolOp | ast.Compare
    return returned and isinstance(node, ast.expr) and not isinstance(node, kinds)


def _changed_statement(node: ast.stmt, known: frozenset[str]) -> Iterator[Change]:
    if isinstance(node, ast.If):
        always = ast.BoolOp(ast.Or(), [ast.Constant(True), node.test])
        never = ast.BoolOp(ast.And(), [ast.Constant(False), node.test])
        for test in (always, never):
            yield "dropped", ast.If(test, node.body, node.orelse)
    elif isinstance(node, ast.AugAssign):
        other = _OPERATORS[type(node.op)]()
        yield "operator", ast.AugAssign(node.target, other, node.value)
        yield "dropped", ast.Pass()
    elif isinstance(node, ast.Expr | ast.Raise):
        yield "dropped", ast.Pass()
    elif isinstance(node, ast.Assign):
        targets = [part for target in node.targets for part in ast.walk(target)]
        names = [part.id for part in targets if isinstance(part, ast.Name)]
        if all(name in known for name in names):  # else what follows would not run at all
            yield "dropped", ast.Pass()


def _changed_arithmetic(node: ast.BinOp) -> Iterator[Change]:
    other = _OPERATORS[type(node.op)]()
    yield "operator", ast.BinOp(node.left, other, node.right)
    yield "dropped", node.left
    yield "dropped", node.right
    if isinstance(node.op, ast.Sub | ast.Div | ast.Pow):
        yield "swapped", ast.BinOp(node.right, node.op, node.left)


def _changed_call(node: ast.Call) -> Iterator[Change]:
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    if isinstance(node.func, ast.Attribute) and node.func.attr in _FUNCTIONS:
        renamed = ast.Attribute(node.func.value, _FUNCTIONS[node.func.attr], ast.Load())
        yield "operator", ast.Call(renamed, node.args, node.keywords)
    elif name in _FUNCTIONS:
        yield "operator", ast.Call(ast.Name(_FUNCTIONS[name], ast.Load()), node.args, node.keywords)
    if name and name not in _BUILDERS and node.args and not isinstance(node.args[0], ast.Starred):
        yield "dropped", node.args[0]
        if name in ("where", "max", "min"):
            yield from (("dropped", argument) for argument in node.args[1:])
    if ast.unparse(node.func) in _COMMUTATIVE:
        return
    for i in range(len(node.args) - 1):
        arguments = list(node.args)
        arguments[i], arguments[i + 1] = arguments[i + 1], arguments[i]
        yield "swapped", ast.Call(node.func, arguments, node.keywords)


def _changed_constant(node: ast.Constant, negated: bool) -> Iterator[Change]:
    value = node.value
    if isinstance(value, bool):
        yield "constant", ast.Constant(not value)
    elif isinstance(value, int | float):
        yield "constant", ast.Constant(value + 1)
        if value and not negated:
            yield "constant", ast.UnaryOp(ast.USub(), ast.Constant(value))
    elif isinstance(value, str):
        yield "constant", ast.Constant(value + "?")


def _changed_name(node: ast.Name, place: _Place, parameters: list[str]) -> Iterator[Change]:
    if node.id.isupper() and len(node.id) > 1:
        yield "constant", ast.BinOp(node, ast.Add(), ast.Constant(1))
    called = isinstance(place.parent, ast.Call) and place.key == "func"
    if node.id in parameters and len(parameters) > 1 and not called:
        next_one = parameters[(parameters.index(node.id) + 1) % len(parameters)]
        yield "swapped", ast.Name(next_one, ast.Load())
