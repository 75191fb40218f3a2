"""BatchNorm1d: torch's numbers, gradients of both orders, running averages, printed form."""

import numpy as np
import pytest

import tinytensor as tt
from tinytensor import nn

from .peer import assert_agree, assert_same, both, copy_weights, torch

F = nn.functional
rng = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return rng.standard_normal(shape)


SHAPES = [(4, 3), (2, 3), (2, 3, 4), (1, 3, 2), (2, 3, 2, 2)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("weight", "bias"), [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_batch_norm_is_torchs_to_the_second_order(shape, training, weight, bias) -> None:
    mean, variance = normal(3), rng.uniform(0.5, 2, 3)
    averages = []

    def use(lib, x, *rest):
        running = [lib.tensor(mean), lib.tensor(variance)]
        averages.append(running)
        scale = rest[0] if weight else None
        if bias and not weight and lib is torch:  # which has no second derivative here
            scale = torch.ones(3, dtype=x.dtype)
        return lib.nn.functional.batch_norm(
            x, *running, scale, rest[-1] if bias else None, training, 0.3, 1e-3
        )

    assert_agree(use, normal(*shape), *(normal(3) for _ in range(weight + bias)))
    for ours, theirs in zip(*averages, strict=True):
        assert_same(ours, theirs)


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("training", [True, False])
def test_a_plain_backward_gives_torchs_gradients(kind, shape, training) -> None:
    arrays = [normal(*shape), normal(3), normal(3)]
    running = [normal(3), rng.uniform(0.5, 2, 3)]
    g = normal(*shape)
    results = []
    for lib in (tt, torch):
        leaves = [lib.tensor(a.astype(kind), requires_grad=True) for a in arrays]
        buffers = [lib.tensor(a.astype(kind)) for a in running]
        y = lib.nn.functional.batch_norm(
            leaves[0], *buffers, *leaves[1:], training=training, eps=1e-3
        )
        y.backward(lib.tensor(g.astype(kind)))
        results.append([y, *buffers, *(leaf.grad for leaf in leaves)])
    tolerance = {"float32": 3e-6, "float64": 1e-12}[kind]
    for ours, theirs in zip(*results, strict=True):
        mean_size = abs(theirs.detach().double()).mean().item()
        assert_same(ours, theirs, rtol=tolerance, atol=tolerance * max(1, 4 * mean_size))


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", [(5, 3), (2, 3, 4)])
def test_the_kernel_and_its_reference_agree(shape, affine) -> None:
    arrays = [normal(*shape), *((normal(3), normal(3)) if affine else ())]
    results = []
    for unrolled in (False, True):
        leaves = [tt.tensor(a, requires_grad=True) for a in arrays]
        running = [tt.zeros(3, dtype=tt.float64), tt.ones(3, dtype=tt.float64)]
        x, *rest = leaves
        if unrolled:
            with tt.unrolled():
                y = F.batch_norm(x, *running, *rest, training=True)
        else:
            y = F.batch_norm(x, *running, *rest, training=True)
        weights = tt.tensor(np.arange(y.numel(), dtype=np.float64).reshape(y.shape))
        (y * weights).sum().backward()
        results.append([y, *running, *(leaf.grad for leaf in leaves)])
    for kernel, reference in zip(*results, strict=True):
        np.testing.assert_allclose(
            kernel.detach().numpy(), reference.detach().numpy(), rtol=1e-11, atol=1e-12
        )


MODULES = [
    lambda lib: lib.nn.BatchNorm1d(3),
    lambda lib: lib.nn.BatchNorm1d(3, momentum=None),
    lambda lib: lib.nn.BatchNorm1d(3, 1e-3, 0.7, False),
    lambda lib: lib.nn.BatchNorm1d(3, track_running_stats=False),
    lambda lib: lib.nn.BatchNorm1d(3, bias=False),
    lambda lib: lib.nn.BatchNorm1d(3, 1e-4, 0.0, True, True, "cpu", lib.float64),
]


@pytest.mark.parametrize("build", MODULES)
@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 5)])
def test_a_module_trains_and_evaluates_as_torchs(build, shape) -> None:
    ours, theirs = build(tt), build(torch)
    assert repr(ours) == repr(theirs)
    kind = np.float64 if "float64" in str(list(ours.parameters())) else np.float32
    x, x_ = both(normal(3, *shape).astype(kind))
    for step in range(3):
        assert_same(ours(x[step]), theirs(x_[step]), rtol=3e-6, atol=3e-6)
        expected = theirs.state_dict()
        assert list(ours.state_dict()) == list(expected)
        for name, value in ours.state_dict().items():
            assert_same(value, expected[name], rtol=2e-6, atol=2e-7)
    assert_same(ours.eval()(x[0]), theirs.eval()(x_[0]), rtol=3e-6, atol=3e-6)
    ours.reset_parameters()
    theirs.reset_parameters()
    for name, value in ours.state_dict().items():
        assert_same(value, theirs.state_dict()[name], rtol=0, atol=0)


