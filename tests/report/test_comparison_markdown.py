"""A comparison as Markdown."""

from __future__ import annotations

import pytest

from tests.support.compared_runs import case, run_of, scored
from themis_lib import InMemoryRunStore, compare
from themis_lib.comparison.models import NoiseParts
from themis_lib.report.comparison_markdown import (
    comparison_markdown,
    noise_text,
    power_line,
    shown_flips,
    verdict_lines,
)


def test_comparison_says_everything_in_order() -> None:
    """Runs, differences, tests, power, what differs, unmatched and changed cases
    and flips are there.
    """
    store = InMemoryRunStore()
    before = [*scored([0] * 10, topic="x"), case("old", 1, topic="x")]
    after = [*scored([1] * 10, topic="x"), case("new", 1, topic="x")]
    baseline, candidate = run_of(store, before), run_of(store, after, model="m2")

    text = comparison_markdown(compare(baseline, candidate, slices=["topic"]))

    parts = [line for line in text.splitlines() if line.startswith("#")]
    assert [
        "# stated: 2 better",
        "## Differences",
        "## Tests and power",
        "## What differs",
        "## Cases in one run only",
        "## Cases with other data",
        "## Flips",
    ] == parts
    for expected in (
        f"| {candidate.run_id} | d | topic=x | m | 0.0000 | 1.0000 | +1.0000 |",
        "test: McNemar, exact; interval: bonett-price",
        (
            "10 case(s) like these show a difference of 0.6000 or more in 4 of 5 "
            "comparisons"
        ),
        '"m1" → "m2"',
        f"d: 1 only in baseline (old), 1 only in {candidate.run_id} (new)",
        "10 score(s) rose, 0 fell",
        f"| {candidate.run_id} | d | m | q0 | 0.0000 | 1.0000 |",
    ):
        assert expected in text


def test_model_output_and_names_are_text() -> None:
    """Names that look like Markdown or HTML are escaped."""
    store = InMemoryRunStore()
    cases = [case("<b>|`x`", 0)], [case("<b>|`x`", 1)]

    text = comparison_markdown(
        compare(*(run_of(store, each, model="*<i>*") for each in cases))
    )

    assert "&lt;b>\\|\\`x\\`" in text
    assert "<b>" not in text


def test_widest_flips_are_shown() -> None:
    """Five of the widest falls, then of the widest rises, and no more."""
    store = InMemoryRunStore()
    before = scored([0.5] * 20)
    after = scored([0.5 + (at - 10) / 100 for at in range(20)])

    flips = shown_flips(compare(run_of(store, before), run_of(store, after)))

    assert ["q0", "q1", "q2", "q3", "q4", "q19", "q18", "q17", "q16", "q15"] == [
        flip.case_id for flip in flips
    ]


def test_power_that_is_not_known_is_not_made_up() -> None:
    """Too few cases say so, and nothing of what they could show."""
    store = InMemoryRunStore()

    (item,) = compare(
        run_of(store, scored([0, 1])), run_of(store, scored([1, 1]))
    ).differences

    assert (
        "d m: cannot tell; 2 case(s) like these do not say what they could show"
        == power_line(item)
    )


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        (
            [0] * 10,
            [1] * 10,
            "new is better than old by m on d: 10 of 10 cases score higher and 0 lower, "
            "p 0.0020",
        ),
        (
            [1] * 10,
            [0] * 10,
            "new is worse than old by m on d: 0 of 10 cases score higher and 10 lower, "
            "p 0.0020",
        ),
        (
            [1] * 10,
            [1] * 10,
            "new is as good as old by m on d: 0 of 10 cases score higher and 0 lower, "
            "p 1.0000",
        ),
        (
            [0] * 10,
            [1] + [0] * 9,
            "10 case(s) cannot tell new from old by m on d: 1 of 10 cases score higher "
            "and 0 lower, p 1.0000",
        ),
    ],
)
def test_verdict_is_a_sentence(
    before: list[int], after: list[int], verdict: str
) -> None:
    """A difference on a whole dataset is told in words; slices are not repeated."""
    store = InMemoryRunStore()
    baseline = run_of(store, scored(before, topic="x"), name="old")
    candidate = run_of(store, scored(after, topic="x"), name="new")

    comparison = compare(baseline, candidate, slices=["topic"])

    assert [verdict] == verdict_lines(comparison)


def test_parts_of_the_noise_are_one_line() -> None:
    """Both parts in percent, and what twice the samples or cases would leave."""
    noise = NoiseParts(
        half_width=0.04,
        sampling_share=0.25,
        with_twice_the_samples=0.0374,
        with_twice_the_cases=0.0283,
    )

    assert noise_text(noise) == (
        "±0.0400, 75 % of its variance from the cases and 25 % from the samples; "
        "twice the samples would leave ±0.0374; twice the cases would leave ±0.0283"
    )
