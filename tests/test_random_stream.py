"""The generator gives torch's stream: same seed, same calls, same numbers, same state."""

import copy
import math
import pickle
import random
from collections.abc import Callable, Iterator
from fractions import Fraction
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinytensor.random as stream
from tinytensor.random import Generator

SEEDS = [0, 1, 42, 2**32 - 1, 2**32, 2**63, 2**64 - 1, -1, -(2**63)]
SIZES = [0, 1, 2, 15, 16, 17, 31, 32, 33, 100, 312, 623, 624, 625, 1000, 40_000]
FLOATS = [np.float16, np.float32, np.float64]
BOUNDS = [
    (0, 1),
    (-0.3, 0.3),
    (-1 / 7**0.5, 1 / 7**0.5),
    (2, 3.7),
    (0, 3),
    (-1, 0),
    (1, 1),
    (1000, 1000.001),
    (-1e4, 1e-7),
    (1e-7, 1e4),
    (-3e4, 3e4),
]


@pytest.fixture(scope="module")
def torch() -> ModuleType:
    return pytest.importorskip("torch")


@pytest.fixture(scope="module")
def fused(torch: ModuleType) -> None:
    if torch.backends.cpu.get_cpu_capability() == "DEFAULT":
        pytest.skip("without a fused multiply-add torch rounds the ends of a range twice")


def pair(torch: ModuleType, seed: int = 0) -> tuple[Generator, Any]:
    return Generator().manual_seed(seed), torch.Generator().manual_seed(seed)


def named(torch: ModuleType, dtype: type[np.floating]) -> Any:
    return getattr(torch, np.dtype(dtype).name)


def assert_same_state(ours: Generator, theirs: Any) -> None:
    """The same words follow, and the same kept normal (to rounding, as all normals)."""
    got = ours.get_state()
    expected = theirs.get_state().numpy().copy()
    # After the last word of a block torch writes position 624 and here it is 0: both end it.
    position = expected[16:24].view("<u8")
    position %= 624
    kept = slice(5024, 5032)
    np.testing.assert_allclose(
        got[kept].view("<f8"), expected[kept].view("<f8"), rtol=1e-14, atol=1e-14
    )
    got[kept] = expected[kept] = 0
    np.testing.assert_array_equal(got, expected)


def assert_normals_near(got: np.ndarray, expected: np.ndarray, spread: float = 1.0) -> None:
    """Equal but for rounding, mostly that of the angle.

    y = r cos θ with r < 9 and θ < 2π: half a unit in the last place of θ, 2 eps, on both sides
    moves y by 9 * 4 eps at most. A float16 is such a float32 rounded: then at most one unit apart.
    """
    assert got.dtype == expected.dtype
    units = 4 if got.dtype == np.float16 else 36
    atol = units * np.finfo(got.dtype).eps * spread
    np.testing.assert_allclose(got, expected, rtol=0, atol=atol)


# ---- seeds ----


@given(seed=st.integers(-(2**63), 2**64 - 1))
def test_every_seed_starts_torchs_stream(torch, seed):
    ours, theirs = pair(torch, seed)
    assert ours.initial_seed() == theirs.initial_seed()
    assert_same_state(ours, theirs)
    assert ours.uniform(3).tolist() == torch.rand(3, generator=theirs).tolist()


def test_only_the_low_32_bits_of_a_seed_choose_the_stream():
    low = Generator().manual_seed(5).uniform(10)
    high = Generator().manual_seed(5 + 7 * 2**32).uniform(10)
    np.testing.assert_array_equal(low, high)


def test_words_are_those_of_the_published_mersenne_twister():
    # ISO C++ [rand.predef]: the 10000th word of mt19937 from its default seed 5489.
    draws = Generator().manual_seed(5489).integers(0, 2**27, 10_000)
    assert draws[-1] == 4123659995 % 2**27


