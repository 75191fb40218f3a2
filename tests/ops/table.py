"""The table of all primitives: for each how to call it, on what, and torch's counterpart.

Adding an operation is adding one row:

    *unary("tanh")                              on every shape of SHAPES, against torch.tanh
    Row("sum", [real(2, 3)], 1, True)           one input and the arguments after it
    Row("pow", [real(3)], both=lambda lib, x: 2**x)   the same expression in both libraries

Samples keep away from kinks: no two elements are equal, none is nearer to 0 than 0.3.
"""

from __future__ import annotations

import importlib
import warnings
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tinytensor as tt
from tinytensor.autograd.primitive import PRIMITIVES
from tinytensor.ops.conv import Geometry

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
    once : compare the first derivative only; at these kinks torch's second is not that of its first
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
        once: bool = False,
    ) -> None:
        self.op = op
        self.inputs = inputs
        self.static = static
        self.torch = torch
        self.both = both
        self.listed = listed
        self.pointwise = pointwise
        self.once = once
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


def halved(*names: str) -> list[Row]:
    """A row for each name and shape, of functions of a number between -1 and 1."""
    return [
        Row(name, [Sample(shape)], both=_of_half(name), pointwise=True)
        for name in names
        for shape in SHAPES
    ]


def _of_half(name: str) -> Callable[..., Any]:
    return lambda lib, x: getattr(lib, name)(x / 2)


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


def _hardsigmoid(x: Any) -> Any:
    """torch's own has no second derivative, and a first one with 1 / 6 rounded to float32."""
    import torch

    if not x.is_floating_point():
        raise RuntimeError("not implemented, as of torch's own")
    return torch.nn.functional.hardtanh(x, -3, 3) / 6 + 0.5


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


def _add_rows_but_the_last(lib: ModuleType, x: Any, index: Any) -> Any:
    if lib is tt:
        return PRIMITIVES["add_rows"].function(x, (4, 3), index, 3)
    return _add_rows(lib, x, index).index_fill(0, lib.tensor([3]), 0)


def _spread(name: str, *static: Any, **named: Any) -> Any:
    *static_here, lib, x = static
    return getattr(lib, name)(x, *static_here, **named)


def _spread_of_few(name: str, correction: int, lib: ModuleType, x: Any) -> Any:
    """Of no more elements than the correction, which torch warns of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return getattr(lib, name)(x, 1, correction=correction)


def _middle(*static: Any) -> Any:
    """The medians along a dimension; where they stand is in rows of its own."""
    *static_here, lib, x = static
    return lib.median(x, *static_here).values


def _torch_vector_norm(x: Any, *static: Any) -> Any:
    import torch

    return torch.linalg.vector_norm(x, *static)


def _matrix_norm(*static: Any) -> Any:
    *static_here, lib, x = static
    return lib.linalg.norm(x, *static_here)


def _norm(*static: Any) -> Any:
    *static_here, lib, x = static
    return lib.norm(x, *static_here)


def _in_type(name: str, kind: str, lib: ModuleType, x: Any) -> Any:
    return getattr(lib, name)(x, dtype=getattr(lib, kind))


def _through_svd(lib: ModuleType, x: Any) -> Any:
    """A function of all parts of a decomposition that no choice of their signs changes."""
    if lib is tt:
        u, s, vt = PRIMITIVES["svd"].function(x)
    else:
        u, s, vt = lib.linalg.svd(x, full_matrices=False)
    return (u * (s * s)) @ vt


def _along_in_type(name: str, lib: ModuleType, x: Any) -> Any:
    return getattr(x, name)(1, dtype=lib.float64)


def _repeated(repeats: list[int], dim: int, lib: ModuleType, x: Any) -> Any:
    return x.repeat_interleave(lib.tensor(repeats), dim)


def _split_at(how: Any, dim: int, lib: ModuleType, x: Any) -> Any:
    return lib.tensor_split(x, how, dim=dim)


def _windows(dimension: int, size: int, step: int, lib: ModuleType, x: Any) -> Any:
    return x.unfold(dimension, size, step)


def _gradient_of_windows(lib: ModuleType, g: Any) -> Any:
    """The gradient of what windows of 3 at every 2 were taken of, as a function of theirs."""
    recording = lib.is_grad_enabled()
    x = lib.zeros(6, dtype=g.dtype, requires_grad=True)
    with lib.enable_grad():
        y = x.unfold(0, 3, 2)
    (gradient,) = lib.autograd.grad(y, x, g, create_graph=recording)
    return gradient


def _padded(*static: Any) -> Any:
    *static_here, lib, x = static
    return lib.nn.functional.pad(x, *static_here)


def _into_part(name: str, dim: int, index: Any, *part: Any) -> Callable[..., Any]:
    """x.name(dim, index, source) for a source larger than the index, of which only a part is read.

    torch refuses its gradient, so there the source is cut to the part first.
    """

    def call(lib: ModuleType, x: Any, source: Any) -> Any:
        if lib is not tt:
            source = source[part].reshape(np.shape(index))
        return getattr(x, name)(dim, lib.tensor(index), source)

    return call


def _after_nothing(lib: ModuleType, x: Any) -> Any:
    """logcumsumexp of numbers that may begin with -inf; torch's own gradient is NaN there."""
    if lib is tt:
        return lib.logcumsumexp(x * 1, 0) * 1
    sums = x.exp().cumsum(0)
    begun = sums > 0
    return lib.where(begun, lib.where(begun, sums, 1.0).log(), -np.inf)


def _scattered(dim: int, index: Any) -> Callable[..., Any]:
    return lambda lib, x, source: x.scatter(dim, lib.tensor(index), source)


def _reduced(dim: int, index: Any, how: str, include_self: bool = True) -> Callable[..., Any]:
    return lambda lib, x, source: x.scatter_reduce(
        dim, lib.tensor(index), source, how, include_self=include_self
    )


def _largest_of_part(lib: ModuleType, x: Any, source: Any) -> Any:
    """Of a source larger than the index; see `_into_part`."""
    part = source if lib is tt else source[:1, :3]
    return x.scatter_reduce(1, lib.tensor([[0, 2, 0]]), part, "amax")


def _masked_scatter(lib: ModuleType, x: Any, mask: Any, source: Any) -> Any:
    return x.masked_scatter(mask, source)


def _by_index(name: str, dim: int, index: Array, *rest: Any, **options: Any) -> Callable[..., Any]:
    """x.name(dim, index, ...) with the further tensors of the row in front of `rest`."""

    def call(lib: ModuleType, x: Any, *tensors: Any) -> Any:
        return getattr(lib, name)(x, dim, lib.tensor(index), *tensors, *rest, **options)

    return call


def _filled_with(lib: ModuleType, x: Any, value: Any) -> Any:
    return x.index_fill(0, lib.tensor([2, 0]), value)


def _along_dim(index: Any, dim: int | None) -> Callable[..., Any]:
    return lambda lib, x: lib.take_along_dim(x, lib.tensor(index), dim)


def _sorted(lib: ModuleType, x: Any, dim: int, descending: bool) -> Any:
    return tuple(lib.sort(x, dim=dim, descending=descending, stable=True))


