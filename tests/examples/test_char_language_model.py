"""`examples/char_language_model.py` learns from a text, writes some, and is short."""

import importlib.util
from pathlib import Path

import pytest

import tinytensor as tt

EXAMPLE = Path(__file__).parents[2] / "examples" / "char_language_model.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("char_language_model", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_is_under_a_hundred_lines():
    assert len(EXAMPLE.read_text("utf-8").splitlines()) < 100


def test_a_short_run_learns_and_writes(example, capsys):
    found = example.main(["--steps", "30", "--characters", "40000"])
    out = capsys.readouterr().out
    assert "step    30 of 30: " in out
    assert "\ndef " in out
    assert out.endswith(f"{found:.3f} bits per character, on 2000 that it has not seen\n")
    assert found < 5  # guessing among its 90 characters takes log2(90) = 6.5


def test_quiet_prints_the_result_only_and_a_run_repeats(example, capsys):
    arguments = ["--steps", "2", "--characters", "20000", "--quiet"]
    first = example.main(arguments)
    assert capsys.readouterr().out.count("\n") == 1
    assert example.main(arguments) == first


def test_the_state_goes_on_as_if_the_windows_were_one(example):
    model = example.Model(7)
    ids = tt.randint(7, (12, 2))
    whole, _ = model(ids)
    first, state = model(ids[:5])
    second, _ = model(ids[5:], state)
    assert tt.allclose(tt.cat([first, second]), whole, atol=1e-6)


def test_the_loss_is_in_bits(example):
    scores = tt.zeros(3, 2, 8)
    assert example.bits(scores, tt.zeros(3, 2, dtype=tt.int64)).item() == pytest.approx(3)


def test_a_sample_starts_as_asked_and_has_its_length(example):
    vocabulary = tt.utils.text.CharVocabulary("ab")
    model = example.Model(2)
    with tt.no_grad():
        model.head.weight.zero_()
        model.head.bias.copy_(tt.tensor([0.0, 1e4]))
    assert example.sample(model, vocabulary, "a", 5) == "abbbbb"


def test_the_text_is_source_of_the_standard_library(example):
    text = example.standard_library(200_000)
    assert len(text) == 200_000
    assert "import" in text
    assert text.startswith(example.standard_library(1000))
