"""Hooks of modules are called when torch's are, with the same arguments, and can do the same."""

import collections
import copy
import gc
import pickle
import warnings
import weakref

import numpy as np
import pytest

import tinytensor as tt
from tinytensor import nn

from .peer import torch

Pair = collections.namedtuple("Pair", "first second")


def plain(value):
    """A value without its library: tensors as nested lists."""
    if isinstance(value, (tt.Tensor, torch.Tensor)):
        return np.asarray(value.detach()).round(12).tolist()
    if isinstance(value, (tuple, list)):
        return [plain(part) for part in value]
    return value


def both(case) -> None:
    """A case gives the same in both libraries: what it returns, what it logs, what it warns of."""
    results = []
    for lib in (tt, torch):
        log = []
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                result = plain(case(lib, log))
            except Exception as error:
                result = type(error)
        warned = [(item.category, str(item.message)[:60]) for item in caught]
        results.append((result, plain(log), warned))
    assert results[0] == results[1]


def double(lib):
    """A module that doubles its input, by whatever name it comes."""

    class Double(lib.nn.Module):
        def forward(self, x, bias=0):
            return 2 * x + bias

    return Double()


def leaf(lib, *numbers):
    return lib.tensor(numbers or (1.0, 2.0), dtype=lib.float64, requires_grad=True)


# -- round a call ---------------------------------------------------------------------------------


def registered_in_order(lib, log):
    m = double(lib)
    m.register_forward_hook(lambda m, a, y: log.append("after 1"))
    m.register_forward_hook(lambda m, a, y: log.append("after 2"))
    m.register_forward_hook(lambda m, a, y: log.append("after 0"), prepend=True)
    m.register_forward_pre_hook(lambda m, a: log.append("before 1"))
    m.register_forward_pre_hook(lambda m, a: log.append("before 0"), prepend=True)
    return m(leaf(lib), bias=3)


def arguments_of_hooks(lib, log):
    m = double(lib)
    m.register_forward_pre_hook(lambda m, a: log.append(a))
    m.register_forward_pre_hook(lambda m, a, k: log.append((a, dict(k).items())), with_kwargs=True)
    m.register_forward_hook(lambda m, a, y: log.append((a, y)))
    m.register_forward_hook(lambda m, a, k, y: log.append((a, *k.values(), y)), with_kwargs=True)
    log[1:2] = []
    return m(leaf(lib), bias=3)


def replaced_by_one(lib, log):
    m = double(lib)
    m.register_forward_pre_hook(lambda m, a: a[0] * 10)
    m.register_forward_pre_hook(lambda m, a: log.append(a))
    m.register_forward_hook(lambda m, a, y: y + 1)
    m.register_forward_hook(lambda m, a, y: (y, "more"))
    return m(leaf(lib))


def replaced_by_a_tuple(lib, log):
    m = double(lib)
    m.register_forward_pre_hook(lambda m, a: (a[0], 5))
    return m(leaf(lib))


def replaced_with_kwargs(lib, log):
    m = double(lib)
    m.register_forward_pre_hook(lambda m, a, k: (a, {"bias": 7}), with_kwargs=True)
    return m(leaf(lib))


def replaced_wrongly(lib, log):
    m = double(lib)
    m.register_forward_pre_hook(lambda m, a, k: a, with_kwargs=True)
    return m(leaf(lib))


def removed(lib, log):
    m = double(lib)
    handle = m.register_forward_hook(lambda m, a, y: log.append("first"))
    with m.register_forward_pre_hook(lambda m, a: log.append("second")):
        m(leaf(lib))
    m(leaf(lib))
    handle.remove()
    handle.remove()
    return m(leaf(lib))


def removed_by_itself(lib, log):
    m = double(lib)

    def once(m, a, y):
        log.append("once")
        handle.remove()

    handle = m.register_forward_hook(once)
    m.register_forward_hook(lambda m, a, y: log.append("always"))
    m(leaf(lib))
    return m(leaf(lib))


def failing(lib, log):
    m = double(lib)
    m.register_forward_hook(lambda m, a, y: log.append("never"))
    m.register_forward_hook(lambda m, a, y: log.append(("always", y)), always_call=True)
    m.register_forward_hook(
        lambda m, a, k, y: log.append(("always", a, *k.values())),
        always_call=True,
        with_kwargs=True,
    )
    return m(leaf(lib), bias="text")


def failing_in_a_hook(lib, log):
    m = double(lib)

    def fail(m, a, y):
        log.append("failed")
        raise KeyError("hook")

    m.register_forward_hook(lambda m, a, y: log.append(("done", y)), always_call=True)
    m.register_forward_hook(fail, always_call=True)
    m.register_forward_hook(lambda m, a, y: log.append(("still", y)), always_call=True)
    return m(leaf(lib))


