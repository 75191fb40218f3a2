"""What is measured, and what it must reach: one Row a line of the table, one Bar a promise."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from .peers import ALL_KEPT
from .work import LINKS, sizes

Shape = tuple[int, ...]

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
DTYPES = ("float32", "float64")
THREADS = (2, 1)
SEEDS: list[Shape] = [(2, 1, 1, 1, 2, 2), (5, 1, 6, 4, 2, 1)]
LONG_THIN: Shape = (1000, 1, 1, 32, 1, 1)
MIDDLE: Shape = (20, 8, 8, 32, 1, 1)
LARGEST: Shape = (100, 64, 256, 512, 2, 2)
SHAPES: list[Shape] = [  # (T, N, I, H, layers, directions)
    *SEEDS,
    MIDDLE,
    (20, 16, 16, 32, 2, 2),
    (50, 50, 65, 128, 2, 1),
    (30, 32, 100, 128, 2, 2),
    (200, 20, 2, 100, 1, 1),
    LONG_THIN,
    LARGEST,
]
OTHERS = SHAPES[1:5]  # for GRU, RNN, inference and training
SMALL: list[Shape] = [(), (4,), (16, 16), (64, 64), (256, 256)]  # of the chain
SCALE = {
    "T": [(T, 1, 8, 32, 1, 1) for T in (100, 1000, 10_000, 100_000)],
    "N": [(50, N, 32, 64, 1, 1) for N in (1, 10, 100, 1000)],
    "H": [(20, 16, H, H, 1, 1) for H in (16, 64, 256, 1024)],
}
VERY_LONG: Shape = SCALE["T"][-1]
MODEL = "2-layer 128 LSTM"
PRODUCT = 1024  # rows and columns of the product that measures the peak


@dataclass(frozen=True)
class Row:
    """A piece of work in tinytensor and its rivals; `operations` of them, or `flops`, a run."""

    group: str
    case: str
    work: str
    arguments: dict[str, Any]
    threads: int = 2
    dtype: str = "float32"
    rivals: tuple[str, ...] = ("torch",)
    operations: int = 1
    flops: float = 0.0
    memory: bool = False
    quick: bool = True

    @property
    def name(self) -> str:
        return f"{self.group} {self.case} {self.dtype} {self.threads}t"


def shape_name(shape: Shape) -> str:
    return f"({','.join(map(str, shape))})"


def training_flops(kind: str, shape: Shape) -> float:
    """6 T N m n for each weight of m rows and n columns: 2 T N m n for each of three products.

    They are the product with the input or state, the gradient of that input or state (dx
    included), and the gradient of the weight. Biases and elementwise work are not counted.
    """
    T, N = shape[:2]
    weights = [size for size in sizes(shape, GATES[kind]) if len(size) == 2]
    return 6.0 * T * N * sum(m * n for m, n in weights)


def recurrent(group: str, kind: str, shape: Shape, **more: Any) -> Row:
    arguments = {"kind": kind, "shape": shape}
    flops = training_flops(kind, shape)
    return Row(group, shape_name(shape), "recurrent", arguments, flops=flops, **more)


def products() -> Iterator[Row]:
    for dtype, threads in product(DTYPES, THREADS):
        yield Row(
            "matrix product",
            f"({PRODUCT},{PRODUCT})",
            "product",
            {"size": PRODUCT},
            threads,
            dtype,
            flops=2.0 * PRODUCT**3,
            quick=dtype == "float32",
        )


def lstm_steps() -> Iterator[Row]:
    for shape, dtype, threads in product(SHAPES, DTYPES, THREADS):
        first = (dtype, threads) == ("float32", 2)
        yield recurrent(
            "LSTM step",
            "LSTM",
            shape,
            threads=threads,
            dtype=dtype,
            rivals=("torch", "jax"),
            memory=first and shape == LARGEST,
            quick=first or (dtype == "float32" and shape != LARGEST),
        )


def other_recurrent() -> Iterator[Row]:
    for shape, threads in product(OTHERS, THREADS):
        quick = threads == 2 and shape == MIDDLE
        for kind in ("GRU", "RNN"):
            yield recurrent(f"{kind} step", kind, shape, threads=threads, quick=quick)
        for group, work in (("LSTM inference", "inference"), ("LSTM training", "training")):
            arguments = {"kind": "LSTM", "shape": shape}
            yield Row(group, shape_name(shape), work, arguments, threads, quick=quick)


def loops() -> Iterator[Row]:
    for threads, T in product(THREADS, (100, 1000)):
        quick = threads == 2
        size = {"T": T, "N": 8, "H": 32}
        yield Row("LSTMCell loop", f"T={T}", "cell_loop", {**size, "I": 8}, threads, quick=quick)
        yield Row("x[t] loop", f"T={T}", "index_loop", size, threads, quick=quick)


def operations() -> Iterator[Row]:
    for shape, threads in product(SMALL, THREADS):
        yield Row(
            "operation",
            shape_name(shape),
            "chain",
            {"shape": shape},
            threads,
            rivals=("torch", "autograd", "mygrad"),
            operations=3 * LINKS,
            quick=threads == 1,
        )


def the_rest() -> Iterator[Row]:
    model = {"shape": (1, 1, 65, 128, 2, 1)}
    for threads in THREADS:
        quick = threads == 2
        yield Row("Adam step", MODEL, "optimizer_step", model, threads, quick=quick)
        # NumPy starts the threads of its BLAS as it is imported.
        yield Row("import", "alone", "import", {}, threads, rivals=("numpy",))
    yield Row("save and load", MODEL, "saving", model, 1)
    for shape in ((2, 1, 2, 3, 1, 2), (20, 1, 2, 3, 1, 2)):
        yield Row("drawing", shape_name(shape), "drawing", {"shape": shape}, 1, rivals=())


def scale() -> Iterator[Row]:
    for axis, shapes in SCALE.items():
        for shape in shapes:
            yield recurrent(f"scale {axis}", "LSTM", shape, memory=True, quick=False)


def checkpointing() -> Iterator[Row]:
    every = math.isqrt(VERY_LONG[0])
    yield Row(
        f"checkpoint_every={every}",
        shape_name(VERY_LONG),
        "checkpointed",
        {"shape": VERY_LONG, "every": every},
        rivals=(ALL_KEPT, "torch"),
        memory=True,
        quick=False,
    )


def rows() -> list[Row]:
    parts = (
        products,
        lstm_steps,
        other_recurrent,
        loops,
        operations,
        the_rest,
        scale,
        checkpointing,
    )
    return [row for part in parts for row in part()]


@dataclass
class Result:
    """A row's seconds and bytes by library, and by rival the ratio ours / theirs.

    `spread` is how far the ratios lie apart, `others` the share of the cores that others took.
    """

    row: Row
    seconds: dict[str, float] = field(default_factory=dict)
    fastest: dict[str, float] = field(default_factory=dict)
    ratio: dict[str, float] = field(default_factory=dict)
    spread: float = 0.0
    others: float = 0.0
    disturbed: bool = False
    memory: dict[str, int | None] = field(default_factory=dict)
    of_peak: float | None = None


# Of the results: one number, if there are any; of how many cases, of how many; any disturbed?
Measure = Callable[[list[Result]], tuple[float | None, int, int, bool]]


@dataclass(frozen=True)
class Bar:
    """A promise, with the limit for either form of the kernels, and the aim."""

    work: str
    measure: Measure
    numpy: float
    numba: float
    aim: float
    at_least: bool = False

    def met(self, value: float, bar: float) -> bool:
        return value >= bar if self.at_least else value <= bar


def _over(
    group: str,
    cases: Iterable[str],
    combine: Callable[[list[float]], float],
    rivals: tuple[str, ...] = ("torch",),
    threads: tuple[int, ...] = (2, 1),
    value: Callable[[Result, str], float | None] = lambda result, rival: result.ratio.get(rival),
) -> Measure:
    """`combine` over the float32 results of a group that have these cases, threads and rivals."""
    wanted = set(cases)

    def measure(results: list[Result]) -> tuple[float | None, int, int, bool]:
        found = [
            (value(result, rival), result)
            for result in results
            for rival in rivals
            if result.row.group == group
            and result.row.case in wanted
            and result.row.threads in threads
            and result.row.dtype == "float32"
        ]
        values = [number for number, _ in found if number is not None]
        used = [result for number, result in found if number is not None]
        seen = {result.row.case for result in used}
        disturbed = value is not memory_ratio and any(result.disturbed for result in used)
        return (combine(values) if values else None), len(seen), len(wanted), disturbed

    return measure


def geometric_mean(values: list[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))


def memory_ratio(result: Result, rival: str) -> float | None:
    ours, theirs = result.memory.get("tinytensor"), result.memory.get(rival)
    return ours / theirs if ours is not None and theirs else None


_NINE = [shape_name(shape) for shape in SHAPES]
_MODERATE = [shape_name(shape) for shape in SHAPES if shape != LONG_THIN]
_SEEDS = [shape_name(shape) for shape in SEEDS]
_SMALL = [shape_name(shape) for shape in SMALL[:3]]
_LARGEST = [shape_name(LARGEST)]

BARS = [
    Bar(
        "LSTM step, geometric mean of nine shapes, 2 threads",
        _over("LSTM step", _NINE, geometric_mean, threads=(2,)),
        1.0,
        0.7,
        0.45,
    ),
    Bar(
        "LSTM step, geometric mean of nine shapes, 1 thread",
        _over("LSTM step", _NINE, geometric_mean, threads=(1,)),
        1.0,
        0.65,
        0.45,
    ),
    Bar(
        f"LSTM step, worst shape but {shape_name(LONG_THIN)}",
        _over("LSTM step", _MODERATE, max),
        1.5,
        1.25,
        0.9,
    ),
    Bar(
        f"LSTM step, {shape_name(LONG_THIN)}",
        _over("LSTM step", [shape_name(LONG_THIN)], max),
        4.0,
        0.5,
        0.2,
    ),
    Bar("LSTM step, the two seed sizes", _over("LSTM step", _SEEDS, max), 0.5, 0.2, 0.1),
    Bar("LSTMCell loop, T = 1000", _over("LSTMCell loop", ["T=1000"], max), 0.8, 0.8, 0.5),
    Bar("one operation, up to (16,16)", _over("operation", _SMALL, max), 0.7, 0.7, 0.5),
    Bar(
        "the same beside MyGrad and HIPS autograd",
        _over("operation", _SMALL, max, rivals=("mygrad", "autograd")),
        0.35,
        0.35,
        0.2,
    ),
    Bar(f"Adam step, {MODEL}", _over("Adam step", [MODEL], max), 1.0, 1.0, 0.5),
    Bar(
        f"peak memory of {_LARGEST[0]}",
        _over("LSTM step", _LARGEST, max, value=memory_ratio),
        1.0,
        1.0,
        0.7,
    ),
    Bar(
        "import, beside NumPy's", _over("import", ["alone"], max, rivals=("numpy",)), 1.5, 1.5, 1.2
    ),
    Bar(
        f"{_LARGEST[0]}, fraction of the matrix-product peak",
        _over("LSTM step", _LARGEST, min, value=lambda result, rival: result.of_peak),
        0.6,
        0.6,
        0.8,
        at_least=True,
    ),
]
