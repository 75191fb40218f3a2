"""Hooks of an optimiser: when they run, what they may replace, how they end."""

import copy
import importlib

import pytest

import tinytensor as tt
from tinytensor import optim
from tinytensor.optim import optimizer as base


def made(lib=tt):
    p = lib.ones(1, requires_grad=True)
    p.grad = lib.ones(1)
    return p, lib.optim.SGD([p], lr=0.25)


def test_step_hooks_run_in_torchs_order_and_with_its_arguments() -> None:
    torch = pytest.importorskip("torch")
    logs = []
    for lib, module in ((tt, base), (torch, importlib.import_module("torch.optim.optimizer"))):
        p, optimizer = made(lib)
        log: list = []

        def note(name, log=log, p=p, optimizer=optimizer):
            def hook(seen, args, kwargs):
                log.append((name, seen is optimizer, args[0] is optimizer, kwargs, p.item()))

            return hook

        handles = [
            optimizer.register_step_post_hook(note("after")),
            optimizer.register_step_pre_hook(note("before")),
            optimizer.register_step_pre_hook(note("before, too")),
            module.register_optimizer_step_pre_hook(note("before all")),
            module.register_optimizer_step_post_hook(note("after all")),
        ]
        optimizer.step()
        optimizer.step(closure=None)
        for handle in handles:
            handle.remove()
        optimizer.step()
        logs.append(log)
    assert logs[0] == logs[1]
    assert [entry[0] for entry in logs[0][:5]] == [
        "before all", "before", "before, too", "after", "after all",
    ]  # fmt: skip
    assert len(logs[0]) == 10


def test_a_pre_hook_may_replace_the_arguments_and_nothing_else() -> None:
    _, optimizer = made()
    handle = optimizer.register_step_pre_hook(lambda seen, args, kwargs: ((seen, lambda: 7), {}))
    assert optimizer.step() == 7
    handle.remove()
    assert optimizer.step() is None
    optimizer.register_step_pre_hook(lambda *_: 3)
    with pytest.raises(RuntimeError, match=r"must return None or a tuple of \(new_args"):
        optimizer.step()


def test_a_step_that_calls_the_one_above_it_runs_the_hooks_once() -> None:
    class Careful(optim.SGD):
        def step(self, closure: object = None) -> None:
            super().step()
            super().step()

    p = tt.ones(1, requires_grad=True)
    p.grad = tt.ones(1)
    optimizer = Careful([p], lr=0.25)
    calls = []
    optimizer.register_step_post_hook(lambda *_: calls.append(p.item()))
    optimizer.step()
    assert calls == [0.5]


def test_lbfgs_runs_its_hooks() -> None:
    p = tt.ones(1, requires_grad=True)
    optimizer = optim.LBFGS([p])
    calls = []
    optimizer.register_step_pre_hook(lambda *_: calls.append("before"))
    optimizer.register_step_post_hook(lambda *_: calls.append("after"))

    def closure() -> tt.Tensor:
        calls.append("closure")
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert (calls[0], calls[1], calls[-1]) == ("before", "closure", "after")


def test_state_dict_hooks_run_in_torchs_order_and_may_replace_the_state() -> None:
    torch = pytest.importorskip("torch")
    logs = []
    for lib in (tt, torch):
        _, optimizer = made(lib)
        log: list = []
        register = optimizer.register_state_dict_pre_hook
        register(lambda seen, log=log: log.append("before saving"))
        register(lambda seen, log=log: log.append("before that"), prepend=True)
        optimizer.register_state_dict_post_hook(lambda seen, state: {**state, "note": 3})
        optimizer.register_state_dict_post_hook(
            lambda seen, state, log=log: log.append(list(state))
        )
        state = optimizer.state_dict()
        assert state["note"] == 3

        def with_lr(seen, state):
            state = copy.deepcopy(state)
            state["param_groups"][0]["lr"] = 0.5
            return state

        optimizer.register_load_state_dict_pre_hook(with_lr)
        optimizer.register_load_state_dict_post_hook(
            lambda seen, log=log: log.append(seen.param_groups[0]["lr"])
        )
        optimizer.load_state_dict(state)
        assert state["param_groups"][0]["lr"] == 0.25
        logs.append(log)
    assert logs[0] == logs[1]
    assert logs[0] == ["before that", "before saving", ["state", "param_groups", "note"], 0.5]


def test_a_copy_has_no_hooks() -> None:
    _, optimizer = made()
    calls = []
    optimizer.register_step_post_hook(lambda *_: calls.append(1))
    copy.deepcopy(optimizer).step()
    assert calls == []
    optimizer.step()
    assert calls == [1]
