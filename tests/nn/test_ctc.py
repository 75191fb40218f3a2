"""CTC: the sum over all paths, torch's numbers; kernel and reference held together."""

import itertools

import numpy as np
import pytest

import tinytensor as tt
from tinytensor import nn

from .peer import assert_same, both, torch

F = nn.functional
TF = torch.nn.functional
INF = float("inf")


def log_probabilities(rng, *shape: int) -> np.ndarray:
    scores = rng.standard_normal(shape)
    return scores - np.log(np.exp(scores).sum(-1, keepdims=True))


def problem(seed: int) -> dict:
    """A random batch, some of its sequences too short for their target, some of no length."""
    rng = np.random.default_rng(seed)
    steps, batch, classes = rng.integers(1, 8), rng.integers(1, 5), rng.integers(2, 6)
    longest = rng.integers(0, 5)
    blank = int(rng.integers(classes))
    return {
        "log_probs": log_probabilities(rng, steps, batch, classes),
        "targets": (blank + rng.integers(1, classes, (batch, longest))) % classes,
        "input_lengths": rng.integers(0, steps + 1, batch),
        "target_lengths": rng.integers(0, longest + 1, batch),
        "blank": blank,
    }


def run(lib, given: dict, **options) -> list:
    """[loss, gradient] in a library."""
    values = {k: lib.tensor(v) if isinstance(v, np.ndarray) else v for k, v in given.items()}
    log_probs = values["log_probs"].requires_grad_()
    loss = lib.nn.functional.ctc_loss(**values, **options)
    loss.sum().backward()
    return [loss, log_probs.grad]


