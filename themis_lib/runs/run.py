"""One run in the making: the tables it writes as shards are finished, and its record."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from themis_lib.core.metadata import metadata_text
from themis_lib.core.models import TokenUsage
from themis_lib.core.prices import added
from themis_lib.errors import describe
from themis_lib.identity.digests import load_json
from themis_lib.runs.agreement import Labels
from themis_lib.runs.manifest import (
    GateRecord,
    Manifest,
    RunStatus,
    new_run_id,
    now,
    start_manifest,
    write_manifest,
)
from themis_lib.runs.pipeline import Pipeline
from themis_lib.runs.results import RunResult
from themis_lib.runs.summary import GroupedScores, lacks_scores, summarise
from themis_lib.stages.progress import Progress
from themis_lib.stages.reading import read, sample_rows
from themis_lib.storage.shard import Shard
from themis_lib.storage.store import RunStore
from themis_lib.storage.table_writers import TableWriters
from themis_lib.storage.tables import RUN_TABLES

_JUDGE_IDS = ("metric_id", "judge_id")


class Run:
    """Takes finished shards in order, writes the run's tables, and closes with a
    status.

    Use as a context manager: an exception leaves a record that says `failed`, and no
    half-written table. `gates` are on its record until they are judged, so that a run
    whose judgement is missing is not taken for one without gates.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        store: RunStore,
        *,
        run_id: str | None = None,
        gates: Sequence[GateRecord] = (),
    ) -> None:
        self.pipeline = pipeline
        self.store = store
        self.run_id = run_id or new_run_id()
        self.progress = Progress()
        self.begun = False
        self.result: RunResult | None = None
        self._tables = TableWriters(store, f"runs/{self.run_id}")
        self._scores = GroupedScores(pipeline.experiment.evaluation)
        self._labels = Labels(pipeline.experiment.evaluation.agreement)
        self._errors: defaultdict[str, int] = defaultdict(int)
        self._usage: dict[str, TokenUsage] = {}
        self._counted: defaultdict[str, set[bytes]] = defaultdict(set)
        self._datasets: defaultdict[str, int] = defaultdict(int)
        self._cases: list[str] = []
        self._manifest = start_manifest(pipeline, self.run_id).model_copy(
            update={"gates": list(gates)}
        )

    def __enter__(self) -> Run:
        with self.store.refusals():
            write_manifest(self.store, self._manifest)
        self.begun = True
        return self

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if error is not None:
            self._tables.abandon()
            with contextlib.suppress(Exception):
                stopped = not isinstance(
                    error, Exception
                )  # Ctrl-C, a cancelled task, a signal to end
                self._close(
                    RunStatus.FAILED,
                    error="interrupted" if stopped else describe(error),
                )

    def expect(self, shard: Shard) -> None:
        """Announce a shard, so that progress knows how much there is to do."""
        self._cases.append(shard.cases.path)
        for stage in self.pipeline.stages:
            self.progress.expect(stage.label, self.pipeline.rows_in(stage, shard))

    def add(self, shard: Shard) -> None:
        """Write a finished shard to the run's tables. Shards come in order."""
        self._datasets[shard.dataset_id] += shard.cases.rows
        cases = read(self.store, shard.cases)
        self._tables.write("cases", _case_table(cases))
        ids = sample_rows(shard, self.store, self.pipeline.samples, ())
        seeds = pa.array(list(self.pipeline.seeds) * cases.num_rows, pa.int64())
        if shard.outputs:
            self._add_samples(
                "outputs",
                self.pipeline.generate.label,
                shard.outputs,
                {**ids, "seed": seeds},
            )
        if shard.answers:
            self._add_samples("answers", self.pipeline.parse.label, shard.answers, ids)
        for stage in self.pipeline.judges if shard.verdicts else ():
            part = shard.verdicts[stage.label]
            names = {
                name: pa.array([getattr(stage, name)] * part.rows, pa.string())
                for name in _JUDGE_IDS
            }
            self._add_samples("verdicts", stage.label, part, {**ids, **names})
        for metric_id, part in shard.scores.items():
            names = {"metric_id": pa.array([metric_id] * part.rows, pa.string())}
            self._add_samples("scores", f"score[{metric_id}]", part, {**ids, **names})
        if shard.results:
            self._add_results(shard, cases)

    def finish(self) -> RunResult:
        """Write the summary and the record, and hand over the result."""
        statistics = self.pipeline.experiment.evaluation.statistics
        table, computed = summarise(self._scores.groups(), statistics, self.store)
        self._tables.write("summary", table)
        self._tables.close()
        self._close(
            RunStatus.FAILED if lacks_scores(table) else self._status(),
            summary_computed=computed,
        )
        self.result = RunResult(self.store, self.run_id, self._manifest)
        return self.result

    def _add_samples(
        self, name: str, label: str, part: Any, columns: Mapping[str, pa.Array]
    ) -> None:
        table = read(self.store, part)
        if name == "scores":  # rows in the cache have another name for it, which stays
            names = [
                "score" if column == "value" else column
                for column in table.column_names
            ]
            table = table.rename_columns(names)
        self._errors[label] += table.num_rows - table["error"].null_count
        usage = _usage_in(table, self._counted[label])
        if usage is not None:
            self._usage[label] = added(self._usage.get(label, TokenUsage()), usage)
        self._tables.write(name, _joined(columns, table, RUN_TABLES[name]))

    def _add_results(self, shard: Shard, cases: pa.Table) -> None:
        reduce = self.pipeline.reduce
        ids = {
            name: pa.array(
                [value for value in cases[name].to_pylist() for _ in reduce.metric_ids],
                pa.string(),
            )
            for name in ("dataset_id", "case_id")
        }
        ids["metric_id"] = pa.array(
            list(reduce.metric_ids) * cases.num_rows, pa.string()
        )
        ids["reducer"] = pa.array(
            [reduce.reducer.component_id] * len(ids["metric_id"]), pa.string()
        )
        self._add_samples("results", reduce.label, shard.results, ids)
        metric_ids = [
            metric_id for metric_id in reduce.metric_ids if metric_id is not None
        ]
        if metric_ids:
            results = read(self.store, shard.results)
            samples = {
                metric_id: read(self.store, shard.scores[metric_id])
                for metric_id in metric_ids
            }
            self._scores.add(cases, results, samples)
            self._labels.add(cases, results, metric_ids)

    def _status(self) -> RunStatus:
        counts = self.progress.stages()
        last = [
            stage.label
            for stage in self.pipeline.stages
            if stage.name == self.pipeline.stages[-1].name
        ]
        if sum(self._errors[label] for label in last) >= sum(
            counts[label].done for label in last
        ):
            return RunStatus.FAILED
        return (
            RunStatus.PARTIAL_FAILURE
            if any(self._errors.values())
            else RunStatus.COMPLETED
        )

    def _close(
        self, status: RunStatus, *, error: str | None = None, summary_computed: int = 0
    ) -> None:
        counts = self.progress.stages()
        stages = [
            record.model_copy(
                update={
                    "rows": counts[record.stage].done,
                    "computed": counts[record.stage].computed,
                    "cached": counts[record.stage].cached,
                    "failed": counts[record.stage].failed,
                    "skipped": counts[record.stage].skipped,
                    "errors": self._errors[record.stage],
                    "usage": self._usage.get(record.stage),
                    "usage_computed": counts[record.stage].usage,
                    "price": self.pipeline.stage(record.stage).price,
                }
            )
            if record.stage in counts
            else record
            for record in self._manifest.stages
        ]
        closing: dict[str, Any] = {
            "status": status,
            "finished_at": now(),
            "error": error,
            "stages": stages,
            "datasets": dict(self._datasets),
            "cases": self._cases,
            "summary_computed": summary_computed,
            "agreement": [] if error else self._labels.records(),
        }
        self._manifest = Manifest.model_validate(
            {**self._manifest.model_dump(), **closing}
        )
        write_manifest(self.store, self._manifest)


