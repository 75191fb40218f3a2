"""Random programs, each made from a seed: lists of lines that run in torch and in tinytensor.

`lib` in a line stands for the one library or the other. A program is written while it runs in
torch, so that the next line can be one that fits: variables are named by their place, shapes agree
as a rule, values stay near 1, and nothing stands within a rounding error of a step.
"""

import functools
import random
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from tests.autograd.program_lines import FUNCTIONS, GRAPH, TURNS, VIEWS, WRITES, Lines
from tests.autograd.side_by_side import torch

LINES = 30  # of a program, without those of its end
LARGEST = 8.0  # value that a line may make
MOST = 48  # elements that a line may make
KINDS = (RuntimeError, IndexError, ValueError, TypeError)  # of errors that count

# The families whose results lie in the order of their operands' memory: in torch too, and always.
KEEPING_ORDER = ("elementwise", "kinked", "binary", "scans", "soft", "types")

# A program has lines with words of the one kind or of the other: where a derivative of second order
# passes by a result or goes through it depends on the formula, and watchers of the result would
# tell. (That of `logcumsumexp` is NaN or 0 in torch where it is neither.)
WATCHING = ("hook", "retain_grad", "logcumsumexp")
SECOND_ORDER = ("create_graph",)

SHAPES = ["(3,)", "(4,)", "(2, 3)", "(3, 2)", "(3, 3)", "(1, 3)", "(3, 1)", "()", "(1,)",
    "(2, 2, 3)", "(2, 1, 2)", "(2, 3, 2)", "(0,)", "(2, 0)"]  # fmt: skip
SHAPE_WEIGHTS = [3, 2, 5, 3, 3, 2, 2, 3, 1, 4, 2, 2, 0.2, 0.2]


class Run:
    """A program under way in one library: its variables by name."""

    def __init__(self, lib: ModuleType) -> None:
        self.names: dict[str, Any] = {"lib": lib}

    def line(self, text: str) -> str | None:
        """Run a line; the kind of its error, or None."""
        try:
            exec(compiled(text), self.names)
        except KINDS as error:
            self.error = str(error)
            return next(kind.__name__ for kind in KINDS if isinstance(error, kind))
        return None

    def tensors(self) -> dict[str, Any]:
        """The variables: v7, and w7 where line 7 makes two."""
        return {name: value for name, value in self.names.items() if name[0] in "vw"}


_COMPILED: dict[str, Any] = {}


def compiled(text: str) -> Any:
    """The code of a line, compiled once for all runs of a program."""
    if text not in _COMPILED:
        if len(_COMPILED) > 1000:
            _COMPILED.clear()
        _COMPILED[text] = compile(text, text, "exec")
    return _COMPILED[text]


# -- what the templates ask of their variables


def _room(t: Any) -> float:
    """How near to a step a value may come: far more than a rounding error of its type."""
    return 1e-3 if t.dtype == torch.float32 else 1e-8


def clear(t: Any) -> bool:
    """Whether no element is nearly 0, unless it is just that."""
    return bool(((t.abs() > _room(t)) | (t == 0)).all())


def whole(t: Any) -> bool:
    """Whether no element is a whole number, or nearly one."""
    return bool(((t - t.round()).abs() > _room(t)).all())


def small(t: Any) -> bool:
    """Whether exponentials of the elements are not large."""
    return bool((t < 2).all())


def _gaps(t: Any, dim: int | None) -> Any:
    if dim is None:
        t, dim = t.reshape(-1), 0
    return t.sort(dim).values.diff(dim=dim) if t.ndim else t.new_ones(1)


def apart(t: Any, dim: int | None = None) -> bool:
    """Whether no two elements along a dimension are equal, or nearly so."""
    return bool((_gaps(t, dim) > _room(t)).all())


def clear_pairs(t: Any, dim: int | None = None) -> bool:
    """Whether no two elements along a dimension are nearly equal, unless they are just that."""
    return clear(_gaps(t, dim))


def spread(t: Any, dim: int | None = None) -> bool:
    """Whether the elements along a dimension differ, so that their deviation has a slope."""
    s = t.std() if dim is None else t.std(dim, correction=0)
    return bool((s > 0.05).all())


