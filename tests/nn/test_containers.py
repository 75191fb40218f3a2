"""Sequential and ModuleList are lists, as torch's are, whose members keep correct names."""

from collections import OrderedDict

import pytest

import tinytensor as tt
from tinytensor import nn

from .peer import torch


def row(kind, lib):
    """Three different modules in a Sequential or ModuleList of either library."""
    modules = [lib.nn.ReLU(), lib.nn.Tanh(), lib.nn.Sigmoid()]
    return kind(modules, lib)


def sequential(modules, lib):
    return lib.nn.Sequential(*modules)


def module_list(modules, lib):
    return lib.nn.ModuleList(modules)


KINDS = [sequential, module_list]


def type_of(m):
    return module_list if "List" in type(m).__name__ else sequential


# Each gives back something to be printed; what it does to the row is printed after it.
OPERATIONS = {
    "index": lambda m, lib: [m[0], m[-1], m[1]],
    "slice": lambda m, lib: [m[1:], m[:-1], m[::2], m[5:]],
    "len": lambda m, lib: len(m),
    "iterate": lambda m, lib: list(m),
    "replace": lambda m, lib: m.__setitem__(1, lib.nn.SiLU()),
    "replace last": lambda m, lib: m.__setitem__(-1, lib.nn.SiLU()),
    "delete": lambda m, lib: m.__delitem__(0),
    "delete last": lambda m, lib: m.__delitem__(-1),
    "delete slice": lambda m, lib: m.__delitem__(slice(0, 2)),
    "append": lambda m, lib: m.append(lib.nn.SiLU()),
    "insert first": lambda m, lib: m.insert(0, lib.nn.SiLU()) and None,
    "insert last": lambda m, lib: m.insert(3, lib.nn.SiLU()) and None,
    "extend": lambda m, lib: m.extend([lib.nn.SiLU(), lib.nn.ELU()]),
    "pop": lambda m, lib: m.pop(1),
    "pop slice": lambda m, lib: m.pop(slice(1, 3)),
    "pop last": lambda m, lib: m.pop(-1),
    "add": lambda m, lib: m + row(type_of(m), lib),
    "dir": lambda m, lib: [name for name in dir(m) if name.isdigit()],
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS.keys())
def test_each_list_operation_does_what_torchs_does(kind, operation) -> None:
    printed = []
    for lib in (tt, torch):
        m = row(kind, lib)
        result = operation(m, lib)
        printed.append((repr(result), repr(m), list(m._modules)))
    assert printed[0] == printed[1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("operation", "error"),
    [
        (lambda m: m[3], IndexError),
        (lambda m: m[-4], IndexError),
        (lambda m: m["0"], TypeError),
        (lambda m: m.append(3), TypeError),
        (lambda m: m.__setitem__(0, 3), TypeError),
        (lambda m: m.extend(3), TypeError),
        (lambda m: m.__delitem__(7), IndexError),
        (lambda m: m + 3, (ValueError, TypeError)),
    ],
)
def test_what_no_list_does_is_refused_by_both(kind, operation, error) -> None:
    for lib in (tt, torch):
        with pytest.raises(error):
            operation(row(kind, lib))


def test_inserting_what_is_no_module_or_too_far_away_is_refused() -> None:
    model = nn.Sequential(nn.ReLU())
    with pytest.raises(TypeError, match="int"):
        model.insert(0, 3)
    with pytest.raises(IndexError, match="9"):
        model.insert(9, nn.ReLU())
    assert repr(nn.ModuleList([nn.Tanh()]).insert(-1, nn.ReLU())) == (
        "ModuleList(\n  (0): ReLU()\n  (1): Tanh()\n)"
    )


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_multiplying_repeats_the_same_modules(factor: int) -> None:
    for operation in (lambda m: m * factor, lambda m: factor * m, lambda m: m.__imul__(factor)):
        ours = operation(row(sequential, tt))
        theirs = operation(row(sequential, torch))
        assert repr(ours) == repr(theirs)
        assert ours[0] is ours[3 * (factor - 1)]


@pytest.mark.parametrize(("factor", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError)])
def test_multiplying_by_what_is_no_count_is_refused(factor, error) -> None:
    for lib in (tt, torch):
        with pytest.raises(error):
            row(sequential, lib) * factor


def test_a_sequential_calls_its_modules_in_order() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    x = tt.rand(4, 2)
    assert (model(x) == model[2](model[1](model[0](x)))).all()
    assert nn.Sequential()(x) is x


def test_a_sequential_of_an_ordered_dict_has_its_names() -> None:
    printed = [
        repr(lib.nn.Sequential(OrderedDict(a=lib.nn.Linear(2, 3), act=lib.nn.ReLU())))
        for lib in (tt, torch)
    ]
    assert printed[0] == printed[1]
    model = nn.Sequential(OrderedDict(a=nn.Linear(2, 3), act=nn.ReLU()))
    assert list(model.state_dict()) == ["a.weight", "a.bias"]
    assert isinstance(model.a, nn.Linear)
    assert list(model[1:]._modules) == ["act"]


def test_iadd_extends_in_place() -> None:
    model = keep = row(sequential, tt)
    model += nn.Sequential(nn.SiLU())
    assert model is keep
    assert len(keep) == 4
    modules = same = row(module_list, tt)
    modules += [nn.SiLU()]
    assert modules is same
    assert len(same) == 4


