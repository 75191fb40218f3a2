"""Random numbers: torch's CPU generator, word for word, on NumPy arrays.

The generator is the Mersenne Twister MT19937 (Matsumoto & Nishimura 1998, "Mersenne Twister: a
623-dimensionally equidistributed uniform pseudo-random number generator", ACM TOMACS 8(1)). It
gives 32-bit words w1, w2, ...; only the low 32 bits of a seed reach it. A 64-bit word is two of
them, the first one on top: 2^32 w1 + w2. The words become numbers as in torch 2.13 on CPU:

- uniform float32: the low 24 bits of one word, over 2^24; float64: the low 53 bits of a 64-bit
  word, over 2^53. A range [low, high) is x (high - low) + low, rounded once (as on every processor
  with a fused multiply-add: AVX2, ARM64; without one torch rounds twice and differs in the last
  bit); a value that rounds up to `high` becomes `low`. float16 is drawn as float32.
- normal: Box & Muller (1958, "A note on the generation of random normal deviates", Annals of
  Mathematical Statistics 29(2)) on such uniforms; in blocks of 16 from 16 elements on, one pair
  after the other below that, where the second of a pair is kept for the next draw.
- integers: word mod (high - low), plus low; a 64-bit word when high - low >= 2^28, taken as it is
  when that is 2^64.
- permutation: Fisher & Yates' shuffle, one word mod (what is left) a step; 64-bit words, and the
  form that inserts each number at a random place, from (2^32 - 1) / 20 elements on.
- bernoulli: x < p with x uniform in float64, or in float32 where p is a float32 array.

Everything is torch's bit for bit but `normal`, which is torch's to rounding (sin, cos and log come
from another library); the words it takes are the same, so whatever is drawn next is equal again.

Intel processors: older torch releases let MKL draw `bernoulli_(p)` and dropout there, from a
stream of its own that one word of this one seeds; masks drawn so are not reproduced. torch 2.13
draws them from the generator itself on every processor, and so does this.
"""

from __future__ import annotations

import functools
import math
import operator
import os
from collections.abc import Mapping, Sequence
from typing import Any, Self, SupportsIndex, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from . import devices

Shape: TypeAlias = int | Sequence[int]
FloatArray: TypeAlias = npt.NDArray[Any]
Double: TypeAlias = npt.NDArray[np.float64] | np.float64
DoubleT = TypeVar("DoubleT", npt.NDArray[np.float64], np.float64)

DEFAULT_SEED = 67280421310721

_WORDS_OF_STATE = 624
_FLOATS = {np.dtype(np.float16), np.dtype(np.float32), np.dtype(np.float64)}
_WIDE_RANGE = 2**28  # from here on a 32-bit word mod the range would be visibly uneven
_WIDE_PERMUTATION = (2**32 - 1) // 20  # and from this length on, for the same reason
_CHUNK = 2**14  # words worked on at a time, so that they stay in the cache

# The layout of torch's get_state(), so that a state can be handed over in both directions.
_STATE = np.dtype(
    [
        ("seed", "<u8"),
        ("left", "<i4"),
        ("seeded", "<i4"),
        ("next", "<u8"),
        ("key", "<u8", (_WORDS_OF_STATE,)),
        ("unused_x", "<f8"),
        ("normal", "<f8"),
        ("unused_rho", "<f8"),
        ("has_normal", "<i4"),
        ("padding", "<i4"),
        ("float_normal", "<f4"),
        ("has_float_normal", "<i4"),
    ]
)