def failing_twice(lib, log):
    m = double(lib)

    def fail(m, a, y):
        raise KeyError("hook")

    m.register_forward_hook(fail, always_call=True)
    m.register_forward_hook(lambda m, a, y: log.append("still"), always_call=True)
    return m("text", bias=3)


def of_a_child(lib, log):
    model = lib.nn.Sequential(double(lib), lib.nn.Tanh())
    model[0].register_forward_hook(lambda m, a, y: log.append((type(m).__name__, a, y)))
    return model(leaf(lib))


CALLS = [
    registered_in_order, arguments_of_hooks, replaced_by_one, replaced_by_a_tuple,
    replaced_with_kwargs, replaced_wrongly, removed, removed_by_itself, failing, failing_in_a_hook,
    failing_twice, of_a_child,
]  # fmt: skip


@pytest.mark.parametrize("case", CALLS)
def test_hooks_round_a_call_are_torchs(case) -> None:
    both(case)


def test_what_a_hook_records_is_in_the_scope_of_its_module() -> None:
    m = nn.Tanh()
    m.register_forward_hook(lambda m, a, y: y * 2)
    assert repr(m(tt.ones(1, requires_grad=True)).grad_fn.scope) == "Tanh"
    assert tt.ones(1, requires_grad=True).mul(2).grad_fn.scope is None


# -- round a backward pass ------------------------------------------------------------------------


def watched(lib, module, log):
    """The module, with hooks that note its gradients."""
    module.register_full_backward_pre_hook(lambda m, go: log.append(("pre", go)))
    module.register_full_backward_hook(lambda m, gi, go: log.append(("post", gi, go)))
    return module


def several(lib):
    class Several(lib.nn.Module):
        def forward(self, a, b, text=None):
            return a * 2, b * 3, 7

    return Several()


def of_one_input(lib, log):
    x = leaf(lib)
    watched(lib, double(lib), log)(x).sum().backward()
    return x.grad


def of_an_input_by_name(lib, log):
    x, bias = leaf(lib), leaf(lib)
    watched(lib, double(lib), log)(x, bias=bias).sum().backward()
    return x.grad, bias.grad


def of_several(lib, log):
    a, b = leaf(lib), leaf(lib)
    y = watched(lib, several(lib), log)(a, b, "text")
    (y[0].sum() + (y[1] * y[1]).sum()).backward()
    return a.grad, b.grad, y[2]


def of_one_of_several(lib, log):
    a, b = leaf(lib), leaf(lib)
    y = watched(lib, several(lib), log)(a, b)
    y[0].sum().backward()
    return a.grad, b.grad


def of_a_constant_among_several(lib, log):
    a, b = leaf(lib), leaf(lib).detach()
    y = watched(lib, several(lib), log)(a, b)
    log.append([y[0].requires_grad, y[1].requires_grad])
    y[0].sum().backward()
    return a.grad


def of_the_same_tensor_twice(lib, log):
    a = leaf(lib)
    y = watched(lib, several(lib), log)(a, a)
    (y[0] * y[1]).sum().backward()
    return a.grad


def without_inputs_that_require_grad(lib, log):
    m = watched(lib, lib.nn.Linear(2, 1).double(), log)
    m(leaf(lib).detach()).sum().backward()
    return m.weight.grad


def without_any_inputs(lib, log):
    class Constant(lib.nn.Module):
        def __init__(self):
            super().__init__()
            self.w = lib.nn.Parameter(lib.ones(2))

        def forward(self):
            return self.w * 2

    watched(lib, Constant(), log)().sum().backward()


def without_gradient(lib, log):
    m = watched(lib, double(lib), log)
    with lib.no_grad():
        return m(leaf(lib))


def untouched_without_gradient(lib, log):
    x = leaf(lib)
    m = watched(lib, lib.nn.Identity(), log)
    with lib.no_grad():
        inside = m(x) is x
    return inside, m(x) is x, m(x.detach()) is x


def of_a_parameter_alone(lib, log):
    x = leaf(lib, 1.0, 2.0)
    m = watched(lib, lib.nn.Linear(2, 1, bias=False).double(), log)
    return lib.autograd.grad(m(x).sum(), m.weight)


def of_a_list(lib, log):
    class Listed(lib.nn.Module):
        def forward(self, x):
            return [2 * x]

    x = leaf(lib)
    watched(lib, Listed(), log)(x)[0].sum().backward()
    return x.grad


