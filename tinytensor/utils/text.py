"""Text as numbers: a vocabulary of characters."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from ..dtypes import Array
from ..tensor import Tensor, make

UNKNOWN = "\N{REPLACEMENT CHARACTER}"


class CharVocabulary:
    """A number for each character: its position in `characters`.

    characters : str, each once; save this string to make the same vocabulary again
    unknown : the character of the vocabulary that stands for all others; None makes them an error
    Raises ValueError for a character that comes twice, or an `unknown` that is not among them.

    >>> vocabulary = CharVocabulary.build("banana")
    >>> vocabulary.characters
    'abn'
    >>> vocabulary.encode("nab")
    tensor([2, 0, 1])
    >>> vocabulary.decode([1, 0, 2])
    'ban'
    """

    def __init__(self, characters: str, unknown: str | None = None) -> None:
        repeated = [character for character, n in Counter(characters).items() if n > 1]
        if repeated:
            raise ValueError(
                f"CharVocabulary: expected each character once, got {''.join(repeated)!r} again; "
                "use CharVocabulary.build(text)"
            )
        if unknown is not None and (len(unknown) != 1 or unknown not in characters):
            raise ValueError(
                f"CharVocabulary: expected unknown to be one of the characters, got {unknown!r}"
            )
        self.characters = characters
        self.unknown = unknown
        # Sorted code points, and the number of each, for a search of a whole text at once.
        points = _code_points(characters)
        self._numbers = np.argsort(points, kind="stable")
        self._sorted = points[self._numbers]

    @classmethod
    def build(cls, text: str, min_count: int = 1, unknown: str | bool = False) -> CharVocabulary:
        """The vocabulary of a text: its characters, in the order of their code points.

        min_count : leave out those that come less often
        unknown : a character for what is left out or new, put first, so that its number is 0; True
            for U+FFFD
        """
        counts = Counter(text)
        kept = "".join(sorted(character for character, n in counts.items() if n >= min_count))
        if unknown is False:
            return cls(kept)
        stand_in = UNKNOWN if unknown is True else unknown
        return cls(stand_in + kept.replace(stand_in, ""), stand_in)

    def __len__(self) -> int:
        return len(self.characters)

    def __contains__(self, character: object) -> bool:
        return isinstance(character, str) and len(character) == 1 and character in self.characters

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CharVocabulary):
            return NotImplemented
        return (self.characters, self.unknown) == (other.characters, other.unknown)

    def __hash__(self) -> int:
        return hash((self.characters, self.unknown))

    def __repr__(self) -> str:
        shown = self.characters if len(self) <= 40 else self.characters[:37] + "..."
        unknown = "" if self.unknown is None else f", unknown={self.unknown!r}"
        return f"CharVocabulary({shown!r}{unknown})"

    def encode(self, text: str) -> Tensor:
        """The number of each character: int64 (len(text),).

        Raises ValueError for a character that is not in the vocabulary, if none is `unknown`.
        """
        points = _code_points(text)
        place = np.searchsorted(self._sorted, points)
        place = np.minimum(place, max(len(self) - 1, 0))
        known = self._sorted[place] == points if len(self) else np.zeros(points.shape, bool)
        if not known.all():
            if self.unknown is None:
                first = int(np.argmin(known))
                raise ValueError(
                    f"encode: expected characters of the vocabulary, got {text[first]!r} at "
                    f"{first}; build it with unknown=True"
                )
            place[~known] = np.searchsorted(self._sorted, ord(self.unknown))
        return make(self._numbers[place].astype(np.int64) if len(text) else place)

    def decode(self, numbers: Any) -> str:
        """The text of the numbers: an integer tensor, array or list, (T,).

        Raises TypeError for what is no list of integers, IndexError for a number outside the
        vocabulary.
        """
        values = np.asarray(numbers)
        if values.size == 0:
            return ""
        if values.ndim != 1 or values.dtype.kind not in "iu":
            raise TypeError(
                f"decode: expected integers (T,), got {values.dtype} of shape {values.shape}; "
                "decode a batch row by row"
            )
        if values.min() < 0 or values.max() >= len(self):
            wrong = values[(values < 0) | (values >= len(self))][0]
            raise IndexError(f"decode: expected numbers in [0, {len(self)}), got {wrong}")
        return "".join([self.characters[number] for number in values.tolist()])


def _code_points(text: str) -> Array:
    """Unicode's number of each character, (len(text),)."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.int64)