def test_seed_zero_gives_the_numbers_that_torch_gives():
    g = Generator().manual_seed(0)
    np.testing.assert_allclose(g.uniform(4), [0.4963, 0.7682, 0.0885, 0.1320], atol=5e-5)
    g.manual_seed(0)
    np.testing.assert_allclose(g.normal(4), [1.5410, -0.2934, -2.1788, 0.5684], atol=5e-5)
    assert g.manual_seed(0).permutation(4).tolist() == [0, 1, 3, 2]


def test_a_new_generator_is_seeded_as_torchs(torch):
    assert Generator().initial_seed() == torch.Generator().initial_seed() == 67280421310721
    assert_same_state(Generator(), torch.Generator())


def test_seed_starts_a_stream_that_manual_seed_can_repeat():
    g = Generator()
    first = g.seed()
    drawn = g.uniform(4)
    assert g.initial_seed() == first
    np.testing.assert_array_equal(Generator().manual_seed(first).uniform(4), drawn)
    assert g.seed() != first


# ---- uniform ----


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("seed", SEEDS)
def test_uniform_is_rand_bit_for_bit(torch, seed, dtype):
    ours, theirs = pair(torch, seed)
    for size in SIZES:
        expected = torch.rand(size, generator=theirs, dtype=named(torch, dtype)).numpy()
        got = ours.uniform(size, dtype=dtype)
        assert got.dtype == dtype
        np.testing.assert_array_equal(got, expected)
        assert_same_state(ours, theirs)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("low", "high"), BOUNDS)
def test_uniform_in_a_range_is_uniform_bit_for_bit(torch, fused, low, high, dtype):
    ours, theirs = pair(torch, 3)
    expected = torch.empty(100_000, dtype=named(torch, dtype))
    expected.uniform_(low, high, generator=theirs)
    np.testing.assert_array_equal(ours.uniform(100_000, low, high, dtype), expected.numpy())
    assert_same_state(ours, theirs)


ANY_SIZE = st.floats(-60, 60).map(lambda e: 10.0 ** (e / 2))
SIGNED = st.tuples(st.sampled_from([-1.0, 0.0, 1.0]), ANY_SIZE).map(lambda p: p[0] * p[1])


@given(a=SIGNED, b=SIGNED, seed=st.integers(0, 2**32), dtype=st.sampled_from([2, 4, 8]))
def test_any_range_is_rounded_once_as_in_torch(torch, fused, a, b, seed, dtype):
    kind = {2: np.float16, 4: np.float32, 8: np.float64}[dtype]
    limit = 3e4 if kind is np.float16 else np.inf
    low, high = (float(np.clip(bound, -limit, limit)) for bound in sorted((a, b)))
    ours, theirs = pair(torch, seed)
    expected = torch.empty(2000, dtype=named(torch, kind)).uniform_(low, high, generator=theirs)
    np.testing.assert_array_equal(ours.uniform(2000, low, high, kind), expected.numpy())


@given(low=st.floats(-1e3, 1e3, width=32), share=st.floats(1e-9, 1e-3))
def test_a_narrow_range_is_rounded_once_as_in_torch(torch, fused, low, share):
    high = low + abs(low) * share
    for dtype in (np.float32, np.float64):
        ours, theirs = pair(torch, 8)
        expected = torch.empty(2000, dtype=named(torch, dtype))
        expected.uniform_(low, high, generator=theirs)
        np.testing.assert_array_equal(ours.uniform(2000, low, high, dtype), expected.numpy())


def nearest(value: Fraction, bits: int) -> float:
    """The number of so many bits nearest to the value, ties to even."""
    if value == 0:
        return 0.0
    exponent = math.frexp(value)[1]
    unit = Fraction(2) ** (exponent - bits)
    return float(round(value / unit) * unit)