def of_a_named_tuple(lib, log):
    class Named(lib.nn.Module):
        def forward(self, x):
            return Pair(2 * x, 3 * x)

    x = leaf(lib)
    y = watched(lib, Named(), log)(x)
    y.first.sum().backward()
    return x.grad, type(y).__name__


def of_a_nested_tuple(lib, log):
    class Nested(lib.nn.Module):
        def forward(self, x):
            return 2 * x, (3 * x, 4 * x)

    x = leaf(lib)
    first, (second, _) = watched(lib, Nested(), log)(x)
    (first.sum() + second.sum()).backward()
    return x.grad


def twice(lib, log):
    x = leaf(lib)
    y = watched(lib, double(lib), log)(x).sum()
    y.backward(retain_graph=True)
    y.backward()
    return x.grad


def of_two_calls(lib, log):
    x = leaf(lib)
    m = watched(lib, lib.nn.Tanh(), log)
    m(m(x)).sum().backward()
    return x.grad


def of_the_second_derivative(lib, log):
    x = leaf(lib)
    m = watched(lib, lib.nn.Tanh(), log)
    (g,) = lib.autograd.grad(m(x).sum(), x, create_graph=True)
    g.sum().backward()
    return x.grad


def scaled(lib, log):
    x = leaf(lib)
    m = lib.nn.Tanh()
    m.register_full_backward_hook(lambda m, gi, go: (gi[0] * 10,))
    m.register_full_backward_hook(lambda m, gi, go: log.append(gi))
    m.register_full_backward_pre_hook(lambda m, go: (go[0] * 3,))
    m.register_full_backward_pre_hook(lambda m, go: (go[0] + 1,), prepend=True)
    m.register_full_backward_hook(lambda m, gi, go: log.append(go), prepend=True)
    m(x).sum().backward()
    return x.grad


def scaled_in_a_second_derivative(lib, log):
    x = leaf(lib)
    m = lib.nn.Tanh()
    m.register_full_backward_hook(lambda m, gi, go: (gi[0] * gi[0],))
    (g,) = lib.autograd.grad(m(x).sum(), x, create_graph=True)
    log.append(g)
    return lib.autograd.grad(g.sum(), x)


def taken_away(lib, log):
    x = leaf(lib)
    m = lib.nn.Tanh()
    m.register_full_backward_hook(lambda m, gi, go: (None,))
    m(x).sum().backward()
    return x.grad


def of_a_call_with_hooks_that_replace(lib, log):
    x = leaf(lib)
    m = watched(lib, double(lib), log)
    m.register_forward_pre_hook(lambda m, a: a[0] * 5)
    m.register_forward_hook(lambda m, a, y: y * 7)
    m(x).sum().backward()
    return x.grad


def wrong_number(lib, log):
    x = leaf(lib)
    m = double(lib)
    m.register_full_backward_hook(lambda m, gi, go: (gi[0], gi[0]))
    m(x).sum().backward()


def wrong_number_before(lib, log):
    x = leaf(lib)
    m = double(lib)
    m.register_full_backward_pre_hook(lambda m, go: (go[0], go[0]))
    m(x).sum().backward()


def wrong_shape(lib, log):
    x = leaf(lib)
    m = double(lib)
    m.register_full_backward_hook(lambda m, gi, go: (lib.ones(3, dtype=lib.float64),))
    m(x).sum().backward()


def shape_that_could_be_summed(lib, log):
    x = leaf(lib)
    m = double(lib)
    m.register_full_backward_hook(lambda m, gi, go: (lib.ones(3, 2, dtype=lib.float64),))
    m(x).sum().backward()


def no_tensor(lib, log):
    x = leaf(lib)
    m = double(lib)
    m.register_full_backward_hook(lambda m, gi, go: ("text",))
    m(x).sum().backward()


def something_for_nothing(lib, log):
    m = lib.nn.Linear(2, 1).double()
    m.register_full_backward_hook(lambda m, gi, go: (lib.ones(2),))
    m(leaf(lib).detach()).sum().backward()


def something_for_an_unused_output(lib, log):
    a, b = leaf(lib), leaf(lib)
    m = several(lib)
    m.register_full_backward_pre_hook(lambda m, go: (go[0], go[0], None))
    m(a, b)[0].sum().backward()
    return a.grad, b.grad


def changed_input(lib, log):
    m = watched(lib, lib.nn.ReLU(inplace=True), log)
    m(leaf(lib) * 2)


def changed_output(lib, log):
    m = watched(lib, double(lib), log)
    m(leaf(lib)).add_(1)