def inside(t: Any) -> bool:
    """Whether a tensor requires grad; a stale view can't tell."""
    try:
        return bool(t.requires_grad and t.is_leaf is not None)
    except RuntimeError:
        return False


def all_floats(*tensors: Any) -> bool:
    """Whether none of the tensors is of whole numbers: an option's factor may not fit those."""
    return all(t.is_floating_point() for t in tensors)


_HELPERS = {
    "clear": clear, "whole": whole, "small": small, "apart": apart, "clear_pairs": clear_pairs,
    "spread": spread, "inside": inside, "all_floats": all_floats,
}  # fmt: skip


# -- filling in a template


class Blanks(dict[str, str]):
    """What stands in the blanks of a template: drawn when first asked for, then the same."""

    def __init__(self, rng: random.Random, run: Run, number: int, given: dict[str, str]) -> None:
        super().__init__(given, new=f"v{number}", also=f"w{number}")
        self.rng = rng
        self.run = run
        self.shape = tuple(run.names[given["x"]].shape)

    def __missing__(self, blank: str) -> str:
        text = str(getattr(self, blank)())
        self[blank] = text
        return text

    # each method fills the blank of its name

    def d(self) -> int:
        reach = max(len(self.shape), 1)
        return self.rng.randrange(-reach, reach)

    def e(self) -> int:
        reach = max(len(self.shape), 1)
        return (int(self["d"]) + 1) % reach

    def k(self) -> bool:
        return self.rng.random() < 0.5

    def c(self) -> float:
        return self.rng.choice([0.3, 0.5, 0.7, 0.9, 1.1, 1.4])

    def n(self) -> int:
        return self.rng.choice([1, 1, 2, -1])

    def size(self) -> int:
        """The size of dimension d."""
        return self.shape[int(self["d"])] if self.shape else 1

    def at(self) -> int:
        size = int(self["size"])
        return self.rng.randrange(-size, size) if size else 0

    def stretch(self) -> str:
        start = self.rng.randint(0, int(self["size"]))
        return f"{start}, {self.rng.randint(0, int(self['size']) - start)}"

    def sizes(self) -> str:
        count = int(np.prod(self.shape))
        fitting = [(count,), (1, -1), (-1, 1), (-1,)]
        fitting += [(n, count // n) for n in (2, 3, 4) if count and count % n == 0]
        fitting += [(2, -1, 2)] if count and count % 4 == 0 else []
        return str(self.rng.choice(fitting))

    def order(self) -> str:
        dims = list(range(len(self.shape)))
        self.rng.shuffle(dims)
        return str(tuple(dims))

    def repeats(self) -> str:
        return str(tuple(self.rng.choice([1, 1, 2]) for _ in self.shape) or (2,))

    def dtype(self) -> str:
        return self.rng.choice(["lib.float64", "lib.float32"])

    def leaf(self) -> str:
        leaves = [name for name, t in self.run.tensors().items() if inside(t) and t.is_leaf]
        return self.rng.choice(leaves or [self["x"]])

    def _tensor(self, array: Any) -> str:
        array = np.asarray(array)
        if array.size == 0:
            return f"lib.zeros({array.shape}, dtype=lib.{array.dtype})"
        return f"lib.tensor({array.tolist()})"

    def _numbers(self) -> np.random.Generator:
        return np.random.default_rng(self.rng.randrange(1 << 30))

    def mask(self) -> str:
        return self._tensor(self._numbers().random(self.shape) < 0.5)

    def index(self) -> str:
        size = int(self["size"])
        count = 3 if size else 0
        return self._tensor(np.array([self.rng.randrange(size) for _ in range(count)], int))

    def distinct(self) -> str:
        size = int(self["size"])
        return self._tensor(np.array(self.rng.sample(range(size), (size + 1) // 2), int))

    def grid(self) -> str:
        """Indices along d in the shape of x, for `gather`."""
        return self._tensor(self._numbers().integers(0, max(int(self["size"]), 1), self.shape))

    def lanes(self) -> str:
        """The same, with no index twice in a lane along d."""
        if not self.shape:
            return "lib.tensor(0)"
        keys = self._numbers().random(self.shape)
        return self._tensor(np.argsort(keys, axis=int(self["d"])))

    def places(self) -> str:
        count = max(int(np.prod(self.shape)), 1)
        return self._tensor(self._numbers().integers(-count, count, (2, 2)))

    def _part(self, size: int) -> str:
        start = self.rng.randrange(-size, size) if size else 0
        return self.rng.choice(
            [":", f"{start}", f"{start}", "1:", ":-1", "::2", "None", f"{start}:", "-2:"]
        )

    def key(self) -> str:
        """An index of ints, slices, None and Ellipsis."""
        parts = [self._part(size) for size in self.shape[: self.rng.randint(1, 3)]]
        if self.rng.random() < 0.3 or not parts:
            parts.insert(self.rng.randint(0, len(parts)), "...")
        if parts[-1] == "..." or self.rng.random() < 0.8:
            return ", ".join(parts)
        return ", ".join(["...", *(self._part(size) for size in self.shape[-1:])])

    def fancy(self) -> str:
        """An index with tensors in it, or a list."""
        parts = []
        for size in self.shape[: self.rng.randint(1, 3)]:
            numbers = [self.rng.randrange(-size, size) for _ in range(2)] if size else []
            mask = [self.rng.random() < 0.6 for _ in range(size)]
            kind = self.rng.random()
            if kind < 0.35:
                parts.append(self._tensor(np.array(numbers, np.int64)))
            elif kind < 0.45:
                parts.append(str(numbers))
            elif kind < 0.6:
                parts.append(self._tensor(np.array(mask, bool)))
            else:
                parts.append(self._part(size))
        return ", ".join(parts) or "..."


# -- writing a program


def numbers(t: Any) -> Any:
    """The values of a torch tensor, whatever its place in the graph."""
    return t.data.numpy()


def _is_bounded(t: Any) -> bool:
    if t is None or t.numel() > MOST:
        return False
    return t.dtype == torch.bool or bool((numbers(t).__abs__() <= LARGEST).all())


def _fits_itself(t: Any) -> bool:
    """Whether no two elements lie in one place, as they do after `expand` or `unfold`."""
    places = np.zeros(1, np.int64)
    for size, step in zip(t.shape, t.stride(), strict=True):
        places = (places[:, None] + np.arange(size) * step).reshape(-1)
    return len(np.unique(places)) == len(places)


def _memory(t: Any) -> int:
    """Where a tensor's memory begins; tensors without elements have none in common."""
    return t.untyped_storage().data_ptr() if t.numel() else id(t)


def _order(t: Any) -> tuple[int, ...]:
    """The dimensions from the outermost in memory to the innermost."""
    return tuple(sorted(range(t.ndim), key=lambda dim: -t.stride(dim)))


class Writer:
    """Writes one program, from a seed, while it runs in torch.

    families : of functions to choose from; a program uses some of them, so that they meet often
    narrow : whether float32 may occur
    watching : whether it has hooks and `retain_grad`, or else derivatives of second order
    """

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.run = Run(torch)
        self.lines: list[str] = []
        self.used: list[str] = []
        self.stretched: set[str] = set()
        self.over = False
        self.watching = self.rng.random() < 0.5
        self.families = self.rng.sample(list(FUNCTIONS), 6)
        self.narrow = self.rng.random() < 0.2

    def write(self) -> list[str]:
        """The lines of the program."""
        length = self.rng.randint(4, LINES)
        attempts = 0
        while len(self.lines) < length and attempts < 4 * LINES and not self.over:
            attempts += 1
            self._add()
        if not self.over:
            self._end()
        return self.lines

    def _names(self) -> list[str]:
        return list(self.run.tensors())

    def _add(self) -> None:
        """Try one line."""
        names = self._names()
        choice = self.rng.random()
        if len(names) < 2 or choice < 0.08:
            self._make_leaf()
        elif choice < 0.38:
            self._function()
        elif choice < 0.62:
            self._try(VIEWS, self._picked())
        elif choice < 0.92:
            self._write()
        else:
            self._try(GRAPH, self._picked())

    def _make_leaf(self) -> None:
        (shape,) = self.rng.choices(SHAPES, SHAPE_WEIGHTS)
        values = np.random.default_rng(self.rng.randrange(1 << 30)).uniform(-2, 2, eval(shape))
        dtype = "float32" if self.narrow and self.rng.random() < 0.4 else "float64"
        wish = ", requires_grad=True" if self.rng.random() < 0.7 else ""
        name = f"v{len(self.lines)}"
        made = f"lib.tensor({values.round(2).tolist()}, dtype=lib.{dtype}{wish})"
        if values.size == 0:
            made = f"lib.zeros({shape}, dtype=lib.{dtype}{wish})"
        self._keep(f"{name} = {made}")

    def _picked(self) -> dict[str, str]:
        """Variables for x, y and z: late ones as a rule, y and z of x's shape as a rule."""
        names = self._names()
        x = self.rng.choice(names[-5:] if self.rng.random() < 0.7 else names)
        shape = self.run.names[x].shape
        alike = [name for name in names if self.run.names[name].shape == shape]
        few = [name for name in names if self.run.names[name].ndim <= len(shape)]
        y, z = (self.rng.choice(self.rng.choice([alike, alike, few, names])) for _ in range(2))
        return {"x": x, "y": y, "z": z}

    def _function(self) -> None:
        bare = self.rng.random() < 0.05
        name = self.rng.choice(self.families)
        lines = FUNCTIONS[name]
        if not self.narrow:
            lines = {text: needs for text, needs in lines.items() if "float()" not in text}
        given = self._picked() | {"family": name}
        stretched = [given[n] for n in "xyz" if given[n] in self.stretched]
        if any(n != given["x"] or not self.run.names[n].is_floating_point() for n in stretched):
            return  # the order in memory of what comes of these is open
        self._try(lines, given, prefix="with lib.no_grad(): " if bare else "")

    def _write(self) -> None:
        given = self._picked()
        if given["x"] in self.stretched or not self._may_write(given):
            return
        if self.rng.random() < 0.05:
            self._try(TURNS, given)
            return
        bare = self.rng.random() < 0.15
        self._try(WRITES, given, prefix="with lib.no_grad(): " if bare else "")

    def _try(self, lines: Lines, given: dict[str, str], prefix: str = "") -> None:
        """Fill in one of the templates and keep it, if it may be."""
        unfit = WATCHING if not self.watching else SECOND_ORDER
        template = self.rng.choice(list(lines))
        if any(word in template for word in unfit):
            return
        blanks = Blanks(self.rng, self.run, len(self.lines), given)
        pure = template not in WRITES and template not in TURNS and template not in GRAPH
        if pure and not template.startswith("{new}"):
            template_line = "{new} = " + template
        else:
            template_line = template
        text = template_line.format_map(blanks)
        if "float32" in text and not self.narrow:
            return
        if prefix and (".data" in text or "detach" in text or ".to(" in text or "type_as" in text):
            return  # views made under no_grad differ from torch's on purpose
        if not self._holds(lines[template].format_map(blanks)):
            return
        if lines is WRITES and not self._stays_bounded(text, given["x"]):
            return
        if self._keep(prefix + text, given):
            self.used.append(template)

    def _holds(self, needs: str) -> bool:
        """Whether what a template needs holds; what can't be told does not."""
        if not needs:
            return True
        try:
            with torch.no_grad():
                return bool(eval(compiled_condition(needs), _HELPERS, self.run.names))
        except (*KINDS, AttributeError):
            return False

    def _stays_bounded(self, text: str, x: str) -> bool:
        """Whether a write leaves x bounded: tried on a copy. One that raises does."""
        trial = Run(torch)
        trial.names = dict(self.run.names)
        trial.names[x] = self.run.names[x].detach().clone()
        with torch.no_grad():
            failed = trial.line(text) is not None
        return failed or _is_bounded(trial.names[x])

    def _may_write(self, given: dict[str, str]) -> bool:
        """Whether x may be written to: the others lie elsewhere, or are x itself, and a gradient
        that comes with them has a place in it. (What torch writes is open, or odd, otherwise.)
        """
        x = self.run.names[given["x"]]
        names = [given[name] for name in "yz" if given[name] != given["x"]]
        if self.watching and len(names) < 2:
            return False
        others = [self.run.names[name] for name in names]
        return all(
            _memory(x) != _memory(y) and (x.is_floating_point() or not y.requires_grad)
            for y in others
        )

    def _keep(self, text: str, given: dict[str, str] | None = None) -> bool:
        """Run a line and take it into the program: seldom one that fails, or makes too much."""
        before = dict(self.run.names)
        failed = self.run.line(text) is not None
        if failed:
            if "backward(" in text or "autograd.grad(" in text:  # a part of it was done
                self.lines.append(text)
                self.over = True
            elif self.rng.random() < 0.03 and "single memory location" not in self.run.error:
                self.lines.append(text)
            return False
        made = {n: t for n, t in self.run.tensors().items() if n not in before}
        if any(not self._may_stay(t, text, given) for t in made.values()):
            self.run.names = before
            return False
        for name, t in made.items():
            source = given["x"] if given else name
            inherits = source in self.stretched and _memory(t) == _memory(self.run.names[source])
            if inherits or not _fits_itself(t):
                self.stretched.add(name)
        self.lines.append(text)
        return True

    def _may_stay(self, t: Any, text: str, given: dict[str, str] | None) -> bool:
        """Whether a new tensor is bounded, and not among what differs from torch on purpose: a view
        made under no_grad; the order in memory of a result of operands in different orders (torch's
        is that of the first), and of what indexing and products make of a transposed tensor.
        """
        if not _is_bounded(t) or (text.startswith("with") and t._is_view()):
            return False
        if given is None or t._is_view() or t.is_contiguous():
            return True
        if given.get("family") not in KEEPING_ORDER or given["x"] in self.stretched:
            return False
        orders = {_order(self.run.names[given[name]]) for name in "xyz"}
        return len(orders) == 1

    def _end(self) -> None:
        """The last lines: a loss over what is in the graph, and its gradients, at times twice."""
        inner = [n for n, t in self.run.tensors().items() if inside(t)]
        terms = [n for n in inner if self.rng.random() < 0.6 and not self._is_stale(n)]
        if not terms:
            return
        lines = ["loss = lib.zeros((), dtype=lib.float64)"]
        lines += [f"loss = loss + ({n} * {self.rng.randint(1, 5)}).sum()" for n in terms]
        leaves = [n for n in inner if self.run.names[n].is_leaf] or terms[:1]
        asked = leaves + terms if self.watching else leaves
        listed = ", ".join(self.rng.sample(asked, min(len(leaves), 3)))
        how = self.rng.random()
        if how < 0.8 and not self.watching:
            lines += [
                f"gs = lib.autograd.grad(loss, [{listed}], create_graph=True, allow_unused=True)",
                "loss = loss + sum((g * g).sum() for g in gs if g is not None)",
            ]
        elif how < 0.3:
            lines.append(
                f"gs = lib.autograd.grad(loss, [{listed}], retain_graph=True, allow_unused=True)"
            )
        if how > 0.9:
            lines.append("loss.backward(retain_graph=True)")
        lines.append("loss.backward()")
        if how > 0.95:
            lines.append("loss.backward()")
        for text in lines:
            self.lines.append(text)
            if self.run.line(text) is not None:
                return

    def _is_stale(self, name: str) -> bool:
        """Whether a variable can't be used any more; one in ten of these is used all the same."""
        return self.run.line(f"{name} * 1") is not None and self.rng.random() < 0.9


def compiled_condition(text: str) -> Any:
    if text not in _COMPILED:
        _COMPILED[text] = compile(text, text, "eval")
    return _COMPILED[text]


class Program(NamedTuple):
    """The lines, and the templates that they came from."""

    lines: list[str]
    templates: list[str]


@functools.lru_cache(maxsize=1000)
def program(seed: int) -> Program:
    """The program of a seed."""
    writer = Writer(seed)
    return Program(writer.write(), writer.used)
