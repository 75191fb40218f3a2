"""Depth and memory: no recursion, no cycles, linear work, nothing left of a finished step."""

import gc
import resource
import subprocess
import sys
import textwrap
import tracemalloc
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tinytensor as tt
from tinytensor import nn, optim
from tinytensor.autograd.primitive import PRIMITIVES, primitive

# -- depth


def run_alone(program: str) -> str:
    """What a program prints in a Python of its own, where a crash can be seen."""
    start = "import sys, tinytensor as tt\nassert sys.getrecursionlimit() == 1000\n"
    command = [sys.executable, "-W", "error", "-c", start + textwrap.dedent(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_chain_of_a_million_operations() -> None:
    printed = run_alone(
        """
        x = tt.ones(1, requires_grad=True)
        y = x
        for _ in range(1_000_000):
            y = y + 1.0
        y.backward()
        print(y.item(), x.grad.item())
        del y
        print("freed")
        """
    )
    assert printed.split() == ["1000001.0", "1.0", "freed"]


@pytest.mark.parametrize(
    "step",
    [
        "y = y * w",
        "y = w + y",
        "y = tt.cat([y, w])[:1]",
        "y = tt.stack([y, w]).unbind()[0]",
        "y = y.split(1)[0] + 0.0",
        "y.add_(w)",
        "y[0] = y[0] + w[0]",
        "y = tt.where(y > 0, y, w)",
        "y = y.reshape(1, 1).sum(0)",
    ],
)
def test_a_deep_graph_of_any_operation_is_walked_and_freed(step: str) -> None:
    printed = run_alone(
        f"""
        for walked in (True, False):
            w = tt.ones(1, requires_grad=True)
            y = w * 1
            for _ in range(10_000):
                {step}
            if walked:
                y.sum().backward()
                assert w.grad is not None
            del y, w
        print("freed")
        """
    )
    assert printed == "freed"


def test_a_deep_graph_of_gradients() -> None:
    printed = run_alone(
        """
        x = tt.ones(1, dtype=tt.float64, requires_grad=True)
        y = x
        for _ in range(10_000):
            y = y * x
        (g,) = tt.autograd.grad(y.sum(), x, create_graph=True)
        (h,) = tt.autograd.grad(g.sum(), x)
        print(g.item(), h.item())
        del y, g, h
        """
    )
    assert printed == f"10001.0 {10001.0 * 10000.0}"


# -- linear in time


class Allocations:
    """The memory that was allocated in passing between one call of `note` and the next."""

    def __init__(self) -> None:
        self.total = 0
        self.before = 0

    def note(self) -> None:
        now, peak = tracemalloc.get_traced_memory()
        self.total += max(0, peak - max(now, self.before))
        self.before = now
        tracemalloc.reset_peak()


@pytest.fixture
def noted() -> Iterator[Callable[[Any], Any]]:
    """The operation y = x, whose rule notes what was allocated since the rule before it."""
    allocations = Allocations()

    @primitive(lambda g: allocations.note() or g)
    def noted_identity(x: Any) -> Any:
        return np.array(x)

    noted_identity.allocations = allocations  # type: ignore[attr-defined]
    tracemalloc.start()
    yield noted_identity
    tracemalloc.stop()
    del PRIMITIVES["noted_identity"]


LOOPS: dict[str, Callable[[Any, Any, int], Any]] = {
    "leaf": lambda noted, x, t: noted(x[t]).sum(),
    "two indices": lambda noted, x, t: noted(x[t, 1:]).sum(),
    "a stretch": lambda noted, x, t: noted(x[t : t + 2]).sum(),
    "a tensor": lambda noted, x, t: noted(x[tt.tensor([t, 0])]).sum(),
}


@pytest.mark.parametrize("inner", [False, True], ids=["leaf", "inner"])
@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_over_steps_of_x_is_linear_in_their_number(
    name: str, inner: bool, noted: Any
) -> None:
    """In passing no more is allocated than some copies of x, however many steps there are."""
    in_copies_of_x = []
    for steps in (50, 200):
        leaf = tt.ones(steps, 1000, requires_grad=True)
        x = leaf * 1 if inner else leaf
        loss = sum(LOOPS[name](noted, x, t) for t in range(steps))
        noted.allocations.__init__()
        noted.allocations.note()
        noted.allocations.total = 0
        loss.backward()
        noted.allocations.note()
        in_copies_of_x.append(noted.allocations.total / leaf.detach().numpy().nbytes)
        assert leaf.grad.sum().item() > 0
    assert max(in_copies_of_x) < 6, in_copies_of_x


def test_the_measure_of_allocations_sees_a_quadratic_loop(noted: Any) -> None:
    x = tt.ones(50, 1000, requires_grad=True)
    loss = sum((noted(x * 1.0)[t] * 1.0).sum() for t in range(50))
    noted.allocations.note()
    noted.allocations.total = 0
    loss.backward()
    noted.allocations.note()
    assert noted.allocations.total > 40 * x.detach().numpy().nbytes


# -- nothing stays


def counts() -> Counter[str]:
    """How many objects of ours there are, by class."""
    kinds = (type(o) for o in gc.get_objects())
    return Counter(k.__name__ for k in kinds if str(k.__module__).startswith("tinytensor"))


def a_layer(w: Any) -> None:
    x = tt.ones(4, 3)
    ((x @ w).tanh().softmax(-1) ** 2).sum().backward()


def a_loop_over_time(w: Any) -> None:
    x = tt.ones(5, 3, requires_grad=True)
    h = tt.zeros(3)
    for t in range(5):
        h = (x[t] + h @ w).tanh()
    h.sum().backward()


def a_graph_that_is_dropped(w: Any) -> None:
    (w * w).exp().sum()


def several_outputs(w: Any) -> None:
    a, b, c = w.unbind()
    d, _ = (a * b).split([1, 2])
    (d.sum() * c).sum().backward()


def writes(w: Any) -> None:
    y = w * 1
    y[0] = 3.0
    y[1:].mul_(2)
    y.t()[0].add_(y[1].sum())
    y[y > 2] = 0.5
    y[tt.tensor([0, 2])] = tt.ones(3)
    y.exp_()
    (y * y).sum().backward()


def writes_without_a_backward(w: Any) -> None:
    y = w * 1
    view = y[0]
    view.mul_(2)
    y.add_(1)
    repr(view)


def a_plain_tensor_written_to(w: Any) -> None:
    out = tt.zeros(3, 3)
    for t in range(3):
        out[t] = w[t] * 2
    out.sum().backward()


def the_second_order(w: Any) -> None:
    (g,) = tt.autograd.grad((w**3).sum(), w, create_graph=True)
    (g * g).sum().backward()


def create_graph_and_grad_cleared(w: Any) -> None:
    (w**3).sum().backward(create_graph=True)
    w.grad = None


def retain_graph_and_retain_grad(w: Any) -> None:
    h = w * 2
    h.retain_grad()
    y = (h * h).sum()
    y.backward(retain_graph=True)
    y.backward(retain_graph=True)


def a_refused_backward(w: Any) -> None:
    h = w * 2
    y = (h * h).sum()
    h.add_(1)
    try:
        y.backward()
    except RuntimeError:
        pass


def inner_gradients(w: Any) -> None:
    h = w * 2
    (h * h).sum().backward(inputs=[h, w])
    tt.autograd.grad((h * 3).sum(), h)


def without_recording(w: Any) -> None:
    with tt.no_grad():
        v = w[0]
        v.mul_(1.0)
        w.add_(0.0)


STEPS = [
    a_layer,
    a_loop_over_time,
    a_graph_that_is_dropped,
    several_outputs,
    writes,
    writes_without_a_backward,
    a_plain_tensor_written_to,
    the_second_order,
    create_graph_and_grad_cleared,
    retain_graph_and_retain_grad,
    a_refused_backward,
    inner_gradients,
    without_recording,
]


@pytest.fixture
def no_collector() -> Iterator[None]:
    """The cyclic garbage collector is off: what is in a cycle stays, and is seen."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("step", STEPS)
def test_nothing_of_a_finished_step_stays(step: Callable[[Any], None], no_collector: None) -> None:
    w = tt.rand(3, 3, requires_grad=True)
    step(w)
    w.grad = None
    gc.collect()
    before = counts()
    for _ in range(3):
        step(w)
        w.grad = None
    assert counts() - before == Counter()


def test_arrays_and_nodes_die_with_the_last_name(no_collector: None) -> None:
    w = tt.rand(3, 3, requires_grad=True)
    h = w.exp()
    y = (h * h).sum()
    tensors = [weakref.ref(h), weakref.ref(y)]
    nodes = [weakref.ref(h.grad_fn), weakref.ref(y.grad_fn)]
    arrays = [weakref.ref(h.detach().numpy()), weakref.ref(y.detach().numpy())]
    y.backward()
    del h
    assert tensors[0]() is None
    assert arrays[0]() is None
    assert nodes[0]() is not None
    del y
    assert not any(r() is not None for r in (*tensors, *nodes, *arrays))


def test_a_tensor_on_foreign_memory_lets_it_go(no_collector: None) -> None:
    class Marked(np.ndarray):
        pass

    memory = np.ones(3).view(Marked)
    gone = weakref.ref(memory)
    x = tt.from_numpy(np.asarray(memory))
    y = x * 2
    del memory, x
    assert gone() is None
    assert y.sum().item() == 6


def bytes_of_arrays() -> int:
    """The memory that NumPy holds for elements, as far as tracemalloc has seen it allocated."""
    numpy_only = tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)
    traces = tracemalloc.take_snapshot().filter_traces([numpy_only]).traces
    return sum(trace.size for trace in traces)


def test_two_thousand_steps_do_not_grow_the_process(no_collector: None) -> None:
    w = tt.rand(3, 3, requires_grad=True)
    b = tt.zeros(3, requires_grad=True)
    velocity = tt.zeros(3, 3)

    def train(steps: int) -> None:
        for _ in range(steps):
            x = tt.rand(4, 3)
            out = tt.zeros(2, 4, 3)
            out[0] = (x @ w + b).tanh()
            out[1] = (x @ w).sigmoid()
            loss = (out.softmax(-1)[:, 1:] ** 2).mean()
            loss.backward()
            with tt.no_grad():
                velocity.mul_(0.9).add_(w.grad)
                w.sub_(velocity * 0.01)
                b.add_(b.grad * -0.01)
            w.grad = b.grad = None

    train(5000)  # Python's own free lists fill up
    blocks = sys.getallocatedblocks()
    train(2000)
    assert sys.getallocatedblocks() - blocks < 200
    tracemalloc.start()
    train(10)
    arrays = bytes_of_arrays()
    train(100)
    assert bytes_of_arrays() == arrays
    tracemalloc.stop()


# -- no more than needed at once


def arrays_at_most(work: Callable[[], object], size: int) -> float:
    """The most memory that `work` held beyond what there was, in arrays of `size` bytes."""
    tracemalloc.start()
    start, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    work()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (peak - start) / size


def test_gradients_are_dropped_as_the_walk_goes_on() -> None:
    x = tt.zeros(100_000, requires_grad=True)
    y = x
    for _ in range(30):
        y = y.sin()
    loss = y.sum()
    assert arrays_at_most(loss.backward, x.detach().numpy().nbytes) < 6


def test_without_recording_only_the_last_value_is_held() -> None:
    x = tt.zeros(100_000, requires_grad=True)

    def forward() -> Any:
        y = x
        with tt.no_grad():
            for _ in range(30):
                y = y.sin()
        return y

    assert arrays_at_most(forward, x.detach().numpy().nbytes) < 3.5


def test_views_hold_no_memory_of_their_own() -> None:
    x = tt.zeros(50, 20_000, requires_grad=True)

    def look() -> Any:
        views = [x[i] for i in range(50)]
        return views, x.t(), x.expand(10, 50, 20_000), x.reshape(-1), x.detach(), x.unbind()

    assert arrays_at_most(look, x.detach().numpy().nbytes) < 0.1


def trained_lstm() -> Callable[[int], None]:
    """A function that takes steps of a real training: LSTM, Linear, Adam, clipping."""
    tt.manual_seed(0)
    lstm = nn.LSTM(2, 4, 2, bidirectional=True)
    readout = nn.Linear(8, 1)
    parameters = [*lstm.parameters(), *readout.parameters()]
    optimizer = optim.Adam(parameters)
    x = tt.rand(3, 2, 2)

    def train(steps: int) -> None:
        for _ in range(steps):
            loss = readout(lstm(x)[0]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()

    return train


def test_training_an_lstm_leaves_no_object_behind(no_collector: None) -> None:
    train = trained_lstm()
    train(20)
    before = len(gc.get_objects())
    train(500)
    assert len(gc.get_objects()) - before < 20


@pytest.mark.long
def test_ten_thousand_steps_of_an_lstm_do_not_grow_the_process(no_collector: None) -> None:
    train = trained_lstm()
    train(5000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    train(10_000)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1000  # kB