BACKWARD = [
    of_one_input, of_an_input_by_name, of_several, of_one_of_several, of_a_constant_among_several,
    of_the_same_tensor_twice, without_inputs_that_require_grad, without_any_inputs,
    without_gradient, untouched_without_gradient, of_a_parameter_alone, of_a_list,
    of_a_named_tuple, of_a_nested_tuple, twice, of_two_calls, of_the_second_derivative, scaled,
    scaled_in_a_second_derivative, taken_away, of_a_call_with_hooks_that_replace, wrong_number,
    wrong_number_before, wrong_shape, shape_that_could_be_summed, no_tensor, something_for_nothing,
    something_for_an_unused_output, changed_input, changed_output,
]  # fmt: skip


@pytest.mark.parametrize("case", BACKWARD)
def test_hooks_round_a_backward_pass_are_torchs(case) -> None:
    both(case)


def test_a_view_through_a_hooked_module_is_named_as_torchs() -> None:
    m = nn.Tanh()
    m.register_full_backward_hook(lambda m, gi, go: None)
    assert m(tt.ones(1, requires_grad=True)).grad_fn.name() == "BackwardHookFunctionBackward"


def test_a_pre_hook_alone_brings_no_warning_that_it_comes_late() -> None:
    m = nn.Linear(1, 1)
    m.register_full_backward_pre_hook(lambda m, go: (go[0] * 3,))
    m(tt.ones(1)).sum().backward()
    assert m.weight.grad.item() == 3


def test_a_single_tensor_will_do_for_a_tuple_of_one() -> None:
    x = tt.ones(1, requires_grad=True)
    m = nn.Identity()
    m.register_full_backward_pre_hook(lambda m, go: go[0] * 3)
    m.register_full_backward_hook(lambda m, gi, go: gi[0] * 10)
    m(x).sum().backward()
    assert x.grad.item() == 30


def test_a_hooked_lstm_has_torchs_gradients() -> None:
    grads = []
    for lib in (tt, torch):
        lib.manual_seed(0)
        lstm = lib.nn.LSTM(2, 3).double()
        log = []
        watched(lib, lstm, log)
        x = lib.linspace(-1, 1, 8, dtype=lib.float64).reshape(4, 1, 2).requires_grad_()
        y, (h, c) = lstm(x)
        ((y * y).sum() + h.sum() + c.sum()).backward()
        grads.append([np.asarray(x.grad), *(np.asarray(log[1][k][0]) for k in (1, 2))])
        assert log[1][2][1] is None
    for mine, other in zip(*grads, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-6, atol=1e-8)


# -- round a state_dict ---------------------------------------------------------------------------


def hooked_model(lib, log):
    """A model whose second layer has all hooks round its state."""
    model = lib.nn.Sequential(lib.nn.Tanh(), lib.nn.Linear(1, 1))
    layer = model[1]
    layer.register_state_dict_pre_hook(
        lambda m, prefix, keep: log.append((type(m).__name__, prefix, keep))
    )
    layer.register_state_dict_post_hook(
        lambda m, state, prefix, meta: log.append(
            (type(m).__name__, list(state), prefix, meta["version"])
        )
    )
    layer.register_load_state_dict_pre_hook(
        lambda m, state, prefix, meta, strict, *lists: log.append(
            (type(m).__name__, sorted(state), prefix, strict, *map(list, lists))
        )
    )
    layer.register_load_state_dict_post_hook(
        lambda m, keys: log.append((type(m).__name__, m.bias.tolist(), keys.missing_keys))
    )
    return model


def values(lib, *names):
    return {name: lib.full((1, 1) if "weight" in name else (1,), 3.0) for name in names}


def saving(lib, log):
    return list(hooked_model(lib, log).state_dict(prefix="net.", keep_vars=True))


def loading(lib, log):
    model = hooked_model(lib, log)
    model.load_state_dict(values(lib, "1.weight", "1.bias"))
    return model[1].weight


def loading_what_does_not_fit(lib, log):
    model = hooked_model(lib, log)
    result = model.load_state_dict(values(lib, "1.bias", "more"), strict=False)
    return result.missing_keys, result.unexpected_keys, model[1].bias


def renaming(lib, log):
    model = hooked_model(lib, log)

    def rename(m, state, prefix, *rest):
        state[prefix + "weight"] = state.pop(prefix + "kernel")

    model[1].register_load_state_dict_pre_hook(rename)
    given = values(lib, "1.bias") | {"1.kernel": lib.full((1, 1), 5.0)}
    model.load_state_dict(given)
    return model[1].weight, list(given)


