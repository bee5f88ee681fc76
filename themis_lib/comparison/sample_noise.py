"""How much of a difference between runs is the luck of the samples drawn, from the
scores of each sample.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from themis_lib.comparison.scored_cases import Floats, ScoredCases
from themis_lib.runs.results import RunResult

_IDS = ["dataset_id", "case_id", "metric_id"]
_COLUMNS = ["score_mean", "score_variance", "score_count"]


@dataclass(frozen=True)
class SampleNoise:
    """For each case of a run: the mean of its samples' scores, their variance, and how
    many there are.

    The variance is NaN for a case with fewer than two.
    """

    means: Floats
    variances: Floats
    counts: Floats

    def of(
        self,
        rows: npt.NDArray[np.int64],
        scores: Floats,
    ) -> tuple[float, float] | None:
        """The variance that one sample adds to the score of a case, on average over
        some cases, and the part of it that their samples leave; null where the scores
        are not the means of samples, or no case has two.
        """
        variances = self.variances[rows]
        if np.isnan(variances).all() or not np.allclose(self.means[rows], scores):
            return None
        return float(np.nanmean(variances)), float(
            np.nanmean(variances / self.counts[rows])
        )


def sample_noise(
    result: RunResult,
    cases: ScoredCases,
) -> dict[str, SampleNoise]:
    """The noise under each metric; nothing for a run of one sample a case, which does
    not show it.
    """
    if len(result.manifest.seeds) < 2:
        return {}
    per_case = (
        result.table("scores", columns=[*_IDS, "score"])
        .group_by(_IDS)
        .aggregate(
            [
                ("score", "mean"),
                (
                    "score",
                    "variance",
                    pc.VarianceOptions(
                        ddof=1,
                        min_count=2,
                    ),
                ),
                ("score", "count"),
            ]
        )
    )
    rows = {
        case: row
        for row, case in enumerate(zip(cases.dataset_ids, cases.case_ids, strict=True))
    }
    noise = {
        metric_id: np.full((len(_COLUMNS), len(rows)), np.nan)
        for metric_id in cases.scores
    }
    ids = zip(*(per_case[name].to_pylist() for name in _IDS), strict=True)
    values = np.array(
        [per_case[name].to_numpy() for name in _COLUMNS], dtype=np.float64
    )
    for at, (dataset_id, case_id, metric_id) in enumerate(ids):
        if metric_id in noise:
            noise[metric_id][:, rows[dataset_id, case_id]] = values[:, at]
    return {metric_id: SampleNoise(*arrays) for metric_id, arrays in noise.items()}
