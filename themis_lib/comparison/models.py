"""What a comparison of runs holds: plain data, for tables, pages and programs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from themis_lib.core.models import FrozenModel

#: Higher scores are better. `same`: no pair differs, or the interval lies within the
#: difference that was asked about.
Verdict = Literal["better", "worse", "cannot tell", "same"]


class RunSide(FrozenModel):
    """One of the runs compared. Cost is in US dollars, whoever paid, `cost_paid` what
    the run itself paid; both null without prices, and both without the stages in
    `unpriced`, whose price is not known. Tokens are those of all rows, null where none
    were counted; latency is that of the calls to the generator when they were made,
    null where none was measured.
    """

    run_id: str
    name: str
    status: str
    location: str
    started_at: str
    cases: int
    cost: float | None
    cost_paid: float | None
    input_tokens: int | None
    output_tokens: int | None
    latency_mean_s: float | None
    latency_p50_s: float | None
    latency_p95_s: float | None
    unpriced: list[str] = Field(default_factory=list)


class Difference(FrozenModel):
    """One candidate against the baseline on a dataset, slice and metric.

    Means, difference (candidate − baseline) and interval are over `n` matched cases.
    `baseline_errors` and `candidate_errors` count those without a score: left out of
    `n` (`error_policy` `exclude`), 0 in both runs (`zero`), or leaving no numbers where
    the candidate has any (`fail`); the policy is the candidate's. `p_adjusted` is
    Holm's over all differences of the comparison, and the verdict goes by it.
    `detectable` is the smallest difference that data like these show in 80 of 100
    times; `cases_needed`, or `samples_needed` in each case of both runs, would show a
    difference of `delta` as often. Null is what the data cannot tell.
    """

    run_id: str
    dataset_id: str
    slice: str
    metric_id: str
    n: int
    clusters: int | None = None
    baseline_errors: int
    candidate_errors: int
    error_policy: Literal["exclude", "zero", "fail"] = "exclude"
    baseline_mean: float | None
    candidate_mean: float | None
    difference: float | None
    standard_error: float | None
    low: float | None
    high: float | None
    interval_method: str | None
    test: str | None
    p_value: float | None
    p_adjusted: float | None
    improved: int
    worsened: int
    tied: int
    verdict: Verdict
    detectable: float | None
    delta: float | None
    cases_needed: int | None
    samples_needed: int | None = None


class Flip(FrozenModel):
    """A case whose score is not the same in both runs."""

    run_id: str
    dataset_id: str
    metric_id: str
    case_id: str
    candidate_case_id: str
    baseline_score: float
    candidate_score: float


class Unmatched(FrozenModel):
    """The ids of the cases of a dataset that only one of the two runs has."""

    run_id: str
    dataset_id: str
    only_in_baseline: list[str]
    only_in_candidate: list[str]


class Comparison(FrozenModel):
    """Runs compared with the first of them, the baseline. `run_id` in its parts is
    always the candidate's.

    `identity` holds for each candidate the settings that differ from the baseline's, a
    line each.
    """

    runs: list[RunSide]
    differences: list[Difference]
    flips: list[Flip]
    unmatched: list[Unmatched]
    identity: dict[str, list[str]]
    cluster_by: str | None = None
    slices: list[str] = Field(default_factory=list)

    @property
    def baseline(self) -> RunSide:
        """The run that the others are compared with."""
        return self.runs[0]
