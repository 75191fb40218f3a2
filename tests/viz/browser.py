"""A real Chromium for the tests of the page: Playwright's package drives the one of the system."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import tinytensor as tt
from tinytensor import nn
from tinytensor.viz import page

# Set by `.ci/run`, which installs the browser: there its absence is a failure.
DEMANDED = "TINYTENSOR_DEMAND_BROWSER"

# Of what a browser does by itself, that which needs a network or a graphics card.
_QUIET = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
)


@contextmanager
def launched() -> Iterator[Any]:
    """A browser; the test is skipped where there is none, unless it is demanded."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _absent("no Playwright: pip install playwright (its own browsers are not needed)")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if program is None:
        _absent("no chromium on the PATH: install Debian's package chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(_QUIET))
        yield browser
        browser.close()


def _absent(reason: str) -> None:
    if os.environ.get(DEMANDED):
        pytest.fail(f"{DEMANDED} is set, but there is {reason}")
    pytest.skip(f"there is {reason}")


class Opened:
    """A page in the browser, offline, that remembers what went wrong and what it asked for."""

    def __init__(self, browser: Any, path: str | Path, **options: Any) -> None:
        options.setdefault("viewport", {"width": 1200, "height": 800})
        self.context = browser.new_context(offline=True, **options)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(Path(path).as_uri())

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def text(self, selector: str) -> str:
        return str(self.page.inner_text(selector))

    def tensors(self, use: str) -> list[list[float]]:
        """The numbers in each table of the panel that shows tensors of a use: "arrives", "grad"."""
        found = self.page.evaluate(
            """use => [...document.querySelectorAll(`#panel .tensor.${use}`)].map(
                figure => [...figure.querySelectorAll("td")].map(cell => cell.dataset.value))""",
            use,
        )
        return [[float(value) for value in cells] for cells in found]

    def shown(self, use: str) -> list[list[str]]:
        """The same as it is written."""
        found: list[list[str]] = self.page.evaluate(
            """use => [...document.querySelectorAll(`#panel .tensor.${use}`)].map(
                figure => [...figure.querySelectorAll("td")].map(cell => cell.textContent))""",
            use,
        )
        return found

    def lit(self, name: str) -> list[int]:
        """The numbers of the nodes of the drawing that have this class."""
        found: list[int] = self.page.evaluate(
            "name => [...document.querySelectorAll(`#view .node.${name}`)]"
            ".map(node => Number(node.dataset.node))",
            name,
        )
        return found

    def close(self) -> None:
        self.context.close()


class Lstm:
    """The loss of an unrolled LSTM over some steps, and the page of its backward pass."""

    def __init__(self, path: Path, steps: int = 2) -> None:
        self.lstm = nn.LSTM(2, 3)
        self.x = tt.rand(steps, 1, 2, requires_grad=True)
        with tt.unrolled():
            output, _ = self.lstm(self.x)
        self.loss = (output**2).sum()
        self.path = page({"loss": self.loss}, path / "backward.html", inputs={"x": self.x})

    def gradients(self) -> dict[str, Any]:
        """By their names on the page, as `backward` leaves them."""
        self.loss.backward()
        found = {f"parameter {name}": p.grad for name, p in self.lstm.named_parameters()}
        return {name: grad.numpy() for name, grad in {**found, "input x": self.x.grad}.items()}
