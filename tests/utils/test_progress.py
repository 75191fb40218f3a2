"""Progress: a bar on a terminal, a widget in a notebook, lines in a log, nothing when asked."""

import importlib.util
import io
import sys
from types import ModuleType

import pytest

from tinytensor.utils import progress
from tinytensor.utils.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def terminal(monkeypatch):
    """Makes standard error a terminal, for the rest of the test.

    No fixture: pytest puts its own capture in place again between fixtures and test.
    """
    pytest.importorskip("tqdm")
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


def test_a_log_gets_a_line_now_and_then_and_at_the_end(capsys):
    with Progress(total=45, every=20) as bar:
        for step in range(45):
            bar.update(status=f"loss {step / 10}")
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "step    20 of 45: loss 1.9",
        "step    40 of 45: loss 3.9",
        "step    45 of 45: loss 4.4",
    ]
    assert err == ""


def test_a_status_stays_until_the_next_one(capsys):
    with Progress(total=4, every=1) as bar:
        bar.update()
        bar.update(status="a")
        bar.update()
    assert [line[15:] for line in capsys.readouterr().out.splitlines()] == ["", ": a", ": a"]


def test_a_loop_that_stops_early_says_how_far_it_came(capsys):
    with pytest.raises(KeyboardInterrupt), Progress(total=100, every=50, unit="batch") as bar:
        bar.update(7)
        raise KeyboardInterrupt
    assert capsys.readouterr().out == "batch     7 of 100\n"


def test_training_that_goes_on_counts_from_where_it_was(capsys):
    with Progress(total=100, initial=95, every=10) as bar:
        bar.update(5)
    assert capsys.readouterr().out == "step   100 of 100\n"
    with Progress(total=100, initial=100):
        pass
    assert capsys.readouterr().out == ""


def test_what_is_looped_over_comes_through_and_is_counted(capsys):
    assert list(Progress("abc", every=2, unit="letter")) == ["a", "b", "c"]
    assert capsys.readouterr().out == "letter     2 of 3\nletter     3 of 3\n"
    assert list(Progress(iter("abc"), every=3)) == ["a", "b", "c"]
    assert capsys.readouterr().out == "step     3\n"


def test_nothing_to_loop_over_is_an_error():
    with pytest.raises(TypeError, match="expected something to loop over"):
        list(Progress(total=3))


def test_twenty_lines_when_nothing_else_is_asked_for(capsys):
    list(Progress(range(1000)))
    assert len(capsys.readouterr().out.splitlines()) == 20


def test_quiet_is_silent_also_on_a_terminal(capsys, monkeypatch):
    screen = terminal(monkeypatch)
    with Progress(total=3, every=1, quiet=True) as bar:
        bar.update(status="a")
        bar.write("text")
    assert list(Progress([1, 2], quiet=True)) == [1, 2]
    assert capsys.readouterr().out == screen.getvalue() == ""


def test_a_terminal_gets_tqdms_bar_and_no_lines(capsys, monkeypatch):
    screen = terminal(monkeypatch)
    with Progress(total=4, initial=1, unit="batch") as bar:
        bar.update(3, "loss 0.5")
    shown = screen.getvalue()
    assert "4/4" in shown
    assert "loss 0.5" in shown
    assert "batch" in shown
    assert capsys.readouterr().out == ""


def test_text_is_written_beside_the_bar_or_the_lines(capsys, monkeypatch):
    terminal(monkeypatch)
    with Progress(total=2) as bar:
        bar.write("sample")
    assert capsys.readouterr().out == "sample\n"
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with Progress(total=2) as bar:
        bar.write("sample")
    assert capsys.readouterr().out == "sample\n"


def test_without_tqdm_a_terminal_gets_lines(capsys, monkeypatch):
    screen = terminal(monkeypatch)
    monkeypatch.setitem(sys.modules, "tqdm", None)
    list(Progress([1, 2], every=2))
    assert capsys.readouterr().out == "step     2 of 2\n"
    assert screen.getvalue() == ""


@pytest.mark.parametrize("widgets", [True, False])
def test_a_notebook_gets_the_widget_or_the_bar_as_text(monkeypatch, widgets):
    kernel = type("ZMQInteractiveShell", (), {})()
    ipython = ModuleType("IPython")
    ipython.get_ipython = lambda: kernel
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    spec = importlib.util.find_spec("json") if widgets else None
    monkeypatch.setattr(progress.importlib.util, "find_spec", lambda name: spec)
    made = []
    for name in ("tqdm", "tqdm.notebook"):
        fake = ModuleType(name)
        fake.tqdm = lambda name=name, **options: made.append((name, options))
        monkeypatch.setitem(sys.modules, name, fake)
    Progress(total=3)
    expected = "tqdm.notebook" if widgets else "tqdm"
    assert made == [(expected, {"total": 3, "initial": 0, "unit": "step"})]


def test_no_log_loads_tqdm(monkeypatch, capsys):
    for name in [name for name in sys.modules if name.partition(".")[0] == "tqdm"]:
        monkeypatch.delitem(sys.modules, name)
    list(Progress([1, 2]))
    assert "tqdm" not in sys.modules
