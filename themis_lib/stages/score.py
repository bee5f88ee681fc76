"""The score stage: one metric's score of each answer. Each metric is its own stage."""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import pyarrow as pa

from themis_lib.components.records import BuiltComponent, BuiltMetric
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
    OutcomeSink,
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
    output_digests,
    parsed_outputs,
    read_outputs,
    visible_cases,
)
from themis_lib.stages.stage import Emit, RowOutcome, Stage
from themis_lib.storage.shard import Shard
from themis_lib.storage.store import RunStore
from themis_lib.storage.tables import SCORES

#: What a score's key covers of a verdict.
_VERDICT_COLUMNS = ("output", "error")


class ScoreStage(Stage):
    """Rows are cases × samples.

    A key covers what the metric reads: built-in metrics the value and the expected
    output. If the metric asks judges (`judges`, the labels of their stages), it also
    covers what each said, or why it said nothing. A row for which no judge has an
    answer is an error, and the metric is not asked.
    """

    name = "score"
    schema = SCORES

    def __init__(
        self,
        metric_id: str,
        metric: BuiltMetric,
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

    @property
    def label(self) -> str:
        return f"score[{self.metric_id}]"

    @property
    def components(self) -> tuple[BuiltComponent, ...]:
        return (self.metric,)

    @property
    def identity(self) -> dict[str, Any]:
        return {"metric": self.metric.identity}

    @property
    def reads(self) -> tuple[str, ...]:
        return (*self.metric.reads, "verdicts") if self.judges else self.metric.reads

    def columns(
        self,
        shard: Shard,
        store: RunStore,
    ) -> dict[str, Any]:
        columns = answer_digests(
            shard,
            store,
            self.metric.reads,
            self._samples,
            whole=self.metric.whole_output,
        )
        # The metric's key covers what the judges said, not who said it.
        if self.judges:
            verdicts = []
            for label in self.judges:
                part = shard.verdicts[label]
                verdicts.append(output_digests(store, part, _VERDICT_COLUMNS))
            columns["verdicts"] = verdicts
        return columns

    def rows(
        self,
        shard: Shard,
        store: RunStore,
    ) -> pa.Table:
        columns = answer_rows(
            shard,
            store,
            self.metric.reads,
            self._samples,
            whole=self.metric.whole_output,
        )
        if self.judges:
            # A row's verdicts as one JSON text: one judge after another.
            by_judge = []
            for label in self.judges:
                said = read_outputs(store, shard.verdicts[label])
                outputs, errors = said["output"].to_pylist(), said["error"].to_pylist()
                by_judge.append(map(verdict_text, outputs, errors))
            texts = [f"[{','.join(row)}]" for row in zip(*by_judge, strict=True)]
            columns["verdicts"] = pa.array(texts)
        return pa.table(columns)

    async def compute(
        self,
        rows: pa.Table,
        run_id: str,
        emit: Emit,
    ) -> None:
        cases = visible_cases(rows, self.metric.reads)
        parsed = parsed_outputs(rows)
        results = visible_results(rows, self.metric.reads)
        contexts = list(map(ScoreContext, results, self._verdicts_of(rows)))
        # With judges each row may lack its verdicts, so that batches do not fit.
        if self.metric.score_batch is not None and not self.judges:
            await self._compute_batches(
                parsed,
                cases,
                contexts,
                emit,
            )
        else:
            await self._compute_singly(
                parsed,
                cases,
                contexts,
                emit,
            )

    async def _compute_singly(
        self,
        parsed: Sequence[ParsedOutput],
        cases: Sequence[Case],
        contexts: Sequence[ScoreContext],
        emit: Emit,
    ) -> None:
        score = self.metric.score
        assert score is not None  # `build` refuses a metric that asks judges without it

        def score_row(position: int) -> Any:
            # A metric without any verdict could only invent a score.
            verdicts = contexts[position].verdicts
            if verdicts and not any(map(self._can_be_read, verdicts)):
                return ScoreError(reason=f"judge: {verdicts[0].error}")
            return score(parsed[position], cases[position], contexts[position])

        async def score_row_async(position: int) -> Any:
            result = score_row(position)
            if inspect.isawaitable(result):
                return await result
            return result

        is_async = self.metric.is_async
        await call_rows(
            score_row_async if is_async else score_row,
            len(cases),
            OutcomeSink(emit, self._record, unknown_is_fact=True),
            is_async=is_async,
            name=f"score/{self.fingerprint}",
            runtime=self._runtime,
        )

    async def _compute_batches(
        self,
        parsed: Sequence[ParsedOutput],
        cases: Sequence[Case],
        contexts: Sequence[ScoreContext],
        emit: Emit,
    ) -> None:
        score_batch = self.metric.score_batch
        assert score_batch is not None
        size = self._runtime.batch_size
        batches_at_once = max(self._runtime.max_concurrency // size, 1)
        # A function that computes takes the time it takes; one that waits may hang.
        timeout_s = None
        if inspect.iscoroutinefunction(score_batch):
            timeout_s = self._runtime.timeout_s
        call = within(
            partial(call_batch, score_batch, (parsed, cases, contexts)), timeout_s
        )

        async def outcomes(positions: range) -> list[RowOutcome]:
            return [self._batch_outcome(score) for score in await call(positions)]

        await call_batches(
            outcomes,
            len(cases),
            emit=emit,
            limit=limiter(f"score/{self.fingerprint}/batches", batches_at_once),
            size=size,
        )

    def _record(self, score: Any) -> dict[str, Any]:
        """Return what the metric returned as a row of the scores table."""
        record = _score_record(score)
        is_bare = record["error"] is None and record["details"] is None
        if is_bare and self.metric.corpus_score is not None:
            raise RowError(
                "the metric returned no details, which are what its corpus_score "
                "computes with"
            )
        return record

    def _batch_outcome(self, score: Any) -> RowOutcome:
        """Return one result of a batch as its row's outcome."""
        if isinstance(score, Exception):
            return failure_outcome(score, unknown_is_fact=True)
        try:
            return self._record(score)
        # In a row of a batch anything may be found, as in a call's result.
        except Exception as error:  # noqa: BLE001 - a score may hold anything
            return failure_outcome(error, unknown_is_fact=True)

    def _can_be_read(self, verdict: GenerationResult) -> bool:
        if verdict.error is None:
            return True
        return self.metric.reads_unfit_verdicts and verdict.final_output is not None

    def _verdicts_of(self, rows: pa.Table) -> list[tuple[GenerationResult, ...]]:
        """Return the verdicts on each row, one judge after another."""
        # One tuple for all rows: nothing in it can differ.
        if not self.judges:
            return [()] * rows.num_rows
        verdicts = []
        for text in rows["verdicts"].to_pylist():
            of_row = []
            for output, error in load_json(text):
                of_row.append(
                    GenerationResult(
                        final_output=output,
                        error=error,
                    )
                )
            verdicts.append(tuple(of_row))
        return verdicts


def verdict_text(
    output: str | None,
    error: str | None,
) -> str:
    """Return a verdict as the key of a score covers it: `[output, error]`.

    >>> verdict_text('{"verdict": "correct"}', None)
    '[{"verdict": "correct"},null]'
    """
    # Outputs are JSON already, so that only the error is encoded.
    error_text = "null" if error is None else canonical_json(error)
    return f"[{output or 'null'},{error_text}]"


def _score_record(score: Any) -> dict[str, Any]:
    """Return what a metric returned as a row of the scores table."""
    if isinstance(score, ScoreError):
        details = _details_text(score.details)
        return {"value": None, "details": details, "error": score.reason}
    # A plain number or bool is a score without details.
    if isinstance(score, (bool, int, float)):
        score = Score(value=float(score))
    if score is None or (isinstance(score, Score) and score.value is None):
        raise RowError("the metric returned no score")
    if not isinstance(score, Score):
        raise RowError(f"the metric returned {type(score).__name__}, not a Score")
    value = float(score.value)  # type: ignore[arg-type]
    # No JSON, and no mean, could hold it.
    if not math.isfinite(value):
        raise RowError(f"the metric returned {value}, which is no finite number")
    return {"value": value, "details": _details_text(score.details), "error": None}


def _details_text(details: dict[str, Any] | None) -> str | None:
    if details is None:
        return None
    try:
        return canonical_json(details)
    except ValueError as error:
        raise RowError(f"the metric's details cannot be kept: {error}") from None
