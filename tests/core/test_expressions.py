"""Expressions over the columns of a row: their values, and what they refuse."""

from __future__ import annotations

import re
from typing import Any

import pytest

from themis_lib.core.expressions import Expression
from themis_lib.core.templates import shuffled
from themis_lib.errors import ConfigError

ROW = {
    "choices": {"text": ["Sun", "Mars"], "label": ["1", "2"]},
    "key": "2",
    "Right Answer": "Mars",
    "nothing": None,
}


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("choices.text", ["Sun", "Mars"]),
        ("choices.label.index(key)", 1),
        ("[key, nothing]", ["2", None]),
        ("nothing", None),
        ('row["Right Answer"] | lower', "mars"),
        ("row.missing | default('none')", "none"),
        ('choices.text | map("upper")', ["SUN", "MARS"]),
        ("key | int + seed", 9),
        ("{'a': key == '2'}", {"a": True}),
    ],
)
def test_values_are_json_and_not_texts_of_it(source: str, value: Any) -> None:
    assert value == Expression(source, where="d").value(ROW, seed=7)


def test_a_column_called_seed_takes_precedence() -> None:
    assert 3 == Expression("seed", where="d").value({"seed": 3}, seed=7)


def test_names_say_what_is_read() -> None:
    """Columns by name, columns out of the row by their key, or the whole row."""
    named = Expression('key ~ row["Right Answer"]', where="d")
    whole = Expression("row.key", where="d")

    assert (("key", "row"), ["Right Answer"]) == (named.names, named.row_items)
    assert None is whole.row_items


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("missing", "'missing' is undefined"),
        ("choices.tekst", "has no attribute 'tekst'"),
        ("choices.label.index('9')", "'9' is not in list"),
        ("nothing.text", "'null' has no attribute 'text'"),
        ("key ~ nothing", "it prints a null"),
        ("key if nothing", "it has no value; end it with `else"),
        ("choices.text.append('x')", "access to attribute 'append'"),
    ],
)
def test_what_has_no_value_says_why(source: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        Expression(source, where="d").value(ROW, seed=0)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("choices.", "d: 'choices.': expected name"),
        ("{{ key }}", "d: write the expression alone, without {{ }}"),
        ("key }} {{ key", "d: 'key }} {{ key': "),
    ],
)
def test_a_malformed_expression_is_refused(source: str, reason: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Expression(source, where="d")

    assert str(raised.value).startswith(reason)


def test_shuffling_depends_on_seed_and_content_alone() -> None:
    """The same list has the same order each time; seeds give different ones."""
    letters = list("abcdef")
    orders = {tuple(shuffled(letters, seed)) for seed in range(10)}

    assert shuffled(letters, 3) == shuffled(tuple(letters), 3)
    assert all(letters == sorted(order) for order in orders)
    assert len(orders) == 10
