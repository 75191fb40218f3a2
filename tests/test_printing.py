"""The printed form is PyTorch's to the letter, `tinytensor.` in place of `torch.`."""

import inspect
import itertools
import math
import textwrap
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinytensor.printing import format_tensor, get_printoptions, set_printoptions

FLOATS = ("float16", "float32", "float64")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
DTYPES = (*FLOATS, *INTEGERS, "bool")
SHAPES = (
    (),
    (1,),
    (2,),
    (7,),
    (13,),
    (100,),
    (1000,),
    (1001,),
    (1, 1),
    (3, 4),
    (5, 30),
    (2, 600),
    (600, 2),
    (40, 40),
    (2, 1, 3),
    (2, 3, 4),
    (9, 12, 10),
    (2, 2, 2, 2),
    (1, 7, 1, 160),
    (2, 1, 2, 1, 2),
)
EMPTY_SHAPES = ((0,), (0, 3), (3, 0), (2, 0, 4), (0, 0))


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def default_options() -> Iterator[None]:
    set_both(profile="default")
    yield
    set_both(profile="default")


def set_both(**options: Any) -> None:
    """Set our options, and PyTorch's where it is installed."""
    set_printoptions(**options)
    try:
        import torch
    except ImportError:
        return
    torch.set_printoptions(**options)


def printed(array: np.ndarray, requires_grad: bool = False, grad_fn: str | None = None) -> str:
    """As a tensor prints itself: the dtype is passed on unless it is the default one."""
    suffix = None if array.dtype == np.float32 else f"tinytensor.{array.dtype}"
    return format_tensor(array, dtype_suffix=suffix, requires_grad=requires_grad, grad_fn=grad_fn)


def expected(tensor: Any) -> str:
    return repr(tensor).replace("torch.", "tinytensor.")


def assert_same(torch: Any, array: np.ndarray) -> None:
    assert printed(array) == expected(torch.tensor(array))


def sample(dtype: str, shape: tuple[int, ...], kind: str) -> np.ndarray:
    """Numbers of one character; the same for the same arguments."""
    rng = np.random.default_rng([DTYPES.index(dtype), *shape])
    if dtype == "bool":
        return rng.random(shape) < 0.5
    if dtype in INTEGERS:
        limits = np.iinfo(dtype)
        low, high = (limits.min, limits.max) if kind == "wide" else (max(limits.min, -9), 100)
        return rng.integers(low, high, shape, dtype, endpoint=True)
    normal = rng.standard_normal(shape)
    values = {
        "normal": normal,
        "positive": np.abs(normal) + 0.01,
        "integral": np.round(normal * 50),
        "wide": normal * 10.0 ** rng.integers(-8, 9, shape),
        "large": normal * 3e4,
        "huge": np.round(normal * 1e9),
        "tiny": normal * 1e-6,
        "zero": normal * 0.0,
        "mixed": np.where(normal > 1, [np.nan], np.where(normal < -1, -np.inf, normal)),
        "nonfinite": np.where(normal > 0, np.nan, -np.inf),
    }
    with np.errstate(over="ignore", under="ignore"):
        return values[kind].astype(dtype).reshape(shape)


FLOAT_KINDS = (
    "normal",
    "positive",
    "integral",
    "wide",
    "large",
    "huge",
    "tiny",
    "zero",
    "mixed",
    "nonfinite",
)


def kinds(dtype: str) -> tuple[str, ...]:
    if dtype in FLOATS:
        return FLOAT_KINDS
    return ("normal",) if dtype == "bool" else ("normal", "wide")


