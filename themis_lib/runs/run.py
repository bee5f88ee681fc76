"""One run in the making: the parts it takes as shards finish, and its record."""

from __future__ import annotations

import contextlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from themis_lib.core.model_prices import usage_in_tiers
from themis_lib.core.models import TokenUsage
from themis_lib.core.prices import added, added_in_tiers
from themis_lib.data.cut import data_digests
from themis_lib.errors import AwaitingBatchError, DiskFullError, describe
from themis_lib.finishing import finish_first
from themis_lib.identity.part import Part
from themis_lib.runs import provenance
from themis_lib.runs.agreement import Labels
from themis_lib.runs.corpus_cases import ScoredRows, case_lines
from themis_lib.runs.corpus_summary import in_order_of, summarise_corpus
from themis_lib.runs.manifest import (
    GateRecord,
    ImportRecord,
    Manifest,
    RunStatus,
    new_run_id,
    now,
    start_manifest,
    write_manifest,
)
from themis_lib.runs.missing_results import missing_column
from themis_lib.runs.pipeline import Pipeline
from themis_lib.runs.results import RunResult
from themis_lib.runs.run_parts import RunParts, ShardParts, parts_path
from themis_lib.runs.run_spans import RunSpans
from themis_lib.runs.score_groups import GroupedScores
from themis_lib.runs.score_range import ScoreRange
from themis_lib.runs.sequential import SequentialRecord
from themis_lib.runs.sequential_summary import with_confidence_sequences
from themis_lib.runs.stage_prices import price_in
from themis_lib.runs.step_records import StepTokens, requests_in, step_records
from themis_lib.runs.summary import lacks_scores, summarise
from themis_lib.stages.dependencies import dependencies_of
from themis_lib.stages.endings import Ending, count_endings
from themis_lib.stages.outputs import batch_of
from themis_lib.stages.progress import Progress
from themis_lib.stages.reading import read, read_outputs
from themis_lib.stages.stage import Stage
from themis_lib.stats.clusters import Floats
from themis_lib.storage.batch_ledger import BatchLedger
from themis_lib.storage.compact_guard import guard_parts
from themis_lib.storage.index import KeyIndex
from themis_lib.storage.part_files import parquet_bytes
from themis_lib.storage.shard import Shard
from themis_lib.storage.store import RunStore


