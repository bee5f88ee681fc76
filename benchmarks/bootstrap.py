"""Time of the bootstrap interval of a mean, and a check that its digits repeat."""

from __future__ import annotations

from benchmarks.call_jobs import bootstrap_interval
from benchmarks.processes import fresh
from benchmarks.report import Aim, Report, Row

_ROWS, _QUICK_ROWS = 100_000, 20_000
_RESAMPLES = 10_000
_KINDS = ("0 or 1", "continuous", "continuous, in 5,000 clusters")


def measure(*, quick: bool) -> Report:
    # Two repeats at least: one process alone cannot show that the digits repeat.
    size, repeats = _ROWS, 5
    if quick:
        size, repeats = _QUICK_ROWS, 2
    rows, aims = [], []
    for kind in _KINDS:
        row = _measure_kind(kind, size=size, repeats=repeats)
        rows.append(row)
        # No aim for clustered scores: their time depends on the sizes of the clusters.
        if "clusters" not in kind:
            what = f"seconds, scores that are {kind}"
            aims.append(Aim(what, row["seconds"], 1.0))
    return Report(
        how=f"`mean_interval(…, method='bootstrap')`: {_RESAMPLES:,} resamples of "
        f"{size:,} scores, best of {repeats} fresh processes, which all returned the "
        "same digits",
        rows=rows,
        aims=aims,
    )


def _measure_kind(
    kind: str,
    *,
    size: int,
    repeats: int,
) -> Row:
    arguments = {"kind": kind, "rows": size, "resamples": _RESAMPLES}
    seconds: list[float] = []
    intervals: set[tuple[float, float]] = set()
    for _ in range(repeats):
        run = fresh(bootstrap_interval, **arguments)
        seconds.append(run["seconds"])
        intervals.add((run["low"], run["high"]))
    if len(intervals) > 1:
        raise RuntimeError(
            f"the bootstrap of scores that are {kind} differs between processes: "
            f"{sorted(intervals)}"
        )
    low, high = intervals.pop()
    return {
        "scores": kind,
        "seconds": min(seconds),
        # As text, which shows every digit: the report rounds numbers.
        "low": repr(low),
        "high": repr(high),
    }