# Goldens: no torch needed.


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (1.0, "tensor(1.)"),
        (0.705, "tensor(0.7050)"),
        (-0.0, "tensor(-0.)"),
        (math.nan, "tensor(nan)"),
        (-math.inf, "tensor(-inf)"),
        (1e9, "tensor(1.0000e+09)"),
        ([1.0, 2.0], "tensor([1., 2.])"),
        ([1.0, -2.5], "tensor([ 1.0000, -2.5000])"),
        ([1.0, math.nan, math.inf], "tensor([1., nan, inf])"),
        ([0.5, math.nan, -math.inf], "tensor([0.5000,    nan,   -inf])"),
        ([1.0, 1000.0], "tensor([   1., 1000.])"),
        ([1.0, 1001.0], "tensor([1.0000e+00, 1.0010e+03])"),
        ([0.5, 0.0, 600.0], "tensor([5.0000e-01, 0.0000e+00, 6.0000e+02])"),
        # The nearest float32 to 1e-4 is below it.
        ([1e-4], "tensor([1.0000e-04])"),
        ([[0.705], [0.9573]], "tensor([[0.7050],\n        [0.9573]])"),
        (
            [[[1.0, 2.0]], [[3.0, 4.0]]],
            "tensor([[[1., 2.]],\n\n        [[3., 4.]]])",
        ),
        ([], "tensor([])"),
        ([[], []], "tensor([], size=(2, 0))"),
    ],
)
def test_float32_golden(values: Any, text: str) -> None:
    assert printed(np.array(values, np.float32)) == text


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.array([1.0, 2.0]), "tensor([1., 2.], dtype=tinytensor.float64)"),
        (np.array([1e-4]), "tensor([0.0001], dtype=tinytensor.float64)"),
        (np.array(3), "tensor(3)"),
        (np.array([1, -10, 100]), "tensor([  1, -10, 100])"),
        (np.array([True, False]), "tensor([ True, False])"),
        (np.array([7], np.uint8), "tensor([7], dtype=tinytensor.uint8)"),
        (np.zeros(0, np.int64), "tensor([], dtype=tinytensor.int64)"),
        (np.zeros((0, 3), bool), "tensor([], size=(0, 3), dtype=tinytensor.bool)"),
        (
            np.arange(2000),
            "tensor([   0,    1,    2,  ..., 1997, 1998, 1999])",
        ),
        (
            np.arange(2000).reshape(1000, 2),
            "tensor([[   0,    1],\n"
            "        [   2,    3],\n"
            "        [   4,    5],\n"
            "        ...,\n"
            "        [1994, 1995],\n"
            "        [1996, 1997],\n"
            "        [1998, 1999]])",
        ),
        (
            np.arange(30),
            "tensor([ 0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14, 15, 16, 17,\n"
            "        18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29])",
        ),
    ],
)
def test_other_dtype_golden(array: np.ndarray, text: str) -> None:
    assert printed(array) == text


def test_gradient_suffixes_golden() -> None:
    array = np.array([[0.705]], np.float32)
    assert printed(array, requires_grad=True) == "tensor([[0.7050]], requires_grad=True)"
    stacked = "tensor([[0.7050]], grad_fn=<StackBackward0>)"
    assert printed(array, grad_fn="StackBackward0") == stacked
    assert printed(array, requires_grad=True, grad_fn="StackBackward0") == stacked


def test_suffix_that_does_not_fit_goes_to_its_own_line_golden() -> None:
    array = np.linspace(0, 1, 8)
    assert printed(array, grad_fn="AddBackward0") == (
        "tensor([0.0000, 0.1429, 0.2857, 0.4286, 0.5714, 0.7143, 0.8571, 1.0000],\n"
        "       dtype=tinytensor.float64, grad_fn=<AddBackward0>)"
    )


def test_our_longer_name_does_not_move_the_line_break_golden() -> None:
    text = printed(np.linspace(0, 1, 6))
    assert text == (
        "tensor([0.0000, 0.2000, 0.4000, 0.6000, 0.8000, 1.0000], dtype=tinytensor.float64)"
    )


def test_complex_array_is_refused() -> None:
    with pytest.raises(TypeError, match="expected a bool, integer or floating array, got complex"):
        format_tensor(np.zeros(2, np.complex64), dtype_suffix=None)


