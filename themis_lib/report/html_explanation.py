"""An explanation of a difference as one HTML file: each factor's step to the new score."""

from __future__ import annotations

from dataclasses import dataclass

from themis_lib.comparison.explanation import ExplainedScore, Explanation, FactorShare
from themis_lib.report.explanation_markdown import how_lines, rounded_shares, score_line
from themis_lib.report.html_charts import Axis, axis_over
from themis_lib.report.html_page import render_page


@dataclass(frozen=True)
class Step:
    """A factor's bar, from the mean before it to the mean after it.

    The order of the steps is that of the page: a share does not depend on it. `tone` is
    empty where the interval of the share includes 0.
    """

    share: FactorShare
    text: str
    left: float
    width: float
    tone: str


@dataclass(frozen=True)
class ScorePanel:
    """The steps of one metric on one dataset, on one axis."""

    score: ExplainedScore
    line: str
    axis: Axis
    steps: list[Step]


def explanation_html(explanation: Explanation) -> str:
    """Return the page of an explanation. The same explanation gives the same page."""
    return render_page(
        "explanation.html.jinja",
        scripts=(),
        data="",
        explanation=explanation,
        panels=[_panel(score) for score in explanation.scores if score.shares],
        how=how_lines(explanation),
    )


def _panel(score: ExplainedScore) -> ScorePanel:
    levels = [score.baseline_mean or 0.0]
    for share in score.shares:
        levels.append(levels[-1] + share.share)
    axis = axis_over(levels)
    steps = []
    texts = rounded_shares(score)
    for at, share in enumerate(score.shares):
        places = sorted((axis.at(levels[at]), axis.at(levels[at + 1])))
        steps.append(
            Step(
                share=share,
                text=texts[at],
                left=places[0],
                width=round(places[1] - places[0], 3),
                tone=_tone(share, score.higher_is_better),
            )
        )
    return ScorePanel(score, score_line(score), axis, steps)


def _tone(
    share: FactorShare,
    higher_is_better: bool,
) -> str:
    if share.low is None or share.high is None or share.low <= 0 <= share.high:
        return ""
    return "good" if (share.share > 0) == higher_is_better else "bad"
