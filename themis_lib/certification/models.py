"""The data of a certification: how a model was asked, and what came out differently."""

from __future__ import annotations

import math
from typing import Any

from pydantic import Field

from themis_lib.core.models import FrozenModel

#: The variance of a score of 0 or 1 whose mean is one half: no such score has more.
_MOST_VARIANCE = 0.25
#: Standard errors that an interval with 95 % reaches.
_QUANTILE = 1.959964


class TextDifference(FrozenModel):
    """A prompt whose text is another in an arrangement, and where it begins to be.

    `token` counts from 0. `before` is the end of what both texts begin with, `expected`
    and `got` how they go on. `gap` is how much likelier the expected token was than the
    other one (difference of log-probabilities), `None` where that is not known.
    """

    arrangement: str
    dataset_id: str
    case_id: str
    token: int
    before: str
    expected: str
    got: str
    gap: float | None = None


class ArrangementCheck(FrozenModel):
    """One way of asking, and how its answers differ from those it is compared with.

    Of `rows` prompts, `failed` had no answer now, with the reasons in `errors`, and
    `compared` have one on both sides. `texts_differ` counts the rows of another text.
    `tokens_differ` of `tokens` are others at their place. `first_token` is the median
    place of the first that differs, and `gap` the median of how much likelier the
    expected token was there. Of `rated` rows both sides have log-probabilities;
    `logprobs_differ` counts those in which some bit of one differs, up to where the
    texts part, and `largest_shift` is the largest such difference.
    """

    arrangement: str
    compared_with: str | None
    at_once: int
    sampled_at: str
    rows: int
    failed: int = 0
    errors: dict[str, int] = Field(default_factory=dict)
    compared: int = 0
    texts_differ: int = 0
    tokens: int = 0
    tokens_differ: int = 0
    first_token: float | None = None
    gap: float | None = None
    rated: int = 0
    logprobs_differ: int = 0
    largest_shift: float | None = None

    @property
    def differs(self) -> bool:
        """Whether a text or a log-probability differs."""
        return bool(self.texts_differ or self.logprobs_differ)


class ScoreNoise(FrozenModel):
    """What answers that differ by themselves can do to a score of 0 or 1.

    `variance` is the mean variance within a prompt of the score that they move most:
    of all scores that depend on the text alone, the one that splits the texts of each
    prompt the most evenly.
    """

    variance: float

    def half_width(self, cases: int) -> float:
        """Return how far an interval with 95 % reaches for this reason alone."""
        return _QUANTILE * math.sqrt(self.variance / cases)

    @property
    def share(self) -> float:
        """The part of the variance of a score of one half that this is, at most 1."""
        return min(self.variance / _MOST_VARIANCE, 1.0)


class ScoreEffect(FrozenModel):
    """A metric's scores of the answers, and what the ways of asking do to them.

    `mean`, `low` and `high` are of the answers that were asked alone. `moved` of
    `cases` have more than one score. `within` is the variance of a case's scores
    between the ways of asking, `between` that of the cases; `None` if nothing tells.
    """

    metric_id: str
    cases: int
    moved: int
    mean: float | None
    low: float | None = None
    high: float | None = None
    within: float | None = None
    between: float | None = None

    @property
    def half_width(self) -> float | None:
        """How far an interval with 95 % reaches for the ways of asking alone."""
        if self.within is None or not self.cases:
            return None
        return _QUANTILE * math.sqrt(self.within / self.cases)

    @property
    def share(self) -> float | None:
        """The part of the variance of one answer's score that the ways of asking are."""
        if self.within is None or self.between is None:
            return None
        whole = self.within + self.between
        return self.within / whole if whole else 0.0


def score_half_width(cases: int) -> float:
    """Return how far the interval with 95 % of a score of one half reaches."""
    return _QUANTILE * math.sqrt(_MOST_VARIANCE / cases)


class Certification(FrozenModel):
    """What was found about a model that was asked the same prompts in several ways.

    `generator` is its identity, `target` what it was called. `prompts_differ` of
    `prompts_compared` have another text in some arrangement; with 95 %, `differ_low` to
    `differ_high` is the share of such prompts that do. `certified_at` is when the last
    row was sampled. `rounds` is how often the model was asked again, later. `unit` is
    what is counted as tokens: words where the model tells no tokens, as one that
    `refuses_logprobs`.
    """

    target: str
    model: str | None
    generator: dict[str, Any]
    certified_at: str
    prompts: int
    prompts_digest: str
    rounds: int
    seed: int
    unit: str
    checks: list[ArrangementCheck]
    prompts_compared: int = 0
    prompts_differ: int = 0
    differ_low: float | None = None
    differ_high: float | None = None
    noise: ScoreNoise | None = None
    refuses_logprobs: bool = False
    scores: list[ScoreEffect] = Field(default_factory=list)
    differences: list[TextDifference] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)

    @property
    def compared(self) -> list[ArrangementCheck]:
        """The arrangements that are compared with another."""
        return [check for check in self.checks if check.compared_with is not None]

    @property
    def rows(self) -> int:
        """How many rows were compared with another."""
        return sum(check.compared for check in self.compared)

    @property
    def texts_differ(self) -> int:
        """How many of the rows have another text."""
        return sum(check.texts_differ for check in self.compared)

    @property
    def rated(self) -> int:
        """How many of the rows have log-probabilities to compare."""
        return sum(check.rated for check in self.compared)

    @property
    def logprobs_differ(self) -> int:
        """How many of the rows have another log-probability."""
        return sum(check.logprobs_differ for check in self.compared)

    @property
    def failed(self) -> int:
        """How many rows had no answer."""
        return sum(check.failed for check in self.checks)

    @property
    def holds(self) -> bool:
        """Whether nothing was found that differs."""
        return not any(check.differs for check in self.compared)

    @property
    def cannot_tell(self) -> bool:
        """Whether nothing differs, but an arrangement had nothing to compare."""
        return self.holds and any(not check.compared for check in self.compared)

    @property
    def counts(self) -> str:
        """How many rows differ, for a line of a run's report."""
        said = f"{self.texts_differ:,} of {self.rows:,} texts differ"
        if self.rated:
            said += (
                f", and the log-probabilities of {self.logprobs_differ:,} of "
                f"{self.rated:,}"
            )
        return said

    @property
    def verdict(self) -> str:
        """What was found, in one sentence."""
        if self.cannot_tell:
            empty = [item.arrangement for item in self.compared if not item.compared]
            return (
                f"nothing differs, but there was nothing to compare: {', '.join(empty)}"
            )
        if self.holds:
            kept = "the same texts"
            if self.rated:
                kept += ", and the same log-probabilities to the last bit"
            return f"{kept}, however it was asked: 0 of {self.rows:,} rows differ"
        if not self.texts_differ:
            return (
                f"the same texts ({self.rows:,} rows), but the log-probabilities of "
                f"{self.logprobs_differ:,} of {self.rated:,} differ: scores by text "
                "hold, scores by likelihood may not"
            )
        return (
            f"the answers depend on how it is asked: {self.texts_differ:,} of "
            f"{self.rows:,} texts differ ({self.texts_differ / self.rows:.1%})"
        )
