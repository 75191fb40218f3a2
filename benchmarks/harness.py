"""Times workers against each other: a burst of one, a burst of the next, and round again.

Two libraries in one process would share cores between two thread pools that spin while they wait,
and both figures would be wrong. What a library is said to take is the median of its bursts; a ratio
is the median of the ratios of neighbouring bursts.
"""

import functools
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from .peers import package_of
from .rows import Result, Row

ROOT = Path(__file__).parents[1]
POOLS = ("OPENBLAS", "OMP", "MKL", "NUMBA")
PAUSE = 0.02  # seconds between two looks at whether a worker's threads sleep
DISTURBED = 0.15  # how far the middle half of the ratios may lie apart; see also `unrest`
TOLERANCE = {"float32": 1e-4, "float64": 1e-10}  # of each array's largest number


@dataclass(frozen=True)
class Pace:
    """How long to measure: rounds of bursts of so many seconds, and so often over if disturbed."""

    rounds: int = 9
    seconds: float = 0.15
    again: int = 2
    wait: float = 20.0  # seconds to wait at most for the machine to calm down before that
    long: float = 1.0  # a run of more seconds than this gets only so many rounds:
    long_rounds: int = 3


QUICK = Pace(rounds=5, seconds=0.03, again=0, long_rounds=2)


def on_threads(threads: int) -> dict[str, str]:
    """This environment, with so many threads for every pool."""
    return {**os.environ, **{f"{pool}_NUM_THREADS": str(threads) for pool in POOLS}}


