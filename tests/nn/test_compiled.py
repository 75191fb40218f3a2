"""The LSTM's compiled scans leave what those on whole arrays leave, and run where they should."""

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

import tinytensor as tt
from tinytensor import parallel
from tinytensor.nn import lstm_kernel
from tinytensor.nn.compiled import choice
from tinytensor.nn.steps import Steps

pytest.importorskip("numba")

from tinytensor.nn.compiled import layers as compiled_layers
from tinytensor.nn.compiled import loops
from tinytensor.nn.compiled import lstm as compiled_lstm

ARRAYS = (lstm_kernel._scan_forward, lstm_kernel._scan_backward)
LOOPS = (compiled_lstm.scan_forward, compiled_lstm.scan_backward)

LENGTHS = {
    "equal": (3,) * 7,
    "unequal": (6, 6, 5, 2, 2, 1),
    "some-empty": (2, 1),
    "one-step": (4,),
    "single": (1,) * 9,
    "no-steps": (),
}


class Problem:
    """One scan's inputs; the batch has a sequence without steps where the lengths allow."""

    def __init__(self, sizes, inputs, size, dtype, bias=True, seed=0):
        rng = np.random.default_rng(seed)

        def random(*shape):
            return rng.standard_normal(shape).astype(dtype)

        batch = max(sizes, default=3) + (len(set(sizes)) > 1)
        self.steps = Steps(sizes, batch)
        rows = sum(sizes)
        self.x = random(rows, inputs)
        self.state = random(batch, size), random(batch, size)
        biases = (random(4 * size), random(4 * size)) if bias else (None, None)
        scale = size**-0.5
        w_ih, w_hh = random(4 * size, inputs) * scale, random(4 * size, size) * scale
        self.weights = (w_ih.astype(dtype), w_hh.astype(dtype), *biases, None, None)
        self.dy = random(rows, size)
        self.d_last = random(batch, size), random(batch, size)
        self.h_out = np.full((rows, size), np.nan, dtype)

    def forward(self, scan, reverse):
        return scan(self.x, self.state, self.weights, reverse, self.h_out, self.steps)

    def backward(self, scan, saved, reverse, needs_x=True, needs=(True,) * 4 + (False,) * 2):
        d_last = tuple(part.copy() for part in self.d_last)
        upstream = [self.dy, *[None] * 5]
        dx, d_first, gradients = scan(
            saved, self.x, self.weights, upstream, d_last, reverse, self.steps, needs_x, needs
        )
        return [dx, *d_first, *gradients]


def assert_same(ours, theirs, dtype):
    """Equal within rounding: of the largest of each array, as sums of many terms lose that much."""
    tolerance = 1e-12 if dtype == "float64" else 4e-6
    for a, b in zip(ours, theirs, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert a.shape == b.shape
            assert a.dtype == b.dtype
            scale = np.abs(b).max(initial=1)
            np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * scale)


@pytest.fixture(params=["loop", "loop-in-parts", "steps", "steps-in-parts"])
def walk(request, monkeypatch):
    """How a compiled scan walks: one loop, or Python from step to step; all at once or in parts."""
    if request.param.startswith("steps"):
        monkeypatch.setattr(compiled_lstm, "_LARGEST_STEP", 0)
        monkeypatch.setattr(compiled_lstm, "_LARGEST_PART", 0)
    if request.param.endswith("parts"):
        monkeypatch.setattr(compiled_lstm, "_WORTH_PARTS", -1)
        monkeypatch.setattr(parallel, "_SMALLEST_PART", 1)
        monkeypatch.setattr(parallel, "_blas_threads", lambda: 3)


@pytest.mark.usefixtures("walk")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("size", [1, 4, 13, 32])
@pytest.mark.parametrize("lengths", LENGTHS)
def test_both_forms_leave_the_same_and_take_each_others_memory(lengths, size, reverse, dtype):
    problem = Problem(LENGTHS[lengths], 5, size, dtype, bias=size != 13)
    expected, expected_last = problem.forward(ARRAYS[0], reverse)
    kept = [None if part is None else part.copy() for part in expected]
    saved, last = problem.forward(LOOPS[0], reverse)
    assert_same([*saved, *last], [*kept, *expected_last], dtype)
    gradients = problem.backward(ARRAYS[1], expected, reverse)
    for mine, backward in ((saved, LOOPS[1]), (saved, ARRAYS[1]), (expected, LOOPS[1])):
        assert_same(problem.backward(backward, mine, reverse), gradients, dtype)


