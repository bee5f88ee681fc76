"""The page of the tables of a run."""

from __future__ import annotations

import inspect

import pyarrow as pa

from themis_lib.storage import tables
from tools.reference.markdown import code, escape, meanings, page, table

_INTRODUCTION = """\
`RunResult.table(name)` returns the tables of a run, and `themis export RUN` writes them as
`<name>.parquet`. The column names are an interface. [What is kept](../concepts/what-is-kept.md)
shows how to read them with DuckDB, Polars and pandas."""

#: The tables of a run, then those that belong to no run.
TABLES = {**tables.RUN_TABLES, "labels": tables.LABELS, "draws": tables.DRAWS}


def tables_page() -> str:
    """Return the page."""
    about = (inspect.getdoc(tables) or "").split("\n\n", 1)[1]
    parts = [
        _INTRODUCTION,
        escape(about),
        f"This is version {tables.SCHEMA_VERSION} of the schemas.",
    ]
    for name, schema in TABLES.items():
        columns = _columns(schema, of=f"{name}.")
        parts += [f"## `{name}`", meanings()["tables"].get(name, ""), columns]
    return page("Tables", *parts)


def _columns(
    schema: pa.Schema,
    *,
    of: str,
) -> str:
    known = meanings()["columns"]
    rows = []
    for field in schema:
        text = known.get(f"{of}{field.name}") or known.get(field.name, "")
        rows.append((code(field.name), code(str(field.type)), text))
    return table(("column", "type", "meaning"), rows)
