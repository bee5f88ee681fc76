"""Tables fit the terminal, and nothing of them is lost or folded within a word."""

from __future__ import annotations

import io
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from flows.terminal import FittingTable, as_text, assemble

NAMES = st.text("ab数_-", min_size=1, max_size=50)
NUMBERS = st.from_regex(r"\A[0-9]{1,6}\Z")


def table_of(rows: list[tuple[str, ...]]) -> FittingTable:
    table = FittingTable()
    for heading, justify in (
        ("dataset", "left"),
        ("metric", "left"),
        ("n", "right"),
        ("mean", "right"),
        ("conclusion", "left"),
    ):
        table.add_column(heading, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for row in rows:
        table.add_row(*map(as_text, row))
    return table


def lines_of(table: FittingTable, width: int = 80) -> list[str]:
    console = Console(width=width, file=io.StringIO())
    console.print(table)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


@given(
    st.lists(
        st.tuples(
            st.text("ab数_-", min_size=1, max_size=18),
            st.text("ab数_-", min_size=1, max_size=18),
            NUMBERS,
            NUMBERS,
            st.sampled_from(["same", "cannot tell"]),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_nothing_is_cut_or_folded(rows: list[tuple[str, ...]]) -> None:
    """Every cell is whole, in the order of the rows, within the terminal's width."""
    lines = lines_of(table_of(rows))

    assert max(map(cell_len, lines)) <= 80
    words = " ".join(lines).split()
    for cell in (cell for row in rows for cell in row):
        assert set(cell.split()) <= set(words)


@given(st.lists(st.tuples(NAMES, NAMES, NUMBERS, NUMBERS, st.just("same"))))
def test_numbers_stand_under_their_headings(rows: list[tuple[str, ...]]) -> None:
    """Also where the names take a line of their own."""
    lines = lines_of(table_of([*rows, ("a" * 30, "b" * 40, "7", "0.5", "same")]))

    (head,) = [line for line in lines if line.endswith("conclusion")]
    (row,) = [line for line in lines if line.split()[-3:] == ["7", "0.5", "same"]]
    for heading, cell in (("n", " 7"), ("mean", " 0.5")):
        end = head.index(f" {heading} ") + len(heading) + 1
        assert row[:end].endswith(cell)


def test_narrow_rows_are_a_plain_table() -> None:
    """What fits takes one line a row, under headings."""
    lines = lines_of(table_of([("d", "m", "10", "0.5", "same")]))

    assert ["d", "m", "10", "0.5", "same"] in [line.split() for line in lines]
    assert not [line for line in lines if "/" in line]


def test_text_is_shown_and_not_obeyed() -> None:
    """Neither markup nor control characters do anything."""
    console = Console(width=80, file=io.StringIO(), force_terminal=True)
    console.print(assemble("[red]\x1b[31m", ("bold\n", "bold")), soft_wrap=True)

    shown = console.file.getvalue()
    assert r"[red]\x1b[31m" in shown
    assert r"bold\n" in shown


def test_a_pipe_loses_nothing() -> None:
    """Without a terminal a line is as long as it needs to be, and has no codes."""
    program = (
        "from flows.terminal import open_console, as_text\n"
        "open_console().print(as_text('word ' * 100, 'bold'))\n"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout

    assert "word " * 100 == shown.removesuffix("\n").ljust(500)
