"""What a record says is what brute force finds: weights untied by step, gradients kept at every
state and gate."""

import contextlib

import numpy as np
import pytest

import tinytensor as tt
from tinytensor import bptt, nn
from tinytensor.nn.compiled import choice
from tinytensor.nn.utils.rnn import pack_padded_sequence

from . import untied

T, N, INPUTS, H = 5, 3, 2, 3

STATES = {"LSTM": "hc", "GRU": "h", "RNN_TANH": "h", "RNN_RELU": "h"}
GATES = {"LSTM": "ifgo", "GRU": "rzn", "RNN_TANH": "", "RNN_RELU": ""}
KINDS = {
    "lstm": lambda **options: nn.LSTM(INPUTS, H, **options),
    "gru": lambda **options: nn.GRU(INPUTS, H, **options),
    "rnn": lambda **options: nn.RNN(INPUTS, H, **options),
    "rnn-relu": lambda **options: nn.RNN(INPUTS, H, nonlinearity="relu", **options),
}
SHAPES = {
    "plain": {},
    "two-layers": {"num_layers": 2},
    "both-directions": {"bidirectional": True},
    "two-layers-both-directions": {"num_layers": 2, "bidirectional": True},
}


def close(ours, theirs):
    assert ours.shape == np.shape(theirs)
    np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)


class Problem:
    """A layer with inputs and first states, and the coefficients of a loss of all that it gives."""

    def __init__(self, module, rng, lengths=None):
        self.module = module.double()
        self.lengths = lengths
        scans = len(module._scans)
        width = module._output_size * (2 if module.bidirectional else 1)
        sizes = (module._output_size, H)[: len(STATES[module.mode])]
        self.x = rng.standard_normal((T, N, INPUTS))
        self.states = [rng.standard_normal((scans, N, size)) for size in sizes]
        self.of_output = rng.standard_normal((2, T, N, width))
        self.of_last = [rng.standard_normal((scans, N, size)) for size in sizes]
        self.of_kept = rng.standard_normal((scans, 6, T, N, H))

    def loss(self, keep=False, pack=False):
        """By the module itself."""
        module = self.module
        x = tt.tensor(self.x.swapaxes(0, 1) if module.batch_first else self.x)
        given = [tt.tensor(state) for state in self.states]
        hx = given[0] if len(given) == 1 else tuple(given)
        if pack:
            y, last = module(pack_padded_sequence(x, self.lengths, enforce_sorted=False), hx)
            y, _ = nn.utils.rnn.pad_packed_sequence(y, total_length=T)
        elif keep:
            y, last, kept = module(x, hx, lengths=self.lengths, return_states=True)
        else:
            y, last = module(x, hx, lengths=self.lengths)
        if module.batch_first:
            y = y.transpose(0, 1)
        linear, square = map(tt.tensor, self.of_output)
        loss = (y * linear).sum() + (y * y * square).sum()
        parts = (last,) if len(given) == 1 else last
        for part, coefficients in zip(parts, self.of_last, strict=True):
            loss = loss + (part * tt.tensor(coefficients)).sum()
        if keep:
            for number, scan in enumerate(kept._scans):
                for k, name in enumerate(scan.names):
                    part = getattr(scan, name)
                    loss = loss + (part * tt.tensor(self.of_kept[number, k])).sum()
        return loss

    def by_brute_force(self, keep=False, factors=None):
        """The scans of `untied`, after their backward pass."""
        module = self.module
        lengths = [T] * N if self.lengths is None else self.lengths
        scans, outputs = untied.run(module, self.x, self.states, lengths, factors)
        linear, square = self.of_output
        terms = []
        for n, output in enumerate(outputs):
            for t, y in enumerate(output):
                terms.append((y * tt.tensor(linear[t, n])).sum())
                terms.append((y * y * tt.tensor(square[t, n])).sum())
        for number, scan in enumerate(scans):
            for n, steps in enumerate(scan.steps):
                if steps:
                    last = steps[0 if module.bidirectional and number % 2 else -1]
                    for name, part in zip(STATES[module.mode], self.of_last, strict=True):
                        terms.append((last.outside[name] * tt.tensor(part[number, n])).sum())
                for t, step in enumerate(steps if keep else ()):
                    for k, name in enumerate(STATES[module.mode] + GATES[module.mode]):
                        coefficients = tt.tensor(self.of_kept[number, k, t, n])
                        terms.append((step.outside[name] * coefficients).sum())
        tt.stack(terms).sum().backward()
        return scans

    def check(self, rec, scans):
        module = self.module
        layer = rec[""]
        assert len(layer.views) == len(scans)
        for number, (view, scan) in enumerate(zip(layer.views, scans, strict=True)):
            check_view(view, scan, module.mode)
            for name in filter(None, module._scans[number]):
                check_weight(view, scan, name, module.mode)
                close(
                    view.weight_grad_steps(name).sum(0), getattr(module, name).grad.detach().numpy()
                )


