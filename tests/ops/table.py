"""The table of all primitives: for each how to call it, on what, and torch's counterpart.

Adding an operation is adding one row:

    *unary("tanh")                              on every shape of SHAPES, against torch.tanh
    Row("sum", [real(2, 3)], 1, True)           one input and the arguments after it
    Row("pow", [real(3)], both=lambda lib, x: 2**x)   the same expression in both libraries

Samples keep away from kinks: no two elements are equal, none is nearer to 0 than 0.3.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tinytensor as tt
from tinytensor.autograd.primitive import PRIMITIVES

Array = NDArray[Any]
Shape = tuple[int, ...]

SHAPES: tuple[Shape, ...] = ((3, 4), (), (1,), (0, 3))
PAIRS: tuple[tuple[Shape, Shape], ...] = (
    ((3, 4), (3, 4)),
    ((3, 1), (4,)),
    ((), (2, 3)),
    ((1,), ()),
    ((0, 3), (1,)),
)


class Sample:
    """An input of a row: `kind` is "real", "positive", "whole", "truth" or "data"."""

    def __init__(self, shape: Shape, kind: str = "real", data: Any = None, high: int = 2) -> None:
        self.shape = shape
        self.kind = kind
        self.data = data
        self.high = high

    def array(self, rng: np.random.Generator, place: int) -> Array:
        """The data: magnitudes from 0.3 to 1.7, all different, also from those at other places."""
        if self.data is not None:
            return np.array(self.data)
        if self.kind == "truth":
            return np.asarray(rng.random(self.shape) < 0.5)
        if self.kind == "whole":
            return np.asarray(rng.integers(0, self.high, self.shape))
        count = int(np.prod(self.shape))
        grid = 0.3137 + 0.0137 * place + 1.4 * np.arange(count) / max(count, 1)
        signs = np.where(rng.random(count) < 0.5, -1, 1) if self.kind == "real" else 1
        return np.reshape(rng.permutation(grid) * signs, self.shape)


def real(*shape: int) -> Sample:
    return Sample(shape)


def positive(*shape: int) -> Sample:
    return Sample(shape, "positive")


def truth(*shape: int) -> Sample:
    return Sample(shape, "truth")


def whole(*shape: int, high: int) -> Sample:
    """Integers from 0 up to but without `high`."""
    return Sample(shape, "whole", high=high)


def data(values: Any) -> Sample:
    return Sample(np.shape(values), "data", values)


class Row:
    """A primitive with its inputs and what torch calls it.

    op : the name of the primitive
    inputs : samples, one a tensor
    static : the arguments after the tensors
    torch : its counterpart there; the default is the function of that name
    both : a function of (library, *tensors) that serves for both instead
    listed : the tensors are handed over as one list
    pointwise : each element of the result comes from one element of each input
    """

    def __init__(
        self,
        op: str,
        inputs: Sequence[Sample],
        *static: Any,
        torch: Callable[..., Any] | None = None,
        both: Callable[..., Any] | None = None,
        listed: bool = False,
        pointwise: bool = False,
    ) -> None:
        self.op = op
        self.inputs = inputs
        self.static = static
        self.torch = torch
        self.both = both
        self.listed = listed
        self.pointwise = pointwise
        shapes = [str(sample.shape).replace(" ", "") for sample in inputs]
        self.label = "-".join([op, *shapes])

    def arrays(self) -> list[Array]:
        """The inputs in float64, int64 and bool: the same every time."""
        rng = np.random.default_rng(zlib.crc32(self.label.encode()))
        return [sample.array(rng, place) for place, sample in enumerate(self.inputs)]

    def call(self, lib: ModuleType, *tensors: Any) -> list[Any]:
        """The outputs, always as a list."""
        if self.both is not None:
            result = self.both(lib, *tensors)
        else:
            arguments = (list(tensors),) if self.listed else tensors
            result = self.function(lib)(*arguments, *self.static)
        return list(result) if isinstance(result, tuple) else [result]

    def function(self, lib: ModuleType) -> Callable[..., Any]:
        """The operation itself in a library."""
        if lib is tt:
            return PRIMITIVES[self.op].function
        if self.torch is not None:
            return self.torch
        place = lib if hasattr(lib, self.op) else lib.nn.functional
        return getattr(place, self.op)


def unary(*names: str, kind: str = "real") -> list[Row]:
    """A row for each name and shape, of functions of one number."""
    return [Row(name, [Sample(shape, kind)], pointwise=True) for name in names for shape in SHAPES]


def binary(*names: str, kind: str = "real") -> list[Row]:
    """A row for each name and pair of shapes, of functions of two numbers."""
    return [
        Row(name, [Sample(a, kind), Sample(b, kind)], pointwise=True)
        for name in names
        for a, b in PAIRS
    ]


def _written(key: Any) -> Callable[..., Any]:
    """x with a value written at [key], out of place, in either library."""

    def write(lib: ModuleType, x: Any, value: Any) -> Any:
        y = x.clone()
        y[_key(lib, key)] = value
        return y

    return write


def _picked(key: Any) -> Callable[..., Any]:
    return lambda lib, x: x[_key(lib, key)]


def _key(lib: ModuleType, key: Any) -> Any:
    """An index whose arrays are tensors of the library."""
    parts = key if isinstance(key, tuple) else (key,)
    found = tuple(lib.tensor(part) if isinstance(part, np.ndarray) else part for part in parts)
    return found if isinstance(key, tuple) else found[0]


def _copied(lib: ModuleType, x: Any, source: Any) -> Any:
    y = x.clone()
    y.copy_(source)
    return y


def _gradient_of_written(lib: ModuleType, g: Any) -> Any:
    """The gradient of a value that was written through a view, as a function of the base's."""
    recording = lib.is_grad_enabled()
    value = lib.zeros(4, dtype=g.dtype, requires_grad=True)
    with lib.enable_grad():
        base = lib.zeros(3, 4, dtype=g.dtype)
        base[1] = value
    (gradient,) = lib.autograd.grad(base, value, g, create_graph=recording)
    return gradient


