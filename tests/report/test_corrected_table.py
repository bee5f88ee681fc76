"""Corrected means in the terminal, in Markdown, and on the page of a run."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from flows.display import print_result
from tests.report.conftest import Visit
from tests.support.corrected_runs import people, strangers_answer
from tests.support.labelling import CORRECT, give_labels, judged_run
from themis_lib import InMemoryRunStore, RunResult, corrected_scores
from themis_lib.report.corrected_table import (
    CORRECTED_HEADINGS,
    corrected_cells,
    corrected_notes,
    trust_lines,
)
from themis_lib.report.html import report_html
from themis_lib.report.markdown import markdown_report

HOSTILE = {**CORRECT, "id": "<b>x</b>|`y`"}


@pytest.fixture(scope="module")
def labelled_run() -> RunResult:
    run = judged_run(InMemoryRunStore(), count=120)
    give_labels(run, 50, value=people(run))
    give_labels(run, 30, labeller="ben", value=people(run))
    return run


def test_cells_are_under_their_headings(labelled_run: RunResult) -> None:
    (item,) = corrected_scores(labelled_run)

    cells = dict(zip(CORRECTED_HEADINGS, corrected_cells(item), strict=True))

    assert f"{item.mean:.4f}" == cells["corrected"]
    assert f"{item.low:.4f} – {item.high:.4f}" == cells["95 % interval"]
    assert ("0.6667", "50") == (cells["raw mean"], cells["labels"])
    assert cells["sensitivity"].startswith("1.00 (")


def test_notes_on_few_labels_and_on_those_that_are_left_out() -> None:
    store = InMemoryRunStore()
    run = judged_run(store, count=40)
    give_labels(run, 12)
    # One more case that no draw could have drawn: its labels are found by content.
    grown = judged_run(store, count=41)

    few, left_out = corrected_notes([*corrected_scores(run), *corrected_scores(grown)])[
        ::2
    ]

    assert "12 labels drawn from this run are few; label at least 20" in few
    assert "12 samples have a label that was not drawn" in left_out
    assert [] == trust_lines(corrected_scores(grown))


def test_labellers_are_compared(labelled_run: RunResult) -> None:
    """Two who always agree: alpha is 1."""
    (note,) = corrected_notes(corrected_scores(labelled_run))

    assert "Krippendorff's alpha 1.000 (—) on 30 items" in note


def terminal(run: RunResult) -> str:
    console = Console(width=80, file=io.StringIO())
    print_result(run, console, seconds=1.0, page=None, command="run")
    return str(console.file.getvalue())


def test_terminal_and_markdown_show_both_means(labelled_run: RunResult) -> None:
    (item,) = corrected_scores(labelled_run)

    for text in (terminal(labelled_run), markdown_report(labelled_run)):
        assert f"{item.mean:.4f}" in text
        assert f"{item.low:.4f} – {item.high:.4f}" in text
        assert "orrected by labels" in text
        assert "alpha 1.000" in text
    assert "sensitivity 1.00" in terminal(labelled_run)


def test_run_without_labels_shows_nothing_of_them() -> None:
    run = judged_run(InMemoryRunStore(), model=strangers_answer)

    for text in (terminal(run), markdown_report(run), report_html(run)):
        assert "orrected by labels" not in text


def test_page_draws_both_intervals(visit: Visit, labelled_run: RunResult) -> None:
    """On one axis, the corrected one above the raw one."""

    def look(page: Any) -> tuple[list[str], list[str], str]:
        panel = page.locator(".panel.corrected")
        drawn = panel.locator("svg.interval circle")
        return (
            panel.locator("tbody td.plot + td").all_text_contents(),
            [circle.get_attribute("cx") for circle in drawn.all()],
            panel.text_content(),
        )

    (item,) = corrected_scores(labelled_run)
    kinds, places, text = visit(report_html(labelled_run), look)

    assert ["corrected", "raw"] == kinds
    corrected, raw = (float(place.rstrip("%")) for place in places)
    assert abs(corrected - 100 * item.mean) < 0.01
    assert abs(raw - 100 * item.raw_mean) < 0.01
    assert "sensitivity 1.00" in text


def test_names_are_text_on_every_surface() -> None:
    """A metric's id is text, whatever it holds."""
    run = judged_run(InMemoryRunStore(), count=40, metric=HOSTILE)
    give_labels(run, 25, value=people(run))

    assert "<b>x</b>" not in report_html(run)
    assert "&lt;b&gt;x&lt;/b&gt;" in report_html(run)
    assert "<b>x" not in markdown_report(run)