class Worker:
    """A library in a process of its own, on so many threads."""

    def __init__(self, library: str, threads: int) -> None:
        self.library = library
        one = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", library],
            cwd=ROOT,
            env={**on_threads(threads), **({"XLA_FLAGS": one} if threads == 1 else {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def cpu_seconds(self) -> float:
        """What the process has computed so far; 0 but on Linux."""
        path = Path(f"/proc/{self.process.pid}/stat")
        if not path.exists():
            return 0.0
        fields = path.read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")

    def ask(self, **order: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"benchmark: the worker of {self.library} stopped at {order}")
        return json.loads(answer)

    def settle(self) -> None:
        """Waits, a second at most, until its threads sleep and leave the cores to the next.

        OpenBLAS's threads spin for a tenth of a second after a product; a pool that shares a core
        with one takes ten times as long.
        """
        now = self.cpu_seconds()
        for _ in range(round(1 / PAUSE)):
            before = now
            time.sleep(PAUSE)
            now = self.cpu_seconds()
            if now - before < PAUSE / 2:
                break

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


class Workers:
    """The workers at hand, one for each library and number of threads, started when needed."""

    def __init__(self) -> None:
        self._workers: dict[tuple[str, int], Worker] = {}

    def __call__(self, library: str, threads: int) -> Worker:
        if (library, threads) not in self._workers:
            self._workers[library, threads] = Worker(library, threads)
        return self._workers[library, threads]

    def cpu_seconds(self) -> float:
        """What these, this process and the processes that it waited for have computed."""
        return sum(os.times()[:4]) + sum(w.cpu_seconds() for w in self._workers.values())

    def close(self) -> None:
        for worker in self._workers.values():
            worker.close()
        self._workers.clear()


def is_installed(library: str) -> bool:
    return importlib.util.find_spec(package_of(library)) is not None


def difference(ours: Path, theirs: Path) -> float:
    """The largest difference of two files of arrays, over the largest number of its array."""
    worst = 0.0
    with np.load(ours) as a, np.load(theirs) as b:
        if a.files != b.files:
            return float("inf")
        for name in a.files:
            x, y = a[name], b[name]
            if x.shape != y.shape or x.dtype != y.dtype:
                return float("inf")
            scale = np.abs(y).max(initial=0) or 1.0
            apart = float(np.abs(x - y).max(initial=0) / scale)
            worst = max(worst, float("inf") if np.isnan(apart) else apart)
    return worst


def prepare(row: Row, libraries: Iterable[str], workers: Workers) -> None:
    """Makes the row's work ready everywhere; raises unless all have the same numbers."""
    with TemporaryDirectory() as folder:
        for library in libraries:
            path = Path(folder, f"{library}.npz")
            order = {"prepare": row.work, "arguments": row.arguments, "dtype": row.dtype}
            worker = workers(library, row.threads)
            loaded = worker.ask(**order, to=str(path))
            worker.settle()
            if loaded != [package_of(library)]:
                raise RuntimeError(
                    f"benchmark: expected {library} alone in its worker, got {loaded}"
                )
            apart = difference(Path(folder, "tinytensor.npz"), path)
            if not apart <= TOLERANCE[row.dtype]:
                raise RuntimeError(
                    f"benchmark: expected the numbers of {library} to rounding, "
                    f"got {apart:.1e} of the largest; no time counts before they agree"
                )


@functools.cache
def byte_code() -> TemporaryDirectory[str]:
    """The folder where the imports that are timed find byte code; it goes with this process."""
    return TemporaryDirectory()


def import_seconds(library: str, threads: int) -> float:
    """The time of an import in a fresh process.

    After a first one it is that of an installed package: no module is compiled, whatever the
    environment says about byte code and whoever may write into the package's folder.
    """
    code = f"import time; t = time.perf_counter(); import {library}; print(time.perf_counter() - t)"
    environment = {**on_threads(threads), "PYTHONPYCACHEPREFIX": byte_code().name}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return float(done.stdout)


def burst(row: Row, library: str, workers: Workers, seconds: float) -> float:
    if row.work == "import":
        return import_seconds(library, row.threads)
    worker = workers(library, row.threads)
    median = float(worker.ask(burst=seconds))
    worker.settle()
    return median / row.operations


def busy_seconds() -> float:
    """What all processes of the machine have computed so far; 0 but on Linux."""
    path = Path("/proc/stat")
    if not path.exists():
        return 0.0
    user, nice, system = map(int, path.read_text().split()[1:4])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def wait_for_calm(seconds: float) -> None:
    """Waits until the workers, idle now, leave the cores idle, and so long at most."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        before = busy_seconds()
        time.sleep(0.5)
        if busy_seconds() - before < 0.5 * DISTURBED * (os.cpu_count() or 1):
            return


def unrest(result: Result) -> float:
    """The spread, or what others took beyond the cores that the row leaves free."""
    free = max(0.0, 1 - result.row.threads / (os.cpu_count() or 1))
    return max(result.spread, result.others - free)


def rounds(row: Row, libraries: list[str], workers: Workers, pace: Pace) -> Result:
    """One measurement: as many rounds as the pace says, each library once in each."""
    times: dict[str, list[float]] = {library: [] for library in libraries}
    started, machine, own = time.monotonic(), busy_seconds(), workers.cpu_seconds()
    for done in range(pace.rounds):
        for library in libraries:
            times[library].append(burst(row, library, workers, pace.seconds))
        longest = max(column[0] for column in times.values()) * row.operations
        if done + 1 >= pace.long_rounds and longest > pace.long:
            break
    by_others = (busy_seconds() - machine) - (workers.cpu_seconds() - own)
    elapsed = (time.monotonic() - started) * (os.cpu_count() or 1)
    ours = times["tinytensor"]
    result = Result(
        row,
        seconds={library: statistics.median(times[library]) for library in libraries},
        fastest={library: min(times[library]) for library in libraries},
    )
    result.others = max(0.0, by_others / elapsed)
    for rival in libraries[1:]:
        ratios = [a / b for a, b in zip(ours, times[rival], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
        result.ratio[rival] = middle
        result.spread = max(result.spread, (high - low) / middle)
    result.disturbed = unrest(result) > DISTURBED
    return result


def measure(row: Row, workers: Workers, pace: Pace) -> Result:
    """A row's figures: the steadiest measurement, of one or, if they are disturbed, several."""
    libraries = ["tinytensor", *filter(is_installed, row.rivals)]
    if row.work == "import":
        for library in libraries:
            import_seconds(library, row.threads)  # the first compiles, and reads from the disk
    else:
        prepare(row, libraries, workers)
    best = rounds(row, libraries, workers, pace)
    for _ in range(pace.again):
        if not best.disturbed:
            break
        wait_for_calm(pace.wait)
        best = min(best, rounds(row, libraries, workers, pace), key=unrest)
    if row.memory:
        for library in libraries:
            worker = Worker(library, row.threads)
            best.memory[library] = worker.ask(
                memory=row.work, arguments=row.arguments, dtype=row.dtype
            )
            worker.close()
    return best


def fractions_of_peak(results: list[Result]) -> None:
    """Sets each result's speed over that of the best matrix product on its threads, or fewer."""
    for result in results:
        row = result.row
        peaks = [
            other.row.flops / min(other.fastest.values())
            for other in results
            if other.row.work == "product"
            and other.row.dtype == row.dtype
            and other.row.threads <= row.threads
        ]
        if row.flops and peaks:
            result.of_peak = row.flops / result.seconds["tinytensor"] / max(peaks)