def check_view(view, scan, mode):
    for name in STATES[mode] + GATES[mode]:
        close(getattr(view, name), scan.array(name, T, untied.value))
        close(getattr(view, f"{name}_grad"), scan.array(name, T, untied.gradient))
    close(view.h_grad_immediate, scan.array("h", T, untied.immediate))
    if mode == "LSTM":
        close(view.c_grad_immediate, scan.array("c", T, untied.immediate))
        close(sum(view.c_grad_terms()), view.c_grad)
        path = view.cell_path()
        close(path.cell + path.rest, view.c_grad)


def check_weight(view, scan, name, mode):
    (role,) = (role for role in untied.ROLES if name.startswith(role))
    expected = scan.array(role, T, untied.weight_gradient).sum(1)
    close(view.weight_grad_steps(name), expected)
    flat = expected.reshape(T, -1)
    close(view.weight_grad_norms(name), np.linalg.norm(flat, axis=1))
    if role == "weight_hr":
        return
    gates = GATES[mode] or "h"
    parts = view.weight_grad_steps(name, by_gate=True)
    norms = view.weight_grad_norms(name, by_gate=True)
    assert list(parts) == list(norms) == list(gates)
    for k, gate in enumerate(gates):
        block = expected[:, k * H : (k + 1) * H]
        close(parts[gate], block)
        close(norms[gate], np.linalg.norm(block.reshape(T, -1), axis=1))


def compiled(monkeypatch):
    pytest.importorskip("numba")
    monkeypatch.setattr(choice, "_by_hand", lambda: "numba")


