"""The rows that a filter keeps, and what it says when it keeps none."""

from __future__ import annotations

from typing import Any

import pytest

from themis_lib.data.row_filter import RowFilter

VALUES = [1, 1.0, True, 2, "1", None, [1, 2], {"a": 1}]
FIELDS = [
    {"field": "art", "level": "1"},
    {"field": "law", "level": "1"},
    {"field": "physics", "level": "2"},
]


@pytest.mark.parametrize(
    ("spec", "kept"),
    [
        ({}, [0, 1, 2, 3, 4, 5, 6, 7]),
        ({"n": 1}, [0, 1]),
        ({"n": True}, [2]),
        ({"n": [2, "1"]}, [3, 4]),
        ({"n": None}, [5]),
        ({"n": [[1, 2]]}, [6]),
        ({"n": {"a": 1}}, [7]),
        ({"n": [1, True, 2], "at": [1, 2, 9]}, [1, 2]),
        ({"n": []}, []),
    ],
)
def test_filter_compares_json_values(spec: dict[str, Any], kept: list[int]) -> None:
    """A row passes where its column equals the value, or one of a list: 1 is 1.0 but
    not true or "1".
    """
    row_filter = RowFilter(spec)

    found = [
        at
        for at, value in enumerate(VALUES)
        if row_filter.keeps({"at": at, "n": value})
    ]

    assert kept == found


def test_missing_column_is_a_key_error() -> None:
    """A row without a column of the filter raises a `KeyError` that names it."""
    with pytest.raises(KeyError, match=r"^'level'$"):
        RowFilter({"level": 1}).keeps({"input": 1})


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (
            {"field": "phsyics"},
            "the filter field: 'phsyics' kept none of 3 rows; did you mean 'physics'?",
        ),
        ({"level": 1}, "the filter level: 1 kept none of 3 rows; it holds '1', '2'"),
        (
            {"level": "2", "field": ["x", 0]},
            "the filter field: 'x' or 0 kept none of 1 rows; it holds 'physics'",
        ),
        (
            {"field": ["zzz", "lwa"]},
            "the filter field: 'zzz' or 'lwa' kept none of 3 rows; did you mean 'law'?",
        ),
    ],
)
def test_filter_that_keeps_nothing_says_why(spec: dict[str, Any], reason: str) -> None:
    """The reason names the column that let no row pass and values that are there."""
    row_filter = RowFilter(spec)

    kept = [row for row in FIELDS if row_filter.keeps(row)]

    assert [] == kept
    assert reason == row_filter.emptied()


def test_filter_without_rows_has_no_reason() -> None:
    """A filter that no row reached is not to blame."""
    assert "" == RowFilter({"level": 1}).emptied()


def test_reason_shows_ten_values_cut_short() -> None:
    """The first ten values are shown, each in at most 60 characters."""
    row_filter = RowFilter({"n": "none"})
    for number in range(20):
        row_filter.keeps({"n": number})
    long = RowFilter({"n": "none"})
    long.keeps({"n": "x" * 100})

    assert row_filter.emptied().endswith("; it holds 0, 1, 2, 3, 4, 5, 6, 7, 8, 9")
    assert long.emptied().endswith("; it holds '" + "x" * 59)
