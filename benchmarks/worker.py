"""One library in a process of its own, told by lines of JSON what to do, answering in the same.

    python -m benchmarks.worker torch

`{"prepare": work, "arguments": ..., "dtype": ..., "to": file}` runs the work until it is warm and
writes its numbers to the file; `{"burst": seconds}` answers the median time of a run, in seconds;
`{"memory": work, ...}` answers by how many bytes the work made a process grow that had imported
the library and run a tiny form of it before. No library imports another here.
"""

import importlib
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .peers import PEERS
from .work import WORK, Work

WARM = 0.2  # seconds
COLD = 0.05  # a run shorter than this is repeated once, untimed, at the start of a burst
STATUS = Path("/proc/self/status")


def prepared(library: str, name: str, dtype: str, arguments: dict[str, Any]) -> Work:
    arguments = {key: tuple(v) if isinstance(v, list) else v for key, v in arguments.items()}
    if (library, name) in PEERS:
        return PEERS[library, name](dtype, **arguments)
    lib = importlib.import_module(library)
    for room in ("nn", "optim"):
        importlib.import_module(f"{library}.{room}")
    return WORK[name](lib, dtype, **arguments)


def prepare(library: str, order: dict[str, Any]) -> Callable[[], Any]:
    """Writes the numbers of the first run, and runs on until it is warm."""
    run, numbers = prepared(library, order["prepare"], order["dtype"], order["arguments"])
    started = time.perf_counter()
    arrays = numbers(run())
    np.savez(order["to"], *arrays)
    while time.perf_counter() - started < WARM:
        run()
    return run


def burst(run: Callable[[], Any], seconds: float) -> float:
    times: list[float] = []
    started = time.perf_counter()
    run()
    if time.perf_counter() - started > COLD:
        times.append(time.perf_counter() - started)
    while not times or sum(times) < seconds:
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def status(field: str) -> int | None:
    """VmRSS, the memory held, or VmHWM, the most ever held, in bytes; None but on Linux."""
    if not STATUS.exists():
        return None
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


def memory(library: str, order: dict[str, Any]) -> int | None:
    """Two runs, since the second meets what the first has left."""
    tiny = {**order["arguments"], "shape": (2, 1, 1, 1, 1, 1)}
    prepared(library, order["memory"], order["dtype"], tiny)[0]()
    before = status("VmRSS")
    if before is not None:
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew, after the import's
    run, _ = prepared(library, order["memory"], order["dtype"], order["arguments"])
    run()
    run()
    after = status("VmHWM")
    return None if before is None or after is None else after - before


def main(library: str) -> None:
    run: Callable[[], Any] | None = None
    for line in sys.stdin:
        order = json.loads(line)
        answer: Any
        if "prepare" in order:
            run = None  # lets the last work go before the next is built
            run = prepare(library, order)
            answer = sorted(
                {"tinytensor", "torch", "jax", "autograd", "mygrad"} & sys.modules.keys()
            )
        elif "memory" in order:
            answer = memory(library, order)
        else:
            assert run is not None
            answer = burst(run, order["burst"])
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
