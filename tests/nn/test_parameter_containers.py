"""ParameterList and ParameterDict: a list and a dict whose tensors are registered, as torch's."""

import copy
import pickle
from collections import OrderedDict

import pytest

import tinytensor as tt
from tinytensor import nn

from .peer import torch


def shown(value):
    """A value without its library."""
    if isinstance(value, (tt.Tensor, torch.Tensor)):
        return type(value).__name__, value.tolist(), value.requires_grad
    if isinstance(value, (tt.nn.Module, torch.nn.Module)):
        return repr(value).replace("tinytensor.", "torch."), list(value.state_dict())
    if isinstance(value, (list, tuple)):
        return [shown(part) for part in value]
    return value


def both(make, operation) -> None:
    """An operation gives the same in both libraries and leaves the same behind."""
    results = []
    for lib in (tt, torch):
        container = make(lib)
        try:
            result = shown(operation(container, lib))
        except Exception as error:
            result = type(error)
        results.append((result, shown(container)))
    assert results[0] == results[1]


def a_list(lib):
    return lib.nn.ParameterList([lib.ones(2), lib.nn.Parameter(lib.zeros(1)), 3, None, "text"])


def a_dict(lib):
    entries = {"b": lib.ones(2), "a": lib.nn.Parameter(lib.zeros(1)), "n": 3}
    return lib.nn.ParameterDict(entries)


LIST = {
    "index": lambda p, lib: [p[0], p[-1], p[2]],
    "slice": lambda p, lib: [p[1:], p[::-2], p[7:]],
    "iterate": lambda p, lib: list(p),
    "len": lambda p, lib: len(p),
    "replace": lambda p, lib: p.__setitem__(0, lib.full((1,), 7.0)),
    "replace last": lambda p, lib: p.__setitem__(-1, lib.full((1,), 7.0)),
    "replace by nothing": lambda p, lib: p.__setitem__(1, None),
    "replace by a number": lambda p, lib: p.__setitem__(0, 3),
    "append": lambda p, lib: p.append(lib.ones(1)),
    "extend": lambda p, lib: p.extend([lib.ones(1), 4]),
    "extend by itself": lambda p, lib: p.extend(a_list(lib)),
    "iadd": lambda p, lib: p.__iadd__((lib.ones(1),)),
    "extend by a tensor": lambda p, lib: p.extend(lib.ones(3)),
    "extend by a number": lambda p, lib: p.extend(3),
    "too far": lambda p, lib: p[5],
    "too far back": lambda p, lib: p[-6],
    "by name": lambda p, lib: p["0"],
    "call": lambda p, lib: p(lib.ones(1)),
    "parameters": lambda p, lib: [list(pair) for pair in p.named_parameters()],
    "a module": lambda p, lib: p.append(lib.nn.Tanh()),
    "empty": lambda p, lib: lib.nn.ParameterList(),
    "dir": lambda p, lib: [name for name in dir(p) if name.isdigit()],
}

