"""Reducers: the samples of a case become one result for each metric.

A sample without a score is counted in `n_errors`, and left out; where samples are
averaged, only if it failed: one without an answer did not pass, and counts 0. If no
sample has a score, the result is a null with the first reason. Ties go to the earlier
sample, in whatever order the samples arrive.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import Field, PositiveInt

from themis_lib.builtins.metrics import same_key
from themis_lib.components.builtin import Builtin
from themis_lib.core.contexts import ReduceContext
from themis_lib.core.models import Candidate, ReducedCandidate
from themis_lib.stages.missing import Missing, missing_kind
from themis_lib.stats.pass_at_k import all_pass, pass_at_k

_Candidates: TypeAlias = Sequence[Candidate]
#: What a sample without an answer counts: 0, or it is left out.
NoAnswer: TypeAlias = Literal["zero", "exclude"]
_Threshold: TypeAlias = Annotated[
    float,
    Field(allow_inf_nan=False),
]


class _ScoreReducer(Builtin):
    """A reducer of scores alone. Subclasses implement `_reduce_scored`."""

    reads: ClassVar[tuple[str, ...]] = ("score",)

    def reduce(
        self,
        candidates: _Candidates,
        ctx: ReduceContext,
    ) -> ReducedCandidate:
        """Return the chosen sample, or the aggregate of those that have a score."""
        scored = []
        for candidate in _sort_by_sample(candidates):
            if candidate.score is not None:
                scored.append(candidate)
        if not scored:
            return _without_score(candidates, ctx)
        return self._reduce_scored(scored)

    def _reduce_scored(self, scored: _Candidates) -> ReducedCandidate:
        raise NotImplementedError


class _AverageReducer(_ScoreReducer):
    """A reducer of all samples: leaving some out would raise the result.

    Subclasses are dataclasses with a field `no_answer`.
    """

    no_answer: NoAnswer

    def reduce(
        self,
        candidates: _Candidates,
        ctx: ReduceContext,
    ) -> ReducedCandidate:
        """Return the aggregate of the samples that have a score or no answer."""
        has_score = any(candidate.score is not None for candidate in candidates)
        worst = self._worst_score(candidates, ctx)
        if has_score and self.no_answer == "zero" and worst is not None:
            candidates = [_answered(item, worst) for item in candidates]
        return super().reduce(candidates, ctx)

    def _worst_score(
        self,
        candidates: _Candidates,
        ctx: ReduceContext,
    ) -> float | None:
        """Return what a sample without an answer counts, or `None` if that is unknown."""
        # It never passes, whatever the threshold.
        return -math.inf


@dataclass(frozen=True)
class First(Builtin):
    """The first sample of each case, whether it has a score or not."""

    component_id: ClassVar[str] = "builtin/first"
    version: ClassVar[str] = "1"
    reads: ClassVar[tuple[str, ...]] = (
        "value",
        "score",
    )

    def reduce(
        self,
        candidates: _Candidates,
        ctx: ReduceContext,
    ) -> ReducedCandidate:
        """Return sample 0, with its value and its score."""
        # Skipping a sample that failed would choose by outcome.
        first = _sort_by_sample(candidates)[0]
        if first.score is not None:
            return _choose_candidate(first)
        failed = _without_score([first], ctx)
        return _choose_candidate(first, error=failed.error)


@dataclass(frozen=True)
class MajorityVote(Builtin):
    """The parsed value that most samples agree on, and its score.

    This is self-consistency (Wang et al. 2023). Values that exact match holds equal
    vote together; a tie goes to the value that comes first. Samples with an error or
    without a value do not vote. `details` has the `votes` for the value, `of` those
    cast.
    """

    component_id: ClassVar[str] = "builtin/majority_vote"
    version: ClassVar[str] = "1"
    reads: ClassVar[tuple[str, ...]] = (
        "value",
        "score",
    )

    def reduce(
        self,
        candidates: _Candidates,
        ctx: ReduceContext,
    ) -> ReducedCandidate:
        """Return the first sample that holds the winning value."""
        voters = []
        ballots = []
        for candidate in _sort_by_sample(candidates):
            if candidate.error is None and candidate.value is not None:
                voters.append(candidate)
                # Python's equality would count true and 1 together.
                ballots.append(same_key(candidate.value))
        if not voters:
            return _without_score(candidates, ctx)
        # `most_common` keeps the order of first occurrence among equals.
        counts = Counter(ballots).most_common(1)
        ballot, votes = counts[0]
        position = ballots.index(ballot)
        details = {
            "votes": votes,
            "of": len(voters),
        }
        return _choose_candidate(voters[position], details=details)


@dataclass(frozen=True)
class BestOfN(_ScoreReducer):
    """The sample with the highest score, or the lowest where lower is better."""

    component_id: ClassVar[str] = "builtin/best_of_n"
    version: ClassVar[str] = "1"

    higher_is_better: bool = True

    def _reduce_scored(self, scored: _Candidates) -> ReducedCandidate:
        # `max` and `min` keep the first of equals, which is the earlier sample.
        if self.higher_is_better:
            best = max(scored, key=_score_of)
        else:
            best = min(scored, key=_score_of)
        return _choose_candidate(best)


@dataclass(frozen=True)
class Mean(_AverageReducer):
    """The mean score of the samples.

    A sample without an answer counts 0 (1 where lower is better) if all scores of the
    case lie in 0 to 1. It is left out otherwise, or with `no_answer="exclude"`. One
    that failed is left out.
    """

    component_id: ClassVar[str] = "builtin/mean"
    version: ClassVar[str] = "2"

    no_answer: NoAnswer = "zero"

    def _worst_score(
        self,
        candidates: _Candidates,
        ctx: ReduceContext,
    ) -> float | None:
        if not all(0 <= (candidate.score or 0) <= 1 for candidate in candidates):
            return None
        return 0.0 if ctx.higher_is_better else 1.0

    def _reduce_scored(self, scored: _Candidates) -> ReducedCandidate:
        # An exact sum: the order of the samples cannot show in the last digit.
        total = math.fsum(map(_score_of, scored))
        return ReducedCandidate(score=total / len(scored))


@dataclass(frozen=True)
class Max(_ScoreReducer):
    """The highest score of the samples that have one, and the sample it belongs to."""

    component_id: ClassVar[str] = "builtin/max"
    version: ClassVar[str] = "1"

    def _reduce_scored(self, scored: _Candidates) -> ReducedCandidate:
        best = max(scored, key=_score_of)
        return _choose_candidate(best)


@dataclass(frozen=True)
class PassAtK(_AverageReducer):
    """The chance that one of k samples passes, an unbiased estimate from n samples.

    It is 1 - C(n-c, k) / C(n, k) (Chen et al. 2021, equation 1). n counts the samples
    with a score and, unless `no_answer="exclude"`, those without an answer; c those of
    at least `threshold`; both are in `details`. For n < k there is no estimate.
    """

    component_id: ClassVar[str] = "builtin/pass_at_k"
    version: ClassVar[str] = "2"

    k: PositiveInt
    threshold: _Threshold = 1.0
    no_answer: NoAnswer = "zero"

    def _reduce_scored(self, scored: _Candidates) -> ReducedCandidate:
        n = len(scored)
        c = _count_passes(scored, self.threshold)
        return _report_estimate(
            pass_at_k(n, c, self.k),
            n=n,
            c=c,
            name=f"pass@{self.k}",
            k=self.k,
        )


@dataclass(frozen=True)
class AllPass(_AverageReducer):
    """The chance that all of k samples pass (pass^k), an unbiased estimate from n.

    It is C(c, k) / C(n, k) (Yao et al. 2024, τ-bench). n counts the samples with a
    score and, unless `no_answer="exclude"`, those without an answer; c those of at
    least `threshold`; both are in `details`. For n < k there is no estimate. Without
    `k` all n must pass.
    """

    component_id: ClassVar[str] = "builtin/all_pass"
    version: ClassVar[str] = "2"

    k: PositiveInt | None = None
    threshold: _Threshold = 1.0
    no_answer: NoAnswer = "zero"

    def _reduce_scored(self, scored: _Candidates) -> ReducedCandidate:
        n = len(scored)
        c = _count_passes(scored, self.threshold)
        k = n if self.k is None else self.k
        return _report_estimate(
            all_pass(n, c, k),
            n=n,
            c=c,
            name=f"pass^{k}",
            k=k,
        )


def _answered(
    candidate: Candidate,
    worst: float,
) -> Candidate:
    """Return a sample without an answer as one with the worst score; others as they are."""
    if candidate.score is not None:
        return candidate
    if missing_kind(candidate.error) is not Missing.NO_ANSWER:
        return candidate
    return candidate.model_copy(update={"score": worst})


def _sort_by_sample(candidates: _Candidates) -> list[Candidate]:
    return sorted(
        candidates,
        key=lambda candidate: candidate.sample_index,
    )


def _score_of(candidate: Candidate) -> float:
    # Callers leave out samples without a score; the infinity is for the type alone.
    if candidate.score is None:
        return -math.inf
    return candidate.score


def _count_passes(
    scored: _Candidates,
    threshold: float,
) -> int:
    passes = 0
    for candidate in scored:
        if _score_of(candidate) >= threshold:
            passes += 1
    return passes


def _choose_candidate(
    candidate: Candidate,
    **fields: Any,
) -> ReducedCandidate:
    return ReducedCandidate(
        score=candidate.score,
        sample_index=candidate.sample_index,
        value=candidate.value,
        **fields,
    )


def _report_estimate(
    estimate: float | None,
    *,
    n: int,
    c: int,
    name: str,
    k: int,
) -> ReducedCandidate:
    error = None
    if estimate is None:
        error = f"{name} needs {k} samples with a score; there are {n}"
    return ReducedCandidate(
        score=estimate,
        details={"n": n, "c": c},
        error=error,
    )


def _without_score(
    candidates: _Candidates,
    ctx: ReduceContext,
) -> ReducedCandidate:
    """Return a null with the first reason."""
    for candidate in _sort_by_sample(candidates):
        if candidate.error:
            return ReducedCandidate(
                score=None,
                error=candidate.error,
            )
    # Without a metric no score is expected, so a missing one needs no reason.
    error = None
    if ctx.metric_id is not None:
        error = "no sample has a score"
    return ReducedCandidate(
        score=None,
        error=error,
    )