def test_a_modules_averages_are_counted_writes_into_the_same_buffers() -> None:
    layer = nn.BatchNorm1d(2)
    mean, number = layer.running_mean, layer.num_batches_tracked
    layer(tt.tensor([[1.0, 2.0], [3.0, 6.0]]))
    assert layer.running_mean is mean
    assert layer.num_batches_tracked is number
    assert mean._version == 2  # the fill at first, then the batch
    np.testing.assert_allclose(mean.tolist(), [0.2, 0.4], rtol=1e-6)
    np.testing.assert_allclose(layer.running_var.tolist(), [0.9 + 0.2, 0.9 + 0.8], rtol=1e-6)
    layer.eval()(tt.rand(4, 2))
    assert number.item() == 1


def test_averages_that_are_no_longer_tracked_stay_and_serve_in_evaluation() -> None:
    x, x_ = both(normal(4, 2).astype(np.float32))
    results = []
    for lib, values in ((tt, x), (torch, x_)):
        layer = lib.nn.BatchNorm1d(2)
        layer(values)
        layer.track_running_stats = False
        y = layer(3 * values)
        layer(values / 0)
        results.append([y, layer.running_mean, layer.eval()(values)])
    for ours, theirs in zip(*results, strict=True):
        assert_same(ours, theirs, rtol=3e-6, atol=3e-6)


def test_a_state_of_torchs_goes_on_as_torchs() -> None:
    theirs = torch.nn.BatchNorm1d(3, momentum=None)
    x = normal(4, 3).astype(np.float32)
    theirs(torch.tensor(x))
    ours = nn.BatchNorm1d(3, momentum=None)
    copy_weights(theirs, ours)
    for lib, layer in ((tt, ours), (torch, theirs)):
        layer(lib.tensor(2 * x))
    assert_same(ours.running_mean, theirs.running_mean, rtol=1e-6, atol=1e-7)
    assert ours.num_batches_tracked.item() == 2


@pytest.mark.parametrize("wanted", [(0,), (1,), (2,), (1, 2)])
def test_only_the_gradients_that_are_wanted_are_made(wanted) -> None:
    arrays = [normal(4, 3), normal(3), normal(3)]
    grads = []
    for chosen in ((0, 1, 2), wanted):
        leaves = [tt.tensor(a, requires_grad=i in chosen) for i, a in enumerate(arrays)]
        y = F.batch_norm(leaves[0], None, None, *leaves[1:], training=True)
        (y * y * y).sum().backward()
        grads.append([leaf.grad for leaf in leaves])
    for number, (every, some) in enumerate(zip(*grads, strict=True)):
        if number in wanted:
            np.testing.assert_array_equal(every.numpy(), some.numpy())
        else:
            assert some is None


@pytest.mark.parametrize("affine", [True, False])
def test_writing_into_an_output_leaves_the_gradient_right(affine) -> None:
    grads = []
    for write in (False, True):
        x = tt.tensor([[1.0, 2], [3, 7], [4, 4]], requires_grad=True)
        scale = (tt.ones(2), tt.zeros(2)) if affine else ()
        y = F.batch_norm(x, None, None, *scale, training=True)
        if write:
            y.detach().mul_(100)
        y.backward(tt.tensor([[1.0, 2], [4, 8], [16, 32]]))
        grads.append(x.grad.numpy())
    np.testing.assert_array_equal(*grads)


def test_batches_are_not_counted_where_the_count_was_taken_away() -> None:
    for lib in (tt, torch):
        layer = lib.nn.BatchNorm1d(2, momentum=None)
        layer.num_batches_tracked = None
        layer(lib.tensor([[1.0, 2.0], [3.0, 6.0]]))
        assert layer.running_mean.tolist() == [0, 0]
        assert list(layer.state_dict()) == ["weight", "bias", "running_mean", "running_var"]


