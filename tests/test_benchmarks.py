"""What the benchmark promises about its figures. No time is asserted here."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import harness, report
from benchmarks.__main__ import main
from benchmarks.harness import Pace, Worker, Workers, difference, fractions_of_peak, measure
from benchmarks.peers import ALL_KEPT
from benchmarks.rows import BARS, Result, Row, recurrent, rows, training_flops

BRIEF = Pace(rounds=2, seconds=0.0, again=0)
TINY = recurrent("LSTM step", "LSTM", (2, 1, 1, 1, 2, 2), threads=1, memory=True)


@pytest.fixture(scope="module")
def workers():
    workers = Workers()
    yield workers
    workers.close()


def arrays(path: Path, *values: np.ndarray) -> Path:
    np.savez(path, *values)
    return path


def test_a_row_is_measured_in_both_libraries_each_alone_in_its_process(workers):
    pytest.importorskip("torch")
    result = measure(TINY, workers, BRIEF)  # raises if a worker has loaded another's library
    assert set(result.seconds) == {"tinytensor", "torch"}
    assert set(result.ratio) == {"torch"}
    assert result.ratio["torch"] > 0
    if Path("/proc/self/status").exists():
        assert set(result.memory) == {"tinytensor", "torch"}
        assert None not in result.memory.values()


@pytest.mark.parametrize("work", sorted({row.work for row in rows()} - {"import"}))
def test_every_work_has_torchs_numbers_before_a_time_counts(work, workers):
    pytest.importorskip("torch")
    row = next(row for row in rows() if row.work == work)
    arguments = dict(row.arguments)
    arguments |= {"shape": (3, 2, 4, 5, 1, 2)} if len(arguments.get("shape", ())) == 6 else {}
    arguments |= {name: 5 for name in ("T", "size") if name in arguments}
    arguments |= {"every": 2} if "every" in arguments else {}
    rivals = tuple(rival for rival in row.rivals if rival == "torch")
    small = Row("small", work, work, arguments, 1, row.dtype, rivals)
    harness.prepare(small, ["tinytensor", *rivals], workers)


def test_checkpointing_is_measured_beside_the_same_layer_without(workers):
    shape = (3, 2, 4, 5, 1, 2)
    arguments = {"shape": shape, "every": 2}
    row = Row("small", "", "checkpointed", arguments, 1, rivals=(ALL_KEPT,), memory=True)
    result = measure(row, workers, BRIEF)
    assert set(result.seconds) == set(result.memory) == {"tinytensor", ALL_KEPT}
    result.memory = {"tinytensor": 2**20, ALL_KEPT: 2**22}
    assert report.lines(result)[-1].strip() == "memory: tinytensor 1.0 MB, all kept 4.0 MB (0.25)"


def test_an_import_finds_byte_code_in_a_folder_of_its_own(monkeypatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    assert harness.import_seconds("tinytensor", 1) > 0
    written = Path(harness.byte_code().name).rglob("*.pyc")
    assert {"tensor", "primitive"} <= {path.name.partition(".")[0] for path in written}


def test_numbers_that_differ_stop_the_row(workers, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setattr(harness, "TOLERANCE", {"float32": 0.0})
    with pytest.raises(RuntimeError, match="no time counts before they agree"):
        harness.prepare(TINY, ["tinytensor", "torch"], workers)


def test_a_row_that_fails_is_named_and_does_not_stop_the_others(tmp_path, capsys, monkeypatch):
    def measured(row: Row, workers: Workers, pace: Pace) -> Result:
        if "tanh" not in row.work:
            raise RuntimeError("benchmark: planted")
        return Result(row)

    monkeypatch.setattr("benchmarks.__main__.measure", measured)
    assert main(["--quick", "--only", "loop T=100 ", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().out.count("float32 2t: benchmark: planted") == 2
    assert json.loads((tmp_path / "benchmark.json").read_text())["rows"] == []


def test_a_worker_that_stops_is_an_error():
    worker = Worker("tinytensor", 1)
    with pytest.raises(RuntimeError, match="the worker of tinytensor stopped"):
        worker.ask(burst="soon")
    worker.close()


def test_the_difference_is_relative_and_sees_shapes_dtypes_and_nan(tmp_path):
    ones = np.ones(3, np.float32)
    ours = arrays(tmp_path / "ours.npz", ones, 100 * ones)
    assert difference(ours, arrays(tmp_path / "a.npz", ones, 101 * ones)) == pytest.approx(1 / 101)
    assert difference(ours, arrays(tmp_path / "b.npz", ones)) == float("inf")
    assert difference(ours, arrays(tmp_path / "c.npz", ones[:2], 100 * ones)) == float("inf")
    assert difference(ours, arrays(tmp_path / "d.npz", ones, 100 * np.ones(3))) == float("inf")
    assert difference(ours, arrays(tmp_path / "e.npz", ones, np.nan * ones)) == float("inf")


def test_the_json_holds_the_machine_every_row_and_the_bars(tmp_path, capsys):
    assert main(["--quick", "--only", "operation () float32 1t", "--out", str(tmp_path)]) == 0
    written = json.loads((tmp_path / "benchmark.json").read_text())
    assert set(written) == {"machine", "settings", "rows", "bars"}
    assert written["machine"]["numpy"] == np.__version__
    (row,) = written["rows"]
    assert row["name"] == "operation () float32 1t"
    assert row["row"]["operations"] == 300
    assert row["seconds"]["tinytensor"] > 0
    printed = capsys.readouterr().out
    assert row["name"] in printed
    assert report.HOW in printed
    for bar in written["bars"]:
        assert bar["met"] == (bar["value"] <= bar["bar"])
        assert bar["work"] in printed


def test_no_two_rows_share_a_name_and_a_quick_run_serves_every_bar():
    names = [row.name for row in rows()]
    assert len(set(names)) == len(names)
    quick = [row for row in rows() if row.quick]
    results = [
        Result(
            row,
            ratio=dict.fromkeys(row.rivals, 0.9),
            memory=dict.fromkeys(("tinytensor", *row.rivals), 1) if row.memory else {},
            of_peak=0.9 if row.flops else None,
        )
        for row in quick
    ]
    for bar in BARS:
        value, cases, of, disturbed = bar.measure(results)
        assert value == pytest.approx(1.0 if "memory" in bar.work else 0.9)
        assert cases == of - ("1 thread" in bar.work)  # the largest shape has 2 threads there
        assert not disturbed
    for result in results:
        result.disturbed = True
    assert [bar.work for bar in BARS if not bar.measure(results)[3]] == [
        "peak memory of (100,64,256,512,2,2)"  # no other process has a part in it
    ]


def test_flops_are_three_products_for_each_weight():
    # two directions; layer 0 has (4·5, 3) and (4·5, 5), layer 1 (4·5, 10) and (4·5, 5); T N = 14
    weights = 2 * (20 * 3 + 20 * 5) + 2 * (20 * 10 + 20 * 5)
    assert training_flops("LSTM", (7, 2, 3, 5, 2, 2)) == 3 * 2 * 14 * weights
    assert training_flops("RNN", (1, 1, 2, 3, 1, 1)) == 3 * 2 * (3 * 2 + 3 * 3)


def test_the_peak_is_the_fastest_product_on_as_many_threads_or_fewer():
    def product(threads: int, seconds: float, dtype: str = "float32") -> Result:
        row = Row("product", "", "product", {}, threads, dtype, flops=100.0)
        return Result(row, {"tinytensor": 9.0}, {"tinytensor": seconds})

    step = Result(Row("step", "", "recurrent", {}, 1, flops=10.0), {"tinytensor": 1.0})
    fractions_of_peak([step, product(1, 2.0), product(2, 1.0), product(1, 0.5, "float64")])
    assert step.of_peak == pytest.approx(10 / 50)


def test_slopes_are_the_powers_of_the_sizes():
    assert report.slope([1.0, 10.0, 100.0], [3.0, 300.0, 30000.0]) == pytest.approx(2)
