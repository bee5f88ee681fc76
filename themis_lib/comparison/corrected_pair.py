"""A candidate run beside the baseline, both means corrected by labels of people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from themis_lib.comparison.missing_scores import Guess
from themis_lib.comparison.models import Difference
from themis_lib.comparison.run_pair import RunPair
from themis_lib.comparison.scored_cases import Floats
from themis_lib.errors import ConfigError
from themis_lib.labels.corrected_scores import no_labels_text
from themis_lib.labels.judged_cases import JudgedCases
from themis_lib.runs.results import RunResult
from themis_lib.stats.paired import PairedDifference
from themis_lib.stats.prediction_powered import (
    FEWEST_LABELS,
    corrected_difference,
    corrected_mean,
)


class CorrectedPair(RunPair):
    """A pair of runs whose differences are those of corrected means.

    It has the metrics that have labels in both runs. Raise `ConfigError` where none has,
    which says how to label.
    """

    def __init__(
        self,
        baseline: RunResult,
        candidate: RunResult,
        *,
        cluster_by: str | None,
        slices: Sequence[str],
    ) -> None:
        super().__init__(baseline, candidate, cluster_by=cluster_by, slices=slices)
        self._judged: dict[str, tuple[JudgedCases, JudgedCases]] = {}
        problems = []
        for metric_id in self.metric_ids:
            try:
                sides = (
                    _labelled(baseline, metric_id),
                    _labelled(candidate, metric_id),
                )
            except ConfigError as error:
                problems.append(error)
            else:
                self._judged[metric_id] = sides
        if not self._judged:
            raise problems[0]
        self.metric_ids = list(self._judged)

    def differences(
        self,
        *,
        delta: float | None,
        seed: int,
        guess: Guess = "left out",
    ) -> Iterator[Difference]:
        """Yield the difference of each group; with few labels it has no p-value.

        How many cases or samples would show a difference is not known: more labels
        would.
        """
        found = super().differences(delta=delta, seed=seed, guess=guess)
        for group, item in zip(self.groups(), found, strict=True):
            baseline, candidate = self._labels(group.metric_id, group.members)
            changes = {
                "baseline_labels": baseline,
                "candidate_labels": candidate,
                "cases_needed": None,
                "samples_needed": None,
                "noise": None,
            }
            if min(baseline, candidate) < FEWEST_LABELS:
                changes["p_value"] = None
            yield item.model_copy(update=changes)

    def paired(
        self,
        metric_id: str,
        rows: npt.NDArray[np.int64],
        scores: tuple[Floats, Floats],
        *,
        clusters: npt.NDArray[np.int64] | None,
        seed: int,
    ) -> PairedDifference:
        """Return the difference of the corrected means of some matched cases.

        Which cases rose and fell is counted by their raw scores.
        """
        raw = super().paired(metric_id, rows, scores, clusters=clusters, seed=seed)
        if not len(rows):
            return raw
        before, after = self._judged[metric_id]
        sides = (
            (before, self.cases.baseline[rows], scores[0]),
            (after, self.cases.candidate[rows], scores[1]),
        )
        means = []
        for judged, places, counted in sides:
            judged_rows = judged.judged_rows(places, counted)
            means.append(corrected_mean(judged_rows, clusters=clusters))
        found = corrected_difference(*means, clusters=clusters)
        return replace(
            raw,
            units=found.units,
            baseline_mean=means[0].mean,
            candidate_mean=means[1].mean,
            difference=found.difference,
            standard_error=found.standard_error,
            low=found.low,
            high=found.high,
            interval_method=found.method,
            test=None if found.p_value is None else "t of corrected means",
            p_value=found.p_value,
        )

    def _labels(
        self,
        metric_id: str,
        members: npt.NDArray[np.int64],
    ) -> tuple[int, int]:
        before, after = self._judged[metric_id]
        return (
            before.count_labels(self.cases.baseline[members]),
            after.count_labels(self.cases.candidate[members]),
        )


def _labelled(
    run: RunResult,
    metric_id: str,
) -> JudgedCases:
    """Return the cases of a run. Raise `ConfigError` where none has a label that counts."""
    cases = JudgedCases.of(run, metric_id)
    if not cases.count_labels(np.arange(len(cases.case_ids))):
        raise ConfigError(no_labels_text(run, metric_id))
    return cases