@pytest.mark.parametrize("inputs", [1, 7000])
def test_an_input_of_any_width_is_multiplied_right(inputs):
    problem = Problem((6,) * 10, inputs, 8, "float64")
    expected, _ = problem.forward(ARRAYS[0], False)
    gates = expected.gates.copy()
    saved, _ = problem.forward(LOOPS[0], False)
    assert_same([saved.gates], [gates], "float64")


@pytest.mark.parametrize("sizes", [(2, 2, 1), (2, 2, 2)])
@pytest.mark.parametrize("wanted", [(0,), (1,), (2, 3), (4,), (0, 1), (0, 1, 2, 3)])
def test_only_the_gradients_asked_for_are_made(wanted, sizes):
    problem = Problem(sizes, 3, 4, "float64")
    saved, _ = problem.forward(LOOPS[0], False)
    needs = [k in wanted for k in range(4)] + [False] * 2
    gradients = [
        problem.backward(scan, saved, False, 4 in wanted, needs) for scan in (LOOPS[1], ARRAYS[1])
    ]
    assert_same(*gradients, "float64")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_memory_in_any_layout_gives_the_same_and_compiles_nothing_anew(dtype):
    plain = Problem((3,) * 5, 6, 4, dtype)
    plain.dy[:] = 0.5
    saved, _ = plain.forward(LOOPS[0], True)
    gradients = plain.backward(LOOPS[1], saved, True)
    forms = [len(loop.signatures) for loop in (loops.lstm_forward, loops.lstm_backward)]
    odd = Problem((3,) * 5, 6, 4, dtype)
    odd.x = np.asfortranarray(odd.x)
    odd.weights = tuple(None if w is None else np.asfortranarray(w) for w in odd.weights)
    for array in (odd.x, *odd.weights[:4], *odd.state):
        array.flags.writeable = False
    odd.h_out = np.full((15, 8), np.nan, dtype)[:, 4:]
    odd.dy = np.broadcast_to(np.array(0.5, dtype), (15, 4))
    odd_saved, _ = odd.forward(LOOPS[0], True)
    assert_same(odd_saved, saved, dtype)
    assert_same(odd.backward(LOOPS[1], odd_saved, True), gradients, dtype)
    assert forms == [len(loop.signatures) for loop in (loops.lstm_forward, loops.lstm_backward)]


def test_a_nan_in_one_sequence_stays_in_it_and_is_not_lost():
    for dtype in ("float32", "float64"):
        problem = Problem((3,) * 4, 2, 8, dtype)
        problem.x[4, 0] = np.nan  # step 1 of sequence 1
        _, (h, c) = problem.forward(LOOPS[0], False)
        for part in (h, c):
            assert np.isnan(part[1]).all()
            assert np.isfinite(part[[0, 2]]).all()


# -- tanh ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "smallest", "bound"), [("float32", -30, 2.5e-7), ("float64", -300, 5e-16)]
)
def test_tanh_is_accurate_relative_to_its_value(dtype, smallest, bound):
    size = np.concatenate(
        [np.linspace(1e-3, 1, 200_001), np.linspace(1, 25, 100_001), np.logspace(smallest, 1, 5001)]
    ).astype(dtype)
    x = np.concatenate([size, -size])
    y = x.copy()
    loops.tanh_in_place(y)
    exact = np.tanh(x.astype(np.longdouble))
    assert np.abs((y - exact) / exact).max() < bound
    assert np.abs(y).max() <= 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tanh_at_its_ends(dtype):
    values = np.array([0.0, -0.0, np.inf, -np.inf, np.nan] * 9, dtype)
    loops.tanh_in_place(values)
    np.testing.assert_array_equal(values, np.array([0, 0, 1, -1, np.nan] * 9, dtype))
    np.testing.assert_array_equal(np.signbit(values[:2]), [False, True])


