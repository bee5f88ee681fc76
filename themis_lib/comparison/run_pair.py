"""A candidate run beside the baseline: matched cases, differences, power and flips."""

from __future__ import annotations

import math
from collections.abc import (
    Iterator,
    Sequence,
)
from dataclasses import asdict
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from themis_lib.comparison.corpus_pair import CorpusPair, CorpusSide
from themis_lib.comparison.missing_scores import Guess, MissingScores
from themis_lib.comparison.models import (
    Difference,
    Flip,
)
from themis_lib.comparison.pair_power import (
    SamplingVariance,
    cases_needed,
    noise_parts,
    samples_of_each_needed,
    smallest_detectable,
)
from themis_lib.comparison.sample_noise import sample_noise
from themis_lib.comparison.scored_cases import (
    Floats,
    Matched,
    ScoredCases,
    cluster_numbers,
    matched,
    scored_cases,
    slice_names,
)
from themis_lib.core.config import NoAnswerPolicy
from themis_lib.errors import (
    ConfigError,
    nearest,
)
from themis_lib.runs.corpus_summary import CORPUS, MEAN
from themis_lib.runs.results import RunResult, corpus_metric_ids
from themis_lib.runs.score_groups import UNANSWERED
from themis_lib.runs.summary import ALL_CASES
from themis_lib.stats.paired import (
    NO_PAIRS,
    PairedDifference,
    paired_difference,
)


class CaseGroup(NamedTuple):
    """The matched cases of one dataset and slice, by position, under one metric."""

    dataset_id: str
    slice: str
    metric_id: str
    members: npt.NDArray[np.int64]


