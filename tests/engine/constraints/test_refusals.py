"""A refusal is one line: the argument, the value in short, the problem, the fix."""

from __future__ import annotations

import pytest

from themis_lib.engine.constraints.refusals import check_encodable, refuse, shorten
from themis_lib.errors import ConfigError


def test_a_refusal_names_the_argument_the_value_and_the_fix():
    """All of it is in the message."""
    with pytest.raises(ConfigError) as caught:
        refuse("regex", 7, "is not a text", "write it in quotes")

    assert "regex: 7 is not a text; write it in quotes" == str(caught.value)


def test_a_long_value_is_shortened():
    """The message does not repeat a whole schema."""
    with pytest.raises(ConfigError) as caught:
        refuse("schema", "x" * 500, "is no schema", "write a mapping")

    assert len(str(caught.value)) < 130


@pytest.mark.parametrize(
    ("text", "size", "expected"),
    [
        ("a\n  b\tc", 10, "a b c"),
        ("abcdef", 6, "abcdef"),
        ("abcdefg", 6, "abcde…"),
    ],
)
def test_a_text_is_shortened_to_one_line(text, size, expected):
    """White space becomes single spaces, and a cut is marked."""
    assert expected == shorten(text, size)


def test_half_a_surrogate_pair_is_refused():
    """Any other text passes."""
    check_encodable("regex", "é😀")

    with pytest.raises(ConfigError, match=r"^regex: .* has half a surrogate pair"):
        check_encodable("regex", "a\ud800")