# -- which form runs -------------------------------------------------------------------------------


@pytest.fixture
def by_hand(monkeypatch):
    """Set the variable, or take it away; afterwards it is read anew."""

    def set_to(value):
        if value is None:
            monkeypatch.delenv(choice.VARIABLE, raising=False)
        else:
            monkeypatch.setenv(choice.VARIABLE, value)
        choice._by_hand.cache_clear()
        choice._compiled_scans.cache_clear()

    yield set_to
    monkeypatch.undo()
    choice._by_hand.cache_clear()
    choice._compiled_scans.cache_clear()


@pytest.mark.parametrize("lengths", [None, [4, 0, 2]])
@pytest.mark.parametrize("batch_first", [False, True])
def test_a_whole_layer_is_the_same_in_both_forms(by_hand, lengths, batch_first):
    lstm = tt.nn.LSTM(3, 5, 2, bidirectional=True, batch_first=batch_first).double()
    x = tt.rand((3, 4, 3) if batch_first else (4, 3, 3), dtype=tt.float64, requires_grad=True)
    found = {}
    for form in ("numba", "numpy"):
        by_hand(form)
        output, (h, c) = lstm(x, lengths=lengths)
        loss = output.square().sum() + h.exp().sum() + c.exp().sum()
        gradients = tt.autograd.grad(loss, (x, *lstm.parameters()))
        found[form] = [y.detach().numpy() for y in (output, h, c, *gradients)]
    for compiled, arrays in zip(found["numba"], found["numpy"], strict=True):
        np.testing.assert_allclose(compiled, arrays, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize(
    ("steps", "batch", "inputs", "size", "layers", "bias"),
    [
        (1, 1, 1, 1, 1, True),
        (2, 1, 1, 1, 2, True),
        (5, 1, 6, 4, 2, True),
        (5, 3, 2, 7, 3, "single"),
        (3, 5, 4, 2, 2, False),
    ],
)
@pytest.mark.parametrize("used", ["output", "last", "all"])
def test_all_layers_in_one_call_are_the_same_as_scan_by_scan(
    by_hand, monkeypatch, steps, batch, inputs, size, layers, bias, directions, dtype, used
):
    dtype = getattr(tt, dtype)
    lstm = tt.nn.LSTM(inputs, size, layers, bias, bidirectional=directions == 2, dtype=dtype)
    x = tt.randn(batch, steps, inputs, dtype=dtype).transpose(0, 1)
    states = [tt.randn(directions * layers, batch, size, dtype=dtype) for _ in range(2)]
    leaves = [x.clone().requires_grad_(), *(s.requires_grad_() for s in states)]
    leaves += lstm.parameters()
    calls = []
    for name in ("lstm_layers_forward", "lstm_layers_backward"):
        loop = getattr(loops, name)
        monkeypatch.setattr(loops, name, lambda *a, loop=loop: calls.append(loop) or loop(*a))
    found = []
    for form in ("numba", "numpy"):
        by_hand(form)
        output, last = lstm(leaves[0], tuple(leaves[1:3]))
        parts = {"output": [output], "last": [*last], "all": [output, *last]}[used]
        loss = sum(part.exp().sum() for part in parts)
        twice = [
            tt.autograd.grad(loss, leaves, retain_graph=True, allow_unused=True) for _ in range(2)
        ]
        found.append([output, *last, *twice[0]])
        for first, second in zip(*twice, strict=True):
            np.testing.assert_array_equal(first.numpy(), second.numpy())
    assert len(calls) == 3
    bound = 2e-5 if dtype is tt.float32 else 1e-12
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one.detach().numpy(), other.detach().numpy(), bound, bound)