class Run:
    """Takes finished shards in order, notes what they hold, and ends with a status.

    Use it as a context manager: an exception leaves a record that says `failed`, and no
    tables. `gates` are on its record until they are judged, so that a run
    whose judgement is missing is not taken for one without gates. `imported` says where
    a run is from that another tool evaluated.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        store: RunStore,
        *,
        run_id: str | None = None,
        gates: Sequence[GateRecord] = (),
        imported: ImportRecord | None = None,
    ) -> None:
        self.pipeline = pipeline.resolved(store)
        self.store = store
        self.run_id = run_id or new_run_id()
        self.progress = Progress()
        self.spans = RunSpans(
            pipeline.experiment.runtime.telemetry,
            run_id=self.run_id,
            experiment=pipeline.experiment.name,
        )
        self.begun = False
        self.result: RunResult | None = None
        evaluation = pipeline.experiment.evaluation
        self._shards: list[ShardParts] = []
        self._scores = GroupedScores(evaluation)
        self._corpus_metrics = {
            stage.metric_id: stage.metric
            for stage in self.pipeline.scores
            if stage.metric.corpus_score is not None
        }
        self._labels = Labels(evaluation.agreement)
        self._errors: defaultdict[str, int] = defaultdict(int)
        self._awaiting_batch: defaultdict[str, int] = defaultdict(int)
        self._endings: defaultdict[str, Counter[Ending]] = defaultdict(Counter)
        self._usage: dict[str, TokenUsage] = {}
        self._in_tiers: defaultdict[str, dict[int, TokenUsage]] = defaultdict(dict)
        self._usage_by_batch: dict[str, TokenUsage] = {}
        self._step_tokens = StepTokens(self.pipeline.generate.steps)
        # Keys whose tokens are counted: equal rows of a run are charged once.
        self._counted_keys: defaultdict[str, KeyIndex] = defaultdict(KeyIndex)
        self._datasets: defaultdict[str, int] = defaultdict(int)
        self._expected: list[Shard] = []
        manifest = start_manifest(self.pipeline, self.run_id)
        record: dict[str, Any] = {"gates": list(gates)}
        if imported is not None:
            record |= {"imported": imported, "model": imported.model}
        self._manifest = manifest.model_copy(update=record)

    def __enter__(self) -> Run:
        # First: what is wrong with its settings leaves no record.
        self.spans.begin()
        try:
            with self.store.refusals():
                write_manifest(self.store, self._manifest)
        except BaseException as error:
            self.spans.end(RunStatus.FAILED.value, error)
            raise
        self.begun = True
        return self

    def __exit__(
        self,
        kind: Any,
        error: BaseException | None,
        traceback: Any,
    ) -> None:
        try:
            finish_first(lambda: self._close(error))
        finally:
            self.spans.end(self._manifest.status.value, error)

    def _close(self, error: BaseException | None) -> None:
        """Leave a record of an error."""
        # A value of a user's may fail to show itself: its rows are computed again.
        with contextlib.suppress(Exception):
            self._note_state()
        if error is not None:
            self.abandon(error)

    def abandon(self, error: BaseException) -> None:
        """Leave a record that says `failed`, and why."""
        # Ctrl-C, a cancelled task or a signal is no `Exception`.
        reason = "interrupted"
        if isinstance(error, DiskFullError):
            # A full disk says nothing about the experiment, and the next run goes on.
            reason = f"interrupted: {error}"
        elif isinstance(error, Exception):
            reason = describe(error)
        # The first error is the one to tell, not that the record cannot be written.
        with contextlib.suppress(Exception):
            self._write_closing(RunStatus.FAILED, error=reason)

    def _note_state(self) -> None:
        """Note what the stages that computed rows left in their components' code."""
        counts = self.progress.stages()
        for stage in self.pipeline.stages:
            if stage.label in counts and counts[stage.label].computed:
                for component in stage.components:
                    component.note_state()

    def expect(self, shard: Shard) -> None:
        """Announce a shard, so that progress knows how much there is to do."""
        self._expected.append(shard)
        for stage in self.pipeline.stages:
            self.progress.expect(stage.label, self.pipeline.rows_in(stage, shard))

    def add(self, shard: Shard) -> None:
        """Take a finished shard, and note what it holds. Shards come in order."""
        self._shards.append(ShardParts.of(shard))
        self._datasets[shard.dataset_id] += shard.cases.rows
        if shard.outputs:
            label = self.pipeline.generate.label
            self._count_outputs(label, shard.outputs)
        if shard.answers:
            self._count_errors(self.pipeline.parse.label, shard.answers)
        for label, part in shard.verdicts.items():
            self._count_outputs(label, part)
        for metric_id, part in shard.scores.items():
            self._count_errors(f"score[{metric_id}]", part)
        if shard.results:
            self._add_results(shard, shard.results)
        self._free_tables(shard)

    def _free_tables(self, shard: Shard) -> None:
        """Leave the tables of a finished shard.

        Another shard reads one again where it has a row of it too.
        """
        parts = [shard.cases, shard.outputs, shard.answers, shard.results]
        for part in (*parts, *shard.verdicts.values(), *shard.scores.values()):
            if part is not None:
                self.store.free(part.path)
        pool = pa.default_memory_pool()
        # Arrow's own allocators keep what they held for the largest shard.
        if pool.backend_name != "system":
            pool.release_unused()

    def scores(
        self,
        dataset_id: str,
        metric_id: str,
    ) -> Floats:
        """Return the scores of the cases added so far, in the order they came in.

        NaN for a case that failed, and `UNANSWERED` for one without an answer.
        """
        return self._scores.in_order(dataset_id, metric_id)

    def finish(self, sequential: SequentialRecord | None = None) -> RunResult:
        """Write the summary and the record, and return the result.

        Of a run that was to stop when decided, `sequential` says how it was: its
        summary has confidence sequences in place of intervals.
        """
        statistics = self.pipeline.experiment.evaluation.statistics
        ranges = {}
        for stage in self.pipeline.scores:
            observed = self._scores.observed(stage.metric_id)
            ranges[stage.metric_id] = ScoreRange.of(
                observed,
                declared=stage.metric.score_range,
                higher_is_better=stage.metric.higher_is_better,
            )
        table, computed = self._summarise(ranges)
        if sequential is not None:
            table = with_confidence_sequences(
                table,
                self._scores.groups(),
                statistics,
                self._declared_ranges(ranges),
            )
            update = {"sequential": sequential}
            self._manifest = self._manifest.model_copy(update=update)
        # Before the record: one that says `completed` has all its tables.
        self._write_tables(table)
        status = self._final_status()
        if status is not RunStatus.WAITING and lacks_scores(table):
            status = RunStatus.FAILED
        self._write_closing(status, summary_computed=computed)
        self.result = RunResult(
            self.store,
            self.run_id,
            self._manifest,
            corpus_metrics=self._corpus_metrics,
        )
        return self.result

    def _summarise(
        self,
        ranges: Mapping[str, ScoreRange],
    ) -> tuple[pa.Table, int]:
        """Return the summary, and how many of its rows were computed."""
        statistics = self.pipeline.experiment.evaluation.statistics
        groups = self._scores.groups()
        means = {}
        for group, scores in groups.items():
            if group[2] not in self._corpus_metrics:
                means[group] = scores
        table, computed = summarise(means, statistics, self.store, ranges)
        if not self._corpus_metrics:
            return table, computed
        stages = {stage.metric_id: stage for stage in self.pipeline.scores}
        metrics = {}
        for metric_id, metric in self._corpus_metrics.items():
            metrics[metric_id] = (stages[metric_id].fingerprint, metric)
        corpus, more = summarise_corpus(
            self._scores.corpus_groups(), metrics, statistics, self.store
        )
        return in_order_of(list(groups), table, corpus), computed + more

    def _declared_ranges(
        self,
        ranges: Mapping[str, ScoreRange],
    ) -> dict[str, ScoreRange]:
        """Return the ranges that metrics declare, and that their scores keep to."""
        declared = {}
        for stage in self.pipeline.scores:
            # A sequence is about a mean of cases.
            if stage.metric.corpus_score is not None:
                continue
            found = ranges[stage.metric_id]
            if stage.metric.score_range == (found.lowest, found.highest):
                declared[stage.metric_id] = found
        return declared

    def _write_tables(self, summary: pa.Table) -> None:
        """Write the summary, and which parts hold the rows of the other tables."""
        guard_parts(self.store)
        parts = RunParts.of(self.pipeline, self._shards)
        contents = {
            parts_path(self.run_id): parts.to_bytes(),
            f"runs/{self.run_id}/summary.parquet": parquet_bytes(summary),
        }
        for path, content in contents.items():
            self.store.replace(path, content)
        # Where reading takes requests, a report of the run need not read them back.
        if not self.store.local:
            self.store.hold(contents)

    def _add_results(
        self,
        shard: Shard,
        part: Part,
    ) -> None:
        """Count the errors of results, and take their scores."""
        reduce = self.pipeline.reduce
        self._count_errors(reduce.label, part)
        samples = {}
        for metric_id in reduce.metric_ids:
            if metric_id is not None:  # without metrics there is nothing to summarise
                samples[metric_id] = read(self.store, shard.scores[metric_id])
        if not samples:
            return
        results = read(self.store, part)
        missing = pa.nulls(results.num_rows, pa.string())
        if results["score"].null_count:
            outputs = read(self.store, shard.outputs)
            missing = missing_column(results, samples, outputs)
        results = results.append_column("missing", missing)
        cases = read(self.store, shard.cases)
        lines = self._corpus_lines(shard, cases, results, samples)
        self._scores.add(cases, results, samples, lines)
        self._labels.add(cases, results, list(samples))

    def _corpus_lines(
        self,
        shard: Shard,
        cases: pa.Table,
        results: pa.Table,
        samples: Mapping[str, pa.Table],
    ) -> dict[str, list[str]]:
        """Return the lines of a shard's cases under each metric of a data set."""
        lines: dict[str, list[str]] = {}
        if not self._corpus_metrics:
            return lines
        outputs = read(self.store, shard.outputs)
        for metric_id, metric in self._corpus_metrics.items():
            # Each case has a result for each metric, next to each other.
            place = list(samples).index(metric_id)
            mine = results.take(
                pa.array(range(place, results.num_rows, len(samples)), pa.int64())
            )
            rows = ScoredRows.of(samples[metric_id], mine, outputs, cases)
            lines[metric_id] = case_lines(rows, metric)
        return lines

    def _count_errors(
        self,
        label: str,
        part: Part,
    ) -> None:
        """Count the rows of a stage without a value."""
        errors = read(self.store, part)["error"]
        self._errors[label] += part.rows - errors.null_count

    def _count_outputs(
        self,
        label: str,
        part: Part,
    ) -> None:
        """Count errors, endings and tokens of what models wrote."""
        stage = self.pipeline.stage(label)
        table = read_outputs(self.store, part)
        self._errors[label] += table.num_rows - table["error"].null_count
        if stage.goes_by_batch:
            is_waiting = pc.starts_with(table["error"], AwaitingBatchError.__name__)
            self._awaiting_batch[label] += pc.sum(is_waiting).as_py() or 0
        self._endings[label].update(count_endings(table))
        counts = table.select(list(TokenUsage.model_fields))
        is_counted = any(column.null_count < part.rows for column in counts.columns)
        # Most rows that no provider's model wrote count no tokens.
        if not is_counted and not stage.steps:
            return
        counted = [*TokenUsage.model_fields, "key", "transport"]
        new = _new_rows(table.select(counted), self._counted_keys[label])
        _add_usage(self._usage, label, new)
        _add_usage(self._usage_by_batch, label, _by_batch(new))
        self._add_tiers(stage, new)
        if stage.steps:
            self._step_tokens.add(new)

    def _add_tiers(
        self,
        stage: Stage,
        rows: pa.Table,
    ) -> None:
        """Add the tokens of requests that are in a tier of their price."""
        least = None if stage.price_of is None else stage.price_of.least_tier
        if least is None:
            return
        requests: list[dict[str, Any]] = []
        if stage.steps:
            # A row is many requests, none of which need be as long as all of them.
            for transport in rows["transport"].to_pylist():
                requests += requests_in(transport, "model")
        else:
            counts = rows.select(list(TokenUsage.model_fields))
            long = counts.filter(pc.greater(counts["input_tokens"], least))
            requests = long.to_pylist()
        in_tiers = usage_in_tiers(stage.price_of, requests)
        self._in_tiers[stage.label] = added_in_tiers(
            self._in_tiers[stage.label], in_tiers
        )

    def _final_status(self) -> RunStatus:
        """Return how the run ended: failed if its last stage has no row without error."""
        counts = self.progress.stages()
        last = self.pipeline.stages[-1].name
        rows = errors = 0
        for stage in self.pipeline.stages:
            if stage.name == last:
                rows += counts[stage.label].done
                errors += self._errors[stage.label]
        # Also for a run without any row: it has nothing to show.
        if any(self._awaiting_batch.values()):
            return RunStatus.WAITING
        if errors >= rows:
            return RunStatus.FAILED
        if any(self._errors.values()):
            return RunStatus.PARTIAL_FAILURE
        return RunStatus.COMPLETED

    def _open_batches(self, stage: Stage) -> list[str]:
        """Return the ids of the batches at a provider that rows of a stage wait for."""
        if not self._awaiting_batch[stage.label]:
            return []
        ledger = BatchLedger(self.store, stage.name, stage.fingerprint)
        return [batch.batch_id or batch.label for batch in ledger.open_batches()]

    def _write_closing(
        self,
        status: RunStatus,
        *,
        error: str | None = None,
        summary_computed: int = 0,
    ) -> None:
        """Write the record of the run as it ended."""
        counts = self.progress.stages()
        stages = []
        for record in self._manifest.stages:
            if record.stage in counts:
                counted = counts[record.stage]
                stage = self.pipeline.stage(record.stage)
                record = record.model_copy(
                    update={
                        "rows": counted.done,
                        "computed": counted.computed,
                        "cached": counted.cached,
                        "failed": counted.failed,
                        "skipped": counted.skipped,
                        "errors": self._errors[record.stage],
                        "endings": dict(self._endings[record.stage]),
                        "usage": self._usage.get(record.stage),
                        "usage_computed": counted.usage,
                        "in_tiers": self._in_tiers[record.stage],
                        "in_tiers_computed": dict(counted.in_tiers),
                        "price": price_in(self.store, stage),
                        "usage_by_batch": self._usage_by_batch.get(record.stage),
                        "usage_computed_by_batch": counted.usage_by_batch,
                        "open_batches": self._open_batches(stage),
                        "dependencies": dependencies_of(stage, self.store),
                    }
                )
            stages.append(record)
        closing: dict[str, Any] = {
            "status": status,
            "finished_at": now(),
            "error": error,
            "tables": "files" if error else "parts",
            "stages": stages,
            "steps": step_records(
                self.pipeline.generate.steps,
                self.store,
                self.progress.steps(),
                self._step_tokens,
            ),
            "datasets": dict(self._datasets),
            # Of a run that stopped, maybe not all cases were read.
            "data": {} if error else data_digests(self._expected),
            # Its components have loaded by now what they compute with.
            "versions": provenance.versions(),
            "cases": [shard.cases.path for shard in self._expected],
            "summary_computed": summary_computed,
            "agreement": [] if error else self._labels.records(),
        }
        fields = {**self._manifest.model_dump(), **closing}
        self._manifest = Manifest.model_validate(fields)
        write_manifest(self.store, self._manifest)