class RunPair:
    """A candidate beside the baseline.

    Columns of metadata (`cluster_by`, `slices`) and the policies for cases without a
    score are the candidate's.
    """

    def __init__(
        self,
        baseline: RunResult,
        candidate: RunResult,
        *,
        cluster_by: str | None,
        slices: Sequence[str],
    ) -> None:
        self.baseline = baseline
        self.candidate = candidate
        self.before = scored_cases(baseline)
        self.after = scored_cases(candidate)
        # Positions in the matched cases, not rows of a run, index everything below.
        self.cases: Matched = matched(self.before, self.after)
        self.metric_ids = shared_metrics(self.before, self.after)
        self._noise = (
            sample_noise(baseline, self.before),
            sample_noise(candidate, self.after),
        )
        self._lower_is_better = set(candidate.manifest.lower_is_better)
        # The candidate is what is judged, so its metadata and settings count.
        rows = self.cases.candidate
        self._paired_scores: dict[str, tuple[Floats, Floats]] = {}
        self._missing: dict[str, MissingScores] = {}
        for metric_id in self.metric_ids:
            before, after = self.before.scores[metric_id], self.after.scores[metric_id]
            self._paired_scores[metric_id] = before[self.cases.baseline], after[rows]
            self._missing[metric_id] = MissingScores.of(
                baseline,
                candidate,
                metric_id,
                np.concatenate([before, after]),
            )
        #: Why metrics have no difference.
        self.notes: list[str] = []
        self._corpus = self._corpus_pairs()
        self._clusters: npt.NDArray[np.int64] | None = None
        if cluster_by:
            self._clusters = cluster_numbers(self.after.column(cluster_by, rows))
        self._slices: list[npt.NDArray[np.str_]] = []
        # A column that is named twice makes its slices once.
        for name in dict.fromkeys(slices):
            names = slice_names(name, self.after.column(name, rows))
            self._slices.append(np.array(names))

    def _corpus_pairs(self) -> dict[str, CorpusPair | None]:
        """Return the cases under each metric of a data set; `None` without the metric."""
        ids = corpus_metric_ids(self.baseline) & corpus_metric_ids(self.candidate)
        pairs: dict[str, CorpusPair | None] = {}
        for metric_id in self.metric_ids:
            if metric_id not in ids:
                continue
            pairs[metric_id] = None
            try:
                pairs[metric_id] = CorpusPair(
                    CorpusSide.of(self.baseline, metric_id, self.candidate),
                    CorpusSide.of(self.candidate, metric_id, self.baseline),
                    self.cases,
                    self.candidate.manifest.statistics,
                )
            except ConfigError as error:
                self.notes.append(f"no difference of {metric_id!r}: {error}")
        return pairs

    def scores(
        self,
        metric_id: str,
        guess: Guess = "left out",
    ) -> tuple[Floats, Floats]:
        """Return what the matched cases count as in the baseline and the candidate.

        NaN where a case is left out.
        """
        paired = self._paired_scores[metric_id]
        return self._missing[metric_id].counted(*paired, guess)

    @property
    def is_undecided(self) -> bool:
        """Whether a case is left out that could have any score."""
        members = np.arange(len(self.cases.baseline))
        return any(
            self._are_undecided(metric_id, members) for metric_id in self.metric_ids
        )

    def groups(self) -> Iterator[CaseGroup]:
        """Yield every dataset and metric, as a whole and then slice by slice."""
        datasets = np.array(
            [self.before.dataset_ids[row] for row in self.cases.baseline]
        )
        # The datasets keep their order in the run; slices are sorted.
        for dataset_id in dict.fromkeys(datasets.tolist()):
            members = np.flatnonzero(datasets == dataset_id)
            for metric_id in self.metric_ids:
                yield CaseGroup(
                    dataset_id,
                    ALL_CASES,
                    metric_id,
                    members,
                )
                for names in self._slices:
                    names_here = names[members]
                    for name in np.unique(names_here).tolist():
                        in_slice = members[names_here == name]
                        yield CaseGroup(
                            dataset_id,
                            name,
                            metric_id,
                            in_slice,
                        )

    def differences(
        self,
        *,
        delta: float | None,
        seed: int,
        guess: Guess = "left out",
    ) -> Iterator[Difference]:
        """Yield the difference of each group, undecided cases scored by a guess.

        `p_adjusted` and `conclusion` are for the caller to fill in: they depend on the
        differences of the whole comparison. `delta` is the difference to state the
        power for, by default the observed one.
        """
        for group in self.groups():
            before, after = self._paired_scores[group.metric_id]
            before, after = before[group.members], after[group.members]
            missing = self._missing[group.metric_id]
            is_corpus = group.metric_id in self._corpus
            measure = self._corpus_difference if is_corpus else self._mean_difference
            paired, sampling = measure(group, guess, seed)
            asked = delta
            if asked is None and paired.difference:
                asked = abs(paired.difference)
            # Units are cases unless clusters are given, where they are clusters.
            numbers = asdict(paired)
            units = numbers.pop("units")
            yield Difference(
                **numbers,
                run_id=self.after.run_id,
                dataset_id=group.dataset_id,
                slice=group.slice,
                metric_id=group.metric_id,
                clusters=None if self._clusters is None else units,
                baseline_errors=_count_failed(before),
                candidate_errors=_count_failed(after),
                error_policy=missing.errors,
                baseline_no_answer=_count_unanswered(before),
                candidate_no_answer=_count_unanswered(after),
                no_answer_policy=self._no_answer_policy(group.metric_id),
                is_undecided=self._are_undecided(group.metric_id, group.members),
                p_adjusted=None,
                conclusion="cannot tell",
                detectable=smallest_detectable(paired),
                delta=asked,
                higher_is_better=group.metric_id not in self._lower_is_better,
                cases_needed=cases_needed(paired, asked),
                samples_needed=samples_of_each_needed(paired, asked, sampling),
                noise=noise_parts(paired, sampling),
                aggregate=CORPUS if is_corpus else MEAN,
            )

    def paired(
        self,
        metric_id: str,
        rows: npt.NDArray[np.int64],
        scores: tuple[Floats, Floats],
        *,
        clusters: npt.NDArray[np.int64] | None,
        seed: int,
    ) -> PairedDifference:
        """Return the difference of some matched cases, by position, from their scores."""
        return paired_difference(*scores, clusters=clusters, seed=seed)

    def _mean_difference(
        self,
        group: CaseGroup,
        guess: Guess,
        seed: int,
    ) -> tuple[PairedDifference, SamplingVariance | None]:
        """Return the difference of the means of a group, and what samples add to it."""
        before, after = self.scores(group.metric_id, guess)
        rows = group.members
        rows = rows[~np.isnan(before[rows] + after[rows])]
        # The remaining cases do not speak for all, so there is no number at all.
        if self._forbids(group):
            rows = rows[:0]
        paired = self.paired(
            group.metric_id,
            rows,
            (before[rows], after[rows]),
            clusters=None if self._clusters is None else self._clusters[rows],
            seed=seed,
        )
        return paired, self._sampling_variance(group.metric_id, rows)

    def _corpus_difference(
        self,
        group: CaseGroup,
        guess: Guess,
        seed: int,
    ) -> tuple[PairedDifference, SamplingVariance | None]:
        """Return the difference of the scores of a group under a metric of a data set."""
        corpus = self._corpus[group.metric_id]
        if corpus is None or self._forbids(group):
            return NO_PAIRS, None
        # What a case could do to a score of all cases, no number stands for.
        if guess != "left out" and corpus.are_undecided(group.members):
            return NO_PAIRS, None
        before, after = self._paired_scores[group.metric_id]
        paired = corpus.difference(
            group.members,
            (before[group.members], after[group.members]),
            None if self._clusters is None else self._clusters[group.members],
            seed,
        )
        return paired, None

    def _forbids(self, group: CaseGroup) -> bool:
        """Return whether a policy of `fail` forbids numbers for a group."""
        after = self._paired_scores[group.metric_id][1]
        return self._missing[group.metric_id].forbids(after[group.members])

    def _no_answer_policy(self, metric_id: str) -> NoAnswerPolicy:
        corpus = self._corpus.get(metric_id)
        if corpus is not None:
            return corpus.no_answer_policy
        return self._missing[metric_id].no_answer

    def _are_undecided(
        self,
        metric_id: str,
        members: npt.NDArray[np.int64],
    ) -> bool:
        """Return whether a case is left out that could have any score."""
        corpus = self._corpus.get(metric_id)
        if corpus is not None:
            return corpus.are_undecided(members)
        missing = self._missing[metric_id]
        return any(
            missing.are_undecided(scores[members])
            for scores in self._paired_scores[metric_id]
        )

    def _sampling_variance(
        self,
        metric_id: str,
        rows: npt.NDArray[np.int64],
    ) -> SamplingVariance | None:
        """Return what the luck of the samples adds to a mean difference.

        It is known where both runs drew several samples and score a case by their mean.
        """
        before, after = self.scores(metric_id)
        sides = (
            (self._noise[0], self.cases.baseline, before),
            (self._noise[1], self.cases.candidate, after),
        )
        one_sample = []
        drawn = []
        for noise, cases, scores in sides:
            # One run with a single sample a case leaves its part unknown.
            if metric_id not in noise or not len(rows):
                return None
            variances = noise[metric_id].of(cases[rows], scores[rows])
            if variances is None:
                return None
            one_sample.append(variances[0])
            drawn.append(variances[1])
        # Both runs add their variance to the difference; its mean has n times less.
        return SamplingVariance(
            drawn=math.fsum(drawn) / len(rows),
            one_sample=math.fsum(one_sample) / len(rows),
        )

    def flips(self) -> Iterator[Flip]:
        """Yield the cases whose scores differ, by metric in the baseline's order."""
        for metric_id in self.metric_ids:
            before, after = self.scores(metric_id)
            # NaN is above nothing, so a case without a score is no flip.
            changed = np.flatnonzero(np.abs(after - before) > 0)
            for row in changed.tolist():
                baseline_row = self.cases.baseline[row]
                candidate_row = self.cases.candidate[row]
                yield Flip(
                    run_id=self.after.run_id,
                    dataset_id=self.before.dataset_ids[baseline_row],
                    metric_id=metric_id,
                    case_id=self.before.case_ids[baseline_row],
                    candidate_case_id=self.after.case_ids[candidate_row],
                    baseline_score=before[row],
                    candidate_score=after[row],
                )


def _count_failed(scores: Floats) -> int:
    return int(np.count_nonzero(np.isnan(scores)))


def _count_unanswered(scores: Floats) -> int:
    return int(np.count_nonzero(scores == UNANSWERED))


def shared_metrics(
    before: ScoredCases,
    after: ScoredCases,
) -> list[str]:
    """Return the metrics that both runs have, in the baseline's order.

    Raises `ConfigError` where they share none.
    """
    metric_ids = [metric_id for metric_id in before.scores if metric_id in after.scores]
    # A metric of only one run is left out without a word; none at all is an error.
    if not metric_ids:
        name = next(iter(after.scores))
        raise ConfigError(
            f"runs {before.run_id!r} and {after.run_id!r} have no metric in common: "
            f"the first has no {name!r}; {nearest(name, before.scores)}"
        )
    return metric_ids