@pytest.mark.parametrize(("dtype", "bits"), [(np.float32, 24), (np.float64, 53)])
def test_multiply_add_rounds_once_however_near_to_a_tie(dtype, bits):
    """x scale is just between two numbers, and the shift, however small, decides."""
    chance = random.Random(0)
    half = bits // 2
    for _ in range(3000):
        a = chance.randrange(2**half + 1, 2 ** (half + 1), 2)
        c = chance.randrange(2 ** (bits - half) + 1, 2 ** (bits - half + 1), 2)
        x = a / 2 ** (half + 1)
        scale = c / 2 ** (bits - half)
        shift = float(dtype(chance.uniform(-1, 1) * 2.0 ** -chance.randrange(bits, 4 * bits)))
        exact = Fraction(x) * Fraction(scale) + Fraction(shift)
        got = stream._multiply_add(np.array([x], dtype), dtype(scale), dtype(shift))
        assert got.dtype == dtype
        assert got.item() == nearest(exact, bits), (x, scale, shift)


def test_multiply_add_sees_the_last_bit_of_a_product_under_a_large_shift():
    # (2^34 + 1) 2^-46 = 2^-12 + 2^-46, and 4096 + 2^-12 is in the middle of two numbers.
    x = np.array([4765 * 2.0**-24], np.float32)
    got = stream._multiply_add(x, np.float32(3605429 * 2.0**-22), np.float32(4096))
    assert got.item() == 4096 + 2.0**-11


@pytest.mark.parametrize(
    ("low", "high", "dtype"),
    [
        (1, 1e308, np.float64),
        (-8e307, 8e307, np.float64),
        (-1e-300, 3e-300, np.float64),
        (-1.7e38, 1.7e38, np.float32),
        (0, np.finfo(np.float32).max, np.float32),
        (-32736 + 2.0**-10, 32768 + 2.0**-10, np.float16),
        (-1e-42, 1e-42, np.float32),
    ],
)
def test_the_largest_and_smallest_ranges_are_torchs_too(torch, fused, low, high, dtype):
    ours, theirs = pair(torch, 4)
    expected = torch.empty(5000, dtype=named(torch, dtype)).uniform_(low, high, generator=theirs)
    np.testing.assert_array_equal(ours.uniform(5000, low, high, dtype), expected.numpy())


def test_the_upper_end_of_a_range_never_comes():
    low, high = np.float32(1000), np.float32(1000.001)
    drawn = Generator().manual_seed(0).uniform(100_000, 1000, 1000.001)
    assert drawn.min() == low
    assert drawn.max() == np.nextafter(high, low)


# ---- normal ----


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("seed", SEEDS)
def test_normal_is_randn_to_rounding_and_leaves_torchs_state(torch, seed, dtype):
    ours, theirs = pair(torch, seed)
    for size in SIZES:
        expected = torch.randn(size, generator=theirs, dtype=named(torch, dtype)).numpy()
        assert_normals_near(ours.normal(size, dtype=dtype), expected)
        assert_same_state(ours, theirs)
        after = torch.rand(5, generator=theirs).numpy()
        np.testing.assert_array_equal(ours.uniform(5), after)


@pytest.mark.parametrize("size", [7, 16, 57])
@pytest.mark.parametrize(("mean", "std"), [(0, 0.02), (3, 2), (-5, 0), (1e4, 1e-3)])
def test_normal_takes_mean_and_std_as_torch(torch, size, mean, std):
    for dtype in FLOATS:
        ours, theirs = pair(torch, 6)
        expected = torch.empty(size, dtype=named(torch, dtype))
        expected.normal_(mean, std, generator=theirs)
        got = ours.normal(size, mean, std, dtype)
        assert_normals_near(got, expected.numpy(), spread=abs(mean) + std)
        assert_same_state(ours, theirs)


def test_the_second_normal_of_a_pair_is_kept_for_the_next_draw(torch):
    ours, theirs = pair(torch, 9)
    for size, dtype in [(3, np.float32), (20, np.float32), (2, np.float64), (5, np.float16)]:
        expected = torch.randn(size, generator=theirs, dtype=named(torch, dtype)).numpy()
        assert_normals_near(ours.normal(size, dtype=dtype), expected)
        assert_same_state(ours, theirs)


def test_manual_seed_drops_the_kept_normal():
    g = Generator().manual_seed(1)
    first = g.normal(1)
    assert g.manual_seed(1).normal(1) == first


