"""The words of the corpus are single, distinct and in lower case."""

import pytest

from themis_lib.engine.tiny import lexicon

TABLES = [
    "ADJECTIVES",
    "ANIMALS",
    "CARRIED",
    "FEELINGS",
    "FOODS",
    "HOW",
    "JOBS",
    "NAMES",
    "NOUNS",
    "PLACES",
    "SYLLABLES",
    "THINGS",
    "TIMES",
    "TOPICS",
    "WEATHER",
    "WENT",
]


@pytest.mark.parametrize("table", TABLES)
def test_no_word_is_in_a_table_twice(table):
    """Otherwise it would be drawn twice as often."""
    words = getattr(lexicon, table)

    assert len(words) == len(set(words))


def test_a_noun_has_the_letters_of_a_word():
    """Nouns are spelled backwards and asked about letter by letter."""
    for noun in lexicon.NOUNS:
        assert noun.isascii()
        assert noun.islower()
        assert noun.isalpha()
        assert 3 <= len(noun) <= 8


def test_numbers_are_at_their_own_index():
    """Twenty names below twenty, and ten tens."""
    assert (20, "seven") == (len(lexicon.UNITS), lexicon.UNITS[7])
    assert (10, "seventy") == (len(lexicon.TENS), lexicon.TENS[7])
