"""A vocabulary's numbers come back as the text; a stranger is the unknown, or an error."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinytensor as tt
from tinytensor.utils.text import UNKNOWN, CharVocabulary


@given(st.text(max_size=60))
def test_what_is_encoded_comes_back(text):
    vocabulary = CharVocabulary.build(text)
    numbers = vocabulary.encode(text)
    assert vocabulary.decode(numbers) == text
    assert numbers.dtype == tt.int64
    assert numbers.tolist() == [vocabulary.characters.index(character) for character in text]
    assert len(vocabulary) == len(set(text))


@given(st.text(max_size=30), st.text(max_size=30))
def test_a_stranger_is_the_unknown(known, text):
    vocabulary = CharVocabulary.build(known, unknown=True)
    expected = "".join(character if character in known else UNKNOWN for character in text)
    assert vocabulary.decode(vocabulary.encode(text)) == expected
    assert vocabulary.characters[0] == vocabulary.unknown == UNKNOWN


def test_numbers_follow_the_characters_given_and_not_their_code_points():
    vocabulary = CharVocabulary("zaé😀", unknown="a")
    assert vocabulary.encode("😀éaz!").tolist() == [3, 2, 1, 0, 1]


def test_a_lone_surrogate_is_a_character_too():
    vocabulary = CharVocabulary.build("a\ud800")
    assert vocabulary.decode(vocabulary.encode("\ud800a")) == "\ud800a"


def test_rare_characters_are_left_to_the_unknown():
    vocabulary = CharVocabulary.build("aaabbc", min_count=2, unknown="?")
    assert vocabulary.characters == "?ab"
    assert vocabulary.encode("abc").tolist() == [1, 2, 0]
    assert CharVocabulary.build("b?a", unknown="?").characters == "?ab"


def test_the_same_characters_make_the_same_vocabulary():
    first = CharVocabulary.build("hello", unknown=True)
    again = CharVocabulary(first.characters, first.unknown)
    assert first == again
    assert hash(first) == hash(again)
    assert first != CharVocabulary(first.characters)
    assert first != "hello"
    assert eval(repr(first)) == first
    assert repr(CharVocabulary.build("".join(map(chr, range(60, 200))))).endswith("...')")


def test_membership_is_of_single_characters():
    vocabulary = CharVocabulary("ab")
    assert "a" in vocabulary
    assert "c" not in vocabulary
    assert "ab" not in vocabulary
    assert 0 not in vocabulary


def test_nothing_becomes_nothing():
    for vocabulary in (CharVocabulary(""), CharVocabulary("a")):
        assert vocabulary.encode("").shape == (0,)
        assert vocabulary.encode("").dtype == tt.int64
        assert vocabulary.decode([]) == ""


@pytest.mark.parametrize("kind", [list, np.array, tt.tensor])
def test_lists_arrays_and_tensors_are_decoded(kind):
    assert CharVocabulary("abc").decode(kind([2, 0])) == "ca"


@pytest.mark.parametrize(
    ("error", "act", "message"),
    [
        (ValueError, lambda: CharVocabulary("abab"), "each character once, got 'ab' again"),
        (ValueError, lambda: CharVocabulary("ab", "c"), "one of the characters, got 'c'"),
        (ValueError, lambda: CharVocabulary("ab", "ab"), "one of the characters, got 'ab'"),
        (ValueError, lambda: CharVocabulary("ab").encode("bax"), "got 'x' at 2"),
        (ValueError, lambda: CharVocabulary("").encode("x"), "got 'x' at 0"),
        (IndexError, lambda: CharVocabulary("ab").decode([0, 2]), r"in \[0, 2\), got 2"),
        (IndexError, lambda: CharVocabulary("ab").decode([-1]), "got -1"),
        (TypeError, lambda: CharVocabulary("ab").decode([[0]]), "row by row"),
        (TypeError, lambda: CharVocabulary("ab").decode([0.5]), "got float64"),
    ],
)
def test_mistakes_say_what_is_wrong(error, act, message):
    with pytest.raises(error, match=message):
        act()
