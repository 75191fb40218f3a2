"""Work in parts: all of it is done, errors come back, and BLAS is left as it was."""

import contextvars
import math
import os
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import threadpoolctl

import tinytensor as tt
from tinytensor import parallel
from tinytensor.nn import layers_kernel

VARIABLE = contextvars.ContextVar("VARIABLE", default="unset")


@pytest.fixture
def three(monkeypatch):
    """As if BLAS were set to three threads."""
    monkeypatch.setattr(parallel, "_blas_threads", lambda: 3)


def blas_threads():
    return [library["num_threads"] for library in parallel._blas().info()]


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize("count", [0, 1, 23, 24, 100])
def test_every_row_has_its_turn_once(count):
    seen = []
    parallel.in_parts(lambda start, end: seen.extend(range(start, end)), count)
    assert sorted(seen) == list(range(count))


@pytest.mark.usefixtures("three")
def test_parts_run_at_once_in_the_callers_context():
    all_there = threading.Barrier(3, timeout=30)
    seen = []
    VARIABLE.set("mine")

    def work(start, end):
        all_there.wait()
        seen.append((VARIABLE.get(), np.geterr()["over"], set(blas_threads())))

    with np.errstate(over="raise"):
        parallel.in_parts(work, 100)
    assert seen == [("mine", "raise", {1})] * 3


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize("failing", [0, 33, 66])
def test_an_error_in_a_part_is_raised_when_all_are_done(failing):
    done = []

    def work(start, end):
        if start == failing:
            raise KeyError(start)
        done.append(start)

    before = blas_threads()
    with pytest.raises(KeyError):
        parallel.in_parts(work, 100)
    assert sorted([*done, failing]) == [0, 33, 66]
    assert blas_threads() == before


def test_the_setting_of_blas_comes_back_however_the_users_overlap():
    before = blas_threads()
    with threadpoolctl.threadpool_limits(2):
        set_to = blas_threads()
        first, second = parallel._one_blas_thread(), parallel._one_blas_thread()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert set(blas_threads()) == {1}
        assert parallel.parts_of(1000) == 1
        second.__exit__(None, None, None)
        assert blas_threads() == set_to
    assert blas_threads() == before


def test_there_is_one_part_where_blas_has_one_thread_or_cannot_be_asked(monkeypatch):
    with threadpoolctl.threadpool_limits(1):
        assert parallel.parts_of(1000) == 1
    monkeypatch.setattr(parallel, "_blas", lambda: SimpleNamespace(lib_controllers=[]))
    assert parallel.parts_of(1000) == 1


@pytest.mark.parametrize("left", [-math.inf, math.inf])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("shape", [(4, 5, 6), (70, 60, 80), (300, 100, 200), (90, 300, 200)])
def test_a_product_is_numpys(shape, threads, left, monkeypatch):
    monkeypatch.setattr(parallel, "_blas_threads", lambda: threads)
    monkeypatch.setattr(parallel._Limit, "left", left)
    rows, inner, columns = shape
    rng = np.random.default_rng(0)
    a = rng.standard_normal((inner, rows)).T
    b = rng.standard_normal((inner, columns))
    np.testing.assert_allclose(parallel.matmul(a, b), a @ b, rtol=1e-12, atol=1e-12)
    out = np.full((rows, columns + 3), np.nan)[:, 3:]
    assert parallel.matmul(a, b, out) is out
    np.testing.assert_allclose(out, a @ b, rtol=1e-12, atol=1e-12)


def test_a_large_product_is_cut_into_parts_while_our_threads_are_in_use(monkeypatch):
    monkeypatch.setattr(parallel, "_blas_threads", lambda: 3)
    monkeypatch.setattr(parallel._Limit, "left", -math.inf)
    cut = []
    in_parts = parallel.in_parts
    monkeypatch.setattr(parallel, "in_parts", lambda *own: cut.append(own) or in_parts(*own))
    a = np.ones((300, 300))
    parallel.matmul(a, a)
    assert not cut
    in_parts(lambda start, end: None, 100)
    parallel.matmul(a, a)
    assert len(cut) == 1
    later = parallel._Limit.left + 2 * parallel._IN_USE
    monkeypatch.setattr(parallel, "monotonic", lambda: later)
    parallel.matmul(a, a)
    assert len(cut) == 1


@pytest.mark.parametrize("multiplications", [1, 1 << 25, 1 << 40])
@pytest.mark.parametrize("threads", [1, 3, 4])
def test_what_is_independent_runs_at_once_where_that_is_worth_it(
    threads, multiplications, monkeypatch
):
    monkeypatch.setattr(parallel, "_blas_threads", lambda: threads)
    ran_in = []

    def work(number):
        ran_in.append(threading.current_thread())
        return number

    assert parallel.at_once(work, [(number,) for number in range(3)], multiplications) == [0, 1, 2]
    own = [thread for thread in ran_in if thread is not threading.main_thread()]
    assert len(own) == (2 if threads == 3 and multiplications > 1 else 0)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_both_directions_of_a_layer_may_run_at_once(kind, monkeypatch):
    layer = getattr(tt.nn, kind)(3, 4, 2, bidirectional=True).double()
    x = tt.rand(5, 2, 3, dtype=tt.float64, requires_grad=True)
    found = []
    for threads in (1, 2):
        monkeypatch.setattr(parallel, "_WORTH_A_THREAD", -1)
        monkeypatch.setattr(parallel, "_blas_threads", lambda threads=threads: threads)
        output, _ = layer(x)
        gradients = tt.autograd.grad(output.square().sum(), (x, *layer.parameters()))
        found.append([y.detach().numpy() for y in (output, *gradients)])
    for alone, at_once in zip(*found, strict=True):
        np.testing.assert_array_equal(alone, at_once)


@pytest.mark.usefixtures("three")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")  # Python 3.12 and on
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_has_threads_of_its_own():
    parallel.in_parts(lambda start, end: None, 100)
    child = os.fork()
    if child == 0:
        seen = []
        try:
            parallel.in_parts(lambda start, end: seen.append(start), 100)
        finally:
            os._exit(0 if sorted(seen) == [0, 33, 66] else 1)
    _, status = os.waitpid(child, 0)
    assert status == 0


@pytest.mark.parametrize("in_parts", [False, True])
@pytest.mark.parametrize("work", [layers_kernel._LARGE_WORK - 1, layers_kernel._LARGE_WORK])
def test_large_scans_that_share_their_batch_out_walk_one_after_the_other(
    work, in_parts, monkeypatch
):
    monkeypatch.setattr(parallel, "_blas_threads", lambda: 2)
    ran_in = []

    def scan(number):
        ran_in.append(threading.current_thread())
        return number

    assert layers_kernel._side_by_side(scan, [(0,), (1,)], work, in_parts) == [0, 1]
    alone = in_parts and work == layers_kernel._LARGE_WORK
    assert len(set(ran_in)) == (1 if alone else 2)
