"""What the identity of users' components costs: at compile time, for a large file, and
for each row.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from statistics import median

from benchmarks import identity_jobs as jobs
from benchmarks.processes import folder, fresh
from benchmarks.report import Aim, Report, Row
from themis_lib.identity.file_state import FileState

_MODULES, _QUICK_MODULES = 200, 20
_FILE_BYTES, _QUICK_FILE_BYTES = 10**9, 32 * 2**20
_ROWS, _QUICK_ROWS = 100_000, 4_000
_SHARDS = 40
_BLOCK_BYTES = 2**20
#: Seconds since 1970: a file whose time is past is not about to change.
_PAST = 1_600_000_000


def measure(*, quick: bool) -> Report:
    compiling = _measure_compiling(quick=quick)
    return Report(
        how=compiling.how,
        rows=compiling.rows,
        aims=compiling.aims,
        parts={
            "a declared file": _measure_file(quick=quick),
            "files traced": _measure_tracing(quick=quick),
        },
    )


def _measure_compiling(*, quick: bool) -> Report:
    modules = _QUICK_MODULES if quick else _MODULES
    repeats = 1 if quick else 5
    with folder() as path:
        jobs.write_package(path=str(path), modules=modules)
        runs = []
        for _ in range(repeats):
            runs.append(
                fresh(jobs.compile_times, path=path, modules=modules, turns=repeats)
            )
    imports, cold, warm = (
        median(run[name] for run in runs) for name in ("import", "cold", "warm")
    )
    rows: list[Row] = [
        {"what": "cold, the import of the package included", "seconds": imports + cold},
        {"what": "cold, the package imported before", "seconds": cold},
        {"what": "warm, again in the same process", "seconds": warm},
    ]
    return Report(
        how=f"median of {repeats} fresh processes, from the settings to the pipeline "
        f"and its fingerprint; the metric reaches {runs[0]['definitions']:,} "
        f"definitions in {modules} modules",
        rows=rows,
        aims=[Aim("seconds to compile, warm", warm, 0.3)],
    )


def _measure_file(*, quick: bool) -> Report:
    size = _QUICK_FILE_BYTES if quick else _FILE_BYTES
    rows: list[Row] = []
    with folder() as path, folder() as memory:
        environment = {**os.environ, "THEMIS_CACHE_DIR": str(memory)}
        _write_data(path / "data.bin", size)
        # Scored again where the digest of the file is another, and only there.
        runs = {
            "first run, the file is read": 10,
            "second run, in a new process": 0,
            "another store, in a new process": 10,
            "the same content with another time, read again": 0,
        }
        for what, scored in runs.items():
            if "store" in what:
                shutil.rmtree(path / "store")
            if "time" in what:
                os.utime(path / "data.bin", (_PAST + 1, _PAST + 1))
                _wait_until_settled(path / "data.bin")
            run = fresh(jobs.declared_file, environment=environment, path=path, rows=10)
            if run["scored"] != scored:
                raise RuntimeError(f"{what}: scored {run['scored']} rows of {scored}")
            rows.append({"what": what, "seconds": run["seconds"]})
    return Report(
        how=f"each in a fresh process after its imports: a run of 10 rows whose metric "
        f"declares a file of {size / 10**9:.2g} GB in `depends_on`",
        rows=rows,
        aims=[Aim("seconds of the second run", rows[1]["seconds"], 1)],
    )


def _measure_tracing(*, quick: bool) -> Report:
    count = _QUICK_ROWS if quick else _ROWS
    turns = 2 if quick else 4
    rows: list[Row] = []
    aims = []
    for metric, what in {
        "comparing": "compares two texts",
        "with_a_file": "also opens a file, once a shard",
    }.items():
        with folder() as path:
            seconds = fresh(
                jobs.tracing_times,
                path=path,
                metric=metric,
                rows=count,
                shard_size=count // _SHARDS,
                turns=turns,
            )
        on, off = (_SHARDS * median(seconds[state]) for state in ("on", "off"))
        slower = 100 * (on / off - 1)
        rows.append(
            {"metric": what, "on_s": on, "off_s": off, "slower_percent": slower}
        )
        aims.append(Aim(f"% slower, a metric that {what}", slower, 3))
    return Report(
        how=f"CPU seconds to score {count:,} rows in {_SHARDS} shards, which take turns "
        f"with tracing on and off: {_SHARDS} times the median shard of {turns} runs",
        rows=rows,
        aims=aims,
    )


def _write_data(path: Path, size: int) -> None:
    with path.open("wb") as file:
        for _ in range(0, size, _BLOCK_BYTES):
            file.write(os.urandom(_BLOCK_BYTES))
        file.truncate(size)
    os.utime(path, (_PAST, _PAST))
    _wait_until_settled(path)


def _wait_until_settled(path: Path) -> None:
    """Wait until another change of a file would show in its times."""
    while not FileState.of(path).is_settled():
        time.sleep(0.1)
