"""`examples/adding_problem.py` solves the task by the paper's criterion, and is short."""

import importlib.util
from pathlib import Path

import pytest

import tinytensor as tt

EXAMPLE = Path(__file__).parents[2] / "examples" / "adding_problem.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("adding_problem", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_is_under_a_hundred_lines():
    assert len(EXAMPLE.read_text("utf-8").splitlines()) < 100


def test_a_run_that_is_too_short_says_so_and_repeats(example, capsys):
    arguments = ["--length", "12", "--limit", "200"]
    assert example.main(arguments) is False
    first = capsys.readouterr().out
    assert first.count("sequence ") == 4
    assert "not solved after 200 sequences" in first
    assert example.main([*arguments, "--quiet"]) is False
    second = capsys.readouterr().out
    assert second.count("\n") == 1
    assert second.split(" of 2560 ")[1] == first.split(" of 2560 ")[1]


@pytest.mark.long
def test_the_paper_s_lag_is_solved_by_the_paper_s_criterion(example, capsys):
    assert example.main(["--quiet"]) is True
    out = capsys.readouterr().out
    assert "solved after" in out
    # "There were never more than 3 incorrectly processed sequences."
    assert int(out.split(" are wrong")[0].split()[-1]) <= 3


def test_a_short_lag_is_solved_by_the_paper_s_criterion(example, capsys):
    assert example.main(["--quiet", "--length", "12"]) is True


def test_memories_are_as_long_as_asked_for(example):
    model = example.Adder(100)
    forget = model.lstm.bias_ih_l0[example.HIDDEN : 2 * example.HIDDEN]
    assert 0 <= forget.min().item() and forget.max().item() < 4.6  # ln 1 to ln 99
    assert tt.equal(model.lstm.bias_ih_l0[: example.HIDDEN], -forget)


def test_padding_does_not_reach_the_answer(example):
    model = example.Adder(20)
    x, lengths, _ = tt.tasks.Adding(20).batch(5)
    answers = model(x, lengths)
    for n, length in enumerate(lengths.tolist()):
        alone = model(x[:length, n : n + 1], lengths[n : n + 1])
        assert tt.allclose(answers[n], alone[0], atol=1e-6)
