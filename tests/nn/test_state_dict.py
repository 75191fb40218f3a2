"""state_dict and load_state_dict: what each holds, what is refused, as torch does to the letter."""

import pytest

import tinytensor as tt
from tinytensor import nn

from .peer import torch


def model(lib):
    """Layers in layers, a buffer in and one out of the state, a place that is empty."""

    class Net(lib.nn.Module):
        def __init__(self):
            super().__init__()
            self.lin = lib.nn.Linear(2, 1)
            self.inner = lib.nn.Sequential(lib.nn.Linear(1, 1, bias=False), lib.nn.Tanh())
            self.scale = lib.nn.Parameter(lib.ones(()))
            self.register_buffer("seen", lib.zeros(3))
            self.register_buffer("scratch", lib.zeros(3), persistent=False)
            self.register_buffer("nothing", None)

    return Net()


def complete(lib):
    return {name: lib.ones_like(value) for name, value in model(lib).state_dict().items()}


def without(*names):
    def made(lib):
        return {name: value for name, value in complete(lib).items() if name not in names}

    return made


def with_more(**more):
    def made(lib):
        extra = {name.replace("__", "."): lib.ones(shape) for name, shape in more.items()}
        return {**extra, **complete(lib)}

    return made


STATES = {
    "complete": complete,
    "missing": without("lin.bias", "inner.0.weight", "seen"),
    "unexpected": with_more(extra=1, inner__extra=1, inner__0__bias=1, more__of__it=1, scratch=3),
    "for an empty place": with_more(nothing=3),
    "misshapen": with_more(lin__weight=(1, 3)),
    "all at once": lambda lib: {
        **without("scale", "lin.bias")(lib),
        "inner.0.weight": lib.ones(3, 4),
        "inner.2.weight": lib.ones(1),
        "seen": lib.ones(()),
    },
    "a number of one element": lambda lib: {**complete(lib), "scale": lib.full((1,), 7.0)},
    "nothing": lambda lib: {},
}


@pytest.mark.parametrize("assign", [False, True])
@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("made", STATES.values(), ids=STATES.keys())
def test_what_is_loaded_refused_and_reported_is_torchs(made, strict, assign) -> None:
    outcomes = []
    for lib in (tt, torch):
        net = model(lib)
        try:
            keys = net.load_state_dict(made(lib), strict=strict, assign=assign)
        except RuntimeError as error:
            outcomes.append(str(error))
        else:
            values = {name: value.tolist() for name, value in net.state_dict().items()}
            kept = keys.missing_keys
            outcomes.append((keys, repr(keys), {n: v for n, v in values.items() if n not in kept}))
    assert outcomes[0] == outcomes[1]


def test_the_state_of_a_model_with_shared_parts_has_every_name() -> None:
    names = []
    for lib in (tt, torch):
        net = model(lib)
        net.twin = net.lin
        net.inner[0].weight = net.scale
        names.append(list(net.state_dict()))
    assert names[0] == names[1]


def test_loading_by_assignment_keeps_what_is_trained() -> None:
    found = []
    for lib in (tt, torch):
        net = model(lib)
        net.lin.bias.requires_grad_(False)
        given = {name: value.double() for name, value in complete(lib).items()}
        given["lin.bias"] = lib.nn.Parameter(lib.ones(1))
        given["scale"] = lib.nn.Parameter(lib.ones(()), requires_grad=False)
        net.load_state_dict(given, assign=True)
        assert net.lin.bias is given["lin.bias"]
        assert net.seen is given["seen"]
        found.append([(n, p.requires_grad, str(p.dtype)[-7:]) for n, p in net.named_parameters()])
    assert found[0] == found[1]


# -- extra state ----------------------------------------------------------------------------------


def counter(lib):
    class Counter(lib.nn.Module):
        def __init__(self):
            super().__init__()
            self.count = 0

        def get_extra_state(self):
            return {"count": self.count}

        def set_extra_state(self, state):
            self.count = state["count"]

    return lib.nn.Sequential(Counter(), lib.nn.Tanh())


def test_extra_state_goes_along() -> None:
    for lib in (tt, torch):
        source, target = counter(lib), counter(lib)
        source[0].count = 3
        state = source.state_dict()
        assert state == {"0._extra_state": {"count": 3}}
        assert repr(target.load_state_dict(state)) == "<All keys matched successfully>"
        assert target[0].count == 3


@pytest.mark.parametrize("state", [{}, {"0._extra_state": {"count": 1}, "1._extra_state": 3}])
def test_extra_state_that_is_missing_or_unexpected_is_an_error(state) -> None:
    messages = []
    for lib in (tt, torch):
        with pytest.raises(RuntimeError) as error:
            counter(lib).load_state_dict(state)
        messages.append(str(error.value))
    assert messages[0] == messages[1]


def test_extra_state_is_not_set_where_loading_fails() -> None:
    target = counter(tt)
    with pytest.raises(RuntimeError):
        target.load_state_dict({"0._extra_state": {"count": 1}, "more": tt.ones(1)})
    assert target[0].count == 0


@pytest.mark.parametrize("use", [lambda m: m.get_extra_state(), lambda m: m.set_extra_state(3)])
def test_extra_state_of_a_module_that_has_none_is_an_error_in_both(use) -> None:
    for lib in (tt, torch):
        with pytest.raises(RuntimeError, match="extra_state"):
            use(lib.nn.Tanh())


# -- a child with its own idea of its state -------------------------------------------------------


class Renamed(nn.Linear):
    def state_dict(self, *, destination=None, prefix="", keep_vars=False):
        found = super().state_dict(prefix=prefix, keep_vars=keep_vars)
        destination = {} if destination is None else destination
        destination.update({name.upper(): value for name, value in found.items()})
        return destination


def test_a_child_that_overrides_state_dict_is_asked() -> None:
    assert list(nn.Sequential(Renamed(1, 1)).state_dict()) == ["0.WEIGHT", "0.BIAS"]
