"""dtypes, their limits, and what happens to numbers that do not fit: as in torch."""

import itertools
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinytensor as tt

torch = pytest.importorskip("torch")

DTYPES = [
    "bool", "uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64",
    "float16", "float32", "float64",
]  # fmt: skip
FLOATS = ["float16", "float32", "float64"]
INTEGERS = [name for name in DTYPES if "int" in name]


def outcome(call: Callable[[Any], Any], lib: Any) -> Any:
    """What a call gives, made comparable, or the type of what it raises."""
    try:
        result = call(lib)
    except (RuntimeError, TypeError, ValueError, OverflowError, NotImplementedError) as error:
        return type(error)
    if hasattr(result, "tolist"):
        return str(result.dtype).split(".")[1], repr(result.tolist())
    return repr(result).replace("tinytensor.", "torch.")


@pytest.mark.parametrize("name", DTYPES)
def test_a_dtype_knows_its_kind_and_size(name: str) -> None:
    ours, theirs = getattr(tt, name), getattr(torch, name)
    assert repr(ours) == f"tinytensor.{name}"
    for attribute in ("is_floating_point", "is_complex", "is_signed", "itemsize"):
        assert getattr(ours, attribute) == getattr(theirs, attribute)
    for lib in (tt, torch):
        x = lib.ones(2, dtype=getattr(lib, name))
        assert x.is_floating_point() == theirs.is_floating_point
        assert lib.is_floating_point(x) == theirs.is_floating_point
        assert x.is_signed() == theirs.is_signed
        assert not x.is_complex()
        assert not lib.is_complex(x)
        assert (x.itemsize, x.element_size(), x.nbytes) == (theirs.itemsize,) * 2 + (
            2 * theirs.itemsize,
        )


@pytest.mark.parametrize("name", FLOATS)
def test_finfo_is_that_of_torch(name: str) -> None:
    ours, theirs = tt.finfo(getattr(tt, name)), torch.finfo(getattr(torch, name))
    for attribute in (
        "bits", "eps", "max", "min", "resolution", "smallest_normal", "tiny", "dtype",
    ):  # fmt: skip
        assert getattr(ours, attribute) == getattr(theirs, attribute)
        assert type(getattr(ours, attribute)) is type(getattr(theirs, attribute))
    assert repr(ours) == repr(theirs)
    assert ours == tt.finfo(getattr(tt, name))
    assert ours != tt.iinfo(tt.int8)


@pytest.mark.parametrize("name", INTEGERS)
def test_iinfo_is_that_of_torch(name: str) -> None:
    ours, theirs = tt.iinfo(getattr(tt, name)), torch.iinfo(getattr(torch, name))
    for attribute in ("bits", "max", "min", "dtype"):
        assert getattr(ours, attribute) == getattr(theirs, attribute)
    assert repr(ours) == repr(theirs)
    assert ours == tt.iinfo(getattr(tt, name))
    assert len({ours, tt.iinfo(getattr(tt, name))}) == 1


def test_finfo_without_a_type_is_that_of_the_default() -> None:
    for lib in (torch, tt):
        assert lib.finfo().dtype == "float32"
        lib.set_default_dtype(lib.float64)
        assert lib.finfo().dtype == "float64"
        assert lib.finfo(float).bits == 64
        assert lib.iinfo(int).bits == 64


@pytest.mark.parametrize("name", DTYPES)
def test_can_cast_is_the_table_of_torch(name: str) -> None:
    for other in DTYPES:
        ours = tt.can_cast(getattr(tt, name), getattr(tt, other))
        assert ours == torch.can_cast(getattr(torch, name), getattr(torch, other)), other


OPERANDS: list[Callable[[Any], Any]] = [
    lambda lib: True,
    lambda lib: 2,
    lambda lib: 1.5,
    lambda lib: lib.tensor(True),
    lambda lib: lib.tensor(1, dtype=lib.int8),
    lambda lib: lib.tensor(1.0, dtype=lib.float64),
    lambda lib: lib.ones(2, dtype=lib.bool),
    lambda lib: lib.ones(2, dtype=lib.uint8),
    lambda lib: lib.ones(2, dtype=lib.float16),
    lambda lib: lib.ones(2),
]


def test_result_type_is_that_of_torch_for_all_pairs_of_tensors_and_numbers() -> None:
    for first, second in itertools.product(OPERANDS, OPERANDS):
        ours, theirs = (
            outcome(lambda lib: lib.result_type(first(lib), second(lib)), lib)  # noqa: B023
            for lib in (tt, torch)
        )
        assert ours == theirs


