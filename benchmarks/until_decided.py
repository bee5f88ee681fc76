"""How many cases a run takes until it is decided, and how often it decides wrongly.

All of it is simulated, with seeds: the numbers are the same every time. Sides are of
scores of 0 and 1; `disagree` is the share of the cases on which they differ.
"""

from __future__ import annotations

import math

import numpy as np

from benchmarks.report import Aim, Report, Row
from themis_lib.runs.random_order import look_ends
from themis_lib.stats.expected_stops import simulated_evidence
from themis_lib.stats.paired import mcnemar_exact

_CASES = 1319
_RUNS, _QUICK_RUNS = 2_000, 200
_ALPHA = 0.05
_EVERY = 25
_VALUES = (-1.0, 0.0, 1.0)
# True difference, and the share of cases on which the sides disagree. The first is that
# of the two sets of recorded solutions of GSM8K.
_SIDES = (
    (0.346, 0.411),
    (0.2, 0.4),
    (0.2, 0.25),
    (0.1, 0.4),
    (0.1, 0.15),
    (0.05, 0.2),
    (0.05, 0.1),
    (0.03, 0.2),
    (0.02, 0.1),
    (0.0, 0.4),
    (0.0, 0.1),
)


def measure(*, quick: bool) -> Report:
    runs = _QUICK_RUNS if quick else _RUNS
    rows: list[Row] = []
    for difference, disagree in _SIDES:
        rows.append(_measure_sides(difference, disagree, runs=runs))
    alarms = [row["decided"] for row in rows if row["difference"] == 0]
    return Report(
        how=f"{runs:,} simulated runs of {_CASES:,} cases each, level {_ALPHA:g}, beside "
        "McNemar's exact test on all cases, and the same test looked at every "
        f"{_EVERY} cases until it is significant",
        rows=rows,
        aims=[Aim("false alarms, share of the runs", max(alarms), _ALPHA)],
    )


def _measure_sides(
    difference: float,
    disagree: float,
    *,
    runs: int,
) -> Row:
    rises, falls = (disagree + difference) / 2, (disagree - difference) / 2
    chances = (falls, 1 - disagree, rises)
    looks = look_ends(_CASES)
    evidence = simulated_evidence(
        _VALUES, chances, 0.0, looks=looks, repetitions=runs, seed=1
    )
    is_decided = evidence >= -math.log(_ALPHA)
    cases = np.where(
        is_decided.any(axis=1),
        np.array(looks)[is_decided.argmax(axis=1)],
        _CASES,
    )
    fixed, peeking = _mcnemar(chances, runs)
    return {
        "difference": difference,
        "disagree": disagree,
        "decided": float(is_decided.any(axis=1).mean()),
        "cases, mean": float(cases.mean()),
        "median": float(np.median(cases)),
        "90 %": float(np.quantile(cases, 0.9)),
        "McNemar, all cases": fixed,
        f"McNemar, every {_EVERY}": peeking,
    }


def _mcnemar(
    chances: tuple[float, ...],
    runs: int,
) -> tuple[float, float]:
    """Return how often the test is significant on all cases, and at any of its looks."""
    random = np.random.default_rng(2)
    looks = [*range(_EVERY, _CASES, _EVERY), _CASES]
    steps = np.diff([0, *looks])
    drawn = np.stack(
        [random.multinomial(step, chances, runs) for step in steps], axis=1
    )
    counts = np.cumsum(drawn, axis=1)
    # Equal counts have one p-value, which takes longer to compute than to look up.
    known: dict[tuple[int, int], bool] = {}
    significant = np.zeros((runs, len(looks)), dtype=bool)
    for run, look in np.ndindex(runs, len(looks)):
        falls, _, rises = counts[run, look].tolist()
        if (rises, falls) not in known:
            known[rises, falls] = mcnemar_exact(rises, falls) < _ALPHA
        significant[run, look] = known[rises, falls]
    return float(significant[:, -1].mean()), float(significant.any(axis=1).mean())
