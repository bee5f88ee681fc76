"""How often the intervals of a judge's mean hold the truth: its own, the corrected one,
and that of the labels alone.

All of it is simulated, with seeds: the numbers are the same every time. Scores and
labels are 0 and 1. Labels are drawn uniformly, or actively: half of each row's
probability is the same for all, the other half goes by a guess, which is better than
chance, of whether the judge is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from benchmarks.report import Aim, Report, Row
from themis_lib.stats.clusters import Floats
from themis_lib.stats.intervals import Interval, mean_interval
from themis_lib.stats.prediction_powered import (
    CorrectedMean,
    JudgedRows,
    corrected_mean,
)

Drawing = Literal["uniform", "active"]
CASES = 1319
#: The rate of correct solutions in GSM8K's recorded solutions, 175B verification.
RATE = 742 / 1319
_RUNS, _QUICK_RUNS = 2_000, 200
# Guesses of which rows the judge is wrong in: for those, and for the others.
_SUSPECTED, _TRUSTED = (3.0, 1.5), (1.0, 3.0)


@dataclass(frozen=True)
class SimulatedJudge:
    """A judge, the rate of cases that people label 1, and how many labels there are."""

    sensitivity: float
    specificity: float
    labels: int = 100
    rate: float = RATE
    drawing: Drawing = "uniform"


_JUDGES = (
    SimulatedJudge(0.9, 0.8),
    SimulatedJudge(0.9, 0.8, labels=30),
    SimulatedJudge(0.9, 0.8, labels=300),
    SimulatedJudge(0.95, 0.95),
    SimulatedJudge(0.95, 0.95, rate=0.9),
    SimulatedJudge(0.5, 0.5),
    SimulatedJudge(0.9, 0.8, drawing="active"),
    SimulatedJudge(0.9, 0.8, labels=30, drawing="active"),
    SimulatedJudge(0.95, 0.95, drawing="active"),
    SimulatedJudge(0.95, 0.95, rate=0.9, drawing="active"),
    SimulatedJudge(0.5, 0.5, drawing="active"),
)


def measure(*, quick: bool) -> Report:
    runs = _QUICK_RUNS if quick else _RUNS
    rows = [_measure_judge(judge, runs) for judge in _JUDGES]
    lowest = min(row["corrected: covers"] for row in rows)
    uniform = [row for row in rows if row["drawing"] == "uniform"]
    useless = [row for row in uniform if row["sens."] == 0.5]
    widths = [row["corrected: width"] / row["alone: width"] for row in useless]
    return Report(
        how=f"{runs:,} simulated runs of {CASES:,} cases each, intervals at 95 %; "
        "labels alone: Wilson's interval of as many uniform labels",
        rows=rows,
        aims=[
            Aim("corrected intervals cover, least", lowest, 0.93, at_least=True),
            Aim("width with a useless judge, to labels alone", max(widths), 1.05),
        ],
    )


def _measure_judge(
    judge: SimulatedJudge,
    runs: int,
) -> Row:
    random = np.random.default_rng(0)
    raw: list[Interval] = []
    corrected: list[CorrectedMean] = []
    alone: list[Interval] = []
    for _ in range(runs):
        rows = judged_rows(judge, random)
        raw.append(mean_interval(rows.scores))
        corrected.append(corrected_mean(rows))
        labels = (random.random(judge.labels) < judge.rate).astype(np.float64)
        alone.append(mean_interval(labels))
    worth = [item.labels_worth or 0.0 for item in corrected]
    return {
        "drawing": judge.drawing,
        "sens.": judge.sensitivity,
        "spec.": judge.specificity,
        "truth": round(judge.rate, 4),
        "labels": judge.labels,
        "raw: covers": _coverage(raw, judge.rate),
        "corrected: covers": _coverage(corrected, judge.rate),
        "raw: width": _width(raw),
        "corrected: width": _width(corrected),
        "alone: width": _width(alone),
        "worth": float(np.median(worth)),
    }


def judged_rows(
    judge: SimulatedJudge,
    random: np.random.Generator,
) -> JudgedRows:
    """Return the rows of a simulated run."""
    truth = random.random(CASES) < judge.rate
    finds = random.random(CASES) < np.where(truth, judge.sensitivity, judge.specificity)
    scores = np.where(finds, truth, ~truth).astype(np.float64)
    if judge.drawing == "uniform":
        probabilities = np.full(CASES, judge.labels / CASES)
        drawn = np.zeros(CASES, dtype=bool)
        drawn[random.choice(CASES, judge.labels, replace=False)] = True
    else:
        probabilities = _active_probabilities(finds, judge.labels, random)
        drawn = random.random(CASES) < probabilities
    return JudgedRows(scores, np.where(drawn, truth, np.nan), probabilities)


def _active_probabilities(
    finds: Floats,
    labels: int,
    random: np.random.Generator,
) -> Floats:
    doubts = np.where(
        finds, random.beta(*_TRUSTED, CASES), random.beta(*_SUSPECTED, CASES)
    )
    by_doubt = doubts / doubts.sum()
    return np.minimum(labels * (by_doubt + 1 / CASES) / 2, 1.0)


def _coverage(
    intervals: list[Interval] | list[CorrectedMean],
    truth: float,
) -> float:
    holds = []
    for item in intervals:
        holds.append(_low(item) <= truth <= _high(item))
    return float(np.mean(holds))


def _width(intervals: list[Interval] | list[CorrectedMean]) -> float:
    return float(np.mean([_high(item) - _low(item) for item in intervals]))


def _low(item: Interval | CorrectedMean) -> float:
    return 0.0 if item.low is None else item.low


def _high(item: Interval | CorrectedMean) -> float:
    return 1.0 if item.high is None else item.high
