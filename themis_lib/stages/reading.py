"""What the stages read from a shard: tables joined row by row, and cases with
everything undeclared masked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from themis_lib.core.models import Case, ParsedOutput
from themis_lib.core.protocols import ANSWER_COLUMNS, OUTPUT_COLUMNS, case_columns
from themis_lib.errors import StoreError
from themis_lib.identity.digests import load_json_or_null
from themis_lib.identity.part import Part
from themis_lib.storage.shard import Shard
from themis_lib.storage.store import RunStore

#: Stands for the case id in the case handed to a component that does not declare that
#: it reads it.
HIDDEN_CASE_ID = "case_id-not-in-reads"


def read(store: RunStore, part: Part | None) -> pa.Table:
    """The table behind a reference. Raises `StoreError` when it is gone."""
    table = None if part is None else store.read_table(part.path)
    if table is None:
        raise StoreError(
            f"store {store.url!r}: {part.path if part else 'a table'} is gone; run again to recompute it"
        )
    return table


def sample_rows(
    shard: Shard, store: RunStore, samples: int, columns: Iterable[str]
) -> dict[str, pa.Array]:
    """Ids and case columns, one row for each case and sample; the samples of a case
    stand together.
    """
    cases = read(store, shard.cases)
    repeat = pa.array(np.repeat(np.arange(cases.num_rows), samples))
    names = [
        "dataset_id",
        "case_id",
        *(name for name in columns if name not in ("dataset_id", "case_id")),
    ]
    rows = {name: cases[name].combine_chunks().take(repeat) for name in names}
    rows["sample_index"] = pa.array(
        np.tile(np.arange(samples, dtype=np.int32), cases.num_rows)
    )
    return rows


def column_digests_of(part: Part | None, columns: Iterable[str]) -> dict[str, str]:
    """The digests of a part's columns, by name."""
    return {name: part.columns[name] for name in columns} if part else {}


def carried_errors(table: pa.Table, stage: str) -> pa.Array:
    """The errors of a stage's rows as later stages carry them: behind the name of the
    stage they come from.

    A row without a key carries the error of an earlier stage already.
    """
    pairs = zip(table["key"].to_pylist(), table["error"].to_pylist(), strict=True)
    texts = [
        text if text is None or key is None else f"{stage}: {text}"
        for key, text in pairs
    ]
    return pa.array(texts, pa.string())


def answer_digests(shard: Shard, reads: Sequence[str], samples: int) -> dict[str, Any]:
    """The digests of what `answer_rows` reads."""
    answers = [name for name in reads if name in ANSWER_COLUMNS]
    outputs = [name for name in reads if name in OUTPUT_COLUMNS]
    return {
        "cases": column_digests_of(shard.cases, case_columns(reads)),
        "outputs": column_digests_of(
            shard.outputs, outputs if answers else [*outputs, "error"]
        ),
        "answers": column_digests_of(
            shard.answers, [*answers, "error"] if answers else []
        ),
        "samples": samples,
    }


def answer_rows(
    shard: Shard, store: RunStore, reads: Sequence[str], samples: int
) -> dict[str, pa.Array]:
    """What a metric judges by its columns: ids, case, output and answer, and the error
    of a sample that lacks it.

    A metric that reads the output alone needs no answer to be there.
    """
    columns = sample_rows(shard, store, samples, case_columns(reads))
    for part, names in (
        (shard.answers, ANSWER_COLUMNS),
        (shard.outputs, OUTPUT_COLUMNS),
    ):
        wanted = [name for name in reads if name in names]
        if wanted:
            table = read(store, part)
            columns.update({name: table[name].combine_chunks() for name in wanted})
    reads_answer = any(name in ANSWER_COLUMNS for name in reads)
    source, stage = (
        (shard.answers, "parse") if reads_answer else (shard.outputs, "generate")
    )
    columns["error"] = carried_errors(read(store, source), stage)
    return columns


def parsed_outputs(rows: pa.Table) -> list[ParsedOutput]:
    """The answer of each row, in the columns that were read."""
    count = rows.num_rows
    values = (
        rows["value"].to_pylist() if "value" in rows.column_names else [None] * count
    )
    formats = (
        rows["format"].to_pylist() if "format" in rows.column_names else [None] * count
    )
    return [
        ParsedOutput(value=load_json_or_null(value), format=name)
        for value, name in zip(values, formats, strict=True)
    ]


def visible_cases(rows: pa.Table, reads: Sequence[str]) -> list[Case]:
    """The case of each row as its component may see it: the columns it declares, the
    rest masked.
    """
    count = rows.num_rows
    ids = (
        rows["case_id"].to_pylist() if "case_id" in reads else [HIDDEN_CASE_ID] * count
    )
    values = {
        name: list(map(load_json_or_null, rows[name].to_pylist()))
        if name in reads
        else [None] * count
        for name in ("input", "expected_output", "metadata")
    }
    return [
        Case(
            case_id=case_id,
            input=value,
            expected_output=expected,
            metadata=metadata or {},
        )
        for case_id, value, expected, metadata in zip(
            ids,
            values["input"],
            values["expected_output"],
            values["metadata"],
            strict=True,
        )
    ]
