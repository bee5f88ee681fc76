"""An explanation as text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from themis_lib.comparison.explanation import ExplainedScore, FactorShare
from themis_lib.report.explanation_markdown import rounded_shares


def score_of(shares: list[float]) -> ExplainedScore:
    return ExplainedScore(
        dataset_id="d",
        metric_id="m",
        n=10,
        left_out=0,
        baseline_mean=0.0,
        candidate_mean=sum(shares),
        difference=sum(shares),
        shares=[
            FactorShare(
                factor=f"f{at}",
                share=share,
                low=None,
                high=None,
                interval_method=None,
                raised=0,
                lowered=0,
                cases=[],
            )
            for at, share in enumerate(shares)
        ],
    )


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=9))
def test_shown_shares_sum_to_the_shown_difference(shares: list[float]) -> None:
    """Each within a unit of the last digit of its own value."""
    score = score_of(shares)

    shown = rounded_shares(score)

    units = [round(float(text) * 10_000) for text in shown]
    assert round(round(score.difference or 0.0, 4) * 10_000) == sum(units)
    for share, unit in zip(shares, units, strict=True):
        assert abs(share * 10_000 - unit) <= 1.0001


def test_thirds_are_closed() -> None:
    """Three times a third of 0.1 is 0.1, not 0.0999."""
    assert ["+0.0334", "+0.0333", "+0.0333"] == rounded_shares(score_of([0.1 / 3] * 3))