DICT = {
    "key": lambda p, lib: [p["a"], p["n"]],
    "attribute": lambda p, lib: p.a,
    "keys": lambda p, lib: list(p.keys()),
    "values": lambda p, lib: list(p.values()),
    "items": lambda p, lib: list(p.items()),
    "iterate": lambda p, lib: [*p, *reversed(p), len(p), "a" in p, "x" in p],
    "set": lambda p, lib: p.__setitem__("c", lib.ones(1)),
    "replace": lambda p, lib: p.__setitem__("a", lib.ones(1)),
    "replace a number": lambda p, lib: p.__setitem__("n", lib.ones(1)),
    "replace by a number": lambda p, lib: p.__setitem__("a", 3),
    "delete": lambda p, lib: p.__delitem__("a"),
    "delete a number": lambda p, lib: p.__delitem__("n"),
    "delete nothing": lambda p, lib: p.__delitem__("x"),
    "pop": lambda p, lib: p.pop("b"),
    "popitem": lambda p, lib: p.popitem(),
    "popitem of none": lambda p, lib: lib.nn.ParameterDict().popitem(),
    "clear": lambda p, lib: p.clear(),
    "get": lambda p, lib: [p.get("a"), p.get("x"), p.get("x", 7)],
    "setdefault": lambda p, lib: [p.setdefault("a", 3), p.setdefault("x", lib.ones(1))],
    "setdefault to none": lambda p, lib: p.setdefault("x"),
    "copy": lambda p, lib: [p.copy(), p.copy()["a"] is p["a"]],
    "fromkeys": lambda p, lib: p.fromkeys(["x", "y"], 3),
    "update sorts": lambda p, lib: p.update({"z": 1, "y": lib.ones(1)}),
    "update in order": lambda p, lib: p.update(OrderedDict(z=1, y=lib.ones(1))),
    "update by pairs": lambda p, lib: p.update([("z", 1), ["y", lib.ones(1)]]),
    "update by another": lambda p, lib: p.update(lib.nn.ParameterDict([("z", 1), ("y", 2)])),
    "update by a number": lambda p, lib: p.update(3),
    "update by numbers": lambda p, lib: p.update([3]),
    "update by triples": lambda p, lib: p.update([(1, 2, 3)]),
    "or": lambda p, lib: [p | lib.nn.ParameterDict({"a": lib.ones(1)}), p],
    "ior": lambda p, lib: p.__ior__(lib.nn.ParameterDict({"a": lib.ones(1)})),
    "ror": lambda p, lib: p.__ror__(lib.nn.ParameterDict({"z": lib.ones(1)})),
    "call": lambda p, lib: p(lib.ones(1)),
    "name of a method": lambda p, lib: lib.nn.ParameterDict([("keys", lib.ones(1))]),
    "no name": lambda p, lib: lib.nn.ParameterDict([(3, lib.ones(1))]),
    "nested": lambda p, lib: lib.nn.ModuleDict({"p": p, "l": a_list(lib)}),
}


@pytest.mark.parametrize("operation", LIST.values(), ids=LIST.keys())
def test_each_operation_on_a_list_does_what_torchs_does(operation) -> None:
    both(a_list, operation)


@pytest.mark.parametrize("operation", DICT.values(), ids=DICT.keys())
def test_each_operation_on_a_dict_does_what_torchs_does(operation) -> None:
    both(a_dict, operation)


def test_a_missing_key_is_a_key_error_and_an_attribute_no_entry() -> None:
    p = a_dict(tt)
    for key in ("zork", "training"):
        with pytest.raises(KeyError, match=key):
            p[key]
    with pytest.raises(KeyError, match="already exists"):
        p["keys"] = 3
    assert list(p.keys()) == ["a", "b", "n"]


def test_a_tensor_becomes_a_parameter_on_its_memory() -> None:
    tensor = tt.zeros(2)
    for parameter in (nn.ParameterList([tensor])[0], nn.ParameterDict({"a": tensor})["a"]):
        assert type(parameter) is nn.Parameter
        assert parameter.data_ptr() == tensor.data_ptr()


def test_labels_are_the_names_of_named_parameters() -> None:
    net = nn.Module()
    net.row = nn.ParameterList([tt.ones(1), tt.ones(1)])
    net.named = nn.ParameterDict({"a": tt.ones(1)})
    net.row.append(tt.ones(1))
    net.named["b"] = net.row[0]
    paths = [parameter._label.path for parameter in net.parameters()]
    assert paths == [name for name, _ in net.named_parameters()]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
@pytest.mark.parametrize("make", [a_list, a_dict])
def test_a_copy_is_equal_and_its_own(make, copied) -> None:
    original = make(tt)
    twin = copied(original)
    assert shown(twin) == shown(original)
    for mine, other in zip(original.parameters(), twin.parameters(), strict=True):
        assert mine.tolist() == other.tolist()
        assert mine is not other
