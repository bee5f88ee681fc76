"""A metric over runs, drawn with characters: the same picture for one run, two, and
more than there are columns.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.report.test_history import row, series
from themis_lib.report.history import Series
from themis_lib.report.history_plot import history_plot

MADE = series(*(row(0.5) for _ in range(200)))


def test_one_run_is_a_dot_with_its_interval() -> None:
    """The bar ends where the interval does, the dot stands at the mean, the date
    below.
    """
    assert [
        "0.65 ┤",
        "     │ │",
        "     │ │",
        "     │ │",
        "0.60 ┤ ●",
        "     │ │",
        "     │ │",
        "     │ │",
        "0.55 ┤ │",
        "     │ │",
        "     │",
        "     │",
        "0.50 ┤",
        "     └───",
        "      2026-01-01",
    ] == history_plot(series(row(0.6, 0.54, 0.64)), width=80)


def test_numbers_of_any_size_are_told_apart() -> None:
    """The axis has the digits that its steps need, and no more."""
    small = history_plot(series(row(2e-5, 1e-5, 3e-5)), width=80)
    large = history_plot(series(row(1_234_567.5, 1_234_000.0, 1_235_000.0)), width=80)

    assert ["0.000030", "0.000025", "0.000020", "0.000015", "0.000010"] == [
        line.split()[0] for line in small if "┤" in line
    ]
    assert ["1235000", "1234750", "1234500", "1234250", "1234000"] == [
        line.split()[0] for line in large if "┤" in line
    ]


def test_a_window_narrower_than_the_axis_shows_the_axis() -> None:
    """Where there is no room for a plot, one column is drawn all the same."""
    lines = history_plot(series(row(0.5), row(0.5)), width=4)

    assert ["0.500 ┤ ●"] == [line for line in lines if "●" in line]


def test_two_runs_stand_side_by_side() -> None:
    """Older to the left, with an arrow below the run whose settings differ, and both
    dates.
    """
    lines = history_plot(series(row(0.0), row(1.0), changed=(1,)), width=80)

    assert ("1.00 ┤       ●", "0.00 ┤ ●") == (lines[0], lines[-4])
    assert [
        "     └─────────",
        "             ↑",
        "      2026-01-01 2026-01-02",
    ] == lines[-3:]


def test_a_run_without_a_mean_leaves_a_gap() -> None:
    """A run whose cases all failed has its place and no dot."""
    lines = history_plot(series(row(0.5), row(None), row(0.5)), width=80)

    assert ["0.500 ┤ ●           ●"] == [line for line in lines if "●" in line]


@settings(max_examples=30)
@given(st.integers(1, 200), st.integers(40, 120))
def test_plot_fits_its_width(count: int, width: int) -> None:
    """No line is wider than the terminal, and the plot is at most sixteen lines,
    however many runs there are.
    """
    lines = history_plot(Series("e", "m", "d", MADE.points[:count]), width=width)

    assert max(map(len, lines)) <= width
    assert len(lines) <= 16


def test_runs_share_columns_where_there_are_too_many() -> None:
    """Every run's mean is drawn: the highest and the lowest are there, at their ends of
    the plot.
    """
    rows = [row(0.5)] * 200
    rows[10], rows[190] = row(0.0), row(1.0)

    lines = history_plot(series(*rows), width=60)

    highest, lowest = (
        lines[0].index("●"),
        next(line for line in lines if line.startswith("0.0")).index("●"),
    )
    assert lowest < 10
    assert 50 < highest < 60
