"""`examples/highlight.py`: labels as tokenize has them, whole artefacts, safe interruption."""

import importlib
import os
import shlex
import signal
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import numpy as np
import pytest

import tinytensor as tt

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "highlight.py"
ARTEFACTS = {
    "weights.safetensors",
    "checkpoint.safetensors",
    "loss.png",
    "loss.svg",
    "graph.svg",
    "highlighted.html",
}
LETTERS = ".nko0s#"  # of the classes, in their order: whitespace, name, keyword, operator ...
OPERATOR, NUMBER, STRING, COMMENT = 3, 4, 5, 6
EXPECTED = {tokenize.OP: OPERATOR, tokenize.NUMBER: NUMBER, tokenize.COMMENT: COMMENT}


@pytest.fixture(scope="module")
def highlight() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXAMPLE.parent)
        yield importlib.import_module("highlight")


@pytest.fixture(scope="module")
def data(highlight: ModuleType) -> ModuleType:
    return highlight.data


def start(*arguments: str) -> "subprocess.Popen[str]":
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"},
    )


# ---- Labels


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = 1\n", "n.o.0."),
        ("a='it\\'s'+\"a 'b' #\"\n", "nosssssssosssssssss."),
        ("d = '''a\n# \"b\"\n'''  # c's\n", "n.o.ssssssssssssss..#####."),
        ("@a.b(1)\ndef f(x): pass\n", "onono0o.kkk.nonoo.kkkk."),
        ("a = \\\n  b\n", "n.o.....n."),
        ("if x:\n\treturn 0x1F\n", "kk.no..kkkkkk.0000."),
        ("é = 'ü' # ñ\ny=1\n", "n.o.sss.###.no0."),
        ("s = '😀'; t = 1\n", "n.o.ssso.n.o.0."),
        ("f(rb'\\'', 1_0.5e-3j, ...)", "nosssssso.000000000o.oooo"),
        ("x: int=None\n", "no.nnnokkkk."),
        ("match x:\n  case _: type = 1\n", "nnnnn.no...nnnn.no.nnnn.o.0."),
        ("f'{x!r:>{w}} {\"y\"}' + b\n", "sssssssssssssssssss.o.n."),
        ("f'''{f'{x}'}\n{{'''\n", "ssssssssssssssssss."),
        ("f'a' rf'{b}' 'c'\n", "ssss.sssssss.sss."),
        ("x", "n"),
        ("", ""),
    ],
)
def test_labels_of_hand_written_source(data: ModuleType, text: str, expected: str) -> None:
    assert "".join(LETTERS[kind] for kind in data.label(text)) == expected


