"""Patterns of the words of all languages."""

from __future__ import annotations

import re

import pytest

from themis_lib.builtins.answer_words import BOUNDARY, alternatives, noun_patterns


def test_nouns_are_found_by_how_they_begin():
    """As they are written in a sentence, at its beginning, and in capitals."""
    stems = [stem for stem, _ in noun_patterns()]

    assert {"antwort", "Antwort", "ANTWORT", "答案", "cevab"} <= set(stems)
    assert all("(" not in stem for stem in stems)


def test_pattern_ends_where_the_answer_begins():
    """Behind the words that lead to it."""
    pattern = dict(noun_patterns())["respuesta"]
    text = "respuesta correcta es la opción B"

    assert "B" == text[re.match(pattern, text).end() :]


@pytest.mark.parametrize(
    ("word", "text", "found"),
    [("es", "es B", True), ("es", "esto", False), ("是", "是B", True)],
)
def test_boundary_is_not_inside_a_word(word, text, found):
    """Scripts without spaces have none between words."""
    assert found == bool(re.match(word + BOUNDARY, text))


def test_empty_fields_are_no_alternatives():
    """They would match everywhere."""
    assert re.fullmatch(alternatives("wrong"), "") is None