OPTIONS = [
    {"reduction": reduction, "zero_infinity": zero}
    for reduction, zero in itertools.product(["none", "mean", "sum"], [False, True])
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("seed", range(12))
def test_loss_and_gradient_are_torchs(seed, options) -> None:
    given = problem(seed)
    for ours, theirs in zip(run(tt, given, **options), run(torch, given, **options), strict=True):
        assert_same(ours, theirs, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("seed", range(6))
def test_kernel_and_reference_agree(seed, options) -> None:
    given = problem(seed)
    with tt.unrolled():
        slow = run(tt, given, **options)
    for ours, theirs in zip(run(tt, given, **options), slow, strict=True):
        assert_same(ours, theirs, rtol=1e-11, atol=1e-12)


def test_float32_stays_float32_and_is_torchs() -> None:
    rng = np.random.default_rng(1)
    given = {
        "log_probs": log_probabilities(rng, 40, 3, 6).astype(np.float32),
        "targets": rng.integers(1, 6, (3, 9)),
        "input_lengths": np.array([40, 33, 20]),
        "target_lengths": np.array([9, 5, 9]),
    }
    for ours, theirs in zip(run(tt, given), run(torch, given), strict=True):
        assert_same(ours, theirs, rtol=1e-5, atol=1e-6)


def read(path: tuple[int, ...], blank: int) -> tuple[int, ...]:
    """A path without repetitions, then without blanks."""
    merged = [label for label, _ in itertools.groupby(path)]
    return tuple(label for label in merged if label != blank)


@pytest.mark.parametrize("target", [(), (1,), (1, 2), (1, 1), (2, 0, 2), (1, 1, 1)])
@pytest.mark.parametrize("blank", [0, 3])
@pytest.mark.parametrize("steps", [1, 3, 5])
def test_the_probability_is_the_sum_over_all_paths_that_read_as_the_target(
    target, blank, steps
) -> None:
    if blank in target:
        target = tuple(3 if label == blank else label for label in target)
    logs = log_probabilities(np.random.default_rng(steps), steps, 4)
    total = 0.0
    for path in itertools.product(range(4), repeat=steps):
        if read(path, blank) == target:
            total += np.exp(sum(logs[t, label] for t, label in enumerate(path)))
    loss = F.ctc_loss(
        tt.tensor(logs), tt.tensor(target, dtype=tt.int64), (steps,), (len(target),), blank, "none"
    )
    assert loss.shape == ()
    np.testing.assert_allclose(np.exp(-loss.item()), total, rtol=1e-12)


def test_the_gradient_for_scores_is_that_of_central_differences_at_both_orders() -> None:
    rng = np.random.default_rng(3)
    scores = tt.tensor(rng.standard_normal((5, 3, 4)), requires_grad=True)
    targets = tt.tensor([[1, 1, 2], [3, 2, 0], [0, 0, 0]])

    def loss(scores):
        logs = scores.log_softmax(-1)
        return F.ctc_loss(logs, targets, (5, 4, 3), (3, 2, 0), reduction="none")

    assert tt.autograd.gradcheck(loss, [scores])
    assert tt.autograd.gradgradcheck(loss, [scores])


@pytest.mark.parametrize("zero_infinity", [False, True])
def test_an_impossible_target_does_not_disturb_the_others_second_order(zero_infinity) -> None:
    rng = np.random.default_rng(4)
    scores = tt.tensor(rng.standard_normal((3, 2, 4)), requires_grad=True)
    losses = F.ctc_loss(
        scores.log_softmax(-1),
        tt.tensor([[1, 2], [1, 1]]),
        (3, 2),
        (2, 2),
        reduction="none",
        zero_infinity=zero_infinity,
    )
    assert losses[1].item() == (0 if zero_infinity else INF)
    (first,) = tt.autograd.grad(losses[0], scores, create_graph=True)
    first.square().sum().backward()
    alone = tt.tensor(scores.detach().numpy()[:, 0], requires_grad=True)
    loss = F.ctc_loss(alone.log_softmax(-1), tt.tensor([1, 2]), (3,), (2,), reduction="none")
    (first,) = tt.autograd.grad(loss, alone, create_graph=True)
    first.square().sum().backward()
    if zero_infinity:
        assert not scores.grad[:, 1].any()
    np.testing.assert_allclose(scores.grad[:, 0].numpy(), alone.grad.numpy(), rtol=1e-11)


def test_without_a_possible_path_the_loss_is_inf_and_the_gradient_no_number() -> None:
    given = {
        "log_probs": log_probabilities(np.random.default_rng(0), 4, 1, 3),
        "targets": np.array([[1, 1]]),
        "input_lengths": np.array([2]),
        "target_lengths": np.array([2]),
    }
    loss, gradient = run(tt, given, reduction="none")
    assert loss.item() == INF
    assert gradient[:2].isnan().all()
    assert not gradient[2:].any()
    loss, gradient = run(tt, given, zero_infinity=True)
    assert loss.item() == 0
    assert not gradient.any()


def test_a_probability_of_0_has_a_gradient_where_torch_has_none() -> None:
    logs = log_probabilities(np.random.default_rng(5), 4, 1, 3)
    logs[2, 0, 1] = -INF
    given = {
        "log_probs": logs,
        "targets": np.array([[1, 2]]),
        "input_lengths": np.array([4]),
        "target_lengths": np.array([2]),
    }
    loss, gradient = run(tt, given)
    loss_, gradient_ = run(torch, given)
    assert_same(loss, loss_)
    assert gradient_[2, 0, 1].isnan()
    assert gradient[2, 0, 1] == 0
    gradient_[2, 0, 1] = 0
    assert_same(gradient, gradient_)
    with tt.unrolled():
        assert_same(run(tt, given)[1], gradient_)


def test_a_blank_within_the_target_has_the_gradient_of_its_loss() -> None:
    scores = tt.tensor(np.random.default_rng(6).standard_normal((4, 3)), requires_grad=True)
    assert tt.autograd.gradcheck(
        lambda s: F.ctc_loss(s.log_softmax(-1), tt.tensor([1, 0]), (4,), (2,)), [scores]
    )


def test_padding_changes_no_bit() -> None:
    rng = np.random.default_rng(7)
    given = {
        "log_probs": log_probabilities(rng, 6, 2, 4),
        "targets": np.array([[1, 2, 3], [2, 0, 0]]),
        "input_lengths": np.array([6, 3]),
        "target_lengths": np.array([3, 1]),
    }
    loss, gradient = run(tt, given, reduction="none")
    given["log_probs"][3:, 1] = rng.standard_normal((3, 4))
    given["targets"] = np.array([[1, 2, 3, -7], [2, 99, 1, 5]])
    loss2, gradient2 = run(tt, given, reduction="none")
    np.testing.assert_array_equal(loss.detach().numpy(), loss2.detach().numpy())
    np.testing.assert_array_equal(gradient.numpy(), gradient2.numpy())
    assert not gradient[3:, 1].any()


def test_each_sequence_has_the_loss_it_has_alone() -> None:
    given = problem(2)
    given["log_probs"] = log_probabilities(np.random.default_rng(8), 7, 3, 5)
    given.update(
        targets=np.array([[1, 2, 2], [3, 4, 0], [4, 0, 0]]),
        input_lengths=np.array([7, 5, 3]),
        target_lengths=np.array([3, 2, 1]),
        blank=0,
    )
    loss, gradient = run(tt, given, reduction="none")
    for n in range(3):
        size, labels = given["input_lengths"][n], given["target_lengths"][n]
        alone = {
            "log_probs": given["log_probs"][:size, n],
            "targets": given["targets"][n, :labels],
            "input_lengths": (int(size),),
            "target_lengths": (int(labels),),
        }
        one, gradient_ = run(tt, alone, reduction="none")
        np.testing.assert_allclose(one.item(), loss[n].item(), rtol=1e-13)
        np.testing.assert_allclose(gradient_.numpy(), gradient[:size, n].numpy(), atol=1e-14)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_targets_and_lengths_come_in_all_of_torchs_forms(reduction) -> None:
    rng = np.random.default_rng(9)
    x, x_ = both(log_probabilities(rng, 6, 2, 4))
    padded = [[1, 2, 3], [2, 3, 0]]
    joined = [1, 2, 3, 2, 3]
    expected = TF.ctc_loss(x_, torch.tensor(padded), (6, 5), (3, 2), reduction=reduction)
    forms = itertools.product(
        [tt.tensor(padded), tt.tensor(joined), tt.tensor(padded, dtype=tt.int32)],
        [(6, 5), [6, 5], tt.tensor([6, 5]), tt.tensor([6, 5], dtype=tt.int32)],
        [(3, 2), tt.tensor([3, 2], dtype=tt.uint8)],
    )
    for targets, inputs, lengths in forms:
        assert_same(F.ctc_loss(x, targets, inputs, lengths, reduction=reduction), expected)
    alone = TF.ctc_loss(x_[:, 0], torch.tensor(padded[0]), (6,), (3,), reduction=reduction)
    for inputs, lengths in [((6,), (3,)), (tt.tensor(6), tt.tensor(3)), (tt.tensor([6]), [3])]:
        for targets in (tt.tensor(padded[0]), tt.tensor(padded[:1])):
            loss = F.ctc_loss(x[:, 0], targets, inputs, lengths, reduction=reduction)
            assert_same(loss, alone)


def test_the_module_hands_its_options_on() -> None:
    x, x_ = both(log_probabilities(np.random.default_rng(10), 4, 2, 3))
    targets = [[0, 0], [1, 1]]
    results = [
        lib.nn.CTCLoss(blank=2, reduction="sum", zero_infinity=True)(
            logs, lib.tensor(targets), (4, 2), (2, 2)
        )
        for lib, logs in ((tt, x), (torch, x_))
    ]
    assert_same(*results)


REFUSED = [
    ({"reduction": "avg"}, ValueError, "expected reduction .*'avg'"),
    ({"blank": 4}, RuntimeError, r"blank must be in label range \[0, 3\], got 4"),
    ({"blank": -1}, RuntimeError, "blank must be in label range"),
    ({"input_lengths": (6, 5)}, RuntimeError, "input_lengths of at most 5, .*got 6"),
    ({"input_lengths": (-1, 5)}, RuntimeError, "input_lengths of at least 0, got -1"),
    ({"target_lengths": (2, -1)}, RuntimeError, "target_lengths of at least 0, got -1"),
    ({"target_lengths": (3, 2)}, RuntimeError, r"\(2, 3 or more\).*got \(2, 2\)"),
    ({"input_lengths": (5,)}, RuntimeError, r"input_lengths must be of size batch_size.*\(2,\)"),
    ({"target_lengths": (2,)}, RuntimeError, "target_lengths must be of size batch_size"),
    ({"targets": np.array([1, 2, 3])}, RuntimeError, "size 4, the sum of the target_lengths.*3"),
    ({"targets": np.array([[1, 2]])}, RuntimeError, r"\(2, 2 or more\).* got \(1, 2\)"),
    ({"targets": np.array([[[1, 2]]])}, RuntimeError, "1 to 2 dimensions, got 3"),
    ({"log_probs": np.zeros((0, 2, 4))}, RuntimeError, "must not be empty"),
    ({"log_probs": np.zeros((5, 0, 4))}, RuntimeError, "must not be empty"),
    ({"log_probs": np.zeros(4)}, RuntimeError, r"\(T, N, C\) or \(T, C\), got \(4,\)"),
    ({"log_probs": np.zeros((5, 2, 4), int)}, NotImplementedError, "int64; use .float"),
    ({"log_probs": np.zeros((5, 2, 4), np.float16)}, NotImplementedError, "float16; use .float"),
]


@pytest.mark.parametrize(("change", "error", "message"), REFUSED)
def test_what_torch_refuses_is_refused_and_says_why(change, error, message) -> None:
    given = {
        "log_probs": np.zeros((5, 2, 4)),
        "targets": np.array([[1, 2], [3, 3]]),
        "input_lengths": (5, 5),
        "target_lengths": (2, 2),
        **change,
    }
    for lib, pattern in ((torch, None), (tt, f"^ctc_loss: .*{message}")):
        values = {k: lib.tensor(v) if isinstance(v, np.ndarray) else v for k, v in given.items()}
        with pytest.raises(error, match=pattern):
            lib.nn.functional.ctc_loss(**values)


def test_lengths_must_be_whole_and_classes_in_range() -> None:
    x, targets = tt.zeros(5, 2, 4), tt.tensor([[1, 2], [3, 3]])
    with pytest.raises(RuntimeError, match="input_lengths must be integral, got float32"):
        F.ctc_loss(x, targets, tt.tensor([5.0, 5.0]), tt.tensor([2, 2]))
    with pytest.raises(TypeError, match=r"got int; write \(5,\)"):
        F.ctc_loss(x[:, 0], targets[0], 5, (2,))
    # torch reads beyond its memory here
    for wrong in (4, -1):
        with pytest.raises(IndexError, match=rf"classes in \[0, 3\], got {wrong}"):
            F.ctc_loss(x, tt.tensor([[1, 2], [3, wrong]]), (5, 5), (2, 2))


def test_a_target_may_change_before_the_backward_pass() -> None:
    given = problem(1)
    x = tt.tensor(given["log_probs"], requires_grad=True)
    gradients = []
    for change in (False, True):
        x.grad = None
        targets = tt.tensor(given["targets"])
        lengths = [tt.tensor(given[k]) for k in ("input_lengths", "target_lengths")]
        loss = F.ctc_loss(x, targets, *lengths, given["blank"], "sum", True)
        if change:
            targets.zero_()
            lengths[0].zero_()
            lengths[1].zero_()
        loss.backward()
        gradients.append(x.grad.numpy().copy())
    np.testing.assert_array_equal(*gradients)
