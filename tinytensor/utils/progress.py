"""A progress bar: tqdm's on a terminal and in a notebook, plain lines in a log."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable, Iterator
from typing import Any


class Progress:
    """Shows how far a loop has come; use it in `with`, or round what is looped over.

    On a terminal it is tqdm's bar, in a notebook tqdm's widget (the bar as text without
    ipywidgets). Where the output is no terminal, as in the log of a CI run, or where tqdm is not
    installed, it is one line every `every` steps and at the end: `step   200 of 1200: loss 0.3`.
    tqdm is an extra, `progress`, and imported only when a bar is shown.

    iterable : what to loop over, if anything
    total : how many steps there are; the length of `iterable` when left out, if it has one
    initial : steps done before, of training that goes on
    every : steps between two lines; a twentieth of all when left out
    unit : the word for a step
    quiet : show nothing

    >>> for number in Progress([1, 2, 3], quiet=True):
    ...     pass
    """

    def __init__(
        self,
        iterable: Iterable[Any] | None = None,
        total: int | None = None,
        *,
        initial: int = 0,
        every: int | None = None,
        unit: str = "step",
        quiet: bool = False,
    ) -> None:
        if total is None and hasattr(iterable, "__len__"):
            sized: Any = iterable
            total = len(sized)
        self.iterable = iterable
        self.total = total
        self.done = initial
        self.unit = unit
        self._every = every or max(1, (total or 2000) // 20)
        self._status = ""
        self._quiet = quiet
        self._said = initial
        self._bar = None if quiet else _bar(total, initial, unit)

    def __iter__(self) -> Iterator[Any]:
        if self.iterable is None:
            raise TypeError("Progress: expected something to loop over, got none; pass it first")
        with self:
            for value in self.iterable:
                yield value
                self.update()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def update(self, steps: int = 1, status: str | None = None) -> None:
        """Steps are done. `status` is what to say beside them until the next one is given."""
        if status is not None:
            self._status = status
        before = self.done
        self.done += steps
        if self._bar is not None:
            if status is not None:
                self._bar.set_postfix_str(status, refresh=False)
            self._bar.update(steps)
        elif before // self._every != self.done // self._every or self.done == self.total:
            self._say()

    def write(self, text: str) -> None:
        """Print a text above the bar, or between the lines."""
        if self._quiet:
            return
        if self._bar is None:
            print(text, flush=True)
        else:
            self._bar.clear()
            print(text, flush=True)
            self._bar.refresh()

    def close(self) -> None:
        """Leave the bar as it is; a line says how far it came if none has said it yet."""
        if self._bar is not None:
            self._bar.close()
        elif self._said != self.done:
            self._say()

    def _say(self) -> None:
        self._said = self.done
        if self._quiet:
            return
        line = f"{self.unit} {self.done:>5}"
        if self.total is not None:
            line += f" of {self.total}"
        if self._status:
            line += f": {self._status}"
        print(line, flush=True)


def _bar(total: int | None, initial: int, unit: str) -> Any:
    """tqdm's bar for where we are, or None where lines are better."""
    notebook = _in_notebook()
    if not notebook and not sys.stderr.isatty():
        return None
    try:
        if notebook and importlib.util.find_spec("ipywidgets") is not None:
            from tqdm.notebook import tqdm
        else:
            from tqdm import tqdm
    except ImportError:
        return None
    return tqdm(total=total, initial=initial, unit=unit)


def _in_notebook() -> bool:
    """Whether this runs in a Jupyter kernel (and not, say, in IPython on a terminal)."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return type(shell).__name__ == "ZMQInteractiveShell"