def _unique(lib: ModuleType, x: Any, dim: int | None) -> Any:
    return lib.unique(x, return_inverse=True, return_counts=True, dim=dim)


def _named(name: str, *rest: Any, **options: Any) -> Callable[..., Any]:
    return lambda lib, *tensors: getattr(lib, name)(*tensors, *rest, **options)


def _functional(name: str, *rest: Any, **options: Any) -> Callable[..., Any]:
    return lambda lib, *tensors: getattr(lib.nn.functional, name)(*tensors, *rest, **options)


def _einsum(equation: str) -> Callable[..., Any]:
    return lambda lib, *tensors: lib.einsum(equation, *tensors)


def _convolved(**options: Any) -> Callable[..., Any]:
    return _functional("conv1d", **options)


def _attention(**options: Any) -> Callable[..., Any]:
    return _functional("scaled_dot_product_attention", **options)


_GEOMETRY = {"stride": 2, "dilation": 1, "groups": 2}  # of an input (2, 2, 6), zeros at each end


def _conv_input(lib: ModuleType, g: Any, weight: Any) -> Any:
    if lib is tt:
        return PRIMITIVES["_conv_input"].function(g, weight, Geometry(6, 3, 2, 1, 1, 1, 2))
    return torch_grad().conv1d_input((2, 2, 6), weight, g, padding=1, **_GEOMETRY)


def _conv_weight(lib: ModuleType, x: Any, g: Any) -> Any:
    if lib is tt:
        return PRIMITIVES["_conv_weight"].function(x, g, Geometry(6, 3, 2, 1, 1, 1, 2))
    return torch_grad().conv1d_weight(x, (4, 1, 3), g, padding=1, **_GEOMETRY)


def torch_grad() -> Any:
    """torch's functions for the gradients of a convolution."""
    return importlib.import_module("torch.nn.grad")


