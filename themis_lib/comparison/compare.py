"""Compares runs with a baseline: matched cases, paired differences, exact tests, and
what data like these can show.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from themis_lib.comparison.models import Comparison, Difference, Flip, Verdict
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
from themis_lib.comparison.sides import identity_differences, run_side
from themis_lib.errors import ConfigError, nearest
from themis_lib.runs.results import RunResult
from themis_lib.runs.summary import ALL_CASES
from themis_lib.stats.multiple import holm
from themis_lib.stats.paired import BONETT_PRICE, PairedDifference, paired_difference
from themis_lib.stats.power import (
    FEWEST_UNITS,
    detectable_difference,
    samples_needed,
    units_needed,
)

_LEVEL = 0.05


def compare(
    baseline: RunResult,
    *candidates: RunResult,
    cluster_by: str | None = None,
    slices: Sequence[str] = (),
    delta: float | None = None,
    seed: int = 0,
) -> Comparison:
    """Compare each candidate with the baseline, on the cases and metrics that both
    have.

    `cluster_by` and `slices` name metadata columns, read from the candidate: cases of
    one cluster count as dependent, a case without a value as a cluster by itself; each
    value of a slice gets differences of its own. Without `cluster_by` it is that of the
    candidates' statistics, and theirs is what cases without a score count as. `delta`
    is the difference that matters: an interval within ± `delta` is called the same, and
    the power is stated for it instead of for the observed difference. `seed` is for
    sign flips drawn at random.

    Raises `ConfigError` for runs without scores, cases or metrics in common, or a
    column that no case has.
    """
    _check_arguments(baseline, candidates, delta)
    cluster_by = cluster_by or _cluster_column(candidates)
    pairs = [
        _Pair(
            baseline,
            candidate,
            cluster_by,
            slices,
        )
        for candidate in candidates
    ]
    found = [
        difference for pair in pairs for difference in pair.differences(delta, seed)
    ]
    adjusted = holm([difference.p_value for difference in found])
    return Comparison(
        runs=[run_side(run) for run in (baseline, *candidates)],
        differences=[
            _judge_difference(difference, p, delta)
            for difference, p in zip(found, adjusted, strict=True)
        ],
        flips=[flip for pair in pairs for flip in pair.flips()],
        unmatched=[item for pair in pairs for item in pair.cases.unmatched],
        identity={
            run.run_id: identity_differences(baseline.manifest, run.manifest)
            for run in candidates
        },
        cluster_by=cluster_by,
        slices=list(slices),
    )


def _check_arguments(
    baseline: RunResult,
    candidates: Sequence[RunResult],
    delta: float | None,
) -> None:
    if not candidates:
        raise ConfigError(
            f"run {baseline.run_id!r} alone: name at least one more run to compare it with"
        )
    named = [baseline.run_id, *(candidate.run_id for candidate in candidates)]
    for run_id in named:
        if named.count(run_id) > 1:
            raise ConfigError(f"run {run_id!r} is named twice; compare different runs")
    if delta is not None and not 0 < delta < math.inf:
        raise ConfigError(f"delta {delta!r}: give a difference above 0")


def _cluster_column(candidates: Sequence[RunResult]) -> str | None:
    columns = sorted(
        {run.manifest.statistics.cluster_by or "" for run in candidates} - {""}
    )
    if len(columns) > 1:
        raise ConfigError(
            f"the runs have other clusters, by {' and '.join(map(repr, columns))}; say by which to compare"
        )
    return columns[0] if columns else None


class _Group(NamedTuple):
    """The matched cases of one dataset and slice, by their positions, under one metric."""

    dataset_id: str
    slice: str
    metric_id: str
    members: npt.NDArray[np.int64]


class _Pair:
    """A candidate beside the baseline."""

    def __init__(
        self,
        baseline: RunResult,
        candidate: RunResult,
        cluster_by: str | None,
        slices: Sequence[str],
    ) -> None:
        self.before, self.after = scored_cases(baseline), scored_cases(candidate)
        self.cases: Matched = matched(self.before, self.after)
        self.metric_ids = _common_metrics(self.before, self.after)
        self._noise = (
            sample_noise(baseline, self.before),
            sample_noise(candidate, self.after),
        )
        after = self.cases.candidate
        self._errors = candidate.manifest.statistics.errors
        self._found = {
            metric_id: (
                self.before.scores[metric_id][self.cases.baseline],
                self.after.scores[metric_id][after],
            )
            for metric_id in self.metric_ids
        }
        self._clusters = (
            cluster_numbers(self.after.column(cluster_by, after))
            if cluster_by
            else None
        )
        self._slices = {
            name: np.array(slice_names(name, self.after.column(name, after)))
            for name in slices
        }

    def scores(self, metric_id: str) -> tuple[Floats, Floats]:
        """The scores of the matched cases in both runs; NaN for none, unless none
        counts 0.
        """
        before, after = self._found[metric_id]
        return (
            (np.nan_to_num(before), np.nan_to_num(after))
            if self._errors == "zero"
            else (before, after)
        )

    def groups(self) -> Iterator[_Group]:
        """Every dataset and metric, as a whole and then slice by slice."""
        datasets = np.array(
            [self.before.dataset_ids[row] for row in self.cases.baseline]
        )
        for dataset_id in dict.fromkeys(datasets.tolist()):
            own = np.flatnonzero(datasets == dataset_id)
            for metric_id in self.metric_ids:
                yield _Group(
                    dataset_id,
                    ALL_CASES,
                    metric_id,
                    own,
                )
                for names in self._slices.values():
                    for name in np.unique(names[own]).tolist():
                        yield _Group(
                            dataset_id,
                            name,
                            metric_id,
                            own[names[own] == name],
                        )

    def differences(
        self,
        delta: float | None,
        seed: int,
    ) -> Iterator[Difference]:
        """The difference of each group, without what depends on the others."""
        for group in self.groups():
            lacking = [
                np.isnan(scores[group.members])
                for scores in self._found[group.metric_id]
            ]
            rows = self._counted_rows(group.members, *lacking)
            clusters = None if self._clusters is None else self._clusters[rows]
            both = [scores[rows] for scores in self.scores(group.metric_id)]
            paired = paired_difference(
                *both,
                clusters=clusters,
                seed=seed,
            )
            asked = (
                delta if delta is not None else abs(paired.difference or 0.0) or None
            )
            numbers = asdict(paired)
            units = numbers.pop("units")
            yield Difference(
                **numbers,
                run_id=self.after.run_id,
                dataset_id=group.dataset_id,
                slice=group.slice,
                metric_id=group.metric_id,
                clusters=None if clusters is None else units,
                baseline_errors=int(lacking[0].sum()),
                candidate_errors=int(lacking[1].sum()),
                error_policy=self._errors,
                p_adjusted=None,
                verdict="cannot tell",
                detectable=_detectable_difference(paired),
                delta=asked,
                cases_needed=_cases_needed(paired, asked),
                samples_needed=self._samples_needed(
                    paired,
                    asked,
                    group.metric_id,
                    rows,
                ),
            )

    def _counted_rows(
        self,
        rows: npt.NDArray[np.int64],
        no_before: npt.NDArray[np.bool_],
        no_after: npt.NDArray[np.bool_],
    ) -> npt.NDArray[np.int64]:
        """The cases that make up a difference; none where the candidate may not lack a
        score.
        """
        if self._errors == "zero":
            return rows
        if self._errors == "fail" and no_after.any():
            return rows[:0]
        return rows[~(no_before | no_after)]

    def flips(self) -> Iterator[Flip]:
        """The cases whose scores differ, by metric in the baseline's order."""
        for metric_id in self.metric_ids:
            before, after = self.scores(metric_id)
            for row in np.flatnonzero(np.abs(after - before) > 0).tolist():
                first, second = self.cases.baseline[row], self.cases.candidate[row]
                yield Flip(
                    run_id=self.after.run_id,
                    dataset_id=self.before.dataset_ids[first],
                    metric_id=metric_id,
                    case_id=self.before.case_ids[first],
                    candidate_case_id=self.after.case_ids[second],
                    baseline_score=before[row],
                    candidate_score=after[row],
                )

    def _samples_needed(
        self,
        paired: PairedDifference,
        delta: float | None,
        metric_id: str,
        rows: npt.NDArray[np.int64],
    ) -> int | None:
        """Known where both runs drew several samples, and the score of a case is their
        mean.
        """
        if not delta or not paired.standard_error:
            return None
        variances = []
        sides = zip(
            self._noise,
            (self.cases.baseline, self.cases.candidate),
            self.scores(metric_id),
            strict=True,
        )
        for noise, cases, scores in sides:
            found = (
                noise[metric_id].of(cases[rows], scores[rows])
                if metric_id in noise
                else None
            )
            if found is None:
                return None
            variances.append(found)
        one_sample, drawn = (
            math.fsum(parts) / paired.n for parts in zip(*variances, strict=True)
        )
        return samples_needed(
            delta,
            units=paired.units,
            error_variance=paired.standard_error**2,
            sampling_part=drawn,
            one_sample=one_sample,
        )


