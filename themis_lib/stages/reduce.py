"""The reduce stage: the samples of a case become one result for each metric."""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from themis_lib.components.build import component_identity, reads_of
from themis_lib.core.config import RuntimeConfig
from themis_lib.core.contexts import ReduceContext
from themis_lib.core.models import Candidate, ReducedCandidate
from themis_lib.errors import RowError
from themis_lib.identity.digests import canonical_json, load_json
from themis_lib.identity.part import Part
from themis_lib.stages.calls import call_rows
from themis_lib.stages.reading import column_digests_of, read
from themis_lib.stages.stage import Emit, Stage
from themis_lib.storage.shard import Shard
from themis_lib.storage.store import RunStore
from themis_lib.storage.tables import RESULTS


class ReduceStage(Stage):
    """Rows are cases × metrics, one without a metric where there is none. A key covers
    the metric's name, the samples' scores, the reasons of those that have none, and the
    parsed values where the reducer reads them.
    """

    name = "reduce"
    schema = RESULTS

    def __init__(
        self,
        reducer: Any,
        *,
        metric_ids: Sequence[str],
        samples: int,
        runtime: RuntimeConfig,
    ) -> None:
        self.reducer = reducer
        self.metric_ids: tuple[str | None, ...] = tuple(metric_ids) or (None,)
        self._samples = samples
        self._runtime = runtime
        self._reads_value = "value" in reads_of("reducer", reducer)

    @property
    def identity(self) -> dict[str, Any]:
        return {"reducer": component_identity("reducer", self.reducer)}

    @property
    def reads(self) -> tuple[str, ...]:
        return ("metric_id", "candidates")

    def columns(self, shard: Shard) -> dict[str, Any]:
        return {
            "answers": column_digests_of(
                shard.answers, ("value",) if self._reads_value else ()
            ),
            "scores": [
                column_digests_of(self._judged(shard, metric_id), ("value", "error"))
                if metric_id
                else column_digests_of(shard.answers, ("error",))
                for metric_id in self.metric_ids
            ],
            "metric_ids": list(self.metric_ids),
            "samples": self._samples,
        }

    def rows(self, shard: Shard, store: RunStore) -> pa.Table:
        cases = read(store, shard.cases)
        repeat = pa.array(np.repeat(np.arange(cases.num_rows), len(self.metric_ids)))
        columns = {
            name: cases[name].combine_chunks().take(repeat)
            for name in ("dataset_id", "case_id")
        }
        columns["metric_id"] = pa.array(
            list(self.metric_ids) * cases.num_rows, pa.string()
        )
        by_metric = [
            self._candidates(shard, store, metric_id) for metric_id in self.metric_ids
        ]
        columns["candidates"] = pa.array(
            [text for texts in zip(*by_metric, strict=True) for text in texts]
        )
        columns["error"] = pa.nulls(len(repeat), pa.string())
        return pa.table(columns)

    def _judged(self, shard: Shard, metric_id: str | None) -> Part | None:
        return shard.answers if metric_id is None else shard.scores[metric_id]

    def _candidates(
        self, shard: Shard, store: RunStore, metric_id: str | None
    ) -> list[str]:
        """The samples of each case as JSON text: `[[value, score, error], …]`, in
        sample order.
        """
        count = shard.cases.rows * self._samples
        values = (
            read(store, shard.answers)["value"].to_pylist()
            if self._reads_value
            else [None] * count
        )
        judged = read(store, self._judged(shard, metric_id))
        scores = judged["value"].to_pylist() if metric_id else [None] * count
        texts = [
            f"[{value or 'null'},{'null' if score is None else repr(score)},{_quoted(error)}]"
            for value, score, error in zip(
                values, scores, judged["error"].to_pylist(), strict=True
            )
        ]
        starts = range(0, len(texts), self._samples)
        return [
            "[" + ",".join(texts[start : start + self._samples]) + "]"
            for start in starts
        ]

    async def compute(self, rows: pa.Table, run_id: str, emit: Emit) -> None:
        metric_ids, texts = (
            rows["metric_id"].to_pylist(),
            rows["candidates"].to_pylist(),
        )
        reduce = self.reducer.reduce

        def call(position: int) -> Any:
            return reduce(
                _candidates(texts[position]), ReduceContext(metric_ids[position])
            )

        def to_record(position_and_result: tuple[int, Any]) -> dict[str, Any]:
            position, reduced = position_and_result
            return _record(reduced, texts[position], metric_ids[position])

        async def call_async(position: int) -> tuple[int, Any]:
            return position, await call(position)

        is_async = inspect.iscoroutinefunction(reduce)
        await call_rows(
            call_async if is_async else lambda position: (position, call(position)),
            rows.num_rows,
            is_async=is_async,
            name=f"reduce/{self.fingerprint}",
            runtime=self._runtime,
            to_record=to_record,
            emit=emit,
        )


def _quoted(text: str | None) -> str:
    return "null" if text is None else canonical_json(text)


def _candidates(text: str) -> list[Candidate]:
    return [
        Candidate(sample_index=index, value=value, score=score, error=error)
        for index, (value, score, error) in enumerate(load_json(text))
    ]


def _record(reduced: Any, text: str, metric_id: str | None) -> dict[str, Any]:
    if not isinstance(reduced, ReducedCandidate):
        raise RowError(
            f"the reducer returned {type(reduced).__name__}, not a ReducedCandidate"
        )
    score = None if reduced.score is None else float(reduced.score)
    if score is not None and not math.isfinite(score):
        raise RowError(f"the reducer returned {score}, which is no finite number")
    samples = load_json(text)
    unscored = sum(
        sample[2] is not None if metric_id is None else sample[1] is None
        for sample in samples
    )
    error = reduced.error
    if (
        score is None
        and error is None
        and (metric_id is not None or unscored == len(samples))
    ):
        error = next(
            (sample[2] for sample in samples if sample[2]),
            "the reducer returned no score",
        )
    try:
        return {
            "score": score,
            "sample_index": reduced.sample_index,
            "value": None if reduced.value is None else canonical_json(reduced.value),
            "n_samples": len(samples),
            "n_errors": unscored,
            "details": None
            if reduced.details is None
            else canonical_json(reduced.details),
            "error": error,
        }
    except ValueError as problem:
        raise RowError(f"the reducer's result cannot be kept: {problem}") from None
