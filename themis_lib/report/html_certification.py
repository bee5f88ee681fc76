"""A certification as one HTML file: the share of texts that differ, by way of asking."""

from __future__ import annotations

from dataclasses import dataclass

from themis_lib.certification.models import ArrangementCheck, Certification
from themis_lib.report.certification_markdown import (
    CHECK_HEADINGS,
    check_rows,
    failure_lines,
    found_lines,
    how_line,
    share,
)
from themis_lib.report.html_charts import Axis, axis_over
from themis_lib.report.html_page import render_page

#: The least share that the axis reaches: one of nothing would have no length.
_LEAST_REACH = 0.05
#: Texts that are shown before a click.
_SHOWN = 5


@dataclass(frozen=True)
class Bar:
    """A way of asking, its bar in percent of the length, and its share as text."""

    check: ArrangementCheck
    width: float
    text: str


def certification_html(certification: Certification) -> str:
    """Return the page of a certification. The same certification gives the same page."""
    shares = [_share(check) for check in certification.compared]
    axis = axis_over([0.0, max([*shares, _LEAST_REACH])])
    mark, word = _mark(certification)
    return render_page(
        "certification.html.jinja",
        scripts=(),
        data="",
        certification=certification,
        axis=axis,
        bars=[_bar(check, axis) for check in certification.compared],
        headings=CHECK_HEADINGS,
        rows=check_rows(certification),
        found=found_lines(certification),
        failures=failure_lines(certification),
        how=how_line(certification),
        mark=mark,
        word=word,
        shown=_SHOWN,
    )


def _mark(certification: Certification) -> tuple[str, str]:
    """Return the tone of the verdict, and a word for it."""
    if certification.cannot_tell:
        return "mid", "cannot tell"
    return ("good", "the same") if certification.holds else ("bad", "differs")


def _bar(
    check: ArrangementCheck,
    axis: Axis,
) -> Bar:
    return Bar(check, axis.at(_share(check)), share(check.texts_differ, check.compared))


def _share(check: ArrangementCheck) -> float:
    return check.texts_differ / check.compared if check.compared else 0.0