def test_normals_are_normal():
    drawn = Generator().manual_seed(0).normal((200, 500), dtype=np.float64)
    assert abs(drawn.mean()) < 0.01
    assert abs(drawn.std() - 1) < 0.01
    assert abs((np.abs(drawn) < 1).mean() - 0.6827) < 0.005


# ---- integers ----


@pytest.mark.parametrize(
    ("low", "high"),
    [
        (0, 1),
        (0, 10),
        (-5, 5),
        (-(2**62), -(2**62) + 3),
        (0, 2**28 - 1),
        (0, 2**28),
        (-(2**31), 2**31),
        (0, 2**32),
        (7, 2**32 + 7),
        (0, 2**53 + 1),
        (-(2**63), 2**63 - 1),
        (2**63 - 2, 2**63 - 1),
    ],
)
def test_integers_are_randint_bit_for_bit(torch, low, high):
    ours, theirs = pair(torch, 12)
    for size in SIZES:
        expected = torch.randint(low, high, (size,), generator=theirs).numpy()
        got = ours.integers(low, high, size)
        assert got.dtype == np.int64
        np.testing.assert_array_equal(got, expected)
        assert_same_state(ours, theirs)


@given(bounds=st.sets(st.integers(-(2**63), 2**63 - 1), min_size=2, max_size=2))
def test_any_integer_range_is_randints(torch, bounds):
    low, high = sorted(bounds)
    ours, theirs = pair(torch, 2)
    expected = torch.randint(low, high, (50,), generator=theirs).numpy()
    np.testing.assert_array_equal(ours.integers(low, high, 50), expected)
    assert_same_state(ours, theirs)


# ---- permutation ----


@pytest.mark.parametrize("seed", SEEDS)
def test_permutation_is_randperm_bit_for_bit(torch, seed):
    ours, theirs = pair(torch, seed)
    for n in SIZES:
        got = ours.permutation(n)
        assert got.dtype == np.int64
        np.testing.assert_array_equal(got, torch.randperm(n, generator=theirs).numpy())
        assert_same_state(ours, theirs)


@pytest.mark.parametrize("n", [0, 1, 2, 17, 40_000])
def test_a_wide_permutation_inserts_each_number_at_a_64_bit_place(torch, monkeypatch, n):
    monkeypatch.setattr(stream, "_WIDE_PERMUTATION", 0)
    ours, theirs = pair(torch, 5)
    built: list[int] = []
    for i in range(n):
        # mod 2^64 - 1 leaves all 64-bit words but one as they are.
        word = torch.randint(-(2**63), 2**63 - 1, (1,), generator=theirs).item() + 2**63
        built.append(i)
        place = word % (i + 1)
        built[i], built[place] = built[place], i
    assert ours.permutation(n).tolist() == built
    assert_same_state(ours, theirs)


@pytest.mark.long
def test_a_permutation_is_torchs_where_torch_turns_to_64_bit_words(torch):
    """Takes 5 GB of memory."""
    ours, theirs = pair(torch, 11)
    n = (2**32 - 1) // 20
    np.testing.assert_array_equal(ours.permutation(n), torch.randperm(n, generator=theirs).numpy())
    assert_same_state(ours, theirs)


# ---- bernoulli ----

PROBABILITIES = [0.0, 0.1, 0.25, 0.5, 1 - 0.3, 0.9, 1.0, 2.0**-53, 1 - 2.0**-53, 5e-324]


@pytest.mark.parametrize("p", PROBABILITIES)
def test_bernoulli_compares_p_with_a_float64_uniform(torch, p):
    ours, theirs = pair(torch, 21)
    for size in SIZES:
        expected = torch.rand(size, generator=theirs, dtype=torch.float64).numpy() < p
        got = ours.bernoulli(p, size)
        assert got.dtype == np.bool_
        np.testing.assert_array_equal(got, expected)
        assert_same_state(ours, theirs)