def test_one_call_is_for_the_plain_and_small_alone(by_hand, monkeypatch):
    calls = []
    forward = compiled_layers.forward

    def spy(*arguments):
        made = forward(*arguments)
        calls.append(made is not None)
        return made

    monkeypatch.setattr(compiled_layers, "forward", spy)
    by_hand("numba")

    def ran(x, *args, call=(), **options):
        calls.clear()
        tt.nn.LSTM(*args, **options)(x, **dict(call))
        return calls == [True]

    x = tt.rand(4, 3, 5)
    assert ran(x, 5, 6, 2)
    assert not ran(x, 5, 6, 2, dropout=0.5)
    assert not ran(x, 5, 6, recurrent_dropout=0.5)
    assert not ran(x, 5, 6, proj_size=2)
    assert not ran(x, 5, 6, checkpoint_every=2)
    assert not ran(x, 5, 6, call={"lengths": [4, 2, 1]})
    assert not ran(x, 5, 6, call={"return_states": True})
    assert not ran(tt.rand(4, 3, 500), 500, 60)
    assert not ran(tt.rand(1, 3, 2), 2, 300)
    assert not ran(x.to(tt.float16), 5, 6, dtype=tt.float16)


@pytest.mark.parametrize("used", ["output", "last", "all"])
@pytest.mark.parametrize(("layers", "directions", "bias"), [(1, 1, True), (3, 2, "single")])
def test_what_is_recorded_of_one_call_is_what_is_recorded_scan_by_scan(
    by_hand, layers, directions, bias, used
):
    lstm = tt.nn.LSTM(3, 4, layers, bias, bidirectional=directions == 2, dtype=tt.float64)
    x = tt.randn(6, 2, 3, dtype=tt.float64)
    names = ("h", "c", "i", "f", "g", "o")
    both = ("forward", "reverse")[:directions]
    found = {}
    for form in ("numba", "numpy"):
        by_hand(form)
        lstm.zero_grad()
        with tt.bptt.record(lstm) as rec:
            output, last = lstm(x)
        before = rec[""].layer(0).h.copy()
        output.data.fill_(9)  # what a user does with the outputs is of no consequence
        parts = {"output": [output], "last": [*last], "all": [output, *last]}[used]
        weighted = [(part * tt.arange(part.numel()).view(part.shape)).sum() for part in parts]
        tt.autograd.trace(weighted)  # looking is no backward pass
        for _ in range(2):
            sum(weighted).backward(retain_graph=True)
        for name, p in lstm.named_parameters():
            steps = rec[""].weight_grad_steps(name)
            np.testing.assert_allclose(steps.sum(0), p.grad.numpy(), rtol=1e-9, atol=1e-9)
        views = [rec[""].layer(k, d) for k in range(layers) for d in both]
        found[form] = [
            getattr(view, name + what) for view in views for name in names for what in ("", "_grad")
        ]
        np.testing.assert_array_equal(rec[""].layer(0).h, before)
        rec.zero_grad()
        with pytest.raises(RuntimeError, match="backward"):
            _ = rec[""].layer(0).h_grad
    for compiled, arrays in zip(found["numba"], found["numpy"], strict=True):
        np.testing.assert_allclose(compiled, arrays, rtol=1e-9, atol=1e-9)


def test_a_record_of_one_call_is_pickled_without_what_is_compiled(by_hand):
    by_hand("numba")
    lstm = tt.nn.LSTM(3, 4)
    with tt.bptt.record(lstm) as rec:
        lstm(tt.randn(5, 2, 3))[0].sum().backward()
    pickled = pickle.dumps(rec)
    assert b"compiled" not in pickled
    copy = pickle.loads(pickled)
    for name in ("h", "f", "h_grad", "f_grad"):
        kept, read = (getattr(each[""].layer(0), name) for each in (rec, copy))
        np.testing.assert_array_equal(kept, read)


def test_after_a_pass_that_is_a_graph_one_call_records_no_more(by_hand):
    by_hand("numba")
    lstm = tt.nn.LSTM(3, 4, dtype=tt.float64)
    x = tt.randn(6, 2, 3, dtype=tt.float64, requires_grad=True)
    with tt.bptt.record(lstm) as rec:
        (gx,) = tt.autograd.grad(lstm(x)[0].sum(), x, create_graph=True)
        first = rec[""].layer(0).h_grad.copy()
        gx.square().sum().backward()
    np.testing.assert_array_equal(rec[""].layer(0).h_grad, first)


