"""Two runs under a metric of a data set: the difference of their scores on the same
cases, by the paired bootstrap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from themis_lib.comparison.corpus_metrics import corpus_metric
from themis_lib.comparison.scored_cases import Floats, Matched
from themis_lib.components.records import BuiltMetric
from themis_lib.core.config import NoAnswerPolicy, StatisticsConfig
from themis_lib.errors import StoreError
from themis_lib.runs.corpus_cases import (
    CorpusCases,
    ScoredRows,
    case_lines,
    corpus_rows,
)
from themis_lib.runs.corpus_scores import values_of
from themis_lib.runs.corpus_summary import answer_policy
from themis_lib.runs.results import RunResult
from themis_lib.stats.paired import NO_PAIRS, PairedDifference
from themis_lib.stats.resampling import Counts, Resampled, resampled, shifted_p_value

PAIRED_BOOTSTRAP = "paired bootstrap"
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CorpusSide:
    """The cases of a run under a metric of a data set, in the run's order."""

    metric: BuiltMetric
    lines: npt.NDArray[np.object_]

    @staticmethod
    def of(
        run: RunResult,
        metric_id: str,
        other: RunResult,
    ) -> CorpusSide:
        """Return the cases of a run. Raise `ConfigError` if its metric is not found."""
        metric = corpus_metric(run, metric_id, [other])
        is_metric = pc.field("metric_id") == metric_id
        cases = run.table("cases", columns=["case_id", "expected_output"])
        results = run.table(
            "results", columns=["case_id", "sample_index", "missing"], where=is_metric
        )
        if results["case_id"] != cases["case_id"]:
            raise StoreError(
                f"run {run.run_id!r}: its tables of cases and results do not fit"
            )
        rows = ScoredRows.of(
            run.table("scores", columns=["details", "error"], where=is_metric),
            results,
            run.table("outputs", columns=["finish_reason"]),
            cases,
        )
        return CorpusSide(metric, np.array(case_lines(rows, metric), dtype=object))


@dataclass(frozen=True)
class CorpusPair:
    """The matched cases of two runs under a metric of a data set.

    `statistics` are the candidate's: its policies and its bootstrap.
    """

    before: CorpusSide
    after: CorpusSide
    cases: Matched
    statistics: StatisticsConfig

    @property
    def no_answer_policy(self) -> NoAnswerPolicy:
        """What cases without an answer count as, in both runs."""
        policies = [
            answer_policy(side.metric, self.statistics)
            for side in (self.before, self.after)
        ]
        return "unknown" if "unknown" in policies else policies[0]

    def are_undecided(self, members: Integers) -> bool:
        """Return whether a case is left out that could have had any score."""
        for lines in self._lines(members):
            rows = corpus_rows(CorpusCases(tuple(lines), None), self.no_answer_policy)
            is_unknown = self.no_answer_policy == "unknown" and rows.unanswered
            if rows.failed or is_unknown:
                return True
        return False

    def difference(
        self,
        members: Integers,
        row_scores: tuple[Floats, Floats],
        clusters: Integers | None,
        seed: int,
    ) -> PairedDifference:
        """Return the difference of the scores of these cases, with its interval.

        Each resample has the same cases, or clusters of them, in both runs (Koehn
        2004), and the test is that of `shifted_p_value`. `row_scores` are the cases'
        own scores, which say how many rose and fell.
        """
        before, after = self._lines(members)
        kept = self._counted(before, after)
        if not len(kept):
            return NO_PAIRS
        names = None if clusters is None else clusters[kept]
        # Sorted, so that the order of the cases cannot matter.
        order = sorted(
            range(len(kept)),
            key=lambda at: (
                0 if names is None else int(names[at]),
                before[kept[at]],
                after[kept[at]],
            ),
        )
        kept = kept[order]
        names = None if names is None else names[order]
        sides = []
        for side, lines in ((self.before, before), (self.after, after)):
            cases = CorpusCases(tuple(lines[row] for row in kept), names)
            rows = corpus_rows(cases, self.no_answer_policy)
            sides.append((rows, values_of(rows, side.metric)))
        (rows, score_before), (_, score_after) = sides

        def difference(counts: Counts) -> Floats:
            return score_after(counts) - score_before(counts)

        numbers = resampled(
            difference, rows.unit_count, resamples=self.statistics.resamples, seed=seed
        )
        once = np.ones((1, rows.unit_count), np.int64)
        changes = row_scores[1][kept] - row_scores[0][kept]
        improved = int(np.count_nonzero(changes > 0))
        worsened = int(np.count_nonzero(changes < 0))
        method = "bootstrap" if clusters is None else "cluster bootstrap"
        test = (
            PAIRED_BOOTSTRAP if clusters is None else f"{PAIRED_BOOTSTRAP}, by cluster"
        )
        return PairedDifference(
            n=len(kept),
            units=rows.unit_count,
            baseline_mean=_defined(score_before(once)),
            candidate_mean=_defined(score_after(once)),
            difference=numbers.estimate,
            standard_error=numbers.standard_error,
            low=numbers.low,
            high=numbers.high,
            interval_method=None if numbers.low is None else method,
            test=test,
            p_value=_p_value(numbers),
            improved=improved,
            worsened=worsened,
            tied=len(kept) - improved - worsened,
        )

    def _lines(self, members: Integers) -> tuple[list[str], list[str]]:
        before = self.before.lines[self.cases.baseline[members]]
        after = self.after.lines[self.cases.candidate[members]]
        return before.tolist(), after.tolist()

    def _counted(
        self,
        before: Sequence[str],
        after: Sequence[str],
    ) -> Integers:
        """Return the positions of the pairs of which both cases count."""
        found = []
        for position, pair in enumerate(zip(before, after, strict=True)):
            counts = [
                corpus_rows(CorpusCases((line,), None), self.no_answer_policy).n
                for line in pair
            ]
            if all(counts):
                found.append(position)
        return np.array(found, np.int64)


def _defined(values: Floats) -> float | None:
    return None if np.isnan(values[0]) else float(values[0])


def _p_value(numbers: Resampled) -> float | None:
    if numbers.estimate is None:
        return None
    if numbers.low is None:
        # Nothing varies: equal statistics differ in nothing, others in all they have.
        return 1.0 if numbers.estimate == 0 else None
    return shifted_p_value(numbers.drawn, numbers.estimate)
