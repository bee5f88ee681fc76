"""The conclusions of a comparison: better, worse, the same, or unknown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from themis_lib.comparison.models import (
    Conclusion,
    Difference,
)
from themis_lib.runs.score_range import extreme
from themis_lib.runs.summary import ALL_CASES
from themis_lib.stats.multiple import holm

# The family-wise error rate: Holm's p below it gives a conclusion.
_LEVEL = 0.05


def with_conclusions(
    differences: Sequence[Difference],
    delta: float | None,
    guesses: Sequence[Sequence[Difference]] = (),
) -> list[Difference]:
    """Return the differences with Holm's p over their family and their conclusions.

    Whole data sets are one family and slices another: asking for slices makes no
    conclusion about the whole weaker. `guesses` are the same differences with other
    scores for the undecided cases: a conclusion holds if it does for all of them.
    """
    judged = _judge(differences, delta)
    guessed = [_judge(guess, delta) for guess in guesses]
    concluded = []
    for at, item in enumerate(judged):
        every = [item, *(guess[at] for guess in guessed)]
        conclusions = {each.conclusion for each in every}
        changes: dict[str, Any] = {
            "conclusion": item.conclusion if len(conclusions) == 1 else "cannot tell",
            "least": extreme(min, [each.difference for each in every]),
            "greatest": extreme(max, [each.difference for each in every]),
            "possible_low": extreme(min, [each.low for each in every]),
            "possible_high": extreme(max, [each.high for each in every]),
        }
        concluded.append(item.model_copy(update=changes))
    return concluded


def _judge(
    differences: Sequence[Difference],
    delta: float | None,
) -> list[Difference]:
    judged = list(differences)
    for is_whole in (True, False):
        family = []
        for at, item in enumerate(differences):
            if (item.slice == ALL_CASES) is is_whole:
                family.append(at)
        # Holm's p of one difference depends on all: conclusions come last.
        adjusted = holm([differences[at].p_value for at in family])
        for at, p_adjusted in zip(family, adjusted, strict=True):
            changes = {
                "p_adjusted": p_adjusted,
                "conclusion": conclusion_of(differences[at], p_adjusted, delta),
            }
            judged[at] = differences[at].model_copy(update=changes)
    return judged


def conclusion_of(
    item: Difference,
    p_adjusted: float | None,
    delta: float | None,
) -> Conclusion:
    """Return the conclusion of one difference.

    Without `delta`, the difference that matters, only equal scores are the same.
    """
    # A significant difference counts even where it lies within ± delta.
    if p_adjusted is not None and p_adjusted < _LEVEL and item.difference:
        rose = item.difference > 0
        return "better" if rose is item.higher_is_better else "worse"
    if _are_equal(item):
        return "same"
    if delta is None or item.low is None or item.high is None:
        return "cannot tell"
    if -delta < item.low <= item.high < delta:
        return "same"
    return "cannot tell"


def _are_equal(item: Difference) -> bool:
    """Return whether all scores are equal, and nothing else tells the runs apart."""
    # Scores that tie may hide what labels tell, or the score of a whole data set.
    is_tied = item.n > 0 and item.tied == item.n
    return is_tied and item.difference == 0 and item.labels is None
