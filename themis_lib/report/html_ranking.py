"""A ranking as one HTML file: the strengths with their intervals on one axis."""

from __future__ import annotations

from themis_lib.comparison.ranking import Ranking
from themis_lib.report.html_charts import axis_over
from themis_lib.report.html_page import render_page
from themis_lib.report.ranking_markdown import (
    chance_headings,
    chance_rows,
    places_text,
    ranking_lines,
)


def ranking_html(ranking: Ranking) -> str:
    """Return the page of a ranking. The same ranking gives the same page."""
    marks = []
    for run in ranking.runs:
        marks += [run.low, run.strength, run.high]
    return render_page(
        "ranking.html.jinja",
        scripts=(),
        data="",
        ranking=ranking,
        axis=axis_over(marks, around=0.0),
        places_text=places_text,
        chance_headings=chance_headings(ranking),
        chance_rows=chance_rows(ranking),
        lines=ranking_lines(ranking),
    )
