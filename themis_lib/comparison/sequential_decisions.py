"""How a question is decided look by look: by a confidence sequence, or given up.

A question is futile when no scores of the cases that are left, within the budget, could
decide it. That is computed exactly for better, worse, pass and fail; a run never stops
where one of them could still come out.
"""

from __future__ import annotations

import numpy as np

from themis_lib.comparison.missing_scores import Guess, MissingScores
from themis_lib.comparison.sequential_questions import Question
from themis_lib.core.config import StatisticsConfig
from themis_lib.errors import FatalError
from themis_lib.runs.manifest import GateOutcome
from themis_lib.runs.score_range import ScoreRange
from themis_lib.runs.sequential import (
    Ended,
    SequentialLook,
    SequentialQuestion,
    Verdict,
)
from themis_lib.stats.betting import confidence_sequence, could_refute, e_value
from themis_lib.stats.clusters import Floats

# JSON has no infinity.
_GREATEST_E_VALUE = 1e300


class OpenQuestion:
    """A question, and what the looks so far have shown.

    `cases` counts the cases that there are. A case whose score is missing is taken to
    score what speaks most against each decision, unless a policy says what it counts.
    """

    def __init__(
        self,
        question: Question,
        statistics: StatisticsConfig,
        cases: int,
    ) -> None:
        self.question = question
        self.cases = cases
        self.verdict: Verdict = "undecided"
        self.ended: Ended | None = None
        self.looks: list[SequentialLook] = []
        lowest, highest = question.lowest, question.highest
        self._missing = MissingScores(
            ScoreRange(
                lowest,
                highest,
                lowest if question.higher_is_better else highest,
            ),
            statistics.no_answer,
            statistics.errors,
        )

    @property
    def is_open(self) -> bool:
        """Whether more cases may decide it."""
        return self.ended is None

    def look(
        self,
        before: Floats | None,
        after: Floats,
        *,
        affordable: int,
    ) -> None:
        """Look at the scores of the first cases, those of the baseline before.

        `affordable` is how many more cases the budget may still pay for.
        """
        values = {
            guess: self._values(before, after, guess)
            for guess in ("left out", "least", "greatest")
        }
        question = self.question
        low, _ = self._sequence(values["least"])
        _, high = self._sequence(values["greatest"])
        known = values["left out"]
        estimate = float(known.mean()) if len(known) else None
        # The evidence that counts is the one that the missing scores speak against.
        is_above = estimate is not None and estimate >= question.null
        judged = values["least" if is_above else "greatest"]
        evidence = self._e_value(judged, question.null)
        look = SequentialLook(
            n=len(after),
            estimate=estimate,
            low=low,
            high=high,
            e_value=min(evidence, _GREATEST_E_VALUE),
        )
        self.looks.append(look)
        self.verdict = verdict_of(question, low, high)
        left = self.cases - len(after)
        if self.verdict != "undecided":
            self.ended = "decided"
        elif not left:
            self.ended = "data"
        elif not self._is_decidable(values["least"], values["greatest"], left):
            self.ended = "futile"
        elif affordable < left and not self._is_decidable(
            values["least"],
            values["greatest"],
            affordable,
        ):
            self.ended = "budget"

    def record(self, baseline: str | None) -> SequentialQuestion:
        """Return the record of how it was decided; `baseline` is the id of a run."""
        question = self.question
        return SequentialQuestion(
            metric_id=question.metric_id,
            dataset_id=question.dataset_id,
            gate=None if question.gate is None else question.gate.text,
            baseline=baseline,
            alpha=question.alpha,
            null=question.null,
            lowest=question.lowest,
            highest=question.highest,
            cases=self.cases,
            verdict=self.verdict,
            ended=self.ended or "data",
            looks=self.looks,
        )

    def _values(
        self,
        before: Floats | None,
        after: Floats,
        guess: Guess,
    ) -> Floats:
        """Return a value for each case: its score, or its difference."""
        least, greatest = self.question.bounds
        if before is None:
            values = self._missing.counted(after, after, guess)[1]
        else:
            counted_before, counted_after = self._missing.counted(before, after, guess)
            values = counted_after - counted_before
        values = values[~np.isnan(values)]
        reach = greatest - least
        # Differences of floats may pass an end by their last bit.
        if len(values) and not (
            values.min() >= least - 1e-9 * reach
            and values.max() <= greatest + 1e-9 * reach
        ):
            question = self.question
            raise FatalError(
                f"metric {question.metric_id!r} declares scores from "
                f"{question.lowest:g} to {question.highest:g} and gave another one; the "
                "test does not hold for it. Correct its score_range, or run without "
                "--until-decided; every finished row is saved"
            )
        return np.clip(values, least, greatest)

    def _sequence(self, values: Floats) -> tuple[float, float]:
        least, greatest = self.question.bounds
        return confidence_sequence(
            values,
            lowest=least,
            highest=greatest,
            alpha=self.question.alpha,
        )

    def _e_value(
        self,
        values: Floats,
        mean: float,
    ) -> float:
        least, greatest = self.question.bounds
        return e_value(values, mean, lowest=least, highest=greatest)

    def _is_decidable(
        self,
        least_values: Floats,
        greatest_values: Floats,
        left: int,
    ) -> bool:
        """Return whether `left` more cases could decide it."""
        question = self.question

        def can_rise_above(mean: float) -> bool:
            return self._could_refute(least_values, mean, left)[0]

        def can_fall_below(mean: float) -> bool:
            return self._could_refute(greatest_values, mean, left)[1]

        if can_rise_above(question.null) or can_fall_below(question.null):
            return True
        delta = question.delta
        # Both are needed for `same`. That one continuation does both is not checked.
        return delta is not None and can_rise_above(-delta) and can_fall_below(delta)

    def _could_refute(
        self,
        values: Floats,
        mean: float,
        left: int,
    ) -> tuple[bool, bool]:
        least, greatest = self.question.bounds
        return could_refute(
            values,
            mean,
            left=left,
            lowest=least,
            highest=greatest,
            alpha=self.question.alpha,
        )


def verdict_of(
    question: Question,
    low: float,
    high: float,
) -> Verdict:
    """Return what a confidence sequence decides about a question."""
    if question.gate is not None:
        outcome = question.gate.outcome(low, high)
        if outcome is GateOutcome.PASS:
            return "pass"
        return "fail" if outcome is GateOutcome.FAIL else "undecided"
    if low > 0 or high < 0:
        return "better" if (low > 0) is question.higher_is_better else "worse"
    delta = question.delta
    if delta is not None and -delta < low and high < delta:
        return "same"
    return "undecided"
