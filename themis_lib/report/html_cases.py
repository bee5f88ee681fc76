"""The cases of a run as columns of JSON, for the browser of cases in a page.

A text is a string. A JSON value that is not a string is `{"t": text, "j": 1}`; a text
that was cut is `{"t": its beginning, "n": its length}`. Columns of samples hold those
of a case one after another. A column without a value is left out. An answer that is the
whole output is `1`.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from themis_lib.core.prompts import PromptSpec, template_of
from themis_lib.core.templates import PromptTemplate
from themis_lib.errors import RowError
from themis_lib.identity.digests import canonical_json, load_json
from themis_lib.runs.manifest import Manifest
from themis_lib.runs.results import RunResult
from themis_lib.runs.run_tables import RunTable
from themis_lib.storage.tables import RUN_TABLES

#: The lengths at which texts are cut, in characters. The first at which the cases fit
#: the page is used.
CUTS = (100_000, 20_000, 5_000, 1_000, 200)
# Compressed; base64 makes a third more of it.
_MOST_BYTES = 9_500_000
# As a browser has to read it.
_MOST_RAW_BYTES = 40_000_000
# Half the time of level 6, for a few percent more bytes.
_GZIP_LEVEL = 3

Positions = npt.NDArray[np.int64]

_OUTPUT_COLUMNS = (
    "output",
    "reasoning",
    "error",
    "finish_reason",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "latency_s",
    "trace",
    "conversation",
    "artifacts",
    "transport",
)
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "cases": (
        "dataset_id",
        "case_id",
        "input",
        "expected_output",
        "metadata",
    ),
    "outputs": ("seed", *_OUTPUT_COLUMNS),
    "answers": (
        "value",
        "format",
        "error",
    ),
    "verdicts": (
        "metric_id",
        "judge_id",
        *_OUTPUT_COLUMNS,
    ),
    "scores": (
        "metric_id",
        "score",
        "details",
        "error",
    ),
    "results": (
        "metric_id",
        "reducer",
        "score",
        "sample_index",
        "details",
        "error",
    ),
}
# Columns whose text is JSON; a string in them is shown without its quotes.
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
    """Return positions of at most `most` of `count` items, evenly over all of them.

    >>> spread(10, 5).tolist(), spread(3, 5).tolist()
    ([0, 2, 4, 6, 8], [0, 1, 2])
    """
    if count <= most:
        return np.arange(count)
    return np.arange(most) * count // most


def read_tables(
    result: RunResult,
    positions: Positions,
) -> dict[str, pa.Table]:
    """Read the rows of the chosen cases in every table of a run.

    One shard is in memory at a time. Tables are empty if the run stopped before them.
    Rows keep the order of the run, samples within cases; in `scores` and `verdicts`,
    each metric's stay in order.
    """
    parts: dict[str, list[pa.Table]] = {}
    for name in _COLUMNS:
        # An empty table gives the columns their types where nothing was read.
        parts[name] = [RUN_TABLES[name].empty_table()]
    with contextlib.ExitStack() as opened:
        run_tables: dict[str, RunTable] = {}
        for name in _COLUMNS:
            run_table = result.open_table(name)
            if run_table is not None:
                run_tables[name] = opened.enter_context(contextlib.closing(run_table))
        # Every shard of cases is one group, by which the others are found.
        sizes = run_tables["cases"].group_sizes if "cases" in run_tables else []
        start = 0
        for shard, size in enumerate(sizes):
            is_here = (positions >= start) & (positions < start + size)
            chosen = positions[is_here] - start
            start += size
            if not len(chosen):
                continue
            for name, run_table in run_tables.items():
                groups = len(run_table.group_sizes) // len(sizes)
                for group in range(shard * groups, (shard + 1) * groups):
                    table = run_table.read_groups([group], _COLUMNS[name])
                    parts[name].append(take_cases(table, chosen, size))
    tables = {}
    for name, columns in _COLUMNS.items():
        selected = [table.select(columns) for table in parts[name]]
        tables[name] = pa.concat_tables(selected)
    template = template_of(prompt_spec_of(result.manifest))
    if template is not None:
        tables["cases"] = _with_rendered_inputs(tables["cases"], template)
    return tables


def prompt_spec_of(manifest: Manifest) -> PromptSpec:
    """Return the prompt spec of a run, which is in what identifies its first stage."""
    if not manifest.stages:
        return PromptSpec()
    return PromptSpec(**manifest.stages[0].identity.get("prompt_spec", {}))


def _with_rendered_inputs(
    cases: pa.Table,
    template: PromptTemplate,
) -> pa.Table:
    """Return cases with the inputs that the model was sent, where they can be rendered."""
    texts = []
    for text in cases["input"].to_pylist():
        # The reason why it could not be is the error of its row.
        with contextlib.suppress(RowError):
            text = canonical_json(template.render(load_json(text)))
        texts.append(text)
    at = cases.column_names.index("input")
    return cases.set_column(at, "input", pa.array(texts, pa.string()))


def take_cases(
    table: pa.Table,
    chosen: Positions,
    cases: int,
) -> pa.Table:
    """Return the rows of the chosen cases; every case has equally many rows."""
    # Taking all rows would copy them for nothing.
    if len(chosen) == cases:
        return table
    per_case = table.num_rows // cases
    rows = chosen[:, None] * per_case + np.arange(per_case)
    return table.take(rows.ravel())


def pack(
    tables: Mapping[str, Mapping[str, pa.Table]],
    facts: Mapping[str, Any],
) -> tuple[str, int]:
    """Pack facts and the cases of runs, by name, as compressed JSON in base64.

    Also returns the length at which texts are cut.
    """
    for cut in CUTS:
        sides = {name: case_columns(of_run, cut) for name, of_run in tables.items()}
        content = orjson.dumps({**facts, "sides": sides})
        # Too much for a browser to read; the shortest cut is used in any case.
        if len(content) > _MOST_RAW_BYTES and cut != CUTS[-1]:
            continue
        # With the time in it, the same run would have another page.
        packed = gzip.compress(content, _GZIP_LEVEL, mtime=0)
        if len(packed) <= _MOST_BYTES:
            break
    return base64.b64encode(packed).decode(), cut


def case_columns(
    tables: Mapping[str, pa.Table],
    cut: int,
) -> dict[str, Any]:
    """Return the tables of a run as columns of JSON, with texts cut at `cut`."""
    cases = tables["cases"]
    answers = _columns_of(tables["answers"], cut)
    if "value" in answers:
        # Most answers are the whole output, which the page then holds once.
        same = pc.equal(
            tables["answers"]["value"],
            tables["outputs"]["output"],
        )
        for row, is_same in enumerate(same.to_pylist()):
            if is_same:
                answers["value"][row] = 1
    return {
        "cases": _columns_of(cases.drop_columns("metadata"), cut),
        "metadata": metadata_columns(cases["metadata"], cut),
        "outputs": _columns_of(tables["outputs"], cut),
        "answers": answers,
        "verdicts": _by_part(
            tables["verdicts"],
            "judge_id",
            cut,
        ),
        "scores": _by_part(
            tables["scores"],
            "metric_id",
            cut,
        ),
        "results": _by_part(
            tables["results"],
            "metric_id",
            cut,
        ),
    }


def _by_part(
    table: pa.Table,
    name: str,
    cut: int,
) -> dict[str, Any]:
    """Return the columns of each metric or judge."""
    # A run without metrics reduces without one, and JSON has no null among its keys.
    names = pc.fill_null(table[name], "")
    parts = {}
    for part in pc.unique(names).to_pylist():
        rows = table.filter(pc.equal(names, part))
        parts[part] = _columns_of(rows.drop_columns(name), cut)
    return parts


def _columns_of(
    table: pa.Table,
    cut: int,
) -> dict[str, list[Any]]:
    columns = {}
    for name in table.column_names:
        column = table[name]
        # An empty column would cost bytes for every case and show nothing.
        if column.null_count == table.num_rows:
            continue
        values = column.to_pylist()
        if pa.types.is_string(column.type):
            # Measured before JSON is read: what it holds is never longer.
            longest = pc.max(pc.utf8_length(column)).as_py()
            if name in _JSON_COLUMNS:
                values = list(map(_read_json, values))
            if longest > cut:
                values = [_shorten_text(text, cut) for text in values]
        columns[name] = values
    return columns


def _read_json(text: str | None) -> Any:
    """Return the string that a JSON text holds, or other JSON marked as such."""
    if text is None:
        return None
    if text.startswith('"'):
        return orjson.loads(text)
    # Marked, since a string may look like other JSON.
    return {"t": text, "j": 1}


def _shorten_text(
    text: Any,
    cut: int,
) -> Any:
    """Return a text, or marked JSON, cut and with its whole length."""
    marks = text if isinstance(text, dict) else {"t": text}
    whole = marks["t"]
    if whole is None or len(whole) <= cut:
        return text
    return {
        **marks,
        "t": whole[:cut],
        "n": len(whole),
    }


def metadata_columns(
    column: pa.ChunkedArray,
    cut: int,
) -> dict[str, list[Any]]:
    """Return a column for each name, in the order in which names first appear."""
    maps = column.combine_chunks()
    # A slice keeps the keys of the whole array; its own begin at the first offset.
    items = range(
        maps.offsets[0].as_py(),
        maps.offsets[-1].as_py(),
    )
    sizes = np.diff(maps.offsets.to_numpy())
    rows = np.repeat(np.arange(len(maps)), sizes)
    names = maps.keys.to_pylist()
    texts = maps.items.to_pylist()
    columns: dict[str, list[Any]] = {}
    for row, item in zip(rows.tolist(), items, strict=True):
        if names[item] not in columns:
            columns[names[item]] = [None] * len(maps)
        columns[names[item]][row] = _shorten_text(texts[item], cut)
    return columns
