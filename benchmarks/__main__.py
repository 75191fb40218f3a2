"""Measures, prints and writes: `python -m benchmarks`, see `--help`."""

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

from . import report
from .harness import QUICK, Pace, Workers, fractions_of_peak, is_installed, measure
from .rows import Result, Row, rows


def arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=report.HOW)
    parser.add_argument("--quick", action="store_true", help="fewer rows and rounds: two minutes")
    parser.add_argument(
        "--only",
        action="append",
        metavar="NAME",
        help="only rows whose name has this in it, such as 'LSTM step', 'float32 2t'; repeatable",
    )
    parser.add_argument("--list", action="store_true", help="print the names of the rows")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for JSON and plot")
    return parser.parse_args(given)


def without_jax(row: Row) -> Row:
    """JAX compiles each shape for seconds."""
    return replace(row, rivals=tuple(rival for rival in row.rivals if rival != "jax"))


def main(given: list[str] | None = None) -> int:
    """Returns the number of rows that could not be measured."""
    options = arguments(given)
    chosen = [
        row
        for row in rows()
        if (row.quick or not options.quick)
        and (options.only is None or any(name in row.name for name in options.only))
    ]
    if options.list:
        print(*(row.name for row in chosen), sep="\n")
        return 0
    if options.quick:
        chosen = [without_jax(row) for row in chosen]
    started = time.monotonic()
    pace = QUICK if options.quick else Pace()
    workers = Workers()
    results: list[Result] = []
    failed = 0
    print(json.dumps(report.machine(), indent=1), report.header(), sep="\n", flush=True)
    try:
        for row in chosen:
            try:
                results.append(measure(row, workers, pace))
            except RuntimeError as error:
                failed += 1
                workers.close()  # the next row gets fresh ones
                print(f"{row.name}: {error}", flush=True)
            else:
                print(*report.lines(results[-1]), sep="\n", flush=True)
    finally:
        workers.close()
    fractions_of_peak(results)
    bars = report.verdict(results)
    for part in (report.peaks(results), report.slopes(results), report.verdict_lines(bars)):
        if part:
            print("", *part, sep="\n")
    print("", report.HOW, sep="\n")
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "benchmark.json"
    settings = {"quick": options.quick, "only": options.only}
    path.write_text(json.dumps(report.as_json(results, bars, settings), indent=1) + "\n")
    if is_installed("matplotlib") and any(result.ratio for result in results):
        report.plot(results, options.out / "benchmark.svg")
    print(f"\n{path}, after {time.monotonic() - started:.0f} s")
    return failed


if __name__ == "__main__":
    sys.exit(main() > 0)
