"""The cost of one small operation, forward and backward, beside torch's: prints a ratio.

    python benchmarks/operations.py            # (16, 16); needs torch
    python benchmarks/operations.py 1 64       # other sizes: (1, 1), (64, 64)

A chain of mul, add, tanh on one thread. Each library runs in processes of its own, in turn, because
the thread pools of two libraries in one process wait for each other; the medians are compared.
"""

import json
import os
import statistics
import subprocess
import sys
import time

LENGTH = 100  # links of three operations
ROUNDS = 5  # processes of each library
REPEATS = 40  # chains timed in a process


def microseconds(library: str, size: int) -> float:
    """The median time of one operation, in this process."""
    if library == "torch":
        import torch as tt

        tt.set_num_threads(1)
    else:
        import tinytensor as tt
    x, w, b = (tt.rand(size, size, requires_grad=True) for _ in "xwb")
    times = []
    for _ in range(REPEATS + 10):
        started = time.perf_counter()
        y = x
        for _ in range(LENGTH):
            y = tt.tanh(y * w + b)
        y.sum().backward()
        times.append(time.perf_counter() - started)
    return statistics.median(times[10:]) / (3 * LENGTH) * 1e6


def in_own_process(library: str, size: int) -> float:
    threads = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, "--worker", library, str(size)]
    done = subprocess.run(
        command, env={**os.environ, **threads}, capture_output=True, check=True, text=True
    )
    return float(json.loads(done.stdout))


def main(sizes: list[int]) -> None:
    print(f"{'shape':>10} {'tinytensor':>12} {'torch':>12} {'ratio':>7}    us an operation")
    for size in sizes:
        pairs = [
            (in_own_process("tinytensor", size), in_own_process("torch", size))
            for _ in range(ROUNDS)
        ]
        ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(a / b for a, b in pairs)
        print(f"{f'({size}, {size})':>10} {ours:>12.2f} {theirs:>12.2f} {ratio:>7.2f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        print(json.dumps(microseconds(sys.argv[2], int(sys.argv[3]))))
    else:
        main([int(size) for size in sys.argv[1:]] or [16])