REFUSED: list[tuple[type[Exception], Callable[[Any], Any]]] = [
    (TypeError, lambda lib: lib.finfo(lib.int32)),
    (TypeError, lambda lib: lib.finfo(3)),
    (TypeError, lambda lib: lib.iinfo(lib.float32)),
    (TypeError, lambda lib: lib.iinfo(lib.bool)),
    (TypeError, lambda lib: lib.iinfo()),
    (TypeError, lambda lib: lib.can_cast(1, lib.float16)),
    (TypeError, lambda lib: lib.result_type("a", 1)),
    (TypeError, lambda lib: lib.zeros(2, dtype="float32")),
    (TypeError, lambda lib: lib.zeros(2, dtype=3)),
    (TypeError, lambda lib: lib.is_floating_point(1)),
    (TypeError, lambda lib: lib.numel(1)),
    (ValueError, lambda lib: lib.ones(1).type("float64")),
    (ValueError, lambda lib: lib.ones(1).type(float)),
    (TypeError, lambda lib: lib.LongTensor(2.5)),
    (TypeError, lambda lib: lib.LongTensor(lib.ones(2))),
]


@pytest.mark.parametrize(("kind", "call"), REFUSED)
def test_what_torch_refuses_is_refused(kind: type[Exception], call: Callable[[Any], Any]) -> None:
    for lib in (torch, tt):
        with pytest.raises(kind):
            call(lib)


@pytest.mark.parametrize("name", [name for name in DTYPES if name[:4] != "uint" or name[4:] == "8"])
def test_type_gives_the_old_name_of_the_type_and_takes_it(name: str) -> None:
    ours, theirs = (lib.ones(2, dtype=getattr(lib, name)) for lib in (tt, torch))
    assert ours.type() == theirs.type()
    assert tt.ones(2, dtype=tt.float64).type(ours.type()).dtype is ours.dtype


def test_the_old_constructors_make_tensors_of_their_type() -> None:
    for lib in (torch, tt):
        assert lib.LongTensor([1, 2]).tolist() == [1, 2]
        assert lib.LongTensor([1.5]).dtype is lib.int64
        assert lib.FloatTensor(2, 3).shape == (2, 3)
        assert lib.DoubleTensor([1]).dtype is lib.float64
        assert isinstance(lib.ones(1), lib.FloatTensor)
        assert not isinstance(lib.ones(1), lib.LongTensor)
        x = lib.ones(2)
        lib.FloatTensor(x)[0] = 5
        assert x.tolist() == [5, 1]


# -- numbers that do not fit

STORED = [
    0, 1, -1, 255, 256, -255, -256, 127, 128, -128, -129, 300, -300, 2**31, 2**62, 1.7, 255.5, -0.5,
    -1.5, 127.5, 1e300, 70000, 3.4e38, 3.5e38, float("inf"), float("-inf"), float("nan"), True,
]  # fmt: skip
PLACES = ["bool", "uint8", "int8", "int32", "int64", "float16", "float32", "float64"]
# Two elements: filling a single one of float16 gives inf in torch where two are refused.
STORES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "full": lambda lib, number, kind: lib.full((2,), number, dtype=kind),
    "tensor": lambda lib, number, kind: lib.tensor(number, dtype=kind),
    "tensor of a list": lambda lib, number, kind: lib.tensor([number, 0], dtype=kind),
    "fill_": lambda lib, number, kind: lib.ones(2, dtype=kind).fill_(number),
    "full_like": lambda lib, number, kind: lib.full_like(lib.ones(2, dtype=kind), number),
    "masked_fill": lambda lib, number, kind: lib.ones(2, dtype=kind).masked_fill(
        lib.tensor([True, False]), number
    ),
    "setitem": lambda lib, number, kind: _set(lib.ones(2, dtype=kind), number),
}


def _set(x: Any, number: Any) -> Any:
    x[:] = number
    return x


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("place", PLACES)
def test_a_number_is_stored_wrapped_or_refused_as_in_torch(place: str, store: str) -> None:
    found, expected = {}, {}
    for number in STORED:
        found[number], expected[number] = (
            outcome(lambda lib: STORES[store](lib, number, getattr(lib, place)), lib)  # noqa: B023
            for lib in (tt, torch)
        )
    assert found == expected


LARGE: list[Callable[[Any], Any]] = [
    lambda lib: lib.tensor(2**63),
    lambda lib: lib.tensor([2**64]),
    lambda lib: lib.tensor(-(2**63) - 1),
    lambda lib: lib.tensor(2**63, dtype=lib.uint64),
    lambda lib: lib.tensor(2**64, dtype=lib.uint64),
    lambda lib: lib.tensor(-1, dtype=lib.uint64),
    lambda lib: lib.tensor(2**70, dtype=lib.float64),
    lambda lib: lib.tensor(9.3e18, dtype=lib.int64),
    lambda lib: lib.full((1,), 2**63),
    lambda lib: lib.full((1,), 2**64),
    lambda lib: lib.full((1,), -(2**63) - 1),
    lambda lib: lib.full((1,), 2**63, dtype=lib.float32),
]


