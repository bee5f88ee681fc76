"""Where the processor time of a request to a provider goes: the SDK, its HTTP client, our
own code.
"""

from __future__ import annotations

from benchmarks.call_jobs import profile_requests
from benchmarks.jobs import write_cases
from benchmarks.processes import folder, fresh
from benchmarks.providers import provider
from benchmarks.report import Report, Row

_REQUESTS, _QUICK_REQUESTS = 2_000, 500


def measure(*, quick: bool) -> Report:
    requests = _QUICK_REQUESTS if quick else _REQUESTS
    with folder() as data, provider() as url:
        path = data / "cases.jsonl"
        fresh(write_cases, path=path, cases=requests)
        seconds = fresh(profile_requests, data=path, url=url, requests=requests)
    total = sum(seconds.values())
    rows: list[Row] = []
    for owner in sorted(seconds, key=lambda name: -seconds[name]):
        row = {
            "code of": owner,
            "share": seconds[owner] / total,
            "us_per_request": 1e6 * seconds[owner] / requests,
        }
        rows.append(row)
    return Report(
        how=f"{requests} requests of 50 ms, 100 at a time, by the adapter `openai`, all "
        "four stages; processor time under cProfile, which makes short functions slow: "
        "shares, not times",
        rows=rows,
    )
