"""A picture of a record: its numbers at once, the drawing when it is shown or saved."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...io.whole import write_whole
from .style import STYLE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("svg", "png", "pdf")


class Picture:
    """Numbers and how to draw them. A notebook shows it.

    title : what it shows
    data : the arrays that are drawn; what they are is said by the function that made the picture
    size : width and height in inches

    Drawing needs matplotlib; `data` does not.
    """

    def __init__(
        self,
        title: str,
        data: dict[Any, Any],
        size: tuple[float, float],
        draw: Callable[[Figure], None],
    ) -> None:
        self.title = title
        self.data = data
        self.size = size
        self._draw = draw

    def figure(self) -> Figure:
        """A new matplotlib Figure, to be changed. Raises ImportError without matplotlib."""
        with _drawing():
            return self._figure()

    def svg(self) -> str:
        """The picture as SVG: text as text, the same text for the same numbers."""
        # Without a date, and with ids that depend on the content alone.
        return self._saved("svg", metadata={"Date": None}).decode()

    def png(self, dpi: float = 150) -> bytes:
        """The picture as PNG; dpi : pixels an inch."""
        return self._saved("png", dpi=dpi)

    def save(self, path: str | os.PathLike[str]) -> str:
        """Write the picture into a file, whole or not at all, and return its path. The suffix says
        the format; folders that there are not are made.

        Raises ValueError for another suffix than .svg, .png and .pdf, ImportError without
        matplotlib.
        """
        suffix = Path(path).suffix[1:].lower()
        if suffix not in FORMATS:
            known = ", ".join(f".{name}" for name in FORMATS)
            raise ValueError(
                f"save: expected a file name that ends in one of {known}, got {str(path)!r}"
            )
        picture = self.svg().encode() if suffix == "svg" else self._saved(suffix, dpi=150)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, picture, "save")
        return str(path)

    def _repr_svg_(self) -> str:
        return self.svg()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """For notebooks: the picture, or where it can't be drawn the reason."""
        try:
            return {"image/svg+xml": self.svg(), "text/plain": repr(self)}
        except ImportError as error:
            return {"text/plain": f"{self!r}\n\nNo picture: {error}"}

    def __repr__(self) -> str:
        return f"<Picture: {self.title}>"

    def _figure(self) -> Figure:
        from matplotlib.figure import Figure

        figure = Figure(figsize=self.size, layout="constrained")
        self._draw(figure)
        return figure

    def _saved(self, format: str, **options: Any) -> bytes:
        with _drawing():
            content = io.BytesIO()
            self._figure().savefig(content, format=format, **options)
            return content.getvalue()


@contextmanager
def _drawing() -> Iterator[None]:
    """The house's style for as long as this lasts, whatever the user's own settings are."""
    try:
        from matplotlib import style
    except ImportError as error:
        raise ImportError(
            "viz: expected matplotlib to be installed, which draws the pictures; "
            "pip install 'tinytensor-bptt[plot]' (the numbers are in .data without it)"
        ) from error
    with style.context(STYLE, after_reset=True), warnings.catch_warnings():
        # A letter in a module's name that the font lacks is drawn as a box, or by the viewer's.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield
