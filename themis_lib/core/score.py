"""The score stage: one metric's verdict on each answer. Every metric is a stage of its own."""

from __future__ import annotations

import inspect
import math
from typing import Any

import pyarrow as pa

from themis_lib.core.calls import call_rows
from themis_lib.core.components import component_identity, reads_of
from themis_lib.core.config import RuntimeConfig
from themis_lib.core.contexts import ScoreContext
from themis_lib.core.identity import canonical_json, load_json_or_null
from themis_lib.core.models import ParsedOutput, Score, ScoreError
from themis_lib.core.outputs import masked_results
from themis_lib.core.protocols import ANSWER_COLUMNS, OUTPUT_COLUMNS
from themis_lib.core.shards import (
    carried_errors,
    case_columns,
    column_digests_of,
    masked_cases,
    read,
    sample_rows,
)
from themis_lib.core.stage import Emit, Shard, Stage
from themis_lib.core.store import RunStore
from themis_lib.core.tables import SCORES
from themis_lib.errors import RowError


class ScoreStage(Stage):
    """Rows are cases × samples. A key covers what the metric reads: built-ins the value and the expected output."""

    name = "score"
    schema = SCORES

    def __init__(self, metric_id: str, metric: Any, *, samples: int, runtime: RuntimeConfig) -> None:
        self.metric_id = metric_id
        self.metric = metric
        self._samples = samples
        self._runtime = runtime
        self._reads = reads_of("metric", metric)

    @property
    def label(self) -> str:
        return f"score[{self.metric_id}]"

    @property
    def identity(self) -> dict[str, Any]:
        return {"metric": component_identity("metric", self.metric)}

    @property
    def reads(self) -> tuple[str, ...]:
        return self._reads

    def columns(self, shard: Shard) -> dict[str, Any]:
        answers = [name for name in self._reads if name in ANSWER_COLUMNS]
        outputs = [name for name in self._reads if name in OUTPUT_COLUMNS]
        return {
            "cases": column_digests_of(shard.cases, case_columns(self._reads)),
            "outputs": column_digests_of(shard.outputs, [*outputs, *([] if self._reads_answer else ["error"])]),
            "answers": column_digests_of(shard.answers, [*answers, "error"] if self._reads_answer else []),
            "samples": self._samples,
        }

    @property
    def _reads_answer(self) -> bool:
        """Whether the metric judges the answer; one that reads the output alone needs no answer to be there."""
        return any(name in ANSWER_COLUMNS for name in self._reads)

    def rows(self, shard: Shard, store: RunStore) -> pa.Table:
        columns = sample_rows(shard, store, self._samples, case_columns(self._reads))
        for part, names in ((shard.answers, ANSWER_COLUMNS), (shard.outputs, OUTPUT_COLUMNS)):
            wanted = [name for name in self._reads if name in names]
            if wanted:
                table = read(store, part)
                columns.update({name: table[name].combine_chunks() for name in wanted})
        source, stage = (shard.answers, "parse") if self._reads_answer else (shard.outputs, "generate")
        columns["error"] = carried_errors(read(store, source), stage)
        return pa.table(columns)

    async def compute(self, rows: pa.Table, run_id: str, emit: Emit) -> None:
        cases, contexts = masked_cases(rows, self._reads), list(map(ScoreContext, masked_results(rows, self._reads)))
        parsed = _parsed_outputs(rows)
        score = self.metric.score

        def call(position: int) -> Any:
            return score(parsed[position], cases[position], contexts[position])

        await call_rows(
            call, rows.num_rows, is_async=inspect.iscoroutinefunction(score), name=f"score/{self.fingerprint}",
            runtime=self._runtime, to_record=_record, emit=emit,
        )  # fmt: skip


def _parsed_outputs(rows: pa.Table) -> list[ParsedOutput]:
    count = rows.num_rows
    values = rows["value"].to_pylist() if "value" in rows.column_names else [None] * count
    formats = rows["format"].to_pylist() if "format" in rows.column_names else [None] * count
    return [
        ParsedOutput(value=load_json_or_null(value), format=name) for value, name in zip(values, formats, strict=True)
    ]


def _record(score: Any) -> dict[str, Any]:
    if isinstance(score, ScoreError):
        return {"value": None, "details": _details(score.details), "error": score.reason}
    if isinstance(score, (bool, int, float)):
        score = Score(value=float(score))
    if score is None or (isinstance(score, Score) and score.value is None):
        raise RowError("the metric returned no score")
    if not isinstance(score, Score):
        raise RowError(f"the metric returned {type(score).__name__}, not a Score")
    value = float(score.value)  # type: ignore[arg-type]
    if not math.isfinite(value):
        raise RowError(f"the metric returned {value}, which is no finite number")
    return {"value": value, "details": _details(score.details), "error": None}


def _details(details: dict[str, Any] | None) -> str | None:
    try:
        return None if details is None else canonical_json(details)
    except ValueError as error:
        raise RowError(f"the metric's details cannot be kept: {error}") from None
