"""An operation on two types is carried out in the type that torch would choose."""

import itertools
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinytensor as tt

torch = pytest.importorskip("torch")

DTYPES = [
    "bool", "uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64",
    "float16", "float32", "float64",
]  # fmt: skip
SHAPES = [((2,), (2,)), ((2,), ()), ((), (2,)), ((), ())]
OPERATIONS = {"+": lambda a, b: a + b, "*": lambda a, b: a * b, "/": lambda a, b: a / b}


def name(result: Any) -> str:
    return str(result.dtype).split(".")[1]


def chosen(lib: ModuleType, symbol: str, a: Any, b: Any) -> str | None:
    """The type of the result; None where torch has no rule (some unsigned types)."""
    try:
        return name(OPERATIONS[symbol](a, b))
    except RuntimeError:
        if lib is tt:
            raise
        return None


def ones(lib: ModuleType, shape: tuple[int, ...], dtype: str) -> Any:
    return lib.ones(shape, dtype=getattr(lib, dtype))


@pytest.mark.parametrize("first", DTYPES)
def test_two_tensors(first: str) -> None:
    found = {}
    expected = {}
    for second, (a, b), symbol in itertools.product(DTYPES, SHAPES, OPERATIONS):
        theirs = chosen(torch, symbol, ones(torch, a, first), ones(torch, b, second))
        if theirs is not None:
            case = f"{first}{list(a)} {symbol} {second}{list(b)}"
            expected[case] = theirs
            found[case] = chosen(tt, symbol, ones(tt, a, first), ones(tt, b, second))
    assert expected
    assert found == expected


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_tensor_and_a_number(dtype: str) -> None:
    found = {}
    expected = {}
    for shape, number, symbol in itertools.product([(2,), ()], [True, 1, 1.0], OPERATIONS):
        for swapped in (False, True):
            pair = ["x", number][:: -1 if swapped else 1]
            case = f"{dtype}{list(shape)}: {pair[0]} {symbol} {pair[1]}"
            theirs, ours = (ones(lib, shape, dtype) for lib in (torch, tt))
            result = chosen(torch, symbol, *((number, theirs) if swapped else (theirs, number)))
            if result is not None:
                expected[case] = result
                found[case] = chosen(tt, symbol, *((number, ours) if swapped else (ours, number)))
    assert expected
    assert found == expected


@pytest.mark.parametrize("default", ["float16", "float32", "float64"])
def test_a_python_float_stands_for_the_default_type(default: str) -> None:
    results = []
    for lib in (torch, tt):
        lib.set_default_dtype(getattr(lib, default))
        whole = lib.arange(3)
        results.append(
            [name(x) for x in (whole * 0.5, whole / 2, whole + 1, lib.sqrt(whole), lib.ones(2))]
        )
    assert results[0] == results[1]


def test_numpy_scalars_count_as_the_python_numbers_that_they_are() -> None:
    for lib in (torch, tt):
        x = lib.ones(2, requires_grad=True)
        for number in (np.float64(2), np.float32(2), np.int64(2), np.bool_(True)):
            for y in (x * number, x + number, x / number, x - number, x**number):
                assert name(y) == "float32"
        y = np.float64(2) * x
        assert type(y) is type(x)
        assert name(y) == "float32"
        (x * np.float64(3)).sum().backward()
        assert name(x.grad) == "float32"


def test_promotion_is_recorded_and_each_gradient_comes_in_its_own_type() -> None:
    for dtypes in itertools.product(["float16", "float32", "float64"], repeat=3):
        grads = []
        for lib in (torch, tt):
            a, b, c = (
                lib.full((3,), 0.5 + i, dtype=getattr(lib, d)).requires_grad_()
                for i, d in enumerate(dtypes)
            )
            condition = lib.tensor([True, False, True])
            (lib.where(condition, a * b, c) + lib.maximum(a, c) / b).sum().backward()
            grads.append([(name(x.grad), x.grad.tolist()) for x in (a, b, c)])
        for (ours, numbers), (theirs, expected) in zip(grads[1], grads[0], strict=True):
            assert ours == theirs
            assert numbers == pytest.approx(expected, rel=2e-3 if "float16" in dtypes else 1e-6)


@pytest.mark.parametrize("first", DTYPES)
def test_promote_types_is_the_smallest_type_that_holds_both(first: str) -> None:
    for second in DTYPES:
        try:
            theirs = torch.promote_types(getattr(torch, first), getattr(torch, second))
        except RuntimeError:
            continue
        ours = tt.promote_types(getattr(tt, first), getattr(tt, second))
        assert repr(ours).split(".")[1] == str(theirs).split(".")[1]
