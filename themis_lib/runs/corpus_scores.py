"""The score of a data set as a function of how often each of its cases counts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import chain

import numpy as np

from themis_lib.components.records import BuiltMetric
from themis_lib.errors import ComponentError, describe
from themis_lib.runs.corpus_cases import CorpusRows, Integers, Statistics
from themis_lib.stats.clusters import Floats
from themis_lib.stats.resampling import Counts, ValuesOf


def values_of(
    rows: CorpusRows,
    metric: BuiltMetric,
) -> ValuesOf:
    """Return the score as a function of how often each unit counts.

    Of several samples it is the mean of their scores. Raise `ComponentError` where the
    metric raises for the data as they are.
    """
    by_sample: list[ValuesOf] = []
    for statistics in rows.samples:
        make = _values_of_sums if metric.additive else _values_of_rows
        by_sample.append(make(statistics, rows.units, metric))

    def values(counts: Counts) -> Floats:
        mean: Floats = np.mean([each(counts) for each in by_sample], axis=0)
        return mean

    return values


def _values_of_sums(
    statistics: Sequence[Statistics | None],
    units: Integers,
    metric: BuiltMetric,
) -> ValuesOf:
    from scipy.sparse import csr_array

    names = sorted(set(chain.from_iterable(each or () for each in statistics)))
    column_of = {name: column for column, name in enumerate(names)}
    places: tuple[list[int], list[int]] = ([], [])
    numbers: list[float] = []
    for unit, each in zip(units.tolist(), statistics, strict=True):
        for name, number in (each or {}).items():
            if isinstance(number, bool) or not isinstance(number, (int, float)):
                raise ComponentError(
                    f"metric {metric.name!r} is `additive`, and the details {name!r} of "
                    f"a row are {number!r}; give a number"
                )
            places[0].append(unit)
            places[1].append(column_of[name])
            numbers.append(number)
    shape = (int(units.max()) + 1, len(names))
    # Numbers for the same place are added up: those of a cluster.
    matrix = csr_array((np.array(numbers, np.float64), places), shape=shape).T.tocsr()
    score = _guarded(metric)

    def values(counts: Counts) -> Floats:
        sums = (matrix @ counts.T.astype(np.float64)).T
        found = []
        for row in sums:
            found.append(score([dict(zip(names, row.tolist(), strict=True))]))
        return np.array(found)

    return values


def _values_of_rows(
    statistics: Sequence[Statistics | None],
    units: Integers,
    metric: BuiltMetric,
) -> ValuesOf:
    by_unit: list[list[Statistics]] = [[] for _ in range(int(units.max()) + 1)]
    for unit, each in zip(units.tolist(), statistics, strict=True):
        if each is not None:
            by_unit[unit].append(each)
    score = _guarded(metric)

    def values(counts: Counts) -> Floats:
        found = []
        for row in counts:
            drawn: list[Statistics] = []
            for unit in np.flatnonzero(row).tolist():
                drawn += by_unit[unit] * int(row[unit])
            found.append(score(drawn))
        return np.array(found)

    return values


def _guarded(metric: BuiltMetric) -> Callable[[Sequence[Statistics]], float]:
    """Return the metric's `corpus_score` with NaN where it is not defined.

    Any other failure raises `ComponentError`, which names the metric.
    """
    corpus_score = metric.corpus_score
    assert corpus_score is not None  # only metrics of a data set come here

    def score(rows: Sequence[Statistics]) -> float:
        try:
            value = float(corpus_score(rows))
        except ArithmeticError:
            return math.nan
        # A user's code may raise anything; its rows are kept.
        except Exception as error:
            raise ComponentError(
                f"metric {metric.name!r}: corpus_score raised {describe(error)}; "
                "mend it and run again: no output is generated twice"
            ) from error
        return value if math.isfinite(value) else math.nan

    return score
