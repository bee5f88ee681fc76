"""A class holds the same characters as in Python, digits and spaces apart."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from themis_lib.engine.constraints.characters import class_ranges, escape_character
from themis_lib.engine.constraints.patterns import translate


@settings(max_examples=300, derandomize=True)
@given(
    st.characters(exclude_categories=["Cs"]),
    st.sampled_from(
        [r"\w", r"\W", r"\S", r"\D", r"[^\W\d]", r"(?i)[k-s]", r"(?i)[^ß]"]
    ),
)
def test_a_class_holds_the_same_characters_as_in_python(character, pattern):
    ours = re.compile(translate(pattern).text)

    assert bool(re.fullmatch(pattern, character)) == bool(ours.fullmatch(character))


def test_ranges_are_sorted_and_do_not_touch():
    """Neighbours are united, and what overlaps is counted once."""
    items = [("RANGE", (100, 110)), ("LITERAL", 99), ("RANGE", (105, 111))]

    assert ((99, 111),) == class_ranges("IN", items, 0)


def test_no_class_holds_half_a_surrogate_pair():
    """The complement of a character has a gap where the surrogates are."""
    ranges = class_ranges("NOT_LITERAL", 0, 0)

    assert ((1, 0xD7FF), (0xE000, 0x10FFFF)) == ranges


def test_the_cases_of_a_letter_are_pythons():
    """Ignoring case, `k` is also the Kelvin sign."""
    kelvin = 0x212A

    assert ((75, 75), (107, 107), (kelvin, kelvin)) == class_ranges(
        "LITERAL", ord("k"), re.IGNORECASE
    )


@pytest.mark.parametrize("character", ["/", "]", "\\", "\n", "é", "😀", "-"])
def test_an_escaped_character_matches_itself_alone(character):
    """No character is syntax once it is escaped, inside of a class or outside."""
    escaped = escape_character(character)

    assert re.fullmatch(escaped, character)
    assert re.fullmatch(f"[{escaped}]", character)
    assert not re.fullmatch(escaped, "a")
