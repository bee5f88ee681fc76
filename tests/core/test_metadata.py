"""Values of metadata as text, and back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from themis_lib.core.metadata import metadata_text, metadata_value

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abc"), inner),
    max_leaves=5,
)


@given(VALUES)
def test_nothing_is_lost(value: object) -> None:
    """Every JSON value comes back from its text as it was."""
    assert value == metadata_value(metadata_text(value))


def test_words_are_shown_as_they_are() -> None:
    """People read `hard`, not `"hard"`; only what looks like JSON is quoted."""
    assert ["hard", '"3"', '"true"', "3"] == [
        metadata_text(value) for value in ("hard", "3", "true", 3)
    ]