def _put_zeros(lib: ModuleType, x: Any) -> Any:
    key = (lib.tensor([0, 3, 0]),)
    if lib is tt:
        return PRIMITIVES["index_put_zeros"].function(x, (4,), key)
    return x.new_zeros(4).index_put(key, x, accumulate=True)


def _rows(lib: ModuleType, weight: Any, index: Any, padding_idx: int | None = None) -> Any:
    if lib is tt:
        return PRIMITIVES["embedding"].function(weight, index, padding_idx)
    return lib.nn.functional.embedding(index, weight, padding_idx)


def _add_rows(lib: ModuleType, x: Any, index: Any) -> Any:
    if lib is tt:
        return PRIMITIVES["add_rows"].function(x, (4, 3), index)
    return x.new_zeros(4, 3).index_add(0, index.reshape(-1), x.reshape(-1, 3))


_TWICE = np.array([0, 2, 0])  # an index that names a row twice
_MASK = np.array([True, False, True])

ROWS: list[Row] = [
    # elementwise: arithmetic
    *binary("add", "sub", "mul", "div"),
    *binary("pow", kind="positive"),
    Row("add", [real(2, 3)], both=lambda lib, x: 2 + x + 0.5),
    Row("sub", [real(2, 3)], both=lambda lib, x: 2.5 - x),
    Row("sub", [real(2, 3)], both=lambda lib, x: x - 3),
    Row("mul", [real(2, 3)], both=lambda lib, x: 2.5 * x * 2),
    Row("mul", [real(2, 3)], both=lambda lib, x: x * x),
    Row("div", [real(2, 3)], both=lambda lib, x: x / 3),
    Row("div", [real(2, 3)], both=lambda lib, x: 3 / x),
    *(Row("pow", [real(2, 3)], n) for n in (0, 1, 2, 3, -1, 2.0, -2.0)),
    Row("pow", [positive(2, 3)], 0.5),
    Row("pow", [real(2, 3)], both=lambda lib, x: 2**x),
    Row("pow", [real(2, 3)], both=lambda lib, x: x ** lib.tensor([2, 3, 0], dtype=x.dtype)),
    *unary("neg", "abs", "sign", "square", "exp", "sin", "cos", "clone"),
    *unary("sqrt", "log", "log1p", kind="positive"),
    # elementwise: activations
    *unary("tanh", "sigmoid", "relu", "leaky_relu", "elu", "silu", "softplus", "logsigmoid"),
    *unary("hardtanh"),
    Row("leaky_relu", [real(2, 3)], 0.3),
    Row("elu", [real(2, 3)], 1.5),
    Row("softplus", [real(2, 3)], 2.0, 1.0),
    Row("hardtanh", [real(2, 3)], -0.55, 0.95),
    # elementwise: choosing
    *binary("maximum", "minimum"),
    Row("_clamp", [real(3, 4)], both=lambda lib, x: lib.clamp(x, -0.55, 0.95)),
    Row("_clamp", [real(3, 4)], both=lambda lib, x: lib.clamp(x, -0.55)),
    Row("_clamp", [real(3, 4)], both=lambda lib, x: lib.clamp(x, 0.95, -0.55)),
    Row("_clamp", [real(0)], both=lambda lib, x: lib.clamp(x, max=0.95)),
    Row("_clamp", [real()], both=lambda lib, x: lib.clamp(x, max=0.95)),
    Row("_clamp", [real(2, 3), real(3)], both=lambda lib, x, low: lib.clamp(x * 1, low * 1)),
    Row("_clamp", [real(2, 3), real(2, 1), real(3)], both=lambda lib, x, a, b: x.clamp(a, b)),
    Row("where", [truth(2, 3), real(2, 3), real(2, 3)]),
    Row("where", [truth(3), real(2, 1), real()]),
    Row("where", [truth(), real(0), real(1)]),
    Row("where", [truth(2, 3), real(2, 3)], both=lambda lib, c, x: lib.where(c, x, 1.0)),
    Row("where", [truth(2, 3)], both=lambda lib, c: lib.where(c, 2.0, 1.0)),
    Row("masked_fill", [real(2, 3), truth(2, 3)], 2.5),
    Row("masked_fill", [data([[1.0, 2.0]]), data([[False], [True]])], -float("inf")),
    Row("masked_fill", [real(2, 3), truth(2, 1), real()]),
    Row("masked_fill", [real(), truth()], 1.0),
    # elementwise: comparing
    *binary("eq", "ne", "lt", "le", "gt", "ge"),
    Row("eq", [data([1.0, 2.0, 3.0]), data([1.0, 5.0, 3.0])]),
    Row("le", [data([1.0, 2.0, 3.0])], both=lambda lib, x: 2 <= x),
    Row("isnan", [data([1.0, np.nan, np.inf])]),
    Row("isfinite", [data([1.0, np.nan, -np.inf])]),
    Row("bitwise_and", [truth(2, 3), truth(3)]),
    Row("bitwise_or", [truth(2, 3), truth(3)]),
    Row("bitwise_not", [truth(2, 3)]),
    Row("bitwise_and", [whole(2, 3, high=8), whole(3, high=8)]),
    Row("bitwise_or", [whole(2, 3, high=8), whole(3, high=8)]),
    Row("bitwise_not", [whole(2, 3, high=8)]),
    # elementwise: type and copies
    Row("cast", [data([0.5, -1.5])], both=lambda lib, x: x.to(lib.float32).to(lib.float64)),
    Row("cast", [real(2, 3)], both=lambda lib, x: x.to(lib.int64)),
    Row("copy", [real(2, 3), real(3)], both=_copied),
    Row("copy", [real(2, 3), real(1, 3)], both=_copied),
    Row("copy", [real(), real()], both=_copied),
    Row("zeros_like", [real(2, 3)]),
    Row("ones_like", [real(2, 3)]),
    Row("zeros_of", [real(2, 3)], (4, 0), torch=lambda x, shape: x.new_zeros(shape)),
    # shape
    Row("reshape", [real(2, 6)], (3, -1)),
    Row("reshape", [real()], (1, 1)),
    Row("reshape", [real(1)], ()),
    Row("reshape", [real(0, 3)], (3, 0)),
    Row("view", [real(2, 6)], both=lambda lib, x: x.contiguous().view(4, -1)),
    Row("view", [real(2, 6)], both=lambda lib, x: x.contiguous().t().view(3, 2, 2)),
    Row("reshape", [real(2, 3, 4)], both=lambda lib, x: x.flatten(1)),
    Row("reshape", [real(2, 3, 4)], both=lambda lib, x: x.flatten(0, -2)),
    Row("reshape", [real()], both=lambda lib, x: lib.flatten(x)),
    Row("squeeze", [real(1, 3, 1)]),
    Row("squeeze", [real(1, 3, 1)], -1),
    Row("squeeze", [real(1, 3, 1)], (0, 1)),
    Row("squeeze", [real()], 0),
    Row("unsqueeze", [real(2, 3)], 1),
    Row("unsqueeze", [real()], -1),
    Row("expand", [real(3, 1)], both=lambda lib, x: x.expand(2, -1, 4)),
    Row("expand", [real()], both=lambda lib, x: x.expand(3)),
    Row("expand", [real(1)], both=lambda lib, x: x.expand(0)),
    Row("permute", [real(2, 3, 4)], (2, 0, 1)),
    Row("permute", [real(2, 3, 4)], (-1, 0, -2)),
    Row("permute", [real()], ()),
    Row("transpose", [real(2, 3, 4)], 0, -1),
    Row("transpose", [real()], 0, -1),
    Row("transpose", [real(2, 0)], 0, 1),
    Row("flip", [real(2, 3)], (0,)),
    Row("flip", [real(2, 3)], (0, -1)),
    Row("flip", [real(0)], (0,)),
    Row("cat", [real(2, 3), real(1, 3), real(0, 3)], listed=True),
    Row("cat", [real(2, 3), real(2, 1)], -1, listed=True),
    Row("cat", [real(2, 3), real(0)], listed=True),
    Row("cat", [real(2)], both=lambda lib, x: lib.cat([x, x])),
    Row("stack", [real(2, 3), real(2, 3)], listed=True),
    Row("stack", [real(), real()], -1, listed=True),
    Row("unbind", [real(2, 3)]),
    Row("unbind", [real(2, 3)], -1),
    Row("unbind", [real(2, 3)], both=lambda lib, x: x.unbind()[1]),
    Row("split", [real(5, 2)], 2),
    Row("split", [real(2, 5)], [1, 0, 4], -1),
    Row("split", [real(2, 5)], both=lambda lib, x: x.split([1, 4], 1)[1]),
    Row("split", [real(2, 6)], both=lambda lib, x: x.chunk(4, 1)),
    Row("clone", [real(2, 3)], both=lambda lib, x: x.t().contiguous()),
    Row("clone", [real()], both=lambda lib, x: x.contiguous()),
    # index
    *(
        Row("getitem", [real(3, 4)], both=_picked(key))
        for key in (
            0,
            -1,
            slice(1, None),
            slice(None, None, 2),
            slice(5, None),
            (slice(None), 2),
            (0, 1),
            (..., 1),
            (None, 0),
            (slice(None), None, slice(1, 3)),
            _TWICE,
            (_TWICE, np.array([1, 3, 1])),
            (slice(None), _TWICE),
            (0, _TWICE),
            _MASK,
            (_MASK, slice(1, None)),
            np.array([[0, 2], [-1, 0]]),
            [0, 2, 2],
            np.array(2),
            np.array([], dtype=np.int64),
            ...,
            True,
        )
    ),
    Row("getitem", [real(2, 3, 4)], both=_picked((0, slice(None), np.array([0, 3])))),
    Row(
        "getitem", [real(2, 3, 4)], both=_picked((np.array([0, 1]), slice(None), np.array([0, 3])))
    ),
    Row("getitem", [real(2, 3, 4)], both=_picked((np.array([0, 1]), slice(None), 2))),
    Row("getitem", [real(2, 3, 4)], both=_picked((slice(None), np.array([[0], [2]]), 1))),
    Row("getitem", [real()], both=_picked(...)),
    Row("getitem", [real()], both=_picked(None)),
    Row("index_put_zeros", [real(3)], both=_put_zeros),
    Row("index_put", [real(3, 4), real(3, 4)], both=_written(np.array([2, 0, 1]))),
    Row("index_put", [real(3, 4), real(2, 1)], both=_written(_MASK)),
    Row("index_put", [real(3, 4), real()], both=_written((slice(None), np.array([0, 3])))),
    Row("index_put", [real(3, 4), real(1, 2)], both=_written((_MASK, 1))),
    Row("copy_slices", [real(3, 4), real(4)], both=_written(1)),
    Row("copy_slices", [real(3, 4), real(1, 3, 2)], both=_written((..., slice(None, None, 2)))),
    Row("copy_slices", [real(3, 4), real()], both=_written(...)),
    Row("copy_slices", [real(), real()], both=_written(...)),
    Row("take_view", [real(3, 4)], both=_gradient_of_written),
    Row("gather", [real(2, 3)], both=lambda lib, x: x.gather(1, lib.tensor([[0, 0], [2, 1]]))),
    Row("gather", [real(2, 3)], both=lambda lib, x: x.gather(-2, lib.tensor([[1, 0]]))),
    Row("gather", [real()], both=lambda lib, x: x.gather(0, lib.tensor(0))),
    Row("gather", [real(2, 3)], both=lambda lib, x: x.gather(0, lib.zeros(0, 3, dtype=lib.int64))),
    Row(
        "scatter_add",
        [real(2, 3), real(2, 3)],
        both=lambda lib, x, s: x.scatter_add(1, lib.tensor([[0, 0, 1], [2, 2, 2]]), s),
    ),
    Row(
        "scatter_add",
        [real(2, 3), real(1, 2)],
        both=lambda lib, x, s: x.scatter_add(0, lib.tensor([[1, 0]]), s),
    ),
    Row("embedding", [real(4, 3), data([[0, 3], [0, 1]])], both=_rows),
    Row("embedding", [real(4, 3), data(2)], both=_rows),
    Row(
        "embedding",
        [data(np.eye(4, 3)), data([[0, 3], [0, 1]])],
        both=partial(_rows, padding_idx=0),
    ),
    Row("add_rows", [real(2, 2, 3), data([[0, 3], [0, 1]])], both=_add_rows),
    # reduce
    *(
        Row(name, [sample], *static)
        for name in ("sum", "mean", "amax", "amin", "logsumexp")
        for sample, static in (
            (real(3, 4), (0,)),
            (real(3, 4), (-1, True)),
            (real(2, 3, 2), ((0, 2),)),
            (real(2, 3, 2), ((0, -1), True)),
            (real(), (0,)),
            (real(1), (0,)),
            (real(0, 3), (1,)),
        )
    ),
    *(Row(name, [sample]) for name in ("sum", "mean") for sample in (real(3, 4), real(), real(0))),
    *(Row(name, [sample]) for name in ("amax", "amin") for sample in (real(3, 4), real())),
    Row("amax", [data([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])], 1),
    Row("amin", [data([[1.0, 3.0, 1.0], [2.0, 2.0, 2.0]])]),
    *(
        Row(name, [sample], *static)
        for name in ("argmax", "argmin")
        for sample, static in (
            (real(3, 4), ()),
            (real(3, 4), (0,)),
            (real(3, 4), (-1, True)),
            (real(), ()),
            (real(), (0,)),
            (real(0, 3), (1,)),
            (data([1.0, 3.0, 3.0, 1.0]), (0,)),
        )
    ),
    *(
        Row(name, [sample], *static)
        for name in ("any", "all")
        for sample, static in (
            (truth(3, 4), ()),
            (truth(3, 4), (0,)),
            (truth(3, 4), (1, True)),
            (truth(2, 2, 3), ((0, 2),)),
            (truth(0), ()),
            (truth(), ()),
        )
    ),
    Row("any", [real(2, 3)], both=lambda lib, x: lib.any(x * 1.0, 1)),
    Row("all", [real(2, 3)], both=lambda lib, x: lib.all(x * 1.0, 1)),
    *(
        Row(name, [sample], dim)
        for name in ("softmax", "log_softmax")
        for sample, dim in (
            (real(3, 4), 0),
            (real(3, 4), -1),
            (real(), 0),
            (real(2, 0), 1),
            (real(1), 0),
        )
    ),
    # linalg
    *(
        Row("matmul", [Sample(a), Sample(b)])
        for a, b in (
            ((2, 3), (3, 4)),
            ((3,), (3,)),
            ((2, 3), (3,)),
            ((3,), (3, 2)),
            ((2, 2, 3), (3, 4)),
            ((2, 3), (2, 3, 2)),
            ((2, 1, 2, 3), (2, 3, 2)),
            ((2, 2, 3), (3,)),
            ((3,), (2, 3, 2)),
            ((2, 0), (0, 3)),
            ((0, 3), (3, 2)),
            ((2, 3, 4), (4, 0)),
            ((2, 0, 4), (4, 3)),
            ((1, 1), (1, 1)),
        )
    ),
    *(
        Row("linear", [Sample(shape), real(2, 3), real(2)])
        for shape in ((3,), (4, 3), (2, 4, 3), (0, 3))
    ),
    Row("linear", [real(2, 3), real(0, 3), real(0)]),
    Row("linear", [real(2, 4, 3), real(2, 3)]),
]
