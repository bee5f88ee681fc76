"""Which results of a shard lack a score because there was no answer, and which failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from themis_lib.stages.missing import Missing, missing_kind


def missing_column(
    results: pa.Table,
    samples: Mapping[str, pa.Table],
    outputs: pa.Table,
) -> pa.Array:
    """Return what each result without a score lacks, and null where there is a score.

    `results` has a row for each case and metric, `samples` the scores of the samples by
    metric, and `outputs` their finish reasons; all in the order of the cases.
    """
    column: list[str | None] = [None] * results.num_rows
    is_missing = pc.is_null(results["score"]).combine_chunks()
    positions = pc.indices_nonzero(is_missing).to_pylist()
    metric_ids = list(samples)
    width = outputs.num_rows * len(metric_ids) // results.num_rows
    chosen = results["sample_index"].take(pa.array(positions, pa.int64())).to_pylist()
    finish_reasons = outputs["finish_reason"].to_pylist()
    scores: dict[str, list[dict[str, Any]]] = {}
    for position, index in zip(positions, chosen, strict=True):
        case, metric = divmod(position, len(metric_ids))
        metric_id = metric_ids[metric]
        if metric_id not in scores:
            table = samples[metric_id].select(["value", "error"])
            scores[metric_id] = table.to_pylist()
        rows = range(case * width, (case + 1) * width)
        if index is not None:
            rows = range(rows[index], rows[index] + 1)
        column[position] = _missing_of(scores[metric_id], finish_reasons, rows)
    return pa.array(column, pa.string())


def _missing_of(
    scores: Sequence[Mapping[str, Any]],
    finish_reasons: Sequence[str | None],
    rows: range,
) -> Missing:
    """Return what a result of these samples lacks: an answer only if all of them do."""
    for row in rows:
        score = scores[row]
        # A reducer that makes nothing of a score has failed.
        if score["value"] is not None:
            return Missing.FAILED
        if missing_kind(score["error"], finish_reasons[row]) is Missing.FAILED:
            return Missing.FAILED
    return Missing.NO_ANSWER
