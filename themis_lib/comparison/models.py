"""The data of a comparison, for tables, pages and programs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from themis_lib.core.config import MissingPolicy, NoAnswerPolicy
from themis_lib.core.models import FrozenModel
from themis_lib.runs.corpus_summary import CORPUS, MEAN
from themis_lib.runs.results import corpus_title
from themis_lib.stages.endings import Ending

#: A higher score is better, unless the metric says that a lower one is. `same`: no pair
#: differs, or the interval lies within the difference that was asked about.
Conclusion = Literal["better", "worse", "cannot tell", "same"]


class RunSide(FrozenModel):
    """One of the compared runs: its size, cost, tokens and latency.

    `cost` is in US dollars for all rows, reused ones included; `cost_paid` is what this
    run itself paid. Both are `None` without prices, and both leave out the stages in
    `unpriced`, whose price is not known. Tokens count all rows, `None` where no call
    counted them. Latency is that of the calls to the generator when they were made,
    `None` where none was measured.
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
    # Outputs that were cut, filtered or refused.
    endings: dict[Ending, int] = Field(default_factory=dict)


class NoiseParts(FrozenModel):
    """Where the width of a difference's interval comes from, and what would narrow it.

    `half_width` is half of the 95 % interval. `sampling_share` is the part of its
    variance, 0 to 1, that comes from the luck of the samples; the rest is between the
    cases. Twice the samples, or twice the cases, cost the same, and would leave about
    the half widths `with_twice_the_samples` and `with_twice_the_cases`. `None` is what
    one sample a case cannot tell.
    """

    half_width: float
    sampling_share: float | None
    with_twice_the_samples: float | None
    with_twice_the_cases: float


class Difference(FrozenModel):
    """One candidate against the baseline on one dataset, slice and metric.

    Means, difference (candidate − baseline) and interval are over `n` matched cases.
    `baseline_no_answer` and `candidate_no_answer` count the cases without an answer,
    `baseline_errors` and `candidate_errors` those that failed. Depending on the
    candidate's `no_answer_policy` and `error_policy` such cases are left out of `n`
    (`exclude`; `unknown` where nobody says which score is the worst), count 0 in both
    runs (`zero`), or leave no numbers where the candidate has any (`fail`). Where it
    `is_undecided`, cases are left out that could have any score: `least` and `greatest`
    are the differences, `possible_low` and `possible_high` the ends of their intervals,
    with the scores that make it so; a conclusion holds for all of them. `p_adjusted` is
    Holm's over the whole data sets of the comparison, or over its slices; the
    conclusion uses it.
    `detectable` is the smallest difference that data like these show in 80 of 100
    repetitions. `cases_needed`, or `samples_needed` of each case in both runs, would
    show a difference of `delta` as often. `None` is what the data cannot tell.
    Where `aggregate` is `corpus`, the means are the scores of all cases together, and
    what `improved` and the like count are the cases' own.
    """

    run_id: str
    dataset_id: str
    slice: str
    metric_id: str
    n: int
    # Of the cases that make up `n`; without clusters each case is independent.
    clusters: int | None = None
    baseline_errors: int
    candidate_errors: int
    error_policy: MissingPolicy = "exclude"
    baseline_no_answer: int = 0
    candidate_no_answer: int = 0
    no_answer_policy: NoAnswerPolicy = "zero"
    is_undecided: bool = False
    baseline_mean: float | None
    candidate_mean: float | None
    difference: float | None
    standard_error: float | None
    # The 95 % interval of the difference.
    low: float | None
    high: float | None
    least: float | None = None
    greatest: float | None = None
    possible_low: float | None = None
    possible_high: float | None = None
    interval_method: str | None
    test: str | None
    p_value: float | None
    p_adjusted: float | None
    # Cases whose score rose, fell or stayed; together they are `n`.
    improved: int
    worsened: int
    tied: int
    conclusion: Conclusion
    detectable: float | None
    # The difference that was asked about, or else the size of the observed one.
    delta: float | None
    # As the candidate's metric declares it.
    higher_is_better: bool = True
    cases_needed: int | None
    samples_needed: int | None = None
    # `None` where there is no interval, or one of no width.
    noise: NoiseParts | None = None
    # Of corrected means: the labels that correct each; else `None`.
    baseline_labels: int | None = None
    candidate_labels: int | None = None
    aggregate: Literal["mean", "corpus"] = MEAN

    @property
    def labels(self) -> int | None:
        """The labels of the run that has fewer; `None` for a difference of raw means."""
        if self.baseline_labels is None or self.candidate_labels is None:
            return None
        return min(self.baseline_labels, self.candidate_labels)

    @property
    def metric_title(self) -> str:
        """The metric, marked where its numbers are scores of the whole data set."""
        is_corpus = self.aggregate == CORPUS
        return corpus_title(self.metric_id) if is_corpus else self.metric_id


class Flip(FrozenModel):
    """A case whose score differs between the two runs."""

    run_id: str
    dataset_id: str
    metric_id: str
    case_id: str
    # Cases match by content, so the same case may have another id in the candidate.
    candidate_case_id: str
    baseline_score: float
    candidate_score: float


class Unmatched(FrozenModel):
    """The ids of a dataset's cases that only one of the two runs has."""

    run_id: str
    dataset_id: str
    only_in_baseline: list[str]
    only_in_candidate: list[str]


class ChangedCase(FrozenModel):
    """A case that is not the same in the two runs, although its id or its content is.

    `changes` has a line for each value of its input, expected output and metadata that
    differs.
    """

    run_id: str
    dataset_id: str
    case_id: str
    candidate_case_id: str
    changes: list[str]


class Comparison(FrozenModel):
    """Candidate runs compared with a baseline, the first of `runs`.

    `run_id` in its parts is always the candidate's. `identity` holds, for each
    candidate, a line for each setting that differs from the baseline's. A case in
    `changed` whose input or expected output differs is in `unmatched`, too.
    `matched_by_id` counts the cases that only their ids match, where a run is imported.
    `notes` name the runs that stopped early, whose intervals do not keep their level.
    """

    runs: list[RunSide]
    differences: list[Difference]
    flips: list[Flip]
    unmatched: list[Unmatched]
    identity: dict[str, list[str]]
    changed: list[ChangedCase] = Field(default_factory=list)
    cluster_by: str | None = None
    slices: list[str] = Field(default_factory=list)
    matched_by_id: int = 0
    notes: list[str] = Field(default_factory=list)

    @property
    def baseline(self) -> RunSide:
        """The run that the others are compared with."""
        return self.runs[0]
