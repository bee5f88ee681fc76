"""The place in a JSON text counts brackets outside of strings only."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from themis_lib.engine.constraints.places import (
    ESCAPE,
    OUTSIDE,
    STRING,
    Place,
    advance_json,
)

START = Place(inside=OUTSIDE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", START),
        (b'{"a":[', Place(2, OUTSIDE)),
        (b'{"a":[]', Place(1, OUTSIDE)),
        (b'["{[', Place(1, STRING)),
        (b'"a\\', Place(0, ESCAPE)),
        (b'"a\\"', Place(0, STRING)),
        (b'"a\\\\"', Place(0, OUTSIDE)),
    ],
)
def test_the_place_after_a_text(text, expected):
    """Brackets and quotes inside of strings are letters."""
    assert expected == advance_json(START, text)


@given(
    st.recursive(
        st.none() | st.integers() | st.text('a{}[]\\"é', max_size=5),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner),
    ),
    st.integers(1, 4),
)
def test_a_whole_text_ends_where_it_began(value, size):
    """It does not matter how the text is cut into tokens."""
    text = json.dumps(value, ensure_ascii=False).encode()
    place = START

    for start in range(0, len(text), size):
        place = advance_json(place, text[start : start + size])

    assert place == START
