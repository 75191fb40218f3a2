"""Files: what is saved comes back, torch reads it, no hostile one gets in, none is half-written."""

import json
import math
import os
import random
import re
import stat
import struct
import subprocess
import sys
import threading
import time
import tracemalloc
from collections import Counter, OrderedDict, namedtuple
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import tinytensor as tt
from tinytensor import dtypes, io
from tinytensor.tensor import Tensor, make

ROOT = Path(__file__).parents[1]
KINDS = sorted(dtypes.BY_NUMPY, key=str)
DTYPES = pytest.mark.parametrize("dtype", KINDS, ids=str)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.safetensors"


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file for the tests that hypothesis runs many times."""
    return tmp_path_factory.mktemp("io") / "state.safetensors"


@pytest.fixture(scope="module")
def torch() -> ModuleType:
    return pytest.importorskip("torch")


@pytest.fixture(scope="module")
def torch_files(torch: ModuleType) -> ModuleType:
    return pytest.importorskip("safetensors.torch")


def round_trip(obj: Any, path: Path) -> Any:
    tt.save(obj, path)
    return tt.load(path)


def assert_same(got: Any, expected: Any) -> None:
    """Equal in type, structure, order and every bit."""
    assert type(got) is type(expected)
    if isinstance(expected, Tensor):
        assert not got.requires_grad
        assert_same(got._array, expected._array)
    elif isinstance(expected, np.ndarray | np.generic):
        assert got.dtype == expected.dtype
        assert got.shape == expected.shape
        assert got.tobytes() == expected.tobytes()
    elif isinstance(expected, list | tuple):
        assert len(got) == len(expected)
        for one, other in zip(got, expected, strict=True):
            assert_same(one, other)
    elif isinstance(expected, dict):
        assert_same(list(got.keys()), list(expected.keys()))
        assert_same(list(got.values()), list(expected.values()))
    elif isinstance(expected, float) and math.isnan(expected):
        assert math.isnan(got)
    elif isinstance(expected, float):
        assert got.hex() == expected.hex()
    else:
        assert got == expected


def filled(shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """Values that no two places share, as far as the type can tell them apart."""
    return np.arange(1, 1 + math.prod(shape)).reshape(shape).astype(dtype)


# ---- round trips ----

texts = st.text(max_size=8)
numbers = st.integers() | st.integers(-(10**40), 10**40) | st.floats() | st.booleans()
simple_keys = texts | st.sampled_from(["a", "a.b", "b", "a~2", "0", "__metadata__"]) | numbers
keys = simple_keys | st.none() | st.tuples(simple_keys, simple_keys)
arrays = st.sampled_from(KINDS).flatmap(
    lambda kind: npst.arrays(kind, npst.array_shapes(min_dims=0, min_side=0, max_side=3))
)
tensors = arrays.map(lambda array: make(array.copy()))
scalars = st.sampled_from(KINDS).flatmap(
    lambda kind: npst.arrays(kind, ()).map(lambda array: array[()])
)
leaves = st.none() | numbers | texts | st.binary(max_size=8) | arrays | tensors | scalars
objects = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(keys, inner, max_size=4)
        | st.dictionaries(keys, inner, max_size=4).map(OrderedDict)
    ),
    max_leaves=20,
)


def is_plain(obj: Any) -> bool:
    return isinstance(obj, dict) and all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in obj.items()
    )


@given(objects)
def test_any_nested_object_comes_back_exactly(scratch, obj):
    assume(not is_plain(obj))
    assert_same(round_trip(obj, scratch), obj)


@given(st.dictionaries(texts, tensors, max_size=5), st.booleans())
def test_a_state_dict_comes_back_with_its_names_and_values(scratch, state, ordered):
    got = round_trip(OrderedDict(state) if ordered else state, scratch)
    assert type(got) is dict
    assert got.keys() == state.keys()
    for name, tensor in state.items():
        assert_same(got[name], tensor)


@given(objects)
def test_the_same_object_gives_the_same_bytes(scratch, obj):
    tt.save(obj, scratch)
    first = scratch.read_bytes()
    tt.save(tt.load(scratch), scratch)
    assert scratch.read_bytes() == first


def test_equal_bytes_give_the_same_file_whether_or_not_they_are_one_object(path):
    text = b"ab" * 10
    tt.save([text, text], path)
    first = path.read_bytes()
    tt.save([text, bytes(bytearray(text))], path)
    assert path.read_bytes() == first


def test_a_state_dict_comes_in_the_order_of_the_file(path):
    names = [f"w{k:02}" for k in range(30)]
    got = round_trip({name: tt.ones(1) for name in reversed(names)}, path)
    assert list(got) == names


def test_the_bytes_do_not_hang_on_the_process(tmp_path):
    code = (
        "import sys, numpy as np, tinytensor as tt\n"
        "state = {'a': tt.ones(3), 'b': [np.arange(4), {1: 'x', 'k': 2.5}], 'c': tt.zeros(2, 2)}\n"
        "tt.save(state, sys.argv[1])\n"
    )
    contents = set()
    for seed in "123":
        target = tmp_path / seed
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run(
            [sys.executable, "-c", code, str(target)], cwd=ROOT, env=environment, check=True
        )
        contents.add(target.read_bytes())
    assert len(contents) == 1


@DTYPES
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (2, 3, 4)])
def test_every_dtype_and_shape_as_tensor_and_array(path, dtype, shape):
    array = filled(shape, dtype)
    obj = {"tensor": make(array), "array": array.copy()}
    assert_same(round_trip(obj, path), obj)
    state = {"tensor": make(array)}
    assert_same(round_trip(state, path), state)


LAYOUTS = {
    "transposed": lambda a: a.T,
    "permuted": lambda a: a.transpose(1, 2, 0),
    "Fortran order": np.asfortranarray,
    "every second": lambda a: a[:, ::2],
    "backwards": lambda a: a[::-1, :, ::-1],
    "broadcast": lambda a: np.broadcast_to(a[:1], (5, *a.shape)),
    "0-d view": lambda a: a[1, 1, 1, ...],
    "read-only": lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
    "unaligned": lambda a: np.frombuffer(b"x" + a.tobytes(), a.dtype, offset=1).reshape(a.shape),
    "other byte order": lambda a: a.astype(a.dtype.newbyteorder(">")),
}


@DTYPES
@pytest.mark.parametrize("layout", LAYOUTS)
def test_arrays_of_any_layout_are_saved_by_value(path, dtype, layout):
    array = LAYOUTS[layout](filled((4, 3, 4), dtype))
    expected = np.array(array, dtype=dtype, order="C")
    for obj in ({"w": make(array)}, [make(array)], [array]):
        got = round_trip(obj, path)
        (value,) = got.values() if isinstance(got, dict) else got
        loaded = value._array if isinstance(value, Tensor) else value
        assert_same(np.array(loaded, order="C"), expected)


@pytest.mark.parametrize(
    "obj",
    [
        {},
        [],
        (),
        OrderedDict(a=1),
        [{}, [], (), OrderedDict(), ((),)],
        {2: {}, True: 1, None: [], 2.5: "", (1, ("a", None)): 3, "": 0},
        {1: tt.ones(1), "1": tt.zeros(1)},
        {"a": {"b": tt.ones(1)}, "a.b": tt.zeros(1), "a.b~2": tt.zeros(2), "x": 0},
        {"__metadata__": tt.ones(1)},
        {"__metadata__": {"tinytensor": tt.ones(1)}, "x": "tinytensor"},
        {"tuple": [1], "list": {"tensor": "no name"}},
        {"tensor": "0"},
        [0, -0.0, math.inf, -math.inf, math.nan, 5e-324, 0.1, 1e308],
        [2**53, 2**53 + 1, -(2**64), 10**5000, -(10**5000), True, False, None],
        ["", 'é\0\n"\\\x7f\u2028', "\U0001f600", b"", b"\0\xff", "x" * 100_000],
        tt.ones(2),
        tt.tensor(3.0),
        np.float16(0.1),
        np.arange(3),
        "text",
        3,
        None,
        b"bytes",
    ],
    ids=lambda obj: repr(obj)[:40] if not isinstance(obj, list) else None,
)
def test_edges_come_back_exactly(path, obj):
    assert_same(round_trip(obj, path), obj)


def test_the_structure_is_json_that_any_reader_takes_exactly(path):
    tt.save([math.nan, -math.inf, 1e308, 2**53, 2**53 + 1, {1: np.ones(2)}], path)
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    structure = json.loads(header["__metadata__"]["tinytensor"], parse_constant=pytest.fail)
    assert structure == {
        "format": 1,
        "object": [
            {"float": "nan"},
            {"float": "-inf"},
            1e308,
            2**53,
            {"int": "0x20000000000001"},
            {"dict": [[1, {"array": "5.1"}]]},
        ],
    }


def test_floating_point_patterns_survive(path):
    bits = np.array([0x7FC00001, 0xFFC00000, 0x80000000, 1, 0x7F800000], np.uint32)
    obj = [make(bits.view(np.float32)), bits.view(np.float32)[0]]
    assert_same(round_trip(obj, path), obj)


def a_training() -> tuple[Any, Any]:
    model = tt.nn.Linear(3, 2)
    return model, tt.optim.Adam(model.parameters(), lr=0.1, betas=(0.8, 0.99))


def train(model: Any, optimiser: Any, steps: int) -> None:
    for _ in range(steps):
        optimiser.zero_grad()
        model(tt.randn(4, 3)).square().sum().backward()
        optimiser.step()


def test_training_goes_on_from_one_file_as_if_it_had_never_stopped(path):
    generator = tt.random.default_generator
    model, optimiser = a_training()
    train(model, optimiser, 3)
    state = {
        "model": model.state_dict(),
        "optimiser": optimiser.state_dict(),
        "rng": generator.state_dict(),
        "step": 3,
    }
    tt.save(state, path)
    assert_same(tt.load(path), state)
    train(model, optimiser, 3)

    resumed, resumed_optimiser = a_training()
    tt.randn(5)
    loaded = tt.load(path)
    resumed.load_state_dict(loaded["model"])
    resumed_optimiser.load_state_dict(loaded["optimiser"])
    generator.load_state_dict(loaded["rng"])
    train(resumed, resumed_optimiser, 6 - loaded["step"])
    assert_same(resumed.state_dict(), model.state_dict())


def test_tensors_of_a_nested_object_carry_their_path_as_name(path, torch_files):
    tt.save({"model": {"lstm.w": tt.ones(2)}, "state": {0: [tt.zeros(1), b"x"]}}, path)
    assert set(torch_files.load_file(path)) == {"model.lstm.w", "state.0.0", "state.0.1"}


def test_an_object_at_most_100_deep_is_saved_and_loaded(path):
    obj: Any = tt.ones(1)
    for _ in range(50):
        obj = {"k": [obj]}
    assert_same(round_trip(obj, path), obj)
    with pytest.raises(ValueError, match=r"at most 100 deep.*obj\[0\]\['k'\]\[0\]"):
        tt.save([obj], path)


def test_a_key_at_most_100_deep_is_saved_and_loaded(path):
    key: Any = "k"
    for _ in range(99):
        key = (key,)
    assert_same(round_trip({key: 1}, path), {key: 1})
    with pytest.raises(ValueError, match=r"at most 100 deep"):
        tt.save({(key,): 1}, path)
    with pytest.raises(ValueError, match=r"at most 100 deep"):
        tt.save([{key: 1}], path)


@pytest.mark.parametrize("container", [list, dict])
def test_an_object_that_contains_itself_is_refused(path, container):
    obj: Any = container()
    if container is list:
        obj.extend([obj, obj])
    else:
        obj["self"] = obj
    with pytest.raises(ValueError, match="contains itself"):
        tt.save(obj, path)


# ---- tensors in the graph, ties ----


def test_tensors_that_want_gradients_are_saved_by_value(path):
    leaf = tt.ones(2, requires_grad=True)
    result = leaf * 3
    got = round_trip({"leaf": leaf, "result": result, "n": 1}, path)
    assert_same(got, {"leaf": tt.ones(2), "result": tt.full((2,), 3.0), "n": 1})
    got = round_trip({"result": result}, path)
    assert got["result"].is_leaf
    assert result.requires_grad and leaf.requires_grad


def test_a_parameter_comes_back_as_tensor(path):
    weight = tt.nn.Parameter(tt.tensor([1.0, 2.0]))
    assert_same(round_trip({"w": weight}, path), {"w": tt.tensor([1.0, 2.0])})
    assert_same(round_trip([weight], path), [tt.tensor([1.0, 2.0])])


def test_tied_tensors_are_stored_once_and_come_back_tied(path):
    weight = tt.randn(100, 100, requires_grad=True)
    array = np.arange(5000.0)
    text = b"x" * 40_000
    obj = {
        "weights": [weight, weight, weight.detach()],
        "arrays": (array, array),
        "view": array[:3],
        "transposed": weight.detach().T,
        "texts": [text, text],
    }
    got = round_trip(obj, path)
    one, two, three = got["weights"]
    assert one is two is three
    assert got["arrays"][0] is got["arrays"][1]
    assert_same(got["view"], array[:3])
    assert not np.shares_memory(got["view"], got["arrays"][0])
    assert_same(np.array(got["transposed"]._array), np.array(weight._array.T, order="C"))
    assert path.stat().st_size < 205_000


def test_equal_tensors_that_are_not_tied_stay_apart(path):
    one, two = round_trip([tt.ones(3), tt.ones(3)], path)
    one._array[0] = 5
    assert two.tolist() == [1, 1, 1]
    made_on_the_fly = [np.float64(k) for k in range(100)]
    assert_same(round_trip(made_on_the_fly, path), made_on_the_fly)


def test_empty_arrays_are_tied_only_to_themselves(path):
    empty = np.zeros((0, 2))
    got = round_trip([empty, empty, np.zeros((0, 2)), empty[:], b"", b""], path)
    assert got[0] is got[1]
    assert len({id(array) for array in got[:4]}) == 3


def test_ties_in_a_state_dict_are_written_out_so_that_the_file_stays_plain(path, torch_files):
    weight = tt.randn(3, 2)
    tt.save({"encoder": weight, "decoder": weight}, path)
    theirs = torch_files.load_file(path)
    for name in ("encoder", "decoder"):
        assert theirs[name].tolist() == weight.tolist()
    got = tt.load(path)
    assert got["encoder"] is not got["decoder"]
    assert_same(got["decoder"], weight)


def test_loaded_arrays_are_writeable_and_have_their_own_memory(path):
    tt.save([tt.ones(2), tt.ones(3), np.ones(2, np.float32), tt.tensor([True])], path)
    got = tt.load(path)
    for value in got:
        array = value._array if isinstance(value, Tensor) else value
        array[...] = 0
    assert_same(tt.load(path)[:2], [tt.ones(2), tt.ones(3)])
    with tt.no_grad():
        got[0].add_(1)
    assert got[1].tolist() == [0, 0, 0]


# ---- what can't be saved ----


Point = namedtuple("Point", "x y")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (tt.Generator(), r"Generator at obj\['x'\]\[0\]; pass its state_dict\(\)"),
        (object(), "builtins.object at .*; convert it"),
        (1j, "complex"),
        ({1, 2}, "set"),
        (Point(1, 2), "Point .*pass tuple of it"),
        (tt.ones(2).shape, "Size .*pass tuple of it"),
        (Counter("a"), "Counter .*pass dict of it"),
        (np.ma.array([1], mask=[True]), "MaskedArray .*pass np.array of it"),
        (bytearray(b"x"), "bytearray"),
        (np.array(["a"]), r"expected an array of .*float32.*, got <U1 at obj\['x'\]\[0\]"),
        (np.array([None]), "got object"),
        (np.array([1j]), "got complex128"),
        (np.zeros(1, [("a", "f4")]), "got .*'a'"),
        (np.array(["a"], np.dtypes.StringDType()), "got StringDType"),
        (np.str_("a"), "got <U1"),
        (np.datetime64("2020-01-01"), "got datetime64"),
        ({np.int64(1): 2}, r"a key of type int64 in obj\['x'\]\[0\]"),
        ({b"a": 2}, "a key of type bytes"),
        ({(1, frozenset()): 2}, "a key of type frozenset"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_what_would_not_come_back_is_refused(path, value, message):
    with pytest.raises(TypeError, match=message):
        tt.save({"x": [value]}, path)
    assert list(path.parent.iterdir()) == []


def test_a_module_or_optimiser_itself_is_refused(path):
    model = tt.nn.Linear(1, 1)
    for obj in (model, tt.optim.SGD(model.parameters(), lr=0.1)):
        name = type(obj).__name__
        with pytest.raises(TypeError, match=rf"{name} at obj; pass its state_dict\(\)"):
            tt.save(obj, path)


def test_a_tensor_whose_type_no_file_holds_is_named(path):
    with pytest.raises(TypeError, match=r"got complex128 at obj\['w'\]"):
        tt.save({"w": make(np.array([1j]))}, path)


@pytest.mark.parametrize("obj", [{"\ud800": tt.ones(1)}, ["\udc80"], {("\ud800", 1): 2}])
def test_text_with_half_a_surrogate_pair_is_refused(path, obj):
    with pytest.raises(ValueError, match="text that UTF-8 can hold"):
        tt.save(obj, path)


def test_a_structure_that_no_file_can_hold_is_refused(path):
    with pytest.raises(ValueError, match="put long lists of numbers into arrays"):
        tt.save("x" * 25_000_000, path)
    assert list(path.parent.iterdir()) == []


# ---- torch ----


def test_torch_reads_what_we_write_and_we_read_what_torch_writes(path, torch, torch_files):
    theirs = torch.nn.LSTM(3, 4, num_layers=2, bidirectional=True).state_dict()
    ours = {name: make(tensor.numpy().copy()) for name, tensor in theirs.items()}
    tt.save(ours, path)
    model = torch.nn.LSTM(3, 4, num_layers=2, bidirectional=True)
    model.load_state_dict(torch_files.load_file(path))
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, theirs[name])
    torch_files.save_file(theirs, path, metadata={"format": "pt"})
    got = tt.load(path)
    assert got.keys() == ours.keys()
    for name in ours:
        assert_same(got[name], ours[name])


@DTYPES
def test_every_dtype_crosses_to_torch_and_back(path, torch, torch_files, dtype):
    state = {
        "a": make(filled((2, 3), dtype)),
        "b": make(filled((), dtype)),
        "c": make(filled((0,), dtype)),
    }
    tt.save(state, path)
    theirs = torch_files.load_file(path)
    for name, tensor in state.items():
        assert str(theirs[name].dtype) == f"torch.{tensor.dtype.name}"
        assert theirs[name].tolist() == tensor.tolist()
    torch_files.save_file(theirs, path)
    got = tt.load(path)
    for name, tensor in state.items():
        assert_same(got[name], tensor)


@given(
    state=st.dictionaries(texts.filter(lambda name: name != "__metadata__"), tensors, max_size=6)
)
def test_the_file_of_a_state_dict_is_torchs_byte_for_byte(scratch, torch, torch_files, state):
    tt.save(state, scratch)
    ours = scratch.read_bytes()
    theirs = {name: torch.from_numpy(tensor._array.copy()) for name, tensor in state.items()}
    torch_files.save_file(theirs, scratch)
    assert ours == scratch.read_bytes()


def test_tensors_of_every_dtype_lie_in_torchs_order(path, torch, torch_files):
    state = {letter + str(k): make(filled((3,), k)) for k in KINDS for letter in "ba"}
    tt.save(state, path)
    ours = path.read_bytes()
    torch_files.save_file({k: torch.from_numpy(v._array.copy()) for k, v in state.items()}, path)
    assert ours == path.read_bytes()


def test_bfloat16_comes_as_float32_of_the_same_value(path, torch, torch_files):
    every = torch.arange(2**16).to(torch.uint16).view(torch.bfloat16)
    torch_files.save_file(
        {"w": every.reshape(256, 256), "s": every[16256].clone(), "e": every[:0]}, path
    )
    got = tt.load(path)
    assert_same(got["w"], make(every.reshape(256, 256).float().numpy()))
    assert_same(got["s"], tt.tensor(1.0))
    assert_same(got["e"], tt.zeros(0))


@pytest.mark.parametrize("name", ["float8_e4m3fn", "complex64"])
def test_a_type_that_there_is_no_tensor_of_is_named(path, torch, torch_files, name):
    torch_files.save_file({"ok": torch.ones(1), "w": torch.ones(2).to(getattr(torch, name))}, path)
    with pytest.raises(TypeError, match=r"got (F8_E4M3|C64) for 'w' in '.*state.safetensors'"):
        tt.load(path)


def test_a_file_of_torch_save_is_told_how_to_be_converted(path, torch):
    torch.save({"w": torch.ones(2)}, path)
    with pytest.raises(ValueError, match=r"state.safetensors', a zip file.*save_file\(torch.load"):
        tt.load(path)


# ---- hostile files ----


def raw(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(shape: list[int], start: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


HOSTILE = {
    "empty": b"",
    "seven bytes": bytes(7),
    "no header": bytes(8),
    "zeros": bytes(1000),
    "text": b"import os; os.system('echo')\n" * 10,
    "header of 2^64 - 1 bytes": raw({}, length=2**64 - 1),
    "header of 99 MB": raw({}, length=99_000_000),
    "header is a list": raw([]),
    "header is no JSON": raw(b"{'a': 1}"),
    "header is no UTF-8": raw(b'{"\xff": 1}'),
    "header of brackets": raw(b'{"a":' + b"[" * 100_000),
    "metadata of numbers": raw({"__metadata__": {"a": 1}}),
    "short data": raw({"a": entry([4], 0, 16)}, bytes(8)),
    "long data": raw({"a": entry([1], 0, 4)}, bytes(8)),
    "data for two": raw({"a": entry([1], 0, 8)}, bytes(8)),
    "overlap": raw({"a": entry([2], 0, 8), "b": entry([2], 0, 8)}, bytes(8)),
    "partial overlap": raw({"a": entry([2], 0, 8), "b": entry([2], 4, 12)}, bytes(12)),
    "gap": raw({"a": entry([1], 4, 8)}, bytes(8)),
    "end before start": raw({"a": entry([2], 8, 0)}, bytes(8)),
    "offsets beyond the file": raw({"a": entry([2], 2**40, 2**40 + 8)}, bytes(8)),
    "shape larger than data": raw({"a": entry([2**40], 0, 8)}, bytes(8)),
    "shape that overflows": raw({"a": entry([2**40, 2**40], 0, 8)}, bytes(8)),
    "shape that wraps to the size": raw({"a": entry([2**62 + 2], 0, 8)}, bytes(8)),
    "negative shape": raw({"a": entry([-2], 0, 8)}, bytes(8)),
    "a name twice": raw(
        b'{"a": %(a)s, "a": %(a)s}' % {b"a": json.dumps(entry([0], 0, 0)).encode()}
    ),
    "no offsets": raw({"a": {"dtype": "F32", "shape": [0]}}),
    "entry is a list": raw({"a": ["F32", [1], [0, 4]]}, bytes(4)),
    "three offsets": raw({"a": {**entry([1], 0, 4), "data_offsets": [0, 4, 4]}}, bytes(4)),
    "offsets of other types": raw(
        {"a": {**entry([1], 0, 4), "data_offsets": [False, 4.0]}}, bytes(4)
    ),
    "header is UTF-16": raw('{"a": {}}'.encode("utf-16")),
    "empty shape too large": raw({"a": entry([2**63, 0], 0, 0)}),
    "empty shape that overflows": raw({"a": entry([0, 2**40, 2**40], 0, 0)}),
    "100 dimensions": raw({"a": entry([1] * 100, 0, 4)}, bytes(4)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_gets_a_value_error_that_names_it(path, name):
    path.write_bytes(HOSTILE[name])
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"^load: expected .*state\.safetensors'"):
            tt.load(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("header of 99 MB", "of its 10 bytes the header should be 99000000"),
        ("header is no UTF-8", "its header is wrong: 'utf-8' codec"),
        ("no offsets", "'a' has no dtype, shape and data_offsets"),
        ("overlap", "'b' starts at byte 0 of the data, not at 8"),
        ("gap", "'a' starts at byte 4 of the data, not at 0"),
        ("data for two", "'a' should have 4 bytes of data, not 8"),
        ("short data", "its tensors are 16 bytes, its data 8"),
        ("empty shape too large", "NumPy can't hold the shape of 'a'"),
    ],
)
def test_the_error_says_what_is_wrong_with_a_file(path, name, message):
    path.write_bytes(HOSTILE[name])
    with pytest.raises(ValueError, match=re.escape(message)):
        tt.load(path)


def test_a_header_may_name_the_tensors_in_another_order_than_their_data(path):
    data = struct.pack("<3f", 1, 2, 3)
    path.write_bytes(raw({"b": entry([1], 8, 12), "a": entry([2], 0, 8)}, data))
    got = tt.load(path)
    assert_same(got["a"], tt.tensor([1.0, 2.0]))
    assert_same(got["b"], tt.tensor([3.0]))


def many_names(count: int) -> bytes:
    fields = (b'"%x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}' % k for k in range(count))
    return raw(b"{" + b",".join(fields) + b"}")


def structured(node: bytes) -> bytes:
    return raw(rb'{"__metadata__":{"tinytensor":"{\"format\":1,\"object\":%b}"}}' % node)


LARGE = {
    "a million names": (lambda: many_names(10**6), "longer than 25000000"),
    "200,000 names": (lambda: many_names(200_000), "600001 objects and lists, more than 500000"),
    "lists": (lambda: structured(b"[" + b"[]," * 500_000 + b"0]"), "more than 500000"),
    "escaped lists": (
        lambda: structured(rb"\u005b" + rb"\u005b]," * 500_000 + b"0]"),
        "500002 objects and lists",
    ),
    "sizes whose product takes hours": (
        lambda: raw({"a": entry([2**62] * 200_000, 0, 4)}, bytes(4)),
        "a shape .* that no array has",
    ),
}


@pytest.mark.parametrize("name", LARGE)
def test_a_header_that_would_take_much_memory_is_refused_before_it_does(path, name):
    make_content, message = LARGE[name]
    path.write_bytes(make_content())
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=rf"^load: expected .*state\.safetensors'.*{message}"):
            tt.load(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 5 * min(path.stat().st_size, 10**6) + 30_000_000 * (name != "a million names")


@pytest.mark.parametrize("part", ["[]", "1e9", "999", '\\"ab\\"'])
def test_what_a_header_says_takes_memory_in_proportion(path, part):
    path.write_bytes(structured(b"[" + b",".join([part.encode()] * 20_000) + b"]"))
    tracemalloc.start()
    try:
        assert len(tt.load(path)) == 20_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20_000 * 200


@pytest.mark.parametrize(
    ("fits", "too_large"),
    [
        ([[]] * 97, [[]] * 98),  # besides: header, metadata, structure, outer list
        ([0.1] * 200, [0.1] * 300),
        ("x" * 900, "x" * 1100),
    ],
    ids=["lists", "numbers", "text"],
)
def test_what_a_header_can_not_hold_is_not_saved(path, monkeypatch, fits, too_large):
    monkeypatch.setattr(io.header, "_MAX_PARTS", 101)
    monkeypatch.setattr(io.header, "_MAX_LENGTH", 1080)
    with pytest.raises(ValueError, match="put long lists of numbers into arrays, long text into"):
        tt.save(too_large, path)
    assert list(path.parent.iterdir()) == []
    assert_same(round_trip(fits, path), fits)


def test_tensors_are_read_into_their_own_memory_at_once(path):
    size = 4_000_000
    tt.save({"w": tt.zeros(size), "n": 3}, path)
    tracemalloc.start()
    try:
        tt.load(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * size + 100_000


@pytest.mark.parametrize("size", [2**34, 2**60])
def test_a_header_that_speaks_of_more_than_the_file_has_allocates_nothing(path, size):
    path.write_bytes(raw({"a": entry([size], 0, size, "U8")}, bytes(100)))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=rf"its tensors are {size} bytes, its data 100"):
            tt.load(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100_000


def test_a_large_file_that_was_cut_is_refused_before_its_data_are_read(path):
    tt.save({"w": tt.zeros(5_000_000)}, path)
    with path.open("r+b") as file:
        file.truncate(15_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="copy or save it again"):
            tt.load(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100_000


def test_a_file_that_shrinks_while_it_is_read_is_refused(path, monkeypatch):
    tt.save({"w": tt.zeros(100_000)}, path)
    read = io.header.read

    def read_and_cut(*args: Any) -> Any:
        result = read(*args)
        os.truncate(path, 1000)
        return result

    monkeypatch.setattr(io.header, "read", read_and_cut)
    with pytest.raises(ValueError, match="it became shorter while it was read"):
        tt.load(path)


@pytest.mark.parametrize("code", ["F31", "F4", "f32", "F8_E5M2", ""])
def test_an_unknown_type_is_named(path, code):
    path.write_bytes(raw({"a": entry([2], 0, 8, code)}, bytes(8)))
    with pytest.raises(TypeError, match=rf"expected tensors of U64, .*BF16, got {code} for 'a' in"):
        tt.load(path)


numbers_in_a_header = st.integers(-1, 12) | st.sampled_from([2**62, 2**63, 2**64, 1.5, True, None])
lists_in_a_header = st.lists(numbers_in_a_header, max_size=3)
fields_in_a_header = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.sampled_from(["U8", "F32", "I16", "BOOL", "BF16"]) | numbers_in_a_header,
        "shape": lists_in_a_header | numbers_in_a_header,
        "data_offsets": lists_in_a_header,
        "other": numbers_in_a_header,
    },
)
sound_fields = st.tuples(st.integers(0, 3), st.integers(0, 8), st.booleans())


@given(
    fields=st.dictionaries(st.sampled_from("abcd"), fields_in_a_header, max_size=2),
    sound=st.lists(sound_fields, max_size=3),
    shift=st.sampled_from([0, 0, 0, -1, 1]),
)
def test_what_is_read_is_what_the_safetensors_package_reads(scratch, fields, sound, shift):
    package = pytest.importorskip("safetensors")
    end = 0
    header: dict[str, Any] = {}
    for number, (count, gap, is_wide) in enumerate(sound):
        start = end + (gap if gap > 6 else 0)
        end = start + count * (4 if is_wide else 1)
        header[f"x{number}"] = entry([count], start, end, "F32" if is_wide else "U8")
    content = raw(header | fields, bytes(range(max(0, end + shift))))
    scratch.write_bytes(content)
    try:
        theirs = {name: bytes(part["data"]) for name, part in package.deserialize(content)}
    except package.SafetensorError:
        theirs = None
    try:
        ours = tt.load(scratch)
    except ValueError:
        assert theirs is None
    else:
        assert theirs is not None
        assert ours.keys() == theirs.keys()
        for name, tensor in ours.items():
            if tensor.dtype is tt.float32:
                assert tensor._array.tobytes() == theirs[name]


NODES = {
    "no JSON": "{",
    "a number": "3",
    "no object": "{}",
    "another format": '{"format": 2, "object": null}',
    "unknown tag": '{"format": 1, "object": {"module": "os"}}',
    "a tag and more": '{"format": 1, "object": {"tuple": [], "x": 0}}',
    "a tag twice": '{"format": 1, "object": {"tuple": [], "tuple": []}}',
    "tuple of text": '{"format": 1, "object": {"tuple": "ab"}}',
    "pair of three": '{"format": 1, "object": {"dict": [[1, 2, 3]]}}',
    "pair of letters": '{"format": 1, "object": {"dict": ["ab"]}}',
    "two tags": '{"format": 1, "object": {"tensor": "a", "array": "a"}}',
    "bare dict": '{"format": 1, "object": {}}',
    "missing tensor": '{"format": 1, "object": {"tensor": "b"}}',
    "name is no text": '{"format": 1, "object": {"tensor": ["a"]}}',
    "pair of one": '{"format": 1, "object": {"dict": [[1]]}}',
    "pair is a number": '{"format": 1, "object": {"OrderedDict": [1]}}',
    "unhashable key": '{"format": 1, "object": {"dict": [[[], 1]]}}',
    "digits": '{"format": 1, "object": {"int": "xyz"}}',
    "float": '{"format": 1, "object": {"float": "xyz"}}',
    "scalar with a dimension": '{"format": 1, "object": {"scalar": "a"}}',
    "bytes of floats": '{"format": 1, "object": {"bytes": "a"}}',
    "very deep": '{"format": 1, "object": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "deep": '{"format": 1, "object": ' + "[" * 102 + "]" * 102 + "}",
    "deep dict": '{"format": 1, "object": ' + '{"dict": [[0,' * 102 + "0" + "]]}" * 102 + "}",
    "deep key": '{"format": 1, "object": {"dict": [[' + '{"tuple":[' * 900 + "]}" * 900 + ",0]]}}",
    "endless digits": '{"format": 1, "object": ' + "9" * 10_000 + "}",
}


@pytest.mark.parametrize("name", NODES)
def test_a_damaged_structure_gets_a_value_error_that_names_the_file(path, name):
    header = {"__metadata__": {"tinytensor": NODES[name]}, "a": entry([2], 0, 8)}
    path.write_bytes(raw(header, bytes(8)))
    with pytest.raises(ValueError, match=r"^load: expected a structure .*state\.safetensors'"):
        tt.load(path)


def test_many_references_to_one_tensor_do_not_multiply_its_memory(path):
    node = [{"bytes": "a"}] * 10_000 + [{"tensor": "a"}] * 10_000
    text = json.dumps({"format": 1, "object": node})
    size = 100_000
    header = {"__metadata__": {"tinytensor": text}, "a": entry([size], 0, size, "U8")}
    path.write_bytes(raw(header, bytes(size)))
    tracemalloc.start()
    try:
        got = tt.load(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(got) == 20_000
    assert peak < 100 * size


def test_a_file_whose_metadata_is_null_is_a_plain_one(path):
    path.write_bytes(raw({"__metadata__": None, "a": entry([2], 0, 8)}, bytes(8)))
    assert_same(tt.load(path), {"a": tt.zeros(2)})


def test_a_bool_that_is_neither_0_nor_1_is_true(path):
    path.write_bytes(raw({"a": entry([3], 0, 3, "BOOL")}, b"\x00\x02\x01"))
    array = tt.load(path)["a"]._array
    assert array.tobytes() == b"\x00\x01\x01"


@pytest.mark.parametrize("start", [bytes(8), b"\x7fELF\2\1\1\0", b"PK\3\4\0\0\0\0"])
def test_a_large_file_of_another_kind_is_refused_unread(path, start):
    with path.open("wb") as file:
        file.write(start)
        file.truncate(2**28)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"^load: expected .*state\.safetensors'"):
            tt.load(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000


def test_every_truncation_of_a_file_is_refused(path):
    tt.save({"w": tt.ones(2), "x": [1, "two"]}, path)
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match="load: expected"):
            tt.load(path)


@given(st.data())
def test_random_damage_gives_an_object_or_a_clear_error(scratch, data):
    tt.save({"w": tt.ones(2, 2), "x": [1, {"k": (2.5, b"y")}], "n": np.int8(3)}, scratch)
    content = bytearray(scratch.read_bytes())
    places = st.integers(0, len(content) - 1)
    for place, byte in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), min_size=1)):
        content[place] = byte
    scratch.write_bytes(content)
    try:
        tt.load(scratch)
    except (ValueError, TypeError) as error:
        assert str(error).startswith("load: expected")


def test_a_missing_file_and_a_folder_are_errors_of_the_system(path):
    with pytest.raises(FileNotFoundError, match=r"state\.safetensors"):
        tt.load(path)
    with pytest.raises(IsADirectoryError):
        tt.load(path.parent)
    with pytest.raises(TypeError, match="PathLike"):
        tt.load(3.5)


# ---- whole or not at all ----


class Stop(BaseException):
    """As KeyboardInterrupt: no Exception."""


def half_a_file(file: Any) -> None:
    file.write(b"half")
    raise Stop


@pytest.mark.parametrize("as_path", [str, Path, os.fsencode], ids=["str", "Path", "bytes"])
def test_paths_of_every_kind(tmp_path, as_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for target in (tmp_path / "long é name", Path("relative")):
        tt.save([1], as_path(target))
        assert tt.load(as_path(target)) == [1]


@pytest.mark.parametrize("data", [b"new", lambda file: file.write(b"new")])
def test_write_whole_takes_bytes_or_a_function(path, data):
    path.write_bytes(b"older and longer")
    io.write_whole(path, data)
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


def test_an_error_while_writing_leaves_the_old_file_and_nothing_else(path):
    with pytest.raises(Stop):
        io.write_whole(path, half_a_file)
    assert list(path.parent.iterdir()) == []
    path.write_bytes(b"old")
    with pytest.raises(Stop):
        io.write_whole(path, half_a_file)
    assert list(path.parent.iterdir()) == [path]
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_an_error_of_the_system_leaves_the_old_file_and_nothing_else(path, monkeypatch, step):
    path.write_bytes(b"old")

    def fail(*args: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="disk full"):
        tt.save([1], path)
    assert list(path.parent.iterdir()) == [path]
    assert path.read_bytes() == b"old"


def test_the_content_is_on_disk_before_the_name_and_then_the_folder(path, monkeypatch):
    events = []
    fsync, replace = os.fsync, os.replace

    def noting_fsync(descriptor: int) -> None:
        status = os.fstat(descriptor)
        events.append("folder" if stat.S_ISDIR(status.st_mode) else f"{status.st_size} bytes")
        fsync(descriptor)

    def noting_replace(source: str, target: str) -> None:
        events.append("rename")
        assert Path(source).parent == Path(target).parent == path.parent
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noting_fsync)
    monkeypatch.setattr(os, "replace", noting_replace)
    io.write_whole(path, b"12345")
    assert events == ["5 bytes", "rename", "folder"]


def test_a_folder_that_cannot_be_synced_is_no_failure(path, monkeypatch):
    fsync = os.fsync

    def picky_fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError("not on this disk")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", picky_fsync)
    assert round_trip([1], path) == [1]


@pytest.mark.skipif(os.name != "posix", reason="permissions and the umask are POSIX")
@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_permissions_follow_the_umask_and_an_old_file_keeps_its_own(path, umask):
    before = os.umask(umask)
    try:
        tt.save([1], path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
        for mode in (0o600, 0o664):
            path.chmod(mode)
            tt.save([2], path)
            assert stat.S_IMODE(path.stat().st_mode) == mode
    finally:
        os.umask(before)


def test_a_symbolic_link_stays_and_its_target_is_written(tmp_path):
    (tmp_path / "runs").mkdir()
    target = tmp_path / "runs" / "third"
    link = tmp_path / "latest"
    try:
        link.symlink_to(target)
    except OSError:
        pytest.skip("this system doesn't let us make links")
    for value in ("new", "newer"):
        tt.save(value, link)
        assert link.is_symlink()
        assert tt.load(target) == value


def test_a_path_that_is_no_place_for_a_file_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"existing folder, got '.*none'; create it"):
        tt.save([1], tmp_path / "none" / "state")
    with pytest.raises(ValueError, match="a folder or device"):
        tt.save([1], tmp_path)
    with pytest.raises(ValueError, match="a folder or device"):
        tt.save([1], os.devnull)
    with pytest.raises(TypeError, match="PathLike"):
        tt.save([1], 3.5)
    assert list(tmp_path.iterdir()) == []


def test_a_long_name_leaves_room_for_the_hidden_one(tmp_path):
    target = tmp_path / ("é" * 127)
    assert round_trip([1], target) == [1]


def test_readers_and_writers_at_once_see_whole_states(path):
    states = [[make(np.full(50_000, k, np.float32)), k] for k in range(2)]
    tt.save(states[0], path)
    writers = [
        threading.Thread(target=lambda k=k: [tt.save(states[k], path) for _ in range(20)])
        for k in range(2)
    ]
    for writer in writers:
        writer.start()
    try:
        while any(writer.is_alive() for writer in writers):
            tensor, k = tt.load(path)
            assert_same([tensor, k], states[k])
    finally:
        for writer in writers:
            writer.join()
    assert list(path.parent.iterdir()) == [path]


KILLER = """
import itertools, os, random, signal, sys, time
from pathlib import Path
import tinytensor as tt