@pytest.mark.parametrize("call", LARGE)
def test_an_integer_beyond_64_bits_is_refused_as_in_torch(call: Callable[[Any], Any]) -> None:
    assert outcome(call, tt) == outcome(call, torch)


ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "x + n": lambda x, n: x + n,
    "x - n": lambda x, n: x - n,
    "n - x": lambda x, n: n - x,
    "x * n": lambda x, n: x * n,
    "x & n": lambda x, n: x & n,
    "x.add_(n)": lambda x, n: x.add_(n),
    "x ** n": lambda x, n: x**n if n > 0 else x,
}


@pytest.mark.parametrize("operation", ARITHMETIC)
@pytest.mark.parametrize("place", ["uint8", "int8", "int32", "int64"])
def test_a_number_beyond_an_integer_tensor_wraps_as_in_torch(place: str, operation: str) -> None:
    for number in (300, -300, -1, 128, 2**31, 2**40 + 3, 2**63, 2**64, -(2**64)):
        ours, theirs = (
            outcome(
                lambda lib: ARITHMETIC[operation](
                    lib.tensor([1, 44], dtype=getattr(lib, place)),
                    number,  # noqa: B023
                ),
                lib,
            )
            for lib in (tt, torch)
        )
        assert ours == theirs, number


# -- questions


def test_is_tensor_and_numel() -> None:
    for lib in (torch, tt):
        assert lib.is_tensor(lib.ones(1))
        assert not lib.is_tensor(np.ones(1))
        assert lib.numel(lib.ones(2, 3)) == 6
        assert lib.is_nonzero(lib.ones(1))
        with pytest.raises(RuntimeError):
            lib.is_nonzero(lib.ones(2))


NAN, INF = float("nan"), float("inf")
VALUES = [0.0, 1.0, 1.0 + 1e-6, 1.1, -1.0, NAN, INF, -INF, 1e-9]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"equal_nan": True},
        {"rtol": 0.2},
        {"atol": 0.2, "rtol": 0.0},
        {"rtol": 0.0, "atol": 0.0},
        {"rtol": INF},
        {"atol": INF},
    ],
)
def test_isclose_is_that_of_torch_for_all_pairs(options: dict[str, Any]) -> None:
    pairs = np.array(list(itertools.product(VALUES, VALUES)))
    ours, theirs = (
        lib.isclose(lib.tensor(pairs[:, 0]), lib.tensor(pairs[:, 1]), **options).tolist()
        for lib in (tt, torch)
    )
    assert ours == theirs


QUESTIONS: list[Callable[[Any], Any]] = [
    lambda lib: lib.allclose(lib.ones(2), lib.ones(2) + 1e-9),
    lambda lib: lib.allclose(lib.ones(2), lib.ones(1) + 1e-3),
    lambda lib: lib.ones(2).allclose(lib.ones(2)),
    lambda lib: lib.ones(2).isclose(lib.ones(2, requires_grad=True)).requires_grad,
    lambda lib: lib.isclose(lib.tensor([1, 2]), lib.tensor([2, 2]), rtol=0.6),
    lambda lib: lib.isclose(lib.tensor([True]), lib.tensor([False])),
    lambda lib: lib.isclose(lib.tensor([2**53 + 1]), lib.tensor([2**53]), 0.0, 0.0),
    lambda lib: lib.tensor([0.5]).is_nonzero(),
    lambda lib: [lib.pi, lib.e, lib.inf, lib.nan != lib.nan],
    lambda lib: lib.isclose(lib.ones(2, 1), lib.ones(3)).shape,
    lambda lib: lib.allclose(lib.ones(2), lib.ones(2, dtype=lib.float64)),
    lambda lib: lib.allclose(lib.ones(2), lib.ones(3)),
    lambda lib: lib.allclose(lib.ones(2), 1.0),
    lambda lib: lib.isclose(lib.ones(2), lib.ones(2), rtol=-1),
    lambda lib: lib.isclose(lib.ones(2), lib.ones(2), atol=-1),
    lambda lib: lib.equal(lib.ones(2), lib.ones(2)),
    lambda lib: lib.equal(lib.ones(2), lib.ones(2, dtype=lib.int64)),
    lambda lib: lib.equal(lib.ones(2), lib.ones(1)),
    lambda lib: lib.equal(lib.tensor([NAN]), lib.tensor([NAN])),
    lambda lib: lib.ones(2).equal(lib.zeros(2)),
    lambda lib: lib.equal(lib.ones(2), 1),
    lambda lib: lib.equal(lib.zeros(0), lib.zeros(0)),
]


@pytest.mark.parametrize("call", QUESTIONS)
def test_allclose_and_equal_answer_as_in_torch(call: Callable[[Any], Any]) -> None:
    assert outcome(call, tt) == outcome(call, torch)


def test_every_dtype_survives_pickling() -> None:
    for kind in (getattr(tt, name) for name in DTYPES):
        assert pickle.loads(pickle.dumps(kind)) is kind
