"""Whether metrics find the expected outputs that they need, before money is spent."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from themis_lib.core.config import LabelMap
from themis_lib.core.experiment_spec import AnyDataset
from themis_lib.core.lm_eval_dataset import LmEvalDataset
from themis_lib.core.models import Dataset
from themis_lib.errors import ConfigError
from themis_lib.runs.pipeline import Pipeline
from themis_lib.stages.score import ScoreStage
from themis_lib.storage.shard import Shard
from themis_lib.storage.tables import column_digests

_COLUMN = "expected_output"


def check_expected_outputs(
    pipeline: Pipeline,
    shards: Sequence[Shard],
) -> None:
    """Raise `ConfigError` if a metric needs expected outputs and no case has one.

    Some cases without one are an error of their rows. So are all of them where they are
    given as they are, without a mapping that could be wrong, and other metrics score
    them.
    """
    stages = [stage for stage in pipeline.stages if isinstance(stage, ScoreStage)]
    needing = [
        stage.metric_id for stage in stages if stage.metric.needs_expected_output
    ]
    if not needing or any(map(_has_expected_outputs, shards)):
        return
    datasets = pipeline.experiment.datasets
    is_mapped = all(not isinstance(dataset, Dataset) for dataset in datasets)
    if len(needing) < len(stages) and not is_mapped:
        return
    names = ", ".join(map(repr, needing))
    verb = "needs" if len(needing) == 1 else "need"
    reasons = "; ".join(map(_why_none, datasets))
    raise ConfigError(
        f"evaluation.metrics: {names} {verb} expected outputs, and no case has one: "
        f"{reasons}"
    )


def _has_expected_outputs(shard: Shard) -> bool:
    # By their digest, which is known: the cases need not be read again.
    nulls = pa.table({_COLUMN: pa.nulls(shard.cases.rows, pa.string())})
    return shard.cases.columns[_COLUMN] != column_digests(nulls)[_COLUMN]


def _why_none(dataset: AnyDataset) -> str:
    """Return why the cases of a dataset have no expected output, and what to do."""
    where = f"dataset {dataset.dataset_id!r}"
    if isinstance(dataset, Dataset):
        return f"{where}: give its cases an `expected_output`"
    if isinstance(dataset, LmEvalDataset):
        return f"{where}: the documents of {dataset.task!r} have no target"
    column = dataset.columns.get(_COLUMN)
    if column is None:
        return (
            f"{where} has no column 'expected_output' with values; map one: "
            "`columns: {expected_output: …}`"
        )
    name = column.column if isinstance(column, LabelMap) else column
    return f"{where}: columns.expected_output: {name!r} has no value in any row"
