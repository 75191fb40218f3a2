"""Every Python example of the README runs as it stands."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BLOCKS = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text("utf-8"), re.M | re.S)


@pytest.mark.parametrize("code", BLOCKS, ids=[f"example{n + 1}" for n in range(len(BLOCKS))])
def test_an_example_of_the_readme_runs(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})


def test_the_first_example_is_about_fifteen_lines_and_learns(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [line for line in BLOCKS[0].splitlines() if line.strip()]
    assert len(lines) <= 20
    names: dict = {}
    exec(compile(BLOCKS[0], "README.md", "exec"), names)
    neighbours = names["x"][:-2] + names["x"][2:]
    trivial = (neighbours - neighbours.mean()).square().mean()
    assert names["loss"].item() < 0.05 * trivial.item()
    assert (tmp_path / "backward.svg").read_text("utf-8").count("<svg") == 1


def test_the_first_example_gives_torchs_numbers(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    trained = BLOCKS[0].split("with tt.unrolled()")[0]
    on_torch = trained.replace("import tinytensor as tt", "import torch as tt")
    on_torch = on_torch.replace("from tinytensor import", "from torch import").replace(", viz", "")
    assert "tinytensor" not in on_torch
    results = []
    for code in (trained, on_torch):
        names: dict = {}
        exec(compile(code, "README.md", "exec"), names)
        results.append(names["loss"].item())
    assert results[0] == pytest.approx(results[1], rel=1e-3)


def test_every_file_that_the_readme_names_exists():
    text = (ROOT / "README.md").read_text("utf-8")
    linked = re.findall(r"\]\(([^)#]+)\)", text)
    named = re.findall(r"`(examples/[\w./]+)`", text)
    assert [name for name in linked + named if not (ROOT / name).exists()] == []
