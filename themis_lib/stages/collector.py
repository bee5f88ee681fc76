"""The outcomes of a shard's rows as they come: to the journal at once, and into the
shard's table at the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from themis_lib.core.models import TokenUsage
from themis_lib.errors import describe, first_few, is_transient
from themis_lib.identity.part import Part
from themis_lib.stages.progress import Progress
from themis_lib.storage.journal import Journal
from themis_lib.storage.tables import KEY, table_of

if TYPE_CHECKING:
    from themis_lib.stages.stage import RowOutcome, Stage
    from themis_lib.storage.shard import Shard

#: Finished rows are Python objects until there are so many, then a table, which takes
#: far less memory.
_ROWS_AS_OBJECTS = 512


class Collector:
    """Takes the outcomes of a shard as they come: rows to the journal, failures aside."""

    def __init__(
        self,
        stage: Stage,
        journal: Journal,
        keys: pa.Array,
        case_ids: pa.ChunkedArray,
        progress: Progress,
    ) -> None:
        self.journal = journal
        self.computed = 0
        self.failures: dict[bytes, Exception] = {}
        self._stage = stage
        self._schema = pa.schema([KEY, *stage.schema])
        self._tables: list[pa.Table] = []
        self._newest: list[dict[str, Any]] = []
        self._keys: list[bytes] = keys.to_pylist()
        self._case_ids = case_ids
        self._failed_cases: list[str] = []
        self._progress = progress

    @property
    def transient(self) -> bool:
        """Whether trying the failed rows again might help."""
        return any(is_transient(error) for error in self.failures.values())

    def emit(self, outcomes: Sequence[tuple[int, RowOutcome]]) -> None:
        """Take outcomes by position among the missing rows."""
        records = []
        for position, outcome in outcomes:
            key = self._keys[position]
            if isinstance(outcome, Exception):
                self.failures[key] = outcome
                self._failed_cases.append(self._case_ids[position].as_py())
            else:
                records.append(
                    {
                        **{name: _storable(value) for name, value in outcome.items()},
                        "key": key,
                    }
                )
        self.journal.append(records)
        self.computed += len(records)
        self._newest.extend(records)
        if len(self._newest) >= _ROWS_AS_OBJECTS:
            self._pack()
        self._progress.advance(self._stage.label, len(records), _usage_of(records))

    def table(self) -> pa.Table:
        """The rows that were computed, in the order in which they ended, and then those
        that failed.
        """
        self._pack()
        failures = [
            {"key": key, "error": describe(error)}
            for key, error in self.failures.items()
        ]
        return pa.concat_tables([*self._tables, table_of(failures, self._schema)])

    def counted(self, part: Part, *, cached: int) -> Part:
        """A reference with the counts of this call."""
        return replace(
            part, computed=self.computed, cached=cached, failed=len(self.failures)
        )

    def summary(self, shard: Shard) -> str:
        """One line: how many rows failed, of which cases, and why."""
        reasons = [describe(error) for error in self.failures.values()]
        most = max(Counter(reasons).items(), key=lambda item: (item[1], item[0]))[0]
        cases = first_few(self._failed_cases)
        return f"{self._stage.label} {shard.label}: {len(reasons)} row(s) failed ({cases}), most often {most}"

    def _pack(self) -> None:
        if self._newest:
            self._tables.append(table_of(self._newest, self._schema))
            self._newest = []


def _usage_of(rows: Sequence[Mapping[str, Any]]) -> TokenUsage | None:
    """The tokens of rows of the outputs table; null where none of them counts any."""
    counts = {
        name: [row[name] for row in rows if row.get(name) is not None]
        for name in TokenUsage.model_fields
    }
    known = {name: sum(found) for name, found in counts.items() if found}
    return TokenUsage(**known) if known else None


def _storable(value: Any) -> Any:
    """A value whose lone surrogates, which no file can hold, are written as escapes."""
    if not isinstance(value, str) or value.isascii():
        return value
    return value.encode("utf-8", "backslashreplace").decode()
