"""Scores of the answers of each arrangement, by the metrics of an experiment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from themis_lib.certification.arrangements import Arrangement
from themis_lib.certification.models import ScoreEffect
from themis_lib.certification.sampling import in_given_order
from themis_lib.components.build import build
from themis_lib.core.config import CandidatePolicy, GenerationConfig
from themis_lib.experiment.experiment import Experiment
from themis_lib.runs.compile import seeds_of
from themis_lib.runs.pipeline import Pipeline
from themis_lib.stages.progress import Progress
from themis_lib.stages.reading import read
from themis_lib.stages.score import ScoreStage
from themis_lib.stats.clusters import Floats
from themis_lib.stats.intervals import mean_interval
from themis_lib.stats.variance import sample_moments, variance_split
from themis_lib.storage.shard import Shard
from themis_lib.storage.store import RunStore
from themis_lib.verification.recompute import run_with_failures


def with_one_sample(experiment: Experiment) -> Experiment:
    """Return an experiment with the first of its seeds, and nothing that needs more.

    Metrics that ask a judge are left out: no judge is asked, so none needs a key.
    """
    metrics = []
    for index, spec in enumerate(experiment.evaluation.metrics):
        metric = build("metric", spec, where=f"evaluation.metrics[{index}]")
        if metric.judge_calls is None:
            metrics.append(spec)
    evaluation = experiment.evaluation.model_copy(
        update={"metrics": metrics, "judge_models": [], "agreement": {}}
    )
    generation = experiment.generation.model_copy(
        update={
            "candidate_policy": CandidatePolicy(),
            "reducer": GenerationConfig.model_fields["reducer"].get_default(),
        }
    )
    seeds = list(seeds_of(experiment)[:1])
    return experiment.model_copy(
        update={"generation": generation, "evaluation": evaluation, "seeds": seeds}
    )


@dataclass(frozen=True)
class Scoring:
    """The metrics that score answers for nothing: no judge is asked."""

    pipeline: Pipeline
    store: RunStore

    @property
    def stages(self) -> list[ScoreStage]:
        """The stages of metrics that score each answer by itself."""
        return [
            stage for stage in self.pipeline.scores if stage.metric.corpus_score is None
        ]

    async def scores(
        self,
        shard: Shard,
        arrangement: Arrangement,
        run_id: str,
    ) -> dict[str, Floats]:
        """Return the scores of a shard's outputs by metric, in the prompts' order.

        NaN where there is none.
        """
        if not self.stages:
            return {}
        progress = Progress()
        parsed, _ = await run_with_failures(
            self.store, self.pipeline.parse, shard, run_id, progress
        )
        shard = replace(shard, answers=parsed)
        found = {}
        for stage in self.stages:
            part, _ = await run_with_failures(
                self.store, stage, shard, run_id, progress
            )
            table = in_given_order(read(self.store, part), arrangement)
            values = table["value"].to_numpy(zero_copy_only=False)
            found[stage.metric_id] = np.asarray(values, dtype=np.float64)
        return found


def score_effects(ways: Sequence[Mapping[str, Floats]]) -> list[ScoreEffect]:
    """Return what the ways of asking do to each metric; the first is asking alone."""
    return [
        _effect(metric_id, np.column_stack([way[metric_id] for way in ways]))
        for metric_id in (ways[0] if ways else ())
    ]


def _effect(
    metric_id: str,
    scores: Floats,
) -> ScoreEffect:
    alone = scores[:, 0]
    interval = mean_interval(alone[~np.isnan(alone)])
    moments = sample_moments(scores)
    split = variance_split(moments)
    return ScoreEffect(
        metric_id=metric_id,
        cases=int((moments[:, 0] > 0).sum()),
        # Few cases have a variance of NaN, which is not above 0.
        moved=int((moments[:, 2] > 0).sum()),
        mean=interval.mean,
        low=interval.low,
        high=interval.high,
        within=split.within,
        between=split.between,
    )
