"""The cases of a run as columns of JSON, for the browser of cases in a page.

A text is a string; a JSON value that is none is `{"t": text, "j": 1}`; a text that was
cut is `{"t": its beginning, "n": its length}`. Columns of samples hold those of a case
one after another. A column without a value is left out. An answer that is the whole
output is `1`.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from themis_lib.runs.results import RunResult
from themis_lib.runs.run_tables import RunTableFile, open_run_table
from themis_lib.storage.tables import RUN_TABLES

#: The lengths at which texts are cut, in characters: the first under which the cases
#: fit a page.
CUTS = (100_000, 20_000, 5_000, 1_000, 200)
_MOST_BYTES = 9_500_000  # compressed; base64 makes a third more of it
_MOST_RAW_BYTES = 40_000_000  # as a browser reads it
_GZIP_LEVEL = 3  # half the time of level 6, for a few percent more bytes

Positions = npt.NDArray[np.int64]

_OUTPUT_COLUMNS = (
    "output",
    "error",
    "finish_reason",
    "input_tokens",
    "output_tokens",
    "latency_s",
    "trace",
    "conversation",
    "artifacts",
    "transport",
)
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "cases": ("dataset_id", "case_id", "input", "expected_output", "metadata"),
    "outputs": ("seed", *_OUTPUT_COLUMNS),
    "answers": ("value", "format", "error"),
    "verdicts": ("metric_id", "judge_id", *_OUTPUT_COLUMNS),
    "scores": ("metric_id", "score", "details", "error"),
    "results": ("metric_id", "reducer", "score", "sample_index", "details", "error"),
}
#: Columns whose text is JSON; a string in them is shown as what it says.
_JSON_COLUMNS = {
    "input",
    "expected_output",
    "output",
    "value",
}


def spread(
    count: int,
    most: int,
) -> Positions:
    """Positions of at most so many of the items, evenly over all of them.

    >>> spread(10, 5).tolist(), spread(3, 5).tolist()
    ([0, 2, 4, 6, 8], [0, 1, 2])
    """
    return np.arange(count) if count <= most else np.arange(most) * count // most


def read_tables(
    result: RunResult,
    positions: Positions,
) -> dict[str, pa.Table]:
    """The rows of the chosen cases in every table of a run, a shard in memory at a
    time; empty if the run stopped.

    Rows keep the order of the run: samples within cases; in `scores` and `verdicts`,
    each metric's stay in order.
    """
    parts: dict[str, list[pa.Table]] = {
        name: [RUN_TABLES[name].empty_table()] for name in _COLUMNS
    }
    with contextlib.ExitStack() as opened:
        files = {}
        for name in _COLUMNS:
            file = open_run_table(result.store, result.run_id, name)
            if file is not None:
                files[name] = opened.enter_context(contextlib.closing(file))
        for shard, (chosen, cases) in enumerate(
            _iter_shards(files.get("cases"), positions)
        ):
            for name, file in files.items():
                shards = len(files["cases"].group_sizes)
                parts[name] += _chosen_rows(
                    file,
                    _COLUMNS[name],
                    shard,
                    shards=shards,
                    chosen=chosen,
                    cases=cases,
                )
    return {
        name: pa.concat_tables(table.select(_COLUMNS[name]) for table in parts[name])
        for name in _COLUMNS
    }


def pack(
    tables: Mapping[str, Mapping[str, pa.Table]],
    facts: Mapping[str, Any],
) -> tuple[str, int]:
    """Facts and the cases of runs by name, as compressed JSON in base64; and the length
    at which texts are cut.
    """
    for cut in CUTS:
        sides = {name: case_columns(of_run, cut) for name, of_run in tables.items()}
        content = orjson.dumps({**facts, "sides": sides})
        if len(content) > _MOST_RAW_BYTES and cut != CUTS[-1]:
            continue
        packed = gzip.compress(content, _GZIP_LEVEL, mtime=0)
        if len(packed) <= _MOST_BYTES:
            break
    return base64.b64encode(packed).decode(), cut


def case_columns(
    tables: Mapping[str, pa.Table],
    cut: int,
) -> dict[str, Any]:
    """The tables of a run as columns of JSON, with texts cut."""
    cases = tables["cases"]
    return {
        "cases": _table_columns(cases.drop_columns("metadata"), cut),
        "metadata": _metadata_columns(cases["metadata"], cut),
        "outputs": _table_columns(tables["outputs"], cut),
        "answers": _answer_columns(tables["answers"], tables["outputs"], cut),
        "verdicts": _by_part(tables["verdicts"], "judge_id", cut),
        "scores": _by_part(tables["scores"], "metric_id", cut),
        "results": _by_part(tables["results"], "metric_id", cut),
    }


def _iter_shards(
    cases: RunTableFile | None,
    positions: Positions,
) -> Iterator[tuple[Positions, int]]:
    """For each shard the chosen cases, counted from its first, and how many cases it
    has.
    """
    if cases is None:
        return
    start = 0
    for size in cases.group_sizes:
        yield positions[(positions >= start) & (positions < start + size)] - start, size
        start += size


def _chosen_rows(
    file: RunTableFile,
    columns: Sequence[str],
    shard: int,
    *,
    shards: int,
    chosen: Positions,
    cases: int,
) -> list[pa.Table]:
    """The rows of the chosen cases in one shard; scores have a row group for each
    metric, verdicts for each judge.
    """
    if not len(chosen):
        return []
    tables = []
    groups = len(file.group_sizes) // shards
    for group in range(shard * groups, (shard + 1) * groups):
        table = file.read_groups([group], columns)
        if len(chosen) < cases:
            each = table.num_rows // cases
            table = table.take((chosen[:, None] * each + np.arange(each)).ravel())
        tables.append(table)
    return tables


def _by_part(
    table: pa.Table,
    name: str,
    cut: int,
) -> dict[str, Any]:
    """The columns of each metric or judge; a run without metrics reduces to the name
    `""`.
    """
    names = pc.fill_null(table[name], "")
    return {
        part: _table_columns(
            table.filter(pc.equal(names, part)).drop_columns(name), cut
        )
        for part in pc.unique(names).to_pylist()
    }


def _table_columns(
    table: pa.Table,
    cut: int,
) -> dict[str, list[Any]]:
    return {
        name: _column_values(table[name], name, cut)
        for name in table.column_names
        if table[name].null_count < table.num_rows
    }


def _answer_columns(
    answers: pa.Table,
    outputs: pa.Table,
    cut: int,
) -> dict[str, list[Any]]:
    columns = _table_columns(answers, cut)
    if "value" in columns:
        same = pc.fill_null(
            pc.equal(answers["value"], outputs["output"]), False
        ).to_pylist()
        columns["value"] = [
            1 if equal else value
            for equal, value in zip(same, columns["value"], strict=True)
        ]
    return columns


def _column_values(
    column: pa.ChunkedArray,
    name: str,
    cut: int,
) -> list[Any]:
    if not pa.types.is_string(column.type):
        return column.to_pylist()  # type: ignore[no-any-return]
    longest = pc.max(pc.utf8_length(column)).as_py()
    texts = (
        _read_json(column.to_pylist()) if name in _JSON_COLUMNS else column.to_pylist()
    )
    return texts if longest <= cut else [_shorten_text(text, cut) for text in texts]


def _read_json(texts: list[str | None]) -> list[Any]:
    """JSON texts as the strings that they hold; whatever is no string stays JSON, and
    is marked.
    """
    return [
        None
        if text is None
        else orjson.loads(text)
        if text.startswith('"')
        else {"t": text, "j": 1}
        for text in texts
    ]


def _shorten_text(
    text: Any,
    cut: int,
) -> Any:
    whole = text["t"] if isinstance(text, dict) else text
    if whole is None or len(whole) <= cut:
        return text
    return {
        **(text if isinstance(text, dict) else {}),
        "t": whole[:cut],
        "n": len(whole),
    }


def _metadata_columns(
    column: pa.ChunkedArray,
    cut: int,
) -> dict[str, list[Any]]:
    """A column for each name, in the order in which names first appear."""
    maps = column.combine_chunks()
    items = range(maps.offsets[0].as_py(), maps.offsets[-1].as_py())
    rows = np.repeat(np.arange(len(maps)), np.diff(maps.offsets.to_numpy()))
    names, texts = maps.keys.to_pylist(), maps.items.to_pylist()
    columns: dict[str, list[Any]] = {}
    for row, item in zip(rows.tolist(), items, strict=True):
        columns.setdefault(names[item], [None] * len(maps))[row] = _shorten_text(
            texts[item], cut
        )
    return columns