@pytest.mark.parametrize("dtype", ["bool", "int64", "float32", "float64"])
@pytest.mark.parametrize("p", PROBABILITIES)
def test_bernoulli_is_bernoulli_of_torch_whatever_it_fills(torch, p, dtype):
    ours, theirs = pair(torch, 22)
    for size in SIZES:
        filled = torch.empty(size, dtype=getattr(torch, dtype)).bernoulli_(p, generator=theirs)
        np.testing.assert_array_equal(ours.bernoulli(p, size), filled.bool().numpy())
        assert_same_state(ours, theirs)


@given(p=st.floats(0, 1), seed=st.integers(0, 2**64 - 1))
def test_any_p_is_compared_as_in_torch(torch, p, seed):
    ours, theirs = pair(torch, seed)
    filled = torch.empty(300).bernoulli_(p, generator=theirs)
    np.testing.assert_array_equal(ours.bernoulli(p, 300), filled.bool().numpy())


def test_a_uniform_equal_to_p_is_not_below_it(torch):
    ours, theirs = pair(torch, 30)
    p = torch.rand(1, generator=torch.Generator().manual_seed(30), dtype=torch.float64).item()
    assert not ours.bernoulli(p, 1)[0]
    ours.manual_seed(30)
    assert ours.bernoulli(np.nextafter(p, 1), 1)[0]
    assert not torch.empty(1).bernoulli_(p, generator=theirs).item()


@pytest.mark.parametrize("p", [0.1, 0.5, 0.65])
def test_bernoulli_is_the_mask_of_torchs_dropout(torch, p):
    torch.manual_seed(17)
    kept = torch.nn.functional.dropout(torch.ones(30, 7, 11), p) != 0
    ours = Generator().manual_seed(17)
    np.testing.assert_array_equal(ours.bernoulli(1 - p, (30, 7, 11)), kept.numpy())
    assert_same_state(ours, torch.default_generator)


@pytest.mark.parametrize("dtype", FLOATS)
def test_bernoulli_like_is_bernoulli_of_a_tensor(torch, dtype):
    ours, theirs = pair(torch, 23)
    for size in SIZES:
        p = torch.linspace(0, 1, size, dtype=torch.float64).to(named(torch, dtype))
        expected = torch.bernoulli(p, generator=theirs)
        np.testing.assert_array_equal(ours.bernoulli_like(p.numpy()), expected.bool().numpy())
        assert_same_state(ours, theirs)


@pytest.mark.parametrize(
    "form",
    [
        lambda p: p.t(),
        lambda p: p[:, ::2],
        lambda p: p[1:2].expand(4, 30),
        lambda p: p.reshape(5, 2, 12).permute(2, 0, 1),
        lambda p: p[0, 0],
    ],
    ids=["transposed", "sliced", "expanded", "permuted", "0-d"],
)
def test_bernoulli_like_draws_in_the_order_of_the_indices(torch, form):
    ours, theirs = pair(torch, 24)
    p = form(torch.rand(4, 30, generator=theirs))
    ours.uniform(120)
    expected = torch.bernoulli(p, generator=theirs).bool().numpy()
    np.testing.assert_array_equal(ours.bernoulli_like(p.numpy()), expected)


# ---- one stream for all ----

CALLS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "uniform32": (
        lambda g, n: g.uniform(n),
        lambda t, g, n: t.rand(n, generator=g),
    ),
    "uniform64": (
        lambda g, n: g.uniform(n, dtype=np.float64),
        lambda t, g, n: t.rand(n, generator=g, dtype=t.float64),
    ),
    "narrow": (
        lambda g, n: g.integers(-3, 1000, n),
        lambda t, g, n: t.randint(-3, 1000, (n,), generator=g),
    ),
    "wide": (
        lambda g, n: g.integers(0, 2**40, n),
        lambda t, g, n: t.randint(0, 2**40, (n,), generator=g),
    ),
    "permutation": (
        lambda g, n: g.permutation(n),
        lambda t, g, n: t.randperm(n, generator=g),
    ),
    "bernoulli": (
        lambda g, n: g.bernoulli(0.3, n),
        lambda t, g, n: t.empty(n, dtype=t.bool).bernoulli_(0.3, generator=g),
    ),
    "bernoulli_like": (
        lambda g, n: g.bernoulli_like(np.full(n, 0.3, np.float32)),
        lambda t, g, n: t.bernoulli(t.full((n,), 0.3), generator=g).bool(),
    ),
    "normal32": (
        lambda g, n: g.normal(n),
        lambda t, g, n: t.randn(n, generator=g),
    ),
    "normal64": (
        lambda g, n: g.normal(n, dtype=np.float64),
        lambda t, g, n: t.randn(n, generator=g, dtype=t.float64),
    ),
}


