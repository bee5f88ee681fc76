"""The residuals of a text are exactly what may follow it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.constraint_strategies import PATTERNS
from tests.support.random_patterns import random_patterns
from tests.support.reference_automaton import Automaton
from themis_lib.engine.constraints.derivatives import (
    Derivatives,
    nearest_end,
    residual_size,
    shortest_text,
)
from themis_lib.engine.constraints.patterns import translate


def derivatives(pattern: str) -> Derivatives:
    return Derivatives(translate(pattern).expression)


@settings(max_examples=100, derandomize=True, deadline=None)
@given(PATTERNS, st.text(st.sampled_from("ab1 .é日😀\n"), max_size=6))
def test_a_text_is_complete_if_the_pattern_matches_it(pattern: str, text: str) -> None:
    """As Python's own matcher says."""
    known = derivatives(pattern)

    matches = re.fullmatch(pattern, text) is not None

    assert matches == (None in known.after(known.start, text.encode()))


@pytest.mark.parametrize("pattern", random_patterns(20, seed=3))
def test_each_beginning_of_a_text_is_completed(pattern: str) -> None:
    """By a text that matches, and never by a longer one than what it was cut from."""
    known, automaton = derivatives(pattern), Automaton(translate(pattern).expression)
    text = shortest_text(nearest_end(known.start)) + b"x"

    for size in range(len(text)):
        nearest = nearest_end(known.after(known.start, text[:size]))
        rest = shortest_text(nearest)
        assert residual_size(nearest) == len(rest) <= len(text) - 1 - size
        # Python's own matcher may take for ever over nested repetitions.
        assert automaton.accepts(text[:size] + rest)


def test_a_text_that_no_match_begins_with_leaves_nothing() -> None:
    """No residual at all, not even one that is complete."""
    known = derivatives("ab|ac")

    assert () == known.after(known.start, b"ad")
    assert (None,) == known.after(known.start, b"ac")


def test_counts_do_not_multiply() -> None:
    """A nested repetition leaves pairs of counts, of which the nearest are kept."""
    known = derivatives("(?:(?:a{1,300}b?){1,300}c){2}")

    left = known.after(known.start, b"a" * 200)

    assert len(left) <= 1000
    assert b"cac" == shortest_text(nearest_end(left))


def test_characters_that_end_alike_leave_the_same() -> None:
    """Else a wildcard would leave another residual after each first byte of UTF-8."""
    known = derivatives(r"[\s\S]*Answer: \d")

    left = {known.after(known.start, bytes([byte])) for byte in range(0xC2, 0xF5)}

    # Some of three and four bytes have others: surrogates and the end of Unicode.
    assert len(left) <= 12


def test_a_long_repetition_is_not_written_out() -> None:
    """Only what a text reaches is computed: ten thousand turns cost as much as one."""
    known = derivatives("(?:[a-z]{10000}|no)x")

    assert b"nox" == shortest_text(nearest_end(known.start))
    assert 2 == len(known.start)


def test_the_reference_is_not_the_same_code() -> None:
    """A derivative that forgets a turn would differ from the plain automaton."""
    pattern = "(?:ab?){2,3}c"
    known, automaton = derivatives(pattern), Automaton(translate(pattern).expression)

    for text in (b"aac", b"ababc", b"abaabc", b"ac", b"aaaac", b"abac"):
        assert automaton.accepts(text) == (None in known.after(known.start, text))
