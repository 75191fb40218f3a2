"""A module held against its twin in torch: every output and every gradient, and which is worst.

torch is never imported here. Who has a torch module to pass in has imported it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import random
from ..dtypes import Array
from ..tensor import Tensor, make
from .backward import grad
from .mode import enable_grad

_SEED = 0  # of the upstream gradients, which come from a generator of their own

# Relative to the largest element, by size of the dtype in bytes: some hundred roundings.
_RTOL = {2: 1e-2, 4: 1e-5, 8: 1e-12}


@dataclass(frozen=True)
class Row:
    """One tensor of a comparison.

    name : "output", "output[1][0]", "gradient of input[0]", "gradient of weight_ih_l0"
    absolute : the largest |difference| of two elements
    relative : that over the largest |element| of torch's tensor
    allowed : the `absolute` up to which the row passes
    """

    name: str
    shape: tuple[int, ...]
    absolute: float
    relative: float
    allowed: float

    @property
    def passed(self) -> bool:
        return self.absolute <= self.allowed

    def _badness(self) -> float:
        if self.allowed > 0:
            return self.absolute / self.allowed
        return 0.0 if self.passed else np.inf


@dataclass(frozen=True, repr=False)
class Comparison:
    """What `check_against` found; prints as a table and is true if every row passed."""

    rows: tuple[Row, ...]

    @property
    def worst(self) -> Row:
        """The row that comes nearest to what it is allowed, or goes furthest beyond it."""
        return max(self.rows, key=Row._badness)

    @property
    def passed(self) -> bool:
        return all(row.passed for row in self.rows)

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        head = ("", "shape", "largest difference", "relative", "")
        lines = [head]
        for row in self.rows:
            mark = "" if row.passed else f"DIFFERS, allowed: {row.allowed:.1e}"
            lines.append(
                (row.name, str(row.shape), f"{row.absolute:.1e}", f"{row.relative:.1e}", mark)
            )
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        table = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        ]
        return "\n".join([*table, self._verdict()])

    def _verdict(self) -> str:
        worst = f"the worst is {self.worst.name}, relative difference {self.worst.relative:.1e}"
        wrong = sum(not row.passed for row in self.rows)
        if wrong:
            return f"NOT equal to torch: {wrong} of {len(self.rows)} tensors differ; {worst}"
        return f"equal to torch: {len(self.rows)} of {len(self.rows)} tensors; {worst}"


def check_against(
    torch_module: Any,
    module: Any,
    *inputs: Any,
    rtol: float | None = None,
    atol: float | None = None,
    loss: Callable[[Any], Any] | tuple[Callable[[Any], Any], Callable[[Any], Any]] | None = None,
) -> Comparison:
    """Give `module` the weights of `torch_module`, run both, compare outputs and all gradients.

    torch_module : torch.nn.Module; it is left as it is, `.grad` included
    module : Module with the same names and shapes in its state_dict; its weights are overwritten
    inputs : arrays or tensors, in tuples or lists where the modules take such (a state (h0, c0));
        anything else (None, a number) is passed on. NumPy floats take the dtype of the weights
    rtol, atol : a tensor passes if no element differs by more than atol + rtol · max |torch's|.
        By default rtol is 1e-12 in float64, 1e-5 in float32 and 1e-2 in float16, and atol is
        rtol / 10 times the largest element of all outputs, or of all gradients
    loss : what is differentiated, a function of the modules' output that works on both kinds of
        tensors, or a pair of functions (torch's, ours). By default each floating-point output gets
        a random upstream gradient, the same on both sides

    Both run in the mode, train or eval, that they are in: dropout must be off (p = 0 or eval),
    because the two draw from streams of their own.

    Returns a Comparison: print it, or `assert check_against(...)`. Raises ValueError, with the
    names, where state dicts, outputs or the parameters that require grad do not correspond;
    TypeError if `torch_module` is no torch module.
    """
    torch = _torch_of(torch_module)
    _copy_weights(torch_module, module)
    twins = _Twins(torch, _float_dtype(module))
    pairs = [twins.of(value, f"input[{i}]") for i, value in enumerate(inputs)]
    twins.add_parameters(torch_module, module)
    their_loss, our_loss = loss if isinstance(loss, tuple) else (loss, loss)
    with torch.enable_grad(), enable_grad():
        theirs = _Outputs(torch_module(*(pair[0] for pair in pairs)), torch.Tensor)
        ours = _Outputs(module(*(pair[1] for pair in pairs)), Tensor)
        if their_loss is not None and our_loss is not None:
            theirs.add_loss(their_loss)
            ours.add_loss(our_loss)
    values = _corresponding(theirs, ours)
    upstream = _upstream(values, ours.roots)
    their_gradients = _gradients(
        torch.autograd.grad,
        [theirs.tensors[name] for name in ours.roots],
        [twin[1] for twin in twins.found],
        [torch.from_numpy(v) for v in upstream],
    )
    our_gradients = _gradients(
        grad,
        [ours.tensors[name] for name in ours.roots],
        [twin[2] for twin in twins.found],
        [make(v) for v in upstream],
    )
    gradients = []
    for twin, their, our in zip(twins.found, their_gradients, our_gradients, strict=True):
        name, leaf = twin[0], twin[2]
        pair = [np.zeros_like(leaf._array) if g is None else _as_array(g) for g in (their, our)]
        gradients.append((f"gradient of {name}", pair[0], pair[1]))
    return Comparison((*_rows(values, rtol, atol), *_rows(gradients, rtol, atol)))


def _torch_of(torch_module: Any) -> Any:
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(torch_module, torch.nn.Module):
        raise TypeError(
            "check_against: expected a torch.nn.Module first, then its twin here, got "
            f"{type(torch_module).__module__}.{type(torch_module).__name__} first"
        )
    return torch


def _as_array(value: Any) -> Array:
    """A tensor of either kind as a NumPy array."""
    if isinstance(value, Tensor):
        return value._array
    return np.asarray(value.detach().cpu().numpy())


# -- weights and inputs ----------------------------------------------------------------------------


def _copy_weights(torch_module: Any, module: Any) -> None:
    theirs = {name: _as_array(value) for name, value in torch_module.state_dict().items()}
    ours = {name: _as_array(value) for name, value in module.state_dict().items()}
    faults = []
    missing = [name for name in ours if name not in theirs]
    if missing:
        faults.append(f"missing in torch's: {', '.join(missing)}")
    unexpected = [name for name in theirs if name not in ours]
    if unexpected:
        faults.append(f"unexpected in torch's: {', '.join(unexpected)}")
    for name, array in ours.items():
        their = theirs.get(name, array)
        if their.shape != array.shape or their.dtype != array.dtype:
            faults.append(
                f"{name}: {their.shape} {their.dtype} in torch's, {array.shape} {array.dtype} here"
            )
    if faults:
        raise ValueError(
            "check_against: expected two state dicts with the same names, shapes and dtypes, got "
            f"differences ({'; '.join(faults)}); build both modules with the same arguments"
        )
    module.load_state_dict({name: make(array) for name, array in theirs.items()})


def _float_dtype(module: Any) -> np.dtype[Any] | None:
    """The floating-point type of a module's weights, or None if it has none."""
    for value in module.state_dict().values():
        dtype = _as_array(value).dtype
        if dtype.kind == "f":
            return dtype
    return None


class _Twins:
    """The leaves whose gradients are compared, each in torch and here.

    found : (name, torch's tensor, our Tensor)
    """

    def __init__(self, torch: Any, float_dtype: np.dtype[Any] | None) -> None:
        self.torch = torch
        self.float_dtype = float_dtype
        self.found: list[tuple[str, Any, Tensor]] = []

    def of(self, value: Any, name: str) -> tuple[Any, Any]:
        """An input as the two modules get it: (torch's, ours), each on memory of its own."""
        if isinstance(value, (tuple, list)):
            pairs = [self.of(part, f"{name}[{i}]") for i, part in enumerate(value)]
            kind = list if isinstance(value, list) else tuple
            return kind(pair[0] for pair in pairs), kind(pair[1] for pair in pairs)
        if isinstance(value, np.ndarray):
            array = value
            if array.dtype.kind == "f" and self.float_dtype is not None:
                array = array.astype(self.float_dtype)
        elif isinstance(value, (Tensor, self.torch.Tensor)):
            array = _as_array(value)
        else:
            return value, value
        their = self.torch.from_numpy(np.array(array))
        our = make(np.array(array))
        if array.dtype.kind == "f":
            their.requires_grad_()
            our.requires_grad_()
            self.found.append((name, their, our))
        return their, our

    def add_parameters(self, torch_module: Any, module: Any) -> None:
        theirs = {name: p for name, p in torch_module.named_parameters() if p.requires_grad}
        ours = {name: p for name, p in module.named_parameters() if p.requires_grad}
        if theirs.keys() != ours.keys():
            raise ValueError(
                "check_against: expected the same parameters to require grad, got only in torch's: "
                f"{', '.join(sorted(theirs.keys() - ours.keys())) or 'none'}, only here: "
                f"{', '.join(sorted(ours.keys() - theirs.keys())) or 'none'}"
            )
        self.found.extend((name, theirs[name], ours[name]) for name in theirs)


# -- outputs and gradients -------------------------------------------------------------------------


class _Outputs:
    """The tensors that a module gave, by name, and those at which the backward pass starts."""

    def __init__(self, structure: Any, kind: type) -> None:
        self.structure = structure
        self.tensors = dict(_named_tensors(structure, "output", kind))
        self.roots = [name for name, y in self.tensors.items() if y.is_floating_point()]

    def add_loss(self, loss: Callable[[Any], Any]) -> None:
        self.tensors["loss"] = loss(self.structure)
        self.roots = ["loss"]


def _named_tensors(structure: Any, name: str, kind: type) -> Iterator[tuple[str, Any]]:
    if isinstance(structure, kind):
        yield name, structure
    elif isinstance(structure, (tuple, list)):
        for i, part in enumerate(structure):
            yield from _named_tensors(part, f"{name}[{i}]", kind)


def _corresponding(theirs: _Outputs, ours: _Outputs) -> list[tuple[str, Array, Array]]:
    """(name, torch's array, ours) of each output. Raises ValueError where one has no twin."""
    their_arrays = {name: _as_array(y) for name, y in theirs.tensors.items()}
    our_arrays = {name: _as_array(y) for name, y in ours.tensors.items()}
    their_forms = {name: f"{y.shape} {y.dtype}" for name, y in their_arrays.items()}
    our_forms = {name: f"{y.shape} {y.dtype}" for name, y in our_arrays.items()}
    if not their_forms or their_forms != our_forms:
        raise ValueError(
            f"check_against: expected the outputs that torch gives, {_listed(their_forms)}, got "
            f"{_listed(our_forms)}"
        )
    return [(name, array, our_arrays[name]) for name, array in their_arrays.items()]


def _listed(forms: dict[str, str]) -> str:
    return ", ".join(f"{name} {form}" for name, form in forms.items()) or "no tensor"


def _upstream(values: list[tuple[str, Array, Array]], roots: list[str]) -> list[Array]:
    """Random gradients for the outputs; ones for a loss."""
    draw = random.Generator().manual_seed(_SEED)
    arrays = {name: array for name, array, _ in values}
    if roots == ["loss"]:
        return [np.ones_like(arrays["loss"])]
    return [
        draw.normal(arrays[name].shape, dtype=np.float64).astype(arrays[name].dtype)
        for name in roots
    ]


def _gradients(
    differentiate: Callable[..., Sequence[Any]],
    roots: list[Any],
    leaves: list[Any],
    upstream: list[Any],
) -> Sequence[Any]:
    """What torch's or our `grad` gives, from the outputs that are in the graph."""
    reached = [i for i, root in enumerate(roots) if root.requires_grad]
    if not reached or not leaves:
        return [None] * len(leaves)
    starts = [upstream[i] for i in reached]
    return differentiate([roots[i] for i in reached], leaves, starts, allow_unused=True)


def _rows(
    tensors: list[tuple[str, Array, Array]], rtol: float | None, atol: float | None
) -> list[Row]:
    """A row for each (name, torch's array, ours); the default atol comes from all of them."""
    top = max((_largest(their) for _, their, _ in tensors if their.dtype.kind == "f"), default=0.0)
    rows = []
    for name, their, our in tensors:
        absolute = _largest_difference(their, our)
        largest = _largest(their)
        if absolute == 0:
            relative = 0.0
        else:
            relative = absolute / largest if largest > 0 else np.inf
        allowed = 0.0  # integers must be equal
        if their.dtype.kind == "f":
            slack = _RTOL[their.dtype.itemsize] if rtol is None else rtol
            allowed = (slack * top / 10 if atol is None else atol) + slack * largest
        rows.append(Row(name, their.shape, absolute, relative, allowed))
    return rows


def _largest(array: Array) -> float:
    """The largest |element| that is finite."""
    values = np.abs(array.astype(np.float64))
    return float(np.max(values, where=np.isfinite(values), initial=0.0))


@np.errstate(all="ignore")
def _largest_difference(a: Array, b: Array) -> float:
    """The largest |difference| of two elements; infinite where only one is a number."""
    a = a.astype(np.float64)
    b = b.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    difference = np.where(same, 0.0, np.abs(a - b))
    return float(np.max(np.where(np.isnan(difference), np.inf, difference), initial=0.0))
