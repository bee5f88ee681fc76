"""The sampling noise of a run: how much of its scores is the luck of the samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from themis_lib.comparison.scored_cases import (
    Floats,
    ScoredCases,
)
from themis_lib.runs.results import RunResult

_IDS = [
    "dataset_id",
    "case_id",
    "metric_id",
]
_COLUMNS = [
    "score_mean",
    "score_variance",
    "score_count",
]


@dataclass(frozen=True)
class SampleNoise:
    """The scores of each case's samples under one metric: mean, variance and count.

    Arrays are in the order of the run's cases. The variance is NaN for a case with
    fewer than two scores.
    """

    means: Floats
    variances: Floats
    counts: Floats

    def of(
        self,
        rows: npt.NDArray[np.int64],
        scores: Floats,
    ) -> tuple[float, float] | None:
        """Return the variance that one sample adds, and what the drawn samples leave.

        Both are averages over the cases in `rows`, whose scores are `scores`. `None`
        where the scores are not the means of samples, or no case has two.
        """
        variances = self.variances[rows]
        # A reducer other than the mean (best of n) has another variance.
        if np.isnan(variances).all() or not np.allclose(self.means[rows], scores):
            return None
        one_sample = float(np.nanmean(variances))
        drawn = float(np.nanmean(variances / self.counts[rows]))
        return one_sample, drawn


def sample_noise(
    result: RunResult,
    cases: ScoredCases,
) -> dict[str, SampleNoise]:
    """Return the sampling noise under each metric of a run.

    Empty for a run of one sample a case, which does not show its noise.
    """
    if len(result.manifest.seeds) < 2:
        return {}
    # `ddof=1`: the samples are drawn from more that could have been.
    variance = pc.VarianceOptions(
        ddof=1,
        min_count=2,
    )
    scores = result.table("scores", columns=[*_IDS, "score"])
    statistics = scores.group_by(_IDS).aggregate(
        [
            ("score", "mean"),
            ("score", "variance", variance),
            ("score", "count"),
        ]
    )
    values = np.array(
        [statistics[name].to_numpy() for name in _COLUMNS],
        dtype=np.float64,
    )
    row_of = cases.row_numbers()
    noise = {}
    for metric_id in cases.scores:
        noise[metric_id] = np.full((len(_COLUMNS), len(row_of)), np.nan)
    ids = statistics.select(_IDS).to_pylist()
    # Arrow groups in the order of the scores table, cases have their own.
    for at, row in enumerate(ids):
        # Only metrics with reduced scores are compared.
        if row["metric_id"] in noise:
            case = row["dataset_id"], row["case_id"]
            noise[row["metric_id"]][:, row_of[case]] = values[:, at]
    return {metric_id: SampleNoise(*arrays) for metric_id, arrays in noise.items()}
