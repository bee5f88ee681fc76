"""What cases without a score count as where two runs are compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from themis_lib.core.config import MissingPolicy, NoAnswerPolicy
from themis_lib.runs.results import RunResult, SummaryRow
from themis_lib.runs.score_groups import UNANSWERED
from themis_lib.runs.score_range import ScoreRange
from themis_lib.stats.clusters import Floats

#: What an undecided case is taken to score: it is left out, or has the score that makes
#: the difference least, or greatest.
Guess = Literal["left out", "least", "greatest"]


@dataclass(frozen=True)
class MissingScores:
    """The policies of a comparison for one metric, and the scores that it can give."""

    range: ScoreRange
    no_answer: NoAnswerPolicy
    errors: MissingPolicy

    @staticmethod
    def of(
        baseline: RunResult,
        candidate: RunResult,
        metric_id: str,
        observed: Floats,
    ) -> MissingScores:
        """Return the policies of the candidate, with the range of both runs' scores.

        `observed` are the scores of both.
        """
        statistics = candidate.manifest.statistics
        finite = observed[np.isfinite(observed)]
        before = _summary_row(baseline, metric_id)
        after = _summary_row(candidate, metric_id)
        policy: NoAnswerPolicy = statistics.no_answer
        # Version 0.1.0 wrote no range: the observed scores have to tell.
        scores = ScoreRange.of(finite)
        lowest, highest, worst = scores.lowest, scores.highest, scores.worst
        if after is not None and after.lowest is not None and after.highest is not None:
            lowest = min([after.lowest, *finite.tolist()])
            highest = max([after.highest, *finite.tolist()])
            worst = after.no_answer_score
            is_wider = (lowest, highest) != (after.lowest, after.highest)
            # What is the worst score of the one may not be the worst of the other.
            if is_wider or (before and before.no_answer_policy == "unknown"):
                worst = None
        if policy == "zero" and worst is None:
            policy = "unknown"
        return MissingScores(
            ScoreRange(lowest, highest, worst),
            policy,
            statistics.errors,
        )

    def counted(
        self,
        before: Floats,
        after: Floats,
        guess: Guess = "left out",
    ) -> tuple[Floats, Floats]:
        """Return what cases of the baseline and the candidate count as.

        NaN for those that are left out.
        """
        ends: tuple[float | None, float | None] = (None, None)
        if guess == "least":
            ends = self.range.highest, self.range.lowest
        elif guess == "greatest":
            ends = self.range.lowest, self.range.highest
        return self._fill(before, ends[0]), self._fill(after, ends[1])

    def are_undecided(
        self,
        scores: Floats,
    ) -> bool:
        """Return whether any of these cases is left out and could have any score."""
        is_failed = self.errors != "zero" and bool(np.isnan(scores).any())
        is_unknown = self.no_answer == "unknown"
        return is_failed or (is_unknown and bool((scores == UNANSWERED).any()))

    def forbids(
        self,
        scores: Floats,
    ) -> bool:
        """Return whether a policy of `fail` forbids numbers for these cases."""
        if self.errors == "fail" and np.isnan(scores).any():
            return True
        return self.no_answer == "fail" and bool((scores == UNANSWERED).any())

    def _fill(
        self,
        scores: Floats,
        end: float | None,
    ) -> Floats:
        failed = 0.0 if self.errors == "zero" else end
        unanswered = self.range.worst if self.no_answer == "zero" else None
        if self.no_answer == "unknown":
            unanswered = end
        filled = np.where(
            np.isnan(scores),
            np.nan if failed is None else failed,
            scores,
        )
        return np.where(
            scores == UNANSWERED,
            np.nan if unanswered is None else unanswered,
            filled,
        )


def _summary_row(
    result: RunResult,
    metric_id: str,
) -> SummaryRow | None:
    for row in result.summary:
        if row.metric_id == metric_id:
            return row
    return None