def test_an_empty_batch_leaves_the_averages_as_they_are() -> None:
    for lib in (tt, torch):
        layer = lib.nn.BatchNorm1d(3)
        y = layer(lib.ones(0, 3))
        assert tuple(y.shape) == (0, 3)
        y.sum().backward()
        assert layer.weight.grad.tolist() == [0, 0, 0]
        assert layer.running_var.tolist() == [1, 1, 1]
        assert layer.num_batches_tracked.item() == 1
        plain = lib.nn.BatchNorm1d(3, affine=False)
        assert tuple(plain(lib.ones(0, 3)).shape) == (0, 3)


def test_a_channel_that_does_not_vary_is_the_bias_exactly() -> None:
    assert F.batch_norm(tt.full((5, 2), 1000.1), None, None, training=True).tolist() == [[0, 0]] * 5


REFUSED = [
    (ValueError, lambda lib, f: lib.nn.BatchNorm1d(3)(lib.ones(3))),
    (ValueError, lambda lib, f: lib.nn.BatchNorm1d(3)(lib.ones(2, 3, 4, 5))),
    (ValueError, lambda lib, f: lib.nn.BatchNorm1d(3)(lib.ones(1, 3))),
    (ValueError, lambda lib, f: lib.nn.BatchNorm1d(3)(lib.ones(1, 3, 1))),
    (RuntimeError, lambda lib, f: lib.nn.BatchNorm1d(3)(lib.ones(2, 4))),
    (RuntimeError, lambda lib, f: lib.nn.BatchNorm1d(3)(lib.ones(2, 3).double())),
    (NotImplementedError, lambda lib, f: lib.nn.BatchNorm1d(3)(lib.ones(2, 3).long())),
    (RuntimeError, lambda lib, f: f(lib.ones(2, 3), None, None)),
    (ValueError, lambda lib, f: f(lib.ones(2, 3), lib.ones(3), None, training=True)),
    (RuntimeError, lambda lib, f: f(lib.ones(2, 3), lib.ones(2), lib.ones(3))),
    (RuntimeError, lambda lib, f: f(lib.ones(2, 3), lib.ones(3), lib.ones(2))),
    (RuntimeError, lambda lib, f: f(lib.ones(2, 3), lib.ones(3), lib.ones(3), lib.ones(2))),
    (RuntimeError, lambda lib, f: f(lib.ones(2, 3), lib.ones(3), lib.ones(3), None, lib.ones(2))),
    (RuntimeError, lambda lib, f: f(lib.ones(2), lib.ones(2), lib.ones(2))),
    (ValueError, lambda lib, f: f(lib.ones(2, 3), lib.ones(3), lib.ones(3), eps=-0.1)),
    (ValueError, lambda lib, f: f(lib.ones(2, 3), None, None, training=True, eps=0)),
    (
        RuntimeError,
        lambda lib, f: f(lib.ones(2, 3), lib.ones(3, requires_grad=True), lib.ones(3)),
    ),
]


@pytest.mark.parametrize(("kind", "call"), REFUSED)
def test_what_torch_refuses_is_refused(kind, call) -> None:
    with pytest.raises(kind):
        call(torch, torch.nn.functional.batch_norm)
    with pytest.raises(kind, match=r"(?i)^batch_?norm"):
        call(tt, F.batch_norm)


@pytest.mark.parametrize("training", [True, False])
def test_half_precision_is_computed_in_float32_with_averages_of_either_type(training) -> None:
    x = normal(4, 3).astype(np.float16)
    results = []
    for kind, average in (("float16", "float32"), ("float16", "float16"), ("float32", "float32")):
        leaf = tt.tensor(x.astype(kind), requires_grad=True)
        running = [tt.zeros(3, dtype=getattr(tt, average)), tt.ones(3, dtype=getattr(tt, average))]
        y = F.batch_norm(leaf, *running, training=training)
        y.backward(tt.tensor(np.arange(12.0).reshape(4, 3).astype(kind)))
        assert y.dtype is leaf.grad.dtype is leaf.dtype
        results.append([y.detach().half().tolist(), leaf.grad.half().tolist()])
    assert results[0] == results[1] == results[2]
    half, average = torch.ones(2, 3).half(), torch.ones(3)
    assert torch.nn.functional.batch_norm(half, average, average).dtype is torch.float16
