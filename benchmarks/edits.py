"""What a run adds to a store that has all of its rows, or all but those of an edit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.edit_jobs import edited
from benchmarks.processes import folder, fresh
from benchmarks.report import Aim, Report, Row

_ONE_CASE = ("appended", "in_front", "removed", "moved")
#: Cases and edits.
_SIZES = ((20_000, 50), (200_000, 1), (1_000_000, 1))
_QUICK_SIZES = ((2_000, 4), (5_000, 1), (10_000, 1))


def measure(*, quick: bool) -> Report:
    rows: list[Row] = []
    for cases, edits in _QUICK_SIZES if quick else _SIZES:
        with folder() as place:
            measured = fresh(edited, folder=place, cases=cases, edits=edits)
        first, cached, last = measured["unchanged"]
        edited_runs, one_case = measured["edits"], measured["one_case"]
        for run in (cached, last):
            # It would be the time of other work.
            if run["computed"]:
                raise RuntimeError(f"a cached run computed {run['computed']} rows")
        rows.append(
            {
                "cases": cases,
                "edits": edits,
                "first_cpu_s": first["seconds"],
                "first_bytes": first["bytes"],
                "cached_cpu_s": cached["seconds"],
                "cached_bytes": cached["bytes"],
                "edit_cpu_s": sum(run["seconds"] for run in edited_runs) / edits,
                "edit_bytes": sum(run["bytes"] for run in edited_runs) / edits,
                "edit_files": sum(run["files"] for run in edited_runs) / edits,
                "cached_again_cpu_s": last["seconds"],
                **_columns(one_case),
            }
        )
    few, *_, many = rows
    return Report(
        how="one process of its own for each size, which evaluates, finds everything, is "
        "edited at three cases next to each other again and again, finds everything once "
        "more, and then has one case more at its end, one more in front, one less, and one "
        "elsewhere; seconds of processor, of cached runs the least of five; Parquet source",
        rows=rows,
        aims=[
            Aim("kB that an edit adds", few["edit_bytes"] / 1000, 100),
            Aim(
                "times the cached run's seconds after the edits",
                few["cached_again_cpu_s"] / few["cached_cpu_s"],
                1.2,
            ),
            Aim(f"s of {many['cases']:,} cached cases", many["cached_cpu_s"], 2),
            Aim(f"MB of {many['cases']:,} cached cases", many["cached_bytes"] / 1e6, 1),
            *(
                Aim(
                    f"times the cached run's seconds of {row['cases']:,} cases, "
                    f"one {name.replace('_', ' ')}",
                    row[f"{name}_cpu_s"] / row["cached_cpu_s"],
                    2,
                )
                for row in rows[1:]
                for name in _ONE_CASE
            ),
        ],
    )


def _columns(runs: Sequence[Mapping[str, float]]) -> Row:
    """Return the seconds of the runs with one case more, less or elsewhere."""
    columns: Row = {}
    for name, run in zip(_ONE_CASE, runs, strict=True):
        columns[f"{name}_cpu_s"] = run["seconds"]
    return columns
