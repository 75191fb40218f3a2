"""Grad mode as block, decorator and switch, in threads; and NumPy's error state left alone."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinytensor as tt
from tests.autograd.side_by_side import gives_the_same, refused, torch

# -- recording or not


@gives_the_same
def test_blocks_nest_and_restore(lib):
    found = [lib.is_grad_enabled()]
    with lib.no_grad():
        found.append(lib.is_grad_enabled())
        with lib.enable_grad():
            found.append(lib.is_grad_enabled())
            with lib.no_grad(), lib.no_grad():
                found.append(lib.is_grad_enabled())
            found.append(lib.is_grad_enabled())
        found.append(lib.is_grad_enabled())
    with lib.set_grad_enabled(False):
        found.append(lib.is_grad_enabled())
        with lib.set_grad_enabled(True):
            found.append(lib.is_grad_enabled())
        found.append(lib.is_grad_enabled())
    with lib.inference_mode():
        found.append(lib.is_grad_enabled())
        with lib.inference_mode(False):
            found.append(lib.is_grad_enabled())
    found.append(lib.is_grad_enabled())
    return found


@gives_the_same
def test_an_exception_restores_as_well(lib):
    found = []
    blocks = (lib.no_grad, lib.inference_mode, lambda: lib.set_grad_enabled(False))
    for block in blocks:
        try:
            with block():
                raise KeyError
        except KeyError:
            found.append(lib.is_grad_enabled())

    @lib.no_grad()
    def fails():
        raise KeyError

    try:
        fails()
    except KeyError:
        found.append(lib.is_grad_enabled())
    return found


def test_a_block_may_be_entered_again_and_within_itself() -> None:
    """(In torch one that was entered within itself leaves recording off.)"""
    off = tt.no_grad()
    for _ in range(2):
        with off:
            assert not tt.is_grad_enabled()
            with off:
                assert not tt.is_grad_enabled()
            assert not tt.is_grad_enabled()
        assert tt.is_grad_enabled()


@gives_the_same
def test_decorators(lib):
    @lib.no_grad()
    def off(a, b=1):
        """Says so."""
        return lib.is_grad_enabled(), a, b

    @lib.no_grad
    def bare():
        return lib.is_grad_enabled()

    @lib.enable_grad()
    def on():
        return lib.is_grad_enabled(), bare()

    @lib.inference_mode()
    def inference():
        return lib.is_grad_enabled(), on()[0]

    @lib.set_grad_enabled(False)
    def switched():
        return lib.is_grad_enabled()

    found = [lib.is_grad_enabled(), off(2, b=3), bare(), on(), switched(), off.__doc__]
    with lib.no_grad():
        found += [on(), off(1)]
    return [*found, off.__name__, lib.is_grad_enabled()]


@gives_the_same
def test_a_decorated_function_may_call_itself(lib):
    @lib.no_grad()
    def down(n):
        return [lib.is_grad_enabled()] + (down(n - 1) if n else [])

    return down(3), lib.is_grad_enabled()


@gives_the_same
def test_a_method_may_be_decorated(lib):
    class Model:
        @lib.no_grad()
        def predict(self, x):
            return (x * 2).requires_grad

    return Model().predict(lib.ones(1, requires_grad=True))


@gives_the_same
def test_the_switch_stays_until_it_is_turned(lib):
    x = lib.ones(2, requires_grad=True)
    lib.set_grad_enabled(False)
    off = (x * 2).requires_grad
    lib.set_grad_enabled(True)
    return off, (x * 2).requires_grad


@gives_the_same
def test_what_is_made_without_recording_is_outside_the_graph(lib):
    x = lib.ones(2, requires_grad=True)
    with lib.no_grad():
        y = x * 2
        z = lib.ones(2, requires_grad=True)
        y2 = y * z
    (y * x * z).sum().backward()
    flags = [(t.requires_grad, t.is_leaf, t.grad_fn is None) for t in (y, z, y2)]
    return flags, x.grad, z.grad


@gives_the_same
def test_recording_again_inside(lib):
    x = lib.ones(2, requires_grad=True)
    with lib.no_grad():
        with lib.enable_grad():
            y = (x * 3).sum()
        y.backward()
    return x.grad


# -- generators


@gives_the_same
def test_the_body_of_a_decorated_generator_runs_in_the_mode_and_its_user_does_not(lib):
    found = []

    @lib.no_grad()
    def numbers(n):
        """Counts."""
        for k in range(n):
            found.append(lib.is_grad_enabled())
            got = yield k
            found.append((got, lib.is_grad_enabled()))
        return "end"

    def outer():
        found.append((yield from numbers(1)))

    for k in numbers(2):
        found.append((k, lib.is_grad_enabled()))
    steps = numbers(3)
    found += [next(steps), steps.send("sent"), lib.is_grad_enabled()]
    found += [list(outer()), numbers.__name__, numbers.__doc__, lib.is_grad_enabled()]
    return found


@gives_the_same
def test_errors_thrown_into_a_decorated_generator_and_closing_it(lib):
    found = []

    @lib.set_grad_enabled(False)
    def careful():
        for _ in range(3):
            try:
                yield lib.is_grad_enabled()
            except KeyError:
                found.append(("caught", lib.is_grad_enabled()))
            finally:
                found.append(("left", lib.is_grad_enabled()))

    steps = careful()
    found += [next(steps), steps.throw(KeyError()), lib.is_grad_enabled()]
    steps.close()
    found.append(lib.is_grad_enabled())
    steps = careful()
    next(steps)
    try:
        steps.throw(ValueError("mine"))
    except ValueError as error:
        found.append(str(error))
    return [*found, lib.is_grad_enabled()]


@gives_the_same
def test_two_decorated_generators_side_by_side(lib):
    @lib.no_grad()
    def off():
        for _ in range(3):
            yield lib.is_grad_enabled()

    @lib.enable_grad()
    def on():
        for _ in range(3):
            yield lib.is_grad_enabled()

    with lib.no_grad():
        inside = [(a, lib.is_grad_enabled(), b) for a, b in zip(off(), on(), strict=True)]
    return inside, [(a, lib.is_grad_enabled(), b) for a, b in zip(on(), off(), strict=True)]


# -- threads


def in_a_thread(work: Callable[[], Any]) -> Any:
    """What `work` gives in a new thread."""
    found: list[Any] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            found.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return found[0]


@gives_the_same
def test_a_new_thread_records(lib):
    with lib.no_grad():
        inside = in_a_thread(lib.is_grad_enabled)
    return inside, lib.is_grad_enabled()


@gives_the_same
def test_a_thread_does_not_switch_another(lib):
    in_a_thread(lambda: lib.set_grad_enabled(False) and None)
    return lib.is_grad_enabled()


@gives_the_same
def test_a_graph_of_one_thread_is_walked_in_another(lib):
    x = lib.tensor([1.0, 2.0], requires_grad=True)
    y = in_a_thread(lambda: (x**3).sum())
    in_a_thread(y.backward)
    return x.grad


def test_threads_train_side_by_side() -> None:
    def train(seed: int) -> float:
        x = tt.full((4,), 0.1 * (seed + 1), dtype=tt.float64).requires_grad_()
        for _ in range(50):
            x.grad = None
            (x.sin() * x.exp()).sum().backward()
            with tt.no_grad():
                x -= 0.01 * x.grad
        return float(x.sum().item())

    expected = [train(seed) for seed in range(4)]
    found: list[float] = [0.0] * 4

    def work(seed: int) -> None:
        found[seed] = train(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == expected


def test_tasks_of_an_event_loop() -> None:
    async def task(k: int) -> float:
        x = tt.tensor([float(k)], requires_grad=True)
        y = (x / 0).exp() * 0 + x * x
        await asyncio.sleep(0)
        y.sum().backward()
        return y.item()

    async def both() -> list[float]:
        return await asyncio.gather(task(1), task(2))

    assert np.isnan(asyncio.run(both())).all()


# -- NumPy's floating-point error state

DISASTERS: dict[str, Callable[[Any], Any]] = {
    "log 0": lambda lib: lib.zeros(2).log(),
    "log of a negative number": lambda lib: lib.log(lib.tensor([-1.0])),
    "1 / 0": lambda lib: 1 / lib.zeros(2),
    "0 / 0": lambda lib: lib.zeros(2) / lib.zeros(2),
    "x / 0 by a number": lambda lib: lib.ones(2) / 0,
    "whole / 0": lambda lib: lib.tensor([1, 0]) / lib.tensor([0, 0]),
    "exp overflows": lambda lib: lib.tensor([1000.0]).exp(),
    "exp underflows": lambda lib: lib.tensor([-100.0, -1000.0]).exp(),
    "a product overflows": lambda lib: lib.tensor([1e30]) * 1e30,
    "a product underflows": lambda lib: lib.tensor([1e-30]) * lib.tensor([1e-30]),
    "a number too large": lambda lib: lib.ones(1) * 1e300,
    "inf - inf": lambda lib: lib.tensor([np.inf]) - lib.tensor([np.inf]),
    "0 * inf": lambda lib: lib.tensor([np.inf]) * 0,
    "sum overflows": lambda lib: lib.tensor([3e38, 3e38]).sum(),
    "mean of nothing": lambda lib: lib.zeros(0).mean(),
    "matmul overflows": lambda lib: lib.full((2, 2), 1e30) @ lib.full((2, 2), 1e30),
    "pow": lambda lib: lib.tensor([0.0, -8.0]) ** -0.5,
    "sqrt": lambda lib: lib.tensor([-1.0]).sqrt(),
    "softmax of -inf": lambda lib: lib.full((3,), -np.inf).softmax(0),
    "softmax of large": lambda lib: lib.tensor([1e38, -1e38]).softmax(0),
    "log_softmax": lambda lib: lib.tensor([1e38, -np.inf]).log_softmax(0),
    "logsumexp": lambda lib: lib.logsumexp(lib.full((3,), -np.inf), 0),
    "sigmoid of large": lambda lib: lib.tensor([-1000.0, 1000.0]).sigmoid(),
    "float64 to float32": lambda lib: lib.tensor([1e300], dtype=lib.float64).float(),
    "float32 to float16": lambda lib: lib.tensor([1e30]).half(),
    "a tensor of a large number": lambda lib: lib.tensor([1e300, 1.0]),
    "a Tensor of a large number": lambda lib: lib.Tensor([1e300, 1.0]),
    "comparing": lambda lib: lib.tensor([np.nan, np.inf]) > lib.tensor([1.0, np.nan]),
    "maximum": lambda lib: lib.maximum(lib.tensor([np.nan]), lib.ones(1)),
    "in place": lambda lib: lib.zeros(2).log_().mul_(0).add_(np.inf),
    "assigned": lambda lib: _assigned(lib),
    "gradient": lambda lib: _gradient(lib, lambda x: x.log() + x.sqrt() + 1 / x),
    "gradient of exp": lambda lib: _gradient(lib, lambda x: ((x + 1) * 1000).exp()),
    "second order": lambda lib: _second_order(lib),
    "accumulated": lambda lib: _accumulated(lib),
    "an index": lambda lib: _gradient(lib, lambda x: 1 / x[lib.tensor([0, 0])] - 1 / x[:1]),
}


def _assigned(lib: Any) -> Any:
    x = lib.zeros(3)
    x[0] = lib.tensor(1e300, dtype=lib.float64)
    x[1] = np.inf
    x[1:] -= x[1:].clone()
    return x


def _gradient(lib: Any, f: Callable[[Any], Any]) -> Any:
    x = lib.zeros(2, requires_grad=True)
    f(x).sum().backward()
    return x.grad


def _second_order(lib: Any) -> Any:
    x = lib.zeros(2, requires_grad=True)
    (g,) = lib.autograd.grad((x.log() * x).sum(), x, create_graph=True)
    return lib.autograd.grad(g.sum(), x)[0]


def _accumulated(lib: Any) -> Any:
    x = lib.ones(1, requires_grad=True)
    for factor in (3e38, 3e38, -np.inf):
        (x * factor).sum().backward()
    return x.grad


@pytest.mark.parametrize("name", DISASTERS)
def test_a_floating_point_disaster_is_silent_and_gives_the_numbers_of_torch(name: str) -> None:
    """Warnings are errors in these tests, so one that reached the user would fail."""
    expected = DISASTERS[name](torch).detach().numpy()
    found = DISASTERS[name](tt).detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-37, strict=True)


@pytest.mark.parametrize("name", DISASTERS)
def test_the_users_wish_for_errors_is_not_for_us(name: str) -> None:
    with np.errstate(all="raise"):
        before = np.geterr()
        found = DISASTERS[name](tt)
        repr(found)
        assert np.geterr() == before
        with pytest.raises(FloatingPointError):
            np.ones(1) / np.zeros(1)
    assert in_a_thread(lambda: DISASTERS[name](tt)) is not None


def test_the_users_error_state_is_left_after_an_error_of_ours() -> None:
    with np.errstate(all="raise", under="ignore"):
        before = np.geterr()
        with pytest.raises(RuntimeError):
            tt.ones(2) @ tt.ones(3)
        with pytest.raises(RuntimeError):
            tt.ones(2).backward()
        assert np.geterr() == before


def test_making_tensors_is_silent_under_the_strictest_state() -> None:
    with np.errstate(all="raise"):
        tt.manual_seed(0)
        for made in (
            tt.randn(1000),
            tt.rand(100),
            tt.zeros(100).normal_(0, 1e-30),
            tt.bernoulli(tt.full((10,), 0.5)),
            tt.randperm(10),
            tt.randint(5, (10,)),
            tt.linspace(0, 1e-38, 5),
            tt.arange(0, 1e-38, 1e-39),
            tt.zeros(3).uniform_(0, 1e-40),
            tt.tensor([1e-320, 1e300, -1e300]),
            tt.eye(3),
        ):
            repr(made)


@pytest.mark.parametrize("mode", [tt.no_grad, tt.inference_mode, tt.enable_grad])
def test_a_mode_may_decorate_without_brackets(mode: Any) -> None:
    x = tt.ones(2, requires_grad=True)

    @mode
    def doubled() -> Any:
        """Twice x."""
        return x * 2

    assert doubled().requires_grad is (mode is tt.enable_grad)
    assert doubled.__doc__ == "Twice x."
    assert tt.is_grad_enabled()


@refused(TypeError, "expected a bool, got int")
def test_a_mode_that_is_no_bool(lib):
    lib.set_grad_enabled(1)
