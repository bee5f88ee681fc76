"""The summary as Markdown: columns that say something."""

from __future__ import annotations

from tests.runs.test_summary import run
from themis_lib.report.markdown import markdown_report, summary_table

ALWAYS = (
    "dataset",
    "slice",
    "metric",
    "n",
    "errors",
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
        ("d", "all", "score", "4", "0", "0.7500", "0.2500", "0.3006 – 0.9544", "wilson")
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
