"""The printed form of a tensor: PyTorch's, to the letter, worked out from a NumPy array."""

import math
from itertools import compress
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_PREFIX = "tensor("


class _Options(NamedTuple):
    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


_PROFILES = {
    "default": _Options(),
    "short": _Options(precision=2, edgeitems=2),
    "full": _Options(threshold=math.inf),
}

_options = _Options()


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Choose how tensors are printed; what is None stays as it is, except `sci_mode`.

    precision : digits after the point (default 4)
    threshold : a tensor of more elements than this is summarised (default 1000)
    edgeitems : elements shown at either end of a summarised dimension (default 3)
    linewidth : characters a line (default 80)
    profile : "default", "short" (precision 2, edgeitems 2) or "full" (never summarised), set
        before the other arguments; any other name changes nothing, as in PyTorch
    sci_mode : scientific notation always (True), never (False), or where the values call for it
        (None); every call sets it anew, as in PyTorch
    """
    global _options
    base = _options if profile is None else _PROFILES.get(profile, _options)
    numbers = {
        "precision": precision,
        "threshold": threshold,
        "edgeitems": edgeitems,
        "linewidth": linewidth,
    }
    given: dict[str, Any] = {name: value for name, value in numbers.items() if value is not None}
    _options = base._replace(**given, sci_mode=sci_mode)


def get_printoptions() -> dict[str, Any]:
    """The print options in force, as keyword arguments for `set_printoptions`."""
    return _options._asdict()


def format_tensor(
    array: NDArray[Any],
    *,
    dtype_suffix: str | None,
    requires_grad: bool = False,
    grad_fn: str | None = None,
    indent: int = 0,
) -> str:
    """`repr` of the tensor that holds `array`, such as `tensor([1., 2.], requires_grad=True)`.

    array : bool, integer or floating array of any shape; a summary reads its edges only
    dtype_suffix : the dtype as it prints (`tinytensor.float64`), None for the default dtype; int64
        and bool are named by an empty tensor only, whatever is given here
    grad_fn : name of the node that made the tensor; printed instead of `requires_grad=True`
    indent : column at which the text will start; later lines are indented by as much

    Raises TypeError for any other kind of array.
    """
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"format_tensor: expected a bool, integer or floating array, got {array.dtype}; "
            "convert it first"
        )
    options = _options
    margin = indent + len(_PREFIX)
    text = _PREFIX + _body(array, margin, options)
    last_line = (" " * indent + text).rpartition("\n")[2]
    # PyTorch counts two characters too many here, and only here.
    column = len(last_line) + 2
    for suffix in _suffixes(array, dtype_suffix, requires_grad, grad_fn, options):
        # Lines break where PyTorch's do, so its shorter name is what counts.
        length = len(suffix.replace("=tinytensor.", "=torch."))
        if column + length + 2 > options.linewidth:
            text += ",\n" + " " * margin + suffix
            column = margin + length
        else:
            text += ", " + suffix
            column += length + 2
    return text + ")"


def _suffixes(
    array: NDArray[Any],
    dtype_suffix: str | None,
    requires_grad: bool,
    grad_fn: str | None,
    options: _Options,
) -> list[str]:
    empty = array.size == 0
    suffixes = []
    if (empty and array.ndim != 1) or (not empty and options.edgeitems == 0):
        suffixes.append(f"size={array.shape}")
    # The look of the elements tells int64 and bool, where there are elements.
    if dtype_suffix is not None and (empty or array.dtype not in (np.int64, np.bool_)):
        suffixes.append(f"dtype={dtype_suffix}")
    if grad_fn is not None:
        suffixes.append(f"grad_fn=<{grad_fn}>")
    elif requires_grad:
        suffixes.append("requires_grad=True")
    return suffixes


def _body(array: NDArray[Any], indent: int, options: _Options) -> str:
    """The nested lists; `indent` is the column of the first bracket."""
    if array.size == 0:
        return "[]"
    shown = array
    edge = options.edgeitems
    if array.ndim > 0 and array.size > options.threshold:
        if edge < 1:
            return "[...]"
        shown = array[np.ix_(*[_shown_indices(size, edge) for size in array.shape])]
    parts, width = _elements(shown.ravel(), options)
    inner = array.ndim - 1
    elements_per_line = max(1, math.floor((options.linewidth - indent - inner) / (width + 2)))
    for axis in reversed(range(array.ndim)):
        count = shown.shape[axis]
        rows = [parts[start : start + count] for start in range(0, len(parts), count)]
        if count < array.shape[axis]:
            for row in rows:
                row.insert(edge, " ..." if axis == inner else "...")
        if axis == inner:
            rows = [_lines(row, elements_per_line) for row in rows]
        separator = "," + "\n" * max(1, inner - axis) + " " * (indent + axis + 1)
        parts = ["[" + separator.join(row) + "]" for row in rows]
    return parts[0]


def _shown_indices(size: int, edge: int) -> list[int]:
    """Which indices of a dimension a summary shows."""
    if size <= 2 * edge:
        return list(range(size))
    return [*range(edge), *range(size - edge, size)]


def _lines(row: list[str], elements_per_line: int) -> list[str]:
    starts = range(0, len(row), elements_per_line)
    return [", ".join(row[start : start + elements_per_line]) for start in starts]


def _elements(values: NDArray[Any], options: _Options) -> tuple[list[str], int]:
    """The text of each value, and the width to which all are aligned."""
    if values.dtype.kind == "f":
        # Zeros, infinities and nans have no say in format and width; a longer one sticks out.
        telling = np.isfinite(values) & (values != 0)
        spec = _float_spec(values[telling], options)
        texts = [format(value, spec) for value in values.tolist()]
        width = max(map(len, compress(texts, telling.tolist())), default=1)
    else:
        texts = [str(value) for value in values.tolist()]
        width = max(map(len, texts))
    return [text.rjust(width) for text in texts], width


def _float_spec(values: NDArray[Any], options: _Options) -> str:
    """The one format specification for all values, chosen by the finite, nonzero ones."""
    # "#" keeps the point: "1.".
    integral = "#.0f"
    if values.size == 0:
        return integral
    magnitudes = np.abs(values)
    # Python floats: the ratio is taken in double, whatever the dtype, and may overflow.
    smallest = float(magnitudes.min())
    largest = float(magnitudes.max())
    scientific = options.sci_mode
    if scientific is None:
        scientific = largest / smallest > 1000 or largest > 1e8 or smallest < 1e-4
    if scientific:
        return f".{options.precision}e"
    if np.all(values == np.ceil(values)):
        return integral
    return f".{options.precision}f"