@given(
    seed=st.integers(0, 2**64 - 1),
    calls=st.lists(st.tuples(st.sampled_from(sorted(CALLS)), st.integers(0, 700)), max_size=12),
)
def test_any_sequence_of_draws_is_torchs_and_leaves_its_state(torch, seed, calls):
    ours, theirs = pair(torch, seed)
    for name, size in calls:
        our_call, their_call = CALLS[name]
        got = our_call(ours, size)
        expected = their_call(torch, theirs, size).numpy()
        if name.startswith("normal"):
            assert_normals_near(got, expected)
        else:
            np.testing.assert_array_equal(got, expected)
        assert_same_state(ours, theirs)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (2, 3), [4, 5], 7, np.int64(3)])
def test_a_shape_is_filled_row_by_row(shape):
    count = int(np.prod(shape))
    g = Generator()
    for draw in (
        lambda shape: g.uniform(shape),
        lambda shape: g.uniform(shape, -2, 5),
        lambda shape: g.normal(shape),
        lambda shape: g.integers(0, 9, shape),
        lambda shape: g.bernoulli(0.5, shape),
    ):
        g.manual_seed(3)
        shaped = draw(shape)
        g.manual_seed(3)
        flat = draw(count)
        assert shaped.shape == np.empty(shape).shape
        np.testing.assert_array_equal(shaped.ravel(), flat)


# ---- state ----


def drawn_from(generator: Generator) -> list[float]:
    return [*generator.normal(3), *generator.uniform(700), *generator.permutation(5)]


@pytest.fixture
def midway() -> Iterator[Generator]:
    """A generator within a block of words, with a normal kept."""
    g = Generator().manual_seed(-7)
    g.uniform(1000)
    g.normal(3)
    yield g


def test_set_state_goes_back_to_get_state(midway):
    state = midway.get_state()
    first = drawn_from(midway)
    assert drawn_from(midway) != first
    midway.set_state(state)
    assert drawn_from(midway) == first
    other = Generator()
    other.set_state(state)
    assert other.initial_seed() == midway.initial_seed() == 2**64 - 7
    assert drawn_from(other) == first


@pytest.mark.parametrize("words", [0, 1, 623, 624, 625, 1248, 2000])
def test_states_go_to_torch_and_come_from_it(torch, words):
    ours, theirs = pair(torch, 31)
    for generator_is_ours in (True, False):
        ours.manual_seed(31)
        theirs.manual_seed(31)
        if generator_is_ours:
            ours.uniform(words)
            ours.normal(1)
            theirs.set_state(torch.from_numpy(ours.get_state()))
        else:
            torch.rand(words, generator=theirs)
            torch.randn(1, generator=theirs)
            ours.set_state(theirs.get_state().numpy())
        assert ours.initial_seed() == theirs.initial_seed()
        assert_same_state(ours, theirs)
        assert ours.normal(1).item() == pytest.approx(torch.randn(1, generator=theirs).item())
        expected = torch.rand(700, generator=theirs).numpy()
        np.testing.assert_array_equal(ours.uniform(700), expected)


def test_state_dict_holds_arrays_and_loads_back(midway):
    saved = {name: array.copy() for name, array in midway.state_dict().items()}
    assert all(isinstance(array, np.ndarray) for array in saved.values())
    first = drawn_from(midway)
    other = Generator()
    other.load_state_dict(saved)
    assert drawn_from(other) == first


def test_a_state_once_taken_does_not_move(midway):
    state = midway.get_state()
    before = state.copy()
    midway.uniform(10)
    np.testing.assert_array_equal(state, before)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda g: pickle.loads(pickle.dumps(g))])