def _usage_in(table: pa.Table, counted: set[bytes]) -> TokenUsage | None:
    """The tokens of a shard's outputs, each key once in a run; null where none of its
    rows counts any.
    """
    if (
        "input_tokens" not in table.column_names
        or table["input_tokens"].null_count == table.num_rows
    ):
        return None
    new = []
    for position, key in enumerate(table["key"].to_pylist()):
        if key is not None and key not in counted:
            counted.add(key)
            new.append(position)
    rows = table.take(pa.array(new, pa.int64()))
    counts = {name: pc.sum(rows[name]).as_py() for name in TokenUsage.model_fields}
    return (
        TokenUsage(**counts)
        if any(count is not None for count in counts.values())
        else None
    )


def _joined(
    columns: Mapping[str, pa.Array], table: pa.Table, schema: pa.Schema
) -> pa.Table:
    arrays = {**columns, **{name: table[name] for name in table.column_names}}
    return pa.table([arrays[name] for name in schema.names], schema=schema)


def _case_table(cases: pa.Table) -> pa.Table:
    schema = RUN_TABLES["cases"]
    texts = cases["metadata"].combine_chunks().dictionary_encode()
    items = pa.array(
        map(_metadata_items, texts.dictionary.to_pylist()),
        schema.field("metadata").type,
    )
    return pa.table(
        [*(cases[name] for name in schema.names[:-1]), items.take(texts.indices)],
        schema=schema,
    )


def _metadata_items(text: str) -> list[tuple[str, str]]:
    """Metadata as a map of texts."""
    if text == "{}":
        return []
    return [(name, metadata_text(value)) for name, value in load_json(text).items()]
