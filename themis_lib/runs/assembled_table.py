"""A table of a run, put together from the parts that the run refers to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from themis_lib.core.metadata import metadata_text
from themis_lib.errors import StoreError
from themis_lib.identity.digests import load_json
from themis_lib.runs.missing_results import missing_column
from themis_lib.runs.run_parts import HeldPart, RunParts, ShardParts, content_of
from themis_lib.stages.reading import outputs_apart
from themis_lib.stages.reasoning import REASONING
from themis_lib.storage.part_files import part_of
from themis_lib.storage.pieces import forms_of
from themis_lib.storage.store import RunStore
from themis_lib.storage.tables import (
    ANSWERS,
    CASES,
    KEY,
    OUTPUTS,
    RESULTS,
    RUN_TABLES,
    SCORES,
    with_columns_of,
)

#: The columns of the parts that hold the rows of each table.
_STORED: Mapping[str, pa.Schema] = {
    "cases": CASES,
    "outputs": pa.schema([KEY, *OUTPUTS]),
    "answers": pa.schema([KEY, *ANSWERS]),
    "verdicts": pa.schema([KEY, *OUTPUTS]),
    "scores": pa.schema([KEY, *SCORES]),
    "results": pa.schema([KEY, *RESULTS]),
}
#: What a part calls a column of a run's table, by the table's name for it: in the cache
#: the column keeps its first name, so that no row is lost.
_STORED_NAMES: Mapping[str, Mapping[str, str]] = {"scores": {"score": "value"}}
#: Tables whose texts may begin with reasoning, which has a column of its own there.
_WITH_REASONING = ("outputs", "verdicts")
#: The columns that taking it apart reads and changes.
_OF_REASONING = ("output", "error", REASONING)


class AssembledTable:
    """One table of a run; a group of rows for each shard and part.

    Raises `StoreError` where a part is gone, or holds other rows than the run had: if
    `as_stored`, only where it holds another number of them.
    """

    def __init__(
        self,
        store: RunStore,
        name: str,
        parts: RunParts,
        *,
        as_stored: bool = False,
    ) -> None:
        self.name = name
        self._as_stored = as_stored
        self._store = store
        self._parts = parts
        self._groups: list[tuple[ShardParts, int]] = []
        for shard in parts.shards:
            self._groups += [(shard, at) for at in range(len(shard.tables[name]))]

    @property
    def group_sizes(self) -> list[int]:
        """The rows of each group."""
        return [shard.tables[self.name][at].rows for shard, at in self._groups]

    def read(
        self,
        columns: Sequence[str] | None = None,
        *,
        where: pc.Expression | None = None,
    ) -> pa.Table:
        """Read the table, or some columns of it, or the rows `where` something holds."""
        names = list(columns or RUN_TABLES[self.name].names)
        if where is None:
            return self.read_groups(range(len(self._groups)), names)
        tested = _columns_read_by(where, RUN_TABLES[self.name])
        found = [RUN_TABLES[self.name].empty_table().select(names)]
        for shard, at in self._groups:
            # Most groups have no such row: the other columns stay unread.
            if self._group(shard, at, tested).filter(where).num_rows:
                both = list(dict.fromkeys([*names, *tested]))
                found.append(self._group(shard, at, both).filter(where).select(names))
        return pa.concat_tables(found)

    def read_groups(
        self,
        groups: Sequence[int],
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """Read some groups of rows."""
        names = list(columns or RUN_TABLES[self.name].names)
        # An empty table gives the columns their types where there is no group.
        tables = [RUN_TABLES[self.name].empty_table().select(names)]
        tables += [self._group(*self._groups[group], names) for group in groups]
        return pa.concat_tables(tables)

    def close(self) -> None:
        """Do nothing: no file is open between two reads."""

    def _group(
        self,
        shard: ShardParts,
        at: int,
        names: Sequence[str],
    ) -> pa.Table:
        """Return columns of the rows of one part of a shard."""
        part = shard.tables[self.name][at]
        given = self._given_columns(shard, at)
        stored = self._stored_columns(
            part, [name for name in names if name not in given]
        )
        schema = RUN_TABLES[self.name]
        columns = []
        for name in names:
            columns.append(given[name]() if name in given else stored[name])
        fields = [schema.field(name) for name in names]
        return pa.table(columns, schema=pa.schema(fields))

    def _stored_columns(
        self,
        part: HeldPart,
        names: Sequence[str],
    ) -> pa.Table:
        """Return columns of a part under their names in the run's table."""
        if self.name in _WITH_REASONING and set(names) & set(_OF_REASONING):
            outputs = self._read(self.name, part, _STORED[self.name].names)
            return as_in_run(self.name, outputs).select(list(names))
        stored_name = _STORED_NAMES.get(self.name, {})
        stored = [stored_name.get(name, name) for name in names]
        return self._read(self.name, part, stored).rename_columns(list(names))

    def _given_columns(
        self,
        shard: ShardParts,
        at: int,
    ) -> dict[str, Callable[[], pa.Array]]:
        """Return what makes the columns that the rows of a part do not hold."""
        part = shard.tables[self.name][at]
        if self.name == "cases":
            return {"metadata": partial(self._metadata, part)}
        cases, parts = shard.cases, self._parts
        per_case = part.rows // cases.rows

        def same(value: str) -> Callable[[], pa.Array]:
            return partial(pa.repeat, pa.scalar(value, pa.string()), part.rows)

        def in_turn(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
            turns = np.tile(np.arange(len(values)), cases.rows)
            return pa.array(values, kind).take(pa.array(turns))

        columns: dict[str, Callable[[], pa.Array]] = {}
        for name in ("dataset_id", "case_id"):
            columns[name] = partial(self._of_cases, cases, name, per_case)
        if self.name == "results":
            columns["metric_id"] = partial(in_turn, parts.reduced, pa.string())
            columns["reducer"] = same(parts.reducer)
            columns["missing"] = partial(self._missing, shard, part)
            return columns
        columns["sample_index"] = partial(in_turn, range(per_case), pa.int32())
        if self.name == "outputs":
            columns["seed"] = partial(in_turn, parts.seeds, pa.int64())
        if self.name == "scores":
            columns["metric_id"] = same(parts.metrics[at])
        if self.name == "verdicts":
            metric_id, judge_id = parts.judges[at]
            columns |= {"metric_id": same(metric_id), "judge_id": same(judge_id)}
        return columns

    def _of_cases(
        self,
        cases: HeldPart,
        name: str,
        per_case: int,
    ) -> pa.Array:
        """Return a column of the cases, each value as often as its case has rows."""
        column = self._read("cases", cases, [name])[name].combine_chunks()
        if per_case == 1:
            return column
        return column.take(pa.array(np.repeat(np.arange(cases.rows), per_case)))

    def _metadata(self, cases: HeldPart) -> pa.Array:
        """Return the metadata of cases as maps of texts."""
        return _maps_of(self._read("cases", cases, ["metadata"])["metadata"])

    def _missing(
        self,
        shard: ShardParts,
        part: HeldPart,
    ) -> pa.Array:
        """Return what each result lacks that has no score."""
        results = self._read("results", part, ["score", "sample_index"])
        # Without metrics there is nothing to lack.
        if None in self._parts.reduced or not results["score"].null_count:
            return pa.nulls(part.rows, pa.string())
        samples = {}
        for metric_id, scores in zip(
            self._parts.metrics, shard.tables["scores"], strict=True
        ):
            samples[metric_id] = self._read("scores", scores, ["value", "error"])
        (generated,) = shard.tables["outputs"]
        outputs = self._read("outputs", generated, ["finish_reason"])
        return missing_column(results, samples, outputs)

    def _read(
        self,
        name: str,
        part: HeldPart,
        columns: Sequence[str],
    ) -> pa.Table:
        """Return columns of a part; null where an earlier version did not write one."""
        what = "is gone"
        # A shard that was lost may have come back in its other form.
        for path in forms_of(part.path):
            if self._as_stored:
                table = self._store.read_as_stored(path, columns)
            else:
                table = self._store.read_columns(path, columns)
            if table is None:
                continue
            if self._is_expected(part, table):
                fields = [_STORED[name].field(column) for column in columns]
                return with_columns_of(table, pa.schema(fields))
            what = "holds other rows than the run had"
        raise StoreError(
            f"{self._store.uri(part.path)} {what}, and {name} of the run with them; "
            "run its experiment again, which computes what is missing"
        )

    def _is_expected(
        self,
        part: HeldPart,
        table: pa.Table,
    ) -> bool:
        """Return whether a part, of which this is read, may be read at all."""
        if self._as_stored:
            # Without columns a table of pieces has no rows to count.
            return not table.num_columns or table.num_rows == part.rows
        return content_of(part_of(part.path, table).columns) == part.content


def _columns_read_by(
    where: pc.Expression,
    schema: pa.Schema,
) -> list[str]:
    """Return the columns that an expression reads, of a table with this schema.

    An expression does not tell: it reads those without which it cannot be evaluated.
    """
    empty = schema.empty_table()
    empty.filter(where)
    read = []
    for name in schema.names:
        try:
            empty.drop_columns([name]).filter(where)
        except pa.ArrowInvalid:
            read.append(name)
    return read


def as_in_run(
    name: str,
    table: pa.Table,
) -> pa.Table:
    """Return a stage's rows under the columns that a run's table of this name has.

    The ids of cases and samples are not among them.
    """
    if name in ("outputs", "verdicts"):
        return outputs_apart(table)
    if name != "scores":
        return table
    # In the cache the column keeps its first name, so that no row is lost.
    names = ["score" if column == "value" else column for column in table.column_names]
    return table.rename_columns(names)


def cases_in_run(cases: pa.Table) -> pa.Table:
    """Return cases as rows of the run's table, their metadata as a map of texts."""
    schema = RUN_TABLES["cases"]
    columns = [cases[name] for name in schema.names[:-1]]
    columns.append(_maps_of(cases["metadata"]))
    return pa.table(columns, schema=schema)


def _maps_of(metadata: pa.ChunkedArray) -> pa.Array:
    """Return metadata as maps of texts."""
    # Each different metadata is parsed once: many cases share it.
    encoded = metadata.combine_chunks().dictionary_encode()
    maps = []
    for text in encoded.dictionary.to_pylist():
        items = load_json(text).items()
        maps.append([(name, metadata_text(value)) for name, value in items])
    kind = RUN_TABLES["cases"].field("metadata").type
    return pa.array(maps, kind).take(encoded.indices)
