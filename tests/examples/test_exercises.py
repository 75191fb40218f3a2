"""An exercise starts from nothing, can be solved, and says on the way what is to be done next."""

import importlib.util
import subprocess
import sys
from pathlib import Path

from tinytensor import bptt

EXERCISE = Path(__file__).parents[2] / "examples" / "exercises" / "lstm_backward.py"
SOLUTION = {
    "1": "dy[t] + dh_later",
    "2": "dh[t] * np.tanh(saved.c[t])",
    "3": "dh[t] * saved.o[t] * (1 - np.tanh(saved.c[t]) ** 2) + dc_later",
    "4": "dc[t] * saved.g[t]",
    "5": "dc[t] * before(saved.c, saved.c0)[t]",
    "6": "dc[t] * saved.i[t]",
    "7": "di[t] * saved.i[t] * (1 - saved.i[t])",
    "8": "df[t] * saved.f[t] * (1 - saved.f[t])",
    "9": "dg[t] * (1 - saved.g[t] ** 2)",
    "10": "do[t] * saved.o[t] * (1 - saved.o[t])",
    "11": "dz[t] @ w_hh",
    "12": "dc[t] * saved.f[t]",
    "13": "dz[t] @ w_ih",
    "14": "dz[t].T @ saved.x[t]",
    "15": "dz[t].T @ before(saved.h, saved.h0)[t]",
    "16": "dz[t].sum(axis=0)",
}
FIRST_WRONG = [
    "do",
    "dc",
    "di",
    "df",
    "dg",
    "dz",
    "dz",
    "dz",
    "dz",
    "dh",
    "dc",
    "dx",
    "dw_ih",
    "dw_hh",
    "db",
]


def filled(solved: list[str]) -> bptt.Comparison:
    """What the exercise says with the lines of these numbers filled in."""
    lines = EXERCISE.read_text("utf-8").splitlines()
    for number in solved:
        (at,) = (k for k, line in enumerate(lines) if f"# {number}:" in f"{line}:" + ":")
        start = lines[at].split("= ")[0]
        lines[at] = f"{start}= {SOLUTION[number]}"
    spec = importlib.util.spec_from_loader("exercise", loader=None)
    module = importlib.util.module_from_spec(spec)
    exec("\n".join(lines), vars(module))
    return bptt.compare(module.my_backward)


def test_it_runs_as_it_is_and_points_at_the_first_line():
    run = [sys.executable, str(EXERCISE)]
    said = subprocess.run(run, capture_output=True, text=True, check=True, encoding="utf-8").stdout
    assert said.startswith("dh at t = 4, sample 0, unit 0: expected ")
    assert "hint: all zeros: not filled in yet?" in said


def test_every_line_brings_the_next_one_up_and_the_last_one_solves_it():
    numbers = list(SOLUTION)
    for count, name in enumerate(FIRST_WRONG, 1):
        result = filled(numbers[:count])
        assert (result.name, bool(result)) == (name, False)
    assert filled(numbers)