def _new_rows(
    table: pa.Table,
    counted: KeyIndex,
) -> pa.Table:
    """Return the rows of a shard's outputs whose keys are not counted yet: each counts
    once in a run. Adds the keys to `counted`.
    """
    keys = table["key"].combine_chunks()
    # By half of a key: tokens are no reason to keep all of every key in memory.
    earlier = counted.find(keys) >= 0
    positions = []
    mine: set[bytes] = set()
    for position, key in enumerate(keys.to_pylist()):
        if key is not None and not earlier[position] and key not in mine:
            mine.add(key)
            positions.append(position)
    counted.add(keys, 0)
    # As in most shards: taking all rows would copy them.
    if len(positions) == table.num_rows:
        return table
    return table.take(pa.array(positions, pa.int64()))


def _by_batch(rows: pa.Table) -> pa.Table:
    """Return the rows that came by batch."""
    # In Arrow: in most runs no row is one, and the column may hold whole replies.
    rows = rows.filter(pc.match_substring(rows["transport"], '"batch_id":'))
    transports = rows["transport"].to_pylist()
    is_by_batch = [batch_of(text) is not None for text in transports]
    return rows.filter(pa.array(is_by_batch, pa.bool_()))


def _add_usage(
    totals: dict[str, TokenUsage],
    label: str,
    rows: pa.Table,
) -> None:
    """Add the tokens of rows to those of a stage, unless no row counts any."""
    counts = {name: pc.sum(rows[name]).as_py() for name in TokenUsage.model_fields}
    if any(count is not None for count in counts.values()):
        usage = TokenUsage(**counts)
        totals[label] = added(totals.get(label, TokenUsage()), usage)