def test_a_copy_goes_on_with_the_same_stream_on_its_own(midway, copied):
    twin = copied(midway)
    first = drawn_from(twin)
    assert drawn_from(midway) == first
    midway.uniform(3)
    assert drawn_from(twin) != drawn_from(midway)


# ---- the default generator ----


def test_the_modules_functions_steer_the_default_generator():
    generator = stream.manual_seed(14)
    assert generator is stream.default_generator
    assert stream.initial_seed() == 14
    np.testing.assert_array_equal(generator.uniform(3), Generator().manual_seed(14).uniform(3))
    fresh = stream.seed()
    assert stream.initial_seed() == fresh != 14


def test_manual_seed_takes_what_int_takes_as_in_torch(torch):
    for seed in (1.5, "7", True, np.int32(9)):
        stream.manual_seed(seed)
        torch.manual_seed(seed)
        assert stream.initial_seed() == torch.initial_seed()


# ---- errors ----

BAD_CALLS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "seed above": (lambda g: g.manual_seed(2**64), lambda t, g: g.manual_seed(2**64)),
    "seed below": (lambda g: g.manual_seed(-(2**63) - 1), lambda t, g: g.manual_seed(-(2**63) - 1)),
    "seed float": (lambda g: g.manual_seed(1.5), lambda t, g: g.manual_seed(1.5)),
    "seed bool": (lambda g: g.manual_seed(True), lambda t, g: g.manual_seed(True)),
    "seed None": (lambda g: g.manual_seed(None), lambda t, g: g.manual_seed(None)),
    "default seed above": (lambda g: stream.manual_seed(2**64), lambda t, g: t.manual_seed(2**64)),
    "default seed text": (lambda g: stream.manual_seed("a"), lambda t, g: t.manual_seed("a")),
    "default seed None": (lambda g: stream.manual_seed(None), lambda t, g: t.manual_seed(None)),
    "device": (lambda g: Generator("nowhere"), lambda t, g: t.Generator("nowhere")),
    "uniform ends": (lambda g: g.uniform(2, 2, 1), lambda t, g: t.rand(2).uniform_(2, 1)),
    "uniform nan": (
        lambda g: g.uniform(2, np.nan, 1),
        lambda t, g: t.rand(2).uniform_(np.nan, 1),
    ),
    "uniform infinite, empty": (
        lambda g: g.uniform(0, 0, np.inf),
        lambda t, g: t.rand(0).uniform_(0, np.inf),
    ),
    "uniform wide": (
        lambda g: g.uniform(2, -3e38, 3e38),
        lambda t, g: t.rand(2).uniform_(-3e38, 3e38),
    ),
    "uniform beyond float32": (
        lambda g: g.uniform(2, 1e39, 1e39),
        lambda t, g: t.rand(2).uniform_(1e39, 1e39),
    ),
    "uniform below float32": (
        lambda g: g.uniform(2, -1e39, -1e39),
        lambda t, g: t.rand(2).uniform_(-1e39, -1e39),
    ),
    "uniform beyond float16": (
        lambda g: g.uniform(2, 0, 1e5, np.float16),
        lambda t, g: t.rand(2, dtype=t.float16).uniform_(0, 1e5),
    ),
    "uniform int64": (
        lambda g: g.uniform(2, dtype=np.int64),
        lambda t, g: t.rand(2, dtype=t.int64),
    ),
    "uniform size": (lambda g: g.uniform(-1), lambda t, g: t.rand(-1)),
    "uniform float size": (lambda g: g.uniform((2, 3.0)), lambda t, g: t.rand((2, 3.0))),
    "normal std": (lambda g: g.normal(2, 0, -1), lambda t, g: t.rand(2).normal_(0, -1)),
    "normal nan": (lambda g: g.normal(2, 0, np.nan), lambda t, g: t.rand(2).normal_(0, np.nan)),
    "normal std, empty": (lambda g: g.normal(0, 0, -1), lambda t, g: t.rand(0).normal_(0, -1)),
    "normal int64": (
        lambda g: g.normal(2, dtype=np.int64),
        lambda t, g: t.randn(2, dtype=t.int64),
    ),
    "normal size": (lambda g: g.normal((2, -1)), lambda t, g: t.randn(2, -1)),
    "integers equal": (lambda g: g.integers(3, 3, 2), lambda t, g: t.randint(3, 3, (2,))),
    "integers, empty": (lambda g: g.integers(5, 3, 0), lambda t, g: t.randint(5, 3, (0,))),
    "integers above": (lambda g: g.integers(0, 2**63, 2), lambda t, g: t.randint(0, 2**63, (2,))),
    "integers below": (
        lambda g: g.integers(-(2**63) - 1, 2, 2),
        lambda t, g: t.randint(-(2**63) - 1, 2, (2,)),
    ),
    "integers float": (lambda g: g.integers(0, 2.5, 2), lambda t, g: t.randint(0, 2.5, (2,))),
    "integers size": (lambda g: g.integers(0, 2, -1), lambda t, g: t.randint(0, 2, (-1,))),
    "permutation below": (lambda g: g.permutation(-1), lambda t, g: t.randperm(-1)),
    "permutation float": (lambda g: g.permutation(2.0), lambda t, g: t.randperm(2.0)),
    "bernoulli above": (lambda g: g.bernoulli(1.5, 2), lambda t, g: t.rand(2).bernoulli_(1.5)),
    "bernoulli nan": (lambda g: g.bernoulli(np.nan, 2), lambda t, g: t.rand(2).bernoulli_(np.nan)),
    "bernoulli, empty": (lambda g: g.bernoulli(-1, 0), lambda t, g: t.rand(0).bernoulli_(-1)),
    "bernoulli_like above": (
        lambda g: g.bernoulli_like(np.array([0.5, 1.5])),
        lambda t, g: t.bernoulli(t.tensor([0.5, 1.5])),
    ),
    "bernoulli_like nan": (
        lambda g: g.bernoulli_like(np.array([0.5, np.nan])),
        lambda t, g: t.bernoulli(t.tensor([0.5, np.nan])),
    ),
    "bernoulli_like int64": (
        lambda g: g.bernoulli_like(np.array([1, 0])),
        lambda t, g: t.bernoulli(t.tensor([1, 0])),
    ),
    "state size": (
        lambda g: g.set_state(np.zeros(3, np.uint8)),
        lambda t, g: g.set_state(t.zeros(3, dtype=t.uint8)),
    ),
    "state dtype": (
        lambda g: g.set_state(np.zeros(5056, np.float32)),
        lambda t, g: g.set_state(t.zeros(5056)),
    ),
    "state list": (lambda g: g.set_state([1]), lambda t, g: g.set_state([1])),
    "state empty": (
        lambda g: g.set_state(np.zeros(5056, np.uint8)),
        lambda t, g: g.set_state(t.zeros(5056, dtype=t.uint8)),
    ),
}


@pytest.mark.parametrize("name", BAD_CALLS)
def test_a_bad_call_raises_as_in_torch_and_leaves_the_stream(torch, name):
    our_call, their_call = BAD_CALLS[name]
    ours = Generator().manual_seed(1)
    before = ours.get_state()
    with pytest.raises(Exception) as got:
        our_call(ours)
    with pytest.raises(Exception) as expected:
        their_call(torch, torch.Generator())
    assert got.type is expected.type
    assert ": expected " in str(got.value) or name.startswith("default seed")
    np.testing.assert_array_equal(ours.get_state(), before)


def test_a_state_that_contradicts_itself_is_refused(midway):
    state = midway.get_state()
    position = state[16:24].view("<u8")
    position += 1
    with pytest.raises(RuntimeError, match="left \\+ next = 625"):
        midway.set_state(state)


@pytest.mark.parametrize("names", [[], ["state", "more"], ["key"]])
def test_a_state_dict_with_other_names_is_refused(midway, names):
    with pytest.raises(RuntimeError, match="expected the name 'state'"):
        midway.load_state_dict(dict.fromkeys(names, midway.get_state()))