@pytest.mark.parametrize("shape", [(), (5,), (40,), (3, 40), (2, 2, 3), (600, 2)])
@pytest.mark.parametrize("indent", [1, 4, 30])
def test_indent_moves_the_text_and_narrows_its_lines(shape: tuple[int, ...], indent: int) -> None:
    array = sample("float64", shape, "normal")
    for linewidth in range(40, 100):
        set_printoptions(linewidth=linewidth)
        plain = format_tensor(array, dtype_suffix="d", grad_fn="AddBackward0")
        set_printoptions(linewidth=linewidth + indent)
        moved = format_tensor(array, dtype_suffix="d", grad_fn="AddBackward0", indent=indent)
        assert " " * indent + moved == textwrap.indent(plain, " " * indent)


def test_layout_in_memory_does_not_show() -> None:
    array = sample("float32", (4, 6), "normal")
    for view in (array.T, array[::-1, ::2], np.broadcast_to(array[0], (3, 6)), array.astype(">f4")):
        plain = np.array(view, np.float32, order="C")
        assert format_tensor(view, dtype_suffix=None) == printed(plain)


def test_of_a_huge_view_only_the_edges_are_read() -> None:
    huge = np.broadcast_to(np.float32(2.5), (7, 10**6, 10**6))
    row = "[2.5000, 2.5000, 2.5000,  ..., 2.5000, 2.5000, 2.5000]"
    text = printed(huge)
    assert text.count(row) == 36
    assert text.count("...,") == 36 + 6 + 1


@pytest.mark.parametrize("dtype", FLOATS)
def test_extreme_values_cause_no_floating_point_warning(dtype: str) -> None:
    limits = np.finfo(dtype)
    signalling_nan = {"float16": 0x7D00, "float32": 0x7FA00000, "float64": 0x7FF4 << 48}[dtype]
    array = np.array(
        [limits.max, -limits.max, limits.smallest_subnormal, 0, np.inf, -np.inf, 0], dtype
    )
    array.view(f"u{array.itemsize}")[-1] = signalling_nan
    with np.errstate(all="raise"):
        assert "nan" in printed(array)


# The same text as torch.


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [*SHAPES, *EMPTY_SHAPES], ids=str)
def test_text_is_torchs(torch: Any, dtype: str, shape: tuple[int, ...]) -> None:
    for kind in kinds(dtype):
        assert_same(torch, sample(dtype, shape, kind))


@pytest.mark.parametrize("dtype", FLOATS)
def test_number_format_is_torchs_near_every_threshold(torch: Any, dtype: str) -> None:
    kind = np.dtype(dtype).type
    corners = [1e-5, 1e-4, 1e-3, 0.5, 1.0, 999.5, 1e3, 1e4, 6e4]
    if dtype != "float16":
        corners += [1e8, 1e12, 1e30]
    values = [kind(0.0)]
    for corner in corners:
        value = kind(corner)
        values += [np.nextafter(value, kind(0)), value, np.nextafter(value, kind(np.inf)), -value]
    for pair in itertools.product(values, repeat=2):
        assert_same(torch, np.array(pair))


@pytest.mark.parametrize("dtype", FLOATS)
def test_default_dtype_is_torchs(torch: Any, dtype: str) -> None:
    # Whichever dtype is the default one, the caller leaves it out.
    array = sample(dtype, (3, 3), "normal")
    torch.set_default_dtype(getattr(torch, dtype))
    try:
        assert format_tensor(array, dtype_suffix=None) == repr(torch.tensor(array))
        empty = array[:0]
        assert format_tensor(empty, dtype_suffix=None) == repr(torch.tensor(empty))
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("rows", [(), (2,)], ids=str)
def test_suffixes_break_where_torchs_do(torch: Any, dtype: str, rows: tuple[int, ...]) -> None:
    for count, linewidth in itertools.product((0, 1, 2, 6, 9, 13), range(30, 90)):
        set_both(linewidth=linewidth)
        array = sample(dtype, (*rows, count), "positive")
        leaf = torch.tensor(array, requires_grad=True)
        assert printed(array, requires_grad=True) == expected(leaf)
        for result in (leaf * 1, leaf.clone(), leaf.expand_as(leaf)):
            name = result.grad_fn.name()
            assert printed(array, requires_grad=True, grad_fn=name) == expected(result)