def test_gradients_that_nobody_wants_are_left_out(by_hand):
    by_hand("numba")
    lstm = tt.nn.LSTM(3, 4, 2)
    lstm.weight_hh_l0.requires_grad_(False)
    lstm(tt.rand(5, 2, 3))[0].sum().backward()
    assert lstm.weight_hh_l0.grad is None
    assert all(p.grad is not None for p in lstm.parameters() if p.requires_grad)


STATE = np.zeros((8, 32), np.float32)


def test_what_has_no_loop_runs_on_whole_arrays(by_hand):
    by_hand(None)
    assert choice.scans_for(STATE) is compiled_lstm
    assert choice.scans_for(STATE.astype(np.float16)) is None
    assert choice.scans_for(STATE[:0]) is None


def test_the_variable_decides_by_hand(by_hand):
    by_hand("numba")
    assert choice.scans_for(STATE) is compiled_lstm
    by_hand("numpy")
    assert choice.scans_for(STATE) is None
    by_hand("fortran")
    with pytest.raises(ValueError, match="expected numpy or numba, got 'fortran'"):
        choice.scans_for(STATE)


def test_the_walk_goes_with_the_size_of_its_steps_and_the_threads(monkeypatch):
    def of(batch, size, steps):
        state = np.zeros((batch, size), np.float32)
        parts = compiled_lstm._parts(state, Steps((batch,) * steps, batch))
        return parts, compiled_lstm._in_loop(state, parts)

    monkeypatch.setattr(parallel, "_blas_threads", lambda: 1)
    assert of(8, 32, 20) == (1, True)
    assert of(64, 512, 20) == (1, False)
    monkeypatch.setattr(parallel, "_blas_threads", lambda: 2)
    assert of(8, 32, 20) == (1, True)
    assert of(50, 128, 50) == (2, True)
    assert of(64, 512, 20) == (2, False)


def fails_with(error):
    def import_module(name, package):
        raise error

    return import_module


def test_without_numba_the_other_form_runs_unless_numba_is_asked_for(by_hand, monkeypatch):
    missing = ModuleNotFoundError("No module named 'numba'", name="numba")
    monkeypatch.setattr(choice, "import_module", fails_with(missing))
    by_hand(None)
    assert choice.scans_for(STATE) is None
    by_hand("numba")
    with pytest.raises(RuntimeError, match="install the extra `fast`"):
        choice.scans_for(STATE)


def test_a_numba_that_does_not_fit_is_told_of_and_done_without(by_hand, monkeypatch):
    monkeypatch.setattr(choice, "import_module", fails_with(ImportError("needs another NumPy")))
    by_hand(None)
    with pytest.warns(UserWarning, match="needs another NumPy"):
        assert choice.scans_for(STATE) is None
    assert choice.scans_for(STATE) is None


def test_importing_the_package_does_not_import_numba():
    program = "import sys, tinytensor.nn; sys.exit('numba' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    assert subprocess.run([sys.executable, "-c", program], env=environment).returncode == 0


def chosen(monkeypatch):
    """The two scans, of which every form tells its name instead of running."""
    for name in ("scan_forward", "scan_backward"):
        monkeypatch.setattr(compiled_lstm, name, lambda *_: "loop")
    return choice.lstm_scans(lambda *_: "arrays", lambda *_: "arrays")


def test_what_the_loop_does_not_know_runs_on_whole_arrays(by_hand, monkeypatch):
    by_hand(None)
    forward, backward = chosen(monkeypatch)
    array = np.zeros((2, 4), np.float32)
    state = array, array
    none = [None] * 5
    for rest, expected in (
        ((None, None), "loop"),
        ((array, None), "arrays"),
        ((None, 1), "arrays"),
    ):
        weights = (array, array, None, None, *rest)
        assert forward(array, state, weights, False, array, None) == expected
        assert backward(None, array, weights, [array, *none], state) == expected
    for number in range(1, 6):
        upstream = [array, *none]
        upstream[number] = array
        assert backward(None, array, (None,) * 6, upstream, state) == "arrays"


def test_a_function_without_a_file_to_keep_it_beside_is_compiled_all_the_same():
    space: dict = {}
    exec("def twice(x):\n    return x + x\n", space)
    assert loops.compiled(space["twice"])(3) == 6
