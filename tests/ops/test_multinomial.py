"""`multinomial` draws torch's indices from the same seed, and what the weights say."""

import numpy as np
import pytest

import tinytensor as tt


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(7,), (4, 7), (1, 7)])
@pytest.mark.parametrize("replacement,count", [(True, 40), (True, 1), (False, 6), (False, 1)])
def test_indices_are_torchs_and_so_is_what_is_drawn_next(rng, dtype, shape, replacement, count):
    torch = pytest.importorskip("torch")
    weights = rng.random(shape).astype(dtype)
    weights[..., 2] = 0
    drawn = []
    for lib in (tt, torch):
        generator = lib.Generator().manual_seed(3)
        found = lib.multinomial(
            lib.from_numpy(weights), count, replacement=replacement, generator=generator
        )
        drawn.append((found.tolist(), str(found.dtype)[-5:], lib.rand(3, generator=generator)))
    assert drawn[0][:2] == drawn[1][:2]
    assert drawn[0][2].tolist() == drawn[1][2].tolist()


def test_without_a_generator_the_default_one_is_drawn_from():
    torch = pytest.importorskip("torch")
    ours = tt.ones(9).multinomial(5).tolist()
    assert ours == torch.ones(9).multinomial(5).tolist()


@pytest.mark.parametrize("replacement", [True, False])
def test_an_index_without_weight_never_comes_and_the_others_in_proportion(replacement):
    weights = tt.tensor([1.0, 0.0, 3.0])
    drawn = tt.multinomial(weights.expand(4000, 3), 1 + replacement, replacement).numpy()[:, 0]
    counts = np.bincount(drawn, minlength=3)
    assert counts[1] == 0
    # Five standard deviations of a binomial count.
    assert abs(counts[2] - 3000) < 5 * np.sqrt(4000 * 0.75 * 0.25)


def test_without_replacement_no_index_comes_twice():
    drawn = tt.multinomial(tt.rand(50, 8), 8).numpy()
    assert (np.sort(drawn, axis=-1) == np.arange(8)).all()


@pytest.mark.parametrize(
    ("weights", "count", "replacement", "message"),
    [
        ([1, 2], 1, False, "expected floating-point weights"),
        ([[[1.0]]], 1, False, r"expected \(categories,\) or \(rows, categories\)"),
        ([1.0, 2.0], 0, False, "expected num_samples > 0, got 0"),
        ([1.0, 2.0], 3, False, "expected num_samples <= 2"),
        ([1.0, -1.0], 1, False, "expected finite weights >= 0"),
        ([1.0, float("nan")], 1, True, "expected finite weights >= 0"),
        ([1.0, float("inf")], 5, True, "expected finite weights >= 0"),
        ([[1.0], [0.0]], 2, True, "expected weights with a positive sum"),
    ],
)
def test_what_can_not_be_drawn_from_raises_as_in_torch(weights, count, replacement, message):
    with pytest.raises(RuntimeError, match=message):
        tt.multinomial(tt.tensor(weights), count, replacement)
    torch = pytest.importorskip("torch")
    with pytest.raises(RuntimeError):
        torch.multinomial(torch.tensor(weights), count, replacement)
