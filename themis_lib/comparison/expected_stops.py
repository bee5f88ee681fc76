"""How many cases a run is expected to need until it is decided, before it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from themis_lib.comparison.sequential_questions import Question
from themis_lib.runs.random_order import look_ends
from themis_lib.runs.summary import ALL_CASES
from themis_lib.stats.expected_stops import ExpectedStop, expected_stop

#: Shares of the range of scores.
ASSUMED = (0.02, 0.05, 0.1, 0.2, 0.3)
# Of a baseline that has not run: where scores of 0 and 1 vary most.
_UNKNOWN_MEAN = 0.5


@dataclass(frozen=True)
class AssumedStop:
    """What a question takes if the true difference were `difference`."""

    difference: float
    stop: ExpectedStop


@dataclass(frozen=True)
class StopPlan:
    """What a question is expected to take, for several true differences.

    `cases` counts the cases of its dataset. `basis` says what is assumed.
    """

    question: Question
    cases: int
    basis: str
    assumed: Sequence[AssumedStop]


def stop_plans(
    questions: Sequence[Question],
    cases: Mapping[str, int],
) -> list[StopPlan]:
    """Return a plan for each question; `cases` counts the cases of each dataset.

    Scores are taken to be at the ends of their range, where they vary most, and the two
    sides of a difference to be independent. Sides that mostly fail on the same cases,
    as most do, need fewer cases.
    """
    plans = []
    for question in questions:
        count = cases[question.dataset_id]
        if question.is_difference:
            plans.append(_difference_plan(question, count))
        else:
            plans.append(_mean_plan(question, count))
    return plans


def _difference_plan(
    question: Question,
    cases: int,
) -> StopPlan:
    reach = question.highest - question.lowest
    known = _baseline_mean(question)
    before = _UNKNOWN_MEAN
    basis = "the baseline in the middle of its range"
    if known is not None:
        before = (known - question.lowest) / reach
        basis = f"the baseline's mean, {known:.4f}"
    assumed = []
    # A gate with a margin is for sides that do not differ.
    for share in (0.0, *ASSUMED) if question.gate else ASSUMED:
        # Away from the end that the baseline is nearer to.
        sign = 1 if before + share <= 1 else -1
        after = before + sign * share
        rises, falls = after * (1 - before), before * (1 - after)
        stop = expected_stop(
            (-reach, 0.0, reach),
            (falls, 1 - rises - falls, rises),
            question.null,
            looks=look_ends(cases),
            alpha=question.alpha,
        )
        assumed.append(AssumedStop(sign * share * reach, stop))
    return StopPlan(question, cases, f"{basis}, and independent sides", assumed)


def _mean_plan(
    question: Question,
    cases: int,
) -> StopPlan:
    reach = question.highest - question.lowest
    limit = (question.null - question.lowest) / reach
    assumed = []
    for share in ASSUMED:
        for mean in (limit - share, limit + share):
            if 0 <= mean <= 1:
                stop = expected_stop(
                    (question.lowest, question.highest),
                    (1 - mean, mean),
                    question.null,
                    looks=look_ends(cases),
                    alpha=question.alpha,
                )
                assumed.append(AssumedStop((mean - limit) * reach, stop))
    return StopPlan(question, cases, "scores at the ends of their range", assumed)


def _baseline_mean(question: Question) -> float | None:
    if question.baseline is None:
        return None
    for row in question.baseline.summary:
        place = (row.dataset_id, row.metric_id, row.slice)
        if place == (question.dataset_id, question.metric_id, ALL_CASES):
            return row.mean
    return None