@pytest.mark.parametrize("form", ["kernel", "unrolled", "create-graph"])
@pytest.mark.parametrize("lengths", [None, [2, 5, 3]], ids=["full", "lengths"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_states_gates_gradients_and_parts_are_those_of_brute_force(kind, shape, lengths, form, rng):
    batch_first = shape == "two-layers"
    problem = Problem(KINDS[kind](**SHAPES[shape], batch_first=batch_first), rng, lengths)
    with tt.unrolled() if form == "unrolled" else contextlib.nullcontext():
        with bptt.record(problem.module) as rec:
            problem.loss().backward(create_graph=form == "create-graph")
    problem.check(rec, problem.by_brute_force())


@pytest.mark.parametrize("lengths", [None, [2, 5, 3]], ids=["full", "lengths"])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_compiled_form_leaves_the_same(shape, lengths, rng, monkeypatch):
    compiled(monkeypatch)
    problem = Problem(nn.LSTM(INPUTS, H, **SHAPES[shape]), rng, lengths)
    with bptt.record(problem.module) as rec:
        problem.loss().backward()
    problem.check(rec, problem.by_brute_force())


OPTIONS = {
    "projection": ("lstm", {"proj_size": 2, "num_layers": 2, "bidirectional": True}),
    "one-bias": ("lstm", {"bias": "single"}),
    "no-bias": ("gru", {"bias": False, "bidirectional": True}),
}


@pytest.mark.parametrize("unrolled", [False, True], ids=["kernel", "unrolled"])
@pytest.mark.parametrize("option", OPTIONS)
def test_options_of_a_layer(option, unrolled, rng):
    kind, options = OPTIONS[option]
    problem = Problem(KINDS[kind](**options), rng, [2, 5, 3])
    with tt.unrolled() if unrolled else contextlib.nullcontext():
        with bptt.record(problem.module) as rec:
            problem.loss().backward()
    problem.check(rec, problem.by_brute_force())


@pytest.mark.parametrize("unrolled", [False, True], ids=["kernel", "unrolled"])
@pytest.mark.parametrize("lengths", [None, [5, 3, 2]], ids=["full", "lengths"])
@pytest.mark.parametrize("kind", KINDS)
def test_recurrent_dropout(kind, lengths, unrolled, rng):
    module = KINDS[kind](recurrent_dropout=0.5, bidirectional=True)
    problem = Problem(module, rng, lengths)
    with tt.unrolled() if unrolled else contextlib.nullcontext():
        with bptt.record(module) as rec:
            problem.loss().backward()
    factors = [view.scan.factors for view in rec[""].views]
    assert any((one == 0).any() and (one == 2).any() for one in factors)
    problem.check(rec, problem.by_brute_force(factors=factors))


@pytest.mark.parametrize("unrolled", [False, True], ids=["kernel", "unrolled"])
@pytest.mark.parametrize("lengths", [None, [2, 5, 3]], ids=["full", "lengths"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_loss_of_the_states_and_gates_themselves(kind, lengths, unrolled, rng):
    problem = Problem(KINDS[kind](num_layers=2, bidirectional=True), rng, lengths)
    with tt.unrolled() if unrolled else contextlib.nullcontext():
        with bptt.record(problem.module) as rec:
            problem.loss(keep=True).backward()
    problem.check(rec, problem.by_brute_force(keep=True))


@pytest.mark.parametrize("kind", KINDS)
def test_packed_sequences_are_given_in_the_users_order(kind, rng):
    problem = Problem(KINDS[kind](bidirectional=True), rng, [2, 5, 3])
    with bptt.record(problem.module) as rec:
        problem.loss(pack=True).backward()
    problem.check(rec, problem.by_brute_force())


def test_a_sequence_without_steps_leaves_zeros(rng):
    problem = Problem(nn.LSTM(INPUTS, H, bidirectional=True), rng, [4, 0, 2])
    with bptt.record(problem.module) as rec:
        problem.loss().backward()
    problem.check(rec, problem.by_brute_force())
    for view in rec[""].views:
        assert not view.h_grad[:, 1].any()
        assert view.h_grad.shape == (T, N, H)


def test_dropout_between_the_layers_is_in_the_gradients_below(rng):
    problem = Problem(nn.LSTM(INPUTS, H, 2, dropout=0.5, bidirectional=True), rng)
    with bptt.record(problem.module) as rec:
        problem.loss().backward()
    for view in rec[""].views:
        for name in view.scan.names:
            parts = view.weight_grad_steps(name)
            close(parts.sum(0), getattr(problem.module, name).grad.detach().numpy())


def test_checkpointed_layers_are_recorded_in_full(rng):
    problem = Problem(nn.LSTM(INPUTS, H, 2, checkpoint_every=2), rng)
    with bptt.record(problem.module) as rec:
        problem.loss().backward()
    problem.check(rec, problem.by_brute_force())


def test_where_the_loss_reads_the_last_state_the_cell_path_is_the_product_of_forget_gates(rng):
    lstm = nn.LSTM(INPUTS, H).double()
    with bptt.record(lstm) as rec:
        _, (h, _) = lstm(tt.tensor(rng.standard_normal((T, N, INPUTS))))
        h.square().sum().backward()
    view = rec[""].layer(0)
    path = view.cell_path()
    for t in range(T):
        product = view.f[t + 1 :].prod(0)
        close(path.forget[t], product)
        close(path.cell[t], view.c_grad[-1] * product)


def test_the_cell_path_is_the_gradient_when_nothing_flows_through_the_recurrent_weights(rng):
    problem = Problem(nn.LSTM(INPUTS, H, bidirectional=True), rng, [2, 5, 3])
    with bptt.record(problem.module) as rec:
        problem.loss().backward()
    # By brute force: h is cut where W_hh reads it, so that only the cells connect the steps.
    cell = untied.lstm
    untied.CELLS["LSTM"] = lambda x, h, c, w: cell(x, h.detach(), c, w)
    try:
        scans = problem.by_brute_force()
    finally:
        untied.CELLS["LSTM"] = cell
    for view, scan in zip(rec[""].views, scans, strict=True):
        close(view.cell_path().cell, scan.array("c", T, untied.gradient))


def test_the_terms_of_a_cell_gradient(rng):
    problem = Problem(nn.LSTM(INPUTS, H), rng)
    with bptt.record(problem.module) as rec:
        problem.loss(keep=True).backward()
    view = rec[""].layer(0)
    terms = view.c_grad_terms()
    close(terms.from_next[:-1], view.c_grad[1:] * view.f[1:])
    close(terms.from_next[-1], np.zeros((N, H)))
    close(terms.from_h, view.h_grad * view.o * (1 - np.tanh(view.c) ** 2))
    close(terms.immediate, view.c_grad_immediate)
    assert view.c_grad_immediate.any()
