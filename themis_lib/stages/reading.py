"""What the stages read from a shard.

Tables are joined row by row; cases are handed on with every undeclared column hidden.
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
from themis_lib.stages.reasoning import REASONING, reasoning_apart, with_reasoning
from themis_lib.storage.shard import Shard
from themis_lib.storage.store import RunStore
from themis_lib.storage.tables import KEY, OUTPUTS, column_digests, with_columns_of

#: The case id of a case whose component does not declare that it reads it.
HIDDEN_CASE_ID = "case_id-not-in-reads"
_ID_COLUMNS = ("dataset_id", "case_id")


def read(
    store: RunStore,
    part: Part | None,
) -> pa.Table:
    """Return the table behind a reference. Raise `StoreError` if it is gone."""
    table = None if part is None else store.read_table(part.path)
    if table is None:
        path = part.path if part else "a table"
        raise StoreError(
            f"store {store.public_url!r}: {path} is gone; run again to recompute it"
        )
    return table


def read_outputs(
    store: RunStore,
    part: Part | None,
    *,
    whole: bool = False,
) -> pa.Table:
    """Return the outputs behind a reference, the models' reasoning in a column apart.

    With `whole`, `output` stays as it was written. Raise `StoreError` as `read` does.
    """
    return outputs_apart(read(store, part), whole=whole)


def outputs_apart(
    written: pa.Table,
    *,
    whole: bool = False,
) -> pa.Table:
    """Return outputs as `read_outputs` does, from the table that was written."""
    outputs = with_columns_of(written, pa.schema([KEY, *OUTPUTS]))
    return with_reasoning(outputs) if whole else reasoning_apart(outputs)


def output_digests(
    store: RunStore,
    part: Part | None,
    columns: Iterable[str],
    *,
    whole: bool = False,
) -> dict[str, str]:
    """Return the digests of what `read_outputs` returns, by column.

    They are those of the part, but where reasoning was taken out of a column.
    """
    names = list(columns)
    if part is None or not names:
        return {}
    written = read(store, part)
    apart = read_outputs(store, part, whole=whole)
    changed = []
    for name in names:
        if name == REASONING or not apart[name].equals(written[name]):
            changed.append(name)
    same = [name for name in names if name not in changed]
    return {
        **column_digests_of(part, same),
        **column_digests(apart.select(changed)),
    }


def sample_rows(
    shard: Shard,
    store: RunStore,
    samples: int,
    columns: Iterable[str],
) -> dict[str, pa.Array]:
    """Return ids and case columns, one row for each case and sample.

    The samples of a case are next to each other, in their order.
    """
    cases = read(store, shard.cases)
    repeat = pa.array(np.repeat(np.arange(cases.num_rows), samples))
    rows = {}
    # A component may read an id too: each column once.
    for name in dict.fromkeys((*_ID_COLUMNS, *columns)):
        rows[name] = cases[name].combine_chunks().take(repeat)
    indices = np.tile(np.arange(samples, dtype=np.int32), cases.num_rows)
    rows["sample_index"] = pa.array(indices)
    return rows


def column_digests_of(
    part: Part | None,
    columns: Iterable[str],
) -> dict[str, str]:
    """Return the digests of a part's columns, by name; none without a part."""
    if part is None:
        return {}
    return {name: part.columns[name] for name in columns}


def carried_errors(
    table: pa.Table,
    stage: str,
) -> pa.Array:
    """Return the errors of a stage's rows as later stages carry them.

    The name of the stage goes in front. A row without a key carries the error of an
    earlier stage already, with that stage's name.
    """
    texts = []
    for key, error in zip(
        table["key"].to_pylist(), table["error"].to_pylist(), strict=True
    ):
        if error is None or key is None:
            texts.append(error)
        else:
            texts.append(f"{stage}: {error}")
    return pa.array(texts, pa.string())


def answer_digests(
    shard: Shard,
    store: RunStore,
    reads: Sequence[str],
    samples: int,
    *,
    whole: bool = False,
) -> dict[str, Any]:
    """Return the digests of what `answer_rows` reads."""
    answers = [name for name in reads if name in ANSWER_COLUMNS]
    outputs = [name for name in reads if name in OUTPUT_COLUMNS]
    # The errors are read from the last stage whose columns are.
    if answers:
        answers.append("error")
    else:
        outputs.append("error")
    return {
        "cases": column_digests_of(shard.cases, case_columns(reads)),
        "outputs": output_digests(store, shard.outputs, outputs, whole=whole),
        "answers": column_digests_of(shard.answers, answers),
        "samples": samples,
    }


def answer_rows(
    shard: Shard,
    store: RunStore,
    reads: Sequence[str],
    samples: int,
    *,
    whole: bool = False,
) -> dict[str, pa.Array]:
    """Return what a metric reads, by column: ids, case, output, answer, and `error`.

    A metric that reads only the output needs no answer: its rows carry the errors of
    generate, not those of parse.
    """
    columns = sample_rows(
        shard,
        store,
        samples,
        case_columns(reads),
    )
    answers = [name for name in reads if name in ANSWER_COLUMNS]
    outputs = [name for name in reads if name in OUTPUT_COLUMNS]
    if answers:
        table = read(store, shard.answers)
        for name in answers:
            columns[name] = table[name].combine_chunks()
        errors = carried_errors(table, "parse")
    if outputs or not answers:
        table = read_outputs(store, shard.outputs, whole=whole)
        for name in outputs:
            columns[name] = table[name].combine_chunks()
        if not answers:
            errors = carried_errors(table, "generate")
    columns["error"] = errors
    return columns


def parsed_outputs(rows: pa.Table) -> list[ParsedOutput]:
    """Return the answer of each row, with the columns that were read."""
    values = _column_or_nulls(rows, "value")
    formats = _column_or_nulls(rows, "format")
    parsed = []
    for value, name in zip(values, formats, strict=True):
        parsed.append(
            ParsedOutput(
                value=load_json_or_null(value),
                format=name,
            )
        )
    return parsed


def visible_cases(
    rows: pa.Table,
    reads: Sequence[str],
) -> list[Case]:
    """Return the case of each row as its component may see it.

    The columns it declares are filled in, the rest hidden.
    """
    if "case_id" in reads:
        ids = rows["case_id"].to_pylist()
    else:
        ids = [HIDDEN_CASE_ID] * rows.num_rows
    columns = []
    for name in ("input", "expected_output", "metadata"):
        # Hidden even if another component of the stage has made the rows hold it.
        if name in reads:
            columns.append([load_json_or_null(text) for text in rows[name].to_pylist()])
        else:
            columns.append([None] * rows.num_rows)
    cases = []
    for case_id, value, expected, metadata in zip(ids, *columns, strict=True):
        case = Case(
            case_id=case_id,
            input=value,
            expected_output=expected,
            metadata=metadata or {},
        )
        cases.append(case)
    return cases


def _column_or_nulls(
    rows: pa.Table,
    name: str,
) -> list[Any]:
    """Return a column's values; as many times `None` where there is no such column."""
    if name in rows.column_names:
        return rows[name].to_pylist()  # type: ignore[no-any-return]
    return [None] * rows.num_rows