_FEW = np.array([[True, False], [False, False], [True, True]])  # may attend to; one to nothing
_TIES = np.array([[1.0, 2.0, 1.0, np.nan, 2.0], [np.inf, 0.5, -np.inf, 0.5, np.nan]])
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
    Row("pow", [data([0.0, 0.0, 0.0, 2.0]), data([0.0, 2.0, -1.0, 0.0])], once=True),
    *(Row("pow", [data([0.0, 1.0, 2.0])], n) for n in (0, 1)),
    Row("pow", [data([-1.0, 0.0, 2.0])], both=lambda lib, x: 0**x, once=True),
    *(
        Row("pow", [data([-1.0, 0.0, 2.0])], both=lambda lib, x, base=base: base**x)
        for base in (0.5, 1, -2.0)
    ),
    *unary("neg", "abs", "sign", "square", "exp", "sin", "cos", "clone"),
    Row("abs", [data([0.0, -0.0, 1.0])]),
    *unary("sqrt", "log", "log1p", kind="positive"),
    *unary("reciprocal", "exp2", "expm1", "erf"),
    *unary("rsqrt", "log2", "log10", kind="positive"),
    *(Row("logit", [positive(*shape)], both=_of_half("logit"), pointwise=True) for shape in SHAPES),
    Row("logit", [positive(2, 3)], both=lambda lib, x: lib.logit(x / 2, 0.2)),
    Row("logit", [data([-0.2, 0.1, 0.3, 0.5, 1.0, 1.2])], 0.3),
    Row("logit", [data([-0.2, 0.1, 0.9, 1.2])], 0.0),
    Row("logit", [data([-0.2, 0.3, 1.2, 0.0, 1.0, -0.0])], once=True),
    Row("logit", [data([-0.2, 0.3, 1.2, 0.0, 1.0, -0.0])], -1.0, once=True),
    # elementwise: trigonometry
    *unary("tan", "atan", "sinh", "cosh", "asinh"),
    *halved("asin", "acos", "atanh"),
    *(
        Row("acosh", [positive(*shape)], both=lambda lib, x: lib.acosh(x + 1), pointwise=True)
        for shape in SHAPES
    ),
    *binary("atan2"),
    Row("atan2", [data([0.0, -1.0]), data([-2.0, 0.0])]),
    Row("atan2", [data([0.0, 0.0, 1.0]), data([0.0, 1.0, 0.0])], once=True),
    # elementwise: of three tensors
    Row("lerp", [real(2, 3), real(2, 3)], 0.3),
    Row("lerp", [real(2, 3), real(3)], 0.8),
    Row("lerp", [real(), real(0)], 2),
    Row("lerp", [real(2, 3), real(2, 1), real(3)]),
    Row("_times_number", [real(2, 3), real(3)], both=lambda lib, x, y: x.add(y, alpha=2.5)),
    Row("_addcmul", [real(2, 3), real(2, 3), real(2, 3)], both=lambda lib, *x: lib.addcmul(*x)),
    Row(
        "_addcmul",
        [real(2, 1), real(3), real()],
        both=lambda lib, x, a, b: lib.addcmul(x, a, b, value=-2.5),
    ),
    Row("_addcdiv", [real(2, 3), real(2, 3), real(2, 3)], both=lambda lib, *x: lib.addcdiv(*x)),
    Row(
        "_addcdiv",
        [real(2, 1), real(3), real()],
        both=lambda lib, x, a, b: lib.addcdiv(x, a, b, value=-2.5),
    ),
    # elementwise: rounding
    *unary("floor", "ceil", "trunc", "frac"),
    *(Row("_round", [Sample(n)], both=lambda lib, x: lib.round(x)) for n in SHAPES),
    *(
        Row("_round", [real(2, 3)], both=lambda lib, x, n=n: lib.round(x * 10, decimals=n))
        for n in (1, 2, -1)
    ),
    Row("_round", [data([0.5, 1.5, 2.5, -0.5, 1.25])], both=lambda lib, x: x.round()),
    # torch's own is NaN where the quotient is too large for float32
    *(Row("remainder", [Sample(a), Sample(b)]) for a, b in PAIRS),
    Row("remainder", [real(2, 3)], both=lambda lib, x: x % 0.7),
    Row("remainder", [real(2, 3)], both=lambda lib, x: lib.remainder(2.5, x.detach())),
    *(
        Row(
            "div_rounded",
            [Sample(a), Sample(b)],
            both=lambda lib, a, b, mode=mode: lib.div(a, b, rounding_mode=mode),
        )
        for mode in ("floor", "trunc")
        for a, b in PAIRS
    ),
    Row("div_rounded", [real(2, 3)], both=lambda lib, x: x.div(0.4, rounding_mode="trunc")),
    *(  # its derivative is an error in both
        Row(
            "floor_divide",
            [Sample(a), Sample(b)],
            both=lambda lib, a, b: lib.floor_divide(a.detach(), b.detach()),
        )
        for a, b in PAIRS
    ),
    Row("floor_divide", [real(2, 3)], both=lambda lib, x: x.detach() // 0.4),
    Row("floor_divide", [real(2, 3)], both=lambda lib, x: 2.5 // x.detach()),
    # elementwise: activations
    *unary("tanh", "sigmoid", "relu", "leaky_relu", "elu", "silu", "softplus", "logsigmoid"),
    *unary("hardtanh", "selu", "mish"),
    *(Row("gelu", [Sample(shape)]) for shape in SHAPES),  # torch's own is NaN at infinity
    Row("gelu", [real(2, 3)], both=lambda lib, x: lib.nn.functional.gelu(x, approximate="tanh")),
    *unary("hardswish", "celu", "hardshrink", "softshrink"),
    Row("celu", [real(2, 3)], 0.5),
    *(Row("prelu", [real(*shape), positive(1)]) for shape in ((2, 3), (4,), (0, 3))),
    Row("prelu", [real(2, 3), positive(3)]),
    Row("hardshrink", [real(2, 3)], 0.95),
    Row("softshrink", [real(2, 3)], 0.95),
    *(Row("threshold", [Sample(shape)], 0.55, 7.0) for shape in SHAPES),
    *(Row("hardsigmoid", [real(n)], torch=_hardsigmoid) for n in (4, 0)),
    Row("split", [real(3, 4)], both=lambda lib, x: lib.nn.functional.glu(x)),
    Row("abs", [real(2, 3)], both=lambda lib, x: lib.nn.functional.softsign(x)),
    Row("leaky_relu", [real(2, 3)], 0.3),
    Row("elu", [real(2, 3)], 1.5),
    Row("softplus", [real(2, 3)], 2.0, 1.0),
    Row("hardtanh", [real(2, 3)], -0.55, 0.95),
    Row("hardtanh", [data([-2.0, -1.0, 0.5, 1.0, 2.0])]),
    Row("hardsigmoid", [data([-4.0, -3.0, 0.5, 3.0, 4.0])], torch=_hardsigmoid),
    Row("leaky_relu", [data([-1.0, 0.0, 1.0])]),
    Row("elu", [data([-1.0, 0.0, 800.0])], 1.5),
    Row("selu", [data([-1.0, 0.0, 800.0])], once=True),
    Row("selu", [data([-1.0, 800.0])]),
    Row("softplus", [data([-1.0, 0.25, 0.5, 0.75, 3.0])], 2.0, 1.0, once=True),
    Row("prelu", [data([-1.0, 0.0, 1.0]), positive(1)], once=True),
    Row("hardswish", [data([-4.0, -3.0, -1.0, 0.0, 3.0, 3.5, 5.0])], once=True),
    Row("hardswish", [data([-5.0, -3.5, 0.5, 3.5, 5.0])]),
    Row("celu", [data([-1.0, 0.0, 0.5, 800.0])], 1.5, once=True),
    Row("celu", [data([-1.0, 0.5, 2.0, 800.0])], 1.5),
    Row("hardshrink", [data([-2.0, -0.75, 0.0, 0.75, 2.0])], 0.75),
    Row("softshrink", [data([-2.0, -0.75, 0.0, 0.75, 2.0])], 0.75),
    Row("threshold", [data([-2.0, 0.5, 0.75, 2.0])], 0.75, 7.0),
    # losses
    *(
        Row(
            "binary_cross_entropy",
            [positive(*shape), positive(*shape)],
            both=lambda lib, x, t: lib.nn.functional.binary_cross_entropy(
                x / 2, t / 2, reduction="none"
            ),
            once=True,  # torch adds 1e-12 to the denominators of its second derivative
        )
        for shape in ((2, 3), (), (0, 3))
    ),
    *(
        Row(
            "binary_cross_entropy_with_logits",
            [Sample(shape), positive(*shape)],
            both=lambda lib, x, t: lib.nn.functional.binary_cross_entropy_with_logits(
                x, t, reduction="none"
            ),
        )
        for shape in SHAPES
    ),
    *(
        Row(
            name,
            [Sample(shape)],
            both=lambda lib, x, loss=loss: getattr(lib.nn.functional, loss)(
                x, lib.zeros_like(x), reduction="none"
            ),
        )
        for name, loss in (("huber", "huber_loss"), ("smooth_l1", "smooth_l1_loss"))
        for shape in SHAPES
    ),
    Row(
        "binary_cross_entropy",
        [data([0.0, 1.0, 1e-13, 0.5]), data([0.0, 1.0, 0.5, 0.25])],
        both=lambda lib, x, t: lib.nn.functional.binary_cross_entropy(x, t, reduction="none"),
        once=True,
    ),
    *(
        Row(
            name,
            [data([-3.0, -0.5, 0.0, 0.4, 0.5, 3.0]), data([0.0] * 6)],
            both=lambda lib, x, t, loss=loss, parameter=parameter: getattr(lib.nn.functional, loss)(
                x, t, reduction="none", **{parameter: 0.5}
            ),
            once=True,
        )
        for name, loss, parameter in (
            ("huber", "huber_loss", "delta"),
            ("smooth_l1", "smooth_l1_loss", "beta"),
        )
    ),
    *(Row("xlogx", [positive(*shape)], torch=lambda x: x * x.log()) for shape in SHAPES),
    # elementwise: choosing
    *binary("maximum", "minimum", "fmax", "fmin"),
    *(
        Row(name, [data([1.0, 2.0, 3.0, np.nan, 1.0]), data([1.0, 3.0, 2.0, 1.0, np.nan])])
        for name in ("maximum", "minimum")
    ),
    *(
        Row(name, [data([1.0, 1.0, np.nan, np.nan, 2.0]), data([1.0, 2.0, 1.0, np.nan, np.nan])])
        for name in ("fmax", "fmin")
    ),
    *unary("nan_to_num"),
    Row(
        "nan_to_num",
        [data([1.0, np.nan, np.inf, -np.inf])],
        both=lambda lib, x: lib.nan_to_num(x, 1.5, posinf=2.5, neginf=-3.5),
    ),
    Row("nan_to_num", [data([1.0, np.nan, np.inf, -np.inf])]),
    Row("_clamp", [real(3, 4)], both=lambda lib, x: lib.clamp(x, -0.55, 0.95)),
    Row("clamp_min", [real(3, 4)], both=lambda lib, x: lib.clamp(x, -0.55)),
    Row("_clamp", [real(3, 4)], both=lambda lib, x: lib.clamp(x, 0.95, -0.55)),
    Row("clamp_max", [real(0)], both=lambda lib, x: lib.clamp(x, max=0.95)),
    Row("clamp_max", [real()], both=lambda lib, x: lib.clamp(x, max=0.95)),
    *binary("clamp_min", "clamp_max"),
    *(
        Row(name, [data([1.0, 2.0, 3.0, np.nan, 1.0]), data([2.0, 2.0, 2.0, 1.0, np.nan])])
        for name in ("clamp_min", "clamp_max")
    ),
    Row("clamp_min", [whole(2, 3, high=8)], both=lambda lib, x: x.clamp(min=3)),
    Row("clamp_max", [truth(2, 3), truth(3)], both=lambda lib, x, high: x.clamp(max=high)),
    Row("_clamp", [real(2, 3), real(2, 1), real(3)], both=lambda lib, x, a, b: x.clamp(a, b)),
    Row(  # at the bounds, between them, and with the bounds exchanged or equal
        "_clamp",
        [
            data([1.0, 2.0, 3.0, 0.0, 5.0, 2.0, 1.0, 2.0, 3.0]),
            data([1.0, 1.0, 1.0, 1.0, 1.0, 4.0, 2.0, 2.0, 2.0]),
            data([3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 2.0, 2.0, 2.0]),
        ],
        both=lambda lib, x, a, b: x.clamp(a, b),
    ),
    Row("where", [truth(2, 3), real(2, 3), real(2, 3)]),
    Row("where", [truth(3), real(2, 1), real()]),
    Row("where", [truth(), real(0), real(1)]),
    Row("where", [truth(2, 3), real(2, 3)], both=lambda lib, c, x: lib.where(c, x, 1.0)),
    Row("where", [truth(2, 3)], both=lambda lib, c: lib.where(c, 2.0, 1.0)),
    Row("masked_fill", [real(2, 3), truth(2, 3)], 2.5),
    Row("masked_fill", [data([[1.0, 2.0]]), data([[False], [True]])], -float("inf")),
    Row("masked_fill", [real(2, 3), truth(2, 1), real()]),
    Row("masked_fill", [real(), truth()], 1.0),
    Row(
        "masked_fill",
        [real(2, 3), truth(2, 3), data(0.5)],
        both=lambda lib, x, mask, value: x.masked_fill(mask, value.to(lib.float32)),
    ),
    # elementwise: comparing
    *binary("eq", "ne", "lt", "le", "gt", "ge"),
    Row("eq", [data([1.0, 2.0, 3.0]), data([1.0, 5.0, 3.0])]),
    Row("le", [data([1.0, 2.0, 3.0])], both=lambda lib, x: 2 <= x),
    Row("isnan", [data([1.0, np.nan, np.inf])]),
    Row("isfinite", [data([1.0, np.nan, -np.inf])]),
    Row("isinf", [data([1.0, np.nan, -np.inf])]),
    *(
        Row(name, inputs)
        for name in ("logical_and", "logical_or", "logical_xor")
        for inputs in (
            [truth(2, 3), truth(3)],
            [whole(2, 3, high=3), whole(3, high=3)],
            [data([0.0, 0.0, 1.5, np.nan]), data([0.0, 2.0, 0.0, 1.0])],
            [data([0.0, 0.0, 1.5]), data([False, True, True])],
        )
    ),
    Row("logical_not", [truth(2, 3)]),
    Row("logical_not", [data([0.0, -0.0, 1.5, np.nan])]),
    Row("bitwise_xor", [truth(2, 3), truth(3)]),
    Row("bitwise_xor", [whole(2, 3, high=8), whole(3, high=8)]),
    Row("bitwise_xor", [whole(2, 3, high=8)], both=lambda lib, x: 5 ^ (x ^ 2)),
    Row("bitwise_or", [whole(2, 3, high=8)], both=lambda lib, x: 5 | x),
    Row("bitwise_and", [whole(2, 3, high=8)], both=lambda lib, x: 5 & x),
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
    Row("cat", [real(0), real(0)], listed=True),
    Row("cat", [real(0), real(0)], 1, listed=True),
    Row("cat", [real(2)], both=lambda lib, x: lib.cat([x, x])),
    Row("stack", [real(2, 3), real(2, 3)], listed=True),
    Row("stack", [real(), real()], -1, listed=True),
    Row("stack", [real(2, 3), real(2, 3)], -1, listed=True),
    Row("unbind", [real(2, 3)]),
    Row("unbind", [real(2, 3)], -1),
    Row("unbind", [real(2, 3)], both=lambda lib, x: x.unbind()[1]),
    Row("split", [real(5, 2)], 2),
    Row("split", [real(2, 5)], [1, 0, 4], -1),
    Row("split", [real(2, 5)], both=lambda lib, x: x.split([1, 4], 1)[1]),
    Row("split", [real(2, 3, 5)], both=lambda lib, x: x.split([1, 2], -2)[1]),
    Row("split", [real(2, 5)], both=lambda lib, x: x.split([1, 4], -1)[1]),
    Row("split", [real(2, 6)], both=lambda lib, x: x.chunk(4, 1)),
    Row("reshape", [real(2, 6)], both=lambda lib, x: x.unflatten(1, (2, -1))),
    Row("reshape", [real(6, 2)], both=lambda lib, x: lib.unflatten(x, -2, (3, 1, 2))),
    Row("reshape", [real(0, 2)], both=lambda lib, x: lib.unflatten(x, 0, (3, 0))),
    Row("reshape", [real(2, 3)], both=lambda lib, x: lib.ravel(x.t())),
    Row("reshape", [real()], both=lambda lib, x: x.ravel()),
    Row("reshape", [real(2, 3)], both=lambda lib, x: x.reshape_as(lib.ones(3, 2))),
    Row("expand", [real(3, 1)], both=lambda lib, x: lib.broadcast_to(x, (2, 3, 4))),
    Row("expand", [real(3, 1), real(4)], both=lambda lib, x, y: lib.broadcast_tensors(x, y)),
    Row("expand", [real(3), real(2)], both=lambda lib, x, y: lib.meshgrid(x, y, indexing="ij")),
    Row("expand", [real(3), real(2)], both=lambda lib, x, y: lib.meshgrid([x, y], indexing="xy")),
    Row("expand", [real(3), real()], both=lambda lib, x, y: lib.meshgrid(x, y, x, indexing="xy")),
    Row("expand", [real(2, 3)], both=lambda lib, x: x.repeat(2, 1, 2)),
    Row("expand", [real(1)], both=lambda lib, x: x.repeat(3)),
    Row("expand", [real()], both=lambda lib, x: x.repeat(2, 3)),
    Row("expand", [real(2, 3)], both=lambda lib, x: x.repeat(1, 1)),
    Row("expand", [real(2, 3)], both=lambda lib, x: x.detach().repeat(0, 1)),
    Row("expand", [real(2, 3)], both=lambda lib, x: lib.tile(x, (2,))),
    Row("expand", [real(2)], both=lambda lib, x: x.tile(2, 2)),
    Row("getitem", [real(2, 3)], both=lambda lib, x: lib.repeat_interleave(x, 2)),
    Row("getitem", [real(2, 3)], both=lambda lib, x: x.repeat_interleave(2, dim=-1)),
    Row("getitem", [real(2, 3)], both=partial(_repeated, [2, 0, 1], 1)),
    Row("getitem", [real(2, 3)], both=partial(_repeated, [2], 0)),
    Row("getitem", [real()], both=lambda lib, x: lib.repeat_interleave(x, 3)),
    Row("permute", [real(2, 3, 4)], both=lambda lib, x: lib.movedim(x, 0, -1)),
    Row("permute", [real(2, 3, 4)], both=lambda lib, x: x.moveaxis((0, -1), (1, 0))),
    Row("permute", [real()], both=lambda lib, x: x.movedim(0, 0)),
    Row("transpose", [real(2, 3, 4)], both=lambda lib, x: lib.swapaxes(x, 0, -1)),
    Row("transpose", [real(2, 3, 4)], both=lambda lib, x: x.swapdims(1, 2).mH),
    Row("transpose", [real(2, 3)], both=lambda lib, x: x.H.adjoint().mT),
    Row("roll", [real(2, 3)], 1),
    Row("roll", [real(2, 3)], -4, 1),
    Row("roll", [real(2, 3)], (1, 2), (0, -1)),
    Row("roll", [real(2, 3)], (1, 1), (0, 0)),
    Row("roll", [real()], 2),
    Row("roll", [real(0, 3)], 1, 0),
    Row("cat", [real(2, 3), real(2, 1)], both=lambda lib, x, y: lib.hstack((x, y))),
    Row("cat", [real(3), real()], both=lambda lib, x, y: lib.hstack((x, y))),
    Row("cat", [real(3), real(2, 3)], both=lambda lib, x, y: lib.vstack((x, y))),
    Row("cat", [real(), real()], both=lambda lib, x, y: lib.vstack((x, y))),
    *(
        Row("getitem", [real(5, 3)], both=partial(_split_at, how, dim))
        for how, dim in ((3, 0), (2, -1), (7, 0), ([1, 3], 0), ((1, 9, -2), 0), ((), 0))
    ),
    Row("getitem", [real(3, 4)], both=lambda lib, x: lib.narrow(x, 1, 1, 2)),
    Row("getitem", [real(3, 4)], both=lambda lib, x: x.narrow(-2, -2, 2)),
    Row("getitem", [real(3, 4)], both=lambda lib, x: x.narrow(0, lib.tensor(3), 0)),
    Row("getitem", [real(3, 4)], both=lambda lib, x: lib.select(x, 1, -1)),
    Row("getitem", [real(3, 4)], both=lambda lib, x: x.select(0, 2)),
    *(
        Row("diagonal", [sample], *static)
        for sample, static in (
            (real(3, 4), ()),
            (real(4, 3), (1,)),
            (real(3, 4), (-1,)),
            (real(3, 4), (7,)),
            (real(2, 3, 4), (1, 2, 0)),
            (real(2, 3, 3), (0, -2, -1)),
            (real(0, 3), ()),
        )
    ),
    Row("diagonal_zeros", [real(3)], both=lambda lib, x: lib.diag(x)),
    Row("diagonal_zeros", [real(3)], both=lambda lib, x: lib.diag(x, -2)),
    Row("diagonal_zeros", [real(0)], both=lambda lib, x: x.diag()),
    Row("diagonal", [real(3, 4)], both=lambda lib, x: lib.diag(x, 1)),
    *(
        Row(name, [sample], *static)
        for name in ("tril", "triu")
        for sample, static in (
            (real(3, 4), ()),
            (real(2, 3, 3), (1,)),
            (real(3, 2), (-1,)),
            (real(0, 2), ()),
            (truth(3, 3), ()),
        )
    ),
    *(
        Row("unfold", [real(4, 5)], both=partial(_windows, *static))
        for static in ((1, 2, 1), (-1, 3, 2), (0, 4, 1), (0, 2, 3), (0, 0, 1))
    ),
    Row("unfold", [real()], both=partial(_windows, 0, 1, 1)),
    Row("fold", [real(2, 3)], both=_gradient_of_windows),
    *(
        Row("constant_pad", [real(2, 3)], both=partial(_padded, *static))
        for static in (
            ((1, 2),),
            ((1, 0, 0, 2), "constant", 1.5),
            ((-1, 1),),
            ((-1, -2, 3, -1),),
            ((0, 0),),
            ((),),
            ((-3, 2), "constant", 0.5),
        )
    ),
    *(
        Row("getitem", [real(2, 3, 4)], both=partial(_padded, *static))
        for static in (
            ((1, 2), "reflect"),
            ((3, 3), "reflect"),
            ((2, 1, 1, 2), "reflect"),
            ((2, 5), "replicate"),
            ((2, 1, 1, 4), "replicate"),
            ((-1, 2), "reflect"),
            ((2, -1), "replicate"),
            ((1, 4), "circular"),
            ((0, 1, 3, 0), "circular"),
            ((-1, 1), "circular"),
            ((0, 0), "reflect"),
        )
    ),
    Row("getitem", [real(2, 3)], both=partial(_padded, (2, 1), "reflect")),
    Row("getitem", [real(1, 2, 2, 2, 3)], both=partial(_padded, (2, 1, 1, 1, 0, 1), "reflect")),
    Row("contiguous", [real(2, 3)], both=lambda lib, x: x.t().contiguous()),
    Row("view_as_type", [real(2, 2)], both=lambda lib, x: x.view(lib.int64)),
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
    *(
        Row(op, [real(*x), real(*source)], both=_into_part(name, dim, index, *part))
        for op, name in (("scatter_add", "scatter_add"), ("_scatter", "scatter"))
        for x, source, dim, index, part in (
            ((2, 3), (2, 4), 1, [[0, 2]], (slice(1), slice(2))),
            ((), (1,), 0, 0, ()),
            ((1,), (), 0, [0], ()),
            ((2, 3), (2, 4), 0, np.zeros(0, np.int64), (slice(0),)),
        )
    ),
    Row("embedding", [real(4, 3), data([[0, 3], [0, 1]])], both=_rows),
    Row("embedding", [real(4, 3), data(2)], both=_rows),
    Row(
        "embedding",
        [data(np.eye(4, 3)), data([[0, 3], [0, 1]])],
        both=partial(_rows, padding_idx=0),
    ),
    Row("add_rows", [real(2, 2, 3), data([[0, 3], [0, 1]])], both=_add_rows),
    Row("add_rows", [real(2, 2, 3), data([[0, 3], [0, 1]])], both=_add_rows_but_the_last),
    Row("gather", [real(3)], both=lambda lib, x: x.gather(0, lib.tensor(1))),
    Row("gather", [real()], both=lambda lib, x: x.gather(0, lib.tensor([0, 0]))),
    Row("_scatter", [real(2, 3), real(2, 2)], both=_scattered(1, [[0, 2], [2, 1]])),
    Row("_scatter", [real(2, 3), real(1, 3)], both=_scattered(-2, [[1, 0, 1]])),
    Row("_scatter", [real(3), real(0)], both=_scattered(0, np.zeros(0, np.int64))),
    Row("_scatter", [real(), real()], both=_scattered(0, 0)),
    Row("_scatter", [real(2, 3)], both=lambda lib, x: x.scatter(1, lib.tensor([[0, 0]]), 2.5)),
    Row("_scatter", [real(3)], both=lambda lib, x: x.scatter(0, lib.tensor([1]), value=-1)),
    *(
        Row("_scatter_extreme", [Sample(shape), Sample(source)], both=_reduced(dim, index, *how))
        for how in (("amax",), ("amin",), ("amax", False), ("amin", False))
        for shape, source, dim, index in (
            ((3, 4), (2, 4), 0, [[0, 2, 0, 1], [0, 1, 2, 1]]),
            ((3, 2), (3, 3), -1, [[1, 0, 1], [0, 0, 0], [1, 1, 1]]),
        )
    ),
    *(
        Row(
            "_scatter_extreme",
            [data(values), data([2.0, 2.0, 3.0, 1.0, 1.0])],
            both=_reduced(0, [1, 1, 2, 0, 2], *how),
        )
        for values, how in (
            ([1.0, 2.0, 3.0], ("amax",)),
            ([1.0, 2.0, 3.0], ("amin",)),
            ([4.0, 4.0, 4.0], ("amax", False)),
        )
    ),
    Row("_scatter_extreme", [real(1, 3), real(2, 4)], both=_largest_of_part),
    *(
        Row(op, [real(3, 4), real(2, 4)], both=_reduced(0, [[0, 2, 0, 1], [0, 1, 2, 1]], *how))
        for op, name in (("scatter_add", "sum"), ("scatter_add", "mean"), ("index_put", "prod"))
        for how in ((name,), (name, False))
    ),
    Row("index_put", [real(3, 4), truth(3, 4), real(12)], both=_masked_scatter),
    Row("index_put", [real(3, 4), truth(4), real(3, 5)], both=_masked_scatter),
    Row(
        "index_put_zeros",
        [real(3, 4), real(2, 1)],
        both=lambda lib, x, v: x.index_put((lib.tensor([1, 1]),), v, accumulate=True),
    ),
    *(
        Row("getitem", [Sample(shape)], both=_by_index("index_select", dim, index))
        for shape, dim, index in (
            ((3, 4), 0, _TWICE),
            ((3, 4), -1, _TWICE),
            ((2, 3, 2), 1, np.array([2])),
            ((3,), 0, np.array(2)),
            ((), 0, np.array([0])),
            ((3, 0), 0, _TWICE),
            ((3, 4), 1, np.array([], dtype=np.int64)),
        )
    ),
    *(
        Row(op, [Sample(shape), Sample(source)], both=_by_index(name, dim, index))
        for op, name in (("_index_add", "index_add"), ("index_put", "index_copy"))
        for shape, source, dim, index in (
            ((3, 4), (2, 4), 0, np.array([2, 0])),
            ((3, 4), (3, 3), -1, np.array([1, 3, 0])),
            ((3,), (0,), 0, np.array([], dtype=np.int64)),
        )
    ),
    Row("_index_add", [real(3, 2), real(3, 2)], both=_by_index("index_add", 0, _TWICE)),
    Row("_index_add", [real(3), real(3)], both=_by_index("index_add", 0, _TWICE, alpha=3)),
    Row("index_put", [real(3, 4)], both=_by_index("index_fill", 1, _TWICE, 2.5)),
    Row("index_put", [real(3, 4), real()], both=_filled_with),
    Row("index_put", [real()], both=_by_index("index_fill", 0, np.array([0]), 2.5)),
    Row("getitem", [real(3, 4), truth(3, 4)], both=lambda lib, x, m: lib.masked_select(x, m)),
    Row("getitem", [real(3, 1), truth(4)], both=lambda lib, x, m: x.masked_select(m)),
    Row("getitem", [real(), truth(3)], both=lambda lib, x, m: x.masked_select(m)),
    Row("getitem", [real(3, 4)], both=lambda lib, x: x.take(lib.tensor([[0, 11], [-1, 0]]))),
    Row("getitem", [real()], both=lambda lib, x: lib.take(x, lib.tensor(0))),
    Row("gather", [real(2, 3)], both=_along_dim([[0, -1]], 1)),
    Row("gather", [real(1, 3)], both=_along_dim([[0, 0, 2], [1, 2, 0]], -1)),
    Row("gather", [real(6)], both=_along_dim([[0, 5], [5, 1]], None)),
    # sort
    *(Row("argsort", [Sample(shape)], *static) for shape in SHAPES for static in ((), (0, True))),
    *(
        Row("gather", [Sample(shape)], both=partial(_sorted, dim=dim, descending=descending))
        for shape in (*SHAPES, (2, 3, 2))
        for dim, descending in ((-1, False), (0, True))
    ),
    Row("gather", [data(_TIES)], both=partial(_sorted, dim=-1, descending=False)),
    Row("gather", [data(_TIES)], both=partial(_sorted, dim=-1, descending=True)),
    Row("argsort", [data(_TIES)], both=lambda lib, x: x.argsort(descending=True, stable=True)),
    Row("argsort", [truth(2, 5)], both=lambda lib, x: x.argsort(stable=True, descending=True)),
    *(
        Row("gather", [Sample(shape)], both=lambda lib, x, a=arguments: lib.topk(x, *a))
        for shape, arguments in (
            ((3, 4), (2,)),
            ((3, 4), (3, 0, False)),
            ((3, 4), (0, 1)),
            ((), (1,)),
            ((2, 0), (1, 0)),
        )
    ),
    *(
        Row("_unique", [whole(2, 5, high=4)], both=partial(_unique, dim=dim))
        for dim in (None, 0, -1)
    ),
    Row("_unique", [whole(high=4)], both=partial(_unique, dim=None)),
    Row("_unique", [whole(0, high=4)], both=partial(_unique, dim=None)),
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
    Row("amax", [data([1.0, np.nan, 3.0, np.nan])], both=lambda lib, x: lib.max(x)),
    Row("amin", [data([1.0, np.nan, 3.0, np.nan])], both=lambda lib, x: lib.min(x)),
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
        Row(name, [sample], *static)
        for name in ("cumsum", "cumprod", "logcumsumexp")
        for sample, static in (
            (real(3, 4), (0,)),
            (real(2, 5), (-1,)),
            (real(2, 3, 2), (1,)),
            (real(), (0,)),
            (real(1), (0,)),
            (real(2, 0), (1,)),
            (real(0, 3), (1,)),
        )
    ),
    *(
        Row(name, [data(values)], 0)
        for name in ("prod", "cumprod")
        for values in ([2.0, 0.0, 3.0, 0.5], [0.0, 2.0, 0.0], [0.0], [3.0, 0.5, 0.0])
    ),
    Row("logcumsumexp", [data([[90.0, -90.0, 91.0], [-70.0, 0.0, -1.0]])], 1),
    Row("logcumsumexp", [data([1.0, -np.inf, 2.0])], 0),
    Row("logcumsumexp", [data([-np.inf, -np.inf, 1.0, 0.0])], both=_after_nothing),
    Row("logcumsumexp", [data([-1.0, 0.0])], 0),
    *(
        Row("prod", [sample], *static)
        for sample, static in (
            (real(3, 4), ()),
            (real(3, 4), (0,)),
            (real(3, 4), (1,)),
            (real(2, 3, 2), (-2, True)),
            (real(), ()),
            (real(), (0,)),
            (real(0), ()),
            (real(0, 3), (0,)),
        )
    ),
    Row("prod", [data([[1.0, 0.0, 3.0], [4.0, 5.0, 6.0]])]),
    Row("prod", [data([[1.0, 0.0, 3.0], [0.0, 0.0, 6.0]])]),
    Row("prod", [data([[1.0, 0.0, 3.0], [4.0, 5.0, 6.0], [0.0, 0.0, 2.0]])], 1),
    Row("prod", [data([[1.0, 0.0, 3.0], [4.0, 5.0, 6.0]])], -1),
    Row("prod", [data(0.0)]),
    Row("prod", [data(0.0)], 0),
    *(
        Row(f"_{name}", [sample], both=partial(_spread, name, *static, **named))
        for name in ("var", "std")
        for sample, static, named in (
            (real(3, 4), (), {}),
            (real(3, 4), (0,), {}),
            (real(2, 3, 2), ((0, -1),), {"keepdim": True}),
            (real(3, 4), (1,), {"correction": 0}),
            (real(3, 4), (1,), {"correction": 2.5}),
            (real(3, 4), (False,), {}),
            (real(3, 4), (0, False, True), {}),
            (real(1, 3), (1,), {"unbiased": False}),
            (data([[2.0, 2.0], [1.0, 3.0]]), (1,), {}),
        )
    ),
    *(
        Row(f"_{name}", [sample], both=partial(_spread_of_few, name, correction))
        for name in ("var", "std")
        for sample, correction in (
            (real(3, 1), 1),
            (data([[1.0, 3.0], [2.0, 2.0], [5.0, 2.0]]), 2),
            (data([[1.0, 3.0], [2.0, 2.0], [5.0, 2.0]]), 3),
        )
    ),
    *(
        Row("_median", [sample], both=lambda lib, x: lib.median(x))
        for sample in (
            real(3, 4),
            real(5),
            real(),
            data([3.0, 1.0, 3.0, 3.0, 7.0]),
            data([1.0, np.nan, 2.0, np.nan]),
        )
    ),
    *(
        Row("gather", [sample], both=partial(_middle, *static))
        for sample, static in (
            (real(3, 4), (0,)),
            (real(3, 4), (-1, True)),
            (real(2, 5, 2), (1,)),
            (real(), (0,)),
            (real(3, 0), (0,)),
            (data([[1.0, np.nan, 2.0], [3.0, 1.0, 2.0]]), (1,)),
        )
    ),
    Row("_median_index", [real(3, 5)], both=lambda lib, x: lib.median(x, 1).indices),
    Row("_median_index", [data([5, 2, 9, 1])], both=lambda lib, x: lib.median(x, 0).indices),
    *(
        Row("_vector_norm", [sample], *static, torch=_torch_vector_norm)
        for sample, static in (
            (real(3, 4), ()),
            *((real(3, 4), (p, 1)) for p in (2, 1, 3, 2.5, 1.5, 0.5, -1, np.inf, -np.inf)),
            (real(2, 3, 2), (2, (0, -1), True)),
            (real(2, 3, 2), (np.inf, (0, 2))),
            (real(), (2,)),
            (real(0, 3), (2, 0)),
            (real(0, 3), (1, 0)),
            (data([[0.0, 0.0], [3.0, 4.0]]), (2, 1)),
            (data([[0.0, 0.0], [3.0, -4.0]]), (1, 1)),
            (data([[0.0, 2.0], [-2.0, 2.0]]), (np.inf, 1)),
        )
    ),
    *(
        Row("_vector_norm", [data(values)], ord, 1, torch=_torch_vector_norm, once=ord == 2.5)
        for values, orders in (
            (
                [[0.0, 0.0], [1.0, 0.0], [0.0, -2.0], [1.0, 2.0]],
                (1, 2, 3, 2.5, 1.5, 0.5, -1, np.inf, -np.inf),
            ),
            ([[np.nan, 1.0], [np.nan, np.nan], [1.0, 2.0]], (np.inf, -np.inf)),
        )
        for ord in orders
    ),
    Row("_vector_norm", [real(3, 4)], 0, 1, torch=_torch_vector_norm),
    Row("_vector_norm", [data([[0.0, 2.0]])], both=lambda lib, x: lib.norm(x, 0, 1)),
    *(
        Row("_vector_norm", [real(3, 4)], both=partial(_matrix_norm, *static))
        for static in ((), (1,), (-1,), (np.inf,), (-np.inf,), ("fro",), (3, 0), (1, (1, 0), True))
    ),
    *(
        Row("_vector_norm", [real(3, 4)], both=partial(_norm, *static))
        for static in ((), (1,), ("fro", 0), (3, (0, 1)), (2, 1, True), (np.inf,))
    ),
    *(
        Row("svd", [real(*shape)], both=partial(_matrix_norm, *static))
        for shape in ((3, 3), (4, 2), (2, 5), (2, 3, 4))
        for static in (("nuc", (-2, -1)), (2, (-1, -2)), (-2, (-2, -1), True))
    ),
    Row("svd", [real(3, 4)], both=partial(_norm, "nuc")),
    Row("svd", [real(3, 2, 4)], both=partial(_norm, "nuc", (0, 2), True)),
    Row("svd", [real(0, 3)], both=partial(_matrix_norm, "nuc")),
    *(Row("svd", [real(*shape)], both=_through_svd) for shape in ((3, 3), (4, 2), (2, 4))),
    Row("amin", [real(3, 4)], both=lambda lib, x: lib.aminmax(x)[0]),
    Row("amax", [data([[1.0, 3.0, 3.0]])], both=lambda lib, x: x.aminmax(dim=1, keepdim=True)[1]),
    Row("sum", [data([[0.0, 3.0], [1.0, 0.0]])], both=lambda lib, x: lib.count_nonzero(x)),
    Row("sum", [data([[0.0, 3.0], [1.0, 0.0]])], both=lambda lib, x: x.count_nonzero((0, 1))),
    *(
        Row(name, [sample], both=partial(_in_type, name, kind))
        for name in ("sum", "prod")
        for sample, kind in ((real(2, 3), "float64"), (whole(2, 3, high=4), "int32"))
    ),
    Row("mean", [real(2, 3)], both=partial(_in_type, "mean", "float64")),
    Row("mean", [whole(2, 3, high=4)], both=partial(_in_type, "mean", "float32")),
    *(
        Row(name, [real(2, 3)], both=partial(_along_in_type, name))
        for name in ("cumsum", "cumprod")
    ),
    *(Row(name, [truth(2, 3)], ()) for name in ("any", "all")),
    *(Row(name, [data(np.array([1, 0, 2], np.uint8))], 0) for name in ("any", "all")),
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
    *(
        Row("matmul", [Sample(a), Sample(b)], both=_named(name))
        for name, a, b in (
            ("mm", (2, 3), (3, 4)),
            ("mm", (0, 3), (3, 2)),
            ("bmm", (2, 3, 4), (2, 4, 2)),
            ("bmm", (0, 3, 4), (0, 4, 2)),
            ("mv", (2, 3), (3,)),
            ("mv", (2, 0), (0,)),
            ("dot", (3,), (3,)),
            ("dot", (0,), (0,)),
            ("outer", (2,), (3,)),
            ("outer", (0,), (3,)),
        )
    ),
    *(
        Row("matmul", [Sample(c), Sample(a), Sample(b)], both=_named(name, **factors))
        for name, c, a, b in (
            ("addmm", (2, 4), (2, 3), (3, 4)),
            ("addmm", (4,), (2, 3), (3, 4)),
            ("addmv", (2,), (2, 3), (3,)),
            ("addmv", (), (2, 3), (3,)),
            ("baddbmm", (2, 3, 2), (2, 3, 4), (2, 4, 2)),
            ("baddbmm", (3, 1), (2, 3, 4), (2, 4, 2)),
            ("addbmm", (3, 2), (2, 3, 4), (2, 4, 2)),
            ("addbmm", (1,), (2, 3, 4), (2, 4, 2)),
        )
        for factors in ({}, {"beta": 2, "alpha": 3}, {"beta": 0}, {"alpha": 0})
    ),
    *(  # in the row of `matmul`, as torch multiplies copies here too
        Row("matmul", [Sample(a), Sample(b)], both=_named("kron"))
        for a, b in (((2, 3), (3, 2)), ((2,), (1, 3)), ((), (2, 2)), ((2, 0), (3, 1)))
    ),
    *(
        Row("mul", [Sample(c), Sample(a), Sample(b)], both=_named("addr", **factors))
        for c, a, b in (((3, 2), (3,), (2,)), ((), (3,), (1,)))
        for factors in ({}, {"beta": 2, "alpha": 3}, {"beta": 0})
    ),
    Row("sum", [real(3, 4)], both=_named("trace")),
    Row("sum", [real(3, 2)], both=_named("trace")),
    Row("sum", [real(0, 2)], both=_named("trace")),
    *(
        Row("matmul", [Sample(shape) for shape in shapes], both=_einsum(equation))
        for equation, *shapes in (
            ("ij,jk->ik", (2, 3), (3, 4)),
            ("ij,jk", (2, 3), (3, 4)),
            ("ij,kj->ki", (2, 3), (4, 3)),
            (" b i j , b j k -> b i k ", (2, 3, 2), (2, 2, 3)),
            ("bij,bkj->ik", (2, 3, 4), (2, 2, 4)),
            ("i,j->ij", (2,), (3,)),
            ("i,i->", (3,), (3,)),
            ("i,i", (3,), (3,)),
            ("i,i->i", (3,), (3,)),
            ("ij,ij->j", (3, 4), (3, 4)),
            ("ij,k->k", (2, 3), (4,)),
            ("ij->ji", (2, 3)),
            ("ba", (2, 3)),
            ("ij->", (2, 3)),
            ("ij->j", (2, 3)),
            ("ii->i", (3, 3)),
            ("ii", (3, 3)),
            ("iij->ij", (2, 2, 3)),
            ("ijij->ji", (2, 3, 2, 3)),
            ("iji,j->i", (2, 3, 2), (3,)),
            ("...ij,...jk->...ik", (2, 1, 2, 3), (4, 3, 2)),
            ("...ij,...jk", (2, 2, 3), (3, 2)),
            ("i...->...", (2, 3)),
            ("...i->i", (2, 3)),
            ("...,...->...", (3, 1), (2,)),
            ("i...j,j->i...", (2, 3, 4), (4,)),
            ("b...,b->...b", (2, 3), (2,)),
            ("ij,jk->ik", (3, 1), (4, 2)),
            ("ij,jk->ij", (3, 1), (4, 2)),
            ("ij,jk,kl->il", (2, 3), (3, 2), (2, 4)),
            ("i,,j->ij", (2,), (), (3,)),
            ("bn,anm,bm->ba", (2, 3), (4, 3, 2), (2, 2)),
            ("aB,Bc", (2, 3), (3, 2)),
            ("->", ()),
            (",", (), ()),
            ("ij,jk->ik", (2, 0), (0, 3)),
            ("bij,bjk->bik", (0, 2, 3), (0, 3, 2)),
        )
    ),
    Row("matmul", [real(2, 2)], both=lambda lib, x: lib.einsum("ij,jk->ik", x, x)),
    Row(
        "matmul",
        [real(2, 3), real(3, 2)],
        both=lambda lib, a, b: lib.einsum(a, [0, 1], b, [1, 2], [2, 0]),
    ),
    Row(
        "matmul",
        [real(4, 2, 3), real(3, 2)],
        both=lambda lib, a, b: lib.einsum(a, [..., 30, 1], b, [1, 2]),
    ),
    *(
        Row("matmul", [Sample(a), Sample(b)], both=_named("tensordot", dims))
        for a, b, dims in (
            ((2, 3), (3, 4), 1),
            ((2, 3), (3, 4), 0),
            ((2, 3, 4), (3, 4, 2), 2),
            ((2, 3), (2, 3), 2),
            ((2, 3, 4), (4, 5, 2), ([0, 2], [2, 0])),
            ((2, 3, 4), (4, 5, 2), ([-1], [0])),
            ((2, 1), (4, 2), 1),
            ((2, 0), (0, 3), 1),
        )
    ),
    # conv
    *(
        Row("_conv", [Sample(x), Sample(w), Sample(w[:1])], both=_convolved(**options))
        for x, w, options in (
            ((2, 3, 5), (4, 3, 2), {}),
            ((3, 5), (4, 3, 2), {}),
            ((2, 3, 7), (2, 3, 3), {"stride": 2, "padding": 1}),
            ((2, 2, 9), (2, 2, 3), {"stride": 3, "dilation": 2, "padding": 2}),
            ((1, 2, 5), (2, 2, 3), {"padding": "same"}),
            ((1, 2, 6), (2, 2, 3), {"padding": "same", "dilation": 2}),
            ((1, 2, 5), (2, 2, 5), {"padding": "valid"}),
            ((2, 4, 5), (6, 2, 2), {"groups": 2}),
            ((1, 3, 4), (6, 1, 2), {"groups": 3, "stride": (2,), "padding": [1]}),
            ((0, 2, 5), (3, 2, 2), {}),
            ((1, 1, 1), (1, 1, 1), {}),
        )
    ),
    Row("_conv", [real(2, 2, 5), real(3, 2, 2)], both=_convolved()),
    Row("_conv_input", [real(2, 4, 3), real(4, 1, 3)], both=_conv_input),
    Row("_conv_weight", [real(2, 2, 6), real(2, 4, 3)], both=_conv_weight),
    # attention and similarity
    *(
        Row("softmax", [real(*b, 3, 4), real(*b, 5, 4), real(*b, 5, 2)], both=_attention(**options))
        for b, options in (
            ((2,), {}),
            ((), {"is_causal": True}),
            ((2, 2), {"is_causal": True, "scale": 0.3}),
            ((1,), {"scale": -2.0}),
        )
    ),
    Row(
        "softmax",
        [real(2, 3, 4), real(2, 5, 4), real(2, 5, 2), truth(3, 5)],
        both=_attention(),
    ),
    Row(
        "softmax",
        [real(3, 4), real(2, 4), real(2, 2), data(_FEW)],
        both=_attention(),
    ),
    Row("softmax", [real(3, 4), real(2, 4), real(2, 2), real(3, 2)], both=_attention()),
    Row(
        "softmax",
        [real(2, 4, 3, 2), real(2, 2, 3, 2), real(2, 2, 3, 3)],
        both=_attention(enable_gqa=True),
    ),
    *(
        Row("_vector_norm", [real(3, 4)], both=_functional("normalize", *arguments))
        for arguments in ((), (1.0,), (3.0, 0), (2.0, (0, 1)), (float("inf"), -1))
    ),
    Row("_vector_norm", [data(np.zeros((2, 3)))], both=_functional("normalize")),
    *(
        Row("_vector_norm", [Sample(a), Sample(b)], both=_functional("cosine_similarity", dim=dim))
        for a, b, dim in (((2, 3), (2, 3), 1), ((2, 3), (3,), -1), ((2, 1, 3), (4, 1), 0))
    ),
]
