"""Why a text holds no number."""

from __future__ import annotations

import pytest

from themis_lib.builtins.numerals import numeral_at
from themis_lib.builtins.reasons import NoNumber, excerpt, no_number


@pytest.mark.parametrize(
    ("text", "position", "expected"),
    [
        ("2-7 km", 2, "part: '2-7 km'"),
        ("the first line\n 7", 16, "part: '7'"),
        ("from somewhere to 7 km", 18, "part: 'to 7 km'"),
        ("7" + "y" * 40, 0, f"part: '7{'y' * 23}…'"),
    ],
)
def test_reason_shows_the_line_around_the_number(text, position, expected):
    """From a whole word on, and not all of a long line."""
    numeral = numeral_at(text, position)

    assert NoNumber(expected) == no_number("part", text, numeral)


def test_excerpt_ends_with_its_line():
    """Without the space around it."""
    assert "'b c'" == excerpt("a b c \nd", 1)
