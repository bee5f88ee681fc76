"""The tables of a run as plain rows, for comparing runs."""

from __future__ import annotations

from typing import Any

from themis_lib import RunResult
from themis_lib.storage.tables import RUN_TABLES, VOLATILE_COLUMNS


def tables_of(result: RunResult) -> dict[str, list[dict[str, Any]]]:
    """Every table of a run without the columns that differ from run to run."""
    return {
        name: [
            {
                column: value
                for column, value in row.items()
                if column not in VOLATILE_COLUMNS
            }
            for row in result.table(name).to_pylist()
        ]
        for name in RUN_TABLES
    }
