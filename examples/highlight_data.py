"""The data of `highlight.py`: Python source, a class for each of its characters, two baselines.

The labels come from the standard `tokenize` module. What it gives no token for (blanks, newlines,
indentation, the backslash that continues a line) is whitespace. A soft keyword (`match`, `case`,
`type`, `_`) is a name, because only a parser can tell. An f-string is a string from its first
quote to its last on every Python, though from 3.12 on `tokenize` also reports the parts inside.
"""

import io
import itertools
import keyword
import sysconfig
import tokenize
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

CLASSES = ("whitespace", "name", "keyword", "operator", "number", "string", "comment")
VOCABULARY = 129  # the ASCII characters, and one number for all the others

WHITESPACE, NAME, KEYWORD, OPERATOR, NUMBER, STRING, COMMENT = range(len(CLASSES))
TOKEN_CLASSES = {
    tokenize.NAME: NAME,
    tokenize.OP: OPERATOR,
    tokenize.NUMBER: NUMBER,
    tokenize.STRING: STRING,
    tokenize.COMMENT: COMMENT,
}
SIZES = range(500, 100_001)  # bytes; shorter files hold next to nothing, longer ones mostly tables
SKIPPED_FOLDERS = {
    "test",
    "tests",
    "idle_test",
    "site-packages",
    "dist-packages",
    "encodings",  # tables that nearly repeat each other: a held-out one would not be unseen
}
HELD_OUT = 10  # one file in ten is kept for testing


@dataclass(frozen=True)
class Source:
    """One file: its name, its text, and for each character its number and its class."""

    name: str
    text: str
    ids: np.ndarray  # (characters,) uint8, below VOCABULARY
    labels: np.ndarray  # (characters,) uint8, positions in CLASSES


def encode(text: str) -> np.ndarray:
    """Number of each character: its code point, or 128 for all that is not ASCII."""
    points = np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
    return np.minimum(points, VOCABULARY - 1).astype(np.uint8)


def label(text: str) -> np.ndarray:
    """Class of each character of Python source.

    Raises what `tokenize` raises when the text is not Python: `tokenize.TokenError` or
    `SyntaxError`.
    """
    line_starts = np.cumsum([0] + [len(line) for line in io.StringIO(text)])
    labels = np.full(len(text), WHITESPACE, dtype=np.uint8)
    for kind, (first_row, first_column), (last_row, last_column) in spans(text):
        start = line_starts[first_row - 1] + first_column
        stop = line_starts[last_row - 1] + last_column
        labels[start:stop] = kind
    return labels


def spans(text: str) -> Iterator[tuple[int, tuple[int, int], tuple[int, int]]]:
    """(class, start, end) of each token, as (row from 1, column from 0), f-strings in one piece."""
    starts = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        name = tokenize.tok_name[token.type]
        if name == "ERRORTOKEN":
            raise SyntaxError(f"label: expected Python source, got {token.string!r}")
        if name.endswith("STRING_START"):
            starts.append(token.start)
        elif name.endswith("STRING_END"):
            start = starts.pop()
            if not starts:
                yield STRING, start, token.end
        elif not starts and token.type in TOKEN_CLASSES:
            is_keyword = token.type == tokenize.NAME and keyword.iskeyword(token.string)
            yield KEYWORD if is_keyword else TOKEN_CLASSES[token.type], token.start, token.end


def read(path: Path, name: str) -> Source | None:
    """The file with its labels, or None when it does not decode or is not Python."""
    try:
        with tokenize.open(path) as file:
            text = file.read()
        labels = label(text)
    except (tokenize.TokenError, SyntaxError, UnicodeDecodeError):
        return None
    return Source(name, text, encode(text), labels)


def standard_library(count: int) -> tuple[list[Source], list[Source]]:
    """(training, held-out) files of the standard library of the running interpreter.

    The split and the order follow a checksum of each file's name: they are the same on every
    machine, and a file never changes sides. At most `count` files come, one in ten held out.
    Raises FileNotFoundError if this Python came without its sources.
    """
    root = Path(sysconfig.get_path("stdlib"))
    training, held_out = [], []
    for checksum, name in sorted((zlib.crc32(name.encode()), name) for name in names(root)):
        side = held_out if checksum % HELD_OUT == 0 else training
        side.append(name)
    if not training or not held_out:
        raise FileNotFoundError(
            f"standard_library: expected Python files in {root}, got none; "
            "use a Python that was installed with its sources"
        )
    tested = max(1, count // HELD_OUT)
    return read_first(count - tested, root, training), read_first(tested, root, held_out)


def names(root: Path) -> Iterator[str]:
    """Paths, relative to the library's root, of the files that are worth reading."""
    for path in root.rglob("*.py"):
        relative = path.relative_to(root)
        if not SKIPPED_FOLDERS.intersection(relative.parts) and path.stat().st_size in SIZES:
            yield relative.as_posix()


def read_first(count: int, root: Path, names: list[str]) -> list[Source]:
    sources = (read(root / name, name) for name in names)
    return list(itertools.islice(filter(None, sources), count))


def baselines(training: list[Source]) -> dict[str, np.ndarray]:
    """The class that each simple guess gives each character, (VOCABULARY,)."""
    pairs = [source.ids.astype(np.int64) * len(CLASSES) + source.labels for source in training]
    counts = np.bincount(np.concatenate(pairs), minlength=VOCABULARY * len(CLASSES))
    counts = counts.reshape(VOCABULARY, len(CLASSES))
    return {
        "commonest class": np.full(VOCABULARY, counts.sum(axis=0).argmax()),
        "commonest for character": counts.argmax(axis=1),
    }