def renaming_at_the_top(lib, log):
    model = hooked_model(lib, log)

    def rename(m, state, prefix, *rest):
        state[prefix + "1.weight"] = state.pop(prefix + "1.kernel")

    model.register_load_state_dict_pre_hook(rename)
    given = values(lib, "1.bias") | {"1.kernel": lib.full((1, 1), 5.0)}
    model.load_state_dict(given)
    return model[1].weight, list(given)


def forgiving(lib, log):
    model = hooked_model(lib, log)
    model.register_load_state_dict_post_hook(lambda m, keys: keys.missing_keys.clear())
    result = model.load_state_dict(values(lib, "1.bias"))
    return result.missing_keys, model[1].bias


def complaining(lib, log):
    model = hooked_model(lib, log)
    model.register_load_state_dict_post_hook(lambda m, keys: keys.missing_keys.append("soul"))
    model.load_state_dict(values(lib, "1.weight", "1.bias"))


def giving_something_after_loading(lib, log):
    model = hooked_model(lib, log)
    model.register_load_state_dict_post_hook(lambda m, keys: keys)
    model.load_state_dict(values(lib, "1.weight", "1.bias"))


def giving_something_after_saving(lib, log):
    model = hooked_model(lib, log)
    model.register_state_dict_post_hook(lambda m, state, prefix, meta: state)
    model.state_dict()


def adding_after_saving(lib, log):
    model = hooked_model(lib, log)
    handle = model[1].register_state_dict_post_hook(
        lambda m, state, prefix, meta: state.update({prefix + "extra": 3})
    )
    first = list(model.state_dict())
    handle.remove()
    return first, list(model.state_dict())


STATE = [
    saving, loading, loading_what_does_not_fit, renaming, renaming_at_the_top, forgiving,
    complaining, giving_something_after_loading, giving_something_after_saving,
    adding_after_saving,
]  # fmt: skip


@pytest.mark.parametrize("case", STATE)
def test_hooks_round_a_state_dict_are_torchs(case) -> None:
    both(case)


def test_a_hook_sees_the_version_that_a_state_dict_of_torchs_carries() -> None:
    seen = []
    for lib in (tt, torch):
        model = lib.nn.Sequential(lib.nn.BatchNorm1d(1), lib.nn.Tanh())
        for module in model:
            module.register_load_state_dict_pre_hook(lambda m, s, p, meta, *rest: seen.append(meta))
        model.load_state_dict(torch.nn.Sequential(torch.nn.BatchNorm1d(1)).state_dict())
    assert seen == [{"version": 2}, {}] * 2


def test_a_complaint_of_a_hook_is_an_error_and_nothing_is_changed() -> None:
    model = nn.Linear(1, 1)
    model.register_load_state_dict_pre_hook(lambda *a: a[-1].append("no soul"))
    before = model.bias.item()
    with pytest.raises(RuntimeError, match="in loading state_dict for Linear:\n\tno soul"):
        model.load_state_dict(values(tt, "weight", "bias"))
    assert model.bias.item() == before


# -- copies ---------------------------------------------------------------------------------------


class Counting(nn.Module):
    """Counts its calls by a hook that is a method of its own, and keeps the handle."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.handle = self.register_forward_hook(self.count)

    def count(self, module: nn.Module, args: object, output: object) -> None:
        assert module is self
        self.calls += 1

    def forward(self, x: object) -> object:
        return x


def through_pickle(module: nn.Module) -> nn.Module:
    return pickle.loads(pickle.dumps(module))


@pytest.mark.parametrize("copied", [copy.deepcopy, through_pickle])
def test_a_copy_has_hooks_and_handles_of_its_own(copied) -> None:
    m = Counting()
    m(1)
    twin = copied(m)
    twin(1)
    twin(1)
    assert (m.calls, twin.calls) == (1, 3)
    twin.handle.remove()
    twin(1)
    m(1)
    assert (m.calls, twin.calls) == (2, 3)


def test_a_hook_that_was_unpickled_is_not_overwritten_by_a_later_one() -> None:
    m = Counting()
    key = m.handle.id
    for offset in range(1, 4):  # the keys that this process gives out next
        m._call_hooks.after[key + offset] = m._call_hooks.after[key]
    m.register_forward_hook(lambda m, a, y: None)
    m(1)
    assert m.calls == 4


def test_a_handle_outlives_its_module() -> None:
    handle = copy.deepcopy(nn.Tanh().register_forward_hook(lambda m, a, y: None))
    handle.remove()


def test_a_hooked_module_is_freed_without_the_garbage_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        m = watched(tt, nn.Linear(2, 1), [])
        gone = weakref.ref(m)
        loss = m(tt.ones(1, 2, requires_grad=True)).sum()
        loss.backward()
        del m, loss
        assert gone() is None
    finally:
        gc.enable()