def test_appending_to_a_slice_that_kept_its_names_loses_nothing() -> None:
    part = nn.Sequential(nn.ReLU(), nn.Tanh())[1:]
    part.append(nn.Sigmoid())
    assert [type(module).__name__ for module in part] == ["Tanh", "Sigmoid"]


def test_a_module_list_cannot_be_called() -> None:
    with pytest.raises(NotImplementedError, match=r"Module \[ModuleList\] is missing"):
        nn.ModuleList([nn.ReLU()])(1)


def test_equal_neighbours_print_in_one_line_as_torchs() -> None:
    printed = []
    for lib in (tt, torch):
        linear, relu = lib.nn.Linear(1, 1), lib.nn.ReLU()
        inner = lib.nn.Sequential(linear, relu)
        rows = [[linear] * 3, [linear, relu, relu], [inner] * 2 + [relu], [relu], []]
        lists = [lib.nn.ModuleList(modules) for modules in rows]
        printed.append([repr(modules) for modules in [*lists, lib.nn.ModuleList()]])
    assert printed[0] == printed[1]


def linears(count: int) -> list[nn.Linear]:
    return [nn.Linear(1, 1) for _ in range(count)]


@pytest.mark.parametrize("kind", [sequential, module_list])
@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.insert(1, nn.Linear(1, 1)),
        lambda m: m.__delitem__(0),
        lambda m: m.__delitem__(slice(0, 2)),
        lambda m: m.append(nn.Linear(1, 1)),
        lambda m: m.__setitem__(1, nn.Linear(1, 1)),
        lambda m: m.pop(0),
    ],
)
def test_labels_follow_when_modules_are_numbered_anew(kind, change) -> None:
    outer = nn.Module()
    outer.row = kind(linears(3), tt)
    change(outer.row)
    paths = [parameter._label.path for parameter in outer.parameters()]
    assert paths == [name for name, _ in outer.named_parameters()]


@pytest.mark.parametrize("kind", [sequential, module_list])
def test_what_was_taken_out_as_a_slice_has_its_own_names(kind) -> None:
    taken = kind(linears(3), tt).pop(slice(1, 3))
    paths = [parameter._label.path for parameter in taken.parameters()]
    assert paths == [name for name, _ in taken.named_parameters()]


# -- ModuleDict -----------------------------------------------------------------------------------


def named(lib):
    return lib.nn.ModuleDict({"relu": lib.nn.ReLU(), "lin": lib.nn.Linear(1, 1)})


def printed_where_modules(value):
    if isinstance(value, (nn.Module, torch.nn.Module)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return [printed_where_modules(part) for part in value]
    return value


ON_A_DICT = {
    "key": lambda m, lib: [m["relu"], m.lin],
    "missing key": lambda m, lib: m["zork"],
    "keys": lambda m, lib: list(m.keys()),
    "values": lambda m, lib: list(m.values()),
    "items": lambda m, lib: list(m.items()),
    "iterate": lambda m, lib: [*m, len(m), "relu" in m, "tanh" in m],
    "set": lambda m, lib: m.__setitem__("tanh", lib.nn.Tanh()),
    "replace": lambda m, lib: m.__setitem__("relu", lib.nn.Tanh()),
    "set what is no module": lambda m, lib: m.__setitem__("x", 3),
    "set the name of a method": lambda m, lib: m.__setitem__("items", lib.nn.Tanh()),
    "set a name with a dot": lambda m, lib: m.__setitem__("a.b", lib.nn.Tanh()),
    "set no name": lambda m, lib: m.__setitem__(3, lib.nn.Tanh()),
    "delete": lambda m, lib: m.__delitem__("relu"),
    "delete what is missing": lambda m, lib: m.__delitem__("zork"),
    "delete an attribute": lambda m, lib: m.__delitem__("training"),
    "pop": lambda m, lib: m.pop("lin"),
    "pop what is missing": lambda m, lib: m.pop("zork"),
    "clear": lambda m, lib: m.clear(),
    "update": lambda m, lib: m.update({"z": lib.nn.Tanh(), "a": lib.nn.ELU()}),
    "update by pairs": lambda m, lib: m.update([("z", lib.nn.Tanh()), ["a", lib.nn.ELU()]]),
    "update by another": lambda m, lib: m.update(lib.nn.ModuleDict({"relu": lib.nn.ELU()})),
    "update by a number": lambda m, lib: m.update(3),
    "update by numbers": lambda m, lib: m.update([3]),
    "update by triples": lambda m, lib: m.update([(1, 2, 3)]),
    "call": lambda m, lib: m(1),
    "empty": lambda m, lib: lib.nn.ModuleDict(),
}


@pytest.mark.parametrize("operation", ON_A_DICT.values(), ids=ON_A_DICT.keys())
def test_each_operation_on_a_dict_does_what_torchs_does(operation) -> None:
    results = []
    for lib in (tt, torch):
        m = named(lib)
        try:
            result = printed_where_modules(operation(m, lib))
        except Exception as error:
            result = type(error)
        results.append((result, repr(m), list(m.state_dict())))
    assert results[0] == results[1]


def test_labels_follow_what_comes_and_goes_in_a_dict() -> None:
    outer = nn.Module()
    outer.named = named(tt)
    outer.named["other"] = outer.named.pop("lin")
    paths = [parameter._label.path for parameter in outer.parameters()]
    assert paths == [name for name, _ in outer.named_parameters()] != []
