"""The outcomes of a shard's rows: to the journal at once, to its table at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from themis_lib.core.model_prices import usage_in_tiers
from themis_lib.core.models import TokenUsage
from themis_lib.errors import (
    AwaitingBatchError,
    describe,
    escape_surrogates,
    first_few,
    is_transient,
)
from themis_lib.identity.part import Part
from themis_lib.stages.dependencies import Dependencies
from themis_lib.stages.outputs import batch_of
from themis_lib.stages.progress import Progress
from themis_lib.stages.stage import RowOutcome, Stage
from themis_lib.storage.journal import Journal
from themis_lib.storage.shard import Shard
from themis_lib.storage.tables import KEY, table_of

#: How many finished rows are kept as Python objects; then they become a table, which
#: takes far less memory.
_ROWS_AS_OBJECTS = 512
#: Once: Pydantic takes its time to tell the fields of a model.
_TOKEN_COUNTS = tuple(TokenUsage.model_fields)


class Collector:
    """Takes the outcomes of a shard: rows to the journal, failures aside."""

    def __init__(
        self,
        stage: Stage,
        dependencies: Dependencies,
        journal: Journal,
        keys: pa.Array,
        case_ids: pa.ChunkedArray,
        progress: Progress,
    ) -> None:
        self.journal = journal
        self.computed = 0
        self.failures: dict[bytes, Exception] = {}
        self._stage = stage
        self._dependencies = dependencies
        self._schema = pa.schema([KEY, *stage.schema])
        self._tables: list[pa.Table] = []
        self._newest: list[dict[str, Any]] = []
        #: The keys of the missing rows, by position.
        self.keys: list[bytes] = keys.to_pylist()
        self._case_ids = case_ids
        self._failed_cases: list[str] = []
        self._progress = progress

    @property
    def transient(self) -> bool:
        """Whether trying the failed rows again might help."""
        return any(is_transient(error) for error in self.failures.values())

    @property
    def waiting(self) -> bool:
        """Whether no row failed, and those without an outcome are in open batches."""
        reasons = self.failures.values()
        return all(isinstance(error, AwaitingBatchError) for error in reasons)

    def emit(self, outcomes: Sequence[tuple[int, RowOutcome]]) -> None:
        """Take outcomes by position among the missing rows."""
        # Before any row that may depend on them is kept.
        self._dependencies.record_new()
        records: list[dict[str, Any]] = []
        for position, outcome in outcomes:
            key = self.keys[position]
            if isinstance(outcome, Exception):
                self.failures[key] = outcome
                self._failed_cases.append(self._case_ids[position].as_py())
                continue
            record = dict(outcome)
            for name, value in outcome.items():
                # Most texts are ASCII, and need no look at each character.
                if isinstance(value, str) and not value.isascii():
                    record[name] = escape_surrogates(value)
            record["key"] = key
            records.append(record)
        # First to the journal: a row that is counted must survive a crash.
        self.journal.append(records)
        self.computed += len(records)
        self._newest.extend(records)
        if len(self._newest) >= _ROWS_AS_OBJECTS:
            self._pack_newest()
        if not self._stage.counts_tokens:
            self._progress.advance(self._stage.label, len(records))
            return
        by_batch = [row for row in records if batch_of(row.get("transport"))]
        self._progress.advance(
            self._stage.label,
            len(records),
            _sum_usage(records),
            _sum_usage(by_batch),
            usage_in_tiers(self._stage.price_of, records),
        )

    def take_table(self) -> pa.Table:
        """Return the computed rows in the order they finished, then the failed ones.

        They are kept here no longer.
        """
        self._pack_newest()
        failures = []
        for key, error in self.failures.items():
            failures.append({"key": key, "error": describe(error)})
        tables = [*self._tables, table_of(failures, self._schema)]
        self._tables = []
        return pa.concat_tables(tables)

    def counted(
        self,
        part: Part,
        *,
        cached: int,
    ) -> Part:
        """Return a reference with the counts of this call."""
        return replace(
            part,
            computed=self.computed,
            cached=cached,
            failed=len(self.failures),
        )

    def summary(self, shard: Shard) -> str:
        """Return one line: how many rows failed, of which cases, and why.

        Where none failed, it says which batches the shard waits for.
        """
        where = f"{self._stage.label} {shard.label}"
        count = len(self.failures)
        if self.waiting:
            batches = first_few(map(str, self.failures.values()))
            return f"{where}: {count} row(s) wait for {batches}"
        counts = Counter(describe(error) for error in self.failures.values())
        # Ties go to the last reason in the alphabet, so that equal runs say the same.
        reason, _ = max(counts.items(), key=lambda item: (item[1], item[0]))
        return (
            f"{where}: {count} row(s) failed "
            f"({first_few(self._failed_cases)}), most often {reason}"
        )

    def _pack_newest(self) -> None:
        if self._newest:
            self._tables.append(table_of(self._newest, self._schema))
            self._newest = []


def _sum_usage(rows: Sequence[Mapping[str, Any]]) -> TokenUsage | None:
    """Return the tokens of rows of the outputs table; `None` if no row counts any."""
    totals: dict[str, int] = {}
    for row in rows:
        for name in _TOKEN_COUNTS:
            count = row.get(name)
            if count is not None:
                totals[name] = totals.get(name, 0) + count
    return TokenUsage(**totals) if totals else None