def state(k):
    weight = tt.full(((60_000, 40_000)[k % 2],), float(k))
    return {"model": {"w": weight}, "optimizer": [weight * 2, {"step": k}], "k": k}

path, count = Path(sys.argv[1]), int(sys.argv[2])
random.seed(0)
start = time.perf_counter()
tt.save(state(0), path)
saving = time.perf_counter() - start
cut = 0
for number in range(count):
    if number % 4 == 0:
        path.unlink(missing_ok=True)
    old = tt.load(path)["k"] if path.exists() else -1
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        states = [state(old + 1), state(old + 2)]
        os.write(write, b"x")
        for k in itertools.count():
            tt.save(states[k % 2], path)
    os.read(read, 1)
    time.sleep(random.uniform(0, 3 * saving))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(read)
    os.close(write)
    if not path.exists():
        assert old == -1
    else:
        got = tt.load(path)
        k = got["k"]
        assert k in (old, old + 1, old + 2), (k, old)
        expected = state(k)
        assert got["model"]["w"].equal(expected["model"]["w"])
        assert got["optimizer"][0].equal(expected["optimizer"][0])
        assert got["optimizer"][1] == {"step": k}
    for hidden in path.parent.glob(".*.tmp"):
        cut += 1
        hidden.unlink()
print(cut)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system can't fork a process")
@pytest.mark.parametrize("count", [30, pytest.param(200, marks=pytest.mark.long)])
def test_writers_killed_at_random_moments_leave_the_old_state_or_a_new_one(path, count):
    run = subprocess.run(
        [sys.executable, "-c", KILLER, str(path), str(count)],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert int(run.stdout) > 0  # were in the middle of a file


WRITER = """
import itertools, sys
import tinytensor as tt
states = [{"w": tt.full((size,), float(k)), "k": k} for k, size in enumerate((300_000, 200_000))]
tt.save(states[0], sys.argv[1])
print("first one saved", flush=True)
for k in itertools.cycle([1, 0]):
    tt.save(states[k], sys.argv[1])
"""


def test_a_killed_writer_leaves_one_of_two_whole_states_on_any_system(path):
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], cwd=ROOT, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        try:
            assert writer.stdout.readline() == b"first one saved\n"
            time.sleep(random.uniform(0, 0.03))
        finally:
            writer.kill()
    got = tt.load(path)
    k = got["k"]
    assert_same(got, {"w": tt.full(((300_000, 200_000)[k],), float(k)), "k": k})


def test_importing_tinytensor_leaves_files_alone_until_one_is_named():
    code = (
        "import sys, tinytensor as tt\n"
        "assert 'tinytensor.io' not in sys.modules\n"
        "tt.save\n"
        "assert 'tinytensor.io' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