@pytest.mark.parametrize(
    "options",
    [
        {"precision": 0},
        {"precision": 1},
        {"precision": 8},
        {"threshold": 0},
        {"threshold": 5},
        {"threshold": math.inf},
        {"edgeitems": 0},
        {"edgeitems": 1},
        {"edgeitems": 40},
        {"edgeitems": 0, "threshold": 0},
        {"edgeitems": 2, "threshold": 0, "linewidth": 20},
        {"linewidth": 1},
        {"linewidth": 79},
        {"linewidth": 200},
        {"profile": "default"},
        {"profile": "short"},
        {"profile": "full"},
        {"sci_mode": True},
        {"sci_mode": False},
    ],
    ids=str,
)
def test_options_work_as_torchs(torch: Any, options: dict[str, Any]) -> None:
    set_both(**options)
    for shape in [(), (3,), (50,), (1001,), (3, 4), (2, 2, 3), (600, 2), (0, 2)]:
        for dtype in ("float32", "float64", "int64", "bool"):
            for kind in kinds(dtype):
                assert_same(torch, sample(dtype, shape, kind))


def test_a_negative_precision_is_torchs_error(torch: Any) -> None:
    set_both(precision=-1)
    with pytest.raises(ValueError, match=r"[Ff]ormat specifier"):
        repr(torch.tensor([0.5]))
    with pytest.raises(ValueError, match=r"[Ff]ormat specifier"):
        printed(np.array([0.5]))


def test_options_follow_one_another_as_torchs_do(torch: Any) -> None:
    from torch._tensor_str import get_printoptions as torch_options

    assert get_printoptions() == torch_options()
    for options in (
        {"precision": 6, "sci_mode": True},
        {"linewidth": 100},
        {"profile": "short"},
        {"profile": "full", "precision": 7, "sci_mode": False},
        {"profile": "unknown", "edgeitems": 9},
        {},
    ):
        set_both(**options)
        assert get_printoptions() == torch_options()


def test_signature_of_set_printoptions_is_torchs(torch: Any) -> None:
    ours = inspect.signature(set_printoptions).parameters.values()
    theirs = inspect.signature(torch.set_printoptions).parameters.values()
    assert [(p.name, p.default) for p in ours] == [(p.name, p.default) for p in theirs]


def test_saved_options_are_restored() -> None:
    before = get_printoptions()
    set_printoptions(precision=2, threshold=3, edgeitems=1, linewidth=50, sci_mode=True)
    assert get_printoptions() != before
    set_printoptions(**before)
    assert get_printoptions() == before


def test_returned_options_are_a_copy() -> None:
    get_printoptions()["precision"] = 9
    assert get_printoptions()["precision"] == 4


# Elements: everyday numbers, whole numbers, and any bit pattern (denormals, infinities, nans).
def elements(dtype: np.dtype[Any]) -> st.SearchStrategy[Any]:
    if dtype.kind != "f":
        return hnp.from_dtype(dtype)
    everyday = st.integers(-200_000, 200_000).map(lambda n: n / 100)
    whole = st.integers(-2000, 2000).map(float)
    return everyday.map(dtype.type) | whole.map(dtype.type) | hnp.from_dtype(dtype)


@st.composite
def any_array(draw: st.DrawFn) -> np.ndarray:
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=9))
    return draw(hnp.arrays(dtype, shape, elements=elements(dtype)))


@settings(max_examples=400)
@given(array=any_array())
def test_any_array_prints_as_torch(torch: Any, array: np.ndarray) -> None:
    assert_same(torch, array)


@settings(max_examples=400)
@given(
    array=any_array(),
    options=st.fixed_dictionaries(
        {
            "precision": st.integers(0, 8),
            "threshold": st.integers(0, 60),
            "edgeitems": st.integers(0, 4),
            "linewidth": st.integers(1, 120),
            "sci_mode": st.sampled_from([None, True, False]),
        }
    ),
)
def test_any_array_prints_as_torch_under_any_options(
    torch: Any, array: np.ndarray, options: dict[str, Any]
) -> None:
    set_both(**options)
    assert_same(torch, array)
