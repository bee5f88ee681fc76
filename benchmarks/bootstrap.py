"""How long the bootstrap's interval of a mean takes, and whether it has the same digits
every time.
"""

from __future__ import annotations

from typing import Any

from benchmarks.processes import fresh
from benchmarks.report import Aim, Report

_ROWS, _QUICK_ROWS = 100_000, 20_000
_RESAMPLES = 10_000
_KINDS = ("0 or 1", "continuous", "continuous, in 5,000 clusters")


def measure(*, quick: bool) -> Report:
    size, repeats = (_QUICK_ROWS, 2) if quick else (_ROWS, 5)
    rows: list[dict[str, Any]] = []
    for kind in _KINDS:
        found = [
            fresh("bootstrap", kind=kind, rows=size, resamples=_RESAMPLES)
            for _ in range(repeats)
        ]
        if len({(run["low"], run["high"]) for run in found}) > 1:
            raise RuntimeError(
                f"the bootstrap of scores that are {kind} is not the same in every process: {found}"
            )
        seconds = min(run["seconds"] for run in found)
        rows.append(
            {
                "scores": kind,
                "seconds": seconds,
                "low": repr(found[0]["low"]),
                "high": repr(found[0]["high"]),
            }
        )
    return Report(
        how=f"`mean_interval(…, method='bootstrap')`: {_RESAMPLES:,} resamples of "
        f"{size:,} scores, the best of "
        f"{repeats} fresh processes, all of which found the same digits",
        rows=rows,
        aims=[
            Aim(f"seconds, scores that are {row['scores']}", row["seconds"], 1.0)
            for row in rows[:2]
        ],
    )
