"""The reduce stage: the samples of a case become one result for each metric."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Collection, Sequence
from itertools import chain
from typing import Any, cast

import numpy as np
import pyarrow as pa

from themis_lib.components.records import BuiltComponent, BuiltReducer
from themis_lib.core.config import RuntimeConfig
from themis_lib.core.contexts import ReduceContext
from themis_lib.core.models import Candidate, ReducedCandidate
from themis_lib.errors import RowError
from themis_lib.identity.digests import canonical_json, load_json
from themis_lib.identity.part import Part
from themis_lib.stages.calls import OutcomeSink, call_rows
from themis_lib.stages.reading import column_digests_of, read
from themis_lib.stages.stage import Emit, Stage
from themis_lib.storage.shard import Shard
from themis_lib.storage.store import RunStore
from themis_lib.storage.tables import RESULTS


class ReduceStage(Stage):
    """Rows are cases × metrics; without metrics, one row for each case.

    A key covers the metric's name, the samples' scores, the reasons of those that have
    none, and the parsed values if the reducer reads them.
    """

    name = "reduce"
    schema = RESULTS

    def __init__(
        self,
        reducer: BuiltReducer,
        *,
        metric_ids: Sequence[str],
        lower_is_better: Collection[str] = (),
        samples: int,
        runtime: RuntimeConfig,
    ) -> None:
        self.reducer = reducer
        self.metric_ids: tuple[str | None, ...] = tuple(metric_ids) or (None,)
        self._lower_is_better = frozenset(lower_is_better)
        self._samples = samples
        self._runtime = runtime
        self._reads_value = "value" in reducer.reads

    @property
    def components(self) -> tuple[BuiltComponent, ...]:
        return (self.reducer,)

    @property
    def identity(self) -> dict[str, Any]:
        identity: dict[str, Any] = {"reducer": self.reducer.identity}
        # Absent where there are none: most experiments' rows were stored without it.
        if self._lower_is_better:
            identity["lower_is_better"] = sorted(self._lower_is_better)
        return identity

    @property
    def reads(self) -> tuple[str, ...]:
        return ("metric_id", "candidates")

    def columns(
        self,
        shard: Shard,
        store: RunStore,
    ) -> dict[str, Any]:
        scores = []
        for metric_id in self.metric_ids:
            part = self._reduced_part(shard, metric_id)
            names = ("error",) if metric_id is None else ("value", "error")
            scores.append(column_digests_of(part, names))
        values = ("value",) if self._reads_value else ()
        return {
            "answers": column_digests_of(shard.answers, values),
            "scores": scores,
            "metric_ids": list(self.metric_ids),
            "samples": self._samples,
        }

    def rows(
        self,
        shard: Shard,
        store: RunStore,
    ) -> pa.Table:
        cases = read(store, shard.cases)
        metric_ids = list(self.metric_ids) * cases.num_rows
        repeat = pa.array(np.repeat(np.arange(cases.num_rows), len(self.metric_ids)))
        by_metric = []
        for metric_id in self.metric_ids:
            by_metric.append(self._candidate_texts(shard, store, metric_id))
        # The metrics of a case are next to each other, like `metric_ids`.
        candidates = chain.from_iterable(zip(*by_metric, strict=True))
        return pa.table(
            {
                "dataset_id": cases["dataset_id"].combine_chunks().take(repeat),
                "case_id": cases["case_id"].combine_chunks().take(repeat),
                "metric_id": pa.array(metric_ids, pa.string()),
                "candidates": pa.array(list(candidates)),
                "error": pa.nulls(len(repeat), pa.string()),
            }
        )

    def _reduced_part(
        self,
        shard: Shard,
        metric_id: str | None,
    ) -> Part | None:
        """Return the part whose samples are reduced: without metrics, the answers."""
        return shard.answers if metric_id is None else shard.scores[metric_id]

    def _candidate_texts(
        self,
        shard: Shard,
        store: RunStore,
        metric_id: str | None,
    ) -> list[str]:
        """Return the samples of each case as JSON: `[[value, score, error], …]`."""
        count = shard.cases.rows * self._samples
        values: list[str | None] = [None] * count
        scores: list[float | None] = [None] * count
        if self._reads_value:
            values = read(store, shard.answers)["value"].to_pylist()
        reduced = read(store, self._reduced_part(shard, metric_id))
        if metric_id is not None:
            scores = reduced["value"].to_pylist()
        errors = reduced["error"].to_pylist()
        texts = list(map(candidate_text, values, scores, errors))
        cases = []
        for start in range(0, count, self._samples):
            samples = texts[start : start + self._samples]
            cases.append("[" + ",".join(samples) + "]")
        return cases

    async def compute(
        self,
        rows: pa.Table,
        run_id: str,
        emit: Emit,
    ) -> None:
        metric_ids = rows["metric_id"].to_pylist()
        # The key's own text is the input, so that a key cannot miss an input.
        texts = rows["candidates"].to_pylist()
        reduce = self.reducer.reduce

        def reduce_row(position: int) -> tuple[int, Any]:
            candidates = []
            samples = load_json(texts[position])
            for index, (value, score, error) in enumerate(samples):
                candidate = Candidate(
                    sample_index=index,
                    value=value,
                    score=score,
                    error=error,
                )
                candidates.append(candidate)
            metric_id = metric_ids[position]
            higher_is_better = metric_id not in self._lower_is_better
            context = ReduceContext(metric_id, higher_is_better)
            return position, reduce(candidates, context)

        async def reduce_row_async(position: int) -> tuple[int, Any]:
            position, reduced = reduce_row(position)
            return position, await cast(Awaitable[Any], reduced)

        def to_record(position_and_result: tuple[int, Any]) -> dict[str, Any]:
            position, reduced = position_and_result
            return _result_record(reduced, texts[position], metric_ids[position])

        is_async = self.reducer.is_async
        await call_rows(
            reduce_row_async if is_async else reduce_row,
            rows.num_rows,
            OutcomeSink(emit, to_record, unknown_is_fact=True),
            is_async=is_async,
            name=f"reduce/{self.fingerprint}",
            runtime=self._runtime,
        )


def candidate_text(
    value: str | None,
    score: float | None,
    error: str | None,
) -> str:
    """Return a sample as the key of its result covers it: `[value, score, error]`.

    >>> candidate_text('"A"', 1.0, None)
    '["A",1.0,null]'
    """
    # Written by hand: values are JSON already, and a float's `repr` is exact.
    score_text = "null" if score is None else repr(score)
    error_text = "null" if error is None else canonical_json(error)
    return f"[{value or 'null'},{score_text},{error_text}]"


def _result_record(
    reduced: Any,
    text: str,
    metric_id: str | None,
) -> dict[str, Any]:
    """Return what a reducer returned as a row of the results table.

    `text` holds the samples that it was given. Raise `RowError` if it is no result.
    """
    if not isinstance(reduced, ReducedCandidate):
        raise RowError(
            f"the reducer returned {type(reduced).__name__}, not a ReducedCandidate"
        )
    # A reducer may return an int, a bool or a number of NumPy.
    score = None if reduced.score is None else float(reduced.score)
    if score is not None and not math.isfinite(score):
        raise RowError(f"the reducer returned {score}, which is no finite number")
    samples = load_json(text)
    unscored = _count_unscored(samples, metric_id)
    error = reduced.error
    # Without metrics a result has no score anyway: then all samples must have failed.
    needs_score = metric_id is not None or unscored == len(samples)
    if score is None and error is None and needs_score:
        error = _first_error(samples) or "the reducer returned no score"
    try:
        return {
            "score": score,
            "sample_index": reduced.sample_index,
            "value": _json_or_none(reduced.value),
            "n_samples": len(samples),
            "n_errors": unscored,
            "details": _json_or_none(reduced.details),
            "error": error,
        }
    except ValueError as problem:
        raise RowError(f"the reducer's result cannot be kept: {problem}") from None


def _count_unscored(
    samples: Sequence[Sequence[Any]],
    metric_id: str | None,
) -> int:
    """Count the samples without a score; without metrics, those with an error."""
    unscored = 0
    for _value, score, error in samples:
        unscored += (error is not None) if metric_id is None else (score is None)
    return unscored


def _first_error(samples: Sequence[Sequence[Any]]) -> str | None:
    for _value, _score, error in samples:
        if error:
            return str(error)
    return None


def _json_or_none(value: Any) -> str | None:
    return None if value is None else canonical_json(value)
