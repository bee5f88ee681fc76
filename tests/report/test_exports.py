"""Tables for other programs: every value comes back, and no character of a cell is
taken for markup.
"""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from themis_lib.inert import csv_text
from themis_lib.report.exports import csv_table, latex_table

_TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"))


@given(
    st.lists(st.tuples(_TEXT, st.floats(allow_nan=False), st.integers()), max_size=5)
)
def test_csv_keeps_every_value(rows: list[tuple[str, float, int]]) -> None:
    """Whatever text a cell holds, and to the last digit of a number, a reader gets back
    what was written, behind an apostrophe where it would be a formula.
    """
    read = list(csv.reader(io.StringIO(csv_table(("a", "b", "c"), rows), newline="")))

    assert ["a", "b", "c"] == read[0]
    assert [(csv_text(text), number, count) for text, number, count in rows] == [
        (text, float(number), int(count)) for text, number, count in read[1:]
    ]


def test_csv_leaves_a_missing_value_empty() -> None:
    """No value is an empty cell, and not a word."""
    assert "mean,n\n,3\n" == csv_table(("mean", "n"), [(None, 3)])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("50 % & $5_a#b", r"50 \% \& \$5\_a\#b"),
        ("a\\b{c}^~", r"a\textbackslash{}b\{c\}\textasciicircum{}\textasciitilde{}"),
        ("score[exact*]", "score{[}exact{*}]"),
        ("x < y | y > z", r"x \textless{} y \textbar{} y \textgreater{} z"),
        ("two\n\nlines", "two lines"),
    ],
)
def test_latex_cells_are_text(text: str, expected: str) -> None:
    """A character that means something to LaTeX is escaped in headings, cells and the
    caption alike.
    """
    lines = latex_table((text,), [(text,)], text).splitlines()

    assert rf"\caption{{{expected}}}" == lines[2]
    assert [rf"{expected} \\"] * 2 == [lines[5], lines[7]]


def test_latex_sets_numbers_to_the_right() -> None:
    """A column whose cells are all numbers, or none, is set to the right."""
    rows = [("a", 0.5, "1,024", "$0.10", None), ("b", None, "2", "$12.00", 3)]

    table = latex_table(("name", "mean", "n", "cost", "k"), rows, "c")

    assert r"\begin{tabular}{lrrrr}" in table
    assert r"a & 0.5 & 1,024 & \$0.10 & — \\" in table


def test_latex_without_rows_has_headings() -> None:
    """A table of no rows is a table with its headings."""
    assert r"\begin{tabular}{ll}" in latex_table(("a", "b"), [], "none")