class Generator:
    """A stream of random numbers equal to `torch.Generator` on CPU.

    A new one is seeded with 67280421310721, as torch's. Raises RuntimeError for another device
    than "cpu".

    >>> Generator().manual_seed(0).uniform((2,))
    array([0.4962566, 0.7682218], dtype=float32)
    """

    def __init__(self, device: object = "cpu") -> None:
        devices.check(device)
        self.device = devices.CPU
        self._normal: float | None = None
        self.manual_seed(DEFAULT_SEED)

    # ---- seed and state ----

    def manual_seed(self, seed: SupportsIndex) -> Self:
        """Start the stream of `seed`, an integer in [-2^63, 2^64); below 0 it means 2^64 + seed.

        Raises RuntimeError if it is no integer, ValueError if it is out of range.
        """
        try:
            if isinstance(seed, bool):
                raise TypeError
            number = operator.index(seed)
        except TypeError:
            raise RuntimeError(
                f"manual_seed: expected an integer, got {seed!r}; pass int(seed)"
            ) from None
        if not -(2**63) <= number < 2**64:
            raise ValueError(
                f"manual_seed: expected -2**63 <= seed < 2**64, got {number}; take it mod 2**64"
            )
        self._seed = number % 2**64
        self._normal = None
        if "_twister" in vars(self):
            self._start(self._twister)
        return self

    @functools.cached_property
    def _twister(self) -> np.random.MT19937:
        """Made for the first number: to import NumPy's generators takes as long as all of ours."""
        return self._start(np.random.MT19937(0))

    def _start(self, twister: np.random.MT19937) -> np.random.MT19937:
        np.random.RandomState(twister).seed(self._seed % 2**32)
        return twister

    def seed(self) -> int:
        """Seed with 64 bits from the operating system's randomness; gives that seed."""
        self.manual_seed(int.from_bytes(os.urandom(8)))
        return self._seed

    def initial_seed(self) -> int:
        """The seed that the stream was started with, in [0, 2^64)."""
        return self._seed

    def get_state(self) -> npt.NDArray[np.uint8]:
        """The whole state: uint8 (5056,), in the layout of `torch.Generator.get_state`."""
        twister = self._twister.state["state"]
        position = int(twister["pos"]) % _WORDS_OF_STATE
        state = np.zeros(1, _STATE)
        state["seed"] = self._seed
        state["left"] = _WORDS_OF_STATE + 1 - position if position else 1
        state["seeded"] = 1
        state["next"] = position
        state["key"] = twister["key"]
        if self._normal is not None:
            state["normal"] = self._normal
            state["has_normal"] = 1
        return state.view(np.uint8)

    def set_state(self, state: npt.NDArray[np.uint8]) -> Self:
        """Go to a state from `get_state`, from here or from torch, as an array or a tensor.

        Raises TypeError if it is no uint8 array, RuntimeError if its size or content is wrong.
        """
        if hasattr(state, "numpy"):
            state = state.numpy()
        if not isinstance(state, np.ndarray) or state.dtype != np.uint8:
            kind = getattr(state, "dtype", type(state).__name__)
            raise TypeError(f"set_state: expected a uint8 array, got {kind}; pass get_state()")
        if state.size != _STATE.itemsize:
            raise RuntimeError(
                f"set_state: expected {_STATE.itemsize} bytes, got {state.size}; pass get_state()"
            )
        fields = np.ascontiguousarray(state).reshape(-1).view(_STATE)[0]
        left = int(fields["left"])
        position = _WORDS_OF_STATE if left == 1 else _WORDS_OF_STATE + 1 - left
        if not (fields["seeded"] and 1 <= position <= _WORDS_OF_STATE):
            raise RuntimeError("set_state: expected a Mersenne Twister state, got other bytes")
        if left != 1 and fields["next"] != position:
            raise RuntimeError(
                f"set_state: expected left + next = {_WORDS_OF_STATE + 1}, "
                f"got {left} + {fields['next']}; pass get_state() unchanged"
            )
        key = fields["key"].astype(np.uint32)
        self._twister.state = {"bit_generator": "MT19937", "state": {"key": key, "pos": position}}
        self._seed = int(fields["seed"])
        self._normal = float(fields["normal"]) if fields["has_normal"] else None
        return self

    def state_dict(self) -> dict[str, npt.NDArray[np.uint8]]:
        """The state under the name "state", for a checkpoint."""
        return {"state": self.get_state()}

    def load_state_dict(self, state_dict: Mapping[str, npt.NDArray[np.uint8]]) -> None:
        """Go to the state of a `state_dict`. Raises RuntimeError for other names than "state"."""
        if set(state_dict) != {"state"}:
            raise RuntimeError(
                f"load_state_dict: expected the name 'state', got {sorted(state_dict)}; "
                "pass the state_dict() of a Generator"
            )
        self.set_state(state_dict["state"])

    # ---- draws ----

    def uniform(
        self,
        shape: Shape,
        low: float = 0.0,
        high: float = 1.0,
        dtype: npt.DTypeLike = np.float32,
    ) -> FloatArray:
        """Uniform on [low, high): `torch.rand`, `Tensor.uniform_`.

        Raises RuntimeError unless low <= high and both, and high - low, are finite in `dtype`,
        NotImplementedError unless `dtype` is floating.
        """
        kind = _float_dtype("uniform", dtype)
        count = _count("uniform", shape)
        if low == 0 and high == 1 and kind != np.float16:
            return self._unit(count, kind).reshape(shape)
        limit = float(np.finfo(kind).max)
        if not (-limit <= low <= high <= limit and high - low <= limit):
            raise RuntimeError(
                f"uniform: expected finite low <= high with a finite range in {kind}, "
                f"got low {low}, high {high}; swap them or narrow the range"
            )
        x = self._unit(count, kind)
        lower = x.dtype.type(low)
        span = x.dtype.type(high) - lower
        values = _multiply_add(x, span, lower).astype(kind, copy=False)
        values[values == kind.type(high)] = low
        return values.reshape(shape)

    def normal(
        self,
        shape: Shape,
        mean: float = 0.0,
        std: float = 1.0,
        dtype: npt.DTypeLike = np.float32,
    ) -> FloatArray:
        """Normal with `mean` and `std`: `torch.randn`, `Tensor.normal_`.

        Raises RuntimeError unless std >= 0, NotImplementedError unless `dtype` is floating.
        """
        _check_std(std)
        kind = _float_dtype("normal", dtype)
        count = _count("normal", shape)
        if count < 16:
            return self.normal_in_turn(shape, mean, std, dtype)
        # The last 16 elements, if they are no block of their own, are drawn anew, over the end of
        # the last full block. For float32 and float64 the rest was drawn before, and is dropped.
        full = count // 16 * 16
        first = full if kind == np.float16 else count
        again = 16 if full < count else 0
        x = self._unit(first + again, kind)
        drawn = _box_muller(np.concatenate((x[:full], x[first:])))
        with np.errstate(all="ignore"):
            drawn *= x.dtype.type(std)
            drawn += x.dtype.type(mean)
            drawn = drawn.astype(kind, copy=False)
        if not again:
            return drawn.reshape(shape)
        values = np.empty(count, kind)
        values[:full] = drawn[:full]
        values[-16:] = drawn[full:]
        return values.reshape(shape)

    def normal_in_turn(
        self,
        shape: Shape,
        mean: float = 0.0,
        std: float = 1.0,
        dtype: npt.DTypeLike = np.float32,
    ) -> FloatArray:
        """The same drawn one after the other: `Tensor.normal_` of what is not contiguous."""
        _check_std(std)
        kind = _float_dtype("normal", dtype)
        drawn = [self._next_normal() * std + mean for _ in range(_count("normal", shape))]
        with np.errstate(all="ignore"):
            return np.array(drawn, kind).reshape(shape)

    def integers(
        self,
        low: SupportsIndex,
        high: SupportsIndex | None,
        shape: Shape,
        wide: bool | None = None,
    ) -> npt.NDArray[np.int64]:
        """Integers in [low, high): `torch.randint`.

        high : None for 2^63
        wide : take a 64-bit word for each; unless given, where the range asks for it
        Raises TypeError for bounds that are no integers, RuntimeError unless low < high, ValueError
        if a bound is not in [-2^63, 2^63).
        """
        first = _index("integers", "low", low)
        end = 2**63 if high is None else _index("integers", "high", high)
        count = _count("integers", shape)
        for name, bound in (("low", first), ("high", end if high is not None else 0)):
            if not -(2**63) <= bound < 2**63:
                raise ValueError(
                    f"integers: expected -2**63 <= {name} < 2**63, got {bound}; narrow the range"
                )
        if first >= end:
            raise RuntimeError(f"integers: expected low < high, got {first} and {end}; swap them")
        span = end - first
        if wide is None:
            wide = span >= _WIDE_RANGE
        words = self._wide_words(count) if wide else self._words(count)
        if span < 2**64:  # else every word is an integer of the range as it is
            words %= np.uint64(span)
            words += np.uint64(first % 2**64)
        return words.view(np.int64).reshape(shape)

    def permutation(self, n: SupportsIndex) -> npt.NDArray[np.int64]:
        """The numbers 0 .. n-1 shuffled, (n,): `torch.randperm`.

        Raises TypeError if n is no integer, RuntimeError if it is negative.
        """
        size = _index("permutation", "n", n)
        if size < 0:
            raise RuntimeError(f"permutation: expected n >= 0, got {size}; pass a length")
        if size >= _WIDE_PERMUTATION:
            return self._wide_permutation(size)
        step = np.arange(max(size - 1, 0), dtype=np.uint64)
        partner = self._words(step.size)
        partner %= np.uint64(size) - step
        partner += step
        order = list(range(size))
        for i, j in enumerate(partner.tolist()):
            order[i], order[j] = order[j], order[i]
        return np.array(order, np.int64)

    def bernoulli(self, p: float, shape: Shape) -> npt.NDArray[np.bool_]:
        """True with probability p: `Tensor.bernoulli_(p)`, and the mask of dropout at 1 - p.

        Two words an element, whatever the dtype of the tensor that is filled. Other masks than an
        older torch release on an Intel processor, where MKL drew them. Raises RuntimeError unless
        0 <= p <= 1.
        """
        if not 0 <= p <= 1:
            raise RuntimeError(f"bernoulli: expected 0 <= p <= 1, got {p}; pass a probability")
        count = _count("bernoulli", shape)
        # k / 2^53 < p, in integers: p 2^53 is exact, and k is one.
        bits = self._wide_words(count)
        bits &= np.uint64(2**53 - 1)
        return (bits < np.uint64(math.ceil(p * 2.0**53))).reshape(shape)

    def bernoulli_like(self, p: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
        """True with probability p[i] at i, in p's shape: `torch.bernoulli(p)`.

        Two words an element if p is float64, else one. Raises RuntimeError unless 0 <= p <= 1,
        NotImplementedError if p is not floating.
        """
        if not np.issubdtype(p.dtype, np.floating):
            raise NotImplementedError(
                f"bernoulli: expected a floating p, got {p.dtype}; convert it first"
            )
        if not np.all((p >= 0) & (p <= 1)):
            raise RuntimeError(
                f"bernoulli: expected 0 <= p <= 1, got {p.min()} to {p.max()}; pass probabilities"
            )
        kind = np.float64 if p.dtype == np.float64 else np.float32
        return self.uniform(p.shape, dtype=kind) < p.astype(kind, copy=False)

    # ---- words and what they become ----

    def _words(self, count: int) -> npt.NDArray[np.uint64]:
        """The next 32-bit words."""
        return self._twister.random_raw(count)

    def _wide_words(self, count: int) -> npt.NDArray[np.uint64]:
        """The next 64-bit words: 2^32 w1 + w2."""
        wide = np.empty(count, np.uint64)
        for start in range(0, count, _CHUNK):
            part = wide[start : start + _CHUNK]
            pairs = self._words(2 * part.size).reshape(-1, 2)
            np.left_shift(pairs[:, 0], np.uint64(32), out=part)
            part |= pairs[:, 1]
        return wide

    def _unit(self, count: int, kind: np.dtype[Any]) -> FloatArray:
        """Uniform on [0, 1), in float64 for float64 and in float32 for a narrower type."""
        if kind != np.float64:
            bits = self._words(count)
            bits &= np.uint64(2**24 - 1)
            single = bits.astype(np.float32)
            single *= np.float32(2.0**-24)
            return single
        bits = self._wide_words(count)
        bits &= np.uint64(2**53 - 1)
        return bits * 2.0**-53

    def _next_normal(self) -> float:
        """One standard normal: r cos θ, then r sin θ, r = sqrt(-2 ln(1 - x2)), θ = 2π x1."""
        if self._normal is not None:
            kept = self._normal
            self._normal = None
            return kept
        x1, x2 = self._unit(2, np.dtype(np.float64)).tolist()
        radius = math.sqrt(-2.0 * math.log1p(-x2))
        angle = 2.0 * math.pi * x1
        self._normal = radius * math.sin(angle)
        return radius * math.cos(angle)

    def _wide_permutation(self, size: int) -> npt.NDArray[np.int64]:
        """The shuffle that builds its list as it goes, on 64-bit words."""
        order = np.empty(size, np.int64)
        cells = order.data
        for start in range(0, size, _CHUNK):
            stop = min(start + _CHUNK, size)
            partner = self._wide_words(stop - start)
            partner %= np.arange(start + 1, stop + 1, dtype=np.uint64)
            for i, j in enumerate(partner.tolist(), start):
                cells[i] = cells[j]
                cells[j] = i
        return order


def _box_muller(x: FloatArray) -> FloatArray:
    """Standard normals from uniforms, in blocks of 16: the first 8 give r, the last 8 give θ.

    y[k] = r cos θ and y[k + 8] = r sin θ, with r = sqrt(-2 ln(1 - x[k])), θ = 2π x[k + 8].
    """
    blocks = x.reshape(-1, 2, 8)
    radius = 1 - blocks[:, 0].ravel()
    np.log(radius, out=radius)
    radius *= -2
    np.sqrt(radius, out=radius)
    angle = blocks[:, 1].ravel() * x.dtype.type(2 * math.pi)
    y = np.empty_like(blocks)
    y[:, 0] = (radius * np.cos(angle)).reshape(-1, 8)
    y[:, 1] = (radius * np.sin(angle)).reshape(-1, 8)
    return y.reshape(-1)


# ---- multiply and add with one rounding ----


def _multiply_add(x: FloatArray, scale: np.floating, shift: np.floating) -> FloatArray:
    """x scale + shift, rounded once (IEEE 754 fusedMultiplyAdd), for x in [0, 1).

    Only a float64 result below 2^-1022 may be rounded twice.
    """
    if shift == 0:
        return np.multiply(x, scale)
    if x.dtype == np.float32:
        product = x * np.float64(scale)
        # In float64 the product is exact, and so is the sum, if 53 bits reach from the top of it
        # to the last bit that a term can have: always so for a range round 0.
        last_bit = min(float(np.spacing(scale)) * 2.0**-24, float(np.spacing(abs(shift))))
        if float(abs(shift)) + float(scale) < last_bit * 2.0**53:
            return (product + np.float64(shift)).astype(np.float32)
        return _add_to_odd(product, np.float64(shift)).astype(np.float32)
    # Boldo & Melquiond (2008), "Emulation of FMA and correctly rounded sums: proved algorithms
    # using rounding to odd", IEEE Trans. Computers 57(4): the exact product high + low, the two
    # added to the shift without loss, the lesser parts rounded to odd. Scaled by a power of two,
    # so that no step overflows.
    exponent = np.frexp(max(abs(shift), scale))[1]
    high, low = _exact_product(x, np.ldexp(scale, -exponent))
    upper, rest = _exact_sum(low, np.ldexp(np.float64(shift), -exponent))
    total, lesser = _exact_sum(high, upper)
    return np.ldexp(total + _add_to_odd(rest, lesser), exponent)


def _exact_sum(
    a: npt.NDArray[np.float64], b: Double
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(s, e) with s = a + b rounded and s + e = a + b exactly (Knuth, TAOCP 2, 4.2.2)."""
    s = a + b
    part = s - a
    e = (a - (s - part)) + (b - part)
    return s, e


def _exact_product(
    a: npt.NDArray[np.float64], b: np.float64
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(p, e) with p = a b rounded and p + e = a b exactly (Dekker 1971, Numer. Math. 18)."""
    p = a * b
    a_high = _upper_half(a)
    a_low = a - a_high
    b_high = _upper_half(b)
    b_low = b - b_high
    e = a_low * b_low - (((p - a_high * b_high) - a_low * b_high) - a_high * b_low)
    return p, e


def _upper_half(a: DoubleT) -> DoubleT:
    """The upper 26 bits of a (Veltkamp)."""
    spread = a * (2.0**27 + 1)
    return spread - (spread - a)


def _add_to_odd(a: npt.NDArray[np.float64], b: Double) -> npt.NDArray[np.float64]:
    """a + b; where that is inexact, the one of its two neighbours whose last bit is 1.

    A result so rounded can be rounded once more, to fewer bits, as if it had been exact.
    """
    s, e = _exact_sum(a, b)
    even = (e != 0) & (s.view(np.int64) % 2 == 0)
    s[even] = np.nextafter(s[even], np.copysign(np.inf, e[even]))
    return s


# ---- arguments ----


def _check_std(std: float) -> None:
    if not std >= 0:
        raise RuntimeError(f"normal: expected std >= 0, got {std}; pass its absolute value")


def _float_dtype(op: str, dtype: npt.DTypeLike) -> np.dtype[Any]:
    kind = np.dtype(dtype)
    if kind not in _FLOATS:
        raise NotImplementedError(
            f"{op}: expected float16, float32 or float64, got {kind}; convert afterwards"
        )
    return kind


def _count(op: str, shape: Shape) -> int:
    sizes = (shape,) if isinstance(shape, (int, np.integer)) else shape
    count = 1
    for size in sizes:
        count *= _index(op, "size", size)
        if size < 0:
            raise RuntimeError(f"{op}: expected sizes >= 0, got shape {shape}; drop the minus sign")
    return count


def _index(op: str, name: str, value: SupportsIndex) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(
            f"{op}: expected an integer {name}, got {value!r}; pass int({name})"
        ) from None


# ---- the default generator ----

default_generator = Generator()
default_generator.seed()  # as in torch: a program that sets no seed differs from run to run


def manual_seed(seed: int) -> Generator:
    """Start the default generator's stream of int(seed); gives that generator.

    Raises ValueError unless -2^63 <= seed < 2^64.
    """
    return default_generator.manual_seed(int(seed))


def seed() -> int:
    """Seed the default generator from the operating system's randomness; gives the seed."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed that the default generator was started with."""
    return default_generator.initial_seed()
