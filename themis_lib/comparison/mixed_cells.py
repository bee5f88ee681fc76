"""Experiments between two others, evaluated from a store without a run of their own."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from themis_lib.errors import ShardError
from themis_lib.identity.part import Part
from themis_lib.runs.missing_results import missing_column
from themis_lib.runs.pipeline import Pipeline
from themis_lib.runs.score_groups import UNANSWERED
from themis_lib.stages.missing import Missing
from themis_lib.stages.progress import Progress
from themis_lib.stages.reading import read
from themis_lib.stages.run_stage import run_stage
from themis_lib.stages.stage import Stage
from themis_lib.stats.clusters import Floats
from themis_lib.storage.shard import Shard
from themis_lib.storage.store import RunStore

#: The id that generators are told, since a cell is no run.
_RUN_ID = "explain"


@dataclass
class CellScores:
    """The scores of the cases of a cell by metric, in the order of the data.

    A score is NaN where a case failed, and `UNANSWERED` where it has no answer.
    `computed` counts the rows that the store lacked, by stage.
    """

    scores: dict[str, Floats]
    computed: Counter[str] = field(default_factory=Counter)


async def cell_scores(
    pipeline: Pipeline,
    store: RunStore,
) -> CellScores:
    """Compute what the store lacks of an experiment, and return its scores.

    Rows that failed for now have no score, and are tried again by whoever asks next.
    """
    pipeline = pipeline.resolved(store)
    progress = Progress()

    async def run_one(
        stage: Stage,
        shard: Shard,
    ) -> Part:
        try:
            return await run_stage(
                stage,
                shard,
                store,
                run_id=_RUN_ID,
                progress=progress,
            )
        except ShardError as error:
            return error.part

    pieces: dict[str, list[Floats]] = {stage.metric_id: [] for stage in pipeline.scores}
    # Data is read whole before the first shard: a bad line costs nothing then.
    for shard in list(pipeline.shards(store)):
        done = await pipeline.evaluate_shard(shard, run_one)
        for metric_id, scores in _shard_scores(pipeline, store, done).items():
            pieces[metric_id].append(scores)
    computed = Counter[str]()
    for label, counts in progress.stages().items():
        computed[label] = counts.computed
    return CellScores(
        {metric_id: np.concatenate(each) for metric_id, each in pieces.items()},
        +computed,
    )


def _shard_scores(
    pipeline: Pipeline,
    store: RunStore,
    shard: Shard,
) -> dict[str, Floats]:
    assert shard.results is not None  # a cell goes to the last stage
    metric_ids = [stage.metric_id for stage in pipeline.scores]
    results = read(store, shard.results)
    scores = results["score"].to_numpy().astype(np.float64)
    if results["score"].null_count:
        samples = {}
        for metric_id in metric_ids:
            samples[metric_id] = read(store, shard.scores[metric_id])
        missing = missing_column(results, samples, read(store, shard.outputs))
        is_unanswered = np.array(missing.to_pylist()) == Missing.NO_ANSWER
        scores[is_unanswered] = UNANSWERED
    # A row for each case and metric, the metrics of a case next to each other.
    by_metric = scores.reshape(-1, len(metric_ids)).T
    return dict(zip(metric_ids, by_metric, strict=True))
