"""What 100 million cases and 1,000 workers would take, by arithmetic from what the cases,
rows and shards of smaller runs take here.
"""

from __future__ import annotations

from math import ceil

from benchmarks.in_process import STAGES
from benchmarks.jobs import in_process, write_cases
from benchmarks.processes import folder, fresh
from benchmarks.report import Report, Row
from benchmarks.scale_jobs import constants

_SIZES, _QUICK_SIZES = (200_000, 800_000), (5_000, 20_000)
_CASES = 100_000_000
_WORKERS = 1_000
#: `runtime.shard_size`; by default the largest shards are of about this size.
_SHARD_CASES = 32_768
#: Names in one page of an S3 listing.
_PAGE = 1_000
#: At most, of each shard and stage: before it is computed, and before it is published.
_LISTINGS = 2


def measure(*, quick: bool) -> Report:
    few, many = _QUICK_SIZES if quick else _SIZES
    small, large = _measure(few), _measure(many)
    # Records and memory have a fixed part; what they grow by is what counts.
    shards = large["shards"] - small["shards"]
    shard_bytes = (large["record_bytes"] - small["record_bytes"]) / shards
    case_bytes = (large["peak_bytes"] - small["peak_bytes"]) / (many - few)
    all_shards = ceil(_CASES / _SHARD_CASES)
    tasks = STAGES * all_shards
    # A listing grows while the shards come in: half its pages on average.
    pages = max(ceil(all_shards / _PAGE) / 2, 1)
    gigabytes, hours, minutes = _CASES / 1e9, _CASES / 3600, _CASES / 60
    readers_tb = _WORKERS * STAGES * _CASES / 1e12
    find_s, index_bytes = large["key_find_s"], large["key_index_bytes"]
    rows = [
        _row("tasks", "a shard", STAGES, all_shards),
        _row("parts written and read", "a task", 2, tasks),
        _row("pages of listings", "a task", _LISTINGS, tasks * pages),
        _row("GB stored", "B a case", large["case_stored_bytes"], gigabytes),
        _row("MB of records of a run", "B a shard", shard_bytes, all_shards / 1e6),
        _row("GB of memory of the run", "B a case", case_bytes, gigabytes),
        _row("hours to cut the data", "s a case", large["case_cut_s"], hours),
        _row("hours of a cached run", "s a case", large["case_cached_s"], hours),
        _row("GB of an index of a stage", "B a row", index_bytes, gigabytes),
        _row("minutes to make it", "s a row", find_s, minutes),
        _row("TB read for all indexes", "B a row", large["key_read_bytes"], readers_tb),
    ]
    return Report(
        how=f"measured: {few:,} and {many:,} cases in process from a Parquet file, "
        f"seconds of processor; in all: {_CASES:,} cases in {STAGES} stages, "
        f"{_WORKERS:,} workers, shards of {_SHARD_CASES:,} cases",
        rows=rows,
    )


def _row(
    what: str,
    unit: str,
    measured: float,
    times: float,
) -> Row:
    return {"what": what, "measured": measured, "unit": unit, "all": measured * times}


def _measure(cases: int) -> dict[str, float]:
    with folder() as data, folder() as store, folder() as other:
        path = data / "cases.parquet"
        fresh(write_cases, path=path, cases=cases)
        measured = fresh(constants, data=path, store=store, cases=cases)
        run = fresh(in_process, data=path, store=other, cases=cases)
    return {**measured, "peak_bytes": run["peak_bytes"]}
