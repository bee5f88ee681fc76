"""The samples of a case become one result for each metric.

A sample without a score is left out and counted in `n_errors`; where none has one, the
result is a null with the first reason. Ties go to the earlier sample, in whatever order
the samples are handed over.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import Field, PositiveInt

from themis_lib.builtins.metrics import same_key
from themis_lib.components.builtin import Builtin
from themis_lib.core.contexts import ReduceContext
from themis_lib.core.models import Candidate, ReducedCandidate
from themis_lib.stats.pass_at_k import all_pass, pass_at_k


class _ScoreReducer(Builtin):
    """A reducer of scores alone; without a metric there is nothing to reduce."""

    reads: ClassVar[tuple[str, ...]] = ("score",)

    def reduce(
        self,
        candidates: Sequence[Candidate],
        ctx: ReduceContext,
    ) -> ReducedCandidate:
        """The chosen sample or the aggregate of those that have a score."""
        scored = [
            candidate
            for candidate in _in_order(candidates)
            if candidate.score is not None
        ]
        return (
            self._reduce_scored(scored) if scored else _without_score(candidates, ctx)
        )

    def _reduce_scored(self, scored: Sequence[Candidate]) -> ReducedCandidate:
        raise NotImplementedError


@dataclass(frozen=True)
class First(Builtin):
    """The first sample of each case, whether it has a score or not."""

    component_id: ClassVar[str] = "builtin/first"
    version: ClassVar[str] = "1"
    reads: ClassVar[tuple[str, ...]] = ("value", "score")

    def reduce(
        self,
        candidates: Sequence[Candidate],
        ctx: ReduceContext,
    ) -> ReducedCandidate:
        """Sample 0, with its value and its score."""
        first = _in_order(candidates)[0]
        if first.score is None:
            return _chosen_candidate(first, error=_without_score([first], ctx).error)
        return _chosen_candidate(first)


@dataclass(frozen=True)
class MajorityVote(Builtin):
    """The parsed value that most samples agree on (self-consistency: Wang et al. 2023),
    and its score.

    Values that exact match holds equal vote together; a tie goes to the value that
    comes first. Samples with an error or without a value do not vote. `details` has the
    `votes` for the value, `of` those cast.
    """

    component_id: ClassVar[str] = "builtin/majority_vote"
    version: ClassVar[str] = "1"
    reads: ClassVar[tuple[str, ...]] = ("value", "score")

    def reduce(
        self,
        candidates: Sequence[Candidate],
        ctx: ReduceContext,
    ) -> ReducedCandidate:
        """The first sample that holds the winning value."""
        voters = [
            item
            for item in _in_order(candidates)
            if item.error is None and item.value is not None
        ]
        if not voters:
            return _without_score(candidates, ctx)
        ballots = [same_key(voter.value) for voter in voters]
        ballot, votes = Counter(ballots).most_common(1)[0]
        winner = voters[ballots.index(ballot)]
        return _chosen_candidate(winner, details={"votes": votes, "of": len(voters)})


@dataclass(frozen=True)
class BestOfN(_ScoreReducer):
    """The sample with the highest score, or the lowest where lower is better."""

    component_id: ClassVar[str] = "builtin/best_of_n"
    version: ClassVar[str] = "1"

    higher_is_better: bool = True

    def _reduce_scored(self, scored: Sequence[Candidate]) -> ReducedCandidate:
        return _chosen_candidate(
            (max if self.higher_is_better else min)(scored, key=_score_value)
        )


@dataclass(frozen=True)
class Mean(_ScoreReducer):
    """The mean score of the samples that have one."""

    component_id: ClassVar[str] = "builtin/mean"
    version: ClassVar[str] = "1"

    def _reduce_scored(self, scored: Sequence[Candidate]) -> ReducedCandidate:
        return ReducedCandidate(
            score=math.fsum(map(_score_value, scored)) / len(scored)
        )


@dataclass(frozen=True)
class Max(_ScoreReducer):
    """The highest score of the samples that have one, and the sample it belongs to."""

    component_id: ClassVar[str] = "builtin/max"
    version: ClassVar[str] = "1"

    def _reduce_scored(self, scored: Sequence[Candidate]) -> ReducedCandidate:
        return _chosen_candidate(max(scored, key=_score_value))


@dataclass(frozen=True)
class PassAtK(_ScoreReducer):
    """The chance that one of k samples passes, estimated without bias from n: 1 -
    C(n-c, k) / C(n, k).

    Chen et al. 2021, equation 1. n counts the samples with a score, c those of at least
    `threshold`; both are in `details`. For n < k there is no estimate.
    """

    component_id: ClassVar[str] = "builtin/pass_at_k"
    version: ClassVar[str] = "1"

    k: PositiveInt
    threshold: Annotated[float, Field(allow_inf_nan=False)] = 1.0

    def _reduce_scored(self, scored: Sequence[Candidate]) -> ReducedCandidate:
        n, c = len(scored), _count_passes(scored, self.threshold)
        return _estimate_result(
            pass_at_k(n, c, self.k),
            n=n,
            c=c,
            name=f"pass@{self.k}",
            k=self.k,
        )


@dataclass(frozen=True)
class AllPass(_ScoreReducer):
    """The chance that all of k samples pass (pass^k), estimated without bias from n:
    C(c, k) / C(n, k).

    Yao et al. 2024 (τ-bench). n counts the samples with a score, c those of at least
    `threshold`; both are in `details`. For n < k there is no estimate; without `k` all
    samples with a score must pass.
    """

    component_id: ClassVar[str] = "builtin/all_pass"
    version: ClassVar[str] = "1"

    k: PositiveInt | None = None
    threshold: Annotated[float, Field(allow_inf_nan=False)] = 1.0

    def _reduce_scored(self, scored: Sequence[Candidate]) -> ReducedCandidate:
        n, c = len(scored), _count_passes(scored, self.threshold)
        k = n if self.k is None else self.k
        return _estimate_result(
            all_pass(n, c, k),
            n=n,
            c=c,
            name=f"pass^{k}",
            k=k,
        )


def _in_order(candidates: Sequence[Candidate]) -> list[Candidate]:
    return sorted(candidates, key=lambda candidate: candidate.sample_index)


def _score_value(candidate: Candidate) -> float:
    return -math.inf if candidate.score is None else candidate.score


def _count_passes(
    scored: Sequence[Candidate],
    threshold: float,
) -> int:
    return sum(_score_value(candidate) >= threshold for candidate in scored)


def _chosen_candidate(
    candidate: Candidate,
    **fields: Any,
) -> ReducedCandidate:
    return ReducedCandidate(
        score=candidate.score,
        sample_index=candidate.sample_index,
        value=candidate.value,
        **fields,
    )


def _estimate_result(
    estimate: float | None,
    *,
    n: int,
    c: int,
    name: str,
    k: int,
) -> ReducedCandidate:
    error = (
        None
        if estimate is not None
        else f"{name} needs {k} samples with a score; there are {n}"
    )
    return ReducedCandidate(
        score=estimate,
        details={"n": n, "c": c},
        error=error,
    )


def _without_score(
    candidates: Sequence[Candidate],
    ctx: ReduceContext,
) -> ReducedCandidate:
    """A null with the first reason; without a metric, where no score is expected, there
    may be none.
    """
    reasons = [
        candidate.error for candidate in _in_order(candidates) if candidate.error
    ]
    unexplained = None if ctx.metric_id is None else "no sample has a score"
    return ReducedCandidate(
        score=None,
        error=reasons[0] if reasons else unexplained,
    )
