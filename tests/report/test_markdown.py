"""The summary as Markdown: columns that say something."""

from __future__ import annotations

import pytest

from tests.runs.test_summary import Stretched, answered, run
from themis_lib.report.markdown import (
    ending_notes,
    markdown_report,
    summary_notes,
    summary_table,
)
from themis_lib.runs.manifest import StageRecord
from themis_lib.stages.endings import Ending

ALWAYS = (
    "dataset",
    "slice",
    "metric",
    "n",
    "no answer",
    "failed",
    "mean",
    "std. error",
    "95 % interval",
    "method",
)


def test_summary_names_the_method_of_each_interval() -> None:
    """One sample and no clusters: no columns for either."""
    headings, rows = summary_table(run(1, 0, 1, 1).summary)

    assert ALWAYS == headings
    assert [
        (
            "d",
            "all",
            "score",
            "4",
            "0",
            "0",
            "0.7500",
            "0.2500",
            "0.3006 – 0.9544",
            "wilson",
        )
    ] == rows


def test_summary_has_clusters_and_variances_where_there_are_any() -> None:
    """A row without them has a dash in their column."""
    metadata = [{"topic": "a"}, {"topic": "b"}]
    result = run(
        [4, 6],
        [0, 2],
        metadata=metadata,
        slices=["topic"],
        statistics={"cluster_by": "topic"},
    )

    headings, rows = summary_table(result.summary)

    assert (*ALWAYS, "clusters", "var. between", "var. within") == headings
    assert [("2", "7.0000", "2.0000"), ("1", "—", "2.0000"), ("1", "—", "2.0000")] == [
        row[-3:] for row in rows
    ]
    assert "| clusters | var. between | var. within |" in markdown_report(result)


def test_summary_of_nothing_has_its_headings() -> None:
    """A run that stopped before has no rows."""
    assert (ALWAYS, []) == summary_table([])


def test_outputs_that_ended_early_are_told() -> None:
    """How many were cut, filtered or refused, whether a parser found something or not."""
    cut = {"final_output": "1", "finish_reason": "length"}
    result = answered("1", cut, cut, {"error": "the model refused: no"}, "none")

    assert {"cut": 2, "refused": 1} == result.manifest.stages[0].endings
    assert [
        "Cases without an answer count 0 in the mean (`no_answer: zero`).",
        "2 of 5 outputs were cut at max_tokens.",
        "1 of 5 outputs were refused by the model.",
    ] == summary_notes(result)
    assert "2 of 5 outputs were cut at max_tokens" in markdown_report(result)


@pytest.mark.parametrize(
    ("settings", "note"),
    [
        (
            {"max_tokens": 5},
            "3 of 9 outputs were cut at max_tokens; `generation.generator.max_tokens` "
            "sets the limit.",
        ),
        ({}, "3 of 9 outputs were cut at max_tokens."),
    ],
)
def test_cut_outputs_name_the_setting(settings: dict[str, int], note: str) -> None:
    """Where the generator has one."""
    record = StageRecord(
        stage="generate",
        fingerprint="f",
        identity={"generator": {"settings": settings}},
        rows=9,
        endings={Ending.CUT: 3},
    )
    manifest = answered("1").manifest.model_copy(update={"stages": [record]})

    assert [note] == ending_notes(manifest)


def test_worst_score_that_a_case_counts_as_is_told() -> None:
    """0 needs no name; another score does, and so does one that nobody knows."""
    declared = answered("3", "none", metric=Stretched(score_range=(1, 5)))
    unknown = answered("3", "none", metric=Stretched())

    assert "count 1, the worst score of tests/stretched," in summary_notes(declared)[0]
    assert "Declare its `score_range`" in summary_notes(unknown)[0]