def _common_metrics(
    before: ScoredCases,
    after: ScoredCases,
) -> list[str]:
    metric_ids = [metric_id for metric_id in before.scores if metric_id in after.scores]
    if not metric_ids:
        name = next(iter(after.scores))
        raise ConfigError(
            f"runs {before.run_id!r} and {after.run_id!r} have no metric in common: the first has no {name!r}; "
            f"{nearest(name, before.scores)}"
        )
    return metric_ids


def _is_sign_test(paired: PairedDifference) -> bool:
    return paired.interval_method == BONETT_PRICE


def _detectable_difference(paired: PairedDifference) -> float | None:
    if paired.standard_error is None:
        return None
    found = detectable_difference(paired.standard_error, paired.units)
    if found is not None and _is_sign_test(paired):
        return max(
            found, FEWEST_UNITS / paired.n
        )  # fewer pairs that differ are never significant
    return found or None


def _cases_needed(
    paired: PairedDifference,
    delta: float | None,
) -> int | None:
    if not paired.standard_error or not delta:
        return None
    units = units_needed(delta, paired.standard_error * math.sqrt(paired.units))
    cases = math.ceil((units or 0) * paired.n / paired.units)
    return (
        max(cases, math.ceil(FEWEST_UNITS / delta)) if _is_sign_test(paired) else cases
    )


def _judge_difference(
    difference: Difference,
    p_adjusted: float | None,
    delta: float | None,
) -> Difference:
    verdict = _find_verdict(difference, p_adjusted, delta)
    return difference.model_copy(update={"p_adjusted": p_adjusted, "verdict": verdict})


def _find_verdict(
    item: Difference,
    p_adjusted: float | None,
    delta: float | None,
) -> Verdict:
    if p_adjusted is not None and p_adjusted < _LEVEL and item.difference:
        return "better" if item.difference > 0 else "worse"
    if item.n and item.tied == item.n:
        return "same"
    if (
        delta is not None
        and item.low is not None
        and item.high is not None
        and -delta < item.low <= item.high < delta
    ):
        return "same"
    return "cannot tell"
