"""A certification as text and as a page."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.report.conftest import Visit
from themis_lib.certification.models import (
    ArrangementCheck,
    Certification,
    ScoreEffect,
    ScoreNoise,
    TextDifference,
)
from themis_lib.report.certification_markdown import (
    certification_markdown,
    check_rows,
    failure_lines,
    found_lines,
    score_line,
)
from themis_lib.report.html_certification import certification_html

TIME = "2026-11-30T00:00:00.000+00:00"


def check(name: str, **fields: Any) -> ArrangementCheck:
    settings = {"compared_with": "alone", "rows": 8, "compared": 8, **fields}
    return ArrangementCheck(arrangement=name, at_once=1, sampled_at=TIME, **settings)


def certification(*checks: ArrangementCheck, **fields: Any) -> Certification:
    reference = check("alone", compared_with=None, compared=0)
    return Certification(
        target="http://host/v1",
        model="m <b>",
        generator={},
        certified_at=TIME,
        prompts=8,
        prompts_digest="d",
        rounds=1,
        seed=0,
        unit="token",
        checks=[reference, *checks],
        **fields,
    )


def test_nothing_that_differs_is_said_in_plain_words() -> None:
    """The verdict, a row for each way, and no texts."""
    found = certification(
        check("2 at once", rated=8),
        noise=ScoreNoise(variance=0.0),
        prompts_compared=8,
        differ_low=0.0,
        differ_high=0.324,
    )

    markdown, page = certification_markdown(found), certification_html(found)

    for text in (markdown, page):
        assert "ame log-probabilities to the last bit" in text
        assert "0 of 8 rows differ" in text
        assert "0.0% to 32.4% do" in text
        assert "adds nothing to a score&#39;s interval" in text.replace("'", "&#39;")
    assert "Texts that differ" not in page
    assert '<span class="mark good">the same</span>' in page
    assert "m <b>" not in markdown + page


def test_what_differs_is_in_the_table_and_drawn() -> None:
    """A bar as long as the share, and the texts where they part."""
    found = certification(
        check("8 at once", texts_differ=2, tokens=80, tokens_differ=8, first_token=3.5),
        differences=[
            TextDifference(
                arrangement="8 at once",
                dataset_id="p",
                case_id=f"p-{number}",
                token=3,
                before="The sea is",
                expected=" <i>blue",
                got="",
                gap=0.0123,
            )
            for number in range(7)
        ],
        noise=ScoreNoise(variance=0.1),
    )

    page = certification_html(found)

    assert ("8 at once", "8", "0", "8", "2 (25.0%)", "10.0%", "3.5") == check_rows(
        found
    )[1][:7]
    assert re.search(r'rect x="0" width="25.0%"', page)
    assert '<span class="mark bad">differs</span>' in page
    assert "<i>blue" not in page
    assert "gap 0.012" in page
    assert "<summary>2 more</summary>" in page
    assert page == certification_html(found)


def test_score_line_says_how_much_of_an_interval_it_is() -> None:
    """At 1,000 cases: ±3.1 % of a score of one half; of a tenth in variance ±2.0 %."""
    line = score_line(certification(noise=ScoreNoise(variance=0.1)))

    assert "interval of ±3.1%" in line
    assert "at most ±2.0%, 40% of its variance" in line
    assert "two runs can differ by ±2.8%" in line
    assert "no prompt has two answers" in score_line(certification())


def test_metric_says_what_the_ways_of_asking_do_to_it() -> None:
    """With the interval of the answers asked alone beside it."""
    effect = ScoreEffect(
        metric_id="exact_match",
        cases=100,
        moved=3,
        mean=0.5,
        low=0.4,
        high=0.6,
        within=0.01,
        between=0.24,
    )

    (line,) = found_lines(certification(scores=[effect]))[1:]

    assert "the mean of exact_match is 0.5000 (0.4000 to 0.6000) over 100 cases" in line
    assert "3 have more than one score: this alone makes ±0.0196, 4% of the" in line


def test_failures_have_their_reasons() -> None:
    """With how many there are, and what to do."""
    found = certification(check("8 at once", compared=0, failed=8, errors={"429": 8}))

    assert "8 at once: 8 failed: 429" == failure_lines(found)[0]
    assert "without --again" in failure_lines(found)[1]
    assert '<span class="mark mid">cannot tell</span>' in certification_html(found)


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_page_in_a_browser(visit: Visit, width: int, scheme: str, share: float) -> None:
    """A bar is as long as its share of the axis, and the page does not scroll sideways."""
    page = certification_html(
        certification(check("16 at once", texts_differ=round(8 * share)))
    )

    def act(shown: Any) -> list[float]:
        bar = shown.locator(".step rect").bounding_box()
        axis = shown.locator(".step").bounding_box()
        drawn = 0.0 if bar is None else bar["width"] / axis["width"]
        return [shown.evaluate("document.documentElement.scrollWidth"), drawn]

    viewport = {"width": width, "height": 800}
    scrolled, drawn = visit(page, act, viewport=viewport, color_scheme=scheme)

    assert width == scrolled
    assert share == pytest.approx(drawn, abs=0.01)
