"""A site names the argument and the place of what is refused."""

from __future__ import annotations

import pytest

from themis_lib.engine.constraints.sites import Site
from themis_lib.errors import ConfigError

SITE = Site(
    argument="schema",
    root={},
    node={},
    place="#/properties/a",
    is_closed=True,
)


def test_a_refusal_names_the_keyword():
    """The place is a JSON pointer into the schema."""
    with pytest.raises(ConfigError) as caught:
        SITE.refuse("type", "strin", "is no type of JSON", "write string")

    assert (
        "schema at #/properties/a/type: 'strin' is no type of JSON; write string"
        == str(caught.value)
    )


def test_a_pattern_is_anchored_and_open_where_it_was_not():
    """A text may surround what the pattern of a schema matches."""
    assert "^a$" == SITE.translate_pattern("^a$", "pattern")
    assert "^(?s:.*)a(?s:.*)$" == SITE.translate_pattern("a", "pattern")


def test_a_pattern_that_is_no_text_is_refused():
    """The place of the keyword is named."""
    with pytest.raises(
        ConfigError, match=r"^schema at #/properties/a/pattern: 1 is not"
    ):
        SITE.translate_pattern(1, "pattern")
