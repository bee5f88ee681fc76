"""The score stage: one metric's verdict on each answer. Every metric is a stage of its
own.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import pyarrow as pa

from themis_lib.components.build import component_identity, reads_of
from themis_lib.core.config import RuntimeConfig
from themis_lib.core.contexts import ScoreContext
from themis_lib.core.models import (
    Case,
    GenerationResult,
    ParsedOutput,
    Score,
    ScoreError,
)
from themis_lib.errors import RowError
from themis_lib.identity.digests import canonical_json, load_json
from themis_lib.stages.calls import (
    call_batch,
    call_batches,
    call_rows,
    failure_outcome,
    limiter,
    within,
)
from themis_lib.stages.outputs import visible_results
from themis_lib.stages.reading import (
    answer_digests,
    answer_rows,
    column_digests_of,
    parsed_outputs,
    read,
    visible_cases,
)
from themis_lib.stages.stage import Emit, RowOutcome, Stage
from themis_lib.storage.shard import Shard
from themis_lib.storage.store import RunStore
from themis_lib.storage.tables import SCORES


class ScoreStage(Stage):
    """Rows are cases × samples. A key covers what the metric reads: built-ins the value
    and the expected output.

    Where the metric asks judges (`judges`, the labels of their stages), it also covers
    what each said, or why it did not. A row for which no judge has an answer is an
    error without the metric being asked.
    """

    name = "score"
    schema = SCORES

    def __init__(
        self,
        metric_id: str,
        metric: Any,
        *,
        samples: int,
        runtime: RuntimeConfig,
        judges: Sequence[str] = (),
    ) -> None:
        self.metric_id = metric_id
        self.metric = metric
        self.judges = tuple(judges)
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
        return (*self._reads, "verdicts") if self.judges else self._reads

    def columns(self, shard: Shard) -> dict[str, Any]:
        columns = answer_digests(shard, self._reads, self._samples)
        if self.judges:
            columns["verdicts"] = [
                column_digests_of(shard.verdicts[label], _VERDICT)
                for label in self.judges
            ]
        return columns

    def rows(self, shard: Shard, store: RunStore) -> pa.Table:
        columns = answer_rows(shard, store, self._reads, self._samples)
        if self.judges:
            verdicts = [
                _verdict_texts(read(store, shard.verdicts[label]))
                for label in self.judges
            ]
            columns["verdicts"] = pa.array(
                [f"[{','.join(texts)}]" for texts in zip(*verdicts, strict=True)]
            )
        return pa.table(columns)

    async def compute(self, rows: pa.Table, run_id: str, emit: Emit) -> None:
        cases, parsed = visible_cases(rows, self._reads), parsed_outputs(rows)
        contexts = list(
            map(ScoreContext, visible_results(rows, self._reads), self._verdicts(rows))
        )
        if callable(getattr(self.metric, "score_batch", None)) and not self.judges:
            await self._compute_batches(parsed, cases, contexts, emit)
            return
        score = self.metric.score

        def call(position: int) -> Any:
            verdicts = contexts[position].verdicts
            if verdicts and all(verdict.error for verdict in verdicts):
                return ScoreError(reason=f"judge: {verdicts[0].error}")
            return score(parsed[position], cases[position], contexts[position])

        async def call_async(position: int) -> Any:
            result = call(position)
            return await result if inspect.isawaitable(result) else result

        is_async = inspect.iscoroutinefunction(score)
        await call_rows(
            call_async if is_async else call,
            rows.num_rows,
            is_async=is_async,
            name=f"score/{self.fingerprint}",
            runtime=self._runtime,
            to_record=_record,
            emit=emit,
        )

    async def _compute_batches(
        self,
        parsed: Sequence[ParsedOutput],
        cases: Sequence[Case],
        contexts: Sequence[ScoreContext],
        emit: Emit,
    ) -> None:
        size, width, score = (
            self._runtime.batch_size,
            self._runtime.max_concurrency,
            self.metric.score_batch,
        )
        timeout_s = (
            self._runtime.timeout_s if inspect.iscoroutinefunction(score) else None
        )
        score_batch = within(
            partial(call_batch, score, (parsed, cases, contexts)), timeout_s
        )

        async def outcomes(positions: range) -> list[RowOutcome]:
            return list(map(_outcome, await score_batch(positions)))

        await call_batches(
            outcomes,
            len(cases),
            emit=emit,
            limit=limiter(f"score/{self.fingerprint}/batches", max(width // size, 1)),
            size=size,
        )

    def _verdicts(self, rows: pa.Table) -> list[tuple[GenerationResult, ...]]:
        if not self.judges:
            return [()] * rows.num_rows
        return [
            tuple(
                GenerationResult(final_output=output, error=error)
                for output, error in load_json(text)
            )
            for text in rows["verdicts"].to_pylist()
        ]


#: What a score's key covers of a verdict.
_VERDICT = ("output", "error")


def _verdict_texts(table: pa.Table) -> list[str]:
    """Each verdict as JSON text: `[output, error]`."""
    pairs = zip(table["output"].to_pylist(), table["error"].to_pylist(), strict=True)
    return [
        f"[{output or 'null'},{'null' if error is None else canonical_json(error)}]"
        for output, error in pairs
    ]


def _outcome(score: Any) -> RowOutcome:
    """What one result of a batch means for its row; an exception in the list is that
    row's failure.
    """
    try:
        if isinstance(score, Exception):
            raise score
        return _record(score)
    except Exception as error:  # noqa: BLE001 - a component may return any exception
        return failure_outcome(error, unknown_is_fact=True)


def _record(score: Any) -> dict[str, Any]:
    if isinstance(score, ScoreError):
        return {
            "value": None,
            "details": _details(score.details),
            "error": score.reason,
        }
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