def test_f_string_in_parts_is_one_string(data: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tokens are Python 3.12's and later, written by hand so that each Python tests them."""
    text = "a + f'{f'{b}'} c' + d\n"
    kinds = {"FSTRING_START": 901, "FSTRING_MIDDLE": 902, "FSTRING_END": 903}
    for name, number in kinds.items():
        monkeypatch.setitem(tokenize.tok_name, number, name)
    parts = [
        (tokenize.NAME, 0, 1),
        (tokenize.OP, 2, 3),
        (kinds["FSTRING_START"], 4, 6),
        (tokenize.OP, 6, 7),
        (kinds["FSTRING_START"], 7, 9),
        (tokenize.OP, 9, 10),
        (tokenize.NAME, 10, 11),
        (tokenize.OP, 11, 12),
        (kinds["FSTRING_END"], 12, 13),
        (tokenize.OP, 13, 14),
        (kinds["FSTRING_MIDDLE"], 14, 16),
        (kinds["FSTRING_END"], 16, 17),
        (tokenize.OP, 18, 19),
        (tokenize.NAME, 20, 21),
    ]
    tokens = [
        tokenize.TokenInfo(kind, text[first:last], (1, first), (1, last), text)
        for kind, first, last in parts
    ]
    monkeypatch.setattr(tokenize, "generate_tokens", lambda readline: iter(tokens))
    assert "".join(LETTERS[kind] for kind in data.label(text)) == "n.o.sssssssssssss.o.n."


def test_labels_of_the_library_agree_with_tokenize(data: ModuleType) -> None:
    training, held_out = data.standard_library(30)
    for source in training + held_out:
        assert len(source.text) == len(source.ids) == len(source.labels)
        blanks = {source.text[place] for place in np.flatnonzero(source.labels == data.WHITESPACE)}
        assert blanks <= set(" \t\n\f\\"), source.name
        line_starts = np.cumsum([0] + [len(line) for line in StringIO(source.text)])
        for token in tokenize.generate_tokens(StringIO(source.text).readline):
            if token.type in EXPECTED:
                row, column = token.start
                first = line_starts[row - 1] + column
                classes = source.labels[first : first + len(token.string)]
                # From 3.12 on tokenize also reports what stands within an f-string.
                assert np.isin(classes, (EXPECTED[token.type], STRING)).all(), token
                assert (classes == classes[0]).all(), token


@pytest.mark.parametrize(
    "content",
    [b"x = '\xff'\n", b"# coding: nonsense\n", b"x = (1\n", b"if x:\n    y\n  z\n", b"a = $\n"],
    ids=["not UTF-8", "unknown coding", "open bracket", "bad indentation", "no token"],
)
def test_what_is_not_python_is_skipped(data: ModuleType, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.py"
    path.write_bytes(content)
    assert data.read(path, path.name) is None


def test_declared_encoding_is_obeyed(data: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "latin.py"
    path.write_bytes(b"# coding: latin-1\nx = '\xe9'\n")
    assert data.read(path, path.name).text.endswith("'é'\n")


def test_characters_outside_ascii_share_one_number(data: ModuleType) -> None:
    assert data.encode("a\né😀").tolist() == [97, 10, 128, 128]


def test_no_file_is_on_both_sides_and_none_changes_sides(data: ModuleType) -> None:
    few = [[source.name for source in side] for side in data.standard_library(20)]
    more = [[source.name for source in side] for side in data.standard_library(30)]
    assert [len(side) for side in (*few, *more)] == [18, 2, 27, 3]
    assert not set(more[0]) & set(more[1])
    assert few == [more[0][:18], more[1][:2]]


def test_python_without_its_sources_is_told_so(
    data: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data.sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(FileNotFoundError, match="installed with its sources"):
        data.standard_library(20)


def test_baselines_count(data: ModuleType) -> None:
    text = "ab = 'aaa'\na = 1\n"
    source = data.Source("x.py", text, data.encode(text), data.label(text))
    answers = data.baselines([source])
    assert set(answers["commonest class"]) == {data.WHITESPACE}  # 6 of 17, before 5 of a string
    assert answers["commonest for character"][ord("a")] == data.STRING
    assert answers["commonest for character"][ord("b")] == data.NAME


# ---- Predictions and the page


@pytest.mark.parametrize("length", [1, 299, 300, 301, 449, 450, 451, 40_000])
def test_every_character_is_predicted_once_with_context(
    highlight: ModuleType, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    def distance_to_the_edge(model: object, windows: np.ndarray) -> np.ndarray:
        position = np.arange(windows.shape[1])
        distance = np.minimum(position, position[::-1])
        return np.broadcast_to(distance, windows.shape)

    monkeypatch.setattr(highlight, "classify", distance_to_the_edge)
    edge = np.arange(length)
    seen = highlight.predict(None, np.zeros(length, dtype=np.uint8))
    assert (seen >= np.minimum(np.minimum(edge, edge[::-1]), highlight.CONTEXT)).all()

    monkeypatch.setattr(highlight, "classify", lambda model, windows: windows)
    ids = (np.arange(length) % 251).astype(np.uint8)
    assert (highlight.predict(None, ids) == ids).all()


class Page(HTMLParser):
    """The text inside <pre>, all the tags, and the mistakes as (text, title)."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.code = ""
        self.tags: set[str] = set()
        self.open: list[tuple[str, dict[str, str | None]]] = []
        self.mistakes: list[tuple[str, str | None]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag != "meta":
            self.open.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, text: str) -> None:
        if "pre" in [tag for tag, _ in self.open]:
            self.code += text
            attributes = self.open[-1][1]
            if "title" in attributes:
                self.mistakes.append((text, attributes["title"]))


def test_page_escapes_the_source_and_names_its_mistakes(
    highlight: ModuleType, data: ModuleType
) -> None:
    text = "</pre><script>&amp;\"'{name}\n# é"
    labels = np.full(len(text), data.STRING, dtype=np.uint8)
    predicted = labels.copy()
    predicted[text.index("<script>") : text.index("&")] = data.NAME
    predicted[text.index("\n")] = data.WHITESPACE
    source = data.Source("<b>.py", text, data.encode(text), labels)
    page = highlight.page(source, predicted)
    parsed = Page(page)
    assert parsed.open == []
    assert parsed.code == text.replace("\n", "↵\n")
    assert not {"script", "b"} & parsed.tags
    assert parsed.mistakes == [
        ("<script>", "predicted name, is string"),
        ("↵\n", "predicted whitespace, is string"),
    ]
    assert "&lt;b&gt;.py" in page
    assert f"{1 - 9 / len(text):.2%} of {len(text)} characters" in page
    assert "http" not in page


# ---- The whole run


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder and the output of a short run."""
    out = tmp_path_factory.mktemp("finished") / "out"
    process = start(
        sys.executable, str(EXAMPLE), "--steps", "20", "--files", "20", "--out", str(out)
    )
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return out, output


def test_short_run_writes_every_artefact_and_nothing_else(finished: tuple[Path, str]) -> None:
    out, _ = finished
    assert {path.name for path in out.iterdir()} == ARTEFACTS
    assert (out / "loss.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    for name in ("loss.svg", "graph.svg"):
        assert ElementTree.parse(out / name).getroot().tag == "{http://www.w3.org/2000/svg}svg"
    page = Page((out / "highlighted.html").read_text(encoding="utf-8"))
    assert page.open == []
    assert len(page.code) > 500


def test_short_run_prints_table_and_checks(finished: tuple[Path, str], data: ModuleType) -> None:
    _, output = finished
    lines = output.splitlines()
    header = next(index for index, line in enumerate(lines) if line.startswith("held-out"))
    table = {line.split()[0]: line.split()[1:] for line in lines[header + 1 : header + 9]}
    assert list(table) == [*data.CLASSES, "all"]
    counts = {name: int(row[0].replace(",", "")) for name, row in table.items()}
    assert counts.pop("all") == sum(counts.values())
    _, held_out = data.standard_library(20)
    assert sum(counts.values()) == sum(len(source.text) for source in held_out)
    assert all(0 <= float(cell.rstrip("%")) <= 100 for row in table.values() for cell in row[1:])
    assert "step    20 of 20: loss" in output
    assert "\nequal to finite differences: all 19 parameters" in output
    assert "\nequal to torch: 20 of 20" in output or "\ntorch is not installed" in output


def test_saved_weights_are_the_checkpoints(finished: tuple[Path, str]) -> None:
    out, _ = finished
    weights = tt.load(out / "weights.safetensors")
    state = tt.load(out / "checkpoint.safetensors")
    assert weights.keys() == state["model"].keys()
    for name, weight in weights.items():
        assert np.array_equal(weight.numpy(), state["model"][name].numpy())
    assert len(state["losses"]) == 20
    assert state["losses"][-5:].mean() < state["losses"][:5].mean()


def test_an_early_stop_does_not_offer_an_older_run(
    highlight: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    (tmp_path / "checkpoint.safetensors").write_bytes(b"of an older run")
    monkeypatch.setattr(highlight.data, "standard_library", interrupted)
    assert highlight.main(["--steps", "3", "--out", str(tmp_path)]) == 130
    assert "stopped before anything was saved" in capsys.readouterr().out
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == b"of an older run"


def test_extras_that_are_not_installed_are_named(
    highlight: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("torch", "matplotlib"):
        monkeypatch.setitem(sys.modules, name, None)
    assert "torch is not installed" in highlight.check_against_torch(None, None)
    highlight.draw_curve([], [], {}, tmp_path)
    assert "matplotlib is not installed" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


# ---- Interruption


def test_stopping_and_resuming_repeats_every_bit(
    highlight: ModuleType, data: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten steps, Ctrl-C, ten more: the same losses and weights as twenty in one go."""
    arguments = ["--steps", "20", "--files", "20", "--out"]
    monkeypatch.setattr(highlight, "report", lambda *_: None)
    assert highlight.main([*arguments, str(tmp_path / "whole")]) == 0
    step = highlight.Training.step

    def step_and_interrupt(training: object) -> None:
        step(training)
        if len(training.losses) == 10:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(highlight.Training, "step", step_and_interrupt)
        assert highlight.main([*arguments, str(tmp_path / "halves")]) == 130
    half = tt.load(tmp_path / "halves" / "checkpoint.safetensors")
    assert len(half["losses"]) == 10
    assert highlight.main(["--resume", "--out", str(tmp_path / "halves")]) == 0

    whole = tt.load(tmp_path / "whole" / "checkpoint.safetensors")
    halves = tt.load(tmp_path / "halves" / "checkpoint.safetensors")
    for state in (whole, halves):
        del state["seconds"]
    assert_equal(whole, halves)


def assert_equal(one: object, other: object) -> None:
    """Equal to the bit, through dicts, lists, tensors and arrays."""
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert list(one) == list(other)
        for name in one:
            assert_equal(one[name], other[name])
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for item, counterpart in zip(one, other, strict=True):
            assert_equal(item, counterpart)
    elif isinstance(one, (tt.Tensor, np.ndarray)):
        assert np.array_equal(np.asarray(one), np.asarray(other))
    else:
        assert one == other


def test_order_is_drawn_anew_when_all_windows_were_seen(
    highlight: ModuleType, data: ModuleType
) -> None:
    text = "x = 1\n" * 1000  # 40 windows: a batch of 32, then one of 8
    source = data.Source("x.py", text, data.encode(text), data.label(text))
    training = highlight.Training({"steps": 4, "seed": 0, "files": 2}, [source])
    first = training.order.tolist()
    assert [len(training.batch()[0]) for _ in range(3)] == [32, 8, 32]
    assert sorted(first) == sorted(training.order.tolist()) == list(range(40))
    assert first != training.order.tolist()


@pytest.mark.skipif(sys.platform == "win32", reason="no Ctrl-C can be sent to one process there")
def test_ctrl_c_leaves_a_state_and_the_printed_command_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "a folder"
    process = start(
        sys.executable, str(EXAMPLE), "--steps", "60", "--files", "20", "--out", str(out)
    )
    assert process.stdout is not None
    while not process.stdout.readline().startswith("step     5"):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 130, output
    checkpoint = out / "checkpoint.safetensors"
    before = tt.load(checkpoint)["losses"]
    assert 5 <= len(before) < 60

    command = output.split("stopped; to go on: ")[1]
    process = start(*shlex.split(command))
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    after = tt.load(checkpoint)["losses"]
    assert len(after) == 60
    assert np.array_equal(after[: len(before)], before)
    assert {path.name for path in out.iterdir()} == ARTEFACTS


def test_second_ctrl_c_stops_at_once(highlight: ModuleType) -> None:
    found = signal.getsignal(signal.SIGINT)
    with highlight.Interrupt() as interrupt:
        assert not interrupt.asked
        signal.raise_signal(signal.SIGINT)
        assert interrupt.asked
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is found


def test_ctrl_c_before_the_first_checkpoint_says_so(
    highlight: ModuleType,
    data: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupted(count: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(data, "standard_library", interrupted)
    assert highlight.main(["--out", str(tmp_path)]) == 130
    assert "before anything was saved" in capsys.readouterr().out


def test_a_checkpoint_of_other_files_is_refused(
    highlight: ModuleType, data: ModuleType, finished: tuple[Path, str]
) -> None:
    out, _ = finished
    training, _ = data.standard_library(20)
    other = highlight.Training({"steps": 20, "seed": 0, "files": 20}, training[1:])
    with pytest.raises(SystemExit, match="expected the files of the checkpoint, got others"):
        other.load_state_dict(tt.load(out / "checkpoint.safetensors"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--resume", "--steps", "5"], "the checkpoint has them"),
        (["--steps", "0"], "--steps: expected at least 1, got 0"),
        (["--files", "1"], "--files: expected at least 2, got 1"),
    ],
)
def test_arguments_that_cannot_be_meant(
    highlight: ModuleType,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    with pytest.raises(SystemExit):
        highlight.main(arguments)
    assert message in capsys.readouterr().err


def test_resume_without_a_checkpoint_is_refused(highlight: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="got no such file"):
        highlight.main(["--resume", "--out", str(tmp_path)])
